"""Findings, and the check that collects them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from mythos_blocks import AttentionMask, LoopedTransformer
from mythos_lab.recipe.cost import mask_for
from mythos_lab.recipe.schema import Recipe
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
        dtype: The dtype of the products in training.
        learning_rates: The learning rate that the optimiser will hold at the first and after the last step.
    """

    recipe: Recipe
    model: LoopedTransformer
    task: Task
    batch: Batch
    dtype: torch.dtype
    learning_rates: tuple[float, float]

    def mask(self) -> AttentionMask:
        """The attention mask of the batch."""
        return mask_for(self.recipe, self.batch.allowed)


Check = Callable[[Assembly], list[Finding]]


def check(assembly: Assembly) -> list[Finding]:
    """Run every check; findings that the recipe waives are marked. The model is left as it was."""
    from mythos_lab.checks.depth import depth_has_effect, tables_reach
    from mythos_lab.checks.gradient import parameters_learn
    from mythos_lab.checks.halting import mass_sums_to_one
    from mythos_lab.checks.sampling import loops_have_declared_mean, schedule_is_held
    from mythos_lab.checks.stability import rho_stays_below_one

    checks: list[Check] = [
        parameters_learn,
        depth_has_effect,
        mass_sums_to_one,
        loops_have_declared_mean,
        tables_reach,
        rho_stays_below_one,
        schedule_is_held,
    ]
    training = assembly.model.training
    findings = [finding for one in checks for finding in one(assembly)]
    assembly.model.zero_grad(set_to_none=True)
    assembly.model.train(training)
    return [replace(finding, waived=finding.code in assembly.recipe.waive) for finding in findings]
