"""What is told and drawn of a comparison: its notes, its attributes, and the maps of B minus A."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nepcube import regions as region_room
from nepcube import report as report_room
from nepcube import store
from nepcube.grid import dims, spatial_coords
from nepcube.pipeline.outputs import Output, period_text
from nepcube.pipeline.reporting import read_tables
from nepcube.places import Place

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

# cells a side of what is drawn: more than a page of 300 dpi shows
_DRAWN = 2000
# keys of the recipes that a figure names; the others are in the store's attributes
_MOST_KEYS = 4
_DRAWN_MAPS = {
    "nep_mean": ("Mean annual {nep}, B minus A", "Difference of mean {nep} (gC m⁻² yr⁻¹)"),
    "nep_slope": ("Trend of annual {nep}, B minus A", "Difference of the slope (gC m⁻² yr⁻²)"),
}


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
    comment = a.attrs.get("comment") or b.attrs.get("comment")
    return attrs | ({"comment": comment} if comment else {})


def draw(
    a: Output, b: Output, differences: Place, folder: Place, differing: list[tuple[str, Any, Any]], *, threads: int
) -> list[Place]:
    """Draw the maps of the differences that a reader looks at first, and give their paths."""
    maps = _maps(a, differences, threads)
    # where one of them models NPP, its NEP is the potential one
    nep = "potential NEP" if any("model" in o.recipe["sources"]["npp"] for o in (a, b)) else "NEP"
    for name, (title, label) in _DRAWN_MAPS.items():
        if f"difference_{name}" in maps:
            told = {"title": title.format(nep=nep), "bar_label": label.format(nep=nep)}
            maps[f"difference_{name}"].attrs.update(told | {"notes": _notes(a, b, differing)})
    grid = _thin(a.grid, _stride(a.grid))
    outlines = None
    if a.region_names:
        # the cells of the regions themselves: the file of the polygons may be elsewhere by now
        outlines = region_room.outline_labels(maps["region"].values, grid, a.region_names)
    given = report_room.ReportInputs(
        name=a.name,
        title=f"{b.name} minus {a.name}",
        period=a.period,
        maps=maps,
        tables=read_tables(a.place),
        regions=outlines,
        generated=str(a.attrs.get("comment") or b.attrs.get("comment") or "") or None,
    )
    with folder.local_folder() as drawn:
        files = report_room.draw_differences(given, drawn)
    return [folder / file.name for file in files]


def _notes(a: Output, b: Output, differing: list[tuple[str, Any, Any]]) -> list[str]:
    told = [f"{key} is {_written(one)} in A, {_written(other)} in B" for key, one, other in differing[:_MOST_KEYS]]
    more = f"; {len(differing) - _MOST_KEYS} more keys differ" if len(differing) > _MOST_KEYS else ""
    same = "The recipes do not differ." if not told else f"{'; '.join(told)}{more}."
    return [f"A: {a.name}, {period_text(a.period)}. B: {b.name}, {period_text(b.period)}.", same]


def _written(value: Any) -> str:
    return "absent" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


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
    placed = placed.rename({n: f"difference_{n}" for n in _DRAWN_MAPS if n in placed})
    placed["region"].attrs.update(a.maps["region"].attrs)
    placed["region"] = placed["region"].astype(np.int16)
    return placed
