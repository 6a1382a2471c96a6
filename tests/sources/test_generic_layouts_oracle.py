"""Generic files in every layout: projected grids, dates in bands and names, Zarr of both formats, codes, bounds."""

import os
import shutil

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from providers import LATITUDE, LONGITUDE, field, months, write_geotiff, write_netcdf
from pyproj import CRS, Transformer

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.sources import Request, inspected, reader, stamps
from nepcube.testing import forbid_compute

ALBERS = "+proj=aea +lat_0=0 +lon_0=105 +lat_1=25 +lat_2=47 +x_0=0 +y_0=0 +datum=WGS84 +units=m"
GC = "gC m-2 yr-1"


def opened(paths, quantity, **options):
    with forbid_compute():
        return nc.open_source("generic", paths, quantity=quantity, **options)


def refusal(paths, quantity, *, error=SourceError, **options):
    with pytest.raises(error) as raised:
        nc.open_source("generic", paths, quantity=quantity, **options).compute()
    assert len(str(raised.value).splitlines()) == 2
    return raised.value


@pytest.fixture
def data():
    return field(12, low=1, high=90)


# --- dates in names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "start", "told"),
    [
        ("npp_2001", "2001-01-01", "year"),
        ("2001", "2001-01-01", "year"),
        ("Npp_500m_2001", "2001-01-01", "year"),
        ("npp_2001_30m", "2001-01-01", "year"),
        ("npp_2000m_2001", "2001-01-01", "year"),
        ("pre-2001-02", "2001-02-01", "month"),
        ("pre_200102", "2001-02-01", "month"),
        ("pre.2001.12", "2001-12-01", "month"),
        ("pre_2001_02_28", "2001-02-28", "day"),
        ("pre_2000-02-29", "2000-02-29", "day"),
        ("pre20010228v3", None, None),
        ("pre_20010228_v3", "2001-02-28", "day"),
        ("MOD17A3HGF.A2001001.h25v05.061.2020048210133", "2001-01-01", "day"),
        ("doy2000366_aid0001", "2000-12-31", "day"),
        ("2001_2001-03", "2001-03-01", "month"),
        ("b1", None, None),
        ("elevation_90m", None, None),
        ("n123456789", None, None),
    ],
)
def test_the_date_of_a_name(text, start, told):
    if text == "pre20010228v3":
        # a letter behind the day may be another digit lost: year alone does not stand there either
        assert stamps.stamp_in(text, "f") is None
        return
    got = stamps.stamp_in(text, "f")
    assert (start, told) == ((None, None) if got is None else (str(got.start), got.told))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("npp_2001_13", "2001_13"),
        ("npp_200113", "200113"),
        ("npp_20012002", "20012002"),
        ("npp_2001_02_30", "2001_02_30"),
        ("npp_2001000", "2001000"),
        ("npp_2001366", "2001366"),
        ("npp_2001_1", "2001_1"),
        ("npp_2001_250", "2001_250"),
        ("pre_2001.02.3", "2001.02.3"),
    ],
)
def test_what_may_or_may_not_be_a_date_is_refused(text, shown):
    with pytest.raises(SourceError) as error:
        stamps.stamp_in(text, "f")
    assert error.value.what == f"f: {shown!r} in its name is no date that can be told for certain."


def test_two_dates_are_refused():
    with pytest.raises(SourceError) as error:
        stamps.stamp_in("npp_2001-2020_mean", "f")
    assert error.value.what == "f: two dates stand in its name (2001 and 2020)."


@pytest.mark.parametrize(
    ("names", "step", "said"),
    [
        (["a_2001", "a_2002"], "year", None),
        (["a_200101", "a_200102"], "month", None),
        (["a_2001001", "a_2001002"], "day", None),
        (["a_2001_01_01", "a_2001_01_06"], "pentad", None),
        (["a_2001_02_11", "a_2001_02_21", "a_2001_03_01"], "dekad", None),
        (["a_2001001", "a_2002001"], "year", None),
        (["a_2001001"], "year", "year"),
        (["a_20010101"], "month", "month"),
        (["a_20010111"], "dekad", "dekad"),
    ],
)
def test_the_step_of_dated_rasters(tmp_path, data, names, step, said):
    for k, name in enumerate(reversed(names)):
        write_geotiff(tmp_path / f"{name}.tif", data[len(names) - 1 - k], west=95.95, north=34.35, step=0.1)
    got = opened(tmp_path / "*.tif", "precipitation", units="mm", time=said, aggregate="amount").precipitation
    assert got.attrs["frequency"] == step
    assert_array_equal(got.values, data[: len(names)])
    assert (np.diff(got.time.values) > np.timedelta64(0)).all()


def test_names_must_fit_what_is_said(tmp_path, data):
    path = write_geotiff(tmp_path / "a_2001_10.tif", data[0], west=95.95, north=34.35, step=0.1)
    assert str(refusal(path, "npp", units=GC, time="year")) == (
        f"{path}: its name tells the month 2001-10, but `time: year` is said.\n"
        "Name the files by the first day of their step, or correct `time:`."
    )
    other = write_geotiff(tmp_path / "a_2001.tif", data[0], west=95.95, north=34.35, step=0.1)
    assert refusal(other, "npp", units=GC, time="month").what == (
        f"{other}: its name tells the year 2001, but `time: month` is said."
    )
    both = refusal(tmp_path / "*.tif", "npp", units=GC)
    assert both.what == f"{other}: some names tell a year, others a month."
    day = write_geotiff(tmp_path / "b_20010111.tif", data[0], west=95.95, north=34.35, step=0.1)
    assert refusal(day, "npp", units=GC).what == f"{day}: the step of band_data cannot be told from its 1 time(s)."


def test_bands_with_dates(tmp_path, data):
    names = [f"Npp_{2001 + k}" for k in range(3)] + [f"Gpp_{2001 + k}" for k in range(3)]
    path = write_geotiff(tmp_path / "export.tif", data[:6], west=95.95, north=34.35, step=0.1, names=names)
    got = opened(path, "npp", units=GC, variable="Gpp").npp
    assert_array_equal(got.values, data[3:6])
    assert got.time.dt.year.values.tolist() == [2001, 2002, 2003]
    assert "export.tif Gpp" in got.attrs["product"]
    assert refusal(path, "npp", units=GC).what == f"{path}: a time stands in it twice."
    assert refusal(path, "npp", units=GC, variable="nep").what == (
        f"{path}: no band is named 'nep' (found: Npp_2001, Npp_2002, Npp_2003, Gpp_2001, Gpp_2002, Gpp_2003)."
    )
    shuffled = write_geotiff(
        tmp_path / "s.tif", data[[2, 0, 1]], west=95.95, north=34.35, step=0.1, names=["2003", "2001", "2002"]
    )
    assert_array_equal(opened(shuffled, "npp", units=GC).npp.values, data[:3])


def test_one_of_several_bands_and_the_date_of_the_file(real, tmp_path):
    # bands npp, pre, tem, elev, hfp of one date, on an Albers grid; the year is not in the file
    path = tmp_path / "spedm_2018.tif"
    shutil.copy(real / "npp/spedm_npp.tif", path)
    options = {"units": "mm", "variable": "pre"}
    got = opened(path, "precipitation", **options).precipitation
    with rasterio.open(path) as file:
        want, transform, crs = file.read(2), file.transform, file.crs
    assert got.dims == ("time", "y", "x")
    assert_array_equal(got.values[0], want)
    assert np.isnan(want).any()
    assert np.isfinite(want).any()
    assert CRS.from_wkt(got.spatial_ref.attrs["crs_wkt"]).equals(CRS.from_wkt(crs.to_wkt()))
    assert [float(v) for v in got.spatial_ref.attrs["GeoTransform"].split()] == list(transform.to_gdal())
    # nearest to a geographic grid is the cell that pyproj points to
    grid = nc.target_grid((100.0, 30.0, 103.0, 33.0), "9000 m")
    mine = nc.regrid(nc.to_annual(got.to_dataset(), years=(2018, 2018)), grid).precipitation
    lon, lat = np.meshgrid(mine.longitude.values, mine.latitude.values)
    x, y = Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform(lon, lat)
    rows, columns = np.floor((transform.f - y) / 10000).astype(int), np.floor((x - transform.c) / 10000).astype(int)
    assert_array_equal(mine.values[0], want[rows, columns])
    # and the bounds leave the same cells
    part = opened(path, "precipitation", **options, bounds=(100.0, 30.0, 103.0, 33.0))
    assert part.precipitation.size < got.size / 20
    cut = nc.regrid(nc.to_annual(part, years=(2018, 2018)), grid).precipitation
    assert_array_equal(cut.values, mine.values)
    error = refusal(path, "precipitation", **options, bounds=(60.0, 30.0, 63.0, 33.0))
    assert error.what.startswith(f"{path}: x runs from -2.62576e+06 to 2.20424e+06, the grid needs ")
    # its productivity is in a unit that the file does not say, and is not this one
    assert "1453 value(s) cannot be npp in g m-2 year-1, such as" in refusal(path, "npp", units=GC, variable="npp").what


# --- projected NetCDF and Zarr ---------------------------------------------------------------------------------------

Y, X = 4000.0 - 500.0 * np.arange(4), -1000.0 + 500.0 * np.arange(5)


def projected(data, *, unit="m", how="cf", dims=("time", "y", "x")):
    scale = {"m": 1.0, "km": 1e-3}[unit]
    crs = CRS.from_user_input(ALBERS)
    attrs = {"cf": {k: v for k, v in crs.to_cf().items() if k != "crs_wkt"}, "wkt": {"crs_wkt": crs.to_wkt()},
             "spatial_ref": {"spatial_ref": crs.to_wkt()}}[how]  # fmt: skip
    ds = xr.Dataset(
        {"npp": (("time", "y", "x"), data, {"units": GC, "grid_mapping": "albers"}), "albers": ((), 0, attrs)},
        coords={
            "time": np.array([f"{2001 + k}-01-01" for k in range(len(data))], "datetime64[ns]"),
            "y": ("y", Y * scale, {"standard_name": "projection_y_coordinate", "units": unit}),
            "x": ("x", X * scale, {"standard_name": "projection_x_coordinate", "units": unit}),
        },
    )
    ds["npp"] = ds["npp"].transpose(*dims)
    return ds


@pytest.mark.parametrize("how", ["cf", "wkt", "spatial_ref"])
@pytest.mark.parametrize("unit", ["m", "km"])
@pytest.mark.parametrize("dims", [("time", "y", "x"), ("x", "time", "y")])
@pytest.mark.parametrize("form", ["nc", "classic", "zarr2", "zarr3"])
def test_projected_files(tmp_path, data, how, unit, dims, form):
    ds = projected(data, unit=unit, how=how, dims=dims)
    path = tmp_path / f"a.{'zarr' if 'zarr' in form else 'nc'}"
    if form == "nc":
        ds.to_netcdf(path, engine="h5netcdf")
    elif form == "classic":
        ds.to_netcdf(path, engine="scipy")
    else:
        ds.to_zarr(path, zarr_format=int(form[-1]), consolidated=form[-1] == "2")
    got = opened(path, "npp").npp
    assert got.dims == ("time", "y", "x")
    assert_array_equal(got.values, data)
    assert_allclose(got.y.values, Y, rtol=0, atol=1e-9)
    assert_allclose(got.x.values, X, rtol=0, atol=1e-9)
    numbers = [float(v) for v in got.spatial_ref.attrs["GeoTransform"].split()]
    assert_allclose(numbers, [-1250, 500, 0, 4250, 0, -500], rtol=0, atol=1e-9)
    assert CRS.from_wkt(got.spatial_ref.attrs["crs_wkt"]).equals(CRS.from_user_input(ALBERS), ignore_axis_order=True)


def test_projected_files_of_two_grids(tmp_path, data):
    projected(data[:1]).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    other = projected(data[:2]).isel(time=[1])
    other.assign_coords(x=other.x + 100).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    assert refusal(tmp_path / "*.nc", "npp").what == f"{tmp_path / 'b.nc'}: its x differs from that of a.nc."
    other["albers"].attrs = CRS.from_epsg(32647).to_cf()
    other.to_netcdf(tmp_path / "e.nc", engine="h5netcdf")
    assert refusal(tmp_path / "[ae].nc", "npp").what == f"{tmp_path / 'e.nc'}: its CRS differs from that of a.nc."
    bare = projected(data[:1]).drop_vars("albers")
    bare.to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    assert refusal(tmp_path / "c.nc", "npp").what == f"{tmp_path / 'c.nc'}: the CRS of npp cannot be told."
    skewed = projected(data[:1]).assign_coords(x=X**2)
    skewed.x.attrs["standard_name"] = "projection_x_coordinate"
    skewed.to_netcdf(tmp_path / "d.nc", engine="h5netcdf")
    assert refusal(tmp_path / "d.nc", "npp").what == f"{tmp_path / 'd.nc'}: x is not regular."


def test_a_geographic_grid_whose_axes_are_called_x_and_y(tmp_path, data):
    # as rioxarray writes them
    ds = xr.Dataset(
        {"npp": (("time", "y", "x"), data[:1], {"units": GC, "grid_mapping": "spatial_ref"})},
        coords={"time": np.array(["2001-01-01"], "datetime64[ns]"), "y": LATITUDE, "x": LONGITUDE,
                "spatial_ref": ((), 0, {"crs_wkt": CRS.from_epsg(4326).to_wkt()})},
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    got = opened(tmp_path / "a.nc", "npp", time="year").npp
    assert got.dims == ("time", "latitude", "longitude")
    assert_array_equal(got.latitude.values, LATITUDE)
    assert_array_equal(got.values, data[:1])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
def test_zarr_of_both_formats_in_many_chunks(tmp_path, data, zarr_format, consolidated):
    ds = xr.Dataset(
        {"pre": (("time", "lat", "lon"), data, {"units": "mm"})},
        coords={"time": months(2001, 2001), "lat": LATITUDE, "lon": LONGITUDE},
    )
    path = tmp_path / "a.zarr"
    ds.chunk(time=5, lat=3, lon=2).to_zarr(path, zarr_format=zarr_format, consolidated=consolidated)
    got = opened(path, "precipitation", aggregate="amount").precipitation
    assert_array_equal(got.values, data)
    assert inspected(reader("generic"), Request((str(path),), "precipitation", aggregate="amount")).findings == ()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_damaged_chunk_of_a_store_names_it(tmp_path, data, zarr_format):
    ds = xr.Dataset(
        {"pre": (("time", "latitude", "longitude"), data, {"units": "mm"})},
        coords={"time": months(2001, 2001), "latitude": LATITUDE, "longitude": LONGITUDE},
    )
    path = tmp_path / "a.zarr"
    ds.to_zarr(path, zarr_format=zarr_format, consolidated=False)
    chunk = path / "pre" / ("0.0.0" if zarr_format == 2 else "c/0/0/0")
    chunk.write_bytes(chunk.read_bytes()[:50])
    got = opened(path, "precipitation", aggregate="amount")
    with pytest.raises(SourceError, match="damaged or cut off") as error:
        got.compute()
    assert error.value.what.startswith(f"{path}: ")


# --- axes, times, codes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("lat", "lon"), ("LAT", "LON"), ("Latitude", "Longitude"), ("nav", "hor")])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_axes_are_known_by_name_or_by_unit(tmp_path, data, names, order):
    dims = ("time", *names)
    ds = xr.Dataset(
        {"pre": (dims, data, {"units": "mm"})},
        coords={"time": months(2001, 2001), names[0]: LATITUDE[::-1], names[1]: LONGITUDE},
    )
    ds[names[0]].attrs["units"], ds[names[1]].attrs["units"] = "degrees_north", "degrees_east"
    ds["pre"] = ds["pre"].transpose(*(dims[k] for k in order))
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    got = opened(tmp_path / "a.nc", "precipitation", aggregate="amount").precipitation
    assert got.dims == ("time", "latitude", "longitude")
    assert_array_equal(got.values, data)
    assert_array_equal(got.latitude.values, LATITUDE[::-1])


def test_shuffled_and_repeated_times(tmp_path, data):
    order = np.random.default_rng(3).permutation(12)
    stamps_ = months(2001, 2001)
    path = write_netcdf(tmp_path / "a.nc", stamps_[order], {"v": data[order]}, units={"v": "mm"})
    got = opened(path, "precipitation", aggregate="amount", time="month").precipitation
    assert_array_equal(got.values, data)
    assert_array_equal(got.time.values, stamps_)
    path = write_netcdf(tmp_path / "b.nc", stamps_[[0, 1, 1, 2]], {"v": data[:4]}, units={"v": "mm"})
    assert refusal(path, "precipitation", aggregate="amount").what == f"{path}: a time stands in it twice."


def test_stamps_in_the_middle_and_bounds(tmp_path, data):
    middle = months(2001, 2001) + np.timedelta64(15, "D")
    path = write_netcdf(tmp_path / "a.nc", middle, {"v": data}, units={"v": "mm"}, time="time")
    assert "cannot be told" in refusal(path, "precipitation", aggregate="amount").what
    got = opened(path, "precipitation", aggregate="amount", time="month").precipitation
    assert_array_equal(got.time.values, months(2001, 2001))
    # a stamp at the end of its month: the bounds say which month it is
    ends = np.append(months(2001, 2001)[1:], np.datetime64("2002-01-01", "ns"))
    ds = xr.Dataset(
        {"v": (("time", "lat", "lon"), data, {"units": "mm"}),
         "tb": (("time", "nv"), np.stack([months(2001, 2001), ends], axis=1))},
        coords={"time": ("time", ends, {"bounds": "tb"}), "lat": LATITUDE, "lon": LONGITUDE},
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    got = opened(tmp_path / "b.nc", "precipitation", aggregate="amount").precipitation
    assert got.attrs["frequency"] == "month"
    assert_array_equal(got.time.values, months(2001, 2001))
    assert_array_equal(got.values, data)


@pytest.mark.parametrize("units", ["months since 2000-01-01", "days after 2000"])
def test_times_that_are_no_dates(tmp_path, data, units):
    ds = xr.Dataset(
        {"v": (("time", "lat", "lon"), data, {"units": "mm"})},
        coords={"time": ("time", np.arange(12.0), {"units": units}), "lat": LATITUDE, "lon": LONGITUDE},
    )
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert refusal(tmp_path / "a.nc", "precipitation", aggregate="amount").what == (
        f"{tmp_path / 'a.nc'}: its time axis cannot be read as dates (units: {units!r})."
    )


def test_other_dimensions_and_none(tmp_path, data):
    ds = xr.Dataset(
        {"v": (("time", "level", "lat", "lon"), np.stack([data, data], axis=1), {"units": "mm"})},
        coords={"time": months(2001, 2001), "lat": LATITUDE, "lon": LONGITUDE},
    )
    path = tmp_path / "a.nc"
    ds.to_netcdf(path, engine="h5netcdf")
    assert refusal(path, "precipitation", aggregate="amount").what == (
        f"{path}: v has the dimension 'level' of 2 beside time and space."
    )
    path = tmp_path / "b.nc"
    ds.isel(level=[0]).to_netcdf(path, engine="h5netcdf")
    assert_array_equal(opened(path, "precipitation", aggregate="amount").precipitation.values, data)
    path = tmp_path / "c.nc"
    ds.isel(level=0, time=0, drop=True).to_netcdf(path, engine="h5netcdf")
    assert refusal(path, "precipitation", aggregate="amount").what == f"{path}: v has no time axis."
    one = ds.isel(level=0, time=3)
    path = tmp_path / "d.nc"
    one.to_netcdf(path, engine="h5netcdf")
    got = opened(path, "precipitation", aggregate="amount", time="month").precipitation
    assert_array_equal(got.values, data[3:4])
    assert got.time.values[0] == np.datetime64("2001-04-01")


@pytest.mark.parametrize("form", ["float", "packed", "tif", "packed tif"])
def test_undeclared_codes_that_the_user_says(tmp_path, form):
    raw = np.arange(1, 21, dtype="int16").reshape(1, 4, 5)
    raw[0, 1, 1] = -99
    want = np.where(raw == -99, np.nan, raw * (0.5 if "packed" in form else 1.0))
    if "tif" in form:
        path = write_geotiff(tmp_path / "a_2001.tif", raw[0], west=95.95, north=34.35, step=0.1)
        if form == "packed tif":
            with rasterio.open(path, "r+") as file:
                file.scales = (0.5,)
    else:
        ds = xr.Dataset(
            {"v": (("time", "lat", "lon"), raw if form == "packed" else raw.astype("f4"), {"units": "mm"})},
            coords={"time": np.array(["2001-01-01"], "datetime64[ns]"), "lat": LATITUDE, "lon": LONGITUDE},
        )
        if form == "packed":
            ds.v.attrs["scale_factor"] = 0.5
        path = tmp_path / "a.nc"
        ds.to_netcdf(path, engine="h5netcdf", encoding={"v": {"_FillValue": None}})
    options = {"units": "mm", "time": "year"}
    got = opened(path, "precipitation", nodata=-99, **options).precipitation
    assert_array_equal(got.values, want)
    shown = "-49.5" if "packed" in form else "-99"
    assert refusal(path, "precipitation", **options).what == (
        f"{path}: 1 value(s) cannot be precipitation in mm, such as {shown}."
    )


def test_a_code_in_float32_is_known_by_its_stored_number(tmp_path):
    raw = np.full((4, 5), 3.0, "f4")
    raw[0, 0] = -99.9
    tif = write_geotiff(tmp_path / "a_2001.tif", raw, west=95.95, north=34.35, step=0.1)
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2001)[:1], {"v": raw[None]}, units={"v": "mm"})
    for each in (tif, path):
        got = opened(each, "precipitation", nodata=-99.9, units="mm", time="year").precipitation
        assert int(got.isnull().sum()) == 1


def test_whole_numbers_and_the_valid_range(tmp_path):
    # codes beyond the valid range are no productivity: the commonest mistake with MOD17
    raw = np.array([[1000, 32700, 32761], [32766, 0, -30001]], "int16")
    ds = xr.Dataset(
        {"Npp": (("time", "lat", "lon"), raw[None], {"units": "kg_C/m^2", "scale_factor": 0.0001,
                                                     "valid_range": np.array([-30000, 32700], "int16")})},
        coords={"time": np.array(["2001-01-01"], "datetime64[ns]"), "lat": LATITUDE[:2], "lon": LONGITUDE[:3]},
    )  # fmt: skip
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf", encoding={"Npp": {"_FillValue": np.int16(32767)}})
    got = opened(tmp_path / "a.nc", "npp", time="year").npp
    assert got.dtype.kind == "f"
    assert_allclose(got.values[0], [[0.1, 3.27, np.nan], [np.nan, 0.0, np.nan]], rtol=1e-6)
    plain = write_netcdf(tmp_path / "b.nc", months(2001, 2001)[:1], {"v": raw[None, :, :2]}, units={"v": GC},
                         latitude=LATITUDE[:2], longitude=LONGITUDE[:2])  # fmt: skip
    assert "32700" in refusal(plain, "npp", time="year").what
    assert opened(plain, "npp", time="year").npp.dtype == np.float32


@pytest.mark.parametrize(
    ("quantity", "unit", "good", "bad"),
    [
        ("temperature", "K", [200, 330], [-9999, 0, 32767]),
        ("temperature", "degC", [-80, 55], [-9999, 273.15]),
        ("precipitation", "mm/month", [0, 12_000, -1e-6], [-9999, 1e20, -99]),
        ("precipitation", "m", [0, 12], [-9999, -0.5]),
        ("radiation", "MJ m-2", [0, 9000, -1e-5], [-9999, 1e20]),
        ("radiation", "W m-2", [0, 400], [-9999, 1e5]),
        ("radiation", "J m-2", [0, 1e10, -9], [1e20]),
        ("npp", GC, [-200, 3276], [-9999, 65535]),
        ("npp", "kgC m-2 yr-1", [0.1, 3.2], [-99, 3276]),
    ],
)
def test_what_no_field_can_hold(tmp_path, quantity, unit, good, bad):
    stamp = months(2001, 2001)[:1]
    options = {"time": "year"} if quantity == "npp" else {"time": "month"}
    if quantity != "temperature":
        options["aggregate"] = "amount" if quantity != "npp" else None
    values = np.resize(np.array(good, "f4"), (1, 4, 5))
    path = write_netcdf(tmp_path / "a.nc", stamp, {"v": values}, units={"v": unit})
    assert_array_equal(opened(path, quantity, **options)[quantity].values, values)
    for k, value in enumerate(bad):
        values[0, 0, 0] = value
        path = write_netcdf(tmp_path / f"b{k}.nc", stamp, {"v": values}, units={"v": unit})
        assert f"{path}: 1 value(s) cannot be {quantity} in " in refusal(path, quantity, **options).what


def test_bands_of_two_units(tmp_path, data):
    for k, unit in enumerate(("mm", "m")):
        path = write_geotiff(tmp_path / f"a_{2001 + k}.tif", data[k], west=95.95, north=34.35, step=0.1)
        with rasterio.open(path, "r+") as file:
            file.units = (unit,)
    assert "differ (" in refusal(tmp_path / "*.tif", "precipitation", error=UnitError).what
    got = opened(tmp_path / "a_2001.tif", "precipitation").precipitation
    assert got.attrs["units"] == "mm"


# --- inspecting ------------------------------------------------------------------------------------------------------


def test_an_inspection_lists_what_is_there_and_what_is_wrong(tmp_path, data):
    for k in range(3):
        write_geotiff(tmp_path / f"npp_{2001 + k}.tif", data[k], west=95.95, north=34.35, step=0.1)
    cut = write_geotiff(tmp_path / "npp_2004.tif", data[3], west=95.95, north=34.35, step=0.1)
    cut.write_bytes(cut.read_bytes()[:-30])
    shutil.copy(tmp_path / "npp_2002.tif", tmp_path / "npp_2002_again.tif")
    bad = write_geotiff(tmp_path / "npp_2005_13.tif", data[3], west=95.95, north=34.35, step=0.1)
    paths = tuple(sorted(str(p) for p in tmp_path.iterdir()))
    with forbid_compute():
        found = inspected(reader("generic"), Request(paths, "npp", units=GC))
    assert [(os.path.basename(g.path), g.start) for g in found.granules] == [
        ("npp_2001.tif", "2001-01-01"),
        ("npp_2002.tif", "2002-01-01"),
        ("npp_2002_again.tif", "2002-01-01"),
        ("npp_2003.tif", "2003-01-01"),
    ]
    assert [(f.state, f.which) for f in found.findings] == [
        ("broken", str(cut)),
        ("broken", str(bad)),
        ("overlaps", str(tmp_path / "npp_2002_again.tif")),
    ]
    # a question that all of them leave open is listed too
    found = inspected(reader("generic"), Request(paths[:3], "precipitation", units="mm", time="month"))
    assert [f.what for f in found.findings][-1] == "its name tells the year 2001, but `time: month` is said."
    with pytest.raises(SourceError, match="must be told the quantity"):
        inspected(reader("generic"), Request(paths))


def test_a_recipe_with_a_projected_productivity(archive, write_recipe, tmp_path, tools):
    # constant fields on Albers rasters, one a year, through the whole ingestion
    rows, columns, size = 200, 400, 5000.0
    to_albers = Transformer.from_crs("EPSG:4326", ALBERS, always_xy=True)
    x, y = to_albers.transform(96.0, 34.0)
    west, north = x - columns / 2 * size, y + rows / 2 * size
    for year in archive.years:
        write_geotiff(tmp_path / f"npp_{year}.tif", np.full((rows, columns), year - 1900.0), west=west, north=north,
                      step=size, crs=ALBERS)  # fmt: skip
    recipe = write_recipe(
        sources__npp={"reader": "generic", "path": str(tmp_path / "npp_*.tif"), "units": GC}, regions=None
    )
    out = tools.do_stages(recipe, tmp_path / "out", "ingest")
    cube = nc.open_cube(out)
    for k, year in enumerate(archive.years):
        values = cube.npp[k].values
        assert_array_equal(values, np.full(values.shape, np.float32(year - 1900)))
