"""What every part of a recipe is made of: a record that refuses unknown keys, years, drivers, shares."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Year = Annotated[int, Field(ge=1900, le=2200)]
Driver = Literal["temperature", "precipitation", "radiation"]
Fraction = Annotated[float, Field(gt=0.0, le=1.0)]


class Model(BaseModel):
    """A frozen record that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
