"""The key of a map on paper: bar, swatches and names of regions, in as many columns as the width allows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nepcube.report.layers import MapKey
from nepcube.report.lettering import text_size_mm, wrap_to
from nepcube.report.style import QUIET, limit, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["KeyRoom"]

_ROW = 3.6  # mm, one row of 7 point text with its leading
_SWATCH = 4.0  # mm
_BESIDE = 45.0  # mm, what swatches beside a bar need
_LONGEST = 105.0  # mm, of a bar


@dataclass(frozen=True)
class _Entries:
    """Texts in columns, filled from top to bottom; a text wider than the room is one column's, over several lines."""

    lines: tuple[tuple[str, ...], ...]
    places: tuple[tuple[float, float], ...]
    height: float


def _entries(texts: Sequence[str], span: float, indent: float) -> _Entries:
    # as many columns as fit, each as wide as its longest text
    gap, n = 4.5, len(texts)
    # letters are set a little wider on a screen than they are drawn
    widths = [1.03 * text_size_mm(t)[0] + indent for t in texts]
    for columns in range(min(n, 8), 1, -1):
        rows = math.ceil(n / columns)
        wide = [max(widths[k : k + rows]) for k in range(0, n, rows)]
        if sum(wide) + gap * (len(wide) - 1) <= span:
            lefts = [sum(wide[:c]) + gap * c for c in range(len(wide))]
            places = tuple((lefts[k // rows], k % rows * _ROW) for k in range(n))
            return _Entries(tuple((t,) for t in texts), places, rows * _ROW)
    lines = tuple(tuple(wrap_to(t, span - indent)) for t in texts)
    tops = [sum(len(one) for one in lines[:k]) * _ROW for k in range(n + 1)]
    return _Entries(lines, tuple((0.0, top) for top in tops[:n]), tops[n])


class KeyRoom:
    """The room that a key needs on the paper, and its drawing.

    Parameters
    ----------
    key : MapKey
    span : float
        The width that it may take, mm.
    words : mapping of str to str
    """

    def __init__(self, key: MapKey, span: float, words: Mapping[str, str]) -> None:
        self._key, self._words = key, words
        self._bar = key.mappable is not None
        self._bar_width = min(span, _LONGEST)
        self._is_beside = self._bar and span >= self._bar_width + _BESIDE
        # numbers of two words above a short bar would run into each other
        self._short = bool(key.bar_shares) and self._bar_width / len(key.bar_shares) < 11.0
        room = span - self._bar_width - 6 if self._is_beside else span
        self._handles = _entries([str(h.get_label()) for h in key.handles], room, _SWATCH + 1.2)
        self._fill = _SWATCH + 1.2 if key.fills else 0.0
        self._regions = _entries([name for _, name in key.regions], span, self._fill + 4.5)
        # what the numbers are stands beside them, or above where there is no room
        self._told_above = self._short or span - self._bar_width < 32.0
        self._above = (_ROW + 2.6 if self._told_above else 2.6) if key.bar_shares else 0.0
        height = 1.0
        if self._bar:
            bar = self._above + 12.2
            height += max(bar, self._handles.height) if self._is_beside else bar + self._handles.height
        else:
            height += self._handles.height + (4.2 if key.heading and key.handles else 0)
        height += 1.5 if key.handles or self._bar else 0.0
        self._regions_at = height
        height += self._regions.height + 1.5 if key.regions else 0.0
        self.height = height

    def draw(self, figure: Figure, x0: float, y0: float) -> None:
        """Draw the key, its upper left corner at a place in millimetres."""
        key, y = self._key, y0 + 1.0
        if self._bar:
            self._draw_bar(figure, x0, y + self._above)
            at = (x0 + self._bar_width + 6, y + self._above) if self._is_beside else (x0, y + self._above + 12.2)
            self._draw_handles(figure, *at)
        elif key.handles:
            if key.heading:
                _write(figure, x0, y, key.heading, fontweight="bold")
                y += 4.2
            self._draw_handles(figure, x0, y)
        for (mark, _), lines, (x, down) in zip(key.regions, self._regions.lines, self._regions.places, strict=True):
            left, top = x0 + x, y0 + self._regions_at + down
            if mark in key.fills:
                _swatch(figure, left, top, facecolor=key.fills[mark], edgecolor=QUIET)
            _write(figure, left + self._fill, top, mark, fontweight="bold")
            _write(figure, left + self._fill + 4.5, top, "\n".join(lines))

    def _draw_handles(self, figure: Figure, x0: float, y0: float) -> None:
        from matplotlib.lines import Line2D

        w, h = figure.get_size_inches() * 25.4
        for handle, lines, (x, down) in zip(self._key.handles, self._handles.lines, self._handles.places, strict=True):
            left, top = x0 + x, y0 + down
            if isinstance(handle, Line2D):
                look: dict[str, Any] = {"marker": handle.get_marker(), "color": handle.get_color(), "linestyle": "none"}
                size = handle.get_markersize()
                figure.add_artist(
                    Line2D(
                        [(left + _SWATCH / 2) / w], [1 - (top + 1.35) / h], markersize=size, markeredgewidth=0, **look
                    )
                )
            else:
                look = {"facecolor": handle.get_facecolor(), "edgecolor": handle.get_edgecolor()}
                _swatch(figure, left, top, hatch=handle.get_hatch(), **look)
            _write(figure, left + _SWATCH + 1.2, top, "\n".join(lines))

    def _draw_bar(self, figure: Figure, x0: float, y: float) -> None:
        key, told = self._key, self._words
        w, h = figure.get_size_inches() * 25.4
        axes = figure.add_axes((x0 / w, 1 - (y + 3.2) / h, self._bar_width / w, 3.2 / h))
        options: dict[str, Any] = {"ticks": key.bar_ticks} if key.bar_ticks is not None else {}
        bar = figure.colorbar(
            key.mappable, cax=axes, orientation="horizontal", extend=key.extend, spacing="uniform", **options
        )
        bar.outline.set_linewidth(0.5)
        axes.tick_params(length=2, pad=1.5, labelsize=7)
        if key.bar_ticks is not None:
            axes.set_xticks(key.bar_ticks, [limit(t) for t in key.bar_ticks])
        bar.set_label(key.bar_label, fontsize=7.5, labelpad=1.5)
        n = len(key.bar_shares)
        look: dict[str, Any] = {"va": "bottom", "fontsize": 7}
        for k, share in enumerate(key.bar_shares):
            text = percent(share).removesuffix(" %") if self._short else percent(share)
            axes.text((k + 0.5) / n, 1.2, text, transform=axes.transAxes, ha="center", **look)
        if n and self._told_above:
            label = told["share_with_data_percent" if self._short else "share_with_data"]
            _write(figure, x0, y - self._above, label, color=QUIET)
        elif n:
            axes.text(1.015, 1.2, told["share_with_data"], transform=axes.transAxes, ha="left", color=QUIET, **look)


def _swatch(figure: Figure, left: float, top: float, **look: Any) -> None:
    from matplotlib.patches import Rectangle

    w, h = figure.get_size_inches() * 25.4
    figure.add_artist(Rectangle((left / w, 1 - (top + 2.45) / h), _SWATCH / w, 2.1 / h, linewidth=0.4, **look))


def _write(figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
    w, h = figure.get_size_inches() * 25.4
    figure.text(left / w, 1 - top / h, text, **{"fontsize": 7, "va": "top", "ha": "left", "linespacing": 1.2, **look})
