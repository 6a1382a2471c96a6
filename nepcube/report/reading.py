"""The tables of the page: rounded for reading, regions in order, the colours of the maps beside the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.classes import rows_of, scheme, shares
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.style import FLUX, NO_DATA, SLOPE, identifier, number, p_text, percent

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Table", "reading_tables", "value_of", "year_text"]


@dataclass(frozen=True)
class Cell:
    """One cell of a table: what is written, and the colour of a swatch before it."""

    text: str
    color: str | None = None
    head: bool = False
    below: str = ""


@dataclass(frozen=True)
class Table:
    """A table for reading, and the CSV file that has every digit."""

    caption: str
    source: str
    columns: list[Cell]
    rows: list[list[Cell]]
    note: str = ""
    folded: str = ""


def _name(inputs: ReportInputs, region: str) -> str:
    return ("Whole region" if inputs.region_names else "Whole area") if region == ALL else region


def _marked(inputs: ReportInputs, region: str) -> str:
    # with the mark that maps and panels use, since they may lack the room or the font for the name
    names = inputs.region_names
    return (
        f"{identifier(names.index(region), len(names))}  {region}"
        if region in names[: None if len(names) > 1 else 0]
        else _name(inputs, region)
    )


def _order(inputs: ReportInputs, present: Sequence[str]) -> list[str]:
    there = set(present)
    return [name for name in (ALL, *inputs.region_names) if name in there]


def value_of(row: pd.Series[Any], column: str) -> float:
    """Read a number of a row, NaN where the column is not there."""
    return float(row[column]) if column in row.index else float("nan")


def year_text(value: Any) -> str:
    """Write a year."""
    return str(int(value)) if np.isfinite(float(value)) else "–"


def _summary(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("summary")
    if not len(rows):
        return None
    out = []
    for region in _order(inputs, list(rows["region"])):
        row = rows[rows["region"] == region].iloc[0]
        out.append(
            [Cell(_marked(inputs, region), head=True)]
            + [Cell(number(value_of(row, c), 2)) for c in ("mean_gc_m2", "cumulative_gc_m2")]
            + [
                Cell(number(value_of(row, "slope_gc_m2_yr"), 3)),
                Cell(p_text(value_of(row, "slope_pvalue")).removeprefix("p ").removeprefix("= ")),
            ]
            + [
                Cell(f"{number(value_of(row, f'{e}_gc_m2'), 2)} ({year_text(row[f'{e}_year'])})")
                for e in ("min", "max")
            ]
            + [
                Cell(number(value_of(row, "cv"), 3)),
                Cell(number(value_of(row, "area_km2"), 0)),
                Cell(number(value_of(row, "region_area_km2"), 0)),
            ]
        )
    columns = [
        "Region",
        f"Mean ({FLUX})",
        "Cumulative (gC m⁻²)",
        f"Slope ({SLOPE})",
        "p",
        "Minimum (year)",
        "Maximum (year)",
        "CV",
        "Area with data (km²)",
        "Area (km²)",
    ]
    return Table(
        f"{inputs.nep[:1].upper()}{inputs.nep[1:]} by region, {inputs.years}",
        "summary.csv",
        [Cell(c, head=True) for c in columns],
        out,
    )


def _series(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("series", region=ALL)
    if not len(rows):
        return None
    parts = [
        ("year", None),
        ("mean_gc_m2", 2),
        ("total_tgc", 3),
        ("area_km2", 0),
        ("sink_share", -1),
        ("sink_mean_gc_m2", 2),
        ("source_mean_gc_m2", 2),
    ]
    out = []
    for _, row in rows.sort_values("year").iterrows():
        cells = [Cell(year_text(row["year"]), head=True)]
        cells += [Cell(percent(value_of(row, c)) if d == -1 else number(value_of(row, c), d)) for c, d in parts[1:]]
        out.append(cells)
    columns = [
        "Year",
        f"Mean ({FLUX})",
        "Total (TgC)",
        "Area with data (km²)",
        "Sink share",
        f"Mean of sinks ({FLUX})",
        f"Mean of sources ({FLUX})",
    ]
    note = "The file has every region." if inputs.region_names else ""
    return Table(
        "The years of the whole region",
        "series.csv",
        [Cell(c, head=True) for c in columns],
        out,
        note,
        "Show the years",
    )


def _class_table(inputs: ReportInputs, key: str, caption: str, driver: str | None = None) -> Table | None:
    classes = scheme(inputs, key, driver)
    rows = rows_of(inputs, key, driver)
    if classes is None or not len(rows):
        return None
    whole = rows[rows["region"] == ALL]
    out = []
    for region in _order(inputs, list(rows["region"])):
        found, without = shares(inputs, key, region, driver)
        out.append([Cell(_name(inputs, region), head=True), *(Cell(percent(s)) for s in found), Cell(percent(without))])
    if driver is None and len(whole):
        area = {int(c): float(a) for c, a in zip(whole["class"], whole["area_km2"], strict=True)}
        ordered = [area[c] for c in sorted(c for c in area if c not in (-1, 255))]
        if len(ordered) == len(classes.values):
            out.insert(
                1,
                [
                    Cell("Whole, km²", head=True),
                    *(Cell(number(a, 0)) for a in ordered),
                    Cell(number(area.get(-1, area.get(255, 0.0)), 0)),
                ],
            )
    heads = [Cell("Region", head=True)]
    for k, (label, colour) in enumerate(zip(classes.labels, classes.colors, strict=True)):
        interval = "" if key == "partial_classes" else classes.interval(k)
        heads.append(Cell(label, colour, True, interval))
    heads.append(Cell("no data", NO_DATA, True))
    return Table(caption, f"{key}.csv", heads, out)


def _field(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("field_significance")
    if not len(rows):
        return None
    heads = [Cell(c, head=True) for c in ("Test", "Cells tested", "Hold", "Share", "Threshold of p")]
    out = [
        [
            Cell(str(r["test"]), head=True),
            Cell(number(r["tests"], 0)),
            Cell(number(r["rejected"], 0)),
            Cell(percent(r["share"])),
            Cell(number(r["threshold"], digits=3) if r["rejected"] else "none"),
        ]
        for _, r in rows.iterrows()
    ]
    alpha = float(rows["alpha"].iloc[0])
    caption = f"Tests that hold over the whole map at a false discovery rate of {alpha:g} (Benjamini-Hochberg)"
    return Table(caption, "field_significance.csv", heads, out)


def _flags(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("npp_flags", region=ALL)
    if not len(rows):
        return None
    out = []
    for flag in sorted(set(rows["flag"])):
        part = rows[rows["flag"] == flag]
        low, high = part.loc[part["share"].idxmin()], part.loc[part["share"].idxmax()]
        out.append(
            [Cell(str(part["label"].iloc[0]).replace("_", " "), head=True), Cell(str(int(flag)))]
            + [Cell(f"{percent(r['share'])} ({year_text(r['year'])})") for r in (low, high)]
        )
    heads = [
        Cell(c, head=True) for c in ("Reason", "Flag", "Smallest share of area (year)", "Largest share of area (year)")
    ]
    return Table("Why cells have or lack net primary productivity", "npp_flags.csv", heads, out)


_DOMINANT = "Driver of the largest partial correlation with {}: share of area"


def reading_tables(inputs: ReportInputs) -> list[Table]:
    """Make the tables of the page, in its order."""
    found = [
        _summary(inputs),
        _series(inputs),
        _class_table(inputs, "slope_classes", f"Classes of the slope ({SLOPE}): share of area"),
        _class_table(inputs, "cv_classes", "Classes of the coefficient of variation: share of area"),
        _class_table(inputs, "trend_classes", "Direction and significance of the trend: share of area"),
        _class_table(
            inputs, "dominant_drivers", f"Driver of the largest partial correlation with {inputs.nep}: share of area"
        ),
        _class_table(
            inputs, "dominant_drivers_npp", "Driver of the largest partial correlation with NPP: share of area"
        ),
        _class_table(inputs, "attribution_classes", "Change of NPP by cause: share of area"),
        _field(inputs),
        *(
            _class_table(inputs, "partial_classes", f"Partial correlation with {d}: share of area", d)
            for d in inputs.drivers
        ),
        _flags(inputs),
    ]
    return [table for table in found if table is not None]
