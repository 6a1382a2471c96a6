"""What makes a picture of a grid a map: where it lies, its shape on the paper, its graticule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.grid import geobox_of
from nepcube.report.style import QUIET

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

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
    middle_y: float | None = None

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return self.left, self.right, self.bottom, self.top

    @property
    def middle(self) -> tuple[float, float]:
        # room that is added below a grid does not move its middle
        middle_y = (self.bottom + self.top) / 2 if self.middle_y is None else self.middle_y
        return (self.left + self.right) / 2, middle_y

    @property
    def aspect(self) -> float:
        """Length of one unit of y over one unit of x on the paper; on a geographic grid 1/cos(middle latitude)."""
        return 1 / max(math.cos(math.radians(self.middle[1])), 0.05) if self.geographic else 1.0

    @property
    def across(self) -> float:
        """Width in the CRS's own units."""
        return self.right - self.left

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


def size_mm(ax: Axes) -> tuple[float, float]:
    """Give the width and height of an Axes on the paper, millimetres, with its aspect applied."""
    ax.apply_aspect()
    box = ax.get_window_extent()
    dpi = ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    return box.width / dpi * 25.4, box.height / dpi * 25.4
