"""Small inputs for the tests of the statistics."""

from __future__ import annotations

import numpy as np
import xarray as xr

YEARS = np.arange(2001, 2021)
NEP = {"units": "g m-2 year-1", "long_name": "NEP"}


def stamps(years):
    return np.array([f"{y}-01-01" for y in years], "datetime64[ns]")


def cube(values, years=None, name="nep", attrs=NEP):
    """(time, cell) or (time, latitude, longitude) with dates, from an array whose first axis is time."""
    values = np.asarray(values)
    years = YEARS[: values.shape[0]] if years is None else years
    dims = ("time", "cell") if values.ndim == 2 else ("time", "latitude", "longitude")
    coords = {"time": stamps(years)} | {d: np.arange(n) * 0.5 for d, n in zip(dims[1:], values.shape[1:], strict=True)}
    return xr.DataArray(values, dims=dims, coords=coords, name=name, attrs=dict(attrs))


def series(seed, cells, n=20, *, gaps=0.0, ties=False, trend=True, dtype="f8"):
    """(n, cells) of series around 120 with trends, AR(1) noise, gaps and ties."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, cells))
    for i in range(1, n):
        noise[i] += 0.3 * noise[i - 1]
    values = 120 + 10 * noise + (np.arange(n)[:, None] * rng.normal(0, 1.5, cells) if trend else 0)
    if ties:
        values = np.round(values / 8) * 8
    if gaps:
        values[rng.random(values.shape) < gaps] = np.nan
        # the longest run of one series must still have a few years
        values[:4] = np.where(np.isnan(values[:4]), 120 + noise[:4], values[:4])
    return values.astype(dtype)


def loop(twin, columns, **options):
    """Run a twin on each column: {name: values}."""
    found = [twin(column, **options) for column in columns]
    return {name: np.array([f[name] for f in found], float) for name in found[0]}
