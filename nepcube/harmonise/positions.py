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
from nepcube.grid import Window, coordinates, edges, is_geographic

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

    @property
    def geographic(self) -> bool:
        """Whether it counts degrees."""
        return _is_geographic(self.crs)

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
        if _is_geographic(str(crs)) and max(x0, x0 + dx * (columns - 1)) > 180 + 10 * abs(dx):
            raise GridError(
                f"{xdim}: it runs to {max(x0, x0 + dx * (columns - 1)):g} degrees, not from -180 to 180.",
                "Open the files with open_source, which turns them, or roll the dataset first.",
            )
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
    return project(source, target, y[window.y0 : window.y1], x[window.x0 : window.x1])


def project(source: Lattice, target: GeoBox, y: NDArray[np.float64], x: NDArray[np.float64]) -> Positions:
    """Give the positions of every pair of some rows and columns of the target's coordinates in the source."""
    how = link(source.crs, target)
    if how == "same":
        return Positions((y - source.y0) / source.dy, (x - source.x0) / source.dx)
    if how == "sinusoidal":
        rows, cos, lam, radius = rays(source, y, x)
        columns = ((cos[:, None] * lam[None, :]) * radius - source.x0) / source.dx
        return Positions(np.repeat(rows[:, None], x.size, axis=1), columns)
    if how == "to-sinusoidal":
        lat, lon = _from_sinusoidal(str(target.crs), y, x)
        return Positions((lat - source.y0) / source.dy, (lon - source.x0) / source.dx)
    xx, yy = _transformer(str(target.crs), source.crs).transform(*np.meshgrid(x, y))
    return Positions((yy - source.y0) / source.dy, (xx - source.x0) / source.dx)


def rays(
    source: Lattice, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], float]:
    """Give what places latitudes and longitudes in a sinusoidal grid: row positions, cosines, radians, the radius.

    The column position of row i and column j is ``((cos[i] * lam[j]) * radius - x0) / dx``, in this order.
    """
    radius = sphere(source.crs)
    phi = y * (math.pi / 180)
    # the cosine of a row is a scalar call, so that it is that of PROJ to the last bit
    cos = np.array([math.cos(p) for p in phi])
    return (phi * radius - source.y0) / source.dy, cos, x * (math.pi / 180), radius


def locate(
    crs: str, target: GeoBox, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give where points of a source's CRS lie in the target, in units of its cells, centre of cell k at k.

    One-dimensional where rows and columns are independent; NaN off the map.
    """
    ys, xs = coordinates(target)
    dy, dx = target.affine.e, target.affine.a
    how = link(crs, target)
    if how == "same":
        return (y - ys[0]) / dy, (x - xs[0]) / dx
    if how == "sinusoidal":
        lat, lon = _from_sinusoidal(crs, y, x)
        return (lat - ys[0]) / dy, (lon - xs[0]) / dx
    xx, yy = _transformer(crs, str(target.crs)).transform(*np.meshgrid(x, y))
    rows, columns = (np.where(np.isfinite(v), v, np.nan) for v in ((yy - ys[0]) / dy, (xx - xs[0]) / dx))
    return rows, columns


def _from_sinusoidal(
    crs: str, y: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # degrees; what lies beyond the antimeridian is no place, though the plane goes on there
    radius = sphere(crs)
    phi = y / radius
    cos = np.array([math.cos(p) for p in phi])
    with np.errstate(divide="ignore", invalid="ignore"):
        lam = x[None, :] / (radius * cos[:, None])
        there = (np.abs(lam) <= math.pi * (1 + 1e-12)) & (cos[:, None] > 0)
    lat = np.repeat((phi / (math.pi / 180))[:, None], x.size, axis=1)
    return np.where(there, lat, np.nan), np.where(there, lam / (math.pi / 180), np.nan)


@lru_cache(maxsize=32)
def _transformer(old: str, new: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(old, new, always_xy=True)


def link(source: str, target: GeoBox) -> str:
    """Tell how two grids hang together: ``"same"`` axes, ``"sinusoidal"``, ``"to-sinusoidal"`` or a ``"transform"``."""
    return _link(source, str(target.crs), is_geographic(target))


@lru_cache(maxsize=32)
def _link(source: str, target: str, geographic: bool) -> str:
    from pyproj import CRS

    a, b = CRS.from_user_input(source), CRS.from_user_input(target)
    if a.equals(b, ignore_axis_order=True) or (a.is_geographic and b.is_geographic and _wgs84(a) and _wgs84(b)):
        return "same"
    if geographic and _wgs84(b) and _is_sinusoidal_sphere(a):
        return "sinusoidal"
    if a.is_geographic and _wgs84(a) and _is_sinusoidal_sphere(b):
        return "to-sinusoidal"
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
def _is_geographic(crs: str) -> bool:
    from pyproj import CRS

    return bool(CRS.from_user_input(crs).is_geographic)


@lru_cache(maxsize=32)
def sphere(crs: str) -> float:
    """Give the radius of the sphere of a CRS, m."""
    from pyproj import CRS

    ellipsoid = CRS.from_user_input(crs).ellipsoid
    if ellipsoid is None:
        raise GridError(f"{crs}: the CRS has no figure of the Earth.", "Use a CRS with a datum.")
    return float(ellipsoid.semi_major_metre)


def within(source: Lattice, rows: range, columns: range) -> tuple[slice, slice] | None:
    """Cut rows and columns of a lattice that goes on beyond the source down to the source."""
    r = slice(max(0, rows.start), min(source.rows, rows.stop))
    c = slice(max(0, columns.start), min(source.columns, columns.stop))
    return None if r.start >= r.stop or c.start >= c.stop else (r, c)


def reach(source: Lattice, target: GeoBox, window: Window, margin: int) -> tuple[range, range]:
    """Give the rows and columns of the source's lattice under a window's cells, beyond the source as well.

    The map from target to source is continuous, so the extremes of a window lie on its border. The border is followed
    in steps that are short beside the curves that it becomes.
    """
    ys, xs = (
        e[a : b + 1] for e, a, b in zip(edges(target), (window.y0, window.x0), (window.y1, window.x1), strict=True)
    )
    ys, xs = _denser(ys), _denser(xs)
    border = [project(source, target, y, x) for y, x in ((ys[:1], xs), (ys[-1:], xs), (ys, xs[:1]), (ys, xs[-1:]))]
    if not all(np.isfinite(p.rows).all() and np.isfinite(p.columns).all() for p in border):
        # a part of the window lies off the map, where there is no border to follow
        border.append(positions(source, target, window))
    rows, columns = (
        np.concatenate([v.ravel() for v in vs]) for vs in zip(*((p.rows, p.columns) for p in border), strict=True)
    )
    rows, columns = rows[np.isfinite(rows)], columns[np.isfinite(columns)]
    if not rows.size or not columns.size:
        return range(0), range(0)
    (r0, c0), (r1, c1) = (rows.min(), columns.min()), (rows.max(), columns.max())
    return (
        range(math.floor(r0) - margin, math.ceil(r1) + margin + 1),
        range(math.floor(c0) - margin, math.ceil(c1) + margin + 1),
    )


def _denser(values: NDArray[np.float64], least: int = 64) -> NDArray[np.float64]:
    # a few large cells have a long border between their corners
    k = max(1, least // max(values.size - 1, 1))
    at = np.arange(k * (values.size - 1) + 1) / k
    return np.asarray(np.interp(at, np.arange(values.size), values), np.float64)
