"""Inputs by URL: patterns are listed, files are fetched once to a folder of this machine and read from there.

Readers go on naming the URL; where one opens it, `local` says which file to open. Each process asks once for each URL.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nepcube.errors import NepcubeError, SourceError
from nepcube.places import LocalPlace, RemotePlace, is_url, place_of

_LOCKS: dict[str, threading.Lock] = {}
_FOUND: dict[str, str] = {}
_KNOWN: dict[str, tuple[int, str]] = {}
_GUARD = threading.Lock()
_WAITS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
_SIGNS = re.compile(r"[*?\[]")


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
        found = _ask(url, "HEAD", lambda answer: (_length(answer), _tag(answer)))
    else:
        with _as_source():
            one = place.head()
        if one is None:
            raise _absent(url)
        found = one
    _KNOWN[url] = found
    return found


def _length(answer: Any) -> int:
    return int(answer.headers.get("Content-Length") or -1)


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
    with open(part, "wb") as out:
        while block := answer.read(2**20):
            written += out.write(block)
    if size >= 0 and written != size:
        raise urllib.error.URLError(f"{written} of {size} bytes came")


def _ask(url: str, method: str, take: Callable[[Any], Any]) -> Any:
    reason = ""
    for wait in _WAITS:
        time.sleep(wait)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:
                return take(answer)
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise _absent(url) from None
            reason = f"{error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 429):
                break
        except urllib.error.URLError as error:
            reason = str(error.reason)
        except (TimeoutError, ConnectionError) as error:
            reason = type(error).__name__
    raise SourceError(f"{url}: it cannot be fetched ({reason}).", "Check the URL and the connection, and run again.")


def _absent(url: str) -> SourceError:
    return SourceError(f"{url}: there is no such file.", "Check the URL.")


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
