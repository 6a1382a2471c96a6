"""Trends over years: ordinary least squares, Theil-Sen, Mann-Kendall."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING

from nepcube.errors import SpecError
from nepcube.stats._apply import apply, count_attrs, least, per_year, year_index

if TYPE_CHECKING:
    import xarray as xr

_VARIANTS = {"original": 0.0, "3pw": 1.0}


def linear_trend(da: xr.DataArray, *, dim: str = "time", min_years: int | None = None) -> xr.Dataset:
    """Fit a straight line over the years by ordinary least squares.

    The slope is sum((x - mean x)(y - mean y)) / sum((x - mean x)^2) with x the year; its p-value is that of
    t = slope / standard error with n - 2 degrees of freedom, two-sided. The p-value supposes independent residuals:
    read it beside `lag1`.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values, any order of dimensions; NaN is a missing year.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `slope` (unit of `da` per year), `intercept` (the fitted value in the first year), `stderr` of the slope,
        `pvalue`, `lag1` (lag-1 autocorrelation of the residuals), `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such dimension, or several steps in one year.

    References
    ----------
    Wilks, D. S. 2011. Statistical Methods in the Atmospheric Sciences, 3rd ed., section 7.2.
    """
    units = str(da.attrs.get("units", "1"))
    what = da.attrs.get("long_name", da.name or "series")
    outputs = {
        "slope": {"long_name": f"linear trend of {what}", "units": per_year(units)},
        "intercept": {"long_name": f"fitted {what} in the first year", "units": units},
        "stderr": {"long_name": "standard error of the slope", "units": per_year(units)},
        "pvalue": {"long_name": "p-value of the slope (t test)", "units": "1"},
        "lag1": {"long_name": "lag-1 autocorrelation of the residuals", "units": "1"},
        "n": count_attrs(),
    }
    from nepcube.stats import _kernels

    return apply(_kernels.ols, [da], dim, outputs, vectors=[year_index(da, dim)], scalars=[least(da, dim, min_years)])


def theil_sen(
    da: xr.DataArray, *, dim: str = "time", min_years: int | None = None, confidence: float = 0.95
) -> xr.Dataset:
    """Take the median of all slopes between two years, with its interval.

    The interval takes the slopes of rank (N - c)/2 and (N + c)/2 + 1, where c = z sqrt(Var S) with ties corrected,
    and interpolates between ranks.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; NaN is a missing year.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.
    confidence : float
        Of the interval, 0.95 by default.

    Returns
    -------
    xarray.Dataset
        `slope`, `lower`, `upper` (unit of `da` per year) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such dimension, or several steps in one year.

    References
    ----------
    Sen, P. K. 1968. J. Am. Stat. Assoc. 63, 1379-1389. Gilbert, R. O. 1987. Statistical Methods for Environmental
    Pollution Monitoring, section 16.5.
    """
    if not 0.0 < confidence < 1.0:
        raise SpecError(f"confidence: {confidence} is not between 0 and 1.", "0.95 is usual.")
    units = per_year(str(da.attrs.get("units", "1")))
    what = da.attrs.get("long_name", da.name or "series")
    outputs = {
        "slope": {"long_name": f"Theil-Sen slope of {what}", "units": units},
        "lower": {"long_name": f"lower end of the {confidence:g} interval of the slope", "units": units},
        "upper": {"long_name": f"upper end of the {confidence:g} interval of the slope", "units": units},
        "n": count_attrs(),
    }
    from nepcube.stats import _ranks

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    return apply(_ranks.sen, [da], dim, outputs, vectors=[year_index(da, dim)], scalars=[least(da, dim, min_years), z])


def mann_kendall(
    da: xr.DataArray, *, method: str = "original", dim: str = "time", min_years: int | None = None
) -> xr.Dataset:
    """Test for a monotonic trend by the signs of all differences.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; missing years are left out.
    method : {"original", "3pw"}
        ``original`` supposes independent years. ``3pw`` takes the larger p-value of pre-whitening and of trend-free
        pre-whitening, which holds its level on autocorrelated series.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `tau` (S over the number of pairs), `pvalue` (two-sided, normal approximation with continuity and tie
        correction) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        The method is not known, or there is no such dimension.

    References
    ----------
    Mann, H. B. 1945. Econometrica 13, 245-259. Kendall, M. G. 1975. Rank Correlation Methods. Collaud Coen, M. et
    al. 2020. Atmos. Meas. Tech. 13, 6945-6964. Yue, S. et al. 2002. Hydrol. Process. 16, 1807-1829.
    """
    if method not in _VARIANTS:
        raise SpecError(f"{method!r} is not a Mann-Kendall variant.", f"Use one of {', '.join(_VARIANTS)}.")
    outputs = {
        "tau": {"long_name": "Kendall's tau with time", "units": "1"},
        "pvalue": {"long_name": f"p-value of the Mann-Kendall test ({method})", "units": "1"},
        "n": count_attrs(),
    }
    from nepcube.stats import _ranks

    return apply(
        _ranks.kendall,
        [da],
        dim,
        outputs,
        vectors=[year_index(da, dim)],
        scalars=[least(da, dim, min_years), _VARIANTS[method]],
    )
