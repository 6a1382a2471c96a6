"""Kernels of one series of each cell: mean, variation, and the straight line of least squares. numpy and numba only.

Blocks are (time, cells), a few cells at a time; the rules of `_kernels` hold. Squares and products are those of
departures from the mean, so that a large level does not destroy a small variance.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.stats._pvalues import CLOSED, students, t_pvalue
from nepcube.stats._tiles import TILE, centred, tiled

#: of the squares of a series' values: what is left below is rounding
DUST = 1e-24


@tiled
def _squares(d: Any, a: int, b: int, width: int, out: Any) -> None:
    for j in range(width):
        out[j] = 0.0
    for i in range(d.shape[1]):
        for j in range(width):
            out[j] += d[a, i, j] * d[b, i, j]


@tiled
def moments(series: Any, t: Any, least: float, ddof: float, mean: Any, sd: Any, count: Any) -> None:
    """Mean and standard deviation."""
    size, cells = series[0].shape
    d = np.empty((2, size, TILE), np.float64)
    good = np.empty((size, TILE), np.float64)
    n = np.empty(TILE, np.float64)
    wild = np.empty(TILE, np.float64)
    means = np.empty((2, TILE), np.float64)
    ss = np.empty(TILE, np.float64)
    for first in range(0, cells, TILE):
        width = min(TILE, cells - first)
        centred(series, t, False, first, width, d, good, n, means, wild)
        _squares(d, 0, 0, width, ss)
        for j in range(width):
            at = first + j
            usable = wild[j] == 0.0 and n[j] >= least and n[j] > 0.0
            count[at] = n[j] if usable else 0.0
            mean[at] = means[0, j] if usable else np.nan
            sd[at] = math.sqrt(ss[j] / (n[j] - ddof)) if usable and n[j] > ddof else np.nan


@tiled
def line(
    series: Any, t: Any, least: float, slope: Any, intercept: Any, stderr: Any, pvalue: Any, lag1: Any, count: Any
) -> None:
    """Ordinary least squares on t; the intercept is the fitted value at t = 0."""
    size, cells = series[0].shape
    d = np.empty((2, size, TILE), np.float64)
    good = np.empty((size, TILE), np.float64)
    n = np.empty(TILE, np.float64)
    wild = np.empty(TILE, np.float64)
    means = np.empty((2, TILE), np.float64)
    sxx = np.empty(TILE, np.float64)
    sxy = np.empty(TILE, np.float64)
    syy = np.empty(TILE, np.float64)
    b = np.empty(TILE, np.float64)
    rss = np.empty(TILE, np.float64)
    products = np.empty(TILE, np.float64)
    pairs = np.empty(TILE, np.float64)
    dof = np.empty(TILE, np.int64)
    sine = np.empty(TILE, np.float64)
    rest = np.empty(TILE, np.float64)
    found = np.empty(TILE, np.float64)
    work = np.empty((2, TILE), np.float64)
    for first in range(0, cells, TILE):
        width = min(TILE, cells - first)
        centred(series, t, True, first, width, d, good, n, means, wild)
        _squares(d, 1, 1, width, sxx)
        _squares(d, 0, 1, width, sxy)
        _squares(d, 0, 0, width, syy)
        for j in range(width):
            b[j] = sxy[j] / sxx[j]
            products[j] = 0.0
            pairs[j] = 0.0
        for i in range(size):
            for j in range(width):
                d[0, i, j] -= b[j] * d[1, i, j]
        _squares(d, 0, 0, width, rss)
        for i in range(1, size):
            # only neighbours in time, so that a gap makes no false pair
            if t[i] - t[i - 1] == 1.0:
                for j in range(width):
                    both = good[i, j] * good[i - 1, j]
                    products[j] += both * d[0, i, j] * d[0, i - 1, j]
                    pairs[j] += both
        for j in range(width):
            at = first + j
            slope[at] = np.nan
            intercept[at] = np.nan
            stderr[at] = np.nan
            pvalue[at] = np.nan
            lag1[at] = np.nan
            count[at] = 0.0
            sine[j] = -1.0
            if wild[j] > 0.0 or n[j] < least or n[j] < 2.0:
                continue
            count[at] = n[j]
            if not sxx[j] > 0.0:
                continue
            slope[at] = b[j]
            intercept[at] = means[0, j] - b[j] * means[1, j]
            if n[j] < 3.0:
                continue
            level = means[0, j] * means[0, j] * n[j]
            # a residual that is only rounding is none
            left = rss[j] if rss[j] > DUST * (syy[j] + level) else 0.0
            error = math.sqrt(left / (n[j] - 2.0) / sxx[j])
            stderr[at] = error
            if syy[j] <= DUST * level:
                continue
            if left > 0.0:
                if pairs[j] > 0.0:
                    lag1[at] = products[j] / left
                # by the closed form for all cells at once
                dof[j] = int(n[j]) - 2
                score = b[j] / error
                scored = dof[j] + score * score
                sine[j] = abs(score) / math.sqrt(scored)
                rest[j] = dof[j] / scored
                if dof[j] > CLOSED or not np.isfinite(scored):
                    pvalue[at] = t_pvalue(score, n[j] - 2.0)
                    sine[j] = -1.0
            else:
                pvalue[at] = 0.0
        students(sine, rest, dof, width, work[0], work[1], found)
        for j in range(width):
            if sine[j] >= 0.0:
                pvalue[first + j] = found[j]


@tiled
def detrended(series: Any, t: Any, least: float, mean: Any, sd: Any, count: Any) -> None:
    """Mean, and standard deviation around a straight line, n - 2 degrees of freedom."""
    size, cells = series[0].shape
    d = np.empty((2, size, TILE), np.float64)
    good = np.empty((size, TILE), np.float64)
    n = np.empty(TILE, np.float64)
    wild = np.empty(TILE, np.float64)
    means = np.empty((2, TILE), np.float64)
    sxx = np.empty(TILE, np.float64)
    sxy = np.empty(TILE, np.float64)
    syy = np.empty(TILE, np.float64)
    rss = np.empty(TILE, np.float64)
    for first in range(0, cells, TILE):
        width = min(TILE, cells - first)
        centred(series, t, True, first, width, d, good, n, means, wild)
        _squares(d, 1, 1, width, sxx)
        _squares(d, 0, 1, width, sxy)
        _squares(d, 0, 0, width, syy)
        for i in range(size):
            for j in range(width):
                d[0, i, j] -= sxy[j] / sxx[j] * d[1, i, j]
        _squares(d, 0, 0, width, rss)
        for j in range(width):
            at = first + j
            usable = wild[j] == 0.0 and n[j] >= least and n[j] >= 2.0
            count[at] = n[j] if usable else 0.0
            mean[at] = means[0, j] if usable else np.nan
            sd[at] = np.nan
            if usable and n[j] > 2.0:
                # a residual that is only rounding is none
                dust = DUST * (syy[j] + means[0, j] * means[0, j] * n[j])
                sd[at] = math.sqrt(rss[j] / (n[j] - 2.0)) if rss[j] > dust else 0.0
