"""What a run will take: blocks, bytes, files, peak memory, time; and how a memory budget becomes blocks and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from nepcube import recipe as recipes
from nepcube.errors import RecipeError, StoreError
from nepcube.execute import Settings
from nepcube.grid import target_grid
from nepcube.machine import cores, memory_there
from nepcube.pipeline.context import Options, cut_of
from nepcube.pipeline.needs import Needs, maps_of, needs_of, worker_needs
from nepcube.places import Place
from nepcube.recipe.clusters import ClusterSection
from nepcube.store import CHUNK, Sides

# the smallest block that a budget makes of larger ones, where chunks are not cut yet
_LEAST_BLOCK = 128
# the part of the memory that is there that a run takes by itself
_OWN = 0.9


@dataclass(frozen=True)
class Plan:
    """Figures of a run, before it is done.

    `threads` counts the jobs at once: threads of one process, or `processes` of one thread. Where a cluster is asked
    for, `processes` are its workers, `each` their threads, and `memory` is that of one of them.
    """

    rows: int
    columns: int
    block: int
    blocks: int
    years: int
    tasks: int
    bytes_cube: int
    bytes_statistics: int
    memory: Needs
    threads: int
    processes: int | None
    files: int
    sides: Sides
    each: int = 1
    on_cluster: bool = False

    @property
    def peak_memory(self) -> int:
        return self.memory.most


@dataclass(frozen=True)
class _Cut:
    block: int
    sides: Sides


def settle(
    recipe: recipes.Recipe,
    options: Options,
    out: Place | None = None,
    shape: tuple[int, int] | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Settings, Options]:
    """Choose blocks, and threads or processes, that stay within the memory budget; give the options with the block.

    Blocks are made smaller before fewer jobs are done at once, down to one chunk, where `--block` says nothing. Where
    two processes do not fit, threads of one are taken. Chunks of a new store are made smaller only where nothing fits
    otherwise, since they become more files. Without a budget the memory of the machine, batch job or container is one,
    as far as it goes.

    Raises
    ------
    RecipeError
        The budget is less than the smallest that the recipe can be run with, there is one for a cluster, or a worker
        that the recipe asks for has too little memory.
    """
    cluster = cluster_of(recipe, options)
    if options.memory is not None and (cluster is not None or options.scheduler is not None):
        raise RecipeError(
            "--memory bounds what runs on this machine, and the workers of a cluster do not.",
            "Leave it out: the recipe's `cluster.memory`, or how `dask worker` was started, says what they have.",
        )
    width = options.workers or cores()
    processes = width if options.workers is not None and width > 1 else None
    if options.scheduler is not None:
        return _settings(options, width, processes), options
    cuts = list(_cuts(recipe, options, out, shape or _shape_of(recipe)))
    if cluster is not None:
        _require_room(recipe, cluster, cuts[0])
        return _settings(options, width, processes), options

    def most(cut: _Cut, threads: int, processes: int | None = None) -> int:
        # a budget holds for the first run, too
        return needs_of(recipe, cut.block, cut.sides, threads=threads, processes=processes, first=True).most

    there = memory_there() or 0
    budget = options.memory or int(_OWN * there)
    if options.memory is None and (not there or most(cuts[0], width, processes) <= budget):
        return _settings(options, width, processes), options
    for whole in (True, False):
        some = [c for c in cuts if (c.sides.chunk >= min(CHUNK, cuts[0].block)) is whole]
        for many in range(width, 0, -1):
            for apart in (many, None) if processes and many > 1 else (None,):
                for cut in some:
                    if most(cut, many, apart) <= budget:
                        if options.memory is None:
                            say(f"memory: {many} job(s) at once, in blocks of {cut.block}, fit into {_mib(there)}")
                        return _settings(options, many, apart), replace(options, block=cut.block)
    least = min(most(c, 1) for c in cuts)
    if options.memory is None:
        # nobody asked for a bound: the system may still find room, and the run goes on where it was
        say(f"warning: this recipe needs {_mib(least)}, with one job at a time, and {_mib(there)} are there")
        return _settings(options, 1, None), replace(options, block=min(c.block for c in cuts))
    raise RecipeError(
        f"--memory {_mib(options.memory)}: this recipe needs {_mib(least)}, with one job at a time.",
        f"Allow at least {_mib(least)}{', or leave --block out' if options.block else ''}.",
    )


def cluster_of(recipe: recipes.Recipe, options: Options) -> ClusterSection | None:
    """Give the cluster that a run asks for: the recipe's, unless the command line says what it runs on."""
    return recipe.cluster if options.workers is None and options.scheduler is None else None


def _require_room(recipe: recipes.Recipe, cluster: ClusterSection, cut: _Cut) -> None:
    from dask.utils import parse_bytes

    least = worker_needs(recipe, cut.block, cut.sides, threads=cluster.cores).most
    if parse_bytes(cluster.memory) < least:
        raise RecipeError(
            f"cluster.memory: a worker of {cluster.cores} thread(s) needs {_mib(least)}, and has {cluster.memory}.",
            f"Allow at least {_mib(least)}, or take fewer `cores` or smaller `blocks`.",
        )


def _settings(options: Options, width: int, processes: int | None) -> Settings:
    if processes is not None:
        return Settings(workers=processes, scheduler=options.scheduler)
    return Settings(scheduler=options.scheduler, threads=width)


def _cuts(recipe: recipes.Recipe, options: Options, out: Place | None, shape: tuple[int, int]) -> Iterator[_Cut]:
    # from what was asked for to ever smaller blocks, each of whole chunks of what is there
    block = options.block or recipe.blocks
    seen: set[int] = set()
    while True:
        try:
            sides, side = cut_of(shape, block, options.sides, out)
        except StoreError:
            if not seen:
                raise
        else:
            if side not in seen:
                yield _Cut(side, sides)
            seen.add(side)
        smaller = CHUNK if block > CHUNK else block // 2
        if options.block is not None or smaller < _LEAST_BLOCK:
            return
        block = smaller


def _shape_of(recipe: recipes.Recipe) -> tuple[int, int]:
    # a grid around regions is not known before they are read, and is taken for one without shards
    if isinstance(recipe.grid.bounds, str):
        return 1, 1
    rows, columns = target_grid(recipe.grid.bounds, recipe.grid.resolution, recipe.grid.crs).shape
    return int(rows), int(columns)


def _mib(value: int) -> str:
    return f"{-(-value // 2**20)} MiB"


def make_plan(recipe: recipes.Recipe, shape: tuple[int, int], options: Options, out: Place | None = None) -> Plan:
    """Work out the figures of a run; what is in `out` already stays cut as it is."""
    rows, columns = shape
    settings, options = settle(recipe, options, out, shape)
    sides, block = cut_of(shape, options.block or recipe.blocks, options.sides, out)
    blocks = -(-rows // block) * -(-columns // block)
    years = len(recipe.years)
    cells = rows * columns
    threads = settings.threads or settings.workers or 1
    statistics = maps_of(recipe)
    units = -(-rows // sides.unit) * -(-columns // sides.unit)
    means = sum(isinstance(s, recipes.Continuous) for s in recipe.strata.values())
    strata = len(recipe.strata) + means
    # beside them region, the classes of slope, CV and trend, the dominant driver, and the strata
    layers = years * (len(recipe.sources.drivers) + 4) + statistics + 6 + strata
    # no more jobs are under way, and no job is larger, than there is
    busy = min(threads, blocks)
    apart = None if settings.workers is None else settings.workers
    largest = min(block, max(shape))
    inner = Sides(min(sides.chunk, max(shape)), sides.shard)
    cluster = cluster_of(recipe, options)
    if cluster is None:
        memory = needs_of(recipe, largest, inner, threads=busy, processes=apart)
        processes, each = settings.workers, 1
    else:
        memory = worker_needs(recipe, largest, inner, threads=cluster.cores)
        processes, each = cluster.workers, cluster.cores
        threads = processes * each
    return Plan(
        rows,
        columns,
        block,
        blocks,
        years,
        tasks=blocks * (years + 1) + 3 * blocks,
        bytes_cube=cells * years * (4 * (4 + len(recipe.sources.drivers) - 1) + 1),
        bytes_statistics=cells * (4 * statistics + 6 + len(recipe.strata) + 4 * means),
        memory=memory,
        threads=threads,
        processes=processes,
        files=units * layers,
        sides=sides,
        each=each,
        on_cluster=cluster is not None,
    )
