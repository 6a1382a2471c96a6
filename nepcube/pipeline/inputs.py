"""From the recipe's sources to lazy native datasets, checked against the grid."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nepcube import demo, harmonise, sources
from nepcube import recipe as recipes
from nepcube.errors import NepcubeError, SourceError
from nepcube.grid import coordinates, is_geographic
from nepcube.pipeline.context import geographic_bounds
from nepcube.pipeline.fields import field_files, open_fields
from nepcube.pipeline.sampling import open_elevation
from nepcube.pipeline.stratifying import open_strata, open_stratum, stratum_files
from nepcube.places import public

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from nepcube.pipeline.context import Progress


@dataclass(frozen=True)
class Found:
    """The files of one record of a source, what there is to say about them, or why they cannot be used."""

    quantity: str
    reader: str
    granules: tuple[sources.Granule, ...]
    findings: tuple[sources.Finding, ...]
    error: NepcubeError | None


def generate_archive(recipe: recipes.Recipe, progress: Progress) -> None:
    """Make the archive that the recipe asks for, if it is not there yet."""
    archive = recipe.archive
    if archive is None:
        return
    demo.generate(
        Path(recipe.resolve(archive.path)),
        scenario=archive.generate,
        seed=archive.seed,
        pixels=archive.pixels,
        years=recipe.period,
        progress=lambda done, total, detail: progress("archive", done, total, detail),
    )


def request_of(recipe: recipes.Recipe, quantity: str, record: recipes.Record, grid: GeoBox) -> sources.Request:
    """Translate a record of the recipe into what a reader is asked."""
    source = record.source
    return sources.Request(
        paths=sources.expand([recipe.resolve(p) for p in source.patterns]),
        quantity=quantity,
        variable=source.variable,
        units=source.units,
        time=source.time,
        aggregate=source.aggregate,
        years=record.years,
        bounds=geographic_bounds(grid),
        max_qc=source.max_qc,
        nonvegetated=source.nonvegetated,
        year_start=source.year_start,
        mixed_versions=source.mixed_versions,
        nodata=source.nodata,
    )


def records_of(recipe: recipes.Recipe) -> list[tuple[str, recipes.Record]]:
    """List every record of every quantity that is read from files."""
    return [(q, r) for q, source in recipe.sources.readers().items() for r in source.records(recipe.period)]


@sources.opened_once()
def inspect(recipe: recipes.Recipe, grid: GeoBox) -> list[Found]:
    """Open every header and report what is there and what is not, one report a record; nothing is raised."""
    out = [_inspect(recipe, quantity, record, grid) for quantity, record in records_of(recipe)]
    try:
        found = open_elevation(recipe, grid)
        if found is not None:
            out.append(Found("elevation", "raster", _rasters(elevation_files(recipe)), (), None))
    except NepcubeError as error:
        out.append(Found("elevation", "raster", (), (), error))
    try:
        if open_fields(recipe, grid):
            out.append(Found("respiration", "raster", _rasters([p for _, p in field_files(recipe)]), (), None))
    except NepcubeError as error:
        out.append(Found("respiration", recipe.respiration.model, (), (), error))
    return out + [_inspect_stratum(recipe, name, grid) for name in recipe.strata]


def _inspect_stratum(recipe: recipes.Recipe, name: str, grid: GeoBox) -> Found:
    kind = recipe.strata[name].kind
    try:
        open_stratum(recipe, name, grid)
        return Found(f"strata.{name}", kind, _rasters(list(stratum_files(recipe)[name])), (), None)
    except NepcubeError as error:
        return Found(f"strata.{name}", kind, (), (), error)


def _rasters(paths: list[str]) -> tuple[sources.Granule, ...]:
    return tuple(sources.Granule(p, sources.size(p), "", "", os.path.basename(public(p))) for p in paths)


def elevation_files(recipe: recipes.Recipe) -> list[str]:
    """Name the rasters that the correction for elevation reads."""
    temperature = recipe.sources.readers().get("temperature")
    if temperature is None or temperature.elevation is None:
        return []
    rasters = (temperature.elevation.orography, temperature.elevation.dem)
    return [path for raster in rasters for path in sources.expand(recipe.resolve(raster.path))]


def _inspect(recipe: recipes.Recipe, quantity: str, record: recipes.Record, grid: GeoBox) -> Found:
    name = record.source.reader
    granules: tuple[sources.Granule, ...] = ()
    findings: list[sources.Finding] = []
    error: NepcubeError | None = None
    try:
        reader = sources.reader(name)
        try:
            request = request_of(recipe, quantity, record, grid)
            seen = sources.inspected(reader, request)
            granules, findings = seen.granules, list(seen.findings)
            error = _summary(seen, record)
            broken = {f.which for f in findings if f.state == "broken"}
            paths = tuple(p for p in request.paths if p not in broken)
            if paths:
                # what the good files lack is told beside the broken ones
                native = sources.opened(reader, replace(request, paths=paths))
                findings += _missing(native, quantity, record)
                _require_usable(native, quantity, record, recipe, grid)
        finally:
            findings += _tiles_notes(reader, granules, grid)
    except NepcubeError as fault:
        error = error or fault
    return Found(quantity, name, granules, tuple(findings), error)


def _summary(seen: sources.Inspection, record: recipes.Record) -> NepcubeError | None:
    broken = [f for f in seen.findings if f.state == "broken"]
    if not broken:
        return None
    first = broken[0]
    others = f" ({len(broken) - 1} more of {len(broken) + len(seen.granules)} files are listed above)"
    return SourceError(f"{first.which}: {first.what}{others if len(broken) > 1 else ''}", first.way_out)


def _missing(native: xr.Dataset, quantity: str, record: recipes.Record) -> list[sources.Finding]:
    gaps = harmonise.gaps(native[[quantity]], years=record.years, year_start=record.source.year_start)
    return [
        sources.Finding("missing", which, f"no {quantity}", "Add the file that holds it, or change `period`.")
        for which in gaps.get(quantity, [])
    ]


def _tiles_notes(reader: sources.Source, granules: tuple[sources.Granule, ...], grid: GeoBox) -> list[sources.Finding]:
    if not isinstance(reader, sources.Tiled):
        return []
    needed = reader.expected(geographic_bounds(grid))
    if not granules:
        return [sources.Finding("note", ", ".join(needed), "the tiles that are needed, as far as they exist over land")]
    held = {word for g in granules for word in g.detail.split()}
    absent = [name for name in needed if name not in held]
    if not absent or not any(name in held for name in needed):
        return []
    return [sources.Finding("note", ", ".join(absent), "no file is of these tiles: their cells become 'not covered'")]


def is_generated(recipe: recipes.Recipe) -> bool:
    """Tell whether any input lies in an archive that nepcube made."""
    if recipe.archive is not None:
        return True
    for _, record in records_of(recipe):
        for pattern in record.source.patterns:
            folder = Path(recipe.resolve(pattern)).parent
            if any((f / "GENERATED.json").exists() for f in (folder, folder.parent)):
                return True
    return False


@sources.opened_once()
def open_all(recipe: recipes.Recipe, grid: GeoBox) -> dict[str, list[xr.Dataset]]:
    """Open every record of every quantity, and refuse whatever would keep a run from its end.

    Raises
    ------
    NepcubeError
        A source, the elevation, the respiration, or what the recipe asks of them is at fault.
    """
    out = {quantity: open_records(recipe, quantity, grid) for quantity in recipe.sources.readers()}
    open_elevation(recipe, grid)
    open_fields(recipe, grid)
    open_strata(recipe, grid)
    return out


def open_native(recipe: recipes.Recipe, quantity: str, grid: GeoBox) -> xr.Dataset:
    """Open one source of climate on its native grid, lazy, and refuse what does not cover the grid and the years."""
    (found,) = open_records(recipe, quantity, grid)
    return found


def open_records(recipe: recipes.Recipe, quantity: str, grid: GeoBox) -> list[xr.Dataset]:
    """Open every record of a quantity on its native grid, lazy, each with its own years."""
    out = []
    for record in recipe.sources.readers()[quantity].records(recipe.period):
        reader = sources.reader(record.source.reader)
        native = sources.opened(reader, request_of(recipe, quantity, record, grid))
        _require_usable(native, quantity, record, recipe, grid)
        out.append(native)
    return out


def _require_usable(
    native: xr.Dataset, quantity: str, record: recipes.Record, recipe: recipes.Recipe, grid: GeoBox
) -> None:
    source = record.source
    harmonise.require_engine(source.engine)
    if quantity == "npp":
        _require_tiles(native, record, recipe, grid)
    harmonise.require_method(native, grid, source.resampling, engine=source.engine)
    if quantity in ("temperature", "precipitation"):
        step = {"annual": "year", "monthly": "month", "daily": "day"}[recipe.respiration.basis]
        harmonise.require_step(native[quantity].attrs["frequency"], step, quantity)
    # the plan of the years finds what is missing before anything is computed
    names = [n for n in (quantity, "npp_flag") if n in native]
    harmonise.to_annual(
        native[names],
        years=record.years,
        min_coverage=record.source.min_coverage,
        year_start=record.source.year_start,
    )


def _require_tiles(native: xr.Dataset, record: recipes.Record, recipe: recipes.Recipe, grid: GeoBox) -> None:
    if "y" not in native.dims or "inusoidal" not in _crs(native):
        return
    y, x = native["y"].values, native["x"].values
    res = abs(float(y[1] - y[0]))
    box = grid.footprint(_crs(native), 0.0, 200).boundingbox if not is_geographic(grid) else _sinusoidal_box(grid)
    west, south, east, north = box if isinstance(box, tuple) else (box.left, box.bottom, box.right, box.top)
    if east < x.min() - res or west > x.max() + res or north < y.min() - res or south > y.max() + res:
        first = recipe.resolve(record.source.patterns[0])
        raise SourceError(
            f"{first}: none of the tiles touches `grid.bounds`.",
            "Download the tiles of your area (its hHHvVV stand in the names), or change `grid.bounds`.",
        )


def _crs(native: xr.Dataset) -> str:
    return str(native["spatial_ref"].attrs["crs_wkt"])


def _sinusoidal_box(grid: GeoBox) -> tuple[float, float, float, float]:
    y, x = coordinates(grid)
    radius = 6371007.181
    phi, lam = np.radians(y), np.radians(x)
    corners = np.outer([lam.min(), lam.max()], np.cos(phi)) * radius
    return float(corners.min()), float(phi.min() * radius), float(corners.max()), float(phi.max() * radius)
