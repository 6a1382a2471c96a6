"""A GeoTIFF in geographic coordinates as a lazy dataset."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources.files import damaged, require, windows_of

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_LOCK = threading.Lock()


class BandArray:
    """A lazy (band, row, column) array over a raster file; nodata becomes NaN."""

    def __init__(self, path: str, shape: tuple[int, int, int]) -> None:
        self.path = path
        self.shape = shape
        self.ndim = 3
        self.dtype = np.dtype("float32")

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        import rasterio
        from rasterio.errors import RasterioIOError
        from rasterio.windows import Window

        (bands, rows, columns), take = windows_of(key, self.shape)
        if not (bands and rows and columns):
            return np.empty((len(bands), len(rows), len(columns)), self.dtype)[take]
        try:
            with _LOCK, rasterio.open(self.path) as file:
                window = Window(columns.start, rows.start, len(columns), len(rows))
                data = file.read([b + 1 for b in bands], window=window, masked=True)
                scale, offset = np.asarray(file.scales), np.asarray(file.offsets)
        except RasterioIOError as error:
            raise damaged(self.path, error) from None
        out: NDArray[Any] = data.astype(self.dtype).filled(np.nan)
        chosen = list(bands)
        if (scale[chosen] != 1).any() or (offset[chosen] != 0).any():
            wide = out.astype(np.float64) * scale[chosen][:, None, None] + offset[chosen][:, None, None]
            out = wide.astype(self.dtype)
        return out[take]


def open_bands(path: str) -> tuple[xr.Dataset, tuple[Any, ...]]:
    """Open a GeoTIFF as ``band_data`` (time, latitude, longitude), and give the descriptions of its bands.

    Raises
    ------
    SourceError
        The raster is damaged, rotated or not in geographic coordinates.
    """
    import dask.array as da
    import rasterio
    import xarray as xr
    from rasterio.errors import RasterioIOError

    require(path, "TIFF")
    try:
        with rasterio.open(path) as file:
            shape = (file.count, *file.shape)
            transform, crs, bands = file.transform, file.crs, tuple(file.descriptions)
            rows = file.block_shapes[0][0]
    except RasterioIOError as error:
        raise damaged(path, error) from None
    if crs is None or not crs.is_geographic or transform.b or transform.d:
        raise SourceError(
            f"{path}: geographic coordinates (EPSG:4326) are needed, found {crs or 'no CRS'}.",
            "Use the file as the provider made it, or warp it first.",
        )
    lat = transform.f + (np.arange(shape[1]) + 0.5) * transform.e
    lon = transform.c + (np.arange(shape[2]) + 0.5) * transform.a
    height = max(rows, min(shape[1], 4 * 2**20 // max(shape[2], 1)))
    array = da.from_array(
        BandArray(path, shape),
        chunks=(1, height, shape[2]),
        name=False,
        inline_array=True,
        meta=np.empty((0, 0, 0), np.float32),
    )
    ds = xr.Dataset(
        {"band_data": (("time", "latitude", "longitude"), array)},
        coords={"latitude": ("latitude", lat), "longitude": ("longitude", lon)},
    )
    return ds, bands
