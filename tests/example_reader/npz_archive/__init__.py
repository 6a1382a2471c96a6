"""A reader of monthly rain in NumPy archives, one a year: `rain_2001.npz` with rain, latitude and longitude."""

from __future__ import annotations

import os
import re
import zipfile

import dask.array as da
import numpy as np
import xarray as xr

from nepcube.errors import SourceError
from nepcube.grid import spatial_coords
from nepcube.sources import Finding, Granule, Inspection, Request


class NpzArchive:
    """Monthly rain, mm, float32 (month, latitude, longitude), NaN where there is none."""

    name = "npz-archive"
    accepts = "NumPy archives, one a year, named rain_YYYY.npz"
    quantities = ("precipitation",)
    citation = "the example of docs/readers.md"

    def inspect(self, request: Request) -> Inspection:
        granules, findings = [], []
        for path in request.paths:
            try:
                year, _, _ = header(path)
            except SourceError as error:
                findings.append(Finding("broken", path, error.what.removeprefix(f"{path}: "), error.way_out))
                continue
            granules.append(Granule(path, os.path.getsize(path), f"{year}-01-01", f"{year}-12-01", "rain"))
        return Inspection(tuple(granules), tuple(findings))

    def open(self, request: Request) -> xr.Dataset:
        wanted = request.years or (0, 9999)
        headers = sorted((header(path), path) for path in request.paths)
        kept = [(h, path) for h, path in headers if wanted[0] <= h[0] <= wanted[1]]
        if not kept:
            raise SourceError(f"{request.paths[0]}: no file of these years.", "Download them, or change `period`.")
        (_, shape, box), _ = kept[0]
        for (_, other, place), path in kept:
            if (other, place) != (shape, box):
                raise SourceError(f"{path}: is on another grid.", "Use files of one grid.")
        years = [
            da.from_array(Rain(path, (12, *shape)), chunks=(12, *shape), name=False, meta=np.empty((0, 0, 0), "f4"))
            for _, path in kept
        ]
        starts = [np.datetime64(f"{h[0]}-{m:02d}-01", "ns") for h, _ in kept for m in range(1, 13)]
        rain = xr.DataArray(
            da.concatenate(years),
            dims=("time", "latitude", "longitude"),
            coords={"time": starts, **spatial_coords(geobox(shape, box))},
            attrs={"units": "mm", "aggregation": "amount", "frequency": "month", "product": "npz example 1.0"},
        )
        return xr.Dataset({"precipitation": rain})


class Rain:
    """What dask needs of an array: a shape, a dtype and a window of it."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        self.path, self.shape, self.ndim, self.dtype = path, shape, len(shape), np.dtype("f4")

    def __getitem__(self, key):
        try:
            with np.load(self.path) as archive:
                return archive["rain"][key]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise SourceError(f"{self.path}: cannot be read ({error}).", "Make the archive again.") from None


def header(path: str):
    """Give the year, the shape of a map and its place (north, west, step) without reading the rain."""
    year = re.search(r"rain_(\d{4})\.npz$", path)
    if year is None:
        raise SourceError(f"{path}: no year in its name.", "Name it rain_YYYY.npz.")
    try:
        with np.load(path) as archive:
            latitude, longitude = archive["latitude"], archive["longitude"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise SourceError(f"{path}: cannot be read ({error}).", "Make the archive again.") from None
    step = round(float(latitude[0] - latitude[-1]) / (latitude.size - 1), 6)
    place = (round(float(latitude[0]) + step / 2, 6), round(float(longitude[0]) - step / 2, 6), step)
    return int(year[1]), (latitude.size, longitude.size), place


def geobox(shape, place):
    from affine import Affine
    from odc.geo.geobox import GeoBox

    north, west, step = place
    return GeoBox(shape, Affine(step, 0, west, 0, -step, north), "EPSG:4326")
