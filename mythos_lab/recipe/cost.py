"""What a recipe costs, counted on its meta build."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch

from mythos_blocks import AttentionMask, LoopedTransformer, RoutedExperts
from mythos_lab.recipe.compose import build_on_meta
from mythos_lab.recipe.flops import FlopCount
from mythos_lab.recipe.losses import Losses
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

    FLOPs are measured on the meta device. Those of a forward pass are affine in the loop count, because every
    iteration does the same products; those of a training step have another slope beyond the gradient window.
    """
    model, task = build_on_meta(recipe)
    batch, positions = recipe.training.batch_size, task.positions
    loops = model.core.loops
    step = _Line(
        lambda n: _training_flops(model, recipe, batch, positions, n), max(1, model.core.gradient.window(10**6))
    )
    forward = _Line(lambda n: _forward_flops(model, recipe, batch, positions, n))
    expected = sum(p * step(n) for n, p in enumerate(loops.training_pmf().tolist()) if n and p)
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
        training_flops=expected * recipe.training.max_steps,
        inference_flops_per_token=forward(loops.eval_loops) / (batch * positions),
    )


def count(module: torch.nn.Module) -> int:
    """Parameters of a module, tied ones once."""
    return sum(p.numel() for p in module.parameters())


def mask_for(recipe: Recipe, allowed: torch.Tensor | None) -> AttentionMask:
    """The attention mask that a recipe declares, for a batch that allows ``allowed``."""
    return AttentionMask(causal=recipe.mask == "causal", allowed=allowed if recipe.mask == "task" else None)


class _Line:
    """A count that is affine in the loop count up to ``knee`` loops, and affine beyond it."""

    def __init__(self, count: Callable[[int], int], knee: int = 10**6) -> None:
        self.count, self.knee = lru_cache(maxsize=None)(count), knee

    def __call__(self, num_loops: int) -> float:
        start = 1 if num_loops <= self.knee else self.knee
        return self.count(start) + (num_loops - start) * (self.count(start + 1) - self.count(start))


def _forward_flops(model: LoopedTransformer, recipe: Recipe, batch: int, positions: int, num_loops: int) -> int:
    model.eval()
    with FlopCount() as counter, torch.no_grad():
        model(*_meta_inputs(recipe, batch, positions), num_loops)
    return counter.total


def _training_flops(model: LoopedTransformer, recipe: Recipe, batch: int, positions: int, num_loops: int) -> int:
    """Forward and backward pass of one training step, objective and penalties included."""
    model.train()
    losses = Losses.of(recipe)
    tokens, mask = _meta_inputs(recipe, batch, positions)
    with FlopCount() as counter:
        out = model(tokens, mask, num_loops, record=losses.every_step)
        losses(model, out, tokens)[0].backward()
    model.zero_grad(set_to_none=True)
    return counter.total


def _meta_inputs(recipe: Recipe, batch: int, positions: int) -> tuple[torch.Tensor, AttentionMask]:
    tokens = torch.zeros(batch, positions, dtype=torch.long, device="meta")
    allowed = torch.ones(batch, positions, positions, dtype=torch.bool, device="meta")
    return tokens, mask_for(recipe, allowed)


def _idle_experts(model: torch.nn.Module) -> int:
    idle = 0
    for module in model.modules():
        if isinstance(module, RoutedExperts):
            routed = module.gate.numel() + module.up.numel() + module.down.numel()
            idle += routed - routed * module.num_active // module.num_experts
    return idle


def table(recipe: Recipe) -> list[tuple[str, Any]]:
    """Metric names and counts, in order."""
    return list(cost(recipe).metrics().items())
