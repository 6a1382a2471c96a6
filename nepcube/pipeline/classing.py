"""The classes of the maps: breaks from all cells of the regions, block by block, and what is told of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import recipe as recipes
from nepcube import report, spec, stats, store
from nepcube.errors import SpecError
from nepcube.execute import give_back_memory
from nepcube.grid import Window, cell_area, windows
from nepcube.stats.binning import Bins, Counts, Path
from nepcube.stats.schemes import breaks_of, goodness_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from nepcube.pipeline.context import Run

#: what is classed by the values of which map
MAPS = {"slope": "nep_slope", "cv": "nep_cv"}
#: maps that are codes already, and the tables of their areas
CODED = {name: table for name, table in report.CLASS_TABLES.items() if name.removesuffix("_class") not in MAPS}


@dataclass(frozen=True)
class Classes:
    """The classes of one map."""

    variable: str
    source: str
    breaks: tuple[float, ...]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    absolute: bool
    method: str
    goodness: float
    domain: str

    def layout(self) -> store.Layout:
        """Give the array that holds them."""
        flags = dict(enumerate(self.labels)) | {255: "no data"}
        attrs: dict[str, Any] = {"long_name": f"class of {self.source}", "units": "1"}
        attrs |= spec.flag_attrs(flags, "uint8", [*self.colors, "#d9d9d9"])
        attrs |= {
            # a meaning is one word of few characters, a label is what the recipe says
            "labels": list(flags.values()),
            "breaks": list(self.breaks),
            "of_absolute_value": int(self.absolute),
            "breaks_method": self.method,
            "breaks_domain": self.domain,
        }
        if np.isfinite(self.goodness):
            attrs["goodness_of_variance_fit"] = self.goodness
        return store.Layout(self.variable, "uint8", attrs, yearly=False)


@dataclass(frozen=True)
class Count:
    """One block of a map whose values are counted in bins."""

    grid: GeoBox
    statistics: store.Store
    window: Window
    source: str
    absolute: bool
    regions: bool
    exact: bool
    path: Path
    scale: float


def count_job(job: Count) -> tuple[NDArray[Any], ...]:
    """Count the values of a map within the regions, weighted by area."""
    give_back_memory()
    where = domain_map(job.exact)
    maps = store.read_block(job.statistics.path, [job.source, where], job.window)
    values = np.abs(maps[job.source]) if job.absolute else maps[job.source]
    weights = areas(job.grid, job.window) * job.scale
    if job.exact:
        weights = weights * maps[where]
    counts = Bins.along(job.path).empty()
    counts.take(np.where(inside(maps[where], job.regions), values, np.nan), weights)
    return counts.packed()


def domain_map(exact: bool) -> str:
    """Name the map of where the regions are: shares of cells, or labels by their centres."""
    return "region_share" if exact else "region"


def inside(labels: NDArray[Any], regions: bool) -> NDArray[np.bool_]:
    """Tell which cells the classes are made from: those of the regions, by label or share, all where there are none."""
    return np.asarray(labels > 0) if regions else np.ones(labels.shape, np.bool_)


def areas(grid: GeoBox, window: Window) -> NDArray[np.float64]:
    """Give the area of each cell of a block, km2."""
    area = cell_area(grid, window).values
    return np.ascontiguousarray(np.broadcast_to(area[:, None] if area.ndim == 1 else area, window.shape))


def spec_of(run: Run, name: str) -> recipes.ClassSpec:
    """Give what the recipe says of the classes of one map."""
    found: recipes.ClassSpec = getattr(run.recipe.classes, name)
    return found


def is_absolute(run: Run, name: str) -> bool:
    """Tell whether absolute values are classed."""
    return name == "cv" and not spec_of(run, name).signed


def classes_of(run: Run, name: str, largest: float, step: Callable[[], None]) -> Classes:
    """Find the breaks of one map, and name its classes.

    `largest` is the area of the largest cell of the regions, km2; `step` is called after each block.
    """
    wanted, absolute = spec_of(run, name), is_absolute(run, name)
    counting = _Counting(run, MAPS[name], absolute, largest, step)
    try:
        breaks = wanted.breaks or breaks_of(counting, wanted.method or "natural-breaks", wanted.k)
        goodness = goodness_of(counting, breaks, counting.last)
    except SpecError as error:
        raise SpecError(f"classes.{name}: {error.what}", error.way_out) from None
    labels = wanted.labels or default_labels(name, breaks)
    first, last = run.recipe.period
    where = f"{len(run.region_names)} regions" if run.region_names else "the whole grid"
    return Classes(
        f"{name}_class",
        MAPS[name],
        tuple(breaks),
        tuple(labels),
        _colors(name, len(breaks) + 1),
        absolute,
        wanted.method or "manual",
        goodness,
        f"{where}, {first}-{last}, weighted by area",
    )


class _Counting:
    # counts a map in given bins, all blocks of it; remembers the last

    def __init__(self, run: Run, source: str, absolute: bool, largest: float, step: Callable[[], None]) -> None:
        self.run, self.source, self.absolute, self.step = run, source, absolute, step
        # a power of two, which changes no digit, brings weights near one
        self.scale = float(2.0 ** -np.floor(np.log2(largest)))
        self.last: Counts | None = None

    def __call__(self, bins: Bins) -> Counts:
        run = self.run
        jobs = [
            Count(
                run.grid,
                run.statistics,
                w,
                self.source,
                self.absolute,
                bool(run.region_names),
                run.exact,
                bins.path,
                self.scale,
            )
            for w in windows(run.grid, run.block)
        ]
        total = bins.empty()
        for _, part in run.engine.map(count_job, jobs):
            total.unpack(*part)
            self.step()
        self.last = total
        return total


def default_labels(name: str, breaks: Sequence[float]) -> tuple[str, ...]:
    """Name classes as the literature does where that is true of them, by their bounds otherwise."""
    if len(breaks) == 4:
        if name == "cv":
            return spec.CV_LABELS
        # "worse" must fall and "better" must rise
        if breaks[1] <= 0.0 <= breaks[2]:
            return spec.SLOPE_LABELS
    return tuple(stats.interval_labels(breaks))


def _colors(name: str, count: int) -> tuple[str, ...]:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    fixed = spec.CV_COLORS if name == "cv" else spec.SLOPE_COLORS
    if count == len(fixed):
        return fixed
    scale = colormaps["viridis_r" if name == "cv" else "BrBG"].resampled(count)
    return tuple(to_hex(scale(k)) for k in range(count))
