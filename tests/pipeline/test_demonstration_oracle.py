"""The tables of the demonstration, region by region, by other people's software alone: GDAL's labels of centres,
exactextract's shares of cells, geopandas, scipy and numpy."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio.features
import xarray as xr
from affine import Affine
from numpy.testing import assert_allclose
from pyproj import Geod
from scipy.stats import linregress


def cell_areas(latitude, step):
    """Authalic areas in km2, of the ellipsoid's zone between two parallels (Snyder 1987, eq. 3-12)."""
    geod = Geod(ellps="WGS84")
    e = geod.es**0.5

    def q(phi):
        s = np.sin(phi)
        return (1 - geod.es) * (s / (1 - geod.es * s**2) - np.log((1 - e * s) / (1 + e * s)) / (2 * e))

    north, south = np.radians(latitude + step / 2), np.radians(latitude - step / 2)
    return geod.a**2 * np.radians(step) * (q(north) - q(south)) / 2 / 1e6


@pytest.mark.slow
def test_every_region_of_the_demonstration(tmp_path):
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    from nepcube import pipeline

    recipe = Path(shutil.copy(Path(__file__).parents[2] / "recipes" / "demo.yaml", tmp_path))
    for stage in ("ingest", "analyse", "aggregate"):
        pipeline.run_stage(stage, recipe, tmp_path / "out")
    regions = gpd.read_file(tmp_path / "archive-demo" / "regions.geojson").to_crs(4326)
    cube, maps = (xr.open_zarr(tmp_path / "out" / f"{n}.zarr").load() for n in ("cube", "statistics"))
    table = {f.stem: pd.read_csv(f) for f in (tmp_path / "out" / "tables").glob("*.csv")}
    lat, lon, nep = cube["latitude"].values, cube["longitude"].values, cube["nep"].values.astype("f8")
    step = lon[1] - lon[0]
    area = np.repeat(cell_areas(lat, step)[:, None], lon.size, axis=1)
    corner = Affine(step, 0, lon[0] - step / 2, 0, -step, lat[0] + step / 2)
    counts = np.isfinite(nep).all(axis=0)
    years = cube["time"].dt.year.values

    def exact_sums(values):
        west, south, east, north = lon[0] - step / 2, lat[-1] - step / 2, lon[-1] + step / 2, lat[0] + step / 2
        source = NumPyRasterSource(values, west, south, east, north, srs_wkt=regions.crs.to_wkt())
        return exact_extract(source, regions, ["sum"], output="pandas").iloc[:, 0].to_numpy()

    counted = np.where(counts, area, 0.0)
    weighted = counted * np.where(counts, nep.sum(axis=0) / len(years), 0.0)
    assert_allclose(table["regions"]["area_exact_km2"][:-1], exact_sums(area), rtol=1e-9)
    assert_allclose(table["regions"]["mean_exact_gc_m2"][:-1], exact_sums(weighted) / exact_sums(counted), rtol=1e-6)
    for name, polygon in zip(regions["name"], regions.geometry, strict=True):
        inside = rasterio.features.rasterize([polygon], counts.shape, transform=corner) == 1
        used = inside & counts
        rows = {key: one[one["region"] == name] for key, one in table.items() if "region" in one}
        series = np.array([(year[used] * area[used]).sum() / area[used].sum() for year in nep])
        sinks = np.array([area[used][year[used] > 0].sum() for year in nep])
        assert_allclose(rows["series"]["mean_gc_m2"], series, rtol=1e-9)
        assert_allclose(rows["series"]["total_tgc"], series * area[used].sum() / 1e6, rtol=1e-9)
        assert_allclose(rows["series"]["sink_area_km2"], sinks, rtol=1e-9)
        assert_allclose(rows["series"]["region_area_km2"], area[inside].sum(), rtol=1e-9)
        (summary,) = rows["summary"].itertuples()
        line = linregress(years, series)
        found = (summary.mean_gc_m2, summary.cumulative_gc_m2, summary.slope_gc_m2_yr, summary.slope_pvalue)
        assert_allclose(found, (series.mean(), series.sum(), line.slope, line.pvalue), rtol=1e-9)
        for classes, kind in (("slope_classes", "slope_class"), ("cv_classes", "cv_class")):
            codes = rows[classes]["class"].replace(-1, 255)
            areas = [area[inside & (maps[kind].values == code)].sum() for code in codes]
            assert_allclose(rows[classes]["area_km2"], areas, rtol=1e-9, atol=1e-9)
            assert_allclose(rows[classes]["area_km2"].sum(), area[inside].sum(), rtol=1e-9)
