"""The resampling engine `xesmf`: ESMF makes the weights, tile by tile; nepcube keeps and applies them.

ESMF is only to be had from conda. The tests run this module on a stand-in of xESMF (same arguments, weights by the test
itself) and compare the applying of weights with numbers that ESMF computed; they do not run a real ESMF.

It can be called from one thread alone and may take its process down, so it runs in a process of its own and hands its
weights over as files. Its cell edges are great circles, those of the default engine parallels and meridians.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError, NepcubeError
from nepcube.grid import Window
from nepcube.harmonise.esmf_grids import centres_of, grid_dataset
from nepcube.harmonise.positions import Lattice, positions
from nepcube.harmonise.tiles import DEFAULT, METHODS, Tile, source_extent, tiles
from nepcube.harmonise.weight_files import read_weights, write_weights
from nepcube.harmonise.weights import Weights, apply_weights
from nepcube.places import LocalPlace, Place, RemotePlace, place_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["METHODS", "probe", "regrid_window_esmf", "source_extent", "window_weights"]

# part of the name of a kept file: raised when the same grids and tile would give other weights
_EDITION = "nepcube esmf weights 1"

# one ESMF at a time: it takes a core and up to a gigabyte
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
            f"Install ESMF with conda (`conda env create -f environment.yml`; pip has no esmpy), or {DEFAULT}.",
        )
    what = f"engine: {name} does not load: {type(error).__name__}: {error}"
    if "ESMFMKFILE" in str(error):
        return what, (
            "Activate the conda environment, which sets ESMFMKFILE, or set ESMFMKFILE to the path of its lib/esmf.mk; "
            f"or {DEFAULT}."
        )
    return what, f"Mend the installation (`conda env create -f environment.yml` makes a fresh one), or {DEFAULT}."


# ------------------------------------------------------------------------------------------------------------- weights


def window_weights(
    source: Lattice, grid: GeoBox, window: Window, method: str, *, cache: str | os.PathLike[str] | Place | None = None
) -> Iterator[tuple[Tile, Weights]]:
    """Make the weights of one window of the target, tile by tile, so that memory does not grow with the window.

    What is missing is made by a process of its own, one at a time, and read from the weight files that it writes.

    Parameters
    ----------
    source : Lattice
        The source grid, of any CRS.
    grid : odc.geo.geobox.GeoBox
    window : Window
    method : {"nearest", "bilinear", "conservative"}
        ``conservative`` takes weights normed by the area of the target cell: their sum is the share of it that the
        source covers.
    cache : path or place, optional
        A folder for the weight files, in ESMF's format, here or in an object store. A file that is there is read, and
        ESMF is then not needed; one that is not is written whole, so that several processes may share the folder. A
        name holds the method, a fingerprint of both grids, and the tile. With None the files are made for this call
        alone.

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
    with tempfile.TemporaryDirectory(prefix="nepcube-") as room:
        kept = None if cache is None else place_of(cache)
        remote = kept if isinstance(kept, RemotePlace) else None
        folder = kept.path if isinstance(kept, LocalPlace) else Path(room)
        jobs = [(tile, folder / _file_name(source, grid, tile, method)) for tile in tiles(source, grid, window, method)]
        if remote is not None:
            for _, path in jobs:
                if (remote / path.name).exists():
                    (remote / path.name).download(path)
        if not all(path.exists() for _, path in jobs):
            folder.mkdir(parents=True, exist_ok=True)
            missing = [job for job in jobs if not job[1].exists()]
            with _LOCK:
                _run_apart(source, grid, method, missing, Path(room))
            if remote is not None:
                for _, path in missing:
                    (remote / path.name).upload(path)
        for tile, path in jobs:
            yield (
                tile,
                read_weights(
                    path, source_shape=tile.source_shape, target_shape=tile.window.shape, method=METHODS[method]
                ),
            )


def _run_apart(source: Lattice, grid: GeoBox, method: str, jobs: list[tuple[Tile, Path]], room: Path) -> None:
    (room / "asked").write_bytes(pickle.dumps((source, grid, method, jobs)))
    # it finds the modules that this process finds, and is spared a Ctrl-C, which is for this process to answer
    found = [str(Path(__file__).parents[2]), *(p for p in sys.path if p)]
    done = subprocess.run(
        [sys.executable, "-P", "-c", "from nepcube.harmonise import esmf; esmf._answer()", str(room)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(found)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        start_new_session=True,
    )
    refused = room / "refused"
    if refused.exists():
        raise GridError(*json.loads(refused.read_text(encoding="utf-8")))
    # ESMF may crash when its process ends, with all the work done
    if not all(path.exists() for _, path in jobs):
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise GridError(
            f"engine: the process that runs ESMF ended with {done.returncode}: {said[-1]}",
            f"Free memory or disk if it lacked some, or {DEFAULT}.",
        )


def _answer() -> None:
    """Do what the process that started this one asks for."""
    room = Path(sys.argv[1])
    try:
        _make_files(*pickle.loads((room / "asked").read_bytes()))
    except NepcubeError as error:
        (room / "refused").write_text(json.dumps([error.what, error.way_out]), encoding="utf-8")


def _make_files(source: Lattice, grid: GeoBox, method: str, jobs: list[tuple[Tile, Path]]) -> None:
    for tile, path in jobs:
        weights, centres = _make(source, grid, tile, method)
        write_weights(weights, path, centres=centres)


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
    ds_in = grid_dataset(source.crs, ours, tile.rows, tile.columns, corners=corners)
    ds_out = grid_dataset(str(grid.crs), theirs, *wide.slices, corners=corners)
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
    lat, lon = centres_of(ds_out)
    return weights, {"a": centres_of(ds_in), "b": (lat[inner], lon[inner])}


def _call(
    xesmf: Any, ds_in: xr.Dataset, ds_out: xr.Dataset, method: str, tile: Tile
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    if any("mask" in ds and not ds["mask"].values.any() for ds in (ds_in, ds_out)):
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing.astype(np.float64)
    # cells off the globe are masked, and may have collapsed to a line
    collapsed = {"ignore_degenerate": True} if "mask" in ds_in or "mask" in ds_out else {}
    try:
        entries = xesmf.Regridder(ds_in, ds_out, method, periodic=False, unmapped_to_nan=False, **collapsed)
        matrix = entries.weights.data
        rows, columns = np.asarray(matrix.coords, np.int64)
        return rows, columns, np.asarray(matrix.data, np.float64)
    except Exception as error:
        w = tile.window
        raise GridError(
            f"engine: xesmf made no {method} weights for rows {w.y0} to {w.y1} and columns {w.x0} to {w.x1} of the "
            f"grid: {type(error).__name__}: {error}",
            f"ESMF may have written more into an *ESMF_LogFile here; or {DEFAULT}.",
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
    cache: str | os.PathLike[str] | Place | None = None,
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
    for tile, weights in window_weights(source, grid, window, method, cache=None if cache is None else place_of(cache)):
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
