"""Bringing polygons to another CRS: edges that stay straight in their own, and longitudes that run from -180 to 180."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import RegionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Polygons = NDArray[np.object_]
    Points = NDArray[np.float64]


class Nowhere(ValueError):
    """A point of a polygon has no place in another CRS."""


# how far an edge may lie from where it is straight in the file's CRS: a hundredth of a metre, and what it is in degrees
_METRES, _DEGREES = 0.01, 1e-7
# an edge is halved no more often: pieces of a millionth are straight enough anywhere
_HALVINGS = 20


def projected(polygons: Polygons, source: Any, target: Any, *, straight: bool) -> Polygons:
    """Bring polygons to another CRS.

    Parameters
    ----------
    polygons : numpy.ndarray
        Polygons and multipolygons in `source`; longitudes run from -180 to 180.
    source, target : pyproj.CRS
    straight : bool
        Whether edges are given the vertices that keep them straight in `source`, to a centimetre; else vertices are
        brought over as they are, as a desktop GIS does.

    Raises
    ------
    Nowhere
        A point of theirs has no place in the target.
    RegionError
        One encloses a pole and the target counts degrees.
    """
    import shapely
    from pyproj import Transformer

    if source.is_exact_same(target):
        return polygons
    transform = Transformer.from_crs(source, target, always_xy=True).transform

    def moved(points: Points) -> Points:
        out = np.stack(transform(points[:, 0], points[:, 1]), axis=1)
        if not np.isfinite(out).all():
            x, y = points[~np.isfinite(out).all(axis=1)][0]
            raise Nowhere(f"{x:.6f}, {y:.6f} is nowhere in the grid's CRS")
        return out

    if straight:
        polygons = straightened(polygons, moved, degrees=target.is_geographic)
    out: Polygons = shapely.transform(polygons, moved)
    if not target.is_geographic:
        return out
    if not source.is_geographic:
        out = np.array([_unwound(each) for each in out], object)
    return within_longitudes(out)[0]


def straightened(polygons: Polygons, moved: Callable[[Points], Points], *, degrees: bool) -> Polygons:
    """Halve edges until they are straight after `moved`, too; the same for both neighbours of an edge."""
    import shapely

    parts, of_polygon = shapely.get_parts(polygons, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    limit = _DEGREES if degrees else _METRES
    there = moved(points)
    fresh = of_ring[1:] == of_ring[:-1]
    for _ in range(_HALVINGS):
        at = np.flatnonzero(fresh)
        a, b = points[at], points[at + 1]
        ends = there[at], there[at + 1]
        # the middle alone would not see an edge that bends both ways
        middle = (a + b) / 2
        far = np.zeros(at.size)
        for inner, share in ((middle, 0.5), ((a + middle) / 2, 0.25), ((middle + b) / 2, 0.75)):
            place = moved(inner)
            offset = (1 - share) * _turned(ends[0] - place, degrees) + share * _turned(ends[1] - place, degrees)
            far = np.maximum(far, np.hypot(*offset.T))
        bent = far > limit
        if not bent.any():
            break
        at, middle = at[bent], middle[bent]
        points = np.insert(points, at + 1, middle, axis=0)
        there = np.insert(there, at + 1, moved(middle), axis=0)
        of_ring = np.insert(of_ring, at + 1, of_ring[at])
        fresh = np.zeros(len(points) - 1, bool)
        new = at + 1 + np.arange(at.size)
        fresh[new] = fresh[new - 1] = True
    made = shapely.polygons(shapely.linearrings(points, indices=of_ring), indices=of_part)
    out: Polygons = shapely.multipolygons(made, indices=of_polygon)
    return out


def _turned(offset: Points, degrees: bool) -> Points:
    # differences of longitude the short way round
    if degrees:
        offset = offset.copy()
        offset[:, 0] -= 360.0 * np.round(offset[:, 0] / 360.0)
    return offset


def within_longitudes(polygons: Polygons) -> tuple[Polygons, NDArray[np.bool_]]:
    """Cut what lies beyond 180 degrees west or east, and put it where it is on the globe; tell which that concerned."""
    import shapely

    west, _, east, _ = shapely.bounds(polygons).T
    beyond = (west < -180.0) | (east > 180.0)
    if not beyond.any():
        return polygons, beyond
    out = polygons.copy()
    for k in np.flatnonzero(beyond):
        first, last = (int(np.floor((edge + 180.0) / 360.0)) for edge in (west[k], east[k]))
        turns = np.arange(first, last + 1)
        globe = shapely.box(360.0 * turns - 180.0, -1e3, 360.0 * turns + 180.0, 1e3)
        pieces = shapely.intersection(polygons[k], globe)
        back = [shapely.transform(piece, _by(-360.0 * turn)) for piece, turn in zip(pieces, turns, strict=True)]
        out[k] = only_polygons(shapely.union_all(back))
    return out, beyond


def _by(step: float) -> Callable[[Points], Points]:
    return lambda points: points + np.array([step, 0.0])


def only_polygons(geometry: Any) -> Any:
    """Leave out points and lines, such as an intersection or a mended polygon brings; None where nothing is left."""
    import shapely

    parts = shapely.get_parts(geometry)
    # a collection may hold multipolygons
    parts = shapely.get_parts(parts)
    kept = parts[(shapely.get_type_id(parts) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(parts)]
    if not kept.size:
        return None
    return kept[0] if kept.size == 1 else shapely.union_all(kept)


def require_degrees(polygons: Polygons, where: Callable[[int], str]) -> None:
    """Refuse coordinates that are no longitudes and latitudes, such as metres of a file that names no CRS."""
    import shapely

    west, south, east, north = shapely.bounds(polygons).T
    odd = np.flatnonzero((south < -90.0) | (north > 90.0) | (west < -540.0) | (east > 540.0))
    if odd.size:
        k = int(odd[0])
        raise RegionError(
            f"{where(k)} reaches from {west[k]:g}, {south[k]:g} to {east[k]:g}, {north[k]:g}: these are no degrees.",
            "Save the file again with its true CRS (GeoJSON has longitude and latitude alone, in this order).",
        )


def require_short_edges(polygons: Polygons, where: Callable[[int], str]) -> None:
    """Refuse an edge of more than half the globe: it may as well be meant to cross the antimeridian.

    An edge along the whole globe, from 180 west to 180 east, is what it says.
    """
    import shapely

    points, of = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(polygons)), return_index=True)
    lon = points[:, 0]
    long = (np.abs(np.diff(lon)) > 180.0) & (of[1:] == of[:-1])
    long &= ~((np.abs(lon[1:]) == 180.0) & (np.abs(lon[:-1]) == 180.0))
    if not long.any():
        return
    at = int(np.flatnonzero(long)[0])
    rings_of = shapely.get_parts(polygons, return_index=True)[1][
        shapely.get_rings(shapely.get_parts(polygons), return_index=True)[1]
    ]
    raise RegionError(
        f"{where(int(rings_of[of[at]]))} has an edge from longitude {lon[at]:g} to {lon[at + 1]:g}: over the "
        "antimeridian, or around the globe?",
        "Split it at the antimeridian (ogr2ogr -wrapdateline), write longitudes beyond 180, or add a vertex on it.",
    )


def _unwound(polygon: Any) -> Any:
    # a ring that steps over the antimeridian goes on beyond 180, its holes with it
    import shapely

    points, of = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(polygon)), return_index=True)
    if not (np.abs(np.diff(points[:, 0])[of[1:] == of[:-1]]) > 180.0).any():
        return polygon
    made = []
    for part in shapely.get_parts(polygon):
        rings: list[Points] = []
        for ring in shapely.get_rings(part):
            at = shapely.get_coordinates(ring)
            steps = -360.0 * np.round(np.diff(at[:, 0]) / 360.0)
            if steps.sum():
                raise RegionError(
                    "regions: one encloses a pole, and has no outline in degrees.",
                    "Cut it at the pole, or choose a `grid.crs` around the pole.",
                )
            at[1:, 0] += np.cumsum(steps)
            if rings:
                outer = rings[0][:, 0]
                at[:, 0] += 360.0 * np.round(((outer.min() + outer.max()) / 2 - at[:, 0].mean()) / 360.0)
            rings.append(at)
        made.append(shapely.Polygon(rings[0], rings[1:]))
    return shapely.MultiPolygon(made)
