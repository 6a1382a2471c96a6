"""Readers: one file per provider; each gives the native grid, lazy, with units and codes told apart."""

from nepcube.sources.band import Band, open_band
from nepcube.sources.contract import inspected, opened
from nepcube.sources.fetched import head, is_zarr, local, telling
from nepcube.sources.files import expand, size
from nepcube.sources.headers import opened_once
from nepcube.sources.protocol import Finding, Granule, Inspection, Request, Source, Tiled
from nepcube.sources.raster import open_raster
from nepcube.sources.registry import names, open_source, reader

__all__ = [
    "Band",
    "Finding",
    "Granule",
    "Inspection",
    "Request",
    "Source",
    "Tiled",
    "expand",
    "head",
    "inspected",
    "is_zarr",
    "local",
    "names",
    "open_band",
    "open_raster",
    "open_source",
    "opened",
    "opened_once",
    "reader",
    "size",
    "telling",
]
