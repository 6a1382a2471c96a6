"""Annual net primary productivity of the MOD17 family: one reader for every layout that its files come in."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError
from nepcube.grid import dims, spatial_coords
from nepcube.sources import appeears, earth_engine, files, granules, pieces, series
from nepcube.sources.coding import FILL
from nepcube.sources.family import FIELD, Family
from nepcube.sources.lattice import tiles_touching
from nepcube.sources.mosaic import MosaicArray
from nepcube.sources.pieces import NPP, Mosaic, Piece
from nepcube.sources.protocol import Bounds, Finding, Granule, Inspection, Request
from nepcube.sources.survey import open_all, survey
from nepcube.units import canonical

if TYPE_CHECKING:
    import xarray as xr

# cells a side of a chunk where the lattice has no tiles; whole blocks of the rasters that providers write
_CHUNK = 2048
_GRANULE = re.compile(r"\.A\d{7}\.h\d{2}v\d{2}\.\d{3}")


class Productivity:
    """A reader of one family of products."""

    name: ClassVar[str]
    accepts: ClassVar[str]
    citation: ClassVar[str]
    family: ClassVar[Family]
    #: whether Earth Engine has the product
    exports: ClassVar[bool] = False
    quantities = ("npp",)

    def inspect(self, request: Request) -> Inspection:
        """Open every header, and list the files that can be used and what is wrong with the others."""
        wanted = self._wanted(request)
        seen, findings = survey(wanted, lambda path: self._look(path, request))
        every = [piece for group in seen for piece in group]
        held = pieces.of_years(every, request.years)
        findings += pieces.faults(every, request)
        findings += earth_engine.missing_shards(held)
        for label, year in pieces.gaps(held):
            findings.append(
                Finding(
                    "missing", f"{label} of {year}", "other years have it.", "Download it, or take it away everywhere."
                )
            )
        if request.years is not None:
            there = {piece.year for piece in held if piece.role == NPP}
            for year in range(request.years[0], request.years[1] + 1):
                if year not in there:
                    what, way_out = "no file is of this year.", "Download it, or change `period`."
                    findings.append(Finding("missing", str(year), what, way_out))
        return Inspection(tuple(_granules(held)), tuple(findings))

    def expected(self, bounds: Bounds) -> list[str]:
        """Name the tiles that touch some bounds, in degrees."""
        return tiles_touching(bounds)

    def open(self, request: Request) -> xr.Dataset:
        """Give ``npp`` (float32, g m-2 year-1) and ``npp_flag`` (uint8) on the cells of the files."""
        seen = open_all(self._wanted(request), lambda path: self._look(path, request))
        every = [piece for group in seen for piece in group]
        for fault in pieces.faults(every, request):
            raise SourceError(f"{fault.which}: {fault.what}", fault.way_out)
        held = pieces.of_years(every, request.years)
        if not any(piece.role == NPP for piece in held):
            first, last = request.years or (0, 0)
            raise SourceError(
                f"{series.common(request.paths)}: no granule is of the years {first} to {last}.",
                "Download those years, or change `period`.",
            )
        for fault in earth_engine.missing_shards(held):
            raise SourceError(f"{fault.which}: {fault.what}", fault.way_out)
        _require_no_gap(held, request.paths)
        return self._dataset(pieces.assemble(held, request), request)

    def _wanted(self, request: Request) -> list[str]:
        out = []
        for path in request.paths:
            base = os.path.basename(path)
            named = granules.parse(path, self.family) or appeears.parse(path, self.family)
            if named is not None:
                other = re.search(r"_(?:Gpp|PsnNet)(?:_500m)?(?:_|\.)", base) is not None
                quality = granules.is_quality(path)
            else:
                other, quality = earth_engine.is_other(path), earth_engine.is_quality(path)
            if not other and (request.max_qc is not None or not quality):
                out.append(path)
        if all(granules.is_quality(path) or earth_engine.is_quality(path) for path in out):
            raise SourceError(
                f"{series.common(request.paths)}: no file holds {FIELD}.",
                "Name the granules, or the *_Npp_500m.tif files.",
            )
        return out

    def _look(self, path: str, request: Request) -> list[Piece]:
        name = granules.parse(path, self.family)
        if name is not None:
            self._require_plain(path, request)
            return granules.look(path, name, self.family, request)
        name = appeears.parse(path, self.family)
        if name is not None:
            self._require_plain(path, request)
            return appeears.look(path, name, self.family, request)
        kind = files.require(path, self.family.container, "HDF5", "TIFF")
        if kind == "TIFF" and self.exports and not _GRANULE.search(os.path.basename(path)):
            return earth_engine.look(path, self.family, request)
        raise SourceError(
            f"{path}: the name is not that of a {self.family.name} granule.",
            "Keep the provider's name: product, year, tile and version stand in it.",
        )

    def _require_plain(self, path: str, request: Request) -> None:
        # what the files say themselves is not said otherwise by the recipe
        if request.nodata is not None and request.nodata != FILL:
            raise SourceError(
                f"{path}: `nodata` says {request.nodata:g}, {FILL} is {self.family.name}'s.",
                "`nodata` is for exports of Earth Engine; leave it out.",
            )
        if request.units is not None and canonical(request.units, of=path) != "kg m-2 year-1":
            raise SourceError(
                f"{path}: `units` says {request.units!r}, the file is in kg_C/m^2.",
                "`units` is for exports of scaled numbers; leave it out.",
            )

    def _dataset(self, mosaic: Mosaic, request: Request) -> xr.Dataset:
        import dask.array as da
        import pandas as pd
        import xarray as xr

        box = mosaic.lattice.box(mosaic.extent)
        shape = (len(mosaic.years), mosaic.extent.rows, mosaic.extent.columns)
        chunks = (1, *_chunks(mosaic))
        arrays = {
            name: da.from_array(
                MosaicArray(mosaic.table, shape, name, request.max_qc, request.nonvegetated == "zero"),
                chunks=chunks,
                name=False,
                inline_array=True,
                meta=np.empty((0, 0, 0), MosaicArray.dtypes[name]),
            )
            for name in ("npp", "npp_flag")
        }
        product = " and ".join(mosaic.products)
        common = {"aggregation": spec.YEARLY, "frequency": "year", "product": product}
        time = xr.Variable("time", pd.to_datetime([f"{y}-01-01" for y in mosaic.years]).values)
        axes = ("time", *dims(box))
        npp: dict[str, Any] = spec.CUBE["npp"].attrs() | common | {"nonvegetated": request.nonvegetated}
        flag = spec.NPP_FLAG.attrs() | spec.flag_attrs(spec.NPP_FLAGS, "uint8") | common
        return xr.Dataset(
            {"npp": (axes, arrays["npp"], npp), "npp_flag": (axes, arrays["npp_flag"], flag)},
            coords={"time": time, **spatial_coords(box)},
            attrs={"product": product, "source": self.citation},
        )


def _chunks(mosaic: Mosaic) -> tuple[int, int]:
    # a tile is decoded whole; of a rectangle any window can be
    parts = [part.at for row in mosaic.table.values() for part in row]
    sides = {(at.rows, at.columns) for at in parts}
    tiled = len(sides) == 1 and all(at.row % at.rows == 0 and at.column % at.columns == 0 for at in parts)
    rows, columns = next(iter(sides))
    if tiled and max(rows, columns) <= 2 * _CHUNK:
        return rows, columns
    return min(_CHUNK, mosaic.extent.rows), min(_CHUNK, mosaic.extent.columns)


def _granules(held: Sequence[Piece]) -> list[Granule]:
    by_path: dict[str, list[Piece]] = {}
    for piece in held:
        by_path.setdefault(piece.path, []).append(piece)
    out = []
    for path, group in by_path.items():
        years = [piece.year for piece in group]
        first = group[0]
        version = f"v{first.version}" if first.version else "version not stated"
        quality = " quality" if all(piece.role != NPP for piece in group) else ""
        detail = f"{first.label} {version}{quality}"
        out.append(Granule(path, files.size(path), f"{min(years)}-01-01", f"{max(years)}-12-31", detail))
    return sorted(out, key=lambda granule: (granule.start, granule.detail, granule.path))


def _require_no_gap(held: Sequence[Piece], paths: Sequence[str]) -> None:
    missing = [f"{label} of {year}" for label, year in pieces.gaps(held)]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise SourceError(
            f"{series.common(paths)}: missing are {', '.join(missing[:4])}{more}, which other years have.",
            "Download them, or take that tile away for every year.",
        )
