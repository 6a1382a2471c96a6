"""The first calls in a new process, with compiled kernels kept and without; a part of ``analysis.py``."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import measuring
from measuring import median_of, say

CALLS = ("linear_trend", "partial_correlations", "the statistics of a recipe")


def first_calls(args: argparse.Namespace) -> str:
    """Seconds of the first call after the import of nepcube."""
    cache = Path(args.work) / "numba"
    main = str(Path(__file__).with_name("analysis.py"))
    rows = []
    for call in CALLS:
        times: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(args.runs):
            shutil.rmtree(cache, ignore_errors=True)
            cache.mkdir(parents=True)
            for state in times:
                told = measuring.run([sys.executable, main, "--child", call], NUMBA_CACHE_DIR=str(cache)).told
                times[state].append(told["seconds"])
                assert state == "cold" or not told["compiled"], "a kernel was compiled that was kept"
        say(f"  {call}: {times}")
        rows.append((call, median_of(times["cold"]), median_of(times["warm"])))
    header = ("first call", "s, nothing compiled", "s, kernels kept")
    return f"## First call in a new process, {measuring.counted(args.runs)}\n\n{measuring.table(header, rows)}\n"


def child(call: str) -> dict[str, Any]:
    """Import, then call once, and again on another chunk."""
    import numpy as np
    import xarray as xr
    from numba.core import event

    import nepcube as nc

    rng = np.random.default_rng(1)
    time_ = np.array([f"{y}-01-01" for y in range(2001, 2021)], "datetime64[ns]")

    def series(rows: int) -> Any:
        return xr.DataArray(rng.normal(9, 1, (20, rows, 9)).astype("float32"), {"time": time_}, ("time", "y", "x"))

    def once(rows: int) -> None:
        nep = series(rows)
        drivers = {n: series(rows) for n in ("temperature", "precipitation", "radiation")}
        if call != "partial_correlations":
            nc.linear_trend(nep)
        if call != "linear_trend":
            nc.partial_correlations(nep, drivers)
        if call == CALLS[-1]:
            nc.theil_sen(nep)
            nc.mann_kendall(nep)
            nc.mann_kendall(nep, method="3pw")
            nc.coefficient_of_variation(nep)

    with event.install_recorder("numba:compile") as recorder:
        start = time.perf_counter()
        once(3)
        seconds = time.perf_counter() - start
        compiled = len(recorder.buffer)
        once(7)
        assert len(recorder.buffer) == compiled, "a kernel was compiled again for another chunk"
    return {"seconds": seconds, "compiled": compiled}
