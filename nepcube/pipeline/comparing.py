"""Compare: two finished outputs on one grid, cell by cell, B minus A."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import compare as compare_room
from nepcube import recipe as recipes
from nepcube import report as report_room
from nepcube import store
from nepcube.errors import SpecError, StoreError
from nepcube.execute import Engine, Settings, make_engine, told
from nepcube.grid import Window, windows
from nepcube.pipeline.classing import areas
from nepcube.pipeline.context import Progress, silent
from nepcube.pipeline.differing import Drawing, draw, told_attrs, told_notes
from nepcube.pipeline.outputs import Output, open_output, require_comparable
from nepcube.pipeline.reporting import paper_folder
from nepcube.places import Place, place_of

if TYPE_CHECKING:
    import pandas as pd

STORE = "difference.zarr"
TABLES = ("differences", "differences_by_year", "class_changes", "sign_changes")
YEARLY = ("npp", "rh", "nep")
CLASSES = ("slope_class", "cv_class", "trend_class")
SIGNED = ("nep_mean", "nep_slope", "nep_sen_slope")
# cells of a map that are summed at once
_SUMMED_CELLS = 2**20
# no annual flux of carbon is larger, gC m-2 yr-1
_LARGEST_FLUX = 2.0**20


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    period_a, period_b : tuple of int
        The first and the last year of each output.
    years : range
        The years that both have.
    recipes : list of tuple
        Each key in which the recipes differ, with its values in A and in B; None where a recipe does not have it.
    notes : list of str
        What a reader must know before using the numbers.
    mean_a, mean_b, mean_difference : float
        Mean NEP of A, of B, and B minus A, gC m-2 yr-1, area-weighted over the cells where both have a value: of the
        map `nep_mean`, or of the common years where the periods differ.
    area_km2, area_only_a_km2, area_only_b_km2 : float
        The area of the cells where both have a mean NEP, and where A or B alone has one.
    sign_share : float
        The share of the area whose slope of NEP has another sign in B than in A, 0..1; NaN where a slope is missing.
    paths : list of pathlib.Path or str
        What was written.
    """

    period_a: tuple[int, int]
    period_b: tuple[int, int]
    years: range
    recipes: list[tuple[str, Any, Any]]
    notes: list[str]
    mean_a: float
    mean_b: float
    mean_difference: float
    area_km2: float
    area_only_a_km2: float
    area_only_b_km2: float
    sign_share: float
    paths: list[Path | str]


@dataclass(frozen=True)
class Job:
    """One block of both outputs; the scales are known in the second pass only."""

    a: Output
    b: Output
    target: store.Store
    window: Window
    maps: tuple[str, ...]
    yearly: tuple[str, ...]
    years: range
    regions: int
    classes: Mapping[str, tuple[int, ...]]
    scales: Mapping[str, tuple[float, float, float]]
    by_area: float


def compare_runs(
    out_a: str | os.PathLike[str],
    out_b: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    block: int | None = None,
    figures: Sequence[str] = (),
    languages: Sequence[report_room.Language] = ("en",),
    progress: Progress = silent,
) -> Comparison:
    """Compare two finished outputs on one grid: maps, tables and figures of B minus A.

    Maps are those of each output's own period; annual values are compared in the years that both have.

    Parameters
    ----------
    out_a, out_b : path-like or str
        The output folders of two runs, or their URLs.
    out : path-like or str
        The folder of the comparison, or its URL; a comparison that is there is replaced.
    block : int, optional
        Cells a side of the unit of work, which changes no result; that of A's recipe when left out.
    figures : sequence of {"pdf", "svg", "png"}
        The formats of the maps for a paper, in two column widths with captions, beside the PNG for the screen.
    languages : sequence of {"en", "zh"}
        Of the figures for a paper; the first is that of the maps for the screen.
    progress : callable, optional
        Called with (stage, done, total, detail).

    Returns
    -------
    Comparison
        In what the recipes differ, mean NEP (gC m-2 yr-1), and the paths of ``difference.zarr``, tables and figures.

    Raises
    ------
    StoreError
        An output is missing, not finished, or the same as another; they share no year; `out` holds something else.
    GridError
        The grids differ.
    SpecError
        A statistic has two units, or infinite values; a format or language is not known.
    """
    drawing = Drawing(tuple(figures), tuple(languages))
    try:
        return _compared(open_output(out_a), open_output(out_b), place_of(out), block, drawing, progress)
    except OSError as error:
        raise told(error) from None


def _compared(
    a: Output, b: Output, place: Place, block: int | None, drawing: Drawing, progress: Progress
) -> Comparison:
    years = require_comparable(a, b, place)
    sides = a.sides
    whole = sides.unit * max(1, int(a.recipe.get("blocks", 1024)) // sides.unit)
    block = sides.block(block or whole, str(a))
    target = store.Store(place / STORE, a.grid, sides.unit, sides.chunk if sides.shard else None)
    maps = _common_maps(a, b)
    _make_room(place)
    target.create([_layout(a.maps[n], b.maps[n]) for n in maps], None)
    job = Job(
        a=a,
        b=b,
        target=target,
        window=Window(0, 0, 0, 0),
        maps=maps,
        yearly=_common_years(a, b),
        years=years,
        regions=len(a.region_names),
        classes={n: tuple(a.flags(n)) for n in CLASSES if n in a.maps and n in b.maps},
        scales={},
        by_area=1.0,
    )
    with ExitStack() as opened:
        engine: Engine = opened.enter_context(make_engine(Settings(), say=lambda _: None))
        # nothing writes on after the caller has its answer
        opened.callback(store.let_end)
        sums = _sums(job, block, engine, progress)
        tables = _tables(job, sums)
        notes = told_notes(a, b, years, tuple(job.classes))
        differing = recipes.differences(a.recipe, b.recipe)
        with (place / "tables").local_folder() as folder:
            report_room.write_tables(tables, folder)
        progress("compare: figures", 0, 1)
        figures = draw(a, b, target.path, place, differing, drawing, threads=engine.threads)
        progress("compare: figures", 1, 1)
        # the commit is the record that all else is there
        target.commit(told_attrs(a, b, differing, notes))
    mean_a, mean_b, difference = _mean_nep(a, b, tables)
    mean_nep = _whole(tables["differences"], "nep_mean").iloc[0]
    signs = tables["sign_changes"].set_index(["region", "variable"])["differs_share"]
    paths = [place / STORE, *(place / "tables" / f"{n}.csv" for n in TABLES), *figures]
    return Comparison(
        period_a=a.period,
        period_b=b.period,
        years=years,
        recipes=differing,
        notes=notes,
        mean_a=mean_a,
        mean_b=mean_b,
        mean_difference=difference,
        area_km2=float(mean_nep["area_km2"]),
        area_only_a_km2=float(mean_nep["area_only_a_km2"]),
        area_only_b_km2=float(mean_nep["area_only_b_km2"]),
        sign_share=float(signs.get(("all", "nep_slope"), np.nan)),
        paths=[path.handle for path in paths],
    )


def _common_maps(a: Output, b: Output) -> tuple[str, ...]:
    names = tuple(n for n, m in a.maps.items() if n in b.maps and np.dtype(m.dtype).kind == "f")
    for name in names:
        one, other = (o.maps[name].attrs.get("units") for o in (a, b))
        if one != other:
            raise SpecError(
                f"{name}: it is in {one!r} in {a} and in {other!r} in {b}.", "Run both with one version of nepcube."
            )
        if np.dtype(b.maps[name].dtype).kind != "f":
            raise SpecError(
                f"{name}: it is {b.maps[name].dtype} in {b}, {a.maps[name].dtype} in {a}.",
                "Run both with one version of nepcube.",
            )
    if "nep_mean" not in names:
        raise SpecError(f"{b}: it shares no map of mean NEP with {a}.", "Run both recipes to the end.")
    return names


def _common_years(a: Output, b: Output) -> tuple[str, ...]:
    cubes = [store.Store(o.cube, o.grid, 1) for o in (a, b)]
    return tuple(n for n in YEARLY if all(cube.has(n) for cube in cubes))


def _layout(a: store.Layout, b: store.Layout) -> store.Layout:
    dtype = str(np.promote_types(a.dtype, b.dtype))
    attrs = {"long_name": f"{a.attrs.get('long_name', a.name)}, B minus A", "units": a.attrs.get("units", "1")}
    return store.Layout(a.name, dtype, attrs, yearly=False)


def _make_room(place: Place) -> None:
    # a comparison that is there is replaced; nothing else is touched
    place.require()
    if place.names() and (not (place / STORE).is_folder() or (place / ".nepcube").is_folder()):
        raise StoreError(f"{place}: it holds other files and no comparison.", "Choose another folder with -o.")
    # first what vouches for the rest
    store.uncommit(place / STORE)
    (place / STORE).delete_tree()
    for name in TABLES:
        (place / "tables" / f"{name}.csv").delete()
    for name in (place / "figures").names():
        if name.startswith("map_difference_"):
            (place / "figures" / name).delete()
    for one in report_room.LANGUAGES:
        paper_folder(place, one).delete_tree()


@dataclass(frozen=True)
class Sums:
    """What the tables are made of; adds up without loss."""

    pairs: dict[str, compare_room.PairSums]
    years: dict[tuple[str, int], compare_room.YearPairSums]
    changes: dict[str, compare_room.ChangeSums]
    signs: dict[str, compare_room.SignSums]

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            {n: s + other.pairs[n] for n, s in self.pairs.items()},
            {n: s + other.years[n] for n, s in self.years.items()},
            {n: s + other.changes[n] for n, s in self.changes.items()},
            {n: s + other.signs[n] for n, s in self.signs.items()},
        )


def _sums(job: Job, block: int, engine: Engine, progress: Progress) -> Sums:
    blocks = list(windows(job.a.grid, block))
    largest_area, largest = 0.0, dict.fromkeys(job.maps, (0.0, 0.0))
    found = engine.map(subtract_job, (replace(job, window=w) for w in blocks))
    for k, (_, (area, values)) in enumerate(found, start=1):
        largest_area = max(largest_area, area)
        largest = {n: (max(largest[n][0], values[n][0]), max(largest[n][1], values[n][1])) for n in job.maps}
        progress("compare: maps", k, len(blocks))
    rows, columns = job.a.grid.shape
    by_area = compare_room.area_scale(largest_area, rows * columns)
    power = compare_room.power_above
    scales = {n: (power(value), power(difference), by_area) for n, (value, difference) in largest.items()}
    job = replace(job, scales=scales, by_area=by_area / _LARGEST_FLUX)
    total: Sums | None = None
    for k, (_, part) in enumerate(engine.map(sum_job, (replace(job, window=w) for w in blocks)), start=1):
        total = part if total is None else total + part
        progress("compare: sums", k, len(blocks))
    if total is None:
        raise SpecError("compare: the grid has no block.", "Compare outputs that have cells.")
    return total


def subtract_job(job: Job) -> tuple[float, dict[str, tuple[float, float]]]:
    """Write the maps of a block, B minus A.

    Gives the area of its largest cell, km2, and of each map the largest absolute value and difference.
    """
    import xarray as xr

    largest: dict[str, tuple[float, float]] = {}
    for name in job.maps:
        a, b = (_read(o.statistics, name, job.window).astype(np.float64, copy=False) for o in (job.a, job.b))
        for one, values in ((job.a, a), (job.b, b)):
            if np.isinf(values).any():
                raise SpecError(f"{one}: {name} has infinite values.", "They have no difference: run it again.")
        difference = b - a
        job.target.write({name: xr.DataArray(difference)}, job.window)
        value = max(float(np.nanmax(np.abs(v), initial=0.0)) for v in (a, b))
        largest[name] = value, float(np.nanmax(np.abs(difference), initial=0.0))
    return float(areas(job.a.grid, job.window).max()), largest


def sum_job(job: Job) -> Sums:
    """Sum everything of a block by region."""
    total: Sums | None = None
    for strip in _strips(job):
        found = _sums_of(replace(job, window=strip))
        total = found if total is None else total + found
    if total is None:
        raise SpecError("compare: a block has no row.", "Compare outputs that have cells.")
    return total


def _strips(job: Job) -> Iterator[Window]:
    window, side = job.window, job.target.inner or job.target.chunk
    rows = max(side, _SUMMED_CELLS // (window.x1 - window.x0) // side * side)
    for y in range(window.y0, window.y1, rows):
        yield Window(y, min(y + rows, window.y1), window.x0, window.x1)


def _read(place: Place, name: str, window: Window, step: int | None = None) -> Any:
    steps = None if step is None else slice(step, step + 1)
    values = store.read_block(place, [name], window, steps)[name]
    return values if step is None else values[0]


def _sums_of(job: Job) -> Sums:
    a, b, window, regions = job.a, job.b, job.window, job.regions
    sizes = areas(a.grid, window)
    labels = _read(a.statistics, "region", window)

    def both(name: str) -> tuple[Any, Any]:
        return _read(a.statistics, name, window), _read(b.statistics, name, window)

    pairs = {
        n: compare_room.PairSums.of(*both(n), labels, sizes, regions, job.scales[n]) for n in job.maps
    }  # fmt: skip
    changes = {n: compare_room.ChangeSums.of(*both(n), labels, sizes, k) for n, k in job.classes.items()}
    signs = {n: compare_room.SignSums.of(*both(n), labels, sizes) for n in SIGNED if n in job.maps}
    counts_a, counts_b = both("nep_count")
    counts = (counts_a > 0) & (counts_b > 0)
    years: dict[tuple[str, int], compare_room.YearPairSums] = {}
    for name in job.yearly:
        for year in job.years:
            one = _read(a.cube, name, window, year - a.period[0])
            other = _read(b.cube, name, window, year - b.period[0])
            years[name, year] = compare_room.YearPairSums.of(one, other, labels, sizes, counts, job.by_area)
    return Sums(pairs, years, changes, signs)


def _tables(job: Job, sums: Sums) -> dict[str, pd.DataFrame]:
    names = job.a.region_names
    flags = {n: (job.a.flags(n), job.b.flags(n)) for n in job.classes}
    made = (
        compare_room.difference_table(sums.pairs, names),
        compare_room.year_table(sums.years, names),
        compare_room.change_table(sums.changes, names, flags),
        compare_room.sign_table(sums.signs, names),
    )
    return dict(zip(TABLES, made, strict=True))


def _whole(table: pd.DataFrame, variable: str) -> pd.DataFrame:
    return table[(table["region"] == "all") & (table["variable"] == variable)]


def _mean_nep(a: Output, b: Output, tables: dict[str, pd.DataFrame]) -> tuple[float, float, float]:
    columns = ["mean_a", "mean_b", "mean_difference"]
    # means of other years are no measure of what the recipes change
    key = "differences" if a.period == b.period else "differences_by_year"
    rows = _whole(tables[key], "nep_mean" if a.period == b.period else "nep")
    mean_a, mean_b, difference = (float(v) for v in rows[columns].mean())
    return mean_a, mean_b, difference
