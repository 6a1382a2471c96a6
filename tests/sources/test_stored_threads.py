"""Many files read by many threads at once: NetCDF-4 through h5py, classic NetCDF under one lock of the process."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import dask
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, months

import nepcube as nc
from nepcube.sources import Request, reader

FILES, ROUNDS = 24, 3


def write(path, values, times, form):
    coords = {"time": times, "latitude": LATITUDE, "longitude": LONGITUDE}
    ds = xr.Dataset({"t2m": (("time", "latitude", "longitude"), values, {"units": "K"})}, coords, attrs=MODA)
    if form == "classic":
        ds.to_netcdf(path, engine="netcdf4", format="NETCDF3_64BIT")
        assert path.read_bytes()[:3] == b"CDF"
    else:
        ds.to_netcdf(path, engine="h5netcdf", encoding={"t2m": {"zlib": True}})
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two dozen years, one after the other in NetCDF-4 and in classic NetCDF."""
    folder = tmp_path_factory.mktemp("mixed")
    values = np.random.default_rng(0).uniform(250, 290, (12 * FILES, 4, 5)).astype(np.float32)
    for k in range(FILES):
        form = "classic" if k % 2 else "netcdf4"
        write(folder / f"{k:02d}.nc", values[12 * k : 12 * k + 12], months(1990 + k, 1990 + k), form)
    return folder, values


def test_threads_of_dask_read_what_was_written(mixed):
    folder, values = mixed
    for _ in range(ROUNDS):
        with dask.config.set(scheduler="threads", num_workers=8):
            got = nc.open_source("era5-land", folder / "*.nc").temperature.chunk(latitude=1).values
        assert_array_equal(got, values)


def test_threads_open_read_and_let_go_of_their_own_files(mixed):
    folder, values = mixed
    paths = sorted(folder.iterdir())

    def one(k):
        for _ in range(ROUNDS):
            ds = nc.open_source("era5-land", paths[k])
            assert_array_equal(ds.temperature.values, values[12 * k : 12 * k + 12])
            assert len(reader("era5-land").inspect(Request(paths=(str(paths[k]),))).granules) == 1
        return k

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(FILES))) == list(range(FILES))


def test_headers_side_by_side(mixed):
    folder, _ = mixed
    paths = tuple(map(str, sorted(folder.iterdir())))
    for _ in range(ROUNDS):
        found = reader("era5-land").inspect(Request(paths=paths))
        assert [g.path for g in found.granules] == list(paths)
        assert found.findings == ()


@pytest.mark.slow
def test_the_process_survives(mixed):
    # a crash of the library would end this process: many rounds in one of its own
    folder, values = mixed
    code = """
    import sys
    import dask
    import numpy as np
    import nepcube as nc
    folder, rounds = sys.argv[1], int(sys.argv[2])
    for _ in range(rounds):
        with dask.config.set(scheduler="threads", num_workers=16):
            ds = nc.open_source("era5-land", folder + "/*.nc")
            print(repr(float(ds.temperature.chunk(latitude=1).values.astype(float).sum())))
    """
    out = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder), "40"], capture_output=True, text=True, timeout=600
    )
    assert out.returncode == 0, out.stderr[-2000:]
    assert set(out.stdout.split()) == {repr(float(values.astype(float).sum()))}
