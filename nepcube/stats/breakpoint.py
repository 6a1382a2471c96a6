"""A year in which the trend changes: two trends with a break between them, and Pettitt's test of a change of level."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._apply import apply, count_attrs, least, per_year, require_dim, year_index

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

MODELS = ("joined", "independent")
#: series without a break, from which the distribution of the largest F is taken
NULL_SERIES = 10_000
_SEED = 19790601


def breakpoint_trend(
    da: xr.DataArray,
    year: int | None = None,
    *,
    model: str = "joined",
    min_segment: int = 5,
    dim: str = "time",
    min_years: int | None = None,
) -> xr.Dataset:
    """Fit a trend before and one after a break, and test the break.

    ``joined`` is y = a + b x + c max(x - year, 0): two lines that meet in the year of the break. ``independent`` is
    two lines of their own, the second of which begins with that year. F compares what they leave with what one straight
    line leaves: F = ((RSS_1 - RSS_2) / m) / (RSS_2 / (n - 2 - m)), with m = 1 for ``joined`` and 2 for ``independent``.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values, any order of dimensions; NaN is a missing year.
    year : int, optional
        The year of the break, named before the data were seen. Where it is left out, each cell takes the year that
        leaves the least sum of squares, the earliest of equals.
    model : {"joined", "independent"}
        Whether the lines meet.
    min_segment : int
        The least number of values on each side, 3 or more. The year of the break counts to the later side; where
        lines meet in it, to both.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `year` of the break, `slope_before`, `slope_before_pvalue`, `slope_after`, `slope_after_pvalue` (t tests with
        n - 2 - m degrees of freedom, the variance that of both sides), `f`, `pvalue` (of the break) and `n`. Lazy on
        dask input. A cell with too few values on a side, or a constant one, has `n` alone.

    Raises
    ------
    SpecError
        The model is not known, `min_segment` leaves no year for a break, or there is no such dimension.

    Notes
    -----
    The p-value of a given year is that of F with m and n - 2 - m degrees of freedom. That of a year which was sought
    accounts for the search: it is the share of 10,000 series of white noise of as many values, from a fixed seed, whose
    own largest F is as large, (1 + number) / 10,001, so it is never below 0.0001. Of a cell with gaps it takes series
    of as many values without gaps. The p-values of the two slopes do not account for the search.

    All suppose independent residuals; autocorrelation makes breaks: on AR(1) 0.3 of 20 years, a break is found three
    times as often as it should.

    References
    ----------
    Chow, G. C. 1960. Econometrica 28, 591-605. Andrews, D. W. K. 1993. Econometrica 61, 821-856. Toms, J. D. &
    Lesperance, M. L. 2003. Ecology 84, 2034-2041.
    """
    if model not in MODELS:
        raise SpecError(f"{model!r} is not a model of a break.", f"Use one of {', '.join(MODELS)}.")
    if min_segment < 3:
        raise SpecError(f"min_segment: {min_segment} values make no trend.", "Give 3 or more.")
    axis, origin = year_index(da, dim), _first_year(da, dim)
    shared = int(model == "joined")
    _require_room(axis + origin, year, min_segment, shared)
    units, what = str(da.attrs.get("units", "1")), da.attrs.get("long_name", da.name or "series")
    how = "sought" if year is None else "given"
    when = "year sought" if year is None else str(int(year))
    outputs: dict[str, dict[str, Any]] = {
        "year": {"long_name": f"year in which the trend of {what} changes ({how})"},
        "slope_before": {"long_name": f"linear trend of {what} before the break ({when})", "units": per_year(units)},
        "slope_before_pvalue": {"long_name": f"p-value of the slope before the break (t test, {when})", "units": "1"},
        "slope_after": {"long_name": f"linear trend of {what} after the break ({when})", "units": per_year(units)},
        "slope_after_pvalue": {"long_name": f"p-value of the slope after the break (t test, {when})", "units": "1"},
        "f": {"long_name": "F of the break", "units": "1"},
        "pvalue": {"long_name": f"p-value of the break (F test, {when})", "units": "1"},
        "n": count_attrs(),
    }
    outputs["year"] |= {"units": "1", "model": model, "min_segment": min_segment}
    from nepcube.stats import _breakpoints

    few = least(da, dim, min_years)
    if year is None:
        # a cell with fewer values than the first row stands for has no break
        sizes = range(min(max(int(few), 2 * min_segment - shared), axis.size), axis.size + 1)
        fixed, nulls = np.nan, np.array([_largest_f(n, min_segment, model) for n in sizes])
    else:
        fixed, nulls = year - origin, np.empty((1, 1))
    scalars = [few, float(min_segment), float(MODELS.index(model)), origin, fixed]
    return apply(_breakpoints.two_trends, [da], dim, outputs, vectors=[axis], scalars=scalars, tables=[nulls])


def _first_year(da: xr.DataArray, dim: str) -> float:
    if dim not in da.coords:
        return 0.0
    first = da[dim].values[:1]
    if np.issubdtype(first.dtype, np.datetime64):
        first = first.astype("datetime64[Y]").astype(np.int64) + 1970
    return float(first[0]) if first.size else 0.0


def _require_room(years: NDArray[np.float64], year: int | None, min_segment: int, shared: int) -> None:
    if year is None:
        before, after = min_segment, years.size - min_segment + shared
    else:
        before, after = int((years < year + shared).sum()), int((years >= year).sum())
    if before < min_segment or after < min_segment:
        where = f"a break in {year} leaves {before} and {after}" if year is not None else f"there are {years.size}"
        raise SpecError(
            f"breakpoint: {min_segment} values are asked for on both sides, and {where}.",
            "Name another year, or a smaller min_segment." if year is not None else "Give more years.",
        )


@lru_cache(maxsize=256)
def _largest_f(n: int, min_segment: int, model: str) -> NDArray[np.float64]:
    # the largest F over all breaks of series of white noise, rising; level and slope of a series do not enter F
    from nepcube.stats import _breakpoints

    noise = np.random.Generator(np.random.PCG64([_SEED, n])).standard_normal((NULL_SERIES, n))
    found = np.empty(NULL_SERIES)
    _breakpoints.largest_f(noise, min_segment, MODELS.index(model), found)
    found.sort()
    found.flags.writeable = False
    return found


def pettitt(da: xr.DataArray, *, dim: str = "time", min_years: int | None = None) -> xr.Dataset:
    """Test for one change of level in an unknown year, by ranks.

    U_t is the sum of sign(y_j - y_i) over all i before and all j from a year on; K is the U of the largest absolute
    value, and p = 2 exp(-6 K^2 / (n^3 + n^2)), at most 1.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; missing years are left out.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `year` (the first of the new level, the earliest of equals), `k` (positive where the level rises), `pvalue` and
        `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such dimension, or several steps in one year.

    Notes
    -----
    A trend is a change of level, too: the test does not tell one from the other, and is no test of a change of trend.
    The approximation of p is good below 0.5 and errs to the safe side in short series.

    References
    ----------
    Pettitt, A. N. 1979. Appl. Stat. 28, 126-135.
    """
    require_dim(da, dim)
    what = da.attrs.get("long_name", da.name or "series")
    outputs = {
        "year": {"long_name": f"first year of a new level of {what}", "units": "1"},
        "k": {"long_name": "Pettitt's K, positive for a rise", "units": "1"},
        "pvalue": {"long_name": "p-value of the change of level (Pettitt)", "units": "1"},
        "n": count_attrs(),
    }
    from nepcube.stats import _breakpoints

    scalars = [least(da, dim, min_years), _first_year(da, dim)]
    return apply(_breakpoints.pettitt, [da], dim, outputs, vectors=[year_index(da, dim)], scalars=scalars)
