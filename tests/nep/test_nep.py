"""Carbon models beside a float64 calculation in plain numpy, and the numbers of the science page."""

import math
import warnings
from types import MappingProxyType

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nepcube import nep
from nepcube.errors import SpecError
from nepcube.nep import heterotrophic_respiration, net_ecosystem_productivity, potential_npp
from nepcube.testing import forbid_compute

HALF_ULP = 6.0e-8  # of float32, in which results are kept


def field(values, units, name, time=None):
    values = np.asarray(values)
    dims = ("time", "latitude", "longitude")[-values.ndim :] if values.ndim else ()
    coords = {d: np.arange(n) / 2 for d, n in zip(dims, values.shape, strict=True) if d != "time"}
    if "time" in dims:
        coords["time"] = np.asarray(time if time is not None else years(values.shape[0]), "M8[ns]")
    return xr.DataArray(values, dims=dims, coords=coords, name=name, attrs={"units": units})


def years(n, first=2001):
    return np.array([f"{first + i}-01-01" for i in range(n)], "M8[ns]")


def t_and_p(t, p, units="mm year-1", time=None):
    return field(t, "degC", "temperature", time), field(p, units, "precipitation", time)


def bracket(t, p):
    return np.exp(0.0913 * np.asarray(t, "f8")) + np.log(0.3145 * np.asarray(p, "f8") + 1)


def annual(t, p):
    return 0.22 * bracket(t, p) * 30 * 0.465


def climate(seed, step, n_years=2):
    """Daily or monthly climate on 3 x 4 cells near the mean of the headwaters."""
    rng = np.random.default_rng(seed)
    unit = {"M": "M8[M]", "D": "M8[D]"}[step]
    time = np.arange("2003-01", f"{2003 + n_years}-01", dtype=unit).astype("M8[ns]")
    phase = 2 * np.pi * ((time - time[0]) / np.timedelta64(1, "D")) / 365.25
    t = -3.75 - 12 * np.cos(phase)[:, None, None] + rng.normal(0, 2, (time.size, 3, 4))
    wet = np.clip(1 - np.cos(phase), 0, None)[:, None, None] * rng.gamma(1.0, 1.0, (time.size, 3, 4))
    p = wet * 443 * n_years / time.size
    return t, p, time


# --- heterotrophic respiration


def test_the_number_of_the_science_page():
    found = float(heterotrophic_respiration(*t_and_p(-3.75, 443.0), basis="annual"))
    assert f"{annual(-3.75, 443):.4f}" == f"{found:.4f}" == "17.3522"
    # the bracket of public code that is misplaced
    wrong = 0.22 * (math.exp(0.0913 * -3.75) + math.log(0.3145 * 443) + 1) * 30 * 0.465
    other = 0.22 * math.exp(0.0913 * -3.75) + math.log(0.3145 * 443 + 1) * 30 * 0.465
    misplaced = 0.22 * (math.exp(0.0913 * -3.75) + math.log(0.3145 * (443 + 1))) * 30 * 0.465
    assert all(abs(found - v) > 0.01 for v in (15.33, wrong, other, misplaced))


@given(t=st.floats(-40, 40), p=st.floats(0, 5000))
@settings(max_examples=150, deadline=None)
def test_annual(t, p):
    found = float(heterotrophic_respiration(*t_and_p(t, p), basis="annual"))
    assert math.isclose(found, float(annual(t, p)), rel_tol=HALF_ULP)


@pytest.mark.parametrize(("basis", "step", "month"), [("monthly", "M", 30), ("daily", "D", 1)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_sum_over_a_years_months_or_days(basis, step, month, dtype):
    t, p, time = climate(1, step)
    t, p = t.astype(dtype), p.astype(dtype)
    found = heterotrophic_respiration(*t_and_p(t, p, "mm", time), basis=basis)
    rate = 0.22 * bracket(t, p) * month * 0.465
    in_year = time.astype("M8[Y]")
    wanted = [[math.fsum(rate[in_year == y][:, i, j]) for i in range(3) for j in range(4)] for y in np.unique(in_year)]
    assert_allclose(found, np.reshape(wanted, (2, 3, 4)), rtol=HALF_ULP)
    assert found.dtype == np.float32
    assert_array_equal(found.time, years(2, 2003))
    assert in_year.size == (24 if step == "M" else 365 + 366)


def test_the_three_bases_of_the_headwaters():
    """The page says about 17.4, 107 and 45 of a climate of -3.75 degC and 443 mm."""
    months, days = climate(2, "M", 4), climate(2, "D", 4)
    t, p = days[0].mean(), days[1].sum() / days[1][0].size / 4
    by = {
        "annual": float(heterotrophic_respiration(*t_and_p(t, p), basis="annual")),
        "monthly": float(heterotrophic_respiration(*t_and_p(*months[:2], "mm", months[2]), basis="monthly").mean()),
        "daily": float(heterotrophic_respiration(*t_and_p(*days[:2], "mm", days[2]), basis="daily").mean()),
    }
    assert by["annual"] == pytest.approx(17.4, abs=0.5)
    # another weather of the same mean: the order and the size are the page's
    assert by["monthly"] == pytest.approx(107, rel=0.15)
    assert by["daily"] == pytest.approx(45, rel=0.3)


def test_a_missing_month_is_a_missing_year():
    t, p, time = climate(3, "M")
    t[5, 0, 0] = np.nan
    p[20, 1, 1] = np.nan
    found = heterotrophic_respiration(*t_and_p(t, p, "mm", time), basis="monthly")
    holes = np.zeros((2, 3, 4), bool)
    holes[0, 0, 0] = holes[1, 1, 1] = True
    assert_array_equal(np.isnan(found), holes)


@pytest.mark.parametrize("p", [-3.18, -9999.0, -np.inf])
def test_precipitation_that_is_impossible(p):
    with pytest.raises(SpecError) as caught:
        heterotrophic_respiration(*t_and_p([[1.0, 2.0]], [[10.0, p]]), basis="annual")
    assert caught.value.what == f"precipitation: {p:.6g} mm is impossible (pei2009)."
    t, q = t_and_p([[1.0, 2.0]], [[10.0, p]])
    lazy = heterotrophic_respiration(t, q.chunk(), basis="annual").compute()
    assert_array_equal(np.isnan(lazy), [[False, True]])


def test_packing_noise_below_zero_is_possible():
    found = heterotrophic_respiration(*t_and_p(0.0, -1e-6), basis="annual")
    assert float(found) == pytest.approx(0.22 * 30 * 0.465, rel=1e-6)


@pytest.mark.parametrize(
    ("units_t", "units_p", "basis", "said"),
    [
        ("K", "mm year-1", "annual", "temperature: in 'K', degC is needed."),
        (None, "mm year-1", "annual", "temperature: in None, degC is needed."),
        ("degC", "m", "annual", "precipitation: in 'm', mm or mm year-1 is needed."),
        ("degC", "mm year-1", "monthly", "precipitation: in 'mm year-1', mm is needed."),
        ("degC", "mm month-1", "monthly", "precipitation: in 'mm month-1', mm is needed."),
        ("degC", "mm day-1", "daily", "precipitation: in 'mm day-1', mm is needed."),
    ],
)
def test_units_that_are_wrong(units_t, units_p, basis, said):
    t, p = t_and_p([1.0], [2.0], units_p)
    t.attrs = {"units": units_t} if units_t else {}
    with pytest.raises(SpecError) as caught:
        heterotrophic_respiration(t, p, basis=basis)
    assert caught.value.what == said


def test_words_that_are_not_known():
    t, p = t_and_p([1.0], [2.0])
    with pytest.raises(SpecError, match=r"'yearly' is not a respiration basis\.\nUse one of annual, monthly, daily\."):
        heterotrophic_respiration(t, p, basis="yearly")
    with pytest.raises(SpecError, match=r"'pei' is not a respiration model\.\n.*Models here: gsmsr, pei2009\."):
        heterotrophic_respiration(t, p, basis="annual", model="pei")
    with pytest.raises(TypeError, match="basis"):
        heterotrophic_respiration(t, p)


# --- potential productivity


def thornthwaite(t, p):
    limit = 300 + 25 * t + 0.05 * t**3
    if limit <= 0:
        return 0.0, 0.0
    v = 1.05 * p / math.sqrt(1 + (1.05 * p / limit) ** 2)
    return v, 3000 * (1 - math.exp(-0.0009695 * (v - 20))) if v >= 20 else 0.0


def miami(t, p):
    return min(3000 / (1 + math.exp(1.315 - 0.119 * t)), 3000 * (1 - math.exp(-0.000664 * p)))


@pytest.mark.parametrize("fraction", [0.45, 0.475, 0.5])
def test_the_models_numbers(fraction):
    v, dry = thornthwaite(10, 500)
    assert f"{miami(10, 500):.4f}" == "847.5380"
    assert (f"{v:.4f}", f"{dry:.4f}") == ("395.1028", "914.6219")
    for model, number in (("miami", 847.5380), ("thornthwaite-memorial", 914.6219)):
        found = potential_npp(*t_and_p(10.0, 500.0), model=model, carbon_fraction=fraction)
        assert float(found) == pytest.approx(number * fraction, rel=HALF_ULP + 1e-7)
        assert found.attrs["carbon_fraction"] == fraction
        assert found.attrs["productivity_model"] == model
        assert found.attrs["units"] == "g m-2 year-1"
    assert float(potential_npp(*t_and_p(10.0, 500.0))) == pytest.approx(847.5380 * 0.45, rel=1e-7)


@given(t=st.floats(-45, 45), p=st.floats(0, 6000))
@settings(max_examples=200, deadline=None)
def test_the_models_everywhere(t, p):
    found = {m: float(potential_npp(*t_and_p(t, p), model=m, carbon_fraction=0.5)) for m in nep.POTENTIAL_FORMULAS}
    assert math.isclose(found["miami"], miami(t, p) / 2, rel_tol=1e-7, abs_tol=1e-9)
    assert math.isclose(found["thornthwaite-memorial"], thornthwaite(t, p)[1] / 2, rel_tol=1e-7, abs_tol=1e-6)


@pytest.mark.parametrize(("t", "p"), [(-10.1, 500), (-15, 800), (-40, 3000), (10, 19), (25, 0), (-9.9, 15)])
def test_cold_and_dry_land_grows_nothing(t, p):
    v, dry = thornthwaite(t, p)
    assert v < 20
    assert dry == 0
    assert float(potential_npp(*t_and_p(float(t), float(p)), model="thornthwaite-memorial")) == 0


def test_the_models_refusals():
    t, p = t_and_p([1.0, 2.0], [3.0, 4.0])
    with pytest.raises(
        SpecError, match=r"'casa' is not a productivity model\.\nUse one of miami, thornthwaite-memorial\."
    ):
        potential_npp(t, p, model="casa")
    with pytest.raises(SpecError, match="temperature: in 'K', 'degC' is needed"):
        potential_npp(t.assign_attrs(units="K"), p)
    with pytest.raises(SpecError, match="precipitation: in 'mm', 'mm year-1' is needed"):
        potential_npp(t, p.assign_attrs(units="mm"))


# --- the balance


def test_the_balance_is_a_difference():
    npp, rh = (
        field([[100.0, 5.0, np.nan, 7.0]], "g m-2 year-1", "npp"),
        field([[17.5, 20.0, 3.0, np.nan]], "g m-2 year-1", "rh"),
    )
    found = net_ecosystem_productivity(npp.astype("f4"), rh.astype("f4"))
    assert_array_equal(found, np.array([[82.5, -15.0, np.nan, np.nan]], "f4"))
    assert found.name == "nep"
    assert found.dtype == np.float32
    assert found.attrs["units"] == "g m-2 year-1"
    assert found.attrs["long_name"].startswith("net ecosystem productivity")


def test_the_balance_of_a_model_is_potential():
    t, p = t_and_p([[10.0]], [[500.0]])
    found = net_ecosystem_productivity(potential_npp(t, p), heterotrophic_respiration(t, p, basis="annual"))
    assert found.attrs["long_name"].startswith("potential net ecosystem productivity")
    assert float(found[0, 0]) == pytest.approx(847.5380 * 0.45 - annual(10, 500), rel=1e-6)


def test_the_balances_refusals():
    npp, rh = field([1.0, 2.0], "g m-2 year-1", "npp"), field([1.0, 2.0], "g m-2 year-1", "rh")
    with pytest.raises(SpecError, match="npp: in 'kg m-2 year-1', 'g m-2 year-1' is needed"):
        net_ecosystem_productivity(npp.assign_attrs(units="kg m-2 year-1"), rh)
    with pytest.raises(SpecError, match="rh: in None"):
        net_ecosystem_productivity(npp, rh.drop_attrs())


# --- all of them


def rh(t, p):
    return heterotrophic_respiration(t, p, basis="annual")


def both(t, p):
    return net_ecosystem_productivity(potential_npp(t, p, model="thornthwaite-memorial"), rh(t, p))


every = pytest.mark.parametrize("call", [rh, potential_npp, both])


def some():
    rng = np.random.default_rng(4)
    t, p = rng.normal(0, 8, (3, 5, 7)).astype("f4"), rng.gamma(2, 300, (3, 5, 7)).astype("f4")
    t[0, 0, 0] = p[1, 1, 1] = np.nan
    return t_and_p(t, p)


@every
@pytest.mark.parametrize("shift", [{"latitude": 1e-9}, {"longitude": 0.5}, {"time": np.timedelta64(1, "D")}])
def test_coordinates_that_differ(call, shift):
    t, p = some()
    ((name, by),) = shift.items()
    with pytest.raises(SpecError, match="not on the same coordinates"):
        call(t, p.assign_coords({name: p[name] + by}))


@every
def test_coordinates_that_are_fewer(call):
    t, p = some()
    with pytest.raises(SpecError, match="not on the same coordinates"):
        call(t, p.isel(time=slice(1, None)))


@every
@pytest.mark.parametrize("chunks", [{"time": 1}, {"time": 2, "latitude": 2, "longitude": 3}])
def test_lazy_and_bit_equal(call, chunks):
    t, p = some()
    whole = call(t, p)
    with forbid_compute():
        lazy = call(t.chunk(chunks), p.chunk(chunks))
    assert dask.is_dask_collection(lazy.data)
    assert lazy.dtype == np.float32
    xr.testing.assert_identical(lazy.compute(), whole)
    assert lazy.compute().values.tobytes() == whole.values.tobytes()


@pytest.mark.parametrize("basis", ["monthly", "daily"])
def test_sums_are_lazy_and_bit_equal(basis):
    t, p, time = climate(5, basis[0].upper())
    t, p = t_and_p(t, p, "mm", time)
    whole = heterotrophic_respiration(t, p, basis=basis)
    for chunks in ({"time": 5, "latitude": 2}, {"time": -1, "longitude": 1}):
        with forbid_compute():
            lazy = heterotrophic_respiration(t.chunk(chunks), p.chunk(chunks), basis=basis)
        assert lazy.compute().values.tobytes() == whole.values.tobytes()


@every
@pytest.mark.parametrize("order", [("latitude", "longitude", "time"), ("longitude", "time", "latitude")])
def test_any_order_of_dimensions(call, order):
    t, p = some()
    whole = call(t, p)
    found = call(t.transpose(*order), p.transpose(*order))
    assert found.dims == order
    assert_array_equal(found.transpose(*whole.dims), whole)
    assert_array_equal(call(t, p.transpose(*order)), whole)


@every
def test_missing_stays_missing_and_labels_stay(call):
    t, p = some()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = call(t, p)
    assert_array_equal(np.isnan(found), np.isnan(t) | np.isnan(p))
    for name in ("time", "latitude", "longitude"):
        assert_array_equal(found[name], t[name])


# --- the soil respiration of Yu et al. (2010), and models of others


def gsmsr(t, p, carbon, days):
    rain = np.asarray(p) / 10
    return (1.55 * np.exp(0.031 * np.asarray(t)) * rain / (rain + 0.68) * carbon / (carbon + 2.23) * days).sum(0)


def days_of(time):
    month = np.asarray(time, "M8[M]")
    return ((month + 1).astype("M8[D]") - month.astype("M8[D]")).astype(float)


def soil(values, units="kg m-2"):
    return field(values, units, "soil_carbon")


@pytest.mark.parametrize("chunks", [None, {"latitude": 2}])
def test_gsmsr_is_the_heterotrophic_part_of_a_years_soil_respiration(chunks):
    t, p, time = climate(11, "M")
    carbon = np.random.default_rng(3).uniform(0.5, 15, (3, 4))
    temperature, precipitation = t_and_p(t, p, "mm", time)
    if chunks:
        temperature, precipitation = temperature.chunk(chunks), precipitation.chunk(chunks)
    found = heterotrophic_respiration(
        temperature, precipitation, basis="monthly", model="gsmsr", fields={"soil_carbon": soil(carbon)}
    )
    for k in range(2):
        year = slice(12 * k, 12 * k + 12)
        rs = gsmsr(t[year], p[year], carbon, days_of(time[year])[:, None, None])
        assert_allclose(found[k], np.exp(1.22 + 0.73 * np.log(rs)), rtol=HALF_ULP)
    assert found.dims == ("time", "latitude", "longitude")
    assert found.attrs["respiration_model"] == "gsmsr"
    assert found.attrs["units"] == "g m-2 year-1"


def test_gsmsr_by_hand():
    """10 degC, 60 mm a month and 5 kg m-2 give 1.3127 g a day, 479.1 a year, and 306.6 of them from microbes."""
    time = np.arange("2003-01", "2004-01", dtype="M8[M]").astype("M8[ns]")
    t, p = t_and_p(np.full((12, 1, 1), 10.0), np.full((12, 1, 1), 60.0), "mm", time)
    found = heterotrophic_respiration(t, p, basis="monthly", model="gsmsr", fields={"soil_carbon": soil([[5.0]])})
    daily = 1.55 * math.exp(0.31) * (6 / 6.68) * (5 / 7.23)
    assert f"{daily:.4f} {365 * daily:.1f}" == "1.3127 479.1"
    assert float(found.squeeze()) == pytest.approx(math.exp(1.22) * (365 * daily) ** 0.73, rel=1e-7)
    assert f"{float(found.squeeze()):.1f}" == "306.6"


def test_gsmsr_without_rain_or_carbon_is_nothing():
    time = np.arange("2003-01", "2004-01", dtype="M8[M]").astype("M8[ns]")
    t, p = t_and_p(np.full((12, 1, 2), 10.0), np.zeros((12, 1, 2)), "mm", time)
    p[:, 0, 1] = 50.0
    found = heterotrophic_respiration(t, p, basis="monthly", model="gsmsr", fields={"soil_carbon": soil([[5.0, 0.0]])})
    assert_array_equal(found[0], [[0.0, 0.0]])
    p[3] = -1e-6  # packing
    same = heterotrophic_respiration(t, p, basis="monthly", model="gsmsr", fields={"soil_carbon": soil([[5.0, 0.0]])})
    assert_array_equal(same[0, 0, 0], 0.0)
    p[3] = -1.0
    with pytest.raises(SpecError, match="-1 mm is impossible"):
        heterotrophic_respiration(t, p, basis="monthly", model="gsmsr", fields={"soil_carbon": soil([[5.0, 0.0]])})
    nan = heterotrophic_respiration(
        t, p.chunk(latitude=1), basis="monthly", model="gsmsr", fields={"soil_carbon": soil([[5.0, -9999.0]])}
    )
    assert np.isnan(nan).all()


@pytest.mark.parametrize(
    ("change", "what", "way_out"),
    [
        ({"basis": "daily"}, "gsmsr has no daily basis", "Use one of monthly."),
        ({"fields": {}}, "gsmsr needs soil_carbon (kg m-2)", "Give it beside"),
        ({"fields": {"soil_carbon": soil([[5.0]], "g m-2")}}, "soil_carbon: in 'g m-2', kg m-2 is needed", "Harmonise"),
        ({"model": "gsmrs"}, "'gsmrs' is not a respiration model", "Did you mean 'gsmsr'?"),
        ({"model": "pei2009"}, "pei2009 has no use for soil_carbon", "Leave it out."),
        ({"fields": {"soil_carbon": soil([[5.0], [6.0]])}}, "not on the same coordinates", "Bring them to one grid"),
    ],
)
def test_what_gsmsr_refuses(change, what, way_out):
    time = np.arange("2003-01", "2004-01", dtype="M8[M]").astype("M8[ns]")
    t, p = t_and_p(np.full((12, 1, 1), 10.0), np.full((12, 1, 1), 60.0), "mm", time)
    given = {"basis": "monthly", "model": "gsmsr", "fields": {"soil_carbon": soil([[5.0]])}} | change
    with pytest.raises(SpecError) as told:
        heterotrophic_respiration(t, p, **given)
    assert what in told.value.what
    assert way_out in told.value.way_out


class Warm:
    """A model of another package: a tenth of a gram a day and degree above zero."""

    name = "warm"
    formulas = MappingProxyType({"monthly": "RH = sum of 0.1 max(T, 0) x days", "daily": "RH = sum of 0.1 max(T, 0)"})
    fields = MappingProxyType({"scale": "1"})
    citation = "Nobody 2026."

    def rate(self, basis, temperature, precipitation, days, scale):
        return 0.1 * np.maximum(temperature, 0) * days * scale + 0 * precipitation

    def annual(self, total):
        return total

    def impossible(self, precipitation):
        return precipitation < 0


class Nothing:
    name = "nothing"


def broken():
    raise RuntimeError("no data file")


@pytest.fixture
def others(monkeypatch):
    """Entry points as packages would register them."""
    from importlib.metadata import EntryPoint

    from nepcube.nep import models

    points = [
        EntryPoint("warm", f"{__name__}:Warm", models.GROUP),
        EntryPoint("nothing", f"{__name__}:Nothing", models.GROUP),
        EntryPoint("broken", f"{__name__}:broken", models.GROUP),
    ]
    monkeypatch.setattr(models, "entry_points", lambda group: [p for p in points if p.group == group])
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


@pytest.mark.parametrize("model", ["warm", Warm()])
def test_a_model_of_another_package(others, model):
    t, p, time = climate(12, "D")
    scale = field(np.full((3, 4), 2.0), "1", "scale")
    found = heterotrophic_respiration(*t_and_p(t, p, "mm", time), basis="daily", model=model, fields={"scale": scale})
    first = time.astype("M8[Y]") == np.datetime64("2003")
    assert_allclose(found[0], (0.2 * np.maximum(t, 0))[first].sum(0), rtol=HALF_ULP)
    with pytest.raises(SpecError, match="warm has no annual basis"):
        heterotrophic_respiration(*t_and_p(-1.0, 2.0), basis="annual", model=model)


def test_a_model_that_is_none(others):
    with pytest.raises(SpecError, match=r"'nothing' of .*:Nothing is none that nepcube can use"):
        nep.respiration_model("nothing")
    with pytest.raises(SpecError, match=r"'broken' of .*:broken does not load \(no data file\)"):
        nep.respiration_model("broken")
    with pytest.raises(SpecError) as told:
        nep.respiration_model("nobody")
    assert "Models here: broken, gsmsr, nothing, pei2009, warm." in told.value.way_out
