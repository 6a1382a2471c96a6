"""Climate on its native grid between reading and sampling: one small store for each quantity and step.

It lets every block sample what was aggregated once, and is no result: it may be deleted when a run is finished.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import StoreError
from nepcube.places import Place, place_of
from nepcube.store.grids import grid_change, native_grid
from nepcube.store.layout import CHUNK, compressors
from nepcube.store.naming import METADATA
from nepcube.store.writing import recording

if TYPE_CHECKING:
    import xarray as xr

# cells of a field that is read whole and kept for the next blocks
_KEPT_CELLS = 2**18


@dataclass(frozen=True)
class NativeSeries:
    """A (time, latitude, longitude) series in float64 below ``OUT/.nepcube/native``."""

    path: Place

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", place_of(self.path))

    @property
    def stage(self) -> str:
        """What the ledger calls it: its place below ``.nepcube``, without the ending."""
        return f"native/{self.path.name.removesuffix('.zarr')}"

    @property
    def exists(self) -> bool:
        """Whether the series was created and is still there."""
        return self._meta() is not None and (self.path / "values" / METADATA).exists()

    @property
    def grid(self) -> dict[str, Any] | None:
        """Give what `native_grid` told of the grid that it is on; None where there is no series."""
        meta = self._meta()
        return None if meta is None else dict(meta["grid"])

    def change(self, field: xr.DataArray) -> str | None:
        """Tell how a field's grid or unit differs from those of the series; None where they do not, or it is not."""
        grid = self.grid
        return None if grid is None else grid_change(grid, _described(field))

    def places(self) -> list[str]:
        """Name the chunks of a step, ``row/column``; none where there is no series."""
        grid = self.grid
        if grid is None:
            return []
        rows, columns = (int(grid[axis]["cells"]) for axis in ("y", "x"))
        return [f"{y}/{x}" for y in range(-(-rows // CHUNK)) for x in range(-(-columns // CHUNK))]

    def clear(self) -> None:
        """Delete it."""
        # first what says that it is there, so that a stop in between leaves nothing that looks whole
        (self.path / "series.json").delete()
        self.path.delete_tree()
        _opened.cache_clear()

    def create(self, like: xr.DataArray, times: Any) -> None:
        """Make room for a series on the grid of `like`, or make an existing one longer; times are appended.

        Raises
        ------
        StoreError
            The one that exists is on another grid or has another unit.
        """
        import zarr

        known = self._meta()
        stamps = [str(t) for t in np.asarray(times, "datetime64[D]")]
        grid = _described(like)
        if known is not None:
            change = grid_change(known["grid"], grid)
            if change is not None:
                raise StoreError(f"{self.path}: it has another grid ({change}).", "Delete it: it is made again.")
            stamps = known["time"] + [t for t in stamps if t not in set(known["time"])]
        shape = (len(stamps), *like.shape[-2:])
        if known is not None and (self.path / "values" / METADATA).exists():
            zarr.open_array(self.path.zarr(write=True), path="values", mode="r+").resize(shape)
        else:
            (self.path / "values").delete_tree()
            zarr.create_array(
                self.path.zarr(write=True),
                name="values",
                shape=shape,
                chunks=(1, min(CHUNK, shape[1]), min(CHUNK, shape[2])),
                dtype="float64",
                fill_value=np.nan,
                compressors=compressors(),
                config={"write_empty_chunks": True},
                zarr_format=3,
            )
        ydim, xdim = (str(d) for d in like.dims[-2:])
        meta = {
            "name": str(like.name),
            "dims": [ydim, xdim],
            "grid": grid,
            "y": like[ydim].values.tolist(),
            "x": like[xdim].values.tolist(),
            "spatial_ref": {k: _json(v) for k, v in like["spatial_ref"].attrs.items()},
            "attrs": {k: _json(v) for k, v in like.attrs.items()},
            "time": stamps,
            "clipped": {} if known is None else known["clipped"],
        }
        (self.path / "series.json").write_text(json.dumps(meta))

    def _meta(self) -> dict[str, Any] | None:
        text = (self.path / "series.json").read_text()
        try:
            found: dict[str, Any] = json.loads(text or "{}")
        except ValueError:
            return None
        return found if {"grid", "time", "clipped"} <= found.keys() else None

    def write(self, values: Any, times: Any) -> list[dict[str, int]]:
        """Write some steps, which must have been created; give the checksums of the chunks of each."""
        import zarr

        meta = self._meta() or {"time": []}
        index = [meta["time"].index(str(t)) for t in np.asarray(times, "datetime64[D]")]
        sums: dict[str, int] = {}
        array = zarr.open_array(recording(self.path, sums), path="values", mode="r+")
        array = array.with_config({"write_empty_chunks": True})
        first = index[0] if index else 0
        if index == list(range(first, first + len(index))):
            array[first : first + len(index)] = values
        else:
            for k, step in enumerate(index):
                array[step] = values[k]
        # what was read before is not what is there now
        _opened.cache_clear()
        stem, places = f"{self.path.name}/values/c", self.places()
        return [{key: sums[key] for key in (f"{stem}/{k}/{place}" for place in places)} for k in index]

    def count_clipped(self, year: int, count: int) -> None:
        """Note how many values of a year were set to zero."""
        meta = self._meta()
        if meta is None:
            raise FileNotFoundError(str(self.path))
        meta["clipped"][str(year)] = count
        (self.path / "series.json").write_text(json.dumps(meta))

    def clipped(self) -> dict[int, int]:
        """Give how many values of each year were set to zero, for the years in which they could be."""
        return {int(year): int(count) for year, count in (self._meta() or {"clipped": {}})["clipped"].items()}

    def open(self, *, between: tuple[np.datetime64, np.datetime64] | None = None) -> xr.Dataset:
        """Give the series in the order of time: all of it, or from a moment to before another.

        It is indexed lazily and no dask collection: a window reads its own part, where it is computed.
        """
        import xarray as xr

        stamp = (self.path / "series.json").stamp()
        if stamp is None:
            raise StoreError(f"{self.path}: the climate that was kept there is gone.", "Run again: it is made again.")
        var = _opened(self.path, stamp)
        if between is not None:
            first, last = np.searchsorted(var["time"].values, np.array(between, "datetime64[ns]"))
            var = var.isel(time=slice(int(first), int(last)))
        return xr.Dataset({str(var.name): var})


@lru_cache(maxsize=16)
def _opened(path: Place, _changed: Hashable) -> xr.DataArray:
    # every block of a stage opens the same series, which does not change meanwhile
    import xarray as xr
    import zarr
    from xarray.backends import BackendArray
    from xarray.core import indexing

    from nepcube.store.complete import complete, decoding

    class Values(BackendArray):
        """The array as xarray's lazy indexing reads it."""

        def __init__(self, array: Any) -> None:
            self.shape, self.dtype = array.shape, array.dtype
            self._array = array
            # the blocks of a year want neighbouring parts of one small field
            self._step = lru_cache(maxsize=4)(array.__getitem__)

        def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
            return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

        def _read(self, key: tuple[Any, ...]) -> Any:
            with decoding(path, "values"):
                if self.shape[1] * self.shape[2] <= _KEPT_CELLS and all(isinstance(k, slice) for k in key):
                    steps = range(*key[0].indices(self.shape[0]))
                    if len(steps) == 1:
                        return self._step(steps[0])[key[1:]][None]
                return self._array.oindex[key]

    meta = json.loads((path / "series.json").read_text() or "{}")
    times = np.array(meta["time"], "datetime64[ns]")
    ydim, xdim = meta["dims"]
    data = indexing.LazilyIndexedArray(Values(zarr.open_array(complete(path), path="values", mode="r")))
    var = xr.DataArray(
        xr.Variable(("time", ydim, xdim), data, meta["attrs"]),
        {
            "time": times,
            ydim: np.array(meta["y"]),
            xdim: np.array(meta["x"]),
            "spatial_ref": xr.Variable((), np.int32(0), meta["spatial_ref"]),
        },
        name=meta["name"],
    )
    order = np.argsort(times)
    return var if np.array_equal(order, np.arange(order.size)) else var.isel(time=order)


def _described(field: xr.DataArray) -> dict[str, Any]:
    # values of two units belong into one series no more than those of two grids
    return native_grid(field) | {"units": str(field.attrs.get("units", ""))}


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
