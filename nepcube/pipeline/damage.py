"""Damage: chunks that are missing or changed, found by their checksums and taken back with what was made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nepcube import recipe as recipes
from nepcube import store
from nepcube.pipeline import keeping
from nepcube.pipeline.stages import COMMITS, KEPT_CLIMATE, waiting_for
from nepcube.store import Ledger

if TYPE_CHECKING:
    from nepcube.execute import RunLock
    from nepcube.places import Place

# the stage that makes each store
_MAKERS = {store.CUBE: "ingest", store.STATISTICS: "analyse", store.CLIMATE: "analyse"}

#: stage, unit and chunk
Damage = tuple[str, str, str]


def find_damage(out: Place, ledger: Ledger) -> tuple[tuple[Damage, ...], list[str]]:
    """Hold every chunk against its checksum; give what is missing or changed, and the native series that are gone.

    Those may be deleted, which is no damage.
    """
    cleared: dict[str, bool] = {}
    damaged = []
    for one in ledger.verify(out):
        stage = one[0]
        if _is_native(stage) and stage not in cleared:
            cleared[stage] = not keeping.series_of(out, stage).exists
        if not cleared.get(stage, False):
            damaged.append(one)
    return tuple(damaged), [stage for stage, gone in cleared.items() if gone]


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
    damaged, cleared = find_damage(out, ledger)
    for stage in cleared:
        ledger.forget(stage)
    if not damaged:
        return ()
    changed = _changed_in(out, damaged)
    # what was computed from a damaged chunk may hold the damage
    places = {unit.partition("/")[2] for stage, unit, _ in damaged if stage == "ingest" and unit[:1].isdigit()}
    stores = _stores_of(damaged, computed=bool(places or changed))
    lock.require()
    for name in stores:
        store.uncommit(out / name)
    _take_back_parts(ledger, {_maker(stage, unit) for stage, unit, _ in damaged})
    metadata = [key for stage, _, key in damaged if stage == COMMITS]
    for key in metadata:
        # what describes an array is made again from the recipe, and its chunks, which have checksums of their own, stay
        (out / key).delete()
    for stage, unit, key in damaged:
        ledger.add(waiting_for(_maker(stage, unit)), key, {})
    ledger.flush()
    ledger.release([*map(store.root_of, stores), *metadata])
    if places:
        ledger.drop("analyse", places)
    _take_back_sampled(ledger, changed)
    for stage in {stage for stage, _, _ in damaged} - {COMMITS}:
        ledger.drop(stage, {unit for s, unit, _ in damaged if s == stage})
    return damaged


def _stores_of(damaged: Sequence[Damage], *, computed: bool) -> list[str]:
    stores = {key.partition("/")[0] for _, _, key in damaged}
    if computed or any(stage == "analyse" for stage, _, _ in damaged):
        # a unit of the analysis is chunks of both
        stores |= {store.CUBE, store.STATISTICS}
    return sorted(stores.intersection(store.STORES))


def _maker(stage: str, unit: str) -> str:
    # the stage of a run that makes again what the ledger knows by a name of its own
    if stage == COMMITS:
        return _MAKERS[unit]
    if _is_native(stage):
        return "ingest" if stage == keeping.RELIEF or stage.endswith("-year") else "analyse"
    return "analyse" if stage == KEPT_CLIMATE else stage


def _is_native(stage: str) -> bool:
    return stage.startswith("native/")


def _take_back_parts(ledger: Ledger, stages: Iterable[str]) -> None:
    first = min(map(recipes.STAGES.index, stages))
    for stage in recipes.STAGES[first:]:
        ledger.set_part(stage, None)


def _changed_in(out: Place, damaged: Iterable[Damage]) -> list[tuple[str, str]]:
    # stage and unit of chunks of native series from which something may have been sampled: to read one that is missing
    # is an error
    return [(stage, unit) for stage, unit, key in damaged if _is_native(stage) and (out / key).exists()]


def _take_back_sampled(ledger: Ledger, changed: Sequence[tuple[str, str]]) -> None:
    if not changed:
        return
    years = {unit.partition("/")[0] for stage, unit in changed if stage.endswith("-year")}
    every = any(stage == keeping.RELIEF for stage, _ in changed)
    sampled = {u for u in ledger.done("ingest") if u[:1].isdigit() and (every or u.partition("/")[0] in years)}
    ledger.drop("ingest", sampled)
    ledger.drop("analyse", {u for u in ledger.done("analyse") if u[:1].isdigit()})
    ledger.forget(KEPT_CLIMATE)
