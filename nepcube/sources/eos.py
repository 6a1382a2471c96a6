"""What a header of HDF-EOS says, in HDF4 and in HDF5: the grid of ``StructMetadata.0`` and the fields' attributes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nepcube.errors import SourceError


@dataclass(frozen=True)
class EosGrid:
    """The geometry of an HDF-EOS grid: its name, its size and its outer corners in metres."""

    name: str
    rows: int
    columns: int
    left: float
    top: float
    right: float
    bottom: float
    projection: str


@dataclass(frozen=True)
class EosField:
    """A two-dimensional field: where the file keeps it, its shape, its type as numpy names it, its attributes."""

    place: str
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, Any]


@dataclass(frozen=True)
class EosHeader:
    """What the header of an HDF-EOS file says."""

    grid: EosGrid
    fields: dict[str, EosField]


def parse_grid(text: str, path: str) -> EosGrid:
    """Read the grid of ``StructMetadata.0``.

    Raises
    ------
    SourceError
        A number of it is missing, or the file holds several grids.
    """
    names = re.findall(r'GridName="([^"]+)"', text)
    if len(names) > 1:
        raise SourceError(
            f"{path}: it holds several grids ({', '.join(names)}), one is needed.",
            "Use granules of the yearly 500 m product.",
        )

    def one(pattern: str) -> re.Match[str]:
        match = re.search(pattern, text)
        if match is None:
            raise SourceError(
                f"{path}: StructMetadata.0 lacks {pattern.partition('=')[0]}.",
                "Use the granule as the provider made it.",
            )
        return match

    pair = r"=\(\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*,\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*\)"
    upper, lower = one("UpperLeftPointMtrs" + pair), one("LowerRightMtrs" + pair)
    try:
        left, top, right, bottom = (float(n) for match in (upper, lower) for n in match.groups())
    except ValueError:
        raise SourceError(
            f"{path}: the corners of StructMetadata.0 are no numbers.", "Use the granule as the provider made it."
        ) from None
    return EosGrid(
        name=one(r'GridName="([^"]+)"').group(1),
        rows=int(one(r"YDim=(\d{1,9})").group(1)),
        columns=int(one(r"XDim=(\d{1,9})").group(1)),
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        projection=one(r"Projection=(\w+)").group(1),
    )
