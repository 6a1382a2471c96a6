"""Strata of a run: their files opened and checked, their maps, and the names of their tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import sources, spec, stats, store
from nepcube.errors import RecipeError, SourceError
from nepcube.places import is_url

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from nepcube.grid import Window
    from nepcube.pipeline.context import Run

#: what the attributes of a map of a stratum are told by
MARK = "stratum"


def stratum_files(recipe: recipes.Recipe) -> dict[str, tuple[str, ...]]:
    """Name the files of each stratum.

    Raises
    ------
    SourceError
        A pattern matches nothing.
    """
    return {name: _files(recipe, name) for name in recipe.strata}


def _files(recipe: recipes.Recipe, name: str) -> tuple[str, ...]:
    one = recipe.strata[name]
    if isinstance(one, recipes.Categorical) and one.change is not None:
        patterns = [p for year in one.change for p in one.patterns(year)]
    else:
        patterns = list(one.patterns())
    return sources.expand([recipe.resolve(p) for p in patterns])


def missing_strata(recipe: recipes.Recipe) -> list[str]:
    """Name the strata whose files are not there, such as those of a disk that is not mounted."""
    out = []
    for name in recipe.strata:
        try:
            _files(recipe, name)
        except SourceError:
            out.append(name)
    return out


def stratum_record(recipe: recipes.Recipe, known: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give what identifies the files of the strata: where, how large, and of when they are.

    Parameters
    ----------
    recipe : Recipe
    known : mapping, optional
        What was recorded when the files were read: it stands for strata whose files are not there now, as what was
        made of them needs them no more.

    Raises
    ------
    SourceError
        Files are not there, and `known` is left out.
    """
    found: dict[str, Any] = {}
    for name in recipe.strata:
        try:
            found[name] = [_seen(path, recipe.base) for path in _files(recipe, name)]
        except (SourceError, OSError):
            if known is None:
                raise
            found[name] = known.get(name)
    return found


def _seen(path: str, base: Any) -> list[Any]:
    if is_url(path):
        return [path, *sources.head(path)]
    told = os.stat(path)
    return [os.path.relpath(path, base), told.st_size, told.st_mtime_ns]


def open_strata(recipe: recipes.Recipe, grid: GeoBox) -> tuple[region_room.Stratum, ...]:
    """Read the headers of every stratum's files.

    Raises
    ------
    NepcubeError
        A file is missing, damaged, of another kind than the recipe says, or far from the grid.
    """
    return tuple(open_stratum(recipe, name, grid) for name in recipe.strata)


def open_stratum(recipe: recipes.Recipe, name: str, grid: GeoBox) -> region_room.Stratum:
    """Read the headers of one stratum's files; see `open_strata`."""
    one = recipe.strata[name]
    if isinstance(one, recipes.Categorical):
        years = one.change or (None,)
        sheets = [_bands(recipe, one, one.patterns(year)) for year in years]
        for bands in sheets:
            region_room.require_whole_numbers(name, bands)
        legend = one.legend
        labels = tuple(legend.values())
        if one.change is not None:
            labels = tuple(a if a == b else f"{a} to {b}" for a in labels for b in labels)
        lattices = tuple(region_room.lattices_of(bands) for bands in sheets)
        found = region_room.Stratum(
            name,
            "categorical",
            lattices,
            labels,
            codes=tuple(legend),
            min_fraction=one.min_fraction,
            fractions=one.method == "fraction",
            most=one.overlapping == "most",
        )
    else:
        bands = _bands(recipe, one, one.patterns())
        units = region_room.units_of(name, bands, one.units)
        if one.of == "slope" and units != "m":
            raise RecipeError(f"strata.{name}: the slope of heights in {units!r}.", "Give heights in m.")
        labels = one.labels or tuple(stats.interval_labels(one.breaks))
        if len(set(labels)) < len(labels):
            raise RecipeError(
                f"strata.{name}.breaks: two classes would be called {_twice(labels)!r}.", "Name them with `labels`."
            )
        found = region_room.Stratum(
            name,
            "continuous",
            (region_room.lattices_of(bands),),
            labels,
            breaks=one.breaks,
            slope=one.of == "slope",
            min_fraction=one.min_fraction,
            most=one.overlapping == "most",
            units="degree" if one.of == "slope" else units,
        )
    for each in found.lattices:
        region_room.require_overlap(name, each, grid)
    return found


def _bands(
    recipe: recipes.Recipe, one: recipes.Categorical | recipes.Continuous, patterns: Sequence[str]
) -> list[sources.Band]:
    paths = sources.expand([recipe.resolve(p) for p in patterns])
    return [sources.open_band(path, number=one.band, nodata=one.nodata) for path in paths]


def _twice(labels: Sequence[str]) -> str:
    return next(label for k, label in enumerate(labels) if label in labels[:k])


def layouts_of(strata: Sequence[region_room.Stratum]) -> list[store.Layout]:
    """Give the arrays of the strata: classes of each, and the mean of a continuous one."""
    out = []
    for one in strata:
        attrs: dict[str, Any] = {"long_name": f"class of {one.name}", "units": "1", MARK: one.name}
        attrs |= {"names": list(one.labels)} | spec.flag_attrs(one.flags | {255: region_room.REST}, "uint8")
        if one.kind == "continuous":
            attrs |= {"breaks": list(one.breaks)}
            what = f"mean {one.name}" if not one.slope else f"mean slope of the {one.name} raster (Horn)"
            mean = {"long_name": what, "units": one.units, "cell_methods": "area: mean", MARK: one.name}
            out.append(store.Layout(one.name, "float32", mean, yearly=False))
        elif one.flags.keys() != set(one.codes):
            attrs |= {"codes": list(one.codes)}
        out.append(store.Layout(map_of(one), "uint8", attrs, yearly=False))
    return out


def map_of(stratum: region_room.Stratum) -> str:
    """Give the name of the map of a stratum's classes."""
    return f"stratum_{stratum.name}"


def maps_of(stratum: region_room.Stratum, found: region_room.Found) -> dict[str, Any]:
    """Give the maps of a stratum in a window under their names in the store."""
    flags = np.full(256, region_room.NO_CLASS, np.uint8)
    flags[: len(stratum.labels)] = list(stratum.flags)
    out = {map_of(stratum): flags[found.classes]}
    return out if found.mean is None else out | {stratum.name: found.mean}


def ranks_of(stratum: region_room.Stratum, stored: Any) -> Any:
    """Give the ranks of the classes of a stored map; 255 is none."""
    ranks = np.full(256, region_room.NO_CLASS, np.uint8)
    ranks[list(stratum.flags)] = np.arange(len(stratum.labels))
    return ranks[stored]


def first_maps(strata: Sequence[region_room.Stratum], grid: GeoBox, window: Window) -> dict[str, xr.DataArray]:
    """Give the maps of every stratum that needs its rasters once only: all but those of fractions."""
    import xarray as xr

    out: dict[str, xr.DataArray] = {}
    for one in strata:
        if not one.fractions:
            found = region_room.stratum_window(one, grid, window)
            out |= {n: xr.DataArray(v) for n, v in maps_of(one, found).items()}
    return out


def maps_there(run: Run) -> list[str]:
    """Name the maps of strata that the store holds."""
    return [name for name in run.statistics.names() if MARK in run.statistics.attrs(name)]


def units_of_classes(run: Run) -> dict[str, str]:
    """Give the strata of a run, each with the unit of its classes, which those of codes have not."""
    continuous = {n for n, one in run.recipe.strata.items() if isinstance(one, recipes.Continuous)}
    return {
        name: str(run.statistics.attrs(name)["units"]) if name in continuous and run.statistics.has(name) else ""
        for name in run.recipe.strata
    }


def standard_strata(recipe: recipes.Recipe) -> frozenset[str]:
    """Give the strata whose classes have nepcube's own names: of a table that it knows, or bounds without labels."""
    return frozenset(
        name
        for name, one in recipe.strata.items()
        if (isinstance(one.names, str) if isinstance(one, recipes.Categorical) else not one.labels)
    )
