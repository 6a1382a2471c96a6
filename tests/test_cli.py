"""The verbs, their exit codes and what they say."""

import json
import re
import shutil
import subprocess

import pytest

import nepcube


def test_version(cli):
    found = cli("--version")
    assert (found.code, found.out) == (0, [f"nepcube {nepcube.__version__}"])


def test_without_a_verb_it_helps(cli):
    found = cli()
    text = "\n".join(found.out + found.err)
    for verb in (
        "check",
        "run",
        "ingest",
        "analyse",
        "aggregate",
        "report",
        "publish",
        "status",
        "validate",
        "readers",
    ):
        assert verb in text
    assert cli("--help").code == 0


def test_readers(cli):
    found = cli("readers")
    assert found.code == 0
    for name in ("mod17a3hgf", "era5-land", "chirps", "generic"):
        assert name in found.out
    assert sum("accepts" in line for line in found.out) == sum("gives" in line for line in found.out) >= 4


def test_a_good_recipe_is_good(cli, finished):
    found = cli("check", finished.recipe)
    text = "\n".join(found.out)
    assert (found.code, found.err) == (0, [])
    assert "66 x 182 cells" in text
    for word in ("plan", "bytes", "memory", "mod17a3hgf", "chirps", "h25v05", "2001-01-01"):
        assert word in text, word
    found = cli("check", finished.recipe, "-o", finished.out)
    assert found.code == 0
    assert "ingest, analyse, aggregate" in "\n".join(found.out)


def test_what_is_missing_is_named_beside_the_plan(cli, write_recipe, tmp_path):
    nowhere = tmp_path / "nowhere"
    recipe = write_recipe(sources__npp__path=str(nowhere / "*.hdf"), sources__radiation__path=str(nowhere / "*.nc"))
    found = cli("check", recipe)
    assert found.code == 2
    text = "\n".join(found.out)
    assert "66 x 182 cells" in text
    assert "memory" in text
    assert text.count("unusable") == 2
    assert len(found.err) == 4
    assert any("*.hdf" in line for line in found.err)
    assert any("*.nc" in line for line in found.err)
    assert not (tmp_path / "out").exists()


def test_check_names_a_year_and_a_region_file(cli, write_recipe, tmp_path):
    found = cli("check", write_recipe(period=[2001, 2007], regions__path=str(tmp_path / "no.geojson")))
    assert found.code == 2
    text = "\n".join(found.err)
    assert "2007" in text
    assert "no.geojson" in text
    assert "66 x 182 cells" in "\n".join(found.out)


def test_check_of_another_cube(cli, write_recipe, finished):
    found = cli("check", write_recipe(sources__temperature__resampling="bilinear"), "-o", finished.out)
    assert found.code == 2
    assert "sources.temperature.resampling" in "\n".join(found.err)


def test_check_makes_nothing(cli, write_recipe, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    recipe = write_recipe()
    cli("check", recipe, "-o", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == sorted([*before, recipe])


def test_status(cli, finished, tmp_path):
    found = cli("status", finished.out)
    assert found.code == 0
    text = "\n".join(found.out)
    assert "2001-2006" in text
    assert re.search(r"ingest +done", text)
    assert re.search(r"report +not done", text)
    assert re.search(r"cube\.zarr +finished", text)
    found = cli("status", finished.out, "--verify")
    assert found.code == 0
    assert "every chunk is as it was written" in "\n".join(found.out)
    for nothing in (tmp_path, tmp_path / "no"):
        found = cli("status", nothing)
        assert (found.code, len(found.err)) == (2, 2)


def test_stages_out_of_order_are_refused(cli, finished, tmp_path):
    out = tmp_path / "out"
    for verb in ("analyse", "aggregate", "report", "publish"):
        found = cli(verb, finished.recipe, "-o", out, "--quiet")
        assert (found.code, len(found.err)) == (2, 2), verb
        assert not out.exists()
    assert cli("ingest", finished.recipe, "-o", out, "--quiet").code == 0
    found = cli("aggregate", finished.recipe, "-o", out, "--quiet")
    assert found.code == 2
    assert "`analyse`" in found.err[0]
    found = cli("analyse", finished.recipe, "-o", out, "--quiet")
    assert (found.code, found.out, found.err) == (0, [str(out)], [])
    assert cli("aggregate", finished.recipe, "-o", out, "--quiet").code == 0


def test_stages_with_another_recipe_are_refused(cli, copied, write_recipe):
    found = cli("aggregate", write_recipe(respiration__basis="monthly"), "-o", copied.out, "--quiet")
    assert (found.code, len(found.err)) == (2, 2)
    assert "`analyse`" in found.err[0]


@pytest.mark.parametrize("size", ["100MiB", "1KiB"])
def test_too_little_memory_is_refused_with_the_least(cli, finished, tmp_path, size):
    found = cli("ingest", finished.recipe, "-o", tmp_path / "out", "--memory", size)
    assert (found.code, len(found.err)) == (2, 2)
    least = int(re.search(r"at least (\d+) MiB", found.err[1]).group(1))
    assert least > 100
    assert not (tmp_path / "out").exists()
    assert cli("check", finished.recipe, "--memory", f"{least}MiB").code == 0
    assert cli("check", finished.recipe, "--memory", f"{least - 1}MiB").code == 2


@pytest.mark.parametrize("size", ["much", "-3GiB", "0", "3 GiBs"])
def test_a_size_that_is_none(cli, finished, tmp_path, size):
    found = cli("ingest", finished.recipe, "-o", tmp_path / "out", "--memory", size)
    assert found.code == 2
    assert not any("Traceback" in line for line in found.err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--block", "10"), ("--block", "x"), ("--workers", "0"), ("--nonsense",)])
def test_options_that_are_none(cli, finished, tmp_path, arguments):
    found = cli("run", finished.recipe, "-o", tmp_path / "out", *arguments)
    assert found.code == 2
    assert not any("Traceback" in line for line in found.err)
    assert not (tmp_path / "out").exists()


def test_a_block_that_cuts_chunks(cli, finished, copied):
    found = cli("ingest", finished.recipe, "-o", copied.out, "--block", "700")
    assert (found.code, len(found.err)) == (2, 2)


def test_a_log_that_cannot_be_written(cli, finished, tmp_path):
    found = cli("ingest", finished.recipe, "-o", tmp_path / "out", "--log", tmp_path / "no" / "such" / "log")
    assert (found.code, len(found.err)) == (2, 2)


def test_no_scheduler(cli, finished, tmp_path, monkeypatch):
    # of the seconds that one may take to answer
    monkeypatch.setattr("nepcube.execute.clusters._ANSWERS", 1.0)
    found = cli("ingest", finished.recipe, "-o", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")
    assert (found.code, len(found.err)) == (2, 2)
    assert found.err[0].startswith("error: tcp://127.0.0.1:9: no Dask scheduler answers")


def test_a_fault_of_ours_is_code_one(cli, finished, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("boom")

    monkeypatch.setattr("nepcube.pipeline.running.prepare", broken)
    found = cli("ingest", finished.recipe, "-o", tmp_path / "out", "--quiet")
    assert found.code == 1
    assert any("boom" in line for line in found.err)
    assert "fault of nepcube" in "\n".join(found.err)


def test_a_whole_run_in_plain_lines(finished, tools, tmp_path):
    """The real command, not on a terminal: plain lines, a log with times, the page's path on stdout."""
    out = tmp_path / "out"
    shutil.copytree(finished.out, out)
    process = tools.start("run", finished.recipe, "-o", out, "--log", tmp_path / "log")
    said, told = process.communicate(timeout=120)
    assert process.returncode == 0, told[-1500:]
    assert said == f"{out / 'report.html'}\n"
    assert "\x1b" not in told
    assert "\r" not in told
    assert all(re.match(r"[\w /:]+", line) for line in told.splitlines())
    assert "done already" in told
    log = (tmp_path / "log").read_text().splitlines()
    assert [line.partition(" ")[2] for line in log] == told.splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d ", line) for line in log)
    for name in ("report.html", "recipe.yaml", "provenance.json"):
        assert (out / name).stat().st_size > 100
    record = json.loads((out / "provenance.json").read_text())
    assert {i["source"] for i in record["inputs"]} == {"npp", "temperature+radiation", "precipitation"}
    assert len(record["inputs"]) == 12 + 6 + 1
    assert {p.suffix for p in (out / "figures").iterdir()} == {".png"}
    page = (out / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#|https://(doi|www|modis|lpdaac))[^"]*\.(png|css|js)"', page)
    # the resolved recipe is a recipe
    found = subprocess.run(
        [tools.bin / "nepcube", "check", out / "recipe.yaml"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr


def test_a_quiet_run_says_the_result_only(cli, finished, copied):
    found = cli("aggregate", finished.recipe, "-o", copied.out, "--quiet")
    assert (found.code, found.out, found.err) == (0, [str(copied.out)], [])


def test_provenance_names_every_input_with_its_hash(finished, archive):
    import hashlib

    record = json.loads((finished.out / "provenance.json").read_text())
    files = {p.name: p for p in archive.directory.rglob("*") if p.is_file()}
    assert len(record["inputs"]) == 19
    for item in record["inputs"]:
        file = files[item["path"].rpartition("/")[2]]
        assert item["bytes"] == file.stat().st_size
        assert item["hash"] == "sha256:" + hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", ["1e400GiB", "-1GiB", "nanGiB", "much"])
def test_a_memory_that_is_no_size_is_told(cli, tmp_path, size):
    found = cli("check", tmp_path / "none.yaml", "--memory", size)
    assert found.code == 2
    assert found.err == [f"error: --memory {size}: this is no size.", "       Write it as 2GiB or 1500MB."]


def test_no_more_threads_is_no_fault_of_ours(cli, monkeypatch, tmp_path):
    from nepcube import pipeline

    def refused(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(pipeline, "check", refused)
    found = cli("check", tmp_path / "none.yaml")
    assert found.code == 2
    assert found.err[0] == "error: The system gives this process no other thread."
    assert len(found.err) == 2
