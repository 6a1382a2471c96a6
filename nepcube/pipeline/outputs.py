"""Finished outputs, opened side by side: what they must have, and in what their recipes differ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from nepcube import spec, store
from nepcube.errors import GridError, StoreError
from nepcube.places import LocalPlace, Place, place_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

# the stages without whose results there is nothing to compare
_NEEDED = ("ingest", "analyse", "aggregate")


@dataclass(frozen=True)
class Output:
    """A finished output: its stores, its grid, its years, and the recipe that made it, as a plain mapping."""

    place: Place
    grid: GeoBox
    period: tuple[int, int]
    recipe: Mapping[str, Any]

    def __str__(self) -> str:
        return str(self.place)

    @property
    def cube(self) -> Place:
        return self.place / store.CUBE

    @property
    def statistics(self) -> Place:
        return self.place / store.STATISTICS

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return str(self.recipe.get("name", self.place.name))

    @property
    def years(self) -> range:
        return range(self.period[0], self.period[1] + 1)

    @property
    def potential(self) -> bool:
        """Whether NPP is modelled from climate."""
        return "model" in self.recipe["sources"]["npp"]

    @cached_property
    def maps(self) -> dict[str, store.Layout]:
        """The maps of the statistics, by name."""
        return store.maps_of(self.statistics)

    @cached_property
    def sides(self) -> store.Sides:
        """How the maps are cut into chunks and shards."""
        return store.sides_of(store.metadata_of(self.statistics / "nep_mean"))

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """What is told of the statistics as a whole."""
        return store.root_attrs(self.statistics)

    @property
    def region_names(self) -> list[str]:
        """The names of the regions, from number 1 on."""
        return [str(name) for name in self.maps["region"].attrs.get("names", [])]

    def flags(self, name: str) -> dict[int, str]:
        """The words of each code of a map of classes, without what has none."""
        return spec.labels_of(self.maps[name].attrs)


def open_output(where: str | os.PathLike[str] | Place) -> Output:
    """Open an output whose cube, statistics and tables are finished.

    Raises
    ------
    StoreError
        It is no output of nepcube, or it is not finished.
    """
    from affine import Affine
    from odc.geo.geobox import GeoBox

    place = place_of(where)
    require_output(place)
    parts = store.Ledger.open(place).parts()
    missing = [stage for stage in _NEEDED if stage not in parts]
    open_stores = [n for n in (store.CUBE, store.STATISTICS) if not store.is_committed(place / n)]
    text = (place / "recipe.yaml").read_text()
    if missing or open_stores or text is None:
        what = f"`{missing[0]}` is not done" if missing else f"{(*open_stores, 'recipe.yaml')[0]} is not there"
        raise StoreError(
            f"{place}: the output is not finished, {what}.",
            "Run nepcube with its recipe and this output: it continues.",
        )
    crs, rows, columns, *affine = parts["ingest"]["grid"]
    first, last = parts["aggregate"]["period"]
    grid = GeoBox((rows, columns), Affine(*affine), crs)
    return Output(place, grid, (int(first), int(last)), yaml.safe_load(text))


def require_output(place: Place) -> None:
    """Refuse a folder that no run wrote into.

    Raises
    ------
    StoreError
    """
    place.require()
    if not (place / ".nepcube").is_folder():
        raise StoreError(f"{place}: this is no output of nepcube.", "Name the folder that was given to `run` with -o.")


def require_comparable(a: Output, b: Output, out: Place) -> range:
    """Give the years that two outputs share.

    Raises
    ------
    StoreError
        They are one output, the comparison would be written into one of them, or they share no year.
    GridError
        Their grids differ.
    """
    if _same(a.place, b.place):
        raise StoreError(f"{a}: both outputs are this folder.", "Name two outputs.")
    for one in (a, b):
        if _same(one.place, out):
            raise StoreError(f"{out}: the comparison would be written into a run.", "Choose another folder with -o.")
    differs = grid_differences(a.grid, b.grid)
    if differs:
        raise GridError(
            f"{b}: its grid is not that of {a}: {'; '.join(differs)}.", "Run both recipes with one `grid`, and compare."
        )
    first, last = max(a.period[0], b.period[0]), min(a.period[1], b.period[1])
    if first > last:
        raise StoreError(
            f"{b}: it shares no year with {a} ({period_text(b.period)} and {period_text(a.period)}).",
            "Run both recipes over periods that overlap, and compare.",
        )
    return range(first, last + 1)


def grid_differences(a: GeoBox, b: GeoBox) -> list[str]:
    """Tell in what two grids differ: cells, CRS, position; nothing where they are the same to the last digit."""
    told = []
    if a.crs != b.crs:
        told.append(f"{b.crs} and {a.crs}")
    if tuple(a.shape) != tuple(b.shape):
        told.append(f"{b.shape[0]} x {b.shape[1]} and {a.shape[0]} x {a.shape[1]} cells")
    one, other = tuple(b.affine)[:6], tuple(a.affine)[:6]
    if (one[0], one[4]) != (other[0], other[4]):
        told.append(f"cells of {one[0]!r} and {other[0]!r}")
    if (one[2], one[5]) != (other[2], other[5]):
        told.append(f"corners at {one[2]!r}, {one[5]!r} and {other[2]!r}, {other[5]!r}")
    if not told and one != other:
        told.append("one is turned")
    return told


def period_text(period: tuple[int, int] | range) -> str:
    """Write a period."""
    first, last = period[0], period[-1]
    return str(first) if first == last else f"{first}-{last}"


def _same(one: Place, other: Place) -> bool:
    if isinstance(one, LocalPlace) and isinstance(other, LocalPlace):
        return one.path.resolve() == other.path.resolve()
    return str(one).rstrip("/") == str(other).rstrip("/")
