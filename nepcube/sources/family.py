"""The annual products of the MOD17 family: their names, their fields, and what a file must say of its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.coding import FILL, SCALE, VALID

FIELD, QC_FIELD = "Npp_500m", "Npp_QC_500m"
_UNITS = {"kg_c/m^2", "kgc/m^2", "kg_c/m^2/yr", "kgc/m^2/yr", "kgc/m2/yr", "kg*c/m^2", "kgc/m2"}


@dataclass(frozen=True)
class Family:
    """What tells the products of one reader.

    Attributes
    ----------
    name : str
        The product as messages call it.
    pattern : str
        A regular expression of the products' short names.
    container : str
        What the granules are, ``"HDF4"`` or ``"HDF5"``.
    siblings : str
        Products that are taken for this one by mistake.
    """

    name: str
    pattern: str
    container: str
    siblings: str

    def field(self, held: Mapping[str, Any], wanted: str, path: str) -> str:
        """Give the name under which a file holds a field; the ending ``_500m`` may be left out.

        Raises
        ------
        SourceError
            It is not there.
        """
        for name in (wanted, wanted.removesuffix("_500m")):
            if name in held:
                return name
        raise SourceError(
            f"{path}: the field {wanted!r} is not there (found: {', '.join(sorted(held)) or 'none'}).",
            f"Use {self.name} granules; {self.siblings}.",
        )

    def require(self, attributes: Mapping[str, Any], name: str, path: str) -> None:
        """Refuse a productivity whose scale, unit, fill value or range are not the product's.

        Raises
        ------
        SourceError
        """
        scale = _first(attributes, ("scale_factor", "Scale"))
        if not _is(scale, SCALE):
            raise self._other(path, f"{name} has scale_factor {scale!r}, {SCALE} is {self.name}'s")
        unit = str(attributes.get("units", "")).replace(" ", "").lower()
        if unit not in _UNITS:
            raise self._other(path, f"{name} is in {attributes.get('units')!r}, kg_C/m^2 is {self.name}'s")
        offset = _first(attributes, ("add_offset", "Offset"))
        if offset is not None and not _is(offset, 0.0):
            raise self._other(path, f"{name} has add_offset {offset!r}, 0 is {self.name}'s")
        fill = attributes.get("_FillValue")
        if fill is not None and not _is(fill, FILL):
            raise self._other(path, f"{name} has _FillValue {fill!r}, {FILL} is {self.name}'s")
        low, high = VALID
        given = attributes.get("valid_range", (attributes.get("valid_min", low), attributes.get("valid_max", high)))
        if not isinstance(given, Iterable) or isinstance(given, str) or [*given] != [low, high]:
            raise self._other(path, f"{name} has valid_range {given!r}, {low} to {high} is {self.name}'s")

    def _other(self, path: str, what: str) -> SourceError:
        return SourceError(f"{path}: {what}.", "Use the file as the provider made it.")

    def require_type(self, dtype: str, wanted: str, name: str, path: str) -> None:
        """Refuse numbers of another type.

        Raises
        ------
        SourceError
        """
        if dtype != wanted:
            raise self._other(path, f"{name} is of {dtype}, {wanted} is {self.name}'s")

    def require_raster(self, nodata: float | None, scale: float, offset: float, name: str, path: str) -> None:
        """Refuse a raster of the productivity whose declared nodata, scale or offset are not the product's.

        Raises
        ------
        SourceError
        """
        if nodata is not None and nodata != FILL:
            raise self._other(path, f"{name} has nodata {nodata:g}, {FILL} is {self.name}'s")
        if not (_is(scale, 1.0) or _is(scale, SCALE)) or offset != 0.0:
            raise self._other(path, f"{name} has scale {scale!r} and offset {offset!r}, {SCALE} is {self.name}'s")


def _first(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((attributes[name] for name in names if name in attributes), None)


def _is(value: Any, wanted: float) -> bool:
    try:
        return bool(np.isclose(float(value), wanted, rtol=1e-6, atol=0.0))
    except (TypeError, ValueError):
        return False
