"""Exports of Earth Engine: GeoTIFFs with a band a year, or a file a year, in one piece or in shards.

A masked cell becomes 0 in an export that declares no nodata, and 0 is a productivity too: such a file is refused until
the recipe says what stands for missing cells. The catalogue's bands are ``Npp`` and ``Npp_QC`` (MODIS/061/MOD17A3HGF),
as the product's integers; numbers that were scaled before the export need their unit said.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence

from nepcube.errors import SourceError
from nepcube.sources import rasters
from nepcube.sources.coding import Coding, scaled_unit
from nepcube.sources.family import Family
from nepcube.sources.mosaic import Layer
from nepcube.sources.pieces import NPP, QUALITY, Piece
from nepcube.sources.protocol import Finding, Request
from nepcube.sources.tiff import Header

LAYOUT = "exports of Earth Engine"
_SHARD = re.compile(r"-(\d{10})-(\d{10})$")
_YEAR = re.compile(r"(?<!\d)((?:19|20)\d{2})(?:[-_]?01[-_]?01)?(?!\d)")
_NPP, _QUALITY = {"npp", "npp500m"}, {"nppqc", "nppqc500m"}
# what is left of a band that is called by its year, or by GDAL
_NAMELESS = {"", "b", "b1", "y", "year", "band", "band1"}
_INTEGERS = {"int16", "uint16", "int32", "uint32", "int8", "uint8", "int64"}


def is_quality(path: str) -> bool:
    """Tell whether a file's name says that it holds the quality alone."""
    return "nppqc" in _plain(os.path.basename(path))


def is_other(path: str) -> bool:
    """Tell whether a file's name says that it holds another field of the product."""
    name = _plain(os.path.basename(path))
    return "npp" not in name and ("gpp" in name or "psnnet" in name)


def look(path: str, family: Family, request: Request) -> list[Piece]:
    """Open the header of an export and find its bands.

    Raises
    ------
    SourceError
        The file is damaged, a band's year or meaning is not told, or what stands for missing cells is not.
    UnitError
        Scaled numbers have no unit.
    """
    raster = rasters.read_header(path)
    header, foot = raster.header, raster.foot
    if foot is None:
        raise SourceError(
            f"{path}: its projection is {raster.crs}; EPSG:4326 or the MODIS sinusoidal grid (SR-ORG:6974) is needed.",
            "Export it with crs: 'EPSG:4326' or 'SR-ORG:6974'.",
        )
    base, suffix = os.path.splitext(os.path.basename(path))
    shard = _SHARD.search(base)
    stem = base[: shard.start()] if shard else base
    label = f"shard {shard[1]}-{shard[2]}" if shard else "export"
    product, version = _product(stem, family)
    bands = _bands(path, stem, header, request)
    if not any(role == NPP for role, _, _ in bands) and not is_quality(path):
        names = ", ".join(n or "unnamed" for n in header.bands)
        raise SourceError(
            f"{path}: no band of it is NPP (found: {names}).",
            "Name the bands Npp_2001, Npp_2002, … before the export, or say `variable:` in the recipe.",
        )
    pieces = []
    for role, year, band in bands:
        coding = _coding(path, header, band, request, role)
        wants = f"band Npp_QC of {year}, in {base}{suffix} or in a file beside it"
        pieces.append(
            Piece(path, LAYOUT, product, version, year, label, foot, role, Layer(path, "", band, coding), None, wants)
        )
    return pieces


def _product(stem: str, family: Family) -> tuple[str, str]:
    product = re.search(family.pattern, stem)
    version = re.search(r"(?<!\d)(006|061)(?!\d)", stem)
    return (product[0] if product else family.name), (version[0] if version else "")


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _bands(path: str, stem: str, header: Header, request: Request) -> list[tuple[str, int, int]]:
    wanted = {_plain(request.variable)} if request.variable else _NPP
    in_file = "npp" in _plain(stem) or "17a3hgf" in _plain(stem)
    found: list[tuple[str, int, int]] = []
    for band, name in enumerate(header.bands, start=1):
        rest = _plain(_YEAR.sub("", name))
        if rest in wanted:
            role = NPP
        elif rest in _QUALITY or (rest in _NAMELESS and is_quality(path)):
            role = QUALITY
        elif rest in _NAMELESS and in_file:
            role = NPP
        else:
            continue
        if role == QUALITY and request.max_qc is None:
            continue
        year = _year(path, stem, name)
        if any((role, year) == known[:2] for known in found):
            what = "NPP" if role == NPP else "quality"
            raise SourceError(
                f"{path}: two bands are {what} of {year}.", "Name the bands by their years before the export."
            )
        found.append((role, year, band))
    return found


def _year(path: str, stem: str, name: str) -> int:
    for text in (name, stem):
        years = {int(y) for y in _YEAR.findall(text)}
        if len(years) == 1:
            return years.pop()
        if len(years) > 1:
            break
    raise SourceError(
        f"{path}: neither the band {name or 'without a name'} nor the file's name says one year.",
        "Name the bands Npp_2001, Npp_2002, … before the export, or keep one year a file with the year in its name.",
    )


def _coding(path: str, header: Header, band: int, request: Request, role: str) -> Coding:
    dtype, declared = header.dtypes[band - 1], header.nodata[band - 1]
    if header.scales[band - 1] != 1.0 or header.offsets[band - 1] != 0.0:
        raise SourceError(
            f"{path}: band {band} has scale {header.scales[band - 1]!r} and offset {header.offsets[band - 1]!r}.",
            "Use the file as Earth Engine made it.",
        )
    said = request.nodata
    if declared is None and said is None:
        raise SourceError(
            f"{path}: it declares no nodata, so that a masked cell cannot be told from a productivity of 0.",
            "Export it with formatOptions: {noData: 32767}, or say `nodata:` (what masked cells hold) in the recipe.",
        )
    if declared is not None and said is not None and not _same(declared, said):
        raise SourceError(
            f"{path}: it declares nodata {declared:g}, the recipe says {said:g}.", "Leave `nodata:` out for this file."
        )
    nodata = said if declared is None else declared
    if role == QUALITY:
        return Coding()
    if dtype in _INTEGERS:
        if request.units is not None and scaled_unit(request.units, path) != "kg m-2 year-1":
            raise SourceError(
                f"{path}: `units` says {request.units!r}, and it holds integers ({dtype}).",
                "`units` is for exports of scaled numbers; integers are taken as the product's 0.0001 kg m-2 year-1.",
            )
        return Coding(nodata)
    if dtype not in {"float32", "float64"}:
        raise SourceError(f"{path}: band {band} is of {dtype}.", "Export integers or float.")
    return Coding(nodata, scaled_unit(request.units, path))


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def missing_shards(pieces: Sequence[Piece]) -> list[Finding]:
    """List the shards that an export lacks: what others stand beside and above."""
    by_year: dict[int, dict[tuple[str, str], Piece]] = {}
    for piece in pieces:
        match = _SHARD.search(os.path.splitext(piece.base)[0])
        if match is not None and piece.role == NPP:
            by_year.setdefault(piece.year, {})[match[1], match[2]] = piece
    out: dict[str, Finding] = {}
    for shards in by_year.values():
        rows, columns = {row for row, _ in shards} | {"0" * 10}, {column for _, column in shards} | {"0" * 10}
        first = next(iter(shards.values()))
        for row in sorted(rows):
            for column in sorted(columns):
                if (row, column) not in shards:
                    name = _SHARD.sub(f"-{row}-{column}", os.path.splitext(first.path)[0]) + ".tif"
                    out[name] = Finding(
                        "missing",
                        name,
                        "the shard is not there, and its neighbours are.",
                        "Download every file of the export, and export without skipEmptyTiles.",
                    )
    return list(out.values())
