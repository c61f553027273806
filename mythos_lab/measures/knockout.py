"""What each loop component is worth to a trained model: the quality lost without it."""

from __future__ import annotations

from mythos_blocks import LoopedTransformer, knocked_out
from mythos_blocks.registry import slot_info
from mythos_lab.measures.evaluate import Scores, evaluate, quality
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Task

SLOTS = ("injection", "depth_signal", "depth_adapter")


def knockouts(model: LoopedTransformer, task: Task, recipe: Recipe, base: Scores) -> dict[str, float]:
    """Quality lost for each loop component that is not off already: accuracy points, or nats of loss."""
    lost = {}
    for slot in SLOTS:
        if getattr(model.core, slot).kind == slot_info(slot).off:
            continue
        with knocked_out(model.core, slot):
            scores = evaluate(model, task, recipe)
        lost[f"knockout/{slot}"] = quality(base, task) - quality(scores, task)
    return lost
