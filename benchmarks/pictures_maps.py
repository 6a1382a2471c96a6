"""Pictures of what needs a whole map: field significance and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pictures_frame import BLUE, GRID, INK, ORANGE, QUIET, RED, SEED, YEARS, legend, panels, title

from nepcube import stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def field(m: int = 2_000) -> Figure:
    rng = np.random.default_rng(SEED + 6)
    t = np.arange(20)[:, None]
    rising = rng.random(m) < 0.15
    cells = xr.DataArray(
        rng.normal(size=(20, m)) + 0.17 * t * rising, dims=("time", "cell"), coords={"time": YEARS}, name="cells"
    )
    pvalues = stats.linear_trend(cells).pvalue
    found = stats.field_significance(pvalues)
    p = np.sort(pvalues.values)
    rank = np.arange(1, m + 1)
    plain = int((p < 0.05).sum())
    wrong = [int(((pvalues.values <= limit) & ~rising).sum()) for limit in (0.05, found.threshold)]
    shown = int(1.25 * plain)
    fig, (ax,) = panels(1, (7.2, 3.8))
    ax.scatter(
        rank[: found.rejected],
        p[: found.rejected],
        s=7,
        color=BLUE,
        label=f"hold: {found.rejected} (of them {wrong[1]} false)",
    )
    between = slice(found.rejected, plain)
    ax.scatter(
        rank[between],
        p[between],
        s=7,
        color=ORANGE,
        label=f"below 0.05 alone: {plain - found.rejected} (of them {wrong[0] - wrong[1]} false)",
    )
    rest = slice(plain, shown)
    ax.scatter(rank[rest], p[rest], s=7, color=QUIET, label="neither")
    ax.plot(rank[:shown], 0.05 * rank[:shown] / m, color=RED, lw=1.8, label=f"0.05 k / m, m = {m:,}")
    ax.axhline(0.05, color=INK, lw=1, ls=(0, (4, 2)))
    ax.text(2, 0.0515, "0.05", fontsize=8.5, va="bottom")
    ax.set_xlim(0, shown)
    ax.set_ylim(0, p[shown - 1])
    ax.set_xlabel("rank k of the cell's p-value")
    ax.set_ylabel("p-value")
    title(ax, f"threshold p = {found.threshold:.4f}")
    legend(ax, loc="upper left", bbox_to_anchor=(0.06, 0.98))
    return fig


def classes(cells: int = 20_000) -> Figure:
    rng = np.random.default_rng(SEED + 7)
    values = np.concatenate([rng.normal(-0.5, 0.35, cells // 4), rng.gamma(2.5, 0.55, cells - cells // 4)])
    da = xr.DataArray(values, dims="cell", name="slope")
    fig, (ax,) = panels(1, (8, 4.2))
    ax.hist(values, np.arange(-2, 6.05, 0.1), color=GRID, edgecolor=QUIET, lw=0.5)
    top = ax.get_ylim()[1]
    paint = ["#543005", "#bf812d", "#f0e6d2", "#35978f", "#003c30"]
    schemes = ("natural-breaks", "quantile", "equal-interval", "standard-deviation")
    low, high = -2.0, 6.0
    for k, method in enumerate(schemes):
        found = stats.class_breaks(da, method, 5)
        y = -top * (0.16 + 0.15 * k)
        edges = [low, *found.breaks, high]
        for a, b, color in zip(edges[:-1], edges[1:], paint, strict=True):
            ax.barh(y, b - a, top * 0.1, left=a, color=color, edgecolor="white", lw=0.8)
        ax.text(high + 0.1, y, f"{method}, {found.goodness:.2f}", va="center", fontsize=8.5)
    ax.text(high + 0.1, -top * 0.03, "method, goodness of fit", va="center", fontsize=8.5, color=QUIET)
    ax.set_xlim(low, high + 2.6)
    ax.set_ylim(-top * 0.7, top)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", visible=False)
    ax.set_xticks(range(-2, 7))
    ax.set_xlabel("slope, gC m$^{-2}$ yr$^{-2}$", loc="left")
    title(ax, "the cells of a map, and five classes by four methods")
    return fig
