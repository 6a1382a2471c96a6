"""The `uncertainty:` section: every error is stated, and only what it changes is made again."""

import pytest

from nepcube import recipe as recipes
from nepcube.errors import RecipeError

NPP = {"systematic": 0.15, "by_cell": 0.2, "by_cell_year": 0.0}
SECTION = {"npp": NPP, "respiration": {"scale": 0.1, "temperature": 0.0}, "source": "Turner et al. 2006"}


@pytest.fixture
def load(write_recipe):
    return lambda section: recipes.load_recipe(write_recipe(uncertainty=section))


def test_it_comes_back_from_the_resolved_recipe(load, tmp_path):
    section = SECTION | {"correlation": [["scale", "temperature", -0.5]]}
    file = tmp_path / "resolved.yaml"
    file.write_text(recipes.dump_recipe(load(section)))
    back = recipes.load_recipe(file).uncertainty
    assert back == load(section).uncertainty
    assert back.correlation == (("scale", "temperature", -0.5),)
    assert back.coefficients == ("scale",)


def test_outputs_without_it_stay_what_they_are(write_recipe):
    recipe = recipes.load_recipe(write_recipe())
    for stage in recipes.STAGES:
        assert not [key for key in recipes.stage_part(recipe, stage) if key.startswith("uncertainty")]


def test_what_a_change_makes_again(load, write_recipe):
    plain = recipes.load_recipe(write_recipe())

    def changed(a, b):
        parts = ((recipes.stage_part(a, s), recipes.stage_part(b, s)) for s in recipes.STAGES)
        return {s: recipes.changed_keys(*p) for s, p in zip(recipes.STAGES, parts, strict=True)}

    added = changed(plain, load(SECTION))
    assert added["ingest"] == []
    assert "uncertainty.npp.systematic" in added["analyse"]
    other = changed(load(SECTION), load(SECTION | {"npp": NPP | {"by_cell": 0.3}}))
    assert other["ingest"] == []
    assert all(other[s] == ["uncertainty.npp.by_cell"] for s in ("analyse", "aggregate", "report", "publish"))
    # where the numbers come from is told in the report alone
    source = changed(load(SECTION), load(SECTION | {"source": "another"}))
    assert source["analyse"] == source["aggregate"] == []
    assert source["report"] == ["uncertainty.source"]


@pytest.mark.parametrize(
    ("section", "told", "way_out"),
    [
        (
            {"npp": {"systematic": 0.2}, "respiration": {}},
            "uncertainty.npp.by_cell: the key is missing.",
            "Add `by_cell:`",
        ),
        ({"npp": NPP}, "uncertainty.respiration: the key is missing.", "Add `respiration:`"),
        (
            SECTION | {"npp": NPP | {"by_cel": 0.1}},
            "uncertainty.npp.by_cel: not a recipe key.",
            "Did you mean 'by_cell'?",
        ),
        (SECTION | {"npp": NPP | {"systematic": 20}}, "uncertainty.npp.systematic: Input should be less than", ""),
        (SECTION | {"npp": NPP | {"systematic": -0.1}}, "uncertainty.npp.systematic: Input should be greater", ""),
        (SECTION | {"respiration": {"scale": 2}}, "uncertainty.respiration.scale: Input should be less than", ""),
        (SECTION | {"respiraton": {}}, "uncertainty.respiraton: not a recipe key.", "Did you mean 'respiration'?"),
        (SECTION | {"correlation": [["scale", "share", 1.5]]}, "uncertainty.correlation", ""),
        (0.2, "uncertainty", ""),
    ],
)
def test_what_is_refused(load, section, told, way_out):
    with pytest.raises(RecipeError) as caught:
        load(section)
    assert told in caught.value.what
    assert caught.value.way_out.startswith(way_out)
