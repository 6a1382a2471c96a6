"""The methods of resampling: what each needs of the source for a window of the target, and how it computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from nepcube.errors import GridError
from nepcube.grid import Window, coordinates
from nepcube.harmonise import overlaps
from nepcube.harmonise.positions import Lattice, Positions, link, positions, rays, reach, spatial_dims, within
from nepcube.places import Place

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

METHODS = ("nearest", "bilinear", "conservative", "average")
ENGINES = ("nepcube", "xesmf")
AVERAGES = ("conservative", "average")
# cells of the source, its centres for an average, and cells of a coded average that are held at once: a larger window
# is made in parts
_SOURCE_CELLS = 2**22
_CENTRES = 2**20
_CODED_CELLS = 2**14
_NONE = range(0)


def window_data(var: xr.DataArray, source: Lattice, grid: GeoBox, window: Window, how: Method) -> Any:
    """Give a variable in a window of the target, lazy where it is."""
    return lazy_pieces(window_pieces(var, source, grid, window, how))


def lazy_pieces(pieces: Pieces) -> Any:
    """Give what the pieces make of the window, lazy where they are."""
    return _joined(pieces, lambda piece: piece.sampled())


def window_pieces(var: xr.DataArray, source: Lattice, grid: GeoBox, window: Window, how: Method) -> Pieces:
    """Give what a window of the target needs of a variable, not yet read: one piece, or two halves of the window."""
    if var.dims[-2:] != (order := spatial_dims(var)):
        var = var.transpose(..., *order)
    return _parts(var, source, grid, window, how)


def sample_pieces(pieces: Pieces, read: Iterator[NDArray[Any]]) -> NDArray[Any]:
    """Bring what was read, in the order of `to_read`, to the window."""
    found: NDArray[Any] = _joined(pieces, lambda piece: piece.sample(next(read)))
    return found


def to_read(pieces: Pieces) -> list[Any]:
    """Give the parts of the source, lazy or not, in the order of `sample_pieces`."""
    if isinstance(pieces, Split):
        return [a for half in pieces.halves for a in to_read(half)]
    # of nothing, nothing is read
    data = pieces.data
    return [np.empty(data.shape, data.dtype) if pieces.empty else data]


@dataclass(frozen=True)
class Piece:
    """A part of the source, and the part of the target that is made of it alone.

    A dask array is whole until it is read, since cutting it takes as long as sending it.
    """

    whole: Any
    part: tuple[Any, ...]
    source: Lattice
    grid: GeoBox
    window: Window
    how: Method
    rows: range
    columns: range
    empty: bool

    @property
    def data(self) -> Any:
        """The part of the source, lazy where it is."""
        return self.whole[self.part] if self.part else self.whole

    def sample(self, values: NDArray[Any]) -> NDArray[Any]:
        if self.empty:
            return np.full((*values.shape[:-2], *self.window.shape), self.how.fill, self.how.dtype)
        return _sample(values, self.source, self.grid, self.window, self.how, self.rows, self.columns)

    def sampled(self) -> Any:
        piece = self.data
        if isinstance(piece, np.ndarray):
            return self.sample(piece)
        import dask.array as da

        if self.empty:
            shape = (*piece.shape[:-2], *self.window.shape)
            return da.full(shape, self.how.fill, dtype=self.how.dtype, chunks=(*piece.chunks[:-2], *self.window.shape))
        # the way is named, since dask imports `distributed` to choose one, and might choose that of a cluster
        piece = piece.rechunk({piece.ndim - 2: -1, piece.ndim - 1: -1}, method="tasks")
        return da.map_blocks(
            _sample,
            piece,
            self.source,
            self.grid,
            self.window,
            self.how,
            self.rows,
            self.columns,
            name=f"sampled-{uuid4().hex}",
            dtype=self.how.dtype,
            chunks=(*piece.chunks[:-2], (self.window.shape[0],), (self.window.shape[1],)),
            meta=np.empty((0,) * piece.ndim, self.how.dtype),
        )


@dataclass(frozen=True)
class Split:
    """The halves of a window that is too large for one piece."""

    halves: tuple[Pieces, Pieces]
    axis: int


Pieces = Piece | Split


def _joined(pieces: Pieces, make: Callable[[Piece], Any]) -> Any:
    if isinstance(pieces, Piece):
        return make(pieces)
    parts = [_joined(half, make) for half in pieces.halves]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts, axis=pieces.axis)
    import dask.array as da

    return da.concatenate(parts, axis=pieces.axis)


@dataclass(frozen=True)
class Method:
    """The method and its options, what a missing value is, and what is taken of the leading dimensions."""

    method: str
    min_fraction: float
    dtype: Any
    fill: Any
    data_first: bool
    engine: str
    weights: Place | None
    lead: tuple[slice, ...] = ()

    @property
    def coded(self) -> bool:
        return not np.issubdtype(self.dtype, np.floating)

    def require(self, source: Lattice, grid: GeoBox, name: str) -> None:
        if self.method not in AVERAGES or self.engine != "nepcube":
            return
        if self.coded and self.dtype != np.uint8:
            raise GridError(
                f"{name}: codes of {self.dtype} have no {self.method}.", "Use `nearest`, or codes of one byte (uint8)."
            )
        if self.method == "average":
            overlaps.require_coarser(source, grid, name)
        elif link(source.crs, grid) not in ("same", "sinusoidal"):
            raise GridError(
                f"{name}: `conservative` does not go between these two grids, whose cells have no common axes.",
                "Use `average` for a coarser grid; for a finer one `bilinear`, or `nearest` for codes.",
            )


def _parts(var: xr.DataArray, source: Lattice, grid: GeoBox, window: Window, how: Method) -> Pieces:
    # the parts of a large window are made one by one: no cell knows which part it is in
    rows, columns = _reach(source, grid, window, how.method, how.engine)
    many = len(rows) * len(columns) > (_CENTRES if how.method == "average" else _SOURCE_CELLS)
    if how.coded and how.method == "average":
        many |= window.shape[0] * window.shape[1] > _CODED_CELLS
    if not many or window.shape == (1, 1):
        return _part(var, source, grid, window, how, rows, columns)
    tall = window.shape[0] >= window.shape[1]
    first, second = (_parts(var, source, grid, half, how) for half in _halves(window, tall))
    return Split((first, second), -2 if tall else -1)


def _halves(w: Window, tall: bool) -> tuple[Window, Window]:
    if tall:
        middle = (w.y0 + w.y1) // 2
        return Window(w.y0, middle, w.x0, w.x1), Window(middle, w.y1, w.x0, w.x1)
    middle = (w.x0 + w.x1) // 2
    return Window(w.y0, w.y1, w.x0, middle), Window(w.y0, w.y1, middle, w.x1)


# a window is asked for each year anew
@lru_cache(maxsize=2**14)
def _reach(source: Lattice, grid: GeoBox, window: Window, method: str, engine: str) -> tuple[range, range]:
    if engine == "xesmf":
        from nepcube.harmonise.tiles import source_extent

        found = source_extent(source, grid, window, method)
        return (range(found[0].start, found[0].stop), range(found[1].start, found[1].stop)) if found else (_NONE, _NONE)
    rows, columns = reach(source, grid, window, margin=2)
    if method != "average":
        cut = within(source, rows, columns)
        rows, columns = (range(s.start, s.stop) for s in cut) if cut else (_NONE, _NONE)
    return rows, columns


def _part(
    var: xr.DataArray, source: Lattice, grid: GeoBox, window: Window, how: Method, rows: range, columns: range
) -> Piece:
    needed = within(source, rows, columns)
    y, x = needed if needed is not None else (slice(0, 0), slice(0, 0))
    # all at once: a file that is indexed lazily gives no more than the piece
    part = (*how.lead, ..., y, x)
    whole, part = (var.data, part) if var.chunks is not None else (var.variable[part].data, ())
    return Piece(whole, part, source, grid, window, how, rows, columns, needed is None)


def _sample(
    piece: Any, source: Lattice, grid: GeoBox, window: Window, how: Method, rows: range, columns: range
) -> NDArray[Any]:
    flat = np.ascontiguousarray(piece).reshape(-1, *piece.shape[-2:])
    # where the piece begins in the source
    origin = (max(rows.start, 0), max(columns.start, 0))
    if how.engine == "xesmf":
        out = _esmf(flat, source, grid, window, how, origin)
    elif how.method == "nearest":
        out = _nearest(flat, source, grid, window, how, origin)
    elif how.method == "bilinear":
        out = _bilinear(flat, source, grid, window, how, origin)
    elif how.method == "average":
        out = _average(flat, source, grid, window, how, rows, columns)
    elif link(source.crs, grid) == "same":
        out = _conservative(flat, source, grid, window, how, origin)
    else:
        out = _sinusoidal(flat, source, grid, window, how, origin)
    return out.reshape(*piece.shape[:-2], *window.shape)


def _esmf(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, origin: tuple[int, int]
) -> NDArray[Any]:
    from nepcube.harmonise import esmf

    return esmf.regrid_window_esmf(
        flat, source, grid, window, how.method, how.min_fraction, origin=origin, cache=how.weights
    )


def _nearest(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, origin: tuple[int, int]
) -> NDArray[Any]:
    from nepcube.harmonise import _kernels

    out = np.empty((flat.shape[0], *window.shape), flat.dtype)
    fill = flat.dtype.type(how.fill)
    if link(source.crs, grid) == "sinusoidal":
        # the columns of a whole window are as many numbers as its cells: they are worked out where they are used
        y, x = (v[s] for v, s in zip(coordinates(grid), window.slices, strict=True))
        at_rows, cos, lam, radius = rays(source, y, x)
        held = (origin[1], source.columns)
        rows = _cells(at_rows, source.rows, origin[0])
        _kernels.gather_sinusoidal(flat, rows, cos, lam, radius, source.x0, source.dx, held, fill, out)
    else:
        at = positions(source, grid, window)
        rows, columns = _cells(at.rows, source.rows, origin[0]), _cells(at.columns, source.columns, origin[1])
        kernel = _kernels.gather_separable if at.separable else _kernels.gather
        kernel(flat, rows, columns, fill, out)
    return out.astype(how.dtype, copy=False)


def _cells(at: Any, size: int, origin: int) -> Any:
    # a centre that falls on an edge belongs to the cell that begins there
    index = np.floor(at + 0.5)
    valid = (index >= 0) & (index < size)
    return np.where(valid, index - origin, -1).astype(np.int32)


def _bilinear(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, origin: tuple[int, int]
) -> NDArray[Any]:
    from nepcube.harmonise import _kernels

    at = positions(source, grid, window)
    inside = _inside(at, source)
    out = np.empty((flat.shape[0], *window.shape), how.dtype)
    kernel = _kernels.bilinear_separable if at.separable else _kernels.bilinear
    kernel(flat, inside.rows - origin[0], inside.columns - origin[1], how.min_fraction, out)
    return out


def _inside(at: Positions, source: Lattice) -> Positions:
    rows = np.where((at.rows < -1e-9) | (at.rows > source.rows - 1 + 1e-9), np.nan, at.rows)
    columns = np.where((at.columns < -1e-9) | (at.columns > source.columns - 1 + 1e-9), np.nan, at.columns)
    return Positions(rows, columns)


def _conservative(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, origin: tuple[int, int]
) -> NDArray[Any]:
    from nepcube.harmonise import _averages

    rows, columns = overlaps.separable_shares(source, grid, window)
    shares = (rows.first - origin[0], rows.weights, columns.first - origin[1], columns.weights)
    out = np.empty((flat.shape[0], *window.shape), how.dtype)
    if how.coded:
        _averages.conservative_separable_codes(flat, *shares, how.min_fraction, how.data_first, how.fill, out)
    else:
        _averages.conservative_separable(flat, *shares, how.min_fraction, out)
    return out


def _sinusoidal(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, origin: tuple[int, int]
) -> NDArray[Any]:
    from nepcube.harmonise import _averages

    e = overlaps.sinusoidal_edges(source, grid, window, origin, flat.shape[-2])
    arguments = ((e.phi, e.x0, e.dx), e.target_phi, e.target_lam, how.min_fraction)
    out = np.empty((flat.shape[0], *window.shape), how.dtype)
    if how.coded:
        _averages.sinusoidal_codes(flat, *arguments, how.data_first, how.fill, out)
    else:
        _averages.sinusoidal(flat, *arguments, out)
    return out


def _average(
    flat: NDArray[Any], source: Lattice, grid: GeoBox, window: Window, how: Method, rows: range, columns: range
) -> NDArray[Any]:
    from nepcube.harmonise import _averages

    cells = overlaps.membership(source, grid, window, rows, columns)
    at = (max(-rows.start, 0), max(-columns.start, 0))
    arguments = (flat, at, cells.rows, cells.columns, cells.areas, how.min_fraction)
    out = np.empty((flat.shape[0], *window.shape), how.dtype)
    if how.coded:
        _averages.centres_codes(*arguments, how.data_first, how.fill, np.zeros((*window.shape, 256)), out)
    else:
        room = np.zeros((flat.shape[0], *window.shape)), np.zeros((flat.shape[0] + 1, *window.shape))
        _averages.centres(*arguments, *room, out)
    return out
