"""Readers: one file per provider; each gives the native grid, lazy, with units and codes told apart."""

from nepcube.sources.contract import inspected, opened
from nepcube.sources.files import expand
from nepcube.sources.protocol import Finding, Granule, Inspection, Request, Source, Tiled
from nepcube.sources.raster import open_raster
from nepcube.sources.registry import names, open_source, reader

__all__ = [
    "Finding",
    "Granule",
    "Inspection",
    "Request",
    "Source",
    "Tiled",
    "expand",
    "inspected",
    "names",
    "open_raster",
    "open_source",
    "opened",
    "reader",
]
