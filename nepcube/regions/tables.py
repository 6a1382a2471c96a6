"""The tables of a run, tidy, from exact sums. Shares run from 0 to 1; docs/outputs.md says what each is a share of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube.regions.sums import ClassSums, YearSums

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# gC m-2 times km2 is 1e6 gC, and a teragram is 1e12
_TG = 1e-6
Groups = Mapping[str, "NDArray[np.int64]"]


def groups_of(names: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Give the label numbers of each row of a table: each region, and `all`, their union or the whole grid."""
    if not names:
        return {"all": np.array([0])}
    each = {name: np.array([k]) for k, name in enumerate(names, start=1)}
    return {**each, "all": np.arange(1, len(names) + 1)}


def series_table(sums: YearSums, regions: ClassSums, names: Sequence[str], years: Sequence[int]) -> pd.DataFrame:
    """Give the annual means, totals, and sink and source areas of each region."""
    import pandas as pd

    rows = []
    for region, members in groups_of(names).items():
        cells, area, total = sums.over(members)
        whole = regions.whole(members)
        for t, year in enumerate(years):
            rows.append(
                {
                    "region": region,
                    "year": int(year),
                    "mean_gc_m2": _over(total[0, t], area[0, t]),
                    "total_tgc": total[0, t] * _TG,
                    "area_km2": area[0, t],
                    "n_cells": int(cells[0, t]),
                    "sink_area_km2": area[1, t],
                    "source_area_km2": area[2, t],
                    "sink_share": _over(area[1, t], area[0, t]),
                    "sink_mean_gc_m2": _over(total[1, t], area[1, t]),
                    "source_mean_gc_m2": _over(total[2, t], area[2, t]),
                    "sink_share_of_region": _over(area[1, t], whole),
                    "region_area_km2": whole,
                }
            )
    return pd.DataFrame(rows)


def summary_table(series: pd.DataFrame, trends: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Give one row a region: mean, cumulative, trend, extremes.

    Parameters
    ----------
    series : pandas.DataFrame
        As `series_table` makes it.
    trends : mapping
        By region, ``slope``, ``pvalue`` and ``cv`` of its annual means.
    """
    import pandas as pd

    rows = []
    for region, part in series.groupby("region", sort=False):
        means = part["mean_gc_m2"].to_numpy()
        years = part["year"].to_numpy()
        known = bool(np.isfinite(means).any())
        low = int(np.nanargmin(means)) if known else 0
        high = int(np.nanargmax(means)) if known else 0
        rows.append(
            {
                "region": region,
                "mean_gc_m2": float(np.mean(means)),
                "cumulative_gc_m2": float(np.sum(means)),
                "slope_gc_m2_yr": trends[str(region)]["slope"],
                "slope_pvalue": trends[str(region)]["pvalue"],
                "min_gc_m2": means[low],
                "min_year": int(years[low]),
                "max_gc_m2": means[high],
                "max_year": int(years[high]),
                "cv": trends[str(region)]["cv"],
                "area_km2": float(part["area_km2"].max()),
                "region_area_km2": float(part["region_area_km2"].iloc[0]),
            }
        )
    return pd.DataFrame(rows)


def class_table(
    sums: Mapping[str, ClassSums],
    names: Sequence[str],
    breaks: Mapping[str, Sequence[float]],
    labels: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Give the area of each class by region and variable; class -1 is what has no value.

    Shares are of the area that has a value; the row of class -1 has none.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for variable, counted in sums.items():
        edges = [-np.inf, *breaks[variable], np.inf]
        for region, members in groups_of(names).items():
            area = counted.over(members)
            with_value = float(np.sum(area[: len(edges) - 1]))
            for k, label in enumerate(labels[variable]):
                rows.append(
                    {
                        "region": region,
                        "variable": variable,
                        "class": k,
                        "label": label,
                        "lower": edges[k],
                        "upper": edges[k + 1],
                        "area_km2": area[k],
                        "share": _over(area[k], with_value),
                    }
                )
            missing = {"class": -1, "label": "no data", "lower": np.nan, "upper": np.nan}
            rows.append({"region": region, "variable": variable, **missing, "area_km2": area[255], "share": np.nan})
    return pd.DataFrame(rows)


def code_table(
    sums: Mapping[str, ClassSums], names: Sequence[str], flags: Mapping[str, Mapping[int, str]]
) -> pd.DataFrame:
    """Give the area of each code of maps of codes by region; class -1 is what has none, 255 in the map.

    Shares are of the area that has a code; the row of class -1 has none.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for variable, counted in sums.items():
        for region, members in groups_of(names).items():
            area = counted.over(members)
            coded = float(sum(area[code] for code in flags[variable]))
            for code, label in {**flags[variable], -1: "no data"}.items():
                size = float(area[code if code >= 0 else 255])
                share = _over(size, coded) if code >= 0 else float("nan")
                row = {"region": region, "variable": variable, "class": code, "label": label}
                rows.append({**row, "area_km2": size, "share": share})
    return pd.DataFrame(rows)


def significance_table(
    sums: Mapping[str, ClassSums], names: Sequence[str], *, alpha: float, highly: float
) -> pd.DataFrame:
    """Give the areas that rise and fall, or correlate positively and negatively: all, at `alpha`, and at `highly`.

    Codes are 3 x level + sign + 1: level 0 is not significant, 1 below `alpha`, 2 below `highly`. Shares are of the
    area that has a value; `pvalue_below` is 1 where every cell counts.
    """
    import pandas as pd

    rows = []
    for variable, counted in sums.items():
        for region, members in groups_of(names).items():
            area = counted.over(members)
            with_value = float(np.sum(area[:9]))
            for below, first in ((1.0, 0), (alpha, 1), (highly, 2)):
                positive = float(sum(area[3 * level + 2] for level in range(first, 3)))
                negative = float(sum(area[3 * level] for level in range(first, 3)))
                rows.append(
                    {
                        "region": region,
                        "variable": variable,
                        "pvalue_below": below,
                        "positive_area_km2": positive,
                        "negative_area_km2": negative,
                        "positive_share": _over(positive, with_value),
                        "negative_share": _over(negative, with_value),
                    }
                )
    return pd.DataFrame(rows)


def flag_table(
    sums: Sequence[ClassSums], names: Sequence[str], years: Sequence[int], flags: Mapping[int, str]
) -> pd.DataFrame:
    """Give the area of each flag by region and year; shares are of the region's area."""
    import pandas as pd

    rows = []
    for region, members in groups_of(names).items():
        for year, counted in zip(years, sums, strict=True):
            area = counted.over(members)
            whole = counted.whole(members)
            for code, label in flags.items():
                rows.append(
                    {
                        "region": region,
                        "year": int(year),
                        "flag": code,
                        "label": label,
                        "area_km2": area[code],
                        "share": _over(area[code], whole),
                    }
                )
    return pd.DataFrame(rows)


def _over(a: float, b: float) -> float:
    return float(a / b) if b > 0 else float("nan")
