"""Classes of a map: natural breaks from all its cells, and the classes that breaks make.

Classes are [lower, upper): a break is the smallest value of the upper class. The outer classes are open.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.stats.binning import Bins, Counts, Full, heavy, settle

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube.stats.schemes import ClassBreaks

NO_CLASS = 255
BINS = 1 << 16


def natural_breaks(
    da: xr.DataArray, k: int = 5, *, weights: xr.DataArray | None = None, tolerance: float = 1e-9
) -> tuple[float, ...]:
    """Find the breaks that make the classes most uniform within (Fisher-Jenks), from all cells.

    Exact where a map has at most 65,536 values. Larger maps are counted in bins that hold a small share of all cells
    each, and the bins at the breaks are divided until the sum of squares within the classes exceeds that of the best
    breaks there by no more than `tolerance` of itself. The result does not depend on chunks.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; NaN is left out. Dask arrays are computed chunk by chunk.
    k : int
        Number of classes.
    weights : xarray.DataArray, optional
        The area of each cell, broadcast against `da`; equal weights when left out.
    tolerance : float
        Of the sum over the breaks of 2 h W (difference of the means beside it), where h and W are the width and the
        weight of the bin at the break, relative to the sum of squares within the classes.

    Returns
    -------
    tuple of float
        The k - 1 inner breaks, rising; each is the smallest value of its upper class.

    Raises
    ------
    SpecError
        There are fewer distinct values than classes.

    References
    ----------
    Fisher, W. D. 1958. J. Am. Stat. Assoc. 53, 789-798. Jenks, G. F. 1977. Optimal data classification for
    choropleth maps. University of Kansas.
    """
    from nepcube.stats import _breaks

    if k < 2:
        raise SpecError(f"natural breaks: {k} class(es).", "Ask for two or more.")
    cells = Cells.of(da, weights)
    if cells.count <= BINS:
        distinct, loads = cells.distinct()
        if distinct.size < k:
            raise SpecError(
                f"natural breaks: {distinct.size} distinct value(s) cannot make {k} classes.", "Ask for fewer classes."
            )
        starts = _breaks.fisher_jenks(distinct, loads, k)
        return tuple(float(distinct[s]) for s in starts[1:])
    return natural_of(cells.counted, k, tolerance)


def natural_of(counted: Callable[[Bins], Counts], k: int, tolerance: float = 1e-9) -> tuple[float, ...]:
    """Find natural breaks of what is counted in bins, block by block; see `natural_breaks`."""
    from nepcube.stats import _breaks

    full = settle(counted, lambda f: _at_the_breaks(f, k, tolerance)).full()
    if full.weight.size < k:
        raise SpecError(
            f"natural breaks: {full.weight.size} distinct value(s) cannot make {k} classes.", "Ask for fewer classes."
        )
    starts = _breaks.fisher_jenks(full.centre, full.weight, k)
    return tuple(float(full.smallest[s]) for s in starts[1:])


def _at_the_breaks(full: Full, k: int, tolerance: float) -> NDArray[np.int64]:
    # the bins to divide: those that hold too much, then those where a break may lie within
    from nepcube.stats import _breaks

    many = heavy(full)
    if (full.largest[many] > full.smallest[many]).any() or full.weight.size < k:
        return many if full.weight.size >= k else np.arange(full.weight.size)
    starts = _breaks.fisher_jenks(full.centre, full.weight, k)
    squares, means = full.squares(starts)
    middles = np.searchsorted(full.smallest, (means[:-1] + means[1:]) / 2, side="right") - 1
    last = full.weight.size - 1
    near = np.array([starts[1:] - 1, starts[1:], *(np.clip(middles + i, 0, last) for i in (-1, 0, 1))])
    ends = full.largest * full.unit - full.smallest * full.unit
    excess = 2 * ends[near] * full.weight[near] * np.diff(means * full.unit)
    if float(excess.max(axis=0).sum()) <= tolerance * squares:
        return np.empty(0, np.int64)
    return near.ravel()


@dataclass(frozen=True)
class Cells:
    """The values and weights of a map, block by block; weights are brought near one by a power of two."""

    blocks: list[tuple[Any, Any]]
    count: int
    scale: float

    @classmethod
    def of(cls, da: xr.DataArray, weights: xr.DataArray | None) -> Cells:
        """Look over the map once."""
        blocks = list(_blocks(da, weights))
        count, heaviest = 0, 0.0
        for block, load in blocks:
            values = _finite(block())
            if values.size:
                count += values.size
                heaviest = max(heaviest, float(np.max(_finite(load()), initial=0.0)))
        if not count or heaviest <= 0.0:
            raise SpecError("natural breaks: the map has no value.", "Check what it was made from.")
        # the fixed point of the counts is made for weights near one; a power of two changes no digit
        return cls(blocks, count, 2.0 ** -np.floor(np.log2(heaviest)))

    def distinct(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the values, rising, and the weight of each, of a map that fits into memory."""
        values = np.concatenate([np.asarray(b(), np.float64).ravel() for b, _ in self.blocks])
        loads = np.concatenate([np.broadcast_to(w(), np.shape(b())).ravel() for b, w in self.blocks]).astype(np.float64)
        good = np.isfinite(values) & (loads > 0)
        found, inverse = np.unique(values[good], return_inverse=True)
        weights: NDArray[np.float64] = np.bincount(inverse, loads[good], minlength=found.size).astype(np.float64)
        return found, weights

    def counted(self, bins: Bins) -> Counts:
        """Count all blocks."""
        total = bins.empty()
        for block, load in self.blocks:
            total.take(block(), np.asarray(load(), np.float64) * self.scale)
        return total


def _finite(values: Any) -> NDArray[np.float64]:
    v = np.asarray(values, np.float64)
    return v[np.isfinite(v)]


def _blocks(da: xr.DataArray, weights: xr.DataArray | None) -> Any:
    import xarray as xr

    loads = xr.ones_like(da, dtype="float64") if weights is None else _on_cells_of(da, weights)
    if da.chunks is None:
        yield (lambda: da.values), (lambda: loads.values)
        return
    edges = [np.cumsum([0, *c]) for c in da.chunks]
    for index in itertools.product(*(range(len(c)) for c in da.chunks)):
        where = {d: slice(int(e[i]), int(e[i + 1])) for d, e, i in zip(da.dims, edges, index, strict=True)}
        yield (lambda w=where: da.isel(w).values), (lambda w=where: loads.isel(w).values)


def _on_cells_of(da: xr.DataArray, weights: xr.DataArray) -> xr.DataArray:
    # a weight belongs to its label, wherever it stands
    for dim in weights.dims:
        if dim not in da.dims:
            raise SpecError(f"natural breaks: the map has no dimension {dim!r}.", "Give weights of its cells.")
        if dim in da.coords and dim in weights.coords:
            a, b = da[dim].values, weights[dim].values
            if not np.array_equal(a, b):
                if a.size != b.size or not np.array_equal(np.sort(a), np.sort(b)):
                    raise SpecError(
                        f"natural breaks: the weights are not on the {dim} of the map.", "Make them for the same grid."
                    )
                weights = weights.sel({dim: a})
    sizes = {str(d): da.sizes[d] for d in da.dims if d not in weights.dims}
    full = weights.drop_vars(list(weights.coords)).expand_dims(sizes).transpose(*da.dims)
    if full.shape != da.shape:
        raise SpecError(f"natural breaks: weights {full.shape} for a map {da.shape}.", "Make them for the same grid.")
    return full


def classify(
    da: xr.DataArray,
    breaks: Sequence[float] | ClassBreaks,
    *,
    labels: Sequence[str] | None = None,
    colors: Sequence[str] | None = None,
) -> xr.DataArray:
    """Put each cell into the class [lower, upper) that its value falls in.

    Parameters
    ----------
    da : xarray.DataArray
    breaks : sequence of float or ClassBreaks
        The inner breaks, rising: n breaks make n + 1 classes, the outer ones open. Those of another region or period
        serve as well; a record's method and domain are kept in the attributes.
    labels : sequence of str, optional
        Names of the classes, from the lowest; the bounds when left out.
    colors : sequence of str, optional
        Hexadecimal colours of the classes, for maps, bars and tables alike.

    Returns
    -------
    xarray.DataArray
        uint8, 0 for the lowest class, 255 where there is no value; names and colours in CF flag attributes, the
        breaks in the attribute ``breaks``. Lazy on dask input.

    Raises
    ------
    SpecError
        The breaks do not rise, or the labels are not one more than the breaks.
    """
    import xarray as xr

    record = None if isinstance(breaks, Sequence | np.ndarray) else breaks
    given = breaks if isinstance(breaks, Sequence | np.ndarray) else breaks.breaks
    inner = np.asarray(given, dtype=np.float64)
    if inner.size == 0 or not np.isfinite(inner).all() or (np.diff(inner) <= 0).any():
        raise SpecError(f"classes: the breaks {list(given)} do not rise.", "Give finite numbers in rising order.")
    if inner.size > NO_CLASS - 1:
        raise SpecError(f"classes: {inner.size + 1} classes are more than {NO_CLASS}.", "Ask for fewer.")
    names = list(labels) if labels is not None else interval_labels(inner)
    if len(names) != inner.size + 1:
        raise SpecError(f"classes: {inner.size + 1} classes, {len(names)} labels.", "Give one label for each class.")

    def into(values: Any) -> Any:
        # float32 values are compared as what they are, against breaks in float64
        index = np.searchsorted(inner, np.asarray(values, np.float64), side="right").astype(np.uint8)
        return np.where(np.isnan(values), np.uint8(NO_CLASS), index)

    out: xr.DataArray = xr.apply_ufunc(into, da, dask="parallelized", output_dtypes=[np.uint8])
    flags = dict(enumerate(names)) | {NO_CLASS: "no data"}
    paint = [*colors, "#d9d9d9"] if colors is not None else None
    out.attrs = {"long_name": f"class of {da.attrs.get('long_name', da.name or 'the map')}", "units": "1"}
    out.attrs |= spec.flag_attrs(flags, "uint8", paint) | {"breaks": inner}
    if record is not None:
        out.attrs |= {"breaks_method": record.method, "breaks_domain": record.domain}
    return out


def interval_labels(breaks: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Name classes by their bounds."""
    b = [f"{v:.4g}" for v in breaks]
    return [f"below {b[0]}", *(f"{a} to {c}" for a, c in itertools.pairwise(b)), f"{b[-1]} and above"]
