"""Damage that the libraries do not tell is found in the files of every reader of NetCDF, not of reanalyses alone."""

import h5py
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, field, months

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.sources import open_raster

TIMES = months(2001, 2002)
DIMS = ("time", "latitude", "longitude")


def dataset(values=None):
    values = field(24, low=0, high=90) if values is None else values
    coords = {"time": TIMES, "latitude": LATITUDE, "longitude": LONGITUDE}
    return xr.Dataset({"v": (DIMS, values, {"units": "mm/month"})}, coords, attrs=MODA)


def generic(path, **options):
    how = {"quantity": "precipitation", "variable": "v", "aggregate": "amount", "time": "month"}
    return nc.open_source("generic", path, **(how | options)).precipitation


def raster(path, **options):
    return open_raster(path, variable="v", **options)


def one_map(ds):
    return ds.isel(time=0, drop=True)


@pytest.mark.parametrize(("opened", "kept"), [(generic, lambda ds: ds), (raster, one_map)])
def test_a_chunk_that_is_not_there_is_refused(tmp_path, opened, kept):
    path = tmp_path / "a.nc"
    ds = kept(dataset())
    ds.to_netcdf(path, engine="h5netcdf", encoding={"v": {"_FillValue": -1.0}})
    assert_array_equal(opened(path).values, ds.v.values)
    with h5py.File(path, "r+") as file:
        data, shape = file["v"][:], file["v"].shape
        dims = [scale.keys()[0] for scale in file["v"].dims]
        del file["v"]
        sparse = file.create_dataset("v", shape, "f4", chunks=(*shape[:-1], 1), fillvalue=-1.0)
        sparse[..., :3] = data[..., :3]
        sparse.attrs["units"], sparse.attrs["_FillValue"] = "mm/month", np.float32([-1.0])
        for dim, name in zip(sparse.dims, dims, strict=True):
            dim.attach_scale(file[name])
    with pytest.raises(SourceError) as error:
        opened(path)
    assert error.value.what == (
        f"{path}: the file is damaged or cut off (v has 5 chunks, the file's index has 3 in their place)."
    )


def test_a_heap_without_an_end_is_refused(tmp_path):
    path = tmp_path / "a.nc"
    dataset().to_netcdf(path, engine="h5netcdf")
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    data[at + 16 : at + 32] = bytes(16)
    path.write_bytes(data)
    with pytest.raises(SourceError) as error:
        generic(path)
    assert error.value.what == f"{path}: the file is damaged or cut off (a heap of its attributes has no end)."


def test_the_fill_value_of_packed_numbers_must_be_said(tmp_path):
    path = tmp_path / "a.nc"
    values = field(24, low=0, high=60)
    values[3, 1, 1] = np.nan
    code = {"dtype": "int16", "scale_factor": 0.002, "add_offset": 50.0, "_FillValue": -32767}
    dataset(values).to_netcdf(path, engine="h5netcdf", encoding={"v": code})
    want = generic(path).values
    assert np.isnan(want[3]).sum() == 1
    with h5py.File(path, "r+") as file:
        del file["v"].attrs["_FillValue"]
    with pytest.raises(SourceError) as error:
        generic(path).compute()
    assert error.value.what.startswith(f"{path}: v holds -32767, the fill value of packed NetCDF")
    # the recipe may say it in place of the file
    assert_array_equal(generic(path, nodata=-32767).values, want)
    one_map(xr.open_dataset(path, engine="h5netcdf", mask_and_scale=False).isel(time=slice(3, 4))).load().to_netcdf(
        tmp_path / "b.nc", engine="h5netcdf"
    )
    with pytest.raises(SourceError, match="v holds -32767"):
        raster(tmp_path / "b.nc").compute()
    assert_array_equal(raster(tmp_path / "b.nc", nodata=-32767).values, want[3].astype("f4"))


@pytest.mark.parametrize("form", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA"])
@pytest.mark.parametrize("unlimited", [[], ["time"]])
def test_classic_files_of_every_kind_are_read_to_their_stated_end(tmp_path, form, unlimited):
    path = tmp_path / "a.nc"
    ds = dataset()
    ds.to_netcdf(path, engine="netcdf4", format=form, unlimited_dims=unlimited, encoding={"v": {"_FillValue": None}})
    assert path.read_bytes()[3] == {"NETCDF3_CLASSIC": 1, "NETCDF3_64BIT_OFFSET": 2}.get(form, 5)
    assert_array_equal(generic(path).values, ds.v.values)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(SourceError) as error:
        generic(path)
    assert error.value.what == f"{path}: the file is damaged or cut off ({size - 8} of {size} bytes)."


def test_a_map_is_cut_where_its_chunks_have_many_steps(tmp_path):
    # as archives of time series are chunked: one read of a chunk of the file must not become one of the whole map
    path = tmp_path / "a.nc"
    times = np.arange("2001-01-01", "2023-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    y, x = 50 - np.arange(64) * 0.1, np.arange(80) * 0.1
    ds = xr.Dataset(
        {"v": (DIMS, np.zeros((times.size, 64, 80), "f4"), {"units": "mm/day"})},
        {"time": times, "latitude": y, "longitude": x},
    )
    code = {"chunksizes": (times.size, 8, 8), "zlib": True}
    ds.to_netcdf(path, engine="h5netcdf", encoding={"v": code})
    got = nc.open_source("generic", path, quantity="precipitation", variable="v", aggregate="amount", time="day")
    steps, rows, columns = got.precipitation.chunks
    assert steps == (times.size,)
    assert all(n % 8 == 0 for n in (*rows, *columns))
    assert 4 * steps[0] * rows[0] * columns[0] <= 32 * 2**20
    assert rows[0] * columns[0] < 64 * 80
