"""Ctrl-C and SIGTERM as one exception, so that a stop is tidy."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN = 0.05
# LLVM asks llvmlite for machine code by callback: an exception there is swallowed, and what it loads lies at address 0;
# and numba's lock of its compiler stays closed where an exception comes right after it was taken
_NOT_WITHIN = ("llvmlite", "numba")


class Stopped(BaseException):
    """The user or the system asked for an end."""

    words = "stopped: what is done is kept.\n         Run the same command again: it continues."

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        return 128 + self.signum


class _Watch:
    """What the process was asked for; there is one, since signals are the process's own."""

    def __init__(self) -> None:
        self.depth = 0
        self.asked: int | None = None
        self.raised = False
        self.awaited = False
        self.holding = 0
        self.before: dict[int, Any] = {}
        self.hook = sys.unraisablehook

    def stop(self, signum: int, frame: FrameType | None) -> None:
        if self.awaited:
            # ours, not a second one
            self.awaited = False
            if self.raised:
                return
        elif self.asked is not None:
            os._exit(128 + signum)
        else:
            self.asked = signum
        if self.holding:
            return
        if _is_within(frame, _NOT_WITHIN):
            self.soon()
        else:
            self.tell()

    def tell(self) -> None:
        if self.asked is not None:
            self.raised = True
            raise Stopped(self.asked)

    def unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if self.asked is None:
            self.hook(what)
        elif isinstance(what.exc_value, Stopped):
            # raised in a destructor or in a callback of the collector, from which nothing comes out: once more
            self.raised = False
            self.soon()

    def soon(self) -> None:
        # nothing may be waited for here, nor fail: what is interrupted may hold a lock, or let no exception out. Where
        # there is no thread to be had, the next `look` tells it
        with contextlib.suppress(RuntimeError):
            _thread.start_new_thread(self.again, ())

    def again(self) -> None:
        time.sleep(_AGAIN)
        if self.depth and self.asked is not None and not self.raised:
            self.awaited = True
            os.kill(os.getpid(), self.asked)

    def enter(self) -> None:
        if not self.depth:
            self.asked, self.raised, self.awaited, self.holding = None, False, False, 0
            self.hook, sys.unraisablehook = sys.unraisablehook, self.unraisable
            self.before = {s: signal.signal(s, self.stop) for s in _SIGNALS}
        self.depth += 1

    def leave(self, last: bool) -> None:
        before = self.asked
        # a stop in here is only noted, so that all is given back
        self.holding += 1
        self.depth -= 1
        if not self.depth:
            for signum, handler in self.before.items():
                signal.signal(signum, signal.SIG_IGN if last else handler)
            if not last:
                sys.unraisablehook = self.hook
        self.holding -= 1
        if before is None and self.asked is not None and not last and not self.holding:
            if self.depth:
                self.tell()
            signal.raise_signal(self.asked)


_watch = _Watch()


def _is_within(frame: FrameType | None, packages: tuple[str, ...]) -> bool:
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            return True
        frame = frame.f_back
    return False


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def stopping(*, last: bool = False) -> Iterator[None]:
    """Raise `Stopped` in the main thread at SIGINT or SIGTERM; a second signal ends the process at once.

    Every file is written whole or not at all, so that a stop at any point leaves what a continuation needs.

    Parameters
    ----------
    last : bool
        The process ends after this, and its end is not to be disturbed: signals are ignored from then on.
    """
    if not _in_main_thread():
        yield
        return
    _watch.enter()
    try:
        yield
        _tell_what_was_put_off()
    finally:
        _watch.leave(last)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Put a stop off to the end of what must not be left half made; a second signal ends the process all the same."""
    if not _in_main_thread() or not _watch.depth:
        yield
        return
    _watch.holding += 1
    try:
        yield
    finally:
        _watch.holding -= 1
    _tell_what_was_put_off()


def _tell_what_was_put_off() -> None:
    # what was raised before is on its way out already
    if not _watch.raised:
        look()


def look() -> None:
    """Raise `Stopped` where a stop was asked for and got lost, or was held."""
    if _in_main_thread() and _watch.depth and not _watch.holding:
        _watch.tell()


def asked() -> Stopped | None:
    """Give the stop that was asked for, if one was: what fails after it fails because of it."""
    return Stopped(_watch.asked) if _watch.depth and _watch.asked is not None else None


@contextlib.contextmanager
def deaf() -> Iterator[None]:
    """Let threads and processes that are started in here hear neither signal, and those that these start."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
