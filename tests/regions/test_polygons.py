"""Polygons as they come: their own area, invalid ones, overlaps, the antimeridian, other CRS, and what is said."""

import itertools

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from region_factories import (
    LAX,
    dense,
    frame_of,
    geodesic_area,
    rectangles,
    shares_by_geos,
    small_grid,
    stars,
    tessellation,
    whole,
)

import nepcube as nc
from nepcube.errors import RegionError
from nepcube.grid import cell_area
from nepcube.regions import (
    UNION,
    label_window,
    missed_notes,
    outside_notes,
    read_regions,
    share_window,
    summary_table,
)
from nepcube.regions.areas import authalic_areas
from nepcube.regions.overlaps import overlaps_of
from nepcube.regions.shapes import shapes_of

WGS84 = CRS.from_epsg(4326)


def file_of(folder, polygons, names=None, crs="EPSG:4326"):
    names = names or [f"r{k}" for k in range(len(polygons))]
    path = folder / "r.gpkg"
    gpd.GeoDataFrame({"name": names}, geometry=list(polygons), crs=crs).to_file(path)
    return path


@LAX
@given(polygon=st.one_of(stars(), stars(hole=True)))
def test_the_area_of_a_polygon_is_that_of_close_geodesics(polygon):
    found = authalic_areas(np.array([polygon], object), WGS84)[0]
    right = geodesic_area(polygon, max(polygon.length / 2000, 1e-7))
    # geodesics between points of a two-thousandth of the outline; GeographicLib states 0.1 m2 a vertex for its areas
    # (Karney 2013, J. Geod. 87, 43-55), of which tiny polygons show a hundredth
    assert found == pytest.approx(right, rel=2e-6, abs=1e-8)


def test_the_area_of_parts_with_holes_on_any_crs():
    shape = shapely.MultiPolygon(
        [
            shapely.box(-120, 20, -60, 70).difference(shapely.box(-100, 30, -90, 40)),
            shapely.box(170, -40, 180, -20),
        ]
    )
    assert authalic_areas(np.array([shape, None], object), WGS84).tolist() == [
        pytest.approx(geodesic_area(shape, 0.02), rel=1e-7),
        0.0,
    ]
    sphere = authalic_areas(np.array([shapely.box(-180, -90, 180, 90)], object), WGS84)[0]
    assert sphere == pytest.approx(510065621.7, rel=1e-9)
    # an equal-area plane gives the area of what is straight in it; a centimetre along 2800 km is 6e-8 of it
    plane = CRS.from_proj4("+proj=laea +lat_0=33 +lon_0=95 +datum=WGS84")
    square = shapely.box(-400e3, -300e3, 500e3, 200e3)
    assert authalic_areas(np.array([square], object), plane)[0] == pytest.approx(square.area / 1e6, rel=6e-8)


def bow_tie():
    return shapely.Polygon([(90, 32), (91, 33), (91, 32), (90, 33)])


def test_an_invalid_polygon_is_named_and_mended_where_told(tmp_path):
    path = file_of(tmp_path, [shapely.box(91, 32, 92, 33), bow_tie()], ["a", "tie"])
    with pytest.raises(RegionError, match=r"'tie' \(feature 2\) is not a valid polygon: Self-intersection") as told:
        read_regions(path)
    assert "regions.mend: true" in told.value.way_out
    found = read_regions(path, mend=True)
    assert found.frame.geometry.is_valid.all()
    assert found.frame["area_km2"][1] == pytest.approx(geodesic_area(shapely.make_valid(bow_tie())), rel=1e-6)
    (note,) = found.notes
    assert note.startswith("Region 'tie' was not valid (Self-intersection")
    assert "0 km2 as drawn" in note or "e-" in note
    assert f"{found.frame['area_km2'][1]:,.0f} km2 now" in note
    with pytest.raises(RegionError, match="has no area"):
        read_regions(file_of(tmp_path, [shapely.Polygon([(90, 32), (91, 33), (90, 32)])]), mend=True)


def test_overlaps_are_refused_by_centres_and_reported_by_shares(tmp_path):
    a, b, c = shapely.box(90, 32, 91, 33), shapely.box(90.5, 32, 91.5, 33), shapely.box(91.4999, 32, 92, 33)
    path = file_of(tmp_path, [a, b, c], ["a", "b", "c"])
    common = geodesic_area(shapely.box(90.5, 32, 91, 33))
    with pytest.raises(RegionError, match=rf"'a' and 'b' overlap by {common:,.0f} km2") as told:
        read_regions(path)
    assert "regions.overlap: exact" in told.value.way_out
    found = read_regions(path, overlap="exact")
    large, slivers = found.notes
    assert large.startswith(f"1 pair of regions overlap ({common:,.0f} km2; most of it 'a' and 'b'")
    assert slivers.startswith("1 pair of regions overlap by slivers")
    sliver = geodesic_area(shapely.box(91.4999, 32, 91.5, 33))
    assert f"{sliver:.2f} km2" in slivers
    np.testing.assert_allclose(found.frame["shared_km2"], [common, common + sliver, sliver], rtol=1e-6)
    assert found.union_km2 == pytest.approx(geodesic_area(shapely.box(90, 32, 92, 33)), rel=1e-7)
    # slivers alone are said, and no mistake
    alone = read_regions(file_of(tmp_path, [b, c]))
    assert len(alone.notes) == 1
    assert alone.notes[0].startswith(f"1 pair of regions overlap by slivers ({sliver:.2f} km2")
    assert read_regions(file_of(tmp_path, [a, shapely.box(91, 32, 92, 33)])).notes == ()


@LAX
@given(
    polygons=st.lists(st.one_of(stars(), stars(hole=True), rectangles()), min_size=2, max_size=6), copied=st.booleans()
)
def test_what_any_polygons_share_is_what_their_pairs_share(polygons, copied):
    if copied:
        # the same polygon twice, and one within another
        polygons = [*polygons, polygons[0], shapely.transform(polygons[1], lambda at: at * 0.5 + at.mean(axis=0) * 0.5)]
    found = overlaps_of(np.array(polygons, object), WGS84)
    told = dict(zip(zip(found.first.tolist(), found.second.tolist(), strict=True), found.area, strict=True))
    for i, j in itertools.combinations(range(len(polygons)), 2):
        smaller = min(polygons[i].area, polygons[j].area)
        shared = polygons[i].intersection(polygons[j])
        if shared.area > 1e-9 * smaller:
            assert told[i, j] == pytest.approx(
                geodesic_area(shared, max(shared.length / 500, 1e-7)), rel=1e-4, abs=1e-9
            )
        elif (i, j) in told:
            assert shared.area > 1e-12 * smaller
    # the firsts have each bit of the union once
    parts = [first for first in found.firsts if first is not None]
    union = shapely.union_all(polygons).area
    assert sum(part.area for part in parts) == pytest.approx(union, rel=1e-6)


def test_neighbours_with_common_vertices_share_nothing(tmp_path):
    cells = tessellation(200, (90.0, 32.0, 92.0, 33.5))
    found = overlaps_of(np.array(cells, object), WGS84)
    assert not found.area.size
    assert all(first is cell for first, cell in zip(found.firsts, cells, strict=True))


def test_a_polygon_over_the_antimeridian_is_where_it_is_on_the_globe(tmp_path):
    grid = nc.target_grid((-180, -60, 180, 80), "2 deg")
    over = shapely.Polygon([(171, 50), (189, 51), (187, 70.5), (173, 69)])
    pacific = shapely.box(190, -10, 200, 10)
    found = read_regions(file_of(tmp_path, [over, pacific]), overlap="exact")
    assert "2 regions beyond 180 degrees of longitude ('r0', 'r1')" in found.notes[0]
    assert found.frame.total_bounds[[0, 2]].tolist() == [-180.0, 180.0]
    members = share_window(shapes_of(found.frame), grid, whole(grid))
    east = shares_by_geos(over, grid)
    west = shares_by_geos(shapely.transform(over, lambda p: p - [360, 0]), grid)
    np.testing.assert_allclose(dense(members, 1, grid.shape), east + west, rtol=0, atol=1e-8)
    moved = shapely.transform(pacific, lambda p: p - [360, 0])
    np.testing.assert_allclose(dense(members, 2, grid.shape), shares_by_geos(moved, grid), rtol=0, atol=1e-8)
    assert found.frame["area_km2"][0] == pytest.approx(geodesic_area(over, 0.02), rel=1e-6)
    # split as RFC 7946 wants it, it is the same
    split = shapely.MultiPolygon(
        [
            shapely.intersection(over, shapely.box(0, -90, 180, 90)),
            shapely.transform(shapely.intersection(over, shapely.box(180, -90, 360, 90)), lambda p: p - [360, 0]),
        ]
    )
    again = read_regions(file_of(tmp_path, [split]), overlap="exact")
    assert again.notes == ()
    np.testing.assert_array_equal(
        share_window(shapes_of(again.frame), grid, whole(grid)).shares_of(UNION, grid.shape),
        dense(members, 1, grid.shape),
    )


def test_an_edge_around_half_the_globe_is_not_guessed_at(tmp_path):
    with pytest.raises(RegionError, match=r"'r1' \(feature 2\) has an edge from longitude .*antimeridian"):
        read_regions(file_of(tmp_path, [shapely.box(0, 0, 1, 1), shapely.box(-179, 10, 179, 20)]))
    # the whole globe says what it is
    globe = read_regions(file_of(tmp_path, [shapely.box(-180, -60, 180, 80)]))
    band = float(cell_area(nc.target_grid((-180, -60, 180, 80), "1 deg")).sum()) * 360
    assert globe.union_km2 == pytest.approx(band, rel=1e-9)


def test_a_projected_polygon_over_the_antimeridian(tmp_path):
    plane = "+proj=laea +lat_0=60 +lon_0=180 +datum=WGS84"
    square = shapely.box(-500e3, -400e3, 600e3, 300e3).difference(shapely.box(-100e3, -100e3, 100e3, 100e3))
    grid = nc.target_grid((-180, 40, 180, 80), "0.2 deg")
    found = read_regions(file_of(tmp_path, [square], crs=plane), overlap="exact")
    members = share_window(shapes_of(found.frame), grid, whole(grid))
    shares = dense(members, 1, grid.shape)
    assert (shares * cell_area(grid).values[:, None]).sum() == pytest.approx(square.area / 1e6, rel=1e-5)
    assert shares[:, 0].any()
    assert shares[:, -1].any()
    assert not shares[:, 450:1350].any()
    # the hole lies over the antimeridian, too
    assert shares[100, 0] == 0.0
    assert found.frame["area_km2"][0] == pytest.approx(square.area / 1e6, rel=6e-8)
    polar = file_of(tmp_path, [shapely.Point(0, 0).buffer(1e6)], crs="+proj=laea +lat_0=90 +lon_0=0 +datum=WGS84")
    with pytest.raises(RegionError, match="encloses a pole"):
        read_regions(polar, overlap="exact")


def test_edges_stay_straight_in_the_crs_of_the_file(tmp_path):
    grid = nc.target_grid((300_000, 3_500_000, 900_000, 3_700_000), "10000 m", "EPSG:32646")
    # four vertices: the parallel of an edge bends by kilometres in the plane
    band = shapely.box(91, 32, 97, 33)
    path = file_of(tmp_path, [band])
    close = gpd.GeoSeries([shapely.segmentize(band, 0.002)], crs="EPSG:4326").to_crs("EPSG:32646")[0]
    found = read_regions(path, crs="EPSG:32646", overlap="exact")
    shares = share_window(shapes_of(found.frame), grid, whole(grid)).shares_of(1, grid.shape)
    np.testing.assert_allclose(shares, shares_by_geos(close, grid), rtol=0, atol=5e-6)
    bare = gpd.GeoSeries([band], crs="EPSG:4326").to_crs("EPSG:32646")[0]
    assert np.abs(shares - shares_by_geos(bare, grid)).max() > 0.1
    # by centres vertices alone are moved, as a desktop GIS does
    centre = read_regions(path, crs="EPSG:32646")
    assert centre.frame.geometry[0].equals(bare)
    assert found.frame["area_km2"][0] == pytest.approx(geodesic_area(band), rel=1e-7)


def test_neighbours_in_another_crs_still_fill_their_cells(tmp_path):
    grid = nc.target_grid((400_000, 3_550_000, 800_000, 3_650_000), "10000 m", "EPSG:32646")
    cuts = [91, 92.3, 94.1, 96, 98]
    strips = [shapely.box(a, 31, b, 34) for a, b in itertools.pairwise(cuts)]
    found = read_regions(file_of(tmp_path, strips), crs="EPSG:32646", overlap="exact")
    shares = share_window(shapes_of(found.frame), grid, whole(grid)).shares_of(UNION, grid.shape)
    np.testing.assert_array_equal(shares, 1.0)


def test_what_is_outside_the_grid_or_between_centres_is_said(tmp_path):
    grid = small_grid()
    step = grid.affine.a
    x0, y0 = grid.affine.c + 5 * step, grid.affine.f - 5 * step
    polygons = {
        "far": shapely.box(10, 10, 11, 11),
        "over the edge": shapely.box(91.9, 32.2, 93, 32.8),
        "tiny": shapely.box(x0 + 0.1 * step, y0 + 0.1 * step, x0 + 0.2 * step, y0 + 0.2 * step),
        # as long as the grid, and between two rows of centres
        "between": shapely.box(90.1, y0 + 2.6 * step, 91.8, y0 + 3.4 * step),
        "plain": shapely.box(90.2, 32.1, 90.9, 32.4),
    }
    regions = read_regions(file_of(tmp_path, polygons.values(), list(polygons)))
    notes = [*outside_notes(regions, grid), *missed_notes(regions, grid)]
    assert notes[0] == "1 region outside the grid, with nothing in the tables: 'far'."
    assert notes[1] == "1 region reaching beyond the grid, counted within it only: 'over the edge'."
    assert notes[2].startswith("2 regions with the centre of no cell")
    assert notes[2].endswith(": 'tiny', 'between'.")
    assert len(notes) == 3
    labels = label_window(shapes_of(regions.frame), grid, whole(grid))
    assert set(np.unique(labels)) == {0, 2, 5}
    members = share_window(shapes_of(regions.frame), grid, whole(grid))
    assert members.labels.tolist() == [0, 2, 3, 4, 5]


def test_the_frame_has_what_others_read(tmp_path):
    found = read_regions(file_of(tmp_path, [shapely.box(90, 32, 91, 33)]))
    assert list(found.frame.columns) == ["name", "geometry", "area_km2", "shared_km2", "first"]
    assert found.names == ["r0"]
    assert found.frame["first"][0] is found.frame.geometry[0]
    assert frame_of([shapely.box(0, 0, 1, 1)]).crs == "EPSG:4326"


# --- what no degrees, no place and no parallel are -------------------------------------------------------------------


@pytest.mark.parametrize(("code", "pole"), [(3031, -90), (3413, 90)])
def test_the_area_of_a_polygon_around_a_pole(tmp_path, code, pole):
    crs = CRS.from_epsg(code)
    ring = shapely.Point(0, 0).buffer(1e6, quad_segs=32).difference(shapely.Point(2e5, 0).buffer(1e5))
    square = shapely.box(-1e6, -1.2e6, 1.1e6, 0.9e6).difference(shapely.Point(0, 0).buffer(3e5))
    areas = authalic_areas(np.array([ring, square], object), crs)
    for found, polygon in zip(areas, (ring, square), strict=True):
        # the same in an equal-area plane around the pole, to which edges are carried in many pieces
        plane = CRS.from_proj4(f"+proj=laea +lat_0={pole} +lon_0=0 +datum=WGS84")
        carried = gpd.GeoSeries([shapely.segmentize(polygon, 500.0)], crs=crs).to_crs(plane)
        assert found == pytest.approx(carried.area.iloc[0] / 1e6, rel=1e-6)


@pytest.mark.parametrize("polygon", [shapely.box(500000, 3500000, 500300, 3500200), shapely.box(10, 80, 20, 120)])
def test_what_are_no_degrees_is_refused(tmp_path, polygon):
    with pytest.raises(RegionError, match="these are no degrees") as told:
        read_regions(file_of(tmp_path, [shapely.box(1, 1, 2, 2), polygon]))
    assert "region 'r1' (feature 2)" in told.value.what


@pytest.mark.parametrize("shapes", [[(0, 0), (5e6, 0)], [(0, 0)]])
def test_what_has_no_place_is_told_in_two_lines(tmp_path, shapes):
    far = [shapely.box(9e7 + x, 9e7 + y, 9.9e7 + x, 9.9e7 + y) for x, y in shapes]
    with pytest.raises(RegionError, match="cannot be brought to 'EPSG:4326'") as told:
        read_regions(file_of(tmp_path, far, crs="EPSG:6933"), overlap="exact")
    assert len(str(told.value).splitlines()) == 2


def test_a_region_without_a_value_has_no_extreme_year():
    sums = {"slope": np.nan, "pvalue": np.nan, "stderr": np.nan, "n": 0.0, "cv": np.nan}
    series = pd.DataFrame(
        {
            "region": ["a", "a"],
            "year": [2001, 2002],
            "mean_gc_m2": [np.nan] * 2,
            "total_tgc": [0.0] * 2,
            "area_km2": [0.0] * 2,
            "region_area_km2": [4.0] * 2,
        }
    )
    (row,) = summary_table(series, {"a": sums}, level=0.95).itertuples()
    assert row.min_year is pd.NA
    assert row.max_year is pd.NA
    assert row.n_years == 0
