"""Net primary productivity that the climate allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import SpecError

if TYPE_CHECKING:
    import xarray as xr

FORMULAS = {
    "miami": "NPP = c min(3000 / (1 + exp(1.315 - 0.119 T)), 3000 (1 - exp(-0.000664 P)))",
    "thornthwaite-memorial": (
        "NPP = c 3000 (1 - exp(-0.0009695 (v - 20))), v = 1.05 P / sqrt(1 + (1.05 P / L)^2), L = 300 + 25 T + 0.05 T^3"
    ),
}
CITATIONS = {
    "miami": "Lieth, H. 1973. Primary production: terrestrial ecosystems. Human Ecology 1, 303-332.",
    "thornthwaite-memorial": (
        "Lieth, H., Box, E. 1972. Evapotranspiration and primary productivity: C. W. Thornthwaite memorial model. "
        "Publications in Climatology 25(2), 37-46."
    ),
}


def potential_npp(
    temperature: xr.DataArray,
    precipitation: xr.DataArray,
    *,
    model: str = "miami",
    carbon_fraction: float = 0.45,
) -> xr.DataArray:
    """Compute the annual net primary productivity that temperature and precipitation allow.

    Parameters
    ----------
    temperature : xarray.DataArray
        Annual mean, degC.
    precipitation : xarray.DataArray
        Annual sum, mm year-1, on the same coordinates.
    model : {"miami", "thornthwaite-memorial"}
        Both give dry matter. The Thornthwaite Memorial model is 0 where the potential evapotranspiration is not
        positive (colder than about -10 degC) or the actual one is below 20 mm.
    carbon_fraction : float
        Carbon in dry matter: 0.45 by default; 0.475 and 0.5 are in use.

    Returns
    -------
    xarray.DataArray
        `npp`, float32, g of carbon m-2 year-1. Lazy on dask input.

    Raises
    ------
    SpecError
        The model is not known, a unit is wrong, the coordinates differ, or precipitation in memory is negative.

    References
    ----------
    Lieth, H. 1973. Human Ecology 1, 303-332. Lieth, H., Box, E. 1972. Publications in Climatology 25(2), 37-46.
    """
    import xarray as xr

    if model not in FORMULAS:
        raise SpecError(f"{model!r} is not a productivity model.", f"Use one of {', '.join(FORMULAS)}.")
    for da, unit in ((temperature, "degC"), (precipitation, "mm year-1")):
        if da.attrs.get("units") != unit:
            raise SpecError(
                f"{da.name}: in {da.attrs.get('units')!r}, {unit!r} is needed.", "Harmonise it with to_annual first."
            )

    if isinstance(precipitation.data, np.ndarray) and bool((precipitation.data < 0).any()):
        raise SpecError(
            f"precipitation: {float(precipitation.min()):.6g} mm in a year.",
            "Precipitation cannot be negative: check the nodata value and the unit of its files.",
        )

    def kernel(t: Any, p: Any) -> Any:
        from nepcube.nep import _kernels

        dry = (_kernels.miami if model == "miami" else _kernels.thornthwaite_memorial)(t, p)
        return (dry * carbon_fraction).astype(np.float32)

    try:
        out: xr.DataArray = xr.apply_ufunc(
            kernel,
            temperature.astype("float64"),
            precipitation.astype("float64"),
            dask="parallelized",
            output_dtypes=[np.float32],
            join="exact",
        )
    except ValueError as error:
        raise SpecError(
            f"Temperature and precipitation are not on the same coordinates ({error}).", "Bring them to one grid first."
        ) from None
    out.name = "npp"
    attrs = spec.CUBE["npp"].attrs() | {"long_name": f"potential net primary productivity ({model}), carbon"}
    out.attrs = attrs | {"productivity_model": model, "carbon_fraction": carbon_fraction}
    return out
