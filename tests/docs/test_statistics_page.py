"""docs/statistics.md: its calls run, its table of special series is true, its links and pictures are there."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from nepcube import stats

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "statistics.md").read_text(encoding="utf-8")
YEARS = np.array([f"{y}-01-01" for y in range(2001, 2021)], "datetime64[ns]")


def annual(values, units="g m-2 year-1"):
    values = np.asarray(values, float).reshape(20, 2, -1)
    return xr.DataArray(values, dims=("time", "y", "x"), coords={"time": YEARS}, attrs={"units": units})


def cube():
    """Two by three cells; the arrays that the page's calls name."""
    rng = np.random.default_rng(1)
    temperature, precipitation, radiation = rng.normal(size=(3, 20, 6))
    t = np.arange(20)[:, None]
    npp = 150 + 8 * temperature + 5 * precipitation + t + 4 * rng.normal(size=(20, 6))
    return {
        "npp": annual(npp),
        "nep": annual(npp - 20),
        "temperature": annual(temperature, "degC"),
        "precipitation": annual(precipitation, "mm year-1"),
        "radiation": annual(radiation, "MJ m-2 year-1"),
        "potential": annual(200 + 8 * temperature + 0.5 * t),
        "area": xr.DataArray(np.array([0.2, 0.21]), dims="y"),
    }


def test_every_call_runs():
    """One block after the other, as a reader would; what they make has a value in every cell."""
    names = cube()
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 15
    for block in blocks:
        before = dict(names)
        exec(compile(block, "docs/statistics.md", "exec"), names)
        made = {n: v for n, v in names.items() if before.get(n) is not v and isinstance(v, xr.DataArray | xr.Dataset)}
        for name, value in made.items():
            whole = value.to_dataset(name="value") if isinstance(value, xr.DataArray) else value
            for each in whole.values():
                assert np.isfinite(each).all(), (name, block)
                assert each.dtype != np.uint8 or not (each == 255).any(), (name, block)


def test_every_function_has_its_place():
    assert [n for n in stats.__all__ if f"`{n}`" not in PAGE and f"stats.{n}(" not in PAGE] == []


CONSTANT, LINE = np.full((20, 2), 5.0), 5 + 3 * np.arange(20.0)[:, None] + np.zeros((20, 2))
SPECIAL = {
    "mean": lambda a, _: stats.mean(a),
    "coefficient_of_variation": lambda a, _: stats.coefficient_of_variation(a),
    "coefficient_of_variation, the same, detrended": lambda a, _: stats.coefficient_of_variation(a, detrend=True),
    "hurst_exponent": lambda a, _: stats.hurst_exponent(a),
    "linear_trend": lambda a, _: stats.linear_trend(a),
    "theil_sen": lambda a, _: stats.theil_sen(a),
    "mann_kendall": lambda a, _: stats.mann_kendall(a),
    "breakpoint_trend, year named": lambda a, _: stats.breakpoint_trend(a, 2011),
    "breakpoint_trend, year named, the same, year sought": lambda a, _: stats.breakpoint_trend(a),
    "pettitt": lambda a, _: stats.pettitt(a),
    "partial_correlation": lambda a, x: stats.partial_correlation(a, x),
    "partial_correlation, the same, detrended": lambda a, x: stats.partial_correlation(a, x, detrend=True),
    "ridge_contributions": lambda a, x: stats.ridge_contributions(a, {"x": x}, penalty=0.1),
    "residual_trend": lambda a, x: stats.residual_trend(a, {"x": x}),
    "attribution": lambda a, x: stats.attribution(a, x),
}


def special_series():
    """The rows of the page's table, by function; "the same" is the one above."""
    table = PAGE.partition("| function | constant | straight line |\n")[2].partition("\n\n")[0].splitlines()[1:]
    above = ""
    for row in table:
        name, *cells = (cell.strip() for cell in row.strip("|").split("|"))
        name = name.replace("`", "")
        if name.startswith("the same"):
            name = f"{above}, {name}"
        else:
            above = name
        yield name, cells


def test_the_table_of_special_series_has_all_of_them():
    assert [name for name, _ in special_series()] == list(SPECIAL)


@pytest.mark.parametrize(("name", "cells"), list(special_series()))
def test_what_a_constant_and_a_straight_line_give(name, cells):
    other = annual(np.random.default_rng(2).normal(size=(20, 2)))
    for values, cell in zip((CONSTANT, LINE), cells, strict=True):
        found = SPECIAL[name](annual(values), other)
        for claim in filter(None, cell.split(", ")):
            variable, said = claim.split(" ")
            value = float(found[variable].values.flat[0])
            assert f"{value if abs(value) > 1e-12 else 0 * value:.3g}" == said.lower(), claim


def slugs(path):
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_and_pictures_are_there():
    links = re.findall(r"\]\(([^)]*)\)", PAGE)
    assert len(links) > 30
    for link in links:
        name, _, anchor = link.partition("#")
        path = DOCS / (name or "statistics.md")
        assert path.is_file(), link
        assert not anchor or anchor in slugs(path), link
    drawn = {f"figures/{p.name}" for p in (DOCS / "figures").glob("statistics-*.png")}
    assert drawn == {link for link in links if link.endswith(".png")}
