"""Several series of each cell at once: from labelled arrays to blocks of (time, cells); no arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import SpecError
from nepcube.stats._apply import floating, one_chunk, require_dim, told, year_index

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

#: of the series that a kernel is given at once
STRIP_BYTES = 2**19


def calendar(da: xr.DataArray, dim: str) -> NDArray[np.float64]:
    """Give the years of an array: of dates their number, of numbers themselves."""
    index = year_index(da, dim)
    if dim not in da.coords or not index.size:
        return index
    first = da[dim].values[0]
    if isinstance(first, np.datetime64):
        return index + float(first.astype("datetime64[Y]").astype(np.int64) + 1970)
    return index + float(first)


def lead(
    da: xr.DataArray, drivers: Mapping[str, xr.DataArray], lags: Mapping[str, int], dim: str
) -> tuple[xr.DataArray, dict[str, xr.DataArray]]:
    """Set beside each year the drivers of so many years before; years without are left out."""
    require_dim(da, dim)
    for name, lag in lags.items():
        if lag < 0 or lag != int(lag):
            raise SpecError(f"lag of {name}: {lag} is not a number of years.", "Give 0, or how many years it leads.")
    if not any(lags.values()):
        return da, dict(drivers)
    years = calendar(da, dim)
    keep = np.ones(years.size, bool)
    places: dict[str, NDArray[np.int64]] = {}
    for name, driver in drivers.items():
        lag = lags.get(name, 0)
        require_dim(driver, dim)
        theirs = calendar(driver, dim)
        if not lag:
            if not np.array_equal(theirs, years):
                raise SpecError(
                    f"The arrays are not on the same coordinates ({name} has other years).",
                    "Bring them to one grid and one period first.",
                )
            continue
        at = np.searchsorted(theirs, years - lag)
        there = at < theirs.size
        there[there] = theirs[at[there]] == (years - lag)[there]
        keep &= there
        places[name] = at
    if not keep.any():
        raise SpecError(
            f"lag: no year has its drivers {max(lags.values())} year(s) before.",
            "Ask for a shorter lag or a longer record.",
        )
    mine = da.isel({dim: keep})
    moved = {}
    for name, driver in drivers.items():
        if name not in places:
            moved[name] = driver.isel({dim: keep})
            continue
        led = driver.isel({dim: places[name][keep]})
        led = led.drop_vars([c for c in led.coords if dim in led[c].dims])
        moved[name] = led.assign_coords({dim: mine[dim]}) if dim in mine.coords else led
    return mine, moved


def apply_blocks(
    kernel: Callable[..., tuple[NDArray[Any], ...]],
    series: Sequence[xr.DataArray],
    dim: str,
    outputs: Mapping[str, tuple[tuple[str, ...], Mapping[str, Any]]],
    sizes: Mapping[str, int],
    dtype: Any = None,
    like: int = -1,
) -> xr.Dataset:
    """Run a kernel on all series of a block.

    Parameters
    ----------
    kernel : callable
        Takes a tuple of (time, cells) arrays of one type, gives one array (own dimensions, cells) for each output.
    series : sequence of xarray.DataArray
        On exactly the same coordinates.
    outputs : mapping
        Names of the results, with their own dimensions and attributes.
    sizes : mapping
        Lengths of the own dimensions.
    dtype : optional
        Of the results; the widest of the input when left out.
    like : int
        The series whose order of dimensions the results have: the last.
    """
    import xarray as xr

    inputs = [floating(one_chunk(a, dim)) for a in series]
    wide = np.result_type(*(a.dtype for a in inputs))
    inputs = [a.astype(wide, copy=False) for a in inputs]
    kind = np.dtype(wide if dtype is None else dtype)
    try:
        xr.align(*inputs, join="exact", copy=False)
    except ValueError as error:
        raise SpecError(
            f"The arrays are not on the same coordinates ({error}).", "Bring them to one grid and one period first."
        ) from None
    owns = [own for own, _ in outputs.values()]

    def block(*arrays: Any) -> tuple[Any, ...]:
        full = np.broadcast_arrays(*arrays)
        cells = full[0].shape[:-1]
        count = int(np.prod(cells))
        # a block of years by rows and columns is not copied as a whole
        flat = [np.ascontiguousarray(np.moveaxis(a, -1, 0)).reshape(a.shape[-1], count) for a in full]
        shapes = [tuple(sizes[d] for d in own) for own in owns]
        made = [np.empty((*shape, count), kind) for shape in shapes]
        for strip in _strips(flat, count):
            found = kernel(tuple(_own(a[:, strip]) for a in flat))
            for out, values in zip(made, found, strict=True):
                out[..., strip] = values[..., : strip.stop - strip.start]
        return tuple(
            np.moveaxis(out.reshape((*shape, *cells)), range(len(shape)), range(-len(shape), 0))
            if shape
            else out.reshape(cells)
            for out, shape in zip(made, shapes, strict=True)
        )

    results = xr.apply_ufunc(
        block,
        *inputs,
        input_core_dims=[[dim]] * len(inputs),
        output_core_dims=[list(own) for own in owns],
        dask="parallelized",
        output_dtypes=[kind] * len(outputs),
        join="exact",
        dask_gufunc_kwargs={"allow_rechunk": True, "output_sizes": dict(sizes)},
    )
    if len(outputs) == 1:
        results = (results,)
    order = [d for d in inputs[like].dims if d != dim]
    ds = xr.Dataset(
        {
            name: told(r.transpose(*own, *order, ...), attrs)
            for (name, (own, attrs)), r in zip(outputs.items(), results, strict=True)
        }
    )
    return ds.drop_vars([c for c in ds.coords if dim in ds[c].dims])


def _strips(series: Sequence[NDArray[Any]], cells: int) -> list[slice]:
    # as many cells as the cache of a core holds of all series: read a few at a time from rows that lie far apart in
    # memory, they would come four times as slowly. An odd number of tiles keeps rows from displacing each other there
    from nepcube.stats._tiles import TILE

    years, item = series[0].shape[0], series[0].dtype.itemsize
    tiles = STRIP_BYTES // max(1, len(series) * years * item * TILE)
    side = (max(1, tiles) - 1 | 1) * TILE
    return [slice(start, min(start + side, cells)) for start in range(0, max(cells, 1), side)]


def _own(part: NDArray[Any]) -> NDArray[Any]:
    from nepcube.stats._tiles import TILE

    # whole tiles, of which the last cell fills the rest; read-only, so that one compiled kernel serves
    years, cells = part.shape
    out = np.empty((years, -(-cells // TILE) * TILE), part.dtype)
    out[:, :cells] = part
    if cells:
        out[:, cells:] = part[:, -1:]
    out.flags.writeable = False
    return out
