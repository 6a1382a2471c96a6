"""What an accumulation is: told by metadata, tested on the data, asked for where neither tells."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from providers import MODA, field, history, hours, months, write_netcdf

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.harmonise import to_interval
from nepcube.sources import Request, reader
from nepcube.sources import limits as known
from nepcube.testing import forbid_compute

QUARTER = {"latitude": 34.5 - np.arange(4) / 4, "longitude": 96.0 + np.arange(5) / 4}
SINCE, BEFORE = "accumulated_since_00utc", "accumulated_previous_hour"
STAMPS = hours("2001-06-01T01", "2001-06-04T00")


def opened(paths, name="era5-land", **options):
    with forbid_compute():
        return nc.open_source(name, paths, **options)


def refused(paths, what, way_out, *, name="era5-land", error=SourceError, **options):
    with pytest.raises(error) as raised, forbid_compute():
        nc.open_source(name, paths, **options)
    assert raised.value.what == what
    assert raised.value.way_out == way_out


def sun(longitude=96.0, days=3):
    """Give the energy of each hour in J m-2: a half-sine between 6 and 18 h local solar time."""
    edges = np.arange(24 * days + 1) + longitude / 15
    height = np.clip(np.cos((edges % 24 - 12) * np.pi / 12), 0, None)
    return np.broadcast_to(((height[1:] + height[:-1]) * 1.4e6)[:, None, None], (24 * days, 4, 5))


def since_midnight(hourly):
    return hourly.reshape(-1, 24, *hourly.shape[1:]).cumsum(axis=1).reshape(hourly.shape)


def showers(days=3):
    wet = (np.arange(24 * days) % 7 < 3) * 0.002
    return np.broadcast_to(wet[:, None, None], (24 * days, 4, 5))


KINDS = {"ssr": sun, "tp": showers}
PLACES = {"era5-land": {}, "era5": QUARTER}


# --- hours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_hours_that_accumulate_are_era5_lands(tmp_path, name):
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {name: since_midnight(KINDS[name]())})
    (var,) = opened(path).data_vars.values()
    assert var.attrs["aggregation"] == SINCE
    word = "tp" if name == "tp" else "ssr"
    refused(
        path,
        f"{path}: hourly {word} accumulates from 00 UTC, which that of ERA5 does not.",
        f"Use `reader: era5-land`, or say `aggregate: {SINCE}`.",
        name="era5",
    )
    assert opened(path, "era5", aggregate=SINCE)[var.name].attrs["aggregation"] == SINCE


@pytest.mark.parametrize("name", KINDS)
def test_hours_that_fall_within_a_day_are_their_own(tmp_path, name):
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {name: KINDS[name]()})
    (var,) = opened(path, "era5").data_vars.values()
    assert var.attrs["aggregation"] == BEFORE
    refused(
        path,
        f"{path}: hourly {name} does not accumulate through the day, as that of ERA5-Land does: it falls within one.",
        f"Use `reader: era5` for ERA5; say `aggregate: {BEFORE}` if each value is the amount of the hour before.",
    )
    assert opened(path, aggregate=BEFORE)[var.name].attrs["aggregation"] == BEFORE


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("reader_name", PLACES)
def test_the_recipes_answer_is_tested_too(tmp_path, name, reader_name):
    raw = KINDS[name]()
    a = write_netcdf(tmp_path / "a.nc", STAMPS, {name: since_midnight(raw)}, **PLACES[reader_name])
    refused(
        a, f"{a}: `aggregate: {BEFORE}` is said, but {name} accumulates from 00 UTC.",
        f"Say `aggregate: {SINCE}`, or leave it out.", name=reader_name, aggregate=BEFORE,
    )  # fmt: skip
    b = write_netcdf(tmp_path / "b.nc", STAMPS, {name: raw}, **PLACES[reader_name])
    refused(
        b, f"{b}: `aggregate: {SINCE}` is said, but {name} does not accumulate through the day.",
        f"Say `aggregate: {BEFORE}`, or leave it out.", name=reader_name, aggregate=SINCE,
    )  # fmt: skip


@pytest.mark.parametrize("longitude", np.arange(-180.0, 180.0, 15.0))
def test_the_sun_tells_at_every_longitude(tmp_path, longitude):
    place = {"longitude": longitude + np.arange(5) / 10}
    a = write_netcdf(tmp_path / "a.nc", STAMPS, {"ssr": since_midnight(sun(longitude))}, **place)
    b = write_netcdf(tmp_path / "b.nc", STAMPS, {"ssr": sun(longitude)}, **place)
    assert opened(a).radiation.attrs["aggregation"] == SINCE
    assert opened(b, "era5").radiation.attrs["aggregation"] == BEFORE
    with pytest.raises(SourceError, match="does not accumulate"):
        opened(b)


def test_a_day_of_hours_is_enough(tmp_path):
    # 00 to 23 UTC, as downloads come: the reset is between the first two
    raw = since_midnight(sun())
    path = write_netcdf(tmp_path / "a.nc", STAMPS[23:47], {"ssr": raw[23:47]})
    assert opened(path).radiation.attrs["aggregation"] == SINCE


def test_packed_hours_still_rise(tmp_path):
    raw = since_midnight(sun())
    code = {"ssr": {"dtype": "int16", "scale_factor": 500.0, "add_offset": 1.6e7, "_FillValue": -32767}}
    rng = np.random.default_rng(0)
    noisy = raw + rng.uniform(-400, 400, raw.shape)
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {"ssr": noisy}, encoding=code)
    assert opened(path).radiation.attrs["aggregation"] == SINCE


def test_seas_do_not_hide_the_land(tmp_path):
    raw = np.array(sun())
    raw[:, :, :4] = np.nan
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {"ssr": raw})
    with pytest.raises(SourceError, match="does not accumulate"):
        opened(path)


def test_a_dry_spell_is_asked_about(tmp_path):
    dry = np.zeros((72, 4, 5), np.float32)
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {"tp": dry})
    refused(
        path,
        f"{path}: hourly tp may accumulate from 00 UTC (ERA5-Land) or be the hour's own (ERA5, Earth Engine, already "
        "differenced); neither its file nor its values tell.",
        f"Say `aggregate: {SINCE}` or `aggregate: {BEFORE}`.",
    )
    for said in (SINCE, BEFORE):
        assert opened(path, aggregate=said).precipitation.attrs["aggregation"] == said
    # the Climate Data Store's own file on the product's own grid is told by them
    path = write_netcdf(tmp_path / "b.nc", STAMPS, {"tp": dry}, attrs=history())
    assert opened(path).precipitation.attrs["aggregation"] == SINCE
    with pytest.raises(SourceError, match="neither its file nor its values tell"):
        opened(path, "era5")
    path = write_netcdf(tmp_path / "c.nc", STAMPS, {"tp": dry}, attrs=history(), **QUARTER)
    assert opened(path, "era5").precipitation.attrs["aggregation"] == BEFORE


def test_the_rain_of_another_season_is_looked_for(tmp_path):
    raw = np.zeros((24 * 60, 4, 5))
    raw[24 * 29 : 24 * 32] = showers()
    path = write_netcdf(tmp_path / "a.nc", hours("2001-06-01T01", "2001-07-31T00"), {"tp": raw})
    with pytest.raises(SourceError, match="does not accumulate"):
        opened(path)


@pytest.mark.parametrize("said", ["mean", "amount", "per_day"])
def test_an_hour_is_no_day(tmp_path, said):
    path = write_netcdf(tmp_path / "a.nc", STAMPS, {"ssr": since_midnight(sun())})
    refused(
        path, f"{path}: `aggregate: {said}` does not fit hourly ssr.",
        f"Say `aggregate: {SINCE}` or `aggregate: {BEFORE}`.", aggregate=said,
    )  # fmt: skip


# --- months ------------------------------------------------------------------------------------------------------


def bright(n, *, low=4e6, high=2.5e7):
    season = (1 - np.cos(np.arange(n) * np.pi / 6)) / 2
    return np.broadcast_to((low + (high - low) * season)[:, None, None], (n, 4, 5))


def test_more_than_a_day_can_have_is_a_months_total(tmp_path):
    totals = bright(24) * 30
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2002), {"ssr": totals}, attrs=MODA)
    said = f"{path}: ssr of 750 MJ m-2 is more than a day can have (48.39): these are monthly totals, not amounts "
    said += "per day."
    refused(
        path,
        said,
        "Say `aggregate: amount`.",
    )
    refused(
        path,
        said,
        "Say `aggregate: amount`.",
        aggregate="per_day",
    )
    got = nc.to_annual(opened(path, aggregate="amount")).radiation
    assert_allclose(got[0].values, totals[:12].sum(axis=0) / 1e6, rtol=1e-12)
    # without the stream's name the data alone say it
    path = write_netcdf(tmp_path / "b.nc", months(2001, 2002), {"ssr": totals})
    assert opened(path).radiation.attrs["aggregation"] == "amount"


def test_a_year_of_light_per_day_shows_itself(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"ssr": bright(12)})
    assert opened(path).radiation.attrs["aggregation"] == "per_day"
    refused(
        path,
        f"{path}: `aggregate: amount` is said, but the largest ssr of a whole year is 25 MJ m-2: these are amounts per "
        "day.",
        "Say `aggregate: per_day`.",
        aggregate="amount",
    )
    # the dark half of a year may be totals of polar months
    path = write_netcdf(tmp_path / "b.nc", months(2001, 2001)[:5], {"ssr": bright(12)[:5]})
    refused(
        path,
        f"{path}: does ssr hold the mean amount of a day, as ECMWF's monthly means do, or the month's total? Its file "
        "and its values do not tell.",
        "Say `aggregate: per_day` or `aggregate: amount`.",
    )


def test_monthly_rain_without_its_stream_is_asked_about(tmp_path):
    rain = field(12, low=0.0, high=0.02)
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": rain})
    refused(
        path,
        f"{path}: does tp hold the mean amount of a day, as ECMWF's monthly means do, or the month's total? Its file "
        "and its values do not tell.",
        "Say `aggregate: per_day` or `aggregate: amount`.",
    )
    for said in ("per_day", "amount"):
        assert opened(path, aggregate=said).precipitation.attrs["aggregation"] == said


@pytest.mark.parametrize(
    "operator", ["cdo -f nc4 muldpm data.nc out.nc", "cdo monsum data.nc out.nc", "ncap2 -s tp=tp*30"]
)
def test_arithmetic_after_the_download_is_asked_about(tmp_path, operator):
    attrs = {"history": f"Mon Jan 01 00:00:00 2024: {operator}\n{MODA['history']}"}
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": field(12, low=0.0, high=0.02)}, attrs=attrs)
    with pytest.raises(SourceError, match="or the month's total"):
        opened(path)


@pytest.mark.parametrize("said", [SINCE, BEFORE])
def test_a_month_does_not_accumulate_through_a_day(tmp_path, said):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": field(12, low=0.0, high=0.02)}, attrs=MODA)
    refused(
        path, f"{path}: `aggregate: {said}` does not fit monthly tp.", "Say `aggregate: per_day` or `amount`.",
        aggregate=said,
    )  # fmt: skip


def test_a_rate_says_itself_that_it_is_per_day(tmp_path):
    fields = {"tp": field(12, low=0.0, high=20.0)}
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), fields, units={"tp": "mm day-1"})
    assert opened(path).precipitation.attrs["aggregation"] == "per_day"


# --- steps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attrs", [history("mnth"), {}], ids=["by its stream", "by its stamps"])
def test_months_by_hour_of_the_day_are_refused(tmp_path, attrs):
    stamps = (months(2001, 2001)[:, None] + np.arange(24) * np.timedelta64(1, "h")).ravel()
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(288)}, attrs=attrs)
    refused(
        path,
        f"{path}: holds the monthly averaged reanalysis by hour of day (stream mnth), 24 values a month.",
        "Download the product type `monthly averaged reanalysis`, or the hours themselves.",
    )


def test_months_by_one_hour_of_the_day_are_refused(tmp_path):
    noon = months(2001, 2001) + np.timedelta64(12, "h")
    path = write_netcdf(tmp_path / "data_stream-mnth.nc", noon, {"t2m": field(12)})
    with pytest.raises(SourceError, match="by hour of day"):
        opened(path)
    path = write_netcdf(tmp_path / "b.nc", noon, {"t2m": field(12)})
    refused(
        path,
        f"{path}: t2m is stamped 2001-01-01 12:00 UTC: the month's mean, one hour of it, or the mean of that hour?",
        "Download the monthly means; their files say that they are (stream moda).",
    )


def test_the_ensemble_is_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, attrs=history("edmo"))
    refused(path, f"{path}: stream edmo is of the ensemble.", "Download the reanalysis itself.")


def test_streams_are_not_joined(tmp_path):
    a = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, attrs=MODA)
    b = write_netcdf(
        tmp_path / "b.nc", hours("2002-01-01T00", "2002-01-01T23"), {"t2m": field(24)}, attrs=history("oper")
    )
    refused([a, b], f"{a}: t2m comes in files of the streams moda and oper.", "Keep the files of one step together.")


def test_the_step_that_is_said_is_that_of_the_stamps(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)})
    refused(
        path, f"{path}: `time: hour` is said, but the stamps of t2m are a month apart.",
        "Say `time: month`, or leave it out.", time="hour",
    )  # fmt: skip


def test_one_value_a_day_is_asked_about(tmp_path):
    stamps = hours("2001-06-01T00", "2001-06-30T00")[::24]
    path = write_netcdf(tmp_path / "a.nc", stamps, {"t2m": field(30), "tp": field(30, low=0, high=0.02)})
    refused(
        path,
        f"{path}: one t2m a day may be the day's mean or one hour of it; its file does not say.",
        "Download every hour or the daily statistics; say `aggregate: mean` if these are means.",
        quantity="temperature",
    )
    refused(
        path,
        f"{path}: one tp a day may be the day's amount or the total at 00 UTC of the day before.",
        f"Say `aggregate: amount` if each value is the amount of its own day, `aggregate: {SINCE}` if it is stamped "
        "with the 00 UTC that ends its day.",
        quantity="precipitation",
    )
    # the midnights of ERA5-Land alone are enough, if it is said
    ds = opened(path, quantity="precipitation", aggregate=SINCE)
    rain = to_interval(ds, "day").precipitation
    assert str(rain.time.values[0])[:10] == "2001-05-31"
    assert_array_equal(rain.values, ds.precipitation.values.astype(float) * 1000)


# --- what no place has -------------------------------------------------------------------------------------------


def test_the_limits_are_their_sources():
    # 1361 W m-2, 1.0344 of it at perihelion, the sun 23.44 degrees high all day
    assert_allclose(known.DAY_MJ, 1361 * 1.0344 * 86400 * np.sin(np.radians(23.44)) / 1e6, rtol=1e-4)
    assert round(known.DAY_MJ, 1) == 48.4
    assert known.limits("temperature", "mean", "hour", "K") == known.Limits(163.15, 343.15)
    assert known.limits("temperature", "mean", "hour", "degC").low == pytest.approx(-110.0)
    assert known.limits("precipitation", SINCE, "hour", "m").high == pytest.approx(1.825)
    assert known.limits("precipitation", "amount", "month", "mm").high == 9300
    assert known.limits("precipitation", "per_day", "month", "mm").high == 310
    assert known.limits("npp", "mean", "month", "mm") is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(3.4e38, "3.4e+38"), (np.inf, "inf"), (25.0, "25"), (0.0, "0"), (-9999.0, "-9999")],
)
def test_an_impossible_temperature_is_refused_as_it_is_read(tmp_path, value, said):
    data = field(12)
    data[7, 2, 3] = value
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": data}, attrs=MODA)
    ds = opened(path)
    with pytest.raises(SourceError) as error:
        ds.temperature.compute()
    assert error.value.what == (
        f"{path}: t2m holds {said} K, which no place on Earth has as air temperature (163.2 to 343.1)."
    )
    assert "is wrong, or the file is damaged" in error.value.way_out


def test_celsius_that_says_kelvin_is_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12) - 273.15}, attrs=MODA)
    with pytest.raises(SourceError, match="no place on Earth has as air temperature"):
        nc.to_annual(opened(path)).compute()


def test_millimetres_that_say_metres_are_refused(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"tp": field(12, low=1, high=9)}, attrs=MODA)
    with pytest.raises(SourceError, match="monthly totals, not amounts per day"):
        nc.to_annual(opened(path)).compute()


def test_units_are_refused_before_anything_is_read(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001), {"t2m": field(12)}, units={"t2m": None})
    with pytest.raises(UnitError, match="t2m: no unit is given"):
        opened(path)


def test_files_on_the_grid_of_the_other_product_are_noted(tmp_path):
    fields = {"t2m": field(12)}
    path = write_netcdf(tmp_path / "months.nc", months(2001, 2001), fields, attrs=MODA)
    (note,) = reader("era5").inspect(Request(paths=(str(path),), quantity="temperature")).findings
    assert note.state == "note"
    assert note.what == "1 file(s) have a grid of 0.1 degree, which is that of ERA5-Land, not of ERA5"
    assert note.way_out == "Say `reader: era5-land` if they are of ERA5-Land."
    assert reader("era5-land").inspect(Request(paths=(str(path),), quantity="temperature")).findings == ()
