"""The parts of a recipe that can be taken out, and the arms of an ablation's design.

Which parts there are, and what stands in their place, the components say themselves (``Component.off``); so parts of
other people's packages are ablated like ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mythos_blocks import Component
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.recipe import Recipe
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.specs import walk_specs

Changes = dict[str, Any]

_LOOP = "loops"
_NEEDS_LOOPS = ("halting", "exit", "depth_attention")
"""Slots of the core that do nothing in a single iteration, and go with the loop."""


@dataclass(frozen=True)
class Part:
    """A part of a recipe that can be taken out.

    Attributes:
        name: Its slot's name; with the path before it where several parts share it.
        path: Where it stands.
        kind: What it is.
        changes: What to set where to take it out.
    """

    name: str
    path: str
    kind: str
    changes: Changes


def parts(recipe: Recipe) -> dict[str, Part]:
    """The parts of a recipe that know what stands in their place, by name."""
    found = list(_parts(recipe))
    slots = [path.split(".")[-1] for path, _, _ in found]
    core = recipe.model_dump(mode="json")["model"]["core"]
    named: dict[str, Part] = {}
    for path, kind, off in found:
        slot = path.split(".")[-1]
        name = slot if slots.count(slot) == 1 else path.removeprefix("model.")
        changes: Changes = {path: off}
        if path == f"model.core.{_LOOP}":
            absent = {slot: slot_info(slot).off for slot in _NEEDS_LOOPS}
            changes |= {
                f"model.core.{s}": off for s, off in absent.items() if core.get(s, {"kind": off})["kind"] != off
            }
        named[name] = Part(name, path, kind, changes)
    return named


def _parts(recipe: Recipe) -> Iterator[tuple[str, str, Any]]:
    """Path, kind and what stands in its place, of every part that has something for that."""
    model, _ = build_on_meta(recipe)
    built = list(_components(model))
    for path, spec in walk_specs(recipe):
        component = next((c for c in built if c.slot == spec.component.slot and c.spec == spec), None)
        off = component.off() if component is not None and path.startswith("model.") else None
        if off is not None and off != spec.kind:
            yield path, spec.kind, off


def _components(model: Any) -> Iterator[Component]:
    for module in model.modules():
        for item in (module, *vars(module).values()):
            if isinstance(item, Component):
                yield item


def leave_one_out(found: Mapping[str, Part]) -> dict[str, Changes]:
    """Everything, and everything without each part."""
    return {"full": {}, **{f"-{name}": part.changes for name, part in found.items()}}


def add_one_in(found: Mapping[str, Part]) -> dict[str, Changes]:
    """Nothing, and each part alone. The loop stays in all of them: what is added works in it."""
    added = {name: part for name, part in found.items() if name != _LOOP}
    arms = {f"+{name}": _off(p for other, p in added.items() if other != name) for name in added}
    return {"bare": _off(added.values()), **arms}


def pairs(found: Mapping[str, Part]) -> dict[str, Changes]:
    """Everything, without each part, and without each two, which shows where two do one work."""
    twos = itertools.combinations(found.values(), 2)
    return {**leave_one_out(found), **{f"-{a.name}-{b.name}": _off((a, b)) for a, b in twos}}


def factorial(found: Mapping[str, Part]) -> dict[str, Changes]:
    """Every subset."""
    chosen = (c for n in range(len(found) + 1) for c in itertools.combinations(found.values(), n))
    return {"".join(f"-{part.name}" for part in off) or "full": _off(off) for off in chosen}


DESIGNS: dict[str, Callable[[Mapping[str, Part]], dict[str, Changes]]] = {
    "leave-one-out": leave_one_out,
    "add-one-in": add_one_in,
    "pairs": pairs,
    "factorial": factorial,
}


def distinct(arms: Mapping[str, Changes]) -> tuple[dict[str, Changes], dict[str, str]]:
    """The arms that differ, and those that come to the same as an earlier one, with its name."""
    kept: dict[str, Changes] = {}
    same: dict[str, str] = {}
    for name, changes in arms.items():
        twin = next((other for other, before in kept.items() if before == changes), None)
        if twin is None:
            kept[name] = changes
        else:
            same[name] = twin
    return kept, same


def _off(taken: Any) -> Changes:
    return {path: value for part in taken for path, value in part.changes.items()}
