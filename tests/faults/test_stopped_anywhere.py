"""A run that is killed or stopped at any moment ends equal to one that was not."""

import signal

import pytest
from ordeal import Ordeal, kill, stop

MOMENTS = 5
OPTIONS = {"threads": (), "processes": ("--workers", 2)}


@pytest.fixture
def ordeal(request, finished, tools, in_small_blocks, tmp_path):
    return Ordeal(tools, finished.recipe, tmp_path, in_small_blocks, request.getfixturevalue("seed"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("how", OPTIONS)
def test_killed(ordeal, how, seed):
    ordeal.options = OPTIONS[how]
    ordeal.go(MOMENTS, kill)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("how", OPTIONS)
def test_stopped(ordeal, how, number, seed):
    ordeal.options = OPTIONS[how]
    ordeal.go(MOMENTS, stop(number, ordeal))
