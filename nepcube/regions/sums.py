"""Area-weighted sums by region: exact, mergeable, small."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import RegionError, SpecError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_FINE_OVER_COARSE = 1 << 30
_FINE = 1 << 50


def exact(parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn fixed-point sums (..., 2) into the nearest float64."""
    flat = parts.reshape(-1, 2)
    out = np.array([(int(c) * _FINE_OVER_COARSE + int(f)) / _FINE for c, f in flat], np.float64)
    return out.reshape(parts.shape[:-1])


@dataclass(frozen=True)
class YearSums:
    """Cells, areas and totals by (kind, region, year); kinds are all values, those above and those below zero.

    Region 0 is what lies outside all regions.
    """

    cells: NDArray[np.int64]
    area: NDArray[np.int64]
    total: NDArray[np.int64]

    @classmethod
    def of(cls, values: Any, labels: Any, areas: Any, counts: Any, regions: int) -> YearSums:
        """Sum one block: values (t, y, x), labels and counts (y, x), areas (y,) or (y, x) in km2."""
        from nepcube.regions import _kernels

        labels = np.ascontiguousarray(labels)
        cells, area, total = _kernels.year_sums(
            np.ascontiguousarray(values),
            labels,
            _full(areas, labels.shape),
            np.ascontiguousarray(counts),
            regions + 1,
        )
        return cls(cells, area, total)

    def __add__(self, other: YearSums) -> YearSums:
        return YearSums(self.cells + other.cells, self.area + other.area, self.total + other.total)

    def over(self, members: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        """Merge some regions: cells (3, t), areas and totals (3, t) as float64."""
        return (
            self.cells[:, members].sum(axis=1),
            exact(self.area[:, members].sum(axis=1)),
            exact(self.total[:, members].sum(axis=1)),
        )


@dataclass(frozen=True)
class ClassSums:
    """Areas by (region, code)."""

    area: NDArray[np.int64]

    @classmethod
    def of(cls, classes: Any, labels: Any, areas: Any, regions: int) -> ClassSums:
        """Sum one block: classes uint8 and labels (y, x), areas (y,) or (y, x) in km2."""
        from nepcube.regions import _kernels

        labels = np.ascontiguousarray(labels)
        return cls(_kernels.class_sums(np.ascontiguousarray(classes), labels, _full(areas, labels.shape), regions + 1))

    def __add__(self, other: ClassSums) -> ClassSums:
        return ClassSums(self.area + other.area)

    def over(self, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Merge some regions: areas of the 256 codes in km2."""
        return exact(self.area[members].sum(axis=0))

    def whole(self, members: NDArray[np.int64]) -> float:
        """Give the area of some regions, all codes together."""
        return float(exact(self.area[members].sum(axis=(0, 1))[None])[0])


def _full(areas: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    areas = np.asarray(areas, np.float64)
    return np.ascontiguousarray(np.broadcast_to(areas[:, None] if areas.ndim == 1 else areas, shape))


def aggregate(da: xr.DataArray, labels: xr.DataArray, *, weights: xr.DataArray) -> xr.Dataset:
    """Average a map or a series of maps over regions, weighted by area.

    Sums are exact, so that the result does not depend on chunks; dask arrays are computed block by block.

    Parameters
    ----------
    da : xarray.DataArray
        Dims (time, y, x) or (y, x); NaN is left out.
    labels : xarray.DataArray
        Integers on the same cells, as `label_regions` makes them; 0 is outside.
    weights : xarray.DataArray
        The area of each cell in km2, as `cell_area` gives it.

    Returns
    -------
    xarray.Dataset
        `mean`, `total` (value times km2), `area` (km2 with data) and `cells` by region (and time).

    Raises
    ------
    RegionError
        The labels are not on the cells of the map.
    SpecError
        The dimensions do not fit, or a value is infinite.
    """
    import xarray as xr

    spatial = tuple(labels.dims)
    if len(spatial) != 2 or not set(spatial) <= set(da.dims) or set(da.dims) - set(spatial) - {"time"}:
        raise SpecError(
            f"aggregate: the map has dims {tuple(da.dims)}, the labels {spatial}.", "Give (time, y, x) or (y, x)."
        )
    try:
        xr.align(da.isel(time=0) if "time" in da.dims else da, labels, weights, join="exact", copy=False)
    except ValueError as error:
        raise RegionError(f"The labels are not on the cells of the map ({error}).", "Label the same grid.") from None
    cube = da if "time" in da.dims else da.expand_dims("time")
    cube = cube.transpose("time", *spatial)
    areas = weights.broadcast_like(labels).transpose(*spatial)
    top = int(labels.max())
    names = _names(labels, top)
    rows, columns = cube.chunks[1:] if cube.chunks is not None else ((cube.shape[1],), (cube.shape[2],))
    blocks = [
        {spatial[0]: slice(y0, y1), spatial[1]: slice(x0, x1)} for y0, y1 in _edges(rows) for x0, x1 in _edges(columns)
    ]
    largest = max((_largest(cube.isel(where).values) for where in blocks), default=0.0)
    # the fixed point is made for products near one; powers of two change no digit
    by_value, by_area = _power_above(largest), _power_above(_largest(areas.values))
    total: YearSums | None = None
    for where in blocks:
        values = cube.isel(where).values.astype(np.float64) / by_value
        counts = np.ones(values.shape[1:], np.bool_)
        part = YearSums.of(values, labels.isel(where).values, areas.isel(where).values / by_area, counts, top)
        total = part if total is None else total + part
    if total is None:
        raise RegionError("The map has no cell.", "Give a map.")
    cells, area = total.cells[0, 1:], exact(total.area[0, 1:]) * by_area
    sums = exact(total.total[0, 1:]) * (by_area * by_value)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(area > 0, sums / area, np.nan)
    units = str(da.attrs.get("units", "1"))
    ds = xr.Dataset(
        {
            "mean": (("region", "time"), means, {"units": units, "cell_methods": "area: mean"}),
            "total": (("region", "time"), sums, {"units": f"{units} km2"}),
            "area": (("region", "time"), area, {"units": "km2", "long_name": "area with data"}),
            "cells": (("region", "time"), cells, {"units": "1"}),
        },
        coords={"region": names},
    )
    if "time" in da.coords and "time" in da.dims:
        ds = ds.assign_coords(time=da["time"])
    return ds if "time" in da.dims else ds.isel(time=0, drop=True)


def _largest(values: Any) -> float:
    if np.isinf(values).any():
        raise SpecError("aggregate: the map has infinite values.", "Mask them first: they have no mean.")
    return float(np.nanmax(np.abs(values), initial=0.0))


def _power_above(value: float) -> float:
    return float(2.0 ** np.ceil(np.log2(value))) if value > 0 else 1.0


def _edges(chunks: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = np.cumsum([0, *chunks]).tolist()
    return list(itertools.pairwise(ends))


def _names(labels: xr.DataArray, top: int) -> list[Any]:
    given = labels.attrs.get("names")
    if given is not None and len(given) >= top:
        return [str(name) for name in list(given)[:top]]
    meanings = str(labels.attrs.get("flag_meanings", "")).split(" ")
    values = np.asarray(labels.attrs.get("flag_values", [])).tolist()
    known = dict(zip(values, meanings, strict=False))
    return [str(known.get(k, k)).replace("_", " ") for k in range(1, top + 1)]
