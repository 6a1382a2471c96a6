"""Temperature brought from the relief of a climate model to that of a finer elevation model, by a lapse rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nepcube.errors import UnitError

if TYPE_CHECKING:
    import xarray as xr

#: standard gravity, m s-2: geopotential divided by it is geopotential height
GRAVITY = 9.80665
#: mean decrease of air temperature with height, K km-1 (ICAO standard atmosphere)
LAPSE_RATE = 6.5

_GEOPOTENTIAL = {"m2 s-2", "m**2 s**-2", "m^2 s^-2", "m2/s2", "m^2/s^2", "j kg-1", "j kg**-1"}
_HEIGHT = {"m", "metre", "metres", "meter", "meters", "gpm"}


def surface_height(field: xr.DataArray, *, units: str | None = None, of: str = "elevation") -> xr.DataArray:
    """Give the height of a surface in m, of a field that holds heights or a geopotential.

    Parameters
    ----------
    field : xarray.DataArray
        With ``units`` of a length (m) or of a geopotential (m2 s-2), which is divided by standard gravity.
    units : str, optional
        The unit of a field that does not name it.
    of : str
        What the field is, for the message.

    Returns
    -------
    xarray.DataArray
        In m, lazy on lazy input.

    Raises
    ------
    UnitError
        The unit is missing or neither of the two.

    References
    ----------
    ECMWF, ERA5-Land: data documentation, section "Geopotential": height is geopotential over 9.80665 m s-2.
    """
    given = field.attrs.get("units") if units is None else units
    unit = " ".join(str(given or "").lower().split())
    attrs = {"long_name": "surface height", "units": "m"}
    if unit in _GEOPOTENTIAL:
        return (field.astype("float64") / GRAVITY).assign_attrs(attrs)
    if unit in _HEIGHT:
        return field.assign_attrs(attrs)
    raise UnitError(
        f"{of}: {repr(given) if given else 'no unit'} is neither a height (m) nor a geopotential (m2 s-2).",
        "Say its true unit with `units:` beside its `path:`.",
    )


def correct_for_elevation(
    temperature: xr.DataArray, coarse: xr.DataArray, fine: xr.DataArray, lapse_rate: float = LAPSE_RATE
) -> xr.DataArray:
    """Bring temperature from the height that it belongs to to the height of the cells.

    T + lapse_rate x (coarse - fine) / 1000: a cell that lies above the model's surface is colder.

    Parameters
    ----------
    temperature : xarray.DataArray
        degC, on the grid.
    coarse, fine : xarray.DataArray
        Height in m on the same cells: of the surface that the temperature belongs to, brought to the grid as the
        temperature was, and of the cells themselves. What lacks one of them is missing.
    lapse_rate : float
        Decrease with height, K km-1.

    Returns
    -------
    xarray.DataArray
        degC, in the type of `temperature`, rounded once.
    """
    shift = (coarse.astype("float64") - fine.astype("float64")) * (lapse_rate / 1000.0)
    out = (temperature.astype("float64") + shift).astype(temperature.dtype)
    return out.transpose(*temperature.dims).assign_attrs(
        temperature.attrs | {"elevation_correction": f"{lapse_rate:g} K km-1", "lapse_rate": np.float64(lapse_rate)}
    )
