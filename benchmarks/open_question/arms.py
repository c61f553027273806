"""The arms of the open question: each way of telling loops apart at each training depth, at equal parameters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mythos_lab.comparison.necessary.design import DELTAS
from mythos_lab.recipe import Recipe, load_recipe
from mythos_lab.recipe.compose import validate
from mythos_lab.recipe.cost import cost
from mythos_lab.recipe.paths import get_path, set_path
from mythos_lab.search.budgets.hold import Hold, held

HERE = Path(__file__).parent
RANKS = (1, 2, 4, 8)
KINDS = ("none", "scale", *(f"rank {rank}" for rank in RANKS), "untied")
DEPTHS = {"reachability": (2, 3, 4), "text": (1, 4)}
"""Loop counts that models are trained at; the last is the one whose loops are judged."""

METRICS = {"reachability": "val/accuracy", "text": "val/loss"}
SEEDS = 3
_HIDDEN = "model.core.layer.feedforward.hidden"
_HIDDEN_UNTIED = "model.core.layer.layer.feedforward.hidden"


def study(problem: str) -> dict[str, Any]:
    """The study file of a task: every arm stores as many parameters as the tied block, and those of a kind train on as
    many FLOPs, by the size of the feed-forward layer and the number of steps."""
    base = load_recipe(str(HERE / f"{problem}.yaml"), [])
    depths = DEPTHS[problem]
    planned = {kind: dict(_at_depths(base, kind, depths)) for kind in KINDS}
    # The deepest first, whose loops are judged. A single iteration has nothing to be told apart from: one arm of it
    # stands for all kinds.
    arms = {
        arm_named(kind, depth): planned[kind][depth]
        for depth in reversed(depths)
        for kind in (KINDS if depth > 1 else KINDS[:1])
    }
    return {
        "name": f"open-question-{problem}",
        "description": "Does an update of its own for each loop make loops differ? Equal parameters, paired seeds.",
        "recipe": str((HERE / f"{problem}.yaml").relative_to(Path.cwd())),
        "arms": arms,
        "objectives": {METRICS[problem]: "maximize" if METRICS[problem] == "val/accuracy" else "minimize"},
        "seeds": SEEDS,
        "matters": DELTAS[METRICS[problem]],
        "declared": ["inference FLOPs per token", "training FLOPs", "steps", "tokens seen", "learning rate curve"],
    }


def arm_named(kind: str, depth: int) -> str:
    """The name of an arm."""
    return f"{kind.replace(' ', '-')}-depth-{depth}"


def _at_depths(base: Recipe, kind: str, depths: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
    """What each arm of a kind sets, by its depth, the deepest first."""
    hidden = _HIDDEN_UNTIED if kind == "untied" else _HIDDEN
    hold = Hold(budgets={"cost/params": cost(base).params}, by=hidden)
    flops: float | None = None
    for depth in reversed(depths):
        changes = {
            **_changes(base, kind),
            "model.core.loops": {"kind": "fixed", "num_loops": depth},
            "evaluation.depth_factor": math.ceil(depths[-1] / depth),
        }
        config = base.model_dump(mode="json")
        for path, value in changes.items():
            set_path(Recipe, config, path, value, kind)
        recipe = validate(held(config, hold, kind), kind)
        # Every step costs the same, so that the number of steps need not be searched for.
        total, steps = cost(recipe).training_flops, recipe.training.max_steps
        flops = flops or total
        size = get_path(recipe.model_dump(mode="json"), hidden)
        yield depth, {**changes, hidden: size, "training.max_steps": round(steps * flops / total)}


def _changes(base: Recipe, kind: str) -> dict[str, Any]:
    """What a kind sets in the recipe."""
    if kind == "untied":
        return {"model.core.layer": {"kind": "untied", "layer": base.model_dump(mode="json")["model"]["core"]["layer"]}}
    adapter: dict[str, Any] = {"kind": "none"}
    if kind == "scale":
        adapter = {"kind": "depth_lora", "rank": 8}
    elif kind != "none":
        adapter = {"kind": "loop_lora", "rank": int(kind.removeprefix("rank "))}
    return {"model.core.depth_adapter": adapter}
