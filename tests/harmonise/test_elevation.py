"""Temperature brought to the height of the cells, and the years that do not begin in January."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nepcube.errors import UnitError
from nepcube.harmonise import correct_for_elevation, covers, is_finer, surface_height
from nepcube.testing import forbid_compute
from nepcube.years import span_of, starts_of, year_comment, years_of


def field(values, units=None, name="height"):
    attrs = {} if units is None else {"units": units}
    return xr.DataArray(np.asarray(values), dims=("latitude", "longitude"), attrs=attrs, name=name)


@pytest.mark.parametrize("unit", ["m**2 s**-2", "m2 s-2", "m^2/s^2", "J kg-1"])
def test_geopotential_becomes_height(unit):
    got = surface_height(field([[0.0, 9806.65, 49033.25]], unit))
    assert got.attrs["units"] == "m"
    assert_allclose(got.values, [[0.0, 1000.0, 5000.0]], rtol=1e-12)


def test_heights_stay_and_other_units_are_refused():
    heights = field(np.array([[1.0, 4321.5]], "float32"), "m")
    assert_array_equal(surface_height(heights).values, heights.values)
    with pytest.raises(UnitError, match=r"elevation: 'feet' is neither a height \(m\) nor a geopotential \(m2 s-2\)"):
        surface_height(field([[1.0]], "feet"))
    with pytest.raises(UnitError, match="elevation: no unit is neither"):
        surface_height(field([[1.0]]))
    assert surface_height(field([[9806.65]]), units="m2 s-2").item() == pytest.approx(1000.0)


@given(
    t=st.floats(-40, 40), coarse=st.floats(-400, 8000), fine=st.floats(-400, 8800), rate=st.floats(0.1, 12),
)  # fmt: skip
def test_higher_is_colder_by_the_rate(t, coarse, fine, rate):
    temperature = xr.DataArray(np.full((2, 1, 1), t), dims=("time", "latitude", "longitude"), attrs={"units": "degC"})
    got = correct_for_elevation(temperature, field([[coarse]]), field([[fine]]), rate)
    assert got.dims == temperature.dims
    assert got.attrs["units"] == "degC"
    assert_allclose(got.values, t - rate * (fine - coarse) / 1000, rtol=1e-12, atol=1e-12)
    back = correct_for_elevation(got, field([[fine]]), field([[coarse]]), rate)
    assert_allclose(back.values, t, rtol=0, atol=1e-11)


def test_a_worked_number_and_what_is_missing():
    # 1000 m above the model's surface: 6.5 degrees colder
    temperature = xr.DataArray(np.full((1, 1, 3), -2.0, "float32"), dims=("time", "latitude", "longitude")).chunk()
    with forbid_compute():
        got = correct_for_elevation(temperature, field([[4000.0, 4000.0, np.nan]]), field([[5000.0, np.nan, 1.0]]))
    assert got.dtype == np.float32
    assert_array_equal(got.values, np.array([[[-8.5, np.nan, np.nan]]], "float32"))


def test_whether_a_raster_is_finer_and_covers():
    import nepcube as nc
    from nepcube.sources.series import with_crs

    def raster(step, west, north, rows, columns):
        lat, lon = north - (np.arange(rows) + 0.5) * step, west + (np.arange(columns) + 0.5) * step
        ds = xr.Dataset(
            {"height": (("latitude", "longitude"), np.zeros((rows, columns)))}, {"latitude": lat, "longitude": lon}
        )
        return with_crs(ds)

    grid = nc.target_grid((96.0, 33.0, 97.0, 34.0), "0.05 deg")
    fine, coarse = raster(0.01, 95.9, 34.1, 120, 120), raster(0.25, 95.5, 34.5, 8, 8)
    assert (is_finer(fine, grid), is_finer(coarse, grid)) == (True, False)
    assert covers(fine, grid)
    assert covers(coarse, grid)
    assert not covers(fine.isel(latitude=slice(20, None)), grid)
    assert not covers(fine.isel(longitude=slice(0, 100)), grid)


@given(month=st.integers(-1200, 1200), start=st.integers(1, 12))
def test_a_year_is_called_by_the_year_in_which_it_ends(month, start):
    stamp = np.datetime64("1970-01") + month
    year, number = 1970 + month // 12, month % 12 + 1
    want = year + 1 if start > 1 and number >= start else year
    assert years_of(np.array([stamp], "datetime64[ns]"), start).tolist() == [want]
    first, end = span_of((want, want), start)
    assert first <= stamp.astype("datetime64[h]") < end
    assert (end - first) // np.timedelta64(1, "D") in (365, 366)
    assert starts_of(np.array([want, want + 1]), start).tolist() == [first.item(), end.item()]


def test_the_year_in_words():
    assert year_comment(10) == "The year Y is October of Y-1 to September of Y."
    assert year_comment(1) == "The year Y is January to December of Y."
    assert year_comment(2) == "The year Y is February of Y-1 to January of Y."
