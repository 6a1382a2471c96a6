"""Regions crossed with a stratum: the groups of a block, and the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.regions.members import Members
from nepcube.regions.strata import NO_CLASS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: what a cell without a class is called in a table
REST = "no class"
# between the names of a region and of a stratum; no name holds it
_SIGN = "\x1f"


def cross(members: Members, classes: NDArray[np.uint8], number: int) -> Members:
    """Divide groups by the class of each cell (y, x): g and k give g x (number + 1) + k, where no class is the last."""
    return members.crossed(np.where(classes == NO_CLASS, number, classes), number + 1)


def cross_fractions(members: Members, counts: NDArray[np.int64]) -> Members:
    """Divide groups by the fraction of each class in a cell, of counts of pixels (y, x, classes).

    A cell belongs to group g x (classes + 1) + k with its share in g times the fraction of k; one without any pixel
    of a class belongs to the last whole. The shares of a cell's classes add up to its share but for rounding.
    """
    number = counts.shape[-1]
    flat = counts.reshape(-1, number)
    total = flat.sum(axis=1)
    cell, kind = np.nonzero(flat)
    part = flat[cell, kind] / total[cell]
    bare = np.flatnonzero(total == 0)
    cell, kind = np.concatenate([cell, bare]), np.concatenate([kind, np.full(bare.size, number)])
    part = np.concatenate([part, np.ones(bare.size)])
    order = np.argsort(cell, kind="stable")
    cell, kind, part = cell[order], kind[order], part[order]
    first = np.searchsorted(cell, np.arange(flat.shape[0] + 1))
    # the entries of a run of cells stand one after the other
    start, stop = first[members.starts], first[members.starts + members.lengths]
    of = np.repeat(np.arange(members.starts.size), stop - start)
    at = np.arange(of.size) - np.repeat(np.cumsum(stop - start) - (stop - start), stop - start) + start[of]
    groups = members.labels[members.which[of]] * (number + 1) + kind[at]
    return Members.of_runs(groups, cell[at], np.ones(of.size, np.int64), members.shares[of] * part[at])


def crossed_groups(
    groups: Mapping[str, NDArray[np.int64]], labels: Sequence[str], there: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Give the groups of each row of the tables of a stratum: of each region the classes that it has, and no class.

    `there` are the groups that have a cell.
    """
    size = len(labels) + 1
    return {
        f"{region}{_SIGN}{REST if k == size - 1 else labels[k]}": members * size + k
        for region, members in groups.items()
        for k in range(size)
        if k == size - 1 or np.isin(members * size + k, there).any()
    }


def split(table: pd.DataFrame) -> pd.DataFrame:
    """Put the stratum of each row into a column of its own, after the region."""
    out = table.copy()
    names: Any = out["region"].str.split(_SIGN, n=1, regex=False)
    out["region"] = names.str[0]
    out.insert(int(out.columns.get_loc("region")) + 1, "stratum", names.str[1])  # type: ignore[arg-type]
    return out
