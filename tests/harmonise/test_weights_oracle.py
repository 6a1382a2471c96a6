"""The weights that ESMF made, applied without it, beside the results that xESMF computed (reference/esmf)."""

import ast

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from nepcube.errors import SourceError
from nepcube.harmonise.weight_files import read_weights, write_weights
from nepcube.harmonise.weights import Weights, apply_weights

PAIRS = [("a010", "500m"), ("b005", "500m"), ("d500m", "005")]
METHODS = ["nearest_s2d", "bilinear", "conservative", "conservative_normed"]


def load(path):
    with xr.open_dataset(path, engine="h5netcdf") as ds:
        return ds.load()


@pytest.fixture(scope="module", params=PAIRS, ids="->".join)
def pair(request, esmf):
    source, target = request.param
    src, goal = load(esmf / f"source_{source}.nc"), load(esmf / f"target_{target}.nc")
    result = load(esmf / f"result_{source}_to_{target}.nc")
    weights = {
        method: read_weights(
            esmf / f"weights_{source}_to_{target}_{method}.nc",
            source_shape=src.field.shape,
            target_shape=(goal.lat.size, goal.lon.size),
            method=method,
        )
        for method in METHODS
    }
    return src, result, weights


def recorded(result, name):
    """One variant; one that is bit-identical to another was left out and is named in `dropped_identical`."""
    return result[name if name in result else ast.literal_eval(result.attrs["dropped_identical"])[name]].values


@pytest.mark.parametrize("method", METHODS)
# na_thres is the share that may be missing, min_fraction the share that must be there
@pytest.mark.parametrize(
    ("field", "min_fraction", "variant"),
    [
        ("field", None, "field"),
        ("field", None, "field_unmapnan"),
        ("field_nan", None, "nan_skipna_false"),
        ("field_nan", 0.0, "nan_skipna_thres1"),
        ("field_nan", 0.5, "nan_skipna_thres05"),
    ],
)
def test_the_weights_give_what_xesmf_gave(pair, method, field, min_fraction, variant):
    src, result, weights = pair
    got = apply_weights(weights[method], src[field].values, min_fraction)
    # the nearest cell is there or not, and its shares were not recorded
    nearest_share = method == "nearest_s2d" and min_fraction is not None
    want = recorded(result, f"{method}__{'nan_skipna_false' if nearest_share else variant}")
    assert np.isfinite(want).mean() > 0.7
    assert_array_equal(np.isnan(got), np.isnan(want))
    assert_allclose(got, want, rtol=0, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_all_that_must_be_there_is_no_missing_cell_at_all(pair, method):
    src, result, weights = pair
    got = apply_weights(weights[method], src.field_nan.values, 1.0)
    assert_allclose(got, recorded(result, f"{method}__nan_skipna_false"), rtol=0, atol=3e-8)


def test_without_the_cells_of_a_mask_esmf_gave_the_rest_of_its_weights(pair):
    """ESMF leaves masked source cells out: plain sums keep the scale of the target cell, normed ones do not."""
    src, result, weights = pair
    for method in ("conservative", "conservative_normed"):
        w = weights[method]
        kept = src["mask"].values.ravel()[w.columns] == 1
        rest = Weights.of(
            w.rows[kept],
            w.columns[kept],
            w.values[kept],
            source_shape=w.source_shape,
            target_shape=w.target_shape,
            method=method,
        )
        got = apply_weights(rest, src.field.values, None if method == "conservative" else 0.0)
        want = recorded(result, f"{method}__masked")
        assert_array_equal(np.isnan(got), np.isnan(want))
        assert_allclose(got, want, rtol=0, atol=1e-7)


def test_the_rows_sum_to_one_where_all_is_covered(pair):
    _, _, weights = pair
    for method, w in weights.items():
        assert w.mapped.all()
        assert_allclose(w.sums, 1, rtol=0, atol=1e-15 if method == "nearest_s2d" else 1e-9)
    assert_allclose(weights["conservative"].fracs, 1, rtol=0, atol=1e-9)


def test_a_file_of_ours_gives_the_same_bit_for_bit(pair, tmp_path):
    src, _, weights = pair
    for method, w in weights.items():
        write_weights(w, tmp_path / f"{method}.nc")
        back = read_weights(tmp_path / f"{method}.nc")
        assert back.method == method
        for min_fraction in (None, 0.5):
            assert_array_equal(
                apply_weights(back, src.field_nan.values, min_fraction),
                apply_weights(w, src.field_nan.values, min_fraction),
            )


def test_the_recorded_files_need_their_shapes(esmf):
    path = esmf / "weights_a010_to_500m_bilinear.nc"
    with pytest.raises(SourceError) as caught:
        read_weights(path)
    assert caught.value.what == f"{path}: the file does not tell the shape of the source."
