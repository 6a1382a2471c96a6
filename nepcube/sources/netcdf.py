"""One NetCDF file: the engine by its first bytes, dimensions under our names, coordinates checked, nothing read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.files import damaged, require
from nepcube.sources.protocol import Bounds

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_DIMS = {
    "valid_time": "time",
    "lat": "latitude",
    "lon": "longitude",
    "y": "latitude",
    "x": "longitude",
    "Y": "latitude",
    "X": "longitude",
}
_CHUNK_BYTES = 32 * 2**20
# cells kept around the bounds, so that interpolation has neighbours
_MARGIN = 2


@dataclass(frozen=True)
class OpenFile:
    """A file with its lazy dataset, dims (time, latitude, longitude)."""

    path: str
    dataset: xr.Dataset


def open_file(path: str, bounds: Bounds | None = None) -> OpenFile:
    """Open a NetCDF file lazily and bring it to (time, latitude, longitude), longitudes within -180..180.

    Raises
    ------
    SourceError
        The file is no NetCDF, is damaged, or has no regular latitude and longitude.
    """
    import xarray as xr

    kind = require(path, "HDF5", "NetCDF classic")
    engine: Any = "h5netcdf" if kind == "HDF5" else "netcdf4"
    try:
        with xr.open_dataset(path, engine=engine, decode_timedelta=False) as probe:
            chunks = _chunks(probe)
        ds = xr.open_dataset(path, engine=engine, chunks=chunks, decode_timedelta=False)
    except (OSError, ValueError, KeyError, RuntimeError, IndexError) as error:
        raise damaged(path, error) from None
    names = {old: new for old, new in _DIMS.items() if (old in ds.dims or old in ds.coords) and new not in ds.variables}
    ds = ds.rename(names)
    for name in ("latitude", "longitude"):
        if name not in ds.coords or ds[name].ndim != 1:
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
        raise SourceError(
            f"{path}: its time axis cannot be read as dates (units: "
            f"{ds['time'].attrs.get('units', ds['time'].encoding.get('units'))!r}).",
            "Use a standard calendar and units such as 'days since 1980-01-01'.",
        )
    if not ds.sizes["time"] or bool(np.isnat(ds["time"].values).any()):
        raise SourceError(f"{path}: its time axis is empty or has missing dates.", "Download the file again.")
    ds = regular_axes(ds, path)
    return OpenFile(path, crop(ds, bounds, path))


def _chunks(ds: xr.Dataset) -> dict[Any, Any]:
    # whole maps, and as many steps as make a chunk of a few tens of megabytes, in multiples of the file's own chunk
    time = next((d for d in ("valid_time", "time") if d in ds.dims), None)
    chunks: dict[Any, Any] = dict.fromkeys(ds.dims, -1)
    if time is None:
        return chunks
    cells = max((v.size // max(ds.sizes[time], 1) for v in ds.data_vars.values() if time in v.dims), default=1)
    step = 1
    for v in ds.data_vars.values():
        stored = v.encoding.get("chunksizes")
        if stored and time in v.dims:
            step = max(step, int(stored[v.dims.index(time)]))
    chunks[time] = max(step, _CHUNK_BYTES // max(4 * cells, 1) // step * step)
    return chunks


def _without_members(ds: xr.Dataset, path: str) -> xr.Dataset:
    if "number" in ds.dims:
        if ds.sizes["number"] > 1:
            raise SourceError(
                f"{path}: {ds.sizes['number']} ensemble members.", "Download the reanalysis itself, not its ensemble."
            )
        ds = ds.isel(number=0)
    if "expver" in ds.dims:
        # the old layout: one plane of final data (1), one of preliminary data (5), each missing where the other is
        versions = [str(v).lstrip("0") for v in ds["expver"].values]
        if not set(versions) <= {"1", "5"}:
            raise SourceError(f"{path}: experiment versions {versions}; 1 and 5 are known.", "Download the file again.")
        planes = [ds.isel(expver=i) for i in np.argsort(versions)]
        merged = planes[0].drop_vars("expver")
        for plane in planes[1:]:
            merged = merged.fillna(plane.drop_vars("expver"))
        ds = merged.assign({n: merged[n].assign_attrs(ds[n].attrs) for n in merged.data_vars})
    extra = [d for d in ds.dims if d not in ("time", "latitude", "longitude", "bnds", "nv", "bounds")]
    for name in extra:
        if ds.sizes[name] == 1:
            ds = ds.isel({name: 0}, drop=True)
    return ds


def regular_axes(ds: xr.Dataset, path: str) -> xr.Dataset:
    """Check that both axes are regular, and give longitudes from -180 to 180 in rising order."""
    import xarray as xr

    lon = ds["longitude"].values.astype(float)
    if lon.size and (lon.max() > 180 or (lon < -180).any()):
        wrapped = (lon + 180) % 360 - 180
        # 0..360 becomes two runs, each in order: no value moves, only the order of the runs
        order = np.argsort(wrapped, kind="stable")
        cut = int(order[0])
        if not np.array_equal(order, np.roll(np.arange(lon.size), -cut)):
            raise SourceError(f"{path}: its longitudes are out of order.", "Download the file again.")
        ds = ds.assign_coords(longitude=("longitude", wrapped, ds["longitude"].attrs))
        if cut:
            ds = xr.concat(
                [ds.isel(longitude=slice(cut, None)), ds.isel(longitude=slice(0, cut))],
                dim="longitude",
                data_vars="minimal",
                coords="minimal",
                compat="override",
                join="override",
                combine_attrs="override",
            )
    for name in ("latitude", "longitude"):
        ds = ds.assign_coords({name: (name, _regular(ds[name].values, name, path), ds[name].attrs)})
    return ds


def _regular(values: NDArray[Any], name: str, path: str) -> NDArray[np.float64]:
    v = values.astype(np.float64)
    if v.size == 0 or not np.isfinite(v).all():
        raise SourceError(f"{path}: {name} has missing values.", "Download the file again.")
    if v.size == 1:
        return v
    step = (v[-1] - v[0]) / (v.size - 1)
    straight = v[0] + step * np.arange(v.size)
    if step == 0 or np.abs(v - straight).max() > 0.02 * abs(step):
        raise SourceError(
            f"{path}: {name} is not regular.", "Use the product's regular latitude-longitude files, or regrid first."
        )
    # float32 coordinates of a lattice of tenths or twentieths: give back the exact decimals
    decimals = np.round(v, 4)
    if np.abs(decimals - v).max() < 2e-5 and abs(round(step, 4) - step) < 1e-6:
        start = round(float(decimals[0]), 4)
        exact = start + round(step, 4) * np.arange(v.size)
        if np.abs(exact - v).max() < 1e-4:
            return np.asarray(np.round(exact, 6), np.float64)
    return v


def _around(ds: xr.Dataset, west: float, east: float) -> xr.Dataset:
    # a file that goes round the globe has no edge at the antimeridian: its ends are repeated on the other side
    import xarray as xr

    lon = ds["longitude"].values
    n = lon.size
    step = abs(lon[1] - lon[0]) if n > 1 else 0.0
    if n < 8 or abs(n * step - 360.0) > 0.5 * step:
        return ds
    k = _MARGIN + 2
    if lon.min() - step / 2 <= west - k * step and lon.max() + step / 2 >= east + k * step:
        return ds
    turn = 360.0 if lon[0] < lon[-1] else -360.0
    parts = [
        ds.isel(longitude=slice(n - k, n)).assign_coords(longitude=lon[n - k :] - turn),
        ds,
        ds.isel(longitude=slice(0, k)).assign_coords(longitude=lon[:k] + turn),
    ]
    return xr.concat(
        parts, dim="longitude", data_vars="minimal", coords="minimal", compat="override", join="override",
        combine_attrs="override",
    )  # fmt: skip


def crop(ds: xr.Dataset, bounds: Bounds | None, path: str) -> xr.Dataset:
    """Keep the cells that the bounds touch, with a margin for interpolation.

    Raises
    ------
    SourceError
        The file ends short of the bounds.
    """
    if bounds is None:
        return ds
    west, south, east, north = bounds
    ds = _around(ds, west, east)
    windows = {}
    for name, low, high in (("latitude", south, north), ("longitude", west, east)):
        v = ds[name].values
        half = abs(v[1] - v[0]) / 2 if v.size > 1 else 0.05
        edge_low, edge_high = v.min() - half, v.max() + half
        if edge_low > low + 1e-9 + half * 1e-3 or edge_high < high - 1e-9 - half * 1e-3:
            raise SourceError(
                f"{path}: {name} runs from {edge_low:.4g} to {edge_high:.4g}, the grid needs {low:.6g} to {high:.6g}.",
                "Download a larger area, or make `grid.bounds` smaller.",
            )
        inside = np.flatnonzero((v >= low - (1 + _MARGIN) * 2 * half) & (v <= high + (1 + _MARGIN) * 2 * half))
        windows[name] = slice(int(inside[0]), int(inside[-1]) + 1)
    return ds.isel(windows)
