"""Kernels of ridge regression and of the trend that a regression leaves. numpy and numba only.

Series are (time, cells) and are taken cell by cell; the rules of `_kernels` hold.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.stats._drivers import without_time
from nepcube.stats._pvalues import t_pvalue
from nepcube.stats._tiles import TILE, centred, cross_products, room, tiled

#: penalties that generalised cross-validation looks at: ten a decade, then the best one's neighbourhood
SMALLEST, LARGEST, STEPS = 1e-6, 1e3, 90


@tiled
def eigen(a: Any, m: int, vectors: Any) -> None:
    """Turn a symmetric matrix into its eigenvalues (on the diagonal) by Jacobi's rotations."""
    for i in range(m):
        for j in range(m):
            vectors[i, j] = 1.0 if i == j else 0.0
    for _ in range(50):
        off = 0.0
        for i in range(m):
            for j in range(i):
                off += a[i, j] * a[i, j]
        if off < 1e-34:
            return
        for p in range(m - 1):
            for q in range(p + 1, m):
                if a[p, q] == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = (1.0 if theta >= 0.0 else -1.0) / (abs(theta) + math.sqrt(theta * theta + 1.0))
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(m):
                    left = a[k, p]
                    right = a[k, q]
                    a[k, p] = c * left - s * right
                    a[k, q] = s * left + c * right
                for k in range(m):
                    left = a[p, k]
                    right = a[q, k]
                    a[p, k] = c * left - s * right
                    a[q, k] = s * left + c * right
                for k in range(m):
                    left = vectors[k, p]
                    right = vectors[k, q]
                    vectors[k, p] = c * left - s * right
                    vectors[k, q] = s * left + c * right


@tiled
def _rest(values: Any, turned: Any, m: int, penalty: float) -> float:
    # what a ridge leaves unexplained, as a share of the variance
    rest = 1.0
    for i in range(m):
        d = values[i]
        if d > 0.0:
            s = d / (d + penalty)
            rest -= turned[i] * turned[i] / d * s * (2.0 - s)
    return max(rest, 0.0)


@tiled
def score(values: Any, turned: Any, m: int, n: float, used: float, penalty: float) -> float:
    """Give the criterion of generalised cross-validation, relative to the variance; `used` degrees are the means'."""
    trace = used
    for i in range(m):
        trace += values[i] / (values[i] + penalty)
    left = 1.0 - trace / n
    return _rest(values, turned, m, penalty) / (left * left) if left > 0.0 else np.inf


@tiled
def _best_penalty(values: Any, turned: Any, m: int, n: float, used: float) -> float:
    low = math.log(SMALLEST)
    step = (math.log(LARGEST) - low) / STEPS
    best = np.inf
    at = 0
    for i in range(STEPS + 1):
        now = score(values, turned, m, n, used, math.exp(low + i * step))
        if now < best:
            best = now
            at = i
    a = low + max(at - 1, 0) * step
    b = low + min(at + 1, STEPS) * step
    golden = 0.5 * (math.sqrt(5.0) - 1.0)
    c = b - golden * (b - a)
    d = a + golden * (b - a)
    fc = score(values, turned, m, n, used, math.exp(c))
    fd = score(values, turned, m, n, used, math.exp(d))
    for _ in range(40):
        if fc <= fd:
            b = d
            d = c
            fd = fc
            c = b - golden * (b - a)
            fc = score(values, turned, m, n, used, math.exp(c))
        else:
            a = c
            c = d
            fc = fd
            d = a + golden * (b - a)
            fd = score(values, turned, m, n, used, math.exp(d))
    return math.exp(0.5 * (a + b))


@tiled
def ridge(
    series: Any,
    total: int,
    t: Any,
    detrend: bool,
    least: float,
    penalty: float,
    beta: Any,
    share: Any,
    fit: Any,
    count: Any,
) -> None:
    """Standardised ridge coefficients of the last of `total` series on the others; a negative penalty is chosen by GCV.

    beta and share are (drivers, cells), fit is (2, cells): R2 and the penalty.
    """
    m = total - 1
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d, good, n, mean, wild = room(total + 1, size)
    before = np.zeros((total, TILE), np.float64)
    cross = np.zeros((total + 1, total + 1, TILE), np.float64)
    table = np.empty((m, m), np.float64)
    vectors = np.empty((m, m), np.float64)
    values = np.empty(m, np.float64)
    turned = np.empty(m, np.float64)
    used = 2.0 if detrend else 1.0
    for first in range(0, cells, TILE):
        centred(series, total, t, True, first, d, good, n, mean, wild)
        if detrend:
            without_time(d, total, cross, before)
        cross_products(d, total, cross)
        for j in range(TILE):
            at = first + j
            for v in range(m):
                beta[v, at] = np.nan
                share[v, at] = np.nan
            fit[0, at] = np.nan
            fit[1, at] = np.nan
            count[at] = 0.0
            if wild[j] > 0.0 or n[j] < least or n[j] < 1.0:
                continue
            count[at] = n[j]
            constant = n[j] - used < 1.0
            for v in range(total):
                square = cross[v, v, j]
                if square <= 0.0 or square <= 1e-24 * mean[v, j] * mean[v, j] * n[j] or square <= 1e-12 * before[v, j]:
                    constant = True
            if constant:
                continue
            for a in range(m):
                for b in range(m):
                    product = cross[max(a, b), min(a, b), j]
                    table[a, b] = 1.0 if a == b else product / math.sqrt(cross[a, a, j]) / math.sqrt(cross[b, b, j])
            eigen(table, m, vectors)
            smallest = np.inf
            for i in range(m):
                # what is below the rounding of the correlations is nothing
                values[i] = max(table[i, i], 0.0) if table[i, i] > 1e-14 else 0.0
                smallest = min(smallest, values[i])
                turned[i] = 0.0
                for a in range(m):
                    turned[i] += vectors[a, i] * cross[m, a, j] / math.sqrt(cross[a, a, j]) / math.sqrt(cross[m, m, j])
            chosen = penalty if penalty >= 0.0 else _best_penalty(values, turned, m, n[j], used)
            if chosen == 0.0 and smallest < 1e-12:
                continue
            sizes = 0.0
            for a in range(m):
                value = 0.0
                for i in range(m):
                    value += vectors[a, i] * turned[i] / (values[i] + chosen)
                beta[a, at] = value
                sizes += abs(value)
            for a in range(m):
                share[a, at] = abs(np.float64(beta[a, at])) / sizes if sizes > 0.0 else np.nan
            fit[0, at] = 1.0 - _rest(values, turned, m, chosen)
            fit[1, at] = chosen


@tiled
def residual_trend(series: Any, t: Any, least: float, eps: float, out: Any, count: Any) -> None:
    """Trend of the last series, of its regression on the others, and of what that leaves.

    out is (6, cells): slope of all, of the fitted part, of the rest, the rest's standard error and p-value, R2.
    """
    total = len(series)
    m = total - 1
    size = series[0].shape[0]
    q = np.empty((m, size), np.float64)
    y = np.empty(size, np.float64)
    x = np.empty(size, np.float64)
    for at in range(series[0].shape[1]):
        for i in range(6):
            out[i, at] = np.nan
        count[at] = 0.0
        n = 0
        wild = False
        for i in range(size):
            whole = True
            for v in range(total):
                value = np.float64(series[v][i, at])
                wild = wild or abs(value) == np.inf
                whole = whole and value == value
            if whole:
                x[n] = t[i]
                y[n] = series[m][i, at]
                for v in range(m):
                    q[v, n] = series[v][i, at]
                n += 1
        if wild or n < least or n == 0:
            continue
        count[at] = n
        dof = n - 2 - m
        if dof < 1:
            continue
        usable = True
        _, _, _ = _centre(x, n)
        mean, largest, syy = _centre(y, n)
        if syy <= 1e-24 * mean * mean * n or syy == 0.0:
            continue
        for v in range(m):
            mean, largest, before = _centre(q[v], n)
            if before <= 1e-24 * mean * mean * n or before == 0.0:
                usable = False
                break
            for _ in range(2):
                for w in range(v):
                    _take(q[v], q[w], n)
            after = 0.0
            for i in range(n):
                after += q[v, i] * q[v, i]
            if after <= 1e-12 * before or after <= 4.0 * n * (eps * largest) ** 2:
                usable = False
                break
            norm = math.sqrt(after)
            for i in range(n):
                q[v, i] /= norm
        if not usable:
            continue
        sxx = 0.0
        sxy = 0.0
        for i in range(n):
            sxx += x[i] * x[i]
            sxy += x[i] * y[i]
        for _ in range(2):
            for v in range(m):
                _take(y, q[v], n)
        sxe = 0.0
        see = 0.0
        for i in range(n):
            sxe += x[i] * y[i]
            see += y[i] * y[i]
        slope = sxe / sxx
        rss = 0.0
        for i in range(n):
            e = y[i] - slope * x[i]
            rss += e * e
        out[0, at] = sxy / sxx
        out[1, at] = (sxy - sxe) / sxx
        out[2, at] = slope
        out[5, at] = 1.0 - see / syy
        error = math.sqrt(rss / dof / sxx)
        out[3, at] = error
        # a residual that is only rounding has no trend to test
        if see > 1e-24 * syy:
            out[4, at] = t_pvalue(slope / error, float(dof)) if error > 0.0 else 0.0


@tiled
def _centre(a: Any, n: int) -> tuple[float, float, float]:
    # mean, largest size and sum of squares about the mean, which is taken away
    total = 0.0
    largest = 0.0
    for i in range(n):
        total += a[i]
        largest = max(largest, abs(a[i]))
    mean = total / n
    squares = 0.0
    for i in range(n):
        a[i] -= mean
        squares += a[i] * a[i]
    return mean, largest, squares


@tiled
def _take(a: Any, unit: Any, n: int) -> None:
    # what a has along a unit vector is taken away
    dot = 0.0
    for i in range(n):
        dot += a[i] * unit[i]
    for i in range(n):
        a[i] -= dot * unit[i]


@tiled
def attribute(series: Any, t: Any, least: float, eps: float, slopes: Any, code: Any, count: Any) -> None:
    """Slopes of actual, potential and their difference over the same years, and the class that their signs make.

    slopes is (3, cells); code is 0 unclassified, 1 to 3 a rise by climate, by what is not climate, by both, 4 to 6 a
    fall, 255 no data. A series that varies by the rounding of its input alone has slope zero, and so
    has one that goes with time by the rounding of its sum alone.
    """
    size = series[0].shape[0]
    cells = series[0].shape[1]
    d, good, n, mean, wild = room(3, size)
    signs = np.zeros(3, np.int64)
    for first in range(0, cells, TILE):
        centred(series, 2, t, True, first, d, good, n, mean, wild)
        for j in range(TILE):
            at = first + j
            for v in range(3):
                slopes[v, at] = np.nan
            code[at] = 255
            count[at] = 0.0
            if wild[j] > 0.0 or n[j] < least or n[j] < 2.0:
                continue
            count[at] = n[j]
            sxx = 0.0
            for i in range(size):
                sxx += d[2, i, j] * d[2, i, j]
            level = 2.0 * eps * max(abs(mean[0, j]), abs(mean[1, j]))
            for v in range(3):
                product = 0.0
                squares = 0.0
                for i in range(size):
                    value = d[v, i, j] if v < 2 else d[0, i, j] - d[1, i, j]
                    product += d[2, i, j] * value
                    squares += value * value
                # a line that is flat but for the rounding of its sum is flat
                flat = squares <= n[j] * level * level or abs(product) <= 1e-14 * math.sqrt(sxx * squares)
                slope = 0.0 if flat else product / sxx
                slopes[v, at] = slope
                signs[v] = 1 if slope > 0.0 else (-1 if slope < 0.0 else 0)
            code[at] = 0
            if signs[0] == 0 or signs[1] == 0 or signs[2] == 0:
                continue
            base = 0 if signs[0] > 0 else 3
            if signs[1] == signs[0] and signs[2] == signs[0]:
                code[at] = base + 3
            elif signs[1] == signs[0]:
                code[at] = base + 1
            elif signs[2] == signs[0]:
                code[at] = base + 2
