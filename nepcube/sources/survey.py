"""Opening many headers side by side, and telling the good files from the broken ones.

Each library that opens them is called as it stands it: HDF4 and classic NetCDF hold a lock of the process in their own
rooms, HDF5 and GDAL do not need one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nepcube.errors import NepcubeError
from nepcube.sources.protocol import Finding

T = TypeVar("T")
_THREADS = 8


def open_all(paths: Sequence[str], look: Callable[[str], T]) -> list[T]:
    """Look at every file, side by side, and give what was seen in their order; the first fault is raised."""
    if len(paths) == 1:
        return [look(paths[0])]
    with ThreadPoolExecutor(min(_THREADS, 2 * (os.cpu_count() or 1))) as pool:
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
    return Finding("broken", path, error.what.removeprefix(f"{path}: "), error.way_out)
