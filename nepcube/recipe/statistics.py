"""What a recipe says of the statistics of a cell, and of the classes of the maps they make."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from nepcube.recipe.words import Driver, Model, Year


class CV(Model):
    """The coefficient of variation; `detrended` adds that around a straight line."""

    ddof: Literal[0, 1] = 0
    min_mean: Annotated[float, Field(ge=0.0)] = 1.0
    detrended: bool = False


Lag = Annotated[int, Field(ge=0, le=30)]


class Correlation(Model):
    """Partial correlations: each of `with`, given the others; drivers may lead by some years."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    of: tuple[Literal["nep", "npp"], ...] = ("nep",)
    with_: Annotated[tuple[Driver, ...], Field(min_length=1)] | None = Field(default=None, alias="with")
    lag: dict[Driver, Lag] = Field(default_factory=dict)
    detrend: bool = False
    regression: bool = False
    dominant: bool = True

    @field_validator("of", "with_")
    @classmethod
    def _each_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("each may be named once")
        return value


MannKendall = Literal["original", "pre-whitened", "trend-free-pre-whitened", "hamed-rao", "yue-wang", "3pw"]


class Breakpoint(Model):
    """A break of the trend: in years that are named in advance, or in the year that each series asks for."""

    years: tuple[Year, ...] = ()
    search: bool = False
    model: Literal["joined", "independent"] = "joined"
    min_segment: Annotated[int, Field(ge=3)] = 5

    @model_validator(mode="after")
    def _some_year(self) -> Breakpoint:
        if not self.years and not self.search:
            raise ValueError("name `years`, or `search: true`, or both")
        if len(set(self.years)) < len(self.years):
            raise ValueError("years: each may be named once")
        return self


Level = Annotated[float, Field(gt=0.0, lt=1.0)]


class Statistics(Model):
    """What is computed for every cell."""

    min_years: Annotated[int, Field(ge=3)] | None = None
    trend: tuple[Literal["ols", "theil-sen"], ...] = ("ols", "theil-sen")
    mann_kendall: tuple[MannKendall, ...] = ("original", "3pw")
    cv: CV = CV()
    partial_correlation: Correlation = Correlation()
    alpha: Level = 0.05
    trend_classes: Annotated[tuple[Level, ...], Field(max_length=3)] = (0.05, 0.01)
    breakpoint: Breakpoint | None = None
    pettitt: bool = False
    hurst: bool = False
    residual_trend: bool = False
    attribution: Literal["miami", "thornthwaite-memorial"] | None = None
    field_significance: bool = True
    sufficient: bool = False

    @field_validator("trend_classes")
    @classmethod
    def _falling(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(b >= a for a, b in itertools.pairwise(value)):
            raise ValueError("the levels must fall, such as [0.05, 0.01]")
        return value


class ClassSpec(Model):
    """How a map becomes classes: by a method into `k`, or by given inner `breaks`."""

    method: Literal["natural-breaks", "quantile", "equal-interval", "standard-deviation"] | None = None
    k: Annotated[int, Field(ge=2, le=12)] = 5
    breaks: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    signed: bool = False

    @model_validator(mode="before")
    @classmethod
    def _natural_unless_said(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("breaks") is None and data.get("method") is None:
            return data | {"method": "natural-breaks"}
        return data

    @model_validator(mode="after")
    def _one_way(self) -> ClassSpec:
        if self.breaks is not None and self.method is not None:
            raise ValueError("give `method` or `breaks`, not both")
        if self.breaks is not None and (
            not self.breaks or any(a >= b for a, b in zip(self.breaks, self.breaks[1:], strict=False))
        ):
            raise ValueError("`breaks` must rise")
        count = len(self.breaks) + 1 if self.breaks is not None else self.k
        if self.labels is not None and len(self.labels) != count:
            raise ValueError(f"{count} classes need {count} labels, {len(self.labels)} are given")
        return self


class Classes(Model):
    """The classes of the maps and tables."""

    slope: ClassSpec = ClassSpec(method="natural-breaks", k=5)
    cv: ClassSpec = ClassSpec(method="natural-breaks", k=5)
    partial_correlation: ClassSpec = ClassSpec(breaks=(-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8))

    @model_validator(mode="after")
    def _fixed_breaks(self) -> Classes:
        if self.partial_correlation.breaks is None:
            raise ValueError("partial_correlation: several maps share its classes, so it takes `breaks`")
        return self
