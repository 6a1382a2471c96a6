"""Damage to what a file says of its values, not to the values: headers, directories, indices, tables of places.

Each `Case` writes an archive, knows which bytes of a file are its values, and reads it to the end of what a run asks.
"""

import gzip
import importlib
import io
import random
import struct
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import h5py
import layouts
import numpy as np
import rasterio
import xarray as xr
from layouts import IN_DEGREES, ON_TILE, YEARS, write_bands
from providers import LATITUDE, LONGITUDE, MODA, granule, months, write_netcdf, write_tile_tif
from rasterio.shutil import copy as raster_copy
from rasterio.transform import Affine

import nepcube as nc
from nepcube.errors import NepcubeError
from nepcube.sources import Inspection, Request, inspected, reader

# --- which bytes are values, told by the formats themselves ------------------------------------------------------

SCALE, TIEPOINT, GEO_KEYS, GEO_NUMBERS, GEO_TEXT, NODATA = 33550, 33922, 34735, 34736, 34737, 42113
PLACE = (SCALE, TIEPOINT, GEO_KEYS, GEO_NUMBERS, GEO_TEXT)
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def tiff_tags(content):
    """Give each directory as {tag: (numbers or None, start, end of the value)}."""
    order = "<" if content[:2] == b"II" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    word, wide = ("Q", 8) if big else ("I", 4)
    at, out = struct.unpack_from(order + word, content, 8 if big else 4)[0], []
    while at:
        (n,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
        at += 8 if big else 2
        tags = {}
        for k in range(n):
            here = at + k * (4 + 2 * wide)
            tag, kind, number = struct.unpack_from(f"{order}HH{word}", content, here)
            start, length = here + 4 + wide, _SIZES[kind] * number
            if length > wide:
                (start,) = struct.unpack_from(order + word, content, start)
            code = {3: "H", 4: "I", 16: "Q"}.get(kind)
            numbers = struct.unpack_from(f"{order}{number}{code}", content, start) if code else None
            tags[tag] = (numbers, start, start + length)
        out.append(tags)
        (at,) = struct.unpack_from(order + word, content, at + n * (4 + 2 * wide))
    return out


def tiff_values(content, but=()):
    """Give the blocks of every image, and the values of some tags of the first directory."""
    directories = tiff_tags(content)
    out = [directories[0][tag][1:] for tag in but if tag in directories[0]]
    for tags in directories:
        places, sizes = (324, 325) if 324 in tags else (273, 279)
        out += [(a, a + n) for a, n in zip(tags[places][0], tags[sizes][0], strict=True)]
    return out


def hdf4_values(content):
    """Give the bytes of compressed and of plain fields (tags 40 and 702)."""
    out, block = [], 4
    while block:
        count, following = struct.unpack_from(">hi", content, block)
        for k in range(count):
            tag, _, offset, length = struct.unpack_from(">HHii", content, block + 6 + 12 * k)
            if tag in (40, 702) and offset > 0:
                out.append((offset, offset + length))
        block = following
    return out


def hdf5_values(content, axes=()):
    """Give the chunks of all variables, and the plain bytes of those that are not `axes`."""
    out = []

    def visit(name, item):
        if not isinstance(item, h5py.Dataset) or not item.size:
            return
        if item.chunks is not None:
            out.extend(
                (c.byte_offset, c.byte_offset + c.size)
                for c in map(item.id.get_chunk_info, range(item.id.get_num_chunks()))
            )
        elif item.id.get_offset() is not None and name not in axes:
            out.append((item.id.get_offset(), item.id.get_offset() + item.id.get_storage_size()))

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(visit)
    return out


def values_of_classic(content, values):
    at = content.index(np.asarray(values).astype(">f4").tobytes())
    return [(at, at + 4 * values.size)]


def rain_of_classic(content):
    return values_of_classic(content, rain())


def packed_values(content):
    """Give the blocks, and the scale, which each file may have for itself."""
    return [*tiff_values(content), *found(content, b"0.0001")]


def grib_values(content):
    """Give the sections that hold values and how they are packed: 4 of edition 1, 5 and 7 of edition 2."""
    out, at = [], 0
    while at < len(content):
        edition = content[at + 7]
        if edition == 1:
            end = at + int.from_bytes(content[at + 4 : at + 7], "big")
            # sections 1 and 2, and 3 where there is a bitmap
            section, flags = at + 8, content[at + 15]
            spans = []
            for there in (True, bool(flags & 128), bool(flags & 64), True):
                if there:
                    length = int.from_bytes(content[section : section + 3], "big")
                    spans.append((section, section + length))
                    section += length
            # how it is packed begins behind the length, the flags are bits of it; the decimal scale stands in section 1
            out += [spans[-1], (spans[0][0] + 26, spans[0][0] + 28)]
            if flags & 64:
                out.append(spans[-2])
        else:
            end = at + int.from_bytes(content[at + 8 : at + 16], "big")
            section = at + 16
            while section < end - 4:
                length = int.from_bytes(content[section : section + 4], "big")
                if content[section + 4] in (5, 6, 7):
                    out.append((section, section + length))
                section += length
        at = end
    return out


def found(content, *texts):
    """Give every place of some texts."""
    out = []
    for text in texts:
        at = content.find(text)
        while at >= 0:
            out.append((at, at + len(text)))
            at = content.find(text, at + 1)
    return out


# --- the damage ----------------------------------------------------------------------------------------------------


def damaged(content, rng, spare):
    """Change a file, but those of `spare`: bits, bytes, runs of zeros, ones or other bytes of it."""
    out = bytearray(content)
    gaps, at = [], 0
    for a, b in [*sorted(spare), (len(out), len(out))]:
        if a > at:
            gaps.append((at, a))
        at = max(at, b)
    weights = [b - a for a, b in gaps]

    def place():
        a, b = rng.choices(gaps, weights)[0]
        return rng.randrange(a, b), b

    how = rng.choice(["bit", "bit", "bit", "bits", "byte", "byte", "step", "zeros", "ones", "copy"])
    for _ in range(rng.choice([2, 4, 8]) if how == "bits" else 1):
        start, end = place()
        length = 1 if how in ("bit", "bits", "byte", "step") else rng.choice([1, 2, 4, 8, 16, 64])
        source, _ = place()
        for k in range(start, min(start + length, end)):
            if how in ("bit", "bits"):
                out[k] ^= 1 << rng.randrange(8)
            elif how == "step":
                out[k] = (out[k] + rng.choice([1, 255])) % 256
            elif how == "byte":
                out[k] = rng.randrange(256)
            else:
                out[k] = {"zeros": 0, "ones": 255}.get(how, content[(source + k - start) % len(out)])
    return bytes(out)


# --- archives ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An archive of one reader.

    Attributes
    ----------
    write : callable
        Writes it into a folder.
    spare : callable
        Gives the runs of bytes of a file's content that are left alone.
    also : tuple of str
        Words of refusals that name no file, since what they miss stands in none.
    """

    reader: str
    write: Callable
    spare: Callable
    options: dict = field(default_factory=dict)
    quantity: str = "npp"
    years: tuple = (2001, 2001)
    also: tuple = ()
    gzipped: bool = False


def read(case, folder):
    """Give every value of the years, or the refusal."""
    paths = tuple(sorted(map(str, folder.iterdir())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        seen = inspected(reader(case.reader), Request(paths, case.quantity, years=case.years, **case.options))
        assert isinstance(seen, Inspection)
        try:
            ds = nc.open_source(case.reader, paths, quantity=case.quantity, years=case.years, **case.options)
            ds = ds.load(scheduler="synchronous")
            if case.reader in PRODUCTIVITY:
                held = ds.time.dt.year.values.tolist()
                missing = [f for f in seen.findings if f.state == "missing"]
                if held != [*range(case.years[0], case.years[1] + 1)] and missing:
                    return None, NepcubeError(f"missing {missing[0].which}", missing[0].way_out)
            else:
                nc.to_annual(ds, years=case.years)[case.quantity].compute(scheduler="synchronous")
        except NepcubeError as error:
            return None, error
    return ds, None


PRODUCTIVITY = ("mod17a3hgf", "vnp17a3hgf")


def verdict(case, whole, folder, victim):
    """Give "right" or "refused"; else what is wrong."""
    try:
        got, refusal = read(case, folder)
    except Exception as error:  # what no reader may raise
        return f"raised {type(error).__name__}: {error}"
    if refusal is not None:
        named = victim.name in refusal.what or any(word in refusal.what for word in case.also)
        return "refused" if named and refusal.way_out else f"refused without its name: {refusal}"
    for name in whole.data_vars:
        if name not in got or got[name].shape != whole[name].shape:
            return f"{name} is of another shape"
        if not np.array_equal(got[name].values, whole[name].values, equal_nan=True):
            return f"{name} has other numbers"
        for key in ("units", "aggregation", "frequency"):
            if got[name].attrs.get(key) != whole[name].attrs.get(key):
                return f"{name} has other {key}"
    if not np.array_equal(got.time.values, whole.time.values):
        return "another time"
    for axis in whole[name].dims[1:]:
        a, b = got[axis].values, whole[axis].values
        # an axis is regular within a fiftieth of its step
        if np.abs(a - b).max() > 0.02 * abs(b[1] - b[0]):
            return f"another {axis}"
    return "right"


def survive(case, folder, seeds):
    """Damage one file of an archive in many ways; give how often each verdict fell, and the wrong ones by seed."""
    case.write(folder)
    whole, refusal = read(case, folder)
    assert refusal is None, str(refusal)
    victims = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    spare = {}
    counts, wrong = Counter(), {}
    for seed in seeds:
        rng = random.Random(f"structure {seed}")
        path = rng.choice(list(victims))
        content = victims[path]
        plain = gzip.decompress(content) if case.gzipped else content
        if path not in spare:
            spare[path] = case.spare(plain)
        changed = damaged(plain, rng, spare[path])
        # another file each time: one that is still open is not written into
        path.unlink()
        path.write_bytes(gzip.compress(changed) if case.gzipped else changed)
        said = verdict(case, whole, folder, path)
        path.unlink()
        path.write_bytes(content)
        counts[said if said in ("right", "refused") else "wrong"] += 1
        if said not in ("right", "refused"):
            wrong[seed] = f"{path.name}: {said}"
    return counts, wrong


# what stands in a file that has no neighbour, and in no second place, nothing can tell to be another
LONE = (*PLACE, NODATA)
MISSING_YEAR = ("missing 20", "missing are", "no file is of this year")


def scene(shape=(40, 40)):
    """Productivity with codes and numbers below zero, and its quality."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    noise = np.random.default_rng(0).integers(0, 40, (2, *shape))
    raw = np.stack([3000 + 4000 * np.sin(x / 9 + k) * np.cos(y / 7) for k in range(2)]).astype(int) + noise
    raw[:, 5:9, :30], raw[:, 20:22] = 32766, 32765
    assert (raw < 0).any()
    return raw.astype(np.int16), np.stack([(x + y * 3 + k) % 101 for k in range(2)]).astype(np.uint8)


def productivity(write, *, but=(), reader="mod17a3hgf", spare=None, also=(), **options):
    return Case(
        reader,
        lambda folder: write(folder, *scene()),
        spare or partial(tiff_values, but=but),
        {"max_qc": 50} | options,
        years=YEARS,
        also=(*MISSING_YEAR, *also),
    )


def as_cog(write):
    """Rewrite every raster of an archive as a COG with overviews."""

    def out(folder, raw, qc):
        write(folder, raw, qc)
        for path in sorted(folder.iterdir()):
            plain = path.with_suffix(".plain")
            path.rename(plain)
            raster_copy(plain, path, driver="COG", compress="lzw", blocksize=128, predictor="yes", overview_count=1)
            plain.unlink()

    return out


def in_strips(folder, raw, qc):
    """Write yearly exports in several strips of LZW."""
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_bands(folder / f"MOD17_{year}.tif", [a, b], names=["Npp", "Npp_QC"], compress="lzw", blockysize=16)


def in_tiles(folder, raw, qc):
    """Write one export in tiles of LZW with a predictor."""
    names = [f"{name}_{year}" for name in ("Npp", "Npp_QC") for year in YEARS]
    how = {"compress": "lzw", "predictor": 2, "tiled": True, "blockxsize": 16, "blockysize": 16}
    write_bands(folder / "npp_headwaters.tif", [*raw, *qc], names=names, **how)


def as_viirs_tifs(folder, raw, qc):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        for name, data in (("Npp_500m", a), ("Npp_QC_500m", b)):
            end = f"_{name}.tif"
            write_tile_tif(folder / granule(year, product="VNP17A3GF", version="002", end=end), data)


def as_viirs_appeears(folder, raw, qc):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        how = {"product": "VNP17A3GF", "version": "002"}
        write_bands(folder / layouts.appeears(year, **how), a)
        write_bands(folder / layouts.appeears(year, field="Npp_QC_500m", **how), b, dtype="uint8", nodata=255)


SHARDS = ("shard",)
HDF5_AXES = ("lat", "lon", "ydim", "xdim", "time", "latitude", "longitude", "valid_time")


def hdf5_spare(*texts):
    return lambda content: [*hdf5_values(content, HDF5_AXES), *found(content, *texts)]


def build():
    out = {}
    for place, table in (("sinusoidal", ON_TILE), ("degrees", IN_DEGREES)):
        for name, write in table.items():
            title = f"mod17 {name} {place}"
            if name == "hdf4":
                out[title] = productivity(write, spare=hdf4_values)
            elif name == "viirs":
                out["viirs hdf5-eos"] = productivity(write, reader="vnp17a3hgf", spare=hdf5_spare())
            elif name == "appeears-netcdf":
                out[title] = productivity(write, spare=hdf5_spare())
            elif name in ("bands", "floats"):
                out[title] = productivity(write, but=LONE, **layouts.options_of(name))
            elif name == "shards":
                out[title] = productivity(write, also=SHARDS)
            else:
                out[title] = productivity(write)
    out["mod17 cog sinusoidal"] = productivity(as_cog(ON_TILE["cogs"]))
    out["mod17 cog yearly degrees"] = productivity(as_cog(IN_DEGREES["yearly"]))
    out["mod17 yearly strips degrees"] = productivity(in_strips)
    out["mod17 bands tiles degrees"] = productivity(in_tiles, but=LONE)
    out["viirs tifs"] = productivity(as_viirs_tifs, reader="vnp17a3hgf")
    out["viirs appeears"] = productivity(as_viirs_appeears, reader="vnp17a3hgf")
    return out


# --- climate -------------------------------------------------------------------------------------------------------

ROWS, COLUMNS = 24, 20
TWENTIETHS = (np.arange(680, 680 + ROWS)[::-1] + 0.5) / 20, (np.arange(1920, 1920 + COLUMNS) + 0.5) / 20
MONTHS = months(2001, 2001)
INCOMPLETE = ("incomplete: no value at", "no precipitation of the years", "no temperature of the years")


def rain():
    data = np.random.default_rng(7).gamma(2.0, 30.0, (12, ROWS, COLUMNS)).astype("f4")
    data[:, 3:6, 4:9] = -9999
    return data


def rain_netcdf(engine):
    def write(folder):
        y, x = TWENTIETHS
        ds = xr.Dataset(
            {"precip": (("time", "latitude", "longitude"), rain(), {"units": "mm/month"})},
            coords={
                "time": MONTHS,
                "latitude": ("latitude", y.astype("f4"), {"units": "degrees_north"}),
                "longitude": ("longitude", x.astype("f4"), {"units": "degrees_east"}),
            },
            attrs={"title": "CHIRPS Version 2.0"},
        )
        packed = {"zlib": True} if engine == "h5netcdf" else {}
        encoding = {"precip": {"_FillValue": np.float32(-9999)} | packed}
        ds.to_netcdf(folder / "chirps-v2.0.2001.monthly.nc", engine=engine, encoding=encoding)

    return write


def rain_tifs(end, **how):
    def write(folder):
        for k, month in enumerate(rain(), start=1):
            path = folder / f"chirps-v2.0.2001.{k:02d}{end}"
            plain = path.with_suffix(".plain")
            at = Affine(0.05, 0, 96.0, 0, -0.05, TWENTIETHS[0][0] + 0.025)
            write_bands(plain, month, dtype="float32", nodata=-9999.0, at=at, compress=None)
            if end == ".cog":
                raster_copy(plain, path, driver="COG", compress="deflate", predictor="yes")
            else:
                raster_copy(plain, path, driver="GTiff", **({"compress": "deflate"} | how))
            plain.unlink()
            if end.endswith(".gz"):
                path.write_bytes(gzip.compress(path.read_bytes()))

    return write


def rain_bands(folder):
    """One file with a band a month, in lone LZW."""
    at = Affine(0.05, 0, 96.0, 0, -0.05, 34.5)
    names = [f"pr_2001-{k:02d}" for k in range(1, 13)]
    write_bands(folder / "rain.tif", rain(), dtype="float32", nodata=-9999.0, names=names, at=at, compress="lzw")


def albers(folder):
    """A file a year, on an equal-area grid, packed in int16 with a scale."""
    at = Affine(1000.0, 0, -500000.0, 0, -1000.0, 3800000.0)
    crs = "+proj=aea +lat_0=0 +lon_0=105 +lat_1=25 +lat_2=47 +datum=WGS84 +units=m"
    for k, data in enumerate(scene()[0]):
        path = write_bands(folder / f"npp_{YEARS[k]}.tif", data, crs=crs, at=at, nodata=32767)
        with rasterio.open(path, "r+") as file:
            file.scales, file.units = (0.0001,), ("kg m-2 year-1",)


def temperature(form):
    data = np.random.default_rng(0).uniform(250, 290, (12, LATITUDE.size, LONGITUDE.size)).astype(np.float32)

    def write(folder):
        path = folder / "t2m.nc"
        if form == "classic":
            coords = {"time": MONTHS, "latitude": LATITUDE, "longitude": LONGITUDE}
            ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), data, {"units": "K"})}, coords, attrs=MODA)
            ds.to_netcdf(path, engine="netcdf4", format="NETCDF3_64BIT")
            return
        code = {"zlib": True, "shuffle": True, "chunksizes": (6, 4, 5)}
        if form == "packed":
            code |= {"dtype": "int16", "scale_factor": 0.002, "add_offset": 270.0, "_FillValue": -32767}
        write_netcdf(path, MONTHS, {"t2m": data}, attrs=MODA, encoding={"t2m": code})

    if form == "classic":
        return write, lambda content: values_of_classic(content, data)
    texts = (struct.pack("<d", 0.002), struct.pack("<d", 270.0)) if form == "packed" else ()
    return write, hdf5_spare(*texts)


def grib(edition):
    def write(folder):
        importlib.import_module("pyproj")
        import eccodes
        from test_era5_grib_oracle import message

        data = np.random.default_rng(0).uniform(250, 290, (12, LATITUDE.size, LONGITUDE.size))
        with open(folder / "t2m.grib", "wb") as file:
            for month, values in zip(MONTHS, data, strict=True):
                file.write(message(eccodes, "t2m", month, values, edition=edition, stream="moda"))

    return write


def climate():
    out = {}
    generic = {"aggregate": "amount", "time": "month", "nodata": -9999.0}
    tiles = {"compress": "lzw", "predictor": 3, "tiled": True, "blockxsize": 16, "blockysize": 16}
    for name, options in (("chirps", {}), ("generic", generic)):
        how = {"quantity": "precipitation", "also": INCOMPLETE}
        bare = options | ({"units": "mm"} if name == "generic" else {})
        for end, title, kind in (
            (".tif", "tif", {}),
            (".tif", "tif lzw", {"compress": "lzw"}),
            (".tif", "tif predictor", tiles),
            (".tif", "tif plain", {"compress": "none"}),
            (".cog", "cog", {}),
        ):
            out[f"{name} {title}"] = Case(name, rain_tifs(end, **kind), tiff_values, bare, **how)
        out[f"{name} tif.gz"] = Case(name, rain_tifs(".tif.gz"), tiff_values, bare, gzipped=True, **how)
        out[f"{name} hdf5"] = Case(name, rain_netcdf("h5netcdf"), hdf5_spare(), options, **how)
        out[f"{name} classic"] = Case(name, rain_netcdf("scipy"), rain_of_classic, options, **how)
    how = {"quantity": "precipitation", "also": INCOMPLETE}
    out["generic bands"] = Case(
        "generic", rain_bands, partial(tiff_values, but=LONE), {"units": "mm", "aggregate": "amount"}, **how
    )
    yearly = {"aggregate": "yearly", "time": "year"}
    out["generic albers"] = Case("generic", albers, packed_values, yearly, years=YEARS)
    for form in ("deflate", "classic", "packed"):
        write, spare = temperature(form)
        out[f"era5-land {form}"] = Case("era5-land", write, spare, {}, "temperature", also=INCOMPLETE)
    write, spare = temperature("deflate")
    out["era5 deflate"] = Case("era5", write, spare, {}, "temperature", also=INCOMPLETE)
    for edition in (1, 2):
        write = grib(edition)
        out[f"era5-land grib{edition}"] = Case("era5-land", write, grib_values, {}, "temperature", also=INCOMPLETE)
    return out


CASES = build() | climate()
