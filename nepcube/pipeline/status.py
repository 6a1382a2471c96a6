"""Status: what an output holds and what is done of it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from nepcube import recipe as recipes
from nepcube.errors import NotWritableError
from nepcube.execute import RunLock
from nepcube.pipeline.damage import Damage, find_damage, take_back_damage
from nepcube.pipeline.outputs import require_output
from nepcube.pipeline.stages import waiting_for
from nepcube.places import Place, place_of
from nepcube.store import CLIMATE, CUBE, STATISTICS, Ledger, is_committed


@dataclass(frozen=True)
class Status:
    """What is done, and what verification found.

    Attributes
    ----------
    damaged : tuple of (stage, unit, chunk)
        What verification found missing or changed.
    waiting : tuple of str
        Chunks that were taken back, now or before, and that no run has made again.
    taken_back : bool
        Whether what is damaged was taken back from the ledger, so that the next run makes it again; it is not where the
        output cannot be written.
    """

    out: Place
    stages: tuple[tuple[str, bool], ...]
    years: tuple[tuple[str, int], ...]
    blocks: int
    committed: tuple[tuple[str, bool], ...]
    damaged: tuple[Damage, ...] = ()
    waiting: tuple[str, ...] = ()
    taken_back: bool = True

    @property
    def bad(self) -> tuple[str, ...]:
        """The chunks that are not as they were written: found now, or waiting to be made again."""
        return tuple(dict.fromkeys((*(key for _, _, key in self.damaged), *self.waiting)))


def status(out: str | os.PathLike[str] | Place, *, verify: bool = False) -> Status:
    """Say what is done in an output; with `verify`, hold every chunk against its checksum.

    What is damaged is taken back: the next run makes it again, and its store does not open until then. An output that
    cannot be written is verified, too, and stays as it is.

    Raises
    ------
    StoreError
        There is no output of nepcube, or a run is at work there.
    """
    out = place_of(out)
    require_output(out)
    damaged: tuple[Damage, ...] = ()
    taken_back = True
    if verify:
        with ExitStack() as stack:
            lock = RunLock(out)
            try:
                stack.enter_context(lock)
            except NotWritableError:
                lock.require_free()
                taken_back = False
            damaged = take_back_damage(out, lock) if taken_back else find_damage(out, Ledger.open(out))[0]
    ledger = Ledger.open(out)
    parts = ledger.parts()
    years = {prefix: n for prefix, n in ledger.done("ingest").count().items() if prefix.isdigit()}
    stores = (CUBE, STATISTICS, *([CLIMATE] if (out / CLIMATE).is_folder() else []))
    return Status(
        out,
        tuple((s, s in parts) for s in recipes.STAGES),
        tuple(sorted(years.items())),
        ledger.done("analyse").count().get("", 0),
        tuple((name, is_committed(out / name)) for name in stores),
        damaged,
        tuple(key for stage in recipes.STAGES for key in ledger.done(waiting_for(stage))),
        taken_back,
    )
