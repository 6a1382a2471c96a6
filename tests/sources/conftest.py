from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def headwaters(tmp_path_factory):
    """A small generated archive, 2001-2003, with hours of 2001, and its truth."""
    from nepcube.demo import generate

    directory = tmp_path_factory.mktemp("headwaters")
    return directory, generate(directory, seed=1, pixels=60, years=(2001, 2003), hourly=True, workers=1)


@pytest.fixture(scope="session")
def real():
    """The folder of real files."""
    folder = os.environ.get("NEPCUBE_TEST_DATA")
    if not folder:
        pytest.skip("NEPCUBE_TEST_DATA is not set")
    return Path(folder)
