"""Pixels of other rasters in the cells of the grid, against one pixel at a time, however they are cut."""

import itertools
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.warp import Resampling, reproject

import nepcube as nc
from nepcube import sources
from nepcube.errors import RegionError, SourceError
from nepcube.grid import Window, coordinates, edges
from nepcube.regions import (
    Members,
    Stratum,
    cross,
    cross_fractions,
    lattices_of,
    require_overlap,
    require_whole_numbers,
    strata,
    stratum_window,
    units_of,
)
from nepcube.regions.lattices import Placing
from nepcube.regions.relief import slope_of
from nepcube.regions.seams import Seam

LAX = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOX = (96.0, 33.0, 96.25, 33.2)
CODES = (10, 20, 30, 60)
NAMES = ("cropland", "forest", "grassland", "water")


def grid_of(crs="EPSG:4326"):
    if crs == "EPSG:4326":
        return nc.target_grid(BOX, resolution="2000 m")
    return nc.target_grid((590_000, 3_650_000, 612_000, 3_674_000), resolution="2000 m", crs=crs)


def whole(grid):
    return Window(0, *((grid.shape[0]), 0, grid.shape[1]))


def write(path, values, transform, crs="EPSG:4326", *, nodata=None, units=None, scale=None):
    profile = {"driver": "GTiff", "height": values.shape[0], "width": values.shape[1], "count": 1, "tiled": True}
    profile |= {"blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    with rasterio.open(path, "w", dtype=values.dtype, crs=crs, transform=transform, nodata=nodata, **profile) as file:
        file.write(values, 1)
        if units:
            file.units = (units,)
        if scale:
            file.scales = (scale,)
    return str(path)


def categorical(paths, *, nodata=(), lattices=None, **more):
    bands = [sources.open_band(p, nodata=nodata) for p in paths]
    return Stratum("landcover", "categorical", (lattices_of(bands),), NAMES, codes=CODES, **more)


def continuous(paths, breaks=(100.0, 200.0), **more):
    bands = [sources.open_band(p) for p in paths]
    labels = tuple(map(str, range(len(breaks) + 1)))
    return Stratum("elevation", "continuous", (lattices_of(bands),), labels, breaks=breaks, units="m", **more)


def patches(shape, seed, codes=CODES):
    rng = np.random.default_rng(seed)
    coarse = rng.choice(np.array(codes, np.uint8), size=(-(-shape[0] // 9), -(-shape[1] // 7)))
    return np.ascontiguousarray(np.kron(coarse, np.ones((9, 7), np.uint8))[: shape[0], : shape[1]])


def one_by_one(grid, transform, crs, shape):
    """The cell of each pixel: its centre brought over by pyproj, looked up among the edges; no window, no tile."""
    c, r = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
    x, y = transform.c + transform.a * c, transform.f + transform.e * r
    if crs != str(grid.crs):
        x, y = Transformer.from_crs(crs, str(grid.crs), always_xy=True).transform(x, y)
    ey, ex = edges(grid)
    j = np.searchsorted(ex, x, side="right") - 1
    i = ey.size - 1 - np.searchsorted(ey[::-1], y, side="right")
    cell = i * grid.shape[1] + j
    cell[(i < 0) | (i >= grid.shape[0]) | (j < 0) | (j >= grid.shape[1])] = -1
    return cell


def binned(cell, values, cells):
    return [values[cell == k] for k in range(cells)]


def majority(pixels, codes, whole_count, least=0.5, nodata=0):
    good = pixels[pixels != nodata]
    if not whole_count or good.size < least * whole_count:
        return 255
    counts = [int((good == c).sum()) for c in codes]
    return counts.index(max(counts))


FINE = Affine(0.0015, 0, 95.9, 0, -0.0015, 33.3)
UTM47 = Affine(90, 0, 215_000, 0, -90, 3_690_000)
UTM46_UP = Affine(100, 0, 770_000, 0, 100, 3_640_000)  # the first row is the southernmost
SHAPES = {"EPSG:4326": (FINE, (270, 300)), "EPSG:32647": (UTM47, (420, 400)), "EPSG:32646": (UTM46_UP, (480, 390))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("strata")


@pytest.mark.parametrize("crs", SHAPES)
@pytest.mark.parametrize("target", ["EPSG:4326", "EPSG:32647"])
def test_majority_is_that_of_the_pixels_whose_centres_lie_in_the_cell(folder, crs, target):
    transform, shape = SHAPES[crs]
    grid = grid_of() if target == "EPSG:4326" else nc.target_grid((219_000, 3_656_000, 243_000, 3_677_000), crs=target)
    values = patches(shape, 3)
    values[:60] = 0
    path = write(folder / f"{crs[5:]}-{target[5:]}.tif", values, transform, crs, nodata=0)
    found = stratum_window(categorical([path]), grid, whole(grid)).classes
    cell = one_by_one(grid, transform, crs, shape)
    cells = grid.shape[0] * grid.shape[1]
    pixels = binned(cell, values, cells)
    right = np.array([majority(p, CODES, p.size) for p in pixels], np.uint8).reshape(grid.shape)
    np.testing.assert_array_equal(found, right)
    assert len(set(np.unique(found)) & {0, 1, 2, 3}) == 4


@pytest.mark.parametrize("crs", SHAPES)
def test_the_place_of_a_pixel_is_pyprojs_to_the_last(folder, crs):
    # also where most pixels are interpolated: the exact ones are those near an edge
    transform, shape = SHAPES[crs]
    grid = nc.target_grid(BOX, resolution="500 m")
    path = write(folder / f"place-{crs[5:]}.tif", np.zeros(shape, np.uint8), transform, crs)
    placing = Placing(grid, whole(grid), lattices_of([sources.open_band(path)])[0])
    np.testing.assert_array_equal(
        placing.cells(range(shape[0]), range(shape[1])), one_by_one(grid, transform, crs, shape)
    )


@LAX
@given(data=st.data(), crs=st.sampled_from(list(SHAPES)), kind=st.sampled_from(["majority", "fraction", "mean"]))
def test_any_window_gives_the_bytes_of_the_whole(folder, data, crs, kind):
    transform, shape = SHAPES[crs]
    grid = grid_of()
    path = folder / f"any-{crs[5:]}-{kind}.tif"
    if not path.exists():
        values = patches(shape, 5)
        if kind == "mean":
            values = (np.random.default_rng(1).normal(150, 60, shape)).astype(np.float32)
        write(path, values, transform, crs)
    stratum = continuous([str(path)]) if kind == "mean" else categorical([str(path)], fractions=kind == "fraction")
    all_of = stratum_window(stratum, grid, whole(grid))
    y0, x0 = data.draw(st.integers(0, grid.shape[0] - 1)), data.draw(st.integers(0, grid.shape[1] - 1))
    w = Window(y0, data.draw(st.integers(y0 + 1, grid.shape[0])), x0, data.draw(st.integers(x0 + 1, grid.shape[1])))
    part = stratum_window(stratum, grid, w)
    assert part.classes.tobytes() == np.ascontiguousarray(all_of.classes[w.slices]).tobytes()
    if kind == "mean":
        assert part.mean.tobytes() == np.ascontiguousarray(all_of.mean[w.slices]).tobytes()
    if kind == "fraction":
        np.testing.assert_array_equal(part.counts, all_of.counts[w.slices])


@LAX
@given(
    pixels=st.lists(st.sampled_from([0, *CODES]), min_size=16, max_size=16),
    least=st.sampled_from([0.25, 0.5, 1.0]),
)
def test_ties_and_missing_pixels(folder, pixels, least):
    # one cell of four by four pixels
    grid = nc.target_grid((0, 0, 1, 1), resolution="1 deg")
    values = np.array(pixels, np.uint8).reshape(4, 4)
    path = write(folder / "one.tif", values, Affine(0.25, 0, 0, 0, -0.25, 1), nodata=0)
    found = stratum_window(categorical([path], min_fraction=least, fractions=True), grid, whole(grid))
    assert found.classes[0, 0] == majority(values, CODES, 16, least)
    valid = int((values != 0).sum())
    if valid >= least * 16:
        assert found.counts[0, 0].tolist() == [int((values == c).sum()) for c in CODES]
    else:
        assert not found.counts.any()


def test_means_are_exact_means_and_classes_hold_their_lower_break(folder):
    grid = grid_of()
    rng = np.random.default_rng(7)
    transform, shape = SHAPES["EPSG:4326"]
    values = rng.normal(150, 80, shape).astype(np.float32)
    values[100:140, 50:90] = -9999
    path = write(folder / "dem.tif", values, transform, nodata=-9999)
    found = stratum_window(continuous([path]), grid, whole(grid))
    cell = one_by_one(grid, transform, "EPSG:4326", shape)
    for k, pixels in enumerate(binned(cell, values, grid.shape[0] * grid.shape[1])):
        good = pixels[pixels != -9999].astype(np.float64)
        mean, one = found.mean.flat[k], found.classes.flat[k]
        if good.size < 0.5 * pixels.size:
            assert np.isnan(mean)
            assert one == 255
        else:
            assert mean == pytest.approx(np.mean(good), rel=1e-7)
            assert one == np.digitize(np.float64(mean), [100, 200])
    level = write(folder / "level.tif", np.full((4, 4), 100.0), Affine(0.25, 0, 0, 0, -0.25, 1))
    box = nc.target_grid((0, 0, 1, 1), resolution="1 deg")
    assert stratum_window(continuous([level]), box, whole(box)).classes[0, 0] == 1


def test_sums_of_pixels_are_rounded_once(folder):
    # 8 x 8 cells of 64 pixels, whose sums pass what a float64 holds of multiples of 2**-20
    rng = np.random.default_rng(12)
    values = np.ldexp(rng.integers(2**20, 2**51, (64, 64)).astype(np.float64), -20)
    values += np.ldexp(rng.integers(-(2**28), 2**28, (64, 64)).astype(np.float64), -50)
    path = write(folder / "sums.tif", values, Affine(1 / 64, 0, 0, 0, -1 / 64, 1))
    grid = nc.target_grid((0, 0, 1, 1), resolution="0.125 deg")
    stratum = continuous([path])
    (lattice,) = stratum.lattices[0]
    sums, counts, _ = strata._sum(stratum, lattice, Placing(grid, whole(grid), lattice), 64)
    cells = values.reshape(8, 8, 8, 8).swapaxes(1, 2).reshape(64, 64)
    assert sums.tolist() == [float(sum(map(Fraction, cell.tolist()))) for cell in cells]
    assert (counts == 64).all()


def test_gdals_average_and_mode_agree_where_its_pixels_are_ours(folder):
    # a grid whose edges are edges of pixels: GDAL then has the same pixels in a cell
    grid = nc.target_grid((96.0, 33.0, 96.2, 33.2), resolution="0.02 deg")
    transform = Affine(0.002, 0, 96.0, 0, -0.002, 33.2)
    codes, heights = patches((100, 100), 11), np.random.default_rng(2).normal(150, 60, (100, 100))
    lc, dem = write(folder / "a.tif", codes, transform), write(folder / "b.tif", heights, transform)
    for path, stratum, how in ((lc, categorical([lc]), Resampling.mode), (dem, continuous([dem]), Resampling.average)):
        with rasterio.open(path) as file:
            out = np.zeros(grid.shape, np.float64)
            reproject(rasterio.band(file, 1), out, dst_transform=grid.affine, dst_crs="EPSG:4326", resampling=how)
        found = stratum_window(stratum, grid, whole(grid))
        if how is Resampling.average:
            np.testing.assert_allclose(found.mean, out, rtol=1e-6)
        else:
            got = np.array(CODES)[found.classes]
            counts = [[(codes[10 * i : 10 * i + 10, 10 * j : 10 * j + 10] == c).sum() for c in CODES]
                      for i in range(10) for j in range(10)]  # fmt: skip
            alone = np.array([sorted(c)[-1] > sorted(c)[-2] for c in counts]).reshape(10, 10)
            np.testing.assert_array_equal(got[alone], out[alone])


def test_a_raster_coarser_than_the_grid_gives_the_pixel_of_the_centre(folder):
    grid = grid_of()
    transform = Affine(0.05, 0, 95.9, 0, -0.05, 33.3)
    values = patches((9, 10), 1)[::-1]
    path = write(folder / "coarse.tif", np.ascontiguousarray(values), transform)
    found = stratum_window(categorical([path]), grid, whole(grid)).classes
    y, x = coordinates(grid)
    ey, ex = edges(grid)
    rows, cols = np.floor((y - 33.3) / -0.05).astype(int), np.floor((x - 95.9) / 0.05).astype(int)
    right = np.searchsorted(CODES, values[rows[:, None], cols[None, :]])
    # a cell that holds a pixel's centre takes that pixel
    for r, c in itertools.product(range(9), range(10)):
        px, py = 95.9 + 0.05 * (c + 0.5), 33.3 - 0.05 * (r + 0.5)
        i, j = ey.size - 1 - np.searchsorted(ey[::-1], py, side="right"), np.searchsorted(ex, px, side="right") - 1
        if 0 <= i < y.size and 0 <= j < x.size:
            right[i, j] = np.searchsorted(CODES, values[r, c])
    np.testing.assert_array_equal(found, right)
    dem = write(folder / "coarse-dem.tif", values.astype(np.float32), transform)
    np.testing.assert_array_equal(stratum_window(continuous([dem]), grid, whole(grid)).mean, np.array(CODES)[right])


def test_tiles_are_one_raster_and_two_values_of_one_place_are_refused(folder):
    grid = grid_of()
    transform, shape = SHAPES["EPSG:4326"]
    values = patches(shape, 9)
    one = write(folder / "whole.tif", values, transform)
    right = stratum_window(categorical([one]), grid, whole(grid)).classes
    parts = []
    for k, (r, c) in enumerate(itertools.product((0, 130), (0, 140))):
        # neighbours share ten rows and columns
        piece = np.ascontiguousarray(values[r : r + 140, c : c + 160])
        parts.append(write(folder / f"tile{k}.tif", piece, transform @ Affine.translation(c, r)))
    tiles = categorical(parts)
    assert len(tiles.lattices[0]) == 1
    np.testing.assert_array_equal(stratum_window(tiles, grid, whole(grid)).classes, right)
    wrong = np.ascontiguousarray(values[130:270, 140:300])
    wrong[4, 5] = 10 if wrong[4, 5] != 10 else 20
    parts[3] = write(folder / "tile3b.tif", wrong, transform @ Affine.translation(140, 130))
    with pytest.raises(RegionError, match=r"tile3b\.tif: \d+ where .*tile\d\.tif has \d+, at x"):
        stratum_window(categorical(parts), grid, whole(grid))


def test_tiles_of_two_zones(folder):
    # two lattices side by side, and one over the other
    grid = grid_of()
    west = write(folder / "west.tif", patches((700, 260), 1), Affine(50, 0, 778_000, 0, -50, 3_684_000), "EPSG:32646")
    east = write(folder / "east.tif", patches((700, 600), 2), Affine(50, 0, 226_000, 0, -50, 3_684_000), "EPSG:32647")
    both = categorical([west, east], most=True)
    assert len(both.lattices[0]) == 2
    found = stratum_window(both, grid, whole(grid)).classes
    # what any pixel has, and what two have that together hold more than 1.1 of a cell
    any_of, most_of = (
        [stratum_window(categorical([p], min_fraction=f), grid, whole(grid)).classes for p in (west, east)]
        for f in (1e-6, 0.56)
    )
    only = (any_of[0] != 255) & (any_of[1] == 255) & (most_of[0] != 255)
    assert only.any()
    np.testing.assert_array_equal(found[only], any_of[0][only])
    overlaps = (most_of[0] != 255) & (most_of[1] != 255)
    assert overlaps.any()
    with pytest.raises(RegionError, match=r"west\.tif.*give the cell at x .* two different values\.\n.*overlapping"):
        stratum_window(categorical([west, east]), grid, whole(grid))
    # each cell is of one of the two
    assert ((found == most_of[0]) | (found == most_of[1]))[overlaps].all()


SIDES = {
    "west": ("EPSG:32646", Affine(150, 0, 760_000, 0, -150, 3_690_000), (300, 300)),
    "east": ("EPSG:32647", Affine(170, 0, 210_000, 0, -170, 3_690_000), (260, 260)),
    "south": ("EPSG:4326", Affine(0.0021, 0, 95.9, 0, -0.0019, 33.3), (210, 200)),
}


def side_by_side(folder, name, over, *, heights=False):
    """Three rasters that cover the grid, each with data in its part only; parts reach `over` degrees into another."""
    paths, cells, values = [], [], []
    grid = grid_of()
    for k, (side, (crs, transform, shape)) in enumerate(SIDES.items()):
        c, r = np.meshgrid(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5)
        lon, lat = transform.c + transform.a * c, transform.f + transform.e * r
        if crs != "EPSG:4326":
            lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(lon, lat)
        here = {"west": (lon < 96.1171) & (lat >= 33.0712), "east": (lon >= 96.1171 - over) & (lat >= 33.0712)}
        pixels = patches(shape, 40 + k)
        if heights:
            pixels = np.random.default_rng(k).normal(150, 40, shape)
        pixels[~here.get(side, lat < 33.0712)] = 0
        pixels[:: 3 + k, ::7] = 0
        paths.append(write(folder / f"{name}-{k}.tif", pixels, transform, crs, nodata=0))
        cells.append(one_by_one(grid, transform, crs, shape))
        values.append(pixels)
    return paths, cells, values


def parts_of(cell, cells, values):
    """The pixels of one cell in each raster that has some there."""
    every = [pixels[of == cell] for of, pixels in zip(cells, values, strict=True)]
    return [p for p in every if (p != 0).any()]


@pytest.mark.parametrize(("over", "least"), [(0.0, 0.9), (0.0, 0.5), (0.004, 0.5)])
def test_lattices_side_by_side_make_up_a_cell_together(folder, over, least):
    # against fractions of Python, one cell at a time
    grid = grid_of()
    paths, cells, values = side_by_side(folder, f"seam-{over}-{least}", over)
    stratum = categorical(paths, fractions=True, min_fraction=least, most=True)
    assert len(stratum.lattices[0]) == 3
    found = stratum_window(stratum, grid, whole(grid))
    seams = overlaps = gained = 0
    for k in range(grid.shape[0] * grid.shape[1]):
        parts = parts_of(k, cells, values)
        by_class = [[Fraction(int((p == c).sum()), p.size) for c in CODES] for p in parts] or [[Fraction(0)] * 4]
        together = [sum(c) for c in zip(*by_class, strict=True)]
        if sum(together) > Fraction(11, 10):
            overlaps += 1
            together = max(by_class, key=sum)
        elif len(parts) > 1:
            seams += 1
            gained += max(sum(one) for one in by_class) < least <= sum(together)
        counts = found.counts.reshape(-1, 4)[k].tolist()
        if sum(together) < least:
            assert found.classes.flat[k] == 255
            assert not any(counts)
        else:
            assert found.classes.flat[k] == together.index(max(together))
            assert [Fraction(c, sum(counts)) for c in counts] == [t / sum(together) for t in together]
    assert seams > 15
    # no raster alone gives these a class
    assert (gained > 5) == (least == 0.9)
    assert (overlaps > 0) == (over > 0)
    for w in (Window(0, 5, 2, 9), Window(5, grid.shape[0], 5, 6)):
        part = stratum_window(stratum.near(grid, w), grid, w)
        assert part.classes.tobytes() == np.ascontiguousarray(found.classes[w.slices]).tobytes()
        assert part.counts.tobytes() == np.ascontiguousarray(found.counts[w.slices]).tobytes()
    plain = stratum_window(categorical(paths, min_fraction=least, most=True), grid, whole(grid))
    np.testing.assert_array_equal(plain.classes, found.classes)


def test_means_of_lattices_side_by_side_are_weighted_by_their_shares(folder):
    grid = grid_of()
    paths, cells, values = side_by_side(folder, "seam-heights", 0.0, heights=True)
    stratum = continuous(paths, min_fraction=0.8)
    found = stratum_window(stratum, grid, whole(grid))
    seams = 0
    for k in range(grid.shape[0] * grid.shape[1]):
        parts = parts_of(k, cells, values)
        share = sum(np.mean(p != 0) for p in parts)
        if len(parts) > 1 and 0.8 <= share <= 1.1:
            seams += 1
            assert found.mean.flat[k] == pytest.approx(sum(p.sum() / p.size for p in parts) / share, rel=1e-6)
        assert np.isnan(found.mean.flat[k]) == (share < 0.8)
    assert seams > 15
    for w in (Window(0, 5, 2, 9), Window(5, grid.shape[0], 5, 6)):
        part = stratum_window(stratum.near(grid, w), grid, w)
        assert part.mean.tobytes() == np.ascontiguousarray(found.mean[w.slices]).tobytes()


@given(data=st.data())
def test_fractions_of_any_number_of_lattices_add_up_exactly(data):
    k, parts = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    largest = data.draw(st.sampled_from([9, 400, 700_000]))
    seam, right, met = Seam(1, k), [Fraction(0)] * k, 0
    exact = True
    of = 1
    for _ in range(parts):
        size = data.draw(st.integers(1, largest))
        counts = [data.draw(st.integers(0, size // (parts * k))) for _ in range(k)]
        seam.add(np.array([counts], np.int32), np.array([size], np.int32))
        right = [f + Fraction(c, size) for f, c in zip(right, counts, strict=True)]
        if any(counts):
            met += 1
            of = of * size // math.gcd(of, size)
            exact = exact and of <= 2**57
    cells, share = seam.joined()
    assert cells.size == (met > 1)
    if met > 1:
        found = seam.of(cells)[0].tolist()
        if exact:
            # the nearest float64 where it holds numerator and denominator as they are
            held = sum(right).denominator < 2**53
            assert share[0] == (float(sum(right)) if held else pytest.approx(float(sum(right)), rel=1e-15))
            assert [Fraction(c, sum(found)) for c in found] == [f / sum(right) for f in right]
        else:
            assert share[0] == pytest.approx(float(sum(right)), abs=1e-6)


def test_slope_of_planes_and_of_gdals_formula(folder):
    # a plane in metres: exact; and Horn's kernel written out with numpy in degrees
    r, c = np.mgrid[0:80, 0:90]
    plane = (3000 + 0.3 * 90 * c - 0.4 * 90 * r).astype(np.float64)
    path = write(folder / "plane.tif", plane, Affine(90, 0, 600_000, 0, -90, 3_660_000), "EPSG:32646")
    (lattice,) = lattices_of([sources.open_band(path)])
    slope, gone = slope_of(lattice, range(80), range(90))
    assert gone[0].all()
    assert gone[:, -1].all()
    np.testing.assert_allclose(slope[~gone], np.degrees(np.arctan(0.5)), rtol=1e-12)
    z = np.random.default_rng(0).normal(4000, 100, (30, 40))
    path = write(folder / "rough.tif", z, Affine(0.001, 0, 96, 0, -0.001, 33.2))
    (lattice,) = lattices_of([sources.open_band(path)])
    slope, gone = slope_of(lattice, range(30), range(40))
    from pyproj import Geod

    geod, lat = Geod(ellps="WGS84"), 33.2 - 0.001 * (np.arange(30) + 0.5)
    dx = np.array([geod.line_length([96, 96.001], [p, p]) for p in lat])[1:-1, None]
    dy = np.array([geod.line_length([96, 96], [p - 0.0005, p + 0.0005]) for p in lat])[1:-1, None]
    east = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:] - z[:-2, :-2] - 2 * z[1:-1, :-2] - z[2:, :-2]
    south = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:] - z[:-2, :-2] - 2 * z[:-2, 1:-1] - z[:-2, 2:]
    right = np.degrees(np.arctan(np.hypot(east / (8 * dx), south / (8 * dy))))
    np.testing.assert_allclose(slope[1:-1, 1:-1], right, rtol=1e-6)
    grid = nc.target_grid((96.005, 33.18, 96.03, 33.19), resolution="0.005 deg")
    steep = stratum_window(continuous([path], breaks=(30.0,), slope=True), grid, whole(grid))
    cell = one_by_one(grid, Affine(0.001, 0, 96, 0, -0.001, 33.2), "EPSG:4326", (30, 40))
    means = [p.mean() for p in binned(cell, slope, grid.shape[0] * grid.shape[1])]
    np.testing.assert_allclose(steep.mean.ravel(), means, rtol=1e-6)


def test_change_is_the_pair_of_two_years(folder):
    grid = grid_of()
    transform, shape = SHAPES["EPSG:4326"]
    paths = [write(folder / f"year{k}.tif", patches(shape, 20 + k), transform) for k in (0, 1)]
    lattices = tuple(lattices_of([sources.open_band(p)]) for p in paths)
    labels = tuple(a if a == b else f"{a} to {b}" for a in NAMES for b in NAMES)
    found = stratum_window(Stratum("change", "categorical", lattices, labels, codes=CODES), grid, whole(grid)).classes
    one, two = (stratum_window(categorical([p]), grid, whole(grid)).classes for p in paths)
    np.testing.assert_array_equal(found, one.astype(int) * 4 + two)


class Watched:
    """A sheet of a continent at 30 m that exists as a rule only; it says what was asked of it."""

    path, wkt, dtype, units, whole = "continent.tif", "EPSG:4326", "uint8", "", True

    def __init__(self):
        self.shape = (200_000, 240_000)
        self.transform = (1 / 4000, 0.0, 70.0, 0.0, -1 / 4000, 60.0)
        self.most, self.pixels = 0, 0

    def read(self, rows, columns):
        size = len(rows) * len(columns)
        self.most, self.pixels = max(self.most, size), self.pixels + size
        return np.full((len(rows), len(columns)), 30, np.uint8), np.zeros((len(rows), len(columns)), bool)


def test_a_window_reads_its_own_part_in_pieces():
    grid = nc.target_grid((70.0, 10.0, 130.0, 60.0), resolution="500 m")
    sheet = Watched()
    stratum = Stratum("landcover", "categorical", (lattices_of([sheet]),), NAMES, codes=CODES)
    window = Window(5000, 5128, 6000, 6128)
    found = stratum_window(stratum, grid, window)
    assert (found.classes == 2).all()
    # 128 cells of some 18 pixels a side, and a margin
    side = 128 * 500 / 111319.49 * 4000
    assert side**2 <= sheet.pixels <= (side + 130) ** 2
    assert sheet.most <= 1024**2


def scattered(folder, kind):
    """Tiles in two zones, one raster that overlaps none, and a stratum of all."""
    paths = []
    for zone, x0 in (("46", 778_000), ("47", 226_000)):
        for r, c in itertools.product(range(4), range(3)):
            values = patches((130, 130), 10 * r + c).astype(np.float32 if kind == "slope" else np.uint8)
            at = Affine(60, 0, x0 + 120 * 60 * c, 0, -60, 3_684_000 - 130 * 60 * r)
            # neighbours share ten columns, which must be equal
            values[:, :10] = values[:, 120:] = 30
            paths.append(write(folder / f"near-{kind}-{zone}-{r}{c}.tif", values, at, f"EPSG:326{zone}"))
    if kind == "slope":
        return continuous(paths, breaks=(10.0,), slope=True, most=True)
    return categorical(paths, fractions=kind == "fraction", most=True)


@pytest.mark.parametrize("kind", ["majority", "fraction", "slope"])
def test_files_far_from_a_window_are_left_out_and_its_cells_stay(folder, kind):
    grid = grid_of()
    stratum = scattered(folder, kind)
    count = sum(len(lattice.files) for lattice in stratum.lattices[0])
    kept = []
    for y0, x0 in itertools.product((0, 4, 9), (0, 5, 10)):
        w = Window(y0, min(y0 + 2, grid.shape[0]), x0, min(x0 + 2, grid.shape[1]))
        near = stratum.near(grid, w)
        kept.append(sum(len(lattice.files) for lattice in near.lattices[0]))
        one, all_of = stratum_window(near, grid, w), stratum_window(stratum, grid, w)
        for a, b in ((one.classes, all_of.classes), (one.counts, all_of.counts), (one.mean, all_of.mean)):
            assert (a is None and b is None) or a.tobytes() == b.tobytes()
    assert 0 < max(kept) < count
    assert min(kept) < max(kept)
    nowhere = nc.target_grid((10, 10, 11, 11), resolution="0.5 deg")
    assert stratum.near(nowhere, whole(nowhere)).lattices == ((),)
    assert (stratum_window(stratum.near(nowhere, whole(nowhere)), nowhere, whole(nowhere)).classes == 255).all()


def test_what_is_sent_does_not_grow_with_far_files(folder):
    import pickle
    from dataclasses import replace

    path = write(folder / "tile.tif", np.full((100, 100), 30, np.uint8), Affine(0.01, 0, 96, 0, -0.01, 34))
    band = sources.open_band(path)
    assert sources.open_band(path).wkt is band.wkt
    grid = nc.target_grid((90, 20, 110, 40), resolution="0.1 deg")

    def sent(many):
        tiles = [
            replace(band, path=f"tile{k:05}.tif", transform=(0.01, 0.0, 70.0 + k % 50, 0.0, -0.01, 50.0 - k // 50))
            for k in range(many)
        ]
        stratum = Stratum("landcover", "categorical", (lattices_of(tiles),), NAMES, codes=CODES)
        return len(pickle.dumps(stratum.near(grid, Window(100, 110, 100, 110)))), len(pickle.dumps(stratum))

    # the window lies in the first 1100 tiles; what follows is south of it
    (few, less), (many, more) = sent(1200), sent(2500)
    assert few == many < 20_000
    assert more > less + 1300 * 40


# ------------------------------------------------------------------------------------------------------ what is refused


def test_codes_without_a_name_are_named(folder):
    transform, shape = SHAPES["EPSG:4326"]
    values = patches(shape, 3)
    values[100:104, 100:104] = 255
    path = write(folder / "odd.tif", values, transform)
    grid = grid_of()
    with pytest.raises(RegionError, match=r"odd\.tif: strata\.landcover: it holds 255, which `names`"):
        stratum_window(categorical([path]), grid, whole(grid))
    assert stratum_window(categorical([path], nodata=(255,)), grid, whole(grid)).classes.max() == 3


def test_wrong_files_are_refused(folder):
    transform, shape = SHAPES["EPSG:4326"]
    plain = write(folder / "plain.tif", np.zeros(shape, np.float32), transform)
    with pytest.raises(RegionError, match=r"plain\.tif: strata\.lc: it holds float32"):
        require_whole_numbers("lc", [sources.open_band(plain)])
    scaled = write(folder / "scaled.tif", np.zeros(shape, np.uint8), transform, scale=0.5)
    with pytest.raises(RegionError, match=r"scaled\.tif: strata\.lc"):
        require_whole_numbers("lc", [sources.open_band(scaled)])
    with pytest.raises(RegionError, match=r"plain\.tif: strata\.dem: it names no unit\.\nSay its true unit"):
        units_of("dem", [sources.open_band(plain)], None)
    metre = write(folder / "metre.tif", np.zeros(shape, np.float32), transform, units="metre")
    assert units_of("dem", [sources.open_band(metre)], None) == "m"
    assert units_of("dem", [sources.open_band(plain)], "ft") == "ft"
    far = write(folder / "far.tif", np.zeros(shape, np.uint8), Affine(0.001, 0, 10, 0, -0.001, 50))
    with pytest.raises(RegionError, match=r"far\.tif: strata\.lc: it does not touch the grid"):
        require_overlap("lc", lattices_of([sources.open_band(far)]), grid_of())
    require_overlap("lc", lattices_of([sources.open_band(far), sources.open_band(plain)]), grid_of())
    no_crs = write(folder / "none.tif", np.zeros(shape, np.uint8), transform, crs=None)
    with pytest.raises(SourceError, match="no coordinate reference system"):
        sources.open_band(no_crs)
    with pytest.raises(SourceError, match="no band 2"):
        sources.open_band(plain, number=2)
    wide = write(folder / "wide.tif", np.zeros((10, 360), np.uint8), Affine(1, 0, 0, 0, -1, 5))
    with pytest.raises(RegionError, match=r"wide\.tif: its longitudes run to 360"):
        lattices_of([sources.open_band(wide)])
    cut = Path(write(folder / "cut.tif", patches(shape, 1), transform))
    cut.write_bytes(cut.read_bytes()[:-400])
    with pytest.raises(SourceError, match=r"cut\.tif: the file is damaged"):
        stratum_window(categorical([str(cut)]), grid_of(), whole(grid_of()))
    huge = np.full(shape, -3.4e38, np.float32)
    undeclared = write(folder / "huge.tif", huge, transform)
    with pytest.raises(RegionError, match=r"huge\.tif: strata\.elevation: it holds -3\.4e\+38\.\nSay its missing"):
        stratum_window(continuous([undeclared]), grid_of(), whole(grid_of()))


# ------------------------------------------------------------------------------------------------- crossed with regions


@LAX
@given(data=st.data())
def test_a_cells_share_is_divided_among_its_classes(data):
    # against cell by cell; whole cells by class, and cells in part by fractions
    rows, columns, number = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    runs = [(int(g), int(s), int(n)) for g, s, n in zip(
        rng.integers(0, 4, 5), rng.integers(0, rows * columns, 5), rng.integers(1, 7, 5), strict=True
    )]  # fmt: skip
    runs = [(g, s, min(n, rows * columns - s)) for g, s, n in runs]
    shares = rng.uniform(0.1, 1.0, len(runs))
    members = Members.of_runs(*(np.array(c) for c in zip(*runs, strict=True)), shares)
    counts = rng.integers(0, 3, (rows, columns, number)).astype(np.int32)
    classes = np.where(counts.sum(-1) > 0, counts.argmax(-1), 255).astype(np.uint8)
    right, whole = {}, {}
    for (g, start, n), share in zip(runs, shares, strict=True):
        for cell in range(start, start + n):
            these, one = counts.reshape(-1, number)[cell], int(classes.ravel()[cell])
            k = number if one == 255 else one
            whole[g * (number + 1) + k, cell] = whole.get((g * (number + 1) + k, cell), 0) + share
            for k, part in enumerate([*these, 0 if these.any() else 1]):
                if part:
                    key = g * (number + 1) + k, cell
                    right[key] = right.get(key, 0) + share * part / max(these.sum(), 1)
    for found, wanted in ((cross_fractions(members, counts), right), (cross(members, classes, number), whole)):
        got = {}
        for which, start, n, share in zip(found.which, found.starts, found.lengths, found.shares, strict=True):
            for cell in range(start, start + n):
                key = int(found.labels[which]), int(cell)
                got[key] = got.get(key, 0) + share
        assert got == pytest.approx(wanted)
