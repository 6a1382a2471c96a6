"""Several maps of one kind on a sheet, with one key: the partial correlations with each driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nepcube.report import cartography as carto
from nepcube.report.inputs import ReportInputs
from nepcube.report.keys import KeyRoom
from nepcube.report.layers import MapKey, seen_from_north
from nepcube.report.maps import paint
from nepcube.report.scalebar import view_of
from nepcube.report.sheet import TALLEST, footer, mark_generated, place, resize, sentences, told_regions, write
from nepcube.report.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["partial_panels"]

_LETTERS = "abc"


def partial_panels(inputs: ReportInputs, width: float, dpi: float) -> tuple[Figure, str] | None:
    """Draw the maps of the partial correlation with every driver and one key; give the notes too.

    Parameters
    ----------
    inputs : ReportInputs
    width : float
        mm.
    dpi : float

    Returns
    -------
    tuple or None
        None with fewer than two drivers: their map stands alone.
    """
    drivers, told = inputs.drivers, inputs.words
    n = len(drivers)
    if n < 2:
        return None
    frame = carto.frame_of(inputs.maps)
    left, right, above, ticks, gap = 11.0, 3.0, 5.5, 6.0, 10.0
    # tall maps stand side by side; of wide ones two on a wide sheet, and the key in the room that is left
    columns = n if frame.ratio < 0.8 else 2 if width > 110 else 1
    rows = -(-n // columns)
    wide = (width - left - right - gap * (columns - 1)) / columns
    filled = seen_from_north(inputs)
    ratio = view_of(frame, filled, wide)[0].ratio
    high = min(wide / ratio, (TALLEST - 55) / rows - above - ticks)
    wide = min(wide, high * ratio)
    high = wide / view_of(frame, filled, wide)[0].ratio
    step = above + high + ticks
    figure = new_figure(width, rows * step + 70, dpi)
    keys = []
    for k, driver in enumerate(drivers):
        row, column = divmod(k, columns)
        x, y = left + column * (wide + gap), 1.0 + row * step
        ax = place(figure, x, y + above, wide, high)
        keys.append(paint(ax, inputs, f"partial_{driver}"))
        ax.set_title("")
    key, notes = _merged(keys, told)
    marked = keys[0].regions
    inside = n < rows * columns
    span = wide if inside else min(width - left - right, columns * wide + (columns - 1) * gap)
    keyed = KeyRoom(key, span, told)
    inside = inside and keyed.height < step
    x0, y0 = (
        (left + (n % columns) * (wide + gap), 2.0 + (rows - 1) * step + above) if inside else (left, rows * step + 1)
    )
    end = rows * step + 1 if inside else y0 + keyed.height
    resize(figure, end + (footer(inputs) or 1.5), 0.0)
    for k, driver in enumerate(drivers):
        row, column = divmod(k, columns)
        x, y = left + column * (wide + gap), 2.0 + row * step
        write(figure, x, y, _LETTERS[k], fontweight="bold", fontsize=8)
        write(figure, x + 3.5, y + 0.2, told[f"class.{driver}"], fontsize=7.5)
    keyed.draw(figure, x0, y0)
    mark_generated(figure, inputs)
    return figure, sentences(inputs, [*notes, told_regions(inputs, marked)])


def _merged(keys: list[MapKey], told: Mapping[str, str]) -> tuple[MapKey, list[str]]:
    # what any of the maps needs stands in the key once; a map without data has no bar and no entries of its own
    of_bar = next((one for one in keys if one.mappable is not None), keys[0])
    key = replace(of_bar, bar_shares=[], handles=[], notes=[], regions=[])
    handles = [handle for one in keys for handle in one.handles]
    dots = [handle for handle in handles if hasattr(handle, "get_marker")]
    if len({str(handle.get_label()) for handle in dots}) > 1:
        # each map has another threshold: the key names none
        dots[0].set_label(told["key.significant_each"])
    others = {str(handle.get_label()): handle for handle in handles if not hasattr(handle, "get_marker")}
    key.handles = [*dots[:1], *others.values()]
    panels: dict[str, str] = {}
    for letter, one in zip(_LETTERS, keys, strict=False):
        threshold = told["note.dots_fdr"].format(level=one.level, alpha=one.alpha) if one.level else ""
        for note in one.notes:
            if note != threshold:
                panels[note] = panels.get(note, "") + letter
    notes = []
    levels = [told["note.each"].format(level=k.level, panel=p) for p, k in zip(_LETTERS, keys, strict=False) if k.level]
    if levels:
        alpha = next(one.alpha for one in keys if one.level)
        notes.append(told["note.dots_each"].format(levels=told["note.between_levels"].join(levels), alpha=alpha))
    for note, letters in panels.items():
        where = told["note.between_levels"].join(letters)
        notes.append(note if len(letters) == len(keys) else told["note.in_panels"].format(panels=where, note=note))
    return key, notes
