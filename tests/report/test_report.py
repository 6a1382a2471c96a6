"""The report: figures that are there and not blank, one colour for one class, a page that can do no harm."""

from __future__ import annotations

import html.parser
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sample_report import make_inputs

from nepcube import report, spec
from nepcube.report import cartography, charts, classes, continuous, painting, scalebar, style


def blank(path):
    from PIL import Image

    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return np.ptp(pixels, axis=(0, 1)).max() < 100


def width_mm(path, dpi):
    from PIL import Image

    with Image.open(path) as picture:
        return picture.width / dpi * 25.4


def axes_of(inputs, width=190, height=100):
    figure = style.new_figure(width, height, 72)
    return figure.add_axes((0.1, 0.1, 0.8, 0.8))


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.links, self.images, self.fills = [], [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for key, value in attrs:
            if key in ("href", "src"):
                self.links.append(value)
            if key == "fill":
                self.fills.add(value)
        if tag == "img":
            self.images.append(dict(attrs))


def read_page(inputs, figures, tmp_path):
    text = report.write_page(inputs, figures, tmp_path / "report.html").read_text(encoding="utf-8")
    page = Links()
    page.feed(text)
    return text, page


# --- figures -------------------------------------------------------------------------------------------------------


def test_every_figure_is_there_at_its_width_and_not_blank(drawn):
    assert [path.stem for path in drawn] == list(report.FIGURES)
    for path in drawn:
        assert not blank(path), path
        wanted = 90 if path.stem in ("series", "sink_share") else 190
        assert width_mm(path, 72) == pytest.approx(wanted, abs=0.5), path


def test_the_same_inputs_give_the_same_bytes(inputs, tmp_path):
    with style.journal_style():
        for name in ("a", "b"):
            report.map_figure(inputs, "nep_mean", dpi=50).savefig(
                tmp_path / name, metadata={"Software": None}, format="png"
            )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_users_own_matplotlib_settings_stay(inputs, tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with style.journal_style():
        charts.chart_series(axes_of(inputs), inputs)
    assert dict(mpl.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


@pytest.mark.parametrize(
    ("draw", "arguments"),
    [
        (report.maps.drawn_on, ("regions",)),
        (report.maps.drawn_on, ("nep_mean",)),
        (report.maps.drawn_on, ("slope_class",)),
        (report.maps.drawn_on, ("cv_class",)),
        (report.maps.drawn_on, ("partial_temperature",)),
        (charts.chart_series, ()),
        (charts.chart_sink_share, ()),
        (charts.chart_partial_shares, ("temperature",)),
    ],
)
def test_library_functions_draw_on_the_axes_given(inputs, draw, arguments):
    ax = axes_of(inputs)
    assert draw(ax, inputs, *arguments) is ax
    assert ax.has_data()


def test_no_text_is_smaller_than_seven_points(inputs):
    from matplotlib.text import Text

    with style.journal_style():
        for name in ("regions", "nep_mean", "slope_class", "partial_radiation"):
            figure = report.map_figure(inputs, name, dpi=50)
            for text in figure.findobj(Text):
                if text.get_text().strip() and text.get_visible():
                    assert text.get_fontsize() >= 7, (name, text.get_text())


def test_nothing_leaves_the_paper(inputs):
    from matplotlib.text import Text

    with style.journal_style():
        for name in ("regions", "nep_mean", "slope_class", "cv_class", "partial_precipitation"):
            figure = report.map_figure(inputs, name, dpi=72)
            figure.draw_without_rendering()
            paper = figure.bbox
            for text in figure.findobj(Text):
                if text.get_text().strip() and text.get_visible() and text.get_figure() is not None:
                    box = text.get_window_extent()
                    assert box.x0 >= -1, (name, text.get_text())
                    assert box.x1 <= paper.x1 + 1, (name, text.get_text())
                    assert box.y0 >= -1, (name, text.get_text())
                    assert box.y1 <= paper.y1 + 1, (name, text.get_text())


def test_generated_data_are_named_on_the_figure_itself(inputs):
    with style.journal_style():
        texts = [t.get_text() for t in report.map_figure(inputs, "nep_mean", dpi=50).texts]
    assert any("generated data" in text for text in texts)


# --- what must also work -------------------------------------------------------------------------------------------

ONE = {"names": ("One",), "seeds": ((0.5, 0.5),), "resolution": "20 km"}
VARIANTS = {
    "no regions, two drivers": {
        "names": (),
        "seeds": (),
        "drivers": ("temperature", "precipitation"),
        "resolution": "20 km",
    },
    "nothing but gaps": dict(**ONE, empty=True),
    "one region": ONE,
    "a projected grid": {
        "crs": "+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84 +units=m",
        "bounds": (-1_450_000, 3_500_000, -250_000, 4_150_000),
        "resolution": "20 km",
        "offset": -90,
    },
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", VARIANTS)
def test_unusual_runs_are_drawn_and_written(name, tmp_path):
    inputs = make_inputs(**VARIANTS[name])
    paths = report.draw_figures(inputs, tmp_path, dpi=40)
    stems = [path.stem for path in paths]
    assert ("map_partial_radiation" in stems) == (name != "no regions, two drivers")
    assert ("series_by_region" in stems) == (name != "no regions, two drivers")
    read_page(inputs, paths, tmp_path)


@pytest.mark.filterwarnings("error")
def test_forty_regions_get_numbers_and_a_key():
    rng = np.random.default_rng(3)
    names = tuple(f"County of the Upper $River$ {k}" for k in range(40))
    inputs = make_inputs(names=names, seeds=tuple(map(tuple, rng.random((40, 2)))), resolution="10 km")
    with style.journal_style():
        key = painting.paint_regions(axes_of(inputs), inputs)
        nep = report.maps.paint(axes_of(inputs), inputs, "nep_mean")
    mark, label = key.regions[0]
    assert mark == "1"
    assert label.startswith("County of the Upper")
    assert r"\$River\$" in label  # money, not mathematics
    assert {mark for mark, _ in key.regions} <= set(key.fills)
    assert not nep.regions
    assert any("as in the map of the regions" in note for note in nep.notes)


def test_rows_from_south_to_north_give_the_same_picture(inputs):
    flipped = inputs.__class__(**{**vars(inputs), "maps": inputs.maps.isel(latitude=slice(None, None, -1))})
    pictures = []
    for one in (inputs, flipped):
        ax = axes_of(one)
        continuous.paint_mean(ax, one)
        pictures.append(np.ma.filled(ax.images[-1].get_array(), -9999))
    np.testing.assert_array_equal(*pictures)


def test_a_name_that_no_font_has_becomes_its_mark():
    assert style.drawable("Hoh Xil", "a") == "Hoh Xil"
    with pytest.warns(UserWarning, match="No font of this machine has"):
        assert style.drawable("\U000e0041\U000e0042", "b") == "region b"


# --- what a map says -----------------------------------------------------------------------------------------------


def test_the_scale_bar_knows_the_middle_latitude(inputs):
    frame = cartography.frame_of(inputs.maps)
    # a degree of longitude on WGS84 at a geodetic latitude
    phi = math.radians(frame.middle[1])
    e2 = 0.00669437999014
    wanted = math.pi / 180 * 6378.137 * math.cos(phi) / math.sqrt(1 - e2 * math.sin(phi) ** 2)
    assert scalebar.km_per_unit(frame) == pytest.approx(wanted, rel=1e-5)
    assert frame.aspect == pytest.approx(1 / math.cos(phi))


def test_both_signs_put_the_neutral_colour_at_zero():
    from matplotlib.colors import to_rgb

    table = style.nep_colours(-50, 200)
    neutral = np.array(to_rgb("#f6f2e4"))
    at_zero = np.array(table(50 / 250)[:3])
    assert np.abs(at_zero - neutral).max() < 0.03
    assert np.abs(np.array(style.nep_colours(5, 200)(0.0)[:3]) - neutral).max() < 0.01


def test_a_rare_sign_is_still_seen(inputs):
    from matplotlib.colors import to_hex

    values = inputs.maps["nep_mean"].values.copy()
    values = np.abs(values) + 1
    values[inputs.maps["region"].values == 0] = np.nan
    row, col = np.argwhere(np.isfinite(values))[0]
    values[row, col] = -3.0
    maps = inputs.maps.assign(nep_mean=(inputs.maps["nep_mean"].dims, values))
    key = continuous.paint_mean(axes_of(inputs), inputs.__class__(**{**vars(inputs), "maps": maps}))
    assert to_hex(key.mappable.cmap(key.mappable.norm(-3.0))) == style.RARE_SOURCE
    assert to_hex(key.mappable.cmap(key.mappable.norm(0.5))) != style.RARE_SOURCE
    assert any("source" in note for note in key.notes)


def test_colours_of_nep_are_even_steps():
    for anchors in (style._SINK_ARM, style._SOURCE_ARM):
        rgb = style.even_colours(anchors)
        lab = style._oklab([tuple(c) for c in rgb])
        steps = np.linalg.norm(np.diff(lab, axis=0), axis=1)
        assert steps.max() < 1.1 * steps.min()
        assert (np.diff(lab[:, 0]) < 0).all()  # and darker all the way, so that it prints in grey


def test_classes_have_one_colour_on_map_bar_and_table(inputs, drawn, tmp_path):
    from matplotlib.colors import to_hex

    _text, page = read_page(inputs, drawn, tmp_path)
    for name, wanted in (("slope_class", spec.SLOPE_COLORS), ("cv_class", spec.CV_COLORS)):
        ax = axes_of(inputs)
        key = painting.paint_classes(ax, inputs, name)
        assert [to_hex(c) for c in ax.images[-1].cmap.colors] == list(wanted)
        assert [to_hex(handle.get_facecolor()) for handle in key.handles[:5]] == list(wanted)
    ax = axes_of(inputs)
    painting.paint_partial(ax, inputs, "temperature")
    on_map = [to_hex(c) for c in ax.images[-1].cmap.colors]
    bars = charts.chart_partial_shares(axes_of(inputs), inputs, "temperature")
    in_bars = list(dict.fromkeys(to_hex(patch.get_facecolor()) for patch in bars.patches))
    assert on_map == list(spec.CORRELATION_COLORS) == in_bars[:8]
    for colour in (*spec.SLOPE_COLORS, *spec.CV_COLORS, *spec.CORRELATION_COLORS):
        assert colour in page.fills


def test_a_break_belongs_to_the_upper_class():
    import matplotlib as mpl

    edges = [-1.0001, -0.8, -0.5, -0.3, 0, 0.3, 0.5, 0.8, 1.0001]
    norm = mpl.colors.BoundaryNorm(edges, 8)
    assert norm([-1.0, -0.8, 0.0, 0.8, 1.0]).tolist() == [0, 1, 4, 7, 7]


@pytest.mark.parametrize("offset", [0, 1])
def test_classes_are_found_by_their_interval_whatever_their_numbers(inputs, offset):
    table = inputs.tables["partial_classes"].copy()
    table.loc[table["class"] >= 0, "class"] += offset
    other = inputs.__class__(**{**vars(inputs), "tables": {**inputs.tables, "partial_classes": table}})
    found, without = classes.shares(other, "partial_classes", driver="precipitation")
    rows = table[(table.region == "all") & (table.variable == "precipitation") & (table["class"] >= 0)]
    assert found == pytest.approx(list(rows["share"]))
    assert sum(found) == pytest.approx(1)
    assert 0 < without < 1


def area_without(inputs, name):
    """The area of the regions, and the part of it whose cells have no class, from the map alone."""
    from nepcube.grid import cell_area, geobox_of

    labels, codes = inputs.maps["region"].values, inputs.maps[name].values
    area = np.broadcast_to(np.asarray(cell_area(geobox_of(inputs.maps))).reshape(labels.shape[0], -1), labels.shape)
    within = labels > 0
    lacking = np.isnan(codes) if codes.dtype.kind == "f" else codes == 255
    return float(area[within].sum()), float(area[within & lacking].sum())


@pytest.mark.parametrize("name", ["slope_class", "cv_class", "trend_class", "npp_attribution"])
def test_what_has_no_data_is_told_in_the_key_of_a_map(inputs, name):
    whole, lacking = area_without(inputs, name)
    # the tables of a run give no data no share: shares there are of the area with data
    assert inputs.rows(classes.TABLES[name], **{"class": -1})["share"].isna().all()
    found, without = classes.shares(inputs, classes.TABLES[name])
    assert sum(found) == pytest.approx(1)
    assert without == pytest.approx(lacking / whole)
    key = painting.paint_classes(axes_of(inputs), inputs, name)
    assert f"no data ({100 * lacking / whole:.1f} % of all area)" in [handle.get_label() for handle in key.handles]
    assert key.heading.endswith("share of area with data")


def test_bars_of_shares_are_full_and_of_the_area_with_data(inputs):
    ax = charts.chart_partial_shares(axes_of(inputs), inputs, "temperature")
    assert ax.get_xlabel() == "share of area with data (%)"
    ends = {}
    for bar in ax.patches:
        at = round(bar.get_y(), 3)
        ends[at] = max(ends.get(at, 0.0), bar.get_x() + bar.get_width())
    assert len(ends) == 7
    assert list(ends.values()) == pytest.approx([100.0] * 7)


def test_the_trend_line_is_the_tables_slope_through_the_tables_mean(inputs):
    ax = charts.chart_series(axes_of(inputs), inputs)
    line = next(one for one in ax.lines if one.get_label() == "least-squares trend")
    (x0, x1), (y0, y1) = line.get_data()
    row = inputs.rows("summary", region="all").iloc[0]
    assert (y1 - y0) / (x1 - x0) == pytest.approx(row["slope_gc_m2_yr"])
    assert (y0 + y1) / 2 == pytest.approx(row["mean_gc_m2"])
    assert any("p < 0.001" in text.get_text() for text in ax.texts)


# --- tables --------------------------------------------------------------------------------------------------------


def test_tables_come_back_to_nine_digits(inputs, tmp_path):
    paths = report.write_tables(inputs.tables, tmp_path)
    assert [path.name for path in paths] == [f"{key}.csv" for key in inputs.tables]
    for key, table in inputs.tables.items():
        back = pd.read_csv(tmp_path / f"{key}.csv")
        assert list(back.columns) == list(table.columns)
        for column in table.select_dtypes("number"):
            np.testing.assert_allclose(back[column].to_numpy("f8"), table[column].to_numpy("f8"), rtol=1e-9, atol=0)
    assert not list(tmp_path.glob("*.partial"))


def test_hard_numbers_in_a_table(tmp_path):
    table = pd.DataFrame({"region": ["a,b", 'c"d'], "value": [1 / 3, np.nan], "small": [1.23456789012e-7, -np.inf]})
    (path,) = report.write_tables({"t": table}, tmp_path)
    back = pd.read_csv(path)
    assert list(back["region"]) == ["a,b", 'c"d']
    assert back["value"][0] == pytest.approx(1 / 3, rel=1e-12)
    assert math.isnan(back["value"][1])
    assert back["small"][0] == pytest.approx(1.23456789012e-7, rel=1e-12)
    assert back["small"][1] == -np.inf


def test_potential_nep_is_called_so_on_maps():
    inputs = make_inputs(**ONE, potential=True)
    with style.journal_style():
        key = report.maps.paint(axes_of(inputs), inputs, "nep_mean")
    assert "potential NEP" in key.title
    assert "potential NEP" in key.bar_label


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(0.0, "0"), (-0.477, "−0.4770"), (1234.5, "1234"), (123456.7, "123\u202f457"), (math.nan, "–"), (-0.0000001, "0")],
)
def test_numbers_for_reading(value, wanted):
    assert style.number(value, 0 if value in (1234.5, 123456.7, -0.0000001) else None) == wanted


def test_importing_the_room_brings_no_heavy_library():
    heavy = ("matplotlib", "jinja2", "geopandas", "PIL")
    code = f"import sys, nepcube.report; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
