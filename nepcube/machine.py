"""What this process may use of the machine that it is on."""

from __future__ import annotations


def cores() -> int:
    """Count the cores that this process may use: those of its affinity, no more than the quota of its control group.

    A batch system that gives four of 64 cores sets the one or the other; a part of a core counts as one.
    """
    from dask.system import cpu_count

    return max(1, int(cpu_count()))
