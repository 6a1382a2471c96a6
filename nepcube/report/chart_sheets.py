"""Charts on a sheet of paper, in the width of one or of two columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nepcube.report.annual import MOST_PANELS, sink_and_source, small_share
from nepcube.report.charts import (
    axis_name,
    chart_partial_shares,
    chart_series,
    chart_sink_share,
    label_lines,
    share_regions,
    shown_name,
)
from nepcube.report.classes import scheme
from nepcube.report.inputs import ReportInputs
from nepcube.report.lettering import cut, text_size_mm, wrap, wrap_to
from nepcube.report.sheet import TALLEST, footer, mark_generated, place, sentences, told_regions, write
from nepcube.report.style import QUIET, SLOPE, identifier, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["partial_sheet", "region_sheet", "series_sheet", "sink_sheet"]

_NARROW = 110.0  # mm, less is one column


def series_sheet(inputs: ReportInputs, width: float, dpi: float) -> Figure:
    """Draw the years of the whole area with their trend."""
    high = 47.0 if width < _NARROW else 58.0
    figure = new_figure(width, high + 15 + footer(inputs), dpi)
    ax = place(figure, 13, 5, width - 15, high)
    chart_series(ax, inputs)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper left", bbox_to_anchor=(0, -5.2 / high), ncols=2)
    mark_generated(figure, inputs)
    return figure


def region_sheet(inputs: ReportInputs, width: float, dpi: float, *, titled: bool = True) -> tuple[Figure, str] | None:
    """Draw the years of each region with their trend, one panel a region; give the notes too."""
    from matplotlib.ticker import MaxNLocator

    told, names = inputs.words, inputs.region_names
    if not names:
        return None
    narrow = width < _NARROW
    shown = inputs.largest_regions(16 if narrow else MOST_PANELS)
    n = len(shown)
    columns = 1 if n == 1 else 2 if n in (2, 4) or narrow else 3 if n <= 12 else 5
    if n == 1:
        width = min(width, 90.0)
    rows = math.ceil(n / columns)
    gap_x, gap_y, left, top = 8.0 if narrow else 9.0, 10.5, 13.0, 6.0
    wide = (width - left - 3 - gap_x * (columns - 1)) / columns
    room = wide - 1
    note = " ".join(
        [told["note.numbers"].format(unit=inputs.unit(SLOPE))]
        + ([told["note.own_scale"]] if n > 1 else [])
        + ([told["largest_regions"].format(shown=n, count=len(names))] if n < len(names) else [])
    )
    lines = wrap_to(note, width - left - 2) if titled else []
    bottom = 6.5 + 3.6 * len(lines) + footer(inputs)
    marks = {name: identifier(names.index(name), len(names)) for name in shown}
    titles = {name: _lines(f"{marks[name]}  {shown_name(inputs, name)}", room, 3 if narrow else 2) for name in shown}
    # a row of names over two lines needs more room above it
    rowed = [shown[r * columns : (r + 1) * columns] for r in range(rows)]
    more = [3.0 * (max(len(titles[name]) for name in row) - 1) for row in rowed]
    high = min(34.0, (TALLEST - top - bottom - gap_y * (rows - 1) - sum(more)) / rows)
    figure = new_figure(width, top + bottom + rows * high + gap_y * (rows - 1) + sum(more), dpi)
    w, h = figure.get_size_inches() * 25.4
    for k, name in enumerate(shown):
        row, column = divmod(k, columns)
        y = top + row * (high + gap_y) + sum(more[: row + 1])
        ax = place(figure, left + column * (wide + gap_x), y, wide, high)
        chart_series(ax, inputs, name, compact=True)
        if columns == 5 or narrow:
            # two years are all that a narrow panel can carry
            ax.xaxis.set_major_locator(MaxNLocator(nbins=2, integer=True, steps=[1, 2, 5, 10]))
        ax.set_title("\n".join(titles[name]), fontsize=7, fontweight="normal", pad=3, linespacing=1.15)
        # years only under the lowest panel of each column: all share the axis
        if k + columns < n:
            ax.tick_params(labelbottom=False)
    look: dict[str, Any] = {"rotation": 90, "va": "center", "ha": "left", "fontsize": 7.5}
    figure.text(2.2 / w, 0.5 + (bottom - top) / 2 / h, axis_name(inputs), **look)
    for k, line in enumerate(lines):
        write(figure, left, h - footer(inputs) - 3.6 * (len(lines) - k) - 0.4, line, color=QUIET)
    mark_generated(figure, inputs)
    return figure, note


def _lines(text: str, room: float, most: int) -> list[str]:
    lines = wrap(text, len(wrap_to(text, room))).split("\n")
    # the mark stands before the first, the others begin under the name
    rest = lines[1 : most - 1] + ([" ".join(lines[most - 1 :])] if len(lines) >= most else [])
    return [lines[0], *("    " + cut(line, room - 2) for line in rest)]


def sink_sheet(inputs: ReportInputs, width: float, dpi: float) -> Figure:
    """Draw the shares of sink and source by year; a share that is always small again on a scale of its own."""
    _, sink, source = sink_and_source(inputs)
    small = small_share(sink, source)
    extra = 27.0 if small else 0.0
    figure = new_figure(width, 62.0 + extra + footer(inputs), dpi)
    ax = place(figure, 13, 5, width - 15, 46)
    chart_sink_share(ax, inputs)
    if small:
        ax.tick_params(labelbottom=False)
        below = chart_sink_share(place(figure, 13, 57, width - 15, 20), inputs, only=small)
        below.set_title(inputs.words[f"chart.small_{small}"], fontsize=7, fontweight="normal", pad=3)
    w, h = figure.get_size_inches() * 25.4
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(13 / w, 1 - (57.5 + extra) / h), ncols=3)
    mark_generated(figure, inputs)
    return figure


def partial_sheet(inputs: ReportInputs, width: float, dpi: float) -> tuple[Figure, str] | None:
    """Draw the shares of the classes of partial correlation, one bar a region; drivers side by side, or one by one."""
    drivers, told = inputs.drivers, inputs.words
    if not drivers or not len(inputs.rows("partial_classes")):
        return None
    from matplotlib.patches import Patch

    narrow = width < _NARROW
    regions = share_regions(inputs)
    stacked = len(drivers) if narrow else 1
    # a page holds so many bars
    most = max(2, int((TALLEST - 40) / 4.4 / stacked) - 3)
    shown = min(len(regions), most)
    note = told["largest_regions"].format(shown=shown - 1, count=len(regions) - 1) if shown < len(regions) else ""
    if note:
        regions = share_regions(inputs, shown - 1)
    room = 44.0
    names = [shown_name(inputs, r) for r in regions]
    texts = [wrap(name, label_lines(name, room)) for name in names]
    bar = min(8.0, max(3.8, (TALLEST - 40 - 14 * stacked) / stacked / max(shown, 1)))
    if 3.1 * max((t.count("\n") + 1 for t in texts), default=1) > bar:
        # marks as on the maps, whose names the caption has
        marks = inputs.region_names
        short = [
            f"{identifier(marks.index(r), len(marks))}  {n}" if r in marks else n
            for r, n in zip(regions, names, strict=True)
        ]
        texts = [cut(name, room) for name in short]
        marked = [
            (identifier(marks.index(r), len(marks)), n) for r, n in zip(regions, names, strict=True) if r in marks
        ]
        note = sentences(inputs, [note, told_regions(inputs, marked)])
    left = min(62.0, max((text_size_mm(t)[0] for t in texts), default=10.0) * 1.06 + 5)
    columns = 1 if narrow else len(drivers)
    wide = (width - left - 5 - 6 * (columns - 1)) / columns
    high = bar * (shown + 0.35)
    step = high + 14.5
    classes = scheme(inputs, "partial_classes", drivers[0])
    assert classes is not None
    handles = [Patch(facecolor=c, label=t) for c, t in zip(classes.colors, classes.labels, strict=True)]
    entry = max(text_size_mm(str(p.get_label()))[0] for p in handles) + 8.6
    across = max(1, int((width - 8 + 2) // entry))
    legend_rows = math.ceil(len(handles) / across)
    below = 7 + step * stacked - 4.0
    figure = new_figure(width, below + 5.5 + 3.7 * legend_rows + 1.5 + footer(inputs), dpi)
    w, h = figure.get_size_inches() * 25.4
    for k, driver in enumerate(drivers):
        row, column = (k, 0) if narrow else (0, k)
        ax = place(figure, left + column * (wide + 6), 7 + row * step, wide, high)
        chart_partial_shares(ax, inputs, driver, names=column == 0, room=room, regions=regions)
        if column == 0:
            ax.set_yticks(ax.get_yticks(), texts)
            ax.get_yticklabels()[0].set_fontweight("bold")
        if narrow and row < len(drivers) - 1:
            ax.set_xlabel("")
    ending = "" if len(drivers) > 1 else "_time" if inputs.time_is_held else "_alone"
    head = told[f"key.partial_shares{ending}"]
    write(figure, 4, below, head.format(nep=inputs.nep), fontweight="bold")
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(4 / w, 1 - (below + 4.4) / h),
        ncols=math.ceil(len(handles) / legend_rows), handlelength=1.2, columnspacing=1.0,
    )  # fmt: skip
    mark_generated(figure, inputs)
    return figure, note
