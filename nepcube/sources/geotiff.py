"""GeoTIFF, plain, cloud-optimised or gzipped, on regular axes: bands of many files as one lazy array."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources import tiff
from nepcube.sources.files import border, damaged, windows_of
from nepcube.sources.tiff import Header

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from nepcube.sources.limits import Rules

_CHUNK_CELLS = 4 * 2**20
# the land surface at 30 m has 1.3 million columns
_LONGEST = 5_000_000
_NO_PLACE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Sheet:
    """One band of one file, and the time at which its step begins."""

    header: Header
    band: int
    start: np.datetime64


def read_header(path: str) -> Header:
    """Read the header of a GeoTIFF that has numbers and a place on regular axes.

    Raises
    ------
    SourceError
        The file is no GeoTIFF, is damaged or cut off, is rotated or has no CRS.
    """
    header = tiff.read_header(path)
    shape = header.shape
    if max(shape) > _LONGEST or min(shape) < 1:
        raise damaged(path, ValueError(f"{shape[1]} rows and {shape[2]} columns"))
    if any(np.dtype(d).kind not in "iuf" for d in header.dtypes):
        raise SourceError(f"{path}: holds {header.dtypes[0]}, not numbers.", "Use a raster of whole or real numbers.")
    a, b, c, d, e, f = header.transform
    if not header.wkt or header.transform == _NO_PLACE:
        raise SourceError(
            f"{path}: has no coordinate reference system, or no place in it.",
            "Use the file as the provider made it, or write it with `gdal_edit.py -a_srs -a_ullr`.",
        )
    with border(path):
        _require_crs(header.wkt)
    if b or d or not (a and e) or not np.isfinite(header.transform).all():
        raise SourceError(f"{path}: its rows and columns are rotated against its CRS.", "Warp it first.")
    if header.geographic:
        y, x = (f, f + e * shape[1]), (c, c + a * shape[2])
        if max(map(abs, y)) > 90 + abs(e) or max(map(abs, x)) > 360 + abs(a) or abs(x[1] - x[0]) > 360 + 2 * abs(a):
            raise SourceError(
                f"{path}: its corners ({x[0]:.6g}, {y[0]:.6g}) and ({x[1]:.6g}, {y[1]:.6g}) are not on the globe.",
                "Check its CRS, and download the file again.",
            )
    return header


@lru_cache(maxsize=64)
def _require_crs(wkt: str) -> None:
    # GDAL's projections are not all pyproj's: a damaged name of one may be read by the first alone
    from pyproj import CRS

    CRS.from_wkt(wkt)


def axes_of(header: Header) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the centres of rows and of columns."""
    a, _, c, _, e, f = header.transform
    rows, columns = np.arange(header.shape[1], dtype=np.float64), np.arange(header.shape[2], dtype=np.float64)
    return np.asarray(f + (rows + 0.5) * e), np.asarray(c + (columns + 0.5) * a)


def dims_of(header: Header) -> tuple[str, str]:
    """Name the dimensions of rows and of columns."""
    return ("latitude", "longitude") if header.geographic else ("y", "x")


class SheetArray:
    """A lazy (time, row, column) array over bands of files: float32, scale and offset applied, nodata is NaN.

    Parameters
    ----------
    sheets : sequence of (path, band from 1, whether gzipped)
    shape : tuple of int
    nodata : tuple of float
        Numbers that stand for missing data as they are stored, beside what the files declare.
    rules : Rules, optional
        What the values may be.
    """

    def __init__(
        self,
        sheets: Sequence[tuple[str, int, bool]],
        shape: tuple[int, int, int],
        nodata: tuple[float, ...] = (),
        rules: Rules | None = None,
    ) -> None:
        self.sheets = tuple(sheets)
        self.shape = shape
        self.ndim = 3
        self.dtype = np.dtype("float32")
        self.nodata = nodata
        self.rules = rules

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        (steps, rows, columns), take = windows_of(key, self.shape)
        out = np.empty((len(steps), len(rows), len(columns)), self.dtype)
        if not out.size:
            return out[take]
        at = 0
        for (path, gzipped), several in groupby((self.sheets[k] for k in steps), lambda s: (s[0], s[2])):
            bands = [band for _, band, _ in several]
            values = _read(path, gzipped, bands, rows, columns, self.nodata)
            out[at : at + len(bands)] = values if self.rules is None else self.rules.apply(values, path)
            at += len(bands)
        return out[take]


def _read(
    path: str, gzipped: bool, bands: list[int], rows: range, columns: range, nodata: tuple[float, ...]
) -> NDArray[np.float32]:
    data, scales, offsets = tiff.read(path, bands, rows, columns, gzipped=gzipped, masked=True)
    missing, raw = np.ma.getmaskarray(data), np.ma.getdata(data)
    for number in nodata:
        missing = missing | (raw == _as_stored(number, raw.dtype))
    if (scales != 1).any() or (offsets != 0).any():
        raw = raw.astype(np.float64) * scales[:, None, None] + offsets[:, None, None]
    with np.errstate(over="ignore", invalid="ignore"):
        out: NDArray[np.float32] = raw.astype(np.float32)
    out[missing] = np.nan
    return out


def _as_stored(number: float, dtype: np.dtype[Any]) -> Any:
    # -99.9 in float32 is not -99.9 in float64
    return dtype.type(number) if dtype.kind == "f" else number


def chunk_shape(rows: int, columns: int, block: tuple[int, int]) -> tuple[int, int]:
    """Give the rows and columns of a chunk: whole blocks of the file, about 16 MB of float32."""
    height, width = min(block[0], rows), min(block[1], columns)
    if width < columns:
        side = int(_CHUNK_CELLS**0.5)
        width = min(columns, width * max(1, side // width))
    height = min(rows, height * max(1, _CHUNK_CELLS // (height * width)))
    return height, width


def lazy(sheets: Sequence[Sheet], nodata: tuple[float, ...] = (), rules: Rules | None = None) -> Any:
    """Give the bands of some files of one grid as one dask array (time, row, column)."""
    import dask.array as da

    first = sheets[0].header
    _, rows, columns = first.shape
    shape = (len(sheets), rows, columns)
    # a gzipped file is decompressed for each of its chunks, so that it has one
    inner = (rows, columns) if any(s.header.gzipped for s in sheets) else chunk_shape(rows, columns, first.block)
    return da.from_array(
        SheetArray([(s.header.path, s.band, s.header.gzipped) for s in sheets], shape, nodata, rules),
        chunks=(1, *inner),
        name=False,
        # one object in the graph, however many files it names
        inline_array=False,
        meta=np.empty((0, 0, 0), np.float32),
    )


def stack(sheets: Sequence[Sheet], name: str, nodata: tuple[float, ...] = (), rules: Rules | None = None) -> xr.Dataset:
    """Put bands of files of one grid one after the other along time, in its order.

    Raises
    ------
    SourceError
        The files are on different grids.
    """
    import xarray as xr

    ordered = sorted(sheets, key=lambda s: s.start)
    first = ordered[0].header
    for other in ordered[1:]:
        require_same_grid(first, other.header)
    dy, dx = dims_of(first)
    y, x = axes_of(first)
    return xr.Dataset(
        {name: (("time", dy, dx), lazy(ordered, nodata, rules))},
        coords={"time": np.array([s.start for s in ordered], "datetime64[ns]"), dy: (dy, y), dx: (dx, x)},
    )


def require_same_grid(one: Header, other: Header) -> None:
    """Refuse a file whose grid is another than that of the first.

    Raises
    ------
    SourceError
    """
    if other is one:
        return
    what = ""
    if other.wkt != one.wkt:
        what = "CRS"
    else:
        for k, axis in enumerate(dims_of(one), start=1):
            n, step, origin = one.shape[k], (4, 0)[k - 1], (5, 2)[k - 1]
            apart = abs(other.transform[origin] - one.transform[origin])
            stretch = abs(other.transform[step] - one.transform[step]) * n
            if other.shape[k] != n or apart + stretch > 1e-3 * abs(one.transform[step]):
                what = axis
                break
    if what:
        raise SourceError(
            f"{other.path}: its {what} differs from that of {os.path.basename(one.path)}.",
            "Use files of one grid and one area.",
        )
