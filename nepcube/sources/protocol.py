"""What a reader is: two methods, and the records that go in and out.

A reader gives what the files hold, on their native grid, lazy, with its unit named and its codes masked. It neither
resamples nor aggregates nor writes. Every variable that it gives carries three attributes beside ``units``:

``aggregation``
    how the values relate to the time axis, one of `nepcube.spec.AGGREGATIONS`;
``frequency``
    the length of one step, one of `nepcube.spec.FREQUENCIES`;
``product``
    the product and version, for the report.

A third party registers a class under the entry-point group ``nepcube.sources``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

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


@runtime_checkable
class Source(Protocol):
    """A reader of one provider's files."""

    name: str
    accepts: str
    quantities: tuple[str, ...]
    citation: str

    def inspect(self, request: Request) -> list[Granule]:
        """Open every header, refuse what cannot be used, and list the files."""

    def open(self, request: Request) -> xr.Dataset:
        """Give the native grid, lazy: nothing but headers is read."""


@runtime_checkable
class Tiled(Protocol):
    """A reader whose product comes in named tiles: it can say which ones an area needs."""

    def expected(self, bounds: Bounds) -> list[str]:
        """Name the tiles that touch some bounds, in degrees."""
