"""How arrays are cut and coded: chunks, shards, compression, fill values.

One year a chunk, so that a longer period appends without rewriting; 512 cells a side, or the block where that is
smaller. A store of very many chunks keeps them in shards, one file each; ``benchmarks/layout.py`` measures the cuts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nepcube import spec
from nepcube.errors import StoreError

CHUNK = 512
#: cells a side of a shard: sixteen chunks in one file of a few megabytes
SHARD = 2048
#: cells of a grid above which stores have shards: 1500 chunks a layer are 210,000 files in 20 years of seven variables
SHARDED_ABOVE = 1500 * CHUNK**2
#: steps of the time axis in one chunk: appending years rewrites this one small chunk
TIME_CHUNK = 1024


def chunk_side(block: int) -> int:
    """Give the side of a chunk for blocks of `block` cells, which must be whole chunks.

    Raises
    ------
    StoreError
        Blocks would cut chunks, and two writers could lose each other's data.
    """
    side = min(CHUNK, block)
    if block % side:
        raise StoreError(
            f"blocks: {block} cells would cut chunks of {side}.",
            f"Choose a multiple of {CHUNK}, or at most {CHUNK}.",
        )
    return side


@dataclass(frozen=True)
class Sides:
    """Cells a side of a chunk, and of a shard of whole chunks where there are shards."""

    chunk: int
    shard: int | None = None

    @property
    def unit(self) -> int:
        """Cells a side of what one task writes at once."""
        return self.shard or self.chunk

    def block(self, wanted: int, where: str) -> int:
        """Give the side of a block of whole units: at least a shard, where there are shards.

        Raises
        ------
        StoreError
            Blocks would cut chunks or shards of `where`.
        """
        if self.shard is not None and wanted < self.shard:
            return self.shard
        if wanted % self.unit:
            what = "chunks" if self.shard is None else "shards"
            raise StoreError(
                f"blocks: {wanted} cells would cut the {self.unit}-cell {what} of {where}.",
                f"Choose a multiple of {self.unit}.",
            )
        return wanted


def sides_for(shape: tuple[int, int], block: int) -> Sides:
    """Choose the sides for a grid.

    Whether there are shards depends on the grid alone: the store of a longer period is cut as a fresh one is.

    Raises
    ------
    StoreError
        Blocks would cut chunks, or chunks of this side do not fill a shard.
    """
    if shape[0] * shape[1] <= SHARDED_ABOVE:
        return Sides(chunk_side(block))
    side = min(CHUNK, block)
    if SHARD % side:
        raise StoreError(
            f"blocks: chunks of {side} cells do not fill the {SHARD}-cell shards of a grid of this size.",
            f"Choose 64, 128, 256 or 512, or a multiple of {SHARD}.",
        )
    return Sides(side, SHARD)


def sides_of(array: Mapping[str, Any]) -> Sides:
    """Read the sides from the metadata of an array."""
    unit = int(array["chunk_grid"]["configuration"]["chunk_shape"][-1])
    for codec in array["codecs"]:
        if codec["name"] == "sharding_indexed":
            return Sides(int(codec["configuration"]["chunk_shape"][-1]), unit)
    return Sides(unit)


@dataclass(frozen=True)
class Layout:
    """One array of a store: its name, type, attributes and whether it has a time axis."""

    name: str
    dtype: str
    attrs: dict[str, Any]
    yearly: bool

    @property
    def fill(self) -> Any:
        kind = np.dtype(self.dtype)
        if kind.kind == "f":
            return np.nan
        return spec.NOT_COVERED if kind == np.uint8 else 0


def compressors() -> Any:
    """Give the codec of every data array: Zstandard behind a bit shuffle.

    Productivity in steps of 0.1 becomes a tenth smaller than behind a byte shuffle at level 3, in a quarter the time.
    """
    from zarr.codecs import BloscCodec

    return [BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")]
