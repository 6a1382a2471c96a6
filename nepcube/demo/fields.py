"""The numbers behind the closed-form fields: temporal modes, ecoregion weights and the calibration of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from nepcube.demo.regions import polygons

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# lattice of the ecoregion weights: west, south, step in degrees; it reaches beyond every pixel that holds data
_ORIGIN = (88.6, 30.6, 0.05)
_SHAPE = (133, 293)
_BLUR_CELLS = 3.6

#: the years over which the temporal modes have no mean, no trend and unit deviation
BASE_YEARS = range(2001, 2021)
_MEMORY = 0.35

#: mean (gC m-2 yr-1) and slope (gC m-2 yr-2) of NEP by ecoregion, after the reference study
TARGETS = ((17.94, 0.65), (11.74, 0.47), (25.08, 0.60), (114.01, 1.07), (227.25, 2.54), (258.91, 0.94))
_MEAN_TEMPERATURE = -3.75
_MEAN_PRECIPITATION = 443.0

# by ecoregion, in the same order: deviation of NEP in a year over its mean; weight of the anomalies of precipitation,
# temperature and radiation; levels above which noise makes a lake, barren land, a wetland; chance of a town
_BEHAVIOUR = (
    (0.160, 0.76, 0.08, -0.44, 1.47, 1.12, 3.5, 0.0),
    (0.240, 0.06, -0.10, -0.42, 1.90, 1.10, 3.5, 0.02),
    (0.145, 0.60, 0.19, -0.38, 1.47, 3.00, 2.3, 0.0),
    (0.115, 0.62, -0.55, 0.02, 1.95, 4.50, 1.75, 0.01),
    (0.090, 0.60, -0.62, 0.02, 2.15, 4.50, 2.6, 0.22),
    (0.092, 0.58, -0.22, 0.00, 2.60, 5.00, 2.2, 0.06),
)


@dataclass(frozen=True)
class Fields:
    """What the kernels need beside a place and a year."""

    stream: int
    table: Floats
    origin: Floats
    coefficients: Floats
    calibrated: Floats

    @property
    def static(self) -> tuple[Floats, Floats, Floats, Floats]:
        """The arguments that every kernel of NPP takes, in their order."""
        return self.table, self.origin, self.coefficients, self.calibrated


@lru_cache(maxsize=64)
def modes(stream: int, years: tuple[int, ...]) -> Floats:
    """Give the temporal modes, (year, mode).

    Each is a first-order autoregressive series made from hashes, less its mean and trend over the base years. Those of
    the climate are orthogonal to each other over the base years, so that the response of NEP to each can be stated.
    """
    from nepcube.demo import _kernels as k

    base = np.array(BASE_YEARS, dtype=np.int64)
    both = np.concatenate([base, np.array(years, dtype=np.int64)])
    raw = np.empty((both.size, k.N_MODES))
    for mode in range(k.N_MODES):
        for row, year in enumerate(both.tolist()):
            raw[row, mode] = sum(
                _MEMORY**lag * (k._hash(stream + 91, year - lag, 8 * mode + part) - 0.5)
                for lag in range(12)
                for part in range(4)
            )
    n = base.size
    t = both - sum(BASE_YEARS) / n
    known: list[Floats] = [np.ones(both.size), t]
    for mode in range(k.N_MODES):
        x = raw[:, mode]
        for basis in known if mode < k.N_CLIMATE else known[:2]:
            share = math.fsum(x[:n] * basis[:n]) / math.fsum(basis[:n] * basis[:n])
            x = x - share * basis
        x = x / math.sqrt(math.fsum(x[:n] * x[:n]) / n)
        # far outside the base years the removed trend would run away
        raw[:, mode] = np.clip(x, -3.0, 3.0)
        if mode < k.N_CLIMATE:
            known.append(raw[:, mode])
    return np.ascontiguousarray(raw[n:])


@lru_cache(maxsize=64)
def monthly_modes(stream: int, years: tuple[int, ...]) -> Floats:
    """Give the modes of the months, (year, month, mode); those of one year add up to zero."""
    from nepcube.demo import _kernels as k

    out = np.empty((len(years), 12, k.N_MONTHLY))
    for row, year in enumerate(years):
        for mode in range(k.N_MONTHLY):
            series = [
                sum(k._hash(stream + 92, year * 12 + month, 8 * mode + part) - 0.5 for part in range(4))
                for month in range(12)
            ]
            mean = math.fsum(series) / 12
            out[row, :, mode] = [(value - mean) * math.sqrt(3.0) for value in series]
    return out


@lru_cache(maxsize=1)
def _labels() -> NDArray[np.int64]:
    # the ecoregion of each lattice point, -1 - the nearest one's number outside all of them
    import shapely

    lon = _ORIGIN[0] + _ORIGIN[2] * np.arange(_SHAPE[1])
    lat = _ORIGIN[1] + _ORIGIN[2] * np.arange(_SHAPE[0])
    x, y = (a.ravel() for a in np.meshgrid(lon, lat))
    shapes = polygons()
    number = np.full(x.size, -1, dtype=np.int64)
    for r, polygon in enumerate(shapes):
        shapely.prepare(polygon)
        number[shapely.contains_xy(polygon, x, y)] = r
    outside = number < 0
    nearest = shapely.STRtree(shapes).nearest(shapely.points(x[outside], y[outside]))
    number[outside] = -1 - nearest
    return number.reshape(_SHAPE)


def _weights(labels: NDArray[np.int64]) -> Floats:
    # share of each ecoregion around each lattice point, (latitude, longitude, ecoregion)
    number = np.where(labels < 0, -1 - labels, labels)
    out = np.stack([(number == r).astype(np.float64) for r in range(len(TARGETS))], axis=-1)
    reach = int(3 * _BLUR_CELLS)
    taps = [math.exp(-0.5 * (k / _BLUR_CELLS) ** 2) for k in range(-reach, reach + 1)]
    norm = math.fsum(taps)
    for axis in (0, 1):
        width = [(reach, reach) if a == axis else (0, 0) for a in range(3)]
        padded = np.pad(out, width, mode="edge")
        total = np.zeros_like(out)
        for shift, tap in enumerate(taps):
            total += tap / norm * np.take(padded, np.arange(shift, shift + out.shape[axis]), axis=axis)
        out = total
    return np.ascontiguousarray(out)


@lru_cache(maxsize=4)
def make_fields(seed: int) -> Fields:
    """Build the fields of a seed, calibrated on the lattice so that the ecoregions have the means and slopes wanted."""
    from nepcube.demo import _kernels as k

    # streams of two seeds lie far apart, so that no field of one is a field of the other
    stream = (seed * 1_000_003 + 12_345) % 2**40
    labels = _labels()
    table = _weights(labels)
    origin = np.array(_ORIGIN)
    coefficients = np.zeros((k.N_COEFFICIENTS, len(TARGETS)))
    behaviour = np.array(_BEHAVIOUR).T
    coefficients[k.NEP_CV :] = behaviour
    coefficients[k.LOG_NEP] = [math.log(mean) for mean, _ in TARGETS]
    coefficients[k.NEP_SLOPE] = [slope for _, slope in TARGETS]
    calibrated = np.array([0.0, 1.0])

    j, i = np.nonzero(labels >= 0)
    lat, lon = _ORIGIN[1] + _ORIGIN[2] * j, _ORIGIN[0] + _ORIGIN[2] * i
    number = labels[j, i]
    area = np.cos(np.radians(lat))
    state = np.empty((lat.size, k.N_SCRATCH))

    def mean(values: Floats, where: NDArray[np.bool_]) -> float:
        return math.fsum(values[where] * area[where]) / math.fsum(area[where])

    for step in range(8):
        k.states(stream, lat, lon, table, origin, coefficients, calibrated, state)
        everywhere = np.ones(lat.size, dtype=bool)
        if step == 0:
            calibrated[k.T_LEVEL] = _MEAN_TEMPERATURE - mean(state[:, k.T_MEAN], everywhere)
            calibrated[k.P_FACTOR] = _MEAN_PRECIPITATION / mean(state[:, k.P_MEAN], everywhere)
        # only cells that carry data count, as they will in the archive
        data = np.max(state[:, k.LAKE : k.URBAN + 1], axis=1) <= 0.0
        for r, (target, slope) in enumerate(TARGETS):
            cells = (number == r) & data
            coefficients[k.LOG_NEP, r] += math.log(target / mean(state[:, k.NEP], cells))
            coefficients[k.NEP_SLOPE, r] += slope - mean(state[:, k.SLOPE], cells)
    return Fields(stream, table, origin, coefficients, calibrated)
