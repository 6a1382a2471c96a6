"""What each statistic does on one pixel, drawn: the figures of docs/statistics.md.

``python benchmarks/pictures.py`` writes docs/figures/statistics-*.png. All numbers come from the public functions; the
pixel and the maps are invented, from fixed seeds.
"""

from __future__ import annotations

import argparse
import io
import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nepcube import stats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

YEARS = np.arange(2001, 2021)
SEED = 20_230_101
#: Okabe and Ito's colours, which colour-blind eyes tell apart
INK, QUIET, GRID = "#1b1f23", "#80868b", "#e3e5e7"
BLUE, RED, GREEN, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9"
NPP = "NPP, gC m$^{-2}$ yr$^{-1}$"
DPI = 100


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


# --------------------------------------------------------------------------------------------------- the pictures


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
        color="#00694d",
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


def without(y: xr.DataArray, controls: list[xr.DataArray]) -> NDArray[np.float64]:
    design = np.column_stack([np.ones(20), *controls])
    left: NDArray[np.float64] = y.values - design @ np.linalg.lstsq(design, y.values, rcond=None)[0]
    return left


def partial() -> Figure:
    cell = pixel()
    npp, radiation = cell["npp"], cell["radiation"]
    controls = [cell["precipitation"], cell["temperature"]]
    plain, held = stats.partial_correlation(npp, radiation), stats.partial_correlation(npp, radiation, controls)
    fig, axes = panels(2)
    cases = [
        (radiation.values, npp.values, plain, "as they are", ("radiation, MJ m$^{-2}$ yr$^{-1}$", NPP), RED),
        (
            without(radiation, controls),
            without(npp, controls),
            held,
            "what precipitation and temperature leave of both",
            ("rest of radiation, MJ m$^{-2}$ yr$^{-1}$", "rest of NPP, gC m$^{-2}$ yr$^{-1}$"),
            BLUE,
        ),
    ]
    for ax, (x, y, found, name, labels, color) in zip(axes, cases, strict=True):
        ends = np.array([x.min(), x.max()])
        ax.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=color, lw=2)
        dots(ax, x, y)
        kind = "partial r" if found is held else "r"
        title(ax, f"{name}:\n{kind} = {number(found.r):.2f}, {p_of(found.pvalue)}")
        ax.set_xlabel(labels[0])
        ax.set_ylabel(labels[1])
    return fig


def drivers() -> Figure:
    cell = pixel()
    npp = cell.pop("npp")
    whole, ridge = stats.multiple_regression(npp, cell), stats.ridge_contributions(npp, cell, penalty="gcv")
    strongest = int(stats.dominant_driver(whole))
    fig, (ax, beside) = panels(2)
    at = np.arange(3)
    colors = [BLUE if k + 1 == strongest else QUIET for k in at]
    ax.bar(at, whole.r, 0.55, color=colors)
    # |r| that is significant at 0.05 with n - 2 - k = 16 degrees of freedom
    for x in (-0.468, 0.468):
        ax.axhline(x, color=RED, lw=1.2, ls=(0, (4, 2)))
    ax.axhline(0, color=INK, lw=0.8)
    ax.text(2.42, -0.45, "p = 0.05", color=RED, fontsize=8.5, ha="right", va="bottom")
    for x, r, p in zip(at, whole.r.values, whole.pvalue.values, strict=True):
        ax.text(
            x,
            r + (0.03 if r > 0 else -0.03),
            f"{r:.2f}, {p_of(p)}",
            ha="center",
            va="bottom" if r > 0 else "top",
            fontsize=8.5,
        )
    ax.set_ylim(-0.62, 1.1)
    ax.set_ylabel("partial correlation with NPP")
    title(ax, "dominant driver (blue)")
    beside.bar(at - 0.19, whole.coefficient, 0.36, color=SKY, label="least squares")
    beside.bar(at + 0.19, ridge.coefficient, 0.36, color=GREEN, label=f"ridge (penalty {number(ridge.penalty):.2g})")
    beside.axhline(0, color=INK, lw=0.8)
    for x, b, share in zip(at, ridge.coefficient.values, ridge.share.values, strict=True):
        beside.text(x + 0.19, max(b, 0) + 0.02, f"{100 * share:.0f} %", ha="center", fontsize=8.5, color="#00694d")
    beside.set_ylim(0, 1.0)
    beside.set_ylabel("standardised coefficient")
    title(beside, f"R2 = {number(whole.r2):.2f}; relative contributions (ridge) in %")
    legend(beside, loc="upper right")
    for each in (ax, beside):
        each.set_xticks(at, list(cell))
        each.grid(axis="x", visible=False)
    return fig


def lag_and_detrend() -> Figure:
    rng = np.random.default_rng(SEED + 5)
    t = np.arange(20)
    wet = 420 + 60 * rng.normal(size=23)
    npp = series(150 + 0.12 * (wet[2:22] - 420) + 4 * rng.normal(size=20))
    long = xr.DataArray(wet, dims="time", coords={"time": np.arange(1998, 2021)}, name="precipitation")
    found = [stats.partial_correlation(npp, long if k else long.sel(time=YEARS), lag=k) for k in range(4)]
    fig, axes = panels(3, (10, 3.5), width_ratios=[1, 1.15, 1.15])
    ax = axes[0]
    r = [number(f.r) for f in found]
    ax.bar(range(4), r, 0.6, color=[BLUE if abs(v) == max(map(abs, r)) else QUIET for v in r])
    ax.axhline(0, color=INK, lw=0.8)
    ax.set_xticks(range(4))
    ax.set_xlabel("lag, years that precipitation leads")
    ax.set_ylabel("r with NPP")
    ax.grid(axis="x", visible=False)
    title(ax, "lag: r by the years between")
    warming = series(2 + 0.06 * t + 0.25 * rng.normal(size=20), "degC")
    rising = series(150 + 1.6 * t + 6 * rng.normal(size=20))
    one = series(t)
    cases = [
        (warming.values, rising.values, stats.partial_correlation(rising, warming), "two trends", RED),
        (
            without(warming, [one]),
            without(rising, [one]),
            stats.partial_correlation(rising, warming, detrend=True),
            "detrended",
            BLUE,
        ),
    ]
    for ax, (x, y, f, name, color) in zip(axes[1:], cases, strict=True):
        ends = np.array([x.min(), x.max()])
        ax.plot(ends, np.polyval(np.polyfit(x, y, 1), ends), color=color, lw=2)
        dots(ax, x, y)
        rest = "rest of " if name == "detrended" else ""
        ax.set_xlabel(f"{rest}temperature, °C")
        ax.set_ylabel(f"{rest}{NPP}")
        title(ax, f"{name}: r = {number(f.r):.2f}, {p_of(f.pvalue)}")
    return fig


def residual_trend() -> Figure:
    cell = pixel()
    npp = cell.pop("npp")
    found = stats.residual_trend(npp, cell)
    rest = without(npp, list(cell.values()))
    fig, (ax, beside) = panels(2)
    ax.plot(
        YEARS,
        npp.values - rest,
        color=SKY,
        lw=2,
        label=f"by climate: {number(found.climate_slope):.2f} a year, R2 = {number(found.r2):.2f}",
    )
    ax.plot(YEARS, npp, color=QUIET, lw=0.8)
    dots(ax, YEARS, npp, label=f"the series: {number(found.slope):.2f} a year")
    ax.set_ylim(top=ax.get_ylim()[1] + 14)
    title(ax, "the series and what climate explains")
    legend(ax, loc="upper left")
    calendar(ax)
    b = number(found.residual_slope)
    beside.axhline(0, color=QUIET, lw=0.8)
    beside.plot(YEARS, b * (YEARS - YEARS.mean()), color=GREEN, lw=2)
    dots(beside, YEARS, rest)
    title(beside, f"what is left: {b:.2f} a year, {p_of(found.residual_pvalue)}, dof {number(found.dof):.0f}")
    calendar(beside, "rest of " + NPP)
    return fig


def attribution() -> Figure:
    t = np.arange(20.0)
    fig, (ax,) = panels(1, (6.4, 4.6))
    ax.grid(visible=False)
    corners = [(3, 0), (3, 3), (0, 3), (-3, 3), (-3, 0), (-3, -3), (0, -3), (3, -3)]
    for shape in ([7, 0], [0, 1, 2], [2, 3], [3, 4], [4, 5, 6], [6, 7]):
        points = np.array([(0, 0), *(corners[i] for i in shape)], float)
        p, h = points.mean(0)
        potential = series(300 + p * t)
        found = stats.attribution(series(240 + (p + h) * t), potential).attribution
        code, names = int(found), found.attrs["flag_meanings"].split()
        color = found.attrs["flag_colors"].split()[code]
        ax.fill(*points.T, color=color, ec="white", lw=1.2)
        words = f"{code} {names[code]}".replace("_by_", "\nby ").replace("_", " ")
        ax.text(p, h, words, ha="center", va="center", color="white" if code in (2, 3, 6) else INK, fontsize=9)
    ax.set_xlim(-3, 3)
    ax.set_ylim(-3, 3)
    ax.set_xlabel("slope of potential NPP, gC m$^{-2}$ yr$^{-2}$")
    ax.set_ylabel("slope of actual less potential NPP, gC m$^{-2}$ yr$^{-2}$")
    title(ax, "six classes; on the diagonal actual NPP does not change")
    return fig


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


PICTURES: Mapping[str, Callable[[], Figure]] = {
    "trend": trend,
    "mann-kendall": mann_kendall,
    "trend-classes": trend_classes,
    "breaks": breaks,
    "stability": stability,
    "hurst": hurst,
    "partial": partial,
    "drivers": drivers,
    "lag-detrend": lag_and_detrend,
    "residual-trend": residual_trend,
    "attribution": attribution,
    "field": field,
    "classes": classes,
    "merging": merging,
}


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a PNG of no more than 128 colours, a third as large."""
    from matplotlib import pyplot as plt
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=dpi)
    plt.close(figure)
    Image.open(drawn).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all when left out")
    parser.add_argument("--tiny", action="store_true", help="few series of noise and small pictures")
    parser.add_argument("--to", type=Path, default=Path(__file__).parents[1] / "docs" / "figures", help="a folder")
    args = parser.parse_args()
    strange = [n for n in args.names if n not in PICTURES]
    if strange:
        parser.error(f"{strange[0]} is not a picture; they are {', '.join(PICTURES)}")
    small: Mapping[str, Callable[[], Figure]] = {
        "hurst": lambda: hurst(200),
        "field": lambda: field(400),
        "classes": lambda: classes(400),
    }
    args.to.mkdir(parents=True, exist_ok=True)
    for name in args.names or PICTURES:
        figure = (small if args.tiny and name in small else PICTURES)[name]()
        path = args.to / f"statistics-{name}.png"
        save(figure, path, 40 if args.tiny else DPI)
        print(f"{path.name} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
