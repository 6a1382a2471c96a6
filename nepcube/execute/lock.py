"""One run at a time on one output."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from nepcube.errors import StoreError

# the locks of this process: its own number in a file says only that some run of it wrote the file
_HELD: set[Path] = set()
_BEAT = 10.0
_STALE = 60.0


class RunLock:
    """A file that names the host and process of a run, kept fresh by a heartbeat.

    A lock whose process is gone (on this host) or whose heartbeat has stopped (on another) holds nobody up.

    Parameters
    ----------
    out : Path
        The output of the run.
    """

    def __init__(self, out: Path) -> None:
        self._file = out / ".nepcube" / "lock"
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> RunLock:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            try:
                handle = os.open(self._file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                self._refuse_or_clear()
                continue
            except OSError as error:
                raise StoreError(
                    f"{self._file.parent}: cannot be written ({error.strerror}).", "Choose another output with -o."
                ) from None
            with os.fdopen(handle, "w") as out:
                json.dump({"host": socket.gethostname(), "pid": os.getpid(), "started": time.time()}, out)
            _HELD.add(self._file.resolve())
            self._thread = threading.Thread(target=self._beat, daemon=True)
            self._thread.start()
            return self
        raise StoreError(f"{self._file}: another run holds the output.", "Wait for it, or choose another output.")

    def _refuse_or_clear(self) -> None:
        try:
            age = time.time() - self._file.stat().st_mtime
            owner = json.loads(self._file.read_text() or "{}")
        except (OSError, ValueError):
            owner, age = {}, time.time() - self._file.stat().st_mtime if self._file.exists() else _STALE + 1
        here = owner.get("host") == socket.gethostname()
        mine = owner.get("pid") == os.getpid()
        alive = (
            (self._file.resolve() in _HELD if mine else _is_alive(int(owner.get("pid", 0)))) if here else age < _STALE
        )
        if alive:
            raise StoreError(
                f"{self._file.parent.parent}: a run is at work there (process {owner.get('pid')} on "
                f"{owner.get('host')}).",
                f"Wait for it, stop it, or choose another output with -o; if that is no nepcube, remove {self._file}.",
            )
        with contextlib.suppress(OSError):
            self._file.unlink()

    def _beat(self) -> None:
        while not self._end.wait(_BEAT):
            with contextlib.suppress(OSError):
                os.utime(self._file)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        _HELD.discard(self._file.resolve())
        with contextlib.suppress(OSError):
            self._file.unlink()


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
