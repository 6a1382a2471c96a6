"""The maps inside the page, as small as they can be with no loss to the eye, and what stands below every figure."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nepcube.report.inputs import ReportInputs
from nepcube.report.reading import nep_word
from nepcube.report.saying import HTML_LANGUAGE, Told, has_words, known, say, text_in
from nepcube.report.words import Language

if TYPE_CHECKING:
    from PIL.Image import Image as ImageOf

__all__ = ["DRAWN", "Face", "Picture", "caption_of", "face_of", "pictures_of"]

#: widest picture in the page, pixels; the figures of a run are as wide, so that nothing blurs when it is enlarged
_WIDEST = 2400
#: figures that the page draws itself
DRAWN = ("series", "series_by_region", "sink_share", "partial_shares")


@dataclass(frozen=True)
class Face:
    """A map as it is drawn in a language."""

    lang: str
    alt: str
    data: str
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """A map or a chart of the page, with what stands below it; of a map one face a language, or one for all."""

    key: str
    caption: Told
    file: str
    faces: tuple[Face, ...] = ()


def face_of(path: Path, language: Language, caption: Told) -> Face:
    """Read a map from its file, for the page: in a palette of its own 256 colours, and no wider than a run's figures.

    That is a quarter of the bytes, and no difference to the eye.
    """
    from PIL import Image

    with Image.open(path) as file:
        picture = file.convert("RGB")
    if picture.width > _WIDEST:
        picture = picture.resize((_WIDEST, round(picture.height * _WIDEST / picture.width)), Image.Resampling.LANCZOS)
    small = picture.quantize(palette=_palette(picture), dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    # the most that zlib can do takes six times as long for a tenth of the bytes
    small.save(buffer, "PNG", compress_level=7)
    data = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return Face(HTML_LANGUAGE[language], text_in(caption, language), data, picture.width, picture.height)


def _palette(picture: ImageOf) -> ImageOf:
    # by the root of how often a colour occurs: by the number of its pixels, the rare end of a colour bar would have
    # three steps
    from PIL import Image

    pixels = np.asarray(picture).reshape(-1, 3)
    coarse = (pixels >> 3).astype(np.uint32) @ np.array([1 << 10, 1 << 5, 1], np.uint32)
    _, first, count = np.unique(coarse, return_index=True, return_counts=True)
    colours = np.repeat(pixels[first], np.ceil(np.sqrt(count)).astype(int), axis=0)
    return Image.fromarray(colours[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=2)


def caption_of(inputs: ReportInputs, figure: str) -> Told:
    """Say what a figure shows: some sentences are of regions, of several drivers, or of what is held beside them."""
    driver = figure.removeprefix("map_partial_")
    endings = [""]
    if driver in inputs.drivers:
        figure = "map_partial_time" if inputs.time_is_held else "map_partial"
        endings = ["_alone"] * (len(inputs.drivers) == 1) + endings
    else:
        endings = ["_alone"] * inputs.correlation_is_plain + endings
        endings = [f"_whole{e}" for e in endings] * (not inputs.region_names) + endings
    key = next((k for e in endings if has_words(k := f"caption.{figure}{e}")), None)
    if key is None:
        return figure.replace("_", " ")
    return say(key, nep=nep_word(inputs), unit=say("unit.flux"), driver=known("quantity", driver))


def pictures_of(
    inputs: ReportInputs,
    paths: Sequence[Path],
    languages: Sequence[Language],
    others: Mapping[Language, Sequence[Path]],
) -> dict[str, Picture]:
    """Give the figures of the page by name: its maps from their files, and the charts that it draws itself.

    Parameters
    ----------
    inputs : ReportInputs
    paths : sequence of pathlib.Path
        The files in the first language.
    languages : sequence of {"en", "zh"}
    others : mapping of str to sequence of pathlib.Path
        The same maps in other languages; a map that is missing in one of them has one face for all.
    """
    elsewhere = {code: {path.stem: path for path in map(Path, others.get(code, ()))} for code in languages[1:]}
    out = {}
    for path in map(Path, paths):
        if path.stem not in DRAWN:
            caption = caption_of(inputs, path.stem)
            drawn = {languages[0]: path} | {c: found[path.stem] for c, found in elsewhere.items() if path.stem in found}
            drawn = drawn if len(drawn) == len(languages) else {languages[0]: path}
            faces = tuple(face_of(file, code, caption) for code, file in drawn.items())
            out[path.stem] = Picture(path.stem, caption, f"figures/{path.name}", faces)
    return out | {key: Picture(key, caption_of(inputs, key), f"figures/{key}.png") for key in DRAWN}
