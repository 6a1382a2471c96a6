"""The tables of a comparison, tidy; docs/compare.md says what each column means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nepcube.compare.sums import NO_CLASS, ChangeSums, PairSums, SignSums, YearPairSums
from nepcube.regions.tables import groups_of

if TYPE_CHECKING:
    import pandas as pd

#: the words of each code of a map of classes, without what has none
Flags = Mapping[int, str]


def difference_table(sums: Mapping[str, PairSums], names: Sequence[str]) -> pd.DataFrame:
    """Give what each statistic is in A and in B by region; means in its own unit, areas in km2."""
    import pandas as pd

    rows = []
    for variable, pair in sums.items():
        for region, members in groups_of(names).items():
            found = pair.over(members)
            rows.append(
                {
                    "region": region,
                    "variable": variable,
                    "mean_a": found.mean_a,
                    "mean_b": found.mean_b,
                    "mean_difference": found.mean_difference,
                    "rms_difference": found.rms_difference,
                    "max_abs_difference": found.max_abs_difference,
                    "area_km2": found.area,
                    "area_only_a_km2": found.area_only_a,
                    "area_only_b_km2": found.area_only_b,
                }
            )
    return pd.DataFrame(rows)


def year_table(sums: Mapping[tuple[str, int], YearPairSums], names: Sequence[str]) -> pd.DataFrame:
    """Give the means of each variable and year in A and in B by region, gC m-2 yr-1."""
    import pandas as pd

    rows = []
    for variable in dict.fromkeys(variable for variable, _ in sums):
        for region, members in groups_of(names).items():
            for year in (y for v, y in sums if v == variable):
                a, b, difference = sums[variable, year].over(members)
                means = {"mean_a": a, "mean_b": b, "mean_difference": difference}
                rows.append({"region": region, "variable": variable, "year": year} | means)
    return pd.DataFrame(rows)


def change_table(
    sums: Mapping[str, ChangeSums], names: Sequence[str], flags: Mapping[str, tuple[Flags, Flags]]
) -> pd.DataFrame:
    """Give the area (km2) of each pair of classes by region; class -1 is what has none."""
    import pandas as pd

    rows = []
    for variable, changes in sums.items():
        of_a, of_b = ({**words, -1: "no data"} for words in flags[variable])
        for region, members in groups_of(names).items():
            found = changes.over(members)
            for class_a, label_a in of_a.items():
                areas = found[class_a if class_a >= 0 else NO_CLASS]
                for class_b, label_b in of_b.items():
                    rows.append(
                        {
                            "region": region,
                            "variable": variable,
                            "class_a": class_a,
                            "label_a": label_a,
                            "class_b": class_b,
                            "label_b": label_b,
                            "area_km2": float(areas[class_b if class_b >= 0 else NO_CLASS]),
                        }
                    )
    return pd.DataFrame(rows)


def sign_table(sums: Mapping[str, SignSums], names: Sequence[str]) -> pd.DataFrame:
    """Give the area (km2) where the sign of a statistic differs, and its share of the area where both have a value."""
    import pandas as pd

    rows = []
    for variable, signs in sums.items():
        for region, members in groups_of(names).items():
            both, differs = signs.over(members)
            share = differs / both if both > 0 else math.nan
            areas = {"area_km2": both, "differs_area_km2": differs, "differs_share": share}
            rows.append({"region": region, "variable": variable} | areas)
    return pd.DataFrame(rows)
