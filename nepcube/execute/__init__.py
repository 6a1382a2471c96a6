"""Doing the work: threads, processes or a Dask cluster; windows of jobs; locks; stopping tidily."""

from nepcube.execute.engine import Cluster, Engine, Settings, make_engine, told
from nepcube.execute.lock import RunLock
from nepcube.execute.signals import Stopped, stopping

__all__ = ["Cluster", "Engine", "RunLock", "Settings", "Stopped", "make_engine", "stopping", "told"]
