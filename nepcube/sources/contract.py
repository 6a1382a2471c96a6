"""What a reader hands over, held against the protocol, so that a fault of a reader is told with its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import NepcubeError, SourceError, UnitError
from nepcube.sources.protocol import Inspection, Request, Source
from nepcube.units import canonical, conversion

if TYPE_CHECKING:
    import xarray as xr

_PAIRS = (("latitude", "longitude"), ("y", "x"))
_STEPS = tuple(f" {step}-1" for step in spec.FREQUENCIES)


def opened(source: Source, request: Request) -> xr.Dataset:
    """Open with a reader, and refuse a dataset that is not what `nepcube.sources.protocol` describes.

    Parameters
    ----------
    source : Source
    request : Request

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    SourceError
        The reader refuses the files, fails, or gives something else; in the last two cases it is named.
    UnitError
        A variable is in a unit of something else: of its files, or by a fault of the reader.
    """
    ds = _call(source, "open", request)
    fault = _fault_of(ds, source, request)
    if fault:
        raise _broken(source, fault)
    for name in (n for n in spec.INPUTS if n in ds.data_vars):
        _require_unit(ds[name], name, source)
    out: xr.Dataset = ds
    return out


def inspected(source: Source, request: Request) -> Inspection:
    """Inspect with a reader, and refuse what is no `Inspection`.

    Raises
    ------
    SourceError
        The reader fails, or gives something else.
    """
    found = _call(source, "inspect", request)
    if not isinstance(found, Inspection):
        raise _broken(source, f"inspect() gives a {type(found).__name__}, not an Inspection")
    return found


def _call(source: Source, method: str, request: Request) -> Any:
    try:
        return getattr(source, method)(request)
    except NepcubeError:
        raise
    except Exception as error:
        if type(source).__module__.startswith("nepcube."):
            # a fault of ours is not dressed up as one of the data
            raise
        raise _broken(source, f"{method}() fails ({type(error).__name__}: {error})") from error


def _broken(source: Source, what: str) -> SourceError:
    kind = type(source)
    return SourceError(
        f"The reader {source.name!r} ({kind.__module__}:{kind.__qualname__}): {what}.",
        "Mend the reader, or tell its author: docs/readers.md says what it has to give.",
    )


def _fault_of(ds: Any, source: Source, request: Request) -> str:
    import xarray as xr

    if not isinstance(ds, xr.Dataset):
        return f"open() gives a {type(ds).__name__}, not an xarray.Dataset"
    held = [n for n in spec.INPUTS if n in ds.data_vars]
    if request.quantity is not None and request.quantity not in held:
        return f"{request.quantity!r} is not in its dataset (found: {', '.join(map(str, ds.data_vars)) or 'nothing'})"
    if not held:
        return f"its dataset holds none of {', '.join(spec.INPUTS)}"
    for name in held:
        fault = _fault_of_variable(ds[name], name)
        if fault:
            return f"{name} {fault}"
    if "npp_flag" in ds and ds["npp_flag"].dtype != np.uint8:
        return f"npp_flag is {ds['npp_flag'].dtype}, not uint8"
    return _fault_of_axes(ds)


def _fault_of_variable(v: xr.DataArray, name: str) -> str:
    if not any(set(v.dims) == {"time", *pair} for pair in _PAIRS):
        return f"has the dims ({', '.join(map(str, v.dims))}), not (time, latitude, longitude) or (time, y, x)"
    if v.chunks is None:
        return "is not lazy (it must be a dask array)"
    if v.dtype.kind != "f":
        return f"is {v.dtype}, not a float with NaN where there is no data"
    for key, known in (("aggregation", spec.AGGREGATIONS), ("frequency", spec.FREQUENCIES)):
        if v.attrs.get(key) not in known:
            return f"has the attribute {key} {v.attrs.get(key)!r}, not one of {', '.join(known)}"
    if not isinstance(v.attrs.get("product"), str) or not v.attrs["product"].strip():
        return "has no attribute product"
    unit = v.attrs.get("units")
    try:
        spelt = canonical(None if unit is None else str(unit), of=name)
    except UnitError as error:
        return f"has the unit {unit!r} ({error.what.removeprefix(f'{name}: ').rstrip('.')})"
    return f"has the unit {unit!r}, which is written {spelt!r} here" if spelt != unit else ""


def _require_unit(v: xr.DataArray, name: str, source: Source) -> None:
    unit = str(v.attrs["units"])
    if unit == "W m-2" and name == "radiation":
        return
    bare = next((unit.removesuffix(step) for step in _STEPS if unit.endswith(step)), unit)
    try:
        if name == "npp":
            conversion(unit, spec.CUBE["npp"].units, of=name)
        else:
            conversion(bare, spec.INTERVAL_UNITS[name], of=name)
    except UnitError:
        raise UnitError(
            f"The reader {source.name!r} gives {name} in {unit!r}, which is no unit of {name}.",
            "Check that the files hold the quantity, or say its true unit with `units:`; or mend the reader.",
        ) from None


def _fault_of_axes(ds: xr.Dataset) -> str:
    time = ds["time"] if "time" in ds.coords else None
    if time is None or not np.issubdtype(time.dtype, np.datetime64):
        return "time is no coordinate of datetime64"
    stamps = time.values
    if not stamps.size or np.isnat(stamps).any() or not (np.diff(stamps) > np.timedelta64(0)).all():
        return "time does not rise from step to step"
    pair = next(p for p in _PAIRS if set(p) <= set(ds.dims))
    for axis in pair:
        if axis not in ds.coords:
            return f"{axis} has no coordinate"
        v = ds[axis].values
        if v.dtype != np.float64 or not np.isfinite(v).all():
            return f"{axis} is not in float64, or not finite"
        steps = np.diff(v)
        if steps.size and (abs(steps.min() - steps.max()) > 0.04 * abs(steps[0]) or not steps[0]):
            return f"{axis} is not regular"
    if "spatial_ref" not in ds.coords or not ds["spatial_ref"].attrs.get("crs_wkt"):
        return "there is no coordinate spatial_ref with the attribute crs_wkt"
    return ""
