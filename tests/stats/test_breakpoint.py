"""Breaks in time: statsmodels with dummies, every year tried, other noise for the null, ranks for Pettitt."""

import warnings

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import YEARS, cube, loop, series
from stats_oracles import break_by_trying_all, largest_f_of_noise, pettitt_by_ranks, two_trends

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.stats import breakpoint as breaks

MODELS = pytest.mark.parametrize("model", ["joined", "independent"])


# --- a year that was named


@MODELS
@pytest.mark.parametrize(("year", "gaps", "ties"), [(2014, 0, False), (2011, 0.15, False), (2006, 0, True)])
def test_a_given_year_is_statsmodels(model, year, gaps, ties):
    y = series(1, 150, gaps=gaps, ties=ties)
    found = stats.breakpoint_trend(cube(y), year, model=model, min_years=8, min_segment=3)
    there = np.isfinite(found.year.values)
    assert there.sum() > 120
    truth = loop(two_trends, y.T[there], x=YEARS, year=year, model=model)
    for name in ("slope_before", "slope_before_pvalue", "slope_after", "slope_after_pvalue", "f", "pvalue", "n"):
        assert_allclose(found[name][there], truth[name], rtol=1e-8, atol=1e-13, err_msg=name)
    assert_array_equal(found.year[there], year)


@MODELS
def test_the_p_value_of_a_given_year_is_that_of_f(model):
    found = stats.breakpoint_trend(cube(series(2, 300)), 2010, model=model)
    more = 1 if model == "joined" else 2
    assert_allclose(found.pvalue, scipy.stats.f.sf(found.f, more, 18 - more), rtol=1e-11)


def test_lines_may_meet_in_a_year_that_is_missing():
    y = series(3, 50)
    y[13] = np.nan
    found = stats.breakpoint_trend(cube(y), 2014, min_years=19)
    truth = loop(two_trends, y.T, x=YEARS, year=2014, model="joined")
    for name in ("slope_before", "slope_after", "f", "pvalue", "n"):
        assert_allclose(found[name], truth[name], rtol=1e-9, err_msg=name)


def test_two_lines_worked_by_hand():
    t = YEARS - 2014.0
    hinge = 100 + np.where(t < 0, 2.0 * t, -3.0 * t)
    steps = np.where(t < 0, 50 + 2 * t, 80 - 3 * t)
    for model, y in (("joined", hinge), ("independent", steps)):
        for year in (2014, None):
            found = stats.breakpoint_trend(cube(y[:, None]), year, model=model)
            assert_allclose(found.slope_before, 2, rtol=1e-12)
            assert_allclose(found.slope_after, -3, rtol=1e-12)
            assert float(found.year[0]) == 2014
            assert_array_equal([found.slope_before_pvalue[0], found.slope_after_pvalue[0]], [0, 0])
            assert np.isinf(found.f[0])
            # no series of noise has as much: one of 10,001
            assert float(found.pvalue[0]) == (0 if year else 1 / 10_001)


# --- a year that is sought


@MODELS
@pytest.mark.parametrize(("gaps", "ties", "segment"), [(0, False, 5), (0.15, False, 3), (0, True, 4)])
def test_the_best_year_is_that_of_all_years_tried(model, gaps, ties, segment):
    y = series(4, 150, gaps=gaps, ties=ties)
    found = stats.breakpoint_trend(cube(y), model=model, min_segment=segment, min_years=8)
    years = [break_by_trying_all(c, YEARS, model, segment) for c in y.T]
    assert_array_equal(found.year, years)
    assert len(set(years)) > 5
    # the trends and F are those of the year that was found
    for name in ("slope_before", "slope_before_pvalue", "slope_after", "slope_after_pvalue", "f"):
        truth = [two_trends(c, YEARS, year, model)[name] for c, year in zip(y.T, years, strict=True)]
        assert_allclose(found[name], truth, rtol=1e-8, atol=1e-13, err_msg=name)


@MODELS
def test_the_p_value_counts_series_without_a_break(model):
    y = series(5, 300, gaps=0.1)
    found = stats.breakpoint_trend(cube(y), model=model, min_years=12)
    n = found.n.values.astype(int)
    assert len(set(n.tolist())) > 4
    wanted = []
    for f, k in zip(found.f.values, n, strict=True):
        null = breaks._largest_f(int(k), 5, model)
        wanted.append((1 + (null >= f).sum()) / (1 + null.size) if np.isfinite(f) else np.nan)
    assert_array_equal(found.pvalue, wanted)


@MODELS
@pytest.mark.parametrize(("n", "segment"), [(20, 5), (12, 3)])
def test_the_null_is_that_of_other_noise(model, n, segment):
    ours = breaks._largest_f(n, segment, model)
    theirs = largest_f_of_noise(n, segment, model, 10_000, 7)
    assert (np.diff(ours) >= 0).all()
    assert ours.size == 10_000
    # two samples of one distribution: the test of the largest distance between them does not tell them apart
    assert scipy.stats.ks_2samp(ours, theirs).pvalue > 0.01
    # beyond any F of a named year: the search has its price
    assert np.quantile(ours, 0.95) > 1.3 * scipy.stats.f.isf(0.05, 1 if model == "joined" else 2, n - 4)


def test_more_years_than_there_are():
    found = stats.breakpoint_trend(cube(series(6, 3)), min_years=21)
    assert np.isnan(found.pvalue).all()
    assert_array_equal(found.n, 0)


def test_the_null_is_simulated_once_and_always_the_same():
    first = breaks._largest_f(15, 4, "joined").copy()
    assert breaks._largest_f(15, 4, "joined") is breaks._largest_f(15, 4, "joined")
    breaks._largest_f.cache_clear()
    assert_array_equal(breaks._largest_f(15, 4, "joined"), first)


@pytest.mark.slow
@MODELS
def test_the_size_of_the_test(model):
    y = np.random.default_rng(8).normal(size=(20, 10_000))
    sought, named = stats.breakpoint_trend(cube(y), model=model), stats.breakpoint_trend(cube(y), 2011, model=model)
    for found in (sought, named):
        assert abs(float((found.pvalue < 0.05).mean()) - 0.05) < 0.008
        assert abs(float((found.pvalue < 0.5).mean()) - 0.5) < 0.02
    # a found break with the p-value of a named one: what the search would cost
    naive = scipy.stats.f.sf(sought.f, *((1, 17) if model == "joined" else (2, 16)))
    assert (naive < 0.05).mean() > 0.12


@MODELS
@pytest.mark.parametrize("year", [None, 2012])
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.5, 2.0, -4.0]), tilt=st.integers(-9, 9))
@settings(max_examples=25, deadline=None)
def test_breaks_go_with_shift_scale_and_tilt(model, year, seed, scale, tilt):
    y = series(seed, 5)
    moved = scale * y + 300 + tilt * np.arange(20)[:, None]
    a, b = (stats.breakpoint_trend(cube(v), year, model=model) for v in (y, moved))
    assert_array_equal(a.year, b.year)
    assert_allclose(a.f, b.f, rtol=1e-7)
    assert_allclose(a.pvalue, b.pvalue, rtol=1e-7, atol=1.0001e-4)
    for name in ("slope_before", "slope_after"):
        assert_allclose(b[name], scale * a[name] + tilt, rtol=1e-8, atol=1e-9)


@MODELS
def test_breaks_the_other_way_round_in_time(model):
    y = series(9, 200)
    a, b = (stats.breakpoint_trend(cube(v), model=model) for v in (y, y[::-1]))
    assert_allclose(a.f, b.f, rtol=1e-8)
    # the year of the break begins the second part; of two lines that meet, it belongs to both
    assert_array_equal(a.year, 4021 - b.year + (1 if model == "independent" else 0))
    assert_allclose(a.slope_before, -b.slope_after, rtol=1e-9)


@pytest.mark.parametrize("year", [None, 2011])
@MODELS
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_series_that_have_no_break(model, dtype, year):
    y = series(10, 8, dtype=dtype)
    y[:, 0] = np.nan
    y[3, 1] = np.inf
    y[3:, 2] = np.nan
    y[4:16, 3] = np.nan  # eight years, never five on both sides
    y[:, 4] = 0.1
    y[:, 5] = 0.0
    y[:, 6] = 3.0 * np.arange(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.breakpoint_trend(cube(y), year, model=model, min_years=4)
    assert_array_equal(found.n, [0, 0, 0, 8, 20, 20, 20, 20])
    for name in set(found) - {"n"}:
        assert np.isnan(found[name][:6]).all(), name
        assert np.isfinite(found[name][7]), name
    # a straight line has trends on both sides of a year that is named, and none to be found
    assert np.isnan(found.f[6])
    assert np.isnan(found.pvalue[6])
    assert_array_equal(found.slope_before[6], np.nan if year is None else 3)


def test_breaks_on_a_large_offset():
    small = np.random.default_rng(11).normal(0, np.sqrt(1e-3), (20, 200))
    high = 1e6 + small
    small = high - 1e6  # exact
    for year in (None, 2011):
        a, b = (stats.breakpoint_trend(cube(v), year) for v in (high, small))
        assert_array_equal(a.year, b.year)
        # values are taken from the first one before anything is summed
        for name in ("slope_before", "slope_after", "f"):
            assert_allclose(a[name], b[name], rtol=1e-10, err_msg=name)


def test_float32_is_rounded_once():
    y = series(12, 500, gaps=0.1, dtype="f4")
    for year in (None, 2011):
        a, b = (stats.breakpoint_trend(cube(v), year, min_years=10) for v in (y, y.astype("f8")))
        for name in a:
            assert_array_equal(a[name], b[name].astype("f4"), err_msg=name)


def test_years_are_those_of_the_axis():
    y = series(13, 20)
    dated = stats.breakpoint_trend(cube(y)).year
    numbered = stats.breakpoint_trend(cube(y).assign_coords(time=YEARS)).year
    bare = stats.breakpoint_trend(cube(y).drop_vars("time")).year
    assert_array_equal(dated, numbered)
    assert_array_equal(dated, bare + 2001)
    named = stats.breakpoint_trend(cube(y).drop_vars("time"), 10)
    assert_array_equal(named.f, stats.breakpoint_trend(cube(y), 2011).f)


def test_units_and_what_was_asked():
    found = stats.breakpoint_trend(cube(series(0, 2)), model="independent", min_segment=4)
    assert found.slope_before.attrs["units"] == found.slope_after.attrs["units"] == "g m-2 year-2"
    assert {found[v].attrs["units"] for v in ("year", "f", "pvalue", "slope_after_pvalue", "n")} == {"1"}
    assert found.year.attrs["model"] == "independent"
    assert found.year.attrs["min_segment"] == 4


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": "smooth"}, "'smooth' is not a model of a break.\nUse one of joined, independent."),
        ({"min_segment": 2}, "min_segment: 2 values make no trend.\nGive 3 or more."),
        (
            {"min_segment": 11},
            "breakpoint: 11 values are asked for on both sides, and there are 20.\nGive more years.",
        ),
        (
            {"year": 2018},
            "breakpoint: 5 values are asked for on both sides, and a break in 2018 leaves 18 and 3.\n"
            "Name another year, or a smaller min_segment.",
        ),
        (
            {"year": 14},
            "breakpoint: 5 values are asked for on both sides, and a break in 14 leaves 0 and 20.\n"
            "Name another year, or a smaller min_segment.",
        ),
    ],
)
def test_refusals(options, said):
    with pytest.raises(SpecError) as caught:
        stats.breakpoint_trend(cube(series(0, 1)), **options)
    assert str(caught.value) == said


# --- Pettitt


@pytest.mark.parametrize(("n", "gaps", "ties"), [(20, 0, False), (20, 0.2, True), (5, 0, False), (41, 0.1, False)])
def test_pettitt_by_ranks(n, gaps, ties):
    y = series(20 + n, 500, n, gaps=gaps, ties=ties)
    years = np.arange(1980, 1980 + n)
    found = stats.pettitt(cube(y, years), min_years=3)
    truth = loop(pettitt_by_ranks, y.T, x=years)
    for name in truth:
        assert_allclose(found[name], truth[name], rtol=1e-13, err_msg=name)


def test_u_is_mann_and_whitneys():
    y = series(21, 100)
    found = stats.pettitt(cube(y))
    for column, year, k in zip(y.T, found.year.values, found.k.values, strict=True):
        late = year <= YEARS
        u = scipy.stats.mannwhitneyu(column[late], column[~late]).statistic
        assert k == 2 * u - late.sum() * (~late).sum()


def test_a_step_worked_by_hand():
    y = np.where(YEARS < 2008, 1.0, 2.0)[:, None] * [1, -1]
    found = stats.pettitt(cube(y))
    # 7 years below 13: K = 91
    assert_array_equal(found.year, [2008, 2008])
    assert_array_equal(found.k, [91, -91])
    assert_allclose(found.pvalue, 2 * np.exp(-6 * 91**2 / (8000 + 400)), rtol=1e-14)


@given(y=st.lists(st.integers(-30, 30), min_size=15, max_size=15))
@settings(max_examples=60, deadline=None)
def test_pettitt_knows_only_the_order(y):
    da = xr.DataArray(np.array(y, float), dims="time")
    a, b, c = (stats.pettitt(v) for v in (da, da**3 + 2 * da, -da))
    for other, sign in ((b, 1), (c, -1)):
        assert_array_equal(other.pvalue, a.pvalue)
        assert_array_equal(other.year, a.year)
        assert_array_equal(other.k, sign * a.k)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_pettitt_of_series_that_say_nothing(dtype):
    y = series(22, 5, dtype=dtype)
    y[:, 0] = np.nan
    y[3, 1] = np.inf
    y[3:, 2] = np.nan
    y[:, 3] = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.pettitt(cube(y), min_years=4)
    assert_array_equal(found.n, [0, 0, 0, 20, 20])
    for name in ("year", "k", "pvalue"):
        assert np.isnan(found[name][:4]).all()
        assert np.isfinite(found[name][4])
