"""Tables as tidy CSV files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["write_tables"]

#: significant digits of a float; fifteen bring most doubles back to the last bit, and the design asks for nine
_DIGITS = 15


def write_tables(tables: Mapping[str, pd.DataFrame], directory: Path) -> list[Path]:
    """Write each table as `<key>.csv`: UTF-8, commas, decimal points, shares from 0 to 1, an empty field for no value.

    Parameters
    ----------
    tables : mapping of str to pandas.DataFrame
    directory : pathlib.Path
        Made where it is missing.

    Returns
    -------
    list of pathlib.Path
        In the order of the mapping.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for key, table in tables.items():
        path = directory / f"{key}.csv"
        text = table.copy()
        for column in text.columns:
            if text[column].dtype.kind == "f":
                text[column] = [_write(value) for value in text[column]]
        partial = path.with_suffix(".csv.partial")
        text.to_csv(partial, index=False, lineterminator="\n", encoding="utf-8")
        # a table is there whole or not at all, even when the run is killed here
        partial.replace(path)
        written.append(path)
    return written


def _write(value: Any) -> str:
    if math.isnan(value):
        return ""
    # float32 has no more than nine digits of its own; more would be an invention
    digits = 9 if getattr(value, "itemsize", 8) == 4 else _DIGITS
    return f"{value:.{digits}g}"
