"""Recipes that harmonise otherwise: averages, other grids, other years, heights, two records; against the library."""

import shutil

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from rasterio.transform import Affine

import nepcube as nc
from nepcube.errors import NepcubeError, RecipeError
from nepcube.grid import target_grid
from nepcube.harmonise import to_interval

BOUNDS = (89.40, 31.59, 102.40, 36.29)
FLOAT32 = 6.1e-8
SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


@pytest.fixture
def ingested(write_recipe, tools, tmp_path):
    """Ingest a changed recipe; gives the cube."""

    def go(*stages, **changes):
        recipe = write_recipe(f"{len(changes)}.yaml", **changes)
        out = tools.do_stages(recipe, tmp_path / "out", *(stages or ("ingest",)))
        return nc.open_cube(out).load()

    return go


def mod17(archive):
    return nc.open_source("mod17a3hgf", str(archive.directory / "mod17" / "*.hdf"))


@pytest.mark.parametrize("method", ["conservative", "average"])
def test_npp_on_a_coarser_grid(archive, ingested, method):
    cube = ingested(
        "ingest", "analyse", "aggregate",
        sources__npp__resampling=method, sources__npp__min_fraction=0.4, grid__resolution="0.5 deg",
    )  # fmt: skip
    want = nc.regrid(mod17(archive), target_grid(BOUNDS, "0.5 deg"), method, min_fraction=0.4).compute()
    assert_array_equal(cube.npp.values, want.npp.values)
    assert_array_equal(cube.npp_flag.values, want.npp_flag.values)
    assert_array_equal(np.isfinite(cube.npp.values), cube.npp_flag.values == 0)
    assert cube.npp.attrs["resampling"] == method
    assert 0 < (cube.npp_flag == 0).mean() < 1


def test_the_modis_grid_as_the_target(archive, ingested):
    tile, pixels = 1111950.5196666666, 80
    bounds = [7.6 * tile, 3.2 * tile, 8.2 * tile, 3.6 * tile]
    cube = ingested(grid__crs=SINUSOIDAL, grid__bounds=bounds, grid__resolution=tile / pixels)
    native = mod17(archive).compute()
    assert cube.npp.dims == ("time", "y", "x")
    assert_array_equal(cube.npp.values, native.npp.values[:, 32:64, 48:96])
    assert_array_equal(cube.npp_flag.values, native.npp_flag.values[:, 32:64, 48:96])
    # climate comes to it as it does to any grid
    assert np.isfinite(cube.temperature.values).all()


@pytest.mark.parametrize("method", ["bilinear", "conservative"])
def test_climate_by_every_method_equals_the_library(archive, ingested, method):
    cube = ingested(**{f"sources__{q}__resampling": method for q in ("temperature", "precipitation", "radiation")})
    grid = target_grid(BOUNDS, "8000 m")
    for quantity, reader, pattern in (
        ("temperature", "era5-land", "era5-land/*.nc"),
        ("precipitation", "chirps", "chirps/*.nc"),
        ("radiation", "era5-land", "era5-land/*.nc"),
    ):
        native = nc.open_source(reader, str(archive.directory / pattern), quantity=quantity, bounds=BOUNDS)
        want = nc.regrid(nc.to_annual(native), grid, method)[quantity]
        assert_array_equal(cube[quantity].values, want.values)
        assert np.isfinite(want.values).all()


def test_a_hydrological_year(archive, ingested, cli, write_recipe):
    starts = {f"sources__{q}__year_start": 10 for q in ("temperature", "radiation")}
    monthly = str(archive.directory / "chirps" / "*.nc")
    changes = starts | {"sources__precipitation__year_start": 10, "sources__precipitation__path": monthly}
    cube = ingested(period=(2002, 2006), **changes)
    assert cube.time.dt.year.values.tolist() == [2002, 2003, 2004, 2005, 2006]
    files = sorted((archive.directory / "era5-land").glob("*.nc"))
    with xr.open_mfdataset(files, combine="by_coords", engine="h5netcdf", compat="override", coords="minimal") as raw:
        months = raw.t2m.sel(valid_time=slice("2001-10-01", "2002-09-30")).load()
    days = months.valid_time.dt.days_in_month
    assert (months.sizes["valid_time"], int(days.sum())) == (12, 365)
    want = (months.astype("f8") * days).sum("valid_time") / 365 - 273.15
    at = want.sel(latitude=cube.latitude, longitude=cube.longitude, method="nearest")
    near = np.abs(at.latitude - cube.latitude.values) < 0.0499
    assert_allclose(cube.temperature[0].values[near], at.values[near], rtol=FLOAT32, atol=1e-5)
    assert cube.temperature.attrs["year_start"] == 10
    assert cube.temperature.attrs["comment"] == "The year Y is October of Y-1 to September of Y."
    # 2001 would need the last months of 2000
    with pytest.raises(NepcubeError, match=r"temperature of 2001 is incomplete: no value at 2000-10-01"):
        nc.run(write_recipe("early.yaml", **changes), archive.directory.parent / "nowhere")
    told = cli("check", write_recipe("early.yaml", **changes))
    assert told.code == 2
    assert any("temperature" in line and "missing" in line and "2000-10" in line for line in told.out)


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["annual", "monthly"])
def test_a_hydrological_year_through_to_the_tables(archive, write_recipe, tools, tmp_path, basis):
    starts = {f"sources__{q}__year_start": 10 for q in ("temperature", "precipitation", "radiation")}
    changes = starts | {"respiration__basis": basis, "respiration__keep_climate": basis == "monthly"}
    short = write_recipe("short.yaml", period=(2002, 2004), **changes)
    out = tools.do_stages(short, tmp_path / "out")
    whole = write_recipe("whole.yaml", period=(2002, 2006), **changes)
    tools.do_stages(whole, out)
    fresh = tools.do_stages(whole, tmp_path / "fresh")
    tools.same_arrays(out, fresh)
    tools.same_tables(out, fresh)
    cube = nc.open_cube(out).load()
    assert np.isfinite(cube.rh.values).any()
    if basis == "annual":
        return
    months = xr.open_zarr(out / "climate.zarr").load()
    assert str(months.time.values[0])[:7] == "2001-10"
    assert months.sizes["time"] == 60
    year = months.isel(time=slice(12, 24)).astype("f8")
    bracket = np.exp(0.0913 * year.temperature) + np.log(0.3145 * year.precipitation + 1)
    want = (0.22 * 0.465 * 30 * bracket).sum("time").where(cube.npp[1].notnull())
    assert_allclose(cube.rh[1].values, want.values, rtol=1e-5)


def dem_file(path):
    """A relief of steps of 100 m on 0.01 degree, and a hole in it."""
    lon, lat = 89.0 + (np.arange(1400) + 0.5) * 0.01, 37.0 - (np.arange(600) + 0.5) * 0.01
    z = 3000 + 1000 * np.sin(lat[:, None] * 3) * np.cos(lon * 2)
    z[100:140, 200:240] = -32768
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 600, "width": 1400, "crs": "EPSG:4326"}
    with rasterio.open(path, "w", transform=Affine(0.01, 0, 89.0, 0, -0.01, 37.0), nodata=-32768, **profile) as file:
        file.write(z.astype("float32"), 1)
        file.update_tags(1, units="m")
        file.units = ("m",)
    return path


def orography_file(path):
    lat, lon = np.arange(370, 309, -1) / 10, np.arange(890, 1031) / 10
    height = 3500 + 50 * (lat[:, None] - 34) + 20 * (lon - 96)
    ds = xr.Dataset({"z": (("latitude", "longitude"), height * 9.80665)}, {"latitude": lat, "longitude": lon})
    ds.z.attrs["units"] = "m**2 s**-2"
    ds.to_netcdf(path, engine="h5netcdf")
    return height, lat, lon


@pytest.mark.slow
def test_temperature_at_the_height_of_the_cells(archive, write_recipe, tools, tmp_path):
    height, lat, lon = orography_file(tmp_path / "orography.nc")
    dem_file(tmp_path / "dem.tif")
    elevation = {"orography": "orography.nc", "dem": "dem.tif", "lapse_rate": 5.0}
    monthly = {"respiration__basis": "monthly", "respiration__keep_climate": True}
    out = tools.do_stages(
        write_recipe(sources__temperature__elevation=elevation, **monthly), tmp_path / "out", "ingest", "analyse"
    )
    plain = tools.do_stages(write_recipe("plain.yaml", **monthly), tmp_path / "plain", "ingest", "analyse")
    cube, flat = nc.open_cube(out).load(), nc.open_cube(plain).load()
    with rasterio.open(tmp_path / "dem.tif") as file:
        z = file.read(1).astype("f8")
    z[z == -32768] = np.nan
    # the mean height of the centres in each cell, in the test's own words
    y, x = cube.latitude.values, cube.longitude.values
    step = y[0] - y[1]
    rows = np.floor((y[0] + step / 2 - (37.0 - (np.arange(600) + 0.5) * 0.01)) / step).astype(int)
    columns = np.floor((89.0 + (np.arange(1400) + 0.5) * 0.01 - x[0] + step / 2) / step).astype(int)
    for i, j in ((3, 4), (20, 100), (40, 60)):
        block = z[np.ix_(rows == i, columns == j)]
        area = np.cos(np.radians(37.0 - (np.flatnonzero(rows == i) + 0.5) * 0.01))[:, None] * np.isfinite(block)
        assert_allclose(cube.elevation.values[i, j], np.nansum(block * area) / area.sum(), rtol=1e-6)
    assert np.isnan(cube.elevation.values).any()
    k = np.abs(lat[:, None] - y).argmin(0), np.abs(lon[:, None] - x).argmin(0)
    shift = 5.0 / 1000 * (height[np.ix_(*k)] - cube.elevation.values.astype("f8"))
    want = flat.temperature.values.astype("f8") + shift
    edge = np.abs(lat[k[0]] - y) > 0.0499
    assert_allclose(cube.temperature.values[:, ~edge], want[:, ~edge], rtol=1e-6, atol=1e-5)
    assert_array_equal(np.isnan(cube.temperature.values[0]), np.isnan(cube.elevation.values))
    assert cube.temperature.attrs["elevation_correction"] == "5 K km-1"
    # the months that respiration was computed of are corrected too
    months, plainly = (xr.open_zarr(o / "climate.zarr").load() for o in (out, plain))
    got = months.temperature.values[:, ~edge] - plainly.temperature.values[:, ~edge]
    assert_allclose(got, np.broadcast_to(shift[~edge], got.shape), rtol=0, atol=1e-5)
    assert_array_equal(months.precipitation.values, plainly.precipitation.values)
    assert np.isfinite(cube.rh.values).any()


@pytest.mark.slow
def test_the_relief_is_kept_whole_or_made_again(archive, write_recipe, tools, tmp_path, monkeypatch):
    from nepcube import store

    orography_file(tmp_path / "orography.nc")
    dem_file(tmp_path / "dem.tif")
    changes = {"sources__temperature__elevation": {"orography": "orography.nc", "dem": "dem.tif"}}
    recipe = write_recipe(period=(2001, 2003), **changes)
    fresh = tools.do_stages(recipe, tmp_path / "fresh")
    written = store.NativeSeries.write

    def killed(self, values, times):
        if "orography" in str(self.path):
            raise KeyboardInterrupt
        written(self, values, times)

    monkeypatch.setattr(store.NativeSeries, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        tools.do_stages(recipe, tmp_path / "out", "ingest")
    monkeypatch.undo()
    out = tools.do_stages(recipe, tmp_path / "out")
    tools.same_arrays(out, fresh)
    assert np.isfinite(nc.open_cube(out).temperature.values).any()
    # it may be cleared away when a run is finished
    shutil.rmtree(out / ".nepcube" / "native")
    monthly = write_recipe("monthly.yaml", period=(2001, 2003), respiration__basis="monthly", **changes)
    tools.do_stages(monthly, out)
    tools.same_arrays(out, tools.do_stages(monthly, tmp_path / "monthly"))


def test_what_is_no_relief_is_refused(write_recipe, cli, tmp_path):
    orography_file(tmp_path / "orography.nc")
    dem_file(tmp_path / "dem.tif")
    with rasterio.open(tmp_path / "dem.tif") as file:
        small, profile = file.read(1)[:300], file.profile
    with rasterio.open(tmp_path / "small.tif", "w", **(profile | {"height": 300})) as file:
        file.write(small, 1)
        file.units = ("m",)
    for dem, what in (
        ("small.tif", "small.tif: it does not cover `grid.bounds`."),
        ({"path": "dem.tif", "units": "feet"}, "dem.tif: elevation.dem: 'feet' is neither a height (m) nor a"),
        ("*.tif", "*.tif: 2 files match `elevation.dem`, one raster is needed."),
    ):
        elevation = {"orography": "orography.nc", "dem": dem}
        told = cli("check", write_recipe(sources__temperature__elevation=elevation))
        assert told.code == 2
        assert any(what in line for line in told.err)


@pytest.mark.slow
def test_months_of_climate_are_kept_where_asked(archive, write_recipe, tools, tmp_path):
    changes = {"respiration__basis": "monthly", "period": (2001, 2003)}
    out = tools.do_stages(write_recipe(**changes), tmp_path / "out", "ingest", "analyse")
    assert not (out / "climate.zarr").exists()
    asked = write_recipe("asked.yaml", respiration__keep_climate=True, **changes)
    out = tools.do_stages(asked, tmp_path / "out", "ingest", "analyse")
    got = xr.open_zarr(out / "climate.zarr").load()
    native = nc.open_source("chirps", str(archive.directory / "chirps" / "*.nc"), bounds=BOUNDS)
    want = nc.regrid(to_interval(native, "month", years=(2001, 2003)), target_grid(BOUNDS, "8000 m"))
    assert got.sizes["time"] == 36
    assert_array_equal(got.time.values, want.time.values)
    assert_array_equal(got.precipitation.values, want.precipitation.values)
    assert got.precipitation.attrs["units"] == "mm"
    assert got.time_bnds.values[1].astype("M8[D]").astype(str).tolist() == ["2001-02-01", "2001-03-01"]
    # two years more: the months are appended, and equal those of a fresh run
    longer = write_recipe("longer.yaml", **(changes | {"period": (2001, 2005)}), respiration__keep_climate=True)
    tools.do_stages(longer, tmp_path / "out", "ingest", "analyse")
    fresh = tools.do_stages(longer, tmp_path / "fresh", "ingest", "analyse")
    assert xr.open_zarr(out / "climate.zarr").identical(xr.open_zarr(fresh / "climate.zarr"))
    # no longer asked for: gone
    out = tools.do_stages(write_recipe("not.yaml", **(changes | {"period": (2001, 2005)})), out, "ingest", "analyse")
    assert not (out / "climate.zarr").exists()


def two_records(archive, folder, split=2004):
    """The archive's tiles in two folders, before and from a year on, the later ones as version 006."""
    early, late = folder / "early", folder / "late"
    early.mkdir()
    late.mkdir()
    for path in (archive.directory / "mod17").glob("*.hdf"):
        year = int(path.name.split(".A")[1][:4])
        if year < split:
            shutil.copy(path, early / path.name)
        else:
            shutil.copy(path, late / path.name.replace(".061.", ".006."))
    return early, late


def test_two_records_of_npp_are_joined_where_the_recipe_says_so(archive, write_recipe, tools, tmp_path, finished):
    early, late = two_records(archive, tmp_path)
    later = {"reader": "mod17a3hgf", "path": f"{late}/*.hdf", "from": 2004}
    recipe = write_recipe(sources__npp__path=f"{early}/*.hdf", sources__npp__continued_by=later)
    out = tools.do_stages(recipe, tmp_path / "out")
    got, want = nc.open_cube(out).load(), nc.open_cube(finished.out).load()
    assert_array_equal(got.npp.values, want.npp.values)
    assert_array_equal(got.npp_flag.values, want.npp_flag.values)
    joined = "MOD17A3HGF.061 2001-2003, MOD17A3HGF.006 2004-2006"
    assert got.npp.attrs["product"] == joined
    assert got.npp.attrs["comment"] == f"Two records were joined by the recipe's choice: {joined}."
    # without the choice nothing is joined
    both = write_recipe("both.yaml", sources__npp__path=[f"{early}/*.hdf", f"{late}/*.hdf"])
    with pytest.raises(NepcubeError, match=r"version 0\d\d"):
        nc.run(both, tmp_path / "refused")
    mixed = write_recipe(
        "mixed.yaml", sources__npp__path=[f"{early}/*.hdf", f"{late}/*.hdf"], sources__npp__mixed_versions=True
    )
    again = nc.open_cube(tools.do_stages(mixed, tmp_path / "mixed", "ingest")).load()
    assert_array_equal(again.npp.values, want.npp.values)
    assert "006" in again.npp.attrs["product"]
    assert "061" in again.npp.attrs["product"]


@pytest.mark.slow
def test_a_second_record_may_begin_after_what_is_done(archive, write_recipe, tools, tmp_path, finished):
    early, late = two_records(archive, tmp_path)
    first = write_recipe(sources__npp__path=f"{early}/*.hdf", period=(2001, 2003))
    out = tools.do_stages(first, tmp_path / "out")
    later = {"reader": "mod17a3hgf", "path": f"{late}/*.hdf", "from": 2004}
    whole = write_recipe("whole.yaml", sources__npp__path=f"{early}/*.hdf", sources__npp__continued_by=later)
    out = tools.do_stages(whole, out)
    tools.same_arrays(out, finished.out)
    assert nc.open_cube(out).npp.attrs["product"] == "MOD17A3HGF.061 2001-2003, MOD17A3HGF.006 2004-2006"
    # one that would change years that are done makes another cube
    other = write_recipe(
        "other.yaml", sources__npp__path=f"{early}/*.hdf", sources__npp__continued_by=later | {"from": 2003}
    )
    with pytest.raises(RecipeError, match=r"continued_by"):
        nc.run(other, out)
    # nor may the year of a join that is done be moved behind it
    moved = write_recipe(
        "moved.yaml", sources__npp__path=f"{early}/*.hdf", sources__npp__continued_by=later | {"from": 2007}
    )
    with pytest.raises(RecipeError, match=r"continued_by"):
        nc.run(moved, out)


def test_check_lists_what_is_broken_missing_and_twice(archive, write_recipe, cli, tmp_path):
    folder = tmp_path / "mod17"
    shutil.copytree(archive.directory / "mod17", folder)
    names = {tuple(p.name.split(".")[1:3]): p for p in folder.glob("*.hdf")}
    names["A2002001", "h25v05"].write_text("<!DOCTYPE html><html>Please log in</html>")
    names["A2003001", "h26v05"].write_bytes(names["A2003001", "h26v05"].read_bytes()[:4000])
    names["A2004001", "h25v05"].unlink()
    twice = names["A2005001", "h25v05"]
    shutil.copy(twice, folder / twice.name.replace(twice.name.split(".")[4], "2031048210133"))
    told = cli("check", write_recipe(sources__npp__path=f"{folder}/*.hdf"))
    assert told.code == 2
    lines = [line for line in told.out if line.startswith("npp ")]
    for state, *words in (
        ("broken", names["A2002001", "h25v05"].name, "HTML"),
        ("broken", names["A2003001", "h26v05"].name, "cut off"),
        ("missing", "2004", "h25v05"),
        ("overlaps", "2005", "h25v05"),
    ):
        assert any(state in line and all(w in line for w in words) for line in lines), (state, words, told.out)
    # each line of the plan is there all the same
    assert any(line.startswith("plan ") for line in told.out)
    assert any("2 more" in line or "1 more" in line for line in told.err)


def test_check_lists_the_months_that_are_not_there(archive, write_recipe, cli, tmp_path):
    folder = tmp_path / "era5-land"
    shutil.copytree(archive.directory / "era5-land", folder)
    for path in folder.glob("*.nc"):
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            held = ds.load()
        keep = ~held.valid_time.dt.strftime("%Y-%m").isin(["2003-07", "2003-08"])
        if not bool(keep.all()):
            held.isel(valid_time=keep.values).to_netcdf(path, engine="h5netcdf")
    told = cli("check", write_recipe(sources__temperature__path=f"{folder}/*.nc"))
    assert told.code == 2
    missing = [line for line in told.out if line.startswith("temperature") and "missing" in line]
    assert len(missing) == 2
    assert "2003-07" in missing[0]
    assert "2003-08" in missing[1]
    assert any("temperature of 2003 is incomplete" in line for line in told.err)


REFUSED = {
    "a method that does not go there": (
        {"sources__temperature__resampling": "average"},
        "temperature: `average` needs a coarser grid",
    ),
    "no common axes": (
        {
            "sources__npp__resampling": "conservative",
            "grid__crs": "EPSG:32647",
            "grid__bounds": [0, 3600000, 600000, 3900000],
            "grid__resolution": "20000 m",
        },
        "npp: `conservative` does not go between these two grids",
    ),
    "months for days": ({"respiration__basis": "daily"}, "temperature: the files hold one value a month"),
    "no such relief": (
        {"sources__temperature__elevation": {"orography": "none.nc", "dem": "none.tif"}},
        "none.nc: no file matches.",
    ),
}


@pytest.mark.parametrize(("changes", "what"), REFUSED.values(), ids=REFUSED)
def test_what_a_run_would_refuse_is_told_by_check_and_costs_nothing(write_recipe, cli, copied, changes, what):
    recipe = write_recipe(**changes)
    told = cli("check", recipe)
    assert told.code == 2
    assert any(what in line for line in told.err)
    out = copied.out.parent / "other"
    assert cli("run", recipe, "-o", out).code == 2
    assert not out.exists()
    # a finished run outlives a recipe that cannot begin
    fresh = cli("run", recipe, "-o", copied.out, "--fresh")
    assert fresh.code == 2
    assert any(what in line for line in fresh.err)
    assert np.isfinite(nc.open_cube(copied.out).nep.values).any()


def test_mixed_versions_of_precipitation_fail_the_check(archive, write_recipe, cli, tmp_path):
    folder = tmp_path / "chirps"
    folder.mkdir()
    for path in (archive.directory / "chirps").glob("*.nc"):
        shutil.copy(path, folder / path.name)
        shutil.copy(path, folder / path.name.replace("v2.0", "v3.0"))
    told = cli("check", write_recipe(sources__precipitation__path=f"{folder}/*.nc"))
    assert told.code == 2
    assert any("mixed" in line for line in told.out)
    assert any(line.startswith("error: ") and "chirps" in line.lower() for line in told.err)


def test_inputs_behind_a_url_are_listed_and_not_called_hashed(write_recipe):
    from nepcube.pipeline.provenance import hash_inputs
    from nepcube.recipe import load_recipe

    url = "https://example.org/era5-land.zarr"
    found = hash_inputs(load_recipe(write_recipe(sources__temperature__path=url)), lambda *_: None)
    assert {"source": "temperature", "path": url, "bytes": None, "hash": None} in found
    assert sum(r["hash"] is None for r in found) == 1


def test_no_engine_without_esmf(write_recipe, cli):
    told = cli("check", write_recipe(sources__temperature__engine="xesmf"))
    if told.code == 0:
        pytest.skip("ESMF is installed here")
    assert any(line.startswith("error: engine: esmpy is not installed.") for line in told.err)
    assert any("conda" in line for line in told.err)
