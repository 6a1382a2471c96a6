"""URLs: told from paths, and what of them may be told, kept and compared, since a query may be a key."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

from nepcube.errors import StoreError
from nepcube.places.remote import SCHEMES

# parameters of a query that sign or open, and are another each time
_SIGNS = re.compile(r"^x-(amz|goog|ms)-|sig|token|key|secret|passw|auth|credential|expires|policy", re.IGNORECASE)


def is_url(path: str) -> bool:
    """Tell whether a path is a URL (``s3://…``, ``https://…``)."""
    return "://" in path


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
