"""Which parts of source cells make a target cell: shares along rows and columns, or by the centres that fall in it.

On latitude and longitude a cell is bounded by parallels and meridians, and its height counts as the difference of the
sines of its parallels, which makes areas on the sphere exact. The cells of a sinusoidal grid are bounded by parallels
and by x = constant in its plane, which keeps areas: there a meridian is the curve x = lambda cos(phi).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import GridError
from nepcube.grid import Window, edges, is_geographic
from nepcube.harmonise.positions import Lattice, locate, project, reach, sphere

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class Shares:
    """For each target cell along one axis, the shares of its extent in the source cells from `first` on."""

    first: NDArray[np.int64]
    weights: NDArray[np.float64]


def separable_shares(source: Lattice, grid: GeoBox, window: Window) -> tuple[Shares, Shares]:
    """Give the shares of rows and of columns of two grids that have the same axes."""
    ys, xs = edges(grid)
    y, x = ys[window.y0 : window.y1 + 1], xs[window.x0 : window.x1 + 1]
    sine = is_geographic(grid)
    rows = _shares(source.y0, source.dy, source.rows, y, sine)
    columns = _shares(source.x0, source.dx, source.columns, x, False)
    return rows, columns


def _shares(centre: float, step: float, size: int, target: NDArray[np.float64], sine: bool) -> Shares:
    source = centre - step / 2 + step * np.arange(size + 1)
    if sine:
        # the last row of a global grid may reach over the pole
        source, target = np.clip(source, -90.0, 90.0), np.clip(target, -90.0, 90.0)
    low, high = np.minimum(target[:-1], target[1:]), np.maximum(target[:-1], target[1:])
    below, above = np.minimum(source[:-1], source[1:]), np.maximum(source[:-1], source[1:])
    rising = step > 0
    if not rising:
        below, above = below[::-1], above[::-1]
    # a sliver of rounding is no overlap: edges that should coincide may differ in their last bits
    eps = 1e-9 * abs(step)
    first = np.searchsorted(above, low + eps, side="right")
    last = np.searchsorted(below, high - eps, side="left")
    most = max(int((last - first).max(initial=0)), 1)
    index = first[:, None] + np.arange(most)
    valid = index < last[:, None]
    at = np.minimum(index, size - 1)
    a = np.maximum(low[:, None], below[at])
    b = np.minimum(high[:, None], above[at])
    if sine:
        overlap = _sine(a, b)
        whole = _sine(low, high)
    else:
        overlap, whole = b - a, high - low
    weights = np.where(valid & (b > a), overlap, 0.0) / np.where(whole > 0, whole, 1.0)[:, None]
    if not rising:
        weights = weights[:, ::-1]
        first = size - first - most
    # the shares of a target cell at the source's end may begin before it: they have no weight
    before = np.maximum(-first, 0)
    if before.any():
        weights = np.stack([np.append(w[n:], np.zeros(n)) for w, n in zip(weights, before, strict=True)])
        first = np.maximum(first, 0)
    return Shares(np.minimum(first, max(size - 1, 0)).astype(np.int64), np.ascontiguousarray(weights))


def _sine(south: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
    # sin b - sin a as a product, which does not cancel
    a, b = np.radians(south), np.radians(north)
    return np.asarray(2.0 * np.cos((a + b) / 2) * np.sin((b - a) / 2), np.float64)


@dataclass(frozen=True)
class SinusoidalEdges:
    """A sinusoidal source and a window of latitude and longitude on the unit sphere, in radians."""

    phi: NDArray[np.float64]
    x0: float
    dx: float
    target_phi: NDArray[np.float64]
    target_lam: NDArray[np.float64]


def sinusoidal_edges(
    source: Lattice, grid: GeoBox, window: Window, origin: tuple[int, int], rows: int
) -> SinusoidalEdges:
    """Give the edges of the window's cells, and of the source rows and columns from `origin` on."""
    ys, xs = edges(grid)
    radius = sphere(source.crs)
    phi = np.asarray(source.y0 - source.dy / 2 + source.dy * np.arange(origin[0], origin[0] + rows + 1), np.float64)
    if source.dy > 0 or source.dx < 0 or grid.affine.e > 0:
        raise GridError(
            "conservative: a sinusoidal source and its target must have their rows from north to south.",
            "Turn the rows of the dataset (sortby y, falling), or use `average`.",
        )
    return SinusoidalEdges(
        phi=phi / radius,
        x0=(source.x0 - source.dx / 2 + source.dx * origin[1]) / radius,
        dx=source.dx / radius,
        target_phi=np.radians(np.clip(ys[window.y0 : window.y1 + 1], -90.0, 90.0)),
        target_lam=np.radians(xs[window.x0 : window.x1 + 1]),
    )


@dataclass(frozen=True)
class Membership:
    """The cell of the window in which each source centre lies (-1: in none), and what each source row weighs."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    areas: NDArray[np.float64]


def membership(source: Lattice, grid: GeoBox, window: Window, rows: range, columns: range) -> Membership:
    """Say in which cell of a window the source centres of some rows and columns of its lattice lie.

    The rows and columns may lie beyond the source: its lattice goes on there.
    """
    y = np.asarray(source.y0 + source.dy * np.arange(rows.start, rows.stop), np.float64)
    x = np.asarray(source.x0 + source.dx * np.arange(columns.start, columns.stop), np.float64)
    r, c = locate(source.crs, grid, y, x)
    i = np.floor(r + 0.5) - window.y0
    j = np.floor(c + 0.5) - window.x0
    with np.errstate(invalid="ignore"):
        i = np.where((i >= 0) & (i < window.shape[0]), i, -1)
        j = np.where((j >= 0) & (j < window.shape[1]), j, -1)
    shape = (len(rows), len(columns))
    i, j = (np.broadcast_to(a, shape) for a in ((i[:, None], j[None, :]) if i.ndim == 1 else (i, j)))
    areas = np.ones(len(rows))
    if source.geographic:
        half = abs(source.dy) / 2
        areas = _sine(np.clip(y - half, -90.0, 90.0), np.clip(y + half, -90.0, 90.0)) / math.radians(2 * half)
    return Membership(np.ascontiguousarray(i, np.int32), np.ascontiguousarray(j, np.int32), np.maximum(areas, 0.0))


def source_cells(source: Lattice, grid: GeoBox) -> float:
    """Give how many cells of the source a cell in the middle of the grid holds; NaN off the map."""
    ys, xs = edges(grid)
    i, j = grid.shape[0] // 2, grid.shape[1] // 2
    p = project(source, grid, ys[i : i + 2], xs[j : j + 2])
    if not (np.isfinite(p.rows).all() and np.isfinite(p.columns).all()):
        return math.nan
    r, c = np.broadcast_arrays(p.rows[:, None], p.columns[None, :]) if p.separable else (p.rows, p.columns)
    # half the cross product of the diagonals
    cross = (r[1, 1] - r[0, 0]) * (c[0, 1] - c[1, 0]) - (c[1, 1] - c[0, 0]) * (r[0, 1] - r[1, 0])
    return abs(float(cross)) / 2


def is_finer(ds: xr.Dataset, grid: GeoBox) -> bool:
    """Tell whether the cells of a dataset are at most as large as those of the grid."""
    return source_cells(Lattice.of(ds), grid) >= 1.0 - 1e-6


def require_coarser(source: Lattice, grid: GeoBox, name: str) -> None:
    """Refuse an average by centres where target cells are smaller than source cells: many would stay empty.

    Raises
    ------
    GridError
    """
    held = source_cells(source, grid)
    if held < 1.0 - 1e-6:
        raise GridError(
            f"{name}: `average` needs a coarser grid: a cell holds {held:.3g} of the source's, some would hold none.",
            "Use `conservative` or `nearest`, or `bilinear` for what is no code.",
        )


def covers(ds: xr.Dataset, grid: GeoBox) -> bool:
    """Tell whether a dataset reaches to every edge of the grid, as far as the grid lies on its map."""
    source = Lattice.of(ds)
    rows, columns = reach(source, grid, Window(0, grid.shape[0], 0, grid.shape[1]), margin=0)
    # centres half a cell inside the outer edges: one cell of slack a side
    return (
        rows.start >= -1 and columns.start >= -1 and rows.stop <= source.rows + 2 and columns.stop <= source.columns + 2
    )
