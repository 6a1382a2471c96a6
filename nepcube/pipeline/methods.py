"""What a run did, in words: paragraphs and sources, from the recipe that was run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from nepcube import nep, sources, store
from nepcube import recipe as recipes
from nepcube.places import public
from nepcube.report import Method, Told, known, percent, say, stratum_word, years_between

if TYPE_CHECKING:
    import xarray as xr

    from nepcube.pipeline.context import Run


def methods(run: Run) -> list[Method]:
    """Write the methods of a run, from its recipe and the attributes of its cube."""
    return paragraphs(run, store.open_cube(run.out, block=run.cube.chunk))


def paragraphs(run: Run, cube: xr.Dataset) -> list[Method]:
    """Write the methods of a run.

    Parameters
    ----------
    run : Run
    cube : xarray.Dataset
        Whose attributes tell the products and how they were resampled.
    """
    parts = {
        "data": _data(run, cube),
        "grid": _grid(run, cube),
        "nep": _nep(run.recipe),
        "trend": _trend(run.recipe),
        "cv": _stability(run.recipe),
        "drivers": _drivers(run.recipe, len(run.years)),
        "classes": _classes(run.recipe),
        "field": _field(run.recipe),
    }
    if run.recipe.strata:
        parts["strata"] = _strata(run.recipe)
    return [Method(say(f"method.{name}.title"), tuple(sentences)) for name, sentences in parts.items()]


def _product(cube: xr.Dataset, name: str, reader: str) -> Told:
    product = str(cube[name].attrs.get("product", ""))
    return say("brackets", text=product, more=reader) if product and product != reader else reader


def _data(run: Run, cube: xr.Dataset) -> Iterator[Told]:
    recipe = run.recipe
    npp = recipe.sources.npp
    if isinstance(npp, recipes.ModelSource):
        yield say("method.data.potential", model=npp.model, fraction=f"{npp.carbon_fraction:g}")
    else:
        records = npp.records(recipe.period)
        readers = "+".join(dict.fromkeys(r.source.reader for r in records))
        yield say("method.data.npp", product=_product(cube, "npp", readers), years=years_between(*recipe.period))
        if len(records) > 1:
            told = tuple(say("amount", value=r.source.reader, unit=years_between(*r.years)) for r in records)
            yield say("method.data.joined", records=told)
        if npp.nonvegetated == "zero":
            yield say("method.data.zero")
        elif run.flagged:
            yield say("method.data.gaps")
        if npp.max_qc is not None:
            yield say("method.data.quality", percent=npp.max_qc)
    climate = recipe.sources.drivers
    readers_of = recipe.sources.readers()
    parts = tuple(
        say("method.data.part", quantity=say(f"quantity.{name}"), product=_product(cube, name, readers_of[name].reader))
        for name in climate
    )
    yield say("method.data.climate", parts=parts)
    relaxed = [name for name in climate if readers_of[name].min_coverage < 1]
    if not relaxed:
        yield say("method.data.complete")
    for name in relaxed:
        share = percent(readers_of[name].min_coverage)
        yield say("method.data.coverage", quantity=say(f"quantity.{name}"), share=share)


def _grid(run: Run, cube: xr.Dataset) -> Iterator[Told]:
    recipe = run.recipe
    rows, columns = (int(n) for n in run.grid.shape)
    resolution = str(recipe.grid.resolution)
    yield say("method.grid.grid", rows=rows, columns=columns, resolution=resolution, crs=recipe.grid.crs)
    found = {
        name: str(cube[name].attrs.get("resampling", source.resampling))
        for name, source in recipe.sources.readers().items()
    }
    parts = tuple(
        say(
            "method.grid.by",
            how=known("resampling", how),
            names=tuple(say(f"quantity.{name}") for name in found if found[name] == how),
        )
        for how in dict.fromkeys(found.values())
    )
    yield say("method.grid.resampling", parts=parts)
    yield say("method.grid.annual")
    elevation = recipe.sources.temperature.elevation
    if elevation is not None:
        yield say("method.grid.lapse", rate=f"{elevation.lapse_rate:g}")
    if recipe.regions is None:
        yield say("method.grid.whole")
    else:
        file = recipe.regions.path.replace("\\", "/").rpartition("/")[2]
        how = "regions_exact" if recipe.regions.overlap == "exact" else "regions"
        yield say(f"method.grid.{how}", count=len(run.region_names), file=file)
    yield say("method.grid.area")
    yield say("method.grid.counts", least=recipe.min_years, count=len(run.years))


def _nep(recipe: recipes.Recipe) -> Iterator[Told]:
    asked = recipe.respiration
    yield say("method.nep.nep")
    yield say("method.nep.rh", model=asked.model, basis=known("basis", asked.basis))
    if recipe.uncertainty is not None:
        yield say("method.nep.uncertainty")


def _trend(recipe: recipes.Recipe) -> Iterator[Told]:
    wanted = recipe.statistics
    if "ols" in wanted.trend:
        yield say("method.trend.ols")
        yield say("method.trend.lag1")
    if "theil-sen" in wanted.trend:
        yield say("method.trend.sen")
    if wanted.mann_kendall:
        yield say("method.trend.mk", variants=tuple(known("variant", name) for name in wanted.mann_kendall))
    if wanted.trend_classes and wanted.mann_kendall and "theil-sen" in wanted.trend:
        yield say("method.trend.classes", levels=tuple(f"{level:g}" for level in wanted.trend_classes))
    asked = wanted.breakpoint
    if asked is not None and asked.years:
        yield say("method.trend.break_named", model=asked.model, years=tuple(map(str, asked.years)))
    if asked is not None and asked.search:
        yield say("method.trend.break_sought", model=asked.model)
    if wanted.pettitt:
        yield say("method.trend.pettitt")
    if wanted.hurst:
        yield say("method.trend.hurst")


def _stability(recipe: recipes.Recipe) -> Iterator[Told]:
    cv = recipe.statistics.cv
    yield say("method.cv.cv", ddof=cv.ddof, least=f"{cv.min_mean:g}")
    if cv.detrended:
        yield say("method.cv.detrended")


def _drivers(recipe: recipes.Recipe, count: int) -> Iterator[Told]:
    asked = recipe.statistics.partial_correlation
    order = len(recipe.correlates) - 1 + asked.detrend
    drivers = tuple(say(f"quantity.{name}") for name in recipe.correlates)
    of = tuple(say(name) for name in asked.of)
    if order:
        freedom = count - 2 - order
        yield say("method.drivers.partial", of=of, drivers=drivers, order=order, freedom=freedom)
    else:
        yield say("method.drivers.alone", of=of, drivers=drivers)
    if asked.detrend:
        yield say("method.drivers.detrend")
    for driver, years in asked.lag.items():
        if years:
            yield say("method.drivers.lag", driver=say(f"quantity.{driver}"), years=years)
    if asked.dominant:
        yield say("method.drivers.dominant", alpha=f"{recipe.statistics.alpha:g}")
    if recipe.statistics.residual_trend:
        yield say("method.drivers.residual", drivers=drivers)
    if recipe.statistics.attribution is not None:
        yield say("method.drivers.attribution", model=recipe.statistics.attribution)


def _classes(recipe: recipes.Recipe) -> Iterator[Told]:
    classes = recipe.classes
    named = {
        "slope": classes.slope,
        "signed_cv" if classes.cv.signed else "cv": classes.cv,
        "partial": classes.partial_correlation,
    }
    for name, asked in named.items():
        what = say(f"method.classes.{name}")
        if asked.breaks is not None:
            breaks = tuple(f"{b:g}".replace("-", "−") for b in asked.breaks)
            yield say("method.classes.named", what=what, breaks=breaks)
        else:
            method = say(f"method.classes.{asked.method}")
            yield say("method.classes.found", what=what, count=asked.k, method=method)
    yield say("method.classes.lower")


def _field(recipe: recipes.Recipe) -> Iterator[Told]:
    if recipe.statistics.field_significance:
        yield say("method.field.field", alpha=f"{recipe.statistics.alpha:g}")
    else:
        yield say("method.field.none")


def _strata(recipe: recipes.Recipe) -> Iterator[Told]:
    names = {name: stratum_word(name) for name in recipe.strata}
    yield say("method.strata.tables", strata=tuple(names.values()))
    yield say("method.strata.cells")
    for name, one in recipe.strata.items():
        if isinstance(one, recipes.Continuous):
            how = "slope" if one.of == "slope" else "mean"
            yield say(f"method.strata.{how}", stratum=names[name], files=_file_names(one.patterns()))
        elif one.change is not None:
            files = _file_names(p for year in one.change for p in one.patterns(year))
            first, second = map(str, one.change)
            yield say("method.strata.change", stratum=names[name], files=files, first=first, second=second)
        else:
            yield say(f"method.strata.{one.method}", stratum=names[name], files=_file_names(one.patterns()))
    for share in dict.fromkeys(one.min_fraction for one in recipe.strata.values()):
        of = tuple(names[n] for n, one in recipe.strata.items() if one.min_fraction == share)
        yield say("method.strata.least", strata=of, share=percent(share))
    most = tuple(names[n] for n, one in recipe.strata.items() if one.overlapping == "most")
    if most:
        yield say("method.strata.overlapping", strata=most)
    yield say("method.strata.breaks")


def _file_names(patterns: Iterable[str]) -> Told:
    return tuple(dict.fromkeys(public(path).replace("\\", "/").rpartition("/")[2] for path in patterns))


def source_list(run: Run) -> list[dict[str, Told]]:
    """List where each quantity comes from."""
    cube = store.open_cube(run.out, block=run.cube.chunk)
    out: list[dict[str, Told]] = []
    for name in run.yearly_inputs:
        source = getattr(run.recipe.sources, name)
        record: dict[str, Told]
        if isinstance(source, recipes.ReaderSource):
            names = list(dict.fromkeys(r.source.reader for r in source.records(run.recipe.period)))
            record = {
                "reader": ", ".join(names),
                "citation": " ".join(sources.reader(n).citation for n in names),
                "resampling": known("resampling", str(cube[name].attrs.get("resampling", source.resampling))),
            }
        else:
            record = {
                "reader": source.model,
                "citation": nep.POTENTIAL_CITATIONS[source.model],
                "resampling": say("none"),
            }
        product = str(cube[name].attrs.get("product", ""))
        out.append({"quantity": say(f"quantity.{name}"), "product": product, "units": say(f"unit.{name}"), **record})
    return out
