"""From what the user writes to a place."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nepcube.errors import StoreError
from nepcube.places.local import LocalPlace
from nepcube.places.place import Place
from nepcube.places.remote import SCHEMES, RemotePlace
from nepcube.places.urls import is_url, require_plain


def place_of(where: str | os.PathLike[str] | Place) -> Place:
    """Give the place that a path or a URL names.

    Parameters
    ----------
    where : str, path-like or Place
        A path, or ``s3://``, ``gs://``, ``az://`` or ``file://``; ``http://`` and ``https://`` can be read only.

    Raises
    ------
    StoreError
        It is a URL of another kind.
    """
    if isinstance(where, Place):
        return where
    text = os.fspath(where)
    if isinstance(where, os.PathLike) and re.match(rf"({'|'.join(SCHEMES)}|file):/(?!/)", text):
        raise StoreError(f"{text}: a URL has lost a slash as a path.", "Give the URL as text (str), not as a Path.")
    if not is_url(text):
        return LocalPlace(Path(text))
    require_plain(text)
    parts = urlsplit(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not parts.path:
            raise StoreError(f"{text}: this names no folder of this machine.", "Write file:///folder, or the folder.")
        return LocalPlace(Path(unquote(parts.path)))
    if parts.scheme not in SCHEMES:
        raise StoreError(
            f"{text}: {parts.scheme}:// is no kind of store that nepcube knows.",
            f"Use a path or one of {', '.join(f'{s}://' for s in (*SCHEMES, 'file'))}.",
        )
    if not parts.netloc:
        raise StoreError(f"{text}: the URL names no bucket.", f"Write {parts.scheme}://bucket/folder.")
    return RemotePlace(text.rstrip("/"))
