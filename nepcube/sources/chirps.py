"""CHIRPS precipitation v2.0 and v3.0: NetCDF, or GeoTIFF with the date in the name or in the bands."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, UnitError
from nepcube.sources import files as file_kinds
from nepcube.sources import series
from nepcube.sources.geotiff import open_bands
from nepcube.sources.netcdf import OpenFile, crop, open_file, regular_axes
from nepcube.sources.protocol import Inspection, Request
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr

NODATA = -9999.0
_PER = {"hour": None, "day": "mm day-1", "pentad": "mm pentad-1", "month": "mm month-1", "year": "mm year-1"}
_NAME = re.compile(r"chirps-v(?P<version>\d\.\d)(?P<variant>\.(?:rnl|sat))?", re.IGNORECASE)
_DATE = re.compile(r"chirps-v\d\.\d(?:\.(?:rnl|sat))?\.(\d{4})(?:\.(\d{2}))?(?:\.(\d{1,2}))?\.", re.IGNORECASE)
_BAND = re.compile(r"^Y(\d{2})(\d{3})$")


@dataclass(frozen=True)
class _Steps:
    frequency: str
    starts: list[np.datetime64]


class Chirps:
    """CHIRPS, 0.05 degree."""

    name = "chirps"
    accepts = "CHIRPS v2.0 or v3.0: NetCDF (daily, monthly, annual) or GeoTIFF (chirps-vX.Y.YYYY[.MM[.DD]].tif)"
    quantities = ("precipitation",)
    citation = (
        "Funk, C. et al. 2015. The climate hazards infrared precipitation with stations. Scientific Data 2, 150066. "
        "doi:10.1038/sdata.2015.66"
    )

    def inspect(self, request: Request) -> Inspection:
        """Open every header, refuse what cannot be joined, and list the files."""
        opened = _files(request)
        self._series(opened, request)
        return Inspection(tuple(series.list_granules(opened, lambda f: str(f.dataset.attrs["product"]))))

    def open(self, request: Request) -> xr.Dataset:
        """Give ``precipitation``, lazy, on (time, latitude, longitude)."""
        import xarray as xr

        whole = self._series(_files(request), request)
        ds = series.with_crs(xr.Dataset({"precipitation": whole}))
        return ds.assign_attrs(product=whole.attrs["product"], source=self.citation)

    def _series(self, opened: list[OpenFile], request: Request) -> xr.DataArray:
        if request.quantity not in (None, "precipitation"):
            raise SourceError(f"{opened[0].path}: chirps gives no {request.quantity!r}.", "It gives precipitation.")
        products = {str(f.dataset.attrs["product"]): f.path for f in opened}
        if len(products) > 1:
            (a, _), (b, path) = list(products.items())[:2]
            raise SourceError(f"{path}: {b} beside {a}: they are not mixed.", "Keep one version and variant.")
        whole = series.join(opened, "precip")
        frequencies = {str(f.dataset.attrs["frequency"]) for f in opened} - {""}
        told = frequencies.pop() if len(frequencies) == 1 else None
        frequency = request.time or told or series.frequency_of(whole["time"].values)
        if frequency is None or frequencies or (told is not None and frequency != told):
            raise SourceError(
                f"{opened[0].path}: the step of these files cannot be told.",
                "Keep files of one step; say `time: month`.",
            )
        _check_unit(whole, opened[0].path, frequency)
        whole = series.of_years(whole, request, spec.AMOUNT)
        return series.finish(
            whole.where(whole > NODATA + 1),
            units="mm",
            of=opened[0].path,
            aggregation=spec.YEARLY if frequency == "year" else spec.AMOUNT,
            frequency=frequency,
            product=next(iter(products)),
        )


def _check_unit(whole: xr.DataArray, path: str, frequency: str) -> None:
    unit = canonical(whole.attrs.get("units"), of=f"{path}: precip")
    if unit not in {"mm", _PER[frequency]}:
        raise UnitError(
            f"{path}: precip is in {whole.attrs.get('units')!r}, but its step is a {frequency}.",
            "Use the files as the provider made them.",
        )


def _files(request: Request) -> list[OpenFile]:
    return [_open(path, request) for path in request.paths]


def _open(path: str, request: Request) -> OpenFile:
    kind = file_kinds.require(path, "HDF5", "NetCDF classic", "TIFF")
    if kind == "TIFF":
        return _open_tiff(path, request)
    opened = open_file(path, request.bounds)
    ds = opened.dataset
    name = request.variable or next((n for n in ("precip", "precipitation") if n in ds.data_vars), None)
    if name is None or name not in ds.data_vars:
        raise SourceError(
            f"{path}: no variable 'precip' (found: {', '.join(map(str, ds.data_vars))}).",
            "Use CHIRPS files, or name it with `variable:`.",
        )
    version = _NAME.search(os.path.basename(path))
    title = str(ds.attrs.get("title", ds.attrs.get("version", "")))
    number = re.search(r"(\d\.\d)", title)
    found = version["version"] + (version["variant"] or "") if version else number.group(1) if number else "unknown"
    return OpenFile(path, ds[[name]].rename({name: "precip"}).assign_attrs(product=f"CHIRPS v{found}", frequency=""))


def _open_tiff(path: str, request: Request) -> OpenFile:
    base = os.path.basename(path)
    version = _NAME.search(base)
    ds, bands = open_bands(path)
    steps = _steps(base, bands, path)
    ds = ds.assign_coords(time=("time", np.array(steps.starts, "datetime64[ns]")))
    ds = ds.rename(band_data="precip")
    # a CHIRPS GeoTIFF names no unit; the product's is millimetres in the step that its name tells
    ds["precip"].attrs = {"units": "mm", "long_name": "precipitation"}
    ds = crop(regular_axes(ds, path), request.bounds, path)
    product = f"CHIRPS v{version['version']}{version['variant'] or ''}" if version else "CHIRPS"
    return OpenFile(path, ds.assign_attrs(product=product, frequency=steps.frequency))


def _century(two_digits: str) -> int:
    # CHIRPS begins in 1981
    year = int(two_digits)
    return 1900 + year if year >= 81 else 2000 + year


def _steps(base: str, bands: tuple[Any, ...], path: str) -> _Steps:
    matches = [_BAND.match(str(b or "")) for b in bands]
    if all(matches):
        starts = [
            np.datetime64(f"{_century(m[1])}-01-01") + np.timedelta64(int(m[2]) - 1, "D")
            for m in matches
            if m is not None
        ]
        return _Steps("day", starts)
    date = _DATE.search(base)
    if date is None or len(bands) != 1:
        raise SourceError(
            f"{path}: its date cannot be told from its name or bands.",
            "Keep the provider's name: chirps-v2.0.2001.tif (a year), .2001.01.tif (a month), .2001.01.01.tif (a day).",
        )
    year, month, day = date.groups()
    if month is None:
        return _Steps("year", [np.datetime64(f"{year}-01-01")])
    if day is None:
        return _Steps("month", [np.datetime64(f"{year}-{month}-01")])
    if len(day) == 1:
        return _Steps("pentad", [np.datetime64(f"{year}-{month}-{5 * int(day) - 4:02d}")])
    return _Steps("day", [np.datetime64(f"{year}-{month}-{day}")])
