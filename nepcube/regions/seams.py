"""Cells at the seam of lattices side by side: what each of them holds of a cell, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: lattices that together hold more than this share of a cell lie one over the other, not side by side
TOGETHER = 1.1
# the largest denominator, and what fractions that would need a larger one are rounded to: counts of pixels are below
# 2**31, and what some lattices hold of a cell, one over the other, must still add up in int64
_MOST, _ROUNDED = 1 << 57, 1 << 26


class Seam:
    """Pixels by class in the cells of a window as fractions of a cell, added up over lattices.

    A lattice that has n pixels in a cell, c of them of a class, holds c / n of the cell. Sums are whole numbers over
    a common denominator for each cell, exact unless that passes 2**57 (four lattices with 20 000 pixels in a cell).
    """

    def __init__(self, cells: int, classes: int) -> None:
        self.parts = np.zeros(cells, np.int32)
        self._counts: NDArray[Any] = np.zeros((cells, classes), np.int32)
        self._of = np.ones(cells, np.int64)

    def add(self, counts: Any, expected: Any) -> None:
        """Add a lattice: pixels by class (cells, classes), and all of its pixels in each cell (cells,)."""
        here = counts.any(axis=1)
        again = np.flatnonzero(here & (self.parts > 0))
        if again.size:
            # one lattice alone needs no more than int32
            self._counts = self._counts.astype(np.int64, copy=False)
            mine, of = self._counts[again], self._of[again]
            more, number = counts[again].astype(np.int64), expected[again].astype(np.int64)
            large = of // np.gcd(of, number) * number.astype(np.float64) > _MOST
            mine[large] = np.rint(mine[large] / of[large, None] * _ROUNDED)
            of[large] = _ROUNDED
            common = np.gcd(of, number)
            self._counts[again] = mine * (number // common)[:, None] + more * (of // common)[:, None]
            self._of[again] = of // common * number
        fresh = here & (self.parts == 0)
        self._counts[fresh] = counts[fresh]
        self._of[fresh] = expected[fresh]
        self.parts += here

    def joined(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the cells that several lattices hold side by side, and the share of each that they hold together."""
        cells = np.flatnonzero(self.parts > 1)
        held, of = self._counts[cells].sum(axis=1), self._of[cells]
        # in lowest terms, so that the quotient is the nearest float64 where it holds both as they are
        common = np.gcd(held, of)
        share = (held // common) / (of // common)
        beside = share <= TOGETHER
        return cells[beside], share[beside]

    def of(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the classes of some cells (cells, classes) as whole numbers in the ratio of their fractions."""
        counts = self._counts[cells].astype(np.int64)
        common = np.gcd.reduce(counts, axis=1) if cells.size else np.ones(0, np.int64)
        return np.asarray(counts // common[:, None])
