"""What the tables are made of: the labels of a block, its classes, and its sums by region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import nep as nep_room
from nepcube import regions as region_room
from nepcube import stats, store
from nepcube.errors import SpecError
from nepcube.execute import give_back_memory
from nepcube.grid import Window
from nepcube.pipeline import stratifying
from nepcube.pipeline.classing import Classes, areas, inside
from nepcube.pipeline.uncertainty import UncertaintySums, map_names

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

#: the p-value below which a test is highly significant
HIGHLY = 0.01
# cells that are summed at once with the fractions of their classes
_SHARED_CELLS = 2**17


@dataclass(frozen=True)
class Job:
    """One block of the maps; `classes` are known in the last pass only."""

    grid: GeoBox
    shapes: region_room.Shapes | None
    regions: int
    exact: bool
    cube: store.Store
    statistics: store.Store
    window: Window
    classes: tuple[Classes, ...]
    coded: tuple[str, ...]
    partials: tuple[str, ...]
    partial_breaks: tuple[float, ...]
    flagged: bool
    years: int
    alpha: float
    thresholds: Mapping[str, float]
    errors: nep_room.InputErrors | None = None
    area_scale: float = 1.0
    strata: tuple[region_room.Stratum, ...] = ()


def label_job(job: Job) -> tuple[float, dict[str, int]]:
    """Write the labels of a block; give the area that counts of its largest cell, km2."""
    import xarray as xr

    give_back_memory()
    labels = np.zeros(job.window.shape, np.int16)
    if job.shapes is not None:
        labels = region_room.label_window(job.shapes, job.grid, job.window)
    found = {"region": xr.DataArray(labels)} | stratifying.first_maps(job.strata, job.grid, job.window)
    written = job.statistics.write(found, job.window)
    shares = inside(labels, bool(job.regions)).astype(np.float64)
    if job.shapes is not None and job.exact:
        union = region_room.share_window(job.shapes, job.grid, job.window)
        shares = union.shares_of(region_room.UNION, job.window.shape)
        written |= job.statistics.write({"region_share": xr.DataArray(shares)}, job.window)
    counted = store.read_block(job.statistics.path, ["nep_count"], job.window)["nep_count"] > 0
    largest = np.max(areas(job.grid, job.window) * shares, where=counted, initial=0.0)
    return float(largest), written


@dataclass(frozen=True)
class Sums:
    """What the tables are made of; adds up without loss."""

    series: region_room.YearSums
    regions: region_room.ClassSums
    classes: dict[str, region_room.ClassSums]
    flags: tuple[region_room.ClassSums, ...]
    signs: dict[str, region_room.ClassSums]
    sizes: dict[str, region_room.YearSums]
    #: of the whole run only, and if the recipe states errors
    uncertainty: tuple[UncertaintySums, ...] = ()
    #: by stratum, of the regions divided by its classes
    strata: dict[str, Sums] = field(default_factory=dict)

    def __iadd__(self, other: Sums) -> Sums:
        # in place, as the sums of many regions are large
        return Sums(**{f.name: _more(getattr(self, f.name), getattr(other, f.name)) for f in fields(Sums)})

    def widened(self, labels: NDArray[np.int64]) -> Sums:
        """Give the sums with room for all groups that may come; those by stratum grow as they are met."""
        wide = {f.name: _wider(getattr(self, f.name), labels) for f in fields(Sums) if f.name != "strata"}
        return replace(self, **wide)


def _more(total: Any, part: Any) -> Any:
    if isinstance(total, dict):
        return {name: _more(one, part[name]) for name, one in total.items()}
    if isinstance(total, tuple):
        return tuple(_more(one, other) for one, other in zip(total, part, strict=True))
    total += part
    return total


def _wider(total: Any, labels: NDArray[np.int64]) -> Any:
    if isinstance(total, dict):
        return {name: _wider(one, labels) for name, one in total.items()}
    if isinstance(total, tuple):
        return tuple(_wider(one, labels) for one in total)
    return total.widened(labels)


def sum_job(job: Job) -> tuple[Sums, dict[str, int]]:
    """Write the classes of a block and sum everything by region."""
    import xarray as xr

    give_back_memory()
    total: Sums | None = None
    rows: list[list[dict[str, NDArray[Any]]]] = []
    # one chunk of every year at a time, whatever the block, each of which is decoded once
    side = job.cube.inner or job.cube.chunk
    for strip in _cut(job.window, side, job.window.shape[1]):
        rows.append([])
        for part in _cut(strip, side, side):
            found, coded = _sums(replace(job, window=part))
            if total is None:
                total = found
            else:
                total += found
            rows[-1].append(coded)
    if total is None:
        raise SpecError("aggregate: a block has no row.", "Check `grid.bounds`.")
    classes = {n: xr.DataArray(np.block([[coded[n] for coded in row] for row in rows])) for n in rows[0][0]}
    return total, job.statistics.write(classes, job.window)


def _cut(window: Window, rows: int, columns: int) -> Iterator[Window]:
    for y in range(window.y0, window.y1, rows):
        for x in range(window.x0, window.x1, columns):
            yield Window(y, min(y + rows, window.y1), x, min(x + columns, window.x1))


def _sums(job: Job) -> tuple[Sums, dict[str, NDArray[Any]]]:
    import xarray as xr

    sizes = areas(job.grid, job.window)
    tests = {"nep_slope": "nep_slope_pvalue"} | {n: f"{n}_pvalue" for n in job.partials}
    tests = {n: p for n, p in tests.items() if job.statistics.has(n) and job.statistics.has(p)}
    names = {
        "region",
        "nep_count",
        "nep_mean",
        *(c.source for c in job.classes),
        *job.partials,
        *tests,
        *tests.values(),
        *job.coded,
        *(stratifying.map_of(s) for s in job.strata if not s.fractions),
        *(() if job.errors is None else map_names(job.errors)),
    }
    maps = store.read_block(job.statistics.path, sorted(names), job.window)
    labels = maps["region"]
    coded: dict[str, NDArray[np.uint8]] = {}
    for c in job.classes:
        values = np.abs(maps[c.source]) if c.absolute else maps[c.source]
        coded[c.variable] = stats.classify(xr.DataArray(values), c.breaks).values
    classes: dict[str, NDArray[Any]] = dict(coded)
    coded |= {name: maps[name] for name in job.coded}
    for name in job.partials:
        coded[name] = stats.classify(xr.DataArray(maps[name]), job.partial_breaks).values
    nep = store.read_block(job.cube.path, ["nep"], job.window)["nep"]
    # without regions the grid is group 0
    members = region_room.Members.of_labels(labels, outside=not job.regions)
    sums: dict[str, region_room.YearSums] = {}
    if job.shapes is not None:
        shared = region_room.share_window(job.shapes, job.grid, job.window)
        mean = np.where(maps["nep_count"] > 0, maps["nep_mean"], np.nan)
        sums = {n: region_room.size_sums(mean, m, sizes) for n, m in (("centre", members), ("exact", shared))}
        members = shared if job.exact else members
    flags = store.read_block(job.cube.path, ["npp_flag"], job.window)["npp_flag"] if job.flagged else []
    signs = {n: _sign_codes(maps[n], maps[p], job.alpha, job.thresholds.get(n)) for n, p in tests.items()}
    cells = _Cells(nep, maps["nep_count"] > 0, coded, list(flags), signs, sizes)
    uncertainty: tuple[UncertaintySums, ...] = ()
    if job.errors is not None:
        uncertainty = (UncertaintySums.of(maps, job.errors, members, sizes, job.area_scale),)
    strata: dict[str, Sums] = {}
    more: dict[str, NDArray[Any]] = {}
    for one in job.strata:
        if one.fractions:
            strata[one.name], found = _shared(job, one, members, cells)
            more |= found
        else:
            ranks = stratifying.ranks_of(one, maps[stratifying.map_of(one)])
            strata[one.name] = cells.sums(region_room.cross(members, ranks, len(one.labels)))
    return replace(cells.sums(members), sizes=sums, uncertainty=uncertainty, strata=strata), classes | more


@dataclass(frozen=True)
class _Cells:
    # what is summed of each cell (y, x), nep of each year (t, y, x); areas are those of rows, or of cells

    nep: NDArray[Any]
    counts: NDArray[np.bool_]
    coded: dict[str, NDArray[Any]]
    flags: list[NDArray[Any]]
    signs: dict[str, NDArray[np.uint8]]
    areas: NDArray[np.float64]

    def rows(self, first: int, stop: int) -> _Cells:
        at = slice(first, stop)
        return _Cells(
            self.nep[:, at],
            self.counts[at],
            {n: v[at] for n, v in self.coded.items()},
            [f[at] for f in self.flags],
            {n: v[at] for n, v in self.signs.items()},
            self.areas[at],
        )

    def sums(self, members: region_room.Members) -> Sums:
        def summed(codes: NDArray[Any]) -> region_room.ClassSums:
            return region_room.ClassSums.of(codes, members, self.areas)

        return Sums(
            region_room.YearSums.of(self.nep, members, self.areas, self.counts),
            summed(np.zeros(self.counts.shape, np.uint8)),
            {n: summed(v) for n, v in self.coded.items()},
            tuple(summed(f) for f in self.flags),
            {n: summed(v) for n, v in self.signs.items()},
            {},
        )


def _shared(
    job: Job, stratum: region_room.Stratum, members: region_room.Members, cells: _Cells
) -> tuple[Sums, dict[str, NDArray[Any]]]:
    # the regions divided by fractions, a few rows of what was read at a time, and the maps of the stratum
    total: Sums | None = None
    maps: list[dict[str, Any]] = []
    width = job.window.shape[1]
    for part in _cut(job.window, max(1, _SHARED_CELLS // width), width):
        first, stop = part.y0 - job.window.y0, part.y1 - job.window.y0
        found = region_room.stratum_window(stratum, job.grid, part)
        assert found.counts is not None
        crossed = region_room.cross_fractions(members.between(first * width, stop * width), found.counts)
        sums = cells.rows(first, stop).sums(crossed)
        if total is None:
            total = sums
        else:
            total += sums
        maps.append(stratifying.maps_of(stratum, found))
    assert total is not None
    return total, {n: np.concatenate([m[n] for m in maps]) for n in maps[0]}


def _sign_codes(
    values: NDArray[Any], pvalues: NDArray[Any], alpha: float, threshold: float | None
) -> NDArray[np.uint8]:
    # 3 x level + sign + 1; level 0 not significant, 1 at alpha, 2 highly; 9 more where the test holds over the map
    with np.errstate(invalid="ignore"):
        level = np.where(pvalues < HIGHLY, 2, np.where(pvalues < alpha, 1, 0))
        code = 3 * level + np.sign(np.nan_to_num(values)) + 1
        if threshold is not None:
            code += 9 * (pvalues.astype(np.float64) <= threshold)
    return np.where(np.isnan(values), 255, code).astype(np.uint8)
