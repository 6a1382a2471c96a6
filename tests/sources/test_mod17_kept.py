"""What is kept of decoded arrays: as many bytes as are allowed, each decoded once, and nothing of what failed."""

import threading

import numpy as np
import pytest

from nepcube.sources.kept import Kept, stamp


def test_the_oldest_goes_when_the_bytes_are_full():
    kept, made = Kept(100), []

    def get(key, size=40):
        return kept.get(key, lambda: made.append(key) or np.full(size, 7, np.uint8))

    for key in "abab":
        assert get(key).sum() == 280
    get("c")
    get("b")
    get("a")
    assert made == ["a", "b", "c", "a"]
    # one that is larger than all is given, and not kept
    assert get("d", 200).size == 200
    get("d", 200)
    assert made[-2:] == ["d", "d"]


def test_what_is_given_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        Kept(100).get("a", lambda: np.zeros(3))[0] = 1


def test_what_failed_is_tried_again():
    kept = Kept(100)

    def fail():
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        kept.get("a", fail)
    assert kept.get("a", lambda: np.ones(2)).sum() == 2


def test_threads_wait_for_one_decoding():
    kept, made, go = Kept(1000), [], threading.Barrier(8)

    def decode():
        made.append(1)
        return np.arange(5)

    def work():
        go.wait()
        assert kept.get("a", decode).sum() == 10

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_file_written_anew_has_another_stamp(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = stamp(str(path))
    path.write_bytes(b"three")
    assert stamp(str(path)) != before
