"""Runs with very many regions, cells that lie in regions in part, and what is said of one driver or of none held."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
import xarray as xr
from sample_report import make_inputs

from nepcube import report, spec
from nepcube.report import layers, outlines, painting, style
from nepcube.report.annual import neither_share, small_share, trend_line
from nepcube.report.charts import chart_series, share_regions
from nepcube.report.page import _PLAN
from nepcube.report.pictures import caption_of
from nepcube.report.plots import series_plot, sink_plots
from nepcube.report.saying import has_words, text_in

SIDE = 32


def squares(side=SIDE, big=4):
    """A run of `side` x `side` regions of one degree, the first of them big."""
    boxes = [shapely.box(x, y, x + 1, y + 1) for y in range(side) for x in range(side)]
    boxes[0] = shapely.box(0, 0, big, big)
    names = [f"Q{k}" for k in range(len(boxes))]
    y, x = np.arange(side - 0.5, 0, -1), np.arange(0.5, side)
    labels = np.arange(1, side * side + 1).reshape(side, side)[::-1].astype("int32")
    maps = xr.Dataset(
        {"region": (("latitude", "longitude"), labels), "nep_mean": (("latitude", "longitude"), labels * 1.0)},
        coords={"latitude": y, "longitude": x},
    )
    rows = [("all", 1.0, float(len(boxes)))] + [(n, 1.0, b.area) for n, b in zip(names, boxes, strict=True)]
    summary = pd.DataFrame(rows, columns=["region", "mean_gc_m2", "region_area_km2"])
    series = summary.assign(year=2001, area_km2=np.arange(len(summary), dtype="f8"))
    return report.ReportInputs(
        name="many",
        title="Many",
        period=(2001, 2001),
        maps=maps,
        tables={"summary": summary, "series": series},
        regions=gpd.GeoDataFrame({"name": names}, geometry=boxes, crs="EPSG:4326"),
    )


@pytest.fixture(scope="module")
def many():
    return squares()


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_map_of_a_thousand_regions_is_a_page_and_points_to_the_table(many, language):
    given = replace(many, language=language)
    with style.journal_style():
        for name in ("regions", "nep_mean"):
            figure, caption = report.sheet.map_sheet(given, name, width_mm=88, dpi=50)
            assert figure.get_size_inches()[1] * 25.4 <= 236
            assert given.words["note.in_table"] in caption
            assert given.words["note.unmarked"] in caption
            assert "summary.csv" in caption
            written = {text.get_text() for ax in figure.axes for text in ax.texts}
            # the big one has its number, one of a millimetre has none
            assert "1" in written
            assert "500" not in written


def test_names_that_are_too_many_for_a_page_are_left_to_the_table():
    names = tuple(f"The county of the upper river and of the lower mountains, number {k}" for k in range(50))
    seeds = tuple((0.05 + 0.1 * (k % 10), 0.1 + 0.2 * (k // 10)) for k in range(50))
    inputs = make_inputs(names=names, seeds=seeds, resolution="20 km", drivers=())
    with style.journal_style():
        narrow, said = report.sheet.map_sheet(inputs, "regions", width_mm=88, dpi=50)
    assert narrow.get_size_inches()[1] * 25.4 <= 236
    assert inputs.words["note.in_table"] in said


def test_places_of_marks_are_found_once_for_all_maps_and_languages(many, monkeypatch):
    import shapely as room

    found = []
    circle = room.maximum_inscribed_circle
    monkeypatch.setattr(room, "maximum_inscribed_circle", lambda *a, **k: found.append(1) or circle(*a, **k))
    given = replace(many, worked_out={})
    with style.journal_style():
        for language in ("en", "zh"):
            for name in ("regions", "nep_mean"):
                report.map_figure(replace(given, language=language), name, dpi=40)
        assert 0 < len(found) <= len(many.regions)
        # other outlines have other places
        other = replace(given, regions=many.regions.iloc[:80].set_geometry(many.regions.geometry.iloc[80:160].values))
        before = len(found)
        report.map_figure(other, "nep_mean", dpi=40)
    assert len(found) == before + 80


def test_a_mark_stands_in_the_middle_of_the_largest_circle_and_within_its_region():
    # an L whose widest place is the square at its corner
    shape = shapely.union_all([shapely.box(0, 0, 4, 4), shapely.box(4, 0, 12, 1), shapely.box(0, 4, 1, 12)])
    place = outlines._inner_place(shape, 1.0, 20.0)
    assert shape.contains(shapely.Point(place.x, place.y))
    assert (place.x, place.y) == pytest.approx((2.0, 2.0), abs=0.25)
    assert place.holds(2.0, 2.0)
    assert not place.holds(5.0, 1.0)
    # the largest part counts, one that is small beside the map has a point and no room
    both = shapely.union_all([shape, shapely.box(30, 30, 31, 31)])
    assert outlines._inner_place(both, 1.0, 20.0).x == pytest.approx(2.0, abs=0.25)
    tiny = outlines._inner_place(shapely.box(0, 0, 0.1, 9), 1.0, 20.0)
    assert (tiny.x, tiny.part) == (pytest.approx(0.05), None)
    assert not tiny.holds(0.0, 0.0)
    assert outlines._inner_place(shapely.Polygon(), 1.0, 20.0) is None


def test_the_largest_regions_are_those_of_the_whole_area_in_the_order_of_the_tables(many):
    area = many.rows("summary").set_index("region")["region_area_km2"].drop("all")
    wanted = set(area.sort_values(ascending=False, kind="stable").index[:5])
    largest = many.largest_regions(5)
    assert set(largest) == wanted
    assert largest == [name for name in many.region_names if name in wanted]
    assert many.largest_regions(10**6) == list(many.region_names)
    shares = pd.DataFrame({"region": ["all", *many.region_names], "class": 0})
    given = replace(many, tables={**many.tables, "partial_classes": shares})
    assert share_regions(given, 5) == ["all", *largest]
    assert len(share_regions(given)) == SIDE * SIDE + 1


# --- cells that are in regions in part -----------------------------------------------------------------------------


def test_cells_that_are_shared_out_count_on_the_maps_as_in_the_tables():
    from nepcube.pipeline.classing import domain_map, inside

    share = np.array([[0.0, 0.3, 1.0], [0.0, 0.0, 0.6], [np.nan, 0.0, 0.1]])
    labels = (np.nan_to_num(share) >= 0.5).astype("int16")
    dims = ("latitude", "longitude")
    values = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.nan], [7.0, 8.0, 9.0]])
    maps = xr.Dataset(
        {"region": (dims, labels), "nep_mean": (dims, values), "region_share": (dims, share)},
        coords={"latitude": [3.0, 2.0, 1.0], "longitude": [1.0, 2.0, 3.0]},
    )
    given = report.ReportInputs(name="a", title="a", period=(2001, 2020), maps=maps, tables={})
    for one, exact in ((given, True), (replace(given, maps=maps.drop_vars("region_share")), False)):
        wanted = inside(maps[domain_map(exact)].values, True)
        np.testing.assert_array_equal(layers.domain(one), wanted)
        ax = style.new_figure(88, 80, 72).add_axes((0.1, 0.1, 0.8, 0.8))
        with style.journal_style():
            report.maps.paint(ax, one, "nep_mean")
        drawn = np.ma.getmaskarray(ax.images[-1].get_array())
        np.testing.assert_array_equal(~drawn, wanted & np.isfinite(values))
    # the map of the regions shows whose centres lie in which
    ax = style.new_figure(88, 80, 72).add_axes((0.1, 0.1, 0.8, 0.8))
    with style.journal_style():
        painting.paint_regions(ax, given)
    np.testing.assert_array_equal(~np.ma.getmaskarray(ax.images[-1].get_array()), (labels > 0) & np.isfinite(values))
    # a grid without regions counts whole
    none = replace(given, maps=maps.assign(region=(dims, np.zeros((3, 3), "int16"))).drop_vars("region_share"))
    assert layers.domain(none).all()


def test_a_run_hands_the_shares_to_its_figures():
    from nepcube.pipeline.reporting import _shown

    maps = xr.Dataset(dict.fromkeys(("region", "region_share", "nep_mean", "nep_hurst"), ((), 0.0)))
    assert set(_shown(maps, spec.CLIMATE)) == {"region", "region_share", "nep_mean"}


# --- one rule for paper and page -----------------------------------------------------------------------------------


def test_paper_and_page_draw_one_trend_and_one_small_share(inputs):
    ax = chart_series(style.new_figure(90, 60, 60).add_axes((0.2, 0.2, 0.7, 0.7)), inputs)
    dashed = next(one for one in ax.lines if one.get_label() == "least-squares trend")
    plot = series_plot(inputs)
    series = inputs.rows("series", region="all")
    years = series["year"].to_numpy("f8")
    fitted = np.polyval(np.polyfit(years, series["mean_gc_m2"], 1), [years.min(), years.max()])
    assert dashed.get_ydata() == pytest.approx(fitted)
    assert dashed.get_xdata() == pytest.approx([years.min(), years.max()])
    line = trend_line(inputs, "all", years)
    assert [line.at(2001), line.at(2020)] == pytest.approx(fitted)
    # on the page a dot of the series and the end of the line keep their distance in the same scale
    first = next(iter(series["mean_gc_m2"]))
    per_unit = (plot.dots[-1][1] - plot.dots[0][1]) / (series["mean_gc_m2"].iloc[-1] - first)
    assert plot.trend[1] - plot.dots[0][1] == pytest.approx(per_unit * (fitted[0] - first))
    assert trend_line(inputs, "nowhere", years) is None


@pytest.mark.parametrize(
    ("sink", "source", "wanted"),
    [
        ([0.95, 0.92], [0.05, 0.08], "source"),
        ([0.05, 0.08], [0.95, 0.92], "sink"),
        ([1.0, 1.0], [0.0, 0.0], None),
        ([0.5, 0.6], [0.5, 0.4], None),
        ([np.nan, 0.95], [np.nan, 0.05], "source"),
        ([np.nan], [np.nan], None),
        ([0.02], [0.0], "sink"),
    ],
)
def test_a_share_that_is_there_and_small_is_drawn_again(sink, source, wanted):
    assert small_share(np.array(sink), np.array(source)) == wanted


def test_what_is_neither_sink_nor_source_is_told_where_it_can_be_seen():
    rest = neither_share(np.array([0.5, 0.9996, np.nan, 0.7]), np.array([0.3, 0.0, np.nan, 0.3]))
    assert rest == pytest.approx([0.2, 0.0, 0.0, 0.0])


def test_the_page_draws_the_same_bars_as_the_paper(inputs):
    from nepcube.report.charts import chart_sink_share

    ax = chart_sink_share(style.new_figure(90, 60, 60).add_axes((0.2, 0.2, 0.7, 0.7)), inputs)
    paper = sorted(round(bar.get_height(), 6) for bar in ax.patches if bar.get_height() > 0)
    assert sorted(round(bar[3], 6) for bar in sink_plots(inputs)[0].bars) == pytest.approx(paper)


# --- what is said --------------------------------------------------------------------------------------------------


def test_every_planned_figure_of_the_page_is_one_that_is_drawn(drawn):
    planned = {item.removeprefix("f:") for items in _PLAN.values() for item in items if item.startswith("f:")}
    assert planned == set(report.FIGURES)
    assert "map_nep_slope" in {path.stem for path in drawn}
    assert all(has_words(f"caption.{name}") for name in planned if not name.startswith("map_partial_"))


@pytest.mark.parametrize(
    ("drivers", "detrended", "title", "caption", "shares"),
    [
        (("temperature",), False, "Correlation of annual", "Correlation of annual", "class of correlation"),
        (("temperature",), True, "with temperature, given time,", "the only driver, time held", "partial correlation"),
        (("temperature", "radiation"), False, "given radiation,", "the other drivers held", "partial correlation"),
        (("temperature", "radiation"), True, "given radiation and time,", "drivers and time held", "partial"),
    ],
)
@pytest.mark.parametrize("regions", [False, True])
def test_a_correlation_is_called_what_it_is(drivers, detrended, title, caption, shares, regions):
    some = {"names": ("One",), "seeds": ((0.5, 0.5),)} if regions else {"names": (), "seeds": ()}
    inputs = make_inputs(**some, resolution="40 km", drivers=drivers)
    if detrended:
        maps = inputs.maps.copy()
        for driver in drivers:
            maps[f"nep_partial_{driver}"].attrs["detrended"] = "linear, over the years"
        inputs = replace(inputs, maps=maps)
    ax = style.new_figure(180, 90, 50).add_axes((0.1, 0.1, 0.8, 0.8))
    with style.journal_style():
        key = report.maps.paint(ax, inputs, "partial_temperature")
    assert title in key.title
    plain = len(drivers) == 1 and not detrended
    assert key.bar_label == ("correlation coefficient" if plain else "partial correlation coefficient")
    assert caption in text_in(caption_of(inputs, "map_partial_temperature"), "en")
    said = text_in(caption_of(inputs, "partial_shares"), "en")
    assert shares in said
    assert ("region" in said) == regions
