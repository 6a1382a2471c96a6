"""Each benchmark in its tiny form: it runs, both sides do the same job, and the table is whole."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def needs(tool):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")


def benchmark(script, *options):
    """Run a script from this source tree; gives its output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--tiny", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(text):
    """The Markdown tables of a text: label to cells."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return {cells[0].strip(): [c.strip() for c in cells[1:]] for cells in lines}


def numbers(cell):
    found = re.fullmatch(r"(\S+) \((\S+)-(\S+)\)", cell)
    return [float(found[k]) for k in (1, 2, 3)]


@needs("gdalwarp")
def test_mod17_beside_gdalwarp(tmp_path):
    said = benchmark("mod17.py", "--archive", tmp_path / "archive", "--work", tmp_path / "work")
    table = rows(said)
    assert {"nepcube", "nepcube, steady", "gdalwarp"} < table.keys()
    for name in ("nepcube", "nepcube, steady"):
        seconds, ratio, cpu, cpu_ratio, peak = map(numbers, table[name])
        for median, least, most in (seconds, ratio, cpu, cpu_ratio, peak):
            assert 0 < least <= median <= most
    assert "3 years x 2 tiles to 53 x 145 cells, 1 run\n" in said
    # at 10 km a cell lies well inside a pixel of 11.6 km, so GDAL's approximation moves few
    assert float(re.search(r"same value in both: (\S+)%", said)[1]) > 99
    assert "GDAL" in said.splitlines()[-1]
    assert not (tmp_path / "work").exists()


@needs("cdo")
def test_climate_beside_cdo(tmp_path):
    said = benchmark(
        "climate.py", "--work", tmp_path / "work", "--methods", "nearest", "bilinear", "--grids", "headwaters"
    )
    table = rows(said)
    for method in ("nearest", "bilinear"):
        *ratios, difference = table[f"0.1 deg, 2 years, {method}"]
        assert all(numbers(cell)[0] > 0 for cell in ratios)
        largest, share = re.fullmatch(r"(\S+), (\S+)%", difference).groups()
        assert float(largest) < 1e-3
        assert float(share) == 0


@needs("cdo")
def test_peak_of_china_beside_cdo(tmp_path):
    said = benchmark("climate.py", "--work", tmp_path / "work", "--methods", "nearest", "--grids", "china")
    theirs, ours, ratio, *_ = (numbers(cell)[0] for cell in rows(said)["0.1 deg, nearest"])
    # the interpreter and what is imported take more than a tiny grid, whatever cdo does with it
    assert 50 < ours < 2000
    assert ratio == pytest.approx(ours / theirs, rel=0.2)


def test_memory_of_ingest(tmp_path):
    said = benchmark("memory.py", "--archive", tmp_path / "archive", "--work", tmp_path / "work")
    table = rows(said)
    cells = [[int(n) for n in table[f"{times}x"][0].split(" x ")] for times in (1, 4, 16)]
    assert [round(y * x / (cells[0][0] * cells[0][1]), 0) for y, x in cells] == [1, 4, 16]
    assert numbers(table["1x"][2]) == [1, 1, 1]
    rss, pss, largest = (numbers(table["16x"][k])[0] for k in (1, 3, 4))
    assert 50 < pss <= rss
    assert rss <= largest * 1.05


def test_layout_of_the_stores(tmp_path):
    said = benchmark("layout.py", "--archive", tmp_path / "archive", "--work", tmp_path / "work")
    table = rows(said)
    # 27 x 73 cells, chunks of 16: 2 x 5 of each of six years; 4 x 10 half as wide, of all years; 1 x 2 shards of 64
    files = {cut: int(table[cut][-1]) for cut in table if cut.startswith("(")}
    assert files["(1, 16, 16)"] == 60
    assert files["(6, 8, 8)"] == 40
    assert files["(1, 16, 16) in shards of (1, 64, 64)"] == 12
    assert all(numbers(cell.split("; ")[1])[0] == 1 for cell in table["(1, 16, 16)"][:-2])
    assert "| npp | **blosc zstd 1, bits** |" in said
    assert table["temperature"][0].endswith("(1.00; 0)")
    # every way of filling shards writes the same number of them, and all hold what was computed
    assert [table[way][-1] for way in ("chunks, no shards", "shards, all years held")] == ["576", "36"]
    assert table["shards, coded chunks in a temporary file"][-1] == "36"
    assert table["globe"] == ["shards of 4096", "200", "28,000", "6,000", "34,000"]
    assert numbers(table["years read again"][1]) == [1, 1, 1]
    assert "nan" not in said.partition("## A year more")[2]
    assert not (tmp_path / "work").exists()


def test_many_regions_beside_few(tmp_path):
    said = benchmark("regions.py", "--archive", tmp_path / "archive", "--work", tmp_path / "work")
    table = rows(said)
    assert [name for name in table if "regions" in name] == [
        f"{of} regions, {way}" for of in (6, 60) for way in ("centre", "exact")
    ]
    for cells in table.values():
        if len(cells) == 5:
            assert all(numbers(cell)[0] > 0 for cell in cells if cell[0].isdigit())
    assert numbers(table["6 regions, centre"][1]) == [1, 1, 1]
    assert not (tmp_path / "work").exists()


def test_scale_goes_on_where_it_was(tmp_path):
    said = benchmark("scale.py", "--work", tmp_path / "work")
    lines = [line.strip("| ").split(" | ") for line in said.splitlines() if re.match(r"\| \d+x", line)]
    assert [(cells[0], cells[2]) for cells in lines] == [
        ("1x", "ingest"), ("1x", "analyse"), ("4x", "ingest"), ("4x", "analyse")
    ]  # fmt: skip
    assert [cells[1] for cells in lines] == ["96 x 128"] * 2 + ["192 x 256"] * 2
    for _, _, _, rss, ratio, predicted, share, pss, seconds, *_ in lines:
        assert 50 < float(pss) <= float(rss)
        assert float(share) == pytest.approx(float(rss) / float(predicted), abs=0.006)
        assert 0.5 < float(ratio) < 2
        assert float(seconds) > 0
    kept = (tmp_path / "work" / "rows.jsonl").read_text().splitlines()
    assert len(kept) == 4
    # the last row is lost with half a line, as in a cut run, and only it is made again
    (tmp_path / "work" / "rows.jsonl").write_text("\n".join(kept[:3]) + "\n" + kept[3][:20])
    again = benchmark("scale.py", "--work", tmp_path / "work")
    rows_again = [line for line in again.splitlines() if re.match(r"\| \d+x", line)]
    assert rows_again[:3] == [line for line in said.splitlines() if re.match(r"\| \d+x", line)][:3]
    assert not (tmp_path / "work" / "out").exists()


def test_rejections_of_noise(tmp_path):
    said = benchmark("rejection.py", "--figure", tmp_path / "rejection.png")
    assert said.startswith("Rejected of 200 series, in percent:\n")
    table = {name: [float(cell) for cell in cells] for name, cells in rows(said).items() if name != "test"}
    assert len(table) == 10
    assert {len(cells) for cells in table.values()} == {6}
    # 200 series at 5 %: three standard errors are 4.6
    assert all(0.4 < cell < 9.6 for cell in table["OLS slope"][:3])
    # autocorrelation is found as a trend by all but 3PW and the plain pre-whitening
    for name, cells in table.items():
        assert (sum(cells[3:]) > sum(cells[:3]) + 8) == (name not in {"Mann-Kendall 3PW", "pre-whitened"}), name
    assert width(tmp_path / "rejection.png") > 800


def width(picture):
    """Of a PNG, in pixels."""
    head = picture.read_bytes()[:20]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return int.from_bytes(head[16:20], "big")


def test_pictures_of_the_statistics(tmp_path):
    said = benchmark("pictures.py", "--to", tmp_path)
    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert sorted(line.split()[0] for line in said.splitlines()) == drawn
    kept = {path.name: path for path in (ROOT / "docs" / "figures").glob("statistics-*.png")}
    assert drawn == sorted(kept)
    for name, path in kept.items():
        assert width(path) == pytest.approx(2.5 * width(tmp_path / name), abs=2)
        assert path.stat().st_size < 60_000


@needs("cdo")
def test_statistics_beside_what_else_there_is(tmp_path):
    said = benchmark("analysis.py", "--work", tmp_path / "work", "--archive", tmp_path / "archive")
    table = rows(said)
    for name, floor in (
        ("nepcube: maps", "floor: maps"),
        ("nepcube: maps, RH and NEP of each year", "floor: maps, RH and NEP of each year"),
    ):
        assert numbers(table[name][1])[0] > numbers(table[floor][1])[0] == 1
    assert {"cdo trend, then timstd / timmean", "nepcube"} < table.keys()
    assert float(re.search(r"Largest difference of a slope, of the largest slope: (\S+)\.\n", said)[1]) < 1e-5
    for name in ("pymannkendall.original_test (both of them)", "pingouin.partial_corr, three times"):
        assert numbers(table[name][2])[0] > 10
    for name in ("linear_trend", "partial_correlations", "the statistics of a recipe"):
        cold, warm = (numbers(cell)[0] for cell in table[name])
        assert cold > warm > 0
    assert not (tmp_path / "work").exists()
