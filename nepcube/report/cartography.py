"""What makes a picture of a grid a map: extent, graticule, scale bar, north arrow, outlines and names of regions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import geobox_of
from nepcube.report.style import INK, QUIET, text_size_mm

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

#: km; the longest that is no more than a quarter of the map's width is drawn
_BARS = tuple(m * 10**e for e in range(-2, 5) for m in (1, 2, 5))
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 45, 60)


@dataclass(frozen=True)
class Frame:
    """Where a grid lies: its edges in the CRS's own units, left, right, bottom, top."""

    left: float
    right: float
    bottom: float
    top: float
    crs: Any
    geographic: bool

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return self.left, self.right, self.bottom, self.top

    @property
    def middle(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    @property
    def aspect(self) -> float:
        """Length of one unit of y over one unit of x on the paper; on a geographic grid 1/cos(middle latitude)."""
        return 1 / max(math.cos(math.radians(self.middle[1])), 0.05) if self.geographic else 1.0

    @property
    def ratio(self) -> float:
        """Width over height on the paper."""
        return (self.right - self.left) / ((self.top - self.bottom) * self.aspect)

    def to_lonlat(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[Any, Any]:
        """Turn coordinates of the CRS into longitude and latitude (WGS84)."""
        if self.geographic:
            return x, y
        from pyproj import Transformer

        return Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True).transform(x, y)

    def from_lonlat(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> tuple[Any, Any]:
        """Turn longitude and latitude (WGS84) into coordinates of the CRS; infinite where there are none."""
        if self.geographic:
            return lon, lat
        from pyproj import Transformer

        return Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(lon, lat)


def spatial_dims(ds: xr.Dataset | xr.DataArray) -> tuple[str, str]:
    """Give the names of the row and the column dimension of a dataset on a grid."""
    return ("latitude", "longitude") if "latitude" in ds.dims else ("y", "x")


def frame_of(ds: xr.Dataset | xr.DataArray) -> Frame:
    """Read the frame of a dataset on a grid from its coordinates and `spatial_ref`."""
    from pyproj import CRS

    dy, dx = spatial_dims(ds)
    y, x = np.asarray(ds[dy].values, "f8"), np.asarray(ds[dx].values, "f8")
    if "spatial_ref" in ds.coords and "crs_wkt" in ds["spatial_ref"].attrs:
        crs = CRS.from_wkt(ds["spatial_ref"].attrs["crs_wkt"])
    elif "spatial_ref" in ds.coords:
        crs = CRS.from_user_input(str(geobox_of(ds).crs))
    else:
        crs = CRS.from_epsg(4326)
    hy, hx = (abs(v[1] - v[0]) / 2 if len(v) > 1 else 0.5 for v in (y, x))
    return Frame(x.min() - hx, x.max() + hx, y.min() - hy, y.max() + hy, crs, bool(crs.is_geographic))


def set_frame(ax: Axes, frame: Frame) -> None:
    """Give an Axes the limits, the aspect and the border of a map."""
    ax.set_xlim(frame.left, frame.right)
    ax.set_ylim(frame.bottom, frame.top)
    ax.set_aspect(frame.aspect, adjustable="box")
    for spine in ax.spines.values():
        spine.set_visible(True)
        spine.set_color(QUIET)
        spine.set_linewidth(0.6)


def _step(span: float, wanted: int) -> float:
    return min(_STEPS, key=lambda s: abs(math.log((span / s) / wanted)))


def _degrees(value: float, positive: str, negative: str, step: float) -> str:
    decimals = 0 if float(step).is_integer() else 2 if step in (0.01, 0.02, 0.05, 0.25) else 1
    if abs(value) < 1e-9:
        return "0°"
    if positive == "E" and abs(abs(value) - 180) < 1e-9:
        return "180°"
    return f"{abs(value):.{decimals}f}°{positive if value > 0 else negative}"


def _multiples(low: float, high: float, step: float) -> NDArray[np.float64]:
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return np.array([k * step for k in range(first, last + 1)], "f8")


def graticule(ax: Axes, frame: Frame) -> None:
    """Draw meridians and parallels of WGS84 with their degrees, straight or bent as the CRS has them.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    frame : Frame
    """
    look: dict[str, Any] = {"color": QUIET, "linewidth": 0.35, "alpha": 0.45, "zorder": 3}
    # a label is some 10 mm wide, so the paper decides how many there may be
    wide, high = size_mm(ax)
    across, up = max(1, min(6, round(wide / 24))), max(1, min(6, round(high / 20)))
    if frame.geographic:
        sx, sy = _step(frame.right - frame.left, across), _step(frame.top - frame.bottom, up)
        lons, lats = _multiples(frame.left, frame.right, sx), _multiples(frame.bottom, frame.top, sy)
        ax.set_xticks(lons, [_degrees(v, "E", "W", sx) for v in lons])
        ax.set_yticks(lats, [_degrees(v, "N", "S", sy) for v in lats])
        for lon in lons:
            ax.axvline(lon, **look)
        for lat in lats:
            ax.axhline(lat, **look)
        return
    # the whole frame is looked at, since the extremes of a bent graticule need not lie at the corners
    gx, gy = np.meshgrid(np.linspace(frame.left, frame.right, 41), np.linspace(frame.bottom, frame.top, 41))
    lon, lat = (np.asarray(v) for v in frame.to_lonlat(gx, gy))
    good = np.isfinite(lon) & np.isfinite(lat)
    if not good.any():
        return
    sx = _step(float(np.ptp(lon[good])), across)
    sy = _step(float(np.ptp(lat[good])), up)
    low_lon, high_lon, low_lat, high_lat = lon[good].min(), lon[good].max(), lat[good].min(), lat[good].max()
    along_lat, along_lon = np.linspace(low_lat - sy, high_lat + sy, 400), np.linspace(low_lon - sx, high_lon + sx, 400)
    along_lat = along_lat[np.abs(along_lat) <= 90]
    xticks: list[tuple[float, str]] = []
    yticks: list[tuple[float, str]] = []
    for value in _multiples(low_lon, high_lon, sx):
        x, y = (np.asarray(v) for v in frame.from_lonlat(np.full_like(along_lat, value), along_lat))
        _bent_line(ax, x, y, look)
        if (place := _crossing(y, x, frame.bottom)) is not None and frame.left <= place <= frame.right:
            xticks.append((place, _degrees(value, "E", "W", sx)))
    for value in _multiples(low_lat, high_lat, sy):
        x, y = (np.asarray(v) for v in frame.from_lonlat(along_lon, np.full_like(along_lon, value)))
        _bent_line(ax, x, y, look)
        if (place := _crossing(x, y, frame.left)) is not None and frame.bottom <= place <= frame.top:
            yticks.append((place, _degrees(value, "N", "S", sy)))
    ax.set_xticks([t for t, _ in xticks], [s for _, s in xticks])
    ax.set_yticks([t for t, _ in yticks], [s for _, s in yticks])


def _bent_line(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], look: dict[str, Any]) -> None:
    good = np.isfinite(x) & np.isfinite(y)
    ax.plot(np.where(good, x, np.nan), np.where(good, y, np.nan), scalex=False, scaley=False, **look)


def _crossing(along: NDArray[np.float64], across: NDArray[np.float64], at: float) -> float | None:
    # where a line, given by points, first passes a value of one coordinate: the other coordinate there
    with np.errstate(invalid="ignore"):
        passes = np.flatnonzero((along[:-1] - at) * (along[1:] - at) <= 0)
    for k in passes:
        step = along[k + 1] - along[k]
        if np.isfinite(step) and step != 0:
            return float(across[k] + (across[k + 1] - across[k]) * (at - along[k]) / step)
    return None


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


def emptiest_corner(filled: NDArray[np.bool_], width: float = 0.3, height: float = 0.2) -> tuple[str, float]:
    """Find the corner of a map with the least to cover.

    Parameters
    ----------
    filled : numpy.ndarray of bool
        Rows from north to south.
    width, height : float
        The size of a corner, as a share of the map.

    Returns
    -------
    str
        `lower left`, `lower right`, `upper left` or `upper right`.
    float
        The share of it that is filled.
    """
    rows, cols = filled.shape
    h, w = max(1, round(rows * height)), max(1, round(cols * width))
    corners = {
        "lower left": filled[-h:, :w],
        "lower right": filled[-h:, -w:],
        "upper right": filled[:h, -w:],
        "upper left": filled[:h, :w],
    }
    name = min(corners, key=lambda c: float(corners[c].mean()))
    return name, float(corners[name].mean())


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

    unit = km_per_unit(frame)
    width_km = (frame.right - frame.left) * unit
    # in axes fractions, with millimetres for heights, so that a notebook's axes of any size look the same
    wide, high = size_mm(ax)
    fitting = [b for b in _BARS if b <= max(0.22, min(0.5, 16 / wide)) * width_km]
    km = fitting[-1] if fitting else _BARS[0]
    bar, up = km / width_km, 1 / high
    arrow = 4.5 / wide
    total_w, total_h = bar + arrow + 9 / wide, 10.5 * up
    x0 = 2 / wide if "left" in corner else 1 - 2 / wide - total_w
    y0 = 2 * up if "lower" in corner else 1 - 2 * up - total_h
    where: dict[str, Any] = {"transform": ax.transAxes, "zorder": 8, "clip_on": False}
    ax.add_patch(
        FancyBboxPatch((x0, y0), total_w, total_h, boxstyle="square,pad=0", facecolor="white", edgecolor="none",
                       alpha=0.78, transform=ax.transAxes, zorder=7)
    )  # fmt: skip
    bx, by = x0 + 3 / wide, y0 + 2.2 * up
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
    cx, cy = x0 + total_w - 1.6 / wide - arrow / 2, y0 + 2 * up
    ax.annotate(
        "", xy=(cx + 5.2 * east / wide, cy + 5.2 * north * up), xytext=(cx, cy), xycoords="axes fraction",
        textcoords="axes fraction", zorder=8,
        arrowprops={"arrowstyle": "-|>,head_width=0.16,head_length=0.32", "color": INK, "linewidth": 0.8, "shrinkA": 0,
                    "shrinkB": 0},
    )  # fmt: skip
    ax.text(cx + 6.6 * east / wide, cy + 6.6 * north * up, "N", **{**text, "va": "center", "fontweight": "bold"})


def size_mm(ax: Axes) -> tuple[float, float]:
    """Give the width and height of an Axes on the paper, millimetres, with its aspect applied."""
    ax.apply_aspect()
    box = ax.get_window_extent()
    dpi = ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return box.width / dpi * 25.4, box.height / dpi * 25.4


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


def outlines(ax: Axes, regions: gpd.GeoDataFrame | None, *, linewidth: float = 0.7) -> None:
    """Draw the outlines of regions, dark on a light halo so that they show on any colour."""
    if regions is None or not len(regions):
        return
    from matplotlib.collections import LineCollection

    # simplified to a fraction of a printed dot: coastlines of a million vertices are common
    left, right = ax.get_xlim()
    boundary = regions.geometry.simplify(abs(right - left) / 8000).boundary
    lines = [
        np.asarray(part.coords)[:, :2]
        for shape in boundary
        if shape is not None
        for part in getattr(shape, "geoms", [shape])
        if not part.is_empty
    ]
    for colour, width, order in (("white", linewidth + 0.9, 4), (INK, linewidth, 4.1)):
        ax.add_collection(
            LineCollection(lines, colors=colour, linewidths=width, zorder=order, joinstyle="round"), autolim=False
        )


def wrap(text: str, lines: int) -> str:
    """Break a text at spaces into about as many lines, as even as they come."""
    import textwrap

    width = max(math.ceil(len(text) / lines), max((len(w) for w in text.split()), default=1))
    return "\n".join(textwrap.wrap(text, width + 2, break_long_words=False)) or text


def fitting_label(
    ax: Axes, shape: Any, text: str, *, points: float = 7.0, most_lines: int = 4
) -> tuple[float, float, str] | None:
    """Find where inside a region a text fits, and over how many lines.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        With the limits and the aspect of the map already set.
    shape : shapely geometry
        In the units of the map.
    text : str
    points : float
    most_lines : int

    Returns
    -------
    tuple or None
        x, y and the wrapped text, None where it does not fit.
    """
    import shapely

    wide, _ = size_mm(ax)
    left, right = ax.get_xlim()
    scale = wide / abs(right - left)
    aspect = float(ax.get_aspect())
    part = max(getattr(shape, "geoms", [shape]), key=lambda g: g.area)
    paper = shapely.transform(part, lambda p: p * [scale, scale * aspect]).simplify(0.2).buffer(0)
    if paper.is_empty:
        return None
    x0, y0, x1, y1 = paper.bounds
    gx, gy = (v.ravel() for v in np.meshgrid(np.linspace(x0, x1, 27)[1:-1], np.linspace(y0, y1, 27)[1:-1]))
    best: tuple[float, float, float, str] | None = None
    shapely.prepare(paper)
    for wrapped in dict.fromkeys(wrap(text, n) for n in range(1, most_lines + 1)):
        w, h = text_size_mm(wrapped, points)
        boxes = shapely.box(gx - w / 2, gy - h / 2, gx + w / 2, gy + h / 2)
        inside = shapely.contains(paper, boxes)
        if inside.any():
            room = np.where(inside, shapely.distance(paper.boundary, boxes), -1.0)
            k = int(room.argmax())
            # fewer lines are easier to read, so one more line must give half a millimetre more room
            if best is None or room[k] > best[0] + 0.5:
                best = (float(room[k]), float(gx[k]), float(gy[k]), wrapped)
    return None if best is None else (best[1] / scale, best[2] / scale / aspect, best[3])


def inner_point(ax: Axes, shape: Any) -> tuple[float, float]:
    """Give the point of a region's largest part that is farthest from its edge, as seen on the paper."""
    import shapely

    aspect = float(ax.get_aspect())
    part = max(getattr(shape, "geoms", [shape]), key=lambda g: g.area)
    flat = shapely.transform(part, lambda p: p * [1, aspect]).buffer(0)
    circle = shapely.maximum_inscribed_circle(flat, tolerance=max(flat.length, 1e-9) / 400)
    x, y = shapely.get_coordinates(circle)[0]
    return float(x), float(y) / aspect
