"""Where the centre of each target cell falls in a source grid, in float64, equal however the target is cut.

The forward formula of the MODIS sinusoidal grid is x = R lambda cos(phi), y = R phi (Snyder 1987, eq. 30-1 and 30-2);
geographic coordinates are taken as those of the sphere, as PROJ does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError
from nepcube.grid import Window, coordinates, is_geographic

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class Lattice:
    """A regular source grid: the centre of cell (0, 0), the steps, the size and the CRS."""

    y0: float
    x0: float
    dy: float
    dx: float
    rows: int
    columns: int
    crs: str

    @classmethod
    def of(cls, ds: xr.Dataset | xr.DataArray) -> Lattice:
        """Read the lattice from coordinates and `spatial_ref`."""
        ydim, xdim = spatial_dims(ds)
        if "spatial_ref" not in ds.coords:
            raise GridError(
                "The dataset has no `spatial_ref` coordinate.", "Open it with open_source, or write its CRS first."
            )
        attrs = ds["spatial_ref"].attrs
        crs = attrs.get("crs_wkt") or attrs.get("spatial_ref")
        if not crs:
            raise GridError("`spatial_ref` names no CRS.", "Set its `crs_wkt` attribute.")
        y0, dy, rows = _axis(ds[ydim].values, attrs.get("GeoTransform"), 3, ydim)
        x0, dx, columns = _axis(ds[xdim].values, attrs.get("GeoTransform"), 0, xdim)
        return cls(y0, x0, dy, dx, rows, columns, str(crs))


def _axis(values: NDArray[Any], geotransform: Any, at: int, name: str) -> tuple[float, float, int]:
    # first centre, step, size: from the transform where the coordinates agree with it, since its numbers are exact
    v = np.asarray(values, np.float64)
    if geotransform is not None:
        numbers = [float(n) for n in str(geotransform).split()]
        origin, step = numbers[at], numbers[at + 1] if at == 0 else numbers[5]
        k = round((v[0] - origin) / step - 0.5)
        start = origin + (k + 0.5) * step
        # a slice of the grid keeps the lattice of the whole; a turned or thinned one has a lattice of its own
        if np.abs(start + step * np.arange(v.size) - v).max() <= 1e-6 * abs(step):
            return start, step, v.size
    if v.size < 2:
        raise GridError(
            f"{name}: one value has no step.", "Keep two cells at least, or the `GeoTransform` of its file."
        )
    step = (v[-1] - v[0]) / (v.size - 1)
    if step == 0 or np.abs(v[0] + step * np.arange(v.size) - v).max() > 0.02 * abs(step):
        raise GridError(f"{name} is not regular.", "Bring the dataset to a regular grid first.")
    return float(v[0]), float(step), v.size


def spatial_dims(ds: xr.Dataset | xr.DataArray) -> tuple[str, str]:
    """Give the names of the row and column dimension of a dataset."""
    for pair in (("latitude", "longitude"), ("y", "x")):
        if pair[0] in ds.dims and pair[1] in ds.dims:
            return pair
    raise GridError(
        f"No spatial dimensions (found: {', '.join(map(str, ds.dims))}).", "Name them latitude, longitude or y, x."
    )


@dataclass(frozen=True)
class Positions:
    """Row and column positions in units of source cells, centre of cell k at k; one- or two-dimensional."""

    rows: NDArray[np.float64]
    columns: NDArray[np.float64]

    @property
    def separable(self) -> bool:
        return self.columns.ndim == 1


def positions(source: Lattice, target: GeoBox, window: Window) -> Positions:
    """Give the positions of the window's cell centres."""
    y, x = coordinates(target)
    y, x = y[window.y0 : window.y1], x[window.x0 : window.x1]
    link = _link(source.crs, str(target.crs), is_geographic(target))
    if link == "same":
        return Positions((y - source.y0) / source.dy, (x - source.x0) / source.dx)
    if link == "sinusoidal":
        radius = _sphere(source.crs)
        phi = y * (math.pi / 180)
        # the cosine of a row is a scalar call, so that it is that of PROJ to the last bit
        cos = np.array([math.cos(p) for p in phi])
        rows = (phi * radius - source.y0) / source.dy
        columns = ((cos[:, None] * (x * (math.pi / 180))[None, :]) * radius - source.x0) / source.dx
        return Positions(np.repeat(rows[:, None], x.size, axis=1), columns)
    from pyproj import Transformer

    transformer = Transformer.from_crs(str(target.crs), source.crs, always_xy=True)
    xx, yy = transformer.transform(*np.meshgrid(x, y))
    return Positions((yy - source.y0) / source.dy, (xx - source.x0) / source.dx)


@lru_cache(maxsize=32)
def _link(source: str, target: str, geographic: bool) -> str:
    from pyproj import CRS

    a, b = CRS.from_user_input(source), CRS.from_user_input(target)
    if a.equals(b, ignore_axis_order=True) or (a.is_geographic and b.is_geographic and _wgs84(a) and _wgs84(b)):
        return "same"
    if geographic and _wgs84(b) and _is_sinusoidal_sphere(a):
        return "sinusoidal"
    return "transform"


def _wgs84(crs: Any) -> bool:
    return bool(abs(crs.ellipsoid.semi_major_metre - 6378137.0) < 1e-3 and crs.prime_meridian.longitude == 0)


def _is_sinusoidal_sphere(crs: Any) -> bool:
    cf = crs.to_cf()
    moved = any(
        cf.get(k, 0.0) for k in ("longitude_of_projection_origin", "false_easting", "false_northing")
    ) or cf.get("longitude_of_central_meridian", 0.0)
    sphere = crs.ellipsoid is not None and crs.ellipsoid.semi_major_metre == crs.ellipsoid.semi_minor_metre
    return bool(cf.get("grid_mapping_name") == "sinusoidal" and sphere and not moved)


@lru_cache(maxsize=32)
def _sphere(crs: str) -> float:
    from pyproj import CRS

    ellipsoid = CRS.from_user_input(crs).ellipsoid
    if ellipsoid is None:
        raise GridError(f"{crs}: the CRS has no figure of the Earth.", "Use a CRS with a datum.")
    return float(ellipsoid.semi_major_metre)


def extent(source: Lattice, target: GeoBox, window: Window, margin: int) -> tuple[slice, slice] | None:
    """Give the source rows and columns that a window needs, or None where it touches none.

    The map from target to source is continuous, so the extremes of a window lie on its border.
    """
    border = _border(window)
    lows, highs = [], []
    for part in border:
        p = positions(source, target, part)
        lows.append((np.nanmin(p.rows), np.nanmin(p.columns)))
        highs.append((np.nanmax(p.rows), np.nanmax(p.columns)))
    (r0, c0), (r1, c1) = np.min(lows, axis=0), np.max(highs, axis=0)
    if not np.isfinite([r0, c0, r1, c1]).all():
        return slice(0, source.rows), slice(0, source.columns)
    rows = slice(max(0, math.floor(r0) - margin), min(source.rows, math.ceil(r1) + margin + 1))
    columns = slice(max(0, math.floor(c0) - margin), min(source.columns, math.ceil(c1) + margin + 1))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    return rows, columns


def _border(w: Window) -> list[Window]:
    return [
        Window(w.y0, w.y0 + 1, w.x0, w.x1),
        Window(w.y1 - 1, w.y1, w.x0, w.x1),
        Window(w.y0, w.y1, w.x0, w.x0 + 1),
        Window(w.y0, w.y1, w.x1 - 1, w.x1),
    ]
