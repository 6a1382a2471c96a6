"""Shares of cells against GEOS and exactextract, in any window, and sums of a thousand regions."""

import itertools

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from region_factories import (
    LAX,
    dense,
    frame_of,
    rectangles,
    shares_by_geos,
    small_grid,
    stars,
    tessellation,
    whole,
    windows_of,
)

import nepcube as nc
from nepcube.grid import Window, cell_area, edges, windows
from nepcube.regions import (
    UNION,
    ClassSums,
    Members,
    YearSums,
    groups_of,
    label_window,
    shapes_near,
    share_window,
)
from nepcube.regions.shapes import shapes_of


def members_of(polygons, grid, window=None):
    frame = frame_of(polygons)
    window = window or whole(grid)
    return share_window(shapes_near(frame, grid, window), grid, window)


@LAX
@given(polygon=st.one_of(stars(), stars(hole=True), rectangles()), data=st.data())
def test_the_share_of_a_cell_is_that_of_geos_and_the_same_in_any_window(polygon, data):
    grid = small_grid()
    found = dense(members_of([polygon], grid), 1, grid.shape)
    np.testing.assert_allclose(found, shares_by_geos(polygon, grid), rtol=0, atol=1e-8)
    assert found.max() <= 1.0
    for _ in range(3):
        window = data.draw(windows_of(grid.shape))
        part = members_of([polygon], grid, window)
        np.testing.assert_array_equal(dense(part, 1, window.shape), found[window.slices])
        np.testing.assert_array_equal(part.shares_of(UNION, window.shape), found[window.slices])


def test_shares_are_those_of_exactextract():
    exactextract = pytest.importorskip("exactextract")
    grid = small_grid("4000 m")
    y, x = edges(grid)
    blob = shapely.Point(91, 32.7).buffer(0.6).difference(shapely.Point(91.1, 32.8).buffer(0.2))
    island = shapely.Polygon([(90.1, 32.1), (90.13, 32.4), (90.11, 32.15)])
    sliver = shapely.Polygon([(90.2, 33.4), (91.9, 33.4003), (91.9, 33.4001)])
    polygons = [shapely.MultiPolygon([blob, island]), sliver, shapely.box(91.5, 31, 95, 32.5)]
    source = exactextract.raster.NumPyRasterSource(
        np.ones(grid.shape), xmin=x.min(), ymin=y.min(), xmax=x.max(), ymax=y.max()
    )
    told = exactextract.exact_extract(source, frame_of(polygons), ["cell_id", "coverage"], output="pandas")
    members = members_of(polygons, grid)
    for k in range(len(polygons)):
        right = np.zeros(grid.shape[0] * grid.shape[1])
        right[told["cell_id"][k]] = told["coverage"][k]
        np.testing.assert_allclose(dense(members, k + 1, grid.shape).ravel(), right, rtol=0, atol=2e-6)


@LAX
@given(seed=st.integers(0, 10**6), count=st.integers(2, 40))
def test_neighbours_fill_their_cells_exactly(seed, count):
    grid = small_grid()
    y, x = edges(grid)
    polygons = tessellation(count, (x.min() - 0.1, y.min() - 0.1, x.max() + 0.1, y.max() + 0.1), seed)
    members = members_of(polygons, grid)
    total = sum(dense(members, k, grid.shape) for k in range(1, count + 1))
    # each share is rounded once to float64
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-15 * count)
    np.testing.assert_array_equal(members.shares_of(UNION, grid.shape), 1.0)


@LAX
@given(at=st.lists(st.integers(0, 20), min_size=2, max_size=5, unique=True))
def test_borders_on_the_lines_of_the_grid_touch_no_further_cell(at):
    grid = small_grid()
    y, x = edges(grid)
    cuts = sorted(at)
    strips = [shapely.box(x[a], y[-1], x[b], y[0]) for a, b in itertools.pairwise(cuts)]
    members = members_of(strips, grid)
    for k, (a, b) in enumerate(itertools.pairwise(cuts), start=1):
        found = dense(members, k, grid.shape)
        assert (found[:, a:b] == 1.0).all()
        assert found.sum() == (b - a) * grid.shape[0]


def test_a_region_outside_the_grid_has_nothing():
    grid = small_grid()
    members = members_of([shapely.box(10, 10, 20, 20), shapely.box(91, 32.5, 91.001, 32.501)], grid)
    assert members.labels.tolist() == [0, 2]
    size = shapely.area(shapely.box(91, 32.5, 91.001, 32.501)) / abs(grid.affine.a * grid.affine.e)
    assert members.shares[members.which == 1].sum() == pytest.approx(size, rel=1e-6)


def test_the_union_has_each_bit_of_area_once():
    from nepcube.regions.overlaps import overlaps_of

    grid = small_grid()
    polygons = [
        shapely.box(90.2, 32.2, 91.1, 33.1),
        shapely.Point(91.2, 32.9).buffer(0.45),
        shapely.box(90.9, 32.7, 91.6, 33.3),
        shapely.box(90.3, 32.3, 90.6, 32.6),
    ]
    frame = frame_of(polygons)
    shared = overlaps_of(frame.geometry.to_numpy(), frame.crs)
    assert shared.firsts[0] is frame.geometry[0]
    assert shared.firsts[3] is None
    members = share_window(shapes_of(frame.assign(first=list(shared.firsts))), grid, whole(grid))
    np.testing.assert_allclose(
        members.shares_of(UNION, grid.shape), shares_by_geos(shapely.union_all(polygons), grid), rtol=0, atol=1e-8
    )
    for k, polygon in enumerate(polygons, start=1):
        np.testing.assert_allclose(dense(members, k, grid.shape), shares_by_geos(polygon, grid), rtol=0, atol=1e-8)


# --- many regions ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def thousand():
    grid = small_grid("1500 m")
    y, x = edges(grid)
    return grid, frame_of(tessellation(1000, (x.min(), y.min(), x.max(), y.max())))


@pytest.mark.parametrize("way", ["centre", "exact"])
def test_a_thousand_regions_have_the_sums_of_numpy_in_any_cut(thousand, way):
    grid, frame = thousand
    rng = np.random.default_rng(3)
    values = rng.normal(50, 80, (3, *grid.shape)).astype(np.float32)
    values[rng.random(values.shape) < 0.1] = np.nan
    codes = rng.choice(np.array([0, 1, 4, 255], np.uint8), grid.shape)
    counts = rng.random(grid.shape) < 0.9

    def summed(window):
        shapes = shapes_near(frame, grid, window)
        if way == "centre":
            members = Members.of_labels(label_window(shapes, grid, window), outside=False)
        else:
            members = share_window(shapes, grid, window)
        area = cell_area(grid, window).values
        # no sum is larger than the regions of the block
        assert members.labels.size <= len(shapes.numbers) + 1
        at = window.slices
        return YearSums.of(values[(slice(None), *at)], members, area, counts[at]), ClassSums.of(
            codes[at], members, area
        )

    series, classes = summed(whole(grid))
    for block in (37, 64):
        total = None
        for window in windows(grid, block):
            part = summed(window)
            total = part if total is None else tuple(a + b for a, b in zip(total, part, strict=True))
        for name in ("labels", "cells", "area", "total"):
            np.testing.assert_array_equal(getattr(total[0], name), getattr(series, name))
        np.testing.assert_array_equal(total[1].area, classes.area)
    if way == "centre":
        labels = nc.label_regions(frame, grid).values
        weights = [np.where(labels == k, 1.0, 0.0) for k in range(1, 1001)]
        assert (labels > 0).all()
    else:
        cells = members_of(frame.geometry, grid)
        weights = [cells.shares_of(k, grid.shape) for k in range(1, 1001)]
    groups = groups_of(list(frame["name"]), union=way == "exact")
    number, area, sums = series.over_each(list(groups.values()))
    of_codes = classes.over_each(list(groups.values()), [[0], [1, 4], [255]])
    w = np.broadcast_to(cell_area(grid).values[:, None], grid.shape)
    for k in (*range(0, 1000, 97), 1000):
        share = (weights[k] if k < 1000 else np.ones(grid.shape)) * w
        for t in range(3):
            there = counts & np.isfinite(values[t]) & (share > 0)
            assert number[0, k, t] == there.sum()
            assert area[0, k, t] == pytest.approx(share[there].sum(), rel=1e-11)
            assert sums[0, k, t] == pytest.approx((values[t].astype(float) * share)[there].sum(), rel=1e-9, abs=1e-9)
        for c, chosen in enumerate(([0], [1, 4], [255])):
            assert of_codes[k, c] == pytest.approx(share[np.isin(codes, chosen)].sum(), rel=1e-11)
    # regions add up to their union
    np.testing.assert_allclose(area[0, :1000].sum(axis=0), area[0, 1000], rtol=1e-12)
    np.testing.assert_allclose(of_codes[:1000].sum(axis=0), of_codes[1000], rtol=1e-12)


def test_a_job_is_sent_the_polygons_near_its_block_only(thousand):
    import pickle

    grid, frame = thousand
    window = Window(0, 20, 0, 20)
    shapes = shapes_near(frame, grid, window)
    y, x = edges(grid)
    box = shapely.box(x[0], y[20], x[20], y[0])
    inside = np.flatnonzero(shapely.intersects(frame.geometry.to_numpy(), box)) + 1
    assert set(inside) <= set(shapes.numbers)
    assert len(shapes.numbers) < 60
    assert len(pickle.dumps(shapes)) < len(pickle.dumps(shapes_of(frame))) / 10
