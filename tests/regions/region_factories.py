"""Grids, polygons and their twins for the tests of regions; no kernel of the package."""

import geopandas as gpd
import numpy as np
import shapely
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from pyproj import Geod

import nepcube as nc
from nepcube.grid import Window, edges

LAX = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
BOX = (90.0, 32.0, 92.0, 33.5)
GEOD = Geod(ellps="WGS84")


def small_grid(resolution="9000 m"):
    return nc.target_grid(BOX, resolution=resolution)


def frame_of(polygons, crs="EPSG:4326"):
    return gpd.GeoDataFrame({"name": [f"r{k}" for k in range(len(polygons))]}, geometry=list(polygons), crs=crs)


def whole(grid):
    return Window(0, int(grid.shape[0]), 0, int(grid.shape[1]))


def cells_of(grid):
    """The box of every cell (y, x)."""
    y, x = edges(grid)
    return shapely.box(x[None, :-1], y[1:, None], x[None, 1:], y[:-1, None])


def shares_by_geos(polygon, grid):
    """The share of each cell in a polygon, by intersections of GEOS."""
    cells = cells_of(grid)
    return shapely.area(shapely.intersection(polygon, cells)) / shapely.area(cells)


def dense(members, group, shape):
    """The shares of one group as a map, run by run."""
    out = np.zeros(shape[0] * shape[1])
    for start, length, which, share in zip(members.starts, members.lengths, members.which, members.shares, strict=True):
        if members.labels[which] == group:
            out[start : start + length] += share
    return out.reshape(shape)


def geodesic_area(polygon, step=0.01):
    """The area in km2 of a polygon in degrees whose edges are straight in degrees: geodesics between close points."""
    near = shapely.get_parts(shapely.segmentize(polygon, step))

    def size(ring):
        return abs(GEOD.polygon_area_perimeter(*shapely.get_coordinates(ring).T)[0]) / 1e6

    return sum(size(part.exterior) - sum(map(size, part.interiors)) for part in near)


@st.composite
def rectangles(draw, margin=0.5):
    a, b = sorted([draw(st.floats(BOX[0] - margin, BOX[2] + margin)) for _ in range(2)])
    c, d = sorted([draw(st.floats(BOX[1] - margin, BOX[3] + margin)) for _ in range(2)])
    return shapely.box(a, c, max(b, a + 1e-6), max(d, c + 1e-6))


@st.composite
def stars(draw, hole=False):
    """A star around a point, from a metre to the whole grid in size, and where asked for one with a hole in it."""
    cx, cy = draw(st.floats(89.0, 93.0)), draw(st.floats(31.5, 34.0))
    size = 10 ** draw(st.floats(-5, 0.3))
    n = draw(st.integers(3, 9))
    radii = draw(st.lists(st.floats(0.4, 1.0), min_size=n, max_size=n))
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False)
    ring = [(cx + size * r * np.cos(a), cy + size * r * np.sin(a)) for r, a in zip(radii, angles, strict=True)]
    polygon = shapely.Polygon(ring)
    if hole:
        inner = shapely.transform(polygon, lambda p: (p - [cx, cy]) * 0.4 + [cx, cy])
        polygon = shapely.difference(polygon, inner)
    return polygon


@st.composite
def windows_of(draw, shape):
    y0 = draw(st.integers(0, shape[0] - 1))
    x0 = draw(st.integers(0, shape[1] - 1))
    return Window(y0, draw(st.integers(y0 + 1, shape[0])), x0, draw(st.integers(x0 + 1, shape[1])))


def tessellation(count, box, seed=0):
    """Polygons that fill a box and share their borders vertex by vertex."""
    points = np.random.default_rng(seed).uniform(box[:2], box[2:], (count, 2))
    area = shapely.box(*box)
    found = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=area))
    return [shapely.intersection(cell, area) for cell in found]
