"""Many files of one product as one lazy series per variable: same grid, stamps in order, none twice."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, UnitError
from nepcube.grid import spatial_coords
from nepcube.sources.files import size
from nepcube.sources.netcdf import OpenFile
from nepcube.sources.protocol import Granule, Request
from nepcube.sources.stored import read_now
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
    if any(PRELIMINARY in p.coords for p in parts):
        parts = [p if PRELIMINARY in p.coords else _all_final(p) for p in parts]
    parts = [part.sortby("time") if not _rising(part["time"].values) else part for part in parts]
    order = np.argsort([p["time"].values[0] for p in parts], kind="stable")
    parts, holding = [parts[i] for i in order], [holding[i] for i in order]
    parts = _without_repeats(parts, holding, variable)
    whole = parts[0] if len(parts) == 1 else xr.concat(parts, dim="time", join="exact", combine_attrs="override")
    if not _rising(whole["time"].values):
        whole = whole.sortby("time")
    return whole.assign_attrs(first.dataset[variable].attrs)


#: a coordinate along time: whether a stamp is of data that the provider will replace
PRELIMINARY = "preliminary"
_KEPT = ("time", "latitude", "longitude", PRELIMINARY)


def _all_final(part: xr.DataArray) -> xr.DataArray:
    return part.assign_coords({PRELIMINARY: ("time", np.zeros(part.sizes["time"], bool))})


def _rising(time: NDArray[Any]) -> bool:
    return bool((np.diff(time) > np.timedelta64(0, "ns")).all())


def _without_repeats(parts: list[xr.DataArray], files: Sequence[OpenFile], variable: str) -> list[xr.DataArray]:
    for part, file in zip(parts, files, strict=True):
        require_distinct(part["time"].values, file.path)
    keep = [np.ones(p.sizes["time"], bool) for p in parts]
    for again in repeats([p["time"].values for p in parts], [_preliminary(p) for p in parts]):
        keep[again.loser][again.lost] = False
        if again.replaced:
            continue
        stamp = first_difference(parts[again.winner], again.won, parts[again.loser], again.lost)
        if stamp is not None:
            later, earlier = max(again.winner, again.loser), min(again.winner, again.loser)
            raise SourceError(
                f"{files[later].path}: gives {variable} of {str(stamp)[:16]} other values than "
                f"{os.path.basename(files[earlier].path)}.",
                "Keep one of the two files.",
            )
    return [p if k.all() else p.isel(time=np.flatnonzero(k)) for p, k in zip(parts, keep, strict=True) if k.any()]


def require_distinct(time: NDArray[Any], path: str) -> None:
    """Refuse a file that holds a time twice.

    Raises
    ------
    SourceError
    """
    if np.unique(time).size < time.size:
        raise SourceError(f"{path}: a time stands in it twice.", "Download the file again, or remove the repetition.")


def _preliminary(part: xr.DataArray) -> NDArray[np.bool_]:
    if PRELIMINARY in part.coords:
        return np.asarray(part[PRELIMINARY].values, bool)
    return np.zeros(part.sizes["time"], bool)


@dataclass(frozen=True)
class Repeats:
    """Stamps that two series both have: places `won` in series `winner`, `lost` in series `loser`.

    `replaced` says that the loser's are preliminary and the winner's final, so that they may differ.
    """

    winner: int
    loser: int
    won: NDArray[np.int64]
    lost: NDArray[np.int64]
    replaced: bool


def repeats(times: Sequence[NDArray[Any]], preliminary: Sequence[NDArray[np.bool_]]) -> list[Repeats]:
    """Find the stamps that several series have: final values win over preliminary ones, then the first series."""
    stamps = np.concatenate([t.astype("datetime64[ns]").astype(np.int64) for t in times])
    series = np.concatenate([np.full(t.size, k) for k, t in enumerate(times)])
    places = np.concatenate([np.arange(t.size) for t in times])
    early = np.concatenate(list(preliminary))
    order = np.lexsort((series, early, stamps))
    stamps, series, places, early = stamps[order], series[order], places[order], early[order]
    heads = np.flatnonzero(np.concatenate([[True], stamps[1:] != stamps[:-1]]))
    head = heads[np.cumsum(np.concatenate([[True], stamps[1:] != stamps[:-1]])) - 1]
    again = np.flatnonzero(head != np.arange(stamps.size))
    won = head[again]
    groups: dict[tuple[int, int, bool], list[int]] = {}
    for k, (w, n) in enumerate(zip(won.tolist(), again.tolist(), strict=True)):
        key = (int(series[w]), int(series[n]), bool(early[n] and not early[w]))
        groups.setdefault(key, []).append(k)
    return [
        Repeats(winner, loser, places[won[rows]], places[again[rows]], replaced)
        for (winner, loser, replaced), rows in groups.items()
    ]


def first_difference(
    a: xr.DataArray, at: NDArray[np.int64], b: xr.DataArray, bt: NDArray[np.int64]
) -> np.datetime64 | None:
    """Read what two series have of the same stamps, a few maps at a time, and give the first that differs."""
    maps = max(1, _COMPARED_CELLS // max(1, a.sizes["latitude"] * a.sizes["longitude"]))
    for k in range(0, at.size, maps):
        mine, other = read_now(a.isel(time=at[k : k + maps])), read_now(b.isel(time=bt[k : k + maps]))
        same = ((mine == other) | ((mine != mine) & (other != other))).all(axis=(1, 2))
        if not same.all():
            found: np.datetime64 = a["time"].values[at[k + int(np.flatnonzero(~same)[0])]]
            return found
    return None


_COMPARED_CELLS = 2**23


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


def spans(stamps: Sequence[Any] | NDArray[Any], frequency: str) -> str:
    """Say stamps as ranges: ``"2003-07"``, ``"2003-07-01 to 2003-07-05, 2003-07-09"``."""
    return ", ".join(ranges(np.asarray(stamps, "datetime64[ns]"), frequency))


def ranges(stamps: NDArray[Any], frequency: str) -> list[str]:
    """Give stamps of one step as ranges of dates, each in words."""
    if not stamps.size:
        return []
    unit = {"year": "Y", "month": "M", "hour": "h"}.get(frequency, "D")
    v = np.unique(stamps.astype(f"datetime64[{unit}]"))
    breaks = np.flatnonzero(np.diff(v.astype(np.int64)) > 1)
    starts, ends = v[np.concatenate([[0], breaks + 1])], v[np.concatenate([breaks, [v.size - 1]])]
    words = [(str(a).replace("T", " "), str(b).replace("T", " ")) for a, b in zip(starts, ends, strict=True)]
    words = [(f"{a}:00", f"{b}:00") for a, b in words] if unit == "h" else words
    return [a if a == b else f"{a} to {b}" for a, b in words]


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


def granule_of(path: str, time: NDArray[Any], detail: str) -> Granule:
    """Give the record of a file for `inspect`."""
    return Granule(path, size(path), str(time.min())[:10], str(time.max())[:10], detail)


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
