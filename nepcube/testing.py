"""For tests, ours and those of authors of readers: generated archives, and a scheduler that refuses to compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nepcube.demo import Truth, generate

__all__ = ["Truth", "forbid_compute", "generate"]


class _Refuse:
    def __call__(self, graph: Any, keys: Any, **options: Any) -> Any:
        raise AssertionError("something was computed that should have stayed lazy")


@contextmanager
def forbid_compute() -> Iterator[None]:
    """Let nothing be computed by dask: building a dataset must run nothing.

    Examples
    --------
    >>> with forbid_compute():
    ...     trend = nepcube.linear_trend(lazy)
    """
    import dask

    with dask.config.set(scheduler=_Refuse()):
        yield
