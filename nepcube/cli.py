"""The command line: verbs, progress, exit codes.

0 done, 1 a fault of ours, 2 a fault in the recipe or the data, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nepcube._version import __version__
from nepcube.errors import NepcubeError, RecipeError
from nepcube.execute import Stopped, asked, stopping

if TYPE_CHECKING:
    from rich.console import Console

    from nepcube.pipeline import Comparison, Options
    from nepcube.pipeline.checking import Checked
    from nepcube.pipeline.estimating import Estimate
    from nepcube.pipeline.planning import Plan

_MOST_FINDINGS = 200

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
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors and the result.")]
Log = Annotated[Path | None, typer.Option(help="Also write what is said, with times, to a file.")]


class Teller:
    """Tells progress: bars on a terminal, plain lines elsewhere."""

    def __init__(self, *, quiet: bool, log: Path | None) -> None:
        self._quiet = quiet
        try:
            self._log = open(log, "a", encoding="utf-8") if log else None  # noqa: SIM115  closed at exit
        except OSError as error:
            raise RecipeError(f"--log {log}: cannot be written ({error.strerror}).", "Name another file.") from None
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._told: dict[str, int] = {}

    def __enter__(self) -> Teller:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.progress import TimeRemainingColumn as Rest

            self._bars = Progress(
                TextColumn("{task.description:<26}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("rest"),
                Rest(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=Console(stderr=True),
            )
            self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.__exit__(None, None, None)
        if self._log:
            self._log.close()

    def say(self, line: str) -> None:
        """Tell one line."""
        if self._log:
            self._log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")
            self._log.flush()
        if self._quiet:
            return
        if self._bars is not None:
            self._bars.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def progress(self, stage: str, done: int, total: int, detail: str = "") -> None:
        """Tell how far a stage is."""
        now = time.monotonic()
        began = self._started.setdefault(stage, now)
        if self._bars is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total, detail="")
            self._bars.update(self._tasks[stage], completed=done, total=total, detail=detail[:40])
        step = 10 if total <= 0 else done * 10 // total
        if self._told.get(stage) == step:
            return
        first = stage not in self._told
        self._told[stage] = step
        line = f"{stage}: {done}/{total}"
        if detail and (first or done == total):
            line += f" {detail}"
        if not first:
            line += f" ({now - began:.0f} s"
            line += f", about {(now - began) * (total - done) / done:.0f} s to go)" if 0 < done < total else ")"
        if self._bars is None:
            self.say(line)
        elif self._log:
            self._log.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")


def _options(
    workers: int | None,
    memory: str | None,
    scheduler: str | None,
    block: int | None,
    fresh: bool = False,
    verify: bool = False,
) -> Options:
    from nepcube.pipeline import Options

    return Options(
        workers=workers,
        scheduler=scheduler,
        memory=_bytes(memory) if memory else None,
        block=block,
        fresh=fresh,
        verify=verify,
    )


def _bytes(text: str) -> int:
    from dask.utils import parse_bytes

    try:
        value = int(parse_bytes(text))
    except ValueError:
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
    _tell(check(recipe, out=out, options=options, calibrated=True))


def _tell(checked: Checked) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    # a table in a file is not folded to the width of a terminal that is not there
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 4000)
    console.print(f"recipe  {checked.recipe.name}, {checked.recipe.period[0]}-{checked.recipe.period[1]}", markup=False)
    if checked.grid:
        console.print(f"grid    {checked.grid}", markup=False)
    plan = checked.plan
    if plan is not None:
        console.print("\n".join(_plan_lines(plan, checked.estimate)), markup=False)
    if checked.done:
        console.print(f"done    {', '.join(checked.done)}", markup=False)
    archive = checked.recipe.archive
    if archive is not None and not checked.found:
        console.print(f"files   to be generated by `run` in {archive.path}", markup=False)
    if checked.found:
        table = Table(box=None, pad_edge=False)
        for column in ("source", "reader", "files", "bytes", "from", "to", "holds"):
            table.add_column(column, overflow="fold")
        for f in checked.found:
            g = f.granules
            held = sorted({x.detail for x in g})
            more = f" and {len(held) - 4} more" if len(held) > 4 else ""
            table.add_row(
                f.quantity,
                f.reader,
                str(len(g)) if g else "-",
                _size(sum(x.bytes for x in g)) if g else "-",
                min((x.start for x in g), default="-"),
                max((x.end for x in g), default="-"),
                escape(("; ".join(held[:4]) + more) if g else "missing or unusable"),
            )
        console.print(table)
        findings = [(f, x) for f in checked.found for x in f.findings]
        if findings:
            _tell_findings(console, findings)
    for fault in checked.faults:
        _print_fault(fault)
    if not checked.ok:
        raise typer.Exit(2)


def _tell_findings(console: Console, findings: list[tuple[Any, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("source", "state", "which", "what"):
        table.add_column(column, overflow="fold")
    order = ("broken", "mixed", "overlaps", "missing", "note")
    told = sorted(findings, key=lambda pair: order.index(pair[1].state) if pair[1].state in order else len(order))
    for found, finding in told[:_MOST_FINDINGS]:
        table.add_row(*map(escape, (found.quantity, finding.state, finding.which, finding.what)))
    console.print(table)
    if len(told) > _MOST_FINDINGS:
        console.print(f"... and {len(told) - _MOST_FINDINGS} more", markup=False)


def _plan_lines(plan: Plan, estimate: Estimate | None) -> list[str]:
    jobs = f"{plan.processes} processes" if plan.processes else f"{plan.threads} thread(s)"
    read = written = ""
    if estimate is not None:
        read = (
            f"about {_size(estimate.bytes_in)} in{', missing files at their usual size' if estimate.missing else ''}; "
        )
        written = f", about {_size(estimate.bytes_out)} compressed"
    lines = [
        f"plan    {plan.rows * plan.columns / 1e6:.2f} million cells, {plan.blocks} block(s) of {plan.block}, "
        f"{plan.years} years, {plan.tasks} tasks on {jobs}",
        f"bytes   {read}cube {_size(plan.bytes_cube)}, statistics {_size(plan.bytes_statistics)} before compression"
        f"{written}",
        f"layout  {_layout(plan)}",
        f"memory  about {_size(plan.peak_memory)} at the peak (ingest {_size(plan.memory.ingest)}, "
        f"analyse {_size(plan.memory.analyse)})",
    ]
    if estimate is not None:
        lines.append(
            f"time    about {_duration(estimate.ingest + estimate.analyse)} (ingest {_duration(estimate.ingest)}, "
            f"analyse {_duration(estimate.analyse)}), without downloads, tables and report; from {estimate.stands_on}"
        )
    return lines


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _layout(plan: Plan) -> str:
    chunk, shard = plan.sides.chunk, plan.sides.shard
    held = f" in shards of {shard} x {shard}" if shard else ", no shards"
    return f"chunks of {chunk} x {chunk} cells{held}, about {plan.files} files"


def _size(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return ""


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
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Do every stage that is not done, and print the path of the report."""
    from nepcube.pipeline import run

    options = _options(workers, memory, scheduler, block, fresh, verify)
    with Teller(quiet=quiet, log=log) as teller:
        page = run(recipe, out, options=options, progress=teller.progress, say=teller.say)
    print(page)  # noqa: T201


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
        from nepcube.pipeline import run_stage

        options = _options(workers, memory, scheduler, block)
        with Teller(quiet=quiet, log=log) as teller:
            run_stage(stage, recipe, out, options=options, progress=teller.progress, say=teller.say)
        print(out)  # noqa: T201

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
    workers: Workers = None,
    memory: Memory = None,
    scheduler: Scheduler = None,
    block: Block = None,
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Draw the figures and write report.html again, or write the tables in other formats."""
    from nepcube.pipeline import export_tables, run_stage

    if tables is not None:
        for path in export_tables(out, [name.strip() for name in tables.split(",")]):
            print(path)  # noqa: T201
        return
    options = _options(workers, memory, scheduler, block)
    with Teller(quiet=quiet, log=log) as teller:
        run_stage("report", recipe, out, options=options, progress=teller.progress, say=teller.say)
    print(out)  # noqa: T201


_stage_command("publish", "Write the maps as cloud-optimised GeoTIFF with a STAC item.")


@app.command("status")
def status_command(
    out: Annotated[str, typer.Argument(metavar="OUT", help="An output folder, or its URL.")],
    verify: Annotated[bool, typer.Option("--verify", help="Hold every chunk against its checksum.")] = False,
) -> None:
    """Say what is done in an output, by stage and year."""
    from nepcube.pipeline import status

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
    if verify:
        lines.append("verified   every chunk is as it was written" if not found.damaged else "")
    print("\n".join(line for line in lines if line))  # noqa: T201
    if found.damaged:
        names = ", ".join(key for _, _, key in found.damaged[:5])
        more = f" and {len(found.damaged) - 5} more" if len(found.damaged) > 5 else ""
        raise NepcubeError(
            f"{out}: {len(found.damaged)} chunk(s) are missing or changed: {names}{more}.",
            "Run nepcube with the same recipe and output: it makes them again.",
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
    block: Block = None,
    quiet: Quiet = False,
    log: Log = None,
) -> None:
    """Compare two finished outputs: maps, tables and figures of B minus A."""
    from nepcube.pipeline import compare_runs

    with Teller(quiet=quiet, log=log) as teller:
        found = compare_runs(out_a, out_b, out, block=block, progress=teller.progress)
    print("\n".join(_comparison_lines(found)))  # noqa: T201


def _comparison_lines(found: Comparison) -> list[str]:
    lines = [
        f"recipe     {key}: {'absent' if one is None else one} in A, {'absent' if other is None else other} in B"
        for key, one, other in found.recipes
    ] or ["recipe     the recipes do not differ"]
    lines += [f"note       {note}" for note in found.notes]
    lines.append(
        f"mean NEP   A {found.mean_a:.6g}, B {found.mean_b:.6g}, B minus A {found.mean_difference:.6g} gC m-2 yr-1, "
        f"{found.years[0]}-{found.years[-1]}, where both have a value ({found.area_km2:.0f} km2)"
    )
    if found.area_only_a_km2 or found.area_only_b_km2:
        lines.append(
            f"area       a value in A only {found.area_only_a_km2:.0f} km2, in B only {found.area_only_b_km2:.0f} km2"
        )
    if found.sign_share == found.sign_share:
        lines.append(f"sign       the slope of NEP has another sign in B on {100 * found.sign_share:.2f} % of the area")
    return [*lines, *(str(path) for path in found.paths)]


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


def _print_fault(error: NepcubeError) -> None:
    print(f"error: {error.what}\n       {error.way_out}", file=sys.stderr)  # noqa: T201


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
        _print_fault(error)
        return 2
    traceback.print_exception(error)
    print(  # noqa: T201
        "error: this is a fault of nepcube, not of your recipe or data.\n"
        "       Please report it with the lines above and `nepcube --version`.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    main()
