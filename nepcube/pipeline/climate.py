"""The months or days of climate on the grid, which are kept only where the recipe asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from nepcube import store
from nepcube.grid import windows
from nepcube.pipeline.context import Run
from nepcube.pipeline.ingest import Job, cube_attrs, execute_job
from nepcube.pipeline.sampling import Climate, sampling_of
from nepcube.pipeline.stages import KEPT_CLIMATE, commit, take_away, unit_of

if TYPE_CHECKING:
    from nepcube.grid import Window

STAGE = "analyse"


def write_climate(run: Run, series: Mapping[str, store.NativeSeries]) -> None:
    """Write every month or day of some quantities, as respiration used them, and commit the store."""
    native = {q: s.open() for q, s in series.items()}
    unit = "datetime64[M]" if run.recipe.respiration.basis == "monthly" else "datetime64[D]"
    starts = next(iter(native.values()))["time"].values.astype(unit)
    steps = [(start, start + 1) for start in starts]
    layouts = [store.Layout(q, "float32", ds[q].attrs, yearly=True) for q, ds in native.items()]
    run.ledger.add(KEPT_CLIMATE, "coordinates", run.climate.create(layouts, None, steps=steps))
    climate = tuple(Climate(s, sampling_of(run, q)) for q, s in series.items())
    done = run.ledger.done(KEPT_CLIMATE)
    todo = [
        (k, w)
        for k in range(len(steps))
        for w in windows(run.grid, run.block)
        if not all(_unit(run, k, c) in done for c in run.chunks_of(w))
    ]

    def jobs() -> Iterator[Job]:
        for k, window in todo:
            yield Job(run.climate, window, tuple(run.chunks_of(window)), k, 0, climate=climate)

    for n, (job, sums) in enumerate(run.engine.map(execute_job, jobs()), start=1):
        run.ledger.add_chunks(KEPT_CLIMATE, str(job.step), sums)
        run.progress(f"{STAGE}: climate", n, len(todo))
    run.ledger.flush()
    commit(run, run.climate, cube_attrs(run))


def leave_climate(run: Run) -> None:
    """Remove what an earlier recipe asked for."""
    if run.ledger.done(KEPT_CLIMATE):
        run.ledger.forget(KEPT_CLIMATE)
    take_away(run, run.climate)


def _unit(run: Run, step: int, window: Window) -> str:
    return unit_of(window, run.climate.chunk, step)
