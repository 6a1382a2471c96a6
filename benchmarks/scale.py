"""Peak memory and speed of the stages of a run by area, beside what ``nepcube check`` predicts.

Years and block size are held fixed. The inputs come from a reader that makes them where they are asked for
(closed_form.py), so no archive is written. The memory of the process tree is sampled 20 times a second. Each row is
printed and kept when it is done; run again with the same ``--work``, the script goes on where it was.
``python benchmarks/scale.py --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import measuring
from measuring import MIB, say

#: rows and columns of 1x: 64 times as many are 50.3 million
FULL = {"shape": (768, 1024), "years": (2001, 2020), "block": 512}
TINY = {"shape": (96, 128), "years": (2001, 2006), "block": 64}
STAGES = ("ingest", "analyse", "aggregate")
# row and column of the 500 m lattice around which areas grow: near 100 E, 35 N
CENTRE = -7792, 22263
HEADER = (
    "area", "cells", "stage", "RSS MiB", "to 1x", "predicted MiB", "RSS / predicted", "PSS MiB", "s", "s per Mpx-yr",
    "to 1x",
)  # fmt: skip


def main() -> None:
    args = arguments()
    if args.predict:
        predict(args)
        return
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    environment = install(work / "site")
    kept = Kept(work / "rows.jsonl")
    if not args.tiny and not (work / "compiled").exists():
        compile_all(work, environment)
    for workers in args.workers:
        for memory in args.memory:
            how = Way(workers, None if memory == "none" else memory, args.block, args.basis, args.tiny)
            print(f"\n### {how.told}\n\n{measuring.table(HEADER, ()).strip()}", flush=True)
            for times in args.times:
                for stage in STAGES:
                    row = measured(work, kept, how, times, stage, environment)
                    first = kept.get(how, args.times[0], stage) or row
                    print(f"| {' | '.join(line(row, first))} |", flush=True)
                if not args.keep:
                    shutil.rmtree(work / "out", ignore_errors=True)
                    (work / "out.key").unlink(missing_ok=True)
    print(f"\n{measuring.facts()}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", nargs="+", type=int, help="multiples of the smallest area (1 4 16 64)")
    parser.add_argument(
        "--workers", nargs="+", type=int, help="0 is as without --workers: threads of one process (0 2)"
    )
    parser.add_argument("--memory", nargs="+", help="budgets as --memory of nepcube takes them, or none (none 1GiB)")
    parser.add_argument("--block", type=int, help="cells a side of a unit of work (512)")
    parser.add_argument("--basis", default="annual", choices=("annual", "monthly"), help="of respiration (annual)")
    parser.add_argument("--work", help="where rows and outputs are kept (some 20 GB for 64x; outputs are removed)")
    parser.add_argument("--keep", action="store_true", help="keep the last output")
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--predict", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.times = args.times or ([1, 4] if args.tiny else [1, 4, 16, 64])
    args.workers = args.workers or ([0] if args.tiny else [0, 2])
    args.memory = args.memory or (["none"] if args.tiny else ["none", "1GiB"])
    args.block = args.block or (TINY if args.tiny else FULL)["block"]
    name = "scale-tiny" if args.tiny else "scale"
    args.work = args.work or str(Path(tempfile.gettempdir()) / "nepcube-benchmarks" / name)
    return args


class Way:
    """How a run is done."""

    def __init__(self, workers: int, memory: str | None, block: int, basis: str, tiny: bool) -> None:
        self.workers, self.memory, self.block, self.basis, self.tiny = workers, memory, block, basis, tiny

    @property
    def told(self) -> str:
        parts = [f"--workers {self.workers}" if self.workers else "threads of one process"]
        parts.append(f"--memory {self.memory}" if self.memory else "no --memory")
        first, last = self.world["years"]
        parts.append(f"blocks of {self.block}, {last - first + 1} years, {self.basis} respiration")
        return ", ".join(parts)

    @property
    def world(self) -> dict[str, Any]:
        return TINY if self.tiny else FULL

    @property
    def options(self) -> list[str]:
        out = ["--block", str(self.block)]
        out += ["--workers", str(self.workers)] if self.workers else []
        return out + (["--memory", self.memory] if self.memory else [])

    def key(self, times: int, stage: str) -> str:
        return f"{times}x {stage}, {self.told}"

    def shape(self, times: int) -> tuple[int, int]:
        side = times**0.5
        return round(self.world["shape"][0] * side), round(self.world["shape"][1] * side)


class Kept:
    """The rows that are done, in a file of JSON lines."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, dict[str, Any]] = {}
        if file.exists():
            for text in file.read_text().splitlines():
                try:
                    row = json.loads(text)
                except ValueError:
                    continue
                self.rows[row["key"]] = row
            # half a line of a run that was cut would spoil the next one
            file.write_text("".join(json.dumps(row) + "\n" for row in self.rows.values()))

    def get(self, how: Way, times: int, stage: str) -> dict[str, Any] | None:
        return self.rows.get(how.key(times, stage))

    def add(self, row: dict[str, Any]) -> None:
        self.rows[row["key"]] = row
        with open(self.file, "a") as out:
            out.write(json.dumps(row) + "\n")
            out.flush()
            os.fsync(out.fileno())


def install(site: Path) -> dict[str, str]:
    """Leave what an installer would leave of a package with the reader, and give the environment that finds it."""
    info = site / "closed_form-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: closed-form\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nepcube.sources]\nclosed-form = closed_form:ClosedForm\n")
    here = str(Path(__file__).resolve().parent)
    return {"PYTHONPATH": os.pathsep.join(p for p in (str(site), here, os.environ.get("PYTHONPATH", "")) if p)}


def compile_all(work: Path, environment: dict[str, str]) -> None:
    """Have numba's cache filled by a tiny run, so that the first row does not hold the compiler."""
    say("compiling ...")
    recipe, out = recipe_of(work, Way(1, None, TINY["block"], "annual", True), 1), work / "out"
    shutil.rmtree(out, ignore_errors=True)
    for stage in STAGES:
        measuring.run([sys.executable, "-m", "nepcube", stage, str(recipe), "-o", str(out), "--quiet"], **environment)
    shutil.rmtree(out, ignore_errors=True)
    (work / "out.key").unlink(missing_ok=True)
    (work / "compiled").touch()


def recipe_of(work: Path, how: Way, times: int) -> Path:
    """Write the recipe of an area; JSON is YAML."""
    rows, columns = how.shape(times)
    step = 500 / 111319.49079327358
    top, left = CENTRE[0] - rows // 2, CENTRE[1] - columns // 2
    edges = (left + 0.25, -(top + rows) + 0.25, left + columns - 0.25, -top - 0.25)
    (work / "archive").write_text("made where it is asked for\n")
    source = {"reader": "closed-form", "path": "archive"}
    recipe = {
        "recipe": 1,
        "name": f"scale-{times}",
        "period": list(how.world["years"]),
        "grid": {"bounds": [e * step for e in edges], "resolution": "500 m"},
        "sources": dict.fromkeys(("npp", "temperature", "precipitation", "radiation"), source),
        "respiration": {"basis": how.basis},
    }
    path = work / f"{how.basis}-{'tiny-' if how.tiny else ''}{times}.yaml"
    path.write_text(json.dumps(recipe, indent=1))
    return path


def measured(work: Path, kept: Kept, how: Way, times: int, stage: str, environment: dict[str, str]) -> dict[str, Any]:
    """Give a row, from what is kept or by running it."""
    done = kept.get(how, times, stage)
    if done is not None:
        return done
    recipe, out = recipe_of(work, how, times), work / "out"
    mark = work / "out.key"
    if stage == "ingest":
        mark.unlink(missing_ok=True)
        shutil.rmtree(out, ignore_errors=True)
    before = STAGES[: STAGES.index(stage)]
    if before and (not mark.exists() or mark.read_text() != how.key(times, before[-1])):
        # the output was removed since, or a stage is not done: they are made again
        for earlier in before:
            kept.rows.pop(how.key(times, earlier), None)
            measured(work, kept, how, times, earlier, environment)
    say(f"{how.key(times, stage)} ...")
    command = [sys.executable, "-m", "nepcube", stage, str(recipe), "-o", str(out), "--quiet", *how.options]
    used = measuring.run(command, sample=0.05, **environment)
    mark.write_text(how.key(times, stage))
    again = [sys.executable, __file__, "--predict", json.dumps([str(recipe), stage, vars(how)])]
    predicted = measuring.run(again, **environment).told["peak"]
    row = {
        "key": how.key(times, stage), "times": times, "shape": how.shape(times), "stage": stage,
        "years": how.world["years"][1] - how.world["years"][0] + 1, "predicted": predicted,
        "pss": used.tree[0], "rss": used.tree[1], "largest": used.peak, "seconds": used.seconds, "cpu": used.cpu,
    }  # fmt: skip
    kept.add(row)
    return row


def predict(args: argparse.Namespace) -> None:
    """Say what `check` predicts of a stage; in a process of its own."""
    from dask.utils import parse_bytes

    from nepcube.pipeline import Options, check

    recipe, stage, how = json.loads(args.predict)
    memory = parse_bytes(how["memory"]) if how["memory"] else None
    workers = how["workers"] or None
    plan = check(recipe, options=Options(workers=workers, memory=memory, block=how["block"])).plan
    assert plan is not None
    print(json.dumps({"peak": getattr(plan.memory, stage)}))


def line(row: dict[str, Any], first: dict[str, Any]) -> list[str]:
    """Give the cells of a row of the table."""
    per = [r["seconds"] / (r["shape"][0] * r["shape"][1] * r["years"] / 1e6) for r in (row, first)]
    return [
        f"{row['times']}x", f"{row['shape'][0]} x {row['shape'][1]}", row["stage"], f"{row['rss'] / MIB:.0f}",
        f"{row['rss'] / first['rss']:.2f}", f"{row['predicted'] / MIB:.0f}", f"{row['rss'] / row['predicted']:.2f}",
        f"{row['pss'] / MIB:.0f}", f"{row['seconds']:.1f}", f"{per[0]:.3f}", f"{per[0] / per[1]:.2f}",
    ]  # fmt: skip


if __name__ == "__main__":
    main()
