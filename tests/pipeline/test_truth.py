"""A whole run held against the truth of its archive, worked out independently."""

import csv
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracle
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import t as student

DRIVERS = ("temperature", "precipitation", "radiation")


def load(out, truth, resolution, years, **more):
    right = oracle.Headwaters(truth, resolution, years, **more)
    cube = xr.open_zarr(Path(out) / "cube.zarr", chunks=None).load()
    maps = xr.open_zarr(Path(out) / "statistics.zarr", chunks=None).load()
    tables = {p.stem: pd.read_csv(p) for p in (Path(out) / "tables").glob("*.csv")}
    labels = np.where(right.labels < 0, maps["region"].values, right.labels)
    names = list(truth.regions["name"])
    groups = {name: labels == k for k, name in enumerate(names, start=1)} | {"all": labels > 0}
    return SimpleNamespace(right=right, cube=cube, maps=maps, tables=tables, labels=labels, groups=groups)


@pytest.fixture(scope="module")
def made(finished, archive, tools):
    return load(finished.out, archive.truth, tools.resolution, archive.years)


@pytest.fixture(scope="module")
def one_tile(archive, tools, tmp_path_factory):
    """The western tile alone: the east is not covered."""
    import yaml

    folder = tmp_path_factory.mktemp("one-tile")
    recipe = tools.recipe_text(
        archive.directory, sources__npp__path=str(archive.directory / "mod17" / "*.h25v05.*"), regions=None
    )
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tools.do_stages(folder / "recipe.yaml", folder / "out")


def check_grid(made):
    assert np.array_equal(made.cube["latitude"].values, made.right.lat)
    assert np.array_equal(made.cube["longitude"].values, made.right.lon)
    assert np.array_equal(made.maps["latitude"].values, made.right.lat)
    assert list(made.cube["time"].dt.year) == made.right.years


def check_npp(made):
    _, cols, unsure = made.right.pixels
    assert unsure.mean() < 1e-3
    n = made.right.truth.pixels
    assert set(np.unique(cols // n)) == {25, 26}
    for t, year in enumerate(made.right.years):
        npp, flag = made.right.npp(year)
        sure = ~unsure
        np.testing.assert_array_equal(made.cube["npp"].values[t][sure], npp[sure], err_msg=str(year))
        np.testing.assert_array_equal(made.cube["npp_flag"].values[t][sure], flag[sure], err_msg=str(year))
    # both sides of the seam between the tiles are there
    assert made.cube["npp"].dtype == np.float32
    seam = (cols == 26 * n) | (cols == 26 * n - 1)
    assert seam.sum() > 20
    assert {0} < set(np.unique(made.cube["npp_flag"].values))


def check_climate(made):
    for t, year in enumerate(made.right.years):
        for name, exact in made.right.climate(year).items():
            stored = made.cube[name].values[t]
            right = oracle.rounded_once(stored, exact)
            assert right.all(), (name, year, (~right).sum(), np.abs(stored - exact).max())


def check_balance(made):
    for t, year in enumerate(made.right.years):
        npp, _ = made.right.npp(year)
        climate = made.right.climate(year)
        rh = np.where(np.isnan(npp), np.nan, oracle.respiration(climate["temperature"], climate["precipitation"]))
        sure = ~made.right.pixels[2]
        np.testing.assert_allclose(made.cube["rh"].values[t][sure], rh[sure], rtol=0, atol=1e-4)
        np.testing.assert_allclose(made.cube["nep"].values[t][sure], (npp - rh)[sure], rtol=0, atol=1e-4)


def complete(made):
    nep = made.cube["nep"].values.astype(np.float64)
    return nep, np.isfinite(nep).all(0)


def check_statistics(made):
    nep, there = complete(made)
    years = np.array(made.right.years, float)
    maps, y = made.maps, nep[:, there]
    assert (~there).any()
    floats = [n for n in maps.data_vars if maps[n].dtype.kind == "f"]
    assert all(np.isnan(maps[n].values[~there]).all() for n in floats if n not in ("npp_mean", "rh_mean"))
    np.testing.assert_array_equal(maps["nep_count"].values[there], years.size)
    np.testing.assert_allclose(maps["nep_mean"].values[there], y.mean(0), rtol=1e-6, atol=1e-6)
    slope, intercept, stderr, p = oracle.ols(y, years)
    for name, exact, tolerance in (
        ("nep_slope", slope, 1e-6),
        ("nep_slope_stderr", stderr, 1e-5),
        ("nep_slope_pvalue", p, 1e-6),
        ("nep_sen_slope", oracle.sen(y, years), 1e-6),
    ):
        np.testing.assert_allclose(maps[name].values[there], exact, rtol=1e-5, atol=tolerance, err_msg=name)
    tau, mk = oracle.mann_kendall(y)
    np.testing.assert_allclose(maps["nep_mk_pvalue"].values[there], mk, rtol=1e-5, atol=1e-6)
    assert np.array_equal(np.sign(maps["nep_mk_tau"].values[there]), np.sign(tau))
    with np.errstate(divide="ignore"):
        cv = y.std(0) / y.mean(0)
    far = np.abs(np.abs(y.mean(0)) - 1.0) > 1e-6
    cv[np.abs(y.mean(0)) < 1.0] = np.nan
    np.testing.assert_allclose(maps["nep_cv"].values[there][far], cv[far], rtol=1e-5, atol=1e-7)
    climate = {d: made.cube[d].values.astype(np.float64)[:, there] for d in DRIVERS}
    for driver in DRIVERS:
        r, p = oracle.partial(y, climate[driver], [climate[d] for d in DRIVERS if d != driver])
        got, gotp = maps[f"nep_partial_{driver}"].values[there], maps[f"nep_partial_{driver}_pvalue"].values[there]
        np.testing.assert_allclose(got, r, rtol=0, atol=1e-5, err_msg=driver)
        np.testing.assert_allclose(gotp, p, rtol=1e-3, atol=1e-5, err_msg=driver)
    assert intercept.size == there.sum()


def check_labels(made):
    away = made.right.labels >= 0
    assert away.mean() > 0.999
    np.testing.assert_array_equal(made.maps["region"].values[away], made.right.labels[away])
    meanings = made.maps["region"].attrs["flag_meanings"].split()
    assert [m.replace("_", " ") for m in meanings[1:]] == list(made.right.truth.regions["name"])


def check_series(made):
    nep, there = complete(made)
    table = made.tables["series"].set_index(["region", "year"])
    summary = made.tables["summary"].set_index("region")
    assert list(summary.index) == list(made.groups)
    years = np.array(made.right.years, float)
    for region, inside in made.groups.items():
        area = made.right.area
        cells = inside & there
        w = area[cells]
        means = []
        for t, year in enumerate(made.right.years):
            row, v = table.loc[(region, year)], nep[t][cells]
            sink, source = v > 0, v < 0
            expected = {
                "mean_gc_m2": np.average(v, weights=w),
                "total_tgc": (v * w).sum() * 1e6 / 1e12,
                "area_km2": w.sum(),
                "n_cells": cells.sum(),
                "sink_area_km2": w[sink].sum(),
                "source_area_km2": w[source].sum(),
                "sink_share": w[sink].sum() / w.sum(),
                "sink_mean_gc_m2": np.average(v[sink], weights=w[sink]) if sink.any() else np.nan,
                "source_mean_gc_m2": np.average(v[source], weights=w[source]) if source.any() else np.nan,
                "sink_share_of_region": w[sink].sum() / area[inside].sum(),
                "region_area_km2": area[inside].sum(),
            }
            assert set(expected) == set(table.columns)
            for column, exact in expected.items():
                assert row[column] == pytest.approx(exact, rel=1e-6, nan_ok=True), (region, year, column)
            means.append(expected["mean_gc_m2"])
        means = np.array(means)
        slope, _, stderr, p = oracle.ols(means, years)
        half = stderr * student.ppf(0.975, years.size - 2)
        totals = table.loc[region]["total_tgc"]
        expected = {
            "mean_gc_m2": means.mean(),
            "cumulative_gc_m2": means.sum(),
            "slope_gc_m2_yr": slope,
            "slope_pvalue": p,
            "min_gc_m2": means.min(),
            "min_year": years[means.argmin()],
            "max_gc_m2": means.max(),
            "max_year": years[means.argmax()],
            "cv": means.std() / means.mean(),
            "area_km2": w.sum(),
            "region_area_km2": made.right.area[inside].sum(),
            "slope_lower_gc_m2_yr": slope - half,
            "slope_upper_gc_m2_yr": slope + half,
            "mean_tgc_yr": totals.mean(),
            "cumulative_tgc": totals.sum(),
            "n_years": years.size,
        }
        assert set(expected) == set(summary.columns)
        for column, exact in expected.items():
            assert summary.loc[region, column] == pytest.approx(exact, rel=1e-6), (region, column)


def check_mean_of_slopes(made):
    nep, there = complete(made)
    years = np.array(made.right.years, float)
    for region, inside in made.groups.items():
        cells = inside & there
        w = made.right.area[cells]
        slopes = oracle.ols(nep[:, cells], years)[0]
        of_series = made.tables["summary"].set_index("region").loc[region, "slope_gc_m2_yr"]
        assert np.average(slopes, weights=w) == pytest.approx(of_series, rel=1e-11, abs=1e-12), region


def check_class_tables(made):
    area = made.right.area
    wanted = {
        "slope_classes": [("nep_slope", made.maps["nep_slope"].values, made.maps["slope_class"])],
        "cv_classes": [("nep_cv", np.abs(made.maps["nep_cv"].values), made.maps["cv_class"])],
        "partial_classes": [(d, made.maps[f"nep_partial_{d}"].values, None) for d in DRIVERS],
    }
    for name, variables in wanted.items():
        table = made.tables[name]
        assert sorted(set(table["variable"])) == sorted(v for v, _, _ in variables)
        for variable, values, classes in variables:
            breaks = (
                np.array(classes.attrs["breaks"])
                if classes is not None
                else np.array([-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8])
            )
            # [lower, upper): a break is the smallest value of the upper class
            codes = np.where(np.isnan(values), 255, np.digitize(values.astype(np.float64), breaks))
            if classes is not None:
                np.testing.assert_array_equal(classes.values, codes)
            for region, inside in made.groups.items():
                part = table[(table["variable"] == variable) & (table["region"] == region)].set_index("class")
                assert list(part.index) == [*range(len(breaks) + 1), -1]
                data = area[inside & (codes != 255)].sum()
                for k in range(len(breaks) + 1):
                    exact = area[inside & (codes == k)].sum()
                    assert part.loc[k, "area_km2"] == pytest.approx(exact, rel=1e-6, abs=1e-12)
                    assert part.loc[k, "share"] == pytest.approx(exact / data, rel=1e-6, abs=1e-15)
                    if k:
                        assert part.loc[k, "lower"] == pytest.approx(breaks[k - 1], rel=1e-12)
                        assert part.loc[k - 1, "upper"] == part.loc[k, "lower"]
                assert part.loc[-1, "area_km2"] == pytest.approx(area[inside & (codes == 255)].sum(), rel=1e-6)


def check_significance(made):
    table = made.tables["significance"].set_index(["region", "variable", "pvalue_below"])
    area = made.right.area
    for variable in ("nep_slope", *(f"nep_partial_{d}" for d in DRIVERS)):
        v = made.maps[variable].values
        p = made.maps[f"{variable}_pvalue"].values.astype(np.float64)
        for region, inside in made.groups.items():
            data = area[inside & np.isfinite(v)].sum()
            for below in (1.0, 0.05, 0.01):
                with np.errstate(invalid="ignore"):
                    counted = inside & ((p < below) | (below == 1.0))
                    up, down = area[counted & (v > 0)].sum(), area[counted & (v < 0)].sum()
                row = table.loc[(region, variable, below)]
                assert row["positive_area_km2"] == pytest.approx(up, rel=1e-6, abs=1e-12)
                assert row["negative_area_km2"] == pytest.approx(down, rel=1e-6, abs=1e-12)
                assert row["positive_share"] == pytest.approx(up / data, rel=1e-6, abs=1e-15)
                assert row["negative_share"] == pytest.approx(down / data, rel=1e-6, abs=1e-15)
            # the step-up rule of Benjamini and Hochberg over all cells of the regions
            tests = np.sort(p[made.groups["all"] & np.isfinite(p)])
            held = tests <= 0.05 * np.arange(1, tests.size + 1) / tests.size
            threshold = tests[held].max() if held.any() else -1.0
            with np.errstate(invalid="ignore"):
                field = inside & (p <= threshold)
            row = table.loc[(region, variable, 0.05)]
            for sign, cells in (("positive", field & (v > 0)), ("negative", field & (v < 0))):
                assert row[f"field_{sign}_area_km2"] == pytest.approx(area[cells].sum(), rel=1e-6, abs=1e-12)
                assert row[f"field_{sign}_share"] == pytest.approx(area[cells].sum() / data, rel=1e-6, abs=1e-15)
            others = table.loc[[(region, variable, 1.0), (region, variable, 0.01)]]
            assert others.filter(like="field_").isna().all().all()
    assert len(table) == 4 * 3 * len(made.groups)


def check_flags(made):
    table = made.tables["npp_flags"].set_index(["region", "year", "flag"])
    area, unsure = made.right.area, made.right.pixels[2]
    for t, year in enumerate(made.right.years):
        flag = np.where(unsure, made.cube["npp_flag"].values[t], made.right.npp(year)[1])
        for region, inside in made.groups.items():
            for code in (*range(10), 255):
                exact = area[inside & (flag == code)].sum()
                row = table.loc[(region, year, code)]
                assert row["area_km2"] == pytest.approx(exact, rel=1e-6, abs=1e-12), (region, year, code)
                assert row["share"] == pytest.approx(exact / area[inside].sum(), rel=1e-6, abs=1e-15)


def check_sums(made):
    # class, flag and no-data areas add up to the region, and regions to `all`
    whole = made.tables["summary"].set_index("region")["region_area_km2"]
    for name in ("slope_classes", "cv_classes", "partial_classes"):
        sums = made.tables[name].groupby(["variable", "region"])["area_km2"].sum()
        for (variable, region), area in sums.items():
            assert area == pytest.approx(whole[region], rel=1e-9), (name, variable)
    for (region, _), area in made.tables["npp_flags"].groupby(["region", "year"])["area_km2"].sum().items():
        assert area == pytest.approx(whole[region], rel=1e-9)
    for (region, _), share in made.tables["npp_flags"].groupby(["region", "year"])["share"].sum().items():
        assert share == pytest.approx(1.0, rel=1e-9), region
    extensive = {
        "series": (["year"], ["total_tgc", "area_km2", "n_cells", "sink_area_km2", "source_area_km2"]),
        "summary": ([], ["area_km2", "region_area_km2"]),
        "slope_classes": (["variable", "class"], ["area_km2"]),
        "cv_classes": (["variable", "class"], ["area_km2"]),
        "partial_classes": (["variable", "class"], ["area_km2"]),
        "significance": (["variable", "pvalue_below"], ["positive_area_km2", "negative_area_km2"]),
        "npp_flags": (["year", "flag"], ["area_km2"]),
    }
    for name, (keys, columns) in extensive.items():
        table = made.tables[name].assign(_=0)
        parts = table[table["region"] != "all"].groupby(["_", *keys])[columns].sum()
        union = table[table["region"] == "all"].set_index(["_", *keys])[columns]
        np.testing.assert_allclose(parts.sort_index(), union.sort_index(), rtol=1e-12, atol=1e-12, err_msg=name)


def check_breaks(made, most):
    inside = made.groups["all"]
    for name, variable in (("slope_class", "nep_slope"), ("cv_class", "nep_cv")):
        values = made.maps[variable].values.astype(np.float64)
        values = np.abs(values) if variable == "nep_cv" else values
        there = inside & np.isfinite(values)
        v, w = values[there], made.right.area[there]
        breaks = np.array(made.maps[name].attrs["breaks"])
        assert breaks.size == 4
        # every break is a value that occurs
        assert np.isin(breaks, v).all()
        if v.size <= most:
            best = oracle.jenks_optimum(v, w, 5)
            got = oracle.jenks_cost(v, w, breaks)
            assert best * (1 - 1e-9) <= got <= best * (1 + 1e-4)


CHECKS = [
    check_grid,
    check_npp,
    check_climate,
    check_balance,
    check_statistics,
    check_labels,
    check_series,
    check_mean_of_slopes,
    check_class_tables,
    check_significance,
    check_flags,
    check_sums,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__.removeprefix("check_"))
def test_small_run(made, check):
    check(made)


def test_breaks_are_optimal(made):
    check_breaks(made, 10_000)


def test_tables_keep_their_digits(finished):
    shorter = 0
    for path in (finished.out / "tables").glob("*.csv"):
        for row in csv.DictReader(path.open(encoding="utf-8")):
            for column, text in row.items():
                if column.endswith("_km2") and text not in ("", "0"):
                    digits = len(text.split("e")[0].replace(".", "").replace("-", "").lstrip("0"))
                    shorter += digits < 9
    assert shorter < 5


def test_where_no_tile_is(archive, tools, one_tile):
    right = oracle.Headwaters(archive.truth, tools.resolution, archive.years, tiles=((25, 5),))
    cube = xr.open_zarr(one_tile / "cube.zarr", chunks=None).load()
    sure = ~right.pixels[2]
    for t, year in enumerate(archive.years):
        npp, flag = right.npp(year)
        assert 0.2 < (flag == 255).mean() < 0.8
        np.testing.assert_array_equal(cube["npp_flag"].values[t][sure], flag[sure])
        np.testing.assert_array_equal(cube["npp"].values[t][sure], npp[sure])
    table = pd.read_csv(one_tile / "tables" / "npp_flags.csv").set_index(["region", "year", "flag"])
    assert set(table.index.get_level_values("region")) == {"all"}
    flag = right.npp(2003)[1]
    assert table.loc[("all", 2003, 255), "area_km2"] == pytest.approx(right.area[flag == 255].sum(), rel=1e-6)
    summary = pd.read_csv(one_tile / "tables" / "summary.csv")
    assert list(summary["region"]) == ["all"]
    assert summary["region_area_km2"][0] == pytest.approx(right.area.sum(), rel=1e-9)


def test_barren_land_counts_as_zero_when_asked(archive, tools, write_recipe, tmp_path):
    recipe = write_recipe(sources__npp__nonvegetated="zero")
    out = tools.do_stages(recipe, tmp_path / "out", "ingest", "analyse")
    cube = xr.open_zarr(out / "cube.zarr", chunks=None).load()
    flag = cube["npp_flag"].values
    barren, data = flag == 5, flag == 0
    assert barren.any()
    for name in ("npp", "rh", "nep"):
        assert (cube[name].values[barren] == 0).all()
        assert np.isfinite(cube[name].values[data]).all()
        assert np.isnan(cube[name].values[~barren & ~data]).all()


def test_bad_quality_is_left_out_when_asked(archive, tools, write_recipe, tmp_path):
    recipe = write_recipe(sources__npp__max_qc=40)
    out = tools.do_stages(recipe, tmp_path / "out", "ingest")
    cube = xr.open_zarr(out / "cube.zarr", chunks=None).load()
    right = oracle.Headwaters(archive.truth, tools.resolution, archive.years)
    rows, cols, unsure = right.pixels
    for t, year in enumerate(archive.years):
        npp, flag = right.npp(year)
        rejected = (flag == 0) & (archive.truth.npp_qc(rows, cols, year) > 40)
        assert rejected.any()
        flag = np.where(rejected, 9, flag)
        npp = np.where(rejected, np.nan, npp)
        np.testing.assert_array_equal(cube["npp_flag"].values[t][~unsure], flag[~unsure])
        np.testing.assert_array_equal(cube["npp"].values[t][~unsure], npp[~unsure])


def test_fewer_years_where_asked(archive, tools, write_recipe, tmp_path):
    # cells of the table are those of the maps: at least min_years, even where single years are missing
    recipe = write_recipe(sources__npp__max_qc=40, statistics__min_years=4)
    out = tools.do_stages(recipe, tmp_path / "out")
    cube = xr.open_zarr(out / "cube.zarr", chunks=None).load()
    maps = xr.open_zarr(out / "statistics.zarr", chunks=None).load()
    nep = cube["nep"].values.astype(np.float64)
    count = np.isfinite(nep).sum(0)
    counts = count >= 4
    assert (counts & (count < 6)).sum() > 10
    assert ((count > 0) & ~counts).sum() > 10
    np.testing.assert_array_equal(maps["nep_count"].values > 0, counts)
    np.testing.assert_array_equal(np.isfinite(maps["nep_slope"].values), counts)
    np.testing.assert_array_equal(maps["nep_count"].values[counts], count[counts])
    right = oracle.Headwaters(archive.truth, tools.resolution, archive.years)
    inside = maps["region"].values > 0
    series = pd.read_csv(out / "tables" / "series.csv").set_index(["region", "year"])
    for t, year in enumerate(archive.years):
        cells = inside & counts & np.isfinite(nep[t])
        assert series.loc[("all", year), "n_cells"] == cells.sum()
        assert series.loc[("all", year), "mean_gc_m2"] == pytest.approx(
            np.average(nep[t][cells], weights=right.area[cells]), rel=1e-9
        )
    y, years = nep, np.array(list(archive.years), float)
    for i, j in np.argwhere(counts & (count < 6))[:50]:
        good = np.isfinite(y[:, i, j])
        slope, _, _, p = oracle.ols(y[good, i, j], years[good])
        assert maps["nep_slope"].values[i, j] == pytest.approx(slope, rel=1e-5, abs=1e-6)
        assert maps["nep_slope_pvalue"].values[i, j] == pytest.approx(p, rel=1e-4, abs=1e-6)


def test_signed_cv_and_given_breaks(archive, tools, write_recipe, tmp_path, finished):
    import shutil

    shutil.copytree(finished.out, tmp_path / "out")
    recipe = write_recipe(
        classes__slope={"breaks": [-0.477, 0, 0.484, 0.813]},
        classes__cv={"breaks": [-0.078, 0.138, 0.219, 0.339, 0.559], "signed": True},
    )
    out = tools.do_stages(recipe, tmp_path / "out", "aggregate")
    maps = xr.open_zarr(out / "statistics.zarr", chunks=None).load()
    for name, variable, breaks in (
        ("slope_class", "nep_slope", [-0.477, 0, 0.484, 0.813]),
        ("cv_class", "nep_cv", [-0.078, 0.138, 0.219, 0.339, 0.559]),
    ):
        values = maps[variable].values.astype(np.float64)
        codes = np.where(np.isnan(values), 255, np.digitize(values, breaks))
        np.testing.assert_array_equal(maps[name].values, codes)
        table = pd.read_csv(out / "tables" / f"{name}es.csv")
        part = table[(table["region"] == "all") & (table["class"] >= 0)]
        assert list(part["lower"])[1:] == breaks
        assert list(part["upper"])[:-1] == breaks


@pytest.mark.slow
def test_demonstration_at_its_real_size(tmp_path_factory):
    """recipes/demo.yaml as it is, every check."""
    import shutil

    from nepcube import pipeline
    from nepcube.demo import Truth

    folder = tmp_path_factory.mktemp("demo")
    recipe = Path(shutil.copy(Path(__file__).parents[2] / "recipes" / "demo.yaml", folder))
    for stage in ("ingest", "analyse", "aggregate"):
        pipeline.run_stage(stage, recipe, folder / "out")
    truth = Truth("headwaters", seed=1, pixels=600, years=(2001, 2020))
    made = load(folder / "out", truth, 2000, range(2001, 2021))
    for check in CHECKS:
        check(made)
    check_breaks(made, 0)
