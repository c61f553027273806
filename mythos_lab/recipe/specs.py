"""Every component that a recipe declares, with its path."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from mythos_blocks import Spec


def walk_specs(node: BaseModel, path: str = "") -> Iterator[tuple[str, Spec]]:
    """The specs below a recipe or a spec, those above before those inside them."""
    for name in type(node).model_fields:
        value = getattr(node, name)
        if isinstance(value, BaseModel):
            at = f"{path}.{name}" if path else name
            if isinstance(value, Spec):
                yield at, value
            yield from walk_specs(value, at)
