"""The study of necessary depth: one arm for each loop count that is trained at, at equal budgets, over paired seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mythos_blocks import build
from mythos_blocks.declaring.registry import suggest
from mythos_lab.comparison.study_file import study_file
from mythos_lab.comparison.worth.arms import applied, loops_at, loops_note
from mythos_lab.recipe import Recipe, RecipeError
from mythos_lab.recipe.assembled import assembled_once
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.cost import count

DELTAS = {"val/accuracy": 0.01, "val/loss": 0.02}
"""What can be compared, and the largest difference that does not matter where none is declared: a share of the answers,
nats per token."""

UNMEASURED = ("evaluation.knockouts=false", "evaluation.ood=false")
"""What such a study does not need, and would pay for in every run; overrides of the user's come after it."""

_ARM = "depth-"


@assembled_once()
def necessary(
    name: str,
    recipe_name: str,
    overrides: Sequence[str],
    recipe: Recipe,
    *,
    depths: Sequence[int] = (),
    hold: Sequence[str] = ("training_flops",),
    vary: Sequence[str] = ("training.max_steps",),
    seeds: int = 5,
    metric: str | None = None,
    delta: float | None = None,
    declared: Sequence[str] = (),
) -> dict[str, Any]:
    """The study file of a train-depth by eval-depth matrix.

    A recipe that samples its loop count is sampled with each depth as its mean where its sampler has one; any other
    trains at the depth always.

    Args:
        name: The study's name.
        recipe_name: The recipe, as the user named it.
        overrides: What was overridden.
        recipe: The same, composed.
        depths: Loop counts to train at; by default the powers of two below the recipe's own, and that.
        hold: Budgets that every arm gets, as much as the recipe has.
        vary: Whole-number fields that are solved for to hold them.
        seeds: Paired seeds.
        metric: One of :data:`DELTAS`; accuracy where the task has a chance level, the loss otherwise.
        delta: The largest difference in it that does not matter; that of :data:`DELTAS` without.
        declared: Inputs that may differ besides.

    Raises:
        RecipeError: The recipe has no loop, fewer than two depths are left, an arm does not build, or a word is none of
            those that are known.
    """
    base = recipe.model_dump(mode="json")
    core = base["model"].get("core") or {}
    if "loops" not in core:
        raise RecipeError(
            f"{recipe.name}: model.core: {core.get('kind')!r} has no loop count to train at; one of: loop"
        )
    for depth in depths:
        if depth < 1:
            raise RecipeError(f"--depths {depth}: expected a whole number of at least 1")
    own = build_on_meta(recipe)[0].core.loops.eval_loops
    chosen = sorted(set(depths)) or _up_to(own)
    if len(chosen) < 2:
        raise RecipeError(
            f"{recipe.name}: trains at {own} loop{'s' * (own > 1)}, and a depth is necessary beside others; "
            "expected at least two, such as --depths 1,2,4"
        )
    if metric is None:
        metric = "val/accuracy" if build(recipe.task).chance is not None else "val/loss"
    if metric not in DELTAS:
        raise RecipeError(f"--metric {metric}: is not known at every loop count; {suggest(metric, DELTAS)}")
    arms = {arm_named(depth): _changes(core["loops"], depth, chosen[-1]) for depth in reversed(chosen)}
    sizes = {count(build_on_meta(applied(base, changes, f"{recipe_name}: {arm}"))[0]) for arm, changes in arms.items()}
    return study_file(
        name,
        f"Necessary depth of {recipe.name}: trained at {', '.join(map(str, chosen))} loops, each evaluated at all of "
        f"them; {loops_note(core['loops'])}.",
        recipe_name,
        [*UNMEASURED, *overrides],
        arms,
        metric=metric,
        is_maximised=metric == "val/accuracy",
        seeds=seeds,
        matters=DELTAS[metric] if delta is None else delta,
        # That more loops cost more to run is the question; tables with a row a loop are what a depth brings along.
        declared=["inference FLOPs per token", *["parameters"] * (len(sizes) > 1), *declared],
        hold=hold,
        vary=vary,
    )


def arm_named(depth: int) -> str:
    """The name of the arm that is trained at a depth."""
    return f"{_ARM}{depth}"


def depth_of(arm: str) -> int:
    """The depth that an arm is trained at."""
    return int(arm.removeprefix(_ARM))


def _changes(declared: dict[str, Any], depth: int, deepest: int) -> dict[str, Any]:
    """What an arm sets; its depth curve reaches the deepest arm's depth."""
    once = {"kind": "fixed", "num_loops": 1, "gradient_window": None}
    return {
        "model.core.loops": once if depth == 1 else loops_at(declared, depth),
        "evaluation.depth_factor": math.ceil(deepest / depth),
    }


def _up_to(own: int) -> list[int]:
    return [*(2**i for i in range(own.bit_length()) if 2**i < own), own]
