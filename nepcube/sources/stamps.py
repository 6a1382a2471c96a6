"""Dates in the names of files and of bands: what they tell, and what they leave open."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources import series

if TYPE_CHECKING:
    from numpy.typing import NDArray

_YEAR = r"(?P<y>18[5-9]\d|19\d\d|20\d\d)"
_TOKEN = re.compile(
    rf"(?<!\d){_YEAR}"
    r"(?:(?P<sep>[-_.]?)(?P<m>\d\d)(?:(?P=sep)(?P<d>\d\d))?(?![\dA-Za-z])|(?P<j>\d{3})(?!\d)|(?!\d|k?m(?![A-Za-z])))"
)
# a number of one or two digits, or of three, that may or may not belong to the date before it
_REST = re.compile(r"[-_.]\d{1,3}(?![\dA-Za-z])")
_STARTS = {"pentad": (1, 6, 11, 16, 21, 26), "dekad": (1, 11, 21)}
_FINER = {"year": 0, "month": 1, "day": 2}


@dataclass(frozen=True)
class Stamp:
    """A date, and how finely it is told: ``"year"``, ``"month"`` or ``"day"``."""

    start: np.datetime64
    told: str


def stamp_in(text: str, of: str) -> Stamp | None:
    """Find the date in a name: YYYY, YYYY-MM, YYYYMM, YYYY_MM_DD, YYYYMMDD or YYYYDDD; None where there is none.

    Parameters
    ----------
    text : str
    of : str
        What carries the name, for the message.

    Raises
    ------
    SourceError
        The name holds two dates, or numbers that may or may not be one.
    """
    found: list[Stamp] = []
    for match in _TOKEN.finditer(text):
        rest = _REST.match(text, match.end())
        stamp = None if rest else _stamp(match)
        if stamp is None:
            shown = match.group() + (rest.group() if rest else "")
            raise SourceError(
                f"{of}: {shown!r} in its name is no date that can be told for certain.",
                "Name it by YYYY, YYYY-MM, YYYY-MM-DD or YYYYDDD, with no number behind it.",
            )
        found.append(stamp)
    if not found:
        return None
    finest = max(found, key=lambda s: _FINER[s.told])
    for other in found:
        unit = {"year": "Y", "month": "M", "day": "D"}[other.told]
        if finest.start.astype(f"datetime64[{unit}]") != other.start.astype(f"datetime64[{unit}]"):
            raise SourceError(
                f"{of}: two dates stand in its name ({_shown(found[0])} and {_shown(other)}).",
                "Leave the date of its values alone in the name.",
            )
    return finest


def _stamp(match: re.Match[str]) -> Stamp | None:
    year, month, day, of_year = (int(g) if g else None for g in match.group("y", "m", "d", "j"))
    assert year is not None
    try:
        if of_year is not None:
            date = datetime.date(year, 1, 1) + datetime.timedelta(of_year - 1)
            return Stamp(np.datetime64(date), "day") if of_year and date.year == year else None
        date = datetime.date(year, month or (1 if month is None else 0), day or (1 if day is None else 0))
    except ValueError:
        return None
    return Stamp(np.datetime64(date), "day" if day is not None else "month" if month is not None else "year")


def _shown(stamp: Stamp) -> str:
    return str(stamp.start)[: {"year": 4, "month": 7, "day": 10}[stamp.told]]


def step_of(time: NDArray[Any]) -> str | None:
    """Tell the step of a time axis, dekads too."""
    found = series.frequency_of(time)
    if found is None and len(time) > 1:
        days = np.diff(time.astype("datetime64[D]")).astype(int)
        if 8 <= int(days.min()) <= 11 and starts_of("dekad", time):
            return "dekad"
    return found


def starts_of(step: str, time: NDArray[Any]) -> bool:
    """Tell whether every stamp is the first day of a pentad or of a dekad."""
    days = time.astype("datetime64[D]")
    of_month = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(int) + 1
    return bool(np.isin(of_month, _STARTS[step]).all())


def require_starts(time: NDArray[Any], step: str, path: str) -> None:
    """Refuse stamps that are not the first moment of a step.

    Raises
    ------
    SourceError
    """
    unit = {"hour": "h", "month": "M", "year": "Y"}.get(step, "D")
    begun = time.astype(f"datetime64[{unit}]").astype("datetime64[ns]")
    wrong = begun != time.astype("datetime64[ns]")
    if step in _STARTS and not wrong.any() and not starts_of(step, time):
        wrong = ~np.array([starts_of(step, time[k : k + 1]) for k in range(time.size)])
    if wrong.any():
        stamp = str(time[wrong][0].astype("datetime64[m]")).replace("T", " ")
        raise SourceError(
            f"{path}: {int(wrong.sum())} time(s) do not stand at the start of a {step}, such as {stamp} UTC.",
            "Give the true step with `time:`, or download the file again.",
        )


def step_told(stamps: list[Stamp], said: str | None, of: str) -> str | None:
    """Tell the step of files whose names hold dates, which what the user says must fit.

    Raises
    ------
    SourceError
        The dates are of several kinds, or contradict what is said.
    """
    kinds = sorted({s.told for s in stamps}, key=_FINER.__getitem__)
    if len(kinds) > 1:
        raise SourceError(
            f"{of}: some names tell a {kinds[0]}, others a {kinds[-1]}.", "Keep files of one step, named alike."
        )
    told = kinds[0]
    if said is None:
        return told if told != "day" else step_of(np.array(sorted(s.start for s in stamps), "datetime64[ns]"))
    coarser = _FINER[told] < _FINER.get(said, 2)
    inside = {"year": "Y", "month": "M"}.get(said)
    starts = [s.start for s in stamps]
    moved = inside is not None and any(t.astype(f"datetime64[{inside}]").astype("datetime64[D]") != t for t in starts)
    if coarser or moved:
        raise SourceError(
            f"{of}: its name tells the {told} {_shown(stamps[0])}, but `time: {said}` is said.",
            "Name the files by the first day of their step, or correct `time:`.",
        )
    return said
