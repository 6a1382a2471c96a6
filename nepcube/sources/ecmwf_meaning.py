"""What a value of an ECMWF reanalysis stands for: told by metadata, tested on the data, asked for where neither tells.

An hourly accumulation of ERA5-Land rises through the day and starts again after 00 UTC; one of ERA5 is that of the hour
before, and falls as soon as the rain or the light does. Monthly means hold accumulations per day.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.sources.ecmwf_headers import ACCUMULATED, BY_HOUR, MONTHLY, Header, by_hour, places
from nepcube.sources.limits import most_of_a_day, to_base
from nepcube.sources.series import frequency_of
from nepcube.sources.stored import read_now

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube.sources.protocol import Request

_HOUR = np.timedelta64(1, "h")
_CELLS, _TRIES, _WINDOWS, _WINDOW_HOURS = 3, 40, 8, 50
_ENOUGH = 6
_MAP_CELLS = 2**20
#: smaller steps may be packing: 0.1 mm, 0.01 MJ m-2
_FLOOR = {"precipitation": 0.1, "radiation": 0.01}
_WORDS = {
    spec.SINCE_00: "accumulates from 00 UTC",
    spec.PREVIOUS_HOUR: "does not accumulate through the day",
    spec.AMOUNT: "holds totals",
    spec.PER_DAY: "holds daily amounts",
}


@dataclass(frozen=True)
class Series:
    """One variable of the files that hold it: its parts, what their headers say, and the product that is asked for."""

    quantity: str
    name: str
    unit: str
    path: str
    parts: tuple[xr.DataArray, ...]
    headers: tuple[Header, ...]
    request: Request
    reader: str
    title: str
    hourly: str
    on_grid: bool

    @property
    def time(self) -> NDArray[Any]:
        """Give all stamps, each once, in order."""
        return np.unique(np.concatenate([p["time"].values for p in self.parts]))

    def said(self, word: str) -> set[str]:
        """Give what the headers say of one thing."""
        return {str(v) for h in self.headers if (v := getattr(h, word)) is not None}


def frequency(s: Series) -> str:
    """Tell the step of a series.

    Raises
    ------
    SourceError
        It cannot be told, contradicts the recipe, or is that of no product.
    """
    time = s.time
    streams = s.said("stream")
    if len(streams) > 1:
        raise SourceError(
            f"{s.path}: {s.name} comes in files of the streams {' and '.join(sorted(streams))}.",
            "Keep the files of one step together.",
        )
    stream = next(iter(streams), None)
    days, months = time.astype("datetime64[D]"), time.astype("datetime64[M]")
    late = np.timedelta64(1 if stream == MONTHLY else 0, "D")
    first_days = bool((days - months.astype("datetime64[D]") <= late).all())
    several = bool((np.unique(months, return_counts=True)[1] > 1).any())
    if first_days and several and (stream in (MONTHLY, BY_HOUR) or np.unique(months).size > 1):
        raise by_hour(s.path)
    found = frequency_of(time)
    if stream == MONTHLY:
        found = "month" if first_days else None
    told, said = found, s.request.time
    if said is not None and told is not None and said != told:
        raise SourceError(
            f"{s.path}: `time: {said}` is said, but the stamps of {s.name} are a {told} apart.",
            f"Say `time: {told}`, or leave it out.",
        )
    got = said or told
    if got not in {"hour", "day", "month"}:
        raise SourceError(
            f"{s.path}: the step of {s.name} cannot be told from its {time.size} time(s).",
            "Say `time: month` or `time: hour` in the recipe.",
        )
    if got == "month":
        _require_months(s, time, stream)
    return got


def _require_months(s: Series, time: NDArray[Any], stream: str | None) -> None:
    stamp = str(time.astype("datetime64[m]")[0]).replace("T", " ")
    steps = s.said("step_type") & {"instant", "accum"}
    if stream != MONTHLY and (stream is not None or steps):
        raise SourceError(
            f"{s.path}: {s.name} holds one hour of each month ({stamp} UTC, {stream or 'step type ' + steps.pop()}), "
            "not the month's mean.",
            "Download the monthly means, or every hour.",
        )
    hours = time - time.astype("datetime64[D]")
    if stream is None and s.quantity not in ACCUMULATED and bool((hours != np.timedelta64(0, "h")).any()):
        raise SourceError(
            f"{s.path}: {s.name} is stamped {stamp} UTC: the month's mean, one hour of it, or the mean of that hour?",
            "Download the monthly means; their files say that they are (stream moda).",
        )


def aggregation(s: Series, step: str) -> str:
    """Tell how the values relate to their stamps.

    Raises
    ------
    SourceError
        Metadata and data cannot tell, or contradict each other or the recipe.
    """
    if s.quantity not in ACCUMULATED:
        return s.request.aggregate or _state(s, step)
    if step == "hour":
        return _hourly(s)
    if step == "month":
        return _monthly(s)
    return s.request.aggregate or _by_name(s) or _daily(s)


def _state(s: Series, step: str) -> str:
    if step != "day":
        return spec.MEAN
    how = s.said("how")
    if how == {"mean"}:
        return spec.MEAN
    if how:
        raise SourceError(
            f"{s.path}: {s.name} holds the day's {' or '.join(sorted(how))}, not its mean.",
            "Download the daily mean.",
        )
    raise SourceError(
        f"{s.path}: one {s.name} a day may be the day's mean or one hour of it; its file does not say.",
        "Download every hour or the daily statistics; say `aggregate: mean` if these are means.",
    )


def _by_name(s: Series) -> str | None:
    # Earth Engine's bands, and units that are rates
    if s.name.endswith("_hourly"):
        return spec.PREVIOUS_HOUR
    if s.name.endswith("_sum"):
        return spec.AMOUNT
    return spec.PER_DAY if s.unit.endswith("day-1") or s.unit == "W m-2" else None


def _daily(s: Series) -> str:
    how = s.said("how")
    if how == {"sum"}:
        return spec.AMOUNT
    if how:
        raise SourceError(
            f"{s.path}: {s.name} holds the {' or '.join(sorted(how))} of the day's hours, not the day's amount.",
            "Download the daily sum, or the hours.",
        )
    raise SourceError(
        f"{s.path}: one {s.name} a day may be the day's amount or the total at 00 UTC of the day before.",
        "Say `aggregate: amount` if each value is the amount of its own day, `aggregate: accumulated_since_00utc` if "
        "it is stamped with the 00 UTC that ends its day.",
    )


# --- hours -------------------------------------------------------------------------------------------------------


def _hourly(s: Series) -> str:
    said = s.request.aggregate
    named = _by_name(s)
    assumed = said or named or s.hourly
    if assumed not in (spec.SINCE_00, spec.PREVIOUS_HOUR):
        if said is None:
            return assumed
        raise SourceError(
            f"{s.path}: `aggregate: {said}` does not fit hourly {s.name}.",
            f"Say `aggregate: {spec.SINCE_00}` or `aggregate: {spec.PREVIOUS_HOUR}`.",
        )
    seen = _seen_in_hours(s)
    if seen is None:
        if said or named or (s.on_grid and all(h.from_cds and not h.altered for h in s.headers)):
            return assumed
        raise SourceError(
            f"{s.path}: hourly {s.name} may accumulate from 00 UTC (ERA5-Land) or be the hour's own (ERA5, Earth "
            "Engine, already differenced); neither its file nor its values tell.",
            f"Say `aggregate: {spec.SINCE_00}` or `aggregate: {spec.PREVIOUS_HOUR}`.",
        )
    if seen == assumed:
        return seen
    if said:
        raise SourceError(
            f"{s.path}: `aggregate: {said}` is said, but {s.name} {_WORDS[seen]}.",
            f"Say `aggregate: {seen}`, or leave it out.",
        )
    if seen == spec.SINCE_00:
        raise SourceError(
            f"{s.path}: hourly {s.name} {_WORDS[seen]}, which that of {s.title if not named else 'its name'} does not.",
            f"Use `reader: era5-land`, or say `aggregate: {seen}`.",
        )
    raise SourceError(
        f"{s.path}: hourly {s.name} {_WORDS[seen]}, as that of {s.title} does: it falls within one.",
        f"Use `reader: era5` for ERA5; say `aggregate: {seen}` if each value is the amount of the hour before.",
    )


def _seen_in_hours(s: Series) -> str | None:
    """Look at some days of some cells: whether the values only rise from 01 to 00 UTC, and start again after it."""
    factor = to_base(s.unit)
    if factor is None:
        return None
    held = resets = 0
    for stamps, values in _windows(s):
        hour = ((stamps - stamps.astype("datetime64[D]")) // _HOUR).astype(int)
        after, before = values[1:] * factor, values[:-1] * factor
        follows = (np.diff(stamps) == _HOUR)[:, None] & np.isfinite(after) & np.isfinite(before)
        step = max(_FLOOR[s.quantity], 0.01 * float(np.nanmax(np.abs(values * factor), initial=0.0)))
        within = follows & (hour[1:] != 1)[:, None]
        if (within & (after < before - step)).any():
            return spec.PREVIOUS_HOUR
        held += int((within & (before > 5 * step)).sum())
        # what goes on over midnight rises or stays; what starts again holds one hour of the new day
        resets += int((follows & (hour[1:] == 1)[:, None] & (before > 5 * step) & (after < 0.5 * before)).sum())
        if held >= 4 * _ENOUGH and resets >= 2:
            break
    return spec.SINCE_00 if held >= _ENOUGH and resets else None


def _windows(s: Series) -> Iterator[tuple[NDArray[Any], NDArray[np.float64]]]:
    parts = [p for p in s.parts if p.sizes["time"] >= 24] or [_joined(s.parts)]
    cells = _cells(parts[0])
    if not cells:
        return
    # from the middle outward, so that the first window is in no season's corner
    turns = [0.5, 0.25, 0.75, 0.1, 0.9, 0.4, 0.6, 0.0][:_WINDOWS]
    for turn in turns:
        part = parts[min(int(turn * len(parts)), len(parts) - 1)]
        n = part.sizes["time"]
        start = max(0, min(int((turn * len(parts)) % 1 * n), n - _WINDOW_HOURS))
        window = part.isel(time=slice(start, start + _WINDOW_HOURS))
        yield window["time"].values, _read(window, cells)


def _joined(parts: Sequence[xr.DataArray]) -> xr.DataArray:
    import xarray as xr

    some = sorted(parts, key=lambda p: p["time"].values[0])[: 2 * _WINDOW_HOURS]
    return xr.concat(some, dim="time", join="override", combine_attrs="override", coords="minimal", compat="override")


def _cells(part: xr.DataArray) -> list[tuple[int, int]]:
    # seas have no value: some cells that have one
    shape = [part.sizes["latitude"], part.sizes["longitude"]]
    first = part.isel(time=slice(0, 1))
    known = None
    # a cell by itself costs as much as the chunk that it lies in: a map is read at once
    if shape[0] * shape[1] <= _MAP_CELLS:
        known = np.isfinite(read_now(first.transpose("time", ...))[0].astype(np.float64))
    out = []
    for i, j in places(shape, _TRIES):
        if known[i, j] if known is not None else np.isfinite(_read(first, [(i, j)])).all():
            out.append((i, j))
        if len(out) == _CELLS:
            break
    return out


def _read(part: xr.DataArray, cells: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    if part.size <= _MAP_CELLS:
        whole = read_now(part.transpose("time", "latitude", "longitude"))
        return np.stack([whole[:, i, j] for i, j in cells], axis=1).astype(np.float64)
    columns = [
        read_now(part.isel(latitude=slice(i, i + 1), longitude=slice(j, j + 1)).transpose("time", ...))[:, 0, 0]
        for i, j in cells
    ]
    return np.stack(columns, axis=1).astype(np.float64)


# --- months ------------------------------------------------------------------------------------------------------


def _monthly(s: Series) -> str:
    said = s.request.aggregate
    if said in (spec.SINCE_00, spec.PREVIOUS_HOUR):
        raise SourceError(
            f"{s.path}: `aggregate: {said}` does not fit monthly {s.name}.", "Say `aggregate: per_day` or `amount`."
        )
    meant = all(h.stream == MONTHLY and not h.altered for h in s.headers)
    assumed = said or _by_name(s) or (spec.PER_DAY if meant else None)
    seen, value = _seen_in_months(s)
    if seen is None and assumed is None:
        raise SourceError(
            f"{s.path}: does {s.name} hold the mean amount of a day, as ECMWF's monthly means do, or the month's total?"
            " Its file and its values do not tell.",
            "Say `aggregate: per_day` or `aggregate: amount`.",
        )
    if seen is None or assumed is None or seen == assumed:
        return str(assumed or seen)
    unit = "MJ m-2" if s.quantity == "radiation" else "mm"
    if seen == spec.AMOUNT:
        most = most_of_a_day(s.quantity)
        raise SourceError(
            f"{s.path}: {s.name} of {value:.4g} {unit} is more than a day can have ({most:.4g}): these are monthly "
            "totals, not amounts per day.",
            "Say `aggregate: amount`.",
        )
    raise SourceError(
        f"{s.path}: `aggregate: {assumed}` is said, but the largest {s.name} of a whole year is {value:.4g} {unit}: "
        "these are amounts per day.",
        "Say `aggregate: per_day`.",
    )


def _seen_in_months(s: Series) -> tuple[str | None, float]:
    """Look at a year of some cells: more than any day can have is a month's total."""
    factor = to_base(s.unit)
    if factor is None:
        return None, 0.0
    largest, cells = 0.0, None
    seen: set[int] = set()
    order = sorted(range(len(s.parts)), key=lambda k: abs(k - len(s.parts) // 2))
    for k in order:
        part = s.parts[k]
        cells = _cells(part) if cells is None else cells
        if not cells:
            return None, 0.0
        n = part.sizes["time"]
        start = max(0, n // 2 - 6)
        window = part.isel(time=slice(start, min(n, start + 12)))
        values = _read(window, cells)
        if np.isfinite(values).any():
            largest = max(largest, float(np.nanmax(values)) * factor)
        seen |= set((window["time"].values.astype("datetime64[M]").astype(int) % 12).tolist())
        if len(seen) == 12:
            break
    most = most_of_a_day(s.quantity)
    if largest > most:
        return spec.AMOUNT, largest
    # a year whose brightest month had no more than one bright day: not even an ice sheet is so dark
    if s.quantity == "radiation" and len(seen) == 12 and largest > most / 31:
        return spec.PER_DAY, largest
    return None, largest
