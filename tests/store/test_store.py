"""The store as others see it, whole-chunk writes, the commit, the ledger and its verification."""

import asyncio
import base64
import errno
import json
import os
import subprocess
import sys
import textwrap
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import zarr

import nepcube as nc
from nepcube.errors import NepcubeError, StoreError
from nepcube.grid import Window
from nepcube.places import LocalPlace
from nepcube.store import Layout, Ledger, NativeSeries, Store, chunk_side, open_cube, open_statistics

READ = """
import sys, warnings
warnings.filterwarnings("ignore", category=PendingDeprecationWarning)
import xarray as xr
import numpy as np
for name in ("cube.zarr", "statistics.zarr"):
    ds = xr.open_zarr(f"{sys.argv[1]}/{name}")
    ds.load()
    ds.close()
cube = xr.open_zarr(f"{sys.argv[1]}/cube.zarr")
maps = xr.open_zarr(f"{sys.argv[1]}/statistics.zarr")
assert cube.npp.dtype == np.float32, cube.npp.dtype
assert cube.npp_flag.dtype == np.uint8 and maps.region.dtype == np.int16
assert cube.time.dtype.kind == "M"
assert [str(t)[:10] for t in cube.time.values] == [f"{y}-01-01" for y in range(2001, 2007)]
bounds = cube.time_bnds.values
assert bounds.shape == (6, 2) and (bounds[:, 0] == cube.time.values).all() and (bounds[:-1, 1] == bounds[1:, 0]).all()
assert cube.latitude.dtype == cube.longitude.dtype == np.float64
for ds in (cube, maps):
    assert ds.attrs["Conventions"] == "CF-1.11"
    assert "spatial_ref" in ds.coords
    for v in ds.data_vars.values():
        assert "scale_factor" not in v.encoding and "add_offset" not in v.encoding, v.name
        assert "units" in v.attrs and "long_name" in v.attrs, v.name
import rioxarray
import odc.geo.xr
for ds in (cube, maps):
    assert ds.rio.crs.to_epsg() == 4326
    box = ds.odc.geobox
    assert box is not None and box.crs.epsg == 4326 and tuple(box.shape) == (ds.latitude.size, ds.longitude.size)
    assert abs(box.affine.a - 8000 / 111319.49079327358) < 1e-12
    t = ds.rio.transform()
    assert abs(t.a - box.affine.a) < 1e-12 and abs(t.f - box.affine.f) < 1e-9
assert cube.npp.rio.crs.to_epsg() == 4326 and maps.nep_slope.odc.geobox is not None
import matplotlib
matplotlib.use("Agg")
warnings.simplefilter("default")
maps.nep_slope.plot()
cube.nep.isel(time=0).plot()
cube.nep.mean(("latitude", "longitude")).plot()
assert not [m for m in sys.modules if m.split(".")[0] == "nepcube"]
print("read")
"""


def test_others_read_the_stores_without_us_and_without_a_warning(finished):
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::PendingDeprecationWarning", "-c", READ, str(finished.out)],
        capture_output=True,
        text=True,
        env=env,
        cwd="/",
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout == "read\n"


def test_format_chunks_and_consolidated_metadata(finished):
    for name in ("cube.zarr", "statistics.zarr"):
        root = json.loads((finished.out / name / "zarr.json").read_text())
        assert root["zarr_format"] == 3
        held = root["consolidated_metadata"]["metadata"]
        folders = {p.name for p in (finished.out / name).iterdir() if p.is_dir()}
        assert set(held) == folders
        for array, meta in held.items():
            own = json.loads((finished.out / name / array / "zarr.json").read_text())
            assert meta["shape"] == own["shape"]
            assert meta["attributes"] == own.get("attributes", {})
            chunk = own["chunk_grid"]["configuration"]["chunk_shape"]
            if len(own["shape"]) == 3:
                assert chunk == [1, 512, 512]
            elif own.get("dimension_names") == ["latitude", "longitude"]:
                assert chunk == [512, 512]
            if "time" in (own.get("dimension_names") or ()) and len(own["shape"]) < 3:
                assert chunk[0] >= 256
            codecs = [c["name"] for c in own["codecs"]]
            assert "sharding_indexed" not in codecs


def test_nothing_of_ours_is_left_lying_about(finished):
    rest = [p for p in finished.out.rglob("*") if p.is_file() and (".part" in p.name or p.name.startswith("."))]
    assert rest == []


def test_sides_of_chunks():
    assert [chunk_side(b) for b in (64, 100, 512, 1024, 2048)] == [64, 100, 512, 512, 512]
    for bad in (700, 513, 1000):
        with pytest.raises(StoreError):
            chunk_side(bad)


@pytest.fixture
def small(tmp_path):
    grid = nc.target_grid((90, 32, 92, 33.5), resolution="5000 m")
    store = Store(tmp_path / "s.zarr", grid, 16)
    layouts = [Layout("a", "float32", {"units": "1"}, yearly=True), Layout("m", "uint8", {}, yearly=False)]
    store.create(layouts, [2001, 2002])
    return store


def block(window, value=1.0, steps=1, dtype=np.float32):
    return xr.Dataset({"a": (("time", "y", "x"), np.full((steps, *window.shape), value, dtype))})


def test_half_a_chunk_is_refused(small):
    rows, cols = small.grid.shape
    for window in (Window(0, 8, 0, 16), Window(8, 24, 0, 16), Window(0, 16, 0, cols - 1), Window(0, 16, 1, 17)):
        before = sorted(Path(small.path).rglob("*"))
        with pytest.raises(StoreError, match="cut a chunk"):
            small.write(block(window), window, step=0)
        assert sorted(Path(small.path).rglob("*")) == before
    for window in (Window(0, 16, 0, 16), Window(16, rows, 16, cols), Window(0, 32, 32, cols)):
        sums = small.write(block(window, 2.0), window, step=1)
        assert sums
        for key, crc in sums.items():
            assert zlib.crc32((Path(small.path).parent / key).read_bytes()) == crc


def test_empty_chunks_are_written(small):
    window = Window(0, 16, 0, 16)
    sums = small.write(block(window, np.nan), window, step=0)
    assert list(sums) == ["s.zarr/a/c/0/0/0"]
    assert (small.path / "a/c/0/0/0").exists()
    sums = small.write(xr.Dataset({"m": (("y", "x"), np.full(window.shape, 255, np.uint8))}), window)
    assert list(sums) == ["s.zarr/m/c/0/0"]
    assert (small.path / "m/c/0/0").exists()


def test_an_unfinished_store_does_not_open(small):
    assert not small.committed
    with pytest.raises(StoreError, match="not finished"):
        nc.open_cube(small.path)
    with pytest.raises(Exception, match=r"(?i)group|metadata|found"):
        xr.open_zarr(small.path)
    small.commit({"title": "t"})
    assert small.committed
    with xr.open_zarr(small.path) as ds:
        assert ds.sizes["time"] == 2
        assert ds.attrs["title"] == "t"
    small.uncommit()
    with pytest.raises(StoreError):
        nc.open_cube(small.path)
    # continuing to make arrays does not commit by the way
    small.create([Layout("b", "float32", {}, yearly=True)], [2001, 2002])
    small.put_series("cover", [1.0, 1.0], {})
    assert not small.committed


def test_what_killed_writers_left_is_gone_after_the_commit(small, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    place = LocalPlace(small.path.path / "a/c/0")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(Killed):
            asyncio.run(
                small.path.zarr(write=True).set("a/c/0/0/0", zarr.core.buffer.cpu.Buffer.from_bytes(b"by zarr"))
            )
        patch.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            (place / "0/1").write(b"by us")
    assert len(os.listdir(place / "0")) == 2
    (place / "0/partial").write(b"of somebody else")
    small.commit({})
    assert os.listdir(place / "0") == ["partial"]


def test_a_longer_axis_is_not_seen_before_it_is_committed(small):
    window = Window(0, *small.grid.shape[:1], 0, small.grid.shape[1])
    small.write(block(window, 3.0, steps=2), window, step=0)
    small.commit({})
    small.create([Layout("a", "float32", {"units": "1"}, yearly=True)], [2001, 2002, 2003])
    with xr.open_zarr(small.path) as ds:
        assert list(ds["time"].dt.year.values) == [2001, 2002]
        assert (ds["a"].values == 3.0).all()
    small.write(block(window, 4.0), window, step=2)
    small.commit({})
    with xr.open_zarr(small.path) as ds:
        assert list(ds["time"].dt.year.values) == [2001, 2002, 2003]
        assert (ds["a"].values[2] == 4.0).all()
        assert (ds["a"].values[:2] == 3.0).all()


def test_another_shape_or_type_is_refused(small):
    with pytest.raises(StoreError, match="are not"):
        small.create([Layout("a", "float64", {}, yearly=True)], [2001, 2002])
    other = Store(small.path, nc.target_grid((90, 32, 92.5, 33.5), resolution="5000 m"), 16)
    with pytest.raises(StoreError, match="are not"):
        other.create([Layout("a", "float32", {}, yearly=True)], [2001, 2002])


def test_opening_is_lazy_and_names_what_is_missing(finished, tmp_path):
    from nepcube.testing import forbid_compute

    with forbid_compute():
        cube, maps = open_cube(finished.out, block=64), open_statistics(finished.out)
    assert cube["npp"].chunks[0] == (6,)
    assert max(cube["npp"].chunks[1]) == 64
    assert maps["nep_slope"].chunks is not None
    with pytest.raises(StoreError, match="no such store"):
        open_cube(tmp_path)


# --- export ---------------------------------------------------------------------------------------------------------

# what the checker finds in a plain export and what zarr, xarray or the checker's own taste are the cause of:
# JSON attributes carry no integer width, xarray gives coordinates a fill value, the rest are recommendations
EXCUSED = (
    "must not have the _FillValue attribute",
    "must be the same data type as",
    "highly recommended for variable spatial_ref",
    "units_metadata",
)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    folder = tmp_path_factory.mktemp("netcdf")
    for name in ("cube", "statistics"):
        with xr.open_zarr(finished.out / f"{name}.zarr") as ds:
            ds.to_netcdf(folder / f"{name}.nc", engine="netcdf4")
    return folder


@pytest.mark.parametrize("name", ["cube", "statistics"])
def test_a_netcdf_export_passes_the_compliance_checker(exported, name):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    suite = "cf:1.11"
    told = exported / f"{name}.json"
    ComplianceChecker.run_checker(
        str(exported / f"{name}.nc"), [suite], 0, "normal", output_filename=str(told), output_format="json"
    )
    found = json.loads(told.read_text())[suite]
    left = [
        f"{check['name']}: {said}"
        for priority in ("high_priorities", "medium_priorities")
        for check in found[priority]
        for said in check["msgs"]
        if not any(excuse in said for excuse in EXCUSED)
    ]
    assert left == []


def test_the_export_is_the_store(exported, finished):
    for name in ("cube", "statistics"):
        ds = xr.open_zarr(finished.out / f"{name}.zarr", chunks=None)
        with xr.open_dataset(exported / f"{name}.nc", engine="netcdf4") as got:
            for variable in ds.variables:
                np.testing.assert_array_equal(got[variable].values, ds[variable].values, err_msg=str(variable))


# --- ledger ---------------------------------------------------------------------------------------------------------


def test_what_is_added_is_done_after_the_flush(tmp_path):
    ledger = Ledger.open(tmp_path)
    assert ledger.done("s") == set()
    ledger.add("s", "u", {"k": 1})
    assert ledger.done("s") == {"u"}
    assert Ledger.open(tmp_path).done("s") == set()
    ledger.flush()
    assert Ledger.open(tmp_path).done("s") == {"u"}
    ledger.flush()
    assert len(list((tmp_path / ".nepcube" / "ledger").iterdir())) == 1


def test_segments_in_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("nepcube.store.ledger._SEGMENT", 64)
    ledger = Ledger.open(tmp_path)
    for k in range(200):
        ledger.add("s", f"u{k}", {f"k{k}": k})
    ledger.flush()
    segments = sorted(p.name for p in (tmp_path / ".nepcube" / "ledger").iterdir())
    assert len(segments) >= 3
    again = Ledger.open(tmp_path)
    assert again.done("s") == {f"u{k}" for k in range(200)}
    again.forget("s")
    again.add("s", "last", {})
    again.flush()
    third = Ledger.open(tmp_path)
    assert third.done("s") == {"last"}
    third.add("t", "x", {})
    third.drop("s", {"last"})
    assert Ledger.open(tmp_path).done("s") == set()
    assert Ledger.open(tmp_path).done("t") == {"x"}


def rows_of(year):
    return {
        f"{year}/{y}/{x}": {f"cube.zarr/{v}/c/0/{y}/{x}": y * 1000 + x for v in "ab"} for y in (0, 3) for x in (0, 9)
    }


def test_units_that_are_chunks_are_rows_of_numbers(tmp_path):
    ledger = Ledger.open(tmp_path)
    for unit, sums in (rows_of(2001) | rows_of(2002)).items():
        ledger.add("ingest", unit, sums)
    ledger.add("ingest", "coordinates", {"cube.zarr/time/c/0": 7})
    ledger.flush()
    (segment,) = (tmp_path / ".nepcube" / "ledger").iterdir()
    lines = [json.loads(line) for line in segment.read_text().splitlines()]
    assert [(e["stage"], e.get("prefix"), e.get("arrays")) for e in lines] == [
        ("ingest", "2001", ["cube.zarr/a/c/0", "cube.zarr/b/c/0"]),
        ("ingest", "2002", ["cube.zarr/a/c/0", "cube.zarr/b/c/0"]),
        ("ingest", None, None),
    ]
    raw = np.frombuffer(base64.b64decode(lines[0]["rows"]), "<u4").reshape(-1, 4)
    np.testing.assert_array_equal(raw, [[0, 0, 0, 0], [0, 9, 9, 9], [3, 0, 3000, 3000], [3, 9, 3009, 3009]])
    done = Ledger.open(tmp_path).done("ingest")
    assert done == {*rows_of(2001), *rows_of(2002), "coordinates"}
    assert "2001/3/9" in done
    assert "2001/3/8" not in done
    assert "2003/3/9" not in done
    assert done.count() == {"2001": 4, "2002": 4}


def test_a_unit_may_be_dropped_and_done_again_with_other_arrays(tmp_path):
    ledger = Ledger.open(tmp_path)
    for unit, sums in rows_of(2001).items():
        ledger.add("ingest", unit, sums)
    ledger.drop("ingest", {"2001/0/9", "2001/3/9", "unknown"})
    assert Ledger.open(tmp_path).done("ingest") == {"2001/0/0", "2001/3/0"}
    ledger.add("ingest", "2001/0/9", {"cube.zarr/z/c/0/0/9": 1})
    ledger.add("ingest", "2001/0/0", {"cube.zarr/z/c/0/0/0": 1})
    ledger.flush()
    again = Ledger.open(tmp_path)
    assert again.done("ingest") == ledger.done("ingest") == {"2001/0/0", "2001/0/9", "2001/3/0"}
    keys = {key for _, _, key in again.verify(tmp_path)}
    assert keys == {"cube.zarr/z/c/0/0/0", "cube.zarr/z/c/0/0/9", "cube.zarr/a/c/0/3/0", "cube.zarr/b/c/0/3/0"}


def test_segments_of_the_form_before_are_read(tmp_path):
    folder = tmp_path / ".nepcube" / "ledger"
    folder.mkdir(parents=True)
    lines = [
        {"stage": "ingest", "unit": "2001/0/0", "sums": {"cube.zarr/a/c/0/0/0": 5}},
        {"stage": "ingest", "unit": "coordinates", "sums": {"cube.zarr/time/c/0": 6}},
        {"forget": "analyse"},
    ]
    (folder / "00000003.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ledger = Ledger.open(tmp_path)
    assert ledger.done("ingest") == {"2001/0/0", "coordinates"}
    ledger.add("ingest", "2001/0/1", {"cube.zarr/a/c/0/0/1": 7})
    ledger.merge()
    assert sorted(p.name for p in folder.iterdir()) == ["00000005.jsonl"]
    assert Ledger.open(tmp_path).done("ingest") == {"2001/0/0", "2001/0/1", "coordinates"}


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_merge_that_was_killed_costs_nothing(tmp_path, monkeypatch, left):
    monkeypatch.setattr("nepcube.store.ledger._SEGMENT", 4)
    ledger = Ledger.open(tmp_path)
    for unit, sums in rows_of(2001).items():
        ledger.add("ingest", unit, sums)
        ledger.flush()
    ledger.forget("ingest")
    ledger.add("ingest", "2002/0/0", {})
    ledger.flush()
    folder = tmp_path / ".nepcube" / "ledger"
    before = {p.name: p.read_bytes() for p in sorted(folder.iterdir())}
    assert len(before) == 2
    ledger.merge()
    (merged,) = folder.iterdir()
    assert merged.name not in before
    for name in list(before)[2 - left :]:
        (folder / name).write_bytes(before[name])
    assert Ledger.open(tmp_path).done("ingest") == {"2002/0/0"}


def test_a_damaged_line_vouches_for_nothing(tmp_path):
    ledger = Ledger.open(tmp_path)
    for unit, sums in (rows_of(2001) | rows_of(2002)).items():
        ledger.add("ingest", unit, sums)
    ledger.flush()
    (segment,) = (tmp_path / ".nepcube" / "ledger").iterdir()
    first, second = segment.read_text().splitlines(keepends=True)
    entry = json.loads(first)
    entry["rows"] = ("B" if entry["rows"][0] == "A" else "A") + entry["rows"][1:]
    segment.write_text(json.dumps(entry) + "\n" + second)
    assert Ledger.open(tmp_path).done("ingest") == set(rows_of(2002))


def test_a_reader_and_a_merge_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("nepcube.store.ledger._SEGMENT", 2)
    ledger, seen, ended = Ledger.open(tmp_path), [], threading.Event()

    def read():
        while not ended.is_set():
            seen.append(len(Ledger.open(tmp_path).done("s")))

    thread = threading.Thread(target=read)
    thread.start()
    for k in range(60):
        ledger.add("s", f"2001/{k}/0", {})
        ledger.flush()
        if k % 7 == 6:
            ledger.merge()
    ended.set()
    thread.join()
    # what was done stays done for whoever looks
    assert seen == sorted(seen)
    assert len(Ledger.open(tmp_path).done("s")) == 60


def test_files_left_by_a_killed_write_are_passed_over(tmp_path):
    ledger = Ledger.open(tmp_path)
    ledger.add("s", "u", {})
    ledger.flush()
    folder = tmp_path / ".nepcube" / "ledger"
    (folder / ".00000001.jsonl.4711").write_text('{"stage": "s", "un')
    (folder / "00000001.jsonl").write_text("")
    again = Ledger.open(tmp_path)
    assert again.done("s") == {"u"}
    again.add("s", "v", {})
    again.flush()
    assert Ledger.open(tmp_path).done("s") == {"u", "v"}


def test_a_torn_segment_is_no_traceback(copied, cli):
    last = max((copied.out / ".nepcube" / "ledger").glob("*.jsonl"))
    last.write_bytes(last.read_bytes()[:-20])
    found = cli("status", copied.out)
    assert found.code in (0, 2)
    assert not any("Traceback" in line for line in found.err)


def test_parts_of_stages(tmp_path):
    ledger = Ledger.open(tmp_path)
    ledger.set_part("a", {"x": 1})
    ledger.set_part("b", {"y": 2})
    ledger.set_part("a", None)
    assert Ledger.open(tmp_path).parts() == {"b": {"y": 2}}


def test_verify_names_what_changed(tmp_path):
    (tmp_path / "good").write_bytes(b"abc")
    (tmp_path / "bad").write_bytes(b"abd")
    ledger = Ledger.open(tmp_path)
    crc = zlib.crc32(b"abc")
    ledger.add("s", "u", {"good": crc, "bad": crc})
    ledger.add("s", "v", {"gone": crc})
    assert sorted(ledger.verify(tmp_path)) == [("s", "u", "bad"), ("s", "v", "gone")]
    # written again by a later unit, the later sum counts, whichever stage came first
    ledger.add("t", "w", {"bad": zlib.crc32(b"abd")})
    assert list(ledger.verify(tmp_path)) == [("s", "v", "gone")]
    ledger.add("s", "u", {"good": crc, "bad": 7})
    assert list(ledger.verify(tmp_path)) == [("s", "u", "bad"), ("s", "v", "gone")]
    ledger.add("a", "u", {"bad": zlib.crc32(b"abd")})
    ledger.merge()
    assert list(ledger.verify(tmp_path)) == [("s", "v", "gone")]
    # merged or not, the order is that of writing
    (segment,) = (tmp_path / ".nepcube" / "ledger").iterdir()
    again = Ledger.open(tmp_path)
    again.add("s", "x", {})
    again._next += 1
    again.flush()
    again.merge()
    assert not segment.exists()
    assert list(Ledger.open(tmp_path).verify(tmp_path)) == [("s", "v", "gone")]


def test_of_chunks_that_two_stages_wrote_the_later_counts(tmp_path):
    key = "cube.zarr/a/c/0/0/0"
    (tmp_path / key).parent.mkdir(parents=True)
    (tmp_path / key).write_bytes(b"new")
    ledger = Ledger.open(tmp_path)
    for stage, content in (("b", b"older"), ("a", b"old"), ("b", b"new")):
        ledger.add(stage, "2001/0/0", {key: zlib.crc32(content)})
    ledger.flush()
    assert list(ledger.verify(tmp_path)) == list(Ledger.open(tmp_path).verify(tmp_path)) == []
    ledger.add("a", "2001/0/0", {key: 7})
    assert list(ledger.verify(tmp_path)) == [("a", "2001/0/0", key)]


def test_what_is_released_is_not_vouched_for(tmp_path):
    ledger = Ledger.open(tmp_path)
    ledger.add("s", "coordinates", {"cube.zarr/time/c/0": 7, "cube.zarr/time/zarr.json": 8, "cubes/x": 9})
    ledger.add("t", "coordinates", {"cube.zarr/time/c/0": 6})
    assert ledger.small("cube.zarr") == ["cube.zarr/time/c/0", "cube.zarr/time/zarr.json"]
    ledger.release(["cube.zarr/time/c/0", "unknown"])
    for one in (ledger, Ledger.open(tmp_path)):
        assert [key for _, _, key in one.verify(tmp_path)] == ["cube.zarr/time/zarr.json", "cubes/x"]
        assert one.done("t") == {"coordinates"}
    # written anew it counts again
    ledger.add("t", "coordinates", {"cube.zarr/time/c/0": 5})
    assert [d for d in ledger.verify(tmp_path) if d[2].endswith("c/0")] == [("t", "coordinates", "cube.zarr/time/c/0")]


@pytest.mark.parametrize("name", ["._00000001.jsonl", "notes.jsonl", "1.jsonl", "00000001.jsonl.bak"])
def test_foreign_files_in_the_ledger_are_passed_over(tmp_path, name):
    ledger = Ledger.open(tmp_path)
    ledger.add("s", "u", {})
    ledger.flush()
    file = tmp_path / ".nepcube" / "ledger" / name
    file.write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    again = Ledger.open(tmp_path)
    assert again.done("s") == {"u"}
    again._next += 1
    again.add("s", "v", {})
    again.merge()
    assert file.exists()
    assert Ledger.open(tmp_path).done("s") == {"u", "v"}


CHUNKS = [
    "cube.zarr/npp/c/2/0/0",
    "cube.zarr/temperature/c/5/0/0",
    "cube.zarr/nep/c/0/0/0",
    "statistics.zarr/nep_slope/c/0/0",
    "statistics.zarr/region/c/0/0",
]


@pytest.mark.parametrize(
    "how", [*(pytest.param(h, marks=pytest.mark.slow) for h in ("truncated", "deleted")), "turned"]
)
def test_damage_is_found_and_mended(copied, finished, cli, tools, how):
    for key in CHUNKS:
        file = copied.out / key
        if how == "deleted":
            file.unlink()
        elif how == "truncated":
            os.truncate(file, file.stat().st_size // 2)
        else:
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)
    assert cli("status", copied.out).code == 0
    found = cli("status", copied.out, "--verify")
    assert found.code == 2
    assert len(found.err) == 2
    assert all(key in found.err[0] for key in CHUNKS)
    # it stays so until a run has made them again, and nobody reads the rest for the whole
    found = cli("status", copied.out, "--verify")
    assert found.code == 2
    assert all(key in found.err[0] for key in CHUNKS)
    assert "verified" not in "\n".join(found.out)
    assert cli("status", copied.out).code == 0
    for opened in (open_cube, open_statistics):
        with pytest.raises(StoreError, match="not finished"):
            opened(copied.out)
    # `ingest` alone finishes what is its own
    tools.do_stages(copied.recipe, copied.out, "ingest")
    with open_cube(copied.out) as cube:
        assert "npp" in cube
        assert not {"rh", "nep"} & set(cube)
    assert cli("status", copied.out, "--verify").code == 2
    tools.do_stages(copied.recipe, copied.out)
    tools.same_arrays(copied.out, finished.out)
    tools.same_tables(copied.out, finished.out)
    found = cli("status", copied.out, "--verify")
    assert (found.code, found.err) == (0, [])
    assert "every chunk is as it was written" in "\n".join(found.out)


class Killed(BaseException):
    """What no handler of ours catches."""


@pytest.mark.parametrize(
    "key", [pytest.param("cube.zarr/npp/c/2/0/0", marks=pytest.mark.slow), "statistics.zarr/region/c/0/0"]
)
def test_verification_that_is_killed_leaves_nothing_that_looks_whole(copied, tmp_path, monkeypatch, key):
    import shutil

    from nepcube import pipeline

    (copied.out / key).unlink()
    for after in range(40):
        out = Path(shutil.copytree(copied.out, tmp_path / f"killed{after}"))
        left = iter(range(after))

        def counted(real, left=left):
            def call(place, *arguments):
                if place.name != "lock" and next(left, None) is None:
                    raise Killed
                return real(place, *arguments)

            return call

        with monkeypatch.context() as patch:
            for name in ("write", "delete"):
                patch.setattr(LocalPlace, name, counted(getattr(LocalPlace, name)))
            try:
                pipeline.status(out, verify=True)
                ended = True
            except Killed:
                ended = False
        found = pipeline.status(out, verify=True)
        assert key in found.bad, after
        assert not dict(found.committed)[key.partition("/")[0]]
        shutil.rmtree(out)
        if ended:
            break
    assert ended
    assert after > 4


def test_an_output_that_is_only_read_is_verified_and_stays(copied, cli, monkeypatch):
    def refuse(file, content):
        raise OSError(errno.EROFS, "Read-only file system", str(file))

    monkeypatch.setattr("nepcube.places.local._write_through", refuse)
    found = cli("status", copied.out, "--verify")
    assert (found.code, found.err) == (0, [])
    assert "every chunk is as it was written" in found.out[-2]
    assert found.out[-1].startswith("read only")
    key = "cube.zarr/npp/c/2/0/0"
    (copied.out / key).unlink()
    state = {p: p.read_bytes() for p in copied.out.rglob("*") if p.is_file()}
    for _ in range(2):
        found = cli("status", copied.out, "--verify")
        assert found.code == 2
        assert found.err == [
            f"error: {copied.out}: 1 chunk(s) are missing or changed: {key}.",
            "       It cannot be written there, and stays as it is: `nepcube run --verify` on a copy makes them again.",
        ]
    found = cli("report", copied.recipe, "-o", copied.out, "--tables", "md")
    assert found.code == 2
    assert "cannot be written" in found.err[0]
    assert "give permission" in found.err[1]
    assert {p: p.read_bytes() for p in copied.out.rglob("*") if p.is_file()} == state


METADATA = [
    ("cube.zarr/npp/zarr.json", "turned"),
    ("statistics.zarr/nep_slope/zarr.json", "deleted"),
    pytest.param("statistics.zarr/zarr.json", "deleted", marks=pytest.mark.slow),
    *(
        pytest.param(f"{name}/zarr.json", how, marks=pytest.mark.slow)
        for name in ("cube.zarr", "cube.zarr/nep", "cube.zarr/time", "statistics.zarr/region", "statistics.zarr")
        for how in ("truncated", "turned")
    ),
]


@pytest.mark.parametrize(("key", "how"), METADATA)
def test_damage_of_metadata_is_found_and_mended(copied, finished, cli, tools, key, how):
    file = copied.out / key
    if how == "deleted":
        file.unlink()
    elif how == "truncated":
        os.truncate(file, file.stat().st_size // 2)
    else:
        text = file.read_text()
        turned = next((a, b) for a, b in (("512", "511"), ("null", "none"), ("regular", "regulur")) if a in text)
        file.write_text(text.replace(*turned))
    chunks = [*copied.out.glob("cube.zarr/*/c/*/*/*"), *copied.out.glob("statistics.zarr/nep_*/c/*/*")]
    times = {p: p.stat().st_mtime_ns for p in chunks}
    found = cli("status", copied.out, "--verify")
    assert found.code == 2
    assert key in found.err[0]
    tools.do_stages(copied.recipe, copied.out)
    # no chunk of a value is made again for it
    assert {p: p.stat().st_mtime_ns for p in times} == times
    tools.same_arrays(copied.out, finished.out)
    for name in ("cube.zarr", "statistics.zarr"):
        for one in sorted((finished.out / name).rglob("zarr.json")):
            other = copied.out / one.relative_to(finished.out)
            assert json.loads(other.read_text()) == json.loads(one.read_text()), one
    assert cli("status", copied.out, "--verify").code == 0


@pytest.mark.slow
def test_check_and_run_look_for_damage_where_they_are_asked_to(copied, finished, cli, tools):
    key = "cube.zarr/temperature/c/1/0/0"
    (copied.out / key).write_bytes(b"x")
    whole = {p: p.stat().st_mtime_ns for p in copied.out.glob("cube.zarr/*/c/[0345]/*/*")}
    whole = {p: t for p, t in whole.items() if p.parts[-5] not in ("rh", "nep")}
    assert cli("check", copied.recipe, "-o", copied.out).code == 0
    found = cli("check", copied.recipe, "-o", copied.out, "--verify")
    assert found.code == 2
    assert found.err == [
        f"error: {copied.out}: 1 chunk(s) are missing or changed: {key}.",
        "       `nepcube run` with this recipe makes them again.",
    ]
    # what `check` found is taken back already
    (copied.out / "cube.zarr/npp/c/2/0/0").unlink()
    found = cli("run", copied.recipe, "-o", copied.out, "--verify")
    assert found.code == 0
    said = "warning: 1 chunk(s) are missing or changed: cube.zarr/npp/c/2/0/0; they are made again"
    assert said in found.err
    assert {p: p.stat().st_mtime_ns for p in whole} == whole
    tools.same_arrays(copied.out, finished.out)
    assert cli("status", copied.out, "--verify").code == 0


@pytest.mark.parametrize("key", ["cube.zarr/time/c/0", "cube.zarr/latitude/c/0", "statistics.zarr/longitude/c/0"])
def test_damage_of_coordinates_is_found(copied, cli, key):
    # a deleted chunk reads as fill: all years would be 1970, all latitudes 0
    (copied.out / key).unlink()
    assert cli("status", copied.out, "--verify").code == 2


def test_damage_is_mended_where_the_native_climate_was_cleared_away(copied, finished, cli, tools):
    import shutil

    shutil.rmtree(copied.out / ".nepcube" / "native")
    (copied.out / "cube.zarr/temperature/c/1/0/0").unlink()
    assert cli("status", copied.out, "--verify").code == 2
    tools.do_stages(copied.recipe, copied.out)
    tools.same_arrays(copied.out, finished.out)


# --- native series --------------------------------------------------------------------------------------------------


def native(values, years):
    lat, lon = np.array([33.0, 32.9]), np.array([90.0, 90.1, 90.2])
    coords = {
        "time": np.array([f"{y}-01-01" for y in years], "datetime64[ns]"),
        "latitude": lat,
        "longitude": lon,
        "spatial_ref": xr.Variable((), np.int32(0), {"crs_wkt": "x"}),
    }
    data = np.broadcast_to(np.asarray(values, float)[:, None, None], (len(values), 2, 3))
    return xr.DataArray(data, coords, ("time", "latitude", "longitude"), "temperature", {"units": "degC"})


def test_native_series_grow_and_keep_what_they_have(tmp_path):
    series = NativeSeries(tmp_path / "t.zarr")
    first = native([1, 2], [2001, 2002])
    series.create(first, first["time"].values)
    series.write(first.values, first["time"].values)
    longer = native([1, 2, 3], [2001, 2002, 2003])
    series.create(longer, longer["time"].values)
    series.write(longer.values[2:], longer["time"].values[2:])
    got = series.open()["temperature"]
    np.testing.assert_array_equal(got.values, longer.values)
    assert got.attrs == {"units": "degC"}
    assert series.open(between=(np.datetime64("2002-01-01"), np.datetime64("2003-01-01"))).sizes["time"] == 1
    earlier = native([0], [2000])
    series.create(earlier, earlier["time"].values)
    series.write(earlier.values, earlier["time"].values)
    np.testing.assert_array_equal(series.open()["temperature"].values[:, 0, 0], [0, 1, 2, 3])


def test_native_series_killed_while_they_were_made(tmp_path):
    # the folder of the array is there, its metadata not yet
    series = NativeSeries(tmp_path / "t.zarr")
    (tmp_path / "t.zarr" / "values").mkdir(parents=True)
    first = native([1, 2], [2001, 2002])
    series.create(first, first["time"].values)
    series.write(first.values, first["time"].values)
    np.testing.assert_array_equal(series.open()["temperature"].values, first.values)


def test_zarr_is_not_needed_to_know_us():
    # the marker of this file: nothing here asks for nepcube to read a store
    assert "nepcube" not in textwrap.dedent(READ).split("assert not")[0]
    assert zarr.__version__.startswith("3")
    assert issubclass(StoreError, NepcubeError)


def test_chunks_are_on_the_disk_before_the_ledger_vouches_for_them(tmp_path, monkeypatch):
    ledger = Ledger.open(tmp_path)
    segments = tmp_path / ".nepcube" / "ledger"
    brought, sync = [], LocalPlace.sync

    def noted(place):
        brought.append(sorted(p.name for p in segments.glob("*")))
        sync(place)

    monkeypatch.setattr(LocalPlace, "sync", noted)
    ledger.add("ingest", "2001/0/0", {"cube.zarr/npp/c/0/0/0": 1})
    assert brought == []
    ledger.flush()
    assert brought == [[]]
    assert len(list(segments.iterdir())) == 1


def test_what_cannot_be_brought_to_the_disk_is_an_error(tmp_path, monkeypatch):
    def failing(name, **_):
        return SimpleNamespace(syncfs=lambda _: -1)

    monkeypatch.setattr("ctypes.CDLL", failing)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(OSError, match="cannot be brought to the disk"):
        LocalPlace(tmp_path).sync()
