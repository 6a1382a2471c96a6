"""The vocabulary: variables, units, dtypes, CF names, flags and classes.

Stages hand over `xarray.Dataset` objects whose variables are described here; `check` refuses others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr

CONVENTIONS = "CF-1.11"
FLOAT_FILL = float("nan")
#: grams of carbon; UDUNITS knows no "gC", so the long names say carbon
CARBON_FLUX = "g m-2 year-1"


@dataclass(frozen=True)
class Variable:
    """What a variable is called, measured in and made of."""

    name: str
    long_name: str
    units: str
    dtype: str = "float32"
    standard_name: str | None = None
    cell_methods: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def attrs(self) -> dict[str, Any]:
        """Give the CF attributes of the variable."""
        out: dict[str, Any] = {"long_name": self.long_name, "units": self.units}
        if self.standard_name:
            out["standard_name"] = self.standard_name
        if self.cell_methods:
            out["cell_methods"] = self.cell_methods
        out.update(self.extra)
        return out


NPP_FLAGS: dict[int, str] = {
    0: "data",
    1: "unclassified",
    2: "urban",
    3: "permanent_wetland",
    4: "snow_ice",
    5: "barren_or_sparse",
    6: "water",
    7: "fill",
    8: "outside_valid_range",
    9: "rejected_by_max_qc",
    255: "not_covered",
}
BARREN = 5
NOT_COVERED = 255


def flag_attrs(flags: Mapping[int, str], dtype: str, colors: Iterable[str] | None = None) -> dict[str, Any]:
    """Give the CF flag attributes (`flag_values`, `flag_meanings`, `flag_colors`) of a coded variable.

    A meaning is one word of letters, digits and ``_-.+@`` in CF: whatever else it holds becomes an underscore.
    """
    import numpy as np

    out: dict[str, Any] = {
        "flag_values": np.asarray(list(flags), dtype=dtype),
        "flag_meanings": " ".join(re.sub(r"[^\w.+@-]+", "_", str(name)) for name in flags.values()),
    }
    if colors is not None:
        out["flag_colors"] = " ".join(colors)
    return out


def labels_of(attrs: Mapping[str, Any]) -> dict[int, str]:
    """Give the words of each code of a variable of classes, without the code of no data.

    Parameters
    ----------
    attrs : mapping of str to object
        `flag_values`, and `labels`, the words as they were given, one a code; where there are none, `flag_meanings`.
    """
    import numpy as np

    values = [int(v) for v in np.atleast_1d(attrs.get("flag_values", []))]
    labels = [str(word) for word in np.atleast_1d(attrs.get("labels", []))]
    if len(labels) != len(values):
        labels = [word.replace("_", " ") for word in str(attrs.get("flag_meanings", "")).split()]
        labels += [f"class {v}" for v in values[len(labels) :]]
    return {v: label for v, label in zip(values, labels, strict=False) if v != NOT_COVERED}


CUBE: dict[str, Variable] = {
    v.name: v
    for v in (
        Variable(
            "npp",
            "net primary productivity, carbon",
            CARBON_FLUX,
            standard_name="net_primary_productivity_of_biomass_expressed_as_carbon",
            cell_methods="time: sum",
        ),
        Variable(
            "temperature",
            "annual mean air temperature at 2 m",
            "degC",
            standard_name="air_temperature",
            cell_methods="time: mean",
            extra={"units_metadata": "temperature: on_scale"},
        ),
        Variable("precipitation", "annual precipitation", "mm year-1", cell_methods="time: sum"),
        Variable("radiation", "annual surface net solar radiation", "MJ m-2 year-1", cell_methods="time: sum"),
        Variable("rh", "heterotrophic respiration, carbon", CARBON_FLUX, cell_methods="time: sum"),
        Variable(
            "nep",
            "net ecosystem productivity, carbon, positive is a sink",
            CARBON_FLUX,
            cell_methods="time: sum",
        ),
    )
}
NPP_FLAG = Variable("npp_flag", "why a cell of a year has no net primary productivity", "1", dtype="uint8")

ELEVATION = Variable("elevation", "mean height of the cell", "m", standard_name="surface_altitude")

#: the maps of the error of mean NEP in the store, and what each is in `nepcube.nep.propagate`
ERROR_MAPS = {
    "nep_mean_uncertainty": "standard_error",
    "nep_mean_uncertainty_npp": "npp",
    "nep_mean_uncertainty_respiration": "respiration",
    "nep_sink_probability": "sink_probability",
}

INPUTS = ("npp", "temperature", "precipitation", "radiation")
CLIMATE = ("temperature", "precipitation", "radiation")

#: unit in which an amount or mean of one interval is kept before it becomes a year
INTERVAL_UNITS = {"temperature": "degC", "precipitation": "mm", "radiation": "MJ m-2"}
RATE_UNITS = {"precipitation": "mm day-1", "radiation": "MJ m-2 day-1"}

# How a native series relates to its time axis: the attribute `aggregation` of a source's variable.
MEAN = "mean"  # a state; the year is the mean weighted by the length of each interval
AMOUNT = "amount"  # the total of the interval that starts at the stamp
PER_DAY = "per_day"  # the mean daily total of the interval that starts at the stamp
SINCE_00 = "accumulated_since_00utc"  # ERA5-Land hourly: the running total of the day
PREVIOUS_HOUR = "accumulated_previous_hour"  # ERA5 hourly: the total of the hour that ends at the stamp
YEARLY = "yearly"  # already a year

AGGREGATIONS = (MEAN, AMOUNT, PER_DAY, SINCE_00, PREVIOUS_HOUR, YEARLY)
FREQUENCIES = ("hour", "day", "pentad", "dekad", "month", "year")

# colours that a reader with any colour vision can tell apart; shared by map, bar and table
SLOPE_LABELS = ("markedly worse", "slightly worse", "basically stable", "slightly better", "markedly better")
CV_LABELS = ("high", "fairly high", "medium", "fairly low", "low")
SLOPE_COLORS = ("#a6611a", "#dfc27d", "#f0efe6", "#80cdc1", "#018571")
CV_COLORS = ("#fde725", "#5ec962", "#21918c", "#3b528b", "#440154")
CORRELATION_COLORS = (
    "#67001f",
    "#b2182b",
    "#ef8a62",
    "#fddbc7",
    "#d1e5f0",
    "#67a9cf",
    "#2166ac",
    "#053061",
)


def check(ds: xr.Dataset, names: Iterable[str], *, where: str) -> None:
    """Refuse a dataset that lacks a variable or carries it in another unit.

    Parameters
    ----------
    ds : xarray.Dataset
    names : iterable of str
        Cube variables that must be there.
    where : str
        Who asks, for the message.

    Raises
    ------
    SpecError
    """
    for name in names:
        if name not in ds:
            raise SpecError(
                f"{where}: the variable {name!r} is not there (found: {', '.join(map(str, ds.data_vars)) or 'none'}).",
                f"Give a source for {name!r} in the recipe, or add the variable to the dataset.",
            )
        want, got = CUBE[name].units, ds[name].attrs.get("units")
        if got != want:
            raise SpecError(
                f"{where}: {name!r} is in {got!r}, {want!r} is needed.",
                "Convert it first, and set the `units` attribute.",
            )
