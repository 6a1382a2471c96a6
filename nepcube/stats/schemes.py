"""Where classes divide: natural breaks, quantiles, equal intervals, standard deviations, or by hand, as a record."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats.binning import Bins, Counts, Full, heavy, settle
from nepcube.stats.classes import Cells, natural_breaks, natural_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

Counted = Callable[[Bins], Counts]

METHODS = ("natural-breaks", "quantile", "equal-interval", "standard-deviation", "manual")


@dataclass(frozen=True)
class ClassBreaks:
    """Breaks, and what they were made from; for `classify`, on this map or on that of another region or period.

    `goodness` is the goodness of variance fit of the map that they were made from: 1 - (sum of squares within the
    classes) / (sum of squares about the mean).
    """

    breaks: tuple[float, ...]
    method: str
    k: int
    goodness: float
    domain: str


def class_breaks(
    da: xr.DataArray,
    method: str = "natural-breaks",
    k: int = 5,
    *,
    weights: xr.DataArray | None = None,
    breaks: Sequence[float] | None = None,
    domain: str = "",
) -> ClassBreaks:
    """Find the breaks of a map's classes, from all its cells.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; what is not finite is left out. Dask arrays are computed chunk by chunk, a few times.
    method : {"natural-breaks", "quantile", "equal-interval", "standard-deviation", "manual"}
        ``manual`` records `breaks` as they are given.
    k : int
        Number of classes; of ``manual``, one more than the breaks.
    weights : xarray.DataArray, optional
        The area of each cell, broadcast against `da`; equal weights when left out.
    breaks : sequence of float, optional
        For ``manual`` alone.
    domain : str
        What the map covers, in words, to be stored with the breaks.

    Returns
    -------
    ClassBreaks
        The breaks, the method, k, the goodness of variance fit and the domain.

    Raises
    ------
    SpecError
        The method is not known, the map has too few values, or the breaks of ``manual`` do not rise.
    """
    if method not in METHODS:
        raise SpecError(f"{method!r} is not a method of breaks.", f"Use one of {', '.join(METHODS)}.")
    if (breaks is None) == (method == "manual"):
        raise SpecError(
            "class breaks: `breaks` and the method 'manual' belong together.", "Give both, or neither of the two."
        )
    if breaks is not None:
        inner = tuple(float(b) for b in breaks)
        if not inner or not np.isfinite(inner).all() or (np.diff(inner) <= 0).any():
            raise SpecError(f"classes: the breaks {list(breaks)} do not rise.", "Give finite numbers in rising order.")
    else:
        found: dict[str, Callable[..., tuple[float, ...]]] = {
            "natural-breaks": natural_breaks,
            "quantile": quantile_breaks,
            "equal-interval": equal_interval_breaks,
            "standard-deviation": standard_deviation_breaks,
        }
        inner = found[method](da, k, weights=weights)
    return ClassBreaks(inner, method, len(inner) + 1, goodness_of_fit(da, inner, weights=weights), domain)


def quantile_breaks(da: xr.DataArray, k: int = 5, *, weights: xr.DataArray | None = None) -> tuple[float, ...]:
    """Find the breaks that give each class the same share of the weight, as nearly as whole values allow.

    The i-th break is the smallest value below which at least i / k of the weight lies: exact, without interpolation.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; what is not finite is left out.
    k : int
        Number of classes.
    weights : xarray.DataArray, optional
        The area of each cell, broadcast against `da`; equal weights when left out.

    Returns
    -------
    tuple of float
        The k - 1 inner breaks, rising; each is the smallest value of its upper class.

    Raises
    ------
    SpecError
        One value has so much weight that two breaks fall on it, or none is left above.
    """
    _require(k)
    return _quantiles(Cells.of(da, weights).counted, k)


def _quantiles(counted: Counted, k: int) -> tuple[float, ...]:
    def crossing(full: Full) -> NDArray[np.int64]:
        # the first bin behind which enough lies, in whole numbers; the break is its first value or the next bin's
        behind = [int(v) for v in np.cumsum(full.units.astype(object))]
        at = np.searchsorted(np.array([b * k for b in behind], object), [i * behind[-1] for i in range(1, k)])
        return np.asarray(at, np.int64)

    full = settle(counted, crossing).full()
    first = crossing(full) + 1
    # a break is the value after the one that fills up the share
    inner = [float(full.smallest[f]) for f in first if f < full.weight.size]
    if len(inner) < k - 1 or (np.diff(inner) <= 0).any():
        raise SpecError(
            f"quantile breaks: {k} classes are not filled, because one value has too much weight.",
            "Ask for fewer classes, or for natural breaks.",
        )
    return tuple(inner)


def equal_interval_breaks(da: xr.DataArray, k: int = 5, *, weights: xr.DataArray | None = None) -> tuple[float, ...]:
    """Divide the range of a map's values into equal parts.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; what is not finite is left out.
    k : int
        Number of classes.
    weights : xarray.DataArray, optional
        Cells without a weight are left out; they do not matter otherwise.

    Returns
    -------
    tuple of float
        The k - 1 inner breaks, rising.

    Raises
    ------
    SpecError
        There is one value alone.
    """
    _require(k)
    return _equal_intervals(Cells.of(da, weights).counted, k)


def _equal_intervals(counted: Counted, k: int) -> tuple[float, ...]:
    full = settle(counted, lambda f: np.empty(0, np.int64)).full()
    low, high = float(full.smallest[0]), float(full.largest[-1])
    inner = tuple(low + (high - low) * i / k for i in range(1, k))
    return _rising(inner, "equal interval breaks")


def standard_deviation_breaks(
    da: xr.DataArray, k: int = 5, *, weights: xr.DataArray | None = None
) -> tuple[float, ...]:
    """Put breaks at whole (even k) or half (odd k) standard deviations on both sides of the mean.

    The i-th break is mean + (i - k / 2) sd, with weights and ddof 0; 5 classes have -1.5, -0.5, 0.5 and 1.5.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; what is not finite is left out.
    k : int
        Number of classes.
    weights : xarray.DataArray, optional
        The area of each cell, broadcast against `da`; equal weights when left out.

    Returns
    -------
    tuple of float
        The k - 1 inner breaks, rising.

    Raises
    ------
    SpecError
        There is one value alone.
    """
    _require(k)
    return _deviations(Cells.of(da, weights).counted, k)


def _deviations(counted: Counted, k: int) -> tuple[float, ...]:
    full = settle(counted, heavy).full()
    squares, means = full.squares([0])
    mean, sd = float(means[0]), math.sqrt(squares / float(full.weight.sum())) / full.unit
    return _rising(tuple(mean + (i - k / 2) * sd for i in range(1, k)), "standard deviation breaks")


def goodness_of_fit(da: xr.DataArray, breaks: Sequence[float], *, weights: xr.DataArray | None = None) -> float:
    """Give the share of a map's variance that lies between its classes: the goodness of variance fit.

    Parameters
    ----------
    da : xarray.DataArray
        Any shape; what is not finite is left out.
    breaks : sequence of float
        The inner breaks, rising.
    weights : xarray.DataArray, optional
        The area of each cell, broadcast against `da`; equal weights when left out.

    Returns
    -------
    float
        From 0 to 1; NaN where all values are the same.
    """
    return goodness_of(Cells.of(da, weights).counted, breaks)


def breaks_of(counted: Counted, method: str, k: int) -> tuple[float, ...]:
    """Find the breaks of what is counted in bins, block by block, by one of the methods but ``manual``."""
    found: dict[str, Callable[[Counted, int], tuple[float, ...]]] = {
        "natural-breaks": natural_of,
        "quantile": _quantiles,
        "equal-interval": _equal_intervals,
        "standard-deviation": _deviations,
    }
    return found[method](counted, k)


def goodness_of(counted: Counted, breaks: Sequence[float], start: Counts | None = None) -> float:
    """Give the goodness of variance fit of what is counted in bins, block by block; `start` has been counted."""
    inner = np.asarray(breaks, np.float64)

    def cut(full: Full) -> NDArray[np.int64]:
        # bins that a break divides, once all are small
        fine = heavy(full)
        below, above = (np.searchsorted(inner, v, side="right") for v in (full.smallest, full.largest))
        return np.concatenate([fine, np.flatnonzero(below < above)])

    counts: Counts = settle(counted, cut, start)
    full = counts.full()
    whole, _ = full.squares([0])
    within, _ = full.squares([0, *np.searchsorted(full.smallest, inner, side="left")])
    return 1.0 - within / whole if whole > 0.0 else math.nan


def _require(k: int) -> None:
    if k < 2:
        raise SpecError(f"class breaks: {k} class(es).", "Ask for two or more.")


def _rising(inner: tuple[float, ...], what: str) -> tuple[float, ...]:
    if (np.diff(inner) <= 0).any() or not np.isfinite(inner).all():
        raise SpecError(f"{what}: the map has one value alone.", "Give breaks by hand.")
    return inner
