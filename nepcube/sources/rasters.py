"""GeoTIFFs as the numbers that they hold: the header, and windows of a band, neither masked nor scaled."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, BinaryIO

from nepcube.errors import NepcubeError, SourceError
from nepcube.sources.files import damaged, require
from nepcube.sources.kept import Kept, stamp
from nepcube.sources.lattice import Footprint, Lattice, crs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = Kept(72 << 20)
# bytes of each type of a tag's value, and how `struct` calls the whole numbers
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WHOLE = {1: "B", 3: "H", 4: "I", 16: "Q"}
# the numbers of no compression, and of deflate: Adobe's and the old one
_PLAIN, _DEFLATE = 1, (8, 32946)


@dataclass(frozen=True)
class TiffHeader:
    """What a GeoTIFF says of itself.

    `foot` is None where it is neither geographic nor on the MODIS sinusoidal grid, `crs` is how to call what it is.
    """

    foot: Footprint | None
    crs: str
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    names: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def read_header(path: str) -> TiffHeader:
    """Read georeference and bands; that every block lies within the file is checked, so that a cut one is found here.

    Raises
    ------
    SourceError
        The file is no TIFF, is damaged, or is not north up.
    """
    require(path, "TIFF")
    import rasterio

    # GDAL's faults arrive as several classes, and damaged text or projections as ValueErrors
    try:
        _blocks(path, stamp(path))
        with rasterio.open(path, driver="GTiff") as file:
            transform, wkt = file.transform, file.crs.to_wkt() if file.crs else ""
            rows, columns = file.shape
            header = TiffHeader(
                None,
                "none",
                tuple(str(d) for d in file.dtypes),
                tuple(None if n is None else float(n) for n in file.nodatavals),
                tuple(d or "" for d in file.descriptions),
                tuple(float(s) for s in file.scales),
                tuple(float(o) for o in file.offsets),
            )
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
    if not wkt:
        return header
    crs, by_name, called = crs_of(wkt)
    if crs is None:
        return _with(header, None, called)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise SourceError(
            f"{path}: its rows do not run from north to south along the axes of its projection.",
            "Use the file as the provider made it.",
        )
    foot = Footprint(crs, transform.c, transform.f, transform.a, -transform.e, rows, columns)
    if not foot.is_on_earth:
        return _with(header, None, f"{called}, whose corners do not lie on the globe")
    # the name of a projection is believed where its cells are those of the MODIS grid
    if by_name and not Lattice.of(foot).is_modis:
        return _with(header, None, called)
    return _with(header, foot, called)


def _with(header: TiffHeader, foot: Footprint | None, crs: str) -> TiffHeader:
    return TiffHeader(foot, crs, header.dtypes, header.nodata, header.names, header.scales, header.offsets)


def _directories(path: str) -> list[dict[int, list[int]]]:
    # the tags of whole numbers of each directory; extents of all values are checked, since GDAL leaves a tag out with
    # a warning where its value is cut off (TIFF 6.0, section 2; BigTIFF)
    size = os.path.getsize(path)
    out: list[dict[int, list[int]]] = []
    with open(path, "rb") as file:
        head = file.read(16)
        order = "<" if head[:2] == b"II" else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        entry, word, step = (f"{order}HHQ8s", f"{order}Q", 20) if big else (f"{order}HHI4s", f"{order}I", 12)
        at, seen = struct.unpack_from(word, head, 8 if big else 4)[0], set[int]()
        while at and at not in seen:
            seen.add(at)
            count = struct.unpack(order + ("Q" if big else "H"), _take(file, at, 8 if big else 2, size))[0]
            table = _take(file, at + (8 if big else 2), count * step + struct.calcsize(word), size)
            tags: dict[int, list[int]] = {}
            last = 0
            for tag, kind, number, value in struct.iter_unpack(entry, table[: count * step]):
                length = _SIZES.get(kind, 1) * number
                if length > len(value):
                    value = _take(file, struct.unpack(word, value)[0], length, size)
                if tag <= last:
                    raise ValueError("the tags of a directory are not in order")
                last = tag
                if kind in _WHOLE:
                    tags[tag] = list(struct.unpack(f"{order}{number}{_WHOLE[kind]}", value[:length]))
            out.append(tags)
            at = struct.unpack(word, table[count * step :])[0]
    return out


def _take(file: BinaryIO, at: int, length: int, size: int) -> bytes:
    if at + length > size:
        raise EOFError(f"{at + length - size} bytes are missing at its end")
    file.seek(at)
    return file.read(length)


@dataclass(frozen=True)
class _Blocks:
    """Where the strips or tiles of a raster lie in its file, by band where bands are apart, then row by row."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    width: int
    height: int
    per_row: int
    per_band: int
    rows: int
    bits: int
    compression: int

    def touched(self, band: int, window: tuple[slice, slice]) -> Iterator[tuple[int, int, set[int]]]:
        """Give offset, size and possible lengths when unpacked of the blocks that a window needs."""
        first = (band - 1) * self.per_band if len(self.offsets) > self.per_band else 0
        rows, columns = window
        for y in range(rows.start // self.height, -(-rows.stop // self.height)):
            for x in range(columns.start // self.width, -(-columns.stop // self.width)):
                k = first + y * self.per_row + x
                # the last strip may end with the image
                heights = {self.height, min(self.height, self.rows - y * self.height)}
                yield self.offsets[k], self.sizes[k], {-(-self.width * self.bits // 8) * h for h in heights}


@lru_cache(maxsize=256)
def _blocks(path: str, _stamp: tuple[int, int]) -> _Blocks:
    # where GDAL finds no block, or none of a size, it gives nodata without a word
    tags = _directories(path)[0]
    offsets, sizes = (tags.get(tiled, tags.get(striped, [])) for tiled, striped in ((324, 273), (325, 279)))
    if not tags.get(256) or not tags.get(257):
        raise ValueError("its size is not told")
    width, height = tags[256][0], tags[257][0]
    across, down = tags.get(322, [width])[0], min(tags.get(323, tags.get(278, [height]))[0], max(height, 1))
    per_row, per_column = -(-width // across), -(-height // down)
    planes = tags.get(277, [1])[0] if tags.get(284, [1])[0] == 2 else 1
    wanted = per_row * per_column * planes
    if len(offsets) != wanted or len(sizes) != wanted:
        raise ValueError(f"it has {min(len(offsets), len(sizes))} of {wanted} blocks")
    end, size = 0, os.path.getsize(path)
    for offset, length in sorted(zip(offsets, sizes, strict=True)):
        if length <= 0 or offset < end:
            raise ValueError(f"the block at byte {offset} is not one")
        end = offset + length
    if end > size:
        raise EOFError(f"{end - size} bytes are missing at its end")
    samples = tags.get(277, [1])[0]
    bits = tags.get(258, [])
    if len(bits) != samples or len(set(bits)) != 1:
        raise ValueError(f"its {samples} bands have numbers of {bits} bits")
    per_block = bits[0] * (1 if planes > 1 else samples)
    compression = tags.get(259, [1])[0]
    return _Blocks(
        tuple(offsets), tuple(sizes), across, down, per_row, per_row * per_column, height, per_block, compression
    )


def _require_sound(path: str, blocks: _Blocks, band: int, window: tuple[slice, slice]) -> None:
    # GDAL stops inflating when a block is full, before the checksum, and fills what a block has not
    with open(path, "rb") as file:
        for offset, length, lengths in blocks.touched(band, window):
            unpacked, ended = length, True
            if blocks.compression in _DEFLATE:
                file.seek(offset)
                inflater = zlib.decompressobj()
                unpacked = len(inflater.decompress(file.read(length), max(lengths) + 1))
                ended = inflater.eof
            if unpacked not in lengths or not ended:
                raise ValueError(f"the block at byte {offset} has {unpacked} of {max(lengths)} bytes")


def read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    """Read a window of a band, which counts from 1, as the numbers that the file holds.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    spans = tuple((w.start, w.stop) for w in window)
    return _KEPT.get((path, band, spans, stamp(path)), lambda: _read_window(path, band, window))


def _read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    import rasterio
    from rasterio.windows import Window

    rows, columns = window
    shape = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    # each read has a handle of its own, which is what GDAL asks of threads
    try:
        blocks = _blocks(path, stamp(path))
        if blocks.compression in (_PLAIN, *_DEFLATE):
            _require_sound(path, blocks, band, window)
        with rasterio.open(path, driver="GTiff") as file:
            out: NDArray[Any] = file.read(band, window=shape)
    except Exception as error:
        raise damaged(path, error) from None
    return out
