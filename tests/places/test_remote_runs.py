"""Runs into a bucket: the bytes of a local run, whatever happens on the way."""

import functools
import http.server
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
import xarray as xr

import nepcube as nc
from nepcube import pipeline
from nepcube.errors import StoreError
from nepcube.execute import Stopped
from nepcube.places import place_of


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


STAGES = ("ingest", "analyse", "aggregate")


def chunks_of(url, tools):
    """The digest of every chunk below a URL, by place."""
    found = {u.removeprefix(f"{url}/"): u for u, _, _ in place_of(url).files()}
    return {
        k: tools.digest(place_of(u).read())
        for k, u in found.items()
        if ".zarr/" in k and "/c" in k and not k.endswith(".json") and not k.startswith(".")
    }


def same_as(url, out, tools):
    assert chunks_of(url, tools) == tools.chunk_files(out)
    for file in (out / "tables").iterdir():
        assert (place_of(url) / "tables" / file.name).read() == file.read_bytes(), file.name


def run(recipe, url, *stages, **how):
    for stage in stages or STAGES:
        pipeline.run_stage(stage, recipe, url, **how)


def test_a_run_into_a_bucket(s3, finished, tools, cli):
    import zarr
    from obstore.store import from_url

    run(finished.recipe, s3.url)
    same_as(s3.url, finished.out, tools)
    place = place_of(s3.url)
    assert not (place / ".nepcube/lock").exists()
    assert (place / "recipe.yaml").read() == (finished.out / "recipe.yaml").read_bytes()
    for name in ("cube.zarr", "statistics.zarr"):
        # as anyone opens it, without nepcube
        store = zarr.storage.ObjectStore(from_url(f"{s3.url}/{name}"), read_only=True)
        with xr.open_zarr(store) as there, xr.open_zarr(finished.out / name) as here:
            xr.testing.assert_identical(there.load(), here.load())
    with nc.open_cube(s3.url) as cube:
        assert cube["npp"].chunks is not None
        np.testing.assert_array_equal(cube["nep"].values, nc.open_cube(finished.out)["nep"].values)
    found = cli("status", s3.url, "--verify")
    assert (found.code, found.err) == (0, [])
    assert "every chunk is as it was written" in found.out[-1]
    # damage is found through the store, and mended
    (place / "cube.zarr/npp/c/2/0/0").write(b"x")
    (place / "statistics.zarr/nep_slope/c/0/0").delete()
    (place / "statistics.zarr/nep_mean/zarr.json").delete()
    found = cli("status", s3.url, "--verify")
    assert found.code == 2
    assert found.err[0].startswith(f"error: {s3.url}: 3 chunk(s) are missing or changed: ")
    run(finished.recipe, s3.url)
    same_as(s3.url, finished.out, tools)
    assert cli("status", s3.url, "--verify").code == 0
    assert cli("check", finished.recipe, "-o", s3.url).code == 0


def test_opening_what_is_not_there(s3):
    with pytest.raises(StoreError) as told:
        nc.open_cube(s3.url)
    assert told.value.what == f"{s3.url}/cube.zarr: there is no such store."
    with pytest.raises(StoreError) as told:
        nc.open_cube("s3://nowhere/out")
    assert "there is no such bucket (s3://nowhere)" in told.value.what


def test_what_a_bucket_lacks_is_told_before_anything_is_made(s3, finished, cli):
    found = cli("run", finished.recipe, "-o", "s3://nowhere/out", "--quiet")
    assert found.code == 2
    assert found.err == [
        "error: s3://nowhere/out: there is no such bucket (s3://nowhere).",
        "       Make the bucket, or check the URL.",
    ]
    (place_of(s3.url) / "mine.txt").write(b"x")
    found = cli("run", finished.recipe, "-o", s3.url, "--fresh", "--quiet")
    assert found.code == 2
    assert "it holds other files and no run of nepcube" in found.err[0]
    assert place_of(s3.url).names() == ["mine.txt"]


def test_nothing_of_an_output_and_nothing_said_holds_the_key_to_an_input(
    archive, write_recipe, tmp_path, cli, monkeypatch
):
    monkeypatch.setenv("NEPCUBE_CACHE", str(tmp_path / "cache"))
    handler = functools.partial(Quiet, directory=str(archive.directory))
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{served.server_address[1]}"
    try:
        names = sorted(file.name for file in (archive.directory / "chirps").glob("*.nc"))

        def recipe(key, **more):
            paths = [f"{url}/chirps/{name}?X-Amz-Signature={key}" for name in names]
            return write_recipe(
                sources__precipitation__path=paths,
                regions__path=f"{url}/regions.geojson?token={key}",
                grid__resolution="20000 m",
                **more,
            )

        out = tmp_path / "out"
        log = tmp_path / "log"
        assert cli("ingest", recipe("hunter2"), "-o", out, "--log", log).code == 0
        # signed anew it is the same recipe, and the inputs are known again
        found = cli("ingest", recipe("hunter3"), "-o", out)
        assert (found.code, [line for line in found.err if "warning" in line]) == (0, [])
        assert any("done already" in line for line in found.err)
        for file in [*out.rglob("*"), log]:
            assert not file.is_file() or b"hunter" not in file.read_bytes(), file
        assert f"{url}/chirps/{names[0]}" in (out / "recipe.yaml").read_text()
        found = cli("check", recipe("hunter2", period=[2001, 2050]), "-o", out)
        assert found.code == 2
        assert "hunter" not in "\n".join(found.out + found.err)
    finally:
        served.shutdown()
        served.server_close()


def test_a_recipe_with_a_password_in_a_url_is_refused_and_not_told(write_recipe, tmp_path, cli):
    for verb in (["check"], ["run", "-o", tmp_path / "out"]):
        recipe = write_recipe(sources__npp__path="https://me:hunter2@host/a.hdf")
        found = cli(verb[0], recipe, *verb[1:])
        assert found.code == 2
        assert found.err[0].endswith(
            "sources.npp.path: https://: the URL has a user name or password, or no number for a port."
        )
        assert "hunter2" not in "\n".join(found.out + found.err)


def test_a_file_url_is_the_folder(finished, copied, cli):
    found = cli("status", copied.out.as_uri(), "--verify")
    assert (found.code, found.err) == (0, [])
    (copied.out / "cube.zarr/npp/c/2/0/0").unlink()
    assert cli("status", copied.out.as_uri(), "--verify").code == 2


class StopAt:
    def __init__(self, stage, n):
        self.stage, self.left = stage, n

    def __call__(self, stage, done, total, detail=""):
        if stage == self.stage or (self.stage == "aggregate" and stage.startswith("aggregate: ")):
            self.left -= 1
            if self.left < 0:
                raise Stopped(signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "n"), [("ingest", 2), ("ingest", 5), ("analyse", 1), ("aggregate", 2)])
def test_a_run_into_a_bucket_stopped_and_continued(s3, finished, tools, stage, n):
    for each in STAGES[: STAGES.index(stage)]:
        run(finished.recipe, s3.url, each)
    with pytest.raises(Stopped):
        run(finished.recipe, s3.url, stage, progress=StopAt(stage, n))
    if stage == "ingest":
        with pytest.raises(StoreError, match=r"not finished|no such store"):
            nc.open_cube(s3.url)
    run(finished.recipe, s3.url)
    same_as(s3.url, finished.out, tools)


@pytest.mark.slow
@pytest.mark.parametrize("wait", [1.0, 4.0, 9.0])
def test_a_run_into_a_bucket_killed_and_continued(s3, finished, tools, wait):
    process = tools.start("run", finished.recipe, "-o", s3.url, "--block", 64)
    process.stderr.readline()
    time.sleep(wait)
    process.kill()
    process.communicate()
    run(finished.recipe, s3.url, options=pipeline.Options(block=64))
    stores = chunks_of(s3.url, tools)
    local = tools.do_stages(finished.recipe, finished.out.parent / f"blocks{wait}", block=64)
    assert stores == tools.chunk_files(local)


@pytest.mark.slow
def test_processes_write_into_a_bucket(s3, finished, tools):
    process = tools.start("run", finished.recipe, "-o", s3.url, "--workers", 2, "--quiet")
    said, told = process.communicate(timeout=600)
    assert (process.returncode, told) == (0, "")
    assert said.strip() == f"{s3.url}/report.html"
    same_as(s3.url, finished.out, tools)
    assert "map_nep_mean.png" in (place_of(s3.url) / "figures").names()
    assert tools.start("publish", finished.recipe, "-o", s3.url, stdin=subprocess.DEVNULL).wait(300) == 0
    assert "item.json" in (place_of(s3.url) / "published").names()


def test_a_store_that_fails_at_every_tenth_request(faulty, s3):
    proxy = faulty(1)
    place = place_of(s3.url)
    for k in range(40):
        (place / f"f{k}").write(b"%d" % k)
    assert [int((place / f"f{k}").read()) for k in range(40)] == list(range(40))
    stamp = (place / "lock").create(b"0")
    for k in range(1, 20):
        stamp = (place / "lock").exchange(stamp, b"%d" % k)
        assert stamp is not None
    assert (place / "lock").read() == b"19"
    assert proxy.failed > 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_a_run_into_a_store_that_fails_at_every_tenth_request(faulty, s3, finished, tools, monkeypatch, seed):
    proxy = faulty(seed)
    run(finished.recipe, s3.url)
    assert proxy.failed > 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.address)
    same_as(s3.url, finished.out, tools)
    assert pipeline.status(s3.url, verify=True).damaged == ()
