"""From a recipe to what it trains."""

from __future__ import annotations

import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.recipe import Recipe
from mythos_lab.recipe.limits import check_room
from mythos_lab.recipe.shared_task import task_of
from mythos_lab.tasks.base import Task


def assemble(recipe: Recipe) -> tuple[LoopedTransformer, Task]:
    """The model at the recipe's initial weights, and the task.

    Raises:
        RecipeError: They do not fit into this machine's memory.
    """
    task = task_of(recipe)
    with torch.device("meta"):
        check_room(recipe, recipe.model_spec().build(task.vocab_size), task)
    model: LoopedTransformer = recipe.model_spec().build(task.vocab_size)
    model.initialize(recipe.seed)
    return model, task
