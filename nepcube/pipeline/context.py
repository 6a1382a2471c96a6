"""What every stage of a run needs: recipe, grid, stores, ledger, engine, and a way to tell how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import sources
from nepcube.errors import GridError, RecipeError
from nepcube.grid import Window, target_grid
from nepcube.pipeline.stages import require_same_cube
from nepcube.places import Place
from nepcube.store import CLIMATE, CUBE, STATISTICS, Ledger, Sides, Store, metadata_of, sides_for, sides_of

if TYPE_CHECKING:
    import geopandas as gpd
    from odc.geo.geobox import GeoBox

    from nepcube.execute import Engine
    from nepcube.report import Language

#: stages whose results are what a run leaves; `publish` is asked for by its own verb
RUN_STAGES = ("ingest", "analyse", "aggregate", "report")


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
        cube=Store(out / CUBE, grid, sides.unit, inner),
        statistics=Store(out / STATISTICS, grid, sides.unit, inner),
        climate=Store(out / CLIMATE, grid, sides.unit, inner),
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
    for name in ("npp", "temperature"):
        try:
            return sides_of(metadata_of(out / CUBE / name))
        except (ValueError, LookupError):
            continue
    return None
