"""Files of pixels on common lattices, and which pixel of a lattice lies in which cell of the grid.

A pixel belongs to the cell that holds its centre, brought to the grid's CRS by pyproj: that depends on no window, so
that any cut into blocks gives the same cells. Files of one CRS, one pixel size and one origin but for whole pixels
are one lattice; tiles in several UTM zones are several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nepcube.errors import RegionError
from nepcube.grid import Window, edges

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

# pixels a side of what is read and placed at once, and of a tile whose pixels are interpolated
PIECE, TILE = 1024, 64
# of a pixel, by which the origins of two files of one lattice may differ
_ALIGNED = 1e-2
# places a side that tell what part of a lattice a window touches
_ASKED = 129


class Sheet(Protocol):
    """A band of one file; `nepcube.sources.Band` is one."""

    @property
    def path(self) -> str:
        """The file."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    @property
    def transform(self) -> tuple[float, ...]:
        """The six numbers a, b, c, d, e, f of GDAL, of which b and d are zero."""
        ...

    @property
    def wkt(self) -> str:
        """The CRS."""
        ...

    @property
    def dtype(self) -> str:
        """The type of the numbers, as they are stored."""
        ...

    @property
    def units(self) -> str:
        """The unit that the file names, or nothing."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        ...

    def read(self, rows: range, columns: range) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window: values, and where they are missing."""
        ...


@dataclass(frozen=True)
class Placed:
    """A file, and the row and column of the lattice that its first pixel is."""

    sheet: Sheet
    row: int
    column: int

    @property
    def rows(self) -> tuple[int, int]:
        return self.row, self.row + self.sheet.shape[0]

    @property
    def columns(self) -> tuple[int, int]:
        return self.column, self.column + self.sheet.shape[1]


@dataclass(frozen=True)
class Lattice:
    """Files that share their pixels' places: the centre of (row, column) is at x0 + (column + 1/2) dx, y likewise."""

    wkt: str
    x0: float
    y0: float
    dx: float
    dy: float
    files: tuple[Placed, ...]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """First row, row after the last, first column, column after the last, of all files."""
        ends = self._ends
        return int(ends[0].min()), int(ends[1].max()), int(ends[2].min()), int(ends[3].max())

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        # of each file the first row, the row after the last, and columns likewise
        return np.array([(*f.rows, *f.columns) for f in self.files], np.int64).T

    def meets(self, rows: range, columns: range) -> NDArray[np.bool_]:
        """Tell which files have some of the pixels of a window."""
        r0, r1, c0, c1 = self._ends
        there = (r0 < rows.stop) & (r1 > rows.start) & (c0 < columns.stop) & (c1 > columns.start)
        return np.asarray(there, np.bool_)

    @cached_property
    def geographic(self) -> bool:
        return bool(_crs(self.wkt).is_geographic)

    def near(self, grid: GeoBox, window: Window) -> Lattice | None:
        """Give the lattice with the files only that a window's cells may have pixels of; nothing if there are none."""
        rows, columns = Placing(grid, window, self).span
        # a slope takes the pixels around its own, too
        met = self.meets(range(rows.start - 1, rows.stop + 1), range(columns.start - 1, columns.stop + 1))
        files = tuple(self.files[k] for k in np.flatnonzero(met))
        return Lattice(self.wkt, self.x0, self.y0, self.dx, self.dy, files) if files else None

    def x(self, columns: Any) -> NDArray[np.float64]:
        """Give the x of the centres of columns; fractions of columns, too."""
        return np.asarray(self.x0 + (np.asarray(columns, np.float64) + 0.5) * self.dx)

    def y(self, rows: Any) -> NDArray[np.float64]:
        """Give the y of the centres of rows."""
        return np.asarray(self.y0 + (np.asarray(rows, np.float64) + 0.5) * self.dy)

    def read(self, rows: range, columns: range) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read pixels of every file that has some of them; values, and where none has one.

        Raises
        ------
        RegionError
            Two files give one pixel two values.
        """
        kind = np.result_type(*(f.sheet.dtype if f.sheet.whole else "float64" for f in self.files))
        values = np.zeros((len(rows), len(columns)), kind)
        missing = np.ones(values.shape, np.bool_)
        for k, f in enumerate(self.files):
            r0, r1 = max(rows.start, f.rows[0]), min(rows.stop, f.rows[1])
            c0, c1 = max(columns.start, f.columns[0]), min(columns.stop, f.columns[1])
            if r0 >= r1 or c0 >= c1:
                continue
            found, gone = f.sheet.read(range(r0 - f.row, r1 - f.row), range(c0 - f.column, c1 - f.column))
            here = slice(r0 - rows.start, r1 - rows.start), slice(c0 - columns.start, c1 - columns.start)
            both = ~gone & ~missing[here]
            differ = both & (found != values[here])
            if differ.any():
                i, j = np.argwhere(differ)[0]
                raise RegionError(
                    f"{f.sheet.path}: {found[i, j]:g} where {self._other(k, r0 + int(i), c0 + int(j))} has "
                    f"{values[here][i, j]:g}, at x {self.x(c0 + j):.8g}, y {self.y(r0 + i):.8g}.",
                    "Remove one of the two files: one place has one value.",
                )
            fresh = ~gone & missing[here]
            values[here][fresh] = found[fresh]
            missing[here] &= gone
        return values, missing

    def _other(self, before: int, row: int, column: int) -> str:
        for f in self.files[:before]:
            if f.rows[0] <= row < f.rows[1] and f.columns[0] <= column < f.columns[1]:
                return f.sheet.path
        return "another file"


def lattices_of(sheets: Sequence[Sheet]) -> tuple[Lattice, ...]:
    """Put files on their lattices, in the order of their paths.

    Raises
    ------
    RegionError
        Longitudes run beyond 180.
    """
    found: list[Lattice] = []
    for sheet in sorted(sheets, key=lambda s: s.path):
        a, _, c, _, e, f = sheet.transform
        if _crs(sheet.wkt).is_geographic and max(c, c + a * sheet.shape[1]) > 180 + abs(a):
            raise RegionError(
                f"{sheet.path}: its longitudes run to {max(c, c + a * sheet.shape[1]):g}.",
                "Write it with longitudes from -180 to 180: gdalwarp -t_srs EPSG:4326 -te -180 -90 180 90.",
            )
        for k, one in enumerate(found):
            row, column = (f - one.y0) / one.dy, (c - one.x0) / one.dx
            drift = max(abs(e - one.dy) / abs(one.dy) * sheet.shape[0], abs(a - one.dx) / abs(one.dx) * sheet.shape[1])
            apart = max(abs(row - round(row)), abs(column - round(column)))
            if apart + drift <= _ALIGNED and (sheet.wkt == one.wkt or _crs(sheet.wkt) == _crs(one.wkt)):
                files = (*one.files, Placed(sheet, round(row), round(column)))
                found[k] = Lattice(one.wkt, one.x0, one.y0, one.dx, one.dy, files)
                break
        else:
            found.append(Lattice(sheet.wkt, c, f, a, e, (Placed(sheet, 0, 0),)))
    return tuple(found)


@lru_cache(maxsize=64)
def _crs(wkt: str) -> Any:
    from pyproj import CRS

    return CRS.from_user_input(wkt)


@dataclass(frozen=True)
class Placing:
    """One window of a grid, and one lattice over it."""

    grid: GeoBox
    window: Window
    lattice: Lattice

    @cached_property
    def _edges(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # of the window's rows from south to north, and of its columns
        y, x = edges(self.grid)
        w = self.window
        return np.ascontiguousarray(y[w.y0 : w.y1 + 1][::-1]), np.ascontiguousarray(x[w.x0 : w.x1 + 1])

    @cached_property
    def _same(self) -> bool:
        grid = _crs(str(self.grid.crs))
        return bool(grid.equals(_crs(self.lattice.wkt), ignore_axis_order=True))

    def _to_grid(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return (x, y) if self._same else _transformer(self.lattice.wkt, str(self.grid.crs)).transform(x, y)

    def _to_lattice(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        # fractions of columns and rows, from the corner of the first pixel
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        if not self._same:
            x, y = _transformer(str(self.grid.crs), self.lattice.wkt).transform(x, y)
        with np.errstate(invalid="ignore"):
            return (x - self.lattice.x0) / self.lattice.dx, (y - self.lattice.y0) / self.lattice.dy

    @cached_property
    def span(self) -> tuple[range, range]:
        """Rows and columns of the lattice that may lie in a cell which a pixel of a file lies in."""
        y, x = self._edges
        rows, columns = self.lattice.box[:2], self.lattice.box[2:]
        cell_rows, cell_columns = self._cell_size
        # a cell at the margin of the files reaches beyond them
        low_r, high_r = rows[0] - cell_rows, rows[1] + cell_rows
        low_c, high_c = columns[0] - cell_columns, columns[1] + cell_columns
        # close enough that no outline bends out by a cell between two of them
        gx, gy = np.meshgrid(
            np.linspace(x[0], x[-1], min(x.size, _ASKED)), np.linspace(y[0], y[-1], min(y.size, _ASKED))
        )
        c, r = self._to_lattice(gx, gy)
        if self._bounded(gx, gy, r, c):
            low_r, high_r = max(low_r, math.floor(r.min()) - cell_rows), min(high_r, math.ceil(r.max()) + cell_rows)
            low_c, high_c = (
                max(low_c, math.floor(c.min()) - cell_columns),
                min(high_c, math.ceil(c.max()) + cell_columns),
            )
        return range(low_r, max(low_r, high_r)), range(low_c, max(low_c, high_c))

    def _bounded(self, gx: Any, gy: Any, r: Any, c: Any) -> bool:
        # near a pole or the antimeridian of the files' CRS the outline of a window does not bound what it holds
        if not (np.isfinite(r).all() and np.isfinite(c).all()):
            return False
        if self._same or not self.lattice.geographic:
            return True
        lon, lat = self.lattice.x(c - 0.5), self.lattice.y(r - 0.5)
        return bool(np.abs(lat).max() < 85 and lon.max() - lon.min() < 180)

    @cached_property
    def _cell_size(self) -> tuple[int, int]:
        # rows and columns of the lattice that a cell may span, on the safe side, and two
        y, x = self._edges
        yi = np.unique(np.linspace(0, y.size - 2, 9).astype(int))
        xi = np.unique(np.linspace(0, x.size - 2, 9).astype(int))
        most_r = most_c = 0.0
        corners = []
        for di in (0, 1):
            for dj in (0, 1):
                gx, gy = np.meshgrid(x[xi + dj], y[yi + di])
                corners.append(self._to_lattice(gx, gy))
        with np.errstate(invalid="ignore"):
            c = np.stack([one[0] for one in corners])
            r = np.stack([one[1] for one in corners])
            wide_r, wide_c = np.ptp(r, axis=0), np.ptp(c, axis=0)
        known = np.isfinite(wide_r) & np.isfinite(wide_c)
        if known.any():
            most_r, most_c = float(wide_r[known].max()), float(wide_c[known].max())
        return math.ceil(1.5 * most_r) + 2, math.ceil(1.5 * most_c) + 2

    def pieces(self) -> Iterator[tuple[range, range]]:
        """Cut what has to be looked at into pieces of bounded size."""
        rows, columns = self.span
        for r in range(rows.start, rows.stop, PIECE):
            for c in range(columns.start, columns.stop, PIECE):
                yield range(r, min(r + PIECE, rows.stop)), range(c, min(c + PIECE, columns.stop))

    def cells(self, rows: range, columns: range) -> NDArray[np.int32]:
        """Give the cell of the window that each pixel's centre lies in, row x columns + column; -1 for none."""
        from nepcube.regions import _pixels

        south_to_north, west_to_east = self._edges
        if self._same:
            # rows and columns are told apart
            y, x = self.lattice.y(rows), self.lattice.x(columns)
            middle_x, middle_y = np.full(y.size, west_to_east[0]), np.full(x.size, south_to_north[0])
            at_row = _pixels.cells_of_points(middle_x, y, south_to_north, west_to_east)
            at_column = _pixels.cells_of_points(x, middle_y, south_to_north, west_to_east)
            # the lowest row of cells, in which the columns were looked up
            first = (south_to_north.size - 2) * (west_to_east.size - 1)
            out = at_row[:, None] + (at_column - first)[None, :]
            out[(at_row < 0)[:, None] | (at_column < 0)[None, :]] = _pixels.OUTSIDE
            return np.ascontiguousarray(out, np.int32)
        down, across = -(-len(rows) // TILE), -(-len(columns) // TILE)
        nodes = np.array([0.0, (TILE - 1) / 2, TILE - 1.0])
        r = rows.start + (np.arange(down)[:, None] * TILE + nodes).ravel()
        c = columns.start + (np.arange(across)[:, None] * TILE + nodes).ravel()
        x, y = self._to_grid(self.lattice.x(c)[None, :], self.lattice.y(r)[:, None])
        if self.grid.crs.geographic:
            # no line is straight across the antimeridian
            x = np.where(np.abs(x) > 179.0, np.nan, x)
        out = _pixels.cells_of_tiles(
            np.ascontiguousarray(x),
            np.ascontiguousarray(y),
            TILE,
            len(rows),
            len(columns),
            south_to_north,
            west_to_east,
        )
        i, j = np.nonzero(out == _pixels.UNSURE)
        px, py = self._to_grid(self.lattice.x(columns.start + j), self.lattice.y(rows.start + i))
        out[i, j] = _pixels.cells_of_points(
            np.ascontiguousarray(px), np.ascontiguousarray(py), south_to_north, west_to_east
        )
        return np.asarray(out)

    def centres(self, wanted: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Give the pixels that hold the centres of some cells (flat): numbers of the cells, rows, columns.

        Cells whose pixel is in no file are left out.
        """
        from nepcube.grid import coordinates

        w = self.window
        y, x = coordinates(self.grid)
        number = np.flatnonzero(wanted)
        i, j = np.divmod(number, w.shape[1])
        column, row = self._to_lattice(x[w.x0 + j], y[w.y0 + i])
        r0, r1, c0, c1 = self.lattice.box
        with np.errstate(invalid="ignore"):
            there = (row >= r0) & (row < r1) & (column >= c0) & (column < c1)
        return number[there], np.floor(row[there]).astype(np.int64), np.floor(column[there]).astype(np.int64)


@lru_cache(maxsize=64)
def _transformer(one: str, other: str) -> Any:
    from pyproj import Transformer

    # a network would make the answer depend on the machine
    return Transformer.from_crs(_crs(one), _crs(other), always_xy=True)
