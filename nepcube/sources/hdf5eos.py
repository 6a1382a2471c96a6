"""HDF5-EOS grids as the VIIRS land products have them, and windows of any HDF5 dataset as the numbers it holds.

HDF5 reads a chunk that its index has lost as fill values, and a chunk whose filter bit is set as bytes that need no
inflating. Neither is said when the data are read, so the index is looked at first.
"""

from __future__ import annotations

import math
import os
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

    # h5py raises OSError, KeyError, RuntimeError, ValueError and more, depending on which byte is wrong
    try:
        with h5py.File(path, "r") as file:
            if _GRIDS not in file or _STRUCTURE not in file:
                text, fields = None, {}
            else:
                text = _text(file[_STRUCTURE][()])
                fields = {
                    name: EosField(dataset.name, dataset.shape, str(dataset.dtype), attributes(dataset))
                    for grid in file[_GRIDS].values()
                    for name, dataset in grid.get("Data Fields", {}).items()
                }
                for field in fields.values():
                    require_whole(file[field.place], path)
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
    return {str(key): _plain(value) for key, value in dataset.attrs.items() if key != "DIMENSION_LIST"}


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
    size = os.path.getsize(path)
    places, extents = set(), set()

    def see(info: Any) -> None:
        within = all(
            0 <= o < n and o % c == 0 for o, n, c in zip(info.chunk_offset, dataset.shape, dataset.chunks, strict=True)
        )
        if not within or info.byte_offset + info.size > size or info.filter_mask:
            raise ValueError(f"the index of the chunks of {dataset.name} is wrong")
        places.add(info.chunk_offset)
        extents.add(info.byte_offset)

    dataset.id.chunk_iter(see)
    if len(places) != wanted or len(extents) != wanted:
        raise damaged(path, ValueError(f"{wanted - len(places)} of {wanted} chunks of {dataset.name} are not there"))


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
            require_whole(dataset, path)
            return np.asarray(dataset[window])
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
