"""Status: what an output holds and what is done of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from nepcube import recipe as recipes
from nepcube.errors import StoreError
from nepcube.execute import RunLock
from nepcube.pipeline import keeping
from nepcube.pipeline.context import COMMITS
from nepcube.places import Place, place_of
from nepcube.store import Ledger, is_committed

# the stages that write into each store, first the one that makes it
_WRITERS = {
    "cube.zarr": ("ingest", "analyse"),
    "statistics.zarr": ("analyse", "aggregate"),
    "climate.zarr": ("analyse",),
}


@dataclass(frozen=True)
class Status:
    """What is done, and what verification found.

    `damaged` are (stage, unit, chunk); they were taken back from the ledger, so that the next run makes them again.
    """

    out: Place
    stages: tuple[tuple[str, bool], ...]
    years: tuple[tuple[str, int], ...]
    blocks: int
    committed: tuple[tuple[str, bool], ...]
    damaged: tuple[tuple[str, str, str], ...]


def status(out: str | os.PathLike[str] | Place, *, verify: bool = False) -> Status:
    """Say what is done in an output; with `verify`, hold every chunk against its checksum.

    Raises
    ------
    StoreError
        There is no output of nepcube.
    """
    out = place_of(out)
    out.require()
    if not (out / ".nepcube").is_folder():
        raise StoreError(f"{out}: this is no output of nepcube.", "Name the folder that was given to `run` with -o.")
    damaged: tuple[tuple[str, str, str], ...] = ()
    if verify:
        with RunLock(out) as lock:
            damaged = take_back_damage(out, lock)
    ledger = Ledger.open(out)
    parts = ledger.parts()
    years = {prefix: n for prefix, n in ledger.done("ingest").count().items() if prefix.isdigit()}
    stores = ("cube.zarr", "statistics.zarr", *(["climate.zarr"] if (out / "climate.zarr").is_folder() else []))
    return Status(
        out,
        tuple((s, s in parts) for s in recipes.STAGES),
        tuple(sorted(years.items())),
        ledger.done("analyse").count().get("", 0),
        tuple((name, is_committed(out / name)) for name in stores),
        damaged,
    )


def damage_of(damaged: Sequence[tuple[str, str, str]]) -> str:
    """Say what is damaged."""
    names = ", ".join(key for _, _, key in damaged[:5])
    more = f" and {len(damaged) - 5} more" if len(damaged) > 5 else ""
    return f"{len(damaged)} chunk(s) are missing or changed: {names}{more}"


def take_back_damage(out: Place, lock: RunLock) -> tuple[tuple[str, str, str], ...]:
    """Find what is missing or changed, and take it back from the ledger, with what was computed from it."""
    ledger = Ledger.open(out)
    ledger.guard = lock.require
    damaged = tuple(keeping.without_cleared(out, ledger, ledger.verify(out)))
    for stage, unit, key in damaged:
        if stage == COMMITS:
            _take_back_metadata(out, ledger, unit, key)
    # what was computed from a damaged chunk may hold the damage
    places = {unit.partition("/")[2] for stage, unit, _ in damaged if stage == "ingest" and unit[:1].isdigit()}
    if places:
        ledger.drop("analyse", places)
    keeping.take_back_sampled(out, ledger, damaged)
    for stage in {d[0] for d in damaged}:
        ledger.drop(stage, {unit for s, unit, _ in damaged if s == stage})
        if stage != COMMITS:
            _take_back(ledger, keeping.maker_of(stage))
    return damaged


def _take_back_metadata(out: Place, ledger: Ledger, store: str, key: str) -> None:
    # what describes an array is made again from the recipe, and its chunks, which have checksums of their own, stay
    (out / store / "zarr.json").delete()
    (out / key).delete()
    _take_back(ledger, _WRITERS[store][0])


def _take_back(ledger: Ledger, first: str) -> None:
    for stage in recipes.STAGES[recipes.STAGES.index(first) :]:
        ledger.set_part(stage, None)
