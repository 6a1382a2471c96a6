"""Slope of heights, in the pixels of their own raster."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import WGS84_A, WGS84_F

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nepcube.regions.lattices import Lattice


def slope_of(lattice: Lattice, rows: range, columns: range) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give the slope of pixels in degrees from heights in m, and where there is none.

    With the nine heights a b c / d e f / g h i, north above: p = ((c + 2f + i) - (a + 2d + g)) / (8 dx),
    q = ((g + 2h + i) - (a + 2b + c)) / (8 dy), slope = atan(sqrt(p^2 + q^2)). dx and dy are the pixel's sides in m: in
    a geographic CRS on the WGS84 ellipsoid at the pixel's latitude, N cos(lat) and M per radian; in a projected one
    in its own units, whose scale is taken as true. A pixel without all nine heights has no slope.

    Parameters
    ----------
    lattice : Lattice
    rows, columns : range

    Returns
    -------
    values : numpy.ndarray
        float64, degrees.
    missing : numpy.ndarray
        bool.

    References
    ----------
    Horn, B. K. P. 1981. Hill shading and the reflectance map. Proceedings of the IEEE 69(1), 14-47.
    """
    from nepcube.regions import _pixels

    z, gone = lattice.read(range(rows.start - 1, rows.stop + 1), range(columns.start - 1, columns.stop + 1))
    dx, dy = sides_of(lattice, rows)
    slope, none = np.empty((len(rows), len(columns))), np.empty((len(rows), len(columns)), np.bool_)
    _pixels.horn(np.ascontiguousarray(z, np.float64), gone, dx, dy, slope, none)
    return slope, none


def sides_of(lattice: Lattice, rows: range) -> tuple[Any, Any]:
    """Give the width and the height of the pixels of some rows, m."""
    if not lattice.geographic:
        from pyproj import CRS

        metres = float(CRS.from_user_input(lattice.wkt).axis_info[0].unit_conversion_factor)
        return np.full(len(rows), abs(lattice.dx) * metres), np.full(len(rows), abs(lattice.dy) * metres)
    e2 = WGS84_F * (2 - WGS84_F)
    phi = np.radians(np.clip(lattice.y(rows), -90.0, 90.0))
    w = np.sqrt(1 - e2 * np.sin(phi) ** 2)
    east = WGS84_A / w * np.cos(phi) * math.radians(abs(lattice.dx))
    north = WGS84_A * (1 - e2) / w**3 * math.radians(abs(lattice.dy))
    return np.maximum(east, 1e-9), north
