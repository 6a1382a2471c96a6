"""Tables, maps, charts and one static page of a finished run.

The room computes no statistics and uses no network. It draws what it is given; heavy libraries are imported on
first use, and nothing of matplotlib's global state is touched.
"""

from __future__ import annotations

from nepcube.report.agreement import draw_agreement
from nepcube.report.classes import TABLES as CLASS_TABLES
from nepcube.report.figures import FIGURES, draw_differences, draw_figures
from nepcube.report.formats import FORMATS, require_formats, write_formats
from nepcube.report.inputs import ALL, Method, Note, ReportInputs
from nepcube.report.page import languages_of, write_page
from nepcube.report.paper import CAPTIONS, PAPER_FIGURES, PAPER_FORMATS, PAPER_WIDTHS, draw_paper, require_paper_formats
from nepcube.report.plot import plot_chart, plot_map, thinned
from nepcube.report.reading import years_between
from nepcube.report.saying import Told, known, say
from nepcube.report.sheet import map_figure
from nepcube.report.strata import stratum_word
from nepcube.report.style import journal_style, number, percent
from nepcube.report.tables import write_tables
from nepcube.report.words import LANGUAGES, Language, require_language

__all__ = [
    "ALL",
    "CAPTIONS",
    "CLASS_TABLES",
    "FIGURES",
    "FORMATS",
    "LANGUAGES",
    "PAPER_FIGURES",
    "PAPER_FORMATS",
    "PAPER_WIDTHS",
    "Language",
    "Method",
    "Note",
    "ReportInputs",
    "Told",
    "draw_agreement",
    "draw_differences",
    "draw_figures",
    "draw_paper",
    "journal_style",
    "known",
    "languages_of",
    "map_figure",
    "number",
    "percent",
    "plot_chart",
    "plot_map",
    "require_formats",
    "require_language",
    "require_paper_formats",
    "say",
    "stratum_word",
    "thinned",
    "write_formats",
    "write_page",
    "write_tables",
    "years_between",
]
