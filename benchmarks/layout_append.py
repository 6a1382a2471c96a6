"""A year more: sums that were stored, or the years read again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measuring
from layout_world import mib, size_of, timed, world, write
from measuring import median_of, ratio_of, say


def append(args: argparse.Namespace) -> str:
    """A year more: sums that were stored, or the years read again."""
    import numpy as np

    grid, arrays = world(args)
    root = measuring.emptied(Path(args.work) / "sums")
    names = ("npp", "temperature", "precipitation", "radiation")
    for name in names:
        write(root / f"{name}.zarr", grid, arrays[name], range(len(arrays[name])), 1, 512 // args.world["scale"], None)
    side = args.world["block"] // 2
    _store_sums(args, grid, root, arrays, names, side)
    # what is compiled at its first call is not counted
    _reread(args, grid, root, names, side)
    _ranks(grid, root, side)
    found = measuring.alternate(
        {
            "years read again": lambda: timed(lambda: _reread(args, grid, root, names, side)),
            "sums merged": lambda: timed(lambda: _merged(args, grid, root, names, side)),
            "Theil-Sen and Mann-Kendall, which need the years": lambda: timed(lambda: _ranks(grid, root, side)),
        },
        args.runs,
        say,
    )
    base = [u.seconds for u in found["years read again"]]
    rows = [
        (
            name,
            median_of(u.seconds for u in used),
            ratio_of([u.seconds for u in used], base),
            median_of(u.cpu for u in used),
        )
        for name, used in found.items()
    ]
    cube = sum(size_of(root / f"{n}.zarr" / "v")[1] for n in names)
    sums = size_of(root / "sums.zarr")[1]
    fresh, merged = (np.load(root / f"{n}.npy") for n in ("fresh", "merged"))
    same = np.isnan(fresh) == np.isnan(merged)
    equal = (fresh == merged) | (np.isnan(fresh) & np.isnan(merged))
    off = np.nanmax(np.abs(fresh.astype(float) - merged)[..., same.all(axis=0)])
    told = f"{len(arrays['npp'])} years x {grid.shape[0]} x {grid.shape[1]} cells, {measuring.counted(args.runs)}"
    return (
        f"## A year more, {told}\n\n"
        + measuring.table(("way", "s", "ratio", "CPU s"), rows)
        + "\n\nMean, CV, OLS slope and three partial correlations. "
        f"The cube's four variables take {mib(cube)} MiB, the {_SUMS} sums in float64 {mib(sums)} MiB. "
        f"Numbers that are equal to the last bit: {100 * equal.mean():.1f} %; the largest difference is {off:.2g}; "
        f"{100 * (1 - same.mean()):.3f} % are a number in one and none in the other.\n"
    )


# n, sums of y, t and three drivers, and the products of each pair
_SUMS = 1 + 5 + 15


def _read(root: Path, names: tuple[str, ...], window: Any, years: slice = slice(None)) -> dict[str, Any]:
    from nepcube.store import read_block

    return {n: read_block(root / f"{n}.zarr", ["v"], window, years)["v"] for n in names}


def _columns(values: Mapping[str, Any], names: tuple[str, ...], first: int) -> list[Any]:
    import numpy as np

    shape = values[names[0]].shape
    times = np.broadcast_to(np.arange(first, first + shape[0], dtype=float)[:, None, None], shape)
    return [np.asarray(values[names[0]], float), times, *(np.asarray(values[n], float) for n in names[1:])]


def _sums_of(columns: list[Any]) -> Any:
    import numpy as np

    good = ~np.isnan(columns[0])
    filled = [np.where(good, c, 0.0) for c in columns]
    out = [good.sum(axis=0, dtype=float), *(c.sum(axis=0) for c in filled)]
    out += [(filled[a] * filled[b]).sum(axis=0) for a in range(5) for b in range(a, 5)]
    return np.stack(out)


def _store_sums(
    args: argparse.Namespace, grid: Any, root: Path, arrays: Mapping[str, Any], names: tuple[str, ...], side: int
) -> None:
    import xarray as xr

    from nepcube.grid import windows
    from nepcube.store import Layout, Store

    store = Store(root / "sums.zarr", grid, 512 // args.world["scale"])
    store.create([Layout(f"s{k}", "float64", {}, yearly=False) for k in range(_SUMS)], None)
    out = Store(root / "maps.zarr", grid, 512 // args.world["scale"])
    out.create([Layout(f"m{k}", "float32", {}, yearly=False) for k in range(6)], None)
    for window in windows(grid, side):
        values = {n: arrays[n][(slice(0, len(arrays[n]) - 1), *window.slices)] for n in names}
        sums = _sums_of(_columns(values, names, 0))
        store.write({f"s{k}": xr.DataArray(s) for k, s in enumerate(sums)}, window)


def _result(
    args: argparse.Namespace, grid: Any, root: Path, name: str, compute: Callable[[Any], Any], side: int
) -> None:
    import numpy as np
    import xarray as xr

    from nepcube.grid import windows
    from nepcube.store import Store

    store = Store(root / "maps.zarr", grid, 512 // args.world["scale"])
    kept = np.empty((6, *grid.shape), "float32")
    for window in windows(grid, side):
        maps = compute(window)
        store.write({f"m{k}": xr.DataArray(m) for k, m in enumerate(maps)}, window)
        for k, m in enumerate(maps):
            kept[k][window.slices] = m
    np.save(root / f"{name}.npy", kept)


def _reread(args: argparse.Namespace, grid: Any, root: Path, names: tuple[str, ...], side: int) -> None:
    import xarray as xr

    from nepcube import stats

    def compute(window: Any) -> list[Any]:
        v = {n: xr.DataArray(a, dims=("time", "y", "x")) for n, a in _read(root, names, window).items()}
        y = v["npp"]
        out = [
            stats.mean(y, min_years=3)["mean"],
            stats.coefficient_of_variation(y, ddof=0, min_mean=1.0, min_years=3)["cv"],
            stats.linear_trend(y, min_years=3)["slope"],
        ]
        for d in names[1:]:
            controls = [v[c] for c in names[1:] if c != d]
            out.append(stats.partial_correlation(y, v[d], controls, min_years=3)["r"])
        return [o.values for o in out]

    _result(args, grid, root, "fresh", compute, side)


def _merged(args: argparse.Namespace, grid: Any, root: Path, names: tuple[str, ...], side: int) -> None:
    import numpy as np
    import xarray as xr

    from nepcube.store import Store, read_block

    last = args.world["years"] - 1
    store = Store(root / "sums.zarr", grid, 512 // args.world["scale"])
    keys = [f"s{k}" for k in range(_SUMS)]

    def compute(window: Any) -> list[Any]:
        old = np.stack(list(read_block(store.path, keys, window).values()))
        total = old + _sums_of(_columns(_read(root, names, window, slice(last, last + 1)), names, last))
        # the new sums are written, too; those of before are kept here, so that every run does the same
        store.write({k: xr.DataArray(s) for k, s in zip(keys, old, strict=True)}, window)
        with np.errstate(all="ignore"):
            return _from_sums(total)

    _result(args, grid, root, "merged", compute, side)


def _from_sums(total: Any) -> list[Any]:
    import numpy as np

    n = np.where(total[0] >= 3, total[0], np.nan)
    mean = total[1:6] / n
    pairs = iter(total[6:])
    cross = np.empty((5, 5, *n.shape))
    for a in range(5):
        for b in range(a, 5):
            cross[a, b] = cross[b, a] = next(pairs) - n * mean[a] * mean[b]
    cv = np.sqrt(np.maximum(cross[0, 0], 0) / n) / mean[0]
    out = [mean[0], np.where(np.abs(mean[0]) >= 1.0, cv, np.nan), cross[0, 1] / cross[1, 1]]
    chosen = np.moveaxis(cross[np.ix_([0, 2, 3, 4], [0, 2, 3, 4])], (0, 1), (-2, -1))
    whole = np.isfinite(chosen).all(axis=(-2, -1)) & (np.abs(np.linalg.det(np.nan_to_num(chosen))) > 0)
    inverse = np.full(chosen.shape, np.nan)
    inverse[whole] = np.linalg.inv(chosen[whole])
    out += [-inverse[..., 0, k] / np.sqrt(inverse[..., 0, 0] * inverse[..., k, k]) for k in (1, 2, 3)]
    return [o.astype("float32") for o in out]


def _ranks(grid: Any, root: Path, side: int) -> None:
    import xarray as xr

    from nepcube import stats
    from nepcube.grid import windows

    for window in windows(grid, side):
        y = xr.DataArray(_read(root, ("npp",), window)["npp"], dims=("time", "y", "x"))
        stats.theil_sen(y, min_years=3)
        for method in ("original", "3pw"):
            stats.mann_kendall(y, method=method, min_years=3)
