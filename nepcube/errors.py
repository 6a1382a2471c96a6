"""The errors that nepcube raises on purpose: what is wrong, and the way out."""

from __future__ import annotations

import errno
import re

# the query of a URL, which may be a key to what it names, up to the signs that end a sentence
_QUERY = re.compile(r"(https?://[^\s?]*)\?\S*?(?=[:,;.)'\"]*(?:\s|$))")


def without_queries(text: str) -> str:
    """Give a text with the URLs in it cut before their query."""
    return _QUERY.sub(r"\1", text) if "://" in text else text


def is_full(error: OSError) -> bool:
    """Tell whether what the system refuses is room: on a disk, or of a quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


class NepcubeError(Exception):
    """A fault in the recipe or in the data, told in two lines.

    Parameters
    ----------
    what : str
        What is wrong, with which file or key.
    way_out : str
        What the user can do about it.
    """

    def __init__(self, what: str, way_out: str) -> None:
        what, way_out = without_queries(what), without_queries(way_out)
        super().__init__(f"{what}\n{way_out}")
        self.what = what
        self.way_out = way_out

    def __reduce__(self) -> tuple[type[NepcubeError], tuple[str, str]]:
        return type(self), (self.what, self.way_out)


class RecipeError(NepcubeError):
    """The recipe says something that cannot be followed."""


class SourceError(NepcubeError):
    """An input file is missing, damaged or not what it is said to be."""


class UnitError(NepcubeError):
    """A unit is missing, unknown or cannot become the one that is needed."""


class GridError(NepcubeError):
    """A grid cannot be made, or two grids do not belong together."""


class SpecError(NepcubeError):
    """A dataset lacks what the next stage needs."""


class StoreError(NepcubeError):
    """An output cannot be written, opened or trusted."""


class NotWritableError(StoreError):
    """An output takes nothing: there is no permission, no room, or a disk that is only read."""


class RegionError(NepcubeError):
    """A region file or a stratum raster cannot be used."""
