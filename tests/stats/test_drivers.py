"""Partial correlation of orders 0 to 3 beside pingouin and the inverse of the correlation matrix."""

import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import cube
from stats_oracles import partial_by_inverse, partial_by_pingouin

from nepcube import stats
from nepcube.errors import SpecError


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
