"""The page as a file: it needs nothing, does no harm, and says the same in each language."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import html.parser
import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_page import HOSTILE, bases, small_figures
from sample_report import make_inputs

import nepcube
from nepcube import spec
from nepcube.pipeline.classing import Classes
from nepcube.pipeline.outputs import Output
from nepcube.report import classes, languages_of, plots, reading, say, style, write_page
from nepcube.report.chart_sheets import partial_sheet
from nepcube.report.charts import chart_sink_share
from nepcube.report.headline import key_figures
from nepcube.report.pictures import face_of
from nepcube.report.saying import data_island, text_in
from nepcube.report.words import words


class Reader(html.parser.HTMLParser):
    """Keeps tags, attributes and texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attrs, self.texts, self._open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attrs += [(tag, *pair) for pair in attrs]
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, name):
        return [value for _, key, value in self.attrs if key == name]

    @property
    def words(self):
        return " ".join(" ".join(t.split()) for tag, t in self.texts if tag not in ("style", "script"))


@pytest.fixture(scope="module")
def read(pages):
    texts = {name: path.read_text(encoding="utf-8") for name, path in pages.items()}
    return {name: (text, Reader(text)) for name, text in texts.items()}


def test_the_page_needs_nothing_from_elsewhere(read):
    for text, page in read.values():
        assert all(link.startswith(("#", "data:")) for link in page.all("href") + page.all("src"))
        assert not {"iframe", "object", "embed", "form", "base"} & set(page.tags)
        assert not re.search(r"url\s*\(|@import", text)
        assert "http" not in re.sub(r"http-equiv", "", text).replace(HOSTILE, "")


def test_the_policy_allows_this_script_and_this_style_alone(read):
    for text, page in read.values():
        (policy,) = [v for v in page.all("content") if v.startswith("default-src")]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
        assert rules.pop("img-src") == "data:"
        for tag in ("style", "script"):
            (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
            found = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert rules.pop(f"{tag}-src") == f"'sha256-{found}'"
        assert not rules
        names = {key for _, key, _ in page.attrs}
        assert "style" not in names
        assert not [name for name in names if name.startswith("on")]


def test_markup_in_names_is_only_text(read):
    text, page = read["hostile"]
    assert page.tags.count("script") == 2
    assert page.tags.count("img") == 3  # the maps
    assert "<img src=x" not in text
    assert page.words.count("</script><img src=x onerror=") > 20
    (island,) = [t for tag, t in page.texts if tag == "script" and t.startswith("{")]
    assert not set("<>&\u2028") & set(island)
    titles = [mark["t"] for marks in json.loads(island)["marks"].values() for mark in marks]
    assert any(HOSTILE in (t if isinstance(t, str) else t["en"]) for t in titles)


def test_a_colour_from_a_store_is_a_colour(tmp_path):
    inputs = make_inputs(resolution="20 km")
    inputs.maps["slope_class"].attrs["flag_colors"] = 'red;x:url(//x) "#111111 #222222 #333333 #444444'
    page = Reader(write_page(inputs, [], tmp_path / "p.html").read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"#[0-9a-f]{6}", fill) for fill in page.all("fill"))


def test_an_island_comes_back_as_it_was():
    content = {"a": [HOSTILE, 1, None], HOSTILE: {"b": "</SCRIPT><!--"}}
    assert json.loads(data_island(content)) == content


def test_contents_and_labels_lead_somewhere(read):
    for text, page in read.values():
        ids = page.all("id")
        assert len(ids) == len(set(ids))
        for link in page.all("href"):
            assert not link.startswith("#") or link[1:] in ids, link
        for name in page.all("aria-labelledby") + page.all("aria-describedby"):
            assert name in ids, name
        for section in ("key", "notes", "years", "maps", "drivers", "checks", "methods", "provenance"):
            assert f'<h2 id="{section}">' in text


def test_key_figures_come_first_and_what_is_generated_before_them(read, given, tmp_path):
    text, _ = read["en"]
    banner = text.index(words("page", "en")["generated"])
    assert banner < text.index("<h1>") < text.index('id="key"') < text.index('id="notes"')
    quiet = write_page(dataclasses.replace(given, generated=False), [], tmp_path / "q.html").read_text(encoding="utf-8")
    assert 'class="banner"' not in quiet


# --- languages -----------------------------------------------------------------------------------------------------


def test_a_page_says_its_languages(read):
    assert [languages_of(read[n][0]) for n in ("en", "zh", "both")] == [("en",), ("zh",), ("en", "zh")]
    assert languages_of("<html><p>another page") == ()
    assert [re.search(r'<html lang="([\w-]+)"', read[n][0])[1] for n in ("en", "zh", "both")] == ["en", "zh-Hans", "en"]


def test_one_language_has_no_switch_and_no_other_words(read):
    for name, other in (("en", "zh"), ("zh", "en")):
        text, page = read[name]
        assert "fieldset" not in page.tags
        assert 'class="w"' not in text
        for key, value in words("page", other).items():
            # a whole sentence of the other language; short words may be the same in both
            if "{" not in value and len(value) > 25 and value != words("page", name)[key]:
                assert value not in page.words, key


def test_both_languages_say_the_same_numbers(read):
    def numbers(text):
        return sorted(re.findall(r"\d+(?:\.\d+)?", html.unescape(text)))

    both, _ = read["both"]
    # a cell that holds a number holds no word
    tables = {n: re.findall(r"<td>([^<A-Za-z]*\d[^<A-Za-z]*)</td>", read[n][0]) for n in ("en", "zh", "both")}
    assert len(tables["en"]) > 500
    assert tables["en"] == tables["zh"] == tables["both"]
    pairs = re.findall(r'<span class="w" lang="en">(.*?)</span><span class="w" lang="zh-Hans">(.*?)</span>', both)
    assert len(pairs) > 150
    worded = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "95", "2022", "2021"}
    for english, chinese in pairs:
        assert {*numbers(english)} - worded == {*numbers(chinese)} - worded, (english, chinese)


def test_every_key_that_the_code_names_has_words():
    there = words("page", "en")
    folder = Path(nepcube.__file__).parent
    sources = [*folder.glob("report/*.py"), *folder.glob("pipeline/*.py"), *folder.glob("report/templates/*.j2")]
    named = {key for path in sources for key in re.findall(r'\bsay\("([\w.-]+)"', path.read_text(encoding="utf-8"))}
    named = {key for key in named if not key.endswith(".")}
    assert len(named) > 100
    assert not {key for key in named if key not in there}


def test_a_missing_value_is_an_error_and_braces_in_a_name_are_not():
    with pytest.raises(KeyError):
        text_in(say("key.mean"), "en")
    assert text_in(say("key.mean", nep="{years}"), "en") == "Mean annual {years}"


# --- what is written -----------------------------------------------------------------------------------------------


def test_potential_nep_is_called_so(tmp_path):
    inputs = make_inputs(names=("One",), seeds=((0.5, 0.5),), resolution="20 km", potential=True)
    text = write_page(inputs, [], tmp_path / "p.html", languages=("en", "zh")).read_text(encoding="utf-8")
    assert "Mean annual potential NEP" in text
    assert "多年平均潜在NEP" in text


def test_means_under_every_basis_stand_by_the_warnings(read):
    text, page = read["en"]
    part = text[text.index('id="notes"') : text.index('id="years"')]
    assert re.findall(r'<th scope="row">([^<]+)</th>', part) == ["annual (this run)", "monthly"]
    assert [f"{v:.1f}" for v in bases()[["rh_mean_gc_m2", "nep_mean_gc_m2"]].to_numpy().ravel()] == re.findall(
        r"<td>([^<]+)</td>", part
    )
    assert "not the net biome balance" in page.words


def test_many_input_files_are_counted_and_folded(read):
    text, page = read["en"]
    assert "npp: 80 file(s), 94.3 MiB" in page.words
    assert text.count('<details class="files">') == 4


@pytest.mark.slow
def test_tables_of_very_many_regions_hold_the_largest(tmp_path):
    names = tuple(f"County {k}" for k in range(140))
    seeds = tuple(map(tuple, np.random.default_rng(3).random((140, 2))))
    inputs = make_inputs(names=names, seeds=seeds, resolution="10 km")
    found = len(inputs.region_names)
    assert found > 105
    text = write_page(inputs, [], tmp_path / "p.html", languages=("en", "zh")).read_text(encoding="utf-8")
    assert len(text) < 6e6
    assert f"The 100 largest of {found} regions" in text
    assert f"The 40 largest of {found} regions" in text
    area = inputs.rows("summary").set_index("region")["region_area_km2"].drop("all")
    table = next(t for t in reading.reading_tables(inputs) if t.key == "summary")
    shown = {str(row[0].text).split("  ")[-1] for row in table.rows[1:]}
    assert shown == set(area.nlargest(100).index)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "options",
    [
        {"names": (), "seeds": (), "drivers": ("temperature", "precipitation")},
        {"names": ("One",), "seeds": ((0.5, 0.5),), "empty": True},
    ],
)
def test_unusual_runs_are_written_in_both_languages(options, tmp_path):
    inputs = make_inputs(resolution="20 km", **options)
    text = write_page(inputs, small_figures(tmp_path), tmp_path / "p.html", languages=("zh", "en")).read_text()
    assert 'id="in-zh" value="zh-Hans" checked' in text
    assert not re.search(r"\bnan\b", Reader(text).words + " ".join(map(str, Reader(text).all("x"))), re.IGNORECASE)


# --- charts --------------------------------------------------------------------------------------------------------


def test_the_chart_puts_every_year_where_the_table_has_it(given):
    plot = plots.series_plot(given)
    rows = given.rows("series", region="all").sort_values("year")
    values = np.array(rows["mean_gc_m2"])
    x, y = np.array(plot.dots).T
    np.testing.assert_allclose(x, 100 * (np.arange(20) + 0.5) / 20)
    # one straight line between value and place, the same as that of the ticks
    slope, start = np.polyfit(values, y, 1)
    np.testing.assert_allclose(y, start + slope * values, atol=1e-9)
    assert slope < 0
    for place, text in plot.y_ticks:
        assert place == pytest.approx(start + slope * float(text.replace("−", "-")), abs=1e-9)
    row = given.rows("summary", region="all").iloc[0]
    x0, y0, x1, y1 = plot.trend
    a, b = ((v - start) / slope for v in (y0, y1))
    assert (b - a) / (19 * (x1 - x0) / (x[-1] - x[0])) == pytest.approx(row["slope_gc_m2_yr"])
    assert (a + b) / 2 == pytest.approx(row["mean_gc_m2"])
    assert [m.values[0][1] for m in plot.marks] == [f"{v:.2f}" for v in values]


def test_bars_of_sink_and_source_fill_the_height(given):
    plot = plots.sink_plots(given)[0]
    rows = given.rows("series", region="all").sort_values("year")
    for k, share in enumerate(rows["sink_share"]):
        left, width = plot.strips[k]
        bars = [b for b in plot.bars if left <= b[0] < left + width]
        assert sum(b[3] for b in bars) == pytest.approx(100)
        assert next(b[3] for b in bars if b[4] == "sink") == pytest.approx(100 * share)


def test_bars_of_classes_are_the_shares_of_the_table(given):
    for stack, driver in zip(plots.partial_stacks(given), given.drivers, strict=True):
        rows = given.rows("partial_classes", region="all", variable=driver)
        wanted = [100 * s for s in rows[rows["class"] >= 0]["share"] if s > 0]
        parts = stack.bars[0].parts
        assert [p[1] for p in parts][: len(wanted)] == pytest.approx(wanted)
        assert parts[-1][0] + parts[-1][1] == pytest.approx(100)
        assert len(stack.marks) == sum(len(bar.parts) for bar in stack.bars)


@pytest.mark.parametrize(
    ("low", "high", "most", "wanted"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (103, 141, 5, [110, 120, 130, 140]),
        (-0.3, 0.4, 4, [-0.2, 0, 0.2, 0.4]),
        (5, 5, 5, [5]),
    ],
)
def test_ticks_are_round(low, high, most, wanted):
    assert plots.ticks(low, high, most) == pytest.approx(wanted)
    assert not any(math.isnan(v) for v in plots.ticks(low, high, most))


def test_a_gap_breaks_the_line(given):
    series = given.tables["series"].copy()
    series.loc[(series.region == "all") & (series.year == 2005), "mean_gc_m2"] = np.nan
    plot = plots.series_plot(dataclasses.replace(given, tables={**given.tables, "series": series}))
    assert plot.dots[4] is None
    assert len(plot.segments) == 17
    assert plot.marks[4].values[0][1] == "–"


def test_what_has_no_data_is_a_column_of_the_whole_area_and_no_part_of_a_bar(given):
    (table,) = [one for one in reading.reading_tables(given) if one.key == "slope_classes"]
    rows = given.rows("slope_classes", region="all").set_index("class")["area_km2"]
    assert text_in(table.columns[-1].below, "en") == "of all area"
    assert table.rows[0][-1].text == f"{100 * rows[-1] / rows.sum():.1f} %"
    assert sum(float(cell.text.split()[0]) for cell in table.rows[0][1:-1]) == pytest.approx(100, abs=0.3)
    for stack in plots.partial_stacks(given):
        assert "no data" not in {text_in(label, "en") for _, label in stack.legend}
        for bar in stack.bars:
            assert sum(part[1] for part in bar.parts) == pytest.approx(100)


def test_the_total_of_the_headline_is_that_of_the_summary(given):
    first = (given.rows("series")["region"] == "all") & (given.rows("series")["year"] == 2001)
    # a year with less area, and no total, changes nothing: the summary is of all years
    series = given.rows("series").copy()
    series.loc[first, ["area_km2", "total_tgc"]] = [1.0, np.nan]
    changed = dataclasses.replace(given, tables={**given.tables, "series": series})
    row = given.rows("summary", region="all").iloc[0]
    (figure,) = [one for one in key_figures(changed) if text_in(one.label, "en") == "Total"]
    assert float(figure.value.replace("\u202f", "")) == pytest.approx(row["cumulative_tgc"], rel=1e-3)
    assert f"{row['area_km2']:,.0f}".replace(",", "\u202f") in text_in(figure.more, "en")
    bare = dataclasses.replace(
        given, tables={**given.tables, "summary": given.tables["summary"].drop(columns="cumulative_tgc")}
    )
    assert "Total" not in {text_in(one.label, "en") for one in key_figures(bare)}


@pytest.mark.parametrize(
    ("labels", "zh"),
    [
        (("low", "mittel", "high", "loss > 5 %", "gain_of 5"), None),
        (spec.SLOPE_LABELS, ("明显变差", "轻微变差", "基本稳定", "轻微好转", "明显好转")),
    ],
)
def test_labels_are_the_same_on_map_and_page_and_lose_no_character(given, labels, zh):
    """As the pipeline stores them: a recipe's own as they are, ours in the reader's language, and never a mixture."""
    breaks = tuple(given.maps["slope_class"].attrs["breaks"])
    found = Classes("slope_class", "nep_slope", breaks, labels, spec.SLOPE_COLORS, False, "manual", math.nan, "")
    stored = found.layout()
    maps = given.maps.assign(slope_class=given.maps["slope_class"].assign_attrs(stored.attrs))
    (table,) = [t for t in reading.reading_tables(dataclasses.replace(given, maps=maps)) if t.key == "slope_classes"]
    for language, wanted in (("en", labels), ("zh", zh or labels)):
        assert classes.classes_of(maps["slope_class"], language).labels == tuple(wanted)
        assert [text_in(head.text, language) for head in table.columns[1:-1]] == list(wanted)
    output = Output(None, None, (2001, 2020), {})
    output.__dict__["maps"] = {"slope_class": stored}
    assert output.flags("slope_class") == dict(enumerate(labels))


def test_notes_of_a_table_are_sentences_of_the_language(read):
    assert "tables/series.csv. The file has every region." in read["en"][1].words
    assert "tables/series.csv。文件包含所有分区。" in "".join(read["zh"][1].words.split())


def test_the_page_of_a_run_is_of_no_other_study(read):
    its = {"en": ("reference study", "Corresponds to", "whose print"), "zh": ("参考研究", "误印")}
    for name, said in its.items():
        assert not [word for word in said if word in read[name][1].words]
    assert "the same figures at printing resolution" in read["en"][1].words


@pytest.fixture(scope="module")
def narrow(tmp_path_factory):
    """The page of a run without regions, with one driver and potential NEP."""
    inputs = make_inputs(names=(), seeds=(), resolution="40 km", drivers=("temperature",), potential=True)
    folder = tmp_path_factory.mktemp("narrow")
    path = write_page(inputs, small_figures(folder), folder / "p.html", languages=("en", "zh"))
    return inputs, Reader(path.read_text(encoding="utf-8")).words


def test_captions_say_nothing_of_regions_or_drivers_that_are_not_there(narrow):
    _, text = narrow
    absent = ("outside the regions", "the other drivers", "each region", "study area and its", "分区以外", "其余因子")
    assert not [told for told in absent if told in text]
    assert "The study area." in text
    assert "Correlation of annual potential NEP with temperature, the only driver." in text


def test_charts_on_paper_name_what_they_show(narrow):
    inputs, _ = narrow
    ax = chart_sink_share(style.new_figure(90, 80, 60).add_axes((0.2, 0.3, 0.7, 0.6)), inputs)
    assert {"sink (potential NEP > 0)", "source (potential NEP < 0)"} & set(ax.get_legend_handles_labels()[1])
    for drivers in (("temperature",), ("temperature", "precipitation")):
        given = make_inputs(names=(), seeds=(), resolution="40 km", drivers=drivers)
        figure, _ = partial_sheet(given, 190, 50)
        said = " ".join(one.get_text() for one in figure.texts)
        assert ("the others held" in said) == (len(drivers) > 1)


def test_a_chart_of_the_largest_regions_says_so(tmp_path):
    names = tuple(f"r{k:02d}" for k in range(42))
    seeds = tuple((0.05 + 0.13 * (k % 7), 0.1 + 0.16 * (k // 7)) for k in range(42))
    inputs = make_inputs(names=names, seeds=seeds, resolution="20 km", drivers=("temperature",))
    count = len(inputs.region_names)
    assert count > 40
    text = write_page(inputs, [], tmp_path / "p.html").read_text(encoding="utf-8")
    for figure in ("series_by_region", "partial_shares"):
        caption = text.split(f'<span id="f-{figure}">')[1].split("</figcaption>")[0]
        assert f"The 40 largest of {count} regions." in caption


def test_a_rare_colour_bar_keeps_its_steps_on_the_page(tmp_path):
    rng = np.random.default_rng(3)
    picture = np.full((600, 900, 3), 255, np.uint8)
    # a map of many greens, and a bar whose other half occurs nowhere else
    shade = rng.normal(0, 0.25, (480, 860, 1)).clip(-1, 1)
    picture[20:500, 20:880] = (110, 170, 140) + shade * (100, 60, 90)
    bar = np.linspace((80, 40, 15), (245, 240, 225), 400)
    picture[540:560, 100:500] = bar.round()
    Image.fromarray(picture).save(tmp_path / "map_x.png")
    face = face_of(tmp_path / "map_x.png", "en", "a caption")
    with Image.open(io.BytesIO(base64.b64decode(face.data.partition(",")[2]))) as file:
        shown = np.asarray(file.convert("RGB"), float)
    assert (shown[0] == 255).all()
    assert np.abs(shown[550, 100:500] - bar).max() <= 16
    assert np.unique(shown[550, 100:500], axis=0).shape[0] > 20
