"""What a recipe says of strata: other rasters by whose classes tables are made."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from nepcube.recipe.words import Fraction, Model, Year

#: the classes of two land covers by their published codes
LEGENDS: dict[str, dict[int, str]] = {
    "globeland30": {
        10: "cultivated land", 20: "forest", 30: "grassland", 40: "shrubland", 50: "wetland", 60: "water bodies",
        70: "tundra", 80: "artificial surfaces", 90: "bareland", 100: "permanent snow and ice",
    },
    "worldcover": {
        10: "tree cover", 20: "shrubland", 30: "grassland", 40: "cropland", 50: "built-up",
        60: "bare or sparse vegetation", 70: "snow and ice", 80: "permanent water bodies", 90: "herbaceous wetland",
        95: "mangroves", 100: "moss and lichen",
    },
}  # fmt: skip

# what statistics.zarr holds, or may hold, beside the strata
_TAKEN = {"region", "latitude", "longitude", "x", "y", "time", "spatial_ref", "trend_class", "slope_class", "cv_class"}
_STEMS = ("nep", "npp", "rh", "stratum", "region")
_MOST = 254

Code = Annotated[int, Field(ge=-(2**31), lt=2**32)]
Paths = str | tuple[str, ...]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


class _Stratum(Model):
    """What every stratum may say of its files."""

    band: Annotated[int, Field(ge=1, le=1000)] = 1
    nodata: Annotated[tuple[float, ...], BeforeValidator(_as_list)] = ()
    min_fraction: Fraction = 0.5
    overlapping: Literal["error", "most"] = "error"


class Categorical(_Stratum):
    """Codes of classes, such as land cover."""

    path: Paths | dict[Year, Paths]
    kind: Literal["categorical"]
    names: dict[Code, str] | Literal["globeland30", "worldcover"]
    method: Literal["majority", "fraction"] = "majority"
    change: tuple[Year, Year] | None = None

    @field_validator("names")
    @classmethod
    def _told_apart(cls, value: Any) -> Any:
        if isinstance(value, dict):
            if not 1 <= len(value) <= _MOST:
                raise ValueError(f"1 to {_MOST} classes can be told apart, {len(value)} are named")
            twice = {n for n in value.values() if list(value.values()).count(n) > 1}
            if twice:
                raise ValueError(f"two codes are called {sorted(twice)[0]!r}")
            if "no class" in value.values() or "" in value.values():
                raise ValueError("a class needs a name, which may not be 'no class'")
        return value

    @model_validator(mode="after")
    def _years(self) -> Categorical:
        yearly = isinstance(self.path, dict) or any("{year}" in p for p in self.patterns())
        if self.change is None:
            if yearly:
                raise ValueError("land cover of several years takes `change: [first, second]`; else name one file")
            return self
        first, second = self.change
        if not yearly:
            raise ValueError("`change` needs a `path` with {year}, or one for each year")
        if first >= second:
            raise ValueError(f"change: {first} is not before {second}")
        if self.method != "majority":
            raise ValueError("`change` is told of the majority of a cell, and takes no `method: fraction`")
        if len(self.legend) ** 2 > _MOST:
            raise ValueError(f"`change` among {len(self.legend)} classes has more than {_MOST} pairs: name fewer")
        if isinstance(self.path, dict):
            for year in self.change:
                if year not in self.path:
                    raise ValueError(f"change: `path` names no file of {year}")
        return self

    @property
    def legend(self) -> dict[int, str]:
        """The classes by code, rising."""
        names = LEGENDS[self.names] if isinstance(self.names, str) else self.names
        return dict(sorted(names.items()))

    def patterns(self, year: int | None = None) -> tuple[str, ...]:
        """Give the patterns of the files, or of those of a year."""
        if isinstance(self.path, dict):
            found = [self.path[year]] if year is not None else list(self.path.values())
            return tuple(itertools.chain.from_iterable((p,) if isinstance(p, str) else p for p in found))
        paths = (self.path,) if isinstance(self.path, str) else self.path
        return paths if year is None else tuple(p.replace("{year}", str(year)) for p in paths)


class Continuous(_Stratum):
    """Values, of whose mean in a cell bands are made, such as elevation or slope."""

    path: Paths
    kind: Literal["continuous"]
    breaks: Annotated[tuple[float, ...], Field(min_length=1, max_length=200)]
    labels: tuple[str, ...] | None = None
    of: Literal["value", "slope"] = "value"
    units: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fit(self) -> Continuous:
        if any(a >= b for a, b in itertools.pairwise(self.breaks)):
            raise ValueError("`breaks` must rise")
        if self.labels is not None:
            if len(self.labels) != len(self.breaks) + 1:
                count = len(self.breaks) + 1
                raise ValueError(f"{count} classes need {count} labels, {len(self.labels)} are given")
            if len(set(self.labels)) < len(self.labels) or {"no class", ""} & set(self.labels):
                raise ValueError("labels: each needs a name of its own, which may not be 'no class'")
        if self.of == "slope" and self.units not in (None, "m"):
            raise ValueError("of: slope: the heights must be in m")
        return self

    def patterns(self) -> tuple[str, ...]:
        """Give the patterns of the files."""
        return (self.path,) if isinstance(self.path, str) else self.path


def _kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"#{kind}" if isinstance(kind, str) else None


StratumSection = Annotated[
    Annotated[Categorical, Tag("#categorical")] | Annotated[Continuous, Tag("#continuous")],
    Discriminator(
        _kind,
        custom_error_type="stratum_kind",
        custom_error_message="`kind` must be categorical or continuous",
    ),
]
StratumName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


def require_names(strata: dict[str, Any]) -> None:
    """Refuse names that tables or maps of the statistics have already.

    Raises
    ------
    ValueError
    """
    for name in strata:
        if name in _TAKEN or name.split("_")[0] in _STEMS:
            raise ValueError(f"strata.{name}: the statistics have, or may have, a map of this name: choose another")
