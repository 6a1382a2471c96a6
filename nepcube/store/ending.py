"""What zarr does on threads of its own: several things side by side, on no more threads than it may, and to an end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

_given: WeakKeyDictionary[asyncio.AbstractEventLoop, int | None] = WeakKeyDictionary()


def let_end(patience: float = 30.0) -> None:
    """Wait until nothing that was begun through zarr is under way any more.

    A stop interrupts the caller of zarr, not the reads and writes that zarr goes on with on its own thread; they must
    not outlive the run's lock, nor the event loop that they run in.

    Parameters
    ----------
    patience : float
        Seconds after which what is left is cancelled.
    """
    if "zarr" not in sys.modules:
        return
    from zarr.core import sync

    if sync.loop[0] is None:
        return

    async def rest() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, late = await asyncio.wait(others, timeout=patience)
            for task in late:
                task.cancel()

    sync.sync(rest())


def at_once(calls: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Let zarr read or write several arrays side by side, and wait for all of them, whichever fails."""
    from zarr.core.sync import sync

    async def gathered() -> list[Any]:
        _heed_threads()
        return list(await asyncio.gather(*calls, return_exceptions=True))

    done = sync(gathered())
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return done


def _heed_threads() -> None:
    # zarr 3.1 reads its own setting `threading.max_workers` nowhere, and codes chunks on as many threads as asyncio has
    from zarr import config

    loop, most = asyncio.get_running_loop(), config.get("threading.max_workers", None)
    if most != _given.get(loop):
        loop.set_default_executor(ThreadPoolExecutor(most, thread_name_prefix="zarr"))
        _given[loop] = most
