"""Overrides as they are typed, ``path=value`` in Hydra's grammar, read within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mythos_lab.recipe.documents import MAX_NESTING, plain
from mythos_lab.recipe.errors import RecipeError, shortened
from mythos_lab.recipe.hydra_habits import of_override, of_sweep

_MAX_LENGTH = 10_000  # characters; Hydra's parser takes about a second for them


def split(
    overrides: Sequence[str], groups: Mapping[str, Sequence[str]] | None = None
) -> tuple[list[str], list[tuple[str, Any]]]:
    """Choices of config groups as they were written, and values by path.

    Args:
        overrides: As typed.
        groups: The choices of each config group.

    Raises:
        RecipeError: One is no ``path=value``, or goes beyond what a recipe needs.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    groups = groups or {}
    if (length := sum(map(len, overrides))) > _MAX_LENGTH:
        raise RecipeError(f"overrides: {length:,} characters; expected at most {_MAX_LENGTH:,}")
    parser = OverridesParser.create()
    chosen: list[str] = []
    values: list[tuple[str, Any]] = []
    for text in overrides:
        where = f"override {shortened(text)!r}"
        _check_bounds(text, where)
        try:
            override = parser.parse_override(text)
            if override.is_sweep_override():
                raise RecipeError(f"{where}: {of_sweep(override.key_or_group)}")
            if override.package is not None:
                raise RecipeError(f"{where}: a group's files go where the group is; write {override.key_or_group}=...")
            value = override.value()
        except (HydraException, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, RecipeError):
                raise
            raise RecipeError(f"{where}: expected path=value ({' '.join(str(error).split())[:120]})") from None
        path = override.key_or_group
        if isinstance(value, str) and value in groups.get(path, ()):
            chosen.append(text)
        else:
            values.append((path, plain(value, where)))
    return chosen, values


def _check_bounds(text: str, where: str) -> None:
    """Refuse what the parser, which recurses, would choke on."""
    if (said := of_override(text)) is not None:
        raise RecipeError(f"{where}: {said}")
    if len(text) > _MAX_LENGTH:
        raise RecipeError(f"{where}: {len(text):,} characters; expected at most {_MAX_LENGTH:,}")
    depth = deepest = 0
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        deepest = max(deepest, depth)
    if deepest > MAX_NESTING:
        raise RecipeError(f"{where}: nested more than {MAX_NESTING} deep")
