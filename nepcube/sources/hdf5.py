"""What the HDF5 library does not look at in a damaged file: chunks that are not there, and heaps without an end.

HDF5 reads a chunk that its index does not hold as missing data, without a word; and it goes round for ever in a global
heap (the strings of attributes) whose free space has no size.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

from nepcube.sources.files import damaged

_HEAP = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
#: heaps lie among the headers, at the beginning of a file or at its end
_SEARCHED = 2**20


def require_sound_heaps(path: str) -> None:
    """Walk the global heaps that lie near the ends of a file.

    Raises
    ------
    SourceError
        One of them has no end.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for start in sorted({0, max(0, size - _SEARCHED)}):
            file.seek(start)
            data = file.read(_SEARCHED)
            at = data.find(b"GCOL")
            while at >= 0:
                _walk(data, at, path)
                at = data.find(b"GCOL", at + 4)


def _walk(data: bytes, at: int, path: str) -> None:
    if at + _HEAP.size > len(data):
        return
    _, version, length = _HEAP.unpack_from(data, at)
    if version != 1 or at + length > len(data):
        # no heap, or one that reaches out of what was read: the library refuses the first
        return
    end, at = at + length, at + _HEAP.size
    while at + _OBJECT.size <= end:
        index, _, size = _OBJECT.unpack_from(data, at)
        step = size if index == 0 else _OBJECT.size + (size + 7) // 8 * 8
        if step < _OBJECT.size:
            raise damaged(path, ValueError("a heap of its attributes has no end"))
        at += step


def require_all_chunks(path: str, names: Iterable[str]) -> None:
    """Look whether the index of each variable holds every chunk, each once and in the file.

    Raises
    ------
    SourceError
        Chunks are missing: HDF5 would give missing data in their place.
    """
    import h5py

    size = os.path.getsize(path)
    with h5py.File(path, "r") as file:
        for name in names:
            variable = file.get(name)
            if isinstance(variable, h5py.Dataset) and variable.size:
                _require_stored(variable, name, path, size)


def _require_stored(variable: Any, name: str, path: str, size: int) -> None:
    if variable.chunks is None:
        if variable.id.get_offset() is None and variable.id.get_storage_size() < variable.nbytes:
            raise damaged(path, ValueError(f"{name} holds no data"))
        return
    wanted = int(np.prod([-(-n // c) for n, c in zip(variable.shape, variable.chunks, strict=True)]))
    raw = int(np.prod(variable.chunks)) * variable.dtype.itemsize
    places: set[tuple[int, ...]] = set()
    extents: list[tuple[int, int]] = []

    def look(chunk: Any) -> None:
        offset = tuple(chunk.chunk_offset)
        fits = all(0 <= o < n and o % c == 0 for o, n, c in zip(offset, variable.shape, variable.chunks, strict=True))
        # a filter may be left out where it would not have made the chunk smaller
        plain = chunk.filter_mask == 0 or chunk.size >= raw
        if fits and plain and chunk.byte_offset + chunk.size <= size:
            places.add(offset)
            extents.append((chunk.byte_offset, chunk.byte_offset + chunk.size))

    variable.id.chunk_iter(look)
    extents.sort()
    if len(places) < wanted or len(extents) > wanted or any(end > start for (_, end), (start, _) in pairwise(extents)):
        raise damaged(
            path, ValueError(f"{name} has {wanted} chunks, the file's index has {len(places)} in their place")
        )
