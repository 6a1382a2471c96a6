"""The tables of strata on the page: one of the whole by class, and one of each region by class."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.reading import (
    Cell,
    Table,
    head_cells,
    marked_region,
    nep_word,
    p_number,
    region_word,
    value_of,
    years_word,
)
from nepcube.report.saying import Told, has_words, known, say
from nepcube.report.style import number, percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

__all__ = ["stratum_tables", "stratum_word"]

#: classes of the whole that stand open; more are folded
_OPEN = 20
#: rows of a table of the page; the file has all
_MOST_CLASSES, _MOST_ROWS = 100, 400
_FLUX = say("unit.flux")
_BAND = re.compile(r"(?:below (?P<below>\S+)|(?P<low>\S+) to (?P<high>\S+)|(?P<above>\S+) and above)")


def stratum_word(name: str) -> Told:
    """Say a stratum: in words where its name is a common one, else as the recipe calls it."""
    key = f"stratum.{name}"
    return say(key) if has_words(key) else name


def stratum_class_word(label: str, *, ours: bool) -> Told:
    """Say a class of a stratum.

    Parameters
    ----------
    label : str
    ours : bool
        Whether the names of the classes are nepcube's: those of a table that it knows, or bounds. A name that a recipe
        gives is itself.
    """
    if not ours:
        return say("land.no_class") if label == "no class" else label
    found = _BAND.fullmatch(label)
    if found and all(_is_number(v) for v in found.groupdict().values() if v is not None):
        if found["below"] is not None:
            return say("interval.below", value=_minus(found["below"]))
        if found["above"] is not None:
            return say("interval.above", value=_minus(found["above"]))
        return say("between", low=_minus(found["low"]), high=_minus(found["high"]))
    before, sign, after = label.partition(" to ")
    if sign and _has_class(before) and _has_class(after):
        return say("table.class_change", first=known("land", _key(before)), second=known("land", _key(after)))
    return known("land", _key(label)) if _has_class(label) else label


def _key(label: str) -> str:
    return label.replace(" ", "_")


def _has_class(label: str) -> bool:
    return has_words(f"land.{_key(label)}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _minus(text: str) -> str:
    return text.replace("-", "−") if text.startswith("-") else text


def stratum_tables(inputs: ReportInputs) -> list[Table]:
    """Make the tables of each stratum that the run has: of the whole by class, and of each region by class."""
    out: list[Table] = []
    for name, unit in inputs.strata.items():
        rows = inputs.rows(f"summary_by_{name}")
        if not len(rows):
            continue
        sinks = _sink_shares(inputs, name)
        out.append(_of_whole(inputs, name, unit, rows, sinks))
        if len(inputs.region_names) > 1:
            out.append(_by_region(inputs, name, unit, rows, sinks))
    return out


def _sink_shares(inputs: ReportInputs, stratum: str | None) -> dict[tuple[str, str], float]:
    # the mean of the years, by region and class; the class of a table without strata is empty
    rows = inputs.rows("series" if stratum is None else f"series_by_{stratum}")
    if not len(rows):
        return {}
    keyed = rows.assign(stratum="") if stratum is None else rows
    found = keyed.groupby(["region", "stratum"], sort=False)["sink_share"].mean().reset_index()
    keys = zip(found["region"].astype(str), found["stratum"].astype(str), strict=True)
    return dict(zip(keys, found["sink_share"].astype(float), strict=True))


def _numbers(row: pd.Series[Any], sink: float, whole: float) -> list[Cell]:
    area = value_of(row, "region_area_km2")
    return [
        Cell(number(area, 0)),
        Cell(percent(area / whole if whole > 0 else float("nan"))),
        Cell(number(value_of(row, "area_km2"), 0)),
        Cell(number(value_of(row, "mean_gc_m2"), 2)),
        Cell(number(value_of(row, "mean_tgc_yr"), digits=3)),
        Cell(number(value_of(row, "slope_gc_m2_yr"), 3)),
        Cell(p_number(value_of(row, "slope_pvalue"))),
        Cell(percent(sink)),
    ]


def _columns(unit: str, *first: Told) -> list[Cell]:
    label = say("column.class_in", unit=unit) if unit else say("column.class")
    return head_cells(
        *first,
        label,
        say("column.area"),
        say("column.share_of_area"),
        say("column.area_with_data"),
        say("column.mean", unit=_FLUX),
        say("column.total_by_year"),
        say("column.slope", unit=say("unit.slope")),
        say("column.p"),
        say("column.mean_sink_share"),
    )


def _of_whole(
    inputs: ReportInputs, name: str, unit: str, rows: pd.DataFrame, sinks: Mapping[tuple[str, str], float]
) -> Table:
    found = rows[(rows["region"] == ALL) & (rows["region_area_km2"] > 0)]
    count = len(found)
    if count > _MOST_CLASSES:
        found = found.loc[np.sort(found["region_area_km2"].nlargest(_MOST_CLASSES).index)]
    summary = inputs.rows("summary", region=ALL)
    out, pinned, whole = [], 0, float(rows.loc[rows["region"] == ALL, "region_area_km2"].sum())
    if len(summary):
        whole = value_of(summary.iloc[0], "region_area_km2")
        sink = _sink_shares(inputs, None).get((ALL, ""), float("nan"))
        out.append([Cell(region_word(inputs, ALL), head=True), *_numbers(summary.iloc[0], sink, whole)])
        pinned = 1
    for _, row in found.iterrows():
        label = str(row["stratum"])
        numbers = _numbers(row, sinks.get((ALL, label), float("nan")), whole)
        out.append([Cell(stratum_class_word(label, ours=name in inputs.standard_strata), head=True), *numbers])
    word = stratum_word(name)
    caption = say("table.stratum", nep=nep_word(inputs, first=True), stratum=word, years=years_word(inputs))
    notes: list[Told] = [say("table.largest_classes", shown=_MOST_CLASSES, count=count)] * (count > _MOST_CLASSES)
    folded: Told = say("table.show_stratum", stratum=word) if count > _OPEN else ""
    source = f"summary_by_{name}.csv"
    return Table(f"stratum_{name}", caption, source, _columns(unit), out, notes, folded, pinned)


def _by_region(
    inputs: ReportInputs, name: str, unit: str, rows: pd.DataFrame, sinks: Mapping[tuple[str, str], float]
) -> Table:
    there = rows[(rows["region"] != ALL) & (rows["region_area_km2"] > 0)]
    most = int(there.groupby("region").size().max()) if len(there) else 1
    shown = max(1, _MOST_ROWS // most)
    out = []
    for region in inputs.largest_regions(shown):
        part = there[there["region"] == region]
        whole = float(part["region_area_km2"].sum())
        for _, row in part.iterrows():
            label = str(row["stratum"])
            said = stratum_class_word(label, ours=name in inputs.standard_strata)
            cells = [Cell(marked_region(inputs, region), head=True), Cell(said)]
            out.append([*cells, *_numbers(row, sinks.get((region, label), float("nan")), whole)])
    word, count = stratum_word(name), len(inputs.region_names)
    caption = say("table.stratum_regions", nep=nep_word(inputs, first=True), stratum=word, years=years_word(inputs))
    notes: list[Told] = [say("table.largest", shown=shown, count=count)] * (count > shown)
    columns = _columns(unit, say("column.region"))
    folded = say("table.show_stratum_regions", stratum=word)
    return Table(f"stratum_{name}_regions", caption, f"summary_by_{name}.csv", columns, out, notes, folded)
