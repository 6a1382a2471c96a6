"""Net ecosystem productivity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube import spec
from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr

FORMULA = "NEP = NPP - RH"
CITATION = (
    "Woodwell, G. M., Whittaker, R. H. 1968. Primary production in terrestrial ecosystems. American Zoologist 8, 19-30."
)


def net_ecosystem_productivity(npp: xr.DataArray, rh: xr.DataArray) -> xr.DataArray:
    """Subtract heterotrophic respiration from net primary productivity: positive is a sink.

    It is not the net biome balance: fire, harvest, grazing and lateral export are not in it.

    Parameters
    ----------
    npp, rh : xarray.DataArray
        g of carbon m-2 year-1, on exactly the same coordinates.

    Returns
    -------
    xarray.DataArray
        `nep`, same shape and unit; missing where either is. Lazy on dask input.

    Raises
    ------
    SpecError
        A unit is wrong, or the coordinates differ.

    References
    ----------
    Woodwell, G. M., Whittaker, R. H. 1968. American Zoologist 8, 19-30.
    """
    import xarray as xr

    for da, name in ((npp, "npp"), (rh, "rh")):
        if da.attrs.get("units") != spec.CARBON_FLUX:
            raise SpecError(
                f"{name}: in {da.attrs.get('units')!r}, {spec.CARBON_FLUX!r} is needed.", "Convert it first."
            )
    try:
        xr.align(npp, rh, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"npp and rh are not on the same coordinates ({error}).", "Bring them to one grid and one period first."
        ) from None
    out = npp - rh
    out.name = "nep"
    out.attrs = spec.CUBE["nep"].attrs()
    if "productivity_model" in npp.attrs:
        out.attrs["long_name"] = "potential net ecosystem productivity, carbon, positive is a sink"
    return out
