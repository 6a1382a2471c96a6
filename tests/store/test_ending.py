"""What a stop leaves under way in zarr's own thread ends before the process does."""

import subprocess
import sys

import pytest

STOPPED_IN_THE_MIDDLE = """
import signal, sys, threading, time, os
import numpy as np, zarr
from zarr.storage import LocalStore, WrapperStore
from nepcube import store
from nepcube.execute import Stopped, stopping

ended = []

class Slow(WrapperStore):
    async def set(self, key, value):
        import asyncio
        await asyncio.sleep(0.3)
        await super().set(key, value)
        ended.append(key)

array = zarr.create_array(Slow(LocalStore(sys.argv[1])), shape=(8, 4), chunks=(1, 4), dtype="f4", overwrite=False,
                          config={"write_empty_chunks": True})
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
try:
    with stopping():
        array[...] = np.ones((8, 4), "f4")
    print("not stopped")
except Stopped:
    before = len(ended)
    if sys.argv[2] == "wait":
        store.let_end()
    print(before, len(ended))
"""


@pytest.mark.parametrize("how", ["wait", "leave"])
def test_a_stopped_write_ends_and_nothing_is_said(tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_IN_THE_MIDDLE, tmp_path / "a.zarr", how],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    before, after = map(int, done.stdout.split())
    if how == "wait":
        assert (before, after) == (1, 9)  # the array's metadata, then its eight chunks
        assert done.stderr == ""
    else:
        assert after < 9
        assert "destroyed but it is pending" in done.stderr


def test_without_zarr_there_is_nothing_to_wait_for():
    code = "import sys; from nepcube.store.ending import let_end; let_end(); print('zarr' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
