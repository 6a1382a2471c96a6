"""The list of towers, and the cell of a grid that holds each."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nepcube.errors import SourceError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

__all__ = ["Tower", "cell_of", "load_towers"]

COLUMNS = ("name", "latitude", "longitude", "file")
_HEAD = f"The columns are {', '.join(COLUMNS)}; see docs/validation.md."


@dataclass(frozen=True)
class Tower:
    """A flux tower.

    Attributes
    ----------
    name : str
    latitude, longitude : float
        Degrees on WGS84.
    file : pathlib.Path
        Its monthly file of FLUXNET2015.
    """

    name: str
    latitude: float
    longitude: float
    file: Path


def load_towers(path: str | os.PathLike[str]) -> tuple[Tower, ...]:
    """Read a list of towers: CSV with the columns ``name, latitude, longitude, file``.

    Parameters
    ----------
    path : path-like
        Paths in it are relative to it. Other columns may be there.

    Returns
    -------
    tuple of Tower
        In the order of the file.

    Raises
    ------
    SourceError
        The file cannot be read or lacks a column; a row has no name or file, the name or file of another, or a place
        that is not on the globe.
    """
    path = Path(path)
    out: list[Tower] = []
    for row, fields in _rows(path):
        name, file = fields["name"], fields["file"]
        for key, value in (("name", name), ("file", file)):
            if not value:
                raise SourceError(f"{path}, row {row}: `{key}` is empty.", _HEAD)
        tower = Tower(
            name,
            _degrees(path, row, "latitude", fields["latitude"], 90.0),
            _degrees(path, row, "longitude", fields["longitude"], 180.0),
            path.parent / file,
        )
        for other in out:
            if other.name == tower.name:
                raise SourceError(
                    f"{path}, row {row}: the name {name!r} is there twice.", "Give each tower its own name."
                )
            if other.file == tower.file:
                raise SourceError(
                    f"{path}, row {row}: {name} and {other.name} name the same file.", "Give each tower its own file."
                )
        out.append(tower)
    if not out:
        raise SourceError(f"{path}: it names no tower.", _HEAD)
    return tuple(out)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True, skipinitialspace=True)
            lines = [(reader.line_num, [field.strip() for field in line]) for line in reader if any(line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SourceError(f"{path}: cannot be read as CSV ({why}).", _HEAD) from None
    head = lines[0][1] if lines else []
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise SourceError(f"{path}: it has no column {', '.join(missing)}.", _HEAD)
    twice = [name for name in COLUMNS if head.count(name) > 1]
    if twice:
        raise SourceError(f"{path}: the column {twice[0]} is there twice.", _HEAD)
    for row, line in lines[1:]:
        if len(line) != len(head):
            raise SourceError(
                f"{path}, row {row}: it has {len(line)} fields, the first row has {len(head)}.",
                "A name or path with a comma stands in double quotes.",
            )
    return [(row, dict(zip(head, line, strict=True))) for row, line in lines[1:]]


def _degrees(path: Path, row: int, key: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise SourceError(f"{path}, row {row}: {key} {text!r} is not a number.", "Write decimal degrees, as 34.35.")
    if not -most <= value <= most:
        raise SourceError(
            f"{path}, row {row}: {key} {text} is not within -{most:g} to {most:g}.",
            "Write decimal degrees, north and east positive; are latitude and longitude changed over?",
        )
    return value


def cell_of(towers: Sequence[Tower], grid: GeoBox) -> list[tuple[int, int] | None]:
    """Give the row and column of the cell that holds each tower; None outside the grid.

    Parameters
    ----------
    towers : sequence of Tower
    grid : odc.geo.geobox.GeoBox
        In any CRS: places are brought to it from WGS84.

    Returns
    -------
    list of (int, int) or None
    """
    from pyproj import Transformer

    to_grid = Transformer.from_crs("EPSG:4326", str(grid.crs), always_xy=True)
    rows, columns = grid.shape
    a = ~grid.affine
    out: list[tuple[int, int] | None] = []
    for tower in towers:
        x, y = to_grid.transform(tower.longitude, tower.latitude)
        if not (math.isfinite(x) and math.isfinite(y)):
            # where the projection has no point, no cell can be
            out.append(None)
            continue
        column, row = a.a * x + a.b * y + a.c, a.d * x + a.e * y + a.f
        inside = 0 <= row < rows and 0 <= column < columns
        out.append((math.floor(row), math.floor(column)) if inside else None)
    return out
