"""Flux towers: their annual NEP, the cells that hold them, what is said of both, and what is refused."""

import calendar
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import nepcube as nc
from nepcube.errors import NepcubeError, SourceError, SpecError, StoreError
from nepcube.grid import coordinates, dims, spatial_coords, target_grid
from nepcube.pipeline import validate
from nepcube.validate import agreement, annual_nep, cell_of, compare, load_towers, notes, read_months, summary_lines

SITES = ("Cha", "Cng", "Dan", "Din", "Du2", "Du3", "Ha2", "HaM", "Qia", "Sw2")
BOUNDS = (90.0, 30.0, 92.0, 32.0)


def months_of(values, qc=0.9):
    """The text of a monthly file that adds up to the given NEP a year: a mapping of year to gC m-2 yr-1."""
    lines = ["TIMESTAMP,TA_F,NEE_VUT_REF,NEE_VUT_REF_QC"]
    for year, nep in values.items():
        days = 366 if calendar.isleap(year) else 365
        lines += [f"{year}{month:02d},-9999,{float(-nep / days)!r},{qc}" for month in range(1, 13)]
    return "\n".join(lines) + "\n"


def tower_list(folder, towers, values=None, qc=0.9):
    """Write a list of towers, name to (latitude, longitude), each with its monthly file; gives the list's path."""
    rows = ["name,latitude,longitude,file"]
    for name, (latitude, longitude) in towers.items():
        (folder / f"{name}.csv").write_text(months_of((values or {}).get(name, {2001: 100.0}), qc))
        rows.append(f"{name},{float(latitude)!r},{float(longitude)!r},{name}.csv")
    path = folder / "towers.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


def cube_on(grid, years=(2001, 2002)):
    """NEP of year k, row i, column j is 1000 k + 10 i + j: every cell has its own."""
    rows, columns = grid.shape
    k, i, j = np.ogrid[: len(years), :rows, :columns]
    time = np.array([f"{y}-01-01" for y in years], "datetime64[ns]")
    return xr.DataArray(
        (1000 * k + 10 * i + j).astype("f4"),
        {"time": time, **spatial_coords(grid)},
        ("time", *dims(grid)),
        "nep",
        {"units": "g m-2 year-1"},
    )


# --------------------------------------------------------------------------------------------------- the annual rule


def twin(frame):
    """The rule again, by pandas: one row a year."""
    frame = frame.replace(-9999, np.nan)
    when = pd.to_datetime(frame["TIMESTAMP"].astype(str), format="%Y%m")
    frame = frame.assign(year=when.dt.year, amount=-frame["NEE_VUT_REF"] * when.dt.days_in_month)
    by = frame.groupby("year")
    out = pd.DataFrame({"nep": by["amount"].sum(min_count=12), "months": by["amount"].count()})
    least, mean = by["NEE_VUT_REF_QC"].min(), by["NEE_VUT_REF_QC"].mean()
    whole = (out["months"] == 12) & (by["NEE_VUT_REF_QC"].count() == 12)
    return out.assign(qc_mean=mean, counts=whole & (least >= 0.5) & (mean >= 0.75)).reset_index()


@pytest.fixture(scope="session")
def flux():
    folder = os.environ.get("NEPCUBE_TEST_DATA")
    if not folder:
        pytest.skip("NEPCUBE_TEST_DATA is not set")
    return Path(folder) / "flux"


@pytest.mark.parametrize("site", SITES)
def test_real_towers_are_what_pandas_makes_of_them(flux, site):
    (path,) = flux.glob(f"FLX_CN-{site}_*_MM_*.csv")
    found, other = nc.tower_nep(path), twin(pd.read_csv(path))
    assert list(found["year"]) == list(other["year"])
    np.testing.assert_allclose(found["nep"], other["nep"], rtol=1e-12)
    np.testing.assert_allclose(found["qc_mean"], other["qc_mean"], rtol=1e-12)
    assert list(found["counts"]) == list(other["counts"])
    assert [bool(r) for r in found["reason"]] == [not c for c in found["counts"]]


def test_eighteen_of_the_real_tower_years_count(flux):
    every = pd.concat([nc.tower_nep(p) for p in sorted(flux.glob("*_MM_*.csv"))])
    assert (len(every), int(every["counts"].sum())) == (29, 18)


shares = st.floats(0, 1)
fluxes = st.floats(-20, 20)
twelve = st.lists(st.tuples(fluxes, shares), min_size=12, max_size=12)


def frame_of(year, pairs, months=range(1, 13)):
    return pd.DataFrame([(year, m, nee, qc) for m, (nee, qc) in zip(months, pairs, strict=True)]).set_axis(
        ["year", "month", "nee", "qc"], axis=1
    )


@settings(max_examples=60, deadline=None)
@given(year=st.integers(1990, 2030), pairs=twelve)
def test_the_rule(year, pairs):
    (row,) = annual_nep(frame_of(year, pairs)).to_dict("records")
    days = [calendar.monthrange(year, m)[1] for m in range(1, 13)]
    assert row["nep"] == pytest.approx(-sum(n * d for (n, _), d in zip(pairs, days, strict=True)), abs=1e-9)
    qc = [q for _, q in pairs]
    assert row["counts"] == (min(qc) >= 0.5 and math.fsum(qc) / 12 >= 0.75)
    assert bool(row["reason"]) != row["counts"]


@settings(max_examples=40, deadline=None)
@given(pairs=twelve, missing=st.sets(st.integers(0, 11), min_size=1), k=st.integers(-3, 3))
def test_a_year_with_a_gap_never_counts_and_a_constant_is_its_days(pairs, missing, k):
    pairs = [(nee, 1.0) for nee, _ in pairs]
    whole, more = (annual_nep(frame_of(2004, [(nee + s, 1.0) for nee, _ in pairs])) for s in (0, k))
    assert whole["counts"].all()
    assert more["nep"][0] == pytest.approx(whole["nep"][0] - 366 * k, abs=1e-9)
    gaps = [(math.nan, 1.0) if m in missing else pair for m, pair in enumerate(pairs)]
    (row,) = annual_nep(frame_of(2004, gaps)).to_dict("records")
    assert (row["counts"], row["months"]) == (False, 12 - len(missing))
    assert math.isnan(row["nep"])
    assert row["reason"].startswith(f"{12 - len(missing)} of 12 months")


@settings(max_examples=30, deadline=None)
@given(pairs=twelve, order=st.permutations(range(12)))
def test_the_order_of_months_does_not_matter(pairs, order):
    frame = frame_of(2001, pairs)
    pd.testing.assert_frame_equal(annual_nep(frame.iloc[list(order)]), annual_nep(frame))


@pytest.mark.parametrize(
    ("qc", "counts", "reason"),
    [
        ([0.75] * 12, True, ""),
        ([0.5] * 6 + [1.0] * 6, True, ""),
        ([0.5] * 7 + [0.9] * 5, False, "mean quality 0.667 is below 0.75"),
        ([1.0] * 11 + [0.4999], False, "quality below 0.5 in 1 month(s), first 200112"),
        ([1.0] * 11 + [math.nan], False, "no quality in 1 month(s)"),
        ([math.nan] * 12, False, "no quality in 12 month(s)"),
    ],
)
def test_the_limits_of_quality(qc, counts, reason):
    (row,) = annual_nep(frame_of(2001, [(-1.0, q) for q in qc])).to_dict("records")
    assert (row["nep"], row["counts"], row["reason"]) == (365.0, counts, reason)


def test_missing_codes_are_missing(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("TIMESTAMP,NEE_VUT_REF,NEE_VUT_REF_QC,RECO_NT_VUT_REF\n200102,,0.5,1\n200101,-9999,-9999.0,1\n")
    months = read_months(path)
    assert list(months["month"]) == [1, 2]
    assert months["nee"].isna().all()
    assert months["qc"].isna().tolist() == [True, False]


# ------------------------------------------------------------------------------------------------------ cells of grids

GRIDS = {
    "degrees": (BOUNDS, "0.1 deg", "EPSG:4326"),
    "Albers": (
        (-1.6e6, 3.1e6, -1.2e6, 3.6e6),
        "25 km",
        "+proj=aea +lat_1=25 +lat_2=47 +lon_0=105 +ellps=WGS84",
    ),
    "MODIS": ((8.5e6, 3.3e6, 8.9e6, 3.6e6), "20 km", "+proj=sinu +lon_0=0 +R=6371007.181 +units=m"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_each_cell_is_found_from_its_centre_in_any_crs(name, tmp_path):
    from pyproj import Transformer

    grid = target_grid(*GRIDS[name])
    y, x = coordinates(grid)
    back = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True)
    wanted = {f"T{i}": (i % len(y), (3 * i) % len(x)) for i in range(12)}
    places = {n: back.transform(x[j], y[i])[::-1] for n, (i, j) in wanted.items()}
    path = tower_list(tmp_path, places, {n: {2001: 100.0, 2002: 50.0} for n in places})
    assert cell_of(load_towers(path), grid) == list(wanted.values())
    nep = cube_on(grid)
    table = nc.compare_with_towers(nep.chunk({dims(grid)[0]: 7}), path)
    assert table["used"].all()
    for row in table.itertuples():
        i, j = wanted[row.tower]
        k = row.year - 2001
        assert row.cell_nep_gc_m2 == 1000 * k + 10 * i + j
        rows, columns = (np.arange(max(c - 1, 0), min(c + 2, n)) for c, n in ((i, len(y)), (j, len(x))))
        assert row.n_cells == len(rows) * len(columns)
        # a plane has its mean in the middle of the rows and columns
        assert row.neighbourhood_nep_gc_m2 == pytest.approx(1000 * k + 10 * rows.mean() + columns.mean(), rel=1e-12)
        assert row.tower_nep_gc_m2 == pytest.approx((100, 50)[k], rel=1e-12)


def test_only_the_cells_around_towers_are_asked_for(tmp_path):
    grid = target_grid(*GRIDS["degrees"])
    asked = []

    def read(window):
        asked.append(window)
        return np.zeros((1, *window.shape))

    path = tower_list(tmp_path, {"in": (31.0, 91.0), "corner": (31.99, 90.01), "out": (20.0, 91.0)})
    found = compare(load_towers(path), grid, [2001], read)
    assert [w.shape for w in asked] == [(3, 3), (2, 2)]
    assert found.cells[2] is None


def test_rows_from_south_to_north_and_cells_without_data(tmp_path):
    grid = target_grid(*GRIDS["degrees"])
    nep = cube_on(grid)
    where = {"latitude": 31.05, "longitude": 91.05}
    path = tower_list(tmp_path, {"T": (31.05, 91.05)}, {"T": {2001: 10.0, 2002: 20.0}})
    nep.loc[{"time": "2001", "latitude": slice(31.2, 31.0), "longitude": slice(91.0, 91.1)}] = np.nan
    north, south = (nc.compare_with_towers(n, path) for n in (nep, nep.isel(latitude=slice(None, None, -1))))
    pd.testing.assert_frame_equal(north, south)
    first, second = north.to_dict("records")
    assert math.isnan(first["cell_nep_gc_m2"])
    assert (first["used"], first["reason"], first["n_cells"]) == (False, "the cell has no data", 7)
    around = nep.sel(time="2001", latitude=slice(31.2, 30.9), longitude=slice(90.9, 91.2))
    assert first["neighbourhood_nep_gc_m2"] == pytest.approx(float(around.astype("f8").mean()), rel=1e-12)
    assert second["cell_nep_gc_m2"] == float(nep.sel(time="2002").sel(where, method="nearest").item())


def test_what_is_not_used_has_its_reason(tmp_path):
    path = tower_list(
        tmp_path,
        {"in": (31.0, 91.0), "north": (60.0, 91.0), "pole": (90.0, 0.0)},
        {"in": {1999: 1.0, 2001: 2.0}, "north": {2001: 3.0}},
    )
    table = nc.compare_with_towers(cube_on(target_grid(*GRIDS["degrees"])), path)
    assert list(table["reason"]) == ["the run has no 1999", "", "outside the grid", "outside the grid"]
    assert list(table["used"]) == [False, True, False, False]
    assert list(table["n_cells"]) == [0, 9, 0, 0]


@pytest.mark.parametrize("change", [{"units": "kg m-2 year-1"}, {}])
def test_another_unit_or_no_time_is_refused(tmp_path, change):
    path = tower_list(tmp_path, {"T": (31.0, 91.0)})
    nep = cube_on(target_grid(*GRIDS["degrees"]))
    nep = nep.assign_attrs(change) if change else nep.isel(time=0)
    with pytest.raises(SpecError, match="nep: "):
        nc.compare_with_towers(nep, path)


# ---------------------------------------------------------------------------------------------- how far both are apart


def pairs_table(pairs):
    return pd.DataFrame(
        [("T", t, c, c, True, "") for t, c in pairs] + [("U", 1.0, 9.0, 9.0, False, "x")],
        columns=["tower", "tower_nep_gc_m2", "cell_nep_gc_m2", "neighbourhood_nep_gc_m2", "used", "reason"],
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-900, 900), st.floats(-900, 900)), min_size=1, max_size=30))
def test_agreement_is_numpys(pairs):
    a = agreement(pairs_table(pairs))
    tower, run = np.array(pairs).T
    assert (a.towers, a.tower_years) == (1, len(pairs))
    assert a.rmse == pytest.approx(np.sqrt(np.mean((run - tower) ** 2)), abs=1e-9)
    assert a.bias == pytest.approx(np.mean(run) - np.mean(tower), abs=1e-9)
    assert abs(a.bias) <= a.rmse + 1e-9
    if len(pairs) < 3:
        assert math.isnan(a.r)
    elif tower.std() > 1e-3 and run.std() > 1e-3:
        assert a.r == pytest.approx(np.corrcoef(tower, run)[0, 1], abs=1e-9)


def test_agreement_in_closed_form():
    a = agreement(pairs_table([(0.0, 3.0), (10.0, 13.0), (20.0, 23.0)]))
    assert (a.rmse, a.bias, a.r) == (3.0, 3.0, pytest.approx(1.0, abs=1e-15))
    assert math.isnan(agreement(pairs_table([(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)])).r)
    empty = agreement(pairs_table([]))
    assert (empty.towers, empty.tower_years) == (0, 0)
    assert math.isnan(empty.rmse)


def said(tmp_path, towers, **options):
    grid = target_grid(*GRIDS["degrees"])
    nep = cube_on(grid)
    found = compare(
        load_towers(tower_list(tmp_path, towers)), grid, [2001, 2002], lambda w: nep.values[(slice(None), *w.slices)]
    )
    sentences = notes(found, cell_km=0.5, **options)
    assert summary_lines(found, sentences)[-1].endswith(sentences[-1])
    return "\n".join(sentences)


def test_what_the_comparison_does_not_show(tmp_path):
    one, two, off = {"A": (31.0, 91.0)}, {"A": (31.0, 91.0), "B": (31.5, 91.5)}, {"C": (20.0, 91.0)}
    text = said(tmp_path, one)
    assert "Only one tower (A) in the grid has a year to compare: one tower is no validation." in text
    assert "a cell is 500 m a side" in text
    assert "NEP is not the net biome balance" in text
    assert "no validation" not in said(tmp_path, two)
    assert "Only one tower (B) in the regions" in said(tmp_path, two, outside_regions=["A"])
    assert "On the grid, outside the regions: A." in said(tmp_path, two, outside_regions=["A"])
    assert "All 2 tower(s) lie outside the regions" in said(tmp_path, two, outside_regions=["A", "B"])
    assert "All 1 tower(s) lie outside the grid" in said(tmp_path, off)
    assert "Outside the grid: C." in said(tmp_path, two | off)
    assert "is potential" in said(tmp_path, one, potential=True)
    assert said(tmp_path, one, generated=True).startswith("The run's data are generated")


# --------------------------------------------------------------------------------------------------------- wrong input

GOOD = "name,latitude,longitude,file\nA,31,91,a.csv\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "cannot be read as CSV (No such file or directory)"),
        ("", "it has no column name, latitude, longitude, file."),
        ("name;latitude\n", "it has no column name, latitude, longitude, file."),
        ("name,latitude,longitude\nA,31,91\n", "it has no column file."),
        ("name,name,latitude,longitude,file\nA,A,31,91,a.csv\n", "the column name is there twice."),
        ("name,latitude,longitude,file\n", "it names no tower."),
        ("name,latitude,longitude,file\nA,31,91\n", "row 2: it has 3 fields, the first row has 4."),
        (GOOD + "\n,31,91,b.csv\n", "row 4: `name` is empty."),
        (GOOD + "B,31,91, \n", "row 3: `file` is empty."),
        (GOOD + "A,32,91,b.csv\n", "row 3: the name 'A' is there twice."),
        (GOOD + "B,32,91,a.csv\n", "row 3: B and A name the same file."),
        (GOOD + "B,102,34,b.csv\n", "row 3: latitude 102 is not within -90 to 90."),
        (GOOD + "B,10,250,b.csv\n", "row 3: longitude 250 is not within -180 to 180."),
        (GOOD + "B,nan,91,b.csv\n", "row 3: latitude 'nan' is not a number."),
        (GOOD + "B,31 N,91,b.csv\n", "row 3: latitude '31 N' is not a number."),
        (GOOD + 'B,31,91,"b.csv\n', "cannot be read as CSV"),
        (b"name,latitude,longitude,file\n\xff\xfe,1,1,a\n", "cannot be read as CSV"),
    ],
)
def test_a_list_that_is_none(tmp_path, text, what):
    path = tmp_path / "towers.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SourceError) as told:
        load_towers(path)
    assert str(path) in told.value.what
    assert what in told.value.what
    assert told.value.way_out


def test_a_list_from_a_spreadsheet(tmp_path):
    path = tmp_path / "towers.csv"
    path.write_bytes("\ufeffigbp,name, file,latitude,longitude\r\nGRA,A ,x/a.csv, 31.5,-91\r\n,,,,\r\n".encode())
    (tower,) = load_towers(path)
    assert (tower.name, tower.latitude, tower.longitude, tower.file) == ("A", 31.5, -91.0, tmp_path / "x" / "a.csv")


HEAD = "TIMESTAMP,NEE_VUT_REF,NEE_VUT_REF_QC\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (None, "there is no such file."),
        ("", "cannot be read as CSV"),
        (b"\x89HDF\r\n\x1a\n\xff\xff", "cannot be read as CSV"),
        (
            "TIMESTAMP,NEE_CUT_REF\n200101,1\n",
            "no column NEE_VUT_REF, NEE_VUT_REF_QC; NEE_CUT_REF is not",
        ),
        ("TIMESTAMP_START,NEE_VUT_REF,NEE_VUT_REF_QC\n200101010000,1,1\n", "it has no column TIMESTAMP."),
        (HEAD, "it holds no month."),
        (HEAD + "20010101,1,1\n", "row 2: TIMESTAMP '20010101' is not yyyymm."),
        (HEAD + "2001,1,1\n", "row 2: TIMESTAMP '2001' is not yyyymm."),
        (HEAD + "200113,1,1\n", "row 2: TIMESTAMP '200113' is not yyyymm."),
        (HEAD + "200101,1,1\n200102,x,1\n", "row 3: NEE_VUT_REF 'x' is not a number."),
        (HEAD + "200101,-6999,1\n", "row 2: NEE_VUT_REF -6999 is not within -50 to 50 (gC m-2 per day)."),
        (HEAD + "200101,inf,1\n", "row 2: NEE_VUT_REF inf is not within"),
        (HEAD + "200101,1,98\n", "row 2: NEE_VUT_REF_QC 98 is not within 0 to 1 (a share)."),
        (HEAD + "200101,1,1\n200102,1,1\n200101,2,1\n", "rows 2 and 4: 200101 is there twice."),
    ],
)
def test_a_tower_file_that_is_none(tmp_path, text, what):
    path = tmp_path / "a.csv"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SourceError) as told:
        nc.tower_nep(path)
    assert str(path) in told.value.what
    assert what in told.value.what
    assert told.value.way_out


def test_no_year_that_counts_is_refused(tmp_path):
    path = tower_list(tmp_path, {"A": (31.0, 91.0), "B": (31.5, 91.0)}, qc=0.6)
    with pytest.raises(SourceError) as told:
        nc.compare_with_towers(cube_on(target_grid(*GRIDS["degrees"])), path)
    assert told.value.what.endswith("A.csv and 1 more: no year counts (2001: mean quality 0.600 is below 0.75).")


# ------------------------------------------------------------------------------------------------------------- the verb


def places_in(out, *, inside=True, n=2):
    """Some cells with data in all years, in or outside the regions: (latitude, longitude) and the series of each."""
    cube, maps = nc.open_cube(out).load(), xr.open_zarr(Path(out) / "statistics.zarr").load()
    fits = ((maps["region"] > 0) == inside).values & np.isfinite(cube["nep"]).all("time").values
    rows, columns = np.nonzero(fits)
    picked = [(rows[k], columns[k]) for k in np.linspace(0, len(rows) - 1, n).astype(int)] if len(rows) else []
    y, x = cube["latitude"].values, cube["longitude"].values
    return [((float(y[i]), float(x[j])), cube["nep"].values[:, i, j].astype("f8")) for i, j in picked]


def test_a_run_is_validated(cli, copied, tmp_path):
    picked = places_in(copied.out)
    towers = {f"T{k}": place for k, (place, _) in enumerate(picked)} | {"far": (0.0, 0.0)}
    values = {f"T{k}": {2001 + t: v - 7.5 for t, v in enumerate(s)} for k, (_, s) in enumerate(picked)}
    listed = tower_list(tmp_path, towers, values)
    told = cli("validate", copied.out, "--towers", listed)
    assert (told.code, told.err) == (0, [])
    text = "\n".join(told.out)
    assert "towers       2 of 3" in text
    assert "tower-years  12 of 13" in text
    assert "cell         RMSE 7.5, bias +7.5 gC m-2 yr-1, r 1.00" in text
    assert "not used     far 2001: outside the grid" in text
    assert "The run's data are generated" in text
    table = pd.read_csv(copied.out / "tables" / "validation.csv")
    assert list(table.columns) == [
        *("tower", "year", "latitude", "longitude", "tower_nep_gc_m2", "cell_nep_gc_m2", "neighbourhood_nep_gc_m2"),
        *("n_cells", "months", "qc_mean", "used", "reason"),
    ]
    library = nc.compare_with_towers(nc.open_cube(copied.out).nep, listed)
    pd.testing.assert_frame_equal(table.fillna({"reason": ""}), library, check_dtype=False, rtol=1e-13)
    assert told.out[-2:] == [
        str(copied.out / "tables" / "validation.csv"),
        str(copied.out / "figures" / "validation.png"),
    ]
    from matplotlib.image import imread

    height, width = imread(told.out[-1]).shape[:2]
    assert (round(width / 300 * 25.4), height > width) == (90, True)
    # a second time gives the same files, and a run that goes on leaves them
    before = Path(told.out[-1]).read_bytes()
    assert cli("validate", copied.out, "--towers", listed).code == 0
    assert Path(told.out[-1]).read_bytes() == before
    assert cli("status", copied.out, "--verify").code == 0


def test_towers_outside_the_grid_are_said_and_leave_no_figure(copied, tmp_path):
    (place, _), *_ = places_in(copied.out)
    done = validate(copied.out, tower_list(tmp_path, {"A": place}))
    assert done.files[1].exists()
    assert any("Only one tower (A) in the regions" in note for note in done.notes)
    done = validate(copied.out, tower_list(tmp_path, {"B": (0.0, 0.0), "C": (1.0, 1.0)}))
    assert any("All 2 tower(s) lie outside the grid" in line for line in done.lines)
    assert [path.name for path in done.files] == ["validation.csv"]
    assert not (copied.out / "figures" / "validation.png").exists()


def test_towers_outside_the_regions_are_said(copied, tmp_path):
    picked = places_in(copied.out, inside=False, n=1)
    assert picked
    done = validate(copied.out, tower_list(tmp_path, {"A": picked[0][0]}))
    assert any("All 1 tower(s) lie outside the regions" in note for note in done.notes)
    assert done.comparison.table["used"].all()


def test_an_output_may_be_a_url(finished, s3, tmp_path):
    from nepcube.places import place_of

    out = place_of(s3.url)
    for file in sorted(finished.out.rglob("*")):
        if file.is_file():
            at = out
            for part in file.relative_to(finished.out).parts:
                at = at / part
            at.write(file.read_bytes())
    (place, series), *_ = places_in(finished.out)
    done = validate(s3.url, tower_list(tmp_path, {"A": place}))
    assert [str(file) for file in done.files] == [f"{s3.url}/tables/validation.csv", f"{s3.url}/figures/validation.png"]
    assert done.comparison.table["cell_nep_gc_m2"].tolist() == [series[0]]
    assert all(file.exists() for file in done.files)
    assert "series.csv" in (out / "tables").names()


def test_potential_nep_is_called_so(copied, tmp_path):
    metadata = copied.out / "cube.zarr" / "zarr.json"
    named = metadata.read_text().replace('"net ecosystem', '"potential net ecosystem')
    metadata.write_text(named)
    (place, _), *_ = places_in(copied.out)
    assert any("NEP is potential" in note for note in validate(copied.out, tower_list(tmp_path, {"A": place})).notes)


def test_what_cannot_be_validated_ends_in_two_lines(cli, copied, tmp_path):
    listed = tower_list(tmp_path, {"A": (31.0, 91.0)})
    told = cli("validate", tmp_path / "nowhere", "--towers", listed)
    assert (told.code, len(told.err)) == (2, 2)
    assert "no output of nepcube" in told.err[0]
    told = cli("validate", copied.out, "--towers", tmp_path / "none.csv")
    assert (told.code, len(told.err)) == (2, 2)
    assert "none.csv" in told.err[0]
    told = cli("validate", copied.out, "--towers", tower_list(tmp_path, {"A": (31.0, 91.0)}, qc=0.1))
    assert (told.code, len(told.err)) == (2, 2)
    assert "no year counts" in told.err[0]
    assert not (copied.out / "tables" / "validation.csv").exists()


def test_an_unfinished_run_is_refused(copied, tmp_path):
    from nepcube.places import place_of
    from nepcube.store import Ledger

    listed = tower_list(tmp_path, {"A": (31.0, 91.0)})
    Ledger.open(place_of(copied.out)).set_part("aggregate", None)
    with pytest.raises(StoreError, match=r"the run is not finished \(aggregate\)"):
        validate(copied.out, listed)
    (copied.out / "cube.zarr" / "zarr.json").unlink()
    with pytest.raises(NepcubeError, match=r"cube\.zarr"):
        validate(copied.out, listed)
