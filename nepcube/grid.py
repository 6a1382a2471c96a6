"""The target grid: an `odc.geo` GeoBox on a fixed lattice, integer windows, coordinates and cell areas.

A tile is a window of integers. Coordinates are made from integers in float64 here and nowhere else, so that
two cubes on one lattice are equal to the last bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = [
    "METRES_PER_DEGREE",
    "Window",
    "authalic_zone",
    "cell_area",
    "coordinates",
    "dims",
    "edges",
    "geobox_of",
    "is_geographic",
    "parse_resolution",
    "spatial_coords",
    "target_grid",
    "windows",
]

#: Earth Engine's length of a degree, which makes ``scale=500`` 0.0044915764... degrees
METRES_PER_DEGREE = 111319.49079327358

WGS84_A = 6378137.0
WGS84_F = 1 / 298.257223563


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of whole cells: rows ``y0:y1`` and columns ``x0:x1`` of a grid."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def parse_resolution(text: str | float, *, geographic: bool, metres_per_unit: float = 1.0) -> float:
    """Give a resolution in the units of the CRS.

    Parameters
    ----------
    text : str or float
        ``"500 m"``, ``"0.05 deg"``; a bare number is in the units of the CRS.
    geographic : bool
        Whether the CRS counts degrees. Metres become degrees by Earth Engine's convention there.
    metres_per_unit : float
        Of a projected CRS: 0.3048 for one in feet.

    Raises
    ------
    GridError
    """
    way_out = 'Write it as "500 m" or "0.05 deg".'
    match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(m|km|deg|degree|degrees|°)?\s*", str(text))
    try:
        value = float(match.group(1)) if match else math.nan
    except ValueError:
        value = math.nan
    if match is None or not math.isfinite(value) or value <= 0:
        raise GridError(f"grid.resolution: {text!r} is not a resolution.", way_out)
    unit = match.group(2)
    if unit == "km":
        value, unit = value * 1000, "m"
    if unit is None:
        return value
    if unit == "m":
        return value / (METRES_PER_DEGREE if geographic else metres_per_unit)
    if geographic:
        return value
    raise GridError(f"grid.resolution: {text!r} is in degrees, the CRS counts metres.", way_out)


def target_grid(
    bounds: tuple[float, float, float, float],
    resolution: str | float = "500 m",
    crs: str = "EPSG:4326",
) -> GeoBox:
    """Make the grid that covers some bounds, taken outward to whole cells.

    Cell edges are integer multiples of the resolution from (0, 0), as in Earth Engine's
    ``reproject(crs, scale=...)``. Columns that would reach beyond the antimeridian, and rows whose centre lies
    beyond a pole, are left out.

    Parameters
    ----------
    bounds : tuple of float
        West, south, east, north in the units of `crs`.
    resolution : str or float
        ``"500 m"`` is 500 / 111319.49079327358 degrees in a geographic CRS.
    crs : str
        Anything that pyproj understands.

    Returns
    -------
    odc.geo.geobox.GeoBox
        Rows run from north to south.

    Raises
    ------
    GridError
        The bounds are empty or not finite, or the CRS is not known.

    Examples
    --------
    >>> target_grid((89.40, 31.59, 102.40, 36.29)).shape
    Shape2d(x=2896, y=1047)
    """
    from affine import Affine
    from odc.geo.crs import CRS
    from odc.geo.geobox import GeoBox

    try:
        the_crs = CRS(crs)
    except Exception as error:
        raise GridError(
            f"grid.crs: {crs!r} is not a coordinate reference system.", 'Write it as "EPSG:4326", PROJ text or WKT.'
        ) from error
    west, south, east, north = (float(b) for b in bounds)
    if not all(map(math.isfinite, (west, south, east, north))) or west >= east or south >= north:
        raise GridError(
            f"grid.bounds: [{west}, {south}, {east}, {north}] is not west, south, east, north.",
            "West must be less than east and south less than north; a box across the antimeridian is not supported.",
        )
    res = parse_resolution(resolution, geographic=the_crs.geographic, metres_per_unit=_metres_per_unit(the_crs))
    col0, col1 = _outward(west, east, res)
    row0, row1 = _outward(south, north, res)
    if the_crs.geographic:
        # a lattice that does not divide the globe keeps whole columns, so that none overlaps at the antimeridian,
        # and the rows whose centre is not beyond a pole
        half_cols, half_rows = math.floor(180.0 / res + 1e-9), math.floor(90.0 / res + 0.5)
        col0, col1 = max(col0, -half_cols), min(col1, half_cols)
        row0, row1 = max(row0, -half_rows), min(row1, half_rows)
        if col0 >= col1 or row0 >= row1:
            raise GridError(
                f"grid.bounds: [{west}, {south}, {east}, {north}] holds no cell of the globe.",
                "Longitudes run from -180 to 180, latitudes from -90 to 90.",
            )
    transform = Affine(res, 0.0, col0 * res, 0.0, -res, row1 * res)
    return GeoBox((row1 - row0, col1 - col0), transform, the_crs)


def _metres_per_unit(crs: Any) -> float:
    return 1.0 if crs.geographic else float(crs.proj.axis_info[0].unit_conversion_factor)


def _outward(low: float, high: float, res: float) -> tuple[int, int]:
    # bounds that are whole cells up to rounding stay as they are
    def near(q: float) -> int | None:
        return round(q) if abs(q - round(q)) < 1e-9 * max(1.0, abs(q)) else None

    lo, hi = low / res, high / res
    first = near(lo)
    last = near(hi)
    return (math.floor(lo) if first is None else first), (math.ceil(hi) if last is None else last)


def is_geographic(grid: GeoBox) -> bool:
    """Tell whether the grid's CRS counts degrees."""
    return bool(grid.crs is not None and grid.crs.geographic)


def dims(grid: GeoBox) -> tuple[str, str]:
    """Give the names of the row and the column dimension."""
    return ("latitude", "longitude") if is_geographic(grid) else ("y", "x")


def coordinates(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the centres of rows and of columns, float64.

    They are (k + 1/2) times the resolution for a whole number k wherever the grid stands on the lattice.
    """
    a = grid.affine
    rows, cols = grid.shape
    x = _centres(a.c, a.a, cols)
    y = _centres(a.f, a.e, rows)
    return y, x


def edges(grid: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the edges of rows and of columns, one more than there are cells, float64; whole multiples on the lattice."""
    a = grid.affine
    rows, cols = grid.shape
    return _edges(a.f, a.e, rows), _edges(a.c, a.a, cols)


def _centres(origin: float, step: float, n: int) -> NDArray[np.float64]:
    k0 = _on_lattice(origin, step)
    if k0 is not None:
        k = np.arange(k0, k0 + n) if step > 0 else np.arange(k0 - 1, k0 - 1 - n, -1)
        return np.asarray((k + 0.5) * abs(step), np.float64)
    return np.asarray(origin + (np.arange(n) + 0.5) * step, np.float64)


def _edges(origin: float, step: float, n: int) -> NDArray[np.float64]:
    k0 = _on_lattice(origin, step)
    if k0 is not None:
        k = np.arange(k0, k0 + n + 1) if step > 0 else np.arange(k0, k0 - n - 1, -1)
        return np.asarray(k * abs(step), np.float64)
    return np.asarray(origin + np.arange(n + 1) * step, np.float64)


def _on_lattice(origin: float, step: float) -> int | None:
    # the whole number of steps from zero to the origin, where the grid stands on the lattice
    res = abs(step)
    k0 = round(origin / res)
    return k0 if abs(k0 * res - origin) <= 1e-6 * res else None


def spatial_coords(grid: GeoBox) -> dict[str, xr.Variable]:
    """Give the coordinate variables of a dataset on the grid, with `spatial_ref`."""
    import xarray as xr

    y, x = coordinates(grid)
    dy, dx = dims(grid)
    if is_geographic(grid):
        attrs = (
            {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
            {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
        )
    else:
        unit = grid.crs.proj.axis_info[0].unit_name if grid.crs is not None else "metre"
        unit = {"metre": "m", "US survey foot": "US_survey_foot"}.get(unit, unit)
        attrs = (
            {"standard_name": "projection_y_coordinate", "long_name": "northing", "units": unit, "axis": "Y"},
            {"standard_name": "projection_x_coordinate", "long_name": "easting", "units": unit, "axis": "X"},
        )
    return {
        dy: xr.Variable((dy,), y, attrs[0]),
        dx: xr.Variable((dx,), x, attrs[1]),
        "spatial_ref": xr.Variable((), np.int32(0), _crs_attrs(grid)),
    }


@lru_cache(maxsize=8)
def _cf_of(crs: str) -> dict[str, Any]:
    from pyproj import CRS

    return dict(CRS.from_user_input(crs).to_cf())


def _crs_attrs(grid: GeoBox) -> dict[str, Any]:
    attrs = dict(_cf_of(str(grid.crs)))
    a = grid.affine
    attrs["long_name"] = "coordinate reference system"
    attrs["spatial_ref"] = attrs["crs_wkt"]
    attrs["GeoTransform"] = " ".join(repr(float(v)) for v in (a.c, a.a, a.b, a.f, a.d, a.e))
    return attrs


def geobox_of(ds: xr.Dataset | xr.DataArray) -> GeoBox:
    """Give the GeoBox of an object that carries `spatial_ref` and regular coordinates.

    Raises
    ------
    GridError
        There is no CRS, or the coordinates are not a regular grid.
    """
    import odc.geo.xr  # noqa: F401  registers the accessor

    box = ds.odc.geobox
    if box is None or ds.odc.crs is None:
        raise GridError(
            "The dataset has no regular georeferenced grid.",
            "Give it latitude/longitude or y/x coordinates and a `spatial_ref` with a CRS.",
        )
    return box


def windows(grid: GeoBox, block: int) -> Iterator[Window]:
    """Cut the grid into blocks of `block` cells a side, row by row."""
    rows, cols = grid.shape
    for y0 in range(0, rows, block):
        for x0 in range(0, cols, block):
            yield Window(y0, min(y0 + block, rows), x0, min(x0 + block, cols))


def cell_area(grid: GeoBox, window: Window | None = None) -> xr.DataArray:
    """Give the area of each cell on the WGS84 ellipsoid, in km2.

    On a geographic grid the area is that of the zone between two parallels (Snyder 1987, eq. 3-12) times the width in
    longitude: one value a row. On any other grid the corners of each cell are brought to the cylindrical equal-area
    plane of WGS84, where the area is that of the quadrilateral. What lies off the globe has no area.

    Parameters
    ----------
    grid : odc.geo.geobox.GeoBox
    window : Window, optional
        The part that is wanted; all of the grid when left out.

    Returns
    -------
    xarray.DataArray
        Along latitude for a geographic grid, along y and x otherwise; float64, km2.

    References
    ----------
    Snyder, J. P. 1987. Map projections: a working manual. USGS Professional Paper 1395.
    """
    import xarray as xr

    window = window or Window(0, grid.shape[0], 0, grid.shape[1])
    ys, xs = window.slices
    coords = spatial_coords(grid)
    dy, dx = dims(grid)
    attrs = {"long_name": "cell area", "standard_name": "cell_area", "units": "km2"}
    y, x = coordinates(grid)
    y, x = y[ys], x[xs]
    half_y, half_x = abs(grid.affine.e) / 2, abs(grid.affine.a) / 2
    if is_geographic(grid):
        zone = authalic_zone(np.minimum(y + half_y, 90.0)) - authalic_zone(np.maximum(y - half_y, -90.0))
        area = math.radians(2 * half_x) * zone / 1e6
        return xr.DataArray(area, {dy: coords[dy][ys]}, (dy,), "cell_area", attrs)
    from pyproj import Transformer

    to_geographic = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    corners_x = np.append(x - half_x, x[-1] + half_x)
    corners_y = np.append(y + half_y, y[-1] - half_y)
    lon, lat = to_geographic.transform(*np.meshgrid(corners_x, corners_y))
    with np.errstate(invalid="ignore"):
        u, v = np.radians(lon), authalic_zone(np.where(np.abs(lat) <= 90, lat, np.nan))
        area = _quadrilaterals(u, v) / 1e6
    area = np.where(np.isfinite(area), area, 0.0)
    return xr.DataArray(area, {dy: coords[dy][ys], dx: coords[dx][xs]}, (dy, dx), "cell_area", attrs)


def _quadrilaterals(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    # half the cross product of the diagonals; longitudes are differences, so that the antimeridian is no seam
    def turn(d: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(d - 2 * math.pi * np.round(d / (2 * math.pi)), np.float64)

    u1, v1 = turn(u[1:, 1:] - u[:-1, :-1]), v[1:, 1:] - v[:-1, :-1]
    u2, v2 = turn(u[1:, :-1] - u[:-1, 1:]), v[1:, :-1] - v[:-1, 1:]
    return np.asarray(np.abs(u1 * v2 - u2 * v1) / 2, np.float64)


def authalic_zone(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the area of WGS84 per radian of longitude between the equator and a parallel, m2 (Snyder 1987, eq. 3-12)."""
    e2 = WGS84_F * (2 - WGS84_F)
    e = math.sqrt(e2)
    sin = np.sin(np.radians(latitude))
    q = (1 - e2) * (sin / (1 - e2 * sin**2) + np.arctanh(e * sin) / e)
    return np.asarray(WGS84_A**2 / 2 * q, np.float64)
