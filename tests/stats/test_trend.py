"""Trends: scipy, statsmodels and pymannkendall beside ours, series by series, and what must not matter."""

import warnings

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import NEP, YEARS, cube, loop, series, stamps
from stats_oracles import classes_by_words, linregress, mann_kendall, mann_kendall_by_years, ols, theilslopes

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.testing import forbid_compute

GAPPY = np.array([2001, 2002, 2004, 2005, 2006, 2007, 2010, 2011, 2012, 2013, 2014, 2016, 2018, 2019, 2020])
FINITE = st.floats(-1e4, 1e4, allow_nan=False, width=32)


def compare(found, wanted, *, rtol, atol=0.0):
    for name, values in wanted.items():
        assert_allclose(found[name].values, values, rtol=rtol, atol=atol, err_msg=name)


# --- ordinary least squares


@pytest.mark.parametrize("n", [3, 4, 20, 41])
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_ols_is_scipys(n, gaps):
    y = series(n, 600, n, gaps=gaps if n > 4 else 0)
    years = np.arange(1990, 1990 + n)
    found = stats.linear_trend(cube(y, years), min_years=3)
    # the lag-1 of residuals near zero is itself near zero, and p near 1e-16 has no more digits in scipy
    compare(found, loop(linregress, y.T, x=years), rtol=1e-9, atol=1e-12)


def test_ols_is_statsmodels():
    y = series(1, 400, gaps=0.15)
    compare(stats.linear_trend(cube(y), min_years=3), loop(ols, y.T, x=YEARS), rtol=1e-9, atol=1e-12)


def test_uneven_years_are_years():
    y = series(2, 300, GAPPY.size)
    compare(stats.linear_trend(cube(y, GAPPY)), loop(linregress, y.T, x=GAPPY), rtol=1e-9, atol=1e-12)


def test_the_intercept_is_the_fit_in_the_first_year():
    y = 50 + 2.5 * (YEARS - 2001.0)[:, None] + np.zeros((1, 2))
    y[:3, 1] = np.nan  # the first year is that of the axis, not of the cell's first value
    found = stats.linear_trend(cube(y), min_years=3)
    assert_allclose(found.intercept, [50, 50], rtol=1e-13)
    assert_allclose(found.slope, [2.5, 2.5], rtol=1e-13)


@pytest.mark.parametrize("p", [1e-12, 1e-6, 1e-3, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("n", [3, 5, 20, 100])
def test_pvalues_over_their_whole_range(p, n):
    # a series with a chosen t: slope b and residuals orthogonal to the line
    t = scipy.stats.t.isf(p / 2, n - 2)
    x = np.arange(n, dtype=float) - (n - 1) / 2
    e = np.random.default_rng(n).normal(size=n)
    e -= e.mean() + x * (x @ e) / (x @ x)
    b = t * np.sqrt(e @ e / (n - 2) / (x @ x))
    found = stats.linear_trend(xr.DataArray(b * x + e, dims="time"))
    # p ~ t**-(n-2) magnifies the rounding of t
    assert_allclose(float(found.pvalue), p, rtol=1e-12 * n * max(1.0, t))


@pytest.mark.parametrize("seed", range(3))
def test_float32_series_give_the_float64_answer_rounded_once(seed):
    y = series(seed, 2000, gaps=0.1, dtype="f4")
    found = stats.linear_trend(cube(y), min_years=3)
    truth = loop(linregress, y.astype("f8").T, x=YEARS)
    for name in ("slope", "intercept", "stderr", "pvalue", "n"):
        assert found[name].dtype == np.float32
        # one rounding to float32 is half an ulp (6.0e-8); the float64 part is below 1e-9
        assert_allclose(found[name].values, truth[name], rtol=6.1e-8, atol=1e-12, err_msg=name)
    assert_allclose(found.lag1.values, truth["lag1"], atol=1e-7)


def test_a_tiny_variance_on_a_large_offset():
    rng = np.random.default_rng(3)
    y = 1e6 + rng.normal(0, np.sqrt(1e-3), (20, 500))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.linear_trend(cube(y))
    truth = loop(linregress, (y - 1e6).T, x=YEARS)  # exact: the difference of near numbers
    # an ulp of 1e6 is 1.2e-10, that of the mean is the same, against a spread of 0.03
    assert_allclose(found.slope, truth["slope"], rtol=1e-8, atol=1e-11)
    assert_allclose(found.stderr, truth["stderr"], rtol=1e-7)
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-6)
    assert_allclose(found.lag1, truth["lag1"], atol=1e-6)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(
    ("function", "estimate", "p"),
    [("linear_trend", "slope", "pvalue"), ("theil_sen", "slope", "lower"), ("mann_kendall", "tau", "pvalue")],
)
def test_series_that_say_nothing(function, estimate, p, dtype):
    y = series(4, 7, dtype=dtype)
    y[:, 0] = np.nan
    y[3, 1] = np.inf
    y[3, 2] = -np.inf
    y[3:, 3] = np.nan  # three years are left
    y[:, 4] = 0.1
    y[:, 5] = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = getattr(stats, function)(cube(y), min_years=4)
    assert np.isnan(found[estimate][:4]).all()
    assert np.isnan(found[p][:4]).all()
    assert_array_equal(found.n, [0, 0, 0, 0, 20, 20, 20])
    assert np.isfinite(found[estimate][6])
    # a constant series has slope zero, and no test
    if estimate == "slope":
        assert_allclose(found.slope[4:6], 0, atol=1e-17)
    if function != "theil_sen":
        assert np.isnan(found[p][4:6]).all()


def test_a_straight_line_has_no_residual():
    y = (3.0 + 0.1 * np.arange(20))[:, None]
    found = stats.linear_trend(cube(y))
    assert_allclose(found.slope, 0.1, rtol=1e-14)
    assert float(found.pvalue[0]) == 0
    assert float(found.stderr[0]) == 0
    assert np.isnan(found.lag1[0])


@pytest.mark.parametrize("function", ["linear_trend", "theil_sen", "mann_kendall"])
def test_min_years(function):
    y = series(5, 20)
    for i in range(20):
        y[:i, i] = np.nan  # cell i has 20 - i years
    f = getattr(stats, function)
    for least in (3, 7, 19, 20, None):
        found = f(cube(y), min_years=least)
        need = 20 if least is None else least
        enough = 20 - np.arange(20) >= need
        assert_array_equal(found.n, np.where(enough, 20 - np.arange(20), 0))
        for name in found:
            if name != "n":
                assert np.isfinite(found[name][: 20 - need + 1]).all()
                assert np.isnan(found[name][~enough]).all()


@pytest.mark.parametrize("gaps", [0.0, 0.3])
def test_the_mean_of_the_slopes_is_the_slope_of_the_mean(gaps):
    # cells that count have all years; what others hold does not matter
    y = series(6, 30 * 40).reshape(20, 30, 40)
    rng = np.random.default_rng(7)
    if gaps:
        y[rng.integers(0, 20, 300), rng.integers(0, 30, 300), rng.integers(0, 40, 300)] = np.nan
    da = cube(y)
    area = xr.DataArray(
        np.cos(np.radians(np.linspace(31.6, 36.3, 30))), dims="latitude", coords={"latitude": da.latitude}
    )
    slope = stats.linear_trend(da).slope
    weights = area.broadcast_like(slope).where(slope.notnull(), 0.0)
    by_pixel = float((slope.fillna(0) * weights).sum() / weights.sum())
    mean_series = (da.fillna(0) * weights).sum(("latitude", "longitude")) / weights.sum()
    by_series = float(stats.linear_trend(mean_series.drop_attrs()).slope)
    assert abs(by_pixel - by_series) < 1e-12


@given(
    y=hnp.arrays("f8", 20, elements=FINITE),
    shift=st.integers(-1000, 1000),
    scale=st.sampled_from([-4.0, -0.5, 2.0, 8.0]),
)
@settings(max_examples=150, deadline=None)
def test_ols_goes_with_shift_and_scale(y, shift, scale):
    assume(np.ptp(y) > 1e-3)
    a, b = (stats.linear_trend(xr.DataArray(v, dims="time")) for v in (y, scale * y + shift))
    size = np.abs(y).max() + abs(shift)
    assert_allclose(b.slope, scale * a.slope, rtol=1e-9, atol=1e-13 * size)
    assert_allclose(b.stderr, abs(scale) * a.stderr, rtol=1e-6, atol=1e-12 * size)
    assert_allclose(b.intercept, scale * a.intercept + shift, rtol=1e-9, atol=1e-11 * size)


# --- Theil-Sen


@pytest.mark.parametrize(
    ("n", "gaps", "ties"),
    [(4, 0, False), (20, 0, False), (20, 0.2, False), (20, 0, True), (20, 0.2, True), (41, 0.1, False)],
)
def test_theil_sen_is_scipys(n, gaps, ties):
    y = series(100 + n, 400, n, gaps=gaps, ties=ties)
    years = np.arange(1980, 1980 + n)
    found = stats.theil_sen(cube(y, years), min_years=3)
    truth = loop(theilslopes, y.T, x=years)
    assert_array_equal(found.slope, truth["slope"])
    assert_array_equal(found.n, truth["n"])
    # between ranks the two interpolate in another order of operations
    assert_allclose(found.lower, truth["lower"], rtol=1e-11, atol=1e-13)
    assert_allclose(found.upper, truth["upper"], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("n", [3, 7, 20])
@pytest.mark.parametrize("confidence", [0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_the_confidence_of_the_interval(confidence, n):
    # at a low one both ends are next to the median, of an even and of an odd number of slopes
    y = series(8, 100, n)
    found = stats.theil_sen(cube(y), confidence=confidence)
    truth = loop(theilslopes, y.T, x=YEARS[:n], confidence=confidence)
    assert_allclose(found.lower, truth["lower"], rtol=1e-11, atol=1e-13)
    assert_allclose(found.upper, truth["upper"], rtol=1e-11, atol=1e-13)
    assert (found.lower <= found.slope).all()
    assert (found.slope <= found.upper).all()


def test_scipys_interval_takes_whole_ranks_near_ours():
    # scipy rounds the ranks: its ends are within one step of the ordered slopes
    for y in series(9, 50).T:
        found = stats.theil_sen(cube(y[:, None]))
        low, high = scipy.stats.theilslopes(y, YEARS, 0.95)[2:]
        slopes = np.sort([(y[j] - y[i]) / (j - i) for i in range(20) for j in range(i + 1, 20)])
        for ours, theirs in ((float(found.lower[0]), low), (float(found.upper[0]), high)):
            assert abs(np.searchsorted(slopes, ours) - np.searchsorted(slopes, theirs)) <= 1


def test_theil_sen_over_uneven_years():
    y = series(10, 300, GAPPY.size)
    assert_array_equal(stats.theil_sen(cube(y, GAPPY)).slope, loop(theilslopes, y.T, x=GAPPY)["slope"])


def test_theil_sen_of_float32_is_rounded_once():
    y = series(11, 2000, dtype="f4")
    found = stats.theil_sen(cube(y))
    truth = loop(theilslopes, y[:, :500].T, x=YEARS)
    assert_array_equal(found.slope[:500], truth["slope"].astype("f4"))


def test_one_wild_year_moves_the_median_little():
    y = (100 + 2.0 * np.arange(20))[:, None].repeat(2, 1)
    y[19, 1] = -1e6
    found = stats.theil_sen(cube(y))
    assert_allclose(found.slope, [2, 2], rtol=1e-12)


@given(y=hnp.arrays("f8", 12, elements=st.integers(-1000, 1000).map(float)), k=st.integers(-50, 50))
@settings(max_examples=150, deadline=None)
def test_a_tilt_adds_to_the_slope(y, k):
    # whole numbers over whole years: nothing is rounded but the last division
    t = np.arange(12.0)
    a, b = (stats.theil_sen(xr.DataArray(v, dims="time")).slope for v in (y, y + k * t))
    assert_allclose(b, a + k, rtol=1e-12, atol=1e-12)
    assert_allclose(stats.theil_sen(xr.DataArray(-y, dims="time")).slope, -a, rtol=0)
    assert_allclose(stats.theil_sen(xr.DataArray(y[::-1], dims="time")).slope, -a, rtol=0)


# --- Mann-Kendall


METHODS = ["original", "pre-whitened", "trend-free-pre-whitened", "3pw", "hamed-rao", "yue-wang"]
FEW = [m for m in METHODS if m != "yue-wang"]


@pytest.mark.parametrize("method", FEW)
@pytest.mark.parametrize(("n", "ties", "cells"), [(20, False, 200), (20, True, 200), (5, False, 100), (40, False, 100)])
def test_mann_kendall_is_pymannkendalls(method, n, ties, cells):
    y = series(200 + n, cells, n, ties=ties)
    if method != "original" and ties:
        # whitened values that tie in exact numbers are told apart by the last bit of r in pymannkendall; a dust far
        # below the ties' own step leaves the question open in neither
        y = y + np.random.default_rng(1).normal(0, 1e-6, y.shape)
    found = stats.mann_kendall(cube(y, np.arange(1980, 1980 + n)), method=method)
    truth = loop(mann_kendall, y.T, method=method)
    assert_allclose(found.tau, truth["tau"], rtol=1e-14, atol=1e-15)
    # pymannkendall takes 1 - cdf, which has an absolute rounding of 1e-16
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-10, atol=5e-16)
    assert_array_equal(found.n, truth["n"])


@pytest.mark.parametrize("gaps", [0.2, 0.5])
@pytest.mark.parametrize("method", METHODS)
def test_mann_kendall_draws_nothing_across_gaps(method, gaps):
    y = series(300, 150, gaps=gaps)
    found = stats.mann_kendall(cube(y), method=method, min_years=4)
    truth = loop(mann_kendall_by_years, y.T, x=YEARS, method=method)
    for name in ("tau", "pvalue", "n"):
        assert_allclose(found[name], truth[name], rtol=1e-10, atol=5e-16, err_msg=name)


@pytest.mark.parametrize("method", METHODS)
def test_ties_of_whole_numbers(method):
    y = series(301, 150, ties=True)
    found = stats.mann_kendall(cube(y), method=method)
    truth = loop(mann_kendall_by_years, y.T, x=YEARS, method=method)
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-10, atol=5e-16)


def test_yue_wang_is_pymannkendalls_where_lag_1_alone_is_significant():
    import pymannkendall as pm

    rng = np.random.default_rng(302)
    y = rng.normal(size=(20, 300))
    for i in range(1, 20):
        y[i] += 0.6 * y[i - 1]
    alone = []
    for i, column in enumerate(y.T):
        e = column - np.arange(20) * scipy.stats.theilslopes(column).slope
        e = e - e.mean()
        r = np.array([(e[k:] * e[: 20 - k]).sum() for k in range(20)]) / (e @ e)
        if list(np.flatnonzero(np.abs(r) > scipy.stats.norm.ppf(0.975) / np.sqrt(20))) == [0, 1]:
            alone.append(i)
    assert len(alone) > 40
    found = stats.mann_kendall(cube(y[:, alone]), method="yue-wang").pvalue
    assert_allclose(found, [pm.yue_wang_modification_test(c, lag=1).p for c in y[:, alone].T], rtol=1e-10)
    # by default it sums all lags, which makes nearly any series a trend
    every = np.array([pm.yue_wang_modification_test(c).p for c in rng.normal(size=(300, 20))])
    assert (every < 0.05).mean() > 0.35


def test_where_hamed_rao_has_no_variance_the_original_stands():
    import pymannkendall as pm

    y = np.random.default_rng(303).normal(size=(20, 1000))
    with np.errstate(invalid="ignore"):
        lost = [i for i, c in enumerate(y.T) if np.isnan(pm.hamed_rao_modification_test(c).p)]
    assert 3 < len(lost) < 30
    found = stats.mann_kendall(cube(y[:, lost]), method="hamed-rao")
    assert_array_equal(found.pvalue, stats.mann_kendall(cube(y[:, lost])).pvalue)


@pytest.mark.parametrize("method", METHODS[1:])
def test_lines_and_offsets_of_the_serial_variants(method):
    # a straight line at any height is a trend, and its rounding is no autocorrelation
    y = (1e6 + 0.1 * np.arange(20))[:, None] * [1, -1]
    found = stats.mann_kendall(cube(y), method=method)
    assert_allclose(found.tau, [1, -1])
    assert (found.pvalue < 1e-5).all()
    # two of a large offset are taken apart without loss
    noise = np.random.default_rng(304).integers(-500, 500, (20, 200)) / 1024.0
    a, b = (stats.mann_kendall(cube(v), method=method).pvalue for v in (noise, 1e6 + noise))
    assert_array_equal(a, b)


def test_a_gap_makes_no_neighbours():
    # every second year is missing: no year has a neighbour, and nothing can be whitened
    y = series(305, 30)
    y[::2] = np.nan
    for method in METHODS[1:4]:
        found = stats.mann_kendall(cube(y), method=method, min_years=8)
        assert np.isnan(found.pvalue).all()
        assert np.isfinite(found.tau).all()
        assert (found.n == 10).all()


def test_kendalls_tau_without_ties_is_scipys():
    y = series(12, 200)
    tau = [scipy.stats.kendalltau(np.arange(20), column).statistic for column in y.T]
    assert_allclose(stats.mann_kendall(cube(y)).tau, tau, rtol=1e-13, atol=1e-15)


def test_a_rising_series_worked_by_hand():
    # n = 10, S = 45, Var S = 10 * 9 * 25 / 18 = 125, z = 44 / sqrt(125)
    found = stats.mann_kendall(xr.DataArray(np.arange(10.0) ** 2, dims="time"))
    assert float(found.tau) == 1
    assert_allclose(float(found.pvalue), 2 * scipy.stats.norm.sf(44 / np.sqrt(125)), rtol=1e-13)


def test_3pw_is_never_smaller_than_its_parts():
    import pymannkendall as pm

    y = series(13, 300)
    found = stats.mann_kendall(cube(y), method="3pw").pvalue.values
    for p, column in zip(found, y.T, strict=True):
        assert p >= pm.pre_whitening_modification_test(column).p - 1e-12
        assert p >= pm.trend_free_pre_whitening_modification_test(column).p - 1e-12


@given(y=hnp.arrays("f8", 15, elements=st.integers(-30, 30).map(float)))
@settings(max_examples=150, deadline=None)
def test_mann_kendall_knows_only_the_order(y):
    da = xr.DataArray(y, dims="time")
    a = stats.mann_kendall(da)
    b = stats.mann_kendall(da**3 + 2 * da)  # rises with y, exact in whole numbers
    c = stats.mann_kendall(-da)
    d = stats.mann_kendall(da[::-1])
    assert_array_equal(a.pvalue, b.pvalue)
    assert_array_equal(a.tau, b.tau)
    for other in (c, d):
        assert_array_equal(other.tau, -a.tau)
        assert_array_equal(other.pvalue, a.pvalue)


@pytest.mark.parametrize("method", METHODS)
@given(
    y=hnp.arrays("f8", 20, elements=st.integers(-1000, 1000).map(float)),
    scale=st.sampled_from([0.25, -2.0, 1024.0, -1.0]),
    shift=st.integers(-1000, 1000),
)
@settings(max_examples=60, deadline=None)
def test_mann_kendall_goes_with_shift_and_scale(method, y, scale, shift):
    # powers of two change no bit but the exponent, whole numbers are moved exactly
    a, b = (stats.mann_kendall(xr.DataArray(v, dims="time"), method=method) for v in (y, scale * (y + shift)))
    assert_array_equal(a.pvalue, b.pvalue)
    assert_array_equal(np.sign(scale) * a.tau, b.tau)


@pytest.mark.slow
def test_the_size_of_the_tests():
    rng = np.random.default_rng(2026)
    white = rng.normal(size=(20, 10_000))
    red = rng.normal(size=(20, 10_000))
    red[0] /= np.sqrt(1 - 0.09)
    for i in range(1, 20):
        red[i] += 0.3 * red[i - 1]
    # white noise and AR(1) 0.3, in percent, as the science page has them
    measured = {
        "original": (4.6, 12.6),
        "3pw": (2.2, 3.2),
        "pre-whitened": (3.3, 3.6),
        "trend-free-pre-whitened": (4.4, 12.3),
        "hamed-rao": (8.0, 14.9),
        "yue-wang": (8.9, 16.6),
    }
    found = {
        m: [100 * float((stats.mann_kendall(cube(y), method=m).pvalue < 0.05).mean()) for y in (white, red)]
        for m in METHODS
    }
    found["ols"] = [100 * float((stats.linear_trend(cube(y)).pvalue < 0.05).mean()) for y in (white, red)]
    for method, wanted in (measured | {"ols": (4.8, 13.3)}).items():
        # 10,000 series: the standard error of 5 % is 0.22 %, that of 15 % is 0.36 %
        assert_allclose(found[method], wanted, atol=1.2, err_msg=method)
    for recommended in ("original", "3pw"):
        assert found[recommended][0] < 7.0


# --- classes of direction and significance


@pytest.mark.parametrize("levels", [(0.05, 0.01), (0.1,), (0.1, 0.05, 0.001)])
def test_classes_by_words(levels):
    rng = np.random.default_rng(20)
    slope = rng.choice([-0.5, 0.0, -0.0, 1e-9, 2.0, np.nan], 600)
    p = rng.choice([0.0, 0.0009, 0.001, 0.01, 0.0099, 0.05, 0.049, 0.1, 0.3, 1.0, np.nan], 600)
    found = stats.trend_classes(*(xr.DataArray(v, dims="cell") for v in (slope, p)), levels=levels)
    words = dict(zip(found.attrs["flag_values"].tolist(), found.attrs["flag_meanings"].split(), strict=True))
    assert [words[c] for c in found.values.tolist()] == [
        classes_by_words(b, q, levels) for b, q in zip(slope, p, strict=True)
    ]
    assert found.dtype == np.uint8
    assert len(found.attrs["flag_colors"].split()) == len(set(found.attrs["flag_colors"].split())) == len(words)
    assert_array_equal(found.attrs["levels"], levels)


def test_classes_of_the_usual_pair():
    y = series(21, 400, gaps=0.05, ties=True).reshape(20, 20, 20)
    y[:, 0, 0] = 5.0
    y[:, 0, 1] = np.nan
    da = cube(y).chunk(latitude=7)
    slope, p = stats.theil_sen(da, min_years=10).slope, stats.mann_kendall(da, min_years=10).pvalue
    with forbid_compute():
        lazy = stats.trend_classes(slope, p)
    found = lazy.compute()
    assert found.values[0, 0] == 3
    assert found.values[0, 1] == 255
    assert set(np.unique(found)) == {0, 1, 2, 3, 4, 5, 6, 255}
    assert found.attrs == lazy.attrs
    assert list(found.coords) == ["latitude", "longitude"]
    assert found.attrs["flag_meanings"] == (
        "significant_decrease_at_0.01 significant_decrease_at_0.05 slight_decrease no_change slight_increase "
        "significant_increase_at_0.05 significant_increase_at_0.01 no_data"
    )
    # the other way round in time is the other way round in class
    back = stats.trend_classes(-slope, p)
    assert_array_equal(np.where(found < 255, 6 - found, 255), back)


@pytest.mark.parametrize("levels", [(), (0.01, 0.05), (0.05, 0.05), (1.0,), (0.05, 0.0), (0.4, 0.3, 0.2, 0.1)])
def test_levels_that_do_not_fall(levels):
    with pytest.raises(SpecError) as caught:
        stats.trend_classes(*[xr.DataArray([0.5], dims="cell")] * 2, levels=levels)
    assert str(caught.value) == (
        f"trend classes: the levels {list(levels)} are not one to three that fall between 1 and 0.\n"
        "(0.05, 0.01) is usual."
    )


def test_classes_of_maps_that_do_not_fit():
    a = cube(series(0, 3)).isel(time=0, drop=True)
    with pytest.raises(SpecError, match="trend classes: slope and p-value are not on the same coordinates") as caught:
        stats.trend_classes(a, a.assign_coords(cell=a.cell + 1))
    assert caught.value.way_out == "Make both from the same array."


# --- the size of the numbers


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_slopes_on_a_large_offset(dtype):
    # float32 holds 1e6 in steps of 1/16: on such steps a series is exact in both, and so is the difference
    rng = np.random.default_rng(22)
    step = 1 / 16 if dtype == "f4" else 2.0**-33
    small = np.round(rng.normal(0, np.sqrt(1e-3) if dtype == "f8" else 1.0, (20, 400)) / step) * step
    high = (1e6 + small).astype(dtype)
    assert_array_equal(high.astype("f8") - 1e6, small)
    sen, truth = stats.theil_sen(cube(high)), stats.theil_sen(cube(small))
    # one rounding to the type, none by the offset
    for name in ("slope", "lower", "upper"):
        assert_array_equal(sen[name], truth[name].astype(dtype))
    ols_, exact = stats.linear_trend(cube(high)), stats.linear_trend(cube(small))
    # the mean of the offset is rounded, 1e-10 against 0.03
    assert_allclose(ols_.slope, exact.slope, rtol=1.2e-7 if dtype == "f4" else 1e-8, atol=1e-11)
    for method in METHODS:
        a, b = (stats.mann_kendall(cube(v), method=method).pvalue for v in (high, small))
        assert_array_equal(a, b.astype(dtype))


# --- refusals, units


def test_an_unknown_method():
    with pytest.raises(SpecError) as caught:
        stats.mann_kendall(cube(series(0, 1)), method="yue")
    assert str(caught.value) == (
        "'yue' is not a Mann-Kendall variant.\n"
        "Use one of original, pre-whitened, trend-free-pre-whitened, 3pw, hamed-rao, yue-wang."
    )


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -1.0, float("nan")])
def test_a_confidence_that_is_none(confidence):
    with pytest.raises(SpecError) as caught:
        stats.theil_sen(cube(series(0, 1)), confidence=confidence)
    assert str(caught.value) == f"confidence: {confidence} is not between 0 and 1.\n0.95 is usual."


@pytest.mark.parametrize("function", [stats.linear_trend, stats.theil_sen, stats.mann_kendall])
def test_time_axes_that_are_none(function):
    da = cube(series(0, 1))
    with pytest.raises(SpecError, match=r"time: the steps do not rise\.\nSort the dataset by time first\."):
        function(da.isel(time=slice(None, None, -1)))
    months = da.isel(time=slice(3)).assign_coords(time=np.array(["2001-01", "2001-07", "2002-01"], "M8[ns]"))
    with pytest.raises(SpecError, match=r"time: several steps in one year\.\nMake annual values first \(to_annual\)\."):
        function(months)


def test_the_day_of_the_stamp_does_not_matter():
    y = series(1, 5)
    mid = cube(y).assign_coords(time=stamps(YEARS) + np.timedelta64(183, "D"))
    whole = cube(y).assign_coords(time=YEARS)
    a = stats.linear_trend(cube(y))
    for other in (mid, whole, cube(y).drop_vars("time")):
        b = stats.linear_trend(other)
        for name in a:
            assert_array_equal(a[name], b[name])


@pytest.mark.parametrize(
    ("units", "slope"),
    [("g m-2 year-1", "g m-2 year-2"), ("degC", "degC year-1"), ("mm year-1", "mm year-2"), ("1", "year-1")],
)
def test_units_are_derived(units, slope):
    da = cube(series(0, 2), attrs=NEP | {"units": units})
    ols_, sen, mk = stats.linear_trend(da), stats.theil_sen(da), stats.mann_kendall(da)
    assert {v.attrs["units"] for v in (ols_.slope, ols_.stderr, sen.slope, sen.lower, sen.upper)} == {slope}
    assert ols_.intercept.attrs["units"] == units
    assert {v.attrs["units"] for v in (ols_.pvalue, ols_.lag1, ols_.n, mk.tau, mk.pvalue, mk.n)} == {"1"}
