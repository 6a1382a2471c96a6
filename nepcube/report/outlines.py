"""Outlines of regions on a map, and the place of their names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.report.cartography import size_mm
from nepcube.report.inputs import ReportInputs
from nepcube.report.lettering import text_size_mm, wrap
from nepcube.report.style import INK

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes

__all__ = ["fitting_label", "haloed", "inner_places", "outlines"]


def outlines(ax: Axes, regions: gpd.GeoDataFrame | None, *, linewidth: float, halo: float) -> None:
    """Draw the outlines of regions, dark on a light halo so that they show on any colour; widths are in points."""
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
    for colour, width, order in (("white", linewidth + halo, 4), (INK, linewidth, 4.1)):
        ax.add_collection(
            LineCollection(lines, colors=colour, linewidths=width, zorder=order, joinstyle="round"), autolim=False
        )


def haloed(ax: Axes, x: float, y: float, text: str, **look: Any) -> None:
    """Write a text on a light halo, so that it shows on any colour."""
    from matplotlib.patheffects import Stroke

    look = {"ha": "center", "va": "center", "fontsize": 7, "color": INK, **look}
    # the halo alone is an outline: in a vector file the text above it stays text
    ax.text(x, y, text, zorder=6, path_effects=[Stroke(linewidth=2.2, foreground="white")], **look)
    ax.text(x, y, text, zorder=6.1, **look)


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


@dataclass(frozen=True)
class InnerPlace:
    """Where inside a region its mark stands: the middle of the largest circle in its largest part."""

    x: float
    y: float
    #: the part as a print shows it, None where it is too small for any mark
    part: Any = None

    def holds(self, width: float, height: float) -> bool:
        """Tell whether a box around the place lies within the region, in the units of the map."""
        import shapely

        w, h = width / 2, height / 2
        box = shapely.box(self.x - w, self.y - h, self.x + w, self.y + h)
        return self.part is not None and bool(shapely.contains(self.part, box))


def inner_places(inputs: ReportInputs, aspect: float, across: float) -> list[InnerPlace | None]:
    """Give the place for the mark of each region, worked out once for all maps of the inputs.

    The circle is one as seen on the paper.

    Parameters
    ----------
    inputs : ReportInputs
    aspect : float
        Length of a unit of y over one of x on the paper.
    across : float
        Width of the whole map in units of x: what is small beside it needs no circle.

    Returns
    -------
    list of InnerPlace or None
        In the order of the outlines; None for an empty one.
    """
    known = inputs.worked_out.get("inner_places")
    # other outlines may have been put into a copy
    if known is not None and known[0] is inputs.regions and known[1] == (aspect, across):
        found: list[InnerPlace | None] = known[2]
        return found
    assert inputs.regions is not None
    places = [_inner_place(shape, aspect, across) for shape in inputs.regions.geometry]
    inputs.worked_out["inner_places"] = (inputs.regions, (aspect, across), places)
    return places


def _inner_place(shape: Any, aspect: float, across: float) -> InnerPlace | None:
    import shapely

    if shape is None or shape.is_empty:
        return None
    part = max(getattr(shape, "geoms", [shape]), key=lambda g: g.area)
    x0, y0, x1, y1 = part.bounds
    # a letter is a hundredth of the widest sheet
    if min(x1 - x0, (y1 - y0) * aspect) < across / 150:
        point = part.representative_point()
        return InnerPlace(float(point.x), float(point.y))
    # a coastline of a million vertices has the same circle as what a dot of the print leaves of it
    part = part.simplify(across / 8000)
    flat = shapely.transform(part, lambda p: p * [1, aspect]).buffer(0)
    circle = shapely.maximum_inscribed_circle(flat, tolerance=max(flat.length, 1e-9) / 400)
    x, y = shapely.get_coordinates(circle)[0]
    return InnerPlace(float(x), float(y) / aspect, part)
