"""What the names in a constraint mean for a recipe: a field, what a built component says of itself, or a metric."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.paths import get_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.spaces.domains import Domain, Kinds

_PREFIXES = ("", "model.", "model.core.", "training.")
"""Where a field may stand whose path is given in short, in the order in which it is looked for."""


def value_of(name: str, recipe: Recipe, model: Any = None) -> Any:
    """The value of a field, or of a number that the built model has under that path; a component is its kind.

    Args:
        name: A path, which may leave out ``model.``, ``model.core.`` or ``training.``.
        recipe: The recipe.
        model: Its meta build; made here where it is needed and not given.

    Raises:
        LookupError: The recipe has no such field: another kind is chosen that lacks it.
    """
    dumped = recipe.model_dump(mode="json")
    for prefix in _PREFIXES:
        try:
            value = get_path(dumped, prefix + name)
        except (KeyError, TypeError):
            continue
        return value["kind"] if isinstance(value, Mapping) and "kind" in value else value
    built = model if model is not None else build_on_meta(recipe)[0]
    for prefix in _PREFIXES:
        node: Any = built
        for part in (prefix + name).removeprefix("model.").split("."):
            node = getattr(node, part, None)
        if isinstance(node, (int, float)):
            return node
    raise LookupError(name)


def check_name(name: str, recipe: Recipe, domains: Mapping[str, Domain]) -> None:
    """Make sure that a name means something, in the recipe or with a kind that the search may choose.

    Raises:
        ValueError: It does not; the nearest field is named.
    """
    try:
        value_of(name, recipe)
    except LookupError:
        if not _in_a_branch(name, domains):
            fields = [path for prefix in _PREFIXES for path in _below(recipe.model_dump(mode="json"), prefix)]
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "expected a path such as core.depth, or a metric"
            raise ValueError(f"unknown field {name!r}; {hint}") from None


def _in_a_branch(name: str, domains: Mapping[str, Domain]) -> bool:
    """Whether a kind that may be chosen for a component has the field."""
    for path, domain in domains.items():
        for prefix in _PREFIXES:
            inside = (prefix + name).removeprefix(f"{path}.").split(".")[0]
            if isinstance(domain, Kinds) and (prefix + name).startswith(f"{path}."):
                if any(inside in spec.model_fields for spec in domain.specs):
                    return True
    return False


def _below(dumped: Mapping[str, Any], prefix: str) -> list[str]:
    """All paths below a prefix, without it."""
    node: Any = dumped
    for part in prefix.split(".")[:-1]:
        node = node[part]
    return list(_flattened(node))


def _flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The path of every field of a dumped recipe, at every depth."""
    for key, item in value.items():
        yield f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from _flattened(item, f"{prefix}{key}.")
