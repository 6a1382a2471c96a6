"""Statistics over time, one cell for itself: trend, stability, drivers, and classes of the maps they make."""

from nepcube.stats.classes import Histogram, classify, interval_labels, natural_breaks
from nepcube.stats.drivers import partial_correlation
from nepcube.stats.stability import coefficient_of_variation, mean
from nepcube.stats.trend import linear_trend, mann_kendall, theil_sen

__all__ = [
    "Histogram",
    "classify",
    "coefficient_of_variation",
    "interval_labels",
    "linear_trend",
    "mann_kendall",
    "mean",
    "natural_breaks",
    "partial_correlation",
    "theil_sen",
]
