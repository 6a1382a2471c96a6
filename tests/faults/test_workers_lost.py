"""Workers and schedulers that die in the middle of a run."""

import os
import random
import signal
import time

import psutil
import pytest
from grid import Grid
from ordeal import LINES, STOPPED, Command, odd

from nepcube.execute import RunLock

KILLS = 5
#: lines of a run after which workers have nothing to do any more
WORK = LINES - 6


def kill_workers(command, workers, rng, count):
    """SIGKILL a worker at random moments of a run, each after the other is back; gives how many died."""
    died = 0
    for lines in sorted(rng.choices(range(2, WORK), k=count)):
        if not command.after(lines, rng.random() * 0.3, 0.0):
            break
        there = workers()
        if there:
            victim = rng.choice(there)
            try:
                victim.kill()
                died += 1
            except psutil.NoSuchProcess:
                continue
    return died


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("how", ["processes", "cluster"])
def test_a_run_goes_on_without_a_worker(finished, tools, in_small_blocks, tmp_path, request, how, seed):
    rng = random.Random(seed)
    grid = request.getfixturevalue("grid") if how == "cluster" else None
    died, round_ = 0, 0
    while died < KILLS:
        round_ += 1
        out = tmp_path / f"out{round_}"
        options = ("--workers", 2) if grid is None else ("--scheduler", grid.address)
        command = Command("run", finished.recipe, "-o", out, "--block", 64, *options)
        died += kill_workers(command, command.workers if grid is None else grid.workers, rng, KILLS - died)
        code, lines = command.ended(240)
        assert (code, odd(lines)) == (0, []), "\n".join(lines)
        assert command.nobody_left() == []
        assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
        tools.same_tables(out, in_small_blocks)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_the_scheduler_is_killed(finished, tools, in_small_blocks, tmp_path, seed):
    rng = random.Random(seed)
    grid = Grid(tmp_path / "grid")
    out = tmp_path / "out"
    try:
        command = Command("run", finished.recipe, "-o", out, "--block", 64, "--scheduler", grid.address)
        assert command.after(rng.randint(1, WORK - 8), rng.random() * 0.3, 0.0)
        os.kill(grid.scheduler.pid, signal.SIGKILL)
        code, lines = command.ended()
        # where no worker is needed any more, none is missed
        assert code in (0, 2), "\n".join(lines)
        if code == 2:
            assert lines[-2:] == [
                f"error: {grid.address}: the Dask scheduler is gone.",
                "       Start it again, or another, and run the same command: it continues.",
            ], "\n".join(lines)
            lines = lines[:-2]
        assert odd(lines) == [], "\n".join(lines)
        assert command.nobody_left() == []
        assert not (out / ".nepcube" / "lock").exists()
    finally:
        grid.close()
    tools.do_stages(finished.recipe, out, block=64)
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
    tools.same_tables(out, in_small_blocks)


@pytest.mark.slow
def test_a_scheduler_without_workers_is_told(finished, tmp_path):
    grid = Grid(tmp_path / "grid", workers=False)
    try:
        command = Command("run", finished.recipe, "-o", tmp_path / "out", "--scheduler", grid.address)
        code, lines = command.ended()
    finally:
        grid.close()
    assert code == 2
    assert lines == [
        f"error: {grid.address}: the scheduler has no worker.",
        f"       Start `dask worker {grid.address}`.",
    ]
    assert not (tmp_path / "out").exists()


SLOW = """
import time
from nepcube.store.writing import Store

# dask loads it more than once
if not hasattr(Store, "write_at_once"):
    Store.write_at_once = Store.write

    def slowly(self, *given, **options):
        time.sleep(4)
        return self.write_at_once(*given, **options)

    Store.write = slowly
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_written_after_the_lock_is_gone(finished, tmp_path, monkeypatch, number):
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", f"['{tmp_path / 'slow.py'}']")
    grid = Grid(tmp_path / "grid")
    monkeypatch.delenv("DASK_DISTRIBUTED__WORKER__PRELOAD")
    out = tmp_path / "out"

    def chunks():
        return {str(file.relative_to(out)) for file in out.glob("cube.zarr/npp/c/*/*/*")}

    try:
        command = Command("run", finished.recipe, "-o", out, "--block", 64, "--scheduler", grid.address)
        end = time.monotonic() + 60
        while not chunks():
            assert time.monotonic() < end, "\n".join(command.lines)
            time.sleep(0.05)
        # the next ones have begun
        time.sleep(1.5)
        os.kill(command.process.pid, number)
        code, lines = command.ended()
        assert odd(lines) == [], "\n".join(lines)
        if number == signal.SIGINT:
            assert (code, lines[-2:]) == (130, STOPPED)
            assert lines[-3] == "workers: waiting for 2 task(s) that have begun, 60 seconds at most"
            assert not (out / ".nepcube" / "lock").exists()
        with RunLock(out):
            before = chunks()
            time.sleep(8)
            assert chunks() == before
    finally:
        grid.close()
