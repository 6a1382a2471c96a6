"""20 years of two MOD17A3HGF tiles to the 500 m grid of the Headwaters: nepcube beside ``gdalwarp -r near``.

nepcube gives NPP (float32) and its flags (uint8), compressed, with a ledger of checksums and hashes of the inputs;
gdalwarp gives the raw integers, one GeoTIFF a year, uncompressed. ``python benchmarks/mod17.py --help``.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import measuring
from measuring import MIB, Usage, median_of, ratio_of, say

FULL = {"pixels": 2400, "years": (2001, 2020), "resolution": "500 m"}
TINY = {"pixels": 96, "years": (2001, 2003), "resolution": "10000 m"}
FIELD = "MOD_Grid_MOD17A3:Npp_500m"


def main() -> None:
    args = arguments()
    if args.child:
        CHILDREN[args.child](args)
        return
    measuring.need("gdalwarp")
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    me = [sys.executable, __file__, "--archive", args.archive, "--work", args.work, *(["--tiny"] if args.tiny else [])]
    say(f"archive: {args.archive}")
    grid = measuring.run([*me, "--child", "prepare"]).told
    say(f"grid: {grid['rows']} x {grid['columns']}, {len(grid['tiles'])} years")

    def nepcube() -> Usage:
        measuring.emptied(work / "cube")
        return measuring.run([*me, "--child", "ingest"])

    def steady() -> Usage:
        measuring.emptied(work / "cube")
        used = measuring.run([*me, "--child", "steady"])
        return Usage(used.told["seconds"], used.told["cpu"], used.peak)

    def gdalwarp(*options: str, at_once: int = 1) -> Usage:
        folder = measuring.emptied(work / "gdal")
        commands = [warp(grid, year, folder, 2 // at_once, options) for year in grid["tiles"]]
        if at_once == 1:
            return measuring.run(*commands)
        lines = "\0".join(word for command in commands for word in command[1:])
        (work / "words").write_text(lines)
        n = str(len(commands[0]) - 1)
        return measuring.run(["xargs", "-0", "-a", str(work / "words"), "-n", n, "-P", str(at_once), "gdalwarp"])

    rivals = {"nepcube": nepcube, "nepcube, steady": steady, "gdalwarp": gdalwarp}
    found = measuring.alternate(rivals, args.runs, say)
    nepcube()
    gdalwarp()
    same = measuring.run([*me, "--child", "compare"]).told
    extra = {}
    for name, options in (("zstd", ("-co", "COMPRESS=ZSTD")), ("deflate", ("-co", "COMPRESS=DEFLATE"))):
        say(f"  once: gdalwarp, {name}")
        extra[f"gdalwarp, {name} (one run)"] = [gdalwarp(*options)]
        same[f"bytes {name}"] = size(work / "gdal")
    say("  once: gdalwarp, two years at a time")
    extra["gdalwarp, two years at a time, a thread each (one run)"] = [gdalwarp(at_once=2)]

    theirs = found["gdalwarp"]
    rows = []
    for name, used in (found | extra).items():
        paired = len(used) == len(theirs) and used is not theirs and name in found
        rows.append(
            (
                name,
                median_of(u.seconds for u in used),
                ratio_of([u.seconds for u in used], [u.seconds for u in theirs]) if paired else "",
                median_of(u.cpu for u in used),
                ratio_of([u.cpu for u in used], [u.cpu for u in theirs]) if paired else "",
                median_of((u.peak / MIB for u in used), 0),
            )
        )
    print(
        f"## MOD17: {len(grid['tiles'])} years x 2 tiles to {grid['rows']} x {grid['columns']} cells, "
        f"{measuring.counted(args.runs)}\n"
    )
    print(measuring.table(("", "s", "ratio", "CPU s", "ratio of CPU", "peak MiB"), rows))
    print(
        f"\nRatios are those of pairs, to `gdalwarp`. Cells with the same value in both: {same['equal']:.4%}. "
        f"Written: nepcube {same['cube'] / MIB:.0f} MiB (NPP and flags), gdalwarp {same['gdal'] / MIB:.0f} MiB "
        f"(zstd {same['bytes zstd'] / MIB:.0f}, deflate {same['bytes deflate'] / MIB:.0f}).\n"
    )
    print(measuring.facts(["gdalwarp", "--version"]))
    shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "nepcube-benchmarks"
    parser.add_argument("--archive", help="where the generated tiles are kept (0.3 GB; 90 s once)")
    parser.add_argument("--work", help="where results are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (5)")
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--child", choices=("prepare", "ingest", "steady", "compare"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.archive = args.archive or str(temporary / ("mod17-tiny" if args.tiny else "mod17"))
    args.work = args.work or str(temporary / "work-mod17")
    args.runs = args.runs or (1 if args.tiny else 5)
    return args


def warp(grid: dict, year: str, folder: Path, threads: int, options: tuple[str, ...]) -> list[str]:
    """Give the command that brings the tiles of one year to the grid."""
    return [
        "gdalwarp", "-q", "-r", "near", "-multi", "-wo", f"NUM_THREADS={threads}", "-t_srs", "EPSG:4326",
        "-te", *map(repr, grid["bounds"]), "-ts", str(grid["columns"]), str(grid["rows"]), "-ot", "Int16", *options,
        *(f'HDF4_EOS:EOS_GRID:"{path}":{FIELD}' for path in grid["tiles"][year]), str(folder / f"{year}.tif"),
    ]  # fmt: skip


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


# what runs in processes of its own


def recipe(args: argparse.Namespace, last: int | None = None):
    import worlds

    world = TINY if args.tiny else FULL
    first, end = world["years"]
    sources = {"npp": {"reader": "mod17a3hgf", "path": f"{args.archive}/mod17/*.hdf"}}
    return worlds.recipe_of(sources, (first, last or end), worlds.HEADWATERS, world["resolution"])


def prepare(args: argparse.Namespace) -> None:
    import worlds

    from nepcube.demo import generate
    from nepcube.grid import target_grid

    world = TINY if args.tiny else FULL
    generate(Path(args.archive), seed=1, pixels=world["pixels"], years=world["years"])
    grid = target_grid(worlds.HEADWATERS, world["resolution"])
    box = grid.boundingbox
    tiles = {
        str(year): sorted(str(p) for p in Path(args.archive, "mod17").glob(f"*.A{year}001.*.hdf"))
        for year in range(world["years"][0], world["years"][1] + 1)
    }
    rows, columns = (int(n) for n in grid.shape)
    bounds = [box.left, box.bottom, box.right, box.top]
    print(json.dumps({"rows": rows, "columns": columns, "bounds": bounds, "tiles": tiles}))


def ingest(args: argparse.Namespace) -> None:
    import worlds

    worlds.ingest(recipe(args), f"{args.work}/cube/out")


def steady(args: argparse.Namespace) -> None:
    """Ingest one year first, so that everything is imported and compiled, then the whole."""
    import worlds

    whole = recipe(args)
    worlds.ingest(recipe(args, last=whole.period[0]), f"{args.work}/cube/warm")
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    worlds.ingest(whole, f"{args.work}/cube/out")
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


def compare(args: argparse.Namespace) -> None:
    """Tell the share of cells in which both hold the same, and the bytes that they wrote."""
    import numpy as np
    import rasterio

    import nepcube

    cube = nepcube.open_cube(f"{args.work}/cube/out")
    equal = 0
    for step, year in enumerate(cube["time"].dt.year.values):
        with rasterio.open(f"{args.work}/gdal/{year}.tif") as file:
            raw = file.read(1)
        npp, flag = cube["npp"][step].values, cube["npp_flag"][step].values
        code = np.where(flag == 0, np.rint(np.nan_to_num(npp) * 10), 32760 + flag.astype(int))
        equal += int((np.where(flag == 255, 32767, code) == raw).sum())
    found = {
        "equal": equal / cube["npp"].size,
        "cube": size(Path(args.work, "cube/out")),
        "gdal": size(Path(args.work, "gdal")),
    }
    print(json.dumps(found))


CHILDREN = {"prepare": prepare, "ingest": ingest, "steady": steady, "compare": compare}

if __name__ == "__main__":
    main()
