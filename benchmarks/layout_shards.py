"""Ways to write whole shards of all years, with little in memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import measuring
from layout_codecs import trend_of
from layout_world import size_of, timed, world
from measuring import MIB, Usage, median_of, ratio_of, say


def shards(args: argparse.Namespace) -> str:
    """Ways to write whole shards of rh and nep of all years, and of the maps."""
    command = [
        sys.executable,
        str(Path(__file__).with_name("layout.py")),
        "--archive",
        args.archive,
        "--work",
        args.work,
        *(["--tiny"] if args.tiny else []),
    ]
    world(args)
    ways = {
        "chunks, no shards": ("pieces", 0),
        "shards, all years held": ("whole", 1),
        "shards half as wide, all years held": ("whole", 2),
        "shards, coded chunks in a temporary file": ("pieces", 1),
        "shards, a second pass year by year": ("years", 1),
    }

    def start(way: str, part: int) -> Usage:
        return measuring.run([*command, "--child", way], NEPCUBE_BENCHMARK_PART=str(part))

    runs = {name: (lambda way=way, part=part: start(way, part)) for name, (way, part) in ways.items()}
    found = measuring.alternate(runs, args.runs, say)
    base = found["chunks, no shards"]
    rows = [
        (
            name,
            median_of(u.told["seconds"] for u in used),
            ratio_of([u.told["seconds"] for u in used], [u.told["seconds"] for u in base]),
            median_of(u.told["cpu"] for u in used),
            median_of(((u.peak - b.peak) / MIB for u, b in zip(used, base, strict=True)), 0),
            str(used[0].told["files"]),
        )
        for name, used in found.items()
    ]
    side, years = 2048 // args.world["scale"], args.world["years"]
    header = ("way", "s", "ratio", "CPU s", "peak MiB above the first", "files")
    return (
        f"## rh, nep and 24 maps of {side} x {side} cells, {years} years, {measuring.counted(args.runs)}\n\n"
        + measuring.table(header, rows)
        + "\n\nOne process. Little is computed (a product, a sum, a trend): the ways differ by what they write.\n"
    )


def _unit(args: argparse.Namespace) -> dict[str, Any]:
    import os

    from nepcube.grid import target_grid
    from nepcube.store import Layout, Store

    part = int(os.environ["NEPCUBE_BENCHMARK_PART"])
    side = 2048 // args.world["scale"]
    chunk = 512 // args.world["scale"]
    grid = target_grid((0.0, 0.0, 500.0 * side, 500.0 * side), "500 m", "EPSG:3857")
    unit = chunk if part == 0 else side // part
    inner = None if part == 0 else chunk
    root = measuring.emptied(Path(args.work) / "unit")
    cube = Store(root / "cube.zarr", grid, unit, inner)
    maps = Store(root / "maps.zarr", grid, unit, inner)
    years = range(2001, 2001 + args.world["years"])
    cube.create([Layout(n, "float32", {}, yearly=True) for n in ("rh", "nep")], years)
    maps.create([Layout(f"m{k}", "float32", {}, yearly=False) for k in range(24)], None)
    return {"grid": grid, "cube": cube, "maps": maps, "chunk": chunk, "root": root}


def _source(args: argparse.Namespace, window: Any, years: slice = slice(None)) -> tuple[Any, Any]:
    # the Headwaters, turned over where they end
    import numpy as np

    folder = Path(args.archive)
    out = []
    for name in ("npp", "bilinear"):
        values = np.load(folder / f"{name}.npy", mmap_mode="r")
        rows = np.arange(window.y0, window.y1) % (2 * values.shape[1])
        rows = np.where(rows < values.shape[1], rows, 2 * values.shape[1] - 1 - rows)
        columns = np.arange(window.x0, window.x1) % values.shape[2]
        out.append(np.asarray(values[years][:, rows[:, None], columns[None, :]]))
    return out[0], out[1]


def _balance(npp: Any, climate: Any) -> dict[str, Any]:
    import numpy as np
    import xarray as xr

    rh = np.where(np.isnan(npp), np.float32(np.nan), np.exp(np.float32(0.0913) * climate) * np.float32(3.0))
    return {"rh": xr.DataArray(rh), "nep": xr.DataArray(npp - rh)}


def _maps(balance: Mapping[str, Any]) -> dict[str, Any]:
    import xarray as xr

    slope, p, mean = trend_of(balance["nep"].values)
    return {f"m{k}": xr.DataArray((slope, p, mean)[k % 3] * (1 + k)) for k in range(24)}


def _pieces(args: argparse.Namespace) -> dict[str, Any]:
    from nepcube.grid import windows
    from nepcube.store import pieces_of

    unit = _unit(args)

    def work() -> None:
        for window in windows(unit["grid"], unit["cube"].chunk):
            with pieces_of(unit["cube"], window) as cube, pieces_of(unit["maps"], window) as maps:
                for piece in cube.windows():
                    balance = _balance(*_source(args, piece))
                    cube.add(balance, piece, step=0)
                    maps.add(_maps(balance), piece)
                cube.write()
                maps.write()

    return _told(timed(work), unit)


def _whole(args: argparse.Namespace) -> dict[str, Any]:
    import numpy as np
    import xarray as xr

    from nepcube.grid import Window, windows

    unit = _unit(args)

    def work() -> None:
        for window in windows(unit["grid"], unit["cube"].chunk):
            years = args.world["years"]
            held = {n: np.empty((years, *window.shape), "float32") for n in ("rh", "nep")}
            maps = {f"m{k}": np.empty(window.shape, "float32") for k in range(24)}
            for y in range(window.y0, window.y1, unit["chunk"]):
                for x in range(window.x0, window.x1, unit["chunk"]):
                    piece = Window(y, y + unit["chunk"], x, x + unit["chunk"])
                    place = (
                        slice(y - window.y0, y - window.y0 + unit["chunk"]),
                        slice(x - window.x0, x - window.x0 + unit["chunk"]),
                    )
                    balance = _balance(*_source(args, piece))
                    for n, v in balance.items():
                        held[n][:, *place] = v.values
                    for n, v in _maps(balance).items():
                        maps[n][place] = v.values
            unit["cube"].write({n: xr.DataArray(v) for n, v in held.items()}, window, step=0)
            unit["maps"].write({n: xr.DataArray(v) for n, v in maps.items()}, window)

    return _told(timed(work), unit)


def _years(args: argparse.Namespace) -> dict[str, Any]:
    # respiration and balance are a year's alone; the maps of a shard are held
    import numpy as np
    import xarray as xr

    from nepcube.grid import Window, windows
    from nepcube.store import read_block

    unit = _unit(args)

    def work() -> None:
        for window in windows(unit["grid"], unit["cube"].chunk):
            for k in range(args.world["years"]):
                unit["cube"].write(_balance(*_source(args, window, slice(k, k + 1))), window, step=k)
            maps = {f"m{k}": np.empty(window.shape, "float32") for k in range(24)}
            for y in range(window.y0, window.y1, unit["chunk"]):
                for x in range(window.x0, window.x1, unit["chunk"]):
                    piece = Window(y, y + unit["chunk"], x, x + unit["chunk"])
                    balance = {
                        n: xr.DataArray(v) for n, v in read_block(unit["cube"].path, ["rh", "nep"], piece).items()
                    }
                    _source(args, piece)
                    for n, v in _maps(balance).items():
                        maps[n][
                            y - window.y0 : y - window.y0 + unit["chunk"], x - window.x0 : x - window.x0 + unit["chunk"]
                        ] = v.values
            unit["maps"].write({n: xr.DataArray(v) for n, v in maps.items()}, window)

    return _told(timed(work), unit)


def _told(used: Usage, unit: Mapping[str, Any]) -> dict[str, Any]:
    # the arrays are named m0.., rh and nep; their coordinates are not counted
    files = sum(size_of(p)[0] for p in unit["root"].glob("*.zarr/[mrn]*") if p.is_dir())
    return {"seconds": used.seconds, "cpu": used.cpu, "files": files}


CHILDREN: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "whole": _whole,
    "pieces": _pieces,
    "years": _years,
}
