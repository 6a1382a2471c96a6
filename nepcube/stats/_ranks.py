"""Kernels of the statistics of order: Theil-Sen and Mann-Kendall; the rules of `_kernels` hold here, too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled
from nepcube.stats._kernels import gufunc, usable


@compiled
def _slopes(v: Any, x: Any, n: int, slopes: Any) -> int:
    # fills in all pairwise slopes and gives the number of ties
    at = 0
    ties = 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            d = v[j] - v[i]
            if d == 0.0:
                ties += 1
            slopes[at] = d / (x[j] - x[i])
            at += 1
    return ties


@compiled
def _select(a: Any, size: int, k: int) -> float:
    # the k-th smallest of `size` items (Hoare 1961); afterwards nothing before it is greater, nothing behind it less
    left = 0
    right = size - 1
    while left < right:
        pivot = a[(left + right) // 2]
        i = left
        j = right
        while i <= j:
            while a[i] < pivot:
                i += 1
            while pivot < a[j]:
                j -= 1
            if i <= j:
                a[i], a[j] = a[j], a[i]
                i += 1
                j -= 1
        if k <= j:
            right = j
        elif k >= i:
            left = i
        else:
            break
    return a[k]


@compiled
def _at_rank(a: Any, size: int, position: float) -> float:
    # the value at a fractional rank (from 0), interpolated
    position = min(max(position, 0.0), size - 1.0)
    low = int(position)
    value = _select(a, size, low)
    part = position - low
    if part == 0.0:
        return value
    following = a[low + 1]
    for i in range(low + 2, size):
        following = min(following, a[i])
    if part == 0.5:
        return 0.5 * (value + following)
    return value + part * (following - value)


@compiled
def _compact(y: Any, x: Any, v: Any, w: Any) -> int:
    n = 0
    for i in range(y.size):
        if not np.isnan(y[i]):
            v[n] = y[i]
            w[n] = x[i]
            n += 1
    return n


@compiled
def _variance_of_s(v: Any, n: int, tied_pairs: int) -> float:
    # ties corrected (Kendall 1975); each member of a group of m adds (m - 1)(2m + 5)
    ties = 0.0
    if tied_pairs > 0:
        for i in range(n):
            m = 0
            for j in range(n):
                if v[j] == v[i]:
                    m += 1
            ties += (m - 1.0) * (2.0 * m + 5.0)
    return (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0


@gufunc("ytss", "oooo", "(n),(n),(),()->(),(),(),()")
def sen(y: Any, x: Any, least: Any, z: Any, slope: Any, lower: Any, upper: Any, count: Any) -> None:
    """Theil-Sen slope and its interval, ranks (N -+ z sqrt(Var S)) / 2 interpolated (Sen 1968, Gilbert 1987)."""
    slope[0] = np.nan
    lower[0] = np.nan
    upper[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 2.0))
    if n < 0:
        return
    v = np.empty(n, np.float64)
    w = np.empty(n, np.float64)
    _compact(y, x, v, w)
    pairs = n * (n - 1) // 2
    slopes = np.empty(pairs, np.float64)
    ties = _slopes(v, w, n, slopes)
    count[0] = n
    slope[0] = _at_rank(slopes, pairs, (pairs - 1) / 2.0)
    if n > 2:
        c = z * math.sqrt(_variance_of_s(v, n, ties))
        lower[0] = _at_rank(slopes, pairs, (pairs - c) / 2.0 - 1.0)
        upper[0] = _at_rank(slopes, pairs, (pairs + c) / 2.0)


@compiled
def _kendall(v: Any, n: int) -> tuple[float, float, float]:
    # (tau, p, S)
    up = 0
    down = 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            up += v[j] > v[i]
            down += v[j] < v[i]
    s = float(up - down)
    var = _variance_of_s(v, n, n * (n - 1) // 2 - up - down)
    pairs = 0.5 * n * (n - 1.0)
    if var <= 0.0:
        return np.nan, np.nan, s
    z = 0.0
    if s > 0:
        z = (s - 1.0) / math.sqrt(var)
    elif s < 0:
        z = (s + 1.0) / math.sqrt(var)
    return s / pairs, math.erfc(abs(z) / math.sqrt(2.0)), s


@compiled
def _lag1(v: Any, n: int) -> float:
    mean = 0.0
    for i in range(n):
        mean += v[i]
    mean /= n
    top = 0.0
    bottom = 0.0
    for i in range(n):
        d = v[i] - mean
        bottom += d * d
        if i > 0:
            top += d * (v[i - 1] - mean)
    return top / bottom if bottom > 0.0 else np.nan


@gufunc("ytss", "ooo", "(n),(n),(),()->(),(),()")
def kendall(y: Any, x: Any, least: Any, variant: Any, tau: Any, pvalue: Any, count: Any) -> None:
    """Mann-Kendall; variant 0 is the original, 1 the larger p of pre-whitening and trend-free pre-whitening (3PW)."""
    tau[0] = np.nan
    pvalue[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 3.0))
    if n < 0:
        return
    v = np.empty(n, np.float64)
    w = np.empty(n, np.float64)
    _compact(y, x, v, w)
    count[0] = n
    t, p, _ = _kendall(v, n)
    tau[0] = t
    if variant == 0.0 or n < 4 or np.isnan(p):
        pvalue[0] = p
        return
    r = _lag1(v, n)
    white = np.empty(n - 1, np.float64)
    for i in range(n - 1):
        white[i] = v[i + 1] - r * v[i]
    _, p_white, _ = _kendall(white, n - 1)
    pairs = n * (n - 1) // 2
    slopes = np.empty(pairs, np.float64)
    _slopes(v, w, n, slopes)
    b = _at_rank(slopes, pairs, (pairs - 1) / 2.0)
    free = np.empty(n, np.float64)
    for i in range(n):
        free[i] = v[i] - b * (i + 1.0)
    r = _lag1(free, n)
    if np.isnan(r):
        r = 0.0
    for i in range(n - 1):
        white[i] = free[i + 1] - r * free[i] + b * (i + 1.0)
    _, p_free, _ = _kendall(white, n - 1)
    pvalue[0] = max(p_white, p_free)
