"""The rules of the house: public names, cheap imports, small modules, one-way layers."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin

import pytest

import nepcube

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "nepcube"
MODULES = sorted(PACKAGE.rglob("*.py"))

PUBLIC = sorted(
    [
        "target_grid",
        "cell_area",
        "open_source",
        "to_annual",
        "regrid",
        "heterotrophic_respiration",
        "nep_uncertainty",
        "net_ecosystem_productivity",
        "respiration_sensitivity",
        "potential_npp",
        "linear_trend",
        "theil_sen",
        "mann_kendall",
        "trend_classes",
        "breakpoint_trend",
        "pettitt",
        "hurst_exponent",
        "coefficient_of_variation",
        "partial_correlation",
        "natural_breaks",
        "classify",
        "attribution",
        "class_breaks",
        "dominant_driver",
        "false_discovery_rate",
        "field_significance",
        "merge_statistics",
        "multiple_regression",
        "partial_correlations",
        "residual_trend",
        "ridge_contributions",
        "semi_partial_correlation",
        "sufficient_statistics",
        "trend_from_statistics",
        "variation_from_statistics",
        "partial_from_statistics",
        "equal_interval_breaks",
        "quantile_breaks",
        "standard_deviation_breaks",
        "statistics_from_maps",
        "label_regions",
        "aggregate",
        "load_recipe",
        "run",
        "compare_runs",
        "open_cube",
        "open_report",
        "plot_map",
        "plot_chart",
        "write_figures",
        "compare_with_towers",
        "tower_nep",
        "NepcubeError",
        "__version__",
    ]
)
HEAVY = {
    "dask.array",
    "distributed",
    "geopandas",
    "h5py",
    "matplotlib",
    "netCDF4",
    "numba",
    "pydantic",
    "pyogrio",
    "rasterio",
    "regionmask",
    "scipy",
    "typer",
}
LONGEST = 600
BANNED = {"utils", "core", "common", "helpers"}


def _in_a_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


# -------------------------------------------------------------------------------------------------------- public names


def test_public_names():
    assert sorted(nepcube.__all__) == PUBLIC


def test_public_names_are_listed_by_dir():
    assert set(PUBLIC) <= set(dir(nepcube))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        nepcube.no_such_name  # noqa: B018


def _section(doc: str, title: str) -> str:
    """Give the body of a numpydoc section, or the empty text."""
    found = re.search(rf"^{title}\n-{{{len(title)}}}\n(.*?)(?=^\S[^\n]*\n-{{3,}}\n|\Z)", doc, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_documented(name):
    thing = getattr(nepcube, name)
    if isinstance(thing, str):
        assert thing.strip()
        return
    assert callable(thing)
    doc = inspect.getdoc(thing) or ""
    summary = doc.split("\n", 1)[0].strip()
    assert summary.endswith("."), f"{name} has no one-line summary"
    if inspect.isclass(thing):
        return
    names = [p for p in inspect.signature(thing).parameters if p not in {"self", "cls"}]
    parameters = _section(doc, "Parameters")
    assert parameters or not names, f"{name} has no 'Parameters' section"
    heads = [line.split(":")[0] for line in parameters.splitlines() if line and not line[0].isspace()]
    described = {word.strip(" *") for head in heads for word in head.split(",")}
    missing = [p for p in names if p not in described]
    assert not missing, f"{name} does not describe {missing}"
    assert _section(doc, "Returns"), f"{name} has no 'Returns' section"


# ------------------------------------------------------------------------------------------------------------- imports


def test_importing_is_cheap():
    """Heavy libraries are imported on first use, not by ``import nepcube``."""
    loaded = _in_a_fresh_process(f"import sys, nepcube; print(*sorted({HEAVY!r} & set(sys.modules)))").split()
    assert loaded == []


def _names_imported(path: Path) -> set[str]:
    """Give the absolute dotted names that a module of the package imports anywhere, in type checking too."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts[:-1]  # for an __init__ and for a module alike: the package that the file is in
    out: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            out |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join([*base, *([node.module] if node.module else [])])
            out |= {source} | {f"{source}.{alias.name}" for alias in node.names}
    return out


def test_names_imported_sees_every_spelling(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    room = tmp_path / "nepcube" / "room"
    room.mkdir(parents=True)
    for text in (
        "import nepcube.testing",
        "from nepcube import testing",
        "from nepcube.testing import forbid_compute",
        "from .. import testing",
        "def f():\n    from ..testing import forbid_compute",
    ):
        (room / "a.py").write_text(text)
        assert "nepcube.testing" in _names_imported(room / "a.py"), text
    (room / "__init__.py").write_text("from ..testing import x")
    assert "nepcube.testing" in _names_imported(room / "__init__.py")
    (room / "a.py").write_text("from .testing import x\nimport numpy.testing")
    assert "nepcube.testing" not in _names_imported(room / "a.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_nothing_imports_testing(path):
    if path == PACKAGE / "testing.py":
        return
    assert not [name for name in _names_imported(path) if f"{name}.".startswith("nepcube.testing.")]


def test_the_layers_hold():
    if importlib.util.find_spec("importlinter") is None:
        pytest.skip("import-linter is not installed")
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------------- modules


def test_there_are_modules():
    assert MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_module_is_small_and_has_a_telling_name(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{path.name} has {lines} lines, more than {LONGEST}"
    assert not BANNED & {part.strip("_").lower() for part in path.relative_to(ROOT).with_suffix("").parts}


# --------------------------------------------------------------------------------------------------- the recipe's page


def _recipe_keys(model, prefix=""):
    """Give the dotted keys of a model and of those below it; the members of `sources` and `classes` are one star."""
    from pydantic import BaseModel

    def models(annotation):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return [annotation]
        return [found for part in get_args(annotation) for found in models(part)]

    for name, field in model.model_fields.items():
        star = prefix in {"sources.", "classes."}
        key = f"{prefix}{'*' if star else field.alias or name}"
        if get_origin(field.annotation) is dict:
            key += ".*"
        below = models(field.annotation)
        if not below:
            yield key
        for one in below:
            yield from _recipe_keys(one, f"{key}.")


def test_the_recipe_page_lists_every_key():
    from nepcube.recipe import Recipe

    listed = re.findall(
        r"^\| `([a-z_.*]+)` \|", (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(set(listed)) == sorted(set(_recipe_keys(Recipe)))
