"""Polygons to labels, and labels to area-weighted sums that merge without loss, and the tables made of them."""

from nepcube.regions.labels import label_attrs, label_regions, label_window
from nepcube.regions.members import Members
from nepcube.regions.polygons import load_regions, outline_labels
from nepcube.regions.shapes import Shapes, shapes_near, shapes_of
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
    "ClassSums",
    "Members",
    "Shapes",
    "YearSums",
    "aggregate",
    "class_table",
    "code_table",
    "flag_table",
    "groups_of",
    "label_attrs",
    "label_regions",
    "label_window",
    "load_regions",
    "outline_labels",
    "series_table",
    "shapes_near",
    "shapes_of",
    "significance_table",
    "summary_table",
]
