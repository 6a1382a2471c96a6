"""Area-weighted sums by group: exact, mergeable, of the groups that occur only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import RegionError, SpecError
from nepcube.regions.members import Members

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_FINE_OVER_COARSE = 1 << 30
_FINE = 1 << 50
# counts of the coarse unit that a float64 holds as they are
_HELD = 1 << 53


def exact(parts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Turn fixed-point sums (..., 2) into the nearest float64."""
    coarse = parts[..., 0] + (parts[..., 1] >> 30)
    fine = parts[..., 1] & (_FINE_OVER_COARSE - 1)
    # both terms are float64 numbers, so that their sum is rounded once
    out = np.asarray(coarse / 2.0**20 + fine / 2.0**50, np.float64)
    large = np.abs(coarse) >= _HELD
    if large.any():
        whole = zip(coarse[large].tolist(), fine[large].tolist(), strict=True)
        out[large] = [(c * _FINE_OVER_COARSE + f) / _FINE for c, f in whole]
    return out


@dataclass(frozen=True)
class YearSums:
    """Cells, areas and totals by (kind, group, year) of the groups `labels`, which ascend.

    Kinds are all values, those above and those below zero.
    """

    labels: NDArray[np.int64]
    cells: NDArray[np.int64]
    area: NDArray[np.int64]
    total: NDArray[np.int64]

    @classmethod
    def of(cls, values: Any, members: Members, areas: Any, counts: Any) -> YearSums:
        """Sum one block: values (t, y, x), counts (y, x) of whether a cell counts, areas (y,) or (y, x) in km2."""
        from nepcube.regions import _kernels

        values = np.ascontiguousarray(values)
        cells, area, total = _kernels.year_sums(
            values.reshape(values.shape[0], -1),
            members.starts,
            members.lengths,
            members.which,
            members.shares,
            _full(areas, values.shape[1:]),
            np.ascontiguousarray(counts).ravel(),
            members.labels.size,
        )
        return cls(members.labels, cells, area, total)

    def widened(self, labels: NDArray[np.int64]) -> YearSums:
        """Give the sums with more groups, which have nothing yet."""
        every = np.union1d(self.labels, labels)
        at = np.searchsorted(every, self.labels)

        def wide(part: NDArray[np.int64]) -> NDArray[np.int64]:
            out = np.zeros((part.shape[0], every.size, *part.shape[2:]), np.int64)
            out[:, at] = part
            return out

        return YearSums(every, wide(self.cells), wide(self.area), wide(self.total))

    def __add__(self, other: YearSums) -> YearSums:
        out = self.widened(other.labels)
        out += other
        return out

    def __iadd__(self, other: YearSums) -> YearSums:
        # in place, unless there are more groups
        out = self if np.isin(other.labels, self.labels).all() else self.widened(other.labels)
        at = np.searchsorted(out.labels, other.labels)
        for mine, more in ((out.cells, other.cells), (out.area, other.area), (out.total, other.total)):
            mine[:, at] += more
        return out

    def over(self, members: NDArray[np.int64]) -> tuple[Any, Any, Any]:
        """Merge some groups: cells (3, t), areas and totals (3, t) as float64."""
        cells, area, total = self.over_each([members])
        return cells[:, 0], area[:, 0], total[:, 0]

    def over_each(self, groups: Sequence[NDArray[np.int64]]) -> tuple[Any, Any, Any]:
        """Merge some groups for each of many rows: cells (3, rows, t), areas and totals (3, rows, t) as float64."""
        rows = [_places(self.labels, members) for members in groups]

        def merged(part: NDArray[np.int64]) -> NDArray[np.int64]:
            out = np.empty((part.shape[0], len(rows), *part.shape[2:]), np.int64)
            for k, at in enumerate(rows):
                out[:, k] = part[:, at].sum(axis=1)
            return out

        return merged(self.cells), exact(merged(self.area)), exact(merged(self.total))


@dataclass(frozen=True)
class ClassSums:
    """Areas by (group, code) of the groups `labels` and the codes `codes`, both of which ascend."""

    labels: NDArray[np.int64]
    codes: NDArray[np.int64]
    area: NDArray[np.int64]

    @classmethod
    def of(cls, classes: Any, members: Members, areas: Any) -> ClassSums:
        """Sum one block: classes uint8 (y, x), areas (y,) or (y, x) in km2."""
        from nepcube.regions import _kernels

        classes = np.ascontiguousarray(classes, np.uint8)
        codes = np.flatnonzero(np.bincount(classes.ravel(), minlength=256))
        places = np.zeros(256, np.int64)
        places[codes] = np.arange(codes.size)
        area = _kernels.class_sums(
            classes.ravel(),
            places,
            members.starts,
            members.lengths,
            members.which,
            members.shares,
            _full(areas, classes.shape),
            members.labels.size,
            codes.size,
        )
        return cls(members.labels, codes, area)

    def widened(self, labels: NDArray[np.int64], codes: NDArray[np.int64] | None = None) -> ClassSums:
        """Give the sums with more groups and codes, which have nothing yet."""
        labels = np.union1d(self.labels, labels)
        codes = self.codes if codes is None else np.union1d(self.codes, codes)
        area = np.zeros((labels.size, codes.size, 2), np.int64)
        area[np.ix_(np.searchsorted(labels, self.labels), np.searchsorted(codes, self.codes))] = self.area
        return ClassSums(labels, codes, area)

    def __add__(self, other: ClassSums) -> ClassSums:
        out = self.widened(other.labels, other.codes)
        out += other
        return out

    def __iadd__(self, other: ClassSums) -> ClassSums:
        # in place, unless there are more groups or codes
        here = np.isin(other.labels, self.labels).all() and np.isin(other.codes, self.codes).all()
        out = self if here else self.widened(other.labels, other.codes)
        at = np.ix_(np.searchsorted(out.labels, other.labels), np.searchsorted(out.codes, other.codes))
        out.area[at] += other.area
        return out

    def over(self, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Merge some groups: areas of the 256 codes in km2."""
        out = np.zeros(256)
        out[self.codes] = exact(self.area[_places(self.labels, members)].sum(axis=0))
        return out

    def over_each(self, groups: Sequence[NDArray[np.int64]], codes: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Merge some groups for each of many rows, and some codes for each column: areas (rows, columns) in km2."""
        columns = [_places(self.codes, np.asarray(each, np.int64)) for each in codes]
        out = np.empty((len(groups), len(columns), 2), np.int64)
        for k, members in enumerate(groups):
            merged = self.area[_places(self.labels, members)].sum(axis=0)
            for c, at in enumerate(columns):
                out[k, c] = merged[at].sum(axis=0)
        return exact(out)

    def whole(self, members: NDArray[np.int64]) -> float:
        """Give the area of some groups, all codes together."""
        return float(self.whole_each([members])[0])

    def whole_each(self, groups: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Give the area of each of many rows, all codes together."""
        return self.over_each(groups, [self.codes.tolist()])[:, 0]


def _places(have: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    # where what is wanted stands; what is not there has nothing
    at = np.searchsorted(have, wanted)
    return at[np.append(have, -1)[at] == wanted] if have.size else at[:0]


def _full(areas: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    areas = np.asarray(areas, np.float64)
    return np.ascontiguousarray(np.broadcast_to(areas[:, None] if areas.ndim == 1 else areas, shape)).ravel()


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
        members = Members.of_labels(labels.isel(where).values, outside=False)
        part = YearSums.of(values, members, areas.isel(where).values / by_area, counts)
        total = part if total is None else total + part
    if total is None:
        raise RegionError("The map has no cell.", "Give a map.")
    cells, area, sums = (part[0] for part in total.over_each([np.array([k]) for k in range(1, top + 1)]))
    area, sums = area * by_area, sums * (by_area * by_value)
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
