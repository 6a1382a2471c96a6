"""How a series goes with its drivers: partial and semi-partial correlation, multiple regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.stats._apply import count_attrs, least, year_index
from nepcube.stats._blocks import apply_blocks, lead
from nepcube.stats._predictors import named, prepare, remarks, title_of

if TYPE_CHECKING:
    import xarray as xr


def partial_correlation(
    da: xr.DataArray,
    driver: xr.DataArray,
    controls: Sequence[xr.DataArray] = (),
    *,
    dim: str = "time",
    min_years: int | None = None,
    detrend: bool = False,
    lag: int = 0,
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
    detrend : bool
        Take the straight line over the years from every series first, which is time as one more control: n - 3 - k
        degrees of freedom.
    lag : int
        Years by which the driver leads: a year stands beside the driver of `lag` years before, by the calendar. Years
        without are left out, and n is smaller. Controls stay in their year.

    Returns
    -------
    xarray.Dataset
        `r`, `pvalue` and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        The arrays are not on the same coordinates, or no year has its driver.

    References
    ----------
    Fisher, R. A. 1924. Metron 3, 329-332.
    """
    attrs = remarks({"controls": ", ".join(str(c.name) for c in controls)}, detrend, {"": lag})
    what, by = title_of(da), title_of(driver)
    return _one(da, driver, controls, dim, min_years, detrend, lag, ("partial correlation", f"{what} with {by}"), attrs)


def semi_partial_correlation(
    da: xr.DataArray,
    driver: xr.DataArray,
    controls: Sequence[xr.DataArray] = (),
    *,
    dim: str = "time",
    min_years: int | None = None,
    detrend: bool = False,
    lag: int = 0,
) -> xr.Dataset:
    """Correlate a series with what the controls leave of a driver.

    Its square is what the driver adds to the multiple R2 of the controls. It is zero where the partial correlation is,
    and has the same p-value.

    Parameters
    ----------
    da, driver : xarray.DataArray
        Annual values on the same coordinates; a year with a NaN in any of the series is left out.
    controls : sequence of xarray.DataArray
        What is taken from the driver alone.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.
    detrend : bool
        Take the straight line over the years from every series first: one degree of freedom less.
    lag : int
        Years by which the driver leads, see `partial_correlation`.

    Returns
    -------
    xarray.Dataset
        `r`, `pvalue` (t test with n - 2 - k degrees of freedom) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        The arrays are not on the same coordinates, or no year has its driver.

    References
    ----------
    Cohen, J. et al. 2003. Applied multiple regression/correlation analysis for the behavioral sciences, section 3.3.
    """
    attrs = remarks({"controls": ", ".join(str(c.name) for c in controls)}, detrend, {"": lag})
    what = f"{title_of(da)} with {title_of(driver)}"
    return _one(da, driver, controls, dim, min_years, detrend, lag, ("semi-partial correlation", what), attrs)


def partial_correlations(
    da: xr.DataArray,
    drivers: Mapping[str, xr.DataArray],
    *,
    dim: str = "time",
    min_years: int | None = None,
    detrend: bool = False,
    lag: int | Mapping[str, int] = 0,
) -> xr.Dataset:
    """Correlate a series with each driver, all other drivers held fixed, in one reading.

    The same numbers as `partial_correlation` with the other drivers as controls, from one table of centred
    cross-products in float64; cells whose drivers go closely together are orthogonalised one by one.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; a year with a NaN in any of the series is left out.
    drivers : mapping of str to xarray.DataArray
        Two names or more are held against each other; one gives the plain correlation.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.
    detrend : bool
        Take the straight line over the years from every series first: n - 2 - m degrees of freedom for m drivers, in
        place of n - 1 - m.
    lag : int or mapping of str to int
        Years by which the drivers lead, of all or by name, see `partial_correlation`; here the lagged driver is also
        the control.

    Returns
    -------
    xarray.Dataset
        `r` and `pvalue` with the dimension `driver` first, and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no driver, the arrays are not on the same coordinates, or no year has its drivers.
    """
    found = _all(da, drivers, dim, min_years, detrend, lag, full=False)
    return found[["r", "pvalue", "n"]]


def multiple_regression(
    da: xr.DataArray,
    drivers: Mapping[str, xr.DataArray],
    *,
    dim: str = "time",
    min_years: int | None = None,
    detrend: bool = False,
    lag: int | Mapping[str, int] = 0,
) -> xr.Dataset:
    """Regress a series on all drivers at once.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; a year with a NaN in any of the series is left out.
    drivers : mapping of str to xarray.DataArray
        What explains it, by name.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years are NaN; all years when left out.
    detrend : bool
        Take the straight line over the years from every series first: one degree of freedom less.
    lag : int or mapping of str to int
        Years by which the drivers lead, of all or by name.

    Returns
    -------
    xarray.Dataset
        With the dimension `driver`: `coefficient` (standardised: standard deviations of `da` for one of the driver),
        `r` (partial), `semi_partial` and `pvalue` (t test, n - 1 - m degrees of freedom for m drivers, the same for the
        three). Without it: `r2`, `adjusted_r2`, `r2_pvalue` (F test with m and n - 1 - m degrees of freedom) and `n`.
        Lazy on dask input. Collinear drivers and constant series give NaN.

    Raises
    ------
    SpecError
        There is no driver, the arrays are not on the same coordinates, or no year has its drivers.
    """
    return _all(da, drivers, dim, min_years, detrend, lag, full=True)


def _regression(mine: xr.DataArray, dim: str, min_years: int | None, detrend: bool, wanted: int, full: bool) -> Any:
    # closes over numbers alone, so that it travels to a worker
    t, need = year_index(mine, dim), least(mine, dim, min_years)

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _drivers
        from nepcube.stats._tiles import padded

        cells, kind = series[0].shape[1], series[0].dtype
        r, p = np.empty((wanted, cells), kind), np.empty((wanted, cells), kind)
        n, hard, eps = np.empty(cells, kind), np.empty(cells, np.bool_), float(np.finfo(kind).eps)
        more = tuple(np.empty((rows, cells), kind) for rows in (wanted, wanted, 3)) if full else None
        long = True if _drivers.is_long(series, detrend) else None
        _drivers.regress(padded(series), len(series), t, detrend, need, eps, wanted, r, p, n, hard, more, long)
        if hard.any():
            which = np.flatnonzero(hard)
            _drivers.orthogonalise(padded(series), len(series), t, detrend, need, eps, wanted, which, r, p, more)
        return (r, p, n) if more is None else (r, p, n, *more[:2], *more[2])

    return kernel


def _one(
    da: xr.DataArray,
    driver: xr.DataArray,
    controls: Sequence[xr.DataArray],
    dim: str,
    min_years: int | None,
    detrend: bool,
    lag: int,
    title: tuple[str, str],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    kind, of = title
    drivers = {"driver": driver} | {f"control {i}": c for i, c in enumerate(controls, start=1)}
    mine, moved = lead(da, drivers, {"driver": lag}, dim)
    semi = kind.startswith("semi")
    kernel = _regression(mine, dim, min_years, detrend, 1, semi)

    def first(series: Any) -> tuple[Any, ...]:
        r, p, n, *more = kernel(series)
        return (more[0][0] if semi else r[0]), p[0], n

    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "r": ((), {"long_name": f"{kind} of {of}", "units": "1", **attrs}),
        "pvalue": ((), {"long_name": f"p-value of the {kind} (t test)", "units": "1"}),
        "n": ((), count_attrs()),
    }
    return apply_blocks(first, [*moved.values(), mine], dim, outputs, {})


def _all(
    da: xr.DataArray,
    drivers: Mapping[str, xr.DataArray],
    dim: str,
    min_years: int | None,
    detrend: bool,
    lag: int | Mapping[str, int],
    full: bool,
) -> xr.Dataset:
    names, mine, others, lags = prepare(da, drivers, lag, dim)
    what, own = title_of(da), ("driver",)
    said = remarks({"predictors": ", ".join(names)}, detrend, lags)
    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "r": (own, {"long_name": f"partial correlation of {what} with each driver", "units": "1"} | said),
        "pvalue": (own, {"long_name": "p-value of the partial correlation (t test)", "units": "1"}),
        "n": ((), count_attrs()),
    }
    if full:
        outputs |= {
            "semi_partial": (own, {"long_name": f"semi-partial correlation of {what} with each driver", "units": "1"}),
            "coefficient": (own, {"long_name": f"standardised regression coefficient of {what}", "units": "1"} | said),
            "r2": ((), {"long_name": f"multiple R2 of {what}", "units": "1"} | said),
            "adjusted_r2": ((), {"long_name": f"adjusted multiple R2 of {what}", "units": "1"}),
            "r2_pvalue": ((), {"long_name": f"p-value of the multiple R2 of {what} (F test)", "units": "1"}),
        }
    kernel = _regression(mine, dim, min_years, detrend, len(names), full)

    def block(series: Any) -> tuple[Any, ...]:
        return tuple(kernel(series)[: len(outputs)])

    # the order of the dimensions is that of `da`, which the kernel takes last
    found = apply_blocks(block, [*others, mine], dim, outputs, {"driver": len(names)})
    return named(found, names)
