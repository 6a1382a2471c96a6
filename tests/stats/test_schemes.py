"""Breaks of every method beside sorting, the dynamic program and exact sums; bins that follow the values."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_oracles import (
    around_the_mean,
    dynamic_program,
    dynamic_program_by_halves,
    equal_parts,
    shares_by_sorting,
    variance_fit,
    within,
)

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.stats.binning import Bins, Counts

LARGE = 70_000


def flat(values):
    return xr.DataArray(np.asarray(values), dims="cell")


def heaps(seed, size, kind="heaps"):
    rng = np.random.default_rng(seed)
    v = rng.choice([-2.0, 0.3, 1.5], size) + rng.gamma(2.0, 0.4, size) * rng.choice([-0.3, 1.0], size)
    return {
        "heaps": v,
        "outlier": np.append(v[:-1], 1e12),
        "two outliers": np.concatenate([v[:-2], [-1e12, 1e12]]),
        "offset": 1e6 + 0.03 * v,
        "huge": 1e150 * v,
        "tiny": 1e-150 * v,
        "ties": np.round(v, 1),
        "float32": (120 + v).astype("f4"),
    }[kind]


#: the kinds that the fast run takes
SOME = ["heaps", "outlier", "offset"]
KINDS = ["heaps", "outlier", "two outliers", "offset", "huge", "tiny", "ties", "float32"]


def exact_breaks(values, k):
    """The dynamic program, outliers first made classes of their own: its float64 sums cannot bear them."""
    values = np.asarray(values, float)
    alone = np.sort(values[np.abs(values) > 1e11]) if np.abs(values).max() < 1e13 else np.array([])
    body = values[np.abs(values) < 1e11] if alone.size else values
    scale = 2.0 ** -np.floor(np.log2(np.abs(body).max()))
    inner = dynamic_program_by_halves(body * scale, np.ones(body.size), k - alone.size)
    inner = [b / scale for b in inner]
    low, high = alone[alone < 0], alone[alone > 0]
    return [*([body.min()] if low.size else []), *inner, *high]


@pytest.mark.parametrize("kind", [k if k in SOME else pytest.param(k, marks=pytest.mark.slow) for k in KINDS])
def test_natural_breaks_of_a_large_map_are_the_best(kind):
    values = heaps(1, LARGE, kind)
    found = stats.natural_breaks(flat(values), 5)
    best = exact_breaks(values, 5)
    body = np.abs(values) < 1e11 if "outlier" in kind else np.ones(LARGE, bool)
    unit = np.abs(values[body]).max().astype(float)
    ones = np.ones(int(body.sum()))
    # outliers are alone in their classes, and what they add is nothing
    a, b = (within(values[body].astype(float) / unit, ones, np.array(f) / unit) for f in (found, best))
    assert abs(a - b) <= 2e-9 * b
    assert set(found) <= set(values.astype(float).tolist())
    if "outlier" in kind:
        assert found[-1] == 1e12


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [2, 4, 7])
def test_natural_breaks_of_a_million_cells(kind, k):
    k = max(k, 4) if "outlier" in kind else k
    values = heaps(2, 1_000_000, kind)
    found, best = stats.natural_breaks(flat(values), k), exact_breaks(values, k)
    body = np.abs(values) < 1e11 if "outlier" in kind else np.ones(values.size, bool)
    unit = np.abs(values[body]).max().astype(float)
    ones = np.ones(int(body.sum()))
    a, b = (within(values[body].astype(float) / unit, ones, np.array(f) / unit) for f in (found, best))
    assert abs(a - b) <= 2e-9 * b


def test_an_outlier_leaves_the_small_map_exact_too():
    values = heaps(3, 400)
    alone = dynamic_program(values, np.ones(400), 4)
    assert stats.natural_breaks(flat(np.append(values, 1e12)), 5) == (*alone, 1e12)
    assert stats.natural_breaks(flat(np.append(values, -1e12)), 5) == (values.min(), *alone)


@pytest.mark.parametrize(("kind", "size"), [(k, 300) for k in KINDS] + [("outlier", LARGE), ("ties", LARGE)])
def test_quantiles_are_those_of_sorting(kind, size):
    values = heaps(4, size, kind)
    weights = np.random.default_rng(5).integers(1, 9, size)
    for load in (np.ones(size, int), weights):
        found = stats.quantile_breaks(flat(values), 5, weights=flat(load.astype(float)))
        assert list(found) == shares_by_sorting(values, load, 5)
    if kind == "heaps":
        counts = np.bincount(stats.classify(flat(values), stats.quantile_breaks(flat(values), 5)))
        assert (abs(counts - size / 5) < 1).all()


@pytest.mark.parametrize("size", [300, LARGE])
def test_equal_parts_and_deviations(size):
    values, weights = heaps(6, size), np.random.default_rng(7).random(size) + 0.1
    for k in (2, 5, 8):
        equal = stats.equal_interval_breaks(flat(values), k)
        assert_allclose(equal, equal_parts(values, k), rtol=1e-12, atol=1e-12)
        found = stats.standard_deviation_breaks(flat(values), k, weights=flat(weights))
        assert_allclose(found, around_the_mean(values, weights, k), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("kind", ["heaps", "offset", "ties", "float32"])
@pytest.mark.parametrize("method", ["natural-breaks", "quantile", "equal-interval", "standard-deviation"])
def test_the_record_and_its_goodness(method, kind):
    values = heaps(8, 2000, kind)
    weights = np.random.default_rng(9).random(2000) + 0.1
    found = stats.class_breaks(flat(values), method, 4, weights=flat(weights), domain="steppe")
    assert (found.method, found.k, found.domain) == (method, 4, "steppe")
    assert len(found.breaks) == 3
    assert_allclose(found.goodness, variance_fit(values.astype(float), weights, found.breaks), rtol=2e-6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.k = 3
    if method == "natural-breaks":
        others = ("quantile", "equal-interval", "standard-deviation")
        fits = [stats.class_breaks(flat(values), m, 4, weights=flat(weights)).goodness for m in others]
        assert found.goodness >= max(fits)


def test_breaks_by_hand_serve_another_map():
    da = flat(heaps(10, 500)).assign_attrs(long_name="slope")
    found = stats.class_breaks(da, "manual", breaks=[-0.477, 0.0, 0.484], domain="2001-2010")
    assert found.breaks == (-0.477, 0.0, 0.484)
    assert found.k == 4
    other = flat(heaps(11, 300))
    classes = stats.classify(other, found)
    assert_array_equal(classes, stats.classify(other, found.breaks))
    assert classes.attrs["breaks_method"] == "manual"
    assert classes.attrs["breaks_domain"] == "2001-2010"
    assert_array_equal(classes.attrs["breaks"], found.breaks)
    assert stats.goodness_of_fit(da, found.breaks) == found.goodness
    assert np.isnan(stats.goodness_of_fit(flat([3.0, 3.0]), [1.0]))


@given(seed=st.integers(0, 500), chunk=st.integers(20, 120), method=st.sampled_from(["quantile", "standard-deviation"]))
@settings(max_examples=15, deadline=None)
def test_neither_order_nor_chunks_matter(seed, chunk, method):
    rng = np.random.default_rng(seed)
    values, weights = heaps(seed, 200), rng.random(200)
    values[:3] = [np.nan, np.inf, -np.inf]
    whole = stats.class_breaks(flat(values), method, 3, weights=flat(weights))
    order = rng.permutation(200)
    turned = stats.class_breaks(flat(values[order]), method, 3, weights=flat(weights[order]))
    cut = stats.class_breaks(flat(values).chunk(cell=chunk), method, 3, weights=flat(weights))
    assert whole == turned == cut


def test_refusals():
    da = flat(np.repeat([1.0, 2.0], [90, 10]))
    with pytest.raises(SpecError, match=r"'jenks' is not a method of breaks\.\nUse one of natural-breaks, quantile,"):
        stats.class_breaks(da, "jenks")
    with pytest.raises(SpecError, match=r"`breaks` and the method 'manual' belong together\."):
        stats.class_breaks(da, "manual")
    with pytest.raises(SpecError, match=r"`breaks` and the method 'manual' belong together\."):
        stats.class_breaks(da, "quantile", breaks=[1.5])
    with pytest.raises(SpecError, match=r"classes: the breaks \[2\.0, 1\.0\] do not rise\."):
        stats.class_breaks(da, "manual", breaks=[2.0, 1.0])
    with pytest.raises(SpecError, match=r"quantile breaks: 3 classes are not filled, because one value has too much"):
        stats.class_breaks(da, "quantile", 3)
    with pytest.raises(SpecError, match=r"equal interval breaks: the map has one value alone\."):
        stats.class_breaks(da[:90], "equal-interval")
    with pytest.raises(SpecError, match=r"standard deviation breaks: the map has one value alone\."):
        stats.class_breaks(da[:90], "standard-deviation")
    with pytest.raises(SpecError, match=r"class breaks: 1 class\(es\)\."):
        stats.class_breaks(da, "quantile", 1)


# --- bins


def test_bins_hold_every_value_within_their_ends():
    values = np.concatenate([[0.0, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308, np.nan, np.inf, -np.inf], heaps(12, 500)])
    bins = Bins.first()
    for _ in range(3):
        counts = bins.empty()
        counts.take(values, 1.0)
        full = counts.full()
        assert full.units.sum() == 506 << 20
        assert (full.smallest <= full.largest).all()
        assert (full.largest[:-1] < full.smallest[1:]).all()
        finite = values[np.isfinite(values)]
        held = np.searchsorted(full.smallest, finite, side="right") - 1
        assert_array_equal(np.bincount(held, minlength=full.weight.size) << 20, full.units)
        bins = bins.divided(full.number, np.full(full.number.size, 9))
    # 30 bits are left: the least number above zero stands with both zeros, all others have their own bin
    assert sorted(full.units >> 20) == [1] * 503 + [3]


def test_counts_add_up():
    values = heaps(13, 900)
    bins = Bins.first().divided(np.array([0x3FF0 | 0x8000, 7]), np.array([12, 3]))
    whole, a, b = bins.empty(), bins.empty(), bins.empty()
    whole.take(values, 1.0)
    a.take(values[:300], 1.0)
    b.take(values[300:], 1.0)
    total = b + a
    assert isinstance(total, Counts)
    for name in ("sums", "smallest", "largest"):
        assert getattr(total, name).tobytes() == getattr(whole, name).tobytes()
    with pytest.raises(SpecError, match=r"Counts of different bins cannot be added\."):
        Bins.first().empty() + bins.empty()
