"""From the recipe's sources to lazy native datasets, checked against the grid."""

from __future__ import annotations

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import demo, harmonise, sources
from nepcube import recipe as recipes
from nepcube.errors import NepcubeError, SourceError
from nepcube.grid import coordinates, is_geographic
from nepcube.pipeline.context import geographic_bounds

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from nepcube.pipeline.context import Progress


@dataclass(frozen=True)
class Found:
    """The files of one source, or why they cannot be used."""

    quantity: str
    reader: str
    granules: tuple[sources.Granule, ...]
    error: NepcubeError | None
    note: str = ""


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


def request_of(recipe: recipes.Recipe, quantity: str, source: recipes.ReaderSource, grid: GeoBox) -> sources.Request:
    """Translate a source of the recipe into what a reader is asked."""
    return sources.Request(
        paths=sources.expand([recipe.resolve(p) for p in source.patterns]),
        quantity=quantity,
        variable=source.variable,
        units=source.units,
        time=source.time,
        aggregate=source.aggregate,
        years=recipe.period,
        bounds=geographic_bounds(grid),
        max_qc=source.max_qc,
        nonvegetated=source.nonvegetated,
    )


def inspect(recipe: recipes.Recipe, grid: GeoBox) -> list[Found]:
    """Open every header and report what is there, one record a source; nothing is raised."""
    out = []
    for quantity, source in recipe.sources.readers().items():
        granules: tuple[sources.Granule, ...] = ()
        try:
            request = request_of(recipe, quantity, source, grid)
            reader = sources.reader(source.reader)
            granules = sources.inspected(reader, request).granules
            native = sources.opened(reader, request)
            _require_usable(native, quantity, source, recipe, grid)
            out.append(Found(quantity, source.reader, granules, None, _tiles_note(reader, granules, grid)))
        except NepcubeError as error:
            note = ""
            if not granules:
                with contextlib.suppress(NepcubeError):
                    note = _tiles_note(sources.reader(source.reader), (), grid)
            out.append(Found(quantity, source.reader, granules, error, note))
    return out


def _tiles_note(reader: sources.Source, granules: tuple[sources.Granule, ...], grid: GeoBox) -> str:
    if not isinstance(reader, sources.Tiled):
        return ""
    needed = reader.expected(geographic_bounds(grid))
    if not granules:
        return f"needed are the tiles {', '.join(needed)}, as far as they exist over land"
    held = {word for g in granules for word in g.detail.split()}
    absent = [name for name in needed if name not in held]
    if not absent:
        return ""
    return f"no file is of the tiles {', '.join(absent)}: their cells become 'not covered'"


def is_generated(recipe: recipes.Recipe) -> bool:
    """Tell whether any input lies in an archive that nepcube made."""
    if recipe.archive is not None:
        return True
    for source in recipe.sources.readers().values():
        for pattern in source.patterns:
            folder = Path(recipe.resolve(pattern)).parent
            if any((f / "GENERATED.json").exists() for f in (folder, folder.parent)):
                return True
    return False


def open_native(recipe: recipes.Recipe, quantity: str, grid: GeoBox) -> xr.Dataset:
    """Open one source on its native grid, lazy, and refuse what does not cover the grid and the years."""
    source = recipe.sources.readers()[quantity]
    reader = sources.reader(source.reader)
    native = sources.opened(reader, request_of(recipe, quantity, source, grid))
    _require_usable(native, quantity, source, recipe, grid)
    return native


def _require_usable(
    native: xr.Dataset, quantity: str, source: recipes.ReaderSource, recipe: recipes.Recipe, grid: GeoBox
) -> None:
    if quantity == "npp":
        _require_tiles(native, recipe, grid)
    # the plan of the years finds what is missing before anything is computed
    names = [n for n in (quantity, "npp_flag") if n in native]
    harmonise.to_annual(native[names], years=recipe.period, min_coverage=source.min_coverage)


def _require_tiles(native: xr.Dataset, recipe: recipes.Recipe, grid: GeoBox) -> None:
    if "y" not in native.dims or "inusoidal" not in _crs(native):
        return
    y, x = native["y"].values, native["x"].values
    res = abs(float(y[1] - y[0]))
    box = grid.footprint(_crs(native), 0.0, 200).boundingbox if not is_geographic(grid) else _sinusoidal_box(grid)
    west, south, east, north = box if isinstance(box, tuple) else (box.left, box.bottom, box.right, box.top)
    if east < x.min() - res or west > x.max() + res or north < y.min() - res or south > y.max() + res:
        first = recipe.resolve(recipe.sources.readers()["npp"].patterns[0])
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


def hash_inputs(recipe: recipes.Recipe, progress: Progress) -> list[dict[str, Any]]:
    """List every input file with its size and the SHA-256 of its bytes."""
    files: dict[str, list[str]] = {}
    for quantity, source in recipe.sources.readers().items():
        for path in sources.expand([recipe.resolve(p) for p in source.patterns]):
            files.setdefault(path, []).append(quantity)

    def one(path: str) -> dict[str, Any]:
        return {
            "source": "+".join(files[path]),
            "path": os.path.relpath(path, recipe.base),
            "bytes": _size(path),
            "hash": "sha256:" + _hash(path),
        }

    out = []
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for k, record in enumerate(pool.map(one, sorted(files)), start=1):
            out.append(record)
            progress("hash inputs", k, len(files))
    return out


def _members(path: str) -> list[str]:
    if os.path.isfile(path):
        return [path]
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def _size(path: str) -> int:
    return sum(os.path.getsize(p) for p in _members(path))


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    for member in _members(path):
        with open(member, "rb") as file:
            while part := file.read(1 << 22):
                digest.update(part)
    return digest.hexdigest()
