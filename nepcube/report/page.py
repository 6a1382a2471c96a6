"""The page of a run: one file that holds its figures, charts and script, and needs no network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nepcube.report import plots
from nepcube.report.headline import key_figures
from nepcube.report.inputs import ReportInputs
from nepcube.report.pictures import DRAWN, Picture, pictures_of
from nepcube.report.reading import Table, reading_tables, years_word
from nepcube.report.regional import regional_tables
from nepcube.report.saying import HTML_LANGUAGE, Speech, data_island, say
from nepcube.report.strata import stratum_tables
from nepcube.report.words import Language

__all__ = ["languages_of", "write_page"]

#: the sections, and the figures and tables of each in their order; what is in none comes after them
_PLAN: dict[str, tuple[str, ...]] = {
    "years": ("f:series", "t:series", "f:series_by_region", "t:summary", "t:uncertainty", "f:sink_share"),
    "maps": (
        *(
            "f:map_regions",
            "f:map_nep_mean",
            "f:map_nep_mean_uncertainty",
            "f:map_nep_sink_probability",
            "f:map_nep_slope",
            "f:map_slope_class",
            "t:slope_classes",
        ),
        *("f:map_cv_class", "t:cv_classes", "f:map_trend_class", "t:trend_classes"),
    ),
    "drivers": (
        *("f:map_partial_temperature", "f:map_partial_precipitation", "f:map_partial_radiation"),
        *("f:partial_shares", "t:partial_classes_temperature", "t:partial_classes_precipitation"),
        *("t:partial_classes_radiation", "f:map_nep_dominant_driver", "t:dominant_drivers"),
        *("f:map_npp_dominant_driver", "t:dominant_drivers_npp", "f:map_npp_attribution", "t:attribution_classes"),
    ),
    "strata": (),
    "checks": ("t:field_significance", "t:npp_flags", "t:regions"),
}


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
    return [
        {"name": s, "title": say("provenance.group", source=s, count=len(found), size=size(total[s])), "files": found}
        for s, found in groups.items()
    ]


def seconds(value: float) -> str:
    """Write a duration."""
    value = float(value)
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@dataclass(frozen=True)
class Charts:
    """The charts that the page draws itself."""

    series: plots.Plot | None
    regions: list[plots.Plot]
    sinks: list[plots.Plot]
    partials: list[plots.Stack]

    def marks(self, speech: Speech) -> dict[str, list[dict[str, Any]]]:
        """Give what the marks tell, for the script."""
        every: list[plots.Plot | plots.Stack] = [*self.regions, *self.sinks, *self.partials]
        if self.series is not None:
            every.insert(0, self.series)
        return {
            chart.key: [
                {"t": speech.data(m.title), "v": [[speech.data(label), value] for label, value in m.values]}
                for m in chart.marks
            ]
            for chart in every
        }

    @property
    def there(self) -> set[str]:
        """The names of the figures that have something to show."""
        found = {"series": self.series, "series_by_region": self.regions, "sink_share": self.sinks}
        return {name for name, what in (found | {"partial_shares": self.partials}).items() if what}


def _charts(inputs: ReportInputs) -> Charts:
    has_series = bool(len(inputs.rows("series")))
    return Charts(
        plots.series_plot(inputs) if has_series else None,
        plots.region_plots(inputs) if has_series else [],
        plots.sink_plots(inputs),
        plots.partial_stacks(inputs),
    )


def _sections(
    tables: dict[str, Table], pictures: dict[str, Picture], there: set[str], strata: list[str]
) -> dict[str, list[Any]]:
    # figures and tables are numbered as they stand
    shown = {k: p for k, p in pictures.items() if k not in DRAWN or k in there}
    planned = {item for items in _PLAN.values() for item in items} | {f"t:{k}" for k in strata}
    plan = {section: list(items) for section, items in _PLAN.items()}
    plan["maps"] += [f"f:{k}" for k in shown if f"f:{k}" not in planned]
    plan["strata"] += [f"t:{k}" for k in strata]
    plan["checks"] += [f"t:{k}" for k in tables if f"t:{k}" not in planned and k != "respiration_bases"]
    out: dict[str, list[Any]] = {}
    figure, table = 0, 1 if "respiration_bases" in tables else 0
    for section, items in plan.items():
        found: list[Any] = []
        for item in items:
            kind, _, key = item.partition(":")
            if kind == "f" and key in shown:
                figure += 1
                found.append(("figure", figure, shown[key]))
            if kind == "t" and key in tables:
                table += 1
                found.append(("table", table, tables[key]))
        if found:
            out[section] = found
    return out


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"


def languages_of(text: str) -> tuple[str, ...]:
    """Give the languages that a page was written in, in their order; none where it does not say so."""
    import re

    found = re.search(r'<html [^>]*data-languages="([a-z ]*)"', text[:500])
    return tuple(found[1].split()) if found else ()


def write_page(
    inputs: ReportInputs,
    figures: Sequence[Path],
    path: Path,
    *,
    languages: Sequence[Language] = ("en",),
    others: Mapping[Language, Sequence[Path]] = MappingProxyType({}),
) -> Path:
    """Write the page of a run as one file that needs no other.

    Parameters
    ----------
    inputs : ReportInputs
    figures : sequence of pathlib.Path
        PNG files, as `draw_figures` gives them; the maps are put into the page, the charts are drawn anew by it.
    path : pathlib.Path
    languages : sequence of {"en", "zh"}
        More than one gives a page with a switch, that shows the first.
    others : mapping of str to sequence of pathlib.Path
        The same maps drawn in the other languages, by language; one that is missing is shown as it is in the first.

    Returns
    -------
    pathlib.Path
        The one given.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    # the words of tables are turned into the page's languages below
    inputs = replace(inputs, language="en")
    speech = Speech(languages)
    # every text comes from a recipe, a file name or a polygon's attribute: all of it is escaped
    environment = Environment(
        loader=PackageLoader("nepcube.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        t=speech.html,
        plain=speech.plain,
        other=lambda told: data_island(speech.other(told)),
        places=lambda value: f"{value:.2f}".rstrip("0").rstrip("."),
    )
    templates = files("nepcube.report") / "templates"
    style, script = ((templates / f"report.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    charts = _charts(inputs)
    strata = {table.key: table for table in stratum_tables(inputs)}
    tables = {table.key: table for table in (*reading_tables(inputs), *regional_tables(inputs))} | strata
    pictures = pictures_of(inputs, figures, languages, others)
    provenance = inputs.provenance
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    html = environment.get_template("report.html.j2").render(
        inputs=inputs,
        say=say,
        policy=Markup(policy),
        style=Markup(style),
        script=Markup(script),
        island=Markup(data_island({"marks": charts.marks(speech), "words": _script_words(speech)})),
        codes=[(one, HTML_LANGUAGE[one]) for one in speech.languages],
        years=years_word(inputs),
        keys=key_figures(inputs),
        charts=charts,
        plots=plots,
        bases=tables.get("respiration_bases"),
        sections=_sections(tables, pictures, charts.there, list(strata)),
        groups=_inputs(provenance),
        versions=dict(provenance.get("versions") or {}),
        stages={str(k): seconds(v) for k, v in dict(provenance.get("stages") or {}).items()},
        created=_moment(str(provenance.get("created") or "")),
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(html, encoding="utf-8", newline="\n")
    partial.replace(path)
    return path


def _moment(written: str) -> str:
    # to the minute; what is no time is left as it is
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if moment.tzinfo is not None else written


def _script_words(speech: Speech) -> dict[str, Any]:
    keys = ("enlarge", "zoom_in", "zoom_out", "zoom_reset", "zoom_help")
    found = {key: speech.other(say(f"figure.{key}")) for key in keys}
    return found | {"close": speech.other(say("close"))}
