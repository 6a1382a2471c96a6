"""Which parts of a recipe each stage depends on, and which of them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nepcube.places import identity
from nepcube.recipe.addresses import changed
from nepcube.recipe.models import Recipe

#: the stages in their order
STAGES = ("ingest", "analyse", "aggregate", "report", "publish")
# what changes no result
_NO_RESULT = ("title", "blocks", "workers", "memory", "cluster")


def stage_part(recipe: Recipe, stage: str) -> dict[str, Any]:
    """Give what the recipe says that `stage` and the stages before it use, as flat ``{key: value}``.

    The period is not in the ingest part: a longer one appends. Title, blocks, workers and memory are in none, nor is
    what only keeps more of what is computed.
    """
    # what is kept in the output holds no key to what a URL names
    plain = changed(recipe.model_dump(mode="json", by_alias=True), identity)
    plain["respiration"].pop("keep_climate")
    # of the maps as a whole, not of a cell
    field = {"field_significance": plain["statistics"].pop("field_significance")}
    # outputs of a time before there were errors stay what they are
    errors = plain["uncertainty"]
    told = None if errors is None else errors.pop("source")
    part = {key: plain[key] for key in ("archive", "grid", "sources")}
    rank = STAGES.index(stage)
    if rank >= 1:
        part |= {key: plain[key] for key in ("period", "respiration", "statistics")}
        part |= {} if errors is None else {"uncertainty": errors}
    if rank >= 2:
        part |= {key: plain[key] for key in ("classes", "regions", "strata")} | field
    if rank >= 3 and told:
        part["uncertainty"] = part["uncertainty"] | {"source": told}
    return _flat(part)


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Name the keys in which two parts differ."""
    return sorted(k for k in old.keys() | new.keys() if old.get(k, _ABSENT) != new.get(k, _ABSENT))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Give the keys in which two recipes differ, each with both values; None where a recipe does not have it.

    Parameters
    ----------
    one, other : mapping
        Recipes as plain mappings. Title, blocks, workers and memory, which change no result, are left out.
    """
    a, b = (_flat({k: v for k, v in recipe.items() if k not in _NO_RESULT}) for recipe in (one, other))
    return [(key, a.get(key), b.get(key)) for key in changed_keys(a, b)]


_ABSENT = object()


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        out: dict[str, Any] = {}
        for key, below in value.items():
            out |= _flat(below, f"{prefix}.{key}" if prefix else str(key))
        return out
    return {prefix: value}
