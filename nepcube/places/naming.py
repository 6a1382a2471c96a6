"""From what the user writes to a place."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from nepcube.errors import StoreError
from nepcube.places.local import LocalPlace
from nepcube.places.place import Place
from nepcube.places.remote import SCHEMES, RemotePlace


def is_url(path: str) -> bool:
    """Tell whether a path is a URL (``s3://…``, ``https://…``)."""
    return "://" in path


# parameters of a query that sign or open, and are another each time
_SIGNS = re.compile(r"^x-(amz|goog|ms)-|sig|token|key|secret|passw|auth|credential|expires|policy", re.IGNORECASE)


def public(path: str) -> str:
    """Give a path or URL as it may be told and kept: one of the web without its query."""
    return path.partition("?")[0] if path.startswith(("http://", "https://")) else path


def identity(path: str) -> str:
    """Give what tells a path or URL from others: of a query only a hash, without what merely signs it.

    A URL that was signed anew names the same file.
    """
    bare = public(path)
    if bare == path:
        return path
    said = parse_qsl(path.partition("?")[2], keep_blank_values=True)
    # the signature of Azure has parameters of two letters, which stand beside no others
    named = [] if any(name == "sig" for name, _ in said) else [pair for pair in said if not _SIGNS.search(pair[0])]
    return f"{bare}?{hashlib.sha256(urlencode(named).encode()).hexdigest()[:12]}" if named else bare


def require_plain(url: str) -> None:
    """Refuse a URL that holds a key or cannot be one, without telling it.

    Raises
    ------
    StoreError
    """
    scheme = url.partition("://")[0]
    web = scheme in ("http", "https")
    try:
        host = urlsplit(url).netloc
    except ValueError:
        raise StoreError(f"{scheme}://: the URL names no host.", "Write it as scheme://host/path.") from None
    # a secret of AWS may hold a slash, which ends the host before the @; what is then behind the colon is no port
    after = host.rpartition("]")[2].partition(":")[2]
    secret = "@" in host or (":" in host and scheme in SCHEMES and not web) or not re.fullmatch(r"[0-9]*", after)
    if secret:
        raise StoreError(
            f"{scheme}://: the URL has a user name or password, or no number for a port.",
            "Take them out of it: credentials come from the environment (docs/places.md).",
        )
    if scheme in SCHEMES and not web and re.search(r"\?[\w-]+=", url):
        raise StoreError(
            f"{url.partition('?')[0]}: the URL has a query.",
            "Take it out: credentials come from the environment (docs/places.md).",
        )
    if web and re.search(r"\s", url):
        raise StoreError(f"{public(url)}: the URL has a space in it.", "Write %20 for it.")


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
