"""The grid: Earth Engine's lattice, coordinates to the last bit, areas against geodesics and the ellipsoid."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from pyproj import Geod

from nepcube import grid as g
from nepcube.errors import GridError
from nepcube.grid import Window, cell_area, coordinates, parse_resolution, target_grid, windows

HEADWATERS = (89.40, 31.59, 102.40, 36.29)
CELL = 0.004491576420597607
A, B = 6378137.0, 6356752.314245179
WGS84 = Geod(ellps="WGS84")
ALBERS = "+proj=aea +lat_1=25 +lat_2=47 +lat_0=36 +lon_0=96 +datum=WGS84 +units=m"
SINUSOIDAL = "+proj=sinu +lon_0=96 +datum=WGS84 +units=m"
MODIS = "+proj=sinu +lon_0=0 +R=6371007.181 +units=m +no_defs"


def ellipsoid_area():
    # the textbook closed form of an oblate spheroid, km2
    e = math.sqrt(1 - (B / A) ** 2)
    return 2 * math.pi * A**2 * (1 + (1 - e**2) / e * math.atanh(e)) / 1e6


def zone_by_quadrature(south, north, width):
    # integral of M(phi) N(phi) cos(phi) by Gauss-Legendre: no closed form shared with the package
    e2 = 1 - (B / A) ** 2
    nodes, weights = np.polynomial.legendre.leggauss(40)
    lo, hi = math.radians(south), math.radians(north)
    phi = (hi - lo) / 2 * nodes + (hi + lo) / 2
    w = 1 - e2 * np.sin(phi) ** 2
    radii = A * (1 - e2) / w**1.5 * A / np.sqrt(w) * np.cos(phi)
    return float((weights * radii).sum() * (hi - lo) / 2 * math.radians(width) / 1e6)


def geodesic_area(grid, row, col, geod=WGS84, pieces=8):
    """The cell as a polygon of many geodesic edges, in km2."""
    from pyproj import Transformer

    a = grid.affine
    x0, y0 = a.c + col * a.a, a.f + row * a.e
    x1, y1 = x0 + a.a, y0 + a.e
    s = np.linspace(0, 1, pieces, endpoint=False)
    xs = np.concatenate([x0 + (x1 - x0) * s, np.full(pieces, x1), x1 + (x0 - x1) * s, np.full(pieces, x0)])
    ys = np.concatenate([np.full(pieces, y0), y0 + (y1 - y0) * s, np.full(pieces, y1), y1 + (y0 - y1) * s])
    if not g.is_geographic(grid):
        source = str(grid.crs)
        xs, ys = Transformer.from_crs(source, _geographic_of(source), always_xy=True).transform(xs, ys)
    area, _ = geod.polygon_area_perimeter(xs, ys)
    return abs(area) / 1e6


def _geographic_of(source):
    from pyproj import CRS

    return CRS.from_user_input(source).geodetic_crs


# --- the lattice


def test_the_cell_is_earth_engines():
    assert CELL == 500 / 111319.49079327358
    assert parse_resolution("500 m", geographic=True) == CELL
    assert math.isclose(g.METRES_PER_DEGREE, 2 * math.pi * A / 360, rel_tol=1e-15)


def test_the_headwaters():
    box = target_grid(HEADWATERS)
    assert tuple(box.shape) == (1047, 2896)
    a = box.affine
    assert (a.a, a.e, a.b, a.d) == (CELL, -CELL, 0, 0)
    assert a.c == math.floor(89.40 / CELL) * CELL
    assert a.f == math.ceil(36.29 / CELL) * CELL
    west, south, east, north = box.boundingbox.bbox
    assert 0 <= 89.40 - west < CELL
    assert 0 <= 31.59 - south < CELL
    assert 0 <= east - 102.40 < CELL
    assert 0 <= north - 36.29 < CELL


def test_the_globe_leaves_out_the_part_of_a_column():
    box = target_grid((-180, -90, 180, 90))
    # 360 / cell = 80150.03 columns; 180 / cell = 40075.02 rows, of which the outer two lie half and more on the globe
    assert math.isclose(360 / CELL, 80150.03, abs_tol=0.005)
    assert tuple(box.shape) == (40076, 80150)
    lat, lon = coordinates(box)
    assert -90 < lat[-1] < lat[0] < 90
    assert -180 < lon[0] < lon[-1] < 180


@pytest.mark.parametrize("resolution", ["0.05 deg", "0.25 deg", "1 deg", "0.1 deg"])
def test_a_resolution_that_divides_the_globe_covers_it(resolution):
    step = float(resolution.split()[0])
    box = target_grid((-180, -90, 180, 90), resolution)
    assert tuple(box.shape) == (round(180 / step), round(360 / step))
    assert_allclose(float(cell_area(box).sum()) * box.shape[1], ellipsoid_area(), rtol=1e-12)


@pytest.mark.parametrize("resolution", ["500 m", "2000 m", "0.05 deg", "0.1 deg", "0.25 deg", "1 deg"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_bounds_on_edges_stay(resolution, data):
    res = parse_resolution(resolution, geographic=True)
    limit = int(80 / res)
    west = data.draw(st.integers(-2 * limit, 2 * limit - 1))
    south = data.draw(st.integers(-limit, limit - 1))
    cols = data.draw(st.integers(1, min(500, 2 * limit - west)))
    rows = data.draw(st.integers(1, min(500, limit - south)))
    box = target_grid((west * res, south * res, (west + cols) * res, (south + rows) * res), resolution)
    assert tuple(box.shape) == (rows, cols)
    assert (box.affine.c, box.affine.f) == (west * res, (south + rows) * res)


@given(west=st.floats(-179, 178), south=st.floats(-89, 88), width=st.floats(1e-3, 1.0), height=st.floats(1e-3, 1.0))
@settings(max_examples=200, deadline=None)
def test_any_bounds_are_taken_outward_by_less_than_a_cell(west, south, width, height):
    bounds = (west, south, west + width, south + height)
    box = target_grid(bounds)
    w, s, e, n = box.boundingbox.bbox
    slack = 1e-8 * CELL * 40_000  # bounds within 1e-9 of an edge count as on it
    assert -slack <= west - w < CELL + slack
    assert -slack <= south - s < CELL + slack
    assert -slack <= e - bounds[2] < CELL + slack
    assert -slack <= n - bounds[3] < CELL + slack
    for edge in (box.affine.c / CELL, box.affine.f / CELL):
        assert abs(edge - round(edge)) < 1e-9 * max(1, abs(edge))


@pytest.mark.parametrize(("inch", "cells"), [(0.0, 10), (1e-12, 10), (-1e-12, 10), (1e-4, 11), (-1e-4, 10)])
def test_outward_means_outward(inch, cells):
    # 1e-4 of a cell beyond an edge asks for another column; rounding noise does not
    box = target_grid((100 * CELL, 50 * CELL, (110 + inch) * CELL, 60 * CELL))
    assert box.shape[1] == cells


def test_projected_edges_are_multiples_too():
    box = target_grid((100_250, 200_001, 101_000, 201_999), "500 m", ALBERS)
    assert (box.affine.c, box.affine.f) == (100_000, 202_000)
    assert tuple(box.shape) == (4, 2)
    assert g.dims(box) == ("y", "x")
    assert not g.is_geographic(box)


# --- refusals


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ((10, 0, 10, 1), "[10.0, 0.0, 10.0, 1.0]"),
        ((10, 0, 5, 1), "[10.0, 0.0, 5.0, 1.0]"),
        ((0, 5, 1, 4), "[0.0, 5.0, 1.0, 4.0]"),
        ((0, float("nan"), 1, 4), "[0.0, nan, 1.0, 4.0]"),
        ((0, 0, float("inf"), 4), "[0.0, 0.0, inf, 4.0]"),
    ],
)
def test_bounds_that_are_none(bounds, shown):
    with pytest.raises(GridError) as caught:
        target_grid(bounds)
    assert caught.value.what == f"grid.bounds: {shown} is not west, south, east, north."
    assert caught.value.way_out == (
        "West must be less than east and south less than north; a box across the antimeridian is not supported."
    )


@pytest.mark.parametrize("bounds", [(181, 0, 182, 1), (0, 91, 1, 92), (-200, 0, -190, 1), (0, -95, 1, -91)])
def test_bounds_off_the_globe(bounds):
    with pytest.raises(GridError, match=r"holds no cell of the globe\.\nLongitudes run from -180 to 180"):
        target_grid(bounds)


@pytest.mark.parametrize("crs", ["EPSG:0", "nonsense", ""])
def test_a_crs_that_is_none(crs):
    with pytest.raises(GridError) as caught:
        target_grid(HEADWATERS, crs=crs)
    assert caught.value.what == f"grid.crs: {crs!r} is not a coordinate reference system."


@pytest.mark.parametrize(
    ("text", "geographic", "value"),
    [
        ("500 m", False, 500.0),
        ("500m", False, 500.0),
        (" 0.5 km ", False, 500.0),
        ("1e3 m", False, 1000.0),
        ("0.05 deg", True, 0.05),
        ("0.05 degrees", True, 0.05),
        ("0.05°", True, 0.05),
        (0.05, True, 0.05),
        (500, False, 500.0),
        ("500 m", True, CELL),
        ("0.5 km", True, CELL),
    ],
)
def test_resolutions(text, geographic, value):
    assert parse_resolution(text, geographic=geographic) == value


@pytest.mark.parametrize(
    "text", ["", "m", "500 ft", "-500 m", "0 m", "nan", "inf", "1e999 m", "5e m", "1-2", "500 m m"]
)
@pytest.mark.parametrize("geographic", [True, False])
def test_resolutions_that_are_none(text, geographic):
    with pytest.raises(GridError) as caught:
        parse_resolution(text, geographic=geographic)
    assert caught.value.what == f"grid.resolution: {text!r} is not a resolution."
    assert caught.value.way_out == 'Write it as "500 m" or "0.05 deg".'


def test_degrees_in_a_metric_crs():
    with pytest.raises(GridError) as caught:
        parse_resolution("0.05 deg", geographic=False)
    assert caught.value.what == "grid.resolution: '0.05 deg' is in degrees, the CRS counts metres."


# --- coordinates and windows


def test_coordinates_come_from_integers():
    lat, lon = coordinates(target_grid(HEADWATERS))
    k = np.array([math.floor(89.40 / CELL) + i for i in range(2896)])
    j = np.array([math.ceil(36.29 / CELL) - 1 - i for i in range(1047)])
    assert_array_equal(lon, (k + 0.5) * CELL)
    assert_array_equal(lat, (j + 0.5) * CELL)
    assert lat.dtype == lon.dtype == np.float64


@pytest.mark.parametrize(
    ("bounds", "resolution", "crs"),
    [
        (HEADWATERS, "500 m", "EPSG:4326"),
        (HEADWATERS, "0.05 deg", "EPSG:4326"),
        ((-10, -5, 10, 5), "2000 m", "EPSG:4326"),
        ((-400_000, -400_000, 400_000, 400_000), "500 m", ALBERS),
        ((-400_000, 3_300_000, 400_000, 3_900_000), "463.31271652777775 m", MODIS),
    ],
)
def test_coordinates_of_a_tile_are_the_slice_of_the_whole(bounds, resolution, crs):
    box = target_grid(bounds, resolution, crs)
    y, x = coordinates(box)
    for window in windows(box, 257):
        rows, cols = window.slices
        tile_y, tile_x = coordinates(box[rows, cols])
        assert_array_equal(tile_y, y[rows])
        assert_array_equal(tile_x, x[cols])


@given(dw=st.integers(0, 400), dn=st.integers(0, 400))
@settings(max_examples=50, deadline=None)
def test_two_grids_of_one_lattice_share_their_coordinates(dw, dn):
    outer = target_grid(HEADWATERS)
    inner = target_grid((89.40 + dw * CELL, 31.59, 102.40, 36.29 - dn * CELL))
    (lat, lon), (ilat, ilon) = coordinates(outer), coordinates(inner)
    assert np.isin(ilat, lat).all()
    assert np.isin(ilon, lon).all()


@given(rows=st.integers(1, 60), cols=st.integers(1, 60), block=st.integers(1, 70))
@settings(max_examples=100, deadline=None)
def test_windows_cover_every_cell_once_row_by_row(rows, cols, block):
    box = target_grid((0, 0, cols, rows), "1 deg")
    seen = np.zeros(tuple(box.shape), int)
    assert seen.shape == (rows, cols)
    found = list(windows(box, block))
    for window in found:
        seen[window.slices] += 1
        assert max(window.shape) <= block
        assert seen[window.slices].shape == window.shape
    assert (seen == 1).all()
    assert found == sorted(found)
    assert len(found) == math.ceil(rows / block) * math.ceil(cols / block)


def test_a_window_knows_its_shape():
    w = Window(3, 7, 10, 15)
    assert w.shape == (4, 5)
    assert np.arange(400).reshape(20, 20)[w.slices].shape == (4, 5)


@pytest.mark.parametrize(
    ("bounds", "resolution", "crs", "dims"),
    [(HEADWATERS, "0.05 deg", "EPSG:4326", ("latitude", "longitude")), ((0, 0, 5000, 5000), 500, ALBERS, ("y", "x"))],
)
def test_a_dataset_carries_its_grid(bounds, resolution, crs, dims):
    import rioxarray  # noqa: F401

    box = target_grid(bounds, resolution, crs)
    coords = g.spatial_coords(box)
    ds = xr.Dataset({"v": (dims, np.zeros(tuple(box.shape), "f4"))}, coords=coords)
    assert ds[dims[0]].dtype == ds[dims[1]].dtype == np.float64
    assert ds[dims[0]].attrs["axis"] == "Y"
    back = g.geobox_of(ds)
    assert back.shape == box.shape
    assert_allclose(np.array(back.affine)[:6], np.array(box.affine)[:6], rtol=1e-9)
    assert ds.rio.crs == ds.odc.crs.proj
    geotransform = [float(v) for v in ds.spatial_ref.attrs["GeoTransform"].split()]
    a = box.affine
    assert geotransform == [a.c, a.a, a.b, a.f, a.d, a.e]


def test_a_dataset_without_a_grid():
    with pytest.raises(GridError, match="no regular georeferenced grid"):
        g.geobox_of(xr.Dataset({"v": ("i", [1.0, 2.0])}))


# --- areas


def test_the_row_of_34_north_has_the_published_area():
    area = cell_area(target_grid(HEADWATERS))
    row = int(np.flatnonzero((area.latitude - CELL / 2 <= 34) & (area.latitude + CELL / 2 > 34))[0])
    assert f"{float(area[row]):.5f}" == "0.20674"
    assert area.attrs["units"] == "km2"
    assert area.dims == ("latitude",)


@pytest.mark.parametrize("resolution", ["500 m", "0.05 deg", "1 deg"])
@pytest.mark.parametrize("bounds", [HEADWATERS, (-5, -60, 5, -50), (0, 80, 10, 90), (0, -3, 4, 3)])
def test_areas_are_the_integral_over_the_ellipsoid(bounds, resolution):
    box = target_grid(bounds, resolution)
    area = cell_area(box).values
    for row in {0, box.shape[0] // 2, box.shape[0] - 1}:
        north = min(box.affine.f + row * box.affine.e, 90.0)
        south = box.affine.f + (row + 1) * box.affine.e
        # a closed form takes the difference of two zones, each as large as a hemisphere: their rounding stays
        atol = 8e-16 * A**2 / 1e6 * math.radians(box.affine.a)
        assert_allclose(area[row], zone_by_quadrature(south, north, box.affine.a), rtol=1e-12, atol=atol)


def test_areas_are_those_of_geodesic_polygons():
    box = target_grid(HEADWATERS)
    area = cell_area(box).values
    for row in range(0, 1047, 100):
        # Karney's areas of polygons; the parallels are followed by 64 geodesic pieces
        assert_allclose(area[row], geodesic_area(box, row, 1000, pieces=64), rtol=1e-8)


@pytest.mark.parametrize(("resolution", "rtol"), [("500 m", 1e-11), ("1 km", 1e-11), ("2000 m", 1e-8)])
def test_the_globes_area_is_the_ellipsoids_but_for_the_missing_columns(resolution, rtol):
    # the lattice of 2000 m ends 0.0068 degrees from the poles: two caps of 3.5e-9 of the globe are not in it
    box = target_grid((-180, -90, 180, 90), resolution)
    total = math.fsum(cell_area(box).values) * box.shape[1]
    share = box.shape[1] * box.affine.a / 360
    assert_allclose(total, ellipsoid_area() * share, rtol=rtol)
    assert ellipsoid_area() == pytest.approx(510_065_621.724, abs=1e-3)


def test_a_cell_over_the_pole_has_the_area_of_its_part_on_the_globe():
    box = target_grid((0, 89.9, 1, 90), "500 m")
    assert box.affine.f > 90
    area = cell_area(box).values
    assert_allclose(area[0], zone_by_quadrature(box.affine.f + box.affine.e, 90.0, CELL), rtol=1e-6)
    assert (area > 0).all()


def test_areas_are_the_same_south_and_north():
    area = cell_area(target_grid((0, -60, 1, 60), "0.25 deg")).values
    assert_allclose(area, area[::-1], rtol=1e-13)


@given(k=st.integers(0, 5000))
@settings(max_examples=40, deadline=None)
def test_areas_of_a_tile_are_the_slice_of_the_whole(k):
    box = target_grid(HEADWATERS)
    assume(k < 1000)
    assert_array_equal(cell_area(box[k : k + 40, 5:9]).values, cell_area(box).values[k : k + 40])


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        (ALBERS, (-1_000_000, -800_000, 1_000_000, 800_000)),
        (SINUSOIDAL, (-800_000, 2_500_000, 800_000, 4_200_000)),
        ("EPSG:32647", (300_000, 3_500_000, 700_000, 4_000_000)),
        ("EPSG:3857", (9_900_000, 3_500_000, 11_400_000, 4_400_000)),
        ("EPSG:3035", (2_500_000, 1_500_000, 6_000_000, 5_000_000)),
        ("EPSG:6933", (9_000_000, 3_000_000, 10_000_000, 5_000_000)),
    ],
)
def test_projected_areas_are_those_of_geodesic_polygons(crs, bounds):
    box = target_grid(bounds, "2 km", crs)
    rows, cols = np.linspace(0, box.shape[0] - 1, 4).astype(int), np.linspace(0, box.shape[1] - 1, 4).astype(int)
    area = cell_area(box)
    assert area.dims == ("y", "x")
    for row in rows:
        for col in cols:
            # the areal scale is that of the cell's centre, which is second order in 2 km / 6371 km; GRS80 of EPSG:3035
            # differs from WGS84 by 1e-11
            assert_allclose(area.values[row, col], geodesic_area(box, row, col), rtol=2e-7, err_msg=crs)


def test_the_areas_of_the_modis_grid_are_those_of_the_ellipsoid():
    pixel = 463.31271652777775
    box = target_grid((pixel * 100, pixel * 8000, pixel * 110, pixel * 8010), f"{pixel} m", MODIS)
    area = cell_area(box).values
    # its own sphere would give 0.21466 everywhere
    assert_allclose(area[3, 4], geodesic_area(box, 3, 4), rtol=1e-6)
    assert abs(area[3, 4] / 0.2146586732 - 1) > 1e-4


def test_a_crs_in_feet_has_areas_in_km2():
    # New York Long Island in US survey feet: Geod says what a cell of the grid holds
    box = target_grid((900_000, 150_000, 910_000, 160_000), 500, "EPSG:2263")
    assert_allclose(cell_area(box).values[2, 3], geodesic_area(box, 2, 3), rtol=1e-5)
