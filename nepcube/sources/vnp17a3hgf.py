"""VNP17A3GF: annual net primary productivity of VIIRS, which continues the record of MODIS.

NASA's catalogue calls the products VNP17A3GF (Suomi NPP) and VJ117A3GF (NOAA-20), version 002; the name with an H, as
MODIS has it, and VJ2 (NOAA-21) are read too. The layout is that of the VIIRS land products: HDF5-EOS, the fields in
``HDFEOS/GRIDS/<grid>/Data Fields``, the geometry in ``HDFEOS INFORMATION/StructMetadata.0``, on the MODIS sinusoidal
tiles. The algorithm is that of MOD17.

Not verified on a real granule: the names of the fields (``Npp_500m`` or ``Npp``, and the same with ``Npp_QC``), their
types (int16, uint8) and attributes, that the codes are 32761..32767, and that the quality is a percentage. A file whose
attributes say otherwise is refused.
"""

from __future__ import annotations

from nepcube.sources.family import Family
from nepcube.sources.productivity import Productivity


class Vnp17A3HGF(Productivity):
    """VNP17A3GF, VJ117A3GF and VJ217A3GF, v002 and v001."""

    name = "vnp17a3hgf"
    accepts = (
        "VNP17A3GF (VNP17A3HGF), VJ117A3GF: HDF5-EOS granules (VNP17A3GF.AYYYYDDD.hHHvVV.VVV.*.h5), their fields as "
        "GeoTIFF/COG (*_Npp_500m.tif), AppEEARS (VNP17A3GF.VVV_Npp_500m_doyYYYYDDD_aid*.tif, *_500m_aid*.nc)"
    )
    citation = (
        "VIIRS/NPP Gross and Net Primary Production Gap-Filled Yearly L4 Global 500 m SIN Grid V002. NASA LP DAAC. "
        "doi:10.5067/VIIRS/VNP17A3GF.002"
    )
    family = Family("VNP17A3GF", "V(?:NP|J1|J2)17A3H?GF", "HDF5", "VNP17A2GF and VNP17A3 are other products")
