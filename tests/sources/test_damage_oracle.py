"""Damaged and odd inputs of CHIRPS and generic files: each is read right or refused by name, never anything else."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from providers import write_geotiff
from rasterio.shutil import copy as raster_copy

import nepcube as nc
from nepcube.errors import NepcubeError
from nepcube.sources import Inspection, Request, inspected, reader

ROWS, COLUMNS = 24, 20
LATITUDE = (np.arange(680, 680 + ROWS)[::-1] + 0.5) / 20
LONGITUDE = (np.arange(1920, 1920 + COLUMNS) + 0.5) / 20
MONTHS = np.arange("2001-01", "2002-01", dtype="datetime64[M]").astype("datetime64[ns]")


def rain():
    data = np.random.default_rng(7).gamma(2.0, 30.0, (12, ROWS, COLUMNS)).astype("f4")
    data[:, 3:6, 4:9] = -9999
    return data


def truth():
    total = np.zeros((ROWS, COLUMNS))
    for month in rain():
        total += np.where(month == -9999, np.nan, month)
    return total


def dataset():
    return xr.Dataset(
        {"precip": (("time", "latitude", "longitude"), rain(), {"units": "mm/month"})},
        coords={
            "time": MONTHS,
            "latitude": ("latitude", LATITUDE.astype("f4"), {"units": "degrees_north"}),
            "longitude": ("longitude", LONGITUDE.astype("f4"), {"units": "degrees_east"}),
        },
        attrs={"title": "CHIRPS Version 2.0"},
    )


FILL = np.float32(-9999)


def write_nc(folder, ds=None, *, engine="h5netcdf", fill=FILL, name="chirps-v2.0.2001.monthly.nc"):
    ds = dataset() if ds is None else ds
    packed = {"zlib": True, "complevel": 4} if engine == "h5netcdf" else {}
    held = [v for v in ds.data_vars if ds[v].dtype.kind == "f"]
    ds.to_netcdf(folder / name, engine=engine, encoding={v: {"_FillValue": fill} | packed for v in held})
    return folder / name


def write_tif(path, month, **options):
    """A raster under its last name, in one of the provider's forms, its bytes under a checksum."""
    plain = path.with_suffix(".plain")
    write_geotiff(plain, month, west=96.0, north=LATITUDE[0] + 0.025, step=0.05)
    if path.suffix == ".cog":
        raster_copy(plain, path, driver="COG", compress="deflate")
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        raster_copy(plain, path, driver="GTiff", **({"compress": "deflate"} | options))
    plain.unlink()
    return path


def write_tifs(folder, end):
    """The twelve months, of which the fifth is the one to be damaged."""
    paths = [write_tif(folder / f"chirps-v2.0.2001.{k + 1:02d}{end}", month) for k, month in enumerate(rain())]
    return paths[4]


def write_form(folder, form):
    if form == "hdf5":
        return write_nc(folder)
    return write_nc(folder, engine="scipy", fill=None) if form == "classic" else write_tifs(folder, form)


def annual(name, folder, options):
    # to the end of what a run asks: header, plan of the year, every value
    paths = sorted(p for p in folder.iterdir() if p.name.startswith("chirps"))
    ds = nc.open_source(name, paths, quantity="precipitation", **options)
    out = nc.to_annual(ds, years=(2001, 2001)).precipitation.compute(scheduler="synchronous")
    return out.sortby("latitude", ascending=False)


def verdict(name, folder, options, *, at=None):
    """Give "right" or "refused"; a word of what is wrong with anything else."""
    paths = tuple(sorted(str(p) for p in folder.iterdir() if p.name.startswith("chirps")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = inspected(reader(name), Request(paths, "precipitation", years=(2001, 2001), **options))
        assert isinstance(found, Inspection)
        try:
            got = annual(name, folder, options)
        except NepcubeError as error:
            named = at is None or Path(at).name in error.what or "incomplete: no value at" in error.what
            return "refused" if named else f"refused without its name: {error}"
    if got.shape != (1, ROWS, COLUMNS) or not np.array_equal(got.values[0], truth(), equal_nan=True):
        return "another number"
    # an axis is regular within a fiftieth of its step
    places = [(got.latitude.values, LATITUDE), (got.longitude.values, LONGITUDE)]
    if max(np.abs(a - b).max() for a, b in places) > 0.001:
        return "another place"
    return "right"


READERS = {"chirps": {}, "generic": {"aggregate": "amount", "time": "month", "nodata": -9999.0}}


def options_of(name, form):
    # a GeoTIFF names no unit
    return READERS[name] | ({"units": "mm"} if name == "generic" and form.startswith(".") else {})


def damaged(content, seed, unprotected):
    """A copy with a bit changed, a run of bytes changed, a part cut out, or the end cut off."""
    rng = np.random.default_rng(seed)
    out = bytearray(content)
    safe = [k for k in range(len(out)) if not any(a <= k < b for a, b in unprotected)]
    # half of them near the front, where headers are
    place = safe[int(rng.integers(0, len(safe) if seed % 8 < 4 else min(len(safe), 600)))]
    if seed % 4 == 0:
        out[place] ^= 1 << int(rng.integers(0, 8))
    elif seed % 4 == 1:
        for k in [k for k in safe if k >= place][: int(rng.integers(1, 64))]:
            out[k] = int(rng.integers(0, 256))
    elif seed % 4 == 2:
        del out[place : place + int(rng.integers(1, 200))]
    else:
        del out[place:]
    return bytes(out)


def unprotected(content, form):
    """Runs of bytes over which the format has no checksum, so that nobody can tell that one of them changed.

    Those are the values of a classic file and the number that says where they begin.
    """
    if form != "classic":
        return []
    at = content.find(rain().astype(">f4").tobytes())
    place = content.find(at.to_bytes(4, "big"))
    assert 0 < place < at
    return [(at, at + rain().nbytes), (place, place + 4)]


FORMS = ("hdf5", "classic", ".tif", ".tif.gz", ".cog")


def damage(name, form, folder, seeds):
    """Damage one file in many ways; give the verdict of each seed."""
    at = write_form(folder, form)
    content = at.read_bytes()
    runs = unprotected(content, form)
    out = {}
    for seed in seeds:
        # another file each time: one that is still open is not written into
        at.unlink()
        at.write_bytes(damaged(content, seed, runs))
        out[seed] = verdict(name, folder, options_of(name, form), at=at)
    return out


def assert_right_or_refused(verdicts):
    assert {k: v for k, v in verdicts.items() if v not in ("right", "refused")} == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(READERS))
def test_damaged_bytes(tmp_path, name, form):
    verdicts = damage(name, form, tmp_path, range(8))
    assert_right_or_refused(verdicts)
    # what is cut off, or is another file altogether, is never right
    assert all(verdicts[seed] == "refused" for seed in verdicts if seed % 4 == 3)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(READERS))
def test_damaged_bytes_in_many_ways(tmp_path, name, form):
    assert_right_or_refused(damage(name, form, tmp_path, range(12, 60)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(READERS))
def test_the_whole_file_is_right(tmp_path, name, form):
    at = write_form(tmp_path, form)
    assert verdict(name, tmp_path, options_of(name, form), at=at) == "right"


def sea(value):
    return lambda ds: ds.assign(precip=ds.precip.where(ds.precip != -9999, value))


def stamps(change):
    return lambda ds: ds.assign_coords(time=change(ds.time.values.copy()))


def put(values, k, value):
    values[k] = value
    return values


def with_attrs(**attrs):
    def change(ds):
        ds.precip.attrs = {k: v for k, v in (ds.precip.attrs | attrs).items() if v is not None}
        return ds

    return change


def axis(name, change):
    return lambda ds: ds.assign_coords({name: (name, change(ds[name].values.copy()), ds[name].attrs)})


def bare(ds):
    for name in ("latitude", "longitude"):
        ds[name].attrs = {}
    return ds


def encoded_time(units, **attrs):
    def change(ds):
        days = (ds.time.values - np.datetime64("2001-01-01", "ns")) / np.timedelta64(1, "D")
        return ds.assign_coords(time=("time", days, {"units": units} | attrs))

    return change


SHUFFLED = np.random.default_rng(5).permutation(12)
ODD = {
    # what is done, and what becomes of it
    "no unit": (with_attrs(units=None), "refused"),
    "unit of a day": (with_attrs(units="mm/day"), "refused"),
    "unit of a year": (with_attrs(units="mm/year"), "refused"),
    "unknown unit": (with_attrs(units="inches"), "refused"),
    "bare millimetres": (with_attrs(units="mm"), "right"),
    "no attributes of the axes": (bare, "right"),
    "dims permuted": (lambda ds: ds.transpose("longitude", "time", "latitude"), "right"),
    "dims permuted again": (lambda ds: ds.transpose("latitude", "longitude", "time"), "right"),
    "lat and lon": (lambda ds: bare(ds).rename(latitude="lat", longitude="lon"), "right"),
    "LAT and LON": (lambda ds: bare(ds).rename(latitude="LAT", longitude="LON"), "right"),
    "unknown dims": (lambda ds: bare(ds).rename(latitude="row", longitude="column"), "refused"),
    "unknown dims with units": (lambda ds: ds.rename(latitude="row", longitude="column"), "right"),
    "x and y without a CRS": (lambda ds: bare(ds).rename(latitude="y", longitude="x"), "refused"),
    "times shuffled": (lambda ds: ds.isel(time=SHUFFLED), "right"),
    "times backwards": (lambda ds: ds.isel(time=slice(None, None, -1)), "right"),
    "a time twice": (stamps(lambda t: put(t, 4, t[3])), "refused"),
    "a time a year later": (stamps(lambda t: put(t, 4, np.datetime64("2002-05-01", "ns"))), "refused"),
    "a time missing": (lambda ds: ds.isel(time=[k for k in range(12) if k != 6]), "refused"),
    "half a year": (lambda ds: ds.isel(time=slice(0, 6)), "refused"),
    "no times": (lambda ds: ds.isel(time=slice(0, 0)), "refused"),
    "a time that is none": (stamps(lambda t: put(t, 4, np.datetime64("NaT"))), "refused"),
    "another year": (stamps(lambda t: t + np.timedelta64(365, "D")), "refused"),
    "years before Christ": (encoded_time("days since 0001-01-01"), "refused"),
    "months since": (encoded_time("months since 2001-01-01"), "refused"),
    "a calendar without leap days": (encoded_time("days since 2001-01-01", calendar="noleap"), "either"),
    "a calendar of 360 days": (encoded_time("days since 2001-01-01", calendar="360_day"), "refused"),
    "no unit of time": (encoded_time("days"), "refused"),
    "no time": (lambda ds: ds.drop_vars("time"), "refused"),
    "south up": (lambda ds: ds.isel(latitude=slice(None, None, -1)), "right"),
    "longitudes beyond 180": (axis("longitude", lambda v: v + 360), "right"),
    "a latitude moved": (axis("latitude", lambda v: put(v, 5, v[5] + 0.02)), "refused"),
    "a latitude missing": (axis("latitude", lambda v: put(v, 5, np.nan)), "refused"),
    "a longitude left out": (lambda ds: ds.isel(longitude=[k for k in range(COLUMNS) if k != 7]), "refused"),
    "longitudes shuffled": (
        lambda ds: ds.isel(longitude=np.random.default_rng(2).permutation(COLUMNS)),
        "refused",
    ),
    "axes in float64": (axis("latitude", lambda v: np.round(v.astype(float), 3)), "right"),
    "an axis of one value": (axis("latitude", lambda v: np.full_like(v, 34.0)), "refused"),
    "the sea is NaN": (sea(np.nan), "right"),
    "the sea is -99": (sea(-99), "refused"),
    "the sea is 1e20": (sea(1e20), "refused"),
    "the sea is -32768": (sea(-32768), "refused"),
    "a negative cell": (lambda ds: ds.assign(precip=ds.precip.where(ds.precip != ds.precip[2, 9, 9], -5.0)), "refused"),
    "an infinite cell": (
        lambda ds: ds.assign(precip=ds.precip.where(ds.precip != ds.precip[2, 9, 9], np.inf)),
        "refused",
    ),
    "in float64": (lambda ds: ds.assign(precip=ds.precip.astype("f8")), "right"),
    "a further dimension of one": (lambda ds: ds.assign(precip=ds.precip.expand_dims("level", 1)), "right"),
    "a further dimension of two": (
        lambda ds: ds.assign(precip=xr.concat([ds.precip, ds.precip], "level").transpose("time", "level", ...)),
        "refused",
    ),
    "without values": (lambda ds: ds.drop_vars("precip"), "refused"),
    "text instead": (lambda ds: ds.assign(precip=("time", np.array(["a"] * 12))), "refused"),
}


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize("odd", list(ODD))
@pytest.mark.parametrize("name", list(READERS))
def test_odd_netcdf(tmp_path, name, odd, engine):
    change, becomes = ODD[odd]
    ds = dataset()
    attrs = dict(ds.precip.attrs)
    ds = change(ds)
    if "precip" in ds and not ds.precip.attrs and "unit" not in odd:
        ds.precip.attrs = attrs
    at = write_nc(tmp_path, ds, engine=engine, fill=None)
    got = verdict(name, tmp_path, options_of(name, "hdf5"), at=at)
    assert got == becomes if becomes != "either" else got in ("right", "refused")


@pytest.mark.parametrize("declared", [None, -9999.0, -1e30, np.nan])
@pytest.mark.parametrize("name", list(READERS))
def test_odd_fill_values(tmp_path, name, declared):
    at = write_nc(tmp_path, fill=None if declared is None else np.float32(declared))
    assert verdict(name, tmp_path, options_of(name, "hdf5"), at=at) == "right"


LAYOUTS = {
    "uncompressed": {"compress": "none"},
    "lzw": {"compress": "lzw"},
    "zstd": {"compress": "zstd"},
    "predictor": {"compress": "deflate", "predictor": "3"},
    "tiles": {"tiled": "yes", "blockxsize": 16, "blockysize": 16},
    "big": {"bigtiff": "yes"},
    "other end first": {"endianness": "big"},
    "one strip": {"blockysize": ROWS},
    "a line a strip": {"blockysize": 1},
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("name", list(READERS))
def test_odd_layouts_of_a_geotiff(tmp_path, name, layout):
    at = write_tifs(tmp_path, ".tif")
    at.unlink()
    write_tif(at, rain()[4], **LAYOUTS[layout])
    assert verdict(name, tmp_path, options_of(name, ".tif"), at=at) == "right"


def edited(**changes):
    def change(path):
        with rasterio.open(path, "r+") as file:
            for key, value in changes.items():
                setattr(file, key, value)

    return change


def rewritten(data=None, **changes):
    def change(path):
        with rasterio.open(path) as file:
            profile, values = file.profile | changes, file.read()
        path.unlink()
        values = data(values) if data else values
        with rasterio.open(path, "w", **profile) as file:
            file.write(values.astype(profile["dtype"]))

    return change


def as_point(path):
    with rasterio.open(path, "r+") as file:
        file.update_tags(AREA_OR_POINT="Point")


AFFINE = rasterio.Affine
ODD_TIFS = {
    "nodata declared": (edited(nodata=-9999.0), "right"),
    "nodata is NaN": (edited(nodata=np.nan), "right"),
    "another nodata": (edited(nodata=-1e30), "right"),
    "in float64": (rewritten(dtype="float64"), "right"),
    "the sea is NaN": (rewritten(lambda v: np.where(v == -9999, np.nan, v)), "right"),
    "the sea is -99": (rewritten(lambda v: np.where(v == -9999, -99, v)), "refused"),
    "a negative cell": (rewritten(lambda v: np.where(v == v.max(), -v, v)), "refused"),
    "no CRS": (rewritten(crs=None), "refused"),
    "another CRS": (rewritten(crs="EPSG:32647"), "refused"),
    "no place": (rewritten(transform=AFFINE.identity()), "refused"),
    "rotated": (rewritten(transform=AFFINE(0.05, 0.001, 96, 0.001, -0.05, 35.2)), "refused"),
    "moved by half a cell": (rewritten(transform=AFFINE(0.05, 0, 96.025, 0, -0.05, 35.2)), "refused"),
    "moved by a cell": (rewritten(transform=AFFINE(0.05, 0, 96.05, 0, -0.05, 35.2)), "refused"),
    "other cells": (rewritten(transform=AFFINE(0.1, 0, 96, 0, -0.1, 35.2)), "refused"),
    "south up": (rewritten(transform=AFFINE(0.05, 0, 96, 0, 0.05, 34.0)), "refused"),
    "a row less": (rewritten(lambda v: v[:, 1:], height=ROWS - 1), "refused"),
    "two bands": (rewritten(lambda v: np.concatenate([v, v]), count=2), "refused"),
    "complex": (rewritten(dtype="complex64"), "refused"),
    "a page": (lambda path: path.write_text("<html>not found</html>"), "refused"),
    "empty": (lambda path: path.write_bytes(b""), "refused"),
    "a note": (lambda path: path.write_text("not found"), "refused"),
    "the magic alone": (lambda path: path.write_bytes(b"II*\x00"), "refused"),
    "a directory nowhere": (lambda path: path.write_bytes(b"II*\x00\xff\xff\xff\x7f" + bytes(64)), "refused"),
    "a gzip of nothing": (lambda path: path.write_bytes(gzip.compress(b"")), "refused"),
    "a gzip of the magic": (lambda path: path.write_bytes(gzip.compress(b"II*\x00")), "refused"),
    "gzipped under its old name": (lambda path: path.write_bytes(gzip.compress(path.read_bytes())), "right"),
    "marked as points": (as_point, "either"),
    "gone": (lambda path: path.unlink(), "refused"),
}


@pytest.mark.parametrize("odd", list(ODD_TIFS))
@pytest.mark.parametrize("name", list(READERS))
def test_odd_geotiff(tmp_path, name, odd):
    change, becomes = ODD_TIFS[odd]
    at = write_tifs(tmp_path, ".tif")
    change(at)
    got = verdict(name, tmp_path, options_of(name, ".tif"), at=None if odd == "gone" else at)
    assert got == becomes if becomes != "either" else got in ("right", "refused")
