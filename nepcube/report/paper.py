"""The figures for a paper: two column widths, as vector and PNG, their captions in a file of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nepcube import spec
from nepcube.errors import SpecError
from nepcube.report.chart_sheets import partial_sheet, region_sheet, series_sheet, sink_sheet
from nepcube.report.classes import TABLES
from nepcube.report.inputs import ALL, ReportInputs
from nepcube.report.panels import partial_panels
from nepcube.report.sheet import map_sheet, sentences
from nepcube.report.style import DOUBLE, DPI, SINGLE, journal_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CAPTIONS", "PAPER_FIGURES", "PAPER_FORMATS", "PAPER_WIDTHS", "draw_paper", "require_paper_formats"]

PAPER_FORMATS = ("pdf", "svg", "png")
#: mm
PAPER_WIDTHS = {"single": SINGLE, "double": DOUBLE}
CAPTIONS = "captions.md"
# the maps that a run may have, by their names in the statistics
_MAPS = ("nep_mean", "nep_slope", *TABLES, *spec.ERROR_MAPS)
#: every figure of a run for a paper
PAPER_FIGURES = (
    "map_regions", *(f"map_{name}" for name in _MAPS), *(f"map_partial_{driver}" for driver in spec.CLIMATE),
    "map_partial", "series", "series_by_region", "sink_share", "partial_shares",
)  # fmt: skip

#: draws a figure of a width and dpi, and tells its caption
_Drawing = Callable[[float, float], "tuple[Figure, str] | None"]


def require_paper_formats(formats: Sequence[str]) -> None:
    """Refuse a format of figures that is not known.

    Raises
    ------
    SpecError
    """
    for name in formats:
        if name not in PAPER_FORMATS:
            raise SpecError(f"figures: {name!r} is not a format.", f"Use one of {', '.join(PAPER_FORMATS)}.")


def _drawings(inputs: ReportInputs, inset: bool) -> Iterator[tuple[str, _Drawing]]:
    told = inputs.words

    def of_map(name: str, inset: bool = False) -> _Drawing:
        return lambda width, dpi: map_sheet(inputs, name, width_mm=width, dpi=dpi, titled=False, inset=inset)

    def titled(key: str, note: str) -> str:
        return sentences(inputs, [told[f"title.{key}"].format(nep=inputs.nep, years=inputs.years), note])

    def of_chart(key: str, draw: Callable[[float, float], tuple[Figure, str] | Figure | None]) -> _Drawing:
        def drawing(width: float, dpi: float) -> tuple[Figure, str] | None:
            made = draw(width, dpi)
            if made is None:
                return None
            figure, note = made if isinstance(made, tuple) else (made, "")
            return figure, titled(key, note)

        return drawing

    yield "map_regions", of_map("regions", inset)
    for name in (*_MAPS, *inputs.differences):
        if name in inputs.maps:
            yield f"map_{name}", of_map(name)
    for driver in inputs.drivers:
        yield f"map_partial_{driver}", of_map(f"partial_{driver}")
    yield "map_partial", of_chart("partials", lambda width, dpi: partial_panels(inputs, width, dpi))
    if len(inputs.rows("series", region=ALL)):
        yield "series", of_chart("series", lambda width, dpi: series_sheet(inputs, width, dpi))
        yield (
            "series_by_region",
            of_chart("series_by_region", lambda width, dpi: region_sheet(inputs, width, dpi, titled=False)),
        )
        yield "sink_share", of_chart("sink_share", lambda width, dpi: sink_sheet(inputs, width, dpi))
    ending = "_alone" if inputs.correlation_is_plain else ""
    yield "partial_shares", of_chart(f"partial_shares{ending}", lambda width, dpi: partial_sheet(inputs, width, dpi))


def draw_paper(
    inputs: ReportInputs,
    directory: Path,
    formats: Sequence[str] = ("pdf", "png"),
    *,
    only: Collection[str] | None = None,
    inset: bool = False,
    dpi: float = DPI,
    progress: Callable[[int, int, str], None] = lambda done, of, name: None,
) -> list[Path]:
    """Draw the figures for a paper, each in two widths and every format, and a file of their captions.

    Title and notes stand in the captions, not on the figures. In PDF and SVG lines and text are vectors (a PDF
    carries its fonts, in an SVG text is text), the cells of a map are a picture of `dpi`.

    Parameters
    ----------
    inputs : ReportInputs
        Its `language` is that of the figures.
    directory : pathlib.Path
        Made where it is missing.
    formats : sequence of {"pdf", "svg", "png"}
    only : collection of str, optional
        Names of figures, such as ``map_nep_mean``; all when left out.
    inset : bool
        Whether the map of the regions has a globe that shows where it lies.
    dpi : float
    progress : callable, optional
        Called with (done, of, name).

    Returns
    -------
    list of pathlib.Path
        ``<figure>_single.<format>`` (88 mm), ``<figure>_double.<format>`` (180 mm), and the captions.

    Raises
    ------
    SpecError
        A format is not known.
    """
    require_paper_formats(formats)
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    captions: list[str] = []
    with journal_style():
        drawings = [(name, d) for name, d in _drawings(inputs, inset) if only is None or name in only]
        for k, (name, drawing) in enumerate(drawings):
            progress(k, len(drawings), name)
            told: dict[str, str] = {}
            for width, mm in PAPER_WIDTHS.items():
                made = drawing(mm, dpi)
                if made is None:
                    continue
                figure, told[width] = made
                for kind in formats:
                    path = directory / f"{name}_{width}.{kind}"
                    written.append(_saved(figure, path, kind, dpi, f"{inputs.title}: {name}"))
            captions += _caption(name, told)
        progress(len(drawings), len(drawings), CAPTIONS)
    path = directory / CAPTIONS
    partial = path.with_name(f".partial-{path.name}")
    heading = [f"# {inputs.title}", ""] + ([inputs.words["note.not_data"], ""] if inputs.generated else [])
    partial.write_text("\n".join(heading + captions), encoding="utf-8", newline="\n")
    partial.replace(path)
    return [*written, path]


def _caption(name: str, told: dict[str, str]) -> list[str]:
    if len(set(told.values())) == 1:
        return [f"**{name}**", "", next(iter(told.values())), ""]
    # dots are as far apart on the paper in both widths, so that another share of the cells is looked at
    return [line for width, text in told.items() for line in (f"**{name}_{width}**", "", text, "")]


def _saved(figure: Figure, path: Path, kind: str, dpi: float, title: str) -> Path:
    # neither a date nor a version, so that the same inputs give the same file
    metadata: dict[str, Any] = {
        "png": {"Software": None, "Title": title},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None, "Title": title},
        "svg": {"Date": None, "Creator": None, "Title": title},
    }[kind]
    # a figure is there whole or not at all
    partial = path.with_name(f".partial-{path.name}")
    try:
        figure.savefig(partial, format=kind, dpi=dpi, metadata=metadata)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
