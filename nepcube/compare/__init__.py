"""Two runs side by side: exact sums over the cells that both have, and the tables made of them."""

from nepcube.compare.sums import ChangeSums, PairSums, SignSums, YearPairSums, area_scale, power_above
from nepcube.compare.tables import change_table, difference_table, sign_table, year_table

__all__ = [
    "ChangeSums",
    "PairSums",
    "SignSums",
    "YearPairSums",
    "area_scale",
    "change_table",
    "difference_table",
    "power_above",
    "sign_table",
    "year_table",
]
