"""What the netCDF library does not look at in a classic file: whether it is as long as its header says."""

from __future__ import annotations

import os

from nepcube.sources.fetched import local
from nepcube.sources.files import damaged

# bytes of each type; those from 7 on are of the 64-bit data format alone
_CODES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12


def require_whole(path: str) -> None:
    """Read the header of a NetCDF classic file (CDF-1, CDF-2 or CDF-5) and compare the file's length with it.

    Raises
    ------
    SourceError
        The header makes no sense, or the file ends before its data do: the library would read zeros there.
    """
    size = os.path.getsize(local(path))
    with open(local(path), "rb") as file:
        head = file.read(min(size, 2**22))
    try:
        needed = _Header(head).needed()
    except (IndexError, ValueError, OverflowError) as error:
        raise damaged(path, error) from None
    if size < needed:
        raise damaged(path, ValueError(f"{size} of {needed} bytes"))


class _Header:
    def __init__(self, head: bytes) -> None:
        self.head, self.at = head, 4
        # the 64-bit data format counts in eight bytes, and both of the later ones say so where a variable begins
        self.length = 8 if head[3] == 5 else 4
        self.of_place = 4 if head[3] == 1 else 8

    def number(self, length: int | None = None) -> int:
        length = length or self.length
        if self.at + length > len(self.head):
            raise ValueError("its header is cut off")
        self.at += length
        return int.from_bytes(self.head[self.at - length : self.at], "big")

    def skip(self, length: int) -> None:
        self.at += -(-length // 4) * 4
        if self.at > len(self.head):
            raise ValueError("its header is cut off")

    def count(self, tag: int) -> int:
        found, n = self.number(4), self.number()
        if found not in (0, tag) or (found == 0 and n) or n > len(self.head) // 4:
            raise ValueError("its header makes no sense")
        return n

    def attributes(self) -> None:
        for _ in range(self.count(_ATTRIBUTES)):
            self.skip(self.number())
            width = self.width()
            self.skip(self.number() * width)

    def width(self) -> int:
        code = self.number(4)
        if code not in _CODES:
            raise ValueError(f"its header names the type {code}")
        return _CODES[code]

    def needed(self) -> int:
        records = self.number()
        lengths = []
        for _ in range(self.count(_DIMENSIONS)):
            self.skip(self.number())
            lengths.append(self.number())
        self.attributes()
        fixed, moving = 0, []
        for _ in range(self.count(_VARIABLES)):
            self.skip(self.number())
            dims = [lengths[self.number()] for _ in range(self.number())]
            self.attributes()
            width = self.width()
            self.number()  # its size, which older writers left wrong for large variables
            begin = self.number(self.of_place)
            is_record = bool(dims) and dims[0] == 0
            size = width
            for n in dims[1:] if is_record else dims:
                size *= n
            if begin < self.at and size:
                raise ValueError("a variable begins inside the header")
            if is_record:
                moving.append((begin, size))
            else:
                fixed = max(fixed, begin + size)
        if not moving or records in (0, 2 ** (8 * self.length) - 1):
            return fixed
        # a single record variable is not padded
        step = moving[0][1] if len(moving) == 1 else sum(-(-size // 4) * 4 for _, size in moving)
        return max(fixed, *(begin + (records - 1) * step + size for begin, size in moving))
