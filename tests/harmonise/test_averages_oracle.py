"""Averages over cells: the area of every overlap computed one by one, integrals that are kept, and ESMF's numbers."""

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
from test_esmf_oracle import load, onto, reference
from test_regrid_oracle import ALBERS, RADIUS, SINUSOIDAL, TILE, lonlat, sinusoidal

import nepcube as nc
from nepcube import spec
from nepcube.errors import GridError
from nepcube.grid import Window, spatial_coords
from nepcube.harmonise import regrid_window
from nepcube.testing import forbid_compute

SLOW = [HealthCheck.too_slow]
FLOAT32 = 6.1e-8


def edges_of(box):
    a, (rows, columns) = box.affine, box.shape
    return a.f + np.arange(rows + 1) * a.e, a.c + np.arange(columns + 1) * a.a


def part(low, high, below, above):
    return np.maximum(0.0, np.minimum(high[:, None], above) - np.maximum(low[:, None], below))


def along(target, source, sine):
    """Share of each target cell (rows) in each source cell (columns) along one axis, dense."""
    if sine:
        target, source = (np.sin(np.radians(np.clip(e, -90, 90))) for e in (target, source))
    low, high = np.minimum(target[1:], target[:-1]), np.maximum(target[1:], target[:-1])
    below, above = np.minimum(source[1:], source[:-1]), np.maximum(source[1:], source[:-1])
    return part(low, high, below, above) / (high - low)[:, None]


def direct_conservative(source, box, grid, min_fraction):
    (ty, tx), (sy, sx) = edges_of(grid), edges_of(box)
    wy, wx = along(ty, sy, True), along(tx, sx, False)
    value = source.value.values[0].astype(np.float64)
    good = np.isfinite(value)
    total = wy @ np.where(good, value, 0.0) @ wx.T
    weight = wy @ good @ wx.T
    out = np.where(weight > 1e-9, total / np.where(weight > 0, weight, 1), np.nan)
    out[weight < min_fraction - 1e-9] = np.nan
    unsure = (np.abs(weight - min_fraction) < 1e-6) & (weight < 1 - 1e-6) | (weight < 1e-6) & (weight > 0)
    return out, unsure


# --- between latitudes and longitudes --------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(
    step=st.sampled_from([0.05, 0.1, 0.25, 0.37]), cell=st.floats(0.02, 0.9), west=st.floats(93, 97),
    south=st.floats(29, 33), width=st.floats(0.5, 4), flip=st.booleans(), missing=st.floats(0, 0.5),
    min_fraction=st.sampled_from([0.0, 0.3, 0.5, 1.0]), seed=st.integers(0, 99),
)  # fmt: skip
def test_conservative_equals_every_overlap(step, cell, west, south, width, flip, missing, min_fraction, seed):
    n = int(4 / step)
    source, box = lonlat(rows=n, columns=n, step=step, west=94.0, north=34.0, seed=seed, flip=flip)
    source.value.values[np.random.default_rng(seed).random(source.value.shape) < missing] = np.nan
    grid = nc.target_grid((west, south, west + width, south + width), max(cell, width / 50))
    want, unsure = direct_conservative(source, box, grid, min_fraction)
    got = nc.regrid(source, grid, "conservative", min_fraction=min_fraction).value.values[0]
    assert_array_equal(np.isnan(got)[~unsure], np.isnan(want)[~unsure])
    both = np.isfinite(got) & np.isfinite(want) & ~unsure
    assert_allclose(got[both], want[both], rtol=FLOAT32, atol=1e-7)


def area_of(grid):
    y, x = edges_of(grid)
    return -np.diff(np.sin(np.radians(y)))[:, None] * np.diff(np.radians(x))[None, :]


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(
    step=st.sampled_from([0.05, 0.1, 0.25]),
    cell=st.floats(0.02, 0.45),
    north=st.floats(-50, 70),
    seed=st.integers(0, 99),
)
def test_conservative_keeps_the_integral(step, cell, north, seed):
    # a rim of zeros wider than a target cell: what lies outside the source adds nothing
    n = int(5 / step)
    source, box = lonlat(rows=n, columns=n, step=step, west=94.0, north=round(north, 2), seed=seed)
    rim = int(0.9 / step)
    inner = np.zeros((n, n))
    inner[rim:-rim, rim:-rim] = np.random.default_rng(seed).uniform(0, 900, (n - 2 * rim, n - 2 * rim))
    source["value"] = source.value.dims, inner[None]
    grid = nc.target_grid((94.0, box.boundingbox.bottom, 99.0, box.boundingbox.top), cell)
    got = nc.regrid(source, grid, "conservative", min_fraction=0.0).value.values[0].astype(np.float64)
    want = (inner * area_of(box)).sum()
    assert_allclose(np.nansum(got * area_of(grid)), want, rtol=1e-6)


def test_a_row_over_the_pole_counts_to_the_pole():
    source, box = lonlat(rows=20, columns=40, step=1.0, west=0.0, north=90.0, seed=3)
    grid = nc.target_grid((3.0, 78.0, 30.0, 90.0), 0.7)
    assert edges_of(grid)[0][0] > 90
    want, _ = direct_conservative(source, box, grid, 0.5)
    assert_allclose(nc.regrid(source, grid, "conservative").value.values[0], want, rtol=FLOAT32, atol=1e-7)


# ESMF's cell edges are great circles, ours parallels: what crosses a parallel of the source differs by up to this
ACROSS = {"a010": 1.8e-2, "b005": 3.6e-3, "d500m": 1.4e-4}


@pytest.mark.parametrize("pair", [("a010", "500m"), ("b005", "500m"), ("d500m", "005")], ids="->".join)
def test_conservative_beside_esmf(esmf, pair):
    src, goal, result = load(esmf, *pair)
    got = onto(src, goal, "conservative", min_fraction=1.0)
    want = reference(result, "conservative", "field")
    apart = np.abs(got.field.values - want)
    assert apart.max() <= ACROSS[pair[0]]
    if pair[0] != "d500m":
        # away from the source's parallels the two are the same boxes, up to one rounding to float32
        step = {"a010": 0.1, "b005": 0.05}[pair[0]]
        lat, half = goal.lat.values, 0.5 * abs(goal.lat.values[1] - goal.lat.values[0])
        line = (src.latitude.values[0] - step / 2) / step
        across = np.floor((lat + half) / step - line + 1e-9) != np.floor((lat - half) / step - line - 1e-9)
        assert 0.02 < across.mean() < 0.12
        assert_allclose(got.field.values[~across], want[~across], rtol=FLOAT32, atol=1e-9)
    for least, variant in ((1.0, "nan_skipna_false"), (0.5, "nan_skipna_thres05"), (0.0, "nan_skipna_thres1")):
        some = onto(src, goal, "conservative", min_fraction=least).field_nan.values
        other = reference(result, "conservative", variant)
        assert_array_equal(np.isnan(some), np.isnan(other))
        assert np.nanmax(np.abs(some - other)) <= ACROSS[pair[0]]


# --- from the sinusoidal grid ----------------------------------------------------------------------------------------


def overlap_by_quadrature(left, right, low, high, south, north, n=200):
    """Area in the plane between two meridians and two lines, by midpoints along the latitude."""
    phi = south + (np.arange(n) + 0.5) / n * (north - south)
    a, b = np.maximum(left * np.cos(phi), low), np.minimum(right * np.cos(phi), high)
    return np.maximum(0.0, b - a).sum() * (north - south) / n


def direct_sinusoidal(value, box, grid):
    """Sums of value times area, and of area, of every target cell, one overlap at a time."""
    sy, sx = (e / RADIUS for e in edges_of(box))
    ty, tx = (np.radians(e) for e in edges_of(grid))
    total, weight = np.zeros(grid.shape), np.zeros(grid.shape)
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            whole = (tx[j + 1] - tx[j]) * (np.sin(ty[i]) - np.sin(ty[i + 1]))
            for r in range(box.shape[0]):
                south, north = max(ty[i + 1], sy[r + 1]), min(ty[i], sy[r])
                if north <= south:
                    continue
                for c in range(box.shape[1]):
                    w = overlap_by_quadrature(tx[j], tx[j + 1], sx[c], sx[c + 1], south, north) / whole
                    if np.isfinite(value[r, c]):
                        total[i, j] += w * value[r, c]
                        weight[i, j] += w
    return total, weight


@pytest.mark.parametrize(
    ("h", "v", "west", "south"), [(25, 5, 92.0, 33.0), (17, 3, -15.0, 53.0), (28, 9, 104.5, -5.2), (20, 8, 27.0, 1.0)]
)
def test_conservative_from_the_sinusoidal_grid_equals_quadrature(h, v, west, south):
    source, box = sinusoidal(pixels=12, h=h, v=v, tiles=(1, 1), seed=h)
    grid = nc.target_grid((west, south, west + 6, south + 5), 1.3)
    total, weight = direct_sinusoidal(source.value.values[0], box, grid)
    got = nc.regrid(source, grid, "conservative", min_fraction=0.4).value.values[0]
    sure = np.abs(weight - 0.4) > 1e-3
    assert_array_equal(np.isfinite(got)[sure], (weight >= 0.4)[sure])
    both = np.isfinite(got) & sure
    assert both.sum() > 5
    # midpoints of 200 strips: 1e-4 of a cell along the slanted sides
    assert_allclose(got[both], (total / np.where(weight > 0, weight, 1))[both], rtol=2e-4, atol=0.05)


@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(
    pixels=st.integers(20, 70),
    h=st.integers(10, 25),
    v=st.integers(4, 13),
    cell=st.floats(0.1, 1.0),
    seed=st.integers(0, 9),
)
def test_the_sinusoidal_grid_keeps_its_integral(pixels, h, v, cell, seed):
    source, box = sinusoidal(pixels=pixels, h=h, v=v, tiles=(1, 1), seed=seed)
    lat, lon = (
        box.footprint("EPSG:4326", 0.0, 300).boundingbox.range_y,
        box.footprint("EPSG:4326", 0.0, 300).boundingbox.range_x,
    )
    rng = np.random.default_rng(seed)
    value = np.zeros(box.shape, np.float32)
    k = pixels // 3
    value[k:-k, k:-k] = rng.uniform(1, 900, value[k:-k, k:-k].shape)
    source["value"] = source.value.dims, value[None]
    grid = nc.target_grid((max(lon[0] - 1, -179), lat[0] - 1, min(lon[1] + 1, 179), lat[1] + 1), cell)
    got = nc.regrid(source, grid, "conservative", min_fraction=0.0).value.values[0].astype(np.float64)
    want = value.astype(np.float64).sum() * (TILE / pixels / RADIUS) ** 2
    assert_allclose(np.nansum(got * area_of(grid)), want, rtol=1e-6)


def test_a_constant_stays_what_it_is_and_flags_go_by_area():
    source, _ = sinusoidal(pixels=60)
    source["value"] = source.value * 0 + np.float32(123.4)
    flag = np.where(np.isnan(source.value.values), 5, 0).astype(np.uint8)
    flag[:, :20] = np.where(np.arange(flag.shape[2]) % 3 == 0, 6, flag[:, :20])
    source["value"] = source.value.where(flag == 0)
    source["npp_flag"] = source.value.dims, flag, spec.flag_attrs(spec.NPP_FLAGS, "uint8")
    grid = nc.target_grid((90.0, 31.0, 101.0, 39.0), "0.7 deg")
    for method in ("conservative", "average"):
        for least in (0.3, 0.5, 0.8):
            got = nc.regrid(source, grid, method, min_fraction=least)
            inside = np.isfinite(got.value.values)
            assert inside.any()
            assert_allclose(got.value.values[inside], 123.4, rtol=FLOAT32)
            # what has a value is data, and what has none says why
            assert_array_equal(got.npp_flag.values == 0, inside)
            assert set(np.unique(got.npp_flag.values)) <= {0, 5, 6, 255}


def test_codes_without_data_take_the_largest_area():
    source, _ = lonlat(rows=6, columns=6, step=0.5, west=95.0, north=36.0)
    code = np.array([[3, 3, 7, 7, 9, 9]] * 6, np.uint8)[None]
    source["cover"] = source.value.dims, code
    grid = GeoBox((2, 2), Affine(1.25, 0, 95.0, 0, -1.25, 36.0), "EPSG:4326")
    for method in ("conservative", "average"):
        got = nc.regrid(source[["cover"]], grid, method).cover.values[0]
        assert got.dtype == np.uint8
        # 1.0 of three and 0.25 of seven; then 0.75 of seven and 0.5 of nine; the centres say the same
        assert got.tolist() == [[3, 7], [3, 7]] if method == "conservative" else got[0, 0] == 3


# --- by centres ------------------------------------------------------------------------------------------------------


def direct_average(source, box, source_crs, grid, min_fraction):
    y, x = edges_of(box)
    xx, yy = np.meshgrid((x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2)
    to = Transformer.from_crs(source_crs, str(grid.crs), always_xy=True)
    gx, gy = to.transform(xx, yy)
    a = grid.affine
    columns, rows = (gx - a.c) / a.a, (gy - a.f) / a.e
    near = (np.abs(columns - np.rint(columns)) < 1e-7) | (np.abs(rows - np.rint(rows)) < 1e-7)
    i, j = np.floor(rows).astype(int), np.floor(columns).astype(int)
    inside = (i >= 0) & (j >= 0) & (i < grid.shape[0]) & (j < grid.shape[1])
    area = (
        np.diff(np.sin(np.radians(y)))[:, None] * np.ones(box.shape)
        if source_crs == "EPSG:4326"
        else np.ones(box.shape)
    )
    value = source.value.values[0].astype(np.float64)
    total, weight, count, unsure = (np.zeros(grid.shape) for _ in range(4))
    good = np.isfinite(value)
    np.add.at(count, (i[inside], j[inside]), np.abs(area)[inside])
    np.add.at(weight, (i[inside & good], j[inside & good]), np.abs(area)[inside & good])
    np.add.at(total, (i[inside & good], j[inside & good]), (np.abs(area) * np.where(good, value, 0))[inside & good])
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            # a centre on an edge may belong to either side
            at = np.clip(i + di, 0, grid.shape[0] - 1), np.clip(j + dj, 0, grid.shape[1] - 1)
            np.add.at(unsure, (at[0][inside & near], at[1][inside & near]), 1)
    out = np.where(weight > 0, total / np.where(weight > 0, weight, 1), np.nan)
    share = weight / np.where(count > 0, count, 1)
    out[share < min_fraction] = np.nan
    return out, count, (unsure > 0) | (np.abs(share - min_fraction) < 1e-6)


@pytest.mark.parametrize("kind", ["sinusoidal", "geographic"])
@pytest.mark.parametrize("crs", ["EPSG:4326", ALBERS, SINUSOIDAL])
def test_average_equals_the_centres_that_fall_in_a_cell(kind, crs):
    source, box = sinusoidal(pixels=90) if kind == "sinusoidal" else lonlat(rows=90, columns=110, step=0.0437)
    source_crs = SINUSOIDAL if kind == "sinusoidal" else "EPSG:4326"
    to = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    bounds = to.transform_bounds(95.6, 32.7, 98.7, 35.3)
    grid = nc.target_grid(bounds, "0.31 deg" if crs == "EPSG:4326" else "31000 m", crs)
    want, count, unsure = direct_average(source, box, source_crs, grid, 0.5)
    got = nc.regrid(source[["value"]], grid, "average").value.values[0]
    # a cell at the source's rim has centres beyond it, which are missing
    rim = count < 0.9 * np.median(count[count > 0])
    sure = ~unsure & ~rim
    assert sure.mean() > 0.25
    assert_array_equal(np.isnan(got)[sure], np.isnan(want)[sure])
    both = sure & np.isfinite(want)
    assert_allclose(got[both], want[both], rtol=FLOAT32, atol=1e-6)


def test_half_a_cell_beyond_the_source_is_missing():
    source, _ = lonlat(rows=40, columns=40, step=0.05, west=95.0, north=36.0)
    grid = GeoBox((2, 3), Affine(1.0, 0, 94.45, 0, -1.0, 36.0), "EPSG:4326")
    for method in ("average", "conservative"):
        whole = nc.regrid(source, grid, method, min_fraction=0.6).value.values[0]
        assert_array_equal(np.isfinite(whole), [[False, True, False]] * 2)
        some = nc.regrid(source, grid, method, min_fraction=0.4).value.values[0]
        assert_array_equal(np.isfinite(some), [[True, True, True]] * 2)


# --- the same, however it is cut -------------------------------------------------------------------------------------

CASES = [
    ("geographic", "conservative"),
    ("sinusoidal", "conservative"),
    ("sinusoidal", "average"),
    ("albers", "average"),
]


def case(kind):
    if kind == "sinusoidal":
        source, _ = sinusoidal(pixels=70)
        return source, nc.target_grid((95.0, 32.0, 99.0, 36.0), "0.29 deg")
    source, _ = lonlat(rows=80, columns=90, step=0.05, seed=3)
    source["value"] = source.value.where(np.random.default_rng(1).random(source.value.shape) > 0.1)
    source["code"] = source.value.dims, np.random.default_rng(2).integers(0, 9, source.value.shape).astype(np.uint8)
    if kind == "geographic":
        return source, nc.target_grid((95.3, 32.5, 99.4, 35.7), "0.053 deg")
    return source, nc.target_grid((-900000.0, 3600000.0, -560000.0, 3900000.0), "17000 m", ALBERS)


@pytest.mark.parametrize(("kind", "method"), CASES)
@pytest.mark.parametrize("block", [3, 7, 1000])
def test_no_block_or_chunk_changes_a_bit(kind, method, block):
    source, grid = case(kind)
    want = nc.regrid(source, grid, method)
    ydim, xdim = source.value.dims[-2:]
    with forbid_compute():
        got = nc.regrid(source.chunk({ydim: 11, xdim: 17}), grid, method, block=block)
    with dask.config.set(scheduler="threads", num_workers=2):
        got = got.compute()
    assert got.identical(want)
    assert_array_equal(got.value.values.view("u4"), want.value.values.view("u4"))


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_any_window_is_the_slice_of_the_whole(kind, method, monkeypatch):
    from nepcube.harmonise import methods

    source, grid = case(kind)
    want = nc.regrid(source, grid, method)
    ydim, xdim = want.value.dims[-2:]
    rng = np.random.default_rng(5)
    # windows that hold too many cells are made in parts
    monkeypatch.setattr(methods, "_SOURCE_CELLS", 300)
    monkeypatch.setattr(methods, "_CENTRES", 300)
    monkeypatch.setattr(methods, "_CODED_CELLS", 9)
    for _ in range(8):
        (y0, y1), (x0, x1) = np.sort(rng.integers(0, grid.shape[0], 2)), np.sort(rng.integers(0, grid.shape[1], 2))
        w = Window(int(y0), int(y1) + 1, int(x0), int(x1) + 1)
        for ds in (source, source.chunk({source.value.dims[-1]: 13})):
            got = regrid_window(ds, grid, w, method).compute()
            assert got.identical(want.isel({ydim: w.slices[0], xdim: w.slices[1]}))


# --- the sinusoidal grid as the target -------------------------------------------------------------------------------


def test_the_modis_grid_itself_as_the_target_changes_nothing():
    source, box = sinusoidal(pixels=40)
    res = TILE / 40
    bounds = (box.affine.c + 3 * res, box.affine.f - 30 * res, box.affine.c + 61 * res, box.affine.f - 4 * res)
    grid = nc.target_grid(bounds, res, SINUSOIDAL)
    assert grid.shape == (26, 58)
    for method in ("nearest", "bilinear", "conservative", "average"):
        got = nc.regrid(source, grid, method, min_fraction=1.0)
        assert_array_equal(got.value.values[0], source.value.values[0, 4:30, 3:61])
        assert_array_equal(got.code.values[0], source.code.values[0, 4:30, 3:61])


def test_a_window_off_the_globe_is_missing():
    # the corners of the sinusoidal plane are no place on the Earth
    source, _ = lonlat(rows=180, columns=360, step=1.0, west=-180.0, north=90.0)
    grid = nc.target_grid((-2.0e7, 1.0e6, -0.6e7, 9.9e6), 200000.0, SINUSOIDAL)
    got = nc.regrid(source, grid, "nearest").value.values[0]
    assert np.isnan(got[0, 0])
    assert 0.05 < np.isfinite(got).mean() < 0.6
    assert_array_equal(nc.regrid(source.chunk(), grid, "nearest", block=7).value.values[0], got)


def test_what_cannot_be_averaged_is_refused():
    source, _ = lonlat(rows=40, columns=40, step=0.1)
    grid = nc.target_grid((96.0, 33.0, 97.0, 34.0), "0.03 deg")
    with pytest.raises(GridError, match=r"value: `average` needs a coarser grid: a cell holds 0\.09 of the source's"):
        nc.regrid(source, grid, "average")
    albers = nc.target_grid((-900000.0, 3600000.0, -560000.0, 3900000.0), "17000 m", ALBERS)
    with pytest.raises(GridError, match="value: `conservative` does not go between these two grids, whose cells"):
        nc.regrid(source, albers, "conservative")
    source["value"] = source.value.round().astype("int32")
    with pytest.raises(GridError, match="value: codes of int32 have no conservative"):
        nc.regrid(source, grid, "conservative")
    upside_down, _ = sinusoidal(pixels=20)
    upside_down = upside_down.isel(y=slice(None, None, -1))
    with pytest.raises(GridError, match="must have their rows from north to south"):
        nc.regrid(upside_down, nc.target_grid((95.0, 32.0, 99.0, 36.0), "1 deg"), "conservative")


def test_spatial_ref_of_the_result_is_the_grids():
    source, _ = sinusoidal(pixels=40)
    grid = nc.target_grid((95.0, 32.0, 99.0, 36.0), "0.5 deg")
    got = nc.regrid(source, grid, "average")
    assert got.spatial_ref.attrs == xr.Dataset(coords=spatial_coords(grid)).spatial_ref.attrs
