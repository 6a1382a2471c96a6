"""Damaged headers of every layout of every reader: read right, or refused by the file's name; and each cause found."""

import random
import struct

import h5py
import numpy as np
import pytest
import rasterio
from layouts import YEARS, viirs, write_appeears_netcdf, write_bands, write_viirs
from structure import CASES, damaged, scene, survive, tiff_tags

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.sources import Request, lzw, reader

# of the fast run: one layout of each form
FAST = (
    "mod17 hdf4 sinusoidal", "mod17 appeears-netcdf degrees", "viirs hdf5-eos", "mod17 yearly degrees",
    "mod17 shards degrees", "mod17 bands degrees", "generic albers", "chirps classic", "era5-land packed",
)  # fmt: skip


def needs(case):
    if "grib" in case:
        pytest.importorskip("pyproj")
        pytest.importorskip("eccodes", reason="the extra `grib` is not installed")


@pytest.mark.parametrize("case", FAST)
def test_a_damaged_header_is_refused_or_read_right(tmp_path, case):
    counts, wrong = survive(CASES[case], tmp_path, range(8))
    assert wrong == {}
    assert counts["refused"] >= 2


@pytest.mark.slow
@pytest.mark.parametrize("case", list(CASES))
def test_many_damaged_headers_are_refused_or_read_right(tmp_path, case):
    needs(case)
    counts, wrong = survive(CASES[case], tmp_path, range(400))
    print(f"{case}: {dict(counts)}")
    assert wrong == {}
    assert counts["refused"] > 80


def test_what_is_spared_is_not_changed():
    content = bytes(range(200)) * 2
    spare = [(0, 50), (40, 90), (300, 400)]
    changed = 0
    for seed in range(300):
        out = damaged(content, random.Random(seed), spare)
        assert len(out) == len(content)
        assert (out[:90], out[300:]) == (content[:90], content[300:])
        changed += out != content
    assert changed > 200


# --- the causes that were found ------------------------------------------------------------------------------------


def entry_of(content, tag):
    """Give where the entry of a tag of the first directory begins; classic TIFF, little-endian."""
    (at,) = struct.unpack_from("<I", content, 4)
    (n,) = struct.unpack_from("<H", content, at)
    places = {struct.unpack_from("<H", content, at + 2 + 12 * k)[0]: at + 2 + 12 * k for k in range(n)}
    return places[tag]


def export(path, **how):
    raw, _ = scene()
    return write_bands(path, raw, names=[f"Npp_{year}" for year in YEARS], **({"compress": "lzw"} | how))


def refused(path, words):
    with pytest.raises(SourceError) as error:
        nc.open_source("mod17a3hgf", path)
    assert error.value.what == f"{path}: the file is damaged or cut off ({words})."


@pytest.mark.parametrize(
    ("tag", "field", "code", "words"),
    [
        # GDAL places the file at 0 N 0 E
        (33922, "tag", 33923, "it says how large its cells are, and not where they lie"),
        (33922, "type", 0x400C, "its tag 33922 is not known, or is not of the type 16396"),
        (33922, "number", 5, "it says how large its cells are, and not where they lie"),
        # the numbers are then read as differences
        (317, "tag", 319, "its tag 319 is not known, or is not of the type 3"),
        (317, "tag", 318, "its tag 318 is not known, or is not of the type 3"),
        (317, "tag", 321, "its tag 321 is not known, or is not of the type 0"),
        (317, "type", 0x1003, "its tag 317 is not known, or is not of the type 4099"),
        (317, "number", 0, "its tag 317 has 0 numbers, not one"),
        # numbers below zero are then large ones
        (339, "tag", 338, "the tags of a directory are not in order"),
        (339, "tag", 373, "its tag 373 is not known, or is not of the type 3"),
        (339, "number", 1, "its 2 bands have numbers of the kinds [2]"),
    ],
)
def test_a_tag_that_the_library_would_leave_out_is_refused(tmp_path, tag, field, code, words):
    path = export(tmp_path / "npp.tif", predictor=2)
    content = bytearray(path.read_bytes())
    at = entry_of(content, tag)
    if code == 321:
        # halftone hints are whole numbers too: only another type of them is told
        struct.pack_into("<HH", content, at, 321, 0)
    else:
        place, form = {"tag": (0, "<H"), "type": (2, "<H"), "number": (4, "<I")}[field]
        struct.pack_into(form, content, at + place, code)
    path.write_bytes(content)
    refused(path, words)


def test_a_kind_of_numbers_that_became_a_kind_of_band_is_refused(tmp_path):
    path = write_bands(tmp_path / "npp_2001.tif", scene()[0][0], compress="lzw")
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, entry_of(content, 339), 338)
    path.write_bytes(content)
    refused(path, "1 of its 1 bands are said to be beside the image")


def test_numbers_that_are_read_as_others_are_refused(tmp_path):
    # a photometric interpretation that is an image's for the eye makes bytes of all numbers
    path = export(tmp_path / "npp.tif")
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, entry_of(content, 262) + 8, 6)
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        nc.open_source("mod17a3hgf", path).load()
    assert error.value.what.startswith(f"{path}: the file is damaged or cut off (")


@pytest.mark.parametrize("rows", [14, 15])
def test_strips_of_fewer_rows_than_they_hold_are_refused(tmp_path, rows):
    path = export(tmp_path / "npp.tif", blockysize=16, interleave="band")
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, entry_of(content, 278) + 8, rows)
    path.write_bytes(content)
    first = tiff_tags(content)[0][273][0][0]
    refused(path, f"the block at byte {first} has 1280 of {80 * rows} bytes")


@pytest.mark.parametrize(
    ("columns", "words"),
    [(129, "its blocks cannot be of 128 x 129 cells"), (112, "has 32768 of 28672 bytes"), (144, "has 32768 of 36864")],
)
def test_tiles_of_another_width_than_they_hold_are_refused(tmp_path, columns, words):
    # the library unpacks of a tile what the image has of it, and misses nothing where the image is the smaller
    how = {"tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band"}
    path = export(tmp_path / "npp.tif", **how)
    content = bytearray(path.read_bytes())
    struct.pack_into("<H", content, entry_of(content, 322) + 8, columns)
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        nc.open_source("mod17a3hgf", path)
    assert error.value.what.startswith(f"{path}: the file is damaged or cut off (")
    assert words in error.value.what


@pytest.mark.parametrize("kind", ["smooth", "noise", "alike"])
@pytest.mark.parametrize("rows", [1, 16, 40])
def test_the_length_of_a_stream_is_that_of_its_block(tmp_path, kind, rows):
    rng = np.random.default_rng(1)
    smooth = np.add.outer(np.arange(40), np.arange(300)) // 3
    data = {"smooth": smooth, "noise": rng.integers(0, 3000, (40, 300)), "alike": np.zeros((40, 300))}[kind]
    path = write_bands(tmp_path / "a.tif", data, compress="lzw", blockysize=rows)
    content = path.read_bytes()
    tags = tiff_tags(content)[0]
    streams = [content[a : a + n] for a, n in zip(tags[273][0], tags[279][0], strict=True)]
    assert len(streams) == -(-40 // rows)
    held = [lzw.length(stream) for stream in streams]
    assert held == [600 * min(rows, 40 - k * rows) for k in range(len(streams))]
    # a stream that is cut does not end, and an older one is left to the library
    assert [lzw.length(stream[:-2]) for stream in streams] == [None] * len(streams)
    assert lzw.length(b"\x00\x01" + streams[0]) is None


def test_a_chunk_whose_order_of_bytes_is_said_to_be_left_is_refused(tmp_path):
    raw, qc = scene()
    path = write_viirs(tmp_path / viirs(2001), raw[0], qc[0])
    with h5py.File(path) as file:
        field = file["HDFEOS/GRIDS/VNP_Grid_VNP17A3/Data Fields/Npp_500m"]
        # chunks of 50 bytes that deflating made larger
        chunks = [field.id.get_chunk_info(k) for k in range(field.id.get_num_chunks())]
        chunk = next(c for c in chunks if c.size > 50)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<Q", chunk.byte_offset)) - 32
    assert struct.unpack_from("<II", content, at) == (chunk.size, 0)
    content[at + 4] = 1
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        nc.open_source("vnp17a3hgf", path)
    assert error.value.what.startswith(f"{path}: the file is damaged or cut off (")
    assert "chunks" in error.value.what


@pytest.mark.parametrize("name", ["mod17a3hgf", "vnp17a3hgf"])
def test_a_heap_without_an_end_does_not_hang(tmp_path, name):
    raw, qc = scene()
    product = {"mod17a3hgf": "MOD17A3HGF.061", "vnp17a3hgf": "VNP17A3GF.002"}[name]
    path = write_appeears_netcdf(tmp_path / f"{product}_500m_aid0001.nc", raw, qc)
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL")
    content[at + 16 : at + 32] = bytes(16)
    path.write_bytes(content)
    with pytest.raises(SourceError) as error:
        nc.open_source(name, path)
    assert error.value.what == f"{path}: the file is damaged or cut off (a heap of its attributes has no end)."


def test_a_year_of_which_the_quality_alone_is_left_is_missing(tmp_path):
    raw, qc = scene()
    path = write_bands(tmp_path / "npp.tif", [*raw, *qc], names=["Npp_2001", "Nqp_2002", "Npp_QC_2001", "Npp_QC_2002"])
    found = reader("mod17a3hgf").inspect(Request((str(path),), "npp", years=YEARS, max_qc=50)).findings
    assert [(f.state, f.which, f.what) for f in found] == [("missing", "2002", "no file is of this year.")]


def test_units_that_differ_are_told_with_their_files(tmp_path):
    raw, _ = scene()
    for year, unit, data in zip(YEARS, ("kg m-2 year-1", "g m-2 year-1"), raw, strict=True):
        with rasterio.open(write_bands(tmp_path / f"npp_{year}.tif", data), "r+") as file:
            file.units = (unit,)
    with pytest.raises(UnitError) as error:
        nc.open_source("generic", tmp_path / "*.tif", quantity="npp", aggregate="yearly", time="year")
    assert error.value.what == (
        f"{tmp_path}/npp_2001.tif: the units of the bands differ "
        "(g m-2 year-1 in npp_2002.tif and kg m-2 year-1 in npp_2001.tif)."
    )


def test_a_projection_that_has_no_meaning_is_refused_by_name(tmp_path):
    # pyproj takes a brace in the name of a datum for JSON
    CASES["generic albers"].write(tmp_path)
    path = tmp_path / "npp_2001.tif"
    content = path.read_bytes()
    assert b"= unknown|" in content
    path.write_bytes(content.replace(b"= unknown|", b"= un{nown|"))
    with pytest.raises(SourceError) as error:
        nc.open_source("generic", tmp_path / "*.tif", quantity="npp", aggregate="yearly", time="year")
    assert error.value.what.startswith(f"{path}: the file is damaged or cut off (")
