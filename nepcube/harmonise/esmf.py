"""The resampling engine `xesmf`: ESMF makes the weights, tile by tile; nepcube keeps and applies them.

ESMF is only to be had from conda. The tests run this module on a stand-in of xESMF (same arguments, weights by the test
itself) and compare the applying of weights with numbers that ESMF computed; they do not run a real ESMF.

ESMF's cell edges are great circles, those of the default engine parallels and meridians.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError
from nepcube.grid import Window
from nepcube.harmonise.positions import Lattice, positions, reach, within
from nepcube.harmonise.weights import Weights, apply_weights, read_weights, write_weights

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

#: our names of the methods, and xESMF's
METHODS = {"nearest": "nearest_s2d", "bilinear": "bilinear", "conservative": "conservative"}

#: target cells a side of a tile, one tenth more at most; ESMF needs some 1.5 kB a target cell
TILE = 500
#: source cells of a tile: a fine source on a coarse target gets smaller tiles
SOURCE_CELLS = 2 * TILE * TILE
#: source cells that even the smallest tile may not exceed
MOST_CELLS = 16 * SOURCE_CELLS
#: source cells around what a tile touches
MARGIN = 2
# part of the name of a kept file: raised when the same grids and tile would give other weights
_EDITION = "nepcube esmf weights 1"

_DEFAULT = "leave `engine: xesmf` out"
# ESMF keeps state for the whole process
_LOCK = threading.Lock()


def probe() -> Any:
    """Import xESMF, and tell the true reason where it cannot be.

    netCDF4 is imported before esmpy, since the other order crashes the process, and esmpy before xesmf, which hides
    esmpy's own error behind that of an older name of it.

    Returns
    -------
    module
        ``xesmf``.

    Raises
    ------
    GridError
        esmpy or xesmf is not there or does not load.
    """
    if "esmpy" in sys.modules and "netCDF4" not in sys.modules:
        raise GridError(
            "engine: esmpy was imported before netCDF4, which crashes the process.",
            "Write `import netCDF4` above the first import of esmpy or xesmf.",
        )
    importlib.import_module("netCDF4")
    for name in ("esmpy", "xesmf"):
        try:
            module = importlib.import_module(name)
        except Exception as error:
            raise GridError(*_reason(name, error)) from error
    return module


def _reason(name: str, error: Exception) -> tuple[str, str]:
    if isinstance(error, ModuleNotFoundError) and error.name == name:
        return (
            f"engine: {name} is not installed.",
            f"Install ESMF with conda (`conda env create -f environment.yml`; pip has no esmpy), or {_DEFAULT}.",
        )
    what = f"engine: {name} does not load: {type(error).__name__}: {error}"
    if "ESMFMKFILE" in str(error):
        return what, (
            "Activate the conda environment, which sets ESMFMKFILE, or set ESMFMKFILE to the path of its lib/esmf.mk; "
            f"or {_DEFAULT}."
        )
    return what, f"Mend the installation (`conda env create -f environment.yml` makes a fresh one), or {_DEFAULT}."


# --------------------------------------------------------------------------------------------------------------- tiles


@dataclass(frozen=True)
class Tile:
    """A part of a window of the target, and the rows and columns of the source that it needs."""

    window: Window
    rows: slice
    columns: slice

    @property
    def source_shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def tiles(source: Lattice, grid: GeoBox, window: Window, method: str) -> list[Tile]:
    """Cut a window of the target into tiles; parts that lie off the source are left out.

    A tile has about 500 x 500 target cells at most, fewer where the source is so fine that they would need more than
    half a million source cells.

    Raises
    ------
    GridError
        The method is not one of the engine's.
    """
    if method not in METHODS:
        raise GridError(f"engine: xesmf has no method {method!r}.", f"Use one of {', '.join(METHODS)}, or {_DEFAULT}.")
    out: list[Tile] = []
    for y0, y1 in _parts(window.y0, window.y1):
        for x0, x1 in _parts(window.x0, window.x1):
            out.extend(_fitting(source, grid, Window(y0, y1, x0, x1), method))
    return out


def _parts(first: int, last: int) -> list[tuple[int, int]]:
    # nearly equal parts, so that none is a sliver
    n = math.ceil((last - first) / (1.1 * TILE))
    return list(pairwise(first + (last - first) * k // n for k in range(n + 1)))


def _fitting(source: Lattice, grid: GeoBox, window: Window, method: str) -> list[Tile]:
    needed = _needed(source, grid, window, method)
    if needed is None:
        return []
    tile = Tile(window, *needed)
    rows, columns = tile.source_shape
    if rows * columns <= SOURCE_CELLS or (max(window.shape) < 4 and rows * columns <= MOST_CELLS):
        return [tile]
    if max(window.shape) < 4:
        raise GridError(
            f"engine: xesmf would need {rows * columns} source cells for rows {window.y0} to {window.y1} and columns "
            f"{window.x0} to {window.x1} of the grid.",
            f"Use a finer grid, one that lies within the source's projection, or {_DEFAULT}.",
        )
    if window.shape[0] >= window.shape[1]:
        middle = (window.y0 + window.y1) // 2
        halves = [Window(window.y0, middle, window.x0, window.x1), Window(middle, window.y1, window.x0, window.x1)]
    else:
        middle = (window.x0 + window.x1) // 2
        halves = [Window(window.y0, window.y1, window.x0, middle), Window(window.y0, window.y1, middle, window.x1)]
    return [t for half in halves for t in _fitting(source, grid, half, method)]


def _needed(source: Lattice, grid: GeoBox, window: Window, method: str) -> tuple[slice, slice] | None:
    found = within(source, *reach(source, grid, window, MARGIN))
    if found is None:
        return None
    return _two(found[0], source.rows, "row"), _two(found[1], source.columns, "column")


def _two(part: slice, size: int, name: str) -> slice:
    # ESMF refuses a grid that is one cell wide
    if size < 2:
        raise GridError(f"The source has one {name}; ESMF needs two.", f"Keep two {name}s at least, or {_DEFAULT}.")
    start = min(part.start, size - 2)
    return slice(start, max(part.stop, start + 2))


def source_extent(source: Lattice, grid: GeoBox, window: Window, method: str) -> tuple[slice, slice] | None:
    """Give the source rows and columns that `regrid_window_esmf` needs for a window, or None where it touches none."""
    cut = tiles(source, grid, window, method)
    if not cut:
        return None
    return (
        slice(min(t.rows.start for t in cut), max(t.rows.stop for t in cut)),
        slice(min(t.columns.start for t in cut), max(t.columns.stop for t in cut)),
    )


# ------------------------------------------------------------------------------------------------------------- weights


def window_weights(
    source: Lattice, grid: GeoBox, window: Window, method: str, *, cache: Path | None = None
) -> Iterator[tuple[Tile, Weights]]:
    """Make the weights of one window of the target, tile by tile, so that memory does not grow with the window.

    Parameters
    ----------
    source : Lattice
        The source grid, of any CRS.
    grid : odc.geo.geobox.GeoBox
    window : Window
    method : {"nearest", "bilinear", "conservative"}
        ``conservative`` takes weights normed by the area of the target cell: their sum is the share of it that the
        source covers.
    cache : path, optional
        A folder for the weight files, in ESMF's format. A file that is there is read, and ESMF is then not needed; one
        that is not is written by renaming, so that several processes may share the folder. A name holds the method, a
        fingerprint of both grids, and the tile.

    Yields
    ------
    tile : Tile
    weights : Weights
        From ``tile.rows`` and ``tile.columns`` of the source to ``tile.window`` of the target.

    Raises
    ------
    GridError
        ESMF is not there, or fails, or the method is not known.
    SourceError
        A kept file is damaged or not what it is named.
    """
    for tile in tiles(source, grid, window, method):
        yield tile, _tile_weights(source, grid, tile, method, cache)


def _tile_weights(source: Lattice, grid: GeoBox, tile: Tile, method: str, cache: Path | None) -> Weights:
    path = None if cache is None else Path(cache) / _file_name(source, grid, tile, method)
    if path is not None and path.exists():
        return read_weights(
            path, source_shape=tile.source_shape, target_shape=tile.window.shape, method=METHODS[method]
        )
    weights, centres = _make(source, grid, tile, method)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_weights(weights, path, centres=centres)
    return weights


def _file_name(source: Lattice, grid: GeoBox, tile: Tile, method: str) -> str:
    w = tile.window
    said = (
        _EDITION,
        [float(v).hex() for v in (source.y0, source.x0, source.dy, source.dx)],
        (source.rows, source.columns, source.crs),
        [float(v).hex() for v in grid.affine[:6]],
        (*map(int, grid.shape), str(grid.crs)),
        (tile.rows.start, tile.rows.stop, tile.columns.start, tile.columns.stop),
    )
    mark = hashlib.sha256(repr(said).encode()).hexdigest()[:16]
    return f"{METHODS[method]}_{mark}_{w.y0}-{w.y1}_{w.x0}-{w.x1}.nc"


def _make(
    source: Lattice, grid: GeoBox, tile: Tile, method: str
) -> tuple[Weights, dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    xesmf = probe()
    wide, inner = _widened(tile.window, grid)
    corners = method == "conservative"
    ours = (source.y0 - source.dy / 2, source.dy, source.x0 - source.dx / 2, source.dx)
    theirs = (grid.affine.f, grid.affine.e, grid.affine.c, grid.affine.a)
    ds_in = _grid_dataset(source.crs, ours, tile.rows, tile.columns, corners=corners)
    ds_out = _grid_dataset(str(grid.crs), theirs, *wide.slices, corners=corners)
    shape = wide.shape
    rows, columns, values = _call(xesmf, ds_in, ds_out, METHODS[method], tile)
    inside = np.zeros(shape, bool)
    inside[inner] = _on_the_source(source, grid, tile.window) if method == "nearest" else True
    # ESMF takes the nearest centre however far away it is
    kept = inside.ravel()[rows]
    rows, columns, values = rows[kept], columns[kept], values[kept]
    y, x = np.divmod(rows, shape[1])
    height, width = tile.window.shape
    weights = Weights.of(
        (y - inner[0].start) * width + (x - inner[1].start),
        columns,
        values,
        source_shape=tile.source_shape,
        target_shape=(height, width),
        method=METHODS[method],
    )
    lat, lon = _centres(ds_out)
    return weights, {"a": _centres(ds_in), "b": (lat[inner], lon[inner])}


def _call(
    xesmf: Any, ds_in: xr.Dataset, ds_out: xr.Dataset, method: str, tile: Tile
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    if any("mask" in ds and not ds["mask"].values.any() for ds in (ds_in, ds_out)):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing.astype(np.float64)
    # cells off the globe are masked, and may have collapsed to a line
    collapsed = {"ignore_degenerate": True} if "mask" in ds_in or "mask" in ds_out else {}
    try:
        with _LOCK:
            entries = xesmf.Regridder(ds_in, ds_out, method, periodic=False, unmapped_to_nan=False, **collapsed)
        matrix = entries.weights.data
        rows, columns = np.asarray(matrix.coords, np.int64)
        return rows, columns, np.asarray(matrix.data, np.float64)
    except Exception as error:
        w = tile.window
        raise GridError(
            f"engine: xesmf made no {method} weights for rows {w.y0} to {w.y1} and columns {w.x0} to {w.x1} of the "
            f"grid: {type(error).__name__}: {error}",
            f"ESMF says more in its *ESMF_LogFile; or {_DEFAULT}.",
        ) from error


def _widened(window: Window, grid: GeoBox) -> tuple[Window, tuple[slice, slice]]:
    # ESMF refuses a grid that is one cell wide: a neighbour is added, and its weights are left out
    def wide(low: int, high: int, size: int) -> tuple[int, int, slice]:
        if high - low > 1:
            return low, high, slice(0, high - low)
        return (low, high + 1, slice(0, 1)) if high < size or low == 0 else (low - 1, high, slice(1, 2))

    y0, y1, rows = wide(window.y0, window.y1, grid.shape[0])
    x0, x1, columns = wide(window.x0, window.x1, grid.shape[1])
    return Window(y0, y1, x0, x1), (rows, columns)


def _on_the_source(source: Lattice, grid: GeoBox, window: Window) -> NDArray[np.bool_]:
    at = positions(source, grid, window)
    rows, columns = (at.rows[:, None], at.columns[None, :]) if at.separable else (at.rows, at.columns)
    # a centre that falls on an edge belongs to the cell that begins there
    r, c = np.floor(rows + 0.5), np.floor(columns + 0.5)
    return np.asarray((r >= 0) & (r < source.rows) & (c >= 0) & (c < source.columns))


# --------------------------------------------------------------------------------------------------------------- grids


def _grid_dataset(
    crs: str, edges: tuple[float, float, float, float], rows: slice, columns: slice, *, corners: bool
) -> xr.Dataset:
    """Give what xESMF wants of a part of a grid: `lat`, `lon`, with `lat_b`, `lon_b` and with `mask` where needed.

    `edges` are the first edge and the step of rows and of columns. Coordinates are counted from the first edge of the
    whole grid, so that two tiles agree on the edge between them.
    """
    import xarray as xr

    y_edge, dy, x_edge, dx = edges
    j, i = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    y, x = y_edge + (j + 0.5) * dy, x_edge + (i + 0.5) * dx
    y_b, x_b = y_edge + np.append(j, rows.stop) * dy, x_edge + np.append(i, columns.stop) * dx
    if _counts_degrees(crs):
        ds = xr.Dataset(coords={"lat": ("lat", y), "lon": ("lon", x)})
        # the outermost cells of a grid of points reach beyond the poles
        return ds.assign_coords(lat_b=("lat_b", np.clip(y_b, -90, 90)), lon_b=("lon_b", x_b)) if corners else ds
    lat, lon, off = _geographic(crs, y, x, abs(dx))
    ds = xr.Dataset(coords={"lat": (("y", "x"), lat), "lon": (("y", "x"), lon)})
    if corners:
        lat_b, lon_b, off_b = _geographic(crs, y_b, x_b, abs(dx))
        off |= off_b[1:, 1:] | off_b[1:, :-1] | off_b[:-1, 1:] | off_b[:-1, :-1]
        ds = ds.assign_coords(lat_b=(("y_b", "x_b"), lat_b), lon_b=(("y_b", "x_b"), lon_b))
    if off.any():
        ds["mask"] = (("y", "x"), (~off).astype(np.int32))
    return ds


def _geographic(
    crs: str, y: NDArray[np.float64], x: NDArray[np.float64], step: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    # latitudes, longitudes, and what lies off the globe: PROJ wraps it round, so that it does not come back
    from pyproj import Transformer

    xx, yy = np.meshgrid(x, y)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(xx, yy)
    back_x, back_y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    with np.errstate(invalid="ignore"):
        on = (np.abs(lat) <= 90) & (np.abs(back_x - xx) < 0.1 * step) & (np.abs(back_y - yy) < 0.1 * step)
    return np.where(on, lat, 0.0), np.where(on, lon, 0.0), ~on


def _counts_degrees(crs: str) -> bool:
    from pyproj import CRS

    the = CRS.from_user_input(crs)
    wgs84 = the.ellipsoid is not None and abs(the.ellipsoid.semi_major_metre - 6378137.0) < 1e-3
    return bool(the.is_geographic and wgs84 and the.prime_meridian is not None and the.prime_meridian.longitude == 0)


def _centres(ds: xr.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lat, lon = ds["lat"].values, ds["lon"].values
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing="ij")
    return lat, lon


# ------------------------------------------------------------------------------------------------------------ applying


def regrid_window_esmf(
    data: NDArray[Any],
    source: Lattice,
    grid: GeoBox,
    window: Window,
    method: str = "bilinear",
    min_fraction: float = 0.5,
    *,
    origin: tuple[int, int] = (0, 0),
    cache: str | os.PathLike[str] | None = None,
) -> NDArray[np.float32]:
    """Bring an array on its native grid to one window of the target with ESMF's weights.

    Not run against a real ESMF by the tests (see the module's docstring).

    Parameters
    ----------
    data : numpy.ndarray
        Shape (..., rows, columns), real numbers; what is not finite is missing. The whole of `source`, or any part of
        it that holds `source_extent` of the window.
    source : Lattice
        The grid that `data` is a part of. It is in the names of the kept files: give the whole native grid, with
        `origin`, so that the windows and years of a run share them.
    grid : odc.geo.geobox.GeoBox
        The target grid.
    window : Window
        The rows and columns of it that are wanted.
    method : {"nearest", "bilinear", "conservative"}
        ``nearest`` is limited to target centres that lie on the source; ``bilinear`` gives nothing beyond the outermost
        source centres.
    min_fraction : float
        The least sum of weights of source cells that are not missing, from 0 to 1; the rest is renormalised. What the
        source does not cover of a target cell counts as missing (``conservative``).
    origin : tuple of int
        The row and the column of `source` where `data` begin.
    cache : path, optional
        A folder where the weights are kept, one ESMF file a tile; see `window_weights`.

    Returns
    -------
    numpy.ndarray
        Shape (..., rows, columns) of the window, float32, rounded once; NaN where too little is covered.

    Raises
    ------
    GridError
        xESMF or ESMF is not there (see `probe`) or fails, the method is not known, or `data` lack what the window
        needs.
    SourceError
        A kept weight file is damaged or not what it is named.
    """
    out = np.full((*data.shape[:-2], *window.shape), np.nan, np.float32)
    for tile, weights in window_weights(source, grid, window, method, cache=None if cache is None else Path(cache)):
        rows = slice(tile.rows.start - origin[0], tile.rows.stop - origin[0])
        columns = slice(tile.columns.start - origin[1], tile.columns.stop - origin[1])
        height, width = data.shape[-2:]
        if min(rows.start, columns.start) < 0 or rows.stop > height or columns.stop > width:
            raise GridError(
                f"The data hold source rows {origin[0]} to {origin[0] + height} and columns {origin[1]} to "
                f"{origin[1] + width}; the window needs rows {tile.rows.start} to {tile.rows.stop} and columns "
                f"{tile.columns.start} to {tile.columns.stop}.",
                "Cut the source with `source_extent`.",
            )
        w = tile.window
        out[..., w.y0 - window.y0 : w.y1 - window.y0, w.x0 - window.x0 : w.x1 - window.x0] = apply_weights(
            weights, data[..., rows, columns], min_fraction
        )
    return out
