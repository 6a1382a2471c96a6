"""The record that a report is drawn from: finished statistics, finished tables, and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nepcube import spec
from nepcube.report.saying import Told
from nepcube.report.words import Language, words

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    import xarray as xr

__all__ = ["ALL", "Method", "Note", "ReportInputs"]

#: the name of the union of the regions in every table
ALL = "all"


@dataclass(frozen=True)
class Note:
    """What a reader must know before using the numbers, under a title of a few words."""

    title: Told
    text: Told


@dataclass(frozen=True)
class Method:
    """A paragraph of the methods."""

    title: Told
    sentences: tuple[Told, ...]


@dataclass(frozen=True)
class ReportInputs:
    """All that the tables, figures and page of one run are made from.

    Parameters
    ----------
    name : str
        The recipe's name, used in texts only.
    title : str
        What the page is called.
    period : tuple of int
        First and last year, inclusive.
    maps : xarray.Dataset
        Statistics on the grid, loaded, already decimated to at most some 2000 cells a side, with `spatial_ref`.
        Class variables carry `flag_values`, `flag_meanings`, `labels`, `flag_colors` and `breaks`; partial correlations
        `breaks`.
    tables : mapping of str to pandas.DataFrame
        `series`, `summary`, `slope_classes`, `cv_classes`, `partial_classes`, `npp_flags`; others are written too.
        Their columns are those of the run's CSV files.
    regions : geopandas.GeoDataFrame or None
        Outlines in the grid's CRS, with a column `name`.
    recipe_text : str
        The resolved recipe.
    provenance : mapping
        `inputs` (source, path, bytes, hash), `versions`, `stages` (seconds), `created`.
    methods : list of Method
        What the run did, in words.
    formulas : list of dict
        `name`, `formula`, `source` of every formula that the run used.
    sources : list of dict
        `quantity`, `reader`, `product`, `citation`, `units`, `resampling`.
    notes : list of Note or str
        What a reader must know before using the numbers.
    generated : bool
        Whether the data are nepcube's own, and no measurement; the page says so first, and every figure.
    potential : bool
        Whether NPP is modelled, so that NEP is the potential one.
    strata : mapping of str to str
        The strata of the run in the order of its recipe, each with the unit of its classes, empty where it has none.
        Their tables are `series_by_<stratum>` and so on.
    standard_strata : set of str
        Those whose classes have nepcube's own names, which are told in the reader's language.
    language : {"en", "zh"}
        The language of the figures. Names of regions, and labels that are a recipe's own, stay as they are.
    """

    name: str
    title: str
    period: tuple[int, int]
    maps: xr.Dataset
    tables: Mapping[str, pd.DataFrame]
    regions: gpd.GeoDataFrame | None = None
    recipe_text: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    methods: list[Method] = field(default_factory=list)
    formulas: list[dict[str, Told]] = field(default_factory=list)
    sources: list[dict[str, Told]] = field(default_factory=list)
    notes: list[Note | str] = field(default_factory=list)
    generated: bool = False
    potential: bool = False
    strata: Mapping[str, str] = field(default_factory=dict)
    standard_strata: frozenset[str] = frozenset()
    language: Language = "en"
    #: what was worked out of the outlines for drawing, once for all maps and for copies in other languages
    worked_out: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def words(self) -> Mapping[str, str]:
        """The words of the figures in their language."""
        return words("figures", self.language)

    def unit(self, text: str) -> str:
        """Write a unit as the language of the figures writes a year in it."""
        return text.replace("yr", self.words["unit_year"])

    @property
    def nep(self) -> str:
        """What the quantity is called: NEP, or potential NEP where NPP is modelled."""
        return self.words["potential_nep" if self.potential else "nep"]

    @property
    def years(self) -> str:
        """The period as text."""
        return self.years_between(*self.period)

    def years_between(self, first: int, last: int) -> str:
        """Write the years from one to another, or the one, in the language of the figures."""
        return self.words["year" if first == last else "years"].format(first=first, last=last)

    @property
    def drivers(self) -> tuple[str, ...]:
        """The climate drivers that have a partial correlation, in the order of the vocabulary."""
        return tuple(name for name in spec.CLIMATE if f"nep_partial_{name}" in self.maps)

    @property
    def differences(self) -> tuple[str, ...]:
        """The maps of what two runs differ in, in their order."""
        return tuple(str(name) for name in self.maps.data_vars if str(name).startswith("difference_"))

    @property
    def time_is_held(self) -> bool:
        """Whether the years are one of the controls of the partial correlations, which their maps say."""
        return any("detrended" in self.maps[f"nep_partial_{driver}"].attrs for driver in self.drivers)

    @property
    def correlation_is_plain(self) -> bool:
        """Whether the one driver has no controls, so that its partial correlation is the correlation."""
        return len(self.drivers) == 1 and not self.time_is_held

    @property
    def region_names(self) -> tuple[str, ...]:
        """The regions in the order of the tables, without their union."""
        for key in ("summary", "series", "slope_classes", "partial_classes"):
            table = self.table(key)
            if table is not None and len(table):
                names = table["region"].astype(str)
                return tuple(name for name in dict.fromkeys(names) if name != ALL)
        return ()

    def largest_regions(self, most: int) -> list[str]:
        """Give at most so many regions, the largest by their whole area, in the order of the tables.

        Parameters
        ----------
        most : int
        """
        names = list(self.region_names)
        rows = self.rows("series")
        if len(names) <= most or not len(rows):
            return names[:most]
        column = "region_area_km2" if "region_area_km2" in rows else "area_km2"
        area = rows.groupby("region")[column].max().fillna(0.0).to_dict()
        kept = set(sorted(names, key=lambda n: -float(area.get(n, 0.0)))[:most])
        return [name for name in names if name in kept]

    def table(self, key: str) -> pd.DataFrame | None:
        """Give a table, or None where the run has not made it."""
        return self.tables.get(key)

    def rows(self, key: str, **where: object) -> pd.DataFrame:
        """Give the rows of a table that match, an empty frame where there is no such table.

        Parameters
        ----------
        key : str
        **where
            A column and the value it must have.
        """
        import pandas as pd

        table = self.table(key)
        if table is None:
            return pd.DataFrame()
        for column, value in where.items():
            if column not in table:
                return table.iloc[:0]
            table = table[table[column] == value]
        return table
