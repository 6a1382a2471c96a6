"""nepcube: from the providers' files to a carbon source/sink atlas.

Annual net ecosystem productivity of every cell, its trend, its stability and its climate drivers, as Zarr stores that
plain xarray opens. See `docs/index.md`; ``nepcube run recipe.yaml -o OUT`` does it all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nepcube._version import __version__
from nepcube.errors import NepcubeError

if TYPE_CHECKING:
    from nepcube.grid import cell_area, target_grid
    from nepcube.harmonise import regrid, to_annual
    from nepcube.nep import (
        heterotrophic_respiration,
        nep_uncertainty,
        net_ecosystem_productivity,
        potential_npp,
        respiration_sensitivity,
    )
    from nepcube.pipeline import compare_runs, open_report, run, write_figures
    from nepcube.recipe import load_recipe
    from nepcube.regions import aggregate, label_regions
    from nepcube.report import plot_chart, plot_map
    from nepcube.sources import open_source
    from nepcube.stats import (
        attribution,
        breakpoint_trend,
        class_breaks,
        classify,
        coefficient_of_variation,
        dominant_driver,
        equal_interval_breaks,
        false_discovery_rate,
        field_significance,
        hurst_exponent,
        linear_trend,
        mann_kendall,
        merge_statistics,
        multiple_regression,
        natural_breaks,
        partial_correlation,
        partial_correlations,
        partial_from_statistics,
        pettitt,
        quantile_breaks,
        residual_trend,
        ridge_contributions,
        semi_partial_correlation,
        standard_deviation_breaks,
        statistics_from_maps,
        sufficient_statistics,
        theil_sen,
        trend_classes,
        trend_from_statistics,
        variation_from_statistics,
    )
    from nepcube.store import open_cube
    from nepcube.validate import compare_with_towers, tower_nep

__all__ = [
    "NepcubeError",
    "__version__",
    "aggregate",
    "attribution",
    "breakpoint_trend",
    "cell_area",
    "class_breaks",
    "classify",
    "coefficient_of_variation",
    "compare_runs",
    "compare_with_towers",
    "dominant_driver",
    "equal_interval_breaks",
    "false_discovery_rate",
    "field_significance",
    "heterotrophic_respiration",
    "hurst_exponent",
    "label_regions",
    "linear_trend",
    "load_recipe",
    "mann_kendall",
    "merge_statistics",
    "multiple_regression",
    "natural_breaks",
    "nep_uncertainty",
    "net_ecosystem_productivity",
    "open_cube",
    "open_report",
    "open_source",
    "partial_correlation",
    "partial_correlations",
    "partial_from_statistics",
    "pettitt",
    "plot_chart",
    "plot_map",
    "potential_npp",
    "quantile_breaks",
    "regrid",
    "residual_trend",
    "respiration_sensitivity",
    "ridge_contributions",
    "run",
    "semi_partial_correlation",
    "standard_deviation_breaks",
    "statistics_from_maps",
    "sufficient_statistics",
    "target_grid",
    "theil_sen",
    "to_annual",
    "tower_nep",
    "trend_classes",
    "trend_from_statistics",
    "variation_from_statistics",
    "write_figures",
]

# importing nepcube is cheap: a room is opened when something of it is first used
_ROOMS = {
    "aggregate": "regions",
    "breakpoint_trend": "stats",
    "attribution": "stats",
    "cell_area": "grid",
    "class_breaks": "stats",
    "classify": "stats",
    "coefficient_of_variation": "stats",
    "compare_runs": "pipeline",
    "compare_with_towers": "validate",
    "dominant_driver": "stats",
    "equal_interval_breaks": "stats",
    "false_discovery_rate": "stats",
    "field_significance": "stats",
    "heterotrophic_respiration": "nep",
    "label_regions": "regions",
    "hurst_exponent": "stats",
    "linear_trend": "stats",
    "load_recipe": "recipe",
    "mann_kendall": "stats",
    "merge_statistics": "stats",
    "multiple_regression": "stats",
    "natural_breaks": "stats",
    "nep_uncertainty": "nep",
    "net_ecosystem_productivity": "nep",
    "open_cube": "store",
    "open_report": "pipeline",
    "open_source": "sources",
    "partial_correlation": "stats",
    "pettitt": "stats",
    "partial_correlations": "stats",
    "partial_from_statistics": "stats",
    "plot_chart": "report",
    "plot_map": "report",
    "potential_npp": "nep",
    "quantile_breaks": "stats",
    "regrid": "harmonise",
    "residual_trend": "stats",
    "respiration_sensitivity": "nep",
    "ridge_contributions": "stats",
    "run": "pipeline",
    "semi_partial_correlation": "stats",
    "standard_deviation_breaks": "stats",
    "statistics_from_maps": "stats",
    "sufficient_statistics": "stats",
    "target_grid": "grid",
    "theil_sen": "stats",
    "to_annual": "harmonise",
    "tower_nep": "validate",
    "trend_classes": "stats",
    "trend_from_statistics": "stats",
    "variation_from_statistics": "stats",
    "write_figures": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        from importlib import import_module

        return getattr(import_module(f"nepcube.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'nepcube' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
