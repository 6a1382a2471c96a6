"""Respiration on the monthly and the daily basis in a whole run, against float64 sums of the closed-form climate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr


def _bracket(t, p):
    return 0.22 * (np.exp(0.0913 * t) + np.log(0.3145 * p + 1)) * 0.465


def _cells(cube, n=40):
    good = np.argwhere(np.isfinite(cube.nep.values).all(axis=0))
    picked = good[np.random.default_rng(5).choice(len(good), n, replace=False)]
    return [(i, j, float(cube.latitude[i]), float(cube.longitude[j])) for i, j in picked]


def test_the_monthly_basis_is_the_sum_over_months(archive, tools, write_recipe, tmp_path):
    out = tools.do_stages(write_recipe(respiration__basis="monthly"), tmp_path / "out")
    cube = xr.open_zarr(out / "cube.zarr").load()
    for i, j, lat, lon in _cells(cube):
        for k, year in enumerate(archive.years):
            months = [
                (
                    archive.truth.temperature_month(year, m, lat, lon),
                    archive.truth.precipitation_month(year, m, lat, lon),
                )
                for m in range(1, 13)
            ]
            rh = sum(30 * _bracket(t.item() - 273.15, p.item()) for t, p in months)
            np.testing.assert_allclose(cube.rh[k, i, j], rh, atol=1e-4)
            np.testing.assert_allclose(cube.nep[k, i, j], float(cube.npp[k, i, j]) - rh, atol=1e-4)


def test_the_report_compares_the_bases_that_the_inputs_allow(archive, tools, write_recipe, tmp_path):
    out = tools.do_stages(write_recipe(), tmp_path / "out")
    table = pd.read_csv(out / "tables" / "respiration_bases.csv").set_index("basis")
    assert list(table.index) == ["annual", "monthly"]
    assert list(table["used"]) == [True, False]
    maps = xr.open_zarr(out / "statistics.zarr").load()
    area = np.cos(np.radians(maps.latitude)).broadcast_like(maps.region)
    counts = (maps.region > 0) & (maps.nep_count > 0)
    mean = float(maps.nep_mean.where(counts).weighted(area.where(counts, 0)).mean())
    # so small a grid is sampled whole, and the zones of a cosine are the authalic ones to a few 1e-5
    np.testing.assert_allclose(table.nep_mean_gc_m2["annual"], mean, rtol=1e-4)
    assert table.rh_mean_gc_m2["monthly"] > 4 * table.rh_mean_gc_m2["annual"]


def test_the_bases_go_by_shares_where_the_tables_do(copied, tools, tmp_path):
    # tables by shares of the same cells: the mean of this sample, which is the whole, is that of the summary
    recipe = tmp_path / "exact.yaml"
    recipe.write_text(copied.recipe.read_text().replace("name: name", "name: name\n  overlap: exact"))
    out = tools.do_stages(recipe, copied.out, "aggregate")
    mean = pd.read_csv(out / "tables" / "respiration_bases.csv").set_index("basis").nep_mean_gc_m2["annual"]
    summary = pd.read_csv(out / "tables" / "summary.csv").set_index("region").mean_gc_m2["all"]
    by_centres = pd.read_csv(out / "tables" / "regions.csv").set_index("region").mean_centre_gc_m2["all"]
    np.testing.assert_allclose(mean, summary, rtol=2e-6)
    assert abs(by_centres / summary - 1) > 2e-5


@pytest.mark.slow
def test_the_daily_basis_is_the_sum_over_days(archive, tools, write_recipe, tmp_path):
    days = pd.date_range("2001-01-01", "2006-12-31")
    lat, lon = np.arange(37.0, 31.0, -0.5), np.arange(89.0, 103.5, 0.5)
    rng = np.random.default_rng(8)
    shape = (days.size, lat.size, lon.size)
    t = rng.normal(270, 9, shape).astype("f4")
    p = rng.gamma(0.3, 4.0, shape).astype("f4")
    coords = {"time": days, "latitude": lat, "longitude": lon}
    ds = xr.Dataset(
        {
            "t": (("time", "latitude", "longitude"), t, {"units": "K"}),
            "p": (("time", "latitude", "longitude"), p, {"units": "mm/day"}),
        },
        coords,
    )
    ds.to_netcdf(tmp_path / "daily.nc", engine="h5netcdf")
    source = {"reader": "generic", "path": str(tmp_path / "daily.nc")}
    recipe = write_recipe(
        sources__temperature=source | {"variable": "t"},
        sources__precipitation=source | {"variable": "p", "aggregate": "per_day"},
        respiration__basis="daily",
    )
    out = tools.do_stages(recipe, tmp_path / "out")
    cube = xr.open_zarr(out / "cube.zarr").load()
    year = days.year.to_numpy()
    for i, j, y, x in _cells(cube, 15):
        a, b = int(np.floor((37.25 - y) / 0.5)), int(np.floor((x - 88.75) / 0.5))
        for k, wanted in enumerate(archive.years):
            one = year == wanted
            series = t[one, a, b].astype("f8") - 273.15, p[one, a, b].astype("f8")
            np.testing.assert_allclose(cube.temperature[k, i, j], series[0].mean(), rtol=1e-6, atol=1e-5)
            np.testing.assert_allclose(cube.precipitation[k, i, j], series[1].sum(), rtol=1e-6)
            np.testing.assert_allclose(cube.rh[k, i, j], _bracket(*series).sum(), atol=1e-4)
    assert list(pd.read_csv(out / "tables" / "respiration_bases.csv")["basis"]) == ["annual", "monthly", "daily"]


# --- the second model, which needs a raster beside climate


def _write_soil(path, units="t ha-1", fill=None):
    """Soil carbon on quarter degrees, t ha-1, and what a cell finds by its centre."""
    import rasterio

    lat, lon = np.arange(37.375, 30.9, -0.25), np.arange(88.625, 103.4, 0.25)
    values = (40 + 8 * (37 - lat)[:, None] + 2 * (lon - 89)[None, :]).astype("f4")
    if fill is not None:
        values[3, 4] = fill
    profile = {"driver": "GTiff", "height": lat.size, "width": lon.size, "count": 1, "dtype": "float32"}
    transform = rasterio.Affine(0.25, 0, 88.5, 0, -0.25, 37.5)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as file:
        file.write(values, 1)
        file.units = (units,)


def _soil_carbon(lat, lon):
    return (40 + 8 * (37 - lat) + 2 * (lon - 89)) / 10  # kg m-2; linear, so that interpolation is exact


def _gsmsr(**soil):
    fields = {"soil_carbon": soil}
    return {"respiration__model": "gsmsr", "respiration__basis": "monthly", "respiration__fields": fields}


@pytest.mark.slow
def test_the_soil_respiration_of_yu_in_a_run(archive, tools, write_recipe, tmp_path):
    _write_soil(tmp_path / "soil.tif")
    recipe = write_recipe(**_gsmsr(path=str(tmp_path / "soil.tif")))
    out = tools.do_stages(recipe, tmp_path / "out")
    cube = xr.open_zarr(out / "cube.zarr").load()
    assert cube.soil_carbon.attrs["units"] == "kg m-2"
    days = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    for i, j, lat, lon in _cells(cube, 15):
        carbon = _soil_carbon(lat, lon)
        np.testing.assert_allclose(cube.soil_carbon[i, j], carbon, rtol=1e-6)
        for k, year in enumerate(archive.years):
            total = 0.0
            for m in range(1, 13):
                t = archive.truth.temperature_month(year, m, lat, lon).item() - 273.15
                rain = archive.truth.precipitation_month(year, m, lat, lon).item() / 10
                length = days[m - 1] + (m == 2 and year % 4 == 0)
                total += 1.55 * np.exp(0.031 * t) * rain / (rain + 0.68) * carbon / (carbon + 2.23) * length
            np.testing.assert_allclose(cube.rh[k, i, j], np.exp(1.22 + 0.73 * np.log(total)), rtol=2e-5)
    table = pd.read_csv(out / "tables" / "respiration_bases.csv")
    assert list(table["basis"]) == ["monthly"]
    assert xr.open_zarr(out / "statistics.zarr").attrs["respiration_model"] == "gsmsr"
    # another model of the same cube leaves nothing of the first
    tools.do_stages(write_recipe("pei.yaml"), tmp_path / "out")
    assert "soil_carbon" not in xr.open_zarr(out / "cube.zarr")
    assert xr.open_zarr(out / "statistics.zarr").attrs["respiration_model"] == "pei2009"


def test_what_a_model_needs_is_asked_for(cli, write_recipe, tmp_path):
    _write_soil(tmp_path / "soil.tif")
    _write_soil(tmp_path / "odd.tif", units="percent")
    soil = str(tmp_path / "soil.tif")
    for changes, told in (
        ({"respiration__model": "gsmsr", "respiration__basis": "monthly"}, "gsmsr needs `soil_carbon` (kg m-2)."),
        (_gsmsr(path=soil) | {"respiration__basis": "annual"}, "respiration: gsmsr has no annual basis."),
        (_gsmsr(path=str(tmp_path / "odd.tif")), "respiration.fields.soil_carbon: 'percent' cannot become 'kg m-2'."),
        (_gsmsr(path=soil) | {"respiration__model": "pei2009"}, "soil_carbon: pei2009 has no use for it."),
        (_gsmsr(path=str(tmp_path / "none.tif")), "none.tif: no file matches."),
    ):
        found = cli("check", write_recipe(**changes))
        assert found.code == 2
        assert any(told in line for line in found.err), found.err
