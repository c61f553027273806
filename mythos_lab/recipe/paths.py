"""Dotted paths into a recipe, held against the schema."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mythos_blocks.declaring.registry import lookup, slot_info, suggest
from mythos_blocks.declaring.spec import slot_of
from mythos_lab.recipe.errors import RecipeError


def field_at(root: type[BaseModel], config: Mapping[str, Any], path: str, source: str) -> FieldInfo:
    """The field at a path of a recipe; which kinds stand in slots on the way is read from ``config``.

    Raises:
        RecipeError: A part of the path is not a field; names the nearest.
    """
    return _walk(root, config, path, source)[-1][1]


def set_path(root: type[BaseModel], config: dict[str, Any], path: str, value: Any, source: str) -> None:
    """Set the value at a path of a composed recipe in place, making mappings of names on the way.

    An element of a list is named by its number from 0: ``training.penalties.0.weight``. Where the path is a
    component's kind, what was written for fields that only the earlier kind has goes with it.
    """
    node: Any = config
    *above, (last, _) = _walk(root, config, path, source)
    for name, field in above:
        held = node[name] if isinstance(node, list) else node.get(name)
        node[name] = _expanded(field, held) if _items_of(field) is None else _listed(field, held)
        node = node[name]
    if last == "kind" and above and (slot := slot_of(above[-1][1])) is not None:
        for name in _of_the_other_kind(slot, node.get("kind", slot_info(slot).default), value):
            node.pop(name, None)
    node[last] = value


def _of_the_other_kind(slot: str, before: Any, now: Any) -> set[str]:
    """The fields of a kind that another one of the slot does not have."""
    kinds = slot_info(slot).kinds
    if before not in kinds or not isinstance(now, str) or now not in kinds:
        return set()  # validation names it
    return set(kinds[before].Spec.model_fields) - set(kinds[now].Spec.model_fields)


def get_path(config: Mapping[str, Any], path: str) -> Any:
    """The value at a path of a dumped recipe."""
    value: Any = config
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _walk(root: type[BaseModel], config: Mapping[str, Any], path: str, source: str) -> list[tuple[Any, FieldInfo]]:
    """Names of fields, and numbers of elements, on the way; each with what is declared of it."""
    model: type[BaseModel] | None = root
    items: Any = None  # what is declared of the elements, where the value so far is a list
    value: Any = config
    steps: list[tuple[Any, FieldInfo]] = []
    for i, part in enumerate(parts := path.split(".")):
        if items is not None:
            index = _element(part, value, f"{source}: {path}: {'.'.join(parts[:i])}")
            field, value = FieldInfo.from_annotation(items), value[index]
            steps.append((index, field))
        elif model is None:
            raise RecipeError(f"{source}: {path}: {'.'.join(parts[:i])} is a value and has no fields")
        elif part not in model.model_fields:
            raise RecipeError(f"{source}: {path}: unknown field {part!r}; {suggest(part, model.model_fields)}")
        else:
            field = model.model_fields[part]
            steps.append((part, field))
            value = value.get(part) if isinstance(value, Mapping) else None
        items = _items_of(field)
        value = value if items is None else _listed(field, value)
        model = _model_of(field, value, f"{source}: {path}") if items is None else None
    return steps


def _element(part: str, value: list[Any], where: str) -> int:
    if part not in map(str, range(len(value))):  # and no second name, as 00 would be
        there = f"expected a number from 0 to {len(value) - 1}" if value else "it is empty; set the whole list"
        raise RecipeError(f"{where} is a list, and {part!r} no element of it; {there}")
    return int(part)


def _items_of(field: FieldInfo) -> Any:
    """What is declared of the elements of a field that holds a list; ``None`` of any other field."""
    annotation = field.annotation
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((get_args(member)[0] for member in members if get_origin(member) is list), None)


def _listed(field: FieldInfo, value: Any) -> list[Any]:
    """The list that a value is, or that stands in its place where nothing is written."""
    if value is None and not field.is_required():
        value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, list | tuple) else []


def _model_of(field: FieldInfo, value: Any, where: str) -> type[BaseModel] | None:
    slot = slot_of(field)
    if slot is not None:
        kind = _expanded(field, value).get("kind", slot_info(slot).default)
        if kind is None:
            return None
        try:
            return lookup(slot, kind).Spec
        except ValueError as error:
            raise RecipeError(f"{where}: {error}") from None
    annotation = field.annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _expanded(field: FieldInfo, value: Any) -> dict[str, Any]:
    """The mapping that a value stands for: a name is its kind, and nothing is the field's default."""
    if value is None and not field.is_required() and field.default_factory is None:
        value = field.default
    if isinstance(value, str):
        return {"kind": value}
    return dict(value) if isinstance(value, Mapping) else {}
