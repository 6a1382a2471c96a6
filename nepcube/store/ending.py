"""What zarr does on a thread of its own: several things side by side, and letting all of it come to an end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any


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
        return list(await asyncio.gather(*calls, return_exceptions=True))

    done = sync(gathered())
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return done
