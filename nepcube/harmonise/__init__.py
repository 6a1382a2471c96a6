"""Native series to annual (or monthly, daily) values, and native grids to the target grid."""

from nepcube.harmonise.missing import gaps
from nepcube.harmonise.periods import hourly_increments, to_annual, to_interval
from nepcube.harmonise.resampling import regrid, regrid_window

__all__ = ["gaps", "hourly_increments", "regrid", "regrid_window", "to_annual", "to_interval"]
