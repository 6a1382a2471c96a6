"""MOD17A3HGF: annual net primary productivity of MODIS, in every layout that its distributors give."""

from __future__ import annotations

from nepcube.sources.family import Family
from nepcube.sources.productivity import Productivity


class Mod17A3HGF(Productivity):
    """MOD17A3HGF and MYD17A3HGF, v061 and v006."""

    name = "mod17a3hgf"
    accepts = (
        "MOD17A3HGF v061 or v006: HDF4-EOS granules (MOD17A3HGF.AYYYYDDD.hHHvVV.VVV.*.hdf), their fields as "
        "GeoTIFF/COG (*_Npp_500m.tif), AppEEARS (MOD17A3HGF.VVV_Npp_500m_doyYYYYDDD_aid*.tif, "
        "MOD17A3HGF.VVV_500m_aid*.nc), Earth Engine exports (bands Npp_YYYY, or a GeoTIFF a year)"
    )
    citation = (
        "Running, S., Zhao, M. 2021. MODIS/Terra Net Primary Production Gap-Filled Yearly L4 Global 500 m SIN Grid "
        "V061. NASA LP DAAC. doi:10.5067/MODIS/MOD17A3HGF.061"
    )
    family = Family("MOD17A3HGF", "M[OY]D17A3HGF", "HDF4", "MOD17A2HGF and MOD17A3H are other products")
    exports = True
