"""What a reader must know before using the numbers of a run, each from what was run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nepcube import nep, report
from nepcube.pipeline.uncertainty import uncertainty_notes
from nepcube.report import Note, Told, known, number, percent, say, years_between

if TYPE_CHECKING:
    import pandas as pd

    from nepcube.pipeline.context import Run
    from nepcube.recipe import Recipe

#: fewer years than this are called few; the reference study has as many
FEW_YEARS = 20
#: the first year of the MODIS record whose overpasses drift (since about April 2021)
TERRA_DRIFTS = 2021


def notes(run: Run, tables: Mapping[str, pd.DataFrame]) -> list[Note | str]:
    """Say what a reader must know before using the numbers.

    Parameters
    ----------
    run : Run
    tables : mapping of str to pandas.DataFrame
        Of the run.
    """
    recipe = run.recipe
    return [
        *_of_respiration(recipe),
        _note("balance"),
        _note("circular"),
        _note("replication"),
        *([_note("albedo")] if recipe.sources.radiation is not None else []),
        *([_note("potential")] if run.potential else _of_records(recipe)),
        *_of_climate(recipe),
        *uncertainty_notes(recipe, tables),
        *_of_few_years(recipe, len(run.years)),
        *_of_gaps(recipe, len(run.years), tables),
    ]


def _note(name: str, key: str = "text", **values: Told) -> Note:
    return Note(say(f"note.{name}.title"), say(f"note.{name}.{key}", **values))


def _of_respiration(recipe: Recipe) -> Iterator[Note]:
    asked = recipe.respiration
    basis = known("basis", asked.basis)
    if len(nep.respiration_model(asked.model).formulas) == 1:
        yield _note("model", basis=basis, model=asked.model)
    else:
        yield _note("basis", basis=basis)


def _of_records(recipe: Recipe) -> Iterator[Note]:
    records = recipe.sources.readers()["npp"].records(recipe.period)
    if {r.source.reader for r in records} & {"mod17a3hgf", "vnp17a3hgf"}:
        yield _note("no_check")
    late = [r.years for r in records if r.source.reader == "mod17a3hgf" and r.years[1] >= TERRA_DRIFTS]
    if late:
        yield _note("terra", years=years_between(max(late[0][0], TERRA_DRIFTS), late[0][1]))
    if len(records) > 1:
        told: Told = tuple(say("amount", value=r.source.reader, unit=years_between(*r.years)) for r in records)
        yield _note("joined", records=told)


def _of_climate(recipe: Recipe) -> Iterator[Note]:
    sources = recipe.sources
    start = sources.year_start
    if start != 1:
        yield _note("year_start", first=say(f"months.{start}"), last=say(f"months.{start - 1}"))
    if sources.temperature.elevation is not None:
        yield _note("lapse", rate=f"{sources.temperature.elevation.lapse_rate:g}")


def _of_few_years(recipe: Recipe, count: int) -> Iterator[Note]:
    if count >= FEW_YEARS:
        return
    asked = recipe.statistics.partial_correlation
    least = least_correlation(count, len(recipe.correlates) - 1 + asked.detrend, recipe.statistics.alpha)
    if math.isfinite(least):
        yield _note("few", count=count, r=f"{least:.2f}", alpha=f"{recipe.statistics.alpha:g}")
    else:
        yield Note(say("note.too_few.title"), say("note.too_few.text", count=count))


def least_correlation(count: int, order: int, alpha: float) -> float:
    """Give the least |r| of a partial correlation that is significant, two-sided; NaN without a degree of freedom.

    Parameters
    ----------
    count : int
        Years.
    order : int
        Number of controls.
    alpha : float
    """
    from scipy.stats import t

    freedom = count - 2 - order
    if freedom < 1:
        return math.nan
    bound = float(t.ppf(1 - alpha / 2, freedom))
    return bound / math.sqrt(freedom + bound**2)


def _of_gaps(recipe: Recipe, count: int, tables: Mapping[str, pd.DataFrame]) -> Iterator[Note]:
    least = recipe.statistics.cv.min_mean
    masked = _area_without_cv(tables)
    if masked > 0:
        yield _note("cv", area=number(masked, 0), least=f"{least:g}")
    share, worst, region = _share_without_data(tables)
    told, enough = percent(share), recipe.min_years
    if region is None:
        yield _note("gaps", share=told, least=enough, count=count)
    else:
        yield _note("gaps", "region", share=told, least=enough, count=count, worst=percent(worst), region=region)


def _area_without_cv(tables: Mapping[str, pd.DataFrame]) -> float:
    if "cv_classes" not in tables:
        return 0.0
    classes, series = tables["cv_classes"], tables["series"]
    whole = series[series["region"] == report.ALL]
    missing = classes[(classes["region"] == report.ALL) & (classes["class"] == -1)]["area_km2"].sum()
    return float(missing - (whole["region_area_km2"].iloc[0] - whole["area_km2"].max()))


def _share_without_data(tables: Mapping[str, pd.DataFrame]) -> tuple[float, float, str | None]:
    # of the whole, and of the region that lacks most where there are several
    areas = tables["series"].groupby("region", sort=False)[["area_km2", "region_area_km2"]].max()
    shares = 1 - areas["area_km2"] / areas["region_area_km2"]
    parts = shares.drop(index=report.ALL).dropna()
    if len(parts) < 2 or not parts.max() > 0:
        return float(shares[report.ALL]), math.nan, None
    return float(shares[report.ALL]), float(parts.max()), str(parts.idxmax())
