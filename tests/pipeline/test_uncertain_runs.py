"""The error of NEP in a run: maps and tables beside plain numpy, and nothing of it where it is not asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from scipy.stats import norm

from nepcube import recipe as recipes
from nepcube.errors import RecipeError
from nepcube.grid import cell_area
from nepcube.nep import InputErrors
from nepcube.pipeline.context import grid_of
from nepcube.pipeline.uncertainty import (
    UncertaintySums,
    area_scale,
    errors_of,
    map_names,
    uncertainty_notes,
    uncertainty_tables,
)
from nepcube.regions import Members
from nepcube.report.saying import text_in

ERRORS = {
    "npp": {"systematic": 0.15, "by_cell": 0.2, "by_cell_year": 0.1},
    "respiration": {"scale": 0.1, "temperature": 0.2, "precipitation": 0.25, "share": 0.0},
    "correlation": [["scale", "temperature", -0.5]],
    "source": "an example, no judgement",
}
R = np.array([0.1, 0.2, 0.25])
CORRELATION = np.array([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def run(archive, finished, tools, tmp_path_factory):
    """A finished run that is asked for its errors afterwards, up to its tables."""
    folder = tmp_path_factory.mktemp("uncertainty")
    out = Path(shutil.copytree(finished.out, folder / "out"))
    recipe = folder / "recipe.yaml"
    heights = str(archive.directory / "terrain" / "elevation.tif")
    strata = {"height": {"path": heights, "kind": "continuous", "breaks": [4000, 4500]}}
    text = tools.recipe_text(archive.directory, uncertainty=ERRORS, strata=strata)
    recipe.write_text(yaml.safe_dump(text, sort_keys=False))
    before = tools.chunk_files(out, "cube.zarr")
    tools.do_stages(recipe, out)
    # what is ingested is not touched, and the cube is the same
    assert tools.chunk_files(out, "cube.zarr") == before
    times = [
        (out / "cube.zarr/npp/c" / f.name).stat().st_mtime_ns for f in (finished.out / "cube.zarr/npp/c").iterdir()
    ]
    assert times == [f.stat().st_mtime_ns for f in (finished.out / "cube.zarr/npp/c").iterdir()]
    return recipe, out, xr.open_zarr(out / "cube.zarr").load(), xr.open_zarr(out / "statistics.zarr").load()


def derivatives(t, p):
    """Of RH by the logarithm of scale, temperature and precipitation."""
    factor = 0.22 * 0.465 * 30
    return np.stack(
        [
            factor * (np.exp(0.0913 * t) + np.log(0.3145 * p + 1)),
            factor * 0.0913 * t * np.exp(0.0913 * t),
            factor * 0.3145 * p / (0.3145 * p + 1),
        ]
    )


def twin(cube):
    """What each error changes the mean by, by cell, in float64: NPP, NPP by year, coefficients."""
    values = {n: cube[n].values.astype("f8") for n in ("npp", "temperature", "precipitation")}
    counts = np.isfinite(cube.nep.values).all(axis=0)
    of_rh = derivatives(values["temperature"], values["precipitation"]).mean(axis=1)
    by_year = np.sqrt((values["npp"] ** 2).sum(axis=0)) / len(values["npp"])
    return tuple(np.where(counts, v, np.nan) for v in (values["npp"].mean(axis=0), by_year, of_rh))


def test_the_maps(run):
    _, _, cube, maps = run
    npp, by_year, of_rh = twin(cube)
    var_npp = (0.15**2 + 0.2**2) * npp**2 + (0.1 * by_year) ** 2
    var_rh = np.einsum("i...,j...,ij->...", R[:, None, None] * of_rh, R[:, None, None] * of_rh, CORRELATION)
    both = np.sqrt(var_npp + var_rh)
    near = {"rtol": 2e-6, "equal_nan": True}
    assert np.isfinite(both).sum() > 1000
    np.testing.assert_allclose(maps.nep_mean_uncertainty_npp, np.sqrt(var_npp), **near)
    # the parts of temperature and scale cancel where it is cold
    np.testing.assert_allclose(maps.nep_mean_uncertainty_respiration, np.sqrt(var_rh), rtol=2e-5, equal_nan=True)
    np.testing.assert_allclose(maps.nep_mean_uncertainty, both, **near)
    np.testing.assert_allclose(maps.nep_sink_probability, norm.sf(0, maps.nep_mean, both), rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(maps.rh_sensitivity_precipitation, of_rh[2], **near)
    assert "rh_sensitivity_share" not in maps
    assert maps.nep_mean_uncertainty.attrs["units"] == "g m-2 year-1"


def test_the_tables_are_the_propagation_of_the_region(run):
    recipe, out, cube, maps = run
    table = pd.read_csv(out / "tables" / "uncertainty.csv").set_index("region")
    parts = pd.read_csv(out / "tables" / "uncertainty_components.csv").set_index(["region", "component"])
    summary = pd.read_csv(out / "tables" / "summary.csv").set_index("region")
    grid, _ = grid_of(recipes.load_recipe(recipe))
    area = cell_area(grid).values[:, None] * np.ones(grid.shape)
    npp, by_year, of_rh = twin(cube)
    names = list(table.index)
    assert names == list(summary.index)
    assert len(names) == 7
    for k, region in enumerate(names, start=1):
        chosen = maps.region.values > 0 if region == "all" else maps.region.values == k
        chosen &= np.isfinite(npp)
        w = area[chosen] / area[chosen].sum()
        mean = (w * maps.nep_mean.values[chosen].astype("f8")).sum()
        systematic = 0.15 * (w * npp[chosen]).sum()
        by_cell = 0.2 * np.sqrt(((w * npp[chosen]) ** 2).sum())
        by_cell_year = 0.1 * np.sqrt(((w * by_year[chosen]) ** 2).sum())
        changes = R * (w * of_rh[:, chosen]).sum(axis=1)
        var_rh = changes @ CORRELATION @ changes
        error = np.sqrt(systematic**2 + by_cell**2 + by_cell_year**2 + var_rh)
        row = table.loc[region]
        near = {"rel": 1e-6}
        assert row.mean_gc_m2 == pytest.approx(mean, **near)
        assert row.mean_gc_m2 == pytest.approx(summary.mean_gc_m2[region], **near)
        assert row.standard_error_gc_m2 == pytest.approx(error, **near)
        assert row.npp_error_gc_m2 == pytest.approx(np.sqrt(error**2 - var_rh), **near)
        assert row.respiration_error_gc_m2 == pytest.approx(np.sqrt(var_rh), rel=2e-5)
        assert row.lower_gc_m2 == pytest.approx(mean + norm.ppf(0.025) * error, rel=1e-5)
        assert row.upper_gc_m2 == pytest.approx(mean + norm.ppf(0.975) * error, rel=1e-5)
        assert row.sink_probability == pytest.approx(norm.sf(0, mean, error), rel=1e-5)
        assert row.total_tgc == pytest.approx(mean * area[chosen].sum() * 1e-6, **near)
        assert row.total_standard_error_tgc == pytest.approx(error * area[chosen].sum() * 1e-6, **near)
        told = parts.loc[region].standard_error_gc_m2
        assert told["npp_systematic"] == pytest.approx(systematic, **near)
        assert told["npp_by_cell"] == pytest.approx(by_cell, **near)
        assert told["npp_by_cell_year"] == pytest.approx(by_cell_year, **near)
        for name, change in zip(("scale", "temperature", "precipitation"), changes, strict=True):
            assert told[f"rh_{name}"] == pytest.approx(abs(change), rel=2e-5)
        assert told["rh_share"] == 0.0
        # a relative error of a coefficient by one lowers NEP by its sensitivity
        assert parts.loc[region].sensitivity_gc_m2["rh_scale"] == pytest.approx(-changes[0] / 0.1, **near)
        assert summary.mean_uncertainty_gc_m2[region] == pytest.approx(error, **near)
        assert summary.total_uncertainty_tgc[region] == pytest.approx(row.total_standard_error_tgc, rel=1e-12)
    # what all cells share does not average out, what each has for itself does
    assert (
        parts.loc["all"].standard_error_gc_m2["npp_by_cell"]
        < 0.1 * parts.loc["all"].standard_error_gc_m2["npp_systematic"]
    )


def test_errors_are_of_the_regions_and_not_of_their_strata(run):
    _, out, _, _ = run
    names = {f.name for f in (out / "tables").glob("*_by_height.csv")}
    assert {"summary_by_height.csv", "series_by_height.csv"} <= names
    assert not [n for n in names if n.startswith(("uncertainty", "regions"))]
    divided, whole = (pd.read_csv(out / "tables" / f"{n}.csv") for n in ("summary_by_height", "summary"))
    assert list(whole.columns[-2:]) == ["mean_uncertainty_gc_m2", "total_uncertainty_tgc"]
    assert list(divided.columns) == ["region", "stratum", *whole.columns[1:-2]]


def test_the_report_tells_what_was_assumed(run):
    recipe, out, _, _ = run
    tables = {f.stem: pd.read_csv(f) for f in (out / "tables").glob("*.csv")}
    (note,) = uncertainty_notes(recipes.load_recipe(recipe), tables)
    told = text_in(note.text, "en")
    row = tables["uncertainty"].iloc[-1]
    assert "15 % that all cells and years share, 20 % of each cell, 10 % of each cell and year" in told
    assert "scale 10 %, temperature 20 %, precipitation 25 %, share 0 % (source: an example, no judgement)" in told
    assert f"mean NEP of {row.mean_gc_m2:.1f} gC m⁻² yr⁻¹ a standard error of {row.standard_error_gc_m2:.1f}" in told


def test_without_errors_there_is_nothing_of_them(finished):
    maps = xr.open_zarr(finished.out / "statistics.zarr")
    assert not [name for name in map(str, maps) if "uncertainty" in name or "sensitivity" in name]
    assert not (finished.out / "tables" / "uncertainty.csv").exists()
    assert "mean_uncertainty_gc_m2" not in pd.read_csv(finished.out / "tables" / "summary.csv")


@pytest.mark.parametrize(
    ("changes", "what", "way_out"),
    [
        (
            {"respiration": {"scael": 0.1}},
            "uncertainty.respiration: 'scael' is no coefficient of pei2009.",
            "Did you mean 'scale'? It has scale (0.22), temperature (0.0913), precipitation (0.3145), share (0.465).",
        ),
        (
            {"respiration": {"scale": 0.1, "temperature": 0.2}},
            "uncertainty.respiration: precipitation, share of pei2009 not given.",
            "Say the relative error of each coefficient; 0 takes it as exact.",
        ),
        (
            {"correlation": [["scale", "slope", 0.2]]},
            "uncertainty.correlation: [scale, slope, 0.2]: 'slope' has no error.",
            "Name two coefficients of `respiration`.",
        ),
    ],
)
def test_errors_that_the_model_does_not_take(write_recipe, changes, what, way_out):
    recipe = recipes.load_recipe(write_recipe(uncertainty=ERRORS | changes))
    with pytest.raises(RecipeError) as caught:
        errors_of(recipe)
    assert (caught.value.what, caught.value.way_out) == (what, way_out)


def test_check_tells_of_them_before_a_run(cli, write_recipe):
    said = cli("check", write_recipe(uncertainty=ERRORS | {"respiration": {"scale": 0.1}}))
    assert said.code == 2
    assert any("temperature, precipitation, share of pei2009 not given" in line for line in said.err + said.out)


@pytest.mark.parametrize("cut", [1, 3, 7])
def test_shares_of_cells_and_any_cut(cut):
    """Two regions that share cells, and their union: weights are area times share, and squared where errors are."""
    rng = np.random.default_rng(11)
    rows, columns = 7, 9
    areas = rng.uniform(0.1, 0.3, (rows, columns))
    shares = np.where(rng.random((2, rows, columns)) < 0.6, rng.uniform(0.05, 0.5, (2, rows, columns)), 0.0)
    shares = np.concatenate([shares.sum(axis=0)[None], shares])
    errors = InputErrors(0.1, 0.2, 0.3, {"scale": 0.1, "slope": 0.4}, (("scale", "slope", 0.5),))
    maps = {name: rng.normal(150, 90, (rows, columns)).astype("f4") for name in map_names(errors)}
    maps["nep_count"] = (rng.random((rows, columns)) < 0.8).astype("u2")

    def of(part):
        groups, starts, given = [], [], []
        for group, share in enumerate(shares[:, part]):
            cells = np.flatnonzero(share)
            groups += [group] * cells.size
            starts += cells.tolist()
            given += share.ravel()[cells].tolist()
        members = Members.of_runs(groups, starts, np.ones(len(starts), np.int64), given)
        block = {n: m[part] for n, m in maps.items()}
        return UncertaintySums.of(block, errors, members, areas[part], area_scale(0.3)).widened(np.arange(3))

    total = of(slice(0, cut))
    for row in range(cut, rows, cut):
        total += of(slice(row, row + cut))
    groups = {"one": np.array([1]), "two": np.array([2]), "all": np.array([0]), "none": np.array([3])}
    tables = uncertainty_tables(total, errors, groups)
    table = tables["uncertainty"].set_index("region")
    parts = tables["uncertainty_components"].set_index(["region", "component"]).standard_error_gc_m2
    values = {n: m.astype("f8") for n, m in maps.items()}
    for region, k in (("one", 1), ("two", 2), ("all", 0)):
        w = areas * shares[k] * (maps["nep_count"] > 0)
        w = w / w.sum()
        by_cell = 0.2 * np.sqrt(((w * values["npp_sensitivity"]) ** 2).sum())
        by_year = 0.3 * np.sqrt(((w * values["npp_sensitivity_by_year"]) ** 2).sum())
        systematic = 0.1 * (w * values["npp_sensitivity"]).sum()
        scale, slope = (
            0.1 * (w * values["rh_sensitivity_scale"]).sum(),
            0.4 * (w * values["rh_sensitivity_slope"]).sum(),
        )
        variance = systematic**2 + by_cell**2 + by_year**2 + scale**2 + slope**2 + 2 * 0.5 * scale * slope
        assert table.standard_error_gc_m2[region] == pytest.approx(np.sqrt(variance), rel=1e-12)
        assert table.mean_gc_m2[region] == pytest.approx((w * values["nep_mean"]).sum(), rel=1e-12)
        assert parts[region, "npp_by_cell"] == pytest.approx(by_cell, rel=1e-12)
        assert parts[region, "npp_by_cell_year"] == pytest.approx(by_year, rel=1e-12)
        assert parts[region, "rh_slope"] == pytest.approx(abs(slope), rel=1e-12)
    assert table.loc["none"].drop("area_km2").isna().all()
    # the very same bits as in one piece
    whole = of(slice(0, rows))
    assert whole.signed.total.tobytes() == total.signed.total.tobytes()
    assert whole.squares.total.tobytes() == total.squares.total.tobytes()


@pytest.mark.slow
def test_any_block_gives_the_same_bytes(run, tools, tmp_path):
    recipe, out, _, _ = run
    other = tools.do_stages(recipe, tmp_path / "out", block=64)
    tools.same_arrays(other, out)
    tools.same_tables(other, out)


@pytest.mark.slow
def test_months_and_barren_land(archive, write_recipe, tools, tmp_path):
    """On the monthly basis derivatives are sums over months; where respiration is set to zero nothing changes it."""
    recipe = write_recipe(
        uncertainty=ERRORS,
        respiration={"basis": "monthly", "keep_climate": True},
        sources__npp__nonvegetated="zero",
    )
    out = tools.do_stages(recipe, tmp_path / "out", block=64)
    cube, maps, climate = (xr.open_zarr(out / f"{n}.zarr").load() for n in ("cube", "statistics", "climate"))
    each = derivatives(climate.temperature.values.astype("f8"), climate.precipitation.values.astype("f8"))
    years = each.reshape(3, len(archive.years), 12, *each.shape[2:]).sum(axis=2)
    barren = cube.npp_flag.values == 5
    assert barren.any()
    counts = np.isfinite(cube.nep.values).all(axis=0)
    wanted = np.where(counts, np.where(barren, 0.0, years).mean(axis=1), np.nan)
    for k, name in enumerate(("scale", "temperature", "precipitation")):
        np.testing.assert_allclose(maps[f"rh_sensitivity_{name}"], wanted[k], rtol=1e-5, atol=1e-4, equal_nan=True)
    always = barren.all(axis=0) & counts
    assert always.any()
    assert (maps.nep_mean_uncertainty.values[always] == 0).all()
    assert (maps.nep_sink_probability.values[always] == 0).all()
