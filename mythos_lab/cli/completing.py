"""What a shell offers where one presses the tab key: recipes, search spaces, fields and what they take.

Names of ours take no time. For fields the recipe before them is composed, so that its own components' fields are
offered, which imports torch. What cannot be composed offers nothing, and says nothing: it is not asked for yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def recipes(incomplete: str) -> list[str]:
    """Our recipes, and YAML files."""
    return _named("recipes", incomplete)


def spaces(incomplete: str) -> list[str]:
    """Our search spaces, and YAML files."""
    return _named("search_spaces", incomplete)


def overrides(ctx: Any, incomplete: str) -> list[str]:
    """``path=`` of the fields of the recipe that was named, with a dot where more follows; ``path=kind`` of a slot."""
    name = ctx.params.get("recipe")
    if not isinstance(name, str):
        return []
    try:
        from mythos_lab.imports import withhold_imports
        from mythos_lab.recipe import load_recipe
        from mythos_lab.recipe.compose import as_recorded

        withhold_imports()  # nobody has asked for a stranger's code yet
        declared = as_recorded(load_recipe(name))
        path, equals, begun = incomplete.partition("=")
        found = _values(declared, path) if equals else _fields(declared, path)
        return [text for text in found if text.startswith(f"{path}={begun}" if equals else incomplete)]
    except ValueError:  # of a recipe that is not there, or not whole
        return []


def _fields(declared: Mapping[str, Any], path: str) -> Iterator[str]:
    above, _, _ = path.rpartition(".")
    inner: Any = declared
    for part in above.split(".") if above else ():
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    for key, value in inner.items() if isinstance(inner, Mapping) else ():
        here = f"{above}.{key}" if above else key
        yield f"{here}." if isinstance(value, Mapping) else f"{here}="
        if isinstance(value, Mapping) and "kind" in value:
            yield f"{here}="


def _values(declared: Mapping[str, Any], path: str) -> Iterator[str]:
    """The kinds of a slot; the two values of a switch."""
    from mythos_blocks.declaring.registry import slot_info
    from mythos_blocks.declaring.spec import slot_of
    from mythos_lab.recipe.paths import field_at
    from mythos_lab.recipe.schema import Recipe

    field = field_at(Recipe, declared, path, "override")
    if (slot := slot_of(field)) is not None:
        yield from (f"{path}={kind}" for kind in sorted(slot_info(slot).kinds))
    elif field.annotation is bool:
        yield from (f"{path}={value}" for value in ("false", "true"))


def _named(folder: str, incomplete: str) -> list[str]:
    from mythos_lab.recipe.files import names

    ours = [name for name in names(folder) if name.startswith(incomplete)]
    return [*ours, *sorted(str(path) for path in Path().glob(f"{_plain(incomplete)}*.y*ml"))]


def _plain(text: str) -> str:
    """A text of which no character is a pattern's."""
    from glob import escape

    return escape(text)
