"""The maps of the partial correlations on one sheet: its one key and its caption say what every map needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sample_report import make_inputs

from nepcube.report import style
from nepcube.report.panels import partial_panels

COARSE = {"names": ("West", "East"), "seeds": ((0.2, 0.5), (0.8, 0.5)), "resolution": "40 km"}
NONE = "No cell is significant over the whole map at a false discovery rate of 0.05"


def sheet(changes, attrs):
    """Draw the sheet where some maps are changed and the p-values have attributes; give its texts and caption."""
    plain = make_inputs(**COARSE)
    maps = plain.maps.copy()
    for name, change in changes.items():
        maps[name] = maps[name].copy(data=change(maps[name].values))
    for driver, told in attrs.items():
        p = f"nep_partial_{driver}_pvalue"
        maps[p] = maps[p].assign_attrs({"field_alpha": 0.05} | told)
    with style.journal_style():
        figure, caption = partial_panels(replace(plain, maps=maps), 180.0, 60)
        return figure, [t.get_text() for t in figure.texts], caption


HELD = {"field_threshold": 0.0117}


def test_the_bar_is_that_of_a_map_with_data():
    empty = {"nep_partial_temperature": lambda v: np.full_like(v, np.nan)}
    figure, _, _ = sheet(empty, {})
    assert "partial correlation coefficient" in [ax.get_xlabel() for ax in figure.axes]


def test_entries_of_the_other_maps_are_in_the_key():
    def hole(values):
        values = values.copy()
        values[8:12, 8:24] = np.nan
        return values

    full = {f"nep_partial_{d}": np.nan_to_num for d in ("temperature", "precipitation")}
    attrs = {"temperature": {}, "precipitation": HELD, "radiation": {}}
    _, texts, caption = sheet(full | {"nep_partial_radiation": hole}, attrs)
    assert "significant (p ≤ 0.012)" in texts
    assert texts.count("no data") == 1
    assert "marked where p ≤ 0.012 (b), which holds over the whole of each map" in caption
    assert "false discovery rate of 0.05" in caption
    assert caption.count(NONE) == 1
    assert f"Panel a, c: {NONE}" in caption


@pytest.mark.parametrize("told", [{}, {"field_threshold": np.nan}])
def test_a_note_of_every_map_stands_once_and_names_no_panel(told):
    _, texts, caption = sheet({}, dict.fromkeys(("temperature", "precipitation", "radiation"), told))
    assert caption.startswith(NONE)
    assert caption.count(NONE) == 1
    assert not [t for t in texts if t.startswith("significant")]


def test_the_word_about_marks_stays_beside_the_dots():
    names = tuple(f"Region number {k}" for k in range(14))
    plain = make_inputs(names=names, seeds=tuple(((k + 0.5) / 14, 0.5) for k in range(14)), resolution="40 km")
    maps = plain.maps.copy()
    for driver in plain.drivers:
        p = f"nep_partial_{driver}_pvalue"
        maps[p] = maps[p].assign_attrs({"field_alpha": 0.05} | HELD)
    with style.journal_style():
        _, caption = partial_panels(replace(plain, maps=maps), 180.0, 60)
    assert "marked where p ≤ 0.012 (a), 0.012 (b), 0.012 (c)" in caption
    assert caption.endswith("Regions are marked as in the map of the regions.")
