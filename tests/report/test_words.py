"""Every word is there in every language, with the same things to fill in."""

import string
import tomllib
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


def _keys(table, before=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_word_of_both_figures_and_page_stands_once(language):
    folder = files("nepcube.report.words")
    own = {s: tomllib.loads((folder / f"{s}.{language}.toml").read_text(encoding="utf-8")) for s in SUBJECTS}
    terms = set(_keys(own["terms"]))
    assert terms
    for subject in ("figures", "page"):
        assert not terms & set(_keys(own[subject]))
        assert {key: words(subject, language)[key] for key in terms} == dict(words("terms", language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_and_page_write_a_unit_alike(language):
    from nepcube.report.style import FLUX, SLOPE

    year = words("figures", language)["unit_year"]
    told = [text.replace("yr", year) for text in (FLUX, SLOPE)]
    assert told == [words("page", language)[f"unit.{name}"] for name in ("flux", "slope")]
