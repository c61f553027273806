"""A base of other sizes must change what the model computes, or how it learns."""

from __future__ import annotations

import torch

from mythos_blocks import LoopedTransformer
from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.recipe.step import Learner, step

_MAX_LOOPS = 4  # of a step here: what is looked at is the same at any count


def base_acts(assembly: Assembly) -> list[Finding]:
    """The weights after one step of the model from its base, against those of the same model without a base."""
    if not assembly.model.growth.sides:
        return []
    recipe = assembly.recipe
    spec = recipe.model_spec().model_copy(update={"mup_base": None})
    plain: LoopedTransformer = spec.build(*assembly.model.context).to(assembly.batch.tokens.device)
    plain.initialize(recipe.seed)
    if recipe.training.start is not None:
        plain.load_state_dict(assembly.model.state_dict())
    learners = assembly.rehearsed(), Learner.of(recipe.model_copy(update={"model": spec}), plain.train())
    for learner in learners:
        with torch.random.fork_rng(devices=[]):
            step(learner, assembly.batch, min(plain.core.loops.eval_loops, _MAX_LOOPS))
    weights = [learner.model.parameters() for learner in learners]
    if not all(map(torch.equal, *weights)):
        return []
    return [Finding("mup.no_effect", "model.mup_base declares other sizes, and a step of the model is that without it")]
