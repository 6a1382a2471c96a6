"""Many files of one product as one lazy series per variable: same grid, stamps in order, none twice."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, UnitError
from nepcube.grid import spatial_coords
from nepcube.sources.netcdf import OpenFile
from nepcube.sources.protocol import Granule, Request
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_DAY = np.timedelta64(1, "D")


def join(files: Sequence[OpenFile], variable: str) -> xr.DataArray:
    """Put one variable of several files one after the other along time.

    Stamps that two files share are allowed where their values are equal.

    Raises
    ------
    SourceError
        The files are on different grids, or give one cell of one time two values.
    """
    import xarray as xr

    holding = [f for f in files if variable in f.dataset.data_vars]
    first = holding[0]
    for other in holding[1:]:
        for axis in ("latitude", "longitude"):
            a, b = first.dataset[axis].values, other.dataset[axis].values
            if a.shape != b.shape or np.abs(a - b).max() > 1e-6:
                raise SourceError(
                    f"{other.path}: its {axis} differs from that of {os.path.basename(first.path)}.",
                    "Download the same area for every file.",
                )
    units: dict[str | None, str] = {}
    for f in holding:
        units.setdefault(f.dataset[variable].attrs.get("units"), f.path)
    if len(units) > 1:
        # one without a unit is the one at fault
        ordered = sorted(units.items(), key=lambda item: item[0] is None)
        a_unit, (b_unit, b_path) = ordered[0][0], ordered[-1]
        raise UnitError(
            f"{b_path}: {variable} is in {b_unit!r}, in the other files in {a_unit!r}.",
            "Keep files of one unit together.",
        )
    parts = [
        f.dataset[variable].drop_vars([c for c in f.dataset[variable].coords if c not in _KEPT])
        .transpose("time", "latitude", "longitude")
        .assign_coords(latitude=first.dataset["latitude"].values, longitude=first.dataset["longitude"].values)
        for f in holding
    ]  # fmt: skip
    parts = [part.sortby("time") if not _rising(part["time"].values) else part for part in parts]
    order = np.argsort([p["time"].values[0] for p in parts], kind="stable")
    parts, holding = [parts[i] for i in order], [holding[i] for i in order]
    parts = _without_repeats(parts, holding, variable)
    whole = parts[0] if len(parts) == 1 else xr.concat(parts, dim="time", join="exact", combine_attrs="override")
    if not _rising(whole["time"].values):
        whole = whole.sortby("time")
    return whole.assign_attrs(first.dataset[variable].attrs)


_KEPT = ("time", "latitude", "longitude")


def _rising(time: NDArray[Any]) -> bool:
    return bool((np.diff(time) > np.timedelta64(0, "ns")).all())


def _without_repeats(parts: list[xr.DataArray], files: Sequence[OpenFile], variable: str) -> list[xr.DataArray]:
    seen: dict[Any, int] = {}
    out: list[xr.DataArray] = []
    for k, part in enumerate(parts):
        stamps = part["time"].values
        if len(np.unique(stamps)) != len(stamps):
            raise SourceError(
                f"{files[k].path}: a time stands in it twice.", "Download the file again, or remove the repetition."
            )
        again = np.array([t in seen for t in stamps])
        for t in stamps[again]:
            other = parts[seen[t]].sel(time=t).values
            if not np.array_equal(other, part.sel(time=t).values, equal_nan=True):
                raise SourceError(
                    f"{files[k].path}: gives {variable} of {str(t)[:16]} other values than "
                    f"{os.path.basename(files[seen[t]].path)}.",
                    "Keep one of the two files.",
                )
        seen.update(dict.fromkeys(stamps[~again], k))
        if not again.all():
            out.append(part.isel(time=np.flatnonzero(~again)) if again.any() else part)
    return out


def frequency_of(time: NDArray[Any]) -> str | None:
    """Tell the step of a time axis: ``"hour"``, ``"day"``, ``"pentad"``, ``"month"``, ``"year"`` or None."""
    if len(time) < 2:
        return None
    steps = np.diff(time.astype("datetime64[s]")).astype(int)
    shortest = int(steps.min())
    if shortest == 3600:
        return "hour"
    if shortest == 86400:
        return "day"
    days = time.astype("datetime64[D]")
    month_starts = bool((days == time.astype("datetime64[M]").astype("datetime64[D]")).all())
    if month_starts and shortest >= 365 * 86400:
        return "year"
    if month_starts and shortest >= 28 * 86400:
        return "month"
    if 3 * 86400 <= shortest <= 6 * 86400:
        return "pentad"
    return None


def finish(
    whole: xr.DataArray, *, units: str | None, of: str, aggregation: str, frequency: str, product: str
) -> xr.DataArray:
    """Name the unit, the aggregation, the frequency and the product of a series."""
    unit = canonical(units if units is not None else whole.attrs.get("units"), of=of)
    keep = {k: whole.attrs[k] for k in ("long_name",) if k in whole.attrs}
    whole.attrs = keep | {"units": unit, "aggregation": aggregation, "frequency": frequency, "product": product}
    return whole


def with_crs(ds: xr.Dataset) -> xr.Dataset:
    """Add `spatial_ref` for geographic coordinates on WGS84."""
    from affine import Affine
    from odc.geo.geobox import GeoBox

    lat, lon = ds["latitude"].values, ds["longitude"].values
    dy = (lat[-1] - lat[0]) / (lat.size - 1) if lat.size > 1 else -0.1
    dx = (lon[-1] - lon[0]) / (lon.size - 1) if lon.size > 1 else 0.1
    box = GeoBox((lat.size, lon.size), Affine(dx, 0, lon[0] - dx / 2, 0, dy, lat[0] - dy / 2), "EPSG:4326")
    coords = spatial_coords(box)
    return ds.assign_coords(
        latitude=("latitude", lat, coords["latitude"].attrs),
        longitude=("longitude", lon, coords["longitude"].attrs),
        spatial_ref=coords["spatial_ref"],
    )


def list_granules(files: Iterable[OpenFile], detail: Callable[[OpenFile], str]) -> list[Granule]:
    """Give the records of some files for `inspect`."""
    out = []
    for f in files:
        time = f.dataset["time"].values
        out.append(Granule(f.path, os.path.getsize(f.path), str(time.min())[:10], str(time.max())[:10], detail(f)))
    return out


def of_years(whole: xr.DataArray, request: Request, aggregation: str) -> xr.DataArray:
    """Keep the years asked for; of hourly accumulations also the hour that closes the last one.

    Raises
    ------
    SourceError
        Nothing is of these years.
    """
    if request.span is None or request.years is None:
        return whole
    first, last = request.span
    time = whole["time"].values
    closes = aggregation in (spec.SINCE_00, spec.PREVIOUS_HOUR)
    keep = (time >= first) & ((time <= last) if closes else (time < last))
    if not keep.any():
        raise SourceError(
            f"{common(request.paths)}: no {whole.name} of the years {request.years[0]} to {request.years[1]}.",
            "Download those years, or change `period`.",
        )
    return whole.isel(time=slice(*_ends(keep)))


def common(paths: Sequence[str]) -> str:
    """Name some files by the folder that they share."""
    return paths[0] if len(paths) == 1 else os.path.join(os.path.commonpath(paths), "*")


def _ends(keep: NDArray[np.bool_]) -> tuple[int, int]:
    index = np.flatnonzero(keep)
    return int(index[0]), int(index[-1]) + 1
