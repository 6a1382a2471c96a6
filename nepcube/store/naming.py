"""What the stores of a run and their metadata are called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nepcube.places import Place

CUBE, STATISTICS, CLIMATE = "cube.zarr", "statistics.zarr", "climate.zarr"
#: the stores of a run
STORES = (CUBE, STATISTICS, CLIMATE)
#: the metadata of a group or an array, a file in its folder; that of a store as a whole is the record of its commit
METADATA = "zarr.json"


def root_of(store: str) -> str:
    """Give what the ledger calls the metadata of a store as a whole."""
    return f"{store}/{METADATA}"


def metadata_of(path: Place) -> dict[str, Any]:
    """Give the metadata of a store or of an array of it; nothing where there is none.

    Raises
    ------
    ValueError
        They are no JSON.
    """
    return dict(json.loads((path / METADATA).read_text() or "{}"))


def uncommit(path: Place) -> None:
    """Take the commit record of a store away, before anything that it vouches for is changed."""
    (path / METADATA).delete()
