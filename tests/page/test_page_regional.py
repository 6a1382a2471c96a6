"""Tables of strata, of the error of the mean and of the sizes of regions, as the page shows them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sample_report import make_inputs

from nepcube.report import percent, write_page
from nepcube.report.regional import regional_tables
from nepcube.report.saying import text_in
from nepcube.report.strata import stratum_class_word, stratum_tables

AREAS = {"grassland": 60.0, "4 of mine": 30.0, "no class": 0.0}


@pytest.fixture(scope="module")
def plain():
    return make_inputs(names=("wet", "dry"), seeds=((0.3, 0.5), (0.7, 0.5)), resolution="40 km")


def divided(inputs, areas, factor=1.0):
    """Tables of a stratum: the first class is a sink in every year, the others in half of each."""
    summary, series = [], []
    for k, region in enumerate((*inputs.region_names, "all")):
        for j, (label, area) in enumerate(areas.items()):
            empty = area == 0
            row = {
                "region": region,
                "stratum": label,
                "mean_gc_m2": np.nan if empty else 100.0 * k + j,
                "mean_tgc_yr": np.nan if empty else 0.00123456,
                "slope_gc_m2_yr": np.nan if empty else -0.5,
                "slope_pvalue": np.nan if empty else 0.0004,
                "area_km2": 0.5 * area * factor,
                "region_area_km2": area * factor,
            }
            summary.append(row)
            for year in (2001, 2002):
                share = np.nan if empty else 1.0 if j == 0 else 0.5 * (year - 2001)
                series.append({"region": region, "stratum": label, "year": year, "sink_share": share})
    return {"summary_by_cover": pd.DataFrame(summary), "series_by_cover": pd.DataFrame(series)}


def with_tables(inputs, more, **changes):
    return dataclasses.replace(inputs, tables={**inputs.tables, **more}, **changes)


def texts(table, language="en"):
    return [[text_in(c.text, language) for c in row] for row in table.rows]


def test_the_classes_of_a_stratum(plain):
    inputs = with_tables(plain, divided(plain, AREAS), strata={"cover": "", "gone": "m"})
    whole, regions = stratum_tables(inputs)
    rows = texts(whole)
    assert [r[0] for r in rows] == ["Whole region", "grassland", "4 of mine"]
    summary = inputs.rows("summary", region="all").iloc[0]
    share = 60.0 / summary["region_area_km2"]
    assert rows[1][1:5] == ["60", percent(share), "30", "200.00"]
    assert rows[1][5:] == ["0.00123", "−0.500", "< 0.001", "100.0 %"]
    assert rows[2][-1] == "25.0 %"
    # the same word in a recipe's own table of names is that recipe's
    assert texts(whole, "zh")[1][0] == "grassland"
    ours, by_region = stratum_tables(dataclasses.replace(inputs, standard_strata=frozenset({"cover"})))
    assert texts(ours, "zh")[1][0] == "草地"
    assert texts(by_region, "zh")[0][1] == "草地"
    assert (whole.pinned, whole.folded, whole.source) == (1, "", "summary_by_cover.csv")
    assert regions.folded
    assert [r[0].split()[-1] for r in texts(regions)] == ["wet", "wet", "dry", "dry"]
    assert [r[3] for r in texts(regions)] == ["66.7 %", "33.3 %"] * 2
    assert len({len(r) for r in texts(whole)} | {len(whole.columns)}) == 1
    assert len({len(r) for r in texts(regions)} | {len(regions.columns)}) == 1


def test_many_classes_are_folded_and_very_many_are_the_largest(plain):
    some = {f"class {k}": float(k + 1) for k in range(30)}
    whole, _ = stratum_tables(with_tables(plain, divided(plain, some), strata={"cover": ""}))
    assert whole.folded
    assert len(whole.rows) == 31
    most = {f"class {k}": float(k + 1) for k in range(225)}
    whole, regions = stratum_tables(with_tables(plain, divided(plain, most), strata={"cover": ""}))
    assert [r[0] for r in texts(whole)[1:]] == [f"class {k}" for k in range(125, 225)]
    assert "The 100 largest of 225 classes" in text_in(tuple(whole.notes), "en")
    assert len(regions.rows) == 225


@pytest.mark.parametrize(
    ("label", "en", "zh"),
    [
        ("below -3.5", "< −3.5", "< −3.5"),
        ("3500 to 1e+04", "3500 to 1e+04", "3500～1e+04"),
        ("5000 and above", "≥ 5000", "≥ 5000"),
        ("cropland to grassland", "cropland to grassland", "耕地→草地"),
        ("no class", "no class", "无类别"),
        ("my_own to yours", "my_own to yours", "my_own to yours"),
        ("near to grassland", "near to grassland", "near to grassland"),
        ("change", "change", "change"),
    ],
)
def test_the_words_of_classes(label, en, zh):
    assert [text_in(stratum_class_word(label, ours=True), one) for one in ("en", "zh")] == [en, zh]
    own = [text_in(stratum_class_word(label, ours=False), one) for one in ("en", "zh")]
    assert own == ([en, zh] if label == "no class" else [label, label])


def test_errors_and_sizes(plain):
    regions = [*plain.region_names, "all"]
    error = pd.DataFrame(
        {
            "region": regions,
            "mean_gc_m2": [10.0, np.nan, 12.0],
            "standard_error_gc_m2": [2.0, np.nan, 3.0],
            "lower_gc_m2": [6.08, np.nan, 6.12],
            "upper_gc_m2": [13.92, np.nan, 17.88],
            "sink_probability": [1 - 1e-9, np.nan, 0.8],
            "npp_error_gc_m2": [1.5, np.nan, 2.5],
            "respiration_error_gc_m2": [1.25, np.nan, 1.75],
            "total_tgc": [1.0, np.nan, 2.0],
            "total_standard_error_tgc": [0.2, np.nan, 0.5],
        }
    )
    sizes = pd.DataFrame(
        {
            "region": regions,
            "overlap": "exact",
            "area_centre_km2": [101.0, np.nan, 201.0],
            "area_exact_km2": [100.0, 100.0, 200.0],
            "polygon_area_km2": [100.5, 100.0, 200.5],
            "centre_minus_exact_km2": [1.0, np.nan, 1.0],
            "exact_minus_polygon_km2": [-0.5, 0.0, -0.5],
            "mean_centre_gc_m2": [10.0, np.nan, 12.0],
            "mean_exact_gc_m2": [10.5, 11.0, 12.25],
            "mean_centre_minus_exact_gc_m2": [-0.5, np.nan, -0.25],
        }
    )
    assert regional_tables(plain) == []
    first, second = regional_tables(with_tables(plain, {"uncertainty": error, "regions": sizes}))
    whole, wet, dry = texts(first)
    assert whole[:7] == ["Whole region", "12.00", "3.00", "6.12 to 17.88", "80.0 %", "2.50", "1.75"]
    assert wet[3:5] == ["6.08 to 13.92", ">99.9 %"]
    assert set(dry[1:]) == {"–"}
    assert texts(second)[0][2:6] == ["201", "200", "1.0", "−0.5"]
    assert texts(second)[2][2] == "–"
    assert "share of its area" in text_in(tuple(second.notes), "en")


def test_the_page_has_them_in_a_section_of_their_own(plain, tmp_path):
    inputs = with_tables(plain, divided(plain, AREAS), strata={"cover": "m"})
    text = write_page(inputs, [], tmp_path / "p.html", languages=("en", "zh")).read_text(encoding="utf-8")
    section = text.split('<section aria-labelledby="strata">')[1].split("</section>")[0]
    assert section.count("<table") == 2
    assert section.count("<details>") == 1
    assert "Class (m)" in section
    without = write_page(plain, [], tmp_path / "q.html").read_text(encoding="utf-8")
    assert 'id="strata"' not in without
