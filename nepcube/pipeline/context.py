"""What every stage of a run needs: recipe, grid, stores, ledger, engine, and a way to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import sources
from nepcube.errors import GridError, RecipeError
from nepcube.grid import Window, target_grid
from nepcube.pipeline.stratifying import stratum_record
from nepcube.places import Place
from nepcube.store import Ledger, Sides, Store, sides_for, sides_of

if TYPE_CHECKING:
    import geopandas as gpd
    from odc.geo.geobox import GeoBox

    from nepcube.execute import Engine
    from nepcube.report import Language

#: what the ledger calls the metadata of stores, which no stage alone writes
COMMITS = "commits"
#: what the ledger calls the months or days of climate on the grid, which `analyse` writes where they are asked for
CLIMATE = "climate"
#: stages whose results are what a run leaves; `publish` is asked for by its own verb
RUN_STAGES = ("ingest", "analyse", "aggregate", "report")


def waiting_for(stage: str) -> str:
    """Say what the ledger calls the chunks that were taken back, until a stage has made them again."""
    return f"waiting/{stage}"


class Progress(Protocol):
    """Tells the user how far a stage is."""

    def __call__(self, stage: str, done: int, total: int, detail: str = "") -> None: ...


def silent(stage: str, done: int, total: int, detail: str = "") -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Options:
    """How a run is done, none of which changes its results.

    Attributes
    ----------
    workers, scheduler
        See `nepcube.execute.Settings`.
    memory : int, optional
        The budget of the whole process tree, bytes.
    block : int, optional
        Cells a side of a unit of work; the recipe's `blocks` when left out.
    fresh : bool
        Remove what is there and start over.
    sides : Sides, optional
        How new stores are cut; chosen by the size of the grid when left out. A store that is there stays as it is.
    verify : bool
        Hold every chunk that is there against its checksum first.
    languages : tuple of {"en", "zh"}
        In which the page is written; more than one gives a switch.
    """

    workers: int | None = None
    scheduler: str | None = None
    memory: int | None = None
    block: int | None = None
    fresh: bool = False
    sides: Sides | None = None
    verify: bool = False
    languages: tuple[Language, ...] = ("en",)


@dataclass
class Run:
    """One run of a recipe into a folder."""

    recipe: recipes.Recipe
    grid: GeoBox
    polygons: region_room.Regions | None
    out: Place
    block: int
    cube: Store
    statistics: Store
    climate: Store
    ledger: Ledger
    engine: Engine
    progress: Progress = silent
    say: Callable[[str], None] = field(default=lambda _: None)
    languages: tuple[Language, ...] = ("en",)

    @property
    def years(self) -> tuple[int, ...]:
        return tuple(self.recipe.years)

    @property
    def regions(self) -> gpd.GeoDataFrame | None:
        """The regions in the CRS of the grid."""
        return None if self.polygons is None else self.polygons.frame

    @property
    def region_names(self) -> list[str]:
        return [] if self.polygons is None else self.polygons.names

    @property
    def exact(self) -> bool:
        """Whether cells belong to regions by shares of their area, and not by their centres."""
        return self.recipe.regions is not None and self.recipe.regions.overlap == "exact"

    @property
    def yearly_inputs(self) -> tuple[str, ...]:
        """The input variables of the cube."""
        return ("npp", *self.recipe.sources.drivers)

    @property
    def potential(self) -> bool:
        """Whether NPP is modelled from climate."""
        return isinstance(self.recipe.sources.npp, recipes.ModelSource)

    @property
    def flagged(self) -> bool:
        """Whether the source of NPP said why a cell has none: the flags are in the cube then."""
        return self.cube.has("npp_flag")

    def chunks_of(self, window: Window) -> list[Window]:
        """Cut a block into what is written at once: the chunks of the stores, or their shards."""
        side = self.cube.chunk
        return [
            Window(y, min(y + side, window.y1), x, min(x + side, window.x1))
            for y in range(window.y0, window.y1, side)
            for x in range(window.x0, window.x1, side)
        ]


def unit_of(window: Window, side: int, year: int | None = None) -> str:
    """Name a chunk or a shard in the ledger."""
    place = f"{window.y0 // side}/{window.x0 // side}"
    return place if year is None else f"{year}/{place}"


def grid_of(recipe: recipes.Recipe) -> tuple[GeoBox, region_room.Regions | None]:
    """Make the grid of a recipe, and its regions in the grid's CRS."""
    found = None
    if not isinstance(recipe.grid.bounds, str):
        # a CRS that is none is told as such, before polygons are brought to it
        target_grid(recipe.grid.bounds, recipe.grid.resolution, recipe.grid.crs)
    if recipe.regions is not None:
        path = sources.local(recipe.resolve(recipe.regions.path))
        wanted = recipe.regions
        found = region_room.read_regions(
            path, name=wanted.name, crs=recipe.grid.crs, overlap=wanted.overlap, mend=wanted.mend
        )
    bounds = recipe.grid.bounds
    if isinstance(bounds, str):
        if found is None:
            raise RecipeError("grid.bounds: `regions` needs a `regions` section.", "Add one, or give four numbers.")
        bounds = tuple(float(b) for b in found.frame.total_bounds)  # type: ignore[assignment]
    grid = target_grid(bounds, recipe.grid.resolution, recipe.grid.crs)  # type: ignore[arg-type]
    rows, columns = grid.shape
    if rows * columns > 10**10:
        raise GridError(
            f"grid: {rows} x {columns} cells are more than ten thousand million.", "Check `resolution` and `bounds`."
        )
    return grid, found


def geographic_bounds(grid: GeoBox) -> tuple[float, float, float, float]:
    """Give the grid's bounds in degrees."""
    box = grid.boundingbox
    if grid.crs is not None and not grid.crs.geographic:
        box = grid.footprint("EPSG:4326", 0.0, 200).boundingbox
    return float(box.left), float(box.bottom), float(box.right), float(box.top)


def prepare(
    recipe: recipes.Recipe,
    out: Place,
    engine: Engine,
    options: Options,
    *,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> Run:
    """Make a run: its grid and regions, its stores and what is done of them.

    Raises
    ------
    NepcubeError
        The regions or the grid are at fault, or the output belongs to another cube.
    """
    grid, polygons = grid_of(recipe)
    block = options.block or recipe.blocks
    ledger = Ledger.open(out)
    require_same_cube(recipe, grid, ledger, out)
    sides, block = cut_of((int(grid.shape[0]), int(grid.shape[1])), block, options.sides, out)
    inner = sides.chunk if sides.shard else None
    return Run(
        recipe=recipe,
        grid=grid,
        polygons=polygons,
        out=out,
        block=block,
        cube=Store(out / "cube.zarr", grid, sides.unit, inner),
        statistics=Store(out / "statistics.zarr", grid, sides.unit, inner),
        climate=Store(out / "climate.zarr", grid, sides.unit, inner),
        ledger=ledger,
        engine=engine,
        progress=progress,
        say=say,
        languages=options.languages,
    )


def cut_of(shape: tuple[int, int], block: int, wanted: Sides | None, out: Place | None) -> tuple[Sides, int]:
    """Give how the stores of an output are cut, and the side of the blocks that go with it.

    What is there stays as it was begun, whatever is wanted.

    Raises
    ------
    StoreError
        Blocks would cut chunks or shards.
    """
    sides = (None if out is None else _sides_there(out)) or wanted or sides_for(shape, block)
    return sides, sides.block(block, str(out or "the stores"))


def _sides_there(out: Place) -> Sides | None:
    import json

    for name in ("npp", "temperature"):
        try:
            return sides_of(json.loads((out / "cube.zarr" / name / "zarr.json").read_text() or "{}"))
        except (ValueError, LookupError):
            continue
    return None


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
        import hashlib

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
    run.ledger.release([f"{target.path.name}/zarr.json"])
    run.ledger.add(COMMITS, target.path.name, target.commit(attrs, without=without))
    run.ledger.flush()


def unseal(run: Run, target: Store, *, values: bool = False) -> None:
    """Vouch no more for the metadata of a store's arrays, before they are made longer or described.

    The root, which tells of the arrays as they were, stays as it is until the next commit. With `values`, coordinates
    and series are about to be written anew, too.
    """
    root = f"{target.path.name}/zarr.json"
    small = run.ledger.small(target.path.name)
    run.ledger.release(key for key in small if key != root and (values or key.endswith("/zarr.json")))


def take_away(run: Run, target: Store, names: Sequence[str] | None = None) -> None:
    """Remove some arrays, or all of a store, and before it what the ledger says of their metadata and coordinates.

    The units that wrote their chunks must be taken back before. Who stops in between leaves what nobody vouches for,
    and nothing that seems damaged.
    """
    store = target.path.name
    gone = (f"{store}/",) if names is None else (f"{store}/zarr.json", *(f"{store}/{name}/" for name in names))
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
