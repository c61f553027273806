"""What a check looks at, and what it finds."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch

from mythos_blocks import LoopedTransformer, ModelOutput
from mythos_lab.recipe.mask import surroundings
from mythos_lab.recipe.precision import autocast_for
from mythos_lab.recipe.schema import Recipe
from mythos_lab.recipe.step import Learner
from mythos_lab.tasks.base import Batch, Task


@dataclass(frozen=True)
class Finding:
    """Something declared that has no effect, or not the declared one.

    Attributes:
        code: Stable name, by which a recipe can waive it.
        message: What was measured.
        waived: Whether the recipe accepts it.
    """

    code: str
    message: str
    waived: bool = False


@dataclass(frozen=True)
class Assembly:
    """A model about to be trained, with one small batch to try it on.

    Attributes:
        recipe: What was declared.
        model: The model at its initial weights.
        task: The task.
        batch: A few samples of the training split.
    """

    recipe: Recipe
    model: LoopedTransformer
    task: Task
    batch: Batch

    def rehearsed(self) -> Learner:
        """A copy of the model that can be trained, in training mode."""
        return Learner.of(self.recipe, copy.deepcopy(self.model).train())

    def precision(self) -> torch.autocast:
        """The span in which the model runs as it does in training."""
        return autocast_for(self.recipe, self.batch.tokens.device)

    def forward(self, num_loops: int, *, model: LoopedTransformer | None = None, **options: Any) -> ModelOutput:
        """The output for the batch at a loop count, in the recipe's precision, of the model or another one like it."""
        with self.precision():
            out: ModelOutput = (model or self.model)(
                self.batch.tokens, iterations=num_loops, **surroundings(self.recipe, self.batch), **options
            )
        return out
