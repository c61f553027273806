"""Where two declarations differ, and where one is not what its fields are by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from mythos_blocks.declaring.spec import Declaration, Slot, Spec, slot_of


def differences(a: Mapping[str, Any], b: Mapping[str, Any], path: str = "") -> list[tuple[str, Any, Any]]:
    """Paths at which two mappings differ, with both values; a component of another kind is one difference."""
    found: list[tuple[str, Any, Any]] = []
    for key in dict.fromkeys((*a, *b)):
        x, y = a.get(key), b.get(key)
        here = f"{path}.{key}" if path else str(key)
        if isinstance(x, Mapping) and isinstance(y, Mapping) and x.get("kind") == y.get("kind"):
            found += differences(x, y, here)
        elif x != y:
            found.append((here, _kind(x), _kind(y)))
    return found


def off_default(declared: Declaration, path: str = "", default: Declaration | None = None) -> Iterator[str]:
    """Paths of the fields that a declaration sets otherwise than they stand by default, and of those without a default.

    A component of another kind than the default one is named by its ``kind``, and by those of its fields that are not
    what that kind's are by default.

    Args:
        declared: The declaration.
        path: Where it stands.
        default: What stands there by default, of the same kind; ``None`` takes what the fields themselves say.
    """
    for name, field in type(declared).model_fields.items():
        value = getattr(declared, name)
        usual = getattr(default, name) if default is not None else _default(field)
        here = f"{path}.{name}" if path else name
        if value == usual:
            continue
        if not isinstance(value, Declaration):
            yield here
            continue
        is_kindred = type(value) is type(usual)
        if isinstance(value, Spec) and not is_kindred:
            yield f"{here}.kind"
        for inner in off_default(value, here, usual if is_kindred else None):
            if inner != f"{here}.kind":
                yield inner


def _default(field: FieldInfo) -> Any:
    """What stands where nothing is written; ``...`` where something has to be."""
    if field.is_required():
        return ...
    value, slot = field.get_default(call_default_factory=True), slot_of(field)
    return value if value is None or slot is None else Slot(slot).resolve(value)


def _kind(value: Any) -> Any:
    return value["kind"] if isinstance(value, Mapping) and "kind" in value else value
