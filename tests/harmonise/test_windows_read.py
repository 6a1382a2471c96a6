"""What a window reads of its source, and the quick ways of kernels held against the plain ones."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from nepcube.grid import Window, spatial_coords, target_grid
from nepcube.harmonise import _kernels, positions, regrid_window

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"


class Recorder:
    """An array that notes what is asked of it."""

    ndim, dtype = 3, np.dtype("float32")

    def __init__(self, values):
        self.values, self.shape, self.asked = values, values.shape, []

    def __getitem__(self, key):
        self.asked.append(key)
        return self.values[key]


@pytest.fixture
def source():
    """Three years on 400 x 400 cells of 0.05 degrees around 100 E, 35 N, in chunks of half of them."""
    values = np.random.default_rng(5).random((3, 400, 400), np.float32)
    recorder = Recorder(values)
    box = GeoBox((400, 400), Affine(0.05, 0, 90.0, 0, -0.05, 45.0), "EPSG:4326")
    data = da.from_array(recorder, chunks=(1, 200, 200), name=False, inline_array=True, meta=np.empty((0, 0, 0), "f4"))
    coords = spatial_coords(box) | {"time": np.array(["2001", "2002", "2003"], "datetime64[ns]")}
    return recorder, xr.Dataset({"npp": (("time", "latitude", "longitude"), data)}, coords)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "conservative"])
def test_a_step_is_taken_as_if_it_had_been_taken_before(source, method):
    _, ds = source
    grid, window = target_grid((95.0, 32.0, 99.0, 36.0), "0.02 deg"), Window(30, 90, 10, 110)
    taken = regrid_window(ds, grid, window, method, step=1)
    before = regrid_window(ds.isel(time=slice(1, 2)), grid, window, method)
    xr.testing.assert_identical(taken.compute(), before.compute())
    assert taken["time"].values.tolist() == ds["time"].values[1:2].tolist()


def test_a_step_outside_the_source_is_missing_and_keeps_its_time(source):
    recorder, ds = source
    grid = target_grid((120.0, 0.0, 121.0, 1.0), "0.1 deg")
    taken = regrid_window(ds, grid, Window(0, 10, 0, 10), "nearest", step=2)
    assert taken["npp"].shape == (1, 10, 10)
    assert np.isnan(taken["npp"].values).all()
    assert taken["time"].values.tolist() == ds["time"].values[2:].tolist()
    assert recorder.asked == []


def test_a_window_reads_its_own_rows_and_columns_of_one_step(source):
    recorder, ds = source
    # rows 180..219 and columns 100..119 of the source, in two chunks
    grid = target_grid((95.0, 34.0, 96.0, 36.0), "0.05 deg")
    with dask.config.set(scheduler="synchronous"):
        regrid_window(ds, grid, Window(0, grid.shape[0], 0, grid.shape[1]), "nearest", step=2).compute()
    asked = sorted((k.start, k.stop) for _, k, _ in recorder.asked)
    assert [key[0] for key in recorder.asked] == [slice(2, 3)] * 2
    assert asked[0][0] >= 180 - 3
    assert asked[0][1] == asked[1][0] == 200
    assert asked[1][1] <= 220 + 3
    assert all(k.start >= 100 - 3 and k.stop <= 120 + 3 for *_, k in recorder.asked)


def test_columns_of_a_sinusoidal_grid_are_those_of_its_positions():
    columns, rows, res = 300, 200, 5000.0
    box = GeoBox((rows, columns), Affine(res, 0, 8.0e6, 0, -res, 4.3e6), SINUSOIDAL)
    coords = spatial_coords(box)
    ds = xr.Dataset({"v": (("y", "x"), np.arange(rows * columns, dtype=np.float32).reshape(rows, columns))}, coords)
    lattice = positions.Lattice.of(ds)
    # larger than the source, so that cells beyond each of its edges are met
    grid = target_grid((80.0, 26.0, 105.0, 44.0), "0.04 deg")
    window = Window(0, grid.shape[0], 0, grid.shape[1])
    at = positions.positions(lattice, grid, window)
    r, c = np.floor(at.rows + 0.5), np.floor(at.columns + 0.5)
    inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
    expected = np.full(grid.shape, np.nan, np.float32)
    expected[inside] = ds["v"].values[r[inside].astype(int), c[inside].astype(int)]
    found = regrid_window(ds, grid, window, "nearest")["v"].values
    assert inside.any()
    assert not inside.all()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2), (7, 9)])
def test_bilinear_is_one_to_the_last_bit_whether_positions_are_separable_or_not(shape, missing):
    rng = np.random.default_rng(shape[0] * 10 + shape[1])
    source = rng.standard_normal((2, *shape)) * 1e3
    source[rng.random(source.shape) < missing] = np.nan
    rows = np.concatenate([np.arange(-1, shape[0] + 1), rng.uniform(-0.5, shape[0], 40), [np.nan, -5e-10]])
    columns = np.concatenate([np.arange(-1, shape[1] + 1), rng.uniform(-0.5, shape[1], 40), [shape[1] - 1 + 5e-10]])
    wide = [np.ascontiguousarray(a) for a in np.meshgrid(rows, columns, indexing="ij")]
    for least in (0.2, 0.5, 1.0):
        a, b = (np.empty((2, rows.size, columns.size)) for _ in range(2))
        _kernels.bilinear_separable(source, rows, columns, least, a)
        _kernels.bilinear(source, *wide, least, b)
        assert a.tobytes() == b.tobytes()
