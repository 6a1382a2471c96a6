"""Cells a few at a time, so that what is summed over the years stays in the cache and is done for several at once.

numpy and numba only. Blocks have whole tiles of cells (`_blocks` sees to it). Each cell is summed in float64, in the
order of the years: its numbers do not depend on its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled

#: cells that are worked on together
TILE = 64
# series of a padded tuple: those of a recipe fit, and more are rare
_ROUND = 6


def tiled(function: Any) -> Any:
    """Compile without the checks of a division by zero, which keep loops from being vectorised."""
    return compiled(function, error_model="numpy")


def part(function: Any) -> Any:
    """Compile a part of a kernel, which only other kernels call: without the way in from Python, in less time."""
    return compiled(function, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)


def inlined(function: Any) -> Any:
    """Write a part of kernels into each that calls it: what one kernel calls once is so compiled once, not twice."""
    return compiled(function, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, inline="always")


def padded(series: tuple[Any, ...]) -> tuple[Any, ...]:
    """Repeat the last series up to a round number: a kernel is compiled once for all tuples of one length.

    The kernel is told how many there are.
    """
    return series + series[-1:] * (-len(series) % _ROUND)


@inlined
def room(series: int, size: int) -> Any:
    """Give the arrays that `centred` fills: departures, good years, their number, means, and what is infinite."""
    return (
        np.empty((series, size, TILE), np.float64),
        np.empty((size, TILE), np.float64),
        np.empty(TILE, np.float64),
        np.empty((series, TILE), np.float64),
        np.empty(TILE, np.float64),
    )


@inlined
def centred(
    series: Any, m: int, t: Any, timed: bool, first: int, d: Any, good: Any, n: Any, mean: Any, wild: Any
) -> None:
    """Take the mean over the complete years from each of the first m series of a tile of cells.

    d is (series, years, TILE), with time as the last of the series where it is `timed`. A year that lacks any series is
    zero in all, and in `good`.
    """
    size = series[0].shape[0]
    fours = size - size % 4
    whole = True
    for v in range(m):
        a = series[v]
        for j in range(TILE):
            mean[v, j] = 0.0
        for i in range(0, fours, 4):
            for j in range(TILE):
                x0 = np.float64(a[i, first + j])
                x1 = np.float64(a[i + 1, first + j])
                x2 = np.float64(a[i + 2, first + j])
                x3 = np.float64(a[i + 3, first + j])
                d[v, i, j] = x0
                d[v, i + 1, j] = x1
                d[v, i + 2, j] = x2
                d[v, i + 3, j] = x3
                mean[v, j] = mean[v, j] + x0 + x1 + x2 + x3
        for i in range(fours, size):
            for j in range(TILE):
                x = np.float64(a[i, first + j])
                d[v, i, j] = x
                mean[v, j] += x
        for j in range(TILE):
            # a sum is finite where all is
            whole = whole and mean[v, j] - mean[v, j] == 0.0
    if timed:
        for j in range(TILE):
            mean[m, j] = 0.0
        for i in range(size):
            for j in range(TILE):
                d[m, i, j] = t[i]
                mean[m, j] += t[i]
    for j in range(TILE):
        n[j] = size
        wild[j] = 0.0
    for i in range(size):
        for j in range(TILE):
            good[i, j] = 1.0
    total = m + 1 if timed else m
    if not whole:
        _without_gaps(d, m, total, good, n, mean, wild)
        return
    for v in range(total):
        for j in range(TILE):
            mean[v, j] /= n[j]
        for i in range(size):
            for j in range(TILE):
                d[v, i, j] -= mean[v, j]


@part
def _without_gaps(d: Any, m: int, total: int, good: Any, n: Any, mean: Any, wild: Any) -> None:
    size = d.shape[1]
    for v in range(m):
        for i in range(size):
            for j in range(TILE):
                x = d[v, i, j]
                # the difference is NaN for what is not finite
                good[i, j] = good[i, j] if x - x == 0.0 else 0.0
                wild[j] = 1.0 if abs(x) == np.inf else wild[j]
    for j in range(TILE):
        n[j] = 0.0
    for i in range(size):
        for j in range(TILE):
            n[j] += good[i, j]
    for v in range(total):
        for j in range(TILE):
            mean[v, j] = 0.0
        for i in range(size):
            for j in range(TILE):
                mean[v, j] += d[v, i, j] if good[i, j] > 0.0 else 0.0
        for j in range(TILE):
            mean[v, j] /= n[j]
        for i in range(size):
            for j in range(TILE):
                d[v, i, j] = d[v, i, j] - mean[v, j] if good[i, j] > 0.0 else 0.0


@part
def cross_products(d: Any, count: int, cross: Any) -> None:
    """Sum the products of the first `count` centred series, each with each."""
    for a in range(count):
        for b in range(a + 1):
            sum_products(d[a], d[b], cross[a, b])


@part
def sum_products(x: Any, y: Any, out: Any) -> None:
    """Sum the products of two centred series over the years."""
    size = x.shape[0]
    for j in range(TILE):
        out[j] = 0.0
    whole = size - size % 4
    # four years at a time, one after the other as ever, so that a sum is fetched and put back once for all four
    for i in range(0, whole, 4):
        for j in range(TILE):
            total = out[j] + x[i, j] * y[i, j]
            total += x[i + 1, j] * y[i + 1, j]
            total += x[i + 2, j] * y[i + 2, j]
            out[j] = total + x[i + 3, j] * y[i + 3, j]
    for i in range(whole, size):
        for j in range(TILE):
            out[j] += x[i, j] * y[i, j]
