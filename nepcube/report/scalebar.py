"""The scale bar and the arrow to the north, and where on a map they stand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.cartography import Frame, size_mm
from nepcube.report.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["emptiest_corners", "km_per_unit", "scale_and_north", "view_of"]

#: km; the longest that is no more than a quarter of the map's width is drawn
_BARS = tuple(m * 10**e for e in range(-2, 5) for m in (1, 2, 5))
#: mm, the height of scale bar and arrow, the width of the arrow, and of what is left and right of them
SCALE_HIGH = 10.0
_ARROW, _EDGES = 4.5, 9.0
#: a corner with more of the study area in it than this is not covered
_MOST_COVERED = 0.05


def _bar(frame: Frame, wide: float) -> tuple[float, float]:
    # the kilometres of the bar, and its length on a map of a width, mm
    width_km = (frame.right - frame.left) * km_per_unit(frame)
    fitting = [b for b in _BARS if b <= max(0.22, min(0.5, 16 / wide)) * width_km]
    km = fitting[-1] if fitting else _BARS[0]
    return km, km / width_km * wide


def view_of(frame: Frame, filled: NDArray[np.bool_], wide: float) -> tuple[Frame, str]:
    """Give what a map shows: the grid, and room below it for the scale where every corner is full.

    Parameters
    ----------
    frame : Frame
        Of the grid.
    filled : numpy.ndarray of bool
        The cells of the study area, rows from north to south.
    wide : float
        Width of the map on the paper, mm.

    Returns
    -------
    Frame
    str
        The corner of the scale.
    """
    across, up = _bar(frame, wide)[1] + _ARROW + _EDGES, SCALE_HIGH
    corner, covered = emptiest_corners(filled, (across + 2) / wide, min(0.5, (up + 2) / (wide / frame.ratio)))[0]
    if covered <= _MOST_COVERED:
        return frame, corner
    per_mm = (frame.right - frame.left) / wide / frame.aspect
    return replace(frame, bottom=frame.bottom - (up + 1.5) * per_mm, middle_y=frame.middle[1]), "lower left"


def km_per_unit(frame: Frame) -> float:
    """Give the kilometres of one CRS unit, west to east, along the middle latitude (geodesic, WGS84).

    Parameters
    ----------
    frame : Frame
    """
    from pyproj import Geod

    x, y = frame.middle
    half = (frame.right - frame.left) * 0.005
    lon, lat = frame.to_lonlat(np.array([x - half, x + half]), np.array([y, y]))
    _, _, metres = Geod(ellps="WGS84").inv(lon[0], lat[0], lon[1], lat[1])
    return float(metres) / 1000 / (2 * half)


def emptiest_corners(filled: NDArray[np.bool_], width: float = 0.3, height: float = 0.2) -> list[tuple[str, float]]:
    """Order the corners of a map by how much there is to cover, the emptiest first.

    Parameters
    ----------
    filled : numpy.ndarray of bool
        Rows from north to south.
    width, height : float
        The size of a corner, as a share of the map.

    Returns
    -------
    list of tuple
        `lower left`, `lower right`, `upper left` or `upper right`, and the share of it that is filled.
    """
    rows, cols = filled.shape
    h, w = max(1, round(rows * height)), max(1, round(cols * width))
    corners = {
        "lower left": filled[-h:, :w],
        "lower right": filled[-h:, -w:],
        "upper right": filled[:h, -w:],
        "upper left": filled[:h, :w],
    }
    return sorted(((name, float(part.mean())) for name, part in corners.items()), key=lambda one: one[1])


def scale_and_north(ax: Axes, frame: Frame, corner: str = "lower left") -> None:
    """Draw a scale bar, right for the map's middle latitude, and an arrow to the north there.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With the limits and the aspect of the map already set.
    frame : Frame
    corner : str
    """
    from matplotlib.patches import FancyBboxPatch, Rectangle

    # in axes fractions, with millimetres for heights, so that a notebook's axes of any size look the same
    wide, high = size_mm(ax)
    km, bar_mm = _bar(frame, wide)
    bar, up, arrow = bar_mm / wide, 1 / high, _ARROW / wide
    total_w, total_h = bar + arrow + _EDGES / wide, SCALE_HIGH * up
    x0 = 1 / wide if "left" in corner else 1 - 1 / wide - total_w
    y0 = 0.7 * up if "lower" in corner else 1 - 0.7 * up - total_h
    where: dict[str, Any] = {"transform": ax.transAxes, "zorder": 8, "clip_on": False}
    # over the cells and under the outlines
    ax.add_patch(
        FancyBboxPatch((x0, y0), total_w, total_h, boxstyle="square,pad=0", facecolor="white", edgecolor="none",
                       alpha=0.78, transform=ax.transAxes, zorder=3.8)
    )  # fmt: skip
    bx, by = x0 + 3 / wide, y0 + 1.8 * up
    for k, colour in enumerate((INK, "white")):
        ax.add_patch(
            Rectangle(
                (bx + k * bar / 2, by), bar / 2, 1.1 * up, facecolor=colour, edgecolor=INK, linewidth=0.5, **where
            )
        )
    marks = [(0.0, "0"), (0.5, f"{km / 2:g}"), (1.0, f"{km:g} km")]
    # a short bar has room for fewer numbers
    marks = marks if bar * wide >= 20 else marks[::2] if bar * wide >= 10 else [(0.5, f"{km:g} km")]
    text: dict[str, Any] = {"fontsize": 7, "ha": "center", "va": "bottom", "color": INK, **where}
    for share, label in marks:
        ax.text(bx + share * bar, by + 1.8 * up, label, **text)
    east, north = _north(frame)
    cx, cy = x0 + total_w - 1.6 / wide - arrow / 2, y0 + 1.6 * up
    ax.annotate(
        "", xy=(cx + 5.2 * east / wide, cy + 5.2 * north * up), xytext=(cx, cy), xycoords="axes fraction",
        textcoords="axes fraction", zorder=8,
        arrowprops={"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": INK, "linewidth": 0.8, "shrinkA": 0,
                    "shrinkB": 0},
    )  # fmt: skip
    ax.text(cx + 6.6 * east / wide, cy + 6.6 * north * up, "N", **{**text, "va": "center", "fontweight": "bold"})


def _north(frame: Frame) -> tuple[float, float]:
    # the direction of north on the paper at the middle of the map
    if frame.geographic:
        return 0.0, 1.0
    x, y = frame.middle
    lon, lat = frame.to_lonlat(np.array([x]), np.array([y]))
    x1, y1 = frame.from_lonlat(np.asarray(lon), np.asarray(lat) + 0.01)
    dx, dy = float(x1[0]) - x, float(y1[0]) - y
    length = math.hypot(dx, dy)
    return (dx / length, dy / length) if math.isfinite(length) and length > 0 else (0.0, 1.0)
