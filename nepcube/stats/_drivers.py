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
from nepcube.stats._pvalues import CLOSED, incomplete_beta, student, students, t_pvalue
from nepcube.stats._tiles import TILE, centred, cross_products, inlined, part, room, sum_products, tiled

#: of a series' variance, what the others must leave free for the cross-products to be exact enough
CLEAR = 1e-3


@inlined
def without_time(d: Any, m: int, cross: Any, before: Any) -> None:
    """Take the straight line over time from each centred series; twice, against rounding."""
    size = d.shape[1]
    sum_products(d[m], d[m], cross[m, m])
    for v in range(m):
        sum_products(d[v], d[v], before[v])
        for _ in range(2):
            sum_products(d[m], d[v], cross[m, v])
            for j in range(TILE):
                cross[m, v, j] = cross[m, v, j] / cross[m, m, j] if cross[m, m, j] > 0.0 else 0.0
            for i in range(size):
                for j in range(TILE):
                    d[v, i, j] -= cross[m, v, j] * d[m, i, j]


@inlined
def inverse_roots(cross: Any, m: int, scale: Any, root: Any, inverse: Any, clear: Any) -> None:
    """Invert the Cholesky factors of the correlations of m series, of some cells at once.

    `clear` becomes zero where the series are not clear of each other: the rest says nothing there.
    """
    for j in range(TILE):
        clear[j] = 1.0
    for a in range(m):
        for j in range(TILE):
            some = cross[a, a, j] > 0.0
            clear[j] = clear[j] if some else 0.0
            scale[a, j] = 1.0 / math.sqrt(cross[a, a, j]) if some else 0.0
    for a in range(m):
        for b in range(a):
            for j in range(TILE):
                root[a, b, j] = cross[a, b, j] * scale[a, j] * scale[b, j]
            for c in range(b):
                for j in range(TILE):
                    root[a, b, j] -= root[a, c, j] * root[b, c, j]
            for j in range(TILE):
                root[a, b, j] *= inverse[b, b, j]
        for j in range(TILE):
            root[a, a, j] = 1.0
        for c in range(a):
            for j in range(TILE):
                root[a, a, j] -= root[a, c, j] * root[a, c, j]
        for j in range(TILE):
            some = root[a, a, j] >= CLEAR
            clear[j] = clear[j] if some else 0.0
            inverse[a, a, j] = 1.0 / math.sqrt(root[a, a, j]) if some else 0.0
        for b in range(a):
            for j in range(TILE):
                inverse[a, b, j] = 0.0
            for c in range(b, a):
                for j in range(TILE):
                    inverse[a, b, j] += root[a, c, j] * inverse[c, b, j]
            for j in range(TILE):
                inverse[a, b, j] = -inverse[a, b, j] * inverse[a, a, j]


@inlined
def _freedom(
    cross: Any, before: Any, mean: Any, n: Any, inverse: Any, total: int, eps: float, free: Any, clear: Any
) -> None:
    # how much of each series the others leave free, inverted; by the rules of `partial_of`, with room to spare
    for v in range(total):
        for j in range(TILE):
            free[v, j] = 0.0
        for a in range(v, total):
            for j in range(TILE):
                free[v, j] += inverse[a, v, j] * inverse[a, v, j]
        for j in range(TILE):
            largest = abs(mean[v, j]) + math.sqrt(max(cross[v, v, j], before[v, j]))
            left = cross[v, v, j] / free[v, j]
            if (
                free[v, j] * CLEAR > 1.0
                or left <= 1e-18 * mean[v, j] * mean[v, j] * n[j]
                or left <= CLEAR * before[v, j]
                or left <= 400.0 * n[j] * (eps * largest) ** 2
            ):
                clear[j] = 0.0


@part
def correlation_pvalue(r: float, rest: float, dof: int) -> float:
    """Two-sided p-value of a correlation; `rest` is 1 - r^2."""
    if not rest > 0.0:
        return 0.0
    if dof <= CLOSED:
        return student(abs(r), rest, dof)
    return t_pvalue(abs(r) * math.sqrt(dof / rest), float(dof))


def is_long(series: Any, detrend: bool) -> bool:
    """Tell whether p-values have more degrees of freedom than the closed form is for."""
    return bool(series[0].shape[0] - len(series) - int(detrend) > CLOSED)


@tiled
def regress(
    series: Any,
    total: int,
    t: Any,
    detrend: bool,
    least: float,
    eps: float,
    wanted: int,
    r: Any,
    p: Any,
    count: Any,
    hard: Any,
    more: Any,
    long: Any,
) -> None:
    """Relate the last of the first `total` series to each other one, the rest held fixed.

    r and p are (wanted, cells), of the first series. `more` is None, or semi-partial correlations and standardised
    coefficients in the same form, and (3, cells) of multiple R2, its adjusted value and its p-value; `long` is None, or
    True for series of more than `CLOSED` degrees of freedom. What None says is not compiled. `hard` are the cells that
    are not clear from cross-products: `orthogonalise` does them.
    """
    m = total - 1
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d, good, n, mean, wild = room(total + 1, size)
    before = np.zeros((total, TILE), np.float64)
    cross = np.zeros((total + 1, total + 1, TILE), np.float64)
    scale = np.empty((total, TILE), np.float64)
    root = np.empty((total, total, TILE), np.float64)
    inverse = np.zeros((total, total, TILE), np.float64)
    free = np.empty((total, TILE), np.float64)
    clear = np.empty(TILE, np.float64)
    dof = np.empty(TILE, np.int64)
    sine = np.empty(TILE, np.float64)
    rest = np.empty(TILE, np.float64)
    value = np.empty(TILE, np.float64)
    among = np.empty(TILE, np.float64)
    found = np.empty(TILE, np.float64)
    work = np.empty((2, TILE), np.float64)
    held = m - 1 + (1 if detrend else 0)
    for first in range(0, cells, TILE):
        centred(series, total, t, detrend, first, d, good, n, mean, wild)
        if detrend:
            without_time(d, total, cross, before)
        cross_products(d, total, cross)
        inverse_roots(cross, total, scale, root, inverse, clear)
        _freedom(cross, before, mean, n, inverse, total, eps, free, clear)
        for j in range(TILE):
            at = first + j
            usable = wild[j] == 0.0 and n[j] >= least and n[j] >= 1.0
            count[at] = n[j] if usable else 0.0
            dof[j] = int(n[j]) - 2 - held if usable else 0
            if more is not None:
                for v in range(wanted):
                    more[0][v, at] = np.nan
                    more[1][v, at] = np.nan
                for k in range(3):
                    more[2][k, at] = np.nan
        for v in range(wanted):
            for j in range(TILE):
                among[j] = 0.0
            for a in range(v, m):
                for j in range(TILE):
                    among[j] += inverse[a, v, j] * inverse[a, v, j]
            for j in range(TILE):
                value[j] = -inverse[m, v, j] / math.sqrt(free[v, j])
                rest[j] = among[j] / free[v, j]
            for j in range(TILE):
                plain = dof[j] >= 1 and clear[j] > 0.0
                sine[j] = abs(value[j]) if plain else -1.0
                r[v, first + j] = value[j] if plain else np.nan
            if long is None:
                students(sine, rest, dof, TILE, work[0], work[1], found)
            else:
                for j in range(TILE):
                    found[j] = correlation_pvalue(value[j], rest[j], dof[j]) if sine[j] >= 0.0 else np.nan
            for j in range(TILE):
                p[v, first + j] = found[j]
            if more is not None:
                for j in range(TILE):
                    if sine[j] >= 0.0:
                        # the standardised coefficient, and what the others leave of x
                        b = -inverse[m, v, j] / inverse[m, m, j]
                        more[1][v, first + j] = b
                        more[0][v, first + j] = b / math.sqrt(among[j])
        for j in range(TILE):
            at = first + j
            hard[at] = dof[j] >= 1 and clear[j] == 0.0
            if more is not None and dof[j] >= 1 and not hard[at]:
                _fitted(1.0 / (inverse[m, m, j] * inverse[m, m, j]), dof[j], m, at, more[2])


@part
def _fitted(unexplained: float, dof: int, m: int, at: int, fit: Any) -> None:
    fit[0, at] = 1.0 - unexplained
    fit[1, at] = 1.0 - unexplained * (dof + m) / dof
    if not np.isnan(unexplained):
        fit[2, at] = incomplete_beta(0.5 * dof, 0.5 * m, unexplained, 1.0 - unexplained)


@tiled
def orthogonalise(
    series: Any,
    total: int,
    t: Any,
    detrend: bool,
    least: float,
    eps: float,
    wanted: int,
    hard: Any,
    r: Any,
    p: Any,
    more: Any,
) -> None:
    """Do what `regress` does for the cells that it found hard, from the series themselves."""
    m = total - 1
    size = series[0].shape[0]
    d, good, n, mean, wild = room(total + 1, size)
    before = np.zeros((total, TILE), np.float64)
    cross = np.zeros((total + 1, total + 1, TILE), np.float64)
    held = m - 1 + (1 if detrend else 0)
    controls = np.empty((held, size), np.float64)
    x = np.empty(size, np.float64)
    y = np.empty(size, np.float64)
    summed = -1
    for at in hard:
        first = at // TILE * TILE
        j = at - first
        if more is not None and first != summed:
            centred(series, total, t, detrend, first, d, good, n, mean, wild)
            if detrend:
                without_time(d, total, cross, before)
            cross_products(d, total, cross)
            summed = first
        unexplained = np.nan
        dof = 1
        for v in range(wanted):
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
            value, pvalue, used, left_x, left_y = partial_of(y, x, controls, least, eps)
            r[v, at] = value
            p[v, at] = pvalue
            dof = int(used) - 2 - held
            if more is not None:
                syy = cross[m, m, j]
                more[0][v, at] = value * math.sqrt(left_y / syy)
                more[1][v, at] = value * math.sqrt(left_y / left_x) * math.sqrt(cross[v, v, j] / syy)
                # of a driver beside which another explains everything there is nothing to say
                if not np.isnan(value):
                    unexplained = left_y * (1.0 - value * value) / syy
        if more is not None:
            _fitted(unexplained, dof, m, at, more[2])


@tiled
def moments(series: Any, t: Any, least: float, count: Any, mean: Any, cross: Any) -> None:
    """Give n, the means and the centred cross-products of all series and of time, packed by rows of the triangle."""
    total = len(series)
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d, good, n, means, wild = room(total + 1, size)
    products = np.zeros((total + 1, total + 1, TILE), np.float64)
    for first in range(0, cells, TILE):
        centred(series, total, t, True, first, d, good, n, means, wild)
        cross_products(d, total + 1, products)
        for j in range(TILE):
            at = first + j
            usable = wild[j] == 0.0 and n[j] >= least and n[j] > 0.0
            count[at] = n[j] if usable else 0.0
            pair = 0
            for a in range(total + 1):
                mean[a, at] = means[a, j] if usable else np.nan
                for b in range(a + 1):
                    cross[pair, at] = products[a, b, j] if usable else np.nan
                    pair += 1
