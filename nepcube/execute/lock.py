"""One run at a time on one output."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from nepcube.errors import NepcubeError, NotWritableError, StoreError
from nepcube.places import Place, Seen, place_of

# the locks of this process: its own number in a file says only that some run of it wrote the file
_HELD: set[str] = set()
_BEAT = 10.0
_STALE = 120.0
# after a dead lock was taken over: two may have done so at once where the file system holds nobody off
_SETTLE = 0.5
# another machine may see the newest lock of a shared disk only at the second look
_LOOKS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Held:
    """What a worker knows of its run's lock, sent with every task: a run that is dead cannot call its tasks back."""

    out: Place
    token: str

    def require(self) -> None:
        """Refuse to write where the lock is not that run's any more; it costs the read of a small file.

        Raises
        ------
        StoreError
            Another run has taken it over, or it is gone.
        """
        folder = self.out / ".nepcube"
        for wait in _LOOKS:
            if wait:
                time.sleep(wait)
                # listing makes a network file system look again
                folder.names()
            with contextlib.suppress(OSError):
                if _read((folder / "lock").read() or b"").get("token") == self.token:
                    return
        raise StoreError(
            f"{self.out}: the lock of the run that sent this task was taken over or removed.",
            "One run at a time can write there: wait for the other, then run again: it continues.",
        )


class RunLock:
    """A small file that names the host, process and start of a run, and is written again by every heartbeat.

    A lock whose process is gone (on this host) or whose heartbeat has stopped (on another, by the clock of what keeps
    the output) holds nobody up. It is made by a write that fails where there is one, and kept up by writes that fail
    where somebody else has written it, so that a run whose lock was taken over learns of it.

    Parameters
    ----------
    out : path-like, str or Place
        The output of the run.
    """

    def __init__(self, out: str | os.PathLike[str] | Place) -> None:
        self._out = place_of(out)
        self._file = self._out / ".nepcube" / "lock"
        self._me = {**_here(), "started": _now(), "token": uuid.uuid4().hex}
        self._beats = 0
        self._stamp: Hashable = None
        self._fresh = 0.0
        self._lost: NepcubeError | None = None
        self._end = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> Held:
        """What its workers look at before they write."""
        return Held(self._out, str(self._me["token"]))

    def __enter__(self) -> RunLock:
        _HELD.add(str(self._me["token"]))
        try:
            self._take()
        except BaseException:
            _HELD.discard(str(self._me["token"]))
            raise
        self._fresh = _elapsed()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()
        return self

    def _take(self) -> None:
        for _ in range(5):
            self._stamp = self._file.create(self._content())
            if self._stamp is not None:
                return
            seen = self._file.look()
            if seen is None:
                continue
            self._require_dead(seen)
            self._stamp = self._file.exchange(seen.stamp, self._content())
            if self._stamp is not None:
                time.sleep(_SETTLE)
                seen = self._file.look()
                if seen is not None and seen.content == self._content():
                    return
        raise StoreError(f"{self._file}: another run holds the output.", "Wait for it, or choose another output.")

    def require_free(self) -> None:
        """Refuse where another run holds the output, without taking it.

        Raises
        ------
        StoreError
            A run is at work there.
        """
        seen = self._file.look()
        if seen is not None:
            self._require_dead(seen)

    def _content(self) -> bytes:
        return json.dumps({**self._me, "beats": self._beats}).encode()

    def _require_dead(self, seen: Seen) -> None:
        owner = _read(seen.content)
        if _is_here(owner):
            token = owner.get("token")
            mine = owner.get("pid") == os.getpid()
            alive = token in _HELD if mine else _is_alive(owner)
        else:
            alive = self._clock() - seen.changed < _STALE
        if alive:
            since = f" since {owner['started']}" if isinstance(owner.get("started"), str) else ""
            raise StoreError(
                f"{self._out}: a run is at work there (process {owner.get('pid')} on {owner.get('host')}{since}).",
                f"Wait for it, stop it, or choose another output with -o; if that is no nepcube, remove {self._file}.",
            )

    def _clock(self) -> float:
        try:
            return self._file.parent.clock()
        except (OSError, NotWritableError):
            # its own clock is read from a file that is written there
            return time.time()

    def _keep(self) -> None:
        while not self._end.wait(_BEAT):
            with contextlib.suppress(Exception):
                self._beat()

    def _beat(self) -> None:
        with self._turn:
            if self._lost is not None or self._end.is_set():
                return
            self._beats += 1
            stamp = self._file.exchange(self._stamp, self._content())
            if stamp is None:
                seen = self._file.look()
                owner = _read(seen.content) if seen else {}
                by = f"process {owner.get('pid')} on {owner.get('host')}" if owner else "somebody"
                self._lost = StoreError(
                    f"{self._out}: the lock of this run was taken over or removed by {by}.",
                    "One run at a time can write there: wait for the other, then run again: it continues.",
                )
                return
            self._stamp, self._fresh = stamp, _elapsed()

    def require(self) -> None:
        """Refuse to go on where the lock is not this run's any more.

        Raises
        ------
        StoreError
            Another run has taken it over, or it could not be kept up for so long that one may have.
        """
        if self._lost is None and _elapsed() - self._fresh > _STALE / 2:
            # a computer that slept, or a store that did not answer
            self._beat()
        if self._lost is not None:
            raise self._lost

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        _HELD.discard(str(self._me["token"]))
        with self._turn, contextlib.suppress(OSError, NepcubeError):
            seen = self._file.look()
            if seen is not None and _read(seen.content).get("token") == self._me["token"]:
                self._file.delete()


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _elapsed() -> float:
    # goes on while the computer sleeps, where the system has such a clock
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _here() -> dict[str, Any]:
    # two containers may have one name: their process numbers are not each other's
    told: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}
    with contextlib.suppress(OSError):
        told["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        told["space"] = os.readlink("/proc/self/ns/pid")
    return told


def _is_here(owner: dict[str, Any]) -> bool:
    here = _here()
    return owner.get("host") == here["host"] and all(owner.get(k) == here.get(k) for k in ("boot", "space"))


def _born(pid: int) -> str | None:
    # when a process began, since numbers are given again
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def _is_alive(owner: dict[str, Any]) -> bool:
    pid = owner.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return owner.get("born") in (None, _born(pid))
