"""The generated archive: providers' layout, bits equal to the truth, and a world that looks like the Headwaters."""

import calendar
import datetime
import json
import re

import geopandas as gpd
import h5py
import netCDF4
import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pyhdf.SD import SD, SDC

from nepcube.demo import Truth, generate
from nepcube.errors import NepcubeError

YEARS = (2001, 2003)
TILE = 1111950.5196666666
RADIUS = 6371007.181
CODES = range(32761, 32768)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    directory = tmp_path_factory.mktemp("archive")
    seen = []
    truth = generate(
        directory, seed=1, pixels=60, years=YEARS, hourly=True, workers=1, progress=lambda *step: seen.append(step)
    )
    assert [done for done, _, _ in seen] == list(range(1, seen[0][1] + 1))
    return directory, truth


def pixel_places(truth):
    # by the formula of the projection, independent of the package
    n = truth.pixels
    rows, cols = np.arange(5 * n, 6 * n), np.arange(25 * n, 27 * n)
    lat = (np.pi * RADIUS / 2 - (rows + 0.5) * TILE / n) / RADIUS
    lon = (-np.pi * RADIUS + (cols + 0.5) * TILE / n) / (RADIUS * np.cos(lat)[:, None])
    return rows, cols, np.degrees(lat)[:, None] + 0 * lon, np.degrees(lon)


def labels(truth, lat, lon):
    import shapely

    out = np.full(lat.shape, -1)
    for k, polygon in enumerate(truth.regions.geometry):
        shapely.prepare(polygon)
        out[shapely.contains_xy(polygon, lon, lat)] = k
    return out


def test_what_is_written(archive):
    directory, _ = archive
    found = sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())
    assert "GENERATED.json" in found
    assert "GENERATING.json" not in found
    assert "regions.geojson" in found
    assert "era5-land/era5-land-monthly-2002.nc" in found
    assert "chirps/chirps-v2.0.monthly.nc" in found
    assert "chirps-annual/chirps-v2.0.2003.tif" in found
    assert not [name for name in found if "part" in name]
    tiles = [name for name in found if name.startswith("mod17/")]
    pattern = r"mod17/MOD17A3HGF\.A200[123]001\.h2[56]v05\.061\.\d{13}\.hdf"
    assert len(tiles) == 6
    assert all(re.fullmatch(pattern, name) for name in tiles)
    statement = json.loads((directory / "GENERATED.json").read_text())
    assert "no observation" in statement["statement"]
    assert statement["pixels"] == 60


def test_tiles_have_the_layout_of_the_product(archive):
    directory, _ = archive
    path = next((directory / "mod17").glob("*A2002001.h26v05*"))
    file = SD(str(path), SDC.READ)
    dims = ("YDim:MOD_Grid_MOD17A3", "XDim:MOD_Grid_MOD17A3")
    sets = file.datasets()
    assert {name: (d[0], d[1], d[2]) for name, d in sets.items()} == {
        "Gpp_500m": (dims, (60, 60), SDC.UINT16),
        "Npp_500m": (dims, (60, 60), SDC.INT16),
        "Npp_QC_500m": (dims, (60, 60), SDC.UINT8),
    }
    attrs = file.select("Npp_500m").attributes()
    assert attrs["scale_factor"] == 0.0001
    assert attrs["add_offset"] == 0.0
    assert attrs["_FillValue"] == 32767
    assert attrs["valid_range"] == [-30000, 32700]
    assert attrs["units"] == "kg_C/m^2"
    assert file.select("Npp_500m").getcompress()[0] == SDC.COMP_DEFLATE
    assert file.select("Gpp_500m").attributes()["_FillValue"] == 65535
    top = file.attributes()
    struct = top["StructMetadata.0"].rstrip("\0")
    # NASA's own numbers for this tile
    assert "UpperLeftPointMtrs=(8895604.157333,4447802.078667)" in struct
    assert "LowerRightMtrs=(10007554.677000,3335851.559000)" in struct
    assert "\t\tXDim=60\n\t\tYDim=60\n" in struct
    assert "ProjParams=(6371007.181000,0,0,0,0,0,0,0,0,0,0,0,0)" in struct
    core = top["CoreMetadata.0"]
    assert f'"{path.name}"' in core
    assert '"MOD17A3HGF"' in core
    assert '"2002-01-01"' in core
    assert top["HDFEOSVersion"].startswith("HDFEOS_V2")
    file.end()


@pytest.mark.parametrize("tile", [(25, 5), (26, 5)])
def test_tiles_hold_the_truth(archive, tile):
    directory, truth = archive
    h, v = tile
    n = truth.pixels
    rows, cols = np.arange(v * n, v * n + n)[:, None], np.arange(h * n, h * n + n)
    for year in range(YEARS[0], YEARS[1] + 1):
        (path,) = (directory / "mod17").glob(f"*A{year}001.h{h}v0{v}*")
        file = SD(str(path), SDC.READ)
        npp, qc, gpp = (file.select(name)[:] for name in ("Npp_500m", "Npp_QC_500m", "Gpp_500m"))
        file.end()
        assert npp.dtype == np.int16
        assert_array_equal(npp, truth.npp_raw(rows, cols, year))
        assert_array_equal(qc, truth.npp_qc(rows, cols, year))
        coded = npp >= 32761
        assert_array_equal(coded, qc > 100)
        assert_array_equal(gpp[coded].astype(int) - 65529, npp[coded].astype(int) - 32761)
        usual = ~coded & (npp >= 0) & (npp <= 32700)
        assert usual.sum() > 200
        assert (gpp[usual] > npp[usual]).all()


def test_era5_land_has_the_layout_of_the_store_and_holds_the_truth(archive):
    directory, truth = archive
    path = directory / "era5-land" / "era5-land-monthly-2002.nc"
    with h5py.File(path) as raw:
        assert raw["t2m"].compression == "gzip"
        assert_array_equal(raw["expver"].asstr()[:], ["0001"] * 12)
    with netCDF4.Dataset(path) as file:
        assert file.variables["t2m"].dimensions == ("valid_time", "latitude", "longitude")
        assert file.variables["number"].shape == ()
        time = file.variables["valid_time"]
        assert time.units == "seconds since 1970-01-01"
        stamps = [datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(s)) for s in time[:]]
        assert stamps == [datetime.datetime(2002, m, 1) for m in range(1, 13)]
        lat, lon = file.variables["latitude"][:].data, file.variables["longitude"][:].data
        assert (lat[0], lat[-1], lon[0], lon[-1]) == (37.0, 31.0, 89.0, 103.0)
        ssr = file.variables["ssr"]
        assert (ssr.units, ssr.GRIB_paramId) == ("J m**-2", 176)
        assert ssr.standard_name == "surface_net_downward_shortwave_flux"
        assert file.variables["t2m"].units == "K"
        assert np.isnan(ssr.getncattr("_FillValue"))
        for month in (1, 7, 12):
            want = truth.temperature_month(2002, month, lat[:, None], lon)
            got = file.variables["t2m"][month - 1].data
            assert got.dtype == want.dtype == np.float32
            assert_array_equal(got, want)
            assert_array_equal(ssr[month - 1].data, truth.radiation_month(2002, month, lat[:, None], lon))


def test_chirps_months_add_up_to_the_annual_raster(archive):
    directory, truth = archive
    with netCDF4.Dataset(directory / "chirps" / "chirps-v2.0.monthly.nc") as file:
        precip = file.variables["precip"]
        assert precip.dimensions == ("time", "latitude", "longitude")
        assert precip.units == "mm/month"
        assert file.title == "CHIRPS Version 2.0"
        assert precip.getncattr("_FillValue") == np.float32(-9999)
        assert file.variables["time"][0] == (datetime.date(2001, 1, 1) - datetime.date(1980, 1, 1)).days
        assert file.variables["time"].shape == (36,)
        lat, lon = file.variables["latitude"][:].data, file.variables["longitude"][:].data
        assert lat.dtype == np.float32
        assert lat[0] < lat[-1]
        assert lat[0] == np.float32(31.025)
        months = precip[12:24].data
    assert months.min() >= 0
    # float32 coordinates name the same cells as float64 ones
    assert_array_equal(months[6], truth.precipitation_month(2002, 7, lat[:, None], lon))
    with rasterio.open(directory / "chirps-annual" / "chirps-v2.0.2002.tif") as tif:
        assert tif.crs.to_epsg() == 4326
        assert tif.bounds == pytest.approx((89, 31, 103, 37))
        annual = tif.read(1)
    assert_array_equal(annual[::-1], months.astype(np.float64).sum(axis=0).astype(np.float32))
    assert_array_equal(annual[::-1], truth.precipitation_year(2002, lat[:, None], lon))


def test_regions_partition_the_outline(archive):
    directory, truth = archive
    regions = gpd.read_file(directory / "regions.geojson")
    assert regions["code"].tolist() == ["III3(2)", "III3(1)", "III2(5)", "III2(3)", "III2(2)", "III1(2)"]
    assert regions["name"].is_unique
    assert regions["name_zh"].str.endswith("生态区").all()
    assert regions.crs.to_epsg() == 4326
    assert regions.geometry.is_valid.all()
    assert (regions.geometry.geom_type == "Polygon").all()
    union = regions.union_all()
    assert union.geom_type == "Polygon"
    assert not union.interiors
    for a in range(6):
        for b in range(a):
            assert regions.geometry[a].intersection(regions.geometry[b]).area == 0.0
    # ours says the same as the file
    assert regions.geometry.geom_equals(truth.regions.geometry).all()
    west, south, east, north = union.bounds
    assert west > 89.6
    assert south > 31.7
    assert east < 102.3
    assert north < 36.2
    equal_area = regions.to_crs("+proj=cea +lat_ts=34 +ellps=WGS84").area.sum() / 1e6
    assert 280_000 < equal_area < 340_000


def test_hours_accumulate_from_midnight(archive):
    directory, truth = archive
    files = sorted((directory / "era5-land-hourly").glob("*.nc"))
    assert files[0].name == "era5-land-hourly-2001-01.nc"
    assert files[-1].name == "era5-land-hourly-2002-01.nc"
    assert len(files) == 13
    stamps, ssr, t2m = [], [], []
    for path in files:
        with netCDF4.Dataset(path) as file:
            stamps.append(file.variables["valid_time"][:].data)
            ssr.append(file.variables["ssr"][:].data)
            t2m.append(file.variables["t2m"][:].data)
            lat, lon = file.variables["latitude"][:].data[:, None], file.variables["longitude"][:].data
    stamps, ssr, t2m = (np.concatenate(parts) for parts in (stamps, ssr, t2m))
    assert stamps.size == 365 * 24 + 1
    assert (np.diff(stamps) == 3600).all()
    # the value of 00 UTC is the total of the day before, the first one that of the last day of 2000
    for day in (0, 1, 45, 364, 365):
        date = datetime.date(2001, 1, 1) + datetime.timedelta(days=day - 1)
        assert_array_equal(ssr[24 * day], truth.radiation_day(date, lat, lon))
    days = ssr[1:].reshape(365, 24, *ssr.shape[1:])
    assert (np.diff(days, axis=1) >= 0).all()
    assert (days[:, 0] < days[:, -1] / 10).all()
    march = slice(59, 90)
    month = truth.radiation_month(2001, 3, lat, lon)
    np.testing.assert_allclose(days[march, -1].astype(float).mean(axis=0), month, rtol=1e-6)
    mean = t2m[24 * 59 : 24 * 90].astype(float).mean(axis=0)
    np.testing.assert_allclose(mean, truth.temperature_month(2001, 3, lat, lon), atol=1e-3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    places=st.lists(
        st.tuples(st.integers(0, 59), st.integers(0, 119), st.integers(2001, 2020)), min_size=1, max_size=12
    )
)
def test_any_subset_has_the_bits_of_the_whole(places, whole):
    truth, npp, qc = whole
    r, c, y = np.array(places).T
    fresh = Truth("headwaters", seed=1, pixels=60)
    assert_array_equal(fresh.npp_raw(300 + r, 1500 + c, y), npp[y - 2001, r, c])
    assert_array_equal(truth.npp_qc(300 + r, 1500 + c, y), qc[y - 2001, r, c])


@pytest.fixture(scope="module")
def whole():
    truth = Truth("headwaters", seed=1, pixels=60)
    at = np.arange(300, 360)[:, None], np.arange(1500, 1620), np.arange(2001, 2021)[:, None, None]
    return truth, truth.npp_raw(*at), truth.npp_qc(*at)


@settings(max_examples=25, deadline=None)
@given(i=st.integers(0, 60), j=st.integers(0, 140), month=st.integers(1, 12), year=st.integers(1990, 2030))
def test_any_cell_of_the_climate_has_the_bits_of_the_whole(i, j, month, year):
    truth = Truth("headwaters", seed=1, pixels=60)
    lat, lon = np.arange(370, 309, -1)[:, None] / 10, np.arange(890, 1031) / 10
    for field in (truth.temperature_month, truth.radiation_month, truth.precipitation_month):
        assert field(year, month, lat, lon)[i, j] == field(year, month, lat[i, 0], lon[j])


def test_the_truth_depends_on_the_seed_but_not_on_the_period():
    at = np.arange(300, 360)[:, None], np.arange(1500, 1620), 2005
    one = Truth("headwaters", seed=1, pixels=60, years=(2001, 2020)).npp_raw(*at)
    assert_array_equal(one, Truth("headwaters", seed=1, pixels=60, years=(2004, 2006)).npp_raw(*at))
    assert (one != Truth("headwaters", seed=2, pixels=60).npp_raw(*at)).mean() > 0.2


def test_beyond_the_margin_is_fill(whole):
    truth, npp, qc = whole
    _, _, lat, lon = pixel_places(truth)
    outside = (lat < 31) | (lat > 37) | (lon < 89) | (lon > 103)
    assert (npp[:, outside] == 32767).all()
    assert (qc[:, outside] == 255).all()
    assert (npp[:, ~outside] != 32767).mean() > 0.99


@pytest.fixture(scope="module")
def world():
    """NEP of the whole period at 600 pixels a tile, one pixel in sixteen, with a formula of its own."""
    truth = Truth("headwaters", seed=1, pixels=600)
    rows, cols, lat, lon = pixel_places(truth)
    lat, lon, rows, cols = lat[::4, ::4], lon[::4, ::4], rows[::4], cols[::4]
    label = labels(truth, lat, lon)
    at = label >= 0
    years = np.arange(2001, 2021)
    r, c = np.broadcast_arrays(rows[:, None], cols)
    raw = truth.npp_raw(r[at], c[at], years[:, None])
    temperature, rain, sun = np.zeros((3, years.size, at.sum()))
    for k, year in enumerate(years):
        days = [calendar.monthrange(year, m)[1] for m in range(1, 13)]
        for m, n in enumerate(days, start=1):
            temperature[k] += (
                (truth.temperature_month(year, m, lat[at], lon[at]).astype(float) - 273.15) * n / sum(days)
            )
            sun[k] += truth.radiation_month(year, m, lat[at], lon[at]).astype(float) * n / 1e6
        rain[k] = truth.precipitation_year(year, lat[at], lon[at])
    respiration = 0.22 * (np.exp(0.0913 * temperature) + np.log(0.3145 * rain + 1)) * 30 * 0.465
    valid = (raw >= -30000) & (raw <= 32700)
    nep = np.where(valid, raw / 10.0 - respiration, np.nan)
    return label[at], raw, nep, temperature, rain, sun


def slopes(y):
    t = np.arange(20) - 9.5
    return np.tensordot(t, y, 1) / (t @ t)


def test_climate_is_that_of_the_headwaters(world):
    _, _, _, temperature, rain, sun = world
    assert temperature.mean() == pytest.approx(-3.75, abs=0.2)
    assert rain.mean() == pytest.approx(443, rel=0.02)
    assert 4500 < sun.mean() < 5500
    assert rain.mean(axis=0).min() < 200
    assert rain.mean(axis=0).max() > 680
    assert 0.03 < slopes(temperature).mean() < 0.05
    assert 2 < slopes(rain).mean() < 4


@pytest.mark.parametrize(
    ("region", "mean", "slope", "low", "high"),
    [
        (0, 17.94, 0.65, 11.22, 25.27),
        (1, 11.74, 0.47, 6.65, 18.54),
        (2, 25.08, 0.60, 17.26, 33.46),
        (3, 114.01, 1.07, 97.23, 132.78),
        (4, 227.25, 2.54, 190.5, 267.93),
        (5, 258.91, 0.94, 230.42, 295.36),
    ],
)
def test_ecoregions_are_near_the_study(world, region, mean, slope, low, high):
    label, _, nep, *_ = world
    series = nep[:, (label == region) & np.isfinite(nep).all(axis=0)].mean(axis=1)
    assert series.mean() == pytest.approx(mean, rel=0.04)
    assert slopes(series) == pytest.approx(slope, rel=0.10)
    # the years are not the study's, so the range is only near
    assert series.min() == pytest.approx(low, abs=0.15 * mean)
    assert series.max() == pytest.approx(high, abs=0.20 * mean)


def test_maps_vary_as_maps_do(world):
    _, _, nep, temperature, rain, _ = world
    good = np.isfinite(nep).all(axis=0)
    y, t, p = nep[:, good], temperature[:, good], rain[:, good]
    assert 0.92 < (slopes(y) > 0).mean() < 0.98
    cv = y.std(axis=0) / y.mean(axis=0)
    assert ((cv > 0.06) & (cv < 0.55)).mean() > 0.93

    def given_the_other(a, b, c):
        a, b, c = (x - x.mean(axis=0) for x in (a, b, c))
        a, b = (x - c * (x * c).sum(axis=0) / (c * c).sum(axis=0) for x in (a, b))
        return (a * b).sum(axis=0) / np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))

    assert (given_the_other(y, p, t) > 0).mean() > 0.95
    assert 0.55 < (given_the_other(y, t, p) < 0).mean() < 0.85


def test_every_kind_of_missing_value_occurs(world):
    label, raw, *_ = world
    truth = Truth("headwaters", seed=1, pixels=600)
    rows, cols, lat, lon = pixel_places(truth)
    inside = labels(truth, lat, lon) >= 0
    r, c = np.broadcast_arrays(rows[:, None], cols)
    full = truth.npp_raw(r[inside], c[inside], np.arange(2001, 2021)[:, None])
    assert set(CODES) <= set(np.unique(full).tolist())
    odd = (full < -30000) | ((full > 32700) & (full < 32761))
    assert 5 < odd.sum() < 200
    never = (full > 32700).any(axis=0)
    assert 0.05 < never.mean() < 0.10
    changing = never & ~(full > 32700).all(axis=0)
    assert 0.001 < changing.mean() < 0.02
    # lakes in the west, barren land in the deserts, towns in the farming region
    assert (raw[:, label == 2] == 32766).mean() > 0.01
    assert (raw[:, label == 1] == 32765).mean() > 0.03
    assert (raw[:, label == 4] == 32762).mean() > (raw[:, label == 3] == 32762).mean()


def test_the_same_again_writes_nothing(archive):
    directory, _ = archive
    before = {p: p.stat().st_mtime_ns for p in directory.rglob("*")}
    seen = []
    generate(directory, seed=1, pixels=60, years=YEARS, hourly=True, progress=lambda *step: seen.append(step))
    assert seen == []
    assert {p: p.stat().st_mtime_ns for p in directory.rglob("*")} == before


def test_other_parameters_are_refused(archive):
    directory, _ = archive
    with pytest.raises(NepcubeError, match="other parameters") as error:
        generate(directory, seed=2, pixels=60, years=YEARS, hourly=True)
    assert len(str(error.value).splitlines()) == 2


def test_foreign_files_are_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(NepcubeError, match="not empty"):
        generate(tmp_path, pixels=60, years=(2001, 2001))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(NepcubeError, match="is a file"):
        generate(tmp_path / "thesis.txt", pixels=60, years=(2001, 2001))


def test_an_interrupted_generation_goes_on(tmp_path):
    def stop(done, total, what):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path / "a", pixels=12, years=(2001, 2001), progress=stop)
    assert (tmp_path / "a" / "GENERATING.json").exists()
    with pytest.raises(NepcubeError, match="other parameters"):
        generate(tmp_path / "a", pixels=24, years=(2001, 2001))
    generate(tmp_path / "a", pixels=12, years=(2001, 2001))
    generate(tmp_path / "b", pixels=12, years=(2001, 2001))
    names = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file())
    tile = next(name for name in names if name.suffix == ".hdf")
    a, b = (SD(str(tmp_path / k / tile)).select("Npp_500m")[:] for k in "ab")
    assert_array_equal(a, b)


def test_processes_write_what_one_process_writes(tmp_path, monkeypatch):
    import threading

    from nepcube.demo import archive

    monkeypatch.setattr(archive, "_PIXELS_WORTH_A_PROCESS", 1)
    truths = []
    thread = threading.Thread(
        target=lambda: truths.append(generate(tmp_path, pixels=20, years=(2001, 2001), workers=2))
    )
    thread.start()
    thread.join()
    for h in (25, 26):
        (path,) = (tmp_path / "mod17").glob(f"*h{h}v05*")
        want = truths[0].npp_raw(np.arange(100, 120)[:, None], np.arange(20 * h, 20 * h + 20), 2001)
        assert_array_equal(SD(str(path)).select("Npp_500m")[:], want)


@pytest.mark.parametrize("bad", [{"scenario": "atlantis"}, {"pixels": 0}, {"seed": -1}, {"years": (2005, 2001)}])
def test_parameters_without_sense_are_refused(bad):
    with pytest.raises(NepcubeError):
        Truth(**{"scenario": "headwaters", **bad})
