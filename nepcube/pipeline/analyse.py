"""Analyse: the cube to NEP and to the statistics of every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import harmonise, nep, spec, store
from nepcube import recipe as recipes
from nepcube.execute import give_back_memory
from nepcube.grid import Window, dims, spatial_coords, windows
from nepcube.pipeline import inputs
from nepcube.pipeline.cells import compute_statistics
from nepcube.pipeline.climate import leave_climate, write_climate
from nepcube.pipeline.context import Run
from nepcube.pipeline.fields import keep_fields, read_fields
from nepcube.pipeline.ingest import analysed_arrays, cube_attrs, outdate_analysis
from nepcube.pipeline.keeping import keep_native, native_series
from nepcube.pipeline.needs import STRIPS
from nepcube.pipeline.sampling import Sampling, sampling_of
from nepcube.pipeline.stages import (
    KEPT_CLIMATE,
    begin,
    commit,
    finish,
    is_done,
    stage_record,
    take_away,
    unit_of,
    unseal,
)
from nepcube.pipeline.uncertainty import errors_of, named_maps
from nepcube.years import span_of

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

STAGE = "analyse"
_FREQUENCY = {"monthly": "month", "daily": "day"}


@dataclass(frozen=True)
class Plan:
    """What is computed for a cell: everything that a job needs of the recipe."""

    years: tuple[int, ...]
    names: tuple[str, ...]
    fields: dict[str, str]
    drivers: tuple[str, ...]
    basis: str
    model: str
    barren_is_zero: bool
    statistics: recipes.Statistics
    min_years: int
    npp_attrs: dict[str, Any]
    climate: dict[str, store.NativeSeries]
    samplings: dict[str, Sampling]
    year_start: int
    errors: nep.InputErrors | None = None


@dataclass(frozen=True)
class Job:
    """One block of all years."""

    plan: Plan
    grid: GeoBox
    cube: store.Store
    statistics: store.Store
    chunks: tuple[Window, ...]


def analyse(run: Run) -> None:
    """Compute respiration, NEP and the statistics of every cell, and commit both stores."""
    if is_done(run, STAGE):
        run.progress(STAGE, 1, 1, "done already")
        if not run.recipe.respiration.keep_climate:
            leave_climate(run)
        return
    plan = make_plan(run)
    signature = {"part": recipes.stage_part(run.recipe, STAGE), "period": list(run.recipe.period)}
    if run.ledger.parts().get("analyse-begun") != signature:
        # another basis or another period makes every number another one
        begin(run, STAGE)
        arrays = sorted(analysed_arrays(run))
        # a stop from here on is followed by another beginning, whatever the recipe is then
        outdate_analysis(run)
        for stage in (STAGE, KEPT_CLIMATE, "aggregate"):
            run.ledger.forget(stage)
        take_away(run, run.statistics)
        take_away(run, run.climate)
        take_away(run, run.cube, arrays)
        commit(run, run.cube, cube_attrs(run))
        run.ledger.set_part("analyse-begun", signature)
    _keep_climate(run, plan)
    keep_fields(run, STAGE)
    layouts = _layouts(run, plan)
    _leave_others(run, layouts)
    for target in (run.cube, run.statistics):
        unseal(run, target)
    sums = run.cube.create([_yearly(name) for name in ("rh", "nep")], run.years)
    sums |= run.statistics.create(layouts, None)
    run.ledger.add(STAGE, "coordinates", sums)
    done = run.ledger.done(STAGE)
    side = run.cube.chunk
    blocks = list(windows(run.grid, run.block))
    finished = 0
    jobs: list[Job] = []
    for window in blocks:
        chunks = tuple(c for c in run.chunks_of(window) if unit_of(c, side) not in done)
        if chunks:
            jobs.append(Job(plan, run.grid, run.cube, run.statistics, chunks))
        else:
            finished += 1
    run.progress(STAGE, finished, len(blocks))
    for _, result in run.engine.map(execute_job, jobs):
        for unit, sums in result.items():
            run.ledger.add(STAGE, unit, sums)
        finished += 1
        run.progress(STAGE, finished, len(blocks))
    run.ledger.flush()
    if run.recipe.respiration.keep_climate:
        write_climate(run, plan.climate)
    else:
        leave_climate(run)
    commit(run, run.cube, cube_attrs(run))
    commit(run, run.statistics, statistics_attrs(run))
    finish(run, STAGE, stage_record(run, STAGE))


def _leave_others(run: Run, layouts: list[store.Layout]) -> None:
    # regions and classes are made again after this, and may have holes until then
    ours = {one.name for one in layouts} | set(spatial_coords(run.grid))
    others = [name for name in run.statistics.names() if name not in ours]
    if others:
        run.ledger.forget("aggregate")
        take_away(run, run.statistics, others)


def statistics_attrs(run: Run) -> dict[str, Any]:
    """Give the attributes of the statistics as a whole."""
    first, last = run.recipe.period
    return cube_attrs(run) | {
        "time_coverage_start": f"{first}-01-01",
        "time_coverage_end": f"{last}-12-31",
        "min_years": run.recipe.min_years,
        "respiration_model": run.recipe.respiration.model,
        "respiration_basis": run.recipe.respiration.basis,
    }


def make_plan(run: Run) -> Plan:
    """Gather what jobs need of the recipe."""
    recipe = run.recipe
    basis = recipe.respiration.basis
    climate = {}
    if basis != "annual":
        climate = {q: native_series(run, q, _FREQUENCY[basis]) for q in ("temperature", "precipitation")}
    npp = recipe.sources.npp
    return Plan(
        years=run.years,
        names=run.yearly_inputs + (("npp_flag",) if run.flagged else ()),
        fields=dict(nep.respiration_model(recipe.respiration.model).fields),
        drivers=recipe.correlates,
        basis=basis,
        model=recipe.respiration.model,
        barren_is_zero=isinstance(npp, recipes.ReaderSource) and npp.nonvegetated == "zero",
        statistics=recipe.statistics,
        min_years=recipe.min_years,
        npp_attrs={"productivity_model": npp.model} if isinstance(npp, recipes.ModelSource) else {},
        climate=climate,
        samplings={q: sampling_of(run, q) for q in climate},
        year_start=recipe.sources.year_start,
        errors=errors_of(recipe),
    )


def _keep_climate(run: Run, plan: Plan) -> None:
    for quantity, series in plan.climate.items():
        _keep_intervals(run, quantity, series, _FREQUENCY[plan.basis])


def _keep_intervals(run: Run, quantity: str, series: store.NativeSeries, frequency: str) -> None:
    native = inputs.open_native(run.recipe, quantity, run.grid)[[quantity]]
    source = run.recipe.sources.readers()[quantity]

    # a year at a time: the days of all years would make a graph that takes longer than its work
    def one(year: int) -> tuple[xr.DataArray, None]:
        made = harmonise.to_interval(
            native, frequency, years=(year, year), min_coverage=source.min_coverage, year_start=source.year_start
        )
        return made[quantity], None

    keep_native(run, series, one, STAGE)


def _yearly(name: str) -> store.Layout:
    return store.Layout(name, "float32", spec.CUBE[name].attrs(), yearly=True)


def _layouts(run: Run, plan: Plan) -> list[store.Layout]:
    # one cell tells the names, types and attributes of all
    rng = np.random.default_rng(0)
    shape = (len(plan.years), 1, 1)
    values = {n: rng.uniform(1, 2, shape).astype("float32") for n in plan.names if n != "npp_flag"}
    one = label(plan, run.grid, Window(0, 1, 0, 1), values | dict.fromkeys(("rh", "nep"), values["npp"]))
    maps: dict[Any, xr.DataArray] = dict(compute_statistics(plan, one).data_vars)
    if plan.errors is not None:
        sums = nep.sensitivity_sums(one["npp"], one["nep"], dict.fromkeys(plan.errors.coefficients, one["rh"]))
        maps |= named_maps(nep.mean_sensitivities(sums, 1), plan.errors)
    return [store.Layout(str(n), str(v.dtype), dict(v.attrs), yearly=False) for n, v in maps.items()]


def label(plan: Plan, grid: GeoBox, window: Window, arrays: dict[str, Any]) -> xr.Dataset:
    """Dress the arrays of a block with its coordinates, the years and their attributes."""
    import xarray as xr

    dy, dx = dims(grid)
    coords = spatial_coords(grid)
    ys, xs = window.slices
    time = np.array([f"{y}-01-01" for y in plan.years], "datetime64[ns]")
    ds = xr.Dataset(coords={"time": time, dy: coords[dy][ys], dx: coords[dx][xs]})
    for name, values in arrays.items():
        attrs = spec.CUBE[name].attrs() if name in spec.CUBE else {}
        if name in ("npp", "nep") and plan.npp_attrs:
            attrs["long_name"] = "potential " + attrs["long_name"]
        ds[name] = (("time", dy, dx), values, attrs | (plan.npp_attrs if name == "npp" else {}))
    return ds


def execute_job(job: Job) -> dict[str, dict[str, int]]:
    """Compute and write the chunks of one block; give their checksums by unit."""
    give_back_memory()
    out = {}
    for window in job.chunks:
        with store.pieces_of(job.cube, window) as cube, store.pieces_of(job.statistics, window) as maps:
            # a chunk of all years at a time, where shards are written too
            for piece in cube.windows():
                balances, statistics = analyse_window(job, piece)
                cube.add(balances, piece, step=0)
                maps.add(statistics, piece)
            out[unit_of(window, job.cube.chunk)] = cube.write() | maps.write()
    return out


def analyse_window(job: Job, window: Window) -> tuple[dict[Any, xr.DataArray], dict[Any, xr.DataArray]]:
    """Read a window of the cube; give respiration and NEP of each year, and the statistics."""
    arrays = store.read_block(job.cube.path, job.plan.names, window)
    ds = label(job.plan, job.grid, window, {n: v for n, v in arrays.items() if n != "npp_flag"})
    rh = _respiration(job, ds, window)
    if job.plan.barren_is_zero:
        rh = rh.where(arrays["npp_flag"] != spec.BARREN, np.float32(0.0))
    # what has no productivity has no balance: respiration is stored where both are known
    rh = rh.copy(data=np.where(np.isnan(ds["npp"].values), np.float32(np.nan), rh.values))
    rh.attrs = spec.CUBE["rh"].attrs()
    balance = nep.net_ecosystem_productivity(ds["npp"], rh)
    attrs = ds["npp"].attrs
    ds = ds.assign(rh=rh, nep=balance)
    ds["npp"].attrs = attrs
    maps = _uncertainty(job, ds, arrays.get("npp_flag"), window)
    return {n: ds[n] for n in ("rh", "nep")}, dict(compute_statistics(job.plan, ds).data_vars) | maps


def _respiration(job: Job, ds: xr.Dataset, window: Window) -> xr.DataArray:
    import xarray as xr

    plan = job.plan
    fields = read_fields(job.cube, plan.fields, window)
    if plan.basis == "annual":
        return nep.heterotrophic_respiration(
            ds["temperature"], ds["precipitation"], basis="annual", model=plan.model, fields=fields
        )
    rows = [
        xr.concat([_from_intervals(job, strip, year, part) for year in plan.years], dim="time", join="exact")
        for strip, part in _strips(job.grid, fields, window, STRIPS[plan.basis])
    ]
    return xr.concat(rows, dim=dims(job.grid)[0], join="exact").assign_coords(time=ds["time"])


def _strips(
    grid: GeoBox, fields: Mapping[str, xr.DataArray], window: Window, side: int
) -> Iterator[tuple[Window, dict[str, xr.DataArray]]]:
    rows = dims(grid)[0]
    for y in range(window.y0, window.y1, side):
        strip = Window(y, min(y + side, window.y1), window.x0, window.x1)
        part = slice(strip.y0 - window.y0, strip.y1 - window.y0)
        yield strip, {name: field.isel({rows: part}) for name, field in fields.items()}


def _from_intervals(job: Job, window: Window, year: int, fields: Mapping[str, xr.DataArray]) -> xr.DataArray:
    return nep.heterotrophic_respiration(
        *_climate(job, window, year),
        basis=job.plan.basis,
        model=job.plan.model,
        year_start=job.plan.year_start,
        fields=fields,
    )


def _climate(job: Job, window: Window, year: int) -> tuple[xr.DataArray, xr.DataArray]:
    climate: dict[str, xr.DataArray] = {}
    for quantity, series in job.plan.climate.items():
        native = series.open(between=span_of((year, year), job.plan.year_start))
        climate[quantity] = job.plan.samplings[quantity].block(native, job.grid, window)
    return climate["temperature"], climate["precipitation"]


def _uncertainty(job: Job, ds: xr.Dataset, flags: Any, window: Window) -> dict[str, xr.DataArray]:
    # a year of a strip at a time, so that the derivatives of all years are never held
    import xarray as xr

    plan, errors = job.plan, job.plan.errors
    if errors is None:
        return {}
    rows = dims(job.grid)[0]
    strips = []
    for strip, fields in _strips(job.grid, read_fields(job.cube, plan.fields, window), window, STRIPS[plan.basis]):
        part = slice(strip.y0 - window.y0, strip.y1 - window.y0)
        total: xr.Dataset | None = None
        for k, year in enumerate(plan.years):
            one = ds.isel({"time": slice(k, k + 1), rows: part})
            sensitivity: Mapping[Any, xr.DataArray] = {}
            if errors.coefficients:
                annual = plan.basis == "annual"
                sensitivity = nep.respiration_sensitivity(
                    *((one["temperature"], one["precipitation"]) if annual else _climate(job, strip, year)),
                    basis=plan.basis,
                    model=plan.model,
                    coefficients=errors.coefficients,
                    year_start=plan.year_start,
                    fields=fields,
                ).data_vars
            if plan.barren_is_zero:
                # there respiration is set to zero, whatever the coefficients
                barren = flags[k : k + 1, part] == spec.BARREN
                sensitivity = {n: da.copy(data=np.where(barren, 0.0, da.values)) for n, da in sensitivity.items()}
            sums = nep.sensitivity_sums(one["npp"], one["nep"], sensitivity)
            total = sums if total is None else total + sums
        if total is not None:
            strips.append(total)
    sums = xr.concat(strips, dim=rows, join="exact")
    return named_maps(nep.mean_sensitivities(sums, plan.min_years), errors)
