"""Climate on its own grid between reading and sampling: never of two grids, never with a hole, made again by years."""

import shutil

import numpy as np
import pytest
import xarray as xr

from nepcube import open_cube, pipeline
from nepcube.errors import SourceError, StoreError

# few years and cells: what is held here does not depend on how many
BOUNDS = [89.5, 31.6, 102.4, 36.2]
COARSE = {"grid__bounds": BOUNDS, "resolution": "40000 m", "respiration__basis": "monthly", "regions": None}
MONTH = ".nepcube/native/temperature-month.zarr/values/c/14/0/0"
YEAR = ".nepcube/native/temperature-year.zarr/values/c/1/0/0"


def stages(tools, recipe, out):
    return tools.do_stages(recipe, out, "ingest", "analyse")


@pytest.fixture(scope="module")
def monthly(archive, tools, tmp_path_factory):
    """A run on the monthly basis up to its statistics, not to be changed: `out` and `write`."""
    import yaml

    folder = tmp_path_factory.mktemp("monthly")

    def write(name, **changes):
        path = folder / name
        changes = {"period": (2001, 2003)} | COARSE | changes
        path.write_text(yaml.safe_dump(tools.recipe_text(archive.directory, **changes)))
        return path

    return stages(tools, write("recipe.yaml"), folder / "out"), write


def broken(monthly, tmp_path, *keys):
    out = shutil.copytree(monthly[0], tmp_path / "out")
    for key in keys:
        (out / key).unlink()
    return out


def narrow(archive, folder):
    """The same files of ERA5-Land, without three columns in the west and warmer by half a degree."""
    folder.mkdir()
    for file in sorted((archive.directory / "era5-land").glob("*.nc")):
        with xr.open_dataset(file, decode_times=False) as ds:
            less = ds.isel(longitude=slice(3, None)).load()
        less["t2m"] = (less["t2m"] + 0.5).assign_attrs(less["t2m"].attrs)
        less.to_netcdf(folder / file.name)


def of_files(folder):
    files = str(folder / "*.nc")
    return {"sources__temperature__path": files, "sources__radiation__path": files}


def wider(archive, folder):
    shutil.rmtree(folder)
    shutil.copytree(archive.directory / "era5-land", folder)


def test_files_on_another_grid_end_as_a_fresh_run(archive, monthly, tools, tmp_path):
    _, write = monthly
    files = tmp_path / "era5"
    narrow(archive, files)
    three, four = (write(f"{last}.yaml", period=(2001, last), **of_files(files)) for last in (2003, 2004))
    out = stages(tools, three, tmp_path / "out")
    # cleared away or not, the grid is known
    shutil.rmtree(out / ".nepcube/native/radiation-year.zarr")
    wider(archive, files)
    said = []
    for stage in ("ingest", "analyse"):
        pipeline.run_stage(stage, four, out, say=said.append)
    told = [line for line in said if "another grid" in line]
    assert len(told) == 1
    assert told[0].startswith("warning: the files of temperature, radiation have another grid than before (longitude: ")
    tools.same_arrays(out, stages(tools, four, tmp_path / "fresh"))
    assert pipeline.status(out, verify=True).damaged == ()


def test_a_series_of_another_grid_than_what_was_ingested_is_refused(archive, monthly, tools, tmp_path):
    _, write = monthly
    files = tmp_path / "era5"
    narrow(archive, files)
    annual, months = (
        write(f"{basis}.yaml", **(of_files(files) | {"respiration__basis": basis})) for basis in ("annual", "monthly")
    )
    out = tools.do_stages(annual, tmp_path / "out", "ingest")
    wider(archive, files)
    with pytest.raises(SourceError) as caught:
        tools.do_stages(months, out, "analyse")
    assert caught.value.what.startswith(
        "sources.temperature: its files have another grid than those that were ingested (longitude: "
    )
    assert "--fresh" in caught.value.way_out


def test_a_native_chunk_that_is_missing_is_told_and_never_read_as_no_data(monthly, tools, tmp_path):
    out = broken(monthly, tmp_path, MONTH)
    recipe = monthly[1]("other.yaml", statistics={"cv": {"detrended": True}})
    with pytest.raises(StoreError) as caught:
        tools.do_stages(recipe, out, "analyse")
    assert caught.value.what == f"{out}/{MONTH}: this chunk is missing."
    found = [d for d in pipeline.status(out, verify=True).damaged if d[0].startswith("native")]
    assert found == [("native/temperature-month", "2002/0/0", MONTH)]
    times = {p: p.stat().st_mtime_ns for p in (out / MONTH).parents[2].glob("*/0/0")}
    stages(tools, recipe, out)
    # months of that year alone are made again
    again = {int(p.parts[-3]) for p in (out / MONTH).parents[2].glob("*/0/0") if p.stat().st_mtime_ns != times.get(p)}
    assert again == set(range(12, 24))
    assert np.isfinite(open_cube(out).rh.values).any(axis=(1, 2)).all()
    tools.same_arrays(out, stages(tools, recipe, tmp_path / "fresh"))
    assert pipeline.status(out, verify=True).damaged == ()


@pytest.mark.parametrize(("key", "stage"), [(MONTH, "analyse"), (YEAR, "ingest")])
def test_what_was_sampled_of_a_chunk_that_changed_is_made_again(monthly, tools, tmp_path, key, stage):
    out = broken(monthly, tmp_path)
    content = bytearray((out / key).read_bytes())
    content[-1] ^= 255
    (out / key).write_bytes(content)
    # what was computed from the damage
    for store, name in (("cube.zarr", "rh"), *((("cube.zarr", "temperature"),) if stage == "ingest" else ())):
        import zarr

        zarr.open_array(str(out / store), path=name, mode="r+")[1] = 7.0
    status = pipeline.status(out, verify=True)
    assert key in {d[2] for d in status.damaged}
    assert dict(status.stages)["ingest"] is (stage != "ingest")
    assert not dict(status.stages)["analyse"]
    stages(tools, monthly[1]("recipe.yaml"), out)
    tools.same_arrays(out, monthly[0])
    assert pipeline.status(out, verify=True).damaged == ()


def test_a_series_that_was_cleared_away_is_no_damage(monthly, tools, tmp_path):
    out = broken(monthly, tmp_path)
    shutil.rmtree(out / ".nepcube/native/temperature-month.zarr")
    assert pipeline.status(out, verify=True).damaged == ()
    shutil.rmtree(out / ".nepcube/native")
    status = pipeline.status(out, verify=True)
    assert status.damaged == ()
    assert dict(status.stages)["analyse"]


def test_bases_do_not_read_what_a_stopped_run_left_of_a_series(monthly, tools, tmp_path):
    from nepcube.store import Ledger

    out = broken(monthly, tmp_path)
    recipe = monthly[1]("annual.yaml", respiration__basis="annual")
    tools.do_stages(recipe, out, "analyse", "aggregate")
    whole = (out / "tables/respiration_bases.csv").read_bytes()
    for file in (out / MONTH).parents[2].glob("1[2-9]/0/0"):
        file.unlink()
    Ledger.open(out).drop("native/temperature-month", ["2002/0/0"])
    tools.do_stages(
        monthly[1]("again.yaml", respiration__basis="annual", classes__slope={"method": "natural-breaks", "k": 4}),
        out,
        "aggregate",
    )
    assert (out / "tables/respiration_bases.csv").read_bytes() == whole
