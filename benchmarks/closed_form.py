"""A reader as a third party would register it, which makes what it gives from a closed form, where a task asks for it.

Nothing is written, so an area can be as large as one likes. `files` is one small file that stands for the archive.
"""

from __future__ import annotations

import os
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from nepcube import spec
from nepcube.grid import spatial_coords
from nepcube.sources import Granule, Inspection, Request

# the MODIS sinusoidal grid
SPHERE = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
TILE, STEP, EDGE = 2400, 1111950.5196666666 / 2400, 1111950.5196666666 * 18
CLIMATE = {
    "temperature": {"units": "degC", "aggregation": "mean"},
    "precipitation": {"units": "mm", "aggregation": "amount"},
    "radiation": {"units": "MJ m-2", "aggregation": "amount"},
}


class ClosedForm:
    """Annual NPP with flags on the MODIS grid, monthly climate of 0.1 degrees."""

    name = "closed-form"
    accepts = "any one file, which is not read"
    quantities = ("npp", *CLIMATE)
    citation = "a benchmark of nepcube"

    def inspect(self, request: Request) -> Inspection:
        first, last = request.years or (2001, 2020)
        return Inspection(
            tuple(
                Granule(path, os.path.getsize(path), f"{first}-01-01", f"{last}-12-31", "closed form")
                for path in request.paths
            )
        )

    def open(self, request: Request) -> xr.Dataset:
        years = request.years or (2001, 2020)
        bounds = request.bounds or (-180.0, -60.0, 180.0, 84.0)
        if request.quantity == "npp":
            return productivity(years, bounds)
        return climate(str(request.quantity), years, bounds)


def productivity(years: tuple[int, int], bounds: tuple[float, float, float, float]) -> xr.Dataset:
    """Give NPP and its flags on the whole tiles that some bounds touch."""
    west, south, east, north = bounds
    radians = np.radians([west, east])
    x = np.outer(np.cos(np.radians(np.linspace(south, north, 200))), radians) * 6371007.181
    y = np.radians([south, north]) * 6371007.181
    h0, h1 = (int((v + EDGE) // (TILE * STEP)) for v in (x.min(), x.max()))
    v0, v1 = (int((EDGE / 2 - v) // (TILE * STEP)) for v in (y[1], y[0]))
    size = (v1 + 1 - v0) * TILE, (h1 + 1 - h0) * TILE
    place = Affine(STEP, 0, h0 * TILE * STEP - EDGE, 0, -STEP, EDGE / 2 - v0 * TILE * STEP)
    box = GeoBox(size, place, SPHERE)
    common = {"aggregation": "yearly", "frequency": "year", "product": "closed form 1"}
    flags = spec.NPP_FLAG.attrs() | spec.flag_attrs(spec.NPP_FLAGS, "uint8")
    time = [np.datetime64(f"{y}-01-01", "ns") for y in range(years[0], years[1] + 1)]
    arrays = {
        name: lazy(Field(name, dtype, (len(time), *size), (v0 * TILE, h0 * TILE), years[0]), (1, TILE, TILE))
        for name, dtype in (("npp", "f4"), ("npp_flag", "u1"))
    }
    return xr.Dataset(
        {
            "npp": (("time", "y", "x"), arrays["npp"], common | {"units": "g m-2 year-1"}),
            "npp_flag": (("time", "y", "x"), arrays["npp_flag"], common | flags),
        },
        coords={"time": time, **spatial_coords(box)},
    )


def climate(quantity: str, years: tuple[int, int], bounds: tuple[float, float, float, float]) -> xr.Dataset:
    """Give months of climate on 0.1 degrees around some bounds."""
    west, south, east, north = (round(v * 10) for v in bounds)
    west, south, east, north = max(west - 3, -1800), max(south - 3, -900), min(east + 3, 1800), min(north + 3, 900)
    size = north - south, east - west
    box = GeoBox(size, Affine(0.1, 0, west / 10, 0, -0.1, north / 10), "EPSG:4326")
    stamps = np.arange(f"{years[0]}-01", f"{years[1] + 1}-01", dtype="datetime64[M]").astype("datetime64[ns]")
    field = Field(quantity, "f4", (stamps.size, *size), (900 - north, west + 1800), years[0])
    attrs = CLIMATE[quantity] | {"frequency": "month", "product": "closed form 1"}
    return xr.Dataset(
        {quantity: (("time", "latitude", "longitude"), lazy(field, (1, *size)), attrs)},
        coords={"time": stamps, **spatial_coords(box)},
    )


def lazy(field: Field, chunks: tuple[int, ...]) -> Any:
    meta = np.empty((0, 0, 0), field.dtype)
    return da.from_array(field, chunks=chunks, name=False, inline_array=True, meta=meta)


class Field:
    """What dask needs of an array: a shape, a dtype and a window of it; the same whatever the window."""

    def __init__(self, name: str, dtype: str, shape: tuple[int, ...], origin: tuple[int, int], first: int) -> None:
        self.name, self.dtype, self.shape, self.ndim = name, np.dtype(dtype), shape, len(shape)
        self.origin, self.first = origin, first

    def __getitem__(self, key: tuple[Any, ...]) -> Any:
        key = tuple(key) + (slice(None),) * (3 - len(key))
        ranges = [np.arange(n, dtype=np.int32)[k] for n, k in zip(self.shape, key, strict=True)]
        steps, rows, columns = (np.atleast_1d(r) for r in ranges)
        out = np.empty((steps.size, rows.size, columns.size), self.dtype)
        for k, step in enumerate(steps):
            out[k] = self._step(int(step), rows + self.origin[0], columns + self.origin[1])
        return out[tuple(0 if np.ndim(r) == 0 else slice(None) for r in ranges)]

    def _step(self, step: int, rows: Any, columns: Any) -> Any:
        y, x = rows[:, None], columns[None, :]
        if self.name in ("npp", "npp_flag"):
            # a lake every 640 cells; NPP in steps of 0.1, smooth at large with noise at small
            water = ((y // 64) % 10 == 0) & ((x // 64) % 10 == 0)
            if self.name == "npp_flag":
                return np.where(water, np.uint8(6), np.uint8(0))
            raw = (y // 8 + x // 8) % 3000 + (y * 31 + x * 17 + (step + self.first) * 7919) % 251 + 11 * step
            values = raw.astype(np.float32) / np.float32(10)
            values[water] = np.nan
            return values
        season = 12 * np.cos((step % 12 - 6.5) * np.pi / 6)
        wave = np.sin(x / 70 + step // 12 * 0.9) + np.cos(y / 50 - step // 12 * 1.7)
        if self.name == "temperature":
            return (5 + season + wave).astype(np.float32)
        if self.name == "precipitation":
            return (60 + 3 * season + 10 * wave).astype(np.float32)
        return (350 + 10 * season + 20 * wave).astype(np.float32)
