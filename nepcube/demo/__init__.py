"""Archives in the providers' own formats, generated with a truth in closed form; no real run needs them."""

from __future__ import annotations

from nepcube.demo.archive import generate
from nepcube.demo.truth import SCENARIOS, Truth

__all__ = ["SCENARIOS", "Truth", "generate"]
