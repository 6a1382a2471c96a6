"""Natural breaks beside every partition and an exact dynamic program; histograms; classes."""

import itertools
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from stats_oracles import (
    best_of_all_partitions,
    classes_by_counting,
    dynamic_program,
    dynamic_program_by_halves,
    excess_allowed,
    labels_by_hand,
    within,
)

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.stats.binning import Bins
from nepcube.stats.classes import natural_of
from nepcube.testing import forbid_compute


def flat(values, **coords):
    return xr.DataArray(np.asarray(values), dims="cell", coords=coords or None)


def field(seed, shape=(300, 320)):
    """A map of more than 65,536 different values with three heaps and a long tail, and areas by row."""
    rng = np.random.default_rng(seed)
    values = rng.choice([-2.0, 0.3, 1.5], shape) + rng.gamma(2.0, 0.4, shape) * rng.choice([-0.3, 1.0], shape)
    lat = np.linspace(36.2, 31.6, shape[0])
    da = xr.DataArray(
        values, dims=("latitude", "longitude"), coords={"latitude": lat, "longitude": np.arange(shape[1])}
    )
    area = xr.DataArray(0.25 * np.cos(np.radians(lat)) ** 3, dims="latitude", coords={"latitude": lat})
    return da, area


# --- the twins agree among themselves


@given(seed=st.integers(0, 1000), k=st.integers(2, 4))
@settings(max_examples=25, deadline=None)
def test_the_twins_agree(seed, k):
    rng = np.random.default_rng(seed)
    values, weights = rng.permutation(200)[:9] / 7.0, rng.random(9) + 0.1
    least, cut = best_of_all_partitions(values, weights, k)
    for twin in (dynamic_program, dynamic_program_by_halves):
        assert math.isclose(within(values, weights, twin(values, weights, k)), least, rel_tol=1e-9, abs_tol=1e-12)
    assert len(cut) == k - 1


# --- exact, for few values


@given(
    values=hnp.arrays("f8", st.integers(2, 11), elements=st.integers(-40, 40).map(lambda v: v / 4)),
    k=st.integers(2, 5),
    weighted=st.booleans(),
    seed=st.integers(0, 100),
)
@settings(max_examples=200, deadline=None)
def test_no_partition_is_better(values, k, weighted, seed):
    distinct = np.unique(values).size
    weights = np.random.default_rng(seed).random(values.size) + 0.05 if weighted else np.ones(values.size)
    area = flat(weights) if weighted else None
    if distinct < k:
        with pytest.raises(SpecError) as caught:
            stats.natural_breaks(flat(values), k, weights=area)
        assert caught.value.what == f"natural breaks: {distinct} distinct value(s) cannot make {k} classes."
        return
    found = stats.natural_breaks(flat(values), k, weights=area)
    least, _ = best_of_all_partitions(values, weights, k)
    assert within(values, weights, found) <= least + 1e-9 * max(1.0, least)
    assert len(found) == k - 1
    assert list(found) == sorted(set(found))
    assert set(found) <= set(values.tolist())


@pytest.mark.parametrize("k", [2, 5, 9])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_few_hundred_values_are_the_dynamic_programs(k, weighted):
    rng = np.random.default_rng(k)
    values = np.concatenate([rng.normal(m, s, 100) for m, s in ((-3, 0.5), (0, 0.2), (1, 0.7), (6, 2.0))])
    weights = rng.random(400) + 0.1 if weighted else np.ones(400)
    found = stats.natural_breaks(flat(values), k, weights=flat(weights) if weighted else None)
    assert found == dynamic_program(values, weights, k)


@given(a=st.sampled_from([0.5, 2.0, 16.0]), b=st.integers(-100, 100), seed=st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_breaks_go_with_shift_and_scale_and_not_with_order(a, b, seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=60), rng.random(60) + 0.1
    found = stats.natural_breaks(flat(values), 4, weights=flat(weights))
    moved = stats.natural_breaks(flat(a * values + b), 4, weights=flat(weights))
    assert_allclose(moved, a * np.array(found) + b, rtol=1e-12)
    order = rng.permutation(60)
    assert stats.natural_breaks(flat(values[order]), 4, weights=flat(weights[order])) == found
    # a weight of three is three cells; a weight of nothing is none
    whole = rng.integers(0, 4, 60)
    assume(np.unique(values[whole > 0]).size >= 4)
    assert stats.natural_breaks(flat(values), 4, weights=flat(whole)) == stats.natural_breaks(
        flat(np.repeat(values, whole)), 4
    )


def test_cells_without_a_value_are_left_out():
    rng = np.random.default_rng(0)
    values = rng.normal(size=200)
    holes = np.concatenate([values, [np.nan, np.inf, -np.inf]])
    assert stats.natural_breaks(flat(holes), 5) == stats.natural_breaks(flat(values), 5)
    weights = np.append(rng.random(200), [9, 9, 9])
    nothing = np.append(weights[:200], [np.nan, np.nan, np.nan])
    assert stats.natural_breaks(flat(holes), 5, weights=flat(weights)) == stats.natural_breaks(
        flat(holes), 5, weights=flat(nothing)
    )


def test_as_many_classes_as_values():
    values = [3.0, 1.0, 2.0, 2.0, 1.0]
    assert stats.natural_breaks(flat(values), 3) == (2.0, 3.0)


def test_refusals():
    with pytest.raises(SpecError, match=r"natural breaks: 1 class\(es\)\.\nAsk for two or more\."):
        stats.natural_breaks(flat([1.0, 2.0]), 1)
    with pytest.raises(SpecError, match=r"natural breaks: the map has no value\."):
        stats.natural_breaks(flat([np.nan, np.nan]), 2)
    with pytest.raises(SpecError, match=r"Ask for fewer classes\."):
        stats.natural_breaks(flat(np.tile([1.0, 2.0], 40_000)), 3)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", [(40, 50), (300, 320)])
def test_chunks_do_not_matter(shape, seed):
    da, area = field(seed, shape)
    whole = stats.natural_breaks(da, 5, weights=area)
    assert whole == stats.natural_breaks(da.transpose("longitude", "latitude"), 5, weights=area)
    for chunks in (
        {"latitude": 27, "longitude": 150},
        {"latitude": -1, "longitude": 41},
        {"latitude": 64, "longitude": 64},
    ):
        assert stats.natural_breaks(da.chunk(chunks), 5, weights=area) == whole
    if shape == (40, 50):
        assert whole == dynamic_program(da.values.ravel(), area.broadcast_like(da).values.ravel(), 5)


def test_few_different_values_on_a_large_map_are_exact():
    # 80,000 cells of 12 values: each has its own bin
    rng = np.random.default_rng(3)
    values = np.sort(rng.normal(size=12))[rng.integers(0, 12, 80_000)]
    weights = rng.integers(1, 5, 80_000) / 4
    distinct, inverse = np.unique(values, return_inverse=True)
    _, cut = best_of_all_partitions(distinct, np.bincount(inverse, weights), 4)
    assert stats.natural_breaks(flat(values), 4, weights=flat(weights)) == cut


# --- the bins of large maps


@pytest.mark.parametrize("weighted", [False, True])
def test_the_bins_lose_no_more_than_the_science_page_says(weighted):
    da, area = field(4)
    values = da.values.ravel()
    assert np.unique(values).size > 65_536
    weights = area.broadcast_like(da).values.ravel() if weighted else np.ones(values.size)
    found = stats.natural_breaks(da, 5, weights=area if weighted else None)
    exact = dynamic_program_by_halves(values, weights, 5)
    excess = within(values, weights, found) - within(values, weights, exact)
    allowed = excess_allowed(values, weights, exact, values.min(), values.max(), 1 << 16)
    # weights are kept to 2**-20 of a unit, which moves a class mean by as much: second order in the sum of squares
    assert -1e-9 * within(values, weights, exact) <= excess <= allowed + 1e-9 * within(values, weights, exact)
    assert_allclose(found, exact, atol=3 * np.ptp(values) / (1 << 16))


@pytest.mark.slow
def test_the_bound_at_a_million_cells():
    da, area = field(5, (1000, 1000))
    values, weights = da.values.ravel(), area.broadcast_like(da).values.ravel()
    found, exact = stats.natural_breaks(da, 5, weights=area), dynamic_program_by_halves(values, weights, 5)
    excess = within(values, weights, found) - within(values, weights, exact)
    assert excess <= excess_allowed(values, weights, exact, values.min(), values.max(), 1 << 16) + 1e-9


@given(
    values=hnp.arrays("f8", st.integers(1, 200), elements=st.floats(-10, 10)),
    cuts=st.lists(st.integers(0, 200), max_size=5),
    seed=st.integers(0, 100),
)
@settings(max_examples=100, deadline=None)
def test_counts_of_parts_add_up_to_those_of_the_whole(values, cuts, seed):
    rng = np.random.default_rng(seed)
    weights = rng.random(values.size)
    edges = sorted({0, values.size, *(c for c in cuts if c < values.size)})
    parts = rng.permutation(list(itertools.pairwise(edges)))
    bins = Bins.first().divided(np.array([40_000, 48_000]), np.array([6, 9]))

    def counted(a, b):
        out = bins.empty()
        out.take(values[a:b], weights[a:b])
        return out

    whole, total = counted(0, values.size), bins.empty()
    for a, b in parts:
        total = total + counted(a, b)
    for name in ("sums", "smallest", "largest"):
        assert getattr(total, name).tobytes() == getattr(whole, name).tobytes()
    # the weight of each value is kept to 2**-20
    assert_allclose(whole.sums[0].sum() / 2**20, weights.sum(), atol=values.size * 2**-21)


def test_one_value_makes_no_classes():
    def counted(bins):
        out = bins.empty()
        out.take(np.full(100, 3.0), 1.0)
        return out

    with pytest.raises(SpecError, match=r"1 distinct value\(s\) cannot make 2 classes"):
        natural_of(counted, 2)


# --- weights belong to their cells


@pytest.mark.parametrize("shape", [(40, 50), (300, 320)])
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_in_another_order_are_the_same_weights(shape, lazy):
    da, area = field(6, shape)
    da = da + np.linspace(-2, 2, shape[0])[:, None]
    area = area**8  # strong, so that a mistaken order shows
    da = da.chunk(latitude=20) if lazy else da
    whole = stats.natural_breaks(da, 5, weights=area)
    try:
        turned = stats.natural_breaks(da, 5, weights=area.sortby("latitude"))
    except SpecError:
        return  # a refusal is as good
    assert turned == whole


@pytest.mark.parametrize("lazy", [False, True])
def test_weights_on_other_coordinates_are_refused(lazy):
    da, area = field(7, (40, 50))
    da = da.chunk(latitude=20) if lazy else da
    with pytest.raises(SpecError):
        stats.natural_breaks(da, 5, weights=area.assign_coords(latitude=area.latitude + 1e-9))


@pytest.mark.parametrize("scale", [2.0**-30, 2.0**-10, 2.0**20, 2.0**40], ids=lambda s: f"2**{math.log2(s):.0f}")
def test_the_unit_of_the_weights_does_not_matter(scale):
    """Areas in km2, in m2 or as shares of the whole: the same breaks (here of 96,000 cells)."""
    da, area = field(8)
    assert stats.natural_breaks(da, 5, weights=area * scale) == stats.natural_breaks(da, 5, weights=area)


# --- classes


@given(
    values=hnp.arrays(st.sampled_from(["f4", "f8"]), st.integers(1, 60), elements=st.floats(-4, 4, width=32)),
    inner=st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=8, unique=True),
    hole=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_classes_are_closed_below_and_open_above(values, inner, hole):
    inner = sorted(inner)
    values[: len(inner)] = inner[: values.size]
    if hole:
        values[-1] = np.nan
    found = stats.classify(flat(values), inner)
    assert found.dtype == np.uint8
    assert found.values.tolist() == [classes_by_counting(v, inner) for v in values.tolist()]


def test_a_break_is_the_smallest_of_its_class():
    da, area = field(9, (60, 70))
    breaks = stats.natural_breaks(da, 5, weights=area)
    classes = stats.classify(da, breaks)
    for c, least in enumerate(breaks, start=1):
        assert float(da.where(classes == c).min()) == least
        assert float(da.where(classes == c - 1).max()) < least


def test_float32_breaks_fall_where_they_should():
    # -0.477 in float32 is above -0.477 in float64, 0.484 below 0.484
    values = np.array([-0.477, 0.484, 0.0, -0.0], "f4")
    assert stats.classify(flat(values), [-0.477, 0.0, 0.484]).values.tolist() == [
        int(float(values[0]) >= -0.477),
        2 + int(float(values[1]) >= 0.484),
        2,
        2,
    ]


def test_the_outer_classes_are_open():
    assert stats.classify(flat([-np.inf, -1e300, 1e300, np.inf, np.nan]), [0.0]).values.tolist() == [0, 0, 1, 1, 255]


@pytest.mark.parametrize("chunks", [{"latitude": 7}, {"latitude": 10, "longitude": 3}])
def test_classes_of_lazy_maps(chunks):
    da, _ = field(10, (40, 50))
    whole = stats.classify(da, [-1.0, 0.5], labels=["a", "b", "c"])
    with forbid_compute():
        lazy = stats.classify(da.chunk(chunks), [-1.0, 0.5], labels=["a", "b", "c"])
    assert lazy.chunks is not None
    xr.testing.assert_identical(lazy.compute(), whole)


def test_attributes_of_classes():
    da = flat([1.0, 2.0], cell=[7, 8]).assign_attrs(long_name="slope", units="g m-2 year-2")
    found = stats.classify(
        da, [0.0, 1.5], labels=["much worse", "same", "better"], colors=["#000000", "#111111", "#222222"]
    )
    attrs = dict(found.attrs)
    assert_array_equal(attrs.pop("flag_values"), np.array([0, 1, 2, 255], "u1"))
    assert_array_equal(attrs.pop("breaks"), [0.0, 1.5])
    assert attrs == {
        "long_name": "class of slope",
        "units": "1",
        "flag_meanings": "much_worse same better no_data",
        "flag_colors": "#000000 #111111 #222222 #d9d9d9",
    }
    assert found.attrs["flag_values"].dtype == np.uint8
    assert found.cell.values.tolist() == [7, 8]
    assert "flag_colors" not in stats.classify(da, [0.0]).attrs
    assert stats.classify(da, [0.0]).attrs["flag_meanings"] == "below_0 0_and_above no_data"


@pytest.mark.parametrize(
    "inner", [[-0.477, 0.0, 0.484, 0.813], [0.0], [1e-7, 12345.678, 1e9], [-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8]]
)
def test_labels(inner):
    assert stats.interval_labels(inner) == labels_by_hand(inner)
    assert stats.interval_labels([-0.477, 0.0, 0.484]) == [
        "below -0.477",
        "-0.477 to 0",
        "0 to 0.484",
        "0.484 and above",
    ]


@pytest.mark.parametrize("inner", [[], [1.0, 1.0], [2.0, 1.0], [np.nan], [0.0, np.nan], [0.0, np.inf]])
def test_breaks_that_do_not_rise(inner):
    with pytest.raises(SpecError) as caught:
        stats.classify(flat([1.0]), inner)
    assert caught.value.what == f"classes: the breaks {inner} do not rise."
    assert caught.value.way_out == "Give finite numbers in rising order."


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "c"], []])
def test_labels_that_are_too_few_or_many(labels):
    with pytest.raises(SpecError) as caught:
        stats.classify(flat([1.0]), [0.0], labels=labels)
    assert caught.value.what == f"classes: 2 classes, {len(labels)} labels."
