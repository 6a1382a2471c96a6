"""Sufficient statistics: what a few series leave behind, from which trends and correlations come again and merge.

Of each cell n, the means and the centred cross-products of all series and of the years themselves: the sums of squares
about the means, not of the values, so that an offset costs no digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._apply import count_attrs, per_year
from nepcube.stats._blocks import apply_blocks, calendar

if TYPE_CHECKING:
    import xarray as xr

#: the name of the years among the series
YEAR = "year"


def sufficient_statistics(
    arrays: Mapping[str, xr.DataArray], *, dim: str = "time", min_years: int | None = None
) -> xr.Dataset:
    """Reduce series to n, their means and their centred cross-products, each with each and with the year.

    Parameters
    ----------
    arrays : mapping of str to xarray.DataArray
        Annual values by name, on the same coordinates; a year with a NaN in any of them is left out of all.
    dim : str
        The dimension of the years.
    min_years : int, optional
        Cells with fewer complete years have none; 1 when left out, since more years may be merged.

    Returns
    -------
    xarray.Dataset
        float64: `n`, `mean` by `variable` (the last of them is ``year``, in calendar years) and `product` by `pair`:
        the lower triangle of the table of centred cross-products, with the names in the coordinates `first` and
        `second`. n is 0 and the rest NaN where nothing can be said. It can be stored as it is. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no array, one is called ``year``, or they are not on the same coordinates.
    """
    if not arrays:
        raise SpecError("sufficient statistics: no array is given.", "Give one or more, by name.")
    if YEAR in arrays:
        raise SpecError(
            f"sufficient statistics: {YEAR!r} is the name of the time axis.", "Give the array another name."
        )
    names = [str(n) for n in arrays]
    series = list(arrays.values())
    t = calendar(series[0], dim)
    need = float(1 if min_years is None else min_years)
    pairs = [(a, b) for i, a in enumerate([*names, YEAR]) for b in [*names, YEAR][: i + 1]]

    def kernel(block: Any) -> tuple[Any, ...]:
        from nepcube.stats import _drivers

        cells = block[0].shape[1]
        n, mean, product = np.empty(cells), np.empty((len(names) + 1, cells)), np.empty((len(pairs), cells))
        _drivers.moments(block, t, need, n, mean, product)
        return n, mean, product

    outputs: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
        "n": ((), count_attrs()),
        "mean": (("variable",), {"long_name": "mean over the years"}),
        "product": (("pair",), {"long_name": "sum of products about the means"}),
    }
    sizes = {"variable": len(names) + 1, "pair": len(pairs)}
    # the order of the dimensions is that of the first array
    ds = apply_blocks(kernel, series, dim, outputs, sizes, np.float64, like=0)
    units = [str(a.attrs.get("units", "1")) for a in series]
    return ds.assign_coords(
        variable=("variable", np.array([*names, YEAR])),
        variable_units=("variable", np.array([*units, YEAR])),
        first=("pair", np.array([a for a, _ in pairs])),
        second=("pair", np.array([b for _, b in pairs])),
    )


def merge_statistics(a: xr.Dataset, b: xr.Dataset) -> xr.Dataset:
    """Merge the sufficient statistics of two sets of years into those of both.

    Parameters
    ----------
    a, b : xarray.Dataset
        What `sufficient_statistics` gave, of the same series and cells, for years that do not overlap.

    Returns
    -------
    xarray.Dataset
        In the form of the input. Lazy on dask input.

    Raises
    ------
    SpecError
        The two are of other series, units or cells.

    References
    ----------
    Chan, T. F., Golub, G. H. and LeVeque, R. J. 1983. Am. Stat. 37, 242-247.
    """
    import xarray as xr

    for name in ("variable", "variable_units", "first", "second"):
        theirs = [[str(v) for v in _table(ds)[name].values] for ds in (a, b)]
        if theirs[0] != theirs[1]:
            raise SpecError(
                f"sufficient statistics: {name} {theirs[0]} and {theirs[1]}.", "Make both from the same series."
            )
    try:
        xr.align(a, b, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"The arrays are not on the same coordinates ({error}).", "Bring them to one grid and one period first."
        ) from None
    place = {str(v): i for i, v in enumerate(a["variable"].values)}
    first, second = ([place[str(v)] for v in a[c].values] for c in ("first", "second"))

    def merged(na: Any, nb: Any, ma: Any, mb: Any, pa: Any, pb: Any) -> tuple[Any, Any, Any]:
        from nepcube.stats import _merging

        shape = np.broadcast_shapes(na.shape, nb.shape)
        flat = [
            np.ascontiguousarray(np.moveaxis(np.broadcast_to(x, (*shape, x.shape[-1])), -1, 0))
            for x in (ma, mb, pa, pb)
        ]
        tables = [x.reshape(x.shape[0], -1) for x in flat]
        counts = [np.ascontiguousarray(np.broadcast_to(x, shape), np.float64).reshape(-1) for x in (na, nb)]
        n, mean, product = _merging.merge(*counts, *tables, np.array(first), np.array(second))
        return n.reshape(shape), *(np.moveaxis(x.reshape(-1, *shape), 0, -1) for x in (mean, product))

    n, mean, product = xr.apply_ufunc(
        merged,
        a["n"],
        b["n"],
        a["mean"],
        b["mean"],
        a["product"],
        b["product"],
        input_core_dims=[[], [], ["variable"], ["variable"], ["pair"], ["pair"]],
        output_core_dims=[[], ["variable"], ["pair"]],
        dask="parallelized",
        output_dtypes=[np.float64] * 3,
        join="exact",
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    out = {"n": n, "mean": mean.transpose("variable", ...), "product": product.transpose("pair", ...)}
    return xr.Dataset({name: v.assign_attrs(a[name].attrs) for name, v in out.items()})


def trend_from_statistics(ds: xr.Dataset, name: str, *, min_years: int = 3) -> xr.Dataset:
    """Give the linear trend of a series from its sufficient statistics.

    Parameters
    ----------
    ds : xarray.Dataset
        What `sufficient_statistics` or `merge_statistics` gave.
    name : str
        The series.
    min_years : int
        Cells with fewer years are NaN.

    Returns
    -------
    xarray.Dataset
        `slope`, `stderr`, `pvalue` (t test with n - 2 degrees of freedom) and `n`; the lag-1 autocorrelation needs the
        series themselves. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such series.
    """
    units = per_year(_units(ds, name))

    def kernel(n: Any, mean: Any, table: Any) -> tuple[Any, ...]:
        from nepcube.stats import _merging

        out: tuple[Any, ...] = _merging.trend_of(n, mean, table, float(min_years))
        return out

    return _derive(
        ds,
        [name, YEAR],
        kernel,
        {
            "slope": {"long_name": f"linear trend of {name}", "units": units},
            "stderr": {"long_name": "standard error of the slope", "units": units},
            "pvalue": {"long_name": "p-value of the slope (t test)", "units": "1"},
            "n": count_attrs(),
        },
    )


def variation_from_statistics(
    ds: xr.Dataset, name: str, *, ddof: int = 0, min_mean: float = 1.0, min_years: int = 2
) -> xr.Dataset:
    """Give mean, standard deviation and coefficient of variation of a series from its sufficient statistics.

    Parameters
    ----------
    ds : xarray.Dataset
        What `sufficient_statistics` or `merge_statistics` gave.
    name : str
        The series.
    ddof : {0, 1}
        Delta degrees of freedom of the standard deviation.
    min_mean : float
        Cells with a smaller absolute mean have no coefficient of variation.
    min_years : int
        Cells with fewer years are NaN.

    Returns
    -------
    xarray.Dataset
        `mean`, `sd`, `cv` (with the sign of the mean) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such series, or `ddof` is neither 0 nor 1.
    """
    if ddof not in (0, 1):
        raise SpecError(f"ddof: {ddof} is neither 0 nor 1.", "0 divides by n, 1 by n - 1.")
    units = _units(ds, name)

    def kernel(n: Any, mean: Any, table: Any) -> tuple[Any, ...]:
        from nepcube.stats import _merging

        out: tuple[Any, ...] = _merging.variation_of(n, mean, table, float(min_years), float(ddof), float(min_mean))
        return out

    return _derive(
        ds,
        [name],
        kernel,
        {
            "mean": {"long_name": f"mean {name}", "units": units},
            "sd": {"long_name": f"standard deviation of {name}", "units": units},
            "cv": {"long_name": f"coefficient of variation of {name}", "units": "1"},
            "n": count_attrs(),
        },
    )


def partial_from_statistics(
    ds: xr.Dataset, name: str, driver: str, controls: Sequence[str] = (), *, min_years: int = 3
) -> xr.Dataset:
    """Give a partial correlation of any order from sufficient statistics.

    Cross-products keep about 1e-16 / (1 - R2) of the correlation, where R2 is what the others explain of a series:
    cells where less than 1e-6 of a series is left are NaN, which `partial_correlation` can still tell from the series.

    Parameters
    ----------
    ds : xarray.Dataset
        What `sufficient_statistics` or `merge_statistics` gave.
    name, driver : str
        The two series.
    controls : sequence of str
        What is held fixed; ``year`` among them detrends.
    min_years : int
        Cells with fewer years are NaN.

    Returns
    -------
    xarray.Dataset
        `r`, `pvalue` (t test with n - 2 - k degrees of freedom) and `n`. Lazy on dask input.

    Raises
    ------
    SpecError
        There is no such series, or one is named twice.
    """
    wanted = [driver, *controls, name]
    if len(set(wanted)) < len(wanted):
        raise SpecError(f"partial correlation: a series stands twice in {', '.join(wanted)}.", "Name each once.")

    def kernel(n: Any, mean: Any, table: Any) -> tuple[Any, ...]:
        from nepcube.stats import _merging

        out: tuple[Any, ...] = _merging.partial_from(n, mean, table, float(min_years))
        return out

    return _derive(
        ds,
        wanted,
        kernel,
        {
            "r": {
                "long_name": f"partial correlation of {name} with {driver}",
                "units": "1",
                "controls": ", ".join(controls),
            },
            "pvalue": {"long_name": "p-value of the partial correlation (t test)", "units": "1"},
            "n": count_attrs(),
        },
    )


def _table(ds: xr.Dataset) -> xr.Dataset:
    if not {"n", "mean", "product"} <= set(ds) or not {"variable", "first", "second"} <= set(ds.coords):
        raise SpecError(
            "sufficient statistics: the dataset has no `n`, `mean` and `product`.",
            "Give what sufficient_statistics returns.",
        )
    return ds


def _units(ds: xr.Dataset, name: str) -> str:
    names = [str(v) for v in _table(ds)["variable"].values]
    if name not in names:
        raise SpecError(f"sufficient statistics: no series {name!r}.", f"There are {', '.join(names)}.")
    return str(ds["variable_units"].values[names.index(name)])


def _derive(ds: xr.Dataset, wanted: Sequence[str], kernel: Any, outputs: Mapping[str, Mapping[str, Any]]) -> xr.Dataset:
    import xarray as xr

    for name in wanted:
        _units(ds, name)
    names = [str(v) for v in ds["variable"].values]
    found = {
        frozenset((str(a), str(b))): i
        for i, (a, b) in enumerate(zip(ds["first"].values, ds["second"].values, strict=True))
    }
    pairs = [found[frozenset((a, b))] for i, a in enumerate(wanted) for b in wanted[: i + 1]]

    def block(n: Any, mean: Any, product: Any) -> tuple[Any, ...]:
        shape = n.shape
        tables = [
            np.ascontiguousarray(np.moveaxis(x, -1, 0), np.float64).reshape(x.shape[-1], -1) for x in (mean, product)
        ]
        flat = np.ascontiguousarray(n, np.float64).reshape(-1)
        return tuple(x.reshape(shape) for x in kernel(flat, *tables))

    results = xr.apply_ufunc(
        block,
        ds["n"],
        ds["mean"].isel(variable=[names.index(w) for w in wanted]),
        ds["product"].isel(pair=pairs),
        input_core_dims=[[], ["variable"], ["pair"]],
        output_core_dims=[[]] * len(outputs),
        dask="parallelized",
        output_dtypes=[np.float64] * len(outputs),
        join="exact",
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    return xr.Dataset(
        {
            name: r.drop_attrs(deep=False).assign_attrs(attrs)
            for (name, attrs), r in zip(outputs.items(), results, strict=True)
        }
    )
