"""Tables of the page that tell how sure the numbers of the regions are: the error of the mean, and their sizes."""

from __future__ import annotations

import numpy as np

from nepcube.report.inputs import ReportInputs
from nepcube.report.reading import (
    Cell,
    Table,
    head_cells,
    left_out,
    marked_region,
    nep_word,
    order_of,
    value_of,
    years_word,
)
from nepcube.report.saying import Told, say
from nepcube.report.style import number, percent

__all__ = ["regional_tables"]

_FLUX = say("unit.flux")


def _uncertainty(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("uncertainty")
    if not len(rows):
        return None
    out = []
    for region in order_of(inputs, list(rows["region"])):
        row = rows[rows["region"] == region].iloc[0]
        low, high = (number(value_of(row, f"{end}_gc_m2"), 2) for end in ("lower", "upper"))
        cells = [Cell(marked_region(inputs, region), head=True)]
        cells += [Cell(number(value_of(row, c), 2)) for c in ("mean_gc_m2", "standard_error_gc_m2")]
        cells.append(Cell(say("between", low=low, high=high) if np.isfinite(value_of(row, "lower_gc_m2")) else "–"))
        cells.append(Cell(_chance(value_of(row, "sink_probability"))))
        cells += [Cell(number(value_of(row, f"{part}_error_gc_m2"), 2)) for part in ("npp", "respiration")]
        cells += [Cell(number(value_of(row, c), digits=4)) for c in ("total_tgc", "total_standard_error_tgc")]
        out.append(cells)
    columns = head_cells(
        say("column.region"),
        say("column.mean", unit=_FLUX),
        say("column.standard_error", unit=_FLUX),
        say("column.interval", unit=_FLUX),
        say("column.chance_of_sink"),
        say("column.error_of_npp", unit=_FLUX),
        say("column.error_of_rh", unit=_FLUX),
        say("column.total_by_year"),
        say("column.error_of_total"),
    )
    caption = say("table.uncertainty", nep=nep_word(inputs), years=years_word(inputs))
    return Table("uncertainty", caption, "uncertainty.csv", columns, out, left_out(inputs), pinned=1)


def _chance(share: float) -> str:
    # what is not certain is not written as if it were
    return ">99.9 %" if 0.9995 <= share < 1 else percent(share)


def _sizes(inputs: ReportInputs) -> Table | None:
    rows = inputs.rows("regions")
    if not len(rows):
        return None
    columns = {
        "polygon_area_km2": 0,
        "area_centre_km2": 0,
        "area_exact_km2": 0,
        "centre_minus_exact_km2": 1,
        "exact_minus_polygon_km2": 1,
        "mean_centre_gc_m2": 2,
        "mean_exact_gc_m2": 2,
        "mean_centre_minus_exact_gc_m2": 3,
    }
    out = []
    for region in order_of(inputs, list(rows["region"])):
        row = rows[rows["region"] == region].iloc[0]
        numbers = [Cell(number(value_of(row, c), d)) for c, d in columns.items()]
        out.append([Cell(marked_region(inputs, region), head=True), *numbers])
    heads = head_cells(
        say("column.region"),
        say("column.polygon_area"),
        say("column.area_centre"),
        say("column.area_exact"),
        say("column.centre_minus_exact"),
        say("column.exact_minus_polygon"),
        say("column.mean_centre", unit=_FLUX),
        say("column.mean_exact", unit=_FLUX),
        say("column.mean_difference", unit=_FLUX),
    )
    used: Told = say("table.sizes_exact" if rows["overlap"].iloc[0] == "exact" else "table.sizes_centre")
    folded = say("table.show_sizes")
    caption = say("table.sizes", nep=nep_word(inputs))
    return Table("regions", caption, "regions.csv", heads, out, [used, *left_out(inputs)], folded, pinned=1)


def regional_tables(inputs: ReportInputs) -> list[Table]:
    """Make the tables of the error of the mean and of the sizes of regions, where the run has them."""
    return [table for table in (_uncertainty(inputs), _sizes(inputs)) if table is not None]
