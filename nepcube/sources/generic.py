"""Any CF NetCDF, Zarr or GeoTIFF on a regular grid, with what it does not say given by the user."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.sources import cf, files, geotiff, limits, raster, series, stamps
from nepcube.sources.netcdf import OpenFile, crop, regular_axes
from nepcube.sources.protocol import Inspection, Request
from nepcube.sources.stored import open_stored
from nepcube.sources.survey import broken, open_all, overlaps, survey
from nepcube.sources.tiff import Header
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr

_FLOORS = {"hour": "h", "day": "D", "month": "M", "year": "Y"}


@dataclass(frozen=True)
class _Piece:
    """One file: its field, dims (time, latitude, longitude) or (time, y, x), or the bands that are its steps."""

    path: str
    name: str
    wkt: str
    geographic: bool
    field: xr.DataArray | None = None
    sheets: tuple[geotiff.Sheet, ...] = ()
    told: tuple[stamps.Stamp, ...] = ()

    @property
    def unit(self) -> str | None:
        if self.field is not None:
            return self.field.attrs.get("units")
        return self.sheets[0].header.units[self.sheets[0].band - 1] or None

    @property
    def time(self) -> Any:
        if self.field is not None:
            return self.field["time"].values
        return np.array([s.start for s in self.sheets], "datetime64[ns]")


class Generic:
    """Files of no product that nepcube knows."""

    name = "generic"
    accepts = (
        "any CF NetCDF, Zarr or GeoTIFF on a regular grid of any CRS, with variable, units, time and aggregate; "
        "GeoTIFFs with dates in their names or bands"
    )
    quantities = spec.INPUTS
    citation = "as the user's files say"

    def inspect(self, request: Request) -> Inspection:
        """Open every header, and list the files that can be used and what is wrong with the others."""
        _quantity(request)
        pieces, findings = survey(request.paths, partial(_look, request=request))
        granules = [series.granule_of(p.path, p.time, p.name) for p in pieces]
        findings += overlaps([(p.path, p.time) for p in pieces])
        if pieces:
            try:
                self._series(pieces, request, join=False)
            except NepcubeError as error:
                findings.append(broken(error.what.split(": ")[0], error))
        return Inspection(tuple(granules), tuple(findings))

    def open(self, request: Request) -> xr.Dataset:
        """Give the quantity, lazy, on (time, latitude, longitude) or (time, y, x)."""
        import xarray as xr

        _quantity(request)
        pieces = open_all(request.paths, partial(_look, request=request))
        whole = self._series(pieces, request)
        out = raster.georeferenced(whole, pieces[0].wkt)
        return xr.Dataset({str(request.quantity): out}, attrs={"product": "generic", "source": self.citation})

    def _series(self, pieces: list[_Piece], request: Request, *, join: bool = True) -> xr.DataArray:
        path, name, quantity = pieces[0].path, pieces[0].name, str(request.quantity)
        _require_one_grid(pieces)
        told = [s for p in pieces for s in p.told]
        if told:
            frequency = stamps.step_told(told, request.time, path)
        else:
            frequency = request.time or stamps.step_of(np.sort(np.concatenate([p.time for p in pieces])))
        if frequency is None:
            n = sum(p.time.size for p in pieces)
            raise SourceError(
                f"{path}: the step of {name} cannot be told from its {n} time(s).",
                f"Say it with `time:` ({', '.join(spec.FREQUENCIES[:-1])} or {spec.FREQUENCIES[-1]}).",
            )
        aggregation = request.aggregate or _default(quantity, frequency)
        if aggregation is None:
            raise SourceError(
                f"{path}: does {name} hold the amount of each {frequency}, or a mean per day?",
                "Say `aggregate: amount` or `aggregate: per_day`.",
            )
        unit = canonical(request.units if request.units is not None else pieces[0].unit, of=f"{path}: {name}")
        _require_rate(unit, aggregation, frequency, f"{path}: {name}")
        rules = limits.Rules(limits.of_any_step(quantity, unit), f"{quantity} in {unit}")
        opened = [_floored(f, request.time, frequency, aggregation) for f in _opened(pieces, request, rules)]
        if not join:
            return opened[0].dataset[name]
        whole = series.of_years(series.join(opened, name), request, aggregation)
        whole = series.finish(
            whole,
            units=unit,
            of=f"{path}: {name}",
            aggregation=aggregation,
            frequency=frequency,
            product=f"{os.path.basename(path.rstrip('/'))} {name}",
        )
        return whole if pieces[0].geographic else whole.rename(latitude="y", longitude="x")


def _quantity(request: Request) -> None:
    if request.quantity not in spec.INPUTS:
        raise SourceError(
            f"{series.common(request.paths)}: `generic` must be told the quantity (found: {request.quantity!r}).",
            f"Say one of {', '.join(spec.INPUTS)}.",
        )


def _default(quantity: str, frequency: str) -> str | None:
    if frequency == "year":
        return spec.YEARLY
    return spec.MEAN if quantity == "temperature" else None


def _require_rate(unit: str, aggregation: str, frequency: str, of: str) -> None:
    # an amount per something must be that of its step
    per = next((step for step in spec.FREQUENCIES if unit.endswith(f" {step}-1")), None)
    want = "day" if aggregation == spec.PER_DAY else frequency
    if per is not None and per != want:
        raise UnitError(
            f"{of}: values in {unit!r} are not the amount of a {want}.",
            "Say `aggregate: per_day` for a daily rate, or the true unit with `units:`.",
        )


def _look(path: str, request: Request) -> _Piece:
    kind = files.require(path, "HDF5", "NetCDF classic", "TIFF", "Zarr", files.GZIPPED_TIFF)
    return _look_tiff(path, request) if kind in ("TIFF", files.GZIPPED_TIFF) else _look_cf(path, request)


def _look_cf(path: str, request: Request) -> _Piece:
    ds = open_stored(path, nodata=request.nodata)
    held = cf.fields(ds)
    name = request.variable or (held[0] if len(held) == 1 else None)
    if name is None or name not in ds.data_vars:
        found = ", ".join(held) or f"none on a grid, but {', '.join(sorted(map(str, ds.variables))) or 'nothing'}"
        raise SourceError(f"{path}: which variable is {request.quantity}? (found: {found})", "Say it with `variable:`.")
    field = cf.field(ds, name, path)
    array = field.array
    if "time" not in array.dims:
        scalar = next((n for n in ("time", "valid_time") if n in ds.coords and ds[n].ndim == 0), None)
        if scalar is None:
            raise SourceError(f"{path}: {name} has no time axis.", "Write the time of its values to the file.")
        array = array.expand_dims(time=cf.times(ds.expand_dims(scalar), scalar, path))
    series.require_distinct(array["time"].values, path)
    if not request.bounds:
        array = regular_axes(array.to_dataset(name=name), path)[name] if field.geographic else array
    elif field.geographic:
        array = crop(regular_axes(array.to_dataset(name=name), path), request.bounds, path)[name]
    else:
        array = raster.window_of(array, field.wkt, request.bounds, path)
    array.encoding = field.array.encoding
    return _Piece(path, name, field.wkt, field.geographic, array)


def _look_tiff(path: str, request: Request) -> _Piece:
    header = geotiff.read_header(path)
    chosen, told = _bands(header, request)
    sheets = tuple(geotiff.Sheet(header, band, stamp.start) for band, stamp in zip(chosen, told, strict=True))
    series.require_distinct(np.array([s.start for s in sheets]), path)
    name = request.variable or "band_data"
    return _Piece(path, name, header.wkt, header.geographic, None, sheets, tuple(told))


def _bands(header: Header, request: Request) -> tuple[list[int], list[stamps.Stamp]]:
    # the bands that are steps of the variable, and their dates: of their names, or one band with that of the file's
    numbers = list(range(1, header.shape[0] + 1))
    if request.variable and header.shape[0] > 1:
        named = [k for k in numbers if request.variable in str(header.bands[k - 1] or "")]
        exact = [k for k in named if header.bands[k - 1] == request.variable]
        numbers = exact or named
        if not numbers:
            shown = ", ".join(str(b or k) for k, b in enumerate(header.bands[:12], start=1))
            raise SourceError(
                f"{header.path}: no band is named {request.variable!r} (found: {shown}).", "Correct `variable:`."
            )
    base = os.path.basename(header.path.split("?")[0]).removesuffix(".gz")
    if len(numbers) > 1:
        found = [stamps.stamp_in(str(header.bands[k - 1] or ""), f"{header.path}: band {k}") for k in numbers]
        dated = [s for s in found if s is not None]
        if len(dated) == len(numbers):
            return numbers, dated
        undated = numbers[found.index(None)]
        raise SourceError(
            f"{header.path}: {len(numbers)} bands, and no date in the name of band {undated} "
            f"({header.bands[undated - 1] or 'unnamed'}).",
            "Name each band by its date, such as npp_2001, or give one file a step.",
        )
    stamp = stamps.stamp_in(os.path.splitext(base)[0], header.path) or stamps.stamp_in(
        str(header.bands[numbers[0] - 1] or ""), header.path
    )
    if stamp is None:
        raise SourceError(
            f"{header.path}: no date in its name or in that of its band.",
            "Rename it, such as npp_2001.tif, npp_2001-01.tif or npp_2001-01-31.tif.",
        )
    return numbers, [stamp]


def _require_one_grid(pieces: list[_Piece]) -> None:
    first = pieces[0]
    for other in pieces[1:]:
        if other.wkt != first.wkt and raster.simple(other.wkt) != raster.simple(first.wkt):
            raise SourceError(
                f"{other.path}: its CRS differs from that of {os.path.basename(first.path)}.", "Use files of one grid."
            )
        if other.sheets and first.sheets:
            geotiff.require_same_grid(first.sheets[0].header, other.sheets[0].header)
        elif other.field is not None and first.field is not None:
            for axis in map(str, first.field.dims[-2:]):
                a, b = first.field[axis].values, other.field[axis].values
                if a.shape != b.shape or np.abs(a - b).max() > 1e-3 * abs(a[-1] - a[0]) / max(a.size - 1, 1):
                    raise SourceError(
                        f"{other.path}: its {axis} differs from that of {os.path.basename(first.path)}.",
                        "Download the same area for every file.",
                    )


def _opened(pieces: list[_Piece], request: Request, rules: limits.Rules) -> list[OpenFile]:
    # rasters become one array of all of them, but for stamps that two files hold, which `join` compares
    out = []
    counts = Counter(s.start for p in pieces for s in p.sheets)
    alone: list[geotiff.Sheet] = []
    for piece in pieces:
        if piece.field is not None:
            missing = () if request.nodata is None else (cf.decoded(piece.field, request.nodata),)
            of_file = replace(rules, nodata=missing, valid=cf.valid_range(piece.field))
            field = limits.within(piece.field, of_file, piece.path)
            out.append(OpenFile(piece.path, _as_geographic(field.to_dataset(name=piece.name))))
        elif all(counts[s.start] == 1 for s in piece.sheets):
            alone += piece.sheets
        else:
            out.append(_stacked(piece.path, piece, list(piece.sheets), request, rules))
    if alone:
        piece = next(p for p in pieces if p.sheets and p.sheets[0] in alone)
        out.insert(0, _stacked(alone[0].header.path, piece, alone, request, rules))
    return out


def _stacked(path: str, piece: _Piece, sheets: list[geotiff.Sheet], request: Request, rules: limits.Rules) -> OpenFile:
    ds = geotiff.stack(sheets, piece.name, () if request.nodata is None else (request.nodata,), rules)
    units = {s.header.units[s.band - 1] or None: s.header.path for s in reversed(sheets)}
    if len(units) > 1:
        said = " and ".join(f"{unit} in {os.path.basename(of)}" for unit, of in sorted(units.items(), key=str))
        raise UnitError(f"{path}: the units of the bands differ ({said}).", "Keep bands of one unit together.")
    ds[piece.name].attrs["units"] = next(iter(units))
    if piece.geographic:
        ds = crop(regular_axes(ds, path), request.bounds, path)
    elif request.bounds:
        ds = raster.window_of(ds[piece.name], piece.wkt, request.bounds, path).to_dataset(name=piece.name)
    return OpenFile(path, _as_geographic(ds))


def _as_geographic(ds: xr.Dataset) -> xr.Dataset:
    # `join` speaks of latitude and longitude; the names of a projected grid come back behind it
    return ds.rename(y="latitude", x="longitude") if "y" in ds.dims else ds


def _floored(file: OpenFile, said: str | None, frequency: str, aggregation: str) -> OpenFile:
    # a stamp in the middle of its month belongs to that month, where the user says that a step is a month
    unit = _FLOORS.get(frequency)
    time = file.dataset["time"].values
    if said is None or unit is None:
        if aggregation != spec.MEAN or frequency != "hour":
            stamps.require_starts(time, frequency, file.path)
        return file
    begun = time.astype(f"datetime64[{unit}]").astype("datetime64[ns]")
    if np.unique(begun).size != begun.size:
        raise SourceError(f"{file.path}: several values stand in one {frequency}.", f"Correct `time: {frequency}`.")
    return OpenFile(file.path, file.dataset.assign_coords(time=begun))
