"""Reading our own stores, where every chunk was written: one that is missing is an error and never fill.

So is one that cannot be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.storage import WrapperStore

from nepcube.errors import StoreError
from nepcube.store.naming import STORES

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from zarr.core.buffer import Buffer

    from nepcube.places import Place

# metadata may be absent: a group is looked for where an array is
_CHUNK = re.compile(r"(?:^|/)c(?:/\d+)*$")


class CompleteStore(WrapperStore[Any]):
    """A store of zarr below `path`; what zarr's answer tells is looked at, so that it costs no request more."""

    def __init__(self, store: Any, path: str = "", way_out: str = "") -> None:
        super().__init__(store)
        self.path, self.way_out = path, way_out

    def _with_store(self, store: Any) -> CompleteStore:
        return CompleteStore(store, self.path, self.way_out)

    def __str__(self) -> str:
        return self.path

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:
        return self._there(key, await self._store.get(key, prototype, byte_range))

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[tuple[str, Any]]) -> list[Buffer | None]:
        asked = list(key_ranges)
        found = await self._store.get_partial_values(prototype, asked)
        return [self._there(key, value) for (key, _), value in zip(asked, found, strict=True)]

    def _there(self, key: str, value: Buffer | None) -> Buffer | None:
        # of a shard without a byte zarr makes fill, too
        if (value is None or len(value) == 0) and _CHUNK.search(key):
            state = "missing" if value is None else "empty"
            raise StoreError(f"{self.path}/{key}: this chunk is {state}.", self.way_out)
        return value


def complete(path: Place) -> CompleteStore:
    """Give a store of ours for reading: one of a run, a native series of it, or another that a command made."""
    return CompleteStore(path.zarr(), str(path), _way_out(path))


# what decodes a chunk; what else fails while zarr reads is no chunk's fault
_DECODING = re.compile(r"(numcodecs|zarr\.codecs|zarr\.core\.buffer)(\.|$)")


@contextmanager
def decoding(path: Place, name: str) -> Iterator[None]:
    """Tell of a chunk of an array that is not what was written, where it cannot be decoded.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except Exception as error:
        # codecs raise errors of any type: where it was raised tells
        if not _DECODING.match(_source(error)):
            raise
        told = " ".join(str(error).split())
        raise StoreError(f"{path}/{name}: a chunk cannot be decoded ({told[:200]}).", _way_out(path)) from None


def _source(error: BaseException) -> str:
    # the module whose function raised it
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else str(at.tb_frame.f_globals.get("__name__"))


class Decoded:
    """An array of zarr, or a variable of xarray that is read lazily, as dask takes it."""

    def __init__(self, array: Any, path: Place, name: str) -> None:
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self._array, self._path, self._name = array, path, name

    def __getitem__(self, key: Any) -> NDArray[Any]:
        with decoding(self._path, self._name):
            return np.asarray(self._array[key])

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of a chunk of an array of zarr; dask would look for `chunks` of a variable, too."""
        return tuple(self._array.chunks)

    async def read(self, key: Any) -> NDArray[Any]:
        """Read a part of an array of zarr beside others."""
        with decoding(self._path, self._name):
            return np.asarray(await self._array.async_array.getitem(key))


def arrays_of(path: Place, names: Sequence[str]) -> dict[str, Decoded]:
    """Open arrays of a store of ours for reading, whether it is finished or not."""
    store = complete(path)
    return {name: Decoded(zarr.open_array(store, path=name, mode="r"), path, name) for name in names}


def _way_out(path: Place) -> str:
    above = path.parent
    if above.name == "native" or path.name in STORES:
        out = above.parent.parent if above.name == "native" else above
        return f"Run `nepcube status {out} --verify`, then `nepcube run` with the same output: it makes it again."
    return "Make it again with the command that made it."
