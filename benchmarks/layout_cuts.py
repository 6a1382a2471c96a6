"""Reading and appending in several cuts, and how many files they are."""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
from layout_world import mib, ms, size_of, timed, world, write
from measuring import Usage, median_of, ratio_of, say


def layouts(args: argparse.Namespace) -> str:
    """Read and append in several cuts."""
    import numpy as np
    import zarr

    grid, arrays = world(args)
    scale, years = args.world["scale"], args.world["years"]
    cuts = {
        f"({t}, {side}, {side})" + (f" in shards of ({t}, {shard}, {shard})" if shard else ""): (t, side, shard)
        for t, side, shard in (
            (1, 512 // scale, None),
            (years, 256 // scale, None),
            (1, 256 // scale, 1024 // scale),
            (1, 512 // scale, 1024 // scale),
            (1, 512 // scale, 2048 // scale),
        )
    }
    first = next(iter(cuts))
    parts = []
    for name in ("npp", "bilinear"):
        values = arrays[name]
        stores = {cut: _filled(args, grid, values, *how, where=k) for k, (cut, how) in enumerate(cuts.items())}
        rng = np.random.default_rng(2)
        pixels = [
            (int(rng.integers(1, values.shape[1] - 1)), int(rng.integers(1, values.shape[2] - 1))) for _ in range(20)
        ]
        block = args.world["block"] // 2

        def blocks(array: Any, block: int = block) -> None:
            for y in range(0, array.shape[1], block):
                for x in range(0, array.shape[2], block):
                    array[:, y : y + block, x : x + block]

        def near(array: Any, reach: int, pixels: list[tuple[int, int]] = pixels) -> None:
            for y, x in pixels:
                array[:, y - reach : y + reach + 1, x - reach : x + reach + 1]

        tasks: dict[str, tuple[Callable[[Any], None], int]] = {
            f"all years, blocks of {block}": (blocks, 1),
            "one year's map": (lambda array: array[years // 2], 1),
            "a pixel's series": (lambda array: near(array, 0), len(pixels)),
            "3 x 3 series": (lambda array: near(array, 1), len(pixels)),
        }
        found = {}
        for task, (work, _) in tasks.items():
            say(f"  {name}: {task}")
            opened = {cut: zarr.open_array(str(path), path="v", mode="r") for cut, path in stores.items()}
            runs = {cut: (lambda work=work, array=array: timed(lambda: work(array))) for cut, array in opened.items()}
            found[task] = measuring.alternate(runs, args.runs, lambda _: None)
        say(f"  {name}: append")
        runs = {
            cut: (lambda how=how, k=k, values=values: _appended(args, grid, values, *how, where=k))
            for k, (cut, how) in enumerate(cuts.items())
        }
        found["append a year"] = measuring.alternate(runs, args.runs, lambda _: None)
        rows = []
        for cut, path in stores.items():
            files, size = size_of(path / "v")
            cells = []
            for task, used in found.items():
                times = tasks[task][1] if task in tasks else 1
                ratio = ratio_of([u.seconds for u in used[cut]], [u.seconds for u in used[first]])
                cpu = 1000 * statistics.median(u.cpu for u in used[cut]) / times
                cells.append(f"{ms(used[cut], times)}; {ratio}; CPU {cpu:.1f}")
            rows.append((cut, *cells, mib(size), str(files)))
        header = ("chunks", *(f"{t}, ms" for t in found), "MiB", "files")
        parts.append(f"### `{name}`\n\n{measuring.table(header, rows)}\n")
    told = f"{years} years x {grid.shape[0]} x {grid.shape[1]} cells, {measuring.counted(args.runs)}"
    return (
        f"## Chunks and shards: {told}\n\n"
        + "\n".join(parts)
        + "\nMilliseconds, median (least-most); then the ratio to "
        f"{first}, of pairs; then CPU milliseconds.\n"
    )


def _filled(
    args: argparse.Namespace, grid: Any, values: Any, t: int, side: int, shard: int | None, *, where: int
) -> Path:
    path = Path(args.work) / f"cut-{where}.zarr"
    shutil.rmtree(path, ignore_errors=True)
    write(path, grid, values, range(values.shape[0]), t, side, shard)
    return path


def _appended(
    args: argparse.Namespace, grid: Any, values: Any, t: int, side: int, shard: int | None, *, where: int
) -> Usage:
    # the last year comes to those before it: a chunk of many years is read and written again
    path = Path(args.work) / f"append-{where}.zarr"
    shutil.rmtree(path, ignore_errors=True)
    before = range(values.shape[0] - 1)
    write(path, grid, values, before, t, side, shard)
    last = range(values.shape[0] - 1, values.shape[0])
    used = timed(lambda: write(path, grid, values, last, t, side, shard))
    shutil.rmtree(path)
    return used


def objects(args: argparse.Namespace) -> str:
    """Files of China and of the globe, and what the ledger makes of them."""
    from nepcube.store import Ledger

    shapes = {"Headwaters": (1047, 2896), "China": (8016, 13805), "globe": (40075, 80150)}
    cuts = {"chunks of 512": 512, "shards of 1024": 1024, "shards of 2048": 2048, "shards of 4096": 4096}
    rows = []
    for name, (height, width) in shapes.items():
        for cut, side in cuts.items():
            units = -(-height // side) * -(-width // side)
            rows.append((name, cut, f"{units:,}", f"{units * 140:,}", f"{units * 30:,}", f"{units * 170:,}"))
    header = ("grid", "cut", "files a layer", "cube (7 x 20)", "statistics (30)", "both")
    count = 2_000 if args.tiny else 100_000

    def fill() -> dict[str, Any]:
        folder = measuring.emptied(Path(args.work) / "ledger")
        ledger = Ledger.open(folder)
        for k in range(count // 7):
            unit = f"{2001 + k % 20}/{k // 20}/{k % 97}"
            ledger.add("ingest", unit, {f"cube.zarr/variable{v}/c/{unit}": k * 7 + v for v in range(7)})
        ledger.flush()
        opened = timed(lambda: Ledger.open(folder))
        return {"open": opened.seconds, "bytes": size_of(folder)[1]}

    used = [timed(fill) for _ in range(args.runs)]
    size = used[0].told["bytes"] / count
    opened = median_of(u.told["open"] * 1e6 / count for u in used)
    return (
        f"## How many files\n\n{measuring.table(header, rows)}\n\n"
        f"The ledger, {count:,} checksums: {size:.0f} bytes each on disk; opened in {opened} s a million.\n"
    )
