"""What a model of respiration needs beside climate: rasters that the recipe names, checked and brought to the grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from nepcube import nep, sources, store
from nepcube import recipe as recipes
from nepcube.errors import RecipeError, UnitError
from nepcube.grid import Window, dims
from nepcube.pipeline.ingest import keep_constant
from nepcube.pipeline.sampling import open_one
from nepcube.pipeline.uncertainty import errors_of

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from nepcube.pipeline.context import Run

# unit of a model, as files spell it, and the factor to it
_SPELLINGS = {
    "kg m-2": {
        "kg m-2": 1.0, "kg/m2": 1.0, "kg/m^2": 1.0, "kg m**-2": 1.0, "kgc m-2": 1.0, "kg c m-2": 1.0, "kgc/m2": 1.0,
        "g m-2": 1e-3, "g/m2": 1e-3, "gc m-2": 1e-3, "gc/m2": 1e-3,
        "t ha-1": 0.1, "t/ha": 0.1, "mg ha-1": 0.1, "mg/ha": 0.1, "tonnes/ha": 0.1,
    },
}  # fmt: skip


def field_files(recipe: recipes.Recipe) -> list[tuple[str, str]]:
    """Name the rasters of the respiration model, each with the field that it is."""
    return [(name, p) for name, r in recipe.respiration.fields.items() for p in sources.expand(recipe.resolve(r.path))]


def open_fields(recipe: recipes.Recipe, grid: GeoBox) -> dict[str, xr.DataArray]:
    """Open what the model needs beside climate, in its units, lazy.

    Raises
    ------
    NepcubeError
        The model is not known or has no such basis, a field is missing or not wanted, its raster cannot be used, or
        the errors of its coefficients cannot be.
    """
    wanted = recipe.respiration
    model = nep.respiration_model(wanted.model)
    nep.require_basis(model, wanted.basis)
    errors_of(recipe)
    for name in wanted.fields:
        if name not in model.fields:
            raise RecipeError(
                f"respiration.fields.{name}: {model.name} has no use for it.",
                f"It takes {', '.join(model.fields)}." if model.fields else "Remove it: it takes climate alone.",
            )
    absent = [f"`{name}` ({unit})" for name, unit in model.fields.items() if name not in wanted.fields]
    if absent:
        raise RecipeError(
            f"respiration: {model.name} needs {', '.join(absent)}.",
            f"Name a raster: `respiration: {{model: {model.name}, fields: {{{next(iter(model.fields))}: "
            "{path: ..., units: ...}}}`.",
        )
    out = {}
    for name, raster in wanted.fields.items():
        path, field = open_one(recipe, raster, f"respiration.fields.{name}", grid)
        out[name] = _in_unit(field, raster.units, model.fields[name], f"{path}: respiration.fields.{name}")
    return out


def _in_unit(field: xr.DataArray, given: str | None, wanted: str, of: str) -> xr.DataArray:
    unit = field.attrs.get("units") if given is None else given
    spelled = " ".join(str(unit or "").lower().split())
    factor = _SPELLINGS.get(wanted, {}).get(spelled, 1.0 if unit == wanted else None)
    if factor is None:
        raise UnitError(
            f"{of}: {repr(unit) if unit else 'no unit'} cannot become {wanted!r}.",
            "Say its true unit with `units:` beside its `path:`.",
        )
    scaled = field if factor == 1.0 else field.astype("float64") * factor
    return scaled.assign_attrs(field.attrs | {"units": wanted})


def keep_fields(run: Run, stage: str) -> None:
    """Bring the fields to the grid and keep them in the cube, once."""
    for name, field in open_fields(run.recipe, run.grid).items():
        attrs = {"long_name": name.replace("_", " "), "units": str(field.attrs["units"])}
        keep_constant(run, store.Layout(name, "float32", attrs, yearly=False), field, stage)


def read_fields(cube: store.Store, units: Mapping[str, str], window: Window) -> dict[str, xr.DataArray]:
    """Read the fields of a window from the cube.

    Raises
    ------
    RecipeError
        One holds a negative amount, which is a nodata value that the file does not declare.
    """
    import xarray as xr

    out = {}
    for name, values in store.read_block(cube.path, list(units), window).items():
        if (values < 0).any():
            raise RecipeError(
                f"respiration.fields.{name}: it holds {np.nanmin(values):g}.",
                "Say its missing value with `nodata:` beside its `path:`.",
            )
        out[name] = xr.DataArray(values, dims=dims(cube.grid), attrs={"units": units[name]})
    return out
