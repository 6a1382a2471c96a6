"""What a classified map says about its own classes: one reading for map, bar and table, so that colours agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import spec
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.style import even_colours, limit
from nepcube.report.words import Language, words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: maps of classes, and the tables of their areas
TABLES = {
    "slope_class": "slope_classes",
    "cv_class": "cv_classes",
    "trend_class": "trend_classes",
    "nep_dominant_driver": "dominant_drivers",
    "npp_dominant_driver": "dominant_drivers_npp",
    "npp_attribution": "attribution_classes",
}
#: the code of no data in tables and in maps
_NONE = (-1, 255)
_FALLBACK = {"slope_class": spec.SLOPE_COLORS, "cv_class": spec.CV_COLORS}


@dataclass(frozen=True)
class Classes:
    """The classes of one map: codes, labels, colours and inner breaks, from the lowest class to the highest."""

    values: tuple[int, ...]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    breaks: tuple[float, ...]
    language: Language = "en"
    #: whether every label is of nepcube's own vocabulary, which alone is told in the reader's language
    ours: bool = False

    def interval(self, k: int) -> str:
        """Write the interval of the `k`-th class; the outer ones are open."""
        told = words("figures", self.language)
        if len(self.breaks) != len(self.values) - 1:
            return ""
        if k == 0:
            return f"< {limit(self.breaks[0])}" if self.breaks else told["all_values"]
        if k == len(self.values) - 1:
            return f"≥ {limit(self.breaks[-1])}"
        return told["between"].format(low=limit(self.breaks[k - 1]), high=limit(self.breaks[k]))


def _palette(colors: tuple[str, ...], n: int) -> tuple[str, ...]:
    from matplotlib.colors import to_hex

    return colors if len(colors) == n else tuple(to_hex(c) for c in even_colours(colors, max(n, 1)))


def _hex(colors: list[str]) -> tuple[str, ...]:
    from matplotlib.colors import is_color_like, to_hex

    # attributes come from a store that others may have written; they end up in the page's style attributes
    return tuple(to_hex(c) if is_color_like(c) else "#888888" for c in colors)


def _floats(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        value = [float(v) for v in re.findall(r"[-+0-9.eE]+", value)]
    return tuple(float(v) for v in np.atleast_1d(value))


def key_of(label: str) -> tuple[str, dict[str, str]]:
    """Give the key that a label of nepcube's own vocabulary has in the words, and what its placeholders stand for."""
    at = re.fullmatch(r"(significant (?:in|de)crease at) ([0-9.e-]+)", label)
    return "class." + "_".join((at[1] if at else label).split()), {"level": at[2]} if at else {}


def _told(labels: tuple[str, ...], language: Language) -> tuple[str, ...] | None:
    # none where a recipe names any of them: then all stay as they are
    known = words("figures", language)
    keys = [key_of(label) for label in labels]
    if not all(key in known and ("{" in known[key]) == bool(level) for key, level in keys):
        return None
    return tuple(known[key].format(**level) for key, level in keys)


def classes_of(variable: xr.DataArray, language: Language = "en") -> Classes:
    """Read the classes of a coded variable from its CF flag attributes.

    Parameters
    ----------
    variable : xarray.DataArray
        With `flag_values` and `flag_meanings`; `labels`, `flag_colors` and `breaks` where known.
    language : {"en", "zh"}
        Of the labels, where all are of nepcube's own vocabulary; where one is not, all stay as the recipe gives them.
    """
    attrs = variable.attrs
    values = tuple(int(v) for v in np.atleast_1d(attrs.get("flag_values", [])))
    keep = [k for k, v in enumerate(values) if v != spec.NOT_COVERED]
    labels = tuple(spec.labels_of(attrs).values())
    colors = _hex(str(attrs.get("flag_colors", "")).split())
    if len(colors) < len(values):
        colors = _palette(_FALLBACK.get(str(variable.name), spec.SLOPE_COLORS), len(keep))
    else:
        colors = tuple(colors[k] for k in keep)
    told = _told(labels, language)
    codes, breaks = tuple(values[k] for k in keep), _floats(attrs.get("breaks"))
    return Classes(codes, labels if told is None else told, colors, breaks, language, told is not None)


def partial_classes(variable: xr.DataArray, language: Language = "en") -> Classes:
    """Give the classes of a partial correlation from its inner breaks (±0.8, ±0.5, ±0.3, 0 where none are stored)."""
    breaks = _floats(variable.attrs.get("breaks")) or (-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8)
    n = len(breaks) + 1
    edges = (-1.0, *breaks, 1.0)
    between = words("figures", language)["between"]
    labels = tuple(between.format(low=limit(a), high=limit(b)) for a, b in pairwise(edges))
    return Classes(tuple(range(n)), labels, _palette(spec.CORRELATION_COLORS, n), breaks, language)


def scheme(inputs: ReportInputs, key: str, driver: str | None = None) -> Classes | None:
    """Give the classes behind one of the class tables, or None where the run has no such map."""
    of = {table: name for name, table in TABLES.items()}
    name = f"nep_partial_{driver}" if key == "partial_classes" else of.get(key, key)
    if name not in inputs.maps:
        return None
    variable = inputs.maps[name]
    read = partial_classes if key == "partial_classes" else classes_of
    return read(variable, inputs.language)


def rows_of(inputs: ReportInputs, key: str, driver: str | None = None) -> pd.DataFrame:
    """Give the rows of a class table, those of one driver for the partial correlations."""
    rows = inputs.rows(key)
    if driver is not None and "variable" in rows:
        names = rows["variable"].astype(str).str.removeprefix("nep_partial_")
        rows = rows[names == driver]
    return rows


def shares(inputs: ReportInputs, key: str, region: str = ALL, driver: str | None = None) -> tuple[list[float], float]:
    """Look up the share of each class and of no data in a region.

    Returns
    -------
    list of float
        One share a class of the area with data, from the lowest class to the highest; NaN where the table has no rows
        of the region.
    float
        The share of the region's whole area that has no data.
    """
    classes = scheme(inputs, key, driver)
    rows = rows_of(inputs, key, driver)
    if classes is None:
        return [], float("nan")
    if not len(rows) or not len(rows := rows[rows["region"] == region]):
        return [float("nan")] * len(classes.values), float("nan")
    found = [0.0] * len(classes.values)
    edges = rows.reindex(columns=["lower", "upper"])
    for code, lower, upper, share in zip(rows["class"], edges["lower"], edges["upper"], rows["share"], strict=True):
        if int(code) not in _NONE:
            found[_position(classes, int(code), float(lower), float(upper))] += float(share)
    whole = float(rows["area_km2"].sum())
    lacking = float(rows.loc[rows["class"].isin(_NONE), "area_km2"].sum())
    return found, lacking / whole if whole > 0 else float("nan")


def _position(classes: Classes, code: int, lower: float, upper: float) -> int:
    # by the interval, so that a table which counts from 1 and a map which counts from 0 agree
    if len(classes.breaks) != len(classes.values) - 1:
        return classes.values.index(code)
    if not np.isfinite(lower):
        return 0
    if not np.isfinite(upper):
        return len(classes.values) - 1
    return int(np.searchsorted(classes.breaks, (lower + upper) / 2))
