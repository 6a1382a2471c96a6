"""What holds for every statistic over time: any order, any chunks, nothing computed early, labels kept."""

import dask
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_array_equal
from stats_factories import cube, series

from nepcube import stats
from nepcube.errors import SpecError
from nepcube.testing import forbid_compute

CALLS = {
    "linear_trend": stats.linear_trend,
    "theil_sen": stats.theil_sen,
    "mann_kendall": stats.mann_kendall,
    "mann_kendall_3pw": lambda da, **o: stats.mann_kendall(da, method="3pw", **o),
    "mann_kendall_hamed_rao": lambda da, **o: stats.mann_kendall(da, method="hamed-rao", **o),
    "breakpoint_given": lambda da, **o: stats.breakpoint_trend(da, 2011, **o),
    "breakpoint_sought": stats.breakpoint_trend,
    "pettitt": stats.pettitt,
    "mean": stats.mean,
    "coefficient_of_variation": stats.coefficient_of_variation,
    "detrended_variation": lambda da, **o: stats.coefficient_of_variation(da, detrend=True, **o),
    "hurst_exponent": stats.hurst_exponent,
    "partial_0": lambda da, **o: stats.partial_correlation(da, other(da, 1), **o),
    "partial_2": lambda da, **o: stats.partial_correlation(da, other(da, 1), [other(da, 2), other(da, 3)], **o),
}
every = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
#: those of one series; the other series of a correlation here are its neighbours'
ALONE = {name: call for name, call in CALLS.items() if not name.startswith("partial")}
alone = pytest.mark.parametrize("call", ALONE.values(), ids=ALONE)


def other(da, shift):
    # another series for each cell: that of a neighbour
    moved = da.roll({d: shift for d in da.dims if d != "time"}, roll_coords=False)
    return (moved - 100 * shift) * 0.5


def field(dtype="f4"):
    y = series(1, 12 * 17, gaps=0.05, dtype=dtype).reshape(20, 12, 17)
    y[:, 0, 0] = np.nan
    y[:, 1, 1] = 5.0
    return cube(y)


def same(a, b):
    assert list(a) == list(b)
    for name in a:
        assert a[name].dims == b[name].dims
        assert a[name].values.tobytes() == b[name].values.tobytes(), name
        assert xr.testing.assert_identical(a[name].variable, b[name].variable) is None


@every
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_any_order_of_dimensions(call, dtype):
    da = field(dtype)
    whole = call(da, min_years=12)
    assert {v.dtype for v in whole.values()} == {np.dtype(dtype)}
    for order in (("latitude", "time", "longitude"), ("longitude", "latitude", "time")):
        found = call(da.transpose(*order), min_years=12)
        assert [v.dims for v in found.values()] == [tuple(d for d in order if d != "time")] * len(found)
        for name in whole:
            assert_array_equal(found[name].transpose("latitude", "longitude"), whole[name])
        # the layout in memory does not matter either
        same(
            call(xr.DataArray(np.asfortranarray(da.values), da.coords, da.dims, da.name, da.attrs), min_years=12), whole
        )


@every
@pytest.mark.parametrize(
    "chunks",
    [
        {"time": 1, "latitude": 5, "longitude": 4},
        {"time": 7, "latitude": -1, "longitude": 3},
        {"time": -1, "latitude": 1},
    ],
)
def test_chunks_change_no_bit(call, chunks):
    da = field()
    whole = call(da, min_years=12)
    lazy = da.chunk(chunks)
    with forbid_compute():
        found = call(lazy, min_years=12)
    assert all(dask.is_dask_collection(v.data) for v in found.values())
    same(found.compute(scheduler="threads"), whole)


@alone
def test_one_cell_is_the_cell_of_the_map(call):
    da = field()
    whole = call(da, min_years=12)
    for i, j in ((0, 0), (1, 1), (5, 9)):
        alone = call(da[:, i, j], min_years=12)
        for name in whole:
            assert_array_equal(alone[name].values, whole[name].values[i, j])


@every
def test_coordinates_are_kept_and_time_is_gone(call):
    da = field().assign_coords(spatial_ref=np.int32(0), region=("latitude", np.arange(12)))
    da = da.assign_coords(time_bnds=("time", np.arange(20)))
    found = call(da, min_years=12)
    for name in ("latitude", "longitude", "region", "spatial_ref"):
        xr.testing.assert_identical(found[name].variable, da[name].variable)
    assert not {"time", "time_bnds"} & set(found.coords)
    assert found.n.attrs == {"long_name": "number of years used", "units": "1"}


@every
def test_the_input_is_not_touched(call):
    da = field()
    before = da.copy(deep=True)
    call(da, min_years=12)
    xr.testing.assert_identical(da, before)


@every
def test_whole_numbers_are_computed_in_float64(call):
    y = np.random.default_rng(0).integers(-500, 500, (20, 3, 4)).astype("i2")
    found = call(cube(y))
    assert {v.dtype for v in found.values()} == {np.dtype("f8")}
    same(found, call(cube(y.astype("f8"))))


@every
def test_no_cell_at_all(call):
    found = call(cube(np.empty((20, 0, 3))))
    assert {v.shape for v in found.values()} == {(0, 3)}


@alone
def test_another_name_of_time(call):
    da = field()
    whole, found = call(da, min_years=12), call(da.rename(time="year"), dim="year", min_years=12)
    for name in whole:
        assert_array_equal(found[name], whole[name])


@every
def test_a_dimension_that_is_not_there(call):
    """The docstrings promise a SpecError, and `one_chunk` has its text."""
    with pytest.raises(SpecError, match=r"nep: no dimension 'year' \(found: time, latitude, longitude\)\."):
        call(field(), dim="year")
