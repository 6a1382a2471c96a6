"""An object store as zarr reads and writes it, with our errors, opened anew in each process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import ObjectStore

from nepcube.places.remote import Patience, open_store, told

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

T = TypeVar("T")


class PlaceStore(ObjectStore[Any]):
    """The objects below a URL."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        super().__init__(open_store(url), read_only=read_only)
        self.url = url

    def __reduce__(self) -> tuple[Any, ...]:
        # credentials are not sent: every process has its own environment
        return _make, (self.url, self.read_only)

    def __str__(self) -> str:
        return self.url

    def with_read_only(self, read_only: bool = False) -> PlaceStore:
        return PlaceStore(self.url, read_only=read_only)

    async def _told(self, call: Callable[[], Awaitable[T]]) -> T:
        from obstore.exceptions import BaseError

        again = Patience()
        while True:
            try:
                return await call()
            except (BaseError, PermissionError, FileNotFoundError) as error:
                wait = again.after(self.url, error)
                if wait is None:
                    raise told(self.url, error) from None
            await asyncio.sleep(wait)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:
        return await self._told(lambda: ObjectStore.get(self, key, prototype, byte_range))

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Buffer | None]:
        return await self._told(lambda: ObjectStore.get_partial_values(self, prototype, key_ranges))

    async def exists(self, key: str) -> bool:
        return await self._told(lambda: ObjectStore.exists(self, key))

    async def set(self, key: str, value: Buffer) -> None:
        await self._told(lambda: ObjectStore.set(self, key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        await self._told(lambda: ObjectStore.set_if_not_exists(self, key, value))

    async def delete(self, key: str) -> None:
        await self._told(lambda: ObjectStore.delete(self, key))

    async def delete_dir(self, prefix: str) -> None:
        await self._told(lambda: ObjectStore.delete_dir(self, prefix))

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        listed = super().list_dir

        async def collect() -> list[str]:
            return [name async for name in listed(prefix)]

        for name in await self._told(collect):
            yield name


def _make(url: str, read_only: bool) -> PlaceStore:
    return PlaceStore(url, read_only=read_only)
