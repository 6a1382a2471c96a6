"""Doing the work: threads, processes or a Dask cluster; windows of jobs; locks; stopping tidily."""

from nepcube.execute.engine import Engine, Settings, make_engine
from nepcube.execute.lock import RunLock
from nepcube.execute.signals import Stopped, stopping

__all__ = ["Engine", "RunLock", "Settings", "Stopped", "make_engine", "stopping"]
