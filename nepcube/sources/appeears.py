"""Area samples of AppEEARS: GeoTIFFs of one field and year, or one NetCDF of all, on any rectangle of cells.

The numbers are the product's integers in both. Cells outside the requested polygon hold 32767, so that they are "fill".
In the NetCDF, ``crs`` has ``grid_mapping_name`` ``latitude_longitude`` (dims time, lat, lon) or ``sinusoidal`` (dims
time, ydim, xdim); ``time`` counts days since 2000-01-01, in a calendar that is called "julian" and differs from ours by
its labels of other centuries alone. The NetCDF's attributes of the sinusoidal layout are not verified on a real file.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np

from nepcube.errors import SourceError
from nepcube.sources import files, hdf5eos, rasters
from nepcube.sources.family import FIELD, QC_FIELD, Family
from nepcube.sources.fetched import local
from nepcube.sources.files import border, damaged
from nepcube.sources.hdf5 import require_sound_heaps
from nepcube.sources.lattice import GEOGRAPHIC, SINUSOIDAL, SPHERE, Footprint
from nepcube.sources.mosaic import Layer
from nepcube.sources.pieces import NPP, QUALITY, Piece
from nepcube.sources.protocol import Request

GEOTIFF, NETCDF = "GeoTIFFs of AppEEARS", "a NetCDF of AppEEARS"
_MADE = "Use the file as AppEEARS made it."
_AXES = {("lat", "lon"): GEOGRAPHIC, ("ydim", "xdim"): SINUSOIDAL}
_CALENDARS = {"julian", "standard", "gregorian", "proleptic_gregorian"}


def parse(path: str, family: Family) -> re.Match[str] | None:
    """Read product, version, field, year and area from a file's name."""
    product = rf"(?P<product>{family.pattern})\.(?P<version>\d{{3}})"
    day = r"doy(?P<year>\d{4})(?P<day>\d{3})(?:\d{6})?"
    raster = rf"{product}_(?P<field>Npp(?:_QC)?(?:_500m)?)_{day}_(?P<area>aid\d+)"
    whole = rf"{product}_500m_(?P<area>aid\d+)"
    base = os.path.basename(path)
    return re.search(raster, base) or re.search(whole, base)


def look(path: str, name: re.Match[str], family: Family, request: Request) -> list[Piece]:
    """Open the header of a file whose name is understood.

    Raises
    ------
    SourceError
        The file is damaged, is not of the product, or is on no grid that is known.
    """
    if files.require(path, "TIFF", "HDF5") == "HDF5":
        return _netcdf(path, name, family, request)
    if "year" not in name.groupdict():
        raise SourceError(f"{path}: the name of a GeoTIFF of AppEEARS says field and day.", "Keep AppEEARS's name.")
    role = QUALITY if "_QC" in name["field"] else NPP
    wanted = "int16" if role == NPP else "uint8"
    if name["day"] != "001":
        raise SourceError(
            f"{path}: it is of day {name['day']}, a year's layer is of day 001.", f"Request {family.name}."
        )
    raster = rasters.read_header(path)
    header = raster.header
    if raster.foot is None or header.dtypes != (wanted,):
        raise SourceError(
            f"{path}: a GeoTIFF of one {wanted} band in EPSG:4326 or on the MODIS sinusoidal grid is needed "
            f"(found: {len(header.dtypes)} band(s) of {header.dtypes[0]}, projection {raster.crs}).",
            "Request the projection `geographic` or `native`, and use the files as AppEEARS made them.",
        )
    if role == NPP:
        family.require_raster(header.nodata[0], header.scales[0], header.offsets[0], name["field"], path)
    wants = "file " + os.path.basename(path).replace("_Npp_", "_Npp_QC_", 1)
    return [
        Piece(
            path, GEOTIFF, name["product"], name["version"], int(name["year"]), name["area"], raster.foot, role,
            Layer(path, index=1), None, wants,
        )
    ]  # fmt: skip


def _netcdf(path: str, name: re.Match[str], family: Family, request: Request) -> list[Piece]:
    import h5py

    require_sound_heaps(path)
    with border(path), h5py.File(local(path), "r") as file:
        held = {key: file[key] for key in list(file) if isinstance(file[key], h5py.Dataset)}
        field = held[family.field(held, FIELD, path)]
        axes = _axes(field, path)
        foot = _footprint(held, axes, path)
        family.require_type(str(field.dtype), "int16", FIELD, path)
        family.require(hdf5eos.attributes(field), FIELD, path)
        hdf5eos.require_whole(field, path)
        years = _years(held[axes[0]], path) if axes[0] in held else []
        place, quality = field.name, None
        if request.max_qc is not None:
            other = held[family.field(held, QC_FIELD, path)]
            family.require_type(str(other.dtype), "uint8", QC_FIELD, path)
            if _axes(other, path) != axes or other.shape != field.shape:
                raise SourceError(f"{path}: {QC_FIELD} is not on the cells of {FIELD}.", _MADE)
            hdf5eos.require_whole(other, path)
            quality = other.name
        shape = field.shape
    if shape != (len(years), foot.rows, foot.columns):
        raise SourceError(
            f"{path}: {FIELD} has {shape} cells, its axes have {(len(years), foot.rows, foot.columns)}.",
            "Download it again.",
        )
    return [
        Piece(
            path, NETCDF, name["product"], name["version"], year, name["area"], foot, NPP, Layer(path, place, step),
            None if quality is None else Layer(path, quality, step),
        )
        for step, year in enumerate(years)
    ]  # fmt: skip


def _axes(dataset: Any, path: str) -> tuple[str, str, str]:
    # a netCDF dimension is an HDF5 dimension scale; one without values is called by its own name all the same
    scales = [dataset.dims[k] for k in range(dataset.ndim)]
    names = tuple(scale[0].name.strip("/") if len(scale) else "" for scale in scales)
    for pair in _AXES:
        if names == ("time", *pair):
            return "time", *pair
    raise SourceError(
        f"{path}: {dataset.name.strip('/')} has the dimensions {', '.join(n or 'unnamed' for n in names)}; "
        "time, lat, lon or time, ydim, xdim are AppEEARS's.",
        _MADE,
    )


def _footprint(held: dict[str, Any], axes: tuple[str, str, str], path: str) -> Footprint:
    crs = _AXES[axes[1], axes[2]]
    mapping = hdf5eos.attributes(held["crs"]) if "crs" in held else {}
    wanted = "latitude_longitude" if crs == GEOGRAPHIC else "sinusoidal"
    if mapping.get("grid_mapping_name") != wanted:
        raise SourceError(
            f"{path}: `crs` has grid_mapping_name {mapping.get('grid_mapping_name')!r}, {wanted!r} goes with "
            f"{axes[1]} and {axes[2]}.",
            _MADE,
        )
    radius = mapping.get("semi_major_axis", mapping.get("earth_radius"))
    figure = SPHERE if crs == SINUSOIDAL else 6378137.0
    if radius is not None and abs(float(radius) - figure) > 1e-2:
        raise SourceError(f"{path}: `crs` has the radius {radius!r}, {figure} is the product's.", _MADE)
    tops, lefts = (_axis(held, axis, path) for axis in axes[1:])
    (y, dy, rows), (x, dx, columns) = tops, lefts
    if dy >= 0 or dx <= 0:
        raise SourceError(f"{path}: {axes[1]} does not fall, or {axes[2]} does not rise.", _MADE)
    foot = Footprint(crs, x - dx / 2, y - dy / 2, dx, -dy, rows, columns)
    if not foot.is_on_earth:
        raise damaged(path, ValueError("its corners do not lie on the globe"))
    return foot


def _axis(held: dict[str, Any], name: str, path: str) -> tuple[float, float, int]:
    if name not in held:
        raise SourceError(f"{path}: the coordinate {name} is not there.", _MADE)
    values = np.asarray(held[name][()], np.float64)
    if values.ndim != 1 or values.size < 2:
        raise SourceError(f"{path}: {name} has the shape {values.shape}, two cells at least are needed.", _MADE)
    step = float(values[-1] - values[0]) / (values.size - 1)
    if not np.isfinite(values).all() or np.abs(values[0] + step * np.arange(values.size) - values).max() > 0.01 * abs(
        step
    ):
        raise SourceError(f"{path}: {name} is not regular.", "Download it again.")
    return float(values[0]), step, values.size


def _years(time: Any, path: str) -> list[int]:
    attributes = hdf5eos.attributes(time)
    match = re.fullmatch(
        r"days since (\d{4}-\d{2}-\d{2})(?:[T ]0{1,2}:00(?::00(?:\.0+)?)?)?Z?", str(attributes.get("units"))
    )
    calendar = str(attributes.get("calendar", "standard")).lower()
    if match is None or calendar not in _CALENDARS:
        raise SourceError(
            f"{path}: time is in {attributes.get('units')!r} of the calendar {calendar!r}, "
            "days since a date are AppEEARS's.",
            _MADE,
        )
    days = np.asarray(time[()])
    whole = np.rint(days.astype(np.float64))
    if not np.isfinite(whole).all() or (whole != days).any() or np.abs(whole).max(initial=0) > 1e6:
        raise SourceError(f"{path}: time is not in whole days.", _MADE)
    dates = np.datetime64(match[1], "D") + whole.astype(int)
    years = dates.astype("datetime64[Y]")
    if (dates != years.astype("datetime64[D]")).any():
        raise SourceError(
            f"{path}: {dates[dates != years.astype('datetime64[D]')][0]} is a time of it, "
            "a yearly product has the first of January.",
            _MADE,
        )
    return [int(y) for y in years.astype(int) + 1970]
