"""How a series goes with its drivers: partial correlation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nepcube.stats._apply import apply, count_attrs, least

if TYPE_CHECKING:
    import xarray as xr


def partial_correlation(
    da: xr.DataArray,
    driver: xr.DataArray,
    controls: Sequence[xr.DataArray] = (),
    *,
    dim: str = "time",
    min_years: int | None = None,
) -> xr.Dataset:
    """Correlate two series after the linear influence of others is taken from both.

    Of order k, the number of controls: the correlation of the residuals, which equals
    -R^-1_ij / sqrt(R^-1_ii R^-1_jj). Its p-value is that of t = r sqrt((n - 2 - k) / (1 - r^2)) with n - 2 - k degrees
    of freedom, two-sided. A constant series, or one that the controls explain wholly, gives NaN.

    Parameters
    ----------
    da, driver : xarray.DataArray
        Annual values on the same coordinates; a year with a NaN in any of the series is left out.
    controls : sequence of xarray.DataArray
        What is held fixed; none gives the plain correlation.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `r`, `pvalue` and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        The arrays are not on the same coordinates.

    References
    ----------
    Fisher, R. A. 1924. Metron 3, 329-332.
    """
    from nepcube.stats import _kernels

    what, by = (a.attrs.get("long_name", a.name or "series") for a in (da, driver))
    outputs: dict[str, dict[str, Any]] = {
        "r": {
            "long_name": f"partial correlation of {what} with {by}",
            "units": "1",
            "controls": ", ".join(str(c.name) for c in controls),
        },
        "pvalue": {"long_name": "p-value of the partial correlation (t test)", "units": "1"},
        "n": count_attrs(),
    }
    scalars = [least(da, dim, min_years)]
    if controls:
        return apply(_kernels.partial, [da, driver], dim, outputs, stacked=controls, scalars=scalars)
    return apply(_kernels.correlation, [da, driver], dim, outputs, scalars=scalars)
