"""ERA5-Land in the layouts of the wild: what comes out is plain arithmetic, and what is doubtful is refused."""

import datetime
import math
import pickle

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, field, hours, months, write_netcdf

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.harmonise import hourly_increments, to_interval
from nepcube.testing import forbid_compute


def opened(paths, **options):
    with forbid_compute():
        return nc.open_source("era5-land", paths, **options)


def refused(paths, *words, error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source("era5-land", paths, **options)
    assert len(str(raised.value).splitlines()) == 2
    for word in words:
        assert word in str(raised.value)


def test_generated_months_are_the_truth(headwaters):
    directory, truth = headwaters
    ds = opened(directory / "era5-land/*.nc")
    lat, lon = ds.latitude.values[:, None], ds.longitude.values
    assert set(ds.data_vars) == {"temperature", "radiation"}
    for k, stamp in enumerate(ds.time.values.astype("datetime64[M]").tolist()):
        assert_array_equal(ds.temperature[k].values, truth.temperature_month(stamp.year, stamp.month, lat, lon))
        assert_array_equal(ds.radiation[k].values, truth.radiation_month(stamp.year, stamp.month, lat, lon))
    assert ds.temperature.attrs["units"] == "K"
    assert ds.temperature.attrs["aggregation"] == "mean"
    assert ds.radiation.attrs["aggregation"] == "per_day"
    assert ds.radiation.attrs["frequency"] == "month"


def test_generated_years_are_months_weighted_by_days(headwaters):
    directory, truth = headwaters
    with forbid_compute():
        annual = nc.to_annual(nc.open_source("era5-land", directory / "era5-land/*.nc"))
    lat, lon = annual.latitude.values[:, None], annual.longitude.values
    for k, year in enumerate((2001, 2002, 2003)):
        days = [(datetime.date(year + m // 12, m % 12 + 1, 1) - datetime.date(year, m, 1)).days for m in range(1, 13)]
        t = sum(truth.temperature_month(year, m, lat, lon).astype(float) * n for m, n in enumerate(days, 1)) / sum(days)
        s = sum(truth.radiation_month(year, m, lat, lon).astype(float) * n for m, n in enumerate(days, 1)) / 1e6
        # float64 sums in the same order; the last digits may go another way
        assert_allclose(annual.temperature[k].values, t - 273.15, rtol=0, atol=1e-11)
        assert_allclose(annual.radiation[k].values, s, rtol=1e-14)


def test_generated_hours_are_the_days_of_the_truth(headwaters):
    directory, truth = headwaters
    ds = opened(directory / "era5-land-hourly/*.nc", quantity="radiation")
    daily = to_interval(ds, "day", years=(2001, 2001)).radiation
    lat, lon = daily.latitude.values[:, None], daily.longitude.values
    assert daily.sizes["time"] == 365
    for k in (0, 30, 31, 58, 59, 200, 364):
        date = datetime.date(2001, 1, 1) + datetime.timedelta(days=k)
        assert_array_equal(daily[k].values, truth.radiation_day(date, lat, lon).astype(float) * 1e-6)
    monthly = opened(directory / "era5-land/*2001.nc", quantity="radiation")
    monthly = nc.to_annual(monthly).radiation.sel(latitude=lat[:, 0], longitude=lon, method="nearest")
    # the days were rounded to float32 one by one
    assert_allclose(nc.to_annual(ds, years=(2001, 2001)).radiation[0], monthly[0], rtol=1e-6)


LAYOUTS = {
    "new": {},
    "old names": {"time": "time"},
    "lat and lon": {"names": ("lat", "lon")},
    "float32 axes": {"latitude": LATITUDE.astype("f4"), "longitude": LONGITUDE.astype("f4")},
    "0..360": {"longitude": LONGITUDE + 0.0},
    "scalar number": {"extra": {"number": 0}},
    "scalar expver": {"extra": {"expver": "0001"}},
    "expver along time": {"extra": {"expver": ("valid_time", ["0001"] * 10 + ["0005"] * 2)}},
    "packed": {
        "encoding": {"t2m": {"dtype": "int16", "scale_factor": 0.002, "add_offset": 270.0, "_FillValue": -32767}}
    },
    "classic": {"engine": "netcdf4", "time": "time", "encoding": None, "format": "NETCDF3_64BIT"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same(tmp_path, name):
    options = dict(LAYOUTS[name])
    form = options.pop("format", None)
    data = field(12)
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, **options)
    if form:
        with xr.open_dataset(path, engine="netcdf4") as ds:
            loaded = ds.load()
        loaded.to_netcdf(path, engine="netcdf4", format=form)
        assert path.read_bytes()[:3] == b"CDF"
    ds = opened(path)
    assert ds.temperature.dims == ("time", "latitude", "longitude")
    assert_array_equal(ds.latitude.values, LATITUDE)
    assert_array_equal(ds.longitude.values, LONGITUDE)
    # packing rounds to half of its scale_factor
    assert_allclose(ds.temperature.values, data, rtol=0, atol=0.001 + 1e-9 if name == "packed" else 0)
    assert ds.temperature.attrs["frequency"] == "month"
    assert "expver" not in ds.coords
    assert "number" not in ds.coords


@pytest.mark.parametrize("versions", [[1, 5], [5, 1]])
def test_final_and_preliminary_planes_are_merged(tmp_path, versions):
    data = field(12)
    planes = {1: data.copy(), 5: data + 50}
    planes[1][9:] = np.nan
    planes[5][:8] = np.nan  # the ninth month is in both: the final one counts
    stack = np.stack([planes[v] for v in versions], axis=1)
    ds = xr.Dataset(
        {"t2m": (("time", "expver", "latitude", "longitude"), stack, {"units": "K"})},
        coords={"time": months(2001, 2001), "expver": versions, "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    packed = {"t2m": {"dtype": "int16", "scale_factor": 0.0025, "add_offset": 300.0, "_FillValue": -32767}}
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding=packed)
    got = opened(tmp_path / "a.nc").temperature
    want = np.concatenate([data[:9], data[9:] + 50])
    assert_allclose(got.values, want, rtol=0, atol=0.00125 + 1e-4)  # half of the scale_factor, and float32
    assert got.attrs["units"] == "K"


def test_unknown_experiment_versions_are_refused(tmp_path):
    ds = xr.Dataset(
        {"t2m": (("time", "expver", "latitude", "longitude"), field(12)[:, None], {"units": "K"})},
        coords={"time": months(2001, 2001), "expver": [77], "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(tmp_path / "a.nc", "77")


def test_an_ensemble_is_refused(tmp_path):
    ds = xr.Dataset(
        {"t2m": (("time", "number", "latitude", "longitude"), np.repeat(field(12)[:, None], 3, 1), {"units": "K"})},
        coords={"time": months(2001, 2001), "number": [0, 1, 2], "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(tmp_path / "a.nc", "3 ensemble members")


def test_files_by_year_and_by_variable_come_together(tmp_path):
    t, p = field(36), field(36, 1, low=0, high=0.01)
    for k, year in enumerate((2003, 2001, 2002)):
        at = slice(12 * (year - 2001), 12 * (year - 2000))
        # names in another order than the years
        write_netcdf(tmp_path / f"{k}-t.nc", months(year, year), {"t2m": t[at]})
        write_netcdf(tmp_path / f"{9 - k}-p.nc", months(year, year), {"tp": p[at]}, attrs=MODA)
    ds = opened(tmp_path / "*.nc")
    assert_array_equal(ds.time.values, months(2001, 2003))
    assert_array_equal(ds.temperature.values, t)
    assert_array_equal(ds.precipitation.values, p)
    assert opened(tmp_path / "*.nc", quantity="precipitation").data_vars.keys() == {"precipitation"}


def test_unsorted_stamps_are_sorted(tmp_path):
    data, order = field(24), np.random.default_rng(3).permutation(24)
    write_netcdf(tmp_path / "a.nc", months(2001, 2002)[order[:10]], {"t2m": data[order[:10]]})
    write_netcdf(tmp_path / "b.nc", months(2001, 2002)[order[10:]], {"t2m": data[order[10:]]})
    ds = opened(tmp_path / "*.nc")
    assert_array_equal(ds.time.values, months(2001, 2002))
    assert_array_equal(ds.temperature.values, data)


def test_equal_repetitions_are_allowed(tmp_path):
    data = field(24)
    data[13, 1, 1] = np.nan
    write_netcdf(tmp_path / "a.nc", months(2001, 2002)[:15], {"t2m": data[:15]})
    write_netcdf(tmp_path / "b.nc", months(2001, 2002)[12:], {"t2m": data[12:]})
    ds = nc.open_source("era5-land", tmp_path / "*.nc")
    assert_array_equal(ds.time.values, months(2001, 2002))
    assert_array_equal(ds.temperature.values, data)


def test_different_repetitions_are_refused_naming_both(tmp_path):
    data = field(24)
    write_netcdf(tmp_path / "a.nc", months(2001, 2002)[:15], {"t2m": data[:15]})
    data[14, 2, 3] = np.nextafter(data[14, 2, 3], np.float32(999))
    write_netcdf(tmp_path / "b.nc", months(2001, 2002)[12:], {"t2m": data[12:]})
    refused(tmp_path / "*.nc", str(tmp_path / "b.nc"), "a.nc", "2002-03-01", "t2m")


def test_a_stamp_twice_in_one_file_is_refused(tmp_path):
    stamps = months(2001, 2001)
    stamps[5] = stamps[4]
    refused(write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(12)}), "a time stands in it twice")


def incomplete(ds, *words, **options):
    with pytest.raises(SourceError) as error, forbid_compute():
        nc.to_annual(ds, **options)
    assert len(str(error.value).splitlines()) == 2
    for word in words:
        assert word in str(error.value)


def test_a_missing_month_is_named(tmp_path):
    keep = np.delete(np.arange(36), [14, 20])
    write_netcdf(tmp_path / "a.nc", months(2001, 2003)[keep], {"t2m": field(36)[keep]})
    ds = opened(tmp_path / "a.nc")
    incomplete(ds, "temperature of 2002 is incomplete", "2002-03-01", "2002-09-01", "min_coverage")
    incomplete(ds, "2000 and 2002", years=(2000, 2003))
    assert nc.to_annual(ds, years=(2003, 2003)).sizes["time"] == 1


def test_the_hour_that_closes_the_year_is_needed(tmp_path):
    stamps = hours("2003-01-01T00", "2003-12-31T23")
    # the stamp of 00 UTC closes the day before: 24 MJ, and 1 MJ an hour from there
    running = np.tile(np.array([24, *range(1, 24)], np.float32) * 1e6, 365)
    data = running[:, None, None] * np.ones((1, 2, 2), np.float32)
    kind = {"latitude": LATITUDE[:2], "longitude": LONGITUDE[:2]}
    path = write_netcdf(tmp_path / "a.nc", stamps, {"ssr": data}, **kind)
    incomplete(opened(path), "radiation of 2003 is incomplete", "2004-01-01 00:00 UTC", years=(2003, 2003))
    after = write_netcdf(tmp_path / "b.nc", hours("2004-01-01T00", "2004-01-01T00"), {"ssr": data[:1] + 1e6}, **kind)
    got = nc.to_annual(opened([path, after]), years=(2003, 2003)).radiation
    # 364 days of 24 MJ, and one of 25
    assert_allclose(got.values, 364 * 24 + 25, rtol=1e-12)


def test_missing_and_unknown_units_are_refused(tmp_path):
    stamps = months(2001, 2001)
    refused(
        write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(12)}, units={"t2m": None}),
        str(tmp_path / "a.nc"), "t2m: no unit is given", error=UnitError,
    )  # fmt: skip
    refused(
        write_netcdf(tmp_path / "b.nc", stamps, {"t2m": field(12)}, units={"t2m": "furlong"}),
        "'furlong' is not known", error=UnitError,
    )  # fmt: skip
    # what the user knows for certain he may say
    ds = opened(tmp_path / "a.nc", units="K")
    assert ds.temperature.attrs["units"] == "K"


def test_files_of_different_units_are_not_joined(tmp_path):
    write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"t2m": field(12)}, units={"t2m": "degC"})
    refused(tmp_path / "*.nc", "b.nc", "'degC'", "'K'", error=UnitError)


def test_a_unit_that_is_no_temperature_is_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, units={"t2m": "mm"})
    with pytest.raises(UnitError):
        nc.to_annual(opened(path))


@pytest.mark.parametrize("unit", ["degC", "°C", "celsius", "degrees_celsius"])
def test_celsius_is_not_converted_twice(tmp_path, unit):
    data = field(12) - np.float32(273.15)
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, units={"t2m": unit})
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31.0])[:, None, None]
    want = (data.astype(float) * days).sum(axis=0) / 365
    # the order of a float64 sum
    assert_allclose(nc.to_annual(opened(path)).temperature[0].values, want, rtol=0, atol=1e-12)


def test_latitude_may_rise_or_fall(tmp_path):
    data = field(12)
    down = opened(write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}))
    up = opened(write_netcdf(tmp_path / "b.nc", months(2001, 2001), {"t2m": data[:, ::-1]}, latitude=LATITUDE[::-1]))
    grid = nc.target_grid((96.0, 34.05, 96.35, 34.3), "0.01 deg")
    for method in ("nearest", "bilinear"):
        a, b = (nc.regrid(ds, grid, method).temperature.values for ds in (down, up))
        if method == "nearest":
            # a centre on an edge goes to the cell that begins there in the file's order: off the edges both agree
            lat, lon = nc.regrid(down, grid).latitude.values, nc.regrid(down, grid).longitude.values
            edge = np.isclose((lat * 10) % 1, 0.5, atol=1e-6)[:, None] | np.isclose((lon * 10) % 1, 0.5, atol=1e-6)
            a, b = np.where(edge, 0, a), np.where(edge, 0, b)
        # one unit of the last float32 digit: weights are counted from the other end
        assert_allclose(a, b, rtol=2e-7)
        assert np.isfinite(a).mean() > 0.5


def test_longitudes_from_0_to_360_are_wrapped(tmp_path):
    lon = np.arange(0, 360, 2.5)
    lat = np.array([50.0, 47.5, 45.0])
    data = np.tile((lon / 4 + 200).astype(np.float32), (12, 3, 1))
    ds = opened(write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, latitude=lat, longitude=lon))
    got = ds.longitude.values
    assert_array_equal(got, np.arange(-180, 180, 2.5))
    assert_array_equal(ds.temperature[0, 0].values, np.where(got < 0, got + 360, got) / 4 + 200)
    part = opened(tmp_path / "a.nc", bounds=(-12.0, 45.1, 7.0, 49.0))
    assert part.longitude.values.min() > -25
    assert_array_equal(part.temperature.sel(longitude=-2.5)[0].values, np.full(part.sizes["latitude"], 289.375, "f4"))


def test_longitudes_across_greenwich_in_0_to_360(tmp_path):
    lon = np.arange(-3, 4) * 0.5
    data = field(12, shape=(4, 7))
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, longitude=lon % 360)
    ds = opened(path)
    assert_array_equal(ds.longitude.values, lon)
    assert_array_equal(ds.temperature.values, data)


@pytest.mark.parametrize("bounds", [(170.0, 47.0, 180.0, 49.0), (-180.0, 47.0, -170.0, 49.0), (-180, 47, 180, 49)])
@pytest.mark.parametrize("lon", [np.arange(-180, 180, 2.5), np.arange(0, 360, 2.5)], ids=["-180..180", "0..360"])
def test_a_global_file_covers_the_antimeridian(tmp_path, lon, bounds):
    # the cell centred on 180 (or on -180) reaches over the line: there is nothing larger to download
    lat = np.arange(55, 40, -2.5)
    data = field(12, shape=(lat.size, lon.size))
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, latitude=lat, longitude=lon)
    ds = opened(path, bounds=bounds)
    assert nc.regrid(ds, nc.target_grid(bounds, "0.5 deg")).temperature.notnull().all()


def test_irregular_and_different_grids_are_refused(tmp_path):
    gauss = np.array([34.3, 34.21, 34.1, 34.0])
    stamps = months(2001, 2001)
    refused(write_netcdf(tmp_path / "g.nc", stamps, {"t2m": field(12)}, latitude=gauss), "latitude is not regular")
    write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(12)})
    write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"t2m": field(12)}, longitude=LONGITUDE + 0.05)
    refused([tmp_path / "a.nc", tmp_path / "b.nc"], "b.nc: its longitude differs from that of a.nc")
    write_netcdf(tmp_path / "c.nc", months(2002, 2002), {"t2m": field(12)[:, :3]}, latitude=LATITUDE[:3])
    refused([tmp_path / "a.nc", tmp_path / "c.nc"], "c.nc: its latitude differs from that of a.nc")


@pytest.mark.parametrize(
    ("bounds", "axis"),
    [
        ((95.0, 34.0, 96.2, 34.2), "longitude"),
        ((96.0, 34.0, 96.46, 34.2), "longitude"),
        ((96.0, 33.9, 96.2, 34.2), "latitude"),
        ((96.0, 34.0, 96.2, 34.36), "latitude"),
        ((-20.0, 34.0, -10.0, 34.2), "longitude"),
    ],
)
def test_an_area_smaller_than_the_bounds_is_refused(tmp_path, bounds, axis):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    refused(path, f"a.nc: {axis} runs from", "Download a larger area", bounds=bounds)


def test_the_outer_edges_of_the_cells_are_covered(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    ds = opened(path, bounds=(95.95, 33.95, 96.45, 34.35))
    assert ds.temperature.shape == (12, 4, 5)


def test_downward_radiation_is_not_net(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"ssrd": field(12)}, attrs=MODA)
    refused(path, "no variable for radiation", "`ssrd` is downward", "variable: ssrd", quantity="radiation")
    refused(path, "ssrd")
    got = opened(path, quantity="radiation", variable="ssrd").radiation
    assert got.attrs["product"] == "ERA5-Land month ssrd"
    assert_array_equal(got.values, field(12))


def test_leap_years_weigh_february(tmp_path):
    data = np.zeros((24, 4, 5), np.float32)
    data[[1, 13]] = 1.0  # February alone
    fields = {"t2m": 200 + 36.5 * data, "tp": 0.25 * data}
    path = write_netcdf(tmp_path / "a.nc", months(2003, 2004), fields, attrs=MODA)
    annual = nc.to_annual(opened(path))
    # exact products and one division of whole numbers; the offset rounds once more
    want = [200 + 36.5 * 28 / 365, 200 + 36.5 * 29 / 366]
    assert_allclose(annual.temperature[:, 0, 0].values + 273.15, want, rtol=0, atol=1e-12)
    assert_array_equal(annual.precipitation[:, 0, 0].values, [0.25 * 28 * 1000.0, 0.25 * 29 * 1000.0])
    assert annual.precipitation.attrs["units"] == "mm year-1"


def test_2_mm_a_day_is_730_mm_in_2001(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": np.full((12, 4, 5), 0.002)}, attrs=MODA)
    assert_allclose(nc.to_annual(opened(path)).precipitation.values, 730.0, rtol=1e-14)


def test_years_are_chosen_inclusively(tmp_path):
    # the months of other years are not asked for, so they make no year incomplete
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2004), {"t2m": field(48)})
    ds = opened(path, years=(2002, 2003))
    assert nc.to_annual(ds).time.dt.year.values.tolist() == [2002, 2003]
    refused(path, "no t2m of the years 1990 to 1991", years=(1990, 1991))


def test_the_step_of_one_stamp_must_be_said(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001)[:1], {"t2m": field(1)})
    refused(path, "the step of t2m cannot be told", "time: month")
    assert opened(path, time="month").temperature.attrs["frequency"] == "month"


def test_three_hourly_files_are_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", hours("2001-01-01T00", "2001-01-03T00")[::3], {"t2m": field(17)})
    refused(path, "the step of t2m cannot be told")


def test_hours_and_months_together_are_refused(tmp_path):
    write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    running = np.array([24, *range(1, 24)])[:, None, None] * np.full((1, 4, 5), 0.001)
    write_netcdf(tmp_path / "b.nc", hours("2001-01-01T00", "2001-01-01T23"), {"tp": running})
    refused(tmp_path / "*.nc", "different times")


@pytest.mark.parametrize("content", [b"", b"<html>", b"GRIB\0\0", b"PK\x03\x04", b"CDF\x01", b"\x89HDF\r\n\x1a\n"])
def test_broken_files_are_refused(tmp_path, content):
    (tmp_path / "a.nc").write_bytes(content)
    refused(tmp_path / "a.nc", str(tmp_path / "a.nc"))


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_cut_files_are_refused(tmp_path, part):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    refused(path, "damaged or cut off")


def test_no_time_and_odd_calendars_are_refused(tmp_path):
    ds = xr.Dataset({"t2m": (("latitude", "longitude"), field(1)[0])}, {"latitude": LATITUDE, "longitude": LONGITUDE})
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(tmp_path / "a.nc", "there is no time axis")
    coords = {"time": ("time", np.arange(12.0), {"units": "days since 2001-01-01", "calendar": "360_day"})}
    ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), field(12))}, coords | dict(ds.coords))
    ds.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    refused(tmp_path / "b.nc", "cannot be read as dates")


def test_it_travels_to_a_worker(tmp_path):
    ds = opened(write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}))
    assert pickle.loads(pickle.dumps(ds)).compute().identical(ds.compute())


# --- the day of an ideal sun -------------------------------------------------------------------------------------


def ideal_accumulation(longitude, days):
    """Accumulate a half-sine between 6 and 18 h local solar time from 00 UTC; value of each hourly stamp, J m-2."""
    power = 800.0

    def energy(t):  # since some local midnight, t in hours of local solar time
        day, hour = divmod(t, 24.0)
        inside = min(max(hour - 6.0, 0.0), 12.0)
        return power * 3600.0 * 12 / math.pi * (2 * day + 1 - math.cos(math.pi * inside / 12))

    local = longitude / 15.0
    out = []
    for k in range(1, 24 * days + 1):
        since = (k - 1) // 24 * 24  # 00 UTC belongs to the day before
        out.append(energy(k + local) - energy(since + local))
    return np.array(out), energy(24 + local) - energy(local)


@pytest.mark.parametrize(("longitude", "factor"), [(95.0, 18.8), (0.0, 12.5)])
def test_summing_raw_hours_overstates_a_day(tmp_path, longitude, factor):
    days = 5
    values, total = ideal_accumulation(longitude, days)
    # SCIENCE 1: the raw sum overstates 18.8-fold at 95 E and 12.5-fold at 0 E
    assert round(values[:24].sum() / total, 1) == factor
    stamps = hours("2001-06-01T01", f"2001-06-{1 + days:02d}T00")
    place = {"latitude": np.array([34.0, 33.9]), "longitude": np.array([longitude, longitude + 0.1])}
    data = np.broadcast_to(values[:, None, None], (24 * days, 2, 2))
    ds = opened(write_netcdf(tmp_path / "a.nc", stamps, {"ssr": data}, **place))
    assert ds.radiation.attrs["aggregation"] == "accumulated_since_00utc"
    daily = to_interval(ds, "day").radiation
    assert daily.sizes["time"] == days
    assert daily.attrs["units"] == "MJ m-2"
    # one product rounds; the totals of the five days are the same number
    assert_array_equal(daily.values, np.broadcast_to(values[23::24, None, None] * 1e-6, daily.shape))
    assert_allclose(daily.values, total * 1e-6, rtol=1e-13)
    increments = hourly_increments(ds.radiation)
    assert increments.attrs["aggregation"] == "accumulated_previous_hour"
    again = to_interval(increments.to_dataset(name="radiation"), "day").radiation
    # differences and their sum: 24 roundings
    assert_allclose(again.values, total * 1e-6, rtol=1e-12)


def test_instants_and_accumulations_of_one_file_keep_their_days(tmp_path):
    # temperature of hour h belongs to its own day, an accumulation stamped 00 UTC to the day before
    stamps = hours("2001-01-01T00", "2001-01-03T00")
    t = np.where(stamps < np.datetime64("2001-01-02"), 280.0, 290.0)[:, None, None] * np.ones((1, 4, 5))
    acc = np.array([(k - 1) % 24 + 1 for k in range(stamps.size)], float)[:, None, None] * np.ones((1, 4, 5))
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": t, "tp": acc / 1000})
    ds = opened(path)
    warm = to_interval(ds[["temperature"]].isel(time=slice(0, 48)), "day").temperature
    assert_allclose(warm[:, 0, 0].values, [280 - 273.15, 290 - 273.15], rtol=1e-13)
    rain = to_interval(ds[["precipitation"]].isel(time=slice(1, None)), "day").precipitation
    assert_allclose(rain[:, 0, 0].values, [24.0, 24.0], rtol=1e-13)


def test_unknown_quantities_are_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    with pytest.raises(NepcubeError, match="gives no 'npp'"):
        nc.open_source("era5-land", path, quantity="npp")
