"""The same numbers, bit for bit, whatever does the work, in which pieces, and wherever they are kept."""

import sys
from pathlib import Path

import numpy as np
import pytest

from nepcube import pipeline
from nepcube.places import place_of

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from grid import Grid

pytestmark = pytest.mark.slow


def values_of(out):
    """Every array of both stores as bytes, through the store that holds them."""
    import zarr

    found = {}
    for name in ("cube.zarr", "statistics.zarr"):
        place = place_of(out) / name
        for array in place.names():
            if (place / array / "zarr.json").exists():
                values = np.asarray(zarr.open_array(place.zarr(), path=array, mode="r")[...])
                found[f"{name}/{array}"] = (values.dtype.str, values.shape, values.tobytes())
    return found


def tables_of(out):
    folder = place_of(out) / "tables"
    return {name: (folder / name).read() for name in folder.names()}


@pytest.mark.parametrize("where", ["disk", "S3"])
@pytest.mark.parametrize("how", ["one worker", "threads", "processes", "cluster"])
@pytest.mark.parametrize("block", [64, 128, 512])
def test_the_same_arrays_and_tables(finished, tmp_path, request, block, how, where):
    out = request.getfixturevalue("s3").url if where == "S3" else tmp_path / "out"
    grid = Grid(tmp_path / "grid") if how == "cluster" else None
    options = {
        "one worker": {"workers": 1},
        "threads": {},
        "processes": {"workers": 2},
        "cluster": {"scheduler": grid and grid.address},
    }[how]
    try:
        for stage in ("ingest", "analyse", "aggregate"):
            pipeline.run_stage(stage, finished.recipe, out, options=pipeline.Options(block=block, **options))
    finally:
        if grid is not None:
            grid.close()
    found, want = values_of(out), values_of(finished.out)
    assert found.keys() == want.keys()
    assert [name for name in want if found[name] != want[name]] == []
    assert tables_of(out) == tables_of(finished.out)
