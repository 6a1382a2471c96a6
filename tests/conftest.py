"""A small archive and a finished run of it, once for each worker; a way to call the command line."""

from __future__ import annotations

import gc
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))
sys.path.insert(0, str(Path(__file__).parent / "places"))

import remote

# a store of S3's kind over loopback, for tests in any folder
server, s3, faulty = remote.server, remote.s3, remote.faulty

BIN = Path(sys.executable).parent
# while one worker of pytest-xdist compiles the kernels of a run, the others have tests that need none of them
_FIRST = ("compare", "sources")
PIXELS, YEARS, RESOLUTION = 80, (2001, 2006), 8000


def pytest_collection_modifyitems(items):
    """Order the rooms so that in a fresh environment no two workers compile the same kernels side by side."""

    def place(item):
        room = item.path.relative_to(Path(__file__).parent).parts[0]
        return _FIRST.index(room) if room in _FIRST else len(_FIRST)

    items.sort(key=place)


def pytest_collection_finish():
    """Let the collector look at what tests make only: thousands of tests and modules are there to the end."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


def recipe_text(directory, *, period=YEARS, resolution=f"{RESOLUTION} m", **changes):
    """The recipe of the small archive as a mapping; changes are dotted keys with __ for dots, None removes."""
    folder = Path(directory)
    recipe = {
        "recipe": 1,
        "name": "small",
        "title": "A generated archive",
        "period": list(period),
        "grid": {"bounds": [89.40, 31.59, 102.40, 36.29], "crs": "EPSG:4326", "resolution": resolution},
        "sources": {
            "npp": {"reader": "mod17a3hgf", "path": str(folder / "mod17" / "*.hdf")},
            "temperature": {"reader": "era5-land", "path": str(folder / "era5-land" / "*.nc")},
            "precipitation": {"reader": "chirps", "path": str(folder / "chirps" / "*.nc")},
            "radiation": {"reader": "era5-land", "path": str(folder / "era5-land" / "*.nc")},
        },
        "respiration": {"model": "pei2009", "basis": "annual"},
        "regions": {"path": str(folder / "regions.geojson"), "name": "name"},
    }
    for dotted, value in changes.items():
        *above, last = dotted.split("__")
        at = recipe
        for key in above:
            at = at.setdefault(key, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
    return recipe


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """Six years in tiles of 80 pixels: `directory` and `truth`."""
    from nepcube.demo import generate

    directory = tmp_path_factory.mktemp("headwaters") / "archive"
    truth = generate(directory, seed=1, pixels=PIXELS, years=YEARS, workers=1)
    return SimpleNamespace(directory=directory, truth=truth, years=range(YEARS[0], YEARS[1] + 1))


@pytest.fixture
def write_recipe(archive, tmp_path):
    """Write a recipe of the small archive with some keys changed; gives its path."""

    def write(name="recipe.yaml", *, directory=None, **changes):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(recipe_text(directory or archive.directory, **changes), sort_keys=False))
        return path

    return write


def do_stages(recipe, out, *stages, **options):
    """Ingest, analyse and aggregate (or the stages named) in this process."""
    from nepcube import pipeline

    for stage in stages or ("ingest", "analyse", "aggregate"):
        pipeline.run_stage(stage, recipe, out, options=pipeline.Options(**options))
    return Path(out)


@pytest.fixture(scope="session")
def finished(archive, tmp_path_factory):
    """A run up to its tables, not to be changed: `out` and `recipe`."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(recipe_text(archive.directory), sort_keys=False))
    return SimpleNamespace(out=do_stages(recipe, folder / "out"), recipe=recipe)


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run that a test may break."""
    import shutil

    return SimpleNamespace(out=Path(shutil.copytree(finished.out, tmp_path / "copied")), recipe=finished.recipe)


@pytest.fixture
def cli(capfd, monkeypatch):
    """Call the command line in this process: exit code, lines on stdout, lines on stderr."""

    def call(*arguments):
        from nepcube.cli import main

        if arguments[:1] == ("check",):
            # its seconds are worth one test, in tests/pipeline/test_planning.py
            from nepcube.pipeline import calibrating

            monkeypatch.setattr(calibrating, "calibrate", lambda _: calibrating.STATED)
        monkeypatch.setattr(sys, "argv", ["nepcube", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        said = capfd.readouterr()
        return SimpleNamespace(code=code, out=said.out.splitlines(), err=said.err.splitlines())

    return call


def start(*arguments, **options):
    """Start the real command."""
    return subprocess.Popen(
        [str(BIN / "nepcube"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        **options,
    )


def chunk_files(out, *stores):
    """The digest of every chunk of the stores of a run, by place: what differs is told by its place alone."""
    found = {}
    for store in stores or ("cube.zarr", "statistics.zarr"):
        root = Path(out) / store
        for file in sorted([*root.rglob("c/**/*"), *root.rglob("c")]):
            if file.is_file():
                found[f"{store}/{file.relative_to(root).as_posix()}"] = digest(file.read_bytes())
    return found


def digest(content):
    return f"{len(content)} bytes, {hashlib.sha256(content).hexdigest()[:16]}"


def arrays(out):
    """Every array of both stores as bytes, whatever its chunks are."""
    import zarr

    found = {}
    for store in ("cube.zarr", "statistics.zarr"):
        for folder in sorted((Path(out) / store).iterdir()):
            if (folder / "zarr.json").exists():
                array = zarr.open_array(str(folder), mode="r")
                values = np.asarray(array[...])
                found[f"{store}/{folder.name}"] = (values.dtype.str, values.shape, values.tobytes())
    return found


def assert_intact(out):
    """What must hold of an output at any moment: nothing seems damaged, and what looks finished has every chunk."""
    import itertools
    import json

    from nepcube import pipeline

    roots = {name: Path(out) / name / "zarr.json" for name in ("cube.zarr", "statistics.zarr", "climate.zarr")}
    if not (Path(out) / ".nepcube").is_dir():
        assert not any(root.exists() for root in roots.values())
        return
    found = pipeline.status(out, verify=True)
    assert (found.damaged, found.waiting) == ((), ())
    for root in (root for root in roots.values() if root.exists()):
        told = json.loads(root.read_text())["consolidated_metadata"]["metadata"]
        assert told
        for name, array in told.items():
            sides = array["chunk_grid"]["configuration"]["chunk_shape"]
            ranges = [range(-(-n // side)) for n, side in zip(array["shape"], sides, strict=True)]
            keys = ["/".join(map(str, ("c", *place))) for place in itertools.product(*ranges)]
            assert [key for key in keys if not (root.parent / name / key).is_file()] == [], f"{root.parent}/{name}"


def assert_same_arrays(one, other):
    a, b = arrays(one), arrays(other)
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def assert_same_tables(one, other):
    a = {p.name: p.read_bytes() for p in (Path(one) / "tables").iterdir()}
    b = {p.name: p.read_bytes() for p in (Path(other) / "tables").iterdir()}
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


@pytest.fixture(scope="session")
def tools():
    """The helpers of this file, for test modules in other folders."""
    return SimpleNamespace(
        recipe_text=recipe_text,
        do_stages=do_stages,
        start=start,
        chunk_files=chunk_files,
        digest=digest,
        arrays=arrays,
        intact=assert_intact,
        same_arrays=assert_same_arrays,
        same_tables=assert_same_tables,
        bin=BIN,
        years=YEARS,
        resolution=RESOLUTION,
        pixels=PIXELS,
    )
