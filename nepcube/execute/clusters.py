"""Opening what jobs run on: threads, processes of this machine, an existing scheduler, or a cluster that is asked for.

The kinds of cluster are a fixed list: a recipe names one and gives checked options, never a class or a line of shell.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from nepcube.errors import NepcubeError, StoreError
from nepcube.execute import signals
from nepcube.execute.engine import Cluster, Engine, J, R, Settings, Threads
from nepcube.execute.probing import needed, require_all
from nepcube.machine import cores

Say = Callable[[str], None]

# a worker's memory is what its jobs hold, which the plan bounds: nothing is spilled, no worker paused or ended for it
_NO_SPILLING = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")}

# a task goes on to another worker this often: its jobs are several, and each loss of a worker counts for all of them
_LOSSES = 10
# a worker is one core: zarr would code chunks on threads beside it
_ONE_THREAD = {"ZARR_THREADING__MAX_WORKERS": "1"}


@contextmanager
def _one_core() -> Iterator[None]:
    import zarr

    with zarr.config.set({"threading.max_workers": 1}):
        yield


@contextmanager
def make_engine(
    settings: Settings, *, say: Say, out: Path | None = None, preload: Sequence[str] = ()
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
    preload : sequence of str
        Modules that own processes import while they start, beside what this one does before the first job.

    Raises
    ------
    StoreError
        The scheduler does not answer, or its workers cannot do the work.
    """
    if settings.scheduler:
        with _quiet(), _existing(settings.scheduler) as client, on_cluster(client, say=say, out=out) as engine:
            yield engine
    elif settings.cluster is not None:
        with ExitStack() as opened:
            yield _Later(settings.cluster, opened, say, out)
    elif settings.workers and settings.workers > 1:
        with _quiet(), _processes(settings.workers, say, preload) as client:
            yield Cluster(client, starting=settings.workers)
    else:
        width = settings.threads or settings.workers or cores()
        with _one_core() if width == 1 else nullcontext():
            yield Threads(width)


@contextmanager
def on_cluster(client: Any, *, say: Say, out: Path | None) -> Iterator[Engine]:
    """Give an engine on the cluster of a client, once its workers are found fit.

    Raises
    ------
    StoreError
        There is no worker, or one has another version of something or does not see the output.
    """
    with needed(out) as need:
        require_all(client, need)
        _tell_dashboard(client, say)
        yield Cluster(client, need)


class _Later:
    """Jobs on a cluster that is asked for when there is a first one: nobody waits in a queue for nothing."""

    def __init__(self, options: Mapping[str, Any], opened: ExitStack, say: Say, out: Path | None) -> None:
        self.threads = cores()
        self._options, self._opened, self._say, self._out = options, opened, say, out
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
            self._engine = self._opened.enter_context(on_cluster(client, say=self._say, out=self._out))
        return self._engine


@contextmanager
def _existing(address: str) -> Iterator[Any]:
    from distributed import Client

    try:
        with signals.held():
            client = Client(address, timeout="15s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
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


@contextmanager
def _processes(workers: int, say: Say, preload: Sequence[str]) -> Iterator[Any]:
    import dask
    from distributed import Client, LocalCluster
    from distributed.utils import LoopRunner

    before = set(multiprocessing.active_children())
    config: dict[str, Any] = {"distributed.worker.daemon": True, "distributed.scheduler.worker-ttl": None}
    # the profiles that workers keep of themselves grow for an hour
    config |= _NO_SPILLING | {
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
            raise StoreError(
                f"cluster: {options['kind']} gives none: {type(error).__name__}, {' '.join(str(error).split())[:300]}.",
                "Mend the recipe's `cluster` section or the system's set-up, or leave it out with --workers.",
            ) from None
        say(f"workers: waiting for the first of {options['workers']}")
        # a queue may be long: the wait ends with Ctrl-C
        client.wait_for_workers(1)
        yield client


def slurm(options: dict[str, Any]) -> Any:
    """Ask SLURM for workers, one a job."""
    jobqueue = _need("dask_jobqueue", "slurm")
    given = {"queue": "queue", "account": "account", "local_directory": "local_directory", "interface": "interface"}
    cluster = jobqueue.SLURMCluster(
        cores=options["cores"],
        processes=1,
        memory=options["memory"],
        walltime=options["walltime"],
        scheduler_options={"dashboard_address": ":0"},
        # the dask settings of workers come with the environment
        job_script_prologue=[
            f"export DASK_{key.upper().replace('.', '__')}={value}" for key, value in _NO_SPILLING.items()
        ],
        **{name: options[key] for key, name in given.items() if options.get(key) is not None},
    )
    cluster.scale(jobs=options["workers"])
    return cluster


def kubernetes(options: dict[str, Any]) -> Any:
    """Ask the Dask operator of Kubernetes for workers, one a pod."""
    operator = _need("dask_kubernetes.operator", "kubernetes")
    size = {"cpu": str(options["cores"]), "memory": options["memory"].replace("iB", "i").replace("B", "")}
    return operator.KubeCluster(
        name=options["name"],
        namespace=options["namespace"],
        image=options["image"],
        n_workers=options["workers"],
        resources={"requests": size, "limits": size},
        env={f"DASK_{key.upper().replace('.', '__')}": str(value) for key, value in _NO_SPILLING.items()},
        quiet=True,
    )


def coiled(options: dict[str, Any]) -> Any:
    """Ask Coiled for workers, one a machine."""
    given = {"region": "region", "workspace": "workspace", "software": "software"}
    return _need("coiled", "coiled").Cluster(
        name=options["name"],
        n_workers=options["workers"],
        worker_cpu=options["cores"],
        worker_memory=options["memory"],
        environ={f"DASK_{key.upper().replace('.', '__')}": str(value) for key, value in _NO_SPILLING.items()},
        shutdown_on_close=True,
        **{name: options[key] for key, name in given.items() if options.get(key) is not None},
    )


KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {"slurm": slurm, "kubernetes": kubernetes, "coiled": coiled}


def _need(module: str, extra: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as error:
        raise StoreError(
            f"cluster: `kind: {extra}` needs a package that is not there ({error}).",
            f"Install it with `pip install 'nepcube[{extra}]'`, or leave it out with --workers.",
        ) from None


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
