"""The units that the products use, and the conversions between them.

Canonical names are what UDUNITS reads. It knows no "gC", so a carbon flux is in ``g m-2 year-1`` and its long name
says carbon.
A unit that is missing or not known here is an error, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from nepcube.errors import UnitError

__all__ = ["TG_PER_KM2", "Conversion", "canonical", "conversion"]

#: teragrams in 1 gC m-2 over 1 km2: that is 1e6 gC, and a teragram is 1e12
TG_PER_KM2 = 1e-6


@dataclass(frozen=True)
class Conversion:
    """``new = old * factor + offset``."""

    factor: float
    offset: float = 0.0


# spelling -> canonical name
_SPELLINGS = {
    "k": "K",
    "kelvin": "K",
    "degc": "degC",
    "deg_c": "degC",
    "°c": "degC",
    "celsius": "degC",
    "degree_celsius": "degC",
    "degrees_celsius": "degC",
    "m": "m",
    "metre": "m",
    "meter": "m",
    "metres": "m",
    "meters": "m",
    "m of water equivalent": "m",
    "m of water equivalent per day": "m day-1",
    "mm": "mm",
    "millimeter": "mm",
    "millimeters": "mm",
    "millimetre": "mm",
    "kg m-2": "mm",
    "kg/m2": "mm",
    "kg/m^2": "mm",
    "kg m**-2": "mm",
    "m day-1": "m day-1",
    "m/day": "m day-1",
    "m d-1": "m day-1",
    "m day**-1": "m day-1",
    "mm day-1": "mm day-1",
    "mm/day": "mm day-1",
    "mm d-1": "mm day-1",
    "mm/d": "mm day-1",
    "mm day**-1": "mm day-1",
    "kg m-2 day-1": "mm day-1",
    "mm month-1": "mm month-1",
    "mm/month": "mm month-1",
    "mm pentad-1": "mm pentad-1",
    "mm/pentad": "mm pentad-1",
    "mm dekad-1": "mm dekad-1",
    "mm/dekad": "mm dekad-1",
    "mm year-1": "mm year-1",
    "mm/year": "mm year-1",
    "mm yr-1": "mm year-1",
    "mm/yr": "mm year-1",
    "j m-2": "J m-2",
    "j m**-2": "J m-2",
    "j/m2": "J m-2",
    "j/m^2": "J m-2",
    "mj m-2": "MJ m-2",
    "mj m**-2": "MJ m-2",
    "mj/m2": "MJ m-2",
    "mj/m^2": "MJ m-2",
    "j m-2 day-1": "J m-2 day-1",
    "j m**-2 day**-1": "J m-2 day-1",
    "j m-2 d-1": "J m-2 day-1",
    "j/m2/day": "J m-2 day-1",
    "mj m-2 day-1": "MJ m-2 day-1",
    "mj m-2 d-1": "MJ m-2 day-1",
    "mj/m2/day": "MJ m-2 day-1",
    "mj m-2 year-1": "MJ m-2 year-1",
    "mj m-2 yr-1": "MJ m-2 year-1",
    "w m-2": "W m-2",
    "w m**-2": "W m-2",
    "w/m2": "W m-2",
    "w/m^2": "W m-2",
    "g m-2 year-1": "g m-2 year-1",
    "g m-2 yr-1": "g m-2 year-1",
    "kg m-2 year-1": "kg m-2 year-1",
    "kg m-2 yr-1": "kg m-2 year-1",
    "gc m-2 year-1": "g m-2 year-1",
    "gc m-2 yr-1": "g m-2 year-1",
    "gc/m2/yr": "g m-2 year-1",
    "gc/m^2/yr": "g m-2 year-1",
    "kgc m-2 year-1": "kg m-2 year-1",
    "kgc m-2 yr-1": "kg m-2 year-1",
    "kg c m-2 yr-1": "kg m-2 year-1",
    "kgc/m^2/yr": "kg m-2 year-1",
    "kg_c/m^2/yr": "kg m-2 year-1",
    "kgc/m2/yr": "kg m-2 year-1",
    "kg_c/m^2": "kg m-2 year-1",
    "kgc/m^2": "kg m-2 year-1",
    "kg*c/m^2": "kg m-2 year-1",
    "1": "1",
    "percent": "percent",
    "%": "percent",
}

# (from, to) among canonical names of one kind of quantity
_CONVERSIONS = {
    ("K", "degC"): Conversion(1.0, -273.15),
    ("degC", "K"): Conversion(1.0, 273.15),
    ("m", "mm"): Conversion(1000.0),
    ("mm", "m"): Conversion(0.001),
    ("m day-1", "mm day-1"): Conversion(1000.0),
    ("J m-2", "MJ m-2"): Conversion(1e-6),
    ("MJ m-2", "J m-2"): Conversion(1e6),
    ("J m-2 day-1", "MJ m-2 day-1"): Conversion(1e-6),
    # a day has 86,400 s
    ("W m-2", "MJ m-2 day-1"): Conversion(0.0864),
    ("kg m-2 year-1", "g m-2 year-1"): Conversion(1000.0),
    ("g m-2 year-1", "kg m-2 year-1"): Conversion(0.001),
}


def canonical(unit: str | None, *, of: str) -> str:
    """Give the one spelling of a unit that the rest of the package uses.

    Parameters
    ----------
    unit : str or None
        The unit as a file or a recipe spells it.
    of : str
        What carries the unit (a file and variable), for the message.

    Raises
    ------
    UnitError
        The unit is missing or not known.
    """
    if unit is None or not str(unit).strip():
        raise UnitError(
            f"{of}: no unit is given.",
            "Say the unit in the recipe (`units: ...` beside the source) if you know it for certain.",
        )
    key = " ".join(str(unit).strip().lower().replace("·", " ").replace("^-", "-").split())
    if key not in _SPELLINGS:
        raise UnitError(
            f"{of}: the unit {unit!r} is not known.",
            "Known units: " + ", ".join(sorted(set(_SPELLINGS.values()))) + ".",
        )
    return _SPELLINGS[key]


def conversion(old: str, new: str, *, of: str) -> Conversion:
    """Give the factor and offset that turn values in `old` into values in `new`.

    Raises
    ------
    UnitError
        The two units measure different things (an amount and a rate, for example).
    """
    if old == new:
        return Conversion(1.0)
    try:
        return _CONVERSIONS[old, new]
    except KeyError:
        raise UnitError(
            f"{of}: values in {old!r} cannot become {new!r}.",
            "Check that the file holds the quantity that the recipe asks for, or say its true unit with `units:`.",
        ) from None
