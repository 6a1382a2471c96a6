"""What the HDF5 library does not look at in a damaged file: chunks that are not there, and heaps without an end.

HDF5 reads a chunk that its index does not hold as missing data, without a word; and it goes round for ever in a global
heap (the strings of attributes) whose free space has no size.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

from nepcube.sources.fetched import local
from nepcube.sources.files import damaged

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HEAP = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")
# filters that are never left out, by their numbers: the order of bytes, and the checksum
_SHUFFLE, _CHECKSUM = 2, 3
_ALWAYS = (_SHUFFLE, _CHECKSUM)
#: heaps lie among the headers, at the beginning of a file or at its end
_SEARCHED = 2**20


def require_sound_heaps(path: str) -> None:
    """Walk the global heaps that lie near the ends of a file.

    Raises
    ------
    SourceError
        One of them has no end.
    """
    size = os.path.getsize(local(path))
    with open(local(path), "rb") as file:
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


def require_headers(path: str) -> None:
    """Read what every variable says of itself, before h5netcdf does: where that fails, it leaves a traceback behind.

    Raises
    ------
    OSError, RuntimeError, KeyError, ValueError
        As h5py says it.
    """
    import h5py

    with h5py.File(local(path), "r") as file:
        for item in file.values():
            if isinstance(item, h5py.Dataset):
                dict(item.attrs)
                _ = item.dtype, item.maxshape, [[scale.name for scale in dim.values()] for dim in item.dims]


def require_all_chunks(path: str, names: Iterable[str]) -> None:
    """Look whether the index of each variable holds every chunk, each once and in the file.

    Raises
    ------
    SourceError
        Chunks are missing: HDF5 would give missing data in their place.
    """
    import h5py

    size = os.path.getsize(local(path))
    with h5py.File(local(path), "r") as file:
        for name in names:
            variable = file.get(name)
            if isinstance(variable, h5py.Dataset) and variable.size:
                _require_stored(variable, name, path, size)


def _require_stored(variable: Any, name: str, path: str, size: int) -> None:
    if variable.chunks is None:
        if variable.id.get_offset() is None and variable.id.get_storage_size() < variable.nbytes:
            raise damaged(path, ValueError(f"{name} holds no data"))
        return
    index = index_of(variable, size)
    if not index.whole:
        raise damaged(
            path, ValueError(f"{name} has {index.wanted} chunks, the file's index has {index.there} in their place")
        )


@dataclass(frozen=True)
class Index:
    """How many chunks a variable has, how many its index holds in their place, and whether it is just these."""

    wanted: int
    there: int
    whole: bool


def index_of(variable: Any, size: int) -> Index:
    """Walk the index of a chunked variable of a file of `size` bytes.

    A chunk is in its place where it lies in the file, begins where one begins, and is filtered as the others are. The
    index is whole where each chunk stands in it once, none lies over another, and nothing else stands in it.
    """
    wanted = math.prod(-(-n // c) for n, c in zip(variable.shape, variable.chunks, strict=True))
    raw = math.prod(variable.chunks) * variable.dtype.itemsize
    plan = variable.id.get_create_plist()
    codes = [plan.get_filter(k)[0] for k in range(plan.get_nfilters())]
    skippable = sum(1 << k for k, code in enumerate(codes) if code not in _ALWAYS)
    raw += 4 * (_CHECKSUM in codes)
    found: list[Any] = []
    # h5py's iterator holds its lock until it ends: nothing that can fail happens in it
    variable.id.chunk_iter(found.append)
    places: set[tuple[int, ...]] = set()
    extents: list[tuple[int, int]] = []
    for chunk in found:
        offset = tuple(chunk.chunk_offset)
        fits = all(0 <= o < n and o % c == 0 for o, n, c in zip(offset, variable.shape, variable.chunks, strict=True))
        # compression may be left out where it would not have made the chunk smaller
        plain = chunk.filter_mask == 0 or (chunk.filter_mask & ~skippable == 0 and chunk.size == raw)
        if fits and plain and chunk.byte_offset + chunk.size <= size:
            places.add(offset)
            extents.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
    extents.sort()
    apart = all(end <= start for (_, end), (start, _) in pairwise(extents))
    return Index(wanted, len(places), apart and len(places) == len(found) == wanted)


def require_found(path: str, name: str, key: Sequence[slice | int], values: NDArray[Any]) -> None:
    """Look up the chunks that gave one number alone, as a read does: what an index does not find reads as a fill value.

    Raises
    ------
    RuntimeError
        As h5py says it.
    """
    import h5py

    if not all(isinstance(k, slice) and k.step in (None, 1) for k in key):
        return
    with h5py.File(local(path), "r") as file:
        variable = file[name]
        if variable.chunks is None:
            return
        windows = [k.indices(n)[:2] for k, n in zip(key, variable.shape, strict=True) if isinstance(k, slice)]
        starts = [range(a // c * c, b, c) for (a, b), c in zip(windows, variable.chunks, strict=True)]
        for offset in product(*starts):
            inside = tuple(
                slice(max(o - a, 0), o + c - a) for o, c, (a, _) in zip(offset, variable.chunks, windows, strict=True)
            )
            if _is_constant(values[inside]):
                variable.id.read_direct_chunk(offset)


def _is_constant(values: NDArray[Any]) -> bool:
    first, last = values[(0,) * values.ndim], values[(-1,) * values.ndim]
    # most chunks are told by their ends
    if first != last and not (first != first and last != last):
        return False
    return bool((values == first).all() or (first != first and (values != values).all()))
