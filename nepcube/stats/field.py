"""Field significance: which tests of a map hold when all of them are counted (Benjamini-Hochberg)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

#: p-values that may be held in memory at once, and the bins that others are counted in
HELD = 1 << 20
BINS = 1 << 16
_OPEN = 32

Blocks = Callable[[], Iterator["NDArray[np.uint64]"]]


@dataclass(frozen=True)
class FieldSignificance:
    """What the false discovery rate of a map allows.

    `threshold` is the largest p-value that is rejected (NaN where none is), `m` the number of tests, `rejected` how
    many of them hold, `domain` what the map covers: a threshold belongs to its domain.
    """

    alpha: float
    m: int
    rejected: int
    threshold: float
    domain: str

    def map(self, pvalues: xr.DataArray, mask: xr.DataArray | None = None) -> xr.DataArray:
        """Flag the cells that hold: 1 significant, 0 not, 255 outside the domain or without a test; lazy on dask."""
        import xarray as xr

        threshold = self.threshold

        def flag(p: Any, inside: Any = True) -> Any:
            held = np.asarray(p, np.float64) <= threshold if self.rejected else np.zeros(np.shape(p), bool)
            return np.where(np.isfinite(p) & inside, held.astype(np.uint8), np.uint8(255))

        inputs = [pvalues] if mask is None else [pvalues, _like(mask, pvalues)]
        out: xr.DataArray = xr.apply_ufunc(flag, *inputs, dask="parallelized", output_dtypes=[np.uint8], join="exact")
        out.attrs = {"long_name": "significant at the false discovery rate", "units": "1"}
        out.attrs |= spec.flag_attrs({0: "not significant", 1: "significant", 255: "no test"}, "uint8")
        out.attrs |= {
            "method": "Benjamini-Hochberg",
            "alpha": self.alpha,
            "tests": self.m,
            "rejected": self.rejected,
            "threshold": self.threshold,
            "domain": self.domain,
        }
        return out.rename("significant")


def field_significance(
    pvalues: xr.DataArray, *, alpha: float = 0.05, mask: xr.DataArray | None = None, domain: str = ""
) -> FieldSignificance:
    """Find the p-value below which all tests of a map hold at a false discovery rate (Benjamini-Hochberg).

    The largest p of rank k with p <= k alpha / m, exactly, in bounded memory: p-values are counted by their leading
    bits, and only where the answer may lie are they counted finer or looked at one by one. A dask map is computed a few
    times, chunk by chunk, so give one that is stored or cheap.

    Parameters
    ----------
    pvalues : xarray.DataArray
        Any shape; what is not finite is no test.
    alpha : float
        The false discovery rate. Where neighbours are strongly alike, a rate of 2 alpha makes a global test near alpha
        (Wilks 2016), while up to 2 alpha of the cells that it marks are expected to be false.
    mask : xarray.DataArray, optional
        Boolean, on the map's own coordinates: the domain. All cells when left out.
    domain : str
        What the domain is, in words, to be stored with the threshold.

    Returns
    -------
    FieldSignificance
        The threshold, the number of tests and of those that hold.

    Raises
    ------
    SpecError
        A p-value is not between 0 and 1, alpha is no probability, or the mask is not on the map's coordinates.

    References
    ----------
    Benjamini, Y. and Hochberg, Y. 1995. J. R. Stat. Soc. B 57, 289-300. Wilks, D. S. 2016. Bull. Am. Meteorol. Soc. 97,
    2263-2273.
    """
    if not 0.0 < alpha < 1.0:
        raise SpecError(f"alpha: {alpha} is not between 0 and 1.", "0.05 is usual.")
    inside = None if mask is None else _like(mask, pvalues)

    def blocks() -> Iterator[NDArray[np.uint64]]:
        # the bits of a float64 that is not negative rise with its value
        for where in _windows(pvalues):
            p = np.asarray(pvalues.isel(where).values, np.float64).ravel()
            keep = np.isfinite(p)
            if inside is not None:
                keep &= np.asarray(inside.isel(where).values, bool).ravel()
            p = p[keep]
            if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):
                raise SpecError(
                    f"{pvalues.name or 'p-values'}: {p.min() if p.min() < 0 else p.max():g} is not between 0 and 1.",
                    "Give a map of p-values.",
                )
            yield (p + 0.0).view(np.uint64)

    words = domain or ("all cells with a test" if mask is None else f"cells of {mask.name or 'the mask'} with a test")
    m, rejected, threshold = _step_up(blocks, float(alpha))
    return FieldSignificance(float(alpha), m, rejected, threshold, words)


def false_discovery_rate(
    pvalues: xr.DataArray, alpha: float = 0.05, *, mask: xr.DataArray | None = None, domain: str = ""
) -> xr.DataArray:
    """Mark the cells whose tests hold at a false discovery rate over the whole map (Benjamini-Hochberg).

    The threshold is computed at once (see `field_significance`), the map is lazy on dask input.

    Parameters
    ----------
    pvalues : xarray.DataArray
        Any shape; what is not finite is no test.
    alpha : float
        The false discovery rate.
    mask : xarray.DataArray, optional
        Boolean, on the map's own coordinates: the domain. All cells when left out.
    domain : str
        What the domain is, in words.

    Returns
    -------
    xarray.DataArray
        uint8: 1 significant, 0 not, 255 no test; the attributes ``alpha``, ``tests`` (m), ``rejected``, ``threshold``
        and ``domain`` say what it holds for.

    Raises
    ------
    SpecError
        A p-value is not between 0 and 1, alpha is no probability, or the mask is not on the map's coordinates.
    """
    return field_significance(pvalues, alpha=alpha, mask=mask, domain=domain).map(pvalues, mask)


def _like(mask: xr.DataArray, da: xr.DataArray) -> xr.DataArray:
    import xarray as xr

    try:
        xr.align(da, mask, join="exact", copy=False)
        full = mask.broadcast_like(da).transpose(*da.dims)
    except ValueError as error:
        raise SpecError(f"The mask is not on the map's coordinates ({error}).", "Make it for the same grid.") from None
    return full.chunk(dict(zip(da.dims, da.chunks, strict=True))) if da.chunks is not None else full


def _windows(da: xr.DataArray) -> Iterator[dict[Any, slice]]:
    if da.chunks is None:
        yield {}
        return
    edges = [np.cumsum([0, *c]) for c in da.chunks]
    for index in itertools.product(*(range(len(c)) for c in da.chunks)):
        yield {d: slice(int(e[i]), int(e[i + 1])) for d, e, i in zip(da.dims, edges, index, strict=True)}


@dataclass(frozen=True)
class _Span:
    # p-values with keys from low to high, of which `below` are less and `count` within
    low: int
    high: int
    below: int
    count: int


def _value(key: int) -> float:
    return float(np.array([key], np.uint64).view(np.float64)[0])


def _step_up(blocks: Blocks, alpha: float) -> tuple[int, int, float]:
    m = 0
    # no more than alpha is ever rejected, at rank m
    top = int(np.array([alpha]).view(np.uint64)[0])
    everything = _Span(0, top, 0, 0)
    counts, width = np.zeros(BINS, np.int64), _width(everything)
    for keys in blocks():
        m += keys.size
        counts += _count(keys, everything, width)
    spans = _divide(everything, counts, width)
    known = 0  # ranks up to this one are rejected, whatever the open spans say
    while True:
        spans, found = _still_open(spans, m, alpha)
        known = max(known, found)
        if not spans:
            break
        if sum(s.count for s in spans) <= HELD:
            known = max(known, _one_by_one(blocks, spans, m, alpha))
            break
        first, rest = spans[:_OPEN], spans[_OPEN:]
        widths = [_width(s) for s in first]
        tables = [np.zeros(BINS, np.int64) for _ in first]
        for keys in blocks():
            for span, width, table in zip(first, widths, tables, strict=True):
                table += _count(keys, span, width)
        spans = [d for s, c, w in zip(first, tables, widths, strict=True) for d in _divide(s, c, w)] + rest
    if not known:
        return m, 0, float("nan")
    limit = np.array([known / m * alpha]).view(np.uint64)[0]
    largest = max((int(keys[keys <= limit].max(initial=0)) for keys in blocks()), default=0)
    return m, known, _value(largest)


def _width(span: _Span) -> int:
    return -(-(span.high - span.low + 1) // BINS)


def _count(keys: NDArray[np.uint64], span: _Span, width: int) -> NDArray[np.int64]:
    within = keys[(keys >= np.uint64(span.low)) & (keys <= np.uint64(span.high))]
    return np.bincount(((within - np.uint64(span.low)) // np.uint64(width)).astype(np.int64), minlength=BINS)


def _divide(span: _Span, counts: NDArray[np.int64], width: int) -> list[_Span]:
    # the full bins of a span, from the top
    below = span.below + np.concatenate([[0], np.cumsum(counts)])
    return [
        _Span(
            span.low + int(b) * width,
            min(span.low + (int(b) + 1) * width - 1, span.high),
            int(below[b]),
            int(counts[b]),
        )
        for b in np.flatnonzero(counts)[::-1]
    ]


def _still_open(spans: list[_Span], m: int, alpha: float) -> tuple[list[_Span], int]:
    # from the top: spans that may hold the answer, until one surely holds its own last rank
    out: list[_Span] = []
    for s in spans:
        line = (s.below + s.count) / m * alpha
        if _value(s.high) <= line:
            return out, s.below + s.count
        if _value(s.low) <= line and s.low < s.high:
            out.append(s)
    return out, 0


def _one_by_one(blocks: Blocks, spans: list[_Span], m: int, alpha: float) -> int:
    parts: list[list[NDArray[np.uint64]]] = [[] for _ in spans]
    for keys in blocks():
        for span, part in zip(spans, parts, strict=True):
            part.append(keys[(keys >= np.uint64(span.low)) & (keys <= np.uint64(span.high))])
    for span, part in zip(spans, parts, strict=True):
        p = np.sort(np.concatenate(part)).view(np.float64)
        ranks = np.arange(span.below + 1, span.below + p.size + 1)
        held = np.flatnonzero(p <= ranks / m * alpha)
        if held.size:
            return int(ranks[held[-1]])
    return 0
