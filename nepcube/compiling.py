"""Whether compiled kernels are kept on disk between runs."""

from __future__ import annotations

import os
from pathlib import Path


def keep_compiled() -> bool:
    """Tell whether numba may cache: where it can write, unless ``NEPCUBE_NUMBA_CACHE=0`` says no.

    Many processes that load a cache while another writes it have been seen to crash (sgkit issue 869): clusters whose
    workers share a home folder should set the variable.
    """
    said = os.environ.get("NEPCUBE_NUMBA_CACHE")
    if said is not None:
        return said != "0"
    named = os.environ.get("NUMBA_CACHE_DIR")
    folders = [Path(named)] if named else [Path(__file__).parent / "__pycache__", Path(__file__).parent]
    return any(folder.is_dir() and os.access(folder, os.W_OK) for folder in folders)
