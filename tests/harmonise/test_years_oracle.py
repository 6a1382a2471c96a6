"""Years that begin in another month, and what is missing in words: against calendars counted by hand."""

import calendar
import datetime as dt
import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nepcube as nc
from nepcube.errors import SourceError, SpecError
from nepcube.harmonise import gaps, to_interval
from nepcube.testing import forbid_compute

SINCE_00, PREVIOUS = "accumulated_since_00utc", "accumulated_previous_hour"
UNITS = {"temperature": "degC", "precipitation": "mm", "radiation": "MJ m-2", "npp": "g m-2 year-1"}


def dataset(values, times, name, aggregation, frequency):
    attrs = {"units": UNITS[name], "aggregation": aggregation, "frequency": frequency, "product": "Test v1"}
    coords = {"time": np.array(times, "datetime64[ns]"), "latitude": [34.0], "longitude": [96.0]}
    data = np.asarray(values, float)[:, None, None]
    return xr.Dataset({name: (("time", "latitude", "longitude"), data, attrs)}, coords)


def days(first, last):
    """Give the dates from one to another, both included."""
    return [first + dt.timedelta(days=k) for k in range((last - first).days + 1)]


def months(year, month, n):
    return [dt.date(year + (month - 1 + k) // 12, (month - 1 + k) % 12 + 1, 1) for k in range(n)]


def hours(first, last):
    return np.arange(np.datetime64(first, "h"), np.datetime64(last, "h") + 1)


# --- years -------------------------------------------------------------------------------------------------------


def test_the_hydrological_year_2002_begins_in_october_2001():
    every = days(dt.date(2001, 10, 1), dt.date(2003, 9, 30))
    ds = dataset(range(len(every)), every, "precipitation", "amount", "day")
    got = nc.to_annual(ds, years=(2002, 2003), year_start=10).precipitation
    # 365 days each; the sums of 0..364 and of 365..729
    assert got.values[:, 0, 0].tolist() == [364 * 365 / 2, 365 * 365 + 364 * 365 / 2]
    assert [str(t)[:10] for t in got.time.values] == ["2002-01-01", "2003-01-01"]
    assert got.attrs["year_start"] == 10
    assert got.attrs["comment"] == "a year begins in month 10: 2003 is 2002-10-01 to 2003-09-30"
    # without `years` the same two, and no third
    assert_array_equal(nc.to_annual(ds, year_start=10).precipitation.values, got.values)


def test_a_calendar_year_says_nothing_of_its_start():
    ds = dataset(np.ones(12), months(2001, 1, 12), "precipitation", "amount", "month")
    got = nc.to_annual(ds).precipitation
    assert "year_start" not in got.attrs
    assert "comment" not in got.attrs


@settings(max_examples=40, deadline=None)
@given(start=st.integers(1, 12), year=st.integers(1999, 2005), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize(
    ("name", "aggregation", "frequency"),
    [("temperature", "mean", "month"), ("precipitation", "per_day", "month"), ("precipitation", "amount", "day")],
)
def test_any_start_equals_a_plain_loop(name, aggregation, frequency, start, year, seed):
    first = dt.date(year - (start > 1), start, 1)
    last = dt.date(year + (start == 1), start, 1) - dt.timedelta(days=1)
    steps = months(first.year, start, 12) if frequency == "month" else days(first, last)
    values = np.random.default_rng(seed).uniform(0, 9, len(steps))
    # a month more on either side belongs to other years
    before, after = months(first.year - 1, 12 + start - 1, 1), months(last.year, last.month + 1, 1)
    times = before + steps + after if frequency == "month" else steps
    padded = [99, *values, 99] if frequency == "month" else values
    got = nc.to_annual(dataset(padded, times, name, aggregation, frequency), years=(year, year), year_start=start)[name]
    lengths = [calendar.monthrange(s.year, s.month)[1] if frequency == "month" else 1 for s in steps]
    if aggregation == "mean":
        want = math.fsum(v * n for v, n in zip(values, lengths, strict=True)) / sum(lengths)
    elif aggregation == "per_day":
        want = math.fsum(v * n for v, n in zip(values, lengths, strict=True))
    else:
        want = math.fsum(values)
    assert sum(lengths) in (365, 366)
    # at most 366 float64 terms in another order
    assert_allclose(got.values[:, 0, 0], [want], rtol=1e-13)
    assert str(got.time.values[0])[:10] == f"{year}-01-01"


@pytest.mark.parametrize("aggregation", [SINCE_00, PREVIOUS])
def test_hours_of_a_year_from_october_close_with_the_first_of_october(aggregation):
    stamps = hours("2003-10-01T00", "2004-10-01T00")
    one = np.ones(stamps.size)
    if aggregation == SINCE_00:
        one = np.where(
            stamps == stamps.astype("datetime64[D]"),
            24.0,
            (stamps - stamps.astype("datetime64[D]")) / np.timedelta64(1, "h"),
        )
    ds = dataset(one, stamps, "radiation", aggregation, "hour")
    got = nc.to_annual(ds, years=(2004, 2004), year_start=10).radiation
    assert got.values[0, 0, 0] == 366 * 24
    with pytest.raises(SourceError) as error:
        nc.to_annual(ds.isel(time=slice(0, -1)), years=(2004, 2004), year_start=10)
    assert error.value.what == "Test v1: radiation of 2004 is incomplete: no value at 2004-10-01 00:00 UTC."


def test_an_incomplete_year_is_called_by_its_name():
    ds = dataset(np.ones(24), months(2001, 10, 24), "temperature", "mean", "month")
    with pytest.raises(SourceError) as error:
        nc.to_annual(ds.isel(time=np.delete(np.arange(24), 1)), years=(2002, 2003), year_start=10)
    assert error.value.what == "Test v1: temperature of 2002 is incomplete: no value at 2001-11-01 00:00 UTC."
    relaxed = nc.to_annual(
        ds.isel(time=slice(1, None)), years=(2002, 2003), year_start=10, min_coverage=0.9, coverage=True
    )
    assert_allclose(relaxed.temperature_coverage.values, [334 / 365, 1.0], rtol=1e-15)


def test_months_and_days_of_a_span_from_october():
    every = days(dt.date(2001, 1, 1), dt.date(2003, 12, 31))
    ds = dataset(np.ones(len(every)), every, "precipitation", "amount", "day")
    got = to_interval(ds, "month", years=(2002, 2002), year_start=10).precipitation
    assert [str(t)[:7] for t in got.time.values[[0, -1]]] == ["2001-10", "2002-09"]
    assert got.values[:, 0, 0].tolist() == [31, 30, 31, 31, 28, 31, 30, 31, 30, 31, 31, 30]
    daily = to_interval(ds, "day", years=(2002, 2002), year_start=10).precipitation
    assert [str(t)[:10] for t in daily.time.values[[0, -1]]] == ["2001-10-01", "2002-09-30"]
    with pytest.raises(SourceError, match="precipitation of 2000 is incomplete"):
        to_interval(ds, "month", years=(2001, 2001), year_start=10)


def test_annual_values_have_no_other_start():
    ds = dataset([1.0, 2.0], [dt.date(2001, 1, 1), dt.date(2002, 1, 1)], "npp", "yearly", "year")
    with pytest.raises(SourceError) as error:
        nc.to_annual(ds, year_start=10)
    assert str(error.value) == (
        "Test v1: npp is annual: no years that begin in month 10 can be made of it.\n"
        "Give monthly or finer files, or leave `year_start` at 1."
    )
    assert nc.to_annual(ds, year_start=1).npp.values.ravel().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("start", [0, 13, -1])
def test_a_year_begins_in_a_month(start):
    ds = dataset(np.ones(12), months(2001, 1, 12), "precipitation", "amount", "month")
    with pytest.raises(SpecError, match=f"A year cannot begin in month {start}."):
        nc.to_annual(ds, year_start=start)


# --- gaps --------------------------------------------------------------------------------------------------------


def missing(ds, **options):
    with forbid_compute():
        return gaps(ds.chunk(), **options)


def test_whole_years_then_months_are_named():
    ds = dataset(np.ones(48), months(2001, 1, 48), "temperature", "mean", "month")
    assert missing(ds, years=(2001, 2004)) == {"temperature": []}
    assert missing(ds, years=(1999, 2006)) == {"temperature": ["1999", "2000", "2005", "2006"]}
    part = ds.isel(time=np.delete(np.arange(48), [3, *range(12, 24), 30, 31]))
    assert missing(part, years=(2001, 2004)) == {"temperature": ["2001-04", "2002", "2003-07", "2003-08"]}


def test_days_come_as_ranges():
    every = days(dt.date(2003, 1, 1), dt.date(2003, 12, 31))
    keep = [k for k, d in enumerate(every) if not (dt.date(2003, 7, 14) <= d <= dt.date(2003, 7, 20) or d.month == 9)]
    keep.remove(every.index(dt.date(2003, 12, 31)))
    ds = dataset(np.ones(len(keep)), [every[k] for k in keep], "precipitation", "amount", "day")
    want = ["2003-07-14 to 2003-07-20", "2003-09", "2003-12-31"]
    assert missing(ds, years=(2003, 2003)) == {"precipitation": want}


def test_hours_of_instants_come_as_days_and_runs_of_hours():
    stamps = hours("2003-01-01T00", "2003-12-31T23")
    away = np.zeros(stamps.size, bool)
    for a, b in (
        ("2003-02-03T00", "2003-02-04T23"),
        ("2003-02-10T05", "2003-02-10T07"),
        ("2003-05-01T12", "2003-05-01T12"),
    ):
        away |= (stamps >= np.datetime64(a)) & (stamps <= np.datetime64(b))
    ds = dataset(np.ones((~away).sum()), stamps[~away], "temperature", "mean", "hour")
    want = ["2003-02-03 to 2003-02-04", "2003-02-10 05:00 to 2003-02-10 07:00", "2003-05-01 12:00"]
    assert missing(ds, years=(2003, 2003)) == {"temperature": want}


@pytest.mark.parametrize("aggregation", [SINCE_00, PREVIOUS])
def test_the_hour_that_closes_the_year_is_named(aggregation):
    stamps = hours("2004-01-01T00", "2004-12-31T23")
    ds = dataset(np.ones(stamps.size), stamps, "radiation", aggregation, "hour")
    assert missing(ds, years=(2004, 2004)) == {"radiation": ["2005-01-01 00:00"]}
    assert missing(ds, years=(2004, 2005)) == {"radiation": ["2005-01-01 00:00", "2005"]}


def test_gaps_of_years_from_october():
    ds = dataset(np.ones(24), months(2001, 1, 24), "precipitation", "amount", "month")
    got = missing(ds, years=(2001, 2003), year_start=10)
    # 2001 lacks its last three months of 2000, 2003 all but those of 2002
    later = [f"2003-{m:02d}" for m in range(1, 10)]
    assert got == {"precipitation": ["2000-10", "2000-11", "2000-12", *later]}


def test_annual_values_and_what_is_no_series():
    ds = dataset([1.0, 2.0], [dt.date(2001, 1, 1), dt.date(2003, 1, 1)], "npp", "yearly", "year")
    ds["mask"] = ("latitude", [1.0])
    assert missing(ds, years=(2001, 2004)) == {"npp": ["2002", "2004"], "mask": []}


@settings(max_examples=30, deadline=None)
@given(away=st.sets(st.integers(0, 23), max_size=23), start=st.integers(1, 12))
def test_what_is_complete_has_no_gap_and_the_other_way_round(away, start):
    every = months(2000, start, 24)
    ds = dataset(np.ones(24), every, "precipitation", "amount", "month")
    ds = ds.isel(time=[k for k in range(24) if k not in away])
    first = 2000 + (start > 1)
    found = gaps(ds, years=(first, first + 1), year_start=start)["precipitation"]
    whole = {first + k for k in (0, 1) if set(range(12 * k, 12 * k + 12)) <= away}
    want = {str(y) for y in whole}
    want |= {f"{every[k]:%Y-%m}" for k in away if first + k // 12 not in whole}
    assert set(found) == want
    try:
        nc.to_annual(ds, years=(first, first + 1), year_start=start)
        complete = True
    except SourceError:
        complete = False
    assert complete == (not found)
