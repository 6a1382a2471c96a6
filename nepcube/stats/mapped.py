"""Sufficient statistics as maps with a name each, as a store of maps holds them, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr

PREFIX = "sufficient"


def as_maps(ds: xr.Dataset) -> dict[str, xr.DataArray]:
    """Take sufficient statistics apart into maps.

    Parameters
    ----------
    ds : xarray.Dataset
        What `sufficient_statistics` gives.

    Returns
    -------
    dict of str to xarray.DataArray
        ``sufficient_n``, ``sufficient_mean_NAME`` and ``sufficient_product_FIRST_SECOND``, float64.
    """
    out = {f"{PREFIX}_n": ds["n"]}
    for k, (name, unit) in enumerate(zip(ds["variable"].values, ds["variable_units"].values, strict=True)):
        one = ds["mean"].isel(variable=k, drop=True)
        one.attrs = {"long_name": f"mean of {name} over the years", "units": str(unit), "of": str(name)}
        out[f"{PREFIX}_mean_{name}"] = one
    for k, (a, b) in enumerate(zip(ds["first"].values, ds["second"].values, strict=True)):
        one = ds["product"].isel(pair=k, drop=True)
        one.attrs = {"long_name": f"sum of products of {a} and {b} about their means", "of": f"{a} {b}"}
        out[f"{PREFIX}_product_{a}_{b}"] = one
    return out


def statistics_from_maps(ds: xr.Dataset) -> xr.Dataset:
    """Put sufficient statistics together from the maps of a store.

    Parameters
    ----------
    ds : xarray.Dataset
        With the maps that a run with ``sufficient: true`` left, as `open_statistics` opens them.

    Returns
    -------
    xarray.Dataset
        As `sufficient_statistics` gives them: for `merge_statistics`, `trend_from_statistics`,
        `variation_from_statistics` and `partial_from_statistics`. Lazy on dask input.

    Raises
    ------
    SpecError
        The dataset has no such maps.
    """
    import xarray as xr

    means = [ds[str(n)] for n in ds.data_vars if str(n).startswith(f"{PREFIX}_mean_")]
    products = [ds[str(n)] for n in ds.data_vars if str(n).startswith(f"{PREFIX}_product_")]
    if f"{PREFIX}_n" not in ds or not means or not products:
        raise SpecError(
            "sufficient statistics: the dataset has no such maps.", "Run with `sufficient: true` under `statistics`."
        )
    # a store lists its arrays by name; the years come last, and the pairs are those of the triangle
    names = [str(m.attrs["of"]) for m in means if m.attrs["of"] != "year"] + ["year"]
    by_name = {str(m.attrs["of"]): m for m in means}
    by_pair = {frozenset(str(p.attrs["of"]).split()): p for p in products}
    pairs = [(a, b) for i, a in enumerate(names) for b in names[: i + 1]]
    mean = xr.concat([by_name[n].drop_attrs() for n in names], dim="variable", join="exact")
    product = xr.concat([by_pair[frozenset(pair)].drop_attrs() for pair in pairs], dim="pair", join="exact")
    out = xr.Dataset({"n": ds[f"{PREFIX}_n"], "mean": mean, "product": product})
    return out.assign_coords(
        variable=("variable", np.array(names)),
        variable_units=("variable", np.array([str(by_name[n].attrs["units"]) for n in names])),
        first=("pair", np.array([a for a, _ in pairs])),
        second=("pair", np.array([b for _, b in pairs])),
    )
