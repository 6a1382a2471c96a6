"""How regions lie on a grid: which lie outside, reach beyond it, or hold the centre of no cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import Window, coordinates, edges
from nepcube.regions.labels import label_window
from nepcube.regions.polygons import Regions, count_of, told_names
from nepcube.regions.shapes import Shapes, shapes_of

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

# centres of cells that are tried before a region is labelled, a side; and the cells that are labelled at once
_TRIED = 32
_LABELLED = 1 << 20


def outside_notes(regions: Regions, grid: GeoBox) -> list[str]:
    """Say which regions lie outside the grid or reach beyond it."""
    import shapely

    names = regions.names
    polygons = regions.frame.geometry.to_numpy()
    box = _box(grid)
    meets, within = shapely.intersects(polygons, box), shapely.covers(box, polygons)
    out = []
    outside = [n for n, met in zip(names, meets, strict=True) if not met]
    if outside:
        out.append(f"{count_of(outside)} outside the grid, with nothing in the tables: {told_names(outside)}.")
    beyond = [n for n, met, whole in zip(names, meets, within, strict=True) if met and not whole]
    if beyond:
        out.append(f"{count_of(beyond)} reaching beyond the grid, counted within it only: {told_names(beyond)}.")
    return out


def missed_notes(regions: Regions, grid: GeoBox) -> list[str]:
    """Say which regions on the grid hold the centre of no cell."""
    import shapely

    shapes = shapes_of(regions.frame)
    meets = shapely.intersects(regions.frame.geometry.to_numpy(), _box(grid))
    missed = [regions.names[k] for k in np.flatnonzero(meets) if not holds_centre(shapes, int(k), grid)]
    return [missed_note(missed)] if missed else []


def _box(grid: GeoBox) -> Any:
    import shapely

    y, x = edges(grid)
    return shapely.box(x.min(), y.min(), x.max(), y.max())


def missed_note(names: list[str]) -> str:
    """Say which regions have no cell."""
    return (
        f"{count_of(names)} with the centre of no cell, and so without a value (`regions.overlap: exact` gives them "
        f"their shares of cells): {told_names(names)}."
    )


def holds_centre(shapes: Shapes, k: int, grid: GeoBox) -> bool:
    """Tell whether a region holds the centre of a cell, as labels do; labels no more of it than that takes."""
    polygon = shapes.polygons[k]
    west, south, east, north = polygon.bounds
    y, x = coordinates(grid)
    margin_y, margin_x = abs(grid.affine.e), abs(grid.affine.a)
    rows = np.flatnonzero((y >= south - margin_y) & (y <= north + margin_y))
    columns = np.flatnonzero((x >= west - margin_x) & (x <= east + margin_x))
    if not rows.size or not columns.size:
        return False
    some_y, some_x = (at[:: -(-at.size // _TRIED)] for at in (y[rows], x[columns]))
    if _holds_any(polygon, some_x, some_y):
        return True
    alone = Shapes(shapes.numbers[k : k + 1], shapes.polygons[k : k + 1], shapes.firsts[k : k + 1])
    step = max(1, _LABELLED // columns.size)
    for first in range(int(rows[0]), int(rows[-1]) + 1, step):
        window = Window(first, min(first + step, int(rows[-1]) + 1), int(columns[0]), int(columns[-1]) + 1)
        if label_window(alone, grid, window).any():
            return True
    return False


def _holds_any(polygon: Any, x: Any, y: Any) -> bool:
    import shapely

    shapely.prepare(polygon)
    return bool(shapely.contains_xy(polygon, *np.meshgrid(x, y)).any())
