"""Opening what jobs run on: threads, own processes, an existing scheduler, or a cluster that is asked for."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from nepcube.errors import NepcubeError, StoreError
from nepcube.execute import signals
from nepcube.execute.engine import Cluster, Engine, J, R, Settings, Threads
from nepcube.execute.kinds import KINDS, NO_SPILLING
from nepcube.execute.lock import Held
from nepcube.execute.probing import needed, require_all
from nepcube.execute.watching import Watch
from nepcube.machine import cores

Say = Callable[[str], None]

# a task goes on to another worker this often: its jobs are several, and each loss of a worker counts for all of them
_LOSSES = 10
# seconds within which a scheduler answers
_ANSWERS = 15.0
# seconds without a worker after which a run ends: on a cluster that others see to, and on own processes
_NO_WORKER = 300.0
_NO_PROCESS = 120.0
# a worker is one core: zarr would code chunks on threads beside it
_ONE_THREAD = {"ZARR_THREADING__MAX_WORKERS": "1"}


@contextmanager
def _one_core() -> Iterator[None]:
    import zarr

    with zarr.config.set({"threading.max_workers": 1}):
        yield


@contextmanager
def make_engine(
    settings: Settings,
    *,
    say: Say,
    out: Path | None = None,
    held: Held | None = None,
    preload: Sequence[str] = (),
) -> Iterator[Engine]:
    """Give an engine, and close what was opened for it.

    Parameters
    ----------
    settings : Settings
        What to run on.
    say : callable
        Called with lines for the user: where the dashboard is.
    out : Path, optional
        The folder that the workers of a cluster must see.
    held : Held, optional
        The lock that the workers of a cluster look at before they write; own processes die with this one.
    preload : sequence of str
        Modules that own processes import while they start, beside what this one does before the first job.

    Raises
    ------
    StoreError
        The scheduler does not answer, or its workers cannot do the work.
    """
    if settings.scheduler:
        with (
            _quiet(),
            _existing(settings.scheduler) as client,
            on_cluster(client, say=say, out=out, held=held) as engine,
        ):
            yield engine
    elif settings.cluster is not None:
        with ExitStack() as opened:
            yield _Later(settings.cluster, opened, say, out, held)
    elif settings.workers and settings.workers > 1:
        with _quiet(), _processes(settings.workers, say, preload) as client:
            watch = Watch(
                say,
                _NO_PROCESS,
                _none_started,
                wanted=settings.workers,
                again=partial(_start_again, client.cluster, settings.workers),
            )
            yield Cluster(client, starting=settings.workers, watch=watch)
    else:
        width = settings.threads or settings.workers or cores()
        with _one_core() if width == 1 else nullcontext():
            yield Threads(width)


@contextmanager
def on_cluster(
    client: Any, *, say: Say, out: Path | None, held: Held | None = None, watch: Watch | None = None
) -> Iterator[Engine]:
    """Give an engine on the cluster of a client, once its workers are found fit.

    Where its workers are lost, a client of a cluster object waits on, since that may bring others; any other waits for
    five minutes.

    Raises
    ------
    StoreError
        There is no worker, or one has another version of something or does not see the output.
    """
    if watch is None:
        watch = Watch(say) if client.cluster is not None else Watch(say, _NO_WORKER, partial(_none_left, client))
    with needed(out, held) as need:
        require_all(client, need)
        _tell_dashboard(client, say)
        yield Cluster(client, need, watch=watch)


def _none_left(client: Any, waited: str) -> StoreError:
    address = getattr(client.scheduler, "address", None) or "The cluster"
    return StoreError(
        f"{address}: the cluster has had no worker for {waited}.",
        "Start workers and run the same command: it continues.",
    )


def _none_started(waited: str) -> StoreError:
    return StoreError(
        f"--workers: all of them ended, and none came back within {waited}.",
        "Take fewer workers, or none (threads), and run again: it continues.",
    )


class _Later:
    """Jobs on a cluster that is asked for when there is a first one: nobody waits in a queue for nothing."""

    def __init__(
        self, options: Mapping[str, Any], opened: ExitStack, say: Say, out: Path | None, held: Held | None
    ) -> None:
        self.threads = cores()
        self._options, self._opened, self._say, self._out, self._held = options, opened, say, out, held
        self._engine: Engine | None = None

    @property
    def width(self) -> int:
        return self._there().width

    def map(self, function: Callable[[J], R], jobs: Iterable[J]) -> Iterator[tuple[J, R]]:
        queue = iter(jobs)
        for first in queue:
            yield from self._there().map(function, chain([first], queue))

    def _there(self) -> Engine:
        if self._engine is None:
            self._opened.enter_context(_quiet())
            client = self._opened.enter_context(_asked_for(self._options, self._say))
            wanted = self._options["workers"]
            watch = Watch(self._say, wanted=wanted, again=partial(_ask_again, client.cluster, wanted, self._say))
            self._engine = self._opened.enter_context(
                on_cluster(client, say=self._say, out=self._out, held=self._held, watch=watch)
            )
        return self._engine


@contextmanager
def _existing(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        with signals.held(), ThreadPoolExecutor(1) as apart:
            # a client that does not come to be cannot be closed, and ends half a minute later with a traceback
            apart.submit(asyncio.run, _greet(address)).result()
            client = Client(address, timeout="15s", set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
        raise StoreError(
            f"{address}: no Dask scheduler answers ({type(error).__name__}).",
            "Start `dask scheduler` and `dask worker` first, or leave --scheduler out.",
        ) from None
    try:
        try:
            client.wait_for_workers(1, timeout=30)
        except TimeoutError:
            raise StoreError(f"{address}: the scheduler has no worker.", f"Start `dask worker {address}`.") from None
        yield client
    finally:
        with signals.held():
            client.close()


async def _greet(address: str) -> None:
    from distributed.comm import connect
    from distributed.security import Security

    met = connect(address, timeout=_ANSWERS, **Security().get_connection_args("client"))
    # what takes the connection need not be of Dask, and may never say a word
    (await asyncio.wait_for(met, _ANSWERS)).abort()


@contextmanager
def _processes(workers: int, say: Say, preload: Sequence[str]) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import LoopRunner

    before = set(multiprocessing.active_children())
    config: dict[str, Any] = {"distributed.worker.daemon": True, "distributed.scheduler.worker-ttl": None}
    # the profiles that workers keep of themselves grow for an hour
    config |= NO_SPILLING | {
        "distributed.scheduler.allowed-failures": _LOSSES,
        "distributed.worker.profile.enabled": False,
    }
    with ExitStack() as opened:
        with signals.held():
            opened.enter_context(dask.config.set(config))
            # Ctrl-C reaches the whole process group, and a system's end every process: the run itself decides what they
            # mean. What is started from a thread that blocks them blocks them too, also when a worker is started again
            _start_tracker()
            with signals.deaf():
                runner = LoopRunner(asynchronous=False)
                runner.start()
            opened.callback(_close, runner.stop)
            opened.callback(_end_children, before)
            cluster = LocalCluster(
                # they are started below, and not waited for
                n_workers=0,
                threads_per_worker=1,
                memory_limit=None,
                # without bokeh a scheduler still serves its state somewhere
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
                loop=runner.loop,
                env=_ONE_THREAD,
                preload=list(preload),
            )
            opened.callback(_close, cluster.close)
            client = Client(cluster, set_as_default=False)
            opened.callback(_close, client.close)
            cluster.scale(workers)
        say(_dashboard(client.dashboard_link if _has_bokeh() else None))
        yield client


def _start_again(cluster: Any, workers: int) -> None:
    # one that dies while it works is started again by its nanny; the nanny of one that dies before gives up
    from distributed.core import Status

    async def replace() -> None:
        for name, nanny in list(cluster.workers.items()):
            if nanny.status in (Status.closed, Status.failed):
                cluster.workers.pop(name)
                cluster.worker_spec.pop(name, None)
        cluster.scale(workers)

    cluster.sync(replace)


def _close(close: Callable[[], Any]) -> None:
    # what is at its end anyway cannot fail the run
    with signals.held():
        try:
            close()
        except (OSError, TimeoutError, RuntimeError):
            return


def _start_tracker() -> None:
    # multiprocessing's tracker unblocks signals in the thread that starts it; and it warns of what killed workers left,
    # which it then removes
    from multiprocessing import resource_tracker

    before = list(sys.warnoptions)
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions[:] = before


def _end_children(before: set[Any]) -> None:
    for child in set(multiprocessing.active_children()) - before:
        child.kill()
        child.join(5)


@contextmanager
def _asked_for(options: Mapping[str, Any], say: Say) -> Iterator[Any]:
    from distributed import Client

    build = KINDS[options["kind"]]
    with ExitStack() as opened:
        try:
            with signals.held():
                cluster = build(dict(options))
                opened.callback(_close, cluster.close)
                client = Client(cluster, set_as_default=False)
                opened.callback(_close, client.close)
        except NepcubeError:
            raise
        except Exception as error:
            # a scheduler of batch jobs or a cloud fails in its own ways
            raise StoreError(
                f"cluster: {options['kind']} gives none: {type(error).__name__}, {' '.join(str(error).split())[:300]}.",
                "Mend the recipe's `cluster` section or the system's set-up, or leave it out with --workers.",
            ) from None
        say(f"workers: waiting for the first of {options['workers']}")
        # a queue may be long: the wait ends with Ctrl-C
        client.wait_for_workers(1)
        yield client


def _ask_again(cluster: Any, workers: int, say: Say) -> None:
    # of those that are there or in a queue already nothing changes
    try:
        cluster.scale(workers)
    except Exception as error:
        # the run goes on with the workers that it has
        told = " ".join(str(error).split())[:300]
        say(f"warning: workers cannot be asked for again ({type(error).__name__}: {told})")


def _has_bokeh() -> bool:
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


def _tell_dashboard(client: Any, say: Say) -> None:
    from importlib import metadata

    try:
        client.run_on_scheduler(metadata.version, "bokeh")
    except metadata.PackageNotFoundError:
        say(_dashboard(None))
    else:
        say(_dashboard(client.dashboard_link))


def _dashboard(link: str | None) -> str:
    if link is None:
        return "no dashboard: it needs the package bokeh (pip install bokeh)"
    return f"dashboard: {link}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from telling in its own words what is told in two lines."""
    import distributed  # noqa: F401  makes its loggers

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    before = {name: logging.getLogger(name).level for name in (*names, "asyncio")}
    for name in before:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
