"""Status: what an output holds and what is done of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from nepcube import recipe as recipes
from nepcube.errors import StoreError
from nepcube.execute import RunLock
from nepcube.store import Ledger, is_committed


@dataclass(frozen=True)
class Status:
    """What is done, and what verification found.

    `damaged` are (stage, unit, chunk); they were taken back from the ledger, so that the next run makes them again.
    """

    out: Path
    stages: tuple[tuple[str, bool], ...]
    years: tuple[tuple[str, int], ...]
    blocks: int
    committed: tuple[tuple[str, bool], ...]
    damaged: tuple[tuple[str, str, str], ...]


def status(out: Path, *, verify: bool = False) -> Status:
    """Say what is done in an output; with `verify`, hold every chunk against its checksum.

    Raises
    ------
    StoreError
        There is no output of nepcube.
    """
    if not (out / ".nepcube").is_dir():
        raise StoreError(f"{out}: this is no output of nepcube.", "Name the folder that was given to `run` with -o.")
    ledger = Ledger.open(out)
    parts = ledger.parts()
    damaged: tuple[tuple[str, str, str], ...] = ()
    if verify:
        with RunLock(out):
            ledger, damaged = _verified(out)
        parts = ledger.parts()
    years = Counter(_years(ledger))
    stores = ("cube.zarr", "statistics.zarr", *(["climate.zarr"] if (out / "climate.zarr").is_dir() else []))
    return Status(
        out,
        tuple((s, s in parts) for s in recipes.STAGES),
        tuple(sorted(years.items())),
        len([unit for unit in ledger.done("analyse") if unit[:1].isdigit()]),
        tuple((name, is_committed(out / name)) for name in stores),
        damaged,
    )


def _years(ledger: Ledger) -> list[str]:
    return [unit.partition("/")[0] for unit in ledger.done("ingest") if unit[:1].isdigit()]


def _verified(out: Path) -> tuple[Ledger, tuple[tuple[str, str, str], ...]]:
    ledger = Ledger.open(out)
    damaged = tuple(ledger.verify(out))
    # what was computed from a damaged chunk may hold the damage
    places = {unit.partition("/")[2] for stage, unit, _ in damaged if stage == "ingest" and unit[:1].isdigit()}
    if places:
        ledger.drop("analyse", places)
    for stage in {d[0] for d in damaged}:
        ledger.drop(stage, {unit for s, unit, _ in damaged if s == stage})
        for later in recipes.STAGES[recipes.STAGES.index(stage) :]:
            ledger.set_part(later, None)
    return ledger, damaged
