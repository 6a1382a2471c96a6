"""What is done: units of work by stage, with the checksums of the chunks they wrote.

Entries are lines of JSON in numbered segments; a segment appears whole (written aside, then renamed), after the data
that it vouches for. One process writes; any may read.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nepcube.errors import StoreError

_FLUSH_EVERY = 64


@dataclass
class Ledger:
    """The ledger below ``OUT/.nepcube``."""

    folder: Path
    _done: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    _pending: list[dict[str, Any]] = field(default_factory=list)
    _next: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, out: Path) -> Ledger:
        """Read the ledger of an output; an absent one is empty."""
        ledger = cls(Path(out) / ".nepcube")
        for segment in sorted((ledger.folder / "ledger").glob("*.jsonl")):
            ledger._next = int(segment.stem) + 1
            for line in segment.read_text(errors="replace").splitlines():
                # what cannot be read vouches for nothing: its units are done again
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    ledger._take(json.loads(line))
        return ledger

    def _take(self, entry: dict[str, Any]) -> None:
        if "forget" in entry:
            self._done.pop(entry["forget"], None)
        else:
            self._done.setdefault(entry["stage"], {})[entry["unit"]] = entry["sums"]

    def done(self, stage: str) -> set[str]:
        """Give the units of a stage that are done."""
        return set(self._done.get(stage, {}))

    def add(self, stage: str, unit: str, sums: dict[str, int]) -> None:
        """Note a unit whose data are written."""
        with self._lock:
            entry = {"stage": stage, "unit": unit, "sums": sums}
            self._take(entry)
            self._pending.append(entry)
            full = len(self._pending) >= _FLUSH_EVERY
        if full:
            self.flush()

    def forget(self, stage: str) -> None:
        """Take back every unit of a stage."""
        with self._lock:
            self._take({"forget": stage})
            self._pending.append({"forget": stage})
        self.flush()

    def flush(self) -> None:
        """Write what is pending as one segment."""
        with self._lock:
            if not self._pending:
                return
            folder = self.folder / "ledger"
            folder.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(entry) + "\n" for entry in self._pending)
            replace(folder / f"{self._next:08d}.jsonl", text)
            self._next += 1
            self._pending.clear()

    def parts(self) -> dict[str, Any]:
        """Give the recipe parts that the stages were done with."""
        file = self.folder / "stages.json"
        if not file.exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(file.read_text())
        except ValueError:
            return {}
        return found

    def set_part(self, stage: str, part: dict[str, Any] | None) -> None:
        """Note the recipe part that a stage is done with, or take it back."""
        parts = self.parts()
        if part is None:
            parts.pop(stage, None)
        else:
            parts[stage] = part
        self.folder.mkdir(parents=True, exist_ok=True)
        replace(self.folder / "stages.json", json.dumps(parts, indent=1))

    def verify(self, out: Path) -> Iterator[tuple[str, str, str]]:
        """Give (stage, unit, chunk) for each chunk that is missing or whose bytes changed.

        A chunk that several units wrote is held against the last of them.
        """
        last: dict[str, tuple[str, str, int]] = {}
        for stage, units in self._done.items():
            for unit, sums in units.items():
                for key, crc in sums.items():
                    last[key] = (stage, unit, crc)
        for key, (stage, unit, crc) in sorted(last.items()):
            file = out / key
            if not file.exists() or zlib.crc32(file.read_bytes()) != crc:
                yield stage, unit, key

    def drop(self, stage: str, units: set[str]) -> None:
        """Take some units of a stage back, so that the next run does them again."""
        kept = {u: s for u, s in self._done.get(stage, {}).items() if u not in units}
        self.forget(stage)
        for unit, sums in kept.items():
            self.add(stage, unit, sums)
        self.flush()


def replace(file: Path, text: str) -> None:
    """Write a small file whole: aside first, then renamed.

    Raises
    ------
    StoreError
        There is no room or no permission.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with open(part, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, file)
    except OSError as error:
        raise StoreError(
            f"{file}: cannot be written ({error.strerror}).",
            "Make room or give permission, and run again: it continues.",
        ) from None
