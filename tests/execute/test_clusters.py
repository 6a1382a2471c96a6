"""Clusters: what is asked of the packages that give them, and what is told where they cannot do the work."""

import importlib.util
import os
import re
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from nepcube import _version
from nepcube.errors import StoreError
from nepcube.execute import Settings, clusters, make_engine
from nepcube.execute.probing import Need, needed, require_all, versions
from nepcube.machine import cores

SLURM = {
    "kind": "slurm",
    "workers": 8,
    "cores": 4,
    "memory": "16GiB",
    "walltime": "02:00:00",
    "queue": "normal",
    "account": None,
    "local_directory": "/scratch/me",
    "interface": None,
}
KUBERNETES = {
    "kind": "kubernetes",
    "workers": 4,
    "cores": 2,
    "memory": "8GiB",
    "image": "me/nepcube:1",
    "name": "atlas",
    "namespace": "carbon",
}
COILED = {
    "kind": "coiled",
    "workers": 10,
    "cores": 4,
    "memory": "16GiB",
    "name": "atlas",
    "region": "us-west-2",
    "workspace": None,
    "software": None,
}
SETTINGS = {f"DASK_DISTRIBUTED__WORKER__MEMORY__{name}": "False" for name in ("TARGET", "SPILL", "PAUSE", "TERMINATE")}


class Recorder:
    """Stands for a class of clusters and records what it is called with."""

    def __init__(self, **given):
        self.given, self.scaled = given, None

    def scale(self, **given):
        self.scaled = given


@pytest.fixture
def packages(monkeypatch):
    fakes = {
        "dask_jobqueue": SimpleNamespace(SLURMCluster=Recorder),
        "dask_kubernetes": SimpleNamespace(),
        "dask_kubernetes.operator": SimpleNamespace(KubeCluster=Recorder),
        "coiled": SimpleNamespace(Cluster=Recorder),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)


def test_slurm_is_asked_for_jobs_of_one_worker(packages):
    made = clusters.KINDS["slurm"](SLURM)
    assert made.given == {
        "cores": 4,
        "processes": 1,
        "memory": "16GiB",
        "walltime": "02:00:00",
        "scheduler_options": {"dashboard_address": ":0"},
        "job_script_prologue": [f"export {key}={value}" for key, value in SETTINGS.items()],
        "worker_extra_args": ["--lifetime", "6600s", "--lifetime-stagger", "300s"],
        "queue": "normal",
        "local_directory": "/scratch/me",
    }
    assert made.scaled == {"jobs": 8}


def test_what_a_site_needs_goes_with_slurm_jobs_too(packages):
    import dask

    site = {
        "jobqueue.slurm.worker-extra-args": ["--lifetime", "1h"],
        "jobqueue.slurm.job-script-prologue": ["module x"],
    }
    with dask.config.set(site):
        made = clusters.KINDS["slurm"](SLURM)
    assert made.given["worker_extra_args"][-2:] == ["--lifetime", "1h"]
    assert made.given["job_script_prologue"][-1] == "module x"


def test_kubernetes_is_asked_for_pods(packages):
    made = clusters.KINDS["kubernetes"](KUBERNETES)
    size = {"cpu": "2", "memory": "8Gi"}
    assert made.given == {
        "name": "atlas",
        "namespace": "carbon",
        "image": "me/nepcube:1",
        "n_workers": 4,
        "resources": {"requests": size, "limits": size},
        "env": SETTINGS,
        "quiet": True,
    }


def test_coiled_is_asked_for_machines(packages):
    made = clusters.KINDS["coiled"](COILED)
    assert made.given == {
        "name": "atlas",
        "n_workers": 10,
        "worker_cpu": 4,
        "worker_memory": "16GiB",
        "environ": SETTINGS,
        "shutdown_on_close": True,
        "region": "us-west-2",
    }


@pytest.mark.skipif(importlib.util.find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue")
def test_the_script_of_a_job(monkeypatch):
    import dask_jobqueue

    monkeypatch.setattr(dask_jobqueue.SLURMCluster, "scale", lambda self, *_, **__: None)
    made = clusters.KINDS["slurm"](SLURM)
    script = made.job_script().splitlines()
    made.close()
    assert [line for line in script if line.startswith("#SBATCH")] == [
        "#SBATCH -J dask-worker",
        "#SBATCH -p normal",
        "#SBATCH -n 1",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=16G",
        "#SBATCH -t 02:00:00",
    ]
    assert [line for line in script if line.startswith("export")] == [f"export {k}={v}" for k, v in SETTINGS.items()]
    assert "--nthreads 4 --memory-limit 16.00GiB" in script[-1]
    assert "--local-directory /scratch/me" in script[-1]
    assert "--lifetime 6600s --lifetime-stagger 300s" in script[-1]


@pytest.mark.parametrize(
    ("options", "module"), [(SLURM, "dask_jobqueue"), (KUBERNETES, "dask_kubernetes"), (COILED, "coiled")]
)
def test_a_package_that_is_not_there_is_named(options, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StoreError) as told, make_engine(Settings(cluster=options), say=lambda _: None) as engine:
        next(engine.map(abs, [1]))
    assert told.value.what.startswith(f"cluster: `kind: {options['kind']}` needs a package that is not there (")
    assert (
        told.value.way_out
        == f"Install it with `pip install 'nepcube[{options['kind']}]'`, or leave it out with --workers."
    )


def test_a_system_that_gives_no_cluster_is_told(monkeypatch):
    def broken(**_):
        raise RuntimeError("no such\nqueue")

    monkeypatch.setitem(sys.modules, "dask_jobqueue", SimpleNamespace(SLURMCluster=broken))
    with pytest.raises(StoreError) as told, make_engine(Settings(cluster=SLURM), say=lambda _: None) as engine:
        next(engine.map(abs, [1]))
    assert told.value.what == "cluster: slurm gives none: RuntimeError, no such queue."


def test_no_cluster_is_asked_for_where_there_is_no_job(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    with make_engine(Settings(cluster=SLURM), say=lambda _: None) as engine:
        assert list(engine.map(abs, [])) == []
        assert engine.threads == cores()


def test_a_cluster_is_asked_for_once_and_given_back(monkeypatch, tmp_path):
    from distributed import LocalCluster

    asked, said = [], []

    def build(options):
        asked.append(LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"))
        return asked[-1]

    monkeypatch.setitem(clusters.KINDS, "slurm", build)
    with make_engine(Settings(cluster=SLURM), say=said.append, out=tmp_path) as engine:
        for _ in range(2):
            assert sorted(engine.map(abs, range(-3, 0))) == [(-3, 3), (-2, 2), (-1, 1)]
        assert engine.width == 2
    assert len(asked) == 1
    assert asked[0].status.name == "closed"
    assert said[0] == "workers: waiting for the first of 8"
    assert re.match(r"(no )?dashboard: ", said[1])
    assert len(said) == 2


@pytest.mark.slow
def test_processes_tell_what_befell_them():
    said = []
    with make_engine(Settings(workers=2), say=said.append) as engine:
        assert sorted(engine.map(abs, range(-9, 0)))[0] == (-9, 9)
        with pytest.raises(StoreError) as told:
            list(engine.map(os.listdir, ["/no/such/folder"]))
        assert told.value.what == "/no/such/folder: No such file or directory."
        with pytest.raises(StoreError) as told:
            list(engine.map(os._exit, [1]))
        assert told.value.what.startswith("The worker of a block died, and so did those that tried it after")
        # the others go on
        assert sorted(engine.map(abs, [-1])) == [(-1, 1)]
    # both died at once: on a busy machine that is seen before they are back
    assert said[1:] in ([], ["workers: none is left; waiting for one"])


# --- what workers must have -----------------------------------------------------------------------------------------


def test_a_worker_that_has_all_is_fit(tmp_path):
    with needed(tmp_path) as need:
        assert need.require() is None
        assert len(list((tmp_path / ".nepcube").iterdir())) == 1
    assert list((tmp_path / ".nepcube").iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".nepcube").mkdir()
    (tmp_path / ".nepcube" / "seen-0").touch()
    with needed(tmp_path):
        assert not (tmp_path / ".nepcube" / "seen-0").exists()


def test_another_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("nepcube.execute.probing._PATIENCE", 0.0)
    need = Need(str(tmp_path / "out" / ".nepcube" / "seen-1"), tuple(versions().items()))
    with pytest.raises(StoreError) as told:
        need.require()
    assert re.fullmatch(
        rf"The worker on \S+ does not see the output folder {re.escape(str(tmp_path))}/out, or may not write there\.",
        told.value.what,
    )
    assert told.value.way_out == "Choose an output on a disk that all workers share, or a URL (s3://...)."


@pytest.mark.parametrize(("name", "version"), [("Python", "3.9"), ("nepcube", "0.0.0"), ("dask", "2001.1.0")])
def test_another_version_is_told(name, version):
    mine = versions()
    need = Need(None, tuple((mine | {name: version}).items()))
    with pytest.raises(StoreError) as told:
        need.require()
    assert told.value.what.endswith(f" has {name} {mine[name]} (the run: {version}).")
    assert told.value.way_out == "Give workers and run the same environment, and run again."


def test_the_versions_are_those_that_are_there():
    found = versions()
    assert found["Python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert found["nepcube"] == _version.__version__
    assert all(re.match(r"\d", found[name]) for name in ("dask", "distributed", "numpy", "xarray", "zarr"))


@pytest.mark.parametrize("error", [ModuleNotFoundError("No module named 'nepcube'"), AttributeError("no look")])
def test_a_worker_without_nepcube_is_named(error):
    client = SimpleNamespace(run=lambda *_, on_error: {"tcp://far:1": error})
    with pytest.raises(StoreError) as told:
        require_all(client, Need(None, ()))
    assert told.value.what == f"The worker tcp://far:1 has no nepcube, or another version of it ({error})."


@pytest.mark.slow
def test_a_worker_on_another_disk_does_no_work(tmp_path):
    # a worker that cannot list the output, since it is another user
    if os.getuid():
        pytest.skip("needs to be root")
    code = textwrap.dedent(
        """
        import os, sys
        from distributed import Client, LocalCluster
        from nepcube.errors import StoreError
        from nepcube.execute import probing, on_cluster
        if __name__ == "__main__":
            with LocalCluster(n_workers=1, dashboard_address=None) as cluster, Client(cluster) as client:
                client.run(os.setuid, 65534)
                try:
                    with on_cluster(client, say=print, out=probing.Path(sys.argv[1])):
                        print("at work")
                except StoreError as error:
                    print(error)
        """
    )
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    (tmp_path / "other.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "other.py", out], capture_output=True, text=True, timeout=120, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    assert f"does not see the output folder {out}" in lines[0]
