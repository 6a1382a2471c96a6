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
    at = -1
    ties = 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            d = v[j] - v[i]
            ties += d == 0.0
            slopes[at + j] = d / (x[j] - x[i])
        # the next row begins behind this one
        at += n - i - 2
    return ties


@compiled
def _below(a: Any, left: int, right: int, pivot: float) -> int:
    # moves what is less than the pivot to the front, and gives the place behind; without a branch, which a processor
    # would guess wrongly every second time
    at = left
    for i in range(left, right + 1):
        value = a[i]
        a[i] = a[at]
        a[at] = value
        at += value < pivot
    return at


@compiled
def _up_to(a: Any, left: int, right: int, pivot: float) -> int:
    # the same for what is not greater
    at = left
    for i in range(left, right + 1):
        value = a[i]
        a[i] = a[at]
        a[at] = value
        at += value <= pivot
    return at


@compiled
def _at_rank(a: Any, left: int, right: int, position: float) -> float:
    # the value at a fractional rank (from 0), interpolated; a[left:right + 1] holds what has those ranks. Afterwards
    # nothing before that place is greater, nothing behind it less
    position = min(max(position, float(left)), float(right))
    k = int(position)
    part = position - k
    last = right
    while right - left > 8:
        x, y, z = a[left], a[(left + right) // 2], a[right]
        pivot = max(min(x, y), min(max(x, y), z))
        behind = _below(a, left, right, pivot)
        if k < behind:
            right = behind - 1
            continue
        if behind == left:
            # nothing is less: what is equal is done with
            behind = _up_to(a, left, right, pivot)
            if k < behind:
                right = behind - 1
                break
        left = behind
    for i in range(left + 1, right + 1):
        value = a[i]
        j = i
        while j > left and a[j - 1] > value:
            a[j] = a[j - 1]
            j -= 1
        a[j] = value
    if part == 0.0:
        return a[k]
    if k < right:
        following = a[k + 1]
    else:
        following = a[right + 1]
        for i in range(right + 2, last + 1):
            following = min(following, a[i])
    if part == 0.5:
        return 0.5 * (a[k] + following)
    return a[k] + part * (following - a[k])


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
def _variance_of_s(v: Any, n: int, tied_pairs: int, dust: float) -> float:
    # ties corrected (Kendall 1975); each member of a group of m adds (m - 1)(2m + 5)
    ties = 0.0
    if tied_pairs > 0:
        for i in range(n):
            m = 0
            for j in range(n):
                if abs(v[j] - v[i]) <= dust:
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
    middle = (pairs - 1) / 2.0
    slope[0] = _at_rank(slopes, 0, pairs - 1, middle)
    if n > 2:
        c = z * math.sqrt(_variance_of_s(v, n, ties, 0.0))
        # the median has parted them: the ends are sought in their own half, which the lower one's search mixes anew
        half = int(middle)
        lower[0] = _at_rank(slopes, 0, half, (pairs - c) / 2.0 - 1.0)
        position = (pairs + c) / 2.0
        upper[0] = _at_rank(slopes, half + 1 if position >= half + 1.0 else 0, pairs - 1, position)


@compiled
def _kendall(v: Any, n: int, dust: float) -> tuple[float, float]:
    # (S, Var S); what differs by no more than `dust` is tied
    up = 0
    down = 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            d = v[j] - v[i]
            up += d > dust
            down += d < -dust
    return float(up - down), _variance_of_s(v, n, n * (n - 1) // 2 - up - down, dust)


@compiled
def _normal_pvalue(s: float, variance: float) -> float:
    # two-sided, with the correction for continuity
    if not variance > 0.0:
        return np.nan
    return math.erfc(max(abs(s) - 1.0, 0.0) / math.sqrt(2.0 * variance))


@compiled
def _autocorrelations(v: Any, x: Any, n: int, lags: int, out: Any) -> float:
    # out[k] is that of lag k, of the pairs that are exactly k apart on the axis, so that a gap makes no false pair; the
    # sum of squares is that of all values, which keeps it within -1 and 1. Gives this sum
    mean = 0.0
    for i in range(n):
        mean += v[i]
    mean /= n
    out[: lags + 1] = 0.0
    for i in range(n):
        a = v[i] - mean
        out[0] += a * a
        for j in range(i + 1, n):
            apart = x[j] - x[i]
            if apart > lags:
                break
            k = int(apart)
            if k == apart:
                out[k] += a * (v[j] - mean)
    squares = out[0]
    for k in range(lags + 1):
        out[k] = out[k] / squares if squares > 0.0 else 0.0
    return squares


@compiled
def _of_whitened(v: Any, x: Any, n: int, r: float, tilt: float, dust: float, white: Any) -> float:
    # p of v[i] - r v[i - 1], of neighbouring years alone; -1 where there is none (NaN would warn when it is compared)
    m = 0
    for i in range(1, n):
        if x[i] - x[i - 1] == 1.0:
            white[m] = v[i] - r * v[i - 1] + tilt * (x[i - 1] - x[0])
            m += 1
    if m < 3:
        return -1.0
    s, variance = _kendall(white, m, dust)
    return _normal_pvalue(s, variance) if variance > 0.0 else -1.0


@compiled
def _ranked(v: Any, n: int, dust: float, ranks: Any) -> None:
    # ranks from 1, tied values share theirs
    for i in range(n):
        below = 0.0
        for j in range(n):
            d = v[i] - v[j]
            below += 1.0 if d > dust else (0.5 if d >= -dust else 0.0)
        ranks[i] = below + 0.5


@compiled
def _inflation(r: Any, n: int, bound: float, of_ranks: bool) -> float:
    # what significant autocorrelation makes of Var S: Hamed & Rao 1998 eq. 16, or Yue & Wang 2004 eq. 12
    total = 0.0
    for k in range(1, n):
        if abs(r[k]) > bound:
            if of_ranks:
                total += (n - k) * (n - k - 1.0) * (n - k - 2.0) * r[k]
            else:
                total += (1.0 - k / n) * r[k]
    return 1.0 + 2.0 * total / (n * (n - 1.0) * (n - 2.0)) if of_ranks else 1.0 + 2.0 * total


ORIGINAL, WHITENED, TREND_FREE, THREE, HAMED_RAO, YUE_WANG = range(6)


@compiled
def _serial_pvalue(v: Any, x: Any, n: int, variant: int, s: float, variance: float) -> float:
    # p of the variants that mind autocorrelation, -1 where there is none; v is spoilt
    start = v[0]
    low = 0.0
    high = 0.0
    for i in range(n):
        # what follows does not depend on the level, and is exact at any
        v[i] -= start
        low = min(low, v[i])
        high = max(high, v[i])
    # differences of the order of rounding are none
    dust = 1e-12 * (high - low)
    r = np.empty(n, np.float64)
    work = np.empty(n, np.float64)
    white = -1.0
    if variant in (WHITENED, THREE):
        _autocorrelations(v, x, n, 1, r)
        white = _of_whitened(v, x, n, r[1], 0.0, dust, work)
        if variant == WHITENED:
            return white
    pairs = n * (n - 1) // 2
    slopes = np.empty(pairs, np.float64)
    _slopes(v, x, n, slopes)
    b = _at_rank(slopes, 0, pairs - 1, (pairs - 1) / 2.0)
    free = np.empty(n, np.float64)
    for i in range(n):
        free[i] = v[i] - b * (x[i] - x[0])
    if variant in (TREND_FREE, THREE):
        squares = _autocorrelations(free, x, n, 1, r)
        # a straight line leaves rounding alone, which has no autocorrelation
        r1 = r[1] if squares > n * dust * dust else 0.0
        # what is taken from the line's own autocorrelation is put back: v[i] - r v[i - 1] + r b t
        trend_free = _of_whitened(v, x, n, r1, r1 * b, dust, work)
        if variant == TREND_FREE:
            return trend_free
        return max(white, trend_free) if min(white, trend_free) >= 0.0 else -1.0
    of_ranks = variant == HAMED_RAO
    if of_ranks:
        _ranked(free, n, dust, work)
        squares = _autocorrelations(work, x, n, n - 1, r)
    else:
        squares = _autocorrelations(free, x, n, n - 1, r)
        if squares <= n * dust * dust:
            return _normal_pvalue(s, variance)
    # Bartlett's bound of white noise at 5 %
    inflation = _inflation(r, n, 1.959963984540054 / math.sqrt(n), of_ranks)
    return _normal_pvalue(s, variance * inflation if inflation > 0.0 else variance)


@gufunc("ytss", "ooo", "(n),(n),(),()->(),(),()")
def kendall(y: Any, x: Any, least: Any, variant: Any, tau: Any, pvalue: Any, count: Any) -> None:
    """Mann-Kendall in its variants, numbered as above; tau is always that of the values themselves."""
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
    s, variance = _kendall(v, n, 0.0)
    if not variance > 0.0:
        return
    tau[0] = s / (0.5 * n * (n - 1.0))
    if variant == ORIGINAL:
        pvalue[0] = _normal_pvalue(s, variance)
    elif n > 3:
        p = _serial_pvalue(v, w, n, int(variant), s, variance)
        if p >= 0.0:
            pvalue[0] = p
