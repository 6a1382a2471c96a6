"""The recipe: frozen models, YAML loading with line numbers, fingerprints of the stages."""

from nepcube.recipe.addresses import paths_of
from nepcube.recipe.fingerprint import STAGES, changed_keys, differences, stage_part
from nepcube.recipe.loading import dump_recipe, load_recipe
from nepcube.recipe.models import (
    Archive,
    Continuation,
    Elevation,
    Grid,
    ModelSource,
    Raster,
    ReaderSource,
    Recipe,
    Record,
    Regions,
    Respiration,
    Sources,
)
from nepcube.recipe.statistics import Breakpoint, Classes, ClassSpec, Correlation, Statistics
from nepcube.recipe.strata import Categorical, Continuous
from nepcube.recipe.uncertainty import NppErrors, Uncertainty

__all__ = [
    "STAGES",
    "Archive",
    "Breakpoint",
    "Categorical",
    "ClassSpec",
    "Classes",
    "Continuation",
    "Continuous",
    "Correlation",
    "Elevation",
    "Grid",
    "ModelSource",
    "NppErrors",
    "Raster",
    "ReaderSource",
    "Recipe",
    "Record",
    "Regions",
    "Respiration",
    "Sources",
    "Statistics",
    "Uncertainty",
    "changed_keys",
    "differences",
    "dump_recipe",
    "load_recipe",
    "paths_of",
    "stage_part",
]
