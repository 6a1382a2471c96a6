from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def esmf():
    """The folder of numbers that ESMF computed."""
    named, data = os.environ.get("NEPCUBE_TEST_REFERENCE"), os.environ.get("NEPCUBE_TEST_DATA")
    folder = Path(named) if named else Path(data).parent / "reference" if data else None
    if folder is None or not (folder / "esmf").is_dir():
        pytest.skip("NEPCUBE_TEST_REFERENCE (or NEPCUBE_TEST_DATA with `reference` beside it) is not set")
    return folder / "esmf"
