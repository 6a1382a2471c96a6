"""How much respiration changes with the coefficients of its model."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.nep.models import RespirationModel, SensitiveModel, respiration_model
from nepcube.nep.respiration import by_years, climate_of, year_values

if TYPE_CHECKING:
    import xarray as xr


def respiration_sensitivity(
    temperature: xr.DataArray,
    precipitation: xr.DataArray,
    *,
    basis: str,
    model: str | RespirationModel = "pei2009",
    coefficients: Sequence[str] | None = None,
    dim: str = "time",
    year_start: int = 1,
    fields: Mapping[str, xr.DataArray] | None = None,
) -> xr.Dataset:
    """Differentiate annual heterotrophic respiration by the coefficients of its model.

    Of each coefficient c it is c dRH/dc: the first-order change of respiration for a relative change of the coefficient
    by one. The derivatives are analytic; on the monthly and the daily basis they are summed over the steps of the year.
    For Pei et al. (2009), RH = a d m sum(exp(b T) + ln(c R + 1)), with `scale` a, `share` d, `temperature` b and
    `precipitation` c: RH itself for a and d, a d m sum(b T exp(b T)), and a d m sum(c R / (c R + 1)).

    Parameters
    ----------
    temperature, precipitation, basis, dim, year_start, fields
        As `heterotrophic_respiration` takes them.
    model : {"pei2009", "gsmsr"} or str or RespirationModel
        It must know its coefficients (`SensitiveModel`).
    coefficients : sequence of str, optional
        Those that are asked for; all when left out.

    Returns
    -------
    xarray.Dataset
        One variable a coefficient, float32, g of carbon m-2 year-1, along years; missing where respiration is. Lazy on
        dask input.

    Raises
    ------
    SpecError
        As `heterotrophic_respiration`; or the model or the coefficient is not known.

    References
    ----------
    JCGM 100:2008. Evaluation of measurement data: Guide to the expression of uncertainty in measurement, 5.1.3.
    """
    import xarray as xr

    chosen = require_sensitive(respiration_model(model) if isinstance(model, str) else model)
    wanted = list(chosen.coefficients if coefficients is None else coefficients)
    require_coefficients(chosen, wanted)
    inputs, names = climate_of(chosen, temperature, precipitation, basis, dim, year_start, fields or {})

    def rate_of(t: Any, p: Any, days: Any, *others: Any) -> Any:
        return chosen.rate(basis, t, p, days, **dict(zip(names, others, strict=True)))

    # the sum of the year's rates is that of all coefficients
    total = None if basis == "annual" else by_years(rate_of, None, inputs, basis, dim, year_start)

    def of(coefficient: str) -> xr.DataArray:
        def change_of(t: Any, p: Any, days: Any, *others: Any) -> Any:
            more = dict(zip(names, others, strict=True))
            return chosen.rate_sensitivity(coefficient, basis, t, p, days, **more)

        def annual_of(rate: Any, change: Any) -> Any:
            return chosen.annual_sensitivity(coefficient, rate, change)

        if total is None:
            return by_years(
                lambda *a: annual_of(rate_of(*a), change_of(*a)), lambda year: year, inputs, basis, dim, year_start
            )
        return year_values(annual_of, total, by_years(change_of, None, inputs, basis, dim, year_start))

    out = xr.Dataset({name: of(name).transpose(*temperature.dims) for name in wanted})
    for name in wanted:
        out[name].attrs = {
            "long_name": f"change of heterotrophic respiration, carbon, with its coefficient {name}, for a relative "
            "change by one",
            "units": spec.CARBON_FLUX,
            "coefficient": chosen.coefficients[name],
            "respiration_model": chosen.name,
            "respiration_basis": basis,
        }
    return out


def require_sensitive(model: RespirationModel) -> SensitiveModel:
    """Give a model that knows its coefficients.

    Raises
    ------
    SpecError
        It does not.
    """
    if not isinstance(model, SensitiveModel):
        raise SpecError(
            f"respiration: {model.name} does not tell its coefficients, so that no error of them can be carried.",
            "It needs coefficients, rate_sensitivity() and annual_sensitivity(): see docs/respiration.md.",
        )
    return model


def require_coefficients(model: SensitiveModel, names: Sequence[str]) -> None:
    """Refuse names that are no coefficients of a model.

    Raises
    ------
    SpecError
    """
    for name in names:
        if name not in model.coefficients:
            near = difflib.get_close_matches(name, model.coefficients, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise SpecError(
                f"respiration: {name!r} is no coefficient of {model.name}.",
                f"{hint}It has {', '.join(f'{n} ({v:g})' for n, v in model.coefficients.items())}.",
            )
