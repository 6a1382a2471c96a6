"""What a run used: inputs with hashes, versions, timings; written beside the results."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from nepcube import recipe as recipes
from nepcube import sources
from nepcube.machine import cores
from nepcube.pipeline import inputs
from nepcube.pipeline.fields import field_files
from nepcube.pipeline.stratifying import stratum_files
from nepcube.places import Place, RemotePlace, is_url, place_of, public

if TYPE_CHECKING:
    from nepcube.pipeline.context import Progress, Run

PROVENANCE = "provenance.json"
_PACKAGES = (
    "nepcube", "xarray", "dask", "zarr", "numpy", "numba", "scipy", "pandas", "pyproj", "rasterio", "odc-geo",
    "h5netcdf", "h5py", "netcdf4", "pyhdf", "regionmask", "geopandas", "shapely", "matplotlib",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Give the versions of Python and of the packages that make numbers."""
    out = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def read(out: Place) -> dict[str, Any]:
    """Read the provenance of an output; an empty one where there is none."""
    text = (out / PROVENANCE).read_text()
    try:
        found: dict[str, Any] = json.loads(text or "{}")
    except ValueError:
        found = {}
    return {"inputs": [], "stages": {}} | found


def note_stage(run: Run, stage: str, seconds: float) -> None:
    """Add the duration of a stage, and what identifies the run."""
    record = read(run.out)
    record["stages"][stage] = round(record["stages"].get(stage, 0.0) + seconds, 3)
    record["versions"] = versions()
    record["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    record["platform"] = platform.platform()
    (run.out / PROVENANCE).write_text(json.dumps(record, indent=1))


def note_regions(run: Run, notes: list[str]) -> None:
    """Write and tell what is to be known of the regions."""
    for note in notes:
        run.say(f"regions: {note}")
    record = read(run.out) | {"regions": notes}
    (run.out / PROVENANCE).write_text(json.dumps(record, indent=1))


def changed_inputs(run: Run) -> list[str]:
    """Name the inputs whose size is not the one that was recorded when they were ingested."""
    out = []
    named: dict[str, list[str]] = {}
    for path in recipes.paths_of(run.recipe):
        named.setdefault(public(path), []).append(path)
    for record in read(run.out)["inputs"]:
        path = record["path"]
        if is_url(path):
            # the record has no query, without which the file may not be had
            urls = named.get(path, [path])
            if not sources.is_zarr(path) and all(sources.head(url)[0] != record["bytes"] for url in urls):
                out.append(path)
            continue
        file = run.recipe.base / path
        if file.is_file() and file.stat().st_size != record["bytes"]:
            out.append(path)
    return out


def hash_inputs(recipe: recipes.Recipe, progress: Progress) -> list[dict[str, Any]]:
    """List every input with its size and the SHA-256 of its bytes."""
    files: dict[str, list[str]] = {}
    for quantity, record in inputs.records_of(recipe):
        for path in sources.expand([recipe.resolve(p) for p in record.source.patterns]):
            files.setdefault(path, []).append(quantity)
    for path in inputs.elevation_files(recipe):
        files.setdefault(path, []).append("elevation")
    for name, path in field_files(recipe):
        files.setdefault(path, []).append(name)
    for name, paths in stratum_files(recipe).items():
        for path in paths:
            files.setdefault(path, []).append(f"strata.{name}")

    def one(path: str) -> dict[str, Any]:
        told = {"source": "+".join(files[path])}
        if is_url(path):
            size, digest = _remote(path)
            return told | {"path": public(path), "bytes": size, "hash": digest}
        return told | {
            "path": os.path.relpath(path, recipe.base),
            "bytes": sum(os.path.getsize(p) for p in _members(path)),
            "hash": "sha256:" + _hash(path),
        }

    out: list[dict[str, Any]] = []
    with ThreadPoolExecutor(cores()) as pool:
        for k, told in enumerate(pool.map(one, sorted(files)), start=1):
            out.append(told)
            progress("hash inputs", k, len(files))
    return out


def _remote(url: str) -> tuple[int | None, str | None]:
    if not sources.is_zarr(url):
        file = sources.local(url)
        return os.path.getsize(file), "sha256:" + _hash(file)
    place = place_of(url)
    if not isinstance(place, RemotePlace) or url.startswith("http"):
        return None, None
    # a store that is read where it is would be read a second time: the store's own tags of its objects identify it
    digest, size = hashlib.sha256(), 0
    for name, count, tag in sorted(place.files()):
        digest.update(f"{name.removeprefix(url)} {count} {tag}\n".encode())
        size += count
    return size, "sha256-of-tags:" + digest.hexdigest()


def _members(path: str) -> list[str]:
    if os.path.isfile(path):
        return [path]
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    for member in _members(path):
        with open(member, "rb") as file:
            while part := file.read(1 << 22):
                digest.update(part)
    return digest.hexdigest()


def note_inputs(run: Run) -> None:
    """Write the resolved recipe and list the inputs with their hashes."""
    record = read(run.out)
    before = record["inputs"]
    record["inputs"] = hash_inputs(run.recipe, run.progress)
    now = {(r["path"], r["hash"]) for r in record["inputs"]}
    # what was ingested and has been replaced since is still in the years that were done with it
    replaced = [r for r in before if (r["path"], r["hash"]) not in now]
    record["inputs_replaced"] = [*record.get("inputs_replaced", []), *replaced]
    record["stages"] = {}
    (run.out / PROVENANCE).write_text(json.dumps(record, indent=1))
    note_recipe(run)


def note_recipe(run: Run) -> None:
    """Write the resolved recipe."""
    (run.out / "recipe.yaml").write_text(recipes.dump_recipe(run.recipe))
