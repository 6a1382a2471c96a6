"""Units of one chunk as rows of numbers: in memory a small dense array, in a file a line for some thousands.

A unit is named ``prefix/row/column`` and wrote chunks whose keys end with the same place; a year of a variable at 500 m
over all land has some 85,000.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

_PLACE = re.compile(r"(?:(.*)/)?(0|[1-9][0-9]{0,4})/(0|[1-9][0-9]{0,4})")
# a line of a segment: what is damaged costs no more than these units
_LINE = 4096

Stems = tuple[str, ...]


def split_chunk(key: str) -> tuple[str, str]:
    """Cut the key of a chunk, or the name of a unit, into what comes before its place and the place."""
    found = _PLACE.fullmatch(key)
    if found is None:
        return key, ""
    return found[1] or "", f"{found[2]}/{found[3]}"


class Rows:
    """The checksums of some arrays' chunks, by place."""

    def __init__(self, count: int) -> None:
        self._there = np.zeros((1, 1), np.bool_)
        self._sums = np.zeros((1, 1, count), np.uint32)
        #: the number of the entry that came last
        self.last = 0

    def has(self, y: int, x: int) -> bool:
        return y < self._there.shape[0] and x < self._there.shape[1] and bool(self._there[y, x])

    def put(self, ys: Any, xs: Any, sums: Any) -> None:
        self._reach(int(np.max(ys)), int(np.max(xs)))
        self._there[ys, xs] = True
        self._sums[ys, xs] = sums

    def _reach(self, y: int, x: int) -> None:
        rows, columns = self._there.shape
        if y < rows and x < columns:
            return
        while rows <= y:
            rows *= 2
        while columns <= x:
            columns *= 2
        there, sums = self._there, self._sums
        self._there = np.zeros((rows, columns), np.bool_)
        self._sums = np.zeros((rows, columns, sums.shape[2]), np.uint32)
        self._there[: there.shape[0], : there.shape[1]] = there
        self._sums[: there.shape[0], : there.shape[1]] = sums

    def remove(self, ys: Any, xs: Any) -> None:
        rows, columns = self._there.shape
        known = (ys < rows) & (xs < columns)
        self._there[ys[known], xs[known]] = False

    def __len__(self) -> int:
        return int(np.count_nonzero(self._there))

    def places(self) -> Iterator[tuple[int, int]]:
        ys, xs = np.nonzero(self._there)
        return zip(ys.tolist(), xs.tolist(), strict=True)

    def column(self, k: int) -> Iterator[tuple[int, int, int]]:
        ys, xs = np.nonzero(self._there)
        return zip(ys.tolist(), xs.tolist(), self._sums[ys, xs, k].tolist(), strict=True)

    def table(self) -> Any:
        """Give row, column and checksums of each place, as 32-bit numbers."""
        ys, xs = np.nonzero(self._there)
        return np.concatenate([ys[:, None], xs[:, None], self._sums[ys, xs]], axis=1).astype("<u4")


@dataclass
class Stage:
    """The units of one stage: `rows` by prefix and arrays, and by name those that are no chunk.

    `last` is the number of the entry of each of the latter: what is written later has a higher one.
    """

    rows: dict[str, dict[Stems, Rows]] = field(default_factory=dict)
    single: dict[str, dict[str, int]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def take(self, entry: Mapping[str, Any], number: int = 0) -> None:
        """Add a unit, or a table of them."""
        if "rows" in entry:
            table = entry["rows"]
            if len(table):
                self._put(entry["prefix"], tuple(entry["arrays"]), table[:, 0], table[:, 1], table[:, 2:], number)
            return
        row = entry["row"] if "row" in entry else as_row(entry["unit"], entry["sums"])
        # what was done again counts as it was done last
        if row is None:
            self.drop([entry["unit"]])
            self.single[entry["unit"]] = dict(entry["sums"])
            self.last[entry["unit"]] = number
            return
        prefix, y, x, stems, sums = row
        self.single.pop(f"{prefix}/{y}/{x}".removeprefix("/"), None)
        self._put(prefix, stems, np.array([y]), np.array([x]), np.array([sums], np.uint32), number)

    def _put(self, prefix: str, stems: Stems, ys: Any, xs: Any, sums: Any, number: int) -> None:
        groups = self.rows.setdefault(prefix, {})
        for other, rows in groups.items():
            if other != stems:
                rows.remove(ys, xs)
        mine = groups.setdefault(stems, Rows(len(stems)))
        mine.put(ys, xs, sums)
        mine.last = number

    def drop(self, units: Iterable[str]) -> None:
        for unit in units:
            self.single.pop(unit, None)
            prefix, place = split_chunk(unit)
            if place:
                y, x = map(int, place.split("/"))
                for rows in self.rows.get(prefix, {}).values():
                    rows.remove(np.array([y]), np.array([x]))

    def release(self, keys: Set[str]) -> None:
        """Take back the checksums that units which are no chunk hold of some keys; the units stay."""
        for sums in self.single.values():
            for key in keys & sums.keys():
                del sums[key]

    def columns(self) -> Iterator[tuple[str, str, Rows, int]]:
        """Give (prefix, array, rows, column) of each array."""
        for prefix, groups in self.rows.items():
            for stems, rows in groups.items():
                for k, stem in enumerate(stems):
                    yield prefix, stem, rows, k

    def entries(self, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give all there is as entries, each with its number."""
        for unit, sums in self.single.items():
            yield self.last[unit], {"stage": name, "unit": unit, "sums": sums}
        for prefix, groups in self.rows.items():
            for stems, rows in groups.items():
                yield rows.last, {"stage": name, "prefix": prefix, "arrays": list(stems), "rows": rows.table()}


Row = tuple[str, int, int, Stems, tuple[int, ...]]


def as_row(unit: str, sums: Mapping[str, int]) -> Row | None:
    """Give prefix, place, arrays and checksums of a unit whose chunks are all at its own place."""
    prefix, place = split_chunk(unit)
    if not place:
        return None
    end = f"/{place}"
    if not all(key.endswith(end) for key in sums):
        return None
    y, x = place.split("/")
    # thousands of units have one set of arrays
    return sys.intern(prefix), int(y), int(x), _same(tuple(key[: -len(end)] for key in sums)), tuple(sums.values())


@lru_cache(maxsize=1024)
def _same(stems: Stems) -> Stems:
    return stems


class Units(Set[str]):
    """The names of a stage's units."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Set[Any]:
        return set(it)

    def __contains__(self, unit: object) -> bool:
        if not isinstance(unit, str):
            return False
        prefix, place = split_chunk(unit)
        if place:
            y, x = map(int, place.split("/"))
            if any(rows.has(y, x) for rows in self._stage.rows.get(prefix, {}).values()):
                return True
        return unit in self._stage.single

    def __iter__(self) -> Iterator[str]:
        yield from self._stage.single
        for prefix, groups in self._stage.rows.items():
            for rows in groups.values():
                for y, x in rows.places():
                    yield f"{prefix}/{y}/{x}".removeprefix("/")

    def __len__(self) -> int:
        return len(self._stage.single) + sum(len(r) for groups in self._stage.rows.values() for r in groups.values())

    def count(self) -> dict[str, int]:
        """Give the number of chunks by prefix."""
        return {p: sum(map(len, groups.values())) for p, groups in self._stage.rows.items()}


def encode(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Give the lines of some entries, in their order; neighbouring units of the same arrays share one."""
    group: tuple[str, str, Stems] | None = None
    gathered: list[list[int]] = []
    for entry in entries:
        row = entry.get("row")
        mine = None if row is None else (entry["stage"], row[0], row[3])
        if mine is None or mine != group or len(gathered) == _LINE:
            if group is not None:
                yield _line(*group, np.array(gathered, "<u4"))
            group, gathered = mine, []
        if row is not None:
            gathered.append([row[1], row[2], *row[4]])
        elif "rows" in entry:
            table = entry["rows"]
            for start in range(0, len(table), _LINE):
                arrays = tuple(entry["arrays"])
                yield _line(entry["stage"], entry["prefix"], arrays, table[start : start + _LINE])
        else:
            yield json.dumps({k: v for k, v in entry.items() if k != "row"}) + "\n"
    if group is not None:
        yield _line(*group, np.array(gathered, "<u4"))


def _line(stage: str, prefix: str, stems: Stems, table: Any) -> str:
    raw = np.ascontiguousarray(table, "<u4").tobytes()
    line = {"stage": stage, "prefix": prefix, "arrays": stems, "crc": zlib.crc32(raw)}
    return json.dumps({**line, "rows": base64.b64encode(raw).decode("ascii")}) + "\n"


def read_line(line: str) -> list[dict[str, Any]]:
    """Read a line; nothing of one that is damaged."""
    try:
        entry = json.loads(line)
        if "rows" in entry:
            raw = base64.b64decode(entry["rows"], validate=True)
            if zlib.crc32(raw) != entry["crc"]:
                return []
            entry["rows"] = np.frombuffer(raw, "<u4").reshape(-1, 2 + len(entry["arrays"]))
            known = isinstance(entry["stage"], str) and isinstance(entry["prefix"], str)
        elif "sums" in entry:
            known = isinstance(entry["stage"], str) and isinstance(entry["unit"], str)
            known = known and all(isinstance(crc, int) for crc in entry["sums"].values())
        else:
            known = bool({"start", "forget", "drop", "release"} & entry.keys())
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [entry] if known else []
