"""The example package of `tests/example_reader`, as pip would leave it, through the library and a recipe."""

import shutil
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.sources import Request, inspected, names, reader
from nepcube.testing import forbid_compute

EXAMPLE = Path(__file__).parents[1] / "example_reader"
LATITUDE = (np.arange(37 * 20 - 1, 31 * 20 - 1, -1) + 0.5) / 20
LONGITUDE = (np.arange(89 * 20, 103 * 20) + 0.5) / 20


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Leave behind what an installer does: the package, and its metadata made from its pyproject."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    shutil.copytree(EXAMPLE / "npz_archive", site / "npz_archive")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("npz_archive", None)


def write(path, rain, latitude=LATITUDE[:6], longitude=LONGITUDE[:8]):
    np.savez_compressed(path, rain=rain, latitude=latitude, longitude=longitude)
    return path


def test_it_is_listed_and_opens_lazily(installed, tmp_path):
    assert "npz-archive" in names()
    assert reader("npz-archive").quantities == ("precipitation",)
    rain = np.random.default_rng(1).uniform(0, 99, (24, 6, 8)).astype("f4")
    write(tmp_path / "rain_2002.npz", rain[12:])
    write(tmp_path / "rain_2001.npz", rain[:12])
    with forbid_compute():
        ds = nc.open_source("npz-archive", tmp_path / "*.npz", quantity="precipitation", years=(2001, 2002))
    assert_array_equal(ds.precipitation.values, rain)
    # made from integers times the step, not from the file's numbers
    assert_allclose(ds.latitude.values, LATITUDE[:6], rtol=0, atol=1e-9)
    total = np.zeros((2, 6, 8))
    for k in range(24):
        total[k // 12] += rain[k]
    assert_array_equal(nc.to_annual(ds).precipitation.values, total)


def test_what_it_refuses_and_lists(installed, tmp_path):
    write(tmp_path / "rain_2001.npz", np.zeros((12, 6, 8), "f4"))
    (tmp_path / "rain_2002.npz").write_bytes(b"PK\x03\x04 cut")
    request = Request((str(tmp_path / "rain_2001.npz"), str(tmp_path / "rain_2002.npz")))
    found = inspected(reader("npz-archive"), request)
    assert [(g.path, g.start, g.end) for g in found.granules] == [(request.paths[0], "2001-01-01", "2001-12-01")]
    assert [(f.state, f.which, f.way_out) for f in found.findings] == [
        ("broken", request.paths[1], "Make the archive again.")
    ]
    with pytest.raises(SourceError, match=r"rain_2002\.npz: cannot be read"):
        nc.open_source("npz-archive", tmp_path / "*.npz")


def test_a_whole_recipe_with_it_gives_the_cube_of_chirps(installed, archive, finished, write_recipe, tmp_path, tools):
    # the archive's own months through the example reader: the same values, so the same cube
    folder = tmp_path / "npz"
    folder.mkdir()
    lat, lon = LATITUDE[:, None], LONGITUDE
    for year in archive.years:
        months = [archive.truth.precipitation_month(year, month, lat, lon) for month in range(1, 13)]
        write(folder / f"rain_{year}.npz", np.stack(months), LATITUDE, LONGITUDE)
    recipe = write_recipe(sources__precipitation={"reader": "npz-archive", "path": str(folder / "*.npz")}, regions=None)
    out = tools.do_stages(recipe, tmp_path / "out", "ingest")
    mine, theirs = (zarr.open_array(str(Path(o) / "cube.zarr/precipitation"), mode="r") for o in (out, finished.out))
    assert_array_equal(mine[...], theirs[...])
    assert np.isfinite(mine[...]).any()
    product = zarr.open_array(str(out / "cube.zarr" / "precipitation"), mode="r").attrs["product"]
    assert product == "npz example 1.0"
