"""What is wrong with the files of a stratum, found before anything is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nepcube.errors import RegionError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

    from nepcube.regions.lattices import Lattice, Sheet

_MOST_NAMED = 12


def unnamed(name: str, lattice: Lattice, codes: Sequence[int]) -> RegionError:
    """Make the error for codes of a file that the recipe does not name."""
    told = ", ".join(map(str, codes[:_MOST_NAMED])) + (", ..." if len(codes) > _MOST_NAMED else "")
    files = lattice.files[0].sheet.path + (f" and {len(lattice.files) - 1} more" if len(lattice.files) > 1 else "")
    return RegionError(
        f"{files}: strata.{name}: it holds {told}, which `names` does not name.",
        "Add a name for each, or list those that stand for no class in `nodata`.",
    )


def require_whole_numbers(name: str, sheets: Sequence[Sheet]) -> None:
    """Refuse a categorical raster that does not hold whole numbers.

    Raises
    ------
    RegionError
    """
    for sheet in sheets:
        if not sheet.whole:
            raise RegionError(
                f"{sheet.path}: strata.{name}: it holds {sheet.dtype}, or a scale: these are no codes of classes.",
                "Say `kind: continuous` with `breaks`, or write codes: gdal_translate -ot Byte.",
            )


def units_of(name: str, sheets: Sequence[Sheet], given: str | None) -> str:
    """Give the unit of a continuous raster: the recipe's, else what every file says.

    Raises
    ------
    RegionError
        There is none, or files differ.
    """
    if given is not None:
        return given
    said = sorted({sheet.units for sheet in sheets})
    if len(said) == 1 and said[0]:
        return {"metre": "m", "meter": "m", "metres": "m", "meters": "m"}.get(said[0], said[0])
    what = "it names no unit" if said == [""] else f"its files name the units {', '.join(repr(s) for s in said)}"
    raise RegionError(
        f"{sheets[0].path}: strata.{name}: {what}.",
        "Say its true unit with `units:` beside its `path:`, such as `units: m`.",
    )


def require_overlap(name: str, lattices: Sequence[Lattice], grid: GeoBox) -> None:
    """Refuse files none of which touches the grid.

    Raises
    ------
    RegionError
    """
    from nepcube.grid import Window
    from nepcube.regions.lattices import Placing

    window = Window(0, grid.shape[0], 0, grid.shape[1])
    for lattice in lattices:
        rows, columns = Placing(grid, window, lattice).span
        if lattice.meets(rows, columns).any():
            return
    first = lattices[0].files[0].sheet.path
    count = sum(len(lattice.files) for lattice in lattices)
    what = "it does not touch" if count == 1 else f"none of its {count} files touches"
    raise RegionError(
        f"{first}: strata.{name}: {what} the grid.",
        "Give the tiles of your area, or change `grid.bounds`.",
    )
