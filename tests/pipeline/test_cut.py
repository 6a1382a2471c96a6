"""The same bytes however a run is cut, continued, lengthened or changed."""

import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import nepcube as nc
from nepcube import pipeline
from nepcube.errors import NepcubeError, RecipeError
from nepcube.execute import Stopped


@pytest.fixture(scope="session")
def in_small_blocks(finished, tools, tmp_path_factory):
    """The finished run again in blocks of 64: six blocks a year."""
    return tools.do_stages(finished.recipe, tmp_path_factory.mktemp("blocks") / "out", block=64)


def test_blocks_of_one_chunk_give_the_same_arrays(finished, in_small_blocks, tools):
    tools.same_arrays(in_small_blocks, finished.out)
    tools.same_tables(in_small_blocks, finished.out)


@pytest.mark.slow
@pytest.mark.parametrize("block", [192, 2048])
def test_any_block_gives_the_same_arrays(finished, tools, tmp_path, block):
    out = tools.do_stages(finished.recipe, tmp_path / "out", block=block)
    tools.same_arrays(out, finished.out)
    tools.same_tables(out, finished.out)
    if block >= 512:
        assert tools.chunk_files(out) == tools.chunk_files(finished.out)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_threads_gives_the_same_bytes(finished, in_small_blocks, tools, tmp_path, threads, monkeypatch):
    monkeypatch.setattr("dask.system.cpu_count", lambda: threads)
    out = tools.do_stages(finished.recipe, tmp_path / "out", block=64)
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
    tools.same_tables(out, in_small_blocks)


@pytest.mark.slow
def test_processes_give_the_same_bytes(finished, in_small_blocks, tools, tmp_path):
    out = tmp_path / "out"
    for stage in ("ingest", "analyse"):
        process = tools.start(stage, finished.recipe, "-o", out, "--block", 64, "--workers", 2, "--quiet")
        said, told = process.communicate(timeout=120)
        assert (process.returncode, told) == (0, ""), told[-1500:]
        assert said.strip() == str(out)
    tools.do_stages(finished.recipe, out, "aggregate", block=64)
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)


@pytest.mark.slow
def test_a_whole_run_on_processes(finished, in_small_blocks, tools, tmp_path):
    process = tools.start("run", finished.recipe, "-o", tmp_path / "out", "--block", 64, "--workers", 2)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told[-1500:]
    assert tools.chunk_files(tmp_path / "out") == tools.chunk_files(in_small_blocks)
    tools.same_tables(tmp_path / "out", in_small_blocks)


@pytest.mark.slow
def test_an_existing_scheduler_gives_the_same_bytes(finished, in_small_blocks, tools, tmp_path):
    dask = str(tools.bin / "dask")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    file = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen(
        [
            dask,
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--dashboard-address",
            ":0",
            "--scheduler-file",
            file,
        ],
        **quiet,
    )
    worker = None
    try:
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(0.5)
        address = yaml.safe_load(file.read_text())["address"]
        assert address.startswith("tcp://")
        worker = subprocess.Popen(
            [dask, "worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard"], **quiet
        )
        time.sleep(8)
        process = tools.start("run", finished.recipe, "-o", tmp_path / "out", "--block", 64, "--scheduler", address)
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told[-1500:]
    finally:
        for child in (worker, scheduler):
            if child is not None:
                child.terminate()
                child.wait(20)
    assert tools.chunk_files(tmp_path / "out") == tools.chunk_files(in_small_blocks)
    tools.same_tables(tmp_path / "out", in_small_blocks)


# --- interrupted ----------------------------------------------------------------------------------------------------


class StopAt:
    """A progress that asks for an end at its n-th call of a stage."""

    def __init__(self, stage, n):
        self.stage, self.left = stage, n

    def __call__(self, stage, done, total, detail=""):
        if stage == self.stage or (self.stage == "aggregate" and stage.startswith("aggregate: ")):
            self.left -= 1
            if self.left < 0:
                raise Stopped(signal.SIGTERM)


def stopped_run(tools, recipe, out, stage, n, *, block=64):
    """Run until the n-th step of a stage and stop there; nothing must seem damaged."""
    stages = ("ingest", "analyse", "aggregate")
    for each in stages[: stages.index(stage)]:
        pipeline.run_stage(each, recipe, out, options=pipeline.Options(block=block))
    with pytest.raises(Stopped):
        pipeline.run_stage(stage, recipe, out, options=pipeline.Options(block=block), progress=StopAt(stage, n))
    tools.intact(out)


@pytest.mark.parametrize(
    ("stage", "n"),
    [
        pytest.param("ingest", 0, marks=pytest.mark.slow),
        pytest.param("ingest", 9, marks=pytest.mark.slow),
        pytest.param("ingest", 36, marks=pytest.mark.slow),
        pytest.param("analyse", 0, marks=pytest.mark.slow),
        pytest.param("analyse", 4, marks=pytest.mark.slow),
        pytest.param("aggregate", 3, marks=pytest.mark.slow),
        ("aggregate", 13),
    ],
)
def test_stopped_at_a_step_and_continued(finished, in_small_blocks, tools, tmp_path, stage, n):
    out = tmp_path / "out"
    stopped_run(tools, finished.recipe, out, stage, n)
    tools.do_stages(finished.recipe, out, block=64)
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
    tools.same_tables(out, in_small_blocks)


def test_stopped_in_ingest_it_does_not_open(finished, tools, tmp_path):
    import xarray as xr

    stopped_run(tools, finished.recipe, tmp_path / "out", "ingest", 9)
    with pytest.raises(Exception, match=r"(?i)group|metadata|found"):
        xr.open_zarr(tmp_path / "out" / "cube.zarr")
    assert not (tmp_path / "out" / ".nepcube" / "lock").exists()
    found = pipeline.status(tmp_path / "out")
    assert dict(found.stages)["ingest"] is False
    assert dict(found.committed)["cube.zarr"] is False


def interrupt(tools, recipe, out, number, wait):
    """Start a run, send a signal some time after its first words; gives its exit code and what it said."""
    process = tools.start("run", recipe, "-o", out, "--block", 64)
    first = process.stderr.readline()
    assert "error" not in first, first + process.stderr.read()
    time.sleep(wait)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    tools.intact(out)
    return process.returncode, told


EXPECTED = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}


def interrupted_again_and_again(tools, recipe, out, reference, seed, signals):
    rng = random.Random(seed)
    for number in signals:
        code, told = interrupt(tools, recipe, out, number, rng.choice([0.0, 0.3, 1.0, 2.5]) + rng.random())
        assert code in (EXPECTED[number], 0), told
        assert "Traceback" not in told
        if code not in (0, -9):
            assert told.splitlines()[-2:] == [
                "stopped: what is done is kept.",
                "         Run the same command again: it continues.",
            ]
    tools.do_stages(recipe, out, block=64)
    assert tools.chunk_files(out) == tools.chunk_files(reference)
    tools.same_tables(out, reference)


def test_killed_and_stopped_at_random_moments(finished, in_small_blocks, tools, tmp_path):
    signals = [signal.SIGKILL, signal.SIGINT]
    interrupted_again_and_again(tools, finished.recipe, tmp_path / "out", in_small_blocks, 1, signals)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_and_stopped_very_often(finished, in_small_blocks, tools, tmp_path, seed):
    signals = random.Random(100 + seed).choices(list(EXPECTED), k=3)
    interrupted_again_and_again(tools, finished.recipe, tmp_path / "out", in_small_blocks, seed, signals)


def test_a_second_run_on_one_output_is_refused(finished, tools, tmp_path, cli):
    out = tmp_path / "out"
    process = tools.start("run", finished.recipe, "-o", out)
    process.stderr.readline()
    found = cli("run", finished.recipe, "-o", out, "--quiet")
    process.kill()
    process.communicate()
    assert found.code == 2
    assert len(found.err) == 2
    assert str(process.pid) in found.err[0]
    # its lock stays and holds nobody up
    assert (out / ".nepcube" / "lock").exists()
    tools.do_stages(finished.recipe, out, "ingest")


def test_verifying_during_a_run_changes_nothing(copied, tools, cli):
    # the run alone writes the ledger
    (copied.out / "cube.zarr/npp/c/0/0/0").unlink()
    state = {p: p.read_bytes() for p in (copied.out / ".nepcube").rglob("*.json*")}
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nepcube.execute import RunLock\n"
        "with RunLock(Path(sys.argv[1])):\n    print(1, flush=True)\n    time.sleep(60)"
    )
    import sys

    holder = subprocess.Popen([sys.executable, "-c", code, str(copied.out)], stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        cli("status", copied.out, "--verify")
    finally:
        holder.kill()
        holder.communicate()
    assert {p: p.read_bytes() for p in (copied.out / ".nepcube").rglob("*.json*")} == state


def test_another_recipe_does_not_continue_what_was_stopped_in_ingest(finished, write_recipe, tools, tmp_path):
    # half of the cube by the one recipe, half by the other
    out = tmp_path / "out"
    stopped_run(tools, finished.recipe, out, "ingest", 15)
    other = write_recipe(sources__temperature__resampling="bilinear")
    with pytest.raises(RecipeError, match="resampling"):
        pipeline.run_stage("ingest", other, out, options=pipeline.Options(block=64))


@pytest.mark.slow
def test_another_recipe_does_not_continue_an_append_that_was_stopped(finished, write_recipe, tools, tmp_path):
    out = tmp_path / "out"
    pipeline.run_stage("ingest", write_recipe(period=[2001, 2005]), out, options=pipeline.Options(block=64))
    with pytest.raises(Stopped):
        pipeline.run_stage(
            "ingest", finished.recipe, out, options=pipeline.Options(block=64), progress=StopAt("ingest", 2)
        )
    tools.intact(out)
    other = write_recipe(sources__temperature__resampling="bilinear")
    with pytest.raises(RecipeError, match="resampling"):
        pipeline.run_stage("ingest", other, out, options=pipeline.Options(block=64))


def test_a_shifted_grid_does_not_continue_what_was_stopped(finished, write_recipe, tools, tmp_path):
    out = tmp_path / "out"
    stopped_run(tools, finished.recipe, out, "ingest", 15)
    west, south, east, north = 89.40, 31.59, 102.40, 36.29
    step = 8000 / 111319.49079327358
    other = write_recipe(grid__bounds=[west + step, south, east + step, north])
    with pytest.raises(RecipeError, match="bounds"):
        pipeline.run_stage("ingest", other, out, options=pipeline.Options(block=64))


# --- longer and changed ---------------------------------------------------------------------------------------------


@pytest.fixture
def five_years(write_recipe, tools, tmp_path):
    recipe = write_recipe("five.yaml", period=[2001, 2005])
    return tools.do_stages(recipe, tmp_path / "out")


def test_a_longer_period_ingests_the_new_year_only(five_years, finished, tools):
    import os

    old = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (five_years / "cube.zarr").rglob("c/[0-4]/*/*")}
    old = {
        p: v for p, v in old.items() if p.parts[-5] in ("npp", "npp_flag", "temperature", "precipitation", "radiation")
    }
    assert len(old) == 5 * 5
    past = list(old)
    tools.do_stages(finished.recipe, five_years)
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in past} == old
    tools.same_arrays(five_years, finished.out)
    tools.same_tables(five_years, finished.out)
    assert tools.chunk_files(five_years) == tools.chunk_files(finished.out)
    assert os.path.exists(five_years / "cube.zarr" / "zarr.json")


@pytest.mark.parametrize(
    ("stage", "n"),
    [
        pytest.param("ingest", 1, marks=pytest.mark.slow),
        pytest.param("analyse", 0, marks=pytest.mark.slow),
        pytest.param("aggregate", 2, marks=pytest.mark.slow),
    ],
)
def test_a_longer_period_stopped_and_continued(five_years, finished, tools, stage, n):
    stages = ("ingest", "analyse", "aggregate")
    for each in stages[: stages.index(stage)]:
        tools.do_stages(finished.recipe, five_years, each)
    with pytest.raises(Stopped):
        pipeline.run_stage(stage, finished.recipe, five_years, progress=StopAt(stage, n))
    tools.intact(five_years)
    tools.do_stages(finished.recipe, five_years)
    tools.same_arrays(five_years, finished.out)
    tools.same_tables(five_years, finished.out)


@pytest.mark.slow
def test_while_a_longer_period_is_made_the_shorter_one_reads_right(five_years, finished, tools):
    import numpy as np
    import xarray as xr

    before = xr.open_zarr(five_years / "cube.zarr", chunks=None)[["npp", "temperature"]].load()
    with pytest.raises(Stopped):
        pipeline.run_stage("ingest", finished.recipe, five_years, progress=StopAt("ingest", 1))
    tools.intact(five_years)
    try:
        after = xr.open_zarr(five_years / "cube.zarr", chunks=None)
    except Exception:
        return
    after = after[["npp", "temperature"]].load()
    assert after.sizes["time"] == 5
    xr.testing.assert_identical(after, before)
    assert np.isfinite(after["npp"].values).any()


# --- nothing seems damaged that is not -------------------------------------------------------------------------------

KEPT = {"grid__resolution": "40000 m", "respiration": {"basis": "monthly", "keep_climate": True}}


@pytest.fixture(scope="session")
def with_climate(archive, tools, tmp_path_factory):
    """A finished run of three years in some hundred cells, with the months of climate kept."""
    folder = tmp_path_factory.mktemp("climate")
    text = tools.recipe_text(archive.directory, period=[2001, 2003], **KEPT)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(text))
    return tools.do_stages(folder / "recipe.yaml", folder / "out")


@pytest.fixture
def kept(with_climate, tmp_path):
    return Path(shutil.copytree(with_climate, tmp_path / "out"))


def test_an_append_that_was_stopped_leaves_the_shorter_cube_whole(kept, write_recipe, tools):
    with pytest.raises(Stopped):
        pipeline.run_stage("ingest", write_recipe(period=[2001, 2004], **KEPT), kept, progress=StopAt("ingest", 0))
    tools.intact(kept)
    assert dict(pipeline.status(kept).committed)["cube.zarr"]
    with nc.open_cube(kept) as cube:
        assert cube.sizes["time"] == 3
        assert np.isfinite(cube["nep"].values).any(axis=(1, 2)).all()


def test_climate_that_is_no_longer_kept_is_not_missed(kept, write_recipe, tools):
    assert pipeline.status(kept, verify=True).bad == ()
    changes = KEPT | {"respiration": {"basis": "monthly"}}
    tools.do_stages(write_recipe(period=[2001, 2003], **changes), kept)
    assert not (kept / "climate.zarr").exists()
    tools.intact(kept)
    assert {s for s, done in pipeline.status(kept).stages if done} == {"ingest", "analyse", "aggregate"}


@pytest.mark.parametrize("stop", [True, False])
def test_another_analysis_takes_back_what_stood_on_the_one_before(kept, write_recipe, tools, stop):
    recipe = write_recipe(period=[2001, 2003], statistics={"cv": {"detrended": True}}, **KEPT)
    if stop:
        with pytest.raises(Stopped):
            pipeline.run_stage("analyse", recipe, kept, progress=StopAt("analyse", 0))
    else:
        tools.do_stages(recipe, kept, "analyse")
    tools.intact(kept)
    assert {s for s, done in pipeline.status(kept).stages if done} == {"ingest"} | (set() if stop else {"analyse"})


def test_a_shorter_or_shifted_period_is_refused(finished, copied, write_recipe):
    for period in ([2001, 2005], [2002, 2006]):
        with pytest.raises(RecipeError, match="period"):
            pipeline.run_stage("ingest", write_recipe(period=period), copied.out)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"sources__temperature__resampling": "bilinear"}, "sources.temperature.resampling"),
        ({"grid__resolution": "9000 m"}, "grid.resolution"),
        ({"sources__npp__nonvegetated": "zero"}, "sources.npp.nonvegetated"),
        ({"sources__radiation": None, "period": [2001, 2006]}, "sources.radiation"),
    ],
)
def test_a_changed_ingest_key_is_refused_by_name(copied, write_recipe, tools, cli, change, key):
    before = tools.chunk_files(copied.out)
    found = cli("run", write_recipe(**change), "-o", copied.out, "--quiet")
    assert found.code == 2
    assert len(found.err) == 2
    assert key in found.err[0]
    assert "--fresh" in found.err[1]
    assert tools.chunk_files(copied.out) == before
    assert cli("status", copied.out, "--verify").code == 0


def test_another_basis_reruns_from_the_analysis(copied, write_recipe, tools, tmp_path):
    recipe = write_recipe(respiration__basis="monthly")
    times = {p: p.stat().st_mtime_ns for p in (copied.out / "cube.zarr" / "npp").rglob("*") if p.is_file()}
    fresh = tools.do_stages(recipe, tmp_path / "fresh")
    tools.do_stages(recipe, copied.out)
    assert {p: p.stat().st_mtime_ns for p in times} == times
    tools.same_arrays(copied.out, fresh)
    tools.same_tables(copied.out, fresh)


@pytest.mark.slow
def test_the_native_climate_may_be_cleared_away(write_recipe, tools, tmp_path):
    # "it is no result: it may be deleted when a run is finished"
    five, six = (write_recipe(f"{y}.yaml", period=[2001, y], respiration__basis="monthly") for y in (2005, 2006))
    out = tools.do_stages(five, tmp_path / "out")
    shutil.rmtree(out / ".nepcube" / "native")
    tools.do_stages(six, out)
    tools.same_arrays(out, tools.do_stages(six, tmp_path / "fresh"))


@pytest.mark.slow
def test_other_classes_rerun_the_tables_only(copied, write_recipe, tools, tmp_path):
    recipe = write_recipe(classes__slope={"method": "natural-breaks", "k": 4})
    kept = [
        p
        for s in ("cube.zarr/nep", "statistics.zarr/nep_slope")
        for p in (copied.out / s).rglob("c/**/*")
        if p.is_file()
    ]
    times = {p: p.stat().st_mtime_ns for p in kept}
    tools.do_stages(recipe, copied.out)
    assert {p: p.stat().st_mtime_ns for p in kept} == times
    fresh = tools.do_stages(recipe, tmp_path / "fresh")
    tools.same_arrays(copied.out, fresh)
    tools.same_tables(copied.out, fresh)


def test_title_and_blocks_change_nothing(copied, write_recipe, tools):
    times = {p: p.stat().st_mtime_ns for p in copied.out.rglob("c/**/*") if p.is_file()}
    tools.do_stages(write_recipe(title="Another", blocks=512), copied.out)
    assert {p: p.stat().st_mtime_ns for p in times} == times


@pytest.mark.slow
def test_fresh_starts_over(copied, write_recipe, tools, tmp_path):
    recipe = write_recipe(sources__temperature__resampling="bilinear")
    pipeline.run_stage("ingest", recipe, copied.out, options=pipeline.Options(fresh=True))
    tools.do_stages(recipe, copied.out)
    fresh = tools.do_stages(recipe, tmp_path / "fresh")
    tools.same_arrays(copied.out, fresh)
    tools.same_tables(copied.out, fresh)


@pytest.mark.slow
def test_other_regions_rerun_the_tables(copied, write_recipe, tools, archive, tmp_path):
    import geopandas as gpd

    frame = gpd.read_file(archive.directory / "regions.geojson").iloc[:3]
    frame.to_file(tmp_path / "three.geojson")
    recipe = write_recipe(regions__path=str(tmp_path / "three.geojson"))
    tools.do_stages(recipe, copied.out)
    fresh = tools.do_stages(recipe, tmp_path / "fresh")
    tools.same_arrays(copied.out, fresh)
    tools.same_tables(copied.out, fresh)
    # the same file with another border
    frame["geometry"] = frame.geometry.buffer(-0.05)
    frame.to_file(tmp_path / "three.geojson")
    tools.do_stages(recipe, copied.out)
    assert (copied.out / "tables" / "summary.csv").read_bytes() != (fresh / "tables" / "summary.csv").read_bytes()


@pytest.mark.slow
def test_a_generated_archive_grows_with_the_period(write_recipe, tools, tmp_path):
    # the recipe of the demonstration, one year longer
    folder = tmp_path / "archive"
    made = {"generate": "headwaters", "seed": 1, "pixels": 24, "path": str(folder)}
    recipes = [
        write_recipe(f"{y}.yaml", directory=folder, period=[2001, y], archive=made, grid__resolution="20000 m")
        for y in (2003, 2004)
    ]
    tools.do_stages(recipes[0], tmp_path / "out")
    tools.do_stages(recipes[1], tmp_path / "out")


def test_nothing_is_left_of_a_run_that_could_not_begin(write_recipe, tmp_path):
    recipe = write_recipe(sources__npp__path=str(tmp_path / "nothing" / "*.hdf"))
    with pytest.raises(NepcubeError):
        pipeline.run_stage("ingest", recipe, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("x")
    with pytest.raises(NepcubeError):
        pipeline.run_stage("ingest", recipe, tmp_path / "there")
    assert (tmp_path / "there" / "mine.txt").read_text() == "x"
    assert not (tmp_path / "there" / "cube.zarr").exists()
    assert isinstance(tmp_path, Path)
