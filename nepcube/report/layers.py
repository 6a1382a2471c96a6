"""What every map is made of: the cells over grey, dots of significance, outlines, names, scale, and its key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report import cartography as carto
from nepcube.report.inputs import ReportInputs
from nepcube.report.lettering import text_size_mm
from nepcube.report.outlines import fitting_label, haloed, inner_places, outlines
from nepcube.report.scalebar import scale_and_north, view_of
from nepcube.report.style import DPI, INK, NO_DATA, PAPER, QUIET, STRIPE, drawable, identifier, inks_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from numpy.typing import NDArray

__all__ = [
    "ALPHA_HIGH",
    "MOST_KEYED",
    "MOST_LISTED",
    "MapKey",
    "add_dots",
    "domain",
    "furnish",
    "name_regions",
    "patch",
    "region_codes",
    "seen_from_north",
    "show",
    "striped_patch",
    "values_of",
]

#: the level of "highly significant", where nothing is known of the whole map
ALPHA_HIGH = 0.01
#: with more regions than this the data maps carry no key of their own
MOST_KEYED = 12
#: with more regions than this no map has a key of them, and only those are marked that have room for their mark
MOST_LISTED = 60
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
    #: marks and names of regions, and the fills of those that have one
    regions: list[tuple[str, str]] = field(default_factory=list)
    fills: dict[str, str] = field(default_factory=dict)
    #: the p-value up to which cells are dotted, and the false discovery rate that it stands for
    level: str = ""
    alpha: str = ""


def domain(inputs: ReportInputs) -> NDArray[np.bool_]:
    """Give the cells that the tables are about: those of the regions, or the whole grid.

    Where cells are shared out (`region_share`), one that lies in the regions in part is one of them.
    """
    maps = inputs.maps
    inside = np.zeros(tuple(maps.sizes[d] for d in carto.spatial_dims(maps)), bool)
    if "region_share" in maps:
        inside = values_of(inputs, "region_share") > 0
    elif "region" in maps:
        inside = region_codes(inputs) > 0
    return inside if inside.any() else ~inside


def region_codes(inputs: ReportInputs) -> NDArray[np.float64]:
    """Give the codes of the regions, zero outside."""
    labels = inputs.maps["region"]
    # a reader that decodes a fill value gives NaN outside
    codes: NDArray[np.float64] = np.nan_to_num(np.asarray(labels.transpose(*carto.spatial_dims(labels)).values, "f8"))
    return codes


def values_of(inputs: ReportInputs, name: str) -> NDArray[np.float64]:
    """Give a map in rows and columns, NaN where there is no data."""
    field_ = inputs.maps[name]
    out = np.asarray(field_.transpose(*carto.spatial_dims(field_)).values, "f8")
    if np.issubdtype(field_.dtype, np.integer):
        out[out == 255] = np.nan
    return out


def show(
    ax: Axes,
    inputs: ReportInputs,
    data: NDArray[np.float64],
    cmap: Colormap,
    norm: Normalize,
    inside: NDArray[np.bool_] | None = None,
) -> tuple[Any, bool]:
    """Draw the picture of the data, and stripes wherever the study area has none.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    data : numpy.ndarray
        Rows by columns, NaN where there is none.
    cmap : matplotlib.colors.Colormap
    norm : matplotlib.colors.Normalize
    inside : numpy.ndarray, optional
        The cells of the study area, those that the tables are about when left out.

    Returns
    -------
    matplotlib.image.AxesImage
        The picture.
    bool
        Whether there are stripes.
    """
    dy, dx = carto.spatial_dims(inputs.maps)
    y, x = inputs.maps[dy].values, inputs.maps[dx].values
    frame = carto.frame_of(inputs.maps)
    inside = domain(inputs) if inside is None else inside
    bare = inside & np.isnan(data)
    flip = (
        (slice(None, None, -1) if len(y) > 1 and y[1] > y[0] else slice(None)),
        (slice(None, None, -1) if len(x) > 1 and x[1] < x[0] else slice(None)),
    )
    look: dict[str, Any] = {"extent": frame.extent, "origin": "upper"}
    shown = np.ma.masked_where(~inside | np.isnan(data), data)[flip]
    carto.set_frame(ax, frame)
    if bare.any():
        ax.imshow(_stripes(bare[flip], *carto.size_mm(ax)), zorder=1, aspect=frame.aspect, **look)
    picture = ax.imshow(shown, cmap=cmap, norm=norm, zorder=2, interpolation="nearest", **look)
    carto.set_frame(ax, frame)
    carto.set_frame(ax, view_of(frame, seen_from_north(inputs), carto.size_mm(ax)[0])[0])
    return picture, bool(bare.any())


def _stripes(where: NDArray[np.bool_], wide: float, high: float) -> NDArray[np.uint8]:
    # a grey that no eye takes for a class does not exist; stripes are told from any colour, and in a grey print
    from matplotlib.colors import to_rgb

    width, height = (max(8, round(v / 25.4 * DPI)) for v in (wide, high))
    rows = np.arange(height) * where.shape[0] // height
    cols = np.arange(width) * where.shape[1] // width
    mm = 25.4 / DPI
    dark = (np.arange(height)[:, None] + np.arange(width)) * mm % 0.9 < 0.3
    out = np.empty((height, width, 4), np.uint8)
    for k, (line, ground) in enumerate(zip(to_rgb(STRIPE), to_rgb(NO_DATA), strict=True)):
        out[..., k] = np.where(dark, round(255 * line), round(255 * ground))
    out[..., 3] = 255 * where[rows[:, None], cols]
    return out


def patch(colour: str, label: str) -> Any:
    """Make an entry of a legend."""
    from matplotlib.patches import Patch

    return Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.4, label=label)


def striped_patch(label: str) -> Any:
    """Make the entry of a legend for what has no data."""
    from matplotlib.patches import Patch

    return Patch(facecolor=NO_DATA, edgecolor=STRIPE, hatch="//////", linewidth=0.4, label=label)


def furnish(ax: Axes, inputs: ReportInputs, key: MapKey, *, labels: bool = True) -> None:
    """Draw graticule, outlines, names and scale, the same on every map."""
    view, corner = view_of(carto.frame_of(inputs.maps), seen_from_north(inputs), carto.size_mm(ax)[0])
    carto.graticule(ax, view)
    crowded = inputs.regions is not None and len(inputs.regions) > MOST_LISTED
    # lines of so many would hide the cells
    outlines(ax, inputs.regions, linewidth=0.35 if crowded else 0.7, halo=0.35 if crowded else 0.9)
    scale_and_north(ax, view, corner)
    ax.tick_params(length=2, pad=2)
    if labels:
        name_regions(ax, inputs, key, most_lines=2)


def seen_from_north(inputs: ReportInputs) -> NDArray[np.bool_]:
    """Give the cells of the study area, rows from north to south."""
    dy, _ = carto.spatial_dims(inputs.maps)
    rows = inputs.maps[dy].values
    filled = domain(inputs)
    return filled if len(rows) < 2 or rows[0] > rows[-1] else filled[::-1]


def name_regions(ax: Axes, inputs: ReportInputs, key: MapKey, *, most_lines: int) -> None:
    """Write the names inside the regions where every one fits, else marks, and put what these mean into the key.

    Of very many regions those alone are marked whose mark has room inside them.
    """
    regions = inputs.regions
    if regions is None or not len(regions):
        return
    order = {name: k for k, name in enumerate(inputs.region_names)}
    places = inner_places(inputs, float(ax.get_aspect()), carto.frame_of(inputs.maps).across)
    shapes = [
        (str(n), g, place)
        for n, g, place in zip(regions["name"], regions.geometry, places, strict=True)
        if place is not None
    ]
    for name, _, _ in shapes:
        order.setdefault(name, len(order))
    marks = {name: identifier(k, len(order)) for name, k in order.items()}
    if len(shapes) <= MOST_KEYED:
        drawn = {name: drawable(name, marks[name], inputs.language) for name, _, _ in shapes}
        fitted = [fitting_label(ax, shape, drawn[name], most_lines=most_lines) for name, shape, _ in shapes]
        if all(place is not None for place in fitted):
            for label in fitted:
                assert label is not None
                haloed(ax, *label, linespacing=1.25)
            return
    unmarked = 0
    left, right = ax.get_xlim()
    mm, aspect = carto.size_mm(ax)[0] / abs(right - left), float(ax.get_aspect())
    points = 8 if len(shapes) <= 26 else 7
    for name, _, place in shapes:
        # a digit is some six tenths as high as its line
        wide, high = text_size_mm(marks[name], points)
        if len(shapes) > MOST_LISTED and not place.holds(wide / mm, 0.6 * high / mm / aspect):
            unmarked += 1
        else:
            haloed(ax, place.x, place.y, marks[name], fontweight="bold", fontsize=points)
    if len(shapes) <= MOST_LISTED:
        named = sorted((n for n, _, _ in shapes), key=order.__getitem__)
        key.regions = [(marks[name], drawable(name, marks[name], inputs.language)) for name in named]
        return
    key.notes.append(inputs.words["note.in_table"])
    if unmarked:
        key.notes.append(inputs.words["note.unmarked"])


def add_dots(ax: Axes, inputs: ReportInputs, key: MapKey, name: str, data: NDArray[np.float64], picture: Any) -> None:
    """Mark the cells of a map that are significant, and say in the key which these are.

    Where the p-values tell what holds over the whole map (`field_threshold`), those cells are marked, else those with
    p < 0.01.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    key : MapKey
    name : str
        The map of p-values; nothing is done where there is none.
    data : numpy.ndarray
        What the map shows, rows by columns.
    picture : matplotlib.image.AxesImage
    """
    from matplotlib.lines import Line2D

    if name not in inputs.maps:
        return
    told, attrs = inputs.words, inputs.maps[name].attrs
    p, high = values_of(inputs, name), f"{ALPHA_HIGH:g}"
    if "field_alpha" not in attrs:
        label, note = told["key.significant_high"], told["note.dots_high"]
        _dots(ax, inputs, p < ALPHA_HIGH, data, picture)
        label, note = label.format(level=high), note.format(level=high)
    elif (threshold := attrs.get("field_threshold")) is None or not np.isfinite(threshold):
        key.notes.append(told["note.dots_none"].format(alpha=f"{attrs['field_alpha']:g}"))
        return
    else:
        key.level, key.alpha = f"{float(threshold):.2g}", f"{attrs['field_alpha']:g}"
        _dots(ax, inputs, p <= float(threshold), data, picture)
        label = told["key.significant_fdr"].format(level=key.level)
        note = told["note.dots_fdr"].format(level=key.level, alpha=key.alpha)
    dot = Line2D([], [], linestyle="none", marker=".", markersize=2.6, markeredgewidth=0, color=INK)
    dot.set_label(label)
    key.handles.append(dot)
    key.notes.append(note)


def _dots(ax: Axes, inputs: ReportInputs, marked: NDArray[np.bool_], data: NDArray[np.float64], picture: Any) -> None:
    # a staggered sample of cells, so that the density of dots is the share of cells
    dy, dx = carto.spatial_dims(inputs.maps)
    wide, _ = carto.size_mm(ax)
    n_rows, n_cols = marked.shape
    step = max(1, round(_DOT_MM / (wide / n_cols)))
    # cells of a geographic grid are narrower than high on the paper
    rows_apart = max(1, round(step / carto.frame_of(inputs.maps).aspect))
    chosen = marked & domain(inputs) & np.isfinite(data)
    rows, cols = np.mgrid[rows_apart // 2 : n_rows : rows_apart, step // 4 : n_cols : step]
    cols = np.minimum(cols + (np.arange(len(cols)) % 2)[:, None] * (step // 2), n_cols - 1)
    there = chosen[rows, cols]
    y, x = inputs.maps[dy].values, inputs.maps[dx].values
    rows, cols = rows[there], cols[there]
    # dark dots on pale colours, white dots on dark ones
    inks = inks_on(picture.cmap(picture.norm(data[rows, cols]))[:, :3]) if len(rows) else np.array([])
    for ink in (INK, PAPER):
        ax.plot(x[cols[inks == ink]], y[rows[inks == ink]], linestyle="none", marker="o", markersize=1.15, color=ink,
                markeredgewidth=0, zorder=3.5, scalex=False, scaley=False)  # fmt: skip
