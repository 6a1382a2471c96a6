"""Maps and charts for notebooks: one call each, from a store or from a finished output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.report import cartography as carto
from nepcube.report.charts import chart_partial_shares, chart_series, chart_sink_share
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.maps import drawn_on, in_our_letters
from nepcube.report.sheet import map_sheet
from nepcube.report.style import DOUBLE, MM, journal_style
from nepcube.report.words import require_language

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["DRAWN", "plot_chart", "plot_map", "thinned"]

#: cells a side of what is drawn: more than a page of 300 dpi shows
DRAWN = 2000
#: dots an inch of a figure in a notebook
_SCREEN = 150
_CHARTS = ("series", "sink_share", *(f"partial_{driver}" for driver in spec.CLIMATE))


def thinned(maps: xr.Dataset) -> xr.Dataset:
    """Take every n-th cell of maps, so that at most 2,000 a side are left; lazy on dask.

    Parameters
    ----------
    maps : xarray.Dataset
        On a grid.

    Returns
    -------
    xarray.Dataset
    """
    dims = carto.spatial_dims(maps)
    stride = max(1, -(-max(maps.sizes[d] for d in dims) // DRAWN))
    return maps.isel({d: slice(stride // 2, None, stride) for d in dims})


def plot_map(
    data: ReportInputs | xr.Dataset, name: str = "nep_mean", *, ax: Axes | None = None, language: str | None = None
) -> Axes:
    """Draw a map with its key, as the report has it.

    Parameters
    ----------
    data : ReportInputs or xarray.Dataset
        What `nepcube.open_report` gives, or maps on a grid, such as ``statistics.zarr``. Of a lazy dataset only what
        the map needs is loaded, and at most 2,000 cells a side. Shares of area and outlines of regions are known to
        `open_report` alone.
    name : str
        ``regions``, ``nep_mean``, ``slope_class``, ``cv_class``, ``partial_temperature``, or any map of numbers.
    ax : matplotlib.axes.Axes, optional
        A new figure of pyplot when left out, a sheet with title, key and notes; else the key stands beside and below.
    language : {"en", "zh"}, optional
        That of the data, or English.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SpecError
        There is no such map, or no such language.
    """
    inputs = _inputs(data, name, language)
    if ax is not None:
        return drawn_on(ax, inputs, name)
    with journal_style():
        return map_sheet(inputs, name, width_mm=DOUBLE, dpi=_SCREEN, make=_new_figure)[0].axes[0]


def plot_chart(
    data: ReportInputs,
    name: str = "series",
    *,
    region: str = ALL,
    ax: Axes | None = None,
    language: str | None = None,
) -> Axes:
    """Draw a chart from the tables of a run, as the report has it.

    Parameters
    ----------
    data : ReportInputs
        What `nepcube.open_report` gives.
    name : str
        ``series`` (annual NEP, gC m-2, with its least-squares trend), ``sink_share`` (shares of sink and source area by
        year), or ``partial_temperature``, ``partial_precipitation``, ``partial_radiation`` (shares of area in each
        class of partial correlation, a bar a region).
    region : str
        A region's name, for the first two; ``all`` is their union.
    ax : matplotlib.axes.Axes, optional
        A new figure of pyplot when left out.
    language : {"en", "zh"}, optional
        That of the data.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    SpecError
        There is no such chart, region or language.
    """
    inputs = _inputs(data, "", language)
    if name not in _CHARTS:
        raise SpecError(f"There is no chart {name!r}.", f"There are {', '.join(_CHARTS)}.")
    if region not in (ALL, *inputs.region_names):
        raise SpecError(f"There is no region {region!r}.", f"There are {', '.join((ALL, *inputs.region_names))}.")
    with journal_style():
        ax = _chart_axes() if ax is None else ax
        if name == "series":
            ax = chart_series(ax, inputs, region)
        elif name == "sink_share":
            ax = chart_sink_share(ax, inputs, region)
        else:
            return in_our_letters(chart_partial_shares(ax, inputs, name.removeprefix("partial_")))
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=3)
        return in_our_letters(ax)


def _inputs(data: ReportInputs | xr.Dataset, name: str, language: str | None) -> ReportInputs:
    from dataclasses import replace

    if isinstance(data, ReportInputs):
        return data if language is None else replace(data, language=require_language(language))
    attrs = data.attrs
    first, last = (int(str(attrs.get(f"time_coverage_{end}", "0"))[:4]) for end in ("start", "end"))
    needed = {"region", "elevation", "nep_mean"} if name == "regions" else {name, f"nep_{name}", "region"}
    needed.add("region_share")
    needed |= {f"{n}_pvalue" for n in needed} | ({"nep_slope_pvalue"} if name == "slope_class" else set())
    # other drivers are named in the title
    titled = {f"nep_partial_{driver}" for driver in spec.CLIMATE} if "partial_" in name else set()
    if not _there(data, name):
        raise SpecError(f"There is no map {name!r}.", f"There are regions, {', '.join(map(str, data.data_vars))}.")
    chosen = data[[n for n in data.data_vars if n in needed | titled]]
    return ReportInputs(
        name=str(attrs.get("title", "")),
        title=str(attrs.get("title", "")),
        period=(first, last),
        maps=thinned(chosen).compute(),
        tables={},
        language=require_language(language or "en"),
        generated=spec.is_generated(attrs),
    )


def _there(data: xr.Dataset, name: str) -> bool:
    return name == "regions" or name in data or f"nep_{name}" in data


def _new_figure(width_mm: float, height_mm: float, dpi: float) -> Figure:
    # one of pyplot, which a notebook shows
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width_mm * MM, height_mm * MM), dpi=dpi)


def _chart_axes() -> Axes:
    figure = _new_figure(DOUBLE / 2, 72.0, _SCREEN)
    figure.set_layout_engine("constrained")
    return figure.add_subplot()
