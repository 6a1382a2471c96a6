"""The invented pixel that the pictures show, and what all pictures share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

YEARS = np.arange(2001, 2021)
SEED = 20_230_101
#: Okabe and Ito's colours, which colour-blind eyes tell apart
INK, QUIET, GRID = "#1b1f23", "#80868b", "#e3e5e7"
BLUE, RED, GREEN, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9"
LEAF = "#00694d"
NPP = "NPP, gC m$^{-2}$ yr$^{-1}$"


def series(values: Any, units: str = "g m-2 year-1", name: str = "npp") -> xr.DataArray:
    return xr.DataArray(
        np.asarray(values, float), dims="time", coords={"time": YEARS}, name=name, attrs={"units": units}
    )


def pixel() -> dict[str, xr.DataArray]:
    """One pixel of twenty years: NPP that follows its climate and rises beside."""
    rng = np.random.default_rng(SEED + 23)
    t = np.arange(YEARS.size)
    temperature = 2.0 + 0.04 * t + rng.normal(0, 0.5, t.size)
    rain = 420 + rng.normal(0, 60, t.size)
    radiation = 5600 - 1.4 * (rain - 420) + rng.normal(0, 70, t.size)
    npp = 150 + 9 * (temperature - 2) + 0.2 * (rain - 420) + 0.06 * (radiation - 5600) + 0.8 * t
    npp = npp + rng.normal(0, 5, t.size)
    return {
        "npp": series(npp),
        "temperature": series(temperature, "degC", "temperature"),
        "precipitation": series(rain, "mm year-1", "precipitation"),
        "radiation": series(radiation, "MJ m-2 year-1", "radiation"),
    }


def without(y: xr.DataArray, controls: list[xr.DataArray]) -> NDArray[np.float64]:
    design = np.column_stack([np.ones(20), *controls])
    left: NDArray[np.float64] = y.values - design @ np.linalg.lstsq(design, y.values, rcond=None)[0]
    return left


def panels(count: int, size: tuple[float, float] = (9, 3.6), **options: Any) -> tuple[Figure, list[Axes]]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"font.size": 9, "axes.edgecolor": QUIET, "xtick.color": INK, "axes.labelcolor": INK})
    fig, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False, **options)
    for ax in axes[0]:
        ax.grid(color=GRID, lw=0.8)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return fig, list(axes[0])


def title(ax: Axes, text: str) -> None:
    ax.set_title(text, fontsize=9.5, loc="left")


def dots(ax: Axes, x: Any, y: Any, color: str = INK, **options: Any) -> None:
    ax.scatter(x, y, s=options.pop("s", 24), color=color, edgecolors="white", lw=0.6, zorder=3, **options)


def calendar(ax: Axes, label: str = NPP) -> None:
    ax.set_xticks(range(2001, 2021, 3 if ax.get_position().width > 0.2 else 6))
    ax.set_xlabel("year")
    ax.set_ylabel(label)


def legend(ax: Axes, **options: Any) -> None:
    ax.legend(frameon=False, fontsize=8.5, **options)


def number(da: Any) -> float:
    return float(np.asarray(da))


def p_of(p: Any) -> str:
    value = number(p)
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"
