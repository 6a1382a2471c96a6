"""The error of NEP beside Monte Carlo in plain numpy, complex-step derivatives and closed forms."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from nepcube import nep
from nepcube.errors import SpecError
from nepcube.nep import nep_uncertainty, respiration_sensitivity
from nepcube.nep.models import Gsmsr, Pei2009
from nepcube.testing import forbid_compute

FLUX = "g m-2 year-1"
SINGLE = 2.0e-7  # a few roundings to float32
NONE = {"systematic": 0.0, "by_cell": 0.0, "by_cell_year": 0.0}
PEI = {"scale": 0.22, "temperature": 0.0913, "precipitation": 0.3145, "share": 0.465}
YU = {
    "scale": 1.55,
    "temperature": 0.031,
    "precipitation": 0.68,
    "soil_carbon": 2.23,
    "intercept": 1.22,
    "slope": 0.73,
}


def maps(values, units, name):
    values = np.asarray(values)
    time = np.array([f"{2001 + k}-01-01" for k in range(values.shape[0])], "M8[ns]")
    return xr.DataArray(values, {"time": time}, ("time", "y", "x"), name=name, attrs={"units": units})


def stepwise(values, units, name, unit):
    time = np.arange("2003-01", "2005-01", dtype=f"M8[{unit}]").astype("M8[ns]")
    return xr.DataArray(values, {"time": time}, ("time", "y", "x"), name=name, attrs={"units": units})


def pei(of, t, p, factor):
    """The formula in plain numpy; complex coefficients give derivatives."""
    return of["scale"] * of["share"] * factor * (np.exp(of["temperature"] * t) + np.log(of["precipitation"] * p + 1))


def yu(of, t, p, carbon, days, year):
    rain = p / 10
    month = of["scale"] * np.exp(of["temperature"] * t) * rain / (rain + of["precipitation"])
    month = month * carbon / (carbon + of["soil_carbon"]) * days[:, None, None]
    total = np.stack([month[year == y].sum(axis=0) for y in np.unique(year)])
    return np.exp(of["intercept"] + of["slope"] * np.log(total))


def complex_step(function, coefficients, name):
    """c df/dc without a difference: exact to rounding."""
    h = 1e-30
    moved = coefficients | {name: coefficients[name] * (1 + 1j * h)}
    return np.imag(function(moved)) / h


def climate(seed, unit):
    rng = np.random.default_rng(seed)
    n = {"Y": 6, "M": 24, "D": 731}[unit]
    return rng.normal(-3, 9, (n, 2, 3)), rng.gamma(1.0, {"Y": 443, "M": 40, "D": 1.3}[unit], (n, 2, 3))


# --- derivatives


@pytest.mark.parametrize(("basis", "unit", "factor"), [("annual", "Y", 30), ("monthly", "M", 30), ("daily", "D", 1)])
@pytest.mark.parametrize("name", PEI)
def test_the_derivatives_of_pei(name, basis, unit, factor):
    t, p = climate(1, unit)
    if unit == "Y":
        given_t, given_p = maps(t, "degC", "temperature"), maps(p, "mm year-1", "precipitation")
        wanted = complex_step(lambda of: pei(of, t, p, factor), PEI, name)
    else:
        given_t, given_p = stepwise(t, "degC", "temperature", unit), stepwise(p, "mm", "precipitation", unit)
        year = given_t.time.dt.year.values
        each = complex_step(lambda of: pei(of, t, p, factor), PEI, name)
        wanted = np.stack([each[year == y].sum(axis=0) for y in (2003, 2004)])
    found = respiration_sensitivity(given_t, given_p, basis=basis, coefficients=[name])
    assert list(found) == [name]
    # of temperature the terms of a year cancel in part
    assert_allclose(found[name], wanted, rtol=SINGLE, atol=1e-6)
    assert found[name].attrs["units"] == FLUX
    assert found[name].attrs["coefficient"] == PEI[name]


@pytest.mark.parametrize("name", YU)
def test_the_derivatives_of_yu(name):
    t, p = climate(2, "M")
    given_t, given_p = stepwise(t, "degC", "temperature", "M"), stepwise(p, "mm", "precipitation", "M")
    carbon = np.linspace(1.0, 9.0, 6).reshape(2, 3)
    fields = {"soil_carbon": xr.DataArray(carbon, dims=("y", "x"), attrs={"units": "kg m-2"})}
    year, days = given_t.time.dt.year.values, given_t.time.dt.days_in_month.values
    wanted = complex_step(lambda of: yu(of, t, p, carbon, days, year), YU, name)
    found = respiration_sensitivity(given_t, given_p, basis="monthly", model="gsmsr", fields=fields)
    assert_allclose(found[name], wanted, rtol=SINGLE, atol=1e-6)


def test_a_desert_without_rain_has_no_sensitivity():
    t, p = climate(2, "M")
    given_t, given_p = stepwise(t, "degC", "temperature", "M"), stepwise(p * 0.0, "mm", "precipitation", "M")
    fields = {"soil_carbon": xr.DataArray(np.ones((2, 3)), dims=("y", "x"), attrs={"units": "kg m-2"})}
    found = respiration_sensitivity(given_t, given_p, basis="monthly", model="gsmsr", fields=fields)
    for name in YU:
        assert_array_equal(found[name], np.zeros((2, 2, 3)))


@pytest.mark.parametrize("model", [Pei2009, Gsmsr])
def test_the_coefficients_are_those_of_the_formula(model):
    assert model().coefficients == (PEI if model is Pei2009 else YU)
    moved = model(temperature=0.05)
    assert moved.coefficients["temperature"] == 0.05


def test_a_sensitivity_is_missing_where_respiration_is():
    t, p = climate(3, "Y")
    t[0, 0, 0], p[1, 1, 1] = np.nan, np.nan
    given_t, given_p = maps(t, "degC", "temperature"), maps(p, "mm year-1", "precipitation")
    rh = nep.heterotrophic_respiration(given_t, given_p, basis="annual")
    found = respiration_sensitivity(given_t, given_p, basis="annual")
    assert list(found) == list(PEI)
    for name in PEI:
        assert_array_equal(np.isnan(found[name]), np.isnan(rh))


# --- propagation


def atlas(seed=5, years=6, rows=4, columns=5):
    rng = np.random.default_rng(seed)
    t, p = rng.normal(-2, 5, (years, rows, columns)), rng.gamma(8.0, 60.0, (years, rows, columns))
    npp = rng.gamma(3.0, 60.0, (years, rows, columns))
    given_t, given_p = maps(t, "degC", "temperature"), maps(p, "mm year-1", "precipitation")
    rh = nep.heterotrophic_respiration(given_t, given_p, basis="annual")
    sensitivity = respiration_sensitivity(given_t, given_p, basis="annual")
    return t, p, maps(npp.astype("f4"), FLUX, "npp"), rh, sensitivity


def spread_bound(sample):
    """What the standard deviation of a sample is off by, 4.5 standard errors, from its own fourth moment."""
    centred = sample - sample.mean(axis=0)
    m2, m4 = (centred**2).mean(axis=0), (centred**4).mean(axis=0)
    return 4.5 * np.sqrt((m4 - m2**2) / len(sample)) / (2 * np.sqrt(m2))


def test_a_cell_beside_monte_carlo():
    t, p, npp, rh, sensitivity = atlas()
    npp_errors = {"systematic": 0.05, "by_cell": 0.08, "by_cell_year": 0.2}
    rh_errors = {"scale": 0.04, "temperature": 0.03, "precipitation": 0.05, "share": 0.02}
    r = -0.7
    found = nep_uncertainty(
        npp,
        rh,
        sensitivity,
        npp_errors=npp_errors,
        respiration_errors=rh_errors,
        correlation=[("scale", "temperature", r)],
    )
    rng = np.random.default_rng(8)
    n = 20_000
    covariance = np.eye(4)
    covariance[0, 1] = covariance[1, 0] = r
    drawn = rng.multivariate_normal(np.zeros(4), covariance, n) * list(rh_errors.values())
    shape = npp.shape[1:]
    sink, of_rh, both = (np.empty((n, *shape)) for _ in range(3))
    values = npp.values.astype("f8")
    for k in range(n):
        of = {name: PEI[name] * (1 + drawn[k, j]) for j, name in enumerate(PEI)}
        microbes = pei(of, t, p, 30).mean(axis=0)
        factor = 1 + 0.05 * rng.normal() + 0.08 * rng.normal(size=shape) + 0.2 * rng.normal(size=values.shape)
        of_rh[k] = microbes
        both[k] = (values * factor).mean(axis=0) - microbes
        sink[k] = both[k] > 0
    assert (np.abs(found.standard_error - both.std(axis=0)) < spread_bound(both)).all()
    # errors this small leave the second order far below what is sampled
    assert (np.abs(found.respiration - of_rh.std(axis=0)) < spread_bound(of_rh)).all()
    share = sink.mean(axis=0)
    assert (np.abs(found.sink_probability - share) < 4.5 * np.sqrt(np.maximum(share * (1 - share), 1 / n) / n)).all()


def test_a_field_that_is_the_same_everywhere():
    """Closed form: NPP of 200 in ten years, RH of a d m (exp(0) + ln(cR + 1)) at 0 degC."""
    shape = (10, 2, 2)
    t, p = maps(np.zeros(shape), "degC", "temperature"), maps(np.full(shape, 400.0), "mm year-1", "precipitation")
    npp = maps(np.full(shape, 200.0), FLUX, "npp")
    rh, sensitivity = (f(t, p, basis="annual") for f in (nep.heterotrophic_respiration, nep.respiration_sensitivity))
    microbes = 0.22 * 0.465 * 30 * (1 + math.log(0.3145 * 400 + 1))
    errors = {"npp_errors": NONE, "respiration_errors": {}}

    def of(**changes):
        return float(nep_uncertainty(npp, rh, sensitivity, **errors | changes).standard_error[0, 0])

    assert of() == 0.0
    assert of(npp_errors=NONE | {"systematic": 0.2}) == pytest.approx(40.0, rel=SINGLE)
    assert of(npp_errors=NONE | {"by_cell": 0.2}) == pytest.approx(40.0, rel=SINGLE)
    assert of(npp_errors=NONE | {"by_cell_year": 0.2}) == pytest.approx(40.0 / math.sqrt(10), rel=SINGLE)
    assert of(respiration_errors={"scale": 0.1}) == pytest.approx(0.1 * microbes, rel=SINGLE)
    # at 0 degC the exponent is 0 whatever its coefficient
    assert of(respiration_errors={"temperature": 0.5}) == 0.0
    wet = 0.22 * 0.465 * 30 * 0.3145 * 400 / (0.3145 * 400 + 1)
    assert of(respiration_errors={"precipitation": 0.3}) == pytest.approx(0.3 * wet, rel=SINGLE)
    # a full correlation adds up, the opposite one cancels
    both = {"respiration_errors": {"scale": 0.1, "share": 0.1}}
    assert of(**both, correlation=[("scale", "share", 1.0)]) == pytest.approx(0.2 * microbes, rel=SINGLE)
    assert of(**both, correlation=[("scale", "share", -1.0)]) == 0.0


relative = st.floats(0.0, 0.5)
any_errors = st.fixed_dictionaries(dict.fromkeys(NONE, relative))
any_coefficients = st.fixed_dictionaries(dict.fromkeys(PEI, relative))
T, P, NPP, RH, SENSITIVITY = atlas(6, 3, 2, 2)


def found(npp_errors, respiration_errors):
    return nep_uncertainty(NPP, RH, SENSITIVITY, npp_errors=npp_errors, respiration_errors=respiration_errors)


@given(any_errors, any_coefficients, st.sampled_from([0.25, 0.5, 2.0]))
@settings(max_examples=20, deadline=None)
def test_errors_scale_and_parts_add_up_in_quadrature(npp_errors, coefficients, k):
    whole = found(npp_errors, coefficients)
    more = found({n: v * k for n, v in npp_errors.items()}, {n: v * k for n, v in coefficients.items()})
    assert_allclose(more.standard_error, k * whole.standard_error, rtol=SINGLE, atol=1e-30)
    parts = [found(NONE | {n: v}, {}).standard_error for n, v in npp_errors.items()]
    parts += [found(NONE, {n: v}).standard_error for n, v in coefficients.items()]
    assert_allclose(np.sqrt(sum(p.astype("f8") ** 2 for p in parts)), whole.standard_error, rtol=1e-6, atol=1e-30)
    assert_allclose(np.hypot(whole.npp, whole.respiration), whole.standard_error, rtol=1e-6, atol=1e-30)


def test_without_errors_the_sign_is_sure():
    sure = found(NONE, dict.fromkeys(PEI, 0.0))
    assert_array_equal(sure.standard_error, np.zeros((2, 2)))
    assert_array_equal(sure.sink_probability, (NPP - RH).mean("time") > 0)


def test_the_chance_of_a_sink_is_the_normal_distribution():
    mean, error = np.array([-300.0, -5.0, 0.0, 0.5, 40.0]), np.array([10.0, 7.0, 3.0, 9.0, 20.0])
    assert_allclose(nep.chance_of_sink(mean, error), norm.sf(0, mean, error), rtol=1e-13)
    assert_array_equal(nep.chance_of_sink([1.0, 0.0, -1.0, np.nan], [0.0, 0.0, 0.0, 1.0]), [1.0, 0.0, 0.0, np.nan])


def test_missing_years_count_where_they_are_there():
    """A year without NEP is in no sum, of NPP neither; fewer than min_years are none."""
    _, _, npp, rh, sensitivity = atlas(7)
    npp, rh = npp.copy(deep=True), rh.copy(deep=True)
    npp[2, 0, 0] = np.nan
    rh[3, 0, 1] = np.nan
    errors = {
        "npp_errors": {"systematic": 0.1, "by_cell": 0.0, "by_cell_year": 0.3},
        "respiration_errors": {"scale": 0.2},
    }
    strict, lenient = (nep_uncertainty(npp, rh, sensitivity, **errors, min_years=m) for m in (None, 5))
    holes = np.zeros((4, 5), bool)
    holes[0, :2] = True
    assert_array_equal(np.isnan(strict.standard_error), holes)
    for i, j, gone in ((0, 0, 2), (0, 1, 3)):
        years = [k for k in range(6) if k != gone]
        series, scale = npp.values[years, i, j].astype("f8"), sensitivity["scale"].values[years, i, j].astype("f8")
        wanted = math.sqrt(
            (0.1 * series.mean()) ** 2 + 0.3**2 * math.fsum(series**2) / 25 + (0.2 * math.fsum(scale) / 5) ** 2
        )
        assert float(lenient.standard_error[i, j]) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("chunks", [{"time": 1, "y": 1}, {"y": 3, "x": 2}, {"time": 4, "x": 1}])
def test_the_same_bytes_however_it_is_cut_and_lazy(chunks):
    t, p, npp, _, _ = atlas(9)
    given_t, given_p = maps(t, "degC", "temperature"), maps(p, "mm year-1", "precipitation")

    def whole(t, p, npp):
        rh = nep.heterotrophic_respiration(t, p, basis="annual")
        sensitivity = respiration_sensitivity(t, p, basis="annual")
        return nep_uncertainty(
            npp,
            rh,
            sensitivity,
            npp_errors={"systematic": 0.1, "by_cell": 0.2, "by_cell_year": 0.3},
            respiration_errors=dict.fromkeys(PEI, 0.1),
            correlation=[("scale", "share", 0.4)],
        )

    with forbid_compute():
        lazy = whole(given_t.chunk(chunks), given_p.chunk(chunks), npp.chunk(chunks))
    assert lazy.standard_error.chunks is not None
    eager = whole(given_t, given_p, npp)
    for name in eager:
        assert lazy[name].compute().values.tobytes() == eager[name].values.tobytes()


def test_the_curvature_that_the_page_tells():
    """exp(b T) of a normal b is log-normal: its standard deviation over b T exp(b T) sd(b)."""
    page = (Path(__file__).parents[2] / "docs" / "uncertainty.md").read_text(encoding="utf-8")
    rows = re.findall(r"^ *\| (\d+) % \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \|$", page, re.MULTILINE)
    assert [int(row[0]) for row in rows] == [10, 20, 30]
    for relative, *told in rows:
        for temperature, share in zip((-3.75, 10.0, 20.0, 30.0), told, strict=True):
            s = int(relative) / 100 * 0.0913 * abs(temperature)
            more = 100 * (math.exp(s * s / 2) * math.sqrt(math.expm1(s * s)) / s - 1)
            assert abs(more - float(share)) <= (0.05 if "." in share else 0.5)


def test_coefficients_can_be_drawn():
    """Respiration of drawn coefficients: at 20 degC and 20 % the spread is the log-normal one, not the straight one."""
    b = 0.0913 * (1 + 0.2 * norm.ppf((np.arange(1000) + 0.5) / 1000))
    t, p = maps(np.full((1, 1, 1), 20.0), "degC", "temperature"), maps(np.full((1, 1, 1), 600.0), "mm year-1", "p")
    drawn = [nep.heterotrophic_respiration(t, p, basis="annual", model=Pei2009(temperature=v)).item() for v in b]
    straight = 0.2 * respiration_sensitivity(t, p, basis="annual")["temperature"].item()
    s = 0.2 * 0.0913 * 20
    exact = math.exp(s * s / 2) * math.sqrt(math.expm1(s * s)) / s
    # quantiles leave out a little of the tails
    assert np.std(drawn) / straight == pytest.approx(exact, rel=0.005)


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"npp_errors": {"systematic": 0.2}}, "npp_errors: ['systematic'] are given."),
        ({"npp_errors": NONE | {"systematic": -0.2}}, "npp.systematic: -0.2 is no relative error."),
        ({"respiration_errors": {"scale": math.nan}}, "respiration.scale: nan is no relative error."),
        ({"respiration_errors": {"slope": 0.1}}, "The sensitivity to slope is not there."),
        ({"correlation": [("scale", "slope", 0.1)]}, "correlation: [scale, slope, 0.1]: 'slope' has no error."),
        ({"correlation": [("scale", "scale", 1.0)]}, "correlation: [scale, scale, 1]: the pair is told already."),
        ({"correlation": [("scale", "share", 2.0)]}, "correlation: [scale, share, 2]: 2 is no correlation."),
        (
            {"correlation": [("scale", "share", 0.9), ("share", "temperature", 0.9), ("scale", "temperature", -0.9)]},
            "correlation: no errors can be correlated like that: their matrix has a negative eigenvalue.",
        ),
    ],
)
def test_errors_that_cannot_be(changes, said):
    errors = {"npp_errors": NONE, "respiration_errors": dict.fromkeys(("scale", "share", "temperature"), 0.1)}
    with pytest.raises(SpecError) as caught:
        nep_uncertainty(NPP, RH, SENSITIVITY, **errors | changes)
    assert caught.value.what == said


def test_a_coefficient_that_is_none_and_a_model_without_any():
    t, p = maps(T, "degC", "temperature"), maps(P, "mm year-1", "precipitation")
    with pytest.raises(SpecError) as caught:
        respiration_sensitivity(t, p, basis="annual", coefficients=["scael"])
    assert caught.value.what == "respiration: 'scael' is no coefficient of pei2009."
    assert caught.value.way_out.startswith("Did you mean 'scale'? It has scale (0.22), temperature (0.0913)")

    class Plain:
        name, formulas, fields, citation = "plain", {"annual": "RH = T"}, {}, ""

        def rate(self, basis, temperature, precipitation, days):
            return temperature

        def annual(self, total):
            return total

        def impossible(self, precipitation):
            return precipitation < 0

    assert np.isfinite(nep.heterotrophic_respiration(t, p, basis="annual", model=Plain())).all()
    with pytest.raises(SpecError) as caught:
        respiration_sensitivity(t, p, basis="annual", model=Plain())
    assert caught.value.what.startswith("respiration: plain does not tell its coefficients")


def test_other_coordinates_and_units():
    errors = {"npp_errors": NONE, "respiration_errors": {"scale": 0.1}}
    with pytest.raises(SpecError, match="not on the same coordinates"):
        nep_uncertainty(NPP, RH.isel(time=slice(1, None)), SENSITIVITY, **errors)
    with pytest.raises(SpecError, match="npp: in 'kg m-2'"):
        nep_uncertainty(NPP.assign_attrs(units="kg m-2"), RH, SENSITIVITY, **errors)
