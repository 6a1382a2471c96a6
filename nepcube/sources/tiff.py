"""GeoTIFFs as GDAL reads them, each block looked at first: what a file says of itself, and windows of its bands."""

from __future__ import annotations

import gzip
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.fetched import local
from nepcube.sources.files import GZIPPED_TIFF, border, require
from nepcube.sources.kept import stamp
from nepcube.sources.tiff_blocks import Blocks, Layout, MissingBlocks, Needed, layout_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAD = 2**20


@dataclass(frozen=True)
class Header:
    """What a GeoTIFF says before any of its cells is read.

    `shape` is bands, rows, columns; `transform` the six numbers a, b, c, d, e, f; `wkt` the CRS, nothing where there is
    none; `bands` their names and `units`, nothing where they have none; `block` rows and columns of a block.
    """

    path: str
    shape: tuple[int, int, int]
    transform: tuple[float, ...]
    wkt: str
    geographic: bool
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    bands: tuple[str, ...]
    units: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    block: tuple[int, int]
    gzipped: bool
    missing: int


def read_header(path: str, *kinds: str) -> Header:
    """Read the header; that every block lies within the file is checked, so that a cut one is found here.

    A gzipped file is decompressed as far as needed. Of a URL nothing but what GDAL asks for is fetched, or checked.

    Parameters
    ----------
    path : str
    *kinds : str
        What the file may be; a TIFF or a gzipped one where none is given.

    Raises
    ------
    SourceError
        The file is no TIFF, or is damaged or cut off.
    """
    gzipped = require(path, *(kinds or ("TIFF", GZIPPED_TIFF))) == GZIPPED_TIFF
    with border(path):
        if gzipped:
            return _gzipped_header(path)
        image = _layout(path, stamp(path)).image
        with _opened(path) as file:
            return _header(path, file, gzipped, image)


def read(
    path: str, bands: Sequence[int], rows: range, columns: range, *, gzipped: bool = False, masked: bool = False
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Give a window of some bands, which count from 1, as it is stored; their scales and their offsets.

    Every block that it needs is looked at before (`tiff_blocks`).

    Parameters
    ----------
    path : str
    bands : sequence of int
    rows, columns : range
    gzipped : bool
    masked : bool
        Give a masked array, by what the file says is missing.

    Raises
    ------
    SourceError
        The file is damaged, or leaves blocks out though it declares no number for missing cells.
    """
    from rasterio.windows import Window

    window = Window(columns.start, rows.start, len(columns), len(rows))
    at = [band - 1 for band in bands]
    with border(path):
        content = _decompressed(path) if gzipped else None
        with _opened(path, content) as file:
            # where missing cells have a number, blocks may be left out: GDAL's way of writing large empty areas
            may_miss = masked and all(file.nodatavals[k] is not None for k in at)
            _require_sound(path, content, Needed(tuple(bands), rows, columns, may_miss))
            data = file.read(list(bands), window=window, masked=masked)
            return data, np.asarray(file.scales)[at], np.asarray(file.offsets)[at]


def _require_sound(path: str, content: bytes | None, needed: Needed) -> None:
    try:
        if content is not None:
            raw = io.BytesIO(content)
            layout_of(raw, len(content)).require_sound(raw, needed)
        else:
            layout = _layout(path, stamp(path))
            with open(local(path), "rb") as file:
                layout.require_sound(file, needed)
    except MissingBlocks as error:
        raise SourceError(
            f"{path}: {error}, and it declares no number for missing cells.",
            "Download it again; if they were left out on purpose, write them: gdal_translate IN OUT.",
        ) from None


@lru_cache(maxsize=256)
def _layout(path: str, _stamp: tuple[int, int] | None) -> Layout:
    with open(local(path), "rb") as raw:
        return layout_of(raw, os.path.getsize(local(path)))


@contextmanager
def _opened(path: str, content: bytes | None = None) -> Iterator[Any]:
    # each reading opens the file for itself: GDAL's handles are not shared between threads
    import rasterio

    if content is None:
        with rasterio.open(local(path), driver="GTiff") as file:
            yield file
        return
    with rasterio.MemoryFile(content) as memory, memory.open(driver="GTiff") as file:
        yield file


def _header(path: str, file: Any, gzipped: bool, image: Blocks | None) -> Header:
    crs = file.crs
    widths = {8 * np.dtype(dtype).itemsize for dtype in file.dtypes}
    # numbers of odd bits are held in the next larger type
    if image is not None and widths != {max(8, 1 << (image.depth - 1).bit_length())}:
        raise ValueError(f"its numbers of {image.depth} bits are read as {', '.join(sorted(set(file.dtypes)))}")
    return Header(
        path=path,
        shape=(file.count, *file.shape),
        transform=tuple(map(float, tuple(file.transform)[:6])),
        wkt=crs.to_wkt() if crs else "",
        geographic=bool(crs and crs.is_geographic),
        dtypes=tuple(map(str, file.dtypes)),
        nodata=tuple(None if n is None else float(n) for n in file.nodatavals),
        bands=tuple(d or "" for d in file.descriptions),
        units=tuple(u or "" for u in file.units),
        scales=tuple(map(float, file.scales)),
        offsets=tuple(map(float, file.offsets)),
        block=tuple(file.block_shapes[0]),
        gzipped=gzipped,
        missing=0 if image is None else image.missing,
    )


def _gzipped_header(path: str) -> Header:
    with open(local(path), "rb") as raw:
        raw.seek(-4, os.SEEK_END)
        stated = int.from_bytes(raw.read(), "little")
    with gzip.open(local(path)) as stream:
        head = stream.read(_HEAD)
    if stated > _HEAD:
        # the directories are at the front of most files, else all of the file is needed
        try:
            layout = layout_of(io.BytesIO(head), stated)
            # a file that is cut off does not end with its length
            if _end(layout) <= stated <= 2 * _end(layout) + _HEAD:
                with _opened(path, head) as file:
                    return _header(path, file, True, layout.image)
        except Exception:  # whatever is wrong with the part, the whole is looked at
            pass
    content = _decompressed(path)
    layout = layout_of(io.BytesIO(content), len(content))
    with _opened(path, content) as file:
        return _header(path, file, True, layout.image)


def _end(layout: Layout) -> int:
    return max(int((blocks.offsets + blocks.sizes).max()) for blocks in (layout.image, *layout.masks))


def _decompressed(path: str) -> bytes:
    # the checksum at the end is tested by reading to the end
    with gzip.open(local(path)) as stream:
        return stream.read()
