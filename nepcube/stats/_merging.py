"""Kernels of sufficient statistics: merging, and what comes from them. numpy and numba only.

Means are (series, cells), centred cross-products (pairs, cells): the lower triangle by rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.stats._drivers import correlation_pvalue
from nepcube.stats._pvalues import t_pvalue
from nepcube.stats._tiles import tiled

#: of a series' variance, what the others must leave for a correlation to have digits
LEFT = 1e-6


@tiled
def merge(na: Any, nb: Any, ma: Any, mb: Any, pa: Any, pb: Any, first: Any, second: Any) -> Any:
    """Merge two sets of years (Chan et al. 1983, eq. 2.1, for products)."""
    n = np.empty_like(na)
    mean = np.empty_like(ma)
    product = np.empty_like(pa)
    for at in range(n.size):
        total = na[at] + nb[at]
        n[at] = total
        for v in range(ma.shape[0]):
            if nb[at] == 0.0:
                mean[v, at] = ma[v, at]
            elif na[at] == 0.0:
                mean[v, at] = mb[v, at]
            else:
                mean[v, at] = ma[v, at] + (mb[v, at] - ma[v, at]) * (nb[at] / total)
        for q in range(pa.shape[0]):
            if nb[at] == 0.0:
                product[q, at] = pa[q, at]
            elif na[at] == 0.0:
                product[q, at] = pb[q, at]
            else:
                shift = (mb[first[q], at] - ma[first[q], at]) * (mb[second[q], at] - ma[second[q], at])
                product[q, at] = pa[q, at] + pb[q, at] + shift * (na[at] * nb[at] / total)
    return n, mean, product


@tiled
def _varies(square: float, mean: float, n: float) -> bool:
    # a series that varies by rounding alone is constant
    return square > 1e-24 * mean * mean * n and square > 0.0


@tiled
def trend_of(n: Any, mean: Any, table: Any, least: float) -> Any:
    """Slope, standard error, p-value and n from the table of a series and the years."""
    out = np.full((4, n.size), np.nan)
    for at in range(n.size):
        out[3, at] = 0.0
        if not n[at] >= max(least, 2.0):
            continue
        out[3, at] = n[at]
        syy = table[0, at]
        sxy = table[1, at]
        sxx = table[2, at]
        if sxx <= 0.0:
            continue
        slope = sxy / sxx
        out[0, at] = slope
        if n[at] < 3.0:
            continue
        rss = max(syy - slope * sxy, 0.0)
        # what is below the rounding of the table is no residual
        if rss <= 1e-15 * syy or not _varies(syy, mean[0, at], n[at]):
            rss = 0.0
        error = math.sqrt(rss / (n[at] - 2.0) / sxx)
        out[1, at] = error
        if _varies(syy, mean[0, at], n[at]):
            out[2, at] = t_pvalue(slope / error, n[at] - 2.0) if rss > 0.0 else 0.0
    return out[0], out[1], out[2], out[3]


@tiled
def variation_of(n: Any, mean: Any, table: Any, least: float, ddof: float, min_mean: float) -> Any:
    """Mean, standard deviation, coefficient of variation and n."""
    out = np.full((4, n.size), np.nan)
    for at in range(n.size):
        out[3, at] = 0.0
        if not (n[at] >= least and n[at] > 0.0):
            continue
        out[3, at] = n[at]
        m = mean[0, at]
        out[0, at] = m
        if n[at] > ddof:
            out[1, at] = math.sqrt(max(table[0, at], 0.0) / (n[at] - ddof))
            if abs(m) >= min_mean and m != 0.0:
                out[2, at] = out[1, at] / m
    return out[0], out[1], out[2], out[3]


@tiled
def partial_from(n: Any, mean: Any, table: Any, least: float) -> Any:
    """Partial correlation of the first and the last series, what stands between them held fixed."""
    total = mean.shape[0]
    out = np.full((3, n.size), np.nan)
    root = np.zeros((total, total), np.float64)
    scale = np.empty(total, np.float64)
    order = np.empty(total, np.int64)
    # controls first: what the two have left of them stands in the last corner of the Cholesky factor
    for v in range(total - 2):
        order[v] = v + 1
    order[total - 2] = 0
    order[total - 1] = total - 1
    for at in range(n.size):
        out[2, at] = 0.0
        if not (n[at] >= least and n[at] > 0.0):
            continue
        out[2, at] = n[at]
        dof = int(n[at]) - total
        if dof < 1:
            continue
        usable = True
        for v in range(total):
            square = table[v * (v + 1) // 2 + v, at]
            if not _varies(square, mean[v, at], n[at]):
                usable = False
                break
            scale[v] = math.sqrt(square)
        if not usable:
            continue
        for i in range(total):
            a = order[i]
            for k in range(i + 1):
                b = order[k]
                high = max(a, b)
                value = 1.0 if i == k else table[high * (high + 1) // 2 + min(a, b), at] / (scale[a] * scale[b])
                for c in range(k):
                    value -= root[i, c] * root[k, c]
                if i > k:
                    root[i, k] = value / root[k, k]
                elif i < total - 1:
                    if value < LEFT:
                        usable = False
                        break
                    root[i, i] = math.sqrt(value)
                else:
                    # of the series itself: what the driver takes, and what is left
                    rest = max(value, 0.0)
                    taken = root[i, i - 1]
                    before = taken * taken + rest
                    if before < LEFT:
                        usable = False
                        break
                    out[0, at] = taken / math.sqrt(before)
                    out[1, at] = correlation_pvalue(out[0, at], rest / before, dof)
            if not usable:
                break
    return out[0], out[1], out[2]
