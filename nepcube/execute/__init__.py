"""Doing the work: threads, processes or a Dask cluster; windows of jobs; locks; stopping tidily."""

from nepcube.execute.clusters import make_engine, on_cluster
from nepcube.execute.engine import Engine, Settings, told
from nepcube.execute.lock import RunLock
from nepcube.execute.signals import Stopped, asked, stopping

__all__ = ["Engine", "RunLock", "Settings", "Stopped", "asked", "make_engine", "on_cluster", "stopping", "told"]
