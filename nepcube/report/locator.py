"""A globe that shows where on Earth a map lies."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report import cartography as carto
from nepcube.report.inputs import ReportInputs
from nepcube.report.layers import seen_from_north
from nepcube.report.scalebar import emptiest_corners, view_of
from nepcube.report.style import QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

__all__ = ["draw_globe", "place_locator"]

_SIZE = 17.0  # mm
_LAND, _SEA, _HERE = "#cfc9b8", "#eef3f6", "#b2182b"
_PIXELS = 240
#: a corner of the map with more of the study area in it than this is not covered
_MOST_COVERED = 0.1


@lru_cache(maxsize=1)
def _land() -> NDArray[np.bool_]:
    # cells of 0.25 degrees, from 90 N and 180 W; from Natural Earth 1:110m, which is in the public domain
    from PIL import Image

    with as_file(files("nepcube.report") / "land.png") as path, Image.open(path) as picture:
        land: NDArray[np.bool_] = np.asarray(picture.convert("1"), bool)
    return land


def place_locator(figure: Figure, ax: Axes, inputs: ReportInputs, frame: carto.Frame, span: float) -> float:
    """Put a globe into the emptiest free corner of a map, or below it where every corner is full.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    ax : matplotlib.axes.Axes
        The map.
    inputs : ReportInputs
    frame : Frame
    span : float
        Width of the map, mm.

    Returns
    -------
    float
        Height that the globe takes below the map, mm; zero where it is in a corner.
    """
    wide, high = carto.size_mm(ax)
    size = min(_SIZE, 0.34 * high, 0.34 * wide)
    filled = seen_from_north(inputs)
    corners = emptiest_corners(filled, size / wide, size / high)
    view, taken = view_of(frame, filled, wide)
    # room below the grid for the scale is room for the globe's corner, too, but not for all of it
    full = view is not frame
    name, covered = next((n, 1.0 if full else c) for n, c in corners if n != taken)
    box = ax.get_position()
    w, h = figure.get_size_inches() * 25.4
    if covered <= _MOST_COVERED and size >= 9:
        x = 1.2 if "left" in name else wide - size - 1.2
        y = 1.2 if "lower" in name else high - size - 1.2
        globe = figure.add_axes((box.x0 + x / w, box.y0 + y / h, size / w, size / h), zorder=9)
        below = 0.0
    else:
        size = _SIZE
        top = box.y0 * h - 6.5
        globe = figure.add_axes((box.x0 + (span - size) / w, (top - size) / h, size / w, size / h), zorder=9)
        below = size + 2.0
    draw_globe(globe, frame)
    return below


def draw_globe(ax: Axes, frame: carto.Frame) -> None:
    """Draw the Earth as seen from above the middle of a frame, and the frame on it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    frame : Frame
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Circle

    x, y = (np.array([v]) for v in frame.middle)
    lon0, lat0 = (float(np.asarray(v).item()) for v in frame.to_lonlat(x, y))
    share = _seen_land(lon0, lat0)
    rgb = share[..., None] * np.array(to_rgb(_LAND)) + (1 - share[..., None]) * np.array(to_rgb(_SEA))
    disc = Circle((0, 0), 1.0, facecolor="none", edgecolor=QUIET, linewidth=0.6, zorder=4)
    picture = ax.imshow(rgb, extent=(-1, 1, -1, 1), interpolation="bilinear", zorder=1)
    ax.add_patch(disc)
    picture.set_clip_path(disc)
    along = np.linspace(-180, 180, 361)
    look: dict[str, Any] = {"color": QUIET, "linewidth": 0.3, "alpha": 0.5, "zorder": 2}
    for value in range(-180, 180, 30):
        ax.plot(*_on_globe(np.full(181, float(value)), np.linspace(-90, 90, 181), lon0, lat0), **look)
    for value in range(-60, 90, 30):
        ax.plot(*_on_globe(along, np.full(361, float(value)), lon0, lat0), **look)
    t = np.linspace(0, 1, 40)
    left, right, bottom, top = frame.extent
    fx = np.concatenate([left + (right - left) * t, np.full(40, right), right - (right - left) * t, np.full(40, left)])
    fy = np.concatenate([np.full(40, bottom), bottom + (top - bottom) * t, np.full(40, top), top - (top - bottom) * t])
    lon, lat = (np.asarray(v, "f8") for v in frame.to_lonlat(fx, fy))
    gx, gy = _on_globe(lon, lat, lon0, lat0)
    here: dict[str, Any] = {"color": _HERE, "zorder": 3}
    ends = [v[np.isfinite(v)] for v in (gx, gy)]
    # too small to be seen as a frame
    if all(not v.size or v.max() - v.min() < 0.12 for v in ends):
        ax.plot([0], [0], marker="s", markersize=2.6, markeredgewidth=0, **here)
    else:
        ax.plot(gx, gy, linewidth=0.9, **here)
    ax.set_xlim(-1.03, 1.03)
    ax.set_ylim(-1.03, 1.03)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _seen_land(lon0: float, lat0: float) -> NDArray[np.float64]:
    # share of land in each pixel of the disc, nine places a pixel (Snyder 1987, orthographic, inverse)
    n = 3 * _PIXELS
    u, v = np.meshgrid((np.arange(n) + 0.5) / n * 2 - 1, 1 - (np.arange(n) + 0.5) / n * 2)
    rho = np.minimum(np.hypot(u, v), 1.0)
    sin_c, cos_c, phi = rho, np.sqrt(1 - rho**2), np.radians(lat0)
    lat = np.degrees(np.arcsin(np.clip(cos_c * np.sin(phi) + v * np.cos(phi), -1, 1)))
    lon = lon0 + np.degrees(np.arctan2(u * sin_c, rho * np.cos(phi) * cos_c - v * np.sin(phi) * sin_c))
    land = _land()
    rows, cols = land.shape
    row = np.clip(((90 - lat) / 180 * rows).astype(int), 0, rows - 1)
    col = np.floor((lon + 180) / 360 * cols).astype(int) % cols
    share: NDArray[np.float64] = land[row, col].reshape(_PIXELS, 3, _PIXELS, 3).mean(axis=(1, 3))
    return share


def _on_globe(
    lon: NDArray[np.float64], lat: NDArray[np.float64], lon0: float, lat0: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # orthographic, forward; NaN behind the horizon
    lam, phi, phi0 = np.radians(lon - lon0), np.radians(lat), np.radians(lat0)
    seen = np.sin(phi0) * np.sin(phi) + np.cos(phi0) * np.cos(phi) * np.cos(lam) > 0
    x = np.cos(phi) * np.sin(lam)
    y = np.cos(phi0) * np.sin(phi) - np.sin(phi0) * np.cos(phi) * np.cos(lam)
    return np.where(seen, x, np.nan), np.where(seen, y, np.nan)
