"""Minding the workers of a cluster: that there are some, and what those that are left still do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from nepcube.errors import StoreError

# seconds after which a cluster that is short of workers is asked for them again
_ASK_AGAIN = 30.0
# seconds that what has begun is waited for
_PATIENCE = 60.0
# nobody is told of a wait that is shorter
_SHORT = 1.0
# of a worker's tasks, those that it does not do any more
_ENDED = ("memory", "error", "released", "forgotten")


@dataclass
class Watch:
    """Minds that there are workers: tells when none is left, has them asked for again, and ends a wait in vain.

    Attributes
    ----------
    say : callable
        Called with lines for the user.
    patience : float, optional
        Seconds without a worker after which the run ends; where it is left out, somebody else sees to workers.
    vain : callable, optional
        Gives what is raised then, from the time that was waited, in words.
    wanted : int
        Workers that there should be.
    again : callable, optional
        Asks for `wanted` workers once more; asking for what is there or queued already changes nothing.
    """

    say: Callable[[str], None] = lambda _: None
    patience: float | None = None
    vain: Callable[[str], StoreError] | None = None
    wanted: int = 0
    again: Callable[[], None] | None = None
    _since: float | None = None
    _asked: float = -math.inf

    def look(self, workers: int) -> None:
        """Take note of how many workers there are.

        Raises
        ------
        StoreError
            There has been none for too long.
        """
        now = time.monotonic()
        if workers:
            self._since = None
        elif self._since is None:
            self._since = now
            self.say("workers: none is left; waiting for one")
        if self.again is not None and workers < self.wanted and now - self._asked > _ASK_AGAIN:
            self._asked = now
            self.again()
        if self._since is None or self.patience is None or self.vain is None:
            return
        if now - self._since > self.patience:
            raise self.vain(in_words(self.patience))


def in_words(seconds: float) -> str:
    """Say how long that is."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def let_tasks_end(client: Any, keys: Collection[str], say: Callable[[str], None]) -> None:
    """Wait until no worker does any of these tasks, which are cancelled: one that has begun cannot be stopped.

    The scheduler forgets what is cancelled, so that the workers themselves are asked. What they still do when the
    patience is over is told.
    """
    start = time.monotonic()
    left, none, told, pause = set(keys), 0, False, 0.1
    # one that is on its way to a worker is not there yet at the first look
    while none < 2:
        rest = start + _PATIENCE - time.monotonic()
        try:
            left = _at_work(client, keys, max(1.0, rest))
        except TimeoutError:
            rest = 0.0
        none = 0 if left else none + 1
        if left and rest <= 0:
            say(
                f"warning: {len(left)} task(s) have not ended after {in_words(_PATIENCE)} and may still write; "
                "let them end, or end the workers, before another run"
            )
            return
        if left and not told and time.monotonic() - start > _SHORT:
            told = True
            say(f"workers: waiting for {len(left)} task(s) that have begun, {in_words(_PATIENCE)} at most")
        time.sleep(pause)
        # each question is a line in the log of a worker
        pause = min(2 * pause, 1.0) if left else pause


def _at_work(client: Any, keys: Collection[str], patience: float) -> set[str]:
    async def ask() -> Any:
        # a worker that is gone does nothing
        return await client.run(tasks_of, frozenset(keys), on_error="ignore")

    found = client.sync(ask, callback_timeout=patience)
    return {key for some in found.values() for key in some}


def tasks_of(keys: Collection[str], dask_worker: Any) -> list[str]:
    """Give those of the tasks that this worker does or has yet to do; what is cancelled stays until it ends."""
    tasks = dask_worker.state.tasks
    return [key for key in keys if key in tasks and tasks[key].state not in _ENDED]
