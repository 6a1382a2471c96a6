"""The grid of a field: noted in a few words, and held against another."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def native_grid(field: xr.DataArray) -> dict[str, Any]:
    """Tell the grid of a field, so that two can be held against each other: axes and CRS.

    Parameters
    ----------
    field : xarray.DataArray
        Its last two dims are those of the grid; with the coordinate `spatial_ref`.
    """
    ydim, xdim = (str(d) for d in field.dims[-2:])
    return {
        "y": _axis(ydim, field[ydim].values),
        "x": _axis(xdim, field[xdim].values),
        "crs": str(field["spatial_ref"].attrs.get("crs_wkt", "")),
    }


def _axis(name: str, values: Any) -> dict[str, Any]:
    exact = np.ascontiguousarray(values, "<f8")
    ends = {"first": float(exact[0]), "last": float(exact[-1])}
    return {"name": name, "cells": int(exact.size)} | ends | {"crc": zlib.crc32(exact.tobytes())}


def grid_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Tell how a grid (see `native_grid`) differs from what it was; None where it does not."""
    for axis in ("x", "y"):
        a, b = before[axis], now[axis]
        if a != b:
            if a["name"] != b["name"]:
                return f"an axis {b['name']}, before {a['name']}"
            told = [f"{c['cells']} cells from {c['first']:.10g} to {c['last']:.10g}" for c in (b, a)]
            return f"{b['name']}: {told[0]}, before {told[1]}" if told[0] != told[1] else f"{b['name']}: other values"
    if before.get("units") != now.get("units"):
        return f"unit {now.get('units')!r}, before {before.get('units')!r}"
    return None if _same_crs(before["crs"], now["crs"]) else "another CRS"


def _same_crs(one: str, other: str) -> bool:
    # another version of PROJ may write the same CRS in other words
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    if one == other:
        return True
    try:
        return bool(CRS.from_user_input(one) == CRS.from_user_input(other))
    except CRSError:
        return False
