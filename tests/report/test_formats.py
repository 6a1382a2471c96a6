"""The tables in other formats: read back by other software, and equal to what was written."""

import re
import sys

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from nepcube.errors import SpecError
from nepcube.pipeline import write_tables
from nepcube.report.formats import FORMATS, latex, markdown, require_formats, write_formats

TABLE = pd.DataFrame(
    {
        "region": ["Hoh Xil | semi_desert & 5 %", "=1+1", "可可西里"],
        "year": [2001, 2002, 2003],
        "mean_gc_m2": [17.859123456789012, np.nan, -3.2e-9],
        "upper": [0.1, np.inf, -np.inf],
    }
)
TABLES = {"series": TABLE, "a_name_of_a_table_that_is_longer_than_a_sheet": TABLE.head(1)}


def cells(line):
    return [c.strip().replace("\\|", "|").replace("\\\\", "\\") for c in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def test_parquet_keeps_every_bit(tmp_path):
    write_formats(TABLES, tmp_path, ["parquet"])
    assert_frame_equal(pd.read_parquet(tmp_path / "series.parquet"), TABLE, check_dtype=False, check_exact=True)
    names = pyarrow.parquet.read_schema(tmp_path / "series.parquet").names
    assert names == list(TABLE.columns)


def test_a_workbook_has_a_sheet_for_each_table(tmp_path):
    assert write_formats(TABLES, tmp_path, ["xlsx"]) == [tmp_path / "tables.xlsx"]
    book = openpyxl.load_workbook(tmp_path / "tables.xlsx")
    assert book.sheetnames == ["series", "a_name_of_a_table_that_is_longe"]
    rows = list(book["series"].iter_rows(values_only=True))
    assert rows[0] == tuple(TABLE.columns)
    assert rows[1] == (TABLE.region[0], 2001, 17.859123456789012, 0.1)
    # no value is empty, an open bound is a word, and a name is no formula
    assert rows[2] == ("=1+1", 2002, None, "inf")
    assert book["series"]["A3"].data_type == "s"


def test_markdown_is_read_back():
    lines = markdown(TABLE).splitlines()
    assert cells(lines[0]) == list(TABLE.columns)
    assert cells(lines[1]) == ["---", "---:", "---:", "---:"]
    assert cells(lines[2]) == ["Hoh Xil | semi_desert & 5 %", "2001", "17.8591", "0.1"]
    assert cells(lines[3])[2:] == ["", "inf"]
    assert len(lines) == 2 + len(TABLE)


def test_latex_escapes_what_it_must():
    text = latex(TABLE, "slope_classes")
    assert r"Hoh Xil | semi\_desert \& 5 \% & 2001 & 17.8591 & 0.1 \\" in text
    assert r"\caption{slope classes} \label{tab:slope_classes} \\" in text
    assert text.count(r"\begin{longtable}{lrrr}") == text.count(r"\end{longtable}") == 1
    # head, head of the next page, caption and rows end alike
    assert text.count("\\\\\n") == 3 + len(TABLE)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=12), min_size=1, max_size=4))
def test_any_name_stays_in_its_cell(tmp_path_factory, names):
    table = pd.DataFrame({"region": names, "value": np.arange(len(names)) / 7})
    lines = markdown(table).splitlines()
    assert all(len(cells(line)) == 2 for line in lines)
    assert len(lines) == 2 + len(names)
    assert latex(table, "t").count("\\\\\n") == 3 + len(names)
    folder = tmp_path_factory.mktemp("book")
    write_formats({"t": table}, folder, ["xlsx"])
    rows = list(openpyxl.load_workbook(folder / "tables.xlsx")["t"].iter_rows(values_only=True))
    # a workbook has sixteen digits
    np.testing.assert_allclose([row[1] for row in rows[1:]], table["value"], rtol=1e-15)


def test_nothing_half_written_is_left(tmp_path):
    broken = TABLE.assign(region=[object(), object(), object()])
    with pytest.raises(Exception, match="object"):
        write_formats({"series": broken}, tmp_path, ["parquet"])
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_known_or_not_there_is_refused(monkeypatch, tmp_path):
    with pytest.raises(SpecError, match="'pdf' is not a format") as told:
        write_formats(TABLES, tmp_path / "new", ["md", "pdf"])
    assert told.value.way_out == "Use one of md, tex, xlsx, parquet."
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SpecError, match="xlsx needs the package openpyxl") as told:
        require_formats(["xlsx"])
    assert "nepcube[tables]" in told.value.way_out
    require_formats(["md", "tex"])


def test_the_tables_of_a_run(copied, cli):
    told = cli("report", copied.recipe, "-o", copied.out, "--tables", ",".join(FORMATS))
    assert told.code == 0
    csv = {p.stem for p in (copied.out / "tables").glob("*.csv")}
    for ending in ("md", "tex", "parquet"):
        assert {p.stem for p in (copied.out / "tables").glob(f"*.{ending}")} == csv
    assert len(told.out) == 3 * len(csv) + 1
    series = pd.read_csv(copied.out / "tables" / "series.csv")
    assert_frame_equal(pd.read_parquet(copied.out / "tables" / "series.parquet"), series, check_dtype=False)
    assert cli("report", copied.recipe, "-o", copied.out, "--tables", "doc").err == [
        "error: --tables: 'doc' is not a format.",
        "       Use one of md, tex, xlsx, parquet.",
    ]
    assert all(str(p).endswith(".md") for p in write_tables(copied.recipe, copied.out, ["md"]))


def test_the_tables_must_be_those_of_the_recipe(copied, cli, write_recipe, tmp_path):
    other = write_recipe(respiration__basis="monthly")
    found = cli("report", other, "-o", copied.out, "--tables", "md")
    assert found.code == 2
    assert found.err[0].endswith("`report` needs `analyse`, which is not done for this recipe.")
    assert not list((copied.out / "tables").glob("*.md"))
    found = cli("report", copied.recipe, "-o", tmp_path / "none", "--tables", "md")
    assert (found.code, len(found.err)) == (2, 2)
    assert not (tmp_path / "none").exists()


def test_without_the_packages_nothing_of_them_is_imported():
    import subprocess

    code = "import sys, nepcube.report, nepcube.pipeline; print({'openpyxl', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
