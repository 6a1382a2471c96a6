"""How kernels are compiled, and whether they are kept on disk between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from numba import guvectorize, njit, vectorize
from numba.core import caching
from numba.core.caching import IndexDataCacheFile

F = TypeVar("F", bound=Callable[..., Any])


def keep_compiled() -> bool:
    """Tell whether numba may cache: where it can write, unless ``NEPCUBE_NUMBA_CACHE=0`` says no.

    Many processes that load a cache while another writes it have been seen to crash (sgkit issue 869): clusters whose
    workers share a home folder should set the variable.
    """
    said = os.environ.get("NEPCUBE_NUMBA_CACHE")
    if said is not None:
        return said != "0"
    return any(folder.is_dir() and os.access(folder, os.W_OK) for folder in _folders())


def _folders() -> list[Path]:
    named = os.environ.get("NUMBA_CACHE_DIR")
    return [Path(named)] if named else [Path(__file__).parent / "__pycache__", Path(__file__).parent]


CACHE = keep_compiled()
_LOCK = threading.Lock()


@lru_cache(maxsize=1)
def sources() -> str:
    """Give a digest of all modules of kernels: what is compiled holds what it calls, which may stand in another file.

    numba looks at the one file of a function, and would go on with the old code of the others after an upgrade.
    """
    found = hashlib.sha256()
    for file in sorted(Path(__file__).parent.rglob("_*.py")):
        if not file.name.startswith("__"):
            found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()


class _NamedByKey(IndexDataCacheFile):  # type: ignore[misc]
    """A cache whose files are named after what they hold, and that holds for the sources of all kernels.

    numba counts them: two processes that compile for two types at once give both the same number, and the index that is
    written last calls the one's code for the other's types, which crashes every later run. And a process that began
    before the source was changed would write its old code where the index of the new source finds it.
    """

    def __init__(self, cache_path: str, filename_base: str, source_stamp: Any) -> None:
        super().__init__(cache_path, filename_base, (source_stamp, sources()))

    def save(self, key: Any, data: Any) -> None:
        overloads = self._load_index()
        of = hashlib.sha256(repr((key, self._source_stamp)).encode()).hexdigest()[:16]
        name = f"{self._index_name.removesuffix('.nbi')}.{of}.nbc"
        self._save_data(name, data)
        if overloads.get(key) != name:
            overloads[key] = name
            self._save_index(overloads)


def compiled(function: F, **options: Any) -> F:
    """Compile a kernel at its first call, free of the interpreter's lock, and keep it where that is possible."""
    with _LOCK, _ours():
        kernel: Any = njit(nogil=True, cache=CACHE, **options)(function)
    done: F = kernel
    return done


@contextmanager
def _declaring() -> Iterator[None]:
    # functions over arrays are compiled, and their caches made, while they are declared. The wrapper for arrays and the
    # kernel lie in two files, and the one knows the other by a name of the process that compiled it: one process after
    # the other, so that the two are of one
    with _LOCK, _alone(), _ours():
        yield


@contextmanager
def _ours() -> Iterator[None]:
    before, caching.IndexDataCacheFile = caching.IndexDataCacheFile, _NamedByKey
    try:
        yield
    finally:
        caching.IndexDataCacheFile = before


@contextmanager
def _alone() -> Iterator[None]:
    handle = _lock_file() if CACHE else None
    if handle is None:
        yield
        return
    try:
        with contextlib.suppress(OSError, ImportError):
            # a file system that knows no locks, a system without them
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock_file() -> int | None:
    for folder in _folders():
        with contextlib.suppress(OSError):
            return os.open(folder / ".compiling", os.O_RDWR | os.O_CREAT, 0o666)
    return None


def compiled_gufunc(signatures: Sequence[str], shape: str) -> Callable[[F], Any]:
    """Compile a function of series and numbers for the signatures of its types, to be called on arrays of them."""

    def declare(function: F) -> Any:
        with _declaring():
            return guvectorize(list(signatures), shape, nopython=True, cache=CACHE)(function)

    return declare


def compiled_ufunc(*signatures: str) -> Callable[[F], Any]:
    """Compile a function of numbers, to be called on arrays of them."""

    def declare(function: F) -> Any:
        with _declaring():
            return vectorize(list(signatures), nopython=True, cache=CACHE)(function)

    return declare
