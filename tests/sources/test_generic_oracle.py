"""Files of no known product: what they do not say must be said, and is asked for by name."""

import pickle

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from providers import LATITUDE, LONGITUDE, field, months, write_geotiff, write_netcdf

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.harmonise import to_interval
from nepcube.testing import forbid_compute


def opened(paths, quantity, **options):
    with forbid_compute():
        return nc.open_source("generic", paths, quantity=quantity, **options)


def refused(paths, quantity, message, *, error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source("generic", paths, quantity=quantity, **options)
    assert str(raised.value) == message


@pytest.fixture
def data():
    return field(12, low=1, high=90)


@pytest.fixture
def netcdf(tmp_path, data):
    return write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"pre": data}, time="time", units={"pre": "mm"})


def test_netcdf_with_everything_said(netcdf, data):
    got = opened(netcdf, "precipitation", aggregate="amount").precipitation
    assert_array_equal(got.values, data)
    assert (got.attrs["units"], got.attrs["aggregation"], got.attrs["frequency"]) == ("mm", "amount", "month")
    assert "a.nc pre" in got.attrs["product"]


def test_the_aggregate_is_asked_for(netcdf):
    refused(
        netcdf,
        "precipitation",
        f"{netcdf}: does pre hold the amount of each month, or a mean per day?\n"
        "Say `aggregate: amount` or `aggregate: per_day`.",
    )


def test_per_day_and_amount_differ_by_the_days(netcdf, data):
    amount = nc.to_annual(opened(netcdf, "precipitation", aggregate="amount")).precipitation
    per_day = nc.to_annual(opened(netcdf, "precipitation", aggregate="per_day")).precipitation
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31.0])[:, None, None]
    # the order of float64 sums
    assert_allclose(amount.values[0], data.astype(float).sum(axis=0), rtol=1e-14)
    assert_allclose(per_day.values[0], (data.astype(float) * days).sum(axis=0), rtol=1e-14)


def test_temperature_needs_no_aggregate(tmp_path, data):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tas": data}, time="time", units={"tas": "degC"})
    got = opened(path, "temperature").temperature
    assert got.attrs["aggregation"] == "mean"


def test_the_quantity_is_asked_for(netcdf):
    refused(
        netcdf,
        None,
        f"{netcdf}: `generic` must be told the quantity (found: None).\n"
        "Say one of npp, temperature, precipitation, radiation.",
    )
    refused(
        netcdf,
        "nep",
        f"{netcdf}: `generic` must be told the quantity (found: 'nep').\n"
        "Say one of npp, temperature, precipitation, radiation.",
    )


def test_the_variable_is_asked_for(tmp_path, data):
    units = {"pre": "mm", "pet": "mm"}
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"pre": data, "pet": data + 1}, units=units)
    for wrong in (None, "prec"):
        refused(
            path,
            "precipitation",
            f"{path}: which variable is precipitation? (found: pre, pet)\nSay it with `variable:`.",
            aggregate="amount",
            variable=wrong,
        )
    got = opened(path, "precipitation", variable="pet", aggregate="amount")
    assert_array_equal(got.precipitation.values, data + 1)


def test_the_unit_is_asked_for(tmp_path, data):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"pre": data})
    refused(
        path,
        "precipitation",
        f"{path}: pre: no unit is given.\n"
        "Say the unit in the recipe (`units: ...` beside the source) if you know it for certain.",
        error=UnitError,
        aggregate="amount",
    )
    assert opened(path, "precipitation", aggregate="amount", units="mm/month").precipitation.attrs["units"] == (
        "mm month-1"
    )


def test_the_step_is_asked_for(tmp_path, data):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001)[:1], {"pre": data[:1]}, units={"pre": "mm"})
    refused(
        path,
        "precipitation",
        f"{path}: the step of pre cannot be told from its 1 time(s).\n"
        "Say it with `time:` (hour, day, pentad, dekad, month or year).",
        aggregate="amount",
    )
    got = opened(path, "precipitation", time="year").precipitation
    assert (got.attrs["frequency"], got.attrs["aggregation"]) == ("year", "yearly")


def test_annual_netcdf_is_recognised(tmp_path, data):
    stamps = np.array([f"{y}-01-01" for y in range(2001, 2013)], "datetime64[ns]")
    data = data / np.float32(128)
    path = write_netcdf(tmp_path / "a.nc", stamps, {"npp": data}, units={"npp": "kgC m-2 yr-1"})
    got = opened(path, "npp")
    assert (got.npp.attrs["units"], got.npp.attrs["aggregation"]) == ("kg m-2 year-1", "yearly")
    annual = nc.to_annual(got, years=(2003, 2004)).npp
    assert annual.attrs["units"] == "g m-2 year-1"
    assert_array_equal(annual.values, data[2:4].astype(float) * 1000)


def test_zarr_equals_netcdf(tmp_path, netcdf, data):
    with xr.open_dataset(netcdf, engine="h5netcdf") as ds:
        ds.load().rename(latitude="lat", longitude="lon").to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=True)
    a = opened(netcdf, "precipitation", aggregate="amount")
    b = opened(tmp_path / "a.zarr", "precipitation", aggregate="amount")
    assert_array_equal(a.precipitation.values, b.precipitation.values)
    assert a.precipitation.attrs["units"] == b.precipitation.attrs["units"]
    for axis in ("time", "latitude", "longitude"):
        assert_array_equal(a[axis].values, b[axis].values)


def test_zarr_without_our_dimensions_is_refused(tmp_path, data):
    ds = xr.Dataset({"pre": (("time", "y", "x"), data)}, coords={"time": months(2001, 2001)})
    ds.to_zarr(tmp_path / "a.zarr", zarr_format=2, consolidated=True)
    refused(
        tmp_path / "a.zarr",
        "precipitation",
        f"{tmp_path / 'a.zarr'}: which variable is precipitation? (found: none on a grid, but pre, time)\n"
        "Say it with `variable:`.",
    )


def tifs(folder, data, **options):
    for k in range(2):
        write_geotiff(folder / f"npp_{2001 + k}.tif", data[k], west=95.95, north=34.35, step=0.1, **options)
    return folder / "npp_*.tif"


def test_geotiffs_of_years(tmp_path, data):
    data[0, 1, 1] = -99
    got = opened(tifs(tmp_path, data, nodata=-99), "npp", units="gC m-2 yr-1").npp
    want = np.where(data[:2] == -99, np.nan, data[:2])
    assert_array_equal(got.values, want)
    assert_allclose(got.latitude.values, LATITUDE, rtol=0, atol=1e-9)  # edges of tenths as binary fractions
    assert_allclose(got.longitude.values, LONGITUDE, rtol=0, atol=1e-9)
    assert got.time.dt.year.values.tolist() == [2001, 2002]
    assert (got.attrs["frequency"], got.attrs["units"]) == ("year", "g m-2 year-1")


def test_a_geotiff_without_unit_or_year_is_refused(tmp_path, data):
    paths = tifs(tmp_path, data)
    refused(
        paths,
        "npp",
        f"{tmp_path / 'npp_2001.tif'}: band_data: no unit is given.\n"
        "Say the unit in the recipe (`units: ...` beside the source) if you know it for certain.",
        error=UnitError,
    )
    path = write_geotiff(tmp_path / "npp.tif", data[0], west=95.95, north=34.35, step=0.1)
    refused(
        path,
        "npp",
        f"{path}: no date in its name or in that of its band.\n"
        "Rename it, such as npp_2001.tif, npp_2001-01.tif or npp_2001-01-31.tif.",
        units="gC m-2 yr-1",
    )
    path = write_geotiff(tmp_path / "npp_2001.tif", data[:2], west=95.95, north=34.35, step=0.1, names=["2001", "b"])
    refused(
        path,
        "npp",
        f"{path}: 2 bands, and no date in the name of band 2 (b).\n"
        "Name each band by its date, such as npp_2001, or give one file a step.",
        units="gC m-2 yr-1",
    )


def test_scale_and_offset_of_a_geotiff_are_applied(tmp_path):
    import rasterio

    raw = np.arange(20).reshape(4, 5)
    path = write_geotiff(tmp_path / "npp_2001.tif", raw, west=95.95, north=34.35, step=0.1, nodata=7)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.5,), (10.0,)
    got = opened(path, "npp", units="gC m-2 yr-1", time="year").npp.values[0]
    assert_array_equal(got, np.where(raw == 7, np.nan, raw * 0.5 + 10))


@pytest.mark.parametrize(
    "at",
    [
        {"latitude": slice(1, 3), "longitude": slice(2, 5)},
        {"latitude": slice(None, None, -1)},
        {"latitude": slice(0, None, 2)},
        {"longitude": slice(1, None, 3)},
        {"latitude": [3, 0]},
        {"latitude": 2, "longitude": 3},
    ],
    ids=str,
)
def test_any_selection_of_a_geotiff_is_that_of_the_whole(tmp_path, data, at):
    ds = opened(tifs(tmp_path, data), "npp", units="gC m-2 yr-1")
    assert ds.isel(at).compute().identical(ds.compute().isel(at))


def test_unknown_files_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    refused(
        path,
        "npp",
        f"{path}: is of no known format, not HDF5 or NetCDF classic or TIFF or Zarr or a gzipped TIFF.\n"
        "Check that the file is what its name says, and download it again if not.",
    )


# what the user says and what the unit says must agree: an amount, or a rate (invariant 5: no silent unit)
@pytest.mark.parametrize(
    ("quantity", "unit", "aggregate", "one_unit_a_day"),
    [
        ("precipitation", "mm/day", "amount", 1.0),
        ("precipitation", "mm", "mean", None),
        ("radiation", "J m-2", "mean", None),
        ("radiation", "MJ m-2 day-1", "amount", 1.0),
        ("radiation", "MJ m-2 day-1", "mean", 1.0),
        ("radiation", "W m-2", "amount", 0.0864),
        ("radiation", "W m-2", "mean", 0.0864),
        ("temperature", "K", "amount", None),
        ("temperature", "K", "per_day", None),
    ],
)
def test_a_rate_is_no_amount(tmp_path, quantity, unit, aggregate, one_unit_a_day):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"v": np.ones((12, 4, 5))}, units={"v": unit})
    try:
        got = nc.to_annual(opened(path, quantity, aggregate=aggregate), years=(2001, 2001))[quantity]
    except (SourceError, UnitError):
        return
    assert one_unit_a_day is not None, f"accepted, and gives {float(got[0, 0, 0]):g} {got.attrs['units']}"
    assert got.attrs["units"] == {"precipitation": "mm year-1", "radiation": "MJ m-2 year-1"}[quantity]
    # one a day for 365 days, by conversions of two roundings
    assert_allclose(got.values, 365 * one_unit_a_day, rtol=1e-12)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (np.arange("2001-01-01", "2001-01-03", dtype="datetime64[30m]"), "hour"),
        (np.arange("2001-01", "2002-01", dtype="datetime64[M]"), "year"),
        (np.array(["2001-01-01", "2001-07-01"], "datetime64[D]"), "year"),
    ],
    ids=["half hours", "months", "half years"],
)
def test_values_are_not_dropped_in_silence(tmp_path, times, said):
    # one a step: what is said to be an hour or a year and is less would lose all but one of its values
    path = write_netcdf(tmp_path / "a.nc", times, {"v": np.ones((times.size, 4, 5))}, units={"v": "mm"})

    def annual_or_daily():
        ds = opened(path, "precipitation", time=said, aggregate=None if said == "year" else "amount")
        return to_interval(ds, "day") if said == "hour" else nc.to_annual(ds, years=(2001, 2001))

    with pytest.raises(SourceError):
        annual_or_daily()


@pytest.mark.parametrize(
    ("unit", "a_day"), [("W m-2", 0.0864), ("MJ m-2 day-1", 1.0), ("J m-2 day-1", 1e-6), ("J m-2", 1e-6)]
)
def test_rates_of_radiation_per_day(tmp_path, unit, a_day):
    path = write_netcdf(tmp_path / "a.nc", months(2004, 2004), {"v": np.ones((12, 4, 5))}, units={"v": unit})
    got = nc.to_annual(opened(path, "radiation", aggregate="per_day")).radiation
    assert got.attrs["units"] == "MJ m-2 year-1"
    assert_allclose(got.values, 366 * a_day, rtol=1e-12)  # two roundings


def test_it_travels_to_a_worker(tmp_path, data):
    ds = opened(tifs(tmp_path, data), "npp", units="gC m-2 yr-1")
    assert pickle.loads(pickle.dumps(ds)).compute().identical(ds.compute())
