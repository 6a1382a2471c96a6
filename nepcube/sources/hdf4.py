"""HDF4-EOS grids: the header, and one field as integers.

The HDF4 library is not thread-safe, holds the interpreter's lock, looks at no checksum, and a damaged header makes it
write where it may not, which ends the process. What NASA's granules are made of is little, so it is read here: data
descriptors, the groups and records of the SD interface, linked blocks, and fields that are plain or one deflate stream
(HDF Specification and Developer's Guide, 4.2). Fields that are kept in another way, in chunks for example, are left to
the library, under one lock of the process.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.eos import EosField, EosHeader, parse_grid
from nepcube.sources.fetched import local
from nepcube.sources.files import border, require
from nepcube.sources.kept import Kept, stamp

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOCK = threading.Lock()
# six tiles of 2400 x 2400 int16
_KEPT = Kept(72 << 20)

_TYPES = {
    3: "u1", 4: "S1", 5: "f4", 6: "f8", 20: "i1", 21: "u1", 22: "i2", 23: "u2", 24: "i4", 25: "u4",
}  # fmt: skip
_CHAR = (3, 4)
_NUMBER_TYPE, _DIMENSIONS, _DATA, _FIELD = 106, 701, 702, 720
_RECORD_HEAD, _RECORD, _GROUP = 1962, 1963, 1965
_COMPRESSED, _LINKED, _SPECIAL = 40, 20, 0x4000
_IS_LINKED, _IS_COMPRESSED, _DEFLATE = 1, 3, 4
_ORDERS = {1: ">", 4: "<"}


@dataclass(frozen=True)
class _Group:
    name: str
    kind: str
    members: tuple[tuple[int, int], ...]


class _File:
    """The objects of an open HDF4 file, by tag and reference."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = os.fstat(file.fileno()).st_size
        self.where: dict[tuple[int, int], tuple[int, int]] = {}
        block = 4
        seen: set[int] = set()
        while block and block not in seen:
            seen.add(block)
            file.seek(block)
            head = file.read(6)
            if len(head) < 6:
                raise EOFError(f"a descriptor block at byte {block} is missing")
            count, following = struct.unpack(">hi", head)
            if count <= 0 or following < 0:
                raise ValueError(f"the descriptor block at byte {block} is not one")
            entries = file.read(12 * count)
            if len(entries) < 12 * count:
                raise EOFError(f"the descriptor block at byte {block} is incomplete")
            for tag, ref, offset, length in struct.iter_unpack(">HHii", entries):
                if tag > 1 and offset > 0 and length > 0:
                    if offset + length > self.size:
                        raise EOFError(f"{offset + length - self.size} bytes are missing at its end")
                    if (tag, ref) in self.where:
                        raise ValueError(f"it has two objects {tag}/{ref}")
                    self.where[tag, ref] = (offset, length)
            block = following

    def take(self, tag: int, ref: int) -> bytes:
        """Read an object, whole or in linked blocks."""
        if (tag, ref) in self.where:
            return self._read(tag, ref)
        head = self._read(_SPECIAL | tag, ref)
        code, length, _, count, table = struct.unpack(">hiiiH", head[:16])
        if code != _IS_LINKED or not 0 < count < 1 << 16 or length < 0:
            raise ValueError(f"the object {tag}/{ref} is kept in a way that is not known")
        parts: list[bytes] = []
        seen: set[int] = set()
        while table and table not in seen:
            seen.add(table)
            row = struct.unpack(f">{count + 1}H", self._read(_LINKED, table)[: 2 * count + 2])
            table = row[0]
            parts += [self._read(_LINKED, block) for block in row[1:] if block]
        stream = b"".join(parts)
        if len(stream) < length:
            raise ValueError(f"the object {tag}/{ref} of {length} bytes has {len(stream)}")
        return stream[:length]

    def _read(self, tag: int, ref: int) -> bytes:
        if (tag, ref) not in self.where:
            raise ValueError(f"the object {tag}/{ref} is not there")
        offset, length = self.where[tag, ref]
        self.file.seek(offset)
        return self.file.read(length)

    def groups(self) -> list[_Group]:
        """Give the groups, in the order of their references."""
        refs = sorted(ref for tag, ref in self.where if tag & ~_SPECIAL == _GROUP)
        return [self._group(self.take(_GROUP, ref)) for ref in refs]

    @staticmethod
    def _group(data: bytes) -> _Group:
        (n,) = struct.unpack_from(">H", data)
        tags, refs = (struct.unpack_from(f">{n}H", data, 2 + k * 2 * n) for k in (0, 1))
        name, at = _word(data, 2 + 4 * n, ">H")
        kind, _ = _word(data, at, ">H")
        return _Group(name, kind, tuple(zip(tags, refs, strict=True)))

    def attributes(self, group: _Group) -> dict[str, Any]:
        """Give the attributes that a group has: records of one field of the class "Attr0.0"."""
        out: dict[str, Any] = {}
        for tag, ref in group.members:
            if tag != _RECORD_HEAD:
                continue
            head = self.take(_RECORD_HEAD, ref)
            rows, width, fields = struct.unpack_from(">iHh", head, 2)
            if fields != 1:
                continue
            kind, _, _, order = struct.unpack_from(">hHHH", head, 10)
            _, at = _word(head, 18, ">h")
            name, at = _word(head, at, ">h")
            label, _ = _word(head, at, ">h")
            if label == "Attr0.0":
                out[name] = self._values(ref, kind, rows * order, rows * width)
        return out

    def _values(self, ref: int, kind: int, count: int, length: int) -> Any:
        data = self.take(_RECORD, ref)
        dtype = np.dtype(_TYPES[kind]).newbyteorder(">")
        if len(data) < length or count * dtype.itemsize != length:
            raise ValueError(f"an attribute of {length} bytes has {len(data)}")
        if kind in _CHAR:
            return data[:length].decode("latin-1").rstrip("\0")
        values = np.frombuffer(data[:length], dtype)
        return values[0].item() if count == 1 else values.tolist()

    def field(self, group: _Group) -> tuple[tuple[int, ...], str, int]:
        """Give a field's shape, its type with the order of its bytes, and the reference of its data."""
        refs = [ref for tag, ref in group.members if tag == _FIELD]
        if len(refs) != 1:
            raise ValueError(f"the field {group.name} has {len(refs)} descriptions")
        members = dict(struct.iter_unpack(">HH", self.take(_FIELD, refs[0])))
        layout = self.take(_DIMENSIONS, members[_DIMENSIONS])
        (rank,) = struct.unpack_from(">H", layout)
        shape = struct.unpack_from(f">{rank}i", layout, 2)
        tag, ref = struct.unpack_from(">HH", layout, 2 + 4 * rank)
        if tag != _NUMBER_TYPE:
            raise ValueError(f"the field {group.name} has no number type")
        _, kind, bits, order = self.take(_NUMBER_TYPE, ref)[:4]
        dtype = np.dtype(_TYPES[kind])
        if dtype.itemsize * 8 != bits or min(shape, default=0) < 0:
            raise ValueError(f"the field {group.name} has numbers of {bits} bits")
        return shape, _ORDERS[order] + _TYPES[kind], members[_DATA]

    def stored(self, data: int, length: int) -> bytes | None:
        """Read the bytes of a field, checked; None where they are kept in a way that the library knows."""
        if (_DATA, data) in self.where:
            plain = self._read(_DATA, data)
            if len(plain) != length:
                raise ValueError(f"a field of {length} bytes has {len(plain)}")
            return plain
        head = self._read(_SPECIAL | _DATA, data)
        (code,) = struct.unpack_from(">h", head)
        if code == _IS_LINKED:
            plain = self.take(_DATA, data)
            if len(plain) != length:
                raise ValueError(f"a field of {length} bytes has {len(plain)}")
            return plain
        if code != _IS_COMPRESSED:
            return None
        _, unpacked, stream, model, coder = struct.unpack_from(">hiHHH", head, 2)
        if (model, coder) != (0, _DEFLATE):
            return None
        inflater = zlib.decompressobj()
        plain = inflater.decompress(self.take(_COMPRESSED, stream), length + 1)
        # the checksum is looked at where the stream ends
        if unpacked != length or len(plain) != length or not inflater.eof:
            raise ValueError(f"a field of {length} bytes has {len(plain)}")
        return plain


def _word(data: bytes, at: int, size: str) -> tuple[str, int]:
    (n,) = struct.unpack_from(size, data, at)
    end = at + 2 + n
    if n < 0 or end > len(data):
        raise ValueError("a name does not end")
    return data[at + 2 : end].decode("latin-1"), end


def read_header(path: str) -> EosHeader:
    """Read geometry and field attributes; the file's extents are checked first, so that a cut file is found here.

    Raises
    ------
    SourceError
        The file is not HDF4-EOS, is damaged or cut off.
    """
    require(path, "HDF4")
    with border(path), open(local(path), "rb") as opened:
        file = _File(opened)
        groups = file.groups()
        attributes = {k: v for group in groups if group.kind == "CDF0.0" for k, v in file.attributes(group).items()}
        fields = {}
        for group in groups:
            if group.kind == "Var0.0":
                shape, dtype, _ = file.field(group)
                fields[group.name] = EosField(group.name, shape, str(np.dtype(dtype[1:])), file.attributes(group))
    if "StructMetadata.0" not in attributes:
        raise SourceError(f"{path}: HDF4 without the HDF-EOS geometry.", "Use the granule as the provider made it.")
    return EosHeader(parse_grid(str(attributes["StructMetadata.0"]), path), fields)


def read_field(path: str, field: str) -> NDArray[Any]:
    """Read one two-dimensional field as the integers that the file holds.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    return _KEPT.get((path, field, stamp(path)), lambda: _read_field(path, field))


def _read_field(path: str, field: str) -> NDArray[Any]:
    with border(path):
        with open(local(path), "rb") as opened:
            file = _File(opened)
            group = next(g for g in file.groups() if g.kind == "Var0.0" and g.name == field)
            shape, order, data = file.field(group)
            dtype = np.dtype(order)
            plain = file.stored(data, dtype.itemsize * int(np.prod(shape)))
        if plain is None:
            return _by_library(path, field)
        return np.frombuffer(plain, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _by_library(path: str, field: str) -> NDArray[Any]:
    from pyhdf.SD import SD

    with _LOCK:
        sd = SD(local(path))
        try:
            return np.asarray(sd.select(field).get())
        finally:
            sd.end()
