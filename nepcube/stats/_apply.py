"""From kernels to labels: dimensions, chunks, units; no arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def require_dim(da: xr.DataArray, dim: str) -> None:
    """Refuse an array without the dimension of the years."""
    if dim not in da.dims:
        raise SpecError(
            f"{da.name or 'the array'}: no dimension {dim!r} (found: {', '.join(map(str, da.dims))}).",
            "Name the time dimension with `dim=`.",
        )


def one_chunk(da: xr.DataArray, dim: str) -> xr.DataArray:
    """Merge the chunks along a dimension."""
    require_dim(da, dim)
    return da.chunk({dim: -1}) if da.chunks is not None else da


def floating(da: xr.DataArray) -> xr.DataArray:
    """Give the array as float32 or float64."""
    return da if da.dtype in (np.float32, np.float64) else da.astype("float64")


def year_index(da: xr.DataArray, dim: str) -> NDArray[np.float64]:
    """Give the time axis as years from its first: the year number for dates, the values themselves for numbers."""
    require_dim(da, dim)
    if dim not in da.coords:
        return np.arange(da.sizes[dim], dtype=np.float64)
    values = da[dim].values
    if np.issubdtype(values.dtype, np.datetime64):
        years = values.astype("datetime64[Y]").astype(np.int64)
        if len(np.unique(years)) != len(years):
            raise SpecError(f"{dim}: several steps in one year.", "Make annual values first (to_annual).")
        values = years
    out = values.astype(np.float64)
    if out.size > 1 and not (np.diff(out) > 0).all():
        raise SpecError(f"{dim}: the steps do not rise.", "Sort the dataset by time first.")
    return out - out[0] if out.size else out


def least(da: xr.DataArray, dim: str, min_years: int | None) -> float:
    """Give the number of values that a cell must have: all where nothing is said."""
    require_dim(da, dim)
    return float(da.sizes[dim] if min_years is None else min_years)


def apply(
    kernel: Any,
    arrays: Sequence[xr.DataArray],
    dim: str,
    outputs: Mapping[str, Mapping[str, Any]],
    *,
    vectors: Sequence[NDArray[np.float64]] = (),
    scalars: Sequence[float] = (),
    stacked: Sequence[xr.DataArray] = (),
    tables: Sequence[NDArray[np.float64]] = (),
) -> xr.Dataset:
    """Run a gufunc over the last axis of some arrays.

    Parameters
    ----------
    kernel : gufunc
        Takes the arrays, the stacked arrays, the vectors, the scalars and the tables, in this order.
    arrays : sequence of xarray.DataArray
        On exactly the same coordinates.
    tables : sequence of array
        What the kernel looks up, of any shape, the same for all cells.
    outputs : mapping
        Names of the results, with their attributes, in the kernel's order.
    """
    import xarray as xr

    inputs = [floating(one_chunk(a, dim)) for a in arrays]
    others = [floating(one_chunk(a, dim)) for a in stacked]
    wide = np.result_type(*(a.dtype for a in (*inputs, *others)))
    inputs = [a.astype(wide, copy=False) for a in inputs]
    others = [a.astype(wide, copy=False) for a in others]
    try:
        xr.align(*inputs, *others, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"The arrays are not on the same coordinates ({error}).", "Bring them to one grid and one period first."
        ) from None
    reference = inputs[0]
    if others:
        # an empty list of controls has no array to stand for it, a list of some becomes one axis
        stack = xr.concat(others, dim="_control", join="exact", coords="minimal", compat="override")
        inputs.append(stack.transpose(..., "_control", dim))
    core: list[list[str]] = [[dim]] * len(arrays) + ([["_control", dim]] if others else [])
    results = xr.apply_ufunc(
        kernel,
        *inputs,
        *vectors,
        *scalars,
        *tables,
        input_core_dims=[
            *core,
            *([[dim]] * len(vectors)),
            *([[]] * len(scalars)),
            *([f"_table{k}_{axis}" for axis in range(table.ndim)] for k, table in enumerate(tables)),
        ],
        output_core_dims=[[]] * len(outputs),
        dask="parallelized",
        output_dtypes=[wide] * len(outputs),
        join="exact",
        dask_gufunc_kwargs={"allow_rechunk": True},
    )
    if len(outputs) == 1:
        results = (results,)
    order = [d for d in reference.dims if d != dim]
    ds = xr.Dataset(
        {name: told(r.transpose(*order), attrs) for (name, attrs), r in zip(outputs.items(), results, strict=True)}
    )
    return ds.drop_vars([c for c in ds.coords if dim in ds[c].dims])


def told(da: xr.DataArray, attrs: Mapping[str, Any]) -> xr.DataArray:
    """Give a new array other attributes."""
    da.attrs = dict(attrs)
    return da


def count_attrs() -> dict[str, Any]:
    return {"long_name": "number of years used", "units": "1"}


def per_year(units: str) -> str:
    """Give the unit of a slope: one more power of a year."""
    if units.endswith("year-1"):
        return units.removesuffix("year-1") + "year-2"
    return f"{units} year-1".strip() if units != "1" else "year-1"
