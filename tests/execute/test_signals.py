"""Ctrl-C and SIGTERM: one exception, never lost, never in the middle of what must be whole."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time

import pytest

from nepcube.execute import Stopped, asked, stopping
from nepcube.execute.engine import Threads
from nepcube.execute.signals import deaf, held, look

TOLD = ["stopped: what is done is kept.", "         Run the same command again: it continues."]


class SignalWhenDying:
    """Its destructor is where the signal arrives, from which no exception comes out."""

    def __init__(self):
        self.me = self

    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
        sum(range(10))


def test_a_stop_that_a_destructor_swallows_comes_again(capfd):
    def work():
        SignalWhenDying()
        gc.collect()
        for _ in range(200):
            time.sleep(0.05)

    with pytest.raises(Stopped), stopping():
        work()
    assert capfd.readouterr().err == ""


def test_a_stop_that_a_library_swallows_comes_again_between_jobs():
    done = []

    def work():
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        for job, _ in Threads(1).map(abs, range(1000)):
            done.append(job)

    with pytest.raises(Stopped), stopping():
        work()
    assert len(done) < 3


LOADING = """
import os, signal
from numba.core import codegen
from nepcube.execute.signals import look, stopping

library, arrived = codegen.JITCodeLibrary, []
find = library._object_getbuffer_hook

def find_while_a_signal_arrives(module):
    if module.name == "total":
        arrived.append(os.kill(os.getpid(), signal.SIGTERM))
    return find(module)

library._object_getbuffer_hook = find_while_a_signal_arrives
with stopping():
    import kernels
    print(kernels.total(7.0), flush=True)
    {then}
print("none")
"""
KERNEL = """
import numba

@numba.njit("float64(float64)", cache=True)
def total(x):
    return x + 1.0
"""


@pytest.mark.parametrize("then", ["__import__('time').sleep(10)", "look()"], ids=["comes by itself", "is looked for"])
def test_a_stop_while_machine_code_is_loaded_does_not_lose_it(tmp_path, then):
    (tmp_path / "kernels.py").write_text(KERNEL)
    python = [sys.executable, "-c"]
    subprocess.run([*python, "import kernels"], cwd=tmp_path, check=True, timeout=120)
    code = LOADING.format(then=then)
    done = subprocess.run([*python, code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout == "8.0\n"
    assert done.stderr.splitlines()[-1:] == ["nepcube.execute.signals.Stopped: SIGTERM"]


def within(package):
    """Give a function that raises a signal while a function of a package is on the stack."""
    made = {"__name__": f"{package}.part", "signal": signal}
    exec("def arrives(number):\n    signal.raise_signal(number)\n    return 'whole'", made)
    return made["arrives"]


@pytest.mark.parametrize("package", ["llvmlite", "numba"])
def test_a_stop_that_was_put_off_is_not_lost_at_the_end(package):
    told = []
    with pytest.raises(Stopped), stopping():
        told.append(within(package)(signal.SIGTERM))
    assert told == ["whole"]


def test_where_no_thread_is_to_be_had_a_stop_is_told_at_the_next_look(monkeypatch):
    def none(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", none)
    told = []

    def work():
        told.append(within("llvmlite")(signal.SIGTERM))
        with held():
            told.append("held")

    with pytest.raises(Stopped), stopping():
        work()
    assert told == ["whole", "held"]


def test_a_stop_waits_for_what_must_be_whole():
    steps = []

    def work():
        with held():
            with held():
                signal.raise_signal(signal.SIGINT)
                steps.append("inner")
            steps.append("outer")
        steps.append("after")

    with pytest.raises(Stopped) as told, stopping():
        work()
    assert steps == ["inner", "outer"]
    assert told.value.exit_code == 130


def test_what_fails_after_a_stop_is_known_to():
    with stopping():
        assert asked() is None
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        assert asked().signum == signal.SIGTERM
        with pytest.raises(Stopped):
            look()
    assert asked() is None
    look()


def test_within_one_another_the_outermost_gives_the_handlers_back():
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with stopping():
        with stopping():
            pass
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_a_stop_while_the_handlers_are_given_back_goes_to_them(monkeypatch):
    told, set_handler = [], signal.signal

    def interrupted(number, handler):
        done = set_handler(number, handler)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGTERM)
        return done

    before = set_handler(signal.SIGTERM, lambda *_: told.append("ours"))
    try:
        with stopping():
            monkeypatch.setattr("nepcube.execute.signals.signal.signal", interrupted)
        assert told == ["ours"]
    finally:
        set_handler(signal.SIGTERM, before)


def test_what_is_started_deaf_hears_no_signal():
    code = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, []) >= {signal.SIGINT, signal.SIGTERM})"
    found = []

    def start():
        found.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip())

    with deaf():
        thread = threading.Thread(target=start)
        thread.start()
    thread.join()
    start()
    assert found == ["True", "False"]


IMPORTING = """
import os, signal, sys
from nepcube.__main__ import main

name, sys.argv[1:] = sys.argv[1], ["readers"]

class Finder:
    def find_spec(self, wanted, path=None, target=None):
        if wanted == name:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
main()
"""


@pytest.mark.parametrize("module", ["nepcube.cli", "typer", "nepcube.pipeline"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_during_the_first_imports_is_tidy(module, number, code):
    script = IMPORTING.format(number=int(number))
    done = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.splitlines() == TOLD


def test_the_last_moments_are_not_disturbed():
    code = (
        "import os, signal\nfrom nepcube.execute.signals import stopping\n"
        "with stopping(last=True):\n    pass\n"
        "os.kill(os.getpid(), signal.SIGINT); os.kill(os.getpid(), signal.SIGTERM)\nprint('whole')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "whole\n", "")
