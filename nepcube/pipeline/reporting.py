"""Report: figures and the page, from the stores and tables that are there."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import report as report_room
from nepcube import spec, store
from nepcube.errors import RecipeError, StoreError
from nepcube.grid import geobox_of
from nepcube.pipeline import provenance
from nepcube.pipeline.aggregate import TABLES, is_by_stratum
from nepcube.pipeline.context import Run
from nepcube.pipeline.formulas import formulas
from nepcube.pipeline.inputs import is_generated
from nepcube.pipeline.methods import methods, source_list
from nepcube.pipeline.notes import notes
from nepcube.pipeline.outputs import open_output
from nepcube.pipeline.stages import begin, finish, is_done
from nepcube.pipeline.stratifying import standard_strata, units_of_classes
from nepcube.places import Place

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

STAGE = "report"
# columns of names
_NAMES = ("region", "stratum", "label", "variable")
_DPI_OF_OTHERS = 240


def languages(word: str) -> tuple[report_room.Language, ...]:
    """Give the languages of `en`, `zh` or `both`.

    Raises
    ------
    RecipeError
        It is another word.
    """
    known: dict[str, tuple[report_room.Language, ...]] = {"en": ("en",), "zh": ("zh",), "both": ("en", "zh")}
    if word not in known:
        raise RecipeError(f"--lang {word}: the report has no such language.", "Use one of en, zh, both.")
    return known[word]


def report(run: Run, *, again: bool = False) -> Place:
    """Draw the figures and write the page in the run's languages; give its path."""
    page = run.out / "report.html"
    if is_done(run, STAGE) and _languages(page) == run.languages and not again:
        run.progress(STAGE, 1, 1, "done already")
        return page
    record = begin(run, STAGE)
    run.progress(STAGE, 0, 3, "reading")
    given = make_inputs(run)
    run.progress(STAGE, 1, 3, "figures")
    # the page is made of the figures and is put after them
    first, *more = run.languages
    with _telling(run.say), run.out.local_folder() as folder, TemporaryDirectory() as apart:
        with (run.out / "figures").local_folder() as drawn:
            figures = report_room.draw_figures(replace(given, language=first), drawn)
            # the page alone has its maps in the other languages, a little smaller, so that it stays light
            others = {
                code: report_room.draw_figures(
                    replace(given, language=code), Path(apart) / code, dpi=_DPI_OF_OTHERS, charts=False
                )
                for code in more
            }
            run.progress(STAGE, 2, 3, "page")
            report_room.write_page(given, figures, folder / page.name, languages=run.languages, others=others)
        _remove_others(run.out / "figures", figures)
    run.progress(STAGE, 3, 3, str(page))
    finish(run, STAGE, record)
    return page


def _languages(page: Place) -> tuple[str, ...] | None:
    content = page.read()
    return None if content is None else report_room.languages_of(content[:2000].decode("utf-8", "replace"))


def _remove_others(folder: Place, figures: list[Path]) -> None:
    made = {f.name for f in figures}
    for name in folder.names():
        if name not in made and name.removesuffix(".png") in report_room.FIGURES:
            (folder / name).delete()


def make_inputs(run: Run) -> report_room.ReportInputs:
    """Gather what the report room draws."""
    recipe = run.recipe
    tables = read_tables(run.out)
    written = provenance.read(run.out)
    return report_room.ReportInputs(
        name=recipe.name,
        title=recipe.title or recipe.name,
        period=recipe.period,
        maps=_maps(run),
        tables=tables,
        regions=run.regions,
        recipe_text=recipes.dump_recipe(recipe),
        provenance={"versions": {}, "created": ""} | written,
        methods=methods(run),
        formulas=formulas(run),
        sources=source_list(run),
        notes=[*notes(run, tables), *written.get("regions", [])],
        generated=is_generated(recipe),
        potential=run.potential,
        strata=units_of_classes(run),
        standard_strata=standard_strata(recipe),
    )


def _maps(run: Run) -> xr.Dataset:
    ds = store.open_statistics(run.out, block=run.cube.chunk)
    drawn = ds[_shown(ds, run.recipe.correlates)]
    return report_room.thinned(drawn).compute(scheduler="threads", num_workers=run.engine.threads)


def _shown(ds: xr.Dataset, drivers: Iterable[str]) -> list[str]:
    # the maps that the figures are drawn from
    partial = [f"nep_partial_{d}" for d in drivers]
    wanted = {"elevation", "nep_mean", "nep_slope", *report_room.CLASS_TABLES, *spec.ERROR_MAPS, *partial}
    # which cells count: by their centres, or by their shares where the tables go by these
    wanted |= {"region", "region_share"}
    wanted |= {f"{n}_pvalue" for n in wanted}
    return [str(n) for n in ds.data_vars if n in wanted]


@contextmanager
def _telling(say: Callable[[str], None]) -> Iterator[None]:
    # what the report room warns of is told as all else is, and each thing once
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for text in dict.fromkeys(str(one.message) for one in caught if one.category is UserWarning):
        say(f"warning: {text}")


def export_figures(run: Run, formats: Sequence[str], language: report_room.Language, *, inset: bool) -> list[Place]:
    """Draw the figures of a run for a paper; give their paths."""
    given = replace(make_inputs(run), language=language)

    def progress(done: int, of: int, name: str) -> None:
        run.progress("figures", done, of, name)

    with _telling(run.say):
        return draw_for_paper(given, run.out, formats, inset=inset, progress=progress)


def paper_folder(out: Place, language: report_room.Language) -> Place:
    """Give the folder of the figures for a paper."""
    return out / "figures" / ("paper" if language == "en" else f"paper-{language}")


def draw_for_paper(
    given: report_room.ReportInputs,
    out: Place,
    formats: Sequence[str],
    *,
    only: Collection[str] | None = None,
    inset: bool = False,
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
) -> list[Place]:
    """Draw figures for a paper into the folder of their language in an output, and give their paths."""
    folder = paper_folder(out, given.language)
    with folder.local_folder() as local:
        made = report_room.draw_paper(given, local, formats, only=only, inset=inset, progress=progress)
    names = {path.name for path in made}
    endings = tuple(f"_{w}.{f}" for w in report_room.PAPER_WIDTHS for f in report_room.PAPER_FORMATS)
    for name in folder.names():
        # of another run, or in a format not asked for now: it would be taken for a figure that the captions are of
        if name not in names and name.endswith(endings):
            (folder / name).delete()
    return [folder / path.name for path in made]


def open_report(out: str | os.PathLike[str], *, language: report_room.Language = "en") -> report_room.ReportInputs:
    """Open what the figures of a finished output are drawn from, for `nepcube.plot_map` and `nepcube.plot_chart`.

    Parameters
    ----------
    out : path-like or str
        The output folder of a run, or its URL.
    language : {"en", "zh"}
        The language of the figures.

    Returns
    -------
    nepcube.report.ReportInputs
        Its `maps` have at most 2,000 cells a side, every n-th of a larger grid. Those that the figures show are
        loaded, the others are lazy until they are drawn; `regions` are the outlines of their cells.

    Raises
    ------
    StoreError
        It is no output of nepcube, or it is not finished.
    """
    found = open_output(out)
    maps = report_room.thinned(store.open_statistics(found.place))
    # a store of a continent is not read whole: a map that no figure shows stays lazy
    loaded = maps[_shown(maps, [d for d in spec.CLIMATE if f"nep_partial_{d}" in maps])].compute()
    maps = maps.assign(loaded.data_vars)
    names = found.region_names
    outlines = None
    if names and (maps["region"] > 0).any():
        dy, dx = maps["region"].dims
        outlines = region_room.outline_labels(maps["region"].astype("int16").values, geobox_of(maps[[dy, dx]]), names)
    return report_room.ReportInputs(
        name=found.name,
        title=str(found.attrs.get("title", found.name)),
        period=found.period,
        maps=maps,
        tables=read_tables(found.place),
        regions=outlines,
        generated=spec.is_generated(found.attrs),
        potential=found.potential,
        language=language,
    )


def export_tables(run: Run, formats: Sequence[str]) -> list[Place]:
    """Write the tables of a run in other formats beside the CSV files; give their paths."""
    folder = run.out / "tables"
    with folder.local_folder() as local:
        return [folder / path.name for path in report_room.write_formats(read_tables(run.out), local, formats)]


def read_tables(out: Place) -> dict[str, pd.DataFrame]:
    """Read the tables of a run.

    Raises
    ------
    StoreError
        There are none.
    """
    import pandas as pd

    names = sorted({*TABLES, *(n.removesuffix(".csv") for n in (out / "tables").names() if is_by_stratum(n))})
    files = {n: out / "tables" / f"{n}.csv" for n in names}
    found = {name: content for name, file in files.items() if (content := file.read()) is not None}
    if not found:
        raise StoreError(f"{out / 'tables'}: there are no tables.", "Run `nepcube aggregate` first.")
    # a region may be called NA, null or 007: only an empty field is no value, and names stay text
    texts = dict.fromkeys(_NAMES, str)
    return {
        name: pd.read_csv(io.BytesIO(content), keep_default_na=False, na_values=[""], dtype=texts)
        for name, content in found.items()
    }
