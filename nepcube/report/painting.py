"""How maps of classes are painted: regions, classes of trend and stability, partial correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nepcube.report.classes import TABLES, Classes, classes_of, partial_classes, shares
from nepcube.report.continuous import paint_elevation
from nepcube.report.inputs import ReportInputs
from nepcube.report.layers import (
    MapKey,
    add_dots,
    domain,
    furnish,
    name_regions,
    patch,
    region_codes,
    show,
    striped_patch,
    values_of,
)
from nepcube.report.style import NO_DATA, PAPER, REGION_FILLS, SLOPE, identifier, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["paint_classes", "paint_partial", "paint_regions"]

#: maps of classes, and the p-values of what they are classes of
_PVALUES = {"slope_class": "nep_slope_pvalue"}


def paint_regions(ax: Axes, inputs: ReportInputs) -> MapKey:
    """Paint the study area: its elevation where that is known, else the fill of each region, and their names."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    if "elevation" in inputs.maps:
        return paint_elevation(ax, inputs)
    told = inputs.words
    names = inputs.region_names
    key = MapKey(told["title.regions" if names else "title.area"])
    maps = inputs.maps
    codes = region_codes(inputs) if "region" in maps else np.zeros(domain(inputs).shape)
    n = max(int(codes.max()), 1)
    fills = [REGION_FILLS[k % len(REGION_FILLS)] for k in range(n)]
    # a cell belongs to the region that holds its centre, however cells are shared out in the tables
    inside = codes > 0 if (codes > 0).any() else domain(inputs)
    data = np.where(inside, np.maximum(codes, 1), np.nan)
    if "nep_mean" in maps:
        data[np.isnan(values_of(inputs, "nep_mean"))] = np.nan
    cmap, norm = ListedColormap(fills), BoundaryNorm(np.arange(0.5, n + 1.5), n)
    _, bare = show(ax, inputs, data, cmap, norm, inside)
    furnish(ax, inputs, key, labels=False)
    name_regions(ax, inputs, key, most_lines=4)
    if key.regions:
        key.fills = _region_colours(inputs, fills)
    elif not names:
        key.handles = [patch(fills[0], told["cells_with_data"])]
    if bare:
        key.handles.append(striped_patch(told["no_data"]))
    return key


def _region_colours(inputs: ReportInputs, fills: list[str]) -> dict[str, str]:
    # the raster's flag meanings carry underscores for spaces; names are compared in that form
    attrs = inputs.maps["region"].attrs if "region" in inputs.maps else {}
    values = np.atleast_1d(attrs.get("flag_values", []))
    meanings = str(attrs.get("flag_meanings", "")).split()
    by_word = {word: fills[int(v) - 1] for v, word in zip(values, meanings, strict=False) if 0 < int(v) <= len(fills)}
    names = inputs.region_names
    out = {}
    for k, name in enumerate(names):
        fallback = fills[k] if k < len(fills) else PAPER
        out[identifier(k, len(names))] = by_word.get("_".join(name.split()), fallback)
    return out


def _codes(data: NDArray[np.float64], classes: Classes) -> NDArray[np.float64]:
    out = np.full(data.shape, np.nan)
    for k, value in enumerate(classes.values):
        out[data == value] = k
    return out


def paint_classes(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint a map of classes: of the trend, of the stability, of drivers or causes."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    told = inputs.words
    classes = classes_of(inputs.maps[name], inputs.language)
    title = told[f"title.{name}"].format(nep=inputs.nep, years=inputs.years)
    key = MapKey(title, heading=told[f"key.{name}"].format(unit=inputs.unit(SLOPE)))
    n = max(len(classes.values), 1)
    colors = list(classes.colors) or [NO_DATA]
    data = _codes(values_of(inputs, name), classes)
    picture, bare = show(ax, inputs, data, ListedColormap(colors), BoundaryNorm(np.arange(n + 1) - 0.5, n))
    furnish(ax, inputs, key)
    found, without = shares(inputs, TABLES[name])
    for k, label in enumerate(classes.labels):
        interval = classes.interval(k)
        share = told["brackets"].format(text=percent(found[k])) if np.isfinite(found[k]) else ""
        key.handles.append(patch(colors[k], f"{label}{told['colon'] if interval else ''}{interval}{share}"))
    if bare:
        share = told["of_all_area"].format(share=percent(without)) if without > 0 else ""
        key.handles.append(striped_patch(told["no_data"] + share))
    if name in _PVALUES:
        add_dots(ax, inputs, key, _PVALUES[name], data, picture)
    return key


def paint_partial(ax: Axes, inputs: ReportInputs, driver: str) -> MapKey:
    """Paint the partial correlation with one driver."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    told = inputs.words
    name = f"nep_partial_{driver}"
    classes = partial_classes(inputs.maps[name], inputs.language)
    held = [told[f"class.{other}"] for other in inputs.drivers if other != driver]
    others = told["and"].join([*held, told["time"]] if inputs.time_is_held else held)
    title = told["title.partial_given" if others else "title.partial"]
    key = MapKey(title.format(nep=inputs.nep, driver=told[f"class.{driver}"], others=others, years=inputs.years))
    # the outer edges stand a little outside, since r = 1 belongs to the upper class
    edges = [-1.0001, *classes.breaks, 1.0001]
    norm = BoundaryNorm(edges, len(classes.values))
    data = values_of(inputs, name)
    picture, bare = show(ax, inputs, data, ListedColormap(list(classes.colors)), norm)
    furnish(ax, inputs, key)
    if np.isfinite(data).any():
        key.mappable = picture
        key.bar_label = told["key.partial" if others else "key.correlation"]
        key.bar_ticks = list(classes.breaks)
        found, _ = shares(inputs, "partial_classes", driver=driver)
        key.bar_shares = list(found) if np.isfinite(found).all() else []
    add_dots(ax, inputs, key, f"{name}_pvalue", data, picture)
    if bare:
        key.handles.append(striped_patch(told["no_data"]))
    return key
