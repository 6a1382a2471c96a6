"""What is asked before chunks are written: on a worker, whether the run that sent the job still holds the output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_guard: ContextVar[Callable[[], None] | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(guard: Callable[[], None] | None) -> Iterator[None]:
    """Have `ask_guard` call this in what is done in here, on this thread."""
    before = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(before)


def ask_guard() -> None:
    """Call the guard, where there is one; it raises where nothing may be written any more."""
    guard = _guard.get()
    if guard is not None:
        guard()
