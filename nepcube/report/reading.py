"""The tables of the page: rounded for reading, regions in order, the colours of the maps beside the classes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.classes import Classes, key_of, rows_of, scheme, shares
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.saying import Told, known, say
from nepcube.report.style import NO_DATA, identifier, limit, number, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Table", "reading_tables", "value_of", "year_text", "years_between"]

#: regions in a table of the page; the file has all
_MOST_ROWS = 100


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what is written, and the colour of a swatch before it."""

    text: Told
    color: str | None = None
    head: bool = False
    below: Told = ""


@dataclass(frozen=True)
class Table:
    """A table for reading, and the CSV file that has every digit.

    `pinned` is the number of first rows that stay on top when a reader sorts.
    """

    key: str
    caption: Told
    source: str
    columns: list[Cell]
    rows: list[list[Cell]]
    notes: list[Told] = field(default_factory=list)
    folded: Told = ""
    pinned: int = 0


# --- words of names ------------------------------------------------------------------------------------------------


def nep_word(inputs: ReportInputs, *, first: bool = False) -> Told:
    """Say NEP, or potential NEP; `first` in a sentence."""
    key = "potential_nep" if inputs.potential else "nep"
    return say(key.capitalize() if first else key)


def years_word(inputs: ReportInputs) -> Told:
    """Say the period."""
    return years_between(*inputs.period)


def years_between(first: int, last: int) -> Told:
    """Say the years from one to another, or the one.

    Parameters
    ----------
    first, last : int
    """
    if first == last:
        return say("year", first=str(first))
    return say("years", first=str(first), last=str(last))


def p_word(p: float) -> Told:
    """Say a p-value."""
    p = float(p)
    if not np.isfinite(p):
        return say("p_undefined")
    return say("p.below") if p < 0.001 else say("p.value", p=f"{p:.3f}")


def region_word(inputs: ReportInputs, region: str) -> Told:
    """Say a region: its name, or that it is the whole."""
    if region != ALL:
        return region
    return say("whole_region" if inputs.region_names else "whole_area")


def marked_region(inputs: ReportInputs, region: str) -> Told:
    """Say a region with the mark that maps use, since they may lack the room or the font for its name."""
    names = inputs.region_names
    if len(names) > 1 and region in names:
        return f"{identifier(names.index(region), len(names))}  {region}"
    return region_word(inputs, region)


def class_word(classes: Classes, k: int) -> Told:
    """Say the `k`-th class; where the labels are a recipe's own, as it gives them, which is as the map has them."""
    label = classes.labels[k]
    if not classes.ours:
        return label
    key, level = key_of(label)
    return say(key, **level)


def interval_word(classes: Classes, k: int, *, closed: bool = False) -> Told:
    """Say the interval of the `k`-th class; the outer ones are open, or end at -1 and 1 where `closed`."""
    if len(classes.breaks) != len(classes.values) - 1:
        return ""
    edges = (-1.0, *classes.breaks, 1.0)
    if not closed:
        if not classes.breaks:
            return say("all_values")
        if k == 0:
            return say("interval.below", value=limit(classes.breaks[0]))
        if k == len(classes.values) - 1:
            return say("interval.above", value=limit(classes.breaks[-1]))
    return say("between", low=limit(edges[k]), high=limit(edges[k + 1]))


def value_of(row: pd.Series[Any], column: str) -> float:
    """Read a number of a row, NaN where the column is not there."""
    return float(row[column]) if column in row.index else float("nan")


def year_text(value: Any) -> str:
    """Write a year."""
    return str(int(value)) if np.isfinite(float(value)) else "–"


def order_of(inputs: ReportInputs, present: Sequence[str]) -> list[str]:
    """Give the regions that are present as a table of the page has them: the whole first, then the largest."""
    there = set(present)
    return [name for name in (ALL, *inputs.largest_regions(_MOST_ROWS)) if name in there]


def left_out(inputs: ReportInputs) -> list[Told]:
    """Say that a table has the largest regions only, where it has."""
    count = len(inputs.region_names)
    return [say("table.largest", shown=_MOST_ROWS, count=count)] if count > _MOST_ROWS else []


def head_cells(*columns: Told) -> list[Cell]:
    """Give the heads of columns."""
    return [Cell(c, head=True) for c in columns]


# --- tables --------------------------------------------------------------------------------------------------------

_FLUX = say("unit.flux")


def _summary(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("summary")
    if not len(rows):
        return None
    out = []
    for region in order_of(inputs, list(rows["region"])):
        row = rows[rows["region"] == region].iloc[0]
        p = value_of(row, "slope_pvalue")
        cells = [Cell(marked_region(inputs, region), head=True)]
        cells += [Cell(number(value_of(row, c), 2)) for c in ("mean_gc_m2", "cumulative_gc_m2")]
        cells += [Cell(number(value_of(row, "slope_gc_m2_yr"), 3)), Cell(p_number(p))]
        for end in ("min", "max"):
            cells.append(Cell(f"{number(value_of(row, f'{end}_gc_m2'), 2)} ({year_text(row[f'{end}_year'])})"))
        cells += [Cell(number(value_of(row, "cv"), 3))]
        cells += [Cell(number(value_of(row, c), 0)) for c in ("area_km2", "region_area_km2")]
        out.append(cells)
    columns = head_cells(
        say("column.region"),
        say("column.mean", unit=_FLUX),
        say("column.cumulative", unit=say("unit.sum")),
        say("column.slope", unit=say("unit.slope")),
        say("column.p"),
        say("column.minimum"),
        say("column.maximum"),
        say("column.cv"),
        say("column.area_with_data"),
        say("column.area"),
    )
    name = "table.summary" if inputs.region_names else "table.summary_whole"
    caption = say(name, nep=nep_word(inputs, first=True), years=years_word(inputs))
    return Table("summary", caption, "summary.csv", columns, out, left_out(inputs), pinned=1)


def p_number(p: float) -> str:
    """Write a p-value in a table."""
    return "–" if not np.isfinite(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _series(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("series", region=ALL)
    if not len(rows):
        return None
    parts = {
        "mean_gc_m2": 2,
        "total_tgc": 3,
        "area_km2": 0,
        "sink_share": -1,
        "sink_mean_gc_m2": 2,
        "source_mean_gc_m2": 2,
    }
    out = []
    for _, row in rows.sort_values("year").iterrows():
        cells = [Cell(year_text(row["year"]), head=True)]
        cells += [Cell(percent(value_of(row, c)) if d < 0 else number(value_of(row, c), d)) for c, d in parts.items()]
        out.append(cells)
    columns = head_cells(
        say("column.year"),
        say("column.mean", unit=_FLUX),
        say("column.total"),
        say("column.area_with_data"),
        say("column.sink_share"),
        say("column.sink_mean", unit=_FLUX),
        say("column.source_mean", unit=_FLUX),
    )
    notes = [say("table.series_note")] if inputs.region_names else []
    return Table("series", say("table.series"), "series.csv", columns, out, list(notes), folded=say("table.show_years"))


def _class_table(inputs: ReportInputs, key: str, caption: Told, driver: str | None = None) -> Table | None:
    classes = scheme(inputs, key, driver)
    rows = rows_of(inputs, key, driver)
    if classes is None or not len(rows):
        return None
    whole = rows[rows["region"] == ALL]
    out = []
    for region in order_of(inputs, list(rows["region"])):
        found, without = shares(inputs, key, region, driver)
        cells = [Cell(region_word(inputs, region), head=True)]
        out.append([*cells, *(Cell(percent(s)) for s in found), Cell(percent(without))])
    pinned = 1
    if driver is None and len(whole):
        area = {int(c): float(a) for c, a in zip(whole["class"], whole["area_km2"], strict=True)}
        ordered = [area[c] for c in sorted(c for c in area if c not in (-1, 255))]
        if len(ordered) == len(classes.values):
            without_data = number(area.get(-1, area.get(255, 0.0)), 0)
            cells = [Cell(say("column.whole_km2"), head=True), *(Cell(number(a, 0)) for a in ordered)]
            out.insert(1, [*cells, Cell(without_data)])
            pinned = 2
    heads = head_cells(say("column.region"))
    for k, colour in enumerate(classes.colors):
        if key == "partial_classes":
            heads.append(Cell(interval_word(classes, k, closed=True), colour, True))
        else:
            heads.append(Cell(class_word(classes, k), colour, True, interval_word(classes, k)))
    heads.append(Cell(say("no_data"), NO_DATA, True, say("column.of_all_area")))
    folded: Told = say("table.show_shares", what=known("class", driver)) if driver is not None else ""
    name = key if driver is None else f"{key}_{driver}"
    return Table(name, caption, f"{key}.csv", heads, out, left_out(inputs), folded, pinned)


def _test_word(inputs: ReportInputs, row: pd.Series[Any]) -> Told:
    found = re.fullmatch(r"(nep|npp)_(slope|mk|partial)(?:_(\w+))?", str(row["variable"]))
    if found is None:
        return str(row["test"])
    of = nep_word(inputs) if found[1] == "nep" else say("npp")
    if found[2] == "slope" and found[3] is None:
        return say("test.slope", of=of)
    if found[2] == "mk":
        variant = (found[3] or "original").replace("_", "-")
        return say("test.mk_variant", of=of, variant=known("variant", variant))
    if found[2] == "partial" and found[3] is not None:
        name = "test.partial_alone" if inputs.correlation_is_plain else "test.partial"
        return say(name, of=of, driver=known("class", found[3]))
    return str(row["test"])


def _field(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("field_significance")
    if not len(rows):
        return None
    columns = ("test", "tests", "rejected", "share", "threshold")
    out = [
        [
            Cell(_test_word(inputs, r), head=True),
            Cell(number(r["tests"], 0)),
            Cell(number(r["rejected"], 0)),
            Cell(percent(r["share"])),
            Cell(number(r["threshold"], digits=3) if r["rejected"] else say("none")),
        ]
        for _, r in rows.iterrows()
    ]
    caption = say("table.field_significance", alpha=f"{float(rows['alpha'].iloc[0]):g}")
    heads = head_cells(*(say(f"column.{c}") for c in columns))
    return Table("field_significance", caption, "field_significance.csv", heads, out)


def _flags(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("npp_flags", region=ALL)
    if not len(rows):
        return None
    out = []
    for flag in sorted(set(rows["flag"])):
        part = rows[rows["flag"] == flag]
        low, high = part.loc[part["share"].idxmin()], part.loc[part["share"].idxmax()]
        out.append(
            [Cell(known("flag", str(part["label"].iloc[0])), head=True), Cell(str(int(flag)))]
            + [Cell(f"{percent(r['share'])} ({year_text(r['year'])})") for r in (low, high)]
        )
    heads = head_cells(*(say(f"column.{c}") for c in ("reason", "flag", "smallest", "largest")))
    return Table("npp_flags", say("table.npp_flags"), "npp_flags.csv", heads, out)


def _bases(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("respiration_bases")
    if not len(rows):
        return None
    out = []
    for _, row in rows.iterrows():
        basis = known("basis", str(row["basis"]))
        told = say("basis.used", basis=basis) if bool(row["used"]) else basis
        values = [Cell(number(value_of(row, c), 1)) for c in ("rh_mean_gc_m2", "nep_mean_gc_m2")]
        out.append([Cell(told, head=True), *values])
    nep = nep_word(inputs, first=True)
    heads = head_cells(say("column.basis"), say("column.rh", unit=_FLUX), say("column.nep", nep=nep, unit=_FLUX))
    cells = number(float(rows["n_cells"].iloc[0]), 0)
    caption = say("table.respiration_bases", cells=cells)
    return Table("respiration_bases", caption, "respiration_bases.csv", heads, out)


def reading_tables(inputs: ReportInputs) -> list[Table]:
    """Make the tables of the page that the inputs allow."""
    nep = nep_word(inputs)
    dominant = "table.dominant_drivers"
    partial = "partial_classes_alone" if inputs.correlation_is_plain else "partial_classes"
    found = [
        _bases(inputs),
        _series(inputs),
        _summary(inputs),
        _class_table(inputs, "slope_classes", say("table.slope_classes", unit=say("unit.slope"))),
        _class_table(inputs, "cv_classes", say("table.cv_classes")),
        _class_table(inputs, "trend_classes", say("table.trend_classes")),
        *(
            _class_table(inputs, "partial_classes", say(f"table.{partial}", driver=say(f"quantity.{driver}")), driver)
            for driver in inputs.drivers
        ),
        _class_table(inputs, "dominant_drivers", say(dominant, nep=nep)),
        _class_table(inputs, "dominant_drivers_npp", say(dominant, nep=say("npp"))),
        _class_table(inputs, "attribution_classes", say("table.attribution_classes")),
        _field(inputs),
        _flags(inputs),
    ]
    return [table for table in found if table is not None]
