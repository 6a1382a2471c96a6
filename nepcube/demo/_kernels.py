"""The closed-form fields as numba kernels: a value depends on its place, its year and the seed, and on no neighbour.

There is no fastmath and no reduction, so a value has the same bits in whatever subset it is computed. Only numbers and
arrays come in; the records that hold them are made in `fields.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled

# temporal modes: three of precipitation, three of temperature, two of radiation, five of NEP alone
N_CLIMATE, N_MODES = 8, 13
N_MONTHLY = 3

# places in the scratch array of one point
NEP, SLOPE, T_MEAN, T_TREND, P_MEAN, P_TREND, S_MEAN, S_TREND = range(8)
NEP_MODE, T_MODE, P_MODE, S_MODE = 8, 8 + N_MODES, 8 + 2 * N_MODES, 8 + 3 * N_MODES
LAKE, BARREN, SNOW, WETLAND, URBAN, CLOUD, WHITE = range(8 + 4 * N_MODES, 15 + 4 * N_MODES)
N_SCRATCH = 15 + 4 * N_MODES

# rows of the table of ecoregion coefficients
LOG_NEP, NEP_SLOPE, NEP_CV, BETA_P, BETA_T, BETA_S, LAKE_SHARE, BARREN_SHARE, WETLAND_SHARE, URBAN_SHARE = range(10)
N_COEFFICIENTS = 10

# climate constants that are calibrated: mean temperature, factor on precipitation
T_LEVEL, P_FACTOR = 0, 1

EARTH_RADIUS = 6371007.181
GRID_NORTH, GRID_WEST = 10007554.677003, -20015109.354
UNCLASSIFIED, URBAN_CODE, WETLAND_CODE, SNOW_CODE, BARREN_CODE, WATER_CODE, FILL_CODE = range(32761, 32768)
BASE_YEAR = 2010.5


def _jit(function: Any) -> Any:
    return compiled(function, error_model="numpy")


@_jit
def _hash(stream, a, b):  # type: ignore[no-untyped-def]
    # splitmix64 of a stream and two whole numbers, as a number in [0, 1)
    h = np.uint64(stream) * np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ np.uint64(a)) * np.uint64(0xC2B2AE3D27D4EB4F)
    h = (h ^ (h >> np.uint64(29)) ^ np.uint64(b)) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)
    h = h ^ (h >> np.uint64(31))
    return float(h >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@_jit
def _corner(stream, i, j, x, y):  # type: ignore[no-untyped-def]
    gx = 2.0 * _hash(stream, i, j) - 1.0
    gy = 2.0 * _hash(stream + 7919, i, j) - 1.0
    return gx * x + gy * y


@_jit
def _noise(stream, u, v):  # type: ignore[no-untyped-def]
    # gradient noise of unit wavelength, about zero mean and unit deviation
    i, j = math.floor(u), math.floor(v)
    x, y = u - i, v - j
    a, b = int(i), int(j)
    fx = x * x * x * (x * (6.0 * x - 15.0) + 10.0)
    fy = y * y * y * (y * (6.0 * y - 15.0) + 10.0)
    low = (1.0 - fx) * _corner(stream, a, b, x, y) + fx * _corner(stream, a + 1, b, x - 1.0, y)
    high = (1.0 - fx) * _corner(stream, a, b + 1, x, y - 1.0) + fx * _corner(stream, a + 1, b + 1, x - 1.0, y - 1.0)
    return 4.6 * ((1.0 - fy) * low + fy * high)


@_jit
def _fractal(stream, u, v, scale, octaves):  # type: ignore[no-untyped-def]
    # octaves of noise, each at half the wavelength and 0.55 of the weight; unit deviation
    total, weight, norm = 0.0, 1.0, 0.0
    for k in range(octaves):
        f = 2.0**k / scale
        total += weight * _noise(stream + 101 * k, u * f + 17.3 * k, v * f - 9.1 * k)
        norm += weight * weight
        weight *= 0.55
    return total / math.sqrt(norm)


@_jit
def _weight(table, r, fx, fy, i, j):  # type: ignore[no-untyped-def]
    low = (1.0 - fx) * table[j, i, r] + fx * table[j, i + 1, r]
    high = (1.0 - fx) * table[j + 1, i, r] + fx * table[j + 1, i + 1, r]
    return (1.0 - fy) * low + fy * high


@_jit
def _warmth(east, north, height):  # type: ignore[no-untyped-def]
    # K above the level of the region
    return 3.3 * east + 0.9 * east * north - 0.9 * height


@_jit
def _climate(seed, lat, lon, calibrated, s):  # type: ignore[no-untyped-def]
    # means, trends and mode amplitudes of temperature (degC), precipitation (mm) and radiation (MJ m-2 day-1)
    u, v = lon * 0.83, lat
    east, north = (lon - 96.0) / 6.3, (lat - 34.0) / 2.2
    height = _fractal(seed + 11, u, v, 1.1, 4)
    s[T_MEAN] = calibrated[T_LEVEL] + _warmth(east, north, height)
    wet = 0.80 * east - 0.42 * north + 0.13 * _fractal(seed + 12, u, v, 1.4, 3)
    s[P_MEAN] = calibrated[P_FACTOR] * (130.0 + 640.0 / (1.0 + math.exp(-2.6 * wet))) * (1.0 + 0.025 * height)
    s[S_MEAN] = 13.5 - 0.75 * wet + 0.25 * _fractal(seed + 13, u, v, 2.0, 2)
    s[T_TREND] = 0.040 + 0.006 * _noise(seed + 14, u / 3.0, v / 3.0)
    s[P_TREND] = s[P_MEAN] * (0.0062 + 0.0017 * _noise(seed + 15, u / 2.5, v / 2.5))
    s[S_TREND] = -0.004 + 0.004 * _noise(seed + 16, u / 3.0, v / 3.0)
    for k in range(N_MODES):
        s[T_MODE + k] = 0.0
        s[P_MODE + k] = 0.0
        s[S_MODE + k] = 0.0
    # in units of the local deviation: a mode of one sign over the region, and two that divide it
    s[P_MODE] = 0.80 + 0.15 * _noise(seed + 20, u / 4.0, v / 4.0)
    s[P_MODE + 1] = 0.50 * _noise(seed + 21, u / 3.5, v / 3.5)
    s[P_MODE + 2] = 0.35 * _fractal(seed + 22, u, v, 1.6, 2)
    s[T_MODE + 3] = 0.85 + 0.12 * _noise(seed + 23, u / 4.0, v / 4.0)
    s[T_MODE + 4] = 0.45 * _noise(seed + 24, u / 4.0, v / 4.0)
    s[T_MODE + 5] = 0.25 * _noise(seed + 25, u / 2.0, v / 2.0)
    s[S_MODE + 6] = 0.75 + 0.15 * _noise(seed + 26, u / 4.0, v / 4.0)
    s[S_MODE + 7] = 0.45 * _noise(seed + 27, u / 2.5, v / 2.5)
    for k in range(3):  # dry years are sunny
        s[S_MODE + k] = -0.40 * s[P_MODE + k]


@_jit
def _among(seed, lat, lon, table, origin):  # type: ignore[no-untyped-def]
    # where among the ecoregions a point is; borders blur and bend here, so that no map has a cliff line
    u, v = lon * 0.83, lat
    x = (lon + 0.17 * _fractal(seed + 31, u, v, 0.45, 4) - origin[0]) / origin[2]
    y = (lat + 0.12 * _fractal(seed + 32, u, v, 0.45, 4) - origin[1]) / origin[2]
    x = min(max(x, 0.0), table.shape[1] - 1.001)
    y = min(max(y, 0.0), table.shape[0] - 1.001)
    i, j = int(x), int(y)
    return i, j, x - i, y - j


@_jit
def _state(seed, lat, lon, table, origin, coefficients, calibrated, s):  # type: ignore[no-untyped-def]
    # everything about a point that does not change with the year
    _climate(seed, lat, lon, calibrated, s)
    u, v = lon * 0.83, lat
    i, j, fx, fy = _among(seed, lat, lon, table, origin)
    log_nep, slope, cv, beta_p, beta_t, beta_s = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    lake, barren, wetland, urban = 0.0, 0.0, 0.0, 0.0
    for r in range(table.shape[2]):
        w = _weight(table, r, fx, fy, i, j)
        log_nep += w * coefficients[LOG_NEP, r]
        slope += w * coefficients[NEP_SLOPE, r]
        cv += w * coefficients[NEP_CV, r]
        beta_p += w * coefficients[BETA_P, r]
        beta_t += w * coefficients[BETA_T, r]
        beta_s += w * coefficients[BETA_S, r]
        lake += w * coefficients[LAKE_SHARE, r]
        barren += w * coefficients[BARREN_SHARE, r]
        wetland += w * coefficients[WETLAND_SHARE, r]
        urban += w * coefficients[URBAN_SHARE, r]
    coarse = _fractal(seed + 33, u, v, 1.3, 3)
    fine = _fractal(seed + 34, u, v, 0.22, 6)
    gradient = 0.10 * ((lon - 96.5) * 0.6 - (lat - 34.2) * 0.8)
    s[NEP] = math.exp(log_nep + gradient + 0.15 * coarse + 0.13 * fine)
    s[SLOPE] = slope * (1.0 + 0.72 * _fractal(seed + 35, u, v, 0.9, 3) + 0.26 * _noise(seed + 36, u / 0.12, v / 0.12))

    beta_p *= 1.0 + 0.30 * _fractal(seed + 41, u, v, 0.8, 3)
    beta_t += 0.30 * _fractal(seed + 42, u, v, 0.9, 3)
    beta_s += 0.16 * _fractal(seed + 43, u, v, 0.9, 3)
    sigma = cv * s[NEP]
    for k in range(N_CLIMATE):
        s[NEP_MODE + k] = sigma * (beta_p * s[P_MODE + k] + beta_t * s[T_MODE + k] + beta_s * s[S_MODE + k])
    s[NEP_MODE + 8] = 0.45 * sigma * (0.7 + 0.5 * _noise(seed + 51, u / 4.0, v / 4.0))
    s[NEP_MODE + 9] = 0.48 * sigma * _noise(seed + 52, u / 1.6, v / 1.6)
    s[NEP_MODE + 10] = 0.46 * sigma * _noise(seed + 53, u / 0.7, v / 0.7)
    s[NEP_MODE + 11] = 0.40 * sigma * _noise(seed + 54, u / 0.3, v / 0.3)
    s[NEP_MODE + 12] = 0.32 * sigma * _noise(seed + 55, u / 0.12, v / 0.12)
    s[WHITE] = 0.40 * sigma

    _covers(seed, lat, lon, lake, barren, wetland, urban, s)
    s[CLOUD] = 0.5 * (lon - 96.0) / 6.3 - 0.25 * (lat - 34.0) + 0.35 * _fractal(seed + 68, u, v, 0.7, 3)


@_jit
def _covers(seed, lat, lon, lake, barren, wetland, urban, s):  # type: ignore[no-untyped-def]
    # a code is where its level is above zero
    u, v = lon * 0.83, lat
    s[LAKE] = _fractal(seed + 61, u, v, 0.36, 4) + 0.35 * _noise(seed + 62, u / 2.2, v / 2.2) - lake
    for k in range(2):  # the twin lakes near the source of the river
        du, dv = (lon - 97.27 - 0.48 * k) * 0.83 / 0.155, (lat - 34.92) / (0.125 + 0.04 * k)
        twin = 1.6 * (1.0 - math.sqrt(du * du + dv * dv)) + 0.28 * _fractal(seed + 63, u, v, 0.2, 3)
        s[LAKE] = max(s[LAKE], twin)
    s[BARREN] = _fractal(seed + 64, u, v, 0.6, 5) - barren
    s[WETLAND] = _fractal(seed + 65, u, v, 0.30, 4) - wetland
    height = _fractal(seed + 11, u, v, 1.1, 4)
    ridge = 1.0 - abs(_fractal(seed + 66, u, v, 0.6, 4))
    s[SNOW] = min(height - 1.30, 1.6 * (ridge - 0.74)) if height > 1.30 else -1.0
    s[URBAN] = _towns(seed + 67, u, v, urban)
    if s[URBAN] > -0.02:  # a town is no disc
        s[URBAN] += 0.008 * _fractal(seed + 69, u, v, 0.05, 2)


@_jit
def _towns(seed, u, v, share):  # type: ignore[no-untyped-def]
    # one possible town in each cell of a lattice; its own cell and the eight around it can reach a point
    step, level = 0.24, -1.0
    a, b = math.floor(u / step), math.floor(v / step)
    for i in range(a - 1, a + 2):
        for j in range(b - 1, b + 2):
            if _hash(seed, i, j) < share:
                du = u - (i + _hash(seed + 1, i, j)) * step
                dv = v - (j + _hash(seed + 2, i, j)) * step
                level = max(level, 0.012 + 0.026 * _hash(seed + 3, i, j) - math.sqrt(du * du + dv * dv))
    return level


@_jit
def _annual(s, mean, trend, mode, deviation, phi, t, years_from_base):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(N_CLIMATE):
        total += s[mode + k] * phi[t, k]
    return s[mean] + s[trend] * years_from_base + deviation * total


@_jit
def _temperature(s, phi, t, years_from_base):  # type: ignore[no-untyped-def]
    return _annual(s, T_MEAN, T_TREND, T_MODE, 0.40, phi, t, years_from_base)


@_jit
def _precipitation(s, phi, t, years_from_base):  # type: ignore[no-untyped-def]
    return max(_annual(s, P_MEAN, P_TREND, P_MODE, 0.105 * s[P_MEAN], phi, t, years_from_base), 20.0)


@_jit
def _code(seed, s, phi, t, year, row, col):  # type: ignore[no-untyped-def]
    # 0 where there is data; lakes rise over the years, sparse land turns barren in dry ones
    chance = _hash(seed + 71, row, col)
    if chance < 1.5e-4 or _hash(seed + 72 + year, row, col) < 4e-5:
        return FILL_CODE
    if chance > 1.0 - 2.0e-4:
        return UNCLASSIFIED
    if s[LAKE] > -0.0035 * (year - 2001):
        return WATER_CODE
    if s[SNOW] > 0.0:
        return SNOW_CODE
    if s[URBAN] > 0.0:
        return URBAN_CODE
    if s[BARREN] > 0.03 * phi[t, 0]:
        return BARREN_CODE
    if s[WETLAND] > 0.0:
        return WETLAND_CODE
    return 0


@_jit
def _npp(seed, s, phi, t, year, row, col):  # type: ignore[no-untyped-def]
    # the raw number of the product, 0.1 gC m-2 yr-1: NEP with all its parts, plus the respiration that a run subtracts
    code = _code(seed, s, phi, t, year, row, col)
    if code:
        return code
    odd = _hash(seed + 73 + 31 * year, row, col)
    if odd < 1.5e-5:  # outside the valid range, and no code
        return -30500 if odd < 1.0e-5 else 32750
    dy = year - BASE_YEAR
    nep = s[NEP] + s[SLOPE] * dy
    for k in range(N_MODES):
        nep += s[NEP_MODE + k] * phi[t, k]
    e = _hash(seed + 74 + 37 * year, row, col) + _hash(seed + 75 + 37 * year, row, col)
    nep += s[WHITE] * 2.45 * (e - 1.0)  # a triangle of unit deviation
    temperature, rain = _temperature(s, phi, t, dy), _precipitation(s, phi, t, dy)
    respiration = 0.22 * (math.exp(0.0913 * temperature) + math.log(0.3145 * rain + 1.0)) * 30.0 * 0.465
    return math.floor(min(max(10.0 * (nep + respiration), 0.0), 20000.0) + 0.5)


@_jit
def _qc(seed, s, npp, year, row, col):  # type: ignore[no-untyped-def]
    if npp >= UNCLASSIFIED:
        return npp - UNCLASSIFIED + 249
    share = 22.0 + 24.0 * s[CLOUD] + 14.0 * _hash(seed + 76 + 41 * year, row, col)
    return int(min(max(share, 0.0), 100.0))


@_jit
def _place(row, col, size):  # type: ignore[no-untyped-def]
    # latitude and longitude of a pixel's centre
    phi = (GRID_NORTH - (row + 0.5) * size) / EARTH_RADIUS
    return math.degrees(phi), math.degrees((GRID_WEST + (col + 0.5) * size) / (EARTH_RADIUS * math.cos(phi)))


@_jit
def _within(lat, lon):  # type: ignore[no-untyped-def]
    return 31.0 <= lat <= 37.0 and 89.0 <= lon <= 103.0


@_jit
def points(seed, size, rows, cols, years, index, phi, table, origin, coefficients, calibrated, npp, qc):  # type: ignore[no-untyped-def]
    # one pixel and one year a place of the flat arrays
    s = np.empty(N_SCRATCH)
    for p in range(rows.size):
        lat, lon = _place(rows[p], cols[p], size)
        npp[p], qc[p] = FILL_CODE, 255
        if _within(lat, lon):
            _state(seed, lat, lon, table, origin, coefficients, calibrated, s)
            npp[p] = _npp(seed, s, phi, index[p], years[p], rows[p], cols[p])
            qc[p] = _qc(seed, s, npp[p], years[p], rows[p], cols[p])


@_jit
def tile(seed, size, row0, col0, years, phi, table, origin, coefficients, calibrated, npp, qc, gpp):  # type: ignore[no-untyped-def]
    # arrays (year, row, column); what does not change with the year is computed once a pixel
    s = np.empty(N_SCRATCH)
    for i in range(npp.shape[1]):
        for j in range(npp.shape[2]):
            row, col = row0 + i, col0 + j
            lat, lon = _place(row, col, size)
            inside = _within(lat, lon)
            if inside:
                _state(seed, lat, lon, table, origin, coefficients, calibrated, s)
            for t in range(years.size):
                value, quality = FILL_CODE, 255
                if inside:
                    value = _npp(seed, s, phi, t, years[t], row, col)
                    quality = _qc(seed, s, value, years[t], row, col)
                npp[t, i, j], qc[t, i, j] = value, quality
                # the gross flux has the same codes at the top of its unsigned range
                gpp[t, i, j] = value + 32768 if value >= UNCLASSIFIED else max(0, int(1.85 * value) + 300)


@_jit
def states(seed, lat, lon, table, origin, coefficients, calibrated, out):  # type: ignore[no-untyped-def]
    for p in range(lat.size):
        _state(seed, lat[p], lon[p], table, origin, coefficients, calibrated, out[p])


@_jit
def climate_year(seed, lat, lon, t, year, phi, psi, calibrated, out):  # type: ignore[no-untyped-def]
    # out (point, 3, 12): temperature K, precipitation mm month-1, radiation J m-2 day-1
    s = np.empty(N_SCRATCH)
    shares = np.empty(12)
    dy = year - BASE_YEAR
    for p in range(lat.size):
        _climate(seed, lat[p], lon[p], calibrated, s)
        u, v = lon[p] * 0.83, lat[p]
        local = _noise(seed + 81, u / 5.0, v / 5.0)
        other = _noise(seed + 82, u / 2.0, v / 2.0)
        temperature, rain = _temperature(s, phi, t, dy), _precipitation(s, phi, t, dy)
        sun = _annual(s, S_MEAN, S_TREND, S_MODE, 0.025 * s[S_MEAN], phi, t, dy)
        total = 0.0
        for m in range(12):
            # the year's spread over the months is what the monthly modes change; its total they leave alone
            warm = math.cos(2.0 * math.pi * (m - 6.0) / 12.0)
            shares[m] = math.exp(
                1.75 * warm + 0.25 * (psi[t, m, 0] + 0.8 * local * psi[t, m, 1] + 0.4 * other * psi[t, m, 2])
            )
            total += shares[m]
        for m in range(12):
            warm = math.cos(2.0 * math.pi * (m - 6.1) / 12.0)
            odd = 0.7 * psi[t, m, 1] + 0.5 * local * psi[t, m, 2] + 0.3 * other * psi[t, m, 0]
            out[p, 0, m] = 273.15 + temperature + (10.6 + 0.5 * local) * warm + odd
            out[p, 1, m] = rain * shares[m] / total
            bright = math.cos(2.0 * math.pi * (m - 5.2) / 12.0)
            out[p, 2, m] = 1e6 * sun * (1.0 + 0.36 * bright + 0.02 * (psi[t, m, 2] + local * psi[t, m, 0]))
