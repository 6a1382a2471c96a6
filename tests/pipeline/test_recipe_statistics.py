"""Every statistic that a recipe can ask for: the maps are what the library gives, and what is told of them is true."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr

import nepcube as nc
from nepcube import stats
from nepcube.errors import RecipeError, SpecError
from nepcube.recipe import load_recipe

#: of six years few tests hold; at this level some do
ALPHA = 0.3
EVERYTHING = {
    "statistics__alpha": ALPHA,
    "statistics__cv": {"detrended": True},
    "statistics__breakpoint": {"years": [2004], "search": True, "min_segment": 3},
    "statistics__pettitt": True,
    "statistics__partial_correlation": {"of": ["nep", "npp"], "regression": True, "lag": {"precipitation": 1}},
    "statistics__residual_trend": True,
    "statistics__attribution": "miami",
    "statistics__sufficient": True,
    "statistics__trend_classes": [0.1, 0.05],
    "classes__slope": {"method": "quantile", "k": 4},
    "classes__cv": {"method": "standard-deviation", "k": 3},
}
DRIVERS = ("temperature", "precipitation", "radiation")


@pytest.fixture(scope="module")
def asked(archive, tools, tmp_path_factory):
    """A run that asks for everything: maps, cube (in memory) and the folder."""
    import yaml

    folder = tmp_path_factory.mktemp("asked")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, **EVERYTHING), sort_keys=False))
    out = tools.do_stages(recipe, folder / "out")
    maps = xr.open_zarr(out / "statistics.zarr").load()
    return out, maps, nc.open_cube(out).load(), recipe


def same(maps, expected):
    """Hold maps by their names against arrays, to the last bit."""
    for name, want in expected.items():
        assert maps[name].dims == ("latitude", "longitude"), name
        np.testing.assert_array_equal(maps[name].values, want.transpose("latitude", "longitude").values, err_msg=name)


def test_trends_and_breaks_by_name(asked):
    _, maps, cube, _ = asked
    sen, mk = stats.theil_sen(cube.nep), stats.mann_kendall(cube.nep)
    expected = {
        "nep_cv_detrended": stats.coefficient_of_variation(cube.nep, detrend=True).cv,
        "trend_class": stats.trend_classes(sen.slope, mk.pvalue, levels=(0.1, 0.05)),
    }
    for name, year in (("nep_break_2004", 2004), ("nep_break", None)):
        fit = stats.breakpoint_trend(cube.nep, year, min_segment=3)
        parts = ("slope_before", "slope_before_pvalue", "slope_after", "slope_after_pvalue", "pvalue")
        expected |= {f"{name}_{part}": fit[part] for part in parts}
    expected["nep_break_year"] = fit.year
    test = stats.pettitt(cube.nep)
    expected |= {f"nep_pettitt_{part}": test[part] for part in ("year", "k", "pvalue")}
    same(maps, expected)
    assert maps.trend_class.attrs["test"] == "original"
    assert maps.nep_break_2004_slope_after.attrs["units"] == "g m-2 year-2"
    assert np.isfinite(maps.nep_break_year).sum() > 500


def test_drivers_and_causes_by_name(asked):
    _, maps, cube, _ = asked
    drivers = {d: cube[d] for d in DRIVERS}
    lag = {"precipitation": 1}
    expected = {}
    for name in ("nep", "npp"):
        # a year less, which the rain of the year before leaves
        fit = stats.multiple_regression(cube[name], drivers, lag=lag, min_years=5)
        for d in DRIVERS:
            one = fit.sel(driver=d)
            expected |= {
                f"{name}_partial_{d}": one.r,
                f"{name}_partial_{d}_pvalue": one.pvalue,
                f"{name}_semi_partial_{d}": one.semi_partial,
                f"{name}_coefficient_{d}": one.coefficient,
            }
        expected |= {f"{name}_{part}": fit[part] for part in ("r2", "adjusted_r2", "r2_pvalue")}
        expected[f"{name}_partial_count"] = fit.n
        expected[f"{name}_dominant_driver"] = stats.dominant_driver(fit, alpha=ALPHA)
    rest = stats.residual_trend(cube.nep, drivers, lag=lag, min_years=5)
    expected |= {"nep_climate_slope": rest.climate_slope, "nep_climate_r2": rest.r2}
    expected |= {f"nep_residual_{part}": rest[f"residual_{part}"] for part in ("slope", "stderr", "pvalue")}
    why = stats.attribution(cube.npp, nc.potential_npp(cube.temperature, cube.precipitation))
    expected["npp_attribution"] = why.attribution
    expected |= {f"npp_slope_{part}": why[f"slope_{part}"] for part in ("actual", "potential", "human")}
    same(maps, expected)
    assert maps.nep_partial_temperature.attrs["lag_years"] == "precipitation 1"
    assert maps.nep_partial_temperature.attrs["controls"] == "precipitation, radiation"
    assert int(maps.nep_partial_count.max()) == 5
    assert maps.npp_attribution.attrs["potential"] == "miami"


def test_what_was_stored_of_sums_gives_the_trend_again_and_merges(asked):
    _, maps, cube, _ = asked
    table = nc.statistics_from_maps(maps)
    names = ("nep", "npp", *DRIVERS)
    whole = stats.sufficient_statistics({n: cube[n] for n in names}, min_years=6)
    assert sorted(table["variable"].values) == sorted(whole["variable"].values)
    for name in names:
        at = [list(t["variable"].values).index(name) for t in (table, whole)]
        np.testing.assert_array_equal(table["mean"][at[0]].values, whole["mean"][at[1]].values)
    again, fit = nc.trend_from_statistics(table, "nep", min_years=6), stats.linear_trend(cube.nep)
    complete = whole.n.values == 6
    assert complete.sum() > 500
    np.testing.assert_allclose(again.slope.values[complete], fit.slope.values[complete], rtol=1e-5)
    early = stats.sufficient_statistics({n: cube[n].isel(time=slice(0, 2)) for n in names})
    late = stats.sufficient_statistics({n: cube[n].isel(time=slice(2, None)) for n in names})
    merged = nc.trend_from_statistics(nc.merge_statistics(early, late), "nep", min_years=6)
    np.testing.assert_allclose(merged.slope.values[complete], again.slope.values[complete], rtol=1e-9)
    with pytest.raises(SpecError, match=r"the dataset has no such maps\."):
        nc.statistics_from_maps(maps[["nep_mean"]])


def test_codes_have_tables_that_add_up(asked):
    out, maps, _, _ = asked
    area = nc.cell_area(nc.target_grid((89.40, 31.59, 102.40, 36.29), "8000 m"))
    area = np.broadcast_to(np.asarray(area)[:, None], maps.region.shape)
    inside = maps.region.values > 0
    tables = {
        "trend_class": "trend_classes",
        "nep_dominant_driver": "dominant_drivers",
        "npp_dominant_driver": "dominant_drivers_npp",
        "npp_attribution": "attribution_classes",
    }
    for name, file in tables.items():
        rows = pd.read_csv(out / "tables" / f"{file}.csv")
        whole = rows[rows["region"] == "all"].set_index("class")
        codes = maps[name].values
        for code, row in whole.iterrows():
            want = area[inside & (codes == (255 if code == -1 else code))].sum()
            assert row["area_km2"] == pytest.approx(want, rel=1e-9, abs=1e-6), (name, code)
        assert whole["area_km2"].sum() == pytest.approx(area[inside].sum(), rel=1e-9)
        assert whole["share"].drop(-1).sum() == pytest.approx(1)
        words = [w.replace("_", " ") for w in maps[name].attrs["flag_meanings"].split()]
        assert list(whole["label"]) == [*words[:-1], "no data"]
        assert len(maps[name].attrs["flag_colors"].split()) == len(words)


def test_field_significance_of_every_map_of_pvalues(asked):
    out, maps, _, _ = asked
    table = pd.read_csv(out / "tables" / "field_significance.csv").set_index("variable")
    tested = [n for n in maps.data_vars if n.endswith("_pvalue")]
    assert sorted(table.index) == sorted(n.removesuffix("_pvalue") for n in tested)
    assert not table["test"][table["test"].duplicated()].tolist()
    assert table.loc["nep_slope", "test"] == "slope (t test)"
    held = 0
    for name in tested:
        p = maps[name].values[maps.region.values > 0].astype(float)
        p = p[np.isfinite(p)]
        row, attrs = table.loc[name.removesuffix("_pvalue")], maps[name].attrs
        rejected = int((scipy.stats.false_discovery_control(p) <= ALPHA).sum()) if p.size else 0
        assert (row["tests"], row["rejected"]) == (p.size, rejected) == (attrs["field_tests"], attrs["field_rejected"])
        assert (attrs["field_alpha"], attrs["field_domain"]) == (ALPHA, "6 regions, 2001-2006")
        assert ("field_threshold" in attrs) == (rejected > 0)
        if rejected:
            held += 1
            assert (p <= attrs["field_threshold"]).sum() == rejected
    assert held > 0


def test_classes_by_other_methods_say_so(asked):
    _, maps, _, _ = asked
    inside = maps.region > 0
    area = nc.cell_area(nc.target_grid((89.40, 31.59, 102.40, 36.29), "8000 m"))
    weights = xr.DataArray(np.broadcast_to(np.asarray(area)[:, None], maps.region.shape), dims=maps.region.dims)
    for name, source, method, k in (
        ("slope_class", maps.nep_slope, "quantile", 4),
        ("cv_class", abs(maps.nep_cv), "standard-deviation", 3),
    ):
        found = stats.class_breaks(source.where(inside).drop_vars(list(source.coords)), method, k, weights=weights)
        attrs = maps[name].attrs
        assert list(attrs["breaks"]) == pytest.approx(found.breaks, rel=1e-9)
        assert attrs["goodness_of_variance_fit"] == pytest.approx(found.goodness, rel=1e-6)
        assert (attrs["breaks_method"], attrs["breaks_domain"]) == (method, "6 regions, 2001-2006, weighted by area")
        assert len(attrs["flag_values"]) == k + 1


def test_natural_breaks_of_a_run_are_the_librarys(finished):
    maps = xr.open_zarr(finished.out / "statistics.zarr").load()
    area = nc.cell_area(nc.target_grid((89.40, 31.59, 102.40, 36.29), "8000 m"))
    weights = xr.DataArray(np.broadcast_to(np.asarray(area)[:, None], maps.region.shape), dims=maps.region.dims)
    for name, source in (("slope_class", maps.nep_slope), ("cv_class", abs(maps.nep_cv))):
        values = source.where(maps.region > 0).drop_vars(list(source.coords))
        want = stats.natural_breaks(values, 5, weights=weights)
        assert list(maps[name].attrs["breaks"]) == pytest.approx(want, rel=1e-6)
        assert maps[name].attrs["breaks_method"] == "natural-breaks"


@pytest.mark.slow
def test_the_page_tells_what_was_asked(asked, tools):
    from nepcube import pipeline

    out, _, _, recipe = asked
    pipeline.run_stage("report", recipe, out)
    page = (out / "report.html").read_text()
    for words in (
        "Residual trend",
        "Break of the trend (joined)",
        "Pettitt",
        "Field significance",
        "Change of NPP by cause",
    ):
        assert words in page
    for name in ("trend_class", "nep_dominant_driver", "npp_dominant_driver", "npp_attribution"):
        assert (out / "figures" / f"map_{name}.png").stat().st_size > 10_000
    assert json.loads((out / "provenance.json").read_text())["stages"].keys() >= {"analyse", "aggregate"}


def test_field_significance_can_be_left_out_without_a_new_analysis(asked, tools, tmp_path):
    import shutil

    out, _, _, recipe = asked
    copy = shutil.copytree(out, tmp_path / "copy")
    other = tmp_path / "other.yaml"
    other.write_text(recipe.read_text().replace("statistics:\n", "statistics:\n  field_significance: false\n", 1))
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("statistics.zarr/nep_slope/c/*/*")}
    tools.do_stages(other, copy)
    assert before
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert not (copy / "tables" / "field_significance.csv").exists()
    with xr.open_zarr(copy / "statistics.zarr") as maps:
        assert [n for n in maps.data_vars if any(a.startswith("field_") for a in maps[n].attrs)] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"statistics__hurst": True}, "statistics.hurst: 6 years tell nothing about memory; at least 10 are needed"),
        (
            {"statistics__breakpoint": {"years": [2001]}},
            "statistics.breakpoint.years: 2001 is not within 2002 to 2006",
        ),
        (
            {"statistics__breakpoint": {"years": [2003], "min_segment": 4}},
            "statistics.breakpoint: 2003 leaves 3 and 4 values, min_segment asks for 4",
        ),
        (
            {"statistics__breakpoint": {"search": True, "min_segment": 4}},
            "statistics.breakpoint: 6 years are too few for 4 values on both sides",
        ),
        ({"statistics__breakpoint": {}}, "name `years`, or `search: true`, or both"),
        (
            {"statistics__partial_correlation": {"lag": {"precipitation": 4}}},
            "statistics.partial_correlation.lag: 4 years leave 2 of 6",
        ),
        (
            {"statistics__partial_correlation": {"with": ["temperature"], "lag": {"radiation": 1}}},
            "statistics.partial_correlation.lag: 'radiation' is none of the drivers that are used",
        ),
        ({"statistics__trend_classes": [0.01, 0.05]}, "the levels must fall, such as [0.05, 0.01]"),
        (
            {"sources__npp": {"model": "miami"}, "statistics__attribution": "miami"},
            "statistics.attribution: NPP is computed from climate itself, and nothing else is in it",
        ),
    ],
)
def test_what_does_not_fit_is_refused(write_recipe, changes, words):
    with pytest.raises(RecipeError) as told:
        load_recipe(write_recipe(**changes))
    assert words in told.value.what
