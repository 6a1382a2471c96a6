"""Damaged and odd files of a reanalysis: read right, or refused by name; never a crash or another number.

What nothing in a file protects is left alone: values that are not compressed, and the scale of packed ones.
"""

import itertools

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, field, history, months, write_netcdf

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError, UnitError

ATTEMPTS = 60


def attempt(path, reader="era5-land", **options):
    try:
        return nc.open_source(reader, path, quantity="temperature", **options).temperature.load(), None
    except NepcubeError as error:
        return None, error


def judge(path, want, reader="era5-land"):
    """Give 1 if it was refused by name, 0 if it was read as it was written."""
    got, error = attempt(path, reader)
    if error is not None:
        assert str(path) in error.what
        assert len(str(error).splitlines()) == 2
        return 1
    assert_array_equal(got.time.values, want.time.values)
    assert_array_equal(got.latitude.values, want.latitude.values)
    assert_array_equal(got.longitude.values, want.longitude.values)
    assert_array_equal(got.values, want.values)
    return 0


def write_good(path, form):
    data = field(24)
    if form == "classic":
        coords = {"time": months(2001, 2002), "latitude": LATITUDE, "longitude": LONGITUDE}
        ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), data, {"units": "K"})}, coords, attrs=MODA)
        ds.to_netcdf(path, engine="netcdf4", format="NETCDF3_64BIT")
        return path
    packing = {"zlib": True, "shuffle": True, "chunksizes": (24, 4, 5), "fletcher32": True}
    return write_netcdf(path, months(2001, 2002), {"t2m": data}, attrs=MODA, encoding={"t2m": packing})


@pytest.fixture(scope="module", params=["netcdf4", "classic", "era5"])
def good(request, tmp_path_factory):
    reader, form = ("era5", "netcdf4") if request.param == "era5" else ("era5-land", request.param)
    path = write_good(tmp_path_factory.mktemp("good") / "good.nc", form)
    want, error = attempt(path, reader)
    assert error is None
    raw = path.read_bytes()
    # of a classic file, what comes before the values
    protected = len(raw) if form == "netcdf4" else raw.index(want.values.astype(">f4").tobytes())
    return want, raw, protected, reader


@pytest.mark.parametrize("seed", range(4))
def test_cut_files(good, tmp_path, seed):
    want, raw, _, reader = good
    lengths = np.random.default_rng(seed).integers(0, len(raw) - 1, ATTEMPTS // 2)
    refused = 0
    for k, length in enumerate(lengths.tolist()):
        path = tmp_path / f"{k}.nc"
        path.write_bytes(raw[:length])
        refused += judge(path, want, reader)
    assert refused == len(lengths)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
@pytest.mark.parametrize("kind", ["bit", "bytes", "zeros"])
def test_flipped_bytes(good, tmp_path, kind, seed):
    want, raw, protected, reader = good
    rng = np.random.default_rng(seed)
    refused = 0
    for k in range(ATTEMPTS):
        data = bytearray(raw)
        if kind == "bit":
            data[int(rng.integers(0, protected))] ^= 1 << int(rng.integers(0, 8))
        elif kind == "bytes":
            for _ in range(8):
                data[int(rng.integers(0, protected))] = int(rng.integers(0, 256))
        else:
            at = int(rng.integers(0, protected - 64))
            data[at : at + 64] = bytes(64)
        path = tmp_path / f"{k}.nc"
        path.write_bytes(data)
        refused += judge(path, want, reader)
    assert refused > ATTEMPTS // 8


# --- odd files ---------------------------------------------------------------------------------------------------


def plain(**changes):
    coords = {"valid_time": months(2001, 2002), "latitude": LATITUDE, "longitude": LONGITUDE}
    dims = ("valid_time", "latitude", "longitude")
    attrs = {"units": "K", "long_name": "2 metre temperature", "GRIB_paramId": 167}
    return xr.Dataset({"t2m": (dims, field(24), attrs)}, coords, attrs=MODA | {"Conventions": "CF-1.7"}, **changes)


def saved(ds, path, **options):
    ds.to_netcdf(path, engine="h5netcdf", **options)
    return path


@pytest.mark.parametrize("order", list(itertools.permutations(("valid_time", "latitude", "longitude"))))
@pytest.mark.parametrize("names", [{}, {"latitude": "lat", "longitude": "lon"}, {"latitude": "y", "longitude": "x"}])
def test_permuted_and_renamed_dimensions_are_read(tmp_path, order, names):
    path = saved(plain().transpose(*order).rename(names), tmp_path / "a.nc")
    got, error = attempt(path)
    assert error is None
    assert_array_equal(got.values, field(24))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"latitude": "nothing"}, "no one-dimensional latitude"),
        ({"longitude": "rlon"}, "no one-dimensional longitude"),
        ({"valid_time": "month"}, "further dimension month"),
        ({"t2m": "temp"}, "no variable for temperature (found: temp)"),
    ],
)
def test_unknown_names_are_refused(tmp_path, names, words):
    path = saved(plain().rename(names), tmp_path / "a.nc")
    _, error = attempt(path)
    assert isinstance(error, SourceError)
    assert error.what.startswith(f"{path}: ")
    assert words in error.what or "there is no time axis" in error.what


def test_dropped_attributes(tmp_path):
    ds = plain()
    for name in ("long_name", "GRIB_paramId"):
        del ds.t2m.attrs[name]
    ds.attrs = {}
    got, error = attempt(saved(ds, tmp_path / "a.nc"))
    assert error is None
    assert_array_equal(got.values, field(24))
    del ds.t2m.attrs["units"]
    _, error = attempt(saved(ds, tmp_path / "b.nc"))
    assert isinstance(error, UnitError)
    assert error.what == f"{tmp_path}/b.nc: t2m: no unit is given."


def test_a_time_axis_without_its_units_is_refused(tmp_path):
    ds = plain().assign_coords(valid_time=np.arange(24))
    _, error = attempt(saved(ds, tmp_path / "a.nc"))
    assert "its time axis cannot be read as dates" in error.what


@pytest.mark.parametrize("seed", range(10))
def test_shuffled_times_are_read(tmp_path, seed):
    order = np.random.default_rng(seed).permutation(24)
    got, error = attempt(saved(plain().isel(valid_time=order), tmp_path / "a.nc"))
    assert error is None
    assert_array_equal(got.time.values, months(2001, 2002))
    assert_array_equal(got.values, field(24))


@pytest.mark.parametrize("seed", range(10))
def test_repeated_times_are_refused(tmp_path, seed):
    a, b = np.random.default_rng(seed).choice(24, 2, replace=False)
    stamps = months(2001, 2002)
    stamps[a] = stamps[b]
    path = saved(plain().assign_coords(valid_time=stamps), tmp_path / "a.nc")
    _, error = attempt(path)
    assert isinstance(error, SourceError)
    assert str(path) in error.what


@pytest.mark.parametrize("axis", ["latitude", "longitude"])
@pytest.mark.parametrize("wrong", ["shuffled", "repeated", "missing", "irregular"])
def test_broken_axes_are_refused(tmp_path, axis, wrong):
    ds = plain()
    values = ds[axis].values.copy()
    if wrong == "shuffled":
        values[[0, 2]] = values[[2, 0]]
    elif wrong == "repeated":
        values[1] = values[0]
    elif wrong == "missing":
        values[1] = np.nan
    else:
        values[1] += 0.03
    path = saved(ds.assign_coords({axis: values}), tmp_path / "a.nc")
    _, error = attempt(path)
    assert isinstance(error, SourceError)
    assert error.what.startswith(f"{path}: ")


@pytest.mark.parametrize("fill", [-32767, 0, 17, None])
def test_another_fill_value_is_not_a_number(tmp_path, fill):
    # the sea is -32767 in the file, whatever the attribute says afterwards
    data = field(24)
    data[:, 0] = np.nan
    code = {"t2m": {"dtype": "int16", "scale_factor": 0.002, "add_offset": 270.0, "_FillValue": -32767}}
    path = saved(plain().assign(t2m=plain().t2m.copy(data=data)), tmp_path / "a.nc", encoding=code)
    want, error = attempt(path)
    assert error is None
    assert np.isnan(want.values[:, 0]).all()
    import h5py

    with h5py.File(path, "r+") as file:
        del file["t2m"].attrs["_FillValue"]
        if fill is not None:
            file["t2m"].attrs["_FillValue"] = np.array([fill], np.int16)
    got, error = attempt(path)
    if fill == -32767:
        assert_array_equal(got.values, want.values)
    else:
        assert isinstance(error, SourceError)
        assert error.what.startswith(f"{path}: t2m holds -32767, ")


@pytest.mark.parametrize("name", ["scale_factor", "add_offset"])
def test_a_lost_scale_is_refused(tmp_path, name):
    code = {"t2m": {"dtype": "int16", "scale_factor": 0.002, "add_offset": 270.0, "_FillValue": -32767}}
    path = saved(plain(), tmp_path / "a.nc", encoding=code)
    import h5py

    with h5py.File(path, "r+") as file:
        del file["t2m"].attrs[name]
    _, error = attempt(path)
    assert isinstance(error, SourceError)
    assert "no place on Earth has as air temperature" in error.what


def test_a_chunk_that_is_not_there_is_refused(tmp_path):
    import h5py

    path = saved(plain(), tmp_path / "a.nc")
    with h5py.File(path, "r+") as file:
        data = file["t2m"][:]
        attrs = dict(file["t2m"].attrs)
        del file["t2m"]
        sparse = file.create_dataset("t2m", data.shape, "f4", chunks=(6, 4, 5), fillvalue=np.nan)
        sparse[:18] = data[:18]
        for key in ("units", "_FillValue"):
            sparse.attrs[key] = attrs[key]
        for k, dim in enumerate(("valid_time", "latitude", "longitude")):
            sparse.dims[k].attach_scale(file[dim])
    _, error = attempt(path)
    assert error.what == (
        f"{path}: the file is damaged or cut off (t2m has 4 chunks, the file's index has 3 in their place)."
    )


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("wrong", ["cut", "garbage", "metadata"])
def test_damaged_stores_are_refused(tmp_path, zarr_format, wrong):
    path = tmp_path / "a.zarr"
    plain().rename(valid_time="time").chunk(time=12).to_zarr(path, zarr_format=zarr_format, consolidated=False)
    chunk = path / ("t2m/1.0.0" if zarr_format == 2 else "t2m/c/1/0/0")
    if wrong == "metadata":
        chunk = path / ("t2m/.zarray" if zarr_format == 2 else "t2m/zarr.json")
    raw = chunk.read_bytes()
    chunk.write_bytes(raw[: len(raw) // 2] if wrong in ("cut", "metadata") else bytes(reversed(raw)))
    _, error = attempt(path)
    assert isinstance(error, SourceError)
    assert error.what.startswith(f"{path}: the file is damaged or cut off (")


def test_a_heap_without_an_end_is_refused(tmp_path):
    path = saved(plain(), tmp_path / "a.nc")
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    data[at + 16 : at + 32] = bytes(16)
    path.write_bytes(data)
    _, error = attempt(path)
    assert error.what == f"{path}: the file is damaged or cut off (a heap of its attributes has no end)."


def test_a_classic_file_of_zeros_at_its_end_is_refused(tmp_path):
    path = write_good(tmp_path / "a.nc", "classic")
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-4])
    _, error = attempt(path)
    assert error.what == f"{path}: the file is damaged or cut off ({size - 4} of {size} bytes)."


def test_a_chunk_that_does_not_decode_names_its_file(tmp_path):
    code = {"t2m": {"zlib": True, "chunksizes": (12, 4, 5)}}
    path = write_netcdf(tmp_path / "a.nc", months(2001, 2002), {"t2m": field(24)}, attrs=history("moda"), encoding=code)
    import h5py

    with h5py.File(path, "r") as file:
        chunk = file["t2m"].id.get_chunk_info(1)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + 20 : chunk.byte_offset + 40] = bytes(20)
    path.write_bytes(data)
    ds = nc.open_source("era5-land", path)
    # the first year reads, the second does not, at whatever time and in whatever thread it is asked for
    with pytest.raises(SourceError) as error:
        ds.temperature.compute()
    assert error.value.what.startswith(f"{path}: the file is damaged or cut off (")
