"""Where two declarations differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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


def _kind(value: Any) -> Any:
    return value["kind"] if isinstance(value, Mapping) and "kind" in value else value
