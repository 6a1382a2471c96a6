"""Which steps of a series make each year, month or day, with which weights, and which are missing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, SpecError
from nepcube.years import span_of, starts_of, years_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DAY = np.timedelta64(1, "D")
_HOUR = np.timedelta64(1, "h")
_ORDER = {"hour": 0, "day": 1, "pentad": 2, "dekad": 3, "month": 4, "year": 5}


@dataclass(frozen=True)
class Interval:
    """One year, month or day, and the steps that make it.

    `steps` index the series; a step's value times its `factor` adds to the sum, its `weight` (in days) to what is
    covered. `missing` are the stamps that should be there and are not. `stamp` is where the value stands on the time
    axis: a year stands at 1 January of the calendar year that it is called by, whenever it began.
    """

    stamp: np.datetime64
    start: np.datetime64
    length: float
    steps: NDArray[np.int64]
    factors: NDArray[np.float64]
    weights: NDArray[np.float64]
    missing: tuple[np.datetime64, ...]


def require_step(frequency: str, to: str, name: str) -> None:
    """Refuse to make steps of a series that is coarser than they are.

    Raises
    ------
    SourceError
    """
    if _ORDER[frequency] > _ORDER[to]:
        raise SourceError(
            f"{name}: the files hold one value a {frequency}, values of each {to} are needed.",
            f"Give files with one value a {to}, or choose a coarser respiration basis.",
        )


def plan(
    time: NDArray[Any],
    aggregation: str,
    frequency: str,
    to: str,
    years: tuple[int, int] | None,
    name: str,
    year_start: int = 1,
) -> list[Interval]:
    """Say which steps make each interval, with their weights, and which are missing."""
    require_step(frequency, to, name)
    stamps = time.astype("datetime64[h]")
    where = {s: k for k, s in enumerate(stamps.tolist())}
    if len(where) < stamps.size:
        raise SourceError(f"{name}: several values stand in one hour.", "Give one value a step, and the true `time:`.")
    if years is not None:
        first, end = span_of(years, year_start)
    elif aggregation in (spec.SINCE_00, spec.PREVIOUS_HOUR):
        # stamps close what lies before them
        first, end = stamps[0], stamps[-1]
        if to == "day":
            first, end = first - _HOUR, end.astype("datetime64[D]")
    else:
        first, end = stamps[0], stamps[-1] + _HOUR
    edges, marks = _edges(first, end, to, year_start)
    intervals = [
        _interval(mark, a, b, where, aggregation, frequency)
        for mark, (a, b) in zip(marks, itertools.pairwise(edges), strict=True)
    ]
    _require_all_used(stamps, intervals, edges, aggregation, frequency, name)
    return intervals


def _edges(first: np.datetime64, end: np.datetime64, to: str, year_start: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the edges of the intervals that cover a span, and the stamp of each interval."""
    if to == "year":
        low, high = years_of(np.array([first, end.astype("datetime64[h]") - _HOUR]), year_start)
        years = np.arange(low, high + 2)
        return starts_of(years, year_start), (years[:-1] - 1970).astype("datetime64[Y]").astype("datetime64[h]")
    unit = {"month": "datetime64[M]", "day": "datetime64[D]"}[to]
    floor = end.astype(unit)
    last = floor if floor.astype("datetime64[h]") == end.astype("datetime64[h]") else floor + 1
    edges = np.arange(first.astype(unit), last + 1).astype("datetime64[h]")
    return edges, edges[:-1]


def _require_all_used(
    stamps: NDArray[Any],
    intervals: Sequence[Interval],
    edges: NDArray[Any],
    aggregation: str,
    frequency: str,
    name: str,
) -> None:
    if aggregation == spec.SINCE_00:
        # the hours between are running totals of the same day
        return
    shift = _HOUR if aggregation == spec.PREVIOUS_HOUR else np.timedelta64(0, "h")
    inside = (stamps - shift >= edges[0]) & (stamps - shift < edges[-1])
    inside[np.concatenate([i.steps for i in intervals])] = False
    if inside.any():
        stamp = str(stamps[np.flatnonzero(inside)[0]]).replace("T", " ")
        raise SourceError(
            f"{name}: {int(inside.sum())} value(s) do not stand at the start of a {frequency}, such as {stamp}:00 UTC.",
            "Give the true step with `time:`, or files with one value a step.",
        )


def expected(
    start: np.datetime64, end: np.datetime64, aggregation: str, frequency: str
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Give the steps that make an interval: their starts, the stamps that they carry, and their lengths in days."""
    starts, ends = _steps(start, end, frequency)
    days = (ends - starts) / _DAY
    if aggregation == spec.SINCE_00:
        # the value at 00 UTC closes the day before: one stamp a day is its total
        starts = np.arange(start, end, _DAY)
        return starts, starts + _DAY, np.ones(starts.size)
    return starts, ends if aggregation == spec.PREVIOUS_HOUR else starts, days


def _interval(
    mark: np.datetime64,
    start: np.datetime64,
    end: np.datetime64,
    where: dict[Any, int],
    aggregation: str,
    frequency: str,
) -> Interval:
    _, stamps, days = expected(start, end, aggregation, frequency)
    there = [k for k, s in enumerate(stamps.tolist()) if s in where]
    missing = tuple(s for k, s in enumerate(stamps) if stamps[k].item() not in where)
    steps = np.array([where[stamps[k].item()] for k in there], np.int64)
    weights = days[there].astype(np.float64)
    factors = weights if aggregation in (spec.MEAN, spec.PER_DAY) else np.ones(weights.size)
    return Interval(mark, start, float((end - start) / _DAY), steps, factors, weights, missing)


def _steps(start: np.datetime64, end: np.datetime64, frequency: str) -> tuple[NDArray[Any], NDArray[Any]]:
    if frequency == "hour":
        starts = np.arange(start, end, _HOUR)
        return starts, starts + _HOUR
    if frequency == "day":
        starts = np.arange(start, end, _DAY)
        return starts, starts + _DAY
    if frequency in ("month", "dekad", "pentad"):
        months = np.arange(start.astype("datetime64[M]"), end.astype("datetime64[M]") + 1)
        first = months[:-1].astype("datetime64[h]")
        if frequency == "month":
            return first, months[1:].astype("datetime64[h]")
        # six pentads or three dekads a month; the last takes what remains
        n, length = (6, 5) if frequency == "pentad" else (3, 10)
        starts = np.concatenate([m + k * length * _DAY for m in first for k in range(n)], axis=None)
        return starts, np.append(starts[1:], end)
    raise SpecError(f"The frequency {frequency!r} is not known.", f"Use one of {', '.join(spec.FREQUENCIES)}.")


def require_complete(intervals: Sequence[Interval], min_coverage: float, to: str, name: str, product: str) -> None:
    short = [i for i in intervals if i.weights.sum() < min_coverage * i.length * (1 - 1e-12)]
    if not short:
        return
    missing = [m for i in short for m in i.missing]
    years = sorted({int(str(i.stamp)[:4]) for i in short})
    # the hour that closes a year stands in the next one
    what = listed([str(m).replace("T", " ") + ":00 UTC" for m in missing[:4]])
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    raise SourceError(
        f"{product or name}: {name} of {listed(years)} is incomplete: no value at {what}{more}.",
        "Add the files that hold them, change `period`, or allow it with `min_coverage` beside the source.",
    )


def listed(items: Sequence[Any]) -> str:
    """Join items as a sentence does."""
    words = [str(i) for i in items]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
