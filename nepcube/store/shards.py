"""Whole shards from chunks that come one after the other.

The chunks of a shard are coded as they come and kept aside, in a temporary file where they are many, so that a task
holds one chunk of all years and not the shards of all of them. Each shard is put into the store in one step.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.errors import StoreError, is_full
from nepcube.grid import Window
from nepcube.places import ask_guard
from nepcube.store.layout import compressors

if TYPE_CHECKING:
    import xarray as xr

    from nepcube.store.writing import Store

#: bytes of coded chunks that are kept in memory; beyond it they go to a temporary file
KEPT = 32 * 2**20
# what the index of a shard says of a chunk that is not there: those wholly beyond the grid's edge
_ABSENT = 2**64 - 1

Place = tuple[int, int]


@contextmanager
def pieces_of(target: Store, window: Window) -> Iterator[Pieces]:
    """Give room for the pieces of one unit of a store: a chunk or a shard."""
    with tempfile.SpooledTemporaryFile(max_size=KEPT) as file:
        yield Pieces(target, window, file)


class Pieces:
    """The pieces of one unit of writing, which come one after the other and are written whole.

    Without shards the unit is one piece and is written when it comes.
    """

    def __init__(self, target: Store, window: Window, file: Any) -> None:
        self.target = target
        self.window = window
        self._sums: dict[str, int] = {}
        self._kept: dict[tuple[str, int | None], dict[Place, tuple[int, int]]] = {}
        self._coders: dict[str, _Coder] = {}
        self._file = file

    def windows(self) -> Iterator[Window]:
        """Give the windows of the pieces, row by row."""
        side = self.target.inner or self.target.chunk
        w = self.window
        for y in range(w.y0, w.y1, side):
            for x in range(w.x0, w.x1, side):
                yield Window(y, min(y + side, w.y1), x, min(x + side, w.x1))

    def add(self, block: Mapping[Any, xr.DataArray], window: Window, *, step: int | None = None) -> None:
        """Take the variables of one piece, as `Store.write` takes those of a block."""
        if self.target.inner is None:
            self._sums |= self.target.write(block, window, step=step)
            return
        place = (window.y0 - self.window.y0) // self.target.inner, (window.x0 - self.window.x0) // self.target.inner
        for name, variable in block.items():
            coder = self._coder(str(name))
            values = np.asarray(variable.values, dtype=coder.dtype)
            if coder.yearly:
                for k, layer in enumerate(values, start=step or 0):
                    self._keep(str(name), k, place, coder(layer))
            else:
                self._keep(str(name), None, place, coder(values))

    def _coder(self, name: str) -> _Coder:
        if name not in self._coders:
            array, _ = self.target.writable(name)
            self._coders[name] = _Coder(array)
        return self._coders[name]

    def _keep(self, name: str, step: int | None, place: Place, coded: bytes) -> None:
        try:
            offset = self._file.seek(0, 2)
            self._file.write(coded)
        except OSError as error:
            if is_full(error):
                raise StoreError(
                    f"{tempfile.gettempdir()}: no room is left for the chunks of a shard.",
                    "Make room there or name another folder in TMPDIR, and run again: it continues.",
                ) from None
            raise
        self._kept.setdefault((name, step), {})[place] = offset, len(coded)

    def write(self) -> dict[str, int]:
        """Write what was taken, each shard in one step; give the checksums.

        Raises
        ------
        StoreError
            A shard would not be whole, or the run that sent this does not hold the output any more.
        """
        target = self.target
        if target.inner is None:
            return self._sums
        ask_guard()
        wanted = {
            ((w.y0 - self.window.y0) // target.inner, (w.x0 - self.window.x0) // target.inner) for w in self.windows()
        }
        unit = f"{self.window.y0 // target.chunk}/{self.window.x0 // target.chunk}"
        sums: dict[str, int] = {}
        for (name, step), kept in self._kept.items():
            key = f"{name}/c/{unit}" if step is None else f"{name}/c/{step}/{unit}"
            if kept.keys() != wanted:
                raise StoreError(
                    f"{target.path}/{key}: {len(kept)} of the {len(wanted)} chunks of the shard are there.",
                    "Give every piece of the unit before it is written.",
                )
            chunks = {place: self._take(*where) for place, where in kept.items()}
            array, noted = target.writable(name)
            _put(array, key, shard_of(chunks, target.chunk // target.inner))
            sums[f"{target.path.name}/{key}"] = noted.pop(f"{target.path.name}/{key}")
        return sums

    def _take(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        content: bytes = self._file.read(size)
        return content


def write_shards(target: Store, block: Mapping[Any, xr.DataArray], window: Window, step: int | None) -> dict[str, int]:
    """Write the shards of a block that is in memory; give their checksums."""
    sums: dict[str, int] = {}
    side = target.chunk
    for y in range(window.y0, window.y1, side):
        for x in range(window.x0, window.x1, side):
            unit = Window(y, min(y + side, window.y1), x, min(x + side, window.x1))
            with pieces_of(target, unit) as pieces:
                for part in pieces.windows():
                    inside = (
                        slice(part.y0 - window.y0, part.y1 - window.y0),
                        slice(part.x0 - window.x0, part.x1 - window.x0),
                    )
                    pieces.add({name: variable[..., *inside] for name, variable in block.items()}, part, step=step)
                sums |= pieces.write()
    return sums


class _Coder:
    """Codes chunks of one array, by zarr itself, as the store's metadata say."""

    def __init__(self, array: Any) -> None:
        import zarr
        from zarr.storage import MemoryStore

        self.dtype = array.dtype
        self.yearly = array.ndim == 3
        self._fill = array.fill_value
        self._coded: dict[str, Any] = {}
        self._chunk = zarr.create_array(
            MemoryStore(self._coded),
            shape=array.chunks[-2:],
            chunks=array.chunks[-2:],
            dtype=array.dtype,
            fill_value=array.fill_value,
            compressors=compressors(),
            config={"write_empty_chunks": True},
            zarr_format=3,
        )

    def __call__(self, values: Any) -> bytes:
        if values.shape != self._chunk.shape:
            # at the grid's edge a chunk is filled up
            whole = np.full(self._chunk.shape, self._fill, self.dtype)
            whole[: values.shape[0], : values.shape[1]] = values
            values = whole
        self._chunk[...] = values
        coded: bytes = self._coded["c/0/0"].to_bytes()
        return coded


def shard_of(chunks: Mapping[Place, bytes], side: int) -> bytes:
    """Join coded chunks to a shard of ``side * side`` places.

    The chunks in their order, then for each place the offset and the size as 64-bit integers, then the index's CRC-32C:
    the codec ``sharding_indexed`` of Zarr format 3 with its index at the end.
    """
    index = []
    offset = 0
    for place in np.ndindex(side, side):
        size = len(chunks[place]) if place in chunks else _ABSENT
        index += [offset if place in chunks else _ABSENT, size]
        offset += size if place in chunks else 0
    table = struct.pack(f"<{len(index)}Q", *index)
    return b"".join([*(chunks[place] for place in sorted(chunks)), table, struct.pack("<I", crc32c(table))])


def crc32c(content: bytes) -> int:
    """Give the CRC-32C (Castagnoli) of some bytes."""
    table = _crc_table()
    crc = 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _crc_table() -> tuple[int, ...]:
    out = []
    for crc in range(256):
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
        out.append(crc)
    return tuple(out)


def _put(array: Any, key: str, content: bytes) -> None:
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.sync import sync

    sync(array.store_path.store.set(key, default_buffer_prototype().buffer.from_bytes(content)))
