"""MOD17A3HGF and its successor as AppEEARS, Earth Engine and the VIIRS archive write them, without the package."""

import numpy as np
from providers import RADIUS, SINUSOIDAL, TILE, corners, granule, write_tile, write_tile_tif

# a rectangle of cells of tile h25v05 at 20 pixels a side, or of degrees
STEP = TILE / 20
LEFT, TOP, *_ = corners(25, 5)
DEGREES = 1 / 240
WEST, NORTH = 96.0, 34.5
YEARS = (2001, 2002)


def appeears(year, *, field="Npp_500m", product="MOD17A3HGF", version="061", area="aid0001", day="001"):
    return f"{product}.{version}_{field}_doy{year}{day}_{area}.tif"


def transform(crs, *, row=0, column=0, step=None):
    from rasterio.transform import Affine

    if crs == "EPSG:4326":
        step = step or DEGREES
        return Affine(step, 0, WEST + column * step, 0, -step, NORTH - row * step)
    step = step or STEP
    return Affine(step, 0, LEFT + column * step, 0, -step, TOP - row * step)


def write_bands(path, bands, *, crs="EPSG:4326", dtype="int16", nodata=32767, names=None, at=None, **profile):
    """Write (band, row, column) as a GeoTIFF."""
    import rasterio

    bands = np.asarray(bands)
    bands = bands[None] if bands.ndim == 2 else bands
    options = {"driver": "GTiff", "count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    options |= {"crs": crs, "dtype": dtype, "nodata": nodata, "transform": at or transform(crs), "compress": "deflate"}
    with rasterio.open(path, "w", **(options | profile)) as file:
        file.write(bands.astype(dtype))
        for k, name in enumerate(names or [], start=1):
            file.set_band_description(k, name)
    return path


def write_appeears_netcdf(
    path, npp, qc=None, *, years=YEARS, crs="EPSG:4326", attrs=None, time=None, mapping=None, dims=None, days=None,
    flip=False, nc_format="NETCDF4",
):  # fmt: skip
    """Write (time, row, column); `attrs`, `time` and `mapping` replace attributes, None leaves one out."""
    import netCDF4

    npp = np.asarray(npp, np.int16)
    geographic = crs == "EPSG:4326"
    names = dims or (("time", "lat", "lon") if geographic else ("time", "ydim", "xdim"))
    start, step = ((NORTH, WEST), DEGREES) if geographic else ((TOP, LEFT), STEP)
    file = netCDF4.Dataset(str(path), "w", format=nc_format)
    file.set_auto_maskandscale(False)
    for name, n in zip(names, npp.shape, strict=True):
        file.createDimension(name, None if name == "time" else n)
    y = start[0] - (np.arange(npp.shape[1]) + 0.5) * step
    x = start[1] + (np.arange(npp.shape[2]) + 0.5) * step
    for name, values in ((names[1], y[::-1] if flip else y), (names[2], x)):
        if name != "time":
            file.createVariable(name, "f8", (name,))[:] = values
    stamps = file.createVariable("time", "i4", ("time" if "time" in names else names[0],))
    stamps[:] = (
        days
        if days is not None
        else [(np.datetime64(f"{y}-01-01") - np.datetime64("2000-01-01")).astype(int) for y in years]
    )
    when = {"units": "days since 2000-01-01 00:00:00", "calendar": "julian", "standard_name": "time"} | (time or {})
    stamps.setncatts({k: v for k, v in when.items() if v is not None})
    figure = (
        {"grid_mapping_name": "latitude_longitude", "semi_major_axis": 6378137.0, "inverse_flattening": 298.257223563}
        if geographic
        else {"grid_mapping_name": "sinusoidal", "longitude_of_central_meridian": 0.0, "semi_major_axis": RADIUS}
    )
    crs_variable = file.createVariable("crs", "i1", ())
    crs_variable.setncatts({k: v for k, v in (figure | (mapping or {})).items() if v is not None})
    says = {
        "scale_factor": 0.0001,
        "add_offset": 0.0,
        "units": "kg_C/m^2",
        "valid_min": np.int16(-30000),
        "valid_max": np.int16(32700),
    }
    says |= {"grid_mapping": "crs", "long_name": "Annual_Net_Primary_Productivity"} | (attrs or {})
    fill = says.pop("_FillValue", 32767)
    sets = [("Npp_500m", "i2", npp, fill, says)]
    if qc is not None:
        sets.append(("Npp_QC_500m", "u1", np.asarray(qc, np.uint8), 255, {"units": "percent"}))
    for name, kind, data, missing, extra in sets:
        variable = file.createVariable(name, kind, names, zlib=nc_format == "NETCDF4", fill_value=missing)
        variable.set_auto_maskandscale(False)
        variable.setncatts({k: v for k, v in extra.items() if v is not None})
        variable[:] = data
    file.close()
    return path


def viirs(year, h=25, v=5, *, product="VNP17A3GF", version="002", made="2023048210133"):
    return granule(year, h, v, product=product, version=version, made=made, end=".h5")


def write_viirs(
    path, npp, qc=None, *, h=25, v=5, attrs=None, at=None, names=("Npp_500m", "Npp_QC_500m"), chunks=(5, 5), dtype="<i2"
):
    """Write an HDF5-EOS tile; `attrs` replaces the attributes of the NPP field, None leaves one out."""
    import h5py

    npp = np.asarray(npp, np.int16)
    left, top, right, bottom = at or corners(h, v)
    struct = (
        'GROUP=GridStructure\n\tGROUP=GRID_1\n\t\tGridName="VNP_Grid_VNP17A3"\n'
        f"\t\tXDim={npp.shape[1]}\n\t\tYDim={npp.shape[0]}\n"
        f"\t\tUpperLeftPointMtrs=({left:.6f},{top:.6f})\n\t\tLowerRightMtrs=({right:.6f},{bottom:.6f})\n"
        "\t\tProjection=HE5_GCTP_SNSOID\n\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\nEND\n"
    )
    says = {"units": "kg_C/m^2", "scale_factor": 0.0001, "add_offset": 0.0, "_FillValue": np.int16(32767)}
    says |= {"valid_range": np.array([-30000, 32700], np.int16)} | (attrs or {})
    with h5py.File(path, "w") as file:
        file["HDFEOS INFORMATION/StructMetadata.0"] = np.bytes_(struct)
        group = file.create_group("HDFEOS/GRIDS/VNP_Grid_VNP17A3/Data Fields")
        kept = {"chunks": chunks, "compression": "gzip", "shuffle": True} if chunks else {}
        field = group.create_dataset(names[0], data=npp.astype(dtype), **kept)
        for key, value in says.items():
            if value is not None:
                field.attrs[key] = np.bytes_(value) if isinstance(value, str) else value
        if qc is not None:
            group.create_dataset(names[1], data=np.asarray(qc, np.uint8), **kept)
    return path


def shards(folder, stem, data, cut, **options):
    """Write (band, row, column) as four shards, as Earth Engine names them."""
    crs = options.pop("crs", "EPSG:4326")
    r, c = cut
    out = []
    for rows in (slice(0, r), slice(r, None)):
        for columns in (slice(0, c), slice(c, None)):
            y, x = rows.start or 0, columns.start or 0
            path = folder / f"{stem}-{y:010d}-{x:010d}.tif"
            out.append(
                write_bands(path, data[:, rows, columns], crs=crs, at=transform(crs, row=y, column=x), **options)
            )
    return out


def as_hdf4(folder, raw, qc):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_tile(folder / granule(year), a, b)


def as_cogs(folder, raw, qc):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_tile_tif(folder / granule(year, end="_Npp_500m.tif"), a.astype(np.int16))
        write_tile_tif(folder / granule(year, end="_Npp_QC_500m.tif"), b.astype(np.uint8))


def as_appeears_tifs(folder, raw, qc, crs):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_bands(folder / appeears(year), a, crs=crs)
        write_bands(folder / appeears(year, field="Npp_QC_500m"), b, crs=crs, dtype="uint8", nodata=255)


def as_appeears_netcdf(folder, raw, qc, crs):
    write_appeears_netcdf(folder / "MOD17A3HGF.061_500m_aid0001.nc", raw, qc, crs=crs)


def as_bands(folder, raw, qc, crs, *, names=("Npp_{}", "Npp_QC_{}")):
    names = [name.format(year) for name in names for year in YEARS]
    write_bands(folder / "npp_headwaters.tif", [*raw, *qc], crs=crs, names=names, compress="lzw")


def as_yearly_exports(folder, raw, qc, crs):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_bands(folder / f"MOD17_{year}.tif", [a, b, a], crs=crs, names=["Npp", "Npp_QC", "Gpp"], compress="lzw")


def as_shards(folder, raw, qc, crs):
    names = [f"{year}_01_01_{name}" for name in ("Npp", "Npp_QC") for year in YEARS]
    cut = raw.shape[1] // 2, raw.shape[2] // 3
    shards(folder, "npp", np.concatenate([raw, qc]), cut, crs=crs, names=names, dtype="int32", compress="lzw")


def as_floats(folder, raw, qc, crs):
    # multiplied by 0.0001 in double precision and rounded to float32, as `.multiply(0.0001).toFloat()` does
    names = [f"Npp_{year}" for year in YEARS] + [f"Npp_QC_{year}" for year in YEARS]
    data = np.concatenate([raw * 0.0001, qc])
    write_bands(folder / "npp.tif", data, crs=crs, names=names, dtype="float32", nodata=float("nan"))


def as_viirs(folder, raw, qc):
    for year, a, b in zip(YEARS, raw, qc, strict=True):
        write_viirs(folder / viirs(year), a, b)


ON_TILE = {
    "hdf4": as_hdf4,
    "cogs": as_cogs,
    "appeears-tif": lambda f, r, q: as_appeears_tifs(f, r, q, SINUSOIDAL),
    "appeears-netcdf": lambda f, r, q: as_appeears_netcdf(f, r, q, SINUSOIDAL),
    "bands": lambda f, r, q: as_bands(f, r, q, SINUSOIDAL),
    "yearly": lambda f, r, q: as_yearly_exports(f, r, q, SINUSOIDAL),
    "shards": lambda f, r, q: as_shards(f, r, q, SINUSOIDAL),
    "floats": lambda f, r, q: as_floats(f, r, q, SINUSOIDAL),
    "viirs": as_viirs,
}
IN_DEGREES = {
    "appeears-tif": lambda f, r, q: as_appeears_tifs(f, r, q, "EPSG:4326"),
    "appeears-netcdf": lambda f, r, q: as_appeears_netcdf(f, r, q, "EPSG:4326"),
    "bands": lambda f, r, q: as_bands(f, r, q, "EPSG:4326"),
    "yearly": lambda f, r, q: as_yearly_exports(f, r, q, "EPSG:4326"),
    "shards": lambda f, r, q: as_shards(f, r, q, "EPSG:4326"),
    "floats": lambda f, r, q: as_floats(f, r, q, "EPSG:4326"),
}


def options_of(layout):
    return {"units": "kg m-2 year-1"} if layout == "floats" else {}


def reader_of(layout):
    return "vnp17a3hgf" if layout == "viirs" else "mod17a3hgf"
