"""What the directories of a TIFF say, and whether it can be: types, counts, and what one tag needs of another.

GDAL leaves a tag out, with a warning at most, that it does not know, whose type or count is wrong, or whose value is
cut off, and goes on with what the tag's absence means: a predictor that was not applied, a place at the origin, another
kind of numbers. So each tag is held against TIFF 6.0, its supplements and the GeoTIFF standard.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# bytes of each type of a tag's value, and how `struct` calls the numbers
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NUMBERS = {1: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}
_WHOLE, _TEXT, _RATIO, _REAL, _BYTES = {1, 3, 4, 13, 16, 18}, {2}, {5, 10}, {12}, {1, 7}
#: from here on tags are private, and any may stand in a file
_PRIVATE = 32768
_OF_TYPES = (
    # sizes, compression, places of blocks, kinds of numbers, and what else is told by whole numbers
    (_WHOLE, (254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 288, 289,
              290, 291, 292, 293, 296, 297, 301, 317, 320, 321, 322, 323, 324, 325, 326, 327, 328, 330, 332, 334, 336,
              338, 339, 342, 512, 513, 514, 515, 517, 518, 519, 520, 521, 530, 531, 34735)),
    (_TEXT, (269, 270, 271, 272, 285, 305, 306, 315, 316, 333, 337, 34737, 42112, 42113)),
    (_RATIO, (282, 283, 286, 287, 318, 319, 529, 532)),
    (_REAL, (33550, 33922, 34264, 34736)),
    (_BYTES, (347, 700)),
    (set(_SIZES), (340, 341)),
)  # fmt: skip
_TYPES = {tag: types for types, tags in _OF_TYPES for tag in tags}
_SAMPLES, _EXTRA, _FORMAT, _PREDICTOR, _FILL_ORDER, _CELL, _TIEPOINT = 277, 338, 339, 317, 266, 33550, 33922
_SINGLE = (256, 257, 259, 262, _FILL_ORDER, _SAMPLES, 278, 284, _PREDICTOR, 322, 323)

Tags = dict[int, "NDArray[Any]"]


def directories(raw: BinaryIO, size: int) -> list[Tags]:
    """Give the tags of each directory: their numbers, none of those that are text or ratios.

    Raises
    ------
    EOFError
        A directory or the value of a tag does not lie within the file.
    ValueError, struct.error
        They make no sense.
    """
    out: list[Tags] = []
    head = _take(raw, 0, min(size, 16), size)
    order: Literal["<", ">"] = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    entry, word, step = (f"{order}HHQ8s", f"{order}Q", 20) if big else (f"{order}HHI4s", f"{order}I", 12)
    at, seen = struct.unpack_from(word, head, 8 if big else 4)[0], set[int]()
    while at and at not in seen:
        seen.add(at)
        count = struct.unpack(order + ("Q" if big else "H"), _take(raw, at, 8 if big else 2, size))[0]
        table = _take(raw, at + (8 if big else 2), count * step + struct.calcsize(word), size)
        tags: Tags = {}
        last = 0
        for tag, kind, number, value in struct.iter_unpack(entry, table[: count * step]):
            if tag <= last:
                raise ValueError("the tags of a directory are not in order")
            if kind not in _SIZES or kind not in _TYPES.get(tag, _SIZES if tag >= _PRIVATE else ()):
                raise ValueError(f"its tag {tag} is not known, or is not of the type {kind}")
            last = tag
            length = _SIZES[kind] * number
            if length > len(value):
                value = _take(raw, struct.unpack(word, value)[0], length, size)
            dtype = np.dtype(_NUMBERS.get(kind, "B")).newbyteorder(order)
            found = np.frombuffer(value[:length] if kind in _NUMBERS else b"", dtype)
            tags[tag] = found.astype(np.uint64) if dtype.kind == "u" else found
        out.append(tags)
        at = struct.unpack(word, table[count * step :])[0]
    if not out:
        raise ValueError("it has no directory")
    return out


def _take(raw: BinaryIO, at: int, length: int, size: int) -> bytes:
    if at + length > size:
        raise EOFError(f"{at + length - size} bytes are missing at its end")
    raw.seek(at)
    out = raw.read(length)
    if len(out) < length:
        raise EOFError(f"{length - len(out)} bytes at {at} cannot be read")
    return out


def one(tags: Tags, tag: int, otherwise: int) -> int:
    """Give the first number of a tag."""
    values = tags.get(tag)
    return otherwise if values is None or not values.size else int(values[0])


def require_consistent(tags: Tags) -> None:
    """Look whether the counts of a directory fit, and whether what belongs together is there.

    Raises
    ------
    ValueError
    """
    for tag in _SINGLE:
        if tag in tags and tags[tag].size != 1:
            raise ValueError(f"its tag {tag} has {tags[tag].size} numbers, not one")
    samples = one(tags, _SAMPLES, 1)
    formats = tags.get(_FORMAT)
    if formats is not None and (formats.size < samples or np.unique(formats).size != 1):
        raise ValueError(f"its {samples} bands have numbers of the kinds {formats.tolist()}")
    if _EXTRA in tags and tags[_EXTRA].size >= samples:
        raise ValueError(f"{tags[_EXTRA].size} of its {samples} bands are said to be beside the image")
    if one(tags, _PREDICTOR, 1) not in (1, 2, 3) or one(tags, _FILL_ORDER, 1) != 1:
        raise ValueError("its bits stand in an order that is not known")
    place = tags.get(_TIEPOINT)
    if _CELL in tags and (tags[_CELL].size < 2 or place is None or not place.size or place.size % 6):
        raise ValueError("it says how large its cells are, and not where they lie")
