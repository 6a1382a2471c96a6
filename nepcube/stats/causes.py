"""What of a change is climate's: the trend that a regression on climate leaves, and the six classes of attribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.stats._apply import count_attrs, least, per_year, year_index
from nepcube.stats._blocks import apply_blocks, lead

if TYPE_CHECKING:
    import xarray as xr

#: codes of the classes of attribution
CLASSES = {
    0: "unclassified",
    1: "rise by climate",
    2: "rise by human activity",
    3: "rise by both",
    4: "fall by climate",
    5: "fall by human activity",
    6: "fall by both",
    255: "no data",
}


def residual_trend(
    da: xr.DataArray,
    climate: Mapping[str, xr.DataArray],
    *,
    dim: str = "time",
    min_years: int | None = None,
    lag: int | Mapping[str, int] = 0,
) -> xr.Dataset:
    """Regress a series on climate and take the trend of what is left (RESTREND).

    The slope of the series is the sum of the slopes of the two parts. The test of the rest's slope is Student's with
    n - 2 - m degrees of freedom for m climate series, the years less the line and the coefficients; the usual n - 2 of
    a plain trend would count the coefficients as known. What goes with climate by chance over the same years is
    climate's here: a trend that the drivers share is taken from the rest, so that its test errs towards none. The
    partial correlation with the years, climate held fixed, has no such bias.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values of NEP or NPP; a year with a NaN in any of the series is left out.
    climate : mapping of str to xarray.DataArray
        What is taken to be climate, by name.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.
    lag : int or mapping of str to int
        Years by which climate leads, of all or by name.

    Returns
    -------
    xarray.Dataset
        `slope` (of the series over the same years), `climate_slope`, `residual_slope`, `residual_stderr` (unit of `da`
        per year), `residual_pvalue`, `r2` of the regression, `n` and `dof`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no climate series, the arrays are not on the same coordinates, or no year has its climate.

    References
    ----------
    Evans, J. and Geerken, R. 2004. J. Arid Environ. 57, 535-554.
    """
    if not climate:
        raise SpecError("residual trend: no climate is given.", "Give one series or more, by name.")
    names = [str(n) for n in climate]
    lags = {n: int(lag.get(n, 0)) for n in names} if isinstance(lag, Mapping) else dict.fromkeys(names, lag)
    mine, moved = lead(da, climate, lags, dim)
    t, need, m = year_index(mine, dim), least(mine, dim, min_years), len(names)
    what = str(da.attrs.get("long_name", da.name or "series"))
    units = per_year(str(da.attrs.get("units", "1")))
    by = {"climate": ", ".join(f"{n} ({lags[n]} years before)" if lags[n] else n for n in names)}

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _regression

        cells, kind = series[0].shape[1], series[0].dtype
        out, n = np.empty((6, cells), kind), np.empty(cells, kind)
        _regression.residual_trend(series, t, need, float(np.finfo(kind).eps), out, n)
        return (*out, n, np.where(n > m + 2, n - (m + 2), np.nan))

    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "slope": ((), {"long_name": f"linear trend of {what}", "units": units}),
        "climate_slope": ((), {"long_name": f"linear trend of {what} as climate explains it", "units": units} | by),
        "residual_slope": ((), {"long_name": f"linear trend of {what} that climate leaves", "units": units} | by),
        "residual_stderr": ((), {"long_name": "standard error of the residual slope", "units": units}),
        "residual_pvalue": ((), {"long_name": "p-value of the residual slope (t test)", "units": "1"}),
        "r2": ((), {"long_name": f"share of the variance of {what} that climate explains", "units": "1"} | by),
        "n": ((), count_attrs()),
        "dof": ((), {"long_name": "degrees of freedom of the residual slope", "units": "1"}),
    }
    return apply_blocks(kernel, [*moved.values(), mine], dim, outputs, {})


def attribution(
    actual: xr.DataArray, potential: xr.DataArray, *, dim: str = "time", min_years: int | None = None
) -> xr.Dataset:
    """Divide a change of productivity into climate's part and the rest, and name the class that the signs make.

    The slope of the actual values is that of the potential ones plus that of their difference. With S_A > 0: climate
    (S_P > 0, S_H < 0), human (S_P < 0, S_H > 0) or both; with S_A < 0: climate (S_P < 0, S_H > 0), human (S_P > 0,
    S_H < 0) or both. "Human" means everything that is not in the model of climate: land use and grazing, and the errors
    of the model.

    Parameters
    ----------
    actual, potential : xarray.DataArray
        Annual productivity, observed and as climate allows it (`potential_npp`), in one unit and on the same
        coordinates; a year with a NaN in either is left out of both.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years have no data; all years when left out.

    Returns
    -------
    xarray.Dataset
        `attribution` (uint8: 0 unclassified, where a slope is zero, 1 to 3 a rise by climate, human activity, both, 4
        to 6 a fall, 255 no data; names and colours in CF flag attributes), `slope_actual`, `slope_potential`,
        `slope_human` and `n`. No test is in it: slopes of any size are classed. Lazy on dask input.

    Raises
    ------
    SpecError
        The arrays differ in their units or coordinates.

    References
    ----------
    Xu, D. Y. et al. 2009. Int. J. Remote Sens. 30, 5411-5428. Wang, Z. et al. 2016. Sci. Rep. 6, 33348.
    """
    units = [str(a.attrs.get("units", "1")) for a in (actual, potential)]
    if units[0] != units[1]:
        raise SpecError(
            f"attribution: actual is in {units[0]!r}, potential in {units[1]!r}.", "Bring both to one unit first."
        )
    t, need = year_index(actual, dim), least(actual, dim, min_years)
    slope = per_year(units[0])

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _regression

        cells, kind = series[0].shape[1], series[0].dtype
        slopes, code, n = np.empty((3, cells), kind), np.empty(cells, kind), np.empty(cells, kind)
        _regression.attribute((series[1], series[0]), t, need, float(np.finfo(kind).eps), slopes, code, n)
        return code, *slopes, n

    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "attribution": ((), {}),
        "slope_actual": ((), {"long_name": "linear trend of actual productivity", "units": slope}),
        "slope_potential": ((), {"long_name": "linear trend of potential productivity", "units": slope}),
        "slope_human": ((), {"long_name": "linear trend of actual less potential productivity", "units": slope}),
        "n": ((), count_attrs()),
    }
    ds = apply_blocks(kernel, [potential, actual], dim, outputs, {})
    paint = ["#f0f0f0", "#7fbf7b", "#1b7837", "#00441b", "#fdb863", "#e66101", "#7f3b08", "#d9d9d9"]
    code = ds["attribution"].astype("uint8")
    code.attrs = {"long_name": "change of productivity by cause", "units": "1"} | spec.flag_attrs(
        CLASSES, "uint8", paint
    )
    return ds.assign(attribution=code)
