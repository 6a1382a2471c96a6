"""Many files read by many threads at once: NetCDF-4 through h5py, classic NetCDF under one lock of the process."""

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import dask
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from providers import LATITUDE, LONGITUDE, MODA, months
from xarray.backends import NetCDF4DataStore

import nepcube as nc
from nepcube.sources import Request, reader, stored

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


class MetError(BaseException):
    """Two threads were about to enter the library together; no reader turns it into an error of its own."""


class Meeting:
    """A door where a thread waits for a second one for a while: two meet where nothing keeps the second away."""

    def __init__(self, patience):
        self.barrier, self.visits, self.patience = threading.Barrier(2), 0, patience

    def visit(self):
        self.visits += 1
        try:
            self.barrier.wait(self.patience)
        except threading.BrokenBarrierError:
            # nobody came, and who comes later does not wait
            return
        raise MetError


def opened(path):
    nc.open_source("era5-land", path)


def looked_at(path):
    assert len(reader("era5-land").inspect(Request(paths=(str(path),))).granules) == 1


# how xarray uses the library: it opens a file, lists its variables, reads, closes it
OPENING, LISTING, CLOSING = "open", "get_variables", "close"


def side_by_side(mixed, monkeypatch, call, pair, patience):
    """Let two threads use two classic files, with a meeting at one call of the library; give who comes there."""
    folder, values = mixed
    paths = sorted(folder.iterdir())[1:4:2]
    fields = [nc.open_source("era5-land", path).temperature for path in paths]
    meeting = Meeting(patience)
    plain = getattr(NetCDF4DataStore, call)

    def watched(*args, **options):
        meeting.visit()
        return plain(*args, **options)

    monkeypatch.setattr(NetCDF4DataStore, call, staticmethod(watched) if call == OPENING else watched)

    def read(path):
        k = paths.index(path)
        assert_array_equal(fields[k].values, values[24 * k + 12 : 24 * k + 24])

    doers = [{"open": opened, "inspect": looked_at, "read": read}[word] for word in pair.split()]
    with dask.config.set(scheduler="synchronous"), ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(do, path) for do, path in zip(doers, paths, strict=True)]
        for job in jobs:
            job.exception()
    return meeting, jobs


@pytest.mark.parametrize(
    ("call", "pair"),
    [(OPENING, "open open"), (OPENING, "read read"), (LISTING, "open inspect"), (CLOSING, "open read")],
)
def test_no_two_threads_are_inside_the_library(mixed, monkeypatch, call, pair):
    meeting, jobs = side_by_side(mixed, monkeypatch, call, pair, 0.3)
    assert [job.exception() for job in jobs] == [None, None]
    assert meeting.visits >= 2


@pytest.mark.parametrize("pair", ["open open", "open inspect", "read read"])
def test_without_the_lock_two_threads_would_be(mixed, monkeypatch, pair):
    # they meet before either is inside: the library itself is not put to the test
    monkeypatch.setattr(stored, "_NETCDF4", nullcontext())
    _, jobs = side_by_side(mixed, monkeypatch, OPENING, pair, 60)
    assert [type(job.exception()) for job in jobs] == [MetError, MetError]


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
