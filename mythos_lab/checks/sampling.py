"""Loop counts must be drawn as they are declared, and by the recipe's seed."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mythos_blocks.tensors.randomness import reseed
from mythos_lab.checks.findings import Assembly, Finding
from mythos_lab.recipe.microbatches import Given
from mythos_lab.recipe.step import Learner, begin
from mythos_lab.tasks.base import Batch

_NUM_DRAWS = 4000
_NUM_STEPS = 64  # of which the draws of two seeds are compared
_BY_CHANCE = 1e-9


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


def seeds_act(assembly: Assembly) -> list[Finding]:
    """Initial weights, loop counts and noise of the recipe's seed against those of the next one."""
    learner, seed = assembly.rehearsed(), assembly.recipe.seed
    drawn, weights = [], []
    with torch.random.fork_rng(devices=[]):
        for each in (seed, (seed + 1) % 2**31):
            learner.recipe = assembly.recipe.model_copy(update={"seed": each})
            drawn.append(_draws(learner, assembly.batch))
            learner.model.initialize(each)
            weights.append([parameter.detach().clone() for parameter in learner.model.parameters()])
        passes = [_loss(learner, assembly.batch, each) for each in (seed, seed + 1)]
    (counts, noise, chance), (other_counts, other_noise, _) = drawn
    is_given = assembly.recipe.training.start is not None
    if is_given and all(map(torch.equal, counts, other_counts)) and len(set(passes)) == 1:
        said = "training starts with given weights and draws neither loop counts nor noise: every seed is one run"
        return [Finding("seed.no_effect", said)]
    same = {
        "initial weights": all(map(torch.equal, *weights)),
        "noise": noise == other_noise,
        "loop counts": chance < _BY_CHANCE and all(map(torch.equal, counts, other_counts)),
    }
    return [
        Finding("seed.no_effect", f"{what} are the same with seed={seed} and the next seed")
        for what in same
        if same[what]
    ]


def _loss(learner: Learner, batch: Batch, seed: int) -> float:
    """The loss of one pass at a loop count, whose noise a seed draws."""
    reseed(seed, batch.tokens.device)
    with torch.no_grad():
        return float(learner.loss(Given(batch, 1, shows=False))[0])


def _draws(learner: Learner, batch: Batch) -> tuple[list[Tensor], list[int], float]:
    """Loop counts and noise of steps spread over training, and how likely two draws of the counts are the same."""
    max_steps, loops = learner.recipe.training.max_steps, learner.model.core.loops
    counts, noise, chance = [], [], 1.0
    for index in range(0, max_steps, max(1, max_steps // _NUM_STEPS)):
        counts.append(torch.as_tensor(begin(learner, index, batch)))
        noise.append(torch.initial_seed())
        chance *= float((loops.pmf_now().double() ** 2).sum())
    return counts, noise, chance
