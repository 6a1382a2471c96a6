"""Size and speed of codecs on what the stores hold, and what rounding would save."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from typing import Any

import measuring
from layout_world import mib, timed, world
from measuring import MIB, Usage, say


def codecs(args: argparse.Namespace) -> str:
    """Size and speed of codecs on what the stores hold."""
    from zarr.codecs import BloscCodec, ZstdCodec

    _, arrays = world(args)
    candidates: dict[str, Any] = {f"zstd {level}": ZstdCodec(level=level) for level in (1, 3, 9)}
    levels = {"zstd": (1, 3, 5, 9), "lz4": (1, 5, 9)}
    for shuffle in ("shuffle", "bitshuffle"):
        for inner, of in levels.items():
            for level in of:
                name = f"blosc {inner} {level}, {'bytes' if shuffle == 'shuffle' else 'bits'}"
                candidates[name] = BloscCodec(cname=inner, clevel=level, shuffle=shuffle)
    ours = "blosc zstd 1, bits"
    held = _samples(args, arrays)
    rows = []
    for name, layers in held.items():
        say(f"  {name}")
        found = measuring.alternate(
            {c: (lambda codec=codec, layers=layers: _coded(args, layers, codec)) for c, codec in candidates.items()},
            max(1, args.runs // 2 + args.runs % 2),
            lambda _: None,
        )
        raw = sum(a.nbytes for a in layers)
        for codec, used in found.items():
            told = [u.told for u in used]
            size = told[0]["bytes"]
            rows.append(
                (
                    name,
                    f"**{codec}**" if codec == ours else codec,
                    f"{100 * size / raw:.1f}",
                    f"{size / found[ours][0].told['bytes']:.2f}",
                    *(
                        f"{raw / MIB / statistics.median(t[k] for t in told):.0f}"
                        for k in ("write", "write cpu", "read", "read cpu")
                    ),
                )
            )
    header = ("what", "codec", "% of raw", "size to ours", "write MiB/s", "per CPU s", "read MiB/s", "per CPU s")
    return f"## Codecs, chunks of 512 x 512\n\n{measuring.table(header, rows)}\n"


def _samples(args: argparse.Namespace, arrays: Mapping[str, Any]) -> dict[str, list[Any]]:
    import numpy as np

    years = [0, len(arrays["npp"]) // 2, len(arrays["npp"]) - 1]
    titles = {
        "npp": "npp", "flag": "npp_flag", "temperature": "temperature, nearest of 0.1 deg",
        "precipitation": "precipitation, nearest of 0.05 deg", "bilinear": "temperature, bilinear",
        "noisy": "temperature, bilinear with noise",
    }  # fmt: skip
    held = {title: [np.ascontiguousarray(arrays[k][y]) for y in years] for k, title in titles.items()}
    fit = trend_of(arrays["npp"])
    return held | {"statistics: slope, p-value, mean": [np.ascontiguousarray(v) for v in fit]}


def trend_of(values: Any) -> list[Any]:
    import xarray as xr

    from nepcube import stats

    series = xr.DataArray(values, dims=("time", "y", "x"))
    fit = stats.linear_trend(series, min_years=2)
    return [fit["slope"].values, fit["pvalue"].values, stats.mean(series, min_years=2)["mean"].values]


def _coded(args: argparse.Namespace, layers: list[Any], codec: Any) -> Usage:
    import zarr
    from zarr.storage import MemoryStore

    side = 512 // args.world["scale"]
    kept: dict[str, Any] = {}

    def work() -> dict[str, Any]:
        arrays = [
            zarr.create_array(
                MemoryStore(kept), name=f"v{k}", shape=a.shape, chunks=(side, side), dtype=a.dtype,
                compressors=[codec], config={"write_empty_chunks": True},
            )
            for k, a in enumerate(layers)
        ]  # fmt: skip
        write = timed(lambda: [array.__setitem__(..., a) for array, a in zip(arrays, layers, strict=True)])
        read = timed(lambda: [array[...] for array in arrays])
        size = sum(len(v) for key, v in kept.items() if "/c/" in key)
        told = {"write": write.seconds, "write cpu": write.cpu, "read": read.seconds, "read cpu": read.cpu}
        return told | {"bytes": size}

    return timed(work)


def rounding(args: argparse.Namespace) -> str:
    """What bits cost that a source may not have."""
    import numpy as np

    from nepcube.store.layout import compressors

    _, arrays = world(args)
    year = len(arrays["npp"]) // 2
    codec = compressors()[0]
    rows = []
    for name in ("temperature", "bilinear", "noisy", "precipitation"):
        values = np.ascontiguousarray(arrays[name][year])
        full = _coded(args, [values], codec).told["bytes"]
        cells = []
        for bits in (23, 16, 12):
            kept = _rounded(values, bits)
            size = _coded(args, [kept], codec).told["bytes"]
            error = float(np.nanmax(np.abs(kept.astype(float) - values)))
            cells.append(f"{mib(size)} ({size / full:.2f}; {error:.2g})")
        rows.append((name, *cells))
    raw = _coded(args, [np.ascontiguousarray(arrays["raw"][year])], codec).told["bytes"]
    npp = _coded(args, [np.ascontiguousarray(arrays["npp"][year])], codec).told["bytes"]
    flag = _coded(args, [np.ascontiguousarray(arrays["flag"][year])], codec).told["bytes"]
    return (
        "## Rounding: MiB of one year (to all bits; largest change)\n\n"
        + measuring.table(("what", "23 bits (all)", "16 bits", "12 bits"), rows)
        + f"\n\nNPP of one year: as float32 {mib(npp)} MiB and its flags {mib(flag)} MiB, "
        f"as the raw int16 with its codes {mib(raw)} MiB.\n"
    )


def _rounded(values: Any, bits: int) -> Any:
    import numpy as np

    if bits == 23:
        return values
    drop = 23 - bits
    whole = values.view("uint32")
    half = np.uint32((1 << (drop - 1)) - 1)
    even = (whole >> np.uint32(drop)) & np.uint32(1)
    return ((whole + half + even) & np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)).view("float32")
