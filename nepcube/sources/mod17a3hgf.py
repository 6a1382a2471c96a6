"""MOD17A3HGF: annual net primary productivity of MODIS on the sinusoidal grid, as HDF4-EOS tiles or GeoTIFF."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.grid import spatial_coords
from nepcube.sources import files, hdf4, series
from nepcube.sources.mosaic import MosaicArray
from nepcube.sources.protocol import Bounds, Granule, Inspection, Request

if TYPE_CHECKING:
    import xarray as xr

#: sphere of the MODIS sinusoidal grid, and one of its 36 x 18 tiles, m
SPHERE = 6371007.181
TILE = 1111950.5196666666
CRS = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={SPHERE} +units=m +no_defs"
H_TILES, V_TILES = 36, 18

FIELD, QC_FIELD = "Npp_500m", "Npp_QC_500m"
SCALE = 0.0001
_NAME = re.compile(r"(?P<product>M[OY]D17A3HGF)\.A(?P<year>\d{4})\d{3}\.h(?P<h>\d{2})v(?P<v>\d{2})\.(?P<version>\d{3})")


@dataclass(frozen=True)
class Tile:
    """One tile of one year: where it lies in the native index space, and its files."""

    path: str
    qc_path: str | None
    product: str
    version: str
    year: int
    h: int
    v: int
    pixels: int

    @property
    def name(self) -> str:
        return f"h{self.h:02d}v{self.v:02d}"


class Mod17A3HGF:
    """MOD17A3HGF v061 and v006."""

    name = "mod17a3hgf"
    accepts = (
        "MOD17A3HGF v061 or v006 granules: HDF4-EOS (MOD17A3HGF.AYYYYDDD.hHHvVV.VVV.*.hdf) "
        "or sinusoidal GeoTIFF/COG (*_Npp_500m.tif)"
    )
    quantities = ("npp",)
    citation = (
        "Running, S., Zhao, M. 2021. MODIS/Terra Net Primary Production Gap-Filled Yearly L4 Global 500 m SIN Grid "
        "V061. NASA LP DAAC. doi:10.5067/MODIS/MOD17A3HGF.061"
    )

    def inspect(self, request: Request) -> Inspection:
        """Open every header, refuse what cannot be mosaicked, and list the files."""
        return Inspection(
            tuple(
                Granule(
                    tile.path,
                    os.path.getsize(tile.path),
                    f"{tile.year}-01-01",
                    f"{tile.year}-12-31",
                    f"{tile.name} v{tile.version}",
                )
                for tile in _tiles(request)
            )
        )

    def expected(self, bounds: Bounds) -> list[str]:
        """Name the tiles that touch some bounds, in degrees."""
        west, south, east, north = (math.radians(b) for b in bounds)
        names = set()
        # a hundredth of a tile apart, so that no row of tiles is stepped over
        for phi in np.linspace(south, north, max(2, math.ceil((north - south) * SPHERE / TILE * 100))):
            v = math.floor(V_TILES / 2 - phi * SPHERE / TILE)
            first, last = (math.floor(H_TILES / 2 + lam * math.cos(phi) * SPHERE / TILE) for lam in (west, east))
            names |= {f"h{h:02d}v{min(max(v, 0), V_TILES - 1):02d}" for h in range(first, min(last, H_TILES - 1) + 1)}
        return sorted(names)

    def open(self, request: Request) -> xr.Dataset:
        """Give ``npp`` (float32, g m-2 year-1) and ``npp_flag`` (uint8) on the mosaic of the tiles."""
        import dask.array as da
        import pandas as pd
        import xarray as xr
        from affine import Affine
        from odc.geo.geobox import GeoBox

        tiles = _tiles(request)
        years = sorted({tile.year for tile in tiles})
        pixels = tiles[0].pixels
        h0, h1 = min(t.h for t in tiles), max(t.h for t in tiles) + 1
        v0, v1 = min(t.v for t in tiles), max(t.v for t in tiles) + 1
        res = TILE / pixels
        col0, row0 = (h0 - H_TILES // 2) * pixels, (V_TILES // 2 - v0) * pixels
        box = GeoBox(((v1 - v0) * pixels, (h1 - h0) * pixels), Affine(res, 0.0, col0 * res, 0.0, -res, row0 * res), CRS)
        table = {
            (years.index(t.year), t.v - v0, t.h - h0): (t.path, t.qc_path if request.max_qc is not None else None)
            for t in tiles
        }
        shape = (len(years), *box.shape)
        arrays = {
            name: da.from_array(
                MosaicArray(table, shape, pixels, name, request.max_qc, request.nonvegetated == "zero"),
                chunks=(1, pixels, pixels),
                name=False,
                inline_array=True,
                meta=np.empty((0, 0, 0), MosaicArray.dtypes[name]),
            )
            for name in ("npp", "npp_flag")
        }
        product = f"{tiles[0].product}.{tiles[0].version}"
        common = {"aggregation": spec.YEARLY, "frequency": "year", "product": product}
        coords = spatial_coords(box)
        time = xr.Variable("time", pd.to_datetime([f"{y}-01-01" for y in years]).values)
        return xr.Dataset(
            {
                "npp": (
                    ("time", "y", "x"),
                    arrays["npp"],
                    spec.CUBE["npp"].attrs() | common | {"nonvegetated": request.nonvegetated},
                ),
                "npp_flag": (
                    ("time", "y", "x"),
                    arrays["npp_flag"],
                    spec.NPP_FLAG.attrs() | spec.flag_attrs(spec.NPP_FLAGS, "uint8") | common,
                ),
            },
            coords={"time": time, **coords},
            attrs={"product": product, "source": self.citation},
        )


def _tiles(request: Request) -> list[Tile]:
    main = [p for p in request.paths if "_QC_500m" not in os.path.basename(p) and "_Gpp_" not in os.path.basename(p)]
    qc = {os.path.basename(p).replace("Npp_QC_500m", "Npp_500m"): p for p in request.paths if "Npp_QC_500m" in p}
    tiles = [_tile(path, request, qc) for path in main]
    if not tiles:
        raise SourceError(
            f"{series.common(request.paths)}: no file holds {FIELD}.", "Name the granules, or the *_Npp_500m.tif files."
        )
    _require_one(tiles, lambda t: f"{t.product} version {t.version}", "Keep one product and version in the folder.")
    _require_one(tiles, lambda t: f"{t.pixels} pixels a side", "Keep tiles of one resolution in the folder.")
    seen: dict[tuple[int, str], Tile] = {}
    for tile in tiles:
        other = seen.setdefault((tile.year, tile.name), tile)
        if other is not tile:
            raise SourceError(
                f"{tile.path}: tile {tile.name} of {tile.year} is there twice, also as {os.path.basename(other.path)}.",
                "Keep the later production (the last number of the name) and move the other away.",
            )
    if request.years is not None:
        tiles = [t for t in tiles if request.years[0] <= t.year <= request.years[1]]
        if not tiles:
            raise SourceError(
                f"{series.common(request.paths)}: no granule is of the years {request.years[0]} to {request.years[1]}.",
                "Download those years, or change `period`.",
            )
    _require_no_gap(tiles, request.paths)
    return sorted(tiles, key=lambda t: (t.year, t.v, t.h))


def _require_no_gap(tiles: list[Tile], paths: Sequence[str]) -> None:
    # a tile that no year has lies over the sea or was not wanted; one that some years lack is a gap in the download
    there = {(t.year, t.name) for t in tiles}
    years, names = sorted({t.year for t in tiles}), sorted({t.name for t in tiles})
    gaps = [f"{name} of {year}" for year in years for name in names if (year, name) not in there]
    if gaps:
        more = f" and {len(gaps) - 4} more" if len(gaps) > 4 else ""
        raise SourceError(
            f"{series.common(paths)}: missing are {', '.join(gaps[:4])}{more}, which other years have.",
            "Download them, or take that tile away for every year.",
        )


def _require_one(tiles: list[Tile], what: Any, way_out: str) -> None:
    first: dict[str, Tile] = {}
    for tile in tiles:
        first.setdefault(what(tile), tile)
    if len(first) > 1:
        (a, tile_a), (b, tile_b) = list(first.items())[:2]
        raise SourceError(
            f"{tile_b.path}: {b}, but {os.path.basename(tile_a.path)} is {a}: they do not belong in one mosaic.",
            way_out,
        )


def _tile(path: str, request: Request, qc: dict[str, str]) -> Tile:
    kind = files.require(path, "HDF4", "TIFF")
    base = os.path.basename(path)
    match = _NAME.search(base)
    if match is None:
        raise SourceError(
            f"{path}: the name is not that of a MOD17A3HGF granule.",
            "Keep the provider's name: product, year, tile and version stand in it.",
        )
    h, v = int(match["h"]), int(match["v"])
    if kind == "HDF4":
        header = hdf4.read_header(path)
        grid = header.grid
        _check_field(header, path, needs_qc=request.max_qc is not None)
        left, top, right, bottom, rows, columns = (
            grid.left,
            grid.top,
            grid.right,
            grid.bottom,
            grid.rows,
            grid.columns,
        )
        qc_path = path
    else:
        left, top, right, bottom, rows, columns = _tiff_geometry(path, "int16")
        qc_path = qc.get(base, "")
        if qc_path and _tiff_geometry(qc_path, "uint8") != (left, top, right, bottom, rows, columns):
            raise SourceError(f"{qc_path}: it is not on the pixels of {base}.", "Download both of the same granule.")
        if request.max_qc is not None and not qc_path:
            raise SourceError(
                f"{path}: `max_qc` needs the quality file {base.replace('Npp_500m', 'Npp_QC_500m')}.",
                "Download it beside this one, or leave `max_qc` out.",
            )
    # corners are given to the millimetre at worst; a tenth of a pixel tells a tile from its neighbour
    tolerance = 0.1 * TILE / max(rows, 1)
    expected = ((h - H_TILES // 2) * TILE, (V_TILES // 2 - v) * TILE)
    far = max(
        abs(left - expected[0]),
        abs(top - expected[1]),
        abs(right - expected[0] - TILE),
        abs(bottom - expected[1] + TILE),
    )
    if rows != columns or far > tolerance:
        raise SourceError(
            f"{path}: its corners ({left:.1f}, {top:.1f}) and size {rows} x {columns} are not those of tile "
            f"h{h:02d}v{v:02d} of the MODIS sinusoidal grid.",
            "Use whole tiles as the provider made them.",
        )
    return Tile(path, qc_path or None, match["product"], match["version"], int(match["year"]), h, v, rows)


def _check_field(header: hdf4.EosHeader, path: str, *, needs_qc: bool) -> None:
    fields, grid = header.fields, header.grid
    for name in (FIELD, *([QC_FIELD] if needs_qc else [])):
        if name not in fields:
            raise SourceError(
                f"{path}: the field {name!r} is not there (found: {', '.join(sorted(fields))}).",
                "Use MOD17A3HGF granules; MOD17A2HGF and MOD17A3H are other products.",
            )
        if header.shapes[name] != (grid.rows, grid.columns):
            raise SourceError(
                f"{path}: {name} has {header.shapes[name]} pixels, its header says {grid.rows} x {grid.columns}.",
                "Download it again.",
            )
    attributes = fields[FIELD]
    scale = attributes.get("scale_factor")
    if scale is None or not np.isclose(float(scale), SCALE, rtol=1e-6):
        raise SourceError(
            f"{path}: {FIELD} has scale_factor {scale!r}, {SCALE} is MOD17A3HGF's.",
            "Use the granule as the provider made it.",
        )
    unit = str(attributes.get("units", "")).replace(" ", "").lower()
    if unit not in {"kg_c/m^2", "kgc/m^2", "kg_c/m^2/yr", "kgc/m^2/yr", "kgc/m2/yr", "kg*c/m^2", "kgc/m2"}:
        raise SourceError(
            f"{path}: {FIELD} is in {attributes.get('units')!r}, kg_C/m^2 is MOD17A3HGF's.",
            "Use the granule as the provider made it.",
        )


def _tiff_geometry(path: str, wanted: str) -> tuple[float, float, float, float, int, int]:
    import rasterio
    from rasterio.errors import RasterioIOError

    try:
        with rasterio.open(path) as file:
            crs = file.crs.to_dict() if file.crs else {}
            bounds, shape, dtype, count = file.bounds, file.shape, file.dtypes[0], file.count
    except RasterioIOError as error:
        raise files.damaged(path, error) from None
    if crs.get("proj") != "sinu" or dtype != wanted or count != 1:
        raise SourceError(
            f"{path}: a GeoTIFF of one {wanted} band on the MODIS sinusoidal grid is needed "
            f"(found: {count} band(s) of {dtype}, projection {crs.get('proj', crs.get('init', 'none'))}).",
            "Use the tiles in their native projection and integers.",
        )
    return bounds.left, bounds.top, bounds.right, bounds.bottom, shape[0], shape[1]
