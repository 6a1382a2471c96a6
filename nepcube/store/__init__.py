"""The only room that writes or opens our Zarr: layout, whole-unit writes, the ledger, the commit, verification."""

from nepcube.store.ending import let_end
from nepcube.store.layout import Layout, chunk_side
from nepcube.store.ledger import Ledger
from nepcube.store.native import NativeSeries
from nepcube.store.reading import open_cube, open_statistics, open_store
from nepcube.store.writing import Store, is_committed, read_block, read_sample

__all__ = [
    "Layout",
    "Ledger",
    "NativeSeries",
    "Store",
    "chunk_side",
    "is_committed",
    "let_end",
    "open_cube",
    "open_statistics",
    "open_store",
    "read_block",
    "read_sample",
]
