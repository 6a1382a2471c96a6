"""What the two ways of giving cells to regions differ by: areas, cells and means by centres and by shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nepcube.regions.members import Members
from nepcube.regions.overlaps import SLIVER
from nepcube.regions.polygons import Regions
from nepcube.regions.sums import YearSums
from nepcube.regions.tables import groups_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# the layers that are summed: every cell, and the mean of those that count
_CELLS, _MEAN = 0, 1


def size_sums(mean: NDArray[np.floating], members: Members, areas: NDArray[np.float64]) -> YearSums:
    """Sum the cells of a block and a map of means (y, x), NaN where a cell does not count; areas in km2."""
    layers = np.stack([np.zeros(mean.shape, np.float64), mean])
    return YearSums.of(layers, members, areas, np.ones(mean.shape, np.bool_))


def size_table(sums: Mapping[str, YearSums], regions: Regions, names: Sequence[str], *, overlap: str) -> pd.DataFrame:
    """Compare each region's area and mean by centres and by shares with each other and with its polygon.

    Parameters
    ----------
    sums : mapping
        What `size_sums` gives for "centre" and for "exact".
    regions : Regions
        The polygons.
    names : sequence of str
        The regions.
    overlap : {"centre", "exact"}
        Which of both the other tables are made by.

    Returns
    -------
    pandas.DataFrame
        A row a region, and `all`; areas in km2, means in gC m-2 yr-1. A region that shares area with others has nothing
        by centres, since a cell is given to one of them.
    """
    import pandas as pd

    frame = regions.frame
    polygon = np.append(frame["area_km2"].to_numpy(float), regions.union_km2)
    shared = np.append(frame["shared_km2"].to_numpy(float), np.nan)
    cells, area, mean = {}, {}, {}
    for way, found in sums.items():
        groups = list(groups_of(names, union=way == "exact").values())
        counted, areas, totals = found.over_each(groups)
        cells[way], area[way] = counted[0, :, _CELLS], areas[0, :, _CELLS]
        with_value = areas[0, :, _MEAN]
        mean[way] = np.divide(
            totals[0, :, _MEAN], with_value, out=np.full(with_value.shape, np.nan), where=with_value > 0
        )
    one_each = np.nan_to_num(shared) <= SLIVER * polygon
    centre, centre_mean = (np.where(one_each, part["centre"], np.nan) for part in (area, mean))
    return pd.DataFrame(
        {
            "region": [*names, "all"],
            "overlap": overlap,
            "n_cells": pd.Series(cells["centre"], dtype="Int64").where(one_each),
            "n_cells_touched": cells["exact"],
            "area_centre_km2": centre,
            "area_exact_km2": area["exact"],
            "polygon_area_km2": polygon,
            "centre_minus_exact_km2": centre - area["exact"],
            "exact_minus_polygon_km2": area["exact"] - polygon,
            "shared_km2": shared,
            "mean_centre_gc_m2": centre_mean,
            "mean_exact_gc_m2": mean["exact"],
            "mean_centre_minus_exact_gc_m2": centre_mean - mean["exact"],
        }
    )
