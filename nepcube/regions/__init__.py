"""Polygons to labels, and labels to area-weighted sums that merge without loss, and the tables made of them."""

from nepcube.regions.checks import require_overlap, require_whole_numbers, units_of
from nepcube.regions.crossing import REST, cross, cross_fractions, crossed_groups, split
from nepcube.regions.labels import label_attrs, label_regions, label_window
from nepcube.regions.lattices import lattices_of
from nepcube.regions.members import Members
from nepcube.regions.placing import missed_note, missed_notes, outside_notes
from nepcube.regions.polygons import Regions, load_regions, outline_labels, read_regions
from nepcube.regions.shapes import Shapes, shapes_near
from nepcube.regions.shares import UNION, share_window
from nepcube.regions.sizes import size_sums, size_table
from nepcube.regions.strata import NO_CLASS, Found, Stratum, stratum_window
from nepcube.regions.sums import ClassSums, YearSums, aggregate
from nepcube.regions.tables import (
    class_table,
    code_table,
    flag_table,
    groups_of,
    series_table,
    significance_table,
    summary_table,
)

__all__ = [
    "NO_CLASS",
    "REST",
    "UNION",
    "ClassSums",
    "Found",
    "Members",
    "Regions",
    "Shapes",
    "Stratum",
    "YearSums",
    "aggregate",
    "class_table",
    "code_table",
    "cross",
    "cross_fractions",
    "crossed_groups",
    "flag_table",
    "groups_of",
    "label_attrs",
    "label_regions",
    "label_window",
    "lattices_of",
    "load_regions",
    "missed_note",
    "missed_notes",
    "outline_labels",
    "outside_notes",
    "read_regions",
    "require_overlap",
    "require_whole_numbers",
    "series_table",
    "shapes_near",
    "share_window",
    "significance_table",
    "size_sums",
    "size_table",
    "split",
    "stratum_window",
    "summary_table",
    "units_of",
]
