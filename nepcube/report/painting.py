"""How each map is painted: its colours, its grey, its dots, its outlines, and what has to stand beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report import cartography as carto
from nepcube.report.classes import TABLES, Classes, classes_of, partial_classes, shares
from nepcube.report.inputs import ReportInputs
from nepcube.report.style import (
    FLUX,
    INK,
    NO_DATA,
    PAPER,
    QUIET,
    RARE_SINK,
    RARE_SOURCE,
    REGION_FILLS,
    SLOPE,
    difference_colours,
    drawable,
    identifier,
    ink_on,
    nep_colours,
    number,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from numpy.typing import NDArray

__all__ = [
    "ALPHA_HIGH",
    "MOST_KEYED",
    "MapKey",
    "paint_classes",
    "paint_difference",
    "paint_mean",
    "paint_partial",
    "paint_regions",
]

#: the level of "highly significant"
ALPHA_HIGH = 0.01
#: with more regions than this the data maps carry no key of their own
MOST_KEYED = 12
#: distance of the dots of significance on the paper, mm
_DOT_MM = 1.7


@dataclass
class MapKey:
    """What has to stand beside a painted map for it to be read."""

    title: str
    mappable: Any = None
    bar_label: str = ""
    bar_ticks: list[float] | None = None
    bar_shares: list[float] = field(default_factory=list)
    extend: str = "neither"
    heading: str = ""
    handles: list[Any] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    regions: list[tuple[str, str]] = field(default_factory=list)


def _domain(inputs: ReportInputs) -> NDArray[np.bool_]:
    # the cells that the tables are about: those of the regions, or the whole grid
    maps = inputs.maps
    shape = tuple(maps.sizes[d] for d in carto.spatial_dims(maps))
    if "region" in maps:
        inside: NDArray[np.bool_] = _region_codes(inputs) > 0
        if inside.any():
            return inside
    return np.ones(shape, bool)


def _region_codes(inputs: ReportInputs) -> NDArray[np.float64]:
    labels = inputs.maps["region"]
    # a reader that decodes a fill value gives NaN outside
    codes: NDArray[np.float64] = np.nan_to_num(np.asarray(labels.transpose(*carto.spatial_dims(labels)).values, "f8"))
    return codes


def _values(inputs: ReportInputs, name: str) -> NDArray[np.float64]:
    field_ = inputs.maps[name]
    out = np.asarray(field_.transpose(*carto.spatial_dims(field_)).values, "f8")
    if np.issubdtype(field_.dtype, np.integer):
        out[out == 255] = np.nan
    return out


def _show(
    ax: Axes, inputs: ReportInputs, data: NDArray[np.float64], cmap: Colormap, norm: Normalize
) -> tuple[Any, bool]:
    # the picture of the data over grey wherever the study area has none; gives the picture and whether there is grey
    from matplotlib.colors import ListedColormap

    dy, dx = carto.spatial_dims(inputs.maps)
    y, x = inputs.maps[dy].values, inputs.maps[dx].values
    frame = carto.frame_of(inputs.maps)
    inside = _domain(inputs)
    bare = inside & np.isnan(data)
    flip = (
        (slice(None, None, -1) if len(y) > 1 and y[1] > y[0] else slice(None)),
        (slice(None, None, -1) if len(x) > 1 and x[1] < x[0] else slice(None)),
    )
    look: dict[str, Any] = {"extent": frame.extent, "interpolation": "nearest", "origin": "upper"}
    if bare.any():
        grey = np.ma.masked_where(~bare, np.zeros(bare.shape))[flip]
        ax.imshow(grey, cmap=ListedColormap([NO_DATA]), zorder=1, **look)
    picture = ax.imshow(
        np.ma.masked_where(~inside | np.isnan(data), data)[flip], cmap=cmap, norm=norm, zorder=2, **look
    )
    carto.set_frame(ax, frame)
    return picture, bool(bare.any())


def _patch(colour: str, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.4, label=label)


def _furnish(ax: Axes, inputs: ReportInputs, key: MapKey, *, labels: bool = True) -> None:
    # graticule, outlines, names, scale: the same on every map
    frame = carto.frame_of(inputs.maps)
    carto.graticule(ax, frame)
    carto.outlines(ax, inputs.regions)
    dy, _ = carto.spatial_dims(inputs.maps)
    rows = inputs.maps[dy].values
    filled = _domain(inputs)
    corner, _ = carto.emptiest_corner(filled if len(rows) < 2 or rows[0] > rows[-1] else filled[::-1])
    carto.scale_and_north(ax, frame, corner)
    ax.tick_params(length=2, pad=2)
    if labels:
        key.regions = _name_regions(ax, inputs, most_lines=2)


def _name_regions(ax: Axes, inputs: ReportInputs, *, most_lines: int) -> list[tuple[str, str]]:
    # names inside the regions where every one fits, else marks, and the key to them
    from matplotlib.patheffects import withStroke

    regions = inputs.regions
    if regions is None or not len(regions):
        return []
    order = {name: k for k, name in enumerate(inputs.region_names)}
    shapes = [
        (str(n), g) for n, g in zip(regions["name"], regions.geometry, strict=True) if g is not None and not g.is_empty
    ]
    for name, _ in shapes:
        order.setdefault(name, len(order))
    marks = {name: identifier(k, len(order)) for name, k in order.items()}
    halo = [withStroke(linewidth=2.2, foreground=PAPER)]
    look: dict[str, Any] = {
        "ha": "center",
        "va": "center",
        "fontsize": 7,
        "zorder": 6,
        "path_effects": halo,
        "color": INK,
    }
    places = []
    if len(shapes) <= MOST_KEYED:
        places = [
            carto.fitting_label(ax, shape, drawable(name, marks[name]), most_lines=most_lines) for name, shape in shapes
        ]
    if places and all(place is not None for place in places):
        for place in places:
            assert place is not None
            ax.text(place[0], place[1], place[2], linespacing=1.15, **look)
        return []
    for name, shape in shapes:
        x, y = carto.inner_point(ax, shape)
        ax.text(x, y, marks[name], **{**look, "fontweight": "bold", "fontsize": 8 if len(shapes) <= 26 else 7})
    return [
        (marks[name], drawable(name, marks[name])) for name in sorted((n for n, _ in shapes), key=order.__getitem__)
    ]


def paint_regions(ax: Axes, inputs: ReportInputs) -> MapKey:
    """Paint the study area and its regions."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    key = MapKey("Study area and regions" if inputs.region_names else "Study area")
    maps = inputs.maps
    codes = _region_codes(inputs) if "region" in maps else np.zeros(_domain(inputs).shape)
    names = inputs.region_names
    n = max(int(codes.max()), 1)
    fills = [REGION_FILLS[k % len(REGION_FILLS)] for k in range(n)]
    data = np.where(_domain(inputs), np.maximum(codes, 1), np.nan)
    if "nep_mean" in maps:
        data[np.isnan(_values(inputs, "nep_mean"))] = np.nan
    cmap, norm = ListedColormap(fills), BoundaryNorm(np.arange(0.5, n + 1.5), n)
    _, bare = _show(ax, inputs, data, cmap, norm)
    _furnish(ax, inputs, key, labels=False)
    marked = _name_regions(ax, inputs, most_lines=4)
    if marked:
        colour = _region_colours(inputs, fills)
        key.handles = [_patch(colour.get(drawn, PAPER), f"{mark}  {drawn}") for mark, drawn in marked]
    elif not names:
        key.handles = [_patch(fills[0], "cells with data")]
    if bare:
        key.handles.append(_patch(NO_DATA, "no data"))
    return key


def _region_colours(inputs: ReportInputs, fills: list[str]) -> dict[str, str]:
    # the raster's flag meanings carry underscores for spaces; names are compared in that form
    attrs = inputs.maps["region"].attrs if "region" in inputs.maps else {}
    values = np.atleast_1d(attrs.get("flag_values", []))
    words = str(attrs.get("flag_meanings", "")).split()
    by_word = {word: fills[int(v) - 1] for v, word in zip(values, words, strict=False) if 0 < int(v) <= len(fills)}
    names = inputs.region_names
    out = {}
    for k, name in enumerate(names):
        fallback = fills[k] if k < len(fills) else PAPER
        out[drawable(name, identifier(k, len(names)))] = by_word.get("_".join(name.split()), fallback)
    return out


def paint_mean(ax: Axes, inputs: ReportInputs) -> MapKey:
    """Paint the mean annual NEP."""
    from matplotlib.colors import Normalize

    data = _values(inputs, "nep_mean")
    seen = data[_domain(inputs) & np.isfinite(data)]
    key = MapKey(f"Mean annual {inputs.nep}, {inputs.years}", bar_label=f"{inputs.nep} ({FLUX})")
    low, high = (float(v) for v in np.percentile(seen, (2, 98))) if seen.size else (0.0, 1.0)
    if not low < high:
        low, high = low - 0.5, high + 0.5
    # where fewer than 2 % of the cells have the other sign, the scale ends at zero and the arrow is that sign's colour
    rare = ""
    if seen.size and seen.min() < 0 <= low:
        low, rare = 0.0, "brown"
    elif seen.size and high <= 0 < seen.max():
        high, rare = 0.0, "green"
    colours: Colormap = nep_colours(low, high)
    if rare == "brown":
        colours = colours.with_extremes(under=RARE_SOURCE)
    elif rare:
        colours = colours.with_extremes(over=RARE_SINK)
    picture, bare = _show(ax, inputs, data, colours, Normalize(low, high))
    _furnish(ax, inputs, key)
    if seen.size:
        below, above = bool(seen.min() < low), bool(seen.max() > high)
        key.extend = "both" if below and above else "min" if below else "max" if above else "neither"
        key.mappable = picture
        if key.extend != "neither":
            start = "zero" if rare == "brown" else f"the 2nd percentile of cells ({number(low, digits=3)})"
            stop = "zero" if rare == "green" else f"the 98th percentile of cells ({number(high, digits=3)})"
            key.notes.append(
                f"Colours run from {start} to {stop}; arrows: beyond, from {number(seen.min(), digits=3)} "
                f"to {number(seen.max(), digits=3)}."
            )
        if rare:
            key.notes.append(
                f"{rare.capitalize()}: the few cells that are a {'source' if rare == 'brown' else 'sink'}."
            )
    if bare:
        key.handles.append(_patch(NO_DATA, "no data"))
    return key


def paint_difference(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint how much a statistic of B is above or below that of A.

    The map's attributes `title`, `bar_label` and `notes` say what stands beside it.
    """
    from matplotlib.colors import Normalize

    data, attrs = _values(inputs, name), inputs.maps[name].attrs
    key = MapKey(attrs["title"], bar_label=attrs["bar_label"])
    seen = data[_domain(inputs) & np.isfinite(data)]
    # zero is in the middle whatever the sign of most cells
    end = float(np.percentile(np.abs(seen), 98)) if seen.size else 0.0
    # where fewer than 2 % of the cells differ there is no other end than the largest
    end = end or (float(np.abs(seen).max()) if seen.size else 0.0) or 1.0
    picture, bare = _show(ax, inputs, data, difference_colours(), Normalize(-end, end))
    _furnish(ax, inputs, key)
    if seen.size:
        below, above = bool(seen.min() < -end), bool(seen.max() > end)
        key.extend = "both" if below and above else "min" if below else "max" if above else "neither"
        key.mappable = picture
        if key.extend != "neither":
            key.notes.append(
                f"Colours end at the 98th percentile of the absolute difference ({number(end, digits=3)}); arrows: "
                f"beyond, from {number(seen.min(), digits=3)} to {number(seen.max(), digits=3)}."
            )
    key.notes += attrs["notes"]
    if bare:
        key.handles.append(_patch(NO_DATA, "no data in one or both"))
    return key


def _codes(data: NDArray[np.float64], classes: Classes) -> NDArray[np.float64]:
    out = np.full(data.shape, np.nan)
    for k, value in enumerate(classes.values):
        out[data == value] = k
    return out


_TITLES = {
    "slope_class": ("Trend of annual {nep}, {years}", f"Slope ({SLOPE}) and share of area"),
    "cv_class": ("Stability of annual {nep}, {years}", "Stability (coefficient of variation) and share of area"),
    "trend_class": ("Direction and significance of the trend of annual {nep}, {years}", "Trend and share of area"),
    "nep_dominant_driver": (
        "Driver with the largest partial correlation with annual {nep}, {years}",
        "Driver and share of area",
    ),
    "npp_dominant_driver": (
        "Driver with the largest partial correlation with annual NPP, {years}",
        "Driver and share of area",
    ),
    "npp_attribution": ("Change of annual NPP by cause, {years}", "Cause and share of area"),
}


def paint_classes(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint a map of classes: of the trend, of the stability, of drivers or causes."""
    from matplotlib.colors import BoundaryNorm, ListedColormap

    classes = classes_of(inputs.maps[name])
    title, heading = _TITLES[name]
    key = MapKey(title.format(nep=inputs.nep, years=inputs.years), heading=heading)
    n = max(len(classes.values), 1)
    colors = list(classes.colors) or [NO_DATA]
    data = _codes(_values(inputs, name), classes)
    _, bare = _show(ax, inputs, data, ListedColormap(colors), BoundaryNorm(np.arange(n + 1) - 0.5, n))
    _furnish(ax, inputs, key)
    found, without = shares(inputs, TABLES[name])
    for k, label in enumerate(classes.labels):
        interval = classes.interval(k)
        share = f" ({percent(found[k])})" if np.isfinite(found[k]) else ""
        key.handles.append(_patch(colors[k], f"{label}{': ' if interval else ''}{interval}{share}"))
    if bare:
        key.handles.append(_patch(NO_DATA, "no data" + (f" ({percent(without)})" if without > 0 else "")))
    return key


def paint_partial(ax: Axes, inputs: ReportInputs, driver: str) -> MapKey:
    """Paint the partial correlation with one driver."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.lines import Line2D

    name = f"nep_partial_{driver}"
    classes = partial_classes(inputs.maps[name])
    others = [other for other in inputs.drivers if other != driver]
    given = f", given {' and '.join(others)}" if others else ""
    key = MapKey(f"Partial correlation of annual {inputs.nep} with {driver}{given}, {inputs.years}")
    # the outer edges stand a little outside, since r = 1 belongs to the upper class
    edges = [-1.0001, *classes.breaks, 1.0001]
    norm = BoundaryNorm(edges, len(classes.values))
    data = _values(inputs, name)
    picture, bare = _show(ax, inputs, data, ListedColormap(list(classes.colors)), norm)
    _furnish(ax, inputs, key)
    if np.isfinite(data).any():
        key.mappable = picture
        key.bar_label = "partial correlation coefficient"
        key.bar_ticks = list(classes.breaks)
        found, _ = shares(inputs, "partial_classes", driver=driver)
        key.bar_shares = list(found) if np.isfinite(found).all() else []
    if f"{name}_pvalue" in inputs.maps:
        n = _dots(ax, inputs, _values(inputs, f"{name}_pvalue"), data, classes)
        dot = Line2D([], [], linestyle="none", marker=".", markersize=2.6, markeredgewidth=0, color=INK)
        dot.set_label(f"p < {ALPHA_HIGH:g} (highly significant)")
        key.handles.append(dot)
        key.notes.append(
            f"Dots are a sample: every {_ordinal(n)} cell of the map is looked at, and marked, in black or white, "
            f"where p < {ALPHA_HIGH:g}."
        )
    if bare:
        key.handles.append(_patch(NO_DATA, "no data"))
    return key


def _ordinal(n: int) -> str:
    if n == 1:
        return "single"
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def _dots(ax: Axes, inputs: ReportInputs, p: NDArray[np.float64], r: NDArray[np.float64], classes: Classes) -> int:
    # a staggered sample of cells, so that the density of dots is the share of cells; gives its step in cells
    dy, dx = carto.spatial_dims(inputs.maps)
    wide, _ = carto.size_mm(ax)
    step = max(1, round(_DOT_MM / (wide / p.shape[1])))
    # cells of a geographic grid are narrower than high on the paper
    frame = carto.frame_of(inputs.maps)
    rows_apart = max(1, round(step / frame.aspect))
    high = np.isfinite(p) & (p < ALPHA_HIGH) & _domain(inputs)
    rows, cols = np.mgrid[rows_apart // 2 : p.shape[0] : rows_apart, step // 4 : p.shape[1] : step]
    cols = np.minimum(cols + (np.arange(len(cols)) % 2)[:, None] * (step // 2), p.shape[1] - 1)
    chosen = high[rows, cols]
    y, x = inputs.maps[dy].values, inputs.maps[dx].values
    rows, cols = rows[chosen], cols[chosen]
    # dark dots on pale classes, white dots on dark ones
    inks = np.array([ink_on(c) for c in classes.colors])[np.digitize(r[rows, cols], classes.breaks)]
    for ink in (INK, PAPER):
        ax.plot(x[cols[inks == ink]], y[rows[inks == ink]], linestyle="none", marker="o", markersize=1.15, color=ink,
                markeredgewidth=0, zorder=3.5, scalex=False, scaley=False)  # fmt: skip
    return int(step * rows_apart)
