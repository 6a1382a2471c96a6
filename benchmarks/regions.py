"""Tables of a thousand regions beside those of six, by centres and by shares of cells, on the grid of the Headwaters.

A generated archive of coarse tiles is ingested and analysed once (20 years x 1047 x 2896 cells). Then
``nepcube aggregate`` makes its labels, classes and tables as a whole process, contestants in turn: the six ecoregions,
and their outline cut into a thousand regions, `overlap: centre` and `exact`. ``python benchmarks/regions.py --help``.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
from measuring import MIB, Usage, median_of, ratio_of, say

FULL = {"years": 20, "resolution": "500 m", "pixels": 240, "regions": 1000}
TINY = {"years": 6, "resolution": "8000 m", "pixels": 60, "regions": 60}
# degrees between the vertices of a border
_VERTICES = 0.005
_DECIMALS = 9


def main() -> None:
    args = arguments()
    archive, work = Path(args.archive), measuring.emptied(Path(args.work))
    archive.mkdir(parents=True, exist_ok=True)
    # the archive is made by the first stage, its regions with it
    base = recipe_of(args, work / "begun.yaml", archive / "headwaters" / "regions.geojson", "centre")
    for stage in ("ingest", "analyse"):
        say(stage)
        measuring.run(nepcube(stage, base, archive))
    many = work / "many.gpkg"
    vertices = write_many(archive / "headwaters" / "regions.geojson", many, args.world["regions"])
    contestants: dict[str, Callable[[], Usage]] = {}
    for path, of in ((archive / "headwaters" / "regions.geojson", "6"), (many, str(args.world["regions"]))):
        for way in ("centre", "exact"):
            # by two columns of names in turn: what is done for a recipe would not be done again
            recipes = itertools.cycle(
                [recipe_of(args, work / f"{of}-{way}-{name}.yaml", path, way, name) for name in ("name", "code")]
            )
            contestants[f"{of} regions, {way}"] = lambda r=recipes: measuring.run(
                nepcube("aggregate", next(r), archive)
            )
    # compiled kernels are there
    say("once before")
    for one in contestants.values():
        one()
    found = measuring.alternate(contestants, args.runs, say)
    base_name = next(iter(found))
    header = ("", "s", "to six by centres", "CPU s", "peak MiB", "peak to six by centres")
    rows = []
    for name, used in found.items():
        pairs = [([getattr(u, key) for u in used], [getattr(u, key) for u in found[base_name]]) for key in KEYS]
        (seconds, base_seconds), (cpu, _), (peak, base_peak) = pairs
        rows.append(
            (
                name,
                median_of(seconds),
                ratio_of(seconds, base_seconds),
                median_of(cpu),
                median_of((p / MIB for p in peak), 0),
                ratio_of(peak, base_peak),
            )
        )
    told = f"{args.world['years']} years, cells of {args.world['resolution']}, {measuring.counted(args.runs)}"
    print(f"## `nepcube aggregate` by regions: {told}\n\n{measuring.table(header, rows)}\n")
    print(f"The {args.world['regions']} regions have {vertices:,} vertices.\n")
    print(measuring.facts())
    shutil.rmtree(work, ignore_errors=True)


KEYS = ("seconds", "cpu", "peak")


def nepcube(stage: str, recipe: Path, archive: Path) -> list[str]:
    return [sys.executable, "-m", "nepcube", stage, str(recipe), "-o", str(archive / "out"), "--quiet"]


def recipe_of(args: argparse.Namespace, path: Path, regions: Path, overlap: str, name: str = "name") -> Path:
    """Write a recipe that differs in its regions only."""
    import yaml

    world, folder = args.world, Path(args.archive).resolve() / "headwaters"
    sources: dict[str, Any] = {"npp": {"reader": "mod17a3hgf", "path": str(folder / "mod17" / "*.hdf")}}
    for quantity, reader in (("temperature", "era5-land"), ("precipitation", "chirps"), ("radiation", "era5-land")):
        sources[quantity] = {"reader": reader, "path": str(folder / reader / "*.nc")}
    recipe = {
        "recipe": 1,
        "name": "regions",
        "period": [2001, 2000 + world["years"]],
        "archive": {"generate": "headwaters", "pixels": world["pixels"], "path": str(folder)},
        "grid": {"bounds": [89.40, 31.59, 102.40, 36.29], "resolution": world["resolution"]},
        "sources": sources,
        "respiration": {"basis": "annual"},
        "regions": {"path": str(regions.resolve()), "overlap": overlap, "name": name},
    }
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return path


def write_many(six: Path, path: Path, count: int) -> int:
    """Cut the outline of some regions into many that share their borders; give their vertices."""
    import geopandas as gpd
    import numpy as np
    import shapely

    outline = gpd.read_file(six).union_all()
    rng = np.random.default_rng(1)
    west, south, east, north = outline.bounds
    points = rng.uniform((west, south), (east, north), (20 * count, 2))
    points = points[shapely.contains_xy(outline, points)][:count]
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.multipoints(points), extend_to=outline))
    regions = shapely.intersection(shapely.segmentize(cells, _VERTICES), outline)
    # as files have it: neighbours have their vertices in common
    regions = shapely.transform(regions, lambda at: np.round(at, _DECIMALS))
    names = [f"r{k}" for k in range(len(regions))]
    frame = gpd.GeoDataFrame({"name": names, "code": names}, geometry=regions, crs="EPSG:4326")
    frame.to_file(path)
    return int(shapely.get_num_coordinates(regions).sum())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    temporary = Path(tempfile.gettempdir()) / "nepcube-benchmarks"
    parser.add_argument("--archive", help="where the analysed output is kept (2 GB; some minutes once)")
    parser.add_argument("--work", help="where recipes and regions are written, and removed at the end")
    parser.add_argument("--runs", type=int, help="runs of each (5)")
    parser.add_argument("--tiny", action="store_true", help="seconds in all, to see that it works")
    args = parser.parse_args()
    args.work = args.work or str(temporary / "work-regions")
    args.runs = args.runs or (1 if args.tiny else 5)
    args.world = TINY if args.tiny else FULL
    args.archive = args.archive or str(temporary / f"regions-{args.world['resolution'].replace(' ', '')}")
    return args


if __name__ == "__main__":
    main()
