"""How memory that is no longer used goes back to the system."""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

# of malloc.h of the GNU C library
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 2**20


@lru_cache(maxsize=1)
def give_back_memory() -> bool:
    """Have malloc map each array of a megabyte or more by itself, and unmap it when it is freed; tell whether it does.

    The GNU C library raises its threshold to the size of whatever mapped piece is freed, up to 32 MiB. From then on
    decoded tiles and blocks come from its arenas, one for each thread, whose holes it keeps: the resident memory of a
    run rises in steps for as long as new arrangements of sizes occur, and so with the area. A threshold that is set
    stays.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        # another C library has another malloc
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_TRIM_THRESHOLD, 2 * _LARGE))
