"""How large a text is on the paper, and where it breaks into lines, in English and in Chinese."""

from __future__ import annotations

import re
from functools import lru_cache

from nepcube.report.fonts import font_families

__all__ = ["cut", "text_size_mm", "wrap", "wrap_to"]

_HAN = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
_PIECES = re.compile(rf"\s+|[{_HAN}]|[^\s{_HAN}]+")
# what must not begin a line, and what must not end one
_CLOSING, _OPENING = set("，。、；：？！）》”’%％°"), set("（《“‘")


def text_size_mm(text: str, points: float = 7.0) -> tuple[float, float]:
    """Give the width and height of a text in millimetres, lines one and a quarter of the size apart."""
    lines = text.split("\n")
    point = 25.4 / 72
    return max(_line_width(line) for line in lines) * points * point, 1.25 * points * len(lines) * point


@lru_cache(maxsize=8192)
def _line_width(line: str) -> float:
    # in units of the font's size; the control points of the outlines are near enough, and quick
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not line.strip():
        return 0.0
    outline = TextPath((0, 0), line, size=100, prop=FontProperties(family=list(font_families())))
    return float(outline.vertices[:, 0].max()) / 100 if len(outline.vertices) else 0.0


def _pieces(text: str) -> list[str]:
    # what is kept together; a line may break between any two pieces
    out: list[str] = []
    for piece in _PIECES.findall(text):
        blank = piece.isspace()
        if piece[0] in _CLOSING and len(out) > 1 and out[-1] == " ":
            # a blank before a mark is no place to break
            out[-2:] = [out[-2] + " "]
        if out and not blank and out[-1] != " " and (piece[0] in _CLOSING or out[-1][-1] in _OPENING):
            out[-1] += piece
        else:
            out.append(" " if blank else piece)
    return out


def wrap_to(text: str, width: float, points: float = 7.0) -> list[str]:
    """Break a text into lines of at most a width.

    Parameters
    ----------
    text : str
        Breaks at spaces, and between Chinese characters.
    width : float
        mm. A word that is longer stands alone on its line.
    points : float

    Returns
    -------
    list of str
        At least one line.
    """
    lines = [""]
    for piece in _pieces(text):
        longer = lines[-1] + piece
        if lines[-1].strip() and text_size_mm(longer.rstrip(), points)[0] > width:
            lines[-1] = lines[-1].rstrip()
            lines.append(piece.lstrip())
        else:
            lines[-1] = longer
    return [line for line in (line.strip() for line in lines) if line] or [text.strip()]


def wrap(text: str, lines: int) -> str:
    """Break a text into at most so many lines, as even as they come."""
    whole = text_size_mm(text)[0]
    width = whole / max(lines, 1)
    while width < whole and len(wrap_to(text, width)) > lines:
        width *= 1.04
    return "\n".join(wrap_to(text, width + 0.01))


def cut(text: str, width: float, points: float = 7.0) -> str:
    """Shorten a text to a width, mm, with an ellipsis where something is left out."""
    if text_size_mm(text, points)[0] <= width:
        return text
    while text and text_size_mm(text + "…", points)[0] > width:
        text = text[:-1]
    return text.rstrip() + "…"
