"""What each part of a recipe is worth: arms in which parts are off, at equal budgets, over paired seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mythos_blocks import build
from mythos_blocks.declaring.registry import suggest
from mythos_lab.comparison.designs import DESIGNS, distinct, parts
from mythos_lab.comparison.match import BUDGETS, budget_named
from mythos_lab.metrics import METRICS, known
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.documents import to_yaml
from mythos_lab.recipe.outputs import write_whole
from mythos_lab.recipe.paths import get_path
from mythos_lab.recipe.places import check_name
from mythos_lab.recipe.urls import recorded
from mythos_lab.search.identity import changes as changes_of
from mythos_lab.search.identity import meaning_of
from mythos_lab.search.spaces.space import Space, load_space
from mythos_lab.tracking.claim import claimed

RATE = "training.optimizer.lr"
_PATIENCE_SECONDS = 60.0  # for another process that writes the same file
_TUNING_SEED = 1_000_003  # none of those that verdicts are made from


@assembled_once()
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
        metric = "val/bits_per_byte" if task.bits_per_byte("validation") is not None else metric
    try:
        better = METRICS[known(metric)].better
    except ValueError as error:
        raise RecipeError(f"--metric: {error}") from None
    if better is None:
        raise RecipeError(f"--metric {metric}: neither way of it is better by itself, so nothing can be ablated by it")
    arms, same = distinct(DESIGNS[design](chosen))
    asked = f"Ablation of {recipe.name} ({design}): what is each of {', '.join(chosen)} worth?"
    left_out = ", ".join(f"{other} is {arm}" for other, arm in same.items())
    file: dict[str, Any] = {
        "name": name,
        "description": asked + f" Left out, as they come to the same: {left_out}." * bool(same),
        "recipe": recipe_name,
        "overrides": recorded(list(overrides)),
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


def check_begun(file: Mapping[str, Any], folder: Path = Path("studies"), *, rates_to_come: bool = False) -> None:
    """Refuse a study whose name another one was begun under, before anything is written.

    Args:
        file: The study's file.
        folder: Where it would stand.
        rates_to_come: Whether each arm is to get a learning rate that is not known yet.

    Raises:
        RecipeError: Says what is other.
    """
    path = folder / f"{check_name(file['name'], '--name')}.yaml"
    if not (path.is_file() and path.with_suffix("").is_dir()):
        return
    begun, now = meaning_of(load_space(str(path))), meaning_of(_loaded(file, path))
    changed: list[str] = []
    if rates_to_come:
        changed += [
            f"arms: {arm} without a learning rate of its own" for arm, x in begun["arms"].items() if RATE not in x
        ]
        begun["arms"] = {arm: {k: v for k, v in leaves.items() if k != RATE} for arm, leaves in begun["arms"].items()}
    changed += changes_of(begun, now)
    if changed:
        raise RecipeError(
            f"{path}: was begun with other {'; '.join(changed[:3])}; give this study a --name of its own, or delete "
            f"{path} and {path.with_suffix('')}"
        )


def write(file: Mapping[str, Any], folder: Path = Path("studies")) -> Space:
    """Put the study's file on disk, where `mythos study` finds it too, and load it.

    Raises:
        RecipeError: It is no valid study, or one of that name was begun with another file; what stood there stays.
    """
    path = folder / f"{check_name(file['name'], '--name')}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    with claimed(path.with_suffix(".lock"), _PATIENCE_SECONDS):
        check_begun(file, folder)
        _loaded(file, path)
        write_whole(path, _text(file))
    return load_space(str(path))


def _loaded(file: Mapping[str, Any], path: Path) -> Space:
    """A study's file, loaded as it would be from its path, where another one may stand."""
    draft = path.with_name(f".{path.stem}-{os.getpid()}.yaml")
    write_whole(draft, _text(file))
    try:
        return load_space(str(draft))
    except RecipeError as error:
        raise RecipeError(*(line.replace(str(draft), str(path)) for line in error.lines)) from None
    finally:
        draft.unlink()


def _text(file: Mapping[str, Any]) -> str:
    return to_yaml(dict(file))
