"""Regions that share area: which, how much, and the union in which each bit of it counts once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.regions.areas import authalic_areas
from nepcube.regions.projecting import only_polygons

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: neighbours digitised apart overlap by slivers; more than this share of the smaller one is no sliver
SLIVER = 1e-3
# less than this share of the smaller one is the rounding of shared vertices
_ROUNDING = 1e-12


def _without_overlap(polygons: NDArray[np.object_]) -> NDArray[np.bool_]:
    # which polygons surely overlap no other, edge by edge: neighbours of one survey share their vertices, and the
    # intersection of each pair would take most of the time of reading them
    import shapely

    search = getattr(shapely, "coverage_invalid_edges", None)
    if search is None or shapely.geos_version < (3, 12, 0):
        return np.zeros(len(polygons), bool)
    return np.asarray(shapely.is_empty(search(polygons)), bool)


@dataclass(frozen=True)
class Overlaps:
    """The pairs of regions that share area, the largest share of the smaller one first.

    Attributes
    ----------
    first, second : numpy.ndarray
        The places of both regions.
    area : numpy.ndarray
        What they share, km2.
    large : numpy.ndarray
        Whether it is more than a sliver.
    of_each : numpy.ndarray
        For every region the area that it shares with any other, km2.
    firsts : numpy.ndarray
        Every region without what those before it have, too: the same object where it shares nothing with them, None
        where nothing is left.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    area: NDArray[np.float64]
    large: NDArray[np.bool_]
    of_each: NDArray[np.float64]
    firsts: NDArray[np.object_]


def overlaps_of(polygons: NDArray[np.object_], crs: Any) -> Overlaps:
    """Find the pairs of polygons that share area.

    Parameters
    ----------
    polygons : numpy.ndarray
        Valid polygons and multipolygons.
    crs : pyproj.CRS
        Theirs.
    """
    import shapely

    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    clean = _without_overlap(polygons)
    kept = (first < second) & ~(clean[first] & clean[second])
    first, second = first[kept], second[kept]
    shared = shapely.intersection(polygons[first], polygons[second])
    size = shapely.area(polygons)
    with np.errstate(invalid="ignore"):
        share = shapely.area(shared) / np.minimum(size[first], size[second])
    # a region without area shares none
    order = np.flatnonzero(share > _ROUNDING)
    order = order[np.lexsort((second[order], first[order], -share[order]))]
    first, second, share = first[order], second[order], share[order]
    pieces = np.array([only_polygons(piece) for piece in shared[order]], object)
    firsts, of_each = polygons.copy(), np.zeros(len(polygons))
    for k in np.unique(np.concatenate([first, second])):
        common = shapely.union_all(pieces[(first == k) | (second == k)])
        of_each[k] = authalic_areas(np.array([only_polygons(common)], object), crs)[0]
        before = first[second == k]
        if before.size:
            firsts[k] = only_polygons(shapely.difference(polygons[k], shapely.union_all(polygons[before])))
    return Overlaps(first, second, authalic_areas(pieces, crs), share > SLIVER, of_each, firsts)
