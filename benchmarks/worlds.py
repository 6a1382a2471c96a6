"""The inputs of the benchmarks, and recipes that ingest no more than one of them; imported in children only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HEADWATERS = (89.40, 31.59, 102.40, 36.29)
CHINA = (73.0, 18.0, 135.0, 54.0)


def recipe_of(
    sources: dict[str, Any],
    period: tuple[int, int],
    bounds: tuple[float, float, float, float],
    resolution: str,
    method: str = "nearest",
) -> Any:
    """Make a recipe that ingests the named sources alone.

    A recipe of a user needs NPP and climate. Here the others are taken out of the validated model, so that the real
    ingest (lock, ledger, checksums, hashes of the inputs, provenance) does the work of the rival and no more.
    """
    from nepcube.recipe import Recipe

    absent = {"reader": "generic", "path": "absent"}
    whole = Recipe.model_validate(
        {
            "recipe": 1,
            "name": "benchmark",
            "period": (2001, 2020),
            "grid": {"bounds": bounds, "resolution": resolution},
            "sources": {q: sources.get(q, absent) for q in ("npp", "temperature", "precipitation")},
            "respiration": {"basis": "annual"},
        }
    )
    taken: dict[str, Any] = {}
    for quantity in ("npp", "temperature", "precipitation"):
        source = getattr(whole.sources, quantity)
        taken[quantity] = source.model_copy(update={"resampling": method}) if quantity in sources else None
    return whole.model_copy(update={"sources": whole.sources.model_copy(update=taken), "period": period})


def ingest(recipe: Any, out: str) -> None:
    """Do what ``nepcube ingest`` does, on the threads that it takes by default."""
    from nepcube import pipeline

    pipeline.run_stage("ingest", recipe, out)


def write_field(
    path: Path,
    step: float,
    years: tuple[int, int],
    bounds: tuple[float, float, float, float],
    name: str = "temperature",
) -> None:
    """Write annual temperature or precipitation, float32, at `step` degrees around some bounds, as NetCDF-4."""
    import h5netcdf
    import numpy as np

    west, south, east, north = bounds
    longitude = (np.arange(np.floor((west - 1) / step), np.ceil((east + 1) / step)) + 0.5) * step
    latitude = ((np.arange(np.floor((south - 1) / step), np.ceil((north + 1) / step)) + 0.5) * step)[::-1]
    n = years[1] - years[0] + 1
    noise = np.random.default_rng(1).standard_normal((n, latitude.size, longitude.size))
    values = 25.0 - 0.6 * np.abs(latitude)[:, None] + 3.0 * np.sin(np.radians(longitude * 7)) + noise
    if name == "precipitation":
        values = 500.0 + 10.0 * values
    starts = np.array([f"{y}-01-01" for y in range(years[0], years[1] + 1)], "datetime64[D]")
    days = (starts - np.datetime64("1970-01-01")).astype(np.int64)
    part = path.with_suffix(".part.nc")
    with h5netcdf.File(part, "w") as file:
        file.dimensions = {"time": n, "latitude": latitude.size, "longitude": longitude.size}
        time = file.create_variable("time", ("time",), np.int64, data=days)
        time.attrs.update(
            {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian", "standard_name": "time"}
        )
        for of, centres, unit in (("latitude", latitude, "degrees_north"), ("longitude", longitude, "degrees_east")):
            axis = file.create_variable(of, (of,), np.float64, data=centres)
            axis.attrs.update({"units": unit, "standard_name": of})
        dims = ("time", "latitude", "longitude")
        field = file.create_variable(
            name, dims, np.float32, data=values.astype(np.float32), fillvalue=np.float32(-9e33)
        )
        field.attrs.update({"units": {"temperature": "degC", "precipitation": "mm year-1"}[name], "long_name": name})
        file.attrs["Conventions"] = "CF-1.8"
    part.replace(path)


def write_cdo_grid(path: Path, bounds: tuple[float, float, float, float], resolution: str) -> tuple[int, int]:
    """Describe our grid to cdo, and give its shape."""
    from nepcube.grid import coordinates, target_grid

    grid = target_grid(bounds, resolution)
    y, x = coordinates(grid)
    step = grid.affine.a
    lines = {
        "gridtype": "lonlat", "xsize": x.size, "ysize": y.size,
        "xfirst": repr(float(x[0])), "xinc": repr(step), "yfirst": repr(float(y[0])), "yinc": repr(-step),
    }  # fmt: skip
    path.write_text("".join(f"{k} = {v}\n" for k, v in lines.items()))
    rows, columns = grid.shape
    return int(rows), int(columns)
