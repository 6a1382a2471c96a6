"""Reading region polygons: any vector file, any CRS, checked before it is used."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nepcube.errors import RegionError

if TYPE_CHECKING:
    import geopandas as gpd
    import numpy as np
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

# neighbours digitised apart overlap by slivers; more than this share of the smaller one is a mistake
_SLIVER = 1e-3
_MOST = 32000


def load_regions(path: str | os.PathLike[str], *, name: str = "name", crs: str = "EPSG:4326") -> gpd.GeoDataFrame:
    """Read region polygons and bring them to a CRS.

    Parameters
    ----------
    path : path-like
        A vector file that GDAL reads.
    name : str
        The column that names the regions.
    crs : str
        The CRS of the grid.

    Returns
    -------
    geopandas.GeoDataFrame
        Columns ``name`` and ``geometry``, in the order of the file.

    Raises
    ------
    RegionError
        The file is unreadable, has no CRS or no such column; a geometry is invalid, empty or no polygon; two regions
        overlap or have one name.
    """
    import geopandas as gpd
    from shapely import is_valid_reason

    path = os.fspath(path)
    if not os.path.exists(path):
        raise RegionError(f"{path}: the region file is not there.", "Check `regions.path` (relative to the recipe).")
    try:
        frame = gpd.read_file(path, engine="pyogrio")
    except Exception as error:
        raise RegionError(
            f"{path}: cannot be read as a vector file ({' '.join(str(error).split())[:120]}).",
            "Use GeoJSON, GeoPackage or a whole shapefile (.shp, .shx, .dbf, .prj).",
        ) from None
    if not isinstance(frame, gpd.GeoDataFrame) or frame.empty:
        raise RegionError(f"{path}: it holds no geometry.", "Name a file of polygons.")
    if frame.crs is None:
        raise RegionError(
            f"{path}: it has no coordinate reference system.",
            "Add its .prj, or save it again with the CRS (GeoJSON is EPSG:4326).",
        )
    if name not in frame.columns:
        columns = ", ".join(map(str, frame.columns.drop("geometry")))
        raise RegionError(f"{path}: no column {name!r} (found: {columns or 'none'}).", "Say which with `regions.name`.")
    for index, (label, geometry) in enumerate(zip(frame[name], frame.geometry, strict=True), start=1):
        where = f"{path}: region {label!r} (feature {index})"
        if geometry is None or geometry.is_empty:
            raise RegionError(f"{where} has no geometry.", "Remove the feature, or draw it.")
        if geometry.geom_type not in {"Polygon", "MultiPolygon"}:
            raise RegionError(f"{where} is a {geometry.geom_type}, not a polygon.", "Use polygons.")
        if not geometry.is_valid:
            raise RegionError(
                f"{where} is not a valid polygon: {is_valid_reason(geometry)}.",
                "Mend it in a GIS (for example ogr2ogr -makevalid) and look at the result.",
            )
    names = frame[name].astype(str)
    twice = names[names.duplicated()]
    if not twice.empty:
        raise RegionError(
            f"{path}: two regions are called {twice.iloc[0]!r}.",
            "Dissolve them into one, or give them names of their own.",
        )
    if (names == "all").any():
        raise RegionError(f"{path}: a region is called 'all', which is the union in every table.", "Rename it.")
    if len(frame) > _MOST:
        raise RegionError(f"{path}: {len(frame)} regions are more than {_MOST}.", "Split the file.")
    out = gpd.GeoDataFrame({"name": names.to_list()}, geometry=frame.geometry.to_list(), crs=frame.crs)
    try:
        out = out.to_crs(crs)
    except Exception as error:
        raise RegionError(
            f"{path}: cannot be brought to {crs!r} ({' '.join(str(error).split())[:120]}).", "Check `grid.crs`."
        ) from None
    _require_apart(out, path)
    return out


def outline_labels(labels: NDArray[np.int16], grid: GeoBox, names: Sequence[str]) -> gpd.GeoDataFrame:
    """Draw a polygon around the cells of each region.

    Parameters
    ----------
    labels : numpy.ndarray
        The number of each cell's region (y, x); 0 is outside.
    grid : odc.geo.geobox.GeoBox
        The grid that the labels are on.
    names : sequence of str
        The regions, from number 1 on.

    Returns
    -------
    geopandas.GeoDataFrame
        Columns ``name`` and ``geometry``, in the CRS of the grid; a region without a cell is left out.
    """
    import geopandas as gpd
    from rasterio.features import shapes
    from shapely import union_all
    from shapely.geometry import shape

    parts: dict[int, list[Any]] = {}
    for geometry, value in shapes(labels, labels > 0, transform=grid.affine):
        parts.setdefault(int(value), []).append(shape(geometry))
    order = sorted(parts)
    return gpd.GeoDataFrame(
        {"name": [names[k - 1] for k in order]}, geometry=[union_all(parts[k]) for k in order], crs=str(grid.crs)
    )


def _require_apart(frame: gpd.GeoDataFrame, path: str) -> None:
    geometries = frame.geometry.to_numpy()
    first, second = frame.sindex.query(geometries, predicate="intersects")
    for i, j in zip(first, second, strict=True):
        if i >= j:
            continue
        shared = geometries[i].intersection(geometries[j]).area
        if shared > _SLIVER * min(geometries[i].area, geometries[j].area):
            raise RegionError(
                f"{path}: {frame['name'].iloc[i]!r} and {frame['name'].iloc[j]!r} overlap.",
                "A cell belongs to one region: cut one of them, or run them apart.",
            )
