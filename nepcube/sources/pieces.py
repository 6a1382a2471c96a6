"""What the headers of many files give together: one mosaic, and what stands against it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nepcube.errors import SourceError
from nepcube.sources.lattice import Footprint, Lattice, Rectangle
from nepcube.sources.mosaic import Layer, Part
from nepcube.sources.protocol import Finding, Request

NPP, QUALITY = "npp", "quality"


_SHARD = re.compile(r"shard (\d+)-(\d+)")
_ONE_REGION = "Export every year with one region, and download the file again."


@dataclass(frozen=True)
class Piece:
    """One field of one year of one file.

    Attributes
    ----------
    path : str
    layout : str
        The kind of file, in words; two layouts do not go into one mosaic.
    product, version : str
        `version` is empty where nothing names it.
    year : int
    label : str
        What tells the piece from its neighbours: a tile, an area of AppEEARS, a shard of an export.
    foot : Footprint
    role : str
        `NPP` or `QUALITY`.
    layer : Layer
    quality : Layer, optional
        The quality field, where the same file holds it.
    wants : str
        How the file or band of the quality would be called.
    """

    path: str
    layout: str
    product: str
    version: str
    year: int
    label: str
    foot: Footprint
    role: str
    layer: Layer
    quality: Layer | None = None
    wants: str = ""

    @property
    def base(self) -> str:
        return os.path.basename(self.path)

    @property
    def name(self) -> str:
        return f"{self.product}.{self.version}" if self.version else f"{self.product}, version not stated"


@dataclass(frozen=True)
class Mosaic:
    """The parts of each year on one lattice."""

    lattice: Lattice
    extent: Rectangle
    years: tuple[int, ...]
    table: dict[int, tuple[Part, ...]]
    products: tuple[str, ...]


def of_years(pieces: Sequence[Piece], years: tuple[int, int] | None) -> list[Piece]:
    """Keep the pieces of some years, both ends included."""
    return [p for p in pieces if years is None or years[0] <= p.year <= years[1]]


def faults(pieces: Sequence[Piece], request: Request) -> Iterator[Finding]:
    """Say what keeps pieces from being one mosaic, gaps apart."""
    npp = [p for p in pieces if p.role == NPP]
    yield from _mixed(npp, lambda p: p.layout, "Keep the files of one provider in the folder, or name those you mean.")
    yield from _mixed(npp, lambda p: p.product, "Keep one product in the folder.")
    if not request.mixed_versions:
        yield from _mixed(
            npp,
            lambda p: f"{p.product} version {p.version or 'not stated'}",
            "Keep one product and version in the folder, or say `mixed_versions: true`.",
        )
    tiles = [p for p in npp if _is_tile(p)]
    yield from _mixed(tiles, lambda p: f"{p.foot.rows} pixels a side", "Keep tiles of one resolution in the folder.")
    yield from _off_lattice(npp)
    yield from _twice(npp)
    yield from _elsewhere(npp)
    if request.max_qc is not None:
        yield from _quality(pieces)


def _is_tile(piece: Piece) -> bool:
    return piece.label.startswith("h") and "v" in piece.label


def _mixed(pieces: Sequence[Piece], what: Callable[[Piece], str], way_out: str) -> Iterator[Finding]:
    first: dict[str, Piece] = {}
    for piece in pieces:
        first.setdefault(what(piece), piece)
    kinds = list(first.items())
    for b, piece in kinds[1:]:
        a, other = kinds[0]
        text = f"{b}, but {other.base} is {a}: they do not belong in one mosaic."
        yield Finding("mixed", piece.path, text, way_out)


def _off_lattice(pieces: Sequence[Piece]) -> Iterator[Finding]:
    lattice = Lattice.of(pieces[0].foot) if pieces else None
    for piece in pieces:
        if lattice is not None and lattice.place(piece.foot) is None and not _is_tile(piece):
            yield Finding(
                "mixed",
                piece.path,
                f"its cells are not those of {pieces[0].base}: steps or edges differ.",
                "Request all years with one area, one projection and one resolution.",
            )


def _twice(pieces: Sequence[Piece]) -> Iterator[Finding]:
    lattice = Lattice.of(pieces[0].foot) if pieces else None
    held: dict[tuple[int, str], list[tuple[Piece, Rectangle]]] = {}
    for piece in pieces:
        at = lattice.place(piece.foot) if lattice is not None else None
        if at is None:
            continue
        # tiles of one lattice share cells where they share their name
        key = (piece.year, piece.label if _is_tile(piece) else "")
        for other, there in held.setdefault(key, []):
            if not at.overlaps(there):
                continue
            if _is_tile(piece):
                what = f"tile {piece.label} of {piece.year} is there twice, also as {other.base}."
                way_out = "Keep the later production (the last number of the name) and move the other away."
            else:
                also = "in the same file" if other.path == piece.path else f"also in {other.base}"
                what = f"cells of {piece.year} are there twice, {also}."
                way_out = "Keep one of the two; areas that share cells are requested as one polygon."
            yield Finding("overlaps", piece.path, what, way_out)
            break
        held[key].append((piece, at))


def _elsewhere(pieces: Sequence[Piece]) -> Iterator[Finding]:
    # what tiles say by their names, areas and shards say by where they lie: the same in every year
    lattice = Lattice.of(pieces[0].foot) if pieces else None
    places: dict[str, tuple[Piece, dict[int, set[Rectangle]]]] = {}
    begins: dict[tuple[int, int], Piece] = {}
    for piece in sorted(pieces, key=lambda p: p.year):
        at = lattice.place(piece.foot) if lattice is not None else None
        if at is None or _is_tile(piece):
            continue
        first, of_years = places.setdefault(piece.label, (piece, {}))
        of_years.setdefault(piece.year, set()).add(at)
        if piece.year != first.year and at not in of_years[first.year]:
            yield Finding("mixed", piece.path, f"it lies elsewhere than {first.base} of {first.year}.", _ONE_REGION)
        shard = _SHARD.fullmatch(piece.label)
        if shard is not None:
            begins[at.row - int(shard[1]), at.column - int(shard[2])] = piece
    if len(begins) > 1:
        a, b = list(begins.values())[:2]
        yield Finding("mixed", b.path, f"it does not lie where its name puts it beside {a.base}.", _ONE_REGION)


def _quality(pieces: Sequence[Piece]) -> Iterator[Finding]:
    found = {(p.label, p.year): p for p in pieces if p.role == QUALITY}
    for piece in pieces:
        if piece.role != NPP or piece.quality is not None:
            continue
        other = found.get((piece.label, piece.year))
        if other is None:
            yield Finding(
                "missing",
                piece.path,
                f"`max_qc` needs the quality {piece.wants}.",
                "Download it beside this one, or leave `max_qc` out.",
            )
        elif other.foot != piece.foot:
            yield Finding(
                "mixed",
                other.path,
                f"it is not on the pixels of {piece.base}.",
                "Download both of the same granule or request.",
            )


def gaps(pieces: Sequence[Piece]) -> list[tuple[str, int]]:
    """List what one year lacks and other years have: the label and the year.

    A tile that no year has lies over the sea or was not wanted; one that some years lack is a gap in the download.
    """
    npp = [p for p in pieces if p.role == NPP]
    there = {(p.year, p.label) for p in npp}
    years, labels = sorted({p.year for p in npp}), sorted({p.label for p in npp})
    return [(label, year) for year in years for label in labels if (year, label) not in there]


def assemble(pieces: Sequence[Piece], request: Request) -> Mosaic:
    """Put pieces that nothing stands against together.

    Raises
    ------
    SourceError
        The first thing that does.
    """
    for fault in faults(pieces, request):
        raise SourceError(f"{fault.which}: {fault.what}", fault.way_out)
    npp = sorted((p for p in pieces if p.role == NPP), key=lambda p: (p.year, p.label, p.path))
    quality = {(p.label, p.year): p.layer for p in pieces if p.role == QUALITY}
    lattice = Lattice.of(npp[0].foot)
    placed = [(p, at) for p in npp if (at := lattice.place(p.foot)) is not None]
    top, left = min(at.row for _, at in placed), min(at.column for _, at in placed)
    bottom, right = max(at.row + at.rows for _, at in placed), max(at.column + at.columns for _, at in placed)
    years = tuple(sorted({p.year for p in npp}))
    table: dict[int, tuple[Part, ...]] = {}
    for p, at in placed:
        step = years.index(p.year)
        layer = None
        if request.max_qc is not None:
            layer = p.quality or quality[p.label, p.year]
        shifted = Rectangle(at.row - top, at.column - left, at.rows, at.columns)
        table[step] = (*table.get(step, ()), Part(shifted, p.layer, layer))
    extent = Rectangle(top, left, bottom - top, right - left)
    return Mosaic(lattice, extent, years, table, tuple(sorted({p.name for p in npp})))
