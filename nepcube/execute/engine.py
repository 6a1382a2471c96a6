"""Running many small jobs: a bounded window of them at a time, on threads, processes or a Dask cluster."""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from nepcube.errors import NepcubeError, StoreError, is_full
from nepcube.execute import signals
from nepcube.execute.watching import Watch, let_tasks_end
from nepcube.machine import cores
from nepcube.places import guarded

if TYPE_CHECKING:
    from nepcube.execute.probing import Need

J = TypeVar("J")
R = TypeVar("R")

# tasks that a thread of a cluster has at hand: the one that it does, and the next
_AT_HAND = 2
# jobs of a task: as many as take some half a second, since each task costs the leading process some 15 ms of messages;
# a task gives back what it has not begun by then, so that none is long
_TASK_SECONDS = 0.5
_MOST_TOGETHER = 32
# seconds after which the size of a cluster is asked for again
_LOOK_AGAIN = 5.0
# seconds within which own processes are there
_STARTED = 120.0
# seconds within which a client notices that its scheduler is gone
_NOTICED = 20.0


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
    cluster : mapping, optional
        A cluster to be asked for: its `kind` and checked options.
    """

    workers: int | None = None
    scheduler: str | None = None
    threads: int | None = None
    cluster: Mapping[str, Any] | None = None


class Engine(Protocol):
    """Something that runs jobs: `width` of them at once, beside `threads` threads of this process for what it does."""

    threads: int

    @property
    def width(self) -> int:
        """The jobs that are done at once."""

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        """Give each job with its result, in the order in which they end."""


class Threads:
    """Jobs on threads of this process."""

    def __init__(self, width: int) -> None:
        self.width = self.threads = width

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        pool = ThreadPoolExecutor(self.width, thread_name_prefix="nepcube")
        running: dict[Future[R], J] = {}
        queue = iter(jobs)
        try:
            for job in islice(queue, self.width + 1):
                running[pool.submit(_call, function, job)] = job
            while running:
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                signals.look()
                for future in ended:
                    job = running.pop(future)
                    result = future.result()
                    for following in islice(queue, 1):
                        running[pool.submit(_call, function, following)] = following
                    yield job, result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Cluster:
    """Jobs on the workers of a Dask cluster, short ones several in a task; no more tasks than its threads have at hand.

    Parameters
    ----------
    client : distributed.Client
        A client of it.
    need : Need, optional
        What a worker must have, looked at on each before its first job.
    starting : int, optional
        Workers of one thread that are just being started; the first job waits for all of them.
    watch : Watch, optional
        Minds that there are workers.
    """

    def __init__(
        self, client: Any, need: Need | None = None, *, starting: int | None = None, watch: Watch | None = None
    ) -> None:
        self.client = client
        self.need = need
        self.starting = starting
        self.watch = watch or Watch()
        self._looked = time.monotonic()
        self.width = starting or max(1, sum(client.nthreads().values()))
        self.threads = min(self.width, cores())
        # a client whose scheduler is gone does not know any more where it was
        self.address = str(getattr(client.scheduler, "address", "") or "The cluster")

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        from distributed import as_completed
        from distributed.comm import CommClosedError

        self._wait_for_workers()
        queue = iter(jobs)
        # what tasks gave back goes before what is new
        again: deque[J] = deque()
        running: dict[str, list[J]] = {}
        pool = as_completed(loop=self.client.loop)
        together = 1

        def submit() -> None:
            while len(running) < _AT_HAND * self.width:
                bundle = [again.popleft() for _ in range(min(len(again), together))]
                bundle += islice(queue, together - len(bundle))
                if not bundle:
                    return
                # a task whose worker is lost goes to another by itself
                future = self.client.submit(_answer, function, _Sealed(bundle), self.need, pure=False)
                running[future.key] = bundle
                pool.add(future)

        try:
            submit()
            for future in self._ended(pool):
                answer = self._result(future)
                bundle = running.pop(future.key)
                future.release()
                again.extend(bundle[answer.begun :])
                together = _fitting(answer, together)
                if answer.fault is None:
                    submit()
                yield from zip(bundle, answer.results, strict=False)
                if answer.fault is not None:
                    raise answer.fault
        except (CancelledError, OSError) as error:
            # a connection breaks a little before the client knows that the scheduler is gone
            if self._is_lost(_NOTICED):
                raise self._lost() from None
            if isinstance(error, CommClosedError):
                raise StoreError(
                    f"{self.address}: the connection to the Dask scheduler broke.",
                    "Run the same command again: it continues.",
                ) from None
            raise error
        finally:
            if running and not self._is_lost():
                with signals.held():
                    self._leave(set(running), pool)

    def _ended(self, pool: Any) -> Iterator[Any]:
        # the tasks as they end; none does where there is no worker
        while not pool.is_empty():
            self._look()
            if pool.has_ready():
                yield next(pool)
            else:
                with pool.thread_condition:
                    pool.thread_condition.wait(0.1)

    def _look(self) -> None:
        signals.look()
        if time.monotonic() - self._looked > _LOOK_AGAIN:
            # workers come and go
            there = self.client.nthreads()
            self.width = max(1, sum(there.values()))
            self.watch.look(len(there))
            self._looked = time.monotonic()

    def _wait_for_workers(self) -> None:
        if self.starting is None:
            return
        end = time.monotonic() + _STARTED
        while True:
            signals.look()
            try:
                self.client.wait_for_workers(self.starting, timeout=_LOOK_AGAIN)
            except TimeoutError:
                there = len(self.client.nthreads())
                if time.monotonic() > end:
                    raise StoreError(
                        f"--workers {self.starting}: {there} of them started within {_STARTED:.0f} seconds.",
                        "Take fewer workers, or none (threads), or look at what else this machine does.",
                    ) from None
                if self.watch.again is not None:
                    self.watch.again()
            else:
                break
        self.starting = None

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker

        try:
            while True:
                try:
                    return future.result(timeout=_LOOK_AGAIN)
                except TimeoutError:
                    if future.status == "error":
                        raise
                # a task that had ended goes to another worker where its own is lost with the result
                self._look()
        except KilledWorker:
            raise StoreError(
                "The worker of a block died, and so did those that tried it after: most likely for want of memory.",
                "Give workers more memory, or choose smaller blocks with --block, and run again: it continues.",
            ) from None

    def _is_lost(self, patience: float = 0.0) -> bool:
        end = time.monotonic() + patience
        while self.client.status == "running" and time.monotonic() < end:
            time.sleep(0.05)
        return bool(self.client.status != "running")

    def _lost(self) -> StoreError:
        return StoreError(
            f"{self.address}: the Dask scheduler is gone.",
            "Start it again, or another, and run the same command: it continues.",
        )

    def _leave(self, keys: set[str], pool: Any) -> None:
        # what has begun must not write on after the lock is given back
        try:
            self.client.cancel(list(pool.futures), force=True)
            let_tasks_end(self.client, keys, self.watch.say)
        except (CancelledError, OSError, RuntimeError):
            return


@dataclass(frozen=True)
class _Answer:
    """What a task did: the results of the jobs that it ended, and the fault of the one after them.

    An expected error comes as a value: a worker that raised it would log a traceback.
    """

    results: Sequence[Any]
    seconds: float
    fault: NepcubeError | None = None

    @property
    def begun(self) -> int:
        return len(self.results) + (self.fault is not None)


def _answer(function: Callable[[Any], R], jobs: _Sealed, need: Need | None) -> _Answer:
    start = time.monotonic()
    results: list[R] = []
    try:
        if need is not None:
            need.require()
        with guarded(None if need is None else need.guard):
            for job in jobs.opened():
                results.append(_call(function, job))
                if time.monotonic() - start > _TASK_SECONDS:
                    break
    except NepcubeError as error:
        return _Answer(results, time.monotonic() - start, error)
    return _Answer(results, time.monotonic() - start)


def _fitting(answer: _Answer, together: int) -> int:
    # doubled at most, since the first jobs may be short ones
    each = answer.seconds / max(1, len(answer.results))
    return max(1, min(2 * together, _MOST_TOGETHER, int(_TASK_SECONDS / max(each, 1e-9))))


class _Sealed:
    """Jobs as bytes: the client looks for no dask collections inside, and the scheduler does not unpack them."""

    def __init__(self, jobs: Sequence[Any]) -> None:
        from distributed.protocol import pickle

        self.content: bytes = pickle.dumps(jobs)

    def opened(self) -> Sequence[Any]:
        from distributed.protocol import pickle

        jobs: Sequence[Any] = pickle.loads(self.content)
        return jobs


def _call(function: Callable[[Any], R], job: Any) -> R:
    try:
        return function(job)
    except NepcubeError:
        raise
    except OSError as error:
        raise told(error) from None


_TOO_MANY = {errno.EMFILE, errno.ENFILE}


def told(error: OSError) -> Exception:
    """Turn a fault of the disk or of a file into an error for the user, and give any other error as it is."""
    if is_full(error):
        return StoreError(
            f"{error.filename or 'The output'}: no room is left on the disk.",
            "Make room, and run the same command again: it continues.",
        )
    if error.errno in _TOO_MANY:
        return StoreError(
            "More files are open than the system allows.", "Allow more (`ulimit -n 4096`), and run again: it continues."
        )
    if error.errno == errno.EIO or (error.errno is not None and error.filename):
        return StoreError(
            f"{error.filename or 'The disk'}: {error.strerror}.",
            "Mend the disk or the file's permissions, and run again: it continues.",
        )
    return error
