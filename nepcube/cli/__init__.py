"""The command line: verbs, progress, exit codes.

0 done, 1 a fault of ours, 2 a fault in the recipe or the data, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nepcube._version import __version__
from nepcube.cli.progress import Teller
from nepcube.cli.telling import comparison_lines, print_fault, tell_check
from nepcube.errors import NepcubeError, RecipeError, StoreError, without_queries
from nepcube.execute import Stopped, asked, stopping

if TYPE_CHECKING:
    from nepcube.pipeline import Options

app = typer.Typer(
    name="nepcube",
    help="From the providers' files to a carbon source/sink atlas: one recipe, one command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe (YAML).")]
Out = Annotated[str, typer.Option("-o", "--out", help="The output folder, or its URL.")]
Workers = Annotated[int | None, typer.Option(help="Processes; threads of this one when left out.", min=1)]
Memory = Annotated[str | None, typer.Option(help="Budget of the process tree, such as 2GiB.")]
Scheduler = Annotated[str | None, typer.Option(help="An existing Dask scheduler, tcp://host:8786.")]
Block = Annotated[int | None, typer.Option(help="Cells a side of a unit of work.", min=64, max=8192)]
Fresh = Annotated[bool, typer.Option("--fresh", help="Remove what is there and start over.")]
Verify = Annotated[bool, typer.Option("--verify", help="Hold every chunk of the output against its checksum.")]
Lang = Annotated[str, typer.Option(metavar="LANG", help="Language of the report: en, zh, or both.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors and the result.")]
Log = Annotated[Path | None, typer.Option(help="Also write what is said, with times, to a file.")]


def _options(
    workers: int | None,
    memory: str | None,
    scheduler: str | None,
    block: int | None,
    fresh: bool = False,
    verify: bool = False,
    lang: str = "en",
) -> Options:
    from nepcube.pipeline import Options, languages

    return Options(
        workers=workers,
        scheduler=scheduler,
        memory=_bytes(memory) if memory else None,
        block=block,
        fresh=fresh,
        verify=verify,
        languages=languages(lang),
    )


def _bytes(text: str) -> int:
    from dask.utils import parse_bytes

    try:
        value = int(parse_bytes(text))
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise RecipeError(f"--memory {text}: this is no size.", "Write it as 2GiB or 1500MB.")
    return value


@app.command("check")
def check_command(
    recipe: RecipeFile,
    out: Annotated[str | None, typer.Option("-o", "--out", help="An output, to say what is done already.")] = None,
    workers: Workers = None,
    memory: Memory = None,
    block: Block = None,
    verify: Verify = False,
) -> None:
    """Check the recipe and its files, and print the plan of the run."""
    from nepcube.pipeline import check

    options = _options(workers, memory, None, block, verify=verify)
    with Teller(quiet=False, log=None) as teller:
        found = check(recipe, out=out, options=options, calibrated=True, say=teller.say)
    tell_check(found)
    if not found.ok:
        raise typer.Exit(2)


@app.command("run")
def run_command(
    recipe: RecipeFile,
    out: Out,
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    block: Block = None,
    fresh: Fresh = False,
    verify: Verify = False,
    lang: Lang = "en",
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Do every stage that is not done, and print the path of the report."""
    from nepcube.pipeline import run

    options = _options(workers, memory, scheduler, block, fresh, verify, lang)
    with Teller(quiet=quiet, log=log) as teller:
        page = run(recipe, out, options=options, progress=teller.progress, say=teller.say)
    print(page)  # noqa: T201


def _do_stage(stage: str, recipe: Path, out: str, options: Options, quiet: bool, log: Path | None) -> None:
    from nepcube.pipeline import run_stage

    with Teller(quiet=quiet, log=log) as teller:
        run_stage(stage, recipe, out, options=options, progress=teller.progress, say=teller.say)
    print(out)  # noqa: T201


def _stage_command(stage: str, text: str) -> None:
    def command(
        recipe: RecipeFile,
        out: Out,
        workers: Workers = None,
        memory: Memory = None,
        scheduler: Scheduler = None,
        block: Block = None,
        quiet: Quiet = False,
        log: Log = None,
    ) -> None:
        _do_stage(stage, recipe, out, _options(workers, memory, scheduler, block), quiet, log)

    command.__doc__ = text
    app.command(stage)(command)


_stage_command("ingest", "Bring the sources to the grid: cube.zarr.")
_stage_command("analyse", "Compute NEP and the statistics of every cell: statistics.zarr.")
_stage_command("aggregate", "Label regions, find classes, write the tables.")


@app.command("report")
def report_command(
    recipe: RecipeFile,
    out: Out,
    tables: Annotated[
        str | None,
        typer.Option(metavar="FORMATS", help="Write the tables alone: md, tex, xlsx, parquet, or several (md,tex)."),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option(metavar="FORMATS", help="Draw the figures for a paper alone: pdf, svg, png, or several."),
    ] = None,
    inset: Annotated[bool, typer.Option("--inset", help="A globe on the map of the regions (--figures).")] = False,
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    block: Block = None,
    lang: Lang = "en",
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Draw the figures and write report.html again, or write tables in other formats or figures for a paper."""
    if inset and figures is None:
        raise RecipeError("report: --inset is of the figures for a paper.", "Add --figures pdf,png.")
    if figures is not None:
        _paper(recipe, out, figures, lang, inset, quiet, log)
    if tables is None and figures is None:
        _do_stage("report", recipe, out, _options(workers, memory, scheduler, block, lang=lang), quiet, log)
        return
    if tables is None:
        return
    from nepcube.pipeline import write_tables

    with Teller(quiet=quiet, log=log) as teller:
        written = write_tables(recipe, out, [name.strip() for name in tables.split(",")], say=teller.say)
    for path in written:
        print(path)  # noqa: T201


def _names(formats: str | None) -> list[str]:
    return [] if formats is None else [name.strip() for name in formats.split(",")]


def _paper(recipe: Path, out: str, formats: str, lang: str, inset: bool, quiet: bool, log: Path | None) -> None:
    from nepcube.pipeline import languages, write_figures

    wanted = _names(formats)
    written = []
    with Teller(quiet=quiet, log=log) as teller:
        for one in languages(lang):
            written += write_figures(
                recipe, out, wanted, language=one, inset=inset, progress=teller.progress, say=teller.say
            )
    for path in written:
        print(path)  # noqa: T201


_stage_command("publish", "Write the maps as cloud-optimised GeoTIFF with a STAC item.")


@app.command("status")
def status_command(
    out: Annotated[str, typer.Argument(metavar="OUT", help="An output folder, or its URL.")],
    verify: Annotated[bool, typer.Option("--verify", help="Hold every chunk against its checksum.")] = False,
) -> None:
    """Say what is done in an output, by stage and year."""
    from nepcube.pipeline import damage_of, status

    found = status(out, verify=verify)
    lines = [f"{stage:<10} {'done' if done else 'not done'}" for stage, done in found.stages]
    if found.years:
        counts = {n for _, n in found.years}
        years = [y for y, _ in found.years]
        lines.append(
            f"ingested   {years[0]}-{years[-1]}, {max(counts)} chunk(s) a year"
            + ("" if len(counts) == 1 else f"; fewer in {', '.join(y for y, n in found.years if n < max(counts))}")
        )
    if found.blocks:
        lines.append(f"analysed   {found.blocks} chunk(s)")
    lines += [f"{name:<16} {'finished' if there else 'not finished'}" for name, there in found.committed]
    if found.waiting:
        lines.append(f"taken back {len(found.waiting)} chunk(s), which the next run makes again")
    if verify and not found.bad:
        lines.append("verified   every chunk is as it was written")
        if not found.taken_back:
            lines.append("read only  damage would be told, and stay: `nepcube run --verify` on a copy makes it again")
    print("\n".join(lines))  # noqa: T201
    if verify and found.bad:
        raise StoreError(
            f"{out}: {damage_of(found.bad)}.",
            "Run nepcube with the same recipe and output: it makes them again."
            if found.taken_back
            else "It cannot be written there, and stays as it is: `nepcube run --verify` on a copy makes them again.",
        )


@app.command("audit")
def audit_command(
    tables: Annotated[Path, typer.Argument(metavar="TABLES", help="The numbers of a study (YAML, see docs/audit.md).")],
) -> None:
    """Hold the numbers that a study printed against each other."""
    from nepcube.pipeline import audit, load_study

    study = load_study(tables)
    found = audit(study)
    print(" ".join(study.study.split()))  # noqa: T201
    for one in found:
        print(f"\n{one.rule}\n  {one.where}\n  {one.what}")  # noqa: T201
    if found:
        raise NepcubeError(
            f"{tables}: {len(found)} contradiction(s) in {len({one.rule for one in found})} rule(s).",
            "Compare the file with the print; what was copied rightly is for the authors to explain.",
        )
    print("\nNothing contradicts itself.")  # noqa: T201


@app.command("validate")
def validate_command(
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a finished run, or its URL.")],
    towers: Annotated[Path, typer.Option(help="A list of flux towers (CSV, see docs/validation.md).")],
) -> None:
    """Hold the NEP of a run against flux towers, and print how far they are apart."""
    from nepcube.pipeline import validate

    done = validate(out, towers)
    print("\n".join(done.lines))  # noqa: T201
    for path in done.files:
        print(path)  # noqa: T201


@app.command("compare")
def compare_command(
    out_a: Annotated[str, typer.Argument(metavar="OUT_A", help="A finished output, or its URL.")],
    out_b: Annotated[str, typer.Argument(metavar="OUT_B", help="Another on the same grid.")],
    out: Annotated[str, typer.Option("-o", "--out", help="The folder of the comparison, or its URL.")],
    figures: Annotated[
        str | None,
        typer.Option(metavar="FORMATS", help="Draw the maps for a paper, too: pdf, svg, png, or several."),
    ] = None,
    block: Block = None,
    lang: Lang = "en",
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Compare two finished outputs: maps, tables and figures of B minus A."""
    from nepcube.pipeline import compare_runs, languages

    formats, spoken = _names(figures), languages(lang)
    with Teller(quiet=quiet, log=log) as teller:
        found = compare_runs(
            out_a, out_b, out, block=block, figures=formats, languages=spoken, progress=teller.progress
        )
    print("\n".join(comparison_lines(found)))  # noqa: T201


@app.command("readers")
def readers_command() -> None:
    """List the readers and what each accepts."""
    from nepcube.pipeline import list_readers

    for name, quantities, accepts in list_readers():
        print(f"{name}\n  gives   {quantities}\n  accepts {accepts}")  # noqa: T201


def _version(value: bool) -> None:
    if value:
        print(f"nepcube {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit with its code."""
    with stopping():
        try:
            app()
        except (Exception, Stopped) as error:
            sys.exit(_told(error))


def _told(error: BaseException) -> int:
    stop = error if isinstance(error, Stopped) else asked()
    if stop is not None:
        if "nepcube.pipeline" in sys.modules:
            from nepcube.pipeline import let_end

            let_end()
        print(stop.words, file=sys.stderr)  # noqa: T201
        return stop.exit_code
    if isinstance(error, NepcubeError):
        print_fault(error)
        return 2
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        print_fault(
            NepcubeError(
                "The system gives this process no other thread.",
                "Allow more threads or memory (`ulimit -u`, `ulimit -v`), or give fewer workers, and run again.",
            )
        )
        return 2
    print(without_queries("".join(traceback.format_exception(error))), end="", file=sys.stderr)  # noqa: T201
    print(  # noqa: T201
        "error: this is a fault of nepcube, not of your recipe or data.\n"
        "       Please report it with the lines above and `nepcube --version`.",
        file=sys.stderr,
    )
    return 1
