"""What no place on Earth has: by it a wrong unit, a wrong accumulation, an undeclared code or damage shows itself.

Sources: air temperature, the WMO's extremes (-89.2 and 56.7 degC), with a margin. Rain of a day, 1825 mm (Foc-Foc,
La Réunion, 7-8 January 1966), of a month, 9300 mm (Cherrapunji, July 1861), and of twelve months, 26470 mm
(Cherrapunji, from August 1860), all of the WMO's archive. Sunlight: the solar constant of 1361 W m-2 (Kopp and Lean
2011), 1.034 times that at perihelion; a day under it at a pole in solstice, whose sun stands 23.44 degrees high all
day, gets 48.4 MJ m-2 above the atmosphere, more than any other place and day. Productivity: the integers of the annual
product end at 3.27 kg m-2 (MOD17 User's Guide, V061).

Where the step of a value is known, so is what the step can have. For the values of any other file the limits are wide,
so that nothing that could be true of any step up to a year is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError

if TYPE_CHECKING:
    import xarray as xr
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
# a rate or an amount of any step up to a year lies within
_ANY_STEP = {
    ("temperature", "K"): (100.0, 400.0),
    ("temperature", "degC"): (-173.15, 126.85),
    # models leave tiny negative amounts
    ("precipitation", "mm"): (-1.0, 50_000.0),
    ("precipitation", "m"): (-0.001, 50.0),
    ("radiation", "J m-2"): (-1e9, 5e10),
    ("radiation", "MJ m-2"): (-1000.0, 50_000.0),
    ("radiation", "W m-2"): (-1000.0, 3000.0),
    ("npp", "g m-2"): (-5000.0, 10_000.0),
    ("npp", "kg m-2"): (-5.0, 10.0),
}
_PER = {f"{step}-1" for step in spec.FREQUENCIES}
_FINITE = float(np.finfo(np.float64).max)


class Limits(NamedTuple):
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
    """Give what a value of a series can be whose step is known, None where that is not known for the unit."""
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


def of_any_step(quantity: str, unit: str) -> Limits:
    """Give what a value of a quantity can be, whatever its step; any finite one where that is not known."""
    bare = unit
    if unit != "W m-2":
        words = unit.split()
        bare = " ".join(words[:-1]) if words[-1] in _PER else unit
    return Limits(*_ANY_STEP.get((quantity, bare), (-_FINITE, _FINITE)))


@dataclass(frozen=True)
class Rules:
    """What the values of a field may be, looked at as they are read; missing ones pass.

    Attributes
    ----------
    allowed : Limits
        A value outside is refused.
    what : str
        What the values should be, for the message.
    nodata : tuple of float
        Numbers that become NaN.
    valid : tuple of float
        What lies outside becomes NaN, as the file says.
    """

    allowed: Limits
    what: str
    nodata: tuple[float, ...] = ()
    valid: tuple[float, float] = (-np.inf, np.inf)

    @property
    def masks(self) -> bool:
        """Whether some values become NaN."""
        return bool(self.nodata) or bool(np.isfinite(self.valid).any())

    def apply(self, values: NDArray[Any], path: str) -> NDArray[Any]:
        """Mask what is missing, in place, and refuse what cannot be.

        Raises
        ------
        SourceError
        """
        of_dtype = values.dtype.type
        for number in self.nodata:
            values[values == of_dtype(number)] = np.nan
        if np.isfinite(self.valid).any():
            values[(values < of_dtype(self.valid[0])) | (values > of_dtype(self.valid[1]))] = np.nan
        if values.size:
            low, high = self.allowed
            if np.fmin.reduce(values, axis=None) < low or np.fmax.reduce(values, axis=None) > high:
                wrong = values[(values < low) | (values > high)]
                raise self.refusal(path, float(wrong[0]), wrong.size)
        return values

    def refusal(self, path: str, value: float, count: int) -> SourceError:
        """Make the error for some values, of which one is shown."""
        return SourceError(
            f"{path}: {count} value(s) cannot be {self.what}, such as {value:g}.",
            f"Download the file again; if it marks missing data so, say `nodata: {value:g}`; or correct its unit.",
        )


@dataclass(frozen=True)
class OfProduct(Rules):
    """The rules of a variable of a known product, which says its name, its unit and what it stands for."""

    name: str = ""
    unit: str = ""

    def refusal(self, path: str, value: float, count: int) -> SourceError:
        """Make the error for one value."""
        return SourceError(
            f"{path}: {self.name} holds {value:.6g} {self.unit}, which no place on Earth has as {self.what} "
            f"({self.allowed.low:.4g} to {self.allowed.high:.4g}).",
            "The unit, the missing-data value or what a value stands for (`aggregate:`) is wrong, or the file is "
            "damaged: download it again.",
        )


def within(field: xr.DataArray, rules: Rules, path: str) -> xr.DataArray:
    """Give a lazy field as floats to which the rules are applied where they are read."""
    dtype = field.dtype
    if dtype.kind in "iu":
        dtype = np.dtype("float32") if dtype.itemsize <= 2 else np.dtype("float64")
    data = field.data.map_blocks(_within, rules, path, dtype, dtype=dtype, meta=np.empty((0,) * field.ndim, dtype))
    return field.copy(data=data)


def _within(block: NDArray[Any], rules: Rules, path: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    return rules.apply(np.array(block, dtype) if rules.masks else np.asarray(block, dtype), path)
