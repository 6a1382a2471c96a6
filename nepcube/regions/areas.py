"""The area of polygons themselves, on the WGS84 ellipsoid, edges straight in their own CRS."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import authalic_zone
from nepcube.regions.projecting import Nowhere, straightened

if TYPE_CHECKING:
    from numpy.typing import NDArray


def authalic_areas(polygons: NDArray[np.object_], crs: Any) -> NDArray[np.float64]:
    """Give the area of polygons in km2.

    It is the integral of the authalic zone (`nepcube.grid.authalic_zone`) over longitude along the rings, by
    Gauss-Legendre quadrature on each edge; holes are taken off. Where `crs` is not of WGS84's degrees, edges are first
    given the vertices that keep them straight in it, to a centimetre.

    Parameters
    ----------
    polygons : numpy.ndarray
        Polygons and multipolygons; None has no area.
    crs : pyproj.CRS

    Raises
    ------
    Nowhere
        A point of theirs is nowhere on the globe.
    """
    import shapely
    from pyproj import CRS, Transformer

    there = np.array([polygon is not None for polygon in polygons], bool)
    out = np.zeros(len(polygons))
    kept = polygons[there]
    if not kept.size:
        return out
    globe = CRS.from_epsg(4326)
    same = crs.is_exact_same(globe) or crs == CRS.from_user_input("OGC:CRS84")
    if not same:
        transform = Transformer.from_crs(crs, globe, always_xy=True).transform

        def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
            found = np.stack(transform(points[:, 0], points[:, 1]), axis=1)
            if not np.isfinite(found).all():
                x, y = points[~np.isfinite(found).all(axis=1)][0]
                raise Nowhere(f"{x:.6f}, {y:.6f} is nowhere on the globe")
            return found

        kept = shapely.transform(straightened(kept, moved, degrees=True), moved)
    parts, of_polygon = shapely.get_parts(kept, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    outer = np.append(True, of_part[1:] != of_part[:-1])
    ring_areas = np.abs(_ring_areas(rings, wound=crs.is_geographic))
    out[there] = np.bincount(of_polygon[of_part], np.where(outer, ring_areas, -ring_areas), minlength=len(kept))
    return out


def _ring_areas(rings: NDArray[np.object_], *, wound: bool) -> NDArray[np.float64]:
    # `wound` says that an edge goes as far as its longitudes say, not the short way round
    import shapely

    points, of = shapely.get_coordinates(rings, return_index=True)
    edge = of[1:] == of[:-1]
    a, b, of_edge = points[:-1][edge], points[1:][edge], of[:-1][edge]
    width = b[:, 0] - a[:, 0]
    if not wound:
        width -= 360.0 * np.round(width / 360.0)
    # against the zone of the ring's first vertex, so that a small ring keeps its digits
    zero = authalic_zone(points[np.searchsorted(of, np.arange(len(rings))), 1])[of_edge]
    height = np.zeros(len(a))
    steep = np.abs(b[:, 1] - a[:, 1]) > 1.0
    for chosen, order in ((~steep, 5), (steep, 20)):
        nodes, weights = np.polynomial.legendre.leggauss(order)
        for node, weight in zip(nodes, weights, strict=True):
            at = a[chosen, 1] + (b[chosen, 1] - a[chosen, 1]) * (1 + node) / 2
            height[chosen] += weight / 2 * (authalic_zone(at) - zero[chosen])
    around = np.bincount(of_edge, np.radians(width), minlength=len(rings))
    area = np.bincount(of_edge, np.radians(width) * height, minlength=len(rings))
    # a ring that goes once around holds a pole, and with it the cap from its first vertex on: of both the nearer
    polar = np.flatnonzero(np.abs(around) > math.pi)
    first = authalic_zone(points[np.searchsorted(of, polar), 1])
    caps = np.abs([around[polar] * (authalic_zone(np.array(pole)) - first) - area[polar] for pole in (90.0, -90.0)])
    area[polar] = caps.min(axis=0)
    return area / 1e6


def told_area(area: float) -> str:
    """Write an area for a sentence."""
    digits = max(0, 2 - math.floor(math.log10(area))) if area > 0 else 0
    return f"{area:,.{min(digits, 6)}f} km2" if area >= 1e-4 or area == 0 else f"{area:.2g} km2"
