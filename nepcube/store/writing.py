"""Creating, writing and committing a store.

A store is committed by its root metadata, written last and once. Every write is of whole chunks, so that two writers
never share one, and gives the checksum of each chunk for the ledger.
"""

from __future__ import annotations

import json
import os
import uuid
import warnings
import zlib
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.errors import StoreError
from nepcube.grid import Window, dims, spatial_coords
from nepcube.places import LocalPlace, Place, ask_guard, place_of
from nepcube.store.ending import at_once
from nepcube.store.layout import TIME_CHUNK, Layout, compressors
from nepcube.store.naming import METADATA, metadata_of, root_of, uncommit
from nepcube.store.shards import write_shards

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

_EPOCH = np.datetime64("1970-01-01")

Where = str | os.PathLike[str] | Place


@dataclass(frozen=True)
class Store:
    """A Zarr store of ours at `path`, on `grid`; light enough to send to workers.

    `chunk` cells a side are written at once: a chunk, or a shard of chunks of `inner` cells.
    """

    path: Place
    grid: GeoBox
    chunk: int
    inner: int | None = None
    #: one run's handle: within it a remote array is opened once in each process
    edition: str = field(default_factory=lambda: uuid.uuid4().hex, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", place_of(self.path))

    @property
    def committed(self) -> bool:
        """Whether the consolidated root metadata is there."""
        return is_committed(self.path)

    def has(self, name: str) -> bool:
        return (self.path / name / METADATA).exists()

    def names(self) -> list[str]:
        """List the arrays, by name."""
        return [name for name in self.path.names() if self.has(name)]

    def attrs(self, name: str) -> dict[str, Any]:
        """Give the attributes of an array."""
        return dict(metadata_of(self.path / name).get("attributes", {}))

    def uncommit(self) -> None:
        """Take the commit record away, before anything that it vouches for is changed."""
        uncommit(self.path)

    def remove(self, names: Sequence[str] | None = None) -> None:
        """Remove some arrays, or all of the store."""
        self.uncommit()
        if names is None:
            self.path.delete_tree()
        else:
            for name in names:
                (self.path / name).delete_tree()
        _opened.cache_clear()

    def create(
        self, layouts: Sequence[Layout], years: Sequence[int] | None, *, steps: Sequence[Any] | None = None
    ) -> dict[str, int]:
        """Create the arrays that are not there yet, the coordinates, and the time axis.

        Gives the checksums of what was written.

        The time axis has a step for each of `years`, or, where they are no years, for the (start, end) of each of
        `steps`. Existing arrays with time are made longer where it has grown; the committed metadata, which others
        read, stays as it was until the next commit.
        """
        _opened.cache_clear()
        sums: dict[str, int] = {}
        if steps is None and years is not None:
            steps = [(np.datetime64(f"{y}-01-01"), np.datetime64(f"{y + 1}-01-01")) for y in years]
        for layout in layouts:
            self._create_array(layout, steps)
        self._create_coords(sums)
        if steps is not None:
            self._write_time(steps, "time" if years is None else "year", sums)
        return sums

    def _create_array(self, layout: Layout, steps: Sequence[Any] | None) -> None:
        import zarr

        rows, columns = self.grid.shape
        shape: tuple[int, ...] = (rows, columns)
        lead: tuple[int, ...] = ()
        names: tuple[str, ...] = dims(self.grid)
        if layout.yearly:
            if steps is None:
                raise StoreError(f"{layout.name}: no years are given.", "Give the period.")
            shape, lead, names = (len(steps), *shape), (1,), ("time", *names)
        unit = (*lead, self.chunk, self.chunk)
        chunks = unit if self.inner is None else (*lead, self.inner, self.inner)
        shards = None if self.inner is None else unit
        if self.has(layout.name):
            array = zarr.open_array(self.path.zarr(write=True), path=layout.name, mode="r+")
            cut = array.chunks != chunks or array.shards != shards
            if array.shape[-2:] != shape[-2:] or cut or array.dtype != np.dtype(layout.dtype):
                raise StoreError(
                    f"{self.path}/{layout.name}: shape {array.shape}, chunks {array.chunks} of {array.dtype} are not "
                    f"those of this run ({shape}, {chunks}, {layout.dtype}).",
                    "Keep `blocks` as it was, or start over with --fresh.",
                )
            if array.shape != shape:
                array.resize(shape)
            said = _plain(layout.attrs)
            if any(array.attrs.get(key) != value for key, value in said.items()):
                # a longer period may come from another record
                self.describe(layout.name, said)
            return
        zarr.create_array(
            recording(self.path, {}),
            name=layout.name,
            shape=shape,
            chunks=chunks,
            shards=shards,
            dtype=layout.dtype,
            fill_value=layout.fill,
            compressors=compressors(),
            dimension_names=names,
            attributes=_plain(layout.attrs | {"grid_mapping": "spatial_ref"}),
            config={"write_empty_chunks": True},
            zarr_format=3,
        )

    def _create_coords(self, sums: dict[str, int]) -> None:
        for name, variable in spatial_coords(self.grid).items():
            sums |= self._small(name, variable.values, variable.dims, variable.attrs)

    def _write_time(self, steps: Sequence[Any], name: str, sums: dict[str, int]) -> None:
        bounds = ((np.array(steps, "datetime64[D]") - _EPOCH) // np.timedelta64(1, "D")).astype("int64")
        days = bounds[:, 0]
        units = {"units": "days since 1970-01-01", "calendar": "proleptic_gregorian"}
        attrs = {"standard_name": "time", "long_name": name, "axis": "T", "bounds": "time_bnds"} | units
        sums |= self._small("time", days, ("time",), attrs)
        sums |= self._small("time_bnds", bounds, ("time", "bnds"), units)

    def put_series(self, name: str, values: Any, attrs: Mapping[str, Any]) -> dict[str, int]:
        """Write a small variable along time; give its checksum."""
        return self._small(name, np.asarray(values), ("time",), attrs)

    def _small(self, name: str, values: Any, names: Sequence[Any], attrs: Mapping[str, Any]) -> dict[str, int]:
        import zarr

        values = np.asarray(values)
        sums: dict[str, int] = {}
        with recording(self.path, sums) as store:
            if self.has(name):
                # readers of the committed store never find it absent
                array = zarr.open_array(store, path=name, mode="r+")
                if array.shape != values.shape:
                    array.resize(values.shape)
            else:
                chunks = (TIME_CHUNK if d == "time" else max(n, 1) for d, n in zip(names, values.shape, strict=True))
                array = zarr.create_array(
                    store,
                    name=name,
                    shape=values.shape,
                    chunks=tuple(chunks),
                    dtype=values.dtype,
                    dimension_names=list(names),
                    attributes=_plain(attrs),
                    zarr_format=3,
                )
            array.with_config({"write_empty_chunks": True})[...] = values
        return {key: crc for key, crc in sums.items() if not key.endswith(METADATA)}

    def write(self, block: Mapping[Any, xr.DataArray], window: Window, *, step: int | None = None) -> dict[str, int]:
        """Write the variables of one block, whole chunks (or shards) only.

        Parameters
        ----------
        block : xarray.Dataset or mapping of names to arrays
            Loaded, shaped like the window; with a leading time axis when `step` is given.
        window : Window
        step : int, optional
            The index of the first year along time.

        Returns
        -------
        dict of str to int
            The checksum (CRC-32 of the coded bytes) of each chunk that was written.

        Raises
        ------
        StoreError
            The window would cut a chunk, or the run that sent this does not hold the output any more.
        """
        self._require_whole(window)
        if self.inner is not None:
            return write_shards(self, block, window, step)
        ask_guard()
        ys, xs = window.slices
        places = [
            f"{y // self.chunk}/{x // self.chunk}"
            for y in range(window.y0, window.y1, self.chunk)
            for x in range(window.x0, window.x1, self.chunk)
        ]
        calls, written = [], []
        for name, variable in block.items():
            array, noted = self.writable(str(name))
            values = np.asarray(variable.values, dtype=array.dtype)
            where: tuple[slice, ...] = (ys, xs)
            leads = [""]
            if array.ndim == 3:
                first = 0 if step is None else step
                where = (slice(first, first + values.shape[0]), ys, xs)
                leads = [f"{k}/" for k in range(first, first + values.shape[0])]
            calls.append(array.async_array.setitem(where, values))
            written.append((noted, [f"{self.path.name}/{name}/c/{lead}{place}" for lead in leads for place in places]))
        at_once(calls)
        return {key: noted.pop(key) for noted, keys in written for key in keys}

    def writable(self, name: str) -> tuple[Any, dict[str, int]]:
        """Open an array to be written; the checksums of what is written to it appear in the dictionary."""
        # a local array is opened anew when its metadata changed; to ask a remote one each time would cost as much as
        # the write
        local = isinstance(self.path, LocalPlace)
        return _opened(self.path, name, (self.path / name / METADATA).stamp() if local else self.edition)

    def _require_whole(self, window: Window) -> None:
        rows, columns = self.grid.shape
        for low, high, size, name in (
            (window.y0, window.y1, rows, "rows"),
            (window.x0, window.x1, columns, "columns"),
        ):
            if low % self.chunk or (high % self.chunk and high != size):
                raise StoreError(
                    f"{self.path}: {name} {low}:{high} cut a chunk of {self.chunk}; two writers would race.",
                    "Write blocks that are multiples of the chunk.",
                )

    def describe(self, name: str, attrs: Mapping[str, Any], *, anew: str | None = None) -> None:
        """Add attributes to an array (breaks and labels of classes, for example).

        Those whose names begin with `anew` are taken away first.
        """
        meta = metadata_of(self.path / name)
        if anew is not None:
            meta["attributes"] = {k: v for k, v in meta["attributes"].items() if not k.startswith(anew)}
        meta["attributes"] |= _plain(attrs)
        (self.path / name / METADATA).write_text(json.dumps(meta, indent=2))

    def commit(self, attrs: Mapping[str, Any], *, without: Set[str] = frozenset()) -> dict[str, int]:
        """Write the root metadata, consolidated, in one step: from now on the store opens as finished.

        Arrays that are `without` are still to be finished: who opens the store does not see them. Gives the checksums
        of the metadata, for the ledger.
        """
        from zarr.core.group import ConsolidatedMetadata, GroupMetadata
        from zarr.core.metadata.v3 import ArrayV3Metadata

        self.path.sweep()
        arrays: dict[str, Any] = {}
        sums: dict[str, int] = {}
        for name, content in self._metadata():
            if name in without:
                continue
            arrays[name] = ArrayV3Metadata.from_dict(json.loads(content))
            sums[f"{self.path.name}/{name}/{METADATA}"] = zlib.crc32(content)
        # plain xarray.open_zarr makes coordinates of what the group's attribute names
        helpers = [name for name in ("spatial_ref", "time_bnds") if name in arrays]
        with warnings.catch_warnings():
            # zarr warns once that consolidated metadata are not in the format's specification yet
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            group = GroupMetadata(
                attributes=_plain({"Conventions": spec.CONVENTIONS, "coordinates": " ".join(helpers)} | dict(attrs)),
                zarr_format=3,
                consolidated_metadata=ConsolidatedMetadata(metadata=arrays),
            )
            from zarr.core.buffer import default_buffer_prototype

            parts = group.to_buffer_dict(default_buffer_prototype())
        root = parts[METADATA].to_bytes()
        (self.path / METADATA).write(root)
        return sums | {root_of(self.path.name): zlib.crc32(root)}

    def _metadata(self) -> Iterator[tuple[str, bytes]]:
        names = [name for name in self.path.names() if name != METADATA]
        with ThreadPoolExecutor(8) as pool:
            for name, content in zip(names, pool.map(lambda n: (self.path / n / METADATA).read(), names), strict=True):
                if content is not None:
                    yield name, content


def _plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    # zarr attributes are JSON: numpy values become lists and numbers
    out: dict[str, Any] = {}
    for key, value in attrs.items():
        if isinstance(value, np.ndarray):
            out[key] = value.tolist()
        elif isinstance(value, np.generic):
            out[key] = value.item()
        else:
            out[key] = list(value) if isinstance(value, tuple) else value
    return out


@lru_cache(maxsize=128)
def _opened(path: Place, name: str, _changed: Hashable) -> tuple[Any, dict[str, int]]:
    # a stage opens an array once, and not for every block; the checksums of what is written to it are taken from the
    # dictionary by the block that wrote it, and no two blocks write one chunk
    import zarr

    sums: dict[str, int] = {}
    array = zarr.open_array(recording(path, sums), path=name, mode="r+")
    return array.with_config({"write_empty_chunks": True}), sums


def recording(path: Place, sums: dict[str, int]) -> Any:
    """Give a store of zarr to write to; the checksums of what is written appear in the dictionary."""
    from zarr.storage import WrapperStore

    class Recording(WrapperStore[Any]):
        """Notes checksums of what is written; the root group, which zarr makes in passing, is left to the commit."""

        async def set_if_not_exists(self, key: str, value: Any) -> None:
            if key != METADATA:
                await super().set_if_not_exists(key, value)

        async def set(self, key: str, value: Any) -> None:
            if key == METADATA:
                return
            sums[f"{path.name}/{key}"] = zlib.crc32(value.to_bytes())
            await super().set(key, value)

        def __enter__(self) -> Recording:
            return self

    return Recording(path.zarr(write=True))


def is_committed(path: Where) -> bool:
    """Tell whether a store has the consolidated root metadata that ends a run."""
    try:
        return bool(metadata_of(place_of(path)).get("consolidated_metadata"))
    except (OSError, ValueError):
        return False
