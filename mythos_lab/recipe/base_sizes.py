"""The sizes at a model's base that follow from its width: what ``${model.width}`` stands for there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mythos_lab.recipe.interpolation import resolved
from mythos_lab.recipe.schema import Recipe

_FIELD = "mup_base"


def with_base_sizes(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """A composed mapping with references followed; where it declares ``model.mup_base``, with all sizes of the base.

    A size that follows the width by reference (``hidden: ${3 * model.width}``) has another value at the base's width,
    which is added to ``mup_base`` under its path, unless it stands there. What is recorded of a recipe has no
    references, and says it all the same.

    Raises:
        RecipeError: A reference cannot be followed.
    """
    found = resolved(Recipe, config, source)
    model: Any = found.get("model")
    declared = model.get(_FIELD) if isinstance(model, Mapping) else None
    if not isinstance(declared, Mapping) or not isinstance(declared.get("width"), int):
        return found  # validation says what is wrong, if anything is
    written = config["model"]
    at_base = resolved(Recipe, {**config, "model": {**written, "width": declared["width"]}}, source)["model"]
    following = {
        path: then for path, now, then in _sizes(model, at_base) if then != now and path.split(".")[0] != _FIELD
    }
    following.pop("width", None)
    return {**found, "model": {**model, _FIELD: {**following, **declared}}}


def _sizes(now: Any, then: Any, path: str = "") -> Iterator[tuple[str, int, int]]:
    """Path and both values of every whole number in two mappings of one form."""
    if isinstance(now, Mapping) and isinstance(then, Mapping):
        pairs = [(key, now[key], then[key]) for key in now if key in then]
    elif isinstance(now, list) and isinstance(then, list):
        pairs = [(str(index), *both) for index, both in enumerate(zip(now, then, strict=False))]
    elif type(now) is int and type(then) is int:
        yield path, now, then
        return
    else:
        return
    for key, a, b in pairs:
        yield from _sizes(a, b, f"{path}.{key}" if path else key)
