"""Native grids to the target grid: nearest (exact), bilinear and averages, one window of the target for itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import GridError
from nepcube.grid import Window, dims, spatial_coords, windows
from nepcube.harmonise.methods import (
    AVERAGES,
    ENGINES,
    METHODS,
    Method,
    Pieces,
    lazy_pieces,
    sample_pieces,
    to_read,
    window_data,
    window_pieces,
)
from nepcube.harmonise.positions import Lattice, spatial_dims
from nepcube.places import Place, place_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


def regrid(
    ds: xr.Dataset,
    grid: GeoBox,
    method: str = "nearest",
    *,
    min_fraction: float = 0.5,
    block: int = 1024,
    engine: str = "nepcube",
    weights: str | os.PathLike[str] | Place | None = None,
) -> xr.Dataset:
    """Bring a dataset on its native grid to the target grid.

    Parameters
    ----------
    ds : xarray.Dataset
        Dims (..., latitude, longitude) or (..., y, x) on a regular grid, with `spatial_ref`.
    grid : odc.geo.geobox.GeoBox
        The target, as `target_grid` makes it.
    method : {"nearest", "bilinear", "conservative", "average"}
        ``nearest`` takes the source cell that contains the centre of the target cell: no value is changed.
        ``bilinear`` interpolates between source centres; it gives nothing beyond the outermost centres.
        ``conservative`` is the mean over the cell, by the exact area of each source cell in it (first order): between
        grids of the same axes, and from a sinusoidal grid to latitude and longitude. Cells are bounded by parallels
        and meridians; ESMF bounds them by great circles, so that the two differ beside the source's parallels.
        ``average`` is the mean of the source cells whose centre lies in the target cell, between any two grids, for
        targets that are coarser.
        Coded (integer) variables take the nearest cell, and with the two averages the code of the largest area; of
        flags whose code 0 means data, 0 where the data reach `min_fraction`.
    min_fraction : float
        The least share of the weights (of the area, for the averages) that is not missing; the rest is renormalised.
    block : int
        Cells a side of a chunk of the result. The values do not depend on it.
    engine : {"nepcube", "xesmf"}
        ``xesmf`` makes the weights of float variables with ESMF, which has to be installed (conda); it has no
        ``average``.
    weights : path-like, optional
        A folder where ``xesmf`` keeps its weights, in ESMF's format, for the next call.

    Returns
    -------
    xarray.Dataset
        Lazy on lazy input. Float variables are float32, rounded once.

    Raises
    ------
    GridError
        The source has no CRS or no regular grid, the method is not known or does not go between these two grids.
    """
    import xarray as xr

    _require_known(method, engine, min_fraction)
    require_engine(engine)
    source = Lattice.of(ds)
    lazy = any(v.chunks is not None for v in ds.data_vars.values())
    if not lazy:
        whole = Window(0, grid.shape[0], 0, grid.shape[1])
        return regrid_window(ds, grid, whole, method, min_fraction=min_fraction, engine=engine, weights=weights)
    import dask.array as da

    out = {}
    tiles = list(windows(grid, block))
    per_row = -(-grid.shape[1] // block)
    for name, var in ds.data_vars.items():
        if not _is_spatial(var, ds):
            out[name] = var
            continue
        how = _how(var, source, grid, method, min_fraction, engine, weights)
        parts = [window_data(var, source, grid, w, how) for w in tiles]
        rows = [da.concatenate(parts[k : k + per_row], axis=-1) for k in range(0, len(parts), per_row)]
        out[name] = xr.DataArray(
            da.concatenate(rows, axis=-2), dims=_dims_of(var, grid), coords=_coords_of(var), attrs=var.attrs
        )
    return _dress(out, ds, grid, Window(0, grid.shape[0], 0, grid.shape[1]))


def regrid_window(
    ds: xr.Dataset,
    grid: GeoBox,
    window: Window,
    method: str = "nearest",
    *,
    min_fraction: float = 0.5,
    engine: str = "nepcube",
    weights: str | os.PathLike[str] | Place | None = None,
    step: int | None = None,
) -> xr.Dataset:
    """Bring what one window of the grid needs of a dataset to it; equal to the slice of `regrid`.

    Parameters are those of `regrid`; the result has the window's shape, and few chunks on lazy input. `step` takes one
    step of the first dimension and keeps the dimension: dask fuses one slice into the reader and not two, so that a
    step taken before would have whole tiles read for each window.
    """
    import xarray as xr

    out = {n: var for n, var in ds.data_vars.items() if not _is_spatial(var, ds)}
    for name, var, pieces in _pieces(ds, grid, window, method, min_fraction, engine, weights, step):
        coords = _coords_of(var if step is None else var[step : step + 1])
        out[name] = xr.DataArray(lazy_pieces(pieces), dims=_dims_of(var, grid), coords=coords, attrs=var.attrs)
    return _dress({name: out[name] for name in ds.data_vars}, ds, grid, window)


@dataclass(frozen=True)
class Later:
    """What one window of the grid needs of a dataset, not yet read, and the way there: light to make and to send."""

    pieces: dict[str, Pieces]

    def load(self) -> dict[str, NDArray[Any]]:
        """Read the pieces, all variables side by side in one thread, and bring them to the window."""
        import dask
        from dask.local import get_sync

        needed = {name: to_read(pieces) for name, pieces in self.pieces.items()}
        read = iter(dask.compute(*(a for arrays in needed.values() for a in arrays), scheduler=get_sync))
        return {name: sample_pieces(pieces, read) for name, pieces in self.pieces.items()}


def regrid_later(
    ds: xr.Dataset,
    grid: GeoBox,
    window: Window,
    method: str = "nearest",
    *,
    min_fraction: float = 0.5,
    engine: str = "nepcube",
    step: int | None = None,
) -> Later:
    """Prepare what `regrid_window` gives, without a graph of it: the values are the same."""
    found = _pieces(ds, grid, window, method, min_fraction, engine, None, step)
    return Later({str(name): pieces for name, _, pieces in found})


def _pieces(
    ds: xr.Dataset,
    grid: GeoBox,
    window: Window,
    method: str,
    min_fraction: float,
    engine: str,
    weights: str | os.PathLike[str] | Place | None,
    step: int | None,
) -> Iterator[tuple[Any, xr.DataArray, Pieces]]:
    # of each spatial variable what the window needs of it
    _require_known(method, engine, min_fraction)
    source = Lattice.of(ds)
    steps = slice(None) if step is None else slice(step, step + 1)
    for name, var in ds.data_vars.items():
        if _is_spatial(var, ds):
            how = _how(var, source, grid, method, min_fraction, engine, weights)
            yield name, var, window_pieces(var, source, grid, window, replace(how, lead=(steps,) * (var.ndim > 2)))


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
    placed = {dy: coords[dy][ys], dx: coords[dx][xs], "spatial_ref": coords["spatial_ref"]}
    return xr.Dataset(out, placed, ds.attrs)


def require_engine(engine: str) -> None:
    """Refuse an engine that is not installed, with its own reason; from the main thread only, as ESMF wants it.

    Raises
    ------
    GridError
    """
    if engine == "xesmf":
        from nepcube.harmonise import esmf

        esmf.probe()


def require_method(ds: xr.Dataset, grid: GeoBox, method: str, *, engine: str = "nepcube") -> None:
    """Refuse a method that does not go from the grid of a dataset to the target, before anything is computed.

    Raises
    ------
    GridError
    """
    _require_known(method, engine, 0.5)
    source = Lattice.of(ds)
    for var in ds.data_vars.values():
        if _is_spatial(var, ds):
            _how(var, source, grid, method, 0.5, engine, None)


def _require_known(method: str, engine: str, min_fraction: float) -> None:
    if not 0.0 <= min_fraction <= 1.0:
        raise GridError(f"min_fraction: {min_fraction} is no share.", "Give a number from 0 to 1.")
    if method not in METHODS:
        raise GridError(f"{method!r} is not a resampling method.", f"Use one of {', '.join(METHODS)}.")
    if engine not in ENGINES:
        raise GridError(f"{engine!r} is not a resampling engine.", f"Use one of {', '.join(ENGINES)}.")
    if engine == "xesmf" and method == "average":
        raise GridError("xesmf: it has no `average`.", "Use `conservative`, its mean over cells.")


def _how(
    var: xr.DataArray, source: Lattice, grid: GeoBox, method: str, min_fraction: float, engine: str, weights: Any
) -> Method:
    coded = not np.issubdtype(var.dtype, np.floating)
    how = Method(
        method=method if method in AVERAGES or not coded else "nearest",
        min_fraction=min_fraction,
        dtype=var.dtype if coded else np.dtype("float32"),
        fill=spec.NOT_COVERED if coded else np.nan,
        data_first=str(var.attrs.get("flag_meanings", "")).split(" ")[0] == spec.NPP_FLAGS[0],
        engine="nepcube" if coded else engine,
        weights=None if weights is None else place_of(weights),
    )
    how.require(source, grid, str(var.name))
    return how
