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
    from nepcube.nep import heterotrophic_respiration, net_ecosystem_productivity, potential_npp
    from nepcube.pipeline import run
    from nepcube.recipe import load_recipe
    from nepcube.regions import aggregate, label_regions
    from nepcube.sources import open_source
    from nepcube.stats import (
        breakpoint_trend,
        classify,
        coefficient_of_variation,
        hurst_exponent,
        linear_trend,
        mann_kendall,
        natural_breaks,
        partial_correlation,
        pettitt,
        theil_sen,
        trend_classes,
    )
    from nepcube.store import open_cube

__all__ = [
    "NepcubeError",
    "__version__",
    "aggregate",
    "breakpoint_trend",
    "cell_area",
    "classify",
    "coefficient_of_variation",
    "heterotrophic_respiration",
    "hurst_exponent",
    "label_regions",
    "linear_trend",
    "load_recipe",
    "mann_kendall",
    "natural_breaks",
    "net_ecosystem_productivity",
    "open_cube",
    "open_source",
    "partial_correlation",
    "pettitt",
    "potential_npp",
    "regrid",
    "run",
    "target_grid",
    "theil_sen",
    "to_annual",
    "trend_classes",
]

# importing nepcube is cheap: a room is opened when something of it is first used
_ROOMS = {
    "aggregate": "regions",
    "breakpoint_trend": "stats",
    "cell_area": "grid",
    "classify": "stats",
    "coefficient_of_variation": "stats",
    "heterotrophic_respiration": "nep",
    "label_regions": "regions",
    "hurst_exponent": "stats",
    "linear_trend": "stats",
    "load_recipe": "recipe",
    "mann_kendall": "stats",
    "natural_breaks": "stats",
    "net_ecosystem_productivity": "nep",
    "open_cube": "store",
    "open_source": "sources",
    "partial_correlation": "stats",
    "pettitt": "stats",
    "potential_npp": "nep",
    "regrid": "harmonise",
    "run": "pipeline",
    "target_grid": "grid",
    "theil_sen": "stats",
    "to_annual": "harmonise",
    "trend_classes": "stats",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        from importlib import import_module

        return getattr(import_module(f"nepcube.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'nepcube' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
