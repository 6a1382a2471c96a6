"""How maps of a quantity are painted: mean NEP, elevation, a difference of two runs, and any other with its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nepcube import spec
from nepcube.report.inputs import ReportInputs
from nepcube.report.layers import MapKey, add_dots, domain, furnish, name_regions, show, striped_patch, values_of
from nepcube.report.style import (
    FLUX,
    RARE_SINK,
    RARE_SOURCE,
    SLOPE,
    difference_colours,
    elevation_colours,
    nep_colours,
    number,
    quantity_colours,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from numpy.typing import NDArray

__all__ = ["paint_continuous", "paint_difference", "paint_elevation", "paint_mean", "written_unit"]

#: units of the stores as a paper writes them
_UNITS = {
    spec.CARBON_FLUX: FLUX,
    "g m-2 year-2": SLOPE,
    "degC": "°C",
    "mm year-1": "mm yr⁻¹",
    "MJ m-2 year-1": "MJ m⁻² yr⁻¹",
}
#: maps from 0 to 1, whatever of it is there
_CHANCES = ("nep_sink_probability",)


def written_unit(attrs: dict[str, object]) -> str:
    """Give the unit of a map as a paper writes it; nothing for a pure number."""
    unit = str(attrs.get("units", ""))
    return "" if unit == "1" else _UNITS.get(unit, unit)


def _extend(seen: NDArray[np.float64], low: float, high: float) -> str:
    below, above = bool(seen.min() < low), bool(seen.max() > high)
    return "both" if below and above else "min" if below else "max" if above else "neither"


def _ends(inputs: ReportInputs, low: float, high: float, seen: NDArray[np.float64], zero: str = "") -> str:
    # where the colours end, and what lies beyond
    told = inputs.words

    def end(rank: str, value: float) -> str:
        return told["note.from_percentile"].format(rank=told[f"note.{rank}"], value=number(value, digits=3))

    return told["note.colours"].format(
        start=told["note.zero"] if zero == "low" else end("second", low),
        stop=told["note.zero"] if zero == "high" else end("last", high),
        low=number(seen.min(), digits=3),
        high=number(seen.max(), digits=3),
    )


def paint_mean(ax: Axes, inputs: ReportInputs) -> MapKey:
    """Paint the mean annual NEP."""
    from matplotlib.colors import Normalize

    told = inputs.words
    data = values_of(inputs, "nep_mean")
    seen = data[domain(inputs) & np.isfinite(data)]
    key = MapKey(
        told["title.nep_mean"].format(nep=inputs.nep, years=inputs.years),
        bar_label=told["axis"].format(name=inputs.nep, unit=inputs.unit(FLUX)),
    )
    low, high = (float(v) for v in np.percentile(seen, (2, 98))) if seen.size else (0.0, 1.0)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    # where fewer than 2 % of the cells have the other sign, the scale ends at zero and the arrow is that sign's colour
    rare = ""
    if seen.size and seen.min() < 0 <= low:
        low, rare = 0.0, "low"
    elif seen.size and high <= 0 < seen.max():
        high, rare = 0.0, "high"
    colours: Colormap = nep_colours(low, high)
    if rare == "low":
        colours = colours.with_extremes(under=RARE_SOURCE)
    elif rare:
        colours = colours.with_extremes(over=RARE_SINK)
    picture, bare = show(ax, inputs, data, colours, Normalize(low, high))
    furnish(ax, inputs, key)
    if seen.size:
        key.extend = _extend(seen, low, high)
        key.mappable = picture
        if key.extend != "neither":
            key.notes.append(_ends(inputs, low, high, seen, rare))
        if rare:
            key.notes.append(told["note.rare_source" if rare == "low" else "note.rare_sink"])
    if bare:
        key.handles.append(striped_patch(told["no_data"]))
    return key


def paint_elevation(ax: Axes, inputs: ReportInputs) -> MapKey:
    """Paint the elevation, m, with the outlines and names of the regions."""
    from matplotlib.colors import Normalize

    told = inputs.words
    key = MapKey(told["title.elevation" if inputs.region_names else "title.area_elevation"])
    key.bar_label = told["key.elevation"]
    data = values_of(inputs, "elevation")
    seen = data[domain(inputs) & np.isfinite(data)]
    low, high = (float(v) for v in np.percentile(seen, (1, 99))) if seen.size else (0.0, 1.0)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    picture, bare = show(ax, inputs, data, elevation_colours(), Normalize(low, high))
    furnish(ax, inputs, key, labels=False)
    name_regions(ax, inputs, key, most_lines=3)
    if seen.size:
        key.mappable, key.extend = picture, _extend(seen, low, high)
    if bare:
        key.handles.append(striped_patch(told["no_data"]))
    return key


def paint_continuous(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint any map of numbers: its name and unit are those of its attributes.

    Where both signs are common the colours part at zero, else they run from the 2nd to the 98th percentile; those of
    a chance run from 0 to 1 and part at one half. Where the
    map has p-values (`<name>_pvalue`), significant cells are dotted.
    """
    from matplotlib.colors import Normalize

    told, attrs = inputs.words, inputs.maps[name].attrs
    unit = inputs.unit(written_unit(attrs) or (SLOPE if name == "nep_slope" else ""))
    if f"title.{name}" in told:
        title = told[f"title.{name}"].format(nep=inputs.nep, years=inputs.years)
        label = told[f"key.{name}"].format(nep=inputs.nep, unit=unit)
    else:
        # what an attribute says is a name from a file: it stays as it is
        text = str(attrs.get("long_name") or name.replace("_", " "))
        title = told["title.other"].format(name=text[:1].upper() + text[1:], years=inputs.years)
        label = told["axis"].format(name=name.replace("_", " "), unit=unit) if unit else name.replace("_", " ")
    key = MapKey(title, bar_label=label)
    data = values_of(inputs, name)
    seen = data[domain(inputs) & np.isfinite(data)]
    low, high = (float(v) for v in np.percentile(seen, (2, 98))) if seen.size else (0.0, 1.0)
    if name in _CHANCES:
        low, high = 0.0, 1.0
    elif not low < high:
        low, high = low - 0.5, high + 0.5
    parted = bool(seen.size) and low < 0 < high
    if parted:
        high = float(np.percentile(np.abs(seen), 98))
        low = -high
    # a chance parts at one half: browns are rather a source, greens rather a sink
    colours = nep_colours(low, high) if parted else nep_colours(-1.0, 1.0) if name in _CHANCES else quantity_colours()
    picture, bare = show(ax, inputs, data, colours, Normalize(low, high))
    furnish(ax, inputs, key)
    if seen.size:
        key.mappable, key.extend = picture, _extend(seen, low, high)
        if key.extend != "neither" and parted:
            ends = {k: number(v, digits=3) for k, v in (("end", high), ("low", seen.min()), ("high", seen.max()))}
            key.notes.append(told["note.ends"].format(**ends))
        elif key.extend != "neither":
            key.notes.append(_ends(inputs, low, high, seen))
        add_dots(ax, inputs, key, f"{name}_pvalue", data, picture)
    if bare:
        key.handles.append(striped_patch(told["no_data"]))
    return key


def paint_difference(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint how much a statistic of B is above or below that of A.

    The map's attribute `notes` says which runs these are, and in what they differ.
    """
    from matplotlib.colors import Normalize

    told = inputs.words
    data, attrs = values_of(inputs, name), inputs.maps[name].attrs
    unit = inputs.unit(written_unit(attrs))
    key = MapKey(
        told[f"title.{name}"].format(nep=inputs.nep), bar_label=told[f"key.{name}"].format(nep=inputs.nep, unit=unit)
    )
    seen = data[domain(inputs) & np.isfinite(data)]
    # zero is in the middle whatever the sign of most cells
    end = float(np.percentile(np.abs(seen), 98)) if seen.size else 0.0
    # where fewer than 2 % of the cells differ there is no other end than the largest
    end = end or (float(np.abs(seen).max()) if seen.size else 0.0) or 1.0
    picture, bare = show(ax, inputs, data, difference_colours(), Normalize(-end, end))
    furnish(ax, inputs, key)
    if seen.size:
        key.extend = _extend(seen, -end, end)
        key.mappable = picture
        if key.extend != "neither":
            ends = {k: number(v, digits=3) for k, v in (("end", end), ("low", seen.min()), ("high", seen.max()))}
            key.notes.append(told["note.ends_difference"].format(**ends))
    key.notes += attrs["notes"]
    if bare:
        key.handles.append(striped_patch(told["no_data_pair"]))
    return key
