"""Mean and coefficient of variation beside numpy."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import YEARS, cube, loop, series
from stats_oracles import numpy_cv, numpy_mean, rescaled_range, residual_cv

from nepcube import stats
from nepcube.errors import SpecError


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_the_mean_is_numpys(gaps):
    y = series(1, 2000, gaps=gaps)
    found = stats.mean(cube(y), min_years=3)
    truth = loop(numpy_mean, y.T)
    for name in truth:
        assert_allclose(found[name], truth[name], rtol=1e-13, err_msg=name)


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_cv_is_numpys(gaps, ddof):
    y = series(2, 2000, gaps=gaps) - 110  # means on both sides of zero
    found = stats.coefficient_of_variation(cube(y), ddof=ddof, min_years=3)
    truth = loop(numpy_cv, y.T, ddof=ddof)
    assert_array_equal(np.isnan(found.cv), np.isnan(truth["cv"]))
    assert np.isnan(truth["cv"]).any()
    assert_allclose(found.cv, truth["cv"], rtol=1e-12)
    assert_array_equal(found.n, truth["n"])


def test_the_studys_formula_divided_as_it_was_meant():
    # eq. 4 with its sums: sqrt((sum N^2 - (sum N)^2 / n) / n) / mean
    y = series(3, 200)
    total, squares = y.sum(0), (y**2).sum(0)
    cv = np.sqrt((squares - total**2 / 20) / 20) / (total / 20)
    # the study's own sums cancel: 1e-16 of 120^2 against 10^2
    assert_allclose(stats.coefficient_of_variation(cube(y)).cv, cv, rtol=1e-11)


def test_the_sign_is_the_means():
    y = series(4, 50)
    a, b = stats.coefficient_of_variation(cube(y)).cv, stats.coefficient_of_variation(cube(-y)).cv
    assert (a > 0).all()
    assert_array_equal(a, -b)


@pytest.mark.parametrize(
    ("mean", "min_mean", "there"),
    [(1.0, 1.0, True), (-1.0, 1.0, True), (0.999, 1.0, False), (0.0, 0.0, False), (1e-9, 0.0, True), (5.0, 5.5, False)],
)
def test_min_mean(mean, min_mean, there):
    y = mean + np.tile([-0.5, 0.5], 10)[:, None] * 0.25
    found = stats.coefficient_of_variation(cube(y), min_mean=min_mean)
    assert bool(np.isfinite(found.cv[0])) is there
    assert float(found.n[0]) == 20
    assert found.cv.attrs["min_mean"] == min_mean


@pytest.mark.parametrize("seed", range(2))
def test_float32_is_rounded_once(seed):
    y = series(seed, 2000, gaps=0.1, dtype="f4")
    mean, cv = stats.mean(cube(y), min_years=3), stats.coefficient_of_variation(cube(y), min_years=3)
    truth = loop(numpy_mean, y.astype("f8").T) | loop(numpy_cv, y.astype("f8").T)
    for found, name in ((mean.mean(()), "mean"), (mean["sd"], "sd"), (cv["cv"], "cv")):
        values = (mean["mean"] if name == "mean" else found).values
        assert values.dtype == np.float32
        # half an ulp of float32
        assert_allclose(values, truth[name], rtol=6.0e-8)


def test_a_tiny_variance_on_a_large_offset():
    y = 1e6 + np.random.default_rng(5).normal(0, np.sqrt(1e-3), (20, 500))
    truth = (y - 1e6).std(0)  # the difference is exact
    # an ulp of 1e6, 1.2e-10, against a spread of 0.03
    assert_allclose(stats.mean(cube(y))["sd"], truth, rtol=1e-8)
    assert_allclose(stats.coefficient_of_variation(cube(y)).cv, truth / y.mean(0), rtol=1e-8)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_series_that_say_nothing(dtype):
    y = series(6, 6, dtype=dtype)
    y[:, 0] = np.nan
    y[4, 1] = np.inf
    y[4:, 2] = np.nan
    y[:, 3] = 7.0
    y[:, 4] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = stats.mean(cube(y), min_years=5)
        cv = stats.coefficient_of_variation(cube(y), min_years=5)
    assert_array_equal(mean.n, [0, 0, 0, 20, 20, 20])
    assert_array_equal(cv.n, [0, 0, 0, 20, 20, 20])
    assert np.isnan(mean["mean"][:3]).all()
    assert_array_equal(mean["mean"][3:5], [7, 0])
    assert np.isnan(cv.cv[[0, 1, 2, 4]]).all()
    assert float(cv.cv[3]) == 0


def test_one_year_has_no_spread_by_ddof_1():
    y = np.array([[5.0]])
    assert np.isnan(stats.coefficient_of_variation(cube(y), ddof=1, min_years=1).cv[0])
    assert float(stats.coefficient_of_variation(cube(y), ddof=0, min_years=1).cv[0]) == 0


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.5, 2.0, -4.0]), shift=st.integers(-500, 500))
@settings(max_examples=50, deadline=None)
def test_mean_and_sd_go_with_shift_and_scale(seed, scale, shift):
    y = series(seed, 5)
    a, b = stats.mean(cube(y)), stats.mean(cube(scale * y + shift))
    assert_allclose(b["mean"], scale * a["mean"] + shift, rtol=1e-11, atol=1e-10)
    assert_allclose(b["sd"], abs(scale) * a["sd"], rtol=1e-10)


@given(order=st.permutations(range(20)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_years_does_not_matter(order):
    y = series(7, 20)
    a, b = stats.mean(cube(y)), stats.mean(cube(y[list(order)]))
    assert_allclose(a["mean"], b["mean"], rtol=1e-14)
    assert_allclose(a["sd"], b["sd"], rtol=1e-13)


def test_units():
    found = stats.mean(cube(series(0, 2)))
    assert found["mean"].attrs["units"] == found["sd"].attrs["units"] == "g m-2 year-1"
    assert stats.coefficient_of_variation(cube(series(0, 2))).cv.attrs["units"] == "1"


@pytest.mark.parametrize("ddof", [2, -1, 0.5])
def test_ddof_that_is_none(ddof):
    with pytest.raises(SpecError) as caught:
        stats.coefficient_of_variation(cube(series(0, 1)), ddof=ddof)
    assert str(caught.value) == f"ddof: {ddof} is neither 0 nor 1.\n0 divides by n, 1 by n - 1."


# --- the detrended coefficient of variation


@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_detrended_cv_is_statsmodels(gaps):
    y = series(10, 500, gaps=gaps) - 110
    found = stats.coefficient_of_variation(cube(y), detrend=True, min_years=3)
    truth = loop(residual_cv, y.T, x=YEARS)
    far = np.abs(np.nanmean(y, 0)) >= 1
    assert 0 < far.sum() < 500
    assert_allclose(found.cv[far], truth["cv"][far], rtol=1e-11)
    assert np.isnan(found.cv[~far]).all()
    assert_array_equal(found.n, truth["n"])
    assert found.cv.attrs == {
        "long_name": "coefficient of variation of detrended NEP",
        "units": "1",
        "ddof": 2,
        "min_mean": 1.0,
    }


def test_a_trend_is_no_instability():
    y = series(11, 100, trend=False)
    line = 3.0 * np.arange(20)[:, None]
    a, b = (stats.coefficient_of_variation(cube(v), detrend=True).cv * v.mean(0) for v in (y, y + line))
    assert_allclose(a, b, rtol=1e-10)
    straight = stats.coefficient_of_variation(cube(100 + line), detrend=True)
    assert float(straight.cv[0]) == 0


@pytest.mark.parametrize("ddof", [0, 1])
def test_detrending_says_its_ddof_itself(ddof):
    with pytest.raises(SpecError) as caught:
        stats.coefficient_of_variation(cube(series(0, 1)), detrend=True, ddof=ddof)
    assert str(caught.value) == f"ddof: {ddof} with detrend.\nLeave it out: a line takes 2 degrees of freedom."


def test_a_tiny_residual_on_a_large_offset():
    y = 1e6 + np.random.default_rng(12).normal(0, np.sqrt(1e-3), (20, 300))
    truth = loop(residual_cv, y.T, x=YEARS)
    assert_allclose(stats.coefficient_of_variation(cube(y), detrend=True).cv, truth["cv"], rtol=1e-7)


# --- the Hurst exponent


@pytest.mark.parametrize(
    ("n", "windows"),
    [
        (10, [4, 5, 6, 7, 8, 9, 10]),
        (20, [4, 5, 6, 8, 10, 13, 16, 20]),
        (41, [4, 6, 8, 11, 15, 21, 29, 41]),
    ],
)
@pytest.mark.parametrize("gaps", [0.0, 0.15])
def test_hurst_is_numpys(n, windows, gaps):
    y = series(13, 100, n, gaps=gaps)
    found = stats.hurst_exponent(cube(y, np.arange(1980, 1980 + n)), min_years=3)
    truth = loop(rescaled_range, y.T, windows=windows)
    assert_allclose(found.hurst, truth["hurst"], rtol=1e-11, atol=1e-12)
    assert_array_equal(found.n, truth["n"])
    assert_array_equal(found.hurst.attrs["windows"], windows)
    if gaps and n == 10:
        # three windows are the least that make a line
        assert np.isnan(found.hurst).any()


def test_hurst_of_ties_and_years_of_rest():
    y = series(14, 200, ties=True)
    y[:9, :100] = 5.0  # windows without a spread are left out
    found = stats.hurst_exponent(cube(y))
    truth = loop(rescaled_range, y.T, windows=found.hurst.attrs["windows"])
    assert_allclose(found.hurst, truth["hurst"], rtol=1e-11)


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.5, 2.0, -4.0]), shift=st.integers(-500, 500))
@settings(max_examples=30, deadline=None)
def test_hurst_knows_neither_level_nor_scale_nor_direction(seed, scale, shift):
    y = series(seed, 5)
    a = stats.hurst_exponent(cube(y)).hurst
    assert_allclose(stats.hurst_exponent(cube(scale * y + shift)).hurst, a, rtol=1e-9)
    assert_allclose(stats.hurst_exponent(cube(y[::-1])).hurst, a, rtol=1e-9)


def test_what_white_noise_of_twenty_years_gives():
    said = stats.hurst_exponent(cube(series(0, 1))).hurst.attrs
    y = np.random.default_rng(2027).normal(size=(20, 20_000))
    found = stats.hurst_exponent(cube(y)).hurst.values
    # 20,000 series: the mean to 0.001, the ends of the range to about 0.003, those of the attributes to 0.005
    assert_allclose(found.mean(), said["white_noise_mean"], atol=0.006)
    assert_allclose(np.quantile(found, [0.025, 0.975]), said["white_noise_range"], atol=0.02)
    assert_allclose(found.mean(), 0.485, atol=0.005)
    assert_allclose(np.quantile(found, [0.025, 0.975]), [0.21, 0.75], atol=0.015)
    assert said["comment"] == "20 years are few: white noise gives 0.21 to 0.76 in 95 % of cells, 0.49 on average"


def test_the_expected_range_is_that_of_noise():
    # Anis and Lloyd's expectation is exact for independent normal values with n in the standard deviation
    from nepcube.stats.stability import _windows

    y = np.random.default_rng(15).normal(size=(40_000, 20))
    for w, expected in zip(*_windows(20), strict=True):
        part = y[:, : int(w)]
        sums = np.cumsum(part - part.mean(1, keepdims=True), 1)
        rs = (np.maximum(sums.max(1), 0) - np.minimum(sums.min(1), 0)) / part.std(1)
        assert_allclose(rs.mean(), np.exp(expected), rtol=5e-3)


def test_a_long_memory_is_found():
    # noise with an exponent of 0.8 lies above noise without memory, less than it should in twenty years
    lag = np.abs(np.subtract.outer(np.arange(80), np.arange(80)))
    root = np.linalg.cholesky(0.5 * ((lag + 1.0) ** 1.6 - 2 * lag**1.6 + np.abs(lag - 1.0) ** 1.6))
    noise = np.random.default_rng(16).normal(size=(80, 3000))
    short, long_ = (
        float(stats.hurst_exponent(cube((root @ noise)[:n], np.arange(1940, 1940 + n))).hurst.mean()) for n in (20, 80)
    )
    assert_allclose([short, long_], [0.62, 0.67], atol=0.02)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_persistence_of_series_that_say_nothing(dtype):
    y = series(17, 7, dtype=dtype)
    y[:, 0] = np.nan
    y[4, 1] = np.inf
    y[3:, 2] = np.nan
    y[:, 3] = 7.0
    y[:, 4] = 0.0
    y[:, 5] = 0.1 + np.where(np.arange(20) % 2, 0, 1e-17)  # rounding alone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hurst = stats.hurst_exponent(cube(y), min_years=5)
        cv = stats.coefficient_of_variation(cube(y), detrend=True, min_years=5, min_mean=0)
    assert np.isnan(hurst.hurst[:6]).all()
    assert np.isfinite(hurst.hurst[6])
    for found in (hurst, cv):
        assert_array_equal(found.n, [0, 0, 0, 20, 20, 20, 20])
    assert np.isnan(cv.cv[[0, 1, 2, 4]]).all()
    assert_array_equal(cv.cv[[3, 5]], [0, 0])


def test_hurst_of_float32_is_rounded_once():
    y = series(18, 500, dtype="f4")
    found, truth = stats.hurst_exponent(cube(y)).hurst, stats.hurst_exponent(cube(y.astype("f8"))).hurst
    assert_array_equal(found, truth.astype("f4"))


def test_a_period_too_short_for_memory():
    with pytest.raises(SpecError) as caught:
        stats.hurst_exponent(cube(series(0, 1, 9)))
    assert str(caught.value) == "hurst: 9 year(s) tell nothing about memory.\nGive ten or more."


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("least", [1, 3, 20])
def test_one_reading_gives_the_same_numbers_as_several(dtype, least):
    y = cube(series(71, 300, 20, gaps=0.3).astype(dtype))
    y[:, :3], y[:, 3], y[4, 4], y[1:, 5], y[2:, 6] = np.nan, 7.0, np.inf, np.nan, np.nan
    found = stats.describe(y, ddof=1, min_mean=2.0, min_years=least)
    fit, plain = stats.linear_trend(y, min_years=least), stats.mean(y, min_years=least)
    want = {name: fit[name] for name in ("slope", "intercept", "stderr", "pvalue", "lag1")}
    want |= {name: plain[name] for name in ("mean", "sd", "n")}
    want["cv"] = stats.coefficient_of_variation(y, ddof=1, min_mean=2.0, min_years=least).cv
    want["cv_detrended"] = stats.coefficient_of_variation(y, detrend=True, min_mean=2.0, min_years=least).cv
    assert found.keys() == want.keys()
    for name, values in want.items():
        xr.testing.assert_identical(found[name], values.rename(name))
    for ddof in (2, 3):
        with pytest.raises(SpecError, match=rf"ddof: {ddof} is neither 0 nor 1\."):
            stats.describe(y, ddof=ddof)
