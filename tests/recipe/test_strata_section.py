"""The section `strata` of a recipe: what it takes, and what it refuses, with the line."""

import re

import pytest
from test_recipe import GOOD

from nepcube.errors import RecipeError
from nepcube.recipe import load_recipe, stage_part

LC = "{path: lc.tif, kind: categorical, names: {10: cropland, 30: grassland}}"
DEM = "{path: dem.tif, kind: continuous, breaks: [3000, 3500, 4000, 4500, 5000]}"


def recipe_of(tmp_path, strata):
    file = tmp_path / "r.yaml"
    file.write_text(GOOD + "strata:\n" + "".join(f"  {line}\n" for line in strata), encoding="utf-8")
    return load_recipe(file)


def test_the_section_of_the_design(tmp_path):
    found = recipe_of(tmp_path, [f"landcover: {LC}", f"elevation: {DEM}"])
    assert found.strata["landcover"].legend == {10: "cropland", 30: "grassland"}
    assert found.strata["elevation"].breaks == (3000, 3500, 4000, 4500, 5000)
    plain = {k for k in stage_part(found, "aggregate") if k.startswith("strata")}
    assert "strata.landcover.names.10" in plain
    assert not any(k.startswith("strata") for k in stage_part(found, "analyse"))


def test_legends_years_and_slope(tmp_path):
    found = recipe_of(
        tmp_path,
        [
            "worldcover: {path: [a.tif, b.tif], kind: categorical, names: worldcover, method: fraction, nodata: 0}",
            'change: {path: "lc_{year}/*.tif", kind: categorical, names: globeland30, change: [2000, 2020]}',
            f"two: {LC.replace('lc.tif', '{2000: a.tif, 2020: [b.tif, c.tif]}')[:-1]}, change: [2000, 2020]}}",
            "slope: {path: dem.tif, kind: continuous, of: slope, breaks: [2, 6, 15], units: m}",
        ],
    )
    assert found.strata["worldcover"].nodata == (0.0,)
    assert found.strata["change"].patterns(2020) == ("lc_2020/*.tif",)
    assert found.strata["two"].patterns(2020) == ("b.tif", "c.tif")
    assert len(found.strata["change"].legend) == 10


WRONG = {
    "an unknown key": (
        "lc: {path: a.tif, kind: categorical, nmaes: {1: a}}",
        r"strata\.lc\.nmaes: not a recipe key\.\nDid you mean 'names'\?",
    ),
    "no kind": ("lc: {path: a.tif, names: {1: a}}", "`kind` must be categorical or continuous"),
    "no names": ("lc: {path: a.tif, kind: categorical}", r"strata\.lc\.names: the key is missing"),
    "no breaks": ("dem: {path: a.tif, kind: continuous}", r"strata\.dem\.breaks: the key is missing"),
    "breaks that fall": ("dem: {path: a.tif, kind: continuous, breaks: [2, 1]}", "`breaks` must rise"),
    "labels that are few": ("d: {path: a.tif, kind: continuous, breaks: [2], labels: [a]}", "2 classes need 2 labels"),
    "one name twice": ("lc: {path: a.tif, kind: categorical, names: {1: a, 2: a}}", "two codes are called 'a'"),
    "the name of no class": ("lc: {path: a.tif, kind: categorical, names: {1: no class}}", "may not be 'no class'"),
    "many years, no change": (
        "lc: {path: {2000: a.tif, 2020: b.tif}, kind: categorical, names: {1: a}}",
        r"takes `change: \[first, second\]`",
    ),
    "change of one file": (
        "lc: {path: a.tif, kind: categorical, names: {1: a}, change: [2000, 2020]}",
        "`change` needs a `path` with {year}",
    ),
    "change backwards": (
        'lc: {path: "{year}.tif", kind: categorical, names: {1: a}, change: [2020, 2000]}',
        "2020 is not before 2000",
    ),
    "a year without file": (
        "lc: {path: {2000: a.tif, 2020: b.tif}, kind: categorical, names: {1: a}, change: [2000, 2010]}",
        "`path` names no file of 2010",
    ),
    "fractions of change": (
        'lc: {path: "{year}.tif", kind: categorical, names: {1: a}, change: [2000, 2020], method: fraction}',
        "takes no `method: fraction`",
    ),
    "feet for a slope": ("s: {path: a.tif, kind: continuous, of: slope, breaks: [5], units: ft}", "must be in m"),
    "a name that is taken": (f"nep_mean: {LC}", r"strata\.nep_mean: the statistics have"),
    "a name that is none": (f"Land cover: {LC}", "pattern"),
    "a number elsewhere": ("lc: {1: a.tif, kind: categorical, names: {1: a}}", "a key must be plain text"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_sections_are_refused_with_their_line(tmp_path, case):
    line, says = WRONG[case]
    with pytest.raises(RecipeError, match=says) as caught:
        recipe_of(tmp_path, [line])
    at = re.search(r"r\.yaml:(\d+):", str(caught.value))
    assert at is not None
    assert int(at[1]) >= GOOD.count("\n") + 1
    assert len(str(caught.value).splitlines()) == 2
