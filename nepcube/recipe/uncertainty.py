"""What a recipe says of the errors of NPP and of the coefficients of respiration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nepcube.recipe.words import Model

RelativeError = Annotated[float, Field(ge=0.0, le=1.0)]
Correlated = tuple[str, str, Annotated[float, Field(ge=-1.0, le=1.0)]]


class NppErrors(Model):
    """Relative standard errors of NPP by what shares them; each must be said, 0 is none."""

    systematic: RelativeError
    by_cell: RelativeError
    by_cell_year: RelativeError


class Uncertainty(Model):
    """Relative standard errors that are carried into NEP; `source` says where they come from."""

    npp: NppErrors
    respiration: dict[str, RelativeError]
    correlation: tuple[Correlated, ...] = ()
    source: str = ""

    @property
    def coefficients(self) -> tuple[str, ...]:
        """The coefficients that are in error."""
        return tuple(name for name, value in self.respiration.items() if value > 0.0)
