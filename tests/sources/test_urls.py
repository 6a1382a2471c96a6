"""Inputs by URL: listed, fetched once, read as the local file is; Zarr stores in place."""

import errno
import functools
import http.server
import io
import os
import pickle
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.places import place_of
from nepcube.sources import expand, fetched, files

pytest.importorskip("obstore")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEPCUBE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetched, "_FOUND", {})
    monkeypatch.setattr(fetched, "_KNOWN", {})
    monkeypatch.setattr(fetched, "_WAITS", (0.0, 0.0, 0.0))
    return tmp_path / "cache"


@pytest.fixture
def web(tmp_path):
    """A folder over HTTP: `folder`, `url`, and the requests that came."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        faults = ()
        no_head, ranges = None, False

        def first_byte(self):
            content = (folder / self.path.partition("?")[0].strip("/")).read_bytes()
            self.send_response(206 if content else 416)
            self.send_header("Content-Range", f"bytes {'0-0' if content else '*'}/{len(content)}")
            self.send_header("Content-Length", str(len(content[:1])))
            self.end_headers()
            return io.BytesIO(content[:1])

        def send_head(self):
            asked.append((self.command, self.path))
            if self.command == "HEAD" and Handler.no_head:
                self.send_error(Handler.no_head)
                return None
            if Handler.ranges and self.headers.get("Range") == "bytes=0-0":
                return self.first_byte()
            if Handler.faults:
                fault, Handler.faults = Handler.faults[0], Handler.faults[1:]
                if fault == "status":
                    self.wfile.write(b"no HTTP at all\r\n\r\n")
                    self.close_connection = True
                    return None
                if fault == "chunked":
                    self.send_response(200)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    self.wfile.write(b"ff\r\nCDF")
                    self.close_connection = True
                    return None
                if fault == "silent":
                    time.sleep(0.4)
                    self.close_connection = True
                    return None
                if fault == "cut":
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(b"CDF")
                    self.close_connection = True
                    return None
                self.send_error(fault)
                return None
            return super().send_head()

        def log_message(self, *_):
            pass

    folder = tmp_path / "web"
    folder.mkdir()
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield SimpleNamespace(
        folder=folder, url=f"http://127.0.0.1:{served.server_address[1]}", asked=asked, handler=Handler
    )
    served.shutdown()
    served.server_close()


def put(archive, folder, url):
    for file in (archive.directory / folder).iterdir():
        place_of(f"{url}/{folder}/{file.name}").write(file.read_bytes())


@pytest.mark.parametrize(
    ("reader", "folder", "pattern", "quantity"),
    [
        ("mod17a3hgf", "mod17", "*.hdf", "npp"),
        ("era5-land", "era5-land", "*.nc", "temperature"),
        ("chirps", "chirps", "*.nc", "precipitation"),
    ],
)
def test_files_of_a_bucket_read_as_the_local_ones(s3, archive, own_cache, reader, folder, pattern, quantity):
    put(archive, folder, s3.url)
    local = nc.open_source(reader, str(archive.directory / folder / pattern), quantity=quantity)
    there = nc.open_source(reader, f"{s3.url}/{folder}/{pattern}", quantity=quantity)
    # as it is sent to another process
    there = pickle.loads(pickle.dumps(there))
    window = dict.fromkeys(local[quantity].dims[-2:], slice(0, 60))
    xr.testing.assert_identical(there[quantity].isel(window).load(), local[quantity].isel(window).load())
    count = len(list((archive.directory / folder).glob(pattern)))
    assert len(os.listdir(own_cache)) == count


def test_patterns_are_listed(s3):
    root = place_of(s3.url)
    for name in ("a/1.nc", "a/2.nc", "a/2.hdf", "a/b/3.nc", "a/b/c/4.nc", "a/s.zarr/zarr.json", "a/s.zarr/v.nc/c"):
        (root / name).write(b"x")
    for pattern, wanted in {
        "a/*.nc": ["a/1.nc", "a/2.nc"],
        "a/[13].nc": ["a/1.nc"],
        "a/**/*.nc": ["a/1.nc", "a/2.nc", "a/b/3.nc", "a/b/c/4.nc"],
        "*/b/?.nc": ["a/b/3.nc"],
        "a/*.zarr": ["a/s.zarr"],
        "a/1.nc": ["a/1.nc"],
    }.items():
        assert expand(f"{s3.url}/{pattern}") == tuple(f"{s3.url}/{w}" for w in wanted), pattern
    with pytest.raises(SourceError) as told:
        expand(f"{s3.url}/none/*.nc")
    assert told.value.what == f"{s3.url}/none/*.nc: no file matches."


def test_a_zarr_store_is_read_where_it_is(s3, own_cache):
    rng = np.random.default_rng(1)
    ds = xr.Dataset(
        {"t": (("time", "latitude", "longitude"), rng.normal(size=(12, 3, 4)).astype("f4"), {"units": "degC"})},
        {
            "time": np.arange("2001-01", "2002-01", dtype="datetime64[M]").astype("datetime64[ns]"),
            "latitude": [33.0, 32.9, 32.8],
            "longitude": [90.0, 90.1, 90.2, 90.3],
        },
    )
    ds.to_zarr(place_of(f"{s3.url}/t.zarr").zarr(write=True), zarr_format=3, consolidated=False)
    got = nc.open_source("generic", f"{s3.url}/*.zarr", quantity="temperature", variable="t", aggregate="mean")
    got = pickle.loads(pickle.dumps(got))
    np.testing.assert_array_equal(got["temperature"].values, ds["t"].values)
    assert not own_cache.exists()


def test_a_file_of_the_web_is_fetched_once(web, archive, own_cache):
    file = next((archive.directory / "chirps").glob("*.nc"))
    shutil.copy(file, web.folder / "a.nc")
    url = f"{web.url}/a.nc?key=1"
    web.handler.faults = (503, 500)
    for _ in range(2):
        assert files.kind(url) == files.kind(str(file))
        assert files.size(url) == file.stat().st_size
        fetched._FOUND.clear()
    assert [what for what, _ in web.asked] == ["HEAD", "HEAD", "HEAD", "GET"]
    (kept,) = own_cache.iterdir()
    assert kept.name.endswith("-a.nc")
    assert kept.read_bytes() == file.read_bytes()


def test_a_file_that_changed_is_fetched_again(web, own_cache):
    (web.folder / "a.nc").write_bytes(b"CDF\x01 first")
    assert Path(fetched.local(f"{web.url}/a.nc")).read_bytes() == b"CDF\x01 first"
    (web.folder / "a.nc").write_bytes(b"CDF\x01 second")
    # another process asks again
    fetched._FOUND.clear()
    fetched._KNOWN.clear()
    assert Path(fetched.local(f"{web.url}/a.nc")).read_bytes() == b"CDF\x01 second"
    assert len(list(own_cache.iterdir())) == 2


def test_half_a_file_is_never_taken_for_one(web, own_cache):
    content = bytes(100_000)
    (web.folder / "a.nc").write_bytes(content)
    fetched.head(f"{web.url}/a.nc")
    web.handler.faults = ("cut", "cut")
    assert Path(fetched.local(f"{web.url}/a.nc")).read_bytes() == content
    web.handler.faults = ("cut",) * 3
    (web.folder / "b.nc").write_bytes(content)
    fetched._KNOWN[f"{web.url}/b.nc"] = (100_000, "tag")
    with pytest.raises(SourceError) as told:
        fetched.local(f"{web.url}/b.nc")
    assert told.value.what.startswith(f"{web.url}/b.nc: it cannot be fetched (")
    assert [name[25:] for name in os.listdir(own_cache)] == ["a.nc"]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("code", [403, 405])
@pytest.mark.parametrize("content", [b"CDF\x01" * 100, b""])
def test_a_server_without_head(web, code, ranges, content):
    # a URL of S3 that is signed for GET answers 403 to HEAD
    web.handler.no_head, web.handler.ranges = code, ranges
    (web.folder / "a.nc").write_bytes(content)
    url = f"{web.url}/a.nc?X-Amz-Signature=abc"
    assert fetched.head(url)[0] == len(content)
    assert Path(fetched.local(url)).read_bytes() == content
    assert [what for what, _ in web.asked] == ["HEAD", "GET", "GET"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("chunked", "IncompleteRead"), ("status", "BadStatusLine"), ("cut", "3 of 100000 bytes came")],
)
def test_what_is_no_answer_is_asked_for_again_and_then_told(web, fault, reason):
    (web.folder / "a.nc").write_bytes(b"CDF\x01")
    url = f"{web.url}/a.nc"
    fetched._KNOWN[url] = (-1, "")
    web.handler.faults = (fault,) * 2
    assert Path(fetched.local(url)).read_bytes() == b"CDF\x01"
    fetched._FOUND.clear()
    shutil.rmtree(fetched.cache_folder())
    web.handler.faults = (fault,) * 3
    with pytest.raises(SourceError) as told:
        fetched.local(url)
    assert told.value.what == f"{url}: it cannot be fetched ({reason})."


def test_a_silent_server_is_told_of_and_given_up(web, monkeypatch):
    monkeypatch.setattr(fetched, "_SILENCE", 0.1)
    monkeypatch.setattr(fetched, "_WAITS", (0.0,) * 6)
    web.handler.faults = ("silent",) * 6
    said = []
    with fetched.telling(said.append), pytest.raises(SourceError) as told:
        fetched.head(f"{web.url}/a.nc?token=hunter2")
    assert said == [f"{web.url}/a.nc: no answer yet (nothing came for 0.1 s); asked again"] * 2
    assert told.value.what == f"{web.url}/a.nc: it cannot be fetched (nothing came for 0.1 s)."


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://127.0.0.1:http/a.nc", "http://: the URL has a user name or password, or no number for a port."),
        ("http://127.0.0.1:99999/a.nc", "http://127.0.0.1:99999/a.nc: it cannot be fetched ("),
        ("http://127.0.0.1/a b.nc?sig=c d", "http://127.0.0.1/a b.nc: the URL has a space in it."),
        ("http://[::1/a.nc", "http://: the URL names no host."),
        ("http:///a.nc", "http:///a.nc: the URL names no bucket."),
        ("http://a..b/a.nc", "http://a..b/a.nc: it cannot be fetched ("),
    ],
)
def test_what_is_no_url_is_told_in_two_lines(url, what):
    with pytest.raises(SourceError) as told:
        nc.open_source("chirps", url)
    assert told.value.what.startswith(what)


def test_a_name_in_any_script(web):
    (web.folder / "碳 1.nc").write_bytes(b"CDF\x01")
    assert Path(fetched.local(f"{web.url}/碳%201.nc")).read_bytes() == b"CDF\x01"


def test_no_error_tells_the_query(web, archive):
    file = next((archive.directory / "chirps").glob("*.nc"))
    (web.folder / "a.nc").write_bytes(file.read_bytes()[:-1000])
    for name in ("a.nc", "none.nc"):
        with pytest.raises(SourceError) as told:
            nc.open_source("chirps", f"{web.url}/{name}?X-Amz-Signature=hunter2").load()
        assert "hunter2" not in str(told.value)
        assert told.value.what.startswith(f"{web.url}/{name}: ")


def test_what_is_not_there_or_not_to_be_had(web, s3):
    for url in (f"{web.url}/none.nc", f"{s3.url}/none.nc"):
        with pytest.raises(SourceError) as told:
            nc.open_source("chirps", url)
        assert told.value.what == f"{url}: there is no such file."
    web.handler.faults = (403, 403)
    with pytest.raises(SourceError) as told:
        fetched.local(f"{web.url}/x.nc")
    assert told.value.what == f"{web.url}/x.nc: it cannot be fetched (403 Forbidden)."
    with pytest.raises(SourceError) as told:
        expand("s3://nowhere/*.nc")
    assert "there is no such bucket" in told.value.what


def test_no_room_in_the_cache_is_told(web, own_cache, monkeypatch):
    (web.folder / "a.nc").write_bytes(b"CDF\x01")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetched, "_save", full)
    with pytest.raises(SourceError) as told:
        fetched.local(f"{web.url}/a.nc")
    assert told.value.what == f"{web.url}/a.nc: it cannot be kept in {own_cache} (No space left on device)."
    assert "NEPCUBE_CACHE" in told.value.way_out
    assert os.listdir(own_cache) == []


def test_a_damaged_file_is_named_by_its_url(web, archive):
    file = next((archive.directory / "chirps").glob("*.nc"))
    (web.folder / "a.nc").write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(SourceError) as told:
        nc.open_source("chirps", f"{web.url}/a.nc").load()
    assert told.value.what.startswith(f"{web.url}/a.nc: ")


def test_a_file_url_is_a_path(tmp_path):
    (tmp_path / "a b.nc").write_bytes(b"x")
    assert expand((tmp_path / "a b.nc").as_uri()) == (str(tmp_path / "a b.nc"),)
