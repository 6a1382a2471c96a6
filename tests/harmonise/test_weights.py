"""Sparse weights: their order, their checks, applying them, and the files of ESMF_RegridWeightGen and xESMF."""

import os

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from nepcube.errors import GridError, SourceError
from nepcube.harmonise.weight_files import read_weights, write_weights
from nepcube.harmonise.weights import Weights, apply_weights

SOURCE, TARGET = (3, 4), (2, 3)


def some(method="bilinear", **changes):
    """Five of the six target cells are mapped, the entries in no order."""
    given = {
        "rows": [4, 0, 0, 1, 2, 2, 4, 5],
        "columns": [11, 1, 0, 5, 6, 7, 10, 3],
        "values": [0.25, 0.25, 0.75, 1.0, 0.5, 0.5, 0.75, 1.0],
        "source_shape": SOURCE,
        "target_shape": TARGET,
        "method": method,
    }
    given.update(changes)
    lists = [given.pop(name) for name in ("rows", "columns", "values")]
    return Weights.of(*lists, **given)


def refusal(kind, call, *arguments, **options):
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return caught.value.what, caught.value.way_out


# ---------------------------------------------------------------------------------------------------------- the record


def test_entries_are_sorted_by_target_and_source_cell():
    w = some()
    assert_array_equal(w.rows, [0, 0, 1, 2, 2, 4, 4, 5])
    assert_array_equal(w.columns, [0, 1, 5, 6, 7, 10, 11, 3])
    assert_array_equal(w.values, [0.75, 0.25, 1.0, 0.5, 0.5, 0.75, 0.25, 1.0])
    assert (w.rows.dtype, w.columns.dtype, w.values.dtype) == (np.int64, np.int64, np.float64)
    assert (w.source_shape, w.target_shape) == (SOURCE, TARGET)


def test_the_record_cannot_be_changed():
    with pytest.raises(AttributeError):
        some().method = "conservative"


def test_zero_weights_and_xesmfs_marks_are_left_out():
    w = Weights.of(
        [0, 1, 1], [0, 0, 1], [np.nan, 0.0, 1.0], source_shape=(1, 2), target_shape=(1, 2), method="bilinear"
    )
    assert_array_equal(w.rows, [1])
    assert_array_equal(w.mapped, [False, True])
    # the source cell of weight zero may be missing
    assert_array_equal(apply_weights(w, np.array([[np.nan, 5.0]])), [[np.nan, 5.0]])


@pytest.mark.parametrize(
    ("method", "fracs"),
    [
        ("bilinear", [1, 1, 1, 0, 1, 1]),
        ("nearest_s2d", [1, 1, 1, 0, 1, 1]),
        ("conservative", [0.5, 1, 1, 0, 1, 1]),
    ],
)
def test_the_covered_share_of_a_target_cell(method, fracs):
    values = [0.25, 0.125, 0.375, 1.0, 0.5, 0.5, 0.75, 1.0]
    assert_array_equal(some(method, values=values).fracs, fracs)


def test_weights_that_are_normed_do_not_tell_what_is_covered():
    assert some("conservative_normed").fracs is None
    assert some("unknown").fracs is None
    assert_array_equal(some("conservative_normed", fracs=np.full(TARGET, 0.5)).fracs, np.full(6, 0.5))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"rows": [6, 0, 0, 1, 2, 2, 4, 5]}, "The weights name target cells 0 to 6, the target has cells 0 to 5."),
        ({"rows": [-1, 0, 0, 1, 2, 2, 4, 5]}, "The weights name target cells -1 to 5, the target has cells 0 to 5."),
        (
            {"columns": [12, 1, 0, 5, 6, 7, 10, 3]},
            "The weights name source cells 0 to 12, the source has cells 0 to 11.",
        ),
        ({"values": [1.0]}, "The weights have 8 rows, 8 columns and 1 values."),
        ({"rows": np.ones(8)}, "The rows of the weights are float64, not whole numbers."),
        ({"values": np.full(8, np.inf)}, "A weight is infinite."),
        ({"source_shape": (12,)}, "(12,) is not the shape of a source grid."),
        ({"target_shape": (0, 6)}, "(0, 6) is not the shape of a target grid."),
        ({"fracs": [1.0]}, "1 fractions were given for 6 target cells."),
    ],
)
def test_what_does_not_belong_together_is_refused(changes, what):
    assert refusal(GridError, some, **changes)[0] == what


# ------------------------------------------------------------------------------------------------------------ applying


def test_applying_by_hand():
    data = np.arange(12.0).reshape(SOURCE)
    want = [[0.25, 5.0, 6.5], [np.nan, 10.25, 3.0]]
    for min_fraction in (None, 0.0, 0.5, 1.0):
        assert_array_equal(apply_weights(some(), data, min_fraction), want)


def test_missing_data_are_renormalised_down_to_the_least_share():
    data = np.arange(12.0).reshape(SOURCE)
    data[0, 1] = np.nan  # a quarter of target cell 0
    data[1, 3] = np.inf  # half of target cell 2
    data[2, 2] = np.nan  # three quarters of target cell 4

    def of(min_fraction):
        return apply_weights(some(), data, min_fraction).ravel().tolist()

    nan = pytest.approx(np.nan, nan_ok=True)
    assert of(None) == [nan, 5, nan, nan, nan, 3]
    assert of(1.0) == [nan, 5, nan, nan, nan, 3]
    assert of(0.76) == [nan, 5, nan, nan, nan, 3]
    assert of(0.75) == [0, 5, nan, nan, nan, 3]
    assert of(0.5) == [0, 5, 6, nan, nan, 3]
    assert of(0.25) == [0, 5, 6, nan, 11, 3]
    assert of(0.0) == [0, 5, 6, nan, 11, 3]


def test_a_cell_that_is_covered_in_part_counts_as_missing_in_part():
    w = Weights.of([0, 0], [0, 1], [0.25, 0.25], source_shape=(1, 2), target_shape=(1, 1), method="conservative")
    data = np.array([[4.0, 8.0]])
    assert apply_weights(w, data, 0.5).item() == 6
    assert np.isnan(apply_weights(w, data, 0.51).item())
    # without renormalising, the integral of what is covered is kept
    assert apply_weights(w, data).item() == 3


def test_the_least_share_is_a_share():
    for wrong in (-0.1, 1.5, np.nan):
        what, way_out = refusal(GridError, apply_weights, some(), np.zeros(SOURCE), wrong)
        assert what == f"min_fraction: {wrong} is not a share."
        assert way_out == "Give a number from 0 to 1."


def test_data_of_another_shape_are_refused():
    what, _ = refusal(GridError, apply_weights, some(), np.zeros((2, 4, 3)))
    assert what == "The data have 4 x 3 cells, the weights are for a source of 3 x 4."


@st.composite
def matrices(draw):
    source = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    target = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    n = draw(st.integers(0, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns = rng.integers(0, np.prod(target), n), rng.integers(0, np.prod(source), n)
    return Weights.of(
        rows,
        columns,
        rng.random(n) + 0.01,
        source_shape=source,
        target_shape=target,
        method=draw(st.sampled_from(["bilinear", "conservative", "conservative_normed", "nearest_s2d"])),
    ), rng


def layers_of(weights, rng, lead):
    data = rng.normal(10, 30, (*lead, *weights.source_shape))
    data[rng.random(data.shape) < 0.2] = np.nan
    return data


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from([None, 0.0, 0.3, 1.0]))
def test_a_layer_is_the_same_with_and_without_the_others(made, min_fraction):
    weights, rng = made
    data = layers_of(weights, rng, (2, 3))
    data[1, 1] = np.nan_to_num(data[1, 1])  # one that is whole
    got = apply_weights(weights, data, min_fraction)
    assert got.shape == (2, 3, *weights.target_shape)
    for i in range(2):
        for j in range(3):
            assert_array_equal(got[i, j], apply_weights(weights, data[i, j].copy(), min_fraction))
            assert_array_equal(got[i, j], apply_weights(weights, np.asfortranarray(data[i, j]), min_fraction))


@settings(max_examples=60, deadline=None)
@given(matrices(), st.sampled_from([None, 0.0, 0.3, 1.0]))
def test_applying_equals_the_dense_sum(made, min_fraction):
    weights, rng = made
    data = layers_of(weights, rng, ())
    dense = np.zeros((np.prod(weights.target_shape), np.prod(weights.source_shape)))
    np.add.at(dense, (weights.rows, weights.columns), weights.values)
    flat = data.ravel()
    want = np.full(dense.shape[0], np.nan)
    for k, row in enumerate(dense):
        used = np.flatnonzero(row)
        there = [c for c in used if np.isfinite(flat[c])]
        total, share = sum(row[c] * flat[c] for c in there), sum(row[c] for c in there)
        if min_fraction is None:
            want[k] = total if used.size and len(there) == used.size else np.nan
        elif share > 0 and share >= min(min_fraction, 1 - 1e-6):
            want[k] = total / share
    assert_allclose(apply_weights(weights, data, min_fraction).ravel(), want, rtol=1e-12, atol=1e-10)


# --------------------------------------------------------------------------------------------------------------- files


@settings(max_examples=25, deadline=None)
@given(matrices())
def test_written_read_and_applied_is_the_same_bit_for_bit(tmp_path_factory, made):
    weights, rng = made
    path = tmp_path_factory.mktemp("weights") / "w.nc"
    write_weights(weights, path)
    back = read_weights(path)
    for name in ("rows", "columns", "values"):
        assert_array_equal(getattr(back, name), getattr(weights, name))
    assert (back.source_shape, back.target_shape) == (weights.source_shape, weights.target_shape)
    assert back.method == weights.method
    assert (back.fracs is None) == (weights.fracs is None)
    if weights.fracs is not None:
        assert_array_equal(back.fracs, weights.fracs)
    data = layers_of(weights, rng, (3,))
    for min_fraction in (None, 0.0, 0.5):
        assert_array_equal(apply_weights(back, data, min_fraction), apply_weights(weights, data, min_fraction))


def test_a_file_as_others_see_it(tmp_path):
    path = tmp_path / "w.nc"
    lat, lon = np.meshgrid([30.0, 20.0, 10.0], [1.0, 2.0, 3.0, 4.0], indexing="ij")
    write_weights(some("conservative"), path, centres={"a": (lat, lon)})
    with netCDF4.Dataset(path) as file:
        assert {k: len(d) for k, d in file.dimensions.items()} == {
            "n_a": 12,
            "n_b": 6,
            "n_s": 8,
            "src_grid_rank": 2,
            "dst_grid_rank": 2,
        }
        assert_array_equal(file["src_grid_dims"][:], [4, 3])  # fastest first
        assert_array_equal(file["dst_grid_dims"][:], [3, 2])
        assert_array_equal(file["row"][:], [1, 1, 2, 3, 3, 5, 5, 6])
        assert_array_equal(file["col"][:], [1, 2, 6, 7, 8, 11, 12, 4])
        assert_array_equal(file["S"][:], [0.75, 0.25, 1.0, 0.5, 0.5, 0.75, 0.25, 1.0])
        assert_array_equal(file["frac_b"][:], [1, 1, 1, 0, 1, 1])
        assert_array_equal(file["yc_a"][:], [30, 30, 30, 30, 20, 20, 20, 20, 10, 10, 10, 10])
        assert_array_equal(file["xc_a"][:4], [1, 2, 3, 4])
        assert file["xc_a"].units == "degrees"
        assert [file[n].dtype for n in ("row", "col", "S")] == [np.int32, np.int32, np.float64]
        assert file.normalization == "destarea"
        assert file.map_method == "Conservative remapping"
        assert file.ESMF_regrid_method == "First-order Conservative"
    assert os.listdir(tmp_path) == ["w.nc"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "w.nc"
    write_weights(some(), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_weights(some("conservative"), path)
    assert os.listdir(tmp_path) == ["w.nc"]
    assert path.read_bytes() == before


def test_a_grid_with_more_cells_than_the_format_counts_is_refused(tmp_path):
    w = Weights.of([], [], [], source_shape=(50000, 50000), target_shape=(1, 1), method="bilinear")
    what, way_out = refusal(GridError, write_weights, w, tmp_path / "w.nc")
    assert what == f"{tmp_path / 'w.nc'}: a grid of 2500000000 cells is more than a weight file can count."
    assert way_out == "Cut it into tiles."
    assert os.listdir(tmp_path) == []


def esmf_file(path, *, kind="NETCDF4", leave_out=(), attrs=None, **changes):
    """A file with the layout of ESMF_RegridWeightGen, by netCDF-C."""
    data = {
        "src_grid_dims": ("src_grid_rank", "i4", [4, 3]),
        "dst_grid_dims": ("dst_grid_rank", "i4", [3, 2]),
        "yc_a": ("n_a", "f8", np.zeros(12)),
        "xc_a": ("n_a", "f8", np.zeros(12)),
        "mask_a": ("n_a", "i4", np.ones(12)),
        "mask_b": ("n_b", "i4", np.ones(6)),
        "area_a": ("n_a", "f8", np.zeros(12)),
        "area_b": ("n_b", "f8", np.zeros(6)),
        "frac_a": ("n_a", "f8", np.ones(12)),
        "frac_b": ("n_b", "f8", [1, 1, 1, 0, 1, 0.5]),
        "col": ("n_s", "i4", [12, 2, 1, 6, 7, 8, 11, 4]),
        "row": ("n_s", "i4", [5, 1, 1, 2, 3, 3, 5, 6]),
        "S": ("n_s", "f8", [0.25, 0.25, 0.75, 1.0, 0.5, 0.5, 0.75, 1.0]),
    }
    for name, values in changes.items():
        data[name] = (*data[name][:2], values)
    with netCDF4.Dataset(path, "w", format=kind) as file:
        file.setncatts(
            {
                "title": "ESMF Offline Regridding Weight Generator",
                "normalization": "fracarea",
                "map_method": "Conservative remapping",
                "ESMF_regrid_method": "First-order Conservative",
                **(attrs or {}),
            }
        )
        for name, (dim, dtype, values) in data.items():
            if name in leave_out:
                continue
            if dim not in file.dimensions:
                file.createDimension(dim, len(values))
            file.createVariable(name, dtype, (dim,))[:] = values
    return path


@pytest.mark.parametrize("kind", ["NETCDF4", "NETCDF3_64BIT_OFFSET", "NETCDF3_CLASSIC"])
def test_a_complete_file_needs_no_shapes(tmp_path, kind):
    got = read_weights(esmf_file(tmp_path / "w.nc", kind=kind))
    want = some("conservative_normed", fracs=[1, 1, 1, 0, 1, 0.5])
    for name in ("rows", "columns", "values", "fracs"):
        assert_array_equal(getattr(got, name), getattr(want, name))
        assert getattr(got, name).dtype.isnative
    assert (got.source_shape, got.target_shape, got.method) == (SOURCE, TARGET, "conservative_normed")


@pytest.mark.parametrize(
    ("attrs", "method"),
    [
        ({"normalization": "destarea"}, "conservative"),
        ({"ESMF_regrid_method": "Bilinear", "map_method": "Bilinear remapping"}, "bilinear"),
        ({"ESMF_regrid_method": "Nearest source to destination", "map_method": "Bilinear remapping"}, "nearest_s2d"),
        ({"ESMF_regrid_method": "", "map_method": "Bilinear remapping"}, "bilinear"),
        ({"ESMF_regrid_method": "", "normalization": "destarea"}, "conservative"),
        ({"ESMF_regrid_method": ""}, "conservative_normed"),
        ({"ESMF_regrid_method": "Higher-order Patch"}, "unknown"),
    ],
)
def test_the_method_is_read_from_esmfs_attributes(tmp_path, attrs, method):
    assert read_weights(esmf_file(tmp_path / "w.nc", attrs=attrs)).method == method


BARE = ("src_grid_dims", "dst_grid_dims", "frac_b", "yc_a", "xc_a", "mask_a", "mask_b")
BARE += ("area_a", "area_b", "frac_a")


def test_a_file_of_xesmf_needs_the_shapes(tmp_path):
    path = esmf_file(tmp_path / "w.nc", leave_out=BARE, attrs={"ESMF_regrid_method": "", "map_method": ""})
    got = read_weights(path, source_shape=SOURCE, target_shape=TARGET, method="bilinear")
    assert_array_equal(got.rows, some().rows)
    assert got.method == "bilinear"
    what, way_out = refusal(SourceError, read_weights, path, target_shape=TARGET)
    assert what == f"{path}: the file does not tell the shape of the source."
    assert way_out == "Give it, source_shape."


def test_indices_beyond_the_shapes_that_are_given_are_refused(tmp_path):
    path = esmf_file(tmp_path / "w.nc", leave_out=BARE)
    what, _ = refusal(SourceError, read_weights, path, source_shape=(3, 3), target_shape=TARGET)
    assert what == f"{path}: The weights name source cells 0 to 11, the source has cells 0 to 8."


@pytest.mark.parametrize(
    ("changes", "given", "what"),
    [
        ({}, {"source_shape": (4, 3)}, "the source is 3 x 4, not 4 x 3."),
        ({}, {"target_shape": (6, 1)}, "the target is 2 x 3, not 6 x 1."),
        ({"src_grid_dims": [4, 4]}, {}, "the source is 12 cells, not 4 x 4."),
        ({"src_grid_dims": [12]}, {}, "the source is of rank 1, not a grid of rows and columns."),
        ({"row": [0, 1, 1, 2, 3, 3, 5, 6]}, {}, "`row` counts from 0."),
        (
            {"col": [13, 2, 1, 6, 7, 8, 11, 4]},
            {},
            "The weights name source cells 0 to 12, the source has cells 0 to 11.",
        ),
        ({"leave_out": ("S", "col")}, {}, "no ESMF weight file, it has no S, col."),
    ],
)
def test_a_file_that_contradicts_itself_or_us_is_refused(tmp_path, changes, given, what):
    path = esmf_file(tmp_path / "w.nc", **changes)
    assert refusal(SourceError, read_weights, path, **given)[0] == f"{path}: {what}"


def test_a_source_that_is_no_grid_takes_the_shape_that_is_given(tmp_path):
    path = esmf_file(tmp_path / "w.nc", src_grid_dims=[12])
    assert read_weights(path, source_shape=(1, 12)).source_shape == (1, 12)


def test_what_is_no_weight_file_is_refused_by_name(tmp_path):
    page, cut, new = tmp_path / "page.nc", tmp_path / "cut.nc", tmp_path / "new.nc"
    page.write_text("<!DOCTYPE html>")
    assert refusal(SourceError, read_weights, page) == (
        f"{page}: no ESMF weight file, it is not NetCDF.",
        "Give the path of a weight file.",
    )
    assert refusal(SourceError, read_weights, tmp_path / "none.nc")[0] == (
        f"{tmp_path / 'none.nc'}: No such file or directory."
    )
    for kind in ("NETCDF4", "NETCDF3_CLASSIC"):
        whole = esmf_file(tmp_path / "w.nc", kind=kind).read_bytes()
        cut.write_bytes(whole[: len(whole) // 2])
        assert refusal(SourceError, read_weights, cut)[0].startswith(f"{cut}: the file is damaged (")
    what, way_out = refusal(SourceError, read_weights, esmf_file(new, kind="NETCDF3_64BIT_DATA"))
    assert what == f"{new}: NetCDF of the 64-bit data kind (CDF5) is not read."
    assert way_out == "Convert it with `nccopy -k nc4`."
