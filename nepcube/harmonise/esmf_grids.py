"""A part of a grid as xESMF wants it: centres, edges, and what lies off the globe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def grid_dataset(
    crs: str, edges: tuple[float, float, float, float], rows: slice, columns: slice, *, corners: bool
) -> xr.Dataset:
    """Give what xESMF wants of a part of a grid.

    Parameters
    ----------
    crs : str
    edges : tuple of float
        The first edge and the step of rows, and those of columns. Coordinates are counted from the first edge of the
        whole grid, so that two tiles agree on the edge between them.
    rows, columns : slice
        The part.
    corners : bool
        Whether the edges of cells are wanted, too.

    Returns
    -------
    xarray.Dataset
        `lat` and `lon` in degrees, `lat_b` and `lon_b` of the corners, and a `mask` where cells lie off the globe.
    """
    import xarray as xr

    y_edge, dy, x_edge, dx = edges
    j, i = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    y, x = y_edge + (j + 0.5) * dy, x_edge + (i + 0.5) * dx
    y_b, x_b = y_edge + np.append(j, rows.stop) * dy, x_edge + np.append(i, columns.stop) * dx
    if _counts_degrees(crs):
        ds = xr.Dataset(coords={"lat": ("lat", y), "lon": ("lon", x)})
        # the outermost cells of a grid of points reach beyond the poles
        return ds.assign_coords(lat_b=("lat_b", np.clip(y_b, -90, 90)), lon_b=("lon_b", x_b)) if corners else ds
    lat, lon, off = _geographic(crs, y, x, abs(dx))
    ds = xr.Dataset(coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    if corners:
        lat_b, lon_b, off_b = _geographic(crs, y_b, x_b, abs(dx))
        off |= off_b[1:, 1:] | off_b[1:, :-1] | off_b[:-1, 1:] | off_b[:-1, :-1]
        ds = ds.assign_coords(lat_b=(("y_b", "x_b"), lat_b), lon_b=(("y_b", "x_b"), lon_b))
    if off.any():
        ds["mask"] = (("y", "x"), (~off).astype(np.int32))
    return ds


def _geographic(
    crs: str, y: NDArray[np.float64], x: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    # latitudes, longitudes, and what lies off the globe: PROJ wraps it round, so that it does not come back
    from pyproj import Transformer

    xx, yy = np.meshgrid(x, y)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(xx, yy)
    back_x, back_y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    with np.errstate(invalid="ignore"):
        on = (np.abs(lat) <= 90) & (np.abs(back_x - xx) < 0.1 * step) & (np.abs(back_y - yy) < 0.1 * step)
    return np.where(on, lat, 0.0), np.where(on, lon, 0.0), ~on


def _counts_degrees(crs: str) -> bool:
    from pyproj import CRS

    the = CRS.from_user_input(crs)
    wgs84 = the.ellipsoid is not None and abs(the.ellipsoid.semi_major_metre - 6378137.0) < 1e-3
    return bool(the.is_geographic and wgs84 and the.prime_meridian is not None and the.prime_meridian.longitude == 0)


def centres_of(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the latitudes and the longitudes of the cell centres of such a dataset, of the shape of its grid."""
    lat, lon = ds["lat"].values, ds["lon"].values
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    return lat, lon
