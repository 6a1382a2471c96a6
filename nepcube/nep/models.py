"""Models of heterotrophic respiration: the seam, the two that come along, and those of other packages."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from nepcube.errors import SpecError

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUP = "nepcube.respiration"
BASES = ("annual", "monthly", "daily")


@runtime_checkable
class RespirationModel(Protocol):
    """Heterotrophic respiration as a function of named fields.

    Another package registers a class without arguments under the entry-point group ``nepcube.respiration``. Its
    methods are given numpy arrays in float64 that broadcast against each other, give an array of the shape that they
    broadcast to, treat each cell for itself, and give NaN where an input is NaN.

    Attributes
    ----------
    name : str
        What the recipe calls it.
    formulas : mapping of str to str
        The time bases that it can be computed on (annual, monthly, daily), each with its formula in words.
    fields : mapping of str to str
        What it needs beside temperature and precipitation, constant in time, with the unit: ``{"soil_carbon":
        "kg m-2"}``.
    citation : str
    """

    name: str
    formulas: Mapping[str, str]
    fields: Mapping[str, str]
    citation: str

    def rate(
        self,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
        **fields: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Give what an interval adds to the year, from degC, mm in the interval, its days, and the fields."""
        ...

    def annual(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give heterotrophic respiration, g of carbon m-2 year-1, from the sum of a year's rates."""
        ...

    def impossible(self, precipitation: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which precipitation no data can hold."""
        ...


@runtime_checkable
class SensitiveModel(RespirationModel, Protocol):
    """A model that also knows what an error of its coefficients does to respiration.

    What it gives is relative: a coefficient times the derivative by it, so that a relative error of 0.1 is an error of
    a tenth of it.

    Attributes
    ----------
    coefficients : mapping of str to float
        Each coefficient that can be in error, with its value.
    """

    coefficients: Mapping[str, float]

    def rate_sensitivity(
        self,
        coefficient: str,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
        **fields: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Give the coefficient times the derivative of `rate` by it; NaN where `rate` is."""
        ...

    def annual_sensitivity(
        self, coefficient: str, total: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Give that of the year's respiration, from the year's sum of rates and the sum of `rate_sensitivity`."""
        ...


class Pei2009:
    """Pei et al. 2009, an alpine steppe of the Qinghai-Tibet Plateau."""

    name = "pei2009"
    formulas: Mapping[str, str] = {
        "annual": "RH = 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 30 x 0.465, with the year's mean T and sum R",
        "monthly": "RH = sum over 12 months of 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 30 x 0.465",
        "daily": "RH = sum over the days of 0.22 (exp(0.0913 T) + ln(0.3145 R + 1)) x 0.465",
    }
    fields: Mapping[str, str] = {}
    citation = (
        "Pei, Z. et al. 2009, as used by Zhang, Z. et al. 2023. Remote Sensing for Natural Resources 35(1), 231-242. "
        "doi:10.6046/zrzyyg.2022042"
    )
    _MONTH = 30.0

    def __init__(
        self, *, scale: float = 0.22, temperature: float = 0.0913, precipitation: float = 0.3145, share: float = 0.465
    ) -> None:
        self.coefficients: Mapping[str, float] = {
            "scale": scale,
            "temperature": temperature,
            "precipitation": precipitation,
            "share": share,
        }

    def rate(
        self,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        from nepcube.nep import _kernels

        t, p = np.broadcast_arrays(temperature, precipitation)
        bracket: NDArray[np.float64] = _kernels.pei_bracket(
            np.atleast_1d(t), np.atleast_1d(p), self.coefficients["temperature"], self.coefficients["precipitation"]
        ).reshape(t.shape)
        return bracket * self._factor(basis)

    def rate_sensitivity(
        self,
        coefficient: str,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        from nepcube.nep import _kernels

        if coefficient in ("scale", "share"):
            return self.rate(basis, temperature, precipitation, days)
        kernel = {"temperature": _kernels.pei_by_b, "precipitation": _kernels.pei_by_c}[coefficient]
        part: NDArray[np.float64] = kernel(
            temperature, precipitation, self.coefficients["temperature"], self.coefficients["precipitation"]
        )
        return part * self._factor(basis)

    def annual(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total

    def annual_sensitivity(
        self, coefficient: str, total: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return rates

    def impossible(self, precipitation: NDArray[np.float64]) -> NDArray[np.bool_]:
        # the logarithm has no value
        return np.asarray(self.coefficients["precipitation"] * precipitation + 1.0 <= 0.0)

    def _factor(self, basis: str) -> float:
        # the daily emission rate in carbon, of a day or of a month
        by_day = self.coefficients["scale"] * self.coefficients["share"]
        return by_day * (1.0 if basis == "daily" else self._MONTH)


class Gsmsr:
    """Soil respiration of the geostatistical model for China, and the heterotrophic part of its year.

    Soil respiration contains that of roots; the part of the microbes is taken from the relation that 53 forest sites
    follow between the two, over a year.
    """

    name = "gsmsr"
    formulas: Mapping[str, str] = {
        "monthly": "RS = sum over 12 months of 1.55 exp(0.031 T) x P / (P + 0.68) x C / (C + 2.23) x days, "
        "P in cm a month, C soil organic carbon of the upper 20 cm in kg m-2; ln RH = 1.22 + 0.73 ln RS",
    }
    fields: Mapping[str, str] = {"soil_carbon": "kg m-2"}
    citation = (
        "Yu, G. et al. 2010. Spatiotemporal pattern of soil respiration of terrestrial ecosystems in China: the "
        "development of a geostatistical model and its simulation. Environ. Sci. Technol. 44, 6074-6080. "
        "doi:10.1021/es100979s; Bond-Lamberty, B., Wang, C., Gower, S. T. 2004. A global relationship between the "
        "heterotrophic and autotrophic components of soil respiration? Glob. Change Biol. 10, 1756-1766. "
        "doi:10.1111/j.1365-2486.2004.00816.x"
    )

    def __init__(
        self,
        *,
        scale: float = 1.55,
        temperature: float = 0.031,
        precipitation: float = 0.68,
        soil_carbon: float = 2.23,
        intercept: float = 1.22,
        slope: float = 0.73,
    ) -> None:
        self.coefficients: Mapping[str, float] = {
            "scale": scale,
            "temperature": temperature,
            "precipitation": precipitation,
            "soil_carbon": soil_carbon,
            "intercept": intercept,
            "slope": slope,
        }

    def rate(
        self,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
        soil_carbon: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        from nepcube.nep import _kernels

        of = self.coefficients
        rate: NDArray[np.float64] = _kernels.gsmsr(
            temperature,
            precipitation,
            soil_carbon,
            days,
            of["scale"],
            of["temperature"],
            of["precipitation"],
            of["soil_carbon"],
        )
        return rate

    def rate_sensitivity(
        self,
        coefficient: str,
        basis: str,
        temperature: NDArray[np.float64],
        precipitation: NDArray[np.float64],
        days: NDArray[np.float64],
        soil_carbon: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        rate = self.rate(basis, temperature, precipitation, days, soil_carbon)
        value = self.coefficients[coefficient]
        if coefficient == "temperature":
            return value * temperature * rate
        if coefficient == "precipitation":
            return -value / (np.maximum(precipitation, 0.0) / 10.0 + value) * rate
        if coefficient == "soil_carbon":
            return -value / (soil_carbon + value) * rate
        # the last two are of the year's relation alone
        return rate if coefficient == "scale" else rate * 0.0

    def annual(self, total: NDArray[np.float64]) -> NDArray[np.float64]:
        from nepcube.nep import _kernels

        part: NDArray[np.float64] = _kernels.heterotrophic_part(
            total, self.coefficients["intercept"], self.coefficients["slope"]
        )
        return part

    def annual_sensitivity(
        self, coefficient: str, total: NDArray[np.float64], rates: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        from nepcube.nep import _kernels

        part = self.annual(total)
        if coefficient == "intercept":
            return self.coefficients["intercept"] * part
        slope = self.coefficients["slope"]
        if coefficient == "slope":
            logarithm: NDArray[np.float64] = _kernels.logarithm_or_zero(total)
            return slope * logarithm * part
        # where nothing respires, no coefficient of the rate changes that
        return slope * part * rates / np.where(total == 0.0, 1.0, total)

    def impossible(self, precipitation: NDArray[np.float64]) -> NDArray[np.bool_]:
        from nepcube.nep import _kernels

        return np.asarray(precipitation < _kernels.LEAST_RAIN)


_OURS: dict[str, type[Any]] = {model.name: model for model in (Pei2009, Gsmsr)}


def names() -> list[str]:
    """List the models that are installed."""
    return sorted({*_OURS, *(point.name for point in entry_points(group=GROUP))})


def respiration_model(name: str) -> RespirationModel:
    """Give a model of heterotrophic respiration by its name.

    Raises
    ------
    SpecError
        No model has that name, or a third party's does not load.
    """
    if name in _OURS:
        ours: RespirationModel = _OURS[name]()
        return ours
    for point in entry_points(group=GROUP):
        if point.name == name:
            return _third_party(name, point)
    near = difflib.get_close_matches(name, names(), 1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise SpecError(f"{name!r} is not a respiration model.", f"{hint}Models here: {', '.join(names())}.")


def _third_party(name: str, point: Any) -> RespirationModel:
    try:
        found = point.load()()
    except Exception as error:
        raise SpecError(
            f"The respiration model {name!r} of {point.value} does not load ({error}).",
            "Mend or reinstall the package that brings it.",
        ) from error
    if not isinstance(found, RespirationModel) or not set(found.formulas) <= set(BASES) or not found.formulas:
        raise SpecError(
            f"The respiration model {name!r} of {point.value} is none that nepcube can use.",
            "It needs name, formulas (by annual, monthly or daily), fields, citation, rate(), annual() and "
            "impossible(): see docs/respiration.md.",
        )
    return found
