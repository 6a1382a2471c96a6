"""Cells a few at a time, so that what is summed over the years stays in the cache and is done for several at once.

numpy and numba only. Each cell is summed in float64, in the order of the years: its numbers do not depend on its
neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled

#: cells that are worked on together
TILE = 64


def tiled(function: Any) -> Any:
    """Compile without the checks of a division by zero, which keep loops from being vectorised."""
    return compiled(function, error_model="numpy")


@tiled
def centred(series: Any, t: Any, first: int, width: int, d: Any, good: Any, n: Any, mean: Any, wild: Any) -> None:
    """Take the mean over the complete years from each series of `width` cells.

    d is (series and time, years, TILE): the last of them is time. A year that lacks any series is zero in all.
    """
    m = len(series)
    size = series[0].shape[0]
    for j in range(width):
        n[j] = 0.0
        wild[j] = 0.0
    for i in range(size):
        for j in range(width):
            good[i, j] = 1.0
            d[m, i, j] = t[i]
    for v in range(m):
        a = series[v]
        for i in range(size):
            for j in range(width):
                x = np.float64(a[i, first + j])
                d[v, i, j] = x
                # the difference is NaN for what is not finite
                good[i, j] = good[i, j] if x - x == 0.0 else 0.0
                wild[j] = 1.0 if abs(x) == np.inf else wild[j]
    for i in range(size):
        for j in range(width):
            n[j] += good[i, j]
    for v in range(m + 1):
        for j in range(width):
            mean[v, j] = 0.0
        for i in range(size):
            for j in range(width):
                mean[v, j] += d[v, i, j] if good[i, j] > 0.0 else 0.0
        for j in range(width):
            mean[v, j] /= n[j]
        for i in range(size):
            for j in range(width):
                d[v, i, j] = d[v, i, j] - mean[v, j] if good[i, j] > 0.0 else 0.0


@tiled
def cross_products(d: Any, count: int, width: int, cross: Any) -> None:
    """Sum the products of the first `count` centred series, each with each."""
    size = d.shape[1]
    for a in range(count):
        for b in range(a + 1):
            for j in range(width):
                cross[a, b, j] = 0.0
            for i in range(size):
                for j in range(width):
                    cross[a, b, j] += d[a, i, j] * d[b, i, j]
