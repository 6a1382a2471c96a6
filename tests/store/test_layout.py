"""How stores are cut: when there are shards, what is in them, and that a run in shards is the run without them."""

import errno
import json
import os
import signal
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import nepcube as nc
from nepcube import pipeline
from nepcube.errors import StoreError
from nepcube.execute import Stopped
from nepcube.grid import Window, windows
from nepcube.store import Layout, Sides, Store, pieces_of, shards, sides_for, sides_of

# the grid of the small archive has 65 x 181 cells: shards of 2 x 2 chunks, cut by the grid's edge on both sides
SIDES = Sides(32, 64)
CHINA, GLOBE = (8016, 13805), (40075, 80150)


# --- the choice -----------------------------------------------------------------------------------------------------


def test_only_a_very_large_grid_has_shards():
    assert sides_for(CHINA, 1024) == Sides(512)
    assert sides_for(CHINA, 256) == Sides(256)
    assert sides_for(GLOBE, 1024) == Sides(512, 2048)
    assert sides_for(GLOBE, 4096) == Sides(512, 2048)
    assert sides_for(GLOBE, 128) == Sides(128, 2048)
    # 1500 chunks of 512 x 512 cells, and one column more
    assert sides_for((15000, 26214), 512).shard is None
    assert sides_for((15000, 26215), 512).shard == 2048


def test_chunks_that_do_not_fill_a_shard_are_refused():
    with pytest.raises(StoreError) as caught:
        sides_for(GLOBE, 100)
    assert caught.value.what == "blocks: chunks of 100 cells do not fill the 2048-cell shards of a grid of this size."
    assert caught.value.way_out == "Choose 64, 128, 256 or 512, or a multiple of 2048."


def test_a_block_is_whole_units():
    assert Sides(512).block(1024, "x") == 1024
    assert [Sides(512, 2048).block(b, "x") for b in (256, 1024, 2048, 4096)] == [2048, 2048, 2048, 4096]
    with pytest.raises(StoreError) as caught:
        Sides(512, 2048).block(3072, "out")
    assert caught.value.what == "blocks: 3072 cells would cut the 2048-cell shards of out."
    assert caught.value.way_out == "Choose a multiple of 2048."
    with pytest.raises(StoreError, match="700 cells would cut the 512-cell chunks of out"):
        Sides(512).block(700, "out")


# --- one store ------------------------------------------------------------------------------------------------------


@pytest.fixture
def grid():
    return nc.target_grid((90, 32, 92, 33.5), resolution="5000 m")


@pytest.fixture
def values(grid):
    rng = np.random.default_rng(7)
    yearly = rng.normal(size=(3, *grid.shape)).astype("float32")
    yearly[:, 5:20, 8:] = np.nan
    yearly[1] = np.nan
    return {"a": yearly, "m": rng.integers(0, 250, grid.shape).astype("uint8")}


@pytest.fixture
def sharded(tmp_path, grid):
    store = Store(tmp_path / "s.zarr", grid, 16, 8)
    store.create(
        [Layout("a", "float32", {"units": "1"}, yearly=True), Layout("m", "uint8", {}, yearly=False)],
        [2001, 2002, 2003],
    )
    return store


def part(values, window):
    return {name: xr.DataArray(v[..., *window.slices]) for name, v in values.items()}


def files(store):
    root = Path(store.path)
    found = [p for name in ("a", "m") for p in (root / name).rglob("c/**/*") if p.is_file()]
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in found}


def test_shards_read_back_and_are_what_their_checksums_say(sharded, values):
    sums = {}
    for window in windows(sharded.grid, 32):
        sums |= sharded.write(part(values, window), window, step=0)
    assert sums == {f"s.zarr/{key}": zlib.crc32(content) for key, content in files(sharded).items()}
    # 46 x 34 cells in shards of 16: 3 x 3 of each year and of the map
    assert len(sums) == 3 * 9 + 9
    sharded.commit({})
    for name, want in values.items():
        array = zarr.open_array(str(sharded.path), path=name, mode="r")
        assert array.shards[-2:] == (16, 16)
        assert array.chunks[-2:] == (8, 8)
        assert sides_of(json.loads(Path(sharded.path, name, "zarr.json").read_text())) == Sides(8, 16)
        np.testing.assert_array_equal(array[...], want)
    with xr.open_zarr(sharded.path) as ds:
        np.testing.assert_array_equal(ds["a"].values, values["a"])


def test_zarr_itself_writes_what_we_read_and_reads_what_we_write(sharded, values, tmp_path):
    # the same array by zarr's own codec: the same chunks, whatever their order in the shard is
    theirs = zarr.create_array(
        tmp_path / "theirs.zarr",
        shape=values["a"].shape,
        chunks=(1, 8, 8),
        shards=(1, 16, 16),
        dtype="float32",
        fill_value=np.nan,
        compressors=zarr.open_array(str(sharded.path), path="a").compressors,
        config={"write_empty_chunks": True},
    )
    theirs[...] = values["a"]
    whole = Window(0, sharded.grid.shape[0], 0, sharded.grid.shape[1])
    sharded.write({"a": xr.DataArray(values["a"])}, whole, step=0)

    def chunks(content, side=2):
        table = np.frombuffer(content[-4 - 16 * side * side : -4], "<u8").reshape(-1, 2)
        return [None if o == 2**64 - 1 else content[int(o) : int(o) + int(n)] for o, n in table]

    for place in ("0/0/0", "1/1/1", "2/2/2"):
        ours = Path(sharded.path, "a", "c", place).read_bytes()
        other = (tmp_path / "theirs.zarr" / "c" / place).read_bytes()
        assert [a == b for a, b in zip(chunks(ours), chunks(other), strict=True) if a is not None].count(False) == 0
        assert shards.crc32c(ours[-68:-4]) == int.from_bytes(ours[-4:], "little")
        assert shards.crc32c(other[-68:-4]) == int.from_bytes(other[-4:], "little")


def test_crc32c_of_known_bytes():
    # RFC 3720, B.4
    assert shards.crc32c(bytes(32)) == 0x8A9136AA
    assert shards.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert shards.crc32c(bytes(range(32))) == 0x46DD794E


def test_pieces_in_any_order_give_the_same_bytes(sharded, values, monkeypatch):
    whole = Window(0, sharded.grid.shape[0], 0, sharded.grid.shape[1])
    sums = sharded.write(part(values, whole), whole, step=0)
    before = files(sharded)
    # all of it in a temporary file
    monkeypatch.setattr(shards, "KEPT", 1)
    again = {}
    for unit in windows(sharded.grid, 16):
        with pieces_of(sharded, unit) as pieces:
            for window in reversed(list(pieces.windows())):
                assert max(window.shape) <= 8
                pieces.add(part(values, window), window, step=0)
            again |= pieces.write()
    assert again == sums
    assert files(sharded) == before


def test_half_a_shard_is_refused(sharded, values):
    with pytest.raises(StoreError, match="rows 0:8 cut a chunk of 16"):
        sharded.write(part(values, Window(0, 8, 0, 16)), Window(0, 8, 0, 16), step=0)
    unit = Window(0, 16, 0, 16)
    with pieces_of(sharded, unit) as pieces:
        for window in list(pieces.windows())[:3]:
            pieces.add(part(values, window), window, step=0)
        with pytest.raises(StoreError) as caught:
            pieces.write()
    assert caught.value.what == f"{sharded.path}/a/c/0/0/0: 3 of the 4 chunks of the shard are there."
    assert files(sharded) == {}


def test_a_shard_that_is_damaged_is_written_anew(sharded, values):
    whole = Window(0, sharded.grid.shape[0], 0, sharded.grid.shape[1])
    sharded.write(part(values, whole), whole, step=0)
    before = files(sharded)
    for key in ("a/c/0/0/0", "a/c/1/2/2", "m/c/2/2"):
        os.truncate(Path(sharded.path, key), 11)
    sharded.write(part(values, whole), whole, step=0)
    assert files(sharded) == before


def test_a_store_that_is_cut_otherwise_is_refused(sharded):
    other = Store(sharded.path, sharded.grid, 16)
    with pytest.raises(StoreError, match="are not those of this run"):
        other.create([Layout("a", "float32", {}, yearly=True)], [2001, 2002, 2003])
    other = Store(sharded.path, sharded.grid, 8)
    with pytest.raises(StoreError, match="are not those of this run"):
        other.create([Layout("m", "uint8", {}, yearly=False)], None)


def test_no_room_for_the_temporary_file(sharded, values, monkeypatch):
    class Full:
        def seek(self, *_):
            return 0

        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    pieces = shards.Pieces(sharded, Window(0, 16, 0, 16), Full())
    with pytest.raises(StoreError) as caught:
        pieces.add(part(values, Window(0, 8, 0, 8)), Window(0, 8, 0, 8), step=0)
    assert caught.value.what == f"{tempfile.gettempdir()}: no room is left for the chunks of a shard."
    assert "TMPDIR" in caught.value.way_out


# --- a run ----------------------------------------------------------------------------------------------------------


def in_shards(recipe, out, *stages, block=64, progress=None):
    for stage in stages or ("ingest", "analyse", "aggregate"):
        options = pipeline.Options(block=block, sides=SIDES)
        pipeline.run_stage(stage, recipe, out, options=options, **({"progress": progress} if progress else {}))
    return out


@pytest.fixture(scope="session")
def of_shards(finished, tmp_path_factory):
    """The finished run again, in shards of 2 x 2 chunks; not to be changed."""
    return in_shards(finished.recipe, tmp_path_factory.mktemp("shards") / "out")


def test_a_run_in_shards_is_the_run_without(of_shards, finished, tools):
    tools.same_arrays(of_shards, finished.out)
    tools.same_tables(of_shards, finished.out)
    for store, name, names in (("cube.zarr", "nep", ("npp", "npp_flag", "rh")), ("statistics.zarr", "nep_slope", ())):
        for each in (name, *names):
            meta = json.loads((of_shards / store / each / "zarr.json").read_text())
            assert sides_of(meta) == SIDES
        places = {
            p.relative_to(of_shards / store / name / "c").as_posix()
            for p in (of_shards / store / name).rglob("c/**/*")
            if p.is_file()
        }
        lead = [f"{k}/" for k in range(6)] if store == "cube.zarr" else [""]
        assert places == {f"{k}{y}/{x}" for k in lead for y in range(2) for x in range(3)}
        with xr.open_zarr(of_shards / store) as ours, xr.open_zarr(finished.out / store) as plain:
            ours, plain = ours.load(), plain.load()
            # the one thing that differs is how they are cut
            xr.testing.assert_identical(ours.drop_attrs(), plain.drop_attrs())
    found = pipeline.status(of_shards, verify=True)
    assert found.damaged == ()
    assert found.blocks == 6
    assert set(dict(found.years).values()) == {6}


@pytest.mark.slow
@pytest.mark.parametrize("block", [16, 192])
def test_any_block_gives_the_same_shards(finished, of_shards, tools, tmp_path, block):
    # a block that is smaller than a shard becomes one
    out = in_shards(finished.recipe, tmp_path / "out", block=block)
    assert tools.chunk_files(out) == tools.chunk_files(of_shards)
    tools.same_tables(out, of_shards)


class StopAt:
    def __init__(self, n):
        self.left = n

    def __call__(self, stage, done, total, detail=""):
        self.left -= 1
        if self.left < 0:
            raise Stopped(signal.SIGTERM)


@pytest.mark.parametrize(
    ("stage", "n"),
    [
        pytest.param("ingest", 9, marks=pytest.mark.slow),
        pytest.param("analyse", 3, marks=pytest.mark.slow),
        pytest.param("aggregate", 9, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_continued_keeps_its_shards(finished, of_shards, tools, tmp_path, stage, n):
    out = tmp_path / "out"
    stages = ["ingest", "analyse", "aggregate"]
    for each in stages[: stages.index(stage)]:
        in_shards(finished.recipe, out, each)
    with pytest.raises(Stopped):
        in_shards(finished.recipe, out, stage, progress=StopAt(n))
    # nothing is said of shards any more, and the blocks are smaller than they are
    tools.do_stages(finished.recipe, out, block=16)
    assert tools.chunk_files(out) == tools.chunk_files(of_shards)
    tools.same_tables(out, of_shards)


@pytest.mark.slow
def test_a_shard_that_is_damaged_is_found_and_mended(of_shards, finished, tools, tmp_path):
    import shutil

    out = tmp_path / "out"
    shutil.copytree(of_shards, out)
    keys = ["cube.zarr/npp/c/2/0/1", "cube.zarr/nep/c/5/1/2", "statistics.zarr/nep_slope/c/0/0"]
    for key in keys[:2]:
        os.truncate(out / key, (out / key).stat().st_size // 2)
    content = bytearray((out / keys[2]).read_bytes())
    content[9] ^= 1
    (out / keys[2]).write_bytes(content)
    untouched = {p: p.stat().st_mtime_ns for p in (out / "cube.zarr" / "npp").rglob("c/[0-1]/*/*")}
    assert [d[2] for d in pipeline.status(out, verify=True).damaged] == sorted(keys)
    tools.do_stages(finished.recipe, out)
    assert tools.chunk_files(out) == tools.chunk_files(of_shards)
    tools.same_tables(out, of_shards)
    assert len(untouched) == 12
    assert {p: p.stat().st_mtime_ns for p in untouched} == untouched
    assert pipeline.status(out, verify=True).damaged == ()


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(None, None), (4, 5)])
def test_a_longer_period_in_shards(write_recipe, tools, tmp_path, before, after):
    # without `min_years` it is the whole period: five years, then six
    five, six = (
        write_recipe(f"{last}.yaml", period=[2001, last], **({"statistics__min_years": least} if least else {}))
        for last, least in ((2005, before), (2006, after))
    )
    out = in_shards(five, tmp_path / "out")
    old = {p: p.stat().st_mtime_ns for p in (out / "cube.zarr" / "npp").rglob("c/[0-4]/*/*")}
    assert len(old) == 5 * 6
    tools.do_stages(six, out)
    assert {p: p.stat().st_mtime_ns for p in old} == old
    fresh = in_shards(six, tmp_path / "fresh")
    assert tools.chunk_files(out) == tools.chunk_files(fresh)
    tools.same_tables(out, fresh)


@pytest.mark.slow
def test_months_of_climate_are_kept_in_shards(write_recipe, tools, tmp_path):
    recipe = write_recipe(period=[2001, 2003], respiration={"basis": "monthly", "keep_climate": True})
    out = in_shards(recipe, tmp_path / "out", "ingest", "analyse")
    plain = tools.do_stages(recipe, tmp_path / "plain", "ingest", "analyse")
    for name in ("temperature", "precipitation"):
        array = zarr.open_array(str(out / "climate.zarr"), path=name, mode="r")
        assert array.shards == (1, 64, 64)
        np.testing.assert_array_equal(array[...], zarr.open_array(str(plain / "climate.zarr"), path=name)[...])


@pytest.mark.slow
def test_processes_write_the_same_shards(finished, of_shards, tools, tmp_path):
    out = in_shards(finished.recipe, tmp_path / "out", "ingest")
    process = tools.start("analyse", finished.recipe, "-o", out, "--workers", 2, "--quiet")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told[-1500:]
    tools.do_stages(finished.recipe, out, "aggregate")
    assert tools.chunk_files(out) == tools.chunk_files(of_shards)


def test_check_tells_the_layout(write_recipe, cli):
    def line(recipe):
        return next(x for x in cli("check", recipe).out if x.startswith("layout"))

    assert line(write_recipe()) == "layout  chunks of 512 x 512 cells, no shards, about 71 files"
    # all land at 500 m; the files are those of the small archive, and do not matter here
    globe = write_recipe("globe.yaml", grid__bounds=[-180, -60, 180, 84], grid__resolution="500 m")
    assert line(globe).startswith("layout  chunks of 512 x 512 cells in shards of 2048 x 2048, about ")
