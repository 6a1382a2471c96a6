"""A folder of this machine: files are written aside, brought to the disk, and renamed."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import sys
import threading
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nepcube.errors import NotWritableError, StoreError, is_full
from nepcube.places.place import Place, Seen

# what is written aside: by us (`.NAME.PROCESS.THREAD`) and by zarr
_LEFT = re.compile(r"^\..+\.\d+\.\d+$|\.[0-9a-f]{32}\.partial$")
_ANOTHER = "another folder (an output's with -o)."


@dataclass(frozen=True)
class LocalPlace(Place):
    """A path."""

    path: Path

    def __truediv__(self, name: str) -> LocalPlace:
        return LocalPlace(self.path / name)

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def parent(self) -> LocalPlace:
        return LocalPlace(self.path.parent)

    @property
    def handle(self) -> Path:
        return self.path

    def require(self) -> None:
        try:
            with os.scandir(self.path):
                return
        except (FileNotFoundError, NotADirectoryError):
            # it may still be made
            if self.exists():
                raise StoreError(f"{self.path}: this is a file, not a folder.", f"Name {_ANOTHER}") from None
        except OSError as error:
            raise StoreError(
                f"{self.path}: cannot be looked into ({error.strerror}).", f"Give permission, or name {_ANOTHER}"
            ) from None

    def make(self) -> bool:
        try:
            there = self.exists()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(self.path, "made", error) from None
        return not there

    def exists(self) -> bool:
        return self.path.exists()

    def is_folder(self) -> bool:
        return self.path.is_dir()

    def names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, content: bytes) -> None:
        part = self._aside()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _write_through(part, content)
            os.replace(part, self.path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise NotWritableError(
                f"{self.path}: cannot be written ({error.strerror}).",
                "Make room or give permission, and run again: it continues.",
            ) from None

    def _aside(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}")

    def stamp(self) -> Hashable | None:
        try:
            state = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return state.st_mtime_ns, state.st_size

    def look(self) -> Seen | None:
        try:
            with open(self.path, "rb") as file:
                content = file.read()
                changed = os.fstat(file.fileno()).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        # of a small file the content itself is the best stamp
        return Seen(content, content, changed)

    def create(self, content: bytes) -> Hashable | None:
        part = self._aside()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(self.path):
                if self.path.exists():
                    return None
                _write_through(part, content)
                try:
                    os.link(part, self.path)
                except FileExistsError:
                    return None
                except OSError:
                    # a file system without links
                    with open(self.path, "xb") as file:
                        file.write(content)
        except FileExistsError:
            return None
        except OSError as error:
            raise _refused(self.path.parent, "written", error) from None
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        return content

    def exchange(self, stamp: Hashable, content: bytes) -> Hashable | None:
        with _alone(self.path):
            seen = self.look()
            if seen is None or seen.stamp != stamp:
                return None
            self.write(content)
        return content

    def clock(self) -> float:
        # of a folder that several hosts share, the file server's
        probe = self.path / f".clock.{os.getpid()}.{threading.get_ident()}"
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def delete(self) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self.path.unlink()

    def delete_tree(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def sweep(self) -> None:
        for folder, _, names in os.walk(self.path):
            for name in filter(_LEFT.search, names):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))

    def sync(self) -> None:
        # the whole file system at once costs a tenth of one chunk after the other
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None) if sys.platform == "linux" else None
        if syncfs is None:
            getattr(os, "sync", lambda: None)()
            return
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            if syncfs(handle):
                raise OSError(ctypes.get_errno() or errno.EIO, "cannot be brought to the disk", str(self.path))
        finally:
            os.close(handle)

    def zarr(self, *, write: bool = False) -> Any:
        from zarr.storage import LocalStore

        return LocalStore(self.path, read_only=not write)

    @contextlib.contextmanager
    def local_folder(self) -> Iterator[Path]:
        self.path.mkdir(parents=True, exist_ok=True)
        yield self.path


def _refused(folder: Path, what: str, error: OSError) -> NotWritableError:
    return NotWritableError(
        f"{folder}: cannot be {what} ({error.strerror}).",
        f"{'Make room, or choose' if is_full(error) else 'Choose'} another output with -o.",
    )


def _write_through(file: Path, content: bytes) -> None:
    with open(file, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    # holds off other processes between looking and writing, where the system and the file system can: NFS locks no
    # folder, and only what is open for writing. The file beside it stays: another may be waiting for it
    try:
        import fcntl
    except ImportError:
        yield
        return
    try:
        handle = os.open(file.with_name(f"{file.name}.guard"), os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
