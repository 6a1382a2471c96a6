"""Heights and land cover of a generated archive, from the same fields as its climate and NPP, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from nepcube.compiling import compiled
from nepcube.demo import _kernels as k

#: m where temperature is that of the region's level, and K km-1
LEVEL, LAPSE = 4300.0, 6.5
#: the codes of GlobeLand30 that occur
CROPLAND, FOREST, GRASSLAND, WETLAND, WATER, ARTIFICIAL, BARE, SNOW = 10, 20, 30, 50, 60, 80, 90, 100
# the two regions with fields and with forest
_FARMING, _CONIFERS = 4, 5


def _jit(function: Any) -> Any:
    return compiled(function, error_model="numpy")


@_jit
def heights(seed, lat, lon, out):  # type: ignore[no-untyped-def]
    # the relief that the climate's temperature follows by its lapse rate, and hills that its cells do not resolve
    for p in range(lat.size):
        u, v = lon[p] * 0.83, lat[p]
        east, north = (lon[p] - 96.0) / 6.3, (lat[p] - 34.0) / 2.2
        warmth = k._warmth(east, north, k._fractal(seed + 11, u, v, 1.1, 4))
        out[p] = LEVEL - 1000.0 * warmth / LAPSE + 70.0 * k._fractal(seed + 17, u, v, 0.05, 3)


@_jit
def covers(seed, lat, lon, table, origin, coefficients, out):  # type: ignore[no-untyped-def]
    # lakes, snow, towns, barren land and wetlands are where NPP has their codes in the first year
    s = np.empty(k.N_SCRATCH)
    for p in range(lat.size):
        i, j, fx, fy = k._among(seed, lat[p], lon[p], table, origin)
        lake, barren, wetland, urban = 0.0, 0.0, 0.0, 0.0
        farming, conifers = 0.0, 0.0
        for r in range(table.shape[2]):
            w = k._weight(table, r, fx, fy, i, j)
            lake += w * coefficients[k.LAKE_SHARE, r]
            barren += w * coefficients[k.BARREN_SHARE, r]
            wetland += w * coefficients[k.WETLAND_SHARE, r]
            urban += w * coefficients[k.URBAN_SHARE, r]
            if r == _FARMING:
                farming = w
            if r == _CONIFERS:
                conifers = w
        k._covers(seed, lat[p], lon[p], lake, barren, wetland, urban, s)
        u, v = lon[p] * 0.83, lat[p]
        if s[k.LAKE] > 0.0:
            out[p] = WATER
        elif s[k.SNOW] > 0.0:
            out[p] = SNOW
        elif s[k.URBAN] > 0.0:
            out[p] = ARTIFICIAL
        elif s[k.BARREN] > 0.0:
            out[p] = BARE
        elif s[k.WETLAND] > 0.0:
            out[p] = WETLAND
        elif conifers + 0.35 * k._fractal(seed + 44, u, v, 0.25, 3) > 0.75:
            out[p] = FOREST
        elif farming + 0.30 * k._fractal(seed + 45, u, v, 0.20, 3) > 1.05:
            out[p] = CROPLAND
        else:
            out[p] = GRASSLAND
