"""A run on real data alone, against plain xarray, numpy and scipy: nothing of nepcube computes the expected numbers."""

from __future__ import annotations

import os
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import shapely
import xarray as xr

DATA = os.environ.get("NEPCUBE_TEST_DATA")
FILE = Path(DATA or ".") / "era5-land" / "era5-land-monthly-temp-precip-1990-2025-sierra-leone.nc"
RECIPES = Path(__file__).parents[1] / "recipes"
YEARS = list(range(2001, 2025))
DRIVERS = ("temperature", "precipitation")

pytestmark = pytest.mark.skipif(not FILE.exists(), reason="NEPCUBE_TEST_DATA is not set")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    import nepcube

    folder = tmp_path_factory.mktemp("sierra-leone") / "out"
    nepcube.run(RECIPES / "sierra-leone.yaml", folder)
    return folder


@pytest.fixture(scope="module")
def expected():
    """Annual climate on 0.05 degree cells, float64, from plain xarray."""
    raw = xr.open_dataset(FILE, engine="h5netcdf").rename(valid_time="time").sel(time=slice("2001", "2024"))
    days = raw.time.dt.days_in_month
    year = raw.time.dt.year
    t = (raw.t2m.astype("f8") * days).groupby(year).sum(skipna=False) / days.groupby(year).sum() - 273.15
    p = (raw.tp.astype("f8") * 1000 * days).groupby(year).sum(skipna=False)
    ds = xr.Dataset({"temperature": t, "precipitation": p}).sortby("latitude")
    ds = ds.assign_coords(latitude=np.round(ds.latitude, 6), longitude=np.round(ds.longitude, 6))
    lat, lon = 9.875 - 0.05 * np.arange(54), -12.975 + 0.05 * np.arange(48)
    return _bilinear(ds, lat, lon)


def _bilinear(ds, lat, lon):
    # the four neighbours by hand; where some are missing the weights of the rest are renormalised down to one half
    out = {}
    for name, da in ds.items():
        y = (lat - float(da.latitude[0])) / 0.1
        x = (lon - float(da.longitude[0])) / 0.1
        i, j = np.floor(y + 1e-9).astype(int), np.floor(x + 1e-9).astype(int)
        fy, fx = (y - i)[:, None], (x - j)[None, :]
        total, weight = 0.0, 0.0
        for a in (0, 1):
            for b in (0, 1):
                v = da.values[:, np.minimum(i + a, da.sizes["latitude"] - 1)][
                    :, :, np.minimum(j + b, da.sizes["longitude"] - 1)
                ]
                w = np.where(a, fy, 1 - fy) * np.where(b, fx, 1 - fx) * np.isfinite(v)
                total, weight = total + w * np.nan_to_num(v), weight + w
        with np.errstate(invalid="ignore", divide="ignore"):
            out[name] = (("time", "latitude", "longitude"), np.where(weight >= 0.5 - 1e-9, total / weight, np.nan))
    return xr.Dataset(out, {"time": YEARS, "latitude": lat, "longitude": lon})


def _carbon(t, p):
    npp = 0.45 * np.minimum(3000 / (1 + np.exp(1.315 - 0.119 * t)), 3000 * (1 - np.exp(-0.000664 * p)))
    rh = 0.22 * (np.exp(0.0913 * t) + np.log(0.3145 * p + 1)) * 30 * 0.465
    return npp, rh


def test_the_climate_is_that_of_plain_xarray(out, expected):
    cube = xr.open_zarr(out / "cube.zarr")
    for name, units in (("temperature", "degC"), ("precipitation", "mm year-1")):
        got, want = cube[name].values, expected[name].values
        assert cube[name].attrs["units"] == units
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        # one rounding to float32
        np.testing.assert_allclose(got, want, rtol=1.3e-7)
    # Sierra Leone is warm and very wet
    assert 24 < float(cube.temperature.mean()) < 28
    assert 1800 < float(cube.precipitation.mean()) < 3200
    np.testing.assert_array_equal(cube.temperature_coverage, 1.0)


def test_productivity_respiration_and_balance(out, expected):
    cube = xr.open_zarr(out / "cube.zarr")
    npp, rh = _carbon(expected.temperature.values, expected.precipitation.values)
    np.testing.assert_allclose(cube.npp, npp, atol=2e-4)
    np.testing.assert_allclose(cube.rh, np.where(np.isnan(npp), np.nan, rh), atol=1e-4)
    np.testing.assert_allclose(cube.nep, npp - rh, atol=3e-4)
    assert "potential" in cube.nep.attrs["long_name"] or "potential" in cube.npp.attrs["long_name"]


def test_trend_and_partial_correlation_of_two_drivers(out):
    cube = xr.open_zarr(out / "cube.zarr").load()
    stats = xr.open_zarr(out / "statistics.zarr").load()
    assert "nep_partial_radiation" not in stats
    rng = np.random.default_rng(3)
    good = np.argwhere(np.isfinite(stats.nep_mean.values))
    for i, j in good[rng.choice(len(good), 60, replace=False)]:
        y = cube.nep[:, i, j].values.astype("f8")
        fit = scipy.stats.linregress(np.arange(24), y)
        np.testing.assert_allclose(stats.nep_slope[i, j], fit.slope, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(stats.nep_slope_pvalue[i, j], fit.pvalue, rtol=1e-4)
        np.testing.assert_allclose(stats.nep_cv[i, j], y.std() / y.mean(), rtol=1e-6)
        for a, b in (DRIVERS, DRIVERS[::-1]):
            x, z = (cube[v][:, i, j].values.astype("f8") for v in (a, b))
            basis = np.column_stack([np.ones(24), z])
            rest = [v - basis @ np.linalg.lstsq(basis, v, rcond=None)[0] for v in (y, x)]
            r = np.corrcoef(*rest)[0, 1]
            p = 2 * scipy.stats.t.sf(abs(r) * np.sqrt(21 / (1 - r**2)), 21)
            np.testing.assert_allclose(stats[f"nep_partial_{a}"][i, j], r, atol=1e-5)
            np.testing.assert_allclose(stats[f"nep_partial_{a}_pvalue"][i, j], p, rtol=2e-3, atol=1e-12)


def test_the_series_by_region(out):
    cube = xr.open_zarr(out / "cube.zarr").load()
    table = pd.read_csv(out / "tables" / "series.csv")
    regions = gpd.read_file(RECIPES / "sierra-leone-regions.geojson", engine="pyogrio")
    lon, lat = np.meshgrid(cube.longitude, cube.latitude)
    area = _authalic(cube.latitude.values, 0.05)
    counts = np.isfinite(cube.nep.values).all(axis=0)
    union = np.zeros(lon.shape, bool)
    for name, shape in zip(regions["name"], regions.geometry, strict=True):
        inside = shapely.contains_xy(shape, lon, lat)
        union |= inside
        _same(table[table.region == name], cube.nep.values.astype("f8"), inside & counts, inside, area)
    _same(table[table.region == "all"], cube.nep.values.astype("f8"), union & counts, union, area)


def _same(rows, nep, cells, inside, area):
    w = np.broadcast_to(area[:, None], inside.shape)
    mean = (nep[:, cells] * w[cells]).sum(axis=1) / w[cells].sum()
    np.testing.assert_allclose(rows.mean_gc_m2, mean, rtol=1e-9)
    np.testing.assert_allclose(rows.total_tgc, mean * w[cells].sum() * 1e-6, rtol=1e-9)
    np.testing.assert_allclose(rows.region_area_km2, w[inside].sum(), rtol=1e-9)
    assert (rows.n_cells == cells.sum()).all()


def _authalic(lat, res):
    # area of a cell from the authalic latitude function, Snyder 1987, eq. 3-12 in its logarithmic form
    a, f = 6378137.0, 1 / 298.257223563
    e = np.sqrt(f * (2 - f))

    def q(degrees):
        s = np.sin(np.radians(degrees))
        return (1 - e**2) * (s / (1 - e**2 * s**2) - np.log((1 - e * s) / (1 + e * s)) / (2 * e))

    return np.radians(res) * a**2 / 2 * (q(lat + res / 2) - q(lat - res / 2)) / 1e6


def test_the_report_says_that_the_balance_is_potential(out):
    page = (out / "report.html").read_text()
    assert "potential" in page.lower()
    assert "generated by nepcube. They are no observation" not in page
