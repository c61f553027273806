"""The contract of a depth adapter."""

from __future__ import annotations

from torch import Tensor, nn

from mythos_blocks.component import Module


class DepthAdapter(Module):
    """Changes the core's output by iteration.

    Attributes:
        reach: Iterations with an adapter of their own; ``None`` where there is none to run out of.
    """

    reach: int | None = None

    def forward(self, u: Tensor, t: int) -> Tensor:
        """The adapted output of iteration ``t`` (0-based): ``(..., width) -> (..., width)``."""
        raise NotImplementedError

    def table(self) -> nn.Parameter | None:
        """The parameter whose row t belongs to iteration t alone, where there is one."""
        return None
