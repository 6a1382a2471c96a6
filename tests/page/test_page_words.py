"""What the page says of a run comes from the recipe that was run."""

from __future__ import annotations

import math
import re
import shutil
import string
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from sample_page import STEMS, fake_run, run_of, small_figures

from nepcube import recipe as recipes
from nepcube.errors import RecipeError
from nepcube.pipeline import formulas, languages, methods, reporting
from nepcube.pipeline.notes import least_correlation, notes
from nepcube.pipeline.stratifying import standard_strata
from nepcube.places import place_of
from nepcube.report import ReportInputs, write_formats, write_tables, years_between
from nepcube.report.saying import text_in
from nepcube.report.words import LANGUAGES, words

UNCERTAIN = {"npp": {"systematic": 0.1, "by_cell": 0.1, "by_cell_year": 0.0}, "respiration": {"scale": 0.2}}
#: nothing beyond what every run does
OFF = {
    **dict.fromkeys(("statistics__breakpoint", "statistics__attribution", "uncertainty")),
    **dict.fromkeys(("statistics__pettitt", "statistics__hurst", "statistics__residual_trend"), False),
    "statistics__cv__detrended": False,
}


def tables(without=0.1, worst=0.3, cv=0.0):
    areas = {"all": (100.0, without), "wet": (60.0, 0.0), "dry": (40.0, worst)}
    series = [(n, y, a * (1 - w), a) for n, (a, w) in areas.items() for y in (2001, 2002)]
    classes = [("all", -1, 100 * without + cv), ("all", 0, 100 * (1 - without) - cv)]
    return {
        "series": pd.DataFrame(series, columns=["region", "year", "area_km2", "region_area_km2"]),
        "cv_classes": pd.DataFrame(classes, columns=["region", "class", "area_km2"]),
    }


def recipe_of(**changes):
    """The demonstration's recipe with other keys, by their dotted names."""
    content = fake_run().recipe.model_dump(by_alias=True, exclude_none=True)
    for name, value in changes.items():
        part = content
        *path, last = name.split("__")
        for key in path:
            part = part.setdefault(key, {})
        if value is None:
            part.pop(last, None)
        else:
            part[last] = value
    return recipes.Recipe.model_validate(content)


def told(recipe, given=None, language="en"):
    found = notes(run_of(recipe), given or tables())
    return {text_in(n.title, language): text_in(n.text, language) for n in found}


def test_what_is_always_said():
    said = told(recipe_of())
    assert {"NEP is not the net biome balance", "Circularity", "Basis of respiration"} <= set(said)
    assert "on the annual basis" in said["Basis of respiration"]
    assert "Few years" not in said


@pytest.mark.parametrize(("last", "years"), [(2020, None), (2021, "2021 of this run"), (2024, "2021–2024 of this run")])
def test_the_drift_of_terra_is_told_where_its_years_are_in_the_run(last, years):
    said = told(recipe_of(period=(2001, last))).get("Drift of the late Terra record")
    assert (said is None) if years is None else (years in said)


def test_the_drift_is_not_told_where_viirs_goes_on():
    later = {"reader": "vnp17a3hgf", "path": "x/*.h5", "from": 2013}
    said = told(recipe_of(period=(2001, 2024), sources__npp__continued_by=later))
    assert "Drift of the late Terra record" not in said
    assert "mod17a3hgf 2001–2012, vnp17a3hgf 2013–2024" in said["Two records of NPP"]


def test_few_years_are_told_with_what_a_correlation_must_reach():
    from scipy.stats import t

    said = told(recipe_of(period=(2001, 2012)))["Few years"]
    r = float(said.split("|r| = ")[1].split()[0])
    # the p-value of that r, of order 2 in 12 years, is the level
    statistic = r * math.sqrt(8 / (1 - r * r))
    assert 2 * t.sf(statistic, 8) == pytest.approx(0.05, abs=0.003)
    assert "12 years" in said


def test_the_least_correlation_is_that_of_the_printed_tables():
    assert least_correlation(20, 2, 0.05) == pytest.approx(0.468, abs=5e-4)
    assert least_correlation(20, 2, 0.01) == pytest.approx(0.590, abs=5e-4)
    assert math.isnan(least_correlation(4, 2, 0.05))


def test_no_degree_of_freedom_is_told():
    said = told(recipe_of(period=(2001, 2004), statistics__min_years=3))["Few years"]
    assert "no degree of freedom" in said


def test_the_share_without_data_is_that_of_the_tables():
    said = told(recipe_of(), tables(without=0.125, worst=0.31))["Share without data"]
    assert said.startswith("12.5 % of the area")
    assert "31.0 % in dry" in said
    assert "20 of 20 years" in said


def test_a_coefficient_without_meaning_is_told_with_its_area():
    key = "Coefficient of variation near zero"
    assert key not in told(recipe_of())
    assert "on 7 km²" in told(recipe_of(), tables(cv=7.0))[key]


def test_potential_npp_is_told_instead_of_the_record():
    recipe = recipe_of(sources__npp={"model": "miami"})
    said = told(recipe)
    assert "Potential NEP" in said
    assert "No independent check" not in said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sources__npp": {"model": "thornthwaite-memorial"}, "sources__radiation": None},
        {
            "statistics__breakpoint": {"years": [2010], "search": True},
            "statistics__pettitt": True,
            "statistics__hurst": True,
            "statistics__residual_trend": True,
            "statistics__attribution": "miami",
            "statistics__cv__detrended": True,
            "statistics__field_significance": False,
            "statistics__mann_kendall": [
                *("original", "pre-whitened", "trend-free-pre-whitened", "hamed-rao", "yue-wang", "3pw")
            ],
            "statistics__partial_correlation": {"of": ["nep", "npp"], "lag": {"precipitation": 1}, "detrend": True},
            "classes__slope": {"method": "quantile", "k": 4},
            "sources__temperature__year_start": 10,
            "sources__precipitation__year_start": 10,
            "sources__radiation__year_start": 10,
        },
        {
            "regions__overlap": "exact",
            "strata": {
                "slope": {"path": "dem.tif", "kind": "continuous", "of": "slope", "breaks": [5], "min_fraction": 0.2},
                "landcover": {"path": "lc/*.tif", "kind": "categorical", "names": "worldcover", "method": "fraction"},
                "soil": {"path": "soil.tif", "kind": "categorical", "names": {1: "peat"}, "overlapping": "most"},
                "turned": {
                    "path": "lc_{year}.tif",
                    "kind": "categorical",
                    "names": {1: "peat", 2: "sand"},
                    "change": [2001, 2020],
                },
            },
        },
        {"respiration__basis": "monthly", "statistics__partial_correlation": {"with": ["temperature"]}},
        {"sources__npp__nonvegetated": "zero", "sources__npp__max_qc": 60, "sources__precipitation__min_coverage": 0.9},
    ],
)
def test_every_recipe_is_told_in_every_language(language, changes):
    run = run_of(recipe_of(**changes))
    cube = xr.Dataset({n: ((), np.nan, {}) for n in ("npp", *run.recipe.sources.drivers)})
    said = [text_in(t, language) for m in methods.paragraphs(run, cube) for t in (m.title, *m.sentences)]
    said += [text_in(value, language) for record in formulas.formulas(run) for value in record.values()]
    said += told(run.recipe, language=language).values()
    assert len(said) > 30
    text = " ".join(said)
    assert "{" not in text
    for key, word in (("statistics__pettitt", "Pettitt"), ("statistics__breakpoint", "2010"), ("sources__npp", "0.45")):
        if key in changes:
            assert word in text
    if "strata" in changes:
        for word in ("dem.tif", "soil", "lc/*.tif".rpartition("/")[2], "2001", "2020", "20.0 %", "Horn"):
            assert word in text
        held = {"en": "polygon that holds its centre", "zh": "归属于其中心所在的多边形"}
        assert held[language] not in text
    if changes.get("sources__npp__max_qc"):
        assert "60" in text
        assert "90.0 %" in text


def test_the_formula_is_that_of_the_basis():
    for basis, sign in (("annual", "30 × 0.465, with"), ("monthly", "12 months"), ("daily", "over the days")):
        found = formulas.formulas(run_of(recipe_of(respiration__basis=basis)))
        assert sign in text_in(found[1]["formula"], "en")


@pytest.mark.parametrize(
    ("changes", "words_of_it"),
    [
        ({"statistics__breakpoint": {"years": [2010]}}, ("years 2010", "指定的年份2010")),
        ({"statistics__breakpoint": {"search": True}}, ("(model joined) was sought", "寻找趋势突变")),
        ({"statistics__pettitt": True}, ("Pettitt's test", "Pettitt检验")),
        ({"statistics__hurst": True}, ("Hurst exponent", "Hurst指数")),
        ({"statistics__residual_trend": True}, ("residual trend is", "残差趋势为")),
        ({"statistics__attribution": "miami"}, ("divided by cause", "按成因划分")),
        ({"statistics__cv__detrended": True}, ("residuals around the least-squares line", "趋势线残差的变异系数")),
        ({"uncertainty": UNCERTAIN}, ("carried to NEP to first order", "按一阶误差传播到NEP")),
    ],
)
def test_the_methods_tell_what_a_recipe_asks_for_and_nothing_else(changes, words_of_it):
    for asked in (True, False):
        run = run_of(recipe_of(**(changes if asked else OFF)))
        cube = xr.Dataset({n: ((), np.nan, {}) for n in ("npp", *run.recipe.sources.drivers)})
        paragraphs = methods.paragraphs(run, cube)
        for language, word in zip(LANGUAGES, words_of_it, strict=True):
            said = " ".join(text_in(t, language) for m in paragraphs for t in m.sentences)
            assert (word in said) == asked


@pytest.mark.parametrize(
    ("asked", "name", "text"),
    [
        ({"with": ["temperature"]}, "Correlation", "r; t = r √((n − 2) / (1 − r²)) with n − 2 degrees of freedom"),
        ({"with": ["temperature"], "lag": {"temperature": 1}}, "Correlation", "temperature of 1 year(s) before"),
        ({"with": ["temperature"], "detrend": True}, "Partial correlation of order 1", "residuals after the years;"),
        ({}, "Partial correlation of order 2", "residuals after the other drivers;"),
        ({"detrend": True}, "Partial correlation of order 3", "residuals after the years and the other drivers;"),
    ],
)
def test_the_formula_of_a_correlation_is_that_of_its_controls(asked, name, text):
    run = run_of(recipe_of(statistics__partial_correlation=asked))
    found = {text_in(f["name"], "en"): text_in(f["formula"], "en") for f in formulas.formulas(run)}
    assert text in found[name]
    cube = xr.Dataset({n: ((), np.nan, {}) for n in ("npp", *run.recipe.sources.drivers)})
    said = [text_in(t, "en") for m in methods.paragraphs(run, cube) for t in m.sentences]
    assert not [sentence for sentence in said if not sentence[0].isupper()]


@pytest.mark.parametrize(("wanted", "again"), [(("en", "zh"), False), (("en",), True), (("zh",), True)])
def test_a_report_in_other_languages_is_made_again(monkeypatch, tmp_path, pages, wanted, again):
    class BegunError(Exception):
        pass

    def begin(run, stage):
        raise BegunError

    shutil.copy(pages["both"], tmp_path / "report.html")
    monkeypatch.setattr(reporting, "is_done", lambda run, stage: True)
    monkeypatch.setattr(reporting, "begin", begin)
    run = SimpleNamespace(out=place_of(tmp_path), languages=wanted, progress=lambda *_: None)
    if again:
        with pytest.raises(BegunError):
            reporting.report(run)
    else:
        assert reporting.report(run) == run.out / "report.html"


def test_names_that_look_like_no_value_come_back(tmp_path):
    names = ["NA", "None", "null", "nan", "N/A", "007", "true", "1e5", "all"]
    numbers = [1.5, np.nan, np.inf, -np.inf, 0.0, 2.0, 3.0, 4.0, 5.0]
    table = pd.DataFrame({"region": names, "stratum": names[::-1], "label": names, "mean_gc_m2": numbers})
    write_tables({"summary": table, "summary_by_land": table}, tmp_path / "tables")
    for back in reporting.read_tables(place_of(tmp_path)).values():
        pd.testing.assert_frame_equal(back, table, check_dtype=False)
        assert back["mean_gc_m2"].dtype == "float64"
    inputs = ReportInputs("r", "r", (2001, 2002), xr.Dataset(), reporting.read_tables(place_of(tmp_path)))
    assert inputs.region_names == tuple(names[:-1])
    (first,) = write_formats({"summary": back}, tmp_path, ["md"])
    assert all(f"| {name} |" in first.read_text(encoding="utf-8") for name in names)


def test_names_of_classes_are_ours_where_no_recipe_gives_them():
    strata = {
        "landcover": {"path": "lc.tif", "kind": "categorical", "names": "worldcover"},
        "own": {"path": "lc.tif", "kind": "categorical", "names": {1: "forest"}},
        "bands": {"path": "dem.tif", "kind": "continuous", "breaks": [5]},
        "called": {"path": "dem.tif", "kind": "continuous", "breaks": [5], "labels": ["below 5", "above"]},
    }
    assert standard_strata(recipe_of(strata=strata)) == {"landcover", "bands"}


def test_years_are_said_alike_and_once():
    assert [text_in(years_between(2001, 2001), one) for one in LANGUAGES] == ["2001", "2001年"]
    assert [text_in(years_between(2001, 2020), one) for one in LANGUAGES] == ["2001–2020", "2001—2020年"]
    run = run_of(recipe_of(period=(2019, 2021), statistics__min_years=3))
    assert "2021年" in told(run.recipe, language="zh")["Terra后期记录的漂移"]
    titles = {key: text for key, text in words("figures", "zh").items() if key.startswith("title.")}
    for key, text in titles.items():
        fields = {name: "因子" for _, name, _, _ in string.Formatter().parse(text) if name}
        assert "年年" not in text.format(**fields | {"years": "2001—2020年"}), key
    every = " ".join([*words("page", "zh").values(), *words("figures", "zh").values()])
    assert not [word for word in ("配方", "基准") if word in every]


def test_a_report_in_two_languages_has_its_maps_in_both(monkeypatch, tmp_path, given):
    drawn = []

    def draw_figures(inputs, directory, **options):
        drawn.append((inputs.language, options.get("charts", True)))
        return small_figures(directory, 60 if inputs.language == "zh" else 160)

    for name, fake in {"is_done": lambda *_: False, "begin": lambda *_: None, "finish": lambda *_: None}.items():
        monkeypatch.setattr(reporting, name, fake)
    monkeypatch.setattr(reporting, "make_inputs", lambda run: given)
    monkeypatch.setattr(reporting.report_room, "draw_figures", draw_figures)
    run = SimpleNamespace(
        out=place_of(tmp_path), languages=("en", "zh"), progress=lambda *_: None, say=lambda text: None
    )
    reporting.report(run)
    assert drawn == [("en", True), ("zh", False)]
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    pictures = dict(re.findall(r'<img class="w" lang="([^"]*)" src="([^"]*)"', text))
    assert set(pictures) == {"en", "zh-Hans"}
    assert pictures["en"] != pictures["zh-Hans"]
    # the figures of the output stay those of the first language
    assert {p.name for p in (tmp_path / "figures").iterdir()} == {f"{stem}.png" for stem in STEMS}


def test_the_languages_of_the_command_line():
    assert [languages(w) for w in ("en", "zh", "both")] == [("en",), ("zh",), ("en", "zh")]
    with pytest.raises(RecipeError, match="fr") as told_error:
        languages("fr")
    assert "en, zh, both" in str(told_error.value)
