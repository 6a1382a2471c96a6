"""Mean and stability over years."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube.errors import SpecError
from nepcube.stats._apply import apply, count_attrs, least

if TYPE_CHECKING:
    import xarray as xr


def mean(da: xr.DataArray, *, dim: str = "time", min_years: int | None = None) -> xr.Dataset:
    """Take the mean over years.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; NaN is a missing year.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `mean`, `sd` (standard deviation, ddof 0) and `n`.
    """
    from nepcube.stats import _kernels

    units = str(da.attrs.get("units", "1"))
    what = da.attrs.get("long_name", da.name or "series")
    outputs = {
        "mean": {"long_name": f"mean {what}", "units": units},
        "sd": {"long_name": f"standard deviation of {what}", "units": units},
        "n": count_attrs(),
    }
    return apply(_kernels.moments, [da], dim, outputs, scalars=[least(da, dim, min_years), 0.0])


def coefficient_of_variation(
    da: xr.DataArray, *, dim: str = "time", ddof: int = 0, min_mean: float = 1.0, min_years: int | None = None
) -> xr.Dataset:
    """Divide the standard deviation over years by the mean.

    The value keeps the sign of the mean. It says nothing where the mean is near zero, and is NaN there.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; NaN is a missing year.
    dim : str
        The dimension of the years.
    ddof : {0, 1}
        Delta degrees of freedom of the standard deviation.
    min_mean : float
        Cells with a smaller absolute mean are NaN, in the unit of `da`.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `cv` (no unit) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        `ddof` is neither 0 nor 1.

    References
    ----------
    Zhang, Z. et al. 2023. Remote Sensing for Natural Resources 35(1), 231-242, eq. 4, whose print multiplies by the
    mean where division is meant.
    """
    if ddof not in (0, 1):
        raise SpecError(f"ddof: {ddof} is neither 0 nor 1.", "0 divides by n, 1 by n - 1.")
    from nepcube.stats import _kernels

    what = da.attrs.get("long_name", da.name or "series")
    outputs = {
        "cv": {
            "long_name": f"coefficient of variation of {what}",
            "units": "1",
            "ddof": ddof,
            "min_mean": float(min_mean),
        },
        "n": count_attrs(),
    }
    scalars = [least(da, dim, min_years), float(ddof), float(min_mean)]
    return apply(_kernels.variation, [da], dim, outputs, scalars=scalars)
