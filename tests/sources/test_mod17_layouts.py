"""Every layout of the same integers gives the same productivity and flags, exactly, on the same cells."""

import os

import dask
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from layouts import DEGREES, IN_DEGREES, NORTH, ON_TILE, STEP, WEST, YEARS, as_bands, options_of, reader_of
from numpy.testing import assert_allclose, assert_array_equal
from providers import CODES, SINUSOIDAL
from pyproj import CRS

import nepcube as nc
from nepcube.grid import geobox_of
from nepcube.harmonise import regrid
from nepcube.sources import Request, hdf4, hdf5eos, rasters, reader
from nepcube.testing import forbid_compute


def truth(raw, qc, max_qc=None, zero=False):
    flag = np.zeros(raw.shape, np.uint8)
    value = (raw.astype(np.float32) / np.float32(10)).astype(np.float32)
    flag[(raw < -30000) | (raw > 32700)] = 8
    for code in CODES:
        flag[raw == code] = code - 32760
    if max_qc is not None:
        flag[(flag == 0) & (qc > max_qc)] = 9
    value[flag != 0] = np.nan
    if zero:
        value[flag == 5] = 0
    return value, flag


def numbers(seed=0, shape=(2, 20, 20)):
    rng = np.random.default_rng(seed)
    raw = rng.integers(-3000, 20000, shape)
    special = [*CODES, 32701, 32760, 32700, -30000, -30001, -32767, 0, 1, -1]
    raw.reshape(-1)[rng.choice(raw.size, 8 * len(special), replace=False)] = special * 8
    return raw.astype(np.int16), rng.integers(0, 101, shape).astype(np.uint8)


def opened(layout, folder, **options):
    with forbid_compute():
        return nc.open_source(reader_of(layout), folder / "*", **(options_of(layout) | options))


@pytest.mark.parametrize("max_qc", [None, 0, 40])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("layout", ON_TILE)
def test_a_layout_on_the_tiles_gives_the_integers(tmp_path, layout, max_qc, zero):
    raw, qc = numbers()
    ON_TILE[layout](tmp_path, raw, qc)
    ds = opened(layout, tmp_path, max_qc=max_qc, nonvegetated="zero" if zero else "nan")
    value, flag = truth(raw, qc, max_qc, zero)
    assert ds.npp.dims == ds.npp_flag.dims == ("time", "y", "x")
    assert (ds.npp.dtype, ds.npp_flag.dtype) == (np.float32, np.uint8)
    assert_array_equal(ds.npp_flag.values, flag)
    assert_array_equal(ds.npp.values, value)
    assert ds.npp.attrs["units"] == "g m-2 year-1"
    assert ds.npp.attrs["nonvegetated"] == ("zero" if zero else "nan")
    assert ds.time.dt.year.values.tolist() == list(YEARS)
    assert CRS.from_wkt(ds.spatial_ref.attrs["crs_wkt"]).equals(CRS.from_user_input(SINUSOIDAL))
    # the cells of the MODIS grid are whole numbers of steps from its origin, whoever cut them out
    column = 7 * 20
    assert_array_equal(ds.x.values, (np.arange(column, column + 20) + 0.5) * STEP)
    assert_array_equal(ds.y.values, (np.arange(4 * 20, 3 * 20, -1) - 0.5) * STEP)
    assert geobox_of(ds).shape == (20, 20)


@pytest.mark.parametrize("max_qc", [None, 40])
@pytest.mark.parametrize("layout", IN_DEGREES)
def test_a_layout_in_degrees_gives_the_integers(tmp_path, layout, max_qc):
    raw, qc = numbers(1, (2, 13, 17))
    IN_DEGREES[layout](tmp_path, raw, qc)
    ds = opened(layout, tmp_path, max_qc=max_qc)
    value, flag = truth(raw, qc, max_qc)
    assert ds.npp.dims == ds.npp_flag.dims == ("time", "latitude", "longitude")
    assert_array_equal(ds.npp_flag.values, flag)
    assert_array_equal(ds.npp.values, value)
    # a hundredth of a millimetre: a NetCDF gives centres, from which the step is found
    assert_allclose(ds.latitude.values, NORTH - (np.arange(13) + 0.5) * DEGREES, rtol=0, atol=1e-10)
    assert_allclose(ds.longitude.values, WEST + (np.arange(17) + 0.5) * DEGREES, rtol=0, atol=1e-10)
    assert CRS.from_wkt(ds.spatial_ref.attrs["crs_wkt"]).to_epsg() == 4326
    assert geobox_of(ds).shape == (13, 17)


@given(
    raw=arrays(np.int16, (2, 6, 6), elements=st.one_of(st.integers(-32768, 32767), st.sampled_from([*CODES, 0, -1]))),
    qc=arrays(np.uint8, (2, 6, 6)),
    max_qc=st.one_of(st.none(), st.integers(0, 100)),
    where=st.sampled_from(["tile", "degrees"]),
)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_all_layouts_agree(tmp_path_factory, raw, qc, max_qc, where):
    table = ON_TILE if where == "tile" else IN_DEGREES
    value, flag = truth(raw, qc, max_qc)
    for layout, write in table.items():
        folder = tmp_path_factory.mktemp(layout)
        # an export of float numbers cannot hold what its nodata hides; -32768 is no number of the product
        mine = np.where(raw == -32768, -32767, raw) if layout == "floats" else raw
        write(folder, mine, qc)
        ds = opened(layout, folder, max_qc=max_qc)
        assert_array_equal(ds.npp_flag.values, flag, err_msg=layout)
        assert_array_equal(ds.npp.values, value, err_msg=layout)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("layout", IN_DEGREES)
def test_any_window_is_the_slice_of_the_whole(tmp_path, layout, seed):
    raw, qc = numbers(seed, (2, 13, 17))
    IN_DEGREES[layout](tmp_path, raw, qc)
    lazy = opened(layout, tmp_path, max_qc=50)
    whole = lazy.compute()
    rng = np.random.default_rng(seed)
    (y0, y1), (x0, x1) = np.sort(rng.integers(0, 13, 2)), np.sort(rng.integers(0, 17, 2))
    for at in (
        {"latitude": slice(y0, y1 + 1), "longitude": slice(x0, x1 + 1)},
        {"time": slice(None, None, -1), "latitude": slice(None, None, -2), "longitude": [5, 1, 16]},
        {"time": 1, "latitude": int(y1)},
    ):
        assert lazy.isel(at).compute().identical(whole.isel(at))


@pytest.mark.parametrize("layout", ["appeears-tif", "appeears-netcdf", "bands", "shards"])
def test_the_native_rectangle_and_the_tile_regrid_alike(tmp_path, layout):
    raw, qc = numbers(4)
    for name in ("hdf4", layout):
        (tmp_path / name).mkdir()
        ON_TILE[name](tmp_path / name, raw, qc)
    grid = nc.target_grid((88.0, 31.0, 97.0, 39.0), resolution="0.2 deg")
    a, b = (regrid(opened(name, tmp_path / name)[["npp", "npp_flag"]], grid).compute() for name in ("hdf4", layout))
    assert_array_equal(a.npp_flag.values, b.npp_flag.values)
    assert_array_equal(a.npp.values, b.npp.values)
    assert (a.npp_flag.values == 0).any()


@pytest.mark.parametrize("layout", [*ON_TILE, *IN_DEGREES])
def test_inspect_lists_the_files(tmp_path, layout):
    raw, qc = numbers(2)
    (ON_TILE if layout in ON_TILE else IN_DEGREES)[layout](tmp_path, raw, qc)
    paths = tuple(sorted(str(p) for p in tmp_path.iterdir()))
    request = Request(paths=paths, units=options_of(layout).get("units"), years=YEARS, max_qc=30)
    with forbid_compute():
        found = reader(reader_of(layout)).inspect(request)
    assert found.findings == ()
    assert {g.path for g in found.granules} == set(paths)
    assert {g.start[:4] for g in found.granules} | {g.end[:4] for g in found.granules} == {"2001", "2002"}
    assert all(g.bytes == os.path.getsize(g.path) for g in found.granules)
    tiled = layout in ("hdf4", "cogs", "viirs")
    assert all((g.detail.split()[0] == "h25v05") == tiled for g in found.granules)


@pytest.mark.parametrize("layout", ON_TILE)
def test_each_field_is_decoded_once_for_both_variables(tmp_path, layout, monkeypatch):
    raw, qc = numbers(5)
    ON_TILE[layout](tmp_path, raw, qc)
    decoded = []
    for module, name in ((hdf4, "_read_field"), (hdf5eos, "_read_window"), (rasters, "_read_window")):
        real = getattr(module, name)

        def counted(path, *what, real=real):
            decoded.append((path, *map(str, what)))
            return real(path, *what)

        monkeypatch.setattr(module, name, counted)
    lazy = opened(layout, tmp_path, max_qc=40)
    assert decoded == []
    # many threads want the same windows at the same time
    got = lazy.compute(scheduler="threads", num_workers=8)
    value, flag = truth(raw, qc, 40)
    assert_array_equal(got.npp_flag.values, flag)
    assert_array_equal(got.npp.values, value)
    assert len(decoded) == len(set(decoded)) >= 4


@pytest.mark.parametrize("layout", IN_DEGREES)
def test_many_threads_read_what_one_reads(tmp_path, layout):
    raw, qc = numbers(6, (2, 60, 70))
    IN_DEGREES[layout](tmp_path, raw, qc)
    lazy = opened(layout, tmp_path, max_qc=40)
    pieces = [
        lazy.isel(latitude=slice(y, y + 9), longitude=slice(x, x + 7)) for y in range(0, 60, 9) for x in range(0, 70, 7)
    ]
    many = dask.compute(*pieces, scheduler="threads", num_workers=16)
    value, flag = truth(raw, qc, 40)
    for k, part in enumerate(many):
        y, x = k // 10 * 9, k % 10 * 7
        assert_array_equal(part.npp.values, value[:, y : y + 9, x : x + 7])
        assert_array_equal(part.npp_flag.values, flag[:, y : y + 9, x : x + 7])


def test_a_band_s_name_may_have_many_forms(tmp_path):
    raw, qc = numbers(3, (2, 13, 17))
    want = truth(raw, qc, 50)
    for k, names in enumerate(
        [
            ("Npp_{}", "Npp_QC_{}"),
            ("{}_01_01_Npp", "{}_01_01_Npp_QC"),
            ("NPP{}", "NPP_QC{}"),
            ("npp.{}", "npp-qc-{}"),
            ("{}0101_Npp_500m", "{}0101_Npp_QC_500m"),
            ("y{}", "Npp_QC_{}"),
        ]
    ):
        folder = tmp_path / str(k)
        folder.mkdir()
        as_bands(folder, raw, qc, "EPSG:4326", names=names)
        ds = opened("bands", folder, max_qc=50)
        assert_array_equal(ds.npp_flag.values, want[1])
        assert_array_equal(ds.npp.values, want[0])
        assert ds.attrs["product"] == "MOD17A3HGF, version not stated"
