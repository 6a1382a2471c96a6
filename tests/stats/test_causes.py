"""Residual trends beside two fits of statsmodels; the six classes beside the table of signs."""

import warnings

import numpy as np
import pytest
from driver_oracles import restrend, six_classes
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import cube

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.testing import forbid_compute


def climate(seed, cells, k=2, gaps=0.0):
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(20, cells)) for _ in range(k)]
    x[0] += 0.1 * np.arange(20)[:, None]
    y = 100 + 3 * sum(x) + rng.normal(size=(20, cells)) + 0.2 * np.arange(20)[:, None]
    for a in (y, *x):
        a[rng.random(a.shape) < gaps] = np.nan
    return y, x


@pytest.mark.parametrize("gaps", [0.0, 0.05])
@pytest.mark.parametrize("k", [1, 3])
def test_the_trend_that_climate_leaves(k, gaps):
    y, x = climate(k, 60, k, gaps)
    found = stats.residual_trend(cube(y), {f"x{i}": cube(v) for i, v in enumerate(x)}, min_years=8)
    for i in range(60):
        truth = restrend(y[:, i], [v[:, i] for v in x])
        for name, wanted in truth.items():
            assert_allclose(found[name][i], wanted, rtol=1e-9, atol=1e-13, err_msg=name)
    assert_allclose(found.climate_slope + found.residual_slope, found.slope, rtol=1e-12)
    assert found.residual_slope.attrs == {
        "long_name": "linear trend of NEP that climate leaves",
        "units": "g m-2 year-2",
        "climate": ", ".join(f"x{i}" for i in range(k)),
    }


def test_a_series_that_is_climates_has_no_trend_left():
    y, x = climate(5, 4)
    y = 2 * x[0] - x[1]
    found = stats.residual_trend(cube(y), {"a": cube(x[0]), "b": cube(x[1])})
    assert_allclose(found.residual_slope, 0, atol=1e-14)
    assert_allclose(found.r2, 1)
    assert np.isnan(found.residual_pvalue).all()


def test_series_that_say_nothing():
    y, x = climate(6, 6)
    a, b = x
    y[:, 0] = 5.0
    a[:, 1] = 2.0
    b[:, 2] = 3 * a[:, 2] - 1
    a[4, 3] = np.inf
    y[0, 4] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.residual_trend(cube(y), {"a": cube(a), "b": cube(b)})
    assert_array_equal(np.isnan(found.residual_slope), [True] * 5 + [False])
    assert_array_equal(found.n, [20, 20, 20, 0, 0, 20])
    assert_array_equal(found.dof[5], 16)


def test_lag_and_laziness():
    y, x = climate(7, 12)
    by = {"a": cube(x[0]), "b": cube(x[1])}
    found = stats.residual_trend(cube(y), by, lag={"a": 1})
    truth = restrend(y[1:, 0], [x[0][:-1, 0], x[1][1:, 0]])
    assert_allclose(found.residual_slope[0], truth["residual_slope"], rtol=1e-10)
    assert found.n[0] == 19
    with forbid_compute():
        lazy = stats.residual_trend(cube(y).chunk(cell=5), by, lag={"a": 1})
    for name in found:
        assert lazy[name].values.tobytes() == found[name].values.tobytes()
    with pytest.raises(SpecError, match=r"residual trend: no climate is given\."):
        stats.residual_trend(cube(y), {})


# --- the six classes


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("larger", ["climate", "human"])
def test_each_pattern_of_signs_is_its_class(signs, larger):
    p, h = signs
    p, h = (2 * p, h) if larger == "climate" else (p, 2 * h)
    t = np.arange(20.0)[:, None]
    wave = np.sin(t)
    potential = 300 + p * t + wave
    actual = potential + h * t + 0.5 * wave - 50
    found = stats.attribution(cube(actual), cube(potential))
    code, slopes = six_classes(actual[:, 0], potential[:, 0])
    rises = p + h > 0
    wanted = (3 if p > 0 and h > 0 else 1 if p > 0 else 2) if rises else (6 if p < 0 and h < 0 else 4 if p < 0 else 5)
    assert found.attribution.values.tolist() == [code] == [wanted]
    for name, slope in zip(("slope_actual", "slope_potential", "slope_human"), slopes, strict=True):
        assert_allclose(found[name], slope, rtol=1e-10)


@pytest.mark.parametrize("ties", [False, True])
def test_two_thousand_cells(ties):
    rng = np.random.default_rng(8)
    actual, potential = (200 + rng.normal(size=(20, 1000)) for _ in range(2))
    if ties:
        # slopes of exactly zero are among them
        actual, potential = (np.round(v) for v in (actual, potential))
    actual[rng.random(actual.shape) < 0.05] = np.nan
    potential[rng.random(actual.shape) < 0.05] = np.nan
    found = stats.attribution(cube(actual), cube(potential), min_years=12)
    truth = [six_classes(actual[:, i], potential[:, i]) for i in range(1000)]
    assert_array_equal(found.n, np.isfinite(actual + potential).sum(0))
    assert (found.n >= 12).all()
    assert found.attribution.values.tolist() == [code for code, _ in truth]
    assert (0 in found.attribution.values) is ties
    assert_allclose(
        np.array([found.slope_actual, found.slope_potential, found.slope_human]).T,
        [s for _, s in truth],
        rtol=1e-8,
        atol=1e-12,
    )
    assert_allclose(found.slope_potential + found.slope_human, found.slope_actual, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_zeros_are_unclassified_and_gaps_no_data(dtype):
    rng = np.random.default_rng(9)
    a = (200 + rng.normal(size=(20, 6))).astype(dtype)
    p = (200 + rng.normal(size=(20, 6))).astype(dtype)
    p[:, 0] = a[:, 0]
    p[:, 1] = 0.1
    a[:, 2] = 0.1
    a[3, 3] = np.nan
    a[3, 4] = -np.inf
    found = stats.attribution(cube(a), cube(p))
    assert found.attribution.values[:5].tolist() == [0, 0, 0, 255, 255]
    assert found.attribution.values[5] in range(1, 7)
    assert found.slope_human.values[0] == found.slope_potential.values[1] == found.slope_actual.values[2] == 0
    assert found.attribution.dtype == np.uint8
    assert found.attribution.attrs["flag_meanings"] == (
        "unclassified rise_by_climate rise_by_human_activity rise_by_both "
        "fall_by_climate fall_by_human_activity fall_by_both no_data"
    )
    assert found.slope_human.attrs["units"] == "g m-2 year-2"
    lazy = stats.attribution(cube(a).chunk(cell=2), cube(p).chunk(cell=4))
    assert_array_equal(lazy.attribution, found.attribution)
    assert lazy.attribution.attrs.keys() == found.attribution.attrs.keys()


def test_units_that_differ():
    y = np.ones((20, 2))
    with pytest.raises(SpecError, match=r"attribution: actual is in 'g m-2 year-1', potential in 'kg m-2 year-1'\."):
        stats.attribution(cube(y), cube(y, attrs={"units": "kg m-2 year-1"}))
