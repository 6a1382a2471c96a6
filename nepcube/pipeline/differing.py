"""What is told and drawn of a comparison: its notes, its attributes, and the maps of B minus A."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import regions as region_room
from nepcube import report as report_room
from nepcube import spec, store
from nepcube.grid import dims, spatial_coords
from nepcube.pipeline.outputs import Output, period_text
from nepcube.pipeline.reporting import draw_for_paper, read_tables
from nepcube.places import Place

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

# cells a side of what is drawn: more than a page of 300 dpi shows
_DRAWN = 2000
# keys of the recipes that a figure names; the others are in the store's attributes
_MOST_KEYS = 4
_DRAWN_MAPS = ("nep_mean", "nep_slope")


@dataclass(frozen=True)
class Drawing:
    """The languages of the maps, the first that of the maps for the screen, and the formats of those for a paper."""

    formats: tuple[str, ...] = ()
    languages: tuple[report_room.Language, ...] = ("en",)

    def __post_init__(self) -> None:
        report_room.require_paper_formats(self.formats)
        for one in self.languages:
            report_room.require_language(one)


def told_notes(a: Output, b: Output, years: range, classes: tuple[str, ...]) -> list[str]:
    """Tell what a reader must know before using the numbers; `classes` are the maps of classes that both have."""
    notes = []
    if a.period != b.period:
        notes.append(
            f"The periods differ: A is {period_text(a.period)}, B {period_text(b.period)}. Annual values and mean NEP "
            f"are compared in {period_text(years)}, which both have; each map is of its own period."
        )
    notes += [
        f"{name}: the breaks of the classes differ, so that a cell can change its class with no change of value."
        for name in classes
        if a.maps[name].attrs.get("breaks") != b.maps[name].attrs.get("breaks")
    ]
    if a.region_names != b.region_names:
        notes.append("The regions differ: those of A are used.")
    return notes


def told_attrs(a: Output, b: Output, differing: list[tuple[str, Any, Any]], notes: list[str]) -> dict[str, Any]:
    """Give the attributes of the differences as a whole."""
    from nepcube._version import __version__

    attrs = {
        "title": f"{b.name} minus {a.name}",
        "history": f"nepcube {__version__}",
        "recipe_a": a.name,
        "recipe_b": b.name,
        "period_a": list(a.period),
        "period_b": list(b.period),
        "recipes_differ_in": [f"{key}: {one} in A, {other} in B" for key, one, other in differing],
        "notes": notes,
    }
    return attrs | ({"comment": spec.GENERATED} if _generated(a, b) else {})


def _generated(a: Output, b: Output) -> bool:
    return any(spec.is_generated(o.attrs) for o in (a, b))


def draw(
    a: Output,
    b: Output,
    differences: Place,
    out: Place,
    differing: list[tuple[str, Any, Any]],
    drawing: Drawing,
    *,
    threads: int,
) -> list[Place]:
    """Draw the maps of the differences that a reader looks at first, and give their paths."""
    maps = _maps(a, differences, threads)
    grid = _thin(a.grid, _stride(a.grid))
    outlines = None
    if a.region_names:
        # the cells of the regions themselves: the file of the polygons may be elsewhere by now
        outlines = region_room.outline_labels(maps["region"].values, grid, a.region_names)
    plain = report_room.ReportInputs(
        name=a.name,
        title="",
        period=a.period,
        maps=maps,
        tables=read_tables(a.place),
        regions=outlines,
        generated=_generated(a, b),
        # where one of them models NPP, its NEP is the potential one
        potential=a.potential or b.potential,
    )
    spoken = [_in_language(plain, a, b, differing, one) for one in drawing.languages]
    folder = out / "figures"
    with folder.local_folder() as drawn:
        made = [folder / file.name for file in report_room.draw_differences(spoken[0], drawn)]
    if drawing.formats:
        names = [f"map_{name}" for name in plain.differences]
        for given in spoken:
            made += draw_for_paper(given, out, drawing.formats, only=names)
    return made


def _in_language(
    given: report_room.ReportInputs,
    a: Output,
    b: Output,
    differing: list[tuple[str, Any, Any]],
    language: report_room.Language,
) -> report_room.ReportInputs:
    given = replace(given, language=language)
    told, maps = given.words, given.maps.copy()
    years_a, years_b = (given.years_between(*o.period) for o in (a, b))
    keys = [
        told["note.differs"].format(key=key, a=_written(one, told), b=_written(other, told))
        for key, one, other in differing[:_MOST_KEYS]
    ]
    if len(differing) > _MOST_KEYS:
        keys.append(told["note.more_keys"].format(count=len(differing) - _MOST_KEYS))
    same = told["note.between_keys"].join(keys) + told["note.end"] if keys else told["note.no_difference"]
    runs = told["note.runs"].format(a=a.name, years_a=years_a, b=b.name, years_b=years_b)
    for name in given.differences:
        maps[name] = maps[name].assign_attrs(notes=[runs, same])
    return replace(given, maps=maps, title=told["title.minus"].format(a=a.name, b=b.name))


def _written(value: Any, told: Mapping[str, str]) -> str:
    return told["note.absent"] if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _stride(grid: GeoBox) -> int:
    return max(1, -(-max(int(n) for n in grid.shape) // _DRAWN))


def _thin(grid: GeoBox, stride: int) -> GeoBox:
    # a coarse grid whose cell centres are those of every stride-th cell
    from affine import Affine
    from odc.geo.geobox import GeoBox

    rows, columns = (len(range(stride // 2, n, stride)) for n in grid.shape)
    shift = stride // 2 + 0.5 - stride / 2
    return GeoBox((rows, columns), grid.affine @ Affine.translation(shift, shift) @ Affine.scale(stride), grid.crs)


def _maps(a: Output, differences: Place, threads: int) -> xr.Dataset:
    import xarray as xr

    stride = _stride(a.grid)
    every = slice(stride // 2, None, stride)
    lazy = store.lazy_maps(a.statistics, ["region"])
    there = set(differences.names())
    lazy |= store.lazy_maps(differences, [n for n in _DRAWN_MAPS if n in there])
    thin = xr.Dataset({n: m[every, every] for n, m in lazy.items()})
    loaded = thin.compute(scheduler="threads", num_workers=threads)
    dy, dx = dims(a.grid)
    named = loaded.rename({"y": dy, "x": dx} if dy != "y" else {})
    coords = spatial_coords(a.grid)
    placed = named.assign_coords({dy: coords[dy][every], dx: coords[dx][every], "spatial_ref": coords["spatial_ref"]})
    for name in _DRAWN_MAPS:
        if name in placed:
            placed[name].attrs.setdefault("units", a.maps[name].attrs.get("units", ""))
    placed = placed.rename({n: f"difference_{n}" for n in _DRAWN_MAPS if n in placed})
    placed["region"].attrs.update(a.maps["region"].attrs)
    placed["region"] = placed["region"].astype(np.int16)
    return placed
