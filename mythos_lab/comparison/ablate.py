"""What each part of a recipe is worth: arms in which parts are off, at equal budgets, over paired seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mythos_blocks import build
from mythos_blocks.declaring.registry import suggest
from mythos_lab.comparison.designs import DESIGNS, distinct, parts
from mythos_lab.comparison.study_file import RATE, study_file
from mythos_lab.metrics import METRICS, known
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.paths import get_path

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
    return study_file(
        name,
        asked + f" Left out, as they come to the same: {left_out}." * bool(same),
        recipe_name,
        overrides,
        arms,
        metric=metric,
        is_maximised=better == "higher",
        seeds=seeds,
        matters=matters,
        declared=declared,
        hold=hold,
        vary=vary,
    )


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
