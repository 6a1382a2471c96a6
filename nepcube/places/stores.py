"""An object store as zarr reads and writes it, with our errors, opened anew in each process."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Any, TypeVar

from zarr.storage import ObjectStore

from nepcube.places.remote import open_store, told

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

    async def _told(self, call: Awaitable[T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return await call
        except (BaseError, PermissionError, FileNotFoundError) as error:
            raise told(self.url, error) from None

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:
        return await self._told(super().get(key, prototype, byte_range))

    async def get_partial_values(self, prototype: Any, key_ranges: Any) -> list[Buffer | None]:
        return await self._told(super().get_partial_values(prototype, key_ranges))

    async def exists(self, key: str) -> bool:
        return await self._told(super().exists(key))

    async def set(self, key: str, value: Buffer) -> None:
        await self._told(super().set(key, value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        await self._told(super().set_if_not_exists(key, value))

    async def delete(self, key: str) -> None:
        await self._told(super().delete(key))

    async def delete_dir(self, prefix: str) -> None:
        await self._told(super().delete_dir(prefix))

    async def list_dir(self, prefix: str) -> AsyncGenerator[str, None]:
        names = super().list_dir(prefix)

        async def collect() -> list[str]:
            return [name async for name in names]

        for name in await self._told(collect()):
            yield name


def _make(url: str, read_only: bool) -> PlaceStore:
    return PlaceStore(url, read_only=read_only)
