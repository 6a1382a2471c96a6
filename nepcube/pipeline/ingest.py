"""Ingest: native files to the harmonised cube."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nepcube import harmonise, nep, spec, store
from nepcube import recipe as recipes
from nepcube.execute import give_back_memory
from nepcube.grid import Window, windows
from nepcube.pipeline import inputs
from nepcube.pipeline.context import Run
from nepcube.pipeline.keeping import hold_grids, keep_native, native_series, note_grids
from nepcube.pipeline.sampling import ELEVATION, Climate, constant_on, open_elevation, sampling_of
from nepcube.pipeline.stages import begin, commit, finish, is_done, take_away, unit_of, unseal
from nepcube.years import span_of, year_comment

if TYPE_CHECKING:
    import xarray as xr

STAGE = "ingest"


@dataclass(frozen=True)
class Job:
    """One block of one year, with everything that its computing and writing needs.

    `lazy` is what comes from files, `climate` what is sampled from the native series, `model` what is computed of it.
    """

    cube: store.Store
    window: Window
    chunks: tuple[Window, ...]
    step: int | None
    year: int
    lazy: harmonise.Later | None = None
    climate: tuple[Climate, ...] = ()
    model: recipes.ModelSource | None = None


def ingest(run: Run) -> None:
    """Bring every source to the grid, year by year and block by block, and commit the cube."""
    if is_done(run, STAGE):
        run.progress(STAGE, 1, 1, "done already")
        return
    # what the files cannot give is said before anything is taken back
    sources = inputs.open_all(run.recipe, run.grid)
    relief = open_elevation(run.recipe, run.grid)
    record = begin(run, STAGE)
    run.ledger.set_part("ingest-begun", record)
    fields = {q: sources[q][0][q] for q in run.recipe.sources.drivers}
    if hold_grids(run, fields):
        # what the cube holds was sampled from other cells
        run.ledger.release([store.root_of(run.cube.path.name)])
        run.cube.uncommit()
        run.ledger.forget(STAGE)
        _remove_analysis(run)
    note_grids(run, fields)
    coverage = {q: _annual(run, q, sources[q][0]) for q in run.recipe.sources.drivers}
    unseal(run, run.cube, values=True)
    run.ledger.add(STAGE, "coordinates", run.cube.create(_layouts(run, sources), run.years))
    if relief is not None:
        keep_constant(run, store.Layout(ELEVATION, "float32", spec.ELEVATION.attrs(), yearly=False), relief[1], STAGE)
    done = run.ledger.done(STAGE)
    total = sum(1 for _ in windows(run.grid, run.block)) * len(run.years)
    jobs = _jobs(run, sources, done)
    finished = _already(run, done)
    run.progress(STAGE, finished, total)
    for job, sums in run.engine.map(execute_job, jobs):
        run.ledger.add_chunks(STAGE, str(job.year), sums)
        finished += 1
        run.progress(STAGE, finished, total, str(job.year))
    run.ledger.flush()
    if "analyse" not in run.ledger.parts() and not _analysis_fits(run):
        # rh and nep of a shorter period do not belong beside longer inputs
        _remove_analysis(run)
    for quantity, (values, attrs) in coverage.items():
        sums = run.cube.put_series(f"{quantity}_coverage", values, attrs)
        run.ledger.add(STAGE, f"coverage/{quantity}", sums)
        clipped = native_series(run, quantity, "year").clipped()
        if clipped:
            attrs = {"long_name": f"negative increments of {quantity} that were set to zero", "units": "1"}
            sums = run.cube.put_series(f"{quantity}_clipped", [clipped[y] for y in run.years], attrs)
            run.ledger.add(STAGE, f"clipped/{quantity}", sums)
    # an analysis that is to go on may have holes
    later = set() if "analyse" in run.ledger.parts() else analysed_arrays(run)
    commit(run, run.cube, cube_attrs(run), without=later)
    finish(run, STAGE, record)


def _remove_analysis(run: Run) -> None:
    outdate_analysis(run)
    run.ledger.forget("analyse")
    take_away(run, run.cube, ["rh", "nep"])


def _analysis_fits(run: Run) -> bool:
    begun = run.ledger.parts().get("analyse-begun")
    return begun is None or begun["period"] == list(run.recipe.period)


def outdate_analysis(run: Run) -> None:
    """Note that what was begun fits no recipe any more, and keep which arrays it wrote."""
    begun = run.ledger.parts().get("analyse-begun")
    if begun is not None:
        run.ledger.set_part("analyse-begun", begun | {"period": []})


def analysed_arrays(run: Run) -> set[str]:
    """Name what the analysis writes into the cube: of this recipe, and of the one that it was begun with."""
    begun = run.ledger.parts().get("analyse-begun") or {"part": {}}
    before = {key.split(".")[2] for key in begun["part"] if key.startswith("respiration.fields.")}
    return {"rh", "nep", *before, *run.recipe.respiration.fields}


def cube_attrs(run: Run) -> dict[str, Any]:
    """Give the attributes of the cube as a whole."""
    from nepcube._version import __version__

    attrs = {
        "title": run.recipe.title or run.recipe.name,
        "source": "; ".join(
            f"{q}: {', '.join(dict.fromkeys(r.source.reader for r in s.records(run.recipe.period)))}"
            if isinstance(s, recipes.ReaderSource)
            else f"{q}: {s.model}"
            for q, s in ((q, getattr(run.recipe.sources, q)) for q in spec.INPUTS)
            if s is not None
        ),
        "history": f"nepcube {__version__}",
        "references": "https://doi.org/10.6046/zrzyyg.2022042",
    }
    if inputs.is_generated(run.recipe):
        attrs["comment"] = spec.GENERATED
    return attrs


def _layouts(run: Run, sources: dict[str, list[xr.Dataset]]) -> list[store.Layout]:
    out = []
    for name in run.yearly_inputs:
        variable = spec.CUBE[name]
        attrs = variable.attrs()
        if name in sources:
            attrs |= source_attrs(run, name, sources[name])
        else:
            attrs = nep_attrs(run) | {"product": "computed from the harmonised climate"}
        out.append(store.Layout(name, variable.dtype, attrs, yearly=True))
    if "npp" in sources and all("npp_flag" in ds for ds in sources["npp"]):
        attrs = spec.NPP_FLAG.attrs() | spec.flag_attrs(spec.NPP_FLAGS, "uint8")
        out.append(store.Layout("npp_flag", "uint8", attrs, yearly=True))
    return out


def source_attrs(run: Run, quantity: str, records: list[xr.Dataset]) -> dict[str, Any]:
    """Give the attributes that say where a quantity comes from and how it came to the grid."""
    source = run.recipe.sources.readers()[quantity]
    products = [str(ds[quantity].attrs.get("product", "")) for ds in records]
    out: dict[str, Any] = {"product": products[0], "resampling": source.resampling}
    if source.engine != "nepcube":
        out["resampling"] += f" ({source.engine})"
    if len(records) > 1:
        spans = [r.years for r in source.records(run.recipe.period)]
        told = ", ".join(f"{p} {first}-{last}" for p, (first, last) in zip(products, spans, strict=True))
        out |= {"product": told, "comment": f"Two records were joined by the recipe's choice: {told}."}
    if source.year_start != 1:
        out |= {"year_start": source.year_start, "comment": year_comment(source.year_start)}
    if source.elevation is not None:
        out["elevation_correction"] = f"{source.elevation.lapse_rate:g} K km-1"
    return out


def keep_constant(run: Run, layout: store.Layout, field: xr.DataArray, stage: str) -> None:
    """Bring a field without time to the grid, once, and keep it in the cube."""
    name = layout.name
    run.cube.create([layout], None)
    done = run.ledger.done(stage)
    blocks = [
        w
        for w in windows(run.grid, run.block)
        if not all(f"{name}/{unit_of(c, run.cube.chunk)}" in done for c in run.chunks_of(w))
    ]
    jobs = (Job(run.cube, w, tuple(run.chunks_of(w)), None, 0, constant_on(field, name, run.grid, w)) for w in blocks)
    for k, (_, sums) in enumerate(run.engine.map(execute_job, jobs), start=1):
        run.ledger.add_chunks(stage, name, sums)
        run.progress(f"{stage}: {name}", k, len(blocks))
    run.ledger.flush()


def nep_attrs(run: Run) -> dict[str, Any]:
    """Give the attributes of a modelled productivity."""
    npp = run.recipe.sources.npp
    attrs = spec.CUBE["npp"].attrs()
    if isinstance(npp, recipes.ModelSource):
        attrs["long_name"] = f"potential net primary productivity ({npp.model}), carbon"
        attrs |= {"productivity_model": npp.model, "carbon_fraction": npp.carbon_fraction}
    return attrs


def _annual(run: Run, quantity: str, native: xr.Dataset) -> tuple[Any, dict[str, Any]]:
    """Aggregate one climate quantity to years on its native grid, once; give its coverage."""
    source = run.recipe.sources.readers()[quantity]
    annual = harmonise.to_annual(
        native[[quantity]],
        years=run.recipe.period,
        min_coverage=source.min_coverage,
        coverage=True,
        year_start=source.year_start,
    )
    series = native_series(run, quantity, "year")

    def one(year: int) -> tuple[xr.DataArray, xr.DataArray | None]:
        chosen = annual.isel(time=slice(year - run.years[0], year - run.years[0] + 1))
        return chosen[quantity], chosen.get(f"{quantity}_clipped")

    keep_native(run, series, one, STAGE)
    if f"{quantity}_coverage" not in annual:
        attrs = {"long_name": f"share of the year's days that the files of {quantity} hold", "units": "1"}
        return [1.0] * len(run.years), attrs
    share = annual[f"{quantity}_coverage"]
    return share.values, dict(share.attrs)


def _already(run: Run, done: AbstractSet[str]) -> int:
    side = run.cube.chunk
    return sum(
        all(unit_of(c, side, year) in done for c in run.chunks_of(window))
        for year in run.years
        for window in windows(run.grid, run.block)
    )


def _jobs(run: Run, sources: dict[str, list[xr.Dataset]], done: AbstractSet[str]) -> Iterable[Job]:
    side = run.cube.chunk
    span = span_of(run.recipe.period)
    climate = tuple(
        Climate(native_series(run, q, "year"), sampling_of(run, q), span) for q in run.recipe.sources.drivers
    )
    npp = run.recipe.sources.npp
    model = npp if isinstance(npp, recipes.ModelSource) else None
    productivity = _productivity(run, sources)
    for step, year in enumerate(run.years):
        for window in windows(run.grid, run.block):
            chunks = tuple(run.chunks_of(window))
            if all(unit_of(c, side, year) in done for c in chunks):
                continue
            yield Job(run.cube, window, chunks, step, year, _npp(run, productivity.get(year), window), climate, model)


def _productivity(run: Run, sources: dict[str, list[xr.Dataset]]) -> dict[int, tuple[xr.Dataset, int]]:
    # for each year the record of NPP and its flags that it belongs to, and its step there
    out: dict[int, tuple[xr.Dataset, int]] = {}
    records = run.recipe.sources.readers()["npp"].records(run.recipe.period) if "npp" in sources else ()
    for record, native in zip(records, sources.get("npp", []), strict=True):
        names = [n for n in ("npp", "npp_flag") if n in native and (n == "npp" or run.flagged)]
        annual = harmonise.to_annual(native[names], years=record.years)
        for k, year in enumerate(range(record.years[0], record.years[1] + 1)):
            out[year] = annual, k
    return out


def _npp(run: Run, npp: tuple[xr.Dataset, int] | None, window: Window) -> harmonise.Later | None:
    source = run.recipe.sources.npp
    if npp is None or not isinstance(source, recipes.ReaderSource):
        return None
    record, step = npp
    return harmonise.regrid_later(
        record, run.grid, window, source.resampling, min_fraction=source.min_fraction, step=step
    )


def execute_job(job: Job) -> dict[str, int]:
    """Compute one block and write it."""
    import xarray as xr

    give_back_memory()
    out: dict[str, xr.DataArray] = {}
    for one in job.climate:
        out[one.sampling.quantity] = one.read(job.cube.grid, job.window, job.step)
    if job.lazy is not None:
        out |= {name: xr.DataArray(values) for name, values in job.lazy.load().items()}
    if job.model is not None:
        out["npp"] = nep.potential_npp(
            out["temperature"],
            out["precipitation"],
            model=job.model.model,
            carbon_fraction=job.model.carbon_fraction,
        )
    return job.cube.write(out, job.window, step=job.step)
