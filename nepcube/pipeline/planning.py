"""What a run will take: blocks, bytes, peak memory; and how a memory budget becomes threads."""

from __future__ import annotations

import os
from dataclasses import dataclass

from nepcube import recipe as recipes
from nepcube.errors import RecipeError
from nepcube.execute import Settings
from nepcube.grid import target_grid
from nepcube.pipeline.context import Options, cut_of
from nepcube.places import Place
from nepcube.store import KEPT, Sides

# bytes of an interpreter with everything imported and compiled, and of the decoded tiles that are kept
_BASE = 430 * 2**20
_TILES = 170 * 2**20
# places of the source's centres that an average holds at once
_CENTRES = 2**20 * 64


@dataclass(frozen=True)
class Plan:
    """Figures of a run, before it is done."""

    rows: int
    columns: int
    blocks: int
    years: int
    tasks: int
    bytes_cube: int
    bytes_statistics: int
    peak_memory: int
    threads: int
    files: int
    sides: Sides


def per_thread(recipe: recipes.Recipe, block: int, sides: Sides) -> int:
    """Give the bytes that one job holds at its peak."""
    years = len(recipe.years)
    side = sides.chunk
    cells = side * side
    series = 2 + len(recipe.sources.drivers)
    # all years of a chunk: the inputs and results in float32, the arrays that a statistic stacks, one year in float64
    analyse = cells * years * 4 * (series + 4) + cells * 8 * 12 + cells * 4 * 30
    ingest = block * block * (4 * 8 + 8 * 6)
    if any(s.resampling == "average" or s.elevation for s in recipe.sources.readers().values()):
        ingest += _CENTRES
    if recipe.respiration.basis == "monthly":
        analyse += cells * 12 * 8 * 5
    elif recipe.respiration.basis == "daily":
        analyse += 64 * side * 366 * 8 * 5
    if sides.shard is not None:
        # coded chunks on their way to the temporary files, and the shard that is put together of them
        analyse += 2 * KEPT + 2 * 4 * sides.shard**2
    return max(analyse, ingest)


def settle(recipe: recipes.Recipe, options: Options) -> Settings:
    """Choose the number of threads or processes that stays within the memory budget.

    Raises
    ------
    RecipeError
        The budget is less than one job needs.
    """
    width = options.workers or os.cpu_count() or 1
    processes = options.workers is not None and options.workers > 1
    if options.memory is not None and options.scheduler is None:
        sides, block = _cut(recipe, options)
        one = per_thread(recipe, block, sides)
        base = _BASE + _TILES
        least = base + one
        if options.memory < least:
            raise RecipeError(
                f"--memory {_mib(options.memory)}: one job of this recipe needs {_mib(least)}.",
                f"Allow at least {_mib(least)}"
                + (", or choose smaller blocks with --block 256." if block > 256 else "."),
            )
        if processes:
            width = max(1, min(width, (options.memory - _BASE) // (base + one)))
        else:
            width = max(1, min(width, (options.memory - base) // one))
    if processes and width > 1:
        return Settings(workers=width, scheduler=options.scheduler)
    return Settings(scheduler=options.scheduler, threads=int(width))


def _cut(recipe: recipes.Recipe, options: Options) -> tuple[Sides, int]:
    shape = (1, 1)
    # a grid around regions is not known before they are read, and is taken for one without shards
    if not isinstance(recipe.grid.bounds, str):
        rows, columns = target_grid(recipe.grid.bounds, recipe.grid.resolution, recipe.grid.crs).shape
        shape = int(rows), int(columns)
    return cut_of(shape, options.block or recipe.blocks, options.sides, None)


def _mib(value: int) -> str:
    return f"{-(-value // 2**20)} MiB"


def make_plan(recipe: recipes.Recipe, shape: tuple[int, int], options: Options, out: Place | None = None) -> Plan:
    """Work out the figures of a run; what is in `out` already stays cut as it is."""
    rows, columns = shape
    sides, block = cut_of(shape, options.block or recipe.blocks, options.sides, out)
    blocks = -(-rows // block) * -(-columns // block)
    years = len(recipe.years)
    cells = rows * columns
    settings = settle(recipe, options)
    processes = settings.workers is not None
    threads = settings.threads or settings.workers or 1
    statistics = 9 + 3 + 4 + 2 * len(recipe.correlates) * len(recipe.statistics.partial_correlation.of)
    each = per_thread(recipe, block, sides)
    units = -(-rows // sides.unit) * -(-columns // sides.unit)
    layers = years * (len(recipe.sources.drivers) + 4) + statistics + 4
    # no thread holds more than there is
    share = min(1.0, cells / (block * block))
    single = int(max(each * share, each * 0.05))
    return Plan(
        rows,
        columns,
        blocks,
        years,
        tasks=blocks * (years + 1) + 3 * blocks,
        bytes_cube=cells * years * (4 * (4 + len(recipe.sources.drivers) - 1) + 1),
        bytes_statistics=cells * (4 * statistics + 4),
        peak_memory=_BASE + (threads * (_BASE + _TILES + single) if processes else _TILES + threads * single),
        threads=threads,
        files=units * layers,
        sides=sides,
    )
