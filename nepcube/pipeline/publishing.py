"""Publish: the maps in forms that others take without Zarr."""

from __future__ import annotations

from pathlib import Path

from nepcube import publish as publish_room
from nepcube import store
from nepcube.pipeline.context import Run, geographic_bounds
from nepcube.pipeline.stages import begin, finish, is_done

STAGE = "publish"


def publish(run: Run) -> None:
    """Write every map as a cloud-optimised GeoTIFF, and a STAC item that describes the run."""
    if is_done(run, STAGE):
        run.progress(STAGE, 1, 1, "done already")
        return
    record = begin(run, STAGE)
    folder = run.out / "published"
    ds = store.open_statistics(run.out, block=run.cube.chunk)
    names = [str(n) for n in ds.data_vars]
    files: list[Path] = []
    for k, name in enumerate(names):
        run.progress(STAGE, k, len(names) + 1, name)
        with folder.local_folder() as here:
            files.append(publish_room.write_cog(ds[name], run.grid, here / f"{name}.tif"))
    run.progress(STAGE, len(names), len(names) + 1, "STAC")
    with folder.local_folder() as here:
        publish_room.write_stac_item(
            here / "item.json",
            name=run.recipe.name,
            title=run.recipe.title or run.recipe.name,
            period=run.recipe.period,
            bounds=geographic_bounds(run.grid),
            assets=files,
        )
    run.progress(STAGE, len(names) + 1, len(names) + 1, str(folder))
    finish(run, STAGE, record)
