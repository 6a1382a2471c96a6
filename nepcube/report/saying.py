"""Texts by their keys: each language makes its own words of the same numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nepcube.report.words import Language, words

__all__ = ["HTML_LANGUAGE", "Say", "Speech", "Told", "has_words", "known", "say", "text_in"]

#: what HTML calls each language
HTML_LANGUAGE: Mapping[Language, str] = {"en": "en", "zh": "zh-Hans"}


@dataclass(frozen=True)
class Say:
    """A text of the page by its key, and what is filled into it: numbers as written, names, other texts."""

    key: str
    values: Mapping[str, Told] = field(default_factory=dict)


#: what can be said: a text by its key, several of them as a list, or a name or number that is the same everywhere
Told = Say | str | int | tuple["Told", ...]


def say(key: str, **values: Told) -> Say:
    """Name a text of the page and what is filled into it.

    Parameters
    ----------
    key : str
        Of `nepcube/report/words/page.*.toml` or `terms.*.toml`.
    **values
        By the names of its placeholders.
    """
    return Say(key, values)


def has_words(key: str) -> bool:
    """Tell whether the page has words for a key."""
    return key in words("page", "en")


def known(subject: str, name: str) -> Told:
    """Give the words for a name of the vocabulary, the name itself where there are none.

    Parameters
    ----------
    subject : str
        The table of the words, such as ``class``.
    name : str
    """
    key = f"{subject}.{name}"
    return Say(key) if has_words(key) else name.replace("_", " ")


def text_in(told: Told, language: Language) -> str:
    """Give a text in a language.

    Parameters
    ----------
    told : Say, str, int or tuple
        A tuple is a list of them, joined as the language does.
    language : {"en", "zh"}

    Raises
    ------
    KeyError
        The key is not one of the page's, or a value is missing.
    """
    if isinstance(told, Say):
        filled = {name: text_in(value, language) for name, value in told.values.items()}
        return words("page", language)[told.key].format(**filled)
    if isinstance(told, tuple):
        return words("page", language)["list"].join(text_in(one, language) for one in told)
    return str(told)


class Speech:
    """Says everything in the languages of one page.

    Parameters
    ----------
    languages : sequence of {"en", "zh"}
        The first is shown first.
    """

    def __init__(self, languages: Sequence[Language]) -> None:
        self.languages = tuple(languages)

    def plain(self, told: Told) -> str:
        """Give a text in the first language, for attributes."""
        return text_in(told, self.languages[0])

    def other(self, told: Told) -> dict[str, str]:
        """Give a text in each language, by what HTML calls it."""
        return {HTML_LANGUAGE[one]: text_in(told, one) for one in self.languages}

    def html(self, told: Told) -> Any:
        """Give a text as markup: one element a language where they differ, of which the style sheet shows one."""
        from markupsafe import Markup, escape

        texts = self.other(told)
        if len(set(texts.values())) == 1:
            return escape(next(iter(texts.values())))
        return Markup("").join(
            Markup('<span class="w" lang="{}">{}</span>').format(code, text) for code, text in texts.items()
        )

    def data(self, told: Told) -> str | dict[str, str]:
        """Give a text for the script: itself, or one a language."""
        texts = self.other(told)
        values = list(texts.values())
        return values[0] if len(set(values)) == 1 else texts


def data_island(content: Any) -> str:
    """Write JSON that can stand inside a script element, whatever the names in it are."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
