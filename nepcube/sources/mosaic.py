"""Rectangles of cells from many files as one lazy array in the index space of their lattice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from nepcube import spec
from nepcube.sources import coding, files, hdf4, hdf5eos, rasters
from nepcube.sources.coding import Coding
from nepcube.sources.lattice import Rectangle

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Layer:
    """One field of one year in a file.

    Attributes
    ----------
    path : str
    name : str
        The name of an HDF4 field, or the place of an HDF5 dataset; nothing for a raster.
    index : int
        The band of a raster (from 1), or the step of a dataset that has a time axis (from 0); -1 where there is none.
    coding : Coding
    """

    path: str
    name: str = ""
    index: int = -1
    coding: Coding = field(default_factory=Coding)

    def read(self, window: tuple[slice, slice]) -> NDArray[Any]:
        """Read a window as the numbers that the file holds."""
        return read_window(self.path, self.name, window, index=self.index)


@dataclass(frozen=True)
class Part:
    """The cells that one file gives of one year, counted from the corner of the mosaic."""

    at: Rectangle
    npp: Layer
    quality: Layer | None = None


class MosaicArray:
    """A lazy (time, y, x) array over a table of parts.

    Parameters
    ----------
    table : dict
        The parts of each step along time; cells that no part covers are not covered.
    shape : tuple of int
    quantity : {"npp", "npp_flag"}
    max_qc : int, optional
        Cells with a larger percentage of filled days are rejected.
    barren_is_zero : bool
        Barren land has zero productivity rather than none.
    """

    dtypes: ClassVar[dict[str, Any]] = {"npp": np.dtype("float32"), "npp_flag": np.dtype("uint8")}

    def __init__(
        self,
        table: dict[int, tuple[Part, ...]],
        shape: tuple[int, int, int],
        quantity: str,
        max_qc: int | None,
        barren_is_zero: bool,
    ) -> None:
        self.table = table
        self.shape = shape
        self.ndim = 3
        self.dtype = self.dtypes[quantity]
        self.quantity = quantity
        self.max_qc = max_qc
        self.barren_is_zero = barren_is_zero

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        (steps, rows, columns), take = files.windows_of(key, self.shape)
        if len(steps) == 1 and rows and columns:
            for part in self.table.get(steps[0], ()):
                at = part.at
                if at.holds(rows, columns):
                    # no cell is left to fill, so nothing is made to be filled
                    window = (
                        slice(rows[0] - at.row, rows[-1] + 1 - at.row),
                        slice(columns[0] - at.column, columns[-1] + 1 - at.column),
                    )
                    return np.asarray(self._decode(part, window)[None][take])
        fill: Any = np.nan if self.quantity == "npp" else spec.NOT_COVERED
        out = np.full((len(steps), len(rows), len(columns)), fill, self.dtype)
        if rows and columns:
            for k, step in enumerate(steps):
                for part in self.table.get(step, ()):
                    self._fill(out[k], part, rows, columns)
        return out[take]

    def _fill(self, out: NDArray[Any], part: Part, rows: range, columns: range) -> None:
        at = part.at
        r0, r1 = max(rows[0], at.row), min(rows[-1] + 1, at.row + at.rows)
        c0, c1 = max(columns[0], at.column), min(columns[-1] + 1, at.column + at.columns)
        if r0 >= r1 or c0 >= c1:
            return
        window = (slice(r0 - at.row, r1 - at.row), slice(c0 - at.column, c1 - at.column))
        target = (slice(r0 - rows[0], r1 - rows[0]), slice(c0 - columns[0], c1 - columns[0]))
        out[target] = self._decode(part, window)

    def _decode(self, part: Part, window: tuple[slice, slice]) -> NDArray[Any]:
        raw = coding.to_raw(part.npp.read(window), part.npp.coding, part.npp.path)
        quality = None
        if part.quality is not None and self.max_qc is not None:
            quality = part.quality.read(window)
        flag, odd = coding.flags_of(raw, quality, self.max_qc)
        if self.quantity == "npp_flag":
            return flag
        return coding.values_of(raw, flag, odd, self.barren_is_zero)


def read_window(path: str, field: str, window: tuple[slice, slice], *, index: int = -1) -> NDArray[Any]:
    """Read a window of one field of a file as the numbers that it holds; see `Layer`."""
    kind = files.kind(path)
    if kind == "HDF4":
        return hdf4.read_field(path, field)[window]
    if kind == "HDF5":
        return hdf5eos.read_window(path, field, window if index < 0 else (index, *window))
    return rasters.read_window(path, max(index, 1), window)
