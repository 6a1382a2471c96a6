"""How long a run will take here: its kernels and the writing of one chunk, tried for a moment on generated numbers.

It is done in a process of its own, so that it can be given up: kernels that are not compiled yet take longer than the
answer is worth. Seconds of CPU are measured, since a busy machine tells nothing of an idle one.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import harmonise, nep, store
from nepcube import recipe as recipes
from nepcube.grid import Window, dims, spatial_coords, target_grid
from nepcube.pipeline.analyse import Plan, label
from nepcube.pipeline.cells import compute_statistics
from nepcube.places import LocalPlace

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_PATIENCE = 3.5
# cells a side of the chunk that is written, and of the two blocks that are analysed
_CHUNK, _BLOCKS = 256, (16, 80)
_SPHERE = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
_STEPS = {"annual": 1, "monthly": 12, "daily": 365}


@dataclass(frozen=True)
class Rates:
    """Seconds of CPU, and what is left of bytes by compression.

    `ingest` and `analyse` are those of a cell and year, `chunk` those of a chunk that is analysed, `job` those of a
    block and year that is ingested, beside its cells.
    """

    ingest: float
    analyse: float
    chunk: float
    job: float
    packed: float
    stands_on: str


#: measured on two cores of an Intel Xeon, for a machine on which nothing was measured
STATED = Rates(
    4e-7,
    6e-7,
    0.3,
    0.03,
    0.3,
    "figures of another machine, as nothing could be tried here quickly (a first run compiles the kernels)",
)


def calibrate(recipe: recipes.Recipe, *, patience: float = _PATIENCE) -> Rates:
    """Measure the rates of a recipe within some seconds, or give those of another machine and say so."""
    command = [sys.executable, "-m", "nepcube.pipeline.calibrating"]
    try:
        told = subprocess.run(
            command, input=pickle.dumps(recipe), capture_output=True, timeout=patience, check=True
        ).stdout
        found = json.loads(told)
    except (OSError, subprocess.SubprocessError, ValueError):
        return STATED
    return Rates(**found)


def measure(recipe: recipes.Recipe) -> Rates:
    """Measure the rates of a recipe in this process."""
    grid = _some_grid(recipe)
    sampled, per_layer, written, packed = _ingest(recipe, grid)
    chunk, per_cell, respired = _analyse(recipe, grid)
    layers = 1 + len(recipe.sources.drivers)
    steps = _STEPS[recipe.respiration.basis]
    return Rates(
        ingest=sampled + layers * written,
        # rh and nep are written; what is read costs about half of what writing it does
        analyse=per_cell + (steps - 1) * (respired + 2 * per_layer) + (2 + layers / 2) * written,
        chunk=chunk,
        job=STATED.job,
        packed=packed,
        stands_on="its kernels and the writing of a chunk of each layer, tried here for a moment",
    )


def _some_grid(recipe: recipes.Recipe) -> GeoBox:
    bounds = recipe.grid.bounds
    whole = target_grid(
        (95.0, 34.0, 97.0, 36.0) if isinstance(bounds, str) else bounds,
        "500 m" if isinstance(bounds, str) else recipe.grid.resolution,
        "EPSG:4326" if isinstance(bounds, str) else recipe.grid.crs,
    )
    rows, columns = (max(0, n // 2 - _CHUNK // 2) for n in whole.shape)
    return whole[rows : rows + _CHUNK, columns : columns + _CHUNK]


def _ingest(recipe: recipes.Recipe, grid: GeoBox) -> tuple[float, float, float, float]:
    # seconds a cell of sampling all layers, of one driver, of writing a layer, and the share that is left of its bytes

    rng = np.random.default_rng(0)
    window = Window(0, int(grid.shape[0]), 0, int(grid.shape[1]))
    cells = window.shape[0] * window.shape[1]
    npp, climate = _productivity(grid, rng), _climate(grid, rng)
    for _ in range(2):
        # the first time loads the kernels
        start = time.process_time()
        out: dict[Any, xr.DataArray] = dict(harmonise.regrid_window(npp, grid, window, "nearest").data_vars)
        middle = time.process_time()
        field = harmonise.regrid_window(climate, grid, window, _method(recipe))["climate"]
        end = time.process_time()
    drivers = recipe.sources.drivers
    out |= dict.fromkeys(drivers, field)
    with tempfile.TemporaryDirectory(prefix="nepcube-check-") as folder:
        target = store.Store(LocalPlace(Path(folder) / store.CUBE), grid, _CHUNK)
        target.create([store.Layout(str(n), str(v.dtype), {}, yearly=True) for n, v in out.items()], (2001, 2002))
        target.write(out, window, step=0)
        begun = time.process_time()
        target.write(out, window, step=1)
        written = (time.process_time() - begun) / cells / len(out)
        files = [f for f in Path(folder).rglob("c/1/*/*") if f.is_file() and f.parts[-5] in {str(n) for n in out}]
        packed = sum(f.stat().st_size for f in files) / sum(v.nbytes for v in out.values())
    per_layer = (end - middle) / cells
    return (middle - start) / cells + per_layer * len(drivers), per_layer, written, packed


def _method(recipe: recipes.Recipe) -> str:
    # an average needs a finer source than the one that is made here
    method = recipe.sources.readers()[recipe.sources.drivers[0]].resampling if recipe.sources.drivers else "nearest"
    return method if method in ("nearest", "bilinear") else "conservative"


def _productivity(grid: GeoBox, rng: np.random.Generator) -> xr.Dataset:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    step = 463.31271652777775
    box = grid.footprint(_SPHERE, 0.0, 50).boundingbox
    rows, columns = (int((high - low) / step) + 5 for low, high in ((box.bottom, box.top), (box.left, box.right)))
    place = GeoBox(
        (min(rows, 1200), min(columns, 1200)),
        Affine(step, 0, box.left - 2 * step, 0, -step, box.top + 2 * step),
        _SPHERE,
    )
    shape = place.shape[0], place.shape[1]
    values = (rng.normal(size=shape).cumsum(0) * 30 + 3000).astype("int16").astype("float32") / np.float32(10)
    return _dataset(place, {"npp": values, "npp_flag": np.zeros(shape, "uint8")})


def _climate(grid: GeoBox, rng: np.random.Generator) -> xr.Dataset:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    box = grid.boundingbox
    height, width = box.top - box.bottom, box.right - box.left
    place = GeoBox(
        (16, 16),
        Affine(width / 10, 0, box.left - 0.3 * width, 0, -height / 10, box.top + 0.3 * height),
        grid.crs,
    )
    return _dataset(place, {"climate": rng.normal(size=(16, 16))})


def _dataset(place: GeoBox, arrays: dict[str, Any]) -> xr.Dataset:
    import xarray as xr

    axes = ("time", *dims(place))
    return xr.Dataset({n: (axes, v[None]) for n, v in arrays.items()}, coords=spatial_coords(place))


def _analyse(recipe: recipes.Recipe, grid: GeoBox) -> tuple[float, float, float]:
    # seconds a chunk, a cell and year, and a cell and step of respiration
    rng = np.random.default_rng(0)
    drivers = recipe.sources.drivers
    plan = Plan(
        years=tuple(recipe.years), names=("npp", *drivers), drivers=recipe.correlates, basis="annual",
        model="pei2009", fields={}, barren_is_zero=False, statistics=recipe.statistics, min_years=recipe.min_years,
        npp_attrs={}, climate={}, samplings={}, year_start=1,
    )  # fmt: skip
    took, respired = [], 0.0
    for side in (_BLOCKS[0], *_BLOCKS):
        window = Window(0, min(side, int(grid.shape[0])), 0, min(side, int(grid.shape[1])))
        shape = (len(plan.years), *window.shape)
        ds = label(plan, grid, window, {n: rng.uniform(5, 400, shape).astype("f4") for n in plan.names})
        start = time.process_time()
        rh = (
            nep.heterotrophic_respiration(ds["temperature"] / 20, ds["precipitation"], basis="annual").astype("f4")
            if {"temperature", "precipitation"} <= set(drivers)
            else ds["npp"] * 0
        )
        respired = (time.process_time() - start) / float(np.prod(shape))
        ds = ds.assign(rh=rh.assign_attrs(ds["npp"].attrs))
        ds = ds.assign(nep=nep.net_ecosystem_productivity(ds["npp"], ds["rh"]))
        compute_statistics(plan, ds)
        took.append((time.process_time() - start, float(np.prod(shape))))
    (small, few), (large, many) = took[1:]
    per_cell = max(0.0, (large - small) / max(many - few, 1.0))
    return max(0.0, small - per_cell * few), per_cell, respired


def main() -> None:
    recipe = pickle.load(sys.stdin.buffer)
    print(json.dumps(vars(measure(recipe))))  # noqa: T201


if __name__ == "__main__":
    main()
