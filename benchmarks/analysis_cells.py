"""The statistics of one cell on one core, beside other packages; a part of ``analysis.py``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import measuring
from layout_world import timed
from measuring import Usage, median_of, ratio_of, say

# cells of ours for each cell of a rival, which takes as long
MANY = 300


def _series(args: argparse.Namespace, cells: int) -> Any:
    import numpy as np

    rng = np.random.default_rng(1)
    years = args.world["years"]
    trend = np.linspace(0.0, 20.0, years)[:, None] * rng.normal(size=cells)
    return (100.0 + trend + rng.normal(0.0, 10.0, (years, cells))).astype("float32")


def _labelled(values: Any, name: str) -> Any:
    import numpy as np
    import xarray as xr

    years = np.array([f"{2001 + k}-01-01" for k in range(len(values))], "datetime64[ns]")
    side = values.shape[1] // MANY
    return xr.DataArray(values.reshape(len(values), -1, side), {"time": years}, ("time", "y", "x"), name)


def ranks(args: argparse.Namespace) -> str:
    """Theil-Sen and Mann-Kendall of a cell."""
    import numpy as np
    import pymannkendall
    import scipy.stats

    from nepcube import stats

    few = args.world["cells"]
    many = few * MANY
    values = _series(args, many)
    labelled = _labelled(values, "nep")
    time = np.arange(len(values), dtype=float)
    rows = values[:, :few].T.astype(float)

    def both() -> None:
        stats.theil_sen(labelled)
        stats.mann_kendall(labelled)

    contestants: dict[str, tuple[int, Callable[[], Any]]] = {
        "nepcube: Theil-Sen with its interval and Mann-Kendall": (many, both),
        "pymannkendall.original_test (both of them)": (few, lambda: [pymannkendall.original_test(r) for r in rows]),
        "scipy.stats.theilslopes (the slope and its interval)": (
            few,
            lambda: [scipy.stats.theilslopes(r, time) for r in rows],
        ),
    }
    return _told("## Theil-Sen and Mann-Kendall", args, contestants)


def partials(args: argparse.Namespace) -> str:
    """Three partial correlations of a cell."""
    import numpy as np
    import pandas as pd
    import pingouin
    import scipy.stats

    from nepcube import stats

    few = max(args.world["cells"] // 10, 4)
    many = few * MANY * 10
    names = ("temperature", "precipitation", "radiation")
    raw = {n: _series(args, many) for n in ("nep", *names)}
    rng = np.random.default_rng(2)
    for n in names:
        raw[n] = (raw[n] + rng.normal(0.0, 5.0, raw[n].shape)).astype("float32")
    labelled = {n: _labelled(v, n) for n, v in raw.items()}
    drivers = {n: labelled[n] for n in names}
    frames = [pd.DataFrame({n: v[:, k].astype(float) for n, v in raw.items()}) for k in range(few)]
    some = many // 10

    def batched() -> Any:
        x = np.stack([raw[n][:, :some].astype(float) for n in ("nep", *names)], axis=-1).swapaxes(0, 1)
        x -= x.mean(axis=1, keepdims=True)
        inverse = np.linalg.inv(x.swapaxes(1, 2) @ x)
        r = np.stack([-inverse[:, 0, k] / np.sqrt(inverse[:, 0, 0] * inverse[:, k, k]) for k in (1, 2, 3)])
        dof = len(raw["nep"]) - 4
        return r, 2 * scipy.stats.t.sf(np.abs(r) * np.sqrt(dof / (1 - r**2)), dof)

    def pingouins() -> None:
        for frame in frames:
            for n in names:
                pingouin.partial_corr(frame, x=n, y="nep", covar=[m for m in names if m != n])

    contestants: dict[str, tuple[int, Callable[[], Any]]] = {
        "nepcube, with p": (many, lambda: stats.partial_correlations(labelled["nep"], drivers)),
        "batched numpy.linalg.inv, p of scipy": (some, batched),
        "pingouin.partial_corr, three times": (few, pingouins),
    }
    return _told("## Three partial correlations", args, contestants)


def _told(title: str, args: argparse.Namespace, contestants: dict[str, tuple[int, Callable[[], Any]]]) -> str:
    for _, function in list(contestants.values())[:1]:
        function()

    def start(function: Callable[[], Any]) -> Callable[[], Usage]:
        return lambda: timed(function)

    found = measuring.alternate({n: start(f) for n, (_, f) in contestants.items()}, args.runs, say)
    micro = {n: [1e6 * u.seconds / contestants[n][0] for u in used] for n, used in found.items()}
    ours = next(iter(micro.values()))
    rows = [(n, contestants[n][0], median_of(v, 2), ratio_of(v, ours)) for n, v in micro.items()]
    header = ("way", "cells", "µs a cell", "to nepcube")
    told = f"{args.world['years']} years, one thread, {measuring.counted(args.runs)}"
    return f"{title}, {told}\n\n{measuring.table(header, rows)}\n"
