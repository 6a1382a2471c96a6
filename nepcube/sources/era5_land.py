"""ERA5-Land from the Climate Data Store: monthly means and hourly files, in the old and the new layout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.sources import series
from nepcube.sources.netcdf import OpenFile, open_file
from nepcube.sources.protocol import Inspection, Request

if TYPE_CHECKING:
    import xarray as xr

_NAMES = {"temperature": "t2m", "precipitation": "tp", "radiation": "ssr"}
_OTHER_NAMES = {"t2m": "2t", "tp": "tp", "ssr": "ssr"}
_ACCUMULATED = {"precipitation", "radiation"}


class Era5Land:
    """ERA5-Land, 0.1 degree."""

    name = "era5-land"
    accepts = (
        "ERA5-Land NetCDF of the Climate Data Store (t2m, tp, ssr): monthly means, or hourly with accumulations from "
        "00 UTC; `valid_time` or `time`, `expver` and `number` as they come"
    )
    quantities = ("temperature", "precipitation", "radiation")
    citation = (
        "Muñoz Sabater, J. 2019. ERA5-Land hourly and monthly averaged data from 1950 to present. Copernicus Climate "
        "Change Service Climate Data Store. doi:10.24381/cds.e2161bac, doi:10.24381/cds.68d2bb30"
    )

    def inspect(self, request: Request) -> Inspection:
        """Open every header, refuse what cannot be joined, and list the files."""
        files = _files(request)
        self._series(files, request)
        return Inspection(tuple(series.list_granules(files, _detail)))

    def open(self, request: Request) -> xr.Dataset:
        """Give the quantities that the files hold, lazy, on (time, latitude, longitude)."""
        import xarray as xr

        found = self._series(_files(request), request)
        # quantities of other steps (hourly accumulations, say) have their own stamps: they are joined on request only
        lengths = {(*tuple(v["time"].values[[0, -1]].tolist()), v.sizes["time"]) for v in found.values()}
        if len(lengths) > 1:
            raise SourceError(
                f"{os.path.dirname(request.paths[0])}: {', '.join(found)} have different times in these files.",
                "Open them one at a time (`quantity=`).",
            )
        ds = series.with_crs(xr.Dataset(found))
        return ds.assign_attrs(product="ERA5-Land", source=self.citation)

    def _series(self, files: list[OpenFile], request: Request) -> dict[str, xr.DataArray]:
        wanted = (request.quantity,) if request.quantity else self.quantities
        out = {}
        for quantity in wanted:
            name = _variable(files, quantity, request)
            if name is None:
                if request.quantity:
                    raise _missing(files, quantity)
                continue
            whole = series.join(files, name)
            frequency = request.time or _frequency(files, name, whole)
            aggregation = request.aggregate or _aggregation(quantity, frequency)
            _require_meaning(files, name, aggregation, frequency, said=request.aggregate is not None)
            whole = series.of_years(whole, request, aggregation)
            of = f"{files[0].path}: {name}"
            out[quantity] = series.finish(
                whole,
                units=request.units,
                of=of,
                aggregation=aggregation,
                frequency=frequency,
                product=f"ERA5-Land {frequency} {name}",
            )
        if not out:
            raise _missing(files, " or ".join(self.quantities))
        return out


def _files(request: Request) -> list[OpenFile]:
    return [open_file(path, request.bounds) for path in request.paths]


def _variable(files: list[OpenFile], quantity: str, request: Request) -> str | None:
    if quantity not in _NAMES:
        raise SourceError(
            f"{files[0].path}: era5-land gives no {quantity!r}.", f"It gives {', '.join(Era5Land.quantities)}."
        )
    names = [request.variable] if request.variable else [_NAMES[quantity], _OTHER_NAMES[_NAMES[quantity]]]
    for name in names:
        if any(name in f.dataset.data_vars for f in files):
            return name
    return None


def _missing(files: list[OpenFile], quantity: str) -> SourceError:
    held = sorted({str(v) for f in files for v in f.dataset.data_vars})
    extra = ""
    if quantity == "radiation" and "ssrd" in held:
        extra = " `ssrd` is downward, not net radiation: say `variable: ssrd` if that is what you want."
    return SourceError(
        f"{files[0].path}: no variable for {quantity} (found: {', '.join(held)}).",
        f"Download {_NAMES.get(quantity, 't2m, tp or ssr')}, or name it with `variable:`.{extra}",
    )


def _frequency(files: list[OpenFile], name: str, whole: xr.DataArray) -> str:
    found = series.frequency_of(whole["time"].values)
    if found is None and whole.sizes["time"] == 1 and "moda" in os.path.basename(files[0].path):
        found = "month"
    if found not in {"hour", "day", "month"}:
        raise SourceError(
            f"{files[0].path}: the step of {name} cannot be told from its {whole.sizes['time']} time(s).",
            "Say `time: month` or `time: hour` in the recipe.",
        )
    return found


def _aggregation(quantity: str, frequency: str) -> str:
    if quantity not in _ACCUMULATED:
        return spec.MEAN
    if frequency == "hour":
        return spec.SINCE_00
    if frequency == "month":
        return spec.PER_DAY
    return spec.AMOUNT


def _require_meaning(files: list[OpenFile], name: str, aggregation: str, frequency: str, *, said: bool) -> None:
    # what cannot be told apart is asked for
    path = files[0].path
    if aggregation == spec.SINCE_00:
        lat = files[0].dataset["latitude"].values
        step = abs(lat[-1] - lat[0]) / (lat.size - 1) if lat.size > 1 else 0.1
        if not 0.09 < step < 0.11:
            raise SourceError(
                f"{path}: a grid of {step:.4g} degree is not ERA5-Land's 0.1: the accumulations of ERA5 are those of "
                "the hour before, not of the day.",
                "Use ERA5-Land, or monthly means with `time: month`.",
            )
    if frequency != "day" or said:
        return
    if aggregation != spec.MEAN:
        raise SourceError(
            f"{path}: one {name} a day may be the day's amount or the total at 00 UTC of the day before.",
            "Say `aggregate: amount` if each value is the amount of its own day.",
        )
    if any("expver" in f.dataset.coords for f in files):
        raise SourceError(
            f"{path}: one {name} a day in a file of the hourly product is one hour, not the day's mean.",
            "Download every hour or the daily statistics; say `aggregate: mean` if these are means.",
        )


def _detail(file: OpenFile) -> str:
    names = ", ".join(map(str, file.dataset.data_vars))
    if "expver" in file.dataset.coords:
        preliminary = int(np.isin(np.char.lstrip(file.dataset["expver"].values.astype(str), "0"), ["5"]).sum())
        if preliminary:
            return f"{names}; {preliminary} preliminary"
    return names
