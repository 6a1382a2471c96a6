"""What charts draw of the years, on paper and on the page: the line of the trend, the shares of sink and source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.style import number

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_PANELS", "TrendLine", "neither_share", "signed", "sink_and_source", "small_share", "trend_line"]

#: panels of regions on a page, of paper or not
MOST_PANELS = 40
#: a share below it is written as less than a tenth of a per cent, and cannot be seen
_LEAST = 5e-4
#: a share that never reaches it is a line at the edge of the stack
_SMALL = 0.1


@dataclass(frozen=True)
class TrendLine:
    """The least-squares line of a series, from its first to its last year with data."""

    slope: float
    p: float
    first: int
    last: int
    #: where least squares passes through: the mean of the years and of the values
    middle: tuple[float, float]

    def at(self, year: float) -> float:
        """Give the value of the line in a year."""
        return self.middle[1] + self.slope * (year - self.middle[0])


def trend_line(inputs: ReportInputs, region: str, years: NDArray[np.float64]) -> TrendLine | None:
    """Give the line of the summary table, whose slope and mean it is made of.

    Parameters
    ----------
    inputs : ReportInputs
    region : str
    years : numpy.ndarray
        Those with data.

    Returns
    -------
    TrendLine or None
        None where the table has no slope of the region.
    """
    summary = inputs.rows("summary", region=region)
    if not len(summary) or not len(years):
        return None
    row = summary.iloc[0]
    slope, mean = float(row["slope_gc_m2_yr"]), float(row["mean_gc_m2"])
    if not (math.isfinite(slope) and math.isfinite(mean)):
        return None
    p = float(row["slope_pvalue"]) if "slope_pvalue" in row.index else math.nan
    return TrendLine(slope, p, int(years.min()), int(years.max()), (float(years.mean()), mean))


def signed(value: float) -> str:
    """Write a slope with its sign, three significant digits."""
    return ("+" if value > 0 else "") + number(value, digits=3)


def sink_and_source(
    inputs: ReportInputs, region: str = ALL
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Look up the years and the shares of sink and source area, of the area with data."""
    rows = inputs.rows("series", region=region)
    if not len(rows):
        return np.array([]), np.array([]), np.array([])
    rows = rows.sort_values("year")
    area = np.asarray(rows["area_km2"], "f8")
    with np.errstate(divide="ignore", invalid="ignore"):
        sink, source = (np.asarray(rows[f"{kind}_area_km2"], "f8") / area for kind in ("sink", "source"))
    return np.asarray(rows["year"], "f8"), np.where(area > 0, sink, np.nan), np.where(area > 0, source, np.nan)


def neither_share(sink: NDArray[np.float64], source: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the share that is exactly zero; zero where it is too small to be seen, or nothing is known."""
    rest = 1.0 - sink - source
    return np.where(rest > _LEAST, rest, 0.0)


def small_share(sink: NDArray[np.float64], source: NDArray[np.float64]) -> str | None:
    """Tell which share, `source` or `sink`, is there and too small to be read in a stack to 100 %."""
    for kind, share in (("source", source), ("sink", sink)):
        if np.isfinite(share).any() and 0 < float(np.nanmax(share)) < _SMALL:
            return kind
    return None
