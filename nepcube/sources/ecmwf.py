"""ERA5 and ERA5-Land as the Climate Data Store, Earth Engine and Zarr archives give them: what both readers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.places import public
from nepcube.sources import ecmwf_meaning as meaning
from nepcube.sources import series
from nepcube.sources.axes import is_spaced
from nepcube.sources.ecmwf_headers import DOWNWARD, MONTHLY, NAMES, Header, header_of, prepare
from nepcube.sources.files import require
from nepcube.sources.limits import OfProduct, limits, within
from nepcube.sources.netcdf import OpenFile, open_file
from nepcube.sources.protocol import Finding, Inspection, Request
from nepcube.sources.survey import open_all, survey
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Product:
    """What tells one reanalysis from the other: its grid, and what an hourly accumulation is."""

    title: str
    step: float
    hourly: str


@dataclass(frozen=True)
class _Held:
    """The files that hold a variable, and what its values are."""

    name: str
    files: tuple[OpenFile, ...]
    frequency: str
    aggregation: str
    unit: str


class Reanalysis:
    """A reader of one of ECMWF's reanalyses."""

    name: ClassVar[str]
    accepts: ClassVar[str]
    citation: ClassVar[str]
    product: ClassVar[Product]
    quantities = tuple(NAMES)

    def inspect(self, request: Request) -> Inspection:
        """Open every header, list the files, and what is broken, mixed, preliminary or given twice."""
        files, findings = survey(request.paths, self._look(request))
        if not files:
            return Inspection((), tuple(findings))
        findings += _notes(files) + _of_the_other(files, self.product)
        for quantity in self._wanted(request, files):
            name = _name(files, quantity, request)
            if name is None:
                if request.quantity:
                    findings.append(_fault("broken", request, _missing(files, quantity)))
                continue
            found = _repeats(files, name)
            findings += found
            try:
                series.join(self._held(files, quantity, name, request).files, name)
            except NepcubeError as error:
                if not any(f.state == "overlaps" for f in found):
                    findings.append(_fault("mixed", request, error))
        granules = [series.granule_of(f.path, f.dataset["time"].values, _detail(f)) for f in files]
        return Inspection(tuple(granules), tuple(findings))

    def open(self, request: Request) -> xr.Dataset:
        """Give the quantities that the files hold, lazy, on (time, latitude, longitude).

        A few values are read at once, to test what an accumulation is.
        """
        import xarray as xr

        files = open_all(request.paths, self._look(request))
        found = {}
        for quantity in self._wanted(request, files):
            name = _name(files, quantity, request)
            if name is None:
                if request.quantity:
                    raise _missing(files, quantity)
                continue
            found[quantity] = self._read(files, quantity, name, request)
        if not found:
            raise _missing(files, " or ".join(self.quantities))
        # quantities of other steps (hourly accumulations, say) have their own stamps: they are joined on request only
        first = next(iter(found.values()))["time"].values
        if any(not np.array_equal(v["time"].values, first) for v in found.values()):
            raise SourceError(
                f"{series.common(request.paths)}: {', '.join(found)} have different times in these files.",
                "Open them one at a time (`quantity=`).",
            )
        ds = series.with_crs(xr.Dataset(found))
        return ds.assign_attrs(product=self.product.title, source=self.citation)

    def _look(self, request: Request) -> _Look:
        return _Look(request, self.name, self.product)

    def _wanted(self, request: Request, files: Sequence[OpenFile]) -> tuple[str, ...]:
        if request.quantity is None:
            return self.quantities
        if request.quantity not in NAMES:
            raise SourceError(
                f"{files[0].path}: {self.name} gives no {request.quantity!r}.",
                f"It gives {', '.join(self.quantities)}.",
            )
        return (request.quantity,)

    def _read(self, files: Sequence[OpenFile], quantity: str, name: str, request: Request) -> xr.DataArray:
        held = self._held(files, quantity, name, request)
        whole = series.join(held.files, name)
        whole = series.of_years(whole, request, held.aggregation)
        early = whole["time"].values[whole[series.PRELIMINARY].values] if series.PRELIMINARY in whole.coords else []
        whole = series.finish(
            whole.drop_vars(series.PRELIMINARY, errors="ignore"),
            units=request.units,
            of=f"{held.files[0].path}: {name}",
            aggregation=held.aggregation,
            frequency=held.frequency,
            product=f"{self.product.title} {held.frequency} {name}",
        )
        return whole.assign_attrs(preliminary=series.spans(early, held.frequency)) if len(early) else whole

    def _held(self, files: Sequence[OpenFile], quantity: str, name: str, request: Request) -> _Held:
        holding = [f for f in files if name in f.dataset.data_vars]
        others = [n for n in NAMES[quantity] if n != name and request.variable is None]
        for f in files:
            also = next((n for n in others if n in f.dataset.data_vars), None)
            if also is not None and name not in f.dataset.data_vars:
                raise SourceError(
                    f"{f.path}: holds {also}, the other files {name}.", "Keep files of one origin together."
                )
        path = holding[0].path
        given = [f.dataset[name].attrs.get("units") for f in holding]
        if request.units is None and len(set(given)) > 1:
            odd = next(f.path for f, u in zip(reversed(holding), reversed(given), strict=True) if u != given[0])
            raise UnitError(
                f"{odd}: {name} is in {holding[0].dataset[name].attrs.get('units')!r} in {path}, here in "
                f"{next(f for f in holding if f.path == odd).dataset[name].attrs.get('units')!r}.",
                "Keep files of one unit together.",
            )
        unit = canonical(request.units if request.units is not None else given[0], of=f"{path}: {name}")
        s = meaning.Series(
            quantity=quantity,
            name=name,
            unit=unit,
            path=path,
            parts=tuple(f.dataset[name] for f in holding),
            headers=tuple(_header(f, name) for f in holding),
            request=request,
            reader=self.name,
            title=self.product.title,
            hourly=self.product.hourly,
            on_grid=all(is_spaced(f.dataset, self.product.step) for f in holding),
        )
        frequency = meaning.frequency(s)
        aggregation = meaning.aggregation(s, frequency)
        checked = tuple(_checked(f, quantity, name, frequency, aggregation, unit) for f in holding)
        return _Held(name, checked, frequency, aggregation, unit)


@dataclass(frozen=True)
class _Look:
    request: Request
    reader: str
    product: Product

    def __call__(self, path: str) -> OpenFile:
        bounds = self.request.bounds
        kind = require(path, "HDF5", "NetCDF classic", "Zarr", "GRIB")
        if kind == "GRIB":
            from nepcube.sources.grib import open_grib

            return open_grib(path, bounds, names=self._names())
        return open_file(path, bounds, kind=kind, prepare=prepare)

    def _names(self) -> list[str]:
        if self.request.variable:
            return [self.request.variable]
        quantities = [self.request.quantity] if self.request.quantity in NAMES else list(NAMES)
        return [name for quantity in quantities for name in NAMES[str(quantity)]]


def _header(file: OpenFile, name: str) -> Header:
    return header_of(file.dataset, name, file.path)


def _name(files: Sequence[OpenFile], quantity: str, request: Request) -> str | None:
    names = [request.variable] if request.variable else NAMES[quantity]
    return next((n for n in names if any(n in f.dataset.data_vars for f in files)), None)


def _missing(files: Sequence[OpenFile], quantity: str) -> SourceError:
    held = sorted({str(v) for f in files for v in f.dataset.data_vars})
    downward = next((n for n in DOWNWARD if n in held), None)
    extra = ""
    if "radiation" in quantity and downward:
        extra = f" `{downward}` is downward, not net radiation: say `variable: {downward}` if that is what you want."
    first = NAMES[quantity][0] if quantity in NAMES else "t2m, tp or ssr"
    return SourceError(
        f"{files[0].path}: no variable for {quantity} (found: {', '.join(held)}).",
        f"Download {first}, or name it with `variable:`.{extra}",
    )


def _checked(file: OpenFile, quantity: str, name: str, frequency: str, aggregation: str, unit: str) -> OpenFile:
    """Bring monthly stamps to the month's start, and let every value that is read be one that can be."""
    v = file.dataset[name]
    if frequency == "month":
        # of one month, instants are stamped 00 UTC and accumulations 06 UTC of its first day
        v = v.assign_coords(time=v["time"].values.astype("datetime64[M]").astype("datetime64[ns]"))
    allowed = limits(quantity, aggregation, frequency, unit)
    if allowed is not None:
        what = {"temperature": "air temperature"}.get(quantity, f"{quantity} of {_span(aggregation, frequency)}")
        v = within(v, OfProduct(allowed, what, name=name, unit=unit), file.path)
    return OpenFile(file.path, v.to_dataset(name=name))


def _span(aggregation: str, frequency: str) -> str:
    if aggregation == "amount":
        return f"a {frequency}"
    return "an hour" if aggregation == "accumulated_previous_hour" else "a day"


def _detail(file: OpenFile) -> str:
    words = ", ".join(map(str, file.dataset.data_vars))
    n = _count(file)
    return f"{words}; {n} preliminary" if n else words


def _early(file: OpenFile) -> NDArray[np.bool_]:
    if series.PRELIMINARY not in file.dataset.coords:
        return np.zeros(file.dataset.sizes["time"], bool)
    return np.asarray(file.dataset[series.PRELIMINARY].values, bool)


def _count(file: OpenFile) -> int:
    return int(_early(file).sum())


def _notes(files: Sequence[OpenFile]) -> list[Finding]:
    out = []
    for f in files:
        shift = str(f.dataset["time"].attrs.get("time_shift", ""))
        if any(digit in shift for digit in "123456789"):
            out.append(
                Finding("note", f.path, f"its days begin {shift} from 00 UTC", "Days of UTC have no time shift.")
            )
        early, time = _early(f), f.dataset["time"].values
        if early.any():
            when = series.spans(time[early], series.frequency_of(time) or "hour")
            out.append(
                Finding("note", f.path, f"{when}: preliminary values (expver 5), which ECMWF may still replace",
                        "Download these stamps again some three months later.")
            )  # fmt: skip
    return out


def _of_the_other(files: Sequence[OpenFile], product: Product) -> list[Finding]:
    # monthly means of the two products differ in nothing but their grids
    for title, step, reader in (("ERA5", 0.25, "era5"), ("ERA5-Land", 0.1, "era5-land")):
        alike = [f.path for f in files if is_spaced(f.dataset, step)]
        if title != product.title and alike:
            what = (
                f"{len(alike)} file(s) have a grid of {step:g} degree, which is that of {title}, not of {product.title}"
            )
            return [Finding("note", alike[0], what, f"Say `reader: {reader}` if they are of {title}.")]
    return []


def _repeats(files: Sequence[OpenFile], name: str) -> list[Finding]:
    """Say which files give the same stamps of a variable; whether the values are equal is known where they are read."""
    holding = [f for f in files if name in f.dataset.data_vars]
    times = [_stamps(f, name) for f in holding]
    out = []
    for again in series.repeats(times, [_early(f) for f in holding]):
        winner, loser = holding[again.winner], holding[again.loser]
        stamps = times[again.loser][again.lost]
        when = series.spans(stamps, series.frequency_of(times[again.loser]) or "hour")
        if winner is loser:
            out.append(Finding("broken", loser.path, f"{when} of {name} stand in it twice", "Download the file again."))
            continue
        if again.replaced:
            what, state = f"{when} of {name} are preliminary, and final in {winner.path}, which is taken", "note"
        elif not _same_grid(winner, loser):
            # said as what does not belong together
            continue
        elif _equal(winner, loser, name, again):
            what, state = f"{when} of {name} stand in {winner.path} too, with equal values", "note"
        else:
            what, state = f"{when} of {name} stand in {winner.path} too, with other values", "overlaps"
        out.append(Finding(state, loser.path, what, "" if state == "note" else "Keep one of the two files."))
    return out


def _stamps(file: OpenFile, name: str) -> NDArray[np.datetime64]:
    time = file.dataset["time"].values
    monthly = _header(file, name).stream == MONTHLY
    return time.astype("datetime64[M]").astype("datetime64[ns]") if monthly else time


def _same_grid(a: OpenFile, b: OpenFile) -> bool:
    return all(np.array_equal(a.dataset[axis].values, b.dataset[axis].values) for axis in ("latitude", "longitude"))


def _equal(a: OpenFile, b: OpenFile, name: str, again: series.Repeats) -> bool:
    order = ("time", "latitude", "longitude")
    mine, other = a.dataset[name].transpose(*order), b.dataset[name].transpose(*order)
    try:
        return series.first_difference(mine, again.won, other, again.lost) is None
    except NepcubeError:
        return False


def _fault(state: str, request: Request, error: NepcubeError) -> Finding:
    which = next((p for p in request.paths if error.what.startswith(f"{public(p)}: ")), series.common(request.paths))
    return Finding(state, which, error.what.removeprefix(f"{public(which)}: "), error.way_out)
