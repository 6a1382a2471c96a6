"""What the ledger is told of the stages of a run: what they are made of, begun, committed, taken away and done."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from typing import TYPE_CHECKING, Any

from nepcube import recipe as recipes
from nepcube.errors import RecipeError
from nepcube.pipeline.stratifying import stratum_record
from nepcube.store import METADATA, root_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from nepcube.grid import Window
    from nepcube.pipeline.context import Run
    from nepcube.places import Place
    from nepcube.store import Ledger, Store

#: what the ledger calls the metadata of stores, which no stage alone writes
COMMITS = "commits"
#: what the ledger calls the months or days of climate on the grid, which `analyse` writes where they are asked for
KEPT_CLIMATE = "climate"


def waiting_for(stage: str) -> str:
    """Say what the ledger calls the chunks that were taken back, until a stage has made them again."""
    return f"waiting/{stage}"


def unit_of(window: Window, side: int, year: int | None = None) -> str:
    """Name a chunk or a shard in the ledger."""
    place = f"{window.y0 // side}/{window.x0 // side}"
    return place if year is None else f"{year}/{place}"


def grid_record(grid: GeoBox) -> list[Any]:
    """Give what identifies a grid; one made around regions is not told by the recipe."""
    return [str(grid.crs), *(int(n) for n in grid.shape), *(float(v) for v in grid.affine[:6])]


def require_same_cube(recipe: recipes.Recipe, grid: GeoBox, ledger: Ledger, out: Place) -> None:
    """Refuse a recipe whose grid or ingest part is not that of the output; a longer period is the same cube."""
    changed: set[str] = set()
    # what was begun and not finished holds data of its recipe, too
    for stage in ("ingest", "ingest-begun"):
        done = ledger.parts().get(stage)
        if done is not None:
            part = recipes.stage_part(recipe, "ingest")
            changed |= set(recipes.changed_keys(done["part"], part)) - _continuation(done, recipe)
            if done["grid"] != grid_record(grid) and not any(key.startswith("grid") for key in changed):
                changed.add("grid (its regions moved)")
            first, last = done["period"]
            if recipe.period[0] != first or recipe.period[1] < last:
                changed.add("period")
    if changed:
        raise RecipeError(
            f"{out}: it was made with another {', '.join(sorted(changed))}: this recipe makes another cube.",
            "Choose another output with -o, or start over with `nepcube run ... --fresh`.",
        )


def _continuation(done: dict[str, Any], recipe: recipes.Recipe) -> set[str]:
    # another record that begins after the years that are done adds years, as a longer period does
    prefix = "sources.npp.continued_by"
    parts = done["part"], recipes.stage_part(recipe, "ingest")
    begins = [part.get(f"{prefix}.from") for part in parts]
    if any(first is not None and first <= done["period"][1] for first in begins):
        return set()
    return {key for part in parts for key in part if key.startswith(prefix)}


def stage_record(run: Run, stage: str, *, begun: bool = False) -> dict[str, Any]:
    """Give what identifies a stage: the recipe's part, the period, the regions' content, and the files of strata.

    Those files must be there only where they are about to be read, when `aggregate` is `begun`.
    """
    record: dict[str, Any] = {
        "part": recipes.stage_part(run.recipe, stage),
        "period": list(run.recipe.period),
        "grid": grid_record(run.grid),
    }
    if stage in ("aggregate", "report", "publish") and run.regions is not None:
        shapes = b"".join(run.regions.geometry.to_wkb()) + "\0".join(run.region_names).encode()
        record["regions"] = hashlib.sha256(shapes).hexdigest()
    if stage in ("aggregate", "report", "publish") and run.recipe.strata:
        read = run.ledger.parts().get("aggregate") or {}
        known = None if begun and stage == "aggregate" else read.get("strata", {})
        record["strata"] = stratum_record(run.recipe, known)
    return record


def is_done(run: Run, stage: str) -> bool:
    """Tell whether a stage is done for this recipe, and its store is there."""
    analysed = (run.cube, run.statistics, *((run.climate,) if run.recipe.respiration.keep_climate else ()))
    stores = {"ingest": (run.cube,), "analyse": analysed}.get(stage, ())
    return run.ledger.parts().get(stage) == stage_record(run, stage) and all(s.committed for s in stores)


def commit(run: Run, target: Store, attrs: dict[str, Any], *, without: Set[str] = frozenset()) -> None:
    """Commit a store, and keep the checksums of its metadata: what was committed last counts.

    Arrays that are `without` are not finished, and not told of.
    """
    run.ledger.flush()
    run.ledger.release([root_of(target.path.name)])
    run.ledger.add(COMMITS, target.path.name, target.commit(attrs, without=without))
    run.ledger.flush()


def unseal(run: Run, target: Store, *, values: bool = False) -> None:
    """Vouch no more for the metadata of a store's arrays, before they are made longer or described.

    The root, which tells of the arrays as they were, stays as it is until the next commit. With `values`, coordinates
    and series are about to be written anew, too.
    """
    root = root_of(target.path.name)
    small = run.ledger.small(target.path.name)
    run.ledger.release(key for key in small if key != root and (values or key.endswith(f"/{METADATA}")))


def take_away(run: Run, target: Store, names: Sequence[str] | None = None) -> None:
    """Remove some arrays, or all of a store, and before it what the ledger says of their metadata and coordinates.

    The units that wrote their chunks must be taken back before. Who stops in between leaves what nobody vouches for,
    and nothing that seems damaged.
    """
    store = target.path.name
    gone = (f"{store}/",) if names is None else (root_of(store), *(f"{store}/{name}/" for name in names))
    run.ledger.release(key for key in run.ledger.small(store) if key.startswith(gone))
    target.remove(names)


def begin(run: Run, stage: str) -> dict[str, Any]:
    """Take back a stage and those after it, where their recipe changed, before work on it begins.

    Gives what identifies the stage now, before its files are read: what replaces them meanwhile is another's.
    """
    record = stage_record(run, stage, begun=True)
    for later in recipes.STAGES[recipes.STAGES.index(stage) :]:
        if later in run.ledger.parts() and (later == stage or not is_done(run, later)):
            run.ledger.set_part(later, None)
    return record


def finish(run: Run, stage: str, record: dict[str, Any]) -> None:
    """Note that a stage is done, and take back the later ones that stood on what was there before.

    `record` is what `begin` gave, or `stage_record` for a stage that goes on with what was begun.
    """
    # what was taken back of this stage is made again
    if run.ledger.done(waiting_for(stage)):
        run.ledger.forget(waiting_for(stage))
    run.ledger.merge()
    for later in recipes.STAGES[recipes.STAGES.index(stage) + 1 :]:
        run.ledger.set_part(later, None)
    run.ledger.set_part(stage, record)
