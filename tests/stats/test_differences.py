"""The largest differences from the twins over 2,400 series each, which docs/statistics-tests.md has as a table.

``pytest -m slow tests/stats/test_differences.py`` prints its rows. A quarter of the series each is autocorrelated,
has gaps, has ties, and has an extreme scale and offset.
"""

import numpy as np
import pytest
import stats_oracles as twins
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
EXACT = {"n", "year", "k"}


def difference(name, ours, theirs):
    """The largest difference: absolute of probabilities and correlations, else relative; of slopes to the spread."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), name
    good = np.isfinite(theirs)
    gap = np.abs(ours - theirs)[good]
    if name in EXACT:
        assert not gap.any(), name
    if "pvalue" in name or name in ("tau", "lag1", "hurst"):
        return gap.max()
    size = np.abs(theirs)[good]
    if name in ("slope", "intercept", "lower", "upper", "slope_before", "slope_after"):
        # a slope may be zero by chance: what counts is its part of the spread
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
    assert max(largest.values()) < 1e-11


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
