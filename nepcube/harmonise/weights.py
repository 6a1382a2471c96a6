"""Sparse regridding weights and the ESMF weight file: written, read and applied without ESMF.

A weight file is NetCDF with one entry of the matrix along ``n_s``: ``S`` the weight, ``row`` the target cell and
``col`` the source cell, both counted from 1 in C order (longitude runs fastest). ESMF_RegridWeightGen adds the
dimensions ``n_a`` and ``n_b``, ``src_grid_dims`` and ``dst_grid_dims`` (fastest first) and ``frac_b``; xESMF writes
none of these.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError, NepcubeError, SourceError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Shape = tuple[int, int]

#: xESMF's names beside ESMF's own (attributes ESMF_regrid_method, map_method and normalization of a weight file)
METHODS = {
    "bilinear": ("Bilinear", "Bilinear remapping", "none"),
    "nearest_s2d": ("Nearest source to destination", "Bilinear remapping", "none"),
    "conservative": ("First-order Conservative", "Conservative remapping", "destarea"),
    "conservative_normed": ("First-order Conservative", "Conservative remapping", "fracarea"),
}
UNKNOWN = "unknown"

#: xESMF's: a share that differs from none or from all by less is none or all (ESMF's rows sum to 1 within 1e-9)
TOLERANCE = 1e-6
_LARGEST = np.iinfo(np.int32).max
_MAKE_ANEW = "Make the weights anew, or give the file that belongs to these grids."


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
            raise GridError("A weight is infinite.", _MAKE_ANEW)
        kept = ~np.isnan(v) & (v != 0)
        r, c, v = r[kept], c[kept], v[kept]
        order = np.lexsort((c, r))
        r, c, v = r[order], c[order], v[order]
        source, target = (int(source_shape[0]), int(source_shape[1])), (int(target_shape[0]), int(target_shape[1]))
        f = _fracs_of(r, v, prod(target), method) if fracs is None else np.asarray(fracs, np.float64).ravel()
        if f is not None and f.size != prod(target):
            raise GridError(f"{f.size} fractions were given for {prod(target)} target cells.", _MAKE_ANEW)
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
            _MAKE_ANEW,
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
        raise GridError(f"The {name} of the weights are {array.dtype}, not whole numbers.", _MAKE_ANEW)
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


# --------------------------------------------------------------------------------------------------------------- files


def write_weights(
    weights: Weights,
    path: str | os.PathLike[str],
    *,
    centres: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]] | None = None,
) -> None:
    """Write an ESMF weight file: NetCDF-4, whole or not at all.

    Parameters
    ----------
    weights : Weights
    path : path
        An existing file is replaced. The folder must exist.
    centres : mapping, optional
        Latitudes and longitudes of the cell centres in degrees, of the shapes of the grids: ``a`` the source's, ``b``
        the target's. Programs that map a whole file need them; applying the weights does not.

    Raises
    ------
    GridError
        A grid has more cells than the format can count.
    """
    import h5netcdf

    path = Path(path)
    sizes = {"n_a": prod(weights.source_shape), "n_b": prod(weights.target_shape), "n_s": weights.values.size}
    if max(sizes.values()) > _LARGEST:
        raise GridError(
            f"{path}: a grid of {max(sizes.values())} cells is more than a weight file can count.", "Cut it into tiles."
        )
    regrid_method, map_method, normalization = METHODS.get(weights.method, (weights.method, weights.method, "none"))
    part = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    try:
        with h5netcdf.File(part, "w") as file:
            file.attrs.update(
                title="ESMF regridding weights",
                normalization=normalization,
                map_method=map_method,
                ESMF_regrid_method=regrid_method,
                conventions="NCAR-CSM",
            )
            file.dimensions = {**sizes, "src_grid_rank": 2, "dst_grid_rank": 2}

            def put(name: str, dim: str, data: Any, dtype: str, **attrs: str) -> None:
                array = np.asarray(data, dtype)
                packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.size > 64 else {}
                file.create_variable(name, (dim,), dtype, data=array, **packed).attrs.update(attrs)

            put("src_grid_dims", "src_grid_rank", weights.source_shape[::-1], "i4")
            put("dst_grid_dims", "dst_grid_rank", weights.target_shape[::-1], "i4")
            for side, (latitudes, longitudes) in (centres or {}).items():
                put(f"yc_{side}", f"n_{side}", np.ravel(latitudes), "f8", units="degrees")
                put(f"xc_{side}", f"n_{side}", np.ravel(longitudes), "f8", units="degrees")
            if weights.fracs is not None:
                put("frac_b", "n_b", weights.fracs, "f8", units="unitless")
            put("col", "n_s", weights.columns + 1, "i4")
            put("row", "n_s", weights.rows + 1, "i4")
            put("S", "n_s", weights.values, "f8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_weights(
    path: str | os.PathLike[str],
    *,
    source_shape: Shape | None = None,
    target_shape: Shape | None = None,
    method: str | None = None,
) -> Weights:
    """Read an ESMF weight file, complete or as xESMF writes it.

    Parameters
    ----------
    path : path
        NetCDF-4 or classic NetCDF with `S`, `row` and `col`.
    source_shape, target_shape : tuple of int, optional
        Rows and columns of the grids. They must be given where the file does not tell them, and must agree with it
        where it does.
    method : str, optional
        xESMF's name of the method, for a file that does not tell it.

    Returns
    -------
    Weights

    Raises
    ------
    SourceError
        The file is missing, damaged or no weight file, or does not belong to the shapes.
    """
    path = Path(path)
    held, sizes, attrs = _contents(path)
    lacking = [name for name in ("S", "row", "col") if name not in held]
    if lacking:
        raise SourceError(
            f"{path}: no ESMF weight file, it has no {', '.join(lacking)}.",
            "A weight file holds S, row and col, as ESMF_RegridWeightGen and xESMF write them.",
        )
    shapes = [
        _shape_of(path, name, given, held.get(f"{key}_grid_dims"), sizes.get(size))
        for name, given, key, size in (
            ("source", source_shape, "src", "n_a"),
            ("target", target_shape, "dst", "n_b"),
        )
    ]
    try:
        for name in ("row", "col"):
            if held[name].size and held[name].min() < 1:
                raise GridError(f"`{name}` counts from {held[name].min()}.", "A weight file counts from 1.")
        return Weights.of(
            _indices(held["row"], "rows") - 1,
            _indices(held["col"], "columns") - 1,
            held["S"],
            source_shape=shapes[0],
            target_shape=shapes[1],
            method=_method_of(attrs) or method or UNKNOWN,
            fracs=held.get("frac_b"),
        )
    except NepcubeError as error:
        raise SourceError(f"{path}: {error.what}", error.way_out) from error


def _contents(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, int], dict[str, Any]]:
    wanted = ("S", "row", "col", "frac_b", "src_grid_dims", "dst_grid_dims")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}.", "Give the path of a weight file.") from error
    try:
        if magic == b"\x89HDF":
            import h5netcdf

            with h5netcdf.File(path, "r") as nc4:
                held = {name: np.asarray(nc4[name][...]) for name in wanted if name in nc4.variables}
                return held, {k: int(d.size) for k, d in nc4.dimensions.items()}, dict(nc4.attrs)
        if magic in (b"CDF\x01", b"CDF\x02"):
            from scipy.io import netcdf_file

            with netcdf_file(path, "r", mmap=False) as nc3:
                held = {name: _native(nc3.variables[name][:]) for name in wanted if name in nc3.variables}
                attrs = {k: v.decode() if isinstance(v, bytes) else v for k, v in nc3._attributes.items()}
                return held, {k: int(n) for k, n in nc3.dimensions.items() if n}, attrs
    except Exception as error:
        raise SourceError(f"{path}: the file is damaged ({error}).", _MAKE_ANEW) from error
    if magic == b"CDF\x05":
        raise SourceError(
            f"{path}: NetCDF of the 64-bit data kind (CDF5) is not read.", "Convert it with `nccopy -k nc4`."
        )
    raise SourceError(f"{path}: no ESMF weight file, it is not NetCDF.", "Give the path of a weight file.")


def _native(array: Any) -> NDArray[Any]:
    # classic files are big-endian
    return np.asarray(array).astype(np.asarray(array).dtype.newbyteorder("="))


def _shape_of(path: Path, name: str, given: Shape | None, dims: NDArray[Any] | None, size: int | None) -> Shape:
    told: Shape | None = None
    if dims is not None:
        numbers = [int(n) for n in np.ravel(dims)]
        if len(numbers) == 2:
            told = (numbers[1], numbers[0])
        elif given is None:
            raise SourceError(
                f"{path}: the {name} is of rank {len(numbers)}, not a grid of rows and columns.",
                f"Give its shape, {name}_shape.",
            )
    shape = told if given is None else given
    if shape is None:
        raise SourceError(f"{path}: the file does not tell the shape of the {name}.", f"Give it, {name}_shape.")
    expected = told or shape
    if tuple(shape) != expected or (size is not None and prod(shape) != size):
        held = " x ".join(map(str, expected)) if tuple(shape) != expected else f"{size} cells"
        raise SourceError(
            f"{path}: the {name} is {held}, not {' x '.join(map(str, shape))}.", "Give the shape of its grid."
        )
    return int(shape[0]), int(shape[1])


def _method_of(attrs: Mapping[str, Any]) -> str | None:
    told = {k: v for k, v in attrs.items() if isinstance(v, str)}
    normalization = told.get("normalization", "destarea")
    regrid_method, map_method = told.get("ESMF_regrid_method", ""), told.get("map_method", "")
    for name, (ours, _, norm) in METHODS.items():
        conservative = norm != "none"
        if regrid_method == ours and (not conservative or norm == normalization):
            return name
    if not regrid_method and map_method.startswith("Conservative"):
        return "conservative_normed" if normalization == "fracarea" else "conservative"
    if not regrid_method and map_method.startswith("Bilinear"):
        return "bilinear"
    return None
