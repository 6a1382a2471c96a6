"""What no place on Earth has: by it a wrong unit, a wrong accumulation or a damaged number shows itself.

Sources: air temperature, the WMO's extremes (-89.2 and 56.7 degC), with a margin. Rain of a day, 1825 mm (Foc-Foc,
La Réunion, 7-8 January 1966), and of a month, 9300 mm (Cherrapunji, July 1861), both of the WMO's archive. Sunlight:
the solar constant of 1361 W m-2 (Kopp and Lean 2011), 1.034 times that at perihelion; a day under it at a pole in
solstice, whose sun stands 23.44 degrees high all day, gets 48.4 MJ m-2 above the atmosphere, more than any other place
and day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUN = 1361.0 * 1.0344
HOUR_MJ = _SUN * 3600e-6
DAY_MJ = _SUN * 86400e-6 * 0.39779
DAY_MM = 1825.0
MONTH_MM = 9300.0
_KELVIN = (163.15, 343.15)
#: below zero by no more than packing does
_BELOW = {"precipitation": -10.0, "radiation": -1.0}
_TO_BASE = {
    "m": 1000.0, "mm": 1.0, "m day-1": 1000.0, "mm day-1": 1.0, "mm month-1": 1.0, "mm pentad-1": 1.0,
    "J m-2": 1e-6, "MJ m-2": 1.0, "J m-2 day-1": 1e-6, "MJ m-2 day-1": 1.0, "W m-2": 0.0864,
}  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """The smallest and the largest value that can be, in a file's own unit."""

    low: float
    high: float


def to_base(unit: str) -> float | None:
    """Give the factor that turns an amount into mm or MJ m-2 (of its own step)."""
    return _TO_BASE.get(unit)


def most_of_a_day(quantity: str) -> float:
    """Give what no day can have more of, in mm or MJ m-2."""
    return DAY_MJ if quantity == "radiation" else DAY_MM


def limits(quantity: str, aggregation: str, frequency: str, unit: str) -> Limits | None:
    """Give what a value of a series can be, None where that is not known for the unit."""
    if quantity == "temperature":
        shift = {"K": 0.0, "degC": 273.15}.get(unit)
        return None if shift is None else Limits(_KELVIN[0] - shift, _KELVIN[1] - shift)
    base = _TO_BASE.get(unit)
    if base is None or quantity not in _BELOW:
        return None
    if quantity == "radiation":
        high = HOUR_MJ if aggregation == spec.PREVIOUS_HOUR else DAY_MJ
        if aggregation == spec.AMOUNT:
            high = DAY_MJ * {"hour": 1, "day": 1, "pentad": 6}.get(frequency, 31)
    else:
        high = DAY_MM
        if frequency == "month":
            high = MONTH_MM / 30 if aggregation == spec.PER_DAY else MONTH_MM
    return Limits(_BELOW[quantity] / base, high / base)


class Within:
    """Refuse values outside the limits as they are read, naming the file; missing ones pass."""

    def __init__(self, allowed: Limits, path: str, name: str, unit: str, what: str) -> None:
        self.allowed, self.path, self.name, self.unit, self.what = allowed, path, name, unit, what

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.size:
            low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
            for extreme in (low, high):
                if extreme < self.allowed.low or extreme > self.allowed.high:
                    raise self.refuse(float(extreme))
        return values

    def refuse(self, value: float) -> SourceError:
        """Make the error for one value."""
        return SourceError(
            f"{self.path}: {self.name} holds {value:.6g} {self.unit}, which no place on Earth has as {self.what} "
            f"({self.allowed.low:.4g} to {self.allowed.high:.4g}).",
            "The unit, the missing-data value or what a value stands for (`aggregate:`) is wrong, or the file is "
            "damaged: download it again.",
        )
