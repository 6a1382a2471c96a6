"""GeoTIFFs as the numbers that they hold: the header, and windows of a band, neither masked nor scaled."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nepcube.errors import NepcubeError, SourceError
from nepcube.sources.files import damaged, require
from nepcube.sources.kept import Kept
from nepcube.sources.lattice import Footprint, Lattice, crs_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = Kept(8)


@dataclass(frozen=True)
class TiffHeader:
    """What a GeoTIFF says of itself.

    `foot` is None where its CRS is neither geographic nor the MODIS sinusoidal one, `crs` is how to call that.
    """

    foot: Footprint | None
    crs: str
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    names: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]


def read_header(path: str) -> TiffHeader:
    """Read georeference and bands; that every block lies within the file is checked, so that a cut one is found here.

    Raises
    ------
    SourceError
        The file is no TIFF, is damaged, or is not north up.
    """
    require(path, "TIFF")
    import rasterio

    # GDAL's faults arrive as several classes, and damaged text or projections as ValueErrors
    try:
        with rasterio.open(path, driver="GTiff") as file:
            _require_whole(file, path)
            transform, wkt = file.transform, file.crs.to_wkt() if file.crs else ""
            rows, columns = file.shape
            header = TiffHeader(
                None,
                "none",
                tuple(str(d) for d in file.dtypes),
                tuple(None if n is None else float(n) for n in file.nodatavals),
                tuple(d or "" for d in file.descriptions),
                tuple(float(s) for s in file.scales),
                tuple(float(o) for o in file.offsets),
            )
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
    if not wkt:
        return header
    crs, by_name, called = crs_of(wkt)
    if crs is None:
        return _with(header, None, called)
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise SourceError(
            f"{path}: its rows do not run from north to south along the axes of its projection.",
            "Use the file as the provider made it.",
        )
    foot = Footprint(crs, transform.c, transform.f, transform.a, -transform.e, rows, columns)
    # the name of a projection is believed where its cells are those of the MODIS grid
    if by_name and not Lattice.of(foot).is_modis:
        return _with(header, None, called)
    return _with(header, foot, called)


def _with(header: TiffHeader, foot: Footprint | None, crs: str) -> TiffHeader:
    return TiffHeader(foot, crs, header.dtypes, header.nodata, header.names, header.scales, header.offsets)


def _require_whole(file: Any, path: str) -> None:
    # where GDAL finds no block, or none of a size, it gives nodata without a word
    size = os.path.getsize(path)
    interleaved = str(file.interleaving.value if file.interleaving else "").upper() == "PIXEL"
    for band in range(1, 2 if interleaved else file.count + 1):
        height, width = file.block_shapes[band - 1]
        for y in range(-(-file.height // height)):
            for x in range(-(-file.width // width)):
                offset, length = (
                    file.get_tag_item(f"BLOCK_{k}_{x}_{y}", "TIFF", bidx=band) for k in ("OFFSET", "SIZE")
                )
                if offset is None or length is None or int(length) <= 0:
                    raise damaged(path, EOFError(f"block {x}, {y} of band {band} holds nothing"))
                if int(offset) + int(length) > size:
                    raise damaged(path, EOFError(f"{int(offset) + int(length) - size} bytes are missing at its end"))


def read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    """Read a window of a band, which counts from 1, as the numbers that the file holds.

    Raises
    ------
    SourceError
        The file is damaged.
    """
    spans = tuple((w.start, w.stop) for w in window)
    return _KEPT.get((path, band, spans, os.stat(path).st_mtime_ns), lambda: _read_window(path, band, window))


def _read_window(path: str, band: int, window: tuple[slice, slice]) -> NDArray[Any]:
    import rasterio
    from rasterio.windows import Window

    rows, columns = window
    shape = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
    # each read has a handle of its own, which is what GDAL asks of threads
    try:
        with rasterio.open(path, driver="GTiff") as file:
            out: NDArray[Any] = file.read(band, window=shape)
    except Exception as error:
        raise damaged(path, error) from None
    return out
