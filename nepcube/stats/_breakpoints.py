"""Kernels of breaks in time: two trends with a break between them, and Pettitt's test; the rules of `_kernels` hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled, compiled_gufunc
from nepcube.stats._kernels import gufunc, usable
from nepcube.stats._pvalues import t_pvalue

JOINED, INDEPENDENT = range(2)


@compiled
def _line(v: Any, x: Any, first: int, last: int) -> tuple[float, float, float, float]:
    # (slope, mean x, mean v, sum of squares of x) of v[first:last]
    n = last - first
    mean_x = 0.0
    mean_v = 0.0
    for i in range(first, last):
        mean_x += x[i]
        mean_v += v[i]
    mean_x /= n
    mean_v /= n
    sxx = 0.0
    sxv = 0.0
    for i in range(first, last):
        sxx += (x[i] - mean_x) * (x[i] - mean_x)
        sxv += (x[i] - mean_x) * (v[i] - mean_v)
    return (sxv / sxx if sxx > 0.0 else np.nan), mean_x, mean_v, sxx


@compiled
def _rest(v: Any, x: Any, first: int, last: int) -> float:
    # what a straight line through v[first:last] leaves: the sum of squares
    b, mean_x, mean_v, _ = _line(v, x, first, last)
    rss = 0.0
    for i in range(first, last):
        e = (v[i] - mean_v) - b * (x[i] - mean_x)
        rss += e * e
    return rss


@compiled
def _joined(v: Any, x: Any, n: int, at: int) -> tuple[float, float, float, float, float]:
    # (slope before, after, rss, and what s^2 is multiplied with for their variances) of two lines that meet at x[at]
    mean_u = 0.0
    mean_w = 0.0
    mean_v = 0.0
    for i in range(n):
        mean_u += min(x[i] - x[at], 0.0)
        mean_w += max(x[i] - x[at], 0.0)
        mean_v += v[i]
    mean_u /= n
    mean_w /= n
    mean_v /= n
    suu = 0.0
    sww = 0.0
    suw = 0.0
    suv = 0.0
    swv = 0.0
    for i in range(n):
        u = min(x[i] - x[at], 0.0) - mean_u
        w = max(x[i] - x[at], 0.0) - mean_w
        d = v[i] - mean_v
        suu += u * u
        sww += w * w
        suw += u * w
        suv += u * d
        swv += w * d
    det = suu * sww - suw * suw
    if not det > 0.0:
        return np.nan, np.nan, np.nan, np.nan, np.nan
    before = (suv * sww - swv * suw) / det
    after = (swv * suu - suv * suw) / det
    rss = 0.0
    for i in range(n):
        u = min(x[i] - x[at], 0.0) - mean_u
        w = max(x[i] - x[at], 0.0) - mean_w
        e = (v[i] - mean_v) - before * u - after * w
        rss += e * e
    return before, after, rss, sww / det, suu / det


@compiled
def _left_by(v: Any, x: Any, n: int, at: int, model: int) -> float:
    if model == JOINED:
        return _joined(v, x, n, at)[2]
    return _rest(v, x, 0, at) + _rest(v, x, at, n)


@compiled
def _best(v: Any, x: Any, n: int, segment: int, model: int, straight: float) -> tuple[int, float]:
    # the break that leaves least, the earliest of what is equal but for rounding; -1 where the series is too short
    best = -1
    least = 2.0 * straight
    # where lines meet is the end of the one and the beginning of the other
    for at in range(segment - (model == JOINED), n - segment + 1):
        rss = _left_by(v, x, n, at, model)
        if rss < least - 1e-12 * straight:
            least = rss
            best = at
    return best, least


@compiled
def _f(straight: float, rss: float, n: int, model: int) -> float:
    # what the break explains against what it leaves
    more = 1 if model == JOINED else 2
    if rss > 0.0:
        return max(straight - rss, 0.0) / more / (rss / (n - 2 - more))
    return np.inf if straight > 0.0 else np.nan


@compiled
def _f_pvalue(f: float, n: int, model: int) -> float:
    # of F with 1 and n - 3 degrees of freedom, which is t squared, or with 2 and n - 4, which has a closed form
    if model == JOINED:
        return t_pvalue(math.sqrt(f), n - 3.0)
    return (1.0 + 2.0 * f / (n - 4.0)) ** (-0.5 * (n - 4.0))


@compiled
def _gathered(y: Any, x: Any, n: int, v: Any, w: Any) -> float:
    # the values that are there, from the first on, and how much of a sum of squares is rounding; -1: all of it
    m = 0
    for i in range(y.size):
        if not np.isnan(y[i]):
            v[m] = y[i]
            w[m] = x[i]
            m += 1
    start = v[0]
    mean = 0.0
    for i in range(n):
        v[i] -= start
        mean += v[i]
    mean /= n
    level = start + mean
    ss = 0.0
    for i in range(n):
        ss += (v[i] - mean) * (v[i] - mean)
    if ss <= 1e-24 * level * level * n:
        return -1.0
    return 1e-24 * (ss + level * level * n)


@compiled
def _two_trends(
    y: Any, x: Any, least: float, segment: int, model: int, fixed: float
) -> tuple[float, float, float, float, float, float, int]:
    # (x of the break, slope and p before, slope and p after, F, n); the break is sought where `fixed` is NaN
    nan = np.nan
    n = usable(y, max(least, 2.0))
    if n < 0:
        return nan, nan, nan, nan, nan, nan, 0
    v = np.empty(n, np.float64)
    w = np.empty(n, np.float64)
    dust = _gathered(y, x, n, v, w)
    dof = n - 3 if model == JOINED else n - 4
    if dust < 0.0 or dof < 1:
        return nan, nan, nan, nan, nan, nan, n
    straight = _rest(v, w, 0, n)
    straight = straight if straight > dust else 0.0
    if np.isnan(fixed):
        if straight == 0.0:
            # a straight line has no break to be found
            return nan, nan, nan, nan, nan, nan, n
        at, _ = _best(v, w, n, segment, model, straight)
        knot = w[at] if at > 0 else nan
    else:
        at = 0
        while at < n and w[at] < fixed:
            at += 1
        knot = fixed
    shared = 1 if model == JOINED and at < n and w[at] == knot else 0
    if at + shared < segment or n - at < segment:
        return nan, nan, nan, nan, nan, nan, n
    if model == JOINED:
        # lines may meet in a year that is missing: it stands in as one more place on the axis
        if w[at] != knot:
            longer = np.empty(n + 1, np.float64)
            longer[:n] = w
            longer[n] = knot
            before, after, rss, scale_before, scale_after = _joined(v, longer, n, n)
        else:
            before, after, rss, scale_before, scale_after = _joined(v, w, n, at)
    else:
        before, _, _, sxx_before = _line(v, w, 0, at)
        after, _, _, sxx_after = _line(v, w, at, n)
        scale_before = 1.0 / sxx_before
        scale_after = 1.0 / sxx_after
        rss = _rest(v, w, 0, at) + _rest(v, w, at, n)
    rss = rss if rss > dust else 0.0
    variance = rss / dof
    if rss > 0.0:
        p_before = t_pvalue(before / math.sqrt(variance * scale_before), float(dof))
        p_after = t_pvalue(after / math.sqrt(variance * scale_after), float(dof))
    else:
        p_before = 0.0
        p_after = 0.0
    f = _f(straight, rss, n, model)
    return knot, before, p_before, after, p_after, f, n


def _signature(y: str) -> str:
    return f"void({y}[:],float64[:]{',float64' * 5},float64[:,:]{f',{y}[:]' * 8})"


# one gufunc for a year that is given and one that is sought: each costs seconds to compile
@compiled_gufunc(
    [_signature("float32"), _signature("float64")],
    "(n),(n),(),(),(),(),(),(r,q)->(),(),(),(),(),(),(),()",
)
def two_trends(
    y: Any, x: Any, least: Any, segment: Any, model: Any, origin: Any, fixed: Any, nulls: Any,
    year: Any, before: Any, p_before: Any, after: Any, p_after: Any, f: Any, pvalue: Any, count: Any,
) -> None:  # fmt: skip
    """Trends before and after a break, and its p-value.

    The break is at `fixed` on the axis; where that is NaN, it is the one that leaves least. The rows of `nulls` then
    hold, rising, the largest F of series without a break: the last row that of as many values as y has places, each
    row before it that of one fewer.
    """
    at, before[0], p_before[0], after[0], p_after[0], found, n = _two_trends(
        y, x, least, int(segment), int(model), fixed
    )
    year[0] = origin + at
    f[0] = found
    count[0] = n
    pvalue[0] = np.nan
    if np.isnan(found):
        return
    if not np.isnan(fixed):
        pvalue[0] = _f_pvalue(found, n, int(model))
        return
    row = nulls.shape[0] - 1 - (y.size - n)
    low = 0
    high = nulls.shape[1]
    while low < high:
        middle = (low + high) // 2
        if nulls[row, middle] < found:
            low = middle + 1
        else:
            high = middle
    pvalue[0] = (1.0 + nulls.shape[1] - low) / (1.0 + nulls.shape[1])


@compiled
def largest_f(noise: Any, segment: int, model: int, out: Any) -> None:
    """The largest F over all breaks of each row of `noise`."""
    n = noise.shape[1]
    x = np.arange(n).astype(np.float64)
    for k in range(noise.shape[0]):
        straight = _rest(noise[k], x, 0, n)
        _, rss = _best(noise[k], x, n, segment, model, straight)
        out[k] = _f(straight, rss, n, model)


@gufunc("ytss", "oooo", "(n),(n),(),()->(),(),(),()")
def pettitt(y: Any, x: Any, least: Any, origin: Any, year: Any, k: Any, pvalue: Any, count: Any) -> None:
    """Pettitt's test: the largest |U_t|, U_t the sum of sign(y_j - y_i) over i before and j behind (Pettitt 1979)."""
    year[0] = np.nan
    k[0] = np.nan
    pvalue[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 2.0))
    if n < 0:
        return
    v = np.empty(n, np.float64)
    w = np.empty(n, np.float64)
    m = 0
    for i in range(y.size):
        if not np.isnan(y[i]):
            v[m] = y[i]
            w[m] = x[i]
            m += 1
    count[0] = n
    u = 0.0
    largest = 0.0
    at = -1
    for t in range(n - 1):
        # moving t to the front takes away its pairs with those before it, and adds those with all behind it
        for j in range(n):
            u += (v[j] > v[t]) - (v[j] < v[t])
        if abs(u) > abs(largest):
            largest = u
            at = t + 1
    if at < 0:
        return
    year[0] = origin + w[at]
    k[0] = largest
    pvalue[0] = min(1.0, 2.0 * math.exp(-6.0 * largest * largest / (np.float64(n) ** 3 + np.float64(n) ** 2)))
