"""The only room that writes or opens our Zarr: layout, whole-unit writes, the ledger, the commit, verification."""

from nepcube.store.ending import let_end
from nepcube.store.grids import grid_change, native_grid
from nepcube.store.layout import CHUNK, Layout, Sides, chunk_side, sides_for, sides_of
from nepcube.store.ledger import Ledger
from nepcube.store.naming import CLIMATE, CUBE, METADATA, STATISTICS, STORES, metadata_of, root_of, uncommit
from nepcube.store.native import NativeSeries
from nepcube.store.reading import (
    lazy_maps,
    maps_of,
    open_cube,
    open_statistics,
    open_store,
    read_block,
    read_sample,
    root_attrs,
)
from nepcube.store.shards import KEPT, pieces_of
from nepcube.store.writing import Store, is_committed

__all__ = [
    "CHUNK",
    "CLIMATE",
    "CUBE",
    "KEPT",
    "METADATA",
    "STATISTICS",
    "STORES",
    "Layout",
    "Ledger",
    "NativeSeries",
    "Sides",
    "Store",
    "chunk_side",
    "grid_change",
    "is_committed",
    "lazy_maps",
    "let_end",
    "maps_of",
    "metadata_of",
    "native_grid",
    "open_cube",
    "open_statistics",
    "open_store",
    "pieces_of",
    "read_block",
    "read_sample",
    "root_attrs",
    "root_of",
    "sides_for",
    "sides_of",
    "uncommit",
]
