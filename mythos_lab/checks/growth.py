"""The state must not grow without bound over the loops that are run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice

import torch

from mythos_blocks.core.state import LoopState
from mythos_lab.checks.counts import states_by_count
from mythos_lab.checks.findings import Assembly, Finding

# What twice as many iterations may multiply the state by: a sum of bounded steps doubles it, and one of steps that grow
# with the iteration quadruples it. A factor for each iteration goes beyond any bound.
_MOST = 4.0
_FEWEST = 4  # loops over which there is growth to speak of
_REMEDY = "let core.layer (post_norm) or core.update (outer_norm) normalise what is carried on"


@torch.no_grad()
def state_stays_bounded(assembly: Assembly) -> list[Finding]:
    """The state's norm at the largest loop count that is trained or evaluated, against that at half of it.

    Where that is much, the loop is run on for as long again: a state that grows to its size and settles is no finding.
    """
    assembly.model.eval()
    core = assembly.model.core
    core.halting.train()  # positions that stop outside training would hide what the loop does
    most = max(core.loops.max_loops, core.loops.eval_loops * assembly.recipe.evaluation.depth_factor)
    if most < _FEWEST:
        return []
    half = most // 2
    states = states_by_count(assembly)
    try:
        before, now = _norm_after(states, assembly, half), _norm_after(states, assembly, most - half)
    except ValueError as error:
        return [Finding("tables.reach", f"the depth curve runs {most} loops, and the model refuses that: {error}")]
    if not math.isfinite(now):
        return [Finding("stability.growth", f"the state is not finite after {most} loops, as evaluated; {_REMEDY}")]
    if now <= _MOST * before or _settles(states, assembly, most, now):
        return []
    factor = (now / before) ** (1 / (most - half))
    return [
        Finding(
            "stability.growth",
            f"the state grows by a factor of {factor:.3g} in an iteration, to a norm of {now:.3g} after {most} loops, "
            f"as trained or evaluated; {_REMEDY}",
        )
    ]


def _settles(states: Iterator[LoopState], assembly: Assembly, num_more: int, now: float) -> bool:
    try:
        return _norm_after(states, assembly, num_more) <= _MOST * now
    except ValueError:  # further than the model goes
        return False


def _norm_after(states: Iterator[LoopState], assembly: Assembly, num_more: int) -> float:
    """The state's norm after so many more loops, no less than float32's smallest number; infinite where not finite."""
    state = next(islice(states, num_more - 1, None))
    norm = float(assembly.batch.real_values(state.h).double().norm())
    return max(norm, torch.finfo(torch.float32).tiny) if math.isfinite(norm) else math.inf
