"""Partial correlation of orders 0 to 3 beside pingouin and the inverse of the correlation matrix."""

import warnings

import numpy as np
import pytest
import scipy.stats
from driver_oracles import regression, ridge, strongest, without_line
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import cube
from stats_oracles import partial_by_inverse, partial_by_pingouin

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.stats import _pvalues
from nepcube.testing import forbid_compute


def drivers(seed, cells, k, n=20, *, gaps=0.0, dtype="f8"):
    """A response, a driver and k controls that all share something: k + 2 arrays (n, cells)."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, cells))
    out = [rng.normal(size=(n, cells)) + rng.normal(0, 1, cells) * common for _ in range(k + 2)]
    if gaps:
        for a in out:
            a[rng.random(a.shape) < gaps] = np.nan
    return [a.astype(dtype) for a in out]


def ours(arrays, **options):
    y, x, *controls = (cube(a, name=f"v{i}") for i, a in enumerate(arrays))
    return stats.partial_correlation(y, x, controls, **options)


def twin(function, arrays):
    found = [function(y, x, c) for y, x, *c in zip(*(a.T for a in arrays), strict=True)]
    return {name: np.array([f[name] for f in found], float) for name in found[0]}


@pytest.mark.parametrize("gaps", [0.0, 0.05])
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_the_inverse_of_the_correlation_matrix(k, gaps):
    arrays = drivers(k, 2000, k, gaps=gaps)
    found, truth = ours(arrays, min_years=5 + k), twin(partial_by_inverse, arrays)
    enough = truth["n"] >= 5 + k
    # the inverse loses digits where controls go together; ours does not
    assert_allclose(found.r[enough], truth["r"][enough], rtol=1e-8, atol=1e-10)
    assert_allclose(found.pvalue[enough], truth["pvalue"][enough], rtol=1e-7, atol=1e-13)
    assert_array_equal(found.n, np.where(enough, truth["n"], 0))


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_pingouin(k):
    arrays = drivers(10 + k, 60, k, gaps=0.05)
    found = ours(arrays, min_years=8)
    if k == 0:
        wanted = [
            scipy.stats.pearsonr(*np.array([y, x])[:, np.isfinite(y) & np.isfinite(x)])
            for y, x in zip(*(a.T for a in arrays), strict=True)
        ]
        truth = {"r": [w.statistic for w in wanted], "pvalue": [w.pvalue for w in wanted]}
    else:
        truth = twin(partial_by_pingouin, arrays)
        keep = truth["n"] >= 8
        assert keep.all()
    assert_allclose(found.r, truth["r"], rtol=1e-8, atol=1e-10)
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-7)


@pytest.mark.parametrize("k", [1, 3])
def test_the_correlation_of_residuals(k):
    y, x, *controls = drivers(30, 200, k)
    found = ours([y, x, *controls])
    for i in range(200):
        design = np.column_stack([np.ones(20), *(c[:, i] for c in controls)])
        ry, rx = (v[:, i] - design @ np.linalg.lstsq(design, v[:, i], rcond=None)[0] for v in (y, x))
        assert_allclose(found.r[i], np.corrcoef(ry, rx)[0, 1], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("p", "critical"), [(0.05, "0.468"), (0.01, "0.590"), (0.001, "0.708")])
def test_the_critical_values_of_twenty_years_and_two_controls(p, critical):
    # a response built to have exactly this partial correlation; the published value is the rounded one
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(np.column_stack([np.ones(20), rng.normal(size=(20, 4))]))
    t = scipy.stats.t.isf(p / 2, 16)
    r = t / np.sqrt(16 + t * t)
    assert f"{r:.3f}" == critical
    c1, c2, x, e = q[:, 1:].T
    y = r * x + np.sqrt(1 - r * r) * e + 3 * c1 - 2 * c2
    found = ours([v[:, None] for v in (y, x + c1, c1 + c2, c2)])
    assert_allclose(found.r, r, rtol=1e-12)
    assert_allclose(found.pvalue, p, rtol=1e-11)
    for value, significant in ((float(critical) + 0.0006, True), (float(critical) - 0.0006, False)):
        y = value * x + np.sqrt(1 - value**2) * e
        assert bool(ours([v[:, None] for v in (y, x, c1, c2)]).pvalue[0] < p) is significant


def test_detrending_is_time_as_a_control():
    y, x = drivers(40, 100, 0)
    t = np.arange(20.0)[:, None] + np.zeros((1, 100))
    found = ours([y, x, t])
    detrended = [
        scipy.stats.pearsonr(*(v[:, i] - np.polyval(np.polyfit(t[:, 0], v[:, i], 1), t[:, 0]) for v in (y, x)))
        for i in range(100)
    ]
    assert_allclose(found.r, [d.statistic for d in detrended], rtol=1e-9, atol=1e-12)
    r = found.r.values
    assert_allclose(found.pvalue, 2 * scipy.stats.t.sf(np.abs(r) * np.sqrt(17 / (1 - r * r)), 17), rtol=1e-11)


@pytest.mark.parametrize("k", [0, 2])
def test_float32_is_rounded_once(k):
    arrays = drivers(50 + k, 2000, k, dtype="f4")
    found, truth = ours(arrays), twin(partial_by_inverse, [a.astype("f8") for a in arrays])
    assert found.r.dtype == np.float32
    # half an ulp of float32, and the digits that the inverse loses
    assert_allclose(found.r, truth["r"], rtol=7e-8, atol=1e-9)
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-7, atol=1e-12)


def test_a_tiny_variance_on_a_large_offset():
    arrays = drivers(60, 500, 2)
    small = [1e6 + a * np.sqrt(1e-3) for a in arrays]
    found = ours(small)
    truth = twin(partial_by_inverse, [a - 1e6 for a in small])
    # an ulp of 1e6 is 1.2e-10 against a spread of 0.03
    assert_allclose(found.r, truth["r"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_series_that_say_nothing(dtype):
    arrays = drivers(70, 9, 2, dtype=dtype)
    y, x, c, d = arrays
    y[:, 0] = np.nan
    x[3, 1] = np.inf
    d[3, 2] = -np.inf
    y[:, 3] = 0.1
    x[:, 4] = 0.1
    c[:, 5] = 0.1
    d[:, 6] = 2 * c[:, 6]
    x[:, 7] = -4 * c[:, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ours(arrays)
    assert np.isnan(found.r[:8]).all()
    assert np.isnan(found.pvalue[:8]).all()
    assert np.isfinite(found.r[8])
    assert_array_equal(found.n, [0, 0, 0, *[20] * 6])


def test_series_that_are_the_sum_of_their_controls():
    y, x, c, d = drivers(71, 50, 2)
    x = 0.3 * c - 1.7 * d + 5
    assert np.isnan(ours([y, x, c, d]).r).all()
    assert np.isnan(ours([x, y, c, d]).r).all()


@pytest.mark.parametrize(("factor", "offset"), [(2.0, 0.0), (1.1, 7.0), (-0.3, 280.0)])
def test_a_collinear_float32_driver_has_no_correlation(factor, offset):
    """The cube is float32: a driver that is its control on a line, but for the rounding of storage, says nothing."""
    y, _, c = drivers(72, 50, 1)
    c = (280 + 5 * c).astype("f4")
    x = (factor * c.astype("f8") + offset).astype("f4")
    assert np.isnan(ours([y.astype("f4"), x, c]).r).all()


def test_a_perfect_correlation():
    y, _ = drivers(73, 5, 0)
    for sign in (1.0, -1.0):
        found = ours([y, sign * 3 * y + 1])
        assert_allclose(found.r, sign, rtol=1e-14)
        assert (found.pvalue < 1e-50).all()


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_too_few_degrees_of_freedom(k):
    for n in range(2, 7):
        found = ours([a[:n] for a in drivers(74, 3, k)])
        assert np.isfinite(found.r).all() == (n - 2 - k >= 1)
        assert_array_equal(found.n, [n] * 3)


def test_min_years():
    arrays = drivers(75, 20, 2)
    for i in range(20):
        arrays[i % 4][:i, i] = np.nan
    for least in (5, 12, 20, None):
        need = 20 if least is None else least
        found = ours(arrays, min_years=least)
        enough = 20 - np.arange(20) >= need
        assert_array_equal(found.n, np.where(enough, 20 - np.arange(20), 0))
        assert_array_equal(np.isfinite(found.r), enough)


@given(
    seed=st.integers(0, 5000),
    signs=st.tuples(*[st.sampled_from([-1.0, 1.0])] * 2),
    scale=st.floats(0.01, 100),
    shift=st.floats(-100, 100),
)
@settings(max_examples=60, deadline=None)
def test_lines_of_the_inputs_change_at_most_the_sign(seed, signs, scale, shift):
    y, x, c, d = drivers(seed, 4, 2)
    a = ours([y, x, c, d])
    b = ours([signs[0] * scale * y + shift, signs[1] * x / scale - shift, -2 * c + shift, d * scale])
    assert_allclose(b.r, signs[0] * signs[1] * a.r, rtol=1e-7, atol=1e-9)
    # what any mixture of the controls explains is the same
    mixed = ours([y + 3 * c - d, x - 2 * d, c + d, c - 2 * d])
    assert_allclose(mixed.r, a.r, rtol=1e-7, atol=1e-9)


@given(seed=st.integers(0, 5000), order=st.permutations(range(20)))
@settings(max_examples=40, deadline=None)
def test_neither_the_order_of_years_nor_of_names_matters(seed, order):
    y, x, c, d = drivers(seed, 4, 2)
    a = ours([y, x, c, d])
    for other in (ours([x, y, c, d]), ours([y, x, d, c]), ours([v[list(order)] for v in (y, x, c, d)])):
        assert_allclose(other.r, a.r, rtol=1e-9, atol=1e-12)
        assert_allclose(other.pvalue, a.pvalue, rtol=1e-8, atol=1e-14)


def test_coordinates_that_differ():
    y, x, c = (cube(a) for a in drivers(0, 4, 1))
    with pytest.raises(SpecError, match="not on the same coordinates"):
        stats.partial_correlation(y, x.assign_coords(cell=x.cell + 1e-9), [c])
    with pytest.raises(SpecError, match="not on the same coordinates"):
        stats.partial_correlation(y, x, [c.isel(time=slice(1, None))])


def test_one_driver_for_all_cells():
    # an index of the whole region: one series beside a map of series
    y, x, c = drivers(80, 30, 1)
    index = cube(x)[:, 0].drop_vars("cell")
    found = stats.partial_correlation(cube(y), index, [cube(c)])
    assert_allclose(found.r, ours([y, x[:, :1].repeat(30, 1), c]).r, rtol=1e-13)


def test_names_of_the_controls_are_kept():
    found = ours(drivers(0, 2, 2))
    assert found.r.attrs["controls"] == "v2, v3"
    assert found.r.attrs["units"] == found.pvalue.attrs["units"] == "1"


# --- all drivers at once


def named(arrays, years=None):
    y, *x = (cube(a, years, name=f"v{i}") for i, a in enumerate(arrays))
    return y, {f"d{i}": a for i, a in enumerate(x, start=1)}


def by_cell(function, arrays, **options):
    y, *x = (a.T for a in arrays)
    found = [function(y[i], [v[i] for v in x], **options) for i in range(len(y))]
    return {k: np.array([f[k] for f in found]) for k in found[0] if not callable(found[0][k])}


@pytest.mark.parametrize("gaps", [0.0, 0.05])
@pytest.mark.parametrize("k", [0, 1, 2, 4])
@pytest.mark.parametrize("detrend", [False, True])
def test_all_at_once_are_one_after_the_other(k, gaps, detrend):
    arrays = drivers(100 + k, 150, k, gaps=gaps)
    # cells whose drivers nearly go together leave the short way
    if k:
        arrays[2][:, ::7] = arrays[1][:, ::7] + 1e-4 * arrays[2][:, ::7]
        arrays[2][:, 3::7] = arrays[1][:, 3::7] + 0.03 * arrays[2][:, 3::7]
    y, x = named(arrays)
    found = stats.partial_correlations(y, x, min_years=8 + k, detrend=detrend)
    assert found.r.dims == found.pvalue.dims == ("driver", "cell")
    assert found.driver.values.tolist() == list(x)
    for name in x:
        others = [v for n, v in x.items() if n != name]
        one = stats.partial_correlation(y, x[name], others, min_years=8 + k, detrend=detrend)
        near = 1e-11 / 1e-4 if k else 1e-13
        assert_allclose(found.r.sel(driver=name), one.r, rtol=1e-9, atol=near * 1e-2)
        assert_allclose(found.pvalue.sel(driver=name), one.pvalue, rtol=1e-8, atol=near)
        assert_array_equal(found.n, one.n)


@pytest.mark.parametrize("detrend", [False, True])
def test_the_short_way_is_as_good_as_orthogonalisation(detrend):
    """The residuals of least squares in extended precision are the truth on both sides of the limit."""
    rng = np.random.default_rng(5)
    n = 20
    for size in (1.0, 0.1, 0.04, 0.03, 0.02, 1e-3):
        c = rng.normal(size=(n, 40))
        x = c + size * rng.normal(size=(n, 40))
        y = rng.normal(size=(n, 40)) + x
        found = ours([1e3 + y, 50 + x, c], detrend=detrend)
        t = np.arange(n, dtype=np.longdouble)
        for i in range(40):
            basis = []
            columns = [np.ones(n, np.longdouble), *([t] if detrend else []), c[:, i], 50 + x[:, i], 1e3 + y[:, i]]
            for column in columns:
                v = np.asarray(column, np.longdouble)
                rests = []
                for _ in range(3):
                    for b in basis:
                        v = v - b * (b @ v)
                rests.append(v)
                if column is columns[-2]:
                    rx = v
                elif column is columns[-1]:
                    ry = v
                else:
                    basis.append(v / np.sqrt(v @ v))
            truth = float(rx @ ry / np.sqrt((rx @ rx) * (ry @ ry)))
            # an ulp of 1e3 is 1e-13; what is left of x is `size`
            assert abs(float(found.r[i]) - truth) < 2e-12 / min(size, 1) ** 0.5 + 1e-13 / size


@pytest.mark.parametrize("gaps", [0.0, 0.05])
# a kernel is compiled for six series, and again for twelve
@pytest.mark.parametrize("k", [0, 1, 3, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("detrend", [False, True])
def test_regression_beside_statsmodels(k, gaps, detrend):
    arrays = drivers(200 + k, 40, k, gaps=gaps)
    y, x = named(arrays)
    found, truth = (
        stats.multiple_regression(y, x, min_years=8, detrend=detrend),
        by_cell(regression, arrays, detrend=detrend),
    )
    assert (truth["n"] >= 8).all()
    for name, wanted in truth.items():
        assert_allclose(found[name], wanted.T, rtol=1e-8, atol=1e-11, err_msg=name)
    one = stats.semi_partial_correlation(y, x["d1"], list(x.values())[1:], min_years=8, detrend=detrend)
    assert_allclose(one.r, truth["semi_partial"][:, 0], rtol=1e-9, atol=1e-12)
    assert_allclose(one.pvalue, truth["pvalue"][:, 0], rtol=1e-8)
    assert one.r.attrs["long_name"] == "semi-partial correlation of NEP with NEP"


def test_what_a_driver_adds_is_the_square_of_its_semi_partial():
    arrays = drivers(210, 100, 2)
    # one driver nearly explained by another, so that both ways are taken
    arrays[3][:, ::3] = arrays[2][:, ::3] + 0.01 * arrays[3][:, ::3]
    y, x = named(arrays)
    whole = stats.multiple_regression(y, x)
    for name in x:
        fewer = stats.multiple_regression(y, {n: v for n, v in x.items() if n != name})
        assert_allclose(whole.semi_partial.sel(driver=name) ** 2, whole.r2 - fewer.r2, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("penalty", [0.0, 0.1, 3.0, "gcv"])
@pytest.mark.parametrize("gaps", [0.0, 0.05])
def test_ridge_beside_augmented_least_squares(penalty, gaps):
    arrays = drivers(220, 25, 2, gaps=gaps)
    y, x = named(arrays)
    found = stats.ridge_contributions(y, x, penalty=penalty, min_years=8)
    for i in range(25):
        truth = ridge(arrays[0][:, i], [a[:, i] for a in arrays[1:]], penalty)
        if penalty == "gcv":
            # the minimum is flat: its score tells it, and the coefficients are those of its penalty
            at = float(found.penalty[i])
            assert truth["score"](at) <= truth["gcv"] * (1 + 1e-9)
            truth = ridge(arrays[0][:, i], [a[:, i] for a in arrays[1:]], at)
        for name in ("coefficient", "share", "r2", "penalty"):
            assert_allclose(found[name][..., i], truth[name], rtol=1e-8, atol=1e-11)
    assert_allclose(found.share.sum("driver"), 1, rtol=1e-12)


@pytest.mark.parametrize("order", [("a", "x"), ("x", "a")])
def test_a_driver_that_explains_everything_does_so_in_any_order(order):
    a, x = drivers(371, 3, 0)
    every = {"a": cube(a), "x": cube(x)}
    found = stats.multiple_regression(cube(3 * a + 5), {n: every[n] for n in order})
    for name, want in (("r2", 1.0), ("adjusted_r2", 1.0), ("r2_pvalue", 0.0)):
        assert_allclose(found[name], [want] * 3, rtol=1e-12, atol=1e-60)


def test_ridge_of_collinear_drivers():
    y, x, c = drivers(230, 10, 1)
    lines = {"a": cube(x), "b": cube(2 * x + 1)}
    assert np.isnan(stats.ridge_contributions(cube(y), lines, penalty=0.0).coefficient).all()
    shared = stats.ridge_contributions(cube(y), lines, penalty=0.1)
    assert_allclose(shared.coefficient[0], shared.coefficient[1], rtol=1e-10)
    c[:, 0] = 4.0
    c[2, 1] = np.inf
    c[:, 2] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = stats.ridge_contributions(cube(y), {"a": cube(x), "c": cube(c)}, penalty="gcv")
    assert_array_equal(np.isnan(found.coefficient).all("driver"), [True] * 3 + [False] * 7)
    assert_array_equal(found.n[:4], [20, 0, 0, 20])


@pytest.mark.parametrize("penalty", [-1.0, float("nan"), float("inf"), "loocv"])
def test_penalties_that_are_none(penalty):
    y, x = named(drivers(0, 2, 1))
    with pytest.raises(SpecError, match="ridge: "):
        stats.ridge_contributions(y, x, penalty=penalty)


@pytest.mark.parametrize("chunks", [None, {"cell": 7}])
def test_the_dominant_driver(chunks):
    arrays = drivers(240, 60, 2)
    arrays[0][:, 0] = np.nan
    y, x = named(arrays)
    if chunks:
        y = y.chunk(chunks)
    with forbid_compute():
        table = stats.partial_correlations(y, x) if chunks else None
        lazy = stats.dominant_driver(table) if chunks else None
    table = stats.partial_correlations(y, x) if table is None else table
    found = stats.dominant_driver(table) if lazy is None else lazy
    assert found.dtype == np.uint8
    r, p = table.r.values.T, table.pvalue.values.T
    wanted = [strongest(a, b, 0.05) for a, b in zip(r, p, strict=True)]
    assert found.values.tolist() == wanted
    assert {0, 1, 2, 3, 255} == set(wanted)
    assert found.attrs["flag_meanings"] == "none_significant d1 d2 d3 no_data"
    assert_array_equal(found.attrs["flag_values"], np.array([0, 1, 2, 3, 255], "u1"))
    assert found.attrs["alpha"] == 0.05
    assert found.name == "dominant_driver"


def test_refusals_of_drivers():
    y, x = named(drivers(0, 2, 1))
    with pytest.raises(SpecError, match=r"drivers: none is given\."):
        stats.partial_correlations(y, {})
    with pytest.raises(SpecError, match=r"lag: 'd9' is not a driver\.\nThe drivers are d1, d2\."):
        stats.partial_correlations(y, x, lag={"d9": 1})
    with pytest.raises(SpecError, match=r"lag of d1: -1 is not a number of years\."):
        stats.partial_correlations(y, x, lag=-1)
    with pytest.raises(SpecError, match=r"lag: no year has its drivers 20 year\(s\) before\."):
        stats.partial_correlations(y, x, lag=20)
    with pytest.raises(SpecError, match=r"dominant driver: no `r` and `pvalue` by `driver`\."):
        stats.dominant_driver(stats.partial_correlation(y, x["d1"]))
    with pytest.raises(SpecError, match=r"alpha: 1\.0 is not between 0 and 1\."):
        stats.dominant_driver(stats.partial_correlations(y, x), alpha=1.0)


# --- detrending and lag


def test_detrending_beforehand():
    arrays = drivers(250, 60, 2)
    t = np.arange(20.0)
    arrays = [a + np.outer(t, np.linspace(-3, 3, 60)) for a in arrays]
    found = ours(arrays, detrend=True)
    for i in range(60):
        y, x, *c = (without_line(a[:, i], t) for a in arrays)
        inverse = np.linalg.inv(np.corrcoef([y, x, *c]))
        r = -inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1])
        # time is one more control: n - 3 - k
        p = 2 * scipy.stats.t.sf(abs(r) * np.sqrt(15 / (1 - r * r)), 15)
        assert_allclose(found.r[i], r, rtol=1e-8, atol=1e-11)
        assert_allclose(found.pvalue[i], p, rtol=1e-7)
    assert found.r.attrs["detrended"] == "linear, over the years"


def test_a_straight_line_has_nothing_left_of_it():
    y, x, c = drivers(251, 4, 1)
    x[:, 0] = 3 * np.arange(20) + 7
    y[:, 1] = -0.1 * np.arange(20)
    c[:, 2] = 1e6 + np.arange(20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ours([y, x, c], detrend=True)
    assert_array_equal(np.isnan(found.r), [True, True, True, False])
    assert np.isfinite(ours([y, x, c]).r).all()


@pytest.mark.parametrize("lag", [1, 3])
def test_a_driver_leads_by_the_calendar(lag):
    years = np.array([y for y in range(2001, 2027) if y not in (2006, 2013, 2014)])
    y, x, c = drivers(260, 30, 1, n=years.size)
    found = stats.partial_correlation(cube(y, years), cube(x, years), [cube(c, years)], lag=lag)
    pairs = [(i, list(years).index(v - lag)) for i, v in enumerate(years) if v - lag in years]
    i, j = np.array(pairs).T
    truth = twin(partial_by_inverse, [y[i], x[j], c[i]])
    assert_allclose(found.r, truth["r"], rtol=1e-9, atol=1e-12)
    assert_allclose(found.pvalue, truth["pvalue"], rtol=1e-8)
    assert_array_equal(found.n, [len(pairs)] * 30)
    assert len(pairs) < years.size - lag
    assert found.r.attrs["lag_years"] == str(lag)
    # the other drivers of a table may lead by their own years
    table = stats.partial_correlations(cube(y, years), {"x": cube(x, years), "c": cube(c, years)}, lag={"x": lag})
    assert_allclose(table.r.sel(driver="x"), found.r, rtol=1e-12, atol=1e-14)
    assert table.r.attrs["lag_years"] == f"x {lag}"


def test_a_longer_record_of_the_driver_keeps_all_years():
    y, x = drivers(261, 30, 0, n=22)
    years = np.arange(1999, 2021)
    found = stats.partial_correlation(cube(y[2:], years[2:]), cube(x, years), lag=2)
    assert_array_equal(found.n, [20] * 30)
    assert_allclose(found.r, ours([y[2:], x[:-2]]).r, rtol=1e-13)


# --- p-values


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 7, 16, 17, 18, 57, 120, 199, 200, 201, 400])
def test_the_closed_form_of_students_t(dof):
    t = np.concatenate([[0.0], np.logspace(-6, 4, 120)])
    found = np.array([_pvalues.t_pvalue(v, float(dof)) for v in t])
    # scipy loses digits at one degree of freedom, where the p-value has a form of its own (Cauchy)
    truth = 2 / np.pi * np.arctan2(1.0, t) if dof == 1 else 2 * scipy.stats.t.sf(t, dof)
    seen = truth > 1e-300
    assert seen.sum() > 60
    assert_allclose(found[seen], truth[seen], rtol=1e-12)
    assert (found[~seen] <= 1e-299).all()
    assert [_pvalues.t_pvalue(-v, float(dof)) for v in t[:9]] == found[:9].tolist()


@pytest.mark.parametrize("dofs", [[16] * 9, [17] * 9, [1] * 9, [200] * 9, [16, 17, 16, 3, 16, 16, 18, 1, 2]])
def test_several_cells_at_once_are_each_cell_by_itself(dofs):
    sine = np.array([0.0, 1e-9, 0.3, 0.7, 0.9, 0.99999, 1.0, -1.0, 0.5])
    rest = 1 - sine**2
    rest[5] = 1e-7
    found, work = np.empty(9), np.empty((2, 9))
    _pvalues.students(sine, rest, np.array(dofs), 9, work[0], work[1], found)
    alone = [_pvalues.student(s, r, d) if s >= 0 else np.nan for s, r, d in zip(sine, rest, dofs, strict=True)]
    assert_array_equal(found, alone)
    assert_allclose(
        found[2:5], 2 * scipy.stats.t.sf(np.sqrt(np.array(dofs) / rest)[2:5] * sine[2:5], dofs[2:5]), rtol=1e-12
    )


# --- many series


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("kind", ["ties", "autocorrelated", "float32"])
def test_two_thousand_series_of_every_kind(kind, scale):
    rng = np.random.default_rng(270)
    arrays = drivers(271, 700, 2, gaps=0.05)
    if kind == "ties":
        arrays = [np.round(a * 2) / 2 for a in arrays]
    if kind == "autocorrelated":
        for a in arrays:
            for i in range(1, 20):
                a[i] = np.where(np.isnan(a[i - 1]), a[i], a[i] + 0.6 * a[i - 1])
    arrays = [(a * scale + scale * rng.normal()).astype("f4" if kind == "float32" else "f8") for a in arrays]
    y, x = named(arrays)
    found = stats.partial_correlations(y, x, min_years=10)
    truth = twin(partial_by_inverse, arrays)
    good = (truth["n"] >= 10) & np.isfinite(truth["r"]) & (abs(truth["r"]) < 1 - 1e-9)
    assert good.sum() > 600
    once = 7e-8 if kind == "float32" else 0
    assert_allclose(found.r[0][good], truth["r"][good], rtol=1e-8 + once, atol=1e-10 + once * 1e-2)
    assert_allclose(found.pvalue[0][good], truth["pvalue"][good], rtol=1e-7 + once, atol=1e-13)


@given(seed=st.integers(0, 5000), order=st.permutations([0, 1, 2]), chunk=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_neither_the_order_of_drivers_nor_chunks_matter(seed, order, chunk):
    y, x = named(drivers(seed, 9, 2))
    whole = stats.multiple_regression(y, x)
    names = [list(x)[i] for i in order]
    turned = stats.multiple_regression(y, {n: x[n] for n in names}).sel(driver=list(x))
    for name in whole:
        assert_allclose(turned[name], whole[name], rtol=1e-8, atol=1e-11)
    cut = stats.multiple_regression(y.chunk(cell=chunk, time=3), {n: v.chunk(cell=chunk) for n, v in x.items()})
    for name in whole:
        assert cut[name].values.tobytes() == whole[name].values.tobytes()


def test_blocks_that_may_not_be_written():
    """What comes from another process is read-only; the input's own flags are left as they are."""
    arrays = drivers(280, 6, 1)
    y, x = named(arrays)
    wanted = stats.partial_correlations(y, x)
    assert all(v.values.flags.writeable for v in (y, *x.values()))
    x["d1"].values.flags.writeable = False
    found = stats.partial_correlations(y, x)
    assert found.r.values.tobytes() == wanted.r.values.tobytes()
