"""What the header of an ECMWF reanalysis file says: names, stream, statistic, experiment versions, the true time."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.series import PRELIMINARY
from nepcube.sources.stored import read_now

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

#: names in files, the first the Climate Data Store's; Earth Engine's end in `_hourly` (differenced) or `_sum` (totals)
NAMES: dict[str, tuple[str, ...]] = {
    "temperature": ("t2m", "2t", "temperature_2m", "2m_temperature"),
    "precipitation": ("tp", "total_precipitation_hourly", "total_precipitation_sum", "total_precipitation"),
    "radiation": (
        "ssr", "surface_net_solar_radiation_hourly", "surface_net_solar_radiation_sum", "surface_net_solar_radiation",
    ),
}  # fmt: skip
ACCUMULATED = ("precipitation", "radiation")
DOWNWARD = ("ssrd", "surface_solar_radiation_downwards", "surface_solar_radiation_downwards_sum")

MONTHLY, BY_HOUR = "moda", "mnth"
_ENSEMBLES = ("enda", "edmo", "edmm", "ewda")
_STREAM = re.compile(r'"stream":\s*\[?\s*"(\w+)"|data_stream-(\w+?)(?:_|\.|$)')
_HOW = re.compile(r"daily_reduce\([^)]*how=(\w+)|daily_(mean|maximum|minimum|max|min|sum)\b")
_ALTERED = re.compile(
    r"\bcdo\b[^\n]*\b(muldpm|muldpy|divdpm|monsum|yearsum|ymonsum|timsum|daysum|mulc|divc|mul|div|expr|aexpr)\b"
    r"|\bncap2\b|\bmulc,|\bmuldpm\b"
)
_VERSIONS = {"1": False, "5": True}
_TRIES = 24


@dataclass(frozen=True)
class Header:
    """What a file says of one of its variables.

    Attributes
    ----------
    stream : str, optional
        ``moda`` (monthly means of daily means), ``mnth`` (monthly means by hour of the day), ``oper`` (the hours).
    step_type : str, optional
        ``instant``, ``accum``, or of means ``avgua`` (instants) and ``avgad`` (accumulations).
    how : str, optional
        The daily statistic: mean, max, min, sum.
    from_cds : bool
        It carries the marks of a conversion from ECMWF's GRIB.
    altered : bool
        Its history tells of arithmetic after the download.
    """

    stream: str | None
    step_type: str | None
    how: str | None
    from_cds: bool
    altered: bool


def header_of(ds: xr.Dataset, name: str, path: str) -> Header:
    """Read what there is in attributes, history and file name."""
    attrs: dict[str, Any] = ds[name].attrs if name in ds.variables else {}
    history = str(ds.attrs.get("history", ""))
    base = os.path.basename(path)
    step = attrs.get("GRIB_stepType") or _group(re.search(r"stepType-(\w+?)(?:_|\.|$)", base))
    methods = str(attrs.get("cell_methods", ""))
    how = _group(_HOW.search(history)) or _group(_HOW.search(base)) or _group(re.search(r"time: (\w+)", methods))
    return Header(
        stream=_text(attrs.get("GRIB_stream")) or stream_of(ds, path),
        step_type=_text(step),
        how={"maximum": "max", "minimum": "min", "point": None}.get(how or "", how),
        from_cds=any(str(k).startswith("GRIB_") for k in attrs)
        or "grib_to_netcdf" in history
        or "via cfgrib" in history,
        altered=_ALTERED.search(history) is not None,
    )


def stream_of(ds: xr.Dataset, path: str) -> str | None:
    """Tell the stream from the history of the conversion, else from the name that a download has."""
    found = _STREAM.search(str(ds.attrs.get("history", ""))) or _STREAM.search(os.path.basename(path))
    if found is None:
        streams = {str(v.attrs["GRIB_stream"]) for v in ds.data_vars.values() if "GRIB_stream" in v.attrs}
        return streams.pop() if len(streams) == 1 else None
    return _group(found)


def _group(found: re.Match[str] | None) -> str | None:
    return next((g for g in found.groups() if g), None) if found else None


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def prepare(ds: xr.Dataset, path: str) -> xr.Dataset:
    """Give one time axis, final and preliminary values merged, and refuse what is no hourly, daily or monthly mean."""
    stream = stream_of(ds, path)
    if stream == BY_HOUR:
        raise by_hour(path)
    if stream in _ENSEMBLES:
        raise SourceError(f"{path}: stream {stream} is of the ensemble.", "Download the reanalysis itself.")
    return _versions(_one_time(ds, path, stream), path)


def by_hour(path: str) -> SourceError:
    """Make the refusal of monthly means that are given for each hour of the day."""
    return SourceError(
        f"{path}: holds the monthly averaged reanalysis by hour of day (stream {BY_HOUR}), 24 values a month.",
        "Download the product type `monthly averaged reanalysis`, or the hours themselves.",
    )


def _one_time(ds: xr.Dataset, path: str, stream: str | None) -> xr.Dataset:
    # a conversion by cfgrib keeps the start of the forecast (`time`) beside the time of the value (`valid_time`)
    if "step" in ds.dims and ds.sizes["step"] > 1:
        raise SourceError(
            f"{path}: holds forecasts by start (time) and step ({ds.sizes['step']} steps), not one time axis.",
            "Give the GRIB file itself, or convert it with `time_dims=['valid_time']`.",
        )
    if "step" in ds.dims:
        ds = ds.isel(step=0)
    if "valid_time" in ds.coords and "time" in ds.coords and "valid_time" not in ds.dims:
        valid = ds["valid_time"]
        ds = ds.drop_vars("valid_time")
        # a monthly mean is stamped with the start of its month, which the validity of its last forecast is not
        if stream != MONTHLY and valid.dims == ds["time"].dims:
            ds = ds.assign_coords(time=(valid.dims, valid.values, valid.attrs))
    elif "valid_time" in ds.dims and "time" in ds.coords:
        ds = ds.drop_vars("time")
    return ds.drop_vars([n for n in ("step", "surface", "heightAboveGround") if n in ds.coords and n not in ds.dims])


def _versions(ds: xr.Dataset, path: str) -> xr.Dataset:
    if "expver" in ds.dims:
        return _merged(ds, path)
    if "expver" not in ds.coords:
        return ds
    time = next((d for d in ("valid_time", "time") if d in ds.dims), None)
    early = is_preliminary(ds["expver"].values, path)
    if early.ndim == 0 and time is not None:
        early = np.full(ds.sizes[time], bool(early))
    ds = ds.drop_vars("expver")
    if time is None or early.size != ds.sizes[time]:
        return ds
    ds = ds.assign_coords({PRELIMINARY: (time, early)})
    stamps = ds[time].values
    # one stamp, once final and once preliminary
    order = np.lexsort((early, stamps))
    twice = np.concatenate([[False], stamps[order][1:] == stamps[order][:-1]]) & early[order]
    replaced = twice & np.concatenate([[False], ~early[order][:-1]])
    return ds.isel({time: np.sort(order[~replaced])}) if replaced.any() else ds


def is_preliminary(versions: Any, path: str) -> NDArray[np.bool_]:
    """Tell final (1) from preliminary (5) experiment versions, and refuse others."""
    words = np.asarray(versions)
    known = sorted({_version(v) for v in np.unique(words).tolist()} - set(_VERSIONS))
    if known:
        raise SourceError(
            f"{path}: experiment versions {', '.join(known)}; 1 (final) and 5 (preliminary) are known.",
            "Download the file again.",
        )
    flat = [_VERSIONS[_version(v)] for v in words.ravel().tolist()]
    return np.array(flat, bool).reshape(words.shape)


def _version(value: Any) -> str:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
    return text.strip().removesuffix(".0").lstrip("0")


def _merged(ds: xr.Dataset, path: str) -> xr.Dataset:
    # the old layout: one plane of final data (1), one of preliminary data (5), each missing where the other is
    if "expver" not in ds.coords:
        raise SourceError(f"{path}: expver is a dimension without values.", "Download the file again.")
    early = is_preliminary(ds["expver"].values, path)
    if early.size > 2 or len(set(early.tolist())) < early.size:
        raise SourceError(
            f"{path}: experiment versions {', '.join(map(str, ds['expver'].values))} stand side by side.",
            "Download the file again.",
        )
    planes = [ds.isel(expver=int(i), drop=True) for i in np.argsort(early, kind="stable")]
    time = next((d for d in ("valid_time", "time") if d in ds.dims), None)
    stamps = np.zeros(ds.sizes[time], bool) if time else None
    if len(planes) == 1:
        out, marks = planes[0], None if stamps is None else stamps | bool(early[0])
    else:
        final, other = planes
        out = final.fillna(other)
        out = out.assign({n: out[n].assign_attrs(ds[n].attrs) for n in out.data_vars})
        marks = None if stamps is None else _only_preliminary(final, other, str(time))
    return out if marks is None else out.assign_coords({PRELIMINARY: (time, marks)})


def _only_preliminary(final: xr.Dataset, other: xr.Dataset, time: str) -> NDArray[np.bool_]:
    # the stamps whose final plane is missing at a cell that has a value: one cell of land tells
    marks = np.zeros(final.sizes[time], bool)
    for name, v in final.data_vars.items():
        axes = [d for d in v.dims if d != time]
        if time not in v.dims or len(axes) != 2:
            continue
        for i, j in places([v.sizes[d] for d in axes], _TRIES):
            at = {axes[0]: i, axes[1]: j}
            late = np.isfinite(read_now(other[name].isel(at).astype(float)))
            if late.any():
                marks |= late & ~np.isfinite(read_now(v.isel(at).astype(float)))
                break
    return marks


def places(shape: list[int], n: int) -> list[tuple[int, int]]:
    """Give some cells of a map, spread evenly whatever their number."""
    # the R2 sequence: multiples of the powers of 1 / 1.3247..., the root of x^3 = x + 1
    k = np.arange(1, n + 1)
    rows = ((0.5 + k * 0.7548776662466927) % 1 * shape[0]).astype(int)
    columns = ((0.5 + k * 0.5698402909980532) % 1 * shape[1]).astype(int)
    return list(dict.fromkeys(zip(rows.tolist(), columns.tolist(), strict=True)))
