"""Running many small jobs: a bounded window of them at a time, on threads, processes or a Dask cluster."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, TypeVar

from nepcube.errors import NepcubeError, StoreError

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class Settings:
    """How to run.

    Attributes
    ----------
    workers : int, optional
        Processes of an own cluster; threads of this process when left out.
    scheduler : str, optional
        The address of an existing Dask scheduler.
    threads : int, optional
        Threads, where there are no processes; as many as there are cores when left out.
    """

    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None


class Engine(Protocol):
    """Something that runs jobs."""

    width: int

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        """Give each job with its result, in the order in which they end."""


class Threads:
    """Jobs on threads of this process."""

    def __init__(self, width: int) -> None:
        self.width = width

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        pool = ThreadPoolExecutor(self.width, thread_name_prefix="nepcube")
        running: dict[Future[R], J] = {}
        queue = iter(jobs)
        try:
            for job in islice(queue, self.width + 1):
                running[pool.submit(_call, function, job)] = job
            while running:
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    job = running.pop(future)
                    result = future.result()
                    for following in islice(queue, 1):
                        running[pool.submit(_call, function, following)] = following
                    yield job, result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """Jobs on the workers of a Dask cluster."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.width = max(1, len(client.scheduler_info(n_workers=-1)["workers"]))

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        from distributed import as_completed

        queue = iter(jobs)
        running: dict[str, J] = {}
        pool = as_completed(loop=self.client.loop)

        def submit(job: J) -> None:
            future = self.client.submit(_answer, function, _Sealed(job), pure=False)
            running[future.key] = job
            pool.add(future)

        try:
            for job in islice(queue, 2 * self.width):
                submit(job)
            for future in pool:
                result = future.result()
                job = running.pop(future.key)
                future.release()
                if isinstance(result, _Fault):
                    raise result.error
                for following in islice(queue, 1):
                    submit(following)
                yield job, result
        finally:
            if running:
                self.client.cancel(list(pool.futures), force=True)
                self._let_end(set(running))

    def _let_end(self, keys: set[str], patience: float = 60.0) -> None:
        # a task that has begun cannot be stopped; it must not write on after the lock is given back
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                at_work = {key for tasks in self.client.processing().values() for key in tasks}
            except (OSError, RuntimeError):
                return
            if not keys & at_work:
                return
            time.sleep(0.1)


@dataclass(frozen=True)
class _Fault:
    """An expected error on its way home: a worker that raised it would log a traceback."""

    error: NepcubeError


def _answer(function: Callable[[Any], R], job: Any) -> R | _Fault:
    try:
        return _call(function, job)
    except NepcubeError as error:
        return _Fault(error)


class _Sealed:
    """Keeps the client from looking for dask collections inside a job."""

    def __init__(self, job: Any) -> None:
        self.job = job


def _call(function: Callable[[Any], R], job: Any) -> R:
    if isinstance(job, _Sealed):
        job = job.job
    try:
        return function(job)
    except NepcubeError:
        raise
    except OSError as error:
        raise told(error) from None


def told(error: OSError) -> Exception:
    """Turn a full or failing disk into an error for the user, and give any other error as it is."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"{error.filename or 'The output'}: no room is left on the disk.",
            "Make room, and run the same command again: it continues.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO) and error.filename:
        return StoreError(
            f"{error.filename}: {error.strerror}.", "Mend the disk or its permissions, and run again: it continues."
        )
    return error


@contextmanager
def make_engine(settings: Settings, *, say: Callable[[str], None]) -> Iterator[Engine]:
    """Give an engine, and close what was opened for it.

    Raises
    ------
    StoreError
        The scheduler does not answer.
    """
    if settings.scheduler:
        from distributed import Client

        try:
            client = Client(settings.scheduler, timeout="15s", set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise StoreError(
                f"{settings.scheduler}: no Dask scheduler answers ({type(error).__name__}).",
                "Start `dask scheduler` and `dask worker` first, or leave --scheduler out.",
            ) from None
        with client:
            say(f"dashboard: {client.dashboard_link}")
            yield Cluster(client)
        return
    if settings.workers and settings.workers > 1:
        import logging

        import dask
        from distributed import Client, LocalCluster

        with (
            dask.config.set({"distributed.worker.daemon": True}),
            LocalCluster(
                n_workers=settings.workers,
                threads_per_worker=1,
                memory_limit=None,
                dashboard_address=":0",
                silence_logs=logging.ERROR,
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            client.run(_ignore_interrupts)
            say(f"dashboard: {client.dashboard_link}")
            yield Cluster(client)
        return
    yield Threads(settings.threads or settings.workers or os.cpu_count() or 1)


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole process group; only the run itself decides what it means
    import signal
    import threading

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
