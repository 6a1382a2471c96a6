"""A map on a sheet of paper: the map at its true shape, its key below, the paper as high as both need."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from nepcube.report import cartography as carto
from nepcube.report.inputs import ReportInputs
from nepcube.report.maps import paint
from nepcube.report.painting import MapKey
from nepcube.report.style import DPI, ONE_COLUMN, QUIET, TWO_COLUMNS, limit, new_figure, percent, text_size_mm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["footer", "map_figure", "mark_generated", "place", "write"]

_LINE = 3.6  # mm, one line of 7 point text with its leading
_ROW = 3.5  # mm, one row of a legend


def place(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
    """Add an Axes by millimetres from the upper left corner."""
    w, h = figure.get_size_inches() * 25.4
    return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h), **options)


def write(figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
    """Write a text by millimetres from the upper left corner."""
    w, h = figure.get_size_inches() * 25.4
    figure.text(left / w, 1 - top / h, text, **{"fontsize": 7, "va": "top", "ha": "left", **look})


def mark_generated(figure: Figure, inputs: ReportInputs) -> None:
    """Say on the figure that the data are generated: a figure travels without its page."""
    if inputs.generated:
        w, h = figure.get_size_inches() * 25.4
        figure.text(
            1 - 2 / w,
            1.2 / h,
            "generated data, not a measurement",
            fontsize=7,
            ha="right",
            va="bottom",
            color="#a3312a",
            style="italic",
        )


def footer(inputs: ReportInputs) -> float:
    """Give the height of the line that says so, mm."""
    return 5.0 if inputs.generated else 0.0


def _columns(texts: list[str], width: float, extra: float) -> tuple[int, float]:
    widest = max((text_size_mm(t)[0] for t in texts), default=0.0) + extra
    return max(1, int(width // widest)), widest


def map_figure(inputs: ReportInputs, name: str, *, width_mm: float = TWO_COLUMNS, dpi: float = DPI) -> Figure:
    """Draw a map with its key on a page of a given width.

    Parameters
    ----------
    inputs : ReportInputs
    name : str
        As `nepcube.report.maps.paint` takes it.
    width_mm : float
        90 and 190 mm are the columns of most journals; a tall map is as wide as its height allows.
    dpi : float

    Returns
    -------
    matplotlib.figure.Figure
    """
    import textwrap

    frame = carto.frame_of(inputs.maps)
    left, right, top, ticks = 11.0, 3.0, 7.5, 5.5
    wide = width_mm - left - right
    high = min(max(wide / frame.ratio, 12.0), 170.0)
    wide = min(wide, high * frame.ratio)
    # the key of a narrow map still needs a column of text
    total = max(wide + left + right, min(width_mm, ONE_COLUMN))
    left = (total - wide - right + left) / 2 if total > wide + left + right else left
    start = top + high + ticks

    # painted twice at most: what the key needs is known after painting, and decides the height of the paper
    figure = new_figure(total, start + 60, dpi)
    ax = place(figure, left, top, wide, high)
    key = paint(ax, inputs, name)
    ax.set_title("")
    narrow = total > wide + 20
    x0, span = (4.0, total - 8.0) if narrow else (left, wide)
    title = carto.wrap(key.title, math.ceil(text_size_mm(key.title, 8)[0] * 1.13 / (span + right))).split("\n")
    more = 3.8 * (len(title) - 1)
    start += more
    note_lines = [line for note in key.notes for line in textwrap.wrap(note, max(20, int(span / 1.27)))]
    bottom = start + _key_height(key, span) + _LINE * len(note_lines) + (footer(inputs) or 1.5)
    _resize(figure, bottom, more)
    for k, line in enumerate(title):
        write(figure, x0, 2.5 + 3.8 * k, line, fontsize=8, fontweight="bold")
    if narrow:
        key.bar_shares = []
    y = _draw_key(figure, key, x0, start, span)
    for line in note_lines:
        write(figure, x0, y, line, color=QUIET)
        y += _LINE
    mark_generated(figure, inputs)
    return figure


def _resize(figure: Figure, height: float, down: float) -> None:
    # every Axes stands where it stood, counted from the top, or a little further down; the paper below is cut
    w, old = figure.get_size_inches() * 25.4
    boxes = [(ax, ax.get_position(original=True)) for ax in figure.axes]
    figure.set_size_inches(w / 25.4, height / 25.4)
    for ax, box in boxes:
        ax.set_position((box.x0, 1 - ((1 - box.y0) * old + down) / height, box.width, box.height * old / height))


def _bar_width(span: float) -> float:
    return min(span, 105.0)


def _key_height(key: MapKey, span: float) -> float:
    height = 1.0
    if key.mappable is not None:
        height += 13.0 if not key.bar_shares else 15.5
        if key.handles and span < _bar_width(span) + 45:
            height += _ROW * len(key.handles)
    elif key.handles:
        columns, _ = _columns([str(h.get_label()) for h in key.handles], span, 9.0)
        height += _ROW * math.ceil(len(key.handles) / columns) + (4.2 if key.heading else 0) + 1.5
    if key.regions:
        columns, _ = _columns([f"{mark}  {name}" for mark, name in key.regions], span, 4.0)
        height += _LINE * math.ceil(len(key.regions) / columns) + 1.5
    return height


def _draw_key(figure: Figure, key: MapKey, x0: float, y: float, span: float) -> float:
    w, h = figure.get_size_inches() * 25.4
    y += 1.0
    if key.mappable is not None:
        y = _draw_bar(figure, key, x0, y, span)
    elif key.handles:
        if key.heading:
            write(figure, x0, y, key.heading, fontweight="bold")
            y += 4.2
        columns, _ = _columns([str(handle.get_label()) for handle in key.handles], span, 9.0)
        rows = math.ceil(len(key.handles) / columns)
        figure.legend(
            handles=key.handles,
            loc="upper left",
            bbox_to_anchor=(x0 / w, 1 - y / h),
            ncols=math.ceil(len(key.handles) / rows),
        )
        y += _ROW * rows + 1.5
    if key.regions:
        texts = [f"{mark}  {name}" for mark, name in key.regions]
        columns, widest = _columns(texts, span, 4.0)
        rows = math.ceil(len(texts) / columns)
        for k, (mark, name) in enumerate(key.regions):
            column, row = divmod(k, rows)
            write(figure, x0 + column * widest, y + row * _LINE, mark, fontweight="bold")
            write(figure, x0 + column * widest + 3.2, y + row * _LINE, name)
        y += _LINE * rows + 1.5
    return y


def _draw_bar(figure: Figure, key: MapKey, x0: float, y: float, span: float) -> float:
    w, h = figure.get_size_inches() * 25.4
    width = _bar_width(span)
    if key.bar_shares:
        y += 2.5
    axes = place(figure, x0, y, width, 3.2)
    options: dict[str, Any] = {"ticks": key.bar_ticks} if key.bar_ticks is not None else {}
    bar = figure.colorbar(
        key.mappable, cax=axes, orientation="horizontal", extend=key.extend, spacing="uniform", **options
    )
    bar.outline.set_linewidth(0.5)
    axes.tick_params(length=2, pad=1.5, labelsize=7)
    if key.bar_ticks is not None:
        axes.set_xticks(key.bar_ticks, [limit(t) for t in key.bar_ticks])
    bar.set_label(key.bar_label, fontsize=7.5, labelpad=1.5)
    n = len(key.bar_shares)
    for k, share in enumerate(key.bar_shares):
        axes.text((k + 0.5) / n, 1.2, percent(share), transform=axes.transAxes, ha="center", va="bottom", fontsize=7)
    if n:
        axes.text(
            1.015, 1.2, "share of area", transform=axes.transAxes, ha="left", va="bottom", fontsize=7, color=QUIET
        )
    beside = span >= width + 45
    at = (x0 + width + 6, y) if beside else (x0, y + 12.0)
    if key.handles:
        figure.legend(handles=key.handles, loc="upper left", bbox_to_anchor=(at[0] / w, 1 - at[1] / h))
    return y + 13.0 + (0 if beside or not key.handles else _ROW * len(key.handles))
