"""Everything that a run of the generated headwaters must hold, worked out here: float64, no kernel of the package."""

import calendar
import math
from functools import cached_property

import numpy as np
import pyproj
import shapely
from scipy import integrate
from scipy import stats as ss

DEGREE = 111319.49079327358
A, F = 6378137.0, 1 / 298.257223563
RADIUS, TILE = 6371007.181, 1111950.5196666666
BOUNDS = (89.40, 31.59, 102.40, 36.29)
CODES = {code: code - 32760 for code in range(32761, 32768)}
TILES = ((25, 5), (26, 5))


def lattice(low, high, res):
    """Whole cells that hold an interval: their first and last index."""
    return math.floor(low / res), math.ceil(high / res)


def zone_area(south, north, width):
    """Area in km2 between two parallels: the meridian and the prime vertical radius, integrated."""
    e2 = F * (2 - F)

    def strip(lat):
        w = 1 - e2 * math.sin(lat) ** 2
        return A * (1 - e2) / w**1.5 * A / math.sqrt(w) * math.cos(lat)

    value, _ = integrate.quad(strip, math.radians(south), math.radians(north), epsabs=0, epsrel=1e-13)
    return value * math.radians(width) / 1e6


def polygon_labels(polygons, x, y):
    """1, 2, ... by the polygon that holds each centre; -1 where an edge is too near to tell."""
    shape = np.broadcast(y[:, None], x[None, :]).shape
    xx, yy = np.broadcast_to(x[None, :], shape), np.broadcast_to(y[:, None], shape)
    out = np.zeros(shape, np.int16)
    points = shapely.points(xx.ravel(), yy.ravel())
    for k, polygon in enumerate(polygons, start=1):
        shapely.prepare(polygon)
        out[shapely.contains_xy(polygon, xx, yy)] = k
    tree = shapely.STRtree([p.boundary for p in polygons])
    near = np.unique(tree.query(points, predicate="dwithin", distance=1e-9)[0])
    out.ravel()[near] = -1
    return out


class Headwaters:
    """The right answer on a geographic grid.

    `tiles` are those that the recipe's files cover; `zero` is `nonvegetated: zero`.
    """

    def __init__(self, truth, resolution, years, bounds=BOUNDS, tiles=TILES):
        self.truth, self.years, self.tiles = truth, list(years), tiles
        self.res = resolution / DEGREE
        west, east = lattice(bounds[0], bounds[2], self.res)
        south, north = lattice(bounds[1], bounds[3], self.res)
        self.lon = np.array([(k + 0.5) * self.res for k in range(west, east)])
        self.lat = np.array([(k + 0.5) * self.res for k in range(north - 1, south - 1, -1)])
        self.shape = self.lat.size, self.lon.size

    @cached_property
    def pixels(self):
        """Row and column in the global sinusoidal grid, and whether an edge of a pixel is too near to tell."""
        size = TILE / self.truth.pixels
        project = pyproj.Proj(f"+proj=sinu +R={RADIUS} +lon_0=0")
        x, y = project(*np.meshgrid(self.lon, self.lat))
        col, row = (x + 18 * TILE) / size, (9 * TILE - y) / size
        unsure = (np.abs(col - np.rint(col)) < 1e-6) | (np.abs(row - np.rint(row)) < 1e-6)
        return np.floor(row).astype(int), np.floor(col).astype(int), unsure

    def npp(self, year):
        """NPP as float32, and its flags."""
        rows, cols, _ = self.pixels
        n = self.truth.pixels
        raw = np.asarray(self.truth.npp_raw(rows, cols, year)).astype(int)
        flag = np.where((raw < -30000) | (raw > 32700), 8, 0)
        for code, value in CODES.items():
            flag[raw == code] = value
        covered = np.zeros(raw.shape, bool)
        for h, v in self.tiles:
            covered |= (cols // n == h) & (rows // n == v)
        flag[~covered] = 255
        return np.where(flag == 0, raw.astype(np.float32) / np.float32(10), np.float32(np.nan)), flag.astype(np.uint8)

    @staticmethod
    def _nearest(values, per_degree, offset):
        # the centre nearest to each place; none lies half way in these tests
        at = values * per_degree - offset
        assert np.all(np.abs(at - np.floor(at) - 0.5) > 1e-7)
        return (np.rint(at) + offset) / per_degree

    def climate(self, year):
        """Annual temperature (degC), precipitation (mm) and net radiation (MJ m-2) at the nearest native cell."""
        lat, lon = self._nearest(self.lat, 10, 0)[:, None], self._nearest(self.lon, 10, 0)[None, :]
        plat, plon = self._nearest(self.lat, 20, 0.5)[:, None], self._nearest(self.lon, 20, 0.5)[None, :]
        days = [calendar.monthrange(year, m)[1] for m in range(1, 13)]
        shape = (12, *self.shape)
        t, p, s = np.empty(shape), np.empty(shape), np.empty(shape)
        for m in range(12):
            t[m] = np.asarray(self.truth.temperature_month(year, m + 1, lat, lon), np.float64) - 273.15
            s[m] = np.asarray(self.truth.radiation_month(year, m + 1, lat, lon), np.float64) / 1e6
            p[m] = np.asarray(self.truth.precipitation_month(year, m + 1, plat, plon), np.float64)
        w = np.array(days, float)[:, None, None]
        return {
            "temperature": (t * w).sum(0) / w.sum(),
            "precipitation": p.sum(0),
            "radiation": (s * w).sum(0),
        }

    @cached_property
    def area(self):
        rows = [zone_area(y - self.res / 2, y + self.res / 2, self.res) for y in self.lat]
        return np.broadcast_to(np.array(rows)[:, None], self.shape)

    @cached_property
    def labels(self):
        return polygon_labels(list(self.truth.regions.geometry), self.lon, self.lat)


def respiration(t, p):
    t, p = np.asarray(t, np.float64), np.asarray(p, np.float64)
    return 0.22 * (np.exp(0.0913 * t) + np.log(0.3145 * p + 1)) * 30 * 0.465


def rounded_once(stored, exact):
    """Whether float32 values are the nearest to float64 ones (a tie may fall either way)."""
    stored = np.asarray(stored)
    assert stored.dtype == np.float32
    ulp = np.spacing(np.abs(stored).astype(np.float32)).astype(np.float64)
    return np.abs(stored.astype(np.float64) - exact) <= 0.5 * ulp * (1 + 1e-4)


def ols(y, t):
    """Slope, intercept, standard error and p-value over the first axis."""
    y, t = np.asarray(y, np.float64), np.asarray(t, np.float64)
    n = t.size
    d = t - t.mean()
    slope = np.tensordot(d, y, 1) / (d**2).sum()
    intercept = y.mean(0) - slope * t.mean()
    rest = ((y - intercept - slope * t.reshape(-1, *[1] * (y.ndim - 1))) ** 2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        stderr = np.sqrt(rest / (n - 2) / (d**2).sum())
        p = 2 * ss.t.sf(np.abs(slope / stderr), n - 2)
    return slope, intercept, stderr, p


def partial(y, x, controls):
    """Partial correlation by the inverse of the correlation matrix, with its p-value; cells are along the last axis."""
    stack = np.stack([y, x, *controls]).astype(np.float64)
    k, n, _ = stack.shape
    stack = stack - stack.mean(1, keepdims=True)
    stack /= np.sqrt((stack**2).sum(1, keepdims=True))
    r = np.einsum("anc,bnc->cab", stack, stack)
    inverse = np.linalg.inv(r)
    value = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
    df = n - k
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * ss.t.sf(np.abs(value) * np.sqrt(df / (1 - value**2)), df)
    return value, p


def sen(y, t):
    pairs = [(y[j] - y[i]) / (t[j] - t[i]) for i in range(len(t)) for j in range(i + 1, len(t))]
    return np.median(np.array(pairs), axis=0)


def mann_kendall(y):
    """tau and the p-value of the original test with ties corrected, cells along the last axis."""
    n = len(y)
    s = sum(np.sign(y[j] - y[i]) for i in range(n) for j in range(i + 1, n))
    ties = np.zeros(y.shape[1])
    for c in range(y.shape[1]):
        _, counts = np.unique(y[:, c], return_counts=True)
        ties[c] = (counts * (counts - 1) * (2 * counts + 5)).sum()
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(s == 0, 0, (s - np.sign(s)) / np.sqrt(variance))
    return s, 2 * ss.norm.sf(np.abs(z))


def jenks_cost(values, weights, breaks):
    """Within-class sum of squares of classes [lower, upper)."""
    which = np.digitize(values, breaks)
    total = 0.0
    for k in range(len(breaks) + 1):
        v, w = values[which == k], weights[which == k]
        if v.size:
            total += (w * (v - np.average(v, weights=w)) ** 2).sum()
    return total


def jenks_optimum(values, weights, k):
    """The least within-class sum of squares, by the whole dynamic programme over sorted values."""
    order = np.argsort(values, kind="stable")
    v, w = values[order] - values.mean(), weights[order]
    cw, cs, cq = (np.concatenate([[0], np.cumsum(a)]) for a in (w, w * v, w * v * v))
    n = v.size
    best = cq[1:] - cs[1:] ** 2 / cw[1:]
    for _ in range(1, k):
        following = np.empty(n)
        for j in range(n):
            i = np.arange(1, j + 1)
            cost = cq[j + 1] - cq[i] - (cs[j + 1] - cs[i]) ** 2 / (cw[j + 1] - cw[i])
            following[j] = min((best[i - 1] + cost).min(), best[j]) if j else best[0]
        best = following
    return best[-1]
