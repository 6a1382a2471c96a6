"""One band of a GeoTIFF as a window reads it: numbers as they are stored, and which of them are missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources import geotiff, tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Band:
    """A band of a file, its place and its coding; light enough to send to workers.

    `transform` is the six numbers a, b, c, d, e, f of GDAL, of which b and d are zero; `units` is nothing where the
    file names none; `nodata` are numbers that stand for missing beside what the file declares.
    """

    path: str
    number: int
    shape: tuple[int, int]
    transform: tuple[float, ...]
    wkt: str
    dtype: str
    units: str
    scale: float
    offset: float
    nodata: tuple[float, ...]

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers, neither scaled nor shifted."""
        return np.dtype(self.dtype).kind in "iu" and self.scale == 1.0 and self.offset == 0.0

    def read(self, rows: range, columns: range) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read a window: values, and where they are missing.

        Whole numbers come as they are stored, others as float64 with scale and offset applied. Nothing outside the
        window's blocks is read.

        Raises
        ------
        SourceError
            The file is damaged.
        """
        data, _, _ = tiff.read(self.path, (self.number,), rows, columns, masked=True)
        raw, missing = np.ma.getdata(data)[0], np.array(np.ma.getmaskarray(data)[0])
        for value in self.nodata:
            missing |= raw == (raw.dtype.type(value) if raw.dtype.kind == "f" else value)
        if self.whole:
            return raw, missing
        values = raw.astype(np.float64) * self.scale + self.offset
        missing |= np.isnan(values)
        return values, missing


def open_band(path: str, *, number: int = 1, nodata: Sequence[float] = ()) -> Band:
    """Read the header of a GeoTIFF and give one of its bands.

    Parameters
    ----------
    path : str
    number : int
        The band, from 1.
    nodata : sequence of float
        Numbers that stand for missing data as they are stored, beside what the file declares.

    Raises
    ------
    SourceError
        The file is missing, damaged, gzipped, rotated, without CRS, or has no such band.
    """
    header = geotiff.read_header(path)
    if header.gzipped:
        raise SourceError(
            f"{path}: is a gzipped TIFF, of which no part can be read alone.", "Unpack it first (gunzip)."
        )
    count, rows, columns = header.shape
    if not 1 <= number <= count:
        raise SourceError(f"{path}: it has {count} band(s), and no band {number}.", "Say which with `band:`, from 1.")
    at = number - 1
    return Band(
        path=path,
        number=number,
        shape=(rows, columns),
        transform=header.transform,
        # one object for all files, which is then sent once for all
        wkt=sys.intern(header.wkt),
        dtype=header.dtypes[at],
        units=header.units[at],
        scale=header.scales[at],
        offset=header.offsets[at],
        nodata=tuple(map(float, nodata)),
    )
