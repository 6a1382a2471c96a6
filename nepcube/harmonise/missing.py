"""What the series lack of the years that are asked for, in words for a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.harmonise.intervals import expected
from nepcube.years import span_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def gaps(ds: xr.Dataset, *, years: tuple[int, int], year_start: int = 1) -> dict[str, list[str]]:
    """Say what is missing of each variable; nothing is computed, and nothing is raised.

    Parameters
    ----------
    ds : xarray.Dataset
        As `open_source` gives it.
    years : tuple of int
        First and last year, inclusive.
    year_start : int
        The month in which a year begins, see `to_annual`.

    Returns
    -------
    dict of str to list of str
        Per variable: whole years (``"2004"``), else whole months (``"2003-07"``), else days (``"2003-07-14"``,
        ``"2003-07-14 to 2003-07-20"``) or hours (``"2005-01-01 00:00"``, the hour that closes a year). An empty list
        where nothing is missing.
    """
    return {str(name): _of(var, years, year_start) for name, var in ds.data_vars.items()}


def _of(var: xr.DataArray, years: tuple[int, int], year_start: int) -> list[str]:
    aggregation, frequency = var.attrs.get("aggregation", ""), var.attrs.get("frequency", "")
    if frequency not in spec.FREQUENCIES or "time" not in var.dims or year_start not in range(1, 13):
        return []
    time = var["time"].values
    if not np.issubdtype(time.dtype, np.datetime64):
        return []
    if frequency == "year":
        held = set((time.astype("datetime64[Y]").astype(int) + 1970).tolist())
        return [str(y) for y in range(years[0], years[1] + 1) if y not in held]
    held_hours = np.unique(time.astype("datetime64[h]"))
    out = []
    for year in range(years[0], years[1] + 1):
        starts, stamps, _ = expected(*span_of((year, year), year_start), aggregation, frequency)
        at = np.searchsorted(held_hours, stamps)
        absent = held_hours.take(at, mode="clip") != stamps if held_hours.size else np.ones(stamps.size, bool)
        out += [str(year)] if absent.all() else _within(starts, stamps, absent, aggregation, frequency)
    return out


def _within(
    starts: NDArray[Any], stamps: NDArray[Any], absent: NDArray[np.bool_], aggregation: str, frequency: str
) -> list[str]:
    if not absent.any():
        return []
    if frequency == "month":
        return [str(m) for m in starts[absent].astype("datetime64[M]")]
    out = []
    months = starts.astype("datetime64[M]")
    for month in np.unique(months[absent]):
        here = months == month
        if absent[here].all():
            out.append(str(month))
        elif frequency == "hour" and aggregation != spec.SINCE_00:
            out += _hours(starts[here], stamps[here], absent[here])
        else:
            out += _days(starts[here], stamps[here], absent[here], closes=aggregation == spec.SINCE_00)
    return out


def _hours(starts: NDArray[Any], stamps: NDArray[Any], absent: NDArray[np.bool_]) -> list[str]:
    # whole days by their date, the hours of other days one run after the other
    days = starts.astype("datetime64[D]")
    numbers, places = np.unique(days, return_inverse=True)
    whole = np.bincount(places, absent) == np.bincount(places)
    out = [(numbers[a], _run(str(numbers[a]), str(numbers[b]))) for a, b in _runs(whole)]
    partial = absent & ~whole[places]
    out += [(days[a], _run(_hour(stamps[a]), _hour(stamps[b]))) for a, b in _runs(partial)]
    return [words for _, words in sorted(out)]


def _days(starts: NDArray[Any], stamps: NDArray[Any], absent: NDArray[np.bool_], *, closes: bool) -> list[str]:
    # of running totals one value a day is needed: a single one is named by its hour
    days = starts.astype("datetime64[D]")
    return [_hour(stamps[a]) if closes and a == b else _run(str(days[a]), str(days[b])) for a, b in _runs(absent)]


def _runs(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marks, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _hour(stamp: Any) -> str:
    return str(stamp.astype("datetime64[m]")).replace("T", " ")


def _run(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"
