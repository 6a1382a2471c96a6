"""The engine `xesmf` on a stand-in: tiles, cuts of the source, corners, order of cells, kept files, and its messages.

ESMF is not to be had from PyPI. The stand-in takes xESMF's arguments and makes weights of its own: separable ones
between axes of degrees, polygons in the plane of longitude and sine of latitude (conservative) or the nearest on the
sphere between two-dimensional coordinates.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType, SimpleNamespace

import netCDF4
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree
from shapely import STRtree, area, intersection, polygons

import nepcube as nc
from nepcube.errors import GridError, SourceError
from nepcube.grid import Window, coordinates
from nepcube.harmonise import esmf, esmf_grids, tiles
from nepcube.harmonise.positions import Lattice
from nepcube.harmonise.weight_files import read_weights
from nepcube.harmonise.weights import apply_weights

SINUSOIDAL = "+proj=sinu +R=6371007.181 +units=m"
RADIUS = 6371007.181
# of xesmf.Regridder and its base, 0.9
OPTIONS = {
    *("locstream_in", "locstream_out", "periodic", "parallel", "filename", "reuse_weights", "extrap_method"),
    *("extrap_dist_exponent", "extrap_num_src_pnts", "weights", "ignore_degenerate", "input_dims", "output_dims"),
    *("unmapped_to_nan", "post_mask_source"),
}


# ------------------------------------------------------------------------------------------------------- the stand-in


def overlaps(source, target, measure):
    s, t = (np.sort(measure(np.stack([b[:-1], b[1:]])), axis=0) for b in (source, target))
    shared = np.minimum(s[1], t[1][:, None]) - np.maximum(s[0], t[0][:, None])
    return np.maximum(shared, 0) / (t[1] - t[0])[:, None]


def between(source, target):
    out = np.zeros((target.size, source.size))
    step = source[1] - source[0]
    for k, at in enumerate((target - source[0]) / step):
        j = min(int(np.floor(at)), source.size - 2)
        # whatever the cut of the source: from the two centres themselves
        if -1e-9 <= at <= source.size - 1 + 1e-9:
            right = (target[k] - source[j]) / (source[j + 1] - source[j])
            out[k, j], out[k, j + 1] = 1 - right, right
    return out


def closest(source, target):
    out = np.zeros((target.size, source.size))
    out[np.arange(target.size), np.abs(source - target[:, None]).argmin(axis=1)] = 1
    return out


def separable(ds_in, ds_out, method):
    def sine(b):
        return np.sin(np.radians(b))

    if method == "conservative":
        pairs = [(ds_in[n].values, ds_out[n].values) for n in ("lat_b", "lon_b")]
        one, other = (overlaps(*pair, measure) for pair, measure in zip(pairs, (sine, np.asarray), strict=True))
    else:
        make = between if method == "bilinear" else closest
        one, other = (make(ds_in[n].values, ds_out[n].values) for n in ("lat", "lon"))
    full = one[:, None, :, None] * other[None, :, None, :]
    full = full.reshape(one.shape[0] * other.shape[0], -1)
    rows, columns = np.nonzero(full)
    return rows, columns, full[rows, columns]


def in_two_dimensions(ds, corners):
    suffix = "_b" if corners else ""
    lat, lon = ds["lat" + suffix].values, ds["lon" + suffix].values
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    return lat, lon


def on_the_sphere(ds_in, ds_out):
    def points(ds):
        lat, lon = (np.radians(v.ravel()) for v in in_two_dimensions(ds, False))
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=1)

    columns = cKDTree(points(ds_in)).query(points(ds_out))[1]
    return np.arange(columns.size), columns, np.ones(columns.size)


def of_polygons(ds_in, ds_out):
    def cells(ds):
        lat, lon = in_two_dimensions(ds, True)
        at = np.stack([lon, np.degrees(np.sin(np.radians(lat)))], axis=-1)
        ring = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1], at[:-1, :-1]], axis=2)
        return polygons(ring.reshape(-1, 5, 2))

    source, target = cells(ds_in), cells(ds_out)
    if "mask" in ds_in:
        source[ds_in["mask"].values.ravel() == 0] = None
    rows, columns = STRtree(source).query(target, predicate="intersects")
    return rows, columns, area(intersection(target[rows], source[columns])) / area(target[rows])


class Regridder:
    calls: list
    fault: Exception | None

    def __init__(self, ds_in, ds_out, method, **options):
        if type(self).fault is not None:
            raise type(self).fault
        assert isinstance(ds_in, xr.Dataset)
        assert isinstance(ds_out, xr.Dataset)
        assert set(options) <= OPTIONS
        assert method in {"nearest_s2d", "bilinear", "conservative"}
        assert options["periodic"] is False
        assert options["unmapped_to_nan"] is False
        shapes = []
        for ds in (ds_in, ds_out):
            lat, lon = ds["lat"], ds["lon"]
            shape = lat.shape if lat.ndim == 2 else (lat.size, lon.size)
            assert min(shape) > 1, "can't currently regrid a grid that contains a DE of width less than 2"
            assert np.isfinite(lat.values).all()
            assert np.isfinite(lon.values).all()
            assert np.abs(lat.values).max() <= 90
            assert ("lat_b" in ds) == ("lon_b" in ds) == (method == "conservative")
            if method == "conservative":
                edge = (ds["lat_b"].shape, ds["lon_b"].shape)
                assert edge == (
                    ((shape[0] + 1,), (shape[1] + 1,)) if lat.ndim == 1 else ((shape[0] + 1, shape[1] + 1),) * 2
                )
                assert np.abs(ds["lat_b"].values).max() <= 90
            if "mask" in ds:
                assert ds["mask"].dims == lat.dims
                assert set(np.unique(ds["mask"])) == {0, 1}
                assert options["ignore_degenerate"] is True
            shapes.append(shape)
        type(self).calls.append((*shapes, method))
        if ds_in["lat"].ndim == 1 and ds_out["lat"].ndim == 1:
            rows, columns, values = separable(ds_in, ds_out, method)
        elif method == "conservative":
            rows, columns, values = of_polygons(ds_in, ds_out)
        else:
            rows, columns, values = on_the_sphere(ds_in, ds_out)
        # an xarray.DataArray of a sparse.COO
        self.weights = SimpleNamespace(data=SimpleNamespace(coords=np.stack([rows, columns]), data=values))


@pytest.fixture
def xesmf(monkeypatch):
    module = ModuleType("xesmf")
    module.Regridder = type("Regridder", (Regridder,), {"calls": [], "fault": None})
    monkeypatch.setitem(sys.modules, "esmpy", ModuleType("esmpy"))
    monkeypatch.setitem(sys.modules, "xesmf", module)
    monkeypatch.setattr(esmf, "_run_apart", lambda *asked: esmf._make_files(*asked[:-1]))
    return module.Regridder


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 20)


# --------------------------------------------------------------------------------------------------------------- grids

# 0.5 deg, north first; the target's cells are no fraction of it
DEGREES = Lattice(y0=39.75, x0=90.25, dy=-0.5, dx=0.5, rows=16, columns=20, crs="EPSG:4326")
FINE = GeoBox((31, 37), Affine(0.17, 0, 91.1, 0, -0.17, 38.2), "EPSG:4326")
COARSE = GeoBox((4, 5), Affine(1.3, 0, 91.1, 0, -1.3, 38.2), "EPSG:4326")
ALBERS = GeoBox(
    (9, 11),
    Affine(40000.0, 0, -1250000.0, 0, -40000.0, 4100000.0),
    "+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84 +units=m",
)


def whole(grid):
    return Window(0, grid.shape[0], 0, grid.shape[1])


def field(source, *, lead=(), missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.normal(10, 20, (*lead, source.rows, source.columns)).astype(np.float32)
    data[rng.random(data.shape) < missing] = np.nan
    return data


def as_dataset(data, source):
    y = source.y0 + source.dy * np.arange(source.rows)
    x = source.x0 + source.dx * np.arange(source.columns)
    from nepcube.sources.series import with_crs

    return with_crs(xr.Dataset({"v": (("latitude", "longitude"), data)}, {"latitude": y, "longitude": x}))


# --------------------------------------------------------------------------------------------------------------- tiles


def test_tiles_are_nearly_equal_and_near_their_size():
    grid = GeoBox((1500, 1024), Affine(0.004, 0, 91, 0, -0.004, 38), "EPSG:4326")
    for window in (whole(grid), Window(10, 511, 3, 4), Window(0, 1, 0, 550), Window(1499, 1500, 0, 551)):
        cut = tiles.tiles(DEGREES, grid, window, "bilinear")
        seen = np.zeros(grid.shape, int)
        for t in cut:
            seen[t.window.slices] += 1
            assert max(t.window.shape) <= 550
        assert (seen[window.slices] == 1).all()
        assert seen.sum() == window.shape[0] * window.shape[1]
    assert [t.window.shape for t in tiles.tiles(DEGREES, grid, Window(0, 1024, 0, 1024), "bilinear")] == [
        (512, 512)
    ] * 4


def test_a_fine_source_gets_smaller_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "SOURCE_CELLS", 150)
    cut = tiles.tiles(DEGREES, COARSE, whole(COARSE), "conservative")
    assert len(cut) > 2
    assert sum(t.window.shape[0] * t.window.shape[1] for t in cut) == 20
    for t in cut:
        assert t.source_shape[0] * t.source_shape[1] <= 150 or max(t.window.shape) < 4
    monkeypatch.setattr(tiles, "MOST_CELLS", 30)
    with pytest.raises(GridError) as caught:
        tiles.tiles(DEGREES, COARSE, whole(COARSE), "conservative")
    assert caught.value.what.startswith("engine: xesmf would need ")
    assert caught.value.way_out == (
        "Use a finer grid, one that lies within the source's projection, or leave `engine: xesmf` out."
    )


def test_a_tile_needs_its_cells_and_a_margin_of_the_source():
    # target rows 0 to 1 and columns 0 to 1: 38.2 to 36.9 N and 91.1 to 92.4 E
    tile = tiles.tiles(DEGREES, COARSE, Window(0, 1, 0, 1), "conservative")[0]
    # the edges lie in source rows 3 (38.5 to 38) and 6 (37 to 36.5), columns 2 (91 to 91.5) and 4 (92 to 92.5)
    assert tile.rows.start <= 3 - 1
    assert tile.rows.stop >= 6 + 2
    assert tile.columns.start <= 2 - 1
    assert tile.columns.stop >= 4 + 2
    assert tile.source_shape[0] < 12
    assert tile.source_shape[1] < 12


def test_what_lies_off_the_source_needs_no_esmf(monkeypatch):
    monkeypatch.setattr(esmf, "_run_apart", None)
    far = GeoBox((4, 5), Affine(0.1, 0, 10, 0, -0.1, 5), "EPSG:4326")
    for method in esmf.METHODS:
        assert esmf.source_extent(DEGREES, far, whole(far), method) is None
        got = esmf.regrid_window_esmf(field(DEGREES, lead=(2,)), DEGREES, far, whole(far), method)
        assert got.shape == (2, 4, 5)
        assert got.dtype == np.float32
        assert np.isnan(got).all()


# ------------------------------------------------------------------------------------------------ the default's answers


@pytest.mark.parametrize("min_fraction", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("missing", [0.0, 0.15])
def test_bilinear_and_nearest_are_those_of_the_default_engine(xesmf, small_tiles, missing, min_fraction):
    data = field(DEGREES, missing=missing)
    ds = as_dataset(data, DEGREES)
    # reaches beyond the source on every side
    grid = GeoBox((52, 61), Affine(0.21, 0, 89.013, 0, -0.21, 40.52), "EPSG:4326")
    for method in ("nearest", "bilinear"):
        got = esmf.regrid_window_esmf(data, DEGREES, grid, whole(grid), method, min_fraction)
        want = nc.regrid(ds, grid, method, min_fraction=min_fraction).v.values
        assert 0.2 < np.isnan(want).mean() < 0.95
        assert_array_equal(np.isnan(got), np.isnan(want))
        if method == "nearest":
            assert_array_equal(got, want)
        else:
            assert_allclose(got, want, rtol=2e-6, atol=2e-5)
    assert len(xesmf.calls) > 12


def dense_conservative(source, grid):
    """The whole matrix at once, from the grids themselves."""

    def edges(first, step, n):
        return first + step * (np.arange(n + 1) - 0.5)

    y, x = coordinates(grid)
    rows = overlaps(
        edges(source.y0, source.dy, source.rows),
        edges(y[0], grid.affine.e, y.size),
        lambda b: np.sin(np.radians(b)),
    )
    columns = overlaps(edges(source.x0, source.dx, source.columns), edges(x[0], grid.affine.a, x.size), np.asarray)
    return rows, columns


@pytest.mark.parametrize("grid", [FINE, COARSE], ids=["finer", "coarser"])
def test_conservative_is_the_share_of_the_areas(xesmf, small_tiles, grid):
    data = field(DEGREES, missing=0.2)
    rows, columns = dense_conservative(DEGREES, grid)
    there = np.isfinite(data)
    share = rows @ there.astype(float) @ columns.T
    total = rows @ np.where(there, data, 0).astype(float) @ columns.T
    got = esmf.regrid_window_esmf(data, DEGREES, grid, whole(grid), "conservative", 0.8)
    want = np.where(share >= 0.8, total / np.where(share > 0, share, 1), np.nan)
    assert 0.05 < np.isnan(want).mean() < 0.6
    assert_array_equal(np.isnan(got), np.isnan(want))
    assert_allclose(got, want, rtol=2e-6, atol=2e-5)


@st.composite
def two_grids(draw):
    def number(low, high):
        return draw(st.floats(low, high, allow_nan=False).map(lambda v: round(v, 3)))

    dy = number(0.2, 1.5) * draw(st.sampled_from([1, -1]))
    source = Lattice(
        number(-40, 40),
        number(-40, 40),
        dy,
        number(0.2, 1.5),
        draw(st.integers(2, 12)),
        draw(st.integers(2, 12)),
        "EPSG:4326",
    )
    east, north = source.x0 + number(-4, 8), source.y0 + number(-8, 8)
    rows, columns = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    return source, GeoBox((rows, columns), Affine(number(0.1, 2), 0, east, 0, -number(0.1, 2), north), "EPSG:4326")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(two_grids(), st.integers(1, 12))
def test_the_weights_of_any_two_grids_add_up(xesmf, monkeypatch, grids, side):
    source, grid = grids
    monkeypatch.setattr(tiles, "TILE", side)
    y, x = coordinates(grid)
    rows, columns = dense_conservative(source, grid)
    covered = rows.sum(axis=1)[:, None] * columns.sum(axis=1)
    r, c = (y - source.y0) / source.dy, (x - source.x0) / source.dx
    between_centres = ((r >= 0) & (r <= source.rows - 1))[:, None] & ((c >= 0) & (c <= source.columns - 1))
    plane = 3 + 2 * (source.y0 + source.dy * np.arange(source.rows))[:, None] - np.zeros(source.columns)
    for method, want in (("conservative", covered), ("bilinear", between_centres.astype(float))):
        sums = np.zeros(grid.shape)
        field_on_target = np.full(grid.shape, np.nan)
        for tile in tiles.tiles(source, grid, whole(grid), method):
            weights, _ = esmf._make(source, grid, tile, method)
            sums[tile.window.slices] = weights.sums.reshape(tile.window.shape)
            assert_allclose(weights.fracs, weights.sums, rtol=0, atol=1e-12)
            field_on_target[tile.window.slices] = apply_weights(weights, plane[tile.rows, tile.columns], 0.0)
        # centres on the outermost source centres are inside or outside up to rounding
        on_edge = np.isclose(r, np.clip(r, 0, source.rows - 1), atol=1e-6)[:, None] & np.isclose(
            c, np.clip(c, 0, source.columns - 1), atol=1e-6
        )
        settled = np.ones(grid.shape, bool) if method == "conservative" else between_centres | ~on_edge
        assert_allclose(sums[settled], want[settled], rtol=0, atol=1e-9)
        if method == "bilinear":
            linear = np.broadcast_to((3 + 2 * y)[:, None], grid.shape)
            assert_allclose(field_on_target[between_centres], linear[between_centres], rtol=1e-9, atol=1e-9)


def test_conservative_counts_what_the_source_does_not_cover(xesmf):
    # the second column's cells lie half off the source's eastern edge, 100 E
    grid = GeoBox((3, 2), Affine(1.0, 0, 98.5, 0, -1.0, 38.0), "EPSG:4326")
    data = np.full((16, 20), 7.0)
    assert_array_equal(
        esmf.regrid_window_esmf(data, DEGREES, grid, whole(grid), "conservative", 0.5), np.full((3, 2), 7)
    )
    got = esmf.regrid_window_esmf(data, DEGREES, grid, whole(grid), "conservative", 0.51)
    assert_array_equal(got, [[7, np.nan]] * 3)
    (_, weights), *_ = esmf.window_weights(DEGREES, grid, whole(grid), "conservative")
    assert_allclose(weights.fracs.reshape(3, 2), [[1, 0.5]] * 3, rtol=1e-12)


def test_corners_beyond_the_poles_are_at_the_poles(xesmf):
    source = Lattice(y0=90.0, x0=0.0, dy=-1.0, dx=1.0, rows=20, columns=12, crs="EPSG:4326")
    grid = GeoBox((3, 4), Affine(2.0, 0, 1.0, 0, -2.0, 90.0), "EPSG:4326")
    got = esmf.regrid_window_esmf(np.full((20, 12), 3.0), source, grid, whole(grid), "conservative", 1.0)
    assert_allclose(got, np.full((3, 4), 3), rtol=1e-6)


# ------------------------------------------------------------------------------------------------ however it is cut


@pytest.mark.parametrize("method", ["nearest", "bilinear", "conservative"])
@pytest.mark.parametrize(
    ("grid", "height", "width", "side"), [(FINE, 16, 19, 8), (COARSE, 3, 5, 2)], ids=["finer", "coarser"]
)
def test_tiles_windows_and_cuts_of_the_source_change_nothing(xesmf, monkeypatch, method, grid, height, width, side):
    data = field(DEGREES, lead=(2, 2), missing=0.1)
    want = esmf.regrid_window_esmf(data, DEGREES, grid, whole(grid), method)
    assert len(xesmf.calls) == 1
    assert np.isfinite(want).mean() > 0.5
    monkeypatch.setattr(tiles, "TILE", side)
    got = np.empty_like(want)
    rows, columns = grid.shape
    for y0 in range(0, rows, height):
        for x0 in range(0, columns, width):
            window = Window(y0, min(y0 + height, rows), x0, min(x0 + width, columns))
            ys, xs = esmf.source_extent(DEGREES, grid, window, method)
            got[..., window.y0 : window.y1, window.x0 : window.x1] = esmf.regrid_window_esmf(
                data[..., ys, xs], DEGREES, grid, window, method, origin=(ys.start, xs.start)
            )
    assert len(xesmf.calls) > 6
    assert max(np.prod(target) for _, target, _ in xesmf.calls[1:]) <= 81
    assert_array_equal(got, want)


def test_one_row_or_column_of_the_target_is_made_with_a_neighbour(xesmf):
    data = field(DEGREES)
    for method in esmf.METHODS:
        want = esmf.regrid_window_esmf(data, DEGREES, FINE, whole(FINE), method)
        for window in (Window(30, 31, 0, 37), Window(0, 31, 36, 37), Window(5, 6, 7, 8), Window(0, 1, 0, 1)):
            got = esmf.regrid_window_esmf(data, DEGREES, FINE, window, method)
            assert_array_equal(got, want[window.slices])
    one = GeoBox((1, 1), Affine(0.5, 0, 91.1, 0, -0.5, 38.2), "EPSG:4326")
    assert np.isfinite(esmf.regrid_window_esmf(data, DEGREES, one, whole(one), "bilinear")).all()


def test_a_source_of_one_row_is_refused(xesmf):
    row = Lattice(y0=37.0, x0=90.25, dy=-0.5, dx=0.5, rows=1, columns=20, crs="EPSG:4326")
    with pytest.raises(GridError) as caught:
        esmf.regrid_window_esmf(np.zeros((1, 20)), row, FINE, whole(FINE), "nearest")
    assert caught.value.what == "The source has one row; ESMF needs two."
    assert caught.value.way_out == "Keep two rows at least, or leave `engine: xesmf` out."


def test_data_that_lack_what_the_window_needs_are_refused(xesmf):
    ys, xs = esmf.source_extent(DEGREES, FINE, Window(0, 5, 0, 5), "bilinear")
    needed, same = esmf.source_extent(DEGREES, FINE, Window(0, 9, 0, 5), "bilinear")
    assert (same, needed.start) == (xs, ys.start)
    assert needed.stop > ys.stop
    data = field(DEGREES)[ys, xs]
    with pytest.raises(GridError) as caught:
        esmf.regrid_window_esmf(data, DEGREES, FINE, Window(0, 9, 0, 5), "bilinear", origin=(ys.start, xs.start))
    assert caught.value.what == (
        f"The data hold source rows {ys.start} to {ys.stop} and columns {xs.start} to {xs.stop}; the window needs rows "
        f"{ys.start} to {needed.stop} and columns {xs.start} to {xs.stop}."
    )
    assert caught.value.way_out == "Cut the source with `source_extent`."


# ----------------------------------------------------------------------------------------------------- two dimensions

# 0.1 deg of the meridian, 24 x 50 cells around 35 N, 97 E; north first
STEP = RADIUS * np.radians(0.1)
MODIS = Lattice(
    y0=RADIUS * np.radians(36.2),
    x0=RADIUS * np.radians(94) * np.cos(np.radians(35)),
    dy=-STEP,
    dx=STEP,
    rows=24,
    columns=50,
    crs=SINUSOIDAL,
)
ABOVE = GeoBox((6, 7), Affine(0.25, 0, 95.8, 0, -0.25, 36.0), "EPSG:4326")


def centre_of(lattice):
    """Latitude and longitude of each cell by Snyder's formula."""
    phi = (lattice.y0 + lattice.dy * np.arange(lattice.rows)) / RADIUS
    x = lattice.x0 + lattice.dx * np.arange(lattice.columns)
    return (
        np.repeat(np.degrees(phi)[:, None], x.size, axis=1),
        np.degrees(x[None, :] / (RADIUS * np.cos(phi)[:, None])),
    )


def test_a_sinusoidal_source_has_coordinates_in_two_dimensions(xesmf):
    lat, lon = centre_of(MODIS)
    y, x = coordinates(ABOVE)
    for name, place, want in (("lat", lat, y[:, None]), ("lon", lon, x[None, :])):
        got = esmf.regrid_window_esmf(place, MODIS, ABOVE, whole(ABOVE), "nearest")
        # half a cell, as wide as a degree of longitude is here
        assert np.abs(got - want).max() <= 0.05 / (1 if name == "lat" else np.cos(np.radians(36.2))) + 0.02
        got = esmf.regrid_window_esmf(place, MODIS, ABOVE, whole(ABOVE), "conservative", 1.0)
        # the mean of a coordinate over a cell is that of its centre
        assert np.abs(got - want).max() <= 0.01


@pytest.mark.parametrize("method", ["nearest", "conservative"])
def test_cutting_a_sinusoidal_source_changes_nothing(xesmf, monkeypatch, method):
    data = field(MODIS, missing=0.1)
    want = esmf.regrid_window_esmf(data, MODIS, ABOVE, whole(ABOVE), method)
    assert np.isfinite(want).mean() > 0.8
    monkeypatch.setattr(tiles, "TILE", 3)
    got = esmf.regrid_window_esmf(data, MODIS, ABOVE, whole(ABOVE), method)
    assert len(xesmf.calls) == 1 + 2 * 3
    assert all(source[0] < 24 and source[1] < 50 for source, _, _ in xesmf.calls[1:])
    assert_allclose(got, want, rtol=1e-6, atol=0)
    if method == "nearest":
        assert_array_equal(got, want)


def test_conservative_keeps_the_integral_over_a_sinusoidal_source(xesmf):
    # the target covers the source with a margin, so that nothing is lost
    lat, lon = centre_of(MODIS)
    data = field(MODIS)
    grid = GeoBox((15, 50), Affine(0.2, 0, 92.2, 0, -0.2, 36.6), "EPSG:4326")
    assert lon.min() > 92.4
    assert lon.max() < 102.0
    assert lat.min() > 33.7
    y, _ = coordinates(grid)
    cell = np.sin(np.radians(y + 0.1)) - np.sin(np.radians(y - 0.1))
    total = 0.0
    for tile, weights in esmf.window_weights(MODIS, grid, whole(grid), "conservative"):
        part = apply_weights(weights, data[tile.rows, tile.columns])
        total += (np.nan_to_num(part) * cell[tile.window.y0 : tile.window.y1, None]).sum() * np.radians(0.2)
    # every cell of the grid has the area of its square on the sphere
    assert total == pytest.approx(float(data.sum(dtype=float)) * np.radians(0.1) ** 2, rel=1e-4)


def test_a_projected_target_has_coordinates_in_two_dimensions(xesmf):
    y = DEGREES.y0 + DEGREES.dy * np.arange(DEGREES.rows)
    x = DEGREES.x0 + DEGREES.dx * np.arange(DEGREES.columns)
    lat, lon = np.meshgrid(y, x, indexing="ij")
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(str(ALBERS.crs), "EPSG:4326", always_xy=True)
    want_lon, want_lat = to_degrees.transform(*np.meshgrid(*coordinates(ALBERS)[::-1]))
    inside = (want_lat < 39.5) & (want_lat > 32.5) & (want_lon > 90.5) & (want_lon < 99.5)
    assert inside.mean() > 0.5
    for place, want in ((lat, want_lat), (lon, want_lon)):
        got = esmf.regrid_window_esmf(place, DEGREES, ALBERS, whole(ALBERS), "conservative", 1.0)
        assert np.isfinite(got[inside]).all()
        assert np.abs(got - want)[inside].max() <= 0.1
        got = esmf.regrid_window_esmf(place, DEGREES, ALBERS, whole(ALBERS), "nearest")
        assert np.abs(got - want)[inside].max() <= 0.26


def test_cells_off_the_globe_are_masked(xesmf):
    # 60 to 70 N at 178 E: the eastern half of the rows lies beyond the antimeridian
    source = Lattice(
        y0=RADIUS * np.radians(69.5),
        x0=RADIUS * np.radians(178) * np.cos(np.radians(66)),
        dy=-2.5 * STEP,
        dx=2.5 * STEP,
        rows=32,
        columns=32,
        crs=SINUSOIDAL,
    )
    lat, lon = centre_of(source)
    off = lon > 180
    assert 0.2 < off.mean() < 0.8
    edges = (source.y0 - source.dy / 2, source.dy, source.x0 - source.dx / 2, source.dx)
    ds = esmf_grids.grid_dataset(SINUSOIDAL, edges, slice(0, 32), slice(0, 32), corners=False)
    assert_array_equal(ds["mask"].values == 0, off)
    assert_allclose(ds["lat"].values[~off], lat[~off], rtol=1e-9)
    assert_allclose(ds["lon"].values[~off], lon[~off], rtol=1e-9)
    # a cell needs its four corners: in the north, the eastern one lies farthest east
    phi = (source.y0 + source.dy * (np.arange(32) - 0.5)) / RADIUS
    east = source.x0 + source.dx * (np.arange(32) + 0.5)
    beyond = np.degrees(east / (RADIUS * np.cos(phi)[:, None])) > 180
    assert (beyond & ~off).any()
    ds = esmf_grids.grid_dataset(SINUSOIDAL, edges, slice(0, 32), slice(0, 32), corners=True)
    assert_array_equal(ds["mask"].values == 0, beyond)
    assert ds["lat_b"].shape == ds["lon_b"].shape == (33, 33)
    grid = GeoBox((12, 10), Affine(0.5, 0, 174.0, 0, -0.5, 68.0), "EPSG:4326")
    got = esmf.regrid_window_esmf(np.where(off, 1e6, lat), source, grid, whole(grid), "conservative", 0.9)
    assert np.isfinite(got).mean() > 0.2
    assert np.nanmax(got) < 71


# ---------------------------------------------------------------------------------------------------------- kept files


def test_weights_are_made_once_and_read_again(xesmf, small_tiles, tmp_path, monkeypatch):
    cache = tmp_path / "not yet" / "weights"
    data = field(DEGREES, lead=(3,), missing=0.1)
    for method in esmf.METHODS:
        want = esmf.regrid_window_esmf(data, DEGREES, COARSE, whole(COARSE), method)
        made = esmf.regrid_window_esmf(data, DEGREES, COARSE, whole(COARSE), method, cache=cache)
        assert_array_equal(made, want)
    calls = len(xesmf.calls)
    # another year, without ESMF
    monkeypatch.setattr(esmf, "_run_apart", None)
    for method in esmf.METHODS:
        again = esmf.regrid_window_esmf(data[:1], DEGREES, COARSE, whole(COARSE), method, cache=str(cache))
        want = esmf.regrid_window_esmf(data, DEGREES, COARSE, whole(COARSE), method, cache=cache)
        assert_array_equal(again, want[:1])
    assert len(xesmf.calls) == calls
    names = sorted(p.name for p in cache.iterdir())
    assert [n.split("_")[0] for n in names] == ["bilinear", "conservative", "nearest"]
    assert all(n.endswith("_0-4_0-5.nc") for n in names)


def test_a_kept_file_is_esmfs(xesmf, tmp_path):
    esmf.regrid_window_esmf(field(DEGREES), DEGREES, COARSE, Window(1, 4, 0, 5), "conservative", cache=tmp_path)
    (path,) = tmp_path.iterdir()
    (tile,) = tiles.tiles(DEGREES, COARSE, Window(1, 4, 0, 5), "conservative")
    with netCDF4.Dataset(path) as file:
        assert_array_equal(file["dst_grid_dims"][:], [5, 3])
        assert_array_equal(file["src_grid_dims"][:], tile.source_shape[::-1])
        assert_array_equal(np.unique(file["row"][:]), np.arange(1, 16))
        assert_allclose(file["yc_b"][:].reshape(3, 5)[:, 0], coordinates(COARSE)[0][1:], rtol=1e-12)
        assert_allclose(file["xc_b"][:].reshape(3, 5)[0], coordinates(COARSE)[1], rtol=1e-12)
        assert file["yc_a"][0] == DEGREES.y0 + DEGREES.dy * tile.rows.start
        assert file["xc_a"][0] == DEGREES.x0 + DEGREES.dx * tile.columns.start
        assert_allclose(file["frac_b"][:], 1, rtol=1e-12)


def test_no_two_grids_tiles_or_methods_share_a_file(xesmf, tmp_path):
    import dataclasses

    moved = dataclasses.replace(DEGREES, x0=np.nextafter(DEGREES.x0, 100))
    larger = dataclasses.replace(DEGREES, rows=17)
    other = GeoBox(COARSE.shape, COARSE.affine, "EPSG:4979")
    shifted = GeoBox(COARSE.shape, Affine(1.3, 0, 91.1, 0, -1.3, np.nextafter(38.2, 90)), "EPSG:4326")
    window = Window(0, 2, 0, 2)
    cases = [(s, COARSE, window, "bilinear") for s in (DEGREES, moved, larger)]
    cases += [(DEGREES, g, window, "bilinear") for g in (other, shifted)]
    cases += [(DEGREES, COARSE, Window(0, 2, 0, 3), "bilinear"), (DEGREES, COARSE, window, "nearest")]
    for source, grid, w, method in cases:
        esmf.regrid_window_esmf(np.zeros((source.rows, 20)), source, grid, w, method, cache=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(cases)


def test_a_window_that_maps_nothing_has_a_file_too(xesmf, tmp_path):
    # beside the source, within its margin
    beside = GeoBox((2, 2), Affine(0.1, 0, 100.3, 0, -0.1, 36.0), "EPSG:4326")
    for _ in range(2):
        got = esmf.regrid_window_esmf(field(DEGREES), DEGREES, beside, whole(beside), "bilinear", cache=tmp_path)
        assert np.isnan(got).all()
    assert len(xesmf.calls) == 1
    (path,) = tmp_path.iterdir()
    assert read_weights(path).values.size == 0


def test_a_damaged_kept_file_is_refused_by_name(xesmf, tmp_path):
    arguments = (field(DEGREES), DEGREES, COARSE, whole(COARSE), "bilinear")
    esmf.regrid_window_esmf(*arguments, cache=tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(SourceError) as caught:
        esmf.regrid_window_esmf(*arguments, cache=tmp_path)
    assert caught.value.what.startswith(f"{path}: the file is damaged (")


def test_threads_may_share_a_cache(xesmf, small_tiles, tmp_path):
    data = field(DEGREES)
    want = esmf.regrid_window_esmf(data, DEGREES, FINE, whole(FINE), "bilinear")
    got, faults = [], []

    def work():
        try:
            got.append(esmf.regrid_window_esmf(data, DEGREES, FINE, whole(FINE), "bilinear", cache=tmp_path))
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert faults == []
    assert len(got) == 4
    for one in got:
        assert_array_equal(one, want)
    assert not list(tmp_path.glob(".*"))


# ------------------------------------------------------------------------------------------------------------ messages


def test_an_unknown_method_is_refused():
    with pytest.raises(GridError) as caught:
        esmf.regrid_window_esmf(field(DEGREES), DEGREES, FINE, whole(FINE), "patch")
    assert caught.value.what == "engine: xesmf has no method 'patch'."
    assert caught.value.way_out == "Use one of nearest, bilinear, conservative, or leave `engine: xesmf` out."


def test_a_fault_of_esmf_is_told_with_the_tile(xesmf):
    xesmf.fault = ValueError("ESMC_FieldRegridStore() failed with rc = 506.")
    with pytest.raises(GridError) as caught:
        esmf.regrid_window_esmf(field(DEGREES), DEGREES, FINE, Window(3, 9, 0, 5), "bilinear")
    assert caught.value.what == (
        "engine: xesmf made no bilinear weights for rows 3 to 9 and columns 0 to 5 of the grid: ValueError: "
        "ESMC_FieldRegridStore() failed with rc = 506."
    )
    assert (
        caught.value.way_out == "ESMF may have written more into an *ESMF_LogFile here; or leave `engine: xesmf` out."
    )


def probed():
    with pytest.raises(GridError) as caught:
        esmf.probe()
    return caught.value.what, caught.value.way_out


def module_that_says(folder, monkeypatch, name, text):
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.parametrize("name", ["esmpy", "xesmf"])
def test_a_module_that_is_not_there(xesmf, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    assert probed() == (
        f"engine: {name} is not installed.",
        "Install ESMF with conda (`conda env create -f environment.yml`; pip has no esmpy), or leave `engine: xesmf` "
        "out.",
    )


def test_esmfmkfile_that_is_not_set(tmp_path, monkeypatch):
    said = "raise ImportError('The ESMFMKFILE environment variable is not available.')"
    module_that_says(tmp_path, monkeypatch, "esmpy", said)
    assert probed() == (
        "engine: esmpy does not load: ImportError: The ESMFMKFILE environment variable is not available.",
        "Activate the conda environment, which sets ESMFMKFILE, or set ESMFMKFILE to the path of its lib/esmf.mk; or "
        "leave `engine: xesmf` out.",
    )


def test_a_library_of_esmf_that_does_not_load(tmp_path, monkeypatch):
    said = "raise OSError('libesmf_fullylinked.so: cannot open shared object file')"
    module_that_says(tmp_path, monkeypatch, "esmpy", said)
    what, way_out = probed()
    assert what == "engine: esmpy does not load: OSError: libesmf_fullylinked.so: cannot open shared object file"
    assert way_out.startswith("Mend the installation (`conda env create -f environment.yml`")


def test_a_module_that_xesmf_lacks_is_named(xesmf, tmp_path, monkeypatch):
    module_that_says(tmp_path, monkeypatch, "xesmf", "import no_such_sparse")
    what, _ = probed()
    assert what == "engine: xesmf does not load: ModuleNotFoundError: No module named 'no_such_sparse'"


def modules_that_say(folder, *, esmpy="", xesmf=""):
    for name, text in (("esmpy", esmpy), ("xesmf", xesmf)):
        (folder / f"{name}.py").write_text(text)


ORDER = "import sys\nprint(__name__, *[n for n in ('netCDF4', 'esmpy', 'xesmf') if n in sys.modules])\n"


def in_a_fresh_process(folder, code):
    modules_that_say(folder, esmpy=ORDER, xesmf=ORDER)
    here = os.pathsep.join([str(folder), str(Path(nc.__file__).parents[1])])
    environ = {**os.environ, "PYTHONPATH": here}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_netcdf4_is_imported_before_esmpy_and_esmpy_before_xesmf(tmp_path):
    code = "from nepcube.harmonise import esmf; print(esmf.probe().__name__)"
    assert in_a_fresh_process(tmp_path, code) == ["esmpy netCDF4 esmpy", "xesmf netCDF4 esmpy xesmf", "xesmf"]


def test_the_order_that_crashes_is_refused(tmp_path):
    code = """
import esmpy
from nepcube.errors import GridError
from nepcube.harmonise import esmf
try:
    esmf.probe()
except GridError as error:
    print(error)
"""
    assert in_a_fresh_process(tmp_path, code) == [
        "esmpy esmpy",
        "engine: esmpy was imported before netCDF4, which crashes the process.",
        "Write `import netCDF4` above the first import of esmpy or xesmf.",
    ]


# --------------------------------------------------------------------------------------------- a process of its own

STAND_IN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_esmf_engine import Regridder as Base
class Regridder(Base):
    calls, fault = [], None
"""
ON_THE_MAIN_THREAD = "import threading\nassert threading.current_thread() is threading.main_thread()\n"


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """Modules for the process that runs ESMF; what it leaves behind is looked for."""
    import tempfile

    folder, temporary = tmp_path / "modules", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield folder
    assert list(temporary.iterdir()) == []


def regridded(**options):
    return esmf.regrid_window_esmf(field(DEGREES), DEGREES, COARSE, whole(COARSE), "bilinear", **options)


def test_esmf_runs_on_the_main_thread_of_a_process_of_its_own(apart, tmp_path):
    modules_that_say(apart, esmpy=ON_THE_MAIN_THREAD + "import sys\nassert 'netCDF4' in sys.modules", xesmf=STAND_IN)
    got = []
    thread = threading.Thread(target=lambda: got.append(regridded(cache=tmp_path / "kept")))
    thread.start()
    thread.join()
    want = nc.regrid(as_dataset(field(DEGREES), DEGREES), COARSE, "bilinear").v.values
    assert_allclose(got[0], want, rtol=2e-6, atol=2e-5)
    assert "esmpy" not in sys.modules
    assert "xesmf" not in sys.modules
    (kept,) = (tmp_path / "kept").iterdir()
    kept_at = kept.stat().st_mtime_ns
    modules_that_say(apart, esmpy="raise ImportError('gone')")
    assert_array_equal(regridded(cache=tmp_path / "kept"), got[0])
    assert kept.stat().st_mtime_ns == kept_at


def test_without_a_folder_nothing_is_kept(apart):
    modules_that_say(apart, xesmf=STAND_IN)
    assert np.isfinite(regridded()).all()


def test_a_refusal_comes_back_as_it_was_said(apart):
    modules_that_say(apart, esmpy="raise ImportError('The ESMFMKFILE environment variable is not available.')")
    with pytest.raises(GridError) as caught:
        regridded()
    assert caught.value.what == (
        "engine: esmpy does not load: ImportError: The ESMFMKFILE environment variable is not available."
    )
    assert caught.value.way_out.startswith("Activate the conda environment, which sets ESMFMKFILE")


def test_a_crash_of_esmf_is_told(apart):
    modules_that_say(apart, esmpy="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(GridError) as caught:
        regridded()
    assert caught.value.what == "engine: the process that runs ESMF ended with -9: it said nothing"
    assert caught.value.way_out == "Free memory or disk if it lacked some, or leave `engine: xesmf` out."
    modules_that_say(apart, esmpy="import sys\nsys.stderr.write('first\\nForrtl: severe\\n')\nsys.exit(4)")
    with pytest.raises(GridError) as caught:
        regridded()
    assert caught.value.what == "engine: the process that runs ESMF ended with 4: Forrtl: severe"


def test_a_crash_when_all_is_done_costs_nothing(apart):
    modules_that_say(apart, esmpy="import atexit, os\natexit.register(os._exit, 139)", xesmf=STAND_IN)
    assert np.isfinite(regridded()).all()
