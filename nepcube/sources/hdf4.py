"""HDF4-EOS grids: the header, and one field as integers.

The HDF4 library is not thread-safe, so each call into it holds one lock of the process. A field that is one deflate
stream, as NASA writes them, is taken past the library: the stream is found through the data descriptors (HDF
Specification and Developer's Guide, 4.2, chapters 2, 9 and 10) and inflated without the interpreter's lock, and its
checksum is looked at, which the library does not do.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nepcube.errors import NepcubeError, SourceError
from nepcube.sources.eos import EosField, EosHeader, parse_grid
from nepcube.sources.files import damaged, require
from nepcube.sources.kept import Kept, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOCK = threading.Lock()
# a 2400 x 2400 int16 tile is 11.5 MB
_KEPT = Kept(6)

_TYPES = {20: "int8", 21: "uint8", 22: "int16", 23: "uint16", 24: "int32", 25: "uint32", 5: "float32", 6: "float64"}
_NDG, _SD, _COMPRESSED, _LINKED, _SPECIAL = 720, 702, 40, 20, 0x4000
_IS_LINKED, _IS_COMPRESSED, _DEFLATE = 1, 3, 4

Descriptors = dict[tuple[int, int], tuple[int, int]]


def read_header(path: str) -> EosHeader:
    """Read geometry and field attributes; the file's extents are checked first, so that a cut file is found here.

    Raises
    ------
    SourceError
        The file is not HDF4-EOS, or is cut off.
    """
    require(path, "HDF4")
    with open(path, "rb") as file:
        _descriptors(file, path)
    from pyhdf.SD import SD

    with _LOCK:
        # pyhdf trips over its own tables in many ways where the bytes of a header are wrong
        try:
            sd = SD(path)
            try:
                attributes = sd.attributes()
                fields = {}
                for name, info in sd.datasets().items():
                    field = sd.select(name)
                    fields[name] = EosField(
                        name,
                        tuple(int(n) for n in info[1]),
                        _TYPES.get(int(info[2]), f"type {info[2]}"),
                        field.attributes(),
                    )
                    field.endaccess()
            finally:
                sd.end()
        except Exception as error:
            raise damaged(path, error) from None
    if "StructMetadata.0" not in attributes:
        raise SourceError(f"{path}: HDF4 without the HDF-EOS geometry.", "Use the granule as the provider made it.")
    return EosHeader(parse_grid(str(attributes["StructMetadata.0"]), path), fields)


def _descriptors(file: BinaryIO, path: str) -> Descriptors:
    # where each object lies; the library itself notices a missing end only when the data are read
    size = os.fstat(file.fileno()).st_size
    found: Descriptors = {}
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
        for tag, ref, offset, length in struct.iter_unpack(">HHii", entries):
            if tag > 1 and offset > 0 and length > 0:
                if offset + length > size:
                    raise damaged(path, EOFError(f"{offset + length - size} bytes are missing at its end"))
                found[tag, ref] = (offset, length)
        block = following
    return found


def read_field(path: str, field: str) -> NDArray[Any]:
    """Read one two-dimensional field as the integers that the file holds.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    return _KEPT.get((path, field, stamp(path)), lambda: _read_field(path, field))


def _read_field(path: str, field: str) -> NDArray[Any]:
    from pyhdf.SD import SD

    try:
        with _LOCK:
            sd = SD(path)
            try:
                sds = sd.select(field)
                _, _, shape, kind, _ = sds.info()
                inflated = kind in _TYPES and _is_deflated(path, int(sds.ref()))
                out = None if inflated else np.asarray(sds.get())
                ref = int(sds.ref())
                sds.endaccess()
            finally:
                sd.end()
        if out is None:
            out = _inflate(path, ref, np.dtype(_TYPES[kind]), tuple(int(n) for n in np.atleast_1d(shape)))
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
    return out


def _is_deflated(path: str, ref: int) -> bool:
    with open(path, "rb") as file:
        return _compression(file, _descriptors(file, path), ref) is not None


def _compression(file: BinaryIO, where: Descriptors, ref: int) -> int | None:
    # the reference of a field's deflate stream, or None where it is stored in another way
    if (_NDG, ref) not in where:
        return None
    members = struct.iter_unpack(">HH", _bytes(file, where[_NDG, ref]))
    data = [member for tag, member in members if tag == _SD]
    if len(data) != 1 or (_SPECIAL | _SD, data[0]) not in where:
        return None
    head = _bytes(file, where[_SPECIAL | _SD, data[0]])
    if len(head) < 14:
        return None
    code, _, _, stream, model, coder = struct.unpack(">hhiHHH", head[:14])
    return int(stream) if (code, model, coder) == (_IS_COMPRESSED, 0, _DEFLATE) else None


def _inflate(path: str, ref: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    with open(path, "rb") as file:
        where = _descriptors(file, path)
        packed = _element(file, where, int(_compression(file, where, ref) or 0))
    wanted = dtype.itemsize * int(np.prod(shape))
    inflater = zlib.decompressobj()
    plain = inflater.decompress(packed, wanted + 1)
    if not inflater.eof or len(plain) != wanted:
        raise ValueError(f"a field of {wanted} bytes has {len(plain)}")
    # HDF4 keeps numbers big-endian
    return np.frombuffer(plain, dtype.newbyteorder(">")).reshape(shape).astype(dtype)


def _element(file: BinaryIO, where: Descriptors, ref: int) -> bytes:
    if (_COMPRESSED, ref) in where:
        return _bytes(file, where[_COMPRESSED, ref])
    code, length, _, count, table = struct.unpack(">hiiiH", _bytes(file, where[_SPECIAL | _COMPRESSED, ref])[:16])
    if code != _IS_LINKED or not 0 < count < 1 << 16:
        raise ValueError("a deflate stream is stored in a way that is not known")
    parts: list[bytes] = []
    seen: set[int] = set()
    while table and table not in seen:
        seen.add(table)
        row = struct.unpack(f">{count + 1}H", _bytes(file, where[_LINKED, table])[: 2 * count + 2])
        table = row[0]
        parts += [_bytes(file, where[_LINKED, block]) for block in row[1:] if block]
    stream = b"".join(parts)
    if len(stream) < length:
        raise ValueError(f"a deflate stream of {length} bytes has {len(stream)}")
    return stream[:length]


def _bytes(file: BinaryIO, at: tuple[int, int]) -> bytes:
    file.seek(at[0])
    return file.read(at[1])
