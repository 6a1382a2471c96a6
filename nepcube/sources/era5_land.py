"""ERA5-Land: hours that accumulate from 00 UTC, daily statistics and monthly means, 0.1 degree."""

from __future__ import annotations

from nepcube import spec
from nepcube.sources.ecmwf import Product, Reanalysis


class Era5Land(Reanalysis):
    """ERA5-Land, 0.1 degree."""

    name = "era5-land"
    accepts = (
        "ERA5-Land NetCDF, GRIB or Zarr (t2m, tp, ssr): monthly means, daily statistics, or hours with accumulations "
        "from 00 UTC; `valid_time` or `time`, `expver` and `number` as they come"
    )
    citation = (
        "Muñoz Sabater, J. 2019. ERA5-Land hourly and monthly averaged data from 1950 to present. Copernicus Climate "
        "Change Service Climate Data Store. doi:10.24381/cds.e2161bac, doi:10.24381/cds.68d2bb30"
    )
    product = Product("ERA5-Land", step=0.1, hourly=spec.SINCE_00)
