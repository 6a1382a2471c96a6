"""environment.yml and pyproject.toml name the same dependencies with the same lower bounds."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / "environment.yml"
PYPROJECT = ROOT / "pyproject.toml"

#: what conda-forge calls a project of PyPI, where the two names differ
CONDA_NAMES = {"dask": "dask-core", "matplotlib": "matplotlib-base"}
#: what only the conda environment has
CONDA_ONLY = {"python", "pip", "xesmf", "esmpy"}

pytestmark = pytest.mark.skipif(not ENVIRONMENT.exists(), reason="environment.yml is not in this copy of the project")


def _split(requirement: str) -> tuple[str, str]:
    """Give the normalised name and the specifier of ``name>=1.2``."""
    found = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*((?:[<>=!~].*)?)", requirement.strip())
    assert found, f"cannot read the requirement {requirement!r}"
    name, bound = found.groups()
    return re.sub(r"[-_.]+", "-", name).lower(), bound.replace(" ", "")


def drift(pyproject: str, environment: str) -> list[str]:
    """Give the differences between the texts of the two files, one sentence each."""
    project = tomllib.loads(pyproject)["project"]
    conda = yaml.safe_load(environment)
    entries = conda["dependencies"]
    out = [f"{entry!r} is not a plain conda requirement" for entry in entries if not isinstance(entry, str)]
    pairs = [_split(entry) for entry in entries if isinstance(entry, str)]
    have = dict(pairs)
    if len(have) != len(pairs):
        out.append("a package is named twice in environment.yml")

    want = {CONDA_NAMES.get(name, name): bound for name, bound in map(_split, project["dependencies"])}
    extra = dict(map(_split, project["optional-dependencies"]["esmf"]))
    want |= {"xesmf": extra["xesmf"], "python": project["requires-python"].replace(" ", "")}
    for name, bound in want.items():
        if name not in have:
            out.append(f"{name}{bound} is missing from environment.yml")
        elif have[name] != bound:
            out.append(
                f"{name}: {bound or 'no bound'} in pyproject.toml, {have[name] or 'no bound'} in environment.yml"
            )
    out += [f"{name} is only in environment.yml" for name in have.keys() - want.keys() - CONDA_ONLY]
    out += [f"{name} is missing from environment.yml" for name in CONDA_ONLY - want.keys() - have.keys()]
    if conda.get("channels", [None])[0] != "conda-forge":
        out.append("conda-forge is not the first channel")
    return out


def test_the_two_files_agree():
    assert drift(PYPROJECT.read_text(encoding="utf-8"), ENVIRONMENT.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("which", "old", "new", "said"),
    [
        ("environment", r"^  - zarr>=.*\n", "", "zarr>="),
        ("environment", r"zarr>=[0-9.]+", "zarr>=2.0", "zarr: "),
        ("environment", r"zarr>=[0-9.]+", "zarr", "no bound in environment.yml"),
        ("environment", r"- dask-core", "- dask", "dask is only in environment.yml"),
        ("environment", r"^  - pip\n", "  - pip\n  - cartopy>=0.23\n", "cartopy is only"),
        ("environment", r"^  - pip\n", "  - pip\n  - pip: [nepcube]\n", "not a plain conda requirement"),
        ("environment", r"^  - esmpy.*\n", "", "esmpy is missing"),
        ("environment", r"xesmf>=[0-9.]+", "xesmf>=0.1", "xesmf: "),
        ("environment", r"python>=3.11", "python>=3.10", "python: "),
        ("environment", r"- zarr", "- xarray>=2025.1\n  - zarr", "named twice"),
        ("environment", r"- conda-forge", "- defaults", "conda-forge is not"),
        ("pyproject", r'"zarr>=[0-9.]+"', '"zarr>=9.9"', "zarr: >=9.9 in pyproject.toml"),
        ("pyproject", r'^    "zarr>=[0-9.]+",\n', "", "zarr is only in environment.yml"),
        (
            "pyproject",
            r"^dependencies = \[\n",
            'dependencies = [\n    "bottleneck>=1.4",\n',
            "bottleneck>=1.4 is missing",
        ),
    ],
)
def test_a_drift_is_seen(which, old, new, said):
    texts = {"pyproject": PYPROJECT.read_text(encoding="utf-8"), "environment": ENVIRONMENT.read_text(encoding="utf-8")}
    mutated, n = re.subn(old, new, texts[which], count=1, flags=re.MULTILINE)
    assert n == 1, "the mutation found nothing to change"
    texts[which] = mutated
    assert any(said in line for line in drift(**texts))
