"""Damaged files of every layout: each is refused by its name, or is read as the whole one. None gives other numbers."""

import random

import numpy as np
import pytest
import rasterio
from layouts import IN_DEGREES, ON_TILE, options_of, reader_of
from providers import granule, write_tile
from pyhdf.SD import SD, SDC

import nepcube as nc
from nepcube.errors import NepcubeError
from nepcube.sources import hdf4

CHECKED = ("hdf4", "cogs", "appeears-tif", "appeears-netcdf", "floats", "viirs")
# LZW has no checksum: a byte changed within a block of it is another number, and nothing says so
UNCHECKED = ("bands", "yearly", "shards")


def scene():
    y, x = np.mgrid[0:40, 0:40]
    noise = np.random.default_rng(0).integers(0, 40, (2, 40, 40))
    raw = np.stack([3000 + 1000 * np.sin(x / 9 + k) * np.cos(y / 7) for k in range(2)]).astype(int) + noise
    raw[:, 5:9, :30], raw[:, 20:22] = 32766, 32765
    qc = np.stack([(x + y * 3 + k) % 101 for k in range(2)])
    return raw.astype(np.int16), qc.astype(np.uint8)


def damaged(content, rng, spare):
    """Change some bytes of a file, but those of `spare`."""
    out = bytearray(content)
    n = len(out)
    how = rng.choice(["bits", "bits", "byte", "head", "zeros", "ones", "cut", "copy"])
    if how == "cut":
        return bytes(out[: rng.randrange(n)])
    if how == "bits":
        spans = [(rng.randrange(n), 1) for _ in range(rng.choice([1, 1, 2, 4, 8]))]
    elif how == "head":
        spans = [(rng.randrange(min(n, 3000)), 1)]
    else:
        spans = [(rng.randrange(n), rng.choice([1, 2, 4, 16, 64]))]
    for start, length in spans:
        source = rng.randrange(n)
        for k in range(start, min(start + length, n)):
            if any(a <= k < b for a, b in spare):
                continue
            if how in ("bits", "head"):
                out[k] ^= 1 << rng.randrange(8)
            elif how == "byte":
                out[k] = rng.randrange(256)
            else:
                out[k] = {"zeros": 0, "ones": 255}.get(how, content[(source + k - start) % n])
    return bytes(out)


def blocks(path):
    with rasterio.open(path) as file:
        out = []
        for band in range(1, file.count + 1):
            height, width = file.block_shapes[band - 1]
            for y in range(-(-file.height // height)):
                for x in range(-(-file.width // width)):
                    at, n = (file.get_tag_item(f"BLOCK_{k}_{x}_{y}", "TIFF", bidx=band) for k in ("OFFSET", "SIZE"))
                    out.append((int(at), int(at) + int(n)))
        return out


def read(layout, folder, options):
    try:
        return nc.open_source(reader_of(layout), folder / "*", **options).load(), None
    except NepcubeError as error:
        return None, error


def survive(folder, layout, table, seeds):
    raw, qc = scene()
    table[layout](folder, raw, qc)
    options = options_of(layout) | {"max_qc": 50}
    whole = nc.open_source(reader_of(layout), folder / "*", **options).load()
    victims = {path: path.read_bytes() for path in sorted(folder.iterdir())}
    spare = {path: blocks(path) if layout in UNCHECKED else [] for path in victims}
    counts = {"refused": 0, "right": 0}
    for seed in seeds:
        rng = random.Random(f"{layout} {seed}")
        path = rng.choice(list(victims))
        path.write_bytes(damaged(victims[path], rng, spare[path]))
        got, refusal = read(layout, folder, options)
        path.write_bytes(victims[path])
        if refusal is not None:
            # a damaged shard may also look like one of another place
            assert path.name in refusal.what or "shard" in refusal.what, (seed, str(refusal))
            assert refusal.way_out
            counts["refused"] += 1
        else:
            assert got.npp.equals(whole.npp.assign_coords(got.coords)), (seed, path.name)
            assert got.npp_flag.equals(whole.npp_flag.assign_coords(got.coords)), (seed, path.name)
            for axis in whole.npp.dims[1:]:
                # a bit at the end of a corner's number moves nothing
                np.testing.assert_allclose(got[axis].values, whole[axis].values, rtol=1e-7, err_msg=str(seed))
            counts["right"] += 1
    return counts


@pytest.mark.parametrize("layout", [*CHECKED, *UNCHECKED])
def test_a_damaged_file_is_refused_or_read_right(tmp_path, layout):
    counts = survive(tmp_path, layout, ON_TILE, range(30))
    assert counts["refused"] > 5
    assert sum(counts.values()) == 30


@pytest.mark.slow
@pytest.mark.parametrize("layout", [*CHECKED, *UNCHECKED])
def test_many_damaged_files_are_refused_or_read_right(tmp_path, layout):
    counts = survive(tmp_path, layout, ON_TILE, range(30, 280))
    print(f"{layout}: {counts}")
    # most of what is changed of the unchecked layouts falls on blocks that are left alone
    assert counts["refused"] > (30 if layout in UNCHECKED else 50)


@pytest.mark.slow
@pytest.mark.parametrize("layout", IN_DEGREES)
def test_many_damaged_files_in_degrees(tmp_path, layout):
    counts = survive(tmp_path, layout, IN_DEGREES, range(1000, 1100))
    # most of what is changed of the unchecked layouts falls on blocks that are left alone
    assert counts["refused"] > (5 if layout in UNCHECKED else 20)


# --- HDF4 without its library, against the library -----------------------------------------------------------------


def write_hdf4(path, data, kind, compress):
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    file.attr("StructMetadata.0").set(
        SDC.CHAR,
        f'GridName="g"\nXDim={data.shape[1]}\nYDim={data.shape[0]}\nUpperLeftPointMtrs=(0.0,1.0)\n'
        "LowerRightMtrs=(1.0,0.0)\nProjection=GCTP_SNSOID\n" + "\0" * 32000,
    )
    for name in ("first", "second"):
        sds = file.create(name, kind, data.shape)
        if compress is not None:
            sds.setcompress(*compress)
        sds.dim(0).setname("YDim:g")
        sds.attr("text").set(SDC.CHAR, "some words")
        sds.attr("number").set(SDC.FLOAT64, 0.1)
        sds.attr("pair").set(SDC.INT16, [-30000, 32700])
        sds.attr("_FillValue").set(kind, 100)
        sds[:] = data if name == "first" else data[::-1].copy()
        sds.endaccess()
    file.end()
    return str(path)


@pytest.mark.parametrize("compress", [None, (SDC.COMP_DEFLATE, 6), (SDC.COMP_RLE,), (SDC.COMP_SKPHUFF, 2)])
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (SDC.INT8, "i1"),
        (SDC.UINT8, "u1"),
        (SDC.INT16, "i2"),
        (SDC.UINT16, "u2"),
        (SDC.INT32, "i4"),
        (SDC.FLOAT32, "f4"),
    ],
)
def test_a_field_is_that_of_the_library(tmp_path, compress, kind, dtype):
    data = (np.arange(30 * 17).reshape(30, 17) * 37 % 250).astype(dtype)
    path = write_hdf4(tmp_path / "a.hdf", data, kind, compress)
    header = hdf4.read_header(path)
    sd = SD(path)
    assert set(header.fields) == set(sd.datasets()) == {"first", "second"}
    for name, field in header.fields.items():
        sds = sd.select(name)
        assert field.attributes == sds.attributes()
        assert (field.shape, np.dtype(field.dtype)) == (tuple(sds.info()[2]), np.dtype(dtype))
        got = hdf4.read_field(path, name)
        np.testing.assert_array_equal(got, sds.get())
        assert got.dtype == sds.get().dtype
        assert got.dtype.isnative
    sd.end()


def test_a_generated_granule_is_that_of_the_library(headwaters):
    directory, _ = headwaters
    for path in sorted((directory / "mod17").glob("*.hdf"))[:2]:
        sd = SD(str(path))
        for name, field in hdf4.read_header(str(path)).fields.items():
            assert field.attributes == sd.select(name).attributes()
            np.testing.assert_array_equal(hdf4.read_field(str(path), name), sd.select(name).get())
        sd.end()


def test_a_real_granule_is_that_of_the_library(real):
    path = str(real / "modis/MOD10A2.A2022033.h09v05.061.2022042050729.hdf")
    sd = SD(path)
    header = hdf4.read_header(path)
    assert set(header.fields) == set(sd.datasets())
    for name, field in header.fields.items():
        assert field.attributes == sd.select(name).attributes()
        np.testing.assert_array_equal(hdf4.read_field(path, name), sd.select(name).get())
    sd.end()


def test_a_deflate_stream_is_looked_at_to_its_end(tmp_path):
    raw, qc = scene()
    path = write_tile(tmp_path / granule(2001), raw[0], qc[0])
    whole = path.read_bytes()
    ds = nc.open_source("mod17a3hgf", path)
    want = ds.load()
    # the last four bytes of a stream are its checksum: wherever it stands, one bit of it is enough
    start = whole.index(b"\x78", 300)
    while whole[start + 1] not in (0x01, 0x5E, 0x9C, 0xDA):
        start = whole.index(b"\x78", start + 1)
    import zlib

    stream = zlib.decompressobj()
    stream.decompress(whole[start:])
    assert stream.eof
    end = len(whole) - len(stream.unused_data)
    path.write_bytes(whole[: end - 1] + bytes([whole[end - 1] ^ 1]) + whole[end:])
    with pytest.raises(NepcubeError, match="incorrect data check") as error:
        nc.open_source("mod17a3hgf", path).load()
    assert path.name in str(error.value)
    path.write_bytes(whole)
    assert nc.open_source("mod17a3hgf", path).load().identical(want)
