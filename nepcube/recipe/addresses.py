"""The paths and URLs of a recipe, wherever they stand: seen, and written down without what is secret in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nepcube.recipe.models import Recipe

Key = tuple[str | int, ...]


def walk(value: Any, key: Key = ()) -> Iterator[tuple[Key, str]]:
    """Give every text below a key `path` of a plain recipe, with where it stands."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from walk(below, (*key, name))
    elif isinstance(value, list | tuple):
        for k, below in enumerate(value):
            yield from walk(below, (*key, k))
    elif isinstance(value, str) and "path" in key:
        yield key, value


def changed(value: Any, change: Callable[[str], str], key: Key = ()) -> Any:
    """Give a plain recipe with every text below a key `path` changed."""
    if isinstance(value, dict):
        return {name: changed(below, change, (*key, name)) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [changed(below, change, (*key, k)) for k, below in enumerate(value)]
    return change(value) if isinstance(value, str) and "path" in key else value


def paths_of(recipe: Recipe) -> list[str]:
    """Give every path, pattern and URL that a recipe names, as absolute ones."""
    return [recipe.resolve(path) for _, path in walk(recipe.model_dump(mode="json", by_alias=True))]
