"""Latitude and longitude: regular, longitudes from -180 to 180 in rising order, cropped to some bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.protocol import Bounds

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

# cells kept around the bounds, so that interpolation has neighbours
_MARGIN = 2


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


def straight(values: NDArray[Any], name: str, path: str) -> NDArray[np.float64]:
    """Refuse an axis that is not regular.

    Raises
    ------
    SourceError
    """
    v = values.astype(np.float64)
    if v.size == 0 or not np.isfinite(v).all():
        raise SourceError(f"{path}: {name} has missing values.", "Download the file again.")
    step = (v[-1] - v[0]) / max(v.size - 1, 1)
    if v.size > 1 and (step == 0 or np.abs(v[0] + step * np.arange(v.size) - v).max() > 0.02 * abs(step)):
        raise SourceError(f"{path}: {name} is not regular.", "Use files on a regular grid, or regrid them first.")
    return v


def _regular(values: NDArray[Any], name: str, path: str) -> NDArray[np.float64]:
    v = straight(values, name, path)
    if v.size == 1:
        return v
    step = (v[-1] - v[0]) / (v.size - 1)
    # float32 coordinates of a lattice of tenths or twentieths: give back the exact decimals
    decimals = np.round(v, 4)
    if np.abs(decimals - v).max() < 2e-5 and abs(round(step, 4) - step) < 1e-6:
        start = round(float(decimals[0]), 4)
        exact = start + round(step, 4) * np.arange(v.size)
        if np.abs(exact - v).max() < 1e-4:
            return np.asarray(np.round(exact, 6), np.float64)
    return v


def is_spaced(ds: xr.Dataset, step: float) -> bool:
    """Tell whether both axes have a spacing, within a hundredth of it."""
    for name in ("latitude", "longitude"):
        v = ds[name].values
        if v.size > 1 and abs(abs(v[-1] - v[0]) / (v.size - 1) - step) > 0.01 * step:
            return False
    return True


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
