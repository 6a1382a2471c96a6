"""HDF4-EOS grids: the header, the geometry in ``StructMetadata.0``, and one field as integers.

HDF4 is not thread-safe, so each call into it holds one lock of the process.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.files import damaged, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOCK = threading.Lock()
# decoded fields kept for the next block: a 2400 x 2400 int16 tile is 11.5 MB
_KEPT = 6


@dataclass(frozen=True)
class EosGrid:
    """The geometry of an HDF-EOS grid: its name, its size and its outer corners in metres."""

    name: str
    rows: int
    columns: int
    left: float
    top: float
    right: float
    bottom: float
    projection: str


@dataclass(frozen=True)
class EosHeader:
    """What the header of an HDF4-EOS file says."""

    grid: EosGrid
    fields: dict[str, dict[str, Any]]
    shapes: dict[str, tuple[int, ...]]


def read_header(path: str) -> EosHeader:
    """Read geometry and field attributes; the file's extents are checked first, so that a cut file is found here.

    Raises
    ------
    SourceError
        The file is not HDF4-EOS, or is cut off.
    """
    require(path, "HDF4")
    _require_whole(path)
    from pyhdf.error import HDF4Error
    from pyhdf.SD import SD

    with _LOCK:
        try:
            file = SD(path)
            try:
                attributes = file.attributes()
                sets = file.datasets()
                fields = {name: file.select(name).attributes() for name in sets}
                shapes = {name: tuple(int(n) for n in info[1]) for name, info in sets.items()}
            finally:
                file.end()
        except (HDF4Error, IndexError, KeyError, ValueError, TypeError) as error:
            # pyhdf trips over its own tables where the bytes of a header are wrong
            raise damaged(path, error) from None
    if "StructMetadata.0" not in attributes:
        raise SourceError(f"{path}: HDF4 without the HDF-EOS geometry.", "Use the granule as the provider made it.")
    return EosHeader(_parse_grid(str(attributes["StructMetadata.0"]), path), fields, shapes)


def _parse_grid(text: str, path: str) -> EosGrid:
    def one(pattern: str) -> re.Match[str]:
        match = re.search(pattern, text)
        if match is None:
            raise SourceError(
                f"{path}: StructMetadata.0 lacks {pattern.partition('=')[0]}.",
                "Use the granule as the provider made it.",
            )
        return match

    pair = r"=\(\s*([-+0-9.eE]+)\s*,\s*([-+0-9.eE]+)\s*\)"
    upper, lower = one("UpperLeftPointMtrs" + pair), one("LowerRightMtrs" + pair)
    return EosGrid(
        name=one(r'GridName="([^"]+)"').group(1),
        rows=int(one(r"YDim=(\d+)").group(1)),
        columns=int(one(r"XDim=(\d+)").group(1)),
        left=float(upper.group(1)),
        top=float(upper.group(2)),
        right=float(lower.group(1)),
        bottom=float(lower.group(2)),
        projection=one(r"Projection=(\w+)").group(1),
    )


def _require_whole(path: str) -> None:
    # The data descriptors of HDF4 say where each object lies (HDF4 Specification, chapter 3); the library itself
    # notices a missing end only when the data are read.
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        block = 4
        seen: set[int] = set()
        while block and block not in seen:
            seen.add(block)
            file.seek(block)
            head = file.read(6)
            if len(head) < 6:
                raise damaged(path, EOFError(f"a descriptor block at byte {block} is missing"))
            count, following = struct.unpack(">hi", head)
            if count <= 0 or following < 0:
                raise damaged(path, ValueError(f"the descriptor block at byte {block} is not one"))
            entries = file.read(12 * count)
            if len(entries) < 12 * count:
                raise damaged(path, EOFError(f"the descriptor block at byte {block} is incomplete"))
            for tag, _, offset, length in struct.iter_unpack(">HHii", entries):
                if tag > 1 and offset > 0 and length > 0 and offset + length > size:
                    raise damaged(path, EOFError(f"{offset + length - size} bytes are missing at its end"))
            block = following


def read_field(path: str, field: str) -> NDArray[Any]:
    """Read one two-dimensional field as the integers that the file holds."""
    return _read_field(path, field, os.stat(path).st_mtime_ns)


@lru_cache(maxsize=_KEPT)
def _read_field(path: str, field: str, _mtime: int) -> NDArray[Any]:
    from pyhdf.error import HDF4Error
    from pyhdf.SD import SD

    with _LOCK:
        try:
            file = SD(path)
            try:
                out = np.asarray(file.select(field).get())
            finally:
                file.end()
        except (HDF4Error, IndexError, KeyError, ValueError, TypeError) as error:
            raise damaged(path, error) from None
    out.setflags(write=False)
    return out
