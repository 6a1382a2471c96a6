"""Which fonts the figures use: the one of matplotlib, a Chinese one that comes along, then what the machine has."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

__all__ = ["can_draw", "font_families", "lacking"]

#: our own name: neither a user's font nor a later version of the original can be taken for it
_FAMILY = "Nepcube Sans SC"
_FILES = ("NepcubeSansSC-Regular.ttf", "NepcubeSansSC-Bold.ttf")
#: fonts with many scripts, for names with characters beyond GB 2312
_SYSTEM = (
    "Noto Sans CJK SC",
    "Noto Sans CJK TC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "SimSun",
    "PingFang SC",
    "Hiragino Sans GB",
    "AR PL UMing CN",
    "Droid Sans Fallback",
    "Noto Sans",
    "Arial Unicode MS",
)


@lru_cache(maxsize=1)
def font_families() -> tuple[str, ...]:
    """Give the font families to use, the first that has a character draws it.

    Ours are made known to matplotlib once; its settings stay as they are.
    """
    from matplotlib import font_manager

    manager = font_manager.fontManager
    folder = Path(str(files(__name__)))
    if not any(entry.name == _FAMILY for entry in manager.ttflist):
        for name in _FILES:
            manager.addfont(folder / name)
        # the bold one has the characters of our own words only: bold names fall back to the regular one by this name
        regular = next(e for e in manager.ttflist if e.name == _FAMILY and e.weight == 400)
        manager.ttflist += [replace(regular, name=f"{_FAMILY} All", weight=weight) for weight in (400, 700)]
    there = {entry.name for entry in manager.ttflist}
    # asking for a family that is not there makes matplotlib warn at each text
    return ("DejaVu Sans", _FAMILY, f"{_FAMILY} All", *(name for name in _SYSTEM if name in there))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    from matplotlib import font_manager

    known: set[int] = set()
    for family in font_families():
        path = font_manager.findfont(font_manager.FontProperties(family=family))
        known.update(font_manager.get_font(path).get_charmap())
    return frozenset(known)


def lacking(text: str) -> str:
    """Give the characters of a text that no font has, each once."""
    return "".join(c for c in dict.fromkeys(text) if not c.isspace() and ord(c) not in _glyphs())


def can_draw(text: str) -> bool:
    """Tell whether the fonts have every character of a text."""
    return not lacking(text)
