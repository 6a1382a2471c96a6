"""The share of each cell that lies in each region: exact areas of polygons in the cells of a window.

Edges are straight in the CRS of the grid; `nepcube.regions.polygons` has given them the vertices that a straight edge
in the CRS of the file needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import Window
from nepcube.regions.members import Members
from nepcube.regions.shapes import Shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

#: the group of the union of all regions, each bit of area once
UNION = 0


def share_window(shapes: Shapes, grid: GeoBox, window: Window) -> Members:
    """Find the cells of a window that each region touches, with the share of their area, and those of the union.

    What a cell gets does not depend on the window. Shares are multiples of 2**-61; vertices are taken to the nearest
    2**-30 of a cell.

    Parameters
    ----------
    shapes : Shapes
        Regions in the grid's CRS.
    grid : odc.geo.geobox.GeoBox
    window : Window

    Returns
    -------
    Members
        Of the groups 1, 2, ... of the regions, and of group 0, their union.
    """
    from nepcube.regions import _kernels

    near = shapes.near(grid, window)
    groups: list[int] = []
    parts: list[tuple[Any, Any, Any]] = []
    union = np.zeros(window.shape[0] * window.shape[1], np.int64)
    for number, polygon, first in zip(near.numbers, near.polygons, near.firsts, strict=True):
        runs = _runs(polygon, grid, window)
        groups.append(int(number))
        parts.append(runs)
        if first is not None:
            _kernels.add_runs(union, *(runs if first is polygon else _runs(first, grid, window)))
    groups.append(UNION)
    parts.append(_runs_of(union))
    starts, lengths, areas = (np.concatenate([part[k] for part in parts]) for k in range(3))
    labels = np.repeat(groups, [part[0].size for part in parts])
    return Members.of_runs(labels, starts, lengths, areas / _kernels.WHOLE)


def _runs(polygon: Any, grid: GeoBox, window: Window) -> tuple[Any, Any, Any]:
    import shapely

    from nepcube.regions import _kernels

    rings, of = shapely.get_rings(shapely.get_parts(polygon), return_index=True)
    outer = np.append(True, of[1:] != of[:-1]) if of.size else np.zeros(0, bool)
    at, of_ring = shapely.get_coordinates(rings, return_index=True)
    a = grid.affine
    u, v = ((at[:, 0] - a.c) / a.a, (at[:, 1] - a.f) / a.e)
    u, v = (np.rint(each * _kernels.CELL).astype(np.int64) for each in (u, v))
    ends = np.searchsorted(of_ring, np.arange(rings.size), "right").astype(np.int64)
    signs = np.where(shapely.is_ccw(rings) == outer, 1, -1).astype(np.int64)
    starts, lengths, areas = _kernels.area_runs(u, v, ends, signs, window.y0, window.y1, window.x0, window.x1)
    return starts, lengths, areas


def _runs_of(areas: NDArray[np.int64]) -> tuple[Any, Any, Any]:
    starts = np.flatnonzero(np.concatenate([[True], areas[1:] != areas[:-1]]))
    lengths = np.diff(starts, append=areas.size)
    there = areas[starts] > 0
    return starts[there], lengths[there], areas[starts[there]]
