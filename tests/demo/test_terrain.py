"""The generated heights and land cover: what the files hold, and that they agree with the climate and NPP."""

import json
import shutil

import numpy as np
import pytest
import rasterio

from nepcube.demo import Truth, generate
from nepcube.demo.terrain import terrain_centres
from nepcube.recipe.strata import LEGENDS


@pytest.mark.parametrize(("layer", "dtype", "unit"), [("elevation", "int16", "m"), ("landcover", "uint8", None)])
def test_the_files_hold_the_truth(archive, layer, dtype, unit):
    truth = archive.truth
    with rasterio.open(archive.directory / "terrain" / f"{layer}.tif") as file:
        assert (file.dtypes[0], file.units[0], str(file.crs)) == (dtype, unit, "EPSG:4326")
        held, (x, y) = file.read(1), file.xy(3, 5)
    latitude, longitude = terrain_centres(truth)
    assert (latitude[3], longitude[5]) == pytest.approx((y, x))
    right = (truth.elevation if layer == "elevation" else truth.land_cover)(latitude[:, None], longitude[None, :])
    np.testing.assert_array_equal(held, np.rint(right))


def test_temperature_falls_with_height_by_the_lapse_rate():
    truth = Truth(seed=3, pixels=24, years=(2001, 2020))
    lat, lon = np.meshgrid(np.arange(320, 360, 4) / 10, np.arange(900, 1020, 4) / 10, indexing="ij")
    # the mean height of a cell of the climate, of twenty by twenty places
    off = (np.arange(20) - 9.5) / 200
    height = truth.elevation(lat[..., None, None] + off[:, None], lon[..., None, None] + off).mean((-1, -2))
    months = [[truth.temperature_month(y, m, lat, lon).astype(float) for m in range(1, 13)] for y in range(2001, 2021)]
    slope, _ = np.polyfit(height.ravel(), np.mean(months, (0, 1)).ravel(), 1)
    assert slope * 1000 == pytest.approx(-6.5, rel=0.03)
    assert 3000 < height.min() < height.max() < 5800


def test_land_cover_is_what_npp_says_of_its_pixels():
    # the codes of NPP in 2001, but for the few single pixels without data and the barren ones of that year's rain
    truth = Truth(seed=1, pixels=240)
    rows, cols = np.meshgrid(np.arange(5 * 240 + 110 - 720 // 6, 1500) % 10**6, np.arange(6000, 6400), indexing="ij")
    raw = truth.npp_raw(rows, cols, 2001)
    size, radius = truth.pixel_size, 6371007.181
    phi = (10007554.677003 - (rows + 0.5) * size) / radius
    lat, lon = np.degrees(phi), np.degrees((-20015109.354 + (cols + 0.5) * size) / (radius * np.cos(phi)))
    cover = truth.land_cover(lat, lon)
    inside = (lat >= 31) & (lat <= 37) & (lon >= 89) & (lon <= 103)
    assert inside.sum() > 10_000
    for code, npp in ((60, 32766), (100, 32764), (80, 32762)):
        mine, theirs = inside & (cover == code), inside & (raw == npp)
        if npp == 32766:
            assert theirs.sum() > 50
        assert (mine & ~theirs).sum() <= 0.01 * max(mine.sum(), 1) + 3
        assert (theirs & ~mine).sum() <= 3
    assert set(np.unique(cover)) <= set(LEGENDS["globeland30"])


def test_an_archive_without_them_gets_them(archive, tmp_path):
    old = shutil.copytree(archive.directory, tmp_path / "old")
    shutil.rmtree(old / "terrain")
    generate(old, seed=1, pixels=archive.truth.pixels, years=archive.truth.years, workers=1)
    assert sorted(p.name for p in (old / "terrain").iterdir()) == ["elevation.tif", "landcover.tif"]
    assert json.loads((old / "GENERATED.json").read_text())["pixels"] == archive.truth.pixels
