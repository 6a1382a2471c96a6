"""Runs of the real command that are hurt at random moments, and what must hold after each."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

#: what a run may say on stderr: steps, the dashboard, and the two lines of a stop
STEP = re.compile(r"^[a-z]+( inputs|: [a-z]+)?: \d+/\d+\b")
SAID = re.compile(r"^(dashboard: \S.*|no dashboard: .*|warning: .*|workers: .*)$")
STOPPED = ["stopped: what is done is kept.", "         Run the same command again: it continues."]
#: a whole run says about so many lines
LINES = 58
BLOCK = 64


class Command:
    """The command in a session of its own, as a terminal starts it; its words are read as they come."""

    def __init__(self, *arguments, cwd=None, env=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nepcube", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            cwd=cwd,
            # an interpreter that crashes tells where it was
            env={**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **(env or {})},
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        self._changed = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stderr, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stdout, self.said), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, lines):
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def after(self, lines, wait, rest, patience=180):
        """Wait for so many lines and then a little; tells whether the run still goes on.

        Where a run has fewer lines, it is the last step, drawing, that is waited for, and `rest` seconds of it.
        """
        end = time.monotonic() + patience
        while not self.minds_signals() and self.process.poll() is None:
            time.sleep(0.001)
        with self._changed:
            while len(self.lines) < lines and self.process.poll() is None:
                if any(line.startswith("report: 0/") for line in self.lines):
                    wait = rest
                    break
                assert time.monotonic() < end, "\n".join(self.lines)
                self._changed.wait(0.2)
        end = time.monotonic() + wait
        while self.process.poll() is None and time.monotonic() < end:
            time.sleep(min(0.2, max(0.0, end - time.monotonic())))
        return self.process.poll() is None

    def minds_signals(self):
        """Tell whether Python has come as far as our first lines: before that a signal is the system's affair."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return True
        caught = next((x for x in status.read_text().splitlines() if x.startswith("SigCgt")), "SigCgt: 0")
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)

    def ended(self, patience=120):
        """Wait for the end; gives the exit code and what was told on stderr."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            told = "\n".join(self.lines)
            os.killpg(self.process.pid, signal.SIGKILL)
            raise AssertionError(f"no end within {patience} s:\n{told}") from None
        for reader in self._readers:
            reader.join(30)
        return self.process.returncode, list(self.lines)

    def nobody_left(self, patience=20):
        """Wait until no process of the session is left; gives the command lines of those that are."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            left = self.members()
            if not left:
                return []
            time.sleep(0.1)
        told = [f"{p.pid} {p.cmdline()}" for p in left if p.is_running()]
        for p in left:
            p.kill()
        return told

    def members(self):
        """Give the living processes of the session."""
        found = []
        for p in psutil.process_iter():
            try:
                if os.getsid(p.pid) == self.process.pid and p.status() != psutil.STATUS_ZOMBIE:
                    found.append(p)
            except (ProcessLookupError, psutil.NoSuchProcess, PermissionError):
                continue
        return found

    def workers(self):
        """Give the worker processes of the run."""
        found = []
        for p in self.members():
            try:
                if p.pid != self.process.pid and any("spawn_main" in part for part in p.cmdline()):
                    found.append(p)
            except psutil.NoSuchProcess:
                continue
        return found


def moment(rng):
    """Give a moment: so many lines, and then so many seconds; some of them lie before the first line."""
    rest = 30.0 if rng.random() < 0.15 else 2.0 * rng.random()
    if rng.random() < 0.15:
        return 0, rng.random() * 1.5, rest
    return rng.randint(1, LINES), rng.choice([0.0, 0.05, 0.2, 0.5]) * rng.random(), rest


def odd(lines):
    """Give the lines that a tidy run does not say."""
    if lines[-2:] == STOPPED:
        lines = lines[:-2]
    return [line for line in lines if not STEP.match(line) and not SAID.match(line)]


@dataclass
class Ordeal:
    """A number of hurt runs on outputs that must come out equal to a reference."""

    tools: object
    recipe: object
    folder: object
    reference: object
    seed: int
    options: tuple = ()
    hurt: int = 0
    finished: int = 0
    _outs: int = 0
    rng: random.Random = field(init=False)

    def __post_init__(self):
        self.rng = random.Random(self.seed)
        self.out = self._fresh()

    def _fresh(self):
        self._outs += 1
        return self.folder / f"out{self._outs}"

    def start(self):
        return Command("run", self.recipe, "-o", self.out, "--block", BLOCK, *self.options)

    def go(self, moments, fault):
        """Hurt runs until so many were; `fault` gets the command and sees to its end."""
        while self.hurt < moments:
            command = self.start()
            if command.after(*moment(self.rng)):
                fault(command)
                self.hurt += 1
                self.tools.intact(self.out)
            else:
                self.is_whole(command)
        self.tools.do_stages(self.recipe, self.out, block=BLOCK)
        self.compare()

    def is_whole(self, command):
        """What must hold of a run that came to its end."""
        code, lines = command.ended()
        assert (code, odd(lines)) == (0, []), "\n".join(lines)
        assert command.nobody_left() == []
        self.compare()
        self.finished += 1
        self.out = self._fresh()

    def compare(self):
        assert self.tools.chunk_files(self.out) == self.tools.chunk_files(self.reference)
        self.tools.same_tables(self.out, self.reference)


def kill(command):
    """SIGKILL of the run alone: its workers find out for themselves."""
    command.process.kill()
    code, _ = command.ended()
    assert code in (-9, 0)
    assert command.nobody_left() == []


def stop(number, ordeal):
    """Give a fault: a signal to the whole group, as a terminal sends it, or to the run alone."""

    def fault(command):
        if ordeal.rng.random() < 0.7:
            os.killpg(command.process.pid, number)
        else:
            os.kill(command.process.pid, number)
        code, lines = command.ended()
        told = f"{number!r} after {len(lines)} lines: exit code {code}\n" + "\n".join(lines)
        assert code in (128 + number, 0), told
        assert odd(lines) == [], told
        assert code == 0 or lines[-2:] == STOPPED, told
        assert not (ordeal.out / ".nepcube" / "lock").exists(), told
        assert command.nobody_left() == []

    return fault
