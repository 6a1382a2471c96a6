"""Genuine files of the providers against plain xarray, rasterio and float64 arithmetic."""

import re

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError
from nepcube.harmonise import hourly_increments, to_interval
from nepcube.sources import Request, hdf4, mosaic, reader
from nepcube.testing import forbid_compute

GLOBAL = "era5-land/era5-land-monthly-temp-feb-2025-global.nc"
MONTHS = "era5-land/era5-land-monthly-temp-precip-1990-2025-sierra-leone.nc"
HOURS = "era5-land/era5-land-hourly-temp-precip-feb-2025-sierra-leone.nc"
DAYS = "era5-land/era5-land-daily-mean-temperature-2m-july-2025-sierra-leone.nc"
JAVA = "era5-land/ssrd-hourly-2023-07-10-java.nc"
MODA = "era5-land/data_stream-moda.nc"
TILE = "modis/MOD10A2.A2022033.h09v05.061.2022042050729"


def plain(path):
    return xr.open_dataset(path, engine="h5netcdf", decode_timedelta=False)


# --- MODIS ---------------------------------------------------------------------------------------------------------


def test_the_hdf4_tile_equals_its_cog_twin(real):
    hdf, cog = str(real / f"{TILE}.hdf"), str(real / f"{TILE}_Maximum_Snow_Extent.tif")
    with rasterio.open(cog) as file:
        want = file.read(1)
    got = hdf4.read_field(hdf, "Maximum_Snow_Extent")
    assert got.shape == (2400, 2400)
    assert_array_equal(got, want)
    for window in ((slice(0, 5), slice(2390, 2400)), (slice(1000, 1513), slice(0, 2400)), (slice(2399, 2400),) * 2):
        a = mosaic.read_window(hdf, "Maximum_Snow_Extent", window)
        b = mosaic.read_window(cog, "Maximum_Snow_Extent", window)
        assert_array_equal(a, b)
        assert_array_equal(a, want[window])


def test_the_geometry_of_the_tile_is_rasterios(real):
    header = hdf4.read_header(str(real / f"{TILE}.hdf"))
    grid = header.grid
    with rasterio.open(real / f"{TILE}_Maximum_Snow_Extent.tif") as file:
        transform, bounds = file.transform, file.bounds
    assert (grid.rows, grid.columns) == (2400, 2400)
    assert grid.projection == "GCTP_SNSOID"
    # both are given to the micrometre
    assert_allclose([grid.left, grid.bottom, grid.right, grid.top], bounds, rtol=0, atol=2e-6)
    assert_allclose((grid.right - grid.left) / grid.columns, transform.a, rtol=1e-9)
    # h09v05 by the constants of the product, which NASA rounds in the sixth decimal of metres
    assert_allclose((grid.left, grid.top), ((9 - 18) * 1111950.5196666666, 4 * 1111950.5196666666), rtol=0, atol=1e-3)


def test_the_tile_is_not_npp(real):
    with pytest.raises(SourceError, match="not that of a MOD17A3HGF granule"):
        nc.open_source("mod17a3hgf", real / f"{TILE}.hdf")


# --- ERA5-Land, global ---------------------------------------------------------------------------------------------


def test_the_global_month_over_the_headwaters(real):
    with forbid_compute():
        ds = nc.open_source("era5-land", real / GLOBAL, time="month", bounds=(89.40, 31.59, 102.40, 36.29))
    with plain(real / GLOBAL) as whole:
        for lat in (31.6, 33.0, 34.1, 36.2):
            for lon in (89.4, 95.0, 97.3, 102.3):
                want = whole.t2m.sel(latitude=lat, longitude=lon, method="nearest").values[0]
                assert ds.temperature.sel(latitude=lat, longitude=lon, method="nearest").values[0] == want
        # nothing is moved by half a cell: the labels are the file's, and so is every value
        part = whole.t2m.sel(latitude=slice(36.25, 31.65), longitude=slice(89.45, 102.35))
        mine = ds.temperature.sel(latitude=slice(36.25, 31.65), longitude=slice(89.45, 102.35))
        assert_array_equal(mine.values, part.values)
        assert_allclose(mine.longitude.values, part.longitude.values, rtol=0, atol=1e-9)


def test_the_global_month_in_the_west(real):
    ds = nc.open_source("era5-land", real / GLOBAL, time="month")
    assert_array_equal(np.sign(np.diff(ds.longitude.values)), 1)
    assert_allclose(
        ds.longitude.values, np.arange(-1800, 1800) / 10 + (ds.longitude.values[0] + 180), rtol=0, atol=1e-9
    )
    with plain(real / GLOBAL) as whole:
        for lat, lon in ((45.0, -120.0), (-10.0, -60.0), (50.0, -0.1), (50.0, 0.0), (5.0, -179.0), (65.0, 179.0)):
            want = whole.t2m.sel(latitude=lat, longitude=lon % 360, method="nearest").values[0]
            got = ds.temperature.sel(latitude=lat, longitude=lon, method="nearest").values[0]
            assert_array_equal(got, want)
        for west, east in ((-100.0, -99.0), (-3.0, 3.0)):
            bounds = (west, 40.0, east, 40.5)
            part = nc.open_source("era5-land", real / GLOBAL, time="month", bounds=bounds)
            got = nc.regrid(part, nc.target_grid(bounds, "0.03 deg"), "nearest").temperature
            # xarray does not know that the cell of 0 reaches to 359.95
            around = (got.longitude + 0.05) % 360 - 0.05
            want = whole.t2m.sel(latitude=got.latitude, longitude=around, method="nearest")
            # 0.015 + k 0.03 meets an edge of the tenths where it is 0.05 more than one: either neighbour is near there
            sure = [np.abs((np.abs(got[d]) * 10) % 1 - 0.5) > 1e-6 for d in ("latitude", "longitude")]
            keep = {"latitude": np.flatnonzero(sure[0]), "longitude": np.flatnonzero(sure[1])}
            assert min(k.size for k in keep.values()) > 10
            assert_array_equal(got.isel(keep).values, want.isel(keep).values)


@pytest.mark.parametrize("bounds", [(-180.0, 60.0, -178.0, 62.0), (178.0, 60.0, 180.0, 62.0)])
def test_the_global_month_reaches_the_antimeridian(real, bounds):
    ds = nc.open_source("era5-land", real / GLOBAL, time="month", bounds=bounds)
    assert nc.regrid(ds, nc.target_grid(bounds, "0.1 deg")).temperature.sizes["longitude"] == 20


def test_nearest_of_the_global_month_equals_xarray(real):
    bounds = (96.0, 34.0, 97.0, 34.5)
    ds = nc.open_source("era5-land", real / GLOBAL, time="month", bounds=bounds)
    got = nc.regrid(ds, nc.target_grid(bounds), "nearest").temperature
    with plain(real / GLOBAL) as whole:
        want = whole.t2m.sel(latitude=got.latitude, longitude=got.longitude, method="nearest").values
    assert_array_equal(got.values, want)


# --- ERA5-Land, Sierra Leone ---------------------------------------------------------------------------------------


def test_35_years_of_months_equal_plain_float64(real):
    with forbid_compute():
        annual = nc.to_annual(nc.open_source("era5-land", real / MONTHS), years=(1990, 2024))
    with plain(real / MONTHS) as ds:
        ds = ds.sel(valid_time=slice("1990-01-01", "2024-12-31")).load()
    days = ds.valid_time.dt.days_in_month.astype("float64")
    year = ds.valid_time.dt.year
    t = ((ds.t2m.astype("float64") * days).groupby(year).sum(skipna=False)) / days.groupby(year).sum() - 273.15
    p = (ds.tp.astype("float64") * days).groupby(year).sum(skipna=False) * 1000
    assert annual.sizes["time"] == 35
    # float64 sums of twelve in another order
    assert_allclose(annual.temperature.values, t.values, rtol=0, atol=1e-10)
    assert_allclose(annual.precipitation.values, p.values, rtol=1e-13)
    # Sierra Leone is warm and wet: the magnitude itself, so that no factor of a day or a thousand slips in
    assert 24 < float(np.nanmean(annual.temperature)) < 28
    assert 1800 < float(np.nanmean(annual.precipitation)) < 3500


def test_the_unfinished_year_is_refused(real):
    ds = nc.open_source("era5-land", real / MONTHS)
    with pytest.raises(SourceError, match="temperature of 2025 is incomplete: no value at 2025-09-01 00:00 UTC"):
        nc.to_annual(ds)
    relaxed = nc.to_annual(ds, years=(2024, 2025), min_coverage=0.6, coverage=True)
    # January to August have 243 of 365 days
    assert_allclose(relaxed.temperature_coverage.values, [1.0, 243 / 365], rtol=1e-15)


def test_preliminary_months_are_told(real):
    found = reader("era5-land").inspect(Request(paths=(str(real / MONTHS),))).granules
    assert (found[0].start, found[0].end) == ("1990-01-01", "2025-08-01")
    with plain(real / MONTHS) as ds:
        preliminary = sum(str(v).lstrip("0") == "5" for v in ds.expver.values)
    assert preliminary > 0
    assert f"{preliminary} preliminary" in found[0].detail


def test_hours_become_the_days_that_the_file_states(real):
    ds = nc.open_source("era5-land", real / HOURS)
    with plain(real / HOURS) as raw:
        raw = raw.load()
    # labels: the file's own, although they are off the lattice of tenths
    assert_allclose(ds.latitude.values, raw.latitude.values, rtol=0, atol=2e-5)
    assert_allclose(ds.longitude.values, raw.longitude.values, rtol=0, atol=2e-5)
    daily = to_interval(ds[["precipitation"]], "day").precipitation
    # from 31 January, which the first stamp closes, to 27 February
    assert daily.sizes["time"] == 28
    assert str(daily.time.values[0])[:10] == "2025-01-31"
    midnights = raw.tp.isel(valid_time=slice(0, None, 24)).values.astype(float) * 1000
    assert_array_equal(daily.values, np.where(midnights < 0, 0.0, midnights))
    temperature = to_interval(ds[["temperature"]], "day").temperature
    want = raw.t2m.values.astype(float).reshape(28, 24, *raw.t2m.shape[1:]).mean(axis=1) - 273.15
    assert_allclose(temperature.values, want, rtol=0, atol=1e-10)  # float64 sums in another order
    increments = hourly_increments(ds.precipitation)
    again = to_interval(increments.isel(time=slice(1, None)).to_dataset(name="precipitation"), "day",
                        min_coverage=0.9).precipitation  # fmt: skip
    for k in range(1, 27):
        got = again.sel(time=daily.time.values[k]).values
        # float32 steps of a packed total: a few metres times 1e-8; tiny negative steps become zero
        assert_allclose(got, daily.values[k], rtol=1e-5, atol=1e-3)


def test_the_raw_hours_would_overstate_the_rain(real):
    with plain(real / HOURS) as raw:
        whole = float(raw.tp.isel(valid_time=slice(1, 649)).sum())
        right = float(raw.tp.isel(valid_time=slice(24, 649, 24)).sum())
    assert whole / right > 5


def test_the_february_of_hours_is_incomplete(real):
    ds = nc.open_source("era5-land", real / HOURS, quantity="precipitation")
    with pytest.raises(SourceError, match=re.escape("no value at 2025-03-01 00:00 UTC")):
        to_interval(ds.isel(time=slice(1, None)), "month")


def test_java_holds_downward_radiation_since_midnight(real):
    with pytest.raises(SourceError, match="`ssrd` is downward, not net"):
        nc.open_source("era5-land", real / JAVA, quantity="radiation")
    with pytest.raises(NepcubeError, match="ssrd"):
        nc.open_source("era5-land", real / JAVA)
    ds = nc.open_source("era5-land", real / JAVA, quantity="radiation", variable="ssrd")
    assert ds.radiation.attrs["aggregation"] == "accumulated_since_00utc"
    assert ds.radiation.attrs["product"].endswith("ssrd")
    with plain(real / JAVA) as raw:
        values = raw.ssrd.load()
    # the README's numbers, of the cell of Jakarta, to their two decimals
    at = values.sel(latitude=-6.2, longitude=106.8, method="nearest").values
    assert_allclose(at[[0, 1, 2, 23]] / 1e6, [19.18, 0.50, 1.48, 14.04], rtol=0, atol=0.005)
    mine = ds.radiation.sel(latitude=-6.2, longitude=106.8, method="nearest").values
    assert_array_equal(mine, at)
    day = to_interval(ds, "day").radiation
    assert [str(t)[:10] for t in day.time.values] == ["2023-07-09"]
    assert_array_equal(day.values[0], values.values[0].astype(float) * 1e-6)


def test_the_member_of_a_zip_named_moda_is_monthly(real):
    ds = nc.open_source("era5-land", real / MODA)
    with plain(real / MODA) as raw:
        assert_array_equal(ds.temperature.values, raw.t2m.values)
        assert_array_equal(ds.precipitation.values, raw.tp.values)
        assert_allclose(ds.longitude.values, raw.longitude.values, rtol=0, atol=1e-9)
    assert (ds.temperature.attrs["frequency"], ds.precipitation.attrs["aggregation"]) == ("month", "per_day")
    january = to_interval(ds, "month")
    assert_allclose(january.precipitation.values, ds.precipitation.values.astype(float) * 31 * 1000, rtol=1e-14)


def test_daily_statistics(real):
    ds = nc.open_source("era5-land", real / DAYS)
    assert (ds.temperature.attrs["frequency"], ds.temperature.attrs["aggregation"]) == ("day", "mean")
    july = to_interval(ds, "month").temperature
    with plain(real / DAYS) as raw:
        want = raw.t2m.astype("float64").mean("valid_time", skipna=False).values - 273.15
    assert_allclose(july.values[0], want, rtol=0, atol=1e-10)  # float64 sums in another order


def test_the_two_readers_do_not_take_each_others_hours(real):
    what = "hourly tp accumulates from 00 UTC, which that of ERA5 does not"
    with pytest.raises(SourceError, match=what):
        nc.open_source("era5", real / HOURS, quantity="precipitation")
    said = "`aggregate: accumulated_previous_hour` is said, but ssrd accumulates from 00 UTC"
    with pytest.raises(SourceError, match=said):
        nc.open_source(
            "era5-land", real / JAVA, quantity="radiation", variable="ssrd", aggregate="accumulated_previous_hour"
        )
    # differenced, they are hours of their own
    assert nc.open_source("era5", real / HOURS, quantity="temperature").temperature.attrs["aggregation"] == "mean"


def test_the_stream_tells_a_single_month(real):
    with forbid_compute():
        ds = nc.open_source("era5-land", real / GLOBAL, bounds=(89.40, 31.59, 102.40, 36.29))
    assert ds.temperature.attrs["frequency"] == "month"


def test_inspect_lists_what_the_headers_hold(real):
    with forbid_compute():
        found = reader("era5-land").inspect(Request(paths=(str(real / MONTHS), str(real / MODA))))
    assert [g.detail for g in found.granules] == ["t2m, tp; 2 preliminary", "t2m, pev, tp, lai_hv, lai_lv"]
    states = [(f.state, f.which) for f in found.findings]
    assert states[0] == ("note", str(real / MONTHS))
    assert ("mixed", str(real / MODA)) in states
    assert any("its latitude differs from that of" in f.what for f in found.findings)


# --- ERA5 in old files, and what is no monthly mean ----------------------------------------------------------------


def test_classic_netcdf_of_packed_integers(real):
    paths = [real / "era5/era5_2t_1.nc", real / "era5/era5_2t_2.nc"]
    with pytest.raises(SourceError, match="one t2m a day may be the day's mean or one hour of it"):
        nc.open_source("era5", paths)
    with forbid_compute():
        ds = nc.open_source("era5", paths, aggregate="mean")
    raw = [xr.open_dataset(p, engine="netcdf4").load() for p in paths]
    values = np.concatenate([r.t2m.values for r in raw])
    order = np.argsort((raw[0].longitude.values + 180) % 360, kind="stable")
    assert_array_equal(ds.longitude.values, np.arange(-180, 180, 20.0))
    assert_array_equal(ds.temperature.values, values[:, :, order].astype(ds.temperature.dtype))


def test_hours_of_one_file_in_the_old_layout(real):
    with xr.open_dataset(real / "era5/era_interim_tibet.nc", engine="netcdf4") as raw:
        raw = raw.load()
    with pytest.raises(SourceError, match="the step of t2m cannot be told"):
        nc.open_source("era5-land", real / "era5/era_interim_tibet.nc")
    ds = nc.open_source("generic", real / "era5/era_interim_tibet.nc", quantity="temperature", time="hour")
    assert_array_equal(ds.temperature.values, raw.t2m.values.astype(ds.temperature.dtype))
    assert_allclose(ds.latitude.values, raw.latitude.values)


def test_noon_accumulations_are_no_monthly_means(real):
    # ERA5's hour before noon of every first of a month: neither a month nor a day
    for reader_name in ("era5", "era5-land"):
        with pytest.raises(SourceError, match=r"tp holds one hour of each month \(2014-01-01 12:00 UTC, oper\)"):
            nc.open_source(reader_name, real / "era5/data_stream-oper_stepType-accum.nc")


# --- CHIRPS --------------------------------------------------------------------------------------------------------


def test_28_days_over_zambia(real):
    path = real / "chirps/chirps.tif"
    with forbid_compute():
        ds = nc.open_source("chirps", path).precipitation
    with rasterio.open(path) as file:
        want, transform, names = file.read(), file.transform, file.descriptions
    assert ds.shape == want.shape == (28, 197, 234)
    want = np.where(want <= -9998, np.nan, want)
    assert_array_equal(ds.values, want)
    assert (ds.attrs["frequency"], ds.attrs["aggregation"]) == ("day", "amount")
    starts = [np.datetime64(f"20{n[1:3]}-01-01") + np.timedelta64(int(n[3:]) - 1, "D") for n in names]
    assert_array_equal(ds.time.values.astype("datetime64[D]"), starts)
    assert names[0] == "Y16299"
    assert str(ds.time.values[0])[:10] == "2016-10-25"
    # 2e-5 degrees are two metres: the reader may give back exact decimals
    assert_allclose(ds.longitude.values, transform.c + (np.arange(234) + 0.5) * transform.a, rtol=0, atol=2e-5)
    assert_allclose(ds.latitude.values, transform.f + (np.arange(197) + 0.5) * transform.e, rtol=0, atol=2e-5)


def test_days_over_zambia_add_up_to_their_share_of_a_month(real):
    ds = nc.open_source("chirps", real / "chirps/chirps.tif")
    with pytest.raises(SourceError, match="incomplete"):
        to_interval(ds, "month")
    days = to_interval(ds, "day").precipitation
    assert_array_equal(days.values, ds.precipitation.values.astype(float))
