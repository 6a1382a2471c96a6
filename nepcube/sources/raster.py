"""One field without time, such as an elevation model, of a GeoTIFF or of a NetCDF variable; and grids written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.grid import spatial_coords
from nepcube.sources import cf, geotiff
from nepcube.sources.files import GZIPPED_TIFF, kind
from nepcube.sources.netcdf import regular_axes
from nepcube.sources.stored import open_stored
from nepcube.sources.tiff import Header

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def open_raster(
    path: str | os.PathLike[str], *, variable: str | None = None, nodata: float | None = None
) -> xr.DataArray:
    """Open one field of a GeoTIFF, a NetCDF file or a Zarr store, lazily.

    Parameters
    ----------
    path : str or path-like
    variable : str, optional
        The band (its description, or its number from 1) or the variable; needed where there are several.
    nodata : float, optional
        The number that stands for missing data, as it is stored, where the file does not declare it.

    Returns
    -------
    xarray.DataArray
        Dims (latitude, longitude) or (y, x), float32 with NaN where there is no data, in chunks of whole blocks of the
        file of about 16 MB; `spatial_ref` with the CRS and the ``GeoTransform``. ``units`` are those of the file, if
        it says any.

    Raises
    ------
    SourceError
        The file is damaged, has no CRS or no regular grid, or which field is meant cannot be told.
    """
    path = os.fspath(path)
    out = _tiff(path, variable, nodata) if kind(path) in ("TIFF", GZIPPED_TIFF) else _cf(path, variable, nodata)
    return out.rename(variable or out.name)


def _tiff(path: str, variable: str | None, nodata: float | None) -> xr.DataArray:
    import xarray as xr

    header = geotiff.read_header(path)
    band = _band(header, variable)
    dy, dx = geotiff.dims_of(header)
    y, x = geotiff.axes_of(header)
    sheet = geotiff.Sheet(header, band, np.datetime64("2000-01-01"))
    attrs = {k: v for k, v in (("units", header.units[band - 1]), ("long_name", header.bands[band - 1])) if v}
    name = header.bands[band - 1] or os.path.basename(path).split(".")[0]
    data = geotiff.lazy([sheet], () if nodata is None else (nodata,))[0]
    out = xr.DataArray(data, dims=(dy, dx), coords={dy: y, dx: x}, name=name, attrs=attrs)
    if header.geographic and x.max() > 180:
        return georeferenced(regular_axes(out.to_dataset(name=name), path)[name], header.wkt)
    return georeferenced(out, header.wkt, header.transform)


def _band(header: Header, variable: str | None) -> int:
    if variable is None and header.shape[0] == 1:
        return 1
    named = [k for k, b in enumerate(header.bands, start=1) if b and b == variable]
    if len(named) == 1:
        return named[0]
    if variable is not None and variable.isdigit() and 1 <= int(variable) <= header.shape[0]:
        return int(variable)
    bands = ", ".join(str(b or k) for k, b in enumerate(header.bands[:12], start=1))
    raise SourceError(
        f"{header.path}: which of its {header.shape[0]} band(s) is meant? (found: {bands})",
        "Say it with `variable:`, by name or by number.",
    )


def _cf(path: str, variable: str | None, nodata: float | None) -> xr.DataArray:
    ds = open_stored(path, nodata=nodata)
    held = cf.fields(ds)
    name = variable if variable is not None else held[0] if len(held) == 1 else None
    if name is None or name not in ds.data_vars:
        raise SourceError(
            f"{path}: which variable is meant? (found: {', '.join(held) or 'none on a grid'})",
            "Say it with `variable:`.",
        )
    field = cf.field(ds, name, path)
    array = field.array
    if "time" in array.dims:
        if array.sizes["time"] != 1:
            raise SourceError(
                f"{path}: {name} has {array.sizes['time']} times, a field without time is needed.", "Select one first."
            )
        array = array.isel(time=0, drop=True)
    missing = None if nodata is None else cf.decoded(field.array, nodata)
    valid = cf.valid_range(field.array)
    data = array.data.map_blocks(_plain, missing, valid, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    out = array.copy(data=data)
    out.attrs = {k: v for k, v in array.attrs.items() if k in ("units", "long_name", "standard_name")}
    if field.geographic:
        out = regular_axes(out.to_dataset(name=name), path)[name]
    return georeferenced(out, field.wkt)


def _plain(block: Any, missing: float | None, valid: tuple[float, float]) -> NDArray[np.float32]:
    values = np.asarray(block)
    gone = np.zeros(values.shape, bool) if missing is None else values == np.asarray(missing, values.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        gone |= (values < valid[0]) | (values > valid[1])
        out = values.astype(np.float32)
    out[gone] = np.nan
    return out


def georeferenced(array: xr.DataArray, wkt: str, transform: tuple[float, ...] | None = None) -> xr.DataArray:
    """Write the grid down: attributes of the axes, and `spatial_ref` with the CRS and the transform.

    Parameters
    ----------
    array : xarray.DataArray
        Dims (..., latitude, longitude) or (..., y, x).
    wkt : str
        The CRS.
    transform : tuple of float, optional
        The six numbers of the file; those that the axes have otherwise.
    """
    from affine import Affine
    from odc.geo.geobox import GeoBox

    dy, dx = map(str, array.dims[-2:])
    y, x = array[dy].values, array[dx].values
    if transform is None:
        step_y, step_x = _step(y, -1.0), _step(x, 1.0)
        affine = Affine(step_x, 0, x[0] - step_x / 2, 0, step_y, y[0] - step_y / 2)
    else:
        affine = Affine(*transform)
    coords = spatial_coords(GeoBox((y.size, x.size), affine, simple(wkt)))
    return array.assign_coords(
        {dy: (dy, y, coords[dy].attrs), dx: (dx, x, coords[dx].attrs), "spatial_ref": coords["spatial_ref"]}
    )


def simple(wkt: str) -> str:
    """Give a CRS as ``EPSG:4326`` where it is that one, and as it is otherwise."""
    from pyproj import CRS

    crs = CRS.from_wkt(wkt)
    return "EPSG:4326" if crs.equals(CRS.from_epsg(4326), ignore_axis_order=True) or crs.to_epsg() == 4326 else wkt


def _step(values: NDArray[np.float64], otherwise: float) -> float:
    return float(values[-1] - values[0]) / (values.size - 1) if values.size > 1 else otherwise


def window_of(array: xr.DataArray, wkt: str, bounds: tuple[float, float, float, float], path: str) -> xr.DataArray:
    """Keep the cells of a projected field that some bounds in degrees touch, with a margin for interpolation.

    Raises
    ------
    SourceError
        The file ends short of the bounds.
    """
    from pyproj import Transformer

    west, south, east, north = bounds
    lon, lat = np.meshgrid(np.linspace(west, east, 41), np.linspace(south, north, 41))
    px, py = Transformer.from_crs("EPSG:4326", wkt, always_xy=True).transform(lon.ravel(), lat.ravel())
    slices = {}
    for axis, points in ((str(array.dims[-2]), np.asarray(py)), (str(array.dims[-1]), np.asarray(px))):
        values = array[axis].values
        half = abs(_step(values, 1.0)) / 2
        low, high = float(points.min()), float(points.max())
        if not np.isfinite(points).all() or (
            values.min() - half > low + half * 1e-3 or values.max() + half < high - half * 1e-3
        ):
            raise SourceError(
                f"{path}: {axis} runs from {values.min() - half:.6g} to {values.max() + half:.6g}, the grid needs "
                f"{low:.6g} to {high:.6g}.",
                "Download a larger area, or make `grid.bounds` smaller.",
            )
        inside = np.flatnonzero((values >= low - 8 * half) & (values <= high + 8 * half))
        slices[axis] = slice(int(inside[0]), int(inside[-1]) + 1)
    return array.isel(slices)
