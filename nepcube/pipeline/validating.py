"""Validate: the NEP of a finished run held against flux towers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import report as report_room
from nepcube import spec, store
from nepcube import validate as validate_room
from nepcube.errors import StoreError
from nepcube.execute import RunLock
from nepcube.grid import Window, cell_area, geobox_of
from nepcube.pipeline.context import RUN_STAGES
from nepcube.pipeline.status import status
from nepcube.places import Place, place_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

NAME = "validation"


@dataclass(frozen=True)
class Validated:
    """What a validation found and where it is kept.

    Attributes
    ----------
    comparison : nepcube.validate.Comparison
    notes : tuple of str
        What the comparison does not show.
    lines : tuple of str
        All of it for reading.
    files : tuple of Place
        The table, and the figure where there is a tower-year to draw.
    """

    comparison: validate_room.Comparison
    notes: tuple[str, ...]
    lines: tuple[str, ...]
    files: tuple[Place, ...]


def validate(out: str | os.PathLike[str] | Place, towers: str | os.PathLike[str]) -> Validated:
    """Hold the NEP of a finished run against flux towers, and keep table and figure in its output.

    Parameters
    ----------
    out : path-like, str or Place
        The output of a run.
    towers : path-like
        CSV with the columns ``name, latitude, longitude, file``; see `nepcube.compare_with_towers`.

    Returns
    -------
    Validated

    Raises
    ------
    StoreError
        The output is not that of a finished run, or another run holds it.
    SourceError
        The list or a tower's file cannot be used, or no tower has a year that counts.

    References
    ----------
    Pastorello, G. et al. 2020. The FLUXNET2015 dataset and the ONEFlux processing pipeline for eddy covariance data.
    Scientific Data 7, 225. https://doi.org/10.1038/s41597-020-0534-3
    """
    listed = validate_room.load_towers(towers)
    out = place_of(out)
    _require_finished(out)
    with RunLock(out):
        cube = store.open_cube(out)
        grid = geobox_of(cube["nep"])
        years = [int(year) for year in cube["time"].dt.year.values]

        def read(window: Window) -> NDArray[Any]:
            block: NDArray[Any] = store.read_block(out / store.CUBE, ["nep"], window)["nep"]
            return block

        found = validate_room.compare(listed, grid, years, read)
        potential = str(cube["nep"].attrs.get("long_name", "")).startswith("potential")
        notes = validate_room.notes(
            found,
            cell_km=_side(grid),
            outside_regions=_outside_regions(out, found),
            potential=potential,
            generated=spec.is_generated(cube.attrs),
        )
        lines = validate_room.summary_lines(found, notes)
        files = _keep(out, found, notes, "potential NEP" if potential else "NEP")
    return Validated(found, tuple(notes), tuple(lines), tuple(files))


def _require_finished(out: Place) -> None:
    found = status(out)
    # the page may be missing, or be older than the tables: nothing here is read from it
    needed = RUN_STAGES[:-1]
    missing = [stage for stage, done in found.stages if stage in needed and not done]
    missing += [name for name, there in found.committed if not there]
    if missing:
        raise StoreError(
            f"{out}: the run is not finished ({', '.join(missing)}).",
            "Run nepcube again with the same recipe and output: it continues.",
        )


def _outside_regions(out: Place, found: validate_room.Comparison) -> list[str] | None:
    region = store.open_statistics(out)["region"]
    if not region.attrs.get("names"):
        return None
    beyond = []
    for tower, cell in zip(found.towers, found.cells, strict=True):
        if cell is None:
            continue
        window = Window(cell[0], cell[0] + 1, cell[1], cell[1] + 1)
        if int(store.read_block(out / store.STATISTICS, ["region"], window)["region"].item()) <= 0:
            beyond.append(tower.name)
    return beyond


def _side(grid: GeoBox) -> float:
    # of a square as large as the cell in the middle
    row, column = (int(n) // 2 for n in grid.shape)
    return float(np.sqrt(cell_area(grid, Window(row, row + 1, column, column + 1)).values.mean()))


def _keep(out: Place, found: validate_room.Comparison, notes: list[str], quantity: str) -> list[Place]:
    table, figure = out / "tables" / f"{NAME}.csv", out / "figures" / f"{NAME}.png"
    with (out / "tables").local_folder() as folder:
        report_room.write_tables({NAME: found.table}, Path(folder))
    a = validate_room.agreement(found.table)
    if not a.tower_years:
        # a figure of an earlier list would be taken for this one's
        figure.delete()
        return [table]
    r = "" if np.isnan(a.r) else f", r {a.r:.2f}"
    bias = f"{a.bias:+.1f}".replace("-", "−")
    caption = (
        f"{a.tower_years} tower-year(s) of {a.towers} tower(s)",
        f"cells: RMSE {a.rmse:.1f}, bias {bias} gC m⁻² yr⁻¹{r}",
    )
    with (out / "figures").local_folder() as folder:
        report_room.draw_agreement(
            found.table, Path(folder) / figure.name, caption=caption, warning=_warning(notes), quantity=quantity
        )
    return [table, figure]


def _warning(notes: list[str]) -> str | None:
    # a figure travels without the words beside it
    grave = [n for n in notes if "generated" in n or "validat" in n]
    return " ".join(grave) or None
