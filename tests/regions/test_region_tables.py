"""The tables of a run by shares of cells, held against exactextract, geopandas and numpy; and what a run says."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import exactextract
import geopandas as gpd
import numpy as np
import oracle
import pandas as pd
import pytest
import shapely
import xarray as xr
import yaml
from region_factories import geodesic_area

DRIVERS = ("temperature", "precipitation", "radiation")


def tables_of(out):
    return {p.stem: pd.read_csv(p) for p in (Path(out) / "tables").glob("*.csv")}


@pytest.fixture(scope="module")
def made(finished, archive, tools, tmp_path_factory):
    """The finished run with its tables made by shares, and what exactextract says of its cells."""
    folder = tmp_path_factory.mktemp("exact")
    out = Path(shutil.copytree(finished.out, folder / "out"))
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump(tools.recipe_text(archive.directory, regions__overlap="exact"), sort_keys=False)
    )
    tools.do_stages(folder / "recipe.yaml", out, "aggregate")
    right = oracle.Headwaters(archive.truth, tools.resolution, archive.years)
    lat, lon, half = right.lat, right.lon, right.res / 2
    frame = gpd.read_file(archive.directory / "regions.geojson")
    source = exactextract.raster.NumPyRasterSource(
        np.ones(right.shape), lon[0] - half, lat[-1] - half, lon[-1] + half, lat[0] + half
    )
    told = exactextract.exact_extract(source, frame, ["cell_id", "coverage"], output="pandas")
    shares = {}
    for k, name in enumerate(frame["name"]):
        flat = np.zeros(right.area.size)
        flat[told["cell_id"][k]] = told["coverage"][k]
        shares[name] = flat.reshape(right.shape)
    # the regions touch and do not overlap
    shares["all"] = sum(shares.values())
    cube = xr.open_zarr(out / "cube.zarr", chunks=None).load()
    maps = xr.open_zarr(out / "statistics.zarr", chunks=None).load()
    return SimpleNamespace(
        out=out, right=right, frame=frame, shares=shares, cube=cube, maps=maps, tables=tables_of(out)
    )


def near(value):
    return pytest.approx(value, rel=1e-6, abs=1e-5, nan_ok=True)


def test_series_and_summary_are_those_of_exactextract(made):
    series = made.tables["series"].set_index(["region", "year"])
    summary = made.tables["summary"].set_index("region")
    nep = made.cube["nep"].values.astype(float)
    counts = made.maps["nep_count"].values > 0
    assert list(summary.index) == [*made.frame["name"], "all"]
    for region, share in made.shares.items():
        w = share * made.right.area
        means = []
        for t, year in enumerate(made.right.years):
            row = series.loc[(region, year)]
            there = counts & np.isfinite(nep[t]) & (share > 0)
            total = (nep[t] * w)[there].sum()
            sink = there & (nep[t] > 0)
            means.append(total / w[there].sum())
            assert row["mean_gc_m2"] == near(means[-1])
            assert row["total_tgc"] == near(total * 1e-6)
            assert row["area_km2"] == near(w[there].sum())
            assert row["region_area_km2"] == near(w.sum())
            assert row["sink_area_km2"] == near(w[sink].sum())
            assert row["sink_share"] == near(w[sink].sum() / w[there].sum())
            assert abs(row["n_cells"] - there.sum()) <= 2  # a corner that float32 shares of exactextract lose
        slope, _, stderr, p = oracle.ols(np.array(means), np.array(made.right.years, float))
        assert summary.loc[region, "slope_gc_m2_yr"] == near(slope)
        assert summary.loc[region, "slope_pvalue"] == near(p)
        width = summary.loc[region, "slope_upper_gc_m2_yr"] - summary.loc[region, "slope_lower_gc_m2_yr"]
        # Student's t of 4 degrees of freedom, 97.5 %
        assert width == near(2 * 2.7764451051977987 * stderr)


def test_classes_flags_and_significance_are_those_of_exactextract(made):
    area = {region: share * made.right.area for region, share in made.shares.items()}
    for name, table in (("slope_class", "slope_classes"), ("cv_class", "cv_classes")):
        rows = made.tables[table].set_index(["region", "class"])["area_km2"]
        codes = made.maps[name].values
        for region, w in area.items():
            for k in (*range(5), -1):
                assert rows[region, k] == near(w[codes == (k if k >= 0 else 255)].sum())
    flags = made.tables["npp_flags"].set_index(["region", "year", "flag"])["area_km2"]
    for t, year in enumerate(made.right.years):
        for code in (0, 3, 255):
            codes = made.cube["npp_flag"].values[t]
            assert flags["all", year, code] == near(area["all"][codes == code].sum())
    rows = made.tables["significance"].set_index(["region", "variable", "pvalue_below"])
    v, p = made.maps["nep_slope"].values, made.maps["nep_slope_pvalue"].values
    threshold = made.maps["nep_slope_pvalue"].attrs.get("field_threshold", -1.0)
    for region, w in area.items():
        row = rows.loc[(region, "nep_slope", 0.05)]
        assert row["positive_area_km2"] == near(w[(p < 0.05) & (v > 0)].sum())
        assert row["field_positive_area_km2"] == near(w[(p <= threshold) & (v > 0)].sum())


def test_tables_by_shares_add_up(made):
    whole = made.tables["summary"].set_index("region")["region_area_km2"]
    for name in ("slope_classes", "cv_classes", "partial_classes"):
        for (_, region), area in made.tables[name].groupby(["variable", "region"])["area_km2"].sum().items():
            assert area == pytest.approx(whole[region], rel=1e-9), name
    for (region, _), area in made.tables["npp_flags"].groupby(["region", "year"])["area_km2"].sum().items():
        assert area == pytest.approx(whole[region], rel=1e-9)
    columns = ["total_tgc", "area_km2", "sink_area_km2", "source_area_km2", "region_area_km2"]
    series = made.tables["series"]
    parts = series[series["region"] != "all"].groupby("year")[columns].sum()
    np.testing.assert_allclose(parts, series[series["region"] == "all"].set_index("year")[columns], rtol=1e-9)


def test_both_ways_beside_the_polygons_own_area(made, finished):
    by_centre, by_share = (tables_of(out)["regions"].set_index("region") for out in (finished.out, made.out))
    assert set(by_centre["overlap"]) == {"centre"}
    assert set(by_share["overlap"]) == {"exact"}
    pd.testing.assert_frame_equal(by_centre.drop(columns="overlap"), by_share.drop(columns="overlap"))
    mean = made.maps["nep_mean"].values.astype(float)
    counts = made.maps["nep_count"].values > 0
    labels = made.maps["region"].values
    for k, (name, polygon) in enumerate(zip(made.frame["name"], made.frame.geometry, strict=True), start=1):
        row = by_share.loc[name]
        centre = np.where(labels == k, made.right.area, 0.0)
        exact = made.shares[name] * made.right.area
        assert row["n_cells"] == (labels == k).sum()
        assert row["area_centre_km2"] == near(centre.sum())
        assert row["area_exact_km2"] == near(exact.sum())
        assert row["polygon_area_km2"] == near(geodesic_area(polygon, 0.002))
        assert row["centre_minus_exact_km2"] == pytest.approx(centre.sum() - exact.sum(), abs=0.05)
        assert row["exact_minus_polygon_km2"] == pytest.approx(exact.sum() - geodesic_area(polygon, 0.002), abs=0.05)
        assert row["shared_km2"] == 0
        for w, column in ((centre, "mean_centre_gc_m2"), (exact, "mean_exact_gc_m2")):
            assert row[column] == near(np.average(mean[counts & (w > 0)], weights=w[counts & (w > 0)]))
    # the cells of the maps are few beside the tables' areas only where they are coarse
    assert abs(by_share.loc["all", "exact_minus_polygon_km2"]) < 1e-6 * by_share.loc["all", "polygon_area_km2"]
    # the tables of each run are made by its own way
    for tables, column in ((tables_of(finished.out), "area_centre_km2"), (made.tables, "area_exact_km2")):
        used = tables["summary"].set_index("region")["region_area_km2"]
        np.testing.assert_allclose(used, tables["regions"].set_index("region")[column], rtol=1e-13)


def test_breaks_are_weighted_by_shares(made):
    share = made.maps["region_share"].values
    np.testing.assert_allclose(share, made.shares["all"], rtol=0, atol=1e-6)
    v = made.maps["nep_slope"].values.astype(float)
    there = (share > 0) & np.isfinite(v)
    weights = (share * made.right.area)[there]
    found = oracle.jenks_cost(v[there], weights, made.maps["slope_class"].attrs["breaks"])
    assert found <= oracle.jenks_optimum(v[there], weights, 5) * (1 + 1e-6)


# --- what is said ---------------------------------------------------------------------------------------------------


def region_file(path, polygons):
    gpd.GeoDataFrame({"name": list(polygons)}, geometry=list(polygons.values()), crs="EPSG:4326").to_file(path)
    return str(path)


PLAIN = shapely.box(92, 33, 94, 35)
ODD = {
    "plain": PLAIN,
    "speck": shapely.box(95.0001, 34.0001, 95.0002, 34.0002),
    "far": shapely.box(10, 10, 11, 11),
    "beside": shapely.box(93.9995, 33, 95, 34),
}


def test_check_and_run_say_what_is_odd_of_the_regions(copied, write_recipe, cli, tmp_path):
    file = region_file(tmp_path / "r.geojson", ODD)
    recipe = write_recipe(regions__path=file)
    found = cli("check", recipe)
    assert found.code == 0, found.err
    said = [line for line in found.out if line.startswith("regions ")]
    assert len(said) == 3
    assert "overlap by slivers" in said[0]
    assert said[1].endswith("with nothing in the tables: 'far'.")
    assert said[2].startswith("regions 1 region with the centre of no cell")
    assert said[2].endswith("'speck'.")
    found = cli("aggregate", recipe, "-o", copied.out)
    assert found.code == 0, found.err
    assert sum("regions: 1 region" in line for line in [*found.out, *found.err]) == 2
    notes = json.loads((copied.out / "provenance.json").read_text())["regions"]
    assert [f"regions {note}" for note in notes] == said
    series = pd.read_csv(copied.out / "tables" / "series.csv").set_index("region")
    for name in ("speck", "far"):
        assert (series.loc[name, "n_cells"] == 0).all()
        assert (series.loc[name, ["area_km2", "region_area_km2"]] == 0).all().all()
        assert series.loc[name, "mean_gc_m2"].isna().all()
    summary = pd.read_csv(copied.out / "tables" / "summary.csv").set_index("region")
    assert summary.loc["speck"].filter(regex="mean|cumulative|slope|cv").isna().all()
    sizes = pd.read_csv(copied.out / "tables" / "regions.csv").set_index("region")
    assert sizes.loc[["speck", "far"], "n_cells"].tolist() == [0, 0]
    assert sizes.loc["speck", "n_cells_touched"] == 1
    assert sizes.loc["speck", "area_exact_km2"] == pytest.approx(geodesic_area(ODD["speck"]), rel=1e-3)
    assert sizes.loc["far", "area_exact_km2"] == 0


def test_regions_that_overlap_have_tables_by_shares(copied, write_recipe, tools, tmp_path):
    over = {"a": PLAIN, "b": shapely.box(93, 33, 95, 35)}
    recipe = write_recipe(regions__path=region_file(tmp_path / "o.geojson", over), regions__overlap="exact")
    tools.do_stages(recipe, copied.out, "aggregate")
    sizes = pd.read_csv(copied.out / "tables" / "regions.csv").set_index("region")
    assert sizes["n_cells"].isna().tolist() == [True, True, False]
    common = geodesic_area(shapely.box(93, 33, 94, 35))
    np.testing.assert_allclose(sizes.loc[["a", "b"], "shared_km2"], common, rtol=1e-6)
    areas = pd.read_csv(copied.out / "tables" / "summary.csv").set_index("region")["region_area_km2"]
    assert areas["all"] == pytest.approx(geodesic_area(shapely.box(92, 33, 95, 35)), rel=1e-5)
    assert areas["a"] + areas["b"] - areas["all"] == pytest.approx(common, rel=1e-5)
    note = json.loads((copied.out / "provenance.json").read_text())["regions"][0]
    assert note.startswith("1 pair of regions overlap (")


@pytest.mark.slow
def test_tables_by_shares_do_not_depend_on_the_blocks(made, archive, write_recipe, tools, tmp_path):
    recipe = write_recipe(regions__overlap="exact")
    out = tools.do_stages(recipe, tmp_path / "out", block=64)
    tools.same_arrays(out, made.out)
    tools.same_tables(out, made.out)
