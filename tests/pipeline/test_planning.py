"""What is planned before a run: memory, blocks, bytes, time; and what a budget makes of them."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nepcube import machine
from nepcube.errors import RecipeError
from nepcube.execute import Settings, give_back_memory
from nepcube.pipeline import Options, planning
from nepcube.pipeline.calibrating import STATED, calibrate, measure
from nepcube.pipeline.estimating import estimate
from nepcube.pipeline.needs import MIB, job_of, maps_of, needs_of
from nepcube.pipeline.planning import make_plan, settle
from nepcube.recipe import Recipe, Uncertainty, load_recipe
from nepcube.store import Sides

RECIPES = Path(__file__).parents[2] / "recipes"
SHAPE = (8192, 8192)


@pytest.fixture
def recipe():
    return recipe_of()


def recipe_of(basis="annual", years=(2001, 2020), **sources):
    readers = {
        "npp": {"reader": "mod17a3hgf", "path": "mod17/*.hdf"},
        "temperature": {"reader": "era5-land", "path": "era5/*.nc"},
        "precipitation": {"reader": "chirps", "path": "chirps/*.nc"},
        "radiation": {"reader": "era5-land", "path": "era5/*.nc"},
    }
    return Recipe.model_validate(
        {
            "recipe": 1,
            "name": "planned",
            "period": years,
            "grid": {"bounds": (90, 30, 100, 40)},
            "sources": readers | sources,
            "respiration": {"basis": basis},
        }
    )


def test_memory_does_not_depend_on_the_area(recipe):
    plans = [make_plan(recipe, (n, n), Options(block=512)) for n in (2048, 4096, 16384)]
    assert len({(p.memory.ingest, p.memory.analyse) for p in plans}) == 1
    assert [p.blocks for p in plans] == [16, 64, 1024]
    assert [p.bytes_cube for p in plans] == [n * n * 20 * (6 * 4 + 1) for n in (2048, 4096, 16384)]


def test_memory_is_linear_in_years_and_in_jobs():
    sides = Sides(512)
    one, two, three = (job_of(recipe_of(years=(2001, 2000 + n)), 512, sides).analyse for n in (10, 20, 30))
    assert two - one == three - two == 512 * 512 * 10 * 4 * 6.25
    peaks = [needs_of(recipe_of(), 512, sides, threads=n, processes=None).analyse for n in (1, 2, 3)]
    assert peaks[1] - peaks[0] == peaks[2] - peaks[1] == two


def test_months_cost_no_more_than_statistics_and_days_do():
    sides = Sides(512)
    found = [job_of(recipe_of(basis), 512, sides).analyse for basis in ("annual", "monthly", "daily")]
    assert found[0] <= found[1] < 1.07 * found[0]
    assert found[2] > 2 * found[0]


def test_errors_of_nep_cost_their_maps_and_sums():
    sides = Sides(512)
    coefficients = {"scale": 0.1, "temperature": 0.2, "precipitation": 0.2, "share": 0.1}
    section = {"npp": {"systematic": 0.1, "by_cell": 0.0, "by_cell_year": 0.0}, "respiration": coefficients}
    # a whole analysis of 510 x 510 cells and 20 years was measured to take so many MiB more
    for basis, measured in (("annual", 39), ("monthly", 45)):
        plain = recipe_of(basis)
        stated = plain.model_copy(update={"uncertainty": Uncertainty.model_validate(section)})
        # four of the error, two of NPP, and one of each coefficient that is in error
        assert maps_of(stated) - maps_of(plain) == 10
        more = job_of(stated, 512, sides).analyse - job_of(plain, 512, sides).analyse
        assert measured * MIB <= more < 2 * measured * MIB
        assert job_of(stated, 512, sides).ingest == job_of(plain, 512, sides).ingest


def test_a_budget_takes_smaller_blocks_before_fewer_threads(monkeypatch):
    monkeypatch.setattr("dask.system.cpu_count", lambda: 4)
    # of so few years the blocks of ingest are the most
    recipe = recipe_of(years=(2001, 2009))

    def least(block, threads):
        return needs_of(recipe, block, Sides(512), threads=threads, processes=None, first=True).most

    for threads in (4, 3, 2, 1):
        for block in (1024, 512):
            settings, options = settle(recipe, Options(memory=least(block, threads)), shape=SHAPE)
            assert (settings, options.block) == (Settings(threads=threads), block)
            settings, options = settle(recipe, Options(memory=least(block, threads) - 1), shape=SHAPE)
            assert (settings.threads, options.block) != (threads, block)
    # below that chunks are made smaller, of a store that is not there
    assert least(512, 1) < least(1024, 1)
    settings, options = settle(recipe, Options(memory=least(512, 1) - 1), shape=SHAPE)
    assert options.block == 256


def test_processes_that_do_not_fit_become_threads(recipe):
    assert settle(recipe, Options(workers=2, memory=2 * 2**30), shape=SHAPE)[0] == Settings(workers=2)
    assert settle(recipe, Options(workers=2, memory=2**30), shape=SHAPE)[0] == Settings(threads=2)
    assert settle(recipe, Options(workers=2), shape=SHAPE)[0] == Settings(workers=2)


def test_a_block_that_was_asked_for_is_kept(recipe):
    with pytest.raises(RecipeError) as fault:
        settle(recipe, Options(memory=500 * MIB, block=512), shape=SHAPE)
    assert re.fullmatch(r"--memory 500 MiB: this recipe needs (\d+) MiB, with one job at a time\.", fault.value.what)
    least = int(re.search(r"needs (\d+) MiB", fault.value.what)[1])
    assert fault.value.way_out == f"Allow at least {least} MiB, or leave --block out."
    assert settle(recipe, Options(memory=least * MIB, block=512), shape=SHAPE)[1].block == 512
    assert settle(recipe, Options(memory=500 * MIB), shape=SHAPE)[1].block < 512


def test_estimate_from_given_rates(recipe):
    rates = replace(STATED, ingest=1e-6, analyse=2e-6, chunk=0.5, job=0.25, packed=0.5)
    plan = make_plan(recipe, (1024, 2048), replace(Options(), workers=1, block=512))
    found = estimate(recipe, plan, rates, (), (90.0, 30.0, 100.0, 40.0))
    tiles = 5
    cells = 1024 * 2048 * 20
    assert plan.threads == 1
    assert found.missing
    # a tile and year 10 MB; months of temperature and radiation on 0.1 degree, of rain on 0.05
    assert found.bytes_in == pytest.approx(tiles * 20 * 10e6 + (2 * 100 / 0.01 + 100 / 0.0025) * 12 * 20 * 4)
    assert found.bytes_out == (plan.bytes_cube + plan.bytes_statistics) / 2
    assert found.ingest == pytest.approx(cells * 1e-6 + 8 * 20 * 0.25 + tiles * 20 * 0.12)
    assert found.analyse == pytest.approx(cells * 2e-6 + 8 * 0.5)
    two = estimate(recipe, replace(plan, threads=2), rates, (), (90.0, 30.0, 100.0, 40.0))
    assert two.analyse == pytest.approx(found.analyse / 1.7)


def test_without_patience_the_figures_of_another_machine_are_told(recipe):
    assert calibrate(recipe, patience=0.001) == STATED
    assert "another machine" in STATED.stands_on


@pytest.mark.slow
@pytest.mark.parametrize("name", ["china", "three-river-headwaters"])
@pytest.mark.parametrize("basis", ["annual", "daily"])
def test_rates_of_this_machine(name, basis):
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    recipe = recipe.model_copy(update={"respiration": recipe.respiration.model_copy(update={"basis": basis})}).at(
        recipe.base
    )
    rates = measure(recipe)
    assert 0 < rates.ingest < 1e-4
    assert 0 < rates.analyse < 1e-2
    assert 0 < rates.chunk < 10
    assert 0.01 < rates.packed < 1
    assert calibrate(recipe, patience=600).stands_on == rates.stands_on != STATED.stands_on


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cells"), [("china", "110.66"), ("global", "2569.69")])
def test_a_plan_of_a_continent_takes_little_memory(name, cells):
    code = (
        "import resource, sys\n"
        "from nepcube.cli import main\n"
        f"sys.argv = ['nepcube', 'check', {str(RECIPES / (name + '.yaml'))!r}]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    most = [resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "    print('peaks', *most)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"plan    {cells} million cells" in done.stdout
    for word in ("bytes   about", "files", "memory  about", "time    about"):
        assert word in done.stdout, word
    own, child = (int(n) * 1024 for n in done.stdout.split("peaks ")[1].split())
    assert own < 400 * MIB
    assert child < 400 * MIB


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of the GNU C library")
def test_memory_is_given_back():
    assert give_back_memory()


def test_the_sums_are_of_one_chunk_whatever_the_block():
    few, many = (job_of(recipe_of(), block, Sides(512)).aggregate for block in (512, 1024))
    assert few == many
    years = [job_of(recipe_of(years=(2001, 2000 + n)), 512, Sides(512)).aggregate for n in (10, 20)]
    assert years[1] - years[0] == 512 * 512 * 10 * 5


def test_without_a_budget_a_run_takes_what_is_there(recipe, monkeypatch):
    monkeypatch.setattr(planning, "memory_there", lambda: 700 * MIB)
    said = []
    settings, options = settle(recipe, Options(workers=4), shape=SHAPE, say=said.append)
    assert settings.workers is None
    need = needs_of(recipe, options.block, Sides(512), threads=settings.threads, processes=None, first=True).most
    assert need <= 0.9 * 700 * MIB
    assert said == [f"memory: {settings.threads} job(s) at once, in blocks of {options.block}, fit into 700 MiB"]
    monkeypatch.setattr(planning, "memory_there", lambda: 100 * MIB)
    settings, _ = settle(recipe, Options(), shape=SHAPE, say=said.append)
    assert settings.threads == 1
    assert said[-1].startswith("warning: this recipe needs ")
    for there in (None, 64 * 2**30):
        monkeypatch.setattr(planning, "memory_there", lambda there=there: there)
        assert settle(recipe, Options(workers=2), shape=SHAPE, say=pytest.fail)[0] == Settings(workers=2)


@pytest.mark.parametrize(
    ("lines", "files", "least"),
    [
        (["0::/job/step"], {"job/memory.max": "3000", "job/step/memory.max": "max", "memory.max": "9000"}, 3000),
        (["4:cpu,cpuacct:/job", "3:memory:/job"], {"memory/job/memory.limit_in_bytes": "2000"}, 2000),
        (["0::/"], {"memory.max": "max"}, None),
        (["0::/gone"], {}, None),
    ],
)
def test_the_memory_of_a_batch_job_is_seen(tmp_path, lines, files, least):
    groups, root = tmp_path / "cgroup", tmp_path / "sys"
    groups.write_text("\n".join(lines) + "\n")
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    assert min(machine._limits(groups, root), default=None) == least
    assert min(machine._limits(tmp_path / "none", root), default=None) is None


def test_a_cluster_is_planned_by_its_workers(recipe):
    section = {"kind": "slurm", "workers": 8, "cores": 4, "walltime": "02:00:00"}

    def asking(memory):
        given = recipe.model_dump(mode="json", exclude_unset=True) | {"cluster": section | {"memory": memory}}
        return Recipe.model_validate(given)

    plan = make_plan(asking("16GiB"), SHAPE, Options())
    assert (plan.on_cluster, plan.processes, plan.each, plan.threads) == (True, 8, 4, 32)
    job = job_of(recipe, 1024, Sides(512)).analyse
    assert 4 * job < plan.memory.analyse < 4 * job + 500 * MIB
    with pytest.raises(RecipeError) as fault:
        settle(asking("500MiB"), Options(), shape=SHAPE)
    least = int(re.search(r"needs (\d+) MiB, and has 500MiB", fault.value.what)[1])
    assert settle(asking(f"{least}MiB"), Options(), shape=SHAPE)
    with pytest.raises(RecipeError, match="workers of a cluster"):
        settle(asking("16GiB"), Options(memory=2**30), shape=SHAPE)
    with pytest.raises(RecipeError, match="workers of a cluster"):
        settle(recipe, Options(memory=2**30, scheduler="tcp://h:1"), shape=SHAPE)
    # own processes instead of the recipe's cluster
    assert not make_plan(asking("500MiB"), SHAPE, Options(workers=2)).on_cluster
