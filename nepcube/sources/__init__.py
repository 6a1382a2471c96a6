"""Readers: one file per provider; each gives the native grid, lazy, with units and codes told apart."""

from nepcube.sources.files import expand
from nepcube.sources.protocol import Finding, Granule, Inspection, Request, Source, Tiled
from nepcube.sources.registry import names, open_source, reader

__all__ = ["Finding", "Granule", "Inspection", "Request", "Source", "Tiled", "expand", "names", "open_source", "reader"]
