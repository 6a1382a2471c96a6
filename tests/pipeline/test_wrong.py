"""Wrong input ends with exit code 2 and two lines, and leaves no output that looks whole."""

import json
import os
import re
import shutil

import h5py
import pytest
import xarray as xr
import yaml


@pytest.fixture
def own(archive, tmp_path):
    """A copy of the archive that a test may break (hard links to what it does not touch)."""
    target = tmp_path / "archive"
    shutil.copytree(archive.directory, target, copy_function=os.link)
    return target


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def refused(cli, tools, recipe, out, *says, verb="ingest"):
    """Run it; exit code 2, two lines that say what is wrong, nothing that looks whole."""
    found = cli(verb, recipe, "-o", out, "--quiet")
    assert found.code == 2, (found.code, found.err[-8:])
    assert len(found.err) == 2, found.err
    assert found.err[0].startswith("error: ")
    assert found.err[1].startswith("       ")
    assert found.err[1].strip()
    assert found.out == []
    for say in says:
        assert re.search(say, "\n".join(found.err)), (say, found.err)
    for name in ("cube.zarr", "statistics.zarr"):
        assert not (out / name / "zarr.json").exists()
        with pytest.raises(Exception, match=r"(?i)group|metadata|found|exist|no such"):
            xr.open_zarr(out / name)
    assert not (out / "report.html").exists()
    assert not (out / "tables").exists()
    assert not (out / ".nepcube" / "lock").exists()


RECIPES = {
    "an unknown key": (lambda r: r["grid"].update(resolutoin="500 m"), [r"grid\.resolutoin", "resolution"]),
    "an unknown top key": (lambda r: r.update(titel="x"), ["titel", "title"]),
    "no basis": (lambda r: r["respiration"].pop("basis"), ["basis"]),
    "an unknown reader": (lambda r: r["sources"]["npp"].update(reader="mod17"), ["mod17a3hgf"]),
    "reversed bounds": (lambda r: r["grid"].update(bounds=[102, 31, 89, 36]), ["bounds"]),
    "a bad resolution": (lambda r: r["grid"].update(resolution="500 furlongs"), ["resolution"]),
    "an unknown crs": (lambda r: r["grid"].update(crs="EPSG:999999"), ["crs"]),
    "a short period": (lambda r: r.update(period=[2001, 2002]), ["period"]),
    "a reversed period": (lambda r: r.update(period=[2006, 2001]), ["period"]),
    "rising breaks that fall": (lambda r: r.update(classes={"slope": {"breaks": [1, 0]}}), ["breaks"]),
    "blocks that cut chunks": (lambda r: r.update(blocks=700), ["512"]),
    "a path that leads nowhere": (lambda r: r["sources"]["npp"].update(path="/no/such/*.hdf"), ["/no/such"]),
    "climate that leads nowhere": (lambda r: r["sources"]["radiation"].update(path="/no/such/*.nc"), ["/no/such"]),
    "tiles elsewhere": (lambda r: (r["grid"].update(bounds=[10, 40, 12, 42]), r.pop("regions")), ["(?i)tile|bounds"]),
    "beyond the climate": (
        lambda r: (r["grid"].update(bounds=[101, 34, 104, 36]), r.pop("regions")),
        ["(?i)cover|bounds|reach|grid"],
    ),
    "a year beyond": (lambda r: r.update(period=[2001, 2007]), ["2007"]),
    "another variable": (lambda r: r["sources"]["temperature"].update(variable="d2m"), ["d2m|variable"]),
    "a region file that is missing": (lambda r: r["regions"].update(path="/no/regions.geojson"), ["/no/regions"]),
    "a column that is missing": (lambda r: r["regions"].update(name="eco"), ["eco", "name_zh"]),
    "strings for numbers": (lambda r: r["grid"].update(bounds=["a", "b", "c", "d"]), ["bounds"]),
}


@pytest.mark.parametrize("case", RECIPES)
def test_a_recipe_that_cannot_be_followed(case, archive, tools, cli, tmp_path):
    change, says = RECIPES[case]
    recipe = tools.recipe_text(archive.directory)
    change(recipe)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    refused(cli, tools, path, tmp_path / "out", *says)
    assert not (tmp_path / "out").exists()


TEXTS = {
    "an object": ("recipe: !!python/object/apply:os.system ['touch /tmp/nepcube-was-here']\n", "tag"),
    "an unknown tag": ("recipe: 1\nname: !thing x\n", "tag"),
    "an alias of itself": ("recipe: &a [*a]\n", "itself"),
    "no yaml": ("recipe: [1\n", "YAML"),
    "a key twice": ("recipe: 1\nname: a\nname: b\n", "twice"),
    "nothing": ("", "empty"),
    "a list": ("- 1\n", "mapping"),
    "a control character": ("recipe: 1\nname: a\x00b\n", "YAML"),
    "an unset variable": ("recipe: 1\nname: ${NEPCUBE_NOT_SET}\n", "NEPCUBE_NOT_SET"),
    "many aliases": (
        "recipe: 1\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 5)),
        "too many values",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_that_is_no_recipe(case, tools, cli, tmp_path):
    text, say = TEXTS[case]
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    refused(cli, tools, path, tmp_path / "out", re.escape(str(path)), say)
    assert not os.path.exists("/tmp/nepcube-was-here")


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x01", b"x" * 2_000_000], ids=["missing", "binary", "huge"])
def test_a_file_that_is_no_recipe(content, tools, cli, tmp_path):
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_bytes(content)
    refused(cli, tools, path, tmp_path / "out", re.escape(str(path)))


def tile(own, year, h):
    return next((own / "mod17").glob(f"*.A{year}001.h{h}v05.*"))


def test_a_web_page_for_a_tile(own, tools, cli, write_recipe, tmp_path):
    file = tile(own, 2003, 25)
    replace(file, b"<!DOCTYPE html><html><body>Login</body></html>")
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", file.name, "(?i)html|page")


@pytest.mark.parametrize("share", [0.5, 0.99, 0.01])
def test_a_torn_tile(own, tools, cli, write_recipe, tmp_path, share):
    file = tile(own, 2003, 26)
    content = file.read_bytes()
    replace(file, content[: max(8, int(len(content) * share))])
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", file.name)


def test_a_year_without_a_tile(own, tools, cli, write_recipe, tmp_path):
    for h in (25, 26):
        tile(own, 2004, h).unlink()
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", "2004")


def test_one_tile_of_one_year_is_missing(own, tools, cli, write_recipe, tmp_path):
    tile(own, 2004, 26).unlink()
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", "2004", "h26v05")


def test_two_versions_of_a_tile(own, tools, cli, write_recipe, tmp_path):
    file = tile(own, 2002, 25)
    other = re.sub(r"\.\d{13}\.hdf$", ".2023001000000.hdf", file.name)
    # the same content would be no contradiction
    shutil.copy(tile(own, 2003, 25), file.with_name(other))
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", "h25v05|2002")


def attribute(file, variable, name, value):
    content = file.read_bytes()
    replace(file, content)
    with h5py.File(file, "r+") as f:
        if value is None:
            del f[variable].attrs[name]
        else:
            f[variable].attrs[name] = value


@pytest.mark.parametrize("units", [None, "banana", "m s**-1"])
@pytest.mark.parametrize(("folder", "variable"), [("era5-land", "t2m"), ("era5-land", "ssr"), ("chirps", "precip")])
def test_units_are_never_guessed(own, tools, cli, write_recipe, tmp_path, units, folder, variable):
    for file in (own / folder).glob("*.nc"):
        attribute(file, variable, "units", units)
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", folder, "(?i)unit")


def test_one_file_in_another_unit(own, tools, cli, write_recipe, tmp_path):
    attribute(own / "era5-land" / "era5-land-monthly-2003.nc", "t2m", "units", "degC")
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", "era5-land", "t2m", "(?i)unit")


def test_a_month_that_is_missing(own, tools, cli, write_recipe, tmp_path):
    file = own / "era5-land" / "era5-land-monthly-2003.nc"
    with xr.open_dataset(file, engine="h5netcdf") as ds:
        time = next(d for d in ds.dims if "time" in str(d))
        short = ds.isel({time: [k for k in range(12) if k != 6]}).load()
    file.unlink()
    short.to_netcdf(file, engine="h5netcdf")
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", "2003")


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x89HDF\r\n\x1a\n" + b"\0" * 500])
def test_a_climate_file_that_is_none(own, tools, cli, write_recipe, tmp_path, content):
    file = own / "era5-land" / "era5-land-monthly-2003.nc"
    replace(file, content)
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", file.name)


def test_a_torn_climate_file(own, tools, cli, write_recipe, tmp_path):
    file = own / "chirps" / "chirps-v2.0.monthly.nc"
    replace(file, file.read_bytes()[:-100_000])
    refused(cli, tools, write_recipe(directory=own), tmp_path / "out", file.name)


def region_file(path, features, crs=None):
    collection = {"type": "FeatureCollection", "features": features}
    if crs:
        collection["crs"] = crs
    path.write_text(json.dumps(collection))


def feature(name, ring):
    return {
        "type": "Feature",
        "properties": {"name": name},
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
    }


A = [(90, 32), (95, 32), (95, 35), (90, 35)]
B = [(94, 32), (99, 32), (99, 35), (94, 35)]
TIE = [(90, 32), (95, 35), (95, 32), (90, 35)]
REGIONS = {
    "overlapping": ([feature("a", A), feature("b", B)], "overlap"),
    "invalid": ([feature("a", TIE)], "valid"),
    "nothing": ([], "geometry|vector|read"),
    "one name twice": ([feature("a", A), feature("a", B)], "called"),
}


@pytest.mark.parametrize("case", REGIONS)
def test_regions_that_cannot_be_used(case, tools, cli, write_recipe, tmp_path):
    features, say = REGIONS[case]
    file = tmp_path / "r.geojson"
    region_file(file, features)
    refused(cli, tools, write_recipe(regions__path=str(file)), tmp_path / "out", re.escape(str(file)), say)


def test_regions_without_a_crs(tools, cli, write_recipe, tmp_path, archive):
    import geopandas as gpd

    gpd.read_file(archive.directory / "regions.geojson").to_file(tmp_path / "r.shp", encoding="utf-8")
    (tmp_path / "r.prj").unlink()
    refused(
        cli, tools, write_recipe(regions__path=str(tmp_path / "r.shp")), tmp_path / "out", "r.shp", "reference system"
    )


def test_a_text_for_regions(tools, cli, write_recipe, tmp_path):
    (tmp_path / "r.geojson").write_text("<html></html>")
    refused(cli, tools, write_recipe(regions__path=str(tmp_path / "r.geojson")), tmp_path / "out", "r.geojson")


def test_the_output_is_a_file(finished, cli, tmp_path):
    (tmp_path / "out").write_text("mine")
    found = cli("run", finished.recipe, "-o", tmp_path / "out", "--quiet")
    assert (found.code, len(found.err)) == (2, 2)
    assert (tmp_path / "out").read_text() == "mine"
    found = cli("run", finished.recipe, "-o", tmp_path / "out" / "below", "--quiet")
    assert (found.code, len(found.err)) == (2, 2)


def test_a_region_beside_the_data_only(tools, cli, write_recipe, tmp_path):
    # every region lies off the grid: nothing to count
    file = tmp_path / "r.geojson"
    region_file(file, [feature("far", [(10, 40), (12, 40), (12, 42), (10, 42)])])
    recipe = write_recipe(regions__path=str(file))
    out = tools.do_stages(recipe, tmp_path / "out", "ingest", "analyse")
    found = cli("aggregate", recipe, "-o", out, "--quiet")
    assert (found.code, len(found.err)) == (2, 2), found.err
    assert not (out / "tables").exists()


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_run_continues(finished, tools, tmp_path):
    """On a file system of 600 kB, made larger afterwards."""
    import subprocess
    import sys

    script = f"""
set -e
mkdir {tmp_path}/m; mount -t tmpfs -o size=600k tmpfs {tmp_path}/m
set +e
{tools.bin}/nepcube ingest {finished.recipe} -o {tmp_path}/m/out --block 64 --quiet 2> {tmp_path}/told
echo $? > {tmp_path}/code
set -e
mount -o remount,size=200m {tmp_path}/m
for stage in ingest analyse aggregate
do {tools.bin}/nepcube $stage {finished.recipe} -o {tmp_path}/m/out --block 64 --quiet
done
cp -r {tmp_path}/m/out {tmp_path}/out
"""
    subprocess.run(["unshare", "-rm", "sh", "-c", script], check=True, env={**os.environ, "PATH": os.environ["PATH"]})
    assert (tmp_path / "code").read_text().strip() == "2", (tmp_path / "told").read_text()[-1500:]
    assert len((tmp_path / "told").read_text().splitlines()) == 2
    tools.same_arrays(tmp_path / "out", finished.out)
    assert sys.executable
