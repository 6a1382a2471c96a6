"""Which cells of a block belong to which group, whole or in part: runs of neighbouring cells, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Members:
    """The groups of a block, as runs of its cells.

    A cell may be in no group, in one or in several; the cells of a block are counted row by row.

    Attributes
    ----------
    labels : numpy.ndarray
        The groups that occur, ascending, int64.
    starts, lengths : numpy.ndarray
        The first cell of each run, and its cells, int64.
    which : numpy.ndarray
        The place of each run's group in `labels`, int64.
    shares : numpy.ndarray
        The share of each of a run's cells that belongs to the group, above 0, at most 1, float64.
    """

    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    which: NDArray[np.int64]
    shares: NDArray[np.float64]

    @classmethod
    def of_labels(cls, labels: Any, *, outside: bool = True) -> Members:
        """Take each cell as a whole member of the group of its label (y, x).

        `outside` says whether label 0 is a group like any other.
        """
        flat = np.asarray(labels).ravel()
        starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])) if flat.size else np.zeros(0, np.int64)
        return cls.of_runs(flat[starts], starts, np.diff(starts, append=flat.size), outside=outside)

    @classmethod
    def of_runs(
        cls, groups: Any, starts: Any, lengths: Any, shares: Any | None = None, *, outside: bool = True
    ) -> Members:
        """Gather runs by the labels of their groups; `shares` are 1 when left out."""
        groups = np.asarray(groups, np.int64)
        starts, lengths = np.asarray(starts, np.int64), np.asarray(lengths, np.int64)
        shares = np.ones(groups.size) if shares is None else np.asarray(shares, np.float64)
        if not outside:
            kept = groups != 0
            groups, starts, lengths, shares = groups[kept], starts[kept], lengths[kept], shares[kept]
        labels, which = np.unique(groups, return_inverse=True)
        return cls(labels, starts, lengths, which.reshape(-1).astype(np.int64), shares)

    def shares_of(self, group: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Give the share of each cell of the block (y, x) that belongs to one group."""
        chosen = self.labels[self.which] == group
        lengths = self.lengths[chosen]
        before = np.cumsum(lengths) - lengths
        cells = np.repeat(self.starts[chosen] - before, lengths) + np.arange(lengths.sum())
        out = np.zeros(shape[0] * shape[1])
        out[cells] = np.repeat(self.shares[chosen], lengths)
        return out.reshape(shape)

    def between(self, first: int, stop: int) -> Members:
        """Give the members among the cells from `first` to below `stop`, which are counted from `first` on."""
        starts = np.maximum(self.starts, first)
        stops = np.minimum(self.starts + self.lengths, stop)
        kept = starts < stops
        groups = self.labels[self.which[kept]]
        return Members.of_runs(groups, starts[kept] - first, (stops - starts)[kept], self.shares[kept])

    def crossed(self, classes: Any, size: int) -> Members:
        """Divide each group by the classes of the cells.

        Parameters
        ----------
        classes : numpy.ndarray
            The class of each cell (y, x), from 0 to below `size`; a cell below 0 is left out.
        size : int
            How many classes there are.

        Returns
        -------
        Members
            Group g and class k together are group ``g * size + k``.
        """
        flat = np.asarray(classes).ravel().astype(np.int64)
        # a run ends where the class changes
        turns = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        ends = self.starts + self.lengths
        first, last = np.searchsorted(turns, self.starts, "right"), np.searchsorted(turns, ends, "left")
        pieces = last - first + 1
        of = np.repeat(np.arange(self.starts.size), pieces)
        nth = np.arange(of.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        padded = np.append(turns, flat.size)
        starts = np.where(nth == 0, self.starts[of], padded[np.minimum(first[of] + nth - 1, turns.size)])
        stops = np.where(nth == pieces[of] - 1, ends[of], padded[np.minimum(first[of] + nth, turns.size)])
        found = flat[starts]
        kept = found >= 0
        groups = self.labels[self.which[of]] * size + found
        return Members.of_runs(groups[kept], starts[kept], (stops - starts)[kept], self.shares[of][kept])
