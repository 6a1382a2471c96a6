"""Jobs, windows of them, faults in them; one run at a time; signals."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from nepcube.errors import SpecError, StoreError
from nepcube.execute import RunLock, Settings, Stopped, make_engine, stopping
from nepcube.execute.engine import Cluster, Threads


def square(n):
    return n * n


def in_order_of_end(n):
    time.sleep(0.02 * (n % 3))
    return n


class Faulty:
    def __init__(self, at, error):
        self.at, self.error, self.seen = at, error, []

    def __call__(self, n):
        self.seen.append(n)
        if n == self.at:
            raise self.error
        time.sleep(0.002)
        return n


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 50])
def test_every_job_is_done_once(width, count):
    assert sorted(Threads(width).map(square, range(count))) == [(n, n * n) for n in range(count)]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_no_more_jobs_are_taken_than_the_window(width):
    taken = []

    def jobs():
        for n in range(60):
            taken.append(n)
            yield n

    delivered = 0
    for _ in Threads(width).map(in_order_of_end, jobs()):
        delivered += 1
        assert len(taken) - delivered <= width + 1
    assert delivered == 60


def test_no_more_jobs_run_than_the_width():
    running, most, lock = [], [0], threading.Lock()

    def job(n):
        with lock:
            running.append(n)
            most[0] = max(most[0], len(running))
        time.sleep(0.01)
        with lock:
            running.remove(n)

    list(Threads(3).map(job, range(30)))
    assert most[0] == 3


@pytest.mark.parametrize("error", [SpecError("what", "way"), ValueError("x"), KeyboardInterrupt()])
def test_a_fault_in_a_job_comes_out_and_ends_the_rest(error):
    job = Faulty(5, error)
    with pytest.raises(type(error)):
        list(Threads(2).map(job, range(1000)))
    assert len(job.seen) < 15


def test_a_fault_in_the_making_of_jobs_comes_out():
    def jobs():
        yield 1
        yield 2
        yield 3
        yield 4
        raise SpecError("what", "way")

    before = threading.active_count()
    with pytest.raises(SpecError):
        list(Threads(2).map(square, jobs()))
    assert threading.active_count() <= before


def test_leaving_early_ends_the_threads():
    before = threading.active_count()
    for _ in Threads(2).map(in_order_of_end, range(10_000)):
        break
    time.sleep(0.2)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_two_lines(code):
    error = OSError(code, os.strerror(code), "/some/where/c/0/0")
    with pytest.raises(StoreError) as told:
        list(Threads(2).map(Faulty(1, error), range(9)))
    assert "/some/where/c/0/0" in told.value.what
    assert len(str(told.value).splitlines()) == 2


def test_another_os_error_stays_what_it_is():
    with pytest.raises(PermissionError):
        list(Threads(2).map(Faulty(1, PermissionError(errno.EACCES, "no")), range(9)))


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield Cluster(client)


class Submitted:
    """Counts the jobs of each task that a cluster is given."""

    def __init__(self, engine, monkeypatch):
        self.sizes, submit = [], engine.client.submit

        def counted(function, called, sealed, *rest, **options):
            self.sizes.append(len(sealed.opened()))
            return submit(function, called, sealed, *rest, **options)

        monkeypatch.setattr(engine.client, "submit", counted)


def test_a_cluster_takes_no_more_long_jobs_than_the_window(cluster, monkeypatch):
    monkeypatch.setattr("nepcube.execute.engine._TASK_SECONDS", 0.0)
    assert cluster.width == 2
    taken, got = [], []

    def jobs():
        for n in range(40):
            taken.append(n)
            yield n

    for delivered, pair in enumerate(cluster.map(square, jobs()), start=1):
        got.append(pair)
        assert len(taken) - delivered <= 2 * cluster.width
    assert sorted(got) == [(n, n * n) for n in range(40)]


def test_short_jobs_go_to_a_cluster_together(cluster, monkeypatch):
    told = Submitted(cluster, monkeypatch)
    assert sorted(cluster.map(square, range(400))) == [(n, n * n) for n in range(400)]
    assert sum(told.sizes) == 400
    assert len(told.sizes) < 100
    assert 8 < max(told.sizes) <= 32


def slow_at_last(n):
    time.sleep(0.06 if n >= 60 else 0)
    return n


def test_a_task_gives_back_what_it_has_no_time_for(cluster, monkeypatch):
    monkeypatch.setattr("nepcube.execute.engine._TASK_SECONDS", 0.05)
    told = Submitted(cluster, monkeypatch)
    assert sorted(n for n, _ in cluster.map(slow_at_last, range(80))) == list(range(80))
    assert sum(told.sizes) > 80
    assert told.sizes[-1] == 1


@pytest.mark.parametrize(
    ("at", "error", "kind"),
    [(3, SpecError("what", "way"), SpecError), (9, OSError(errno.ENOSPC, "full", "x"), StoreError)],
)
def test_a_fault_on_a_cluster_comes_out_after_what_was_done_before_it(cluster, at, error, kind):
    done = []

    def all_of_them():
        for n, _ in cluster.map(Faulty(at, error), range(200)):
            done.append(n)

    with pytest.raises(kind):
        all_of_them()
    assert at not in done
    assert len(done) < 200


@pytest.mark.slow
def test_a_scheduler_that_does_not_answer():
    with (
        pytest.raises(StoreError, match=r"tcp://127\.0\.0\.1:9"),
        make_engine(Settings(scheduler="tcp://127.0.0.1:9"), say=lambda _: None),
    ):
        pass


# --- lock -----------------------------------------------------------------------------------------------------------


def hold(folder, seconds=60):
    """Another process that holds the lock; gives it once it does."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom nepcube.execute import RunLock\n"
        "with RunLock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(float(sys.argv[2]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path):
    other = hold(tmp_path)
    try:
        with pytest.raises(StoreError) as told, RunLock(tmp_path):
            pass
        assert str(other.pid) in told.value.what
        assert socket.gethostname() in told.value.what
    finally:
        other.kill()
        other.wait()
    # killed: its lock is there and holds nobody up
    assert (tmp_path / ".nepcube" / "lock").exists()
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".nepcube" / "lock").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".nepcube" / "lock").exists()


def test_two_runs_of_one_process_are_two_runs(tmp_path):
    with RunLock(tmp_path):
        raised = []

        def second():
            try:
                with RunLock(tmp_path):
                    pass
            except StoreError as error:
                raised.append(error)

        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        assert raised


@pytest.mark.parametrize("content", ["", "{", '{"host": "elsewhere", "pid": 1}'])
def test_an_old_lock_of_any_content_holds_nobody_up(tmp_path, content):
    file = tmp_path / ".nepcube" / "lock"
    file.parent.mkdir()
    file.write_text(content)
    os.utime(file, (time.time() - 3600,) * 2)
    with RunLock(tmp_path):
        pass


def test_a_fresh_lock_of_another_host_holds(tmp_path):
    file = tmp_path / ".nepcube" / "lock"
    file.parent.mkdir()
    file.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    with pytest.raises(StoreError, match="elsewhere"), RunLock(tmp_path):
        pass


# --- signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_become_one_exception(number, code):
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as told, stopping():
        signal.raise_signal(number)
    assert told.value.exit_code == code
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once(tmp_path):
    code = (
        "import time\nfrom nepcube.execute import stopping\n"
        "with stopping():\n    try:\n        print('ready', flush=True)\n        time.sleep(30)\n"
        "    finally:\n        print('ending', flush=True)\n        time.sleep(30)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 143


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work():
        with stopping():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
