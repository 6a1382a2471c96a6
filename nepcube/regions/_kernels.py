"""Sums by region in fixed point: integers, so that the order of cells and the cut into blocks do not matter.

A product of value and area (float64) is kept as a multiple of 2**-20 and a rest in multiples of 2**-50: the largest
sum over the land surface fits, and nothing of a float64 product is lost.
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
def year_sums(values: Any, labels: Any, areas: Any, counts: Any, size: int) -> Any:
    """Sum by region and year.

    values (t, y, x), labels (y, x), areas (y, x), counts (y, x) of whether a cell counts. Gives cells (3, size, t),
    areas and totals (3, size, t, 2): of all values, of those above zero, of those below zero.
    """
    steps, rows, columns = values.shape
    cells = np.zeros((3, size, steps), np.int64)
    area = np.zeros((3, size, steps, 2), np.int64)
    total = np.zeros((3, size, steps, 2), np.int64)
    for t in range(steps):
        for i in range(rows):
            for j in range(columns):
                if not counts[i, j]:
                    continue
                v = np.float64(values[t, i, j])
                if np.isnan(v):
                    continue
                a = areas[i, j]
                p = v * a
                g = labels[i, j]
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
def class_sums(classes: Any, labels: Any, areas: Any, size: int) -> Any:
    """Sum areas by region and class (256 codes): (size, 256, 2)."""
    out = np.zeros((size, 256, 2), np.int64)
    rows, columns = classes.shape
    for i in range(rows):
        for j in range(columns):
            _add(out[labels[i, j], classes[i, j]], areas[i, j])
    return out
