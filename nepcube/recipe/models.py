"""What a recipe may say: frozen models that refuse unknown keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)

from nepcube.recipe.clusters import ClusterSection
from nepcube.recipe.statistics import Classes, Statistics
from nepcube.recipe.strata import StratumName, StratumSection, require_names
from nepcube.recipe.uncertainty import Uncertainty
from nepcube.recipe.words import Fraction, Model, Year


class Archive(Model):
    """A generated archive, for the demonstration and for tests."""

    generate: Literal["headwaters"]
    seed: Annotated[int, Field(ge=0)] = 1
    pixels: Annotated[int, Field(ge=24, le=2400)] = 2400
    path: str = "archive"


class Grid(Model):
    """The target grid; `bounds` are west, south, east, north in the units of the CRS."""

    bounds: tuple[float, float, float, float] | Literal["regions"]
    crs: str = "EPSG:4326"
    resolution: str | float = "500 m"


class Raster(Model):
    """A field without time, and what its file does not say of it."""

    path: str
    variable: str | None = None
    units: str | None = None
    nodata: float | None = None


def _as_raster(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


RasterFile = Annotated[Raster, BeforeValidator(_as_raster)]


class Elevation(Model):
    """The correction of temperature for the height of the cells above the source's own relief.

    `lapse_rate` is in K per kilometre; `orography` is the height (m) or geopotential (m2 s-2) that the temperature
    belongs to, `dem` a finer raster of heights (m).
    """

    orography: RasterFile
    dem: RasterFile
    lapse_rate: Annotated[float, Field(gt=0.0, le=12.0)] = 6.5


class Continuation(Model):
    """A later record of the same quantity, from a year on: the user's explicit choice."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    reader: str
    path: str | tuple[str, ...]
    from_: Year = Field(alias="from")
    variable: str | None = None
    units: str | None = None
    mixed_versions: bool = False
    nodata: float | None = None


class ReaderSource(Model):
    """A quantity that is read from files."""

    reader: str
    path: str | tuple[str, ...]
    resampling: Literal["nearest", "bilinear", "conservative", "average"] = "nearest"
    variable: str | None = None
    units: str | None = None
    time: Literal["hour", "day", "pentad", "dekad", "month", "year"] | None = None
    aggregate: Literal["mean", "amount", "per_day", "accumulated_since_00utc", "accumulated_previous_hour"] | None = (
        None
    )
    min_coverage: Fraction = 1.0
    min_fraction: Fraction = 0.5
    engine: Literal["nepcube", "xesmf"] = "nepcube"
    year_start: Annotated[int, Field(ge=1, le=12)] = 1
    max_qc: Annotated[int, Field(ge=0, le=100)] | None = None
    nonvegetated: Literal["nan", "zero"] = "nan"
    mixed_versions: bool = False
    nodata: float | None = None
    elevation: Elevation | None = None
    continued_by: Continuation | None = None

    @field_validator("nonvegetated", mode="before")
    @classmethod
    def _nan_is_a_word(cls, value: Any) -> Any:
        # YAML reads a bare .nan as a number
        return "nan" if isinstance(value, float) and value != value else value

    @model_validator(mode="after")
    def _engine_methods(self) -> ReaderSource:
        if self.engine == "xesmf" and self.resampling == "average":
            raise ValueError("`engine: xesmf` has no `resampling: average`; `conservative` is its mean over cells")
        return self

    @property
    def patterns(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def records(self, period: tuple[int, int]) -> tuple[Record, ...]:
        """Give the records that make the quantity, each with its years; one without years is left out."""
        first, last = period
        later = self.continued_by
        if later is None:
            return (Record(self, period),)
        taken = later.model_dump() | {"continued_by": None}
        taken.pop("from_")
        parts = (
            Record(self.model_copy(update={"continued_by": None}), (first, min(last, later.from_ - 1))),
            Record(self.model_copy(update=taken), (max(first, later.from_), last)),
        )
        return tuple(r for r in parts if r.years[0] <= r.years[1])


@dataclass(frozen=True)
class Record:
    """One reader's part of a quantity."""

    source: ReaderSource
    years: tuple[int, int]


class ModelSource(Model):
    """A quantity that is computed from the harmonised climate."""

    model: Literal["miami", "thornthwaite-memorial"]
    carbon_fraction: Annotated[float, Field(gt=0.3, lt=0.6)] = 0.45


def _kind(value: Any) -> str:
    if isinstance(value, ModelSource):
        return "#model"
    return "#model" if isinstance(value, dict) and "model" in value else "#reader"


NppSource = Annotated[
    Annotated[ReaderSource, Tag("#reader")] | Annotated[ModelSource, Tag("#model")],
    Discriminator(_kind),
]


class Sources(Model):
    """Where each quantity comes from."""

    npp: NppSource
    temperature: ReaderSource
    precipitation: ReaderSource
    radiation: ReaderSource | None = None

    @model_validator(mode="after")
    def _npp_options(self) -> Sources:
        npp = self.npp
        if isinstance(npp, ReaderSource):
            if npp.resampling == "bilinear":
                raise ValueError("npp: its codes allow no `resampling: bilinear`")
            if npp.resampling != "nearest" and npp.nonvegetated == "zero":
                raise ValueError(
                    f"npp: `nonvegetated: zero` needs `resampling: nearest`: a cell's {npp.resampling} would mix "
                    "barren land, which respires nothing, with the rest"
                )
            if npp.engine != "nepcube" or npp.elevation is not None or npp.year_start != 1:
                raise ValueError("npp: `engine`, `elevation` and `year_start` belong to climate")
        for name in ("temperature", "precipitation", "radiation"):
            source = getattr(self, name)
            if source is None:
                continue
            if source.max_qc is not None or source.nonvegetated != "nan" or source.continued_by is not None:
                raise ValueError(f"{name}: `max_qc`, `nonvegetated` and `continued_by` belong to npp")
            if source.elevation is not None and name != "temperature":
                raise ValueError(f"{name}: `elevation` belongs to temperature")
        return self

    @model_validator(mode="after")
    def _one_year(self) -> Sources:
        starts = {n: getattr(self, n).year_start for n in self.drivers}
        if len(set(starts.values())) > 1:
            told = ", ".join(f"{name} in month {month}" for name, month in starts.items())
            raise ValueError(f"`year_start`: the years of climate must begin together ({told})")
        return self

    @property
    def year_start(self) -> int:
        """The month in which the years of climate begin."""
        return self.temperature.year_start

    def readers(self) -> dict[str, ReaderSource]:
        """Give the quantities that come from files."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: source for name, source in found.items() if isinstance(source, ReaderSource)}

    @property
    def drivers(self) -> tuple[str, ...]:
        return tuple(n for n in ("temperature", "precipitation", "radiation") if getattr(self, n) is not None)


class Respiration(Model):
    """The model of heterotrophic respiration, and what it needs beside climate; its time basis has no default."""

    model: str = "pei2009"
    basis: Literal["annual", "monthly", "daily"]
    fields: dict[str, Annotated[Raster, BeforeValidator(_as_raster)]] = Field(default_factory=dict)
    keep_climate: bool = False

    @model_validator(mode="after")
    def _climate_to_keep(self) -> Respiration:
        if self.keep_climate and self.basis == "annual":
            raise ValueError("`keep_climate` keeps months or days on the grid; `basis: annual` has none")
        return self


class Regions(Model):
    """Polygons by which tables are made."""

    path: str
    name: str = "name"
    overlap: Literal["centre", "exact"] = "centre"
    mend: bool = False


class Recipe(Model):
    """One run, wholly described."""

    recipe: Literal[1]

    @field_validator("recipe", mode="before")
    @classmethod
    def _a_number(cls, value: Any) -> Any:
        return None if isinstance(value, bool) else value

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    title: str = ""
    period: tuple[Year, Year]
    grid: Grid
    sources: Sources
    respiration: Respiration
    uncertainty: Uncertainty | None = None
    statistics: Statistics = Statistics()
    classes: Classes = Classes()
    regions: Regions | None = None
    strata: Annotated[dict[StratumName, StratumSection], Field(max_length=16)] = Field(default_factory=dict)
    archive: Archive | None = None
    cluster: ClusterSection | None = None
    blocks: Annotated[int, Field(ge=64, le=8192)] = 1024

    _base: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="after")
    def _whole(self) -> Recipe:
        first, last = self.period
        if first > last:
            raise ValueError(f"period: {first} is after {last}")
        years = last - first + 1
        if years < 3:
            raise ValueError(f"period: {years} years allow no trend; at least 3 are needed")
        wanted = self.statistics.min_years
        if wanted is not None and wanted > years:
            raise ValueError(f"statistics.min_years: {wanted} is more than the {years} years of the period")
        for driver in self.statistics.partial_correlation.with_ or ():
            if driver not in self.sources.drivers:
                raise ValueError(
                    f"statistics.partial_correlation.with: there is no source for {driver!r}",
                )
        self._statistics_fit(years)
        require_names(self.strata)
        if self.grid.bounds == "regions" and self.regions is None:
            raise ValueError("grid.bounds: `regions` needs a `regions` section")
        return self

    def _statistics_fit(self, years: int) -> None:
        wanted = self.statistics
        for driver in wanted.partial_correlation.lag:
            if driver not in self.correlates:
                raise ValueError(f"statistics.partial_correlation.lag: {driver!r} is none of the drivers that are used")
        lag = max(wanted.partial_correlation.lag.values(), default=0)
        if lag and years - lag < 3:
            raise ValueError(f"statistics.partial_correlation.lag: {lag} years leave {years - lag} of {years}")
        first, last = self.period
        breaks = wanted.breakpoint
        if breaks is not None:
            least, shared = breaks.min_segment, int(breaks.model == "joined")
            for year in breaks.years:
                if not first < year <= last:
                    raise ValueError(f"statistics.breakpoint.years: {year} is not within {first + 1} to {last}")
                before, after = year - first + shared, last - year + 1
                if min(before, after) < least:
                    left = f"{year} leaves {before} and {after} values"
                    raise ValueError(f"statistics.breakpoint: {left}, min_segment asks for {least}")
            if breaks.search and years < 2 * least - shared:
                raise ValueError(f"statistics.breakpoint: {years} years are too few for {least} values on both sides")
        if wanted.hurst and years < 10:
            raise ValueError(f"statistics.hurst: {years} years tell nothing about memory; at least 10 are needed")
        if wanted.attribution and isinstance(self.sources.npp, ModelSource):
            raise ValueError("statistics.attribution: NPP is computed from climate itself, and nothing else is in it")

    @property
    def base(self) -> Path:
        """The folder that the recipe's paths are relative to."""
        return self._base

    def at(self, base: Path) -> Recipe:
        """Give the recipe with its paths relative to `base`."""
        copy = self.model_copy()
        copy._base = base
        return copy

    def resolve(self, path: str) -> str:
        """Give a path of the recipe as an absolute one; URLs stay as they are."""
        return path if "://" in path else str((self._base / path).resolve())

    @property
    def years(self) -> range:
        return range(self.period[0], self.period[1] + 1)

    @property
    def min_years(self) -> int:
        return self.statistics.min_years or len(self.years)

    @property
    def correlates(self) -> tuple[str, ...]:
        """The drivers whose partial correlations are computed."""
        return self.statistics.partial_correlation.with_ or self.sources.drivers
