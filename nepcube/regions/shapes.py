"""The polygons of some regions with their numbers: what a block needs of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import Window, edges

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True)
class Shapes:
    """Regions by their numbers, ascending, with their polygons in the CRS of a grid.

    `firsts` are the polygons without what a region before has, too: the same object where regions share no area, None
    where nothing is left. Together they are the union of all regions, each bit of area once.
    """

    numbers: NDArray[np.int64]
    polygons: NDArray[np.object_]
    firsts: NDArray[np.object_]

    def near(self, grid: GeoBox, window: Window) -> Shapes:
        """Leave out the regions that no cell of a window, or of the cells around it, touches."""
        import shapely

        touching = shapely.intersects(self.polygons, box_around(grid, window))
        return Shapes(self.numbers[touching], self.polygons[touching], self.firsts[touching])


def box_around(grid: GeoBox, window: Window) -> Any:
    """Give the rectangle of a window, one cell wider on every side."""
    import shapely

    y, x = edges(grid)
    y, x = y[window.y0 : window.y1 + 1], x[window.x0 : window.x1 + 1]
    half_x, half_y = abs(grid.affine.a), abs(grid.affine.e)
    return shapely.box(x.min() - half_x, y.min() - half_y, x.max() + half_x, y.max() + half_y)


def shapes_of(regions: gpd.GeoDataFrame) -> Shapes:
    """Take all regions, numbered from 1 in their order; a column `first` holds what `Shapes.firsts` says."""
    return _taken(regions, np.arange(len(regions)))


def shapes_near(regions: gpd.GeoDataFrame, grid: GeoBox, window: Window) -> Shapes:
    """Find the regions whose bounds meet a window, by the spatial index: what a job of its block is sent."""
    return _taken(regions, np.sort(regions.sindex.query(box_around(grid, window))))


def _taken(regions: gpd.GeoDataFrame, at: NDArray[np.int64]) -> Shapes:
    polygons = regions.geometry.to_numpy()[at]
    firsts = regions["first"].to_numpy()[at] if "first" in regions.columns else polygons
    return Shapes(at.astype(np.int64) + 1, polygons, firsts)
