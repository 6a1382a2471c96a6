"""Finding files, and telling what a file is by its first bytes rather than by its name."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nepcube.errors import NepcubeError, SourceError
from nepcube.places import LocalPlace, is_url, place_of
from nepcube.sources import fetched
from nepcube.sources.fetched import local

_MAGIC = (
    (b"\x0e\x03\x13\x01", "HDF4"),
    (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"CDF\x01", "NetCDF classic"),
    (b"CDF\x02", "NetCDF classic"),
    (b"CDF\x05", "NetCDF classic"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"GRIB", "GRIB"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
)
GZIPPED_TIFF = "a gzipped TIFF"
_ZARR = ("zarr.json", ".zgroup", ".zmetadata")
_WAYS_OUT = {
    "an HTML page": "The download failed and a login or error page was saved under the file's name: download it again.",
    "a ZIP archive": "Unpack it first: the Climate Data Store delivers several files in one ZIP.",
    "a gzip file": "Unpack it first (gunzip).",
    GZIPPED_TIFF: "Unpack it first (gunzip).",
    "empty": "The download failed: download it again.",
    "GRIB": "Ask for NetCDF, or convert it; only the readers of ERA5-Land and ERA5 take GRIB.",
}


def expand(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """Give the files that some paths and patterns name, sorted, each once; patterns of object stores are listed.

    Raises
    ------
    SourceError
        A pattern matches nothing.
    """
    patterns: Iterable[str | os.PathLike[str]] = [paths] if isinstance(paths, str | os.PathLike) else paths
    found: dict[str, str] = {}
    empty = []
    for pattern in (os.fspath(p) for p in patterns):
        if pattern.startswith("file://"):
            pattern = str(_folder(pattern))
        here = fetched.matches(pattern) if is_url(pattern) else _matches(pattern)
        if not here:
            empty.append(pattern)
        for path in here:
            # one file under two spellings is one file
            found.setdefault(path if is_url(path) else os.path.abspath(path), path)
    if empty or not found:
        raise SourceError(
            f"{', '.join(empty) or 'No path is given'}: no file matches.",
            "Check the path (it is relative to the recipe) and that the download is complete.",
        )
    return tuple(sorted(found.values()))


def _matches(pattern: str) -> list[str]:
    # a name may hold the signs of a pattern
    here = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
    return [p for p in here if os.path.isfile(p) or kind(p) == "Zarr" or p.rstrip(os.sep).endswith(".zarr")]


def _folder(url: str) -> LocalPlace:
    try:
        place = place_of(url)
    except NepcubeError as error:
        raise SourceError(error.what, error.way_out) from None
    assert isinstance(place, LocalPlace)
    return place


def size(path: str) -> int:
    """Give the bytes of a file or of a folder; 0 of a Zarr store behind a URL, which is not listed."""
    if is_url(path):
        return 0 if fetched.is_zarr(path) else fetched.head(path)[0]
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def kind(path: str) -> str:
    """Tell what a file is: ``"HDF4"``, ``"HDF5"``, ``"NetCDF classic"``, ``"TIFF"``, … or ``"unknown"``."""
    if is_url(path) and fetched.is_zarr(path):
        return "Zarr"
    if Path(local(path)).is_dir():
        return "Zarr" if any((Path(path) / name).exists() for name in _ZARR) else "a folder"
    try:
        with open(local(path), "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}).", "Check the file's permissions.") from None
    if not head:
        return "empty"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return _kind_in_gzip(head) if name == "a gzip file" else name
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")) or b"<html" in text:
        return "an HTML page"
    return "unknown"


def _kind_in_gzip(head: bytes) -> str:
    try:
        inside = zlib.decompressobj(wbits=31).decompress(head, 16)
    except zlib.error:
        return "a gzip file"
    return GZIPPED_TIFF if any(inside.startswith(m) for m, name in _MAGIC if name == "TIFF") else "a gzip file"


def require(path: str, *wanted: str) -> str:
    """Give the kind of a file, which must be one of `wanted`.

    Raises
    ------
    SourceError
        The file is something else.
    """
    got = kind(path)
    if got in wanted:
        return got
    is_what = "is of no known format" if got == "unknown" else f"is {got}"
    raise SourceError(
        f"{path}: {is_what}, not {' or '.join(dict.fromkeys(wanted))}.",
        _WAYS_OUT.get(got, "Check that the file is what its name says, and download it again if not."),
    )


def windows_of(
    key: tuple[slice | int, ...], shape: tuple[int, ...]
) -> tuple[tuple[range, ...], tuple[slice | int, ...]]:
    """Turn an index into whole ranges that cover it, and what to take of them then.

    dask fuses slices into the reader, so that steps and single numbers arrive as well.
    """
    covers: list[range] = []
    takes: list[slice | int] = []
    for k, n in zip(key, shape, strict=True):
        if not isinstance(k, slice):
            covers.append(range(int(k), int(k) + 1))
            takes.append(0)
            continue
        wanted = range(*k.indices(n))
        if not wanted:
            covers.append(range(0))
            takes.append(slice(None))
            continue
        low, high = min(wanted[0], wanted[-1]), max(wanted[0], wanted[-1])
        covers.append(range(low, high + 1))
        takes.append(slice(None, None, wanted.step))
    return tuple(covers), tuple(takes)


def damaged(path: str, error: BaseException) -> SourceError:
    """Make the error for a file that has the right first bytes and cannot be read."""
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, SourceError):
        return error
    return SourceError(f"{path}: the file is damaged or cut off ({reason}).", "Download it again.")


@contextmanager
def border(path: str) -> Iterator[None]:
    """Turn what a library raises about a file into an error that names it."""
    # for bytes that make no sense they raise classes of their own (GDAL, struct, zlib, numcodecs), and any of Python's
    try:
        yield
    except NepcubeError:
        raise
    except Exception as error:
        raise damaged(path, error) from None
