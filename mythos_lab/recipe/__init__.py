"""What a run is: its schema, how YAML becomes it, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mythos_lab.recipe.compose import load_recipe as load_recipe
    from mythos_lab.recipe.errors import RecipeError as RecipeError
    from mythos_lab.recipe.schema import Recipe as Recipe

__all__ = ["Recipe", "RecipeError", "load_recipe"]

_ROOMS = {"Recipe": "schema", "RecipeError": "errors", "load_recipe": "compose"}
"""Modules that are imported when they are asked for: most bring torch, and a mistake can be said without it."""


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
