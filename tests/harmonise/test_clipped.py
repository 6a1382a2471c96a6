"""Negative increments, which packing leaves, become zero and are counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from nepcube.harmonise import to_annual


@pytest.mark.parametrize("lazy", [False, True])
def test_negative_daily_totals_are_clipped_and_counted(lazy):
    time = pd.date_range("2001-01-01 00:00", "2002-01-01 00:00", freq="h")
    closing = np.flatnonzero(time.hour == 0)[1:]
    values = np.zeros((time.size, 2, 3))
    values[closing] = 1.0
    values[closing[[3, 40]], 0, 0] = -1e-6
    values[closing[7], 1, 2] = -1e-6
    attrs = {"units": "MJ m-2", "aggregation": "accumulated_since_00utc", "frequency": "hour"}
    da = xr.DataArray(values, {"time": time, "latitude": [1.0, 0.0], "longitude": [0.0, 1.0, 2.0]}, name="radiation")
    ds = da.assign_attrs(attrs).to_dataset()
    annual = to_annual(ds.chunk(time=1000, latitude=1) if lazy else ds, coverage=True)
    assert annual.radiation_clipped.values.tolist() == [3]
    expected = np.full((2, 3), 365.0)
    expected[0, 0] -= 2
    expected[1, 2] -= 1
    np.testing.assert_array_equal(annual.radiation.values[0], expected)
