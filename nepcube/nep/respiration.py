"""Heterotrophic respiration from climate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.years import span_of, starts_of, years_of

if TYPE_CHECKING:
    import xarray as xr

BASES = ("annual", "monthly", "daily")
# the daily emission rate in carbon: 0.22 g CO2-like units times the carbon share 0.465
_RATE = 0.22
_CARBON = 0.465
_MONTH = 30.0

FORMULAS = {
    "annual": "RH = 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 30 x 0.465, with the year's mean T and sum R",
    "monthly": "RH = sum over 12 months of 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 30 x 0.465",
    "daily": "RH = sum over the days of 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 0.465",
}
CITATION = (
    "Pei, Z. et al. 2009, as used by Zhang, Z. et al. 2023. Remote Sensing for Natural Resources 35(1), 231-242. "
    "doi:10.6046/zrzyyg.2022042"
)


def heterotrophic_respiration(
    temperature: xr.DataArray,
    precipitation: xr.DataArray,
    *,
    basis: str,
    model: str = "pei2009",
    dim: str = "time",
    year_start: int = 1,
) -> xr.DataArray:
    """Compute annual heterotrophic respiration after Pei et al. (2009).

    The bracket exp(0.0913 T) + ln(0.3145 R + 1) is the authors' daily emission; on the ``daily`` basis it is summed
    over the days. ``monthly`` and ``annual`` put the month's or the year's climate once into the formula for a month,
    which later papers do. The three give very different numbers: for a mean of -3.75 degC and 443 mm about 45, 107
    and 17 gC m-2 a year.

    Parameters
    ----------
    temperature : xarray.DataArray
        degC, one value a year, month or day as `basis` says.
    precipitation : xarray.DataArray
        The amount of the same interval in mm, on the same coordinates.
    basis : {"annual", "monthly", "daily"}
        There is no default.
    model : {"pei2009"}
    dim : str
        The dimension of time.
    year_start : int
        The month in which a year begins, for months and days; a year is called by the calendar year in which it ends.

    Returns
    -------
    xarray.DataArray
        `rh`, float32, g of carbon m-2 year-1, along years. Lazy on dask input.

    Raises
    ------
    SpecError
        The basis or the model is not known, a unit is wrong, the coordinates differ, or a year is not whole.
        Precipitation so negative
        that the logarithm has no value (below -3.18 mm) is an error on arrays in memory, and NaN on lazy ones.

    References
    ----------
    Pei, Z., Ouyang, H., Zhou, C., Xu, X. 2009. Carbon balance in an alpine steppe in the Qinghai-Tibet Plateau.
    Journal of Integrative Plant Biology 51(5), 521-526. doi:10.1111/j.1744-7909.2009.00813.x
    """
    import xarray as xr

    if model != "pei2009":
        raise SpecError(f"{model!r} is not a respiration model.", "Use 'pei2009'.")
    if basis not in BASES:
        raise SpecError(f"{basis!r} is not a respiration basis.", f"Use one of {', '.join(BASES)}.")
    _require(temperature, {"degC"}, "temperature")
    _require(precipitation, {"mm", "mm year-1"} if basis == "annual" else {"mm"}, "precipitation")
    try:
        xr.align(temperature, precipitation, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"Temperature and precipitation are not on the same coordinates ({error}).",
            "Bring them to one grid and one time axis first.",
        ) from None
    if isinstance(precipitation.data, np.ndarray) and bool((0.3145 * precipitation.data + 1 <= 0).any()):
        raise SpecError(
            f"precipitation: {float(precipitation.min()):.6g} mm makes 0.3145 R + 1 negative.",
            "Precipitation cannot be negative: check the nodata value and the unit of its files.",
        )
    if basis != "annual":
        _require_whole_years(temperature[dim].values, basis, dim, year_start)
    factor = _RATE * _CARBON * (1.0 if basis == "daily" else _MONTH)
    bracket = xr.apply_ufunc(
        _bracket,
        temperature.astype("float64"),
        precipitation.astype("float64"),
        dask="parallelized",
        output_dtypes=[np.float64],
        join="exact",
    )
    rate = bracket * factor
    out = rate.astype("float32") if basis == "annual" else _years(rate, dim, year_start)
    out.name = "rh"
    out.attrs = spec.CUBE["rh"].attrs() | {"respiration_model": model, "respiration_basis": basis}
    return out


def _bracket(temperature: Any, precipitation: Any) -> Any:
    from nepcube.nep import _kernels

    return _kernels.pei_bracket(temperature, precipitation)


def _years(rate: xr.DataArray, dim: str, year_start: int) -> xr.DataArray:
    import xarray as xr

    years = years_of(rate[dim].values, year_start)
    parts = []
    for year in np.unique(years):
        steps = np.flatnonzero(years == year)
        # one addition after the other: numpy's own sum depends on the shape of what it sums
        total = rate.isel({dim: int(steps[0])}, drop=True)
        for step in steps[1:]:
            total = total + rate.isel({dim: int(step)}, drop=True)
        parts.append(total.astype("float32"))
    stamps = starts_of(np.unique(years)).astype("datetime64[ns]")
    return xr.concat(parts, dim=xr.Variable(dim, stamps)).transpose(*rate.dims)


def _require_whole_years(time: Any, basis: str, dim: str, year_start: int) -> None:
    unit = "M" if basis == "monthly" else "D"
    steps = time.astype(f"datetime64[{unit}]")
    spans = [span_of((int(y), int(y)), year_start) for y in np.unique(years_of(time, year_start))]
    want = np.concatenate([np.arange(*(edge.astype(f"datetime64[{unit}]") for edge in span)) for span in spans])
    if not np.array_equal(steps, want):
        raise SpecError(
            f"{dim}: the steps are not every {'month' if unit == 'M' else 'day'} of whole years, each once.",
            "Make them with to_interval, which says what is missing.",
        )


def _require(da: xr.DataArray, units: set[str], name: str) -> None:
    if da.attrs.get("units") not in units:
        raise SpecError(
            f"{name}: in {da.attrs.get('units')!r}, {' or '.join(sorted(units))} is needed.",
            "Harmonise it with to_annual or to_interval, or set its `units` attribute if it is right.",
        )
