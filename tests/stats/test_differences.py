"""The largest differences from the twins over 2,400 series each, which docs/statistics-tests.md has as a table.

``pytest -m slow tests/stats/test_differences.py`` prints its rows. A quarter of the series each is autocorrelated,
has gaps, has ties, and has an extreme scale and offset; each has three drivers of its kind.
"""

import numpy as np
import pytest
import scipy.stats
import stats_oracles as twins
import xarray as xr
from driver_oracles import benjamini_hochberg, complete, exact_products, regression, restrend, six_classes, strongest
from scipy.optimize import minimize_scalar
from stats_factories import YEARS, cube, loop, series

from nepcube import stats

pytestmark = pytest.mark.slow

CELLS = 600
KINDS = ("autocorrelated", "gaps", "ties", "scale")
METHODS = ("original", "pre-whitened", "trend-free-pre-whitened", "3pw", "hamed-rao", "yue-wang")


def columns():
    """(20, 2400): each kind in turn."""
    rng = np.random.default_rng(5)
    scale = 10.0 ** rng.uniform(-12, 12, CELLS)
    offset = rng.choice([0.0, 1.0, 1e3], CELLS) * scale * 10
    kinds = (
        series(50, CELLS),
        series(51, CELLS, gaps=0.2),
        series(52, CELLS, ties=True),
        (series(53, CELLS) - 120) * scale + offset,
    )
    return np.concatenate(kinds, axis=1)


Y = columns()
DA = cube(Y)
FEW = {"min_years": 8}


def three_drivers():
    """(3, 20, 2400): drivers that go with Y and with each other, of its kinds; of some cells two are nearly one."""
    rng = np.random.default_rng(7)
    like = np.nan_to_num((Y - np.nanmean(Y, 0)) / np.nanstd(Y, 0))
    x = np.array([(series(60 + v, Y.shape[1], trend=False) - 120) / 10 for v in range(3)])
    x += rng.normal(0, 0.7, (3, 1, Y.shape[1])) * like
    ties, gaps, scale = (slice(CELLS * k, CELLS * (k + 1)) for k in (KINDS.index(n) for n in ("ties", "gaps", "scale")))
    x[..., ties] = np.round(x[..., ties] * 2) / 2
    near = np.setdiff1d(np.arange(0, Y.shape[1], 10), np.arange(Y.shape[1])[ties])
    # a hundredth of the one is left: too close for cross-products, which are then done again from the series
    x[2][:, near] = x[1][:, near] + 0.01 * x[2][:, near]
    holes = rng.random((3, 20, CELLS)) < 0.05
    lacking = (np.isfinite(Y[:, gaps]) & ~holes.any(0)).sum(0) < FEW["min_years"]
    x[..., gaps] = np.where(holes & ~lacking, np.nan, x[..., gaps])
    sizes = 10.0 ** rng.uniform(-12, 12, (3, 1, CELLS))
    x[..., scale] = x[..., scale] * sizes + rng.choice([0.0, 1.0, 1e3], (3, 1, CELLS)) * sizes
    return x


X = three_drivers()
NAMES = ("a", "b", "c")
DRIVERS = {name: cube(x, name=name) for name, x in zip(NAMES, X, strict=True)}
WHOLE = np.isfinite(Y) & np.isfinite(X).all(0)


def standardised(i):
    """Complete years of a cell, y and drivers, in standard deviations: of other scales pinv leaves columns out."""
    y, *x = complete(Y[:, i], *X[:, :, i])
    return [(v - v.mean()) / v.std() for v in (y, *x)]


def each(twin):
    """What a twin gives for every cell: the cells last."""
    found = [twin(i) for i in range(Y.shape[1])]
    return {name: np.array([f[name] for f in found], float).T for name in found[0]}


def by_series(ours, theirs):
    return (lambda: ours(DA, **FEW), lambda: loop(theirs, Y.T, x=YEARS))


def mann_kendall(method):
    return (
        lambda: stats.mann_kendall(DA, method=method, **FEW),
        lambda: loop(twins.mann_kendall_by_years, Y.T, x=YEARS, method=method),
    )


def sought(model):
    found = stats.breakpoint_trend(DA, model=model, **FEW)

    def truth():
        years = [twins.break_by_trying_all(c, YEARS, model, 5) for c in Y.T]
        each = [twins.two_trends(c, YEARS, y, model) for c, y in zip(Y.T, years, strict=True)]
        names = ("year", "slope_before", "slope_before_pvalue", "slope_after", "slope_after_pvalue", "f", "n")
        return {name: np.array([e[name] for e in each]) for name in names}

    return (lambda: found, truth)


def given(model):
    return (
        lambda: stats.breakpoint_trend(DA, 2011, model=model, min_segment=3, **FEW),
        lambda: loop(
            lambda c, **o: {k: v for k, v in twins.two_trends(c, **o).items() if k != "rss"},
            Y.T,
            x=YEARS,
            year=2011,
            model=model,
        ),
    )


def hurst():
    found = stats.hurst_exponent(DA, **FEW)
    return (lambda: found, lambda: loop(twins.rescaled_range, Y.T, windows=found.hurst.attrs["windows"]))


CASES = {
    "linear_trend, scipy": lambda: by_series(stats.linear_trend, twins.linregress),
    "linear_trend, statsmodels": lambda: by_series(stats.linear_trend, twins.ols),
    "theil_sen, scipy": lambda: by_series(stats.theil_sen, twins.theilslopes),
    **{f"mann_kendall {m}, by the papers": lambda m=m: mann_kendall(m) for m in METHODS},
    **{f"breakpoint_trend {m}, given, statsmodels": lambda m=m: given(m) for m in ("joined", "independent")},
    **{f"breakpoint_trend {m}, sought, all years tried": lambda m=m: sought(m) for m in ("joined", "independent")},
    "pettitt, scipy's ranks": lambda: by_series(stats.pettitt, twins.pettitt_by_ranks),
    "coefficient_of_variation, numpy": lambda: (
        lambda: stats.coefficient_of_variation(DA, min_mean=0, **FEW),
        lambda: loop(twins.numpy_cv, Y.T, min_mean=0),
    ),
    "coefficient_of_variation detrended, statsmodels": lambda: (
        lambda: stats.coefficient_of_variation(DA, detrend=True, min_mean=0, **FEW),
        lambda: loop(twins.residual_cv, Y.T, x=YEARS),
    ),
    "hurst_exponent, numpy": hurst,
}


def against_each_other(twin):
    """All three drivers: each, and the two others as controls."""

    def of(i):
        y, *x = standardised(i)
        found = [twin(y, x[v], [x[w] for w in range(3) if w != v]) for v in range(3)]
        return {"r": [f["r"] for f in found], "pvalue": [f["pvalue"] for f in found], "n": found[0]["n"]}

    return (lambda: stats.partial_correlations(DA, DRIVERS, **FEW), lambda: each(of))


def plain():
    def of(i):
        y, x = complete(Y[:, i], X[0][:, i])
        found = scipy.stats.pearsonr(*((v - v.mean()) / v.std() for v in (y, x)))
        return {"r": found.statistic, "pvalue": found.pvalue, "n": y.size}

    return (lambda: stats.partial_correlation(DA, DRIVERS["a"], **FEW), lambda: each(of))


def semi_partial():
    def of(i):
        y, *x = standardised(i)
        found = regression(y, x)
        return {"r": found["semi_partial"][0], "pvalue": found["pvalue"][0], "n": found["n"]}

    controls = [DRIVERS["b"], DRIVERS["c"]]
    return (lambda: stats.semi_partial_correlation(DA, DRIVERS["a"], controls, **FEW), lambda: each(of))


def regressed(detrend):
    def of(i):
        if not detrend:
            y, *x = standardised(i)
            return regression(y, x)
        t, y, *x = complete(YEARS - YEARS[0], Y[:, i], *X[:, :, i])
        # the line is taken away here, where years are missing, and time is one more control
        t = t - t.mean()
        y, *x = ((v - v.mean() - (t @ v) / (t @ t) * t) / v.std() for v in (y, *x))
        found = regression(np.append(y, np.nan), [np.append(v, np.nan) for v in x])
        dof = len(y) - 5
        r, r2 = found["r"], found["r2"]
        return found | {
            "pvalue": 2 * scipy.stats.t.sf(np.abs(r) * np.sqrt(dof / (1 - r * r)), dof),
            "adjusted_r2": 1 - (1 - r2) * (dof + 3) / dof,
            "r2_pvalue": scipy.stats.f.sf(r2 / 3 / ((1 - r2) / dof), 3, dof),
        }

    return (lambda: stats.multiple_regression(DA, DRIVERS, detrend=detrend, **FEW), lambda: each(of))


def ridge_of_scikit():
    # it comes with pingouin
    linear = pytest.importorskip("sklearn.linear_model")

    def of(i):
        y, *x = standardised(i)
        z = np.column_stack(x)
        b = linear.Ridge(alpha=0.1 * y.size, fit_intercept=False, solver="svd").fit(z, y).coef_
        return {
            "coefficient": b,
            "share": np.abs(b) / np.abs(b).sum(),
            "r2": 1 - np.mean((y - z @ b) ** 2),
            "n": y.size,
        }

    return (lambda: stats.ridge_contributions(DA, DRIVERS, penalty=0.1, **FEW), lambda: each(of))


def ridge_by_validation():
    """The minimum is flat: what is compared is the score at the penalty, and the coefficients of that penalty."""
    found = stats.ridge_contributions(DA, DRIVERS, penalty="gcv", **FEW)

    def of(i):
        y, *x = standardised(i)
        u, s, v = np.linalg.svd(np.column_stack(x), full_matrices=False)
        n, along = y.size, u.T @ y

        def score(log):
            kept = s**2 / (s**2 + n * np.exp(np.asarray(log))[..., None])
            rest = 1 - ((2 - kept) * kept * along**2).sum(-1) / n
            return rest / (1 - (1 + kept.sum(-1)) / n) ** 2

        grid = np.linspace(np.log(1e-6), np.log(1e3), 400)
        at = int(score(grid).argmin())
        ends = grid[max(at - 1, 0)], grid[min(at + 1, 399)]
        best = minimize_scalar(score, bounds=ends, method="bounded", options={"xatol": 1e-9}).fun
        chosen = float(found.penalty[i])
        b = v.T @ (s * along / (s**2 + n * chosen))
        return {"coefficient": b, "score": best, "at": score(np.log(chosen)), "n": n}

    truth = each(of)
    ours = found[["coefficient", "n"]].assign(score=("cell", truth.pop("at")))
    return (lambda: ours, lambda: truth)


def restrended():
    def of(i):
        t, y, *x = complete(YEARS - YEARS[0], Y[:, i], *X[:, :, i])
        spread = y.std()
        x = [(v - v.mean()) / v.std() for v in x]
        level = np.full(20, np.nan)
        rows = [level.copy() for _ in range(4)]
        for row, values in zip(rows, ((y - y.mean()) / spread, *x), strict=True):
            row[t.astype(int)] = values
        found = restrend(rows[0], rows[1:])
        slopes = ("slope", "climate_slope", "residual_slope", "residual_stderr")
        return found | {name: found[name] * spread for name in slopes}

    return (lambda: stats.residual_trend(DA, DRIVERS, **FEW), lambda: each(of))


def attributed():
    # potential productivity in the unit of the actual one: half of it, and noise of the same spread
    rng = np.random.default_rng(8)
    noise = rng.normal(size=Y.shape) * np.nanstd(Y, 0)
    potential = np.where(np.isnan(Y), noise, Y / 2 + noise)

    def of(i):
        code, slopes = six_classes(Y[:, i], potential[:, i])
        names = ("slope_actual", "slope_potential", "slope_human")
        return {"attribution": code} | dict(zip(names, slopes, strict=True)) | {"n": np.isfinite(Y[:, i]).sum()}

    return (lambda: stats.attribution(DA, cube(potential), **FEW), lambda: each(of))


def dominant():
    table = stats.partial_correlations(DA, DRIVERS, **FEW)
    codes = stats.dominant_driver(table)
    r, p = table.r.values.T, table.pvalue.values.T
    return (
        lambda: xr.Dataset({"code": codes, "n": table.n}),
        lambda: {"code": np.array([strongest(a, b, 0.05) for a, b in zip(r, p, strict=True)], float)},
    )


def sufficient(merged):
    """From all years at once, or from two periods that are merged."""
    arrays = {"y": DA} | DRIVERS
    if not merged:
        return stats.sufficient_statistics(arrays)
    periods = [{n: a.isel(time=part) for n, a in arrays.items()} for part in (slice(0, 9), slice(9, 20))]
    return stats.merge_statistics(*(stats.sufficient_statistics(p) for p in periods))


def tabled(merged):
    table = sufficient(merged)
    pairs = list(zip(table["first"].values, table["second"].values, strict=True))

    def of(i):
        names = ("y", *NAMES, "year")
        kept = dict(zip(names, complete(Y[:, i], *X[:, :, i], YEARS), strict=True))
        found = {(a, b): exact_products(kept[a], kept[b]) for a, b in pairs}
        size = [np.sqrt(found[a, a] * found[b, b]) for a, b in pairs]
        exact = np.array(list(found.values()))
        return {"product": exact / size, "size": size, "n": kept["y"].size}

    truth = each(of)
    ours = table[["product", "n"]]
    ours["product"] = ours["product"] / xr.DataArray(truth.pop("size"), dims=("pair", "cell"))
    return (lambda: ours, lambda: truth)


def from_table(ours, twin):
    """From merged periods; the twins have the complete years of the series."""
    masked = np.where(WHOLE, Y, np.nan)
    return (lambda: ours(sufficient(merged=True)), lambda: each(lambda i: twin(masked[:, i], i)))


def slope_of(y, i):
    return {k: v for k, v in twins.linregress(y, YEARS).items() if k in ("slope", "stderr", "pvalue", "n")}


def partial_of_table(y, i):
    y, a, b, c = standardised(i)
    return twins.partial_by_inverse(y, a, [b, c])


def rejected():
    p = stats.partial_correlations(DA, DRIVERS, **FEW).pvalue
    found = stats.field_significance(p)
    held, threshold, m = benjamini_hochberg(p.values, 0.05)
    return (
        lambda: xr.Dataset({"threshold": found.threshold, "n": ("test", np.full(p.size, found.m))}).assign(
            code=("test", found.map(p).values.ravel())
        ),
        lambda: {"threshold": np.array(threshold), "n": np.full(p.size, float(m)), "code": held.astype(float)},
    )


CASES |= {
    "partial_correlation of order 0, scipy": plain,
    "partial_correlations of order 2, pingouin": lambda: against_each_other(twins.partial_by_pingouin),
    "partial_correlations of order 2, numpy's inverse": lambda: against_each_other(twins.partial_by_inverse),
    "semi_partial_correlation, statsmodels": semi_partial,
    "multiple_regression, statsmodels": lambda: regressed(False),
    "multiple_regression detrended, statsmodels": lambda: regressed(True),
    "ridge_contributions, penalty 0.1, scikit-learn": ridge_of_scikit,
    "ridge_contributions, penalty gcv, numpy's svd and scipy": ridge_by_validation,
    "dominant_driver, a loop": dominant,
    "residual_trend, statsmodels": restrended,
    "attribution, fractions": attributed,
    "false discovery rate over the drivers' 7,200 p-values, statsmodels": rejected,
    "sufficient_statistics, fractions": lambda: tabled(False),
    "merge_statistics of two periods, fractions": lambda: tabled(True),
    "trend_from_statistics, merged, scipy": lambda: from_table(lambda t: stats.trend_from_statistics(t, "y"), slope_of),
    "variation_from_statistics, merged, numpy": lambda: from_table(
        lambda t: stats.variation_from_statistics(t, "y", min_mean=0)[["cv", "n"]],
        lambda y, i: twins.numpy_cv(y, min_mean=0),
    ),
    "partial_from_statistics, merged, numpy's inverse": lambda: from_table(
        lambda t: stats.partial_from_statistics(t, "y", "a", ["b", "c"], min_years=8), partial_of_table
    ),
}
#: where two drivers are nearly one, an inverse and sums of products keep fewer digits than the series do
LIMITS = {
    "partial_correlations of order 2, pingouin": 1e-10,
    "partial_correlations of order 2, numpy's inverse": 1e-10,
    "partial_from_statistics, merged, numpy's inverse": 1e-10,
    "ridge_contributions, penalty gcv, numpy's svd and scipy": 1e-8,
}
EXACT = {"n", "year", "k", "code", "attribution", "dof"}
#: absolute: probabilities, correlations, and what is relative to a size of its own already
BOUNDED = ("tau", "lag1", "hurst", "r", "semi_partial", "coefficient", "share", "r2", "adjusted_r2", "product")
#: in parts of the spread of the series, as they may be zero by chance
SLOPES = ("slope", "intercept", "lower", "upper")


def difference(name, ours, theirs):
    """The largest difference: absolute of probabilities and correlations, else relative; of slopes to the spread."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), name
    good = np.isfinite(theirs)
    gap = np.abs(ours - theirs)[good]
    if name in EXACT:
        assert not gap.any(), name
    if "pvalue" in name or name in BOUNDED:
        return gap.max()
    size = np.abs(theirs)[good]
    if name in SLOPES or "slope" in name:
        size = np.nanstd(Y, 0)[good] + (np.abs(np.nanmean(Y, 0))[good] if name == "intercept" else 0)
    if name == "f":
        size = 1 + size
    return (gap / np.where(size > 0, size, 1)).max()


@pytest.mark.parametrize("case", CASES)
def test_the_largest_difference(case, capsys):
    ours, theirs = CASES[case]()
    found, truth = ours(), theirs()
    assert found.n.size >= 2000
    largest = {name: difference(name, found[name].values, np.asarray(values, float)) for name, values in truth.items()}
    with capsys.disabled():
        cells = ", ".join(f"{name} {v:.0e}" for name, v in largest.items() if name not in EXACT)
        print(f"\n| {case} | {cells} |", end="")
    assert max(largest.values()) < LIMITS.get(case, 1e-11)


def test_the_largest_difference_from_pymannkendall(capsys):
    whole = np.flatnonzero(np.isfinite(Y).all(0))
    # values that tie are told apart by the last bit there: a dust far below their step is not
    y = Y[:, whole] + np.random.default_rng(6).normal(0, 1e-6, (20, whole.size)) * np.std(Y[:, whole], 0)
    for method in ("original", "pre-whitened", "trend-free-pre-whitened", "3pw", "hamed-rao"):
        found = stats.mann_kendall(cube(y), method=method)
        truth = loop(twins.mann_kendall, y.T, method=method)
        p = difference("pvalue", found.pvalue.values, truth["pvalue"])
        tau = difference("tau", found.tau.values, truth["tau"])
        with capsys.disabled():
            print(f"\n| mann_kendall {method}, pymannkendall | tau {tau:.0e}, pvalue {p:.0e} |", end="")
        assert max(p, tau) < 1e-12
