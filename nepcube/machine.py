"""What this process may use of the machine that it is on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def cores() -> int:
    """Count the cores that this process may use: those of its affinity, no more than the quota of its control group.

    A batch system that gives four of 64 cores sets the one or the other; a part of a core counts as one.
    """
    from dask.system import cpu_count

    return max(1, int(cpu_count()))


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
