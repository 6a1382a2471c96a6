"""Status: what an output holds and what is done of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from nepcube import recipe as recipes
from nepcube.errors import NotWritableError, StoreError
from nepcube.execute import RunLock
from nepcube.pipeline import keeping
from nepcube.pipeline.context import CLIMATE, COMMITS, waiting_for
from nepcube.places import Place, place_of
from nepcube.store import Ledger, is_committed

# the stage that makes each store
_MAKERS = {"cube.zarr": "ingest", "statistics.zarr": "analyse", "climate.zarr": "analyse"}
_ROOT = "zarr.json"

Damage = tuple[str, str, str]


@dataclass(frozen=True)
class Status:
    """What is done, and what verification found.

    Attributes
    ----------
    damaged : tuple of (stage, unit, chunk)
        What verification found missing or changed.
    waiting : tuple of str
        Chunks that were taken back, now or before, and that no run has made again.
    taken_back : bool
        Whether what is damaged was taken back from the ledger, so that the next run makes it again; it is not where the
        output cannot be written.
    """

    out: Place
    stages: tuple[tuple[str, bool], ...]
    years: tuple[tuple[str, int], ...]
    blocks: int
    committed: tuple[tuple[str, bool], ...]
    damaged: tuple[Damage, ...] = ()
    waiting: tuple[str, ...] = ()
    taken_back: bool = True

    @property
    def bad(self) -> tuple[str, ...]:
        """The chunks that are not as they were written: found now, or waiting to be made again."""
        return tuple(dict.fromkeys((*(key for _, _, key in self.damaged), *self.waiting)))


def status(out: str | os.PathLike[str] | Place, *, verify: bool = False) -> Status:
    """Say what is done in an output; with `verify`, hold every chunk against its checksum.

    What is damaged is taken back: the next run makes it again, and its store does not open until then. An output that
    cannot be written is verified, too, and stays as it is.

    Raises
    ------
    StoreError
        There is no output of nepcube, or a run is at work there.
    """
    out = place_of(out)
    out.require()
    if not (out / ".nepcube").is_folder():
        raise StoreError(f"{out}: this is no output of nepcube.", "Name the folder that was given to `run` with -o.")
    damaged: tuple[Damage, ...] = ()
    taken_back = True
    if verify:
        with ExitStack() as stack:
            lock = RunLock(out)
            try:
                stack.enter_context(lock)
            except NotWritableError:
                lock.require_free()
                taken_back = False
            damaged = (
                take_back_damage(out, lock)
                if taken_back
                else keeping.without_cleared(out, Ledger.open(out).verify(out))[0]
            )
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
        tuple(key for stage in recipes.STAGES for key in ledger.done(waiting_for(stage))),
        taken_back,
    )


def damage_of(bad: Sequence[str]) -> str:
    """Say which chunks are damaged."""
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return f"{len(bad)} chunk(s) are missing or changed: {', '.join(bad[:5])}{more}"


def take_back_damage(out: Place, lock: RunLock) -> tuple[Damage, ...]:
    """Find what is missing or changed, and take it back from the ledger, with what was computed from it.

    The stores that it is in are finished no more. The ledger forgets last: who is stopped before finds all of it again.
    """
    ledger = Ledger.open(out)
    ledger.guard = lock.require
    damaged, cleared = keeping.without_cleared(out, ledger.verify(out))
    for stage in cleared:
        ledger.forget(stage)
    if not damaged:
        return ()
    changed = keeping.changed_in(out, damaged)
    # what was computed from a damaged chunk may hold the damage
    places = {unit.partition("/")[2] for stage, unit, _ in damaged if stage == "ingest" and unit[:1].isdigit()}
    roots = [f"{store}/{_ROOT}" for store in _stores_of(damaged, computed=bool(places or changed))]
    lock.require()
    for root in roots:
        (out / root).delete()
    _take_back_parts(ledger, {_maker(stage, unit) for stage, unit, _ in damaged})
    metadata = [key for stage, _, key in damaged if stage == COMMITS]
    for key in metadata:
        # what describes an array is made again from the recipe, and its chunks, which have checksums of their own, stay
        (out / key).delete()
    for stage, unit, key in damaged:
        ledger.add(waiting_for(_maker(stage, unit)), key, {})
    ledger.flush()
    ledger.release([*roots, *metadata])
    if places:
        ledger.drop("analyse", places)
    keeping.take_back_sampled(ledger, changed)
    for stage in {stage for stage, _, _ in damaged} - {COMMITS}:
        ledger.drop(stage, {unit for s, unit, _ in damaged if s == stage})
    return damaged


def _stores_of(damaged: Sequence[Damage], *, computed: bool) -> list[str]:
    stores = {key.partition("/")[0] for _, _, key in damaged}
    if computed or any(stage == "analyse" for stage, _, _ in damaged):
        # a unit of the analysis is chunks of both
        stores |= {"cube.zarr", "statistics.zarr"}
    return sorted(stores.intersection(_MAKERS))


def _maker(stage: str, unit: str) -> str:
    # the stage of a run that makes again what the ledger knows by a name of its own
    if stage == COMMITS:
        return _MAKERS[unit]
    return "analyse" if stage == CLIMATE else keeping.maker_of(stage)


def _take_back_parts(ledger: Ledger, stages: Iterable[str]) -> None:
    first = min(map(recipes.STAGES.index, stages))
    for stage in recipes.STAGES[first:]:
        ledger.set_part(stage, None)
