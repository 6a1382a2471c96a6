"""Ctrl-C and SIGTERM as one exception, so that a stop is tidy."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """The user or the system asked for an end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        return 128 + self.signum


@contextmanager
def stopping() -> Iterator[None]:
    """Raise `Stopped` in the main thread at SIGINT or SIGTERM; a second signal ends the process at once.

    Every file is written whole or not at all, so that a stop at any point leaves what a continuation needs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def stop(signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(128 + signum)
        asked = True
        raise Stopped(signum)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
