"""Benjamini-Hochberg over a map beside statsmodels on the whole array, and beside its definition."""

import numpy as np
import pytest
import xarray as xr
from driver_oracles import benjamini_hochberg, step_up
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.stats import FieldSignificance, field


def pvalues(seed, size, kind, dtype="f8"):
    rng = np.random.default_rng(seed)
    p = rng.random(size)
    made = {
        "white": p,
        "strong": p**4,
        "ties": np.round(p**3, 2),
        # all along the line of the ranks, just above it and below
        "line": np.arange(1, size + 1) / size * 0.05 * (1 + rng.choice([-1, 1], size) * 1e-9),
        "tiny": np.where(p < 0.5, 1e-300 * p, p),
        "zeros": np.where(p < 0.3, 0.0, p),
        "ones": np.ones(size),
    }[kind].astype(dtype)
    made[rng.random(size) < 0.1] = np.nan
    return rng.permutation(made)


KINDS = ["white", "strong", "ties", "line", "tiny", "zeros", "ones"]


@pytest.fixture(params=[(1 << 20, 1 << 16), (0, 16), (7, 4)], ids=["whole", "bins", "both"])
def narrow(request, monkeypatch):
    # few bins and little memory make a small map take every way
    monkeypatch.setattr(field, "HELD", request.param[0])
    monkeypatch.setattr(field, "BINS", request.param[1])


def check(p, chunk, alpha):
    da = xr.DataArray(p, dims="cell", name="p")
    found = stats.false_discovery_rate(da.chunk(cell=chunk) if chunk else da, alpha)
    held, threshold, m = benjamini_hochberg(p, alpha)
    assert_array_equal(found, np.where(np.isfinite(p), held, 255))
    assert found.attrs["rejected"] == held.sum() == step_up(p, alpha)
    assert found.attrs["tests"] == m
    assert_array_equal(found.attrs["threshold"], threshold)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_statsmodels_on_the_whole_array(kind, dtype):
    for seed, size in ((1, 1), (2, 40), (3, 301)):
        for alpha in (0.05, 0.3):
            check(pvalues(seed, size, kind, dtype), max(1, size // 3), alpha)


@given(
    p=st.lists(st.sampled_from([0.0, 1e-320, 0.01, 0.0125, 0.025, 0.0375, 0.05, 0.05 / 3, 0.1, 1.0]), max_size=12),
    alpha=st.sampled_from([0.05, 0.1]),
    chunk=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_values_on_the_line_itself(p, alpha, chunk):
    check(np.array(p, float), chunk, alpha)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_three_million_cells(kind):
    check(pvalues(4, 3_000_000, kind, "f4"), 400_000, 0.05)


def test_the_order_of_cells_and_chunks_does_not_matter():
    p = pvalues(5, 600, "strong").reshape(20, 30)
    da = xr.DataArray(p, dims=("y", "x"))
    whole = stats.field_significance(da)
    assert isinstance(whole, FieldSignificance)
    for other in (da.T, da.chunk(y=3, x=11), da[::-1]):
        assert stats.field_significance(other) == whole


def test_the_domain():
    p = pvalues(6, 600, "strong").reshape(20, 30)
    da = xr.DataArray(p, dims=("y", "x"), coords={"y": np.arange(20), "x": np.arange(30)}, name="p")
    mask = xr.DataArray(np.arange(20) < 7, dims="y", coords={"y": np.arange(20)}, name="steppe")
    for map_, inside in ((da, mask), (da.chunk(y=4, x=8), mask), (da, mask.chunk(y=2))):
        found = stats.false_discovery_rate(map_, 0.1, mask=inside)
        held, threshold, m = benjamini_hochberg(p[:7], 0.1)
        assert_array_equal(found[:7], np.where(np.isfinite(p[:7]), held.reshape(7, 30), 255))
        assert (found[7:] == 255).all()
        attrs = dict(found.attrs)
        assert_array_equal(attrs.pop("flag_values"), np.array([0, 1, 255], "u1"))
        assert attrs == {
            "long_name": "significant at the false discovery rate",
            "units": "1",
            "flag_meanings": "not_significant significant no_test",
            "method": "Benjamini-Hochberg",
            "alpha": 0.1,
            "tests": m,
            "rejected": int(held.sum()),
            "threshold": threshold,
            "domain": "cells of steppe with a test",
        }
    assert stats.field_significance(da).domain == "all cells with a test"
    assert stats.field_significance(da, domain="alpine steppe").domain == "alpine steppe"
    with pytest.raises(SpecError, match="The mask is not on the map's coordinates"):
        stats.field_significance(da, mask=mask.assign_coords(y=mask.y + 1))


def test_the_map_is_lazy_after_the_threshold():
    da = xr.DataArray(pvalues(7, 600, "strong"), dims="cell").chunk(cell=100)
    found = stats.false_discovery_rate(da)
    assert found.chunks == ((100,) * 6,)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("wrong", [-0.1, 1.5])
def test_what_is_no_p_value(wrong):
    da = xr.DataArray([0.1, wrong, np.nan], dims="cell", name="slope")
    with pytest.raises(SpecError, match=rf"slope: {wrong} is not between 0 and 1\.\nGive a map of p-values\."):
        stats.field_significance(da)
    with pytest.raises(SpecError, match=r"alpha: 0\.0 is not between 0 and 1\."):
        stats.field_significance(da, alpha=0.0)


def test_no_test_at_all():
    found = stats.false_discovery_rate(xr.DataArray([np.nan, np.nan], dims="cell"))
    assert found.values.tolist() == [255, 255]
    assert found.attrs["tests"] == found.attrs["rejected"] == 0
    assert np.isnan(found.attrs["threshold"])
