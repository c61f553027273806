"""Low-rank adapters of an iteration's own, inside the layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mythos_blocks.declaring.component import component
from mythos_blocks.declaring.types import Count, NonNegative, Positive
from mythos_blocks.depth_adapter.base import DepthAdapter
from mythos_blocks.layer.base import Layer
from mythos_blocks.tensors.rows import Beyond, Index
from mythos_blocks.uptraining.low_rank import LoopLoRALinears


@component("depth_adapter", "loop_lora")
class LoopLoRA(DepthAdapter):
    """``W x + (alpha / rank) * B[t] A[t] x`` on linears of the core: independent matrices for each iteration and layer.

    Relaxed Recursive Transformers (arXiv 2410.20672, section 3.2). ``mythos_blocks.uptraining`` sets them by truncated
    SVD from untied weights. Experts are stacked matrices and not linears: they are left alone.

    Args:
        width: Channels of the state.
        max_loops: Iterations that tables with a row for each have room for.
        rank: Rank of each update.
        on: Patterns of linears, by their path within a layer, such as ``attention.*``.
        alpha: Scale of the update, over the rank; ``null`` takes the rank, so that the scale is 1.
        std: Standard deviation of the initial B. Zero starts at the tied layer, but then A has no gradient at first.
        beyond: What iterations past the trained ones use: the last matrices, none (``zero``), the line through the last
            two, or an error.

    Raises:
        ValueError: A pattern fits no linear of the layers.
    """

    def __init__(
        self,
        width: int,
        max_loops: int,
        *,
        rank: Count = 4,
        on: list[str] = ["attention.*", "feedforward.*"],
        alpha: Positive | None = None,
        std: NonNegative = 0.02,
        beyond: Beyond = "clamp",
    ) -> None:
        super().__init__()
        self.reach, self.patterns = max_loops, tuple(on)
        self.linears = LoopLoRALinears(max_loops, rank, (alpha or rank) / rank, std, beyond)

    def attach(self, layers: nn.ModuleList) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ValueError(
                    f"depth_adapter 'loop_lora' acts inside layers, and {type(layer).__name__} is no Layer"
                )
        self.linears.attach(layers, [f"*.{pattern}" for pattern in self.patterns])

    def inner(self) -> LoopLoRALinears:
        return self.linears

    def reset_parameters(self, generator: torch.Generator) -> None:
        self.linears.reset(generator)

    def forward(self, u: Tensor, t: Index) -> Tensor:
        return u
