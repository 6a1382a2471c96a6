"""Doing the work: threads, processes or a Dask cluster; windows of jobs; locks; stopping tidily."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nepcube.execute.allocation import give_back_memory
    from nepcube.execute.clusters import make_engine, on_cluster
    from nepcube.execute.engine import Engine, Settings, told
    from nepcube.execute.lock import RunLock
    from nepcube.execute.signals import Stopped, asked, stopping

__all__ = [
    "Engine", "RunLock", "Settings", "Stopped", "asked", "give_back_memory", "make_engine", "on_cluster", "stopping",
    "told",
]  # fmt: skip

# the signals are minded before anything else is imported
_PLACES = {
    "Engine": "engine",
    "RunLock": "lock",
    "Settings": "engine",
    "Stopped": "signals",
    "asked": "signals",
    "give_back_memory": "allocation",
    "make_engine": "clusters",
    "on_cluster": "clusters",
    "stopping": "signals",
    "told": "engine",
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"nepcube.execute.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'nepcube.execute' has no attribute {name!r}")
