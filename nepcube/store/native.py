"""Climate on its native grid between reading and sampling: one small store for each quantity and step.

It lets every block sample what was aggregated once, and is no result: it may be deleted when a run is finished.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.store.layout import CHUNK, compressors
from nepcube.store.ledger import replace

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class NativeSeries:
    """A (time, latitude, longitude) series in float64 below ``OUT/.nepcube/native``."""

    path: Path

    @property
    def exists(self) -> bool:
        """Whether the series was created and is still there."""
        return (self.path / "series.json").exists() and (self.path / "values" / "zarr.json").exists()

    def create(self, like: xr.DataArray, times: Any) -> None:
        """Make room for a series on the grid of `like`, or make an existing one longer; times are appended."""
        import zarr

        known = self._meta()
        stamps = [str(t) for t in np.asarray(times, "datetime64[D]")]
        if known is not None:
            stamps = known["time"] + [t for t in stamps if t not in set(known["time"])]
        shape = (len(stamps), *like.shape[-2:])
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / "values" / "zarr.json").exists():
            zarr.open_array(str(self.path), path="values", mode="r+").resize(shape)
        else:
            shutil.rmtree(self.path / "values", ignore_errors=True)
            zarr.create_array(
                str(self.path),
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
            "y": like[ydim].values.tolist(),
            "x": like[xdim].values.tolist(),
            "spatial_ref": {k: _json(v) for k, v in like["spatial_ref"].attrs.items()},
            "attrs": {k: _json(v) for k, v in like.attrs.items()},
            "time": stamps,
            "clipped": {} if known is None else known["clipped"],
        }
        replace(self.path / "series.json", json.dumps(meta))

    def _meta(self) -> dict[str, Any] | None:
        file = self.path / "series.json"
        if not file.exists():
            return None
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def write(self, values: Any, times: Any) -> None:
        """Write some steps; they must have been created."""
        import zarr

        meta = self._meta() or {"time": []}
        index = [meta["time"].index(str(t)) for t in np.asarray(times, "datetime64[D]")]
        array = zarr.open_array(str(self.path), path="values", mode="r+", config={"write_empty_chunks": True})
        array = array.with_config({"write_empty_chunks": True})
        for k, step in enumerate(index):
            array[step] = values[k]

    def count_clipped(self, year: int, count: int) -> None:
        """Note how many values of a year were set to zero."""
        meta = self._meta()
        if meta is None:
            raise FileNotFoundError(self.path)
        meta["clipped"][str(year)] = count
        replace(self.path / "series.json", json.dumps(meta))

    def clipped(self) -> dict[int, int]:
        """Give how many values of each year were set to zero, for the years in which they could be."""
        return {int(year): int(count) for year, count in (self._meta() or {"clipped": {}})["clipped"].items()}

    def open(self, *, between: tuple[np.datetime64, np.datetime64] | None = None) -> xr.Dataset:
        """Give the series lazily, in the order of time: all of it, or from a moment to before another."""
        import dask.array as da
        import xarray as xr
        import zarr

        meta = self._meta()
        if meta is None:
            raise FileNotFoundError(self.path)
        array = zarr.open_array(str(self.path), path="values", mode="r")
        times = np.array(meta["time"], "datetime64[ns]")
        ydim, xdim = meta["dims"]
        data = da.from_array(array, chunks=(1, array.shape[1], array.shape[2]), name=False, inline_array=True)
        var = xr.DataArray(
            data,
            {
                "time": times,
                ydim: np.array(meta["y"]),
                xdim: np.array(meta["x"]),
                "spatial_ref": xr.Variable((), np.int32(0), meta["spatial_ref"]),
            },
            ("time", ydim, xdim),
            meta["name"],
            meta["attrs"],
        )
        order = np.argsort(times)
        if not np.array_equal(order, np.arange(order.size)):
            var = var.isel(time=order)
        if between is not None:
            first, last = np.searchsorted(var["time"].values, np.array(between, "datetime64[ns]"))
            var = var.isel(time=slice(int(first), int(last)))
        return xr.Dataset({meta["name"]: var})


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
