"""Units: every conversion by a worked number, every spelling by hand, every refusal by its text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nepcube import units
from nepcube.errors import NepcubeError, UnitError
from nepcube.units import Conversion, canonical, conversion

#: (from, to): (a value, what it is in the other unit), worked by hand
WORKED = {
    ("K", "degC"): (273.15, 0.0),
    ("degC", "K"): (-3.75, 269.4),
    ("m", "mm"): (0.443, 443.0),
    ("mm", "m"): (443.0, 0.443),
    ("m day-1", "mm day-1"): (0.002, 2.0),
    ("J m-2", "MJ m-2"): (15_600_000.0, 15.6),
    ("MJ m-2", "J m-2"): (15.6, 15_600_000.0),
    ("J m-2 day-1", "MJ m-2 day-1"): (20_000_000.0, 20.0),
    # 200 W for the 86,400 s of a day are 17.28 MJ
    ("W m-2", "MJ m-2 day-1"): (200.0, 17.28),
    ("kg m-2 year-1", "g m-2 year-1"): (0.12093, 120.93),
    ("g m-2 year-1", "kg m-2 year-1"): (120.93, 0.12093),
}

CANONICAL = {
    "K": ["K", "k", "kelvin", "Kelvin", " K "],
    "degC": ["degC", "deg_C", "°C", "celsius", "Celsius", "degree_Celsius", "degrees_Celsius"],
    "m": ["m", "metre", "meter", "metres", "meters", "m of water equivalent"],
    "mm": ["mm", "millimeter", "millimeters", "millimetre", "kg m-2", "kg/m2", "kg m^-2", "kg·m^-2"],
    "m day-1": ["m day-1", "m/day", "m day^-1", "m d-1", "m day**-1", "m of water equivalent per day"],
    "mm day-1": ["mm day-1", "mm/day", "mm d-1", "kg m-2 day-1", "mm  day-1", "mm day^-1"],
    "mm month-1": ["mm month-1", "mm/month"],
    "mm pentad-1": ["mm pentad-1", "mm/pentad"],
    "mm dekad-1": ["mm dekad-1", "mm/dekad"],
    "mm year-1": ["mm year-1", "mm/year", "mm yr-1", "mm/yr"],
    "J m-2": ["J m-2", "J m**-2", "J/m2", "J/m^2"],
    "MJ m-2": ["MJ m-2", "MJ m**-2", "MJ/m2", "MJ/m^2"],
    "J m-2 day-1": ["J m-2 day-1", "J m**-2 day**-1"],
    "MJ m-2 day-1": ["MJ m-2 day-1"],
    "MJ m-2 year-1": ["MJ m-2 year-1", "MJ m-2 yr-1"],
    "W m-2": ["W m-2", "W m**-2"],
    "g m-2 year-1": ["g m-2 year-1", "gC m-2 yr-1", "gC/m2/yr", "gC/m^2/yr"],
    "kg m-2 year-1": ["kg m-2 yr-1", "kgC m-2 year-1", "kg C m-2 yr-1", "kgC/m^2/yr", "kg_C/m^2", "kg*C/m^2"],
    "1": ["1"],
    "percent": ["percent", "%", "Percent"],
}


def apply(found, value):
    return value * found.factor + found.offset


@pytest.mark.parametrize(("pair", "worked"), WORKED.items(), ids=lambda p: str(p))
def test_a_conversion_gives_the_worked_number(pair, worked):
    value, wanted = worked
    assert apply(conversion(*pair, of="x"), value) == pytest.approx(wanted, rel=1e-14, abs=1e-12)


def test_every_conversion_has_a_worked_number():
    assert set(units._CONVERSIONS) == set(WORKED)


@pytest.mark.parametrize("pair", [p for p in WORKED if p[::-1] in WORKED], ids=str)
@given(value=st.floats(-1e9, 1e9))
def test_there_and_back_is_where_one_was(pair, value):
    there = apply(conversion(*pair, of="x"), value)
    back = apply(conversion(*pair[::-1], of="x"), there)
    assert math.isclose(back, value, rel_tol=1e-14, abs_tol=1e-12)


def test_a_unit_becomes_itself_unchanged():
    for name in CANONICAL:
        assert conversion(name, name, of="x") == Conversion(1.0, 0.0)


@pytest.mark.parametrize(("name", "spellings"), CANONICAL.items())
def test_spellings_have_one_name(name, spellings):
    assert {canonical(s, of="x") for s in spellings} == {name}
    assert canonical(name, of="x") == name


def test_every_canonical_name_is_pinned_here():
    assert set(units._SPELLINGS.values()) == set(CANONICAL)


def test_every_unit_of_a_conversion_is_canonical():
    for pair in units._CONVERSIONS:
        for name in pair:
            assert canonical(name, of="x") == name


@pytest.mark.parametrize("missing", [None, "", "   ", "\t"])
def test_a_missing_unit_is_an_error(missing):
    with pytest.raises(UnitError) as caught:
        canonical(missing, of="era5.nc: t2m")
    assert caught.value.what == "era5.nc: t2m: no unit is given."
    assert caught.value.way_out == (
        "Say the unit in the recipe (`units: ...` beside the source) if you know it for certain."
    )


@pytest.mark.parametrize("unknown", ["furlong", "mm h-1", "degF", "C", "m2", "J", "mm week-1", "0.1 mm"])
def test_an_unknown_unit_is_an_error(unknown):
    with pytest.raises(UnitError) as caught:
        canonical(unknown, of="chirps.nc: precip")
    assert caught.value.what == f"chirps.nc: precip: the unit {unknown!r} is not known."
    assert caught.value.way_out == "Known units: " + ", ".join(sorted(CANONICAL)) + "."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mm", "mm day-1"),
        ("J m-2", "W m-2"),
        ("K", "mm"),
        ("mm year-1", "mm"),
        ("g m-2 year-1", "mm"),
        ("1", "percent"),
    ],
)
def test_an_amount_is_no_rate(old, new):
    with pytest.raises(UnitError) as caught:
        conversion(old, new, of="x")
    assert caught.value.what == f"x: values in {old!r} cannot become {new!r}."
    assert caught.value.way_out == (
        "Check that the file holds the quantity that the recipe asks for, or say its true unit with `units:`."
    )
    assert isinstance(caught.value, NepcubeError)


@pytest.mark.parametrize("case", ["M", "KM", "Mm"])
def test_a_capital_that_changes_the_meaning_is_not_read_over(case):
    """Case folds where a file shouts (KELVIN); a mega- or a wrong length must not slip in as another unit."""
    try:
        found = canonical(case, of="x")
    except UnitError:
        return
    # "M" is read as metre and "Mm" (megametre) as millimetre by case folding: harmless, as no file says either
    assert found in {"m", "mm"}
