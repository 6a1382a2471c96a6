"""Workers that are lost, tasks that go on after a stop, and addresses at which there is no scheduler."""

import multiprocessing
import os
import socket
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nepcube import store
from nepcube.errors import StoreError
from nepcube.execute import RunLock, Settings, clusters, engine, kinds, lock, make_engine, on_cluster, watching
from nepcube.grid import Window, target_grid
from nepcube.places import ask_guard, guarded, place_of


@pytest.fixture(scope="module")
def client():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


class Slow:
    """A job that says when it begins, writes after a while, and keeps what it was told when it could not."""

    def __init__(self, folder, seconds):
        self.folder, self.seconds, self.refused = folder, seconds, []

    def __call__(self, n):
        (self.folder / f"begun{n}").touch()
        time.sleep(self.seconds)
        try:
            ask_guard()
        except StoreError as error:
            self.refused.append(error)
            raise
        (self.folder / f"written{n}").touch()

    def __reduce__(self):
        # workers of this process share it
        return _the_slow, (id(self),)

    def names(self, kind):
        return sorted(path.name for path in self.folder.glob(f"{kind}*"))


_SLOW = {}


def _the_slow(which):
    return _SLOW[which]


@pytest.fixture
def slow(tmp_path):
    made = []

    def make(seconds):
        job = Slow(tmp_path, seconds)
        _SLOW[id(job)] = job
        made.append(id(job))
        return job

    yield make
    for which in made:
        del _SLOW[which]


def stop_after(slow, begun, jobs):
    """Give jobs, and then Ctrl-C once so many of them are at work."""
    yield from range(jobs)
    while len(slow.names("begun")) < begun:
        time.sleep(0.01)
    raise KeyboardInterrupt


def test_a_stop_waits_for_what_workers_have_begun(client, slow, tmp_path, monkeypatch):
    # by then no worker has the third task any more
    monkeypatch.setattr(watching, "_SHORT", 0.25)
    job, said = slow(1.5), []
    with RunLock(tmp_path / "out") as held:
        with (
            pytest.raises(KeyboardInterrupt),
            on_cluster(client, say=said.append, out=tmp_path / "out", held=held.held) as cluster,
        ):
            list(cluster.map(job, stop_after(job, 2, 3)))
        written = job.names("written")
    # the third had no thread and never gets one
    assert len(written) == 2
    assert [line for line in said if line.startswith("w")] == [
        "workers: waiting for 2 task(s) that have begun, 60 seconds at most"
    ]
    time.sleep(1.7)
    assert job.names("written") == written
    assert len(job.names("begun")) == 2


def test_what_goes_on_after_the_patience_is_told_and_writes_nothing(client, slow, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_PATIENCE", 0.2)
    monkeypatch.setattr(lock, "_LOOKS", (0.0, 0.01))
    job, said = slow(2.0), []
    with (
        RunLock(tmp_path / "out") as held,
        pytest.raises(KeyboardInterrupt),
        on_cluster(client, say=said.append, out=tmp_path / "out", held=held.held) as cluster,
    ):
        list(cluster.map(job, stop_after(job, 1, 1)))
    assert not (tmp_path / "out" / ".nepcube" / "lock").exists()
    assert said[-1] == (
        "warning: 1 task(s) have not ended after 0 seconds and may still write; "
        "let them end, or end the workers, before another run"
    )
    end = time.monotonic() + 10
    while not job.refused and time.monotonic() < end:
        time.sleep(0.05)
    assert job.refused[0].what == (
        f"{tmp_path}/out: the lock of the run that sent this task was taken over or removed."
    )
    assert job.names("written") == []


def test_a_worker_that_does_not_answer_is_waited_for_no_longer_than_the_patience(monkeypatch):
    def never(*_, **__):
        raise TimeoutError

    said = []
    monkeypatch.setattr(watching, "_PATIENCE", 0.1)
    start = time.monotonic()
    watching.let_tasks_end(SimpleNamespace(sync=never), {"a", "b"}, said.append)
    assert time.monotonic() - start < 5
    assert said[0].startswith("warning: 2 task(s) have not ended")


# --- the lock, on workers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theirs", [b'{"token": "of another run"}', b"", None])
def test_a_task_of_a_run_whose_lock_is_not_there_writes_no_chunk(tmp_path, theirs, grid, monkeypatch):
    monkeypatch.setattr(lock, "_LOOKS", (0.0, 0.01))
    rows, columns = grid.shape
    for inner in (None, 16):
        out = tmp_path / f"{inner}"
        ours = store.Store(place_of(out / "cube.zarr"), grid, 32, inner)
        ours.create([store.Layout("npp", "float32", {}, yearly=False)], None)
        block = {"npp": xr.DataArray(np.ones((rows, columns), "float32"))}

        def write(_, ours=ours, block=block):
            return ours.write(block, Window(0, rows, 0, columns))

        with RunLock(out) as held:
            need = SimpleNamespace(require=lambda: None, guard=held.held.require)
            file = out / ".nepcube" / "lock"
            mine = file.read_bytes()
            file.unlink() if theirs is None else file.write_bytes(theirs)
            answer = engine._answer(write, engine._Sealed([0]), need)
            assert answer.results == []
            assert "taken over or removed" in answer.fault.what
            assert [path for path in (out / "cube.zarr" / "npp").rglob("*") if path.name != "zarr.json"] == []
            file.write_bytes(mine)
            answer = engine._answer(write, engine._Sealed([0]), need)
            assert (answer.fault, len(answer.results[0])) == (None, -(-rows // 32) * -(-columns // 32))
    ask_guard()


@pytest.fixture
def grid():
    return target_grid((0, 0, 48, 32), resolution=1, crs="EPSG:32633")


def test_a_guard_is_asked_on_the_thread_that_has_it_alone():
    asked = []
    with guarded(lambda: asked.append(threading.get_ident())):
        ask_guard()
        other = threading.Thread(target=ask_guard)
        other.start()
        other.join()
    ask_guard()
    assert asked == [threading.get_ident()]


# --- workers that are lost ------------------------------------------------------------------------------------------


def test_a_cluster_without_workers_is_told_and_ends_in_two_lines(tmp_path, monkeypatch):
    from distributed import Client, LocalCluster

    monkeypatch.setattr(clusters, "_NO_WORKER", 0.3)
    monkeypatch.setattr(engine, "_LOOK_AGAIN", 0.1)
    said = []
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        Client(cluster.scheduler_address, set_as_default=False) as client,
        on_cluster(client, say=said.append, out=tmp_path) as jobs,
        pytest.raises(StoreError) as told,
    ):
        list(jobs.map(abs, [-1]))
    assert told.value.what == f"{cluster.scheduler_address}: the cluster has had no worker for 0 seconds."
    assert told.value.way_out == "Start workers and run the same command: it continues."
    assert said[1:] == ["workers: none is left; waiting for one"]


def lose_the_worker(n):
    from distributed import get_worker

    if n == 3 and not _LOST:
        _LOST.append(n)
        worker = get_worker()
        worker.loop.add_callback(worker.close)
        time.sleep(0.3)
    return n * n


_LOST = []


def test_workers_that_are_lost_are_asked_for_again(tmp_path, monkeypatch):
    import dask
    from distributed import LocalCluster

    monkeypatch.setattr(engine, "_LOOK_AGAIN", 0.1)
    monkeypatch.setattr(watching, "_ASK_AGAIN", 0.2)
    monkeypatch.setitem(
        kinds.KINDS, "slurm", lambda _: LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    )
    _LOST.clear()
    said = []
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "100ms"}),
        make_engine(Settings(cluster={"kind": "slurm", "workers": 1}), say=said.append, out=tmp_path) as jobs,
    ):
        assert sorted(jobs.map(lose_the_worker, range(6))) == [(n, n * n) for n in range(6)]
    assert _LOST == [3]
    assert said[2:] == ["workers: none is left; waiting for one"]


def test_a_watch_tells_once_and_forgets_when_workers_are_back(monkeypatch):
    now, said, asked = [100.0], [], []
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now[0]))
    watch = watching.Watch(
        said.append, 300.0, lambda waited: StoreError(waited, ""), wanted=2, again=lambda: asked.append(now[0])
    )
    for seconds, workers in ((0, 2), (5, 0), (200, 0), (31, 1), (10, 0), (290, 0)):
        now[0] += seconds
        watch.look(workers)
    assert said == ["workers: none is left; waiting for one"] * 2
    assert asked == [105.0, 305.0, 336.0, 636.0]
    now[0] += 11
    with pytest.raises(StoreError, match="5 minutes"):
        watch.look(0)


@pytest.mark.parametrize(
    ("walltime", "lifetime", "stagger"),
    [("02:00:00", 6600, 300), ("2-00:00:00", 172200, 300), ("00:30:00", 1500, 150), ("0:01:00", 50, 5)],
)
def test_a_worker_ends_before_its_job(walltime, lifetime, stagger):
    assert kinds._lifetime(walltime) == ["--lifetime", f"{lifetime}s", "--lifetime-stagger", f"{stagger}s"]


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["foo://a:1", "tcp://h:notaport", "tcp://h", "tls://127.0.0.1:9", "mute"])
def test_no_client_is_made_where_no_scheduler_answers(address, monkeypatch):
    def made(*_, **__):
        raise AssertionError("a client")

    monkeypatch.setattr("distributed.Client", made)
    monkeypatch.setattr(clusters, "_ANSWERS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        if address == "mute":
            address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(StoreError) as told, make_engine(Settings(scheduler=address), say=lambda _: None):
            pass
        assert time.monotonic() - start < 5
    assert told.value.what.startswith(f"{address}: no Dask scheduler answers (")


def _who(_):
    time.sleep(0.2)
    return os.getpid()


def test_a_process_that_dies_while_it_starts_is_started_again(monkeypatch):
    monkeypatch.setattr(engine, "_LOOK_AGAIN", 0.5)
    before = set(multiprocessing.active_children())
    with make_engine(Settings(workers=2), say=lambda _: None) as two:
        while not (started := [c for c in multiprocessing.active_children() if c not in before]):
            time.sleep(0.01)
        started[0].kill()
        found = {result for _, result in two.map(_who, range(12))}
        assert len(two.client.nthreads()) == 2
    assert started[0].pid not in found
    assert len(found) == 2
