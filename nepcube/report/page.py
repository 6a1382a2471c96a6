"""The page of a run: one file that holds its figures, needs no network and runs no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.reading import reading_tables, value_of, year_text
from nepcube.report.style import FLUX, SLOPE, number, p_text

__all__ = ["write_page"]

#: widest picture in the page, pixels: sharp on a phone and on paper, a tenth of the bytes of the printed figure
_WIDEST = 1600
_STUDY = "Zhang et al. (2023), doi 10.6046/zrzyyg.2022042"

_PARTIAL = "Partial correlation of annual {{nep}} with {}, the other drivers held. Dots: significant cells."
#: what each figure shows, and the figure of a study like this that it stands for
_CAPTIONS: dict[str, tuple[str, str]] = {
    "map_regions": ("The study area and its regions.", "Fig. 1"),
    "map_nep_mean": ("Mean annual {nep} of the cells that count. Cells outside the regions are white.", "Fig. 5"),
    "map_slope_class": (
        "Classes of the trend: the least-squares slope of annual {nep} on the year.",
        "Fig. 6 and Tab. 2",
    ),
    "map_cv_class": (
        "Classes of stability: the coefficient of variation of annual {nep}; low variation is high stability.",
        "Fig. 7 and Tab. 3",
    ),
    "map_trend_class": (
        "Direction of the Theil-Sen slope of annual {nep}, by the p-value of each cell's own Mann-Kendall test.",
        "",
    ),
    "map_nep_dominant_driver": (
        "The driver whose partial correlation with annual {nep} is the largest of those that are significant.",
        "",
    ),
    "map_npp_dominant_driver": (
        "The driver whose partial correlation with annual NPP is the largest of those that are significant.",
        "",
    ),
    "map_npp_attribution": (
        "The change of annual NPP divided into that of climate's potential NPP and the rest; slopes of any size.",
        "",
    ),
    "map_partial_temperature": (_PARTIAL.format("temperature"), "Fig. 8 a"),
    "map_partial_precipitation": (_PARTIAL.format("precipitation"), "Fig. 8 b"),
    "map_partial_radiation": (_PARTIAL.format("surface net solar radiation"), "Fig. 8 c"),
    "series": ("Area-weighted mean {nep} by year, with its least-squares trend.", "Fig. 2"),
    "series_by_region": (
        "Area-weighted mean {nep} by year in each region, each with its own trend and its own scale.",
        "Fig. 4",
    ),
    "sink_share": (
        "Share of the area with data that is a sink ({nep} > 0) and a source ({nep} < 0), by year.",
        "Fig. 3",
    ),
    "partial_shares": (
        "Share of area in each class of partial correlation, for the whole and for each region; "
        "the colours are those of the maps.",
        "Fig. 9",
    ),
}


def _embedded(path: Path) -> tuple[str, int, int]:
    # a picture for the screen: smaller, and with a palette of its own 256 colours
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    small = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    small.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii"), picture.width, picture.height


def _figures(inputs: ReportInputs, paths: Sequence[Path]) -> list[dict[str, Any]]:
    out = []
    for path in paths:
        stem = Path(path).stem
        text, like = _CAPTIONS.get(stem, (stem.replace("_", " "), ""))
        data, width, height = _embedded(Path(path))
        caption = text.format(nep=inputs.nep)
        out.append(
            {
                "id": stem,
                "file": f"figures/{Path(path).name}",
                "data": data,
                "width": width,
                "height": height,
                "caption": caption,
                "like": like,
            }
        )
    return out


def _key_figures(inputs: ReportInputs) -> list[dict[str, str]]:
    out: list[dict[str, str]] = []

    def add(label: str, value: str, unit: str, more: str = "") -> None:
        out.append({"label": label, "value": value, "unit": unit, "more": more})

    name = f"{inputs.nep[:1].upper()}{inputs.nep[1:]}"
    summary, series = inputs.rows("summary", region=ALL), inputs.rows("series", region=ALL)
    if len(summary):
        row = summary.iloc[0]
        add(f"Mean annual {inputs.nep}", number(value_of(row, "mean_gc_m2"), 2), FLUX, f"{inputs.years}, area-weighted")
        slope = value_of(row, "slope_gc_m2_yr")
        add(
            "Trend",
            ("+" if slope > 0 else "") + number(slope, digits=3),
            SLOPE,
            f"least squares, {p_text(value_of(row, 'slope_pvalue'))}",
        )
        add("Cumulative", number(value_of(row, "cumulative_gc_m2"), 1), "gC m⁻²", f"sum of the years {inputs.years}")
    if len(series):
        total = np.asarray(series["total_tgc"], "f8")
        if np.isfinite(total).any():
            add(
                "Total",
                number(float(np.nansum(total)), digits=4),
                "TgC",
                f"sum of the years, over {number(value_of(series.iloc[0], 'area_km2'), 0)} km² with data",
            )
    if len(summary):
        row = summary.iloc[0]
        add("Lowest year", year_text(row["min_year"]), "", f"{number(value_of(row, 'min_gc_m2'), 2)} {FLUX}")
        add("Highest year", year_text(row["max_year"]), "", f"{number(value_of(row, 'max_gc_m2'), 2)} {FLUX}")
    if len(series):
        sink = np.asarray(series["sink_share"], "f8")
        if np.isfinite(sink).any():
            low, high = int(np.nanargmin(sink)), int(np.nanargmax(sink))
            years = np.asarray(series["year"])
            add(
                "Sink share of area",
                f"{number(100 * sink[low], 1)}–{number(100 * sink[high], 1)}",
                "%",
                f"lowest in {years[low]}, highest in {years[high]}",
            )
    if len(summary) and not out:
        add(name, "–", FLUX)
    return out


def size(count: float) -> str:
    """Write a number of bytes in binary units."""
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _inputs(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, str]]] = {}
    total: dict[str, int] = {}
    for entry in provenance.get("inputs") or []:
        source = str(entry.get("source", "unnamed"))
        count = int(entry.get("bytes") or 0)
        total[source] = total.get(source, 0) + count
        groups.setdefault(source, []).append(
            {"path": str(entry.get("path", "")), "bytes": size(count), "hash": str(entry.get("hash") or "")}
        )
    return [{"source": s, "count": len(files), "bytes": size(total[s]), "files": files} for s, files in groups.items()]


def seconds(value: float) -> str:
    """Write a duration."""
    value = float(value)
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def write_page(inputs: ReportInputs, figures: Sequence[Path], path: Path) -> Path:
    """Write the page of a run as one file that needs no other.

    Parameters
    ----------
    inputs : ReportInputs
    figures : sequence of pathlib.Path
        PNG files, as `draw_figures` gives them; they are made smaller and put into the page.
    path : pathlib.Path

    Returns
    -------
    pathlib.Path
        The one given.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    # every text comes from a recipe, a file name or a polygon's attribute: all of it is escaped
    environment = Environment(
        loader=PackageLoader("nepcube.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    provenance = inputs.provenance
    html = environment.get_template("report.html.j2").render(
        inputs=inputs,
        key_figures=_key_figures(inputs),
        figures=_figures(inputs, figures),
        tables=reading_tables(inputs),
        input_groups=_inputs(provenance),
        versions=dict(provenance.get("versions") or {}),
        stages={str(k): seconds(v) for k, v in dict(provenance.get("stages") or {}).items()},
        created=str(provenance.get("created") or ""),
        study=_STUDY,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(html, encoding="utf-8", newline="\n")
    partial.replace(path)
    return path
