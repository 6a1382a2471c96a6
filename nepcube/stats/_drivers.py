"""Kernels of several series of one cell: cross-products, partial correlations, regressions. numpy and numba only.

Blocks are (time, cells); a few cells are taken at a time, so that what is summed over the years stays in the cache. The
rules of `_kernels` hold: each cell is summed in float64, in the order of the years, so that its numbers do not depend
on its neighbours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.stats._kernels import partial_of
from nepcube.stats._pvalues import incomplete_beta, student, t_pvalue
from nepcube.stats._tiles import TILE, centred, cross_products, tiled

#: of a series' variance, what the others must leave free for the cross-products to be exact enough
CLEAR = 1e-3


@tiled
def without_time(d: Any, m: int, width: int, cross: Any, before: Any) -> None:
    """Take the straight line over time from each centred series; twice, against rounding."""
    size = d.shape[1]
    for j in range(width):
        cross[m, m, j] = 0.0
    for i in range(size):
        for j in range(width):
            cross[m, m, j] += d[m, i, j] * d[m, i, j]
    for v in range(m):
        for j in range(width):
            before[v, j] = 0.0
        for i in range(size):
            for j in range(width):
                before[v, j] += d[v, i, j] * d[v, i, j]
        for _ in range(2):
            for j in range(width):
                cross[m, v, j] = 0.0
            for i in range(size):
                for j in range(width):
                    cross[m, v, j] += d[m, i, j] * d[v, i, j]
            for j in range(width):
                cross[m, v, j] = cross[m, v, j] / cross[m, m, j] if cross[m, m, j] > 0.0 else 0.0
            for i in range(size):
                for j in range(width):
                    d[v, i, j] -= cross[m, v, j] * d[m, i, j]


@tiled
def inverse_root(cross: Any, j: int, m: int, scale: Any, root: Any, inverse: Any) -> bool:
    """Invert the Cholesky factor of the correlations of m series; False where they are not clear of each other."""
    for a in range(m):
        if not cross[a, a, j] > 0.0:
            return False
        scale[a] = 1.0 / math.sqrt(cross[a, a, j])
    for a in range(m):
        for b in range(a):
            total = cross[a, b, j] * scale[a] * scale[b]
            for c in range(b):
                total -= root[a, c] * root[b, c]
            root[a, b] = total * inverse[b, b]
        total = 1.0
        for c in range(a):
            total -= root[a, c] * root[a, c]
        if total < CLEAR:
            return False
        inverse[a, a] = 1.0 / math.sqrt(total)
        for b in range(a):
            total = 0.0
            for c in range(b, a):
                total += root[a, c] * inverse[c, b]
            inverse[a, b] = -total * inverse[a, a]
    return True


@tiled
def correlation_pvalue(r: float, rest: float, dof: int) -> float:
    """Two-sided p-value of a correlation; `rest` is 1 - r^2."""
    if not rest > 0.0:
        return 0.0
    if dof <= 200:
        return student(abs(r), rest, dof)
    return t_pvalue(abs(r) * math.sqrt(dof / rest), float(dof))


@tiled
def regress(
    series: Any,
    t: Any,
    detrend: bool,
    least: float,
    eps: float,
    wanted: int,
    full: bool,
    r: Any,
    p: Any,
    semi: Any,
    beta: Any,
    fit: Any,
    count: Any,
) -> None:
    """Relate the last of the series to each other one, the rest held fixed.

    r, p, semi and beta are (wanted, cells), of the first series; fit is (3, cells): multiple R2, its adjusted value and
    its p-value. What is not clear from cross-products is done again by orthogonalisation of the series themselves.
    """
    total = len(series)
    m = total - 1
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d = np.empty((total + 1, size, TILE), np.float64)
    good = np.empty((size, TILE), np.float64)
    n = np.empty(TILE, np.float64)
    wild = np.empty(TILE, np.float64)
    mean = np.empty((total + 1, TILE), np.float64)
    before = np.zeros((total, TILE), np.float64)
    cross = np.zeros((total + 1, total + 1, TILE), np.float64)
    scale = np.empty(total, np.float64)
    root = np.empty((total, total), np.float64)
    inverse = np.zeros((total, total), np.float64)
    free = np.empty(total, np.float64)
    held = m - 1 + (1 if detrend else 0)
    controls = np.empty((held, size), np.float64)
    x = np.empty(size, np.float64)
    y = np.empty(size, np.float64)
    for first in range(0, cells, TILE):
        width = min(TILE, cells - first)
        centred(series, t, first, width, d, good, n, mean, wild)
        if detrend:
            without_time(d, total, width, cross, before)
        cross_products(d, total, width, cross)
        for j in range(width):
            at = first + j
            for v in range(wanted):
                r[v, at] = np.nan
                p[v, at] = np.nan
                if full:
                    semi[v, at] = np.nan
                    beta[v, at] = np.nan
            if full:
                fit[0, at] = np.nan
                fit[1, at] = np.nan
                fit[2, at] = np.nan
            count[at] = 0.0
            if wild[j] > 0.0 or n[j] < least or n[j] < 1.0:
                continue
            count[at] = n[j]
            dof = int(n[j]) - 2 - held
            if dof < 1:
                continue
            clear = inverse_root(cross, j, total, scale, root, inverse)
            if clear:
                for v in range(total):
                    squares = 0.0
                    for a in range(v, total):
                        squares += inverse[a, v] * inverse[a, v]
                    free[v] = squares
                    # by the rules of `partial_of`, with room to spare
                    largest = abs(mean[v, j]) + math.sqrt(max(cross[v, v, j], before[v, j]))
                    left = cross[v, v, j] / squares
                    if (
                        squares * CLEAR > 1.0
                        or left <= 1e-18 * mean[v, j] * mean[v, j] * n[j]
                        or left <= CLEAR * before[v, j]
                        or left <= 400.0 * n[j] * (eps * largest) ** 2
                    ):
                        clear = False
                        break
            unexplained = np.nan
            for v in range(wanted):
                if clear:
                    own = -inverse[m, v]
                    among = 0.0
                    for a in range(v, m):
                        among += inverse[a, v] * inverse[a, v]
                    value = own / math.sqrt(free[v])
                    r[v, at] = value
                    p[v, at] = correlation_pvalue(value, among / free[v], dof)
                    if full:
                        # the standardised coefficient, and what the others leave of x
                        b = own / inverse[m, m]
                        beta[v, at] = b
                        semi[v, at] = b / math.sqrt(among)
                        unexplained = 1.0 / (inverse[m, m] * inverse[m, m])
                else:
                    for i in range(size):
                        x[i] = series[v][i, at]
                        y[i] = series[m][i, at]
                        k = 0
                        for other in range(m):
                            if other != v:
                                controls[k, i] = series[other][i, at]
                                k += 1
                        if detrend:
                            controls[k, i] = t[i]
                    value, pvalue, _, left_x, left_y = partial_of(y, x, controls, least, eps)
                    r[v, at] = value
                    p[v, at] = pvalue
                    if full:
                        syy = cross[m, m, j]
                        semi[v, at] = value * math.sqrt(left_y / syy)
                        beta[v, at] = value * math.sqrt(left_y / left_x) * math.sqrt(cross[v, v, j] / syy)
                        unexplained = left_y * (1.0 - value * value) / syy
            if full:
                fit[0, at] = 1.0 - unexplained
                fit[1, at] = 1.0 - unexplained * (dof + m) / dof
                if not np.isnan(unexplained):
                    fit[2, at] = incomplete_beta(0.5 * dof, 0.5 * m, unexplained, 1.0 - unexplained)


@tiled
def moments(series: Any, t: Any, least: float, count: Any, mean: Any, cross: Any) -> None:
    """Give n, the means and the centred cross-products of all series and of time, packed by rows of the triangle."""
    total = len(series)
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d = np.empty((total + 1, size, TILE), np.float64)
    good = np.empty((size, TILE), np.float64)
    n = np.empty(TILE, np.float64)
    wild = np.empty(TILE, np.float64)
    means = np.empty((total + 1, TILE), np.float64)
    products = np.zeros((total + 1, total + 1, TILE), np.float64)
    for first in range(0, cells, TILE):
        width = min(TILE, cells - first)
        centred(series, t, first, width, d, good, n, means, wild)
        cross_products(d, total + 1, width, products)
        for j in range(width):
            at = first + j
            usable = wild[j] == 0.0 and n[j] >= least and n[j] > 0.0
            count[at] = n[j] if usable else 0.0
            pair = 0
            for a in range(total + 1):
                mean[a, at] = means[a, j] if usable else np.nan
                for b in range(a + 1):
                    cross[pair, at] = products[a, b, j] if usable else np.nan
                    pair += 1
