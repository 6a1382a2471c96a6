"""Published maps: values as they are, readable without us, described by a STAC item."""

import itertools
import json
import subprocess

import numpy as np
import pytest
import rasterio
import xarray as xr


@pytest.fixture(scope="module")
def published(finished, tmp_path_factory):
    import shutil

    from nepcube import pipeline

    out = shutil.copytree(finished.out, tmp_path_factory.mktemp("published") / "out")
    # the verb needs what it publishes, not the page
    pipeline.run_stage("publish", finished.recipe, out)
    return out


def test_every_map_is_there_with_equal_values(published):
    with xr.open_zarr(published / "statistics.zarr", chunks=None) as ds:
        names = set(ds.data_vars)
        assert {p.stem for p in (published / "published").glob("*.tif")} == names
        for name in names:
            with rasterio.open(published / "published" / f"{name}.tif") as file:
                np.testing.assert_array_equal(file.read(1), ds[name].values, err_msg=name)
                assert file.dtypes[0] == ds[name].dtype
                assert file.crs.to_epsg() == 4326
                assert file.transform.a == pytest.approx(8000 / 111319.49079327358, rel=1e-14)
                x, y = file.xy(0, 0)
                assert x == pytest.approx(float(ds["longitude"][0]), abs=1e-12)
                assert y == pytest.approx(float(ds["latitude"][0]), abs=1e-12)
                assert file.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
                assert file.tags(1)["units"] == ds[name].attrs["units"]
                if ds[name].dtype.kind == "f":
                    assert np.isnan(file.nodata)


def test_nothing_else_is_left(published):
    kinds = {p.suffix for p in (published / "published").iterdir()}
    assert kinds == {".tif", ".json"}
    assert not [p for p in (published / "published").iterdir() if p.name.startswith(".")]


def test_the_stac_item_describes_them(published):
    item = json.loads((published / "published" / "item.json").read_text())
    assert item["type"] == "Feature"
    assert item["stac_version"].startswith("1.")
    for key in ("id", "geometry", "bbox", "properties", "links", "assets"):
        assert key in item
    west, south, east, north = item["bbox"]
    assert (west, south) == pytest.approx((89.328472, 31.548833), abs=1e-5)
    assert (east, north) == pytest.approx((102.407942, 36.291937), abs=1e-5)
    ring = item["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    signed = sum(a[0] * b[1] - b[0] * a[1] for a, b in itertools.pairwise(ring))
    assert signed > 0
    properties = item["properties"]
    assert properties["datetime"] is None
    assert properties["start_datetime"] == "2001-01-01T00:00:00Z"
    assert properties["end_datetime"].startswith("2006-12-31")
    for asset in item["assets"].values():
        assert (published / "published" / asset["href"]).exists()
        assert asset["type"].startswith("image/tiff")
        assert asset["roles"]


def test_publishing_twice_writes_the_same(published, finished, tools):
    from nepcube import pipeline

    before = {p.name: p.read_bytes() for p in (published / "published").iterdir()}
    pipeline.run_stage("publish", finished.recipe, published)
    assert {p.name: p.read_bytes() for p in (published / "published").iterdir()} == before


def test_another_tool_opens_them(published, tools):
    code = (
        "import sys, rioxarray\n"
        "da = rioxarray.open_rasterio(sys.argv[1], masked=True)\n"
        "assert da.rio.crs.to_epsg() == 4326 and float(da.mean()) == float(da.mean())\n"
        "assert 'nepcube' not in sys.modules\n"
    )
    file = published / "published" / "nep_slope.tif"
    python = tools.bin / "python"
    found = subprocess.run([python, "-c", code, str(file)], capture_output=True, text=True, check=False, cwd="/")
    assert found.returncode == 0, found.stderr
