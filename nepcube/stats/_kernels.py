"""Kernels of the statistics: one series in, a few numbers out. numpy and numba only.

No fastmath, sequential over time, float64 accumulators, one rounding at the end: the same bits however the cells are
cut. A series with an infinite value, or with fewer than `least` values, gives NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled, compiled_gufunc


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
def _beta_fraction(a: float, b: float, x: float) -> float:
    # continued fraction of the incomplete beta function by Lentz's method (DLMF 8.17.22)
    tiny = 1e-300
    c = 1.0
    d = 1.0 - (a + b) * x / (a + 1.0)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    h = d
    for m in range(1, 500):
        m2 = 2 * m
        term = m * (b - m) * x / ((a + m2 - 1.0) * (a + m2))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        h *= d * c
        term = -(a + m) * (a + b + m) * x / ((a + m2) * (a + m2 + 1.0))
        d = 1.0 + term * d
        d = 1.0 / (d if abs(d) > tiny else tiny)
        c = 1.0 + term / c
        c = c if abs(c) > tiny else tiny
        step = d * c
        h *= step
        if abs(step - 1.0) < 1e-15:
            break
    return h


@compiled
def incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """Regularised incomplete beta function I_x(a, b); y is 1 - x."""
    if y <= 0.0:
        return 1.0
    if x <= 0.0:
        return 0.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(a, b, x) / a
    return 1.0 - front * _beta_fraction(b, a, y) / b


@compiled
def student(sine: float, rest: float, dof: int) -> float:
    """Two-sided p-value of Student's t in closed form: t = sqrt(dof) tan(angle), `rest` is the squared cosine.

    Of a correlation r with dof degrees of freedom: sine = |r|, rest = 1 - r^2. The finite sums of Abramowitz and Stegun
    26.7.3 and 26.7.4 give 1 - p; where that would cancel, the terms that follow (they add to 1 in all) give p itself.
    """
    if sine == 0.0:
        return 1.0
    body = 0.0
    term = 1.0
    u = dof % 2
    if u == 1:
        cosine = math.sqrt(rest)
        body = 2.0 / math.pi * math.atan2(sine, cosine)
        term = 2.0 / math.pi * cosine
    total = 0.0
    while u < dof:
        total += term
        term *= rest * (u + 1.0) / (u + 2.0)
        u += 2
    body += sine * total
    if body < 0.99:
        return 1.0 - body
    total = 0.0
    while term > 1e-17 * total * sine * sine:
        total += term
        term *= rest * (u + 1.0) / (u + 2.0)
        u += 2
    return sine * total


@compiled
def t_pvalue(t: float, dof: float) -> float:
    """Two-sided p-value of Student's t: the regularised incomplete beta function I_x(dof/2, 1/2), x = dof/(dof+t2)."""
    if np.isnan(t) or dof <= 0:
        return np.nan
    if np.isinf(t):
        return 0.0
    t2 = t * t
    # long series take the continued fraction, whose steps do not grow with their length
    if dof <= 200.0 and dof == math.floor(dof):
        return student(abs(t) / math.sqrt(dof + t2), dof / (dof + t2), int(dof))
    return incomplete_beta(0.5 * dof, 0.5, dof / (dof + t2), t2 / (dof + t2))


@gufunc("yts", "oooooo", "(n),(n),()->(),(),(),(),(),()")
def ols(
    y: Any, x: Any, least: Any, slope: Any, intercept: Any, stderr: Any, pvalue: Any, lag1: Any, count: Any
) -> None:
    """Ordinary least squares on x; the intercept is the fitted value at x = 0."""
    slope[0] = np.nan
    intercept[0] = np.nan
    stderr[0] = np.nan
    pvalue[0] = np.nan
    lag1[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 2.0))
    if n < 0:
        return
    mean_x = 0.0
    mean_y = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            mean_x += x[i]
            mean_y += np.float64(y[i])
    mean_x /= n
    mean_y /= n
    sxx = 0.0
    sxy = 0.0
    syy = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            dx = x[i] - mean_x
            dy = np.float64(y[i]) - mean_y
            sxx += dx * dx
            sxy += dx * dy
            syy += dy * dy
    count[0] = n
    if sxx <= 0.0:
        return
    b = sxy / sxx
    slope[0] = b
    intercept[0] = mean_y - b * mean_x
    if n < 3:
        return
    rss = 0.0
    products = 0.0
    neighbours = 0
    last = np.nan
    last_x = np.nan
    for i in range(y.size):
        if not np.isnan(y[i]):
            e = (np.float64(y[i]) - mean_y) - b * (x[i] - mean_x)
            rss += e * e
            # only neighbours in time, so that a gap makes no false pair
            if x[i] - last_x == 1.0:
                products += e * last
                neighbours += 1
            last = e
            last_x = x[i]
    # a residual that is only rounding is none
    if rss <= 1e-24 * (syy + mean_y * mean_y * n):
        rss = 0.0
    error = math.sqrt(rss / (n - 2) / sxx)
    stderr[0] = error
    if syy <= 1e-24 * mean_y * mean_y * n:
        return
    if rss > 0.0:
        if neighbours > 0:
            lag1[0] = products / rss
        pvalue[0] = t_pvalue(b / error, n - 2.0)
    else:
        pvalue[0] = 0.0


@compiled
def _mean_and_squares(y: Any, n: int) -> tuple[float, float]:
    total = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            total += np.float64(y[i])
    m = total / n
    ss = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            d = np.float64(y[i]) - m
            ss += d * d
    return m, ss


@gufunc("yss", "ooo", "(n),(),()->(),(),()")
def moments(y: Any, least: Any, ddof: Any, mean: Any, sd: Any, count: Any) -> None:
    """Mean and standard deviation."""
    mean[0] = np.nan
    sd[0] = np.nan
    count[0] = 0.0
    n = usable(y, least)
    if n < 0:
        return
    m, ss = _mean_and_squares(y, n)
    mean[0] = m
    count[0] = n
    if n > ddof:
        sd[0] = math.sqrt(ss / (n - ddof))


@gufunc("ysss", "oo", "(n),(),(),()->(),()")
def variation(y: Any, least: Any, ddof: Any, min_mean: Any, cv: Any, count: Any) -> None:
    """Coefficient of variation, with the sign of the mean."""
    cv[0] = np.nan
    count[0] = 0.0
    n = usable(y, least)
    if n < 0:
        return
    m, ss = _mean_and_squares(y, n)
    count[0] = n
    if n > ddof and abs(m) >= min_mean and m != 0.0:
        cv[0] = math.sqrt(ss / (n - ddof)) / m


@gufunc("ytss", "oo", "(n),(n),(),()->(),()")
def detrended_variation(y: Any, x: Any, least: Any, min_mean: Any, cv: Any, count: Any) -> None:
    """Standard deviation of what a straight line leaves, n - 2 degrees of freedom, over the mean and with its sign."""
    cv[0] = np.nan
    count[0] = 0.0
    n = usable(y, max(least, 2.0))
    if n < 0:
        return
    mean_y, syy = _mean_and_squares(y, n)
    count[0] = n
    if n < 3 or abs(mean_y) < min_mean or mean_y == 0.0:
        return
    mean_x = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            mean_x += x[i]
    mean_x /= n
    sxx = 0.0
    sxy = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            sxx += (x[i] - mean_x) * (x[i] - mean_x)
            sxy += (x[i] - mean_x) * (np.float64(y[i]) - mean_y)
    rss = 0.0
    for i in range(y.size):
        if not np.isnan(y[i]):
            e = (np.float64(y[i]) - mean_y) - sxy / sxx * (x[i] - mean_x)
            rss += e * e
    # a residual that is only rounding is none
    if rss <= 1e-24 * (syy + mean_y * mean_y * n):
        rss = 0.0
    cv[0] = math.sqrt(rss / (n - 2)) / mean_y


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
