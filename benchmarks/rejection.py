"""How often tests of a trend and of a break find one where there is none: 10,000 series of noise each, nominal 5 %.

``python benchmarks/rejection.py --figure docs/figures/rejection.png`` prints the table of docs/statistics-tests.md and
draws its figure. White noise and AR(1) 0.3, of 10, 20 and 40 years; a fixed seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from measuring import say, table

from nepcube import stats

YEARS = (10, 20, 40)
NOISE = {"white noise": 0.0, "AR(1) 0.3": 0.3}
SEED = 20_260_105
#: those that are recommended are named in the figure in bold
RECOMMENDED = ("Mann-Kendall original", "Mann-Kendall 3PW")


def kendall(method: str) -> Callable[[xr.DataArray], xr.DataArray]:
    return lambda da: stats.mann_kendall(da, method=method).pvalue


TESTS: Mapping[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "OLS slope": lambda da: stats.linear_trend(da).pvalue,
    "Mann-Kendall original": kendall("original"),
    "Mann-Kendall 3PW": kendall("3pw"),
    "pre-whitened": kendall("pre-whitened"),
    "trend-free pre-whitened": kendall("trend-free-pre-whitened"),
    "Hamed-Rao": kendall("hamed-rao"),
    "Yue-Wang": kendall("yue-wang"),
    "break in a named year": lambda da: stats.breakpoint_trend(da, da.sizes["time"] // 2, min_segment=3).pvalue,
    "break in a sought year": lambda da: stats.breakpoint_trend(da, min_segment=3).pvalue,
    "Pettitt": lambda da: stats.pettitt(da).pvalue,
}


def noise(n: int, series: int, r: float) -> xr.DataArray:
    """Stationary AR(1) series of unit innovations, one a column."""
    y = np.random.default_rng([SEED, n]).normal(size=(n, series))
    y[0] /= np.sqrt(1 - r * r)
    for i in range(1, n):
        y[i] += r * y[i - 1]
    return xr.DataArray(y, dims=("time", "cell"))


def measured(series: int) -> dict[str, dict[tuple[str, int], float]]:
    """Give the percentage of rejections by test, noise and years."""
    found: dict[str, dict[tuple[str, int], float]] = {name: {} for name in TESTS}
    for kind, r in NOISE.items():
        for n in YEARS:
            da = noise(n, series, r)
            for name, test in TESTS.items():
                found[name][kind, n] = 100 * float((test(da) < 0.05).mean())
            say(f"{kind}, {n} years")
    return found


def draw(found: Mapping[str, Mapping[tuple[str, int], float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    names = list(found)[::-1]
    fig, panels = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, sharex=True, layout="constrained")
    marks: list[dict[str, Any]] = [
        {"marker": "o", "color": "#56b4e9"},
        {"marker": "s", "color": "#0072b2"},
        {"marker": "^", "color": "#1b1f23"},
    ]
    for ax, kind in zip(panels, NOISE, strict=True):
        ax.axvline(5, color="#d55e00", lw=1.2, zorder=1)
        for n, style in zip(YEARS, marks, strict=True):
            values = [found[name][kind, n] for name in names]
            ax.scatter(
                values, range(len(names)), s=34, zorder=3, label=f"{n} years", edgecolors="white", lw=0.6, **style
            )
        ax.set_title(kind, fontsize=10, loc="left")
        ax.set_xlabel("rejected, %")
        ax.set_xlim(0, 1.04 * max(of[c] for of in found.values() for c in of))
        ax.text(5.2, len(names) - 0.45, "nominal 5 %", color="#d55e00", fontsize=8.5, va="center")
        ax.grid(axis="x", color="#e3e5e7", lw=0.8)
        ax.set_axisbelow(True)
        ax.tick_params(left=False)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
    panels[0].set_yticks(range(len(names)), names)
    for label in panels[0].get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in RECOMMENDED else "normal")
    panels[0].legend(frameon=False, loc="lower right", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="200 series in place of 10,000")
    parser.add_argument("--figure", type=Path, help="where the figure is to be drawn")
    args = parser.parse_args()
    series = 200 if args.tiny else 10_000
    found = measured(series)
    columns = [(kind, n) for kind in NOISE for n in YEARS]
    print(f"Rejected of {series:,} series, in percent:\n")
    header = ["test", *(f"{kind}, n = {n}" for kind, n in columns)]
    print(table(header, [[name, *(f"{of[c]:.1f}" for c in columns)] for name, of in found.items()]))
    if args.figure:
        draw(found, args.figure)


if __name__ == "__main__":
    main()
