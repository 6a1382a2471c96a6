"""Native series to annual (or monthly, daily) values, and native grids to the target grid."""

from nepcube.harmonise.elevation import correct_for_elevation, surface_height
from nepcube.harmonise.intervals import require_step
from nepcube.harmonise.missing import gaps
from nepcube.harmonise.overlaps import covers, is_finer
from nepcube.harmonise.periods import hourly_increments, to_annual, to_interval
from nepcube.harmonise.resampling import Later, regrid, regrid_later, regrid_window, require_engine, require_method

__all__ = [
    "Later",
    "correct_for_elevation",
    "covers",
    "gaps",
    "hourly_increments",
    "is_finer",
    "regrid",
    "regrid_later",
    "regrid_window",
    "require_engine",
    "require_method",
    "require_step",
    "surface_height",
    "to_annual",
    "to_interval",
]
