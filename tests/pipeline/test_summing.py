"""Sums of one block: what is read how often, and that the cut into strips changes nothing."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import nepcube as nc
from nepcube.grid import Window
from nepcube.pipeline import summing
from nepcube.pipeline.stratifying import layouts_of
from nepcube.regions import Members, Stratum, lattices_of
from nepcube.store import Layout, Store, read_block

CODES = (10, 20, 30)
YEARS = (2001, 2002, 2003)


class Rule:
    """A sheet whose pixels follow a rule."""

    path, wkt, dtype, units, whole = "rule.tif", "EPSG:4326", "uint8", "", True
    shape, transform = (300, 300), (0.01, 0.0, 90.0, 0.0, -0.01, 33.0)

    def read(self, rows, columns):
        r, c = np.array(rows)[:, None], np.array(columns)[None, :]
        return (10 + 10 * ((r * r // 7 + c * 5) % 3)).astype(np.uint8), (r + c) % 11 == 0


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("summing")
    grid = nc.target_grid((90.0, 30.0, 93.0, 33.0), resolution="0.05 deg")
    window = Window(0, grid.shape[0], 0, grid.shape[1])
    rng = np.random.default_rng(4)
    cube, maps = (Store(folder / f"{name}.zarr", grid, 64, 16) for name in ("cube", "statistics"))
    stratum = Stratum("cover", "categorical", (lattices_of([Rule()]),), ("a", "b", "c"), codes=CODES, fractions=True)
    cube.create([Layout("nep", "float32", {}, yearly=True), Layout("npp_flag", "uint8", {}, yearly=True)], YEARS)
    plain = {"region": "int16", "nep_count": "uint8", "nep_mean": "float32"}
    plain |= {"nep_slope": "float32", "nep_slope_pvalue": "float32"}
    maps.create([*(Layout(n, t, {}, yearly=False) for n, t in plain.items()), *layouts_of([stratum])], None)
    nep = rng.normal(0, 100, (3, *grid.shape)).astype(np.float32)
    nep[:, rng.random(grid.shape) < 0.2] = np.nan
    for k in range(3):
        flags = rng.choice([0, 3, 255], grid.shape).astype(np.uint8)
        cube.write({"nep": xr.DataArray(nep[k : k + 1]), "npp_flag": xr.DataArray(flags[None])}, window, step=k)
    values = {
        "region": rng.integers(0, 4, grid.shape),
        "nep_count": np.isfinite(nep).sum(axis=0),
        "nep_mean": nep[0],
        "nep_slope": nep[1],
        "nep_slope_pvalue": np.where(np.isnan(nep[1]), np.nan, rng.random(grid.shape)),
    }
    maps.write({n: xr.DataArray(v) for n, v in values.items()}, window)
    return summing.Job(
        grid=grid, shapes=None, regions=3, exact=False, cube=cube, statistics=maps, window=window, classes=(), coded=(),
        partials=(), partial_breaks=(), flagged=True, years=3, alpha=0.05, thresholds={}, strata=(stratum,),
    )  # fmt: skip


def stored_map(job):
    return read_block(job.statistics.path, ["stratum_cover"], job.window)["stratum_cover"]


def numbers(sums):
    yield from (a.tobytes() for a in (sums.series.labels, sums.series.cells, sums.series.area, sums.series.total))
    for one in (sums.regions, *sums.flags, *sums.signs.values()):
        yield from (a.tobytes() for a in (one.labels, one.codes, one.area))
    for one in sums.strata.values():
        yield from numbers(one)


@pytest.mark.parametrize("shared", [1, 60, 7 * 16, 2**20])
def test_what_is_stored_is_read_once_however_fractions_are_cut(job, monkeypatch, shared):
    whole, _ = summing.sum_job(job)
    stored = stored_map(job)
    read: list[tuple] = []
    plain = summing.store.read_block

    def watched(path, names, window, *more):
        read.append((tuple(names), window))
        return plain(path, names, window, *more)

    monkeypatch.setattr(summing.store, "read_block", watched)
    monkeypatch.setattr(summing, "_SHARED_CELLS", shared)
    cut, _ = summing.sum_job(job)
    assert list(numbers(cut)) == list(numbers(whole))
    again = stored_map(job)
    np.testing.assert_array_equal(again, stored)
    assert set(np.unique(again)) == {*CODES}
    # whole chunks, one after the other, and every one once
    parts = [window for names, window in read if names == ("nep",)]
    assert len(read) == 3 * len(parts)
    side, (rows, columns) = job.cube.inner, job.window.shape
    expected = {(y, x) for y in range(0, rows, side) for x in range(0, columns, side)}
    assert len(parts) == len(expected) > 4
    assert {(w.y0, w.x0) for w in parts} == expected
    assert all(w.y1 == min(w.y0 + side, rows) and w.x1 == min(w.x0 + side, columns) for w in parts)


@given(data=st.data())
def test_members_of_some_cells_are_those_of_the_whole(data):
    labels = np.array(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=30)))
    first = data.draw(st.integers(0, labels.size))
    stop = data.draw(st.integers(first, labels.size))
    part = Members.of_labels(labels, outside=False).between(first, stop)
    right = Members.of_labels(labels[first:stop], outside=False)
    for a, b in zip((part.labels, part.shares), (right.labels, right.shares), strict=True):
        np.testing.assert_array_equal(a, b)
    for k in range(1, 4):
        shape = (1, stop - first)
        np.testing.assert_array_equal(part.shares_of(k, shape), right.shares_of(k, shape))
        np.testing.assert_array_equal(part.shares_of(k, shape)[0], labels[first:stop] == k)
