"""Decoded arrays that are kept for the next block: each is decoded once, whoever asks first."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stamp(path: str) -> tuple[int, int]:
    """Give what changes when a file is written anew, for a key."""
    state = os.stat(path)
    return state.st_mtime_ns, state.st_size


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: NDArray[Any] | None = None


class Kept:
    """The last few arrays by key; two threads that want the same one wait for one decoding.

    Parameters
    ----------
    most : int
        How many arrays are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Give the array of a key, read-only, decoding it where it is not kept; what fails is tried again."""
        with self._lock:
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = _Slot()
                while len(self._slots) > self._most:
                    self._slots.popitem(last=False)
            else:
                self._slots.move_to_end(key)
        with slot.lock:
            if slot.value is None:
                value = decode()
                value.setflags(write=False)
                slot.value = value
            return slot.value
