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
def _add(out: Any, value: float) -> None:
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
                _add(area[0, g, t], a)
                _add(total[0, g, t], p)
                if v != 0.0:
                    k = 1 if v > 0.0 else 2
                    cells[k, g, t] += 1
                    _add(area[k, g, t], a)
                    _add(total[k, g, t], p)
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
            _add(out[g, places[classes[c]]], areas[c] * share)
    return out
