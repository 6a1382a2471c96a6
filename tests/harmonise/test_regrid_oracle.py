"""Native grids to the target: nearest equals a direct computation with pyproj, and no cut changes a bit."""

import dask
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from odc.geo.geobox import GeoBox
from pyproj import Transformer

import nepcube as nc
from nepcube.errors import GridError
from nepcube.grid import Window, spatial_coords, windows
from nepcube.harmonise import regrid_window
from nepcube.testing import forbid_compute

RADIUS = 6371007.181
TILE = 1111950.5196666666
SINUSOIDAL = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={RADIUS} +units=m +no_defs"
ALBERS = "+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +x_0=0 +y_0=0 +datum=WGS84 +units=m +no_defs"


def sinusoidal(pixels=80, h=25, v=5, tiles=(1, 2), seed=0):
    """A mosaic of tiles: `value` counts the cells, `code` is coded."""
    rows, columns = tiles[0] * pixels, tiles[1] * pixels
    res = TILE / pixels
    box = GeoBox((rows, columns), Affine(res, 0, (h - 18) * TILE, 0, -res, (9 - v) * TILE), SINUSOIDAL)
    rng = np.random.default_rng(seed)
    value = rng.permutation(rows * columns).reshape(1, rows, columns).astype(np.float32)
    value[rng.random(value.shape) < 0.05] = np.nan
    code = rng.integers(0, 200, value.shape).astype(np.uint8)
    coords = spatial_coords(box)
    return xr.Dataset({"value": (("time", "y", "x"), value), "code": (("time", "y", "x"), code)}, coords), box


def lonlat(rows=40, columns=50, step=0.1, west=95.0, north=36.0, seed=0, flip=False, crs="EPSG:4326"):
    dy, y0 = (step, north - rows * step) if flip else (-step, north)
    box = GeoBox((rows, columns), Affine(step, 0, west, 0, dy, y0), crs)
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(1, rows, columns))
    value = value[:, ::-1] if flip else value
    return xr.Dataset({"value": (("time", "latitude", "longitude"), value)}, spatial_coords(box)), box


def direct(source, box, grid, source_crs, fill=np.nan):
    """Nearest of every cell by pyproj in float64, and where a centre is so near an edge that rounding decides."""
    name = "code" if fill == 255 else "value"
    a = grid.affine
    x = a.c + (np.arange(grid.shape[1]) + 0.5) * a.a
    y = a.f + (np.arange(grid.shape[0]) + 0.5) * a.e
    xx, yy = Transformer.from_crs(str(grid.crs), source_crs, always_xy=True).transform(*np.meshgrid(x, y))
    columns, rows = (xx - box.affine.c) / box.affine.a, (yy - box.affine.f) / box.affine.e
    j, i = np.floor(columns), np.floor(rows)
    with np.errstate(invalid="ignore"):
        # a tenth of a millimetre in half a kilometre; metres reach 1e7, so 1e-9 of a cell is their own rounding
        unsure = (np.abs(columns - np.rint(columns)) < 1e-7) | (np.abs(rows - np.rint(rows)) < 1e-7)
        inside = (i >= 0) & (j >= 0) & (i < box.shape[0]) & (j < box.shape[1])
    data = source[name].values[0]
    out = np.full(grid.shape, fill, data.dtype)
    out[inside] = data[i[inside].astype(int), j[inside].astype(int)]
    return out, unsure


def agree(got, want, unsure, most=0.001):
    assert unsure.mean() <= most
    assert_array_equal(got[~unsure], want[~unsure])


BOXES = [(97.0, 33.0, 98.2, 34.1), (89.4, 31.6, 102.4, 36.3), (88.0, 29.0, 96.0, 41.0), (101.3, 38.9, 104.0, 40.2)]


@pytest.mark.parametrize("bounds", BOXES)
@pytest.mark.parametrize("resolution", ["7300 m", "0.031 deg"])
def test_nearest_of_a_sinusoidal_mosaic_is_that_of_pyproj(bounds, resolution):
    source, box = sinusoidal()
    grid = nc.target_grid(bounds, resolution)
    got = nc.regrid(source, grid, "nearest")
    for name, fill in (("value", np.nan), ("code", 255)):
        want, unsure = direct(source, box, grid, SINUSOIDAL, fill)
        agree(got[name].values[0], want, unsure)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    west=st.floats(-170, 165), south=st.floats(-75, 70), width=st.floats(0.2, 12), height=st.floats(0.2, 8),
    cell=st.floats(0.02, 0.3), pixels=st.integers(3, 60), seed=st.integers(0, 99),
)  # fmt: skip
def test_nearest_of_any_tile_over_any_place(west, south, width, height, cell, pixels, seed):
    grid = nc.target_grid((west, south, west + width, south + height), max(cell, width / 60, height / 60))
    # the tile under the middle of the place
    lon, lat = np.radians(west + width / 2), np.radians(south + height / 2)
    h = int(18 + RADIUS * lon * np.cos(lat) // TILE)
    v = int(8 - RADIUS * lat // TILE)
    source, box = sinusoidal(pixels, h, v, (1, 1), seed)
    got = nc.regrid(source, grid, "nearest")
    for name, fill in (("value", np.nan), ("code", 255)):
        want, unsure = direct(source, box, grid, SINUSOIDAL, fill)
        # a row of a small grid may lie on an edge of the tiles' cells as a whole
        agree(got[name].values[0], want, unsure, most=0.5)


@pytest.mark.parametrize("crs", [ALBERS, "EPSG:32647", "EPSG:3857"])
@pytest.mark.parametrize("kind", ["sinusoidal", "geographic"])
def test_nearest_to_a_projected_grid_is_that_of_pyproj(crs, kind):
    to = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    west, south, east, north = to.transform_bounds(96.0, 33.0, 98.5, 34.7)
    grid = nc.target_grid((west, south, east, north), "4700 m", crs)
    source, box = sinusoidal() if kind == "sinusoidal" else lonlat()
    source_crs = SINUSOIDAL if kind == "sinusoidal" else "EPSG:4326"
    got = nc.regrid(source, grid, "nearest")
    assert got.value.dims == ("time", "y", "x")
    want, unsure = direct(source, box, grid, source_crs)
    agree(got.value.values[0], want.astype(np.float32), unsure)
    if kind == "sinusoidal":
        want, unsure = direct(source, box, grid, source_crs, 255)
        agree(got.code.values[0], want, unsure)


@pytest.mark.parametrize("flip", [False, True])
def test_nearest_of_latitude_and_longitude(flip):
    source, box = lonlat(flip=flip)
    grid = nc.target_grid((94.5, 31.5, 97.3, 34.2), "0.037 deg")
    want, unsure = direct(source, box, grid, "EPSG:4326")
    got = nc.regrid(source, grid).value.values[0]
    agree(got, want.astype(np.float32), unsure, most=0.02)
    assert np.isnan(got).any()


def test_a_centre_on_an_edge_has_one_owner():
    # target centres at 0.05 + 0.1 k stand on the edges of cells centred at 0.1 k: all go one way
    source, _ = lonlat(rows=8, columns=8, step=0.5, west=95.25, north=34.25)
    grid = nc.target_grid((95.5, 31.0, 98.5, 34.0), "0.5 deg")
    got = nc.regrid(source, grid).value.values[0]
    assert np.isfinite(got).all()
    assert np.unique(got).size == got.size


def test_outside_is_missing_or_not_covered():
    source, _ = sinusoidal(pixels=20)
    for bounds in ((-60.0, -10.0, -59.0, -9.0), (97.0, -34.5, 98.0, -34.0)):
        got = nc.regrid(source, nc.target_grid(bounds, "0.1 deg"))
        assert got.value.isnull().all()
        assert (got.code == 255).all()
        assert (got.value.dtype, got.code.dtype) == (np.float32, np.uint8)
        lazy = nc.regrid(source.chunk(y=7), nc.target_grid(bounds, "0.1 deg"), block=4)
        assert lazy.compute().identical(got)


# --- the same, however it is cut -----------------------------------------------------------------------------------

CASES = [("sinusoidal", "nearest"), ("geographic", "nearest"), ("geographic", "bilinear"), ("albers", "bilinear")]


def case(kind):
    if kind == "sinusoidal":
        return sinusoidal(pixels=40)[0], nc.target_grid((95.0, 32.0, 99.0, 36.0), "0.05 deg")
    source = lonlat(seed=3)[0]
    source["value"] = source.value.where(np.random.default_rng(1).random(source.value.shape) > 0.1)
    if kind == "geographic":
        return source, nc.target_grid((95.3, 32.5, 99.4, 35.7), "0.053 deg")
    return source, nc.target_grid((-900000.0, 3600000.0, -560000.0, 3900000.0), "4300 m", ALBERS)


@pytest.mark.parametrize(("kind", "method"), CASES)
@pytest.mark.parametrize("block", [1, 19, 32, 1000])
def test_no_block_or_chunk_changes_a_bit(kind, method, block):
    source, grid = case(kind)
    if block == 1:
        # each cell for itself is slow in dask: a corner of the grid stands for it
        grid = grid[:5, :6]
    want = nc.regrid(source, grid, method)
    ydim, xdim = source.value.dims[-2:]
    with forbid_compute():
        got = nc.regrid(source.chunk({ydim: 11, xdim: 17}), grid, method, block=block)
    assert got.value.chunks is not None
    assert max(got.value.chunks[-1]) <= block
    with dask.config.set(scheduler="threads", num_workers=2):
        got = got.compute()
    assert got.identical(want)
    assert_array_equal(got.value.values.view("u4"), want.value.values.view("u4"))


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_any_window_is_the_slice_of_the_whole(kind, method):
    source, grid = case(kind)
    want = nc.regrid(source, grid, method)
    ydim, xdim = want.value.dims[-2:]
    rng = np.random.default_rng(5)
    for _ in range(12):
        (y0, y1), (x0, x1) = np.sort(rng.integers(0, grid.shape[0], 2)), np.sort(rng.integers(0, grid.shape[1], 2))
        w = Window(int(y0), int(y1) + 1, int(x0), int(x1) + 1)
        got = regrid_window(source, grid, w, method)
        assert got.identical(want.isel({ydim: w.slices[0], xdim: w.slices[1]}))
    blocks = list(windows(grid, 23))
    assert sum(w.shape[0] * w.shape[1] for w in blocks) == grid.shape[0] * grid.shape[1]


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_a_slice_of_the_source_gives_the_same(method):
    source, _ = case("geographic")
    grid = nc.target_grid((96.0, 33.0, 97.0, 34.0), "0.033 deg")
    want = nc.regrid(source, grid, method)
    part = source.isel(latitude=slice(12, 36), longitude=slice(7, 28))
    assert nc.regrid(part, grid, method).identical(want)


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
@pytest.mark.parametrize("how", ["sortby", "every second row", "every second column", "reversed columns"])
def test_a_source_that_was_turned_or_thinned_is_read_by_its_coordinates(method, how):
    source, _ = lonlat(rows=40, columns=40, step=0.1, west=95.0, north=36.0)
    source["value"] = source.value * 0 + source.latitude * 10 + source.longitude
    turned = {
        "sortby": lambda: source.sortby("latitude"),
        "every second row": lambda: source.isel(latitude=slice(None, None, 2)),
        "every second column": lambda: source.isel(longitude=slice(None, None, 2)),
        "reversed columns": lambda: source.isel(longitude=slice(None, None, -1)),
    }[how]()
    grid = nc.target_grid((96.0, 33.0, 98.0, 35.0), "0.07 deg")
    try:
        got = nc.regrid(turned, grid, method).value
    except GridError:
        return
    lat, lon = got.latitude.values[:, None] * 10, got.longitude.values
    # half a (double) cell off at most for nearest; bilinear keeps a plane, up to float32
    assert_allclose(got.values[0], lat + lon, rtol=0, atol=1.2 if method == "nearest" else 1e-4)


# --- bilinear --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    a=st.floats(-5, 5), b=st.floats(-5, 5), c=st.floats(-50, 50), flip=st.booleans(), step=st.sampled_from([0.1, 0.25])
)
def test_bilinear_keeps_planes(a, b, c, flip, step):
    source, _ = lonlat(rows=24, columns=24, step=step, flip=flip)
    lat, lon = source.latitude, source.longitude
    source["value"] = source.value * 0 + (a * (lat - 34) + b * (lon - 96) + c)
    grid = nc.target_grid((95.2, 34.6, 96.9, 35.7), "0.043 deg")
    got = nc.regrid(source, grid, "bilinear").value[0]
    want = a * (got.latitude.values - 34)[:, None] + b * (got.longitude.values - 96) + c
    # rounded to float32 once: half a unit of the largest value, about 80
    assert_allclose(got.values, want, rtol=6.1e-8, atol=4e-6)


def test_bilinear_equals_xarray_and_rounds_once():
    source, _ = lonlat(seed=8)
    grid = nc.target_grid((95.2, 32.3, 99.7, 35.8), "0.037 deg")
    got = nc.regrid(source, grid, "bilinear").value
    want = source.value.interp(latitude=got.latitude, longitude=got.longitude)
    assert got.dtype == np.float32
    # one rounding to float32 of numbers of order one, beside float64 positions
    assert_allclose(got.values, want.values, rtol=6.1e-8, atol=1e-9)


def test_nearest_rounds_float64_once():
    source, box = lonlat(seed=8)
    grid = nc.target_grid((95.2, 32.3, 99.7, 35.8), "0.037 deg")
    want, unsure = direct(source, box, grid, "EPSG:4326")
    assert want.dtype == np.float64
    agree(nc.regrid(source, grid).value.values[0], want.astype(np.float32), unsure, most=0.02)


@pytest.mark.parametrize("method", ["nearest", "bilinear"])
def test_rising_and_falling_latitudes_agree(method):
    down, up = lonlat(seed=2)[0], lonlat(seed=2, flip=True)[0]
    assert_array_equal(down.value.values, up.value.values[:, ::-1])
    grid = nc.target_grid((94.8, 31.8, 100.2, 36.2), "0.0371 deg")
    a, b = (nc.regrid(ds, grid, method).value.values for ds in (down, up))
    assert_array_equal(np.isnan(a), np.isnan(b))
    # weights counted from the other end: one unit of the last place of float32
    assert_allclose(a, b, rtol=2e-7, atol=1e-9)


def test_bilinear_gives_nothing_beyond_the_outermost_centres():
    source, _ = lonlat(rows=10, columns=12, step=0.1)
    source["value"] = source.value * 0 + 1
    grid = nc.target_grid((94.8, 34.8, 96.4, 36.2), "0.013 deg")
    got = nc.regrid(source, grid, "bilinear").value[0]
    lat, lon = got.latitude.values[:, None], got.longitude.values
    inside = (lat <= 35.95) & (lat >= 35.05) & (lon >= 95.05) & (lon <= 96.15)
    near = (np.abs(lat - 35.95) < 1e-8) | (np.abs(lat - 35.05) < 1e-8) | (np.abs(lon - 95.05) < 1e-8)
    near |= np.abs(lon - 96.15) < 1e-8
    assert_array_equal(np.isfinite(got.values)[~near], inside[~near])
    assert_array_equal(got.values[inside & ~near], 1.0)
    nearest = nc.regrid(source, grid, "nearest").value[0]
    # the nearest reaches to the outer edge of the cells
    assert np.isfinite(nearest.values).sum() > inside.sum()


@pytest.mark.parametrize("min_fraction", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_min_fraction_against_a_loop(min_fraction, seed):
    source, box = lonlat(rows=9, columns=9, step=0.5, west=95.0, north=36.0, seed=seed)
    value = source.value.values
    value[np.random.default_rng(seed).random(value.shape) < 0.35] = np.nan
    grid = nc.target_grid((95.3, 31.8, 99.2, 35.7), "0.11 deg")
    got = nc.regrid(source, grid, "bilinear", min_fraction=min_fraction).value.values[0]
    a, t = box.affine, grid.affine
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            r = (t.f + (i + 0.5) * t.e - a.f) / a.e - 0.5
            c = (t.c + (j + 0.5) * t.a - a.c) / a.a - 0.5
            if min(r, c) < 0 or max(r, c) > 8:
                assert np.isnan(got[i, j])
                continue
            total = weight = 0.0
            r0, c0 = min(int(r), 7), min(int(c), 7)
            for y in (r0, r0 + 1):
                for x in (c0, c0 + 1):
                    w = (1 - abs(r - y)) * (1 - abs(c - x))
                    if w > 0 and np.isfinite(value[0, y, x]):
                        total, weight = total + w * value[0, y, x], weight + w
            if abs(weight - min_fraction) < 1e-9:
                continue  # rounding decides
            if weight < min_fraction or weight <= 1e-9:
                assert np.isnan(got[i, j])
            else:
                # one rounding to float32
                assert_allclose(got[i, j], total / weight, rtol=1e-6, atol=1e-9)


def test_a_missing_neighbour_with_no_weight_does_not_matter():
    # target centres on source centres, all in binary fractions: the neighbours have no weight at all
    source, _ = lonlat(rows=8, columns=8, step=0.5, west=95.0, north=36.0)
    source.value.values[0, 3, 4] = np.nan
    grid = nc.target_grid((95.5, 32.5, 98.5, 35.5), "0.5 deg")
    got = nc.regrid(source, grid, "bilinear", min_fraction=1.0).value
    want = source.value.sel(latitude=got.latitude, longitude=got.longitude)
    assert int(np.isnan(want).sum()) == 1
    assert_array_equal(got.values, want.values.astype(np.float32))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "uint16"])
def test_integers_are_always_nearest(dtype):
    source, _ = lonlat()
    source["value"] = (source.value * 50).round().astype(dtype)
    grid = nc.target_grid((95.5, 33.0, 97.0, 34.0), "0.031 deg")
    a, b = nc.regrid(source, grid, "nearest").value, nc.regrid(source, grid, "bilinear").value
    assert a.identical(b)
    assert a.dtype == np.dtype(dtype)
    assert set(np.unique(a.values)) <= set(np.unique(source.value.values))


def test_leading_dimensions_and_attributes_are_kept():
    source, _ = sinusoidal(pixels=20)
    source = xr.concat([source, source + 1], dim="time").assign_coords(time=np.array(["2001", "2002"], "M8[ns]"))
    source.value.attrs["units"] = "g m-2 year-1"
    source["other"] = ("time", [1, 2])
    grid = nc.target_grid((97.0, 33.0, 98.2, 34.1), "0.1 deg")
    for ds in (source, source.chunk(time=1)):
        got = nc.regrid(ds, grid)
        assert got.value.dims == ("time", "latitude", "longitude")
        assert got.value.attrs["units"] == "g m-2 year-1"
        assert_array_equal(got.time.values, source.time.values)
        assert got.other.values.tolist() == [1, 2]
        assert_array_equal(got.value.values[1], got.value.values[0] + 1)
        assert "GeoTransform" in got.spatial_ref.attrs


def test_what_has_no_place_is_refused():
    source, _ = lonlat()
    grid = nc.target_grid((95.5, 33.0, 97.0, 34.0), "0.1 deg")
    with pytest.raises(GridError, match="no `spatial_ref`"):
        nc.regrid(source.drop_vars("spatial_ref"), grid)
    with pytest.raises(GridError, match="'cubic' is not a resampling method"):
        nc.regrid(source, grid, "cubic")
    with pytest.raises(GridError, match="No spatial dimensions"):
        nc.regrid(source.rename(latitude="rows", longitude="cols"), grid)


@pytest.mark.slow
def test_nearest_at_full_resolution():
    # 463 m to 500 m over a hundred kilometres, both tiles: 60,000 cells against pyproj
    n = 2400
    res = TILE / n
    rows, columns = slice(900, 1300), slice(2200, 2600)
    box = GeoBox((400, 400), Affine(res, 0, 7 * TILE + columns.start * res, 0, -res, 4 * TILE - rows.start * res),
                 SINUSOIDAL)  # fmt: skip
    value = np.arange(160000, dtype=np.float32).reshape(1, 400, 400)
    source = xr.Dataset({"value": (("time", "y", "x"), value)}, spatial_coords(box))
    lon, lat = Transformer.from_crs(SINUSOIDAL, "EPSG:4326", always_xy=True).transform(
        box.affine.c + 200 * res, box.affine.f - 200 * res
    )
    grid = nc.target_grid((lon - 0.5, lat - 0.5, lon + 0.5, lat + 0.5))
    want, unsure = direct(source, box, grid, SINUSOIDAL)
    agree(nc.regrid(source, grid).value.values[0], want, unsure)
    assert np.isfinite(want).mean() > 0.6
