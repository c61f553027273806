"""What is drawn and held must be what was declared."""

from __future__ import annotations

import math

import torch

from mythos_blocks import build
from mythos_blocks.declaring.spec import as_spec
from mythos_lab.checks.findings import Assembly, Finding

_NUM_DRAWS = 4000


def loops_have_declared_mean(assembly: Assembly) -> list[Finding]:
    """The mean of actual draws against the sampler's own mean, and that against the declared one."""
    loops = assembly.model.core.loops
    generator = torch.Generator().manual_seed(0)
    draws = torch.tensor([loops.sample(generator) for _ in range(_NUM_DRAWS)], dtype=torch.float64)
    error = 5 * float(draws.std()) / math.sqrt(_NUM_DRAWS) + 1e-9
    declared = getattr(loops.spec, "mean", loops.mean)
    if abs(float(draws.mean()) - declared) <= error:
        return []
    return [
        Finding(
            "loops.mean",
            f"the sampler draws {float(draws.mean()):.2f} loops on average, and {declared:.2f} are declared",
        )
    ]


def schedule_is_held(assembly: Assembly) -> list[Finding]:
    """The learning rates that the optimiser holds against those of the declared schedule."""
    recipe = assembly.recipe
    schedule = build(recipe.training.schedule, recipe.training.max_steps)
    peak = dict(as_spec(recipe.training.optimizer))["lr"]
    wanted = (peak * schedule.share(0), peak * schedule.share(recipe.training.max_steps))
    if all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(assembly.learning_rates, wanted, strict=True)):
        return []
    return [
        Finding(
            "schedule.length",
            f"the optimiser holds learning rates {assembly.learning_rates} at start and end, and {wanted} are declared",
        )
    ]
