"""What one reading of a series gives: mean, variation, and the straight line of least squares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._apply import count_attrs, least, per_year, year_index
from nepcube.stats._blocks import apply_blocks

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    Rows = Mapping[str, NDArray[np.float64]]
    #: the attributes of a result, and how it comes from what the kernel tells of a cell
    Part = tuple[dict[str, Any], Callable[[Rows], NDArray[np.float64]]]


def describe(
    da: xr.DataArray,
    *,
    dim: str = "time",
    ddof: int = 0,
    min_mean: float = 1.0,
    min_years: int | None = None,
) -> xr.Dataset:
    """Take mean, coefficients of variation and the straight line from one reading of a series.

    The same numbers as `mean`, `coefficient_of_variation` (as it is, and detrended) and `linear_trend`.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values, any order of dimensions; NaN is a missing year.
    dim : str
        The dimension of the years.
    ddof : {0, 1}
        Delta degrees of freedom of the standard deviation in `cv`.
    min_mean : float
        Cells with a smaller absolute mean have no coefficient of variation, in the unit of `da`.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `mean`, `sd` (ddof 0), `cv`, `cv_detrended`, `slope`, `intercept`, `stderr`, `pvalue`, `lag1` and `n`. Lazy on
        dask input.

    Raises
    ------
    SpecError
        There is no such dimension, several steps in one year, or `ddof` is neither 0 nor 1.
    """
    require_ddof(ddof)
    parts = mean_parts(da) | line_parts(da)
    parts["cv"] = variation_part(da, ddof, min_mean)
    parts["cv_detrended"] = variation_part(da, 2, min_mean)
    return tell(da, dim, min_years, parts, lined=True)


def require_ddof(ddof: int) -> None:
    """Refuse delta degrees of freedom that no standard deviation about the mean has."""
    if ddof not in (0, 1):
        raise SpecError(f"ddof: {ddof} is neither 0 nor 1.", "0 divides by n, 1 by n - 1.")


def mean_parts(da: xr.DataArray) -> dict[str, Part]:
    """Give the parts of `mean`."""
    units, what = _of(da)
    return {
        "mean": ({"long_name": f"mean {what}", "units": units}, itemgetter("mean")),
        "sd": ({"long_name": f"standard deviation of {what}", "units": units}, lambda rows: _deviation(rows, 0)),
        "n": (count_attrs(), itemgetter("n")),
    }


def variation_part(da: xr.DataArray, ddof: int, min_mean: float) -> Part:
    """Give the coefficient of variation; around the straight line, of its 2 degrees of freedom, where ddof is 2."""
    _, what = _of(da)
    attrs = {
        "long_name": f"coefficient of variation of {'detrended ' if ddof == 2 else ''}{what}",
        "units": "1",
        "ddof": ddof,
        "min_mean": float(min_mean),
    }

    def take(rows: Rows) -> NDArray[np.float64]:
        mean = rows["mean"]
        with np.errstate(invalid="ignore", divide="ignore"):
            told = (np.abs(mean) >= min_mean) & (mean != 0.0)
            return np.where(told, _deviation(rows, ddof) / mean, np.nan)

    return attrs, take


def line_parts(da: xr.DataArray) -> dict[str, Part]:
    """Give the parts of `linear_trend`."""
    units, what = _of(da)
    told = {
        "slope": {"long_name": f"linear trend of {what}", "units": per_year(units)},
        "intercept": {"long_name": f"fitted {what} in the first year", "units": units},
        "stderr": {"long_name": "standard error of the slope", "units": per_year(units)},
        "pvalue": {"long_name": "p-value of the slope (t test)", "units": "1"},
        "lag1": {"long_name": "lag-1 autocorrelation of the residuals", "units": "1"},
        "n": count_attrs(),
    }
    return {name: (attrs, itemgetter(name)) for name, attrs in told.items()}


def tell(
    da: xr.DataArray,
    dim: str,
    min_years: int | None,
    parts: Mapping[str, Part],
    *,
    lined: bool,
    few: int = 1,
) -> xr.Dataset:
    """Read each series once and give its parts, those of the line where it is `lined`; `few` values are the least."""
    t, need = year_index(da, dim), max(least(da, dim, min_years), float(few))
    takes = [take for _, take in parts.values()]

    def kernel(series: Any) -> Any:
        from nepcube.stats import _lines

        names = _lines.LINED if lined else _lines.PLAIN
        rows = np.empty((len(names), series[0].shape[1]))
        _lines.describe(series, t, need, rows)
        by_name = dict(zip(names, rows, strict=True))
        return tuple(take(by_name) for take in takes)

    return apply_blocks(kernel, [da], dim, {name: ((), attrs) for name, (attrs, _) in parts.items()}, {})


def _of(da: xr.DataArray) -> tuple[str, str]:
    return str(da.attrs.get("units", "1")), str(da.attrs.get("long_name", da.name or "series"))


def _deviation(rows: Rows, ddof: int) -> NDArray[np.float64]:
    # without a degree of freedom there is none
    with np.errstate(invalid="ignore", divide="ignore"):
        deviation: NDArray[np.float64] = np.sqrt(rows["residuals" if ddof == 2 else "squares"] / (rows["n"] - ddof))
    return deviation
