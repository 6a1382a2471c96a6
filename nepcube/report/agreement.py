"""NEP of the run against NEP of flux towers, a point a tower-year."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nepcube.report.lettering import text_size_mm
from nepcube.report.sheet import place, write
from nepcube.report.style import (
    DPI,
    FLUX,
    INK,
    ONE_COLUMN,
    QUIET,
    RULE,
    drawable,
    journal_style,
    new_figure,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["draw_agreement"]

# seven colours that stay apart for any colour vision (Okabe and Ito 2008; its yellow is too pale on paper) and nine
# shapes: no two of 63 towers are alike, and eight in a row differ in both
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LEFT, _TOP, _SIDE, _ROW = 15.0, 4.0, 72.0, 3.6


def draw_agreement(
    table: pd.DataFrame,
    path: Path,
    *,
    caption: Sequence[str] = (),
    warning: str | None = None,
    quantity: str = "NEP",
    dpi: float = DPI,
) -> Path:
    """Draw the tower-years that are used: the cell as a filled mark, its 3 x 3 mean as a hollow one, and the 1:1 line.

    Parameters
    ----------
    table : pandas.DataFrame
        As `compare_with_towers` gives it, with at least one tower-year that is used.
    path : pathlib.Path
        The PNG to write.
    caption : sequence of str
        Lines below the chart.
    warning : str, optional
        What must not be overlooked; it stands below all else.
    quantity : str
        What the run's axis is called.
    dpi : float

    Returns
    -------
    pathlib.Path
        The one given.
    """
    with journal_style():
        from matplotlib.lines import Line2D

        used = table[table["used"].astype(bool)]
        names = list(dict.fromkeys(used["tower"]))
        texts = [drawable(name, str(k + 1)) for k, name in enumerate(names)]
        columns = max(1, int((ONE_COLUMN - 6) // (max(text_size_mm(t)[0] for t in texts) + 9)))
        rows = math.ceil((len(names) + 2) / columns) + 1
        lines = [line for text in caption for line in _wrapped(text)]
        warned = _wrapped(warning) if warning else []
        below = _TOP + _SIDE + 11.0
        high = below + _ROW * rows + 1.5 + _ROW * (len(lines) + len(warned)) + 2.0
        figure = new_figure(ONE_COLUMN, high, dpi)
        ax = place(figure, _LEFT, _TOP, _SIDE, _SIDE)
        low, top = _limits(used)
        ax.plot([low, top], [low, top], color=QUIET, linewidth=0.8, zorder=1)
        ax.axhline(0, color=RULE, linewidth=0.5, zorder=0)
        ax.axvline(0, color=RULE, linewidth=0.5, zorder=0)
        handles = []
        for k, (name, text) in enumerate(zip(names, texts, strict=True)):
            part = used[used["tower"] == name]
            colour, shape = _COLOURS[k % len(_COLOURS)], _SHAPES[k % len(_SHAPES)]
            x = part["tower_nep_gc_m2"]
            ax.plot(x, part["cell_nep_gc_m2"], shape, color=colour, markersize=4.5, markeredgewidth=0.8, zorder=3)
            ax.plot(
                x,
                part["neighbourhood_nep_gc_m2"],
                shape,
                color=colour,
                markersize=4.5,
                markeredgewidth=0.8,
                markerfacecolor="none",
                zorder=2,
            )
            handles.append(Line2D([], [], marker=shape, color=colour, linestyle="none", markersize=4.5, label=text))
        ax.set_xlim(low, top)
        ax.set_ylim(low, top)
        ax.set_aspect("equal")
        ax.set_xlabel(f"NEP of the tower ({FLUX})")
        ax.set_ylabel(f"{quantity} of the run ({FLUX})")
        handles.append(Line2D([], [], color=QUIET, linewidth=0.8, label="1:1"))
        w, h = figure.get_size_inches() * 25.4
        figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(4 / w, 1 - below / h), ncols=columns)
        y = below + _ROW * math.ceil(len(handles) / columns) + 1.0
        write(figure, 4, y, "filled: the cell that holds the tower; hollow: mean of 3 × 3 cells", color=QUIET)
        y += _ROW + 0.5
        for line in lines:
            write(figure, 4, y, line, color=INK)
            y += _ROW
        for line in warned:
            write(figure, 4, y, line, color="#a3312a", style="italic")
            y += _ROW
        # neither a date nor a version, so that the same inputs give the same file
        figure.savefig(path, dpi=dpi, metadata={"Software": None, "Title": f"{quantity} of the run and of flux towers"})
    return path


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, int((ONE_COLUMN - 8) / 1.27))


def _limits(used: pd.DataFrame) -> tuple[float, float]:
    values = used[["tower_nep_gc_m2", "cell_nep_gc_m2", "neighbourhood_nep_gc_m2"]].to_numpy(dtype=float)
    low, top = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    edge = 0.06 * (top - low) or 1.0
    return low - edge, top + edge
