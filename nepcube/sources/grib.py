"""GRIB of ECMWF: the messages of a file as one lazy array per variable, each message decoded where it is read.

It needs ecCodes, the extra ``grib``. ecCodes is called under one lock of the process.
"""

from __future__ import annotations

import datetime
import importlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.ecmwf_headers import BY_HOUR, MONTHLY, by_hour, is_preliminary
from nepcube.sources.fetched import local
from nepcube.sources.files import border, damaged, windows_of
from nepcube.sources.kept import stamp
from nepcube.sources.netcdf import OpenFile, on_axes
from nepcube.sources.series import PRELIMINARY
from nepcube.sources.stored import CHUNK_BYTES

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube.sources.protocol import Bounds

_LOCK = threading.RLock()
_GRID = ("Ni", "Nj", "latitudeOfFirstGridPointInDegrees", "latitudeOfLastGridPointInDegrees",
         "longitudeOfFirstGridPointInDegrees", "longitudeOfLastGridPointInDegrees", "iScansNegatively",
         "jScansPositively", "jPointsAreConsecutive", "alternativeRowScanning")  # fmt: skip
_ATTRS = ("stream", "stepType", "dataType", "shortName", "paramId")
_MISSING = -1.0e30


@dataclass(frozen=True)
class _Message:
    offset: int
    length: int
    name: str
    units: str
    title: str
    stamp: datetime.datetime
    preliminary: bool
    grid: tuple[Any, ...]
    attrs: tuple[str, ...]


class GribArray:
    """One variable of a GRIB file: (time, rows, columns), float32, decoded message by message."""

    dtype = np.dtype("float32")
    ndim = 3

    def __init__(self, path: str, places: Sequence[tuple[int, int]], rows: int, columns: int, by_column: bool) -> None:
        self.path, self.places, self.by_column = path, tuple(places), by_column
        self.shape = (len(self.places), rows, columns)

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[np.float32]:
        windows, takes = windows_of(key, self.shape)
        steps, rows, columns = windows
        out = np.empty([len(w) for w in windows], np.float32)
        with border(self.path), open(local(self.path), "rb") as file:
            for k, step in enumerate(steps):
                field = self._decode(file, *self.places[step])
                out[k] = field[rows.start : rows.stop, columns.start : columns.stop]
        return out[takes]

    def _decode(self, file: Any, offset: int, length: int) -> NDArray[np.float64]:
        codes = _eccodes(self.path)
        file.seek(offset)
        message = file.read(length)
        with _LOCK:
            try:
                handle = codes.codes_new_from_message(message)
                try:
                    codes.codes_set(handle, "missingValue", _MISSING)
                    values = codes.codes_get_values(handle)
                finally:
                    codes.codes_release(handle)
            except codes.CodesInternalError as error:
                raise damaged(self.path, error) from None
        rows, columns = self.shape[1:]
        if values.size != rows * columns:
            raise damaged(self.path, ValueError(f"a field has {values.size} values, not {rows * columns}"))
        values = np.where(values == _MISSING, np.nan, values)
        return values.reshape(columns, rows).T if self.by_column else values.reshape(rows, columns)


def open_grib(path: str, bounds: Bounds | None = None, *, names: Sequence[str] | None = None) -> OpenFile:
    """Open the headers of a GRIB file; of its variables those that are named.

    Raises
    ------
    SourceError
        ecCodes is not installed, or the file is damaged or on no regular latitude and longitude.
    """
    with border(path):
        messages = _messages(path, names)
        return on_axes(_dataset(path, messages), path, bounds)


def _eccodes(path: str) -> Any:
    # ecCodes' wheels load a PROJ of their own for the whole process: pyproj must have found its own before
    importlib.import_module("pyproj")
    try:
        import eccodes
    except (ImportError, RuntimeError):
        raise SourceError(
            f"{path}: is GRIB, and ecCodes is not installed.",
            "Install it (`pip install 'nepcube[grib]'`), or ask for NetCDF.",
        ) from None
    return eccodes


def _messages(path: str, names: Sequence[str] | None) -> list[_Message]:
    codes = _eccodes(path)
    out, held, end = [], set(), 0
    with _LOCK, open(local(path), "rb") as file:
        try:
            while (handle := codes.codes_grib_new_from_file(file)) is not None:
                try:
                    offset, length = (int(codes.codes_get(handle, k)) for k in ("offset", "totalLength"))
                    if offset != end:
                        raise damaged(path, ValueError(f"{offset - end} bytes at {end} are no message"))
                    end = offset + length
                    name = str(codes.codes_get(handle, "cfVarName"))
                    held.add(name)
                    if names is None or name in names:
                        out.append(_message(codes, handle, path, name, offset, length))
                finally:
                    codes.codes_release(handle)
        except codes.CodesInternalError as error:
            raise damaged(path, error) from None
        file.seek(0, 2)
        if file.tell() != end:
            raise damaged(path, ValueError(f"{file.tell() - end} bytes at its end are no message"))
    if not out:
        raise SourceError(
            f"{path}: none of its messages is of {' or '.join(names or ['any variable'])} (found: "
            f"{', '.join(sorted(held)) or 'none'}).",
            "Download the variable, or name it with `variable:`.",
        )
    return out


def _message(codes: Any, handle: Any, path: str, name: str, offset: int, length: int) -> _Message:
    def get(key: str) -> Any:
        return codes.codes_get(handle, key) if codes.codes_is_defined(handle, key) else None

    if get("gridType") != "regular_ll" or get("alternativeRowScanning"):
        raise SourceError(
            f"{path}: {name} is on a grid of the type {get('gridType')}.", "Ask for a regular latitude-longitude grid."
        )
    attrs = tuple(str(get(k)) for k in _ATTRS)
    if attrs[0] == BY_HOUR:
        raise by_hour(path)
    if get("dataType") in ("em", "es") or int(get("number") or 0) > 0:
        raise SourceError(f"{path}: {name} is of the ensemble.", "Download the reanalysis itself.")
    # the mean of a month is stamped with the start of its first forecast
    date, time = ("dataDate", "dataTime") if attrs[0] == MONTHLY else ("validityDate", "validityTime")
    day, clock = int(get(date)), int(get(time))
    stamp = datetime.datetime(day // 10000, day // 100 % 100, day % 100, clock // 100, clock % 100)
    if attrs[0] == MONTHLY:
        stamp = stamp.replace(day=1, hour=0, minute=0)
    version = get("experimentVersionNumber")
    return _Message(
        offset=offset,
        length=length,
        name=name,
        units=str(get("units")),
        title=str(get("name")),
        stamp=stamp,
        preliminary=bool(is_preliminary(version, path)) if version is not None else False,
        grid=tuple(get(k) for k in _GRID),
        attrs=attrs,
    )


def _dataset(path: str, messages: Sequence[_Message]) -> xr.Dataset:
    import dask.array as da
    import xarray as xr
    from dask.base import tokenize

    first = messages[0]
    for m in messages:
        if m.grid != first.grid:
            raise SourceError(f"{path}: its messages are on different grids.", "Give one file for each grid.")
    latitude, longitude = _axes(path, first.grid)
    variables, marks = {}, {}
    for name in dict.fromkeys(m.name for m in messages):
        chosen: dict[datetime.datetime, _Message] = {}
        for m in (m for m in messages if m.name == name):
            other = chosen.get(m.stamp)
            if other is not None and other.preliminary == m.preliminary:
                raise SourceError(
                    f"{path}: {name} of {m.stamp:%Y-%m-%d %H:%M} stands in it twice.", "Remove the repetition."
                )
            if other is None or other.preliminary:
                chosen[m.stamp] = m
        ordered = [chosen[k] for k in sorted(chosen)]
        units, kinds = {m.units for m in ordered}, {m.attrs for m in ordered}
        if len(units) > 1 or len({k[:2] for k in kinds}) > 1:
            raise SourceError(
                f"{path}: {name} comes in several kinds ({', '.join(sorted('/'.join(k[:2]) for k in kinds))}).",
                "Give one file for each stream and step type.",
            )
        stored = GribArray(
            path, [(m.offset, m.length) for m in ordered], latitude.size, longitude.size, bool(first.grid[8])
        )
        step = max(1, CHUNK_BYTES // (4 * latitude.size * longitude.size))
        data = da.from_array(
            stored,
            chunks=(step, -1, -1),
            name=f"grib-{tokenize(path, stamp(path), name, stored.places)}",
            meta=np.empty((0, 0, 0), np.float32),
        )
        attrs = {"units": ordered[0].units, "long_name": ordered[0].title}
        attrs |= {f"GRIB_{k}": v for k, v in zip(_ATTRS, ordered[0].attrs, strict=True)}
        stamps = np.array([m.stamp for m in ordered], "datetime64[ns]")
        variables[name] = xr.Variable(("time", "latitude", "longitude"), data, attrs)
        marks[name] = stamps, np.array([m.preliminary for m in ordered])
    stamps, early = next(iter(marks.values()))
    for name, (times, also) in marks.items():
        if not np.array_equal(times, stamps):
            raise SourceError(
                f"{path}: {', '.join(marks)} have different times in it.", f"Give one file for each, {name} by itself."
            )
        early = early | also
    coords = {"time": stamps, "latitude": latitude, "longitude": longitude}
    ds = xr.Dataset(variables, coords=coords)
    return ds.assign_coords({PRELIMINARY: ("time", early)}) if early.any() else ds


def _axes(path: str, grid: tuple[Any, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns, rows, north, south, west, east, backwards = grid[:7]
    if not (1 <= int(columns) <= 100_000 and 1 <= int(rows) <= 100_000):
        raise damaged(path, ValueError(f"a grid of {rows} x {columns}"))
    span = (west - east) % 360 if backwards else (east - west) % 360
    longitude = west + (-1 if backwards else 1) * np.linspace(0.0, span, int(columns))
    # GRIB holds millionths of a degree, its first edition thousandths
    latitude = np.linspace(float(north), float(south), int(rows))
    return np.asarray(np.round(latitude, 6), np.float64), np.asarray(np.round(longitude, 6), np.float64)
