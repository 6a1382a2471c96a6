"""Every word is there in every language, with the same things to fill in."""

import string
from importlib.resources import files

import pytest

from nepcube.report.words import LANGUAGES, words

SUBJECTS = sorted({f.name.split(".")[0] for f in files("nepcube.report.words").iterdir() if f.name.endswith(".toml")})


def _fields(text):
    return sorted({name for _, name, _, _ in string.Formatter().parse(text) if name is not None})


@pytest.mark.parametrize("subject", SUBJECTS)
def test_languages_have_the_same_keys_and_placeholders(subject):
    english = words(subject, "en")
    for language in LANGUAGES:
        other = words(subject, language)
        assert sorted(other) == sorted(english)
        for key, text in english.items():
            assert other[key].strip()
            assert _fields(other[key]) == _fields(text), key
