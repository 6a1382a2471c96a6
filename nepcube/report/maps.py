"""Maps on any Axes: regions, mean NEP, classes of trend and stability, partial correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube.report.inputs import ReportInputs
from nepcube.report.painting import (
    MOST_KEYED,
    MapKey,
    paint_classes,
    paint_difference,
    paint_mean,
    paint_partial,
    paint_regions,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["map_classes", "map_nep_mean", "map_partial", "map_regions", "paint"]


def paint(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint a map without its key.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    name : str
        `regions`, `nep_mean`, `slope_class`, `cv_class`, `partial_` and a driver, or `difference_` and a statistic.

    Returns
    -------
    MapKey
        What has to stand beside it.
    """
    if name == "regions":
        key = paint_regions(ax, inputs)
    elif name == "nep_mean":
        key = paint_mean(ax, inputs)
    elif name.startswith("difference_"):
        key = paint_difference(ax, inputs, name)
    elif name.startswith("partial_"):
        key = paint_partial(ax, inputs, name.removeprefix("partial_"))
    else:
        key = paint_classes(ax, inputs, name)
    ax.set_title(key.title)
    if len(key.regions) > MOST_KEYED:
        key.regions = []
        key.notes.append("Regions are marked as in the map of the regions.")
    return key


def _with_key(ax: Axes, key: MapKey) -> Axes:
    # for an Axes of somebody else's figure: the key goes below it
    figure = ax.get_figure()
    assert figure is not None
    if key.mappable is not None:
        bar = figure.colorbar(
            key.mappable, ax=ax, orientation="horizontal", extend=key.extend, spacing="uniform", ticks=key.bar_ticks,
            pad=0.1, fraction=0.05, aspect=40,
        )  # fmt: skip
        bar.set_label(key.bar_label)
    if key.handles:
        ax.legend(handles=key.handles, title=key.heading or None, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return ax


def map_regions(ax: Axes, inputs: ReportInputs) -> Axes:
    """Draw the study area and its regions.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    return _with_key(ax, paint(ax, inputs, "regions"))


def map_nep_mean(ax: Axes, inputs: ReportInputs) -> Axes:
    """Draw the mean annual NEP, gC m-2 yr-1, between its 2nd and 98th percentile.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    return _with_key(ax, paint(ax, inputs, "nep_mean"))


def map_classes(ax: Axes, inputs: ReportInputs, name: str = "slope_class") -> Axes:
    """Draw the classes of the trend (`slope_class`) or of the stability (`cv_class`).

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    name : str

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    return _with_key(ax, paint(ax, inputs, name))


def map_partial(ax: Axes, inputs: ReportInputs, driver: str) -> Axes:
    """Draw the partial correlation of NEP with one driver, in classes, with dots where p < 0.01.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    driver : str
        `temperature`, `precipitation` or `radiation`.

    Returns
    -------
    matplotlib.axes.Axes
        The one given.
    """
    return _with_key(ax, paint(ax, inputs, f"partial_{driver}"))
