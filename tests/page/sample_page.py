"""What the page is tested with: the demonstration's words, small pictures, hostile names."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from sample_report import make_inputs

ROOT = Path(__file__).parents[2]
#: names that a recipe, a polygon or a file may bring
HOSTILE = "</script><img src=x onerror=\"window.pwned=1\"> & 'quoted' {braces} \u202eRTL\u2066 \u2028"
STEMS = ("map_regions", "map_nep_mean", "map_partial_temperature")


def fake_run(**changes):
    """What the words of a run are made from: a recipe, its years."""
    from nepcube import recipe as recipes

    recipe = recipes.load_recipe(ROOT / "recipes" / "demo.yaml")
    return run_of(recipe.model_copy(update=changes) if changes else recipe)


def run_of(recipe):
    from nepcube import recipe as recipes

    return SimpleNamespace(
        recipe=recipe,
        years=tuple(recipe.years),
        potential=isinstance(recipe.sources.npp, recipes.ModelSource),
        grid=SimpleNamespace(shape=(262, 725)),
        region_names=["a", "b"],
        flagged=True,
    )


def with_words(inputs, **more):
    """The sample with the methods and formulas of the demonstration's recipe."""
    import xarray as xr

    from nepcube.pipeline import formulas, methods

    run = fake_run()
    cube = xr.Dataset({name: ((), 0.0, {"product": f"{name} v1"}) for name in ("npp", *run.recipe.sources.drivers)})
    return dataclasses.replace(inputs, methods=methods.paragraphs(run, cube), formulas=formulas.formulas(run), **more)


def small_figures(folder, blue=160):
    from PIL import Image

    folder.mkdir(exist_ok=True)
    paths = []
    for k, stem in enumerate(STEMS):
        path = folder / f"{stem}.png"
        Image.new("RGB", (600, 400), (40 + 60 * k, 120, blue)).save(path)
        paths.append(path)
    return paths


def bases():
    import pandas as pd

    columns = ["basis", "used", "rh_mean_gc_m2", "nep_mean_gc_m2", "n_cells"]
    return pd.DataFrame([("annual", True, 17.18, 122.2, 5693), ("monthly", False, 105.7, 33.6, 5693)], columns=columns)


def hostile():
    names = (HOSTILE, 'x" onload="window.pwned=2', "__proto__")
    evil = with_words(make_inputs(names=names, seeds=((0.2, 0.5), (0.5, 0.5), (0.8, 0.5)), resolution="20 km"))
    return dataclasses.replace(
        evil,
        title=HOSTILE,
        name=HOSTILE,
        recipe_text=HOSTILE,
        provenance={
            "inputs": [{"source": HOSTILE, "path": HOSTILE, "bytes": 1, "hash": HOSTILE}],
            "versions": {HOSTILE: HOSTILE},
            "stages": {HOSTILE: 1.0},
            "created": HOSTILE,
        },
        notes=[HOSTILE],
        formulas=[{"name": HOSTILE, "formula": HOSTILE, "source": HOSTILE}],
        sources=[dict.fromkeys(("quantity", "reader", "product", "citation", "units", "resampling"), HOSTILE)],
    )
