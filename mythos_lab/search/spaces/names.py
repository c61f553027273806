"""What the names in a constraint mean for a recipe: a field, what a built component says of itself, or a metric."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from mythos_blocks.declaring.registry import lookup, slot_info, suggest
from mythos_blocks.declaring.spec import slot_of
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.errors import RecipeError
from mythos_lab.recipe.paths import field_at, get_path
from mythos_lab.recipe.schema import Recipe
from mythos_lab.search.spaces.domains import Domain, Kinds
from mythos_lab.search.spaces.expression import Constraint
from mythos_lab.search.spaces.reading import members_of

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


def known_values(names: Iterable[str], recipe: Recipe, model: Any = None) -> dict[str, Any]:
    """The values of those names that are fields of the recipe, or of its built model."""
    found: dict[str, Any] = {}
    for name in names:
        with contextlib.suppress(LookupError):
            found[name] = value_of(name, recipe, model)
    return found


def check_constraint(constraint: Constraint, recipes: Sequence[Recipe], domains: Mapping[str, Domain]) -> None:
    """Make sure that what a constraint says has a meaning, in the recipe or with a kind that the search may choose.

    Args:
        constraint: The constraint.
        recipes: The one that varies, and its declared arms.
        domains: What varies.

    Raises:
        ValueError: It has a field that nothing has, compares one with what it cannot be, or reckons with a name.
    """
    found = [known_values(constraint.fields, recipe) for recipe in recipes]
    for name in constraint.fields:
        if not any(name in values for values in found) and not _in_a_branch(name, domains):
            raise ValueError(_unknown(name, recipes[0]))
    for values in found:
        constraint.check_types({name: value for name, value in values.items() if value is not None})
    for name, word in constraint.words():
        known = _words_of(name, recipes[0])
        if known and word not in known:
            raise ValueError(f"{constraint.text!r}: {name} is never {word!r}; {suggest(word, known)}")


def _unknown(name: str, recipe: Recipe) -> str:
    fields = [path for prefix in _PREFIXES for path in _below(recipe.model_dump(mode="json"), prefix)]
    near = difflib.get_close_matches(name, fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "expected a path such as core.depth, or a metric"
    return f"unknown field {name!r}; {hint}"


def _in_a_branch(name: str, domains: Mapping[str, Domain]) -> bool:
    """Whether a kind that may be chosen for a component has the field."""
    for path, domain in domains.items():
        for prefix in _PREFIXES:
            if isinstance(domain, Kinds) and (prefix + name).startswith(f"{path}."):
                inside = (prefix + name).removeprefix(f"{path}.").split(".")
                if any(has_field(spec, inside) for spec in domain.specs):
                    return True
    return False


def has_field(spec: type[BaseModel], path: Sequence[str]) -> bool:
    """Whether a declaration has a field at a path, with whichever kinds on the way."""
    field = spec.model_fields.get(path[0])
    if field is None or len(path) == 1:
        return field is not None
    slot, inner = slot_of(field), field.annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return has_field(inner, path[1:])
    if path[1:] == ["kind"]:
        return slot is not None
    return slot is not None and any(has_field(lookup(slot, kind).Spec, path[1:]) for kind in slot_info(slot).kinds)


def _words_of(name: str, recipe: Recipe) -> list[str]:
    """The words that a name may be: the kinds of its slot, with ``.kind`` or without, or a field's few values."""
    config = recipe.model_dump(mode="json")
    for prefix in _PREFIXES:
        with contextlib.suppress(RecipeError):
            field = field_at(Recipe, config, (prefix + name).removesuffix(".kind"), "")
            if (slot := slot_of(field)) is not None:
                return list(slot_info(slot).kinds)
            return [member for member in members_of(field) if isinstance(member, str)]
    return []


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
