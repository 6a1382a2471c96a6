"""Arrays in files, read where a task asks for them: whatever a library raises then names the file.

The netCDF4 library stands no second thread, not even on another file: it is used under one lock of the process, and
each file that it opens is closed under the same lock. HDF5 goes through h5py and Zarr through zarr, which need none.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import NepcubeError, SourceError
from nepcube.sources.classic import require_whole
from nepcube.sources.files import damaged
from nepcube.sources.hdf5 import require_all_chunks, require_found, require_headers, require_sound_heaps

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_NETCDF4 = threading.RLock()
#: NC_FILL_SHORT of the netCDF library
_FILL = -32767
CHUNK_BYTES = 32 * 2**20
# what h5py, h5netcdf, netCDF4, zarr, numcodecs and xarray's decoding raise for bytes that cannot be read
_FAULTS = (
    OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError, zlib.error,
    UnicodeError, MemoryError,
)  # fmt: skip


@contextmanager
def border(path: str) -> Iterator[None]:
    """Turn what a library raises about a file into an error that names it."""
    try:
        yield
    except NepcubeError:
        raise
    except _FAULTS as error:
        raise damaged(path, error) from None


class StoredArray:
    """A decoded variable of a file, read by index; it travels to another process by the file's name."""

    def __init__(self, path: str, engine: str, variable: xr.Variable, name: str) -> None:
        self.path, self.engine, self.name = path, engine, name
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim
        # the netCDF4 library's files are not kept open, so that none is closed behind the lock's back
        self._variable = None if engine == "netcdf4" else variable
        self._undeclared = _undeclared_fill(variable)

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        with border(self.path):
            values = self._read(key)
        if self._undeclared is not None and (values == self._undeclared).any():
            raise SourceError(
                f"{self.path}: {self.name} holds {_FILL}, the fill value of packed NetCDF, which it does not declare.",
                "Download it again, or set its _FillValue.",
            )
        return values

    def _read(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        if self._variable is not None:
            values = np.asarray(self._variable[key].values)
            if self.engine == "h5netcdf" and values.dtype.kind == "f" and values.size:
                require_found(self.path, self.name, key, values)
            return values
        with _NETCDF4, _open(self.path, self.engine) as ds:
            return np.asarray(ds.variables[self.name][key].values)


def _undeclared_fill(variable: xr.Variable) -> Any:
    """Give what the fill value of packed 16-bit numbers decodes to, if the variable does not say that it is one."""
    how = variable.encoding
    if np.dtype(how.get("dtype", "f4")) != np.int16 or "scale_factor" not in how:
        return None
    declared = [how[k] for k in ("_FillValue", "missing_value") if k in how]
    if np.isin([_FILL, _FILL - 1], np.asarray(declared, float)).any():
        return None
    # the steps of xarray's decoding, so that the number is the same to its last bit
    value = np.array([_FILL], variable.dtype)
    value *= how["scale_factor"]
    value += how.get("add_offset", 0)
    return value[0]


def open_stored(path: str, engine: str) -> xr.Dataset:
    """Open a file's header, its variables as lazy dask arrays in chunks of some tens of megabytes.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    import dask.array as da
    from dask.base import tokenize

    with border(path):
        if engine == "netcdf4":
            require_whole(path)
        elif engine == "h5netcdf":
            require_sound_heaps(path)
            require_headers(path)
    with border(path), _NETCDF4 if engine == "netcdf4" else nullcontext():
        ds = _open(path, engine)
        chunks = _chunks(ds)
        # coordinates are the axes: they are read at once
        for name in ds.coords:
            ds[name].load()
        lazy = {}
        for name, variable in ds.variables.items():
            if name in ds.coords:
                continue
            if variable.ndim == 0 or variable.dtype.kind not in "fiub":
                ds[name].load()
                continue
            token = tokenize(path, stamp_of(path), name, str(variable.dtype), variable.shape, sorted(variable.attrs))
            lazy[name] = da.from_array(
                StoredArray(path, engine, variable, str(name)),
                chunks=tuple(chunks.get(d, -1) for d in variable.dims),
                name=f"stored-{token}",
                meta=np.empty((0,) * variable.ndim, variable.dtype),
            )
        out = ds.assign({n: (ds[n].dims, data, ds[n].attrs) for n, data in lazy.items()})
        for n in lazy:
            out[n].encoding = ds[n].encoding
        if engine == "netcdf4":
            ds.close()
        elif engine == "h5netcdf":
            require_all_chunks(path, map(str, lazy))
    return out


def _open(path: str, engine: str) -> xr.Dataset:
    import xarray as xr

    how: dict[str, Any] = {"consolidated": _consolidated(path)} if engine == "zarr" else {}
    return xr.open_dataset(path, engine=engine, decode_timedelta=False, cache=False, **how)


def _consolidated(path: str) -> bool | None:
    # said, so that xarray has nothing to warn of
    if "://" in path:
        return None
    if os.path.exists(os.path.join(path, ".zmetadata")):
        return True
    try:
        with open(os.path.join(path, "zarr.json"), encoding="utf-8") as file:
            return "consolidated_metadata" in json.load(file)
    except FileNotFoundError:
        return False


def stamp_of(path: str) -> Any:
    """Give what changes when a file is written again."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _chunks(ds: xr.Dataset) -> dict[Any, Any]:
    # whole maps, and as many steps as make a chunk of a few tens of megabytes, in multiples of the file's own chunk
    time = next((d for d in ("valid_time", "time") if d in ds.dims), None)
    if time is None:
        return {}
    cells = max((v.size // max(ds.sizes[time], 1) for v in ds.data_vars.values() if time in v.dims), default=1)
    step = 1
    for v in ds.data_vars.values():
        stored = v.encoding.get("shards") or v.encoding.get("chunksizes") or v.encoding.get("chunks")
        if stored and time in v.dims and len(stored) == v.ndim:
            step = max(step, int(stored[v.dims.index(time)]))
    return {time: max(step, CHUNK_BYTES // max(4 * cells, 1) // step * step)}


def read_now(array: xr.DataArray) -> NDArray[Any]:
    """Read a few values here and now, in this thread, whatever scheduler tasks run on."""
    data = array.data
    return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "dask") else data)
