"""A map as a cloud-optimised GeoTIFF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox


def write_cog(da: xr.DataArray, grid: GeoBox, path: Path) -> Path:
    """Write a map block by block: first a tiled GeoTIFF, then overviews in the order of the COG driver.

    Parameters
    ----------
    da : xarray.DataArray
        Two-dimensional, lazy or not.
    grid : odc.geo.geobox.GeoBox
        Its grid.
    path : Path
        The file to write.

    Returns
    -------
    Path
    """
    import rasterio
    from rasterio.shutil import copy
    from rasterio.windows import Window

    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = da.shape
    floating = np.issubdtype(da.dtype, np.floating)
    nodata = float("nan") if floating else 255 if da.dtype == np.uint8 else None
    raw = path.with_name(f".{path.stem}.raw.tif")
    part = path.with_name(f".{path.stem}.part.tif")
    profile = {
        "driver": "GTiff", "width": columns, "height": rows, "count": 1, "dtype": str(da.dtype), "nodata": nodata,
        "crs": str(grid.crs), "transform": grid.affine, "tiled": True, "blockxsize": 512, "blockysize": 512,
        "compress": "zstd", "BIGTIFF": "IF_SAFER",
    }  # fmt: skip
    try:
        with rasterio.open(raw, "w", **profile) as out:
            for y0 in range(0, rows, 512):
                strip = np.asarray(da[y0 : y0 + 512].values)
                out.write(strip, 1, window=Window(0, y0, columns, strip.shape[0]))
            out.set_band_description(1, str(da.attrs.get("long_name", da.name)))
            out.update_tags(1, units=str(da.attrs.get("units", "1")))
        resampling = "average" if floating else "nearest"
        copy(raw, part, driver="COG", compress="zstd", overview_resampling=resampling)
        part.replace(path)
    finally:
        raw.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    return path
