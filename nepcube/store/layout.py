"""How arrays are cut and coded: chunks, compression, fill values.

One year a chunk, so that a longer period appends without rewriting; 512 cells a side, or the block where that is
smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nepcube import spec
from nepcube.errors import StoreError

CHUNK = 512
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
