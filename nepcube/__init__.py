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
        classify,
        coefficient_of_variation,
        linear_trend,
        mann_kendall,
        natural_breaks,
        partial_correlation,
        theil_sen,
    )
    from nepcube.store import open_cube

__all__ = [
    "NepcubeError",
    "__version__",
    "aggregate",
    "cell_area",
    "classify",
    "coefficient_of_variation",
    "heterotrophic_respiration",
    "label_regions",
    "linear_trend",
    "load_recipe",
    "mann_kendall",
    "natural_breaks",
    "net_ecosystem_productivity",
    "open_cube",
    "open_source",
    "partial_correlation",
    "potential_npp",
    "regrid",
    "run",
    "target_grid",
    "theil_sen",
    "to_annual",
]

# importing nepcube is cheap: a room is opened when something of it is first used
_ROOMS = {
    "aggregate": "regions",
    "cell_area": "grid",
    "classify": "stats",
    "coefficient_of_variation": "stats",
    "heterotrophic_respiration": "nep",
    "label_regions": "regions",
    "linear_trend": "stats",
    "load_recipe": "recipe",
    "mann_kendall": "stats",
    "natural_breaks": "stats",
    "net_ecosystem_productivity": "nep",
    "open_cube": "store",
    "open_source": "sources",
    "partial_correlation": "stats",
    "potential_npp": "nep",
    "regrid": "harmonise",
    "run": "pipeline",
    "target_grid": "grid",
    "theil_sen": "stats",
    "to_annual": "harmonise",
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        from importlib import import_module

        return getattr(import_module(f"nepcube.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'nepcube' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
