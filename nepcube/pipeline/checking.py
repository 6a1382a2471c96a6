"""Check: the recipe, the files, and the plan of the run, before anything is made."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from nepcube import recipe as recipes
from nepcube import regions as region_room
from nepcube import sources
from nepcube.errors import NepcubeError, StoreError
from nepcube.pipeline import calibrating, inputs
from nepcube.pipeline.clearing import require_room
from nepcube.pipeline.context import Options, geographic_bounds, grid_of
from nepcube.pipeline.damage import damage_of
from nepcube.pipeline.estimating import Estimate, estimate
from nepcube.pipeline.planning import Plan, make_plan
from nepcube.pipeline.stages import require_same_cube
from nepcube.pipeline.status import status
from nepcube.places import Place, place_of
from nepcube.store import Ledger


@dataclass(frozen=True)
class Checked:
    """What `check` found: the plan, the files of each source, and what is at fault."""

    recipe: recipes.Recipe
    plan: Plan | None
    grid: str
    found: tuple[inputs.Found, ...]
    done: tuple[str, ...]
    faults: tuple[NepcubeError, ...]
    bounds: tuple[float, float, float, float] | None = None
    estimate: Estimate | None = None
    region_notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults


def check(
    recipe: recipes.Recipe | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | Place | None = None,
    options: Options | None = None,
    calibrated: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Check a recipe and its files, and plan the run.

    Parameters
    ----------
    recipe : Recipe or path-like
        A recipe, or the file of one; a fault in the file itself is raised.
    out : path-like or str, optional
        The output, to say what is done already.
    options : Options, optional
        How it would be run.
    calibrated : bool
        Also try the kernels of the recipe for a moment, in a process of its own, and estimate the time.
    say : callable, optional
        Called with lines for the user.

    Returns
    -------
    Checked
        With the plan even where files are missing.
    """
    if not isinstance(recipe, recipes.Recipe):
        recipe = recipes.load_recipe(recipe)
    if not calibrated:
        with sources.telling(say):
            return _checked(recipe, out, options or Options())
    # while the files are looked at
    with ThreadPoolExecutor(1) as pool, sources.telling(say):
        rates = pool.submit(calibrating.calibrate, recipe)
        found = _checked(recipe, out, options or Options())
        if found.plan is None or found.bounds is None:
            return found
        return replace(found, estimate=estimate(recipe, found.plan, rates.result(), found.found, found.bounds))


def _checked(recipe: recipes.Recipe, out: str | os.PathLike[str] | Place | None, options: Options) -> Checked:
    faults: list[NepcubeError] = []
    plan, described, grid = None, "", None
    place = None if out is None else place_of(out)
    if place is not None:
        place.require()
    archive = recipe.archive
    generated = archive is not None and not Path(recipe.resolve(archive.path), "GENERATED.json").exists()
    notes: list[str] = []
    try:
        grid, regions = grid_of(recipe)
        if regions is not None and recipe.regions is not None:
            notes = [*regions.notes, *region_room.outside_notes(regions, grid)]
            if recipe.regions.overlap == "centre":
                notes += region_room.missed_notes(regions, grid)
    except NepcubeError as error:
        if not generated:
            faults.append(error)
        if not isinstance(recipe.grid.bounds, str):
            grid, _ = grid_of(recipe.model_copy(update={"regions": None}).at(recipe.base))
    if grid is not None:
        box = grid.boundingbox
        described = (
            f"{grid.shape[0]} x {grid.shape[1]} cells of {abs(grid.affine.a):.10g} in {grid.crs}, "
            f"{box.left:.6f} {box.bottom:.6f} {box.right:.6f} {box.top:.6f}"
        )
        try:
            plan = make_plan(recipe, (grid.shape[0], grid.shape[1]), options, place)
        except NepcubeError as error:
            faults.append(error)
    found: list[inputs.Found] = []
    if grid is not None and not generated:
        found = inputs.inspect(recipe, grid)
        faults += [f.error for f in found if f.error is not None]
    done: list[str] = []
    if place is not None:
        ledger = Ledger.open(place)
        try:
            require_room(recipe, place, fresh=options.fresh)
            if grid is not None:
                require_same_cube(recipe, grid, ledger, place)
        except NepcubeError as error:
            faults.append(error)
        if options.verify and (place / ".nepcube").is_folder():
            bad = status(place, verify=True).bad
            if bad:
                faults.append(
                    StoreError(f"{place}: {damage_of(bad)}.", "`nepcube run` with this recipe makes them again.")
                )
        parts = ledger.parts()
        done = [s for s in recipes.STAGES if parts.get(s, {}).get("part") == recipes.stage_part(recipe, s)]
    bounds = None if grid is None else geographic_bounds(grid)
    return Checked(recipe, plan, described, tuple(found), tuple(done), tuple(faults), bounds, region_notes=tuple(notes))
