"""CHIRPS in every step and form of the two versions' directories, against plain rasterio and float64 sums."""

import datetime
import gzip
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_array_equal
from providers import field, months, write_geotiff, write_netcdf
from rasterio.shutil import copy as raster_copy

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.harmonise import to_interval
from nepcube.sources import Finding, Request, inspected, reader
from nepcube.testing import forbid_compute

LATITUDE = (np.arange(680, 686) + 0.5) / 20
LONGITUDE = (np.arange(1920, 1928) + 0.5) / 20
SHAPE = (LATITUDE.size, LONGITUDE.size)
WEST, NORTH = 96.0, 34.3


def opened(paths, **options):
    with forbid_compute():
        return nc.open_source("chirps", paths, **options)


def refusal(paths, *, error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source("chirps", paths, **options).compute()
    return raised.value


def rain(n, seed=0):
    return field(n, seed, low=0, high=120, shape=SHAPE)


def tif(path, data, *, step=0.05, west=WEST, north=NORTH, **options):
    """A raster under its last name: `.tif`, `.tif.gz` or `.cog`, north up as the provider's."""
    name = str(path)
    plain = path.with_name(path.name.removesuffix(".gz")) if name.endswith(".gz") else path
    write_geotiff(plain, np.asarray(data)[..., ::-1, :], west=west, north=north, step=step, **options)
    if name.endswith(".gz"):
        with open(plain, "rb") as source, gzip.open(path, "wb") as target:
            shutil.copyfileobj(source, target)
        plain.unlink()
    if name.endswith(".cog"):
        raw = path.with_suffix(".raw")
        path.rename(raw)
        raster_copy(raw, path, driver="COG")
        raw.unlink()
    return path


def netcdf(path, data, stamps, unit, *, title="CHIRPS Version 2.0", latitude=LATITUDE, longitude=LONGITUDE, **options):
    return write_netcdf(
        path, stamps, {"precip": data}, time="time", units={"precip": unit}, latitude=latitude.astype("f4"),
        longitude=longitude.astype("f4"), attrs={"title": title} if title else {}, **options,
    )  # fmt: skip


FORMS = [
    # names of the directories of data.chc.ucsb.edu, v2.0 and v3.0
    ("v2.0.{}", ["2001", "2002"], "year", ["2001-01-01", "2002-01-01"], "CHIRPS v2.0"),
    ("v2.0.{}", ["2001.12", "2001.11"], "month", ["2001-11-01", "2001-12-01"], "CHIRPS v2.0"),
    ("v2.0.{}", ["2000.02.1", "2000.02.6"], "pentad", ["2000-02-01", "2000-02-26"], "CHIRPS v2.0"),
    ("v2.0.{}", ["2000.02.28", "2000.02.29"], "day", ["2000-02-28", "2000-02-29"], "CHIRPS v2.0"),
    ("v3.0.{}", ["2001", "2002"], "year", ["2001-01-01", "2002-01-01"], "CHIRPS v3.0"),
    ("v3.0.{}", ["2001.01", "2001.02"], "month", ["2001-01-01", "2001-02-01"], "CHIRPS v3.0"),
    ("v3.0.rnl.{}", ["2001.01.31", "2001.02.01"], "day", ["2001-01-31", "2001-02-01"], "CHIRPS v3.0.rnl"),
    ("v3.0.sat.{}", ["2001.01.31", "2001.02.01"], "day", ["2001-01-31", "2001-02-01"], "CHIRPS v3.0.sat"),
    ("v3.0.prelim.{}", ["2026.01.31", "2026.02.01"], "day", ["2026-01-31", "2026-02-01"], "CHIRPS v3.0.prelim"),
]


@pytest.mark.parametrize("end", [".tif", ".tif.gz", ".cog"])
@pytest.mark.parametrize(
    ("pattern", "dates", "step", "starts", "product"), FORMS, ids=[f"{f[0]} {f[2]}" for f in FORMS]
)
def test_every_raster_name(tmp_path, pattern, dates, step, starts, product, end):
    data = rain(2)
    data[:, 1, 2:4] = -9999
    order = np.argsort(dates)
    for k, date in enumerate(dates):
        tif(tmp_path / f"chirps-{pattern.format(date)}{end}", data[k])
    before = sorted(os.listdir(tmp_path))
    for options in ({}, {"time": step}):
        got = opened(tmp_path / f"*{end}", **options).precipitation
        assert_array_equal(got.values[:, ::-1], np.where(data == -9999, np.nan, data)[order])
        assert_array_equal(got.time.values, np.array(starts, "datetime64[ns]"))
        attrs = {k: got.attrs[k] for k in ("units", "frequency", "aggregation", "product")}
        want = {"units": "mm", "frequency": step, "aggregation": "yearly" if step == "year" else "amount"}
        assert attrs == want | {"product": product}
    # a gzipped raster leaves no file behind
    assert sorted(os.listdir(tmp_path)) == before


NETCDF = [
    ("chirps-v2.0.2001.days_p05.nc", "day", "mm/day", "CHIRPS v2.0"),
    ("chirps-v2.0.2001.01.days_p05.nc", "day", "mm/day", "CHIRPS v2.0"),
    ("chirps-v2.0.2001.pentads.nc", "pentad", "mm/pentad", "CHIRPS v2.0"),
    ("chirps-v2.0.2001.dekads.nc", "dekad", "mm/dekad", "CHIRPS v2.0"),
    ("chirps-v2.0.2001.monthly.nc", "month", "mm/month", "CHIRPS v2.0"),
    ("chirps-v2.0.monthly.nc", "month", "mm/month", "CHIRPS v2.0"),
    ("chirps-v2.0.annual.nc", "year", "mm/year", "CHIRPS v2.0"),
    ("chirps-v3.0.rnl.2001.days_p05.nc", "day", "mm/day", "CHIRPS v3.0.rnl"),
    ("chirps-v3.0.2001.01.days_p05.nc", "day", "mm/day", "CHIRPS v3.0"),
    ("chirps-v3.0.2001.pentads.nc", "pentad", "mm/pentad", "CHIRPS v3.0"),
    ("chirps-v3.0.2001.dekads.nc", "dekad", "mm/dekad", "CHIRPS v3.0"),
    ("chirps-v3.0.2001.monthly.nc", "month", "mm/month", "CHIRPS v3.0"),
]


def starts(step, year):
    dates = np.arange(f"{year}-01-01", f"{year + 1}-01-01", dtype="datetime64[D]")
    of_month = [d.day for d in dates.tolist()]
    firsts = {
        "day": range(1, 32), "pentad": (1, 6, 11, 16, 21, 26), "dekad": (1, 11, 21), "month": (1,),
    }  # fmt: skip
    if step == "year":
        return dates[:1]
    return dates[np.isin(of_month, list(firsts[step]))]


@pytest.mark.parametrize(("name", "step", "unit", "product"), NETCDF, ids=[n[0] for n in NETCDF])
def test_every_netcdf_name(tmp_path, name, step, unit, product):
    stamps = starts(step, 2001)
    data = rain(stamps.size)
    data[0, 0, 0] = -9999
    got = opened(netcdf(tmp_path / name, data, stamps, unit, title=None)).precipitation
    assert_array_equal(got.values, np.where(data == -9999, np.nan, data))
    assert_array_equal(got.time.values, stamps.astype("datetime64[ns]"))
    assert (got.attrs["units"], got.attrs["frequency"], got.attrs["product"]) == ("mm", step, product)
    total = np.zeros(SHAPE)
    for k in range(stamps.size):
        total += np.where(data[k] == -9999, np.nan, data[k])
    annual = nc.to_annual(got.to_dataset(), years=(2001, 2001)).precipitation
    assert_array_equal(annual.values[0], total)
    assert annual.attrs["units"] == "mm year-1"


@pytest.mark.parametrize("step", ["pentad", "dekad"])
@pytest.mark.parametrize("year", [2000, 2001])
def test_a_year_of_parts_and_the_day_that_leaps(tmp_path, step, year):
    stamps = starts(step, year)
    assert stamps.size == {"pentad": 72, "dekad": 36}[step]
    data = rain(stamps.size)
    count = {}
    for k, stamp in enumerate(stamps.tolist()):
        month = f"{stamp:%Y.%m}"
        count[month] = count.get(month, 0) + 1
        tif(tmp_path / f"chirps-v2.0.{month}.{count[month]}.tif", data[k])
    ds = opened(tmp_path / "*.tif", time=step)
    assert_array_equal(ds.time.values, stamps.astype("datetime64[ns]"))
    total = np.zeros(SHAPE)
    for k in range(stamps.size):
        total += data[k]
    assert_array_equal(nc.to_annual(ds, years=(year, year)).precipitation.values[0, ::-1], total)
    # the last part of February takes what remains: its days are what a year without it lacks
    last = int(np.flatnonzero(stamps < np.datetime64(f"{year}-03-01"))[-1])
    annual = nc.to_annual(
        ds.isel(time=[k for k in range(stamps.size) if k != last]), years=(year, year), min_coverage=0.9, coverage=True
    )
    days = 366 if year == 2000 else 365
    lost = {"pentad": 26, "dekad": 21}[step]
    assert float(annual.precipitation_coverage[0]) == (days - ((29 if year == 2000 else 28) - lost + 1)) / days
    monthly = to_interval(ds, "month").precipitation
    assert monthly.sizes["time"] == 12


@pytest.mark.parametrize("dates", [["2001.01.1"], ["2001.01.1", "2001.01.2", "2001.01.3", "2001.02.1"]])
def test_pentads_or_dekads_is_asked(tmp_path, dates):
    for date in dates:
        tif(tmp_path / f"chirps-v2.0.{date}.tif", rain(1)[0])
    first = tmp_path / "chirps-v2.0.2001.01.1.tif"
    assert str(refusal(tmp_path / "*.tif")) == (
        f"{first}: names that end with .1 to .3 are dekads, or a part of the pentads.\n"
        "Say which: `time: dekad` or `time: pentad`."
    )
    got = opened(tmp_path / "*.tif", time="dekad").precipitation
    assert got.time.values[-1] == np.datetime64({"2001.01.1": "2001-01-01"}.get(dates[-1], "2001-02-01"))
    if len(dates) > 1:
        assert got.time.dt.day.values.tolist() == [1, 11, 21, 1]
        assert opened(tmp_path / "*.tif", time="pentad").time.dt.day.values.tolist() == [1, 6, 11, 1]


def test_a_part_that_a_month_does_not_have(tmp_path):
    path = tif(tmp_path / "chirps-v2.0.2001.01.4.tif", rain(1)[0])
    assert str(refusal(path, time="dekad")).startswith(f"{path}: its name tells part 4 of a month, which no dekad is.")
    assert str(refusal(path, time="month")).startswith(f"{path}: its name tells part 4 of a month, which no month is.")
    for name in ("chirps-v2.0.2001.01.7.tif", "chirps-v2.0.2001.1.tif", "chirps-v2.0.2001.13.tif",
                 "chirps-v2.0.2001.02.30.tif", "chirps-v2.0.20010131.tif"):  # fmt: skip
        path = tif(tmp_path / name, rain(1)[0])
        assert refusal(path).what == f"{path}: its date cannot be told from its name or bands."


def test_steps_are_not_mixed(tmp_path):
    tif(tmp_path / "chirps-v2.0.2001.01.tif", rain(1)[0])
    tif(tmp_path / "chirps-v2.0.2001.02.01.tif", rain(1)[0])
    assert "the step of these files cannot be told" in refusal(tmp_path / "*.tif").what
    path = netcdf(tmp_path / "chirps-v2.0.2001.pentads.nc", rain(365), starts("day", 2001), "mm/day")
    assert refusal(path).what == f"{path}: its times are a day apart, not a pentad."
    path = netcdf(tmp_path / "chirps-v2.0.2001.dekads.nc", rain(36), starts("dekad", 2001), "mm/pentad")
    assert refusal(path, error=UnitError).what == f"{path}: precip is in 'mm/pentad', but its step is a dekad."


# --- what is missing, and what cannot be -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["nc", "tif", "tif.gz"])
@pytest.mark.parametrize("value", [-1.0, -999.0, -9998.0, -99.9, 1e20, np.inf, 9.96921e36])
def test_impossible_rain_is_refused_when_it_is_read(tmp_path, form, value):
    data = rain(12)
    data[3, 2, 2] = value
    if form == "nc":
        path = netcdf(tmp_path / "chirps-v2.0.monthly.nc", data, months(2001, 2001), "mm/month")
    else:
        for k in range(12):
            tif(tmp_path / f"chirps-v2.0.2001.{k + 1:02d}.{form}", data[k])
        path = tmp_path / f"chirps-v2.0.2001.04.{form}"
    everything = tmp_path / f"*.{form}"
    ds = opened(everything)
    with pytest.raises(SourceError) as error:
        ds.compute()
    shown = f"{np.float32(value):g}"
    assert str(error.value) == (
        f"{path}: 1 value(s) cannot be millimetres of rain, such as {shown}.\n"
        f"Download the file again; if it marks missing data so, say `nodata: {shown}`; or correct its unit."
    )
    # a file that is not read is not refused, and what the user says is missing is
    if form != "nc":
        assert np.isfinite(ds.precipitation[0].values).all()
    said = opened(everything, nodata=value).precipitation
    assert int(said.isnull().sum()) == 1


def test_nan_is_missing(tmp_path):
    data = rain(1)
    data[0, 0] = np.nan
    path = tif(tmp_path / "chirps-v3.0.2001.tif", data[0])
    assert_array_equal(opened(path).precipitation.values[0, ::-1], data[0])


# --- versions, variants, resolutions, reach --------------------------------------------------------------------------


def test_resolutions_are_not_mixed(tmp_path):
    coarse = tif(tmp_path / "chirps-v2.0.2001.01.02.tif", rain(1)[0], step=0.25, north=34.25, west=96.25)
    got = opened(coarse).precipitation
    assert got.attrs["product"] == "CHIRPS v2.0 p25"
    assert_array_equal(got.latitude.values, 34.25 - 0.125 - 0.25 * np.arange(6))
    tif(tmp_path / "chirps-v2.0.2001.01.01.tif", rain(1)[0])
    assert str(refusal(tmp_path / "*.tif")) == (
        f"{coarse}: CHIRPS v2.0 p25 beside CHIRPS v2.0: they are not mixed.\nKeep one version, variant and resolution."
    )


@pytest.mark.parametrize(("step", "west", "north"), [(0.1, 96.0, 34.3), (0.05, 96.02, 34.3), (0.05, 96.0, 34.32)])
def test_another_grid_is_no_chirps(tmp_path, step, west, north):
    path = tif(tmp_path / "chirps-v2.0.2001.tif", rain(1)[0], step=step, west=west, north=north)
    error = refusal(path)
    assert error.what == (
        f"{path}: its cells are {step:g} degree, with edges from {west:g}: those of CHIRPS are 0.05 or 0.25, with "
        "edges at multiples of it."
    )
    assert "generic" in error.way_out


def test_other_versions_are_refused(tmp_path):
    path = tif(tmp_path / "chirps-v1.8.2001.tif", rain(1)[0])
    assert str(refusal(path)) == f"{path}: is CHIRPS v1.8; v2.0 and v3.0 are read.\nDownload v2.0 or v3.0."


@pytest.mark.parametrize("form", ["nc", "tif"])
@pytest.mark.parametrize(
    ("version", "bounds", "what", "way_out"),
    [
        (
            "2.0",
            (96, 34, 97, 53.6),
            "CHIRPS v2.0 ends at 50 N, this grid reaches 53.6 N.",
            "v3.0 reaches 60 N and 60 S.",
        ),
        (
            "2.0",
            (96, -55.5, 97, 0),
            "CHIRPS v2.0 ends at 50 S, this grid reaches 55.5 S.",
            "v3.0 reaches 60 N and 60 S.",
        ),
        (
            "3.0",
            (96, 34, 97, 61),
            "CHIRPS v3.0 ends at 60 N, this grid reaches 61 N.",
            "Take another source of precipitation, or make `grid.bounds` smaller.",
        ),
        (
            "2.0",
            (96, 34, 97, 72),
            "CHIRPS v2.0 ends at 50 N, this grid reaches 72 N.",
            "Take another source of precipitation, or make `grid.bounds` smaller.",
        ),
    ],
)
def test_where_a_version_ends(tmp_path, form, version, bounds, what, way_out):
    if form == "nc":
        path = netcdf(tmp_path / "a.nc", rain(12), months(2001, 2001), "mm/month", title=f"CHIRPS Version {version}")
    else:
        path = tif(tmp_path / f"chirps-v{version}.2001.tif", rain(1)[0])
    assert str(refusal(path, bounds=bounds)) == f"{path}: {what}\n{way_out}"
    found = inspected(reader("chirps"), Request((str(path),), bounds=bounds))
    assert found.findings == (Finding("broken", str(path), what, way_out),)


def test_a_v2_file_that_reaches_beyond_v2(tmp_path):
    path = tif(tmp_path / "chirps-v2.0.2001.tif", rain(1)[0], north=53.0)
    assert refusal(path).what == f"{path}: reaches 53 degrees of latitude, CHIRPS v2.0 ends at 50."
    fine = tif(tmp_path / "chirps-v3.0.2001.tif", rain(1)[0], north=60.0)
    assert opened(fine).precipitation.shape == (1, *SHAPE)


def test_the_globe_of_v2_reaches_its_end(tmp_path):
    # a coarse stand-in of the whole of v2.0: 50 N to 50 S, edges at the ends
    path = tif(tmp_path / "chirps-v2.0.2001.tif", np.ones((400, 3)), step=0.25, west=0, north=50)
    got = opened(path).precipitation
    assert (float(got.latitude.max()), float(got.latitude.min())) == (49.875, -49.875)


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
@pytest.mark.parametrize("big", [False, True])
def test_a_gzip_that_is_cut_off_is_found(tmp_path, share, big):
    path = tmp_path / "chirps-v2.0.2001.tif.gz"
    data = np.random.default_rng(1).uniform(0, 99, (900, 900) if big else SHAPE).astype("f4")
    tif(path, data, north=40.0)
    content = path.read_bytes()
    path.write_bytes(content[: max(12, int(len(content) * share))])
    error = refusal(path)
    assert error.what.startswith(f"{path}: ")
    assert "damaged or cut off" in error.what or "is a gzip file" in error.what


def test_a_large_gzip_is_read_by_its_head_and_a_wrong_sum_is_found(tmp_path):
    path = tmp_path / "chirps-v2.0.2001.tif.gz"
    data = np.random.default_rng(1).uniform(0, 99, (900, 900)).astype("f4")
    tif(path, data, north=40.0)
    assert_array_equal(opened(path).precipitation.values[0, ::-1], data)
    part = opened(path, bounds=(100.0, 10.0, 101.0, 11.0)).precipitation
    whole = opened(path).precipitation
    assert part.size < whole.size
    assert_array_equal(part.values, whole.sel(latitude=part.latitude, longitude=part.longitude).values)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # of the checksum
    path.write_bytes(bytes(content))
    assert "damaged or cut off" in refusal(path).what


@pytest.mark.parametrize("end", [".tif", ".tif.gz", ".cog"])
def test_a_file_that_is_damaged_after_it_was_opened(tmp_path, end):
    path = tif(tmp_path / f"chirps-v2.0.2001{end}", rain(1)[0])
    ds = opened(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SourceError, match="damaged or cut off") as error:
        ds.compute()
    assert error.value.what.startswith(f"{path}: ")
    path.unlink()
    with pytest.raises(SourceError, match="damaged or cut off"):
        ds.compute()


def test_many_threads_read_what_one_reads(tmp_path):
    data = rain(48)
    for k in range(48):
        end = (".tif", ".tif.gz", ".cog")[k % 3]
        tif(tmp_path / f"chirps-v2.0.{2001 + k // 12}.{k % 12 + 1:02d}{end}", data[k])
    ds = opened(tmp_path / "chirps*").precipitation

    def one(k):
        return ds[k % 48].compute(scheduler="synchronous").values

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(one, range(96)))
    for k, values in enumerate(got):
        assert_array_equal(values[::-1], data[k % 48])
    assert_array_equal(ds.compute(scheduler="threads", num_workers=8).values[:, ::-1], data)


# --- inspecting ------------------------------------------------------------------------------------------------------


def test_an_inspection_lists_what_is_there_and_what_is_wrong(tmp_path):
    for k in range(3):
        tif(tmp_path / f"chirps-v2.0.2001.{k + 1:02d}.tif", rain(1, k)[0])
    cut = tif(tmp_path / "chirps-v2.0.2001.04.tif.gz", rain(1)[0])
    cut.write_bytes(cut.read_bytes()[:-20])
    page = tmp_path / "chirps-v2.0.2001.05.tif"
    page.write_text("<!DOCTYPE html><html></html>")
    other = tif(tmp_path / "chirps-v3.0.2001.01.tif", rain(1)[0])
    tif(tmp_path / "chirps-v3.0.2001.02.tif", rain(1)[0])
    twice = tmp_path / "chirps-v2.0.2001.02.copy.tif"
    shutil.copy(tmp_path / "chirps-v2.0.2001.02.tif", twice)
    paths = tuple(sorted(str(p) for p in tmp_path.iterdir()))
    with forbid_compute():
        found = inspected(reader("chirps"), Request(paths))
    assert [(g.path.split("v2.0.")[-1], g.start, g.end, g.detail) for g in found.granules] == [
        ("2001.01.tif", "2001-01-01", "2001-01-01", "CHIRPS v2.0"),
        ("2001.02.copy.tif", "2001-02-01", "2001-02-01", "CHIRPS v2.0"),
        ("2001.02.tif", "2001-02-01", "2001-02-01", "CHIRPS v2.0"),
        ("2001.03.tif", "2001-03-01", "2001-03-01", "CHIRPS v2.0"),
    ]
    assert found.granules[0].bytes == os.path.getsize(found.granules[0].path)
    assert [(f.state, f.which) for f in found.findings] == [
        ("broken", str(cut)),
        ("broken", str(page)),
        ("mixed", str(other)),
        ("overlaps", str(tmp_path / "chirps-v2.0.2001.02.tif")),
    ]
    by_state = {f.which: f for f in found.findings}
    assert by_state[str(other)].what == "CHIRPS v3.0 beside CHIRPS v2.0: they are not mixed (2 files)"
    assert by_state[str(page)].what == "is an HTML page, not HDF5 or NetCDF classic or TIFF or a gzipped TIFF."
    overlap = found.findings[-1]
    assert overlap.what == "holds 1 time(s) that chirps-v2.0.2001.02.copy.tif holds too, such as 2001-02-01"
    # equal values may stand twice; others may not
    kept = [p for p in paths if "v2.0.2001.0" in p and p not in (str(cut), str(page))]
    assert nc.open_source("chirps", kept).precipitation.sizes["time"] == 3
    tif(twice, rain(1, 9)[0])
    assert "gives precip of 2001-02-01T00:00 other values than" in refusal(kept).what


def test_an_inspection_lists_the_question_and_other_grids(tmp_path):
    tif(tmp_path / "chirps-v2.0.2001.01.1.tif", rain(1)[0])
    path = str(tmp_path / "chirps-v2.0.2001.01.1.tif")
    found = inspected(reader("chirps"), Request((path,)))
    assert [(f.state, f.which, f.way_out) for f in found.findings] == [
        ("broken", path, "Say which: `time: dekad` or `time: pentad`.")
    ]
    a = tif(tmp_path / "chirps-v3.0.2001.tif", rain(1)[0])
    b = tif(tmp_path / "chirps-v3.0.2002.tif", rain(1)[0], west=97.0)
    found = inspected(reader("chirps"), Request((str(a), str(b))))
    assert [(f.which, f.what) for f in found.findings] == [(str(b), f"its longitude differs from that of {a.name}.")]
    assert refusal([a, b]).what == f"{b}: its longitude differs from that of {a.name}."
    page = tmp_path / "chirps-v3.0.2003.tif"
    page.write_text("<html>")
    assert inspected(reader("chirps"), Request((str(page),))).granules == ()
    with pytest.raises(SourceError, match="chirps gives no 'temperature'"):
        inspected(reader("chirps"), Request((str(a),), quantity="temperature"))


def test_the_real_days_are_inspected(real):
    path = str(real / "chirps/chirps.tif")
    found = inspected(reader("chirps"), Request((path,)))
    assert found.findings == ()
    (granule,) = found.granules
    with rasterio.open(path) as file:
        last = file.descriptions[-1]
    end = datetime.date(2000 + int(last[1:3]), 1, 1) + datetime.timedelta(int(last[3:]) - 1)
    assert (granule.start, granule.end) == ("2016-10-25", end.isoformat())
    assert granule.detail == "CHIRPS of unknown version"
    gaps = nc.open_source("chirps", path, bounds=(23.0, -16.0, 28.0, -10.0)).precipitation
    whole = nc.open_source("chirps", path).precipitation
    assert_array_equal(gaps.values, whole.sel(latitude=gaps.latitude, longitude=gaps.longitude).values)
