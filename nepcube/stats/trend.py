"""Trends over years: ordinary least squares, Theil-Sen, Mann-Kendall."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.stats._apply import apply, count_attrs, least, per_year, year_index
from nepcube.stats.classes import NO_CLASS
from nepcube.stats.describing import line_parts, tell

if TYPE_CHECKING:
    import xarray as xr

_VARIANTS = {
    "original": 0,
    "pre-whitened": 1,
    "trend-free-pre-whitened": 2,
    "3pw": 3,
    "hamed-rao": 4,
    "yue-wang": 5,
}


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
    return tell(da, dim, min_years, line_parts(da), lined=True, few=2)


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
    method : str
        ``original`` supposes independent years. ``pre-whitened`` tests y[t] - r y[t - 1], with r the lag-1
        autocorrelation; ``trend-free-pre-whitened`` takes r from what the Theil-Sen slope leaves, and puts the slope
        back. ``3pw`` takes the larger p-value of these two, and holds its level on autocorrelated series.
        ``hamed-rao`` and ``yue-wang`` inflate the variance by the autocorrelations, of ranks and of values, that are
        significant at 5 % after the Theil-Sen slope is taken away.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `tau` (S over the number of pairs, of the values themselves whatever the method), `pvalue` (two-sided, normal
        approximation with continuity and tie correction) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        The method is not known, or there is no such dimension.

    Notes
    -----
    Recommended are ``original``, and ``3pw`` beside it. The rest is here for comparison: on white noise of 20 years
    ``hamed-rao`` and ``yue-wang`` reject about 9 % at a nominal 5 %, and on AR(1) 0.3 only ``pre-whitened`` and
    ``3pw`` hold their 5 %.

    Missing years are left out of S. Where autocorrelation counts, only years that are exactly so many steps apart
    make a pair, and only a year whose predecessor is there is whitened: nothing is drawn across a gap. The sum of
    squares is that of all values, so gaps pull r towards zero. Fewer than three whitened values give a p-value of
    NaN. The lags of ``hamed-rao`` and ``yue-wang`` run to n - 1 with n the number of values; where the autocorrelations
    would make the variance negative, which happens to about 1 % of short series, the original variance stands.

    References
    ----------
    Mann, H. B. 1945. Econometrica 13, 245-259. Kendall, M. G. 1975. Rank Correlation Methods. Hamed, K. H. & Rao,
    A. R. 1998. J. Hydrol. 204, 182-196. Yue, S. et al. 2002. Hydrol. Process. 16, 1807-1829. Yue, S. & Wang, C. 2004.
    Water Resour. Manag. 18, 201-218. Collaud Coen, M. et al. 2020. Atmos. Meas. Tech. 13, 6945-6964.
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
        scalars=[least(da, dim, min_years), float(_VARIANTS[method])],
    )


#: brown for less, green for more, as far from the grey middle as the evidence goes (ColorBrewer's BrBG, which
#: colour-blind eyes tell apart); the first is the slight one
_LESS = ("#dfc27d", "#bf812d", "#8c510a", "#543005")
_MORE = ("#80cdc1", "#35978f", "#01665e", "#003c30")
_NEITHER, _NO_DATA = "#f5f5f5", "#d9d9d9"


def trend_classes(slope: xr.DataArray, pvalue: xr.DataArray, *, levels: Sequence[float] = (0.05, 0.01)) -> xr.DataArray:
    """Put each cell into a class of direction and significance.

    The usual pair is the Theil-Sen slope and a Mann-Kendall p-value. From the lowest class: significant decrease
    (one class for each level, the strictest first), slight decrease (no level reached), no change (a slope of exactly
    zero, whatever the p-value), slight increase, significant increase (the strictest last).

    Parameters
    ----------
    slope, pvalue : xarray.DataArray
        Maps on exactly the same coordinates.
    levels : sequence of float
        Up to three levels of significance, falling; a p-value below a level reaches it.

    Returns
    -------
    xarray.DataArray
        uint8, 0 for the strictest decrease; 255 where there is no slope, or a slope without a p-value. Names and
        colours (brown to green, which colour-blind eyes tell apart) in CF flag attributes. Lazy on dask input.

    Raises
    ------
    SpecError
        The levels do not fall, or the maps are not on the same coordinates.

    Notes
    -----
    Each cell is tested for itself: of a map without any trend, 5 % reach the level 0.05, in patches where neighbours
    are alike.
    """
    import xarray as xr

    steps = [float(v) for v in levels]
    falls = all(b < a for a, b in itertools.pairwise(steps))
    if not 1 <= len(steps) < len(_LESS) or not falls or not all(0 < v < 1 for v in steps):
        raise SpecError(
            f"trend classes: the levels {list(levels)} are not one to three that fall between 1 and 0.",
            "(0.05, 0.01) is usual.",
        )
    try:
        xr.align(slope, pvalue, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"trend classes: slope and p-value are not on the same coordinates ({error}).",
            "Make both from the same array.",
        ) from None
    k = len(steps)

    def into(b: Any, p: Any) -> Any:
        # the sum of comparisons with NaN is zero: such cells are told apart at the end
        reached = sum((np.asarray(p, np.float64) < v).astype(np.int8) for v in steps)
        index = (k + 1 + np.sign(np.nan_to_num(b)) * (1 + reached)).astype(np.uint8)
        return np.where(np.isnan(b) | (np.isnan(p) & (b != 0)), np.uint8(NO_CLASS), index)

    out: xr.DataArray = xr.apply_ufunc(into, slope, pvalue, dask="parallelized", output_dtypes=[np.uint8], join="exact")
    less = [f"significant decrease at {v:g}" for v in reversed(steps)]
    more = [f"significant increase at {v:g}" for v in steps]
    names = [*less, "slight decrease", "no change", "slight increase", *more]
    colors = [*reversed(_LESS[: k + 1]), _NEITHER, *_MORE[: k + 1], _NO_DATA]
    out.attrs = {"long_name": "direction and significance of the trend", "units": "1"}
    out.attrs |= spec.flag_attrs(dict(enumerate(names)) | {NO_CLASS: "no data"}, "uint8", colors)
    out.attrs["levels"] = np.asarray(steps)
    return out
