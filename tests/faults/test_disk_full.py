"""A disk that runs full at any moment: told in two lines, and continued once there is room."""

import contextlib
import os
import random
import re
import subprocess

import pytest
from ordeal import Command, odd

KIB = 1024
TOLD = re.compile(r"error: .*: (no room is left on the disk|cannot be written \(No space left on device\))\.")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a given size: give its folder; it can be made larger."""
    mounted = []

    def make(size):
        folder = tmp_path / "disk"
        folder.mkdir()
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"no tmpfs can be mounted: {made.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def size_of(folder):
    """Give the bytes that a folder takes on a tmpfs, which gives whole pages."""
    pages = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            pages += -(-path.stat().st_size // 4096) * 4096 if path.is_file() else 0
    return pages


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(26))
@pytest.mark.parametrize("how", ["threads", "processes"])
def test_a_full_disk(finished, tools, in_small_blocks, tmp_path, small_disk, how, seed):
    rng = random.Random(seed)
    whole = size_of(in_small_blocks)
    # never so small that nothing can begin, never so large that the stages fit
    disk = small_disk(int(rng.uniform(0.02, 0.95) * whole))
    out = disk / "out"
    options = ("--workers", 2) if how == "processes" else ()
    command = Command("run", finished.recipe, "-o", out, "--block", 64, *options)
    code, lines = command.ended()
    told = "\n".join(lines)
    assert code == 2, told
    assert TOLD.fullmatch(lines[-2]), told
    assert lines[-1].startswith("       Make room"), told
    assert odd(lines[:-2]) == [], told
    assert command.nobody_left() == []
    assert not (out / ".nepcube" / "lock").exists()
    # what cannot be written is not left half there for ever
    subprocess.run(["mount", "-o", f"remount,size={16 * whole}", str(disk)], check=True)
    tools.do_stages(finished.recipe, out, block=64)
    assert tools.chunk_files(out) == tools.chunk_files(in_small_blocks)
    tools.same_tables(out, in_small_blocks)
    assert os.path.ismount(disk)
