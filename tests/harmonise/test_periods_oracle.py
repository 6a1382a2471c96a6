"""Years, months and days against straightforward loops; what is incomplete is said, and no cut changes a bit."""

import calendar
import datetime as dt
import itertools
import math

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import nepcube as nc
from nepcube.errors import SourceError, SpecError
from nepcube.harmonise import hourly_increments, to_interval
from nepcube.testing import forbid_compute

SINCE_00, PREVIOUS = "accumulated_since_00utc", "accumulated_previous_hour"
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
KINDS = {  # quantity: (unit, factor to the cube's, offset)
    "temperature": ("K", 1.0, -273.15),
    "precipitation": ("m", 1000.0, 0.0),
    "radiation": ("J m-2", 1e-6, 0.0),
}


def dataset(values, times, name, aggregation, frequency, unit=None, dims=("time", "latitude", "longitude")):
    values = np.asarray(values)
    if values.ndim == 1:
        values = values[:, None, None]
    attrs = {"units": unit or KINDS[name][0], "aggregation": aggregation, "frequency": frequency, "product": "Test v1"}
    coords = {"time": np.array(times, "datetime64[ns]")}
    coords |= {dims[1]: 34.0 - np.arange(values.shape[1]) / 10, dims[2]: 96 + np.arange(values.shape[2]) / 10}
    return xr.Dataset({name: (dims, values, attrs)}, coords)


def month_start(year, month):
    return dt.datetime(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def steps_between(start, end, frequency):
    """The native steps of an interval as (start, end), with datetimes."""
    if frequency in ("hour", "day"):
        step = HOUR if frequency == "hour" else DAY
        return [(start + k * step, start + (k + 1) * step) for k in range(round((end - start) / step))]
    out = []
    at = start
    while at < end:
        after = month_start(at.year, at.month + 1)
        if frequency == "month":
            out.append((at, after))
        else:
            first = [at + k * 5 * DAY for k in range(6)]
            out += list(zip(first, [*first[1:], after], strict=True))
        at = after
    return out


def slow(values, times, name, aggregation, frequency, start, end, min_coverage):
    """One interval of one cell: value or NaN."""
    where = dict(zip(times, values, strict=True))
    terms, covered = [], 0.0
    length = (end - start) / DAY
    if aggregation == SINCE_00:
        pieces = [(d, d + DAY, d + DAY, 1.0) for d, _ in steps_between(start, end, "day")]
    else:
        pieces = []
        for a, b in steps_between(start, end, frequency):
            days = (b - a) / DAY
            factor = days if aggregation in ("mean", "per_day") else 1.0
            pieces.append((a, b, b if aggregation == PREVIOUS else a, factor))
    for a, b, stamp, factor in pieces:
        v = where.get(stamp, math.nan)
        if math.isfinite(v):
            if aggregation in (SINCE_00, PREVIOUS):
                v = max(v, 0.0)
            terms.append(factor * float(v))
            covered += (b - a) / DAY
    if not terms or covered < min_coverage * length - 1e-9:
        return math.nan
    total = math.fsum(terms)
    total = total / covered if aggregation == "mean" else total * length / covered
    _, factor, offset = KINDS[name]
    return total * factor + offset


def at_times(first, n, frequency):
    first = dt.datetime(first, 1, 1)
    if frequency == "hour":
        return [first + k * HOUR for k in range(n)]
    if frequency == "day":
        return [first + k * DAY for k in range(n)]
    if frequency == "month":
        return [month_start(first.year, 1 + k) for k in range(n)]
    return [a for a, _ in steps_between(first, month_start(first.year, 1 + n // 6), "pentad")]


SERIES = [
    ("temperature", "mean", "hour", "day"),
    ("temperature", "mean", "hour", "month"),
    ("temperature", "mean", "day", "month"),
    ("temperature", "mean", "day", "year"),
    ("temperature", "mean", "month", "year"),
    ("precipitation", "amount", "day", "month"),
    ("precipitation", "amount", "day", "year"),
    ("precipitation", "amount", "pentad", "month"),
    ("precipitation", "amount", "pentad", "year"),
    ("precipitation", "amount", "month", "year"),
    ("precipitation", "per_day", "month", "year"),
    ("radiation", "per_day", "month", "month"),
    ("temperature", "mean", "month", "month"),
    ("precipitation", "amount", "day", "day"),
    ("radiation", SINCE_00, "hour", "day"),
    ("radiation", SINCE_00, "hour", "month"),
    ("radiation", PREVIOUS, "hour", "day"),
    ("radiation", PREVIOUS, "hour", "month"),
]


def ends_of(year, to):
    if to == "year":
        return [(dt.datetime(year, 1, 1), dt.datetime(year + 1, 1, 1))]
    if to == "month":
        return [(month_start(year, m), month_start(year, m + 1)) for m in range(1, 13)]
    return steps_between(dt.datetime(year, 1, 1), dt.datetime(year + 1, 1, 1), "day")


def aggregate(ds, to, **options):
    return nc.to_annual(ds, **options) if to == "year" else to_interval(ds, to, **options)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=st.sampled_from(SERIES),
    year=st.sampled_from([2001, 2004, 2100, 1900]),
    seed=st.integers(0, 2**32 - 1),
    holes=st.sampled_from([0.0, 0.0, 0.1, 0.4]),
    min_coverage=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_any_series_equals_a_plain_loop(kind, year, seed, holes, min_coverage, dtype):
    name, aggregation, frequency, to = kind
    days = 366 if calendar.isleap(year) else 365
    n = {"hour": 24 * days + 1, "day": days, "pentad": 72, "month": 12}[frequency]
    rng = np.random.default_rng(seed)
    times = at_times(year, n, frequency)
    low = -1e-3 if aggregation in (SINCE_00, PREVIOUS) else 0.5
    values = rng.uniform(low, 300, (len(times), 1, 2)).astype(dtype)
    # cells lack values here and there; stamps are lacking only where less than all is asked for
    values[rng.random(values.shape) < holes] = np.nan
    keep = rng.random(len(times)) >= (holes if min_coverage < 1 else 0)
    if not keep.any():
        return
    order = np.flatnonzero(keep)
    kept = [times[k] for k in order]
    ds = dataset(values[order], kept, name, aggregation, frequency)
    intervals = ends_of(year, to)
    try:
        got = aggregate(ds, to, years=(year, year), min_coverage=min_coverage)[name]
    except SourceError:
        # refused where the files themselves hold less of an interval than is asked for
        ones = np.ones(len(kept))
        known = [slow(ones, kept, name, aggregation, frequency, a, b, min_coverage) for a, b in intervals]
        assert any(math.isnan(v) for v in known)
        return
    assert got.dtype == np.float64
    assert got.sizes["time"] == len(intervals)
    assert_array_equal(got.time.values, np.array([a for a, _ in intervals], "datetime64[ns]"))
    for cell in range(2):
        want = [
            slow(values[order, 0, cell], kept, name, aggregation, frequency, a, b, min_coverage) for a, b in intervals
        ]
        # a sum of 9000 float64 terms against the exact one: 9000 x 1e-16; degrees after taking 273.15 away
        assert_allclose(got.values[:, 0, cell], want, rtol=1e-12, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(
    kind=st.sampled_from([k for k in SERIES if k[2] != "hour"]),
    seed=st.integers(0, 2**32 - 1),
    data=st.data(),
    min_coverage=st.sampled_from([0.5, 1.0]),
)
def test_no_cut_changes_a_bit(kind, seed, data, min_coverage):
    name, aggregation, frequency, to = kind
    # days of a leap year's first quarter cut anywhere stand for years of days, which dask takes long to plan
    n = {"day": 366 if to == "year" else 91, "pentad": 144, "month": 24}[frequency]
    rng = np.random.default_rng(seed)
    times = at_times(2004, n, frequency)
    values = rng.uniform(200, 300, (len(times), 5, 7)).astype("f4")
    values[rng.random(values.shape) < 0.02] = np.nan
    ds = dataset(values, times, name, aggregation, frequency)
    want = aggregate(ds, to, min_coverage=min_coverage)[name]
    cuts = {
        "time": data.draw(st.integers(max(1, len(times) // 24), len(times)), label="time"),
        "latitude": data.draw(st.integers(1, 5), label="rows"),
        "longitude": data.draw(st.integers(1, 7), label="columns"),
    }
    with forbid_compute():
        got = aggregate(ds.chunk(cuts), to, min_coverage=min_coverage)[name]
    assert got.chunks is not None
    with dask.config.set(scheduler="threads", num_workers=2):
        assert_array_equal(got.values.view("u8"), want.values.view("u8"))
    # and no neighbour: a part alone has the bits of the whole
    part = {"latitude": slice(1, 3), "longitude": slice(2, 6)}
    assert_array_equal(aggregate(ds.isel(part), to, min_coverage=min_coverage)[name].values.view("u8"),
                       want.isel(part).values.view("u8"))  # fmt: skip


@pytest.mark.parametrize("aggregation", [SINCE_00, PREVIOUS, "mean"])
@pytest.mark.parametrize("time", [1, 7, 24, 100, 745])
def test_no_cut_of_hours_changes_a_bit(aggregation, time):
    times = at_times(2001, 745, "hour")
    values = np.random.default_rng(4).uniform(-1, 300, (745, 3, 4)).astype("f4")
    name = "temperature" if aggregation == "mean" else "radiation"
    ds = dataset(values, times, name, aggregation, "hour").isel(time=slice(None, -1 if aggregation == "mean" else None))
    if aggregation == PREVIOUS:
        ds = ds.isel(time=slice(1, None))
    # the first stamp of SINCE_00 closes a day before, a whole one
    want = to_interval(ds, "day")[name]
    with forbid_compute():
        got = to_interval(ds.chunk(time=time, latitude=2), "day")[name]
    assert want.sizes["time"] == (32 if aggregation == SINCE_00 else 31)
    assert_array_equal(got.values.view("u8"), want.values.view("u8"))


@pytest.mark.parametrize("cut", [None, 12, 1, 5])
def test_the_order_of_the_stamps_does_not_matter(cut):
    order = [0, 3, 1, 2, 4, 5, 6, 7, 8, 10, 9, 11]
    values = np.random.default_rng(0).uniform(0, 1, (12, 2, 2))
    ds = dataset(values, at_times(2001, 12, "month"), "radiation", "per_day", "month")
    want = nc.to_annual(ds).radiation
    mixed = ds.isel(time=order)
    got = nc.to_annual(mixed if cut is None else mixed.chunk(time=cut), years=(2001, 2001)).radiation
    # the sum may be taken in another order, its terms may not change
    assert_allclose(got.values, want.values, rtol=1e-14)


@pytest.mark.parametrize(("frequency", "n"), [("month", 240), ("day", 366)])
def test_a_chunk_of_what_is_of_the_frequency_already_is_one_task(frequency, n):
    times = at_times(2004, n, frequency)
    ds = dataset(np.ones((n, 4, 4), "f4"), times, "temperature", "mean", frequency).chunk(time=61, latitude=2)
    lazy = to_interval(ds, frequency)["temperature"]
    assert lazy.data.chunks[0] == ds["temperature"].data.chunks[0]
    (graph,) = dask.optimize(lazy.data)
    # the array itself, and for each chunk its part of it, three columns and what is made
    assert len(dict(graph.__dask_graph__())) <= 1 + 5 * lazy.data.npartitions


def test_any_order_of_dimensions():
    values = np.random.default_rng(0).uniform(0, 1, (12, 2, 3))
    ds = dataset(values, at_times(2001, 12, "month"), "radiation", "per_day", "month")
    want = nc.to_annual(ds).radiation
    for lazy in (False, True):
        moved = ds.transpose("longitude", "time", "latitude")
        got = nc.to_annual(moved.chunk(time=5) if lazy else moved).radiation
        assert_array_equal(got.transpose(*want.dims).values, want.values)


def test_years_come_in_order():
    values = np.arange(36.0)
    ds = dataset(values, at_times(2001, 36, "month"), "precipitation", "amount", "month", unit="mm")
    got = nc.to_annual(ds).precipitation
    assert got.time.values.tolist() == sorted(got.time.values.tolist())
    assert got.time.dt.strftime("%Y-%m-%d").values.tolist() == ["2001-01-01", "2002-01-01", "2003-01-01"]
    assert got.values[:, 0, 0].tolist() == [66.0, 210.0, 354.0]
    chosen = nc.to_annual(ds, years=(2002, 2003)).precipitation
    assert chosen.values[:, 0, 0].tolist() == [210.0, 354.0]


@pytest.mark.parametrize(
    ("name", "aggregation", "unit", "cube"),
    [
        ("temperature", "mean", "K", "degC"),
        ("precipitation", "amount", "mm", "mm year-1"),
        ("precipitation", "amount", "mm month-1", "mm year-1"),
        ("precipitation", "per_day", "m", "mm year-1"),
        ("precipitation", "per_day", "mm day-1", "mm year-1"),
        ("radiation", "per_day", "J m-2", "MJ m-2 year-1"),
        ("radiation", "per_day", "MJ m-2 day-1", "MJ m-2 year-1"),
        ("radiation", "per_day", "W m-2", "MJ m-2 year-1"),
    ],
)
def test_the_unit_of_a_year_is_the_cubes(name, aggregation, unit, cube):
    ds = dataset(np.ones(12), at_times(2001, 12, "month"), name, aggregation, "month", unit=unit)
    got = nc.to_annual(ds)[name]
    assert got.attrs["units"] == cube
    assert got.attrs["aggregation"] == "yearly"
    assert got.attrs["frequency"] == "year"
    days = 365 if aggregation == "per_day" else 12
    scale = {"K": None, "m": 1000.0, "J m-2": 1e-6, "W m-2": 0.0864}.get(unit, 1.0)
    want = 1 - 273.15 if scale is None else days * scale
    assert_allclose(got.values, want, rtol=1e-14)


def message(ds, to="year", **options):
    with pytest.raises(SourceError) as error, forbid_compute():
        aggregate(ds, to, **options)
    lines = str(error.value).split("\n")
    assert len(lines) == 2
    assert (
        lines[1] == "Add the files that hold them, change `period`, or allow it with `min_coverage` beside the source."
    )
    return lines[0]


def test_the_message_names_the_stamps():
    times = at_times(2001, 24, "month")
    ds = dataset(np.ones(24), times, "temperature", "mean", "month")
    assert message(ds.isel(time=np.delete(np.arange(24), 14))) == (
        "Test v1: temperature of 2002 is incomplete: no value at 2002-03-01 00:00 UTC."
    )
    assert message(ds.isel(time=np.delete(np.arange(24), [3, 14]))) == (
        "Test v1: temperature of 2001 and 2002 is incomplete: "
        "no value at 2001-04-01 00:00 UTC and 2002-03-01 00:00 UTC."
    )
    assert message(ds.isel(time=slice(0, 17))) == (
        "Test v1: temperature of 2002 is incomplete: no value at 2002-06-01 00:00 UTC, 2002-07-01 00:00 UTC, "
        "2002-08-01 00:00 UTC and 2002-09-01 00:00 UTC and 3 more."
    )
    assert "temperature of 2000, 2001 and 2002 is incomplete" in message(ds.isel(time=slice(1, 23)), years=(2000, 2002))


def test_the_message_names_the_hour_in_the_next_year():
    ds = dataset(np.ones(24 * 365), at_times(2001, 24 * 365, "hour"), "radiation", SINCE_00, "hour")
    assert message(ds, years=(2001, 2001)) == (
        "Test v1: radiation of 2001 is incomplete: no value at 2002-01-01 00:00 UTC."
    )
    ds = dataset(np.ones(24 * 365), at_times(2001, 24 * 365, "hour"), "radiation", PREVIOUS, "hour")
    assert message(ds, years=(2001, 2001)) == (
        "Test v1: radiation of 2001 is incomplete: no value at 2002-01-01 00:00 UTC."
    )
    # an instant at 23 UTC is the last of its year
    ds = dataset(np.ones(24 * 365), at_times(2001, 24 * 365, "hour"), "temperature", "mean", "hour")
    assert nc.to_annual(ds).sizes["time"] == 1


def test_of_hours_since_midnight_one_stamp_a_day_is_needed():
    values = np.tile(np.arange(24.0), 366)
    times = at_times(2001, 24 * 366, "hour")
    ds = dataset(values, times, "radiation", SINCE_00, "hour")
    keep = np.array([t.hour == 0 for t in times])
    keep[0] = False
    a = nc.to_annual(ds, years=(2001, 2001)).radiation
    b = nc.to_annual(ds.isel(time=keep), years=(2001, 2001)).radiation
    assert_array_equal(a.values, b.values)
    assert float(a[0, 0, 0]) == 0.0


def test_a_coarser_series_is_refused():
    ds = dataset(np.ones(12), at_times(2001, 12, "month"), "temperature", "mean", "month")
    with pytest.raises(SourceError, match="one value a month, values of each day are needed") as error:
        to_interval(ds, "day")
    assert "coarser respiration basis" in error.value.way_out


def test_a_series_without_its_attributes_is_refused():
    ds = dataset(np.ones(12), at_times(2001, 12, "month"), "temperature", "mean", "month")
    del ds.temperature.attrs["aggregation"]
    with pytest.raises(SpecError, match="`aggregation` and `frequency` are missing"):
        nc.to_annual(ds)


# --- less than all -----------------------------------------------------------------------------------------------


def test_a_relaxed_mean_is_that_of_what_is_there():
    values = np.arange(12.0) + 273.15
    ds = dataset(values, at_times(2001, 12, "month"), "temperature", "mean", "month").isel(time=slice(0, 6))
    got = nc.to_annual(ds, min_coverage=0.4, coverage=True)
    days = np.array([31, 28, 31, 30, 31, 30])
    assert_allclose(got.temperature.values[0, 0, 0], (np.arange(6) * days).sum() / days.sum(), rtol=0, atol=1e-10)
    assert_allclose(got.temperature_coverage.values, [181 / 365], rtol=1e-15)
    assert got.temperature_coverage.attrs["units"] == "1"
    assert "no value at" in message(ds, min_coverage=0.5)


def test_a_relaxed_sum_is_scaled_up():
    ds = dataset(np.ones(365), at_times(2001, 365, "day"), "precipitation", "amount", "day", unit="mm")
    got = nc.to_annual(ds.isel(time=slice(10, None)), min_coverage=0.9, years=(2001, 2001)).precipitation
    assert_allclose(got.values, 365.0, rtol=1e-14)


def test_the_share_is_exactly_that_of_the_days():
    ds = dataset(np.ones(365), at_times(2001, 365, "day"), "temperature", "mean", "day")
    part = ds.isel(time=slice(0, 292))  # 292 / 365 is 0.8
    assert nc.to_annual(part, min_coverage=0.8).sizes["time"] == 1
    assert "2001 is incomplete" in message(ds.isel(time=slice(0, 291)), min_coverage=0.8)


def test_a_cell_that_lacks_too_much_is_missing_and_the_others_are_not():
    values = np.ones((12, 1, 3), np.float32)
    values[0, 0, 0] = np.nan
    values[:8, 0, 1] = np.nan
    ds = dataset(values, at_times(2001, 12, "month"), "precipitation", "amount", "month", unit="mm")
    strict = nc.to_annual(ds).precipitation.values[0, 0]
    assert_array_equal(np.isnan(strict), [True, True, False])
    relaxed = nc.to_annual(ds, min_coverage=0.8).precipitation.values[0, 0]
    assert_allclose(relaxed, [11 * 365 / 334, np.nan, 12.0], rtol=1e-14)


def test_infinity_is_no_value():
    values = np.ones(12)
    values[3] = np.inf
    ds = dataset(values, at_times(2001, 12, "month"), "precipitation", "amount", "month", unit="mm")
    assert np.isnan(nc.to_annual(ds).precipitation.values).all()


def test_tiny_negative_accumulations_are_zero_and_cold_is_not():
    times = at_times(2001, 49, "hour")
    values = np.full(49, -1e-6)
    rain = to_interval(dataset(values, times, "precipitation", SINCE_00, "hour"), "day").precipitation
    assert_array_equal(rain.values, 0.0)
    cold = dataset(values[:48], times[:48], "temperature", "mean", "hour", unit="degC")
    assert_allclose(to_interval(cold, "day").temperature.values, -1e-6, rtol=1e-12)


# --- hourly increments -------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, 30), n=st.integers(1, 80), seed=st.integers(0, 2**32 - 1), holes=st.booleans())
def test_increments_equal_a_loop(start, n, seed, holes):
    rng = np.random.default_rng(seed)
    first = dt.datetime(2001, 2, 27) + start * HOUR
    times = [first + k * HOUR for k in range(n)]
    values = rng.uniform(0, 5, (n, 1, 1))
    if holes and n > 3:
        keep = np.sort(rng.permutation(n)[: n - n // 3])
        times, values = [times[k] for k in keep], values[keep]
    da = dataset(values, times, "precipitation", SINCE_00, "hour").precipitation
    got = hourly_increments(da)
    want = []
    for k, t in enumerate(times):
        if t.hour == 1:
            want.append(max(values[k, 0, 0], 0.0))
        elif k and times[k - 1] == t - HOUR:
            want.append(max(values[k, 0, 0] - values[k - 1, 0, 0], 0.0))
        else:
            want.append(math.nan)
    assert_array_equal(got.values[:, 0, 0], want)
    assert got.attrs["aggregation"] == PREVIOUS
    assert got.attrs["units"] == "m"


def test_increments_accumulate_again():
    steps = np.random.default_rng(1).integers(0, 50, (72, 2, 2)).astype(float)
    running = np.concatenate([np.cumsum(steps[24 * d : 24 * d + 24], axis=0) for d in range(3)])
    times = [dt.datetime(2001, 1, 1, 1) + k * HOUR for k in range(72)]
    ds = dataset(running, times, "radiation", SINCE_00, "hour")
    with forbid_compute():
        got = hourly_increments(ds.chunk(time=11).radiation)
    # whole numbers add up exactly
    assert_array_equal(got.values, steps)
    a = to_interval(ds, "day").radiation
    b = to_interval(got.to_dataset(name="radiation"), "day").radiation
    assert_array_equal(a.values, b.values)
    assert_array_equal(a.time.values, b.time.values)


# --- years as they come -------------------------------------------------------------------------------------------


def test_annual_series_pass_through_as_they_are():
    stamps = [dt.datetime(y, 1, 1) for y in (2001, 2002, 2003, 2005)]
    ds = dataset(np.arange(4, dtype="f4"), stamps, "npp", "yearly", "year", unit="g m-2 year-1")
    assert nc.to_annual(ds.chunk(time=1)).npp.dtype == np.float32
    assert nc.to_annual(ds, years=(2002, 2003)).npp.values[:, 0, 0].tolist() == [1.0, 2.0]
    with pytest.raises(SourceError, match="no npp of 2004"):
        nc.to_annual(ds, years=(2003, 2005))
    kilo = dataset(np.arange(4, dtype="f4"), stamps, "npp", "yearly", "year", unit="kg m-2 year-1")
    assert nc.to_annual(kilo, years=(2001, 2002)).npp.values[:, 0, 0].tolist() == [0.0, 1000.0]


def test_january_to_december_without_february_of_a_leap_year():
    # a daily calendar that drops 29 February is incomplete in a leap year
    times = [t for t in at_times(2004, 366, "day") if (t.month, t.day) != (2, 29)]
    ds = dataset(np.ones(365), times, "temperature", "mean", "day")
    assert "no value at 2004-02-29 00:00 UTC" in message(ds)


@pytest.mark.slow
def test_years_of_hours_stay_lazy_and_equal_the_loop():
    n = 24 * (365 * 3 + 366) + 1
    times = np.arange("2001-01-01T00", "2005-01-01T01", dtype="datetime64[h]")
    values = np.random.default_rng(9).uniform(0, 1, (n, 4, 4)).astype("f4")
    ds = dataset(values, times, "radiation", SINCE_00, "hour")
    with forbid_compute():
        got = nc.to_annual(ds.chunk(time=745), years=(2001, 2004)).radiation
    midnights = values[24::24].astype(float)
    edges = np.cumsum([0, 365, 365, 365, 366])
    want = [midnights[a:b].sum(axis=0) * 1e-6 for a, b in itertools.pairwise(edges)]
    assert_allclose(got.values, want, rtol=1e-13)  # the order of a float64 sum
