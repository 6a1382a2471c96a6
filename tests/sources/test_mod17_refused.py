"""What does not belong, lacks something, or cannot be told apart is refused by file and reason, in every layout."""

import numpy as np
import pytest
import rasterio
from layouts import (
    IN_DEGREES,
    ON_TILE,
    YEARS,
    appeears,
    as_appeears_tifs,
    as_hdf4,
    shards,
    transform,
    viirs,
    write_appeears_netcdf,
    write_bands,
    write_viirs,
)
from numpy.testing import assert_array_equal
from providers import SINUSOIDAL, granule, write_tile, write_tile_tif
from test_mod17_layouts import numbers, truth

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.sources import Request, reader
from nepcube.testing import forbid_compute

NETCDF = "MOD17A3HGF.061_500m_aid0001.nc"


def refused(paths, *words, kind=SourceError, name="mod17a3hgf", **options):
    with pytest.raises(kind) as error, forbid_compute():
        nc.open_source(name, paths, **options)
    assert error.value.way_out
    assert len(str(error.value).splitlines()) == 2
    for word in words:
        assert word in str(error.value)


def inspected(folder, name="mod17a3hgf", **options):
    paths = tuple(sorted(str(p) for p in folder.iterdir()))
    with forbid_compute():
        return reader(name).inspect(Request(paths=paths, **options))


def states(found):
    return sorted((f.state, f.which.rpartition("/")[2], f.what) for f in found.findings)


@pytest.fixture
def raw():
    return numbers()[0]


@pytest.fixture
def qc():
    return numbers()[1]


# --- versions and layouts ------------------------------------------------------------------------------------------


@pytest.fixture
def two_versions(tmp_path, raw):
    write_tile(tmp_path / granule(2001, version="006"), raw[0])
    write_tile(tmp_path / granule(2002, version="061"), raw[1])
    return tmp_path


def test_two_versions_are_refused_unless_asked_for(two_versions, raw):
    refused(two_versions / "*", "version 061", "version 006", "do not belong in one mosaic", "`mixed_versions: true`")
    ds = nc.open_source("mod17a3hgf", two_versions / "*", mixed_versions=True)
    assert ds.attrs["product"] == ds.npp.attrs["product"] == "MOD17A3HGF.006 and MOD17A3HGF.061"
    assert_array_equal(ds.npp_flag.values, truth(raw, None)[1])
    assert [s[:2] for s in states(inspected(two_versions))] == [("mixed", granule(2002, version="061"))]
    assert inspected(two_versions, mixed_versions=True).findings == ()


def test_two_versions_of_one_tile_stay_two(tmp_path, raw):
    for version in ("006", "061"):
        write_tile(tmp_path / granule(2001, version=version), raw[0])
    refused(tmp_path / "*", "h25v05 of 2001 is there twice", mixed_versions=True)


def test_aqua_and_terra_are_never_one(tmp_path, raw):
    write_tile(tmp_path / granule(2001), raw[0])
    write_tile(tmp_path / granule(2002, product="MYD17A3HGF"), raw[1])
    refused(tmp_path / "*", "MYD17A3HGF, but MOD17A3HGF", "Keep one product", mixed_versions=True)


@pytest.mark.parametrize("other", ["appeears-tif", "appeears-netcdf", "bands"])
def test_layouts_are_not_mixed(tmp_path, raw, qc, other):
    as_hdf4(tmp_path, raw, qc)
    ON_TILE[other](tmp_path, raw, qc)
    refused(tmp_path / "*", "tiles of the sinusoidal grid", "they do not belong in one mosaic", "one provider")
    assert "mixed" in {f.state for f in inspected(tmp_path).findings}


def test_granules_and_their_cogs_may_share_a_mosaic(tmp_path, raw, qc):
    write_tile(tmp_path / granule(2001), raw[0], qc[0])
    write_tile_tif(tmp_path / granule(2002, end="_Npp_500m.tif"), raw[1])
    write_tile_tif(tmp_path / granule(2002, end="_Npp_QC_500m.tif"), qc[1])
    ds = nc.open_source("mod17a3hgf", tmp_path / "*", max_qc=30)
    assert_array_equal(ds.npp_flag.values, truth(raw, qc, 30)[1])


# --- AppEEARS ------------------------------------------------------------------------------------------------------


def test_max_qc_names_the_quality_file_of_appeears(tmp_path, raw):
    write_bands(tmp_path / appeears(2001), raw[0])
    refused(tmp_path / "*", appeears(2001, field="Npp_QC_500m"), "`max_qc` needs", max_qc=10)
    assert nc.open_source("mod17a3hgf", tmp_path / "*").npp.shape == (1, 20, 20)


def test_max_qc_names_the_quality_of_a_netcdf(tmp_path, raw):
    write_appeears_netcdf(tmp_path / NETCDF, raw)
    refused(tmp_path / "*", NETCDF, "'Npp_QC_500m' is not there", max_qc=10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "float32"}, ("float32", "int16")),
        ({"dtype": "uint16", "nodata": None}, ("uint16", "int16")),
        ({"crs": "EPSG:32647"}, ("UTM zone 47N", "EPSG:4326")),
        ({"crs": "EPSG:4267"}, ("NAD27", "EPSG:4326")),
        ({"crs": "+proj=sinu +lon_0=0 +R=6371000 +units=m"}, ("sinusoidal",)),
        ({"crs": "+proj=sinu +lon_0=90 +R=6371007.181 +units=m"}, ("sinusoidal",)),
        ({"nodata": -9999}, ("nodata -9999", "32767")),
        ({"nodata": 0}, ("nodata 0", "32767")),
        ({"at": rasterio.Affine(0.01, 0.001, 96, 0, -0.01, 34)}, ("north to south",)),
        ({"at": rasterio.Affine(0.01, 0, 96, 0, 0.01, 34)}, ("north to south",)),
        ({"at": rasterio.Affine(0.01, 0, float("nan"), 0, -0.01, 34)}, ("do not lie on the globe",)),
        ({"at": rasterio.Affine(1e-300, 0, 96, 0, -0.01, 34)}, ("do not lie on the globe",)),
        ({"at": rasterio.Affine(0.01, 0, 96, 0, -0.01, 134)}, ("do not lie on the globe",)),
        ({"at": rasterio.Affine(463, 0, 3e7, 0, -463, 34), "crs": SINUSOIDAL}, ("do not lie on the globe",)),
    ],
)
def test_an_appeears_raster_of_another_kind_is_refused(tmp_path, raw, options, words):
    path = write_bands(tmp_path / appeears(2001), np.abs(raw[0].astype(int)), **options)
    refused(path, path.name, *words)


def test_an_appeears_raster_of_another_day_is_refused(tmp_path, raw):
    refused(write_bands(tmp_path / appeears(2001, day="009"), raw[0]), "day 009")


def test_areas_that_share_cells_are_refused(tmp_path, raw):
    write_bands(tmp_path / appeears(2001), raw[0])
    write_bands(tmp_path / appeears(2001, area="aid0002"), raw[1], at=transform("EPSG:4326", row=19))
    refused(tmp_path / "*", "cells of 2001 are there twice", appeears(2001), "one polygon")
    assert [s[0] for s in states(inspected(tmp_path))] == ["overlaps"]


def test_areas_side_by_side_are_one_mosaic(tmp_path, raw):
    write_bands(tmp_path / appeears(2001), raw[0])
    write_bands(tmp_path / appeears(2001, area="aid0002"), raw[1], at=transform("EPSG:4326", row=20, column=5))
    flag = nc.open_source("mod17a3hgf", tmp_path / "*").npp_flag.values[0]
    assert_array_equal(flag[:20, :20], truth(raw, None)[1][0])
    assert_array_equal(flag[20:, 5:], truth(raw, None)[1][1])
    assert (flag[20:, :5] == 255).all()
    assert (flag[:20, 20:] == 255).all()


@pytest.mark.parametrize("at", [transform("EPSG:4326", row=0.4), transform("EPSG:4326", step=0.005)])
def test_areas_off_each_other_s_cells_are_refused(tmp_path, raw, at):
    write_bands(tmp_path / appeears(2001), raw[0])
    write_bands(tmp_path / appeears(2002), raw[1], at=at)
    refused(tmp_path / "*", "cells are not those of", appeears(2001), "one area, one projection")


def test_projections_are_not_mixed(tmp_path, raw):
    write_bands(tmp_path / appeears(2001), raw[0])
    write_bands(tmp_path / appeears(2002), raw[1], crs=SINUSOIDAL)
    refused(tmp_path / "*", "cells are not those of", "one projection")


def test_a_quality_file_of_another_place_is_refused(tmp_path, raw, qc):
    write_bands(tmp_path / appeears(2001), raw[0])
    name = appeears(2001, field="Npp_QC_500m")
    write_bands(tmp_path / name, qc[0], dtype="uint8", nodata=255, at=transform("EPSG:4326", row=1))
    refused(tmp_path / "*", name, "not on the pixels", max_qc=10)


def test_a_year_that_one_area_lacks_is_refused(tmp_path, raw):
    for year, area, row in ((2001, "aid0001", 0), (2001, "aid0002", 20), (2002, "aid0001", 0)):
        write_bands(tmp_path / appeears(year, area=area), raw[0], at=transform("EPSG:4326", row=row))
    refused(tmp_path / "*", "aid0002 of 2002", "which other years have")
    assert states(inspected(tmp_path, years=(2001, 2003))) == [
        ("missing", "2003", "no file is of this year."),
        ("missing", "aid0002 of 2002", "other years have it."),
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attrs": {"scale_factor": 0.001}}, ("scale_factor 0.001", "0.0001")),
        ({"attrs": {"scale_factor": None}}, ("scale_factor None",)),
        ({"attrs": {"add_offset": 1.0}}, ("add_offset 1.0",)),
        ({"attrs": {"units": "gC/m^2"}}, ("'gC/m^2'", "kg_C/m^2")),
        ({"attrs": {"units": None}}, ("is in None",)),
        ({"attrs": {"_FillValue": -1}}, ("_FillValue -1", "32767")),
        ({"attrs": {"valid_min": np.int16(0)}}, ("valid_range",)),
        ({"dims": ("time", "y", "x")}, ("dimensions time, y, x", "lat, lon")),
        ({"dims": ("lat", "lon", "time"), "days": [0] * 20}, ("dimensions lat, lon, time",)),
        ({"dims": ("time", "lon", "lat")}, ("dimensions time, lon, lat",)),
        ({"mapping": {"grid_mapping_name": "sinusoidal"}}, ("'sinusoidal'", "'latitude_longitude'")),
        ({"mapping": {"grid_mapping_name": None}}, ("grid_mapping_name None",)),
        ({"mapping": {"semi_major_axis": 6370997.0}}, ("radius 6370997.0",)),
        ({"flip": True}, ("lat does not fall",)),
        ({"time": {"units": "hours since 2000-01-01"}}, ("hours since",)),
        ({"time": {"units": None}}, ("time is in None",)),
        ({"time": {"calendar": "360_day"}}, ("360_day",)),
        ({"days": [366, 732]}, ("2002-01-02", "first of January")),
        ({"days": [366, 366]}, ("cells of 2001 are there twice", "in the same file")),
        ({"nc_format": "NETCDF3_CLASSIC"}, ("is NetCDF classic, not TIFF or HDF5",)),
    ],
)
def test_an_appeears_netcdf_of_another_kind_is_refused(tmp_path, raw, options, words):
    path = write_appeears_netcdf(tmp_path / NETCDF, raw, **options)
    refused(path, str(path), *words)


def test_a_netcdf_without_its_provider_s_name_is_refused(tmp_path, raw):
    refused(write_appeears_netcdf(tmp_path / "npp.nc", raw), "npp.nc", "not that of a MOD17A3HGF granule")


@pytest.mark.parametrize(("option", "word"), [({"nodata": 0.0}, "nodata"), ({"units": "g m-2 year-1"}, "units")])
@pytest.mark.parametrize("layout", ["hdf4", "cogs", "appeears-tif", "appeears-netcdf"])
def test_the_recipe_does_not_contradict_files_that_say_themselves(tmp_path, raw, qc, layout, option, word):
    ON_TILE[layout](tmp_path, raw, qc)
    refused(tmp_path / "*", f"`{word}` says", "leave it out", **option)
    whole = nc.open_source("mod17a3hgf", tmp_path / "*", nodata=32767.0, units="kgC/m^2")
    assert_array_equal(whole.npp_flag.values, truth(raw, qc)[1])


# --- Earth Engine --------------------------------------------------------------------------------------------------


def test_masked_cells_that_hold_zero_are_asked_about(tmp_path, raw):
    path = write_bands(tmp_path / "npp_2001.tif", raw[0], nodata=None, names=["Npp"])
    refused(path, path.name, "declares no nodata", "formatOptions: {noData: 32767}", "`nodata:`")
    zero = nc.open_source("mod17a3hgf", path, nodata=0.0)
    want = np.where(raw[:1] == 0, 7, truth(raw[:1], None)[1])
    assert_array_equal(zero.npp_flag.values, want)
    assert np.isnan(zero.npp.values[raw[:1] == 0]).all()
    none = nc.open_source("mod17a3hgf", path, nodata=32767.0)
    assert_array_equal(none.npp_flag.values, truth(raw[:1], None)[1])
    assert (none.npp.values[raw[:1] == 0] == 0).all()


def test_a_declared_nodata_is_fill_and_is_not_contradicted(tmp_path, raw):
    path = write_bands(tmp_path / "npp_2001.tif", raw[0], nodata=-1, names=["Npp"])
    flag = nc.open_source("mod17a3hgf", path).npp_flag.values
    assert_array_equal(flag, np.where(raw[:1] == -1, 7, truth(raw[:1], None)[1]))
    refused(path, "declares nodata -1, the recipe says 0", nodata=0.0)
    assert nc.open_source("mod17a3hgf", path, nodata=-1.0).npp.shape == (1, 20, 20)


def test_wide_integers_beyond_int16_are_outside(tmp_path):
    data = np.array([[40000, -40000, 2**31 - 1], [-(2**31), 65536, 5]])
    path = write_bands(tmp_path / "npp_2001.tif", data, dtype="int32", nodata=-(2**31), names=["Npp"])
    ds = nc.open_source("mod17a3hgf", path)
    assert_array_equal(ds.npp_flag.values[0], [[8, 8, 8], [7, 8, 0]])
    assert ds.npp.values[0, 1, 2] == np.float32(0.5)


@pytest.mark.parametrize(("unit", "per"), [("kgC m-2 yr-1", 1e-4), ("gC/m2/yr", 0.1)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scaled_exports_need_their_unit_and_give_the_integers_back(tmp_path, unit, per, dtype):
    raw = np.arange(-32767, 32768).reshape(1, 257, 255)
    scaled = raw.astype(dtype) * np.dtype(dtype).type(per)
    path = write_bands(tmp_path / "npp_2001.tif", scaled, dtype=dtype, nodata=float("nan"), names=["Npp"])
    refused(path, path.name, "no unit is given", "`units: ...`", kind=UnitError)
    ds = nc.open_source("mod17a3hgf", path, units=unit)
    value, flag = truth(raw, None)
    assert_array_equal(ds.npp_flag.values, flag)
    assert_array_equal(ds.npp.values, value)
    refused(path, "'mm year-1'", "no unit of productivity", units="mm year-1")


def test_nan_is_fill_in_a_scaled_export(tmp_path):
    data = np.array([[np.nan, 0.5], [3.2766, -9999.0]], np.float32)
    path = write_bands(tmp_path / "npp_2001.tif", data, dtype="float32", nodata=-9999, names=["Npp"])
    ds = nc.open_source("mod17a3hgf", path, units="kg m-2 yr-1")
    assert_array_equal(ds.npp_flag.values[0], [[7, 0], [6, 7]])
    assert ds.npp.values[0, 0, 1] == np.float32(500)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (0.51234, "kg m-2 yr-1"),
        (0.5123, "g m-2 yr-1"),
        (512.3, "kg m-2 yr-1"),
        (np.inf, "kg m-2 yr-1"),
        (4.0, "kg m-2 yr-1"),
    ],
)
def test_numbers_that_are_no_steps_of_the_product_are_refused(tmp_path, value, unit):
    data = np.full((3, 3), 0.5, np.float32)
    data[1, 1] = value
    path = write_bands(tmp_path / "npp_2001.tif", data, dtype="float32", nodata=float("nan"), names=["Npp"])
    ds = nc.open_source("mod17a3hgf", path, units=unit)
    with pytest.raises(SourceError, match="none of the product's steps") as error:
        ds.npp.compute()
    assert path.name in str(error.value)
    assert f"{np.float32(value):.9g}" in str(error.value)


def test_integers_with_a_unit_of_grams_are_refused(tmp_path, raw):
    path = write_bands(tmp_path / "npp_2001.tif", raw[0], names=["Npp"])
    refused(path, "'g m-2 yr-1'", "holds integers (int16)", units="g m-2 yr-1")
    refused(path, "'banana'", kind=UnitError, units="banana")


@pytest.mark.parametrize(
    ("stem", "names", "words"),
    [
        ("npp_2001", ["Fpar"], ("no band of it is NPP", "Fpar", "`variable:`")),
        ("result_2001", [""], ("no band of it is NPP", "unnamed")),
        ("npp", ["Npp"], ("neither the band Npp nor the file's name says one year", "Npp_2001, Npp_2002")),
        ("npp_2001_2002", ["Npp"], ("says one year",)),
        ("npp", ["Npp_2001_2002"], ("says one year",)),
        ("npp_2001", ["Npp", "npp_2001"], ("two bands are NPP of 2001",)),
    ],
)
def test_bands_that_do_not_say_what_they_are_are_refused(tmp_path, raw, stem, names, words):
    path = write_bands(tmp_path / f"{stem}.tif", raw[: len(names)], names=names)
    refused(path, str(path), *words)


def test_the_recipe_may_name_the_band(tmp_path, raw):
    path = write_bands(tmp_path / "result.tif", raw, names=["productivity_2001", "productivity_2002"])
    ds = nc.open_source("mod17a3hgf", path, variable="productivity")
    assert_array_equal(ds.npp_flag.values, truth(raw, None)[1])


def test_an_export_in_another_projection_is_refused(tmp_path, raw):
    path = write_bands(tmp_path / "npp_2001.tif", raw[0], names=["Npp"], crs="EPSG:3857")
    refused(path, "WGS 84 / Pseudo-Mercator", "'EPSG:4326' or 'SR-ORG:6974'")


SR_ORG = """PROJCS["MODIS Sinusoidal",GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],
PRIMEM["Greenwich",0],UNIT["degree",0.01745329251994328]],PROJECTION["Sinusoidal"],PARAMETER["false_easting",0.0],
PARAMETER["false_northing",0.0],PARAMETER["central_meridian",0.0],PARAMETER["semi_major",6371007.181],
PARAMETER["semi_minor",6371007.181],UNIT["m",1.0]]"""


def test_the_sphere_of_sr_org_6974_is_known_by_its_cells(tmp_path, raw):
    path = write_bands(tmp_path / "npp_2001.tif", raw[0], names=["Npp"], crs=SR_ORG, at=transform(SINUSOIDAL))
    with rasterio.open(path) as file:
        # what makes it the sphere is lost in the file
        assert "6371007" not in file.crs.to_wkt()
    ds = nc.open_source("mod17a3hgf", path)
    assert "6371007.181" in ds.spatial_ref.attrs["crs_wkt"]
    assert_array_equal(ds.npp_flag.values, truth(raw[:1], None)[1])
    off = write_bands(tmp_path / "npp_2002.tif", raw[0], names=["Npp"], crs=SR_ORG, at=transform(SINUSOIDAL, row=0.5))
    refused(off, "MODIS Sinusoidal on WGS 84")


def test_max_qc_names_the_quality_band(tmp_path, raw, qc):
    path = write_bands(tmp_path / "npp.tif", raw, names=["Npp_2001", "Npp_2002"])
    refused(path, "band Npp_QC of 2001", max_qc=10)
    write_bands(tmp_path / "Npp_QC.tif", qc, names=["2001", "2002"], dtype="uint8", nodata=255)
    ds = nc.open_source("mod17a3hgf", tmp_path / "*", max_qc=10)
    assert_array_equal(ds.npp_flag.values, truth(raw, qc, 10)[1])
    assert nc.open_source("mod17a3hgf", tmp_path / "*").npp.shape == (2, 20, 20)
    refused(tmp_path / "Npp_QC.tif", "no file holds Npp_500m")


def test_a_missing_shard_is_refused_by_its_name(tmp_path, raw):
    paths = shards(tmp_path, "npp", raw, (10, 10), names=["Npp_2001", "Npp_2002"])
    for gone in paths:
        content = gone.read_bytes()
        gone.unlink()
        refused(tmp_path / "*", str(gone), "its neighbours are", "skipEmptyTiles")
        assert ("missing", gone.name, "the shard is not there, and its neighbours are.") in states(inspected(tmp_path))
        gone.write_bytes(content)
    assert nc.open_source("mod17a3hgf", tmp_path / "*").npp.shape == (2, 20, 20)


def test_two_exports_of_one_year_are_refused(tmp_path, raw):
    for name in ("npp_2001.tif", "npp_2001 (1).tif"):
        write_bands(tmp_path / name, raw[0], names=["Npp"])
    refused(tmp_path / "*", "cells of 2001 are there twice", "npp_2001 (1).tif")


# --- all of them ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [*ON_TILE, *(f"{k}-degrees" for k in IN_DEGREES)])
def test_a_cut_file_is_found_in_its_header(tmp_path, raw, qc, layout):
    key = layout.removesuffix("-degrees")
    (ON_TILE if key == layout else IN_DEGREES)[key](tmp_path, raw, qc)
    name = "vnp17a3hgf" if key == "viirs" else "mod17a3hgf"
    options = {"units": "kg m-2 yr-1"} if key == "floats" else {}
    victim = sorted(p for p in tmp_path.iterdir() if "QC" not in p.name)[0]
    whole = victim.read_bytes()
    for keep in (0, 3, 7, 40, len(whole) // 3, len(whole) - len(whole) // 4, len(whole) - 40):
        victim.write_bytes(whole[:keep])
        refused(tmp_path / "*", str(victim), "again", name=name, **options)
        found = inspected(tmp_path, name=name, **options)
        assert [f.which for f in found.findings if f.state == "broken"] == [str(victim)]
        assert victim.name not in {g.path.rpartition("/")[2] for g in found.granules}


def test_inspect_lists_every_fault_at_once(tmp_path, raw):
    for year, h in ((2001, 25), (2001, 26), (2002, 26), (2003, 25), (2003, 26)):
        write_tile(tmp_path / granule(year, h), raw[0], h=h)
    write_tile(tmp_path / granule(2003, 25, made="2024048210133"), raw[0])
    (tmp_path / granule(2004)).write_bytes(b"<!DOCTYPE html><html>Earthdata Login</html>")
    write_tile(tmp_path / granule(2004, 26), raw[0], h=26, attrs={"scale_factor": 1.0})
    found = inspected(tmp_path, years=(2001, 2005))
    assert states(found) == [
        ("broken", granule(2004), "is an HTML page, not HDF4 or TIFF."),
        ("broken", granule(2004, 26), "Npp_500m has scale_factor 1.0, 0.0001 is MOD17A3HGF's."),
        ("missing", "2004", "no file is of this year."),
        ("missing", "2005", "no file is of this year."),
        ("missing", "h25v05 of 2002", "other years have it."),
        (
            "overlaps",
            granule(2003, 25, made="2024048210133"),
            f"tile h25v05 of 2003 is there twice, also as {granule(2003)}.",
        ),
    ]
    assert all(f.is_fault and f.way_out for f in found.findings)
    assert len(found.granules) == 6
    with pytest.raises(NepcubeError):
        nc.open_source("mod17a3hgf", tmp_path / "*", years=(2001, 2005))


def test_a_folder_of_nothing_good_is_inspected(tmp_path):
    for year in YEARS:
        (tmp_path / granule(year)).write_bytes(b"")
    found = inspected(tmp_path)
    assert found.granules == ()
    assert [f.state for f in found.findings] == ["broken", "broken"]


# --- VIIRS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("product", ["VNP17A3GF", "VNP17A3HGF", "VJ117A3GF", "VJ217A3GF"])
@pytest.mark.parametrize("names", [("Npp_500m", "Npp_QC_500m"), ("Npp", "Npp_QC")])
def test_the_successor_under_each_name(tmp_path, raw, qc, product, names):
    write_viirs(tmp_path / viirs(2022, product=product), raw[0], qc[0], names=names)
    ds = nc.open_source("vnp17a3hgf", tmp_path / "*", max_qc=50)
    assert ds.attrs["product"] == f"{product}.002"
    assert_array_equal(ds.npp_flag.values, truth(raw[:1], qc[:1], 50)[1])
    assert_array_equal(ds.npp.values, truth(raw[:1], qc[:1], 50)[0])


def test_the_successor_s_versions_and_platforms(tmp_path, raw):
    for year, version in ((2022, "001"), (2023, "002")):
        write_viirs(tmp_path / viirs(year, version=version), raw[0])
    refused(tmp_path / "*", "version 002", "version 001", name="vnp17a3hgf")
    ds = nc.open_source("vnp17a3hgf", tmp_path / "*", mixed_versions=True)
    assert ds.attrs["product"] == "VNP17A3GF.001 and VNP17A3GF.002"
    write_viirs(tmp_path / viirs(2024, product="VJ117A3GF"), raw[0])
    refused(tmp_path / "*", "they do not belong in one mosaic", name="vnp17a3hgf", mixed_versions=True)


def test_appeears_gives_the_successor_too(tmp_path, raw, qc):
    write_appeears_netcdf(tmp_path / "VNP17A3GF.002_500m_aid0001.nc", raw, qc)
    ds = nc.open_source("vnp17a3hgf", tmp_path / "*", max_qc=50)
    assert ds.attrs["product"] == "VNP17A3GF.002"
    assert_array_equal(ds.npp_flag.values, truth(raw, qc, 50)[1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attrs": {"scale_factor": 1.0}}, ("scale_factor 1.0",)),
        ({"attrs": {"units": None}}, ("is in None",)),
        ({"attrs": {"_FillValue": np.int16(-1)}}, ("_FillValue -1",)),
        ({"attrs": {"valid_range": np.array([0, 100], np.int16)}}, ("valid_range [0, 100]",)),
        ({"names": ("Gpp_500m", "Npp_QC_500m")}, ("'Npp_500m' is not there", "Gpp_500m", "VNP17A2GF")),
        ({"dtype": ">i2"}, ("of >i2", "int16")),
        ({"dtype": "<u2"}, ("of uint16", "int16")),
        ({"at": (0.0, 0.0, 1.0, -1.0)}, ("not those of tile h25v05",)),
    ],
)
def test_a_viirs_granule_of_another_kind_is_refused(tmp_path, raw, options, words):
    path = write_viirs(tmp_path / viirs(2022), raw[0], **options)
    refused(path, str(path), *words, name="vnp17a3hgf")


def test_viirs_needs_its_quality_field_and_its_grid(tmp_path, raw):
    import h5py

    path = write_viirs(tmp_path / viirs(2022), raw[0])
    refused(path, "'Npp_QC_500m' is not there", name="vnp17a3hgf", max_qc=10)
    with h5py.File(path, "r+") as file:
        del file["HDFEOS INFORMATION"]
    refused(path, "HDF5 without the HDF-EOS grid", name="vnp17a3hgf")


def test_modis_is_not_viirs(tmp_path, raw):
    path = write_tile(tmp_path / granule(2001), raw[0])
    refused(path, path.name, name="vnp17a3hgf")
    refused(write_viirs(tmp_path / viirs(2022), raw[0]), "not that of a MOD17A3HGF granule")
    as_appeears_tifs(tmp_path, raw, raw, "EPSG:4326")
    refused(tmp_path / appeears(2001), "not that of a VNP17A3GF granule", name="vnp17a3hgf")


def test_a_chunk_that_was_never_written_is_refused(tmp_path, raw):
    import h5py

    path = write_viirs(tmp_path / viirs(2022), raw[0])
    place = "HDFEOS/GRIDS/VNP_Grid_VNP17A3/Data Fields/Npp_500m"
    with h5py.File(path, "r+") as file:
        says = dict(file[place].attrs)
        del file[place]
        field = file.create_dataset(place, (20, 20), "<i2", chunks=(5, 5), compression="gzip")
        field.attrs.update(says)
        field[:15] = raw[0][:15]
    refused(path, path.name, "4 of 16 chunks", name="vnp17a3hgf")


def write_export(path, west):
    from rasterio.transform import Affine

    profile = {"driver": "GTiff", "dtype": "int16", "count": 1, "height": 40, "width": 40, "crs": "EPSG:4326"}
    with rasterio.open(path, "w", transform=Affine(1 / 240, 0, west, 0, -1 / 240, 34), nodata=32767, **profile) as file:
        file.write(np.full((40, 40), 3000, "int16"), 1)
        file.set_band_description(1, "Npp")
    return str(path)


def test_exports_of_other_places_are_no_mosaic(tmp_path):
    first, second = tmp_path / "MOD17A3HGF_061_2001.tif", tmp_path / "MOD17A3HGF_061_2002.tif"
    paths = [write_export(first, 96.0), write_export(second, 96.5)]
    with pytest.raises(SourceError) as caught:
        nc.open_source("mod17a3hgf", paths)
    assert caught.value.what == f"{second}: it lies elsewhere than {first.name} of 2001."
    write_export(second, 96.0)
    assert dict(nc.open_source("mod17a3hgf", paths).sizes) == {"time": 2, "latitude": 40, "longitude": 40}


def test_a_shard_lies_where_its_name_puts_it(tmp_path):
    names = [f"MOD17A3HGF_061_2001-0000000000-{column:010d}.tif" for column in (0, 40)]
    paths = [write_export(tmp_path / names[0], 96.0), write_export(tmp_path / names[1], 96.0 + 40 / 240)]
    assert nc.open_source("mod17a3hgf", paths).sizes["longitude"] == 80
    write_export(tmp_path / names[1], 96.0 + 120 / 240)
    with pytest.raises(SourceError) as caught:
        nc.open_source("mod17a3hgf", paths)
    assert caught.value.what == f"{paths[1]}: it does not lie where its name puts it beside {names[0]}."
