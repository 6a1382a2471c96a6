"""Which region each cell belongs to: the one that holds its centre."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import RegionError
from nepcube.grid import Window, coordinates, dims, spatial_coords
from nepcube.regions.shapes import Shapes, shapes_of

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox


# filters of warnings are the whole process's: of two threads that change them, here and in regionmask, one would put
# back what the other took away
_FILTERED = threading.Lock()


def label_regions(regions: gpd.GeoDataFrame, grid: GeoBox) -> xr.DataArray:
    """Give each cell the number of the region that holds its centre, as a desktop GIS does.

    Parameters
    ----------
    regions : geopandas.GeoDataFrame
        With a column ``name``; brought to the grid's CRS.
    grid : odc.geo.geobox.GeoBox

    Returns
    -------
    xarray.DataArray
        int16, 1 for the first region, 0 outside all; names in CF flag attributes.

    Raises
    ------
    RegionError
        The regions have no CRS or no column ``name``.
    """
    import xarray as xr

    if regions.crs is None or "name" not in regions.columns:
        raise RegionError(
            "The regions need a CRS and a column 'name'.", "Read them with `nepcube.regions.load_regions`."
        )
    window = Window(0, grid.shape[0], 0, grid.shape[1])
    data = label_window(shapes_of(regions.to_crs(str(grid.crs))), grid, window)
    coords = spatial_coords(grid)
    return xr.DataArray(data, coords, dims(grid), "region", label_attrs(regions))


def label_attrs(regions: gpd.GeoDataFrame | None) -> dict[str, Any]:
    """Give the attributes of a label array."""
    names = [] if regions is None else list(regions["name"])
    # CF's meanings are single words; the names as they are stand beside them
    return {"long_name": "region", "units": "1", "names": names} | spec.flag_attrs(
        {0: "outside"} | dict(enumerate(names, start=1)), "int16"
    )


def label_window(shapes: Shapes, grid: GeoBox, window: Window) -> NDArray[np.int16]:
    """Label one window; equal to the slice of the labelled whole. The shapes are in the grid's CRS."""
    import regionmask

    rows, columns = grid.shape
    # one row or column alone has no spacing to rasterise with
    y0, y1 = (window.y0, window.y1) if window.shape[0] > 1 else (max(window.y0 - 1, 0), min(window.y1 + 1, rows))
    x0, x1 = (window.x0, window.x1) if window.shape[1] > 1 else (max(window.x0 - 1, 0), min(window.x1 + 1, columns))
    out = np.zeros(window.shape, np.int16)
    near = shapes.near(grid, Window(y0, y1, x0, x1))
    if not near.numbers.size:
        return out
    y, x = coordinates(grid)
    y, x = y[y0:y1], x[x0:x1]
    regions = regionmask.Regions(list(near.polygons), numbers=near.numbers, overlap=False)
    with _FILTERED, warnings.catch_warnings():
        # a block beside a region is no mistake
        warnings.filterwarnings("ignore", message="No gridpoint belongs to any region")
        mask = regions.mask(x, y, wrap_lon=False).to_numpy()
    mask = mask[window.y0 - y0 : window.y0 - y0 + window.shape[0], window.x0 - x0 : window.x0 - x0 + window.shape[1]]
    found = np.isfinite(mask)
    out[found] = mask[found].astype(np.int16)
    return out
