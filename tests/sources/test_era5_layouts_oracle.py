"""Both reanalyses in every layout of the wild: what comes out is plain numpy on what was written."""

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, field, history, hours, months, write_netcdf

import nepcube as nc
from nepcube.errors import SourceError, StoreError, UnitError
from nepcube.harmonise import to_interval
from nepcube.sources import Request, reader
from nepcube.testing import forbid_compute

QUARTER = {"latitude": 34.5 - np.arange(4) / 4, "longitude": 96.0 + np.arange(5) / 4}
SIX = np.timedelta64(6, "h")


def opened(paths, name="era5-land", **options):
    with forbid_compute():
        return nc.open_source(name, paths, **options)


def inspected(*paths, name="era5-land", **options):
    with forbid_compute():
        return reader(name).inspect(Request(paths=tuple(map(str, paths)), **options))


def refused(paths, what, way_out, *, name="era5-land", error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source(name, paths, **options)
    assert raised.value.what == what
    assert raised.value.way_out == way_out


def running(increments):
    """Accumulate hours that end at 01, 02, ... 24 from each midnight."""
    by_day = np.asarray(increments).reshape(-1, 24, *np.shape(increments)[1:])
    return by_day.cumsum(axis=1).reshape(np.shape(increments))


def rain(days, seed=0, shape=(4, 5)):
    """Give the rain of each hour, in m: showers, so that every day has dry hours after wet ones."""
    rng = np.random.default_rng(seed)
    out = rng.uniform(0.0005, 0.003, (24 * days, *shape))
    return np.where(np.arange(24 * days)[:, None, None] % 3 == 0, out, 0.0)


# --- monthly means ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["era5", "era5-land"])
def test_files_split_by_step_type(tmp_path, name):
    place = QUARTER if name == "era5" else {"latitude": LATITUDE, "longitude": LONGITUDE}
    t, p, s = field(24), field(24, 1, low=0, high=0.01), field(24, 2, low=1e6, high=3e7)
    at = months(2001, 2002)
    write_netcdf(tmp_path / "data_stream-moda_stepType-avgua.nc", at, {"t2m": t}, attrs=MODA, **place)
    # of one month, instants are stamped 00 UTC and accumulations 06 UTC of the first day
    write_netcdf(tmp_path / "data_stream-moda_stepType-avgad.nc", at + SIX, {"tp": p, "ssr": s}, attrs=MODA, **place)
    ds = opened(tmp_path / "*.nc", name)
    assert_array_equal(ds.time.values, at)
    assert_array_equal(ds.temperature.values, t)
    assert_array_equal(ds.precipitation.values, p)
    assert_array_equal(ds.radiation.values, s)
    assert {v.attrs["frequency"] for v in ds.data_vars.values()} == {"month"}
    assert [v.attrs["aggregation"] for v in ds.data_vars.values()] == ["mean", "per_day", "per_day"]
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31.0])[:, None, None]
    annual = nc.to_annual(ds)
    # float64 sums in the same order, one factor
    assert_allclose(annual.precipitation[0].values, (p[:12] * days).sum(axis=0) * 1000, rtol=1e-12)
    assert_allclose(annual.radiation[1].values, (s[12:] * days).sum(axis=0) / 1e6, rtol=1e-12)


def test_the_stream_may_stand_in_the_name_alone(tmp_path):
    p = field(12, low=0, high=0.01)
    path = write_netcdf(tmp_path / "data_stream-moda_stepType-avgad.nc", months(2001, 2001) + SIX, {"tp": p})
    ds = opened(path)
    assert_array_equal(ds.precipitation.values, p)
    assert_array_equal(ds.time.values, months(2001, 2001))


def test_one_month_in_a_file(tmp_path):
    t = field(12)
    for k in range(12):
        write_netcdf(tmp_path / f"{k:02d}.nc", months(2001, 2001)[k : k + 1], {"t2m": t[k : k + 1]}, attrs=MODA)
    ds = opened(tmp_path / "*.nc")
    assert_array_equal(ds.temperature.values, t)
    assert opened(tmp_path / "03.nc").temperature.attrs["frequency"] == "month"


def test_a_month_of_two_files_with_other_hours_is_one_month(tmp_path):
    p = field(12, low=0, high=0.01)
    write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": p}, attrs=MODA)
    write_netcdf(tmp_path / "b.nc", months(2001, 2001) + SIX, {"tp": p}, attrs=MODA)
    with pytest.raises(SourceError, match="by hour of day"):
        opened(tmp_path / "*.nc")


@pytest.mark.parametrize("order", [("longitude", "latitude", "valid_time"), ("latitude", "valid_time", "longitude")])
@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_permuted_dimensions(tmp_path, order, engine):
    data = field(12)
    coords = {"valid_time": months(2001, 2001), "latitude": LATITUDE, "longitude": LONGITUDE}
    ds = xr.Dataset({"t2m": (("valid_time", "latitude", "longitude"), data, {"units": "K"})}, coords)
    form = {"engine": "netcdf4", "format": "NETCDF3_64BIT"} if engine == "netcdf4" else {"engine": engine}
    ds.transpose(*order).to_netcdf(tmp_path / "a.nc", **form)
    got = opened(tmp_path / "a.nc", bounds=(96.05, 34.0, 96.2, 34.1)).temperature
    assert got.dims == ("time", "latitude", "longitude")
    want = xr.DataArray(data, coords, ("valid_time", "latitude", "longitude")).sel(
        latitude=got.latitude, longitude=got.longitude
    )
    assert_array_equal(got.values, want.values)


def test_coordinates_off_the_lattice_keep_their_place(tmp_path):
    lat, lon = LATITUDE + 0.018, LONGITUDE - 0.004
    ds = opened(write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, latitude=lat, longitude=lon))
    assert_allclose(ds.latitude.values, lat, rtol=0, atol=1e-12)
    assert_allclose(ds.longitude.values, lon, rtol=0, atol=1e-12)


def test_a_conversion_by_cfgrib_with_two_time_axes(tmp_path):
    stamps, t = hours("2001-01-01T00", "2001-01-02T23"), field(48)
    coords = {"time": stamps - SIX, "latitude": LATITUDE, "longitude": LONGITUDE, "step": np.timedelta64(6, "h")}
    coords |= {"valid_time": ("time", stamps), "surface": 0.0, "number": 0}
    ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), t, {"units": "K"})}, coords)
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    got = opened(tmp_path / "a.nc").temperature
    assert_array_equal(got.time.values, stamps)
    assert_array_equal(got.values, t)


def test_forecasts_by_start_and_step_are_refused(tmp_path):
    coords = {"time": hours("2001-01-01T00", "2001-01-02T00")[::24], "latitude": LATITUDE, "longitude": LONGITUDE}
    coords["step"] = np.arange(1, 25) * np.timedelta64(1, "h")
    data = np.zeros((2, 24, 4, 5), np.float32)
    ds = xr.Dataset({"tp": (("time", "step", "latitude", "longitude"), data, {"units": "m"})}, coords)
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(
        tmp_path / "a.nc",
        f"{tmp_path}/a.nc: holds forecasts by start (time) and step (24 steps), not one time axis.",
        "Give the GRIB file itself, or convert it with `time_dims=['valid_time']`.",
    )


def test_a_further_dimension_is_refused(tmp_path):
    data = field(24).reshape(12, 2, 4, 5)
    coords = {"time": months(2001, 2001), "level": [1, 2], "latitude": LATITUDE, "longitude": LONGITUDE}
    ds = xr.Dataset({"t2m": (("time", "level", "latitude", "longitude"), data, {"units": "K"})}, coords)
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    refused(
        tmp_path / "a.nc",
        f"{tmp_path}/a.nc: t2m has the further dimension level (2).",
        "Use files with one map of each variable a step.",
    )


# --- final and preliminary -----------------------------------------------------------------------------------------


def test_preliminary_stamps_along_time_are_said(tmp_path):
    extra = {"expver": ("valid_time", ["0001"] * 9 + ["0005"] * 3)}
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, extra=extra, attrs=MODA)
    assert opened(path).temperature.attrs["preliminary"] == "2001-10 to 2001-12"
    found = inspected(path)
    assert [g.detail for g in found.granules] == ["t2m; 3 preliminary"]
    assert [(f.state, f.which, f.what) for f in found.findings] == [
        ("note", str(path), "2001-10 to 2001-12: preliminary values (expver 5), which ECMWF may still replace")
    ]
    later = write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"t2m": field(12)}, attrs=MODA)
    both = opened([path, later], years=(2002, 2002)).temperature
    assert "preliminary" not in both.attrs


def test_one_stamp_final_and_preliminary_in_one_file_is_final(tmp_path):
    data = field(15)
    stamps = np.concatenate([months(2001, 2001), months(2001, 2001)[9:]])
    extra = {"expver": ("valid_time", ["0001"] * 11 + ["0005"] + ["0005"] * 2 + ["0001"])}
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": data}, extra=extra)
    got = opened(path).temperature
    assert_array_equal(got.time.values, months(2001, 2001))
    # December is final in the repetition alone
    assert_array_equal(got.values, data[[*range(11), 14]])
    assert "preliminary" not in got.attrs


def test_final_files_replace_preliminary_ones(tmp_path):
    data = field(12)
    early = {"expver": ("valid_time", ["0001"] * 10 + ["0005"] * 2)}
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, extra=early)
    later = {"expver": ("valid_time", ["0001"] * 2)}
    b = write_netcdf(tmp_path / "b.nc", months(2001, 2001)[10:], {"t2m": data[10:] + 1}, extra=later)
    for paths in ([a, b], [b, a]):
        got = opened(paths).temperature
        assert_array_equal(got.values, np.concatenate([data[:10], data[10:] + 1]))
        assert "preliminary" not in got.attrs
    notes = [f for f in inspected(a, b).findings if "final in" in f.what]
    assert [(f.state, f.which, f.what) for f in notes] == [
        ("note", str(a), f"2001-11 to 2001-12 of t2m are preliminary, and final in {b}, which is taken")
    ]


@pytest.mark.parametrize("versions", [["0001", "0005"], [5, 1]])
def test_preliminary_planes_are_told_from_the_values(tmp_path, versions):
    data = field(12)
    planes = {"1": data.copy(), "5": data + 5}
    planes["1"][9:] = np.nan
    planes["5"][:8] = np.nan
    for v in planes.values():
        v[:, :2] = np.nan  # the sea
    stack = np.stack([planes[str(v)[-1]] for v in versions], axis=1)
    ds = xr.Dataset(
        {"t2m": (("time", "expver", "latitude", "longitude"), stack, {"units": "K"})},
        {"time": months(2001, 2001), "expver": versions, "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    got = opened(tmp_path / "a.nc").temperature
    want = np.concatenate([data[:9], data[9:] + np.float32(5)])
    want[:, :2] = np.nan
    assert_array_equal(got.values, want)
    assert got.attrs["preliminary"] == "2001-10 to 2001-12"
    assert inspected(tmp_path / "a.nc").granules[0].detail == "t2m; 3 preliminary"


# --- what inspect lists --------------------------------------------------------------------------------------------


def test_inspect_lists_every_fault_at_once(tmp_path):
    t = field(36)
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": t[:12]}, attrs=MODA)
    b = tmp_path / "b.nc"
    b.write_bytes(b"<html>login</html>")
    c = write_netcdf(tmp_path / "c.nc", months(2002, 2002), {"t2m": t[12:24]}, attrs=MODA)
    d = tmp_path / "d.nc"
    d.write_bytes(c.read_bytes()[:4000])
    e = write_netcdf(tmp_path / "e.nc", months(2002, 2003)[6:18], {"t2m": t[:12]}, attrs=MODA)
    found = inspected(a, b, c, d, e, quantity="temperature")
    assert [(g.path, g.start, g.end, g.detail) for g in found.granules] == [
        (str(a), "2001-01-01", "2001-12-01", "t2m"),
        (str(c), "2002-01-01", "2002-12-01", "t2m"),
        (str(e), "2002-07-01", "2003-06-01", "t2m"),
    ]
    assert [(f.state, f.which) for f in found.findings] == [
        ("broken", str(b)), ("broken", str(d)), ("overlaps", str(e)),
    ]  # fmt: skip
    assert found.findings[0].what == "is an HTML page, not HDF5 or NetCDF classic or Zarr or GRIB."
    assert found.findings[1].what.startswith("the file is damaged or cut off")
    assert found.findings[2].what == f"2002-07 to 2002-12 of t2m stand in {c} too, with other values"
    # open raises the first
    with pytest.raises(SourceError, match="is an HTML page"):
        nc.open_source("era5-land", [a, b, c, d, e])


def test_equal_repetitions_are_a_note(tmp_path):
    t = field(24)
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2002)[:13], {"t2m": t[:13]}, attrs=MODA)
    b = write_netcdf(tmp_path / "b.nc", months(2001, 2002)[12:], {"t2m": t[12:]}, attrs=MODA)
    (only,) = inspected(a, b).findings
    assert (only.state, only.which, only.is_fault) == ("note", str(b), False)
    assert only.what == f"2002-01 of t2m stand in {a} too, with equal values"
    assert_array_equal(opened([a, b]).temperature.values, t)


def test_what_does_not_belong_together_is_mixed(tmp_path):
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, attrs=MODA)
    b = write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"t2m": field(12) - 273.15}, units={"t2m": "degC"})
    (only,) = inspected(a, b).findings
    assert (only.state, only.which) == ("mixed", str(b))
    assert only.what == f"t2m is in 'K' in {a}, here in 'degC'."
    with pytest.raises(UnitError):
        nc.open_source("era5-land", [a, b])


def test_nothing_but_broken_files(tmp_path):
    (tmp_path / "a.nc").write_bytes(b"")
    found = inspected(tmp_path / "a.nc")
    assert found.granules == ()
    assert [(f.state, f.what) for f in found.findings] == [
        ("broken", "is empty, not HDF5 or NetCDF classic or Zarr or GRIB.")
    ]


def test_a_quantity_that_no_file_has(tmp_path):
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, attrs=MODA)
    (only,) = inspected(a, quantity="radiation").findings
    assert (only.state, only.what) == ("broken", "no variable for radiation (found: t2m).")


# --- hours ----------------------------------------------------------------------------------------------------


def test_hours_of_era5_add_up_to_their_day(tmp_path):
    p = rain(3)
    stamps = hours("2001-06-01T01", "2001-06-04T00")
    path = write_netcdf(tmp_path / "a.nc", stamps, {"tp": p}, attrs=history(), **QUARTER)
    ds = opened(path, "era5")
    assert ds.precipitation.attrs["aggregation"] == "accumulated_previous_hour"
    daily = to_interval(ds, "day").precipitation
    # 24 float64 terms
    assert_allclose(daily.values, p.reshape(3, 24, 4, 5).sum(axis=1) * 1000, rtol=1e-13)
    assert opened(path, "era5").attrs["product"] == "ERA5"


def test_the_two_reanalyses_of_one_rain_agree(tmp_path):
    p = rain(366, shape=(2, 2))
    stamps = hours("2004-01-01T01", "2005-01-01T00")
    small = {"latitude": LATITUDE[:2], "longitude": LONGITUDE[:2]}
    a = write_netcdf(tmp_path / "a.nc", stamps, {"tp": p}, latitude=[34.5, 34.25], longitude=[96.0, 96.25])
    b = write_netcdf(tmp_path / "b.nc", stamps, {"tp": running(p)}, **small)
    one = nc.to_annual(opened(a, "era5"), years=(2004, 2004)).precipitation.values
    two = nc.to_annual(opened(b), years=(2004, 2004)).precipitation.values
    # sums of 8784 and of 366 terms
    assert_allclose(one, two, rtol=1e-12)
    assert_allclose(one[0], p.sum(axis=0) * 1000, rtol=1e-12)


def test_files_of_hours_share_the_hour_between_them(tmp_path):
    p = running(rain(4))
    stamps = hours("2001-06-01T01", "2001-06-05T00")
    a = write_netcdf(tmp_path / "a.nc", stamps[:48], {"tp": p[:48]})
    b = write_netcdf(tmp_path / "b.nc", stamps[47:], {"tp": p[47:]})
    ds = opened([a, b])
    assert_array_equal(ds.precipitation.values, p)
    assert [f.what for f in inspected(a, b).findings] == [f"2001-06-03 00:00 of tp stand in {a} too, with equal values"]


def test_one_hour_in_a_file(tmp_path):
    p = running(rain(2))
    for k, stamp in enumerate(hours("2001-06-01T01", "2001-06-03T00")):
        write_netcdf(tmp_path / f"{k:02d}.nc", [stamp], {"tp": p[k : k + 1]})
    ds = opened(tmp_path / "*.nc")
    assert ds.precipitation.attrs["aggregation"] == "accumulated_since_00utc"
    assert_array_equal(ds.precipitation.values, p)


# --- days -----------------------------------------------------------------------------------------------------------


def test_daily_statistics(tmp_path):
    stamps = hours("2004-02-01T00", "2004-02-29T00")[::24]
    t = field(29)
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": t}, attrs=history(how="mean"))
    ds = opened(path)
    assert (ds.temperature.attrs["frequency"], ds.temperature.attrs["aggregation"]) == ("day", "mean")
    month = to_interval(ds, "month").temperature
    assert_allclose(month[0].values, t.astype(float).mean(axis=0) - 273.15, rtol=0, atol=1e-10)


def test_daily_sums_of_era5(tmp_path):
    stamps = hours("2004-02-01T00", "2004-02-29T00")[::24]
    p = field(29, low=0, high=0.05)
    path = write_netcdf(tmp_path / "a.nc", stamps, {"tp": p}, attrs=history(how="sum"), **QUARTER)
    ds = opened(path, "era5")
    assert (ds.precipitation.attrs["frequency"], ds.precipitation.attrs["aggregation"]) == ("day", "amount")
    month = to_interval(ds, "month").precipitation
    assert_allclose(month[0].values, p.astype(float).sum(axis=0) * 1000, rtol=1e-12)


@pytest.mark.parametrize(("shift", "said"), [("0 days 00:00:00", []), ("0 days 08:00:00", ["0 days 08:00:00"])])
def test_days_of_another_time_zone_are_noted(tmp_path, shift, said):
    stamps = hours("2004-02-01T00", "2004-02-29T00")[::24]
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(29)}, attrs=history(how="mean"))
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        ds = ds.load()
    ds.valid_time.attrs["time_shift"] = shift
    ds.to_netcdf(path, engine="h5netcdf")
    found = inspected(path).findings
    assert [f.what for f in found] == [f"its days begin {s} from 00 UTC" for s in said]
    assert {f.state for f in found} <= {"note"}


@pytest.mark.parametrize("how", ["max", "min"])
def test_other_statistics_of_a_day_are_refused(tmp_path, how):
    stamps = hours("2004-02-01T00", "2004-02-29T00")[::24]
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(29)}, attrs=history(how=how))
    refused(path, f"{path}: t2m holds the day's {how}, not its mean.", "Download the daily mean.")


def test_the_mean_of_a_days_hours_is_no_amount(tmp_path):
    stamps = hours("2004-02-01T00", "2004-02-29T00")[::24]
    fields = {"tp": field(29, low=0, high=0.01)}
    path = write_netcdf(tmp_path / "a.nc", stamps, fields, attrs=history(how="mean"), **QUARTER)
    refused(
        path,
        f"{path}: tp holds the mean of the day's hours, not the day's amount.",
        "Download the daily sum, or the hours.",
        name="era5",
    )


# --- Earth Engine, Zarr -------------------------------------------------------------------------------------------


def test_earth_engines_bands(tmp_path):
    stamps = hours("2001-06-01T01", "2001-06-04T00")
    p, t = rain(3), field(72)
    units = {"total_precipitation_hourly": "m", "temperature_2m": "K"}
    path = write_netcdf(
        tmp_path / "a.nc", stamps, {"temperature_2m": t, "total_precipitation_hourly": p}, units=units, time="time"
    )
    ds = opened(path)
    assert_array_equal(ds.temperature.values, t)
    assert ds.precipitation.attrs["aggregation"] == "accumulated_previous_hour"
    sums = {"total_precipitation_sum": p[:28]}
    units = {"total_precipitation_sum": "m"}
    path = write_netcdf(tmp_path / "b.nc", hours("2001-02-01T00", "2001-02-28T00")[::24], sums, units=units)
    ds = opened(path)
    assert (ds.precipitation.attrs["frequency"], ds.precipitation.attrs["aggregation"]) == ("day", "amount")
    month = to_interval(ds, "month").precipitation
    assert_allclose(month[0].values, p[:28].sum(axis=0) * 1000, rtol=1e-13)


def test_two_names_of_one_quantity_are_refused(tmp_path):
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    b = write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"temperature_2m": field(12)})
    refused([a, b], f"{b}: holds temperature_2m, the other files t2m.", "Keep files of one origin together.")


def write_zarr(path, fields, stamps, **options):
    coords = {"time": stamps, "latitude": LATITUDE, "longitude": LONGITUDE}
    units = {"t2m": "K", "tp": "m"}
    ds = xr.Dataset({n: (("time", "latitude", "longitude"), v, {"units": units[n]}) for n, v in fields.items()}, coords)
    ds.attrs = MODA
    ds.to_zarr(path, **options)
    return path


@pytest.mark.parametrize("options", [{"zarr_format": 2}, {"zarr_format": 3, "consolidated": False}], ids=str)
def test_a_zarr_store(tmp_path, options, recwarn):
    t, p = field(24), field(24, 1, low=0, high=0.01)
    path = write_zarr(tmp_path / "store.zarr", {"t2m": t, "tp": p}, months(2001, 2002), **options)
    recwarn.clear()
    ds = opened(path, years=(2002, 2002), bounds=(96.0, 34.0, 96.2, 34.2))
    assert not [w for w in recwarn if "onsolidated" in str(w.message)]
    assert_array_equal(ds.temperature.values, t[12:, : ds.sizes["latitude"], : ds.sizes["longitude"]])
    assert ds.precipitation.attrs["aggregation"] == "per_day"
    (granule,) = inspected(path).granules
    assert granule.bytes == sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(StoreError, match=r"memory://nepcube-test/era5.zarr: memory:// is no kind of store"):
        reader("era5-land").open(Request(paths=("memory://nepcube-test/era5.zarr",)))
