"""A map on a sheet of paper: the map at its true shape, its key below, the paper as high as both need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

from nepcube.report import cartography as carto
from nepcube.report.inputs import ReportInputs
from nepcube.report.keys import KeyRoom
from nepcube.report.layers import MapKey, seen_from_north
from nepcube.report.lettering import wrap_to
from nepcube.report.locator import place_locator
from nepcube.report.maps import paint
from nepcube.report.scalebar import view_of
from nepcube.report.style import DPI, ONE_COLUMN, QUIET, TWO_COLUMNS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "TALLEST",
    "footer",
    "map_figure",
    "map_sheet",
    "mark_generated",
    "place",
    "resize",
    "sentences",
    "told_regions",
    "write",
]

#: the height of a printed page, mm
TALLEST = 235.0
#: of which the names of regions may take so much
_MOST_NAMES = 120.0
_LINE = 3.6  # mm, one line of 7 point text with its leading
_WARNING = "#a3312a"


def place(figure: Figure, left: float, top: float, width: float, height: float, **options: Any) -> Axes:
    """Add an Axes by millimetres from the upper left corner."""
    w, h = figure.get_size_inches() * 25.4
    return figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h), **options)


def write(figure: Figure, left: float, top: float, text: str, **look: Any) -> None:
    """Write a text by millimetres from the upper left corner."""
    w, h = figure.get_size_inches() * 25.4
    figure.text(left / w, 1 - top / h, text, **{"fontsize": 7, "va": "top", "ha": "left", **look})


def mark_generated(figure: Figure, inputs: ReportInputs) -> None:
    """Say on the figure that the data are generated: a figure travels without its page."""
    if inputs.generated:
        w, h = figure.get_size_inches() * 25.4
        look: dict[str, Any] = {"fontsize": 7, "ha": "right", "va": "bottom", "color": _WARNING}
        # Chinese has no slanted letters
        style = "italic" if inputs.language == "en" else "normal"
        figure.text(1 - 2 / w, 1.2 / h, inputs.words["generated"], style=style, **look)


def footer(inputs: ReportInputs) -> float:
    """Give the height of the line that says so, mm."""
    return 5.0 if inputs.generated else 0.0


def map_figure(inputs: ReportInputs, name: str, *, width_mm: float = TWO_COLUMNS, dpi: float = DPI) -> Figure:
    """Draw a map with its title, key and notes on a page of a given width.

    Parameters
    ----------
    inputs : ReportInputs
    name : str
        As `nepcube.report.maps.paint` takes it.
    width_mm : float
        88 or 90 and 180 or 190 mm are the columns of most journals; a tall map is as wide as its height allows.
    dpi : float

    Returns
    -------
    matplotlib.figure.Figure
    """
    return map_sheet(inputs, name, width_mm=width_mm, dpi=dpi)[0]


def map_sheet(
    inputs: ReportInputs,
    name: str,
    *,
    width_mm: float,
    dpi: float = DPI,
    titled: bool = True,
    inset: bool = False,
    make: Callable[[float, float, float], Figure] = new_figure,
) -> tuple[Figure, str]:
    """Draw a map with its key on a page of a given width, and tell its caption.

    Parameters
    ----------
    inputs : ReportInputs
    name : str
    width_mm : float
    dpi : float
    titled : bool
        Whether title and notes stand on the page; the caption has them in any case.
    inset : bool
        Whether a globe shows where the map lies.
    make : callable
        Makes a figure of a width and height, mm, and dpi.

    Returns
    -------
    matplotlib.figure.Figure
    str
        Title and notes.
    """
    frame = carto.frame_of(inputs.maps)
    room = TALLEST
    # painted anew once where the key leaves too little room for a map of this height
    for _ in range(2):
        figure, caption, over = _sheet(inputs, name, frame, width_mm, dpi, titled, inset, room, make)
        if over <= 0:
            break
        room -= over
    return figure, caption


def _sheet(
    inputs: ReportInputs,
    name: str,
    frame: carto.Frame,
    width_mm: float,
    dpi: float,
    titled: bool,
    inset: bool,
    room: float,
    make: Callable[[float, float, float], Figure],
) -> tuple[Figure, str, float]:
    left, right, top, ticks = 11.0, 3.0, 7.5 if titled else 2.5, 4.8
    wide = width_mm - left - right
    filled = seen_from_north(inputs)
    ratio = view_of(frame, filled, wide)[0].ratio
    high = min(max(wide / ratio, 12.0), 170.0, max(room - 60, 40.0))
    if high < wide / ratio:
        # the room for the scale is as high on a smaller map
        wide = min(wide, high * ratio)
        ratio = view_of(frame, filled, wide)[0].ratio
        high = wide / ratio
    # the key of a narrow map still needs a column of text
    total = max(wide + left + right, min(width_mm, ONE_COLUMN))
    left = (total - wide - right + left) / 2 if total > wide + left + right else left
    start = top + high + ticks

    # what the key needs is known after painting, and decides the height of the paper
    figure = make(total, start + 60, dpi)
    ax = place(figure, left, top, wide, high)
    key = paint(ax, inputs, name)
    names = MapKey("", regions=key.regions, fills=key.fills)
    if KeyRoom(names, total - 8, inputs.words).height > _MOST_NAMES:
        key.regions = []
        key.notes.append(inputs.words["note.in_table"])
    told = [key.title, *key.notes]
    if key.regions and not titled and name != "regions":
        # in a paper the caption has the names
        told.append(told_regions(inputs, key.regions))
        key.regions = []
    caption = sentences(inputs, told)
    ax.set_title("")
    narrow = total > wide + 20
    x0, span = (4.0, total - 8.0) if narrow else (left, wide)
    title = wrap_to(key.title, (span + right) / 1.1, 8) if titled else []
    more = max(0.0, 3.8 * (len(title) - 1))
    start += more
    lines = [line for note in key.notes for line in wrap_to(note, span)] if titled else []
    beside = place_locator(figure, ax, inputs, frame, span) if inset else 0.0
    # a globe below the map stands to the right of the key
    keyed = KeyRoom(key, span - (beside + 2.0 if beside else 0.0), inputs.words)
    bottom = start + max(keyed.height, beside) + _LINE * len(lines) + (footer(inputs) or 1.5)
    resize(figure, bottom, more)
    for k, line in enumerate(title):
        write(figure, x0, 2.5 + 3.8 * k, line, fontsize=8, fontweight="bold")
    keyed.draw(figure, x0, start)
    y = start + max(keyed.height, beside)
    for line in lines:
        write(figure, x0, y, line, color=QUIET)
        y += _LINE
    mark_generated(figure, inputs)
    return figure, caption, bottom - TALLEST


def sentences(inputs: ReportInputs, texts: Iterable[str]) -> str:
    """Join the sentences of a caption."""
    told = inputs.words
    ended = [text if text.endswith(told["note.end"]) else text + told["note.end"] for text in texts if text] or [""]
    return reduce(lambda one, other: told["note.sentences"].format(one=one, other=other), ended)


def told_regions(inputs: ReportInputs, regions: Iterable[tuple[str, str]]) -> str:
    """Tell which mark stands for which region; nothing where none is marked."""
    told = inputs.words
    names = told["note.between_regions"].join(told["note.region"].format(mark=m, name=n) for m, n in regions)
    return told["note.figure_of_regions"].format(regions=names) if names else ""


def resize(figure: Figure, height: float, down: float) -> None:
    """Cut the paper below; every Axes stands where it stood, counted from the top, or a little further down."""
    w, old = figure.get_size_inches() * 25.4
    boxes = [(ax, ax.get_position(original=True)) for ax in figure.axes]
    figure.set_size_inches(w / 25.4, height / 25.4)
    for ax, box in boxes:
        ax.set_position((box.x0, 1 - ((1 - box.y0) * old + down) / height, box.width, box.height * old / height))
