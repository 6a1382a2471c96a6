"""NetCDF files and Zarr stores: headers, and arrays that are read where a task asks for them, damage told by name.

The netCDF4 library stands no second thread, not even on another file: it is used under one lock of the process, and
each file that it opens is closed under the same lock. HDF5 goes through h5py and Zarr through zarr, which need none.
"""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.places import is_url, place_of
from nepcube.sources.classic import require_whole
from nepcube.sources.fetched import local
from nepcube.sources.files import border, require
from nepcube.sources.hdf5 import require_all_chunks, require_found, require_headers, require_sound_heaps
from nepcube.sources.headers import header
from nepcube.sources.kept import stamp

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_NETCDF4 = threading.RLock()
_ENGINES = {"HDF5": "h5netcdf", "NetCDF classic": "netcdf4", "Zarr": "zarr"}
#: NC_FILL_SHORT of the netCDF library
_FILL = -32767
CHUNK_BYTES = 32 * 2**20
# cells of a chunk, of a map in it, and of a coordinate that is read at once
_CELLS, _MAP_CELLS, _AXIS_CELLS = CHUNK_BYTES // 4, 2**22, 2**20
_TIMES = ("valid_time", "time")


class StoredArray:
    """A decoded variable of a file, read by index; it travels to another process by the file's name."""

    def __init__(self, path: str, engine: str, variable: xr.Variable, name: str, nodata: float | None = None) -> None:
        self.path, self.engine, self.name = path, engine, name
        self.shape, self.dtype, self.ndim = variable.shape, variable.dtype, variable.ndim
        # the netCDF4 library's files are not kept open, so that none is closed behind the lock's back
        self._variable = None if engine == "netcdf4" else variable
        self._undeclared = _undeclared_fill(variable, nodata)

    def __getstate__(self) -> dict[str, Any]:
        # where it is sent, what a URL names is fetched to another folder
        opened = is_url(self.path) and self.engine != "zarr"
        return self.__dict__ | ({"_variable": None} if opened else {})

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
            if self.engine == "h5netcdf" and values.size:
                require_found(self.path, self.name, key, values)
            return values
        with _NETCDF4, _open(self.path, self.engine) as ds:
            return np.asarray(ds.variables[self.name][key].values)


def _undeclared_fill(variable: xr.Variable, nodata: float | None) -> Any:
    """Give what the fill value of packed 16-bit numbers decodes to, if nothing says that it is one."""
    how = variable.encoding
    if np.dtype(how.get("dtype", "f4")) != np.int16 or "scale_factor" not in how:
        return None
    declared = [how[k] for k in ("_FillValue", "missing_value") if k in how] + [nodata] * (nodata is not None)
    if np.isin([_FILL, _FILL - 1], np.asarray(declared, float)).any():
        return None
    # the steps of xarray's decoding, so that the number is the same to its last bit
    value = np.array([_FILL], variable.dtype)
    value *= how["scale_factor"]
    value += how.get("add_offset", 0)
    return value[0]


def open_stored(path: str, *, kind: str | None = None, nodata: float | None = None) -> xr.Dataset:
    """Open a file's header, its variables as lazy dask arrays in chunks of some tens of megabytes.

    Parameters
    ----------
    path : str
    kind : {"HDF5", "NetCDF classic", "Zarr"}, optional
        What it is, where that is known.
    nodata : float, optional
        The number that stands for missing data, as it is stored, where the file does not declare it.

    Raises
    ------
    SourceError
        It is neither NetCDF nor Zarr, is damaged, or its time cannot be read as dates.
    """
    engine = _ENGINES[kind or require(path, *_ENGINES)]
    if engine == "zarr":
        # what changes in a folder below it does not show in its own stamp
        return _open_stored(path, engine, nodata)
    return header(path, (engine, nodata), lambda: _open_stored(path, engine, nodata))


def _open_stored(path: str, engine: str, nodata: float | None) -> xr.Dataset:
    with border(path):
        if engine == "netcdf4":
            require_whole(path)
        elif engine == "h5netcdf":
            require_sound_heaps(path)
            require_headers(path)
    with border(path), _NETCDF4 if engine == "netcdf4" else nullcontext():
        ds = _open(path, engine)
        lazy = [n for n, v in ds.variables.items() if _is_lazy(v, n in ds.coords)]
        for name in ds.variables:
            if name not in lazy:
                ds[name].load()
        out = ds.assign({n: _lazy(ds, str(n), path, engine, nodata) for n in lazy})
        if engine == "netcdf4":
            ds.close()
        elif engine == "h5netcdf":
            require_all_chunks(path, map(str, (*lazy, *ds.indexes)))
    return out


def _is_lazy(variable: xr.Variable, coordinate: bool) -> bool:
    if variable.ndim == 0 or variable.dtype.kind not in "fiub":
        return False
    # the axes are read at once; of a curvilinear grid they may be maps
    return not coordinate or (variable.ndim > 1 and variable.size > _AXIS_CELLS)


def _lazy(ds: xr.Dataset, name: str, path: str, engine: str, nodata: float | None) -> xr.Variable:
    import dask.array as da
    import xarray as xr
    from dask.base import tokenize

    variable = ds[name].variable
    token = tokenize(path, stamp(path), name, str(variable.dtype), variable.shape, sorted(variable.attrs), nodata)
    data = da.from_array(
        StoredArray(path, engine, variable, name, nodata),
        chunks=_chunks(ds[name]),
        name=f"stored-{token}",
        meta=np.empty((0,) * variable.ndim, variable.dtype),
    )
    return xr.Variable(variable.dims, data, variable.attrs, variable.encoding)


def _open(path: str, engine: str) -> xr.Dataset:
    import xarray as xr

    how: dict[str, Any] = {"engine": engine, "decode_timedelta": False, "decode_coords": "all", "cache": False}
    where: Any = local(path)
    if engine == "zarr":
        how["consolidated"] = _consolidated(path)
        if is_url(path):
            where = place_of(path).zarr()
    try:
        return xr.open_dataset(where, **how)
    except ValueError:
        # a time axis that cannot be decoded is told from a file that cannot be read
        plain = xr.open_dataset(where, **how, decode_times=False)
    with plain:
        units = [str(v.attrs["units"]) for v in plain.variables.values() if " since " in str(v.attrs.get("units", ""))]
    raise undated(path, units[0] if units else None)


def undated(path: str, units: str | None) -> SourceError:
    """Make the error for a time axis that is no dates."""
    return SourceError(
        f"{path}: its time axis cannot be read as dates (units: {units or 'none'!r}).",
        "Use a standard calendar and units such as 'days since 1980-01-01'.",
    )


def _consolidated(path: str) -> bool:
    # said, so that xarray has nothing to warn of
    place = place_of(path)
    if (place / ".zmetadata").exists():
        return True
    text = (place / "zarr.json").read_text()
    return False if text is None else "consolidated_metadata" in json.loads(text)


def _chunks(v: xr.DataArray) -> tuple[int, ...]:
    # whole chunks of the file, about 32 MB; a map is cut only where one is large, or has many steps in its file's chunk
    how = v.encoding
    stored = how.get("shards") or how.get("chunksizes") or how.get("chunks")
    unit = dict.fromkeys(map(str, v.dims), 1)
    if stored and len(stored) == v.ndim:
        unit = {str(d): max(1, min(int(c), n)) for (d, n), c in zip(v.sizes.items(), stored, strict=True)}
    out = {str(d): n for d, n in v.sizes.items()}
    time = next((d for d in unit if d in _TIMES or (d in v.coords and v[d].dtype.kind == "M")), None)
    of_map = [d for d in unit if d != time][-2:]
    room = min(_MAP_CELLS, _CELLS // unit[time] if time else _CELLS)
    if len(of_map) == 2 and out[of_map[0]] * out[of_map[1]] > room:
        rows, columns = of_map
        side = int(room**0.5)
        if out[columns] > 2 * side:
            out[columns] = min(out[columns], max(1, side // unit[columns]) * unit[columns])
        out[rows] = min(out[rows], max(1, room // out[columns] // unit[rows]) * unit[rows])
    if time:
        cells = max(1, int(np.prod([n for d, n in out.items() if d != time])))
        out[time] = min(out[time], max(1, _CELLS // cells // unit[time]) * unit[time])
    return tuple(max(1, n) for n in out.values())


def read_now(array: xr.DataArray) -> NDArray[Any]:
    """Read a few values here and now, in this thread, whatever scheduler tasks run on."""
    data = array.data
    return np.asarray(data.compute(scheduler="synchronous") if hasattr(data, "dask") else data)
