"""A file of several quantities is opened once while inputs are looked at, and never held beyond."""

import gc
import weakref

import numpy as np
import pytest
import xarray as xr

from nepcube import pipeline, sources
from nepcube.errors import SourceError
from nepcube.sources import headers, stored


@pytest.fixture
def opened(monkeypatch):
    """The paths that are really opened."""
    paths = []
    plain = stored._open_stored

    def one(path, *how):
        paths.append(path)
        return plain(path, *how)

    monkeypatch.setattr(stored, "_open_stored", one)
    return paths


def write(path, value):
    xr.Dataset({"a": ("x", np.full(5, float(value)))}).to_netcdf(path, engine="h5netcdf")
    return str(path)


def test_check_and_ingest_open_a_file_once(write_recipe, opened, tmp_path):
    recipe = write_recipe(grid__resolution="40000 m")
    assert pipeline.check(recipe).faults == ()
    assert opened
    assert len(set(opened)) == len(opened)
    opened.clear()
    pipeline.run_stage("ingest", recipe, tmp_path / "out")
    # once to name them in the record of the run, once to read them
    assert max(opened.count(path) for path in opened) <= 2


def test_it_is_kept_until_the_end_and_no_longer(opened, tmp_path):
    path = write(tmp_path / "a.nc", 1)
    stored.open_stored(path)
    with sources.opened_once():
        first = stored.open_stored(path)
        with sources.opened_once():
            second = stored.open_stored(path)
        stored.open_stored(path)
        assert len(opened) == 2
        # what one asker changes is not seen by the next
        second["a"].attrs["units"] = "m"
        second["b"] = 1
        assert "units" not in first["a"].attrs
        assert set(stored.open_stored(path)) == {"a"}
        # what is kept is not what was given, and goes when this ends
        kept = weakref.ref(next(iter(headers._found.values())))
    gc.collect()
    assert kept() is None
    stored.open_stored(path)
    assert len(opened) == 3


def test_a_file_written_anew_and_a_damaged_one_are_opened_again(opened, tmp_path):
    path = write(tmp_path / "a.nc", 1)
    other = write(tmp_path / "b.nc", 2)
    with sources.opened_once():
        assert float(stored.open_stored(path)["a"][0]) == 1
        (tmp_path / "b.nc").replace(path)
        assert float(stored.open_stored(path)["a"][0]) == 2
        (tmp_path / "b.nc").write_bytes((tmp_path / "a.nc").read_bytes()[:-100])
        for _ in range(2):
            with pytest.raises(SourceError):
                stored.open_stored(other)
    assert len(opened) == 4
    assert not headers._found
