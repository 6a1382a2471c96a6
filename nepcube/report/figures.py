"""The figures of a run's page as PNG files: every map and chart with its title, its key and its notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from nepcube import spec
from nepcube.report.chart_sheets import partial_sheet, region_sheet, series_sheet, sink_sheet
from nepcube.report.classes import TABLES
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.sheet import map_figure
from nepcube.report.style import DPI, ONE_COLUMN, TWO_COLUMNS, journal_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "draw_differences", "draw_figures"]

# the maps that a run may have, by their names in the statistics
_MAPS = ("nep_mean", "nep_mean_uncertainty", "nep_sink_probability", "nep_slope", *TABLES)
#: every figure of a run's page
FIGURES = (
    "map_regions", *(f"map_{name}" for name in _MAPS), *(f"map_partial_{driver}" for driver in spec.CLIMATE), "series",
    "series_by_region", "sink_share", "partial_shares",
)  # fmt: skip


def _maps(inputs: ReportInputs, dpi: float) -> Iterator[tuple[str, Figure | None]]:
    maps = inputs.maps
    yield "map_regions", map_figure(inputs, "regions", dpi=dpi)
    for name in _MAPS:
        yield f"map_{name}", map_figure(inputs, name, dpi=dpi) if name in maps else None
    for driver in inputs.drivers:
        yield f"map_partial_{driver}", map_figure(inputs, f"partial_{driver}", dpi=dpi)


def _charts(inputs: ReportInputs, dpi: float) -> Iterator[tuple[str, Figure | None]]:
    if len(inputs.rows("series", region=ALL)):
        yield "series", series_sheet(inputs, ONE_COLUMN, dpi)
        regions = region_sheet(inputs, TWO_COLUMNS, dpi)
        yield "series_by_region", regions[0] if regions else None
        yield "sink_share", sink_sheet(inputs, ONE_COLUMN, dpi)
    shares = partial_sheet(inputs, TWO_COLUMNS, dpi)
    yield "partial_shares", shares[0] if shares else None


def draw_figures(inputs: ReportInputs, directory: Path, *, dpi: float = DPI, charts: bool = True) -> list[Path]:
    """Draw every figure that the inputs allow, as PNG.

    Parameters
    ----------
    inputs : ReportInputs
    directory : pathlib.Path
        Made where it is missing.
    dpi : float
    charts : bool
        Whether to draw the charts beside the maps.

    Returns
    -------
    list of pathlib.Path
        In the order of `FIGURES`; a driver that is missing, or regions that are, have no file.
    """
    with journal_style():
        figures = chain(_maps(inputs, dpi), _charts(inputs, dpi) if charts else ())
        return _written(inputs, figures, directory, dpi)


def draw_differences(inputs: ReportInputs, directory: Path, *, dpi: float = DPI) -> list[Path]:
    """Draw every map of the inputs whose name begins with `difference_`, as PNG.

    Parameters
    ----------
    inputs : ReportInputs
    directory : pathlib.Path
        Made where it is missing.
    dpi : float

    Returns
    -------
    list of pathlib.Path
        `map_` and the name of the map.
    """
    with journal_style():
        figures = ((f"map_{name}", map_figure(inputs, name, dpi=dpi)) for name in inputs.differences)
        return _written(inputs, figures, directory, dpi)


def _written(
    inputs: ReportInputs, figures: Iterable[tuple[str, Figure | None]], directory: Path, dpi: float
) -> list[Path]:
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in figures:
        if figure is not None:
            path = directory / f"{name}.png"
            # neither a date nor a version, so that the same inputs give the same file
            figure.savefig(path, dpi=dpi, metadata={"Software": None, "Title": f"{inputs.title}: {name}"})
            written.append(path)
    return written
