"""The kinds of cluster that can be asked for.

They are a fixed list: a recipe names one and gives checked options, never a class or a line of shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nepcube.errors import StoreError

# a worker's memory is what its jobs hold, which the plan bounds: nothing is spilled, no worker paused or ended for it
NO_SPILLING = {f"distributed.worker.memory.{name}": False for name in ("target", "spill", "pause", "terminate")}


def slurm(options: dict[str, Any]) -> Any:
    """Ask SLURM for workers, one a job, which end tidily some minutes before their jobs do."""
    import dask

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
            *(f"export DASK_{key.upper().replace('.', '__')}={value}" for key, value in NO_SPILLING.items()),
            *(dask.config.get("jobqueue.slurm.job-script-prologue", None) or []),
        ],
        # the last word is the site's
        worker_extra_args=[
            *_lifetime(options["walltime"]),
            *(dask.config.get("jobqueue.slurm.worker-extra-args", None) or []),
        ],
        **{name: options[key] for key, name in given.items() if options.get(key) is not None},
    )
    cluster.scale(jobs=options["workers"])
    return cluster


def _lifetime(walltime: str) -> list[str]:
    # a worker that ends by itself gives its tasks to others; not all at once
    days, _, clock = walltime.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    whole = ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
    before = min(600, whole // 6)
    return ["--lifetime", f"{whole - before}s", "--lifetime-stagger", f"{before // 2}s"]


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
        env={f"DASK_{key.upper().replace('.', '__')}": str(value) for key, value in NO_SPILLING.items()},
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
        environ={f"DASK_{key.upper().replace('.', '__')}": str(value) for key, value in NO_SPILLING.items()},
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
