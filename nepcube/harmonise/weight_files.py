"""The ESMF weight file: written and read without ESMF.

It is NetCDF with one entry of the matrix along ``n_s``: ``S`` the weight, ``row`` the target cell and ``col`` the
source cell, both counted from 1 in C order (longitude runs fastest). ESMF_RegridWeightGen adds the dimensions ``n_a``
and ``n_b``, ``src_grid_dims`` and ``dst_grid_dims`` (fastest first) and ``frac_b``; xESMF writes none of these.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import GridError, NepcubeError, SourceError
from nepcube.harmonise.weights import MAKE_ANEW, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nepcube.harmonise.weights import Shape

#: xESMF's names beside ESMF's own (attributes ESMF_regrid_method, map_method and normalization of a weight file)
METHODS = {
    "bilinear": ("Bilinear", "Bilinear remapping", "none"),
    "nearest_s2d": ("Nearest source to destination", "Bilinear remapping", "none"),
    "conservative": ("First-order Conservative", "Conservative remapping", "destarea"),
    "conservative_normed": ("First-order Conservative", "Conservative remapping", "fracarea"),
}
UNKNOWN = "unknown"
_LARGEST = np.iinfo(np.int32).max


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
            held["row"] - 1,
            held["col"] - 1,
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
        # libraries tell damage by errors of any kind
        raise SourceError(f"{path}: the file is damaged ({error}).", MAKE_ANEW) from error
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
