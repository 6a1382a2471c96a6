"""Kernels of the statistics: one series in, a few numbers out. numpy and numba only.

No fastmath, sequential over time, float64 accumulators, one rounding at the end: the same bits however the cells are
cut. A series with an infinite value, or with fewer than `least` values, gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled, compiled_gufunc
from nepcube.stats._pvalues import t_pvalue


def gufunc(inputs: str, outputs: str, shape: str) -> Any:
    """Compile for float32 and float64: ``y`` is a series, ``t`` a float64 vector, ``s`` a scalar, ``c`` controls."""
    signatures = []
    for y in ("float32", "float64"):
        kinds = {"y": f"{y}[:]", "t": "float64[:]", "s": "float64", "c": f"{y}[:,:]", "o": f"{y}[:]"}
        signatures.append("void(" + ",".join(kinds[k] for k in inputs + outputs) + ")")
    return compiled_gufunc(signatures, shape)


@compiled
def usable(y: Any, least: float) -> int:
    # the number of values, or -1 where nothing can be said
    n = 0
    for i in range(y.size):
        if np.isinf(y[i]):
            return -1
        if not np.isnan(y[i]):
            n += 1
    return n if n >= least and n > 0 else -1


@compiled
def partial_of(y: Any, x: Any, controls: Any, least: float, eps: float) -> tuple[float, float, float, float, float]:
    """Give (r, p, n) and the sums of squares that the controls leave of x and of y, by modified Gram-Schmidt.

    One control after the other is taken from all that follow; `eps` is the relative rounding of the input.
    """
    k = controls.shape[0]
    size = y.size
    columns = np.empty((k + 2, size), np.float64)
    n = 0
    for i in range(size):
        bad = np.isnan(y[i]) or np.isnan(x[i])
        wild = np.isinf(y[i]) or np.isinf(x[i])
        for c in range(k):
            bad = bad or np.isnan(controls[c, i])
            wild = wild or np.isinf(controls[c, i])
        if wild:
            return np.nan, np.nan, 0.0, np.nan, np.nan
        if not bad:
            for c in range(k):
                columns[c, n] = controls[c, i]
            columns[k, n] = x[i]
            columns[k + 1, n] = y[i]
            n += 1
    if n < least or n == 0:
        return np.nan, np.nan, 0.0, np.nan, np.nan
    dof = n - 2 - k
    if dof < 1:
        return np.nan, np.nan, float(n), np.nan, np.nan
    left_x = 0.0
    left_y = 0.0
    for c in range(k + 2):
        total = 0.0
        for i in range(n):
            total += columns[c, i]
        m = total / n
        before = 0.0
        largest = 0.0
        for i in range(n):
            largest = max(largest, abs(columns[c, i]))
            columns[c, i] -= m
            before += columns[c, i] * columns[c, i]
        # a series that varies by rounding alone is constant
        if before <= 1e-24 * m * m * n or before == 0.0:
            return np.nan, np.nan, float(n), np.nan, np.nan
        # twice is enough (Kahan): the second pass takes away what rounding left of the first
        for _ in range(2):
            for other in range(min(c, k)):
                dot = 0.0
                for i in range(n):
                    dot += columns[c, i] * columns[other, i]
                for i in range(n):
                    columns[c, i] -= dot * columns[other, i]
        after = 0.0
        for i in range(n):
            after += columns[c, i] * columns[c, i]
        # nothing is left of it but rounding: collinear with the controls
        if after <= 1e-12 * before or after <= 4.0 * n * (eps * largest) ** 2:
            return np.nan, np.nan, float(n), np.nan, np.nan
        left_x, left_y = left_y, after
        norm = math.sqrt(after)
        for i in range(n):
            columns[c, i] /= norm
    dot = 0.0
    for i in range(n):
        dot += columns[k, i] * columns[k + 1, i]
    dot = min(1.0, max(-1.0, dot))
    rest = 1.0 - dot * dot
    pvalue = t_pvalue(dot * math.sqrt(dof / rest), float(dof)) if rest > 0.0 else 0.0
    return dot, pvalue, float(n), left_x, left_y
