"""Which driver counts for most: ridge contributions, and the map of the dominant driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.stats._apply import count_attrs, least, year_index
from nepcube.stats._blocks import apply_blocks
from nepcube.stats._predictors import named, prepare, remarks, title_of

if TYPE_CHECKING:
    import xarray as xr

#: codes of a map of the dominant driver beside 1, 2, ... for the drivers
NONE_SIGNIFICANT, NO_DATA = 0, 255
# none, and the drivers in their order: warm, wet, bright (Okabe and Ito's colours)
_PAINT = ("#f5f5f5", "#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")


def ridge_contributions(
    da: xr.DataArray,
    drivers: Mapping[str, xr.DataArray],
    *,
    penalty: float | str,
    dim: str = "time",
    min_years: int | None = None,
    detrend: bool = False,
    lag: int | Mapping[str, int] = 0,
) -> xr.Dataset:
    """Regress a series on drivers that go together, with a penalty on large coefficients.

    All series are standardised; the coefficients solve (R + penalty I) b = c, where R are the correlations of the
    drivers and c theirs with `da` (so that the penalty times n is that of a sum of squares of standardised values).

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; a year with a NaN in any of the series is left out.
    drivers : mapping of str to xarray.DataArray
        What explains it, by name.
    penalty : float or "gcv"
        Of all cells; ``gcv`` takes for each cell the one with the least score of generalised cross-validation,
        n RSS / (n - trace)^2, between 1e-6 and 1e3: the best of ten a decade, then by golden section beside it.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.
    detrend : bool
        Take the straight line over the years from every series first.
    lag : int or mapping of str to int
        Years by which the drivers lead, of all or by name.

    Returns
    -------
    xarray.Dataset
        With the dimension `driver`: `coefficient` (standardised) and `share` (its size over the sum of all sizes: the
        relative contribution). Without it: `r2`, `penalty` and `n`. Lazy on dask input. Ridge coefficients are biased
        and have no exact test: there is no p-value.

    Raises
    ------
    SpecError
        The penalty is negative or no number, there is no driver, or the arrays are not on the same coordinates.

    References
    ----------
    Hoerl, A. E. and Kennard, R. W. 1970. Technometrics 12, 55-67. Golub, G. H. et al. 1979. Technometrics 21, 215-223.
    """
    if isinstance(penalty, str):
        if penalty != "gcv":
            raise SpecError(f"ridge: the penalty {penalty!r} is not known.", "Give a number, or 'gcv'.")
        value = -1.0
    else:
        value = float(penalty)
        if not 0.0 <= value < np.inf:
            raise SpecError(f"ridge: a penalty of {penalty}.", "Give a number of 0 or more, such as 0.1, or 'gcv'.")
    names, mine, others, lags = prepare(da, drivers, lag, dim)
    t, need = year_index(mine, dim), least(mine, dim, min_years)
    what, by = title_of(da), ", ".join(names)
    said = remarks({"predictors": by, "penalty": str(penalty)}, detrend, lags)

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _regression
        from nepcube.stats._tiles import padded

        m, cells = len(names), series[0].shape[1]
        beta, share, fit, n = np.empty((m, cells)), np.empty((m, cells)), np.empty((2, cells)), np.empty(cells)
        _regression.ridge(padded(series), m + 1, t, detrend, need, value, beta, share, fit, n)
        return beta, share, fit[0], fit[1], n

    own = ("driver",)
    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "coefficient": (own, {"long_name": f"standardised ridge coefficient of {what}", "units": "1"} | said),
        "share": (own, {"long_name": f"relative contribution to {what} (ridge)", "units": "1"} | said),
        "r2": ((), {"long_name": f"share of the variance of {what} that the ridge explains", "units": "1"}),
        "penalty": ((), {"long_name": "ridge penalty", "units": "1"}),
        "n": ((), count_attrs()),
    }
    return named(apply_blocks(kernel, [*others, mine], dim, outputs, {"driver": len(names)}), names)


def dominant_driver(correlations: xr.Dataset, *, alpha: float = 0.05) -> xr.DataArray:
    """Name for each cell the driver with the largest partial correlation, of those that are significant.

    Parameters
    ----------
    correlations : xarray.Dataset
        What `partial_correlations` or `multiple_regression` gave: `r` and `pvalue` by `driver`.
    alpha : float
        Drivers with p < alpha count.

    Returns
    -------
    xarray.DataArray
        uint8: 0 where no driver is significant, 1, 2, ... for the drivers in their order (the first of equals), 255
        where there is no value; names in CF flag attributes. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no `r` and `pvalue` by `driver`, or alpha is no probability.
    """
    import xarray as xr

    if not {"r", "pvalue"} <= set(correlations) or "driver" not in correlations["r"].dims:
        raise SpecError("dominant driver: no `r` and `pvalue` by `driver`.", "Give what partial_correlations returns.")
    if not 0.0 < alpha < 1.0:
        raise SpecError(f"alpha: {alpha} is not between 0 and 1.", "0.05 is usual.")
    names = [str(v) for v in correlations["driver"].values]
    if len(names) >= NO_DATA:
        raise SpecError(f"dominant driver: {len(names)} drivers are too many for a map.", "Take fewer.")

    def strongest(r: Any, p: Any) -> Any:
        size = np.where(p < alpha, np.abs(r), -1.0)
        best = np.argmax(size, axis=-1)
        any_of = size.max(axis=-1) >= 0.0
        code = np.where(any_of, best + 1, NONE_SIGNIFICANT).astype(np.uint8)
        return np.where(np.isnan(r).all(axis=-1), np.uint8(NO_DATA), code)

    out: xr.DataArray = xr.apply_ufunc(
        strongest,
        correlations["r"],
        correlations["pvalue"],
        input_core_dims=[["driver"], ["driver"]],
        dask="parallelized",
        output_dtypes=[np.uint8],
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    flags = {NONE_SIGNIFICANT: "none significant"} | dict(enumerate(names, start=1)) | {NO_DATA: "no data"}
    out.attrs = {"long_name": "driver with the largest significant partial correlation", "units": "1"}
    paint = [*_PAINT[: len(names) + 1], "#d9d9d9"] if len(names) < len(_PAINT) else None
    out.attrs |= spec.flag_attrs(flags, "uint8", paint) | {"alpha": float(alpha)}
    return out.rename("dominant_driver")
