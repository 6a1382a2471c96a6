"""The memory that a process may use, and how what is no longer used goes back to the system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# of malloc.h of the GNU C library
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 2**20


@lru_cache(maxsize=1)
def give_back_memory() -> bool:
    """Have malloc map each array of a megabyte or more by itself, and unmap it when it is freed; tell whether it does.

    The GNU C library raises its threshold to the size of whatever mapped piece is freed, up to 32 MiB. From then on
    decoded tiles and blocks come from its arenas, one for each thread, whose holes it keeps: the resident memory of a
    run rises in steps for as long as new arrangements of sizes occur, and so with the area. A threshold that is set
    stays.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        # another C library has another malloc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_TRIM_THRESHOLD, 2 * _LARGE))


def memory_there() -> int | None:
    """Give the bytes that a run may use: the machine's, or what a batch job or a container is held to.

    None where the system does not say.
    """
    found = list(_limits())
    # another system names them otherwise
    with contextlib.suppress(AttributeError, OSError, ValueError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min((n for n in found if n > 0), default=None)


def _limits(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    # the group of the process and all above it, of either version of control groups
    try:
        lines = groups.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        if kinds not in ("", "memory"):
            continue
        folder, name = (root, "memory.max") if kinds == "" else (root / "memory", "memory.limit_in_bytes")
        inner = folder.joinpath(*Path(place).parts[1:])
        for one in (inner, *inner.parents):
            # "max", or none of its own
            with contextlib.suppress(OSError, ValueError):
                yield int((one / name).read_text())
            if one == folder:
                break
