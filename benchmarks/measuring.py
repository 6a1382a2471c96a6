"""Whole processes beside each other: wall time, CPU seconds and peak memory, and their ratios as Markdown.

Nothing heavy is imported here: the peak of a child is never less than what its parent held when it was started.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MIB = 2**20
_PACKAGES = ("nepcube", "numpy", "numba", "xarray", "dask", "zarr", "pyhdf", "pyproj", "h5netcdf")


@dataclass(frozen=True)
class Usage:
    """What some processes took, one after the other: seconds, CPU seconds (user and system), peak bytes of the largest.

    `told` is the last line of their output, where that is JSON; `tree` the highest sum of the process tree's PSS and
    RSS that was sampled, where it was.
    """

    seconds: float
    cpu: float
    peak: int
    told: dict[str, Any] = field(default_factory=dict)
    tree: tuple[int, int] = (0, 0)


class Failed(Exception):
    """A process ended with a fault, or was stopped; `peak` is what it had come to, in bytes."""

    def __init__(self, said: str, peak: int) -> None:
        super().__init__(said)
        self.peak = peak


def run(*commands: Sequence[str], spare: int | None = None, sample: float | None = None, **environment: str) -> Usage:
    """Run commands one after the other and measure them.

    Parameters
    ----------
    spare : int, optional
        Bytes that the machine must have left: a process that would take more is stopped.
    sample : float, optional
        Seconds between two looks at the memory of the process tree.
    environment : str
        Added to the environment.
    """
    cpu, peak, tree, told = 0.0, 0, (0, 0), {}
    start = time.perf_counter()
    for command in commands:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = subprocess.Popen(
                [str(c) for c in command],
                stdout=out,
                stderr=err,
                env={**os.environ, **environment},
            )
            stopped = spare is not None and _stop_short_of(child.pid, spare)
            if sample is not None:
                tree = max(tree, _watch(child.pid, sample))
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            if stopped:
                raise Failed(f"{Path(command[0]).name} was stopped, as memory ran out", used.ru_maxrss * 1024)
            if child.returncode:
                err.seek(0)
                said = " / ".join(err.read().decode(errors="replace").strip().splitlines()[-3:])
                raise Failed(f"{Path(command[0]).name} ended with {child.returncode}: {said}", used.ru_maxrss * 1024)
            cpu += used.ru_utime + used.ru_stime
            peak = max(peak, used.ru_maxrss * 1024)
            out.seek(0)
            lines = out.read().decode(errors="replace").strip().splitlines()
            if lines and lines[-1].startswith("{"):
                told = json.loads(lines[-1])
    return Usage(time.perf_counter() - start, cpu, peak, told, tree)


def _ended(pid: int) -> bool:
    # the process is left to be waited for
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _stop_short_of(pid: int, spare: int) -> bool:
    while not _ended(pid):
        if available() < spare:
            os.kill(pid, signal.SIGKILL)
            return True
        time.sleep(0.02)
    return False


def available() -> int:
    """Give the bytes of memory that the machine has left."""
    line = next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def _watch(pid: int, every: float) -> tuple[int, int]:
    most = (0, 0)
    while not _ended(pid):
        pss = rss = 0
        for member in _tree(pid):
            try:
                text = Path(f"/proc/{member}/smaps_rollup").read_text()
            except OSError:
                continue
            numbers = {line.split(":")[0]: line.split()[1] for line in text.splitlines()[1:]}
            pss += int(numbers.get("Pss", 0)) * 1024
            rss += int(numbers.get("Rss", 0)) * 1024
        most = (max(most[0], pss), max(most[1], rss))
        time.sleep(every)
    return most


def _tree(pid: int) -> list[int]:
    found = [pid]
    for member in found:
        for tasks in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [int(p) for p in tasks.read_text().split()]
            except OSError:
                continue
    return found


def peak_of_this_process() -> int:
    """Give the peak resident bytes of this process, from its own start on."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise Failed("/proc/self/status has no VmHWM", 0)


def bare_interpreter() -> int:
    """Give the peak of an interpreter that does nothing."""
    code = "print('{\"peak\":%d}' % [int(l.split()[1])*1024 for l in open('/proc/self/status') if 'VmHWM' in l][0])"
    return int(run([sys.executable, "-c", code]).told["peak"])


def alternate(
    contestants: Mapping[str, Callable[[], Usage]], runs: int, say: Callable[[str], None]
) -> dict[str, list[Usage]]:
    """Let every contestant run `runs` times, in turn, every second round in the opposite order."""
    found: dict[str, list[Usage]] = {name: [] for name in contestants}
    for k in range(runs):
        order = list(contestants) if k % 2 == 0 else list(contestants)[::-1]
        for name in order:
            used = contestants[name]()
            found[name].append(used)
            say(f"  run {k + 1}/{runs} {name}: {used.seconds:.2f} s, {used.cpu:.2f} CPU s, {used.peak / MIB:.0f} MiB")
    return found


def median_of(values: Iterable[float], digits: int = 2) -> str:
    """Give ``median (least-most)``."""
    values = list(values)
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def counted(runs: int) -> str:
    """Give the number of runs in words."""
    return f"{runs} run{'' if runs == 1 else 's'}"


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Give the median of the paired ratios, with least and most."""
    return median_of([a / b for a, b in zip(ours, theirs, strict=True)])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])


def facts(*tools: Sequence[str]) -> str:
    """Tell the machine, how busy it is, and the versions, as a Markdown list."""
    model = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if x.startswith("model name")),
        platform.processor(),
    )
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = []
    for name in _PACKAGES:
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"{name} (not installed)")
    lines = [
        f"machine: {model}, {os.cpu_count()} cores, {total:.0f} GiB, {platform.system()} {platform.release()}",
        f"load average at the end: {os.getloadavg()[0]:.1f} (1 min), {os.getloadavg()[2]:.1f} (15 min)",
        f"Python {platform.python_version()}, {', '.join(packages)}",
    ]
    for command in tools:
        said = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        lines.append((said.stdout + said.stderr).strip().splitlines()[0])
    return "\n".join(f"- {line}" for line in lines)


def need(*tools: str) -> None:
    """Stop where a tool is missing, and say where it comes from."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)}: not found. On Debian: apt install gdal-bin cdo")


def say(line: str) -> None:
    """Tell progress on the standard error, so that the tables can be kept."""
    print(line, file=sys.stderr, flush=True)


def emptied(folder: Path) -> Path:
    """Give a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
