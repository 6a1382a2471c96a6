"""Any CF NetCDF, Zarr or GeoTIFF in geographic coordinates, with what it does not say given by the user."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.sources import files as file_kinds
from nepcube.sources import series
from nepcube.sources.geotiff import open_bands
from nepcube.sources.netcdf import OpenFile, crop, open_file, regular_axes
from nepcube.sources.protocol import Inspection, Request

if TYPE_CHECKING:
    import xarray as xr

_YEAR = re.compile(r"(?<!\d)(19\d{2}|20\d{2})(?!\d)")


class Generic:
    """Files of no product that nepcube knows."""

    name = "generic"
    accepts = (
        "any CF NetCDF, Zarr or GeoTIFF on regular latitude and longitude, with variable, units, time and aggregate"
    )
    quantities = spec.INPUTS
    citation = "as the user's files say"

    def inspect(self, request: Request) -> Inspection:
        """Open every header, refuse what cannot be joined, and list the files."""
        opened = _files(request)
        self._series(opened, request)
        return Inspection(tuple(series.list_granules(opened, lambda f: ", ".join(map(str, f.dataset.data_vars)))))

    def open(self, request: Request) -> xr.Dataset:
        """Give the quantity, lazy, on (time, latitude, longitude)."""
        import xarray as xr

        ds = series.with_crs(xr.Dataset({str(request.quantity): self._series(_files(request), request)}))
        return ds.assign_attrs(product="generic", source=self.citation)

    def _series(self, opened: list[OpenFile], request: Request) -> xr.DataArray:
        path = opened[0].path
        if request.quantity not in spec.INPUTS:
            raise SourceError(
                f"{path}: `generic` must be told the quantity (found: {request.quantity!r}).",
                f"Say one of {', '.join(spec.INPUTS)}.",
            )
        held = [str(v) for v in opened[0].dataset.data_vars]
        name = request.variable or (held[0] if len(held) == 1 else None)
        if name is None or not any(name in f.dataset.data_vars for f in opened):
            raise SourceError(
                f"{path}: which variable is {request.quantity}? (found: {', '.join(held)})", "Say it with `variable:`."
            )
        whole = series.join(opened, name)
        frequency = request.time or series.frequency_of(whole["time"].values)
        if frequency is None:
            raise SourceError(
                f"{path}: the step of {name} cannot be told from its {whole.sizes['time']} time(s).",
                "Say it with `time:` (hour, day, pentad, month or year).",
            )
        aggregation = request.aggregate or _default(request.quantity, frequency)
        if aggregation is None:
            raise SourceError(
                f"{path}: does {name} hold the amount of each {frequency}, or a mean per day?",
                "Say `aggregate: amount` or `aggregate: per_day`.",
            )
        whole = series.of_years(whole, request, aggregation)
        return series.finish(
            whole,
            units=request.units,
            of=f"{path}: {name}",
            aggregation=aggregation,
            frequency=frequency,
            product=f"{os.path.basename(path)} {name}",
        )


def _default(quantity: str, frequency: str) -> str | None:
    if frequency == "year":
        return spec.YEARLY
    return spec.MEAN if quantity == "temperature" else None


def _files(request: Request) -> list[OpenFile]:
    return [_open(path, request) for path in request.paths]


def _open(path: str, request: Request) -> OpenFile:
    import xarray as xr

    kind = file_kinds.require(path, "HDF5", "NetCDF classic", "TIFF", "Zarr")
    if kind in {"HDF5", "NetCDF classic"}:
        return open_file(path, request.bounds)
    if kind == "Zarr":
        ds = xr.open_zarr(path)
        ds = ds.rename({o: n for o, n in (("lat", "latitude"), ("lon", "longitude")) if o in ds.dims})
        if not {"time", "latitude", "longitude"} <= set(ds.dims):
            raise SourceError(
                f"{path}: dimensions time, latitude and longitude are needed (found: {', '.join(map(str, ds.dims))}).",
                "Rename them first.",
            )
        return OpenFile(path, crop(regular_axes(ds, path), request.bounds, path))
    ds, bands = open_bands(path)
    year = _YEAR.search(os.path.basename(path))
    if year is None or len(bands) != 1 or request.time not in (None, "year"):
        raise SourceError(
            f"{path}: a GeoTIFF needs one band and the year in its name.", "Rename it, such as npp_2001.tif."
        )
    ds = ds.assign_coords(time=("time", np.array([f"{year[1]}-01-01"], "datetime64[ns]")))
    name = request.variable or "band_data"
    ds = ds.rename(band_data=name)
    with_frequency = crop(regular_axes(ds, path), request.bounds, path)
    return OpenFile(path, with_frequency)
