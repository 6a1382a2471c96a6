"""Pictures of what is computed from one series: trends, breaks, stability."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pictures_frame import (
    BLUE,
    GREEN,
    GRID,
    INK,
    LEAF,
    ORANGE,
    QUIET,
    RED,
    SEED,
    SKY,
    YEARS,
    calendar,
    dots,
    legend,
    number,
    p_of,
    panels,
    pixel,
    series,
    title,
)

from nepcube import stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def trend() -> Figure:
    npp = pixel()["npp"]
    drought = npp.copy()
    drought[-2] -= 55
    fig, axes = panels(2, sharey=True)
    t = YEARS - YEARS[0]
    for ax, da, name in zip(axes, (npp, drought), ("as it is", "with one year of drought (2019)"), strict=True):
        line, sen = stats.linear_trend(da), stats.theil_sen(da)
        b, lower, upper = (number(sen[v]) for v in ("slope", "lower", "upper"))
        middle, level = float(np.median(t)), float(np.median(da.values - b * t)) + b * float(np.median(t))
        ends = [level + s * (t - middle) for s in (lower, upper)]
        ax.fill_between(YEARS, np.minimum(*ends), np.maximum(*ends), color=SKY, alpha=0.3, lw=0)
        ax.plot(
            YEARS, level + b * (t - middle), color=BLUE, lw=2, label=f"Theil-Sen {b:.2f} ({lower:.2f} to {upper:.2f})"
        )
        ols = number(line.slope)
        ax.plot(
            YEARS,
            number(line.intercept) + ols * t,
            color=RED,
            lw=2,
            ls=(0, (5, 2)),
            label=f"OLS {ols:.2f}, {p_of(line.pvalue)}",
        )
        dots(ax, YEARS, da)
        title(ax, name)
        legend(ax, loc="upper left")
        calendar(ax)
    axes[0].set_ylim(top=axes[0].get_ylim()[1] + 15)
    axes[1].set_ylabel("")
    return fig


def mann_kendall() -> Figure:
    from matplotlib.colors import ListedColormap

    npp = pixel()["npp"]
    y = npp.values
    fig, (ax, beside) = panels(2, (9, 3.8), width_ratios=[1, 1.25])
    signs = np.sign(y[None, :] - y[:, None])
    shown = np.where(np.triu(np.ones_like(signs), 1) > 0, signs, np.nan)
    ax.grid(visible=False)
    ax.imshow(
        shown, cmap=ListedColormap([ORANGE, "white", BLUE]), vmin=-1, vmax=1, extent=(2000.5, 2020.5, 2020.5, 2000.5)
    )
    ax.set_xlabel("later year j")
    ax.set_ylabel("earlier year i")
    ax.set_xticks(range(2001, 2021, 6))
    ax.set_yticks(range(2001, 2021, 6))
    found = stats.mann_kendall(npp)
    up, down = int((shown == 1).sum()), int((shown == -1).sum())
    said = f"{up} pairs rise\n{down} pairs fall\nS = {up - down}\ntau = {number(found.tau):.2f}\n{p_of(found.pvalue)}"
    ax.text(2001, 2020, said, va="bottom", fontsize=9, linespacing=1.5)
    title(ax, "signs of all differences")
    methods = ("original", "3pw", "pre-whitened", "trend-free-pre-whitened", "hamed-rao", "yue-wang")
    slow = np.zeros(20)
    rng = np.random.default_rng(SEED + 17)
    for i in range(20):
        slow[i] = 0.6 * slow[i - 1] + rng.normal()
    cases = {"the pixel": (npp, BLUE, "o"), "slow noise, no trend": (series(150 + 5 * slow), RED, "s")}
    for label, (da, color, mark) in cases.items():
        p = [number(stats.mann_kendall(da, method=m).pvalue) for m in methods]
        dots(beside, p, range(len(methods)), color, s=42, marker=mark, label=label)
    beside.axvline(0.05, color=INK, lw=1)
    beside.text(0.043, -0.72, "0.05", fontsize=8.5, ha="right", va="center")
    beside.set_xscale("log")
    beside.set_ylim(len(methods) - 0.5, -1)
    beside.set_yticks(range(len(methods)), methods)
    for tick in beside.get_yticklabels()[:2]:
        tick.set_fontweight("bold")
    beside.set_xlabel("p-value")
    title(beside, "the p-value by all six methods")
    legend(beside, loc="upper left", bbox_to_anchor=(0.0, 0.83))
    return fig


def trend_classes() -> Figure:
    fig, (ax,) = panels(1, (7, 3.4))
    ax.grid(visible=False)
    levels, steps = [1e-4, 0.01, 0.05, 1.0], [-2, -0.03, 0.03, 2]
    for low, high in itertools.pairwise(levels):
        for left, right in itertools.pairwise(steps):
            flat = abs(left) == right
            slope = xr.DataArray([0.0 if flat else (left + right) / 2])
            found = stats.trend_classes(slope, xr.DataArray([(low + high) / 2]))
            code, names = int(found[0]), found.attrs["flag_meanings"].split()
            color = found.attrs["flag_colors"].split()[code]
            ax.fill_between([left, right], low, high, color=color, ec="white", lw=0.8)
            if not flat:
                dark = code in (0, 1, 5, 6)
                words = f"{code} {names[code]}".replace("_at_", "\nat ").replace("_", " ")
                ax.text(
                    (left + right) / 2,
                    math.sqrt(low * high),
                    words,
                    ha="center",
                    va="center",
                    fontsize=9,
                    color="white" if dark else INK,
                )
    ax.annotate(
        "3 no change: a slope of exactly 0",
        (0, 0.6),
        (0, 1.35),
        ha="center",
        fontsize=9,
        arrowprops={"arrowstyle": "-", "color": QUIET},
        annotation_clip=False,
    )
    ax.set_yscale("log")
    ax.set_ylim(levels[0], levels[-1])
    ax.set_xlim(-2, 2)
    ax.set_yticks([0.001, 0.01, 0.05, 1], ["0.001", "0.01", "0.05", "1"])
    ax.minorticks_off()
    ax.set_ylabel("p-value")
    ax.set_xlabel("slope, gC m$^{-2}$ yr$^{-2}$")
    return fig


def broken() -> xr.DataArray:
    rng = np.random.default_rng(SEED + 2)
    t = np.arange(20)
    return series(150 + 2.4 * np.minimum(t, 11) - 1.2 * np.maximum(t - 11, 0) + rng.normal(0, 4.5, 20))


def breaks() -> Figure:
    da = broken()
    y = da.values
    fig, axes = panels(3, (10, 3.5))
    for ax, model in zip(axes, ("joined", "independent"), strict=False):
        ways = {"named": (2014, RED, (0, (4, 2))), "sought": (None, BLUE, "-")}
        for how, (year, color, style) in ways.items():
            found = stats.breakpoint_trend(da, year, model=model)
            at, before, after = (number(found[v]) for v in ("year", "slope_before", "slope_after"))
            x = YEARS - at
            late = x >= 0
            label = f"{how}: {at:.0f}, {p_of(found.pvalue)}"
            if model == "joined":
                level = float(np.mean(y - np.where(late, after, before) * x))
                ax.plot(YEARS, level + np.where(late, after, before) * x, color=color, ls=style, lw=2, label=label)
            else:
                for side, slope, name in ((~late, before, label), (late, after, None)):
                    level = float(np.mean(y[side] - slope * x[side]))
                    ax.plot(YEARS[side], level + slope * x[side], color=color, ls=style, lw=2, label=name)
        dots(ax, YEARS, da)
        title(ax, f'model="{model}"')
        legend(ax, loc="lower right")
        ax.set_ylim(137, 188)
        calendar(ax)
    axes[1].set_ylabel("")
    found = stats.pettitt(da)
    u = [sum(np.sign(y[j] - y[i]) for i in range(k) for j in range(k, 20)) for k in range(1, 20)]
    ax = axes[2]
    ax.bar(YEARS[1:], u, color=GRID, edgecolor=QUIET, lw=0.6)
    ax.bar(number(found.year), number(found.k), color=GREEN)
    ax.axhline(0, color=INK, lw=0.8)
    ax.set_ylim(min(0, min(u)) - 4, 112)
    ax.text(
        2020.7,
        107,
        f"K = {number(found.k):.0f} in {number(found.year):.0f}, {p_of(found.pvalue)}",
        ha="right",
        va="center",
        fontsize=8.5,
        color=LEAF,
    )
    title(ax, "Pettitt")
    calendar(ax, "U, sum of signs across the year")
    return fig


def stability() -> Figure:
    rng = np.random.default_rng(SEED + 3)
    t = np.arange(20)
    noise = rng.normal(0, 1, 20)
    noise -= np.polyval(np.polyfit(t, noise, 1), t)
    climbing = series(150 + 2.2 * (t - 9.5) + 3.5 * noise)
    restless = series(150 + 13.6 * noise)
    cases = {"a steady rise": (climbing, BLUE, "o"), "no trend, restless": (restless, RED, "s")}
    fig, (ax, beside) = panels(2, width_ratios=[1.7, 1])
    for k, (label, (da, color, mark)) in enumerate(cases.items()):
        ax.plot(YEARS, da, color=color, lw=1.2)
        dots(ax, YEARS, da, color, marker=mark, label=label)
        both = [number(stats.coefficient_of_variation(da, detrend=d).cv) for d in (False, True)]
        at = np.arange(2) + (k - 0.5) * 0.36
        beside.bar(at, both, 0.34, color=color)
        for x, v in zip(at, both, strict=True):
            beside.text(x, v + 0.002, f"{v:.3f}", ha="center", fontsize=8.5)
    title(ax, "two pixels")
    legend(ax, loc="upper left")
    calendar(ax)
    ax.set_ylim(top=ax.get_ylim()[1] + 10)
    beside.set_xticks([0, 1], ["CV", "detrended CV"])
    beside.set_ylabel("CV")
    beside.set_ylim(top=0.1)
    beside.grid(axis="x", visible=False)
    title(beside, "around the mean, around the line")
    return fig


def rescaled_range(y: NDArray[np.float64], w: int) -> float:
    # mean R/S of all windows of w years
    found = []
    for first in range(y.size - w + 1):
        part = y[first : first + w]
        sums = np.append(0, np.cumsum(part - part.mean()))
        found.append(np.ptp(sums) / part.std())
    return float(np.mean(found))


def hurst(noises: int = 10_000) -> Figure:
    da = pixel()["npp"]
    found = stats.hurst_exponent(da)
    h, said = number(found.hurst), found.hurst.attrs
    windows = said["windows"]
    rs = np.array([rescaled_range(da.values, int(w)) for w in windows])
    expected = np.array(
        [
            math.gamma((w - 1) / 2)
            / math.sqrt(math.pi)
            / math.gamma(w / 2)
            * sum(math.sqrt((w - i) / i) for i in range(1, w))
            for w in map(int, windows)
        ]
    )
    slope, level = np.polyfit(np.log(windows), np.log(rs / expected), 1)
    if abs(0.5 + slope - h) > 1e-9:
        raise AssertionError(f"the points drawn have the exponent {0.5 + slope}, the function gives {h}")
    fig, (ax, beside) = panels(2, width_ratios=[1.25, 1])
    ax.plot(windows, expected, color=QUIET, lw=1.6, ls=(0, (4, 2)), label="white noise (expected)")
    ax.plot(windows, expected * np.exp(level) * windows**slope, color=BLUE, lw=1.8, label="the line that is fitted")
    dots(ax, windows, rs, label="the pixel", s=34)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set_xticks(windows, [str(w) for w in windows])
    ax.set_yticks([1.5, 2, 3, 4, 6, 8], ["1.5", "2", "3", "4", "6", "8"])
    ax.set_xlabel("window w, years")
    ax.set_ylabel("mean R/S")
    title(ax, f"H = {h:.2f}")
    legend(ax, loc="upper left")
    noise = xr.DataArray(
        np.random.default_rng(SEED + 4).normal(size=(20, noises)), dims=("time", "cell"), coords={"time": YEARS}
    )
    beside.hist(stats.hurst_exponent(noise).hurst, np.arange(0, 1.05, 0.05), color=GRID, edgecolor=QUIET, lw=0.6)
    low, high = said["white_noise_range"]
    top = beside.get_ylim()[1] * 1.25
    beside.set_ylim(0, top)
    for x in (low, high):
        beside.axvline(x, color=QUIET, lw=1.2, ls=(0, (4, 2)))
    beside.axvline(h, color=BLUE, lw=2)
    beside.text(h + 0.015, top * 0.97, "the pixel", color=BLUE, ha="left", va="top", fontsize=8.5)
    beside.text(low + 0.015, top * 0.88, "95 % of white noise", color=INK, ha="left", va="top", fontsize=8.5)
    beside.set_xlim(0, 1.12)
    beside.set_yticks([])
    beside.set_xlabel("Hurst exponent")
    beside.set_ylabel("series of white noise, 20 years")
    title(beside, "what 20 years can tell")
    return fig


def merging() -> Figure:
    npp = pixel()["npp"]
    fig, (ax,) = panels(1, (7, 3.6))
    parts = {"2001-2012": (slice(0, 12), ORANGE, "o"), "2013-2020": (slice(12, 20), GREEN, "s")}
    tables = []
    for label, (where, color, mark) in parts.items():
        table = stats.sufficient_statistics({"npp": npp[where]})
        tables.append(table)
        b = number(stats.trend_from_statistics(table, "npp").slope)
        year, level = (float(table["mean"].sel(variable=v)) for v in ("year", "npp"))
        ax.plot(YEARS[where], level + b * (YEARS[where] - year), color=color, lw=2)
        dots(ax, YEARS[where], npp[where], color, marker=mark, label=f"{label}: n = {int(table.n)}, slope {b:.2f}")
        ax.plot(year, level, marker="+", ms=15, mew=2.2, color=color, zorder=4)
    both = stats.merge_statistics(*tables)
    b = number(stats.trend_from_statistics(both, "npp").slope)
    year, level = (float(both["mean"].sel(variable=v)) for v in ("year", "npp"))
    ax.plot(
        YEARS,
        level + b * (YEARS - year),
        color=BLUE,
        lw=2,
        ls=(0, (5, 2)),
        label=f"merged: n = {int(both.n)}, slope {b:.2f}",
    )
    ax.plot(year, level, marker="+", ms=15, mew=2.2, color=BLUE, zorder=4)
    ax.set_ylim(top=ax.get_ylim()[1] + 8)
    title(ax, "two tables of n, means (crosses) and cross-products, and what they make together")
    legend(ax, loc="upper left")
    calendar(ax)
    return fig
