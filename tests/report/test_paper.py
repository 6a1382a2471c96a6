"""Figures for a paper: sizes, formats, fonts and captions; Chinese; colours for every eye; one thread at a time."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_report import make_inputs

from nepcube import report, spec
from nepcube.errors import SpecError
from nepcube.report import cartography, fonts, layers, lettering, locator, paper, scalebar, style
from nepcube.report.words import words

VECTOR = ("map_nep_mean", "sink_share")
CHINESE = {
    "map_slope_class": "明显变差",
    "map_cv_class": "较高",
    "map_partial": "偏相关系数",
    "map_regions": "高程",
    "partial_shares": "面积占比",
    "series": "年均值",
}
COARSE = {"names": ("West", "East"), "seeds": ((0.2, 0.5), (0.8, 0.5)), "resolution": "20 km"}
DPI = 60


def with_field(inputs, threshold=0.0117):
    maps = inputs.maps.copy()
    for name in maps:
        if name.endswith("_pvalue"):
            told = {"field_alpha": 0.05} | ({} if threshold is None else {"field_threshold": threshold})
            maps[name] = maps[name].assign_attrs(told)
    return replace(inputs, maps=maps)


def with_elevation(inputs):
    shape = inputs.maps["nep_mean"].shape
    height = np.linspace(3000, 5000, shape[0] * shape[1]).reshape(shape).astype("float32")
    return replace(inputs, maps=inputs.maps.assign(elevation=(inputs.maps["nep_mean"].dims, height, {"units": "m"})))


@pytest.fixture(scope="module")
def coarse():
    return with_field(make_inputs(**COARSE))


@pytest.fixture(scope="module")
def drawn_paper(coarse, tmp_path_factory):
    # a character that no font has is an error
    import warnings

    folder = tmp_path_factory.mktemp("paper")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.draw_paper(coarse, folder, ["png"], dpi=DPI)
        report.draw_paper(coarse, folder / "vector", ["svg", "pdf"], only=VECTOR, dpi=DPI)
        chinese = replace(with_elevation(coarse), language="zh")
        report.draw_paper(chinese, folder / "zh", ["svg"], only=CHINESE, dpi=DPI, inset=True)
        report.draw_paper(chinese, folder / "zh", ["pdf"], only=["series"], dpi=DPI)
    return folder


def stems(folder, ending):
    return {p.name.removesuffix(f".{ending}") for p in folder.glob(f"*.{ending}")}


# --- files ---------------------------------------------------------------------------------------------------------


def test_every_figure_of_a_run_is_known_by_name(drawn_paper):
    # what `nepcube run --fresh` may delete
    drawn = {p.stem.rpartition("_")[0] for p in drawn_paper.rglob("*_single.*")}
    assert "map_partial" in drawn
    assert drawn <= set(report.PAPER_FIGURES)
    assert set(report.FIGURES) <= set(report.PAPER_FIGURES)


def test_every_figure_of_the_study_is_there_in_two_widths_and_every_format(drawn_paper):
    wanted = {"map_regions", "map_nep_mean", "map_nep_slope", "map_slope_class", "map_cv_class", "map_partial"}
    wanted |= {f"map_partial_{driver}" for driver in spec.CLIMATE}
    wanted |= {"series", "series_by_region", "sink_share", "partial_shares"}
    assert {f"{name}_{width}" for name in wanted for width in ("single", "double")} <= stems(drawn_paper, "png")
    for kind in ("svg", "pdf"):
        two = {f"{name}_{width}" for name in VECTOR for width in ("single", "double")}
        assert stems(drawn_paper / "vector", kind) == two
    assert not list(drawn_paper.rglob(".partial*"))


@pytest.mark.parametrize(("width", "mm"), [("single", 88), ("double", 180)])
def test_widths_are_those_of_a_column_and_heights_those_of_a_page(drawn_paper, width, mm):
    from PIL import Image

    for path in drawn_paper.glob(f"*_{width}.png"):
        with Image.open(path) as picture:
            across, up = (n / DPI * 25.4 for n in picture.size)
            assert picture.info["dpi"][0] == pytest.approx(DPI, abs=0.1)
        # one panel of one region, and a map as high as a page, may be narrower, none is wider
        assert across <= mm + 0.5, path
        assert across == pytest.approx(mm, abs=0.5) or "by_region" in path.name, path
        assert up <= 236, path
    for name in VECTOR:
        path = drawn_paper / "vector" / f"{name}_{width}"
        box = re.search(rb"/MediaBox \[ ?0 0 ([0-9.]+) ([0-9.]+)", path.with_suffix(".pdf").read_bytes())
        assert float(box[1]) / 72 * 25.4 == pytest.approx(mm, abs=0.1)
        svg = path.with_suffix(".svg").read_text(encoding="utf-8")
        assert float(re.search(r'width="([0-9.]+)pt"', svg)[1]) / 72 * 25.4 == pytest.approx(mm, abs=0.1)


def test_printed_resolution_is_three_hundred_dots():
    import inspect

    assert inspect.signature(report.draw_paper).parameters["dpi"].default == 300


def test_vector_files_carry_text_and_their_fonts(drawn_paper):
    for path in drawn_paper.rglob("*.pdf"):
        content = path.read_bytes()
        assert b"/FontFile2" in content, path
        assert b"/Type3" not in content, path
    svg = (drawn_paper / "vector" / "map_nep_mean_single.svg").read_text(encoding="utf-8")
    assert re.search(r"<text [^>]*>(<tspan[^>]*>)?NEP \(gC", svg)
    # names stand on a halo, and are text all the same
    assert re.search(r">West<", svg)
    # the cells are one picture
    assert 1 <= svg.count("<image ") <= 4


def test_the_chinese_figures_are_in_chinese(drawn_paper):
    for name, text in CHINESE.items():
        svg = (drawn_paper / "zh" / f"{name}_single.svg").read_text(encoding="utf-8")
        assert text in svg, name
        words_in = re.findall(r">([^<>]*[a-zA-Z]{4,}[^<>]*)</t(?:ext|span)>", svg)
        # names of the recipe stay
        assert not [w for w in words_in if not re.search(r"West|East", w)], name
    assert b"NepcubeSansSC" in (drawn_paper / "zh" / "series_single.pdf").read_bytes()


def test_captions_say_what_the_figures_leave_out(drawn_paper, coarse):
    text = (drawn_paper / "captions.md").read_text(encoding="utf-8")
    assert "**map_nep_mean**" in text
    assert "Mean annual NEP, 2001–2020." in text
    assert "p ≤ 0.012, which holds over the whole map at a false discovery rate of 0.05" in text
    assert "generated" in text
    chinese = (drawn_paper / "zh" / "captions.md").read_text(encoding="utf-8")
    assert "2001—2020年全区年NEP及其线性趋势。" in chinese
    # what the caption says is not on the figure
    assert "percentile" in text
    assert "percentile" not in (drawn_paper / "vector" / "map_nep_mean_double.svg").read_text(encoding="utf-8")


def test_the_same_inputs_give_the_same_files(coarse, drawn_paper, tmp_path):
    report.draw_paper(coarse, tmp_path, ["svg", "pdf"], only=["sink_share"], dpi=DPI)
    for kind in ("svg", "pdf"):
        name = f"sink_share_double.{kind}"
        assert (tmp_path / name).read_bytes() == (drawn_paper / "vector" / name).read_bytes()


def test_a_format_or_language_that_is_not_known_is_refused(coarse, tmp_path):
    with pytest.raises(SpecError, match="'eps' is not a format") as told:
        report.draw_paper(coarse, tmp_path / "new", ["eps"])
    assert told.value.way_out == "Use one of pdf, svg, png."
    assert not (tmp_path / "new").exists()
    with pytest.raises(SpecError, match="'de' is not a language"):
        report.require_language("de")


def test_no_text_is_too_small_and_none_leaves_the_paper(coarse):
    from matplotlib.text import Text

    with style.journal_style():
        for name, drawing in paper._drawings(replace(with_elevation(coarse), language="zh"), True):
            if name not in ("map_regions", "map_slope_class", "map_partial", "series_by_region", "partial_shares"):
                continue
            figure, _ = drawing(style.SINGLE, 72)
            figure.draw_without_rendering()
            for text in figure.findobj(Text):
                # numbers of ticks beyond the axes are there and not drawn
                if text.get_text().strip() and text.get_visible() and not re.fullmatch("[0-9.−]+", text.get_text()):
                    assert text.get_fontsize() >= 7, (name, text.get_text())
                    box = text.get_window_extent()
                    assert box.x0 >= -1, (name, text.get_text())
                    assert box.x1 <= figure.bbox.x1 + 1, (name, text.get_text())
                    assert box.y0 >= -1, (name, text.get_text())
                    assert box.y1 <= figure.bbox.y1 + 1, (name, text.get_text())


def test_threads_draw_one_after_the_other_and_leave_the_settings(coarse):
    import matplotlib as mpl

    small = replace(coarse, maps=coarse.maps[["nep_mean", "region"]])
    before, found = dict(mpl.rcParams), []

    def draw():
        with style.journal_style():
            figure = report.map_figure(small, "nep_mean", width_mm=88, dpi=40)
            found.append((mpl.rcParams["font.size"], len(figure.axes)))

    threads = [threading.Thread(target=draw) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(7.5, 2)] * 3
    assert dict(mpl.rcParams) == before


ERRORS = {
    "nep_mean_uncertainty": ("Standard error of mean annual NEP, 2001–2020.", "2001—2020年NEP年均值的标准误差。"),
    "nep_mean_uncertainty_npp": ("from the errors of NPP", "由NPP误差引起"),
    "nep_mean_uncertainty_respiration": ("from the errors of respiration", "由呼吸误差引起"),
    "nep_sink_probability": ("Chance that mean annual NEP is a sink", "为碳汇的概率"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_map_of_the_error_is_drawn_in_words_of_its_own(coarse, language):
    assert list(ERRORS) == list(spec.ERROR_MAPS)
    # another map whose name tells of an error is none of them
    more = coarse.maps.assign(npp_uncertainty_of_others=coarse.maps["nep_mean"])
    given = replace(coarse, maps=more, language=language)
    drawings = dict(paper._drawings(given, False))
    assert {n.removeprefix("map_") for n in drawings if "uncertainty" in n or "prob" in n} == set(ERRORS)
    with style.journal_style():
        for name, told in ERRORS.items():
            _, caption = drawings[f"map_{name}"](180, 50)
            assert told[language == "zh"] in caption, name
            assert "arrow" not in caption or name != "nep_sink_probability"
    assert {"map_nep_mean_uncertainty", "map_nep_sink_probability"} <= set(report.FIGURES)


def test_a_chance_runs_from_zero_to_one_and_parts_in_the_middle(coarse):
    sure = coarse.maps.assign(nep_sink_probability=coarse.maps["nep_sink_probability"].clip(1, 1))
    for maps in (coarse.maps, sure):
        with style.journal_style():
            ax = style.new_figure(180, 100, 72).add_axes((0.1, 0.1, 0.8, 0.8))
            key = report.maps.paint(ax, replace(coarse, maps=maps), "nep_sink_probability")
        assert (key.mappable.norm.vmin, key.mappable.norm.vmax, key.extend) == (0.0, 1.0, "neither")
        source, middle, sink = (np.array(key.mappable.cmap(v)[:3]) for v in (0.0, 0.5, 1.0))
        assert source[0] > source[2]
        assert sink[2] > sink[0]
        assert middle.min() > 0.8


# --- letters -------------------------------------------------------------------------------------------------------


def test_the_fonts_have_every_character_of_our_words():
    from matplotlib.font_manager import get_font

    folder = files("nepcube.report.fonts")
    needed = {c for value in words("figures", "zh").values() for c in value if ord(c) > 0x2E7F}
    for name in ("NepcubeSansSC-Regular.ttf", "NepcubeSansSC-Bold.ttf"):
        known = get_font(str(folder / name)).get_charmap()
        assert not {c for c in needed if ord(c) not in known}, name
    # every character of GB 2312, as names of regions have them
    every = (bytes([a, b]).decode("gb2312", "ignore") for a in range(0xB0, 0xF8) for b in range(0xA1, 0xFF))
    assert not fonts.lacking("".join(every))
    assert (folder / "OFL.txt").read_text(encoding="utf-8").count("SIL OPEN FONT LICENSE")


TEXTS = st.text(st.sampled_from("ab cde 青海东部，农牧。（生）态区 fgh"), min_size=1, max_size=40)


@settings(max_examples=80, deadline=None)
@given(TEXTS, st.floats(8, 60))
def test_lines_keep_every_letter_and_the_width(text, width):
    lines = lettering.wrap_to(text, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:
        whole = max((len(p) for p in lettering._pieces(line)), default=0) == len(line)
        assert whole or lettering.text_size_mm(line)[0] <= width
        assert line == lines[0] or line[:1] not in "，。）"


def test_chinese_breaks_between_characters_and_english_between_words():
    assert lettering.wrap("Eastern Qinghai farming", 2) == "Eastern Qinghai\nfarming"
    assert [len(line) for line in lettering.wrap("青藏高原东部暗针叶林", 2).split("\n")] == [5, 5]


# --- colours for every eye -----------------------------------------------------------------------------------------

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
EYES = {
    "all": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def seen(colours, eye):
    """CIE L*a*b* (D65) of colours as an eye sees them."""
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(c) for c in colours])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(EYES[eye]).T, 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.array(to_xyz).T / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


@pytest.mark.parametrize("eye", EYES)
def test_no_two_classes_look_alike(eye):
    schemes = {
        "slope": spec.SLOPE_COLORS,
        "cv": spec.CV_COLORS,
        "correlation": spec.CORRELATION_COLORS,
        "sign": (style.SINK, style.SOURCE, style.NEITHER),
        "regions": style.REGION_FILLS,
    }
    for name, colours in schemes.items():
        lab = seen(colours, eye)
        apart = np.linalg.norm(lab[:, None] - lab, axis=-1)[np.triu_indices(len(colours), 1)]
        # 2.3 is what an eye just tells apart side by side (Mahy et al. 1994)
        assert apart.min() > 10, name
    for name, table in {"elevation": style.elevation_colours(), "quantity": style.quantity_colours()}.items():
        steps = np.diff(seen(table.colors, eye)[:, 0])
        assert (steps > 0).all() or (steps < 0).all(), name


def test_what_has_no_data_is_striped(coarse):
    with style.journal_style():
        figure = report.map_figure(coarse, "slope_class", width_mm=88, dpi=72)
        ax = figure.axes[0]
        stripes = ax.images[0].get_array()
        assert stripes.shape[2] == 4
    shown = stripes[stripes[..., 3] > 0][:, :3]
    assert len(np.unique(shown, axis=0)) == 2
    # the share of the picture is the share of the cells without data
    bare = layers.domain(coarse) & np.isnan(layers.values_of(coarse, "slope_class"))
    assert (stripes[..., 3] > 0).mean() == pytest.approx(bare.mean(), rel=0.05)


# --- what a map says -----------------------------------------------------------------------------------------------


def dots_of(inputs, name):
    with style.journal_style():
        ax = style.new_figure(180, 100, 72).add_axes((0.1, 0.1, 0.8, 0.8))
        key = report.maps.paint(ax, inputs, name)
    points = [line.get_data() for line in ax.lines if line.get_marker() == "o"]
    return key, np.concatenate([np.empty((0, 2)), *(np.stack(p, axis=1) for p in points)])


@pytest.mark.parametrize(
    ("name", "p"),
    [("partial_temperature", "nep_partial_temperature_pvalue"), ("slope_class", "nep_slope_pvalue")],
)
def test_dots_stand_on_cells_that_hold_over_the_whole_map(coarse, name, p):
    _, dots = dots_of(coarse, name)
    assert len(dots) >= 3
    assert max(float(coarse.maps[p].sel(longitude=x, latitude=y)) for x, y in dots) <= 0.0117
    # without a threshold of the whole map, p < 0.01; with none that holds, no dot and a word about it
    plain = make_inputs(**COARSE)
    key, dots = dots_of(plain, name)
    assert any("p < 0.01" in note for note in key.notes)
    assert max(float(plain.maps[p].sel(longitude=x, latitude=y)) for x, y in dots) < 0.01
    key, dots = dots_of(with_field(plain, None), name)
    assert not len(dots)
    assert any("No cell is significant" in note for note in key.notes)


def test_the_regions_stand_on_their_elevation(coarse):
    high = with_elevation(coarse)
    with style.journal_style():
        figure, caption = report.sheet.map_sheet(high, "regions", width_mm=88, dpi=72, titled=False)
    texts = [t.get_text() for t in figure.findobj() if hasattr(t, "get_text")]
    assert "elevation (m)" in texts
    assert {"West", "East"} <= set(texts)
    assert caption == "Elevation and regions of the study area."


def test_room_is_made_for_the_scale_where_every_corner_is_full():
    plain = make_inputs(names=(), seeds=(), resolution="20 km")
    frame = cartography.frame_of(plain.maps)
    view, _ = scalebar.view_of(frame, np.ones((40, 90), bool), 74.0)
    mm = 74.0 / (view.right - view.left) * view.aspect
    assert (frame.bottom - view.bottom) * mm >= scalebar.SCALE_HIGH
    assert view.middle == frame.middle
    empty = np.zeros((40, 90), bool)
    assert scalebar.view_of(frame, empty, 74.0)[0] is frame


@pytest.mark.parametrize("x", [200_000.0, 800_000.0])
def test_the_arrow_points_to_true_north(x):
    from pyproj import CRS, Proj

    crs = CRS.from_epsg(32647)
    frame = cartography.Frame(x - 1e5, x + 1e5, 3.6e6, 3.8e6, crs, False)
    east, north = scalebar._north(frame)
    lon, lat = (float(v[0]) for v in frame.to_lonlat(np.array([x]), np.array([3.7e6])))
    wanted = Proj(crs).get_factors(lon, lat).meridian_convergence
    assert np.degrees(np.arctan2(east, north)) == pytest.approx(-wanted, abs=0.02)


@pytest.mark.parametrize(("lon0", "lat0"), [(96.0, 34.0), (-60.0, -15.0), (0.0, 89.0)])
def test_the_globe_is_the_orthographic_projection(lon0, lat0):
    from pyproj import Transformer

    radius = 6_371_000
    to = Transformer.from_crs("EPSG:4326", f"+proj=ortho +lat_0={lat0} +lon_0={lon0} +R={radius}", always_xy=True)
    rng = np.random.default_rng(1)
    lon, lat = rng.uniform(-180, 180, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    x, y = locator._on_globe(lon, lat, lon0, lat0)
    wanted = np.array(to.transform(np.radians(0) + lon, lat)) / radius
    there = np.isfinite(x)
    np.testing.assert_allclose(np.stack([x, y])[:, there], wanted[:, there], atol=6e-3)
    # what a pixel shows is the land at its place
    share = locator._seen_land(lon0, lat0)
    n = len(share)
    rows = np.clip(((1 - y[there]) / 2 * n).astype(int), 0, n - 1)
    cols = np.clip(((x[there] + 1) / 2 * n).astype(int), 0, n - 1)
    land = locator._land()[((90 - lat[there]) * 4).astype(int), ((lon[there] + 180) * 4).astype(int) % 1440]
    assert ((share[rows, cols] > 0.5) == land).mean() > 0.95


# --- notebooks -----------------------------------------------------------------------------------------------------


def test_a_map_of_a_lazy_store_reads_what_it_needs_at_most_two_thousand_a_side(coarse):
    import dask.array as da
    import xarray as xr

    taken = []

    def block(shape, name):
        def make(block_info=None):
            taken.append(name)
            return np.full(block_info[None]["chunk-shape"], 7.0, "float32")

        return da.map_blocks(make, chunks=((1500, 1500, 1500), (1000,)), dtype="float32", meta=np.empty((0, 0), "f4"))

    y, x = np.linspace(36, 32, 4500), np.linspace(90, 91, 1000)
    data = xr.Dataset(
        {name: (("latitude", "longitude"), block((4500, 1000), name)) for name in ("nep_mean", "nep_cv")},
        coords={"latitude": y, "longitude": x},
        attrs={"time_coverage_start": "2001-01-01", "time_coverage_end": "2020-12-31"},
    )
    thin = report.thinned(data)
    assert thin["nep_mean"].shape == (1500, 333)
    assert not taken
    ax = style.new_figure(88, 80, 72).add_axes((0.1, 0.1, 0.8, 0.8))
    assert report.plot_map(data, "nep_mean", ax=ax) is ax
    assert set(taken) == {"nep_mean"}
    assert ax.get_title(loc="left") == "Mean annual NEP, 2001–2020"


def test_notebook_calls_draw_every_kind(coarse):
    for name in ("regions", "nep_mean", "slope_class", "nep_slope", "partial_temperature", "nep_partial_radiation"):
        ax = style.new_figure(180, 120, 60).add_axes((0.1, 0.3, 0.6, 0.6))
        assert report.plot_map(coarse, name, ax=ax, language="zh").has_data()
    for name in ("series", "sink_share", "partial_temperature"):
        ax = style.new_figure(90, 80, 60).add_axes((0.2, 0.3, 0.7, 0.6))
        assert report.plot_chart(coarse, name, ax=ax).has_data()
    with pytest.raises(SpecError, match="no map 'nep_meen'") as told:
        report.plot_map(coarse, "nep_meen", ax=ax)
    assert "nep_mean" in told.value.way_out
    with pytest.raises(SpecError, match="no map 'partial_wind'"):
        report.plot_map(coarse.maps, "partial_wind", ax=ax)
    with pytest.raises(SpecError, match="no chart 'pie'"):
        report.plot_chart(coarse, "pie", ax=ax)
    with pytest.raises(SpecError, match="no region 'North'"):
        report.plot_chart(coarse, region="North", ax=ax)


@pytest.mark.parametrize(
    ("comment", "generated"),
    [("The data are generated by nepcube; they are no observation.", True), ("Cells of 500 m, version 2.", False)],
)
def test_a_remark_of_somebody_else_makes_no_generated_data(coarse, comment, generated):
    maps = coarse.maps.assign_attrs(comment=comment)
    assert spec.is_generated(maps.attrs) == generated
    assert report.plot._inputs(maps, "nep_mean", None).generated == generated


def test_labels_of_a_recipe_are_not_translated(coarse):
    from nepcube.report.classes import classes_of

    variable = coarse.maps["slope_class"]
    assert classes_of(variable, "zh").labels[0] == "明显变差"
    # one that is ours among others stays with them
    own = variable.assign_attrs(flag_meanings="falls high level rises much no_data")
    assert classes_of(own, "zh").labels == ("falls", "high", "level", "rises", "much")
    assert not classes_of(own, "zh").ours
    # nor one that is ours but for its level
    words = ("slight_decrease", "significant_increase_at", "slight_increase")
    bare = variable.assign_attrs(flag_meanings=" ".join((*words, "no_data")), flag_values=[0, 1, 2, 255])
    assert not classes_of(bare, "zh").ours
    trend = coarse.maps["trend_class"]
    assert classes_of(trend, "zh").labels[-1] == "显著增加（p<0.01）"


# --- of a run ------------------------------------------------------------------------------------------------------


def test_the_figures_of_a_run(copied, cli, monkeypatch):
    import nepcube

    # two figures say as much of the command as all
    every = paper._drawings
    some = ("map_nep_mean", "series")
    monkeypatch.setattr(paper, "_drawings", lambda *given: (d for d in every(*given) if d[0] in some))
    stale = copied.out / "figures" / "paper-zh" / "map_partial_radiation_single.svg"
    other = stale.with_suffix(".png")
    stale.parent.mkdir(parents=True)
    stale.write_text("of a driver that the run no longer has")
    other.write_text("in a format that is not asked for now")
    told = cli("report", copied.recipe, "-o", copied.out, "--figures", "svg", "--lang", "zh", "--quiet")
    assert told.code == 0
    assert told.err == []
    names = {f"{name}_{width}.svg" for name in some for width in ("single", "double")} | {"captions.md"}
    assert {p.name for p in stale.parent.iterdir()} == names == {line.rsplit("/", 1)[-1] for line in told.out}
    found = nepcube.open_report(copied.out)
    assert found.period == (int(found.tables["series"]["year"].min()), int(found.tables["series"]["year"].max()))
    ax = style.new_figure(90, 80, 60).add_axes((0.2, 0.3, 0.7, 0.6))
    assert nepcube.plot_map(found, "regions", ax=ax).has_data()
    # what the figures show is loaded, another map is read when it is drawn
    lazy = {str(name) for name, one in found.maps.data_vars.items() if one.chunks is not None}
    assert "nep_cv" in lazy
    assert not lazy & {"region", "nep_mean", "nep_slope", "nep_slope_pvalue", "slope_class", "nep_partial_radiation"}
    ax = style.new_figure(90, 80, 60).add_axes((0.2, 0.3, 0.7, 0.6))
    assert nepcube.plot_map(found, "nep_cv", ax=ax).has_data()
    assert cli("report", copied.recipe, "-o", copied.out, "--figures", "eps").err == [
        "error: figures: 'eps' is not a format.",
        "       Use one of pdf, svg, png.",
    ]
    assert cli("report", copied.recipe, "-o", copied.out, "--inset").code == 2
    assert cli("report", copied.recipe, "-o", copied.out, "--figures", "png", "--lang", "xx").code == 2
