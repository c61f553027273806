"""What an arm of the sweep sets in the recipe."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from mythos_lab.recipe import Recipe
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.paths import set_path

GROWING = (
    "hidden",
    "expert_hidden",
    "state_width",
    "head_dim",
    "kv_rank",
    "q_rank",
    "nope_dim",
    "rope_dim",
    "value_dim",
)
"""Sizes that a recipe states in channels: they keep their ratio to the width."""


def changes(base: Recipe, width: int, num_loops: int, core_layers: int, max_steps: int) -> dict[str, Any]:
    """What an arm sets, by path.

    Without a loop the whole core is set, to a plain stack: no injection, halting, signal or adapter is left of it.
    """
    model = base.model_spec().model_dump(mode="json")
    sizes = grown(model, width)
    if num_loops > 1:
        looped = {
            "model.core.depth": core_layers // num_loops,
            "model.core.loops": loops_at(model["core"]["loops"], num_loops),
        }
        return {"model.width": width, **looped, **sizes, "training.max_steps": max_steps}
    resized: dict[str, Any] = {"model": model}
    for path in [path for path in sizes if path.startswith("model.core.")]:
        set_path(Recipe, resized, path, sizes.pop(path), "width")
    core = resized["model"]["core"]
    stack = {"kind": "loop", "depth": core_layers, "layer": core["layer"], "alternate": core["alternate"]}
    return {"model.width": width, "model.core": stack, **sizes, "training.max_steps": max_steps}


def grown(model: Mapping[str, Any], width: int) -> dict[str, int]:
    """The sizes in channels of a dumped model at another width, by path: even, as head sizes have to be."""
    ratio = width / model["width"]
    if ratio == 1:
        return {}
    return {path: max(2, 2 * round(size * ratio / 2)) for path, size in _sizes(model, "model")}


def _sizes(node: Any, path: str) -> list[tuple[str, int]]:
    """Paths and values of all sizes in channels below a node of a dumped recipe."""
    if not isinstance(node, Mapping) or node.get("kind") == "mixer":  # whose hidden size is one over positions
        return []
    found: list[tuple[str, int]] = []
    for key, value in node.items():
        if key in GROWING and isinstance(value, int):
            found.append((f"{path}.{key}", value))
        else:
            found += _sizes(value, f"{path}.{key}")
    return found


def loops_at(declared: Mapping[str, Any], num_loops: int) -> dict[str, Any]:
    """The recipe's sampler at another mean; the loop count itself where it has none."""
    if "mean" in declared:
        scaled = {**declared, "mean": num_loops}
        if declared.get("maximum") is not None:
            scaled["maximum"] = math.ceil(declared["maximum"] * num_loops / declared["mean"])
        return scaled
    if "base" in declared and "mean" in declared["base"]:
        return {**declared, "base": loops_at(declared["base"], num_loops)}
    return {"kind": "fixed", "num_loops": num_loops, "gradient_window": declared.get("gradient_window")}


def loops_note(declared: Mapping[str, Any]) -> str:
    """How the arms with loops get their loop count, for the reader."""
    kind = loops_at(declared, 2)["kind"]
    if kind != "fixed":
        return f"loop counts are sampled ({kind}); r is their mean, at which arms are evaluated"
    if declared["kind"] == "fixed":
        return "loop counts are fixed"
    return f"loop counts are fixed: the recipe's sampler {declared['kind']!r} has no mean to set"


def applied(config: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> Recipe:
    """The validated recipe of an arm.

    Raises:
        RecipeError: It does not build.
    """
    changed = copy.deepcopy(dict(config))
    for path, value in changes.items():
        set_path(Recipe, changed, path, copy.deepcopy(value), source)
    return validate(changed, source)
