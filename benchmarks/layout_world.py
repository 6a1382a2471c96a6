"""The cube that the stores are measured with, and how it is written; imported by the parts of ``layout.py``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measuring import MIB, Usage, median_of, say


def timed(function: Callable[[], Any]) -> Usage:
    """Run a function here: seconds, CPU seconds of all threads, and what it gave."""
    cpu, start = time.process_time(), time.perf_counter()
    told = function()
    used = time.perf_counter() - start, time.process_time() - cpu
    return Usage(*used, 0, told if isinstance(told, dict) else {})


def ms(used: list[Usage], times: int = 1) -> str:
    return median_of((1000 * u.seconds / times for u in used), 1)


def mib(n: float) -> str:
    return f"{n / MIB:.1f}"


def size_of(path: Path) -> tuple[int, int]:
    """Give files and bytes below a folder, metadata left out."""
    found = [p.stat().st_size for p in path.rglob("*") if p.is_file() and p.name != "zarr.json"]
    return len(found), sum(found)


def world(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Give the grid and its arrays, (year, y, x), made once and mapped into memory."""
    import numpy as np
    import worlds

    from nepcube.grid import target_grid

    grid = target_grid(worlds.HEADWATERS, args.world["resolution"])
    folder = Path(args.archive)
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _generate(args, grid, folder)
        (folder / "done").touch()
    return grid, {p.stem: np.load(p, mmap_mode="r") for p in sorted(folder.glob("*.npy"))}


def _generate(args: argparse.Namespace, grid: Any, folder: Path) -> None:
    import numpy as np
    from scipy.ndimage import map_coordinates

    from nepcube.demo.truth import Truth
    from nepcube.grid import coordinates

    n = args.world["years"]
    years = range(2001, 2001 + n)
    truth = Truth(pixels=args.world["pixels"], years=(2001, 2000 + n))
    lat, lon = coordinates(grid)
    names = ("raw", "npp", "flag", "temperature", "precipitation", "radiation", "bilinear", "noisy")
    kinds = {"raw": "int16", "flag": "uint8"}
    out = {
        k: np.lib.format.open_memmap(
            folder / f"{k}.npy", mode="w+", dtype=kinds.get(k, "float32"), shape=(n, lat.size, lon.size)
        )
        for k in names
    }
    # the pixel of the sinusoidal grid below each cell
    radius = 6371007.181
    size = truth.pixel_size
    rows = np.floor((np.radians(90.0 - lat) * radius) / size).astype(int)[:, None]
    x = np.radians(lon)[None, :] * np.cos(np.radians(lat))[:, None] * radius
    columns = np.floor((x + np.pi * radius) / size).astype(int)
    tenth = {
        "lat": np.round(np.arange(lat.max() + 0.3, lat.min() - 0.3, -0.1), 1),
        "lon": np.round(np.arange(lon.min() - 0.3, lon.max() + 0.3, 0.1), 1),
    }
    at = np.meshgrid((tenth["lat"][0] - lat) / 0.1, (lon - tenth["lon"][0]) / 0.1, indexing="ij")
    nearest = [np.rint(a).astype(int) for a in at]
    rng = np.random.default_rng(1)
    for k, year in enumerate(years):
        say(f"  generating {year}")
        raw = truth.npp_raw(rows, columns, year)
        data = (raw >= -30000) & (raw <= 32700)
        out["raw"][k] = raw
        out["npp"][k] = np.where(data, raw.astype("float32") / np.float32(10), np.float32(np.nan))
        out["flag"][k] = np.where(data, 0, np.where(raw > 32760, raw.astype(int) - 32760, 8))
        days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], float)
        where = tenth["lat"][:, None], tenth["lon"][None, :]
        months = np.stack([truth.temperature_month(year, m, *where) for m in range(1, 13)]).astype(float)
        mean = np.tensordot(days / days.sum(), months, 1) - 273.15
        sun = np.stack([truth.radiation_month(year, m, *where) for m in range(1, 13)]).astype(float)
        out["temperature"][k] = mean[nearest[0], nearest[1]]
        out["radiation"][k] = (np.tensordot(days, sun, 1) / 1e6)[nearest[0], nearest[1]]
        out["precipitation"][k] = truth.precipitation_year(year, lat[:, None], lon[None, :])
        smooth = map_coordinates(mean, at, order=1)
        out["bilinear"][k] = smooth
        out["noisy"][k] = smooth + rng.normal(0.0, 0.3, smooth.shape)


def write(path: Path, grid: Any, values: Any, years: range, t: int, side: int, shard: int | None) -> None:
    import numpy as np
    import xarray as xr
    import zarr

    from nepcube.grid import windows
    from nepcube.store import Layout, Store
    from nepcube.store.layout import compressors

    if t == 1:
        store = Store(path, grid, shard or side, side if shard else None)
        store.create([Layout("v", str(values.dtype), {"units": "1"}, yearly=True)], range(2001, 2001 + len(values)))
        for window in windows(grid, shard or 2 * side):
            for year in years:
                block = np.asarray(values[(slice(year, year + 1), *window.slices)])
                store.write({"v": xr.DataArray(block)}, window, step=year)
        return
    if not (path / "v").exists():
        zarr.create_array(
            str(path),
            name="v",
            shape=values.shape,
            chunks=(t, side, side),
            dtype=values.dtype,
            fill_value=np.nan,
            compressors=compressors(),
            config={"write_empty_chunks": True},
        )
    array = zarr.open_array(str(path), path="v", mode="r+")
    span = slice(years.start, years.stop)
    for window in windows(grid, side):
        array[(span, *window.slices)] = np.asarray(values[(span, *window.slices)])
