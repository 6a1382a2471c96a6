"""ERA5 on single levels: hours (accumulations of the hour before), daily statistics, monthly means, 0.25 degree."""

from __future__ import annotations

from nepcube import spec
from nepcube.sources.ecmwf import Product, Reanalysis


class Era5(Reanalysis):
    """ERA5, 0.25 degree."""

    name = "era5"
    accepts = (
        "ERA5 single levels as NetCDF, GRIB or Zarr (t2m, tp, ssr): monthly means, daily statistics, or hours with "
        "accumulations of the hour before; files split by `stepType` too"
    )
    citation = (
        "Hersbach, H. et al. 2023. ERA5 hourly and monthly averaged data on single levels from 1940 to present. "
        "Copernicus Climate Change Service Climate Data Store. doi:10.24381/cds.adbb2d47, doi:10.24381/cds.f17050d7"
    )
    product = Product("ERA5", step=0.25, hourly=spec.PREVIOUS_HOUR)
