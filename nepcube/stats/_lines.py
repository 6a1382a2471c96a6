"""The kernel of one series of each cell: mean, variation, and the straight line of least squares. numpy and numba only.

Blocks are (time, cells), a few cells at a time; the rules of `_kernels` hold. Squares and products are those of
departures from the mean, so that a large level does not destroy a small variance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.stats._pvalues import CLOSED, students, t_pvalue
from nepcube.stats._tiles import TILE, centred, inlined, room, sum_products, tiled

#: of the squares of a series' values: what is left below is rounding
DUST = 1e-24
#: what is told of each cell, row by row: the number of years, their mean and the sum of squares about it
PLAIN = ("n", "mean", "squares")
#: and of the line its value at t = 0, slope, the slope's standard error and p-value, and of its residuals the lag-1
#: autocorrelation and the sum of squares
LINED = (*PLAIN, "intercept", "slope", "stderr", "pvalue", "lag1", "residuals")
_N, _MEAN, _SQUARES, _INTERCEPT, _SLOPE, _STDERR, _PVALUE, _LAG1, _RESIDUALS = range(len(LINED))


@tiled
def describe(series: Any, t: Any, least: float, out: Any) -> None:
    """Tell of each cell what `out`, (rows, cells), has rows for: `PLAIN` or `LINED`."""
    size, cells = series[0].shape
    lined = out.shape[0] > _INTERCEPT
    d, good, n, mean, wild = room(2, size)
    syy = np.empty(TILE, np.float64)
    for first in range(0, cells, TILE):
        centred(series, 1, t, lined, first, d, good, n, mean, wild)
        sum_products(d[0], d[0], syy)
        for j in range(TILE):
            usable = wild[j] == 0.0 and n[j] >= least and n[j] > 0.0
            out[_N, first + j] = n[j] if usable else 0.0
            out[_MEAN, first + j] = mean[0, j] if usable else np.nan
            out[_SQUARES, first + j] = syy[j] if usable else np.nan
        if lined:
            _line(d, good, t, mean, syy, first, out)


@inlined
def _line(d: Any, good: Any, t: Any, mean: Any, syy: Any, first: int, out: Any) -> None:
    # ordinary least squares on t; spoils d
    size = d.shape[1]
    sxx, sxy, rss = np.empty(TILE, np.float64), np.empty(TILE, np.float64), np.empty(TILE, np.float64)
    b, products, pairs = np.empty(TILE, np.float64), np.empty(TILE, np.float64), np.empty(TILE, np.float64)
    sine, rest, found = np.empty(TILE, np.float64), np.empty(TILE, np.float64), np.empty(TILE, np.float64)
    dof, work = np.empty(TILE, np.int64), np.empty((2, TILE), np.float64)
    sum_products(d[1], d[1], sxx)
    sum_products(d[0], d[1], sxy)
    for j in range(TILE):
        b[j] = sxy[j] / sxx[j]
        products[j] = 0.0
        pairs[j] = 0.0
    for i in range(size):
        for j in range(TILE):
            d[0, i, j] -= b[j] * d[1, i, j]
    sum_products(d[0], d[0], rss)
    for i in range(1, size):
        # only neighbours in time, so that a gap makes no false pair
        if t[i] - t[i - 1] == 1.0:
            for j in range(TILE):
                both = good[i, j] * good[i - 1, j]
                products[j] += both * d[0, i, j] * d[0, i - 1, j]
                pairs[j] += both
    for j in range(TILE):
        at = first + j
        for row in range(_INTERCEPT, out.shape[0]):
            out[row, at] = np.nan
        sine[j] = -1.0
        n = out[_N, at]
        if n < 2.0 or not sxx[j] > 0.0:
            continue
        out[_SLOPE, at] = b[j]
        out[_INTERCEPT, at] = mean[0, j] - b[j] * mean[1, j]
        if n < 3.0:
            continue
        level = mean[0, j] * mean[0, j] * n
        # a residual that is only rounding is none
        left = rss[j] if rss[j] > DUST * (syy[j] + level) else 0.0
        error = math.sqrt(left / (n - 2.0) / sxx[j])
        out[_RESIDUALS, at] = left
        out[_STDERR, at] = error
        if syy[j] <= DUST * level:
            continue
        if left > 0.0:
            if pairs[j] > 0.0:
                out[_LAG1, at] = products[j] / left
            # by the closed form for all cells at once
            dof[j] = int(n) - 2
            score = b[j] / error
            scored = dof[j] + score * score
            if dof[j] > CLOSED or not np.isfinite(scored):
                out[_PVALUE, at] = t_pvalue(score, n - 2.0)
            else:
                sine[j] = abs(score) / math.sqrt(scored)
                rest[j] = dof[j] / scored
        else:
            out[_PVALUE, at] = 0.0
    students(sine, rest, dof, TILE, work[0], work[1], found)
    for j in range(TILE):
        if sine[j] >= 0.0:
            out[_PVALUE, first + j] = found[j]
