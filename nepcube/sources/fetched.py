"""Inputs by URL: patterns are listed, files are fetched once to a folder of this machine and read from there.

Readers go on naming the URL; where one opens it, `local` says which file to open. Each process asks once for each URL.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from nepcube.errors import NepcubeError, SourceError
from nepcube.places import LocalPlace, RemotePlace, is_url, place_of, public

T = TypeVar("T")
_LOCKS: dict[str, threading.Lock] = {}
_FOUND: dict[str, str] = {}
_KNOWN: dict[str, tuple[int, str]] = {}
_GUARD = threading.Lock()
_WAITS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
_SIGNS = re.compile(r"[*?\[]")
# a server that says nothing for so long, so often, is not waited for any more: 91 s in all
_SILENCE = 30.0
_SILENCES = 3
# what servers answer that give a file and do not tell about it; a URL of S3 that is signed for GET is one of them
_NO_HEAD = (400, 403, 405, 501)
_TELL: list[Callable[[str], None]] = []


@contextmanager
def telling(say: Callable[[str], None]) -> Iterator[None]:
    """Say to the user, within, that a server is slow."""
    _TELL.append(say)
    try:
        yield
    finally:
        _TELL.remove(say)


def cache_folder() -> Path:
    """Give the folder of fetched files: ``NEPCUBE_CACHE``, else the platform's for a user's caches."""
    named = os.environ.get("NEPCUBE_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "nepcube" / "cache"
    if sys.platform == "darwin":
        return Path("~/Library/Caches/nepcube").expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nepcube"


def is_zarr(url: str) -> bool:
    """Tell whether a URL names a Zarr store, which is read where it is."""
    return url.partition("?")[0].rstrip("/").lower().endswith(".zarr")


def local(path: str) -> str:
    """Give the file of this machine that holds what a path or URL names, fetching it where that is not done yet.

    Raises
    ------
    SourceError
        There is no such file, no answer, or no room.
    """
    if not is_url(path) or is_zarr(path):
        return path
    place = _place(path)
    if isinstance(place, LocalPlace):
        return str(place)
    with _GUARD:
        lock = _LOCKS.setdefault(path, threading.Lock())
    with lock:
        found = _FOUND.get(path)
        if found is None or not os.path.exists(found):
            found = _FOUND[path] = _fetch(path)
    return found


def head(url: str) -> tuple[int, str]:
    """Give the size of what a URL names, and what changes when it is written anew.

    Raises
    ------
    SourceError
        There is no such file, or no answer.
    """
    if url in _KNOWN:
        return _KNOWN[url]
    place = _place(url)
    if isinstance(place, LocalPlace):
        state = os.stat(place)
        return state.st_size, str(state.st_mtime_ns)
    found: tuple[int, str]
    if url.startswith("http"):
        found = _head_of_web(url)
    else:
        with _as_source():
            one = place.head()
        if one is None:
            raise _absent(url)
        found = one
    _KNOWN[url] = found
    return found


class _Refused(Exception):
    """A server gives no answer to this kind of question."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


def _head_of_web(url: str) -> tuple[int, str]:
    try:
        return _ask(url, "HEAD", lambda answer: (_length(answer), _tag(answer)), refused=_NO_HEAD)
    except _Refused:
        pass
    try:
        # the first byte comes with the size of the whole; who sends the whole says so, too
        first = {"Range": "bytes=0-0"}
        return _ask(url, "GET", lambda answer: (_length(answer), _tag(answer)), first, refused=(416,))
    except _Refused:
        # there is no first byte
        return 0, ""


def _length(answer: Any) -> int:
    whole = re.fullmatch(r"bytes \S+/(\d+)", answer.headers.get("Content-Range") or "")
    said = whole[1] if whole else answer.headers.get("Content-Length") or ""
    return int(said) if said.isdecimal() and (whole or answer.status == 200) else -1


def _tag(answer: Any) -> str:
    return str(answer.headers.get("ETag") or answer.headers.get("Last-Modified") or "")


def _fetch(url: str) -> str:
    size, tag = head(url)
    name = re.sub(r"[^A-Za-z0-9._-]", "_", url.partition("?")[0].rstrip("/").rpartition("/")[2])[-100:]
    folder = cache_folder()
    file = folder / f"{hashlib.sha256(f'{url} {tag} {size}'.encode()).hexdigest()[:24]}-{name}"
    if file.exists():
        return str(file)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if url.startswith("http"):
            _ask(url, "GET", lambda answer: _save(answer, part, size, url))
        else:
            with _as_source():
                RemotePlace(url).download(part)
        os.replace(part, file)
    except OSError as error:
        raise SourceError(
            f"{url}: it cannot be kept in {folder} ({error.strerror or error}).",
            "Make room there, or set NEPCUBE_CACHE to a folder with more.",
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return str(file)


def _save(answer: Any, part: Path, size: int, url: str) -> None:
    written = 0
    wanted = size if size >= 0 else _length(answer)
    with open(part, "wb") as out:
        while block := answer.read(2**20):
            written += out.write(block)
    if wanted >= 0 and written != wanted:
        raise urllib.error.URLError(f"{written} of {wanted} bytes came")


def _ask(
    url: str,
    method: str,
    take: Callable[[Any], T],
    headers: Mapping[str, str] = {},
    *,
    refused: tuple[int, ...] = (),
) -> T:
    reason, silences = "", 0
    for wait in _WAITS:
        if reason and (silences or wait >= 2.0):
            for tell in _TELL:
                tell(f"{public(url)}: no answer yet ({reason}); asked again")
        time.sleep(wait)
        try:
            # names may be in any script
            request = urllib.request.Request(
                quote(url, safe="%/:=&?~#+!$,;'@()*[]"), None, dict(headers), method=method
            )
            with urllib.request.urlopen(request, timeout=_SILENCE) as answer:
                return take(answer)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise _absent(url) from None
            if error.code in refused:
                raise _Refused(error.code, error.reason) from None
            reason = f"{error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except (http.client.InvalidURL, ValueError, OverflowError) as error:
            # it stays wrong, however often it is asked
            reason = str(error)
            break
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            cause = getattr(error, "reason", error)
            reason = str(cause) if isinstance(error, urllib.error.URLError) else type(error).__name__
            if isinstance(cause, TimeoutError):
                silences += 1
                reason = f"nothing came for {_SILENCE:g} s"
                if silences == _SILENCES:
                    break
    raise SourceError(
        f"{public(url)}: it cannot be fetched ({reason}).", "Check the URL and the connection, and run again."
    )


def _absent(url: str) -> SourceError:
    return SourceError(f"{public(url)}: there is no such file.", "Check the URL.")


class _as_source:
    """What goes wrong with a store is a fault of an input here."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, value: BaseException | None, trace: Any) -> None:
        if isinstance(value, NepcubeError) and not isinstance(value, SourceError):
            raise SourceError(value.what, value.way_out) from None


def _place(url: str) -> Any:
    with _as_source():
        return place_of(url)


def matches(url: str) -> list[str]:
    """Give the URLs of files and Zarr stores that a URL with the signs of a pattern names; itself without any.

    Raises
    ------
    SourceError
        The store cannot be listed.
    """
    _place(url)
    if url.startswith("http") or not _SIGNS.search(url):
        return [url]
    root, segments = _split(url)
    with _as_source():
        return sorted(set(_below(root, segments)))


def _split(url: str) -> tuple[RemotePlace, list[str]]:
    parts = url.split("/")
    first = next(k for k, part in enumerate(parts) if _SIGNS.search(part))
    return RemotePlace("/".join(parts[:first])), parts[first:]


def _below(place: RemotePlace, segments: list[str]) -> Iterator[str]:
    pattern, rest = segments[0], segments[1:]
    folders, files = place.listing()
    if pattern == "**":
        yield from _below(place, rest) if rest else ()
        for name in folders:
            yield from _below(place / name, segments)
        return
    wanted = _translated(pattern)
    for name in folders:
        if wanted.fullmatch(name):
            if rest:
                yield from _below(place / name, rest)
            elif name.endswith(".zarr"):
                yield str(place / name)
    if not rest:
        for name, known in files.items():
            if wanted.fullmatch(name):
                found = str(place / name)
                _KNOWN[found] = known
                yield found


def _translated(pattern: str) -> re.Pattern[str]:
    import fnmatch

    return re.compile(fnmatch.translate(pattern))
