"""The statistics of a whole cube, from store to store; a part of ``analysis.py``."""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import measuring
from layout_world import timed, world
from measuring import Usage, median_of, ratio_of, say

INPUTS = ("npp", "temperature", "precipitation", "radiation")
DRIVERS = INPUTS[1:]
THREADS = 2


def cube_of(args: argparse.Namespace, names: Sequence[str] = INPUTS) -> Any:
    """Write the inputs as one store of ours."""
    import xarray as xr

    from nepcube import spec
    from nepcube.grid import windows
    from nepcube.store import Layout, Store

    grid, arrays = world(args)
    years = range(2001, 2001 + args.world["years"])
    cube = Store(Path(args.work) / "cube.zarr", grid, args.world["chunk"])
    cube.create([Layout(n, "float32", spec.CUBE[n].attrs(), yearly=True) for n in names], years)
    for window in windows(grid, args.world["chunk"]):
        cube.write({n: xr.DataArray(arrays[n][:, *window.slices]) for n in names}, window, step=0)
    cube.commit({})
    return cube


def floor(args: argparse.Namespace) -> str:
    """NEP and its statistics, beside the reading and writing alone."""
    import numpy as np

    from nepcube import store
    from nepcube.grid import windows

    cube = cube_of(args)
    plan = plan_of(args)
    blocks = list(windows(cube.grid, cube.chunk))
    small, _ = analysed(plan, cube, blocks[0])
    maps = store.Store(Path(args.work) / "maps.zarr", cube.grid, cube.chunk)
    maps.create([store.Layout(str(n), str(v.dtype), {}, yearly=False) for n, v in small.items()], None)
    yearly = store.Store(Path(args.work) / "yearly.zarr", cube.grid, cube.chunk)
    names = ("rh", "nep")
    yearly.create([store.Layout(n, "float32", {}, yearly=True) for n in names], range(args.world["years"]))

    def bare(balances: bool) -> Callable[[Any], None]:
        # what is written are the maps of another time, so that they pack as maps do
        kept = {w: store.read_block(maps.path, list(small), w) for w in blocks}
        inputs, outputs, more = opened(cube, INPUTS), opened(maps, list(small)), opened(yearly, names)

        def one(window: Any) -> None:
            arrays = {n: a[:, *window.slices] for n, a in inputs.items()}
            for n, a in outputs.items():
                a[window.slices] = kept[window][n]
            if balances:
                for a, values in zip(more.values(), arrays.values(), strict=False):
                    a[:, *window.slices] = values

        return one

    def ours(balances: bool) -> Callable[[Any], None]:
        def one(window: Any) -> None:
            found, of_years = analysed(plan, cube, window)
            maps.write(found, window)
            if balances:
                yearly.write(of_years, window, step=0)

        return one

    each(ours(True), blocks)
    floors = bare(False), bare(True)
    found = measuring.alternate(
        {
            "floor: maps": lambda: timed(lambda: each(floors[0], blocks)),
            "nepcube: maps": lambda: timed(lambda: each(ours(False), blocks)),
            "floor: maps, RH and NEP of each year": lambda: timed(lambda: each(floors[1], blocks)),
            "nepcube: maps, RH and NEP of each year": lambda: timed(lambda: each(ours(True), blocks)),
        },
        args.runs,
        say,
    )
    rows = []
    for name, used in found.items():
        base = found[name.replace("nepcube", "floor")]
        ratio = ratio_of([u.seconds for u in used], [u.seconds for u in base])
        rows.append((name, median_of(u.seconds for u in used), ratio, median_of(u.cpu for u in used)))
    rows_, columns = cube.grid.shape
    told = f"{args.world['years']} years x {rows_} x {columns} cells, {len(small)} maps, {THREADS} threads"
    assert all(np.isfinite(np.asarray(v)).any() for v in small.values())
    header = ("from store to store", "s", "to the floor", "CPU s")
    return f"## NEP and its statistics, {told}, {measuring.counted(args.runs)}\n\n{measuring.table(header, rows)}\n"


def opened(store: Any, names: Sequence[str]) -> dict[str, Any]:
    """Open arrays with plain zarr, once."""
    import zarr

    arrays = {n: zarr.open_array(str(store.path), path=str(n), mode="r+") for n in names}
    return {n: a.with_config({"write_empty_chunks": True}) for n, a in arrays.items()}


def each(one: Callable[[Any], None], blocks: Sequence[Any]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(one, blocks))


def plan_of(args: argparse.Namespace) -> Any:
    from nepcube import recipe as recipes
    from nepcube.pipeline.analyse import Plan

    return Plan(
        years=tuple(range(2001, 2001 + args.world["years"])),
        names=INPUTS,
        fields={},
        drivers=DRIVERS,
        basis="annual",
        model="pei2009",
        barren_is_zero=False,
        statistics=recipes.Statistics(
            trend=("ols",), mann_kendall=(), partial_correlation=recipes.Correlation(dominant=False)
        ),
        min_years=args.world["years"],
        npp_attrs={},
        climate={},
        samplings={},
        year_start=1,
    )


def analysed(plan: Any, cube: Any, window: Any) -> tuple[Mapping[Any, Any], Mapping[Any, Any]]:
    """Do what a job of ``nepcube analyse`` does with a chunk, but for the writing."""
    from nepcube.pipeline.analyse import Job, analyse_window

    balances, maps = analyse_window(Job(plan, cube.grid, cube, cube, (window,)), window)
    return maps, balances


def trend(args: argparse.Namespace) -> str:
    """Slope and CV of one variable, beside cdo and GRASS, each from and to its own files."""
    import numpy as np
    import xarray as xr

    from nepcube import stats, store
    from nepcube.grid import windows

    measuring.need("cdo")
    cube = cube_of(args, ("npp",))
    grid, arrays = world(args)
    work = Path(args.work)
    nc = work / "npp.nc"
    # without gaps: cdo's timmean and ours differ in what they ask for
    values = np.nan_to_num(np.asarray(arrays["npp"]), nan=1.0)
    years = np.array([f"{y}-01-01" for y in range(2001, 2001 + len(values))], "datetime64[ns]")
    ds = xr.Dataset(
        {"npp": (("time", "lat", "lon"), values)},
        {"time": years, "lat": -np.arange(grid.shape[0]) * 0.005, "lon": np.arange(grid.shape[1]) * 0.005},
    )
    ds.to_netcdf(nc, engine="h5netcdf", encoding={"npp": {"_FillValue": None}})
    for window in windows(grid, cube.chunk):
        cube.write({"npp": xr.DataArray(values[:, *window.slices])}, window, step=0)
    blocks = list(windows(grid, cube.chunk))
    maps = store.Store(work / "maps.zarr", grid, cube.chunk)
    maps.create([store.Layout(n, "float32", {}, yearly=False) for n in ("slope", "intercept", "cv")], None)

    def one(window: Any) -> None:
        block = xr.DataArray(
            store.read_block(cube.path, ["npp"], window)["npp"], {"time": years}, ("time", "y", "x"), "npp"
        )
        fit = stats.linear_trend(block)
        cv = stats.coefficient_of_variation(block)
        maps.write({"slope": fit["slope"], "intercept": fit["intercept"], "cv": cv["cv"]}, window)

    def ours() -> Usage:
        return timed(lambda: each(one, blocks))

    def cdo() -> Usage:
        return measuring.run(
            ["cdo", "-s", "-P", str(THREADS), "trend", str(nc), str(work / "a.nc"), str(work / "b.nc")],
            ["cdo", "-s", "-P", str(THREADS), "-div", "-timstd", str(nc), "-timmean", str(nc), str(work / "cv.nc")],
        )

    contestants: dict[str, Callable[[], Usage]] = {"cdo trend, then timstd / timmean": cdo, "nepcube": ours}
    grass = Grass(work, nc, args.world["years"]) if shutil.which("grass") else None
    if grass:
        contestants["GRASS r.series"] = grass
    ours()
    found = measuring.alternate(contestants, args.runs, say)
    base = [u.seconds for u in found["nepcube"]]
    rows = [
        (n, median_of(u.seconds for u in used), ratio_of(base, [u.seconds for u in used])) for n, used in found.items()
    ]
    with xr.open_dataset(work / "b.nc") as theirs:
        slope = store.read_block(maps.path, ["slope"], blocks[0])["slope"]
        window = blocks[0].slices
        # cdo counts the steps, which are years here
        off = np.nanmax(np.abs(theirs["npp"].values.squeeze()[window] - slope)) / np.nanmax(np.abs(slope))
    told = f"{args.world['years']} years x {grid.shape[0]} x {grid.shape[1]} cells, {measuring.counted(args.runs)}"
    missing = "" if grass else "GRASS is not installed here.\n"
    return (
        f"## Slope and CV, {told}\n\n{measuring.table(('way', 's', 'nepcube / it'), rows)}\n\n"
        f"cdo as whole processes of {THREADS} threads (they start in hundredths of a second), nepcube steady. "
        f"Largest difference of a slope, of the largest slope: {off:.1g}.\n{missing}"
    )


class Grass:
    """``r.series`` on rasters of a location of its own, made once."""

    def __init__(self, work: Path, nc: Path, years: int) -> None:
        self.mapset = work / "grass" / "PERMANENT"
        self.years = years
        subprocess.run(["grass", "-c", "EPSG:4326", str(work / "grass"), "-e"], check=True, capture_output=True)
        self._do("r.in.gdal", "-o", f"input=NETCDF:{nc}:npp", "output=npp")
        self._do("g.region", "raster=npp.1")

    def _do(self, *command: str) -> Usage:
        return measuring.run(["grass", str(self.mapset), "--exec", *command])

    def __call__(self) -> Usage:
        names = ",".join(f"npp.{k}" for k in range(1, self.years + 1))
        out = "slope,average,stddev"
        return self._do("r.series", f"input={names}", f"output={out}", f"method={out}", "--overwrite", "nprocs=2")
