"""Run: every stage that is not done, one run at a time, tidy at any end."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nepcube import recipe as recipes
from nepcube import report as report_room
from nepcube import sources, store
from nepcube.errors import NepcubeError, NotWritableError, RecipeError, StoreError
from nepcube.execute import Engine, RunLock, Settings, make_engine, on_cluster, told
from nepcube.pipeline import clearing, inputs, provenance
from nepcube.pipeline.aggregate import aggregate
from nepcube.pipeline.analyse import analyse
from nepcube.pipeline.context import RUN_STAGES, Options, Progress, Run, grid_of, prepare, silent
from nepcube.pipeline.damage import damage_of, take_back_damage
from nepcube.pipeline.ingest import ingest
from nepcube.pipeline.planning import cluster_of, settle
from nepcube.pipeline.publishing import publish
from nepcube.pipeline.reporting import export_figures, export_tables, read_tables, report
from nepcube.pipeline.stages import is_done
from nepcube.pipeline.stratifying import missing_strata
from nepcube.places import LocalPlace, Place, place_of

_STAGES: dict[str, Callable[[Run], Any]] = {
    "ingest": ingest,
    "analyse": analyse,
    "aggregate": aggregate,
    "publish": publish,
}
# what jobs of every stage import: workers do it while the files are looked at
_NEEDED_BY_JOBS = (__name__, "xarray", "zarr", "dask.array", "numba")


def run(
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    client: Any = None,
    options: Options | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> Path | str:
    """Do every stage of a recipe that is not done, and give the path of the report.

    Run again, it continues where it was; with a longer period it ingests the new years only.

    Parameters
    ----------
    recipe : Recipe or path-like
        A recipe, or the file of one.
    out : path-like or str
        The output folder, or a URL: ``s3://``, ``gs://``, ``az://``, ``file://``.
    client : distributed.Client, optional
        A Dask client whose cluster does the work; threads of this process when left out.
    options : Options, optional
        Workers, memory and block size, none of which changes the results.
    progress : callable, optional
        Called with (stage, done, total, detail).
    say : callable, optional
        Called with lines for the user.

    Returns
    -------
    pathlib.Path or str
        ``OUT/report.html``, as a URL where the output is one.

    Raises
    ------
    NepcubeError
        The recipe, the data or the output are at fault.
    """
    with sources.telling(say):
        _do(RUN_STAGES, recipe, out, client, options or Options(), progress, say, again=False)
    return (place_of(out) / "report.html").handle


def run_stage(
    stage: str,
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    client: Any = None,
    options: Options | None = None,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Do one stage of a recipe; the stages before it must be done.

    Parameters are those of `run`.
    """
    with sources.telling(say):
        _do((stage,), recipe, out, client, options or Options(), progress, say, again=True)


def write_tables(
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path | str]:
    """Write the tables of a recipe's output in other formats beside the CSV files.

    Parameters
    ----------
    recipe : Recipe or path-like
        The recipe whose tables they are.
    out : path-like or str
        The output folder, or its URL; the tables must be made.
    formats : sequence of {"md", "tex", "xlsx", "parquet"}
    say : callable, optional
        Called with lines for the user.

    Returns
    -------
    list of pathlib.Path or str

    Raises
    ------
    NepcubeError
        A format is not known or its package is not installed, the tables are not made for this recipe, or another run
        holds the output.
    """
    report_room.require_formats(formats)
    return _exported(recipe, out, say, silent, lambda job: export_tables(job, formats))


def write_figures(
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    formats: Sequence[str] = ("pdf", "png"),
    *,
    language: str = "en",
    inset: bool = False,
    progress: Progress = silent,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path | str]:
    """Draw the figures of a recipe's output for a paper, in two column widths, and a file of their captions.

    Parameters
    ----------
    recipe : Recipe or path-like
        The recipe whose figures they are.
    out : path-like or str
        The output folder, or its URL; the tables must be made.
    formats : sequence of {"pdf", "svg", "png"}
        PNG has 300 dpi.
    language : {"en", "zh"}
    inset : bool
        Whether the map of the regions has a globe that shows where it lies.
    progress : callable, optional
        Called with (stage, done, total, detail).
    say : callable, optional
        Called with lines for the user.

    Returns
    -------
    list of pathlib.Path or str
        In ``OUT/figures/paper``, or ``paper-zh``.

    Raises
    ------
    NepcubeError
        A format or language is not known, the run is not done for this recipe, or another run holds the output.
    """
    report_room.require_paper_formats(formats)
    known = report_room.require_language(language)
    return _exported(recipe, out, say, progress, lambda job: export_figures(job, formats, known, inset=inset))


def _exported(
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    say: Callable[[str], None],
    progress: Progress,
    export: Callable[[Run], list[Place]],
) -> list[Path | str]:
    # something made of a finished output, which must be that of the recipe
    place = place_of(out)
    place.require()
    read_tables(place)
    if not isinstance(recipe, recipes.Recipe):
        recipe = recipes.load_recipe(recipe)
    options = settle(recipe, Options(), place)[1]
    try:
        with RunLock(place), make_engine(Settings(threads=1), say=say) as engine:
            job = prepare(recipe, place, engine, options, progress=progress, say=say)
            _require_before(job, "report")
            return [path.handle for path in export(job)]
    except NotWritableError as error:
        raise NotWritableError(
            error.what, "Tables and figures are written into the output: give permission, or name a copy with -o."
        ) from None
    except OSError as error:
        raise told(error) from None


def _do(
    stages: tuple[str, ...],
    recipe: recipes.Recipe | str | os.PathLike[str],
    out: str | os.PathLike[str],
    client: Any,
    options: Options,
    progress: Progress,
    say: Callable[[str], None],
    *,
    again: bool,
) -> None:
    folder = place_of(out)
    if isinstance(folder, LocalPlace):
        # workers of a cluster stand in other folders
        folder = LocalPlace(folder.path.absolute())
    folder.require()
    if isinstance(recipe, str | os.PathLike):
        _require_other(Path(recipe), folder)
    if not isinstance(recipe, recipes.Recipe):
        recipe = recipes.load_recipe(recipe)
    settings, options = settle(recipe, options, None if options.fresh else folder, say=say)
    cluster = cluster_of(recipe, options)
    if cluster is not None:
        settings = replace(settings, cluster=cluster.model_dump())
    clearing.require_room(recipe, folder, fresh=options.fresh)
    made = folder.make()
    try:
        with RunLock(folder) as lock:
            try:
                seen = folder.path if isinstance(folder, LocalPlace) else None
                with _engine(client, settings, say, seen, lock) as engine:
                    try:
                        _stages(stages, recipe, folder, lock, engine, options, progress, say, again)
                    finally:
                        # nothing writes on after the lock is given back
                        store.let_end()
            except NepcubeError:
                # nothing is left of a run that could not begin, and nothing of another run is touched
                if made:
                    lock.require()
                    clearing.leave(folder)
                raise
    except OSError as error:
        raise told(error) from None
    finally:
        if made:
            clearing.leave_no_empty(folder)


def _require_other(recipe: Path, folder: Place) -> None:
    ours = folder / "recipe.yaml"
    if isinstance(ours, LocalPlace) and ours.exists() and recipe.resolve() == ours.path.resolve():
        raise StoreError(
            f"{recipe}: the run would write its resolved recipe over it.", "Choose another output folder with -o."
        )


def _stages(
    stages: tuple[str, ...],
    recipe: recipes.Recipe,
    folder: Place,
    lock: RunLock,
    engine: Engine,
    options: Options,
    progress: Progress,
    say: Callable[[str], None],
    again: bool,
) -> None:
    if "ingest" in stages:
        inputs.generate_archive(recipe, progress)
    if options.fresh:
        # a run that cannot begin must not cost the one that is there
        grid, _ = grid_of(recipe)
        inputs.open_all(recipe, grid)
        if clearing.holds_run(folder):
            lock.require()
            clearing.clear(folder)
    if options.verify and not options.fresh:
        damaged = take_back_damage(folder, lock)
        if damaged:
            say(f"warning: {damage_of([key for _, _, key in damaged])}; they are made again")
    job = prepare(recipe, folder, engine, options, progress=progress, say=say)
    # a run whose lock was taken over ends before it writes down another thing
    job.ledger.guard = lock.require
    for path in provenance.changed_inputs(job):
        told = "years that are done keep what it held before where the grid is the same"
        say(f"warning: {path} is not the file that was ingested; {told}")
    for name in missing_strata(recipe) if "aggregate" in job.ledger.parts() else []:
        say(f"warning: strata.{name}: its files are not there; tables that are done keep what they held before")
    try:
        for stage in stages:
            _require_before(job, stage)
            done = is_done(job, stage)
            start = time.monotonic()
            if stage == "report":
                report(job, again=again)
            else:
                _STAGES[stage](job)
            if stage == "ingest" and (not done or not provenance.read(folder)["inputs"]):
                provenance.note_inputs(job)
            if not done:
                provenance.note_stage(job, stage, time.monotonic() - start)
            provenance.note_recipe(job)
    finally:
        job.ledger.flush()


def _engine(client: Any, settings: Settings, say: Callable[[str], None], folder: Path | None, lock: RunLock) -> Any:
    if client is not None:
        return on_cluster(client, say=say, out=folder, held=lock.held)
    return make_engine(settings, say=say, out=folder, held=lock.held, preload=_NEEDED_BY_JOBS)


def _require_before(job: Run, stage: str) -> None:
    order = recipes.STAGES
    for earlier in order[: min(order.index(stage), order.index("report"))]:
        if not is_done(job, earlier):
            raise RecipeError(
                f"{job.out}: `{stage}` needs `{earlier}`, which is not done for this recipe.",
                f"Run `nepcube {earlier}` first, or `nepcube run`, which does every stage.",
            )
