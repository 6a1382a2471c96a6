"""Climate that is kept on its own grid: made a year at a time, and held against the grid of its files.

It is no result: it may be deleted when a run is finished, and is made again when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
from dask.threaded import get as get_threaded

from nepcube import store
from nepcube.errors import SourceError
from nepcube.pipeline.context import Run

if TYPE_CHECKING:
    import xarray as xr

    from nepcube.places import Place

#: what the ledger calls the series of the relief that temperature belongs to
RELIEF = "native/orography"
# what the ledger calls the grids of climate that the cube was ingested from
_GRIDS = "native-grids"
_FREQUENCIES = ("year", "month", "day")
# cells of native climate that are computed at once, where a year is one field of few tasks
_NATIVE_CELLS, _TASKS = 2**20, 500
# cells of months or days of native climate that are held at once, where one of them is not more
_PIECE_CELLS = 2**23


def native_series(run: Run, quantity: str, frequency: str) -> store.NativeSeries:
    """Give the place of an aggregated native series."""
    return series_of(run.out, f"native/{quantity}-{frequency}")


def orography_series(run: Run) -> store.NativeSeries:
    """Give the place of the relief that temperature belongs to."""
    return series_of(run.out, RELIEF)


def series_of(out: Place, stage: str) -> store.NativeSeries:
    """Give the place of a native series by what the ledger calls it."""
    return store.NativeSeries(out / ".nepcube" / "native" / f"{stage.removeprefix('native/')}.zarr")


def kept_of(run: Run, series: store.NativeSeries, units: Iterable[int | str]) -> set[int | str]:
    """Give those of some years of a series (or the whole of the relief) that are there, as the ledger says."""
    if not series.exists:
        return set()
    done, places = run.ledger.done(series.stage), series.places()
    return {unit for unit in units if all(f"{unit}/{place}" in done for place in places)}


def note_kept(run: Run, series: store.NativeSeries, unit: int | str, sums: Iterable[Mapping[str, int]]) -> None:
    """Note the chunks of a year of a series (or of the relief) in the ledger."""
    run.ledger.add_chunks(
        series.stage, str(unit), {f".nepcube/native/{key}": crc for step in sums for key, crc in step.items()}
    )


def start_over(run: Run, series: store.NativeSeries) -> None:
    """Delete a series, and take back what the ledger says of it."""
    run.ledger.forget(series.stage)
    series.clear()


def hold_grids(run: Run, fields: Mapping[str, xr.DataArray]) -> bool:
    """Hold the grids of climate against those that the cube was ingested from.

    Where one is another, the series that are kept on the former are deleted and the user is told.

    Returns
    -------
    bool
        Whether one is another one: then nothing that was sampled before belongs to these files.
    """
    changed: dict[str, list[str]] = {}
    for quantity, field in fields.items():
        change = _change(run, quantity, field)
        if change is not None:
            changed.setdefault(change, []).append(quantity)
    for change, quantities in changed.items():
        run.say(
            f"warning: the files of {', '.join(quantities)} have another grid than before ({change}); "
            "years that were done are made anew, too"
        )
        for quantity in quantities:
            for frequency in _FREQUENCIES:
                start_over(run, native_series(run, quantity, frequency))
    return bool(changed)


def note_grids(run: Run, fields: Mapping[str, xr.DataArray]) -> None:
    """Note the grids of climate that the cube is ingested from; they outlive the series, which may be deleted."""
    run.ledger.set_part(_GRIDS, {quantity: store.native_grid(field) for quantity, field in fields.items()})


def _change(run: Run, quantity: str, field: xr.DataArray) -> str | None:
    before = (run.ledger.parts().get(_GRIDS) or {}).get(quantity)
    return None if before is None else store.grid_change(before, store.native_grid(field))


def keep_native(
    run: Run,
    series: store.NativeSeries,
    make: Callable[[int], tuple[xr.DataArray, xr.DataArray | None]],
    stage: str,
) -> None:
    """Compute a native series and keep it, where the ledger does not say that a year is done.

    `make` gives a year of the series, and how many of its values were set to zero, lazy.

    Raises
    ------
    SourceError
        The files have another grid than those that the cube was ingested from.
    """
    if not series.exists:
        # it may be deleted when a run is finished, and is made again when it is needed
        start_over(run, series)
    kept = kept_of(run, series, run.years)
    missing = [y for y in run.years if y not in kept]
    if not missing:
        return
    made = {missing[0]: make(missing[0])}
    field = made[missing[0]][0]
    change = _change(run, str(field.name), field)
    if change is not None:
        raise SourceError(
            f"sources.{field.name}: its files have another grid than those that were ingested ({change}).",
            "Put those files back, or start over with `nepcube run ... --fresh`.",
        )
    change = series.change(field)
    if change is not None:
        run.say(
            f"warning: {field.name}: the grid of its files is not that of the series kept of them ({change}); "
            "the series is made anew"
        )
        start_over(run, series)
        missing = list(run.years)
    finished = 0
    with dask.config.set(scheduler=get_threaded, num_workers=run.engine.threads):
        for batch in _batches((year, *(made.pop(year, None) or make(year))) for year in missing):
            parts = [part for _, part, _ in batch]
            series.create(parts[0], np.concatenate([part["time"].values for part in parts]))
            # with the counts, which come from the same files; days a month at a time, so that little is in memory
            counted = [(year, clipped) for year, _, clipped in batch if clipped is not None]
            together: list[Any] = [clipped.data for _, clipped in counted]
            sums: list[dict[str, int]] = []
            for pieces in _pieces(parts):
                values = dask.compute(*(piece.data for piece in pieces), *together)
                times = np.concatenate([p["time"].values for p in pieces])
                sums += series.write(np.concatenate(values[: len(pieces)]), times)
                for (year, _), count in zip(counted, values[len(pieces) :], strict=True):
                    series.count_clipped(year, int(np.sum(count)))
                counted, together = [], []
            steps = iter(sums)
            for year, part, _ in batch:
                note_kept(run, series, year, [next(steps) for _ in range(part.sizes["time"])])
            finished += len(batch)
            run.progress(f"{stage}: {parts[0].name}", finished, len(missing), str(batch[-1][0]))
    run.ledger.flush()


Year = tuple[int, "xr.DataArray", "xr.DataArray | None"]


def _batches(years: Iterable[Year]) -> Iterable[list[Year]]:
    # single fields of several years at once, since each computation has its price
    batch: list[Year] = []
    size = 0
    for one in years:
        alone = one[1].sizes["time"] > 1 or _n_tasks(one[1]) > _TASKS
        if batch and (alone or size + one[1].size > _NATIVE_CELLS):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += _NATIVE_CELLS if alone else one[1].size
    if batch:
        yield batch


def _n_tasks(lazy: xr.DataArray) -> int:
    return len(getattr(lazy.data, "dask", ()))


def _pieces(parts: list[xr.DataArray], most: int = 31) -> Iterable[list[xr.DataArray]]:
    if len(parts) > 1:
        yield parts
        return
    # of a large area few days at once, so that little is in memory there too
    most = max(1, min(most, _PIECE_CELLS // max(1, parts[0][0].size)))
    for start in range(0, parts[0].sizes["time"], most):
        yield [parts[0].isel(time=slice(start, start + most))]
