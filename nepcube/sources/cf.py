"""Fields, axes and CRS of any CF dataset, found by what they say of themselves; nothing read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.axes import straight
from nepcube.sources.stored import undated

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_NAMES = {
    "latitude": {"latitude", "lat"},
    "longitude": {"longitude", "lon"},
    "time": {"time", "valid_time"},
}
_STANDARD = {
    "latitude": "latitude",
    "longitude": "longitude",
    "projection_y_coordinate": "y",
    "projection_x_coordinate": "x",
    "time": "time",
}
_DEGREES = {"degrees_north": "latitude", "degree_north": "latitude", "degrees_n": "latitude",
            "degrees_east": "longitude", "degree_east": "longitude", "degrees_e": "longitude"}  # fmt: skip
_METRES = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "km": 1000.0, "kilometre": 1000.0}
_KEPT = ("units", "long_name", "standard_name", "valid_range", "valid_min", "valid_max")


@dataclass(frozen=True)
class Field:
    """One variable, dims ([time,] latitude, longitude) or ([time,] y, x), lazy; `wkt` is its CRS."""

    path: str
    array: xr.DataArray
    wkt: str
    geographic: bool


def fields(ds: xr.Dataset) -> list[str]:
    """Name the variables that have two spatial axes."""
    return [str(n) for n, v in ds.data_vars.items() if v.dtype.kind in "iuf" and len(_spatial(ds, v)) == 2]


def _spatial(ds: xr.Dataset, v: xr.DataArray) -> dict[str, str]:
    roles = {role: str(d) for d in v.dims if (role := _role(ds, str(d))) in ("latitude", "longitude", "y", "x")}
    return roles if set(roles) in ({"latitude", "longitude"}, {"y", "x"}) else {}


def _role(ds: xr.Dataset, dim: str) -> str | None:
    if dim not in ds.coords or ds[dim].ndim != 1:
        return None
    attrs = ds[dim].attrs
    standard = str(attrs.get("standard_name", "")).lower()
    if standard in _STANDARD:
        return _STANDARD[standard]
    if standard in ("grid_latitude", "grid_longitude"):
        return None
    unit = str(attrs.get("units", "")).lower()
    if unit in _DEGREES:
        return _DEGREES[unit]
    if np.issubdtype(ds[dim].dtype, np.datetime64):
        return "time"
    name = dim.lower()
    if name in ("x", "y", "easting", "northing"):
        return {"easting": "x", "northing": "y"}.get(name, name)
    return next((role for role, names in _NAMES.items() if name in names), None)


def field(ds: xr.Dataset, name: str, path: str) -> Field:
    """Give one variable with its axes under our names and its CRS, lazy.

    Raises
    ------
    SourceError
        It has no regular axes, no CRS, or further dimensions.
    """
    v = ds[name]
    spatial = _spatial(ds, v)
    if not spatial:
        raise SourceError(
            f"{path}: {name} has no one-dimensional latitude and longitude, or y and x "
            f"(dimensions: {', '.join(map(str, v.dims))}).",
            "Use files on a regular grid, or regrid them first.",
        )
    renamed = {old: new for new, old in spatial.items()}
    for dim in map(str, v.dims):
        if dim in renamed:
            continue
        if _role(ds, dim) == "time" and "time" not in renamed.values():
            renamed[dim] = "time"
        elif ds.sizes[dim] == 1:
            v = v.isel({dim: 0}, drop=True)
        else:
            raise SourceError(
                f"{path}: {name} has the dimension {dim!r} of {ds.sizes[dim]} beside time and space.",
                "Select one of it first.",
            )
    geographic = "latitude" in spatial
    wkt, geographic = _crs(ds, v, name, path, geographic)
    dims = ("latitude", "longitude") if geographic else ("y", "x")
    lead = [old for old, new in renamed.items() if new == "time"]
    return Field(path, _lazy(ds, v, name, path, lead, spatial, dims, wkt), wkt, geographic)


def _crs(ds: xr.Dataset, v: xr.DataArray, name: str, path: str, degrees: bool) -> tuple[str, bool]:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    mapping = str(v.encoding.get("grid_mapping") or v.attrs.get("grid_mapping") or "").split(":")[0]
    at = next((n for n in (mapping, "spatial_ref", "crs") if n and n in ds.variables), None)
    if at is None and degrees:
        return CRS.from_epsg(4326).to_wkt(), True
    attrs = ds[at].attrs if at else {}
    try:
        text = attrs.get("crs_wkt") or attrs.get("spatial_ref") or attrs.get("proj4") or attrs.get("proj4_params")
        crs = CRS.from_user_input(text) if text else CRS.from_cf(dict(attrs))
    except (CRSError, KeyError, ValueError, TypeError):
        if degrees:
            return CRS.from_epsg(4326).to_wkt(), True
        raise SourceError(
            f"{path}: the CRS of {name} cannot be told.", "Write it to the file (`crs_wkt` of its grid mapping)."
        ) from None
    if degrees and not crs.is_geographic:
        # a projected CRS beside latitude and longitude describes other axes of the file
        return CRS.from_epsg(4326).to_wkt(), True
    if not degrees and crs.is_geographic and crs.is_derived:
        raise SourceError(f"{path}: {name} is on a rotated grid.", "Regrid it to a regular grid first.")
    return crs.to_wkt(), bool(crs.is_geographic)


def _lazy(
    ds: xr.Dataset,
    v: xr.DataArray,
    name: str,
    path: str,
    lead: list[str],
    spatial: dict[str, str],
    dims: tuple[str, str],
    wkt: str,
) -> xr.DataArray:
    import xarray as xr

    by_degrees = "latitude" in spatial
    rows, columns = spatial["latitude" if by_degrees else "y"], spatial["longitude" if by_degrees else "x"]
    ordered = v.variable.transpose(*lead, rows, columns)
    coords: dict[str, Any] = {}
    for dim, ours in ((rows, dims[0]), (columns, dims[1])):
        values = np.asarray(ds[dim].values, np.float64)
        # longitudes may run on from 180 to -180: `regular_axes` turns them first
        if dims[0] == "y":
            values = straight(values * _scale(ds[dim], wkt), dim, path)
        coords[ours] = (ours, values)
    if lead:
        coords["time"] = ("time", times(ds, lead[0], path))
    kept = {k: x for k, x in v.attrs.items() if k in _KEPT}
    out = xr.DataArray(ordered.data, dims=(*(["time"] if lead else []), *dims), coords=coords, name=name, attrs=kept)
    out.encoding = {k: v.encoding[k] for k in ("scale_factor", "add_offset", "dtype") if k in v.encoding}
    return out


def decoded(array: xr.DataArray, stored: float) -> float:
    """Give what a number as it is stored has become by scale and offset."""
    encoding = array.encoding
    value = np.array([stored], array.dtype if array.dtype.kind == "f" else np.float64)
    value *= encoding.get("scale_factor", 1)
    value += encoding.get("add_offset", 0)
    return float(value[0])


def valid_range(v: xr.DataArray) -> tuple[float, float]:
    """Give the least and the largest valid value, decoded; CF takes what lies outside as missing."""
    both = v.attrs.get("valid_range", (v.attrs.get("valid_min", -np.inf), v.attrs.get("valid_max", np.inf)))
    try:
        low, high = (decoded(v, float(x)) if np.isfinite(float(x)) else float(x) for x in both)
    except (TypeError, ValueError):
        return -np.inf, np.inf
    return min(low, high), max(low, high)


def _scale(axis: xr.DataArray, wkt: str) -> float:
    from pyproj import CRS

    metres = _METRES.get(str(axis.attrs.get("units", "")).lower())
    of_crs = float(CRS.from_wkt(wkt).axis_info[0].unit_conversion_factor)
    return 1.0 if metres is None or metres == of_crs else metres / of_crs


def times(ds: xr.Dataset, dim: str, path: str) -> NDArray[Any]:
    """Give the stamps at which the steps begin: the lower bounds where the file has bounds.

    Raises
    ------
    SourceError
        The stamps are no dates, or some are missing.
    """
    axis = ds[dim]
    stamps = axis.values
    if not np.issubdtype(stamps.dtype, np.datetime64):
        raise undated(path, axis.encoding.get("units", axis.attrs.get("units")))
    if not stamps.size or np.isnat(stamps).any():
        raise SourceError(f"{path}: its time axis is empty or has missing dates.", "Download the file again.")
    name = axis.encoding.get("bounds") or axis.attrs.get("bounds")
    bounds = ds[name].values if name and name in ds.variables else None
    usable = (
        bounds is not None
        and bounds.shape == (stamps.size, 2)
        and np.issubdtype(bounds.dtype, np.datetime64)
        and bool(((bounds[:, 0] <= stamps) & (stamps <= bounds[:, 1]) & (bounds[:, 0] < bounds[:, 1])).all())
        and np.unique(bounds[:, 0]).size == stamps.size
    )
    return np.asarray(bounds[:, 0] if usable and bounds is not None else stamps).astype("datetime64[ns]")
