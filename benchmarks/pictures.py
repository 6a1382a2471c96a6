"""What each statistic does on one pixel, drawn: the figures of docs/statistics.md.

``python benchmarks/pictures.py`` writes docs/figures/statistics-*.png. All numbers come from the public functions; the
pixel and the maps are invented, from fixed seeds.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pictures_drivers as with_drivers
import pictures_maps as of_maps
import pictures_series as of_series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
PICTURES: Mapping[str, Callable[[], Figure]] = {
    "trend": of_series.trend,
    "mann-kendall": of_series.mann_kendall,
    "trend-classes": of_series.trend_classes,
    "breaks": of_series.breaks,
    "stability": of_series.stability,
    "hurst": of_series.hurst,
    "partial": with_drivers.partial,
    "lag-detrend": with_drivers.lag_and_detrend,
    "drivers": with_drivers.drivers,
    "residual-trend": with_drivers.residual_trend,
    "attribution": with_drivers.attribution,
    "field": of_maps.field,
    "classes": of_maps.classes,
    "merging": of_series.merging,
}
#: with few series of noise
TINY: Mapping[str, Callable[[], Figure]] = {
    **PICTURES,
    "hurst": lambda: of_series.hurst(200),
    "field": lambda: of_maps.field(400),
    "classes": lambda: of_maps.classes(400),
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
    args.to.mkdir(parents=True, exist_ok=True)
    for name in args.names or PICTURES:
        figure = (TINY if args.tiny else PICTURES)[name]()
        path = args.to / f"statistics-{name}.png"
        save(figure, path, 40 if args.tiny else DPI)
        print(f"{path.name} {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
