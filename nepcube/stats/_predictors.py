"""A series beside its drivers: names, lags, and what is said of them; no arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._blocks import lead

if TYPE_CHECKING:
    import xarray as xr


def title_of(da: xr.DataArray) -> str:
    """Say what a series is."""
    return str(da.attrs.get("long_name", da.name or "series"))


def remarks(attrs: dict[str, Any], detrend: bool, lags: Mapping[str, int]) -> dict[str, Any]:
    """Add to attributes how the series were prepared."""
    if detrend:
        attrs["detrended"] = "linear, over the years"
    led = {name: lag for name, lag in lags.items() if lag}
    if led:
        attrs["lag_years"] = ", ".join(f"{name} {lag}".strip() for name, lag in led.items())
    return attrs


def prepare(
    da: xr.DataArray, drivers: Mapping[str, xr.DataArray], lag: int | Mapping[str, int], dim: str
) -> tuple[list[str], xr.DataArray, list[xr.DataArray], dict[str, int]]:
    """Give the names of the drivers, the series beside them with their lags, and the lags by name."""
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


def named(ds: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """Name the drivers along their dimension."""
    return ds.assign_coords(driver=("driver", np.array(names), {"long_name": "driver"}))
