"""A scheduler and its workers as users start them, in sessions of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

import psutil


class Grid:
    """`dask scheduler` and one `dask worker` with two processes, which start lost ones again."""

    def __init__(self, folder, *, workers=True, nworkers=2):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", self.file
        )
        end = time.monotonic() + 90
        while not (self.file.exists() and self.file.stat().st_size):
            assert time.monotonic() < end
            time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]
        self.starter = None
        if workers:
            self.starter = self._start(
                "worker", self.address, "--nworkers", nworkers, "--nthreads", 1, "--no-dashboard", "--death-timeout", 20
            )
            while len(self.workers()) < nworkers:
                assert time.monotonic() < end
                time.sleep(0.1)

    def _start(self, *arguments):
        log = open(self.folder / f"{arguments[0]}.log", "ab")  # noqa: SIM115  lives as long as the process
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, arguments)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
            env={**os.environ},
        )

    def workers(self):
        """Give the processes that do the work."""
        found = []
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.starter.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if any("spawn_main" in part for part in child.cmdline()):
                        found.append(child)
        return found

    def close(self):
        for process in (self.starter, self.scheduler):
            if process is not None and process.poll() is None:
                for child in psutil.Process(process.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
                process.kill()
                process.wait(20)
