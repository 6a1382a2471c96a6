"""Pictures of a series and its drivers: correlations, regressions, causes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from pictures_frame import (
    BLUE,
    GREEN,
    INK,
    LEAF,
    NPP,
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
    without,
)

from nepcube import stats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        beside.text(x + 0.19, max(b, 0) + 0.02, f"{100 * share:.0f} %", ha="center", fontsize=8.5, color=LEAF)
    beside.set_ylim(0, 1.0)
    beside.set_ylabel("standardised coefficient")
    title(beside, f"R2 = {number(whole.r2):.2f}; relative contributions (ridge) in %")
    legend(beside, loc="upper right")
    for each in (ax, beside):
        each.set_xticks(at, list(cell))
        each.grid(axis="x", visible=False)
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
