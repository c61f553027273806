"""The contract of a depth adapter."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.declaring.component import Module
from mythos_blocks.declaring.contract import contract
from mythos_blocks.tensors.rows import Index
from mythos_blocks.uptraining.low_rank import LoopLoRALinears


@contract("depth_adapter")
class DepthAdapter(Module):
    """Changes the core's output by iteration.

    Attributes:
        reach: Iterations with an adapter of their own; ``None`` where there is none to run out of.
    """

    reach: int | None = None

    def attach(self, layers: nn.ModuleList) -> None:
        """Meet the core's layers, once, for adapters that act inside them."""

    def forward(self, u: Tensor, t: Index) -> Tensor:
        """The adapted output of iteration ``t`` (0-based): ``(..., width) -> (..., width)``."""
        return u

    def inner(self) -> LoopLoRALinears | None:
        """Updates of linears inside the layers, which the layers tell the iteration."""
        return None

    def table(self) -> nn.Parameter | None:
        """The parameter whose row t belongs to iteration t alone, where there is one."""
        return None
