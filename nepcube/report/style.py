"""How everything looks: sizes of a journal page, colours, fonts, and how a number is written."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from nepcube.report.fonts import font_families, lacking
from nepcube.report.words import Language, words

if TYPE_CHECKING:
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MM = 1 / 25.4
#: widths of one and of two columns of a journal page, mm
ONE_COLUMN = 90.0
TWO_COLUMNS = 190.0
#: widths that journals with narrower columns take, too, mm
SINGLE = 88.0
DOUBLE = 180.0
DPI = 300

FLUX = "gC m⁻² yr⁻¹"
SLOPE = "gC m⁻² yr⁻²"

INK = "#1b1f23"
QUIET = "#5f666d"
RULE = "#c9cdd1"
#: what has no data is striped, of these two
NO_DATA, STRIPE = "#e6e6e6", "#9a9a9a"
PAPER = "#ffffff"
SINK = "#018571"
SOURCE = "#a6611a"
NEITHER = "#e4e4e4"

#: pale fills that stay apart for any colour vision and carry dark text (after P. Tol's "light" scheme)
REGION_FILLS = ("#77aadd", "#eedd88", "#99ddff", "#44bb99", "#ffaabb", "#bbcc33", "#ee8866", "#9577d6", "#c95a9b")


def plain(text: str) -> str:
    """Make a text from a file safe to draw: one line, and a dollar sign is a dollar sign, not mathematics."""
    return " ".join(text.split()).replace("$", r"\$")


# matplotlib's settings are of the whole process: two threads that change and restore them would mix them up
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def journal_style() -> Iterator[None]:
    """Draw in the look of the report, whatever the user's own matplotlib settings are; one thread at a time.

    The settings are given back at the end. What is drawn keeps the look, its fonts too.
    """
    import matplotlib as mpl

    settings: dict[str, Any] = {
        "font.family": list(font_families()),
        "font.size": 7.5,
        "axes.titlesize": 8,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 5,
        "axes.labelsize": 7.5,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "axes.formatter.useoffset": False,
        "grid.color": "#e3e5e7",
        "grid.linewidth": 0.5,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 2.5,
        "ytick.major.size": 2.5,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "legend.handlelength": 1.6,
        "legend.handleheight": 0.9,
        "legend.handletextpad": 0.5,
        "legend.columnspacing": 1.2,
        "legend.labelspacing": 0.35,
        "legend.borderaxespad": 0.0,
        "legend.borderpad": 0.0,
        "text.color": INK,
        "text.usetex": False,
        "lines.linewidth": 1.1,
        "figure.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "hatch.linewidth": 0.4,
        # text stays text, for those who edit a figure; a PDF carries the outlines of its fonts
        "svg.fonttype": "none",
        "svg.hashsalt": "nepcube",
        "pdf.fonttype": 42,
        "ps.fonttype": 42,
    }
    with _ONE_AT_A_TIME, mpl.rc_context(cast("Any", settings)):
        yield


def new_figure(width_mm: float, height_mm: float, dpi: float = DPI) -> Figure:
    """Make a figure of a size in millimetres, without pyplot, so that nothing global is touched."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_mm * MM, height_mm * MM), dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


# --- colours -------------------------------------------------------------------------------------------------------

_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def _oklab(colours: Sequence[Any]) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(c) for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T
    return lab


def _srgb(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    lms = (lab @ np.linalg.inv(_TO_LAB).T) ** 3
    linear = np.clip(lms @ np.linalg.inv(_TO_LMS).T, 0, 1)
    rgb: NDArray[np.float64] = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


def even_colours(anchors: Sequence[str], n: int = 256) -> NDArray[np.float64]:
    """Give `n` colours through some anchors, in equal steps of perceived difference (Ottosson's Oklab, 2020)."""
    lab = _oklab(anchors)
    t = np.linspace(0, 1, len(anchors))
    fine = np.linspace(0, 1, 2048)
    path = np.stack([np.interp(fine, t, lab[:, k]) for k in range(3)], axis=1)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.interp(np.linspace(0, length[-1], n), length, fine)
    return _srgb(np.stack([np.interp(even, fine, path[:, k]) for k in range(3)], axis=1))


#: the colours of the sign that few cells have
RARE_SINK, RARE_SOURCE = "#57b59b", "#cc9347"
_SINK_ARM = ("#f6f2e4", "#bfe0c4", "#57b59b", "#0b7f79", "#08465b")
_SOURCE_ARM = ("#f6f2e4", "#e8cf9b", "#cc9347", "#93561d", "#552a0c")


def nep_colours(low: float, high: float) -> ListedColormap:
    """Give the colour map of NEP between two limits: browns are sources, greens are sinks.

    With both signs the neutral colour stands at zero and one gC has the same weight on either side, so the shorter
    side ends before its darkest colour. With one sign the arm of that sign runs from limit to limit.

    Parameters
    ----------
    low, high : float
        The limits of the colour bar.
    """
    from matplotlib.colors import ListedColormap

    sink, source = even_colours(_SINK_ARM, 512), even_colours(_SOURCE_ARM, 512)[::-1]
    if low >= 0:
        colours = sink[::2]
    elif high <= 0:
        colours = source[::2]
    else:
        both = np.concatenate([source, sink])
        span = max(-low, high)
        positions = (np.linspace(low, high, 256) / span + 1) / 2 * (len(both) - 1)
        colours = both[np.rint(positions).astype(int)]
    return ListedColormap(colours, name="nep")


#: purple where B is above A, orange where it is below; apart for any colour vision (after C. Brewer's "PuOr")
_ABOVE_ARM = ("#f7f6f4", "#b8acd4", "#7566a8", "#2d004b")
_BELOW_ARM = ("#f7f6f4", "#f0b867", "#c8741a", "#7f3b08")


def difference_colours() -> ListedColormap:
    """Give the colour map of a difference: zero is in the middle and has a neutral colour of its own."""
    from matplotlib.colors import ListedColormap

    below, above = even_colours(_BELOW_ARM, 128)[::-1], even_colours(_ABOVE_ARM, 128)
    return ListedColormap(np.concatenate([below, above[1:]]), name="difference")


#: low is dark green, high is pale: darkness alone tells the height, as in a print without colour
_HEIGHTS = ("#24503f", "#5b7f52", "#a8a667", "#d8c08d", "#ecdcc4", "#fbf8f4")
#: from pale to dark for what has no sign and no middle
_AMOUNTS = ("#f3f0dc", "#d9c98b", "#b39a63", "#7f6f6c", "#4a4a70", "#1c2452")


def elevation_colours() -> ListedColormap:
    """Give the colour map of elevation."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(even_colours(_HEIGHTS), name="elevation")


def quantity_colours() -> ListedColormap:
    """Give the colour map of a quantity of one sign."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(even_colours(_AMOUNTS), name="quantity")


def inks_on(colours: NDArray[np.float64]) -> NDArray[np.str_]:
    """Give black or white for each of many colours (n, 3), whichever is readable on it."""
    return np.where(_oklab([tuple(c) for c in colours])[:, 0] > 0.62, INK, PAPER)


def ink_on(colour: str) -> str:
    """Give black or white, whichever is readable on a colour."""
    return INK if _oklab([colour])[0, 0] > 0.62 else "#ffffff"


# --- numbers -------------------------------------------------------------------------------------------------------


def number(value: float, decimals: int | None = None, *, digits: int = 4) -> str:
    """Write a number for reading: a real minus sign, thin groups of thousands, a dash where there is none.

    Parameters
    ----------
    value : float
    decimals : int, optional
        Digits after the point; without it, enough for `digits` significant ones.
    digits : int
    """
    value = float(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("−∞" if value < 0 else "∞")
    if decimals is None:
        decimals = 0 if value == 0 else max(0, min(6, digits - 1 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−").replace(",", "\u202f" if abs(value) >= 10000 else "")


def limit(value: float) -> str:
    """Write a class limit with three significant digits and no idle zeros."""
    value = float(value)
    text = number(value, digits=3)
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Write a share of 0..1 as a percentage that never shows a small but real share as zero."""
    share = float(share)
    if not math.isfinite(share):
        return "–"
    if 0 < share < 0.0005:
        return "<0.1 %"
    return f"{number(100 * share, 1)} %"


def p_text(p: float, language: Language = "en") -> str:
    """Write a p-value as `p = 0.012` or `p < 0.001`."""
    p = float(p)
    if not math.isfinite(p):
        return words("figures", language)["p_undefined"]
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def identifier(index: int, count: int) -> str:
    """Give the mark of a region on maps and panels: letters as long as they last, then numbers."""
    return chr(ord("a") + index) if count <= 26 else str(index + 1)


def drawable(name: str, mark: str, language: Language = "en") -> str:
    """Give a name as it can be drawn: itself, or its mark where no font has its characters, which is warned of."""
    without = lacking(name)
    if not without:
        return plain(name)
    instead = words("figures", language)["region"].format(mark=mark)
    warnings.warn(
        f"No font of this machine has {' '.join(without)} of {name!r}: the figures say {instead!r}. "
        "Install a font that has it, such as Noto Sans CJK.",
        stacklevel=2,
    )
    return instead
