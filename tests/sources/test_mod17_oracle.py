"""MOD17A3HGF: every cell equals the truth, every code is told apart, and what does not belong is refused by name."""

import os
import pickle

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_array_equal
from providers import CODES, SINUSOIDAL, TILE, corners, granule, write_tile, write_tile_tif

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError
from nepcube.sources import Request, reader
from nepcube.testing import forbid_compute


def expected(raw, *, qc=None, max_qc=None, zero=False):
    # flags and values cell by cell, with plain Python
    flag, value = np.zeros(raw.shape, np.uint8), np.full(raw.shape, np.nan, np.float32)
    for at, r in np.ndenumerate(raw):
        r = int(r)
        if r in CODES:
            flag[at] = r - 32760
        elif not -30000 <= r <= 32700:
            flag[at] = 8
        elif max_qc is not None and int(qc[at]) > max_qc:
            flag[at] = 9
        else:
            # float32(raw) / float32(10), rounded once (DESIGN 4)
            value[at] = np.float32(r) / np.float32(10)
        if zero and flag[at] == 5:
            value[at] = 0.0
    return value, flag


@pytest.fixture(scope="module")
def truth_mosaic(headwaters):
    _, truth = headwaters
    n = truth.pixels
    at = np.arange(5 * n, 6 * n)[:, None], np.arange(25 * n, 27 * n), np.arange(2001, 2004)[:, None, None]
    return truth.npp_raw(*at), truth.npp_qc(*at)


@pytest.fixture(scope="module")
def everything():
    # all codes, their neighbours, both limits and what lies outside them
    special = [*CODES, 32701, 32760, 32750, 32700, 32699, -30000, -30001, -30500, -32768, 0, 1, -1, 7, 12345, -29999]
    raw = np.arange(20 * 20).reshape(20, 20) * 61 - 3000
    raw.flat[: len(special)] = special
    qc = (np.arange(400).reshape(20, 20) * 7) % 256
    return raw.astype(np.int16), qc.astype(np.uint8)


@pytest.fixture
def tile(tmp_path, everything):
    return write_tile(tmp_path / granule(2001), *everything)


@pytest.mark.parametrize("max_qc", [None, 0, 30, 45, 100])
@pytest.mark.parametrize("nonvegetated", ["nan", "zero"])
def test_the_mosaic_is_the_truth_cell_for_cell(headwaters, truth_mosaic, max_qc, nonvegetated):
    directory, _ = headwaters
    raw, qc = truth_mosaic
    with forbid_compute():
        ds = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf", max_qc=max_qc, nonvegetated=nonvegetated)
    value, flag = expected(raw, qc=qc, max_qc=max_qc, zero=nonvegetated == "zero")
    assert ds.npp.dtype == np.float32
    assert ds.npp_flag.dtype == np.uint8
    assert_array_equal(ds.npp_flag.values, flag)
    assert_array_equal(ds.npp.values, value)
    if max_qc == 30:
        assert 0 < (flag == 9).mean() < 1


def test_the_seam_lies_between_the_two_tiles(headwaters, truth_mosaic):
    directory, truth = headwaters
    raw, _ = truth_mosaic
    n = truth.pixels
    ds = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf")
    across = ds.npp_flag.isel(x=slice(n - 3, n + 3), y=slice(7, 40)).values
    assert_array_equal(across, expected(raw[:, 7:40, n - 3 : n + 3])[1])
    # centres by the formula of the product, in float64; the two differ by rounding of metres alone
    step = TILE / n
    np.testing.assert_allclose(ds.x.values, (np.arange(7 * n, 9 * n) + 0.5) * step, rtol=1e-14)
    np.testing.assert_allclose(ds.y.values, 4 * TILE - (np.arange(n) + 0.5) * step, rtol=1e-14)
    assert_array_equal(ds.time.values, np.array(["2001-01-01", "2002-01-01", "2003-01-01"], "datetime64[ns]"))


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("max_qc", [None, 0, 50, 100])
def test_every_integer_has_its_flag(tmp_path, everything, zero, max_qc):
    raw, qc = everything
    path = write_tile(tmp_path / granule(2001), raw, qc)
    ds = nc.open_source("mod17a3hgf", path, max_qc=max_qc, nonvegetated="zero" if zero else "nan")
    value, flag = expected(raw, qc=qc, max_qc=max_qc, zero=zero)
    assert_array_equal(ds.npp_flag.values[0], flag)
    assert_array_equal(ds.npp.values[0], value)
    # exactly the barren cells differ between the two policies
    assert ((ds.npp.values[0] == 0) & (flag != 0)).sum() == (raw == 32765).sum() * zero


def test_all_of_int16_has_a_value_or_a_flag(tmp_path):
    raw = np.arange(-32768, 32768).reshape(256, 256).astype(np.int16)
    ds = nc.open_source("mod17a3hgf", write_tile(tmp_path / granule(2001), raw))
    value, flag = expected(raw)
    assert_array_equal(ds.npp_flag.values[0], flag)
    assert_array_equal(ds.npp.values[0], value)
    assert_array_equal(np.isnan(ds.npp.values[0]), flag != 0)


def test_flags_say_what_they_mean(tile):
    attrs = nc.open_source("mod17a3hgf", tile).npp_flag.attrs
    assert attrs["flag_values"].tolist() == [*range(10), 255]
    assert attrs["flag_values"].dtype == np.uint8
    words = "data unclassified urban permanent_wetland snow_ice barren_or_sparse water fill outside_valid_range"
    assert attrs["flag_meanings"] == words + " rejected_by_max_qc not_covered"
    npp = nc.open_source("mod17a3hgf", tile).npp.attrs
    assert (npp["units"], npp["aggregation"], npp["frequency"]) == ("g m-2 year-1", "yearly", "year")
    assert npp["product"] == "MOD17A3HGF.061"


def test_a_tile_that_one_year_lacks_is_refused(tmp_path, everything):
    raw, _ = everything
    for year, h in ((2001, 25), (2001, 26), (2002, 26), (2003, 25), (2003, 26)):
        write_tile(tmp_path / granule(year, h), raw, h=h)
    refused(tmp_path / "*.hdf", "h25v05 of 2002", "which other years have")
    refused(tmp_path / "*.hdf", "h25v05 of 2002", years=(2001, 2002))
    # the years that are asked for have no gap
    assert nc.open_source("mod17a3hgf", tmp_path / "*.hdf", years=(2003, 2003)).npp.shape == (1, 20, 40)


def test_tiles_that_touch_at_a_corner_leave_the_rest_uncovered(tmp_path, everything):
    raw, _ = everything
    write_tile(tmp_path / granule(2001, 25, 5), raw, h=25, v=5)
    write_tile(tmp_path / granule(2001, 26, 6), raw, h=26, v=6)
    flag = nc.open_source("mod17a3hgf", tmp_path / "*.hdf").npp_flag.values[0]
    assert flag.shape == (40, 40)
    assert (flag[:20, 20:] == 255).all()
    assert (flag[20:, :20] == 255).all()
    assert_array_equal(flag[:20, :20], flag[20:, 20:])


def test_years_are_chosen_inclusively(headwaters, tmp_path):
    directory, _ = headwaters
    ds = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf", years=(2002, 2003))
    assert ds.time.dt.year.values.tolist() == [2002, 2003]
    with pytest.raises(SourceError, match="no granule is of the years 1990 to 1995"):
        nc.open_source("mod17a3hgf", directory / "mod17/*.hdf", years=(1990, 1995))


def test_inspect_lists_what_there_is(headwaters):
    directory, _ = headwaters
    paths = tuple(sorted(str(p) for p in (directory / "mod17").glob("*.hdf")))
    with forbid_compute():
        found = reader("mod17a3hgf").inspect(Request(paths=paths)).granules
    assert sorted(g.path for g in found) == list(paths)
    assert {(g.start, g.end) for g in found} == {(f"{y}-01-01", f"{y}-12-31") for y in (2001, 2002, 2003)}
    assert {g.detail for g in found} == {"h25v05 v061", "h26v05 v061"}
    assert all(g.bytes == os.path.getsize(g.path) for g in found)


def refused(paths, *words, **options):
    with pytest.raises(SourceError) as error, forbid_compute():
        nc.open_source("mod17a3hgf", paths, **options)
    assert error.value.way_out
    assert len(str(error.value).splitlines()) == 2
    for word in words:
        assert word in str(error.value)


def test_two_versions_of_one_tile_are_refused(tmp_path, everything):
    old = write_tile(tmp_path / granule(2001, made="2019048210133"), *everything)
    new = write_tile(tmp_path / granule(2001, made="2020048210133"), *everything)
    refused([old, new], old.name, str(new), "h25v05 of 2001 is there twice", "Keep the later production")


@pytest.mark.parametrize("other", [{"version": "006"}, {"product": "MYD17A3HGF"}])
def test_products_and_versions_are_not_mixed(tmp_path, everything, other):
    a = write_tile(tmp_path / granule(2001), *everything)
    b = write_tile(tmp_path / granule(2002, **other), *everything)
    refused([a, b], a.name, b.name, "they do not belong in one mosaic")


def test_resolutions_are_not_mixed(tmp_path, everything):
    a = write_tile(tmp_path / granule(2001), *everything)
    b = write_tile(tmp_path / granule(2002), np.zeros((10, 10)))
    refused([a, b], "10 pixels a side", "20 pixels a side")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html>\n<html><head><title>Earthdata Login</title></head></html>", ("an HTML page", "download")),
        (b"\r\n  <HTML><body>error</body></HTML>", ("an HTML page",)),
        (b"", ("is empty", "download it again")),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, ("is HDF5", "HDF4")),
        (b"PK\x03\x04rest", ("a ZIP archive", "Unpack")),
        (b"hello", ("of no known format",)),
        (b"\x0e\x03\x13\x01", ("damaged or cut off",)),
    ],
)
def test_what_is_no_hdf4_is_told_by_its_bytes(tmp_path, content, words):
    path = tmp_path / granule(2001)
    path.write_bytes(content)
    refused(path, str(path), *words)


def test_a_cut_file_is_found_in_its_header(headwaters, tmp_path):
    directory, _ = headwaters
    whole = sorted((directory / "mod17").glob("*h25v05*.hdf"))[0]
    content = whole.read_bytes()
    size = len(content)
    path = tmp_path / whole.name
    for length in (
        1,
        3,
        5,
        9,
        50,
        205,
        300,
        2000,
        size // 4,
        size // 2,
        3 * size // 4,
        size - 400,
        size - 30,
        size - 2,
    ):
        path.write_bytes(content[:length])
        refused(path, str(path), "again")


@pytest.mark.slow
def test_a_cut_file_is_refused_or_reads_as_the_whole_one(headwaters, tmp_path):
    directory, _ = headwaters
    whole = sorted((directory / "mod17").glob("*h25v05*.hdf"))[0]
    content = whole.read_bytes()
    want = nc.open_source("mod17a3hgf", whole).load()
    path = tmp_path / whole.name
    for length in [*range(300), *range(300, len(content) - 600, 211), *range(len(content) - 600, len(content))]:
        path.write_bytes(content[:length])
        try:
            got = nc.open_source("mod17a3hgf", path)
        except NepcubeError:
            continue
        # the library pads its files; what is no part of any object may be missing
        assert got.load().identical(want)


def test_another_product_is_refused(tmp_path, everything):
    other = write_tile(tmp_path / granule(2001).replace("MOD17A3HGF", "MOD17A2HGF"), *everything)
    refused(other, "not that of a MOD17A3HGF granule")
    path = write_tile(tmp_path / granule(2002), *everything, fields="Gpp_500m")
    refused(path, "'Npp_500m' is not there", "Gpp_500m")


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({"scale_factor": 0.001}, ("scale_factor 0.001", "0.0001")),
        ({"scale_factor": None}, ("scale_factor None",)),
        ({"scale_factor": 1.0}, ("scale_factor 1.0",)),
        ({"units": "gC/m^2"}, ("is in 'gC/m^2'", "kg_C/m^2")),
        ({"units": None}, ("is in None",)),
        ({"units": "kg_C/m^2/8day"}, ("kg_C/m^2/8day",)),
    ],
)
def test_another_scale_or_unit_is_refused(tmp_path, everything, attrs, words):
    refused(write_tile(tmp_path / granule(2001), *everything, attrs=attrs), str(tmp_path), *words)


def test_max_qc_needs_the_quality_field(tmp_path, everything):
    path = write_tile(tmp_path / granule(2001), everything[0])
    assert nc.open_source("mod17a3hgf", path).npp.shape == (1, 20, 20)
    refused(path, "'Npp_QC_500m' is not there", max_qc=50)


@pytest.mark.parametrize(
    "at",
    [
        corners(26, 5),
        corners(25, 6),
        tuple(c + TILE / 20 for c in corners(25, 5)),
        (corners(25, 5)[0], corners(25, 5)[1], corners(25, 5)[0] + TILE / 2, corners(25, 5)[3]),
    ],
)
def test_corners_that_contradict_the_name_are_refused(tmp_path, everything, at):
    path = write_tile(tmp_path / granule(2001), *everything, at=at)
    refused(path, "are not those of tile h25v05", path.name)


def test_corners_rounded_to_millimetres_are_accepted(tmp_path, everything):
    at = tuple(round(c, 3) for c in corners(25, 5))
    assert nc.open_source("mod17a3hgf", write_tile(tmp_path / granule(2001), *everything, at=at)).npp.shape[0] == 1


def test_a_tile_that_is_not_square_is_refused(tmp_path):
    refused(write_tile(tmp_path / granule(2001), np.zeros((20, 10))), "size 20 x 10")


def test_a_header_that_contradicts_its_data_is_refused(tmp_path):
    path = write_tile(tmp_path / granule(2001), np.zeros((20, 20)))
    path.write_bytes(path.read_bytes().replace(b"XDim=20", b"XDim=40").replace(b"YDim=20", b"YDim=40"))
    with pytest.raises(SourceError, match=path.name):
        nc.open_source("mod17a3hgf", path).load()


@pytest.mark.parametrize(("shape", "h"), [((10, 10), 25), ((20, 20), 26)])
def test_a_quality_file_of_another_place_is_refused(tmp_path, everything, shape, h):
    write_tile_tif(tmp_path / granule(2001, end="_Npp_500m.tif"), everything[0])
    quality = write_tile_tif(tmp_path / granule(2001, end="_Npp_QC_500m.tif"), np.zeros(shape, np.uint8), h=h)
    with pytest.raises(SourceError, match=quality.name):
        nc.open_source("mod17a3hgf", tmp_path / "*.tif", max_qc=50).load()


def as_tifs(folder, raw, qc, year, h):
    base = granule(year, h, end="")
    write_tile_tif(folder / f"{base}_Npp_500m.tif", raw.astype(np.int16), h=h)
    write_tile_tif(folder / f"{base}_Npp_QC_500m.tif", qc.astype(np.uint8), h=h)
    write_tile_tif(folder / f"{base}_Gpp_500m.tif", raw.astype(np.int16), h=h)


@pytest.mark.parametrize("max_qc", [None, 30])
def test_geotiff_tiles_equal_the_hdf_ones(headwaters, truth_mosaic, tmp_path, max_qc):
    directory, truth = headwaters
    raw, qc = truth_mosaic
    n = truth.pixels
    for k, year in enumerate((2001, 2002, 2003)):
        for h, columns in ((25, slice(0, n)), (26, slice(n, 2 * n))):
            as_tifs(tmp_path, raw[k][:, columns], qc[k][:, columns], year, h)
    with forbid_compute():
        tifs = nc.open_source("mod17a3hgf", tmp_path / "*.tif", max_qc=max_qc)
    hdfs = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf", max_qc=max_qc)
    assert tifs.load().identical(hdfs.load())


def test_geotiffs_of_another_kind_are_refused(tmp_path, everything):
    raw, _ = everything
    name = granule(2001, end="_Npp_500m.tif")
    refused(write_tile_tif(tmp_path / name, raw), "Npp_QC_500m.tif", max_qc=50)
    refused(write_tile_tif(tmp_path / name, raw, dtype="float32"), "float32", "int16")
    refused(write_tile_tif(tmp_path / name, raw, crs="EPSG:4326"), "sinusoidal")
    refused(write_tile_tif(tmp_path / name, raw, crs="EPSG:32647"), "sinusoidal")
    refused(write_tile_tif(tmp_path / name, raw, h=24), "are not those of tile h25v05")
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:50])
    refused(tmp_path / name, "damaged")


def test_the_quality_files_alone_are_no_source(tmp_path, everything):
    path = write_tile_tif(tmp_path / granule(2001, end="_Npp_QC_500m.tif"), everything[1])
    refused(path, "no file holds Npp_500m")


def test_a_pattern_without_files_is_refused(tmp_path):
    refused(tmp_path / "*.hdf", "no file matches")


def test_it_travels_to_a_worker(headwaters):
    directory, _ = headwaters
    with forbid_compute():
        ds = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf", max_qc=50)
        there = pickle.loads(pickle.dumps(ds))
    assert there.compute().identical(ds.compute())


@pytest.fixture(scope="module")
def opened(headwaters):
    directory, _ = headwaters
    ds = nc.open_source("mod17a3hgf", directory / "mod17/*.hdf")
    return ds, ds.compute()


@pytest.mark.parametrize("seed", range(12))
def test_any_window_is_the_slice_of_the_whole(opened, seed):
    lazy, whole = opened
    rng = np.random.default_rng(seed)
    (y0, y1), (x0, x1) = np.sort(rng.integers(0, 61, 2)), np.sort(rng.integers(0, 121, 2))
    at = {"y": slice(int(y0), int(y1) + 1), "x": slice(int(x0), int(x1) + 1), "time": slice(seed % 3, None)}
    assert lazy.isel(at).compute().identical(whole.isel(at))


@pytest.mark.parametrize(
    "at",
    [
        {"y": slice(None, None, -1)},
        {"x": [119, 3, 60, 59]},
        {"y": 59, "x": 60},
        {"y": slice(1, None, 3), "x": slice(2, None, 5)},
        {"x": slice(0, None, 2)},
        {"time": slice(0, None, 2)},
        {"time": slice(None, None, -1)},
    ],
    ids=str,
)
def test_any_selection_is_that_of_the_whole(opened, at):
    lazy, whole = opened
    assert lazy.isel(at).compute().identical(whole.isel(at))


def test_a_tile_is_rasterios_tile(tmp_path, everything):
    # the transform of a GeoTIFF and the coordinates that we give name the same centres
    raw, _ = everything
    path = write_tile_tif(tmp_path / granule(2001, end="_Npp_500m.tif"), raw)
    ds = nc.open_source("mod17a3hgf", path)
    with rasterio.open(path) as file:
        xs, ys = (
            file.transform.c + (np.arange(20) + 0.5) * file.transform.a,
            file.transform.f + (np.arange(20) + 0.5) * file.transform.e,
        )
    # metres, apart by the rounding of eleven million
    np.testing.assert_allclose(ds.x.values, xs, atol=1e-6)
    np.testing.assert_allclose(ds.y.values, ys, atol=1e-6)
    from pyproj import CRS

    assert CRS.from_wkt(ds.spatial_ref.attrs["crs_wkt"]).equals(CRS.from_user_input(SINUSOIDAL))
