"""Classes of other rasters in the cells of the grid: majority or fractions of land cover, means of elevation or slope.

A cell is made of the pixels whose centre lies in it. A lattice that has no pixel centre in a cell, because it is as
coarse as the grid or coarser, gives it the pixel that holds the cell's centre. Lattices side by side make up a cell
together, each with its share of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nepcube.errors import RegionError
from nepcube.grid import Window
from nepcube.regions.lattices import Lattice, Placing
from nepcube.regions.seams import TOGETHER, Seam
from nepcube.regions.sums import exact

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

#: what a cell without a class is marked with
NO_CLASS = 255
#: classes that a map of bytes can tell apart
MOST = 254
# counts of pixels by cell and class that are held at once
_COUNTS = 2**21
# what no height, slope or density is: a number for missing cells that the file does not declare
_LARGEST = float(2**31)


@dataclass(frozen=True)
class Stratum:
    """One stratum of a recipe, its files opened.

    Attributes
    ----------
    name : str
    kind : {"categorical", "continuous"}
    lattices : tuple of tuple of Lattice
        One for a raster, two for the change between two years.
    labels : tuple of str
        The classes, in the order of their numbers.
    codes : tuple of int
        The codes of the files, rising: of a categorical raster.
    breaks : tuple of float
        The inner breaks of a continuous one; classes are [lower, upper).
    slope : bool
        Whether a continuous one is the slope of heights in m.
    min_fraction : float
        Share of a cell's pixels that must hold a value.
    fractions : bool
        Whether areas are shared out by the fraction of each class.
    most : bool
        Whether, of two lattices that lie one over the other, the one that covers more of a cell is taken.
    units : str
        Of the mean of a continuous one.
    """

    name: str
    kind: Literal["categorical", "continuous"]
    lattices: tuple[tuple[Lattice, ...], ...]
    labels: tuple[str, ...]
    codes: tuple[int, ...] = ()
    breaks: tuple[float, ...] = ()
    slope: bool = False
    min_fraction: float = 0.5
    fractions: bool = False
    most: bool = False
    units: str = ""

    @property
    def change(self) -> bool:
        """Whether the classes are pairs of those of two years."""
        return len(self.lattices) > 1

    @property
    def flags(self) -> dict[int, str]:
        """The number in the map of each class: its code where all fit, else its rank."""
        own = self.kind == "categorical" and not self.change and self.codes[0] >= 0 and self.codes[-1] <= MOST
        return dict(zip(self.codes if own else range(len(self.labels)), self.labels, strict=True))

    def near(self, grid: GeoBox, window: Window) -> Stratum:
        """Give the stratum with the files only that a window needs, so that it is light to send; its cells are equal.

        Parameters
        ----------
        grid : odc.geo.geobox.GeoBox
        window : Window

        Returns
        -------
        Stratum
            A lattice of which no file is near is left out.
        """
        near = [[lattice.near(grid, window) for lattice in year] for year in self.lattices]
        return replace(self, lattices=tuple(tuple(one for one in year if one is not None) for year in near))


@dataclass(frozen=True)
class Found:
    """A stratum in the cells of a window.

    `classes` (y, x) uint8 is the rank of each cell's class, 255 for none; `counts` (y, x, classes) the pixels of each
    class where fractions are asked for, or whole numbers in their ratio where lattices meet, all zero where there is no
    class; `mean` (y, x) float32 of a continuous one.
    """

    classes: NDArray[np.uint8]
    counts: NDArray[np.int64] | None = None
    mean: NDArray[np.float32] | None = None


def stratum_window(stratum: Stratum, grid: GeoBox, window: Window) -> Found:
    """Give a stratum in the cells of a window; equal to the slice of that of the whole grid.

    Parameters
    ----------
    stratum : Stratum
    grid : odc.geo.geobox.GeoBox
    window : Window

    Returns
    -------
    Found
        The class of most pixels of a cell, the smallest code of equals; or the class of the mean of its pixels, which
        counts as the float32 that is stored.

    Raises
    ------
    RegionError
        A code has no name, two files give one place two values, or a value is none.
    """
    parts = [_strip(stratum, grid, w) for w in _strips(window, max(len(stratum.codes), 2))]
    whole = Found(np.concatenate([p.classes for p in parts]))
    if parts[0].counts is not None:
        whole = Found(whole.classes, counts=np.concatenate([p.counts for p in parts if p.counts is not None]))
    if parts[0].mean is not None:
        whole = Found(whole.classes, mean=np.concatenate([p.mean for p in parts if p.mean is not None]))
    return whole


def _strips(window: Window, classes: int) -> Iterator[Window]:
    rows = max(1, _COUNTS // (window.shape[1] * classes))
    for y in range(window.y0, window.y1, rows):
        yield Window(y, min(y + rows, window.y1), window.x0, window.x1)


def _strip(stratum: Stratum, grid: GeoBox, window: Window) -> Found:
    if stratum.kind == "continuous":
        return _continuous(stratum, grid, window)
    found = [_categorical(stratum, grid, window, lattices) for lattices in stratum.lattices]
    if not stratum.change:
        return found[0]
    one, other = (f.classes for f in found)
    both = (one != NO_CLASS) & (other != NO_CLASS)
    pair = one.astype(np.int64) * len(stratum.codes) + other
    return Found(np.where(both, pair, NO_CLASS).astype(np.uint8))


def _categorical(stratum: Stratum, grid: GeoBox, window: Window, lattices: tuple[Lattice, ...]) -> Found:
    cells, k = window.shape[0] * window.shape[1], len(stratum.codes)
    # one lattice alone has no seam, and its counts of pixels take half the memory
    alone = len(lattices) == 1
    best = np.zeros((cells, k), np.int32 if alone else np.int64)
    choice, seam = _Choice(stratum, grid, window, cells), Seam(0 if alone else cells, k)
    for lattice in lattices:
        counted = _count(stratum, lattice, Placing(grid, window, lattice), cells)
        if counted is None:
            continue
        counts, expected = counted
        valid = counts.sum(axis=1)

        def differ(mine: Any, counts: Any = counts, valid: Any = valid) -> NDArray[np.bool_]:
            if stratum.fractions:
                theirs = best[mine].sum(axis=1)
                return np.asarray((counts[mine] * theirs[:, None] != best[mine] * valid[mine][:, None]).any(axis=1))
            return np.asarray(counts[mine].argmax(axis=1) != best[mine].argmax(axis=1))

        taken = choice.take(lattice, valid, expected, differ)
        best[taken] = counts[taken]
        if not alone:
            seam.add(counts, expected)
    joined, share = seam.joined()
    best[joined], choice.share[joined] = seam.of(joined), share
    known = choice.share >= stratum.min_fraction
    best[~known] = 0
    # the first of equals is the smallest code
    classes = np.where(known, best.argmax(axis=1), NO_CLASS).astype(np.uint8).reshape(window.shape)
    return Found(classes, counts=best.astype(np.int64).reshape(*window.shape, k) if stratum.fractions else None)


def _count(stratum: Stratum, lattice: Lattice, placing: Placing, cells: int) -> tuple[Any, Any] | None:
    from nepcube.regions import _pixels

    codes = np.array(stratum.codes, np.int64)
    counts, expected = np.zeros((cells, codes.size), np.int32), np.zeros(cells, np.int32)
    for rows, columns in placing.pieces():
        at = placing.cells(rows, columns)
        if not (at >= 0).any():
            continue
        values, missing = lattice.read(rows, columns)
        _pixels.count_classes(at, _ranks(stratum, lattice, codes, values, missing | (at < 0)), counts, expected)

    def put(number: Any, values: Any, missing: Any) -> None:
        rank = _ranks(stratum, lattice, codes, values[None], missing[None])[0]
        expected[number] = 1
        there = rank != NO_CLASS
        counts[number[there], rank[there]] = 1

    _fill(placing, expected == 0, lattice.read, put)
    return (counts, expected) if expected.any() else None


def _ranks(stratum: Stratum, lattice: Lattice, codes: Any, values: Any, missing: Any) -> NDArray[np.uint8]:
    rank = np.searchsorted(codes, values)
    np.minimum(rank, codes.size - 1, out=rank)
    unknown = (codes[rank] != values) & ~missing
    if unknown.any():
        from nepcube.regions.checks import unnamed

        raise unnamed(stratum.name, lattice, sorted({int(v) for v in np.unique(values[unknown])}))
    rank[missing] = NO_CLASS
    return np.asarray(rank, np.uint8)


def _fill(placing: Placing, wanted: Any, read: Callable[..., Any], put: Callable[..., None]) -> None:
    # cells in which no pixel has its centre take the pixel that holds theirs
    if not wanted.any():
        return
    number, rows, columns = placing.centres(wanted)
    order = np.argsort(rows, kind="stable")
    number, rows, columns = number[order], rows[order], columns[order]
    start = 0
    while start < number.size:
        # as many rows of the lattice at once as there may be cells; few pixels lie between those that are wanted
        stop = int(np.searchsorted(rows, rows[start] + 64))
        for c in np.unique(columns[start:stop] // 4096):
            here = slice(start, stop)
            mine = columns[here] // 4096 == c
            r, q, n = rows[here][mine], columns[here][mine], number[here][mine]
            values, missing = read(range(int(r.min()), int(r.max()) + 1), range(int(q.min()), int(q.max()) + 1))
            i, j = r - r.min(), q - q.min()
            put(n, values[i, j], missing[i, j])
        start = stop


def _continuous(stratum: Stratum, grid: GeoBox, window: Window) -> Found:
    cells = window.shape[0] * window.shape[1]
    alone = len(stratum.lattices[0]) == 1
    best, parts = np.full(cells, np.nan), np.zeros(0 if alone else cells)
    choice, seam = _Choice(stratum, grid, window, cells), Seam(parts.size, 1)
    for lattice in stratum.lattices[0]:
        summed = _sum(stratum, lattice, Placing(grid, window, lattice), cells)
        if summed is None:
            continue
        total, valid, expected = summed
        with np.errstate(invalid="ignore"):
            mean = np.where(valid > 0, total / valid, np.nan)

        def differ(mine: Any, mean: Any = mean) -> NDArray[np.bool_]:
            return np.asarray(mean[mine].astype(np.float32) != best[mine].astype(np.float32))

        taken = choice.take(lattice, valid, expected, differ)
        best[taken] = mean[taken]
        if not alone:
            # always in the order of the lattices
            parts += np.where(valid > 0, total / np.maximum(expected, 1), 0.0)
            seam.add(valid[:, None], expected)
    joined, share = seam.joined()
    best[joined], choice.share[joined] = parts[joined] / share, share
    best[choice.share < stratum.min_fraction] = np.nan
    stored = best.astype(np.float32).reshape(window.shape)
    classes = np.searchsorted(np.array(stratum.breaks), stored.astype(np.float64), side="right")
    return Found(np.where(np.isnan(stored), NO_CLASS, classes).astype(np.uint8), mean=stored)


def _sum(stratum: Stratum, lattice: Lattice, placing: Placing, cells: int) -> tuple[Any, Any, Any] | None:
    from nepcube.regions import _pixels

    sums, counts = np.zeros((cells, 2), np.int64), np.zeros(cells, np.int32)
    expected = np.zeros(cells, np.int32)

    def read(rows: range, columns: range) -> tuple[Any, Any]:
        if stratum.slope:
            from nepcube.regions.relief import slope_of

            return slope_of(lattice, rows, columns)
        values, missing = lattice.read(rows, columns)
        return np.ascontiguousarray(values, np.float64), missing

    def checked(values: Any, there: Any) -> None:
        wrong = there & ~(np.abs(values) < _LARGEST)
        if wrong.any():
            raise RegionError(
                f"{lattice.files[0].sheet.path}: strata.{stratum.name}: it holds {values[wrong][0]:g}.",
                "Say its missing value with `nodata:` beside its `path:`.",
            )

    for rows, columns in placing.pieces():
        at = placing.cells(rows, columns)
        if (at >= 0).any():
            values, missing = read(rows, columns)
            checked(values, ~missing & (at >= 0))
            _pixels.sum_values(at, values, missing, sums, counts, expected)

    def put(number: Any, values: Any, missing: Any) -> None:
        checked(values, ~missing)
        at = number.astype(np.int32)[None]
        _pixels.sum_values(at, np.ascontiguousarray(values[None]), missing[None], sums, counts, expected)

    _fill(placing, expected == 0, read, put)
    if not expected.any():
        return None
    return exact(sums), counts, expected


class _Choice:
    # which lattice a cell takes where they lie one over the other: the one that covers most of it; two that differ are
    # refused

    def __init__(self, stratum: Stratum, grid: GeoBox, window: Window, cells: int) -> None:
        self.stratum, self.grid, self.window = stratum, grid, window
        self.share = np.zeros(cells)
        self.of = np.full(cells, -1, np.int32)
        self.seen: list[Lattice] = []

    def take(self, lattice: Lattice, valid: Any, expected: Any, differ: Callable[[Any], Any]) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore"):
            share = np.where(expected > 0, valid / np.maximum(expected, 1), 0.0)
        least = self.stratum.min_fraction
        mine = (share >= least) & (self.share >= least) & (share + self.share > TOGETHER)
        if mine.any() and not self.stratum.most:
            wrong = np.flatnonzero(mine)[differ(mine)]
            if wrong.size:
                self._refuse(lattice, int(wrong[0]))
        taken = np.asarray(share > self.share)
        self.share[taken] = share[taken]
        self.of[taken] = len(self.seen)
        self.seen.append(lattice)
        return taken

    def _refuse(self, lattice: Lattice, cell: int) -> None:
        from nepcube.grid import coordinates

        y, x = coordinates(self.grid)
        i, j = divmod(cell, self.window.shape[1])
        one = self.seen[self.of[cell]].files[0].sheet.path
        raise RegionError(
            f"strata.{self.stratum.name}: {lattice.files[0].sheet.path} and {one} give the cell at x "
            f"{x[self.window.x0 + j]:.8g}, y {y[self.window.y0 + i]:.8g} two different values.",
            "Remove one of the two, or say `overlapping: most`: the cell then takes the files that cover more of it.",
        )
