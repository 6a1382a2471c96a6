"""Decoded arrays that are kept for the next block: each is decoded once, whoever asks first."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from nepcube.sources.fetched import local

if TYPE_CHECKING:
    from numpy.typing import NDArray


def stamp(path: str) -> tuple[int, int] | None:
    """Give what changes when a file is written anew, for a key; None of a Zarr store's URL, or of what is not there."""
    try:
        state = os.stat(local(path))
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: NDArray[Any] | None = None


class Kept:
    """The last arrays by key; two threads that want the same one wait for one decoding.

    Parameters
    ----------
    most : int
        How many bytes are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._bytes = 0
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, decode: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Give the array of a key, read-only, decoding it where it is not kept; what fails is tried again."""
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            if slot.value is None:
                value = decode()
                value.setflags(write=False)
                slot.value = value
                self._make_room(key, slot, value.nbytes)
            return slot.value

    def _make_room(self, key: Hashable, slot: _Slot, more: int) -> None:
        with self._lock:
            if self._slots.get(key) is not slot:
                return
            self._bytes += more
            for other in list(self._slots):
                if self._bytes <= self._most:
                    return
                value = self._slots[other].value
                if value is not None:
                    del self._slots[other]
                    self._bytes -= value.nbytes
