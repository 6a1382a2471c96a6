"""What a run will read, write and take in time: from its plan, its files, and rates that were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nepcube import recipe as recipes
from nepcube import sources
from nepcube.errors import NepcubeError
from nepcube.pipeline.calibrating import Rates
from nepcube.pipeline.inputs import Found
from nepcube.pipeline.planning import Plan

# bytes of a tile and year, and seconds of CPU to decode one; neighbouring blocks decode it again now and then
_TILE_BYTES, _TILE_SECONDS = 10e6, 0.12
# the climate's own grids in degrees, and the steps of a year that files usually hold
_GRIDS = {"era5-land": 0.1, "era5": 0.25, "chirps": 0.05}
_STEPS = {"annual": 12, "monthly": 12, "daily": 365}
# what two jobs at once lose to each other and to what one thread does for all
_SHARE = 0.85


@dataclass(frozen=True)
class Estimate:
    """Figures that are good to a factor of two.

    Attributes
    ----------
    bytes_in : float
        Of the files that are there; of those that are missing, what such files usually have.
    missing : bool
        Whether `bytes_in` counts files that are missing.
    bytes_out : float
        Of both stores, compressed.
    ingest, analyse : float
        Seconds, on as many jobs at once as the plan says, with nothing else running.
    stands_on : str
    """

    bytes_in: float
    missing: bool
    bytes_out: float
    ingest: float
    analyse: float
    stands_on: str


def estimate(
    recipe: recipes.Recipe,
    plan: Plan,
    rates: Rates,
    found: Sequence[Found],
    bounds: tuple[float, float, float, float],
) -> Estimate:
    """Estimate a run within `bounds`, in degrees."""
    years = plan.years
    cells = plan.rows * plan.columns
    held: dict[str, int] = {g.path: g.bytes for f in found for g in f.granules}
    bytes_in: float = sum(held.values())
    missing = False
    tiles = 0
    for quantity, source in recipe.sources.readers().items():
        for record in source.records(recipe.period):
            spanned = record.years[1] - record.years[0] + 1
            needed = _tiles(record.source.reader, bounds)
            tiles += needed * spanned
            if not any(f.quantity == quantity and f.granules for f in found):
                missing = True
                bytes_in += _usual(record.source.reader, needed, spanned, bounds, recipe.respiration.basis)
    chunks = -(-plan.rows // plan.sides.chunk) * -(-plan.columns // plan.sides.chunk)
    ingest = cells * years * rates.ingest + plan.blocks * years * rates.job + tiles * _TILE_SECONDS
    analyse = cells * years * rates.analyse + chunks * rates.chunk
    width = min(plan.threads, max(1, plan.blocks))
    speed = 1.0 if width == 1 else width * _SHARE
    return Estimate(
        bytes_in,
        missing,
        (plan.bytes_cube + plan.bytes_statistics) * rates.packed,
        ingest / speed,
        analyse / speed,
        rates.stands_on,
    )


def _tiles(name: str, bounds: tuple[float, float, float, float]) -> int:
    try:
        reader = sources.reader(name)
    except NepcubeError:
        return 0
    return len(reader.expected(bounds)) if isinstance(reader, sources.Tiled) else 0


def _usual(name: str, tiles: int, years: int, bounds: tuple[float, float, float, float], basis: str) -> float:
    if tiles:
        return tiles * years * _TILE_BYTES
    west, south, east, north = bounds
    step = _GRIDS.get(name, 0.1)
    return (east - west) * (north - south) / step**2 * _STEPS[basis] * years * 4
