"""What a forward pass returns, as torch's pytrees: distributed wrappers, export and ``tree_map`` look inside of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from torch import Tensor
from torch.utils import _pytree as pytree

from mythos_blocks.frame.frame import Frame
from mythos_blocks.model.output import ModelOutput


def _reached(kind: type[Any]) -> Iterator[type[Any]]:
    """A dataclass and those in its fields. The frame is none of them: it is what a pass was given."""
    yield kind
    for hint in get_type_hints(kind).values():
        for part in (hint, *get_args(hint)):
            if isinstance(part, type) and is_dataclass(part) and part is not Frame:
                yield from _reached(part)


_CLASSES = tuple(dict.fromkeys(_reached(ModelOutput)))


class Rest:
    """Fields that hold no tensors of the computation: counts, the frame, the memory.

    They travel with the structure, and are equal to all others there: two outputs of one shape are of one structure.
    """

    def __init__(self, held: dict[str, Any]) -> None:
        self.held = held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rest)

    def __hash__(self) -> int:
        return hash(Rest)


@dataclass(frozen=True)
class Structure:
    """What a flattened object is besides its parts.

    Attributes:
        kind: Its class.
        names: The fields that its parts come from.
        rest: All other fields.
    """

    kind: type[Any]
    names: tuple[str, ...]
    rest: Rest


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(_holds_tensors(item) for item in value)
    return isinstance(value, (Tensor, *_CLASSES))


def _fields(instance: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that hold tensors, and the others."""
    held = {field.name: getattr(instance, field.name) for field in fields(instance)}
    parts = {name: value for name, value in held.items() if _holds_tensors(value)}
    return parts, {name: value for name, value in held.items() if name not in parts}


def _flatten(instance: Any) -> tuple[list[Any], Structure]:
    parts, rest = _fields(instance)
    for part in parts.values():
        register(type(part))  # a rule of somebody else may carry a state of its own class
    return list(parts.values()), Structure(type(instance), tuple(parts), Rest(rest))


def _flatten_with_keys(instance: Any) -> tuple[list[tuple[pytree.KeyEntry, Any]], Structure]:
    parts, structure = _flatten(instance)
    return [(pytree.GetAttrKey(name), part) for name, part in zip(structure.names, parts, strict=True)], structure


def _unflatten(parts: Iterable[Any], structure: Structure) -> Any:
    made = object.__new__(structure.kind)
    held = {**structure.rest.held, **dict(zip(structure.names, parts, strict=True))}
    for name, value in held.items():
        object.__setattr__(made, name, value)
    return made


def _dump(structure: Structure) -> dict[str, Any]:
    """The structure as JSON, for exported programs on disk. Of the rest, numbers and words go along."""
    plain = {n: value for n, value in structure.rest.held.items() if isinstance(value, bool | int | float | str)}
    return {"names": structure.names, "rest": {**dict.fromkeys(structure.rest.held), **plain}}


def register(kind: type[Any]) -> None:
    """Make a class known to torch, if it is one of those that a forward pass returns, or derived from one."""
    if kind in pytree.SUPPORTED_NODES or not issubclass(kind, _CLASSES):
        return
    pytree.register_pytree_node(
        kind,
        _flatten,
        _unflatten,
        serialized_type_name=f"{kind.__module__}.{kind.__qualname__}",
        to_dumpable_context=_dump,
        from_dumpable_context=lambda dumped: Structure(kind, tuple(dumped["names"]), Rest(dumped["rest"])),
        flatten_with_keys_fn=_flatten_with_keys,
    )


for _class in _CLASSES:
    register(_class)
