"""Tiles of the MODIS sinusoidal grid, as HDF-EOS granules or as GeoTIFFs of one field (STAC catalogues' COGs)."""

from __future__ import annotations

import os
import re

from nepcube.errors import SourceError
from nepcube.sources import files, hdf4, hdf5eos, rasters
from nepcube.sources.eos import EosField, EosHeader
from nepcube.sources.family import FIELD, QC_FIELD, Family
from nepcube.sources.lattice import SINUSOIDAL, TILE, Footprint, tile_cells, tile_name
from nepcube.sources.mosaic import Layer
from nepcube.sources.pieces import NPP, QUALITY, Piece
from nepcube.sources.protocol import Request

LAYOUT = "tiles of the sinusoidal grid"
_WHOLE = "Use whole tiles as the provider made them."


def parse(path: str, family: Family) -> re.Match[str] | None:
    """Read product, year, tile and version from a granule's name."""
    return re.search(
        rf"(?P<product>{family.pattern})\.A(?P<year>\d{{4}})(?P<day>\d{{3}})\.h(?P<h>\d{{2}})v(?P<v>\d{{2}})\.(?P<version>\d{{3}})",
        os.path.basename(path),
    )


def look(path: str, name: re.Match[str], family: Family, request: Request) -> list[Piece]:
    """Open the header of a tile whose name is understood.

    Raises
    ------
    SourceError
        The file is damaged, is not of the product, or does not lie where its name says.
    """
    kind = files.require(path, family.container, "TIFF")
    base = os.path.basename(path)
    if name["day"] != "001":
        raise SourceError(
            f"{path}: it is of day {name['day']}, a year's granule is of day 001.", f"Use {family.name} granules."
        )
    h, v = int(name["h"]), int(name["v"])
    role, quality, wants = NPP, None, ""
    if kind == "TIFF":
        role = QUALITY if is_quality(path) else NPP
        corners, rows, columns = _raster(path, role, family)
        layer = Layer(path, index=1)
        wants = "file " + base.replace("Npp_500m", "Npp_QC_500m")
    else:
        header = hdf4.read_header(path) if kind == "HDF4" else hdf5eos.read_header(path)
        field = _field(header, FIELD, "int16", path, family)
        family.require(field.attributes, FIELD, path)
        layer = Layer(path, field.place)
        if request.max_qc is not None:
            quality = Layer(path, _field(header, QC_FIELD, "uint8", path, family).place)
        grid = header.grid
        corners, rows, columns = (grid.left, grid.top, grid.right, grid.bottom), grid.rows, grid.columns
    foot = tile_cells(h, v, max(rows, 1))
    _require_place(path, corners, rows, columns, foot, tile_name(h, v))
    version, year = name["version"], int(name["year"])
    return [Piece(path, LAYOUT, name["product"], version, year, tile_name(h, v), foot, role, layer, quality, wants)]


def is_quality(path: str) -> bool:
    """Tell whether a raster's name says that it is the quality field."""
    return re.search(r"Npp_QC(?![a-z])", os.path.basename(path)) is not None


def _field(header: EosHeader, wanted: str, dtype: str, path: str, family: Family) -> EosField:
    field = header.fields[family.field(header.fields, wanted, path)]
    if field.shape != (header.grid.rows, header.grid.columns):
        raise SourceError(
            f"{path}: {wanted} has {field.shape} pixels, its header says {header.grid.rows} x {header.grid.columns}.",
            "Download it again.",
        )
    family.require_type(field.dtype, dtype, wanted, path)
    return field


def _raster(path: str, role: str, family: Family) -> tuple[tuple[float, float, float, float], int, int]:
    wanted = "int16" if role == NPP else "uint8"
    raster = rasters.read_header(path)
    header, foot = raster.header, raster.foot
    if foot is None or foot.crs != SINUSOIDAL or header.dtypes != (wanted,):
        raise SourceError(
            f"{path}: a GeoTIFF of one {wanted} band on the MODIS sinusoidal grid is needed "
            f"(found: {len(header.dtypes)} band(s) of {header.dtypes[0]}, projection {raster.crs}).",
            "Use the tiles in their native projection and integers.",
        )
    if role == NPP:
        family.require_raster(header.nodata[0], header.scales[0], header.offsets[0], FIELD, path)
    right, bottom = foot.left + foot.columns * foot.dx, foot.top - foot.rows * foot.dy
    return (foot.left, foot.top, right, bottom), foot.rows, foot.columns


def _require_place(
    path: str, corners: tuple[float, float, float, float], rows: int, columns: int, foot: Footprint, tile: str
) -> None:
    # corners are given to the millimetre at worst; a tenth of a pixel tells a tile from its neighbour
    left, top, right, bottom = corners
    exact = (foot.left, foot.top, foot.left + TILE, foot.top - TILE)
    near = all(abs(a - b) <= 0.1 * TILE / max(rows, 1) for a, b in zip((left, top, right, bottom), exact, strict=True))
    if rows != columns or not near:
        raise SourceError(
            f"{path}: its corners ({left:.1f}, {top:.1f}) and size {rows} x {columns} are not those of tile "
            f"{tile} of the MODIS sinusoidal grid.",
            _WHOLE,
        )
