"""CHIRPS precipitation v2.0 and v3.0, of days, pentads, dekads, months and years: NetCDF, GeoTIFF, gzipped or COG."""

from __future__ import annotations

import datetime
import os
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.sources import cf, files, geotiff, limits, series, stamps
from nepcube.sources.netcdf import OpenFile, crop, regular_axes
from nepcube.sources.protocol import Bounds, Finding, Inspection, Request
from nepcube.sources.stored import open_stored
from nepcube.sources.survey import broken, open_all, overlaps, survey
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

NODATA = -9999.0
#: rain is never negative, and no step, a year at most, holds more than this
_RAIN = limits.Rules(limits.Limits(0.0, 50_000.0), "millimetres of rain", nodata=(NODATA,))
_REACH = {"2.0": 50.0, "3.0": 60.0}
_UNITS = {"hour": None} | {step: f"mm {step}-1" for step in ("day", "pentad", "dekad", "month", "year")}
_NAME = re.compile(r"chirps-v(?P<version>\d\.\d)(?:\.(?P<variant>rnl|sat|prelim))?", re.IGNORECASE)
_DATE = re.compile(
    r"(?:\.(?P<year>\d{4})(?:\.(?P<month>\d{2})(?:\.(?P<part>\d{1,2}))?)?)?"
    r"(?:\.(?P<word>days|pentads|dekads|monthly|months|annual|years)(?![a-z]))?(?!\.?\d|-)",
    re.IGNORECASE,
)
_WORDS = {"days": "day", "pentads": "pentad", "dekads": "dekad", "monthly": "month", "months": "month",
          "annual": "year", "years": "year"}  # fmt: skip
_BAND = re.compile(r"^Y(\d{2})(\d{3})$")
_LENGTH = {"pentad": 5, "dekad": 10}
_MAX = {"pentad": 6, "dekad": 3}


@dataclass(frozen=True)
class _Piece:
    """One file. A raster whose name ends with a number from 1 to 6 is a pentad or a dekad: `parts` of a month."""

    path: str
    product: str
    step: str | None
    dataset: xr.Dataset | None = None
    sheets: tuple[geotiff.Sheet, ...] = ()
    part: int | None = None

    @property
    def time(self) -> NDArray[Any]:
        if self.dataset is not None:
            return np.asarray(self.dataset["time"].values)
        return np.array([s.start for s in self.sheets], "datetime64[ns]")


class Chirps:
    """CHIRPS, 0.05 or 0.25 degree."""

    name = "chirps"
    accepts = (
        "CHIRPS v2.0 or v3.0 of days, pentads, dekads, months or years: NetCDF, or GeoTIFF (.tif, .tif.gz, .cog) named "
        "chirps-vX.Y[.rnl|.sat].YYYY[.MM[.DD]]"
    )
    quantities = ("precipitation",)
    citation = (
        "Funk, C. et al. 2015. The climate hazards infrared precipitation with stations. Scientific Data 2, 150066. "
        "doi:10.1038/sdata.2015.66"
    )

    def inspect(self, request: Request) -> Inspection:
        """Open every header, and list the files that can be used and what is wrong with the others."""
        _quantity(request)
        pieces, findings = survey(request.paths, partial(_look, request=request))
        kept, of_others = _mixed(pieces)
        findings += of_others
        try:
            if kept:
                kept = _dated(kept, request)
                _step(kept, request)
                _opened(kept, request)
        except NepcubeError as error:
            findings.append(broken(error.what.split(": ")[0], error))
        granules = [series.granule_of(p.path, p.time, p.product) for p in kept]
        return Inspection(tuple(granules), tuple(findings + overlaps([(p.path, p.time) for p in kept])))

    def open(self, request: Request) -> xr.Dataset:
        """Give ``precipitation``, lazy, on (time, latitude, longitude)."""
        import xarray as xr

        _quantity(request)
        pieces = open_all(request.paths, partial(_look, request=request))
        _, others = _mixed(pieces)
        if others:
            raise SourceError(f"{others[0].which}: {others[0].what}.", others[0].way_out)
        pieces = _dated(pieces, request)
        frequency = _step(pieces, request)
        path = pieces[0].path
        whole = series.join(_opened(pieces, request), "precip")
        _check_unit(whole, path, frequency)
        whole = series.of_years(whole, request, spec.AMOUNT)
        whole = series.finish(
            whole,
            units="mm",
            of=path,
            aggregation=spec.YEARLY if frequency == "year" else spec.AMOUNT,
            frequency=frequency,
            product=pieces[0].product,
        )
        ds = series.with_crs(xr.Dataset({"precipitation": whole}))
        return ds.assign_attrs(product=whole.attrs["product"], source=self.citation)


def _quantity(request: Request) -> None:
    if request.quantity not in (None, "precipitation"):
        where = series.common(request.paths)
        raise SourceError(f"{where}: chirps gives no {request.quantity!r}.", "It gives precipitation.")


def _mixed(pieces: list[_Piece]) -> tuple[list[_Piece], list[Finding]]:
    """Keep the product of the first file, and say which files are of another."""
    findings = []
    first = pieces[0].product if pieces else ""
    for product in dict.fromkeys(p.product for p in pieces):
        if product != first:
            of_it = [p.path for p in pieces if p.product == product]
            more = f" ({len(of_it)} files)" if len(of_it) > 1 else ""
            what = f"{product} beside {first}: they are not mixed{more}"
            findings.append(Finding("mixed", of_it[0], what, "Keep one version, variant and resolution."))
    return [p for p in pieces if p.product == first], findings


def _dated(pieces: list[_Piece], request: Request) -> list[_Piece]:
    """Tell pentads from dekads by all the files together, and date them."""
    parted = [p for p in pieces if p.part is not None]
    if not parted:
        return pieces
    most = max(parted, key=lambda p: p.part or 0)
    step = request.time
    if step is None:
        if (most.part or 0) <= _MAX["dekad"]:
            raise SourceError(
                f"{parted[0].path}: names that end with .1 to .3 are dekads, or a part of the pentads.",
                "Say which: `time: dekad` or `time: pentad`.",
            )
        step = "pentad"
    if step not in _MAX or (most.part or 0) > _MAX[step]:
        raise SourceError(
            f"{most.path}: its name tells part {most.part} of a month, which no {step} is.",
            "Correct `time:`, or download the files again under their own names.",
        )
    return [
        replace(p, step=step, sheets=tuple(_moved(s, p.part, step) for s in p.sheets)) if p.part is not None else p
        for p in pieces
    ]


def _moved(sheet: geotiff.Sheet, part: int, step: str) -> geotiff.Sheet:
    return replace(sheet, start=sheet.start + np.timedelta64((part - 1) * _LENGTH[step], "D"))


def _step(pieces: list[_Piece], request: Request) -> str:
    """Tell the step of the files, by their names and times, which what the user says must fit."""
    told = {p.step for p in pieces if p.step is not None}
    times = np.unique(np.concatenate([p.time for p in pieces]))
    found = stamps.step_of(times)
    frequency = request.time or (told.pop() if len(told) == 1 else found if not told else None)
    if frequency is None or len({p.step for p in pieces if p.step is not None} | {frequency}) > 1:
        raise SourceError(
            f"{pieces[0].path}: the step of these files cannot be told.",
            "Keep files of one step; say `time: month`.",
        )
    for p in pieces:
        seen = stamps.step_of(np.sort(p.time))
        if seen is not None and seen != frequency:
            raise SourceError(
                f"{p.path}: its times are a {seen} apart, not a {frequency}.",
                "Keep files of one step, under the provider's names.",
            )
        stamps.require_starts(p.time, frequency, p.path)
    return frequency


def _check_unit(whole: xr.DataArray, path: str, frequency: str) -> None:
    unit = canonical(whole.attrs.get("units"), of=f"{path}: precip")
    if unit not in {"mm", _UNITS[frequency]}:
        raise UnitError(
            f"{path}: precip is in {whole.attrs.get('units')!r}, but its step is a {frequency}.",
            "Use the files as the provider made them.",
        )


def _look(path: str, request: Request) -> _Piece:
    kind = files.require(path, "HDF5", "NetCDF classic", "TIFF", files.GZIPPED_TIFF)
    name = _NAME.search(os.path.basename(path))
    if kind in ("TIFF", files.GZIPPED_TIFF):
        return _look_tiff(path, name)
    version = name["version"] if name else None
    ds = open_stored(path, nodata=request.nodata)
    held = request.variable or next((n for n in ("precip", "precipitation") if n in ds.data_vars), None)
    if held is None or held not in ds.data_vars:
        raise SourceError(
            f"{path}: no variable 'precip' (found: {', '.join(map(str, ds.data_vars))}).",
            "Use CHIRPS files, or name it with `variable:`.",
        )
    field = cf.field(ds, held, path)
    if not field.geographic or "time" not in field.array.dims:
        raise SourceError(
            f"{path}: {held} is not on time, latitude and longitude.", "Use the file as the provider made it."
        )
    attrs = ds.attrs
    ds = regular_axes(field.array.to_dataset(name="precip"), path)
    series.require_distinct(ds["time"].values, path)
    if version is None:
        said = f"{attrs.get('title', '')} {attrs.get('version', '')}"
        number = re.search(r"\d\.\d", said)
        version = number.group() if number else None
    y, x = ds["latitude"].values, ds["longitude"].values
    product = _product(path, version, name["variant"] if name else None, y, x)
    if request.bounds and version in _REACH:
        _require_reach(path, str(version), request.bounds)
    ds = crop(ds, request.bounds, path)
    date = _date(path, name)
    step = _WORDS[date["word"].lower()] if date and date["word"] else None
    return _Piece(path, product, step, ds)


def _look_tiff(path: str, name: re.Match[str] | None) -> _Piece:
    header = geotiff.read_header(path)
    if not header.geographic:
        raise SourceError(
            f"{path}: geographic coordinates (EPSG:4326) are needed, found another CRS.",
            "Use the file as the provider made it, or `reader: generic` for a warped copy.",
        )
    if header.missing:
        raise files.damaged(path, ValueError(f"{header.missing} of its blocks are not there"))
    y, x = geotiff.axes_of(header)
    product = _product(path, name["version"] if name else None, name["variant"] if name else None, y, x)
    of_bands = [_BAND.match(str(b or "")) for b in header.bands]
    if all(of_bands):
        starts = [_of_year(m[1], m[2], path) for m in of_bands if m is not None]
        series.require_distinct(np.array(starts), path)
        sheets = tuple(geotiff.Sheet(header, k, start) for k, start in enumerate(starts, start=1))
        return _Piece(path, product, "day", sheets=sheets)
    date = _date(path, name)
    if date is None or date["year"] is None or header.shape[0] != 1:
        raise _undated(path)
    year, month, part = date["year"], date["month"], date["part"]
    one_part = part is not None and len(part) == 1
    try:
        start = datetime.date(int(year), int(month or 1), 1 if part is None or one_part else int(part))
    except ValueError:
        raise _undated(path) from None
    if one_part and not 1 <= int(part) <= _MAX["pentad"]:
        raise _undated(path)
    step = "year" if month is None else "month" if part is None else None if one_part else "day"
    sheet = geotiff.Sheet(header, 1, np.datetime64(start))
    return _Piece(path, product, step, sheets=(sheet,), part=int(part) if one_part else None)


def _date(path: str, name: re.Match[str] | None) -> re.Match[str] | None:
    return None if name is None else _DATE.match(os.path.basename(path), name.end())


def _undated(path: str) -> SourceError:
    return SourceError(
        f"{path}: its date cannot be told from its name or bands.",
        "Keep the provider's name: chirps-v2.0.2001.tif (a year), .2001.01.tif (a month), .2001.01.1.tif (a pentad or "
        "a dekad), .2001.01.01.tif (a day).",
    )


def _of_year(two_digits: str, day: str, path: str) -> np.datetime64:
    # CHIRPS begins in 1981
    year = int(two_digits) + (1900 if int(two_digits) >= 81 else 2000)
    date = datetime.date(year, 1, 1) + datetime.timedelta(int(day) - 1)
    if date.year != year:
        raise _undated(path)
    return np.datetime64(date)


def _product(
    path: str, version: str | None, variant: str | None, y: NDArray[np.float64], x: NDArray[np.float64]
) -> str:
    """Name the version, the variant and the resolution; refuse a grid that is not that of CHIRPS."""
    if version is not None and version not in _REACH:
        raise SourceError(f"{path}: is CHIRPS v{version}; v2.0 and v3.0 are read.", "Download v2.0 or v3.0.")
    steps = [abs(v[-1] - v[0]) / (v.size - 1) for v in (y, x) if v.size > 1] or [0.05]
    cell = next((c for c in (0.05, 0.25) if all(abs(s - c) < 0.002 * c for s in steps)), None)
    edges = np.array([y.min(), y.max(), x.min(), x.max()]) / (cell or 1.0) - 0.5
    if cell is None or np.abs(edges - np.round(edges)).max() > 0.02:
        raise SourceError(
            f"{path}: its cells are {steps[0]:.6g} degree, with edges from {x.min() - steps[-1] / 2:.6g}: those of "
            "CHIRPS are 0.05 or 0.25, with edges at multiples of it.",
            "Use the file as the provider made it, or `reader: generic` for a resampled copy.",
        )
    reach = _REACH.get(version or "", 60.0)
    if max(abs(y.min()), abs(y.max())) - cell / 2 > reach - cell / 2 + 1e-6:
        raise SourceError(
            f"{path}: reaches {max(abs(y.min()), abs(y.max())) + cell / 2:.4g} degrees of latitude, CHIRPS "
            f"v{version or '3.0'} ends at {reach:g}.",
            "Use the file as the provider made it, under its own name.",
        )
    name = f"CHIRPS v{version}" if version else "CHIRPS of unknown version"
    return name + (f".{variant.lower()}" if variant else "") + (" p25" if cell == 0.25 else "")


def _require_reach(path: str, version: str, bounds: Bounds) -> None:
    reach = _REACH[version]
    for latitude, side in ((bounds[3], "N"), (-bounds[1], "S")):
        if latitude > reach + 1e-9:
            raise SourceError(
                f"{path}: CHIRPS v{version} ends at {reach:g} {side}, this grid reaches {latitude:.4g} {side}.",
                "v3.0 reaches 60 N and 60 S." if version == "2.0" and latitude <= 60 else
                "Take another source of precipitation, or make `grid.bounds` smaller.",
            )  # fmt: skip


def _opened(pieces: list[_Piece], request: Request) -> list[OpenFile]:
    # rasters become one array of all of them, but for stamps that two files hold, which `join` compares
    nodata = (NODATA,) if request.nodata is None else (NODATA, request.nodata)
    rules = replace(_RAIN, nodata=nodata)
    out = []
    counts = Counter(t for p in pieces for t in p.time.tolist())
    alone: list[geotiff.Sheet] = []
    for piece in pieces:
        if piece.dataset is not None:
            field = limits.within(piece.dataset["precip"], rules, piece.path)
            out.append(OpenFile(piece.path, piece.dataset.assign(precip=field)))
        elif all(counts[t] == 1 for t in piece.time.tolist()):
            alone += piece.sheets
        else:
            out.append(_stacked(list(piece.sheets), request, rules))
    return [_stacked(alone, request, rules), *out] if alone else out


def _stacked(sheets: list[geotiff.Sheet], request: Request, rules: limits.Rules) -> OpenFile:
    path = sheets[0].header.path
    # a CHIRPS GeoTIFF names no unit; the product's is millimetres in the step that its name tells
    ds = regular_axes(geotiff.stack(sheets, "precip", rules.nodata, rules), path)
    ds["precip"].attrs = {"units": "mm", "long_name": "precipitation"}
    version = _NAME.search(os.path.basename(path))
    if request.bounds and version is not None:
        _require_reach(path, version["version"], request.bounds)
    return OpenFile(path, crop(ds, request.bounds, path))
