"""What of an output is a run's own: where a first run may begin, what `--fresh` deletes, what a failed start leaves.

A file that no run of ours wrote is never overwritten or deleted.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable

from nepcube import recipe as recipes
from nepcube import report as report_room
from nepcube import store
from nepcube.errors import NepcubeError, StoreError
from nepcube.pipeline.aggregate import TABLES, is_by_stratum
from nepcube.pipeline.provenance import PROVENANCE
from nepcube.pipeline.reporting import paper_folder
from nepcube.pipeline.validating import NAME as VALIDATION
from nepcube.places import LocalPlace, Place, place_of, public

_FILES = ("report.html", "recipe.yaml", PROVENANCE)
_ENDINGS = ("csv", *report_room.FORMATS)
# of a scheduler or of --log: no file of a run is called so
_LOGS = (".log", ".out", ".err")
# where the folder of a pattern ends
_SIGNS = re.compile(r"[*?\[{]")


def holds_run(out: Place) -> bool:
    """Tell whether an output holds a run, be it only begun: the first thing that a run writes is its list of stages."""
    own = out / ".nepcube"
    return (own / "stages.json").exists() or (own / "ledger").is_folder()


def require_room(recipe: recipes.Recipe, out: Place, *, fresh: bool) -> None:
    """Refuse to begin a run where there are other files than its own; a run that is there may be continued.

    Hidden files and logs do not count.

    Raises
    ------
    StoreError
        The output is or holds the folder of an input, or holds files and no run.
    """
    ours = holds_run(out)
    if ours and not fresh:
        return
    for path in recipes.paths_of(recipe):
        if _is_in(path, out):
            raise StoreError(
                f"{out}: an input of the recipe lies there ({path}).", "Choose a new folder for the output with -o."
            )
    if ours:
        return
    there = [name for name in out.names() if not name.startswith(".") and not name.endswith(_LOGS)]
    if there:
        more = f" and {len(there) - 3} more" if len(there) > 3 else ""
        raise StoreError(
            f"{out}: it holds other files and no run of nepcube ({', '.join(there[:3])}{more}).",
            "Choose a new folder with -o.",
        )


def _is_in(path: str, out: Place) -> bool:
    known = public(path)
    sign = _SIGNS.search(known)
    if sign:
        known = known[: sign.start()].rpartition("/")[0]
    try:
        place = place_of(known)
    except NepcubeError:
        # told where it is read
        return False
    if isinstance(place, LocalPlace) and isinstance(out, LocalPlace):
        file, folder = place.path.resolve(), out.path.resolve()
        return folder == file or folder in file.parents
    return f"{place}/".startswith(f"{out}/")


def clear(out: Place) -> None:
    """Delete what runs wrote into an output that holds one, and nothing else."""
    own = out / ".nepcube"
    published = _published(out)
    # first what vouches for the rest, so that a stop in between leaves nothing that looks whole; the list stays as the
    # mark of a run, so that what is left can be cleared later
    (own / "stages.json").write_text("{}")
    (own / "ledger").delete_tree()
    for name in store.STORES:
        store.uncommit(out / name)
    for name in store.STORES:
        (out / name).delete_tree()
    for name in ("native", "weights"):
        (own / name).delete_tree()
    for name in _FILES:
        (out / name).delete()
    _remove(out / "tables", _is_table)
    for one in report_room.LANGUAGES:
        _remove(paper_folder(out, one), _is_paper)
    _remove(out / "figures", lambda name: name.removesuffix(".png") in (*report_room.FIGURES, VALIDATION))
    _remove(out / "published", published.__contains__)


def _is_table(name: str) -> bool:
    stem, _, ending = name.rpartition(".")
    known = stem in (*TABLES, VALIDATION) or is_by_stratum(f"{stem}.csv")
    return name == "tables.xlsx" or (known and ending in _ENDINGS)


def _is_paper(name: str) -> bool:
    stem, _, ending = name.rpartition(".")
    figure, _, width = stem.rpartition("_")
    known = figure in report_room.PAPER_FIGURES and width in report_room.PAPER_WIDTHS
    return name == report_room.CAPTIONS or (known and ending in report_room.PAPER_FORMATS)


def _published(out: Place) -> set[str]:
    # the maps of the store, and what the item says of those of an earlier recipe
    names = {f"{name}.tif" for name in (out / store.STATISTICS).names()} | {"item.json"}
    with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError):
        item = json.loads((out / "published" / "item.json").read_text() or "{}")
        names |= {str(asset["href"]).rpartition("/")[2] for asset in item.get("assets", {}).values()}
    return names


def _remove(folder: Place, is_ours: Callable[[str], bool]) -> None:
    for name in folder.names():
        if is_ours(name):
            (folder / name).delete()
    _remove_empty(folder)


def _remove_empty(folder: Place) -> None:
    if isinstance(folder, LocalPlace):
        with contextlib.suppress(OSError):
            os.rmdir(folder.path)


def leave(out: Place) -> None:
    """Take back what a run wrote that made its folder and could not begin; a file of anybody else stays."""
    if not (out / store.CUBE).is_folder():
        (out / ".nepcube").delete_tree()


def leave_no_empty(out: Place) -> None:
    """Remove the folder of a run that made it and wrote nothing."""
    own = out / ".nepcube"
    if own.names() == ["lock.guard"]:
        (own / "lock.guard").delete()
    for folder in (own, out):
        _remove_empty(folder)
