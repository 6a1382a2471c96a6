"""The charts of the page: where each line, dot and bar stands, in per cent of the drawing, and what each mark tells."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from nepcube.report.annual import MOST_PANELS, neither_share, signed, sink_and_source, small_share, trend_line
from nepcube.report.charts import share_regions, share_table
from nepcube.report.classes import scheme
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.reading import (
    interval_word,
    marked_region,
    nep_word,
    p_word,
    region_word,
)
from nepcube.report.saying import Told, known, say
from nepcube.report.style import ink_on, number, percent

__all__ = ["Bars", "Mark", "Plot", "Stack", "partial_stacks", "region_plots", "series_plot", "sink_plots", "ticks"]


@dataclass(frozen=True)
class Mark:
    """What a chart tells at one place: a title, and a value by label."""

    title: Told
    values: list[tuple[Told, str]]


@dataclass(frozen=True)
class Plot:
    """A chart over the years; places are per cent of its width and height, from the upper left corner."""

    key: str
    title: Told
    describe: Told
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    marks: list[Mark]
    #: left edge and width of the strip of each mark
    strips: list[tuple[float, float]]
    zero: float | None = None
    segments: list[tuple[float, float, float, float]] = field(default_factory=list)
    dots: list[tuple[float, float] | None] = field(default_factory=list)
    trend: tuple[float, float, float, float] | None = None
    #: x, y, width, height and kind of each bar
    bars: list[tuple[float, float, float, float, str]] = field(default_factory=list)
    badge: Told = ""


@dataclass(frozen=True)
class Bars:
    """One region's bar: x, width, colour, text and its colour, and the mark of each part."""

    label: Told
    parts: list[tuple[float, float, str, str, str, int]]


@dataclass(frozen=True)
class Stack:
    """Bars of one driver, one a region."""

    key: str
    title: Told
    describe: Told
    bars: list[Bars]
    marks: list[Mark]
    legend: list[tuple[str, Told]]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Give round numbers within a range, at most some `most` of them.

    Parameters
    ----------
    low, high : float
    most : int
    """
    rough = (high - low) / max(most, 1)
    if not rough > 0 or not math.isfinite(rough):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _tick_texts(values: list[float]) -> list[str]:
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0]) or 1.0
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += round(step * 10**digits, 6) % 1 > 1e-6
    return [number(v, digits) for v in values]


def _x_axis(first: int, last: int, most: int) -> tuple[list[tuple[float, float]], list[tuple[float, str]]]:
    count = last - first + 1
    strips = [(100 * k / count, 100 / count) for k in range(count)]
    step = next((s for s in (1, 2, 5, 10, 20, 50) if count / s <= most), 100)
    shown = [y for y in range(first, last + 1) if y % step == 0] or [first, last]
    return strips, [(100 * (y - first + 0.5) / count, str(y)) for y in shown]


def series_plot(inputs: ReportInputs, region: str = ALL, *, small: bool = False) -> Plot:
    """Lay out the annual means of a region with the line of the summary table.

    Parameters
    ----------
    inputs : ReportInputs
    region : str
    small : bool
        For a panel of many: fewer ticks.
    """
    first, last = inputs.period
    strips, x_ticks = _x_axis(first, last, 4 if small else 7)
    rows = inputs.rows("series", region=region)
    by_year = dict(zip(rows["year"], rows["mean_gc_m2"], strict=True)) if len(rows) else {}
    values = np.array([float(by_year.get(y, math.nan)) for y in range(first, last + 1)])
    title = marked_region(inputs, region)
    name = "series" if region == ALL else f"series_{inputs.region_names.index(region)}"
    seen = np.flatnonzero(np.isfinite(values))
    if not len(seen):
        return Plot(name, title, say("describe.no_series"), x_ticks, [], [], [], badge=say("no_data"))
    line = trend_line(inputs, region, first + seen.astype("f8"))
    badge: Told = ""
    if line is not None:
        badge = say("line.slope", value=signed(line.slope), unit=say("unit.slope"), p=p_word(line.p))
    ends = [] if line is None else [(year, line.at(year)) for year in (line.first, line.last)]
    every = [*values[seen], *(v for _, v in ends)]
    low, high = min(every), max(every)
    room = (high - low) or max(abs(high), 1.0)
    low, high = low - 0.08 * room, high + 0.08 * room
    x = [left + width / 2 for left, width in strips]
    y = [100 * (high - v) / (high - low) for v in values]
    unit = say("unit.flux")
    marks = []
    for k, year in enumerate(range(first, last + 1)):
        told: list[tuple[Told, str]] = [(say("chart.mean"), number(values[k], 2))]
        if line is not None and line.first <= year <= line.last:
            told.append((say("chart.fitted"), number(line.at(year), 2)))
        marks.append(Mark(say("brackets", text=str(year), more=unit) if not small else str(year), told))
    y_values = ticks(low, high, 4 if small else 5)
    least, most = seen[np.argmin(values[seen])], seen[np.argmax(values[seen])]
    describe = say(
        "describe.series",
        count=len(seen),
        first=str(first + seen[0]),
        last=str(first + seen[-1]),
        low=number(values[least], 2),
        low_year=str(first + least),
        high=number(values[most], 2),
        high_year=str(first + most),
        trend=badge,
    )
    drawn = [(x[year - first], 100 * (high - v) / (high - low)) for year, v in ends]
    return Plot(
        name,
        title,
        describe,
        x_ticks,
        [(100 * (high - v) / (high - low), t) for v, t in zip(y_values, _tick_texts(y_values), strict=True)],
        marks,
        strips,
        zero=100 * high / (high - low) if low < 0 < high else None,
        segments=[
            (x[a], y[a], x[a + 1], y[a + 1])
            for a in range(len(values) - 1)
            if math.isfinite(values[a]) and math.isfinite(values[a + 1])
        ],
        dots=[(x[k], y[k]) if math.isfinite(values[k]) else None for k in range(len(values))],
        trend=(*drawn[0], *drawn[1]) if line is not None and line.first < line.last else None,
        badge=badge,
    )


def region_plots(inputs: ReportInputs) -> list[Plot]:
    """Lay out a panel for each region, of the largest where there are very many."""
    return [series_plot(inputs, name, small=True) for name in inputs.largest_regions(MOST_PANELS)]


def sink_plots(inputs: ReportInputs) -> list[Plot]:
    """Lay out the shares of sink and source by year, and a share too small to be read there on its own scale."""
    first, last = inputs.period
    years, sink, source = sink_and_source(inputs)
    if not np.isfinite(sink).any():
        return []
    strips, x_ticks = _x_axis(first, last, 7)
    at = {int(y): k for k, y in enumerate(years)}
    count = last - first + 1
    shares = np.full((2, count), np.nan)
    for k in range(count):
        if first + k in at:
            shares[:, k] = sink[at[first + k]], source[at[first + k]]
    rest = neither_share(*shares)
    marks, bars = [], []
    for k, (left, width) in enumerate(strips):
        values: list[tuple[Told, str]] = [
            (say("chart.sink"), percent(shares[0, k])),
            (say("chart.source"), percent(shares[1, k])),
        ]
        if rest[k] > 0:
            values.append((say("chart.zero"), percent(rest[k])))
        marks.append(Mark(str(first + k), values))
        top = 100.0
        for kind, share in (
            ("sink", shares[0, k]),
            ("source", shares[1, k]),
            ("zero", rest[k]),
        ):
            if share > 0:
                top -= 100 * share
                bars.append((left + 0.1 * width, top, 0.8 * width, 100 * share, kind))
    describe = say(
        "describe.sink_share",
        first=str(first),
        last=str(last),
        low=percent(float(np.nanmin(shares[0]))),
        high=percent(float(np.nanmax(shares[0]))),
    )
    y_ticks = [(100.0 - v, str(v)) for v in (0, 25, 50, 75, 100)]
    out = [Plot("sink_share", "", describe, x_ticks, y_ticks, marks, strips, bars=bars)]
    small_kind = small_share(*shares)
    if small_kind is not None:
        small = shares[0 if small_kind == "sink" else 1]
        top = float(np.nanmax(small)) * 1.15
        few = ticks(0.0, 100 * top, 3)
        alone = [
            (left + 0.1 * width, 100 * (1 - s / top), 0.8 * width, 100 * s / top, small_kind)
            for (left, width), s in zip(strips, small, strict=True)
            if s > 0
        ]
        y_few = [(100 - v / top, t) for v, t in zip(few, _tick_texts(few), strict=True)]
        own = say("caption.small_share", kind=say(f"chart.{small_kind}_word"))
        out.append(Plot(f"sink_share_{small_kind}", own, describe, x_ticks, y_few, marks, strips, bars=alone))
    return out


def partial_stacks(inputs: ReportInputs) -> list[Stack]:
    """Lay out, for each driver, the shares of its classes of partial correlation in each region."""
    out = []
    regions = share_regions(inputs, MOST_PANELS)
    for driver in inputs.drivers:
        classes = scheme(inputs, "partial_classes", driver)
        if classes is None or not regions:
            continue
        found = share_table(inputs, driver, regions)
        legend: list[tuple[str, Told]] = [
            (colour, interval_word(classes, k, closed=True)) for k, colour in enumerate(classes.colors)
        ]
        marks: list[Mark] = []
        bars = []
        for region, row in zip(regions, found, strict=True):
            left, parts = 0.0, []
            for (colour, label), share in zip(legend, row, strict=True):
                if share > 0:
                    text = f"{100 * share:.0f}" if share >= 0.06 else ""
                    parts.append((left, 100 * share, colour, text, ink_on(colour), len(marks)))
                    title = say("colon", left=region_word(inputs, region), right=label)
                    marks.append(Mark(title, [(say("chart.share"), percent(share))]))
                    left += 100 * share
            bars.append(Bars(region_word(inputs, region), parts))
        told = say("describe.partial_shares")
        out.append(Stack(f"partial_{driver}", known("quantity", driver), told, bars, marks, legend))
    return out


def legend_of_series() -> list[tuple[str, Told]]:
    """Name the lines of the series."""
    return [("line", say("line.annual")), ("trend", say("line.trend"))]


def legend_of_shares(inputs: ReportInputs, plot: Plot) -> list[tuple[str, Told]]:
    """Name the parts of the bars of sink and source."""
    kinds = ("sink", "source", *(("zero",) if any(bar[4] == "zero" for bar in plot.bars) else ()))
    return [(kind, say(f"area.{kind}", nep=nep_word(inputs))) for kind in kinds]


def axis_word(inputs: ReportInputs, plot: Plot) -> Told:
    """Name what the vertical axis of a chart measures."""
    if plot.bars:
        return say("share_with_data_percent")
    return say("chart.axis_flux", nep=nep_word(inputs, first=True), unit=say("unit.flux"))
