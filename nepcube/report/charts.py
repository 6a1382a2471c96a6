"""Charts on any Axes: the series with its trend, shares of sink and source, shares of the classes of correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.annual import neither_share, signed, sink_and_source, trend_line
from nepcube.report.classes import scheme, shares
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.lettering import text_size_mm, wrap
from nepcube.report.style import (
    FLUX,
    INK,
    NEITHER,
    QUIET,
    SINK,
    SLOPE,
    SOURCE,
    drawable,
    identifier,
    ink_on,
    p_text,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["chart_partial_shares", "chart_series", "chart_sink_share", "share_regions", "share_table"]


def shown_name(inputs: ReportInputs, region: str) -> str:
    """Give a region's name as a chart writes it."""
    if region == ALL:
        return inputs.words["whole_region" if inputs.region_names else "whole_area"]
    names = inputs.region_names
    mark = identifier(names.index(region), len(names)) if region in names else region
    return drawable(region, mark, inputs.language)


def axis_name(inputs: ReportInputs) -> str:
    """Give the label of an axis of NEP."""
    return inputs.words["axis"].format(name=f"{inputs.nep[:1].upper()}{inputs.nep[1:]}", unit=inputs.unit(FLUX))


def _say_no_data(ax: Axes, inputs: ReportInputs) -> Axes:
    look: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center", "color": QUIET}
    ax.text(0.5, 0.5, inputs.words["no_data"], **look)
    ax.set_yticks([])
    return ax


def label_lines(text: str, room: float = 44.0) -> int:
    """Give the number of lines over which a region's name stands beside a bar, in so many millimetres."""
    return max(1, math.ceil(text_size_mm(text)[0] / room))


def chart_series(ax: Axes, inputs: ReportInputs, region: str = ALL, *, compact: bool = False) -> Axes:
    """Draw the area-weighted annual mean with the OLS line of the summary table.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    region : str
    compact : bool
        For small multiples: no axis labels, smaller marks.

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    from matplotlib.ticker import MaxNLocator

    rows = (
        inputs.rows("series", region=region).sort_values("year") if len(inputs.rows("series", region=region)) else None
    )
    told = inputs.words
    first, last = inputs.period
    ax.set_xlim(first - 0.8, last + 0.8)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5 if compact else 7, integer=True, steps=[1, 2, 5, 10]))
    ax.grid(axis="y")
    if not compact:
        ax.set_ylabel(axis_name(inputs))
    values = np.asarray(rows["mean_gc_m2"], "f8") if rows is not None else np.array([])
    if rows is None or not np.isfinite(values).any():
        return _say_no_data(ax, inputs)
    years = np.asarray(rows["year"], "f8")
    line = trend_line(inputs, region, years[np.isfinite(values)])
    every = [*values[np.isfinite(values)], *([line.at(line.first), line.at(line.last)] if line else [])]
    low, high = min(every), max(every)
    room = (high - low) or max(abs(high), 1.0)
    ax.set_ylim(low - 0.1 * room, high + 0.3 * room)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4 if compact else 6))
    if ax.get_ylim()[0] < 0 < ax.get_ylim()[1]:
        ax.axhline(0, color=QUIET, linewidth=0.6)
    ax.plot(years, values, color=SINK, marker="o", markersize=2.4 if compact else 3.2, markeredgecolor="white",
            markeredgewidth=0.4,
            label=told["line.annual"], zorder=3)  # fmt: skip
    if line is not None:
        ends = [line.first, line.last]
        ax.plot(
            ends,
            [line.at(year) for year in ends],
            color=SOURCE,
            linewidth=1.1,
            linestyle=(0, (5, 2)),
            label=told["line.trend"],
            zorder=2,
        )
        value, p = signed(line.slope), p_text(line.p, inputs.language)
        text = f"{value}, {p}" if compact else told["line.slope"].format(value=value, unit=inputs.unit(SLOPE), p=p)
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        ax.text(0.02, 0.97, text, transform=ax.transAxes, ha="left", va="top", fontsize=7, color=INK, bbox=paper)
    return ax


def chart_sink_share(ax: Axes, inputs: ReportInputs, region: str = ALL, *, only: str | None = None) -> Axes:
    """Draw the shares of sink (NEP > 0) and source (NEP < 0) area by year, stacked to 100 %.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    region : str
    only : {"sink", "source"}, optional
        Draw this share alone on a scale of its own, for one that is too small to be read in the stack.

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    from matplotlib.ticker import MaxNLocator

    told = inputs.words
    years, sink, source = sink_and_source(inputs, region)
    first, last = inputs.period
    ax.set_xlim(first - 0.8, last + 0.8)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))
    ax.grid(axis="y")
    if not np.isfinite(sink).any():
        return _say_no_data(ax, inputs)
    rest = 100 * neither_share(sink, source)
    sink, source = 100 * np.nan_to_num(sink), 100 * np.nan_to_num(source)
    bars: dict[str, Any] = {"width": 0.78, "linewidth": 0}
    if only is not None:
        values, colour = (sink, SINK) if only == "sink" else (source, SOURCE)
        ax.bar(years, values, color=colour, **bars)
        ax.set_ylim(0, max(float(values.max()) * 1.25, 1e-3))
        ax.yaxis.set_major_locator(MaxNLocator(nbins=3))
        ax.set_ylabel(told[f"chart.{only}_percent"])
        return ax
    ax.bar(years, sink, color=SINK, label=told["area.sink"].format(nep=inputs.nep), **bars)
    ax.bar(years, source, bottom=sink, color=SOURCE, label=told["area.source"].format(nep=inputs.nep), **bars)
    if rest.any():
        ax.bar(years, rest, bottom=sink + source, color=NEITHER, label=told["area.zero"], **bars)
    ax.set_ylim(0, 100)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.set_ylabel(told["share_with_data_percent"])
    return ax


def share_regions(inputs: ReportInputs, most: int | None = None) -> list[str]:
    """Give what the charts of shares have a bar of: the whole, then each region of the table.

    Parameters
    ----------
    inputs : ReportInputs
    most : int, optional
        Of more regions than these, the largest.
    """
    rows = inputs.rows("partial_classes")
    present = set(rows["region"].astype(str)) if len(rows) else set()
    names = inputs.region_names if most is None else inputs.largest_regions(most)
    return [name for name in (ALL, *names) if name in present]


def share_table(inputs: ReportInputs, driver: str, regions: Sequence[str]) -> NDArray[np.float64]:
    """Look up the shares of a driver's classes, of the area with data, regions by classes."""
    return np.array([shares(inputs, "partial_classes", name, driver)[0] for name in regions], "f8")


def chart_partial_shares(
    ax: Axes,
    inputs: ReportInputs,
    driver: str,
    *,
    names: bool = True,
    room: float = 44.0,
    regions: Sequence[str] | None = None,
) -> Axes:
    """Draw one stacked bar a region: the shares of its area with data in each class of partial correlation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    driver : str
    names : bool
        Whether to write the regions beside the bars.
    room : float
        Millimetres for a name beside a bar.
    regions : sequence of str, optional
        Those to draw, all of the table when left out.

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    classes = scheme(inputs, "partial_classes", driver)
    regions = share_regions(inputs) if regions is None else regions
    wide = ax.get_position().width * float(ax.get_figure(root=True).get_figwidth()) * 25.4  # type: ignore[union-attr]
    ax.set_title(inputs.words[f"class.{driver}"])
    ax.set_xlim(0, 100)
    ax.set_xticks([0, 25, 50, 75, 100])
    ax.set_xlabel(inputs.words["share_with_data_percent"])
    ax.tick_params(axis="y", length=0)
    for side in ("left", "top", "right"):
        ax.spines[side].set_visible(False)
    if classes is None or not regions:
        return _say_no_data(ax, inputs)
    # the whole region stands first and a little apart
    places = np.array([k + (0.25 if k else 0.0) for k in range(len(regions))])
    table = np.nan_to_num(share_table(inputs, driver, regions))
    left = np.zeros(len(regions))
    for colour, part in zip(classes.colors, table.T, strict=True):
        ax.barh(places, 100 * part, left=100 * left, height=0.76, color=colour, edgecolor="white", linewidth=0.3)
        for y, share, start in zip(places, part, left, strict=True):
            # where the number has room
            if share * wide >= 3.6:
                ax.text(
                    100 * (start + share / 2),
                    y,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color=ink_on(colour),
                )
        left = left + part
    ax.set_ylim(places[-1] + 0.55, -0.55)
    labels = []
    for name in regions:
        text = shown_name(inputs, name)
        labels.append(wrap(text, label_lines(text, room)))
    ax.set_yticks(places, labels if names else [""] * len(regions))
    if names:
        ax.get_yticklabels()[0].set_fontweight("bold")
    return ax
