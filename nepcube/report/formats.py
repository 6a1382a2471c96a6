"""The tables in other formats than CSV: Markdown and LaTeX to paste, a workbook, Parquet."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nepcube.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd

#: the formats, and the package that one needs beside ours
FORMATS: dict[str, str | None] = {"md": None, "tex": None, "xlsx": "openpyxl", "parquet": "pyarrow"}
#: significant digits of what is read by people
DIGITS = 6
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
# a sheet's name may have so many letters
_SHEET = 31


def require_formats(formats: Sequence[str]) -> None:
    """Refuse a format that is not known, or whose package is not installed.

    Raises
    ------
    SpecError
    """
    for name in formats:
        if name not in FORMATS:
            raise SpecError(f"--tables: {name!r} is not a format.", f"Use one of {', '.join(FORMATS)}.")
        package = FORMATS[name]
        if package is not None and importlib.util.find_spec(package) is None:
            raise SpecError(
                f"--tables: {name} needs the package {package}, which is not installed.",
                "Install it with `pip install 'nepcube[tables]'`.",
            )


def write_formats(tables: Mapping[str, pd.DataFrame], directory: Path, formats: Sequence[str]) -> list[Path]:
    """Write each table in other formats beside its CSV.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
    directory : pathlib.Path
        Made where it is missing.
    formats : sequence of {"md", "tex", "xlsx", "parquet"}
        ``md`` and ``tex`` (a ``longtable`` of ``booktabs``) have six significant digits and are for reading; Parquet
        keeps every digit, the workbook sixteen. ``xlsx`` is one file, ``tables.xlsx``, with a sheet for each table.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    SpecError
        A format is not known, or its package is not installed.
    """
    require_formats(formats)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        if name == "xlsx":
            written.append(_whole(directory / "tables.xlsx", lambda path: _write_workbook(tables, path)))
            continue
        for key, table in tables.items():
            written.append(_whole(directory / f"{key}.{name}", _writer(name, key, table)))
    return written


def _writer(name: str, key: str, table: pd.DataFrame) -> Callable[[Path], None]:
    if name == "parquet":
        return lambda path: table.to_parquet(path, engine="pyarrow", index=False)
    text = markdown(table) if name == "md" else latex(table, key)

    def write(path: Path) -> None:
        path.write_bytes(text.encode())

    return write


def _whole(path: Path, write: Callable[[Path], None]) -> Path:
    # a table is there whole or not at all; the ending stays, since a workbook is known by it
    partial = path.with_name(f".partial-{path.name}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def markdown(table: pd.DataFrame) -> str:
    """Give a table as Markdown; numbers stand on the right."""
    heads = [_markdown_text(str(column)) for column in table.columns]
    rule = ["---:" if _is_number(table[column]) else "---" for column in table.columns]
    rows = [[_markdown_text(text) for text in row] for row in _rows(table)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heads, rule, *rows))


def latex(table: pd.DataFrame, key: str) -> str:
    """Give a table as a ``longtable`` for a document that uses ``booktabs`` and ``longtable``."""
    columns = "".join("r" if _is_number(table[column]) else "l" for column in table.columns)
    head = " & ".join(_latex_text(str(column)) for column in table.columns)
    body = "".join(" & ".join(_latex_text(text) for text in row) + " \\\\\n" for row in _rows(table))
    return (
        f"% \\usepackage{{booktabs,longtable}}\n\\begin{{longtable}}{{{columns}}}\n"
        f"\\caption{{{_latex_text(key.replace('_', ' '))}}} \\label{{tab:{key}}} \\\\\n"
        f"\\toprule\n{head} \\\\\n\\midrule\n\\endfirsthead\n\\toprule\n{head} \\\\\n\\midrule\n\\endhead\n"
        f"\\bottomrule\n\\endfoot\n{body}\\end{{longtable}}\n"
    )


def _write_workbook(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.active)
    for key, table in tables.items():
        sheet = book.create_sheet(key[:_SHEET])
        sheet.append([str(column) for column in table.columns])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for row in table.itertuples(index=False):
            sheet.append([_cell(value) for value in row])
        for row in sheet.iter_rows(min_row=2):
            for cell in row:
                # a name that begins like a formula is a name
                if cell.data_type == "f":
                    cell.data_type = "s"
        sheet.freeze_panes = "A2"
        for k, column in enumerate(table.columns, start=1):
            sheet.column_dimensions[get_column_letter(k)].width = max(10, len(str(column)) + 2)
    book.save(path)


def _cell(value: Any) -> Any:
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str):
        return ILLEGAL_CHARACTERS_RE.sub("", value)
    if isinstance(value, float) and not math.isfinite(value):
        # a workbook has no infinity: the outer classes are open
        return None if math.isnan(value) else str(value)
    return value


def _rows(table: pd.DataFrame) -> list[list[str]]:
    return [[_text(value) for value in row] for row in table.itertuples(index=False)]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.{DIGITS}g}"
    return "" if value is None else str(value)


def _is_number(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "fiu"


def _markdown_text(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))
