"""The cells that the files of one mosaic share: the MODIS sinusoidal grid, or a lattice of degrees.

What a file's header says of its place is a `Footprint`; brought to the lattice of the mosaic it is a `Rectangle` of
whole cells, or is refused. Metres of the sinusoidal grid are those of its sphere (MODIS Land: "MODIS Grids").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nepcube.sources.protocol import Bounds

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

#: sphere of the MODIS sinusoidal grid, and one of its 36 x 18 tiles, m
SPHERE = 6371007.181
TILE = 1111950.5196666666
H_TILES, V_TILES = 36, 18
SINUSOIDAL = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={SPHERE} +units=m +no_defs"
GEOGRAPHIC = "EPSG:4326"

# how far, in cells, a corner may lie from the lattice: providers round metres to micrometres and degrees to 1e-12
_OFF = 0.02


@dataclass(frozen=True)
class Rectangle:
    """Whole cells of a lattice; rows run southwards."""

    row: int
    column: int
    rows: int
    columns: int

    def overlaps(self, other: Rectangle) -> bool:
        return (
            self.row < other.row + other.rows
            and other.row < self.row + self.rows
            and self.column < other.column + other.columns
            and other.column < self.column + self.columns
        )

    def holds(self, rows: range, columns: range) -> bool:
        """Tell whether some rows and columns of the lattice, at least one of each, all lie in it."""
        return (
            self.row <= rows[0]
            and rows[-1] < self.row + self.rows
            and self.column <= columns[0]
            and columns[-1] < self.column + self.columns
        )


@dataclass(frozen=True)
class Footprint:
    """Where a header says that its cells lie: the upper left corner, the steps (both positive) and the size.

    `crs` is `SINUSOIDAL` or `GEOGRAPHIC`.
    """

    crs: str
    left: float
    top: float
    dx: float
    dy: float
    rows: int
    columns: int

    @property
    def is_on_earth(self) -> bool:
        """Whether all of it lies on the globe, half a cell or a turn apart, in steps of a metre at least."""
        half, least = ((18 * TILE, 1.0), (180.0, 1e-5))[self.crs == GEOGRAPHIC]
        right, bottom = self.left + self.columns * self.dx, self.top - self.rows * self.dy
        numbers = (self.left, self.top, self.dx, self.dy, right, bottom)
        if not all(map(math.isfinite, numbers)) or min(self.dx, self.dy) < least:
            return False
        turn = 360.0 if self.crs == GEOGRAPHIC else half
        return (
            self.left >= -half - self.dx
            and right <= turn + self.dx
            and self.top <= half / 2 + self.dy
            and bottom >= -half / 2 - self.dy
        )


@dataclass(frozen=True)
class Lattice:
    """Cell edges without end, at ``x0 + k dx`` and ``y0 - k dy`` for whole k, on which files of one mosaic meet."""

    crs: str
    x0: float
    y0: float
    dx: float
    dy: float

    @classmethod
    def of(cls, foot: Footprint) -> Lattice:
        """Give the lattice that a footprint stands on: the MODIS grid where it fits, else its own."""
        if foot.crs == SINUSOIDAL:
            step = TILE / max(round(TILE / foot.dx), 1)
            modis = cls(SINUSOIDAL, 0.0, 0.0, step, step)
            if modis.place(foot) is not None:
                return modis
        return cls(foot.crs, foot.left, foot.top, foot.dx, foot.dy)

    @property
    def is_modis(self) -> bool:
        return self.crs == SINUSOIDAL and self.x0 == self.y0 == 0.0 and self.dx == self.dy

    def place(self, foot: Footprint) -> Rectangle | None:
        """Give the cells that a footprint covers, or None where it does not fit."""
        if foot.crs != self.crs:
            return None
        # a step that differs is a drift over the file's width
        if (
            abs(foot.dx - self.dx) * foot.columns > _OFF * self.dx
            or abs(foot.dy - self.dy) * foot.rows > _OFF * self.dy
        ):
            return None
        column, row = (foot.left - self.x0) / self.dx, (self.y0 - foot.top) / self.dy
        if not math.isfinite(column) or not math.isfinite(row):
            return None
        if abs(column - round(column)) > _OFF or abs(row - round(row)) > _OFF:
            return None
        return Rectangle(round(row), round(column), foot.rows, foot.columns)

    def box(self, at: Rectangle) -> GeoBox:
        """Give the GeoBox of some cells."""
        from affine import Affine
        from odc.geo.geobox import GeoBox

        left, top = self.x0 + at.column * self.dx, self.y0 - at.row * self.dy
        return GeoBox((at.rows, at.columns), Affine(self.dx, 0.0, left, 0.0, -self.dy, top), self.crs)


def tile_name(h: int, v: int) -> str:
    """Name a tile as the providers do."""
    return f"h{h:02d}v{v:02d}"


def tile_cells(h: int, v: int, pixels: int) -> Footprint:
    """Give the exact footprint of a tile."""
    step = TILE / pixels
    return Footprint(SINUSOIDAL, (h - H_TILES // 2) * TILE, (V_TILES // 2 - v) * TILE, step, step, pixels, pixels)


def tiles_touching(bounds: Bounds) -> list[str]:
    """Name the tiles that touch some bounds, in degrees."""
    west, south, east, north = (math.radians(b) for b in bounds)
    names = set()
    # a hundredth of a tile apart, so that no row of tiles is stepped over
    for phi in np.linspace(south, north, max(2, math.ceil((north - south) * SPHERE / TILE * 100))):
        v = math.floor(V_TILES / 2 - phi * SPHERE / TILE)
        first, last = (math.floor(H_TILES / 2 + lam * math.cos(phi) * SPHERE / TILE) for lam in (west, east))
        row = min(max(v, 0), V_TILES - 1)
        names |= {tile_name(h, row) for h in range(first, min(last, H_TILES - 1) + 1)}
    return sorted(names)


@lru_cache(maxsize=64)
def crs_of(wkt: str) -> tuple[str | None, bool, str]:
    """Tell what a CRS is: `SINUSOIDAL`, `GEOGRAPHIC` or None; whether that is by its name alone; how to call it.

    Earth Engine writes the MODIS grid as SR-ORG:6974, whose sphere stands in projection parameters that GeoTIFF drops:
    what is left is a sinusoidal projection of WGS84 called "MODIS Sinusoidal". Its metres are the sphere's.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        crs = CRS.from_user_input(wkt)
        name, figure, cf = str(crs.name), crs.ellipsoid, crs.to_cf()
    except CRSError:
        return None, False, "not one that is known"
    if figure is None:
        return None, False, name
    axes = figure.semi_major_metre, figure.semi_minor_metre
    if crs.is_geographic:
        wgs84 = abs(axes[0] - 6378137.0) < 1e-3 and abs(axes[1] - 6356752.314245) < 1e-3
        return (GEOGRAPHIC if wgs84 and _centred(cf) else None), False, name
    if cf.get("grid_mapping_name") != "sinusoidal" or not _centred(cf):
        return None, False, name
    if all(axis is not None and abs(axis - SPHERE) < 1e-2 for axis in axes):
        return SINUSOIDAL, False, name
    by_name = "6371007.181" in wkt or "modis" in name.lower()
    return (SINUSOIDAL if by_name else None), by_name, f"{name} on {figure.name}"


def _centred(cf: dict[str, object]) -> bool:
    keys = ("longitude_of_central_meridian", "longitude_of_projection_origin", "longitude_of_prime_meridian")
    return not any(cf.get(key) for key in (*keys, "false_easting", "false_northing"))
