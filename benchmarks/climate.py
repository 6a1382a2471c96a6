"""Climate of 0.1 and 0.05 degrees to 500 m: nepcube beside ``cdo remapnn``, ``remapbil`` and ``remapcon``.

Both read NetCDF and write what they make: nepcube its Zarr cube (compressed, with checksums and provenance), cdo
NetCDF (not compressed).
The grids are that of the Headwaters (one year and 20) and, for the peak of memory, that of China (one year).
``python benchmarks/climate.py --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import measuring
from measuring import MIB, Failed, Usage, median_of, ratio_of, say

OPERATORS = {"nearest": "remapnn", "bilinear": "remapbil", "conservative": "remapcon"}


def main() -> None:
    args = arguments()
    if args.child:
        CHILDREN[args.child](args)
        return
    measuring.need("cdo")
    work = measuring.emptied(Path(args.work))
    prepared = child(args, "prepare")()
    methods = [m for m in args.methods if m in prepared.told["methods"]]
    for absent in set(args.methods) - set(methods):
        say(f"nepcube has no method {absent}: left out")
    if "headwaters" in args.grids:
        speed(args, methods, prepared.told["headwaters"])
    if "china" in args.grids:
        memory(args, methods, prepared.told["china"])
    print(measuring.facts(["cdo", "-V"]))
    shutil.rmtree(work, ignore_errors=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", help="where inputs and results are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (5; for China a third)")
    parser.add_argument("--methods", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument("--grids", nargs="+", choices=("headwaters", "china"), default=["headwaters", "china"])
    parser.add_argument("--steps", nargs="+", type=float, help="degrees of the source (0.1 0.05)")
    parser.add_argument("--years", nargs="+", type=int, help="lengths of the series (1 20)")
    parser.add_argument("--spare", type=float, default=2, help="GiB of memory to leave: cdo is stopped before (2)")
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    parser.add_argument("--child", choices=("prepare", "ingest", "steady", "compare"), help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work = args.work or str(Path(tempfile.gettempdir()) / "nepcube-benchmarks" / "work-climate")
    args.runs = args.runs or (1 if args.tiny else 5)
    args.steps = args.steps or ([0.1] if args.tiny else [0.1, 0.05])
    args.years = args.years or ([2] if args.tiny else [1, 20])
    return args


def child(args: argparse.Namespace, what: str, **job: object) -> Callable[[], Usage]:
    """Give what runs a part of this script in a process of its own."""
    command = [sys.executable, __file__, "--work", args.work, "--child", what, "--job", json.dumps(job)]

    def start() -> Usage:
        if what != "compare":
            shutil.rmtree(Path(args.work, "cube"), ignore_errors=True)
        tiny = ["--tiny"] if args.tiny else []
        return measuring.run([*command, *tiny, "--years", *map(str, args.years), "--steps", *map(str, args.steps)])

    return start


def cdo(args: argparse.Namespace, method: str, grid: str, source: str) -> Callable[[], Usage]:
    """Give what runs cdo."""
    work = Path(args.work)
    command = [
        "cdo",
        "-s",
        "-P",
        "2",
        "-f",
        "nc4",
        f"{OPERATORS[method]},{work / grid}.grid",
        work / source,
        work / "cdo.nc",
    ]

    def start() -> Usage:
        (work / "cdo.nc").unlink(missing_ok=True)
        return measuring.run(command, spare=int(args.spare * 2**30))

    return start


def speed(args: argparse.Namespace, methods: list[str], shape: list[int]) -> None:
    rows = []
    for step in args.steps:
        for years in args.years:
            for method in methods:
                say(f"{step} deg, {years} years, {method}")
                source = f"field-headwaters-{step}-{years}.nc"
                job = {"grid": "headwaters", "source": source, "years": years, "method": method}

                def steady(job: dict = job) -> Usage:
                    used = child(args, "steady", **job)()
                    return Usage(used.told["seconds"], used.told["cpu"], used.peak)

                contestants = {
                    "nepcube": child(args, "ingest", **job),
                    "steady": steady,
                    "cdo": cdo(args, method, "headwaters", source),
                }
                found = measuring.alternate(contestants, args.runs, say)
                same = child(args, "compare", **job)().told
                seconds = {name: [u.seconds for u in used] for name, used in found.items()}
                cpu = {name: [u.cpu for u in used] for name, used in found.items()}
                rows.append(
                    (
                        f"{step} deg, {years} year{'s' if years > 1 else ''}, {method}",
                        *(median_of(seconds[name]) for name in ("cdo", "nepcube", "steady")),
                        ratio_of(seconds["nepcube"], seconds["cdo"]),
                        ratio_of(seconds["steady"], seconds["cdo"]),
                        ratio_of(cpu["steady"], cpu["cdo"]),
                        f"{same['largest']:.1e}, {same['other']:.4%}",
                    )
                )
    print(f"## Climate to {shape[0]} x {shape[1]} cells, {measuring.counted(args.runs)}\n")
    header = ("", "cdo s", "nepcube s", "steady s", "nepcube / cdo", "steady / cdo", "steady / cdo, CPU", "difference")
    print(measuring.table(header, rows))
    print(
        "\n`nepcube` is the whole process, `steady` the ingest in one that has ingested a year before. The difference "
        "is the largest (degC), and the share of cells that differ by more than 1e-3 or are missing in one alone.\n"
    )


def memory(args: argparse.Namespace, methods: list[str], shape: list[int]) -> None:
    ours, theirs = measuring.bare_interpreter(), measuring.run(["cdo", "-V"]).peak
    runs = max(1, args.runs // 3)
    rows = []
    for step in args.steps:
        for method in methods:
            say(f"China, {step} deg, {method}")
            source = f"field-china-{step}-1.nc"
            job = {"grid": "china", "source": source, "years": 1, "method": method}
            contestants = {"nepcube": child(args, "ingest", **job), "cdo": cdo(args, method, "china", source)}
            label = f"{step} deg, {method}"
            try:
                found = measuring.alternate(contestants, runs, say)
            except Failed as error:
                say(f"  {error}, at {error.peak / MIB:.0f} MiB")
                used = contestants["nepcube"]()
                b, a = (error.peak - theirs) / MIB, (used.peak - ours) / MIB
                rows.append((label, f"> {b:.0f}, stopped", f"{a:.0f}", f"< {a / b:.3f}", "", f"{used.seconds:.2f}"))
                continue
            a = [(u.peak - ours) / MIB for u in found["nepcube"]]
            b = [(u.peak - theirs) / MIB for u in found["cdo"]]
            rows.append(
                (
                    label,
                    median_of(b, 0),
                    median_of(a, 0),
                    median_of([x / y for x, y in zip(a, b, strict=True)], 3),
                    median_of(u.seconds for u in found["cdo"]),
                    median_of(u.seconds for u in found["nepcube"]),
                )
            )
    print(f"## Climate to {shape[0]} x {shape[1]} cells, one year, {measuring.counted(runs)}\n")
    header = ("", "cdo peak MiB", "nepcube peak MiB", "nepcube / cdo", "cdo s", "nepcube s")
    print(measuring.table(header, rows))
    print(
        f"\nPeaks above a bare interpreter's ({ours / MIB:.0f} MiB) and above that of `cdo -V` ({theirs / MIB:.0f} "
        "MiB); seconds are those of whole processes.\n"
    )


# what runs in processes of its own


def world(args: argparse.Namespace, name: str) -> tuple[tuple[float, float, float, float], str]:
    import worlds

    bounds = {"headwaters": worlds.HEADWATERS, "china": worlds.CHINA}[name]
    return bounds, ("10000 m" if name == "headwaters" else "40000 m") if args.tiny else "500 m"


def prepare(args: argparse.Namespace) -> None:
    import worlds

    from nepcube.harmonise.resampling import METHODS

    work = Path(args.work)
    told: dict[str, object] = {"methods": list(METHODS)}
    for name, lengths in (("headwaters", args.years), ("china", [1])):
        bounds, resolution = world(args, name)
        told[name] = worlds.write_cdo_grid(work / f"{name}.grid", bounds, resolution)
        for step in args.steps:
            for years in lengths:
                worlds.write_field(work / f"field-{name}-{step}-{years}.nc", step, (2001, 2000 + years), bounds)
    print(json.dumps(told))


def recipe(args: argparse.Namespace):
    import worlds

    job = json.loads(args.job)
    bounds, resolution = world(args, job["grid"])
    source = {
        "reader": "generic",
        "path": os.path.join(args.work, job["source"]),
        "time": "year",
    }
    period = (2001, 2000 + job["years"])
    return worlds.recipe_of({"temperature": source}, period, bounds, resolution, method=job["method"])


def ingest(args: argparse.Namespace) -> None:
    import worlds

    worlds.ingest(recipe(args), f"{args.work}/cube/out")
    print(json.dumps({"peak": measuring.peak_of_this_process()}))


def steady(args: argparse.Namespace) -> None:
    """Ingest one year first, so that everything is imported and compiled, then the whole."""
    import worlds

    whole = recipe(args)
    worlds.ingest(whole.model_copy(update={"period": (2001, 2001)}), f"{args.work}/cube/warm")
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    worlds.ingest(whole, f"{args.work}/cube/out")
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "cpu": cpu}))


def compare(args: argparse.Namespace) -> None:
    """Tell how far the two results lie apart."""
    import numpy as np
    import xarray as xr

    import nepcube

    a = nepcube.open_cube(f"{args.work}/cube/out")["temperature"]
    largest, other = 0.0, 0
    with xr.open_dataset(Path(args.work, "cdo.nc"), engine="h5netcdf") as file:
        for k in range(a.sizes["time"]):
            x, y = a[k].values, file["temperature"][k].values
            apart = np.abs(x - y)
            largest = max(largest, float(np.nanmax(apart)))
            other += int(((apart > 1e-3) | (np.isnan(x) != np.isnan(y))).sum())
    print(json.dumps({"largest": largest, "other": other / a.size}))


CHILDREN = {"prepare": prepare, "ingest": ingest, "steady": steady, "compare": compare}

if __name__ == "__main__":
    main()
