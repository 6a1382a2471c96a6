"""How far a run is: bars on a terminal, plain lines elsewhere, and a log."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from nepcube.errors import RecipeError, without_queries


class Teller:
    """Tells progress: bars on a terminal, plain lines elsewhere."""

    def __init__(self, *, quiet: bool, log: Path | None) -> None:
        self._quiet = quiet
        try:
            self._log = open(log, "a", encoding="utf-8") if log else None  # noqa: SIM115  closed at exit
        except OSError as error:
            raise RecipeError(f"--log {log}: cannot be written ({error.strerror}).", "Name another file.") from None
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Teller:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as Rest

            self._bars = Progress(
                TextColumn("{task.description:<26}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("rest"),
                Rest(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=Console(stderr=True),
            )
            self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.__exit__(None, None, None)
        if self._log:
            self._log.close()

    def say(self, line: str) -> None:
        """Tell one line."""
        line = without_queries(line)
        if self._log:
            self._log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")
            self._log.flush()
        if self._quiet:
            return
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Tell how far a stage is."""
        detail = without_queries(detail)
        now = time.monotonic()
        began = self._started.setdefault(stage, now)
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total, detail="")
            self._bars.update(self._tasks[stage], completed=done, total=total, detail=detail[:40])
        step = 10 if total <= 0 else done * 10 // total
        if self._told.get(stage) == step:
            return
        first = stage not in self._told
        self._told[stage] = step
        line = f"{stage}: {done}/{total}"
        if detail and (first or done == total):
            line += f" {detail}"
        if not first:
            line += f" ({now - began:.0f} s"
            line += f", about {(now - began) * (total - done) / done:.0f} s to go)" if 0 < done < total else ")"
        if self._bars is None:
            self.say(line)
        elif self._log:
            self._log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")
