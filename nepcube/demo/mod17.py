"""Write MOD17A3HGF tiles as NASA does: HDF4-EOS, one file a tile and year."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nepcube.demo.truth import TILE_METRES, Truth

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TILES = ((25, 5), (26, 5))
_GRID = "MOD_Grid_MOD17A3"
_WEST, _NORTH = -20015109.354, 10007554.677
_RADIUS = 6371007.181
_STRUCT_LENGTH = 32000  # HDF-EOS pads the structural metadata to this length


def granule(year: int, h: int, v: int) -> str:
    """Give the file name of a tile of a year, production stamp included."""
    return f"MOD17A3HGF.A{year}001.h{h:02d}v{v:02d}.061.{_production(year)}.hdf"


def _production(year: int) -> str:
    return "2020048210133" if year < 2019 else f"{year + 1}048210133"


def write_years(
    directory: Path,
    scenario: str,
    seed: int,
    pixels: int,
    span: tuple[int, int],
    tile: tuple[int, int],
    years: list[int],
) -> list[str]:
    """Write one tile of some years, and leave the files that are there.

    Everything is passed by value, so that a process can be given the work. Returns the names of the files.
    """
    import numpy as np

    h, v = tile
    names = [granule(year, h, v) for year in years]
    missing = [year for year, name in zip(years, names, strict=True) if not (directory / name).exists()]
    if missing:
        truth = Truth(scenario, seed=seed, pixels=pixels, years=span)
        npp, qc, gpp = truth._tile(h, v, np.array(missing, dtype=np.int64))
        for k, year in enumerate(missing):
            final = directory / granule(year, h, v)
            part = final.with_name(f".{final.name}.{os.getpid()}.part")
            try:
                _write(part, final.name, year, h, v, gpp[k], npp[k], qc[k])
                _write_groups(part)
                os.replace(part, final)
            finally:
                part.unlink(missing_ok=True)
    return names


def _write(
    path: Path,
    name: str,
    year: int,
    h: int,
    v: int,
    gpp: NDArray[np.uint16],
    npp: NDArray[np.int16],
    qc: NDArray[np.uint8],
) -> None:
    from pyhdf.SD import SD, SDC

    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    try:
        flux: dict[str, str | float] = {
            "units": "kg_C/m^2",
            "scale_factor": 0.0001,
            "add_offset": 0.0,
            "calibrated_nt": "float",
        }
        _dataset(
            file,
            "Gpp_500m",
            SDC.UINT16,
            gpp,
            65535,
            [0, 65500],
            {"long_name": "Annual_Gross_Primary_Productivity", **flux},
        )
        _dataset(
            file,
            "Npp_500m",
            SDC.INT16,
            npp,
            32767,
            [-30000, 32700],
            {"long_name": "Annual_Net_Primary_Productivity", **flux},
        )
        _dataset(
            file,
            "Npp_QC_500m",
            SDC.UINT8,
            qc,
            255,
            [0, 100],
            {"long_name": "QC_for_Npp_percent_of_growing_days_gap_filled", "units": "percent"},
        )
        north, west, south, east = _bounds(h, v)
        file.attr("HDFEOSVersion").set(SDC.CHAR, "HDFEOS_V2.19")
        struct = _struct_metadata(npp.shape[0], h, v)
        file.attr("StructMetadata.0").set(SDC.CHAR, struct + "\0" * (_STRUCT_LENGTH - len(struct)))
        file.attr("CoreMetadata.0").set(SDC.CHAR, _core_metadata(name, year, h, v))
        file.attr("ArchiveMetadata.0").set(SDC.CHAR, _archive_metadata(npp.shape[0], (north, west, south, east)))
        file.attr("identifier_product_doi").set(SDC.CHAR, "10.5067/MODIS/MOD17A3HGF.061")
        file.attr("identifier_product_doi_authority").set(SDC.CHAR, "http://dx.doi.org")
        file.attr("generated_by").set(SDC.CHAR, "nepcube: generated data, no observation")
    finally:
        file.end()


def _write_groups(path: Path) -> None:
    # HDF-EOS hangs the fields of a grid into groups; GDAL finds a grid by them, not by its structural metadata
    from pyhdf.HDF import HC, HDF
    from pyhdf.SD import SD
    from pyhdf.V import V  # noqa: F401  adds `vgstart` to HDF files

    file = SD(str(path))
    fields = [file.select(name).ref() for name in ("Gpp_500m", "Npp_500m", "Npp_QC_500m")]
    file.end()
    whole = HDF(str(path), HC.WRITE)
    groups = whole.vgstart()
    grid, data, attributes = (groups.create(name) for name in (_GRID, "Data Fields", "Grid Attributes"))
    grid._class, data._class, attributes._class = "GRID", "GRID Vgroup", "GRID Vgroup"
    for field in fields:
        data.add(HC.DFTAG_NDG, field)
    grid.insert(data)
    grid.insert(attributes)
    for group in (data, attributes, grid):
        group.detach()
    groups.end()
    whole.close()


def _dataset(
    file: Any, name: str, kind: int, data: NDArray[Any], fill: int, valid: list[int], attrs: dict[str, str | float]
) -> None:
    from pyhdf.SD import SDC

    sds = file.create(name, kind, data.shape)
    try:
        sds.setcompress(SDC.COMP_DEFLATE, 4)
        for axis, dim in enumerate(("YDim", "XDim")):
            sds.dim(axis).setname(f"{dim}:{_GRID}")
        for key, value in attrs.items():
            if key == "calibrated_nt":
                sds.attr(key).set(SDC.INT32, 5)
            elif isinstance(value, str):
                sds.attr(key).set(SDC.CHAR, value)
            else:
                sds.attr(key).set(SDC.FLOAT64, value)
        sds.attr("valid_range").set(kind, valid)
        sds.attr("_FillValue").set(kind, fill)
        sds[:] = data
    finally:
        sds.endaccess()


def corners(h: int, v: int) -> tuple[float, float, float, float]:
    """Give the west, north, east and south edge of a tile in metres, as NASA rounds them."""
    left, top = _WEST + h * TILE_METRES, _NORTH - v * TILE_METRES
    return left, top, left + TILE_METRES, top - TILE_METRES


def _bounds(h: int, v: int) -> tuple[float, float, float, float]:
    left, top, right, bottom = corners(h, v)
    north, south = math.degrees(top / _RADIUS), math.degrees(bottom / _RADIUS)

    def longitude(x: float, latitude: float) -> float:
        return math.degrees(x / (_RADIUS * math.cos(math.radians(latitude))))

    return (
        north,
        min(longitude(left, north), longitude(left, south)),
        south,
        max(longitude(right, north), longitude(right, south)),
    )


def _struct_metadata(pixels: int, h: int, v: int) -> str:
    left, top, right, bottom = corners(h, v)
    fields = (("Gpp_500m", "DFNT_UINT16"), ("Npp_500m", "DFNT_INT16"), ("Npp_QC_500m", "DFNT_UINT8"))
    objects = "".join(
        f"\t\t\tOBJECT=DataField_{k}\n"
        f'\t\t\t\tDataFieldName="{name}"\n'
        f"\t\t\t\tDataType={kind}\n"
        '\t\t\t\tDimList=("YDim","XDim")\n'
        "\t\t\t\tCompressionType=HDFE_COMP_DEFLATE\n"
        "\t\t\t\tDeflateLevel=4\n"
        f"\t\t\tEND_OBJECT=DataField_{k}\n"
        for k, (name, kind) in enumerate(fields, start=1)
    )
    return (
        "GROUP=SwathStructure\nEND_GROUP=SwathStructure\nGROUP=GridStructure\n\tGROUP=GRID_1\n"
        f'\t\tGridName="{_GRID}"\n\t\tXDim={pixels}\n\t\tYDim={pixels}\n'
        f"\t\tUpperLeftPointMtrs=({left:.6f},{top:.6f})\n\t\tLowerRightMtrs=({right:.6f},{bottom:.6f})\n"
        "\t\tProjection=GCTP_SNSOID\n\t\tProjParams=(6371007.181000,0,0,0,0,0,0,0,0,0,0,0,0)\n"
        "\t\tSphereCode=-1\n\t\tGridOrigin=HDFE_GD_UL\n"
        "\t\tGROUP=Dimension\n\t\tEND_GROUP=Dimension\n"
        f"\t\tGROUP=DataField\n{objects}\t\tEND_GROUP=DataField\n"
        "\t\tGROUP=MergedFields\n\t\tEND_GROUP=MergedFields\n"
        "\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\nGROUP=PointStructure\nEND_GROUP=PointStructure\nEND\n"
    )


def _odl(name: str, value: str | float, indent: str = "    ") -> str:
    text = f'"{value}"' if isinstance(value, str) else f"{value}"
    return (
        f"{indent}{'OBJECT':<22} = {name}\n"
        f"{indent}  NUM_VAL              = 1\n"
        f"{indent}  VALUE                = {text}\n"
        f"{indent}{'END_OBJECT':<22} = {name}\n\n"
    )


def _group(name: str, body: str, indent: str = "  ") -> str:
    return f"{indent}{'GROUP':<22} = {name}\n\n{body}{indent}{'END_GROUP':<22} = {name}\n\n"


def _core_metadata(name: str, year: int, h: int, v: int) -> str:
    made = _production(year)
    granule_part = (
        _odl("REPROCESSINGPLANNED", "further update is anticipated")
        + _odl("REPROCESSINGACTUAL", "reprocessed")
        + _odl("LOCALGRANULEID", name)
        + _odl("DAYNIGHTFLAG", "Day")
        + _odl("PRODUCTIONDATETIME", f"{made[:4]}-02-17T{made[7:9]}:{made[9:11]}:{made[11:]}.000Z")
        + _odl("LOCALVERSIONID", "generated by nepcube, no observation")
    )
    collection = _odl("SHORTNAME", "MOD17A3HGF") + _odl("VERSIONID", 61)
    dates = (
        _odl("RANGEBEGINNINGTIME", "00:00:00")
        + _odl("RANGEENDINGTIME", "23:59:59")
        + _odl("RANGEBEGINNINGDATE", f"{year}-01-01")
        + _odl("RANGEENDINGDATE", f"{year}-12-31")
    )
    extra = "".join(
        f'    {"OBJECT":<22} = ADDITIONALATTRIBUTESCONTAINER\n      CLASS                = "{k}"\n\n'
        + _odl("ADDITIONALATTRIBUTENAME", key, "      ")
        + _odl("PARAMETERVALUE", value, "      ")
        + f"    {'END_OBJECT':<22} = ADDITIONALATTRIBUTESCONTAINER\n\n"
        for k, (key, value) in enumerate(
            (
                ("HORIZONTALTILENUMBER", str(h)),
                ("VERTICALTILENUMBER", str(v)),
                ("TileID", f"51{h:03d}{v:03d}"),
                ("identifier_product_doi", "10.5067/MODIS/MOD17A3HGF.061"),
            ),
            start=1,
        )
    )
    body = (
        _group("ECSDATAGRANULE", granule_part)
        + _group("COLLECTIONDESCRIPTIONCLASS", collection)
        + _group("RANGEDATETIME", dates)
        + _group("ADDITIONALATTRIBUTES", extra)
    )
    head = f"\n{'GROUP':<22} = INVENTORYMETADATA\n  GROUPTYPE            = MASTERGROUP\n\n"
    return f"{head}{body}{'END_GROUP':<22} = INVENTORYMETADATA\n\nEND\n"


def _archive_metadata(pixels: int, bounds: tuple[float, float, float, float]) -> str:
    north, west, south, east = bounds
    body = (
        _odl("CHARACTERISTICBINSIZE", round(TILE_METRES / pixels, 12))
        + _odl("DATACOLUMNS", pixels)
        + _odl("DATAROWS", pixels)
        + _odl("GLOBALGRIDCOLUMNS", 36 * pixels)
        + _odl("GLOBALGRIDROWS", 18 * pixels)
        + _odl("LONGNAME", "MODIS/Terra Net Primary Production Gap-Filled Yearly L4 Global 500m SIN Grid")
    )
    box = (
        _odl("NORTHBOUNDINGCOORDINATE", north)
        + _odl("SOUTHBOUNDINGCOORDINATE", south)
        + _odl("EASTBOUNDINGCOORDINATE", east)
        + _odl("WESTBOUNDINGCOORDINATE", west)
    )
    head = f"\n{'GROUP':<22} = ARCHIVEDMETADATA\n  GROUPTYPE            = MASTERGROUP\n\n"
    return f"{head}{body}{_group('BOUNDINGRECTANGLE', box)}{'END_GROUP':<22} = ARCHIVEDMETADATA\n\nEND\n"
