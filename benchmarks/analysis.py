"""What the statistics of a cell cost, beside what a user would pick instead, on a cube like that of the Headwaters.

floor: NEP, mean, CV, OLS with p and three partial correlations with p, from four variables of our Zarr into the maps of
another store; beside reading and writing the same with plain zarr and two threads, and no arithmetic. trend: slope and
CV beside ``cdo trend``, ``timmean`` and ``timstd`` on an uncompressed NetCDF, and beside GRASS's ``r.series``. ranks:
Theil-Sen and Mann-Kendall beside pymannkendall and scipy. partials: three partial correlations beside pingouin and a
batched ``numpy.linalg.inv``. compile: the first calls in a new process. ``python benchmarks/analysis.py --help``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import analysis_cells
import analysis_compile
import analysis_cube
import measuring
from measuring import say

FULL = {"years": 20, "resolution": "500 m", "pixels": 2400, "chunk": 512, "cells": 2000}
TINY = {"years": 8, "resolution": "10000 m", "pixels": 120, "chunk": 64, "cells": 20}
PARTS = {
    "floor": analysis_cube.floor,
    "trend": analysis_cube.trend,
    "ranks": analysis_cells.ranks,
    "partials": analysis_cells.partials,
    "compile": analysis_compile.first_calls,
}


def main() -> None:
    args = arguments()
    if args.child:
        print(json.dumps(analysis_compile.child(args.child)))
        return
    for part in args.parts:
        say(part)
        measuring.emptied(Path(args.work))
        print(PARTS[part](args), flush=True)
    print(measuring.facts())
    shutil.rmtree(args.work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "nepcube-benchmarks"
    parser.add_argument("--archive", help="where the generated arrays are kept (1 GB; some minutes once)")
    parser.add_argument("--work", help="where stores are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (5)")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work = args.work or str(temporary / "work-analysis")
    args.runs = args.runs or (1 if args.tiny else 5)
    args.world = dict(TINY if args.tiny else FULL)
    args.archive = args.archive or str(temporary / f"layout-{args.world['resolution'].replace(' ', '')}")
    return args


if __name__ == "__main__":
    main()
