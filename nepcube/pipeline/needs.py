"""What the stages hold in memory at their peak, from figures that `benchmarks/scale.py` measures; docs/scale.md.

Resident bytes, summed over the process tree: an interpreter with everything imported, for each process what its jobs
hold, and before that the climate's own fields, which are made one at a time. What jobs hold depends on the block, the
chunk and the years, and not on the area.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from nepcube import recipe as recipes
from nepcube.store import KEPT, Sides

MIB = 2**20
# an interpreter with what a stage imports and compiles; with dask.distributed; and the process that leads others
_BASE = {"ingest": 262 * MIB, "analyse": 288 * MIB, "aggregate": 290 * MIB}
_WORKER = 50 * MIB
_LEADER = 255 * MIB
# what a thread holds beside its arrays: buffers of the compressor, what malloc does not give back
_THREAD = 4 * MIB
# pyarrow, which pandas imports where it is installed
_ARROW = 35 * MIB
# what a process holds once more where it is the first to compile the kernels
_COMPILING = 80 * MIB
# bytes a cell of a block: NPP and its flags in the source and on the grid, a driver on the grid, positions
_PER_CELL, _PER_DRIVER = 44, 5
# decoded tiles that a process keeps, and what decoding one more holds
_TILED = {"mod17a3hgf": (72 * MIB, 27 * MIB), "vnp17a3hgf": (0, 8 * MIB)}
# places of the source's centres that an average holds at once
_CENTRES = 2**20 * 64
# rows of a chunk in which a year of months or days is held at once, and bytes a cell and step
STRIPS = {"annual": 512, "monthly": 256, "daily": 64}
_STEPS = {"annual": 0, "monthly": 12, "daily": 366}
_PER_STEP = 40
# and bytes a cell and step of a derivative of respiration
_PER_DERIVATIVE = 24
# maps that are on their way to others
_PASSING = 7
# aggregate: bytes a cell of a block while it is labelled; of a chunk its cells' regions, areas, codes of classes
_LABELLED, _SUMMED = 45, 90
# degrees of the climate's own grid, the finest where it is not known, and bytes a cell of a field that is being made
_NATIVE = {"era5-land": 0.1, "era5": 0.25}
_FINEST, _PER_NATIVE = 0.05, 32


@dataclass(frozen=True)
class Needs:
    """Bytes at the peak of each stage."""

    ingest: int
    analyse: int
    aggregate: int

    @property
    def most(self) -> int:
        return max(self.ingest, self.analyse, self.aggregate)


def job_of(recipe: recipes.Recipe, block: int, sides: Sides) -> Needs:
    """Give the bytes that one job of each stage holds."""
    years = len(recipe.years)
    drivers = len(recipe.sources.drivers)
    readers = recipe.sources.readers()
    ingest = _THREAD + block * block * (_PER_CELL + _PER_DRIVER * drivers)
    if "npp" in readers:
        ingest += max(_TILED.get(r.source.reader, (0, 0))[1] for r in readers["npp"].records(recipe.period))
    if any(s.resampling == "average" or s.elevation for s in readers.values()):
        ingest += _CENTRES
    cells = sides.chunk**2
    layer = cells * years * 4
    # the inputs and flags, with rh and nep and the maps ...
    series = 1 + drivers + 0.25
    statistics = layer * (series + 2) + cells * 4 * (maps_of(recipe) + _PASSING)
    # ... or before them with rh in strips, beside a year of months or days
    strip = min(STRIPS[recipe.respiration.basis], sides.chunk) * sides.chunk
    respiration = layer * (series + 1) + strip * _STEPS[recipe.respiration.basis] * _PER_STEP
    analyse = int(max(statistics, respiration, _propagated(recipe, layer * (series + 2), strip, cells))) + _THREAD
    aggregate = _THREAD + max(_LABELLED * block * block, cells * (5 * years + 8 * (4 + drivers) + _SUMMED))
    if sides.shard is not None:
        # coded chunks on their way to the temporary files, and the shard that is put together of them
        coded = 2 * KEPT + 2 * 4 * sides.shard**2
        analyse += coded
        ingest += coded
    return Needs(ingest, analyse, aggregate)


def _propagated(recipe: recipes.Recipe, held: float, strip: int, cells: int) -> float:
    # all series and the sums over years in float64, beside a year of derivatives of one strip, or several times as they
    # become maps
    if recipe.uncertainty is None:
        return 0.0
    steps = max(1, _STEPS[recipe.respiration.basis])
    sums = cells * 8 * (4 + len(recipe.uncertainty.coefficients))
    return held + max(sums + strip * steps * (_PER_STEP + _PER_DERIVATIVE), 5 * sums)


def maps_of(recipe: recipes.Recipe) -> int:
    """Give how many maps of 4 bytes a cell the statistics are at most, but for those of the regions and classes."""
    wanted, drivers = recipe.statistics, len(recipe.correlates)
    asked = wanted.partial_correlation
    out = 17 + 2 * drivers + wanted.cv.detrended + wanted.hurst + 3 * wanted.pettitt + 5 * wanted.residual_trend
    out += (len(asked.of) - 1) * (2 * drivers + 2) + len(asked.of) * asked.regression * (2 * drivers + 3)
    if wanted.breakpoint is not None:
        out += 5 * len(wanted.breakpoint.years) + 6 * wanted.breakpoint.search
    if wanted.attribution is not None:
        out += 4
    if recipe.uncertainty is not None:
        # the errors, and what they are made of
        out += 6 + len(recipe.uncertainty.coefficients)
    if wanted.sufficient:
        # float64: n, the means and the products of NEP, NPP, drivers and years
        series = 3 + drivers
        out += 2 * (1 + series + series * (series + 1) // 2)
    return out


def needs_of(
    recipe: recipes.Recipe, block: int, sides: Sides, *, threads: int, processes: int | None, first: bool = False
) -> Needs:
    """Give the peak of each stage for so many threads of one process, or so many processes of one thread.

    `first` says that the kernels are compiled, too, and not read from numba's cache.
    """
    job, kept, native, arrow = job_of(recipe, block, sides), _kept(recipe), _native_field(recipe), _arrow()

    def peak(stage: str, one: int, kept: int) -> int:
        base = _BASE[stage] + arrow + _COMPILING * first
        if processes is None:
            return base + max(kept + threads * one, native)
        # the climate's own fields are made by the process that leads
        leader = _LEADER + arrow
        return max(leader + processes * (base + _WORKER + kept + one), leader + native)

    return Needs(peak("ingest", job.ingest, kept), peak("analyse", job.analyse, 0), peak("aggregate", job.aggregate, 0))


def worker_needs(recipe: recipes.Recipe, block: int, sides: Sides, *, threads: int) -> Needs:
    """Give the peak of each stage for one worker of a cluster; the process that leads has no more than another."""
    job = job_of(recipe, block, sides)

    def peak(stage: str, one: int, kept: int) -> int:
        return _BASE[stage] + _arrow() + _COMPILING + _WORKER + kept + threads * one

    return Needs(
        peak("ingest", job.ingest, _kept(recipe)),
        peak("analyse", job.analyse, 0),
        peak("aggregate", job.aggregate, 0),
    )


def _kept(recipe: recipes.Recipe) -> int:
    readers = recipe.sources.readers()
    if "npp" not in readers:
        return 0
    return max(_TILED.get(r.source.reader, (0, 0))[0] for r in readers["npp"].records(recipe.period))


def _arrow() -> int:
    return _ARROW if find_spec("pyarrow") is not None else 0


def _native_field(recipe: recipes.Recipe) -> int:
    bounds = recipe.grid.bounds
    if isinstance(bounds, str) or recipe.grid.crs.upper() != "EPSG:4326":
        return 0
    west, south, east, north = bounds
    fields = []
    for quantity in recipe.sources.drivers:
        for record in recipe.sources.readers()[quantity].records(recipe.period):
            step = _NATIVE.get(record.source.reader, _FINEST)
            fields.append((east - west) * (north - south) / step**2)
    return int(max(fields, default=0) * _PER_NATIVE)
