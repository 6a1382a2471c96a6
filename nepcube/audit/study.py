"""The numbers of a published study, with the digits that they were printed with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from nepcube.errors import RecipeError

_MOST = 1_000_000


@dataclass(frozen=True)
class Printed:
    """A number as it was printed: it stands for whatever rounds to it."""

    text: str
    value: float
    half: float

    @classmethod
    def of(cls, given: Any) -> Printed:
        """Read a number from the text that was printed; ``39.56e4`` is known to half of 0.01e4."""
        if isinstance(given, Printed):
            return given
        text = str(given).strip().replace("−", "-").replace(",", "")
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(f"{given!r} is not a number") from None
        if not number.is_finite():
            raise ValueError(f"{given!r} is not a number")
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)
        return cls(text, float(number), 0.5 * 10.0**exponent)

    @property
    def low(self) -> float:
        return self.value - self.half

    @property
    def high(self) -> float:
        return self.value + self.half

    def __str__(self) -> str:
        return self.text


Number = Annotated[Printed, BeforeValidator(Printed.of)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Series(_Model):
    """What is printed of an annual series: gC m-2 yr-1, and gC m-2 for the sum of all years."""

    mean: Number | None = None
    cumulative: Number | None = None
    slope: Number | None = None
    slope_of_pixels: Number | None = None
    min: Number | None = None
    max: Number | None = None


class Part(_Model):
    """A part of the area, such as all sinks: km2, per cent, and its mean."""

    area: Number | None = None
    share: Number | None = None
    mean: Number | None = None


class Class(_Model):
    """A class of a map with its bounds."""

    lower: Number
    upper: Number
    area: Number | None = None
    share: Number | None = None


class Classes(_Model):
    """The classes of a map; `mean` is that of the classified quantity over the area."""

    mean: Number | None = None
    method: Literal["natural-breaks", "quantile", "equal-interval", "standard-deviation", "manual"] | None = None
    covers: Literal["area", "data"] = "area"
    classes: Annotated[tuple[Class, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _rows(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("classes"), list):
            names = ("lower", "upper", "area", "share")
            rows = [
                dict(zip(names, r, strict=False)) if isinstance(r, list) and len(r) <= len(names) else r
                for r in data["classes"]
            ]
            return data | {"classes": rows}
        return data


class Respiration(_Model):
    """The respiration that NEP was computed with, and the range of climate in the region (degC, mm)."""

    model: str = "pei2009"
    basis: Literal["annual"] = "annual"
    temperature: tuple[float, float]
    precipitation: tuple[float, float]


class Study(_Model):
    """The numbers of a study. Areas are km2, shares per cent, fluxes gC m-2 yr-1."""

    audit: Literal["1"]
    study: str
    period: tuple[int, int]
    area: Number | None = None
    bounds: tuple[float, float, float, float] | None = None
    non_data: Literal["true", "false"] = "true"
    series: dict[str, Series] = Field(default_factory=dict)
    parts: dict[str, dict[str, Part]] = Field(default_factory=dict)
    classes: dict[str, Classes] = Field(default_factory=dict)
    correlation_breaks: dict[str, tuple[Number, ...]] = Field(default_factory=dict)
    respiration: Respiration | None = None


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read the numbers of a study; every number keeps the digits that it was printed with.

    Raises
    ------
    RecipeError
        The file cannot be read, or says something that is no such table.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _MOST:
            raise RecipeError(f"{file}: larger than a study's numbers can be.", "Name a YAML file of a few kilobytes.")
        # as text, so that 190.50 keeps its zero
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except OSError as error:
        raise RecipeError(f"{file}: it cannot be read ({error.strerror}).", "Name a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{file}: this is not YAML ({' '.join(str(error).split())[:120]}).", "Mend it.") from None
    if not isinstance(data, dict):
        raise RecipeError(f"{file}: it is a mapping of keys.", "Start it with `audit: 1`; docs/audit.md shows one.")
    try:
        return Study.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise RecipeError(f"{file}: {where}: {fault['msg']}.", "docs/audit.md lists the keys.") from None
