"""Tower-years beside the cells that hold the towers, as one tidy table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, SpecError
from nepcube.grid import Window, dims, geobox_of
from nepcube.validate.fluxnet import tower_nep
from nepcube.validate.towers import Tower, cell_of, load_towers

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["TABLE", "Comparison", "compare", "compare_with_towers"]

#: columns of the table
TABLE = (
    "tower",
    "year",
    "latitude",
    "longitude",
    "tower_nep_gc_m2",
    "cell_nep_gc_m2",
    "neighbourhood_nep_gc_m2",
    "n_cells",
    "months",
    "qc_mean",
    "used",
    "reason",
)
OUTSIDE = "outside the grid"
NO_DATA = "the cell has no data"


@dataclass(frozen=True)
class Comparison:
    """Tower-years beside cells.

    Attributes
    ----------
    table : pandas.DataFrame
        A row a tower and year, with the columns of `TABLE`.
    cells : tuple of (int, int) or None
        Row and column of the cell that holds each tower; None outside the grid.
    towers : tuple of Tower
    """

    table: pd.DataFrame
    cells: tuple[tuple[int, int] | None, ...]
    towers: tuple[Tower, ...]


def compare(
    towers: Sequence[Tower], grid: GeoBox, years: Sequence[int], read: Callable[[Window], NDArray[Any]]
) -> Comparison:
    """Hold the annual NEP of towers against the cells of a grid that hold them.

    Parameters
    ----------
    towers : sequence of Tower
    grid : odc.geo.geobox.GeoBox
    years : sequence of int
        Of the cube, in its order.
    read : callable
        Gives NEP of a window of the grid, shape (years, rows, columns), gC m-2 yr-1; at most 3 x 3 cells are asked for.

    Returns
    -------
    Comparison
        A tower-year is used where it counts by the rule of `tower_nep` and the cell has data in that year. The
        neighbourhood is the plain mean of those of the cell and its eight neighbours that have data.

    Raises
    ------
    SourceError
        A tower's file cannot be used, or no tower has a year that counts.
    """
    import pandas as pd

    annual = [tower_nep(tower.file) for tower in towers]
    if not any(one["counts"].any() for one in annual):
        first = annual[0].iloc[0]
        raise SourceError(
            f"{towers[0].file}{_more(len(towers) - 1)}: no year counts ({int(first['year'])}: {first['reason']}).",
            "A year needs 12 months, each with a quality of 0.5, and 0.75 in the mean: add towers that have one.",
        )
    cells = cell_of(towers, grid)
    rows: list[dict[str, Any]] = []
    for tower, one, cell in zip(towers, annual, cells, strict=True):
        window = None if cell is None else _around(cell, grid)
        values = None if window is None else np.asarray(read(window), np.float64)
        for year in one.to_dict("records"):
            row = _beside(year, years, values, cell, window)
            rows.append({"tower": tower.name, "latitude": tower.latitude, "longitude": tower.longitude, **row})
    return Comparison(pd.DataFrame(rows, columns=list(TABLE)), tuple(cells), tuple(towers))


def _more(n: int) -> str:
    return f" and {n} more" if n else ""


def _around(cell: tuple[int, int], grid: GeoBox) -> Window:
    row, column = cell
    rows, columns = grid.shape
    return Window(max(row - 1, 0), min(row + 2, rows), max(column - 1, 0), min(column + 2, columns))


def _beside(
    year: dict[Any, Any],
    years: Sequence[int],
    values: NDArray[np.float64] | None,
    cell: tuple[int, int] | None,
    window: Window | None,
) -> dict[str, Any]:
    why = [year["reason"]] if year["reason"] else []
    centre, mean, n = math.nan, math.nan, 0
    if values is None or cell is None or window is None:
        why.append(OUTSIDE)
    elif year["year"] not in years:
        why.append(f"the run has no {year['year']}")
    else:
        block = values[list(years).index(year["year"])]
        valid = block[np.isfinite(block)].tolist()
        centre, n = float(block[cell[0] - window.y0, cell[1] - window.x0]), len(valid)
        mean = math.fsum(valid) / n if n else math.nan
        if not math.isfinite(centre):
            centre = math.nan
            why.append(NO_DATA)
    return {
        "year": int(year["year"]),
        "tower_nep_gc_m2": float(year["nep"]),
        "cell_nep_gc_m2": centre,
        "neighbourhood_nep_gc_m2": mean,
        "n_cells": n,
        "months": int(year["months"]),
        "qc_mean": float(year["qc_mean"]),
        "used": not why,
        "reason": "; ".join(why),
    }


def compare_with_towers(nep: xr.DataArray, towers: str | os.PathLike[str]) -> pd.DataFrame:
    """Hold annual NEP against flux towers, cell by cell and in neighbourhoods of 3 x 3 cells.

    Only the cells around towers are read. NEP of a tower is minus its annual net ecosystem exchange, never NPP less its
    ecosystem respiration. It is not the net biome balance.

    Parameters
    ----------
    nep : xarray.DataArray
        g of carbon m-2 year-1, dims time and latitude, longitude (or y, x), with `spatial_ref`, as `open_cube` gives
        it.
    towers : path-like
        CSV with the columns ``name, latitude, longitude, file``; degrees on WGS84, and monthly files of FLUXNET2015.

    Returns
    -------
    pandas.DataFrame
        A row a tower and year: ``tower, year, latitude, longitude, tower_nep_gc_m2, cell_nep_gc_m2,
        neighbourhood_nep_gc_m2, n_cells, months, qc_mean, used, reason``. What is not used has a reason.

    Raises
    ------
    SpecError
        NEP has another unit or no time.
    GridError
        NEP has no grid.
    SourceError
        The list or a tower's file cannot be used, or no tower has a year that counts.

    References
    ----------
    Pastorello, G. et al. 2020. The FLUXNET2015 dataset and the ONEFlux processing pipeline for eddy covariance data.
    Scientific Data 7, 225. https://doi.org/10.1038/s41597-020-0534-3
    """
    if nep.attrs.get("units") != spec.CARBON_FLUX:
        raise SpecError(f"nep: in {nep.attrs.get('units')!r}, {spec.CARBON_FLUX!r} is needed.", "Convert it first.")
    if "time" not in nep.dims or not np.issubdtype(nep["time"].dtype, np.datetime64):
        raise SpecError("nep: it has no dates along `time`.", "Give it as `open_cube` does.")
    grid = geobox_of(nep)
    ydim, xdim = dims(grid)
    years = [int(year) for year in nep["time"].dt.year.values]

    def read(window: Window) -> NDArray[Any]:
        part = nep.isel({ydim: window.slices[0], xdim: window.slices[1]})
        return np.asarray(part.transpose("time", ydim, xdim).values)

    return compare(load_towers(towers), grid, years, read).table


def used_pairs(table: pd.DataFrame, column: str) -> Iterator[tuple[float, float]]:
    """Give the tower's and the run's value of each tower-year that is used."""
    used = table[table["used"].astype(bool)]
    yield from zip(map(float, used["tower_nep_gc_m2"]), map(float, used[column]), strict=True)
