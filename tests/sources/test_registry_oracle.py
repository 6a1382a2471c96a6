"""Readers by name: ours, and those of another distribution that an entry point brings."""

import sys
import types

import pytest

import nepcube as nc
from nepcube.errors import SourceError, UnitError
from nepcube.sources import Inspection, Request, Source, expand, files, inspected, names, opened, reader

MODULE = """
import numpy as np
import xarray as xr
from nepcube.sources import Inspection


class Good:
    name = "thirdparty"
    accepts = "anything"
    quantities = ("temperature",)
    citation = "none"
    requests = []

    def inspect(self, request):
        return Inspection(())

    def open(self, request):
        type(self).requests.append(request)
        attrs = {"units": "degC", "aggregation": "mean", "frequency": "year", "product": "mine"}
        time = np.array(["2001-01-01", "2002-01-01", "2003-01-01"], "datetime64[ns]")
        values = np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
        ds = xr.Dataset(
            {"temperature": (("time", "latitude", "longitude"), values, attrs)},
            {"time": time, "latitude": [34.5, 33.5], "longitude": [96.5, 97.5]},
        )
        return self.spoil(ds.assign_coords(spatial_ref=((), 0, {"crs_wkt": "x"})).chunk({"time": 1}))

    def spoil(self, ds):
        return ds


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
    assert ds.temperature[:, 0, 0].values.tolist() == [0.0, 1.0, 2.0]
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


# --- what a reader hands over ---------------------------------------------------------------------------------------


def attributes(**changes):
    def change(ds):
        for key, value in changes.items():
            if value is None:
                del ds["temperature"].attrs[key]
            else:
                ds["temperature"].attrs[key] = value
        return ds

    return change


SPOILT = {
    "no dataset": (lambda ds: ds.temperature, "open() gives a DataArray, not an xarray.Dataset"),
    "nothing": (lambda ds: None, "open() gives a NoneType, not an xarray.Dataset"),
    "another variable": (
        lambda ds: ds.rename(temperature="t2m"),
        "'temperature' is not in its dataset (found: t2m)",
    ),
    "no unit": (attributes(units=None), "temperature has the unit None (no unit is given)"),
    "an unknown unit": (
        attributes(units="bananas"),
        "temperature has the unit 'bananas' (the unit 'bananas' is not known)",
    ),
    "another spelling": (
        attributes(units="celsius"),
        "temperature has the unit 'celsius', which is written 'degC' here",
    ),
    "no aggregation": (
        attributes(aggregation=None),
        "temperature has the attribute aggregation None, not one of mean, amount, per_day, accumulated_since_00utc, "
        "accumulated_previous_hour, yearly",
    ),
    "another frequency": (
        attributes(frequency="weekly"),
        "temperature has the attribute frequency 'weekly', not one of hour, day, pentad, dekad, month, year",
    ),
    "no product": (attributes(product=" "), "temperature has no attribute product"),
    "not lazy": (lambda ds: ds.load(), "temperature is not lazy (it must be a dask array)"),
    "whole numbers": (
        lambda ds: ds.astype("int16"),
        "temperature is int16, not a float with NaN where there is no data",
    ),
    "other dims": (
        lambda ds: ds.rename(latitude="lat"),
        "temperature has the dims (time, lat, longitude), not (time, latitude, longitude) or (time, y, x)",
    ),
    "time backwards": (lambda ds: ds.isel(time=slice(None, None, -1)), "time does not rise from step to step"),
    "time in numbers": (lambda ds: ds.assign_coords(time=[1, 2, 3]), "time is no coordinate of datetime64"),
    "float32 axes": (
        lambda ds: ds.assign_coords(latitude=ds.latitude.astype("f4")),
        "latitude is not in float64, or not finite",
    ),
    "no axes": (lambda ds: ds.drop_vars("longitude"), "longitude has no coordinate"),
    "no CRS": (
        lambda ds: ds.drop_vars("spatial_ref"),
        "there is no coordinate spatial_ref with the attribute crs_wkt",
    ),
    "a fault": (lambda ds: 1 / 0, "open() fails (ZeroDivisionError: division by zero)"),
}


@pytest.mark.parametrize("how", list(SPOILT))
def test_what_is_not_of_the_protocol_is_refused_with_the_readers_name(distribution, tmp_path, monkeypatch, how):
    (tmp_path / "a.dat").write_text("x")
    source = reader("thirdparty")
    spoil, words = SPOILT[how]
    monkeypatch.setattr(type(source), "spoil", lambda self, ds: spoil(ds))
    with pytest.raises(SourceError) as error:
        nc.open_source("thirdparty", tmp_path / "a.dat", quantity="temperature")
    assert str(error.value) == (
        f"The reader 'thirdparty' (thirdparty_nep_readers:Good): {words}.\n"
        "Mend the reader, or tell its author: docs/readers.md says what it has to give."
    )


def test_a_unit_of_something_else_is_refused_with_the_readers_name(distribution, tmp_path, monkeypatch):
    (tmp_path / "a.dat").write_text("x")
    monkeypatch.setattr(type(reader("thirdparty")), "spoil", lambda self, ds: attributes(units="mm")(ds))
    with pytest.raises(UnitError) as error:
        nc.open_source("thirdparty", tmp_path / "a.dat")
    assert error.value.what == "The reader 'thirdparty' gives temperature in 'mm', which is no unit of temperature."


def test_irregular_axes_and_flags_are_refused(distribution, tmp_path, monkeypatch):
    (tmp_path / "a.dat").write_text("x")
    source = reader("thirdparty")

    def uneven(self, ds):
        wide = ds.reindex(latitude=[34.5, 33.5, 30.0]).chunk()
        wide["temperature"].attrs = ds.temperature.attrs
        return wide

    monkeypatch.setattr(type(source), "spoil", uneven)
    with pytest.raises(SourceError, match="latitude is not regular"):
        opened(source, Request((str(tmp_path / "a.dat"),)))
    monkeypatch.setattr(type(source), "spoil", lambda self, ds: ds.assign(npp_flag=ds.temperature.astype("int16")))
    with pytest.raises(SourceError, match="npp_flag is int16, not uint8"):
        opened(source, Request((str(tmp_path / "a.dat"),)))


def test_an_inspection_is_one(distribution, monkeypatch):
    source = reader("thirdparty")
    assert inspected(source, Request(("a",))) == Inspection(())
    monkeypatch.setattr(type(source), "inspect", lambda self, request: [])
    with pytest.raises(SourceError, match=r"'thirdparty' \(thirdparty_nep_readers:Good\): inspect\(\) gives a list"):
        inspected(source, Request(("a",)))
    monkeypatch.setattr(type(source), "inspect", lambda self, request: {}["a"])
    with pytest.raises(SourceError, match=r"inspect\(\) fails \(KeyError: 'a'\)"):
        inspected(source, Request(("a",)))


def test_a_fault_of_ours_is_not_dressed_up():
    ours = types.SimpleNamespace
    source = type("Ours", (ours,), {"__module__": "nepcube.sources.ours", "open": lambda self, request: 1 / 0})()
    with pytest.raises(ZeroDivisionError):
        opened(source, Request(("a",)))


# --- paths -----------------------------------------------------------------------------------------------------------


def test_urls_pass_untouched_and_files_are_found_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("b.nc", "a.nc", "[2001].nc"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "v3").mkdir()
    (tmp_path / "v3" / "zarr.json").write_text("{}")
    assert expand(["https://x.org/a*.nc?b=1", "s3://bucket/store.zarr"]) == (
        "https://x.org/a*.nc?b=1",
        "s3://bucket/store.zarr",
    )
    assert expand(["a.nc", "./a.nc", tmp_path / "a.nc", "?.nc"]) == ("a.nc", "b.nc")
    # a name may hold the signs of a pattern
    assert expand("[2001].nc") == ("[2001].nc",)
    assert expand("*") == ("[2001].nc", "a.nc", "b.nc", "s.zarr", "v3")
    with pytest.raises(SourceError) as error:
        expand(["a.nc", "*.hdf", "folder", "c/*.nc"])
    assert error.value.what == "*.hdf, folder, c/*.nc: no file matches."
    with pytest.raises(SourceError, match="No path is given: no file matches"):
        expand([])


@pytest.mark.parametrize("url", ["s3://b/a.zarr", "s3://b/a.zarr/", "https://x.org/a.ZARR?sig=1"])
def test_nothing_is_asked_to_tell_that_a_url_names_a_zarr_store(url):
    assert files.kind(url) == "Zarr"
    assert files.size(url) == 0
