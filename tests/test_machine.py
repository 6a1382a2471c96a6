"""What a process may use of its machine."""

import builtins
import io
import os

import pytest

from nepcube.execute import Settings, make_engine
from nepcube.machine import cores


@pytest.fixture
def one_core():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("needs a system that binds processes to cores")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_a_process_that_is_bound_to_one_core_has_one(one_core):
    assert cores() == 1
    with make_engine(Settings(), say=lambda _: None) as engine:
        assert (engine.width, engine.threads) == (1, 1)


@pytest.mark.parametrize(("quota", "whole"), [("150000 100000", 2), ("400000 100000", 4), ("1000 100000", 1)])
def test_a_quota_of_the_control_group_is_the_most(quota, whole, monkeypatch):
    files = {"/proc/self/cgroup": "0::/job\n", "/sys/fs/cgroup/job/cpu.max": f"{quota}\n"}
    opened = builtins.open

    def instead(file, *rest, **options):
        if str(file).startswith("/sys/fs/cgroup/cpu") and str(file) not in files:
            raise FileNotFoundError(file)
        return io.StringIO(files[file]) if file in files else opened(file, *rest, **options)

    monkeypatch.setattr("dask.system.LINUX", True)
    monkeypatch.setattr("dask.system.psutil", None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setattr(builtins, "open", instead)
    assert cores() == whole
    files["/sys/fs/cgroup/job/cpu.max"] = "max 100000\n"
    assert cores() == 64
