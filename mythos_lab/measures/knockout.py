"""What each loop component is worth to a trained model: the quality lost without it."""

from __future__ import annotations

from mythos_blocks import LoopedTransformer, knocked_out
from mythos_blocks.declaring.registry import slot_info
from mythos_lab.measures.evaluate import Scores, evaluate
from mythos_lab.recipe.schema import Recipe
from mythos_lab.tasks.base import Task

SLOTS = ("injection", "depth_signal", "depth_adapter")


def knockouts(model: LoopedTransformer, task: Task, recipe: Recipe) -> dict[str, Scores]:
    """Scores without each loop component that is not off already, by its slot."""
    without = {}
    for slot in SLOTS:
        if getattr(model.core, slot).kind == slot_info(slot).off:
            continue
        with knocked_out(model.core, slot):
            without[slot] = evaluate(model, task, recipe)
    return without
