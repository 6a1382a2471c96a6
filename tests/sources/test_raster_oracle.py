"""One field without time: elevation models of any CRS, blocks and type, and NetCDF, against rasterio and xarray."""

import pickle

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from providers import write_geotiff
from pyproj import CRS
from rasterio.transform import Affine

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.grid import geobox_of
from nepcube.sources import open_raster
from nepcube.testing import forbid_compute

UTM = "EPSG:32647"


def opened(path, **options):
    with forbid_compute():
        return open_raster(path, **options)


def write(path, data, *, crs=UTM, transform=None, nodata=None, **options):
    data = np.atleast_3d(np.asarray(data).T).T
    transform = transform or Affine(30, 0, 500_000, 0, -30, 3_800_000)
    profile = {"driver": "GTiff", "count": data.shape[0], "height": data.shape[1], "width": data.shape[2], "crs": crs}
    with rasterio.open(
        path, "w", **profile, dtype=data.dtype, transform=transform, nodata=nodata, compress="deflate", **options
    ) as file:
        file.write(data)
    return path


def heights(rows=700, columns=900, dtype="int16"):
    return (np.add.outer(np.arange(rows), np.arange(columns) * 3) % 5000).astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("tiled", [True, False])
def test_an_elevation_model_equals_rasterio(tmp_path, dtype, tiled):
    data = heights(dtype=dtype)
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 128} if tiled else {}
    path = write(tmp_path / "dem.tif", data, nodata=17, **blocks)
    got = opened(path)
    assert (got.dims, got.dtype, got.name) == (("y", "x"), np.float32, "dem")
    assert_array_equal(got.values, np.where(data == 17, np.nan, data).astype("f4"))
    assert_array_equal(got.y.values, 3_800_000 - 30 * (np.arange(700) + 0.5))
    assert_array_equal(got.x.values, 500_000 + 30 * (np.arange(900) + 0.5))
    assert got.spatial_ref.attrs["GeoTransform"] == "500000.0 30.0 0.0 3800000.0 0.0 -30.0"
    assert CRS.from_wkt(got.spatial_ref.attrs["crs_wkt"]) == CRS.from_user_input(UTM)
    assert geobox_of(got).affine == Affine(30, 0, 500_000, 0, -30, 3_800_000)
    assert pickle.loads(pickle.dumps(got)).compute().identical(got.compute())


@pytest.mark.parametrize(
    ("shape", "blocks", "chunks"),
    [
        ((3000, 9000), {"tiled": True, "blockxsize": 512, "blockysize": 512}, ((2048, 952), (2048,) * 4 + (808,))),
        ((9000, 3000), {"blockysize": 1}, ((1398,) * 6 + (612,), (3000,))),
        ((600, 500), {"tiled": True, "blockxsize": 256, "blockysize": 256}, ((600,), (500,))),
    ],
)
def test_chunks_are_whole_blocks_of_about_16_mb(tmp_path, shape, blocks, chunks):
    path = tmp_path / "dem.tif"
    profile = {"driver": "GTiff", "count": 1, "height": shape[0], "width": shape[1], "dtype": "int16", "crs": UTM}
    # no block is written: the file is sparse
    rasterio.open(
        path, "w", transform=Affine(30, 0, 0, 0, -30, 0), sparse_ok=True, nodata=-1, **profile, **blocks
    ).close()
    got = opened(path)
    assert got.chunks == chunks
    assert int(got[-5:, -5:].notnull().sum()) == 0
    with rasterio.open(path) as file:
        rows, columns = file.block_shapes[0]
    for sizes, block, whole in zip(got.chunks, (rows, columns), shape, strict=True):
        assert all(size % block == 0 or size == sizes[-1] or size == whole for size in sizes)
    assert max(a * b for a in got.chunks[0] for b in got.chunks[1]) * 4 <= 16 * 2**20


def test_reading_a_window_reads_no_other_block(tmp_path, monkeypatch):
    data = heights(3000, 3000)
    path = write(tmp_path / "dem.tif", data, tiled=True, blockxsize=256, blockysize=256)
    got = opened(path)
    asked = []
    from nepcube.sources import geotiff

    read = geotiff._read
    monkeypatch.setattr(geotiff, "_read", lambda *a: asked.append((a[3], a[4])) or read(*a))
    assert_array_equal(got[2900:2950, 100:220].values, data[2900:2950, 100:220])
    assert len(asked) == 1
    assert len(asked[0][0]) * len(asked[0][1]) <= 952 * 2048


@pytest.mark.parametrize("step", [-1 / 3600, 1 / 3600])
def test_a_geographic_model_north_up_or_south_up(tmp_path, step):
    data = heights(40, 50)
    origin = 35.0 if step < 0 else 35.0 - 40 / 3600
    path = write(tmp_path / "dem.tif", data, crs="EPSG:4326", transform=Affine(1 / 3600, 0, 96.0, 0, step, origin))
    got = opened(path)
    assert got.dims == ("latitude", "longitude")
    assert_array_equal(got.values, data)
    assert_allclose(got.latitude.values, origin + step * (np.arange(40) + 0.5), rtol=0, atol=1e-12)
    assert_allclose(got.longitude.values, 96 + (np.arange(50) + 0.5) / 3600, rtol=0, atol=1e-12)


def test_bands_scale_units_and_codes(tmp_path):
    data = np.stack([heights(20, 30), heights(20, 30)[::-1]])
    path = write(tmp_path / "dem.tif", data)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets, file.units = (0.1, 1.0), (5.0, 0.0), ("m", "")
        file.set_band_description(1, "height")
    with pytest.raises(SourceError) as error:
        opened(path)
    assert str(error.value) == (
        f"{path}: which of its 2 band(s) is meant? (found: height, 2)\nSay it with `variable:`, by name or by number."
    )
    got = opened(path, variable="height", nodata=12)
    assert (got.name, got.attrs["units"]) == ("height", "m")
    assert_allclose(got.values, np.where(data[0] == 12, np.nan, data[0] * 0.1 + 5), rtol=1e-7)
    assert_array_equal(opened(path, variable="2").values, data[1])
    for wrong in ("3", "0", "slope"):
        with pytest.raises(SourceError, match="which of its 2 band"):
            opened(path, variable=wrong)


def test_a_gzipped_model(tmp_path):
    import gzip

    path = write(tmp_path / "dem.tif", heights())
    (tmp_path / "dem.tif.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert_array_equal(opened(tmp_path / "dem.tif.gz").values, heights())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"crs": None}, "has no coordinate reference system"),
        ({"transform": Affine(30, 5, 500_000, 5, -30, 3_800_000)}, "its rows and columns are rotated against its CRS"),
        ({"crs": "EPSG:4326"}, "are not on the globe"),
    ],
)
def test_a_raster_without_a_place_is_refused(tmp_path, change, words):
    path = write(tmp_path / "dem.tif", heights(20, 30), **change)
    with pytest.raises(SourceError) as error:
        opened(path)
    assert error.value.what.startswith(f"{path}: ")
    assert words in error.value.what


def test_complex_numbers_are_refused(tmp_path):
    path = write(tmp_path / "dem.tif", heights(20, 30).astype("complex64"))
    with pytest.raises(SourceError, match="holds complex64, not numbers"):
        opened(path)


# --- NetCDF ----------------------------------------------------------------------------------------------------------


def test_the_orography_of_era5(real):
    path = real / "elevation/era5_invariant_orog.nc"
    got = opened(path)
    assert (got.name, got.dims, got.dtype, got.attrs["units"]) == ("orog", ("latitude", "longitude"), np.float32, "m")
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        plain = ds.orog.isel(time=0).load()
    assert got.shape == (721, 1440)
    # longitudes of 0..360 come as -180..180, no value moves
    assert_array_equal(got.longitude.values, -180 + 0.25 * np.arange(1440))
    for lon in (-179.75, -0.25, 0.0, 96.5, 179.75):
        assert_array_equal(got.sel(longitude=lon).values, plain.sel(longitude=lon % 360).values.astype("f4"))
    assert float(got.sel(latitude=28.0, longitude=87.0)) > 3000
    assert got.spatial_ref.attrs["GeoTransform"] == "-180.125 0.25 0.0 90.125 0.0 -0.25"
    grid = nc.target_grid((95.0, 33.0, 96.0, 34.0), "9000 m")
    mine = nc.regrid(got.to_dataset(), grid, method="bilinear").orog
    want = plain.interp(latitude=mine.latitude, longitude=mine.longitude)
    assert_allclose(mine.values, want.values, rtol=1e-5)


def geopotential(path, *, engine="h5netcdf", dims=("time", "latitude", "longitude"), **attrs):
    z = (np.arange(12).reshape(1, 3, 4) * 1000).astype("int16")
    attrs = {"units": "m**2 s**-2", "scale_factor": 2.0, "add_offset": 10.0} | attrs
    ds = xr.Dataset(
        {"z": (("time", "latitude", "longitude"), z, attrs)},
        coords={"time": np.array(["2000-01-01"], "datetime64[ns]"), "latitude": [36.0, 35.9, 35.8],
                "longitude": [95.0, 95.1, 95.2, 95.3]},
    )  # fmt: skip
    ds["z"] = ds["z"].transpose(*dims)
    ds.to_netcdf(path, engine=engine, encoding={"z": {"_FillValue": np.int16(-32767)}})
    return path, z[0] * 2.0 + 10.0


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy"])
@pytest.mark.parametrize("dims", [("time", "latitude", "longitude"), ("longitude", "latitude", "time")])
def test_a_packed_geopotential(tmp_path, engine, dims):
    path, want = geopotential(tmp_path / "z.nc", engine=engine, dims=dims)
    got = opened(path, variable="z")
    assert got.attrs["units"] == "m**2 s**-2"
    assert got.dims == ("latitude", "longitude")
    assert_array_equal(got.values, want.astype("f4"))
    # the number as it is stored
    assert int(opened(path, nodata=4000).isnull().sum()) == 1
    assert pickle.loads(pickle.dumps(got)).compute().identical(got.compute())


def test_what_is_no_field(tmp_path):
    path, _ = geopotential(tmp_path / "z.nc")
    with pytest.raises(SourceError) as error:
        opened(path, variable="orog")
    assert str(error.value) == f"{path}: which variable is meant? (found: z)\nSay it with `variable:`."
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        twice = xr.concat([ds.load(), ds.assign_coords(time=ds.time + np.timedelta64(1, "D"))], dim="time")
    twice.to_netcdf(tmp_path / "two.nc", engine="h5netcdf")
    with pytest.raises(SourceError, match="z has 2 times, a field without time is needed"):
        opened(tmp_path / "two.nc")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SourceError, match="is of no known format"):
        opened(tmp_path / "a.txt")


@pytest.mark.parametrize("end", ["tif", "nc"])
def test_damage_is_found_by_name(tmp_path, end):
    if end == "tif":
        path = write_geotiff(tmp_path / "a.tif", heights(200, 200), west=0, north=10, step=0.01)
    else:
        path, _ = geopotential(tmp_path / "a.nc")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match="damaged or cut off") as error:
        opened(path)
    assert error.value.what.startswith(f"{path}: ")
