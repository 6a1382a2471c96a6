"""Aggregate: regions, classes and tables from the maps of every cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import report as report_room
from nepcube import spec, stats, store
from nepcube.errors import NepcubeError, SpecError
from nepcube.grid import Window, cell_area, windows
from nepcube.pipeline.analyse import statistics_attrs
from nepcube.pipeline.bases import basis_table
from nepcube.pipeline.context import Run, begin, commit, finish, is_done

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

STAGE = "aggregate"
TABLES = (
    "series", "summary", "slope_classes", "cv_classes", "partial_classes", "significance", "npp_flags",
    "respiration_bases",
)  # fmt: skip
MAPS = {"slope": "nep_slope", "cv": "nep_cv"}
HIGHLY = 0.01
# cells of all years that are summed at once
_SUMMED_CELLS = 2**20


@dataclass(frozen=True)
class Classes:
    """The classes of one map."""

    variable: str
    source: str
    breaks: tuple[float, ...]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    absolute: bool


@dataclass(frozen=True)
class Job:
    """One block of the maps; `classes` are known in the last pass only."""

    grid: GeoBox
    frame: gpd.GeoDataFrame | None
    regions: int
    cube: store.Store
    statistics: store.Store
    window: Window
    absolute: dict[str, bool]
    bounds: dict[str, tuple[float, float]]
    classes: tuple[Classes, ...]
    partials: tuple[str, ...]
    partial_breaks: tuple[float, ...]
    flagged: bool
    years: int
    alpha: float


def aggregate(run: Run) -> None:
    """Label the regions, find the breaks, store the classes, and write the tables."""
    if is_done(run, STAGE):
        run.progress(STAGE, 1, 1, "done already")
        return
    begin(run, STAGE)
    added = ["region", "slope_class", "cv_class"]
    run.statistics.remove(added)
    commit(run, run.statistics, statistics_attrs(run))
    run.ledger.forget(STAGE)
    attrs = region_room.label_attrs(run.regions)
    run.statistics.create([store.Layout("region", "int16", attrs, yearly=False)], None)
    blocks = list(windows(run.grid, run.block))
    count = 3 * len(blocks)
    extremes: dict[str, list[tuple[float, float]]] = {name: [] for name in _mapped(run)}
    step = 0
    for job, (found, written) in run.engine.map(label_job, [_job(run, w) for w in blocks]):
        step += 1
        run.ledger.add_chunks(STAGE, "region", written)
        for name, pair in found.items():
            extremes[name].append(pair)
        run.progress(STAGE, step, count, f"regions {job.window.y0}, {job.window.x0}")
    bounds = {n: (min(p[0] for p in pairs), max(p[1] for p in pairs)) for n, pairs in extremes.items() if pairs}
    counted: dict[str, stats.Histogram] = {}
    needed = {n: b for n, b in bounds.items() if _spec(run, n).breaks is None}
    for _, parts in run.engine.map(count_job, [_job(run, w, bounds=needed) for w in blocks]):
        step += 1
        for name, part in parts.items():
            counted[name] = counted[name] + part if name in counted else part
        run.progress(STAGE, step, count, "classes")
    classes = tuple(_classes(run, name, counted.get(name)) for name in _mapped(run))
    run.statistics.create([_layout(c) for c in classes], None)
    totals: Sums | None = None
    for _, (found_sums, written) in run.engine.map(sum_job, [_job(run, w, classes=classes) for w in blocks]):
        step += 1
        run.ledger.add_chunks(STAGE, "classes", written)
        totals = found_sums if totals is None else totals + found_sums
        run.progress(STAGE, step, count, "sums")
    if totals is None:
        raise SpecError("aggregate: the grid has no block.", "Check `grid.bounds`.")
    for name in _partials(run):
        run.statistics.describe(name, {"breaks": list(_partial_breaks(run))})
    run.ledger.flush()
    tables = make_tables(run, totals, classes)
    tables["respiration_bases"] = basis_table(run)
    for name in TABLES:
        if name not in tables:
            # a table of an earlier recipe is none of this run
            (run.out / "tables" / f"{name}.csv").delete()
    with (run.out / "tables").local_folder() as folder:
        report_room.write_tables(tables, folder)
    commit(run, run.statistics, statistics_attrs(run))
    finish(run, STAGE)


def _mapped(run: Run) -> list[str]:
    return [name for name, source in MAPS.items() if run.statistics.has(source)]


def _partials(run: Run) -> list[str]:
    names = [f"nep_partial_{d}" for d in run.recipe.correlates]
    return [n for n in names if run.statistics.has(n)]


def _spec(run: Run, name: str) -> recipes.ClassSpec:
    found: recipes.ClassSpec = getattr(run.recipe.classes, name)
    return found


def _job(
    run: Run,
    window: Window,
    *,
    bounds: dict[str, tuple[float, float]] | None = None,
    classes: tuple[Classes, ...] = (),
) -> Job:
    return Job(
        grid=run.grid,
        frame=run.regions,
        regions=len(run.region_names),
        cube=run.cube,
        statistics=run.statistics,
        window=window,
        absolute={n: _absolute(run, n) for n in _mapped(run)},
        bounds=bounds or {},
        classes=classes,
        partials=tuple(_partials(run)),
        partial_breaks=_partial_breaks(run),
        flagged=run.flagged,
        years=len(run.years),
        alpha=run.recipe.statistics.alpha,
    )


def _absolute(run: Run, name: str) -> bool:
    return name == "cv" and not _spec(run, name).signed


def label_job(job: Job) -> tuple[dict[str, tuple[float, float]], dict[str, int]]:
    """Write the labels of a block; give the extremes of the maps within the regions."""
    import xarray as xr

    if job.frame is None:
        labels = np.zeros(job.window.shape, np.int16)
    else:
        labels = region_room.label_window(job.frame, job.grid, job.window)
    written = job.statistics.write({"region": xr.DataArray(labels)}, job.window)
    found = {}
    for name, values in _values(job).items():
        inside = values[_inside(job, labels)]
        inside = inside[np.isfinite(inside)]
        if inside.size:
            found[name] = float(inside.min()), float(inside.max())
    return found, written


def _values(job: Job) -> dict[str, NDArray[Any]]:
    arrays = store.read_block(job.statistics.path, [MAPS[n] for n in job.absolute], job.window)
    return {n: np.abs(arrays[MAPS[n]]) if absolute else arrays[MAPS[n]] for n, absolute in job.absolute.items()}


def _inside(job: Job, labels: NDArray[Any]) -> NDArray[np.bool_]:
    return labels > 0 if job.regions else np.ones(labels.shape, np.bool_)


def _areas(job: Job) -> NDArray[np.float64]:
    area = cell_area(job.grid, job.window).values
    return np.ascontiguousarray(np.broadcast_to(area[:, None] if area.ndim == 1 else area, job.window.shape))


def count_job(job: Job) -> dict[str, stats.Histogram]:
    """Count the values of the maps within the regions, weighted by area."""
    if not job.bounds:
        return {}
    labels = store.read_block(job.statistics.path, ["region"], job.window)["region"]
    inside = _inside(job, labels)
    areas = _areas(job)
    return {
        name: stats.Histogram.of(np.where(inside, values, np.nan), areas, *job.bounds[name])
        for name, values in _values(job).items()
        if name in job.bounds
    }


def _classes(run: Run, name: str, counted: stats.Histogram | None) -> Classes:
    wanted = _spec(run, name)
    breaks = wanted.breaks
    if breaks is None:
        if counted is None:
            raise SpecError(
                f"classes.{name}: no cell of the regions has a value.",
                "Check the no-data share in the maps, `min_years`, and that the regions lie on the data.",
            )
        try:
            breaks = counted.breaks(wanted.k)
        except NepcubeError as error:
            raise SpecError(f"classes.{name}: {error.what}", error.way_out) from None
    count = len(breaks) + 1
    labels = wanted.labels or default_labels(name, breaks)
    return Classes(
        f"{name}_class", MAPS[name], tuple(breaks), tuple(labels), _colors(name, count), _absolute(run, name)
    )


def default_labels(name: str, breaks: Sequence[float]) -> tuple[str, ...]:
    """Name classes as the literature does where that is true of them, by their bounds otherwise."""
    if len(breaks) == 4:
        if name == "cv":
            return spec.CV_LABELS
        # "worse" must fall and "better" must rise
        if breaks[1] <= 0.0 <= breaks[2]:
            return spec.SLOPE_LABELS
    return tuple(stats.interval_labels(breaks))


def _colors(name: str, count: int) -> tuple[str, ...]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    fixed = spec.CV_COLORS if name == "cv" else spec.SLOPE_COLORS
    if count == len(fixed):
        return fixed
    scale = colormaps["viridis_r" if name == "cv" else "BrBG"].resampled(count)
    return tuple(to_hex(scale(k)) for k in range(count))


def _layout(classes: Classes) -> store.Layout:
    flags = dict(enumerate(classes.labels)) | {255: "no data"}
    attrs: dict[str, Any] = {"long_name": f"class of {classes.source}", "units": "1"}
    attrs |= spec.flag_attrs(flags, "uint8", [*classes.colors, "#d9d9d9"])
    attrs |= {"breaks": list(classes.breaks), "of_absolute_value": int(classes.absolute)}
    return store.Layout(classes.variable, "uint8", attrs, yearly=False)


@dataclass(frozen=True)
class Sums:
    """What the tables are made of; adds up without loss."""

    series: region_room.YearSums
    regions: region_room.ClassSums
    classes: dict[str, region_room.ClassSums]
    flags: tuple[region_room.ClassSums, ...]
    signs: dict[str, region_room.ClassSums]

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.series + other.series,
            self.regions + other.regions,
            {n: s + other.classes[n] for n, s in self.classes.items()},
            tuple(a + b for a, b in zip(self.flags, other.flags, strict=True)),
            {n: s + other.signs[n] for n, s in self.signs.items()},
        )


def sum_job(job: Job) -> tuple[Sums, dict[str, int]]:
    """Write the classes of a block and sum everything by region."""
    import xarray as xr

    total: Sums | None = None
    rows: list[dict[str, NDArray[np.uint8]]] = []
    for strip in _strips(job):
        found, coded = _sums(replace(job, window=strip))
        total = found if total is None else total + found
        rows.append(coded)
    if total is None:
        raise SpecError("aggregate: a block has no row.", "Check `grid.bounds`.")
    classes = {n: xr.DataArray(np.concatenate([coded[n] for coded in rows])) for n in rows[0]}
    return total, job.statistics.write(classes, job.window)


def _strips(job: Job) -> Iterator[Window]:
    window, side = job.window, job.cube.inner or job.cube.chunk
    rows = max(side, _SUMMED_CELLS // (window.x1 - window.x0) // side * side)
    for y in range(window.y0, window.y1, rows):
        yield Window(y, min(y + rows, window.y1), window.x0, window.x1)


def _sums(job: Job) -> tuple[Sums, dict[str, NDArray[np.uint8]]]:
    import xarray as xr

    areas = _areas(job)
    tests = {"nep_slope": "nep_slope_pvalue"} | {n: f"{n}_pvalue" for n in job.partials}
    tests = {n: p for n, p in tests.items() if job.statistics.has(n) and job.statistics.has(p)}
    names = {"region", "nep_count", *(c.source for c in job.classes), *job.partials, *tests, *tests.values()}
    maps = store.read_block(job.statistics.path, sorted(names), job.window)
    labels = maps["region"]
    coded: dict[str, NDArray[np.uint8]] = {}
    for c in job.classes:
        values = np.abs(maps[c.source]) if c.absolute else maps[c.source]
        coded[c.variable] = stats.classify(xr.DataArray(values), c.breaks).values
    classes = dict(coded)
    for name in job.partials:
        coded[name] = stats.classify(xr.DataArray(maps[name]), job.partial_breaks).values
    nep = store.read_block(job.cube.path, ["nep"], job.window)["nep"]
    size = job.regions
    series = region_room.YearSums.of(nep, labels, areas, maps["nep_count"] > 0, size)
    del nep
    flags: tuple[region_room.ClassSums, ...] = ()
    if job.flagged:
        codes = store.read_block(job.cube.path, ["npp_flag"], job.window)["npp_flag"]
        flags = tuple(region_room.ClassSums.of(codes[t], labels, areas, size) for t in range(job.years))
    return (
        Sums(
            series,
            region_room.ClassSums.of(np.zeros(labels.shape, np.uint8), labels, areas, size),
            {n: region_room.ClassSums.of(v, labels, areas, size) for n, v in coded.items()},
            flags,
            {
                n: region_room.ClassSums.of(_sign_codes(maps[n], maps[p], job.alpha), labels, areas, size)
                for n, p in tests.items()
            },
        ),
        classes,
    )


def _partial_breaks(run: Run) -> tuple[float, ...]:
    breaks = run.recipe.classes.partial_correlation.breaks
    if breaks is None:
        raise SpecError("classes.partial_correlation: it takes `breaks`.", "Give them, such as [-0.5, 0, 0.5].")
    return breaks


def _sign_codes(values: NDArray[Any], pvalues: NDArray[Any], alpha: float) -> NDArray[np.uint8]:
    # 3 x level + sign + 1; level 0 not significant, 1 at alpha, 2 highly
    with np.errstate(invalid="ignore"):
        level = np.where(pvalues < HIGHLY, 2, np.where(pvalues < alpha, 1, 0))
        code = 3 * level + np.sign(np.nan_to_num(values)) + 1
    return np.where(np.isnan(values), 255, code).astype(np.uint8)


def make_tables(run: Run, sums: Sums, classes: Sequence[Classes]) -> dict[str, pd.DataFrame]:
    """Make every table of the run."""
    names, years = run.region_names, run.years
    series = region_room.series_table(sums.series, sums.regions, names, years)
    tables = {
        "series": series,
        "summary": region_room.summary_table(series, _trends(run, series)),
    }
    for c in classes:
        tables[f"{c.variable}es"] = region_room.class_table(
            {c.source: sums.classes[c.variable]}, names, {c.source: c.breaks}, {c.source: c.labels}
        )
    breaks = _partial_breaks(run)
    given = run.recipe.classes.partial_correlation.labels
    labels = tuple(given or stats.interval_labels(breaks))
    partials = {n.removeprefix("nep_partial_"): sums.classes[n] for n in _partials(run)}
    tables["partial_classes"] = region_room.class_table(
        partials, names, dict.fromkeys(partials, breaks), dict.fromkeys(partials, labels)
    )
    tables["significance"] = region_room.significance_table(
        sums.signs, names, alpha=run.recipe.statistics.alpha, highly=HIGHLY
    )
    if run.flagged:
        tables["npp_flags"] = region_room.flag_table(sums.flags, names, years, spec.NPP_FLAGS)
    return tables


def _trends(run: Run, series: pd.DataFrame) -> dict[str, dict[str, float]]:
    import xarray as xr

    order = list(dict.fromkeys(series["region"]))
    values = series["mean_gc_m2"].to_numpy().reshape(len(order), len(run.years))
    da = xr.DataArray(values, {"region": order, "time": list(map(float, run.years))}, ("region", "time"))
    fit = stats.linear_trend(da, min_years=run.recipe.min_years)
    cv = stats.coefficient_of_variation(
        da, ddof=run.recipe.statistics.cv.ddof, min_mean=0.0, min_years=run.recipe.min_years
    )
    return {
        region: {
            "slope": float(fit["slope"].values[k]),
            "pvalue": float(fit["pvalue"].values[k]),
            "cv": float(cv["cv"].values[k]),
        }
        for k, region in enumerate(order)
    }
