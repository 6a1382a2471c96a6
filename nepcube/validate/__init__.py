"""NEP held against flux towers: their annual sums, the cells that hold them, and how far both are apart."""

from nepcube.validate.comparison import Comparison, compare, compare_with_towers
from nepcube.validate.fluxnet import MONTH_QC, YEAR_QC, annual_nep, read_months, tower_nep
from nepcube.validate.summary import Agreement, agreement, notes, summary_lines
from nepcube.validate.towers import Tower, cell_of, load_towers

__all__ = [
    "MONTH_QC",
    "YEAR_QC",
    "Agreement",
    "Comparison",
    "Tower",
    "agreement",
    "annual_nep",
    "cell_of",
    "compare",
    "compare_with_towers",
    "load_towers",
    "notes",
    "read_months",
    "summary_lines",
    "tower_nep",
]
