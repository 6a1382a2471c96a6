"""A folder and a prefix of an object store, asked for the same things."""

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from nepcube import pipeline
from nepcube.errors import StoreError, without_queries
from nepcube.places import LocalPlace, RemotePlace, identity, place_of, public, remote


@pytest.fixture(params=["local", "file", "s3"])
def place(request, tmp_path):
    if request.param == "s3":
        return place_of(request.getfixturevalue("s3").url)
    return place_of(tmp_path / "out" if request.param == "local" else (tmp_path / "out").as_uri())


def test_reading_writing_listing_deleting(place):
    assert place.read() is None
    assert (place / "a").read_text() is None
    assert place.names() == []
    assert not place.is_folder()
    (place / "a").write(b"one")
    (place / "b/c").write_text("zwei ü")
    (place / "b/d/e").write(b"")
    (place / "bb").write(b"x")
    assert (place / "a").read() == b"one"
    assert (place / "b/c").read_text() == "zwei ü"
    assert (place / "b/d/e").read() == b""
    assert place.names() == ["a", "b", "bb"]
    assert (place / "b").names() == ["c", "d"]
    assert [p.name for p in (place / "b").below()] == ["c", "d"]
    assert place.is_folder()
    assert not (place / "a").is_folder()
    assert (place / "a").exists()
    assert not (place / "aa").exists()
    (place / "a").write(b"two")
    assert (place / "a").read() == b"two"
    (place / "a").delete()
    (place / "a").delete()
    assert not (place / "a").exists()
    (place / "b").delete_tree()
    assert place.names() == ["bb"]
    assert (place / "b").parent == place
    assert place.name == "out"
    assert pickle.loads(pickle.dumps(place)) == place
    assert hash(pickle.loads(pickle.dumps(place))) == hash(place)


def test_what_is_no_folder_or_cannot_be_looked_into_is_told_first(write_recipe, tmp_path):
    file, long, new = tmp_path / "file", tmp_path / ("x" * 300), tmp_path / "new"
    file.write_bytes(b"mine")
    for out, what in ((file, "this is a file, not a folder"), (long, "cannot be looked into")):
        for ask in (
            place_of(out).require,
            lambda out=out: pipeline.status(out),
            lambda out=out: pipeline.check(write_recipe(), out=out),
            lambda out=out: pipeline.run(write_recipe(), out),
            lambda out=out: pipeline.write_tables(write_recipe(), out, ["md"]),
        ):
            with pytest.raises(StoreError, match=what) as told:
                ask()
            assert str(out) in told.value.what
    assert file.read_bytes() == b"mine"
    place_of(new).require()
    assert [place_of(new / "a").make(), place_of(new / "a").make()] == [True, False]
    with pytest.raises(StoreError, match="cannot be made"):
        place_of(file / "a").make()


def test_a_stamp_changes_with_the_content(place):
    file = place / "f"
    assert file.stamp() is None
    file.write(b"one")
    first = file.stamp()
    assert first is not None
    assert file.stamp() == first
    file.write(b"other")
    assert file.stamp() != first


def test_only_one_creates_and_only_the_last_seen_is_replaced(place):
    file = place / "lock"
    stamp = file.create(b"mine")
    assert stamp is not None
    assert file.create(b"theirs") is None
    assert file.read() == b"mine"
    seen = file.look()
    assert (seen.content, seen.stamp) == (b"mine", stamp)
    assert abs(file.parent.clock() - seen.changed) < 30
    later = file.exchange(stamp, b"mine 2")
    assert later is not None
    assert later != stamp
    assert file.exchange(stamp, b"theirs") is None
    assert file.read() == b"mine 2"
    file.delete()
    assert file.exchange(later, b"mine 3") is None
    assert not file.exists()
    assert set(place.names()) <= {"lock.guard"}


def test_of_many_threads_one_creates_and_one_replaces(place):
    file = place / "lock"
    won = []

    def run(what):
        if what is not None:
            won.append(what)

    threads = [threading.Thread(target=lambda k=k: run(file.create(b"%d" % k))) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(won) == 1
    stamp, won[:] = won[0], []
    threads = [threading.Thread(target=lambda k=k: run(file.exchange(stamp, b"x%d" % k))) for k in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(won) == 1


def test_processes_are_held_off_by_a_file_that_is_open_for_writing(tmp_path, monkeypatch):
    # NFS gives no lock on a folder, and none on a file that is open for reading
    fcntl = pytest.importorskip("fcntl")
    held, flock = [], fcntl.flock

    def noted(handle, how):
        held.append((os.path.basename(os.readlink(f"/proc/self/fd/{handle}")), fcntl.fcntl(handle, fcntl.F_GETFL) & 3))
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", noted)
    file = place_of(tmp_path) / "lock"
    assert file.exchange(file.create(b"1"), b"2") is not None
    assert held == [("lock.guard", os.O_RDWR)] * 2


def test_files_are_made_in_a_folder_of_this_machine_and_put_there(place):
    with (place / "made").local_folder() as folder:
        (folder / "a.txt").write_text("a")
        (folder / "below").mkdir()
        (folder / "below" / "b.txt").write_text("b")
    assert (place / "made/a.txt").read() == b"a"
    assert (place / "made/below/b.txt").read() == b"b"


def test_a_zarr_array_in_a_place(place):
    import zarr

    array = zarr.create_array((place / "z").zarr(write=True), name="v", shape=(4, 4), chunks=(2, 4), dtype="f4")
    array[...] = np.arange(16).reshape(4, 4)
    assert sorted((place / "z/v/c").names()) == ["0", "1"]
    again = zarr.open_array((place / "z").zarr(), path="v", mode="r")
    np.testing.assert_array_equal(again[...], np.arange(16).reshape(4, 4))
    with pytest.raises(ValueError, match="read-only"):
        again[0] = 1
    sent = pickle.loads(pickle.dumps((place / "z").zarr()))
    np.testing.assert_array_equal(zarr.open_array(sent, path="v", mode="r")[3], [12, 13, 14, 15])


def test_what_becomes_which_place(tmp_path):
    assert place_of("x/y") == LocalPlace(Path("x/y"))
    assert place_of("file:///x/y%20z") == LocalPlace(Path("/x/y z"))
    assert place_of("s3://bucket/a/b/") == RemotePlace("s3://bucket/a/b")
    assert place_of("gs://bucket") == RemotePlace("gs://bucket")
    assert str(place_of("az://container/x") / "y") == "az://container/x/y"
    place = place_of(tmp_path)
    assert place_of(place) is place
    assert os.fspath(place) == str(tmp_path)


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("ftp://host/x", "ftp://host/x: ftp:// is no kind of store that nepcube knows."),
        ("s3:///x", "s3:///x: the URL names no bucket."),
        ("file://elsewhere/x", "file://elsewhere/x: this names no folder of this machine."),
        (Path("s3://bucket/x"), "s3:/bucket/x: a URL has lost a slash as a path."),
    ],
)
def test_what_names_no_place(where, what):
    with pytest.raises(StoreError) as told:
        place_of(where)
    assert told.value.what == what


@pytest.mark.parametrize(
    "where",
    [
        "s3://KEY:hunter2@bucket/out", "s3://KEY:hun/ter2@bucket/out", "gs://hunter2@bucket/x", "az://a:hunter2@b/c",
        "https://me:hunter2@host/a.nc", "http://me:hunter/2@host/a.nc", "http://hunter2@host/a.nc",
        "ftp://me:hunter2@host/x", "az://account/container/x?sv=1&sig=hunter2", "s3://bucket/x?X-Amz-Signature=hunter2",
    ],
)  # fmt: skip
def test_a_url_with_a_key_in_it_is_refused_and_not_told(where):
    with pytest.raises(StoreError) as told:
        place_of(where)
    assert "credentials come from the environment" in told.value.way_out
    assert "hun" not in str(told.value)
    assert len(str(told.value).splitlines()) == 2


@pytest.mark.parametrize(
    "where",
    ["s3://bucket/a@b/c:d", "s3://bucket/year?/x", "http://host:8000/a@b.nc?q=1", "http://[::1]:80/x", "file:///a@b"],
)
def test_what_only_looks_like_a_key_is_a_url(where):
    assert str(place_of(where)) == where.removeprefix("file://")


def test_what_is_told_and_what_tells_urls_apart():
    signed = [f"https://h/a.nc?X-Amz-Date={k}&X-Amz-Signature={k}&versionId=7" for k in (1, 2)]
    other = signed[0].replace("versionId=7", "versionId=8")
    assert {public(url) for url in (*signed, other)} == {"https://h/a.nc"}
    assert identity(signed[0]) == identity(signed[1]) != identity(other)
    assert "versionId" not in identity(other)
    assert identity("https://h/a.nc?sv=2024&se=x&sp=r&sig=abc") == "https://h/a.nc"
    assert identity("https://h/a.nc?token=abc") == identity("https://h/a.nc") == "https://h/a.nc"
    assert identity("https://h/a.nc?year=2001") != identity("https://h/a.nc?year=2002")
    for plain in ("a?b=c/*.nc", "s3://bucket/year?.nc", "/a/b"):
        assert public(plain) == identity(plain) == plain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://h/a?q=1: broken", "http://h/a: broken"),
        ("see http://h/a?q=1, https://h/b?r=2.", "see http://h/a, https://h/b."),
        ("(http://h/a?q=x).", "(http://h/a)."),
        ("what? http://h/a is", "what? http://h/a is"),
        ("s3://b/?.nc: no", "s3://b/?.nc: no"),
    ],
)
def test_errors_tell_no_query(text, told):
    assert without_queries(text) == told
    assert StoreError(text, text).what == told


def test_what_is_the_bucket_is_what_the_library_takes_for_it(monkeypatch):
    from obstore.store import from_url

    for name, value in {"ACCOUNT_NAME": "account", "ACCOUNT_KEY": "a2V5"}.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    for scheme, name in {"az": "container_name", "s3": "bucket"}.items():
        root, key = remote.split(f"{scheme}://one/two/three")
        assert (root, key) == (f"{scheme}://one", "two/three")
        store = from_url(f"{scheme}://one/two/three")
        assert (dict(store.config)[name], store.prefix) == ("one", key)


def test_without_an_account_of_azure_the_credentials_are_asked_for(monkeypatch):
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(StoreError) as told:
        place_of("az://container/out").names()
    assert told.value.what == "az://container/out: no credentials are in the environment."
    assert "AZURE_STORAGE_ACCOUNT_NAME" in told.value.way_out


# --- what goes wrong ------------------------------------------------------------------------------------------------


def test_no_such_bucket(s3):
    place = place_of("s3://nowhere/out")
    for ask in (place.require, place.is_folder, place.names, lambda: (place / "x").write(b"")):
        with pytest.raises(StoreError) as told:
            ask()
        assert "there is no such bucket (s3://nowhere)." in told.value.what
        assert told.value.what.startswith("s3://nowhere/out")
        assert told.value.way_out == "Make the bucket, or check the URL."


@pytest.mark.parametrize(
    ("status", "code", "what"),
    [
        (403, "AccessDenied", "s3://data/out: the credentials of the environment give no permission there."),
        (403, "InvalidAccessKeyId", "s3://data/out: the credentials of the environment are not accepted."),
        (403, "SignatureDoesNotMatch", "s3://data/out: the credentials of the environment are not accepted."),
    ],
)
def test_what_the_store_refuses(s3, monkeypatch, status, code, what):
    import http.server

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = f"<Error><Code>{code}</Code></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_GET

        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{served.server_address[1]}")
    try:
        for ask in (place_of("s3://data/out").require, lambda: place_of("s3://data/out").write(b"")):
            with pytest.raises(StoreError) as told:
                ask()
            assert told.value.what == what
    finally:
        served.shutdown()
        served.server_close()


def test_no_credentials(s3, monkeypatch, cli):
    # without keys a machine of the cloud would be asked for some: here a port where nobody listens
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    found = cli("status", "s3://data/out")
    assert found.code == 2
    assert found.err[0] == "error: s3://data/out: no credentials are in the environment."
    assert found.err[1].startswith("       Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


def test_without_the_extra_a_url_says_what_to_install():
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'obstore' else find(name, *a)\n"
        "sys.argv = ['nepcube', 'status', 's3://data/out']\n"
        "from nepcube.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: s3://data/out: URLs need the package obstore, which is not installed.",
        "       Install it: pip install 'nepcube[cloud]'.",
    ]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    place = place_of(tmp_path) / "f"
    place.write(b"before")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError) as told:
        place.write(b"after")
    assert told.value.what == f"{tmp_path}/f: cannot be written (No space left on device)."
    assert place.read() == b"before"
    assert os.listdir(tmp_path) == ["f"]
