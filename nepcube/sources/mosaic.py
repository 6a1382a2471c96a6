"""Tiles of one sinusoidal grid as one array in its native index space, decoded where it is read."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nepcube import spec
from nepcube.sources import files, hdf4

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TIFF_LOCK = threading.Lock()
FIELD, QC_FIELD = "Npp_500m", "Npp_QC_500m"
VALID = (-30000, 32700)
FIRST_CODE = 32761


@lru_cache(maxsize=1)
def _tables() -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    # value and flag of each of the 65,536 integers; the codes are masked before anything is scaled
    raw = np.arange(-32768, 32768)
    flag = np.zeros(raw.size, np.uint8)
    flag[(raw < VALID[0]) | (raw > VALID[1])] = 8
    for code in range(1, 8):
        flag[raw == FIRST_CODE + code - 1] = code
    value = (raw.astype(np.float32) / np.float32(10)).astype(np.float32)
    value[flag != 0] = np.nan
    return value, flag


class MosaicArray:
    """A lazy (time, y, x) array over a table of tiles.

    Parameters
    ----------
    table : dict
        ``(time, tile row, tile column) -> (path, path of the quality field or None)``; absent tiles are not covered.
    shape : tuple of int
    pixels : int
        Pixels of a tile a side.
    quantity : {"npp", "npp_flag"}
    max_qc : int, optional
        Cells with a larger percentage of filled days are rejected.
    barren_is_zero : bool
        Barren land has zero productivity rather than none.
    """

    dtypes: ClassVar[dict[str, Any]] = {"npp": np.dtype("float32"), "npp_flag": np.dtype("uint8")}

    def __init__(
        self,
        table: dict[tuple[int, int, int], tuple[str, str | None]],
        shape: tuple[int, int, int],
        pixels: int,
        quantity: str,
        max_qc: int | None,
        barren_is_zero: bool,
    ) -> None:
        self.table = table
        self.shape = shape
        self.ndim = 3
        self.dtype = self.dtypes[quantity]
        self.pixels = pixels
        self.quantity = quantity
        self.max_qc = max_qc
        self.barren_is_zero = barren_is_zero

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        (steps, rows, columns), take = files.windows_of(key, self.shape)
        fill: Any = np.nan if self.quantity == "npp" else spec.NOT_COVERED
        out = np.full((len(steps), len(rows), len(columns)), fill, self.dtype)
        for k, step in enumerate(steps):
            self._fill(out[k], step, rows, columns)
        return out[take]

    def _fill(self, out: NDArray[Any], step: int, rows: range, columns: range) -> None:
        n = self.pixels
        if not rows or not columns:
            return
        for i in range(rows[0] // n, rows[-1] // n + 1):
            for j in range(columns[0] // n, columns[-1] // n + 1):
                where = self.table.get((step, i, j))
                if where is None:
                    continue
                r0, r1 = max(rows[0], i * n), min(rows[-1] + 1, (i + 1) * n)
                c0, c1 = max(columns[0], j * n), min(columns[-1] + 1, (j + 1) * n)
                window = (slice(r0 - i * n, r1 - i * n), slice(c0 - j * n, c1 - j * n))
                target = (slice(r0 - rows[0], r1 - rows[0]), slice(c0 - columns[0], c1 - columns[0]))
                out[target] = self._decode(where, window)

    def _decode(self, where: tuple[str, str | None], window: tuple[slice, slice]) -> NDArray[Any]:
        path, qc_path = where
        values, flags = _tables()
        index = read_window(path, FIELD, window).astype(np.int32) + 32768
        flag = flags[index]
        if qc_path is not None and self.max_qc is not None:
            qc = read_window(qc_path, QC_FIELD, window)
            flag[(flag == 0) & (qc > self.max_qc)] = 9
        if self.quantity == "npp_flag":
            return flag
        value = values[index]
        value[flag != 0] = np.nan
        if self.barren_is_zero:
            value[flag == spec.BARREN] = 0.0
        return value


def read_window(path: str, field: str, window: tuple[slice, slice]) -> NDArray[Any]:
    """Read a window of one field of a tile as the integers that the file holds."""
    if files.kind(path) == "HDF4":
        return hdf4.read_field(path, field)[window]
    import rasterio
    from rasterio.errors import RasterioIOError
    from rasterio.windows import Window

    rows, columns = window
    try:
        with _TIFF_LOCK, rasterio.open(path) as file:
            shape = Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            out: NDArray[Any] = file.read(1, window=shape)
            return out
    except RasterioIOError as error:
        raise files.damaged(path, error) from None
