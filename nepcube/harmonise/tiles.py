"""Windows of the target cut into tiles that are small enough for ESMF, and what each needs of the source."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from nepcube.errors import GridError
from nepcube.grid import Window
from nepcube.harmonise.positions import Lattice, reach, within

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

#: our names of the methods, and xESMF's
METHODS = {"nearest": "nearest_s2d", "bilinear": "bilinear", "conservative": "conservative"}
#: the way out of whatever the engine cannot do
DEFAULT = "leave `engine: xesmf` out"

#: target cells a side of a tile, one tenth more at most; ESMF needs some 1.5 kB a target cell
TILE = 500
#: source cells of a tile: a fine source on a coarse target gets smaller tiles
SOURCE_CELLS = 2 * TILE * TILE
#: source cells that even the smallest tile may not exceed
MOST_CELLS = 16 * SOURCE_CELLS
#: source cells around what a tile touches
MARGIN = 2


@dataclass(frozen=True)
class Tile:
    """A part of a window of the target, and the rows and columns of the source that it needs."""

    window: Window
    rows: slice
    columns: slice

    @property
    def source_shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def tiles(source: Lattice, grid: GeoBox, window: Window, method: str) -> list[Tile]:
    """Cut a window of the target into tiles; parts that lie off the source are left out.

    A tile has about 500 x 500 target cells at most, fewer where the source is so fine that they would need more than
    half a million source cells.

    Raises
    ------
    GridError
        The method is not one of the engine's.
    """
    if method not in METHODS:
        raise GridError(f"engine: xesmf has no method {method!r}.", f"Use one of {', '.join(METHODS)}, or {DEFAULT}.")
    out: list[Tile] = []
    for y0, y1 in _parts(window.y0, window.y1):
        for x0, x1 in _parts(window.x0, window.x1):
            out.extend(_fitting(source, grid, Window(y0, y1, x0, x1)))
    return out


def _parts(first: int, last: int) -> list[tuple[int, int]]:
    # nearly equal parts, so that none is a sliver
    n = math.ceil((last - first) / (1.1 * TILE))
    return list(pairwise(first + (last - first) * k // n for k in range(n + 1)))


def _fitting(source: Lattice, grid: GeoBox, window: Window) -> list[Tile]:
    needed = _needed(source, grid, window)
    if needed is None:
        return []
    tile = Tile(window, *needed)
    rows, columns = tile.source_shape
    if rows * columns <= SOURCE_CELLS or (max(window.shape) < 4 and rows * columns <= MOST_CELLS):
        return [tile]
    if max(window.shape) < 4:
        raise GridError(
            f"engine: xesmf would need {rows * columns} source cells for rows {window.y0} to {window.y1} and columns "
            f"{window.x0} to {window.x1} of the grid.",
            f"Use a finer grid, one that lies within the source's projection, or {DEFAULT}.",
        )
    if window.shape[0] >= window.shape[1]:
        middle = (window.y0 + window.y1) // 2
        halves = [Window(window.y0, middle, window.x0, window.x1), Window(middle, window.y1, window.x0, window.x1)]
    else:
        middle = (window.x0 + window.x1) // 2
        halves = [Window(window.y0, window.y1, window.x0, middle), Window(window.y0, window.y1, middle, window.x1)]
    return [t for half in halves for t in _fitting(source, grid, half)]


def _needed(source: Lattice, grid: GeoBox, window: Window) -> tuple[slice, slice] | None:
    found = within(source, *reach(source, grid, window, MARGIN))
    if found is None:
        return None
    return _two(found[0], source.rows, "row"), _two(found[1], source.columns, "column")


def _two(part: slice, size: int, name: str) -> slice:
    # ESMF refuses a grid that is one cell wide
    if size < 2:
        raise GridError(f"The source has one {name}; ESMF needs two.", f"Keep two {name}s at least, or {DEFAULT}.")
    start = min(part.start, size - 2)
    return slice(start, max(part.stop, start + 2))


def source_extent(source: Lattice, grid: GeoBox, window: Window, method: str) -> tuple[slice, slice] | None:
    """Give the source rows and columns that `regrid_window_esmf` needs for a window, or None where it touches none."""
    cut = tiles(source, grid, window, method)
    if not cut:
        return None
    return (
        slice(min(t.rows.start for t in cut), max(t.rows.stop for t in cut)),
        slice(min(t.columns.start for t in cut), max(t.columns.stop for t in cut)),
    )
