"""One finished run in small blocks, which every hurt run must come out equal to."""

import pytest


@pytest.fixture(scope="session")
def in_small_blocks(finished, tools, tmp_path_factory):
    return tools.do_stages(finished.recipe, tmp_path_factory.mktemp("blocks") / "out", block=64)


@pytest.fixture(scope="session")
def grid(tmp_path_factory):
    """An existing cluster, for runs that leave it as it is."""
    from grid import Grid

    made = Grid(tmp_path_factory.mktemp("grid"))
    yield made
    made.close()
