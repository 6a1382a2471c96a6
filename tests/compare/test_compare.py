"""Two runs compared: numpy on the whole maps as the twin, any block, and what is refused."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

import nepcube
from nepcube import compare as compare_room
from nepcube import recipe as recipes
from nepcube.errors import GridError, SpecError, StoreError
from nepcube.grid import cell_area, geobox_of
from nepcube.pipeline import comparing
from nepcube.store import Sides

CLOSE = {"rtol": 1e-9, "atol": 0}


@pytest.fixture(scope="module")
def runs(archive, finished, tools, tmp_path_factory):
    """Four small runs: annual; monthly, in shards; barren land as zero; three years later and without regions."""
    folder = tmp_path_factory.mktemp("runs")

    def made(name, options=None, **changes):
        recipe = folder / f"{name}.yaml"
        recipe.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, **changes), sort_keys=False))
        return tools.do_stages(recipe, folder / name, **(options or {}))

    return SimpleNamespace(
        annual=finished.out,
        monthly=made("monthly", {"sides": Sides(32, 64), "block": 64}, respiration__basis="monthly"),
        zero=made("zero", {"block": 64}, sources__npp__nonvegetated="zero", title="Another title"),
        late=made("late", period=[2004, 2006], regions=None, statistics={"min_years": 3}),
    )


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory):
    """Monthly against annual, and zero against annual: what was found, and where."""
    folder = tmp_path_factory.mktemp("compared")

    def of(name, a):
        found = nepcube.compare_runs(a, runs.annual, folder / name)
        return SimpleNamespace(a=a, b=runs.annual, out=folder / name, found=found)

    monthly = of("monthly", runs.monthly)
    with pytest.MonkeyPatch.context() as patch:
        # pictures of one are enough
        patch.setattr("nepcube.pipeline.differing._DRAWN_MAPS", ())
        return {"monthly": monthly, "zero": of("zero", runs.zero)}


def _open(out, name="statistics.zarr"):
    return xr.open_zarr(Path(out) / name).load()


def _table(out, name):
    return pd.read_csv(Path(out) / "tables" / f"{name}.csv")


def _members(labels, names):
    """Each row of a table and its cells."""
    return {n: labels == k for k, n in enumerate(names, 1)} | {"all": labels > 0 if names else labels >= 0}


def _mean(values, area, cells):
    return math.fsum((values * area)[cells]) / math.fsum(area[cells]) if cells.any() else math.nan


def _area_of(maps):
    area = cell_area(geobox_of(maps)).values
    return np.broadcast_to(area[:, None], maps.nep_mean.shape)


def _codes(field):
    values = field.values.astype("f8")
    return np.where(np.isnan(values) | (values == 255), -1, values).astype(int)


# ---------------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("which", ["monthly", "zero"])
def test_maps_are_b_minus_a(compared, which):
    one = compared[which]
    a, b, found = _open(one.a), _open(one.b), _open(one.out, "difference.zarr")
    floats = {n for n in a.data_vars if a[n].dtype.kind == "f" and n in b}
    assert set(found.data_vars) == floats
    assert {"nep_mean", "nep_slope", "nep_cv", "nep_partial_temperature"} <= floats
    for name in floats:
        wanted = (b[name].values.astype("f8") - a[name].values.astype("f8")).astype("f4")
        np.testing.assert_array_equal(found[name].values, wanted)
        assert found[name].attrs["units"] == a[name].attrs["units"]
        assert found[name].attrs["long_name"] == f"{a[name].attrs['long_name']}, B minus A"
    xr.testing.assert_equal(found.latitude, a.latitude)
    assert geobox_of(found) == geobox_of(a)


@pytest.mark.parametrize("which", ["monthly", "zero"])
def test_differences_have_a_twin(compared, which):
    one = compared[which]
    a, b = _open(one.a), _open(one.b)
    area, members = _area_of(a), _members(a.region.values, a.region.attrs["names"])
    table = _table(one.out, "differences").set_index(["region", "variable"])
    floats = [n for n in a.data_vars if a[n].dtype.kind == "f" and n in b]
    assert len(table) == len(floats) * len(members)
    for name in floats:
        x, y = (m[name].values.astype("f8") for m in (a, b))
        for region, inside in members.items():
            row = table.loc[region, name]
            both = inside & ~np.isnan(x) & ~np.isnan(y)
            np.testing.assert_allclose(row.mean_a, _mean(x, area, both), **CLOSE)
            np.testing.assert_allclose(row.mean_b, _mean(y, area, both), **CLOSE)
            np.testing.assert_allclose(row.mean_difference, _mean(y - x, area, both), **CLOSE)
            rms = math.sqrt(_mean((y - x) ** 2, area, both)) if both.any() else math.nan
            np.testing.assert_allclose(row.rms_difference, rms, **CLOSE)
            largest = np.abs(y - x)[both].max() if both.any() else math.nan
            np.testing.assert_allclose(row.max_abs_difference, largest, **CLOSE)
            np.testing.assert_allclose(row.area_km2, area[both].sum(), **CLOSE)
            only_a, only_b = inside & ~np.isnan(x) & np.isnan(y), inside & np.isnan(x) & ~np.isnan(y)
            np.testing.assert_allclose(row.area_only_a_km2, area[only_a].sum(), **CLOSE)
            np.testing.assert_allclose(row.area_only_b_km2, area[only_b].sum(), **CLOSE)


def test_what_was_compared_differs(compared):
    monthly, zero = compared["monthly"].found, compared["zero"].found
    # the monthly basis is several times the annual one, so that annual minus monthly is far above zero
    assert monthly.mean_difference > 50
    assert (zero.mean_difference, zero.area_only_b_km2) == (0.0, 0.0)
    # barren land has a value in A alone
    assert zero.area_only_a_km2 > 100


@pytest.mark.parametrize("which", ["monthly", "zero"])
def test_years_have_a_twin(compared, which):
    one = compared[which]
    a, b, maps, other = _open(one.a, "cube.zarr"), _open(one.b, "cube.zarr"), _open(one.a), _open(one.b)
    area, members = _area_of(maps), _members(maps.region.values, maps.region.attrs["names"])
    counts = (maps.nep_count.values > 0) & (other.nep_count.values > 0)
    table = _table(one.out, "differences_by_year").set_index(["region", "variable", "year"])
    assert len(table) == len(members) * 3 * 6
    for (region, name, year), row in table.iterrows():
        x, y = (c[name].sel(time=str(year)).values[0].astype("f8") for c in (a, b))
        both = members[region] & counts & ~np.isnan(x) & ~np.isnan(y)
        np.testing.assert_allclose(row.mean_a, _mean(x, area, both), **CLOSE)
        np.testing.assert_allclose(row.mean_b, _mean(y, area, both), **CLOSE)
        np.testing.assert_allclose(row.mean_difference, _mean(y - x, area, both), **CLOSE)
    # all cells of A count in B too, so that the series of A's own table is the same
    if which == "monthly":
        series = _table(one.a, "series").set_index(["region", "year"]).mean_gc_m2
        np.testing.assert_allclose(table.xs("nep", level="variable").mean_a.sort_index(), series.sort_index(), **CLOSE)


@pytest.mark.parametrize("which", ["monthly", "zero"])
def test_changes_of_class_have_a_twin(compared, which):
    one = compared[which]
    a, b = _open(one.a), _open(one.b)
    area, members = _area_of(a), _members(a.region.values, a.region.attrs["names"])
    of_a, of_b = ({n: _codes(m[n]) for n in ("slope_class", "cv_class", "trend_class")} for m in (a, b))
    table = _table(one.out, "class_changes")
    assert set(table.variable) == {"slope_class", "cv_class", "trend_class"}
    for row in table.itertuples():
        x, y = (codes[row.variable] for codes in (of_a, of_b))
        cells = members[row.region] & (x == row.class_a) & (y == row.class_b)
        np.testing.assert_allclose(row.area_km2, area[cells].sum(), **CLOSE)
    # every cell of a region changes from one class to one class
    for name in set(table.variable):
        for region, inside in members.items():
            whole = table[(table.variable == name) & (table.region == region)].area_km2.sum()
            np.testing.assert_allclose(whole, area[inside].sum(), **CLOSE)
    words = table[table.variable == "trend_class"].drop_duplicates("class_a").set_index("class_a").label_a
    assert words[-1] == "no data"
    assert words[0] == "significant decrease at 0.01"


def test_changes_of_sign_have_a_twin(compared):
    one = compared["monthly"]
    a, b = _open(one.a), _open(one.b)
    area, members = _area_of(a), _members(a.region.values, a.region.attrs["names"])
    table = _table(one.out, "sign_changes").set_index(["region", "variable"])
    for (region, name), row in table.iterrows():
        x, y = a[name].values, b[name].values
        both = members[region] & ~np.isnan(x) & ~np.isnan(y)
        differs = both & (np.sign(x) != np.sign(y))
        np.testing.assert_allclose(row.area_km2, area[both].sum(), **CLOSE)
        np.testing.assert_allclose(row.differs_area_km2, area[differs].sum(), **CLOSE)
        np.testing.assert_allclose(row.differs_share, area[differs].sum() / area[both].sum(), **CLOSE)
    assert 0 < one.found.sign_share < 1
    assert one.found.sign_share == pytest.approx(table.differs_share["all", "nep_slope"], rel=1e-12)


def test_small_differences_keep_their_digits():
    """A region whose differences are a millionth of the largest, and a square as far below again."""
    rng = np.random.default_rng(3)
    a = rng.normal(0, 1000, (40, 50))
    labels = np.ones(a.shape, np.int16)
    labels[:, 25:] = 2
    b = a + np.where(labels == 1, rng.normal(0, 1e-6, a.shape), rng.normal(0, 1e3, a.shape))
    area = rng.uniform(0.1, 0.3, 40)
    power = compare_room.power_above
    scale = compare_room.area_scale(area.max(), a.size)
    scales = (power(np.abs([a, b]).max()), power(np.abs(b - a).max()), scale)
    whole = compare_room.PairSums.of(a, b, labels, area, 2, scales)
    d, w = (b - a)[labels == 1], np.broadcast_to(area[:, None], a.shape)[labels == 1]
    found = whole.over(np.array([1]))
    assert found.rms_difference == pytest.approx(math.sqrt(math.fsum(d * d * w) / math.fsum(w)), rel=1e-9)
    assert found.mean_difference == pytest.approx(math.fsum(d * w) / math.fsum(w), rel=1e-9)
    parts = [compare_room.PairSums.of(a[k : k + 7], b[k : k + 7], labels[k : k + 7], area[k : k + 7], 2, scales)
             for k in range(0, 40, 7)]  # fmt: skip
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert total.over(np.array([1, 2])) == whole.over(np.array([1, 2]))


# ------------------------------------------------------------------------------------------------- how the work is cut


@pytest.mark.slow
def test_the_same_whatever_the_block(runs, compared, tmp_path, monkeypatch):
    one = compared["monthly"]
    nepcube.compare_runs(runs.monthly, runs.annual, tmp_path / "128", block=128)
    monkeypatch.setattr(comparing, "_SUMMED_CELLS", 1)
    nepcube.compare_runs(runs.monthly, runs.annual, tmp_path / "64", block=64)
    for other in ("64", "128"):
        for table in comparing.TABLES:
            name = f"tables/{table}.csv"
            assert (tmp_path / other / name).read_bytes() == (one.out / name).read_bytes(), (other, table)
        for file in sorted((one.out / "difference.zarr").rglob("c/**/*")):
            if file.is_file():
                same = tmp_path / other / file.relative_to(one.out)
                assert same.read_bytes() == file.read_bytes(), same
        for figure in (one.out / "figures").iterdir():
            assert (tmp_path / other / "figures" / figure.name).read_bytes() == figure.read_bytes()
    with pytest.raises(StoreError, match="blocks: 100 cells would cut"):
        nepcube.compare_runs(runs.monthly, runs.annual, tmp_path / "100", block=100)
    assert not (tmp_path / "100").exists()


def test_the_other_way_round_is_the_other_sign(runs, compared, tmp_path):
    found = nepcube.compare_runs(runs.annual, runs.monthly, tmp_path / "out")
    other = compared["monthly"].found
    assert found.mean_difference == -other.mean_difference
    assert (found.mean_a, found.mean_b) == (other.mean_b, other.mean_a)
    assert found.sign_share == other.sign_share


# ------------------------------------------------------------------------------------------------------- what is told


def test_recipes_differ_key_by_key(compared):
    assert compared["monthly"].found.recipes == [("respiration.basis", "monthly", "annual")]
    # the title changes no result
    assert compared["zero"].found.recipes == [("sources.npp.nonvegetated", "zero", "nan")]
    attrs = _open(compared["zero"].out, "difference.zarr").attrs
    assert attrs["recipes_differ_in"] == ["sources.npp.nonvegetated: zero in A, nan in B"]
    assert "generated" in attrs["comment"]


def test_differences_of_recipes():
    one = {"title": "x", "blocks": 64, "grid": {"crs": "a"}, "classes": {"slope": {"breaks": [1, 2]}}}
    other = {"title": "y", "grid": {"crs": "a"}, "classes": {"slope": {"breaks": [1, 3], "k": 5}}, "workers": 2}
    assert recipes.differences(one, other) == [
        ("classes.slope.breaks", [1, 2], [1, 3]),
        ("classes.slope.k", None, 5),
    ]


def test_other_periods_are_compared_where_they_meet(runs, tmp_path):
    found = nepcube.compare_runs(runs.late, runs.annual, tmp_path / "out")
    assert (found.years, found.period_a, found.period_b) == (range(2004, 2007), (2004, 2006), (2001, 2006))
    assert "2004-2006, which both have" in found.notes[0]
    assert "The regions differ: those of A are used." in found.notes
    table = _table(tmp_path / "out", "differences_by_year")
    # A has no regions: all is the grid
    assert set(table.region) == {"all"}
    assert sorted(set(table.year)) == [2004, 2005, 2006]
    nep = table[table.variable == "nep"]
    # one recipe, but for what is fitted over time: the years themselves are the same
    assert list(nep.mean_a) == list(nep.mean_b)
    assert found.mean_a == found.mean_b == pytest.approx(nep.mean_a.mean(), rel=1e-12)
    difference = _table(tmp_path / "out", "differences").set_index(["region", "variable"])
    assert difference.mean_difference["all", "nep_mean"] != 0
    assert len(list((tmp_path / "out" / "figures").iterdir())) == 2


def test_figures_are_drawn(compared):
    from PIL import Image

    for name in ("map_difference_nep_mean.png", "map_difference_nep_slope.png"):
        with Image.open(compared["monthly"].out / "figures" / name) as picture:
            pixels = np.asarray(picture.convert("RGB"), float)
        assert pixels.shape[1] == round(190 / 25.4 * 300)
        # annual minus monthly: the mean is above zero (purple), hardly any of it below
        purple = (pixels[..., 2] - pixels[..., 1] > 40).mean()
        assert purple > 0.2 or name.endswith("slope.png")


def test_zero_is_neutral():
    from nepcube.report.style import difference_colours

    colours = np.asarray(difference_colours().colors)
    assert len(colours) % 2
    middle = colours[len(colours) // 2]
    assert np.ptp(middle) < 0.03
    assert (colours.sum(axis=1) <= middle.sum() + 1e-9).all()


# ---------------------------------------------------------------------------------------------------- what is refused


def _changed(run, folder, stage, key, value):
    """A copy whose ledger tells another grid or period."""
    out = Path(shutil.copytree(run, folder))
    file = out / ".nepcube" / "stages.json"
    parts = json.loads(file.read_text())
    parts[stage][key] = value(parts[stage][key])
    file.write_text(json.dumps(parts))
    return out


GRIDS = {
    "EPSG:4258": lambda g: ["EPSG:4258", *g[1:]],
    "65 x 182 and 66 x 182 cells": lambda g: [g[0], 65, *g[2:]],
    "corners at 89.32": lambda g: [*g[:5], g[5] + 1e-12, *g[6:]],
    "cells of 0.07186522272956": lambda g: [*g[:3], g[3] * (1 + 1e-15), *g[4:]],
}


@pytest.mark.parametrize("told", GRIDS)
def test_another_grid_is_refused(cli, finished, tmp_path, told):
    other = _changed(finished.out, tmp_path / "other", "ingest", "grid", GRIDS[told])
    with pytest.raises(GridError, match=told) as caught:
        nepcube.compare_runs(finished.out, other, tmp_path / "out")
    assert "one `grid`" in caught.value.way_out
    found = cli("compare", finished.out, other, "-o", tmp_path / "out")
    assert (found.code, len(found.err)) == (2, 2)
    assert not (tmp_path / "out").exists()


def test_no_common_year_is_refused(finished, tmp_path):
    other = _changed(finished.out, tmp_path / "other", "aggregate", "period", lambda _: [2007, 2012])
    with pytest.raises(StoreError, match=r"shares no year .*2007-2012 and 2001-2006"):
        nepcube.compare_runs(finished.out, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("what", ["stage", "cube", "recipe"])
def test_an_unfinished_output_is_refused(finished, copied, tmp_path, what):
    if what == "stage":
        file = copied.out / ".nepcube" / "stages.json"
        file.write_text(json.dumps({k: v for k, v in json.loads(file.read_text()).items() if k != "aggregate"}))
        told = "`aggregate` is not done"
    elif what == "cube":
        (copied.out / "cube.zarr" / "zarr.json").unlink()
        told = r"cube\.zarr is not there"
    else:
        (copied.out / "recipe.yaml").unlink()
        told = r"recipe\.yaml is not there"
    for pair in ((finished.out, copied.out), (copied.out, finished.out)):
        with pytest.raises(StoreError, match=f"not finished, {told}"):
            nepcube.compare_runs(*pair, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_output_or_the_same_is_refused(cli, runs, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    for nothing in (tmp_path / "empty", tmp_path / "no"):
        with pytest.raises(StoreError, match="this is no output of nepcube"):
            nepcube.compare_runs(runs.annual, nothing, tmp_path / "out")
    (tmp_path / "link").symlink_to(runs.annual)
    with pytest.raises(StoreError, match="both outputs are this folder"):
        nepcube.compare_runs(runs.annual, tmp_path / "link", tmp_path / "out")
    for out in (runs.annual, tmp_path / "link", runs.zero):
        with pytest.raises(StoreError, match="would be written into a run"):
            nepcube.compare_runs(runs.annual, runs.zero, out)
    found = cli("compare", runs.annual, runs.annual, "-o", tmp_path / "out")
    assert (found.code, found.out, len(found.err)) == (2, [], 2)
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_not_touched(runs, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="a file, not a folder"):
        nepcube.compare_runs(runs.annual, runs.zero, tmp_path / "file")
    for out in (tmp_path, runs.monthly):
        before = sorted(out.rglob("*"))
        with pytest.raises(StoreError, match="other files and no comparison"):
            nepcube.compare_runs(runs.annual, runs.zero, out)
        assert sorted(out.rglob("*")) == before


def test_infinite_values_are_refused_and_nothing_looks_finished(runs, copied, tmp_path):
    import zarr

    zarr.open_array(copied.out / "statistics.zarr" / "nep_slope", mode="r+")[3, 4] = np.inf
    with pytest.raises(SpecError, match="nep_slope has infinite values"):
        nepcube.compare_runs(runs.monthly, copied.out, tmp_path / "out")
    assert not (tmp_path / "out" / "difference.zarr" / "zarr.json").exists()
    # the next comparison takes the place of what was begun
    nepcube.compare_runs(runs.monthly, runs.annual, tmp_path / "out")
    assert (tmp_path / "out" / "difference.zarr" / "zarr.json").exists()


# ----------------------------------------------------------------------------------------------------------- the verb


def test_the_maps_for_a_paper_in_two_widths_and_both_languages(cli, runs, tmp_path, monkeypatch):
    from nepcube.pipeline import differing

    # one map says as much as two
    monkeypatch.setattr(differing, "_DRAWN_MAPS", ("nep_mean",))
    out = tmp_path / "out"
    found = cli("compare", runs.monthly, runs.annual, "-o", out, "--figures", "svg", "--lang", "both", "--quiet")
    assert (found.code, found.err) == (0, [])
    names = {"captions.md", *(f"map_difference_nep_mean_{width}.svg" for width in ("single", "double"))}
    wanted = {
        "paper": (
            "difference of mean NEP (gC m⁻² yr⁻¹)",
            "Mean annual NEP, B minus A.",
            "respiration.basis is monthly in A",
        ),
        "paper-zh": (
            "年均NEP之差（gC m⁻² a⁻¹）",
            "NEP年均值之差（B减A）。",
            "respiration.basis：A为monthly，B为annual。",
        ),
    }
    for folder, (label, *told) in wanted.items():
        assert {p.name for p in (out / "figures" / folder).iterdir()} == names
        assert {str(out / "figures" / folder / name) for name in names} <= set(found.out)
        captions = (out / "figures" / folder / "captions.md").read_text(encoding="utf-8")
        assert all(text in captions for text in told)
        for width, mm in {"single": 88, "double": 180}.items():
            svg = (out / "figures" / folder / f"map_difference_nep_mean_{width}.svg").read_text(encoding="utf-8")
            assert label in svg
            assert float(re.search(r'width="([0-9.]+)pt"', svg)[1]) / 72 * 25.4 == pytest.approx(mm, abs=0.1)
    # the next comparison has none of them
    again = cli("compare", runs.monthly, runs.annual, "-o", out, "--quiet")
    assert again.code == 0
    assert [p.name for p in (out / "figures").iterdir()] == ["map_difference_nep_mean.png"]
    for wrong in (("--figures", "eps"), ("--lang", "fr")):
        assert cli("compare", runs.monthly, runs.annual, "-o", tmp_path / "no", *wrong).code == 2
    assert not (tmp_path / "no").exists()


def test_the_verb(cli, runs, tmp_path):
    out = tmp_path / "out"
    found = cli("compare", runs.zero, runs.annual, "-o", out, "--block", "128", "--quiet")
    assert (found.code, found.err) == (0, [])
    assert found.out[0] == "recipe     sources.npp.nonvegetated: zero in A, nan in B"
    text = "\n".join(found.out)
    table = _table(out, "differences").set_index(["region", "variable"]).loc["all", "nep_mean"]
    assert f"mean NEP   A {table.mean_a:.6g}, B {table.mean_b:.6g}, B minus A 0 gC m-2 yr-1, 2001-2006" in text
    assert f"a value in A only {table.area_only_a_km2:.0f} km2, in B only 0 km2" in text
    assert "another sign in B on 0.00 % of the area" in text
    paths = [Path(line) for line in found.out if line.startswith(str(out))]
    assert [p.name for p in paths] == [
        "difference.zarr",
        *(f"{t}.csv" for t in comparing.TABLES),
        "map_difference_nep_mean.png",
        "map_difference_nep_slope.png",
    ]
    assert all(p.exists() for p in paths)
    # again: it is replaced, and is the same
    before = (out / "tables" / "differences.csv").read_bytes()
    assert cli("compare", runs.zero, runs.annual, "-o", out, "--quiet").code == 0
    assert (out / "tables" / "differences.csv").read_bytes() == before
