"""What each part of a recipe is worth: arms in which parts are off, at equal budgets, over paired seeds.

Which parts there are, and what stands in their place, the components say themselves (``Component.off``); so parts of
other people's packages are ablated like ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mythos_blocks import Component, build
from mythos_blocks.registry import slot_info, suggest
from mythos_lab.metrics import METRICS, known
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.paths import get_path
from mythos_lab.recipe.specs import walk_specs
from mythos_lab.search.budgets.match import BUDGETS, budget_named
from mythos_lab.search.opening import DEFINING
from mythos_lab.search.spaces.definition import StudyFile
from mythos_lab.search.spaces.space import Space, load_space

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


def _distinct(arms: Mapping[str, Changes]) -> tuple[dict[str, Changes], dict[str, str]]:
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


def ablation(
    name: str,
    recipe_name: str,
    overrides: Sequence[str],
    recipe: Recipe,
    *,
    design: str = "leave-one-out",
    only: Sequence[str] = (),
    hold: Sequence[str] = ("training_flops",),
    vary: Sequence[str] = ("training.max_steps",),
    seeds: int = 3,
    metric: str | None = None,
    matters: float = 0.01,
    declared: Sequence[str] = (),
) -> dict[str, Any]:
    """The study file of an ablation.

    Args:
        name: The study's name.
        recipe_name: The recipe, as the user named it.
        overrides: What was overridden.
        recipe: The same, composed.
        design: One of :data:`DESIGNS`.
        only: Parts to look at; all without.
        hold: Budgets that every arm gets, as much as the recipe has.
        vary: Whole-number fields that are solved for to hold them.
        seeds: Paired seeds.
        metric: What is compared: accuracy, bits per byte or the loss without.
        matters: The smallest difference in it that matters.
        declared: Inputs that may differ besides.

    Raises:
        RecipeError: An unknown design, part or budget, or nothing to take out.
    """
    if design not in DESIGNS:
        raise RecipeError(f"--design {design}: {suggest(design, DESIGNS)}")
    found = parts(recipe)
    for wanted in only:
        if wanted not in found:
            raise RecipeError(f"--only {wanted}: no part of {recipe.name} that can be off; {suggest(wanted, found)}")
    chosen = {key: part for key, part in found.items() if not only or key in only}
    if not chosen:
        raise RecipeError(f"{recipe.name}: has no part that can be off")
    task = build(recipe.task)
    if metric is None:
        metric = "val/accuracy" if task.chance is not None else "val/loss"
        metric = "val/bits_per_byte" if task.bits_per_byte is not None else metric
    try:
        better = METRICS[known(metric)].better
    except ValueError as error:
        raise RecipeError(f"--metric: {error}") from None
    if better is None:
        raise RecipeError(f"--metric {metric}: neither way of it is better by itself, so nothing can be ablated by it")
    arms, same = _distinct(DESIGNS[design](chosen))
    asked = f"Ablation of {recipe.name} ({design}): what is each of {', '.join(chosen)} worth?"
    left_out = ", ".join(f"{other} is {arm}" for other, arm in same.items())
    file: dict[str, Any] = {
        "name": name,
        "description": asked + f" Left out, as they come to the same: {left_out}." * bool(same),
        "recipe": recipe_name,
        "overrides": list(overrides),
        "arms": arms,
        "objectives": {metric: "maximize" if better == "higher" else "minimize"},
        "seeds": seeds,
        "matters": matters,
        "declared": list(declared),
    }
    if hold:
        file["hold"] = {"budgets": {BUDGETS[budget_named(name)]: "recipe" for name in hold}, "by": list(vary)}
    return file


def retuned(file: Mapping[str, Any], recipe: Recipe, factors: Sequence[float]) -> dict[str, Any]:
    """The study before an ablation that finds each arm's learning rate: every arm at every rate, one seed of its own.

    Args:
        file: The ablation's file.
        recipe: The recipe, composed.
        factors: What its learning rate is multiplied by.
    """
    rate = _rate(recipe)
    arms = {
        _rate_arm(arm, factor): {**changes, RATE: rate * factor}
        for arm, changes in file["arms"].items()
        for factor in factors
    }
    overrides = [*file["overrides"], f"seed={_TUNING_SEED}"]
    kept = {key: value for key, value in file.items() if key not in ("declared",)}
    return {**kept, "name": f"{file['name']}-rates", "arms": arms, "seeds": 1, "overrides": overrides}


RATE = "training.optimizer.lr"
_TUNING_SEED = 1_000_003  # none of those that verdicts are made from


def _rate(recipe: Recipe) -> float:
    return float(get_path(recipe.model_dump(mode="json"), RATE))


def _rate_arm(arm: str, factor: float) -> str:
    return f"{arm}.lr{factor!r}"


def with_best_rates(
    file: Mapping[str, Any], recipe: Recipe, factors: Sequence[float], values: Mapping[str, float]
) -> dict[str, Any]:
    """The ablation with each arm at the rate at which it was best.

    Args:
        file: The ablation's file.
        recipe: The recipe, composed.
        factors: What its learning rate was multiplied by.
        values: The objective by arm of :func:`retuned`; arms that were not trained to their end are missing.

    Raises:
        RecipeError: An arm was trained to its end at no rate.
    """
    (direction,) = file["objectives"].values()
    best = max if direction == "maximize" else min
    arms = {}
    for arm, changes in file["arms"].items():
        tried = {f: values[_rate_arm(arm, f)] for f in factors if _rate_arm(arm, f) in values}
        if not tried:
            raise RecipeError(f"{file['name']}: {arm} was trained to its end at none of the learning rates")
        arms[arm] = {**changes, RATE: _rate(recipe) * best(tried, key=lambda factor: tried[factor])}
    return {**file, "arms": arms, "declared": [*file.get("declared", []), "learning rate curve"]}


def write(file: Mapping[str, Any], folder: Path = Path("studies")) -> Space:
    """Put the study's file on disk, where `mythos study` finds it too, and load it.

    Raises:
        RecipeError: It is no valid study, or one of that name was begun with another file; what stood there stays.
    """
    path = folder / f"{file['name']}.yaml"
    if path.is_file() and (folder / str(file["name"])).is_dir():
        begun = load_space(str(path)).file
        now = StudyFile.model_validate(dict(file))
        if changed := [field for field in DEFINING if getattr(begun, field) != getattr(now, field)]:
            raise RecipeError(
                f"{path}: was begun with other {', '.join(changed)}; give this study a --name of its own, or delete "
                f"{path} and {path.with_suffix('')}"
            )
    before = path.read_bytes() if path.is_file() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(dict(file), sort_keys=False, width=120), encoding="utf-8")
    try:
        return load_space(str(path))
    except RecipeError:
        path.unlink() if before is None else path.write_bytes(before)
        raise
