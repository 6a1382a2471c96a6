"""Which year a moment belongs to, where years do not begin in January."""

from __future__ import annotations

import calendar
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def years_of(time: NDArray[Any], year_start: int = 1) -> NDArray[np.int64]:
    """Give the year of each moment; one that begins after January is called by the year in which it ends."""
    months = np.asarray(time, "datetime64[M]").astype(np.int64)
    return np.asarray((months + (13 - year_start) % 12) // 12 + 1970, np.int64)


def starts_of(years: NDArray[Any], year_start: int = 1) -> NDArray[Any]:
    """Give the first hour of each year."""
    months = (np.asarray(years) - int(year_start > 1) - 1970) * 12 + year_start - 1
    return months.astype("datetime64[M]").astype("datetime64[h]")


def span_of(years: tuple[int, int], year_start: int = 1) -> tuple[np.datetime64, np.datetime64]:
    """Give the time that some years cover, from their first moment to the first after them."""
    first, end = starts_of(np.array([years[0], years[1] + 1]), year_start)
    return first, end


def year_comment(year_start: int) -> str:
    """Say in words which months a year holds."""
    first, last = calendar.month_name[year_start], calendar.month_name[(year_start - 2) % 12 + 1]
    return (
        f"The year Y is {first} of Y-1 to {last} of Y." if year_start > 1 else f"The year Y is {first} to {last} of Y."
    )
