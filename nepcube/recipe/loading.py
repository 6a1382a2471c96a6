"""YAML to a recipe, once, at the door: every fault with file, line and key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from nepcube.errors import RecipeError, StoreError
from nepcube.places import is_url, public, require_plain
from nepcube.recipe.addresses import changed, walk
from nepcube.recipe.models import Recipe

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}
_LIMIT = 1_000_000
_MOST_KEYS = 20_000

Key = tuple[str | int, ...]


def load_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    path : path-like
        A YAML file. Paths in it are relative to its folder; ``${NAME}`` takes an environment variable.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        The file is missing or no YAML, or says something that is not a recipe; with file, line and key.
    """
    file = Path(path)
    try:
        if file.stat().st_size > _LIMIT:
            raise RecipeError(f"{file}: larger than a recipe can be.", "Name a YAML file of a few kilobytes.")
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"{file}: the recipe cannot be read ({error.strerror}).",
            "Name a YAML file; recipes/demo.yaml is one to start from.",
        ) from None
    except UnicodeDecodeError:
        raise RecipeError(f"{file}: this is no text file.", "A recipe is YAML in UTF-8.") from None
    return parse_recipe(text, file)


def parse_recipe(text: str, file: Path) -> Recipe:
    """Read a recipe from text that stands in `file`."""
    data, lines = _compose(text, file)
    if not isinstance(data, dict):
        raise RecipeError(f"{file}:1: a recipe is a mapping of keys.", "Start it with `recipe: 1`.")
    data = _with_environment(data, lines, file, ())
    _require_plain(data, lines, file)
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        raise _first_fault(error, lines, file) from None
    return recipe.at(file.resolve().parent)


def _require_plain(data: Any, lines: dict[Key, int], file: Path) -> None:
    for key, path in walk(data):
        try:
            if is_url(path):
                require_plain(path)
        except StoreError as error:
            raise RecipeError(f"{file}:{_line(key, lines)}: {_dotted(key)}: {error.what}", error.way_out) from None


def dump_recipe(recipe: Recipe) -> str:
    """Give the resolved recipe as YAML, every default spelled out, URLs of the web without their queries."""
    plain = changed(recipe.model_dump(mode="json", by_alias=True, exclude_none=True), public)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _compose(text: str, file: Path) -> tuple[Any, dict[Key, int]]:
    lines: dict[Key, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise RecipeError(f"{file}:1: the recipe is empty.", "Start it with `recipe: 1`.")
        _walk(node, (), lines, file, set())
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RecipeError(
            f"{file}:{line}: this is not YAML ({error.problem}).", "Check indentation, colons and brackets there."
        ) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"{file}:1: this is not YAML ({reason}).", "Check the file's encoding.") from None
    except (ValueError, OverflowError) as error:
        # PyYAML takes 2001-13-45 for a date and 0b_ for a number before it looks closely
        raise RecipeError(
            f"{file}:1: a value cannot be read ({str(error)[:80]}).",
            "Put quotes around text that looks like a date or number.",
        ) from None
    except RecursionError:
        raise RecipeError(f"{file}:1: the recipe is nested too deeply.", "A recipe has four levels.") from None
    return data, lines


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], file: Path, above: set[int]) -> None:
    line = node.start_mark.line + 1
    lines.setdefault(key, line)
    if len(lines) > _MOST_KEYS:
        raise RecipeError(f"{file}:{line}: the recipe has too many values.", "Check its aliases.")
    if node.tag not in _TAGS:
        raise RecipeError(
            f"{file}:{line}: {_dotted(key)}: the YAML tag {node.tag!r} would build an object.",
            "A recipe holds text, numbers, lists and mappings only: remove the tag.",
        )
    if id(node) in above:
        raise RecipeError(f"{file}:{line}: {_dotted(key)} contains itself.", "Remove the alias.")
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode) or not (
                name.tag == "tag:yaml.org,2002:str" or _is_number_that_may_be(key, name)
            ):
                raise RecipeError(
                    f"{file}:{name.start_mark.line + 1}: {_dotted(key)}: a key must be plain text.",
                    "Quote it if it looks like a number.",
                )
            text = name.value
            if text in seen:
                raise RecipeError(
                    f"{file}:{name.start_mark.line + 1}: {_dotted((*key, text))}: the key is given twice.",
                    "Keep one of the two.",
                )
            seen.add(text)
            lines[(*key, text)] = name.start_mark.line + 1
            _walk(value, (*key, text), lines, file, above | {id(node)})
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*key, i), lines, file, above | {id(node)})


def _is_number_that_may_be(key: Key, name: yaml.ScalarNode) -> bool:
    # codes of classes, and years: the names and the paths of a stratum
    plain = name.tag == "tag:yaml.org,2002:int" and re.fullmatch(r"0|-?[1-9][0-9]{0,18}", name.value)
    return bool(plain) and key[:1] == ("strata",) and len(key) == 3


def _with_environment(value: Any, lines: dict[Key, int], file: Path, key: Key) -> Any:
    if isinstance(value, dict):
        return {k: _with_environment(v, lines, file, (*key, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_environment(v, lines, file, (*key, i)) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise RecipeError(
                f"{file}:{lines.get(key, 1)}: {_dotted(key)}: the environment variable {name} is not set.",
                f"Set it before the run (export {name}=...), or write the path out.",
            )
        return os.environ[name]

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", variable, value)


def _dotted(key: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in key) or "recipe"


def _first_fault(error: ValidationError, lines: dict[Key, int], file: Path) -> RecipeError:
    faults = error.errors(include_url=False)
    # an unknown key is nearly always the cause of what else is wrong beside it
    fault = next((f for f in faults if f["type"] == "extra_forbidden"), faults[0])
    key = _without_tags(fault["loc"], lines)
    line = _line(key, lines)
    where = f"{file}:{line}: {_dotted(key)}" if key else f"{file}:{line}"
    if fault["type"] == "extra_forbidden":
        fields = _fields_at(key[:-1], {part[1:] for part in fault["loc"] if isinstance(part, str) and part[:1] == "#"})
        near = difflib.get_close_matches(str(key[-1]), fields, 1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else "Remove it."
        return RecipeError(f"{where}: not a recipe key.", f"{hint} Keys here: {', '.join(fields)}.")
    if fault["type"] == "missing" and isinstance(key[-1], int):
        return RecipeError(
            f"{file}:{line}: {_dotted(key[:-1])}: {key[-1]} value(s) are too few.", "docs/recipe.md says what it takes."
        )
    if fault["type"] == "missing":
        extra = ""
        if key[-1] == "basis" or key == ("respiration",):
            extra = " (annual, monthly or daily: there is no default, see docs/science.md)"
        return RecipeError(f"{where}: the key is missing{extra}.", f"Add `{key[-1]}:` there.")
    if fault["type"] == "value_error":
        text = str(fault["ctx"]["error"])
        # a rule over several keys begins with the one at fault
        named = tuple(text.partition(": ")[0].split("."))
        if not key and named in lines:
            where = f"{file}:{lines[named]}"
        return RecipeError(f"{where}: {text}.", "Mend it in the recipe; docs/recipe.md lists every key.")
    found = "" if isinstance(fault["input"], dict | list) else f" (found: {fault['input']!r})"
    return RecipeError(f"{where}: {fault['msg']}{found}.", "docs/recipe.md lists every key with what it takes.")


def _without_tags(loc: Sequence[str | int], lines: dict[Key, int]) -> Key:
    # pydantic puts the members of a union into a location; the recipe has no such level, but may have such a key
    key: Key = ()
    for part in loc:
        tag = isinstance(part, str) and (part.startswith("#") or "[" in part or part in {"str", "float"})
        if not tag or (*key, part) in lines:
            key = (*key, part)
    return key


def _line(key: Key, lines: dict[Key, int]) -> int:
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 1)


def _fields_at(key: Sequence[str | int], kinds: set[str]) -> list[str]:
    models: list[type[BaseModel]] = [Recipe]
    named = False
    for part in key:
        if named:
            # the name of one of several, which are alike
            named = False
            continue
        below: list[type[BaseModel]] = []
        for model in models:
            for name, field in model.model_fields.items():
                if part in (name, field.alias):
                    below += _models_in(field.annotation)
                    named = get_origin(field.annotation) is dict
        models = below
    # of several kinds those of the one that is named
    of_kind = [m for m in models if "kind" in m.model_fields and kinds & {*get_args(m.model_fields["kind"].annotation)}]
    names: dict[str, None] = {}
    for model in of_kind or models:
        names.update({field.alias or name: None for name, field in model.model_fields.items()})
    return list(names)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
