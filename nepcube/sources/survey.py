"""Opening many headers side by side, and telling the good files from the broken ones.

Each library that opens them is called as it stands it: HDF4 and classic NetCDF hold a lock of the process in their own
rooms, HDF5 and GDAL do not need one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nepcube.errors import NepcubeError
from nepcube.machine import cores
from nepcube.places import public
from nepcube.sources.protocol import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")
_THREADS = 8


def open_all(paths: Sequence[str], look: Callable[[str], T]) -> list[T]:
    """Look at every file, side by side, and give what was seen in their order; the first fault is raised."""
    if len(paths) == 1:
        return [look(paths[0])]
    with ThreadPoolExecutor(min(_THREADS, 2 * cores())) as pool:
        futures = [pool.submit(look, path) for path in paths]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def survey(paths: Sequence[str], look: Callable[[str], T]) -> tuple[list[T], list[Finding]]:
    """Look at every file, side by side; give what was seen of the good ones, and a finding for each of the others."""

    def one(path: str) -> T | Finding:
        try:
            return look(path)
        except NepcubeError as error:
            return broken(path, error)

    seen = open_all(paths, one)
    good = [x for x in seen if not isinstance(x, Finding)]
    return good, [x for x in seen if isinstance(x, Finding)]


def broken(path: str, error: NepcubeError) -> Finding:
    """Make the finding of a file that cannot be used."""
    return Finding("broken", path, error.what.removeprefix(f"{public(path)}: "), error.way_out)


def overlaps(held: Sequence[tuple[str, NDArray[Any]]]) -> list[Finding]:
    """Find the files that hold a time which one before them holds too."""
    seen: dict[Any, str] = {}
    out = []
    for path, time in held:
        twice: dict[str, list[Any]] = {}
        for stamp in time.astype("datetime64[ns]").tolist():
            if stamp in seen:
                twice.setdefault(seen[stamp], []).append(stamp)
            else:
                seen[stamp] = path
        for other, which in twice.items():
            first = str(np.datetime64(min(which), "ns"))[:10]
            out.append(
                Finding(
                    "overlaps",
                    path,
                    f"holds {len(which)} time(s) that {os.path.basename(other)} holds too, such as {first}",
                    "Keep one of the two files, unless their values are equal.",
                )
            )
    return out
