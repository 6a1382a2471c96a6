"""Mean and stability over years."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._apply import apply, count_attrs, least, year_index
from nepcube.stats.describing import mean_parts, require_ddof, tell, variation_part

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

#: the smallest window of the rescaled range, and how many there are up to the whole series
SMALLEST_WINDOW, WINDOWS = 4, 8
NULL_SERIES = 10_000
_SEED = 19510000


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
    return tell(da, dim, min_years, mean_parts(da), lined=False)


def coefficient_of_variation(
    da: xr.DataArray,
    *,
    dim: str = "time",
    ddof: int | None = None,
    min_mean: float = 1.0,
    min_years: int | None = None,
    detrend: bool = False,
) -> xr.Dataset:
    """Divide the standard deviation over years by the mean.

    The value keeps the sign of the mean. It says nothing where the mean is near zero, and is NaN there.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values; NaN is a missing year.
    dim : str
        The dimension of the years.
    ddof : {0, 1}, optional
        Delta degrees of freedom of the standard deviation, 0 when left out. With `detrend` it is 2, for the level
        and the slope of the line that is taken away, and nothing else.
    min_mean : float
        Cells with a smaller absolute mean are NaN, in the unit of `da`.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.
    detrend : bool
        Take the standard deviation around the straight line of least squares, sqrt(RSS / (n - 2)), in place of that
        around the mean: a steady trend is then no instability.

    Returns
    -------
    xarray.Dataset
        `cv` (no unit) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        `ddof` is neither 0 nor 1, or is given with `detrend` and not 2.

    References
    ----------
    Zhang, Z. et al. 2023. Remote Sensing for Natural Resources 35(1), 231-242, eq. 4, whose print multiplies by the
    mean where division is meant.
    """
    if detrend:
        if ddof not in (None, 2):
            raise SpecError(f"ddof: {ddof} with detrend.", "Leave it out: a line takes 2 degrees of freedom.")
    elif ddof is not None:
        require_ddof(ddof)
    parts = {"cv": variation_part(da, 2 if detrend else ddof or 0, min_mean), "n": mean_parts(da)["n"]}
    return tell(da, dim, min_years, parts, lined=detrend, few=2 if detrend else 1)


def hurst_exponent(da: xr.DataArray, *, dim: str = "time", min_years: int | None = None) -> xr.Dataset:
    """Estimate persistence by the rescaled range, corrected for short series.

    In each window of w years, R is the range of the cumulative departures from the window's mean and S its standard
    deviation (with w); R/S is averaged over all windows of w years, overlapping ones included. The exponent is
    1/2 + the slope of log(mean R/S) - log(E) on log w, with E what independent normal values have (Anis and Lloyd 1976,
    exact; in the way of Peters 1994, without his empirical factor (w - 1/2) / w). 1/2 is no memory; above it what was
    high tends to stay high, below it to turn.

    Parameters
    ----------
    da : xarray.DataArray
        Annual values, ten years or more. A window with a missing year is left out.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer values are NaN; all years when left out.

    Returns
    -------
    xarray.Dataset
        `hurst` and `n`. The attributes of `hurst` give the `windows` and, of 10,000 series of white noise as long as
        the axis, the mean and the 95 % range of the estimate. Lazy on dask input.

    Raises
    ------
    SpecError
        There are fewer than ten steps, no such dimension, or several steps in one year.

    Notes
    -----
    Annual series are short for it. The windows are eight from 4 years to the whole series, in equal steps of the
    logarithm: 4, 5, 6, 8, 10, 13, 16 and 20 of 20 years. White noise of 20 years then gives 0.49 on average, and
    anything from 0.21 to 0.76 in 95 % of cells; noise with a true exponent of 0.8 gives 0.62 on average, and most of it
    lies within that range. No single cell can be read by it. A trend, too, looks like memory.

    References
    ----------
    Hurst, H. E. 1951. Trans. Am. Soc. Civ. Eng. 116, 770-799. Anis, A. A. & Lloyd, E. H. 1976. Biometrika 63, 111-116.
    Peters, E. E. 1994. Fractal Market Analysis. Weron, R. 2002. Physica A 312, 285-299.
    """
    axis = year_index(da, dim)
    if axis.size < 10:
        raise SpecError(f"hurst: {axis.size} year(s) tell nothing about memory.", "Give ten or more.")
    what = da.attrs.get("long_name", da.name or "series")
    windows, expected = _windows(axis.size)
    mean_of_noise, low, high = _of_white_noise(axis.size)
    outputs = {
        "hurst": {
            "long_name": f"Hurst exponent of {what} (rescaled range, corrected for short series)",
            "units": "1",
            "windows": windows.astype(np.int32),
            "white_noise_mean": mean_of_noise,
            "white_noise_range": np.array([low, high]),
            "comment": (
                f"{axis.size} years are few: white noise gives {low:.2f} to {high:.2f} in 95 % of cells, "
                f"{mean_of_noise:.2f} on average"
            ),
        },
        "n": count_attrs(),
    }
    from nepcube.stats import _hurst

    few = least(da, dim, min_years)
    return apply(_hurst.rescaled_range, [da], dim, outputs, vectors=[axis], scalars=[few], tables=[windows, expected])


def _windows(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # sizes, and the logarithm of E(R/S) of independent normal values in each (Anis and Lloyd 1976)
    steps = [SMALLEST_WINDOW * (n / SMALLEST_WINDOW) ** (k / (WINDOWS - 1)) for k in range(WINDOWS)]
    sizes = sorted({round(w) for w in steps})
    expected = [
        math.exp(math.lgamma((w - 1) / 2) - math.lgamma(w / 2))
        / math.sqrt(math.pi)
        * math.fsum(math.sqrt((w - i) / i) for i in range(1, w))
        for w in sizes
    ]
    return np.array(sizes, np.float64), np.array([math.log(e) for e in expected])


@lru_cache(maxsize=64)
def _of_white_noise(n: int) -> tuple[float, float, float]:
    # mean and 95 % range of the estimate
    from nepcube.stats import _hurst

    noise = np.random.Generator(np.random.PCG64([_SEED, n])).standard_normal((NULL_SERIES, n))
    found = np.empty(NULL_SERIES)
    _hurst.of_rows(noise, *_windows(n), found)
    low, high = np.quantile(found, [0.025, 0.975])
    return math.fsum(found) / NULL_SERIES, float(low), float(high)
