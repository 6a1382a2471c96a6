"""Independent twins of `nepcube.stats`: scipy, statsmodels, pymannkendall, pingouin, and plain numpy; none calls ours.

`ORACLES` names, for every public function, the twin that its tests use: a function without one fails
`test_every_function_has_a_twin`.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pingouin
import pymannkendall
import scipy.special
import scipy.stats
import statsmodels.api as sm
from driver_oracles import (
    benjamini_hochberg,
    exact_products,
    regression,
    restrend,
    ridge,
    six_classes,
    step_up,
    strongest,
)
from statsmodels.tsa.stattools import acf as acf_of

from nepcube import stats


def linregress(y, x):
    """Slope, intercept at the first x, stderr and p over the years that are there; lag-1 of the residuals by numpy."""
    x = np.asarray(x, float) - x[0]
    good = np.isfinite(y)
    fit = scipy.stats.linregress(x[good], np.asarray(y, float)[good])
    residual = np.where(good, np.asarray(y, float) - fit.intercept - fit.slope * x, np.nan)
    pairs = (np.diff(x) == 1) & good[1:] & good[:-1]
    lag1 = (residual[1:] * residual[:-1])[pairs].sum() / np.nansum(residual**2)
    return {
        "slope": fit.slope,
        "intercept": fit.intercept,
        "stderr": fit.stderr,
        "pvalue": fit.pvalue,
        "lag1": lag1,
        "n": good.sum(),
    }


def ols(y, x):
    """The same by statsmodels."""
    x = np.asarray(x, float) - x[0]
    fit = sm.OLS(np.asarray(y, float), sm.add_constant(x), missing="drop").fit()
    return {
        "slope": fit.params[1],
        "intercept": fit.params[0],
        "stderr": fit.bse[1],
        "pvalue": fit.pvalues[1],
        "n": fit.nobs,
    }


def theilslopes(y, x, confidence=0.95):
    """Slope by scipy; the interval from the ranks (N -+ c) / 2 of all slopes, interpolated with np.interp."""
    good = np.isfinite(y)
    v, w = np.asarray(y, float)[good], np.asarray(x, float)[good]
    slopes = np.sort([(v[j] - v[i]) / (w[j] - w[i]) for i, j in itertools.combinations(range(v.size), 2)])
    n = v.size
    _, groups = np.unique(v, return_counts=True)
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in groups.tolist())) / 18
    c = scipy.stats.norm.ppf(0.5 + confidence / 2) * math.sqrt(variance)
    ranks = np.arange(1, slopes.size + 1)
    lower, upper = np.interp([(slopes.size - c) / 2, (slopes.size + c) / 2 + 1], ranks, slopes)
    return {"slope": scipy.stats.theilslopes(v, w).slope, "lower": lower, "upper": upper, "n": n}


PYMANNKENDALL = {
    "original": pymannkendall.original_test,
    "pre-whitened": pymannkendall.pre_whitening_modification_test,
    "trend-free-pre-whitened": pymannkendall.trend_free_pre_whitening_modification_test,
    "hamed-rao": pymannkendall.hamed_rao_modification_test,
}


def mann_kendall(y, method):
    """pymannkendall, for series without gaps; 3PW is the larger p of its two pre-whitenings.

    Its faults, which are not taken over: gaps are closed up, so that years that are none's neighbours are taken for
    such (while Sen's slope keeps them apart); Hamed-Rao gives NaN where the corrected variance is negative; Yue-Wang
    sums all lags by default, significant or not, where the sum of an autocorrelation over all lags is -1/2 whatever
    the series, and so rejects 40 % of white noise (`lag=1` takes the first, significant or not); 1 - cdf has no p
    below 1e-16.
    """
    original = pymannkendall.original_test(y)
    if method == "3pw":
        p = max(PYMANNKENDALL[m](y).p for m in ("pre-whitened", "trend-free-pre-whitened"))
    else:
        with np.errstate(invalid="ignore"):
            p = PYMANNKENDALL[method](y).p
        if math.isnan(p):
            p = original.p
    return {"tau": original.Tau, "pvalue": p, "n": np.isfinite(y).sum()}


def mann_kendall_by_years(y, x, method):
    """Every variant from its paper, on a calendar with gaps: S by pymannkendall, autocorrelations by statsmodels."""
    series = pd.Series(np.asarray(y, float), np.asarray(x, int)).dropna()
    series -= series.iloc[0]
    n = len(series)
    original = pymannkendall.original_test(series.to_numpy())
    out = {"tau": original.Tau, "n": n}
    slope = scipy.stats.theilslopes(series.to_numpy(), series.index.to_numpy()).slope
    years = range(series.index[0], series.index[-1] + 1)
    detrended = series - slope * (series.index - series.index[0])
    # what is equal but for rounding is equal
    digits = int(9 - math.floor(math.log10(np.ptp(series))))

    def acf(values, lags):
        with np.errstate(invalid="ignore"):
            found = acf_of(values.reindex(years), missing="conservative", nlags=max(lags, 1), fft=False)
        return np.pad(np.nan_to_num(found), (0, lags + 1))[: lags + 1]

    def whitened(values, put_back):
        calendar = values.reindex(years)
        white = (calendar - acf(values, 1)[1] * calendar.shift(1) + put_back * np.arange(len(years))).dropna()
        return pymannkendall.original_test(white.round(digits).to_numpy()).p if len(white) > 2 else math.nan

    if method == "original":
        return out | {"pvalue": original.p}
    if method in ("hamed-rao", "yue-wang"):
        k = np.arange(1, n)
        r = acf(detrended.round(digits).rank() if method == "hamed-rao" else detrended, n - 1)[1:]
        r = np.where(np.abs(r) > scipy.stats.norm.ppf(0.975) / math.sqrt(n), r, 0)
        if method == "hamed-rao":
            factor = 1 + 2 * ((n - k) * (n - k - 1) * (n - k - 2) * r).sum() / (n * (n - 1) * (n - 2))
        else:
            factor = 1 + 2 * ((1 - k / n) * r).sum()
        z = max(abs(original.s) - 1, 0) / math.sqrt(original.var_s * (factor if factor > 0 else 1))
        return out | {"pvalue": 2 * scipy.stats.norm.sf(z)}
    p = {"pre-whitened": whitened(series, 0.0), "trend-free-pre-whitened": whitened(detrended, slope)}
    return out | {"pvalue": p[method] if method in p else np.maximum(*p.values())}


def classes_by_words(slope, p, levels):
    """The name of the class of one cell, by the words of the docstring."""
    if math.isnan(slope):
        return "no_data"
    if slope == 0:
        return "no_change"
    if math.isnan(p):
        return "no_data"
    way = "increase" if slope > 0 else "decrease"
    reached = [v for v in levels if p < v]
    return f"significant_{way}_at_{min(reached):g}" if reached else f"slight_{way}"


# --- breaks


def two_trends(y, x, year, model):
    """statsmodels with dummies: a hinge, or a step and a slope of its own from the year on; F by `compare_f_test`."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    good = np.isfinite(y)
    v, t = y[good] - y[good][0], x[good] - year
    after = (t >= 0).astype(float)
    if model == "joined":
        full = np.column_stack([np.ones_like(t), np.minimum(t, 0), np.maximum(t, 0)])
    else:
        full = np.column_stack([1 - after, (1 - after) * t, after * t, after])
    fit = sm.OLS(v, full).fit()
    straight = sm.OLS(v, sm.add_constant(t)).fit()
    f, p, _ = fit.compare_f_test(straight)
    return {
        "slope_before": fit.params[1],
        "slope_before_pvalue": fit.pvalues[1],
        "slope_after": fit.params[2],
        "slope_after_pvalue": fit.pvalues[2],
        "f": f,
        "pvalue": p,
        "n": good.sum(),
        "year": year,
        "rss": fit.ssr,
    }


def break_by_trying_all(y, x, model, min_segment):
    """The year of least squares among all that leave enough values, by numpy.linalg.lstsq."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    v, t = y[np.isfinite(y)], x[np.isfinite(y)]
    found = []
    # the year in which lines meet belongs to both
    for i in range(min_segment - (model == "joined"), v.size - min_segment + 1):
        late = t >= t[i]
        columns = [np.ones_like(t), t - t[0], np.where(late, t - t[i], 0)] + ([late] if model == "independent" else [])
        design = np.column_stack(columns).astype(float)
        rest = v - v[0] - design @ np.linalg.lstsq(design, v - v[0], rcond=None)[0]
        found.append((rest @ rest, t[i]))
    # the earliest of what is equal but for rounding
    least = min(found, default=(0.0, math.nan))[0] + 1e-11 * (v - v.mean()) @ (v - v.mean())
    return next((year for rss, year in found if rss <= least), math.nan)


def largest_f_of_noise(n, min_segment, model, series, seed):
    """The largest F of white noise, by projections: other noise, other arithmetic."""
    noise = np.random.default_rng(seed).normal(size=(series, n))
    t = np.arange(n, dtype=float)

    def left(columns):
        q = np.linalg.qr(np.column_stack(columns))[0]
        return (noise**2).sum(1) - ((noise @ q) ** 2).sum(1)

    straight = left([np.ones(n), t])
    more = 1 if model == "joined" else 2
    largest = np.zeros(series)
    for i in range(min_segment - (model == "joined"), n - min_segment + 1):
        late = (t >= i).astype(float)
        rss = left([np.ones(n), t, late * (t - i)] + ([late] if more == 2 else []))
        largest = np.maximum(largest, (straight - rss) / more / (rss / (n - 2 - more)))
    return np.sort(largest)


def pettitt_by_ranks(y, x):
    """U_t = t (n + 1) - 2 (sum of the first t ranks), by scipy's ranks, negated to be positive for a rise."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    good = np.isfinite(y)
    n = good.sum()
    u = np.arange(1, n) * (n + 1) - 2 * np.cumsum(scipy.stats.rankdata(y[good]))[:-1]
    at = int(np.abs(u).argmax())
    k = u[at]
    return {
        "year": x[good][at + 1] if k else math.nan,
        "k": k if k else math.nan,
        "pvalue": min(1.0, 2 * math.exp(-6 * k**2 / (n**3 + n**2))) if k else math.nan,
        "n": n,
    }


# --- stability


def residual_cv(y, x):
    """Statsmodels: the root of the mean squared residual over the mean."""
    y, x = np.asarray(y, float), np.asarray(x, float)
    good = np.isfinite(y)
    # centred, as the normal equations of a large offset lose the residuals
    fit = sm.OLS(y[good] - y[good].mean(), sm.add_constant(x[good] - x[good].mean())).fit()
    return {"cv": math.sqrt(fit.mse_resid) / y[good].mean(), "n": good.sum()}


def rescaled_range(y, windows):
    """R/S of every window without a gap, by numpy, and a line through the logarithms by np.polyfit."""
    y = np.asarray(y, float)
    logs = []
    for w in windows:
        values = []
        for first in range(y.size - w + 1):
            part = y[first : first + w]
            if np.isfinite(part).all() and np.ptp(part) > 0:
                sums = np.cumsum(part - part.mean())
                values.append((max(sums.max(), 0) - min(sums.min(), 0)) / part.std())
        expected = scipy.special.gamma((w - 1) / 2) / (math.sqrt(math.pi) * scipy.special.gamma(w / 2))
        expected *= sum(math.sqrt((w - i) / i) for i in range(1, w))
        if values:
            logs.append((math.log(w), math.log(np.mean(values) / expected)))
    hurst = 0.5 + np.polyfit(*np.array(logs).T, 1)[0] if len(logs) > 2 else math.nan
    return {"hurst": hurst, "n": np.isfinite(y).sum()}


def numpy_mean(y):
    return {"mean": np.nanmean(np.asarray(y, float)), "sd": np.nanstd(np.asarray(y, float)), "n": np.isfinite(y).sum()}


def numpy_cv(y, ddof=0, min_mean=1.0):
    v = np.asarray(y, float)[np.isfinite(y)]
    return {"cv": v.std(ddof=ddof) / v.mean() if abs(v.mean()) >= min_mean else np.nan, "n": v.size}


def partial_by_pingouin(y, x, controls):
    frame = pd.DataFrame({"y": y, "x": x} | {f"c{i}": c for i, c in enumerate(controls)}).astype(float).dropna()
    covariates = [f"c{i}" for i in range(len(controls))]
    found = pingouin.partial_corr(frame, "x", "y", covar=covariates or None)
    p = found.columns[[c.lower().replace("_", "").startswith("p") for c in found.columns]][0]
    return {"r": found["r"].iloc[0], "pvalue": found[p].iloc[0], "n": len(frame)}


def partial_by_inverse(y, x, controls):
    """-R^-1_ij / sqrt(R^-1_ii R^-1_jj), and p from t with n - 2 - k degrees of freedom."""
    table = np.array([y, x, *controls], float)
    table = table[:, np.isfinite(table).all(0)]
    inverse = np.linalg.inv(np.corrcoef(table))
    r = -inverse[0, 1] / math.sqrt(inverse[0, 0] * inverse[1, 1])
    dof = table.shape[1] - 2 - len(controls)
    t = r * math.sqrt(dof / (1 - r * r))
    return {"r": r, "pvalue": 2 * scipy.stats.t.sf(abs(t), dof), "n": table.shape[1]}


# --- natural breaks


def within(values, weights, inner):
    """Within-class sum of squares of the classes [lower, upper) that inner breaks make: exactly summed."""
    values, weights = np.asarray(values, float), np.asarray(weights, float)
    index = np.searchsorted(np.asarray(inner, float), values, side="right")
    total = []
    for c in np.unique(index):
        v, w = values[index == c], weights[index == c]
        m = math.fsum(w * v) / math.fsum(w)
        total.extend(w * (v - m) ** 2)
    return math.fsum(total)


def best_of_all_partitions(values, weights, k):
    """The least within-class sum of squares, by trying every partition of the distinct values."""
    distinct = np.unique(values)
    return min(
        (within(values, weights, distinct[list(cut)]), tuple(distinct[list(cut)]))
        for cut in itertools.combinations(range(1, distinct.size), k - 1)
    )


def dynamic_program(values, weights, k):
    """The exact optimum of Fisher (1958), O(k n^2): inner breaks, by rows of a cost table in extended precision."""
    order = np.argsort(values, kind="stable")
    v = np.asarray(values, np.longdouble)[order]
    w = np.asarray(weights, np.longdouble)[order]
    v = v - v.mean()
    W, S, Q = (np.concatenate([[0], np.cumsum(a)]) for a in (w, w * v, w * v * v))
    n = v.size
    best = (Q[1:] - S[1:] ** 2 / W[1:]).astype(float)
    choice = np.zeros((k, n), int)
    for c in range(1, k):
        fresh = np.full(n, np.inf)
        for end in range(c, n):
            start = np.arange(c, end + 1)
            weight, total = W[end + 1] - W[start], S[end + 1] - S[start]
            cost = best[start - 1] + (Q[end + 1] - Q[start] - total**2 / weight).astype(float)
            at = int(cost.argmin())
            fresh[end], choice[c, end] = cost[at], start[at]
        best = fresh
    starts, end = [], n - 1
    for c in range(k - 1, 0, -1):
        starts.append(choice[c, end])
        end = choice[c, end] - 1
    return tuple(np.asarray(values, float)[order][starts[::-1]])


def dynamic_program_by_halves(values, weights, k):
    """The same for many values: the best start moves forward with the end, so that halves bound each other."""
    order = np.argsort(values, kind="stable")
    v = np.asarray(values, float)[order]
    w = np.asarray(weights, float)[order]
    centred = v - v.mean()
    W, S, Q = (np.concatenate([[0], np.cumsum(a)]) for a in (w, w * centred, w * centred**2))
    n = v.size
    best = Q[1:] - S[1:] ** 2 / W[1:]
    choices = []
    for c in range(1, k):
        fresh, choice = np.full(n, np.inf), np.zeros(n, int)
        todo = [(c, n - 1, c, n - 1)]
        while todo:
            lo, hi, a, b = todo.pop()
            if lo > hi:
                continue
            end = (lo + hi) // 2
            start = slice(a, min(b, end) + 1)
            total = S[end + 1] - S[start]
            cost = best[a - 1 : min(b, end)] + Q[end + 1] - Q[start] - total * total / (W[end + 1] - W[start])
            at = int(cost.argmin())
            fresh[end], choice[end] = cost[at], a + at
            todo += [(lo, end - 1, a, a + at), (end + 1, hi, a + at, b)]
        best = fresh
        choices.append(choice)
    starts, end = [], n - 1
    for choice in choices[::-1]:
        starts.append(choice[end])
        end = choice[end] - 1
    return tuple(v[starts[::-1]])


def excess_allowed(values, weights, exact, low, high, bins):
    """SCIENCE section 4: the sum over breaks of 2 h W_bin (m_above - m_below), with the optimum's means."""
    values, weights = np.asarray(values, float), np.asarray(weights, float)
    index = np.searchsorted(np.asarray(exact), values, side="right")
    means = [np.average(values[index == c], weights=weights[index == c]) for c in range(len(exact) + 1)]
    h = (high - low) / bins
    position = np.clip(((values - low) / h).astype(int), 0, bins - 1)
    load = np.bincount(position, weights, bins)
    total = 0.0
    for below, above in itertools.pairwise(means):
        # the optimum divides at the middle of two means; that bin is the one which it cuts
        cut = min(max(int(((below + above) / 2 - low) / h), 0), bins - 1)
        # the neighbours too, for a middle that stands on an edge
        total += 2 * h * load[max(cut - 1, 0) : cut + 2].max() * (above - below)
    return total


def variance_fit(values, weights, inner):
    """1 - (within) / (about the mean), exactly summed."""
    whole = within(values, weights, [])
    return 1 - within(values, weights, inner) / whole


def shares_by_sorting(values, weights, k):
    """The first value below which i / k of the weight lies, in whole numbers."""
    order = np.argsort(values, kind="stable")
    v = np.asarray(values, float)[order].tolist()
    w = np.asarray(weights)[order].tolist()
    total, out = sum(w), []
    for i in range(1, k):
        below = 0
        for at, value in enumerate(v):
            if at and value > v[at - 1] and below * k >= i * total:
                out.append(value)
                break
            below += w[at]
    return out


def equal_parts(values, k):
    return np.linspace(np.min(values), np.max(values), k + 1)[1:-1]


def around_the_mean(values, weights, k):
    mean = np.average(values, weights=weights)
    sd = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    return mean + (np.arange(1, k) - k / 2) * sd


def classes_by_counting(value, breaks):
    """255 where there is no value, else how many breaks are at or below it."""
    return 255 if math.isnan(value) else sum(b <= value for b in breaks)


def labels_by_hand(breaks):
    inner = [f"{breaks[i - 1]:.4g} to {breaks[i]:.4g}" for i in range(1, len(breaks))]
    return [f"below {breaks[0]:.4g}", *inner, f"{breaks[-1]:.4g} and above"]


ORACLES = {
    stats.linear_trend: (linregress, ols),
    stats.theil_sen: (theilslopes,),
    stats.mann_kendall: (mann_kendall, mann_kendall_by_years),
    stats.mean: (numpy_mean,),
    stats.describe: (numpy_mean, numpy_cv, linregress),
    stats.trend_classes: (classes_by_words,),
    stats.breakpoint_trend: (two_trends, break_by_trying_all, largest_f_of_noise),
    stats.pettitt: (pettitt_by_ranks,),
    stats.coefficient_of_variation: (numpy_cv, residual_cv),
    stats.hurst_exponent: (rescaled_range,),
    stats.partial_correlation: (partial_by_pingouin, partial_by_inverse),
    stats.partial_correlations: (regression, partial_by_inverse),
    stats.semi_partial_correlation: (regression,),
    stats.multiple_regression: (regression,),
    stats.ridge_contributions: (ridge,),
    stats.dominant_driver: (strongest,),
    stats.residual_trend: (restrend,),
    stats.attribution: (six_classes,),
    stats.FieldSignificance: (benjamini_hochberg,),
    stats.field_significance: (benjamini_hochberg, step_up),
    stats.false_discovery_rate: (benjamini_hochberg,),
    stats.sufficient_statistics: (exact_products,),
    stats.merge_statistics: (exact_products,),
    stats.as_maps: (exact_products,),
    stats.statistics_from_maps: (exact_products,),
    stats.trend_from_statistics: (linregress,),
    stats.variation_from_statistics: (numpy_cv,),
    stats.partial_from_statistics: (partial_by_inverse,),
    stats.natural_breaks: (best_of_all_partitions, dynamic_program, dynamic_program_by_halves),
    stats.ClassBreaks: (variance_fit,),
    stats.class_breaks: (dynamic_program, variance_fit),
    stats.goodness_of_fit: (variance_fit,),
    stats.quantile_breaks: (shares_by_sorting,),
    stats.equal_interval_breaks: (equal_parts,),
    stats.standard_deviation_breaks: (around_the_mean,),
    stats.classify: (classes_by_counting,),
    stats.interval_labels: (labels_by_hand,),
}
