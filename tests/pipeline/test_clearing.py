"""A run begins in a new folder, and `--fresh` deletes what runs wrote and nothing else."""

import errno
import shutil
from pathlib import Path

import pytest

from nepcube import pipeline, recipe
from nepcube.errors import StoreError
from nepcube.pipeline import clearing
from nepcube.places import place_of

# what somebody else keeps in folders of our names
FOREIGN = (
    "thesis.tex", "report.docx", "figures/mine.pdf", "figures/map_mine.png", "figures/paper/mine_single.pdf",
    "figures/paper/notes.md", "tables/mine.csv", "tables/mine_by_dem.csv", "tables/series.docx", "published/paper.pdf",
    "published/mine.tif", "cube.nc", ".nepcube/notes",
)  # fmt: skip
OURS = (
    "cube.zarr/zarr.json", "cube.zarr/npp/c/0", "statistics.zarr/nep_mean/zarr.json", "climate.zarr/zarr.json",
    "report.html", "recipe.yaml", "provenance.json", "tables/series.csv", "tables/series_by_dem.csv",
    "tables/summary.md", "tables/tables.xlsx", "tables/validation.csv", "figures/map_nep_mean.png",
    "figures/validation.png", "figures/paper/map_nep_slope_single.pdf", "figures/paper/captions.md",
    "figures/paper-zh/series_double.svg", "published/nep_mean.tif", "published/nep_slope.tif", "published/item.json",
    ".nepcube/ledger/00000000.jsonl", ".nepcube/native/t.zarr/zarr.json", ".nepcube/weights/w.nc",
)  # fmt: skip


def write(folder, names):
    for name in names:
        file = place_of(folder) / name
        file.write_text('{"assets": {"nep_slope": {"href": "./nep_slope.tif"}}}' if name.endswith("item.json") else "x")


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file())


def test_fresh_deletes_what_runs_wrote_and_nothing_else(tmp_path):
    write(tmp_path, [*FOREIGN, *OURS, ".nepcube/stages.json"])
    clearing.clear(place_of(tmp_path))
    assert files(tmp_path) == sorted([*FOREIGN, ".nepcube/stages.json"])
    assert (tmp_path / ".nepcube" / "stages.json").read_text() == "{}"


def test_fresh_leaves_no_empty_folder(tmp_path):
    write(tmp_path, OURS)
    clearing.clear(place_of(tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == [".nepcube"]


def test_every_file_of_a_real_run_is_known(copied):
    # but for the figures and the page, which tests/report holds against the names
    clearing.clear(place_of(copied.out))
    assert files(copied.out) == [".nepcube/lock.guard", ".nepcube/stages.json"]


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("where", ["local", "s3"])
def test_a_place_with_other_files_is_not_taken(request, write_recipe, tmp_path, where, fresh):
    out = tmp_path / "project" if where == "local" else request.getfixturevalue("s3").url
    mine = ["figures/mine.pdf", "published/paper.pdf", "recipe.yaml", "report.html", "tables/mine.csv"]
    write(out, mine)
    with pytest.raises(StoreError) as told:
        pipeline.run_stage("ingest", write_recipe(), out, options=pipeline.Options(fresh=fresh))
    assert told.value.what == (
        f"{out}: it holds other files and no run of nepcube (figures, published, recipe.yaml and 2 more)."
    )
    assert told.value.way_out == "Choose a new folder with -o."
    assert all((place_of(out) / name).read_text() == "x" for name in mine)
    assert place_of(out).names() == ["figures", "published", "recipe.yaml", "report.html", "tables"]


@pytest.mark.parametrize("where", ["local", "s3"])
@pytest.mark.parametrize("names", [[], [".DS_Store"], [".nepcube/lock"], ["slurm-1.out", "run.log"]])
def test_an_empty_place_is_taken(request, write_recipe, tmp_path, where, names):
    out = place_of(tmp_path / "out" if where == "local" else request.getfixturevalue("s3").url)
    write(out, names)
    for fresh in (False, True):
        clearing.require_room(recipe.load_recipe(write_recipe()), out, fresh=fresh)


def test_a_run_that_was_begun_is_continued_whatever_lies_beside_it(write_recipe, tmp_path):
    out = place_of(tmp_path / "out")
    write(out, [".nepcube/stages.json", "cube.zarr/npp/zarr.json", "notes.txt"])
    for fresh in (False, True):
        clearing.require_room(recipe.load_recipe(write_recipe()), out, fresh=fresh)


@pytest.mark.parametrize(
    ("out", "path"),
    [("", "mod17/*.hdf"), ("mod17", "mod17/*.hdf"), ("era5-land", "era5-land/*.nc")],
)
def test_the_folder_of_an_input_is_no_output(archive, write_recipe, tmp_path, out, path):
    folder = Path(shutil.copytree(archive.directory, tmp_path / "archive"))
    before = files(folder)
    with pytest.raises(StoreError) as told:
        pipeline.run_stage("ingest", write_recipe(directory=folder), folder / out)
    assert told.value.what == f"{folder / out}: an input of the recipe lies there ({folder / path})."
    assert files(folder) == before


@pytest.mark.parametrize(
    ("change", "out"),
    [
        ({"archive": {"generate": "headwaters", "path": "here/archive"}}, "here"),
        ({"strata": {"dem": {"path": "here/d.tif", "kind": "continuous", "breaks": [1, 2]}}}, "here"),
        ({"sources__npp__path": "s3://bucket/a/*/n.hdf"}, "s3://bucket/a"),
        ({"sources__npp__path": "s3://bucket/a/n.zarr"}, "s3://bucket/a/n.zarr"),
        ({"regions__path": "here/r.geojson"}, "here"),
    ],
)
def test_inputs_of_every_kind_are_seen_also_with_fresh(write_recipe, tmp_path, change, out):
    known = recipe.load_recipe(write_recipe(**change))
    place = place_of(out if "://" in out else tmp_path / out)
    if "://" not in out:
        # a run of ours that is there may be continued, and not cleared away
        write(place, [".nepcube/stages.json"])
        clearing.require_room(known, place, fresh=False)
        with pytest.raises(StoreError, match="an input of the recipe lies there"):
            clearing.require_room(known, place, fresh=True)
        clearing.require_room(known, place_of(tmp_path / "hereafter"), fresh=True)
    else:
        assert any(clearing._is_in(path, place) for path in recipe.paths_of(known))


def test_a_run_that_could_not_begin_leaves_nothing(write_recipe, tmp_path):
    with pytest.raises(Exception, match="nowhere"):
        pipeline.run_stage("ingest", write_recipe(sources__npp__path="nowhere/*.hdf"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_at_the_start_leaves_nothing(write_recipe, tmp_path, monkeypatch):
    from nepcube.places import local

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(local, "_write_through", full)
    out = tmp_path / "out"
    with pytest.raises(StoreError) as told:
        pipeline.run_stage("ingest", write_recipe(), out)
    assert told.value.what == f"{out / '.nepcube'}: cannot be written (No space left on device)."
    assert told.value.way_out == "Make room, or choose another output with -o."
    assert not out.exists()
