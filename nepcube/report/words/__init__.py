"""The words of figures and page, in each language: one TOML file a subject and language, with the same keys.

What both say is in `terms.*.toml`, once. Names that come from files and recipes are never translated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Literal

from nepcube.errors import SpecError

__all__ = ["LANGUAGES", "Language", "require_language", "words"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def require_language(language: str) -> Language:
    """Refuse a language that is not there.

    Raises
    ------
    SpecError
    """
    for known in LANGUAGES:
        if language == known:
            return known
    raise SpecError(f"{language!r} is not a language of the report.", f"Use one of {', '.join(LANGUAGES)}.")


@cache
def words(subject: str, language: Language) -> Mapping[str, str]:
    """Give the words of a subject.

    Parameters
    ----------
    subject : str
        The first part of the file's name, ``figures`` or ``page``; each has the terms too.
    language : {"en", "zh"}

    Returns
    -------
    mapping of str to str
        By key; those of a table of the file are joined by dots (``caption.series``). Placeholders are `str.format`'s.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(("terms", subject)):
        text = (files(__name__) / f"{name}.{language}.toml").read_text(encoding="utf-8")
        found |= dict(_flat(tomllib.loads(text)))
    return MappingProxyType(found)


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            out += _flat(value, f"{before}{key}.")
        else:
            out.append((f"{before}{key}", str(value)))
    return out
