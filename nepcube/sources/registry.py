"""Readers by name: ours and those that other packages register under ``nepcube.sources``."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from nepcube.errors import SourceError
from nepcube.sources.contract import opened
from nepcube.sources.files import expand
from nepcube.sources.protocol import Bounds, Request, Source

if TYPE_CHECKING:
    import xarray as xr

GROUP = "nepcube.sources"
_OURS = {
    "mod17a3hgf": "nepcube.sources.mod17a3hgf:Mod17A3HGF",
    "vnp17a3hgf": "nepcube.sources.vnp17a3hgf:Vnp17A3HGF",
    "era5-land": "nepcube.sources.era5_land:Era5Land",
    "era5": "nepcube.sources.era5:Era5",
    "chirps": "nepcube.sources.chirps:Chirps",
    "generic": "nepcube.sources.generic:Generic",
}


def names() -> list[str]:
    """List the readers that are installed."""
    return sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))})


def reader(name: str) -> Source:
    """Give a reader by its name.

    Raises
    ------
    SourceError
        No reader has that name, or a third party's does not load.
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        ours: Source = getattr(importlib.import_module(module), attribute)()
        return ours
    for point in entry_points(group=GROUP):
        if point.name == name:
            try:
                found = point.load()()
            except Exception as error:
                raise SourceError(
                    f"The reader {name!r} of {point.value} does not load ({error}).",
                    "Mend or reinstall the package that brings it.",
                ) from error
            if not isinstance(found, Source):
                raise SourceError(
                    f"The reader {name!r} of {point.value} is not a nepcube source.",
                    "It needs name, accepts, quantities, citation, inspect() and open(): see docs/readers.md.",
                )
            return found
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise SourceError(f"{name!r} is not a reader.", f"{hint}Readers here: {', '.join(names())}.")


def open_source(
    name: str,
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    quantity: str | None = None,
    variable: str | None = None,
    units: str | None = None,
    time: str | None = None,
    aggregate: str | None = None,
    years: tuple[int, int] | None = None,
    bounds: Bounds | None = None,
    max_qc: int | None = None,
    nonvegetated: str = "nan",
    year_start: int = 1,
    mixed_versions: bool = False,
    nodata: float | None = None,
) -> xr.Dataset:
    """Open a provider's files on their native grid.

    Parameters
    ----------
    name : str
        A reader: ``"mod17a3hgf"``, ``"era5-land"``, ``"era5"``, ``"chirps"``, ``"generic"`` or a third party's.
    paths : str, path-like or sequence of them
        Files, or patterns with ``*``.
    quantity : str, optional
        Open this cube variable only; ``generic`` needs it.
    variable, units, time, aggregate : str, optional
        What the files do not say themselves, see `nepcube.sources.protocol.Request`.
    years : tuple of int, optional
        First and last year, inclusive.
    bounds : tuple of float, optional
        West, south, east, north in degrees: what to open of the files.
    max_qc : int, optional
        NPP with a larger percentage of gap-filled days is masked.
    nonvegetated : {"nan", "zero"}
        What barren land becomes.
    year_start : int
        The month in which a year begins; see `to_annual`.
    mixed_versions : bool
        Allow two versions of a product in one mosaic.
    nodata : float, optional
        The number that stands for missing data in files that do not declare it.

    Returns
    -------
    xarray.Dataset
        Lazy, dims (time, latitude, longitude) or (time, y, x); units as in the files, in canonical spelling.

    Raises
    ------
    SourceError
        A file is missing, damaged or not of the product.
    UnitError
        A unit is missing or unknown.
    """
    source = reader(name)
    request = Request(
        paths=expand(paths),
        quantity=quantity,
        variable=variable,
        units=units,
        time=time,
        aggregate=aggregate,
        years=years,
        bounds=bounds,
        max_qc=max_qc,
        nonvegetated=nonvegetated,
        year_start=year_start,
        mixed_versions=mixed_versions,
        nodata=nodata,
    )
    return opened(source, request)
