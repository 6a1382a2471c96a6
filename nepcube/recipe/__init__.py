"""The recipe: frozen models, YAML loading with line numbers, fingerprints of the stages."""

from nepcube.recipe.fingerprint import STAGES, changed_keys, stage_part
from nepcube.recipe.loading import dump_recipe, load_recipe
from nepcube.recipe.models import (
    Archive,
    Classes,
    ClassSpec,
    Correlation,
    Grid,
    ModelSource,
    ReaderSource,
    Recipe,
    Regions,
    Respiration,
    Sources,
    Statistics,
)

__all__ = [
    "STAGES",
    "Archive",
    "ClassSpec",
    "Classes",
    "Correlation",
    "Grid",
    "ModelSource",
    "ReaderSource",
    "Recipe",
    "Regions",
    "Respiration",
    "Sources",
    "Statistics",
    "changed_keys",
    "dump_recipe",
    "load_recipe",
    "stage_part",
]
