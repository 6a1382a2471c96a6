"""What is done: units of work by stage, with the checksums of the chunks they wrote.

Entries are lines of JSON in numbered segments; a segment appears whole, after the data that it vouches for. Units that
are one chunk of some arrays, which are nearly all, are rows of numbers: a line names the arrays once. At the end of a
stage the segments become one. One process writes; any may read.
"""

from __future__ import annotations

import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from typing import Any

from nepcube.places import Place, place_of
from nepcube.store.rows import Stage, Units, as_row, encode, read_line, split_chunk

_FLUSH_EVERY = 64
# units of one segment: until there are so many, the last segment is written again with more
_SEGMENT = 4096
_READERS = 8
# what a system puts beside a file, such as `._00000001.jsonl`, is none of ours
_NAME = re.compile(r"[0-9]{8}\.jsonl")


@dataclass
class Ledger:
    """The ledger below ``OUT/.nepcube``."""

    folder: Place
    #: called before anything is written, to end a run that may not go on
    guard: Callable[[], None] = lambda: None
    _done: dict[str, Stage] = field(default_factory=dict)
    _open: list[dict[str, Any]] = field(default_factory=list)
    _pending: int = 0
    _next: int = 0
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, out: str | os.PathLike[str] | Place) -> Ledger:
        """Read the ledger of an output; an absent one is empty."""
        folder = place_of(out) / ".nepcube"
        for _ in range(10):
            ledger = cls(folder)
            if ledger._read():
                break
        return ledger

    def _read(self) -> bool:
        # segments that become one meanwhile are read from the start
        places = self._segments()
        with ThreadPoolExecutor(_READERS) as pool:
            for place, content in zip(places, pool.map(lambda p: p.read(), places), strict=True):
                if content is None:
                    return False
                self._next = int(place.name.partition(".")[0]) + 1
                for line in content.decode("utf-8", "replace").splitlines():
                    # what cannot be read vouches for nothing: its units are done again
                    for entry in read_line(line):
                        self._take(entry)
        return True

    def _segments(self) -> list[Place]:
        return [p for p in (self.folder / "ledger").below() if _NAME.fullmatch(p.name)]

    def _take(self, entry: dict[str, Any]) -> None:
        self._taken += 1
        if "start" in entry:
            self._done.clear()
        elif "forget" in entry:
            self._done.pop(entry["forget"], None)
        elif "drop" in entry:
            if entry["drop"] in self._done:
                self._done[entry["drop"]].drop(entry["units"])
        elif "release" in entry:
            for stage in self._done.values():
                stage.release(set(entry["release"]))
        else:
            self._done.setdefault(entry["stage"], Stage()).take(entry, self._taken)

    def done(self, stage: str) -> Units:
        """Give the units of a stage that are done."""
        return Units(self._done.get(stage, Stage()))

    def add(self, stage: str, unit: str, sums: dict[str, int]) -> None:
        """Note a unit whose data are written."""
        self._add([{"stage": stage, "unit": unit, "sums": sums}])

    def add_chunks(self, stage: str, prefix: str, sums: dict[str, int]) -> None:
        """Note chunks that are written, each place of the grid as a unit of its own, ``prefix/row/column``."""
        units: dict[str, dict[str, int]] = {}
        for key, crc in sums.items():
            _, place = split_chunk(key)
            units.setdefault(f"{prefix}/{place}".strip("/"), {})[key] = crc
        self._add([{"stage": stage, "unit": unit, "sums": mine} for unit, mine in units.items()])

    def _add(self, entries: list[dict[str, Any]]) -> None:
        with self._lock:
            for entry in entries:
                row = as_row(entry["unit"], entry["sums"]) if "unit" in entry else None
                # found once, for memory and for every writing of the segment
                kept = entry if row is None else {"stage": entry["stage"], "row": row}
                self._take(kept)
                self._open.append(kept)
            self._pending += len(entries)
            full = self._pending >= _FLUSH_EVERY
        if full:
            self.flush()

    def forget(self, stage: str) -> None:
        """Take back every unit of a stage."""
        self._add([{"forget": stage}])
        self.flush()

    def drop(self, stage: str, units: Iterable[str]) -> None:
        """Take some units of a stage back, so that the next run does them again."""
        self._add([{"drop": stage, "units": sorted(units)}])
        self.flush()

    def small(self, store: str) -> list[str]:
        """List what is vouched for of a store and is no chunk of the grid: coordinates, series, metadata."""
        found = {key for stage in self._done.values() for sums in stage.single.values() for key in sums}
        return sorted(key for key in found if key.startswith(f"{store}/"))

    def release(self, keys: Iterable[str]) -> None:
        """Vouch for some small files no more, before they are written anew or removed; what wrote them stays done."""
        known = {key for stage in self._done.values() for sums in stage.single.values() for key in sums}
        mine = sorted(known.intersection(keys))
        if mine:
            self._add([{"release": mine}])
            self.flush()

    def flush(self) -> None:
        """Write what is pending, as a segment or into the last one."""
        with self._lock:
            if not self._pending:
                return
            self.guard()
            # after a loss of power it vouches for nothing that never came to the disk
            self.folder.sync()
            self._segment(self._next).write_text("".join(encode(self._open)))
            self._pending = 0
            if len(self._open) >= _SEGMENT:
                self._next += 1
                self._open = []

    def merge(self) -> None:
        """Write all that is done as one segment, and remove those before it."""
        self.flush()
        with self._lock:
            self.guard()
            there = self._segments()
            if len(there) < 2:
                return
            self._next += 1
            numbered = [one for name, stage in self._done.items() for one in stage.entries(name)]
            entries = [entry for _, entry in sorted(numbered, key=itemgetter(0))]
            self._segment(self._next).write_text("".join(['{"start": 1}\n', *encode(entries)]))
            self._next += 1
            self._open = []
            for place in there:
                place.delete()

    def _segment(self, number: int) -> Place:
        return self.folder / "ledger" / f"{number:08d}.jsonl"

    def parts(self) -> dict[str, Any]:
        """Give the recipe parts that the stages were done with."""
        text = (self.folder / "stages.json").read_text()
        try:
            found: dict[str, Any] = json.loads(text or "{}")
        except ValueError:
            return {}
        return found

    def set_part(self, stage: str, part: dict[str, Any] | None) -> None:
        """Note the recipe part that a stage is done with, or take it back."""
        parts = self.parts()
        if part is None:
            if stage not in parts:
                return
            parts.pop(stage)
        else:
            parts[stage] = part
        self.guard()
        (self.folder / "stages.json").write_text(json.dumps(parts, indent=1))

    def verify(self, out: str | os.PathLike[str] | Place) -> Iterator[tuple[str, str, str]]:
        """Give (stage, unit, chunk) for each chunk that is missing or whose bytes changed.

        A chunk that several units wrote is held against the one that was noted last.
        """
        place = place_of(out)
        chunks = self._chunks()

        def changed(chunk: tuple[str, str, str, int]) -> bool:
            content = (place / chunk[0]).read()
            return content is None or zlib.crc32(content) != chunk[3]

        with ThreadPoolExecutor(_READERS) as pool:
            while part := list(islice(chunks, 64 * _READERS)):
                for (key, stage, unit, _), bad in zip(part, pool.map(changed, part), strict=True):
                    if bad:
                        yield stage, unit, key

    def _chunks(self) -> Iterator[tuple[str, str, str, int]]:
        # one array after the other; of several units that wrote an array's chunk the one that was noted last counts
        units: list[tuple[int, str, str, dict[str, int]]] = []
        owners: dict[str, list[tuple[int, str, str, Any, int]]] = {}
        for name, stage in self._done.items():
            units += [(stage.last[unit], name, unit, sums) for unit, sums in stage.single.items()]
            for prefix, stem, rows, column in stage.columns():
                owners.setdefault(stem, []).append((rows.last, name, prefix, rows, column))
        for stem in sorted(owners):
            seen: set[tuple[int, int]] = set()
            for _, name, prefix, rows, column in sorted(owners[stem], key=itemgetter(0), reverse=True):
                for y, x, crc in rows.column(column):
                    if (y, x) not in seen:
                        yield f"{stem}/{y}/{x}", name, f"{prefix}/{y}/{x}".removeprefix("/"), crc
                if len(owners[stem]) > 1:
                    seen |= set(rows.places())
        single: dict[str, tuple[str, str, int]] = {}
        for _, name, unit, sums in sorted(units, key=itemgetter(0)):
            single |= {key: (name, unit, crc) for key, crc in sums.items()}
        for key in sorted(single):
            name, unit, crc = single[key]
            yield key, name, unit, crc
