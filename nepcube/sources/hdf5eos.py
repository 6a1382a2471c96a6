"""HDF5-EOS grids as the VIIRS land products have them, and windows of any HDF5 dataset as the numbers it holds.

HDF5 reads a chunk that its index has lost as fill values, and a chunk whose filter bit is set as bytes that need no
inflating. Neither is said when the data are read, so the index is looked at first. h5py's iterators hold its lock until
they end, and an error would leave them and it to the garbage collector: names are listed first, too.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import NepcubeError, SourceError
from nepcube.sources.eos import EosField, EosHeader, parse_grid
from nepcube.sources.files import damaged, require
from nepcube.sources.kept import Kept, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRIDS, _STRUCTURE = "HDFEOS/GRIDS", "HDFEOS INFORMATION/StructMetadata.0"
_KEPT = Kept(8)


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
    # h5py raises OSError, KeyError, RuntimeError, ValueError and more, depending on which byte is wrong
    try:
        with h5py.File(path, "r") as file:
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
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
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
    wanted = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
    size, chunks = os.path.getsize(path), list[Any]()
    dataset.id.chunk_iter(chunks.append)
    for chunk in chunks:
        if chunk.byte_offset + chunk.size > size or not _is_filtered(chunk, dataset):
            raise damaged(path, ValueError(f"the index of the chunks of {dataset.name} is wrong"))
    there = len({chunk.chunk_offset for chunk in chunks} & {*_corners(dataset)})
    if there != wanted or len({chunk.byte_offset for chunk in chunks}) != wanted:
        raise damaged(path, ValueError(f"{wanted - there} of {wanted} chunks of {dataset.name} are not there"))


def _corners(dataset: Any, window: tuple[slice, ...] | None = None) -> Iterator[tuple[int, ...]]:
    window = window or tuple(slice(0, n) for n in dataset.shape)
    return itertools.product(*(range(w.start // c * c, w.stop, c) for w, c in zip(window, dataset.chunks, strict=True)))


def _is_filtered(chunk: Any, dataset: Any) -> bool:
    # what deflate cannot shorten is kept as it is, and then has its full length
    return not chunk.filter_mask or chunk.size == math.prod(dataset.chunks) * dataset.dtype.itemsize


def _require_found(dataset: Any, window: tuple[int | slice, ...]) -> None:
    # the search in an index and the walk over it go different ways
    if dataset.chunks is None:
        return
    spans = tuple(w if isinstance(w, slice) else slice(w, w + 1) for w in window)
    for corner in _corners(dataset, spans):
        chunk = dataset.id.get_chunk_info_by_coord(corner)
        if not chunk.byte_offset or not chunk.size or chunk.chunk_offset != corner or not _is_filtered(chunk, dataset):
            raise ValueError(f"the chunk {corner} of {dataset.name} is not found")


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

    try:
        with h5py.File(path, "r") as file:
            dataset = file[place]
            _require_found(dataset, window)
            return np.asarray(dataset[window])
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
