"""Opening our stores, as anyone could with `xarray.open_zarr`, but refusing unfinished ones with a reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from nepcube.errors import StoreError
from nepcube.grid import Window
from nepcube.places import Place, place_of
from nepcube.store.ending import at_once
from nepcube.store.layout import Layout
from nepcube.store.naming import CUBE, STATISTICS, metadata_of
from nepcube.store.writing import is_committed

if TYPE_CHECKING:
    import xarray as xr


def open_cube(out: str | os.PathLike[str] | Place, *, block: int = 1024) -> xr.Dataset:
    """Open the cube of a run.

    Parameters
    ----------
    out : path-like or str
        The output folder of a run, or its URL, or the ``cube.zarr`` of it.
    block : int
        Cells a side of a dask chunk; all years are in one chunk, as statistics over time want them.

    Returns
    -------
    xarray.Dataset
        Lazy, dims (time, latitude, longitude) or (time, y, x); npp, npp_flag, climate, and rh and nep once
        the analysis is done.

    Raises
    ------
    StoreError
        There is no finished cube.
    """
    return open_store(_below(place_of(out), CUBE), block=block)


def open_statistics(out: str | os.PathLike[str] | Place, *, block: int = 1024) -> xr.Dataset:
    """Open the statistics of a run; see `open_cube`."""
    return open_store(_below(place_of(out), STATISTICS), block=block)


def _below(path: Place, name: str) -> Place:
    return path if path.name.endswith(".zarr") else path / name


def open_store(path: Place, *, block: int = 1024) -> xr.Dataset:
    """Open one store of ours lazily; a chunk that is missing, or none, is an error where it is read."""
    import xarray as xr

    from nepcube.store.complete import Decoded, complete

    path.require()
    if not path.is_folder():
        raise StoreError(f"{path}: there is no such store.", "Name the output folder of a run.")
    if not is_committed(path):
        raise StoreError(f"{path}: the store is not finished.", "Run nepcube again with the same output: it continues.")
    ds = xr.open_zarr(complete(path), consolidated=True, chunks=None)
    out: xr.Dataset = ds.copy()
    for name, var in ds.data_vars.items():
        chunks = tuple(block if d in ("latitude", "longitude", "y", "x") else n for d, n in var.sizes.items())
        out[name] = var.copy(data=_lazy(Decoded(var.variable, path, str(name)), chunks)) if chunks else var
    return out


def _lazy(array: Any, chunks: tuple[int, ...]) -> Any:
    import dask.array as da

    # what a later run writes at the same place may be another
    return da.from_array(array, chunks, name=f"read-{uuid4().hex}", meta=np.empty((0,) * array.ndim, array.dtype))


def maps_of(path: Place) -> dict[str, Layout]:
    """Describe the maps of a committed store: every array that has cells and no time axis."""
    found: dict[str, Layout] = {}
    for name, array in metadata_of(path).get("consolidated_metadata", {}).get("metadata", {}).items():
        names = tuple(array.get("dimension_names") or ())
        if names in (("latitude", "longitude"), ("y", "x")):
            found[name] = Layout(name, str(array["data_type"]), dict(array["attributes"]), yearly=False)
    return found


def root_attrs(path: Place) -> dict[str, Any]:
    """Give the attributes of a committed store as a whole."""
    return dict(metadata_of(path).get("attributes", {}))


def lazy_maps(path: Place, names: Sequence[str]) -> dict[str, xr.DataArray]:
    """Open maps without their coordinates, a dask chunk for each chunk, committed or not."""
    import xarray as xr

    from nepcube.store.complete import arrays_of

    found = arrays_of(path, names)
    return {name: xr.DataArray(_lazy(a, a.sides), dims=("y", "x"), name=name) for name, a in found.items()}


def read_sample(path: str | os.PathLike[str] | Place, names: Sequence[str], stride: int) -> dict[str, Any]:
    """Read every `stride`-th cell of some maps, from the middle of the first stride on, a row at a time."""
    from nepcube.store.complete import arrays_of

    out: dict[str, Any] = {}
    for name, array in arrays_of(place_of(path), names).items():
        rows = range(stride // 2, array.shape[0], stride)
        out[name] = np.stack([array[row][stride // 2 :: stride] for row in rows])
    return out


def read_block(
    path: str | os.PathLike[str] | Place, names: Sequence[str], window: Window, steps: slice | None = None
) -> dict[str, Any]:
    """Read some arrays of a store in a window as numpy, committed or not; `steps` are indices along time."""
    from nepcube.store.complete import arrays_of

    found = arrays_of(place_of(path), names)
    yearly = (steps or slice(None), *window.slices)
    read = at_once([a.read(yearly if a.ndim == 3 else window.slices) for a in found.values()])
    return dict(zip(found, read, strict=True))
