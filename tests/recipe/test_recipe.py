"""The recipe: every refusal by its whole text, every default, and what each stage depends on."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nepcube.errors import RecipeError
from nepcube.recipe import STAGES, changed_keys, dump_recipe, load_recipe, stage_part

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))

GOOD = """\
recipe: 1
name: small
period: [2001, 2020]
grid:
  bounds: [89.4, 31.59, 102.4, 36.29]
sources:
  npp: {reader: mod17a3hgf, path: "mod17/*.hdf"}
  temperature: {reader: era5-land, path: "era5/*.nc"}
  precipitation: {reader: chirps, path: "chirps/*.nc"}
  radiation: {reader: era5-land, path: "era5/*.nc"}
respiration: {basis: annual}
"""
END = GOOD.count("\n") + 1  # the line that an addition stands on
MEND = "Mend it in the recipe; docs/recipe.md lists every key."
LISTED = "docs/recipe.md lists every key with what it takes."
TOP = (
    "recipe, name, title, period, grid, sources, respiration, uncertainty, statistics, classes, regions, strata, "
    "archive, cluster, blocks"
)


@pytest.fixture
def write(tmp_path):
    def make(text, name="recipe.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return make


def edit(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def refusal(file):
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    prefix = str(file)
    assert caught.value.what.startswith(prefix)
    return caught.value.what.removeprefix(prefix), caught.value.way_out


CASES = {
    "unknown key": (
        GOOD + "blocs: 512\n",
        f":{END}: blocs: not a recipe key.",
        f"Did you mean 'blocks'? Keys here: {TOP}.",
    ),
    "unknown key, no suggestion": (
        GOOD + "zzz: 1\n",
        f":{END}: zzz: not a recipe key.",
        f"Remove it. Keys here: {TOP}.",
    ),
    "unknown key below": (
        edit("  bounds:", "  resolutoin: 1\n  bounds:"),
        ":5: grid.resolutoin: not a recipe key.",
        "Did you mean 'resolution'? Keys here: bounds, crs, resolution.",
    ),
    "unknown key of a source": (
        edit('"era5/*.nc"}\n  prec', '"era5/*.nc", resampel: nearest}\n  prec'),
        ":8: sources.temperature.resampel: not a recipe key.",
        "Did you mean 'resampling'? Keys here: reader, path, resampling, variable, units, time, aggregate, "
        "min_coverage, min_fraction, engine, year_start, max_qc, nonvegetated, mixed_versions, nodata, elevation, "
        "continued_by.",
    ),
    "missing key": (edit("name: small\n", ""), ":1: name: the key is missing.", "Add `name:` there."),
    "missing key below": (
        edit("reader: chirps, ", ""),
        ":9: sources.precipitation.reader: the key is missing.",
        "Add `reader:` there.",
    ),
    "basis has no default": (
        edit("{basis: annual}", "{model: pei2009}"),
        ":11: respiration.basis: the key is missing "
        "(annual, monthly or daily: there is no default, see docs/science.md).",
        "Add `basis:` there.",
    ),
    "no respiration": (
        edit("respiration: {basis: annual}\n", ""),
        ":1: respiration: the key is missing (annual, monthly or daily: there is no default, see docs/science.md).",
        "Add `respiration:` there.",
    ),
    "wrong word": (
        edit("annual", "yearly"),
        ":11: respiration.basis: Input should be 'annual', 'monthly' or 'daily' (found: 'yearly').",
        LISTED,
    ),
    "wrong type": (
        edit("[2001, 2020]", "[2001, soon]"),
        ":3: period.1: Input should be a valid integer, unable to parse string as an integer (found: 'soon').",
        LISTED,
    ),
    "out of range": (
        GOOD + "blocks: 16\n",
        f":{END}: blocks: Input should be greater than or equal to 64 (found: 16).",
        LISTED,
    ),
    "a tag that builds an object": (
        GOOD + "title: !!python/object/apply:os.system [echo]\n",
        f":{END}: title: the YAML tag 'tag:yaml.org,2002:python/object/apply:os.system' would build an object.",
        "A recipe holds text, numbers, lists and mappings only: remove the tag.",
    ),
    "a tag of one's own": (
        GOOD + "title: !secret x\n",
        f":{END}: title: the YAML tag '!secret' would build an object.",
        "A recipe holds text, numbers, lists and mappings only: remove the tag.",
    ),
    "binary": (
        GOOD + "title: !!binary aGVsbG8=\n",
        f":{END}: title: the YAML tag 'tag:yaml.org,2002:binary' would build an object.",
        "A recipe holds text, numbers, lists and mappings only: remove the tag.",
    ),
    "a key twice": (GOOD + "name: again\n", f":{END}: name: the key is given twice.", "Keep one of the two."),
    "a key twice below": (
        edit("{basis: annual}", "{basis: annual, basis: daily}"),
        ":11: respiration.basis: the key is given twice.",
        "Keep one of the two.",
    ),
    "a key that is a number": (
        GOOD + "1: x\n",
        f":{END}: recipe: a key must be plain text.",
        "Quote it if it looks like a number.",
    ),
    "an environment variable": (
        edit("mod17/*.hdf", "${NEPCUBE_NOWHERE}/*.hdf"),
        ":7: sources.npp.path: the environment variable NEPCUBE_NOWHERE is not set.",
        "Set it before the run (export NEPCUBE_NOWHERE=...), or write the path out.",
    ),
    "not YAML": (
        edit("[2001, 2020]", "[2001, 2020"),
        ":4: this is not YAML (expected ',' or ']', but got ':').",
        "Check indentation, colons and brackets there.",
    ),
    "a list that contains itself": (
        GOOD + "title: &a [*a]\n",
        f":{END}: title.0 contains itself.",
        "Remove the alias.",
    ),
    "empty": ("", ":1: the recipe is empty.", "Start it with `recipe: 1`."),
    "comments alone": ("# nothing\n", ":1: the recipe is empty.", "Start it with `recipe: 1`."),
    "a list": ("- 1\n", ":1: a recipe is a mapping of keys.", "Start it with `recipe: 1`."),
    "year order": (edit("[2001, 2020]", "[2020, 2001]"), ":3: period: 2020 is after 2001.", MEND),
    "too few years": (edit("2020]", "2002]"), ":3: period: 2 years allow no trend; at least 3 are needed.", MEND),
    "min_years": (
        GOOD + "statistics: {min_years: 21}\n",
        ":12: statistics.min_years: 21 is more than the 20 years of the period.",
        MEND,
    ),
    "a driver without a source": (
        edit('  radiation: {reader: era5-land, path: "era5/*.nc"}\n', "")
        + "statistics: {partial_correlation: {with: [temperature, radiation]}}\n",
        ":11: statistics.partial_correlation.with: there is no source for 'radiation'.",
        MEND,
    ),
    "breaks that fall": (
        GOOD + "classes:\n  slope: {breaks: [0, -1]}\n",
        f":{END + 1}: classes.slope: `breaks` must rise.",
        MEND,
    ),
    "breaks that stand": (
        GOOD + "classes: {slope: {breaks: [0, 0]}}\n",
        f":{END}: classes.slope: `breaks` must rise.",
        MEND,
    ),
    "no breaks": (GOOD + "classes: {slope: {breaks: []}}\n", f":{END}: classes.slope: `breaks` must rise.", MEND),
    "method and breaks": (
        GOOD + "classes: {cv: {method: natural-breaks, breaks: [1]}}\n",
        f":{END}: classes.cv: give `method` or `breaks`, not both.",
        MEND,
    ),
    "labels": (
        GOOD + "classes: {slope: {breaks: [0], labels: [worse, same, better]}}\n",
        f":{END}: classes.slope: 2 classes need 2 labels, 3 are given.",
        MEND,
    ),
    "labels of natural breaks": (
        GOOD + "classes: {slope: {k: 4, labels: [a, b]}}\n",
        f":{END}: classes.slope: 4 classes need 4 labels, 2 are given.",
        MEND,
    ),
    "bilinear npp": (
        edit('"mod17/*.hdf"', "x, resampling: bilinear"),
        ":6: sources: npp: its codes allow no `resampling: bilinear`.",
        MEND,
    ),
    "barren land in averages": (
        edit('"mod17/*.hdf"', "x, resampling: average, nonvegetated: zero"),
        ":6: sources: npp: `nonvegetated: zero` needs `resampling: nearest`: a cell's average would mix barren land, "
        "which respires nothing, with the rest.",
        MEND,
    ),
    "an engine for npp": (
        edit('"mod17/*.hdf"', "x, engine: xesmf"),
        ":6: sources: npp: `engine`, `elevation` and `year_start` belong to climate.",
        MEND,
    ),
    "xesmf has no average": (
        edit('"chirps/*.nc"', "x, engine: xesmf, resampling: average"),
        ":9: sources.precipitation: `engine: xesmf` has no `resampling: average`; `conservative` is its mean over "
        "cells.",
        MEND,
    ),
    "elevation of rain": (
        edit('"chirps/*.nc"', "x, elevation: {orography: a.nc, dem: b.tif}"),
        ":6: sources: precipitation: `elevation` belongs to temperature.",
        MEND,
    ),
    "years that begin apart": (
        edit('"chirps/*.nc"', "x, year_start: 10"),
        ":6: sources: `year_start`: the years of climate must begin together (temperature in month 1, precipitation in "
        "month 10, radiation in month 1).",
        MEND,
    ),
    "quality of rain": (
        edit('"chirps/*.nc"', "x, max_qc: 10"),
        ":6: sources: precipitation: `max_qc`, `nonvegetated` and `continued_by` belong to npp.",
        MEND,
    ),
    "bounds of no regions": (
        edit("[89.4, 31.59, 102.4, 36.29]", "regions"),
        ":5: grid.bounds: `regions` needs a `regions` section.",
        MEND,
    ),
}


@pytest.mark.parametrize(("text", "what", "way_out"), CASES.values(), ids=CASES)
def test_a_fault_is_told_with_file_line_and_key(write, text, what, way_out):
    assert refusal(write(text)) == (what, way_out)


def test_files_that_are_none(write, tmp_path):
    where, way_out = refusal(tmp_path / "missing.yaml")
    assert where == ": the recipe cannot be read (No such file or directory)."
    assert way_out == "Name a YAML file; recipes/demo.yaml is one to start from."
    assert refusal(tmp_path)[0] == ": the recipe cannot be read (Is a directory)."
    assert refusal(write(b"\xff\xfe\x00recipe"))[0] == ": this is no text file."
    assert refusal(write("#" * 1_000_001))[0] == ": larger than a recipe can be."


def test_defaults(write):
    r = load_recipe(write(GOOD))
    assert (r.title, r.blocks, r.regions, r.archive) == ("", 1024, None, None)
    assert (r.grid.crs, r.grid.resolution) == ("EPSG:4326", "500 m")
    assert r.respiration.model == "pei2009"
    s = r.statistics
    assert (s.min_years, r.min_years, s.alpha) == (None, 20, 0.05)
    assert (s.trend, s.mann_kendall) == (("ols", "theil-sen"), ("original", "3pw"))
    assert (s.cv.ddof, s.cv.min_mean) == (0, 1.0)
    assert s.partial_correlation.of == ("nep",)
    assert r.correlates == r.sources.drivers == ("temperature", "precipitation", "radiation")
    assert (r.classes.slope.method, r.classes.slope.k, r.classes.cv.signed) == ("natural-breaks", 5, False)
    assert r.classes.partial_correlation.breaks == (-0.8, -0.5, -0.3, 0.0, 0.3, 0.5, 0.8)
    npp = r.sources.npp
    assert (npp.resampling, npp.nonvegetated, npp.min_coverage, npp.min_fraction) == ("nearest", "nan", 1.0, 0.5)
    assert npp.patterns == ("mod17/*.hdf",)
    assert r.years == range(2001, 2021)


def test_a_record_that_goes_on_with_another_reader(write):
    later = "continued_by: {reader: vnp17a3hgf, path: v/*.h5, from: 2015}"
    r = load_recipe(write(edit('"mod17/*.hdf"', f'"mod17/*.hdf", max_qc: 40, {later}')))
    first, second = r.sources.npp.records(r.period)
    assert (first.source.reader, first.years) == ("mod17a3hgf", (2001, 2014))
    assert (second.source.reader, second.source.patterns, second.years) == ("vnp17a3hgf", ("v/*.h5",), (2015, 2020))
    # how a cell is judged is the same in both
    assert (first.source.max_qc, second.source.max_qc) == (40, 40)
    assert [r.years for r in r.sources.npp.records((2001, 2014))] == [(2001, 2014)]
    assert [r.years for r in r.sources.npp.records((2016, 2020))] == [(2016, 2020)]


def test_a_modelled_npp_and_no_radiation(write):
    text = edit('{reader: mod17a3hgf, path: "mod17/*.hdf"}', "{model: miami}")
    r = load_recipe(write(text.replace('  radiation: {reader: era5-land, path: "era5/*.nc"}\n', "")))
    assert (r.sources.npp.model, r.sources.npp.carbon_fraction) == ("miami", 0.45)
    assert r.correlates == ("temperature", "precipitation")
    assert set(r.sources.readers()) == {"temperature", "precipitation"}


def test_a_recipe_is_frozen(write):
    r = load_recipe(write(GOOD))
    with pytest.raises(ValueError, match="frozen"):
        r.blocks = 512
    with pytest.raises(ValueError, match="frozen"):
        r.grid.crs = "EPSG:3857"


def test_nonvegetated_may_be_yamls_nan(write):
    for word in ("nan", ".nan", "zero"):
        r = load_recipe(write(edit('"mod17/*.hdf"', f"x, nonvegetated: {word}")))
        assert r.sources.npp.nonvegetated == word.strip(".")


def test_paths_are_relative_to_the_recipe(write, tmp_path, monkeypatch):
    monkeypatch.setenv("NEPCUBE_DATA", "/data/era")
    r = load_recipe(write(edit("chirps/*.nc", "${NEPCUBE_DATA}/x_${NEPCUBE_DATA}.nc")))
    assert r.base == tmp_path.resolve()
    assert r.resolve("mod17/*.hdf") == str(tmp_path.resolve() / "mod17" / "*.hdf")
    assert r.resolve("../x.tif") == str(tmp_path.resolve().parent / "x.tif")
    assert r.resolve("/abs/x.tif") == "/abs/x.tif"
    assert r.resolve("s3://bucket/x.zarr") == "s3://bucket/x.zarr"
    assert r.sources.precipitation.path == "/data/era/x_/data/era.nc"
    monkeypatch.chdir("/")
    assert load_recipe(tmp_path / "recipe.yaml").base == tmp_path.resolve()


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_our_recipes_load_and_come_back(path, tmp_path, monkeypatch):
    for name in re.findall(r"\$\{(\w+)\}", path.read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "/data")
    r = load_recipe(path)
    copy = tmp_path / path.name
    copy.write_text(dump_recipe(r), encoding="utf-8")
    back = load_recipe(copy).at(r.base)
    assert back == r
    assert dump_recipe(back) == dump_recipe(r)
    for stage in STAGES:
        assert stage_part(back, stage) == stage_part(r, stage)


def test_there_are_recipes():
    assert RECIPES


def test_a_dump_spells_out_every_default(write):
    plain = yaml.safe_load(dump_recipe(load_recipe(write(GOOD))))
    assert plain["statistics"]["cv"] == {"ddof": 0, "min_mean": 1.0, "detrended": False}
    assert plain["grid"]["resolution"] == "500 m"
    assert plain["classes"]["slope"]["k"] == 5


# --- what depends on what

CHANGES = {
    "title": ("title: other\n", None),
    "blocks": ("blocks: 512\n", None),
    "alpha": ("statistics: {alpha: 0.01}\n", ("analyse", ["statistics.alpha"])),
    "cv": ("statistics: {cv: {min_mean: 2}}\n", ("analyse", ["statistics.cv.min_mean"])),
    "classes": ("classes: {slope: {method: natural-breaks, k: 6}}\n", ("aggregate", ["classes.slope.k"])),
    "regions": (
        "regions: {path: r.geojson}\n",
        ("aggregate", ["regions", "regions.mend", "regions.name", "regions.overlap", "regions.path"]),
    ),
}


def changes(a, b):
    return {stage: changed_keys(stage_part(a, stage), stage_part(b, stage)) for stage in STAGES}


@pytest.mark.parametrize(("addition", "wanted"), CHANGES.values(), ids=CHANGES)
def test_a_change_reaches_its_stage_and_the_later_ones(write, addition, wanted):
    found = changes(load_recipe(write(GOOD)), load_recipe(write(GOOD + addition)))
    first, keys = wanted or (None, [])
    seen = False
    for stage in STAGES:
        seen = seen or stage == first
        assert found[stage] == (keys if seen else [])


def test_a_longer_period_is_no_change_of_the_ingest(write):
    found = changes(load_recipe(write(GOOD)), load_recipe(write(edit("2020]", "2021]"))))
    assert found["ingest"] == []
    assert all(found[s] == ["period"] for s in STAGES[1:])


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ("89.4,", "89.5,", ["grid.bounds"]),
        ("chirps/*.nc", "other/*.nc", ["sources.precipitation.path"]),
        ("[89.4, 31.59, 102.4, 36.29]", "[89.4, 31.59, 102.4, 36.29]\n  resolution: 1 km", ["grid.resolution"]),
    ],
)
def test_a_change_of_the_ingest_reaches_all(write, old, new, keys):
    found = changes(load_recipe(write(GOOD)), load_recipe(write(edit(old, new))))
    assert all(found[s] == keys for s in STAGES)


@given(
    a=st.dictionaries(st.text(max_size=3), st.none() | st.integers(0, 2), max_size=5),
    b=st.dictionaries(st.text(max_size=3), st.none() | st.integers(0, 2), max_size=5),
)
@settings(max_examples=100)
def test_changed_keys(a, b):
    missing = object()
    wanted = {k for k in (*a, *b) if a.get(k, missing) is missing or b.get(k, missing) is missing or a[k] != b[k]}
    assert changed_keys(a, b) == sorted(wanted)


# --- whatever stands in the file, it is told in two lines


@pytest.mark.parametrize("key", ["'#x'", "str", "float", "'a[b'"])
def test_unknown_keys_that_look_like_pydantics_own(write, key):
    where, _ = refusal(write(f"{GOOD}{key}: 1\n"))
    assert where == f":{END}: {key.strip(chr(39))}: not a recipe key."


@pytest.mark.parametrize("value", ["2001-13-45", "0b_", "9" * 5000])
def test_values_that_yaml_itself_cannot_make(write, value):
    refusal(write(f"{GOOD}title: {value}\n"))


def test_brackets_without_end(write):
    refusal(write(f"{GOOD}title: {'[' * 3000}{']' * 3000}\n"))


@pytest.mark.parametrize("breaks", ["[.nan, 1]", "[0, .nan]", "[.inf]", "[-.inf, 0]"])
def test_breaks_that_are_no_numbers(write, breaks):
    # `classify` refuses them, after the whole analysis
    refusal(write(f"{GOOD}classes: {{slope: {{breaks: {breaks}}}}}\n"))


def test_a_driver_given_twice(write):
    # it would be its own control: every correlation NaN
    refusal(write(GOOD + "statistics: {partial_correlation: {with: [temperature, temperature]}}\n"))
