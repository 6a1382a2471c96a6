"""Kernels of the carbon models: scalar functions of climate, compiled. numpy and numba only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nepcube.compiling import compiled_gufunc, compiled_ufunc

#: mm: what packing and interpolation leave below zero
LEAST_RAIN = -0.01


@compiled_gufunc(["void(float64[:],float64[:],float64,float64,float64[:])"], "(n),(n),(),()->(n)")
def pei_bracket(temperature: Any, precipitation: Any, b: float, c: float, out: Any) -> None:
    """exp(b T) + ln(c R + 1); NaN where the logarithm has no value.

    Climate that is sampled to the nearest is the same for many neighbours: what was computed for the last is taken.
    """
    t = np.nan
    p = np.nan
    grown = np.nan
    wetted = np.nan
    for i in range(temperature.size):
        if temperature[i] != t:
            t = temperature[i]
            grown = math.exp(b * t)
        if precipitation[i] != p:
            p = precipitation[i]
            argument = c * p + 1.0
            wetted = math.log(argument) if argument > 0.0 else np.nan
        out[i] = grown + wetted


@compiled_ufunc("float64(float64,float64,float64,float64)")
def pei_by_b(temperature: float, precipitation: float, b: float, c: float) -> float:
    """Differentiate the bracket by b, times b; NaN where the bracket is."""
    if np.isnan(precipitation) or c * precipitation + 1.0 <= 0.0:
        return np.nan
    return b * temperature * math.exp(b * temperature)


@compiled_ufunc("float64(float64,float64,float64,float64)")
def pei_by_c(temperature: float, precipitation: float, b: float, c: float) -> float:
    """Differentiate the bracket by c, times c; NaN where the bracket is."""
    if np.isnan(temperature) or np.isnan(precipitation):
        return np.nan
    argument = c * precipitation + 1.0
    if argument <= 0.0:
        return np.nan
    return c * precipitation / argument


@compiled_ufunc("float64(float64,float64,float64,float64,float64,float64,float64,float64)")
def gsmsr(
    temperature: float, precipitation: float, carbon: float, days: float, scale: float, q: float, k: float, soil: float
) -> float:
    """Soil respiration of a month, g of carbon m-2; precipitation in mm, soil carbon in kg m-2.

    `q` is that of temperature, `k` and `soil` are the halves of precipitation (cm) and soil carbon.
    """
    if not (precipitation >= LEAST_RAIN) or not (carbon >= 0.0):
        return np.nan
    rain = max(precipitation, 0.0) / 10.0
    return scale * math.exp(q * temperature) * (rain / (rain + k)) * (carbon / (carbon + soil)) * days


@compiled_ufunc("float64(float64,float64,float64)")
def heterotrophic_part(soil_respiration: float, intercept: float, slope: float) -> float:
    """Ln RH = intercept + slope ln RS, both g of carbon m-2 year-1."""
    if not (soil_respiration >= 0.0):
        return np.nan
    if soil_respiration == 0.0:
        return 0.0
    return math.exp(intercept + slope * math.log(soil_respiration))


@compiled_ufunc("float64(float64)")
def logarithm_or_zero(value: float) -> float:
    """Ln of what is above zero, else 0; NaN stays."""
    if np.isnan(value):
        return np.nan
    return math.log(value) if value > 0.0 else 0.0


@compiled_ufunc("float64(float64,float64)")
def chance_above_zero(mean: float, error: float) -> float:
    """Chance that a normal value of this mean and standard error is above zero."""
    if np.isnan(mean) or np.isnan(error):
        return np.nan
    if error == 0.0:
        return 1.0 if mean > 0.0 else 0.0
    return 0.5 * math.erfc(-mean / (error * math.sqrt(2.0)))


@compiled_ufunc("float64(float64,float64)")
def miami(temperature: float, precipitation: float) -> float:
    """The lesser of the two limits of Lieth's Miami model, g dry matter m-2 year-1."""
    if np.isnan(temperature) or np.isnan(precipitation):
        return np.nan
    by_temperature = 3000.0 / (1.0 + math.exp(1.315 - 0.119 * temperature))
    by_precipitation = 3000.0 * (1.0 - math.exp(-0.000664 * precipitation))
    return min(by_temperature, by_precipitation)


@compiled_ufunc("float64(float64,float64)")
def thornthwaite_memorial(temperature: float, precipitation: float) -> float:
    """Productivity from actual evapotranspiration after Turc, g dry matter m-2 year-1."""
    if np.isnan(temperature) or np.isnan(precipitation):
        return np.nan
    limit = 300.0 + 25.0 * temperature + 0.05 * temperature**3
    # the square of a negative limit would make cold land productive again
    if limit <= 0.0:
        return 0.0
    ratio = 1.05 * precipitation / limit
    actual = 1.05 * precipitation / math.sqrt(1.0 + ratio * ratio)
    if actual < 20.0:
        return 0.0
    return 3000.0 * (1.0 - math.exp(-0.0009695 * (actual - 20.0)))
