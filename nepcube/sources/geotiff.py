"""GeoTIFF, plain, cloud-optimised or gzipped: headers, and bands of many files as one lazy array."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.files import GZIPPED_TIFF, damaged, is_url, require, windows_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube.sources.limits import Rules

#: what reading a damaged file raises: GDAL's errors are RasterioError or OSError, gzip's EOFError or zlib.error
_FAULTS: tuple[type[BaseException], ...] = (OSError, ValueError, EOFError, zlib.error, MemoryError, OverflowError)
_CHUNK_CELLS = 4 * 2**20
_HEAD = 2**20
# the land surface at 30 m has 1.3 million columns
_LONGEST = 5_000_000


@dataclass(frozen=True)
class Header:
    """What a GeoTIFF says before any of its cells is read.

    `shape` is bands, rows, columns; `transform` the six numbers a, b, c, d, e, f; `block` rows and columns of a block.
    """

    path: str
    shape: tuple[int, int, int]
    transform: tuple[float, ...]
    wkt: str
    geographic: bool
    bands: tuple[str | None, ...]
    units: tuple[str | None, ...]
    block: tuple[int, int]
    gzipped: bool

    @property
    def axes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The centres of rows and of columns."""
        a, _, c, _, e, f = self.transform
        rows, columns = np.arange(self.shape[1], dtype=np.float64), np.arange(self.shape[2], dtype=np.float64)
        return np.asarray(f + (rows + 0.5) * e), np.asarray(c + (columns + 0.5) * a)

    @property
    def dims(self) -> tuple[str, str]:
        return ("latitude", "longitude") if self.geographic else ("y", "x")


@dataclass(frozen=True)
class Sheet:
    """One band of one file, and the time at which its step begins."""

    header: Header
    band: int
    start: np.datetime64


def read_header(path: str) -> Header:
    """Read the header of a GeoTIFF, of which a gzipped one is decompressed as far as needed.

    Raises
    ------
    SourceError
        The file is no GeoTIFF, is damaged or cut off, is rotated or has no CRS.
    """
    gzipped = require(path, "TIFF", GZIPPED_TIFF) == GZIPPED_TIFF
    try:
        if not gzipped:
            with _opened(path) as file:
                return _header(path, file, None if is_url(path) else os.path.getsize(path), False)
        return _gzipped_header(path)
    except _faults() as error:
        raise damaged(path, error) from None


def _faults() -> tuple[type[BaseException], ...]:
    from rasterio.errors import RasterioError

    return (*_FAULTS, RasterioError)


@contextmanager
def _opened(path: str, content: bytes | None = None) -> Iterator[Any]:
    # each reading opens the file for itself: GDAL's handles are not shared between threads
    import rasterio

    if content is None:
        with rasterio.open(path) as file:
            yield file
        return
    with rasterio.MemoryFile(content) as memory, memory.open() as file:
        yield file


def _header(path: str, file: Any, size: int | None, gzipped: bool) -> Header:
    shape = (file.count, *file.shape)
    if max(shape) > _LONGEST or min(shape) < 1:
        raise damaged(path, ValueError(f"{shape[1]} rows and {shape[2]} columns"))
    if any(np.dtype(d).kind not in "iuf" for d in file.dtypes):
        raise SourceError(f"{path}: holds {file.dtypes[0]}, not numbers.", "Use a raster of whole or real numbers.")
    if size is not None and _end(file) > size:
        raise damaged(path, EOFError(f"its blocks end at byte {_end(file)}, the file at {size}"))
    t = file.transform
    if file.crs is None or t.is_identity:
        raise SourceError(
            f"{path}: has no coordinate reference system, or no place in it.",
            "Use the file as the provider made it, or write it with `gdal_edit.py -a_srs -a_ullr`.",
        )
    if t.b or t.d or not (t.a and t.e) or not np.isfinite(tuple(t)).all():
        raise SourceError(f"{path}: its rows and columns are rotated against its CRS.", "Warp it first.")
    if file.crs.is_geographic:
        y, x = (t.f, t.f + t.e * file.height), (t.c, t.c + t.a * file.width)
        if (
            max(map(abs, y)) > 90 + abs(t.e)
            or max(map(abs, x)) > 360 + abs(t.a)
            or abs(x[1] - x[0]) > 360 + 2 * abs(t.a)
        ):
            raise SourceError(
                f"{path}: its corners ({x[0]:.6g}, {y[0]:.6g}) and ({x[1]:.6g}, {y[1]:.6g}) are not on the globe.",
                "Check its CRS, and download the file again.",
            )
    return Header(
        path, shape, tuple(map(float, tuple(t)[:6])), file.crs.to_wkt(), bool(file.crs.is_geographic),
        tuple(file.descriptions), tuple(file.units), tuple(file.block_shapes[0]), gzipped,
    )  # fmt: skip


def _end(file: Any) -> int:
    # where the last block of the first and of the last band ends
    rows, columns = file.block_shapes[0]
    at = f"{(file.width - 1) // columns}_{(file.height - 1) // rows}"
    ends = [0]
    for band in {1, file.count}:
        offset = file.get_tag_item(f"BLOCK_OFFSET_{at}", "TIFF", bidx=band)
        length = file.get_tag_item(f"BLOCK_SIZE_{at}", "TIFF", bidx=band)
        if offset and length:
            ends.append(int(offset) + int(length))
    return max(ends)


def _gzipped_header(path: str) -> Header:
    import gzip

    with open(path, "rb") as raw:
        raw.seek(-4, os.SEEK_END)
        stated = int.from_bytes(raw.read(), "little")
    with gzip.open(path) as stream:
        head = stream.read(_HEAD)
    order = "little" if head[:2] == b"II" else "big"
    # where the directory begins: at the front of most files, else all of the file is needed
    big = head[2:4] in (b"+\x00", b"\x00+")
    directory = int.from_bytes(head[8:16] if big else head[4:8], order)  # type: ignore[arg-type]
    if directory < _HEAD // 2 and stated > _HEAD:
        try:
            with _opened(path, head) as file:
                # a file that is cut off does not end with its length
                if _end(file) <= stated <= 2 * _end(file) + _HEAD:
                    return _header(path, file, None, True)
        except _faults():
            pass
    content = _decompressed(path)
    with _opened(path, content) as file:
        return _header(path, file, len(content), True)


def _decompressed(path: str) -> bytes:
    import gzip

    # the checksum at the end is tested by reading to the end
    with gzip.open(path) as stream:
        return stream.read()


class SheetArray:
    """A lazy (time, row, column) array over bands of files: float32, scale and offset applied, nodata is NaN.

    Parameters
    ----------
    sheets : sequence of (path, band from 1, whether gzipped)
    shape : tuple of int
    nodata : tuple of float
        Numbers that stand for missing data as they are stored, beside what the files declare.
    rules : Rules, optional
        What the values may be.
    """

    def __init__(
        self,
        sheets: Sequence[tuple[str, int, bool]],
        shape: tuple[int, int, int],
        nodata: tuple[float, ...] = (),
        rules: Rules | None = None,
    ) -> None:
        self.sheets = tuple(sheets)
        self.shape = shape
        self.ndim = 3
        self.dtype = np.dtype("float32")
        self.nodata = nodata
        self.rules = rules

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        (steps, rows, columns), take = windows_of(key, self.shape)
        out = np.empty((len(steps), len(rows), len(columns)), self.dtype)
        if not out.size:
            return out[take]
        at = 0
        for (path, gzipped), several in groupby((self.sheets[k] for k in steps), lambda s: (s[0], s[2])):
            bands = [band for _, band, _ in several]
            values = _read(path, gzipped, bands, rows, columns, self.nodata)
            out[at : at + len(bands)] = values if self.rules is None else self.rules.apply(values, path)
            at += len(bands)
        return out[take]


def _read(
    path: str, gzipped: bool, bands: list[int], rows: range, columns: range, nodata: tuple[float, ...]
) -> NDArray[np.float32]:
    from rasterio.windows import Window

    window = Window(columns.start, rows.start, len(columns), len(rows))
    try:
        with _opened(path, _decompressed(path) if gzipped else None) as file:
            data = file.read(bands, window=window, masked=True)
            at = [b - 1 for b in bands]
            scales, offsets = np.asarray(file.scales)[at], np.asarray(file.offsets)[at]
    except _faults() as error:
        raise damaged(path, error) from None
    missing = np.ma.getmaskarray(data)
    raw = data.data
    for number in nodata:
        missing = missing | (raw == _as_stored(number, raw.dtype))
    if (scales != 1).any() or (offsets != 0).any():
        raw = raw.astype(np.float64) * scales[:, None, None] + offsets[:, None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        out: NDArray[np.float32] = raw.astype(np.float32)
    out[missing] = np.nan
    return out


def _as_stored(number: float, dtype: np.dtype[Any]) -> Any:
    # -99.9 in float32 is not -99.9 in float64
    return dtype.type(number) if dtype.kind == "f" else number


def chunk_shape(rows: int, columns: int, block: tuple[int, int]) -> tuple[int, int]:
    """Give the rows and columns of a chunk: whole blocks of the file, about 16 MB of float32."""
    height, width = min(block[0], rows), min(block[1], columns)
    if width < columns:
        side = int(_CHUNK_CELLS**0.5)
        width = min(columns, width * max(1, side // width))
    height = min(rows, height * max(1, _CHUNK_CELLS // (height * width)))
    return height, width


def lazy(sheets: Sequence[Sheet], nodata: tuple[float, ...] = (), rules: Rules | None = None) -> Any:
    """Give the bands of some files of one grid as one dask array (time, row, column)."""
    import dask.array as da

    first = sheets[0].header
    _, rows, columns = first.shape
    shape = (len(sheets), rows, columns)
    # a gzipped file is decompressed for each of its chunks, so that it has one
    inner = (rows, columns) if any(s.header.gzipped for s in sheets) else chunk_shape(rows, columns, first.block)
    return da.from_array(
        SheetArray([(s.header.path, s.band, s.header.gzipped) for s in sheets], shape, nodata, rules),
        chunks=(1, *inner),
        name=False,
        # one object in the graph, however many files it names
        inline_array=False,
        meta=np.empty((0, 0, 0), np.float32),
    )


def stack(sheets: Sequence[Sheet], name: str, nodata: tuple[float, ...] = (), rules: Rules | None = None) -> xr.Dataset:
    """Put bands of files of one grid one after the other along time, in its order.

    Raises
    ------
    SourceError
        The files are on different grids.
    """
    import xarray as xr

    ordered = sorted(sheets, key=lambda s: s.start)
    first = ordered[0].header
    for other in ordered[1:]:
        require_same_grid(first, other.header)
    dy, dx = first.dims
    y, x = first.axes
    return xr.Dataset(
        {name: (("time", dy, dx), lazy(ordered, nodata, rules))},
        coords={"time": np.array([s.start for s in ordered], "datetime64[ns]"), dy: (dy, y), dx: (dx, x)},
    )


def require_same_grid(one: Header, other: Header) -> None:
    """Refuse a file whose grid is another than that of the first.

    Raises
    ------
    SourceError
    """
    if other is one:
        return
    what = ""
    if other.wkt != one.wkt:
        what = "CRS"
    else:
        for k, axis in ((1, one.dims[0]), (2, one.dims[1])):
            n, step, origin = one.shape[k], (4, 0)[k - 1], (5, 2)[k - 1]
            apart = abs(other.transform[origin] - one.transform[origin])
            stretch = abs(other.transform[step] - one.transform[step]) * n
            if other.shape[k] != n or apart + stretch > 1e-3 * abs(one.transform[step]):
                what = axis
                break
    if what:
        raise SourceError(
            f"{other.path}: its {what} differs from that of {os.path.basename(one.path)}.",
            "Use files of one grid and one area.",
        )
