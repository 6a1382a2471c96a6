"""Values that no field of a quantity can hold: a code of missing data that is not declared, or a wrong unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

# least and largest, wide enough for any year on Earth; a rate or an amount of any step lies within
_RANGES = {
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
_PER = {f"{step}-1" for step in ("hour", "day", "pentad", "dekad", "month", "year")}
_FINITE = float(np.finfo(np.float64).max)


def range_of(quantity: str, unit: str) -> tuple[float, float]:
    """Give the least and the largest value that a quantity can have in a unit; any finite one where none is known."""
    bare = unit
    if unit != "W m-2":
        words = unit.split()
        bare = " ".join(words[:-1]) if words[-1] in _PER else unit
    return _RANGES.get((quantity, bare), (-_FINITE, _FINITE))


@dataclass(frozen=True)
class Rules:
    """What the values of a field may be.

    Attributes
    ----------
    low, high : float
        A value below or above is refused when it is read.
    what : str
        What the values should be, for the message.
    nodata : tuple of float
        Numbers that become NaN.
    valid : tuple of float
        What lies outside becomes NaN, as the file says.
    """

    low: float
    high: float
    what: str
    nodata: tuple[float, ...] = ()
    valid: tuple[float, float] = (-np.inf, np.inf)

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
        wrong = (values < self.low) | (values > self.high)
        if wrong.any():
            value = float(values[wrong][0])
            raise SourceError(
                f"{path}: {int(wrong.sum())} value(s) cannot be {self.what}, such as {value:g}.",
                f"Download the file again; if it marks missing data so, say `nodata: {value:g}`; or correct its unit.",
            )
        return values


def within(field: xr.DataArray, rules: Rules, path: str) -> xr.DataArray:
    """Give a lazy field as floats to which the rules are applied where they are read."""
    dtype = field.dtype
    if dtype.kind in "iu":
        dtype = np.dtype("float32") if dtype.itemsize <= 2 else np.dtype("float64")
    data = field.data.map_blocks(_within, rules, path, dtype, dtype=dtype, meta=np.empty((0,) * field.ndim, dtype))
    return field.copy(data=data)


def _within(block: NDArray[Any], rules: Rules, path: str, dtype: np.dtype[Any]) -> NDArray[Any]:
    return rules.apply(np.array(block, dtype), path)
