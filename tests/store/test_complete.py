"""What is read of our own stores is there: a chunk that is missing is an error, and every chunk is written."""

import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore, WrapperStore

from nepcube.errors import StoreError
from nepcube.grid import Window, target_grid
from nepcube.places import LocalPlace
from nepcube.store import (
    Layout,
    NativeSeries,
    Store,
    grid_change,
    lazy_maps,
    native_grid,
    open_store,
    read_block,
    read_sample,
)
from nepcube.store.complete import CompleteStore, complete

GRID = target_grid((90.0, 31.0, 96.0, 34.0), 0.1, "EPSG:4326")
WHOLE = Window(0, 30, 0, 60)


def made(out, values, *, inner=None):
    """A committed cube of 30 x 60 cells in chunks (or shards) of 16, with one map and two years of a variable."""
    cube = Store(out / "cube.zarr", GRID, 16, inner)
    layouts = [Layout("a", "float32", {"units": "1"}, yearly=False), Layout("b", "float32", {}, yearly=True)]
    cube.create(layouts, [2001, 2002])
    cube.write({"a": xr.DataArray(values)}, WHOLE)
    for step in range(2):
        cube.write({"b": xr.DataArray(values[None] + step)}, WHOLE, step=step)
    cube.commit({})
    return cube.path


@pytest.fixture
def values():
    return np.random.default_rng(1).normal(size=(30, 60)).astype("float32")


@pytest.mark.parametrize("inner", [None, 8])
def test_a_chunk_that_is_missing_is_never_taken_for_fill(tmp_path, values, inner):
    path = made(tmp_path, values, inner=inner)
    part = Window(16, 30, 16, 32)
    np.testing.assert_array_equal(read_block(path, ["a"], part)["a"], values[part.slices])
    (tmp_path / "cube.zarr/a/c/1/1").unlink()
    # what does not touch it is read as before
    np.testing.assert_array_equal(read_block(path, ["b"], part)["b"][1], values[part.slices] + 1)
    np.testing.assert_array_equal(read_block(path, ["a"], Window(0, 16, 0, 60))["a"], values[:16])
    for read in (
        lambda: read_block(path, ["b", "a"], part),
        lambda: read_sample(path, ["a"], 7),
        lambda: lazy_maps(path, ["a"])["a"].compute(),
        lambda: open_store(path)["a"].load(),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.what == f"{tmp_path}/cube.zarr/a/c/1/1: this chunk is missing."
        assert caught.value.way_out.startswith(f"Run `nepcube status {tmp_path} --verify`, then ")
    (tmp_path / "cube.zarr/a/c/1/1").touch()
    with pytest.raises(StoreError, match=r"a/c/1/1: this chunk is empty"):
        read_block(path, ["a"], part)
    (tmp_path / "cube.zarr/time/c/0").unlink()
    with pytest.raises(StoreError, match=r"time/c/0: this chunk is missing"):
        open_store(path)


@pytest.mark.parametrize("inner", [None, 8])
@pytest.mark.parametrize("harm", [lambda raw: raw[: len(raw) // 2], lambda raw: b"\0" * len(raw)], ids=["cut", "zeros"])
def test_a_chunk_that_is_none_is_told_of_the_store(tmp_path, values, inner, harm):
    path = made(tmp_path, values, inner=inner)
    chunk = tmp_path / "cube.zarr/a/c/1/1"
    chunk.write_bytes(harm(chunk.read_bytes()))
    part = Window(16, 30, 16, 32)
    np.testing.assert_array_equal(read_block(path, ["b"], part)["b"][1], values[part.slices] + 1)
    for read in (
        lambda: read_block(path, ["b", "a"], part),
        lambda: read_sample(path, ["a"], 7),
        lambda: lazy_maps(path, ["a"])["a"].compute(),
        lambda: open_store(path).load(),
    ):
        with pytest.raises(StoreError) as caught:
            read()
        assert caught.value.what.startswith(f"{tmp_path}/cube.zarr/a: a chunk cannot be decoded (")
        assert caught.value.way_out.startswith(f"Run `nepcube status {tmp_path} --verify`, then ")


def test_what_fails_for_other_reasons_is_no_damage(tmp_path, values, monkeypatch):
    path = made(tmp_path, values)

    def none(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", none)
    for read in (
        lambda: read_block(path, ["a"], WHOLE),
        lambda: read_sample(path, ["a"], 7),
        lambda: open_store(path).load(scheduler="sync"),
    ):
        with pytest.raises(RuntimeError, match="new thread"):
            read()


def test_chunks_that_hold_nothing_but_fill_are_written(tmp_path):
    # so that one that is missing is always a loss
    path = made(tmp_path, np.full((30, 60), np.nan, "float32"))
    assert len(list((tmp_path / "cube.zarr/a/c").glob("*/*"))) == 8
    assert len(list((tmp_path / "cube.zarr/b/c").glob("*/*/*"))) == 16
    assert np.isnan(read_block(path, ["b"], WHOLE)["b"]).all()
    series, field = NativeSeries(tmp_path / "t.zarr"), climate(np.nan)
    series.create(field, field["time"].values)
    series.write(field.values, field["time"].values)
    assert np.isnan(series.open()["temperature"].values).all()
    assert [p.name for p in sorted((tmp_path / "t.zarr/values/c").iterdir())] == ["0", "1", "2"]


def test_to_know_what_is_there_costs_no_request(tmp_path, values):
    path = made(tmp_path, values)
    asked = []

    class Counting(WrapperStore):
        async def get(self, key, prototype, byte_range=None):
            asked.append(key)
            return await super().get(key, prototype, byte_range)

        async def exists(self, key):
            asked.append(f"{key}?")
            return await super().exists(key)

    def requests(wrap):
        asked.clear()
        zarr.open_array(wrap(Counting(LocalStore(path.path, read_only=True))), path="b", mode="r")[:, 0:20, 0:20]
        return sorted(asked)

    plain = requests(lambda store: store)
    assert len([key for key in plain if "/c/" in key]) == 8
    assert requests(lambda store: CompleteStore(store, "x", "y")) == plain


def test_it_goes_to_other_processes_and_knows_whose_store_it_is(tmp_path):
    one = complete(LocalPlace(tmp_path / ".nepcube" / "native" / "t.zarr"))
    assert f"`nepcube status {tmp_path} --verify`" in one.way_out
    again = pickle.loads(pickle.dumps(one))
    assert (again.path, again.way_out, again) == (one.path, one.way_out, one)
    assert "status" not in complete(LocalPlace(tmp_path / "difference.zarr")).way_out


# --- native series --------------------------------------------------------------------------------------------------


def climate(value, *, lat=(33.0, 32.9), lon=(90.0, 90.1, 90.2), crs="EPSG:4326", units="degC", name="longitude"):
    from pyproj import CRS

    coords = {
        "time": np.array(["2001-01-01", "2001-02-01", "2002-01-01"], "datetime64[ns]"),
        "latitude": np.array(lat),
        name: np.array(lon),
        "spatial_ref": xr.Variable((), np.int32(0), {"crs_wkt": CRS(crs).to_wkt() if ":" in crs else crs}),
    }
    shape = (3, len(lat), len(lon))
    return xr.DataArray(np.full(shape, value), coords, ("time", "latitude", name), "temperature", {"units": units})


def test_a_native_series_gives_the_checksums_of_what_it_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr("nepcube.store.native.CHUNK", 2)
    series, field = NativeSeries(tmp_path / "t.zarr"), climate(1.5)
    series.create(field, field["time"].values)
    assert series.places() == ["0/0", "0/1"]
    # the last before the others: steps need not be written in their order
    sums = series.write(field.values[[2, 0]], field["time"].values[[2, 0]]) + series.write(
        field.values[1:2], field["time"].values[1:2]
    )
    assert [sorted(step) for step in sums] == [[f"t.zarr/values/c/{k}/0/{x}" for x in (0, 1)] for k in (2, 0, 1)]
    for step in sums:
        for key, crc in step.items():
            assert zlib.crc32((tmp_path / key).read_bytes()) == crc
    (tmp_path / "t.zarr/values/c/1/0/1").unlink()
    between = (np.datetime64("2002-01-01"), np.datetime64("2003-01-01"))
    assert (series.open(between=between)["temperature"].values == 1.5).all()
    with pytest.raises(StoreError, match=r"t\.zarr/values/c/1/0/1: this chunk is missing"):
        series.open()["temperature"].load()
    (tmp_path / "t.zarr/values/c/1/0/1").write_bytes(b"none")
    with pytest.raises(StoreError, match=r"t\.zarr/values: a chunk cannot be decoded"):
        series.open()["temperature"].load()


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"lon": (89.9, 90.0, 90.1, 90.2)}, "longitude: 4 cells from 89.9 to 90.2, before 3 cells from 90 to 90.2"),
        ({"lon": (90.0, 90.1 + 1e-14, 90.2)}, "longitude: other values"),
        ({"lat": (33.0, 32.8)}, "latitude: 2 cells from 33 to 32.8, before 2 cells from 33 to 32.9"),
        ({"lat": (32.9, 33.0)}, "latitude: 2 cells from 32.9 to 33, before 2 cells from 33 to 32.9"),
        ({"name": "x"}, "an axis x, before longitude"),
        ({"crs": "EPSG:4269"}, "another CRS"),
        ({"crs": "no CRS"}, "another CRS"),
        ({"units": "K"}, "unit 'K', before 'degC'"),
    ],
)
def test_a_native_series_is_held_against_the_grid_of_its_files(tmp_path, other, told):
    series, field = NativeSeries(tmp_path / "t.zarr"), climate(1.0)
    assert series.change(field) is None
    series.create(field, field["time"].values)
    series.write(field.values, field["time"].values)
    assert series.change(climate(2.0)) is None
    longer = climate(2.0, **other)
    assert series.change(longer) == told
    with pytest.raises(StoreError) as caught:
        series.create(longer, longer["time"].values)
    assert told in caught.value.what
    assert (series.open()["temperature"].values == 1.0).all()
    series.clear()
    assert not series.exists
    series.create(longer, longer["time"].values)
    series.write(longer.values, longer["time"].values)
    np.testing.assert_array_equal(series.open()["temperature"].values, longer.values)


def test_the_same_crs_in_other_words_is_the_same():
    from pyproj import CRS

    one, other = climate(0.0), climate(0.0)
    other["spatial_ref"].attrs["crs_wkt"] = CRS("EPSG:4326").to_wkt("WKT1_GDAL")
    assert one["spatial_ref"].attrs != other["spatial_ref"].attrs
    assert grid_change(native_grid(one), native_grid(other)) is None


def test_a_series_whose_description_cannot_be_read_is_made_anew(tmp_path):
    series, field = NativeSeries(tmp_path / "t.zarr"), climate(1.0)
    series.create(field, field["time"].values)
    file = Path(tmp_path / "t.zarr/series.json")
    file.write_text(file.read_text()[:100])
    assert not series.exists
    assert series.places() == []
    series.create(field, field["time"].values)
    assert series.exists
