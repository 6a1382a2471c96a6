"""A tower's months as FLUXNET2015 publishes them, and the annual NEP that they add up to."""

from __future__ import annotations

import math
import os
from calendar import monthrange
from typing import TYPE_CHECKING, Any

from nepcube.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["COLUMNS", "MONTH_QC", "YEAR_QC", "annual_nep", "read_months", "tower_nep"]

#: time (yyyymm), net ecosystem exchange (gC m-2 per day), the share of half hours that are measured or well filled
COLUMNS = ("TIMESTAMP", "NEE_VUT_REF", "NEE_VUT_REF_QC")
MISSING = -9999.0
#: the least quality of a month, and of the mean of twelve
MONTH_QC = 0.5
YEAR_QC = 0.75

# no ecosystem exchanges as much as a monthly mean, gC m-2 per day: such a number is in another unit or a code
_MOST = 50.0
_WAY_OUT = f"Give the tower's monthly file (FLX_*_MM_*.csv) as FLUXNET2015 publishes it: {', '.join(COLUMNS)}."


def read_months(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the net ecosystem exchange of a FLUXNET2015 monthly file.

    Parameters
    ----------
    path : path-like
        ``FLX_*_MM_*.csv`` as it comes. -9999 and empty fields are missing.

    Returns
    -------
    pandas.DataFrame
        Columns ``year``, ``month``, ``nee`` (gC m-2 per day, positive is a source) and ``qc`` (0 to 1); a row a
        month, in order.

    Raises
    ------
    SourceError
        The file cannot be read, lacks a column, is not monthly, gives a month twice, or holds an impossible value.

    References
    ----------
    Pastorello, G. et al. 2020. The FLUXNET2015 dataset and the ONEFlux processing pipeline for eddy covariance data.
    Scientific Data 7, 225. https://doi.org/10.1038/s41597-020-0534-3
    """
    import pandas as pd

    text = _text(path)
    stamps = [_month(path, row, stamp) for row, stamp in enumerate(text["TIMESTAMP"], start=2)]
    if not stamps:
        raise SourceError(f"{path}: it holds no month.", _WAY_OUT)
    for row, stamp in enumerate(stamps, start=2):
        first = stamps.index(stamp) + 2
        if first != row:
            raise SourceError(
                f"{path}, rows {first} and {row}: {stamp[0]}{stamp[1]:02d} is there twice.",
                "Keep one row of each month.",
            )
    out = pd.DataFrame(stamps, columns=["year", "month"])
    out["nee"] = _numbers(path, text, "NEE_VUT_REF", -_MOST, _MOST, "gC m-2 per day")
    out["qc"] = _numbers(path, text, "NEE_VUT_REF_QC", 0.0, 1.0, "a share")
    return out.sort_values(["year", "month"], ignore_index=True)


def _text(path: str | os.PathLike[str]) -> pd.DataFrame:
    import pandas as pd

    try:
        # as text, so that what is no number is told with its row
        text = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"{path}: there is no such file.", "Paths are relative to the list of towers.") from None
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        raise SourceError(f"{path}: cannot be read as CSV ({why}).", _WAY_OUT) from None
    missing = [name for name in COLUMNS if name not in text.columns]
    if missing:
        other = "; NEE_CUT_REF is not taken in its place" if "NEE_CUT_REF" in text.columns else ""
        raise SourceError(f"{path}: it has no column {', '.join(missing)}{other}.", _WAY_OUT)
    return text


def _month(path: str | os.PathLike[str], row: int, stamp: str) -> tuple[int, int]:
    digits = stamp.strip()
    if not (len(digits) == 6 and digits.isascii() and digits.isdigit() and 1 <= int(digits[4:]) <= 12):
        raise SourceError(f"{path}, row {row}: TIMESTAMP {stamp!r} is not yyyymm.", _WAY_OUT)
    return int(digits[:4]), int(digits[4:])


def _numbers(
    path: str | os.PathLike[str], text: pd.DataFrame, column: str, low: float, high: float, unit: str
) -> list[float]:
    out = []
    for row, field in enumerate(text[column], start=2):
        try:
            value = float(field) if field.strip() else MISSING
        except ValueError:
            raise SourceError(f"{path}, row {row}: {column} {field!r} is not a number.", _WAY_OUT) from None
        if math.isnan(value) or value == MISSING:
            value = math.nan
        elif not low <= value <= high:
            raise SourceError(
                f"{path}, row {row}: {column} {value:g} is not within {low:g} to {high:g} ({unit}).", _WAY_OUT
            )
        out.append(value)
    return out


def annual_nep(months: pd.DataFrame) -> pd.DataFrame:
    """Add months up to annual NEP, and say which years count.

    NEP is minus the sum over twelve months of NEE times the days of the month. A year counts where it has all twelve
    months, each with a quality of at least 0.5, and a plain mean of the twelve of at least 0.75. Ecosystem respiration
    is never used: it holds the plants' own, which heterotrophic respiration does not.

    Parameters
    ----------
    months : pandas.DataFrame
        As `read_months` gives it.

    Returns
    -------
    pandas.DataFrame
        A row a year: ``year``, ``nep`` (gC m-2 yr-1, positive is a sink; missing without twelve months), ``months``
        (those with a value), ``qc_mean`` (of those that have one), ``counts`` and ``reason`` (empty where it counts).

    References
    ----------
    Pastorello, G. et al. 2020. The FLUXNET2015 dataset and the ONEFlux processing pipeline for eddy covariance data.
    Scientific Data 7, 225. https://doi.org/10.1038/s41597-020-0534-3
    """
    import pandas as pd

    ordered = months.sort_values(["year", "month"])
    rows = [_year(year, ordered[ordered["year"] == year]) for year in sorted({int(y) for y in months["year"]})]
    return pd.DataFrame(rows, columns=["year", "nep", "months", "qc_mean", "counts", "reason"])


def _year(year: int, months: pd.DataFrame) -> dict[str, Any]:
    names = list(months["month"])
    nee = dict(zip(names, map(float, months["nee"]), strict=True))
    qc = dict(zip(names, map(float, months["qc"]), strict=True))
    nee = {month: value for month, value in nee.items() if not math.isnan(value)}
    qc = {month: value for month, value in qc.items() if not math.isnan(value)}
    # + 0.0 so that no exchange at all is 0, not -0
    nep = -math.fsum(v * monthrange(year, m)[1] for m, v in nee.items()) + 0.0 if len(nee) == 12 else math.nan
    mean = math.fsum(qc.values()) / len(qc) if qc else math.nan
    why = []
    if len(nee) < 12:
        why.append(f"{len(nee)} of 12 months")
    unknown = [month for month in nee if month not in qc]
    if unknown:
        why.append(f"no quality in {len(unknown)} month(s)")
    poor = [month for month in nee if qc.get(month, 1.0) < MONTH_QC]
    if poor:
        why.append(f"quality below {MONTH_QC:g} in {len(poor)} month(s), first {year}{poor[0]:02d}")
    if mean < YEAR_QC:
        why.append(f"mean quality {mean:.3f} is below {YEAR_QC:g}")
    return {
        "year": year,
        "nep": nep,
        "months": len(nee),
        "qc_mean": mean,
        "counts": not why,
        "reason": "; ".join(why),
    }


def tower_nep(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Give the annual NEP of a flux tower from its FLUXNET2015 monthly file.

    NEP is minus the sum of ``NEE_VUT_REF`` times the days of each month. A year counts with twelve months, each with a
    quality (the share of half hours that are measured or well filled) of at least 0.5, and a mean of the twelve of at
    least 0.75.

    Parameters
    ----------
    path : path-like
        ``FLX_*_MM_*.csv`` as it comes: ``TIMESTAMP`` (yyyymm), ``NEE_VUT_REF`` (gC m-2 per day), ``NEE_VUT_REF_QC``.

    Returns
    -------
    pandas.DataFrame
        A row a year: ``year``, ``nep`` (gC m-2 yr-1, positive is a sink), ``months``, ``qc_mean``, ``counts`` and
        ``reason``.

    Raises
    ------
    SourceError
        The file is not such a file.

    References
    ----------
    Pastorello, G. et al. 2020. The FLUXNET2015 dataset and the ONEFlux processing pipeline for eddy covariance data.
    Scientific Data 7, 225. https://doi.org/10.1038/s41597-020-0534-3
    """
    return annual_nep(read_months(path))
