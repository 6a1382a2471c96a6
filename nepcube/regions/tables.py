"""The tables of a run, tidy, from exact sums. Shares run from 0 to 1; docs/outputs.md says what each is a share of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.regions.sums import ClassSums, YearSums
from nepcube.units import TG_PER_KM2

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Groups = Mapping[str, "NDArray[np.int64]"]


def groups_of(names: Sequence[str], *, union: bool = False) -> dict[str, NDArray[np.int64]]:
    """Give the groups of each row of a table: each region, and `all`, their union or the whole grid.

    `union` says that the union of the regions is group 0, since they may share cells; else it is all of them together.
    """
    each = {name: np.array([k]) for k, name in enumerate(names, start=1)}
    return {**each, "all": np.arange(1, len(names) + 1) if names and not union else np.array([0])}


def series_table(sums: YearSums, regions: ClassSums, groups: Groups, years: Sequence[int]) -> pd.DataFrame:
    """Give the annual means, totals, and sink and source areas of each region."""
    import pandas as pd

    cells, area, total = sums.over_each(list(groups.values()))
    whole = np.repeat(regions.whole_each(list(groups.values()))[:, None], len(years), axis=1)
    columns = {
        "mean_gc_m2": _over(total[0], area[0]),
        "total_tgc": total[0] * TG_PER_KM2,
        "area_km2": area[0],
        "n_cells": cells[0],
        "sink_area_km2": area[1],
        "source_area_km2": area[2],
        "sink_share": _over(area[1], area[0]),
        "sink_mean_gc_m2": _over(total[1], area[1]),
        "source_mean_gc_m2": _over(total[2], area[2]),
        "sink_share_of_region": _over(area[1], whole),
        "region_area_km2": whole,
    }
    return pd.DataFrame(_rows({"region": list(groups), "year": [int(y) for y in years]}) | _flat(columns))


def summary_table(series: pd.DataFrame, trends: Mapping[str, Mapping[str, float]], *, level: float) -> pd.DataFrame:
    """Give one row a region: mean, cumulative, trend with its interval, extremes.

    The interval of the slope is slope +- t stderr, t of Student's distribution with n - 2 degrees of freedom.

    Parameters
    ----------
    series : pandas.DataFrame
        As `series_table` makes it.
    trends : mapping
        By region, ``slope``, ``pvalue``, ``stderr``, ``n`` and ``cv`` of its annual means.
    level : float
        Of the interval.
    """
    import pandas as pd
    from scipy.special import stdtrit

    rows = []
    for region, part in series.groupby("region", sort=False):
        means = part["mean_gc_m2"].to_numpy()
        # of a region without a value there is no total, as there is no mean
        totals = part["total_tgc"].where(part["area_km2"] > 0).to_numpy()
        years = part["year"].to_numpy()
        trend = trends[str(region)]
        half = float(stdtrit(trend["n"] - 2, (1.0 + level) / 2)) * trend["stderr"] if trend["n"] > 2 else np.nan
        known = bool(np.isfinite(means).any())
        low, high = (int(np.nanargmin(means)), int(np.nanargmax(means))) if known else (0, 0)
        rows.append(
            {
                "region": region,
                "mean_gc_m2": float(np.mean(means)),
                "cumulative_gc_m2": float(np.sum(means)),
                "slope_gc_m2_yr": trend["slope"],
                "slope_pvalue": trend["pvalue"],
                "min_gc_m2": means[low],
                "min_year": int(years[low]) if known else pd.NA,
                "max_gc_m2": means[high],
                "max_year": int(years[high]) if known else pd.NA,
                "cv": trend["cv"],
                "area_km2": float(part["area_km2"].max()),
                "region_area_km2": float(part["region_area_km2"].iloc[0]),
                "slope_lower_gc_m2_yr": trend["slope"] - half,
                "slope_upper_gc_m2_yr": trend["slope"] + half,
                "mean_tgc_yr": float(np.mean(totals)),
                "cumulative_tgc": float(np.sum(totals)),
                "n_years": int(trend["n"]),
            }
        )
    return pd.DataFrame(rows).astype({"min_year": "Int64", "max_year": "Int64"})


def class_table(
    sums: Mapping[str, ClassSums],
    groups: Groups,
    breaks: Mapping[str, Sequence[float]],
    labels: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Give the area of each class by region and variable; class -1 is what has no value.

    Shares are of the area that has a value; the row of class -1 has none.
    """
    parts = []
    for variable, counted in sums.items():
        edges = [-np.inf, *breaks[variable], np.inf]
        number = len(edges) - 1
        area = counted.over_each(list(groups.values()), [*([k] for k in range(number)), [255]])
        # the sum of a row by itself is the same whatever other rows there are
        with_value = np.array([np.sum(row[:number]) for row in area])
        bounds = {"lower": [*edges[:-1], np.nan], "upper": [*edges[1:], np.nan]}
        names = dict(enumerate(labels[variable])) | {-1: "no data"}
        parts.append(_class_rows(groups, variable, names, bounds, area, with_value))
    return _stacked(parts)


def code_table(sums: Mapping[str, ClassSums], groups: Groups, flags: Mapping[str, Mapping[int, str]]) -> pd.DataFrame:
    """Give the area of each code of maps of codes by region; class -1 is what has none, 255 in the map.

    Shares are of the area that has a code; the row of class -1 has none.
    """
    parts = []
    for variable, counted in sums.items():
        codes = list(flags[variable])
        area = counted.over_each(list(groups.values()), [*([code] for code in codes), [255]])
        coded = np.zeros(len(groups))
        for k in range(len(codes)):
            coded = coded + area[:, k]
        names = {**flags[variable], -1: "no data"}
        parts.append(_class_rows(groups, variable, names, {}, area, coded))
    return _stacked(parts)


def _class_rows(
    groups: Groups,
    variable: str,
    names: Mapping[int, str],
    bounds: Mapping[str, Sequence[float]],
    area: NDArray[np.float64],
    whole: NDArray[np.float64],
) -> dict[str, Any]:
    # the last of the classes is what has no value
    share = _over(area, np.repeat(whole[:, None], area.shape[1], axis=1))
    share[:, -1] = np.nan
    index = _rows({"region": list(groups), "class": list(names)})
    many = len(groups)
    out = {"region": index["region"], "variable": np.full(area.size, variable, object), "class": index["class"]}
    out["label"] = np.tile(np.array(list(names.values()), object), many)
    out |= {name: np.tile(np.asarray(each, np.float64), many) for name, each in bounds.items()}
    return out | _flat({"area_km2": area, "share": share})


def significance_table(
    sums: Mapping[str, ClassSums], groups: Groups, *, alpha: float, highly: float, field: bool
) -> pd.DataFrame:
    """Give the areas that rise and fall, or correlate positively and negatively: all, at `alpha`, and at `highly`.

    Codes are 3 x level + sign + 1: level 0 is not significant, 1 below `alpha`, 2 below `highly`; 9 more where the test
    holds over the whole map. Shares are of the area that has a value; `pvalue_below` is 1 where every cell counts. What
    holds over the whole map stands in the row of `alpha`, where `field` says that it was asked.
    """
    parts = []
    for variable, counted in sums.items():
        members = list(groups.values())
        area = counted.over_each(members, [[code, code + 9] for code in range(9)])
        with_value = np.array([np.sum(row) for row in area])
        whole = np.repeat(with_value[:, None], 3, axis=1)
        index = _rows({"region": list(groups), "pvalue_below": [1.0, alpha, highly]})
        head = {"region": index["region"], "variable": np.full(3 * len(groups), variable, object)}
        columns = {}
        for name, sign in (("positive", 2), ("negative", 0)):
            above = [sum(area[:, 3 * level + sign] for level in range(first, 3)) for first in range(3)]
            columns[name] = np.stack(above, axis=1)
        for name, sign in (("field_positive", 2), ("field_negative", 0)):
            held = counted.over_each(members, [[9 + 3 * level + sign for level in range(3)]])[:, 0]
            columns[name] = np.full(whole.shape, np.nan)
            columns[name][:, 1] = held if field else np.nan
        areas = {f"{name}_area_km2": values for name, values in columns.items()}
        shares = {f"{name}_share": _over(values, whole) for name, values in columns.items()}
        order = [f"{sign}_{what}" for what in ("area_km2", "share") for sign in ("positive", "negative")]
        order += [f"field_{name}" for name in order]
        both = areas | shares
        parts.append({**head, "pvalue_below": index["pvalue_below"]} | _flat({name: both[name] for name in order}))
    return _stacked(parts)


def flag_table(
    sums: Sequence[ClassSums], groups: Groups, years: Sequence[int], flags: Mapping[int, str]
) -> pd.DataFrame:
    """Give the area of each flag by region and year; shares are of the region's area."""
    import pandas as pd

    members = list(groups.values())
    area = np.stack([counted.over_each(members, [[code] for code in flags]) for counted in sums], axis=1)
    whole = np.stack([counted.whole_each(members) for counted in sums], axis=1)
    index = _rows({"region": list(groups), "year": [int(y) for y in years], "flag": list(flags)})
    label = np.tile(np.array(list(flags.values()), object), len(groups) * len(years))
    share = _over(area, np.repeat(whole[:, :, None], len(flags), axis=2))
    return pd.DataFrame(index | {"label": label} | _flat({"area_km2": area, "share": share}))


def _rows(levels: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    # the columns that name a row: the last of them changes fastest
    sizes = [len(values) for values in levels.values()]
    out: dict[str, Any] = {}
    for k, (name, values) in enumerate(levels.items()):
        kind = object if any(isinstance(value, str) for value in values) else None
        inner, outer = int(np.prod(sizes[k + 1 :])), int(np.prod(sizes[:k]))
        out[name] = np.tile(np.repeat(np.array(list(values), kind), inner), outer)
    return out


def _flat(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: values.ravel() for name, values in columns.items()}


def _stacked(parts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True) if parts else pd.DataFrame()


def _over(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.divide(a, b, out=np.full(np.shape(a), np.nan), where=np.asarray(b) > 0), np.float64)
