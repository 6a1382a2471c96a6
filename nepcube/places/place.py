"""What every place can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A small file as it was at one moment.

    Attributes
    ----------
    content : bytes
    stamp : hashable
        What `Place.exchange` wants, to know that nobody wrote the file since.
    changed : float
        When it was written, in seconds by the clock of what keeps it.
    """

    content: bytes
    stamp: Hashable
    changed: float


class Place(ABC):
    """A file or folder, here or in an object store; ``place / "name"`` is one below it."""

    @abstractmethod
    def __truediv__(self, name: str) -> Place: ...

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part."""

    @property
    @abstractmethod
    def parent(self) -> Place:
        """What it is in."""

    @property
    @abstractmethod
    def handle(self) -> Path | str:
        """What the user knows it by: a path, or a URL."""

    @abstractmethod
    def require(self) -> None:
        """Ask for a folder once, so that what is wrong is told before work begins; it need not be there yet.

        Raises
        ------
        StoreError
            It is a file, there is no permission, or of a URL no such bucket or no credentials.
        """

    @abstractmethod
    def make(self) -> bool:
        """Make a folder, with those above it; tell whether nothing was there.

        Raises
        ------
        StoreError
            There is no room or no permission.
        """

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is such a file."""

    @abstractmethod
    def is_folder(self) -> bool:
        """Whether there is anything below it."""

    @abstractmethod
    def names(self) -> list[str]:
        """List what is directly below it, sorted; nothing of a folder that is not there."""

    @abstractmethod
    def read(self) -> bytes | None:
        """Give a file's bytes; None where there is no such file."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Write a small file whole or not at all, with the folders above it.

        Raises
        ------
        StoreError
            There is no room or no permission.
        """

    @abstractmethod
    def stamp(self) -> Hashable | None:
        """Give what changes when the file is written anew; None where there is none."""

    @abstractmethod
    def look(self) -> Seen | None:
        """Give a small file with its stamp; None where there is none."""

    @abstractmethod
    def create(self, content: bytes) -> Hashable | None:
        """Write a small file that must not exist; give its stamp, None where it is there already."""

    @abstractmethod
    def exchange(self, stamp: Hashable, content: bytes) -> Hashable | None:
        """Write a small file if nobody wrote it since `stamp`; give its new stamp, None where somebody did."""

    @abstractmethod
    def clock(self) -> float:
        """Tell the time, in seconds, by the clock of what keeps the files in this folder."""

    @abstractmethod
    def delete(self) -> None:
        """Delete a file, if it is there."""

    @abstractmethod
    def delete_tree(self) -> None:
        """Delete everything below it, and the folder."""

    @abstractmethod
    def sweep(self) -> None:
        """Delete what killed writers left below it; nobody may be writing there."""

    @abstractmethod
    def sync(self) -> None:
        """Bring what was written below it to the disk, so that what vouches for it can be written."""

    @abstractmethod
    def zarr(self, *, write: bool = False) -> Any:
        """Give the folder as a store of zarr."""

    @abstractmethod
    def local_folder(self) -> AbstractContextManager[Path]:
        """Give a folder of this machine to make files in; they are in this place when the context is left well."""

    def read_text(self) -> str | None:
        """Give a file's text; None where there is no such file."""
        content = self.read()
        return None if content is None else content.decode("utf-8", "replace")

    def write_text(self, text: str) -> None:
        """Write a small text file whole or not at all."""
        self.write(text.encode("utf-8"))

    def below(self) -> Iterator[Place]:
        """Give what is directly below it."""
        for name in self.names():
            yield self / name
