from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sample_report import make_inputs


@pytest.fixture(scope="session")
def inputs():
    """The headwaters at 4 km: small enough to be drawn often."""
    return make_inputs(resolution="5000 m")


@pytest.fixture(scope="session")
def drawn(inputs, tmp_path_factory):
    from nepcube.report import draw_figures

    return draw_figures(inputs, tmp_path_factory.mktemp("figures"), dpi=72)
