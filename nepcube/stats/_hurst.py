"""Kernel of the Hurst exponent by rescaled range; the rules of `_kernels` hold here, too."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled, compiled_gufunc
from nepcube.stats._kernels import usable


@compiled
def _rescaled_range(v: Any, x: Any, first: int, size: int) -> float:
    # R/S of `size` values without a gap, with n in the standard deviation; -1 where there is none
    if x[first + size - 1] - x[first] != size - 1.0:
        return -1.0
    mean = 0.0
    largest = 0.0
    for i in range(first, first + size):
        mean += v[i]
        largest = max(largest, abs(v[i]))
    mean /= size
    squares = 0.0
    sums = 0.0
    low = 0.0
    high = 0.0
    for i in range(first, first + size):
        d = v[i] - mean
        squares += d * d
        sums += d
        low = min(low, sums)
        high = max(high, sums)
    # what varies by rounding alone is constant
    if squares <= 1e-24 * largest * largest * size:
        return -1.0
    return (high - low) / math.sqrt(squares / size)


@compiled
def _exponent(v: Any, x: Any, n: int, windows: Any, expected: Any) -> float:
    # 1/2 + the slope of log(mean R/S) - log(E R/S) on log(window); -2 where fewer than three windows are left
    mean_a = 0.0
    mean_b = 0.0
    m = 0
    a = np.empty(windows.size, np.float64)
    b = np.empty(windows.size, np.float64)
    for k in range(windows.size):
        size = int(windows[k])
        total = 0.0
        count = 0
        for first in range(n - size + 1):
            rs = _rescaled_range(v, x, first, size)
            if rs > 0.0:
                total += rs
                count += 1
        if count > 0:
            a[m] = math.log(windows[k])
            b[m] = math.log(total / count) - expected[k]
            mean_a += a[m]
            mean_b += b[m]
            m += 1
    if m < 3:
        return -2.0
    mean_a /= m
    mean_b /= m
    saa = 0.0
    sab = 0.0
    for k in range(m):
        saa += (a[k] - mean_a) * (a[k] - mean_a)
        sab += (a[k] - mean_a) * (b[k] - mean_b)
    return 0.5 + sab / saa


@compiled_gufunc(
    [f"void({y}[:],float64[:],float64,float64[:],float64[:],{y}[:],{y}[:])" for y in ("float32", "float64")],
    "(n),(n),(),(w),(w)->(),()",
)
def rescaled_range(y: Any, x: Any, least: Any, windows: Any, expected: Any, hurst: Any, count: Any) -> None:
    """Hurst exponent; `expected` holds the logarithms of what white noise has in each window."""
    hurst[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 2.0))
    if n < 0:
        return
    v = np.empty(n, np.float64)
    w = np.empty(n, np.float64)
    m = 0
    mean = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            v[m] = y[i]
            w[m] = x[i]
            mean += v[m]
            m += 1
    mean /= n
    squares = 0.0
    for i in range(n):
        squares += (v[i] - mean) * (v[i] - mean)
    count[0] = n
    if squares <= 1e-24 * mean * mean * n:
        return
    start = v[0]
    for i in range(n):
        v[i] -= start
    found = _exponent(v, w, n, windows, expected)
    if found > -2.0:
        hurst[0] = found


@compiled
def of_rows(noise: Any, windows: Any, expected: Any, out: Any) -> None:
    """The exponent of each row."""
    x = np.arange(noise.shape[1]).astype(np.float64)
    for k in range(noise.shape[0]):
        out[k] = _exponent(noise[k], x, noise.shape[1], windows, expected)
