"""Heterotrophic respiration from climate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.nep.models import BASES, RespirationModel, respiration_model
from nepcube.years import span_of, starts_of, years_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def heterotrophic_respiration(
    temperature: xr.DataArray,
    precipitation: xr.DataArray,
    *,
    basis: str,
    model: str | RespirationModel = "pei2009",
    dim: str = "time",
    year_start: int = 1,
    fields: Mapping[str, xr.DataArray] | None = None,
) -> xr.DataArray:
    """Compute annual heterotrophic respiration, by default after Pei et al. (2009).

    Their bracket exp(0.0913 T) + ln(0.3145 R + 1) is the daily emission; on the ``daily`` basis it is summed
    over the days. ``monthly`` and ``annual`` put the month's or the year's climate once into the formula for a month,
    which later papers do. The three give very different numbers: for a mean of -3.75 degC and 443 mm about 45, 107
    and 17 gC m-2 a year.

    ``gsmsr`` is the soil respiration of Yu et al. (2010) for China from months of climate and the soil's organic
    carbon, and the heterotrophic part of the year's sum after Bond-Lamberty et al. (2004).

    Parameters
    ----------
    temperature : xarray.DataArray
        degC, one value a year, month or day as `basis` says.
    precipitation : xarray.DataArray
        The amount of the same interval in mm, on the same coordinates.
    basis : {"annual", "monthly", "daily"}
        There is no default; ``gsmsr`` takes ``monthly`` alone.
    model : {"pei2009", "gsmsr"} or str or RespirationModel
        Also one that another package registers under the entry-point group ``nepcube.respiration``, or an object.
    dim : str
        The dimension of time.
    year_start : int
        The month in which a year begins, for months and days; a year is called by the calendar year in which it ends.
    **fields : xarray.DataArray
        What the model needs beside climate, constant in time and on the same cells: ``soil_carbon`` in kg m-2 (of
        the upper 20 cm) for ``gsmsr``.

    Returns
    -------
    xarray.DataArray
        `rh`, float32, g of carbon m-2 year-1, along years. Lazy on dask input.

    Raises
    ------
    SpecError
        The basis or the model is not known, a field is missing, a unit is wrong, the coordinates differ, or a year is
        not whole. Precipitation that the formula has no value for (below -3.18 mm, negative for ``gsmsr``) is an error
        on arrays in memory, and NaN on lazy ones.

    References
    ----------
    Pei, Z., Ouyang, H., Zhou, C., Xu, X. 2009. Carbon balance in an alpine steppe in the Qinghai-Tibet Plateau.
    Journal of Integrative Plant Biology 51(5), 521-526. doi:10.1111/j.1744-7909.2009.00813.x

    Yu, G., Zheng, Z., Wang, Q. et al. 2010. Environ. Sci. Technol. 44, 6074-6080. doi:10.1021/es100979s

    Bond-Lamberty, B., Wang, C., Gower, S. T. 2004. Glob. Change Biol. 10, 1756-1766.
    doi:10.1111/j.1365-2486.2004.00816.x
    """
    chosen = respiration_model(model) if isinstance(model, str) else model
    inputs, names = climate_of(chosen, temperature, precipitation, basis, dim, year_start, fields or {})

    def rate_of(t: Any, p: Any, days: Any, *others: Any) -> Any:
        return chosen.rate(basis, t, p, days, **dict(zip(names, others, strict=True)))

    out = by_years(rate_of, chosen.annual, inputs, basis, dim, year_start).transpose(*temperature.dims)
    out.name = "rh"
    out.attrs = spec.CUBE["rh"].attrs() | {"respiration_model": chosen.name, "respiration_basis": basis}
    return out


def climate_of(
    model: RespirationModel,
    temperature: xr.DataArray,
    precipitation: xr.DataArray,
    basis: str,
    dim: str,
    year_start: int,
    fields: Mapping[str, xr.DataArray],
) -> tuple[tuple[xr.DataArray, ...], list[str]]:
    """Check what a model is fed with; give climate, the days of each step and the fields, and the fields' names.

    Raises
    ------
    SpecError
    """
    import xarray as xr

    if basis not in BASES:
        raise SpecError(f"{basis!r} is not a respiration basis.", f"Use one of {', '.join(BASES)}.")
    require_basis(model, basis)
    _require(temperature, {"degC"}, "temperature")
    _require(precipitation, {"mm", "mm year-1"} if basis == "annual" else {"mm"}, "precipitation")
    _require_fields(model, fields)
    try:
        xr.align(temperature, precipitation, join="exact", copy=False)
        xr.align(temperature, *fields.values(), join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"Temperature, precipitation and what else the model needs are not on the same coordinates ({error}).",
            "Bring them to one grid and one time axis first.",
        ) from None
    if isinstance(precipitation.data, np.ndarray) and any(
        bool(model.impossible(part).any()) for part in np.atleast_1d(precipitation.data)
    ):
        raise SpecError(
            f"precipitation: {float(precipitation.min()):.6g} mm is impossible ({model.name}).",
            "Precipitation cannot be negative: check the nodata value and the unit of its files.",
        )
    if basis != "annual":
        _require_whole_years(temperature[dim].values, basis, dim, year_start)
    return (temperature, precipitation, _days(temperature, basis, dim), *fields.values()), list(fields)


def by_years(
    rate: Callable[..., Any],
    annual: Callable[..., Any] | None,
    inputs: Sequence[xr.DataArray],
    basis: str,
    dim: str,
    year_start: int,
) -> xr.DataArray:
    """Sum a function of climate over the steps of each year, and make the year's value of the sum, float32.

    Without `annual` the sum itself is given, float64; on the annual basis it must be there.
    """
    import xarray as xr

    if basis == "annual" and annual is not None:
        year_of = annual
        # a few steps at a time: the formula works in float64
        once: xr.DataArray = xr.apply_ufunc(
            lambda *arrays: _by_slices(lambda *a: year_of(rate(*a)), arrays),
            *inputs,
            dask="parallelized",
            output_dtypes=[np.float32],
            join="exact",
        )
        return once
    steps = xr.apply_ufunc(
        rate,
        *(a.astype("float64") for a in inputs),
        dask="parallelized",
        output_dtypes=[np.float64],
        join="exact",
    )
    return _years(annual, steps, dim, year_start)


def require_basis(model: RespirationModel, basis: str) -> None:
    """Refuse a basis that a model is not made for.

    Raises
    ------
    SpecError
    """
    if basis not in model.formulas:
        raise SpecError(f"respiration: {model.name} has no {basis} basis.", f"Use one of {', '.join(model.formulas)}.")


def _require_fields(model: RespirationModel, fields: Mapping[str, xr.DataArray]) -> None:
    absent, more = [n for n in model.fields if n not in fields], [n for n in fields if n not in model.fields]
    if absent:
        needed = ", ".join(f"{n} ({model.fields[n]})" for n in absent)
        raise SpecError(f"respiration: {model.name} needs {needed}.", "Give it beside temperature and precipitation.")
    if more:
        raise SpecError(f"respiration: {model.name} has no use for {', '.join(more)}.", "Leave it out.")
    for name, field in fields.items():
        _require(field, {model.fields[name]}, name)


def _days(temperature: xr.DataArray, basis: str, dim: str) -> xr.DataArray:
    # the days of each interval, for models that know a rate a day
    import xarray as xr

    if dim not in temperature.coords:
        return xr.DataArray(np.float64(1.0 if basis == "daily" else np.nan))
    unit: Any = {"annual": "Y", "monthly": "M", "daily": "D"}[basis]
    starts = temperature[dim].values.astype(f"datetime64[{unit}]")
    length = (
        (starts + np.timedelta64(1, unit)).astype("datetime64[D]") - starts.astype("datetime64[D]")
    ) / np.timedelta64(1, "D")
    return xr.DataArray(length.astype(np.float64), {dim: temperature[dim]}, temperature[dim].dims)


def _by_slices(function: Callable[..., Any], arrays: Sequence[Any]) -> NDArray[np.float32]:
    full = np.broadcast_arrays(*arrays)
    if not full[0].ndim:
        return np.asarray(function(*(np.asarray(a, np.float64) for a in full)), np.float32)
    out = np.empty(full[0].shape, np.float32)
    for k in range(len(out)):
        out[k] = function(*(np.asarray(a[k], np.float64) for a in full))
    return out


def _years(annual: Callable[..., Any] | None, rate: xr.DataArray, dim: str, year_start: int) -> xr.DataArray:
    import xarray as xr

    years = years_of(rate[dim].values, year_start)
    parts = []
    for year in np.unique(years):
        steps = np.flatnonzero(years == year)
        # one addition after the other: numpy's own sum depends on the shape of what it sums
        total = rate.isel({dim: int(steps[0])}, drop=True)
        for step in steps[1:]:
            total = total + rate.isel({dim: int(step)}, drop=True)
        parts.append(total if annual is None else year_values(annual, total))
    stamps = starts_of(np.unique(years)).astype("datetime64[ns]")
    return xr.concat(parts, dim=xr.Variable(dim, stamps)).transpose(*rate.dims)


def year_values(annual: Callable[..., Any], *sums: xr.DataArray) -> xr.DataArray:
    """Make the values of years, float32, of sums over their steps."""
    import xarray as xr

    out: xr.DataArray = xr.apply_ufunc(annual, *sums, dask="parallelized", output_dtypes=[np.float64])
    return out.astype("float32")


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
