"""Strata in a run: maps and tables against pandas on the stored arrays, in any blocks; what is refused early."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
import scipy.stats
import xarray as xr
import yaml
from rasterio.transform import Affine

import nepcube as nc
from nepcube import pipeline
from nepcube.errors import NepcubeError, SourceError
from nepcube.grid import cell_area, coordinates, edges
from nepcube.pipeline.stratifying import stratum_record

NAMES = {10: "cropland", 20: "forest", 30: "grassland", 50: "wetland", 60: "water", 80: "town", 90: "bare", 100: "snow"}
BREAKS = (4000.0, 4500.0)


def sections(directory):
    terrain = directory / "terrain"
    return {
        "landcover": {"path": str(terrain / "landcover.tif"), "kind": "categorical", "names": NAMES},
        "elevation": {"path": str(terrain / "elevation.tif"), "kind": "continuous", "breaks": list(BREAKS)},
        "shares": {
            "path": str(terrain / "landcover.tif"),
            "kind": "categorical",
            "names": NAMES,
            "method": "fraction",
        },
        "steep": {"path": str(terrain / "elevation.tif"), "kind": "continuous", "of": "slope", "breaks": [0.5]},
        "change": {
            "path": {2001: str(terrain / "landcover.tif"), 2020: str(directory.parent / "later.tif")},
            "kind": "categorical",
            "names": NAMES,
            "change": [2001, 2020],
        },
    }


@pytest.fixture(scope="module")
def later(archive):
    """Land cover of a later year: the north a third grassland that was bare, and one strip without data."""
    with rasterio.open(archive.directory / "terrain" / "landcover.tif") as file:
        values, profile = file.read(1), file.profile
    values[:40][values[:40] == 90] = 30
    values[:, 60:64] = 0
    with rasterio.open(archive.directory.parent / "later.tif", "w", **profile) as file:
        file.write(values, 1)


@pytest.fixture(scope="module")
def stratified(finished, archive, later, tools, tmp_path_factory):
    """The finished run with strata: its last stage again."""
    folder = tmp_path_factory.mktemp("stratified")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, strata=sections(archive.directory))))
    shutil.copytree(finished.out, folder / "out")
    return tools.do_stages(recipe, folder / "out", "aggregate"), recipe


@pytest.fixture(scope="module")
def maps(stratified):
    return xr.open_zarr(stratified[0] / "statistics.zarr").load()


def table(out, name):
    return pd.read_csv(out / "tables" / f"{name}.csv")


def cells_of(grid, path):
    """The pixels of each cell, one at a time."""
    with rasterio.open(path) as file:
        values, t = file.read(1), file.transform
    lon = t.c + t.a * (np.arange(values.shape[1]) + 0.5)
    lat = t.f + t.e * (np.arange(values.shape[0]) + 0.5)
    ey, ex = edges(grid)
    j = np.searchsorted(ex, lon, side="right") - 1
    i = ey.size - 1 - np.searchsorted(ey[::-1], lat, side="right")
    out = {}
    for r in np.flatnonzero((i >= 0) & (i < grid.shape[0])):
        for c in np.flatnonzero((j >= 0) & (j < grid.shape[1])):
            out.setdefault((i[r], j[c]), []).append(int(values[r, c]))
    y, x = coordinates(grid)
    for a in range(grid.shape[0]):
        for b in range(grid.shape[1]):
            if (a, b) not in out:
                r, c = int(np.floor((y[a] - t.f) / t.e)), int(np.floor((x[b] - t.c) / t.a))
                out[a, b] = [int(values[r, c])]
    return out


def grid_of_run():
    # that of the small archive's recipe
    return nc.target_grid((89.40, 31.59, 102.40, 36.29), resolution="8000 m")


def test_maps_hold_the_majority_and_the_mean(maps, archive):
    grid = grid_of_run()
    cover = cells_of(grid, archive.directory / "terrain" / "landcover.tif")
    height = cells_of(grid, archive.directory / "terrain" / "elevation.tif")
    right = np.zeros(grid.shape, int)
    mean = np.zeros(grid.shape)
    for place, pixels in cover.items():
        codes, counts = np.unique(pixels, return_counts=True)
        right[place] = codes[counts.argmax()]
        mean[place] = np.mean(height[place])
    np.testing.assert_array_equal(maps["stratum_landcover"].values, right)
    np.testing.assert_array_equal(maps["stratum_shares"].values, right)
    np.testing.assert_allclose(maps["elevation"].values, mean, rtol=1e-6)
    np.testing.assert_array_equal(maps["stratum_elevation"].values, np.digitize(maps["elevation"].values, BREAKS))
    assert maps["elevation"].attrs["units"] == "m"
    assert maps["steep"].attrs["units"] == "degree"
    assert list(maps["stratum_landcover"].attrs["flag_values"]) == [*NAMES, 255]
    assert maps["stratum_landcover"].dtype == np.uint8
    # heights fall out of the demonstration's truth
    y, x = coordinates(grid)
    rough = archive.truth.elevation(y[:, None], x[None, :])
    assert np.corrcoef(rough.ravel(), maps["elevation"].values.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", ["landcover", "elevation", "steep", "change"])
def test_tables_are_what_pandas_makes_of_the_maps(stratified, maps, name):
    out, _ = stratified
    cube = xr.open_zarr(out / "cube.zarr")
    area = np.broadcast_to(cell_area(grid_of_run()).values[:, None], maps["region"].shape)
    codes = maps[f"stratum_{name}"]
    labels = dict(zip(codes.attrs["flag_values"], [*codes.attrs["names"], "no class"], strict=True))
    names = maps["region"].attrs["names"]
    frame = pd.DataFrame(
        {
            "region": maps["region"].values.ravel(),
            "stratum": [labels[k] for k in codes.values.ravel()],
            "area": area.ravel(),
            "counts": maps["nep_count"].values.ravel() > 0,
        }
    )
    frame = frame[frame["region"] > 0]
    kept = frame.index.to_numpy()
    series, summary = table(out, f"series_by_{name}"), table(out, f"summary_by_{name}")
    for t, year in enumerate(range(2001, 2007)):
        frame["nep"] = cube["nep"].isel(time=t).values.ravel()[kept].astype(float)
        good = frame[frame["counts"] & frame["nep"].notna()]
        rows = series[series["year"] == year].set_index(["region", "stratum"])
        for (number, stratum), part in good.groupby(["region", "stratum"]):
            row = rows.loc[(names[number - 1], stratum)]
            total = (part["nep"] * part["area"]).sum()
            assert row["mean_gc_m2"] == pytest.approx(total / part["area"].sum(), rel=1e-9)
            assert row["total_tgc"] == pytest.approx(total * 1e-6, rel=1e-9)
            assert row["area_km2"] == pytest.approx(part["area"].sum(), rel=1e-9)
            assert row["n_cells"] == len(part)
            assert row["sink_area_km2"] == pytest.approx(part["area"][part["nep"] > 0].sum(), rel=1e-9)
            assert row["source_area_km2"] == pytest.approx(part["area"][part["nep"] < 0].sum(), rel=1e-9)
        whole = frame.groupby(["region", "stratum"])["area"].sum()
        for (number, stratum), size in whole.items():
            assert rows.loc[(names[number - 1], stratum), "region_area_km2"] == pytest.approx(size, rel=1e-9)
    for row in summary.itertuples():
        means = series[(series["region"] == row.region) & (series["stratum"] == row.stratum)]["mean_gc_m2"].to_numpy()
        if np.isfinite(means).all():
            fit = scipy.stats.linregress(np.arange(6), means)
            assert row.slope_gc_m2_yr == pytest.approx(fit.slope, rel=1e-9, abs=1e-12)
            assert row.slope_pvalue == pytest.approx(fit.pvalue, rel=1e-6, abs=1e-12)
            assert row.cumulative_gc_m2 == pytest.approx(means.sum(), rel=1e-12)
            assert (row.min_year, row.max_year) == (2001 + means.argmin(), 2001 + means.argmax())
        else:
            assert np.isnan(row.min_year)
    if name == "change":
        assert {"bare to grassland", "grassland", "no class"} <= set(summary["stratum"])
        assert "bare to bare" not in set(summary["stratum"])


def test_fractions_weigh_by_the_pixels(stratified, maps, archive):
    out, _ = stratified
    grid = grid_of_run()
    cover = cells_of(grid, archive.directory / "terrain" / "landcover.tif")
    area, region = cell_area(grid).values, maps["region"].values
    nep = xr.open_zarr(out / "cube.zarr")["nep"].isel(time=2).values.astype(float)
    counted = maps["nep_count"].values > 0
    series = table(out, "series_by_shares")
    rows = series[series["year"] == 2003].set_index(["region", "stratum"])
    for code, stratum in NAMES.items():
        share = np.zeros(grid.shape)
        for place, pixels in cover.items():
            share[place] = np.mean(np.array(pixels) == code)
        weight = share * area[:, None] * (region > 0)
        if not weight.any():
            continue
        data = counted & np.isfinite(nep)
        row = rows.loc[("all", stratum)]
        assert row["region_area_km2"] == pytest.approx(weight.sum(), rel=1e-9)
        assert row["area_km2"] == pytest.approx(weight[data].sum(), rel=1e-9, abs=1e-9)
        if weight[data].any():
            assert row["mean_gc_m2"] == pytest.approx((nep * weight)[data].sum() / weight[data].sum(), rel=1e-9)
            assert row["n_cells"] == int((weight[data] > 0).sum())


@pytest.mark.parametrize("name", ["landcover", "elevation", "shares", "steep", "change"])
def test_areas_add_up_to_those_of_the_regions(stratified, name):
    out, _ = stratified
    for plain, key, column in (
        ("series", ["region", "year"], "area_km2"),
        ("series", ["region", "year"], "region_area_km2"),
        ("series", ["region", "year"], "total_tgc"),
        ("slope_classes", ["region", "class"], "area_km2"),
        ("cv_classes", ["region", "class"], "area_km2"),
        ("npp_flags", ["region", "year", "flag"], "area_km2"),
        ("partial_classes", ["region", "variable", "class"], "area_km2"),
    ):
        whole, parts = table(out, plain), table(out, f"{plain}_by_{name}")
        assert list(parts.columns) == [whole.columns[0], "stratum", *whole.columns[1:]]
        found = parts.groupby(key)[column].sum()
        right = whole.set_index(key)[column]
        np.testing.assert_allclose(found.reindex(right.index), right, rtol=1e-9, atol=1e-9)


def test_any_block_gives_the_same_bytes(stratified, maps, finished, tools, tmp_path):
    out, recipe = stratified
    small = tools.do_stages(recipe, tmp_path / "small", block=64)
    again = xr.open_zarr(small / "statistics.zarr").load()
    for name in [n for n in maps.data_vars if "stratum" in maps[n].attrs]:
        assert again[name].values.tobytes() == maps[name].values.tobytes(), name
    tools.same_tables(small, out)


def test_a_recipe_without_strata_takes_them_away_again(stratified, finished, tools, tmp_path):
    out, _ = stratified
    copy = shutil.copytree(out, tmp_path / "copy")
    tools.do_stages(finished.recipe, copy, "aggregate")
    tools.same_tables(copy, finished.out)
    assert not [n for n in (copy / "statistics.zarr").iterdir() if n.name in ("elevation", "stratum_elevation")]


def test_another_file_under_the_name_is_noticed(stratified, archive, later, tools, tmp_path):
    out, recipe = stratified
    record = json.loads((out / ".nepcube" / "stages.json").read_text())["aggregate"]
    assert set(record["strata"]) == set(sections(archive.directory))
    told = []
    pipeline.run_stage("aggregate", recipe, out, progress=lambda *a: told.append(a))
    assert told[-1][3] == "done already"
    file = archive.directory.parent / "later.tif"
    when = file.stat()
    os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns + 10**9))
    assert json.loads(json.dumps(stratum_record(nc.load_recipe(recipe)))) != record["strata"]
    os.utime(file, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert json.loads(json.dumps(stratum_record(nc.load_recipe(recipe)))) == record["strata"]


def test_a_file_replaced_while_it_is_read_is_another(finished, archive, tools, tmp_path):
    cover = tmp_path / "cover.tif"
    shutil.copy(archive.directory / "terrain" / "landcover.tif", cover)
    recipe = tmp_path / "recipe.yaml"
    strata = {"lc": {"path": str(cover), "kind": "categorical", "names": NAMES}}
    recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, strata=strata)))
    out = shutil.copytree(finished.out, tmp_path / "out")
    before = stratum_record(nc.load_recipe(recipe))
    told = []

    def progress(stage, done, total, detail=""):
        told.append((stage, detail))
        if stage == "aggregate: sums" and stratum_record(nc.load_recipe(recipe)) == before:
            os.utime(cover, ns=(10**18, 10**18))

    pipeline.run_stage("aggregate", recipe, out, progress=progress)
    record = json.loads((out / ".nepcube" / "stages.json").read_text())["aggregate"]["strata"]
    assert record == json.loads(json.dumps(before))
    assert stratum_record(nc.load_recipe(recipe)) != before
    told.clear()
    pipeline.run_stage("aggregate", recipe, out, progress=progress)
    assert ("aggregate", "done already") not in told
    record = json.loads((out / ".nepcube" / "stages.json").read_text())["aggregate"]["strata"]
    assert record == json.loads(json.dumps(stratum_record(nc.load_recipe(recipe))))

    # and one that is gone is missed only by what reads it
    cover.rename(tmp_path / "unmounted.tif")
    assert pipeline.write_tables(recipe, out, ["md"])
    told.clear()
    said = []
    pipeline.run_stage("aggregate", recipe, out, progress=progress, say=said.append)
    assert ("aggregate", "done already") in told
    assert any("strata.lc: its files are not there" in line for line in said)
    tables = {p.name: p.read_bytes() for p in (out / "tables").glob("*.csv")}
    strata["lc"]["min_fraction"] = 0.9
    recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, strata=strata)))
    with pytest.raises(SourceError, match=r"cover\.tif: no file matches"):
        pipeline.run_stage("aggregate", recipe, out)
    # nothing was taken back
    assert {p.name: p.read_bytes() for p in (out / "tables").glob("*.csv")} == tables
    assert "aggregate" in json.loads((out / ".nepcube" / "stages.json").read_text())


WRONG = {
    "a file that is not there": ({"path": "nowhere.tif"}, "no file matches"),
    "a raster of real numbers": ({"path": "real.tif"}, "it holds float32"),
    "a raster elsewhere": ({"path": "far.tif"}, "it does not touch the grid"),
    "no unit": ({"path": "real.tif", "kind": "continuous", "breaks": [1], "names": None}, "it names no unit"),
    "feet": ({"path": "feet.tif", "kind": "continuous", "of": "slope", "breaks": [1], "names": None}, "heights in m"),
}


@pytest.mark.parametrize("case", WRONG)
def test_check_refuses_what_is_wrong(archive, tools, cli, tmp_path, case):
    changes, says = WRONG[case]
    profile = {"driver": "GTiff", "width": 20, "height": 20, "count": 1, "crs": "EPSG:4326"}
    for name, dtype, west, unit in (
        ("real", "float32", 95, None), ("far", "uint8", 10, None), ("feet", "float32", 95, "ft"),
    ):  # fmt: skip
        transform = Affine(0.1, 0, west, 0, -0.1, 34)
        with rasterio.open(tmp_path / f"{name}.tif", "w", dtype=dtype, transform=transform, **profile) as file:
            file.write(np.ones((20, 20), dtype), 1)
            if unit:
                file.units = (unit,)
    one = {"kind": "categorical", "names": {1: "one"}} | changes
    recipe = tmp_path / "recipe.yaml"
    strata = {"lc": {k: v for k, v in one.items() if v is not None}}
    recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, strata=strata)))
    found = cli("check", recipe)
    assert found.code == 2
    assert any(says in line for line in found.err), found.err
    assert any(line.strip().startswith("strata.lc") for line in found.out)
    with pytest.raises(NepcubeError, match=says):
        pipeline.run(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_check_names_the_files(stratified, cli):
    said = cli("check", stratified[1])
    assert said.code == 0
    assert sorted(line.split()[:3] for line in said.out if line.startswith("strata.")) == sorted(
        [
            ["strata.landcover", "categorical", "1"],
            ["strata.elevation", "continuous", "1"],
            ["strata.shares", "categorical", "1"],
            ["strata.steep", "continuous", "1"],
            ["strata.change", "categorical", "2"],
        ]
    )
