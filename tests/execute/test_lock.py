"""The lock on a folder and in a bucket: who may come, who is refused, who learns that it was taken over."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from nepcube.errors import StoreError
from nepcube.execute import RunLock, lock
from nepcube.places import place_of

HOLD = """
import sys, time
from nepcube.execute import RunLock
with RunLock(sys.argv[1]):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["local", "s3"])
def out(request, tmp_path):
    return place_of(request.getfixturevalue("s3").url if request.param == "s3" else tmp_path / "out")


def hold(out):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def owner(out):
    return json.loads((out / ".nepcube/lock").read())


def test_one_of_two_processes_has_it_and_the_other_is_told_whom(out):
    other = hold(out)
    try:
        since = owner(out)["started"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", since)
        with pytest.raises(StoreError) as told, RunLock(out):
            pass
        assert told.value.what == (
            f"{out}: a run is at work there (process {other.pid} on {os.uname().nodename} since {since})."
        )
        assert owner(out)["pid"] == other.pid
    finally:
        other.kill()
        other.wait()
    # it is dead: nobody waits for it
    assert owner(out)["pid"] == other.pid
    with RunLock(out):
        assert owner(out)["pid"] == os.getpid()
    assert not (out / ".nepcube/lock").exists()


def test_a_number_that_another_process_has_now_holds_nobody_up(out):
    here = {**lock._here(), "pid": os.getppid(), "born": "1"}
    (out / ".nepcube/lock").write_text(json.dumps(here))
    with RunLock(out):
        pass
    (out / ".nepcube/lock").write_text(json.dumps({**here, "born": lock._born(os.getppid())}))
    with pytest.raises(StoreError, match=f"process {os.getppid()}"), RunLock(out):
        pass


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"space": "pid:[1]"}, {"boot": "another"}])
def test_of_another_host_or_container_only_the_heartbeat_counts(out, monkeypatch, change):
    # its process number says nothing here
    (out / ".nepcube/lock").write_text(json.dumps({**lock._here(), "pid": 2**22 + 1, **change}))
    with pytest.raises(StoreError, match="a run is at work there"), RunLock(out):
        pass
    monkeypatch.setattr(lock, "_STALE", -5.0)
    with RunLock(out):
        pass


def test_a_run_learns_that_its_lock_was_taken_over(out, monkeypatch):
    with RunLock(out) as mine:
        mine.require()
        mine._beat()
        mine.require()
        assert owner(out)["beats"] == 1
        theirs = json.dumps({"host": "elsewhere", "pid": 7})
        (out / ".nepcube/lock").write_text(theirs)
        mine._beat()
        for _ in range(2):
            with pytest.raises(StoreError) as told:
                mine.require()
            assert told.value.what == (
                f"{out}: the lock of this run was taken over or removed by process 7 on elsewhere."
            )
    # and leaves it alone
    assert (out / ".nepcube/lock").read_text() == theirs


def test_a_run_that_slept_asks_before_it_goes_on(out, monkeypatch):
    with RunLock(out) as mine:
        (out / ".nepcube/lock").delete()
        mine.require()
        monkeypatch.setattr(lock, "_elapsed", lambda now=time.monotonic: now() + 10**9)
        with pytest.raises(StoreError, match="taken over or removed by somebody"):
            mine.require()


def test_a_run_that_lost_its_lock_writes_nothing_more(finished, tmp_path):
    from nepcube import pipeline

    def take(stage, done, total, detail=""):
        if done == 2:
            (place_of(tmp_path / "out") / ".nepcube/lock").write_text(json.dumps({"host": "elsewhere", "pid": 7}))
            for held in locks:
                held._beat()

    locks = []
    entered = RunLock.__enter__

    def enter(self):
        locks.append(self)
        return entered(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunLock, "__enter__", enter)
        with pytest.raises(StoreError, match="taken over or removed by process 7 on elsewhere"):
            pipeline.run_stage("ingest", finished.recipe, tmp_path / "out", progress=take)
    assert not pipeline.status(tmp_path / "out").stages[0][1]
    assert owner(place_of(tmp_path / "out"))["pid"] == 7


def test_of_two_that_take_over_a_dead_lock_at_once_one_has_it(tmp_path, monkeypatch):
    # a file system that holds nobody off between looking and writing
    from nepcube.places import local

    monkeypatch.setattr(local, "_alone", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(lock, "_STALE", -5.0)
    out = place_of(tmp_path / "out")
    (out / ".nepcube/lock").write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    both = threading.Barrier(2)
    exchange, look, told = local.LocalPlace.exchange, local.LocalPlace.look, []
    first = threading.local()

    def looked(self):
        seen = look(self)
        if getattr(first, "exchanging", False):
            first.exchanging = False
            both.wait(10)
        return seen

    def exchanged(self, stamp, content):
        first.exchanging = not hasattr(first, "exchanging")
        return exchange(self, stamp, content)

    monkeypatch.setattr(local.LocalPlace, "look", looked)
    monkeypatch.setattr(local.LocalPlace, "exchange", exchanged)

    def run():
        try:
            with RunLock(out) as held:
                ends.wait(10)
                held.require()
                told.append("held")
        except StoreError as error:
            told.append(error.what)
            ends.wait(10)

    ends = threading.Barrier(2)
    threads = [threading.Thread(target=run) for _ in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    (refused,) = [one for one in told if one != "held"]
    assert len(told) == 2
    assert refused.startswith(f"{out}: a run is at work there (process {os.getpid()} on ")
    assert not (out / ".nepcube/lock").exists()
