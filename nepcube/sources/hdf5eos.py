"""HDF5-EOS grids as the VIIRS land products have them, and windows of any HDF5 dataset as the numbers it holds.

HDF5 reads a chunk that the search in its index does not find as fill values, and one whose filter bit is set as bytes
that need no inflating; neither is said. So the index is walked, and chunks that are plain, shuffled or deflated, as
NASA's are, are taken from the file and inflated here, which needs no lock either. h5py's iterators hold its lock until
they end, and an error would leave them and it to the garbage collector: names are listed first, too.
"""

from __future__ import annotations

import itertools
import math
import os
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.eos import EosField, EosHeader, parse_grid
from nepcube.sources.fetched import local
from nepcube.sources.files import border, damaged, require
from nepcube.sources.hdf5 import index_of, require_sound_heaps
from nepcube.sources.kept import Kept, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRIDS, _STRUCTURE = "HDFEOS/GRIDS", "HDFEOS INFORMATION/StructMetadata.0"
_KEPT = Kept(72 << 20)
# the numbers of HDF5's filters
_DEFLATE, _SHUFFLE = 1, 2


def read_header(path: str) -> EosHeader:
    """Read geometry and field attributes.

    Raises
    ------
    SourceError
        The file is not HDF5-EOS, is damaged or cut off.
    """
    require(path, "HDF5")
    import h5py

    fields: dict[str, EosField] = {}
    require_sound_heaps(path)
    with border(path), h5py.File(local(path), "r") as file:
        if _GRIDS not in file or _STRUCTURE not in file:
            text = None
        else:
            text = _text(file[_STRUCTURE][()])
            for grid in list(file[_GRIDS]):
                place = f"/{_GRIDS}/{grid}/Data Fields"
                for name in list(file[place]) if place in file else []:
                    dataset = file[place][name]
                    require_whole(dataset, path)
                    fields[name] = EosField(dataset.name, dataset.shape, str(dataset.dtype), attributes(dataset))
    if text is None:
        raise SourceError(
            f"{path}: HDF5 without the HDF-EOS grid ({_GRIDS} and {_STRUCTURE}).",
            "Use the granule as the provider made it.",
        )
    return EosHeader(parse_grid(text, path), fields)


def attributes(dataset: Any) -> dict[str, Any]:
    """Give the attributes of a dataset: text as str, a single number as a number."""
    return {str(key): _plain(dataset.attrs[key]) for key in list(dataset.attrs) if key != "DIMENSION_LIST"}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | np.bytes_ | str):
        return _text(value)
    if isinstance(value, np.ndarray):
        if value.size == 1:
            return _plain(value.reshape(-1)[0])
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text.rstrip("\0")


def require_whole(dataset: Any, path: str) -> None:
    """Refuse a chunked dataset whose index does not name every chunk once, filtered as the others are.

    Raises
    ------
    SourceError
    """
    if dataset.chunks is None:
        return
    index = index_of(dataset, os.path.getsize(local(path)))
    if index.there < index.wanted:
        missing = index.wanted - index.there
        raise damaged(path, ValueError(f"{missing} of {index.wanted} chunks of {dataset.name} are not there"))
    if not index.whole:
        raise damaged(path, ValueError(f"the index of the chunks of {dataset.name} is wrong"))


def read_window(path: str, place: str, window: tuple[int | slice, ...]) -> NDArray[Any]:
    """Read a window of a dataset as the numbers that the file holds, neither masked nor scaled.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    spans = tuple((w.start, w.stop) if isinstance(w, slice) else w for w in window)
    return _KEPT.get((path, place, spans, stamp(path)), lambda: _read_window(path, place, window))


def _read_window(path: str, place: str, window: tuple[int | slice, ...]) -> NDArray[Any]:
    import h5py

    with border(path):
        with h5py.File(local(path), "r") as file:
            dataset = file[place]
            filters = _filters(dataset)
            if dataset.chunks is None or filters is None or file.userblock_size:
                return np.asarray(dataset[window])
            found: list[Any] = []
            dataset.id.chunk_iter(found.append)
            index = {chunk.chunk_offset: chunk for chunk in found}
            chunks, dtype = dataset.chunks, dataset.dtype
        spans = tuple(w if isinstance(w, slice) else slice(w, w + 1) for w in window)
        out = np.empty([s.stop - s.start for s in spans], dtype)
        steps = (range(s.start // c * c, s.stop, c) for s, c in zip(spans, chunks, strict=True))
        with open(local(path), "rb") as raw:
            for corner in itertools.product(*steps):
                chunk = index[corner]
                raw.seek(chunk.byte_offset)
                block = _decode(raw.read(chunk.size), chunk.filter_mask, filters, chunks, dtype)
                inner, outer = [], []
                for s, at, c in zip(spans, corner, chunks, strict=True):
                    first, last = max(s.start, at), min(s.stop, at + c)
                    inner.append(slice(first - at, last - at))
                    outer.append(slice(first - s.start, last - s.start))
                out[tuple(outer)] = block[tuple(inner)]
        return out[tuple(0 if not isinstance(w, slice) else slice(None) for w in window)]


def _filters(dataset: Any) -> tuple[int, ...] | None:
    # the filters in the order of writing, or None where one is left to the library
    plan = dataset.id.get_create_plist()
    codes = tuple(int(plan.get_filter(k)[0]) for k in range(plan.get_nfilters()))
    return codes if set(codes) <= {_DEFLATE, _SHUFFLE} else None


def _decode(
    data: bytes, mask: int, filters: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[Any]:
    length = math.prod(chunks) * dtype.itemsize
    for k, code in reversed([*enumerate(filters)]):
        if mask >> k & 1:
            continue
        if code == _DEFLATE:
            inflater = zlib.decompressobj()
            data = inflater.decompress(data, length + 1)
            # the checksum is looked at where the stream ends
            if not inflater.eof:
                raise ValueError(f"a chunk of {length} bytes does not end")
        elif len(data) == length:
            data = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    if len(data) != length:
        raise ValueError(f"a chunk of {length} bytes has {len(data)}")
    return np.frombuffer(data, dtype).reshape(chunks)
