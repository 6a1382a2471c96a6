"""Native grids to the target grid: nearest (exact) and bilinear, one window of the target for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import GridError
from nepcube.grid import Window, dims, spatial_coords, windows
from nepcube.harmonise.positions import Lattice, Positions, extent, positions, spatial_dims

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

METHODS = ("nearest", "bilinear")


def regrid(
    ds: xr.Dataset, grid: GeoBox, method: str = "nearest", *, min_fraction: float = 0.5, block: int = 1024
) -> xr.Dataset:
    """Bring a dataset on its native grid to the target grid.

    Parameters
    ----------
    ds : xarray.Dataset
        Dims (..., latitude, longitude) or (..., y, x) on a regular grid, with `spatial_ref`.
    grid : odc.geo.geobox.GeoBox
        The target, as `target_grid` makes it.
    method : {"nearest", "bilinear"}
        ``nearest`` takes the source cell that contains the centre of the target cell: no value is changed. Coded
        (integer) variables always take it. ``bilinear`` interpolates between source centres; it gives nothing beyond
        the outermost centres.
    min_fraction : float
        Bilinear: the least sum of weights of the neighbours that are not missing; the rest is renormalised.
    block : int
        Cells a side of a chunk of the result. The values do not depend on it.

    Returns
    -------
    xarray.Dataset
        Lazy on lazy input. Float variables are float32, rounded once.

    Raises
    ------
    GridError
        The source has no CRS or no regular grid, or the method is not known.
    """
    import xarray as xr

    if method not in METHODS:
        raise GridError(f"{method!r} is not a resampling method.", f"Use one of {', '.join(METHODS)}.")
    source = Lattice.of(ds)
    lazy = any(v.chunks is not None for v in ds.data_vars.values())
    if not lazy:
        return regrid_window(ds, grid, Window(0, grid.shape[0], 0, grid.shape[1]), method, min_fraction=min_fraction)
    import dask.array as da

    out = {}
    tiles = list(windows(grid, block))
    per_row = -(-grid.shape[1] // block)
    for name, var in ds.data_vars.items():
        if not _is_spatial(var, ds):
            out[name] = var
            continue
        parts = [_window_data(var, source, grid, w, method, min_fraction) for w in tiles]
        rows = [da.concatenate(parts[k : k + per_row], axis=-1) for k in range(0, len(parts), per_row)]
        out[name] = xr.DataArray(
            da.concatenate(rows, axis=-2), dims=_dims_of(var, grid), coords=_coords_of(var), attrs=var.attrs
        )
    return _dress(out, ds, grid, Window(0, grid.shape[0], 0, grid.shape[1]))


def regrid_window(
    ds: xr.Dataset, grid: GeoBox, window: Window, method: str = "nearest", *, min_fraction: float = 0.5
) -> xr.Dataset:
    """Bring what one window of the grid needs of a dataset to it; equal to the slice of `regrid`.

    Parameters are those of `regrid`; the result has the window's shape and is one chunk on lazy input.
    """
    import xarray as xr

    source = Lattice.of(ds)
    out = {}
    for name, var in ds.data_vars.items():
        if not _is_spatial(var, ds):
            out[name] = var
            continue
        data = _window_data(var, source, grid, window, method, min_fraction)
        out[name] = xr.DataArray(data, dims=_dims_of(var, grid), coords=_coords_of(var), attrs=var.attrs)
    return _dress(out, ds, grid, window)


def _is_spatial(var: xr.DataArray, ds: xr.Dataset) -> bool:
    return set(spatial_dims(ds)) <= set(var.dims)


def _dims_of(var: xr.DataArray, grid: GeoBox) -> tuple[str, ...]:
    return (*(str(d) for d in var.dims[:-2]), *dims(grid))


def _coords_of(var: xr.DataArray) -> dict[Any, Any]:
    lead = set(var.dims[:-2])
    return {k: c for k, c in var.coords.items() if set(c.dims) <= lead and k != "spatial_ref" and c.dims}


def _dress(out: dict[Any, Any], ds: xr.Dataset, grid: GeoBox, window: Window) -> xr.Dataset:
    import xarray as xr

    dy, dx = dims(grid)
    coords = spatial_coords(grid)
    ys, xs = window.slices
    return xr.Dataset(out, attrs=ds.attrs).assign_coords(
        {dy: coords[dy][ys], dx: coords[dx][xs], "spatial_ref": coords["spatial_ref"]}
    )


def _window_data(
    var: xr.DataArray, source: Lattice, grid: GeoBox, window: Window, method: str, min_fraction: float
) -> Any:
    ydim, xdim = spatial_dims(var)
    var = var.transpose(..., ydim, xdim)
    coded = not np.issubdtype(var.dtype, np.floating)
    dtype = var.dtype if coded else np.dtype("float32")
    fill: Any = spec.NOT_COVERED if coded else np.nan
    lead = var.shape[:-2]
    needed = extent(source, grid, window, margin=2)
    if needed is None:
        if var.chunks is None:
            return np.full((*lead, *window.shape), fill, dtype)
        import dask.array as da

        return da.full((*lead, *window.shape), fill, dtype=dtype, chunks=(*var.data.chunks[:-2], *window.shape))
    rows, columns = needed
    piece = var.data[..., rows, columns]
    arguments = (source, grid, window, (rows.start, columns.start), "nearest" if coded else method, min_fraction)
    if var.chunks is None:
        return _sample(piece, *arguments, rounded=dtype, fill=fill)
    import dask.array as da

    piece = piece.rechunk({piece.ndim - 2: -1, piece.ndim - 1: -1})
    return da.map_blocks(
        _sample,
        piece,
        *arguments,
        rounded=dtype,
        fill=fill,
        dtype=dtype,
        chunks=(*piece.chunks[:-2], (window.shape[0],), (window.shape[1],)),
        meta=np.empty((0,) * piece.ndim, dtype),
    )


def _sample(
    piece: Any,
    source: Lattice,
    grid: GeoBox,
    window: Window,
    origin: tuple[int, int],
    method: str,
    min_fraction: float,
    *,
    rounded: Any,
    fill: Any,
) -> Any:
    from nepcube.harmonise import _kernels

    at = positions(source, grid, window)
    flat = np.ascontiguousarray(piece).reshape(-1, *piece.shape[-2:])
    if method == "nearest":
        rows = _cells(at.rows, source.rows, origin[0])
        columns = _cells(at.columns, source.columns, origin[1])
        out = np.empty((flat.shape[0], *window.shape), flat.dtype)
        kernel = _kernels.gather_separable if at.separable else _kernels.gather
        kernel(flat, rows, columns, flat.dtype.type(fill), out)
        out = out.astype(rounded, copy=False)
    else:
        inside = _inside(at, source)
        out = np.empty((flat.shape[0], *window.shape), rounded)
        kernel = _kernels.bilinear_separable if at.separable else _kernels.bilinear
        kernel(flat, inside.rows - origin[0], inside.columns - origin[1], min_fraction, out)
    return out.reshape(*piece.shape[:-2], *window.shape)


def _cells(at: Any, size: int, origin: int) -> Any:
    # a centre that falls on an edge belongs to the cell that begins there
    index = np.floor(at + 0.5)
    valid = (index >= 0) & (index < size)
    return np.where(valid, index - origin, -1).astype(np.int32)


def _inside(at: Positions, source: Lattice) -> Positions:
    rows = np.where((at.rows < -1e-9) | (at.rows > source.rows - 1 + 1e-9), np.nan, at.rows)
    columns = np.where((at.columns < -1e-9) | (at.columns > source.columns - 1 + 1e-9), np.nan, at.columns)
    return Positions(rows, columns)
