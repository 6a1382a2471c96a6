"""One file on regular latitude and longitude: dimensions under our names, coordinates checked, no field read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.axes import crop, regular_axes
from nepcube.sources.files import border
from nepcube.sources.protocol import Bounds
from nepcube.sources.stored import open_stored, undated

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["OpenFile", "crop", "on_axes", "open_file", "regular_axes"]

_DIMS = {
    "valid_time": "time",
    "lat": "latitude",
    "lon": "longitude",
    "y": "latitude",
    "x": "longitude",
    "Y": "latitude",
    "X": "longitude",
}
_AXES = ("time", "latitude", "longitude")


@dataclass(frozen=True)
class OpenFile:
    """A file with its lazy dataset, dims (time, latitude, longitude)."""

    path: str
    dataset: xr.Dataset


def open_file(
    path: str,
    bounds: Bounds | None = None,
    *,
    kind: str | None = None,
    prepare: Callable[[xr.Dataset, str], xr.Dataset] | None = None,
) -> OpenFile:
    """Open a NetCDF file or a Zarr store lazily, to (time, latitude, longitude), longitudes within -180..180.

    Parameters
    ----------
    path : str
    bounds : tuple of float, optional
        West, south, east, north: what is needed of it.
    kind : {"HDF5", "NetCDF classic", "Zarr"}, optional
        What it is, where that is known.
    prepare : callable, optional
        What the reader does to the dataset, as the file holds it, before its axes are looked at.

    Raises
    ------
    SourceError
        The file is neither, is damaged, or has no regular latitude and longitude.
    """
    return on_axes(open_stored(path, kind=kind), path, bounds, prepare=prepare)


def on_axes(
    ds: xr.Dataset,
    path: str,
    bounds: Bounds | None = None,
    *,
    prepare: Callable[[xr.Dataset, str], xr.Dataset] | None = None,
) -> OpenFile:
    """Bring a dataset to (time, latitude, longitude), check its axes and keep what the bounds need."""
    with border(path):
        return _on_axes(prepare(ds, path) if prepare else ds, path, bounds)


def _on_axes(ds: xr.Dataset, path: str, bounds: Bounds | None) -> OpenFile:
    names = {old: new for old, new in _DIMS.items() if (old in ds.dims or old in ds.coords) and new not in ds.variables}
    ds = ds.rename(names)
    for name in ("latitude", "longitude"):
        if name not in ds.coords or ds[name].dims != (name,):
            raise SourceError(
                f"{path}: no one-dimensional {name} (dimensions: {', '.join(map(str, ds.dims))}).",
                "Use the product's regular latitude-longitude files.",
            )
    ds = _without_members(ds, path)
    if "time" not in ds.dims:
        if "time" not in ds.coords:
            raise SourceError(f"{path}: there is no time axis.", "Use the file as the provider made it.")
        ds = ds.expand_dims("time")
    if not np.issubdtype(ds["time"].dtype, np.datetime64):
        raise undated(path, ds["time"].attrs.get("units", ds["time"].encoding.get("units")))
    if not ds.sizes["time"] or bool(np.isnat(ds["time"].values).any()):
        raise SourceError(f"{path}: its time axis is empty or has missing dates.", "Download the file again.")
    ds = regular_axes(_maps(ds, path), path)
    return OpenFile(path, crop(ds, bounds, path))


def _maps(ds: xr.Dataset, path: str) -> xr.Dataset:
    # variables on all three axes, and nothing beside them but what has no map (grid mappings, bounds)
    for name, v in ds.data_vars.items():
        if {"latitude", "longitude"} <= set(v.dims) and set(v.dims) - set(_AXES):
            extra = ", ".join(f"{d} ({ds.sizes[d]})" for d in v.dims if d not in _AXES)
            raise SourceError(
                f"{path}: {name} has the further dimension {extra}.", "Use files with one map of each variable a step."
            )
    held = [n for n, v in ds.data_vars.items() if {"latitude", "longitude"} <= set(v.dims)]
    fixed = [n for n in held if "time" not in ds[n].dims]
    return ds[held].drop_vars(fixed)


def _without_members(ds: xr.Dataset, path: str) -> xr.Dataset:
    if "number" in ds.dims:
        if ds.sizes["number"] > 1:
            raise SourceError(
                f"{path}: {ds.sizes['number']} ensemble members.", "Download the reanalysis itself, not its ensemble."
            )
        ds = ds.isel(number=0)
    extra = [d for d in ds.dims if d not in (*_AXES, "bnds", "nv", "bounds")]
    for name in extra:
        if ds.sizes[name] == 1:
            ds = ds.isel({name: 0}, drop=True)
    return ds
