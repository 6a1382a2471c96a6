"""Maps on any Axes: regions, mean NEP, classes of trend and stability, partial correlations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.report.cartography import size_mm
from nepcube.report.classes import TABLES
from nepcube.report.continuous import paint_continuous, paint_difference, paint_mean
from nepcube.report.fonts import font_families
from nepcube.report.inputs import ReportInputs
from nepcube.report.layers import MOST_KEYED, MapKey
from nepcube.report.lettering import text_size_mm
from nepcube.report.painting import paint_classes, paint_partial, paint_regions
from nepcube.report.style import journal_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["drawn_on", "in_our_letters", "paint"]


def paint(ax: Axes, inputs: ReportInputs, name: str) -> MapKey:
    """Paint a map without its key.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    inputs : ReportInputs
    name : str
        `regions`, `nep_mean`, `slope_class`, `cv_class` or another map of classes, `partial_` and a driver,
        `difference_` and a statistic, or any map of numbers, such as `nep_slope`.

    Returns
    -------
    MapKey
        What has to stand beside it.

    Raises
    ------
    SpecError
        There is no such map.
    """
    driver = name.removeprefix("partial_").removeprefix("nep_partial_")
    if name == "regions":
        key = paint_regions(ax, inputs)
    elif name != f"partial_{driver}" and name not in inputs.maps:
        raise SpecError(f"There is no map {name!r}.", f"There are {_names(inputs)}.")
    elif name == "nep_mean":
        key = paint_mean(ax, inputs)
    elif name.startswith("difference_"):
        key = paint_difference(ax, inputs, name)
    elif driver in spec.CLIMATE and name != driver:
        if driver not in inputs.drivers:
            raise SpecError(f"There is no map {name!r}.", f"There are {_names(inputs)}.")
        key = paint_partial(ax, inputs, driver)
    elif name in TABLES:
        key = paint_classes(ax, inputs, name)
    else:
        key = paint_continuous(ax, inputs, name)
    ax.set_title(key.title)
    if name != "regions" and len(key.regions) > MOST_KEYED:
        key.regions = []
        key.notes.append(inputs.words["note.marks"])
    return key


def _names(inputs: ReportInputs) -> str:
    return ", ".join(["regions", *sorted(str(n) for n in inputs.maps.data_vars if str(n) != "region")])


def with_key(ax: Axes, key: MapKey) -> Axes:
    """Put the key of a map beside and below it, on an Axes of somebody else's figure."""
    from matplotlib.patches import Patch

    figure = ax.get_figure()
    assert figure is not None
    if key.mappable is not None:
        bar = figure.colorbar(
            key.mappable, ax=ax, extend=key.extend, spacing="uniform", ticks=key.bar_ticks,
            pad=0.02, fraction=0.04, shrink=0.8,
        )  # fmt: skip
        bar.set_label(key.bar_label)
        in_our_letters(bar.ax)
    names = [
        Patch(facecolor=key.fills.get(mark, "none"), edgecolor="none", label=f"{mark}  {name}")
        for mark, name in key.regions
    ]
    handles = [*key.handles, *names]
    if handles:
        wide, high = size_mm(ax)
        longest = max(text_size_mm(str(h.get_label()))[0] for h in handles) + 9
        ax.legend(
            handles=handles, title=key.heading or None, loc="upper left", bbox_to_anchor=(0.0, -8 / high),
            alignment="left", frameon=False, ncols=max(1, min(4, int(wide // longest))),
        )  # fmt: skip
    return in_our_letters(ax)


def drawn_on(ax: Axes, inputs: ReportInputs, name: str) -> Axes:
    """Paint a map with its key on an Axes of somebody else's figure; give that Axes."""
    with journal_style():
        return with_key(ax, paint(ax, inputs, name))


def in_our_letters(ax: Axes) -> Axes:
    """Write an Axes that was made with other settings in the fonts of the figures."""
    from matplotlib.text import Text

    families = list(font_families())
    ax.tick_params(labelsize=7, labelfontfamily=families)
    for text in ax.findobj(Text):
        text.set_fontfamily(families)
    return ax
