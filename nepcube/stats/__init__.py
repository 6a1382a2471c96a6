"""Statistics over time, one cell for itself: trend, stability, drivers, and classes of the maps they make."""

from nepcube.stats.breakpoint import breakpoint_trend, pettitt
from nepcube.stats.causes import attribution, residual_trend
from nepcube.stats.classes import classify, interval_labels, natural_breaks
from nepcube.stats.contributions import dominant_driver, ridge_contributions
from nepcube.stats.describing import describe
from nepcube.stats.drivers import (
    multiple_regression,
    partial_correlation,
    partial_correlations,
    semi_partial_correlation,
)
from nepcube.stats.field import FieldSignificance, false_discovery_rate, field_significance
from nepcube.stats.mapped import as_maps, statistics_from_maps
from nepcube.stats.schemes import (
    ClassBreaks,
    class_breaks,
    equal_interval_breaks,
    goodness_of_fit,
    quantile_breaks,
    standard_deviation_breaks,
)
from nepcube.stats.stability import coefficient_of_variation, hurst_exponent, mean
from nepcube.stats.sufficient import (
    merge_statistics,
    partial_from_statistics,
    sufficient_statistics,
    trend_from_statistics,
    variation_from_statistics,
)
from nepcube.stats.trend import linear_trend, mann_kendall, theil_sen, trend_classes

__all__ = [
    "ClassBreaks",
    "FieldSignificance",
    "as_maps",
    "attribution",
    "breakpoint_trend",
    "class_breaks",
    "classify",
    "coefficient_of_variation",
    "describe",
    "dominant_driver",
    "equal_interval_breaks",
    "false_discovery_rate",
    "field_significance",
    "goodness_of_fit",
    "hurst_exponent",
    "interval_labels",
    "linear_trend",
    "mann_kendall",
    "mean",
    "merge_statistics",
    "multiple_regression",
    "natural_breaks",
    "partial_correlation",
    "partial_correlations",
    "partial_from_statistics",
    "pettitt",
    "quantile_breaks",
    "residual_trend",
    "ridge_contributions",
    "semi_partial_correlation",
    "standard_deviation_breaks",
    "statistics_from_maps",
    "sufficient_statistics",
    "theil_sen",
    "trend_classes",
    "trend_from_statistics",
    "variation_from_statistics",
]
