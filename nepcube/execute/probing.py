"""What the workers of a cluster must have: this version of everything that matters, and the folder of the output."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from nepcube._version import __version__
from nepcube.errors import StoreError
from nepcube.execute.lock import Held

# what is sent to workers is made by these, and what they compute depends on them
_PACKAGES = ("dask", "distributed", "numpy", "xarray", "zarr")
# another machine may see a new file of a shared disk only after a while
_PATIENCE = 15.0
_PREFIX = "seen-"


def versions() -> dict[str, str]:
    """Give the versions that this process has."""
    from importlib import metadata

    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "nepcube": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


@dataclass(frozen=True)
class Need:
    """What a worker must have: the versions of the run, sight of a file that it wrote, and, to write, its lock."""

    file: str | None
    versions: tuple[tuple[str, str], ...]
    held: Held | None = None

    def require(self) -> None:
        """Raise what this process lacks; it is looked at once.

        Raises
        ------
        StoreError
            Another version of something, or another disk.
        """
        error = _lack(self)
        if error is not None:
            raise StoreError(*error)

    @property
    def guard(self) -> Callable[[], None] | None:
        """What is to be called each time before something is written."""
        return None if self.held is None else self.held.require


@lru_cache(maxsize=8)
def _lack(need: Need) -> tuple[str, str] | None:
    mine = versions()
    where = f"The worker on {platform.node()}"
    other = [f"{name} {mine[name]} (the run: {wanted})" for name, wanted in need.versions if mine[name] != wanted]
    if other:
        return f"{where} has {', '.join(other)}.", "Give workers and run the same environment, and run again."
    if need.file is not None and not _sees(Path(need.file)):
        return (
            f"{where} does not see the output folder {Path(need.file).parents[1]}, or may not write there.",
            "Choose an output on a disk that all workers share, or a URL (s3://...).",
        )
    return None


def _sees(file: Path) -> bool:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            # listing makes a network file system look again
            if file.name in os.listdir(file.parent):
                return os.access(file.parent, os.W_OK)
        except OSError:
            pass
        if time.monotonic() > end:
            return False
        time.sleep(0.5)


def look(need: Need) -> tuple[str, str] | None:
    """Tell what the worker lacks that this runs on."""
    return _lack(need)


@contextmanager
def needed(out: Path | None, held: Held | None = None) -> Iterator[Need]:
    """Write the file that workers must see, and remove it in the end; without a folder, versions alone are needed."""
    mine = tuple(versions().items())
    if out is None:
        yield Need(None, mine, held)
        return
    folder = out.absolute() / ".nepcube"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{_PREFIX}*"):
        old.unlink(missing_ok=True)
    file = folder / f"{_PREFIX}{uuid4().hex}"
    file.write_bytes(b"")
    try:
        yield Need(str(file), mine, held)
    finally:
        file.unlink(missing_ok=True)


def require_all(client: Any, need: Need) -> None:
    """Ask every worker that is there, before work begins.

    Raises
    ------
    StoreError
        A worker has no nepcube, or another version of something, or does not see the output.
    """
    answers = client.run(look, need, on_error="return")
    for address, lack in answers.items():
        if isinstance(lack, ImportError | AttributeError):
            raise StoreError(
                f"The worker {address} has no nepcube, or another version of it ({lack}).",
                "Give workers and run the same environment, and run again.",
            )
        if isinstance(lack, BaseException):
            raise StoreError(
                f"The worker {address} cannot be asked what it has ({type(lack).__name__}: {lack}).",
                "Start the workers in the environment of the run, and run again.",
            )
        if lack is not None:
            raise StoreError(*lack)
