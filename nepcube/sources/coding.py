"""What an integer of the MOD17 family means: a productivity, a code, or neither.

The raw integer is looked at before anything is scaled: 32761..32767 are codes, -30000..32700 are 0.0001 kg of carbon
(MOD17 User's Guide, V061, table of the annual product). Files that hold scaled numbers are brought back to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.units import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALE = 0.0001
VALID = (-30000, 32700)
FIRST_CODE, FILL = 32761, 32767
_OUTSIDE = -32768
#: raw integers in one unit of a scaled file
_PER_UNIT = {"kg m-2 year-1": 10000.0, "g m-2 year-1": 10.0}


@dataclass(frozen=True)
class Coding:
    """How a file holds the integers.

    Attributes
    ----------
    nodata : float, optional
        The number of the file that stands for missing cells, beside the product's own codes.
    units : str, optional
        The unit of scaled numbers; None where the file holds the product's integers.
    """

    nodata: float | None = None
    units: str | None = None


def scaled_unit(units: str | None, path: str) -> str:
    """Give the canonical unit of a file of scaled numbers.

    Raises
    ------
    UnitError
        The unit is missing or not known.
    SourceError
        It is none of productivity.
    """
    unit = canonical(units, of=path)
    if unit not in _PER_UNIT:
        raise SourceError(
            f"{path}: `units` says {unit!r}, which is no unit of productivity.",
            f"Scaled exports are in {' or '.join(_PER_UNIT)}.",
        )
    return unit


def to_raw(numbers: NDArray[Any], coding: Coding, path: str) -> NDArray[np.int16]:
    """Give the product's integers; missing cells become 32767, integers that int16 cannot hold -32768.

    Raises
    ------
    SourceError
        A scaled number is no multiple of 0.0001 kg: it was averaged, or is in another unit.
    """
    if coding.units is not None:
        return _from_scaled(numbers, coding, path)
    raw = numbers
    if numbers.dtype != np.int16:
        wide = numbers.astype(np.int64)
        raw = np.where((wide < -32768) | (wide > 32767), _OUTSIDE, wide).astype(np.int16)
    if coding.nodata is not None and coding.nodata != FILL:
        hidden = numbers == coding.nodata
        if hidden.any():
            raw = np.where(hidden, np.int16(FILL), raw)
    return np.asarray(raw, np.int16)


def _from_scaled(numbers: NDArray[Any], coding: Coding, path: str) -> NDArray[np.int16]:
    hidden = np.isnan(numbers)
    if coding.nodata is not None:
        hidden |= numbers == numbers.dtype.type(coding.nodata)
    raw = np.where(hidden, FILL, numbers.astype(np.float64) * _PER_UNIT[str(coding.units)])
    whole = np.rint(raw)
    good = np.abs(whole) <= FILL
    # float32 keeps seven digits, and the export multiplies once or twice
    good[good] = np.abs(raw[good] - whole[good]) <= 1e-3 + 5e-7 * np.abs(raw[good])
    if not good.all():
        first = float(numbers[~good].flat[0])
        raise SourceError(
            f"{path}: {first:.9g} {coding.units} is none of the product's steps of 0.0001 kg m-2 year-1.",
            "Export the product's integers (no multiplying, no averaging), or state the true `units:` and `nodata:`.",
        )
    return whole.astype(np.int16)


def flags_of(
    raw: NDArray[np.int16], quality: NDArray[Any] | None, max_qc: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Give the flag of each integer, and where it is not data."""
    odd = (raw > VALID[1]) | (raw < VALID[0])
    flag = np.zeros(raw.shape, np.uint8)
    code = raw[odd].astype(np.int32) - (FIRST_CODE - 1)
    flag[odd] = np.where(code >= 1, code, 8)
    if quality is not None and max_qc is not None:
        # a missing quality (NaN) is no good one
        rejected = ~odd & ~(quality <= max_qc)
        flag[rejected] = 9
        odd |= rejected
    return flag, odd


def values_of(raw: NDArray[np.int16], flag: NDArray[np.uint8], odd: NDArray[np.bool_], zero: bool) -> NDArray[Any]:
    """Give the productivity in g m-2 year-1, float32; `zero` gives barren land no productivity rather than NaN."""
    value: NDArray[Any] = raw.astype(np.float32)
    value /= np.float32(10)
    value[odd] = np.nan
    if zero:
        value[flag == spec.BARREN] = 0.0
    return value
