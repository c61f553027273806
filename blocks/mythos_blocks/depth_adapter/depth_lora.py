"""A low-rank adapter with a scale for each iteration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative
from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.tensors.randomness import keyed_generator
from mythos_blocks.tensors.rows import Beyond, Index, row


@component("depth_adapter", "depth_lora")
class DepthLoRA(DepthAdapter):
    """``u + ((u @ down) * scale[t]) @ up``, as in OpenMythos: only ``scale`` differs between iterations.

    Relaxed Recursive Transformers (arXiv 2410.20672), which OpenMythos cites for it, give every iteration
    matrices of its own instead (``loop_lora``).

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        rank: Channels of the bottleneck.
        std: Standard deviation of the initial ``scale`` and ``up``.
        beyond: What iterations past the trained ones read of ``scale``: the last row, zeros, the line through the last
            two rows, or an error.
    """

    def __init__(
        self, width: int, max_loops: int, *, rank: Count = 8, std: NonNegative = 0.02, beyond: Beyond = "clamp"
    ) -> None:
        super().__init__()
        self.reach, self.std, self.beyond = max_loops, std, beyond
        self.down = nn.Linear(width, rank, bias=False)
        self.scale = nn.Parameter(torch.zeros(max_loops, rank))
        self.up = nn.Linear(rank, width, bias=False)

    def reset_parameters(self, generator: torch.Generator) -> None:
        # A generator for each: how much the table draws, which depends on the loops, must not move what follows.
        seed = generator.initial_seed()
        for key, parameter in (("scale", self.scale), ("up", self.up.weight)):
            nn.init.normal_(parameter, std=self.std, generator=keyed_generator(seed, key, device=generator.device))

    def forward(self, u: Tensor, t: Index) -> Tensor:
        out: Tensor = u + self.up(self.down(u) * row(self.scale, t, self.beyond))
        return out

    def table(self) -> nn.Parameter:
        return self.scale
