"""How a series goes with its drivers: partial and semi-partial correlation, regression, ridge, the strongest driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.stats._apply import count_attrs, least, year_index
from nepcube.stats._blocks import apply_blocks, lead

if TYPE_CHECKING:
    import xarray as xr

#: codes of a map of the dominant driver beside 1, 2, ... for the drivers
NONE_SIGNIFICANT, NO_DATA = 0, 255
# none, and the drivers in their order: warm, wet, bright (Okabe and Ito's colours)
_PAINT = ("#f5f5f5", "#d55e00", "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")


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
    attrs = _said({"controls": ", ".join(str(c.name) for c in controls)}, detrend, {"": lag})
    what, by = _title(da), _title(driver)
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
    attrs = _said({"controls": ", ".join(str(c.name) for c in controls)}, detrend, {"": lag})
    what = f"{_title(da)} with {_title(driver)}"
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
    names, mine, others, lags = _prepare(da, drivers, lag, dim)
    t, need = year_index(mine, dim), least(mine, dim, min_years)
    what, by = _title(da), ", ".join(names)
    said = _said({"predictors": by, "penalty": str(penalty)}, detrend, lags)

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _regression

        m, cells = len(names), series[0].shape[1]
        beta, share, fit, n = np.empty((m, cells)), np.empty((m, cells)), np.empty((2, cells)), np.empty(cells)
        _regression.ridge(series, t, detrend, need, value, beta, share, fit, n)
        return beta, share, fit[0], fit[1], n

    own = ("driver",)
    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "coefficient": (own, {"long_name": f"standardised ridge coefficient of {what}", "units": "1"} | said),
        "share": (own, {"long_name": f"relative contribution to {what} (ridge)", "units": "1"} | said),
        "r2": ((), {"long_name": f"share of the variance of {what} that the ridge explains", "units": "1"}),
        "penalty": ((), {"long_name": "ridge penalty", "units": "1"}),
        "n": ((), count_attrs()),
    }
    return _named(apply_blocks(kernel, [*others, mine], dim, outputs, {"driver": len(names)}), names)


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


def _title(da: xr.DataArray) -> str:
    return str(da.attrs.get("long_name", da.name or "series"))


def _said(attrs: dict[str, Any], detrend: bool, lags: Mapping[str, int]) -> dict[str, Any]:
    if detrend:
        attrs["detrended"] = "linear, over the years"
    led = {name: lag for name, lag in lags.items() if lag}
    if led:
        attrs["lag_years"] = ", ".join(f"{name} {lag}".strip() for name, lag in led.items())
    return attrs


def _prepare(
    da: xr.DataArray, drivers: Mapping[str, xr.DataArray], lag: int | Mapping[str, int], dim: str
) -> tuple[list[str], xr.DataArray, list[xr.DataArray], dict[str, int]]:
    if not drivers:
        raise SpecError("drivers: none is given.", "Give one or more, by name.")
    names = [str(n) for n in drivers]
    if isinstance(lag, Mapping):
        strange = [n for n in lag if n not in drivers]
        if strange:
            raise SpecError(f"lag: {strange[0]!r} is not a driver.", f"The drivers are {', '.join(names)}.")
        lags = {n: int(lag.get(n, 0)) for n in names}
    else:
        lags = dict.fromkeys(names, lag)
    mine, moved = lead(da, drivers, lags, dim)
    return names, mine, list(moved.values()), lags


def _named(ds: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    return ds.assign_coords(driver=("driver", np.array(names), {"long_name": "driver"}))


def _regression(mine: xr.DataArray, dim: str, min_years: int | None, detrend: bool, wanted: int, full: bool) -> Any:
    # closes over numbers alone, so that it travels to a worker
    t, need = year_index(mine, dim), least(mine, dim, min_years)

    def kernel(series: Any) -> tuple[Any, ...]:
        from nepcube.stats import _drivers

        cells, kind = series[0].shape[1], series[0].dtype
        r, p = np.empty((wanted, cells), kind), np.empty((wanted, cells), kind)
        more = wanted if full else 0
        semi, beta = np.empty((more, cells), kind), np.empty((more, cells), kind)
        fit, n = np.empty((3 if full else 0, cells), kind), np.empty(cells, kind)
        eps = float(np.finfo(kind).eps)
        hard = np.empty(cells, np.bool_)
        _drivers.regress(series, t, detrend, need, eps, wanted, full, r, p, semi, beta, fit, n, hard)
        if hard.any():
            which = np.flatnonzero(hard)
            _drivers.orthogonalise(series, t, detrend, need, eps, wanted, full, which, r, p, semi, beta, fit)
        return (r, p, n, semi, beta, *fit)

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
        r, p, n, partial, *_ = kernel(series)
        return (partial[0] if semi else r[0]), p[0], n

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
    names, mine, others, lags = _prepare(da, drivers, lag, dim)
    what, own = _title(da), ("driver",)
    said = _said({"predictors": ", ".join(names)}, detrend, lags)
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
            "r2_pvalue": ((), {"long_name": "p-value of the multiple R2 (F test)", "units": "1"}),
        }
    kernel = _regression(mine, dim, min_years, detrend, len(names), full)

    def block(series: Any) -> tuple[Any, ...]:
        return tuple(kernel(series)[: len(outputs)])

    # the order of the dimensions is that of `da`, which the kernel takes last
    found = apply_blocks(block, [*others, mine], dim, outputs, {"driver": len(names)})
    return _named(found, names)
