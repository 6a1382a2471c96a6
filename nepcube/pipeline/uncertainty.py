"""The error of NEP in a run: what the recipe states, the maps of it, and its tables by region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import nep, spec
from nepcube import regions as region_room
from nepcube.errors import RecipeError, SpecError
from nepcube.report import Note, known, say
from nepcube.units import TG_PER_KM2

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube import recipe as recipes

TABLES = ("uncertainty", "uncertainty_components")
_NPP, _NPP_BY_YEAR, _RH = "npp_sensitivity", "npp_sensitivity_by_year", "rh_sensitivity_"
# a power of two, which changes no digit, brings squares of carbon fluxes near one
_FLUX = 64.0


def errors_of(recipe: recipes.Recipe) -> nep.InputErrors | None:
    """Give the errors that a recipe states, if it does.

    Raises
    ------
    RecipeError
        Not every coefficient of the model has its error, or the correlations are impossible.
    """
    stated = recipe.uncertainty
    if stated is None:
        return None
    try:
        model = nep.require_sensitive(nep.respiration_model(recipe.respiration.model))
        nep.require_coefficients(model, list(stated.respiration))
        absent = [name for name in model.coefficients if name not in stated.respiration]
        if absent:
            raise SpecError(
                f"respiration: {', '.join(absent)} of {model.name} not given.",
                "Say the relative error of each coefficient; 0 takes it as exact.",
            )
        return nep.InputErrors(
            **stated.npp.model_dump(), respiration=dict(stated.respiration), correlation=stated.correlation
        )
    except SpecError as error:
        raise RecipeError(f"uncertainty.{error.what}", error.way_out) from None


def named_maps(means: xr.Dataset, errors: nep.InputErrors) -> dict[str, xr.DataArray]:
    """Give the maps of the error of mean NEP under their names in the store, from `nep.mean_sensitivities`."""
    found = nep.propagate(means, errors)
    out = {name: found[of] for name, of in spec.ERROR_MAPS.items()}
    out |= {_NPP: means["npp"], _NPP_BY_YEAR: means["npp_by_year"]}
    return out | {f"{_RH}{name}": means[f"rh_{name}"] for name in errors.coefficients}


def map_names(errors: nep.InputErrors) -> tuple[str, ...]:
    """Name the maps that the sums by region are made of."""
    return ("nep_mean", _NPP, _NPP_BY_YEAR, *(f"{_RH}{name}" for name in errors.coefficients))


@dataclass(frozen=True)
class UncertaintySums:
    """What the tables are made of: signed sums of the sensitivities, and sums of squares; adds up without loss.

    `scale` is a power of two that brings areas near one.
    """

    signed: region_room.YearSums
    squares: region_room.YearSums
    scale: float

    @classmethod
    def of(
        cls,
        maps: Mapping[str, NDArray[Any]],
        errors: nep.InputErrors,
        members: region_room.Members,
        areas: NDArray[np.float64],
        scale: float,
    ) -> UncertaintySums:
        """Sum one block; `areas` of its cells (y, x) in km2."""
        counts = maps["nep_count"] > 0
        names = [name for name in map_names(errors) if name != _NPP_BY_YEAR]
        signed = region_room.YearSums.of(np.stack([maps[n] for n in names]), members, areas, counts)
        near_one = areas * scale
        rooted = np.stack([np.asarray(maps[n], np.float64) / _FLUX for n in (_NPP, _NPP_BY_YEAR)])
        # the weight of a cell is squared, and with it the share of the cell that belongs to the region
        squared = replace(members, shares=members.shares * members.shares)
        squares = region_room.YearSums.of(rooted * rooted * near_one, squared, near_one, counts)
        return cls(signed, squares, scale)

    def widened(self, labels: NDArray[np.int64]) -> UncertaintySums:
        """Give the sums with more groups, which have nothing yet."""
        return UncertaintySums(self.signed.widened(labels), self.squares.widened(labels), self.scale)

    def __iadd__(self, other: UncertaintySums) -> UncertaintySums:
        signed, squares = self.signed, self.squares
        signed += other.signed
        squares += other.squares
        return UncertaintySums(signed, squares, self.scale)


def area_scale(largest: float) -> float:
    """Give the power of two that brings areas near one, from that of the largest cell, km2."""
    return float(2.0 ** -np.floor(np.log2(largest)))


def uncertainty_tables(
    sums: UncertaintySums, errors: nep.InputErrors, groups: Mapping[str, NDArray[np.int64]]
) -> dict[str, pd.DataFrame]:
    """Make the tables of the error of mean NEP by region: in all, and by what it comes from."""
    import pandas as pd

    members = list(groups.values())
    areas, totals = sums.signed.over_each(members)[1:]
    squares = sums.squares.over_each(members)[2]
    # a region without data has no mean
    area = np.where(areas[0, :, 0] > 0, areas[0, :, 0], np.nan)
    mean, npp, *changes = (totals[0] / area[:, None]).T
    by_cell, by_cell_year = np.sqrt(squares[0]).T * _FLUX / sums.scale / area
    by_coefficient = dict(zip(errors.coefficients, changes, strict=True))
    of_npp, of_rh, both = nep.combine(npp, by_cell, by_cell_year, by_coefficient, errors)
    whole = {
        "region": list(groups),
        "mean_gc_m2": mean,
        "standard_error_gc_m2": both,
        "lower_gc_m2": mean - nep.NORMAL_95 * both,
        "upper_gc_m2": mean + nep.NORMAL_95 * both,
        "sink_probability": nep.chance_of_sink(mean, both),
        "npp_error_gc_m2": of_npp,
        "respiration_error_gc_m2": of_rh,
        "total_tgc": mean * area * TG_PER_KM2,
        "total_standard_error_tgc": both * area * TG_PER_KM2,
        "area_km2": areas[0, :, 0],
    }
    stated = {
        "npp_systematic": (errors.systematic, npp),
        "npp_by_cell": (errors.by_cell, by_cell),
        "npp_by_cell_year": (errors.by_cell_year, by_cell_year),
    }
    for name, relative in errors.respiration.items():
        # what respires more is less of a sink; a coefficient that is exact was not differentiated
        stated[f"rh_{name}"] = relative, -by_coefficient.get(name, np.full(area.shape, np.nan))
    parts = {
        "region": np.repeat(np.array(list(groups), object), len(stated)),
        "component": list(stated) * len(groups),
        "relative_error": [relative for relative, _ in stated.values()] * len(groups),
        "sensitivity_gc_m2": np.stack([change for _, change in stated.values()], axis=1).ravel(),
    }
    alone = [np.abs(relative * change) if relative else np.zeros(area.shape) for relative, change in stated.values()]
    parts["standard_error_gc_m2"] = np.stack(alone, axis=1).ravel()
    return {"uncertainty": pd.DataFrame(whole), "uncertainty_components": pd.DataFrame(parts)}


def with_errors(summary: pd.DataFrame, uncertainty: pd.DataFrame) -> pd.DataFrame:
    """Put the standard errors of the mean and of the annual total at the end of the summary."""
    by_region = uncertainty.set_index("region")
    return summary.assign(
        mean_uncertainty_gc_m2=summary["region"].map(by_region["standard_error_gc_m2"]),
        total_uncertainty_tgc=summary["region"].map(by_region["total_standard_error_tgc"]),
    )


def uncertainty_notes(recipe: recipes.Recipe, tables: Mapping[str, pd.DataFrame]) -> list[Note]:
    """Say what errors were assumed, and what they leave of the mean of all regions."""
    stated = recipe.uncertainty
    if stated is None or "uncertainty" not in tables:
        return []
    row = tables["uncertainty"].set_index("region").loc["all"]
    text = say(
        "note.uncertainty.text",
        systematic=_percent(stated.npp.systematic),
        by_cell=_percent(stated.npp.by_cell),
        by_cell_year=_percent(stated.npp.by_cell_year),
        coefficients=tuple(
            say("amount", value=known("coefficient", name), unit=_percent(value))
            for name, value in stated.respiration.items()
        ),
        source=stated.source.strip().rstrip(".") or say("note.uncertainty.unsourced"),
        mean=f"{row['mean_gc_m2']:.1f}",
        error=f"{row['standard_error_gc_m2']:.1f}",
        lower=f"{row['lower_gc_m2']:.1f}",
        upper=f"{row['upper_gc_m2']:.1f}",
        npp=f"{row['npp_error_gc_m2']:.1f}",
        respiration=f"{row['respiration_error_gc_m2']:.1f}",
    )
    return [Note(say("note.uncertainty.title"), text)]


def _percent(share: float) -> str:
    return f"{100.0 * share:g} %"
