"""Blocks of a GeoTIFF that are damaged or left out: read right, or refused by name, where they are read."""

import gzip

import numpy as np
import pytest
import rasterio
from numpy.testing import assert_array_equal
from rasterio.shutil import copy as raster_copy

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError
from nepcube.sources import geotiff, open_raster

SHAPE = (300, 420)
NORTH, WEST, STEP = 40.0, 90.0, 0.05
FLIPS = 60


def rain(seed=0):
    return np.random.default_rng(seed).gamma(2.0, 30.0, SHAPE).astype("f4")


def write(path, data, *, mask=None, driver="GTiff", **options):
    """Write (band, row, column), deflated in blocks that are smaller than the image."""
    data = data[None] if data.ndim == 2 else data
    profile = {"driver": "GTiff", "count": data.shape[0], "height": SHAPE[0], "width": SHAPE[1], "dtype": data.dtype}
    profile |= {"crs": "EPSG:4326", "transform": rasterio.Affine(STEP, 0, WEST, 0, -STEP, NORTH), "compress": "deflate"}
    if driver == "GTiff":
        profile |= {"tiled": True, "blockxsize": 128, "blockysize": 128} | options
    plain = path.with_suffix(".plain")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(plain, "w", **profile) as file:
        file.write(data)
        if mask is not None:
            file.write_mask(mask)
    if driver == "COG":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
            raster_copy(plain, path, driver="COG", compress="deflate", blocksize=128, overviews="none")
        plain.unlink()
    else:
        plain.rename(path)
    return path


def block(content, *, x=0, y=0, band=1):
    """Where a block of a file lies."""
    with rasterio.MemoryFile(content) as memory, memory.open() as file:
        at, n = (int(file.get_tag_item(f"BLOCK_{w}_{x}_{y}", "TIFF", bidx=band)) for w in ("OFFSET", "SIZE"))
    return at, at + n


def chirps_cog(folder, data):
    return write(folder / "chirps-v2.0.2001.cog", data, driver="COG")


def chirps_gzip(folder, data):
    path = folder / "chirps-v2.0.2001.tif.gz"
    path.write_bytes(gzip.compress(write(folder / "plain.tif", data).read_bytes()))
    (folder / "plain.tif").unlink()
    return path


def generic_tiles(folder, data):
    return write(folder / "rain_2001.tif", data)


def open_chirps(path):
    return nc.open_source("chirps", path).precipitation[0].sortby("latitude", ascending=False)


def open_generic(path):
    ds = nc.open_source("generic", path, quantity="precipitation", units="mm", time="year")
    return ds.precipitation[0].sortby("latitude", ascending=False)


FORMS = {
    "chirps COG": (chirps_cog, open_chirps),
    "chirps gzip": (chirps_gzip, open_chirps),
    "generic tiles": (generic_tiles, open_generic),
    "raster tiles": (generic_tiles, open_raster),
}


def contents(path):
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def put(path, content):
    # what was damaged before it was packed has the right sum of its gzip
    path.unlink()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def judge(opened, path, want):
    """Give whether a file was refused by name; one that is read must be right."""
    refusal = None
    try:
        got = opened(path).values
    except SourceError as error:
        refusal = error.what
    if refusal is None:
        assert_array_equal(got, want)
        return False
    assert refusal.startswith(f"{path}: the file is damaged or cut off (")
    return True


@pytest.mark.parametrize("form", list(FORMS))
def test_changed_bytes_of_blocks_are_found(tmp_path, form):
    make, opened = FORMS[form]
    data = rain()
    path = make(tmp_path, data)
    assert_array_equal(opened(path).values, data)
    content = contents(path)
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(FLIPS):
        first, end = block(content, x=int(rng.integers(0, 4)), y=int(rng.integers(0, 3)))
        changed = bytearray(content)
        for k in rng.integers(first, end, int(rng.choice([1, 1, 4]))):
            changed[k] ^= 1 << int(rng.integers(0, 8))
        put(path, bytes(changed))
        refused += judge(opened, path, data)
    # a bit of a stream's head may say nothing
    assert refused >= FLIPS - 3


@pytest.mark.parametrize("form", list(FORMS))
def test_a_wrong_checksum_alone_is_found(tmp_path, form):
    make, opened = FORMS[form]
    path = make(tmp_path, rain())
    content = bytearray(contents(path))
    content[block(bytes(content), x=1, y=1)[1] - 1] ^= 1
    put(path, bytes(content))
    with pytest.raises(SourceError, match="incorrect data check") as error:
        opened(path).compute()
    assert error.value.what.startswith(f"{path}: ")


def test_only_the_blocks_that_are_read_are_looked_at(tmp_path):
    data = np.stack([rain(2), rain(3)])
    path = write(tmp_path / "dem.tif", data, interleave="band", blockxsize=256, blockysize=256)
    content = bytearray(path.read_bytes())
    first, end = block(bytes(content), x=0, y=0, band=2)
    content[(first + end) // 2] ^= 4
    path.write_bytes(content)
    assert_array_equal(open_raster(path, variable="1").values, data[0])
    second = geotiff.SheetArray([(str(path), 2, False)], (1, *SHAPE))
    for window in (np.s_[0, 260:, 300:], np.s_[0, :250, 256:], np.s_[0, 256:, :]):
        assert_array_equal(second[window], data[1][window[1:]])
    for window in (np.s_[0, :, :], np.s_[0, :1, :1], np.s_[0, 255:, 255:]):
        with pytest.raises(SourceError, match="damaged or cut off"):
            second[window]


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_a_damaged_mask_is_found(tmp_path, driver):
    data, mask = rain(), np.full(SHAPE, 255, "u1")
    mask[np.random.default_rng(3).random(SHAPE) < 0.2] = 0
    path = write(tmp_path / "rain_2001.tif", data, mask=mask, driver=driver)
    want = np.where(mask, data, np.nan)
    assert_array_equal(open_generic(path).values, want)
    content = path.read_bytes()
    runs = sorted(block(content, x=x, y=y) for x in range(4) for y in range(3))
    # what lies between and behind the blocks of the image are those of the mask
    gaps = [(a[1], b[0]) for a, b in zip(runs, [*runs[1:], (len(content),) * 2], strict=True) if b[0] - a[1] > 500]
    assert gaps
    refused = 0
    for k, (first, end) in enumerate(gaps):
        changed = bytearray(content)
        changed[(first + end) // 2] ^= 1 << k % 8
        put(path, bytes(changed))
        refused += judge(open_generic, path, want)
    assert refused


def leave_out(path, *, x, y):
    """Take a block out of the tables of a file whose blocks lie in the order of their numbers."""
    content = bytearray(path.read_bytes())
    first, end = block(bytes(content), x=x, y=y)
    for number in (first, end - first):
        at = content.find(number.to_bytes(4, "little"))
        content[at : at + 4] = bytes(4)
    path.write_bytes(content)
    return path


def test_a_block_that_is_left_out_is_refused(tmp_path):
    for opened, name in ((open_generic, "rain_2001.tif"), (open_raster, "dem.tif")):
        path = leave_out(write(tmp_path / name, rain()), x=1, y=2)
        with pytest.raises(SourceError) as error:
            opened(path).compute()
        assert str(error.value) == (
            f"{path}: 1 of 12 blocks are not there, and it declares no number for missing cells.\n"
            "Download it again; if they were left out on purpose, write them: gdal_translate IN OUT."
        )
    path = leave_out(write(tmp_path / "chirps-v2.0.2001.tif", rain(), nodata=-9999.0), x=1, y=2)
    with pytest.raises(NepcubeError) as error:
        open_chirps(path)
    assert error.value.what == f"{path}: the file is damaged or cut off (1 of its blocks are not there)."


def test_a_block_that_is_left_out_of_a_file_with_a_missing_number_is_missing(tmp_path):
    data = rain()
    path = leave_out(write(tmp_path / "rain_2001.tif", data, nodata=-1.0), x=1, y=2)
    want = data.copy()
    want[256:, 128:256] = np.nan
    assert_array_equal(open_generic(path).values, want)
    assert_array_equal(open_raster(path).values, want)


@pytest.mark.parametrize("wrong", ["beyond", "twice", "few"])
@pytest.mark.parametrize("form", ["chirps COG", "generic tiles", "raster tiles"])
def test_tables_that_make_no_sense(tmp_path, form, wrong):
    make, opened = FORMS[form]
    path = make(tmp_path, rain())
    content = bytearray(path.read_bytes())
    places = [block(bytes(content), x=x, y=0) for x in range(2)]
    at = content.find(places[1][0].to_bytes(4, "little"))
    if wrong == "few":
        # the tag of the offsets (324, 32-bit numbers) counts its values
        at = content.find(b"\x44\x01\x04\x00") + 4
        content[at] -= 1
    else:
        other = len(content) + 10 if wrong == "beyond" else places[0][0]
        content[at : at + 4] = other.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(SourceError, match="damaged or cut off") as error:
        opened(path).compute()
    assert error.value.what.startswith(f"{path}: ")
