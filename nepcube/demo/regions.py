"""The six ecoregions of the generated Headwaters: polygons that share every border vertex.

The arrangement follows the reference study (desert in the north-west, meadow in the middle, conifers south-east);
the lines are drawn here, they are no official boundary.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import geopandas as gpd
    from shapely.geometry import Polygon

Point = tuple[float, float]


class Ecoregion(NamedTuple):
    """What an ecoregion is called, and a point that lies inside it."""

    name: str
    code: str
    name_zh: str
    inside: Point


ECOREGIONS = (
    Ecoregion("Hoh Xil semi-desert and desert", "III3(2)", "可可西里半荒漠、荒漠生态区", (91.2, 35.4)),
    Ecoregion("Qaidam Basin desert and salt crust", "III3(1)", "柴达木盆地荒漠、盐壳生态区", (94.9, 35.4)),
    Ecoregion("Qiangtang Plateau alpine steppe", "III2(5)", "羌塘高原高寒草原生态区", (91.4, 33.9)),
    Ecoregion("River headwaters alpine meadow", "III2(3)", "江河源区高寒草甸生态区", (96.0, 34.0)),
    Ecoregion("Eastern Qinghai farming and grazing", "III2(2)", "青海东部农牧生态区", (100.5, 35.1)),
    Ecoregion(
        "Eastern Tibetan Plateau dark conifer forest and alpine meadow",
        "III1(2)",
        "青藏高原东部暗针叶林、高寒草甸生态区",
        (100.3, 33.5),
    ),
)

# Nodes where borders meet. Each arc below is drawn once, so two polygons have its vertices in common.
_W = (89.68, 34.74)
_N1 = (92.72, 35.72)
_N2 = (97.50, 35.12)
_N3 = (98.86, 35.42)
_E = (102.02, 34.40)
_S1 = (97.86, 32.66)
_S2 = (92.64, 33.36)
_J1 = (92.92, 34.66)
_J2 = (93.14, 35.12)
_J3 = (99.40, 34.30)

_ARCS: tuple[tuple[Point, ...], ...] = (
    (_W, (89.84, 35.30), (89.72, 35.78), (90.55, 35.96), (91.62, 35.84), _N1),
    (_N1, (93.60, 35.60), (94.80, 35.62), (95.90, 35.40), (96.80, 35.46), _N2),
    (_N2, (98.20, 35.06), _N3),
    (_N3, (99.45, 35.80), (100.00, 36.08), (100.55, 35.60), (101.46, 35.48), (102.12, 35.16), (101.84, 34.80), _E),
    (_E, (102.16, 34.08), (101.50, 33.78), (101.50, 33.30), (101.00, 33.02), (100.20, 32.96), (99.30, 33.20), _S1),
    (_S1, (97.22, 32.12), (96.30, 31.90), (95.40, 32.50), (94.72, 33.10), (93.52, 33.22), _S2),
    (_S2, (91.60, 33.48), (90.52, 33.66), (89.90, 34.10), _W),
    (_W, (90.60, 34.60), (91.80, 34.86), _J1),
    (_J1, _J2),
    (_J2, (92.80, 35.46), _N1),
    (_J2, (94.30, 35.22), (95.60, 35.02), (96.80, 35.10), _N2),
    (_J1, (93.12, 34.10), (92.60, 33.62), _S2),
    (_N3, (98.76, 34.96), (99.14, 34.62), _J3),
    (_J3, (100.40, 34.28), (101.30, 34.54), _E),
    (_J3, (98.90, 33.98), (98.18, 33.36), _S1),
)

_MASK = (1 << 64) - 1


def _signed(key: int) -> float:
    # a number in [-1, 1) that depends on the key alone (splitmix64)
    h = (key * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) & _MASK
    h = ((h ^ (h >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    h = ((h ^ (h >> 27)) * 0x94D049BB133111EB) & _MASK
    return (h >> 11) / 2.0**52 - 1.0


def _wiggle(a: Point, b: Point, key: int, depth: int) -> list[Point]:
    # midpoint displacement; gives the points from a (included) to b (left out)
    if depth == 0:
        return [a]
    shift = 0.15 * _signed(key)
    x = (a[0] + b[0]) / 2 - shift * (b[1] - a[1])
    y = (a[1] + b[1]) / 2 + shift * (b[0] - a[0])
    middle = (round(x, 6), round(y, 6))
    return _wiggle(a, middle, 2 * key, depth - 1) + _wiggle(middle, b, 2 * key + 1, depth - 1)


def _arc(points: tuple[Point, ...], number: int) -> list[Point]:
    line: list[Point] = []
    for k, (a, b) in enumerate(itertools.pairwise(points)):
        line += _wiggle(a, b, (number * 64 + k + 1) << 8, 5)
    return [*line, points[-1]]


def polygons() -> list[Polygon]:
    """Draw the six polygons, in the order of `ECOREGIONS`."""
    from shapely.geometry import LineString, Point
    from shapely.ops import polygonize

    faces = list(polygonize([LineString(_arc(points, number)) for number, points in enumerate(_ARCS)]))
    return [next(face for face in faces if face.contains(Point(region.inside))) for region in ECOREGIONS]


def ecoregions() -> gpd.GeoDataFrame:
    """Give the six ecoregions as a table.

    Returns
    -------
    geopandas.GeoDataFrame
        EPSG:4326, columns ``name``, ``code``, ``name_zh`` and ``geometry``, in the order of the reference study.
        The polygons are valid, share their borders vertex for vertex, and do not overlap.
    """
    import geopandas as gpd

    return gpd.GeoDataFrame(
        {
            "name": [region.name for region in ECOREGIONS],
            "code": [region.code for region in ECOREGIONS],
            "name_zh": [region.name_zh for region in ECOREGIONS],
        },
        geometry=polygons(),
        crs="EPSG:4326",
    )


def write_regions(path: Path) -> None:
    """Write ``regions.geojson`` (RFC 7946: longitude, latitude, WGS 84) with the coordinates' six decimals."""
    features = []
    for region, polygon in zip(ECOREGIONS, polygons(), strict=True):
        ring = list(polygon.exterior.coords)
        if not polygon.exterior.is_ccw:
            ring.reverse()
        features.append(
            {
                "type": "Feature",
                "properties": {"name": region.name, "code": region.code, "name_zh": region.name_zh},
                "geometry": {"type": "Polygon", "coordinates": [[list(point) for point in ring]]},
            }
        )
    collection = {"type": "FeatureCollection", "name": "ecoregions", "features": features}
    path.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
