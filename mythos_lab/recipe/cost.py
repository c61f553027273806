"""What a recipe costs, counted on its meta build."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mythos_blocks import AttentionMask, LoopedTransformer, MixtureOfExperts
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.schema import Recipe


@dataclass(frozen=True)
class Cost:
    """Counts of a recipe; the names are those of the metrics ``cost/*``.

    Attributes:
        params: Parameters stored.
        params_applied: Parameters applied in a forward pass at the evaluated loop count, the core's once a loop.
        params_active: Parameters stored that one token uses.
        training_flops: Products and sums of all training steps, in expectation over the sampled loop counts.
        inference_flops_per_token: Forward pass at the evaluated loop count, over positions.
    """

    params: int
    params_applied: int
    params_active: int
    training_flops: float
    inference_flops_per_token: float

    def metrics(self) -> dict[str, float]:
        """The counts under their metric names."""
        return {f"cost/{name}": float(value) for name, value in asdict(self).items()}


def cost(recipe: Recipe) -> Cost:
    """Count parameters and FLOPs.

    FLOPs are affine in the loop count, and in the number of loops with gradient, because every iteration does
    the same products; two counts give the line.
    """
    model, task = build_on_meta(recipe)
    batch = recipe.training.batch_size
    positions = task.positions
    loops = model.core.loops
    forward = [_forward_flops(model, recipe, batch, positions, n) for n in (1, 2)]
    per_loop = forward[1] - forward[0]

    def forward_at(n: int) -> int:
        return forward[0] + (n - 1) * per_loop

    # A backward pass takes two products for each one forward, of what has a graph.
    step = sum(p * (forward_at(n) + 2 * forward_at(loops.window(n))) for n, p in enumerate(loops.pmf().tolist()) if n)
    params = count(model)
    core = (
        count(model.core.layers)
        + count(model.core.injection)
        + count(model.core.update)
        + count(model.core.depth_adapter)
    )
    return Cost(
        params=params,
        params_applied=params + (loops.eval_loops - 1) * core,
        params_active=params - _idle_experts(model),
        training_flops=step * recipe.training.max_steps,
        inference_flops_per_token=forward_at(loops.eval_loops) / (batch * positions),
    )


def count(module: torch.nn.Module) -> int:
    """Parameters of a module, tied ones once."""
    return sum(p.numel() for p in module.parameters())


def mask_for(recipe: Recipe, allowed: torch.Tensor | None) -> AttentionMask:
    """The attention mask that a recipe declares, for a batch that allows ``allowed``."""
    return AttentionMask(causal=recipe.mask == "causal", allowed=allowed if recipe.mask == "task" else None)


def _forward_flops(model: LoopedTransformer, recipe: Recipe, batch: int, positions: int, num_loops: int) -> int:
    tokens = torch.zeros(batch, positions, dtype=torch.long, device="meta")
    allowed = torch.ones(batch, positions, positions, dtype=torch.bool, device="meta")
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(tokens, mask_for(recipe, allowed), num_loops)
    return int(counter.get_total_flops())


def _idle_experts(model: torch.nn.Module) -> int:
    idle = 0
    for module in model.modules():
        if isinstance(module, MixtureOfExperts):
            routed = module.gate.numel() + module.up.numel() + module.down.numel()
            idle += routed - routed * module.num_active // module.num_experts
    return idle


def table(recipe: Recipe) -> list[tuple[str, Any]]:
    """Metric names and counts, in order."""
    return list(cost(recipe).metrics().items())
