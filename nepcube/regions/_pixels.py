"""Pixels of a fine raster in the cells of a coarser grid: which cell, how many of each class, and sums of values.

Counts and sums are integers, so that neither the order of pixels nor the cut into pieces matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled
from nepcube.regions._kernels import add

#: what a place is marked with that lies in no cell of the window, and one too near to an edge to be told
OUTSIDE, UNSURE = -1, -2


@compiled
def _between(edges: Any, value: float) -> int:
    # k where edges[k] <= value < edges[k + 1]; -1 below all, the number of intervals above all
    last = edges.size - 1
    if not value >= edges[0]:
        return -1
    if value >= edges[last]:
        return last
    k = int((value - edges[0]) / (edges[last] - edges[0]) * last)
    k = min(max(k, 0), last - 1)
    while value < edges[k]:
        k -= 1
    while value >= edges[k + 1]:
        k += 1
    return k


@compiled
def _away(edges: Any, k: int, value: float) -> float:
    # the distance to the nearest edge that would make it another k
    last = edges.size - 1
    if k < 0:
        return edges[0] - value
    if k >= last:
        return value - edges[last]
    return min(value - edges[k], edges[k + 1] - value)


@compiled
def cells_of_points(x: Any, y: Any, south_to_north: Any, west_to_east: Any) -> Any:
    """Give the cell of each place, row x columns + column; edges rise, rows of cells run from north to south.

    A cell holds its western and its southern edge. What is in no cell, or not finite, is -1.
    """
    rows, columns = south_to_north.size - 1, west_to_east.size - 1
    out = np.full(x.size, OUTSIDE, np.int32)
    for p in range(x.size):
        if not (np.isfinite(x[p]) and np.isfinite(y[p])):
            continue
        i, j = _between(south_to_north, y[p]), _between(west_to_east, x[p])
        if 0 <= i < rows and 0 <= j < columns:
            out[p] = (rows - 1 - i) * columns + j
    return out


@compiled
def cells_of_tiles(x: Any, y: Any, tile: int, rows: int, columns: int, south_to_north: Any, west_to_east: Any) -> Any:
    """Give the cell of each pixel of tiles, interpolated between the places of nine pixels of each; -2 where unsure.

    x and y (3 x tiles down, 3 x tiles across) are the places of the first, the middle and the last pixel of a tile.
    How far the middle ones lie from the straight lines between the corners bounds the error of the others: a quadratic
    has its largest there. Eight times that is kept from any edge.
    """
    cell_rows, cell_columns = south_to_north.size - 1, west_to_east.size - 1
    out = np.full((rows, columns), UNSURE, np.int32)
    span = float(tile - 1)
    for a in range(x.shape[0] // 3):
        for b in range(x.shape[1] // 3):
            sure, wide_x, wide_y = True, 0.0, 0.0
            r, c = 3 * a, 3 * b
            for m in range(3):
                for n in range(3):
                    vx, vy = x[r + m, c + n], y[r + m, c + n]
                    if not (np.isfinite(vx) and np.isfinite(vy)):
                        sure = False
            if not sure:
                continue
            for m in range(3):
                for n in range(3):
                    u, v = m / 2.0, n / 2.0
                    lx = (1 - u) * ((1 - v) * x[r, c] + v * x[r, c + 2]) + u * (
                        (1 - v) * x[r + 2, c] + v * x[r + 2, c + 2]
                    )
                    ly = (1 - u) * ((1 - v) * y[r, c] + v * y[r, c + 2]) + u * (
                        (1 - v) * y[r + 2, c] + v * y[r + 2, c + 2]
                    )
                    wide_x = max(wide_x, abs(lx - x[r + m, c + n]))
                    wide_y = max(wide_y, abs(ly - y[r + m, c + n]))
            # and what rounding does
            wide_x = 8.0 * wide_x + 1e-9 * (west_to_east[1] - west_to_east[0])
            wide_y = 8.0 * wide_y + 1e-9 * (south_to_north[1] - south_to_north[0])
            for i in range(a * tile, min((a + 1) * tile, rows)):
                u = (i - a * tile) / span
                x0 = (1 - u) * x[r, c] + u * x[r + 2, c]
                x1 = (1 - u) * x[r, c + 2] + u * x[r + 2, c + 2]
                y0 = (1 - u) * y[r, c] + u * y[r + 2, c]
                y1 = (1 - u) * y[r, c + 2] + u * y[r + 2, c + 2]
                for j in range(b * tile, min((b + 1) * tile, columns)):
                    v = (j - b * tile) / span
                    px, py = (1 - v) * x0 + v * x1, (1 - v) * y0 + v * y1
                    ky, kx = _between(south_to_north, py), _between(west_to_east, px)
                    far_y, far_x = _away(south_to_north, ky, py), _away(west_to_east, kx, px)
                    out_y = ky < 0 or ky >= cell_rows
                    out_x = kx < 0 or kx >= cell_columns
                    if (out_y and far_y > wide_y) or (out_x and far_x > wide_x):
                        out[i, j] = OUTSIDE
                    elif far_y > wide_y and far_x > wide_x:
                        out[i, j] = (cell_rows - 1 - ky) * cell_columns + kx
    return out


@compiled
def count_classes(cells: Any, classes: Any, counts: Any, expected: Any) -> None:
    """Count pixels: of every kind in `expected` (cells), of each class in `counts` (cells, classes); 255 is missing."""
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            p = cells[i, j]
            if p < 0:
                continue
            expected[p] += 1
            k = classes[i, j]
            if k != 255:
                counts[p, k] += 1


@compiled
def sum_values(cells: Any, values: Any, missing: Any, sums: Any, counts: Any, expected: Any) -> None:
    """Add values (float64) in fixed point, `sums` (cells, 2): multiples of 2**-20, and of 2**-50 for the rest."""
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            p = cells[i, j]
            if p < 0:
                continue
            expected[p] += 1
            if missing[i, j]:
                continue
            counts[p] += 1
            add(sums[p], values[i, j])


@compiled
def horn(z: Any, missing: Any, dx: Any, dy: Any, slope: Any, none: Any) -> None:
    """Slope in degrees after Horn (1981) from heights with a pixel more on every side.

    z and missing (rows + 2, columns + 2); dx, dy (rows,) in the unit of z. Where one of the nine is missing, there is
    none.
    """
    for i in range(slope.shape[0]):
        for j in range(slope.shape[1]):
            gone = False
            for m in range(3):
                for n in range(3):
                    gone = gone or missing[i + m, j + n]
            none[i, j] = gone
            slope[i, j] = 0.0
            if gone:
                continue
            east = z[i, j + 2] + 2.0 * z[i + 1, j + 2] + z[i + 2, j + 2]
            west = z[i, j] + 2.0 * z[i + 1, j] + z[i + 2, j]
            south = z[i + 2, j] + 2.0 * z[i + 2, j + 1] + z[i + 2, j + 2]
            north = z[i, j] + 2.0 * z[i, j + 1] + z[i, j + 2]
            p, q = (east - west) / (8.0 * dx[i]), (south - north) / (8.0 * dy[i])
            slope[i, j] = np.degrees(np.arctan(np.sqrt(p * p + q * q)))
