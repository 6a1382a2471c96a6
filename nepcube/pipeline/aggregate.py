"""Aggregate: regions, classes and tables from the maps of every cell."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nepcube import regions as region_room
from nepcube import report as report_room
from nepcube import spec, stats, store
from nepcube.errors import SpecError
from nepcube.grid import Window, windows
from nepcube.pipeline.analyse import statistics_attrs
from nepcube.pipeline.bases import basis_table
from nepcube.pipeline.classing import CODED, MAPS, Classes, classes_of, domain_map
from nepcube.pipeline.context import Run
from nepcube.pipeline.provenance import note_regions
from nepcube.pipeline.stages import begin, commit, finish, is_done, take_away, unseal
from nepcube.pipeline.stratifying import layouts_of, maps_there, open_strata
from nepcube.pipeline.summing import HIGHLY, Job, Sums, label_job, sum_job
from nepcube.pipeline.uncertainty import TABLES as UNCERTAINTY_TABLES
from nepcube.pipeline.uncertainty import area_scale, errors_of, uncertainty_tables, with_errors

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

STAGE = "aggregate"
TABLES = (
    "series", "summary", "slope_classes", "cv_classes", "partial_classes", "significance", "npp_flags",
    "respiration_bases", "field_significance", "regions", *CODED.values(), *UNCERTAINTY_TABLES,
)  # fmt: skip
# what the attributes of a map of p-values begin with that tell what holds over the whole map
_FIELD = "field_"


def aggregate(run: Run) -> None:
    """Label the regions, find the breaks, store the classes, and write the tables."""
    if is_done(run, STAGE):
        run.progress(STAGE, 1, 1, "done already")
        return
    record = begin(run, STAGE)
    strata = open_strata(run.recipe, run.grid)
    added = ["region", "region_share", "slope_class", "cv_class", *maps_there(run)]
    run.ledger.forget(STAGE)
    take_away(run, run.statistics, added)
    commit(run, run.statistics, statistics_attrs(run))
    # what is found of the maps is told in their metadata
    unseal(run, run.statistics)
    attrs = region_room.label_attrs(run.regions)
    layouts = [store.Layout("region", "int16", attrs, yearly=False), *layouts_of(strata)]
    if run.exact:
        shared = {"long_name": "share of the cell's area that lies in the regions", "units": "1"}
        layouts.append(store.Layout("region_share", "float64", shared, yearly=False))
    run.statistics.create(layouts, None)
    blocks = list(windows(run.grid, run.block))
    largest = 0.0
    jobs = (_job(run, w, strata) for w in blocks)
    for k, (job, (area, written)) in enumerate(run.engine.map(label_job, jobs), start=1):
        run.ledger.add_chunks(STAGE, "region", written)
        largest = max(largest, area)
        run.progress(f"{STAGE}: regions", k, len(blocks), f"{job.window.y0}, {job.window.x0}")
    if not largest:
        raise SpecError(
            "classes: no cell of the regions has a value.",
            "Check the no-data share in the maps, `min_years`, and that the regions lie on the data.",
        )
    classes = tuple(_found(run, name, largest, len(blocks)) for name in _mapped(run))
    run.statistics.create([c.layout() for c in classes], None)
    # which tests hold over the map must be known before their cells are summed
    fields = field_table(run)
    thresholds = _thresholds(fields)
    totals: Sums | None = None
    scale = area_scale(largest)
    jobs = (replace(_job(run, w, strata, classes=classes, thresholds=thresholds), area_scale=scale) for w in blocks)
    for k, (_, (found_sums, written)) in enumerate(run.engine.map(sum_job, jobs), start=1):
        run.ledger.add_chunks(STAGE, "classes", written)
        if totals is None:
            totals = found_sums.widened(np.arange(len(run.region_names) + 1))
        else:
            totals += found_sums
        run.progress(f"{STAGE}: sums", k, len(blocks))
    if totals is None:
        raise SpecError("aggregate: the grid has no block.", "Check `grid.bounds`.")
    for name in _partials(run):
        run.statistics.describe(name, {"breaks": list(_partial_breaks(run))})
    run.ledger.flush()
    groups = region_room.groups_of(run.region_names, union=run.exact)
    tables = make_tables(run, totals, classes, groups)
    for stratum in strata:
        tables |= _tables_by(run, stratum, totals.strata[stratum.name], classes, groups)
    tables["respiration_bases"] = basis_table(run)
    note_regions(run, region_notes(run, tables))
    tables |= fields
    for name in (run.out / "tables").names():
        stem = name.removesuffix(".csv")
        if stem not in tables and (stem in TABLES or is_by_stratum(name)):
            # a table of an earlier recipe is none of this run
            (run.out / "tables" / name).delete()
    with (run.out / "tables").local_folder() as folder:
        report_room.write_tables(tables, folder)
    commit(run, run.statistics, statistics_attrs(run))
    finish(run, STAGE, record)


def is_by_stratum(name: str) -> bool:
    """Tell whether a file is a table of a stratum."""
    stem, sign, _ = name.partition("_by_")
    return bool(sign) and stem in TABLES and name.endswith(".csv")


def _mapped(run: Run) -> list[str]:
    return [name for name, source in MAPS.items() if run.statistics.has(source)]


def _partials(run: Run) -> list[str]:
    names = [f"nep_partial_{d}" for d in run.recipe.correlates]
    return [n for n in names if run.statistics.has(n)]


def _found(run: Run, name: str, largest: float, blocks: int) -> Classes:
    done = itertools.count(1)
    # the bins are divided where it matters, and all is counted again: a few times, how many is not known before
    return classes_of(run, name, largest, lambda: _tell(run, name, next(done), blocks))


def _tell(run: Run, name: str, done: int, blocks: int) -> None:
    run.progress(f"{STAGE}: {name}", (done - 1) % blocks + 1, blocks, f"count {(done - 1) // blocks + 1}")


def _coded(run: Run) -> tuple[str, ...]:
    return tuple(name for name in CODED if run.statistics.has(name))


def _job(
    run: Run,
    window: Window,
    strata: tuple[region_room.Stratum, ...],
    *,
    classes: tuple[Classes, ...] = (),
    thresholds: Mapping[str, float] | None = None,
) -> Job:
    # a job is sent to a worker with no more polygons and files than it can meet
    shapes = None if run.regions is None else region_room.shapes_near(run.regions, run.grid, window)
    return Job(
        grid=run.grid,
        shapes=shapes,
        regions=len(run.region_names),
        exact=run.exact,
        cube=run.cube,
        statistics=run.statistics,
        window=window,
        classes=classes,
        coded=_coded(run),
        partials=tuple(_partials(run)),
        partial_breaks=_partial_breaks(run),
        flagged=run.flagged,
        years=len(run.years),
        alpha=run.recipe.statistics.alpha,
        errors=errors_of(run.recipe),
        thresholds=thresholds or {},
        strata=tuple(one.near(run.grid, window) for one in strata),
    )


def _partial_breaks(run: Run) -> tuple[float, ...]:
    breaks = run.recipe.classes.partial_correlation.breaks
    if breaks is None:
        raise SpecError("classes.partial_correlation: it takes `breaks`.", "Give them, such as [-0.5, 0, 0.5].")
    return breaks


def _tables_by(
    run: Run,
    stratum: region_room.Stratum,
    sums: Sums,
    classes: Sequence[Classes],
    groups: Mapping[str, NDArray[np.int64]],
) -> dict[str, pd.DataFrame]:
    rows = region_room.crossed_groups(groups, stratum.labels, sums.regions.labels)
    made = make_tables(run, sums, classes, rows)
    return {f"{name}_by_{stratum.name}": region_room.split(table) for name, table in made.items()}


def make_tables(
    run: Run, sums: Sums, classes: Sequence[Classes], groups: Mapping[str, NDArray[np.int64]]
) -> dict[str, pd.DataFrame]:
    """Make every table of sums: a row, or several, for each of `groups`."""
    years = run.years
    series = region_room.series_table(sums.series, sums.regions, groups, years)
    tables = {
        "series": series,
        "summary": region_room.summary_table(series, _trends(run, series), level=1.0 - run.recipe.statistics.alpha),
    }
    for c in classes:
        tables[f"{c.variable}es"] = region_room.class_table(
            {c.source: sums.classes[c.variable]}, groups, {c.source: c.breaks}, {c.source: c.labels}
        )
    for name in _coded(run):
        words = spec.labels_of(run.statistics.attrs(name))
        tables[CODED[name]] = region_room.code_table({name: sums.classes[name]}, groups, {name: words})
    breaks = _partial_breaks(run)
    given = run.recipe.classes.partial_correlation.labels
    labels = tuple(given or stats.interval_labels(breaks))
    partials = {n.removeprefix("nep_partial_"): sums.classes[n] for n in _partials(run)}
    tables["partial_classes"] = region_room.class_table(
        partials, groups, dict.fromkeys(partials, breaks), dict.fromkeys(partials, labels)
    )
    tables["significance"] = region_room.significance_table(
        sums.signs,
        groups,
        alpha=run.recipe.statistics.alpha,
        highly=HIGHLY,
        field=run.recipe.statistics.field_significance,
    )
    errors = errors_of(run.recipe)
    if errors is not None and sums.uncertainty:
        tables |= uncertainty_tables(sums.uncertainty[0], errors, groups)
        tables["summary"] = with_errors(tables["summary"], tables["uncertainty"])
    if run.polygons is not None and sums.sizes:
        overlap = "exact" if run.exact else "centre"
        tables["regions"] = region_room.size_table(sums.sizes, run.polygons, run.region_names, overlap=overlap)
    if run.flagged:
        tables["npp_flags"] = region_room.flag_table(sums.flags, groups, years, spec.NPP_FLAGS)
    return tables


def region_notes(run: Run, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say what was mended or cut, what overlaps, what lies outside the grid, and what has no cell."""
    if run.polygons is None:
        return []
    # what has no centre is known by now
    out = [*run.polygons.notes, *region_room.outside_notes(run.polygons, run.grid)]
    table = tables["regions"]
    touched, counted = table["n_cells_touched"] > 0, table["n_cells"].fillna(-1) == 0
    missed = [str(name) for name in table["region"][touched & counted] if name != "all"]
    if missed and not run.exact:
        out.append(region_room.missed_note(missed))
    return out


def field_table(run: Run) -> dict[str, pd.DataFrame]:
    """Find which tests hold over the whole map, and tell it of each map of p-values."""
    import pandas as pd

    if not run.recipe.statistics.field_significance:
        for name in _tested(run):
            run.statistics.describe(name, {}, anew=_FIELD)
        return {}
    alpha = run.recipe.statistics.alpha
    where = domain_map(run.exact)
    maps = store.lazy_maps(run.statistics.path, [where, *_tested(run)])
    mask = None if run.regions is None else maps[where] > 0
    first, last = run.recipe.period
    rows = []
    for k, name in enumerate(_tested(run), start=1):
        domain = f"{len(run.region_names)} regions" if run.region_names else "the whole grid"
        found = stats.field_significance(maps[name], alpha=alpha, mask=mask, domain=f"{domain}, {first}-{last}")
        told = {"alpha": found.alpha, "tests": found.m, "rejected": found.rejected, "domain": found.domain}
        # JSON knows no NaN: where no test holds there is no threshold
        told |= {"threshold": found.threshold} if found.rejected else {}
        run.statistics.describe(name, {f"{_FIELD}{key}": value for key, value in told.items()}, anew=_FIELD)
        rows.append(
            {
                "variable": name.removesuffix("_pvalue"),
                "test": str(run.statistics.attrs(name)["long_name"]).removeprefix("p-value of the "),
                "method": "Benjamini-Hochberg",
                "alpha": found.alpha,
                "tests": found.m,
                "rejected": found.rejected,
                "share": found.rejected / found.m if found.m else float("nan"),
                "threshold": found.threshold,
                "domain": found.domain,
            }
        )
        run.progress(f"{STAGE}: tests", k, len(_tested(run)), name)
    return {"field_significance": pd.DataFrame(rows)}


def _thresholds(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    # the largest p-value that holds over the whole map, by the map that is tested; none where no test holds
    if "field_significance" not in tables:
        return {}
    found = tables["field_significance"]
    return {n: float(t) for n, t in zip(found["variable"], found["threshold"], strict=True) if np.isfinite(t)}


def _tested(run: Run) -> list[str]:
    return [n for n in run.statistics.names() if n.endswith("_pvalue")]


def _trends(run: Run, series: pd.DataFrame) -> dict[str, dict[str, float]]:
    import xarray as xr

    order = list(dict.fromkeys(series["region"]))
    values = series["mean_gc_m2"].to_numpy().reshape(len(order), len(run.years))
    da = xr.DataArray(values, {"region": order, "time": list(map(float, run.years))}, ("region", "time"))
    fit = stats.linear_trend(da, min_years=run.recipe.min_years)
    cv = stats.coefficient_of_variation(
        da, ddof=run.recipe.statistics.cv.ddof, min_mean=0.0, min_years=run.recipe.min_years
    )
    values_of = {name: fit[name].values for name in ("slope", "pvalue", "stderr", "n")} | {"cv": cv["cv"].values}
    return {region: {n: float(v[k]) for n, v in values_of.items()} for k, region in enumerate(order)}
