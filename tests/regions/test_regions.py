"""Labels against shapely, sums against exact fractions, and both however they are cut."""

import itertools
import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import geopandas as gpd
import numpy as np
import oracle
import pytest
import shapely
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nepcube as nc
from nepcube.errors import NepcubeError, RegionError
from nepcube.grid import Window, cell_area, coordinates
from nepcube.regions import ClassSums, Members, YearSums, label_window, load_regions, shapes_near

LAX = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
BOX = (90.0, 32.0, 92.0, 33.5)


def small_grid():
    return nc.target_grid(BOX, resolution="5000 m")


def utm_grid():
    return nc.target_grid((500_000, 3_500_000, 700_000, 3_660_000), resolution="4000 m", crs="EPSG:32646")


def frame_of(polygons, crs="EPSG:4326"):
    return gpd.GeoDataFrame({"name": [f"r{k}" for k in range(len(polygons))]}, geometry=list(polygons), crs=crs)


def whole(grid):
    return Window(0, grid.shape[0], 0, grid.shape[1])


def label_in(frame, grid, window):
    return label_window(shapes_near(frame, grid, window), grid, window)


def check_labels(polygons, grid, labels):
    y, x = coordinates(grid)
    right = oracle.polygon_labels(polygons, x, y)
    sure = right >= 0
    np.testing.assert_array_equal(labels[sure], right[sure])
    return sure


@st.composite
def rectangle(draw, margin=0.5):
    a, b = sorted([draw(st.floats(BOX[0] - margin, BOX[2] + margin)) for _ in range(2)])
    c, d = sorted([draw(st.floats(BOX[1] - margin, BOX[3] + margin)) for _ in range(2)])
    return shapely.box(a, c, max(b, a + 1e-6), max(d, c + 1e-6))


@st.composite
def blob(draw):
    # a star around a point, of a size from a metre to the whole grid
    cx, cy = draw(st.floats(89.0, 93.0)), draw(st.floats(31.5, 34.0))
    size = 10 ** draw(st.floats(-5, 0))
    n = draw(st.integers(3, 9))
    radii = draw(st.lists(st.floats(0.2, 1.0), min_size=n, max_size=n))
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return shapely.Polygon(
        [(cx + size * r * np.cos(a), cy + size * r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    )


@st.composite
def windows_of(draw, shape):
    y0 = draw(st.integers(0, shape[0] - 1))
    x0 = draw(st.integers(0, shape[1] - 1))
    return Window(y0, draw(st.integers(y0 + 1, shape[0])), x0, draw(st.integers(x0 + 1, shape[1])))


@LAX
@given(polygon=st.one_of(blob(), rectangle()), data=st.data())
def test_any_polygon_is_labelled_as_shapely_would_and_in_any_window(polygon, data):
    grid, frame = small_grid(), frame_of([polygon])
    labels = nc.label_regions(frame, grid).values
    check_labels([polygon], grid, labels)
    for _ in range(4):
        window = data.draw(windows_of(grid.shape))
        np.testing.assert_array_equal(label_in(frame, grid, window), labels[window.slices])


@LAX
@given(at=st.lists(st.floats(0.02, 0.98), min_size=2, max_size=5, unique=True), data=st.data())
def test_touching_regions_leave_no_cell_between_them(at, data):
    cuts = [BOX[0] - 1, *sorted(BOX[0] + f * (BOX[2] - BOX[0]) for f in at), BOX[2] + 1]
    strips = [shapely.box(a, 31, b, 34.5) for a, b in itertools.pairwise(cuts)]
    grid, frame = small_grid(), frame_of(strips)
    labels = nc.label_regions(frame, grid).values
    assert (labels > 0).all()
    check_labels(strips, grid, labels)
    window = data.draw(windows_of(grid.shape))
    np.testing.assert_array_equal(label_in(frame, grid, window), labels[window.slices])


@LAX
@given(
    col=st.integers(1, 40), row=st.integers(1, 30), height=st.integers(1, 20), width=st.integers(1, 20), data=st.data()
)
def test_edges_through_centres_fall_alike_in_every_window(col, row, height, width, data):
    grid = small_grid()
    y, x = coordinates(grid)
    r1, c1 = min(row + height, y.size - 1), min(col + width, x.size - 1)
    left = shapely.box(x[0] - 1, y[r1], x[col], y[row - 1])
    right = (
        shapely.box(x[col], y[r1], x[c1], y[row - 1])
        if c1 > col
        else shapely.box(x[col], y[r1], x[col] + 1, y[row - 1])
    )
    frame = frame_of([left, right])
    labels = nc.label_regions(frame, grid).values
    check_labels([left, right], grid, labels)
    for _ in range(3):
        window = data.draw(windows_of(grid.shape))
        np.testing.assert_array_equal(label_in(frame, grid, window), labels[window.slices])


def test_a_region_far_away_or_smaller_than_a_cell_has_no_cell():
    grid = small_grid()
    y, x = coordinates(grid)
    tiny = shapely.box(x[3] + 0.01, y[5] + 0.01, x[3] + 0.012, y[5] + 0.012)
    inside = shapely.box(x[7] - 1e-4, y[5] - 1e-4, x[7] + 1e-4, y[5] + 1e-4)
    labels = nc.label_regions(frame_of([shapely.box(10, 10, 20, 20), tiny, inside]), grid).values
    assert labels.max() == 3
    assert (labels == 3).sum() == 1
    assert labels[5, 7] == 3
    assert set(np.unique(labels)) == {0, 3}


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_windows_are_slices_of_the_whole(archive, seed):
    grid = nc.target_grid(oracle.BOUNDS, resolution="8000 m")
    frame = archive.truth.regions[["name", "geometry"]]
    labels = nc.label_regions(frame, grid)
    assert labels.dtype == np.int16
    sure = check_labels(list(frame.geometry), grid, labels.values)
    assert sure.mean() > 0.999
    rng = np.random.default_rng(seed)
    rows, cols = grid.shape
    for _ in range(15):
        y0, x0 = rng.integers(rows), rng.integers(cols)
        window = Window(int(y0), int(rng.integers(y0, rows)) + 1, int(x0), int(rng.integers(x0, cols)) + 1)
        np.testing.assert_array_equal(label_in(frame, grid, window), labels.values[window.slices])


def test_a_projected_grid():
    grid = utm_grid()
    _y, x = coordinates(grid)
    polygons = [
        shapely.Polygon([(510e3, 3510e3), (600e3, 3520e3), (580e3, 3640e3)]),
        shapely.box(610e3, 3505e3, 690e3, 3600e3),
    ]
    frame = frame_of(polygons, "EPSG:32646")
    labels = nc.label_regions(frame, grid)
    assert labels.dims == ("y", "x")
    check_labels(polygons, grid, labels.values)
    # given in degrees, the same but along the edges
    again = nc.label_regions(frame.to_crs("EPSG:4326"), grid).values
    assert (again != labels.values).mean() < 0.01
    for window in (Window(0, 1, 0, x.size), Window(3, 20, 7, 8), Window(11, 12, 13, 14)):
        np.testing.assert_array_equal(label_in(frame, grid, window), labels.values[window.slices])


def test_cell_areas_on_both_kinds_of_grid():
    grid = small_grid()
    y, _ = coordinates(grid)
    res = abs(grid.affine.e)
    right = [oracle.zone_area(v - res / 2, v + res / 2, res) for v in y]
    np.testing.assert_allclose(cell_area(grid).values, right, rtol=1e-12)
    # on a projected grid: the geodesic area of the cell's corners
    from pyproj import Geod, Transformer

    grid = utm_grid()
    y, x = coordinates(grid)
    to_degrees = Transformer.from_crs("EPSG:32646", "EPSG:4326", always_xy=True)
    area = cell_area(grid)
    for i, j in ((0, 0), (5, 30), (y.size - 1, x.size - 1)):
        ring = [(x[j] + a, y[i] + b) for a, b in ((-2000, -2000), (2000, -2000), (2000, 2000), (-2000, 2000))]
        lon, lat = to_degrees.transform(*zip(*ring, strict=True))
        exact = abs(Geod(ellps="WGS84").polygon_area_perimeter(lon, lat)[0]) / 1e6
        assert float(area[i, j]) == pytest.approx(exact, rel=1e-6)


# --- sums -----------------------------------------------------------------------------------------------------------


def fraction_sums(values, labels, areas, counts, size):
    """Cells, areas and totals as exact fractions of the float64 products."""
    kinds, steps = 3, values.shape[0]
    cells = np.zeros((kinds, size, steps), int)
    area = [[[Fraction(0)] * steps for _ in range(size)] for _ in range(kinds)]
    total = [[[Fraction(0)] * steps for _ in range(size)] for _ in range(kinds)]
    for t, i, j in np.ndindex(values.shape):
        v = float(values[t, i, j])
        if not counts[i, j] or v != v:
            continue
        for k in [0] + ([1] if v > 0 else [2] if v < 0 else []):
            g = labels[i, j]
            cells[k, g, t] += 1
            area[k][g][t] += Fraction(float(areas[i, j]))
            total[k][g][t] += Fraction(v * float(areas[i, j]))
    return cells, area, total


def random_block(seed, shape=(3, 17, 23), regions=4):
    rng = np.random.default_rng(seed)
    values = (rng.normal(0, 200, shape) * rng.choice([1e-3, 1, 10], shape)).astype(np.float32)
    values[rng.random(shape) < 0.2] = np.nan
    values[rng.random(shape) < 0.1] = 0.0
    labels = rng.integers(0, regions + 1, shape[1:]).astype(np.int16)
    return values, labels, rng.uniform(0.15, 60, shape[1:]), rng.random(shape[1:]) < 0.8


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_the_exact_sums_rounded_once(seed):
    values, labels, areas, counts = random_block(seed)
    sums = YearSums.of(values, Members.of_labels(labels), areas, counts)
    cells, area, total = fraction_sums(values, labels, areas, counts, 5)
    np.testing.assert_array_equal(sums.cells, cells)
    for members in (np.array([0]), np.array([3]), np.arange(1, 5)):
        got_cells, got_area, got_total = sums.over(members)
        for k, t in np.ndindex(3, 3):
            assert got_cells[k, t] == cells[k, members, t].sum()
            exact_area = sum(area[k][g][t] for g in members)
            exact_total = sum(total[k][g][t] for g in members)
            # a product below 8 has bits beyond 2**-50: no more than 2**-51 a cell
            slack = values.shape[1] * values.shape[2] * 2.0**-51
            assert abs(Fraction(got_area[k, t]) - exact_area) <= Fraction(np.spacing(float(exact_area)) + slack)
            assert abs(Fraction(got_total[k, t]) - exact_total) <= Fraction(abs(np.spacing(float(exact_total))) + slack)


@LAX
@given(
    rows=st.lists(st.integers(1, 16), max_size=4),
    cols=st.lists(st.integers(1, 22), max_size=4),
    seed=st.integers(0, 99),
)
def test_sums_do_not_depend_on_the_cut(rows, cols, seed):
    values, labels, areas, counts = random_block(seed)
    once = YearSums.of(values, Members.of_labels(labels), areas, counts)
    codes = np.nan_to_num(values[0]).astype(np.int64).astype(np.uint8)
    classes = ClassSums.of(codes, Members.of_labels(labels), areas)
    parts, counted = [], []
    ys, xs = sorted({0, *rows, 17}), sorted({0, *cols, 23})
    for a, b in itertools.pairwise(ys):
        for c, d in itertools.pairwise(xs):
            at = (slice(a, b), slice(c, d))
            parts.append(YearSums.of(values[(slice(None), *at)], Members.of_labels(labels[at]), areas[at], counts[at]))
            counted.append(ClassSums.of(codes[at], Members.of_labels(labels[at]), areas[at]))
    np.random.default_rng(seed).shuffle(parts)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    classed = counted[0]
    for part in counted[1:]:
        classed = classed + part
    for name in ("cells", "area", "total"):
        np.testing.assert_array_equal(getattr(total, name), getattr(once, name))
    np.testing.assert_array_equal(classed.area, classes.area)
    for k in range(5):
        assert classes.whole(np.array([k])) == pytest.approx(areas[labels == k].sum(), rel=1e-14)
        for code in np.unique(codes):
            right = areas[(labels == k) & (codes == code)].sum()
            assert classes.over(np.array([k]))[code] == pytest.approx(right, rel=1e-13, abs=1e-13)


def labelled_map(steps=4):
    grid = small_grid()
    rng = np.random.default_rng(5)
    y, x = coordinates(grid)
    values = rng.normal(50, 30, (steps, y.size, x.size)).astype(np.float32)
    values[:, rng.random((y.size, x.size)) < 0.15] = np.nan
    halves = frame_of([shapely.box(89, 31, 91, 35), shapely.box(91, 31, 92.2, 33)])
    labels = nc.label_regions(halves, grid)
    coords = {"time": np.arange(steps), "latitude": labels["latitude"], "longitude": labels["longitude"]}
    da = xr.DataArray(values, coords, ("time", "latitude", "longitude"), "nep", {"units": "g m-2 year-1"})
    return da, labels, cell_area(grid)


def test_aggregate_is_the_weighted_mean():
    da, labels, area = labelled_map()
    got = nc.aggregate(da, labels, weights=area)
    assert got["mean"].attrs["units"] == "g m-2 year-1"
    w = np.broadcast_to(area.values[:, None], labels.shape)
    for k in (1, 2):
        for t in range(4):
            v = da.values[t].astype(float)
            cells = (labels.values == k) & np.isfinite(v)
            at = got.isel(region=k - 1, time=t)
            assert float(at["mean"]) == pytest.approx(np.average(v[cells], weights=w[cells]), rel=1e-12)
            assert float(at["total"]) == pytest.approx((v * w)[cells].sum(), rel=1e-12)
            assert float(at["area"]) == pytest.approx(w[cells].sum(), rel=1e-12)
            assert int(at["cells"]) == cells.sum()


def test_aggregate_does_not_depend_on_chunks_or_order():
    da, labels, area = labelled_map()
    once = nc.aggregate(da, labels, weights=area)
    for chunks in ({"latitude": 7, "longitude": 11, "time": 1}, {"latitude": -1, "longitude": 3, "time": 2}):
        xr.testing.assert_identical(nc.aggregate(da.chunk(chunks), labels, weights=area), once)
    turned = nc.aggregate(da.transpose("longitude", "time", "latitude"), labels, weights=area)
    xr.testing.assert_identical(turned, once)
    single = nc.aggregate(da.isel(time=2, drop=True), labels, weights=area)
    xr.testing.assert_identical(single["mean"], once["mean"].isel(time=2, drop=True))


def test_aggregate_of_labels_on_other_cells_is_refused():
    da, labels, area = labelled_map()
    with pytest.raises(NepcubeError):
        nc.aggregate(da.isel(latitude=slice(1, None)), labels, weights=area)
    with pytest.raises(NepcubeError):
        nc.aggregate(da.assign_coords(longitude=da["longitude"] + 0.001), labels, weights=area)


def test_aggregate_of_large_numbers_is_right_or_refused():
    # net radiation of a year in J m-2 over 300,000 km2: the total is beyond 2**63 / 2**20
    da, labels, area = labelled_map(1)
    joules = xr.full_like(da, 5e9).assign_attrs(units="J m-2")
    weights = area * 100.0
    try:
        got = nc.aggregate(joules, labels, weights=weights)
    except NepcubeError:
        return
    assert float(got["mean"].isel(region=0, time=0)) == pytest.approx(5e9, rel=1e-9)


def test_aggregate_does_not_take_infinity_for_a_number():
    da, labels, area = labelled_map(1)
    values = da.values.copy()
    values[0, 3, 3] = np.inf
    try:
        got = nc.aggregate(da.copy(data=values), labels, weights=area)
    except NepcubeError:
        return
    assert not np.isfinite(float(got["mean"].isel(region=0, time=0)))


def test_aggregate_keeps_the_regions_names():
    grid = small_grid()
    frame = frame_of([shapely.box(89, 31, 91, 35), shapely.box(91, 31, 93, 35)])
    frame["name"] = ["Qaidam_Basin", "Qaidam Basin"]
    da = xr.DataArray(np.ones(grid.shape, np.float32), dims=("latitude", "longitude"))
    labels = nc.label_regions(frame, grid)
    got = nc.aggregate(da.assign_coords(labels.drop_vars("spatial_ref").coords), labels, weights=cell_area(grid))
    assert len(set(got["region"].values.tolist())) == 2


# --- reading --------------------------------------------------------------------------------------------------------


def square(x=90.0, y=32.0, size=1.0):
    return shapely.box(x, y, x + size, y + size)


def test_load_regions_brings_them_to_the_crs_and_keeps_their_order(tmp_path):
    frame = gpd.GeoDataFrame({"label": ["b", "a"]}, geometry=[square(), square(91)], crs="EPSG:4326")
    frame.to_file(tmp_path / "r.gpkg")
    got = load_regions(tmp_path / "r.gpkg", name="label", crs="EPSG:32646")
    assert list(got["name"]) == ["b", "a"]
    assert got.crs == "EPSG:32646"
    assert got.geometry.iloc[0].area == pytest.approx(frame.to_crs("EPSG:32646").geometry.iloc[0].area)


def bow_tie():
    return shapely.Polygon([(90, 32), (91, 33), (91, 32), (90, 33)])


@pytest.mark.parametrize(
    ("names", "shapes", "says"),
    [
        (["a", "b"], [square(), square(90.5)], "overlap"),
        (["a", "a"], [square(), square(91)], "called"),
        (["a"], [bow_tie()], "not a valid polygon"),
        (["a"], [shapely.Point(90, 32)], "not a polygon"),
        (["a", "b"], [square(), shapely.Polygon()], "no geometry"),
    ],
)
def test_regions_that_cannot_be_used_are_refused(tmp_path, names, shapes, says):
    file = tmp_path / "r.gpkg"
    gpd.GeoDataFrame({"name": names}, geometry=shapes, crs="EPSG:4326").to_file(file)
    with pytest.raises(RegionError, match=says) as told:
        load_regions(file)
    assert str(file) in told.value.what


def test_slivers_between_neighbours_are_no_overlap(tmp_path):
    file = tmp_path / "r.gpkg"
    gpd.GeoDataFrame({"name": ["a", "b"]}, geometry=[square(), square(90.9999)], crs="EPSG:4326").to_file(file)
    frame = load_regions(file)
    grid = small_grid()
    labels = nc.label_regions(frame, grid).values
    for window in (Window(0, 20, 0, 20), Window(3, 4, 0, grid.shape[1])):
        np.testing.assert_array_equal(label_in(frame, grid, window), labels[window.slices])


def test_a_name_that_means_something_else_in_the_tables(tmp_path):
    # `all` is the row of the union of the regions
    feature = {
        "type": "Feature",
        "properties": {"name": "all"},
        "geometry": shapely.geometry.mapping(square()),
    }
    other = {**feature, "properties": {"name": "b"}, "geometry": shapely.geometry.mapping(square(91))}
    file = tmp_path / "r.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature, other]}))
    with pytest.raises(RegionError, match="all"):
        load_regions(file)


def test_labels_without_crs_or_names_are_refused():
    frame = frame_of([square()])
    with pytest.raises(RegionError):
        nc.label_regions(frame.set_crs(None, allow_override=True), small_grid())
    with pytest.raises(RegionError):
        nc.label_regions(frame.rename(columns={"name": "label"}), small_grid())


def test_labels_of_several_threads_warn_of_nothing():
    grid = nc.target_grid((90, 30, 100, 36), "2000 m")
    frame = frame_of([shapely.box(91, 31, 95, 35), shapely.box(95, 31, 99, 35)])
    with warnings.catch_warnings(record=True) as seen, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        found = list(pool.map(lambda _: label_in(frame, grid, Window(0, 128, 0, 128)), range(200)))
    assert {f.tobytes() for f in found} == {found[0].tobytes()}
    assert [w for w in seen if "geotransform" in str(w.message) or "gridpoint" in str(w.message)] == []


# --- sums of many groups --------------------------------------------------------------------------------------------


def test_sums_hold_only_the_groups_and_codes_that_occur():
    labels = np.array([[7, 7, 0], [900, 7, 900]])
    members = Members.of_labels(labels, outside=False)
    np.testing.assert_array_equal(members.labels, [7, 900])
    codes = np.array([[3, 3, 1], [255, 9, 255]], np.uint8)
    sums = ClassSums.of(codes, members, np.arange(1.0, 7.0).reshape(2, 3))
    np.testing.assert_array_equal(sums.codes, [1, 3, 9, 255])
    assert sums.area.shape == (2, 4, 2)
    assert sums.over(np.array([7]))[[3, 9]].tolist() == [3.0, 5.0]
    assert sums.over_each([np.array([900]), np.array([5]), np.array([7, 900])], [[255], [3, 255], [4]]).tolist() == [
        [10.0, 10.0, 0.0],
        [0.0, 0.0, 0.0],
        [10.0, 13.0, 0.0],
    ]
    assert sums.whole(np.array([7, 900])) == 18.0


@LAX
@given(data=st.data(), size=st.integers(1, 4))
def test_crossed_members_are_those_of_both_labels(data, size):
    shape = (data.draw(st.integers(1, 6)), data.draw(st.integers(1, 9)))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    labels, classes = rng.integers(0, 3, shape), rng.integers(-1, size, shape)
    crossed = Members.of_labels(labels, outside=False).crossed(classes, size)
    both = np.where((labels > 0) & (classes >= 0), labels * size + classes, -1)
    found = np.full(labels.size, -1)
    for start, length, which in zip(crossed.starts, crossed.lengths, crossed.which, strict=True):
        found[start : start + length] = crossed.labels[which]
    np.testing.assert_array_equal(found.reshape(shape), both)


def test_sums_added_in_place_are_the_sums():
    blocks = [random_block(seed, regions=3 + seed) for seed in range(4)]
    parts = [YearSums.of(v, Members.of_labels(g, outside=False), a, c) for v, g, a, c in blocks]
    right = parts[0] + parts[1] + parts[2] + parts[3]
    total = parts[3].widened(np.arange(8))
    for part in parts[:3]:
        total += part
    for name in ("labels", "cells", "area", "total"):
        kept = slice(None) if name == "labels" else (slice(None), np.isin(total.labels, right.labels))
        mine = total.labels[np.isin(total.labels, right.labels)] if name == "labels" else getattr(total, name)[kept]
        np.testing.assert_array_equal(mine, getattr(right, name))


def test_large_fixed_point_sums_are_rounded_once():
    from nepcube.regions.sums import exact

    parts = np.array([[2**60, 2**58 + 1], [-(2**55) - 1, -3], [5, -(2**29)], [0, 0], [2**53 - 1, 2**30 - 1]])
    right = [float(Fraction(int(c), 2**20) + Fraction(int(f), 2**50)) for c, f in parts]
    assert exact(parts).tolist() == right
