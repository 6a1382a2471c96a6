"""Readers by name: ours, and those of another distribution that an entry point brings."""

import sys

import pytest

import nepcube as nc
from nepcube.errors import SourceError
from nepcube.sources import Request, Source, names, reader

MODULE = """
import numpy as np
import xarray as xr


class Good:
    name = "thirdparty"
    accepts = "anything"
    quantities = ("temperature",)
    citation = "none"
    requests = []

    def inspect(self, request):
        return []

    def open(self, request):
        type(self).requests.append(request)
        return xr.Dataset({"temperature": ("time", np.arange(3.0), {"units": "degC"})})


class Incomplete:
    name = "incomplete"


class Fails:
    def __init__(self):
        raise RuntimeError("no licence")
"""


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    # what pip leaves behind: a module, and a dist-info folder beside it
    site = tmp_path / "site"
    info = site / "thirdparty_nep-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "thirdparty_nep_readers.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty-nep\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nepcube.sources]\n"
        "thirdparty = thirdparty_nep_readers:Good\n"
        "incomplete = thirdparty_nep_readers:Incomplete\n"
        "fails = thirdparty_nep_readers:Fails\n"
        "gone = thirdparty_nep_nowhere:Good\n"
        "chirps = thirdparty_nep_readers:Good\n"
    )
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("thirdparty_nep_readers", None)


def test_ours():
    assert {"mod17a3hgf", "era5-land", "chirps", "generic"} <= set(names())
    for name in ("mod17a3hgf", "era5-land", "chirps", "generic"):
        source = reader(name)
        assert isinstance(source, Source)
        assert source.name == name
        assert source.accepts
        assert source.citation
        assert source.quantities


def test_a_third_party_is_found(distribution, tmp_path):
    assert {"thirdparty", "fails", "gone", "incomplete"} <= set(names())
    assert names() == sorted(set(names()))
    (tmp_path / "b.dat").write_text("x")
    (tmp_path / "a.dat").write_text("x")
    ds = nc.open_source("thirdparty", tmp_path / "*.dat", quantity="temperature", years=(2001, 2002), max_qc=3)
    assert ds.temperature.values.tolist() == [0.0, 1.0, 2.0]
    from thirdparty_nep_readers import Good

    assert Good.requests == [
        Request(
            paths=(str(tmp_path / "a.dat"), str(tmp_path / "b.dat")),
            quantity="temperature",
            years=(2001, 2002),
            max_qc=3,
        )
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fails", ("'fails' of thirdparty_nep_readers:Fails does not load", "no licence", "reinstall")),
        ("gone", ("'gone' of thirdparty_nep_nowhere:Good does not load", "thirdparty_nep_nowhere")),
        ("incomplete", ("'incomplete' of thirdparty_nep_readers:Incomplete is not a nepcube source", "inspect()")),
    ],
)
def test_one_that_does_not_load_is_named(distribution, name, words):
    with pytest.raises(SourceError) as error:
        reader(name)
    assert len(str(error.value).splitlines()) == 2
    for word in words:
        assert word in str(error.value)
    # the others are no worse for it
    assert reader("thirdparty").name == "thirdparty"
    assert reader("chirps").quantities == ("precipitation",)


def test_ours_cannot_be_replaced_by_name(distribution):
    assert type(reader("chirps")).__module__ == "nepcube.sources.chirps"


@pytest.mark.parametrize(
    ("wrong", "near"), [("mod17", "mod17a3hgf"), ("era5_land", "era5-land"), ("CHIRPS", None), ("", None)]
)
def test_unknown_names_come_with_a_suggestion(wrong, near):
    with pytest.raises(SourceError) as error:
        reader(wrong)
    assert f"{wrong!r} is not a reader." in str(error.value)
    assert "chirps" in str(error.value)
    if near:
        assert f"Did you mean {near!r}?" in str(error.value)
