"""Independent twins of the statistics of drivers, fields and tables: statsmodels, numpy, fractions; none calls ours."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import scipy.stats
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from statsmodels.stats.multitest import multipletests


def complete(*series):
    """The years in which all series are there."""
    table = np.array(series, float)
    return table[:, np.isfinite(table).all(0)]


def without_line(values, t):
    return values - np.polyval(np.polyfit(t - t.mean(), values, 1), t - t.mean())


def regression(y, drivers, detrend=False):
    """By statsmodels: standardised coefficients, t tests, partial and semi-partial by leaving one out, R2 and F."""
    t, y, *x = complete(np.arange(len(y)), y, *drivers)
    if detrend:
        y, *x = (without_line(v, t) for v in (y, *x))
    fit = sm.OLS(y, sm.add_constant(np.column_stack(x))).fit()
    dof = len(y) - 1 - len(x) - int(detrend)
    scale = np.sqrt(dof / fit.df_resid)
    tvalues = fit.tvalues[1:] * scale
    semi, partial = [], []
    for i in range(len(x)):
        others = sm.add_constant(np.column_stack([np.zeros(len(y)), *(v for j, v in enumerate(x) if j != i)])[:, 1:])
        others = others if len(x) > 1 else np.ones((len(y), 1))
        ry, rx = (sm.OLS(v, others).fit().resid for v in (y, x[i]))
        semi.append(np.corrcoef(y, rx)[0, 1])
        partial.append(np.corrcoef(ry, rx)[0, 1])
    r2 = fit.rsquared
    f = r2 / len(x) / ((1 - r2) / dof)
    return {
        "coefficient": fit.params[1:] * np.array([v.std() for v in x]) / y.std(),
        "r": np.array(partial),
        "semi_partial": np.array(semi),
        "pvalue": 2 * scipy.stats.t.sf(np.abs(tvalues), dof),
        "r2": r2,
        "adjusted_r2": 1 - (1 - r2) * (dof + len(x)) / dof,
        "r2_pvalue": scipy.stats.f.sf(f, len(x), dof),
        "n": len(y),
    }


def ridge(y, drivers, penalty):
    """Normal equations of the augmented least squares, in standard deviations; GCV by scipy's minimiser."""
    y, *x = complete(y, *drivers)
    n = len(y)
    z = np.column_stack([(v - v.mean()) / v.std() for v in x])
    u = (y - y.mean()) / y.std()

    def solve(p):
        rows = np.vstack([z, np.sqrt(p * n) * np.eye(z.shape[1])])
        return np.linalg.lstsq(rows, np.append(u, np.zeros(z.shape[1])), rcond=None)[0]

    def gcv(logarithm):
        p = np.exp(logarithm)
        hat = z @ np.linalg.inv(z.T @ z + p * n * np.eye(z.shape[1])) @ z.T + 1 / n
        return np.sum((u - hat @ u) ** 2) / n / (1 - np.trace(hat) / n) ** 2

    if penalty == "gcv":
        grid = np.linspace(np.log(1e-6), np.log(1e3), 400)
        at = int(np.argmin([gcv(g) for g in grid]))
        lo, hi = grid[max(at - 1, 0)], grid[min(at + 1, 399)]
        penalty = np.exp(minimize_scalar(gcv, bounds=(lo, hi), method="bounded", options={"xatol": 1e-9}).x)
    b = solve(penalty)
    return {
        "coefficient": b,
        "share": np.abs(b) / np.abs(b).sum(),
        "r2": 1 - np.sum((u - z @ b) ** 2) / n,
        "penalty": penalty,
        "gcv": gcv(np.log(penalty)) if penalty else np.nan,
        "score": lambda p: gcv(np.log(p)),
    }


def strongest(r, p, alpha):
    """The code of the dominant driver of one cell, by a plain loop."""
    if all(np.isnan(v) for v in r):
        return 255
    best, code = 0.0, 0
    for i, (a, b) in enumerate(zip(r, p, strict=True), start=1):
        if b < alpha and abs(a) > best:
            best, code = abs(a), i
    return code


def restrend(y, climate):
    """Two fits of statsmodels; the error and p of the second with the coefficients of the first counted."""
    t, y, *x = complete(np.arange(len(y)), y, *climate)
    first = sm.OLS(y, sm.add_constant(np.column_stack(x))).fit()
    line = sm.add_constant(t)
    rest, part, whole = (sm.OLS(v, line).fit() for v in (first.resid, first.fittedvalues, y))
    dof = len(y) - 2 - len(x)
    stderr = rest.bse[1] * np.sqrt((len(y) - 2) / dof)
    return {
        "slope": whole.params[1],
        "climate_slope": part.params[1],
        "residual_slope": rest.params[1],
        "residual_stderr": stderr,
        "residual_pvalue": 2 * scipy.stats.t.sf(abs(rest.params[1] / stderr), dof),
        "r2": first.rsquared,
        "n": len(y),
        "dof": dof,
    }


def six_classes(actual, potential):
    """The table of signs, on slopes in fractions."""
    t, a, p = complete(np.arange(len(actual)), actual, potential)
    square, over_a, over_p = (exact_products(t, v) for v in (t, a, p))
    slopes = [
        over_a / square,
        over_p / square,
        exact_products(t, [Fraction(x) - Fraction(y) for x, y in zip(a, p, strict=True)]) / square,
    ]
    table = {(1, 1, -1): 1, (1, -1, 1): 2, (1, 1, 1): 3, (-1, -1, 1): 4, (-1, 1, -1): 5, (-1, -1, -1): 6}
    return table.get(tuple(int(np.sign(s)) for s in slopes), 0), slopes


def benjamini_hochberg(p, alpha):
    """By statsmodels over the whole array: which hold, and the largest that does."""
    p = np.asarray(p).ravel()
    good = np.isfinite(p)
    held = np.zeros(p.size, bool)
    if good.any():
        held[good] = multipletests(p[good], alpha, method="fdr_bh")[0]
    return held, (float(p[held].max()) if held.any() else np.nan), int(good.sum())


def step_up(p, alpha):
    """By the definition, a loop over the ranks from the top."""
    p = sorted(float(v) for v in np.asarray(p).ravel() if np.isfinite(v))
    return next((k for k in range(len(p), 0, -1) if p[k - 1] <= k / len(p) * alpha), 0)


def exact_products(a, b):
    """Sum of products about the means, in fractions."""
    a, b = ([Fraction(v) for v in s] for s in (a, b))
    ma, mb = sum(a) / len(a), sum(b) / len(b)
    return float(sum((x - ma) * (y - mb) for x, y in zip(a, b, strict=True)))
