"""Small files in the providers' formats, written without the package: no reader is tested by its own hand."""

from pathlib import Path

import numpy as np
import xarray as xr

RADIUS = 6371007.181
TILE = 1111950.5196666666
SINUSOIDAL = f"+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R={RADIUS} +units=m +no_defs"
CODES = range(32761, 32768)


def granule(year, h=25, v=5, *, product="MOD17A3HGF", version="061", made="2020048210133", end=".hdf"):
    return f"{product}.A{year}001.h{h:02d}v{v:02d}.{version}.{made}{end}"


def corners(h, v):
    left, top = (h - 18) * TILE, (9 - v) * TILE
    return left, top, left + TILE, top - TILE


def write_tile(path, npp, qc=None, *, h=25, v=5, fields=None, attrs=None, at=None):
    """Write an HDF4-EOS tile; `fields` renames the NPP field, `attrs` replaces its attributes, None leaves one out."""
    from pyhdf.SD import SD, SDC

    npp = np.asarray(npp, np.int16)
    left, top, right, bottom = at or corners(h, v)
    struct = (
        'GROUP=GridStructure\n\tGROUP=GRID_1\n\t\tGridName="MOD_Grid_MOD17A3"\n'
        f"\t\tXDim={npp.shape[1]}\n\t\tYDim={npp.shape[0]}\n"
        f"\t\tUpperLeftPointMtrs=({left:.6f},{top:.6f})\n\t\tLowerRightMtrs=({right:.6f},{bottom:.6f})\n"
        "\t\tProjection=GCTP_SNSOID\n\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\nEND\n"
    )
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    file.attr("StructMetadata.0").set(SDC.CHAR, struct)
    sets = [(fields or "Npp_500m", SDC.INT16, npp)]
    if qc is not None:
        sets.append(("Npp_QC_500m", SDC.UINT8, np.asarray(qc, np.uint8)))
    for name, kind, data in sets:
        sds = file.create(name, kind, data.shape)
        sds.setcompress(SDC.COMP_DEFLATE, 4)
        if kind == SDC.INT16:
            for key, value in ({"units": "kg_C/m^2", "scale_factor": 0.0001} | (attrs or {})).items():
                if value is not None:
                    sds.attr(key).set(SDC.CHAR if isinstance(value, str) else SDC.FLOAT64, value)
            sds.attr("_FillValue").set(SDC.INT16, 32767)
        sds[:] = data
        sds.endaccess()
    file.end()
    return path


def write_tile_tif(path, data, *, h=25, v=5, crs=SINUSOIDAL, dtype=None):
    import rasterio
    from rasterio.transform import Affine

    data = np.asarray(data)
    left, top, *_ = corners(h, v)
    res = TILE / data.shape[0]
    profile = {"driver": "GTiff", "count": 1, "height": data.shape[0], "width": data.shape[1], "crs": crs}
    profile |= {"dtype": dtype or data.dtype, "transform": Affine(res, 0, left, 0, -res, top), "compress": "deflate"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(data.astype(profile["dtype"]), 1)
    return path


def write_geotiff(path, data, *, west, north, step, nodata=None, names=None, crs="EPSG:4326"):
    """Write (band, row, column), north up."""
    import rasterio
    from rasterio.transform import Affine

    data = np.asarray(data, np.float32)
    data = data[None] if data.ndim == 2 else data
    profile = {"driver": "GTiff", "count": data.shape[0], "height": data.shape[1], "width": data.shape[2], "crs": crs}
    profile |= {"dtype": "float32", "transform": Affine(step, 0, west, 0, -step, north), "nodata": nodata}
    with rasterio.open(path, "w", **profile) as file:
        file.write(data)
        for k, name in enumerate(names or [], start=1):
            file.set_band_description(k, name)
    return path


LATITUDE = np.array([34.3, 34.2, 34.1, 34.0])
LONGITUDE = np.array([96.0, 96.1, 96.2, 96.3, 96.4])
UNITS = {"t2m": "K", "tp": "m", "ssr": "J m**-2", "ssrd": "J m**-2", "precip": "mm/month"}


def write_netcdf(
    path, times, fields, *, latitude=LATITUDE, longitude=LONGITUDE, time="valid_time", units=None, engine="h5netcdf",
    encoding=None, names=("latitude", "longitude"), extra=None, attrs=None,
):  # fmt: skip
    """Write fields (time, latitude, longitude); `units` replaces those of a name, None leaves it out."""
    dims = (time, *names)
    coords = {time: np.asarray(times, "datetime64[ns]"), names[0]: latitude, names[1]: longitude} | (extra or {})
    ds = xr.Dataset({n: (dims, np.asarray(v)) for n, v in fields.items()}, coords=coords, attrs=attrs or {})
    for name in fields:
        unit = UNITS.get(name) if units is None or name not in units else units[name]
        if unit is not None:
            ds[name].attrs["units"] = unit
    ds.to_netcdf(path, engine=engine, encoding=encoding)
    return Path(path)


def history(stream=None, *, how=None):
    """Write the history that the Climate Data Store's conversion leaves, with the stream that it was filtered by."""
    keys = "{}" if stream is None else f'{{"stream": ["{stream}"]}}'
    text = "2025-09-29T21:53 GRIB to CDM+CF via cfgrib-0.9.15.0/ecCodes-2.42.0 with "
    text += f'{{"source": "data.grib", "filter_by_keys": {keys}, "encode_cf": ["parameter", "time"]}}'
    if how is not None:
        text += "\nearthkit.transforms.aggregate.temporal.daily_reduce(2m_temperature_0, "
        text += f"how={how}, **{{'time_shift': {{'hours': 0}}}})"
    return {"history": text}


MODA = history("moda")


def months(first, last):
    return np.arange(f"{first}-01", f"{last + 1}-01", dtype="datetime64[M]").astype("datetime64[ns]")


def hours(start, end):
    """Give the hours from a stamp to another, both included."""
    return np.arange(np.datetime64(start, "h"), np.datetime64(end, "h") + 1).astype("datetime64[ns]")


def field(n, seed=0, *, low=250.0, high=290.0, shape=None):
    rng = np.random.default_rng(seed)
    return rng.uniform(low, high, (n, *(shape or (LATITUDE.size, LONGITUDE.size)))).astype(np.float32)
