"""Peak memory of ``nepcube ingest`` on 1, 4 and 16 times the area, which should be one and the same.

Generated MOD17 tiles and annual climate of 0.1 degrees, brought to grids of one resolution around one point. The memory
of the process tree is sampled 20 times a second. ``python benchmarks/memory.py --help``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import measuring
from measuring import MIB, median_of, ratio_of, say

FULL = {"pixels": 2400, "years": (2001, 2004), "resolution": "500 m", "block": 512}
TINY = {"pixels": 96, "years": (2001, 2003), "resolution": "10000 m", "block": 64}
CENTRE, SIZE = (96.0, 34.8), (6.5, 2.35)
TIMES = (1, 4, 16)


def main() -> None:
    args = arguments()
    if args.child:
        prepare(args)
        return
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    me = [sys.executable, __file__, "--archive", args.archive, "--work", args.work, *(["--tiny"] if args.tiny else [])]
    say(f"archive: {args.archive}")
    shapes = measuring.run([*me, "--child"]).told["shapes"]
    bare = measuring.bare_interpreter()
    parts = []
    for workers in args.workers:
        ways = ["--workers", str(workers)] if workers > 1 else []
        contestants = {}
        for times in TIMES:

            def start(times: int = times, ways: list[str] = ways) -> measuring.Usage:
                shutil.rmtree(work / "out", ignore_errors=True)
                command = [
                    "-m",
                    "nepcube",
                    "ingest",
                    str(work / f"area-{times}.yaml"),
                    "-o",
                    str(work / "out"),
                    "--quiet",
                ]
                return measuring.run([sys.executable, *command, *ways], sample=0.05)

            contestants[f"{times}"] = start
        found = measuring.alternate(contestants, args.runs, say)
        one = [u.tree[1] for u in found["1"]]
        rows = [
            (
                f"{times}x",
                "{} x {}".format(*shapes[times]),
                median_of((u.tree[1] / MIB for u in used), 0),
                ratio_of([u.tree[1] for u in used], one),
                median_of((u.tree[0] / MIB for u in used), 0),
                median_of((u.peak / MIB for u in used), 0),
                median_of(u.seconds for u in used),
            )
            for times, used in found.items()
        ]
        how = f"{workers} processes" if workers > 1 else "threads of one process"
        header = ("area", "cells", "RSS MiB", "to 1x", "PSS MiB", "largest process MiB", "s")
        parts.append(f"### {how}\n\n{measuring.table(header, rows)}\n")
    world = TINY if args.tiny else FULL
    first, last = world["years"]
    print(
        f"## Peak memory of `nepcube ingest`, {last - first + 1} years, blocks of {world['block']}, "
        f"{measuring.counted(args.runs)}\n"
    )
    print("\n".join(parts))
    print(f"RSS and PSS are the highest sums of the process tree. A bare interpreter takes {bare / MIB:.0f} MiB.\n")
    print(measuring.facts())
    shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "nepcube-benchmarks"
    parser.add_argument("--archive", help="where the generated tiles and climate are kept (0.15 GB; a minute once)")
    parser.add_argument("--work", help="where results are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (3)")
    parser.add_argument("--workers", nargs="+", type=int, help="1 for threads of one process, more for processes (1 2)")
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.archive = args.archive or str(temporary / ("memory-tiny" if args.tiny else "memory"))
    args.work = args.work or str(temporary / "work-memory")
    args.runs = args.runs or (1 if args.tiny else 3)
    args.workers = args.workers or ([1] if args.tiny else [1, 2])
    return args


def prepare(args: argparse.Namespace) -> None:
    """Write the tiles and the climate of the largest area, and the recipes; in a process of its own."""
    import worlds
    import yaml

    from nepcube.demo import mod17
    from nepcube.grid import target_grid
    from nepcube.sources import reader

    world = TINY if args.tiny else FULL
    years = world["years"]
    archive = Path(args.archive)
    (archive / "mod17").mkdir(parents=True, exist_ok=True)
    for name in reader("mod17a3hgf").expected(bounds_of(TIMES[-1])):
        tile = int(name[1:3]), int(name[4:6])
        mod17.write_years(
            archive / "mod17", "headwaters", 1, world["pixels"], years, tile, list(range(years[0], years[1] + 1))
        )
    climate = {q: archive / f"{q}.nc" for q in ("temperature", "precipitation")}
    for quantity, path in climate.items():
        if not path.exists():
            worlds.write_field(path, 0.1, years, bounds_of(TIMES[-1]), quantity)
    shapes = {}
    for times in TIMES:
        bounds = bounds_of(times)
        recipe = {
            "recipe": 1,
            "name": f"area-{times}",
            "period": list(years),
            "grid": {"bounds": list(bounds), "resolution": world["resolution"]},
            "sources": {
                "npp": {"reader": "mod17a3hgf", "path": str(archive.resolve() / "mod17" / "*.hdf")},
                **{q: {"reader": "generic", "path": str(p.resolve()), "time": "year"} for q, p in climate.items()},
            },
            "respiration": {"basis": "annual"},
            "blocks": world["block"],
        }
        Path(args.work, f"area-{times}.yaml").write_text(yaml.safe_dump(recipe))
        shapes[times] = [int(n) for n in target_grid(bounds, world["resolution"]).shape]
    print(json.dumps({"shapes": shapes}))


def bounds_of(times: int) -> tuple[float, float, float, float]:
    """Give west, south, east and north of `times` the smallest area."""
    side = times**0.5 / 2
    (x, y), (width, height) = CENTRE, SIZE
    return x - width * side, y - height * side, x + width * side, y + height * side


if __name__ == "__main__":
    main()
