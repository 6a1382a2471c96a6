"""A run that is killed or stopped at any moment ends equal to one that was not."""

import signal

import pytest
from ordeal import Ordeal, kill, stop

MOMENTS = 5
HOW = ("threads", "processes", "cluster")


@pytest.fixture
def ordeal(request, finished, tools, in_small_blocks, tmp_path, how, seed):
    options = {"threads": lambda: (), "processes": lambda: ("--workers", 2)}
    options["cluster"] = lambda: ("--scheduler", request.getfixturevalue("grid").address)
    return Ordeal(tools, finished.recipe, tmp_path, in_small_blocks, seed, options[how]())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("how", HOW)
def test_killed(ordeal, how, seed):
    ordeal.go(MOMENTS, kill)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("how", HOW)
def test_stopped(ordeal, how, number, seed):
    ordeal.go(MOMENTS, stop(number, ordeal))
