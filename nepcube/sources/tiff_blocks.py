"""Strips and tiles of a TIFF: where they lie, and whether each that is needed is there and whole.

GDAL gives nodata or zeros, without a word, where a block or a directory is cut off or left out, and stops inflating
when a block is full, which is before the checksum. So the directories are walked here, and blocks that are deflated are
inflated to their end (TIFF 6.0, sections 2 and 15; BigTIFF). Of other compressions the places alone are looked at.

What the directories say is looked at in `tiff_tags`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from nepcube.sources import lzw
from nepcube.sources.tiff_tags import Tags, directories, one, require_consistent

if TYPE_CHECKING:
    from numpy.typing import NDArray

# the numbers of no compression, and of deflate: Adobe's and the old one
_PLAIN, _LZW, _DEFLATE = 1, 5, (8, 32946)
_KIND, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _ROWS_A_STRIP, _PLANES = 254, 256, 257, 258, 259, 277, 278, 284
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_STRIPS, _TILES = (273, 279), (324, 325)
# strips of LZW are some 8 kB, tiles some 80; to look through one of this size takes a fifth of a second
_LONGEST_LOOKED_AT = 2**18
# what the kind of a directory says of a mask that is no overview
_MASK = 4


class MissingBlocks(ValueError):
    """Blocks that a file leaves out."""


@dataclass(frozen=True)
class Needed:
    """A window of some bands, which count from 1; and whether blocks of it may be left out."""

    bands: tuple[int, ...]
    rows: range
    columns: range
    may_miss: bool = False


@dataclass(frozen=True, eq=False)
class Blocks:
    """Where the blocks of one raster lie in its file, by band where bands are apart, then row by row."""

    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    width: int
    height: int
    per_row: int
    per_band: int
    rows: int
    bits: int
    depth: int
    compression: int

    @property
    def per_column(self) -> int:
        """How many blocks lie one below the other."""
        return self.per_band // self.per_row

    @property
    def missing(self) -> int:
        """How many blocks the file leaves out."""
        return int((self.sizes == 0).sum())

    def require_sound(self, raw: BinaryIO, needed: Needed) -> None:
        """Read the blocks that a window needs, and look whether each is whole.

        Raises
        ------
        MissingBlocks
            The file leaves some of them out.
        ValueError, zlib.error
            One is too short, does not end, or has another checksum.
        """
        touched = sorted({k for band in needed.bands for k in self._touched(band, needed.rows, needed.columns)})
        there = [k for k in touched if self.sizes[k]]
        if len(there) < len(touched) and not needed.may_miss:
            raise MissingBlocks(f"{len(touched) - len(there)} of {len(touched)} blocks are not there")
        if self.compression not in (_PLAIN, *_DEFLATE):
            return
        for k in there:
            offset, length = int(self.offsets[k]), int(self.sizes[k])
            lengths = self.lengths(k)
            unpacked, ended = length, True
            if self.compression in _DEFLATE:
                raw.seek(offset)
                inflater = zlib.decompressobj()
                unpacked = len(inflater.decompress(raw.read(length), max(lengths) + 1))
                ended = inflater.eof
            if unpacked not in lengths or not ended:
                raise ValueError(f"the block at byte {offset} has {unpacked} of {max(lengths)} bytes")

    def _touched(self, band: int, rows: range, columns: range) -> Iterator[int]:
        first = (band - 1) * self.per_band if len(self.offsets) > self.per_band else 0
        for y in range(rows.start // self.height, -(-rows.stop // self.height)):
            for x in range(columns.start // self.width, -(-columns.stop // self.width)):
                yield first + y * self.per_row + x

    def lengths(self, k: int) -> set[int]:
        """Give how many bytes a block may have, unpacked."""
        # the last strip may end with the image
        y = k % self.per_band // self.per_row
        return {
            -(-self.width * self.bits // 8) * h for h in (self.height, min(self.height, self.rows - y * self.height))
        }


@dataclass(frozen=True, eq=False)
class Layout:
    """The blocks of the image of a file, and those of its mask, if it holds one."""

    image: Blocks
    masks: tuple[Blocks, ...]

    def require_sound(self, raw: BinaryIO, needed: Needed) -> None:
        """Look at the blocks that a window needs; see `Blocks.require_sound`."""
        self.image.require_sound(raw, needed)
        for mask in self.masks:
            mask.require_sound(raw, replace(needed, bands=(1,)))


def layout_of(raw: BinaryIO, size: int) -> Layout:
    """Walk the directories of a TIFF of `size` bytes, of which `raw` may hold the beginning alone.

    Raises
    ------
    EOFError
        A directory or a block does not lie within the file.
    ValueError, struct.error
        They make no sense.
    """
    first, *others = directories(raw, size)
    require_consistent(first)
    image = _blocks(first, size)
    masks = [
        _blocks(tags, size)
        for tags in others
        if one(tags, _KIND, 0) == _MASK and all(one(tags, t, 0) == one(first, t, 0) for t in (_WIDTH, _HEIGHT))
    ]
    # how many strips there are tells the rows of one strip alone; a tile may be larger than the image
    unsure = image.per_column > 1 or _TILES[0] in first
    if image.compression == _LZW and unsure and 0 < image.sizes[0] <= _LONGEST_LOOKED_AT:
        _require_filled(raw, image)
    return Layout(image, tuple(masks))


def _require_filled(raw: BinaryIO, image: Blocks) -> None:
    # a wrong number of rows or columns of a block is found only by what is in one
    raw.seek(int(image.offsets[0]))
    held = lzw.length(raw.read(int(image.sizes[0])))
    if held is not None and held not in image.lengths(0):
        raise ValueError(f"the block at byte {int(image.offsets[0])} has {held} of {max(image.lengths(0))} bytes")


def _blocks(tags: Tags, size: int) -> Blocks:
    width, height = one(tags, _WIDTH, 0), one(tags, _HEIGHT, 0)
    if not width or not height:
        raise ValueError("its size is not told")
    tiled = _TILES[0] in tags
    nothing = np.empty(0, np.uint64)
    offsets, sizes = (tags.get(tag, nothing) for tag in (_TILES if tiled else _STRIPS))
    across, down = one(tags, _TILE_WIDTH, width), one(tags, _TILE_HEIGHT, 0)
    if not down:
        down = min(one(tags, _ROWS_A_STRIP, height), height)
    if not across or not down or (tiled and (across % 16 or down % 16)):
        raise ValueError(f"its blocks cannot be of {down} x {across} cells")
    per_row, per_column = -(-width // across), -(-height // down)
    samples = one(tags, _SAMPLES, 1)
    planes = samples if one(tags, _PLANES, 1) == 2 else 1
    wanted = per_row * per_column * planes
    if offsets.size != wanted or sizes.size != wanted:
        raise ValueError(f"it has {min(offsets.size, sizes.size)} of {wanted} blocks")
    _require_apart(offsets, sizes, size)
    bits = tags.get(_BITS, nothing)
    if bits.size != samples or np.unique(bits).size != 1:
        raise ValueError(f"its {samples} bands have numbers of {bits.tolist()} bits")
    return Blocks(
        offsets.astype(np.int64), sizes.astype(np.int64), across, down, per_row, per_row * per_column, height,
        int(bits[0]) * (1 if planes > 1 else samples), int(bits[0]), one(tags, _COMPRESSION, _PLAIN),
    )  # fmt: skip


def _require_apart(offsets: NDArray[np.uint64], sizes: NDArray[np.uint64], size: int) -> None:
    # a block that is left out has neither place nor size
    there = (offsets != 0) | (sizes != 0)
    starts, lengths = offsets[there], sizes[there]
    beyond = (starts > size) | (lengths > size)
    if beyond.any():
        raise EOFError(f"the block at byte {int(starts[beyond][0])} lies beyond its {size} bytes")
    order = np.argsort(starts, kind="stable")
    starts, lengths = starts[order], lengths[order]
    ends = starts + lengths
    wrong = (lengths == 0) | np.concatenate([starts[:1] == 0, starts[1:] < ends[:-1]])
    if wrong.any():
        raise ValueError(f"the block at byte {int(starts[wrong][0])} is not one")
    if ends.size and int(ends[-1]) > size:
        raise EOFError(f"{int(ends[-1]) - size} bytes are missing at its end")
