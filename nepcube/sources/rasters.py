"""GeoTIFFs of the MOD17 family as the numbers that they hold, neither masked nor scaled, and the cells they cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nepcube.errors import SourceError
from nepcube.sources import tiff
from nepcube.sources.files import border, damaged
from nepcube.sources.kept import Kept, stamp
from nepcube.sources.lattice import Footprint, Lattice, crs_of
from nepcube.sources.tiff import Header

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = Kept(72 << 20)


@dataclass(frozen=True)
class Raster:
    """What a GeoTIFF says of itself, and where it lies.

    `foot` is None where it is neither geographic nor on the MODIS sinusoidal grid, `crs` is how to call what it is.
    """

    header: Header
    foot: Footprint | None
    crs: str


def read_header(path: str) -> Raster:
    """Read georeference and bands; that every block is there and within the file is checked.

    Raises
    ------
    SourceError
        The file is no TIFF, is damaged, leaves blocks out, or is not north up.
    """
    header = tiff.read_header(path, "TIFF")
    if header.missing:
        raise damaged(path, ValueError(f"{header.missing} of its blocks are not there"))
    if not header.wkt:
        return Raster(header, None, "none")
    with border(path):
        crs, by_name, called = crs_of(header.wkt)
    if crs is None:
        return Raster(header, None, called)
    a, b, c, d, e, f = header.transform
    if b or d or a <= 0 or e >= 0:
        raise SourceError(
            f"{path}: its rows do not run from north to south along the axes of its projection.",
            "Use the file as the provider made it.",
        )
    foot = Footprint(crs, c, f, a, -e, *header.shape[1:])
    if not foot.is_on_earth:
        return Raster(header, None, f"{called}, whose corners do not lie on the globe")
    # the name of a projection is believed where its cells are those of the MODIS grid
    if by_name and not Lattice.of(foot).is_modis:
        return Raster(header, None, called)
    return Raster(header, foot, called)


def read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    """Read a window of a band, which counts from 1, as the numbers that the file holds.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    spans = tuple((w.start, w.stop) for w in window)
    return _KEPT.get((path, band, spans, stamp(path)), lambda: _read_window(path, band, window))


def _read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    rows, columns = (range(w.start, w.stop) for w in window)
    data: NDArray[Any] = tiff.read(path, (band,), rows, columns)[0][0]
    return data
