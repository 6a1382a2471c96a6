"""CHIRPS: months and years equal the truth, north up or down; codes, versions and units are told apart."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from providers import field, months, write_geotiff, write_netcdf

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.testing import forbid_compute

LATITUDE = (np.arange(680, 686) + 0.5) / 20
LONGITUDE = (np.arange(1920, 1928) + 0.5) / 20
WEST, NORTH = 96.0, 34.3


def opened(paths, **options):
    with forbid_compute():
        return nc.open_source("chirps", paths, **options)


def refused(paths, *words, error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source("chirps", paths, **options)
    assert len(str(raised.value).splitlines()) == 2
    for word in words:
        assert word in str(raised.value)


def rain(n, seed=0):
    return field(n, seed, low=0, high=120, shape=(LATITUDE.size, LONGITUDE.size))


def write(path, n=12, *, data=None, unit="mm/month", stamps=None, title="CHIRPS Version 2.0", **options):
    kind = {"latitude": LATITUDE.astype("f4"), "longitude": LONGITUDE.astype("f4"), "time": "time"} | options
    data = rain(n) if data is None else data
    stamps = months(2001, 2001 + n // 12) if stamps is None else stamps
    return write_netcdf(path, stamps[:n], {"precip": data}, units={"precip": unit}, attrs={"title": title}, **kind)


def test_generated_months_are_the_truth(headwaters):
    directory, truth = headwaters
    ds = opened(directory / "chirps/*.nc")
    # float32 coordinates are given back as the exact twentieths
    assert_array_equal(ds.latitude.values, np.round((np.arange(20 * 31, 20 * 37) + 0.5) / 20, 6))
    assert_array_equal(ds.longitude.values, np.round((np.arange(20 * 89, 20 * 103) + 0.5) / 20, 6))
    lat, lon = ds.latitude.values[:, None], ds.longitude.values
    for k in range(36):
        assert_array_equal(ds.precipitation[k].values, truth.precipitation_month(2001 + k // 12, k % 12 + 1, lat, lon))
    attrs = ds.precipitation.attrs
    assert (attrs["units"], attrs["aggregation"], attrs["frequency"]) == ("mm", "amount", "month")
    assert attrs["product"] == "CHIRPS v2.0"


def test_generated_years_are_the_sum_of_the_months(headwaters):
    directory, truth = headwaters
    months_ = nc.to_annual(opened(directory / "chirps/*.nc")).precipitation
    tifs = opened(directory / "chirps-annual/*.tif").precipitation
    assert tifs.latitude.values[0] > tifs.latitude.values[-1]
    assert (tifs.attrs["aggregation"], tifs.attrs["frequency"]) == ("yearly", "year")
    assert_array_equal(tifs.latitude.values[::-1], months_.latitude.values)
    assert_array_equal(tifs.longitude.values, months_.longitude.values)
    # both are float64 sums in the order of the months; the raster was rounded to float32
    assert_array_equal(tifs.values[:, ::-1], months_.values.astype(np.float32))
    lat, lon = tifs.latitude.values[:, None], tifs.longitude.values
    assert_array_equal(tifs.sel(time="2002").values[0], truth.precipitation_year(2002, lat, lon))


def test_both_ways_to_a_year_give_one_grid(headwaters):
    directory, _ = headwaters
    grid = nc.target_grid((95.0, 33.0, 96.0, 34.0), "3000 m")
    a = nc.regrid(nc.to_annual(opened(directory / "chirps/*.nc"), years=(2001, 2003)), grid).precipitation
    b = nc.regrid(nc.to_annual(opened(directory / "chirps-annual/*.tif"), years=(2001, 2003)), grid).precipitation
    assert_array_equal(a.values, b.values)
    assert a.attrs["units"] == b.attrs["units"] == "mm year-1"


def test_annual_rasters_become_annual_without_naming_the_years(headwaters):
    # `to_annual` gives the cube's units, whether the years are named or not
    directory, _ = headwaters
    ds = opened(directory / "chirps-annual/*.tif")
    named, plain = nc.to_annual(ds, years=(2001, 2003)).precipitation, nc.to_annual(ds).precipitation
    assert plain.attrs["units"] == named.attrs["units"] == "mm year-1"
    assert_array_equal(plain.values, named.values)


def test_years_are_chosen_inclusively(headwaters):
    directory, _ = headwaters
    assert opened(directory / "chirps-annual/*.tif", years=(2001, 2002)).time.dt.year.values.tolist() == [2001, 2002]
    monthly = opened(directory / "chirps/*.nc", years=(2001, 2002))
    assert nc.to_annual(monthly).time.dt.year.values.tolist() == [2001, 2002]


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("form", ["netcdf", "geotiff"])
def test_the_code_of_the_sea_is_masked_declared_or_not(tmp_path, declared, form):
    data = rain(1)
    data[0, 2, 3:5] = -9999
    if form == "netcdf":
        encoding = {"precip": {"_FillValue": np.float32(-9999) if declared else None}}
        whole = np.concatenate([data, rain(11, 5)])
        ds = opened(write(tmp_path / "chirps-v2.0.monthly.nc", data=whole, encoding=encoding))
        got = ds.precipitation.values[0]
    else:
        path = tmp_path / "chirps-v2.0.2001.01.tif"
        write_geotiff(path, data[0, ::-1], west=WEST, north=NORTH, step=0.05, nodata=-9999 if declared else None)
        got = opened(path).precipitation.values[0, ::-1]
    want = np.where(data[0] == -9999, np.nan, data[0])
    assert_array_equal(got, want)


def test_zero_rain_is_data(tmp_path):
    data = rain(12)
    data[:, 0] = 0
    assert_array_equal(opened(write(tmp_path / "chirps-v2.0.monthly.nc", data=data)).precipitation.values, data)


def test_monthly_geotiffs_equal_the_netcdf(tmp_path):
    data = rain(12)
    netcdf = opened(write(tmp_path / "chirps-v2.0.monthly.nc", data=data)).precipitation
    for k in range(12):
        path = tmp_path / f"chirps-v2.0.2001.{k + 1:02d}.tif"
        write_geotiff(path, data[k, ::-1], west=WEST, north=NORTH, step=0.05)
    tifs = opened(tmp_path / "*.tif").precipitation
    assert (tifs.attrs["frequency"], tifs.attrs["aggregation"]) == ("month", "amount")
    assert_array_equal(tifs.time.values, netcdf.time.values)
    assert_array_equal(tifs.latitude.values[::-1], netcdf.latitude.values)
    assert_array_equal(tifs.values[:, ::-1], netcdf.values)
    annual = nc.to_annual(tifs.to_dataset(), years=(2001, 2001)).precipitation
    total = np.zeros(data.shape[1:])
    for k in range(12):
        total += data[k]
    assert_array_equal(annual.values[0, ::-1], total)


@pytest.mark.parametrize(
    ("names", "frequency", "starts"),
    [
        (["chirps-v2.0.2001.tif", "chirps-v2.0.2002.tif"], "year", ["2001-01-01", "2002-01-01"]),
        (["chirps-v3.0.2001.11.tif", "chirps-v3.0.2001.12.tif"], "month", ["2001-11-01", "2001-12-01"]),
        (["chirps-v2.0.2001.01.1.tif", "chirps-v2.0.2001.01.6.tif"], "pentad", ["2001-01-01", "2001-01-26"]),
        (["chirps-v3.0.rnl.2001.01.31.tif", "chirps-v3.0.rnl.2001.02.01.tif"], "day", ["2001-01-31", "2001-02-01"]),
    ],
)
def test_dates_stand_in_the_names(tmp_path, names, frequency, starts):
    for k, name in enumerate(names):
        write_geotiff(tmp_path / name, rain(1, k)[0], west=WEST, north=NORTH, step=0.05)
    for options in ({}, {"time": frequency}):
        got = opened(tmp_path / "*.tif", **options).precipitation
        assert got.attrs["frequency"] == frequency
        assert_array_equal(got.time.values, np.array(starts, "datetime64[ns]"))


@pytest.mark.parametrize(
    ("name", "stamp"), [("Y16299", "2016-10-25"), ("Y00060", "2000-02-29"), ("Y81001", "1981-01-01")]
)
def test_dates_stand_in_the_bands(tmp_path, name, stamp):
    # CHIRPS begins in 1981
    path = write_geotiff(tmp_path / "a.tif", rain(1), west=WEST, north=NORTH, step=0.05, names=[name])
    got = opened(path).precipitation
    assert_array_equal(got.time.values, np.array([stamp], "datetime64[ns]"))
    assert got.attrs["frequency"] == "day"


@pytest.mark.parametrize("name", ["rain.tif", "chirps-v2.0.tif", "chirps.2001.tif"])
def test_a_raster_without_a_date_is_refused(tmp_path, name):
    path = write_geotiff(tmp_path / name, rain(1)[0], west=WEST, north=NORTH, step=0.05)
    refused(path, "its date cannot be told", "chirps-v2.0.2001.tif")


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("chirps-v2.0.2001.tif", "chirps-v3.0.2002.tif", ("CHIRPS v2.0", "CHIRPS v3.0")),
        ("chirps-v3.0.rnl.2001.01.01.tif", "chirps-v3.0.sat.2001.01.02.tif", ("v3.0.rnl", "v3.0.sat")),
    ],
)
def test_versions_and_variants_are_not_mixed(tmp_path, a, b, words):
    for name in (a, b):
        write_geotiff(tmp_path / name, rain(1)[0], west=WEST, north=NORTH, step=0.05)
    refused(tmp_path / "*.tif", *words, "they are not mixed")


def test_versions_of_netcdf_are_not_mixed(tmp_path):
    write(tmp_path / "a.nc")
    write(tmp_path / "b.nc", stamps=months(2002, 2002), title="CHIRPS Version 3.0")
    refused(tmp_path / "*.nc", "CHIRPS v2.0", "CHIRPS v3.0", "not mixed")


def test_months_and_years_are_not_mixed(tmp_path):
    for name in ("chirps-v2.0.2001.tif", "chirps-v2.0.2002.01.tif"):
        write_geotiff(tmp_path / name, rain(1)[0], west=WEST, north=NORTH, step=0.05)
    refused(tmp_path / "*.tif", "the step of these files cannot be told")


@pytest.mark.parametrize(("unit", "ok"), [("mm/month", True), ("mm", True), ("mm/day", False), ("mm/year", False)])
def test_the_unit_must_be_that_of_the_step(tmp_path, unit, ok):
    path = write(tmp_path / "chirps-v2.0.monthly.nc", unit=unit)
    if ok:
        assert opened(path).precipitation.attrs["units"] == "mm"
    else:
        refused(path, f"precip is in {unit!r}, but its step is a month", error=UnitError)


@pytest.mark.parametrize("unit", [None, "inches"])
def test_missing_and_unknown_units_are_refused(tmp_path, unit):
    refused(write(tmp_path / "chirps-v2.0.monthly.nc", unit=unit), "precip", error=UnitError)


def test_days_and_pentads(tmp_path):
    days = np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    daily = opened(write(tmp_path / "d.nc", 365, data=rain(365), unit="mm/day", stamps=days)).precipitation
    assert (daily.attrs["frequency"], daily.attrs["aggregation"]) == ("day", "amount")
    starts = np.array([f"2001-{m:02d}-{d:02d}" for m in range(1, 13) for d in (1, 6, 11, 16, 21, 26)], "datetime64[ns]")
    data = rain(72)
    five = opened(write(tmp_path / "p.nc", 72, data=data, unit="mm/pentad", stamps=starts))
    assert five.precipitation.attrs["frequency"] == "pentad"
    total = np.zeros(data.shape[1:])
    for k in range(72):
        total += data[k]
    # 72 pentads are the year, whatever their lengths: their amounts add up
    assert_array_equal(nc.to_annual(five).precipitation.values[0], total)


def test_the_area_must_cover_the_bounds(tmp_path):
    path = write(tmp_path / "a.nc")
    assert opened(path, bounds=(96.0, 34.0, 96.4, 34.3)).precipitation.shape == (12, 6, 8)
    refused(path, "latitude runs from", bounds=(96.0, 33.9, 96.4, 34.3))
    tif = write_geotiff(tmp_path / "chirps-v2.0.2001.tif", rain(1)[0], west=WEST, north=NORTH, step=0.05)
    refused(tif, "longitude runs from", bounds=(95.0, 34.0, 96.4, 34.3))


def test_other_files_are_refused(tmp_path):
    refused(write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}), "no variable 'precip'", "t2m")
    with pytest.raises(NepcubeError, match="chirps gives no 'temperature'"):
        nc.open_source("chirps", write(tmp_path / "b.nc"), quantity="temperature")
    path = tmp_path / "chirps-v2.0.2001.tif"
    refused(write_geotiff(path, rain(1)[0], west=0, north=1e6, step=5000, crs="EPSG:32647"), "geographic coordinates")
    path.write_bytes(b"\x1f\x8b\x08rest")
    refused(path, "a gzip file", "Unpack")


@pytest.mark.parametrize("form", ["chirps/*.nc", "chirps-annual/*.tif"])
def test_it_travels_to_a_worker(headwaters, form):
    ds = opened(headwaters[0] / form).isel(time=slice(0, 2))
    assert pickle.loads(pickle.dumps(ds)).compute().identical(ds.compute())
