"""Native series to years, months or days: de-accumulation, weights, completeness.

The sum of an interval is taken in the order of time, one cell for itself, in float64, so that it does not depend on
how the array is cut. A value is complete or it is missing: see `min_coverage`.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from nepcube import spec
from nepcube.errors import SourceError, SpecError, UnitError
from nepcube.harmonise.intervals import Interval, listed, plan, require_complete
from nepcube.units import conversion

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

_DAY = np.timedelta64(1, "D")
_HOUR = np.timedelta64(1, "h")


def to_annual(
    ds: xr.Dataset,
    *,
    years: tuple[int, int] | None = None,
    min_coverage: float = 1.0,
    coverage: bool = False,
    year_start: int = 1,
) -> xr.Dataset:
    """Make annual values: the mean temperature, the sums of precipitation and of radiation.

    Months are weighted by their days. ERA5-Land's hourly accumulations restart at 00 UTC, so a day's total is the
    value stamped 00 UTC of the next day; its monthly means of accumulations are per day, so a month's total is the
    value times the days of the month.

    Parameters
    ----------
    ds : xarray.Dataset
        As `open_source` gives it: dims (time, ...), attributes ``units``, ``aggregation`` and ``frequency``.
    years : tuple of int, optional
        First and last year; those that the data touch when left out.
    min_coverage : float
        The share of a year's days that must be there, 1 by default. Below 1, a mean is that of the days that are
        there and a sum is scaled up by them.
    coverage : bool
        Also give ``<name>_coverage``, the share of each year's days that the files hold, dims (time,), and of hourly
        accumulations ``<name>_clipped``, the number of negative increments (which packing leaves) set to zero.
    year_start : int
        The month in which a year begins, 1 by default. A year that begins later is called by the calendar year in
        which it ends: with 10, the year 2002 runs from 2001-10-01 to 2002-09-30.

    Returns
    -------
    xarray.Dataset
        Dims (time, ...), time at 1 January of the year by its name, float64, in the cube's units (degC, mm year-1,
        MJ m-2 year-1); lazy on lazy input. Variables that are annual already keep their values and type. Where a year
        does not begin in January, the attributes ``year_start`` and ``comment`` say so.

    Raises
    ------
    SourceError
        A year is incomplete and `min_coverage` does not allow it; or a year begins in another month and a variable is
        annual already.

    References
    ----------
    ECMWF, ERA5-Land: data documentation, section "Accumulations".
    """
    return _aggregate(ds, "year", years, min_coverage, coverage, year_start)


def to_interval(
    ds: xr.Dataset,
    frequency: str,
    *,
    years: tuple[int, int] | None = None,
    min_coverage: float = 1.0,
    year_start: int = 1,
) -> xr.Dataset:
    """Make monthly or daily values: means in degC, amounts in mm and MJ m-2.

    Parameters
    ----------
    ds : xarray.Dataset
        As `open_source` gives it.
    frequency : {"month", "day"}
    years, min_coverage, year_start
        As in `to_annual`; completeness is asked of each interval. Without `years`, the span of the series: of hourly
        accumulations those days whose closing 00 UTC value is there.

    Returns
    -------
    xarray.Dataset
        Dims (time, ...), float64, time at the start of each interval.

    Raises
    ------
    SourceError
        The series is coarser than `frequency`, or incomplete.
    """
    return _aggregate(ds, frequency, years, min_coverage, False, year_start)


def hourly_increments(values: xr.DataArray) -> xr.DataArray:
    """De-accumulate an ERA5-Land series that restarts at 00 UTC: the amount of the hour that ends at each stamp.

    The increment is v(h) - v(h-1), and v(01) at 01 UTC. The first stamp has no predecessor, unless it is 01 UTC, and
    is missing. Tiny negative increments, which packing leaves, become zero.

    Parameters
    ----------
    values : xarray.DataArray
        Hourly, dims (time, ...), rising.

    Returns
    -------
    xarray.DataArray
        Same shape; the attribute ``aggregation`` says that each value belongs to the hour before.
    """
    import xarray as xr

    time = values["time"].values
    restarts = xr.DataArray(_hours(time) == 1, {"time": values["time"]}, ("time",))
    follows = xr.DataArray(np.diff(time, prepend=time[:1] - _DAY) == _HOUR, {"time": values["time"]}, ("time",))
    wide = values.astype("float64")
    out = wide.where(restarts, (wide - wide.shift(time=1)).where(follows)).clip(min=0.0)
    out.attrs = dict(values.attrs) | {"aggregation": spec.PREVIOUS_HOUR}
    return out


def _hours(time: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray((time - time.astype("datetime64[D]")) // _HOUR, np.int64)


def _aggregate(
    ds: xr.Dataset, to: str, years: tuple[int, int] | None, min_coverage: float, coverage: bool, year_start: int
) -> xr.Dataset:
    import xarray as xr

    if year_start not in range(1, 13):
        raise SpecError(f"A year cannot begin in month {year_start!r}.", "Give a month from 1 to 12.")
    out: dict[str, Any] = {}
    for name, var in ds.data_vars.items():
        if var.attrs.get("frequency") == "year" and to == "year":
            _require_calendar_years(var, year_start)
            out[str(name)] = _pass_years(var, years)
            continue
        if "aggregation" not in var.attrs or "frequency" not in var.attrs:
            raise SpecError(
                f"{name}: the attributes `aggregation` and `frequency` are missing.",
                "Open the files with open_source, or set them as nepcube.sources.protocol describes.",
            )
        aggregation, frequency = var.attrs["aggregation"], var.attrs["frequency"]
        intervals = plan(var["time"].values, aggregation, frequency, to, years, str(name), year_start)
        require_complete(intervals, min_coverage, to, str(name), var.attrs.get("product", ""))
        value, clipped = _apply(var, str(name), intervals, to, min_coverage)
        out[str(name)] = _said(value, intervals, year_start) if to == "year" else value
        if coverage and clipped is not None:
            attrs = {"long_name": f"negative increments of {name} that were set to zero", "units": "1"}
            out[f"{name}_clipped"] = xr.DataArray(clipped, {"time": out[str(name)]["time"]}, ("time",), attrs=attrs)
        if coverage:
            share = [float(i.weights.sum()) / i.length for i in intervals]
            attrs = {"long_name": f"share of the {to}'s days that the files of {name} hold", "units": "1"}
            out[f"{name}_coverage"] = xr.DataArray(share, {"time": out[str(name)]["time"]}, ("time",), attrs=attrs)
    return xr.Dataset(out, attrs=ds.attrs)


def _said(value: xr.DataArray, intervals: Sequence[Interval], year_start: int) -> xr.DataArray:
    if year_start == 1 or not intervals:
        return value
    last = intervals[-1]
    end = (last.start + np.timedelta64(round(last.length), "D") - _DAY).astype("datetime64[D]")
    comment = f"a year begins in month {year_start}: {str(last.stamp)[:4]} is {str(last.start)[:10]} to {end}"
    return value.assign_attrs(year_start=year_start, comment=comment)


def _require_calendar_years(var: xr.DataArray, year_start: int) -> None:
    if year_start != 1:
        raise SourceError(
            f"{var.attrs.get('product', var.name)}: {var.name} is annual: no years that begin in month {year_start} "
            "can be made of it.",
            "Give monthly or finer files, or leave `year_start` at 1.",
        )


def _pass_years(var: xr.DataArray, years: tuple[int, int] | None) -> xr.DataArray:
    stamps = var["time"].values.astype("datetime64[Y]").astype(int) + 1970
    if len(np.unique(stamps)) < stamps.size:
        raise SourceError(
            f"{var.attrs.get('product', var.name)}: several values of {var.name} stand in one year.",
            "Give the true step with `time:`, or one file a year.",
        )
    if years is None:
        return _to_cube_units(var, str(var.name))
    missing = [y for y in range(years[0], years[1] + 1) if y not in set(stamps.tolist())]
    if missing:
        raise SourceError(
            f"{var.attrs.get('product', var.name)}: no {var.name} of {listed(missing)}.",
            "Add the files of these years, or change `period`.",
        )
    index = [int(np.flatnonzero(stamps == y)[0]) for y in range(years[0], years[1] + 1)]
    chosen = var.isel(time=slice(index[0], index[-1] + 1) if index == list(range(index[0], index[-1] + 1)) else index)
    return _to_cube_units(chosen, str(var.name))


def _to_cube_units(var: xr.DataArray, name: str) -> xr.DataArray:
    unit = var.attrs["units"]
    per_year = spec.CUBE[name].units if name in spec.CUBE else unit
    # an annual amount in "mm" is an amount per year
    bare = per_year.removesuffix(" year-1")
    if unit in (per_year, bare):
        return var.assign_attrs(units=per_year)
    c = conversion(unit, per_year if (unit.endswith("year-1")) else bare, of=name)
    return (var.astype("float64") * c.factor + c.offset).assign_attrs(var.attrs | {"units": per_year})


def _apply(
    var: xr.DataArray, name: str, intervals: Sequence[Interval], to: str, min_coverage: float
) -> tuple[xr.DataArray, Any]:
    import xarray as xr

    other = tuple(d for d in var.dims if d != "time")
    var = var.transpose("time", *other)
    aggregation = var.attrs["aggregation"]
    target = spec.INTERVAL_UNITS.get(name, var.attrs["units"])
    bare, scale = _amount_unit(var.attrs["units"], aggregation, var.attrs["frequency"], name)
    c = conversion(bare, target, of=name)
    options = {
        "is_mean": aggregation == spec.MEAN,
        "min_coverage": min_coverage,
        "factor": c.factor * scale,
        "offset": c.offset,
    }
    clip = aggregation in (spec.SINCE_00, spec.PREVIOUS_HOUR)
    if not clip and all(interval.steps.size == 1 for interval in intervals):
        data, clipped = _each(var.data, intervals, options), None
    else:
        data, clipped = _all(var.data, intervals, clip, options)
    unit = {"year": f"{target} year-1", "month": target, "day": target}[to] if aggregation != spec.MEAN else target
    starts = np.array([i.stamp for i in intervals], "datetime64[ns]")
    attrs = {k: v for k, v in var.attrs.items() if k not in ("units", "aggregation", "frequency", "long_name")}
    attrs |= {
        "units": unit,
        "frequency": to,
        "aggregation": spec.YEARLY if to == "year" else spec.MEAN if options["is_mean"] else spec.AMOUNT,
    }
    if to == "year" and name in spec.CUBE:
        attrs = spec.CUBE[name].attrs() | attrs
    coords = {k: v for k, v in var.coords.items() if "time" not in v.dims}
    return xr.DataArray(data, {"time": starts, **coords}, ("time", *other), attrs=attrs), clipped


def _amount_unit(unit: str, aggregation: str, frequency: str, name: str) -> tuple[str, float]:
    """Give the unit of a sum of values times days (or of a mean), and a factor; refuse what contradicts itself."""
    if name not in spec.INTERVAL_UNITS:
        raise UnitError(f"{name}: only annual values of it can be used.", "Say `time: year` if they are annual.")
    state = name == "temperature"
    if state != (aggregation == spec.MEAN):
        raise UnitError(
            f"{name}: `aggregate: {aggregation}` does not fit {'a state' if state else 'an amount'}.",
            "Temperature takes `mean`; precipitation and radiation take `amount` or `per_day`.",
        )
    if state:
        return unit, 1.0
    base, _, per = unit.rpartition(" ") if unit.endswith("-1") and unit != "W m-2" else (unit, "", "")
    step = per.removesuffix("-1")
    if unit == "W m-2":
        if aggregation == spec.PER_DAY:
            return "J m-2", 86400.0
    elif not step or step == ("day" if aggregation == spec.PER_DAY else frequency):
        return base or unit, 1.0
    step = "day" if aggregation == spec.PER_DAY else frequency
    raise UnitError(
        f"{name}: values in {unit!r} are not the amount of a {step}.",
        "Say `aggregate: per_day` for a daily rate, or the true unit with `units:`.",
    )


def _all(data: Any, intervals: Sequence[Interval], clip: bool, options: dict[str, Any]) -> tuple[Any, Any]:
    pieces, counts = zip(*(_one(data, interval, clip, options) for interval in intervals), strict=True)
    if isinstance(data, np.ndarray):
        return np.stack(pieces), np.stack(counts) if clip else None
    import dask.array as da

    return da.stack(pieces), da.stack(counts) if clip else None


def _each(data: Any, intervals: Sequence[Interval], options: dict[str, Any]) -> Any:
    # months of months, days of days: one task makes all of a chunk, where `_one` has several for each interval
    steps = _slice_of(np.concatenate([i.steps for i in intervals]))
    rows = np.array([(i.factors[0], i.weights[0], i.length) for i in intervals])
    if isinstance(data, np.ndarray):
        return _alone(data[steps], *rows.T, **options)
    import dask.array as da

    columns = [part for column in rows.T for part in (column, "t")]
    return da.blockwise(
        _alone, "tyx", data[steps], "tyx", *columns, dtype=np.float64, meta=np.empty((0, 0, 0)), **options
    )


def _alone(values: Any, factors: Any, weights: Any, lengths: Any, **options: Any) -> NDArray[np.float64]:
    out = np.empty(values.shape)
    for k, length in enumerate(lengths):
        here = slice(k, k + 1)
        out[k] = _finish(_step(None, values[here], factors[here], weights[here], False), float(length), **options)
    return out


def _slice_of(steps: NDArray[np.int64]) -> Any:
    contiguous = bool((np.diff(steps) == 1).all())
    return slice(int(steps[0]), int(steps[-1]) + 1) if contiguous else steps


def _one(data: Any, interval: Interval, clip: bool, options: dict[str, Any]) -> tuple[Any, Any]:
    # the value of an interval, and how many increments were clipped (whole numbers, so that any order gives their sum)
    state: Any = None
    if isinstance(data, np.ndarray):
        state = _step(None, data[interval.steps], interval.factors, interval.weights, clip)
        return _finish(state, interval.length, **options), state[2].sum()
    import dask.array as da

    # a year of days has hundreds of these graphs: names that are made up cost less than names that are worked out
    unique = f"{interval.stamp}-{uuid4().hex}"
    bounds = np.cumsum([0, *data.chunks[0]])
    # one chunk of time after the other, so that a year of hours is never in memory at once
    for a, b in itertools.pairwise(bounds):
        inside = (interval.steps >= a) & (interval.steps < b)
        if not inside.any():
            continue
        piece = data[_slice_of(interval.steps[inside])]
        state = da.blockwise(
            _step,
            "syx",
            state,
            None if state is None else "syx",
            piece,
            "tyx",
            interval.factors[inside],
            None,
            interval.weights[inside],
            None,
            clip,
            None,
            dtype=np.float64,
            concatenate=True,
            new_axes={"s": 3} if state is None else None,
            meta=np.empty((0, 0, 0)),
            name=f"accumulated-{a}-{unique}",
        )
    if state is None:
        state = da.zeros((3, *data.shape[1:]), chunks=(3, *data.chunks[1:]), dtype=np.float64)
    value = da.map_blocks(
        _finish,
        state,
        interval.length,
        drop_axis=0,
        dtype=np.float64,
        meta=np.empty((0, 0)),
        name=f"interval-{unique}",
        **options,
    )
    return value, state[2].sum() if clip else None


def _step(state: Any, values: Any, factors: Any, weights: Any, clip: bool) -> Any:
    from nepcube.harmonise import _kernels

    out = np.zeros((3, *values.shape[1:])) if state is None else np.array(state, dtype=np.float64, copy=True)
    _kernels.accumulate(out, np.ascontiguousarray(values), factors, weights, clip)
    return out


def _finish(
    state: Any, length: float, *, is_mean: bool, min_coverage: float, factor: float, offset: float
) -> NDArray[np.float64]:
    from nepcube.harmonise import _kernels

    out: NDArray[np.float64] = _kernels.finish(
        np.ascontiguousarray(state), length, is_mean, min_coverage, factor, offset
    )
    return out
