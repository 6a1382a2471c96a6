"""How far towers and cells are apart, and what that can and cannot say."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nepcube.validate.comparison import NO_DATA, Comparison, used_pairs

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Agreement", "agreement", "notes", "summary_lines"]

#: what is compared: the column of the table, and its name
COMPARED = (("cell_nep_gc_m2", "cell"), ("neighbourhood_nep_gc_m2", "3 x 3 mean"))
_MOST_LINES = 40


@dataclass(frozen=True)
class Agreement:
    """How far the run is from the towers, over the tower-years that are used.

    Attributes
    ----------
    towers, tower_years : int
    rmse, bias : float
        gC m-2 yr-1; the bias is the mean of run minus tower. NaN without a tower-year.
    r : float
        Pearson's, over tower-years; NaN with fewer than three, or where one side does not vary.
    """

    towers: int
    tower_years: int
    rmse: float
    bias: float
    r: float


def agreement(table: pd.DataFrame, column: str = "cell_nep_gc_m2") -> Agreement:
    """Give RMSE, bias and correlation of the run with the towers.

    Parameters
    ----------
    table : pandas.DataFrame
        As `compare_with_towers` gives it.
    column : str
        ``cell_nep_gc_m2`` or ``neighbourhood_nep_gc_m2``.

    Returns
    -------
    Agreement
    """
    pairs = list(used_pairs(table, column))
    n = len(pairs)
    towers = int(table.loc[table["used"].astype(bool), "tower"].nunique())
    if not n:
        return Agreement(0, 0, math.nan, math.nan, math.nan)
    off = [run - tower for tower, run in pairs]
    return Agreement(
        towers,
        n,
        math.sqrt(math.fsum(d * d for d in off) / n),
        math.fsum(off) / n,
        _pearson(pairs) if n >= 3 else math.nan,
    )


def _pearson(pairs: Sequence[tuple[float, float]]) -> float:
    n = len(pairs)
    if len({a for a, _ in pairs}) == 1 or len({b for _, b in pairs}) == 1:
        return math.nan
    mean_a, mean_b = math.fsum(a for a, _ in pairs) / n, math.fsum(b for _, b in pairs) / n
    both = math.fsum((a - mean_a) * (b - mean_b) for a, b in pairs)
    spread = math.sqrt(math.fsum((a - mean_a) ** 2 for a, _ in pairs)) * math.sqrt(
        math.fsum((b - mean_b) ** 2 for _, b in pairs)
    )
    return max(-1.0, min(1.0, both / spread)) if spread > 0 else math.nan


def notes(
    comparison: Comparison,
    *,
    cell_km: float,
    outside_regions: Collection[str] | None = None,
    potential: bool = False,
    generated: bool = False,
) -> list[str]:
    """Say what a comparison does not show.

    Parameters
    ----------
    comparison : Comparison
    cell_km : float
        The side of a cell, km.
    outside_regions : collection of str, optional
        Towers on the grid and outside the run's regions; None where the run has no regions.
    potential, generated : bool
        Whether NPP is modelled from climate; whether the run's data are generated.

    Returns
    -------
    list of str
        Sentences, what matters most first.
    """
    table = comparison.table
    names = [tower.name for tower in comparison.towers]
    off = [name for name, cell in zip(names, comparison.cells, strict=True) if cell is None]
    beyond = sorted(outside_regions or (), key=names.index)
    domain = "grid" if outside_regions is None else "regions"
    within = [name for name in names if name not in off and name not in beyond]
    used = set(table.loc[table["used"].astype(bool), "tower"])
    counted = [name for name in within if name in used]
    out = []
    if generated:
        out.append("The run's data are generated, no observation: the comparison says nothing about the real region.")
    if len(off) == len(names):
        out.append(f"All {len(names)} tower(s) lie outside the grid: nothing is compared, the run is not validated.")
    elif not within:
        out.append(f"All {len(names)} tower(s) lie outside the regions of the run: the regions are not validated.")
    elif not counted:
        out.append(f"No tower in the {domain} has a year to compare: the run is not validated.")
    elif len(counted) == 1:
        out.append(f"Only one tower ({counted[0]}) in the {domain} has a year to compare: one tower is no validation.")
    if off and len(off) < len(names):
        out.append(f"Outside the grid: {', '.join(off)}.")
    if beyond and within:
        out.append(f"On the grid, outside the regions: {', '.join(beyond)}.")
    empty = table[table["reason"].str.contains(NO_DATA, regex=False)]
    if len(empty):
        years = [f"{name} ({', '.join(map(str, part['year']))})" for name, part in empty.groupby("tower", sort=False)]
        out.append(f"The cell has no data: {'; '.join(years)}.")
    if potential:
        out.append("The run's NEP is potential: its NPP is what the climate allows, not what was seen.")
    size = f"{1000 * cell_km:.0f} m" if cell_km < 1 else f"{cell_km:.3g} km"
    out.append(
        f"A tower sees some hundred metres of ground upwind of it, a cell is {size} a side: part of the difference "
        "is one of scale."
    )
    out.append("NEP is not the net biome balance: fire, harvest, grazing and lateral export are not in it.")
    return out


def summary_lines(comparison: Comparison, said: Sequence[str]) -> list[str]:
    """Write a comparison for reading: numbers, what is not used and why, and the notes.

    Parameters
    ----------
    comparison : Comparison
    said : sequence of str
        As `notes` gives them.

    Returns
    -------
    list of str
    """
    table = comparison.table
    cell = agreement(table)
    out = [
        f"towers       {cell.towers} of {len(comparison.towers)}",
        f"tower-years  {cell.tower_years} of {len(table)}",
    ]
    for column, name in COMPARED if cell.tower_years else ():
        a = agreement(table, column)
        r = f"r {a.r:.2f}" if not math.isnan(a.r) else "r needs three tower-years that differ"
        out.append(f"{name:<12} RMSE {a.rmse:.1f}, bias {a.bias:+.1f} gC m-2 yr-1, {r}")
    left = table[~table["used"].astype(bool)]
    out += [
        f"not used     {tower} {year}: {reason}"
        for tower, year, reason in list(zip(left["tower"], left["year"], left["reason"], strict=True))[:_MOST_LINES]
    ]
    if len(left) > _MOST_LINES:
        out.append(f"not used     and {len(left) - _MOST_LINES} more, in the table")
    return [*out, *(f"note         {sentence}" for sentence in said)]
