"""What a reader is: two methods, and the records that go in and out.

A reader gives what the files hold, on their native grid, lazy, with its unit named and its codes masked. It neither
resamples nor aggregates nor writes. Every variable that it gives carries three attributes beside ``units``:

``aggregation``
    how the values relate to the time axis, one of `nepcube.spec.AGGREGATIONS`;
``frequency``
    the length of one step, one of `nepcube.spec.FREQUENCIES`;
``product``
    the product and version, for the report.

`Source.inspect` raises for nothing that one file or one gap is at fault for: it lists them, so that `nepcube check` can
show all of them at once. `Source.open` raises for the first.

A third party registers a class under the entry-point group ``nepcube.sources``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from nepcube.years import span_of

if TYPE_CHECKING:
    import xarray as xr

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Request:
    """What is asked of a reader.

    Attributes
    ----------
    paths : tuple of str
        The files, already expanded and sorted.
    quantity : str, optional
        The cube variable that is wanted; a reader that can give several opens only that one.
    variable : str, optional
        The name of the variable or band in the files, where it is not the reader's own choice.
    units, time, aggregate : str, optional
        What the user says about files that do not say it themselves.
    years : tuple of int, optional
        First and last year, inclusive.
    bounds : tuple of float, optional
        West, south, east, north in degrees: what is needed of the files.
    max_qc : int, optional
        Cells of lower quality (a larger percentage of filled days) are rejected.
    nonvegetated : str
        ``"nan"``, or ``"zero"`` for barren land.
    year_start : int
        The month in which a year begins. A year that begins in month m > 1 is called by the calendar year in which it
        ends, so that its first months stand in the calendar year before.
    mixed_versions : bool
        Whether two versions of a product may stand in one mosaic.
    nodata : float, optional
        The number that stands for missing data, where the files do not declare it.
    """

    paths: tuple[str, ...]
    quantity: str | None = None
    variable: str | None = None
    units: str | None = None
    time: str | None = None
    aggregate: str | None = None
    years: tuple[int, int] | None = None
    bounds: Bounds | None = None
    max_qc: int | None = None
    nonvegetated: str = "nan"
    year_start: int = 1
    mixed_versions: bool = False
    nodata: float | None = None

    @property
    def span(self) -> tuple[np.datetime64, np.datetime64] | None:
        """The time that the years cover, from its first moment to the first after it."""
        if self.years is None:
            return None
        return span_of(self.years, self.year_start)


@dataclass(frozen=True)
class Granule:
    """One file, as its header tells it.

    `start` and `end` are ISO dates of its first and last step, `detail` is a tile, a version or the variables.
    """

    path: str
    bytes: int
    start: str
    end: str
    detail: str


@dataclass(frozen=True)
class Finding:
    """Something about the files that the user should know.

    Attributes
    ----------
    state : str
        ``"broken"`` (a file cannot be used), ``"missing"`` (a tile, a year, a month is not there), ``"overlaps"`` (two
        files give one thing), ``"mixed"`` (files that do not belong together), or ``"note"``, which is no fault.
    which : str
        The file, the tile, the year.
    what : str
        What is wrong with it.
    way_out : str
    """

    state: str
    which: str
    what: str
    way_out: str = ""

    @property
    def is_fault(self) -> bool:
        return self.state != "note"


@dataclass(frozen=True)
class Inspection:
    """The files that can be used, and what there is to say about all of them."""

    granules: tuple[Granule, ...]
    findings: tuple[Finding, ...] = ()


@runtime_checkable
class Source(Protocol):
    """A reader of one provider's files."""

    name: str
    accepts: str
    quantities: tuple[str, ...]
    citation: str

    def inspect(self, request: Request) -> Inspection:
        """Open every header, and list the files that can be used and what is wrong with the others."""

    def open(self, request: Request) -> xr.Dataset:
        """Give the native grid, lazy: nothing but headers is read."""


@runtime_checkable
class Tiled(Protocol):
    """A reader whose product comes in named tiles: it can say which ones an area needs."""

    def expected(self, bounds: Bounds) -> list[str]:
        """Name the tiles that touch some bounds, in degrees."""
