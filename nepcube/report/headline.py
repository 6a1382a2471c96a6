"""The key figures of the page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nepcube.report.annual import signed
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.reading import nep_word, p_word, value_of, year_text, years_word
from nepcube.report.saying import Told, say
from nepcube.report.style import number

__all__ = ["KeyFigure", "key_figures"]


@dataclass(frozen=True)
class KeyFigure:
    """One number that a reader sees first."""

    label: Told
    value: str
    unit: Told = ""
    more: Told = ""


def key_figures(inputs: ReportInputs) -> list[KeyFigure]:
    """Give the key figures of a run, from its tables."""
    out: list[KeyFigure] = []
    nep, years = nep_word(inputs), years_word(inputs)
    flux = say("unit.flux")
    summary, series = inputs.rows("summary", region=ALL), inputs.rows("series", region=ALL)
    if len(summary):
        row = summary.iloc[0]
        mean, slope = value_of(row, "mean_gc_m2"), value_of(row, "slope_gc_m2_yr")
        out.append(KeyFigure(say("key.mean", nep=nep), number(mean, 2), flux, say("key.mean_more", years=years)))
        told = say("key.trend_more", p=p_word(value_of(row, "slope_pvalue")))
        out.append(KeyFigure(say("key.trend"), signed(slope), say("unit.slope"), told))
        depth = number(value_of(row, "cumulative_gc_m2"), 1)
        out.append(KeyFigure(say("key.cumulative"), depth, say("unit.sum"), say("key.cumulative_more", years=years)))
        total = value_of(row, "cumulative_tgc")
        if np.isfinite(total):
            area = number(value_of(row, "area_km2"), 0)
            value = number(total, digits=4)
            out.append(KeyFigure(say("key.total"), value, say("unit.total"), say("key.total_more", area=area)))
        for end, key in (("min", "key.lowest"), ("max", "key.highest")):
            value = number(value_of(row, f"{end}_gc_m2"), 2)
            out.append(KeyFigure(say(key), year_text(row[f"{end}_year"]), "", _with_unit(value, flux)))
    if len(series):
        sink = np.asarray(series["sink_share"], "f8")
        if np.isfinite(sink).any():
            low, high = int(np.nanargmin(sink)), int(np.nanargmax(sink))
            years_of = np.asarray(series["year"])
            value = f"{number(100 * sink[low], 1)}–{number(100 * sink[high], 1)}"
            told = say("key.sink_more", low=str(years_of[low]), high=str(years_of[high]))
            out.append(KeyFigure(say("key.sink"), value, "%", told))
    return out


def _with_unit(value: str, unit: Told) -> Told:
    return say("amount", value=value, unit=unit)
