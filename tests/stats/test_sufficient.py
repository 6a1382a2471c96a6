"""Tables of cross-products beside exact fractions; what comes from them beside the series themselves."""

import warnings

import numpy as np
import pytest
import xarray as xr
from driver_oracles import complete, exact_products
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from stats_factories import cube
from stats_oracles import linregress, numpy_cv, partial_by_inverse

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.testing import forbid_compute

YEARS = np.arange(2001, 2021)


def series(seed, cells, gaps=0.0, offset=0.0, scale=1.0, dtype="f8"):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(20, cells))
    out = {n: offset + scale * (rng.normal(size=(20, cells)) + common) for n in ("nep", "temperature", "rain")}
    for a in out.values():
        a[rng.random(a.shape) < gaps] = np.nan
    return {n: a.astype(dtype) for n, a in out.items()}


def cubes(arrays, at=slice(None)):
    return {n: cube(a[at], YEARS[at], name=n) for n, a in arrays.items()}


def products(ds, first, second):
    here = (ds["first"] == first) & (ds["second"] == second)
    return ds["product"].isel(pair=int(np.flatnonzero(here)[0]))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize(("gaps", "offset", "scale"), [(0, 0, 1), (0.05, 1e6, 0.03), (0, -1e6, 1)])
def test_the_table_is_exact(gaps, offset, scale, dtype):
    arrays = series(1, 8, gaps, offset, scale, dtype)
    ds = stats.sufficient_statistics(cubes(arrays))
    assert ds["variable"].values.tolist() == ["nep", "temperature", "rain", "year"]
    assert {ds[v].dtype for v in ds} == {np.dtype("f8")}
    for i in range(8):
        kept = dict(zip([*arrays, "year"], complete(*(a[:, i] for a in arrays.values()), YEARS), strict=True))
        assert ds.n[i] == kept["nep"].size
        for a, b in zip(ds["first"].values, ds["second"].values, strict=True):
            scale_ab = np.sqrt(exact_products(kept[a], kept[a]) * exact_products(kept[b], kept[b]))
            # an ulp of the mean, against the spread
            loss = 1e-15 + (2e-16 * (abs(offset) + 1) / scale) ** 2
            assert abs(float(products(ds, a, b)[i]) - exact_products(kept[a], kept[b])) <= 20 * loss * scale_ab
    assert_allclose(
        ds["mean"].sel(variable="nep"),
        np.nanmean(np.where(np.isfinite(sum(arrays.values())), arrays["nep"].astype("f8"), np.nan), 0),
        rtol=1e-14,
    )


@pytest.mark.parametrize("gaps", [0.0, 0.05])
def test_what_comes_from_the_table_is_what_comes_from_the_series(gaps):
    arrays = series(2, 200, gaps, offset=50.0, scale=4.0)
    whole = {n: np.where(np.isfinite(sum(arrays.values())), a, np.nan) for n, a in arrays.items()}
    ds = stats.sufficient_statistics(cubes(arrays))
    trend = stats.trend_from_statistics(ds, "nep")
    cv = stats.variation_from_statistics(ds, "nep", ddof=1)
    partial = stats.partial_from_statistics(ds, "nep", "rain", ["temperature"])
    detrended = stats.partial_from_statistics(ds, "nep", "rain", ["temperature", "year"])
    direct = stats.linear_trend(cube(whole["nep"]), min_years=3)
    for name in ("slope", "stderr", "pvalue", "n"):
        assert_allclose(trend[name], direct[name], rtol=1e-9, atol=1e-14)
    y, x, c = (cube(whole[n]) for n in ("nep", "rain", "temperature"))
    for mine, theirs in (
        (partial, stats.partial_correlation(y, x, [c], min_years=3)),
        (detrended, stats.partial_correlation(y, x, [c], min_years=3, detrend=True)),
    ):
        for name in ("r", "pvalue", "n"):
            assert_allclose(mine[name], theirs[name], rtol=1e-9, atol=1e-13)
    for i in range(0, 200, 10):
        fit = linregress(whole["nep"][:, i], YEARS)
        assert_allclose([trend.slope[i], trend.pvalue[i]], [fit["slope"], fit["pvalue"]], rtol=1e-9)
        assert_allclose(cv.cv[i], numpy_cv(whole["nep"][:, i], ddof=1)["cv"], rtol=1e-12)
        twin = partial_by_inverse(*(whole[n][:, i] for n in ("nep", "rain")), [whole["temperature"][:, i]])
        assert_allclose([partial.r[i], partial.pvalue[i]], [twin["r"], twin["pvalue"]], rtol=1e-8)
    assert trend.slope.attrs == {"long_name": "linear trend of nep", "units": "g m-2 year-2"}
    assert partial.r.attrs["controls"] == "temperature"


@given(cut=st.integers(0, 20), seed=st.integers(0, 1000), other=st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_periods_merge_to_the_whole(cut, seed, other):
    arrays = series(seed, 6, 0.05, offset=100.0)
    a, b = sorted((cut, other))
    whole = stats.sufficient_statistics(cubes(arrays))
    parts = [
        stats.sufficient_statistics(cubes(arrays, s))
        for s in (slice(0, a), slice(a, b), slice(b, 20))
        if s.start < s.stop
    ]
    total = parts[0]
    for part in parts[1:]:
        total = stats.merge_statistics(total, part)
    turned = parts[-1]
    for part in parts[-2::-1]:
        turned = stats.merge_statistics(turned, part)
    for made in (total, turned):
        assert_array_equal(made.n, whole.n)
        assert_allclose(made["mean"], whole["mean"], rtol=1e-13)
        assert_allclose(made["product"], whole["product"], rtol=1e-11, atol=1e-10)
        assert made["first"].values.tolist() == whole["first"].values.tolist()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_tiny_variance_on_a_large_offset(dtype):
    """An offset of 1e6 with a variance of 1e-3: float64 keeps the slope to 1e-8, and float32 what its input holds."""
    # what the input holds: an ulp of 1e6 is 1.2e-10 in float64, 0.06 in float32
    small = series(3, 300, scale=np.sqrt(1e-3 / 2))
    arrays = {n: (1e6 + a).astype(dtype) for n, a in small.items()}
    truth = {n: a.astype("f8") - 1e6 for n, a in arrays.items()}
    spread = [cubes(arrays, slice(0, 9)), cubes(arrays, slice(9, 20))]
    made = stats.merge_statistics(*(stats.sufficient_statistics(s) for s in spread))
    varies = (np.ptp(truth["nep"], axis=0) > 0) & (np.ptp(truth["rain"], axis=0) > 0)
    slope = stats.trend_from_statistics(made, "nep").slope
    wanted = np.array([np.polyfit(np.arange(20) - 9.5, v, 1)[0] for v in truth["nep"].T])
    error = np.abs(slope - wanted) / truth["nep"].std(0).clip(1e-9)
    assert float(error[varies].max()) < 1e-8
    direct = stats.linear_trend(cubes(arrays)["nep"].astype("f8")).slope
    assert_allclose(direct, wanted, rtol=1e-6, atol=1e-10)
    if dtype == "f8":
        r = stats.partial_from_statistics(made, "nep", "rain", ["temperature"]).r
        twin = [
            partial_by_inverse(*(truth[n][:, i] for n in ("nep", "rain")), [truth["temperature"][:, i]])["r"]
            for i in range(300)
        ]
        assert_allclose(r, twin, rtol=1e-6, atol=1e-7)


def test_series_that_say_nothing():
    arrays = series(4, 7)
    arrays["nep"][:, 0] = np.nan
    arrays["rain"][2, 1] = np.inf
    arrays["rain"][:, 2] = 0.1
    arrays["temperature"][:, 3] = 2 * arrays["rain"][:, 3] - 1
    arrays["nep"][3:, 4] = np.nan
    arrays["nep"][:, 5] = 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ds = stats.sufficient_statistics(cubes(arrays))
        partial = stats.partial_from_statistics(ds, "nep", "rain", ["temperature"])
        trend = stats.trend_from_statistics(ds, "nep")
        merged = stats.merge_statistics(ds, ds)
        cv = stats.variation_from_statistics(ds, "nep", min_mean=0.0, min_years=4)
    assert_array_equal(ds.n, [0, 0, 20, 20, 3, 20, 20])
    assert_array_equal(np.isnan(partial.r), [True] * 6 + [False])
    assert_array_equal(np.isnan(trend.pvalue), [True, True, False, False, False, True, False])
    assert_array_equal(np.isnan(cv.cv), [True, True, False, False, True, False, False])
    assert_array_equal(merged.n, 2 * ds.n)


def test_it_is_lazy_and_can_be_stored(tmp_path):
    arrays = series(5, 12, 0.05)
    whole = stats.sufficient_statistics(cubes(arrays))
    with forbid_compute():
        lazy = stats.sufficient_statistics({n: a.chunk(cell=5, time=4) for n, a in cubes(arrays).items()})
        both = stats.merge_statistics(lazy, lazy)
        slope = stats.trend_from_statistics(both, "rain")
    xr.testing.assert_identical(lazy.compute(), whole)
    assert_allclose(slope.slope, stats.trend_from_statistics(whole, "rain").slope, rtol=1e-12)
    whole.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as stored:
        again = stats.merge_statistics(stored, whole)
        xr.testing.assert_identical(again, stats.merge_statistics(whole, whole))


def test_refusals():
    arrays = cubes(series(6, 2))
    ds = stats.sufficient_statistics(arrays)
    with pytest.raises(SpecError, match=r"sufficient statistics: no array is given\."):
        stats.sufficient_statistics({})
    with pytest.raises(SpecError, match=r"sufficient statistics: 'year' is the name of the time axis\."):
        stats.sufficient_statistics({"year": arrays["nep"]})
    with pytest.raises(SpecError, match=r"no series 'snow'\.\nThere are nep, temperature, rain, year\."):
        stats.trend_from_statistics(ds, "snow")
    with pytest.raises(SpecError, match=r"a series stands twice in rain, nep, nep\."):
        stats.partial_from_statistics(ds, "nep", "rain", ["nep"])
    with pytest.raises(SpecError, match=r"the dataset has no `n`, `mean` and `product`\."):
        stats.trend_from_statistics(ds[["n"]], "nep")
    with pytest.raises(SpecError, match=r"variable \['nep', 'temperature', 'rain', 'year'\] and \['nep', 'year'\]\."):
        stats.merge_statistics(ds, stats.sufficient_statistics({"nep": arrays["nep"]}))
    with pytest.raises(SpecError, match="not on the same coordinates"):
        stats.merge_statistics(ds, ds.assign_coords(cell=ds.cell + 1))
    with pytest.raises(SpecError, match=r"ddof: 2 is neither 0 nor 1\."):
        stats.variation_from_statistics(ds, "nep", ddof=2)
