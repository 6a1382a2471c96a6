"""Sparse regridding weights, and how they are applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Shape = tuple[int, int]

#: xESMF's: a share that differs from none or from all by less is none or all (ESMF's rows sum to 1 within 1e-9)
TOLERANCE = 1e-6
#: the way out where weights do not fit
MAKE_ANEW = "Make the weights anew, or give the file that belongs to these grids."


@dataclass(frozen=True, eq=False)
class Weights:
    """The matrix that turns the cells of a source into those of a target; made with `Weights.of`.

    Attributes
    ----------
    rows, columns : numpy.ndarray of int64
        Target cell and source cell of each entry, counted from 0 in C order, sorted by row and then by column.
    values : numpy.ndarray of float64
        The weights. A target cell with none is not mapped.
    source_shape, target_shape : tuple of int
        Rows and columns of both grids.
    method : str
        xESMF's name of the method, or ``"unknown"``.
    fracs : numpy.ndarray of float64, optional
        ESMF's ``frac_b``: the share of each target cell that the source covers; None where it cannot be known.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    source_shape: Shape
    target_shape: Shape
    method: str
    fracs: NDArray[np.float64] | None

    @classmethod
    def of(
        cls,
        rows: ArrayLike,
        columns: ArrayLike,
        values: ArrayLike,
        *,
        source_shape: Shape,
        target_shape: Shape,
        method: str,
        fracs: ArrayLike | None = None,
    ) -> Weights:
        """Check the entries of a matrix and bring them into their order.

        Entries of weight zero are left out, and so are those that are NaN: xESMF marks with one that a target cell is
        not mapped. Entries that name the same two cells add up.

        Raises
        ------
        GridError
            The entries do not belong together or to grids of these shapes.
        """
        r, c = _indices(rows, "rows"), _indices(columns, "columns")
        v = np.asarray(values, np.float64)
        if not (r.ndim == c.ndim == v.ndim == 1 and r.size == c.size == v.size):
            raise GridError(
                f"The weights have {r.size} rows, {c.size} columns and {v.size} values.",
                "Each entry needs one of each.",
            )
        for shape, name in ((source_shape, "source"), (target_shape, "target")):
            if len(shape) != 2 or min(shape) < 1:
                raise GridError(f"{tuple(shape)} is not the shape of a {name} grid.", "Give its rows and columns.")
        _within(r, prod(target_shape), "target")
        _within(c, prod(source_shape), "source")
        if np.isinf(v).any():
            raise GridError("A weight is infinite.", MAKE_ANEW)
        kept = ~np.isnan(v) & (v != 0)
        r, c, v = r[kept], c[kept], v[kept]
        order = np.lexsort((c, r))
        r, c, v = r[order], c[order], v[order]
        source, target = (int(source_shape[0]), int(source_shape[1])), (int(target_shape[0]), int(target_shape[1]))
        f = _fracs_of(r, v, prod(target), method) if fracs is None else np.asarray(fracs, np.float64).ravel()
        if f is not None and f.size != prod(target):
            raise GridError(f"{f.size} fractions were given for {prod(target)} target cells.", MAKE_ANEW)
        return cls(r, c, v, source, target, method, f)

    @cached_property
    def matrix(self) -> Any:
        """The weights as scipy's CSR, entries in the order of `rows` and `columns`."""
        from scipy.sparse import csr_matrix

        starts = np.zeros(prod(self.target_shape) + 1, np.int64)
        np.cumsum(np.bincount(self.rows, minlength=starts.size - 1), out=starts[1:])
        shape = (prod(self.target_shape), prod(self.source_shape))
        return csr_matrix((self.values, self.columns, starts), shape=shape)

    @cached_property
    def mapped(self) -> NDArray[np.bool_]:
        """Whether each target cell has a weight, flat."""
        return np.asarray(np.diff(self.matrix.indptr) > 0)

    @cached_property
    def sums(self) -> NDArray[np.float64]:
        """The sum of the weights of each target cell, flat."""
        return np.asarray(self.matrix @ np.ones(prod(self.source_shape)), np.float64)


def apply_weights(weights: Weights, data: NDArray[Any], min_fraction: float | None = None) -> NDArray[np.float64]:
    """Bring values from the source grid to the target grid.

    Each layer is computed for itself, in float64 and in the order of the entries, so that a layer's result does not
    depend on the others.

    Parameters
    ----------
    weights : Weights
    data : numpy.ndarray
        Shape (..., rows, columns) of the source; what is not finite is missing.
    min_fraction : float, optional
        The least sum of weights of the cells that are not missing; the rest is renormalised. A target cell that the
        source covers in part counts as missing in part where the weights say so (``conservative``, not
        ``conservative_normed``). With None nothing is renormalised: the weighted sum itself, missing where one of the
        cells is missing (xESMF's ``skipna=False``), which keeps the integral of a partly covered cell.

    Returns
    -------
    numpy.ndarray
        Shape (..., rows, columns) of the target, float64, NaN where there is too little or no weight.

    Raises
    ------
    GridError
        The shape is not the source's, or `min_fraction` is no share.
    """
    if data.shape[-2:] != weights.source_shape:
        raise GridError(
            f"The data have {' x '.join(map(str, data.shape[-2:]))} cells, the weights are for a source of "
            f"{' x '.join(map(str, weights.source_shape))}.",
            MAKE_ANEW,
        )
    if min_fraction is not None and not 0 <= min_fraction <= 1:
        raise GridError(f"min_fraction: {min_fraction} is not a share.", "Give a number from 0 to 1.")
    layers = data.reshape(-1, prod(weights.source_shape))
    out = np.empty((layers.shape[0], prod(weights.target_shape)))
    for layer, result in zip(layers, out, strict=True):
        result[:] = _apply_to_one(weights, layer.astype(np.float64), min_fraction)
    return out.reshape(*data.shape[:-2], *weights.target_shape)


def _apply_to_one(weights: Weights, layer: NDArray[np.float64], min_fraction: float | None) -> NDArray[np.float64]:
    there = np.isfinite(layer)
    whole = bool(there.all())
    total = weights.matrix @ (layer if whole else np.where(there, layer, 0.0))
    # of ones this is the same sum as `sums`, to the last bit
    share = weights.sums if whole else weights.matrix @ there.astype(np.float64)
    if min_fraction is None:
        lost = ~weights.mapped if whole else ~weights.mapped | (weights.matrix.astype(bool) @ ~there)
        return np.asarray(np.where(lost, np.nan, total))
    enough = share >= np.clip(min_fraction, TOLERANCE, 1 - TOLERANCE)
    return np.asarray(np.divide(total, share, out=np.full(total.shape, np.nan), where=enough))


def _indices(given: ArrayLike, name: str) -> NDArray[np.int64]:
    array = np.asarray(given)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise GridError(f"The {name} of the weights are {array.dtype}, not whole numbers.", MAKE_ANEW)
    return array.astype(np.int64)


def _within(index: NDArray[np.int64], size: int, name: str) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise GridError(
            f"The weights name {name} cells {index.min()} to {index.max()}, the {name} has cells 0 to {size - 1}.",
            "Give the shapes that the weights were made for, and count from 0.",
        )


def _fracs_of(
    rows: NDArray[np.int64], values: NDArray[np.float64], size: int, method: str
) -> NDArray[np.float64] | None:
    if method == "conservative":
        return np.asarray(np.bincount(rows, values, minlength=size), np.float64)
    if method in ("bilinear", "nearest_s2d"):
        return (np.bincount(rows, minlength=size) > 0).astype(np.float64)
    # weights that are normed to one, or of a method that is not known, do not tell how much of a cell is covered
    return None
