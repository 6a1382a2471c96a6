"""GRIB that ecCodes writes here: messages of both editions, in any order, against the numbers that went in."""

import importlib
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.harmonise import to_interval
from nepcube.sources import Request, reader
from nepcube.testing import forbid_compute

LATITUDE = 34.3 - np.arange(4) / 10
LONGITUDE = 96.0 + np.arange(5) / 10
PARAMETERS = {"t2m": 167, "tp": 228, "ssr": 176, "ssrd": 169}


@pytest.fixture(scope="session")
def eccodes():
    # its wheels load a PROJ for the whole process: pyproj comes first
    importlib.import_module("pyproj")
    return pytest.importorskip("eccodes", reason="the extra `grib` is not installed")


def message(
    codes, name, stamp, values, *, edition=1, stream="oper", expver="0001", step=0, latitude=LATITUDE,
    longitude=LONGITUDE, bits=24, number=None, by_row=True,
):  # fmt: skip
    """Give the bytes of one field whose validity is `stamp`, `step` hours after its start."""
    handle = codes.codes_grib_new_from_samples(f"regular_ll_sfc_grib{edition}")
    start = np.datetime64(stamp, "h") - np.timedelta64(step, "h")
    date, clock = str(start.astype("datetime64[D]")).replace("-", ""), int(str(start)[11:13]) * 100
    keys = {"centre": 98, "stream": stream, "type": "fc" if step else "an", "dataDate": int(date), "dataTime": clock}
    if number is not None:
        keys |= {"type": "pf"}
    keys |= {"Ni": longitude.size, "Nj": latitude.size, "jScansPositively": int(latitude[-1] > latitude[0])}
    keys |= {"jPointsAreConsecutive": int(not by_row)}
    keys |= {
        "latitudeOfFirstGridPointInDegrees": latitude[0], "latitudeOfLastGridPointInDegrees": latitude[-1],
        "longitudeOfFirstGridPointInDegrees": longitude[0], "longitudeOfLastGridPointInDegrees": longitude[-1],
        "iDirectionIncrementInDegrees": 0.1, "jDirectionIncrementInDegrees": 0.1,
    }  # fmt: skip
    if edition == 2:
        codes.codes_set(handle, "setLocalDefinition", 1)
    for key, value in keys.items():
        codes.codes_set(handle, key, value)
    codes.codes_set(handle, "experimentVersionNumber", expver)
    codes.codes_set(handle, "paramId", PARAMETERS[name])
    if step:
        codes.codes_set(handle, "stepType", "accum")
        codes.codes_set(handle, "stepRange", f"0-{step}")
    values = np.asarray(values, float)
    flat = (values if by_row else values.T).ravel()
    if np.isnan(flat).any():
        codes.codes_set(handle, "bitmapPresent", 1)
        codes.codes_set(handle, "missingValue", 9999.0)
        flat = np.where(np.isnan(flat), 9999.0, flat)
    codes.codes_set(handle, "bitsPerValue", bits)
    codes.codes_set_values(handle, flat)
    out = codes.codes_get_message(handle)
    codes.codes_release(handle)
    return out


def write(path, messages):
    path.write_bytes(b"".join(messages))
    return path


def opened(paths, name="era5-land", **options):
    with forbid_compute():
        return nc.open_source(name, paths, **options)


def fields(n, seed=0, low=250.0, high=290.0, shape=(4, 5)):
    return np.random.default_rng(seed).uniform(low, high, (n, *shape))


def months(first, last):
    return np.arange(f"{first}-01", f"{last + 1}-01", dtype="datetime64[M]")


@pytest.mark.parametrize("edition", [1, 2])
def test_months(eccodes, tmp_path, edition):
    t, p = fields(12), fields(12, 1, 0, 0.01)
    t[:, 0, 0] = np.nan
    out = []
    for k, month in enumerate(months(2001, 2001)):
        out.append(message(eccodes, "t2m", month, t[k], edition=edition, stream="moda"))
        out.append(message(eccodes, "tp", month, p[k], edition=edition, stream="moda"))
    # messages come in any order
    order = np.random.default_rng(0).permutation(24)
    ds = opened(write(tmp_path / "a.grib", [out[k] for k in order]))
    assert_array_equal(ds.time.values.astype("datetime64[M]"), months(2001, 2001))
    assert_allclose(ds.latitude.values, LATITUDE, rtol=0, atol=1e-9)
    assert_allclose(ds.longitude.values, LONGITUDE, rtol=0, atol=1e-9)
    # 24 bits of a range of 40 K, and float32
    assert_allclose(ds.temperature.values, t, rtol=0, atol=4e-5)
    assert_allclose(ds.precipitation.values, p, rtol=0, atol=1e-8)
    assert np.isnan(ds.temperature.values[:, 0, 0]).all()
    assert ds.temperature.attrs["units"] == "K"
    assert ds.precipitation.attrs["units"] == "m"
    assert (ds.precipitation.attrs["aggregation"], ds.precipitation.attrs["frequency"]) == ("per_day", "month")


def test_hours_of_forecasts_stand_at_their_validity(eccodes, tmp_path):
    # ERA5-Land: steps 1 to 24 from 00 UTC
    hourly = np.where(np.arange(72)[:, None, None] % 5 < 2, 0.002, 0.0) * np.ones((1, 4, 5))
    running = hourly.reshape(3, 24, 4, 5).cumsum(axis=1).reshape(72, 4, 5)
    stamps = np.datetime64("2001-06-01T01") + np.arange(72)
    out = [message(eccodes, "tp", s, running[k], step=k % 24 + 1) for k, s in enumerate(stamps)]
    path = write(tmp_path / "a.grib", out)
    ds = opened(path)
    assert_array_equal(ds.time.values.astype("datetime64[h]"), stamps)
    assert ds.precipitation.attrs["aggregation"] == "accumulated_since_00utc"
    daily = to_interval(ds, "day").precipitation
    want = hourly.reshape(3, 24, 4, 5).sum(axis=1) * 1000
    assert_allclose(daily.values, want, rtol=0, atol=1e-4)  # 24 bits and float32 of 20 mm
    with pytest.raises(SourceError, match="accumulates from 00 UTC, which that of ERA5 does not"):
        opened(path, "era5")


def test_rows_from_the_south_columns_first_and_longitudes_to_360(eccodes, tmp_path):
    t = fields(2)
    place = {"latitude": LATITUDE[::-1], "longitude": (LONGITUDE + 260.0)}
    out = [message(eccodes, "t2m", m, t[k], stream="moda", **place) for k, m in enumerate(months(2001, 2001)[:2])]
    ds = opened(write(tmp_path / "a.grib", out))
    assert_allclose(ds.latitude.values, LATITUDE[::-1], rtol=0, atol=1e-9)
    assert_allclose(ds.longitude.values, LONGITUDE - 100.0, rtol=0, atol=1e-9)
    assert_allclose(ds.temperature.values, t, rtol=0, atol=4e-5)
    out = [message(eccodes, "t2m", m, t[k], stream="moda", by_row=False) for k, m in enumerate(months(2001, 2001)[:2])]
    ds = opened(write(tmp_path / "b.grib", out))
    assert_allclose(ds.temperature.values, t, rtol=0, atol=4e-5)
    part = ds.temperature.isel(time=1, latitude=slice(3, 0, -2), longitude=slice(1, None, 2))
    assert_allclose(part.values, t[1, 3:0:-2, 1::2], rtol=0, atol=4e-5)


def test_a_window_and_a_worker(eccodes, tmp_path):
    t = fields(12)
    out = [message(eccodes, "t2m", m, t[k], stream="moda") for k, m in enumerate(months(2001, 2001))]
    path = write(tmp_path / "a.grib", out)
    ds = opened(path, bounds=(96.15, 33.95, 96.25, 34.05))
    want = t[:, -ds.sizes["latitude"] :, : ds.sizes["longitude"]]
    assert_allclose(ds.temperature.values, want, rtol=0, atol=4e-5)
    again = pickle.loads(pickle.dumps(ds))
    assert_array_equal(again.temperature.values, ds.temperature.values)


def test_final_messages_win_over_preliminary_ones(eccodes, tmp_path):
    t = fields(12)
    out = [
        message(eccodes, "t2m", m, t[k], stream="moda", expver="0005" if k > 9 else "0001")
        for k, m in enumerate(months(2001, 2001))
    ]
    out.append(message(eccodes, "t2m", "2001-11", t[10] + 1, stream="moda", expver="0001"))
    path = write(tmp_path / "a.grib", out)
    ds = opened(path)
    t[10] += 1
    assert_allclose(ds.temperature.values, t, rtol=0, atol=4e-5)
    assert ds.temperature.attrs["preliminary"] == "2001-12"
    found = reader("era5-land").inspect(Request(paths=(str(path),), quantity="temperature"))
    assert found.granules[0].detail == "t2m; 1 preliminary"
    out.append(message(eccodes, "t2m", "2001-11", t[10], stream="moda", expver="0001"))
    with pytest.raises(SourceError, match="t2m of 2001-11-01 00:00 stands in it twice"):
        opened(write(tmp_path / "b.grib", out))


def test_variables_of_other_times_are_opened_one_by_one(eccodes, tmp_path):
    out = [message(eccodes, "t2m", m, fields(1)[0], stream="moda") for m in months(2001, 2001)]
    out += [message(eccodes, "tp", m, fields(1, 1, 0, 0.01)[0], stream="moda") for m in months(2001, 2001)[:6]]
    path = write(tmp_path / "a.grib", out)
    with pytest.raises(SourceError, match="t2m, tp have different times in it"):
        opened(path)
    assert opened(path, quantity="temperature").sizes["time"] == 12
    assert opened(path, quantity="precipitation").sizes["time"] == 6


def test_grib_beside_netcdf(eccodes, tmp_path):
    from providers import MODA, write_netcdf

    t = fields(24).astype(np.float32)
    out = [message(eccodes, "t2m", m, t[k], stream="moda") for k, m in enumerate(months(2001, 2001))]
    a = write(tmp_path / "a.grib", out)
    b = write_netcdf(tmp_path / "b.nc", months(2002, 2002), {"t2m": t[12:]}, attrs=MODA)
    ds = opened([a, b])
    assert_allclose(ds.temperature.values, t, rtol=0, atol=4e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stream": "mnth"}, "by hour of day (stream mnth)"),
        ({"expver": "0079"}, "experiment versions 79"),
    ],
)
def test_refusals(eccodes, tmp_path, options, words):
    path = write(tmp_path / "a.grib", [message(eccodes, "t2m", "2001-01", fields(1)[0], **options)])
    with pytest.raises(SourceError) as error:
        opened(path)
    assert error.value.what.startswith(f"{path}: ")
    assert words in error.value.what


def test_a_variable_that_is_not_there(eccodes, tmp_path):
    path = write(tmp_path / "a.grib", [message(eccodes, "ssrd", "2001-01", fields(1)[0], stream="moda")])
    with pytest.raises(SourceError) as error:
        opened(path, quantity="radiation")
    assert "(found: ssrd)" in error.value.what
    assert "variable:" in error.value.way_out


def attempt(path):
    try:
        return opened(path).temperature.load(), None
    except nc.NepcubeError as error:
        return None, error


def test_cut_and_flipped_messages(eccodes, tmp_path):
    t = fields(12)
    out = [message(eccodes, "t2m", m, t[k], stream="moda") for k, m in enumerate(months(2001, 2001))]
    whole = b"".join(out)
    rng = np.random.default_rng(1)
    refused = 0
    for k in range(120):
        data = bytearray(whole)
        if k % 3 == 0:
            data = data[: int(rng.integers(5, len(whole)))]
        else:
            # the headers of a message: its values are not protected by anything
            at = int(rng.integers(0, 12)) * len(out[0]) + int(rng.integers(0, 60))
            data[at] ^= 1 << int(rng.integers(0, 8))
        path = tmp_path / f"{k}.grib"
        path.write_bytes(bytes(data))
        got, error = attempt(path)
        if error is not None:
            assert str(path) in error.what
            refused += 1
            continue
        # what is read has the numbers that were written, at the places that the header gives
        held = got.time.values.astype("datetime64[M]")
        at = [int(i) for i in (held - np.datetime64("2001-01")).astype(int)]
        if data[:] != whole and k % 3 == 0:
            assert_allclose(got.values, t[at], rtol=0, atol=4e-5)
    assert refused > 40


def test_without_eccodes_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "eccodes", None)
    path = tmp_path / "a.grib"
    path.write_bytes(b"GRIB" + bytes(200))
    with pytest.raises(SourceError) as error:
        nc.open_source("era5-land", path)
    assert str(error.value) == (
        f"{path}: is GRIB, and ecCodes is not installed.\n"
        "Install it (`pip install 'nepcube[grib]'`), or ask for NetCDF."
    )
