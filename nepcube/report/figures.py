"""The figures of a run as files: the size of a journal page, every map and chart with its key and its notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nepcube.report import cartography as carto
from nepcube.report.charts import (
    chart_partial_shares,
    chart_series,
    chart_sink_share,
    label_lines,
    share_columns,
    shown_name,
    sink_and_source,
)
from nepcube.report.classes import TABLES, scheme
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.sheet import footer, map_figure, mark_generated, place, write
from nepcube.report.style import (
    DPI,
    NO_DATA,
    ONE_COLUMN,
    QUIET,
    TWO_COLUMNS,
    identifier,
    journal_style,
    new_figure,
    text_size_mm,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "draw_differences", "draw_figures"]

FIGURES = (
    "map_regions",
    "map_nep_mean",
    "map_slope_class",
    "map_cv_class",
    "map_trend_class",
    "map_nep_dominant_driver",
    "map_npp_dominant_driver",
    "map_npp_attribution",
    "map_partial_temperature",
    "map_partial_precipitation",
    "map_partial_radiation",
    "series",
    "series_by_region",
    "sink_share",
    "partial_shares",
)
_TALLEST = 235.0  # mm, the height of a printed page
_MOST_PANELS = 40


def _series_figure(inputs: ReportInputs, dpi: float) -> Figure:
    figure = new_figure(ONE_COLUMN, 62.0 + footer(inputs), dpi)
    ax = place(figure, 13, 5, ONE_COLUMN - 15, 47)
    chart_series(ax, inputs)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.11), ncols=2)
    mark_generated(figure, inputs)
    return figure


def _by_region_figure(inputs: ReportInputs, dpi: float) -> Figure | None:
    from matplotlib.ticker import MaxNLocator

    names = inputs.region_names
    if not names:
        return None
    left_out = len(names) - _MOST_PANELS
    if left_out > 0:
        # the largest say most; a page holds no more, and all are in the table
        areas = {name: float(inputs.rows("series", region=name)["area_km2"].max()) for name in names}
        shown = sorted(sorted(names, key=lambda n: -areas[n])[:_MOST_PANELS], key=names.index)
    else:
        shown = list(names)
    columns = 1 if len(shown) == 1 else 2 if len(shown) in (2, 4) else 3 if len(shown) <= 12 else 5
    rows = math.ceil(len(shown) / columns)
    gap_x, gap_y, left, top, bottom = 9.0, 10.5, 13.0, 6.0, 11.0 + footer(inputs)
    width = TWO_COLUMNS if columns > 1 else ONE_COLUMN
    wide = (width - left - 3 - gap_x * (columns - 1)) / columns
    high = min(34.0, (_TALLEST - top - bottom - gap_y * (rows - 1)) / rows)
    room = wide - 3
    titles = {name: _two_lines(shown_name(inputs, name), room) for name in shown}
    if any(len(titles[name]) > 1 for name in shown[:columns]):
        top += 3.2
    high = min(high, (_TALLEST - top - bottom - gap_y * (rows - 1)) / rows)
    figure = new_figure(width, top + bottom + rows * high + gap_y * (rows - 1), dpi)
    w, h = figure.get_size_inches() * 25.4
    for k, name in enumerate(shown):
        row, column = divmod(k, columns)
        ax = place(figure, left + column * (wide + gap_x), top + row * (high + gap_y), wide, high)
        chart_series(ax, inputs, name, compact=True)
        if columns == 5:
            # two years are all that a panel of 27 mm can carry
            ax.xaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, steps=[1, 2, 5, 10]))
        mark = identifier(names.index(name), len(names))
        lines = titles[name]
        ax.set_title(
            f"{mark}  " + "\n    ".join(_cut(line, room) for line in lines), fontsize=7, fontweight="normal", pad=3
        )
        # years only under the lowest panel of each column: all share the axis
        if k + columns < len(shown):
            ax.tick_params(labelbottom=False)
    figure.text(
        2.2 / w,
        0.5 + (bottom - top) / 2 / h,
        f"{inputs.nep[:1].upper()}{inputs.nep[1:]} (gC m⁻² yr⁻¹)",
        rotation=90,
        va="center",
        ha="left",
        fontsize=7.5,
    )
    note = "Numbers: the slope of the trend, gC m⁻² yr⁻², and its p-value."
    if len(shown) > 1:
        note += " Each panel has its own vertical scale."
    if left_out > 0:
        note += f" The {_MOST_PANELS} largest of {len(names)} regions."
    write(figure, left, h - footer(inputs) - 4.0, note, color=QUIET)
    mark_generated(figure, inputs)
    return figure


def _two_lines(text: str, room: float) -> list[str]:
    lines = carto.wrap(text, math.ceil(text_size_mm(text)[0] / room)).split("\n")
    return [lines[0], " ".join(lines[1:])] if len(lines) > 1 else lines


def _cut(text: str, width: float) -> str:
    if text_size_mm(text)[0] <= width:
        return text
    while text and text_size_mm(text + "…")[0] > width:
        text = text[:-1]
    return text.rstrip() + "…"


def _sink_figure(inputs: ReportInputs, dpi: float) -> Figure:
    _, sink, source = sink_and_source(inputs)
    small = None
    if np.isfinite(sink).any():
        # a share that never reaches a tenth is a line at the edge of the stack
        small = "source" if np.nanmax(source) < 0.1 else "sink" if np.nanmax(sink) < 0.1 else None
        if small and np.nanmax(source if small == "source" else sink) == 0:
            small = None
    extra = 27.0 if small else 0.0
    figure = new_figure(ONE_COLUMN, 62.0 + extra + footer(inputs), dpi)
    ax = place(figure, 13, 5, ONE_COLUMN - 15, 46)
    chart_sink_share(ax, inputs)
    if small:
        ax.tick_params(labelbottom=False)
        below = chart_sink_share(place(figure, 13, 57, ONE_COLUMN - 15, 20), inputs, only=small)
        below.set_title(f"the {small} share on its own scale", fontsize=7, fontweight="normal", pad=3)
    w, h = figure.get_size_inches() * 25.4
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(13 / w, 1 - (57.5 + extra) / h), ncols=3)
    mark_generated(figure, inputs)
    return figure


def _partial_figure(inputs: ReportInputs, dpi: float) -> Figure | None:
    drivers = inputs.drivers
    if not drivers or not len(inputs.rows("partial_classes")):
        return None
    from matplotlib.patches import Patch

    regions, _, _ = share_columns(inputs, drivers[0])
    n = len(regions)
    bar = min(8.0, max(4.6, (_TALLEST - 40) / max(n, 1)))
    texts = [carto.wrap(name, label_lines(name)) for name in (shown_name(inputs, r) for r in regions)]
    left = min(62.0, max((text_size_mm(t)[0] for t in texts), default=10.0) * 1.15 + 4)
    wide = (TWO_COLUMNS - left - 4 - 6 * (len(drivers) - 1)) / len(drivers)
    high = bar * (n + 0.35)
    figure = new_figure(TWO_COLUMNS, 7 + high + 20 + footer(inputs), dpi)
    w, h = figure.get_size_inches() * 25.4
    without = False
    for k, driver in enumerate(drivers):
        ax = place(figure, left + k * (wide + 6), 7, wide, high)
        chart_partial_shares(ax, inputs, driver, names=k == 0)
        without = without or bool((share_columns(inputs, driver)[2] > 0).any())
    classes = scheme(inputs, "partial_classes", drivers[0])
    assert classes is not None
    handles = [Patch(facecolor=c, label=t) for c, t in zip(classes.colors, classes.labels, strict=True)]
    if without:
        handles.append(Patch(facecolor=NO_DATA, label="no data"))
    write(
        figure,
        4,
        7 + high + 10.5,
        f"Partial correlation of {inputs.nep} with the driver, the others held:",
        fontweight="bold",
    )
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(4 / w, 1 - (7 + high + 14.8) / h),
        ncols=len(handles),
        handlelength=1.2,
        columnspacing=1.0,
    )
    mark_generated(figure, inputs)
    return figure


def _figures(inputs: ReportInputs, dpi: float) -> Iterator[tuple[str, Figure | None]]:
    maps = inputs.maps
    yield "map_regions", map_figure(inputs, "regions", dpi=dpi)
    for name in ("nep_mean", *TABLES):
        yield f"map_{name}", map_figure(inputs, name, dpi=dpi) if name in maps else None
    for driver in inputs.drivers:
        yield f"map_partial_{driver}", map_figure(inputs, f"partial_{driver}", dpi=dpi)
    if len(inputs.rows("series", region=ALL)):
        yield "series", _series_figure(inputs, dpi)
        yield "series_by_region", _by_region_figure(inputs, dpi)
        yield "sink_share", _sink_figure(inputs, dpi)
    yield "partial_shares", _partial_figure(inputs, dpi)


def draw_figures(inputs: ReportInputs, directory: Path, *, dpi: float = DPI) -> list[Path]:
    """Draw every figure that the inputs allow, as PNG.

    Parameters
    ----------
    inputs : ReportInputs
    directory : pathlib.Path
        Made where it is missing.
    dpi : float

    Returns
    -------
    list of pathlib.Path
        In the order of `FIGURES`; a driver that is missing, or regions that are, have no file.
    """
    with journal_style():
        return _written(inputs, _figures(inputs, dpi), directory, dpi)


def draw_differences(inputs: ReportInputs, directory: Path, *, dpi: float = DPI) -> list[Path]:
    """Draw every map of the inputs whose name begins with `difference_`, as PNG.

    Parameters
    ----------
    inputs : ReportInputs
    directory : pathlib.Path
        Made where it is missing.
    dpi : float

    Returns
    -------
    list of pathlib.Path
        `map_` and the name of the map.
    """
    names = [str(n) for n in inputs.maps.data_vars if str(n).startswith("difference_")]
    with journal_style():
        figures = ((f"map_{name}", map_figure(inputs, name, dpi=dpi)) for name in names)
        return _written(inputs, figures, directory, dpi)


def _written(
    inputs: ReportInputs, figures: Iterable[tuple[str, Figure | None]], directory: Path, dpi: float
) -> list[Path]:
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures:
        if figure is not None:
            path = directory / f"{name}.png"
            # neither a date nor a version, so that the same inputs give the same file
            figure.savefig(path, dpi=dpi, metadata={"Software": None, "Title": f"{inputs.title}: {name}"})
            written.append(path)
    return written
