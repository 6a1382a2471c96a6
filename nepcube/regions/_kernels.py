"""Sums by group in fixed point: integers, so that the order of cells and the cut into blocks do not matter.

A product of value and area (float64) is kept as a multiple of 2**-20 and a rest in multiples of 2**-50: the largest
sum over the land surface fits, and nothing of a float64 product is lost. Which cells belong to a group is told in runs
of neighbouring cells of a block, counted row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled

COARSE = float(1 << 20)
FINE = float(1 << 50)


@compiled
def add(out: Any, value: float) -> None:
    coarse = np.rint(value * COARSE)
    out[0] += np.int64(coarse)
    out[1] += np.int64(np.rint((value - coarse / COARSE) * FINE))


@compiled
def year_sums(
    values: Any, starts: Any, lengths: Any, which: Any, shares: Any, areas: Any, counts: Any, size: int
) -> Any:
    """Sum by group and year.

    values (t, n) of the n cells of a block, areas (n), counts (n) of whether a cell counts; the runs of cells by their
    first cell, length, group (below `size`) and the share of each of their cells that belongs to the group. Gives cells
    (3, size, t), areas and totals (3, size, t, 2): of all values, of those above zero, of those below zero.
    """
    steps = values.shape[0]
    cells = np.zeros((3, size, steps), np.int64)
    area = np.zeros((3, size, steps, 2), np.int64)
    total = np.zeros((3, size, steps, 2), np.int64)
    for t in range(steps):
        for r in range(starts.size):
            g = which[r]
            share = shares[r]
            for c in range(starts[r], starts[r] + lengths[r]):
                if not counts[c]:
                    continue
                v = np.float64(values[t, c])
                if np.isnan(v):
                    continue
                a = areas[c] * share
                p = v * a
                cells[0, g, t] += 1
                add(area[0, g, t], a)
                add(total[0, g, t], p)
                if v != 0.0:
                    k = 1 if v > 0.0 else 2
                    cells[k, g, t] += 1
                    add(area[k, g, t], a)
                    add(total[k, g, t], p)
    return cells, area, total


@compiled
def class_sums(
    classes: Any, places: Any, starts: Any, lengths: Any, which: Any, shares: Any, areas: Any, size: int, codes: int
) -> Any:
    """Sum areas by group and code: (size, codes, 2); `places` (256) says where each of the codes is summed."""
    out = np.zeros((size, codes, 2), np.int64)
    for r in range(starts.size):
        g = which[r]
        share = shares[r]
        for c in range(starts[r], starts[r] + lengths[r]):
            add(out[g, places[classes[c]]], areas[c] * share)
    return out


# Areas of polygons in cells. Coordinates are whole numbers of 2**-30 cells, so that covers and areas are integers: what
# a cell gets is the same in every window, neighbours that share an edge fill their cells exactly, and what lies inside
# is whole. Crossings of an edge with the lines of the grid are made from its own ends, the upper one first.
CELL = 1 << 30
WHOLE = 1 << 61


@compiled
def _across(start: Any, stop: Any, along_start: Any, along_stop: Any, at: Any) -> Any:
    # the place on an edge where its other coordinate is `at`
    share = np.float64(at - along_start) / np.float64(along_stop - along_start)
    return start + np.int64(np.rint(np.float64(stop - start) * share))


@compiled
def _most_records(u: Any, v: Any, ends: Any, y0: int, y1: int, x0: int, x1: int) -> int:
    most = 0
    first = 0
    for ring in range(ends.size):
        for k in range(first, ends[ring] - 1):
            top, bottom = min(v[k], v[k + 1]), max(v[k], v[k + 1])
            rows = min((bottom - 1) // CELL, y1 - 1) - max(top // CELL, y0) + 1
            if top == bottom or rows <= 0:
                continue
            left, right = min(u[k], u[k + 1]), max(u[k], u[k + 1])
            columns = min(right // CELL, x1 - 1) - max(left // CELL, x0) + 1
            most += 2 * rows + max(columns, 0)
        first = ends[ring]
    return most


@compiled
def _records(u: Any, v: Any, ends: Any, signs: Any, y0: int, y1: int, x0: int, x1: int) -> Any:
    # what the edges add to the cells that they cross: the cell, the height that they cover to its right, and twice the
    # area between them and its right side; what lies left of the window covers its first column
    most = _most_records(u, v, ends, y0, y1, x0, x1)
    cells, heights, areas = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    width = x1 - x0
    n = 0
    first = 0
    for ring in range(ends.size):
        for k in range(first, ends[ring] - 1):
            if v[k] == v[k + 1]:
                continue
            down = v[k] < v[k + 1]
            sign = signs[ring] if down else -signs[ring]
            a, b = (k, k + 1) if down else (k + 1, k)
            ua, va, ub, vb = u[a], v[a], u[b], v[b]
            for row in range(max(va // CELL, y0), min((vb - 1) // CELL, y1 - 1) + 1):
                top, bottom = max(va, row * CELL), min(vb, (row + 1) * CELL)
                at_top = ua if top == va else _across(ua, ub, va, vb, top)
                at_bottom = ub if bottom == vb else _across(ua, ub, va, vb, bottom)
                right_down = at_top <= at_bottom
                left, right = min(at_top, at_bottom), max(at_top, at_bottom)
                # the heights at which the edge stands at `left` and at `right`
                here, end = (top, bottom) if right_down else (bottom, top)
                column = left // CELL
                last = column if right == left else (right - 1) // CELL
                if column >= x1:
                    continue
                base = (row - y0) * width
                if column < x0:
                    there = end
                    if last >= x0:
                        there = min(max(_across(va, vb, ua, ub, x0 * CELL), top), bottom)
                    height = abs(there - here)
                    cells[n], heights[n], areas[n] = base, sign * height, sign * height * 2 * CELL
                    n += 1
                    here, left, column = there, x0 * CELL, x0
                while column <= last and column < x1:
                    stop = min(right, (column + 1) * CELL)
                    there = end
                    if stop != right:
                        there = min(max(_across(va, vb, ua, ub, stop), top), bottom)
                    height = abs(there - here)
                    beside = 2 * CELL - (left - column * CELL) - (stop - column * CELL)
                    cells[n], heights[n], areas[n] = base + column - x0, sign * height, sign * height * beside
                    n += 1
                    here, left = there, stop
                    column += 1
        first = ends[ring]
    return cells[:n], heights[:n], areas[:n]


@compiled
def area_runs(u: Any, v: Any, ends: Any, signs: Any, y0: int, y1: int, x0: int, x1: int) -> Any:
    """Give the area that a polygon has in each cell of a window, in runs of cells.

    u (to the right) and v (downwards) are the vertices in units of 2**-30 cells, rings one after the other, closed,
    up to `ends`; `signs` is 1 where a ring adds area when it turns to the left on the map, else -1. Gives the first
    cells of the runs (ascending), their lengths, and the area of each of their cells in units of 2**-61 cells.
    """
    cells, heights, areas = _records(u, v, ends, signs, y0, y1, x0, x1)
    order = np.argsort(cells)
    width = x1 - x0
    starts = np.empty(2 * cells.size, np.int64)
    lengths = np.empty(2 * cells.size, np.int64)
    found = np.empty(2 * cells.size, np.int64)
    n = 0
    cover = 0
    k = 0
    while k < order.size:
        cell = cells[order[k]]
        height = area = 0
        while k < order.size and cells[order[k]] == cell:
            height += heights[order[k]]
            area += areas[order[k]]
            k += 1
        area = min(cover * 2 * CELL + area, WHOLE)
        if area > 0:
            starts[n], lengths[n], found[n] = cell, 1, area
            n += 1
        cover += height
        row_end = (cell // width + 1) * width
        same_row = k < order.size and cells[order[k]] < row_end
        stop = cells[order[k]] if same_row else row_end
        if cover > 0 and stop > cell + 1:
            starts[n], lengths[n], found[n] = cell + 1, stop - cell - 1, min(cover * 2 * CELL, WHOLE)
            n += 1
        if not same_row:
            cover = 0
    return starts[:n], lengths[:n], found[:n]


@compiled
def add_runs(out: Any, starts: Any, lengths: Any, areas: Any) -> None:
    """Add the areas of runs to those of the cells `out`, in place; a cell is not more than whole."""
    for r in range(starts.size):
        for c in range(starts[r], starts[r] + lengths[r]):
            out[c] = min(out[c] + areas[r], WHOLE)
