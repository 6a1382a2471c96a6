"""A prefix of an object store, through `obstore`: each object is written whole, and what fails is tried again.

An object that is put appears at once or not at all, so that nothing is written aside.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from nepcube.errors import NepcubeError, NotWritableError, StoreError
from nepcube.places.place import Place, Seen

SCHEMES = ("s3", "gs", "az", "http", "https")
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT_URL where they are needed; "
    "AWS_SKIP_SIGNATURE=true for a public bucket)",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
# a store that answers again after a minute or two has interrupted nothing
_RETRIES = 12
T = TypeVar("T")


@dataclass(frozen=True)
class RemotePlace(Place):
    """A URL."""

    url: str

    def __truediv__(self, name: str) -> RemotePlace:
        return RemotePlace(f"{self.url}/{name}")

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> RemotePlace:
        return RemotePlace(self.url.rpartition("/")[0])

    @property
    def handle(self) -> str:
        return self.url

    @property
    def _at(self) -> tuple[Any, str]:
        root, key = split(self.url)
        return open_store(root, asked=self.url), key

    def _do(self, what: Callable[[Any, str], T]) -> T | None:
        # None where there is no such object; all that is done here may be done twice
        store, key = self._at
        again = Patience()
        while True:
            try:
                return what(store, key)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise told(self.url, error) from None
                return None
            except _errors() as error:
                wait = again.after(self.url, error)
                if wait is None:
                    raise told(self.url, error) from None
                time.sleep(wait)

    def require(self) -> None:
        root, key = split(self.url)
        # few tries: what is wrong with a URL or its credentials stays wrong
        store = open_store(root, 5, asked=self.url)
        import obstore

        if self._do(lambda _, __: obstore.list_with_delimiter(store, key)) is None:
            raise _absent(self.url)

    def make(self) -> bool:
        # it comes with the first object below it
        return not self.is_folder()

    def exists(self) -> bool:
        return self.stamp() is not None

    def is_folder(self) -> bool:
        import obstore

        def first(store: Any, key: str) -> bool:
            return any(len(part) > 0 for part in obstore.list(store, f"{key}/" if key else None, chunk_size=1))

        return bool(self._do(first))

    def names(self) -> list[str]:
        folders, files = self.listing()
        return sorted({*folders, *files})

    def listing(self) -> tuple[list[str], dict[str, tuple[int, str]]]:
        """Give the folders directly below it, and the files with size and stamp."""
        import obstore

        found = self._do(lambda store, key: obstore.list_with_delimiter(store, f"{key}/" if key else None))
        if found is None:
            return [], {}
        folders = sorted(path.rstrip("/").rpartition("/")[2] for path in found["common_prefixes"])
        files = {one["path"].rpartition("/")[2]: _size_and_stamp(one) for one in found["objects"]}
        return folders, dict(sorted(files.items()))

    def files(self) -> Iterator[tuple[str, int, str]]:
        """Give the URL, the size and the stamp of every object below, however deep."""
        import obstore

        root, key = split(self.url)
        found = self._do(lambda store, _: obstore.list(store, f"{key}/" if key else None, chunk_size=1000).collect())
        for one in found or ():
            yield f"{root}/{one['path']}", *_size_and_stamp(one)

    def read(self) -> bytes | None:
        import obstore

        return self._do(lambda store, key: bytes(obstore.get(store, key).bytes()))

    def write(self, content: bytes) -> None:
        import obstore

        if self._do(lambda store, key: obstore.put(store, key, content, use_multipart=False)) is None:
            raise _absent(self.url)

    def upload(self, file: Path) -> None:
        """Put a file of this machine."""
        import obstore

        if self._do(lambda store, key: obstore.put(store, key, file)) is None:
            raise _absent(self.url)

    def download(self, file: Path) -> None:
        """Get an object as a file of this machine, piece by piece."""
        import obstore

        def get(store: Any, key: str) -> int:
            written = 0
            with open(file, "wb") as out:
                answer = obstore.get(store, key)
                for part in answer.stream(min_chunk_size=2**23):
                    written += out.write(part)
                out.flush()
                os.fsync(out.fileno())
            if written != answer.meta["size"]:
                raise StoreError(f"{self.url}: {written} of {answer.meta['size']} bytes came.", "Run again.")
            return written

        if self._do(get) is None:
            raise StoreError(f"{self.url}: there is no such file.", "Check the URL.")

    def head(self) -> tuple[int, str] | None:
        """Give the size and the stamp of an object; None where there is none."""
        import obstore

        meta = self._do(obstore.head)
        return None if meta is None else _size_and_stamp(meta)

    def stamp(self) -> Hashable | None:
        return self.head()

    def look(self) -> Seen | None:
        import obstore

        def get(store: Any, key: str) -> Seen:
            answer = obstore.get(store, key)
            meta = answer.meta
            return Seen(bytes(answer.bytes()), meta["e_tag"] or "", meta["last_modified"].timestamp())

        return self._do(get)

    def create(self, content: bytes) -> Hashable | None:
        return self._conditional("create", content)

    def exchange(self, stamp: Hashable, content: bytes) -> Hashable | None:
        return self._conditional({"e_tag": stamp}, content)

    def _conditional(self, mode: Any, content: bytes) -> Hashable | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        store, key = self._at
        last: Exception | None = None
        for wait in (0.0, 0.5, 1.0, 2.0, 4.0):
            time.sleep(wait)
            try:
                stamp: Hashable = obstore.put(store, key, content, mode=mode)["e_tag"]
                return stamp
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise told(self.url, error) from None
                return None
            except (AlreadyExistsError, PreconditionError):
                last = None
            except _errors() as error:
                last = error
                if not _may_pass(self.url, error):
                    raise told(self.url, error) from None
            # the answer to a put that was done may have been lost, and the put tried again
            seen = self.look()
            if seen is not None and seen.content == content:
                return seen.stamp
            if last is None:
                return None
        assert last is not None
        raise told(self.url, last) from None

    def clock(self) -> float:
        import obstore

        probe = self / f".clock.{uuid.uuid4().hex}"
        probe.write(b"")
        meta = probe._do(obstore.head)
        probe.delete()
        if meta is None:
            raise _absent(self.url)
        when: float = meta["last_modified"].timestamp()
        return when

    def delete(self) -> None:
        import obstore

        self._do(obstore.delete)

    def delete_tree(self) -> None:
        import obstore

        root, _ = split(self.url)
        keys = [url.removeprefix(f"{root}/") for url, _, _ in self.files()]
        for start in range(0, len(keys), 1000):
            part = keys[start : start + 1000]
            self._do(lambda store, _, part=part: obstore.delete(store, part))  # type: ignore[misc]

    def sweep(self) -> None:
        """Nothing: an object appears whole or not at all."""

    def sync(self) -> None:
        """Nothing: an object that was put is kept."""

    def zarr(self, *, write: bool = False) -> Any:
        from nepcube.places.stores import PlaceStore

        return PlaceStore(self.url, read_only=not write)

    @contextmanager
    def local_folder(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="nepcube-") as made:
            folder = Path(made)
            yield folder
            for file in sorted(f for f in folder.rglob("*") if f.is_file()):
                (self / file.relative_to(folder).as_posix()).upload(file)


def _size_and_stamp(meta: Any) -> tuple[int, str]:
    return meta["size"], meta["e_tag"] or str(meta["last_modified"])


def split(url: str) -> tuple[str, str]:
    """Give the bucket's URL and the key in it; of Azure the container's, whose account is in the environment."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


@lru_cache(maxsize=64)
def _opened(url: str, retries: int, _environment: tuple[tuple[str, str], ...]) -> Any:
    from obstore.store import from_url

    how: dict[str, Any] = {"retry_config": {"max_retries": retries}}
    return from_url(url, **how)


def open_store(url: str, retries: int = _RETRIES, *, asked: str | None = None) -> Any:
    """Give obstore's store of a URL, as the environment says, once for each; `asked` is what the user named."""
    if find_spec("obstore") is None:
        raise StoreError(
            f"{asked or url}: URLs need the package obstore, which is not installed.",
            "Install it: pip install 'nepcube[cloud]'.",
        )
    said = tuple(sorted(item for item in os.environ.items() if item[0].startswith(("AWS_", "GOOGLE_", "AZURE_"))))
    try:
        return _opened(url, retries, said)
    except _errors(ValueError) as error:
        raise told(asked or url, error) from None


def _errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    try:
        from obstore.exceptions import BaseError
    except ImportError:
        return others
    return BaseError, PermissionError, *others


class Patience:
    """How often something is done again that obstore gives up: it tries only some requests again after a timeout."""

    def __init__(self) -> None:
        self._end = time.monotonic() + 120.0
        self._waits = iter((0.2, 0.5, 1.0, 2.0, 4.0))

    def after(self, url: str, error: BaseException) -> float | None:
        """Give the seconds to wait before the next time; None where there is to be none."""
        if time.monotonic() > self._end or not _may_pass(url, error):
            return None
        return next(self._waits, None)


def _may_pass(url: str, error: BaseException) -> bool:
    return told(url, error).what == _unanswered(url, error).what


def _absent(url: str) -> StoreError:
    root, _ = split(url)
    return StoreError(f"{url}: there is no such bucket ({root}).", "Make the bucket, or check the URL.")


def _unanswered(url: str, error: BaseException) -> StoreError:
    text = str(error).partition("\n\nDebug source")[0]
    found = re.search(r"<Code>(\w+)</Code>", text)
    reason = found[1] if found else " ".join(text.split())[:160]
    return StoreError(
        f"{url}: the store does not answer as it should ({reason}).",
        "Check the connection and the endpoint, and run again: it continues.",
    )


def told(url: str, error: BaseException) -> NepcubeError:
    """Turn what an object store answers into an error for the user."""
    if isinstance(error, NepcubeError):
        return error
    text = f"{type(error).__name__} {error}"
    scheme = url.partition("://")[0]
    keys = _KEYS.get(scheme, "them")
    if "NoSuchBucket" in text or "ContainerNotFound" in text or isinstance(error, FileNotFoundError):
        return _absent(url)
    # without keys the machine itself is asked for some, as one of a cloud would be
    if any(
        word in text
        for word in (
            "Account must be specified",
            "169.254.169.254",
            "/latest/api/token",
            "metadata.google.internal",
            "metadata/i",
        )
    ):
        return StoreError(f"{url}: no credentials are in the environment.", f"Set {keys}.")
    wrong = ("Unauthenticated", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "401 Unauthorized")
    if any(word in text for word in wrong):
        return StoreError(f"{url}: the credentials of the environment are not accepted.", f"Check {keys}.")
    if "PermissionDenied" in text or "403 Forbidden" in text or isinstance(error, PermissionError):
        return NotWritableError(
            f"{url}: the credentials of the environment give no permission there.",
            "Ask for permission to list, read, write and delete below it, or choose another URL.",
        )
    return _unanswered(url, error)
