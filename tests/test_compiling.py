"""Compiled kernels on disk: two processes that compile for two types at once leave a cache that both can use."""

import os
import subprocess
import sys

KERNEL = """
import numpy as np
from nepcube.compiling import compiled


@compiled
def total(values):
    out = 0.0
    for v in values:
        out += v
    return out
"""

# it read the index before the other process wrote it, the other's index took the place of its own, its code came last
RACES = (
    "from numba.core.caching import IndexDataCacheFile as Files\n"
    "Files._load_index, Files._save_index = lambda self: {}, lambda self, overloads: None\n"
)


def run(folder, code):
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
    }
    environment.pop("NEPCUBE_NUMBA_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.split()


def test_a_race_for_the_cache_mixes_no_types(tmp_path):
    (tmp_path / "race_kernel.py").write_text(KERNEL)
    (tmp_path / "cache").mkdir()
    call = "import numpy as np, race_kernel; print(race_kernel.total(np.arange(1000, dtype='{}')))\n"
    assert run(tmp_path, call.format("float32")) == ["499500.0"]
    assert run(tmp_path, RACES + call.format("float64")) == ["499500.0"]
    both = call.format("float32") + call.format("float64") + call.format("int16")
    for _ in range(2):
        assert run(tmp_path, both) == ["499500.0"] * 3
    # each type has a file of its own
    assert len(list((tmp_path / "cache").rglob("*.nbc"))) == 3
    hits = call.format("float32") + "print(sum(race_kernel.total.stats.cache_hits.values()))\n"
    assert run(tmp_path, hits) == ["499500.0", "1"]


ARRAYS = """
import numpy as np
from nepcube.compiling import compiled_gufunc, compiled_ufunc

TYPES = __import__("sys").argv[1:] or ["float32", "float64"]


@compiled_gufunc([f"void({y}[:],{y}[:])" for y in TYPES], "(n)->()")
def total(values, out):
    out[0] = 0.0
    for v in values:
        out[0] += v


@compiled_ufunc(*(f"{y}({y})" for y in TYPES))
def twice(value):
    return value + value
"""


def test_a_race_for_the_cache_of_array_functions_mixes_nothing(tmp_path):
    """Processes that compile at once leave a cache that works: the wrapper of the one knows no kernel of another."""
    (tmp_path / "array_kernel.py").write_text(ARRAYS)
    (tmp_path / "cache").mkdir()
    call = (
        "import sys; sys.argv[1:] = {}\nimport numpy as np, array_kernel as k\n"
        "for t in sys.argv[1:] or ['float32', 'float64']:\n"
        "    print(k.total(np.ones((2, 5), t)).tolist(), k.twice(np.full(1, 4, t)).tolist())\n"
    )
    environment = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    environment.pop("NEPCUBE_NUMBA_CACHE", None)
    # each first compiles something else, so that the same function has another name in each
    first = "import numba\nfor n in range({}):\n    numba.njit(lambda v: v + 1)(n)\n"
    at_once = [
        subprocess.Popen([sys.executable, "-c", first.format(n) + call.format("[]")], env=environment) for n in range(3)
    ]
    assert [p.wait(240) for p in at_once] == [0, 0, 0]
    for types in ("[]", "['float64']"):
        assert run(tmp_path, call.format(types))[-3:] == ["[5.0,", "5.0]", "[8.0]"]
    names = [f.name for f in (tmp_path / "cache").rglob("*.nbc")]
    assert len([n for n in names if n.startswith("guf")]) == 2
    assert all(len(n.split(".")[-2]) == 16 for n in names), names


def test_what_was_compiled_of_other_sources_is_not_taken(tmp_path):
    """A kernel holds what it calls from other files: numba looks at its own file alone."""
    (tmp_path / "race_kernel.py").write_text(KERNEL)
    (tmp_path / "cache").mkdir()
    other = "import nepcube.compiling as c; c.sources = lambda: {!r}\n"
    call = "import numpy as np, race_kernel; race_kernel.total(np.ones(3))\n"
    hits = "print(sum(race_kernel.total.stats.cache_hits.values()))\n"
    assert run(tmp_path, call + hits) == ["0"]
    assert run(tmp_path, call + hits) == ["1"]
    for expected in ("0", "1"):
        assert run(tmp_path, other.format("of another version") + call + hits) == [expected]
    # a process of the first version that goes on does not write over what the other wrote
    assert run(tmp_path, RACES + call + hits) == ["0"]
    assert run(tmp_path, other.format("of another version") + call + hits) == ["1"]


def test_the_digest_is_of_every_module_of_kernels():
    from pathlib import Path

    import nepcube
    from nepcube.compiling import sources

    users = [
        p
        for p in Path(nepcube.__file__).parent.rglob("*.py")
        if "from nepcube.compiling import" in p.read_text() and p.name != "compiling.py"
    ]
    assert len(users) > 10
    assert [p.name for p in users if not p.name.startswith("_")] == []
    assert len(sources()) == 64
