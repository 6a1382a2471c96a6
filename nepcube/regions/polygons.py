"""Reading region polygons: any vector file, any CRS, checked before it is used."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import RegionError
from nepcube.regions.areas import authalic_areas, told_area
from nepcube.regions.overlaps import Overlaps, overlaps_of
from nepcube.regions.projecting import (
    Nowhere,
    only_polygons,
    projected,
    require_degrees,
    require_short_edges,
    within_longitudes,
)

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

_MOST = 32000
# names that a note spells out
_NAMED = 5


@dataclass(frozen=True)
class Regions:
    """The regions of a file.

    Attributes
    ----------
    frame : geopandas.GeoDataFrame
        In the order of the file and in the CRS of the grid: ``name``, ``geometry``, ``area_km2`` (the polygon's own
        area on WGS84, edges straight in the CRS of the file), ``shared_km2`` (what it shares with others), and
        ``first``, the polygon without what those before it have, too (None where nothing is left).
    union_km2 : float
        The area of all of them, each bit of it once.
    notes : tuple of str
        What was mended or cut, and what overlaps.
    """

    frame: gpd.GeoDataFrame
    union_km2: float
    notes: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        return list(self.frame["name"])


def load_regions(path: str | os.PathLike[str], *, name: str = "name", crs: str = "EPSG:4326") -> gpd.GeoDataFrame:
    """Read region polygons and bring them to a CRS; see `read_regions`."""
    return read_regions(path, name=name, crs=crs).frame


def read_regions(
    path: str | os.PathLike[str],
    *,
    name: str = "name",
    crs: str = "EPSG:4326",
    overlap: str = "centre",
    mend: bool = False,
) -> Regions:
    """Read region polygons and bring them to a CRS.

    Parameters
    ----------
    path : path-like
        A vector file that GDAL reads.
    name : str
        The column that names the regions.
    crs : str
        The CRS of the grid.
    overlap : {"centre", "exact"}
        With "exact" regions may share area, and edges stay straight in the CRS of the file; with "centre" a cell
        belongs to one region, and vertices alone are brought to the CRS, as a desktop GIS does.
    mend : bool
        Whether an invalid polygon is mended (`shapely.make_valid`, of which polygons are kept); it is refused else.

    Returns
    -------
    Regions

    Raises
    ------
    RegionError
        The file is unreadable, has no CRS or no such column; a geometry is invalid, empty or no polygon, or has an edge
        of more than half the globe; two regions have one name, or, with "centre", overlap by more than a sliver.
    """
    from pyproj.exceptions import ProjError

    path = os.fspath(path)
    frame = _opened(path, name)
    names = _names(frame, name, path)

    def where(k: int) -> str:
        return f"{path}: region {names[k]!r} (feature {k + 1})"

    try:
        return _read(frame, names, where, path, crs, exact=overlap == "exact", mend=mend)
    except (Nowhere, ProjError) as error:
        raise RegionError(
            f"{path}: cannot be brought to {crs!r} ({' '.join(str(error).split())[:120]}).",
            "Check the file's CRS and `grid.crs`.",
        ) from None


def _read(
    frame: gpd.GeoDataFrame,
    names: list[str],
    where: Callable[[int], str],
    path: str,
    crs: str,
    *,
    exact: bool,
    mend: bool,
) -> Regions:
    notes: list[str] = []
    polygons = _drawn(frame, where)
    if frame.crs.is_geographic:
        require_degrees(polygons, where)
    polygons = _valid(polygons, frame.crs, names, where, mend, notes)
    if frame.crs.is_geographic:
        require_short_edges(polygons, where)
        polygons, cut = within_longitudes(polygons)
        if cut.any():
            beyond = [names[k] for k in np.flatnonzero(cut)]
            notes.append(
                f"{count_of(beyond)} beyond 180 degrees of longitude ({told_names(beyond)}): put where they are on the "
                "globe."
            )
    shared = overlaps_of(polygons, frame.crs)
    _require_apart(shared, names, path, exact=exact)
    notes += _overlap_notes(shared, names)
    areas, new = authalic_areas(polygons, frame.crs), authalic_areas(shared.firsts, frame.crs)
    polygons, firsts = _brought(polygons, shared.firsts, frame.crs, crs, straight=exact)
    out = _frame(names, polygons, crs).assign(area_km2=areas, shared_km2=shared.of_each, first=list(firsts))
    return Regions(out, float(new.sum()), tuple(notes))


def _opened(path: str, name: str) -> gpd.GeoDataFrame:
    import geopandas as gpd

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
    if len(frame) > _MOST:
        raise RegionError(f"{path}: {len(frame)} regions are more than {_MOST}.", "Split the file.")
    return frame


def _names(frame: gpd.GeoDataFrame, column: str, path: str) -> list[str]:
    names = frame[column].astype(str)
    twice = names[names.duplicated()]
    if not twice.empty:
        raise RegionError(
            f"{path}: two regions are called {twice.iloc[0]!r}.",
            "Dissolve them into one, or give them names of their own.",
        )
    if (names == "all").any():
        raise RegionError(f"{path}: a region is called 'all', which is the union in every table.", "Rename it.")
    return list(names)


def _drawn(frame: gpd.GeoDataFrame, where: Callable[[int], str]) -> NDArray[np.object_]:
    import shapely

    polygons: NDArray[np.object_] = shapely.force_2d(frame.geometry.to_numpy())
    for k, geometry in enumerate(polygons):
        if geometry is None or geometry.is_empty:
            raise RegionError(f"{where(k)} has no geometry.", "Remove the feature, or draw it.")
        if geometry.geom_type not in {"Polygon", "MultiPolygon"}:
            raise RegionError(f"{where(k)} is a {geometry.geom_type}, not a polygon.", "Use polygons.")
    return polygons


def _valid(
    polygons: NDArray[np.object_],
    crs: Any,
    names: Sequence[str],
    where: Callable[[int], str],
    mend: bool,
    notes: list[str],
) -> NDArray[np.object_]:
    import shapely

    for k in np.flatnonzero(~shapely.is_valid(polygons)).tolist():
        reason = shapely.is_valid_reason(polygons[k])
        if not mend:
            raise RegionError(
                f"{where(k)} is not a valid polygon: {reason}.",
                "Mend it in a GIS and look at the result, or have it mended with `regions.mend: true`.",
            )
        mended = only_polygons(shapely.make_valid(polygons[k]))
        if mended is None:
            raise RegionError(f"{where(k)} has no area ({reason}).", "Remove the feature, or draw it.")
        before, after = authalic_areas(np.array([polygons[k], mended], object), crs)
        polygons[k] = mended
        notes.append(
            f"Region {names[k]!r} was not valid ({reason}) and was mended: {told_area(abs(before))} as drawn, "
            f"{told_area(after)} now."
        )
    return polygons


def _brought(
    polygons: NDArray[np.object_], firsts: NDArray[np.object_], source: Any, crs: str, *, straight: bool
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    from pyproj import CRS

    target = CRS.from_user_input(crs)
    out = projected(polygons, source, target, straight=straight)
    # what is the same polygon stays the same object
    rest = np.array([a is not b and b is not None for a, b in zip(polygons, firsts, strict=True)], bool)
    new = out.copy()
    if rest.any():
        new[rest] = projected(firsts[rest], source, target, straight=straight)
    new[[b is None for b in firsts]] = None
    return out, new


def _frame(names: Sequence[str], polygons: NDArray[np.object_], crs: str) -> gpd.GeoDataFrame:
    import geopandas as gpd

    return gpd.GeoDataFrame({"name": list(names)}, geometry=list(polygons), crs=crs)


def _require_apart(shared: Overlaps, names: Sequence[str], path: str, *, exact: bool) -> None:
    if exact or not shared.large.any():
        return
    worst = int(np.argmax(np.where(shared.large, shared.area, -1.0)))
    a, b = names[shared.first[worst]], names[shared.second[worst]]
    others = int(shared.large.sum()) - 1
    more = f", and {others} more pair{'s' if others > 1 else ''}" if others else ""
    raise RegionError(
        f"{path}: {a!r} and {b!r} overlap by {told_area(shared.area[worst])}{more}.",
        "By their centres cells belong to one region: cut one of them, or use `regions.overlap: exact`.",
    )


def _overlap_notes(shared: Overlaps, names: Sequence[str]) -> list[str]:
    out = []
    for large, told in ((True, "overlap"), (False, "overlap by slivers")):
        kept = shared.large == large
        if not kept.any():
            continue
        largest = int(np.argmax(np.where(kept, shared.area, -1.0)))
        a, b = names[shared.first[largest]], names[shared.second[largest]]
        pairs = int(kept.sum())
        out.append(
            f"{pairs} pair{'s' if pairs > 1 else ''} of regions {told} ({told_area(float(shared.area[kept].sum()))}; "
            f"most of it {a!r} and {b!r}, {told_area(shared.area[largest])})."
        )
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


def count_of(names: Sequence[str]) -> str:
    """Count regions in words."""
    return f"{len(names)} region{'' if len(names) == 1 else 's'}"


def told_names(names: Sequence[str]) -> str:
    """Give the first of some names, for a sentence."""
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
